//! The runs that belong to one LMDB transaction, and how a commit makes the next version of them.

use super::super::record::hex;
use super::super::{EntryId, StorageError};
use super::super::{PutMode, Reader, Recent, Table, WriteTransaction};
use super::overlay::OpenSet;
use super::run::Run;
use std::sync::Arc;

/// Marks that wait before they are merged, at least: about 20 bytes each in memory, and read at start. Builds with
/// assertions merge early, so that tests of all floors meet it.
const MARKS_MIN: usize = if cfg!(debug_assertions) { 1 << 10 } else { 1 << 18 };
/// They wait until so many come to each page of the table, so that a page is not written for one of them.
const MARKS_PER_PAGE: usize = if cfg!(debug_assertions) { 0 } else { 10 };
/// But no more than these: some 200 MB of memory, a fifth of a second of the start.
const MARKS_MAX: usize = 1 << 22;
/// Marks merged in one commit at least, so that neighbours come together.
const SLICE_MIN: usize = 1024;
/// How much faster than they come marks are merged once that has begun.
const SLICE_PACE: usize = 2;
/// Bytes of runs in the table `current` at most, keys among them: with what else stands there they fit on a page, and joined
/// they are a record of one page. Builds with assertions move them on early, as above.
const RECENT_BYTES_MAX: usize = if cfg!(debug_assertions) { 400 } else { 2800 };
/// Bytes of a record in `current` beside its run.
const ROW_BYTES: usize = 32;
/// Runs of like size that are joined.
const JOIN_RUNS: usize = 4;

const TABLES: [Table; 2] = [Table::PendingEven, Table::PendingOdd];

/// See the module. Never changed once it is published.
#[derive(Clone, Default)]
pub(in super::super) struct Version {
    transaction: u64,
    /// Being merged: the older half of what waits.
    frozen: Option<Frozen>,
    /// Newer than the frozen, oldest first.
    runs: Vec<Arc<Run>>,
    /// The newest of them as the commits made them, whose records stand in `current` still; their numbers end with `last`.
    recent: Vec<Arc<Run>>,
    /// What these records take.
    recent_bytes: usize,
    /// Number of the newest run's record.
    last: u64,
    /// Which table has the records of `runs`; the other those of the frozen run.
    active: usize,
    /// Marks to be merged by and by.
    owed: usize,
}

#[derive(Clone)]
struct Frozen {
    run: Arc<Run>,
    /// Keys merged so far.
    done: usize,
}

/// The versions that a reader may need: that of the last commit and the one before, which some snapshots still are.
pub(in super::super) struct Published {
    pub(in super::super) current: Arc<Version>,
    pub(in super::super) before: Option<Arc<Version>>,
}

impl Published {
    /// The version of the snapshot with this number.
    pub(in super::super) fn at(&self, transaction: u64) -> Option<&Arc<Version>> {
        let versions = std::iter::once(&self.current).chain(&self.before);
        versions.into_iter().find(|version| version.transaction == transaction)
    }
}

impl Version {
    /// Reads the runs of a snapshot. Cost: some 50 ns for each mark that waits.
    ///
    /// # Errors
    /// [`StorageError::Corrupted`]; LMDB's own.
    pub(in super::super) fn load(reader: Reader<'_>, transaction: u64) -> Result<Self, StorageError> {
        let mut version = Self { transaction, ..Self::default() };
        let mut parts = Vec::new();
        for (active, table) in TABLES.into_iter().enumerate() {
            let (mut part, mut last) = (Self::default(), 0);
            let mut cursor = reader.cursor(table)?;
            let mut item = cursor.first()?;
            while let Some((key, record)) = item {
                last = key.try_into().map(u64::from_be_bytes).map_err(|_| StorageError::Corrupted {
                    table: table.name(),
                    detail: format!("the key {} is not a number", hex(key)),
                })?;
                part.runs.push(Arc::new(Run::decode(key, record)?));
                part.join_small();
                item = cursor.next()?;
            }
            if last > 0 {
                parts.push((last, active, part));
            }
        }
        parts.sort_by_key(|(last, ..)| *last);
        for (last, active, part) in parts {
            version.frozen = version.joined().map(|run| Frozen { run, done: 0 });
            version.runs = part.runs;
            (version.last, version.active) = (last, active);
        }
        for (number, record) in reader.recent(Recent::Index)? {
            version.last = number;
            version.add_recent(Arc::new(Run::decode(&Recent::Index.key(number), record)?), record.len());
        }
        Ok(version)
    }

    fn add_recent(&mut self, run: Arc<Run>, bytes: usize) {
        self.recent.push(Arc::clone(&run));
        self.recent_bytes += bytes + ROW_BYTES;
        self.runs.push(run);
        self.join_small();
    }

