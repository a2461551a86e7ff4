//! The record of an update, version 1: for the log and for peers, without anything local.
//!
//! ```text
//! version 1, CSN 16, sequence, entryUUID 16
//! birth: 0 (its own stamp) or 1, CSN 16, sequence
//! fields to the end, each: tag (number * 2, plus 1 if it must be understood), length, content
//!   1      requester as text (may be ignored)
//!   2 must attribute key as text: the next of this record's attributes, to which deltas refer by number from 0
//!   3      what the deltas replaced (may be ignored): count of stamps, each CSN 16 and sequence; then for each delta 0 for
//!         nothing, or the place of its stamp among them, from 1
//!   5      joined to the record before it; empty, and always the first field (may be ignored)
//!   4      how far other origins were held (may be ignored): each origin 6, sequence; by rising origin
//!   6      the RDN that a new one replaced, as text (may be ignored)
//!   7      the superior that a new one replaced: 16 (may be ignored)
//!   8      the entry that ends goes on in another incarnation; empty (may be ignored)
//!  16 must birth: parent 16, RDN          17 must RDN          18 must parent 16
//!  19 must clear: attribute               22 must dead
//!  20 must cell: attribute, position, head (3 bits key form, 8 present), key and value
//!  21 must count: attribute, base CSN 16, base sequence, base value, count, sum
//! RDN: count of AVAs, then each: attribute, type text, key form, key and value
//! ```
//!
//! Forward compatible: a field that need not be understood is kept in [`Update::unknown`] and written again; one that must
//! be and is not stops the receiver with [`StateError::UnknownField`]. Compression is the log's business.

use smallvec::SmallVec;

use crate::model::entry_uuid::EntryUuid;
use crate::state::cells::CellValue;
use crate::state::counter::CounterBase;
use crate::state::csn::{Csn, OriginId, Stamp};
use crate::state::encoding::bytes::{Reader, put_bytes, put_signed, put_varint};
use crate::state::encoding::cell::{KeyForm, put_value, read_value};
use crate::state::entry_state::{RdnAva, RdnState};
use crate::state::error::StateError;
use crate::state::update::{AttributeId, Delta, UnknownField, Update};

const FORMAT_VERSION: u8 = 1;
/// An attribute key (OID and options) as text is at most this long.
pub const ATTRIBUTE_KEY_BYTES_MAX: usize = 1024;

const MUST: u64 = 1;
const REQUESTER: u64 = 1 << 1;
const ATTRIBUTE: u64 = 2 << 1 | MUST;
const REPLACED: u64 = 3 << 1;
const KNOWN: u64 = 4 << 1;
const JOINED: u64 = 5 << 1;
const FORMER_RDN: u64 = 6 << 1;
const FORMER_PARENT: u64 = 7 << 1;
const GOES_ON: u64 = 8 << 1;
const BIRTH: u64 = 16 << 1 | MUST;
const RDN: u64 = 17 << 1 | MUST;
const PARENT: u64 = 18 << 1 | MUST;
const CLEAR: u64 = 19 << 1 | MUST;
const CELL: u64 = 20 << 1 | MUST;
const COUNT: u64 = 21 << 1 | MUST;
const DEAD: u64 = 22 << 1 | MUST;

const PRESENT: u8 = 8;

/// Appends the record of an update. `name_of` gives an attribute's key as text (OID and sorted options).
///
/// # Errors
/// [`StateError::UnknownAttribute`] if `name_of` gives none.
pub fn encode_update<N: AsRef<str>>(
    update: &Update,
    name_of: impl Fn(AttributeId) -> Option<N>,
    out: &mut Vec<u8>,
) -> Result<(), StateError> {
    out.push(FORMAT_VERSION);
    put_whole_stamp(out, update.stamp);
    out.extend_from_slice(&update.uuid.0);
    out.push(u8::from(update.birth != update.stamp));
    if update.birth != update.stamp {
        put_whole_stamp(out, update.birth);
    }
    if update.joined {
        put_field(out, JOINED, &[]);
    }
    put_field(out, REQUESTER, update.requester.as_bytes());
    let mut attributes = AttributeTable(Vec::new());
    for attribute in update.deltas.iter().flat_map(attributes_of) {
        if attributes.note(attribute) {
            let name = name_of(attribute).ok_or(StateError::UnknownAttribute(attribute))?;
            put_field(out, ATTRIBUTE, name.as_ref().as_bytes());
        }
    }
    let mut content = Vec::new();
    for delta in &update.deltas {
        content.clear();
        let tag = put_delta(&mut content, &attributes, delta);
        put_field(out, tag, &content);
    }
    if !update.replaced.is_empty() {
        content.clear();
        put_replaced(&mut content, &update.replaced);
        put_field(out, REPLACED, &content);
    }
    if !update.known.is_empty() {
        content.clear();
        for (origin, sequence) in &update.known {
            content.extend(origin.0.to_be_bytes().into_iter().skip(2));
            put_varint(&mut content, *sequence);
        }
        put_field(out, KNOWN, &content);
    }
    if let Some(rdn) = &update.former.rdn {
        put_field(out, FORMER_RDN, rdn.as_bytes());
    }
    if let Some(parent) = update.former.parent {
        put_field(out, FORMER_PARENT, &parent.0);
    }
    if update.goes_on {
        put_field(out, GOES_ON, &[]);
    }
    for field in &update.unknown {
        put_field(out, field.tag, &field.bytes);
    }
    Ok(())
}

