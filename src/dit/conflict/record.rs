//! The records of the conflict log.
//!
//! | key | value |
//! |---|---|
//! | `c`, CSN of the loser 16, hash of the place 8 | checksum 8, version, rule, place, flags, entryUUID 16, birth, DN, then winner and loser: CSN 16, sequence, requester, content |
//! | `e`, entryUUID 16, what follows the `c` of its conflict | nothing |
//! | `u`, origin 8 of changes whose records are gone | checksum 8, version, first and last number, how many others they met, Unix milliseconds of the last |
//! | `q`, origin and sequence of the record that is awaited, hash 8 | checksum 8, version, entryUUID 16, birth, awaited and older stamp, place |

use super::{Conflict, ConflictPlace, Side, SideContent, UntoldRange};
use crate::dit::DitError;
use crate::dit::catalog::Catalog;
use crate::model::EntryUuid;
use crate::state::conflict::{Place, Question, Rule};
use crate::state::encoding::bytes::{Reader, put_bytes, put_varint};
use crate::state::{CellValue, Csn, Dot, OriginId, Stamp, StateError, ValueKey};
use crate::storage::StorageError;

const FORMAT_VERSION: u8 = 1;
const SECRET: u8 = 1;
/// Conflicts.
pub(super) const CONFLICT: u8 = b'c';
/// Conflicts by entry.
pub(super) const BY_ENTRY: u8 = b'e';
/// Questions.
pub(super) const QUESTION: u8 = b'q';
/// What cannot be told.
pub(super) const UNTOLD: u8 = b'u';
/// The table, for checksums and encryption.
pub(in crate::dit) const TABLE: &str = "conflicts";
/// Bytes of a key after its kind, of a conflict.
const NAME_BYTES: usize = 24;

pub(super) fn is_conflict(key: &[u8]) -> bool {
    key.first() == Some(&CONFLICT)
}

/// The key by entry of a conflict's key.
pub(super) fn entry_key(uuid: EntryUuid, key: &[u8]) -> Vec<u8> {
    [&[BY_ENTRY][..], &uuid.0, key.get(1..).unwrap_or_default()].concat()
}

/// With what keys by entry begin.
pub(super) fn entry_prefix(uuid: EntryUuid) -> Vec<u8> {
    [&[BY_ENTRY][..], &uuid.0].concat()
}

/// The conflict's key of a key by entry.
pub(super) fn of_entry_key(key: &[u8]) -> Option<Vec<u8>> {
    let name = key.strip_prefix(&[BY_ENTRY])?.get(16..).filter(|name| name.len() == NAME_BYTES)?;
    Some([&[CONFLICT][..], name].concat())
}

/// Key of what cannot be told of an origin's changes.
pub(super) fn untold_key(origin: OriginId) -> Vec<u8> {
    [&[UNTOLD][..], &origin.0.to_be_bytes()].concat()
}

/// The origin of such a key.
pub(super) fn untold_origin(key: &[u8]) -> Option<OriginId> {
    key.strip_prefix(&[UNTOLD])?.try_into().ok().map(|origin| OriginId(u64::from_be_bytes(origin)))
}

pub(super) fn seal_untold(catalog: &Catalog, key: &[u8], range: &UntoldRange) -> Result<Vec<u8>, DitError> {
    let mut out = vec![0; 8];
    out.push(FORMAT_VERSION);
    for number in [range.first, range.last, range.count, range.at_ms] {
        put_varint(&mut out, number);
    }
    catalog.record(TABLE, key, out)
}

pub(super) fn open_untold(catalog: &Catalog, key: &[u8], bytes: &[u8]) -> Result<UntoldRange, DitError> {
    let body = catalog.content(TABLE, key, bytes)?;
    let read = || -> Result<UntoldRange, StateError> {
        let mut reader = Reader::new(&body);
        reader.version(FORMAT_VERSION)?;
        let origin = untold_origin(key).ok_or(StateError::Malformed { what: "key of what cannot be told" })?;
        let (first, last) = (reader.varint()?, reader.varint()?);
        Ok(UntoldRange { origin, first, last, count: reader.varint()?, at_ms: reader.varint()? })
    };
    read().map_err(|error| corrupted(&error))
}

