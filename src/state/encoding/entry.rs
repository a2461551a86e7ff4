//! The state record of an entry, version 2.
//!
//! ```text
//! version 2, entryUUID 16
//! stamps, rising: count, then each: origin number * 2 (plus 1 if [epoch] follows), ms, counter, sequence
//!   ms: 6 bytes; from the second on the difference to the one before
//! flags: 1 born, 2 dead, 4 parent is not NIL, 8 newest change of which nothing is left, 16 name and superior of the birth
//! birth, [dead], [rdn stamp, parent stamp], [newest change]      each as a reference: 0 none, n the stamp n-1
//! [parent 16]
//! RDN: count of AVAs, then each: attribute, type text, key form, key and value
//! attributes: count, then each (rising):
//!   attribute number less the one before
//!   head: 1 clear, 2 counter, 4 spilled, rest count of cells (31: a number follows)
//!   [clear] [counter: base, value, count of parts, each: stamp, count, sum] [spilled: count, newest, digest 16]
//!   cells in key order, each:
//!     head: 3 bits key form, 8 present, 16 position written, 3 bits stamp (7: a reference follows)
//!     [position, if it is not the number of cells before] key and value (`encoding::cell`)
//! ```
//!
//! Numbers without a size are varints. A contact made by one add has one stamp; its overhead beyond names and values is
//! measured in the tests: at most 40 bytes an entry and 4 a value.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::model::entry_uuid::EntryUuid;
use crate::state::attribute_state::{AttributeState, Spilled};
use crate::state::cells::{Cell, CellValue, Cells};
use crate::state::counter::{Counter, CounterBase, CounterPart};
use crate::state::csn::{OriginId, Stamp};
use crate::state::encoding::bytes::{Reader, put_bytes, put_signed, put_varint};
use crate::state::encoding::cell::{KeyForm, put_stamp, put_stamp_after, put_value, read_stamp, read_value};
use crate::state::entry_state::{EntryState, RdnAva, RdnState};
use crate::state::error::StateError;
use crate::state::update::AttributeId;

const FORMAT_VERSION: u8 = 2;

const BORN: u8 = 1;
const DEAD: u8 = 2;
const BELOW: u8 = 4;
const FORGOTTEN: u8 = 8;
/// RDN and superior have the stamp of the birth.
const AS_BORN: u8 = 16;

const CLEAR: u8 = 1;
const COUNTER: u8 = 2;
const SPILLED: u8 = 4;
const COUNT_SHIFT: u32 = 3;
const COUNT_FOLLOWS: usize = 31;

const PRESENT: u8 = 8;
const POSITION: u8 = 16;
const STAMP_SHIFT: u32 = 5;
const STAMP_FOLLOWS: usize = 7;

impl EntryState {
    /// Appends the state's record. `intern` gives an origin's local number. Cells of spilled attributes are left out.
    ///
    /// # Errors
    /// [`StateError::OriginTableFull`] if `intern` gives none.
    pub fn encode(&self, mut intern: impl FnMut(OriginId) -> Option<u16>, out: &mut Vec<u8>) -> Result<(), StateError> {
        let stamps = StampTable::of(self);
        out.push(FORMAT_VERSION);
        out.extend_from_slice(&self.uuid.0);
        put_varint(out, stamps.0.len() as u64);
        let mut before = None;
        for stamp in &stamps.0 {
            let origin = stamp.csn.origin();
            let number = intern(origin).ok_or(StateError::OriginTableFull(origin))?;
            match before.replace(*stamp) {
                None => put_stamp(out, *stamp, number),
                Some(before) => put_stamp_after(out, *stamp, number, before),
            }
        }
        let flag = |flag: u8, set: bool| if set { flag } else { 0 };
        let below = self.parent.1 != EntryUuid::NIL;
        let forgotten = self.forgotten != Stamp::NONE;
        let (born, dead) = (flag(BORN, self.born), flag(DEAD, self.dead.is_some()));
        let as_born = (self.rdn.0, self.parent.0) == (self.birth, self.birth);
        out.push(born | dead | flag(BELOW, below) | flag(FORGOTTEN, forgotten) | flag(AS_BORN, as_born));
        stamps.put(out, self.birth);
        if let Some(dead) = self.dead {
            stamps.put(out, dead);
        }
        if !as_born {
            stamps.put(out, self.rdn.0);
            stamps.put(out, self.parent.0);
        }
        if forgotten {
            stamps.put(out, self.forgotten);
        }
        if below {
            out.extend_from_slice(&self.parent.1.0);
        }
        put_varint(out, self.rdn.1.avas.len() as u64);
        for ava in &self.rdn.1.avas {
            put_varint(out, u64::from(ava.attribute.0));
            put_bytes(out, ava.type_text.as_bytes());
            let form = KeyForm::of_text(&ava.key, &ava.value);
            out.push(form as u8);
            if form == KeyForm::Explicit {
                put_bytes(out, ava.key.as_bytes());
            }
            put_bytes(out, &ava.value);
        }
        put_varint(out, self.attributes.len() as u64);
        let mut before = 0;
        for (attribute, state) in &self.attributes {
            put_varint(out, u64::from(attribute.0 - before));
            before = attribute.0;
            put_attribute(out, &stamps, state);
        }
        Ok(())
    }

