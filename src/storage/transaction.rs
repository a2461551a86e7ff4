//! Transactions: snapshots for reading, and the one that writes.
//!
//! lmdb-rkv opens, begins, commits and aborts; look-ups (`reader`) and cursors (`cursor`) go to the functions below it,
//! because its own cursors lack typed seeks and its iterators outlive what they borrow.
#![expect(unsafe_code, reason = "LMDB is C; this file wraps it in lifetimes and says why each call is sound")]

use super::entry_record::Part;
use super::environment::{Pool, Tables};
use super::index::{OpenSet, Overlay, Published, Version};
use super::reader::Reader;
use super::table::Table;
use super::value::{lmdb_error, val};
use super::{EntryId, StorageError};
use arc_swap::ArcSwap;
use lmdb::{RoTransaction, RwTransaction, Transaction, WriteFlags};
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

/// A snapshot for reading, taken from a pool and given back when dropped. Never hold one across an `.await`.
pub struct ReadTransaction<'e> {
    transaction: Option<RoTransaction<'e>>,
    tables: &'e Tables,
    pool: &'e Pool,
    version: Arc<Version>,
}

impl<'e> ReadTransaction<'e> {
    /// `published` is asked for the index changes that belong to the snapshot; `None` when it has moved on since.
    pub(super) fn new(
        transaction: RoTransaction<'e>,
        tables: &'e Tables,
        pool: &'e Pool,
        published: &ArcSwap<Published>,
    ) -> Option<Self> {
        let version = Arc::clone(published.load().at(number_of(transaction.txn()))?);
        Some(Self { transaction: Some(transaction), tables, pool, version })
    }

    /// A snapshot whose index changes are read from its own records.
    pub(super) fn with_own_index(
        transaction: RoTransaction<'e>,
        tables: &'e Tables,
        pool: &'e Pool,
    ) -> Result<Self, StorageError> {
        let number = number_of(transaction.txn());
        let mut snapshot = Self { transaction: Some(transaction), tables, pool, version: Arc::default() };
        snapshot.version = Arc::new(Version::load(snapshot.reader(), number)?);
        Ok(snapshot)
    }

    /// The number of the commit that it shows.
    pub fn number(&self) -> u64 {
        self.transaction.as_ref().map_or(0, |transaction| number_of(transaction.txn()))
    }

    /// The index changes that belong to it.
    pub(super) fn version(&self) -> &Arc<Version> {
        &self.version
    }

    /// The look into this snapshot.
    pub fn reader(&self) -> Reader<'_> {
        let txn = self.transaction.as_ref().map_or(ptr::null_mut(), Transaction::txn);
        Reader::new(txn, self.tables, Overlay { version: &self.version, open: None })
    }
}

impl Drop for ReadTransaction<'_> {
    fn drop(&mut self) {
        if let Some(transaction) = self.transaction.take() {
            // SAFETY: the pool belongs to the environment that the transaction borrows and is emptied before that
            // environment closes, so prolonging the lifetime for the stay in the pool cannot dangle.
            let inactive = unsafe {
                std::mem::transmute::<lmdb::InactiveTransaction<'_>, lmdb::InactiveTransaction<'static>>(
                    transaction.reset(),
                )
            };
            self.pool.give_back(inactive);
        }
    }
}

/// How a put treats what is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PutMode {
    /// Replace, or add a duplicate in tables that have them.
    Upsert,
    /// The key is greater than every key of the table (bulk load; wrong order is an error).
    Append,
    /// Like `Append` for the duplicates of a key.
    AppendDuplicate,
    /// As `Upsert`; the key mostly is greater than every key of the table, whose pages then fill to the end.
    Rising,
}

/// The one write transaction; only the writer thread and the offline commands have it.
pub struct WriteTransaction<'e> {
    transaction: RwTransaction<'e>,
    tables: &'e Tables,
    published: &'e ArcSwap<Published>,
    /// The index changes of the commit before, for snapshots of it.
    before: Arc<Version>,
    /// The same, or none once the index was emptied.
    base: Arc<Version>,
    /// Those of this transaction.
    open: OpenSet,
    /// Bulk load: a new entry's state that waits for its view, so that both are appended as one.
    waiting: Option<([u8; 8], Vec<u8>)>,
    marks_min: usize,
}

