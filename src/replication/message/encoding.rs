//! Messages as bytes: a kind, then fields of tag, length and content, tags rising within a message.
//!
//! Kinds and tags whose lowest bit is set must be understood. A field given twice, or a needed one that is missing, is
//! malformed. Nothing here allocates more than a small multiple of the input.

use super::{
    Ack, Beacon, Buckets, Echo, Entries, Heads, Hello, Interest, Message, Moment, PeerError, Push, Row, Snapshot,
    Standing, VersionRange,
};
use crate::dit::EntryHead;
use crate::model::EntryUuid;
use crate::replication::member::{MemberState, Role};
use crate::state::encoding::bytes::{Reader, put_bytes, put_varint};
use crate::state::{
    BucketSum, Csn, Dot, EntryDigest, NodeId, OriginId, PortableEntry, Stamp, StateError, UpdateVector,
};

/// Text in an error is cut to this.
const DETAIL_BYTES_MAX: usize = 1024;

/// The longest name of a place in a walk over entries.
const MARK_BYTES_MAX: usize = 256;

const HELLO: u64 = 1;
const PUSH: u64 = 3;
const ACK: u64 = 5;
const BEACON: u64 = 7;
const INTEREST: u64 = 9;
const REQUEST: u64 = 11;
const TRIMMED: u64 = 13;
const SNAPSHOT_REQUEST: u64 = 15;
const SNAPSHOT: u64 = 17;
const BUCKETS_REQUEST: u64 = 19;
const BUCKETS: u64 = 21;
const HEADS_REQUEST: u64 = 23;
const HEADS: u64 = 25;
const ENTRIES_REQUEST: u64 = 27;
const ENTRIES: u64 = 29;
const CHAINS_REQUEST: u64 = 31;
const CHAINS: u64 = 33;
const STANDING: u64 = 35;
const ERROR: u64 = 37;

