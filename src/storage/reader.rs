//! A look into either kind of transaction. What it returns lives in the memory map until that transaction ends, which the
//! lifetimes say.
#![expect(unsafe_code, reason = "LMDB is C; this file wraps its look-ups in lifetimes and says why each call is sound")]

use super::StorageError;
use super::cursor::Cursor;
use super::environment::Tables;
use super::index::Overlay;
use super::table::Table;
use super::value::{bytes, lmdb_error, val};
use std::marker::PhantomData;
use std::ptr;

/// A look into a transaction: cheap to copy.
#[derive(Clone, Copy)]
pub struct Reader<'t> {
    txn: *mut lmdb_sys::MDB_txn,
    tables: &'t Tables,
    overlay: Overlay<'t>,
    lifetime: PhantomData<&'t ()>,
}

impl<'t> Reader<'t> {
    /// `txn` stays open for `'t`: the caller borrows what owns it.
    pub(super) fn new(txn: *mut lmdb_sys::MDB_txn, tables: &'t Tables, overlay: Overlay<'t>) -> Self {
        Self { txn, tables, overlay, lifetime: PhantomData }
    }

    /// The index changes before the table.
    pub(super) fn overlay(&self) -> Overlay<'t> {
        self.overlay
    }

    /// The record at `key` (the first duplicate where the table has them).
    ///
    /// # Errors
    /// LMDB's own; absence is `None`.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<&'t [u8]>, StorageError> {
        let whole = self.get_whole(table, key)?;
        Ok(match table.part() {
            Some(part) => whole.and_then(|record| part.of(key, record)),
            None => whole,
        })
    }

    pub(super) fn get_whole(&self, table: Table, key: &[u8]) -> Result<Option<&'t [u8]>, StorageError> {
        let mut key_val = val(key);
        let mut data = val(&[]);
        // SAFETY: the transaction lives for 't, the database handle belongs to its environment, and LMDB only
        // reads the key. The data it points to stays mapped and unchanged for 't.
        let code = unsafe { lmdb_sys::mdb_get(self.txn, self.tables.handle(table), &mut key_val, &mut data) };
        match code {
            0 => Ok(Some(unsafe { bytes(&data) })),
            lmdb_sys::MDB_NOTFOUND => Ok(None),
            code => Err(lmdb_error(lmdb::Error::from_err_code(code), table)),
        }
    }

    /// A cursor over `table`.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn cursor(&self, table: Table) -> Result<Cursor<'t>, StorageError> {
        let mut cursor = ptr::null_mut();
        // SAFETY: as in `get`; the cursor is closed when dropped, before or after a read transaction ends alike.
        let code = unsafe { lmdb_sys::mdb_cursor_open(self.txn, self.tables.handle(table), &mut cursor) };
        if code != 0 {
            return Err(lmdb_error(lmdb::Error::from_err_code(code), table));
        }
        Ok(Cursor::new(cursor, table))
    }

    /// How many records (duplicates counted) the table has; views and states are counted as one, with or without the
    /// other. Cost: none.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn count(&self, table: Table) -> Result<u64, StorageError> {
        Ok(self.stat(table)?.ms_entries as u64)
    }

    /// How many pages hold the table's keys; long lists of duplicates have others. Cost: none.
    ///
    /// # Errors
    /// LMDB's own.
    pub(super) fn leaf_pages(&self, table: Table) -> Result<usize, StorageError> {
        Ok(self.stat(table)?.ms_leaf_pages)
    }

    fn stat(&self, table: Table) -> Result<lmdb_sys::MDB_stat, StorageError> {
        // SAFETY: plain out parameter of the right type; zero is a valid value for each field.
        let mut stat: lmdb_sys::MDB_stat = unsafe { std::mem::zeroed() };
        let code = unsafe { lmdb_sys::mdb_stat(self.txn, self.tables.handle(table), &mut stat) };
        if code != 0 {
            return Err(lmdb_error(lmdb::Error::from_err_code(code), table));
        }
        Ok(stat)
    }
}