/// With what the keys of questions begin that await this record.
pub(super) fn question_prefix(awaited: Dot) -> Vec<u8> {
    [&[QUESTION][..], &awaited.origin.0.to_be_bytes(), &awaited.sequence.to_be_bytes()].concat()
}

/// Which record a question awaits.
pub(super) fn awaited_by(key: &[u8]) -> Option<Dot> {
    let (origin, rest) = key.strip_prefix(&[QUESTION])?.split_first_chunk::<8>()?;
    let (sequence, _) = rest.split_first_chunk::<8>()?;
    Some(Dot { origin: OriginId(u64::from_be_bytes(*origin)), sequence: u64::from_be_bytes(*sequence) })
}

/// A question about an incarnation of an entry as key and value.
pub(super) fn seal_question(
    (uuid, birth): (EntryUuid, Stamp),
    question: &Question,
    catalog: &Catalog,
) -> Result<(Vec<u8>, Vec<u8>), DitError> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&uuid.0).update(&question.older.csn.to_be_bytes());
    hash_place(&question.place, catalog, &mut hasher);
    let mut key = question_prefix(question.awaited.dot());
    key.extend(hasher.finalize().as_bytes().iter().take(8));
    let mut out = vec![0; 8];
    out.push(FORMAT_VERSION);
    out.extend_from_slice(&uuid.0);
    for stamp in [birth, question.awaited, question.older] {
        out.extend_from_slice(&stamp.csn.to_be_bytes());
        put_varint(&mut out, stamp.sequence);
    }
    let name = question.place.attribute().and_then(|attribute| catalog.attribute(attribute));
    let name = name.map(|info| info.key.as_str()).unwrap_or_default();
    match &question.place {
        Place::Rdn => out.push(0),
        Place::Parent => out.push(1),
        Place::Attribute(_) => {
            out.push(2);
            put_bytes(&mut out, name.as_bytes());
        }
        Place::Value(_, value) => {
            out.push(3);
            put_bytes(&mut out, name.as_bytes());
            put_bytes(&mut out, value.as_bytes());
        }
    }
    let record = catalog.record(TABLE, &key, out)?;
    Ok((key, record))
}

/// The incarnation that a question is about, and the question.
type Asked = ((EntryUuid, Stamp), Question);

/// The inverse of [`seal_question`]; `None` where the attribute is not known any more.
pub(super) fn open_question(key: &[u8], bytes: &[u8], catalog: &Catalog) -> Result<Option<Asked>, DitError> {
    let body = catalog.content(TABLE, key, bytes)?;
    let read = || -> Result<Option<Asked>, StateError> {
        let mut reader = Reader::new(&body);
        reader.version(FORMAT_VERSION)?;
        let uuid = EntryUuid(reader.array()?);
        let mut stamp = || -> Result<Stamp, StateError> {
            Ok(Stamp { csn: Csn::from_be_bytes(reader.array()?), sequence: reader.varint()? })
        };
        let (birth, awaited, older) = (stamp()?, stamp()?, stamp()?);
        let kind = reader.byte()?;
        let attribute = if kind < 2 { None } else { catalog.find_key(reader.text()?) };
        let place = match (kind, attribute) {
            (0, _) => Place::Rdn,
            (1, _) => Place::Parent,
            (_, None) => return Ok(None),
            (2, Some(attribute)) => Place::Attribute(attribute),
            (3, Some(attribute)) => {
                let value = ValueKey::from_bytes(reader.bytes()?);
                Place::Value(attribute, value.ok_or(StateError::Malformed { what: "value key" })?)
            }
            _ => return Err(StateError::Malformed { what: "place of a question" }),
        };
        reader.finish()?;
        Ok(Some(((uuid, birth), Question { place, awaited, older })))
    };
    read().map_err(|error| corrupted(&error))
}

