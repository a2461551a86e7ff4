//! Attributes of very many values: their cells stand one by one in `bigvalues`, so that adding a member to a group of
//! a hundred thousand writes one cell.
//!
//! A record is the text of a link's target as of a naming stamp (stamp u64, length u16, text; nothing for other values),
//! so that reading a group is mostly copying, and then the cell.
//!
//! An attribute spills when it passes [`SPILL_ABOVE`] cells, and comes back only when nothing is left of it; classes,
//! access rules, passwords and what is encrypted never spill. While an update is applied, the cells that it touches are loaded into the
//! state and put back afterwards.

use super::DitError;
use super::apply::Gone;
use super::catalog::Catalog;
use super::index_keys::{KeySet, keys_of_attribute};
use super::links::dn_of;
use super::shape::Adoption;
use super::view::View;
use super::writing::state_error;
use crate::model::EntryUuid;
use crate::state::encoding::cell::{decode_cell, encode_cell};
use crate::state::{AttributeId, AttributeState, Cell, CellValue, Delta, EntryState, ValueKey};
use crate::storage::{
    EntryId, PutMode, Reader, Table, VALUE_SPILLED, ViewRecord, WriteTransaction, bigvalue_key, bigvalue_prefix, seal,
    unseal,
};

/// An attribute with more cells than this keeps them in `bigvalues`.
pub(super) const SPILL_ABOVE: usize = 64;

/// Cells of spilled attributes before and after an update.
#[derive(Default)]
pub(super) struct Touched {
    before: Vec<(AttributeId, ValueKey, Cell)>,
    after: Vec<(AttributeId, ValueKey, Cell)>,
    /// Attributes that were spilled before or are now, with the count of values before and after.
    counts: Vec<(AttributeId, u64, u64)>,
}

impl Touched {
    /// Loads the cells of spilled attributes that `deltas` touch into `state`.
    pub(super) fn load(
        reader: Reader<'_>,
        catalog: &Catalog,
        id: EntryId,
        state: &mut EntryState,
        deltas: &[Delta],
    ) -> Result<Self, DitError> {
        let mut touched = Self::default();
        for delta in deltas {
            match delta {
                Delta::Cell { attribute, key, .. } => {
                    touched.load_cell(reader, catalog, id, state, (*attribute, Some(key)))?;
                }
                Delta::Clear(attribute) => touched.load_cell(reader, catalog, id, state, (*attribute, None))?,
                _ => {}
            }
        }
        Ok(touched)
    }

    /// Loads the cells of spilled attributes that joining `other` touches into `state`.
    pub(super) fn load_state(
        reader: Reader<'_>,
        catalog: &Catalog,
        id: EntryId,
        state: &mut EntryState,
        other: &EntryState,
    ) -> Result<Self, DitError> {
        let mut touched = Self::default();
        for (attribute, theirs) in &other.attributes {
            let clears = theirs.clear > state.attribute(*attribute).and_then(|held| held.clear);
            if clears {
                touched.load_cell(reader, catalog, id, state, (*attribute, None))?;
                continue;
            }
            for key in theirs.cells.keys() {
                touched.load_cell(reader, catalog, id, state, (*attribute, Some(key)))?;
            }
        }
        Ok(touched)
    }

    /// Loads the spilled cells that are to be dropped.
    pub(super) fn load_gone(
        &mut self,
        reader: Reader<'_>,
        catalog: &Catalog,
        id: EntryId,
        state: &mut EntryState,
        gone: &[Gone],
    ) -> Result<(), DitError> {
        for gone in gone {
            if let Gone::Value(attribute, key) = gone {
                self.load_cell(reader, catalog, id, state, (*attribute, Some(key)))?;
            }
        }
        Ok(())
    }