    /// Takes all that stands in `current`, to be written elsewhere, with the numbers of the records.
    fn take_recent(&mut self) -> (Vec<Arc<Run>>, std::ops::Range<u64>) {
        let taken = std::mem::take(&mut self.recent);
        self.recent_bytes = 0;
        let numbers = self.last + 1 - taken.len() as u64..self.last + 1;
        (taken, numbers)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.frozen.is_none()
    }

    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().rev().map(Arc::as_ref).chain(self.frozen.iter().map(|frozen| frozen.run.as_ref()))
    }

    /// Writes the changes of a transaction as a run, merges as much as is due, and gives the version that the commit makes.
    ///
    /// # Errors
    /// As [`WriteTransaction::put`].
    pub(in super::super) fn commit(
        &self,
        txn: &mut WriteTransaction<'_>,
        open: &OpenSet,
        marks_min: usize,
    ) -> Result<Self, StorageError> {
        let mut next = Self { transaction: txn.id(), ..self.clone() };
        if open.is_empty() {
            return Ok(next);
        }
        let run = Arc::new(open.to_run());
        let marks = run.marks();
        let waiting: usize = next.runs.iter().map(|run| run.marks()).sum();
        let freezes = next.are_due(txn, waiting + marks, marks_min)?;
        next.write(txn, run, freezes)?;
        if freezes {
            next.frozen = next.joined().map(|run| Frozen { run, done: 0 });
            next.active = 1 - next.active;
        } else if next.frozen.is_some() {
            next.owed += SLICE_PACE * marks;
            if next.owed >= SLICE_MIN.min(marks_min) {
                next.merge(txn)?;
            }
        }
        Ok(next)
    }

    /// The usual bound of [`Version::commit`].
    pub(in super::super) const MARKS_MIN: usize = MARKS_MIN;

    /// Whether so many marks that wait share the pages of the table enough to be merged.
    fn are_due(&self, txn: &WriteTransaction<'_>, marks: usize, marks_min: usize) -> Result<bool, StorageError> {
        if self.frozen.is_some() || marks < marks_min {
            return Ok(false);
        }
        let wanted = txn.reader().leaf_pages(Table::Index)?.saturating_mul(MARKS_PER_PAGE);
        Ok(marks >= wanted.min(MARKS_MAX))
    }

    /// Adds the run of this commit and writes its record: into `current`, or with all that stands there into the table,
    /// where that would be too much or `moves_on` says so (what is going to be frozen must be in its table).
    fn write(&mut self, txn: &mut WriteTransaction<'_>, run: Arc<Run>, moves_on: bool) -> Result<(), StorageError> {
        let number = self.last + 1;
        let key = Recent::Index.key(number);
        let record = run.encode(&key);
        if !moves_on && self.recent_bytes + record.len() + ROW_BYTES <= RECENT_BYTES_MAX {
            txn.put(Table::Current, &key, &record, PutMode::Upsert)?;
            self.last = number;
            self.add_recent(run, record.len());
            return Ok(());
        }
        let (mut runs, numbers) = self.take_recent();
        for number in numbers {
            txn.delete(Table::Current, &Recent::Index.key(number), None)?;
        }
        runs.push(Arc::clone(&run));
        let key = number.to_be_bytes();
        let record = Run::join(&runs.iter().map(Arc::as_ref).collect::<Vec<_>>()).encode(&key);
        txn.put(self.table(), &key, &record, PutMode::Append)?;
        self.last = number;
        self.runs.push(run);
        self.join_small();
        Ok(())
    }

    /// The version of a transaction that emptied the index; its records go too.
    ///
    /// # Errors
    /// LMDB's own.
    pub(in super::super) fn cleared(txn: &mut WriteTransaction<'_>) -> Result<Self, StorageError> {
        for table in TABLES {
            txn.clear(table)?;
        }
        let numbers: Vec<u64> = txn.reader().recent(Recent::Index)?.iter().map(|(number, _)| *number).collect();
        for number in numbers {
            txn.delete(Table::Current, &Recent::Index.key(number), None)?;
        }
        Ok(Self::default())
    }

    fn table(&self) -> Table {
        if self.active == 0 { Table::PendingEven } else { Table::PendingOdd }
    }

    /// Joins the newest runs once there are a few of no larger size: few remain, each four times the next.
    fn join_small(&mut self) {
        let size = |run: &Arc<Run>| run.marks().max(64).ilog2() / 2;
        while let Some(newest) = self.runs.last().map(size) {
            let alike = self.runs.iter().rev().take_while(|run| size(run) <= newest).count();
            if alike < JOIN_RUNS {
                return;
            }
            let tail = self.runs.split_off(self.runs.len() - alike);
            self.runs.push(Arc::new(Run::join(&tail.iter().map(Arc::as_ref).collect::<Vec<_>>())));
        }
    }

    /// Takes all runs as one: the small ones first, so that the large are copied once.
    fn joined(&mut self) -> Option<Arc<Run>> {
        let mut newest = self.runs.pop()?;
        while let Some(older) = self.runs.pop() {
            newest = Arc::new(Run::join(&[&older, &newest]));
        }
        Some(newest)
    }

    /// Merges the next keys of the frozen run into the table.
    fn merge(&mut self, txn: &mut WriteTransaction<'_>) -> Result<(), StorageError> {
        let Some(Frozen { run, mut done }) = self.frozen.take() else { return Ok(()) };
        while self.owed > 0 && done < run.keys() {
            let (key, marks) = (run.key(done), run.marks_of(done));
            for mark in marks {
                let id: [u8; 8] = EntryId::to_key(mark.id());
                if mark.is_there() {
                    txn.put(Table::Index, key, &id, PutMode::Upsert)?;
                } else {
                    txn.delete(Table::Index, key, Some(&id))?;
                }
            }
            self.owed = self.owed.saturating_sub(marks.len());
            done += 1;
        }
        if done < run.keys() {
            self.frozen = Some(Frozen { run, done });
        } else {
            self.owed = 0;
            txn.clear(TABLES.into_iter().find(|table| *table != self.table()).unwrap_or(Table::PendingOdd))?;
        }
        Ok(())
    }
}