fn corrupted(error: &StateError) -> DitError {
    DitError::Storage(StorageError::Corrupted { table: TABLE, detail: error.to_string() })
}

/// A conflict as it travels to another member: its key's name and its record, without what is local.
pub(super) fn portable(catalog: &Catalog, key: &[u8], bytes: &[u8]) -> Result<Vec<u8>, DitError> {
    let body = catalog.content(TABLE, key, bytes)?;
    Ok([key.get(1..).unwrap_or_default(), &body].concat())
}

/// Key and conflict as another member sent them.
pub(super) fn from_portable(bytes: &[u8]) -> Result<(Vec<u8>, Conflict), StateError> {
    let (name, body) = bytes.split_at_checked(NAME_BYTES).ok_or(StateError::Malformed { what: "conflict" })?;
    let key = [&[CONFLICT][..], name].concat();
    let conflict = read(&key, body)?;
    Ok((key, conflict))
}

/// Where a conflict is kept: the same on all members, so nothing local is in it, nor which of several winners came first.
pub(super) fn key(rule: Rule, loser: &Stamp, place: &Place, catalog: &Catalog) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hash_place(place, catalog, &mut hasher);
    if matches!(rule, Rule::Circle | Rule::Repaired) {
        hasher.update(&[0, rule as u8]);
    }
    let mut key = vec![CONFLICT];
    key.extend_from_slice(&loser.csn.to_be_bytes());
    key.extend(hasher.finalize().as_bytes().iter().take(8));
    key
}

fn hash_place(place: &Place, catalog: &Catalog, hasher: &mut blake3::Hasher) {
    match place {
        Place::Rdn => hasher.update(b"n"),
        Place::Parent => hasher.update(b"s"),
        Place::Attribute(_) | Place::Value(..) => hasher.update(b"a"),
    };
    if let Some(info) = place.attribute().and_then(|attribute| catalog.attribute(attribute)) {
        hasher.update(info.key.as_bytes());
    }
    if let Place::Value(_, value) = place {
        hasher.update(b"=").update(value.as_bytes());
    }
}

/// When the loser was written, in Unix milliseconds.
fn ms_of(key: &[u8]) -> u64 {
    let csn = key.get(1..).and_then(|key| key.first_chunk::<16>());
    csn.map_or(0, |csn| Csn::from_be_bytes(*csn).ms())
}

/// The name of a conflict by its key.
pub(super) fn name_of(key: &[u8]) -> String {
    let hash = blake3::hash(key);
    let hash: String = hash.as_bytes().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{:011x}-{hash}", ms_of(key))
}

pub(super) fn seal_conflict(catalog: &Catalog, key: &[u8], conflict: &Conflict) -> Result<Vec<u8>, DitError> {
    let mut out = vec![0; 8];
    out.push(FORMAT_VERSION);
    out.push(conflict.rule as u8);
    match &conflict.place {
        ConflictPlace::Name => out.push(0),
        ConflictPlace::Superior => out.push(1),
        ConflictPlace::Attribute(key) => {
            out.push(2);
            put_bytes(&mut out, key.as_bytes());
        }
    }
    out.push(if conflict.is_secret { SECRET } else { 0 });
    out.extend_from_slice(&conflict.uuid.0);
    out.extend_from_slice(&conflict.birth.csn.to_be_bytes());
    put_varint(&mut out, conflict.birth.sequence);
    put_bytes(&mut out, conflict.dn.as_bytes());
    for side in [&conflict.winner, &conflict.loser] {
        out.extend_from_slice(&side.stamp.csn.to_be_bytes());
        put_varint(&mut out, side.stamp.sequence);
        put_bytes(&mut out, side.requester.as_bytes());
        put_content(&mut out, &side.content);
    }
    catalog.record(TABLE, key, out)
}

