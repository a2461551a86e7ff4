//! The view record: an entry as clients see it, laid out so that answering is copying.
//!
//! ```text
//!  0  checksum u64          bound to the entry's id
//!  8  parent u64            entry id of the superior; 0 for a suffix
//! 16  naming stamp u64      at which the texts of links were rendered
//! 24  entryUUID 16 bytes
//! 40  newest CSN 16 bytes   entryCSN, entryVersion
//! 56  created i64           unix milliseconds
//! 64  modified i64          unix milliseconds
//! 72  flags u16, attribute count u16, RDN text length u32
//! 80  directory: for each attribute: id u32 (top byte: flags), offset u32 (of its SET from the record's start)
//!     RDN text (UTF-8, as last written)
//!     for each attribute: a BER SET OF its values, complete with tag and length; after it, for an attribute of
//!     links, the entryUUID that each value's text was rendered from (16 bytes each, nil for plain text);
//!     after the empty SET of encrypted values: count of their forms u32, the forms (16 bytes each), the ciphertext
//! ```
//!
//! All numbers little-endian. Attributes stand in ascending order of id, user and operational together; an
//! attribute without values has no place. Spilled attributes (values in `bigvalues`) have an empty SET here.

use super::encryption::FORM_BYTES;
use super::record::unseal_id;
use super::{EntryId, StorageError};
use crate::model::EntryUuid;
use crate::state::{AttributeId, Csn};

/// The entry is an alias.
pub const ENTRY_ALIAS: u16 = 1;
/// The entry is a referral (objectClass referral).
pub const ENTRY_REFERRAL: u16 = 2;
/// The entry has `aci` values.
pub const ENTRY_HAS_ACI: u16 = 4;
/// Some attribute has links whose text may be stale.
pub const ENTRY_HAS_LINKS: u16 = 8;
/// The entry is a subentry (RFC 3672), which plain searches do not show.
pub const ENTRY_SUBENTRY: u16 = 16;
/// The entry is deleted, and stands for the live ones below it.
pub const ENTRY_PHANTOM: u16 = 32;
/// Another entry has the name of this one. With [`ENTRY_PHANTOM`] it is shown nowhere.
pub const ENTRY_LOSER: u16 = 64;

/// The entry is a password policy.
pub const ENTRY_POLICY: u16 = 128;

/// The attribute is operational.
pub const VALUE_OPERATIONAL: u8 = 1;
/// Some values are links rendered as DN text.
pub const VALUE_LINKS: u8 = 2;
/// The values live in `bigvalues`.
pub const VALUE_SPILLED: u8 = 4;
/// The attribute holds secrets (password hashes).
pub const VALUE_SECRET: u8 = 8;
/// The attribute shows nothing: all its links lead to entries that are not there.
pub const VALUE_DANGLING: u8 = 16;

/// The values are encrypted: their SET is empty, and what stands behind it is [`AttributeSlice::encrypted`].
pub const VALUE_ENCRYPTED: u8 = 32;

const HEADER_BYTES: usize = 80;
const SLOT_BYTES: usize = 8;
const ID_MASK: u32 = 0x00ff_ffff;

/// The fixed part of a view record.
#[derive(Clone, Debug)]
pub struct ViewHeader {
    /// The superior.
    pub parent: EntryId,
    /// When the texts of links were rendered.
    pub naming_stamp: u64,
    /// Identity.
    pub uuid: EntryUuid,
    /// The newest stamp in the entry.
    pub csn: Csn,
    /// Unix milliseconds.
    pub created_ms: i64,
    /// Unix milliseconds.
    pub modified_ms: i64,
    /// `ENTRY_*` bits.
    pub flags: u16,
}

/// Builds a record; attributes are added in ascending order of id.
pub struct ViewRecordBuilder {
    header: ViewHeader,
    rdn: Vec<u8>,
    slots: Vec<(u32, u32)>,
    sets: Vec<u8>,
}

impl ViewRecordBuilder {
    /// A record with `rdn` as the RDN's text.
    pub fn new(header: ViewHeader, rdn: &str) -> Self {
        Self { header, rdn: rdn.as_bytes().to_vec(), slots: Vec::with_capacity(24), sets: Vec::with_capacity(1024) }
    }

