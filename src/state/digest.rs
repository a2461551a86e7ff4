//! Proof that two masters hold the same: digests of entries and sums of them over buckets.
//!
//! Only what no garbage collection changes is digested (birth, name, superior, present values with their stamps,
//! counters): members forget absent cells, clears and tombstones at different times. With equal vectors the
//! digests are therefore equal (**same-updates-same-content**), and unequal ones mean a fault.
//!
//! The digest of an attribute is the sum of those of its values, so that a group of many members is kept up to date
//! value by value, and an attribute digests alike whether spilled or not. Members are trusted: sums guard against faults,
//! not against a member that lies. So the hash is XXH3 of 128 bits: every write of an entry digests all its values, and
//! a cryptographic hash would cost more than the write's own arithmetic.

use smallvec::SmallVec;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::model::entry_uuid::EntryUuid;
use crate::state::cells::{Cell, CellValue};
use crate::state::csn::Stamp;
use crate::state::entry_state::EntryState;
use crate::state::error::StateError;
use crate::state::update::AttributeId;
use crate::state::value_key::ValueKey;

/// The hash of the lasting part of an entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntryDigest(pub u128);

/// How many buckets a node's entries are summed up in.
pub const BUCKETS: usize = 4096;

/// Bytes that most values take with their key and stamp.
const CELL_BYTES_FEW: usize = 256;
/// Bytes that the names and sums of most entries take.
const ENTRY_BYTES_FEW: usize = 2048;

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

/// The bucket path of an entry: hashed, as entryUUIDs of one time lie together. Its leading bits are the bucket, at
/// whichever fan-out.
pub fn bucket_path(uuid: EntryUuid) -> [u8; 16] {
    xxh3_128(&uuid.0).to_be_bytes()
}

/// The bucket of an entry, below [`BUCKETS`]: the first twelve bits of its path.
pub fn bucket_of(uuid: EntryUuid) -> u16 {
    let [high, low, ..] = bucket_path(uuid);
    u16::from_be_bytes([high, low]) >> 4
}

/// The digest of one present value of an attribute.
pub fn cell_digest(key: &ValueKey, cell: &Cell) -> u128 {
    let (kind, value) = match &cell.value {
        CellValue::Text(text) => (0, text.as_slice()),
        CellValue::Link(target) => (1, target.0.as_slice()),
    };
    let key = key.as_bytes();
    let (csn, sequence) = (cell.stamp.csn.to_be_bytes(), cell.stamp.sequence.to_be_bytes());
    let order = cell.order.to_be_bytes();
    let parts: [&[u8]; 7] = [&[key.len() as u8], key, &csn, &sequence, &order, &[kind], value];
    // Hashed from one buffer: several times quicker than a streaming hasher for values of this size.
    let mut buffer = [0; CELL_BYTES_FEW];
    match joined(&parts, &mut buffer) {
        Some(bytes) => xxh3_128(bytes),
        None => xxh3_128(&parts.concat()),
    }
}

/// The parts one behind the other, if they have room.
fn joined<'b>(parts: &[&[u8]], buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let mut end = 0;
    for part in parts {
        buffer.get_mut(end..end + part.len())?.copy_from_slice(part);
        end += part.len();
    }
    buffer.get(..end)
}

impl EntryState {
    /// A hash of the changes that the whole state names, those among them that took something away or are of a deleted
    /// entry, and of `moves`. States that hash alike were made by the same changes; other than the digest, it changes when
    /// something is forgotten. Of a spilled attribute the newest change counts.
    pub fn changes_hash(&self, moves: impl IntoIterator<Item = Stamp>) -> u64 {
        let mut stamps: SmallVec<[Stamp; 16]> = self.stamps().chain(moves).collect();
        stamps.sort_unstable();
        stamps.dedup();
        let mut bytes = Vec::with_capacity(ENTRY_BYTES_FEW);
        bytes.push(u8::from(self.born));
        stamps.into_iter().for_each(|stamp| put_stamp(&mut bytes, stamp));
        xxh3_64(&bytes)
    }

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
        let mut bytes = Vec::with_capacity(ENTRY_BYTES_FEW);
        bytes.extend_from_slice(&self.uuid.0);
        put_stamp(&mut bytes, self.birth);
        put_stamp(&mut bytes, self.parent.0);
        bytes.extend_from_slice(&self.parent.1.0);
        put_stamp(&mut bytes, self.rdn.0);
        bytes.extend_from_slice(&(self.rdn.1.avas.len() as u64).to_be_bytes());
        for ava in &self.rdn.1.avas {
            put_bytes(&mut bytes, named(ava.attribute)?.as_ref().as_bytes());
            put_bytes(&mut bytes, ava.key.as_bytes());
            put_bytes(&mut bytes, &ava.value);
            put_bytes(&mut bytes, ava.type_text.as_bytes());
        }
        let mut attributes: SmallVec<[_; 32]> = SmallVec::new();
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
        attributes.sort_unstable_by(|(a, ..), (b, ..)| a.as_ref().cmp(b.as_ref()));
        for (name, count, sum, counter) in attributes {
            put_bytes(&mut bytes, name.as_ref().as_bytes());
            bytes.extend_from_slice(&count.to_be_bytes());
            bytes.extend_from_slice(&sum.to_be_bytes());
            if let Some(counter) = counter {
                put_stamp(&mut bytes, counter.base.stamp);
                bytes.extend_from_slice(&counter.base.value.to_be_bytes());
                for part in counter.parts.values() {
                    put_stamp(&mut bytes, part.stamp);
                    bytes.extend_from_slice(&part.count.to_be_bytes());
                    bytes.extend_from_slice(&part.sum.to_be_bytes());
                }
            }
            bytes.push(0xff);
        }
        Ok(Some(EntryDigest(xxh3_128(&bytes))))
    }
}

fn put_stamp(out: &mut Vec<u8>, stamp: Stamp) {
    out.extend_from_slice(&stamp.csn.to_be_bytes());
    out.extend_from_slice(&stamp.sequence.to_be_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests;
