//! Values and their cells in bytes: beside their siblings in a state record, or alone in the table of big attributes.
//!
//! A key mostly follows from its value (the same bytes, or the same in lower case), and is then only named by a *form*.
//! Forms are rules over bytes, fixed with the format version; they know no schema.

use crate::model::entry_uuid::EntryUuid;
use crate::state::cells::{Cell, CellValue};
use crate::state::csn::{Csn, MS_MAX, OriginId, Stamp};
use crate::state::encoding::bytes::{Reader, put_bytes, put_signed, put_varint};
use crate::state::error::StateError;
use crate::state::value_key::ValueKey;

const FORMAT_VERSION: u8 = 2;

/// How key and value stand to each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(in crate::state) enum KeyForm {
    /// Both are written.
    Explicit = 0,
    /// The key is the value.
    Same = 1,
    /// The key is the value in lower case (ASCII).
    Lower = 2,
    /// The key is the value in lower case without blanks and `-()./` (telephone numbers).
    Squeezed = 3,
    /// Key and value name one entry.
    Link = 4,
    /// The value names an entry, the key is something else.
    ExplicitLink = 5,
}

impl KeyForm {
    pub(in crate::state) fn of(key: &ValueKey, value: &CellValue) -> Self {
        let raw = match value {
            CellValue::Link(target) if key.as_link() == Some(*target) => return Self::Link,
            CellValue::Link(_) => return Self::ExplicitLink,
            CellValue::Text(raw) => raw,
        };
        Self::of_text(key, raw)
    }

    pub(in crate::state) fn of_text(key: &ValueKey, raw: &[u8]) -> Self {
        match key.as_plain() {
            Some(plain) if plain == raw => Self::Same,
            Some(plain) if plain.len() == raw.len() && lower(raw).eq(plain.iter().copied()) => Self::Lower,
            Some(plain) if plain.len() < raw.len() && squeezed(raw).eq(plain.iter().copied()) => Self::Squeezed,
            _ => Self::Explicit,
        }
    }

    pub(in crate::state) fn from_bits(bits: u8) -> Result<Self, StateError> {
        Ok(match bits {
            0 => Self::Explicit,
            1 => Self::Same,
            2 => Self::Lower,
            3 => Self::Squeezed,
            4 => Self::Link,
            5 => Self::ExplicitLink,
            _ => return Err(StateError::Malformed { what: "form of a key" }),
        })
    }
}

fn lower(raw: &[u8]) -> impl Iterator<Item = u8> {
    raw.iter().map(u8::to_ascii_lowercase)
}

fn squeezed(raw: &[u8]) -> impl Iterator<Item = u8> {
    lower(raw).filter(|byte| !matches!(byte, b' ' | b'-' | b'(' | b')' | b'.' | b'/'))
}

/// Writes key and value in the form that [`KeyForm::of`] found.
pub(in crate::state) fn put_value(out: &mut Vec<u8>, form: KeyForm, key: &ValueKey, value: &CellValue) {
    if matches!(form, KeyForm::Explicit | KeyForm::ExplicitLink) {
        put_bytes(out, key.as_bytes());
    }
    match value {
        CellValue::Text(raw) => put_bytes(out, raw),
        CellValue::Link(target) => out.extend_from_slice(&target.0),
    }
}

/// Reads key and value written in this form.
pub(in crate::state) fn read_value(
    reader: &mut Reader<'_>,
    form: KeyForm,
) -> Result<(ValueKey, CellValue), StateError> {
    match form {
        KeyForm::Explicit => {
            let key = read_key(reader)?;
            Ok((key, CellValue::Text(reader.bytes()?.to_vec())))
        }
        KeyForm::Same | KeyForm::Lower | KeyForm::Squeezed => {
            let raw = reader.bytes()?;
            let key = match form {
                KeyForm::Same => ValueKey::plain_of(raw),
                KeyForm::Lower => ValueKey::plain_lower(raw),
                _ => ValueKey::plain_from(squeezed(raw)),
            };
            Ok((key.ok_or(StateError::Malformed { what: "length of a key" })?, CellValue::Text(raw.to_vec())))
        }
        KeyForm::Link => {
            let target = EntryUuid(reader.array()?);
            Ok((ValueKey::link(target), CellValue::Link(target)))
        }
        KeyForm::ExplicitLink => {
            let key = read_key(reader)?;
            Ok((key, CellValue::Link(EntryUuid(reader.array()?))))
        }
    }
}

pub(in crate::state) fn read_key(reader: &mut Reader<'_>) -> Result<ValueKey, StateError> {
    ValueKey::from_bytes(reader.bytes()?).ok_or(StateError::Malformed { what: "key of a value" })
}

/// Writes a stamp whole: the origin by its local number (times two, plus one if an epoch follows), then time, counter
/// and sequence.
pub(in crate::state) fn put_stamp(out: &mut Vec<u8>, stamp: Stamp, origin: u16) {
    put_origin(out, stamp, origin);
    out.extend(stamp.csn.ms().to_be_bytes().into_iter().skip(2));
    put_varint(out, u64::from(stamp.csn.counter()));
    put_varint(out, stamp.sequence);
}

