//! Positions in a table: typed seeks, which lmdb-rkv's own cursors lack.
#![expect(unsafe_code, reason = "LMDB is C; this file wraps its cursors in lifetimes and says why each call is sound")]

use super::StorageError;
use super::ahead::Ahead;
use super::table::Table;
use super::value::{bytes, lmdb_error, val};
use std::marker::PhantomData;

/// A key and its record.
type Item<'t> = (&'t [u8], &'t [u8]);

/// A position in a table.
pub struct Cursor<'t> {
    cursor: *mut lmdb_sys::MDB_cursor,
    table: Table,
    ahead: Option<Ahead>,
    lifetime: PhantomData<&'t ()>,
}

impl<'t> Cursor<'t> {
    /// `cursor` was just opened in a transaction that stays for `'t`; it is closed here.
    pub(super) fn new(cursor: *mut lmdb_sys::MDB_cursor, table: Table) -> Self {
        Self { cursor, table, ahead: None, lifetime: PhantomData }
    }

    /// The same, of which the disk is told what it will come to: for a scan of much of a table, from its first record on
    /// or from where one stopped.
    #[must_use]
    pub fn reading_ahead(mut self) -> Self {
        self.ahead = Some(Ahead::new());
        self
    }

    fn step(
        &mut self,
        key: &[u8],
        data: &[u8],
        operation: lmdb_sys::MDB_cursor_op,
    ) -> Result<Option<Item<'t>>, StorageError> {
        let Some(part) = self.table.part() else { return self.step_whole(key, data, operation) };
        // Records without this part are passed over.
        let on = match operation {
            lmdb_sys::MDB_LAST | lmdb_sys::MDB_PREV => lmdb_sys::MDB_PREV,
            _ => lmdb_sys::MDB_NEXT,
        };
        let mut item = self.step_whole(key, data, operation)?;
        while let Some((key, record)) = item {
            if let Some(record) = part.of(key, record) {
                return Ok(Some((key, record)));
            }
            item = self.step_whole(&[], &[], on)?;
        }
        Ok(None)
    }

    fn step_whole(
        &mut self,
        key: &[u8],
        data: &[u8],
        operation: lmdb_sys::MDB_cursor_op,
    ) -> Result<Option<Item<'t>>, StorageError> {
        let mut key_val = val(key);
        let mut data_val = val(data);
        // SAFETY: the cursor is open and its transaction lives for 't; LMDB reads the given key and data and
        // points both at mapped memory that stays for 't.
        let code = unsafe { lmdb_sys::mdb_cursor_get(self.cursor, &mut key_val, &mut data_val, operation) };
        match code {
            0 => {
                // SAFETY: as above.
                let (key, record) = unsafe { (bytes(&key_val), bytes(&data_val)) };
                if let Some(ahead) = &mut self.ahead {
                    ahead.come_to(record);
                }
                Ok(Some((key, record)))
            }
            lmdb_sys::MDB_NOTFOUND => Ok(None),
            code => Err(lmdb_error(lmdb::Error::from_err_code(code), self.table)),
        }
    }

    /// The first record.
    ///
    /// # Errors
    /// LMDB's own, here and below.
    pub fn first(&mut self) -> Result<Option<Item<'t>>, StorageError> {
        self.step(&[], &[], lmdb_sys::MDB_FIRST)
    }

    /// The last record.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn last(&mut self) -> Result<Option<Item<'t>>, StorageError> {
        self.step(&[], &[], lmdb_sys::MDB_LAST)
    }

    /// The next record, duplicates included.
    ///
    /// # Errors
    /// LMDB's own.
    #[expect(clippy::should_implement_trait, reason = "fallible, and the word of LMDB")]
    pub fn next(&mut self) -> Result<Option<Item<'t>>, StorageError> {
        self.step(&[], &[], lmdb_sys::MDB_NEXT)
    }

    /// The record before this one.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn previous(&mut self) -> Result<Option<Item<'t>>, StorageError> {
        self.step(&[], &[], lmdb_sys::MDB_PREV)
    }

    /// The next duplicate of this key.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn next_duplicate(&mut self) -> Result<Option<Item<'t>>, StorageError> {
        self.step(&[], &[], lmdb_sys::MDB_NEXT_DUP)
    }

    /// The first record of the next key.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn next_key(&mut self) -> Result<Option<Item<'t>>, StorageError> {
        self.step(&[], &[], lmdb_sys::MDB_NEXT_NODUP)
    }

    /// The first record with a key at or after `key`.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn seek(&mut self, key: &[u8]) -> Result<Option<Item<'t>>, StorageError> {
        if key.is_empty() { self.first() } else { self.step(key, &[], lmdb_sys::MDB_SET_RANGE) }
    }

    /// The first record of exactly `key`.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn seek_exact(&mut self, key: &[u8]) -> Result<Option<Item<'t>>, StorageError> {
        if key.is_empty() { Ok(None) } else { self.step(key, &[], lmdb_sys::MDB_SET_KEY) }
    }

    /// The first duplicate of exactly `key` at or after `data`; the returned key is `key` as given.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn seek_duplicate(&mut self, key: &[u8], data: &[u8]) -> Result<Option<&'t [u8]>, StorageError> {
        Ok(self.step(key, data, lmdb_sys::MDB_GET_BOTH_RANGE)?.map(|(_, data)| data))
    }

    /// A page full of fixed-size duplicates from here on; `None` when the key has no more.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn page(&mut self, first: bool) -> Result<Option<&'t [u8]>, StorageError> {
        let operation = if first { lmdb_sys::MDB_GET_MULTIPLE } else { lmdb_sys::MDB_NEXT_MULTIPLE };
        Ok(self.step(&[], &[], operation)?.map(|(_, data)| data))
    }

    /// How many duplicates this key has.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn duplicate_count(&mut self) -> Result<u64, StorageError> {
        let mut count: lmdb_sys::mdb_size_t = 0;
        // SAFETY: the cursor is open and stands on a record.
        let code = unsafe { lmdb_sys::mdb_cursor_count(self.cursor, &mut count) };
        if code != 0 {
            return Err(lmdb_error(lmdb::Error::from_err_code(code), self.table));
        }
        Ok(count as u64)
    }
}

impl Drop for Cursor<'_> {
    fn drop(&mut self) {
        // SAFETY: opened by `Reader::cursor`, closed once; the borrow keeps its transaction alive until here.
        unsafe { lmdb_sys::mdb_cursor_close(self.cursor) }
    }
}
