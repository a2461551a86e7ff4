//! The recycle bin: deleted entries while they are kept, and what brings one back.
//!
//! Death is final for an incarnation, on every member and whatever arrives later; so an undelete is the birth of another
//! one with the same entryUUID and a copy of the cells at the new stamp. Superiors and links name the entryUUID: what
//! was below, and the groups that the entry was in, find it again without being written.

use super::DitError;
use super::settle::deleted_place;
use super::view::View;
use super::writing::Writing;
use crate::model::{AttributeDescription, EntryUuid};
use crate::state::view::ViewContent;
use crate::state::{AttributeId, CellValue, Delta, EntryState, RdnState, Stamp, ValueKey};
use crate::storage::{EntryId, Table};
use std::collections::BTreeSet;

/// A deleted entry that is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deleted {
    /// Its number.
    pub id: EntryId,
    /// When it ended.
    pub dead: Stamp,
    /// Who asked for that; `None` when its record is gone from the log.
    pub requester: Option<String>,
    /// What it had, without the cells of spilled attributes.
    pub state: EntryState,
}

/// A position in the recycle bin, and the entry there if it is still deleted.
pub type Listed = (Vec<u8>, Option<Deleted>);

impl View<'_> {
    /// The entry of this entryUUID, if it is deleted and still kept.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`].
    pub fn deleted(&self, uuid: EntryUuid) -> Result<Option<Deleted>, DitError> {
        match self.last_incarnation(uuid)? {
            Some((id, state)) => Ok(self.as_deleted(id, state)),
            None => Ok(None),
        }
    }

    /// How many incarnations of entries lie in the recycle bin, those of entries that are back included.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn deleted_count(&self) -> Result<u64, DitError> {
        Ok(self.reader().count(Table::Deleted)?)
    }

    /// The deleted entry after a position in the recycle bin (empty: the first), the oldest deletion first, and its
    /// own position; no entry where one was undeleted since.
    ///
    /// # Errors
    /// As [`View::deleted`].
    pub fn deleted_after(&self, position: &[u8]) -> Result<Option<Listed>, DitError> {
        let mut cursor = self.reader().cursor(Table::Deleted)?;
        let item = if position.is_empty() { cursor.first()? } else { cursor.seek(&[position, &[0]].concat())? };
        let Some((key, _)) = item else { return Ok(None) };
        let position = key.to_vec();
        let Some((_, id)) = deleted_place(key) else { return Ok(Some((position, None))) };
        let Some(state) = self.state_of(id)? else { return Ok(Some((position, None))) };
        let is_last = self.last_incarnation(state.uuid)?.is_some_and(|(last, _)| last == id);
        Ok(Some((position, if is_last { self.as_deleted(id, state) } else { None })))
    }

    fn as_deleted(&self, id: EntryId, state: EntryState) -> Option<Deleted> {
        let dead = state.dead.filter(|_| state.born)?;
        Some(Deleted { id, dead, requester: self.requester_of(dead), state })
    }
}

impl Writing<'_> {
    /// The deltas that bring a deleted entry back under this RDN, below this superior ([`EntryUuid::NIL`]: as the suffix
    /// that it was), for [`Target::New`](super::Target::New) with its entryUUID.
    ///
    /// Cost: O(values).
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`].
    pub fn undelete_deltas(
        &self,
        deleted: &Deleted,
        rdn: RdnState,
        parent: EntryUuid,
        author: Delta,
    ) -> Result<Vec<Delta>, DitError> {
        let mut deltas = self.copy_deltas(deleted.id, &deleted.state, rdn, parent)?;
        deltas.push(author);
        Ok(deltas)
    }

    /// The deltas that make another incarnation with the cells of this one, all but who changed it when.
    pub(super) fn copy_deltas(
        &self,
        id: EntryId,
        state: &EntryState,
        rdn: RdnState,
        parent: EntryUuid,
    ) -> Result<Vec<Delta>, DitError> {
        let mut deltas = vec![Delta::Birth { rdn, parent }];
        let view = self.view();
        let catalog = view.catalog();
        let known = catalog.well_known();
        let resolved = AttributeDescription::parse(super::conflict::RESOLVED).ok().and_then(|name| catalog.find(&name));
        let stays = |attribute: &AttributeId| {
            ![Some(known.modifiers_name), Some(known.modify_timestamp), resolved].contains(&Some(*attribute))
        };
        // The values of the old RDN may stand in the RDN alone.
        let named = state.rdn.1.avas.iter().map(|ava| ava.attribute);
        let attributes: BTreeSet<AttributeId> = state.attributes.keys().copied().chain(named).collect();
        for attribute in attributes.into_iter().filter(stays) {
            let Some(info) = catalog.attribute(attribute) else { continue };
            if state.attribute(attribute).is_some_and(|held| held.spilled.is_some()) {
                let cells = self.spilled_cells(id, attribute)?.into_iter().filter(|(_, cell)| cell.present);
                for (order, (key, cell)) in cells.enumerate() {
                    deltas.push(there(attribute, key, order, cell.value));
                }
                continue;
            }
            for (order, value) in state.view_cells(attribute, info.single_value).into_iter().enumerate() {
                let content = match value.content {
                    ViewContent::Text(text) => CellValue::Text(text.into_owned()),
                    ViewContent::Link(target) => CellValue::Link(target),
                };
                let key = match (value.key, &content) {
                    (Some(key), _) => key.clone(),
                    (None, CellValue::Text(text)) => ValueKey::of_normal(text),
                    (None, CellValue::Link(target)) => ValueKey::link(*target),
                };
                deltas.push(there(attribute, key, order, content));
            }
        }
        Ok(deltas)
    }
}

pub(super) fn there(attribute: AttributeId, key: ValueKey, order: usize, value: CellValue) -> Delta {
    Delta::Cell { attribute, key, order: order as u32, present: true, value }
}
