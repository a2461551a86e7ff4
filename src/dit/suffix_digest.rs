//! Digests by suffix, for who wants to know which part of a node's content is another's.
//!
//! Nodes prove that they are equal by the sum over everything, which is kept with every commit. The sums of the single
//! suffixes are reckoned when asked for, from the digests in the state records: they are for people.

use super::DitError;
use super::digest_table::stored_digest;
use super::view::View;
use crate::state::BucketSum;
use crate::storage::{EntryId, Table};
use std::collections::BTreeMap;

impl View<'_> {
    /// The sum over the live entries of each suffix, cn=cluster among them; what is not shown for want of its superiors is
    /// under [`EntryId::NONE`]. Cost: reads every entry.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`].
    pub fn suffix_digests(&self) -> Result<BTreeMap<EntryId, BucketSum>, DitError> {
        let mut sums: BTreeMap<EntryId, BucketSum> = BTreeMap::new();
        // Only of entries that others are below.
        let mut suffix_of: BTreeMap<EntryId, EntryId> = BTreeMap::new();
        let mut cursor = self.reader().cursor(Table::Id2State)?.reading_ahead();
        let mut item = cursor.first()?;
        while let Some((key, _)) = item {
            let id = EntryId::from_key(key);
            if let Some(digest) = stored_digest(self.reader(), self.catalog(), id)? {
                let suffix = self.suffix(id, &mut suffix_of)?;
                sums.entry(suffix).or_default().replace(None, Some(digest));
            }
            item = cursor.next()?;
        }
        Ok(sums)
    }

    fn suffix(&self, id: EntryId, known: &mut BTreeMap<EntryId, EntryId>) -> Result<EntryId, DitError> {
        let Some(entry) = self.entry(id)? else { return Ok(EntryId::NONE) };
        let superior = self.superior(&entry);
        if superior == EntryId::NONE {
            return Ok(id);
        }
        if let Some(suffix) = known.get(&superior) {
            return Ok(*suffix);
        }
        let suffix = self.superiors(&entry)?.last().copied().unwrap_or(id);
        known.insert(superior, suffix);
        Ok(suffix)
    }
}