/// The inverse of [`encode_update`]; `intern` gives the local number of an attribute key, making one if need be.
///
/// # Errors
/// Any [`StateError`] about bytes; [`StateError::UnknownField`] if a newer version sent something that must be understood;
/// [`StateError::AttributeRefused`] if `intern` gives no number.
pub fn decode_update(bytes: &[u8], mut intern: impl FnMut(&str) -> Option<AttributeId>) -> Result<Update, StateError> {
    let mut reader = Reader::new(bytes);
    reader.version(FORMAT_VERSION)?;
    let stamp = read_whole_stamp(&mut reader)?;
    let uuid = EntryUuid(reader.array()?);
    let birth = match reader.byte()? {
        0 => stamp,
        1 => read_whole_stamp(&mut reader)?,
        _ => return Err(StateError::Malformed { what: "birth of an update" }),
    };
    let mut update = Update::new(stamp, uuid, birth, String::new(), Vec::new());
    let mut attributes = Vec::new();
    let mut replaced = Vec::new();
    while reader.remaining() > 0 {
        let tag = reader.varint()?;
        let content = reader.bytes()?;
        let mut field = Reader::new(content);
        match tag {
            REQUESTER => {
                let text = std::str::from_utf8(content).map_err(|_| StateError::Malformed { what: "requester" })?;
                text.clone_into(&mut update.requester);
            }
            ATTRIBUTE => {
                let key = std::str::from_utf8(content).ok().filter(|key| key.len() <= ATTRIBUTE_KEY_BYTES_MAX);
                let key = key.ok_or(StateError::Malformed { what: "attribute key" })?;
                attributes.push(intern(key).ok_or_else(|| StateError::AttributeRefused(key.to_owned()))?);
            }
            BIRTH | RDN | PARENT | CLEAR | CELL | COUNT | DEAD => {
                update.deltas.push(read_delta(tag, &mut field, &attributes)?);
                field.finish()?;
            }
            REPLACED => {
                replaced = read_replaced(&mut field)?;
                field.finish()?;
            }
            KNOWN => update.known = read_known(&mut field)?,
            JOINED => update.joined = true,
            FORMER_RDN => {
                let text = std::str::from_utf8(content).map_err(|_| StateError::Malformed { what: "former RDN" })?;
                update.former.rdn = Some(text.to_owned());
            }
            FORMER_PARENT => {
                update.former.parent = Some(EntryUuid(field.array()?));
                field.finish()?;
            }
            GOES_ON => update.goes_on = true,
            tag if tag & MUST != 0 => return Err(StateError::UnknownField { tag: tag >> 1 }),
            tag => update.unknown.push(UnknownField { tag, bytes: content.to_vec() }),
        }
    }
    if !replaced.is_empty() && replaced.len() != update.deltas.len() {
        return Err(StateError::Malformed { what: "what an update replaced" });
    }
    update.replaced = replaced;
    Ok(update)
}

/// The fields of a record, of which nobody looks at what stands before.
fn fields_of(bytes: &[u8]) -> Result<Reader<'_>, StateError> {
    let mut reader = Reader::new(bytes);
    reader.version(FORMAT_VERSION)?;
    read_whole_stamp(&mut reader)?;
    reader.take(16)?;
    if reader.byte()? == 1 {
        read_whole_stamp(&mut reader)?;
    }
    Ok(reader)
}

/// Whether a record was made together with the one before it of its origin. Cost: none to speak of. A record that cannot
/// be read says no.
pub fn is_joined(bytes: &[u8]) -> bool {
    fields_of(bytes).and_then(|mut fields| fields.varint()).is_ok_and(|tag| tag == JOINED)
}

