//! What goes into a [`Replicator`](super::Replicator) and what comes out.

use std::collections::BTreeMap;

use crate::dit::EntryHead;
use crate::model::EntryUuid;
use crate::replication::member::{Member, MemberState, Role, SessionId};
use crate::replication::message::{Message, PeerError};
use crate::state::{BucketSum, Csn, Dot, LogRecord, NodeId, OriginId, PortableEntry, StableCut, Stamp, UpdateVector};

/// Limits and intervals.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of changes under way to one peer, not yet acknowledged.
    pub credit_bytes: usize,
    /// Changes under way to one peer, not yet acknowledged.
    pub credit_records: usize,
    /// Bytes of changes in one message.
    pub batch_bytes: usize,
    /// Changes in one write transaction.
    pub apply_records_max: usize,
    /// Bytes of states in one message.
    pub states_bytes: usize,
    /// Between beacons while something happens.
    pub beacon_active_ms: u64,
    /// Between beacons while nothing happens.
    pub beacon_idle_ms: u64,
    /// A change that somebody holds and that does not come is asked for elsewhere after this.
    pub reroute_ms: u64,
    /// A session on which nothing was heard for this long is closed.
    pub silence_ms: u64,
    /// A hello must come within this time.
    pub hello_ms: u64,
    /// A question of a state exchange is repeated after this.
    pub exchange_retry_ms: u64,
    /// After the start no change is taken from clients until a peer was heard or this time has passed.
    pub start_wait_ms: u64,
    /// A supplier not heard of for this long is suspended by a majority (14 days).
    pub offline_ms_max: u64,
    /// Between calls of settle and trim.
    pub settle_ms: u64,
    /// Log records kept for each origin, even if every member has them.
    pub log_records_kept: u64,
    /// Stamps further ahead than this raise an alarm.
    pub drift_ms_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            credit_bytes: 4 << 20,
            credit_records: 10_000,
            batch_bytes: 64 << 10,
            apply_records_max: 1_000,
            states_bytes: 1 << 20,
            beacon_active_ms: 1_000,
            beacon_idle_ms: 10_000,
            reroute_ms: 200,
            silence_ms: 30_000,
            hello_ms: 10_000,
            exchange_retry_ms: 5_000,
            start_wait_ms: 5_000,
            offline_ms_max: 14 * 24 * 3_600_000,
            settle_ms: 10_000,
            log_records_kept: 100_000,
            drift_ms_max: 5 * 60 * 1000,
        }
    }
}

/// Who this node is and what it holds when it starts.
#[derive(Clone, Debug)]
pub struct Local {
    /// Its cluster.
    pub cluster: [u8; 16],
    /// Its identity.
    pub node: NodeId,
    /// Origins that this data directory wrote under before.
    pub origins_before: Vec<OriginId>,
    /// Minted at this start.
    pub boot: u64,
    /// Version of the data's format.
    pub format_level: u32,
    /// Whether its content was complete once: false while a first state exchange is not done. True for the founder.
    pub joined: bool,
    /// What it holds.
    pub holding: Holding,
    /// The members as its content says.
    pub members: Vec<Member>,
}

/// What a node holds, as one snapshot shows it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Holding {
    /// The running incarnation.
    pub origin: OriginId,
    /// Its vector.
    pub vector: UpdateVector,
    /// Digest of the whole.
    pub digest: BucketSum,
    /// Its hybrid clock.
    pub clock: Csn,
    /// First number in the log, of origins whose log was trimmed.
    pub floors: BTreeMap<OriginId, u64>,
}

/// The time: both kinds, milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// Unix time; may step.
    pub wall_ms: u64,
    /// Never goes back.
    pub monotonic_ms: u64,
}

/// Names a request to the store in its answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub u64);

