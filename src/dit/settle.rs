//! Forgetting: what only a change could need that is still on its way to somebody.
//!
//! That a value is gone must be kept as long as some member may bring an older write of it. The stable cut says which
//! changes every member holds; the absence that those left behind is dropped. To find it nobody walks all entries: the
//! log is read on from where the last time ended, and only entries of which a record says that something is gone are
//! looked at. Absence that came without a record (by an exchange of whole entries), that outlives its record, or whose
//! stamp is ahead of the clock stands in the table `unsettled`.
//!
//! Deleted entries are kept whole for a time, for undeleting, and then go altogether: that their birth is held and
//! they are not here says that they were deleted.
//!
//! Invariants
//! - Dropped is only what is below the stable cut *and* older than the local clock. A change to come is newer than what
//!   it touches where that is still kept, and newer than the clock where it is not.
//! - A log record that leaves absence is dropped only after it was looked through, or noted in `unsettled`.
//! - A deleted entry stays while entries are below it, until every member holds that none are, and while a move that is
//!   kept names it or what it stands above: whoever still showed it may have put something below it. It stays until every member holds its birth.
//!   That all hold its deletion does not say that all know that nothing is below it: who lacks the deletion of what
//!   was there shows it as a phantom, and takes what clients put below it.

use super::DitError;
use super::log::{all_held, log_place, open_record};
use super::mutant::Mutant;
use super::spill;
use super::writing::{Writing, read_state};
use crate::state::encoding::update::{decode_update, leaves_absence};
use crate::state::{AttributeId, Csn, Delta, EntryState, LogRecord, OriginId, StableCut, Stamp, Update, ValueKey};
use crate::storage::{EntryId, PutMode, Table, bigvalue_key, bigvalue_prefix, log_key, uuid2id_key};
use std::collections::BTreeMap;

/// What a call of [`Writing::settle`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Settled {
    /// Records looked at.
    pub looked_at: u64,
    /// Entries of which something was forgotten.
    pub forgotten: u64,
    /// Deleted entries that are gone altogether.
    pub purged: u64,
    /// Whether the work allowed was used up: call again.
    pub more: bool,
}

/// A cell of a spilled attribute.
type SpilledCell = (AttributeId, ValueKey);

/// Whether a state says of anything that it is not there.
pub(super) fn has_absence(state: &EntryState) -> bool {
    state.attributes.values().any(|held| held.clear.is_some() || held.cells.values().any(|cell| !cell.present))
}

