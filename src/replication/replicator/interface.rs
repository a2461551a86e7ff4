//! What goes into a [`Replicator`](super::Replicator) and what comes out.

mod requests;
mod status;

use std::collections::BTreeMap;

use crate::model::EntryUuid;
use crate::replication::member::{Member, MemberState, SessionId};
use crate::replication::message::{Message, PeerError, VersionRange};
use crate::state::{BucketSum, Csn, Dot, NodeId, OriginId, UpdateVector};

pub use requests::{Answer, Applied, ReadRequest, WriteRequest};
pub use status::{ExchangeStatus, MemberStatus, MemberVerdict, PeerStatus, Status};

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
    /// What others said of a member counts for a verdict on it for this long.
    pub hearsay_ms_max: u64,
    /// A hello must come within this time.
    pub hello_ms: u64,
    /// A question of a state exchange is repeated after this.
    pub exchange_retry_ms: u64,
    /// After the start no change is taken from clients until a peer was heard or this time has passed.
    pub start_wait_ms: u64,
    /// A supplier that a majority has not heard of for this long, while they ran, is suspended (14 days).
    pub offline_ms_max: u64,
    /// Between calls of settle and trim.
    pub settle_ms: u64,
    /// Log records kept for each origin, even if every member has them.
    pub log_records_kept: u64,
    /// Stamps further ahead than this raise an alarm.
    pub drift_ms_max: u64,
    /// A reader that was filled anew, since it was ahead of all others, is not filled anew again before this has passed.
    pub fill_pause_ms: u64,
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
            hearsay_ms_max: 60_000,
            hello_ms: 10_000,
            exchange_retry_ms: 5_000,
            start_wait_ms: 5_000,
            offline_ms_max: 14 * 24 * 3_600_000,
            settle_ms: 10_000,
            log_records_kept: 100_000,
            drift_ms_max: 5 * 60 * 1000,
            fill_pause_ms: 60 * 60 * 1000,
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
    /// What it must hold before changes of clients are taken, as a run before found; empty: nothing.
    pub catch_up: BTreeMap<OriginId, u64>,
    /// What whole entries brought beyond the vector in a run before; empty: nothing.
    pub uncovered: BTreeMap<OriginId, u64>,
    /// Minted at this start.
    pub boot: u64,
    /// Whether its content was complete once: false while a first state exchange is not done. True for the founder.
    pub joined: bool,
    /// When this content was begun because the one before was ahead of all others, unix milliseconds.
    pub filled_ms: Option<u64>,
    /// What it holds.
    pub holding: Holding,
    /// The members as its content says.
    pub members: Vec<Member>,
    /// What runs before heard of them.
    pub contacts: Vec<Contact>,
}

/// What was heard of a member when a run ended.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Contact {
    /// The member.
    pub node: NodeId,
    /// What it said last that it holds.
    pub held: BTreeMap<OriginId, u64>,
    /// When it said so, by the time of this node's stamps, unix milliseconds; none if it never did.
    pub heard_ms: Option<u64>,
    /// For how long nothing was heard of it while this node ran, milliseconds.
    pub silent_ms: u64,
    /// By origin when the oldest change that it lacks was made, unix milliseconds; only of what it lacks, and known at the
    /// start of a run.
    pub lacking_since_ms: BTreeMap<OriginId, u64>,
}

/// Stands in [`Local::catch_up`], where it is no origin's, for this: nobody waited for what this directory wrote, since it was
/// a copy of another member's. Its content is made complete first, and what others lack is written again.
pub const UNAWAITED: OriginId = OriginId(0);

/// With this bit an origin of this directory stands in [`Local::catch_up`], where the number is the last before an old copy
/// wrote under it: what comes after that is written again when the directory has caught up.
pub const EARLY: u64 = 1 << 63;

/// With this bit besides, nobody is told of that before it is written again.
pub const UNTOLD: u64 = 1 << 62;

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

/// The time: all kinds, milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// Unix time by the machine's clock; may step. Members are told it.
    pub wall_ms: u64,
    /// Unix time as this node stamps: it does not follow the machine's clock where that steps.
    pub stamp_ms: u64,
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
    /// This node only reads, and holds what nobody else takes: go on with an empty directory under the same identity, take the
    /// whole content as when joining, and have it take the old one's place once it is whole.
    FillAnew,
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
    /// The machine's clock was wrong at the start, and nothing is to be stamped with it.
    Held,
}

/// What an operator should read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Alarm {
    /// This node only reads, and holds changes that nobody else takes any more: beyond an agreed end, or since old copies were
    /// put back. It is filled anew. Without numbers: whole entries had brought some of such changes.
    Ahead {
        /// Whose.
        origin: OriginId,
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// The same so soon after it was filled anew that it waits.
    AheadAgain {
        /// Whose.
        origin: OriginId,
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
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
    /// This node only reads, and its content is another than that of a peer from which it takes changes, also after a repair. It
    /// is filled anew.
    DiffersAlone {
        /// From whom.
        peer: NodeId,
        /// So soon after it was filled anew that it waits.
        is_again: bool,
    },
    /// Digests differ at equal vectors: a fault in this program or this machine. It is being repaired.
    Different {
        /// From whom.
        peer: NodeId,
    },
    /// A peer speaks as an origin that is another member's.
    ForeignOrigin {
        /// Who.
        peer: NodeId,
        /// As which.
        origin: OriginId,
        /// Whose that is.
        owner: NodeId,
    },
    /// Two histories of one origin were found.
    Fork {
        /// Whose.
        origin: OriginId,
        /// Who holds the other.
        peer: NodeId,
    },
    /// Changes of which whole entries brought something here, and that no member holds any more, since old copies were put
    /// back. What came of them is kept, and members take it from each other by repair.
    Lost {
        /// Whose.
        origin: OriginId,
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// Digests still differ after a repair: the entries are named and left alone.
    Quarantine {
        /// From whom.
        peer: NodeId,
        /// Which entries.
        entries: Vec<EntryUuid>,
    },
    /// A majority of the suppliers had not heard of a supplier for too long: it is suspended.
    Suspended {
        /// Who.
        member: NodeId,
        /// Who says so.
        by: Vec<NodeId>,
        /// For how long this node heard nothing, milliseconds.
        silent_ms: u64,
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
    /// A peer sent changes of an origin that no member answers for.
    Unanswered {
        /// Who.
        peer: NodeId,
        /// Whose changes.
        origin: OriginId,
    },
    /// No version of the protocol in common with a member.
    Versions {
        /// Who.
        peer: NodeId,
        /// What it speaks.
        theirs: VersionRange,
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
