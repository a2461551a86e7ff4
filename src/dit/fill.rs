//! Taking a whole directory from another node into a folder that nobody reads yet.
//!
//! Every state is joined as always, but index and texts of links are left until the end, when the index is written in the
//! order of its keys as after an import. Most keys are gathered before, by a thread beside (`gatherer`), while entries come. That it is not kept stands in the file (`meta/index-configuration`): whoever
//! opens a folder where this was interrupted finishes it first.
//!
//! An entry that comes whole, is new and has its superior here takes a short way: nothing waits for it, nothing of its name
//! is undecided but the name itself, and its record is appended.
//!
//! Invariants
//! - index-equals-recomputed holds again after [`Writing::end_fill`], and not before [`Writing::begin_fill`]'s end.
//! - What the short way leaves out is what would have changed nothing.

mod gatherer;

pub(super) use gatherer::{Gathered, Gatherer};

use super::DitError;
use super::catalog::Catalog;
use super::derive::relinked;
use super::index_keys::KeySet;
use super::sorter::Sorter;
use super::spill::{self, Touched};
use super::tree::Dit;
use super::view_keys::keys_by_links;
use super::writing::Writing;
use crate::state::EntryState;
use crate::storage::{
    ENTRY_HAS_LINKS, EntryId, MetaName, PutMode, Table, VALUE_LINKS, VALUE_OPERATIONAL, VALUE_SPILLED, ViewRecord,
    sealed_id,
};
use hashbrown::HashSet;
use std::sync::Arc;

/// Stands for the fingerprint of the index while it is not kept.
pub(super) const UNDER_WAY: &[u8] = b"filling";

fn push_link_keys(
    catalog: &Catalog,
    id: EntryId,
    record: &ViewRecord<'_>,
    sorter: &mut Sorter,
) -> Result<(), DitError> {
    let mut keys = KeySet::default();
    keys_by_links(catalog, record, true, &mut keys);
    keys.iter().try_for_each(|key| sorter.push(key, id))
}

/// Finishes what was interrupted.
///
/// # Errors
/// [`DitError::Storage`], [`DitError::State`].
pub(super) fn finish(dit: &Dit) -> Result<(), DitError> {
    let mut writing = Writing::begin(dit)?;
    writing.filling = true;
    writing.end_fill()?;
    writing.commit()
}