/// Whether a record leaves absence behind that is worth forgetting once every member knows of it: a value that is gone, or
/// all values of an attribute without others in their place. (A clear beside new values costs their entry one byte and
/// goes with the next write; forgetting it would cost a write.) Cost: a pass over the fields. A record that cannot be
/// read says no.
pub fn leaves_absence(bytes: &[u8]) -> bool {
    let says_gone = || -> Result<bool, StateError> {
        let mut reader = fields_of(bytes)?;
        let (mut cleared, mut present) = (SmallVec::<[u64; 8]>::new(), SmallVec::<[u64; 8]>::new());
        while reader.remaining() > 0 {
            let tag = reader.varint()?;
            let mut field = Reader::new(reader.bytes()?);
            if tag == CLEAR {
                cleared.push(field.varint()?);
            } else if tag == CELL {
                let attribute = field.varint()?;
                field.varint()?;
                if field.byte()? & PRESENT == 0 {
                    return Ok(true);
                }
                if present.last() != Some(&attribute) {
                    present.push(attribute);
                }
            }
        }
        Ok(cleared.iter().any(|attribute| !present.contains(attribute)))
    };
    says_gone().unwrap_or(false)
}

/// Few different stamps stand for many deltas: an entry was mostly written by one or two changes.
fn put_replaced(out: &mut Vec<u8>, replaced: &[Stamp]) {
    let mut stamps: Vec<Stamp> = replaced.iter().copied().filter(|stamp| *stamp != Stamp::NONE).collect();
    stamps.sort_unstable();
    stamps.dedup();
    put_varint(out, stamps.len() as u64);
    stamps.iter().for_each(|stamp| put_whole_stamp(out, *stamp));
    for stamp in replaced {
        put_varint(out, stamps.binary_search(stamp).map_or(0, |index| index as u64 + 1));
    }
}

fn read_known(field: &mut Reader<'_>) -> Result<Vec<(OriginId, u64)>, StateError> {
    let mut known: Vec<(OriginId, u64)> = Vec::new();
    while field.remaining() > 0 {
        let [a, b, c, d, e, f] = field.array()?;
        let origin = OriginId(u64::from_be_bytes([0, 0, a, b, c, d, e, f]));
        if known.last().is_some_and(|(last, _)| *last >= origin) {
            return Err(StateError::Malformed { what: "order of origins" });
        }
        known.push((origin, field.varint()?));
    }
    Ok(known)
}

fn read_replaced(field: &mut Reader<'_>) -> Result<Vec<Stamp>, StateError> {
    let count = field.count(17)?;
    let stamps = (0..count).map(|_| read_whole_stamp(field)).collect::<Result<Vec<_>, _>>()?;
    let mut replaced = Vec::new();
    while field.remaining() > 0 {
        let place = usize::try_from(field.varint()?).unwrap_or(usize::MAX);
        let stamp = match place.checked_sub(1) {
            None => Some(Stamp::NONE),
            Some(index) => stamps.get(index).copied(),
        };
        replaced.push(stamp.ok_or(StateError::Malformed { what: "place of a stamp" })?);
    }
    Ok(replaced)
}

/// Attributes of a record in the order of their first use.
struct AttributeTable(Vec<AttributeId>);

impl AttributeTable {
    fn note(&mut self, attribute: AttributeId) -> bool {
        let is_new = !self.0.contains(&attribute);
        if is_new {
            self.0.push(attribute);
        }
        is_new
    }

    fn put(&self, out: &mut Vec<u8>, attribute: AttributeId) {
        let index = self.0.iter().position(|other| *other == attribute);
        put_varint(out, index.map_or(u64::MAX, |index| index as u64));
    }
}

fn attributes_of(delta: &Delta) -> Vec<AttributeId> {
    match delta {
        Delta::Birth { rdn, .. } | Delta::Rdn(rdn) => rdn.avas.iter().map(|ava| ava.attribute).collect(),
        Delta::Clear(attribute) | Delta::Cell { attribute, .. } | Delta::Count { attribute, .. } => vec![*attribute],
        Delta::Parent(_) | Delta::Dead => Vec::new(),
    }
}

fn put_field(out: &mut Vec<u8>, tag: u64, content: &[u8]) {
    put_varint(out, tag);
    put_bytes(out, content);
}

fn put_whole_stamp(out: &mut Vec<u8>, stamp: Stamp) {
    out.extend_from_slice(&stamp.csn.to_be_bytes());
    put_varint(out, stamp.sequence);
}