    /// Loads one cell of an attribute, or all, if the attribute is spilled.
    fn load_cell(
        &mut self,
        reader: Reader<'_>,
        catalog: &Catalog,
        id: EntryId,
        state: &mut EntryState,
        (attribute, key): (AttributeId, Option<&ValueKey>),
    ) -> Result<(), DitError> {
        let Some(held) = state.attributes.get_mut(&attribute) else { return Ok(()) };
        let Some(spilled) = held.spilled.as_deref_mut() else { return Ok(()) };
        if !self.counts.iter().any(|(known, ..)| *known == attribute) {
            self.counts.push((attribute, spilled.count, 0));
        }
        let cells = match key {
            Some(key) => {
                read_cell(reader, catalog, id, attribute, key)?.map(|cell| (key.clone(), cell)).into_iter().collect()
            }
            None => read_cells(reader, catalog, id, attribute)?,
        };
        for (key, cell) in cells {
            if !held.cells.contains_key(&key) {
                spilled.leave(&key, &cell);
                self.before.push((attribute, key.clone(), cell.clone()));
                held.cells.insert(key, cell);
            }
        }
        Ok(())
    }

    /// Puts the loaded cells of `state` back, and spills attributes that have grown beyond the limit.
    pub(super) fn store(
        &mut self,
        txn: &mut WriteTransaction<'_>,
        catalog: &Catalog,
        naming: Naming<'_>,
        id: EntryId,
        state: &mut EntryState,
    ) -> Result<(), DitError> {
        for (attribute, held) in &mut state.attributes {
            let spills = held.spilled.is_none()
                && held.cells.len() > SPILL_ABOVE
                && held.counter.is_none()
                && !stays_whole(catalog, *attribute);
            if spills {
                held.spilled = Some(Box::default());
                self.counts.push((*attribute, 0, 0));
            }
            let Some(spilled) = held.spilled.as_deref_mut() else { continue };
            for (_, key, _) in
                self.before.iter().filter(|(of, key, _)| of == attribute && !held.cells.contains_key(key))
            {
                txn.delete(Table::BigValues, &bigvalue_key(id, *attribute, key), None)?;
            }
            for (key, cell) in held.cells.drain() {
                spilled.enter(&key, &cell);
                write_cell(txn, catalog, naming, (id, *attribute), &key, &cell)?;
                self.after.push((*attribute, key, cell));
            }
            if let Some(count) = self.counts.iter_mut().find(|(of, ..)| of == attribute) {
                count.2 = spilled.count;
            }
        }
        Ok(())
    }

    /// Whether every value of the spilled attributes of `record` was put back just now.
    pub(super) fn is_all_of(&self, record: &ViewRecord<'_>) -> bool {
        let written = |of: AttributeId| self.after.iter().filter(|(id, _, cell)| *id == of && cell.present).count();
        let mut spilled = record.all_attributes().filter(|slice| slice.flags & VALUE_SPILLED != 0);
        spilled
            .all(|slice| self.counts.iter().any(|(of, _, after)| *of == slice.id && *after == written(slice.id) as u64))
    }

    /// The index keys of the touched cells, as they were and as they are, if the entry was and is shown.
    pub(super) fn keys(&self, catalog: &Catalog, shown: (bool, bool), old: &mut KeySet, new: &mut KeySet) {
        for (attribute, before, after) in &self.counts {
            if *before > 0 && shown.0 {
                cell_keys(
                    catalog,
                    *attribute,
                    self.before.iter().filter(|(of, ..)| of == attribute).map(|(_, _, cell)| cell),
                    old,
                );
            }
            if *after > 0 && shown.1 {
                cell_keys(
                    catalog,
                    *attribute,
                    self.after.iter().filter(|(of, ..)| of == attribute).map(|(_, _, cell)| cell),
                    new,
                );
            }
        }
    }
}

/// Takes all cells of a spilled attribute into its state, for good.
pub(super) fn take_in(
    txn: &mut WriteTransaction<'_>,
    catalog: &Catalog,
    (id, attribute): (EntryId, AttributeId),
    held: &mut AttributeState,
) -> Result<(), DitError> {
    for (key, cell) in read_cells(txn.reader(), catalog, id, attribute)? {
        txn.delete(Table::BigValues, &bigvalue_key(id, attribute, &key), None)?;
        held.cells.insert(key, cell);
    }
    held.spilled = None;
    Ok(())
}

