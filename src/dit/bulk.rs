//! Loading many entries into a new tree, and building the index anew.
//!
//! The same door as for every change ([`Writing::change`]), with three differences that speed allows because nobody is
//! served: index keys are gathered and written in order at the end, records are appended, and no log is written.
//! Entries whose links point at entries that come later are indexed at the end, when the targets are there.

use super::DitError;
use super::catalog::Catalog;
use super::fill::Gathered;
use super::index_keys::KeySet;
use super::sorter::Sorter;
use super::spill::Touched;
use super::tree::Dit;
use super::values::value_of;
use super::view_keys::all_view_keys;
use super::writing::{Target, Writing};
use crate::model::EntryUuid;
use crate::state::{AttributeId, Cell, CellValue, Delta, EntryState, ValueKey};
use crate::storage::{EntryId, MetaName, Table, ViewRecord};
use hashbrown::HashSet;
use std::num::NonZero;

/// Entries in one transaction: LMDB keeps the pages that a transaction changed in memory.
const ENTRIES_PER_COMMIT: u64 = 5_000;

/// A bulk load into a tree that nobody serves.
pub struct BulkLoad<'d> {
    writing: Writing<'d>,
    in_transaction: u64,
    forward: Vec<EntryId>,
}

impl<'d> BulkLoad<'d> {
    /// Begins; waits for the write transaction.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn begin(dit: &'d Dit) -> Result<Self, DitError> {
        let mut writing = Writing::begin(dit)?;
        writing.bulk(Sorter::new(dit.environment().directory().to_path_buf()));
        Ok(Self { writing, in_transaction: 0, forward: Vec::new() })
    }

    /// What is loaded so far, and the numbers of attributes.
    pub fn writing(&mut self) -> &mut Writing<'d> {
        &mut self.writing
    }

    /// Adds an entry by the deltas of [`super::birth_deltas`].
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn add(&mut self, uuid: EntryUuid, requester: &str, deltas: Vec<Delta>) -> Result<EntryId, DitError> {
        let catalog = self.writing.view().catalog();
        let forward = deltas.iter().any(|delta| match delta {
            Delta::Cell { attribute, value: CellValue::Text(_), .. } => {
                catalog.attribute(*attribute).is_some_and(|info| info.links)
            }
            _ => false,
        });
        self.writing.index_later(forward);
        let (id, _) = self.writing.change(Target::New(uuid), requester, deltas)?;
        if forward {
            self.forward.push(id);
        }
        self.in_transaction += 1;
        Ok(id)
    }

    /// Resolves links that pointed forward, writes the index, commits, and flushes the file to disk.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`].
    pub fn finish(mut self) -> Result<(), DitError> {
        self.writing.index_later(false);
        for id in std::mem::take(&mut self.forward) {
            self.link_forward(id)?;
        }
        self.writing.write_sorted()?;
        let dit = self.writing.dit();
        self.writing.commit()?;
        dit.environment().sync()?;
        Ok(())
    }

    /// Commits what is loaded once it is much; call it after every entry, or the transaction grows with the load.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn turn_over(mut self) -> Result<Self, DitError> {
        if self.in_transaction >= ENTRIES_PER_COMMIT {
            self.writing = self.writing.commit_and_continue()?;
            self.in_transaction = 0;
        }
        Ok(self)
    }

    fn link_forward(&mut self, id: EntryId) -> Result<(), DitError> {
        let Some(mut state) = self.writing.state(id)? else { return Ok(()) };
        let catalog = std::sync::Arc::clone(&self.writing.catalog);
        for (attribute, held) in &mut state.attributes {
            if !catalog.attribute(*attribute).is_some_and(|info| info.links) {
                continue;
            }
            if held.spilled.is_some() {
                self.writing.relink_spilled(id, *attribute, held)?;
                continue;
            }
            held.cells = std::mem::take(&mut held.cells)
                .into_iter()
                .map(|(key, cell)| relink(&self.writing, *attribute, key, cell))
                .collect::<Result<_, _>>()?;
        }
        self.writing.put_state(id, &state)?;
        self.writing.index_whole(id, &state)
    }
}

/// The cell with its text resolved to a link where the entry is there by now.
pub(super) fn relink(
    writing: &Writing<'_>,
    attribute: AttributeId,
    key: ValueKey,
    cell: Cell,
) -> Result<(ValueKey, Cell), DitError> {
    let view = writing.view();
    let (CellValue::Text(text), Some(info)) = (&cell.value, view.catalog().attribute(attribute)) else {
        return Ok((key, cell));
    };
    match value_of(&view, info, text) {
        Ok((key, value)) => Ok((key, Cell { value, ..cell })),
        Err(super::values::ValueError::Dit(error)) => Err(error),
        Err(super::values::ValueError::Invalid { .. } | super::values::ValueError::Encrypted { .. }) => Ok((key, cell)),
    }
}

/// Builds the index anew from the views, in one transaction: readers go on with the old one until it commits.
/// `progress` is told entries done and in all.
///
/// # Errors
/// [`DitError::Storage`]: the old index stays.
pub fn reindex(dit: &Dit, progress: &mut dyn FnMut(u64, u64)) -> Result<(), DitError> {
    dit.environment().read_ahead();
    let mut writing = Writing::begin(dit)?;
    writing.renew_forms()?;
    writing.reindex(progress)?;
    writing.commit()
}