/// As [`put_stamp`], with the time as the difference to that of `before`, a stamp that the reader knows.
pub(in crate::state) fn put_stamp_after(out: &mut Vec<u8>, stamp: Stamp, origin: u16, before: Stamp) {
    put_origin(out, stamp, origin);
    put_signed(out, stamp.csn.ms() as i64 - before.csn.ms() as i64);
    put_varint(out, u64::from(stamp.csn.counter()));
    put_varint(out, stamp.sequence);
}

fn put_origin(out: &mut Vec<u8>, stamp: Stamp, origin: u16) {
    let epoch = stamp.csn.epoch();
    put_varint(out, u64::from(origin) << 1 | u64::from(epoch != 0));
    if epoch != 0 {
        put_varint(out, u64::from(epoch));
    }
}

/// The inverse of [`put_stamp`]; with `before`, of [`put_stamp_after`].
pub(in crate::state) fn read_stamp(
    reader: &mut Reader<'_>,
    resolve: &impl Fn(u16) -> Option<OriginId>,
    before: Option<Stamp>,
) -> Result<Stamp, StateError> {
    let number = reader.varint()?;
    let index = u16::try_from(number >> 1).map_err(|_| StateError::Malformed { what: "number over 16 bits" })?;
    let origin = resolve(index).ok_or(StateError::UnknownOrigin { index })?;
    let epoch = if number & 1 == 0 { 0 } else { read_u16(reader)? };
    let ms = match before {
        None => {
            let [a, b, c, d, e, f] = reader.array()?;
            u64::from_be_bytes([0, 0, a, b, c, d, e, f])
        }
        Some(before) => {
            let ms = before.csn.ms().checked_add_signed(reader.signed()?).filter(|ms| *ms <= MS_MAX);
            ms.ok_or(StateError::Malformed { what: "time of a stamp" })?
        }
    };
    let counter = read_u16(reader)?;
    Ok(Stamp { csn: Csn::with_epoch(epoch, ms, counter, origin), sequence: reader.varint()? })
}

fn read_u16(reader: &mut Reader<'_>) -> Result<u16, StateError> {
    u16::try_from(reader.varint()?).map_err(|_| StateError::Malformed { what: "number over 16 bits" })
}

/// Appends the record of one cell of a big attribute; its key is the table's. `intern` gives an origin's local number.
///
/// # Errors
/// [`StateError::OriginTableFull`] if `intern` gives none.
pub fn encode_cell(
    key: &ValueKey,
    cell: &Cell,
    mut intern: impl FnMut(OriginId) -> Option<u16>,
    out: &mut Vec<u8>,
) -> Result<(), StateError> {
    let origin = cell.stamp.csn.origin();
    let index = intern(origin).ok_or(StateError::OriginTableFull(origin))?;
    let form = match &cell.value {
        CellValue::Link(target) if key.as_link() == Some(*target) => KeyForm::Link,
        CellValue::Link(_) => KeyForm::ExplicitLink,
        CellValue::Text(raw) if key.as_plain() == Some(raw) => KeyForm::Same,
        CellValue::Text(_) => KeyForm::Explicit,
    };
    out.push(FORMAT_VERSION);
    out.push(form as u8 | u8::from(cell.present) << 3);
    put_stamp(out, cell.stamp, index);
    put_varint(out, u64::from(cell.order));
    match (form, &cell.value) {
        (KeyForm::Explicit, CellValue::Text(raw)) => out.extend_from_slice(raw),
        (KeyForm::ExplicitLink, CellValue::Link(target)) => out.extend_from_slice(&target.0),
        _ => {}
    }
    Ok(())
}

/// The inverse of [`encode_cell`]; `resolve` gives the origin of a local number.
///
/// # Errors
/// Any [`StateError`] about bytes.
pub fn decode_cell(
    key: &ValueKey,
    bytes: &[u8],
    resolve: impl Fn(u16) -> Option<OriginId>,
) -> Result<Cell, StateError> {
    let mut reader = Reader::new(bytes);
    reader.version(FORMAT_VERSION)?;
    let head = reader.byte()?;
    if head >> 4 != 0 {
        return Err(StateError::Malformed { what: "head of a cell" });
    }
    let form = KeyForm::from_bits(head & 7)?;
    let stamp = read_stamp(&mut reader, &resolve, None)?;
    let order = reader.varint_u32()?;
    let wrong = StateError::Malformed { what: "form of a cell" };
    let value = match form {
        KeyForm::Explicit => CellValue::Text(reader.take(reader.remaining())?.to_vec()),
        KeyForm::Same => CellValue::Text(key.as_plain().ok_or(wrong)?.to_vec()),
        KeyForm::Link => CellValue::Link(key.as_link().ok_or(wrong)?),
        KeyForm::ExplicitLink => CellValue::Link(EntryUuid(reader.array()?)),
        KeyForm::Lower | KeyForm::Squeezed => return Err(wrong),
    };
    reader.finish()?;
    Ok(Cell { stamp, order, present: head & 8 != 0, value })
}
