//! Superiors first: which names of superiors a client was told while everything is sent.
//!
//! A walk through everything goes by the age of entries and takes many snapshots. So an entry can come before its
//! superior (which is younger) and under a name that the superior took meanwhile. A consumer that keeps a tree (slapd)
//! would put something of its own in the missing place and never get rid of it. Therefore a superior whose name the client
//! does not have yet is sent before the first entry that stands below that name.
//!
//! Memory: one number for each entry that has subordinates.

use crate::dit::{DitError, Entry, View};
use crate::storage::{ENTRY_LOSER, EntryId};
use hashbrown::{HashMap, HashSet};

/// See the module.
#[derive(Clone, Debug, Default)]
pub(in crate::operation) struct Told {
    /// Hash of RDN and superior.
    names: HashMap<EntryId, u64>,
    /// Those whose names were compared in this snapshot.
    seen: HashSet<EntryId>,
}

impl Told {
    /// With each new snapshot.
    pub(in crate::operation) fn renew(&mut self) {
        self.seen.clear();
    }

    /// Superiors of `entry` up to `base` whose names the client was not told, uppermost first. They count as told then.
    ///
    /// # Errors
    /// [`DitError`].
    pub(in crate::operation) fn missing<'v>(
        &mut self,
        view: View<'v>,
        entry: &Entry<'v>,
        base: EntryId,
    ) -> Result<Vec<Entry<'v>>, DitError> {
        let mut missing = Vec::new();
        let mut at = if entry.id == base { EntryId::NONE } else { view.superior(entry) };
        while at != EntryId::NONE && self.seen.insert(at) {
            let Some(superior) = view.entry(at)? else { break };
            at = if at == base { EntryId::NONE } else { view.superior(&superior) };
            if self.is_news(view, &superior) {
                missing.push(superior);
            }
        }
        missing.reverse();
        Ok(missing)
    }

    /// Whether the walk has to send `entry`, which was not sent as a superior under this name.
    ///
    /// # Errors
    /// [`DitError`].
    pub(in crate::operation) fn is_due(&mut self, view: View<'_>, entry: &Entry<'_>) -> Result<bool, DitError> {
        if !self.names.contains_key(&entry.id) && view.subordinate_count(entry.id)? == 0 {
            return Ok(true);
        }
        Ok(self.is_news(view, entry))
    }

    fn is_news(&mut self, view: View<'_>, entry: &Entry<'_>) -> bool {
        let mut name = entry.record.rdn().to_vec();
        name.extend_from_slice(&view.superior(entry).to_key());
        name.push(u8::from(entry.record.flags() & ENTRY_LOSER != 0));
        let hash = xxhash_rust::xxh3::xxh3_64(&name);
        self.names.insert(entry.id, hash) != Some(hash)
    }
}