/// Attributes that stand in the entry's record however many cells they have, because what an entry is and who may do
/// what is read from there: its classes, its access rules, its passwords; and what is encrypted, whose keys would be in clear.
fn stays_whole(catalog: &Catalog, attribute: AttributeId) -> bool {
    let known = catalog.well_known();
    attribute == known.object_class
        || attribute == known.aci
        || catalog.attribute(attribute).is_some_and(|info| info.secret || info.encrypted)
}

/// One cell of a spilled attribute.
pub(super) fn read_cell(
    reader: Reader<'_>,
    catalog: &Catalog,
    id: EntryId,
    attribute: AttributeId,
    key: &ValueKey,
) -> Result<Option<Cell>, DitError> {
    let place = bigvalue_key(id, attribute, key);
    match reader.get(Table::BigValues, &place)? {
        Some(record) => Ok(Some(decode(catalog, id, key, split(id, unseal("bigvalues", &place, record)?)?.cell)?)),
        None => Ok(None),
    }
}

/// All cells of a spilled attribute, in key order.
pub(super) fn read_cells(
    reader: Reader<'_>,
    catalog: &Catalog,
    id: EntryId,
    attribute: AttributeId,
) -> Result<Vec<(ValueKey, Cell)>, DitError> {
    let mut cells = Vec::new();
    for_each(reader, catalog, id, attribute, &mut |key, cell| {
        cells.push((key, cell));
        Ok(true)
    })?;
    Ok(cells)
}

/// Calls `visit` with every cell of a spilled attribute, absent ones too, until it returns false.
pub(super) fn for_each(
    reader: Reader<'_>,
    catalog: &Catalog,
    id: EntryId,
    attribute: AttributeId,
    visit: &mut dyn FnMut(ValueKey, Cell) -> Result<bool, DitError>,
) -> Result<(), DitError> {
    for_each_after(reader, catalog, id, attribute, None, visit)
}

/// [`for_each`] from the cell after the one of the key `after` on.
pub(super) fn for_each_after(
    reader: Reader<'_>,
    catalog: &Catalog,
    id: EntryId,
    attribute: AttributeId,
    after: Option<&ValueKey>,
    visit: &mut dyn FnMut(ValueKey, Cell) -> Result<bool, DitError>,
) -> Result<(), DitError> {
    let prefix = bigvalue_prefix(id, attribute);
    let mut cursor = reader.cursor(Table::BigValues)?;
    let mut item = match after {
        None => cursor.seek(&prefix)?,
        Some(after) => {
            let place = bigvalue_key(id, attribute, after);
            match cursor.seek(&place)? {
                Some((key, _)) if key == place => cursor.next()?,
                item => item,
            }
        }
    };
    while let Some((key, record)) = item {
        let Some(rest) = key.strip_prefix(&prefix) else { break };
        let value_key = value_key(id, rest)?;
        let cell = decode(catalog, id, &value_key, split(id, unseal("bigvalues", key, record)?)?.cell)?;
        if !visit(value_key, cell)? {
            break;
        }
        item = cursor.next()?;
    }
    Ok(())
}

/// Index keys of every spilled value of an entry.
pub(super) fn all_keys(reader: Reader<'_>, catalog: &Catalog, id: EntryId, out: &mut KeySet) -> Result<(), DitError> {
    let prefix = id.0.to_be_bytes();
    let mut cursor = reader.cursor(Table::BigValues)?;
    let mut item = cursor.seek(&prefix)?;
    while let Some((key, record)) = item {
        let Some((attribute, rest)) = key.strip_prefix(&prefix).and_then(|rest| rest.split_first_chunk::<4>()) else {
            break;
        };
        let cell = decode(catalog, id, &value_key(id, rest)?, split(id, unseal("bigvalues", key, record)?)?.cell)?;
        if cell.present {
            cell_keys(catalog, AttributeId(u32::from_be_bytes(*attribute)), std::iter::once(&cell), out);
        }
        item = cursor.next()?;
    }
    Ok(())
}

