//! Values of uniqueMember (Name and Optional UID, RFC 4517 3.3.21) when what they name is renamed, moved or deleted.
//!
//! Such a value may say more than a name (`uid=ann,dc=x#'0101'B`), so it is kept as text and not as a link. The node that
//! renames an entry writes the values anew that name it or what is below it, and who deletes one takes them away, in the
//! same transaction and as ordinary changes of the entries that hold them: as referential integrity does elsewhere, and
//! with what that leaves open. A value that another master writes at the same time keeps the name that it was written with,
//! and where two masters rename an entry at the same time, groups have both names, one of which is nobody's.
//!
//! Invariant: after a local change no value that the index knows names an entry by a name that the change took from it, but
//! beyond [`NAMES_AT_ONCE_MAX`].

use super::DitError;
use super::undelete::there;
use super::values::value_of;
use super::writing::{Target, Writing};
use crate::model::Dn;
use crate::schema::{MatchingRule, split_uid};
use crate::state::{AttributeId, Cell, CellValue, Delta, ValueKey};
use crate::storage::{ENTRY_PHANTOM, EntryId, INDEX_KEY_BYTES_MAX, IndexCursor, IndexKind, index_key};

/// Values that one change writes anew: under a second of the writer. The others keep the old name.
const NAMES_AT_ONCE_MAX: usize = 16_384;
/// Values in one update.
const NAMES_PER_UPDATE: usize = 512;
/// What stands before the normal form in an index key: attribute and kind.
const INDEX_KEY_HEAD: usize = 5;

/// A value that names the entry, or one below it.
pub(super) struct Name {
    referrer: EntryId,
    attribute: AttributeId,
    key: ValueKey,
    text: String,
    /// How many RDNs it has more than the entry's name.
    below: usize,
}

