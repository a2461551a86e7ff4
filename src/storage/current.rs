//! The table `current`: what nearly every commit changes, so little that it fits on one page.
//!
//! Each table that a commit touches costs it a page at least, and a table that grows three: leaf, branch and root. One
//! change of one entry wrote more of such pages than of what it changed. So the counters of `meta` that move stand
//! here, and three tables have their newest rows here first: the update vector, the changes of the digest sums, and the
//! index changes that wait. Their owners move these rows on together, once there are more than a few.
//!
//! Not here: what is large. A second page would be the second that every commit writes.

use super::table::Table;
use super::{Reader, StorageError};

/// What has rows in the table, beside names of `meta`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recent {
    /// Changes of the digest sums; one row, with the number 0.
    Digest,
    /// Runs of index changes by number.
    Index,
    /// Elements of the update vector by origin.
    Vector,
}

impl Recent {
    fn prefix(self) -> &'static [u8] {
        match self {
            Self::Digest => b"recent-digest-",
            Self::Index => b"recent-index-",
            Self::Vector => b"recent-vector-",
        }
    }

    /// The key of the row `number`.
    pub fn key(self, number: u64) -> Vec<u8> {
        [self.prefix(), &number.to_be_bytes()].concat()
    }

    /// Whether this is the key of such a row.
    pub(super) fn has(self, key: &[u8]) -> bool {
        key.starts_with(self.prefix())
    }
}

impl<'t> Reader<'t> {
    /// The rows of one kind, by rising numbers.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn recent(&self, of: Recent) -> Result<Vec<(u64, &'t [u8])>, StorageError> {
        let mut rows = Vec::new();
        let mut cursor = self.cursor(Table::Current)?;
        let mut item = cursor.seek(of.prefix())?;
        while let Some((key, row)) = item {
            let Some(number) = key.strip_prefix(of.prefix()).and_then(|number| number.try_into().ok()) else { break };
            rows.push((u64::from_be_bytes(number), row));
            item = cursor.next()?;
        }
        Ok(rows)
    }
}