fn cell_keys<'c>(catalog: &Catalog, attribute: AttributeId, cells: impl Iterator<Item = &'c Cell>, out: &mut KeySet) {
    let Some(info) = catalog.attribute(attribute) else { return };
    let mut values: Vec<&[u8]> = Vec::new();
    let mut targets = Vec::new();
    for cell in cells.filter(|cell| cell.present) {
        match &cell.value {
            CellValue::Text(text) => {
                values.push(text);
                targets.extend_from_slice(&EntryUuid::NIL.0);
            }
            CellValue::Link(target) => {
                values.push(&[]);
                targets.extend_from_slice(&target.0);
            }
        }
    }
    let targets = if info.links { targets.as_slice() } else { &[] };
    keys_of_attribute(catalog.schema(), info, values.into_iter(), targets, out);
}

/// The values of a spilled attribute as clients see them now, in key order.
pub(super) fn shown(view: &View<'_>, id: EntryId, attribute: AttributeId) -> Result<Vec<Vec<u8>>, DitError> {
    let prefix = bigvalue_prefix(id, attribute);
    let mut cursor = view.reader().cursor(Table::BigValues)?;
    let mut item = cursor.seek(&prefix)?;
    let mut values = Vec::new();
    while let Some((key, record)) = item {
        let Some(rest) = key.strip_prefix(&prefix) else { break };
        let parts = split(id, unseal("bigvalues", key, record)?)?;
        if parts.naming_stamp == view.naming_stamp() && !parts.text.is_empty() {
            values.push(parts.text.to_vec());
        } else {
            let cell = decode(view.catalog(), id, &value_key(id, rest)?, parts.cell)?;
            match cell.value {
                CellValue::Text(text) if cell.present => values.push(text),
                CellValue::Link(target) if cell.present => values.extend(dn_of(view, target)?),
                _ => {}
            }
        }
        item = cursor.next()?;
    }
    Ok(values)
}

impl View<'_> {
    /// The values of a spilled attribute of DNs that are text. Cost: a look at each value's key, and at these.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`].
    pub fn spilled_texts(&self, id: EntryId, attribute: AttributeId) -> Result<Vec<Vec<u8>>, DitError> {
        let prefix = bigvalue_prefix(id, attribute);
        let mut cursor = self.reader().cursor(Table::BigValues)?;
        let mut item = cursor.seek(&prefix)?;
        let mut texts = Vec::new();
        while let Some((key, record)) = item {
            let Some(rest) = key.strip_prefix(&prefix) else { break };
            let value_key = value_key(id, rest)?;
            if value_key.as_link().is_none() {
                let cell = decode(self.catalog(), id, &value_key, split(id, unseal("bigvalues", key, record)?)?.cell)?;
                match cell.value {
                    CellValue::Text(text) if cell.present => texts.push(text),
                    _ => {}
                }
            }
            item = cursor.next()?;
        }
        Ok(texts)
    }
}

/// The links of a spilled attribute of which no text, or an old one, stands beside the cell.
pub(super) fn without_text(
    view: &View<'_>,
    id: EntryId,
    attribute: AttributeId,
) -> Result<Vec<(ValueKey, Cell)>, DitError> {
    let prefix = bigvalue_prefix(id, attribute);
    let mut cursor = view.reader().cursor(Table::BigValues)?;
    let mut item = cursor.seek(&prefix)?;
    let mut cells = Vec::new();
    while let Some((key, record)) = item {
        let Some(rest) = key.strip_prefix(&prefix) else { break };
        let parts = split(id, unseal("bigvalues", key, record)?)?;
        if parts.text.is_empty() || parts.naming_stamp != view.naming_stamp() {
            let key = value_key(id, rest)?;
            let cell = decode(view.catalog(), id, &key, parts.cell)?;
            if cell.present && matches!(cell.value, CellValue::Link(_)) {
                cells.push((key, cell));
            }
        }
        item = cursor.next()?;
    }
    Ok(cells)
}

/// A link of a spilled attribute with a text that is taken for its target's name, and is another.
pub(super) struct Misspelt {
    attribute: AttributeId,
    key: ValueKey,
    cell: Cell,
    /// The text.
    pub(super) text: Vec<u8>,
}

