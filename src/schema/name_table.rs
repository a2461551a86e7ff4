//! Names and OIDs of schema elements, found in any case without allocation.
//!
//! Every attribute of every request passes here, so a look-up is one pass for the hash and one comparison. The hash is
//! not keyed: what is in the table comes from schema files, clients can only look up.

use hashbrown::HashTable;

/// Names to positions.
#[derive(Debug, Default)]
pub(crate) struct NameTable {
    names: HashTable<(Box<str>, u32)>,
}

impl NameTable {
    /// Adds a name; `Err` with the position that already has it.
    pub(crate) fn insert(&mut self, name: &str, position: u32) -> Result<(), u32> {
        if let Some(taken) = self.find(name) {
            return Err(u32::try_from(taken).unwrap_or(u32::MAX));
        }
        self.names.insert_unique(hash(name), (name.into(), position), |(name, _)| hash(name));
        Ok(())
    }

    /// The position of a name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        let (_, position) = self.names.find(hash(name), |(known, _)| known.eq_ignore_ascii_case(name))?;
        usize::try_from(*position).ok()
    }
}

/// FNV-1a over letters made small, finished so that the table's upper bits are mixed too.
fn hash(name: &str) -> u64 {
    let sum = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(byte | 0x20)).wrapping_mul(0x0100_0000_01b3));
    (sum ^ sum >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