impl<'e> WriteTransaction<'e> {
    pub(super) fn new(
        transaction: RwTransaction<'e>,
        tables: &'e Tables,
        published: &'e ArcSwap<Published>,
    ) -> Result<Self, StorageError> {
        let before = number_of(transaction.txn()).saturating_sub(1);
        let known = published.load().at(before).map(Arc::clone);
        let known = match known {
            Some(known) => known,
            None => {
                let none = Version::default();
                let overlay = Overlay { version: &none, open: None };
                let reader = Reader::new(transaction.txn(), tables, overlay);
                Arc::new(Version::load(reader, before)?)
            }
        };
        let (base, marks_min) = (Arc::clone(&known), Version::MARKS_MIN);
        Ok(Self {
            transaction,
            tables,
            published,
            before: known,
            base,
            open: OpenSet::default(),
            waiting: None,
            marks_min,
        })
    }

    /// The number of the snapshot that the commit will make.
    pub(super) fn id(&self) -> u64 {
        number_of(self.transaction.txn())
    }

    /// The look into this transaction; what it returns is valid until the next put or delete.
    pub fn reader(&self) -> Reader<'_> {
        let overlay = Overlay { version: &self.base, open: Some(&self.open) };
        Reader::new(self.transaction.txn(), self.tables, overlay)
    }

    /// Says whether `id` stands under `key` in the index.
    pub fn set_index(&mut self, key: &[u8], id: EntryId, is_there: bool) {
        self.open.set(key, id, is_there);
    }

    /// Empties the index.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn clear_index(&mut self) -> Result<(), StorageError> {
        self.clear(Table::Index)?;
        self.open.clear();
        self.base = Arc::new(Version::cleared(self)?);
        Ok(())
    }

    /// Merges index changes once so many wait (in tests: few).
    #[cfg(test)]
    pub(super) fn merge_beyond(&mut self, marks_min: usize) {
        self.marks_min = marks_min;
    }

    /// Writes one record.
    ///
    /// # Errors
    /// [`StorageError::Full`] when the file cannot grow (the transaction is then useless: drop it), or LMDB's own.
    pub fn put(&mut self, table: Table, key: &[u8], value: &[u8], mode: PutMode) -> Result<(), StorageError> {
        match table.part() {
            Some(part) => self.put_part(table, part, key, value, mode),
            None => self.put_whole(table, key, value, mode),
        }
    }

    fn put_whole(&mut self, table: Table, key: &[u8], value: &[u8], mode: PutMode) -> Result<(), StorageError> {
        let flags = match mode {
            PutMode::Upsert => WriteFlags::empty(),
            PutMode::Append | PutMode::Rising => WriteFlags::APPEND,
            PutMode::AppendDuplicate => WriteFlags::APPEND_DUP,
        };
        match self.transaction.put(self.tables.database(table), &key, &value, flags) {
            Err(lmdb::Error::KeyExist) if mode == PutMode::Rising => self.put_whole(table, key, value, PutMode::Upsert),
            outcome => outcome.map_err(|error| lmdb_error(error, table)),
        }
    }

    fn put_part(
        &mut self,
        table: Table,
        part: Part,
        key: &[u8],
        value: &[u8],
        mode: PutMode,
    ) -> Result<(), StorageError> {
        if let Some((of, state)) = self.waiting.take() {
            let is_whole = part == Part::View && of == key;
            let state = Part::State.replaced(&of, &[], &state).unwrap_or_default();
            let whole = if is_whole { part.replaced(&of, &state, value).unwrap_or_default() } else { state };
            self.put_whole(table, &of, &whole, PutMode::Append)?;
            if is_whole {
                return Ok(());
            }
        }
        if mode == PutMode::Append
            && part == Part::State
            && let Ok(key) = key.try_into()
        {
            self.waiting = Some((key, value.to_vec()));
            return Ok(());
        }
        let held = self.reader().get_whole(table, key)?.unwrap_or_default();
        match part.replaced(key, held, value) {
            Some(record) => self.put_whole(table, key, &record, PutMode::Upsert),
            None => self.delete_whole(table, key, None).map(|_| ()),
        }
    }

    /// Writes view and state of an entry that is there.
    ///
    /// # Errors
    /// As [`WriteTransaction::put`].
    pub fn put_entry(&mut self, id: EntryId, view: &[u8], state: &[u8]) -> Result<(), StorageError> {
        self.settle_waiting()?;
        match super::entry_record::whole(&id.to_key(), view, state) {
            Some(record) => self.put_whole(Table::Id2Entry, &id.to_key(), &record, PutMode::Upsert),
            None => self.delete_whole(Table::Id2Entry, &id.to_key(), None).map(|_| ()),
        }
    }

    /// Writes a state that waits for a view alone.
    fn settle_waiting(&mut self) -> Result<(), StorageError> {
        match self.waiting.take() {
            Some((key, state)) => {
                let record = Part::State.replaced(&key, &[], &state).unwrap_or_default();
                self.put_whole(Table::Id2State, &key, &record, PutMode::Append)
            }
            None => Ok(()),
        }
    }

    /// Appends a key greater than all with its duplicates, ascending: the fast way of bulk load.
    ///
    /// # Errors
    /// As [`WriteTransaction::put`]; a key out of order is LMDB's `KeyExist`.
    pub fn append_postings(&mut self, key: &[u8], ids: &[EntryId]) -> Result<(), StorageError> {
        if let [only] = ids {
            return self.put(Table::Index, key, &only.to_key(), PutMode::Append);
        }
        if ids.is_empty() {
            return Ok(());
        }
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_key()).collect();
        let flags = lmdb_sys::MDB_APPEND | lmdb_sys::MDB_APPENDDUP | lmdb_sys::MDB_MULTIPLE;
        let mut key_val = val(key);
        let mut data = [
            lmdb_sys::MDB_val { mv_size: 8, mv_data: bytes.as_ptr().cast_mut().cast::<c_void>() },
            lmdb_sys::MDB_val { mv_size: ids.len(), mv_data: ptr::null_mut() },
        ];
        let mut cursor = ptr::null_mut();
        // SAFETY: the transaction is open and exclusively ours; the cursor is closed below, before it ends. With
        // MDB_MULTIPLE LMDB reads `mv_size` items of eight bytes from the buffer, which outlives the call.
        let code = unsafe {
            let handle = self.tables.handle(Table::Index);
            let opened = lmdb_sys::mdb_cursor_open(self.transaction.txn(), handle, &mut cursor);
            if opened == 0 {
                let put = lmdb_sys::mdb_cursor_put(cursor, &mut key_val, data.as_mut_ptr(), flags);
                lmdb_sys::mdb_cursor_close(cursor);
                put
            } else {
                opened
            }
        };
        if code == 0 { Ok(()) } else { Err(lmdb_error(lmdb::Error::from_err_code(code), Table::Index)) }
    }

    /// Deletes a key, or one duplicate of it. Returns whether it was there.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn delete(&mut self, table: Table, key: &[u8], duplicate: Option<&[u8]>) -> Result<bool, StorageError> {
        if table.part().is_none() {
            return self.delete_whole(table, key, duplicate);
        }
        self.settle_waiting()?;
        let was_there = self.reader().get(table, key)?.is_some();
        if was_there {
            self.put(table, key, &[], PutMode::Upsert)?;
        }
        Ok(was_there)
    }

    fn delete_whole(&mut self, table: Table, key: &[u8], duplicate: Option<&[u8]>) -> Result<bool, StorageError> {
        match self.transaction.del(self.tables.database(table), &key, duplicate) {
            Ok(()) => Ok(true),
            Err(lmdb::Error::NotFound) => Ok(false),
            Err(error) => Err(lmdb_error(error, table)),
        }
    }

    /// Empties a table.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn clear(&mut self, table: Table) -> Result<(), StorageError> {
        self.transaction.clear_db(self.tables.database(table)).map_err(|error| lmdb_error(error, table))
    }

    /// Makes everything durable (unless the environment was opened without sync for bulk load).
    ///
    /// # Errors
    /// [`StorageError::Io`] or [`StorageError::Full`]; nothing of the transaction is then visible.
    pub fn commit(mut self) -> Result<(), StorageError> {
        self.settle_waiting()?;
        let (base, open, marks_min) = (Arc::clone(&self.base), std::mem::take(&mut self.open), self.marks_min);
        let current = Arc::new(base.commit(&mut self, &open, marks_min)?);
        // Before the commit, so that no reader sees a snapshot whose index changes are not there yet.
        let held = self.published.swap(Arc::new(Published { current, before: Some(self.before) }));
        self.transaction.commit().map_err(|error| {
            self.published.store(held);
            lmdb_error(error, Table::Meta)
        })
    }
}

fn number_of(txn: *mut lmdb_sys::MDB_txn) -> u64 {
    // SAFETY: the caller has the transaction open; only its number is read.
    unsafe { lmdb_sys::mdb_txn_id(txn) as u64 }
}
