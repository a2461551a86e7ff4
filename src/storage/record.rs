//! The checksum that binds a record to its key.
//!
//! LMDB does not notice bit rot, and a record that is whole but sits under the wrong key is as wrong as a flipped
//! bit. So the first eight bytes of a record are an XXH3 of its body, seeded with a hash of its key.

use super::{EntryId, StorageError};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

const CHECKSUM_BYTES: usize = 8;

/// Fills the first eight bytes of `record` (left free by its builder) with the checksum for `key`.
pub fn seal(key: &[u8], record: &mut [u8]) {
    seal_seeded(xxh3_64(key), record);
}

/// [`seal`] for tables keyed by entry id.
pub fn sealed_id(id: EntryId, mut record: Vec<u8>) -> Vec<u8> {
    seal_seeded(id.0, &mut record);
    record
}

/// The body after the checksum of `record`.
///
/// # Errors
/// [`StorageError::Corrupted`] when it does not belong to `key` or was changed.
pub fn unseal<'r>(table: &'static str, key: &[u8], record: &'r [u8]) -> Result<&'r [u8], StorageError> {
    unseal_seeded(xxh3_64(key), record).ok_or_else(|| StorageError::Corrupted {
        table,
        detail: format!("the record at key {} fails its checksum", hex(key)),
    })
}

/// [`unseal`] for tables keyed by entry id.
///
/// # Errors
/// [`StorageError::Corrupted`] when it does not belong to `id` or was changed.
pub fn unseal_id<'r>(table: &'static str, id: EntryId, record: &'r [u8]) -> Result<&'r [u8], StorageError> {
    unseal_seeded(id.0, record).ok_or_else(|| StorageError::Corrupted {
        table,
        detail: format!("the record of entry number {} fails its checksum", id.0),
    })
}

fn seal_seeded(seed: u64, record: &mut [u8]) {
    if let Some((sum, body)) = record.split_at_mut_checked(CHECKSUM_BYTES) {
        sum.copy_from_slice(&xxh3_64_with_seed(body, seed).to_le_bytes());
    }
}

fn unseal_seeded(seed: u64, record: &[u8]) -> Option<&[u8]> {
    let (sum, body) = record.split_at_checked(CHECKSUM_BYTES)?;
    (sum == xxh3_64_with_seed(body, seed).to_le_bytes()).then_some(body)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().take(64).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_single_bit_flip_and_a_foreign_key_are_noticed() {
        let record = sealed_id(EntryId(9), b"\0\0\0\0\0\0\0\0some body".to_vec());
        assert_eq!(unseal_id("t", EntryId(9), &record).unwrap(), b"some body");
        assert!(unseal_id("t", EntryId(8), &record).is_err());
        for bit in 0..record.len() * 8 {
            let mut bad = record.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal_id("t", EntryId(9), &bad).is_err(), "bit {bit}");
        }
    }
}
