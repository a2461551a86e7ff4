//! The log: each origin's updates as they were written or received, and how far they are held.
//!
//! A record is stored as it is sent, with the hash chain after it, so that it goes from disk to a peer without being
//! looked into. The element of the update vector says up to where an origin's updates are *held* (their effect is in
//! the entries), and from where on their records are *kept*: what was loaded or came by a state exchange has none.
//!
//! Invariants
//! - vector-no-holes: an origin's kept records are dense from its floor to its sequence.
//! - A transaction writes an element of the vector once, at its commit, however many updates it took.

use super::DitError;
use super::catalog::Catalog;
use super::view::View;
use super::writing::Writing;
use crate::state::encoding::update::is_joined;
use crate::state::{LogRecord, OriginId, OriginPosition, UpdateVector};
use crate::storage::{PutMode, Reader, Recent, StorageError, Table, log_key};
use std::collections::BTreeMap;

/// The table, for checksums and encryption.
pub(super) const TABLE: &str = "log";
/// Bytes of a log record before the update: checksum, chain.
const HEAD_BYTES: usize = 8 + 16;

/// Elements of the vector that stand in `current`: this node's and those of a few whose changes come here.
const RECENT_MAX: usize = 4;
/// Log records by which the log exceeds its limit before any are dropped: a page of them goes at once.
const TRIM_STEP: u64 = 1024;
/// Log records dropped in one commit at most because the log is over its limit.
const TRIM_MAX: u64 = 4096;

/// How far an origin's updates are held, and which of their records are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Held {
    /// Held up to here.
    pub(super) position: OriginPosition,
    /// Records are kept from this sequence on; one above the position when there are none.
    pub(super) floor: u64,
    /// What these updates left behind for the absent was looked through up to here (`settle`).
    pub(super) settled: u64,
}

impl Default for Held {
    fn default() -> Self {
        Self { position: OriginPosition::default(), floor: 1, settled: 0 }
    }
}

impl Held {
    /// The element of `origin` as the file has it; the start if there is none.
    pub(super) fn read(reader: Reader<'_>, origin: OriginId) -> Result<Self, DitError> {
        let element = match reader.get(Table::Current, &Recent::Vector.key(origin.0))? {
            Some(bytes) => Some(bytes),
            None => reader.get(Table::Vector, &origin.0.to_be_bytes())?,
        };
        match element {
            Some(bytes) => Self::decode(origin, bytes),
            None => Ok(Self::default()),
        }
    }

    fn decode(origin: OriginId, bytes: &[u8]) -> Result<Self, DitError> {
        let parts = || {
            let (sequence, rest) = bytes.split_first_chunk::<8>()?;
            let (chain, rest) = rest.split_first_chunk::<16>()?;
            let (floor, rest) = rest.split_first_chunk::<8>()?;
            let (settled, closed) = rest.split_first_chunk::<8>()?;
            let position = OriginPosition {
                sequence: u64::from_be_bytes(*sequence),
                chain: *chain,
                closed: closed.try_into().ok().map(u64::from_be_bytes),
            };
            Some(Self { position, floor: u64::from_be_bytes(*floor), settled: u64::from_be_bytes(*settled) })
        };
        parts().ok_or_else(|| {
            let detail = format!("the element of origin {origin}");
            DitError::Storage(StorageError::Corrupted { table: "vector", detail })
        })
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.position.sequence.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.position.chain);
        bytes.extend_from_slice(&self.floor.to_be_bytes());
        bytes.extend_from_slice(&self.settled.to_be_bytes());
        bytes.extend(self.position.closed.into_iter().flat_map(u64::to_be_bytes));
        bytes
    }

    /// How many records are kept, but for the newest.
    fn kept_before_newest(&self) -> u64 {
        self.position.sequence.saturating_sub(self.floor)
    }

    /// How many of these every supplier holds, as far as that was looked into.
    fn kept_though_settled(&self) -> u64 {
        (self.settled.min(self.position.sequence.saturating_sub(1)) + 1).saturating_sub(self.floor)
    }
}

/// Every origin's element.
pub(super) fn all_held(reader: Reader<'_>) -> Result<BTreeMap<OriginId, Held>, DitError> {
    let mut held = BTreeMap::new();
    let mut cursor = reader.cursor(Table::Vector)?;
    let mut item = cursor.first()?;
    while let Some((key, bytes)) = item {
        let origin = OriginId(key.try_into().map_or(0, u64::from_be_bytes));
        held.insert(origin, Held::decode(origin, bytes)?);
        item = cursor.next()?;
    }
    held.extend(recent_held(reader)?);
    Ok(held)
}

