//! DN values whose target was not there when they were written, and are kept as text.
//!
//! While a text is the name of an entry it is shown and found as a link to it. That alone would end with the name: who renames
//! or deletes the entry would leave a name behind in groups, for whoever has it next. So the node that takes a name away
//! first makes links of the texts that say it, in the same transaction and as ordinary changes of their entries, whoever
//! wrote them; what the renaming or the deletion does to links then holds for them too. An add costs nothing for that.
//!
//! What no node does is to change texts when an update comes from elsewhere: a text that the node of the renaming did not have
//! stays the name that was written, on every node.
//!
//! Invariant: after a local change no text names an entry by a name that the change took from it, but where the index does
//! not know who refers to what, and beyond [`TEXTS_AT_ONCE_MAX`].

use super::DitError;
use super::derive::named_entry;
use super::index_keys::text_link_key;
use super::undelete::there;
use super::writing::{Target, Writing};
use crate::model::{Dn, EntryUuid};
use crate::state::{AttributeId, Cell, CellValue, Delta, EntryState, Stamp, ValueKey};
use crate::storage::{EntryId, INDEX_KEY_BYTES_MAX, IndexCursor, IndexKind, index_key};

/// Texts that one change makes links of: under a second of the writer. The others stay text.
const TEXTS_AT_ONCE_MAX: usize = 16_384;
/// Texts in one update.
const TEXTS_PER_UPDATE: usize = 1_024;
/// What stands before the normal form in an index key: attribute and kind.
const INDEX_KEY_HEAD: usize = 5;

/// A text that is to become a link.
pub(super) struct Text {
    referrer: EntryId,
    attribute: AttributeId,
    key: ValueKey,
    target: EntryUuid,
    /// Whether the link is there as well.
    is_linked: bool,
}

/// Where the index has a text, by its key if that can be told.
type Found = (EntryId, AttributeId, Option<ValueKey>);

