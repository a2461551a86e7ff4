//! Fields of a message: tag, length, content; and the parts that several messages have.

use super::super::{Beacon, Echo, Hello, Moment, PeerError, Row, Silence, VersionRange};
use super::MARK_BYTES_MAX;
use crate::dit::EntryHead;
use crate::model::EntryUuid;
use crate::replication::member::{MemberState, Role};
use crate::state::encoding::bytes::{Reader, put_bytes, put_varint};
use crate::state::{
    BucketSum, Csn, Dot, EntryDigest, NodeId, OriginId, PortableEntry, Stamp, StateError, UpdateVector,
};

pub(super) fn malformed(what: &'static str) -> StateError {
    StateError::Malformed { what }
}

pub(super) struct Fields<'o>(pub(super) &'o mut Vec<u8>);

impl Fields<'_> {
    pub(super) fn kind(&mut self, kind: u64) {
        put_varint(self.0, kind);
    }

    pub(super) fn bytes(&mut self, tag: u64, content: &[u8]) {
        put_varint(self.0, tag);
        put_bytes(self.0, content);
    }

    pub(super) fn with(&mut self, tag: u64, content: impl FnOnce(&mut Vec<u8>)) {
        let mut out = Vec::new();
        content(&mut out);
        self.bytes(tag, &out);
    }

    pub(super) fn number(&mut self, tag: u64, number: u64) {
        self.with(tag, |out| put_varint(out, number));
    }

    pub(super) fn digest(&mut self, tag: u64, digest: Option<BucketSum>) {
        if let Some(digest) = digest {
            self.with(tag, |out| put_sum(out, &digest));
        }
    }

    pub(super) fn moment(&mut self, tag: u64, moment: &Moment) {
        self.with(tag, |out| {
            out.extend_from_slice(&moment.clock.to_be_bytes());
            put_varint(out, state_number(moment.standing));
            moment.vector.encode(out);
        });
    }

    pub(super) fn buckets(&mut self, tag: u64, buckets: &[u16]) {
        self.with(tag, |out| {
            put_varint(out, buckets.len() as u64);
            buckets.iter().for_each(|bucket| put_varint(out, u64::from(*bucket)));
        });
    }

    pub(super) fn dots(&mut self, tag: u64, dots: &[(EntryUuid, Dot)]) {
        self.with(tag, |out| {
            put_varint(out, dots.len() as u64);
            dots.iter().for_each(|(uuid, dot)| put_dot(out, *uuid, *dot));
        });
    }

    pub(super) fn states(&mut self, tag: u64, states: &[PortableEntry]) {
        self.with(tag, |out| {
            put_varint(out, states.len() as u64);
            for state in states {
                put_dot(out, state.uuid, state.birth);
                put_bytes(out, &state.bytes);
            }
        });
    }
}

pub(super) fn put_dot(out: &mut Vec<u8>, uuid: EntryUuid, dot: Dot) {
    out.extend_from_slice(&uuid.0);
    put_varint(out, dot.origin.0);
    put_varint(out, dot.sequence);
}

pub(super) fn read_dot(reader: &mut Reader<'_>) -> Result<(EntryUuid, Dot), StateError> {
    let uuid = EntryUuid(reader.array()?);
    Ok((uuid, Dot { origin: origin(reader.varint()?)?, sequence: reader.varint()? }))
}

pub(super) fn put_stamp(out: &mut Vec<u8>, stamp: Stamp) {
    out.extend_from_slice(&stamp.csn.to_be_bytes());
    put_varint(out, stamp.sequence);
}

pub(super) fn read_stamp(reader: &mut Reader<'_>) -> Result<Stamp, StateError> {
    Ok(Stamp { csn: Csn::from_be_bytes(reader.array()?), sequence: reader.varint()? })
}

pub(super) fn put_numbers(out: &mut Vec<u8>, numbers: &[(OriginId, u64)]) {
    put_varint(out, numbers.len() as u64);
    for (origin, number) in numbers {
        put_varint(out, origin.0);
        put_varint(out, *number);
    }
}

pub(super) fn put_option(out: &mut Vec<u8>, number: Option<u64>) {
    out.push(u8::from(number.is_some()));
    number.into_iter().for_each(|number| put_varint(out, number));
}

pub(super) fn origin(bits: u64) -> Result<OriginId, StateError> {
    if OriginId::new(bits).0 == bits { Ok(OriginId(bits)) } else { Err(malformed("origin")) }
}

pub(super) fn put_sum(out: &mut Vec<u8>, sum: &BucketSum) {
    put_varint(out, sum.count);
    out.extend_from_slice(&sum.sum.to_be_bytes());
}

pub(super) fn read_sum(reader: &mut Reader<'_>) -> Result<BucketSum, StateError> {
    Ok(BucketSum { count: reader.varint()?, sum: u128::from_be_bytes(reader.array()?) })
}