/// The first so many links of an entry with texts that they should not have.
pub(super) fn misspelt(view: &View<'_>, id: EntryId, count_max: usize) -> Result<Vec<Misspelt>, DitError> {
    let prefix = id.0.to_be_bytes();
    let mut cursor = view.reader().cursor(Table::BigValues)?;
    let mut item = cursor.seek(&prefix)?;
    let mut found = Vec::new();
    while let Some((key, record)) = item.filter(|_| found.len() < count_max) {
        let Some((attribute, rest)) = key.strip_prefix(&prefix).and_then(|rest| rest.split_first_chunk::<4>()) else {
            break;
        };
        let parts = split(id, unseal("bigvalues", key, record)?)?;
        if parts.naming_stamp == view.naming_stamp() && !parts.text.is_empty() {
            let key = value_key(id, rest)?;
            let cell = decode(view.catalog(), id, &key, parts.cell)?;
            let now = match cell.value {
                CellValue::Link(target) if cell.present => dn_of(view, target)?,
                _ => None,
            };
            if now.as_deref() != Some(parts.text) {
                let attribute = AttributeId(u32::from_be_bytes(*attribute));
                found.push(Misspelt { attribute, key, cell, text: parts.text.to_vec() });
            }
        }
        item = cursor.next()?;
    }
    Ok(found)
}

/// Gives the links of an entry that comes to be shown the names that their targets have now. While it was not shown it
/// stood in no index, so that no change of a name came to it.
pub(super) fn spell_anew(
    txn: &mut WriteTransaction<'_>,
    catalog: &Catalog,
    naming: Naming<'_>,
    id: EntryId,
) -> Result<(), DitError> {
    let view = View::new(txn.reader(), catalog, naming.adoption, naming.stamp, naming.token);
    for Misspelt { attribute, key, cell, .. } in misspelt(&view, id, usize::MAX)? {
        write_cell(txn, catalog, naming, (id, attribute), &key, &cell)?;
    }
    Ok(())
}

/// As of which names the texts of links are rendered, and who remembers superiors (see `View`).
#[derive(Clone, Copy)]
pub(super) struct Naming<'a> {
    pub(super) stamp: u64,
    pub(super) token: u64,
    pub(super) adoption: &'a Adoption,
}

/// A record taken apart.
struct Parts<'r> {
    naming_stamp: u64,
    text: &'r [u8],
    cell: &'r [u8],
}

fn split(id: EntryId, body: &[u8]) -> Result<Parts<'_>, DitError> {
    let parts = || {
        let (stamp, rest) = body.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (text, cell) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        Some(Parts { naming_stamp: u64::from_le_bytes(*stamp), text, cell })
    };
    parts().ok_or_else(|| DitError::State { id: id.0, detail: "a record of bigvalues is cut short".to_owned() })
}

/// Writes one cell of a spilled attribute.
pub(super) fn write_cell(
    txn: &mut WriteTransaction<'_>,
    catalog: &Catalog,
    naming: Naming<'_>,
    (id, attribute): (EntryId, AttributeId),
    key: &ValueKey,
    cell: &Cell,
) -> Result<(), DitError> {
    let place = bigvalue_key(id, attribute, key);
    let text = match cell.value {
        CellValue::Link(target) if cell.present => {
            dn_of(&View::new(txn.reader(), catalog, naming.adoption, naming.stamp, naming.token), target)?
        }
        _ => None,
    };
    let text = text.filter(|text| text.len() <= usize::from(u16::MAX)).unwrap_or_default();
    let mut record = vec![0; 8];
    record.extend_from_slice(&naming.stamp.to_le_bytes());
    record.extend_from_slice(&(text.len() as u16).to_le_bytes());
    record.extend_from_slice(&text);
    encode_cell(key, cell, |origin| catalog.origin_number(origin), &mut record)
        .map_err(|error| state_error(id, &error))?;
    seal(&place, &mut record);
    Ok(txn.put(Table::BigValues, &place, &record, PutMode::Upsert)?)
}

fn value_key(id: EntryId, bytes: &[u8]) -> Result<ValueKey, DitError> {
    ValueKey::from_bytes(bytes)
        .ok_or_else(|| DitError::State { id: id.0, detail: "a value key in bigvalues has no known form".to_owned() })
}

fn decode(catalog: &Catalog, id: EntryId, key: &ValueKey, body: &[u8]) -> Result<Cell, DitError> {
    decode_cell(key, body, |number| catalog.origin(number)).map_err(|error| state_error(id, &error))
}