/// The elements that stand in `current`, and are newer than those of the table.
fn recent_held(reader: Reader<'_>) -> Result<BTreeMap<OriginId, Held>, DitError> {
    let rows = reader.recent(Recent::Vector)?.into_iter();
    rows.map(|(origin, bytes)| Ok((OriginId(origin), Held::decode(OriginId(origin), bytes)?))).collect()
}

/// A stretch of an origin's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LogRange {
    /// Records from the number asked for on, dense and rising; none when there are no more.
    Records(Vec<LogRecord>),
    /// The number asked for is not kept any more, or never had a record (it was loaded, or came by a state exchange):
    /// whole entries must be exchanged.
    Trimmed {
        /// The oldest number that is kept, or will be.
        first_kept: u64,
    },
}

impl View<'_> {
    /// How far each origin's updates are held, as of the last commit. Cost: O(origins).
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn update_vector(&self) -> Result<UpdateVector, DitError> {
        Ok(UpdateVector::from_positions(
            all_held(self.reader())?.into_iter().map(|(origin, held)| (origin, held.position)),
        ))
    }

    /// For each origin the oldest number of which a record is kept (one above the newest held when there is none).
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn log_floors(&self) -> Result<BTreeMap<OriginId, u64>, DitError> {
        Ok(all_held(self.reader())?.into_iter().map(|(origin, held)| (origin, held.floor)).collect())
    }

    /// An origin's records from number `from` on, up to `bytes_max` bytes of updates, at least one if there is one.
    ///
    /// # Errors
    /// [`DitError::Storage`], a failed checksum among them.
    pub fn log_range(&self, origin: OriginId, from: u64, bytes_max: usize) -> Result<LogRange, DitError> {
        let held = Held::read(self.reader(), origin)?;
        let from = from.max(1);
        if from < held.floor {
            return Ok(LogRange::Trimmed { first_kept: held.floor });
        }
        let mut records = Vec::new();
        let mut bytes = 0;
        let mut cursor = self.reader().cursor(Table::Log)?.reading_ahead();
        let mut item = if from > held.position.sequence { None } else { cursor.seek(&log_key(origin, from))? };
        while let Some((key, value)) = item {
            let record = open_record(self.catalog(), key, value)?;
            bytes += record.bytes.len();
            let expected = from + records.len() as u64;
            // What was made together is not cut apart; how much that is was limited when it was made.
            let is_full = bytes > bytes_max && !records.is_empty() && !is_joined(&record.bytes);
            if record.origin != origin || is_full {
                break;
            }
            if record.sequence != expected {
                return Err(hole(origin, expected));
            }
            records.push(record);
            item = cursor.next()?;
        }
        if records.is_empty() && from <= held.position.sequence {
            return Err(hole(origin, from));
        }
        Ok(LogRange::Records(records))
    }

    /// The hash chain after number `sequence` of an origin; `None` where it is not known: neither its record is kept nor it
    /// is the newest held.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn log_chain(&self, origin: OriginId, sequence: u64) -> Result<Option<[u8; 16]>, DitError> {
        let held = Held::read(self.reader(), origin)?;
        chain_at(self.reader(), self.catalog(), origin, &held, sequence)
    }
}

/// As [`View::log_chain`].
pub(super) fn chain_at(
    reader: Reader<'_>,
    catalog: &Catalog,
    origin: OriginId,
    held: &Held,
    sequence: u64,
) -> Result<Option<[u8; 16]>, DitError> {
    if sequence == held.position.sequence {
        return Ok(held.position.known_chain());
    }
    if sequence == 0 {
        return Ok(Some(OriginPosition::default().chain));
    }
    if sequence < held.floor || sequence > held.position.sequence {
        return Ok(None);
    }
    let key = log_key(origin, sequence);
    match reader.get(Table::Log, &key)? {
        Some(value) => Ok(Some(open_record(catalog, &key, value)?.chain)),
        None => Err(hole(origin, sequence)),
    }
}

/// Origin and sequence of a key of the log.
pub(super) fn log_place(key: &[u8]) -> (OriginId, u64) {
    let parts = key.split_first_chunk::<8>().map_or((0, 0), |(origin, sequence)| {
        (u64::from_be_bytes(*origin), sequence.try_into().map_or(0, u64::from_be_bytes))
    });
    (OriginId(parts.0), parts.1)
}