/// Names a client's operation that waits for acknowledgements.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// Who must hold a change before its client is answered. Counts members beside this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// Every active supplier.
    All,
    /// So many other members.
    Quorum(usize),
    /// Every active supplier of this node's site.
    Site,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The store did what was asked.
    Answered {
        /// The request.
        request: RequestId,
        /// The answer. After a write, [`Input::Committed`] of that commit comes first.
        answer: Answer,
    },
    /// A transaction was committed, whoever asked for it.
    Committed(Box<Holding>),
    /// A session is open and its peer's certificate was verified.
    Connected {
        /// The session.
        session: SessionId,
        /// Who it is by its certificate.
        peer: NodeId,
        /// Whether this node dialled.
        dialled: bool,
    },
    /// A session has ended.
    Disconnected {
        /// The session.
        session: SessionId,
    },
    /// The list of members, at the start and when it changed.
    Members(Vec<Member>),
    /// A message came.
    Received {
        /// The session.
        session: SessionId,
        /// The message.
        message: Message,
    },
    /// Time has passed; at least every 100 ms.
    Tick,
    /// A client's change waits for acknowledgements.
    WaitFor {
        /// The operation.
        ticket: Ticket,
        /// The change.
        dot: Dot,
        /// Who must hold it.
        durability: Durability,
        /// The answer must come by this monotonic time.
        deadline_ms: u64,
    },
    /// An operator suspends or retires a member: agree on the ends of its origins.
    Withdraw {
        /// The member.
        node: NodeId,
        /// Suspended or retired.
        state: MemberState,
    },
}

/// What is to be done.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// Tell the operator.
    Alarm(Alarm),
    /// End a session.
    Close {
        /// The session.
        session: SessionId,
        /// Why.
        reason: CloseReason,
    },
    /// A client's change was acknowledged as asked, or the time is up.
    Durable {
        /// The operation.
        ticket: Ticket,
        /// Other members that hold the change.
        acknowledged: Vec<NodeId>,
        /// How many were wanted.
        wanted: usize,
        /// Whether that is all that was asked.
        met: bool,
    },
    /// Changes of clients may or may not be taken from now on.
    LocalWrites(LocalWrites),
    /// Read from a snapshot of the tree, and answer.
    Read {
        /// Names the answer.
        request: RequestId,
        /// What.
        read: ReadRequest,
    },
    /// Send a message.
    Send {
        /// The session.
        session: SessionId,
        /// The message.
        message: Message,
    },
    /// Write into a member's entry: state and agreed ends.
    SetMember {
        /// The member.
        node: NodeId,
        /// Its state.
        state: MemberState,
        /// The agreed last changes of its origins.
        finals: BTreeMap<OriginId, u64>,
    },
    /// Another node runs under this identity: go on under a new node id, with a new certificate and origin.
    TakeNewIdentity,
    /// Change the tree, and answer after the commit.
    Write {
        /// Names the answer.
        request: RequestId,
        /// What.
        write: WriteRequest,
    },
}

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
    Apply(Vec<LogRecord>),
    /// Forget entries that the other side knows to be deleted.
    DropDeleted {
        /// By entryUUID and birth.
        entries: Vec<(EntryUuid, Stamp)>,
        /// What the other side holds.
        theirs: UpdateVector,
    },
    /// Join whole states.
    Merge {
        /// The states.
        entries: Vec<PortableEntry>,
        /// What their sender held, if what it lacks of that was removed there and is to go here too.
        theirs: Option<UpdateVector>,
        /// Its hybrid clock.
        clock: Csn,
    },
    /// Write an origin's changes after `after` again, under this node's origin, and forget them under the old one.
    ReissueTail {
        /// The old origin.
        origin: OriginId,
        /// The last number that stays.
        after: u64,
        /// The new stamps are newer than this.
        clock: Csn,
    },
    /// Begin a new origin.
    RotateOrigin,
    /// Forget what is below the cut.
    Settle(StableCut),
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

/// Why a session is ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// The peer was told this.
    Fault(PeerError),
    /// The peer said this.
    PeerFault(PeerError),
    /// This node goes on under a new origin: sessions begin anew.
    NewOrigin,
    /// Another session with the same peer is better.
    Superseded,
}

/// Whether changes of clients are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LocalWrites {
    /// They are.
    Open,
    /// Just started: waiting for a peer to say whether this is an old copy.
    Starting,
    /// The content is not complete yet.
    Joining,
    /// An old copy catches up before it writes under a new origin.
    CatchingUp,
    /// Suspended or retired.
    Withdrawn,
    /// Not a supplier.
    ReadOnly,
}

