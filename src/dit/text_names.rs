//! Values that say the name of an entry as text: which names a change takes away, and where the index has who says them.
//!
//! A change of one entry may take more names than that entry's own. What is below it goes with it; and where masters gave one
//! name twice (`shape/naming`), what is below an entry without the name is shown below the one that has it, and who leaves
//! the name gives it to the next, whose name with its entryUUID ends.
//!
//! Not here: what becomes of these values (`texts`, `unique_members`).

use super::DitError;
use super::index_keys::text_link_key;
use super::writing::Writing;
use crate::model::Dn;
use crate::state::{AttributeId, Cell, Delta, EntryState, ValueKey};
use crate::storage::{EntryId, INDEX_KEY_BYTES_MAX, IndexCursor, IndexKind, Reader, index_key};

/// What stands before the normal form in an index key: attribute and kind.
const INDEX_KEY_HEAD: usize = 5;
/// Longer normal forms stand in the index with a hash behind so much of them.
const ORDERED_BYTES: usize = INDEX_KEY_BYTES_MAX - 16;

/// A name that a change takes from an entry.
pub(super) struct TakenName {
    /// Under which the index has texts that say it.
    pub(super) normal: Vec<u8>,
    /// Whether names below it go too.
    pub(super) with_subordinates: bool,
}

/// What a change does to names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Taking {
    /// The entry ends.
    Ends,
    /// It gets another name or place, or ends with all that is below it.
    WithSubordinates,
}

impl Taking {
    /// `None`: names stay as they are.
    pub(super) fn of(deltas: &[Delta]) -> Option<Self> {
        if deltas.iter().any(|delta| matches!(delta, Delta::Dead)) {
            return Some(Self::Ends);
        }
        let renames = deltas.iter().any(|delta| matches!(delta, Delta::Rdn(_) | Delta::Parent(_)));
        renames.then_some(Self::WithSubordinates)
    }
}

/// Where the index has a value: by its key, if that can be told from the index.
pub(super) type Found = (EntryId, AttributeId, Option<ValueKey>);

/// A walk over what the index has of one name in one attribute.
pub(super) struct TextWalk<'t> {
    cursor: IndexCursor<'t>,
    attribute: AttributeId,
    /// What the keys begin with, or are.
    from: Vec<u8>,
    /// The whole normal form, where only that is looked for.
    exact: Option<Vec<u8>>,
}

impl<'t> TextWalk<'t> {
    /// Texts that are `normal`, or with `is_beginning` begin so; of very long ones only the beginning is compared.
    pub(super) fn new(
        reader: Reader<'t>,
        attribute: AttributeId,
        normal: &[u8],
        is_beginning: bool,
    ) -> Result<Self, DitError> {
        let begins = normal.get(..ORDERED_BYTES).filter(|_| is_beginning).unwrap_or(normal);
        let mut from = Vec::with_capacity(begins.len() + INDEX_KEY_HEAD);
        index_key(attribute, IndexKind::Equality, begins, &mut from);
        let cursor = IndexCursor::seek(reader, &from, EntryId::NONE)?;
        Ok(Self { cursor, attribute, from, exact: (!is_beginning).then(|| normal.to_vec()) })
    }

    /// The next `most` at most, those of one entry beside one another; none at the end.
    pub(super) fn next(&mut self, most: usize) -> Result<Vec<Found>, DitError> {
        let mut found = Vec::new();
        while found.len() < most {
            let Some((key, referrer)) = self.cursor.next()? else { break };
            let is_meant = if self.exact.is_some() { key == self.from } else { key.starts_with(&self.from) };
            if !is_meant {
                break;
            }
            let normal = self.exact.as_deref().unwrap_or_else(|| key.get(INDEX_KEY_HEAD..).unwrap_or_default());
            let is_whole = self.exact.is_some() || normal.len() < INDEX_KEY_BYTES_MAX;
            // In front stands what says that it is a text.
            let key = normal.get(1..).filter(|_| is_whole).map(ValueKey::of_normal);
            found.push((referrer, self.attribute, key));
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

impl Writing<'_> {
    /// The names that a change takes from the entry and from others.
    pub(super) fn names_taken(&self, id: EntryId, taking: Taking) -> Result<Vec<TakenName>, DitError> {
        if self.is_bulk || self.filling {
            return Ok(Vec::new());
        }
        let view = self.view();
        let schema = self.catalog.schema();
        let is_renamed = taking == Taking::WithSubordinates;
        let mut names = Vec::with_capacity(1);
        let mut take = |id: EntryId, with_subordinates: bool| -> Result<(), DitError> {
            if let Some(dn) = view.dn_text(id)?.and_then(|dn| Dn::parse(&dn).ok()) {
                names.push(TakenName { normal: text_link_key(schema, &dn), with_subordinates });
            }
            Ok(())
        };
        take(id, is_renamed && view.subordinate_count(id)? > 0)?;
        if is_renamed && self.adoption.is_adopted(id) && view.own_subordinate_count(id)? > 0 {
            take(self.adoption.host(id), true)?;
        }
        if self.adoption.has_losers(id) {
            for loser in self.adoption.group(id).skip(1).filter(|loser| !self.adoption.is_hidden(*loser)) {
                take(loser, false)?;
            }
        }
        Ok(names)
    }

    /// The cells of the attribute `base`, whatever its options, that the index means by `key` (all, where it does not tell one).
    /// Those that name their entry are left out.
    pub(super) fn cells_meant(
        &self,
        (referrer, state): (EntryId, &EntryState),
        base: AttributeId,
        key: Option<&ValueKey>,
    ) -> Result<Vec<(AttributeId, ValueKey, Cell)>, DitError> {
        let mut meant = Vec::new();
        for (attribute, held) in &state.attributes {
            if self.catalog.attribute(*attribute).is_none_or(|info| info.base != base) {
                continue;
            }
            let cells: Vec<(ValueKey, Cell)> = match (key, &held.spilled) {
                (Some(key), None) => held.cells.get(key).map(|cell| (key.clone(), cell.clone())).into_iter().collect(),
                (Some(key), Some(_)) => {
                    self.spilled_cell(referrer, *attribute, key)?.map(|cell| (key.clone(), cell)).into_iter().collect()
                }
                (None, None) => held.cells.iter().map(|(key, cell)| (key.clone(), cell.clone())).collect(),
                (None, Some(_)) => self.spilled_cells(referrer, *attribute)?,
            };
            let is_naming =
                |key: &ValueKey| state.rdn.1.avas.iter().any(|ava| ava.attribute == *attribute && ava.key == *key);
            let cells = cells.into_iter().filter(|(key, cell)| cell.present && !is_naming(key));
            meant.extend(cells.map(|(key, cell)| (*attribute, key, cell)));
        }
        Ok(meant)
    }
}