    /// A record with the head and the name of another, of which the texts of links are as of `naming_stamp`.
    pub fn like(record: &ViewRecord<'_>, naming_stamp: u64) -> Self {
        let header = ViewHeader {
            parent: record.parent(),
            naming_stamp,
            uuid: record.uuid(),
            csn: record.csn(),
            created_ms: record.created_ms(),
            modified_ms: record.modified_ms(),
            flags: record.flags(),
        };
        Self { header, rdn: record.rdn.to_vec(), slots: Vec::with_capacity(24), sets: Vec::with_capacity(1024) }
    }

    /// Adds an attribute as another record has it.
    pub fn copy(&mut self, slice: &AttributeSlice<'_>) {
        debug_assert!(self.slots.last().is_none_or(|(last, _)| last & ID_MASK < slice.id.0), "attributes ascend");
        self.slots.push(((u32::from(slice.flags) << 24) | (slice.id.0 & ID_MASK), self.sets.len() as u32));
        self.sets.extend_from_slice(slice.set);
        self.sets.extend_from_slice(slice.targets);
    }

    /// Changes the entry's flags.
    pub fn flags(&mut self, flags: u16) {
        self.header.flags |= flags;
    }

    /// Adds an attribute with its values.
    ///
    /// `targets` are the links' targets, 16 bytes for each value, or empty for an attribute without links. Targets
    /// beyond the values are of links that are not shown, because the entries are not there.
    pub fn attribute(&mut self, id: AttributeId, flags: u8, values: &[&[u8]], targets: &[u8]) {
        debug_assert!(self.slots.last().is_none_or(|(last, _)| last & ID_MASK < id.0), "attributes ascend");
        self.slots.push(((u32::from(flags) << 24) | (id.0 & ID_MASK), self.sets.len() as u32));
        push_set(&mut self.sets, values);
        self.sets.extend_from_slice(targets);
    }

    /// Adds an attribute whose values are encrypted: their forms in the equality index, and the ciphertext of their SET.
    pub fn encrypted(&mut self, id: AttributeId, flags: u8, forms: &[[u8; FORM_BYTES]], ciphertext: &[u8]) {
        self.attribute(id, flags | VALUE_ENCRYPTED, &[], &[]);
        self.sets.extend_from_slice(&(forms.len() as u32).to_le_bytes());
        self.sets.extend_from_slice(forms.as_flattened());
        self.sets.extend_from_slice(ciphertext);
    }

    /// The record, with room for the checksum at its start (see [`super::sealed_id`]).
    pub fn finish(self) -> Vec<u8> {
        let Self { header, rdn, slots, sets } = self;
        let sets_start = (HEADER_BYTES + slots.len() * SLOT_BYTES + rdn.len()) as u32;
        let mut out = Vec::with_capacity(sets_start as usize + sets.len());
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&header.parent.0.to_le_bytes());
        out.extend_from_slice(&header.naming_stamp.to_le_bytes());
        out.extend_from_slice(&header.uuid.0);
        out.extend_from_slice(&header.csn.to_be_bytes());
        out.extend_from_slice(&header.created_ms.to_le_bytes());
        out.extend_from_slice(&header.modified_ms.to_le_bytes());
        out.extend_from_slice(&header.flags.to_le_bytes());
        out.extend_from_slice(&(slots.len() as u16).to_le_bytes());
        out.extend_from_slice(&(rdn.len() as u32).to_le_bytes());
        for (id, offset) in slots {
            out.extend_from_slice(&id.to_le_bytes());
            out.extend_from_slice(&(sets_start + offset).to_le_bytes());
        }
        out.extend_from_slice(&rdn);
        out.extend_from_slice(&sets);
        out
    }
}

/// One attribute of a record.
#[derive(Clone, Copy, Debug)]
pub struct AttributeSlice<'t> {
    /// Which attribute.
    pub id: AttributeId,
    /// `VALUE_*` bits.
    pub flags: u8,
    /// The complete BER SET OF values.
    pub set: &'t [u8],
    /// The links' targets, 16 bytes for each value (nil for plain text), then those of links that are not shown; empty
    /// for an attribute without links. Of encrypted values what [`AttributeSlice::encrypted`] reads.
    pub targets: &'t [u8],
}