/// What an operator should read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Alarm {
    /// Another node runs under this identity.
    CloneFound {
        /// Its boot number.
        twin: u64,
    },
    /// An origin's clock is far ahead.
    ClockAhead {
        /// Whose.
        origin: OriginId,
        /// By how much.
        ahead_ms: u64,
    },
    /// Digests differ at equal vectors: a fault in this program or this machine. It is being repaired.
    Different {
        /// From whom.
        peer: NodeId,
    },
    /// Two histories of one origin were found.
    Fork {
        /// Whose.
        origin: OriginId,
        /// Who holds the other.
        peer: NodeId,
    },
    /// Digests still differ after a repair: the entries are named and left alone.
    Quarantine {
        /// From whom.
        peer: NodeId,
        /// Which entries.
        entries: Vec<EntryUuid>,
    },
    /// A peer sent what its membership does not allow.
    NotAllowed {
        /// Who.
        peer: NodeId,
        /// Whose changes.
        origin: OriginId,
    },
    /// Entries were made equal with a peer.
    Repaired {
        /// With whom.
        peer: NodeId,
        /// Which entries differed.
        entries: Vec<EntryUuid>,
    },
    /// This node holds less than it once said: an old copy. It got a new origin and catches up.
    RolledBack {
        /// The origin left behind.
        origin: OriginId,
    },
    /// The store failed at a request.
    StoreFailed {
        /// The words.
        detail: String,
    },
    /// A record of an origin needs a newer version of this program; its changes wait.
    Undecodable {
        /// Whose.
        origin: OriginId,
        /// Which.
        sequence: u64,
        /// What is wrong.
        detail: String,
    },
}

/// How a member stands to this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemberVerdict {
    /// Nothing was heard of it.
    Unknown,
    /// Same vector, same digest.
    Equal,
    /// Same vector, other digest.
    Different,
    /// Something is on its way, in either direction.
    CatchingUp {
        /// Changes that it lacks.
        they_lack: u64,
        /// Changes that we lack.
        we_lack: u64,
    },
}

/// All that an operator is shown.
#[derive(Clone, PartialEq, Debug)]
pub struct Status {
    /// This node.
    pub node: NodeId,
    /// The running incarnation.
    pub origin: OriginId,
    /// Whether changes of clients are taken.
    pub local_writes: LocalWrites,
    /// What is held.
    pub vector: UpdateVector,
    /// Digest of the whole.
    pub digest: BucketSum,
    /// What every member holds.
    pub stable_cut: StableCut,
    /// Every member but this one.
    pub members: Vec<MemberStatus>,
    /// Suppliers whose row is the lowest for some origin, so that nothing newer may be forgotten.
    pub cut_held_by: Vec<NodeId>,
    /// The state exchange under way.
    pub exchange: Option<ExchangeStatus>,
    /// Entries that stay different after a repair.
    pub quarantined: Vec<EntryUuid>,
    /// Changes of others taken since the start.
    pub applied_total: u64,
}

/// A state exchange.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExchangeStatus {
    /// With whom.
    pub peer: NodeId,
    /// Entries taken so far.
    pub entries: u64,
    /// Entries in all, if known.
    pub entries_total: Option<u64>,
}

/// One member as seen from here.
#[derive(Clone, PartialEq, Debug)]
pub struct MemberStatus {
    /// The member.
    pub member: Member,
    /// The session with it.
    pub peer: Option<PeerStatus>,
    /// How long ago it said what it holds, directly or through others.
    pub heard_ms_ago: Option<u64>,
    /// By origin how many changes it lacks of what is held here; only those that are not 0.
    pub backlog: BTreeMap<OriginId, u64>,
    /// By origin how many changes are lacking here of what it holds; only those that are not 0.
    pub missing: BTreeMap<OriginId, u64>,
    /// For how long the oldest change that it lacks was held here, milliseconds.
    pub backlog_age_ms: Option<u64>,
    /// Entries found to differ from the member's, as far as that was looked into; at most a hundred.
    pub differing: Vec<EntryUuid>,
    /// The comparison.
    pub verdict: MemberVerdict,
}

/// A session as seen from here.
#[derive(Clone, PartialEq, Debug)]
pub struct PeerStatus {
    /// The session.
    pub session: SessionId,
    /// Its role by its hello.
    pub role: Role,
    /// Whether this node dialled.
    pub dialled: bool,
    /// For how long.
    pub connected_ms: u64,
    /// How long ago something was heard.
    pub heard_ms_ago: u64,
    /// Changes that came and were new, a second, over the last ten seconds.
    pub apply_rate: f64,
    /// Round trip, milliseconds; the smallest of the last eight.
    pub round_trip_ms: Option<u64>,
    /// Its time minus ours, milliseconds, from the sample with the smallest round trip.
    pub clock_offset_ms: Option<i64>,
    /// Bytes sent and not yet acknowledged.
    pub under_way_bytes: usize,
}