pub(super) fn read_head(reader: &mut Reader<'_>) -> Result<EntryHead, StateError> {
    let uuid = EntryUuid(reader.array()?);
    let (birth, changes) = (read_stamp(reader)?, u64::from_be_bytes(reader.array()?));
    let digest = match reader.byte()? {
        0 => None,
        1 => Some(EntryDigest(u128::from_be_bytes(reader.array()?))),
        _ => return Err(malformed("digest of an entry")),
    };
    Ok(EntryHead { uuid, birth, digest, changes })
}

pub(super) fn read_hello(content: &Content<'_>) -> Result<Hello, StateError> {
    let mut versions = content.reader(1)?;
    Ok(Hello {
        versions: VersionRange { oldest: versions.varint_u32()?, newest: versions.varint_u32()? },
        features: if content.optional(2).is_some() { content.number(2)? } else { 0 },
        cluster: content.array(3)?,
        node: NodeId(content.array(5)?),
        origin: content.origin(7)?,
        boot: content.number(9)?,
        role: match content.number(13)? {
            0 => Role::Consumer,
            1 => Role::Hub,
            2 => Role::Supplier,
            _ => return Err(malformed("role")),
        },
        wall_ms: content.number(15)?,
        vector: content.vector(17)?,
        floors: content.numbers(19)?,
        clock: Csn::from_be_bytes(content.array(21)?),
    })
}

pub(super) fn read_beacon(content: &Content<'_>) -> Result<Beacon, StateError> {
    let echo = match content.optional(6) {
        Some(field) => {
            let mut field = Reader::new(field);
            Some(Echo { sent_ms: field.varint()?, held_ms: field.varint()? })
        }
        None => None,
    };
    Ok(Beacon {
        vector: content.vector(1)?,
        is_whole: content.number(11)? != 0,
        check: content.number(13)?,
        wants_whole: content.number(15)? != 0,
        digest: content.digest(2)?,
        clock: Csn::from_be_bytes(content.array(17)?),
        wall_ms: content.number(3)?,
        sent_ms: content.number(5)?,
        echo,
        reply: content.number(9)? != 0,
        rows: content.list(7, 20, |field| {
            let (node, of) = (NodeId(field.array()?), origin(field.varint()?)?);
            let (age_ms, held) = (field.varint()?, read_numbers(field)?);
            let digest = match field.byte()? {
                0 => None,
                1 => Some(read_sum(field)?),
                _ => return Err(malformed("digest of a row")),
            };
            Ok(Row { node, origin: of, age_ms, held, digest })
        })?,
        silent: match content.optional(8) {
            Some(_) => content.list(8, 16, |field| Ok(NodeId(field.array()?)))?,
            None => Vec::new(),
        },
        silences: match content.optional(10) {
            Some(_) => content.list(10, 18, read_silence)?,
            None => Vec::new(),
        },
    })
}

fn read_silence(field: &mut Reader<'_>) -> Result<Silence, StateError> {
    let (node, age_ms, count) = (NodeId(field.array()?), field.varint()?, field.count(16)?);
    let mut silent = Vec::with_capacity(count);
    for _ in 0..count {
        silent.push(NodeId(field.array()?));
    }
    Ok(Silence { node, age_ms, silent })
}

pub(super) fn read_numbers(reader: &mut Reader<'_>) -> Result<Vec<(OriginId, u64)>, StateError> {
    let count = reader.count(2)?;
    let mut numbers = Vec::with_capacity(count);
    for _ in 0..count {
        numbers.push((origin(reader.varint()?)?, reader.varint()?));
    }
    Ok(numbers)
}

/// The fields of one message.
pub(super) struct Content<'a>(pub(super) Vec<(u64, &'a [u8])>);

impl<'a> Content<'a> {
    /// Reads all fields; those not among `known` are skipped, if they may be.
    pub(super) fn read(mut reader: Reader<'a>, known: &[u64]) -> Result<Self, StateError> {
        let mut fields: Vec<(u64, &[u8])> = Vec::with_capacity(known.len());
        let mut last = 0;
        while reader.remaining() > 0 {
            let tag = reader.varint()?;
            let content = reader.bytes()?;
            if tag <= last {
                return Err(malformed("order of fields"));
            }
            last = tag;
            if known.contains(&tag) {
                fields.push((tag, content));
            } else if tag & 1 == 1 {
                return Err(StateError::UnknownField { tag });
            }
        }
        Ok(Self(fields))
    }