/// The record under a key of the log.
pub(super) fn open_record(catalog: &Catalog, key: &[u8], value: &[u8]) -> Result<LogRecord, DitError> {
    let body = catalog.content(TABLE, key, value)?;
    let (origin, sequence) = log_place(key);
    let (chain, bytes) = body.split_first_chunk::<16>().ok_or_else(|| {
        let detail = format!("record {sequence} of origin {origin} is cut short");
        DitError::Storage(StorageError::Corrupted { table: TABLE, detail })
    })?;
    Ok(LogRecord { origin, sequence, chain: *chain, bytes: bytes.to_vec() })
}

fn hole(origin: OriginId, sequence: u64) -> DitError {
    let detail = format!("record {sequence} of origin {origin} is missing");
    DitError::Storage(StorageError::Corrupted { table: "log", detail })
}

impl Writing<'_> {
    /// How far an origin's updates are held, this transaction's among them.
    pub(super) fn held(&self, origin: OriginId) -> Result<Held, DitError> {
        if origin == self.origin() {
            return Ok(self.own);
        }
        match self.others.get(&origin) {
            Some(held) => Ok(*held),
            None => Held::read(self.txn.reader(), origin),
        }
    }

    /// Sets what is held of an origin; written at the commit.
    pub(super) fn set_held(&mut self, origin: OriginId, held: Held) {
        if origin == self.origin() {
            self.own = held;
            self.stamped = true;
        } else {
            self.others.insert(origin, held);
            self.known = None;
        }
    }

    /// How far each origin's updates are held, this transaction's among them. Cost: O(origins).
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn update_vector(&self) -> Result<UpdateVector, DitError> {
        Ok(UpdateVector::from_positions(self.all_held()?.into_iter().map(|(origin, held)| (origin, held.position))))
    }

    pub(super) fn all_held(&self) -> Result<BTreeMap<OriginId, Held>, DitError> {
        let mut all = all_held(self.txn.reader())?;
        all.extend(&self.others);
        if self.own != Held::default() {
            all.insert(self.origin(), self.own);
        }
        Ok(all)
    }

    /// Appends a record to its origin's log and moves the origin's position there. `value` has room for checksum and
    /// chain before the update's bytes ([`log_value`]).
    pub(super) fn append(&mut self, origin: OriginId, mut held: Held, mut value: Vec<u8>) -> Result<(), DitError> {
        let sequence = held.position.sequence + 1;
        self.note_arrival(origin, sequence)?;
        let bytes = value.get(HEAD_BYTES..).unwrap_or_default();
        let chain = held.position.chain_next(bytes);
        if let Some(place) = value.get_mut(HEAD_BYTES - 16..HEAD_BYTES) {
            place.copy_from_slice(&chain);
        }
        held.position.sequence = sequence;
        held.position.chain = chain;
        let key = log_key(origin, sequence);
        let value = self.catalog.record(TABLE, &key, value)?;
        self.txn.put(Table::Log, &key, &value, PutMode::Rising)?;
        self.set_held(origin, held);
        Ok(())
    }

    /// Writes the elements of the vector that changed: where they are few beside what the table `current` has, there.
    pub(super) fn write_vector(&mut self) -> Result<(), DitError> {
        let mut changed = std::mem::take(&mut self.others);
        if self.stamped {
            changed.insert(self.origin(), self.own);
        }
        let recent = recent_held(self.txn.reader())?;
        let more = changed.keys().filter(|origin| !recent.contains_key(origin)).count();
        if recent.len() + more <= RECENT_MAX {
            for (origin, held) in changed {
                self.txn.put(Table::Current, &Recent::Vector.key(origin.0), &held.encode(), PutMode::Upsert)?;
            }
            return Ok(());
        }
        for origin in recent.keys() {
            self.txn.delete(Table::Current, &Recent::Vector.key(origin.0), None)?;
        }
        let mut moved = recent;
        moved.extend(changed);
        for (origin, held) in moved {
            self.txn.put(Table::Vector, &origin.0.to_be_bytes(), &held.encode(), PutMode::Upsert)?;
        }
        Ok(())
    }

    /// Drops the oldest records of the longest logs when all together are more than are to be kept: first of what every
    /// supplier is known to hold, then whoever lacks them. The newest of each origin stays: it says what its writer had not
    /// met by then (`conflict`).
    pub(super) fn trim_to_limit(&mut self) -> Result<(), DitError> {
        let (kept, limit) = (self.txn.reader().count(Table::Log)?, self.dit.log_records_max());
        let mut excess = kept.saturating_sub(limit).min(TRIM_MAX);
        if excess < TRIM_STEP.min(limit / 64 + 1) {
            return Ok(());
        }
        for droppable in [Held::kept_though_settled, Held::kept_before_newest] {
            while excess > 0 {
                let longest = self.all_held()?.into_iter().max_by_key(|(_, held)| droppable(held));
                let Some((origin, held)) = longest else { break };
                let dropped = self.drop_log_below(origin, held.floor + droppable(&held).min(excess), excess)?;
                if dropped == 0 {
                    break;
                }
                excess -= dropped.min(excess);
            }
        }
        Ok(())
    }

    /// Drops an origin's records below `floor`, at most `work_max`. Returns how many.
    pub(super) fn drop_log_below(&mut self, origin: OriginId, floor: u64, work_max: u64) -> Result<u64, DitError> {
        let mut held = self.held(origin)?;
        let floor = floor.min(held.position.sequence + 1);
        let mut keys: Vec<[u8; 16]> = Vec::new();
        let mut not_looked_through: Vec<LogRecord> = Vec::new();
        let mut cursor = self.txn.reader().cursor(Table::Log)?;
        let mut item = cursor.seek(&log_key(origin, 0))?;
        while let Some((key, value)) = item
            && log_place(key) < (origin, floor)
            && (keys.len() as u64) < work_max
        {
            if log_place(key).1 > held.settled {
                not_looked_through.push(open_record(&self.catalog, key, value)?);
            }
            keys.extend(<[u8; 16]>::try_from(key));
            item = cursor.next()?;
        }
        drop(cursor);
        for record in &not_looked_through {
            self.note_absence_in(record)?;
        }
        for key in &keys {
            self.txn.delete(Table::Log, key, None)?;
            self.txn.delete(Table::LostLinks, key, None)?;
        }
        let next = keys.last().map_or(held.floor, |key| log_place(key).1 + 1).max(held.floor);
        if next != held.floor {
            held.floor = next;
            self.set_held(origin, held);
        }
        Ok(keys.len() as u64)
    }
}