impl Message {
    /// Appends the message's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut fields = Fields(out);
        match self {
            Self::Hello(hello) => {
                fields.kind(HELLO);
                fields.with(1, |out| {
                    put_varint(out, u64::from(hello.versions.oldest));
                    put_varint(out, u64::from(hello.versions.newest));
                });
                fields.number(2, hello.features);
                fields.bytes(3, &hello.cluster);
                fields.bytes(5, &hello.node.0);
                fields.number(7, hello.origin.0);
                fields.number(9, hello.boot);
                fields.number(11, u64::from(hello.format_level));
                fields.number(13, role_number(hello.role));
                fields.number(15, hello.wall_ms);
                fields.with(17, |out| hello.vector.encode(out));
                fields.with(19, |out| put_numbers(out, &hello.floors));
                fields.bytes(21, &hello.clock.to_be_bytes());
            }
            Self::Push(push) => {
                fields.kind(PUSH);
                fields.number(1, push.origin.0);
                fields.number(3, push.first);
                fields.bytes(5, &push.chain);
                fields.with(7, |out| {
                    put_varint(out, push.records.len() as u64);
                    push.records.iter().for_each(|record| put_bytes(out, record));
                });
            }
            Self::Ack(ack) => {
                fields.kind(ACK);
                fields.with(1, |out| ack.risen.encode(out));
                fields.digest(2, ack.digest);
                fields.number(3, ack.check);
            }
            Self::Beacon(beacon) => {
                fields.kind(BEACON);
                fields.with(1, |out| beacon.vector.encode(out));
                fields.digest(2, beacon.digest);
                fields.number(3, beacon.wall_ms);
                fields.number(5, beacon.sent_ms);
                if let Some(echo) = beacon.echo {
                    fields.with(6, |out| {
                        put_varint(out, echo.sent_ms);
                        put_varint(out, echo.held_ms);
                    });
                }
                fields.with(7, |out| {
                    put_varint(out, beacon.rows.len() as u64);
                    for row in &beacon.rows {
                        out.extend_from_slice(&row.node.0);
                        put_varint(out, row.origin.0);
                        put_varint(out, row.age_ms);
                        put_numbers(out, &row.held);
                    }
                });
                fields.with(8, |out| {
                    put_varint(out, beacon.silent.len() as u64);
                    beacon.silent.iter().for_each(|node| out.extend_from_slice(&node.0));
                });
                fields.number(9, u64::from(beacon.reply));
            }
            Self::Interest(interest) => {
                fields.kind(INTEREST);
                fields.number(1, u64::from(interest.all_but));
                fields.with(3, |out| {
                    put_varint(out, interest.origins.len() as u64);
                    interest.origins.iter().for_each(|origin| put_varint(out, origin.0));
                });
                fields.with(5, |out| put_numbers(out, &interest.held));
            }
            Self::Request { origin, first, last } => {
                fields.kind(REQUEST);
                fields.number(1, origin.0);
                fields.number(3, *first);
                fields.number(5, *last);
            }
            Self::Trimmed { origin, first_kept } => {
                fields.kind(TRIMMED);
                fields.number(1, origin.0);
                fields.number(3, *first_kept);
            }
            Self::SnapshotRequest { exchange, after } => {
                fields.kind(SNAPSHOT_REQUEST);
                fields.number(1, *exchange);
                fields.bytes(3, after);
            }
            Self::Snapshot(part) => {
                fields.kind(SNAPSHOT);
                fields.number(1, part.exchange);
                fields.moment(3, &part.held);
                fields.bytes(5, &part.after);
                if let Some(next) = &part.next {
                    fields.bytes(7, next);
                }
                fields.number(9, part.entries_total);
                fields.states(11, &part.entries);
            }
            Self::BucketsRequest { exchange } => {
                fields.kind(BUCKETS_REQUEST);
                fields.number(1, *exchange);
            }
            Self::Buckets(buckets) => {
                fields.kind(BUCKETS);
                fields.number(1, buckets.exchange);
                fields.moment(3, &buckets.held);
                fields.with(5, |out| {
                    put_varint(out, buckets.sums.len() as u64);
                    for sum in &buckets.sums {
                        put_varint(out, sum.count);
                        out.extend_from_slice(&sum.sum.to_be_bytes());
                    }
                });
            }
            Self::HeadsRequest { exchange, buckets } => {
                fields.kind(HEADS_REQUEST);
                fields.number(1, *exchange);
                fields.buckets(3, buckets);
            }
            Self::Heads(heads) => {
                fields.kind(HEADS);
                fields.number(1, heads.exchange);
                fields.moment(3, &heads.held);
                fields.buckets(5, &heads.buckets);
                fields.with(7, |out| {
                    put_varint(out, heads.heads.len() as u64);
                    for head in &heads.heads {
                        out.extend_from_slice(&head.uuid.0);
                        put_stamp(out, head.birth);
                        put_stamp(out, head.newest);
                        out.push(u8::from(head.digest.is_some()));
                        out.extend(head.digest.into_iter().flat_map(|digest| digest.0.to_be_bytes()));
                    }
                });
            }
            Self::EntriesRequest { exchange, wanted } => {
                fields.kind(ENTRIES_REQUEST);
                fields.number(1, *exchange);
                fields.dots(3, wanted);
            }
            Self::Entries(entries) => {
                fields.kind(ENTRIES);
                fields.number(1, entries.exchange);
                fields.moment(3, &entries.held);
                fields.dots(5, &entries.absent);
                fields.states(7, &entries.entries);
                fields.number(9, u64::from(entries.more));
            }
            Self::ChainsRequest { origin, sequences } => {
                fields.kind(CHAINS_REQUEST);
                fields.number(1, origin.0);
                fields.with(3, |out| {
                    put_varint(out, sequences.len() as u64);
                    sequences.iter().for_each(|sequence| put_varint(out, *sequence));
                });
            }
            Self::Chains { origin, chains } => {
                fields.kind(CHAINS);
                fields.number(1, origin.0);
                fields.with(3, |out| {
                    put_varint(out, chains.len() as u64);
                    for (sequence, chain) in chains {
                        put_varint(out, *sequence);
                        out.extend_from_slice(chain);
                    }
                });
            }
            Self::Standing(standing) => {
                fields.kind(STANDING);
                fields.number(1, state_number(standing.state));
                fields.with(3, |out| put_numbers(out, &standing.finals));
                fields.with(5, |out| put_numbers(out, &standing.held_before));
                fields.with(7, |out| put_option(out, standing.twin));
            }
            Self::Error { error, detail } => {
                fields.kind(ERROR);
                fields.number(1, error_number(*error));
                let end = detail.floor_char_boundary(DETAIL_BYTES_MAX);
                fields.bytes(2, detail.get(..end).unwrap_or_default().as_bytes());
            }
        }
    }

    /// The inverse of [`Message::encode`]; `None` for a kind that is not known and need not be.
    ///
    /// # Errors
    /// Any [`StateError`] about bytes; the input is never trusted.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, StateError> {
        let mut reader = Reader::new(bytes);
        let kind = reader.varint()?;
        let known = |tags: &'static [u64]| Content::read(reader.clone(), tags);
        let message = match kind {
            HELLO => Self::Hello(Box::new(read_hello(&known(&[1, 2, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21])?)?)),
            PUSH => {
                let content = known(&[1, 3, 5, 7])?;
                let push = Push {
                    origin: content.origin(1)?,
                    first: content.number(3)?,
                    chain: content.array(5)?,
                    records: content.list(7, 1, |field| field.bytes().map(<[u8]>::to_vec))?,
                };
                // A number plus a count must not wrap: later arithmetic relies on it.
                if push.first == 0 || push.first.checked_add(push.records.len() as u64).is_none() {
                    return Err(malformed("numbers of a push"));
                }
                Self::Push(push)
            }
            ACK => {
                let content = known(&[1, 2, 3])?;
                Self::Ack(Ack { risen: content.vector(1)?, digest: content.digest(2)?, check: content.number(3)? })
            }
            BEACON => Self::Beacon(Box::new(read_beacon(&known(&[1, 2, 3, 5, 6, 7, 8, 9])?)?)),
            INTEREST => {
                let content = known(&[1, 3, 5])?;
                Self::Interest(Interest {
                    all_but: content.number(1)? != 0,
                    origins: content.list(3, 1, |field| field.varint().and_then(origin))?,
                    held: content.numbers(5)?,
                })
            }
            REQUEST => {
                let content = known(&[1, 3, 5])?;
                Self::Request { origin: content.origin(1)?, first: content.number(3)?, last: content.number(5)? }
            }
            TRIMMED => {
                let content = known(&[1, 3])?;
                Self::Trimmed { origin: content.origin(1)?, first_kept: content.number(3)? }
            }
            SNAPSHOT_REQUEST => {
                let content = known(&[1, 3])?;
                Self::SnapshotRequest { exchange: content.number(1)?, after: content.mark(3)? }
            }
            SNAPSHOT => {
                let content = known(&[1, 3, 5, 7, 9, 11])?;
                Self::Snapshot(Snapshot {
                    exchange: content.number(1)?,
                    held: content.moment(3)?,
                    after: content.mark(5)?,
                    next: content.optional(7).map(|_| content.mark(7)).transpose()?,
                    entries_total: content.number(9)?,
                    entries: content.states(11)?,
                })
            }
            BUCKETS_REQUEST => Self::BucketsRequest { exchange: known(&[1])?.number(1)? },
            BUCKETS => {
                let content = known(&[1, 3, 5])?;
                Self::Buckets(Buckets {
                    exchange: content.number(1)?,
                    held: content.moment(3)?,
                    sums: content.list(5, 17, read_sum)?,
                })
            }
            HEADS_REQUEST => {
                let content = known(&[1, 3])?;
                Self::HeadsRequest { exchange: content.number(1)?, buckets: content.buckets(3)? }
            }
            HEADS => {
                let content = known(&[1, 3, 5, 7])?;
                Self::Heads(Heads {
                    exchange: content.number(1)?,
                    held: content.moment(3)?,
                    buckets: content.buckets(5)?,
                    heads: content.list(7, 51, read_head)?,
                })
            }
            ENTRIES_REQUEST => {
                let content = known(&[1, 3])?;
                Self::EntriesRequest { exchange: content.number(1)?, wanted: content.dots(3)? }
            }
            ENTRIES => {
                let content = known(&[1, 3, 5, 7, 9])?;
                Self::Entries(Entries {
                    exchange: content.number(1)?,
                    held: content.moment(3)?,
                    absent: content.dots(5)?,
                    entries: content.states(7)?,
                    more: content.number(9)? != 0,
                })
            }
            CHAINS_REQUEST => {
                let content = known(&[1, 3])?;
                Self::ChainsRequest { origin: content.origin(1)?, sequences: content.list(3, 1, Reader::varint)? }
            }
            CHAINS => {
                let content = known(&[1, 3])?;
                let pair = |field: &mut Reader<'_>| Ok((field.varint()?, field.array()?));
                Self::Chains { origin: content.origin(1)?, chains: content.list(3, 17, pair)? }
            }
            STANDING => {
                let content = known(&[1, 3, 5, 7])?;
                Self::Standing(Standing {
                    state: state_of(content.number(1)?)?,
                    finals: content.numbers(3)?,
                    held_before: content.numbers(5)?,
                    twin: content.option(7)?,
                })
            }
            ERROR => {
                let content = known(&[1, 2])?;
                let detail = content.optional(2).map_or(&[][..], |field| field);
                let end = detail.len().min(DETAIL_BYTES_MAX);
                Self::Error {
                    error: error_of(content.number(1)?),
                    detail: String::from_utf8_lossy(detail.get(..end).unwrap_or_default()).into_owned(),
                }
            }
            unknown if unknown & 1 == 0 => return Ok(None),
            unknown => return Err(StateError::UnknownField { tag: unknown }),
        };
        Ok(Some(message))
    }
}

