//! The index in order: keys rise, and the ids under a key.

use super::super::{Cursor, Reader, Table};
use super::super::{EntryId, StorageError};
use super::overlay::Walk;
use std::cmp::Ordering;

/// A place in the index; gives what comes next.
pub struct IndexCursor<'t> {
    table: Cursor<'t>,
    /// What the table has next.
    item: Option<(&'t [u8], EntryId)>,
    walk: Walk<'t>,
    /// What the walk has next.
    mark: Option<(&'t [u8], EntryId, bool)>,
}

impl<'t> IndexCursor<'t> {
    /// A cursor that gives everything from (`key`, `id`) on. Cost: one look-up.
    ///
    /// # Errors
    /// LMDB's own, here and below.
    pub fn seek(reader: Reader<'t>, key: &[u8], id: EntryId) -> Result<Self, StorageError> {
        let mut table = reader.cursor(Table::Index)?;
        let mut item = table.seek(key)?;
        if id != EntryId::NONE && item.is_some_and(|(found, _)| found == key) {
            item = match table.seek_duplicate(key, &id.to_key())? {
                Some(at) => item.map(|(found, _)| (found, at)),
                None => {
                    table.seek_exact(key)?;
                    table.next_key()?
                }
            };
        }
        let walk = reader.overlay().walk(key, id);
        let mut cursor = Self { table, item: placed(item), walk, mark: None };
        cursor.look();
        Ok(cursor)
    }

    /// The next key and id.
    ///
    /// # Errors
    /// LMDB's own.
    #[expect(clippy::should_implement_trait, reason = "fallible")]
    pub fn next(&mut self) -> Result<Option<(&'t [u8], EntryId)>, StorageError> {
        loop {
            let Some((key, id, is_there)) = self.mark else {
                let item = self.item;
                if item.is_some() {
                    self.item = placed(self.table.next()?);
                }
                return Ok(item);
            };
            let order = self.item.map_or(Ordering::Greater, |(found, at)| found.cmp(key).then(at.cmp(&id)));
            let item = self.item;
            if order.is_le() {
                self.item = placed(self.table.next()?);
            }
            if order.is_lt() {
                return Ok(item);
            }
            self.walk.pass(key, id);
            self.look();
            if is_there {
                return Ok(Some((key, id)));
            }
        }
    }

    /// Goes on behind all ids of `key`, which must be that of the last item.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn pass_key(&mut self, key: &[u8]) -> Result<(), StorageError> {
        if self.item.is_some_and(|(found, _)| found == key) {
            self.item = placed(self.table.next_key()?);
        }
        if self.mark.is_some_and(|(found, ..)| found == key) {
            self.walk.pass_key(key);
            self.look();
        }
        Ok(())
    }

    /// Goes on to the first key that `passes_over` does not want passed, as long as keys begin with `within` and no change
    /// waits among them; at most `keys_max` of them. Returns how many were passed. Cost: some 30 ns a key, half of
    /// [`IndexCursor::next`] and [`IndexCursor::pass_key`].
    ///
    /// # Errors
    /// LMDB's own.
    pub fn pass_keys(
        &mut self,
        within: &[u8],
        keys_max: usize,
        mut passes_over: impl FnMut(&[u8]) -> bool,
    ) -> Result<usize, StorageError> {
        if self.mark.is_some_and(|(key, ..)| key.starts_with(within)) {
            return Ok(0);
        }
        // Attribute and kind: compared without a call.
        let short = within.first_chunk::<5>().filter(|_| within.len() == 5);
        let is_within = |key: &[u8]| match short {
            Some(short) => key.first_chunk::<5>() == Some(short),
            None => key.starts_with(within),
        };
        let mut passed = 0;
        while passed < keys_max
            && let Some((key, _)) = self.item
            && is_within(key)
            && passes_over(key)
        {
            self.item = placed(self.table.next_key()?);
            passed += 1;
        }
        Ok(passed)
    }

    /// How many ids the index has under all keys. Cost: one look-up for each change that waits.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn count_all(reader: Reader<'_>) -> Result<u64, StorageError> {
        let mut count = reader.count(Table::Index)?;
        let mut table = reader.cursor(Table::Index)?;
        let mut walk = reader.overlay().walk(&[], EntryId::NONE);
        while let Some((key, mark)) = walk.head() {
            let id = mark.id();
            let in_table = table.seek_duplicate(key, &id.to_key())?.map(EntryId::from_key) == Some(id);
            match (in_table, mark.is_there()) {
                (false, true) => count += 1,
                (true, false) => count = count.saturating_sub(1),
                _ => {}
            }
            walk.pass(key, id);
        }
        Ok(count)
    }

    fn look(&mut self) {
        self.mark = self.walk.head().map(|(key, mark)| (key, mark.id(), mark.is_there()));
    }
}

fn placed<'t>(item: Option<(&'t [u8], &'t [u8])>) -> Option<(&'t [u8], EntryId)> {
    item.map(|(key, id)| (key, EntryId::from_key(id)))
}
