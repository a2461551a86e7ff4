//! What a [`Replicator`](crate::replication::Replicator) has the store do, and the store's answers. Reads are answered from
//! one snapshot, writes after their commit.

use std::collections::BTreeMap;

use super::Holding;
use crate::dit::EntryHead;
use crate::model::EntryUuid;
use crate::state::{BucketSum, Csn, Dot, LogRecord, OriginId, PortableEntry, StableCut, Stamp, UpdateVector};

/// What is read from a snapshot.
#[derive(Clone, PartialEq, Debug)]
pub enum ReadRequest {
    /// Sums of all buckets.
    Buckets,
    /// Chains of some log records.
    Chains {
        /// Whose.
        origin: OriginId,
        /// Which numbers.
        sequences: Vec<u64>,
    },
    /// States of entries.
    Entries {
        /// Which.
        wanted: Vec<(EntryUuid, Dot)>,
        /// Bytes at most, but at least one entry.
        bytes_max: usize,
    },
    /// Entries of some buckets in short.
    Heads {
        /// Which buckets.
        buckets: Vec<u16>,
    },
    /// Log records of one origin.
    Log {
        /// Whose.
        origin: OriginId,
        /// From this number.
        first: u64,
        /// To this number.
        last: u64,
        /// Bytes at most, but at least one record.
        bytes_max: usize,
    },
    /// Entries in the order in which the store walks.
    Snapshot {
        /// Where the last part ended; empty from the start.
        after: Vec<u8>,
        /// Bytes at most, but at least one entry.
        bytes_max: usize,
    },
}

/// What is done in a write transaction.
#[derive(Clone, PartialEq, Debug)]
pub enum WriteRequest {
    /// Take changes of other origins.
    Apply {
        /// By rising number of each origin.
        records: Vec<LogRecord>,
        /// Whether changes of clients are taken here: those of incarnations that these replace are carried over.
        carries: bool,
    },
    /// Forget entries that the other side knows to be deleted.
    DropDeleted {
        /// By entryUUID and birth.
        entries: Vec<(EntryUuid, Stamp)>,
        /// What the other side holds.
        theirs: UpdateVector,
        /// Only those whose deletion the log here tells: the other side may have lost the others by a fault.
        proven: bool,
    },
    /// Join whole states.
    Merge {
        /// The states.
        entries: Vec<PortableEntry>,
        /// What their sender held, if what it lacks of that was removed there and is to go here too.
        theirs: Option<UpdateVector>,
        /// Its hybrid clock.
        clock: Csn,
        /// What these and states before may have brought that the vector does not cover; to be remembered with them, since
        /// content beyond the vector stays so in later runs.
        uncovered: BTreeMap<OriginId, u64>,
        /// Whether nobody reads here until [`WriteRequest::TakeVector`], so that the index can be written then.
        fill: bool,
        /// Whether what is not here though it is held was lost by a fault, unless the log tells of its deletion.
        revive: bool,
        /// Whether changes of clients are taken here: those of incarnations that these replace are carried over.
        carries: bool,
    },
    /// Remember what must be held before changes of clients are taken, also in later runs; empty: nothing.
    NoteCatchUp(BTreeMap<OriginId, u64>),
    /// Remember what content is beyond the vector, also in later runs; empty: nothing.
    NoteUncovered(BTreeMap<OriginId, u64>),
    /// Write an origin's changes after `after` again, under this node's origin, and forget them under the old one.
    ReissueTail {
        /// The old origin.
        origin: OriginId,
        /// The last number that stays.
        after: u64,
        /// The new stamps are newer than this.
        clock: Csn,
    },
    /// Write an origin's changes after `after` again, under this node's origin, beside the first ones.
    RepeatTail {
        /// The origin.
        origin: OriginId,
        /// The last number that is not written again.
        after: u64,
        /// The new stamps are newer than this.
        clock: Csn,
    },
    /// Begin a new origin.
    RotateOrigin,
    /// Forget what is below the cut.
    Settle {
        /// What every member holds.
        cut: StableCut,
        /// What every member held when all that anybody held was less than what all hold now: of that, what waits for something
        /// waits in vain.
        known: StableCut,
    },
    /// The state exchange is complete: what the other side held is held here.
    TakeVector {
        /// Its vector when the exchange began.
        theirs: UpdateVector,
        /// Its hybrid clock.
        clock: Csn,
    },
    /// Drop log records below these numbers.
    TrimLog(BTreeMap<OriginId, u64>),
}

/// What the store answers.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// To [`WriteRequest::Apply`].
    Applied(Applied),
    /// To [`ReadRequest::Buckets`].
    Buckets {
        /// The snapshot's vector and clock.
        holding: Box<Holding>,
        /// One sum a bucket.
        sums: Vec<BucketSum>,
    },
    /// To [`ReadRequest::Chains`].
    Chains(Vec<(u64, [u8; 16])>),
    /// A write other than [`WriteRequest::Apply`] was done.
    Done {
        /// Whether there is more of the same to do (settle, trim).
        more: bool,
    },
    /// To [`ReadRequest::Entries`].
    Entries {
        /// The snapshot's vector and clock.
        holding: Box<Holding>,
        /// Those that are not there.
        absent: Vec<(EntryUuid, Dot)>,
        /// The states.
        entries: Vec<PortableEntry>,
    },
    /// The store could not; the words are for the log.
    Failed(String),
    /// To [`ReadRequest::Heads`].
    Heads {
        /// The snapshot's vector and clock.
        holding: Box<Holding>,
        /// The entries.
        heads: Vec<EntryHead>,
    },
    /// To [`ReadRequest::Log`].
    Log(Vec<LogRecord>),
    /// To [`ReadRequest::Log`]: trimmed.
    LogTrimmed {
        /// The first number in the log.
        first_kept: u64,
    },
    /// To [`ReadRequest::Snapshot`].
    Snapshot {
        /// The snapshot's vector and clock.
        holding: Box<Holding>,
        /// The states.
        entries: Vec<PortableEntry>,
        /// Where to go on.
        next: Option<Vec<u8>>,
        /// Entries in all.
        entries_total: u64,
    },
}

/// What became of changes of other origins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Applied {
    /// New here.
    pub applied: u64,
    /// Held already.
    pub known: u64,
    /// Origins of which something was missing before the record: what is held.
    pub gaps: Vec<(OriginId, u64)>,
    /// Origins of which another history is held here.
    pub forks: Vec<OriginId>,
    /// Origins of which a record cannot be read here, and why.
    pub undecodable: Vec<(OriginId, u64, String)>,
    /// Origins whose clock is far ahead, by milliseconds.
    pub far_ahead: Vec<(OriginId, u64)>,
}