fn read_whole_stamp(reader: &mut Reader<'_>) -> Result<Stamp, StateError> {
    let csn = Csn::from_be_bytes(reader.array()?);
    let sequence = reader.varint()?;
    if !csn.is_acceptable() || sequence == 0 {
        return Err(StateError::Malformed { what: "stamp" });
    }
    Ok(Stamp { csn, sequence })
}

fn put_delta(out: &mut Vec<u8>, attributes: &AttributeTable, delta: &Delta) -> u64 {
    match delta {
        Delta::Birth { rdn, parent } => {
            out.extend_from_slice(&parent.0);
            put_rdn(out, attributes, rdn);
            BIRTH
        }
        Delta::Rdn(rdn) => {
            put_rdn(out, attributes, rdn);
            RDN
        }
        Delta::Parent(parent) => {
            out.extend_from_slice(&parent.0);
            PARENT
        }
        Delta::Clear(attribute) => {
            attributes.put(out, *attribute);
            CLEAR
        }
        Delta::Cell { attribute, key, order, present, value } => {
            attributes.put(out, *attribute);
            put_varint(out, u64::from(*order));
            let form = KeyForm::of(key, value);
            out.push(form as u8 | if *present { PRESENT } else { 0 });
            put_value(out, form, key, value);
            CELL
        }
        Delta::Count { attribute, base, count, sum } => {
            attributes.put(out, *attribute);
            put_whole_stamp(out, base.stamp);
            put_signed(out, base.value);
            put_varint(out, *count);
            put_signed(out, *sum);
            COUNT
        }
        Delta::Dead => DEAD,
    }
}

fn read_delta(tag: u64, field: &mut Reader<'_>, attributes: &[AttributeId]) -> Result<Delta, StateError> {
    Ok(match tag {
        BIRTH => {
            let parent = EntryUuid(field.array()?);
            Delta::Birth { rdn: read_rdn(field, attributes)?, parent }
        }
        RDN => Delta::Rdn(read_rdn(field, attributes)?),
        PARENT => Delta::Parent(EntryUuid(field.array()?)),
        CLEAR => Delta::Clear(read_attribute(field, attributes)?),
        CELL => {
            let attribute = read_attribute(field, attributes)?;
            let order = field.varint_u32()?;
            let head = field.byte()?;
            let form = KeyForm::from_bits(head & !PRESENT)?;
            let (key, value) = read_value(field, form)?;
            Delta::Cell { attribute, key, order, present: head & PRESENT != 0, value }
        }
        COUNT => {
            let attribute = read_attribute(field, attributes)?;
            let base = CounterBase { stamp: read_whole_stamp(field)?, value: field.signed()? };
            Delta::Count { attribute, base, count: field.varint()?, sum: field.signed()? }
        }
        _ => Delta::Dead,
    })
}

fn put_rdn(out: &mut Vec<u8>, attributes: &AttributeTable, rdn: &RdnState) {
    put_varint(out, rdn.avas.len() as u64);
    for ava in &rdn.avas {
        attributes.put(out, ava.attribute);
        put_bytes(out, ava.type_text.as_bytes());
        let form = KeyForm::of_text(&ava.key, &ava.value);
        out.push(form as u8);
        if form == KeyForm::Explicit {
            put_bytes(out, ava.key.as_bytes());
        }
        put_bytes(out, &ava.value);
    }
}

fn read_rdn(field: &mut Reader<'_>, attributes: &[AttributeId]) -> Result<RdnState, StateError> {
    let count = field.count(4)?;
    if count == 0 {
        return Err(StateError::Malformed { what: "RDN without values" });
    }
    let mut avas = Vec::with_capacity(count);
    for _ in 0..count {
        let attribute = read_attribute(field, attributes)?;
        let type_text = field.text()?.to_owned();
        let form = KeyForm::from_bits(field.byte()?)?;
        let (key, CellValue::Text(value)) = read_value(field, form)? else {
            return Err(StateError::Malformed { what: "value of an RDN" });
        };
        avas.push(RdnAva { attribute, key, value, type_text });
    }
    Ok(RdnState { avas })
}

fn read_attribute(field: &mut Reader<'_>, attributes: &[AttributeId]) -> Result<AttributeId, StateError> {
    let index = usize::try_from(field.varint()?).unwrap_or(usize::MAX);
    attributes.get(index).copied().ok_or(StateError::Malformed { what: "number of an attribute" })
}

#[cfg(test)]
mod tests;
