//! The entries under one index key, in ascending order.
//!
//! Read a page of ids at a time (LMDB hands out whole pages of fixed-size duplicates), and able to leap: an
//! intersection of a short list with a long one touches little of the long one.

use super::transaction::{Cursor, Reader, Table};
use super::{EntryId, StorageError};

/// A list of entry ids; ascending, without repetition.
pub struct Postings<'t> {
    cursor: Cursor<'t>,
    key: Vec<u8>,
    page: &'t [u8],
    count: u64,
    ended: bool,
}

impl<'t> Postings<'t> {
    /// The list at `key`; `None` when no entry has it. Cost: one look-up.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn open(reader: Reader<'t>, key: &[u8]) -> Result<Option<Self>, StorageError> {
        let mut cursor = reader.cursor(Table::Index)?;
        let Some((_, first)) = cursor.seek_exact(key)? else { return Ok(None) };
        let count = cursor.duplicate_count()?;
        // LMDB hands out pages only of keys that have more than one item.
        let page = if count == 1 { first } else { cursor.page(true)?.unwrap_or(first) };
        Ok(Some(Self { cursor, key: key.to_vec(), page, count, ended: count == 1 }))
    }

    /// How many ids the list has in all.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The next id.
    ///
    /// # Errors
    /// LMDB's own.
    #[expect(clippy::should_implement_trait, reason = "fallible")]
    pub fn next(&mut self) -> Result<Option<EntryId>, StorageError> {
        loop {
            if let Some((id, rest)) = self.page.split_first_chunk::<8>() {
                self.page = rest;
                return Ok(Some(EntryId(u64::from_ne_bytes(*id))));
            }
            if self.ended {
                return Ok(None);
            }
            match self.cursor.page(false)? {
                Some(page) => self.page = page,
                None => self.ended = true,
            }
        }
    }

    /// Leaps to the first id at or after `id` and returns it.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn seek(&mut self, id: EntryId) -> Result<Option<EntryId>, StorageError> {
        let last = self.page.last_chunk::<8>().map(|id| u64::from_ne_bytes(*id));
        if last.is_none_or(|last| last < id.0) {
            if self.ended {
                return Ok(None);
            }
            self.page = &[];
            if self.cursor.seek_duplicate(&self.key, &id.to_key())?.is_none() {
                self.ended = true;
                return Ok(None);
            }
            if let Some(page) = self.cursor.page(true)? {
                self.page = page;
            }
        }
        let (ids, _) = self.page.as_chunks::<8>();
        let skip = ids.partition_point(|candidate| u64::from_ne_bytes(*candidate) < id.0);
        self.page = self.page.get(skip * 8..).unwrap_or_default();
        self.next()
    }
}