impl Writing<'_> {
    /// The values that name the entry, or one below it, and would not after `deltas`.
    pub(super) fn names_left_by(&self, id: EntryId, deltas: &[Delta]) -> Result<Vec<Name>, DitError> {
        let ends = deltas.iter().any(|delta| matches!(delta, Delta::Dead));
        let renames = deltas.iter().any(|delta| matches!(delta, Delta::Rdn(_) | Delta::Parent(_)));
        if !(ends || renames) || self.is_bulk || self.filling {
            return Ok(Vec::new());
        }
        let schema = self.catalog.schema();
        let types = schema.attribute_types().filter(|known| known.equality == Some(MatchingRule::UniqueMemberMatch));
        let bases: Vec<AttributeId> = types.filter_map(|known| self.catalog.base_of(known)).collect();
        if bases.is_empty() {
            return Ok(Vec::new());
        }
        let view = self.view();
        let Some(dn) = view.dn_text(id)?.and_then(|dn| Dn::parse(&dn).ok()) else { return Ok(Vec::new()) };
        let with_subordinates = renames && view.subordinate_count(id)? > 0;
        let mut names = Vec::new();
        for base in bases {
            let mut held = self.holders(base, &schema.dn_key(&dn))?;
            if ends {
                held.retain(|(referrer, _)| *referrer != id);
            }
            for (referrer, key) in held {
                self.read_names(referrer, base, key.as_ref(), &dn, with_subordinates, &mut names)?;
            }
        }
        Ok(names)
    }

    /// Who holds values that begin like `name`, with the keys of the values where the index tells them.
    fn holders(&self, base: AttributeId, name: &[u8]) -> Result<Vec<(EntryId, Option<ValueKey>)>, DitError> {
        // Longer names stand there with a hash behind so much of them.
        let begins = name.get(..INDEX_KEY_BYTES_MAX - 16).unwrap_or(name);
        let mut from = Vec::with_capacity(begins.len() + INDEX_KEY_HEAD);
        index_key(base, IndexKind::Equality, begins, &mut from);
        let mut cursor = IndexCursor::seek(self.txn.reader(), &from, EntryId::NONE)?;
        let mut held = Vec::new();
        while let Some((key, referrer)) = cursor.next()? {
            if !key.starts_with(&from) || held.len() >= NAMES_AT_ONCE_MAX {
                break;
            }
            let normal = key.get(INDEX_KEY_HEAD..).unwrap_or_default();
            let is_whole = normal.len() < INDEX_KEY_BYTES_MAX;
            held.push((referrer, is_whole.then(|| ValueKey::of_normal(normal))));
        }
        held.sort_unstable();
        held.dedup();
        Ok(held)
    }

    /// Those of a holder's values that are meant; all are looked at where the key is not known.
    fn read_names(
        &self,
        referrer: EntryId,
        base: AttributeId,
        key: Option<&ValueKey>,
        dn: &Dn,
        with_subordinates: bool,
        names: &mut Vec<Name>,
    ) -> Result<(), DitError> {
        let view = self.view();
        let schema = self.catalog.schema();
        let Some(state) = self.state(referrer)? else { return Ok(()) };
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
            for (key, cell) in cells.into_iter().filter(|(_, cell)| cell.present) {
                let CellValue::Text(text) = cell.value else { continue };
                let Ok(text) = String::from_utf8(text) else { continue };
                let Ok(named) = Dn::parse(split_uid(&text).0) else { continue };
                let Some(below) = named.rdns().len().checked_sub(dn.rdns().len()) else { continue };
                let is_naming = state.rdn.1.avas.iter().any(|ava| ava.attribute == *attribute && ava.key == key);
                if is_naming || !schema.dn_key(&named).starts_with(&schema.dn_key(dn)) {
                    continue;
                }
                if below > 0 {
                    let found = if with_subordinates { view.resolve(&named)?.entry } else { None };
                    let entry = found.map(|found| view.entry(found)).transpose()?.flatten();
                    if entry.is_none_or(|entry| entry.record.flags() & ENTRY_PHANTOM != 0) {
                        continue;
                    }
                }
                names.push(Name { referrer, attribute: *attribute, key, text, below });
            }
        }
        Ok(())
    }

    /// Writes the values anew after the change of the entry `id`, or takes them away when it is gone.
    pub(super) fn follow_names(&mut self, id: EntryId, names: &[Name], requester: &str) -> Result<(), DitError> {
        let is_there = self.state(id)?.is_some_and(|state| state.is_live());
        let dn = if is_there { self.view().dn_text(id)?.and_then(|dn| Dn::parse(&dn).ok()) } else { None };
        for of_entry in names.chunk_by(|one, other| one.referrer == other.referrer) {
            for some in of_entry.chunks(NAMES_PER_UPDATE) {
                let mut deltas = Vec::with_capacity(2 * some.len());
                for (order, name) in some.iter().enumerate() {
                    let new = dn.as_ref().and_then(|dn| name.moved(dn));
                    let view = self.view();
                    let info = view.catalog().attribute(name.attribute);
                    let new = new.zip(info).and_then(|(text, info)| value_of(&view, info, text.as_bytes()).ok());
                    if new.as_ref().is_none_or(|(key, _)| *key != name.key) {
                        let (key, value) = (name.key.clone(), CellValue::Text(Vec::new()));
                        deltas.push(Delta::Cell { attribute: name.attribute, key, order: 0, present: false, value });
                    }
                    deltas.extend(new.map(|(key, value)| there(name.attribute, key, order, value)));
                }
                if let Some(first) = some.first() {
                    self.change_alone(Target::Existing(first.referrer), requester, deltas)?;
                }
            }
        }
        Ok(())
    }
}

impl Name {
    /// The value when the entry is named `dn`.
    fn moved(&self, dn: &Dn) -> Option<String> {
        let (name, _) = split_uid(&self.text);
        let named = Dn::parse(name).ok()?;
        let mut rdns = named.rdns().get(..self.below)?.to_vec();
        rdns.extend_from_slice(dn.rdns());
        Some(format!("{}{}", Dn::from_rdns(rdns), self.text.get(name.len()..)?))
    }
}
