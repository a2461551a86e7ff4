//! What an operator is shown of a node and of the other members, as this node knows them.

use std::collections::BTreeMap;

use super::LocalWrites;
use crate::model::EntryUuid;
use crate::replication::member::{Member, Role, SessionId};
use crate::state::{BucketSum, NodeId, OriginId, StableCut, UpdateVector};

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
    /// Epoch of the hybrid clock; 0 unless an administrator began another.
    pub epoch: u16,
    /// Digest of the whole.
    pub digest: BucketSum,
    /// What every member holds.
    pub stable_cut: StableCut,
    /// Every member but this one.
    pub members: Vec<MemberStatus>,
    /// Suppliers whose row is the lowest for some origin, so that nothing newer may be forgotten.
    pub cut_held_by: Vec<NodeId>,
    /// Origins under which nobody writes any more, with the last number of each: what is beyond is nowhere.
    pub ended: BTreeMap<OriginId, u64>,
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
    /// How long ago it said what it holds, directly or through others, in this run or one before.
    pub heard_ms_ago: Option<u64>,
    /// For how long of that this node ran: what counts until a majority suspends it.
    pub silent_ms: u64,
    /// By origin how many changes it lacks of what is held here; only those that are not 0.
    pub backlog: BTreeMap<OriginId, u64>,
    /// By origin how many changes are lacking here of what it holds; only those that are not 0.
    pub missing: BTreeMap<OriginId, u64>,
    /// For how long the oldest change that it lacks was held here, milliseconds; of what a run before left, how long ago it was
    /// made.
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
    /// Under which origin it writes in this run; `None` before its greeting.
    pub origin: Option<OriginId>,
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
    /// Of how many that is the smallest.
    pub round_trips: usize,
    /// Its time minus ours, milliseconds, from the sample with the smallest round trip.
    pub clock_offset_ms: Option<i64>,
    /// Bytes sent and not yet acknowledged.
    pub under_way_bytes: usize,
}