fn malformed(what: &'static str) -> StateError {
    StateError::Malformed { what }
}

struct Fields<'o>(&'o mut Vec<u8>);

impl Fields<'_> {
    fn kind(&mut self, kind: u64) {
        put_varint(self.0, kind);
    }

    fn bytes(&mut self, tag: u64, content: &[u8]) {
        put_varint(self.0, tag);
        put_bytes(self.0, content);
    }

    fn with(&mut self, tag: u64, content: impl FnOnce(&mut Vec<u8>)) {
        let mut out = Vec::new();
        content(&mut out);
        self.bytes(tag, &out);
    }

    fn number(&mut self, tag: u64, number: u64) {
        self.with(tag, |out| put_varint(out, number));
    }

    fn digest(&mut self, tag: u64, digest: Option<BucketSum>) {
        if let Some(digest) = digest {
            self.with(tag, |out| {
                put_varint(out, digest.count);
                out.extend_from_slice(&digest.sum.to_be_bytes());
            });
        }
    }

    fn moment(&mut self, tag: u64, moment: &Moment) {
        self.with(tag, |out| {
            out.extend_from_slice(&moment.clock.to_be_bytes());
            put_varint(out, state_number(moment.standing));
            moment.vector.encode(out);
        });
    }

    fn buckets(&mut self, tag: u64, buckets: &[u16]) {
        self.with(tag, |out| {
            put_varint(out, buckets.len() as u64);
            buckets.iter().for_each(|bucket| put_varint(out, u64::from(*bucket)));
        });
    }

    fn dots(&mut self, tag: u64, dots: &[(EntryUuid, Dot)]) {
        self.with(tag, |out| {
            put_varint(out, dots.len() as u64);
            dots.iter().for_each(|(uuid, dot)| put_dot(out, *uuid, *dot));
        });
    }

    fn states(&mut self, tag: u64, states: &[PortableEntry]) {
        self.with(tag, |out| {
            put_varint(out, states.len() as u64);
            for state in states {
                put_dot(out, state.uuid, state.birth);
                put_bytes(out, &state.bytes);
            }
        });
    }
}