impl<'t> AttributeSlice<'t> {
    /// The forms of encrypted values in the equality index, and the ciphertext of their SET; `None` for what is in clear.
    pub fn encrypted(&self) -> Option<(&'t [[u8; FORM_BYTES]], &'t [u8])> {
        if self.flags & VALUE_ENCRYPTED == 0 {
            return None;
        }
        let (count, rest) = self.targets.split_first_chunk::<4>()?;
        let length = (u32::from_le_bytes(*count) as usize).checked_mul(FORM_BYTES)?;
        let (forms, ciphertext) = rest.split_at_checked(length)?;
        Some((forms.as_chunks::<FORM_BYTES>().0, ciphertext))
    }

    /// The values, in order.
    pub fn values(&self) -> impl Iterator<Item = &'t [u8]> + Clone + use<'t> {
        let mut rest = element(self.set).map_or(&[][..], |(content, _)| content);
        std::iter::from_fn(move || {
            let (value, after) = element(rest)?;
            rest = after;
            Some(value)
        })
    }
}

/// A checked record.
#[derive(Clone, Copy)]
pub struct ViewRecord<'t> {
    bytes: &'t [u8],
    slots: &'t [[u8; SLOT_BYTES]],
    rdn: &'t [u8],
}

impl<'t> ViewRecord<'t> {
    /// Checks the checksum and the frame of `bytes`. Cost: about 50 ns for a contact.
    ///
    /// # Errors
    /// [`StorageError::Corrupted`].
    pub fn open(id: EntryId, bytes: &'t [u8]) -> Result<Self, StorageError> {
        unseal_id("id2entry", id, bytes)?;
        Self::frame(bytes).ok_or_else(|| StorageError::Corrupted {
            table: "id2entry",
            detail: format!("the record of entry number {} is too short for its directory", id.0),
        })
    }

    fn frame(bytes: &'t [u8]) -> Option<Self> {
        let count = u16::from_le_bytes(field(bytes, 74)?);
        let rdn_length = u32::from_le_bytes(field(bytes, 76)?) as usize;
        let after = bytes.get(HEADER_BYTES..)?;
        let (directory, after) = after.split_at_checked(usize::from(count) * SLOT_BYTES)?;
        let (slots, _) = directory.as_chunks::<SLOT_BYTES>();
        Some(Self { bytes, slots, rdn: after.get(..rdn_length)? })
    }

    /// The superior.
    pub fn parent(&self) -> EntryId {
        EntryId(field(self.bytes, 8).map_or(0, u64::from_le_bytes))
    }

    /// The naming stamp at which links were rendered.
    pub fn naming_stamp(&self) -> u64 {
        field(self.bytes, 16).map_or(0, u64::from_le_bytes)
    }

    /// Identity.
    pub fn uuid(&self) -> EntryUuid {
        field(self.bytes, 24).map_or(EntryUuid::NIL, EntryUuid)
    }

    /// The newest stamp in the entry.
    pub fn csn(&self) -> Csn {
        field(self.bytes, 40).map_or(Csn::NONE, Csn::from_be_bytes)
    }

    /// Unix milliseconds.
    pub fn created_ms(&self) -> i64 {
        field(self.bytes, 56).map_or(0, i64::from_le_bytes)
    }

    /// Unix milliseconds.
    pub fn modified_ms(&self) -> i64 {
        field(self.bytes, 64).map_or(0, i64::from_le_bytes)
    }

    /// `ENTRY_*` bits.
    pub fn flags(&self) -> u16 {
        field(self.bytes, 72).map_or(0, u16::from_le_bytes)
    }

    /// The flags of a record whose checksum nobody looks at, for passing by entries that do not count.
    pub fn flags_of(bytes: &[u8]) -> u16 {
        field(bytes, 72).map_or(0, u16::from_le_bytes)
    }

    /// Whether both have values of the same attributes, and the same values of `class`.
    pub fn is_of_kinds_of(&self, other: &Self, class: AttributeId) -> bool {
        let classes = |record: &Self| record.any_attribute(class).map(|slice| slice.set);
        self.kinds().eq(other.kinds()) && classes(self) == classes(other)
    }