    pub(super) fn optional(&self, tag: u64) -> Option<&'a [u8]> {
        self.0.iter().find(|(found, _)| *found == tag).map(|(_, content)| *content)
    }

    pub(super) fn reader(&self, tag: u64) -> Result<Reader<'a>, StateError> {
        self.optional(tag).map(Reader::new).ok_or_else(|| malformed("a field is missing"))
    }

    pub(super) fn number(&self, tag: u64) -> Result<u64, StateError> {
        let mut field = self.reader(tag)?;
        let number = field.varint()?;
        field.finish()?;
        Ok(number)
    }

    /// A place in a walk: opaque, but short.
    pub(super) fn mark(&self, tag: u64) -> Result<Vec<u8>, StateError> {
        let mark = self.optional(tag).ok_or_else(|| malformed("a field is missing"))?;
        if mark.len() <= MARK_BYTES_MAX { Ok(mark.to_vec()) } else { Err(malformed("place in a walk")) }
    }

    pub(super) fn origin(&self, tag: u64) -> Result<OriginId, StateError> {
        origin(self.number(tag)?)
    }

    pub(super) fn option(&self, tag: u64) -> Result<Option<u64>, StateError> {
        let mut field = self.reader(tag)?;
        let number = match field.byte()? {
            0 => None,
            1 => Some(field.varint()?),
            _ => return Err(malformed("optional number")),
        };
        field.finish()?;
        Ok(number)
    }

    pub(super) fn array<const N: usize>(&self, tag: u64) -> Result<[u8; N], StateError> {
        let mut field = self.reader(tag)?;
        let array = field.array()?;
        field.finish()?;
        Ok(array)
    }

    pub(super) fn vector(&self, tag: u64) -> Result<UpdateVector, StateError> {
        UpdateVector::decode(self.optional(tag).ok_or_else(|| malformed("a field is missing"))?)
    }

    pub(super) fn digest(&self, tag: u64) -> Result<Option<BucketSum>, StateError> {
        self.optional(tag).map(|field| read_sum(&mut Reader::new(field))).transpose()
    }

    pub(super) fn moment(&self, tag: u64) -> Result<Moment, StateError> {
        let mut field = self.reader(tag)?;
        let clock = Csn::from_be_bytes(field.array()?);
        let standing = state_of(field.varint()?)?;
        let vector = UpdateVector::decode(field.take(field.remaining())?)?;
        Ok(Moment { vector, clock, standing })
    }

    /// A list of things that take at least `bytes_min` bytes each.
    pub(super) fn list<T>(
        &self,
        tag: u64,
        bytes_min: usize,
        mut item: impl FnMut(&mut Reader<'a>) -> Result<T, StateError>,
    ) -> Result<Vec<T>, StateError> {
        let mut field = self.reader(tag)?;
        let count = field.count(bytes_min)?;
        // Items may be larger than their bytes: memory follows what was really read.
        let mut items = Vec::with_capacity(count.min(1024));
        for _ in 0..count {
            items.push(item(&mut field)?);
        }
        field.finish()?;
        Ok(items)
    }

    pub(super) fn numbers(&self, tag: u64) -> Result<Vec<(OriginId, u64)>, StateError> {
        let mut field = self.reader(tag)?;
        let numbers = read_numbers(&mut field)?;
        field.finish()?;
        Ok(numbers)
    }

    pub(super) fn buckets(&self, tag: u64) -> Result<Vec<u16>, StateError> {
        self.list(tag, 1, |field| u16::try_from(field.varint()?).map_err(|_| malformed("number of a bucket")))
    }

    pub(super) fn dots(&self, tag: u64) -> Result<Vec<(EntryUuid, Dot)>, StateError> {
        self.list(tag, 18, read_dot)
    }

    pub(super) fn states(&self, tag: u64) -> Result<Vec<PortableEntry>, StateError> {
        self.list(tag, 19, |field| {
            let (uuid, birth) = read_dot(field)?;
            Ok(PortableEntry { uuid, birth, bytes: field.bytes()?.to_vec() })
        })
    }
}

pub(super) fn role_number(role: Role) -> u64 {
    match role {
        Role::Consumer => 0,
        Role::Hub => 1,
        Role::Supplier => 2,
    }
}

pub(super) fn state_number(state: MemberState) -> u64 {
    match state {
        MemberState::Active => 0,
        MemberState::Suspended => 1,
        MemberState::Retired => 2,
    }
}

pub(super) fn state_of(number: u64) -> Result<MemberState, StateError> {
    Ok(match number {
        0 => MemberState::Active,
        1 => MemberState::Suspended,
        2 => MemberState::Retired,
        _ => return Err(malformed("state of a member")),
    })
}

/// The errors in the order of their numbers on the wire, from 1.
pub(super) const ERRORS: [PeerError; 15] = [
    PeerError::CorruptFrame,
    PeerError::ClusterMismatch,
    PeerError::FormatMismatch,
    PeerError::Flooding,
    PeerError::HelloExpected,
    PeerError::IdentityMismatch,
    PeerError::NotAllowed,
    PeerError::NotMember,
    PeerError::Retired,
    PeerError::SelfConnection,
    PeerError::Superseded,
    PeerError::Silent,
    PeerError::Undecodable,
    PeerError::VersionMismatch,
    PeerError::ForeignOrigin,
];

pub(super) fn error_number(error: PeerError) -> u64 {
    ERRORS.iter().position(|known| *known == error).map_or(0, |index| index as u64 + 1)
}

/// An error of a newer version shows as the most general one.
pub(super) fn error_of(number: u64) -> PeerError {
    usize::try_from(number)
        .ok()
        .and_then(|number| ERRORS.get(number.checked_sub(1)?))
        .copied()
        .unwrap_or(PeerError::CorruptFrame)
}
