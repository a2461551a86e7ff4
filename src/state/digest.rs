//! Proof that two masters hold the same: digests of entries and sums of them over buckets.
//!
//! Only what no garbage collection changes is digested (birth, name, superior, present values with their stamps,
//! counters): members forget absent cells, clears and tombstones at different times. With equal vectors the
//! digests are therefore equal (**same-updates-same-content**), and unequal ones mean a fault.
//!
//! The digest of an attribute is the sum of those of its values, so that a group of many members is kept up to date
//! value by value, and an attribute digests alike whether spilled or not. Members are trusted: sums guard against faults,
//! not against a member that lies.

use smallvec::SmallVec;

use crate::model::entry_uuid::EntryUuid;
use crate::state::cells::{Cell, CellValue};
use crate::state::csn::Stamp;
use crate::state::entry_state::EntryState;
use crate::state::error::StateError;
use crate::state::update::AttributeId;
use crate::state::value_key::ValueKey;

/// BLAKE3 of the lasting part of an entry, cut to 128 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntryDigest(pub u128);

/// How many entries are in a bucket, and the wrapping sum of their digests.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct BucketSum {
    /// Live entries.
    pub count: u64,
    /// Wrapping sum of their digests.
    pub sum: u128,
}

impl BucketSum {
    /// An entry came in.
    pub fn add(&mut self, digest: EntryDigest) {
        self.count = self.count.wrapping_add(1);
        self.sum = self.sum.wrapping_add(digest.0);
    }

    /// An entry that was in is gone, or changes.
    pub fn remove(&mut self, digest: EntryDigest) {
        self.count = self.count.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(digest.0);
    }

    /// An entry changed from one digest (none: was not live) to another.
    pub fn replace(&mut self, old: Option<EntryDigest>, new: Option<EntryDigest>) {
        old.into_iter().for_each(|digest| self.remove(digest));
        new.into_iter().for_each(|digest| self.add(digest));
    }

    /// The sum of a bucket's parts is the bucket's.
    pub fn merge(&mut self, part: Self) {
        self.count = self.count.wrapping_add(part.count);
        self.sum = self.sum.wrapping_add(part.sum);
    }
}

/// The bucket path of an entry: hashed, as entryUUIDs of one time lie together. The first byte is the bucket at the
/// first level (fan-out 256), the second that below it, and so on.
pub fn bucket_path(uuid: EntryUuid) -> [u8; 16] {
    short(blake3::hash(&uuid.0)).to_be_bytes()
}

/// The digest of one present value of an attribute.
pub fn cell_digest(key: &ValueKey, cell: &Cell) -> u128 {
    let (kind, value) = match &cell.value {
        CellValue::Text(text) => (0, text.as_slice()),
        CellValue::Link(target) => (1, target.0.as_slice()),
    };
    // Hashed from one buffer: several times quicker than a streaming hasher for values of this size.
    let mut bytes: SmallVec<[u8; 256]> = SmallVec::with_capacity(128 + value.len());
    let key = key.as_bytes();
    bytes.push(key.len() as u8);
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(&cell.stamp.csn.to_be_bytes());
    bytes.extend_from_slice(&cell.stamp.sequence.to_be_bytes());
    bytes.extend_from_slice(&cell.order.to_be_bytes());
    bytes.push(kind);
    bytes.extend_from_slice(value);
    short(blake3::hash(&bytes))
}

impl EntryState {
    /// The digest of the lasting part; `None` for an entry that is not live. `name_of` gives an attribute's key as text,
    /// as local numbers differ between nodes.
    ///
    /// # Errors
    /// [`StateError::UnknownAttribute`] if `name_of` does not know an attribute with present values.
    pub fn digest_part<N: AsRef<str>>(
        &self,
        name_of: impl Fn(AttributeId) -> Option<N>,
    ) -> Result<Option<EntryDigest>, StateError> {
        if !self.is_live() {
            return Ok(None);
        }
        let named = |attribute| name_of(attribute).ok_or(StateError::UnknownAttribute(attribute));
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.uuid.0);
        update_stamp(&mut hasher, self.birth);
        update_stamp(&mut hasher, self.parent.0);
        hasher.update(&self.parent.1.0);
        update_stamp(&mut hasher, self.rdn.0);
        hasher.update(&(self.rdn.1.avas.len() as u64).to_be_bytes());
        for ava in &self.rdn.1.avas {
            update_bytes(&mut hasher, named(ava.attribute)?.as_ref().as_bytes());
            update_bytes(&mut hasher, ava.key.as_bytes());
            update_bytes(&mut hasher, &ava.value);
            update_bytes(&mut hasher, ava.type_text.as_bytes());
        }
        let mut attributes = Vec::with_capacity(self.attributes.len());
        for (attribute, state) in &self.attributes {
            let (count, sum) = match &state.spilled {
                Some(spilled) => (spilled.count, spilled.digest),
                None => {
                    let present = state.cells.iter().filter(|(_, cell)| cell.present);
                    present.fold((0, 0u128), |(count, sum), (key, cell)| {
                        (count + 1, sum.wrapping_add(cell_digest(key, cell)))
                    })
                }
            };
            if count > 0 || state.counter.is_some() {
                attributes.push((named(*attribute)?, count, sum, &state.counter));
            }
        }
        attributes.sort_by(|(a, ..), (b, ..)| a.as_ref().cmp(b.as_ref()));
        for (name, count, sum, counter) in attributes {
            update_bytes(&mut hasher, name.as_ref().as_bytes());
            hasher.update(&count.to_be_bytes());
            hasher.update(&sum.to_be_bytes());
            if let Some(counter) = counter {
                update_stamp(&mut hasher, counter.base.stamp);
                hasher.update(&counter.base.value.to_be_bytes());
                for part in counter.parts.values() {
                    update_stamp(&mut hasher, part.stamp);
                    hasher.update(&part.count.to_be_bytes());
                    hasher.update(&part.sum.to_be_bytes());
                }
            }
            hasher.update(&[0xff]);
        }
        Ok(Some(EntryDigest(short(hasher.finalize()))))
    }
}

fn update_stamp(hasher: &mut blake3::Hasher, stamp: Stamp) {
    hasher.update(&stamp.csn.to_be_bytes());
    hasher.update(&stamp.sequence.to_be_bytes());
}

fn update_bytes(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_be_bytes());
    hasher.update(bytes);
}

fn short(hash: blake3::Hash) -> u128 {
    hash.as_bytes().iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests;