/// Threads that gather keys at most.
const GATHERERS_MAX: usize = 4;

/// The keys of the views of the last commit, in sorters for ascending parts of the entries, but for those that `skips`.
fn gather(dit: &Dit, catalog: &Catalog, skips: &(impl Fn(EntryId) -> bool + Sync)) -> Result<Vec<Sorter>, DitError> {
    let last = {
        let snapshot = dit.read()?;
        let mut cursor = snapshot.view().reader().cursor(Table::Id2Entry)?;
        let last = cursor.last()?.map_or(0, |(key, _)| EntryId::from_key(key).0);
        drop(cursor);
        last
    };
    let count = std::thread::available_parallelism().map_or(1, NonZero::get).min(GATHERERS_MAX) as u64;
    let gather_part = |part: u64| -> Result<Sorter, DitError> {
        let (first, end) = (last * part / count + 1, last * (part + 1) / count + 1);
        let mut sorter = Sorter::one_of(dit.environment().directory().to_path_buf(), count as usize);
        let snapshot = dit.read()?;
        let reader = snapshot.view().reader();
        let mut cursor = reader.cursor(Table::Id2Entry)?.reading_ahead();
        let mut item = cursor.seek(&EntryId(first).to_key())?;
        let mut keys = KeySet::default();
        while let Some((key, bytes)) = item {
            let id = EntryId::from_key(key);
            if id.0 >= end {
                break;
            }
            if !skips(id) {
                keys.clear();
                all_view_keys(reader, catalog, id, &ViewRecord::open(id, bytes)?, &mut keys)?;
                keys.iter().try_for_each(|key| sorter.push(key, id))?;
            }
            item = cursor.next()?;
        }
        sorter.sort();
        Ok(sorter)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|part| scope.spawn(move || gather_part(part))).collect();
        let stopped = |_| Err(DitError::Unavailable("a thread that gathered index keys has failed"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(stopped)).collect()
    })
}

impl Writing<'_> {
    /// See [`reindex`].
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn reindex(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), DitError> {
        let mut sorter = Sorter::new(self.dit().environment().directory().to_path_buf());
        let reader = self.txn.reader();
        let total = reader.count(Table::Id2Entry)?;
        let mut cursor = reader.cursor(Table::Id2Entry)?;
        let mut item = cursor.first()?;
        let (mut done, mut keys) = (0, KeySet::default());
        while let Some((key, bytes)) = item {
            let id = EntryId::from_key(key);
            keys.clear();
            all_view_keys(reader, &self.catalog, id, &ViewRecord::open(id, bytes)?, &mut keys)?;
            for key in keys.iter() {
                sorter.push(key, id)?;
            }
            done += 1;
            if done % 1_000 == 0 {
                progress(done, total);
            }
            item = cursor.next()?;
        }
        drop(cursor);
        self.txn.clear_index()?;
        sorter.finish(&mut self.txn)?;
        let fingerprint = self.catalog.index_options().fingerprint(self.catalog.schema());
        self.txn.put_meta(MetaName::IndexConfiguration, fingerprint.as_bytes())?;
        progress(total, total);
        Ok(())
    }

    /// [`Writing::reindex`] by several threads, of the last commit and of the entries in `changed`, which are all that this
    /// transaction changed but for what `rest` has the keys of. What was `gathered` before is taken as it is.
    pub(super) fn reindex_by_threads(
        &mut self,
        changed: &HashSet<EntryId>,
        gathered: Gathered,
        mut rest: Sorter,
    ) -> Result<(), DitError> {
        let Gathered { sorter: mut before, entries: known, stale } = gathered;
        let mut sorters = gather(self.dit, &self.catalog, &|id| known.contains(&id) || changed.contains(&id))?;
        let changed: HashSet<EntryId> = changed.union(&stale).copied().collect();
        let mut ids: Vec<EntryId> = changed.iter().copied().collect();
        ids.sort_unstable();
        let mut keys = KeySet::default();
        for id in ids {
            if let Some(entry) = self.view().entry(id)? {
                keys.clear();
                all_view_keys(self.txn.reader(), &self.catalog, id, &entry.record, &mut keys)?;
                keys.iter().try_for_each(|key| rest.push(key, id))?;
            }
        }
        before.leave_out(changed);
        sorters.extend([before, rest]);
        self.txn.clear_index()?;
        Sorter::finish_all(sorters, &mut self.txn)?;
        let fingerprint = self.catalog.index_options().fingerprint(self.catalog.schema());
        Ok(self.txn.put_meta(MetaName::IndexConfiguration, fingerprint.as_bytes())?)
    }

    /// Every index key of an entry that was loaded without, and its view with the links that resolve by now.
    fn index_whole(&mut self, id: EntryId, state: &EntryState) -> Result<(), DitError> {
        self.refresh(id, state, &Touched::default())?;
        let reader = self.txn.reader();
        let Some(entry) = self.view().entry(id)? else { return Ok(()) };
        let mut keys = KeySet::default();
        all_view_keys(reader, &self.catalog, id, &entry.record, &mut keys)?;
        self.sort_keys(id, &keys)
    }
}