    /// The inverse of [`EntryState::encode`]; `resolve` gives the origin of a local number.
    ///
    /// # Errors
    /// Any [`StateError`] about bytes.
    pub fn decode(bytes: &[u8], resolve: impl Fn(u16) -> Option<OriginId>) -> Result<Self, StateError> {
        let mut reader = Reader::new(bytes);
        reader.version(FORMAT_VERSION)?;
        let uuid = EntryUuid(reader.array()?);
        let stamps = StampTable::read(&mut reader, &resolve)?;
        let flags = reader.byte()?;
        if flags & !(BORN | DEAD | BELOW | FORGOTTEN | AS_BORN) != 0 {
            return Err(StateError::Malformed { what: "flags of an entry" });
        }
        let birth = stamps.read_reference(&mut reader)?;
        let dead = if flags & DEAD != 0 { Some(stamps.read_reference(&mut reader)?) } else { None };
        let (rdn_stamp, parent_stamp) = match flags & AS_BORN {
            0 => (stamps.read_reference(&mut reader)?, stamps.read_reference(&mut reader)?),
            _ => (birth, birth),
        };
        let forgotten = if flags & FORGOTTEN != 0 { stamps.read_reference(&mut reader)? } else { Stamp::NONE };
        let parent = if flags & BELOW != 0 { EntryUuid(reader.array()?) } else { EntryUuid::NIL };
        let rdn = read_rdn(&mut reader)?;
        let count = reader.count(2)?;
        let mut attributes = BTreeMap::new();
        let mut before: Option<u32> = None;
        for _ in 0..count {
            let step = reader.varint_u32()?;
            let attribute = match before {
                None => Some(step),
                Some(before) if step > 0 => before.checked_add(step),
                Some(_) => None,
            };
            let attribute = attribute.ok_or(StateError::Malformed { what: "order of attributes" })?;
            before = Some(attribute);
            attributes.insert(AttributeId(attribute), read_attribute(&mut reader, &stamps)?);
        }
        reader.finish()?;
        let born = flags & BORN != 0;
        Ok(Self {
            uuid,
            birth,
            born,
            dead,
            rdn: (rdn_stamp, rdn),
            parent: (parent_stamp, parent),
            attributes,
            forgotten,
        })
    }
}

/// What a state record holds besides what the entry says: entryUUID, values, names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Overhead {
    /// Bytes that are there once: stamps, superior, flags.
    pub entry_bytes: u64,
    /// Bytes that come with each attribute and value: which change, which place.
    pub value_bytes: u64,
    /// Keys of values that do not follow from them.
    pub key_bytes: u64,
    /// How many values.
    pub values: u64,
}