impl Writing<'_> {
    /// Forgets absence that every member holds, and deleted entries that were kept long enough. Looks at about `work_max`
    /// records at most; cost a microsecond for each, some twenty for each entry changed.
    ///
    /// `known` is what all held at some moment, when all that anybody held then has come to all since: a move among that which
    /// waits for a birth waits in vain.
    ///
    /// # Errors
    /// [`DitError::Storage`], [`DitError::State`]: the transaction is then to be dropped.
    pub fn settle(&mut self, cut: &StableCut, known: &StableCut, work_max: usize) -> Result<Settled, DitError> {
        let mut settled = Settled::default();
        let work_max = work_max as u64;
        for origin in cut.keys() {
            self.settle_log(*origin, cut, work_max, &mut settled)?;
            self.settle_noted(*origin, cut, work_max, &mut settled)?;
        }
        let clock = self.forget_below();
        let left = work_max.saturating_sub(settled.looked_at) as usize;
        settled.looked_at +=
            self.prune_moves(|stamp| is_settled(cut, clock, stamp), |stamp| is_settled(known, clock, stamp), left)?
                as u64;
        self.purge_deleted(cut, work_max, &mut settled)?;
        self.sweep_conflicts()?;
        settled.more = settled.looked_at >= work_max;
        Ok(settled)
    }

    /// What is older than this and held by every member is forgotten.
    fn forget_below(&self) -> Csn {
        if self.dit.lacks(Mutant::NoClockGuard) { Csn::from_be_bytes([0xff; 16]) } else { self.clock.last() }
    }

    /// Reads an origin's log on to the cut.
    fn settle_log(
        &mut self,
        origin: OriginId,
        cut: &StableCut,
        work_max: u64,
        settled: &mut Settled,
    ) -> Result<(), DitError> {
        let held = self.held(origin)?;
        let to = cut.get(&origin).copied().unwrap_or(0).min(held.position.sequence);
        let mut done = held.settled;
        let mut leaving: Vec<LogRecord> = Vec::new();
        let mut cursor = self.txn.reader().cursor(Table::Log)?;
        let mut item = if done < to { cursor.seek(&log_key(origin, done + 1))? } else { None };
        while done < to && settled.looked_at < work_max {
            let Some((key, value)) = item.filter(|(key, _)| log_place(key) <= (origin, to)) else {
                // The rest has no records.
                done = to;
                break;
            };
            settled.looked_at += 1;
            let record = open_record(&self.catalog, key, value)?;
            done = record.sequence;
            if leaves_absence(&record.bytes) {
                leaving.push(record);
            }
            item = cursor.next()?;
        }
        drop(cursor);
        for record in &leaving {
            settled.looked_at += 1;
            let Some((update, cells)) = self.absence_in(record)? else { continue };
            let Some(id) = self.id_of(update.uuid, update.birth)? else { continue };
            if update.stamp.csn >= self.forget_below() {
                self.note_absence(update.stamp, id, &cells)?;
            } else if self.forget(id, cut, &cells)? {
                settled.forgotten += 1;
            }
        }
        if done > held.settled {
            let mut held = self.held(origin)?;
            held.settled = done;
            self.set_held(origin, held);
        }
        Ok(())
    }

    /// Looks at what was noted of an origin up to the cut.
    fn settle_noted(
        &mut self,
        origin: OriginId,
        cut: &StableCut,
        work_max: u64,
        settled: &mut Settled,
    ) -> Result<(), DitError> {
        let to = cut.get(&origin).copied().unwrap_or(0);
        let clock = self.forget_below();
        let mut due: Vec<(Vec<u8>, EntryId, Vec<SpilledCell>)> = Vec::new();
        let mut cursor = self.txn.reader().cursor(Table::Unsettled)?;
        let mut item = cursor.seek(&origin.0.to_be_bytes())?;
        while let Some((key, csn)) = item
            && settled.looked_at < work_max
        {
            let Some(noted) = Noted::read(key, csn).filter(|noted| noted.origin == origin && noted.sequence <= to)
            else {
                break;
            };
            settled.looked_at += 1;
            if noted.csn < clock {
                due.push((key.to_vec(), noted.id, noted.cell.into_iter().collect()));
            }
            item = cursor.next()?;
        }
        drop(cursor);
        for (key, id, cells) in due {
            settled.forgotten += u64::from(self.forget(id, cut, &cells)?);
            self.txn.delete(Table::Unsettled, &key, None)?;
        }
        Ok(())
    }

    /// Drops what is settled of an entry, and of these cells of its spilled attributes. Returns whether anything was.
    fn forget(&mut self, id: EntryId, cut: &StableCut, cells: &[SpilledCell]) -> Result<bool, DitError> {
        let Some(mut state) = self.state(id)?.filter(|state| state.dead.is_none()) else { return Ok(false) };
        let clock = self.forget_below();
        let is_settled = |stamp: Stamp| is_settled(cut, clock, stamp);
        let mut changed = state.forget_settled(is_settled);
        for (attribute, key) in cells {
            if state.attribute(*attribute).is_none_or(|held| held.spilled.is_none()) {
                continue;
            }
            let cell = spill::read_cell(self.txn.reader(), &self.catalog, id, *attribute, key)?;
            if !cell.is_some_and(|cell| !cell.present && is_settled(cell.stamp)) {
                continue;
            }
            self.txn.delete(Table::BigValues, &bigvalue_key(id, *attribute, key), None)?;
            let prefix = bigvalue_prefix(id, *attribute);
            let mut cursor = self.txn.reader().cursor(Table::BigValues)?;
            if !cursor.seek(&prefix)?.is_some_and(|(key, _)| key.starts_with(&prefix)) {
                // Nothing is left of it: it does not live in the table any more.
                let newest = state.max_stamp();
                if let Some(held) = state.attributes.get_mut(attribute) {
                    held.spilled = None;
                }
                state.attributes.retain(|_, held| !held.is_empty());
                if state.max_stamp() < newest {
                    state.forgotten = newest;
                }
                changed = true;
            }
        }
        if changed {
            self.put_state(id, &state)?;
        }
        Ok(changed)
    }

    /// Deleted entries, oldest deletion first, as far as they were kept long enough.
    fn purge_deleted(&mut self, cut: &StableCut, work_max: u64, settled: &mut Settled) -> Result<(), DitError> {
        let until_ms = self.now_ms().saturating_sub(self.dit.recycle_retention_ms());
        let clock = self.forget_below();
        let stable = |origin: &OriginId| cut.get(origin).copied().unwrap_or(0);
        let is_stable = |places: &[u8]| {
            let mut places = places.as_chunks::<16>().0.iter().map(|place| log_place(place));
            places.all(|(origin, sequence)| sequence <= stable(&origin))
        };
        let mut due: Vec<(EntryId, bool)> = Vec::new();
        let mut cursor = self.txn.reader().cursor(Table::Deleted)?;
        let mut item = cursor.first()?;
        while let Some((key, left)) = item
            && settled.looked_at < work_max
        {
            let Some((csn, id)) = deleted_place(key).filter(|(csn, _)| csn.ms() <= until_ms) else { break };
            settled.looked_at += 1;
            if csn < clock && is_stable(left) {
                due.push((id, !left.is_empty()));
            }
            item = cursor.next()?;
        }
        drop(cursor);
        if due.is_empty() {
            return Ok(());
        }
        let named = self.view().named_by_moves()?;
        // What is held here and not by all.
        let held = self.all_held()?.into_iter().map(|(origin, held)| (origin, held.position.sequence));
        let lacked: Vec<u8> = held
            .filter(|(origin, held)| *held > stable(origin))
            .flat_map(|(origin, held)| log_key(origin, held))
            .collect();
        for (id, is_left_everywhere) in due {
            let Some(state) = self.state(id)? else { continue };
            let Some(dead) = state.dead.filter(|dead| is_settled(cut, clock, *dead)) else { continue };
            let is_kept_for_others = state.birth.sequence > stable(&state.birth.csn.origin())
                || !self.holds(state.birth)?
                || named.contains(&state.uuid)
                || self.view().own_subordinate_count(id)? > 0;
            if is_kept_for_others {
                continue;
            }
            if is_left_everywhere || lacked.is_empty() {
                self.purge(id, &state)?;
                settled.purged += 1;
            } else {
                // Nothing is below it here; whoever holds less may still show something there, and put more below it.
                self.txn.put(Table::Deleted, &deleted_key(dead.csn, id), &lacked, PutMode::Upsert)?;
            }
        }
        Ok(())
    }

    /// Takes a deleted entry out of every table.
    fn purge(&mut self, id: EntryId, state: &EntryState) -> Result<(), DitError> {
        if let Some(dead) = state.dead {
            self.txn.delete(Table::Deleted, &deleted_key(dead.csn, id), None)?;
        }
        let prefix = id.0.to_be_bytes();
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let mut cursor = self.txn.reader().cursor(Table::BigValues)?;
        let mut item = cursor.seek(&prefix)?;
        while let Some((key, _)) = item.filter(|(key, _)| key.starts_with(&prefix)) {
            keys.push(key.to_vec());
            item = cursor.next()?;
        }
        drop(cursor);
        for key in keys {
            self.txn.delete(Table::BigValues, &key, None)?;
        }
        let dot = state.birth.dot();
        self.txn.delete(Table::Uuid2Id, &uuid2id_key(state.uuid, Some((dot.origin, dot.sequence))), None)?;
        self.txn.delete(Table::Subordinates, &id.to_key(), None)?;
        self.txn.delete(Table::Id2State, &id.to_key(), None)?;
        self.digest_read.set(None);
        Ok(())
    }

    /// Keeps the list of deleted entries as an entry's end became known, or turned out to be older.
    pub(super) fn list_deleted(
        &mut self,
        id: EntryId,
        before: Option<Stamp>,
        after: Option<Stamp>,
    ) -> Result<(), DitError> {
        let mut left = Vec::new();
        if let Some(before) = before {
            let key = deleted_key(before.csn, id);
            left = self.txn.reader().get(Table::Deleted, &key)?.map(<[u8]>::to_vec).unwrap_or_default();
            self.txn.delete(Table::Deleted, &key, None)?;
        }
        if let Some(after) = after {
            self.txn.put(Table::Deleted, &deleted_key(after.csn, id), &left, PutMode::Upsert)?;
        }
        Ok(())
    }

    /// The last entry below a deleted one went: what was noted before of what others hold does not say that they know it.
    pub(super) fn forget_left(&mut self, id: EntryId) -> Result<(), DitError> {
        let Some(dead) = self.state(id)?.and_then(|state| state.dead) else { return Ok(()) };
        Ok(self.txn.put(Table::Deleted, &deleted_key(dead.csn, id), &[], PutMode::Upsert)?)
    }

    /// Notes the absence in a state that came without log records.
    pub(super) fn note_absence_of(&mut self, id: EntryId, other: &EntryState) -> Result<(), DitError> {
        if other.dead.is_some() || !has_absence(other) {
            return Ok(());
        }
        let Some(state) = self.state(id)? else { return Ok(()) };
        for (attribute, held) in &other.attributes {
            let is_spilled = state.attribute(*attribute).is_some_and(|held| held.spilled.is_some());
            if let Some(clear) = held.clear {
                self.note_absence(clear, id, &[])?;
            }
            for (key, cell) in held.cells.iter().filter(|(_, cell)| !cell.present) {
                let spilled = [(*attribute, key.clone())];
                self.note_absence(cell.stamp, id, if is_spilled { &spilled } else { &[] })?;
            }
        }
        Ok(())
    }

    /// Notes that a change left absence in an entry, and in which cells of spilled attributes.
    fn note_absence(&mut self, stamp: Stamp, id: EntryId, cells: &[SpilledCell]) -> Result<(), DitError> {
        let csn = stamp.csn.to_be_bytes();
        self.txn.put(Table::Unsettled, &Noted::key(stamp, id, None), &csn, PutMode::Upsert)?;
        for cell in cells {
            self.txn.put(Table::Unsettled, &Noted::key(stamp, id, Some(cell)), &csn, PutMode::Upsert)?;
        }
        Ok(())
    }

    /// Forgets which cells were noted of attributes that are encrypted: these do not spill, their entries are noted anyway, and
    /// the key of a cell is in clear.
    pub(super) fn drop_noted_cells(&mut self) -> Result<(), DitError> {
        let mut keys = Vec::new();
        let mut cursor = self.txn.reader().cursor(Table::Unsettled)?;
        let mut item = cursor.first()?;
        while let Some((key, csn)) = item {
            let cell = Noted::read(key, csn).and_then(|noted| noted.cell);
            let info = cell.and_then(|(attribute, _)| self.catalog.attribute(attribute));
            if info.is_some_and(|info| info.encrypted) {
                keys.push(key.to_vec());
            }
            item = cursor.next()?;
        }
        drop(cursor);
        for key in keys {
            self.txn.delete(Table::Unsettled, &key, None)?;
        }
        Ok(())
    }

    /// Before a log record goes that was not looked through: notes the absence it left.
    pub(super) fn note_absence_in(&mut self, record: &LogRecord) -> Result<(), DitError> {
        if leaves_absence(&record.bytes)
            && let Some((update, cells)) = self.absence_in(record)?
            && let Some(id) = self.id_of(update.uuid, update.birth)?
        {
            self.note_absence(update.stamp, id, &cells)?;
        }
        Ok(())
    }

    /// The update in a record of the log, and the values that it says are gone of attributes that may be spilled.
    fn absence_in(&self, record: &LogRecord) -> Result<Option<(Update, Vec<SpilledCell>)>, DitError> {
        let Ok(update) = decode_update(&record.bytes, |key| self.catalog.find_key(key)) else { return Ok(None) };
        let Some(id) = self.id_of(update.uuid, update.birth)? else { return Ok(None) };
        let Some(state) = read_state(self.txn.reader(), &self.catalog, id)? else { return Ok(None) };
        let spilled = |delta: &Delta| match delta {
            Delta::Cell { attribute, key, present: false, .. }
                if state.attribute(*attribute).is_some_and(|held| held.spilled.is_some()) =>
            {
                Some((*attribute, key.clone()))
            }
            _ => None,
        };
        let cells = update.deltas.iter().filter_map(spilled).collect();
        Ok(Some((update, cells)))
    }

    /// Drops log records below these numbers, but not the newest of each origin ([`Options::log_records_min`]), at most
    /// `work_max`. Returns how many were dropped; as many as `work_max` means there may be more.
    ///
    /// [`Options::log_records_min`]: super::Options::log_records_min
    ///
    /// # Errors
    /// [`DitError::Storage`]: the transaction is then to be dropped.
    pub fn trim_log(&mut self, floors: &BTreeMap<OriginId, u64>, work_max: usize) -> Result<u64, DitError> {
        let mut dropped = 0;
        // The newest says what its writer had not met by then.
        let kept_min = self.dit.log_records_min().max(1);
        for (origin, held) in all_held(self.txn.reader())? {
            let newest = held.position.sequence.saturating_sub(kept_min) + 1;
            let floor = floors.get(&origin).copied().unwrap_or(0).min(newest).max(held.floor);
            dropped += self.drop_log_below(origin, floor, (work_max as u64).saturating_sub(dropped))?;
        }
        Ok(dropped)
    }
}

