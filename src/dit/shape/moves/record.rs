//! The records of moves that are kept, by stamp and by entry, and what was missing when one was judged.

use super::{Edge, Move, Outcome};
use crate::dit::DitError;
use crate::model::EntryUuid;
use crate::state::{Csn, Stamp};
use crate::storage::{Reader, StorageError, Table};

/// By stamp: the move.
pub(super) const BY_STAMP: u8 = b't';
/// By entry and stamp: nothing.
const BY_ENTRY: u8 = b'e';
/// An entryUUID that was missing when a move was judged: nothing.
pub(super) const MISSING: u8 = b'u';

/// A move, and what became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Kept {
    pub(super) of: Move,
    /// The superior before it.
    pub(super) before: Edge,
    pub(super) outcome: Outcome,
    /// Of a circle: the change that put the entry there which is in the way, and that entry.
    pub(super) by: Option<(Stamp, EntryUuid)>,
}

impl Kept {
    pub(super) fn key(&self) -> (Csn, EntryUuid) {
        (self.of.stamp.csn, self.of.uuid)
    }
}

/// The moves at and after a key, oldest first.
pub(super) fn kept_from(reader: Reader<'_>, from: Option<(Csn, EntryUuid)>) -> Result<Vec<Kept>, DitError> {
    let mut found = Vec::new();
    if reader.count(Table::Moves)? == 0 {
        return Ok(found);
    }
    let start = match from {
        Some((csn, uuid)) => key_of(BY_STAMP, &csn.to_be_bytes(), &uuid.0),
        None => vec![BY_STAMP],
    };
    let mut cursor = reader.cursor(Table::Moves)?;
    let mut item = cursor.seek(&start)?;
    while let Some((key, record)) = item {
        let Some(kept) = kept(key, record)? else { break };
        found.push(kept);
        item = cursor.next()?;
    }
    Ok(found)
}

/// The moves of one entry, oldest first.
pub(super) fn kept_of(reader: Reader<'_>, uuid: EntryUuid) -> Result<Vec<Kept>, DitError> {
    let mut prefix = vec![BY_ENTRY];
    prefix.extend_from_slice(&uuid.0);
    let mut cursor = reader.cursor(Table::Moves)?;
    let mut item = cursor.seek(&prefix)?;
    let mut found = Vec::new();
    while let Some(csn) = item.and_then(|(key, _)| key.strip_prefix(prefix.as_slice())) {
        let key = key_of(BY_STAMP, csn, &uuid.0);
        let record = reader.get(Table::Moves, &key)?;
        found.extend(record.map(|record| kept(&key, record)).transpose()?.flatten());
        item = cursor.next()?;
    }
    Ok(found)
}

fn key_of(kind: u8, first: &[u8], second: &[u8]) -> Vec<u8> {
    [&[kind], first, second].concat()
}

pub(super) fn stamp_key(of: &Move) -> Vec<u8> {
    key_of(BY_STAMP, &of.stamp.csn.to_be_bytes(), &of.uuid.0)
}

pub(super) fn entry_key(of: &Move) -> Vec<u8> {
    key_of(BY_ENTRY, &of.uuid.0, &of.stamp.csn.to_be_bytes())
}

pub(super) fn missing_key(uuid: EntryUuid) -> Vec<u8> {
    key_of(MISSING, &uuid.0, &[])
}

/// sequence u64, new superior 16; superior before: CSN 16, sequence u64, entryUUID 16; outcome u8; of a circle what is in
/// the way: CSN 16, sequence u64, entryUUID 16.
pub(super) fn record_of(kept: &Kept) -> Vec<u8> {
    let mut out = kept.of.stamp.sequence.to_be_bytes().to_vec();
    out.extend_from_slice(&kept.of.parent.0);
    out.extend_from_slice(&kept.before.0.csn.to_be_bytes());
    out.extend_from_slice(&kept.before.0.sequence.to_be_bytes());
    out.extend_from_slice(&kept.before.1.0);
    out.push(kept.outcome as u8);
    if let Some((stamp, uuid)) = kept.by {
        out.extend_from_slice(&stamp.csn.to_be_bytes());
        out.extend_from_slice(&stamp.sequence.to_be_bytes());
        out.extend_from_slice(&uuid.0);
    }
    out
}

/// A record by stamp; `None` for a key of another kind.
pub(super) fn kept(key: &[u8], record: &[u8]) -> Result<Option<Kept>, DitError> {
    let Some(key) = key.strip_prefix(&[BY_STAMP]) else { return Ok(None) };
    let read = || {
        let (csn, uuid) = key.split_first_chunk::<16>()?;
        let (sequence, rest) = record.split_first_chunk::<8>()?;
        let (parent, rest) = rest.split_first_chunk::<16>()?;
        let (before_csn, rest) = rest.split_first_chunk::<16>()?;
        let (before_sequence, rest) = rest.split_first_chunk::<8>()?;
        let (before, rest) = rest.split_first_chunk::<16>()?;
        let (outcome, rest) = rest.split_first()?;
        let outcome = match outcome {
            0 => Outcome::Made,
            1 => Outcome::Circle,
            2 => Outcome::Waits,
            _ => return None,
        };
        let stamp = |csn: &[u8; 16], sequence: &[u8; 8]| Stamp {
            csn: Csn::from_be_bytes(*csn),
            sequence: u64::from_be_bytes(*sequence),
        };
        let of =
            Move { stamp: stamp(csn, sequence), uuid: EntryUuid(uuid.try_into().ok()?), parent: EntryUuid(*parent) };
        let by = match rest.split_first_chunk::<16>() {
            Some((csn, rest)) => {
                let (sequence, rest) = rest.split_first_chunk::<8>()?;
                Some((stamp(csn, sequence), EntryUuid(rest.try_into().ok()?)))
            }
            None => None,
        };
        Some(Kept { of, before: (stamp(before_csn, before_sequence), EntryUuid(*before)), outcome, by })
    };
    read().map(Some).ok_or_else(|| {
        let detail = "the record of a move is cut short".to_owned();
        StorageError::Corrupted { table: "moves", detail }.into()
    })
}
