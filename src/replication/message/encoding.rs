//! Messages as bytes: a kind, then fields of tag, length and content, tags rising within a message.
//!
//! Kinds and tags whose lowest bit is set must be understood. A field given twice, or a needed one that is missing, is
//! malformed. Nothing here allocates more than a small multiple of the input.

mod fields;

use super::{Ack, Buckets, Entries, Heads, Interest, Message, Push, Snapshot, Standing};
use crate::state::encoding::bytes::{Reader, put_bytes, put_varint};
use crate::state::{Csn, NodeId, StateError};
use fields::{
    Content, Fields, error_number, error_of, malformed, origin, put_numbers, put_option, put_stamp, put_sum,
    read_beacon, read_head, read_hello, read_sum, role_number, state_number, state_of,
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
                fields.number(11, u64::from(super::FORMAT_TOLD));
                fields.number(13, role_number(hello.role));
                fields.number(15, hello.wall_ms);
                fields.with(17, |out| hello.vector.encode(out));
                fields.with(19, |out| put_numbers(out, &hello.floors));
                fields.bytes(21, &hello.clock.to_be_bytes());
            }
            Self::Push(push) => {
                fields.kind(PUSH);
                fields.number(1, push.origin.0);
                if let Some(member) = push.answers {
                    fields.bytes(2, &member.0);
                }
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
                fields.bytes(5, &ack.clock.to_be_bytes());
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
                        out.push(u8::from(row.digest.is_some()));
                        row.digest.iter().for_each(|digest| put_sum(out, digest));
                    }
                });
                fields.with(8, |out| {
                    put_varint(out, beacon.silent.len() as u64);
                    beacon.silent.iter().for_each(|node| out.extend_from_slice(&node.0));
                });
                fields.number(9, u64::from(beacon.reply));
                if !beacon.silences.is_empty() {
                    fields.with(10, |out| {
                        put_varint(out, beacon.silences.len() as u64);
                        for word in &beacon.silences {
                            out.extend_from_slice(&word.node.0);
                            put_varint(out, word.age_ms);
                            put_varint(out, word.silent.len() as u64);
                            word.silent.iter().for_each(|node| out.extend_from_slice(&node.0));
                        }
                    });
                }
                fields.number(11, u64::from(beacon.is_whole));
                fields.number(13, beacon.check);
                fields.number(15, u64::from(beacon.wants_whole));
                fields.bytes(17, &beacon.clock.to_be_bytes());
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
                        out.extend_from_slice(&head.changes.to_be_bytes());
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
                let content = known(&[1, 2, 3, 5, 7])?;
                let push = Push {
                    origin: content.origin(1)?,
                    answers: content.optional(2).map(|_| content.array(2).map(NodeId)).transpose()?,
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
                let content = known(&[1, 2, 3, 5])?;
                Self::Ack(Ack {
                    risen: content.vector(1)?,
                    digest: content.digest(2)?,
                    check: content.number(3)?,
                    clock: Csn::from_be_bytes(content.array(5)?),
                })
            }
            BEACON => Self::Beacon(Box::new(read_beacon(&known(&[1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17])?)?)),
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
                    heads: content.list(7, 42, read_head)?,
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

#[cfg(test)]
mod tests;