/// Whether every member holds the change, and no change to come is older.
fn is_settled(cut: &StableCut, clock: Csn, stamp: Stamp) -> bool {
    let dot = stamp.dot();
    stamp.csn < clock && cut.get(&dot.origin).is_some_and(|to| dot.sequence <= *to)
}

fn deleted_key(csn: Csn, id: EntryId) -> [u8; 24] {
    let mut key = [0; 24];
    let (time, entry) = key.split_at_mut(16);
    time.copy_from_slice(&csn.to_be_bytes());
    entry.copy_from_slice(&id.0.to_be_bytes());
    key
}

/// When, and which entry.
pub(super) fn deleted_place(key: &[u8]) -> Option<(Csn, EntryId)> {
    let (csn, id) = key.split_first_chunk::<16>()?;
    Some((Csn::from_be_bytes(*csn), EntryId(u64::from_be_bytes(id.try_into().ok()?))))
}

/// A record of `unsettled`.
struct Noted {
    origin: OriginId,
    sequence: u64,
    id: EntryId,
    cell: Option<SpilledCell>,
    csn: Csn,
}

impl Noted {
    fn key(stamp: Stamp, id: EntryId, cell: Option<&SpilledCell>) -> Vec<u8> {
        let mut key = log_key(stamp.csn.origin(), stamp.sequence).to_vec();
        key.extend_from_slice(&id.0.to_be_bytes());
        if let Some((attribute, value)) = cell {
            key.extend_from_slice(&attribute.0.to_be_bytes());
            key.extend_from_slice(value.as_bytes());
        }
        key
    }

    fn read(key: &[u8], csn: &[u8]) -> Option<Self> {
        let (place, rest) = key.split_at_checked(16)?;
        let (id, rest) = rest.split_first_chunk::<8>()?;
        let cell = rest.split_first_chunk::<4>().and_then(|(attribute, value)| {
            Some((AttributeId(u32::from_be_bytes(*attribute)), ValueKey::from_bytes(value)?))
        });
        let (origin, sequence) = log_place(place);
        let csn = Csn::from_be_bytes(csn.try_into().ok()?);
        Some(Self { origin, sequence, id: EntryId(u64::from_be_bytes(*id)), cell, csn })
    }
}