impl EntryState {
    /// What its record holds besides content; values in a table of their own are left out.
    ///
    /// # Errors
    /// As [`EntryState::encode`].
    pub fn overhead(&self, intern: impl FnMut(OriginId) -> Option<u16>) -> Result<Overhead, StateError> {
        let mut record = Vec::new();
        self.encode(intern, &mut record)?;
        let stamps = StampTable::of(self);
        let (mut attributes, mut before) = (Vec::new(), 0);
        let mut overhead = Overhead::default();
        let mut content = 0;
        for (attribute, held) in &self.attributes {
            put_varint(&mut attributes, u64::from(attribute.0 - before));
            before = attribute.0;
            put_attribute(&mut attributes, &stamps, held);
            for (key, cell) in held.cells.iter().filter(|_| held.spilled.is_none()) {
                overhead.values += 1;
                content += match &cell.value {
                    CellValue::Text(text) => text.len(),
                    CellValue::Link(_) => 16,
                };
                if matches!(KeyForm::of(key, &cell.value), KeyForm::Explicit | KeyForm::ExplicitLink) {
                    overhead.key_bytes += 1 + key.as_bytes().len() as u64;
                }
            }
        }
        let names: usize = self.rdn.1.avas.iter().map(|ava| ava.value.len() + ava.type_text.len()).sum();
        overhead.entry_bytes = (record.len() - attributes.len()).saturating_sub(16 + names) as u64;
        overhead.value_bytes = ((attributes.len() - content) as u64).saturating_sub(overhead.key_bytes);
        Ok(overhead)
    }
}

/// The distinct stamps of an entry, rising.
pub(in crate::state) struct StampTable(SmallVec<[Stamp; 8]>);

impl StampTable {
    pub(in crate::state) fn of(state: &EntryState) -> Self {
        let mut table = Self(SmallVec::new());
        let dead = state.dead.unwrap_or(Stamp::NONE);
        for stamp in [state.birth, dead, state.rdn.0, state.parent.0, state.forgotten] {
            table.note(stamp);
        }
        for attribute in state.attributes.values() {
            attribute.clear.into_iter().for_each(|stamp| table.note(stamp));
            match &attribute.spilled {
                Some(spilled) => table.note(spilled.newest),
                None => attribute.cells.values().for_each(|cell| table.note(cell.stamp)),
            }
            if let Some(counter) = &attribute.counter {
                table.note(counter.base.stamp);
                counter.parts.values().for_each(|part| table.note(part.stamp));
            }
        }
        table.0.sort_unstable();
        table.0.dedup();
        table
    }

    pub(in crate::state) fn into_iter(self) -> impl Iterator<Item = Stamp> {
        self.0.into_iter()
    }

    /// Skips what was noted just before, so that an entry of one write never sorts more than a few.
    fn note(&mut self, stamp: Stamp) {
        if stamp != Stamp::NONE && self.0.last() != Some(&stamp) {
            self.0.push(stamp);
        }
    }

    /// Number of a stamp that was noted; `None` for [`Stamp::NONE`].
    fn index(&self, stamp: Stamp) -> Option<usize> {
        self.0.binary_search(&stamp).ok()
    }

    fn put(&self, out: &mut Vec<u8>, stamp: Stamp) {
        put_varint(out, self.index(stamp).map_or(0, |index| index as u64 + 1));
    }

    fn read(reader: &mut Reader<'_>, resolve: &impl Fn(u16) -> Option<OriginId>) -> Result<Self, StateError> {
        let count = reader.count(4)?;
        let mut stamps: SmallVec<[Stamp; 8]> = SmallVec::with_capacity(count);
        for _ in 0..count {
            stamps.push(read_stamp(reader, resolve, stamps.last().copied())?);
        }
        if !stamps.is_sorted_by(|a: &Stamp, b: &Stamp| a < b) {
            return Err(StateError::Malformed { what: "order of stamps" });
        }
        Ok(Self(stamps))
    }

    fn read_reference(&self, reader: &mut Reader<'_>) -> Result<Stamp, StateError> {
        match reader.varint()? {
            0 => Ok(Stamp::NONE),
            reference => self.at(usize::try_from(reference - 1).unwrap_or(usize::MAX)),
        }
    }

    #[inline]
    fn at(&self, index: usize) -> Result<Stamp, StateError> {
        self.0.get(index).copied().ok_or(StateError::Malformed { what: "reference to a stamp" })
    }
}

