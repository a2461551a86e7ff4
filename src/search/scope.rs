//! Which entries a search is about: base, one level, subtree, and what aliases add.
//!
//! Candidates come from indexes that know nothing of the tree, so that each is checked by its superiors. Superiors
//! are few and entries many: what is known of one is remembered, and most checks are one look into that memory.

use super::SearchError;
use crate::dit::{DitError, Entry, View};
use crate::model::Scope;
use crate::storage::EntryId;
use hashbrown::HashMap;

/// Superiors remembered.
const MEMORY_MAX: usize = 65_536;
/// A tree deeper than this is not a directory.
const DEPTH_MAX: usize = 256;

/// What a search does with subentries (RFC 3672): entries about the tree, such as policies.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Subentries {
    /// Not found, but as the base of a base search: without the control, or with FALSE in it.
    #[default]
    Hidden,
    /// Found like any other entry.
    Included,
    /// Nothing else is found: TRUE in the control.
    Only,
}

/// The entries that a search is about.
#[derive(Debug)]
pub(super) struct Territory {
    scope: Scope,
    base: EntryId,
    /// Entries whose subtrees belong to it: the base, and targets of aliases.
    roots: Vec<EntryId>,
    /// Targets of aliases on the one level.
    singles: Vec<EntryId>,
    memory: HashMap<EntryId, bool>,
}

impl Territory {
    pub(super) fn new(base: EntryId, scope: Scope) -> Self {
        Self { scope, base, roots: vec![base], singles: Vec::new(), memory: HashMap::new() }
    }

    pub(super) fn scope(&self) -> Scope {
        self.scope
    }

    pub(super) fn base(&self) -> EntryId {
        self.base
    }

    /// How many places aliases have added.
    pub(super) fn added(&self) -> usize {
        self.roots.len() - 1 + self.singles.len()
    }

    /// Adds the target of an alias.
    pub(super) fn add(&mut self, target: EntryId) {
        match self.scope {
            Scope::OneLevel => self.singles.push(target),
            _ => {
                self.roots.push(target);
                self.memory.clear();
            }
        }
    }

    /// Whether `entry` belongs to it. Cost: a look into memory, once for each superior a look-up.
    pub(super) fn contains(&mut self, view: View<'_>, entry: &Entry<'_>) -> Result<bool, SearchError> {
        match self.scope {
            Scope::Base => Ok(entry.id == self.base),
            Scope::OneLevel => Ok(view.superior(entry) == self.base || self.singles.contains(&entry.id)),
            Scope::Subtree | Scope::Subordinate => {
                if self.roots.contains(&entry.id) && (self.scope == Scope::Subtree || entry.id != self.base) {
                    return Ok(true);
                }
                self.is_below(view, view.superior(entry))
            }
        }
    }

    /// Whether what is directly below `parent` is below a root.
    fn is_below(&mut self, view: View<'_>, parent: EntryId) -> Result<bool, SearchError> {
        let mut unknown = Vec::new();
        let mut at = parent;
        let answer = loop {
            if self.roots.contains(&at) {
                break true;
            }
            if at == EntryId::NONE {
                break false;
            }
            if let Some(known) = self.memory.get(&at) {
                break *known;
            }
            if unknown.len() >= DEPTH_MAX {
                return Err(endless(parent).into());
            }
            unknown.push(at);
            at = view.entry(at)?.map_or(EntryId::NONE, |entry| view.superior(&entry));
        };
        if !unknown.is_empty() {
            if self.memory.len() + unknown.len() > MEMORY_MAX {
                self.memory.clear();
            }
            self.memory.extend(unknown.into_iter().map(|id| (id, answer)));
        }
        Ok(answer)
    }

    /// All entries of it in ascending order, if there are at most `entries_max` and finding them costs no more.
    pub(super) fn gather(&self, view: View<'_>, entries_max: usize) -> Result<Option<Vec<EntryId>>, SearchError> {
        let mut found = Vec::new();
        match self.scope {
            Scope::Base => found.push(self.base),
            Scope::OneLevel => {
                if !append_children(view, self.base, entries_max, &mut found)? {
                    return Ok(None);
                }
                found.extend_from_slice(&self.singles);
            }
            Scope::Subtree | Scope::Subordinate => {
                found.extend_from_slice(&self.roots);
                let mut at = 0;
                while let Some(&id) = found.get(at) {
                    if !append_children(view, id, entries_max, &mut found)? {
                        return Ok(None);
                    }
                    at += 1;
                }
                if self.scope == Scope::Subordinate {
                    found.retain(|id| *id != self.base);
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(Some(found))
    }
}

/// Appends what is directly below `parent`; false, without reading, when that would be too much.
fn append_children(
    view: View<'_>,
    parent: EntryId,
    entries_max: usize,
    found: &mut Vec<EntryId>,
) -> Result<bool, SearchError> {
    let count = view.subordinate_count(parent)?;
    if count == 0 {
        return Ok(true);
    }
    if count.saturating_add(found.len() as u64) > entries_max as u64 {
        return Ok(false);
    }
    for child in view.children(parent)? {
        found.push(child?);
    }
    Ok(found.len() <= entries_max)
}

fn endless(id: EntryId) -> DitError {
    DitError::State { id: id.0, detail: "its superiors do not end; run: entente check".to_owned() }
}