    /// Every attribute, also those of which nothing is shown now, with its flags alone.
    pub fn kinds(&self) -> impl Iterator<Item = (AttributeId, u8)> + use<'t> {
        let kind = |slot: &[u8; SLOT_BYTES]| (AttributeId(slot_id(*slot) & ID_MASK), (slot_id(*slot) >> 24) as u8);
        self.slots.iter().map(kind)
    }

    /// The RDN's text (UTF-8).
    pub fn rdn(&self) -> &'t [u8] {
        self.rdn
    }

    /// Every attribute that shows values, in ascending order of id.
    pub fn attributes(&self) -> impl Iterator<Item = AttributeSlice<'t>> + use<'t> {
        self.all_attributes().filter(|slice| slice.flags & VALUE_DANGLING == 0)
    }

    /// Every attribute, also those of which nothing is shown now.
    pub fn all_attributes(&self) -> impl Iterator<Item = AttributeSlice<'t>> + use<'t> {
        let (bytes, slots) = (self.bytes, self.slots);
        slots.iter().enumerate().filter_map(move |(index, slot)| slice(bytes, slots, index, *slot))
    }

    /// One attribute, if it shows values.
    pub fn attribute(&self, id: AttributeId) -> Option<AttributeSlice<'t>> {
        self.any_attribute(id).filter(|slice| slice.flags & VALUE_DANGLING == 0)
    }

    /// One attribute, also one of which nothing is shown now.
    pub fn any_attribute(&self, id: AttributeId) -> Option<AttributeSlice<'t>> {
        let index = self.slots.partition_point(|slot| slot_id(*slot) & ID_MASK < id.0);
        let slot = self.slots.get(index)?;
        (slot_id(*slot) & ID_MASK == id.0).then(|| slice(self.bytes, self.slots, index, *slot)).flatten()
    }
}

fn slot_id(slot: [u8; SLOT_BYTES]) -> u32 {
    let [a, b, c, d, ..] = slot;
    u32::from_le_bytes([a, b, c, d])
}

fn slot_offset(slot: [u8; SLOT_BYTES]) -> usize {
    let [.., a, b, c, d] = slot;
    u32::from_le_bytes([a, b, c, d]) as usize
}

fn slice<'t>(
    bytes: &'t [u8],
    slots: &[[u8; SLOT_BYTES]],
    index: usize,
    slot: [u8; SLOT_BYTES],
) -> Option<AttributeSlice<'t>> {
    let end = slots.get(index + 1).map_or(bytes.len(), |next| slot_offset(*next));
    let id = slot_id(slot);
    let place = bytes.get(slot_offset(slot)..end)?;
    let flags = (id >> 24) as u8;
    let (set, targets) = if flags & (VALUE_LINKS | VALUE_ENCRYPTED) == 0 {
        (place, &[][..])
    } else {
        let (_, targets) = element(place)?;
        (place.get(..place.len() - targets.len())?, targets)
    };
    Some(AttributeSlice { id: AttributeId(id & ID_MASK), flags, set, targets })
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// The content of the first BER element of `bytes` and what follows it; only what this module writes.
fn element(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = bytes.get(1..)?.split_first()?;
    if first < 0x80 {
        return rest.split_at_checked(usize::from(first));
    }
    let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
    let length = length.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
    rest.split_at_checked(length)
}

fn length_bytes(length: usize) -> usize {
    match length {
        0..0x80 => 1,
        0x80..0x100 => 2,
        0x100..0x1_0000 => 3,
        0x1_0000..0x100_0000 => 4,
        _ => 5,
    }
}

/// The BER SET OF `values`, as records have it.
pub fn set_of(values: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    push_set(&mut out, values);
    out
}

/// The values in a SET that [`set_of`] wrote.
pub fn values_of_set(set: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    AttributeSlice { id: AttributeId(0), flags: 0, set, targets: &[] }.values()
}

