//! Order-preserving keys.
//!
//! LMDB keys end at 511 bytes. A longer key keeps its first bytes (so that range reads still find it) and ends
//! in a 128-bit hash of the whole (so that different values keep different keys); whoever reads by such a key
//! compares the entry again.

use super::EntryId;
use crate::model::EntryUuid;
use crate::state::{AttributeId, OriginId, ValueKey};
use xxhash_rust::xxh3::xxh3_128;

/// LMDB's limit, which both keys and DUPSORT values obey.
pub const KEY_BYTES_MAX: usize = 511;
/// The longest normal form that an index key holds whole.
pub const INDEX_KEY_BYTES_MAX: usize = 400;
const HASHED_PREFIX_BYTES: usize = INDEX_KEY_BYTES_MAX - 16;
const _: () = assert!(INDEX_KEY_BYTES_MAX + 8 + 16 < KEY_BYTES_MAX);

/// What an index key speaks of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum IndexKind {
    /// The attribute is present; the key is empty.
    Presence = b'*',
    /// A value's normal form; ordered, so that it serves `>=`, `<=` and prefixes too.
    Equality = b'=',
    /// Three consecutive characters of a value's normal form (two and an end mark at its end).
    Substring = b's',
    /// The phonetic form of a word of the value.
    Approx = b'~',
}

/// `attribute ‖ kind ‖ normal form`, appended to `out`; a normal form over [`INDEX_KEY_BYTES_MAX`] is cut and hashed.
/// Returns whether the key holds the whole normal form.
pub fn index_key(attribute: AttributeId, kind: IndexKind, normal: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(&attribute.0.to_be_bytes());
    out.push(kind as u8);
    bounded(normal, out)
}

/// `parent ‖ normalised RDN` of the tree table.
pub fn dn2id_key(parent: EntryId, rdn_key: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(8 + rdn_key.len().min(INDEX_KEY_BYTES_MAX));
    key.extend_from_slice(&parent.0.to_be_bytes());
    bounded(rdn_key, &mut key);
    key
}

/// `entryUUID ‖ birth dot` of the identity table.
pub fn uuid2id_key(uuid: EntryUuid, birth: Option<(OriginId, u64)>) -> Vec<u8> {
    let mut key = uuid.0.to_vec();
    if let Some((origin, sequence)) = birth {
        key.extend_from_slice(&origin.0.to_be_bytes());
        key.extend_from_slice(&sequence.to_be_bytes());
    }
    key
}

/// `entry ‖ attribute` : where the spilled values of an attribute begin.
pub fn bigvalue_prefix(entry: EntryId, attribute: AttributeId) -> [u8; 12] {
    let mut key = [0; 12];
    let (id, rest) = key.split_at_mut(8);
    id.copy_from_slice(&entry.0.to_be_bytes());
    rest.copy_from_slice(&attribute.0.to_be_bytes());
    key
}

/// `entry ‖ attribute ‖ value key` of one spilled cell.
pub fn bigvalue_key(entry: EntryId, attribute: AttributeId, value: &ValueKey) -> Vec<u8> {
    let mut key = bigvalue_prefix(entry, attribute).to_vec();
    key.extend_from_slice(value.as_bytes());
    key
}

/// `origin ‖ sequence` of the log.
pub fn log_key(origin: OriginId, sequence: u64) -> [u8; 16] {
    let mut key = [0; 16];
    let (o, s) = key.split_at_mut(8);
    o.copy_from_slice(&origin.0.to_be_bytes());
    s.copy_from_slice(&sequence.to_be_bytes());
    key
}

fn bounded(normal: &[u8], out: &mut Vec<u8>) -> bool {
    match normal.split_at_checked(HASHED_PREFIX_BYTES) {
        Some((prefix, _)) if normal.len() > INDEX_KEY_BYTES_MAX => {
            out.extend_from_slice(prefix);
            out.extend_from_slice(&xxh3_128(normal).to_be_bytes());
            false
        }
        _ => {
            out.extend_from_slice(normal);
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_normal_forms_keep_their_order_prefix_and_stay_apart() {
        let (mut a, mut b) = (vec![b'x'; 1000], vec![b'x'; 1000]);
        a.push(1);
        b.push(2);
        let (mut ka, mut kb) = (Vec::new(), Vec::new());
        assert!(!index_key(AttributeId(7), IndexKind::Equality, &a, &mut ka));
        assert!(!index_key(AttributeId(7), IndexKind::Equality, &b, &mut kb));
        assert_ne!(ka, kb);
        assert!(ka.len() <= KEY_BYTES_MAX);
        assert_eq!(ka[..5 + HASHED_PREFIX_BYTES], kb[..5 + HASHED_PREFIX_BYTES]);
    }
}
