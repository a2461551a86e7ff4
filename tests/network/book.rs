//! What was acknowledged, and what must therefore be so at the end.
//!
//! Entries are known by their entryUUID. A deletion is final. A value added stays, because nobody takes one away. Of a
//! value that is replaced the last one of some node holds: an earlier one of the same node was beaten for sure.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::client::Entry;

/// What a request changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The entry is new, with this description.
    Added(String),
    /// The description is replaced, and a value of the same text added to carLicense.
    Described(String),
    Deleted,
}

/// One node's changes of one entry, in its order.
#[derive(Clone, Debug, Default)]
struct Page {
    was_added: bool,
    description: Option<String>,
    values: BTreeSet<String>,
    was_deleted: bool,
    /// Sent, and not answered: may hold or not.
    unsure: Vec<Change>,
}

/// Pages by entry and node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    pages: BTreeMap<String, BTreeMap<String, Page>>,
    pub(crate) answered: usize,
}

impl Book {
    /// A change was answered with success.
    pub(crate) fn note(&mut self, node: &str, uuid: &str, change: Change) {
        self.answered += 1;
        let page = self.page(node, uuid);
        match change {
            Change::Added(text) => (page.was_added, page.description) = (true, Some(text)),
            Change::Described(text) => {
                page.values.insert(text.clone());
                page.description = Some(text);
            }
            Change::Deleted => page.was_deleted = true,
        }
    }

    /// A change was sent, and its answer never came.
    pub(crate) fn note_unsure(&mut self, node: &str, uuid: &str, change: Change) {
        self.page(node, uuid).unsure.push(change);
    }

    fn page(&mut self, node: &str, uuid: &str) -> &mut Page {
        self.pages.entry(uuid.to_owned()).or_default().entry(node.to_owned()).or_default()
    }

    /// Takes in another's pages; a node's pages of one entry go on where they ended.
    pub(crate) fn merge(&mut self, other: Self) {
        self.answered += other.answered;
        for (uuid, pages) in other.pages {
            for (node, page) in pages {
                let mine = self.page(&node, &uuid);
                mine.was_added |= page.was_added;
                mine.description = page.description.or_else(|| mine.description.take());
                mine.values.extend(page.values);
                mine.was_deleted |= page.was_deleted;
                mine.unsure.extend(page.unsure);
            }
        }
    }

    /// Fails unless what a node shows is what was acknowledged.
    #[track_caller]
    pub(crate) fn compare(&self, node: &str, entries: &[Entry], export: &str) {
        let mut shown: BTreeMap<String, &Entry> = BTreeMap::new();
        for entry in entries.iter().filter(|entry| entry.has("uid")) {
            assert!(shown.insert(entry.value("entryUUID"), entry).is_none(), "{node} shows an entry twice: {entry:?}");
        }
        let mut wrong = Vec::new();
        for (uuid, pages) in &self.pages {
            if let Err(why) = judge(pages, shown.remove(uuid)) {
                let record = export.split("\n\n").find(|record| record.contains(uuid));
                wrong.push(format!("{uuid}: {why}; pages {pages:?}; exported as {record:?}"));
            }
        }
        wrong.truncate(5);
        assert!(wrong.is_empty(), "on {node} entries are wrong: {wrong:#?}");
    }
}

fn judge(pages: &BTreeMap<String, Page>, entry: Option<&Entry>) -> Result<(), String> {
    let is_deleted = pages.values().any(|page| page.was_deleted);
    let may_be_deleted = is_deleted || pages.values().any(|page| page.unsure.contains(&Change::Deleted));
    let Some(entry) = entry else {
        return if may_be_deleted { Ok(()) } else { Err("an acknowledged entry is lost".to_owned()) };
    };
    if is_deleted {
        return Err(format!("a deleted entry is there: {entry:?}"));
    }
    let values = entry.values("carLicense");
    for value in pages.values().flat_map(|page| &page.values) {
        if !values.contains(value) {
            return Err(format!("the acknowledged value {value} is lost: {entry:?}"));
        }
    }
    let unsure = pages.values().flat_map(|page| &page.unsure).filter_map(|change| match change {
        Change::Added(text) | Change::Described(text) => Some(text),
        Change::Deleted => None,
    });
    let possible: BTreeSet<&String> =
        pages.values().filter_map(|page| page.description.as_ref()).chain(unsure).collect();
    let description = entry.value("description");
    if possible.contains(&description) { Ok(()) } else { Err(format!("a beaten description came back: {entry:?}")) }
}