fn put_dot(out: &mut Vec<u8>, uuid: EntryUuid, dot: Dot) {
    out.extend_from_slice(&uuid.0);
    put_varint(out, dot.origin.0);
    put_varint(out, dot.sequence);
}

fn read_dot(reader: &mut Reader<'_>) -> Result<(EntryUuid, Dot), StateError> {
    let uuid = EntryUuid(reader.array()?);
    Ok((uuid, Dot { origin: origin(reader.varint()?)?, sequence: reader.varint()? }))
}

fn put_stamp(out: &mut Vec<u8>, stamp: Stamp) {
    out.extend_from_slice(&stamp.csn.to_be_bytes());
    put_varint(out, stamp.sequence);
}

fn read_stamp(reader: &mut Reader<'_>) -> Result<Stamp, StateError> {
    Ok(Stamp { csn: Csn::from_be_bytes(reader.array()?), sequence: reader.varint()? })
}

fn put_numbers(out: &mut Vec<u8>, numbers: &[(OriginId, u64)]) {
    put_varint(out, numbers.len() as u64);
    for (origin, number) in numbers {
        put_varint(out, origin.0);
        put_varint(out, *number);
    }
}

fn put_option(out: &mut Vec<u8>, number: Option<u64>) {
    out.push(u8::from(number.is_some()));
    number.into_iter().for_each(|number| put_varint(out, number));
}