/// The value of a log record without checksum and chain yet, to which the update's bytes are appended.
pub(super) fn log_value(bytes: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEAD_BYTES + bytes.len().max(232));
    value.resize(HEAD_BYTES, 0);
    value.extend_from_slice(bytes);
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::dit::{Dit, Options};
    use crate::schema::Schema;
    use std::sync::Arc;

    fn elements(dit: &Dit) -> [u64; 2] {
        let snapshot = dit.read().unwrap();
        let reader = snapshot.view().reader();
        [reader.recent(Recent::Vector).unwrap().len() as u64, reader.count(Table::Vector).unwrap()]
    }

    /// Few elements stand in `current`; the newest is read wherever it stands.
    #[test]
    fn the_vector_is_the_same_wherever_its_elements_stand() {
        let folder = tempfile::tempdir().unwrap();
        let dit =
            Dit::open(Options::new(folder.path()), Arc::new(Schema::builtin()), Clock::simulated(1_700_000_000_000))
                .unwrap();
        dit.set_administrator("cn=admin", b"x").unwrap();
        let vector = || -> BTreeMap<_, _> {
            dit.read()
                .unwrap()
                .view()
                .update_vector()
                .unwrap()
                .iter()
                .map(|(origin, position)| (origin, *position))
                .collect()
        };
        let mut expected = vector();
        let mut moved = false;
        for round in 1..=8_u64 {
            for origin in (1..=round).map(OriginId) {
                let position =
                    OriginPosition { sequence: round * 10 + origin.0, chain: [round as u8; 16], closed: None };
                let held = Held { position, floor: round, settled: origin.0 };
                dit.change_offline(|writing| {
                    writing.set_held(origin, held);
                    assert_eq!(writing.held(origin)?, held);
                    Ok(())
                })
                .unwrap();
                expected.insert(origin, position);
                let snapshot = dit.read().unwrap();
                assert_eq!(Held::read(snapshot.view().reader(), origin).unwrap(), held);
                assert_eq!(vector(), expected);
                assert_eq!(snapshot.view().log_floors().unwrap().get(&origin), Some(&round));
                let [recent, in_table] = elements(&dit);
                assert!(recent <= RECENT_MAX as u64, "{recent}");
                moved |= in_table > 0 && recent > 0;
            }
        }
        assert!(moved);
    }
}