fn put_attribute(out: &mut Vec<u8>, stamps: &StampTable, state: &AttributeState) {
    let count = if state.spilled.is_some() { 0 } else { state.cells.len() };
    let mut head = (count.min(COUNT_FOLLOWS) as u8) << COUNT_SHIFT;
    head |= if state.clear.is_some() { CLEAR } else { 0 };
    head |= if state.counter.is_some() { COUNTER } else { 0 };
    head |= if state.spilled.is_some() { SPILLED } else { 0 };
    out.push(head);
    if count >= COUNT_FOLLOWS {
        put_varint(out, count as u64);
    }
    if let Some(clear) = state.clear {
        stamps.put(out, clear);
    }
    if let Some(counter) = &state.counter {
        stamps.put(out, counter.base.stamp);
        put_signed(out, counter.base.value);
        put_varint(out, counter.parts.len() as u64);
        for part in counter.parts.values() {
            stamps.put(out, part.stamp);
            put_varint(out, part.count);
            put_signed(out, part.sum);
        }
    }
    if let Some(spilled) = &state.spilled {
        put_varint(out, spilled.count);
        stamps.put(out, spilled.newest);
        out.extend_from_slice(&spilled.digest.to_be_bytes());
        return;
    }
    for (position, (key, cell)) in state.cells.iter().enumerate() {
        let form = KeyForm::of(key, &cell.value);
        let stamp = stamps.index(cell.stamp);
        let short = stamp.filter(|index| *index < STAMP_FOLLOWS);
        let mut head = form as u8 | (short.unwrap_or(STAMP_FOLLOWS) as u8) << STAMP_SHIFT;
        head |= if cell.present { PRESENT } else { 0 };
        head |= if cell.order as usize == position { 0 } else { POSITION };
        out.push(head);
        if short.is_none() {
            put_varint(out, stamp.map_or(0, |index| index as u64 + 1));
        }
        if cell.order as usize != position {
            put_varint(out, u64::from(cell.order));
        }
        put_value(out, form, key, &cell.value);
    }
}

fn read_rdn(reader: &mut Reader<'_>) -> Result<RdnState, StateError> {
    let count = reader.count(4)?;
    let mut avas = Vec::with_capacity(count);
    for _ in 0..count {
        let attribute = AttributeId(reader.varint_u32()?);
        let type_text = reader.text()?.to_owned();
        let form = KeyForm::from_bits(reader.byte()?)?;
        let (key, CellValue::Text(value)) = read_value(reader, form)? else {
            return Err(StateError::Malformed { what: "value of an RDN" });
        };
        avas.push(RdnAva { attribute, key, value, type_text });
    }
    Ok(RdnState { avas })
}

fn read_attribute(reader: &mut Reader<'_>, stamps: &StampTable) -> Result<AttributeState, StateError> {
    let head = reader.byte()?;
    let mut count = usize::from(head >> COUNT_SHIFT);
    if count == COUNT_FOLLOWS {
        count = reader.count(2)?;
    }
    let mut state = AttributeState::default();
    if head & CLEAR != 0 {
        state.clear = Some(stamps.read_reference(reader)?);
    }
    if head & COUNTER != 0 {
        state.counter = Some(Box::new(read_counter(reader, stamps)?));
    }
    if head & SPILLED != 0 {
        if count != 0 {
            return Err(StateError::Malformed { what: "cells of a spilled attribute" });
        }
        let count = reader.varint()?;
        let newest = stamps.read_reference(reader)?;
        let digest = u128::from_be_bytes(reader.array()?);
        state.spilled = Some(Box::new(Spilled { count, newest, digest }));
        return Ok(state);
    }
    state.cells = Cells::with_capacity(count.min(reader.remaining()));
    for position in 0..count {
        let head = reader.byte()?;
        let form = KeyForm::from_bits(head & 7)?;
        let stamp = match usize::from(head >> STAMP_SHIFT) {
            STAMP_FOLLOWS => stamps.read_reference(reader)?,
            index => stamps.at(index)?,
        };
        let order = if head & POSITION != 0 { reader.varint_u32()? } else { position as u32 };
        let (key, value) = read_value(reader, form)?;
        let cell = Cell { stamp, order, present: head & PRESENT != 0, value };
        if !state.cells.push_last(key, cell) {
            return Err(StateError::Malformed { what: "order of cells" });
        }
    }
    Ok(state)
}

fn read_counter(reader: &mut Reader<'_>, stamps: &StampTable) -> Result<Counter, StateError> {
    let stamp = stamps.read_reference(reader)?;
    let mut counter = Counter::new(CounterBase { stamp, value: reader.signed()? });
    for _ in 0..reader.count(3)? {
        let stamp = stamps.read_reference(reader)?;
        let part = CounterPart { stamp, count: reader.varint()?, sum: reader.signed()? };
        if counter.parts.insert(stamp.csn.origin(), part).is_some() {
            return Err(StateError::Malformed { what: "parts of a counter" });
        }
    }
    Ok(counter)
}

#[cfg(test)]
mod tests;