fn origin(bits: u64) -> Result<OriginId, StateError> {
    if OriginId::new(bits).0 == bits { Ok(OriginId(bits)) } else { Err(malformed("origin")) }
}

fn read_sum(reader: &mut Reader<'_>) -> Result<BucketSum, StateError> {
    Ok(BucketSum { count: reader.varint()?, sum: u128::from_be_bytes(reader.array()?) })
}

fn read_head(reader: &mut Reader<'_>) -> Result<EntryHead, StateError> {
    let uuid = EntryUuid(reader.array()?);
    let (birth, newest) = (read_stamp(reader)?, read_stamp(reader)?);
    let digest = match reader.byte()? {
        0 => None,
        1 => Some(EntryDigest(u128::from_be_bytes(reader.array()?))),
        _ => return Err(malformed("digest of an entry")),
    };
    Ok(EntryHead { uuid, birth, digest, newest })
}

fn read_hello(content: &Content<'_>) -> Result<Hello, StateError> {
    let mut versions = content.reader(1)?;
    Ok(Hello {
        versions: VersionRange { oldest: versions.varint_u32()?, newest: versions.varint_u32()? },
        features: if content.optional(2).is_some() { content.number(2)? } else { 0 },
        cluster: content.array(3)?,
        node: NodeId(content.array(5)?),
        origin: content.origin(7)?,
        boot: content.number(9)?,
        format_level: u32::try_from(content.number(11)?).map_err(|_| malformed("format level"))?,
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

fn read_beacon(content: &Content<'_>) -> Result<Beacon, StateError> {
    let echo = match content.optional(6) {
        Some(field) => {
            let mut field = Reader::new(field);
            Some(Echo { sent_ms: field.varint()?, held_ms: field.varint()? })
        }
        None => None,
    };
    Ok(Beacon {
        vector: content.vector(1)?,
        digest: content.digest(2)?,
        wall_ms: content.number(3)?,
        sent_ms: content.number(5)?,
        echo,
        reply: content.number(9)? != 0,
        rows: content.list(7, 19, |field| {
            let (node, of) = (NodeId(field.array()?), origin(field.varint()?)?);
            Ok(Row { node, origin: of, age_ms: field.varint()?, held: read_numbers(field)? })
        })?,
        silent: match content.optional(8) {
            Some(_) => content.list(8, 16, |field| Ok(NodeId(field.array()?)))?,
            None => Vec::new(),
        },
    })
}

fn read_numbers(reader: &mut Reader<'_>) -> Result<Vec<(OriginId, u64)>, StateError> {
    let count = reader.count(2)?;
    let mut numbers = Vec::with_capacity(count);
    for _ in 0..count {
        numbers.push((origin(reader.varint()?)?, reader.varint()?));
    }
    Ok(numbers)
}

/// The fields of one message.
struct Content<'a>(Vec<(u64, &'a [u8])>);

impl<'a> Content<'a> {
    /// Reads all fields; those not among `known` are skipped, if they may be.
    fn read(mut reader: Reader<'a>, known: &[u64]) -> Result<Self, StateError> {
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

    fn optional(&self, tag: u64) -> Option<&'a [u8]> {
        self.0.iter().find(|(found, _)| *found == tag).map(|(_, content)| *content)
    }

    fn reader(&self, tag: u64) -> Result<Reader<'a>, StateError> {
        self.optional(tag).map(Reader::new).ok_or_else(|| malformed("a field is missing"))
    }

    fn number(&self, tag: u64) -> Result<u64, StateError> {
        let mut field = self.reader(tag)?;
        let number = field.varint()?;
        field.finish()?;
        Ok(number)
    }

    /// A place in a walk: opaque, but short.
    fn mark(&self, tag: u64) -> Result<Vec<u8>, StateError> {
        let mark = self.optional(tag).ok_or_else(|| malformed("a field is missing"))?;
        if mark.len() <= MARK_BYTES_MAX { Ok(mark.to_vec()) } else { Err(malformed("place in a walk")) }
    }

    fn origin(&self, tag: u64) -> Result<OriginId, StateError> {
        origin(self.number(tag)?)
    }

    fn option(&self, tag: u64) -> Result<Option<u64>, StateError> {
        let mut field = self.reader(tag)?;
        let number = match field.byte()? {
            0 => None,
            1 => Some(field.varint()?),
            _ => return Err(malformed("optional number")),
        };
        field.finish()?;
        Ok(number)
    }

    fn array<const N: usize>(&self, tag: u64) -> Result<[u8; N], StateError> {
        let mut field = self.reader(tag)?;
        let array = field.array()?;
        field.finish()?;
        Ok(array)
    }

    fn vector(&self, tag: u64) -> Result<UpdateVector, StateError> {
        UpdateVector::decode(self.optional(tag).ok_or_else(|| malformed("a field is missing"))?)
    }

    fn digest(&self, tag: u64) -> Result<Option<BucketSum>, StateError> {
        self.optional(tag).map(|field| read_sum(&mut Reader::new(field))).transpose()
    }

    fn moment(&self, tag: u64) -> Result<Moment, StateError> {
        let mut field = self.reader(tag)?;
        let clock = Csn::from_be_bytes(field.array()?);
        let standing = state_of(field.varint()?)?;
        let vector = UpdateVector::decode(field.take(field.remaining())?)?;
        Ok(Moment { vector, clock, standing })
    }

    /// A list of things that take at least `bytes_min` bytes each.
    fn list<T>(
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

    fn numbers(&self, tag: u64) -> Result<Vec<(OriginId, u64)>, StateError> {
        let mut field = self.reader(tag)?;
        let numbers = read_numbers(&mut field)?;
        field.finish()?;
        Ok(numbers)
    }

    fn buckets(&self, tag: u64) -> Result<Vec<u16>, StateError> {
        self.list(tag, 1, |field| u16::try_from(field.varint()?).map_err(|_| malformed("number of a bucket")))
    }

    fn dots(&self, tag: u64) -> Result<Vec<(EntryUuid, Dot)>, StateError> {
        self.list(tag, 18, read_dot)
    }

    fn states(&self, tag: u64) -> Result<Vec<PortableEntry>, StateError> {
        self.list(tag, 19, |field| {
            let (uuid, birth) = read_dot(field)?;
            Ok(PortableEntry { uuid, birth, bytes: field.bytes()?.to_vec() })
        })
    }
}

fn role_number(role: Role) -> u64 {
    match role {
        Role::Consumer => 0,
        Role::Hub => 1,
        Role::Supplier => 2,
    }
}

fn state_number(state: MemberState) -> u64 {
    match state {
        MemberState::Active => 0,
        MemberState::Suspended => 1,
        MemberState::Retired => 2,
    }
}

fn state_of(number: u64) -> Result<MemberState, StateError> {
    Ok(match number {
        0 => MemberState::Active,
        1 => MemberState::Suspended,
        2 => MemberState::Retired,
        _ => return Err(malformed("state of a member")),
    })
}

/// The errors in the order of their numbers on the wire, from 1.
const ERRORS: [PeerError; 14] = [
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
];

fn error_number(error: PeerError) -> u64 {
    ERRORS.iter().position(|known| *known == error).map_or(0, |index| index as u64 + 1)
}

/// An error of a newer version shows as the most general one.
fn error_of(number: u64) -> PeerError {
    usize::try_from(number)
        .ok()
        .and_then(|number| ERRORS.get(number.checked_sub(1)?))
        .copied()
        .unwrap_or(PeerError::CorruptFrame)
}

#[cfg(test)]
mod tests;