impl Writing<'_> {
    /// From now on index and texts of links are not kept. Only where nobody reads: searches find nothing.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn begin_fill(&mut self) -> Result<(), DitError> {
        if self.filling {
            return Ok(());
        }
        self.txn.put_meta(MetaName::IndexConfiguration, UNDER_WAY)?;
        self.txn.clear_index()?;
        self.filling = true;
        Ok(())
    }

    /// Brings index and texts of links up to what is there, if [`Writing::begin_fill`] was called. Cost: some 20 µs for
    /// each entry.
    ///
    /// # Errors
    /// [`DitError::Storage`], [`DitError::State`]: the transaction is then to be dropped.
    pub fn end_fill(&mut self) -> Result<(), DitError> {
        if !self.filling {
            return Ok(());
        }
        let gathering = self.dit.take_gatherer().map(Gatherer::end);
        let mut rest = Sorter::one_of(self.dit.environment().directory().to_path_buf(), 2);
        let mut renamed = Vec::new();
        for (id, is_spilled) in self.with_open_links(&mut rest)? {
            if is_spilled {
                self.render_spilled(id)?;
            } else if self.relink(id, &mut rest)? {
                renamed.push(id);
                continue;
            }
            self.rewrite_view(id)?;
        }
        let mut changed: HashSet<EntryId> = std::mem::take(&mut self.filled).into_keys().collect();
        let gathered = gathering.and_then(|gathering| gathering.gathered(self.catalog.schema()));
        let gathered = gathered.unwrap_or_else(|| Gathered::none(self.dit.environment().directory()));
        // The last commit has them without the names.
        changed.extend(renamed.into_iter().filter(|id| !gathered.entries.contains(id)));
        self.reindex_by_threads(&changed, gathered, rest)?;
        self.filling = false;
        Ok(())
    }

    /// Gives the links of an entry their names, if its record tells all that takes; their keys go to `keys`.
    fn relink(&mut self, id: EntryId, keys: &mut Sorter) -> Result<bool, DitError> {
        let view = self.view();
        let Some(entry) = view.entry(id)? else { return Ok(false) };
        let Some(bytes) = relinked(&view, &entry.record)? else { return Ok(false) };
        let bytes = sealed_id(id, bytes);
        push_link_keys(&self.catalog, id, &ViewRecord::open(id, &bytes)?, keys)?;
        self.txn.put(Table::Id2Entry, &id.to_key(), &bytes, PutMode::Upsert)?;
        Ok(true)
    }

    /// Takes in a state that is whole, of an entry that was not here, if nothing else is concerned; gives it back if
    /// something is, and when the directory is not being filled.
    pub(super) fn fill_in(&mut self, id: EntryId, other: EntryState) -> Result<Option<EntryState>, DitError> {
        let reader = self.txn.reader();
        let is_plain = self.filling
            && id.0 == self.last_id
            && other.is_live()
            && self.adoption.is_empty()
            && reader.count(Table::Moves)? == 0
            && reader.count(Table::Waiting)? == 0
            && self.view().incarnations(other.uuid)?.len() == 1
            && !super::settle::has_absence(&other);
        if !is_plain {
            return Ok(Some(other));
        }
        let Some(parent) = self.plain_superior_of(&other)? else { return Ok(Some(other)) };
        let (mut state, effect) = EntryState::taken(other);
        self.rules_changed = true;
        let mut touched = Touched::default();
        let adoption = Arc::clone(&self.adoption);
        let naming = self.naming(&adoption);
        touched.store(&mut self.txn, &self.catalog, naming, id, &mut state)?;
        debug_assert!(effect.born, "a live entry is born");
        self.appends = true;
        let shown = self.put_state(id, &state).and_then(|()| self.show_new(id, &state, &touched, parent));
        self.appends = false;
        shown?;
        self.fills_new = Some(state.uuid);
        let settled = self.settle_shape();
        self.fills_new = None;
        settled.map(|()| None)
    }

    /// Entries with links of which the text may be another one by now, and whether some are spilled. The keys of the links of
    /// others go to `keys`.
    fn with_open_links(&self, keys: &mut Sorter) -> Result<Vec<(EntryId, bool)>, DitError> {
        let mut found = Vec::new();
        let mut cursor = self.txn.reader().cursor(Table::Id2Entry)?.reading_ahead();
        let mut item = cursor.first()?;
        while let Some((key, bytes)) = item {
            if ViewRecord::flags_of(bytes) & ENTRY_HAS_LINKS != 0 {
                let id = EntryId::from_key(key);
                let record = ViewRecord::open(id, bytes)?;
                let (mut is_open, mut is_spilled) = (record.naming_stamp() != self.naming_stamp, false);
                for slice in record.all_attributes() {
                    is_spilled |= slice.flags & VALUE_SPILLED != 0;
                    if slice.flags & VALUE_LINKS != 0 {
                        let (targets, _) = slice.targets.as_chunks::<16>();
                        let is_text = slice.flags & VALUE_OPERATIONAL == 0 && targets.contains(&[0; 16]);
                        is_open |= is_text || targets.len() > slice.values().count();
                    }
                }
                if is_open || is_spilled {
                    found.push((id, is_spilled));
                } else {
                    push_link_keys(&self.catalog, id, &record, keys)?;
                }
            }
            item = cursor.next()?;
        }
        Ok(found)
    }

    /// Renders the texts of spilled links that had none.
    fn render_spilled(&mut self, id: EntryId) -> Result<(), DitError> {
        let Some(state) = self.state(id)? else { return Ok(()) };
        let adoption = Arc::clone(&self.adoption);
        let naming = self.naming(&adoption);
        for (attribute, held) in &state.attributes {
            let is_link = self.catalog.attribute(*attribute).is_some_and(|info| info.links);
            if held.spilled.is_none() || !is_link {
                continue;
            }
            for (key, cell) in spill::without_text(&self.view(), id, *attribute)? {
                spill::write_cell(&mut self.txn, &self.catalog, naming, (id, *attribute), &key, &cell)?;
            }
        }
        Ok(())
    }
}