pub(super) fn open(catalog: &Catalog, key: &[u8], bytes: &[u8]) -> Result<Conflict, DitError> {
    let body = catalog.content(TABLE, key, bytes)?;
    read(key, &body).map_err(|error| corrupted(&error))
}

fn read(key: &[u8], body: &[u8]) -> Result<Conflict, StateError> {
    let mut reader = Reader::new(body);
    reader.version(FORMAT_VERSION)?;
    let rule = Rule::from_number(reader.byte()?).ok_or(StateError::Malformed { what: "rule of a conflict" })?;
    let place = match reader.byte()? {
        0 => ConflictPlace::Name,
        1 => ConflictPlace::Superior,
        2 => ConflictPlace::Attribute(reader.text()?.to_owned()),
        _ => return Err(StateError::Malformed { what: "place of a conflict" }),
    };
    let is_secret = reader.byte()? & SECRET != 0;
    let uuid = EntryUuid(reader.array()?);
    let birth = Stamp { csn: Csn::from_be_bytes(reader.array()?), sequence: reader.varint()? };
    let dn = reader.text()?.to_owned();
    let mut side = || -> Result<Side, StateError> {
        let stamp = Stamp { csn: Csn::from_be_bytes(reader.array()?), sequence: reader.varint()? };
        Ok(Side { stamp, requester: reader.text()?.to_owned(), content: read_content(&mut reader)? })
    };
    let (winner, loser) = (side()?, side()?);
    reader.finish()?;
    if key.get(1..17) != Some(&loser.stamp.csn.to_be_bytes()) {
        return Err(StateError::Malformed { what: "key of a conflict" });
    }
    Ok(Conflict { id: name_of(key), uuid, birth, dn, place, is_secret, rule, winner, loser })
}

fn put_content(out: &mut Vec<u8>, content: &SideContent) {
    match content {
        SideContent::Values(values) => put_values(out, 0, values),
        SideContent::Without(values) => put_values(out, 1, values),
        SideContent::Name(name) => {
            out.push(2);
            put_bytes(out, name.as_bytes());
        }
        SideContent::Superior(superior) => {
            out.push(3);
            out.extend_from_slice(&superior.0);
        }
        SideContent::Deleted => out.push(4),
        SideContent::Unsaid { count } => {
            out.push(5);
            put_varint(out, *count);
        }
        SideContent::InTheWay(entry) => {
            out.push(6);
            out.extend_from_slice(&entry.0);
        }
    }
}

fn put_values(out: &mut Vec<u8>, kind: u8, values: &[CellValue]) {
    out.push(kind);
    put_varint(out, values.len() as u64);
    for value in values {
        match value {
            CellValue::Text(text) => {
                out.push(0);
                put_bytes(out, text);
            }
            CellValue::Link(target) => {
                out.push(1);
                out.extend_from_slice(&target.0);
            }
        }
    }
}

fn read_content(reader: &mut Reader<'_>) -> Result<SideContent, StateError> {
    Ok(match reader.byte()? {
        0 => SideContent::Values(read_values(reader)?),
        1 => SideContent::Without(read_values(reader)?),
        2 => SideContent::Name(reader.text()?.to_owned()),
        3 => SideContent::Superior(EntryUuid(reader.array()?)),
        4 => SideContent::Deleted,
        5 => SideContent::Unsaid { count: reader.varint()? },
        6 => SideContent::InTheWay(EntryUuid(reader.array()?)),
        _ => return Err(StateError::Malformed { what: "content of a conflict" }),
    })
}

fn read_values(reader: &mut Reader<'_>) -> Result<Vec<CellValue>, StateError> {
    let count = reader.count(2)?;
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        values.push(match reader.byte()? {
            0 => CellValue::Text(reader.bytes()?.to_vec()),
            1 => CellValue::Link(EntryUuid(reader.array()?)),
            _ => return Err(StateError::Malformed { what: "value of a conflict" }),
        });
    }
    Ok(values)
}