fn push_set(out: &mut Vec<u8>, values: &[&[u8]]) {
    let content: usize = values.iter().map(|value| 1 + length_bytes(value.len()) + value.len()).sum();
    out.push(0x31);
    push_length(out, content);
    for value in values {
        out.push(0x04);
        push_length(out, value.len());
        out.extend_from_slice(value);
    }
}

fn push_length(out: &mut Vec<u8>, length: usize) {
    let count = length_bytes(length) - 1;
    if count == 0 {
        out.push(length as u8);
    } else {
        out.push(0x80 | count as u8);
        let bytes = (length as u32).to_be_bytes();
        out.extend(bytes.iter().skip(4 - count));
    }
}

#[cfg(test)]
mod tests {
    use super::super::sealed_id;
    use super::*;

    fn header() -> ViewHeader {
        ViewHeader {
            parent: EntryId(3),
            naming_stamp: 7,
            uuid: EntryUuid([5; 16]),
            csn: Csn::NONE,
            created_ms: -1,
            modified_ms: 2,
            flags: ENTRY_ALIAS,
        }
    }

    #[test]
    fn what_is_built_is_read() {
        let long = vec![b'z'; 70_000];
        let mut builder = ViewRecordBuilder::new(header(), "cn=Ann");
        builder.attribute(AttributeId(1), 0, &[b"person", b"top"], &[]);
        builder.attribute(AttributeId(9), VALUE_OPERATIONAL, &[&long, &long[..200], b""], &[]);
        builder.attribute(AttributeId(11), VALUE_LINKS, &[b"cn=a"], &[7; 16]);
        builder.flags(ENTRY_HAS_ACI);
        let bytes = sealed_id(EntryId(42), builder.finish());
        let record = ViewRecord::open(EntryId(42), &bytes).unwrap();
        assert_eq!((record.parent(), record.naming_stamp(), record.created_ms()), (EntryId(3), 7, -1));
        assert_eq!(record.flags(), ENTRY_ALIAS | ENTRY_HAS_ACI);
        assert_eq!(record.rdn(), b"cn=Ann");
        assert_eq!(record.attributes().map(|a| a.id.0).collect::<Vec<_>>(), [1, 9, 11]);
        assert_eq!(record.attribute(AttributeId(11)).unwrap().targets, [7; 16]);
        assert_eq!(record.attribute(AttributeId(11)).unwrap().values().collect::<Vec<_>>(), [b"cn=a"]);
        let nine = record.attribute(AttributeId(9)).unwrap();
        assert_eq!(nine.values().map(<[u8]>::len).collect::<Vec<_>>(), [70_000, 200, 0]);
        assert_eq!(nine.flags, VALUE_OPERATIONAL);
        assert!(record.attribute(AttributeId(2)).is_none());
    }

    #[test]
    fn encrypted_values_stand_behind_an_empty_set() {
        let mut builder = ViewRecordBuilder::new(header(), "cn=Ann");
        builder.attribute(AttributeId(1), 0, &[b"person"], &[]);
        builder.encrypted(AttributeId(2), 0, &[[7; FORM_BYTES], [8; FORM_BYTES]], b"ciphertext");
        builder.encrypted(AttributeId(3), VALUE_OPERATIONAL, &[], b"other");
        let bytes = sealed_id(EntryId(42), builder.finish());
        let record = ViewRecord::open(EntryId(42), &bytes).unwrap();
        let two = record.attribute(AttributeId(2)).unwrap();
        assert_eq!(two.encrypted().unwrap(), (&[[7; FORM_BYTES], [8; FORM_BYTES]][..], &b"ciphertext"[..]));
        assert_eq!(two.values().count(), 0);
        assert_eq!(record.attribute(AttributeId(3)).unwrap().encrypted().unwrap().1, b"other");
        assert!(record.attribute(AttributeId(1)).unwrap().encrypted().is_none());
        let values: [&[u8]; 2] = [b"one", b""];
        assert_eq!(values_of_set(&set_of(&values)).collect::<Vec<_>>(), values);
    }

    #[test]
    fn a_record_of_another_entry_is_refused() {
        let bytes = sealed_id(EntryId(42), ViewRecordBuilder::new(header(), "cn=Ann").finish());
        assert!(ViewRecord::open(EntryId(43), &bytes).is_err());
    }
}