impl Writing<'_> {
    /// The texts that name the entry, or one below it, and would not after `deltas`.
    pub(super) fn texts_left_by(&self, id: EntryId, deltas: &[Delta]) -> Result<Vec<Text>, DitError> {
        let ends = deltas.iter().any(|delta| matches!(delta, Delta::Dead));
        let renames = deltas.iter().any(|delta| matches!(delta, Delta::Rdn(_) | Delta::Parent(_)));
        if !(ends || renames) || self.is_bulk || self.filling {
            return Ok(Vec::new());
        }
        let view = self.view();
        let Some(entry) = view.entry(id)? else { return Ok(Vec::new()) };
        let mut dn = Vec::with_capacity(96);
        view.write_dn(&entry, &mut dn)?;
        let Ok(dn) = Dn::parse_bytes(&dn) else { return Ok(Vec::new()) };
        let name = text_link_key(self.catalog.schema(), &dn);
        let with_subordinates = renames && view.subordinate_count(id)? > 0;
        let mut found = Vec::new();
        for attribute in self.catalog.link_attributes() {
            self.find_texts(*attribute, &name, with_subordinates, &mut found)?;
        }
        if ends {
            found.retain(|(referrer, ..)| *referrer != id);
        }
        found.sort_unstable();
        let mut texts = Vec::with_capacity(found.len());
        let mut held: Option<(EntryId, EntryState)> = None;
        for (referrer, base, key) in found {
            if held.as_ref().is_none_or(|(of, _)| *of != referrer) {
                held = self.state(referrer)?.map(|state| (referrer, state));
            }
            if let Some((_, state)) = held.as_ref().filter(|(of, _)| *of == referrer) {
                self.resolve_texts((referrer, state), (base, key), &name, &mut texts)?;
            }
        }
        Ok(texts)
    }

    /// Where the index has the name, and with `with_subordinates` what is below it.
    fn find_texts(
        &self,
        attribute: AttributeId,
        name: &[u8],
        with_subordinates: bool,
        found: &mut Vec<Found>,
    ) -> Result<(), DitError> {
        // Longer names stand there with a hash behind so much of them.
        let ordered = INDEX_KEY_BYTES_MAX - 16;
        let begins = name.get(..ordered).filter(|_| with_subordinates).unwrap_or(name);
        let mut from = Vec::with_capacity(begins.len() + INDEX_KEY_HEAD);
        index_key(attribute, IndexKind::Equality, begins, &mut from);
        let mut cursor = IndexCursor::seek(self.txn.reader(), &from, EntryId::NONE)?;
        while let Some((key, referrer)) = cursor.next()? {
            let is_meant = if with_subordinates { key.starts_with(&from) } else { key == from };
            if !is_meant || found.len() >= TEXTS_AT_ONCE_MAX {
                break;
            }
            let normal = if with_subordinates { key.get(INDEX_KEY_HEAD..).unwrap_or_default() } else { name };
            let is_whole = !with_subordinates || normal.len() < INDEX_KEY_BYTES_MAX;
            // In front stands what says that it is a text.
            let value_key = normal.get(1..).filter(|_| is_whole).map(ValueKey::of_normal);
            found.push((referrer, attribute, value_key));
        }
        Ok(())
    }

    /// What of `state` the index meant, with the entries that it names.
    fn resolve_texts(
        &self,
        (referrer, state): (EntryId, &EntryState),
        (base, key): (AttributeId, Option<ValueKey>),
        name: &[u8],
        texts: &mut Vec<Text>,
    ) -> Result<(), DitError> {
        let view = self.view();
        let schema = self.catalog.schema();
        for (attribute, held) in &state.attributes {
            let Some(info) = self.catalog.attribute(*attribute) else { continue };
            // Who made and changed an entry is said by name or by identity for good.
            let is_record = info.attribute_type.is_some_and(|of| schema.attribute_type_at(of).no_user_modification);
            if !info.links || info.base != base || is_record {
                continue;
            }
            let cells: Vec<(ValueKey, Cell)> = match (&key, &held.spilled) {
                (Some(key), None) => held.cells.get(key).map(|cell| (key.clone(), cell.clone())).into_iter().collect(),
                (Some(key), Some(_)) => {
                    self.spilled_cell(referrer, *attribute, key)?.map(|cell| (key.clone(), cell)).into_iter().collect()
                }
                (None, None) => held.cells.iter().map(|(key, cell)| (key.clone(), cell.clone())).collect(),
                (None, Some(_)) => self.spilled_cells(referrer, *attribute)?,
            };
            for (cell_key, cell) in cells {
                let CellValue::Text(text) = &cell.value else { continue };
                let is_below = || Dn::parse_bytes(text).is_ok_and(|dn| text_link_key(schema, &dn).starts_with(name));
                let is_naming = state.rdn.1.avas.iter().any(|ava| ava.attribute == *attribute && ava.key == cell_key);
                let is_shown = !info.single_value
                    || state.view_cells(*attribute, true).first().is_some_and(|shown| shown.key == Some(&cell_key));
                if !cell.present || is_naming || !is_shown || (key.is_none() && !is_below()) {
                    continue;
                }
                let Some(target) = named_entry(&view, text)? else { continue };
                let link = ValueKey::link(target);
                let is_linked = match &held.spilled {
                    None => held.is_present(&link),
                    Some(_) => self.spilled_cell(referrer, *attribute, &link)?.is_some_and(|cell| cell.present),
                };
                texts.push(Text { referrer, attribute: *attribute, key: cell_key, target, is_linked });
            }
        }
        Ok(())
    }

    /// Makes links of `texts`, and then the change that takes their names away.
    pub(super) fn change_after_texts(
        &mut self,
        texts: &[Text],
        target: Target,
        requester: &str,
        deltas: Vec<Delta>,
    ) -> Result<(EntryId, Stamp), DitError> {
        for of_entry in texts.chunk_by(|one, other| one.referrer == other.referrer) {
            for some in of_entry.chunks(TEXTS_PER_UPDATE) {
                let mut linking = Vec::with_capacity(2 * some.len());
                for (order, text) in some.iter().enumerate() {
                    linking.push(Delta::Cell {
                        attribute: text.attribute,
                        key: text.key.clone(),
                        order: 0,
                        present: false,
                        value: CellValue::Text(Vec::new()),
                    });
                    if !text.is_linked {
                        let (key, link) = (ValueKey::link(text.target), CellValue::Link(text.target));
                        linking.push(there(text.attribute, key, order, link));
                    }
                }
                if let Some(first) = some.first() {
                    self.change_alone(Target::Existing(first.referrer), requester, linking)?;
                }
            }
        }
        self.change_alone(target, requester, deltas)
    }
}
