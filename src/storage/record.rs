//! The checksum that binds a record to its key.
//!
//! LMDB does not notice bit rot, and a record that is whole but sits under the wrong key is as wrong as a flipped
//! bit. So the first eight bytes of a record are an XXH3 of its body, seeded with a hash of its key.
//! A record whose body is encrypted (`encryption`) has another seed, so that its checksum tells one from the other, and a body
//! in clear costs nothing more.

use super::{EntryId, StorageError};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

const CHECKSUM_BYTES: usize = 8;
/// What the seed of an encrypted record differs by.
const ENCRYPTED: u64 = 0x656e_7465_6e74_6531;

/// Fills the first eight bytes of `record` (left free by its builder) with the checksum for `key`.
pub fn seal(key: &[u8], record: &mut [u8]) {
    seal_seeded(xxh3_64(key), record);
}

/// [`seal`] for tables keyed by entry id.
pub fn sealed_id(id: EntryId, mut record: Vec<u8>) -> Vec<u8> {
    seal_seeded(id.0, &mut record);
    record
}

/// A record of an encrypted body.
pub fn sealed_encrypted(key: &[u8], encrypted: &[u8]) -> Vec<u8> {
    let mut record = vec![0; CHECKSUM_BYTES];
    record.extend_from_slice(encrypted);
    seal_seeded(xxh3_64(key) ^ ENCRYPTED, &mut record);
    record
}

/// [`sealed_encrypted`] for tables keyed by entry id.
pub fn sealed_encrypted_id(id: EntryId, encrypted: &[u8]) -> Vec<u8> {
    let mut record = vec![0; CHECKSUM_BYTES];
    record.extend_from_slice(encrypted);
    seal_seeded(id.0 ^ ENCRYPTED, &mut record);
    record
}

/// A body that may be encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Body<'r> {
    /// As it was given to [`seal`].
    Clear(&'r [u8]),
    /// As it was given to [`sealed_encrypted`].
    Encrypted(&'r [u8]),
}

/// [`unseal`] of a record that may be encrypted.
///
/// # Errors
/// As [`unseal`].
pub fn unseal_any<'r>(table: &'static str, key: &[u8], record: &'r [u8]) -> Result<Body<'r>, StorageError> {
    let seed = xxh3_64(key);
    any_seeded(seed, record).map_or_else(|| unseal(table, key, record).map(Body::Clear), Ok)
}

/// [`unseal_id`] of a record that may be encrypted.
///
/// # Errors
/// As [`unseal_id`].
pub fn unseal_any_id<'r>(table: &'static str, id: EntryId, record: &'r [u8]) -> Result<Body<'r>, StorageError> {
    any_seeded(id.0, record).map_or_else(|| unseal_id(table, id, record).map(Body::Clear), Ok)
}

fn any_seeded(seed: u64, record: &[u8]) -> Option<Body<'_>> {
    let clear = unseal_seeded(seed, record).map(Body::Clear);
    clear.or_else(|| unseal_seeded(seed ^ ENCRYPTED, record).map(Body::Encrypted))
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
    fn an_encrypted_body_is_told_from_one_in_clear() {
        let record = sealed_encrypted(b"key", b"body");
        assert_eq!(unseal_any("t", b"key", &record).unwrap(), Body::Encrypted(b"body"));
        assert!(unseal("t", b"key", &record).is_err());
        assert!(unseal_any("t", b"other", &record).is_err());
        let mut clear = vec![0; 8];
        clear.extend_from_slice(b"body");
        seal(b"key", &mut clear);
        assert_eq!(unseal_any("t", b"key", &clear).unwrap(), Body::Clear(b"body"));
        let record = sealed_encrypted_id(EntryId(9), b"body");
        assert_eq!(unseal_any_id("t", EntryId(9), &record).unwrap(), Body::Encrypted(b"body"));
        assert!(unseal_any_id("t", EntryId(8), &record).is_err());
    }

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
