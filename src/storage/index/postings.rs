//! The entries under one index key, in ascending order.
//!
//! Read a page of ids at a time (LMDB hands out whole pages of fixed-size duplicates), and able to leap: an
//! intersection of a short list with a long one touches little of the long one.

use super::super::{Cursor, Reader, Table};
use super::super::{EntryId, StorageError};
use super::run::Mark;
use std::borrow::Cow;

/// A list of entry ids; ascending, without repetition.
pub struct Postings<'t> {
    listed: Listed<'t>,
    /// What is said beside the table.
    marks: Cow<'t, [Mark]>,
    /// The next of them.
    at: usize,
    /// With marks: what the table has next.
    head: Option<EntryId>,
}

impl<'t> Postings<'t> {
    /// The list at `key`; `None` when no entry has it. Cost: one look-up.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn open(reader: Reader<'t>, key: &[u8]) -> Result<Option<Self>, StorageError> {
        let marks = reader.overlay().marks(key);
        let mut listed = Listed::open(reader, key)?;
        if listed.count == 0 && !marks.iter().any(|mark| mark.is_there()) {
            return Ok(None);
        }
        let head = if marks.is_empty() { None } else { listed.next()? };
        let list = Self { listed, marks, at: 0, head };
        let gone = list.marks.iter().filter(|mark| !mark.is_there()).count() as u64;
        if gone >= list.listed.count && gone == list.marks.len() as u64 {
            // Perhaps all of the table's ids are gone: this list is short, so read it.
            let mut ahead = Self::begin(reader, key, list.marks.clone())?;
            if ahead.next()?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(list))
    }

    /// Whether `id` is in the list at `key`. Cost: one look-up.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn has(reader: Reader<'_>, key: &[u8], id: EntryId) -> Result<bool, StorageError> {
        if let Some(is_there) = reader.overlay().mark(key, id) {
            return Ok(is_there);
        }
        let found = reader.cursor(Table::Index)?.seek_duplicate(key, &id.to_key())?;
        Ok(found.map(EntryId::from_key) == Some(id))
    }

    fn begin(reader: Reader<'t>, key: &[u8], marks: Cow<'t, [Mark]>) -> Result<Self, StorageError> {
        let mut listed = Listed::open(reader, key)?;
        let head = if marks.is_empty() { None } else { listed.next()? };
        Ok(Self { listed, marks, at: 0, head })
    }

    /// How many ids the list has at most; exact but for lists that changed of late.
    pub fn count(&self) -> u64 {
        self.listed.count + self.marks.iter().filter(|mark| mark.is_there()).count() as u64
    }

    /// The next id.
    ///
    /// # Errors
    /// LMDB's own.
    #[expect(clippy::should_implement_trait, reason = "fallible")]
    pub fn next(&mut self) -> Result<Option<EntryId>, StorageError> {
        if self.marks.is_empty() {
            return self.listed.next();
        }
        loop {
            let Some(mark) = self.marks.get(self.at).copied() else {
                let id = self.head;
                if id.is_some() {
                    self.head = self.listed.next()?;
                }
                return Ok(id);
            };
            match self.head {
                Some(id) if id < mark.id() => {
                    self.head = self.listed.next()?;
                    return Ok(Some(id));
                }
                Some(id) if id == mark.id() => self.head = self.listed.next()?,
                _ => {}
            }
            self.at += 1;
            if mark.is_there() {
                return Ok(Some(mark.id()));
            }
        }
    }

    /// Leaps to the first id at or after `id`, which is behind all that were given, and returns it.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn seek(&mut self, id: EntryId) -> Result<Option<EntryId>, StorageError> {
        if self.marks.is_empty() {
            return self.listed.seek(id);
        }
        if self.head.is_some_and(|head| head < id) {
            self.head = self.listed.seek(id)?;
        }
        let rest = self.marks.get(self.at..).unwrap_or_default();
        self.at += rest.partition_point(|mark| mark.id() < id);
        self.next()
    }
}

/// What the table has under the key.
struct Listed<'t> {
    cursor: Cursor<'t>,
    key: Vec<u8>,
    page: &'t [u8],
    count: u64,
    ended: bool,
}

impl<'t> Listed<'t> {
    fn open(reader: Reader<'t>, key: &[u8]) -> Result<Self, StorageError> {
        let mut cursor = reader.cursor(Table::Index)?;
        let Some((_, first)) = cursor.seek_exact(key)? else {
            return Ok(Self { cursor, key: Vec::new(), page: &[], count: 0, ended: true });
        };
        let count = cursor.duplicate_count()?;
        // LMDB hands out pages only of keys that have more than one item.
        let page = if count == 1 { first } else { cursor.page(true)?.unwrap_or(first) };
        Ok(Self { cursor, key: key.to_vec(), page, count, ended: count == 1 })
    }

    fn next(&mut self) -> Result<Option<EntryId>, StorageError> {
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

    fn seek(&mut self, id: EntryId) -> Result<Option<EntryId>, StorageError> {
        let last = self.page.last_chunk::<8>().map(|id| u64::from_ne_bytes(*id));
        if last.is_none_or(|last| last < id.0) {
            self.page = &[];
            if self.ended {
                return Ok(None);
            }
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
