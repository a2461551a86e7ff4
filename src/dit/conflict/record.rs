//! The records of the conflict log.
//!
//! Key: CSN of the winner 16, CSN of the loser 16, hash of the place 8. Value: checksum 8, version, rule, place, flags,
//! entryUUID 16, birth, DN, then winner and loser: sequence, requester, content.

use super::{Conflict, ConflictPlace, Side, SideContent};
use crate::dit::DitError;
use crate::dit::catalog::Catalog;
use crate::model::EntryUuid;
use crate::state::conflict::{Place, Rule};
use crate::state::encoding::bytes::{Reader, put_bytes, put_varint};
use crate::state::{CellValue, Csn, Stamp, StateError};
use crate::storage::{StorageError, seal, unseal};

const FORMAT_VERSION: u8 = 1;
const SECRET: u8 = 1;

/// Where a conflict is kept: the same on all members, so nothing local is in it.
pub(super) fn key(winner: &Stamp, loser: &Stamp, place: &Place, catalog: &Catalog) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
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
    let mut key = winner.csn.to_be_bytes().to_vec();
    key.extend_from_slice(&loser.csn.to_be_bytes());
    key.extend(hasher.finalize().as_bytes().iter().take(8));
    key
}

/// When the winner was written, in Unix milliseconds.
pub(super) fn ms_of(key: &[u8]) -> u64 {
    key.first_chunk::<16>().map_or(0, |csn| Csn::from_be_bytes(*csn).ms())
}

/// The name of a conflict by its key.
pub(super) fn name_of(key: &[u8]) -> String {
    let hash = blake3::hash(key);
    let hash: String = hash.as_bytes().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{:011x}-{hash}", ms_of(key))
}

pub(super) fn seal_conflict(key: &[u8], conflict: &Conflict) -> Vec<u8> {
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
        put_varint(&mut out, side.stamp.sequence);
        put_bytes(&mut out, side.requester.as_bytes());
        put_content(&mut out, &side.content);
    }
    seal(key, &mut out);
    out
}

pub(super) fn open(key: &[u8], bytes: &[u8]) -> Result<Conflict, DitError> {
    let body = unseal("conflicts", key, bytes)?;
    read(key, body)
        .map_err(|error| DitError::Storage(StorageError::Corrupted { table: "conflicts", detail: error.to_string() }))
}

fn read(key: &[u8], body: &[u8]) -> Result<Conflict, StateError> {
    let mut csns = Reader::new(key);
    let (winner, loser) = (Csn::from_be_bytes(csns.array()?), Csn::from_be_bytes(csns.array()?));
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
    let mut side = |csn| -> Result<Side, StateError> {
        let stamp = Stamp { csn, sequence: reader.varint()? };
        Ok(Side { stamp, requester: reader.text()?.to_owned(), content: read_content(&mut reader)? })
    };
    let (winner, loser) = (side(winner)?, side(loser)?);
    reader.finish()?;
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
