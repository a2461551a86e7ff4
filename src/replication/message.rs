//! What peers say to each other.
//!
//! A message is a kind and then fields: tag, length, content. The lowest bit of a kind or tag says that it must be
//! understood; what is unknown without that bit is skipped, so a newer peer can say more to an older one. Records of
//! changes and states of entries travel as bytes that only `state` and `dit` read: unknown fields inside them are kept
//! and sent on.
//!
//! Every count is bounded by the bytes it came in, and a frame by [`FRAME_BYTES_MAX`](super::codec::FRAME_BYTES_MAX);
//! decoding takes memory in proportion to the frame.

mod encoding;

use crate::dit::EntryHead;
use crate::model::EntryUuid;
use crate::state::{BucketSum, Csn, Dot, NodeId, OriginId, PortableEntry, UpdateVector};

use super::member::{MemberState, Role};

/// The versions of the protocol spoken here: what members say to each other, and the records of changes and states of entries in
/// it. A member's data file may have any format. Two members speak the newest version in common, so members of neighbouring
/// releases talk, and a cluster is upgraded one by one.
///
/// Raise `newest` with each message, field or record that an older member need not understand but is not to be sent, or answers
/// otherwise. What must be understood in a record is written by the release after the first one that reads it, which raises `oldest` to
/// that one's version: records are sent on as they are, to whomever.
pub const VERSIONS: VersionRange =
    if cfg!(feature = "next") { VersionRange { oldest: 2, newest: 3 } } else { VersionRange { oldest: 1, newest: 2 } };

/// What members of version 1 are told as the format of the data file, which they want to be their own.
pub const FORMAT_TOLD: u32 = 8;

/// From this version on a [`Push`] says which member answers for its origin.
pub const ANSWERS: u32 = 2;

/// Versions of the protocol that a node speaks, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VersionRange {
    /// The oldest.
    pub oldest: u32,
    /// The newest.
    pub newest: u32,
}

impl VersionRange {
    /// The newest version that both speak.
    pub fn agree(self, other: Self) -> Option<u32> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }

    /// Why nothing is agreed with `other`, the member `name`, and what to do.
    pub fn advice(self, name: &str, other: Self) -> String {
        let of = |range: Self| match range.oldest == range.newest {
            true => format!("version {} of what members say to each other", range.newest),
            false => format!("versions {} to {} of what members say to each other", range.oldest, range.newest),
        };
        let (older, other) = (if other.newest < self.oldest { name } else { "this node" }, of(other));
        format!(
            "{name} speaks {other}, and this node {}: upgrade {older} to a release between the two first; members of neighbouring releases \
             talk, so a cluster is upgraded one release and one member after the other",
            of(self)
        )
    }
}

/// One message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// What is held now, after a durable commit.
    Ack(Ack),
    /// What is held, by everybody one has heard of; sent at intervals.
    Beacon(Box<Beacon>),
    /// Sums of all buckets.
    Buckets(Buckets),
    /// Asks for [`Message::Buckets`].
    BucketsRequest {
        /// Names the exchange in answers.
        exchange: u64,
    },
    /// Chain hashes of an origin's records.
    Chains {
        /// Whose.
        origin: OriginId,
        /// Number and chain, rising; those not in the log any more are left out.
        chains: Vec<(u64, [u8; 16])>,
    },
    /// Asks for [`Message::Chains`].
    ChainsRequest {
        /// Whose.
        origin: OriginId,
        /// Of which numbers, rising.
        sequences: Vec<u64>,
    },
    /// States of entries.
    Entries(Entries),
    /// Asks for [`Message::Entries`].
    EntriesRequest {
        /// Names the exchange in answers.
        exchange: u64,
        /// Entries by entryUUID and birth.
        wanted: Vec<(EntryUuid, Dot)>,
    },
    /// Why the sender ends the session, or what it cannot do.
    Error {
        /// The name.
        error: PeerError,
        /// In words, for the log.
        detail: String,
    },
    /// Entries of some buckets in short.
    Heads(Heads),
    /// Asks for [`Message::Heads`].
    HeadsRequest {
        /// Names the exchange in answers.
        exchange: u64,
        /// Which buckets.
        buckets: Vec<u16>,
    },
    /// Who the sender is and what it holds; the first message of either side.
    Hello(Box<Hello>),
    /// Which origins' changes the sender wants as they come.
    Interest(Interest),
    /// Changes.
    Push(Push),
    /// Asks for changes again, or from somebody who does not send them by itself.
    Request {
        /// Whose.
        origin: OriginId,
        /// From this number.
        first: u64,
        /// To this number.
        last: u64,
    },
    /// A part of the whole content.
    Snapshot(Snapshot),
    /// Asks for the next [`Message::Snapshot`].
    SnapshotRequest {
        /// Names the exchange in answers.
        exchange: u64,
        /// The place where the last part ended, as the supplier named it; empty from the start.
        after: Vec<u8>,
    },
    /// What the receiver should know about itself.
    Standing(Standing),
    /// The log does not go back as far as asked.
    Trimmed {
        /// Whose.
        origin: OriginId,
        /// The first number in the log.
        first_kept: u64,
    },
}

/// The first message of either side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// Protocol.
    pub versions: VersionRange,
    /// Bits of optional abilities; none are defined yet.
    pub features: u64,
    /// Only members of one cluster talk.
    pub cluster: [u8; 16],
    /// Who; must be what the certificate says.
    pub node: NodeId,
    /// The running incarnation.
    pub origin: OriginId,
    /// Minted at each start: tells a restart from a copy running beside.
    pub boot: u64,
    /// What it is there for.
    pub role: Role,
    /// Its time in unix milliseconds.
    pub wall_ms: u64,
    /// Its hybrid clock.
    pub clock: Csn,
    /// What it holds, with chains.
    pub vector: UpdateVector,
    /// For origins whose log was trimmed: the first number kept.
    pub floors: Vec<(OriginId, u64)>,
}

/// Changes of one origin, dense.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Push {
    /// Whose.
    pub origin: OriginId,
    /// The member that answers for the origin: whose it is, as far as the sender knows, or the sender itself. Those of
    /// versions before [`ANSWERS`] do not say.
    pub answers: Option<NodeId>,
    /// Number of the first record.
    pub first: u64,
    /// The origin's hash chain after the first record; of the others it follows.
    pub chain: [u8; 16],
    /// Encoded updates.
    pub records: Vec<Vec<u8>>,
}

impl Push {
    /// Number of the last record.
    pub fn last(&self) -> u64 {
        self.first.saturating_add(self.records.len() as u64).saturating_sub(1)
    }

    /// Bytes of the records.
    pub fn bytes(&self) -> usize {
        self.records.iter().map(Vec::len).sum()
    }
}

/// What changed in what is held since the last [`Ack`] or [`Beacon`] on this session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ack {
    /// Positions that rose.
    pub risen: UpdateVector,
    /// [`vector_check`] of the whole vector, to notice that an earlier one was missed.
    pub check: u64,
    /// The digest of the whole at the whole vector; none while states were taken that the vector does not cover.
    pub digest: Option<BucketSum>,
    /// As in [`Moment`].
    pub clock: Csn,
}

/// A short hash of a vector.
pub fn vector_check(vector: &UpdateVector) -> u64 {
    let mut bytes = Vec::new();
    vector.encode(&mut bytes);
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

/// What is known of who holds what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Beacon {
    /// What the sender holds, with chains: all of it, or what is not as it last told on this session.
    pub vector: UpdateVector,
    /// Which of both.
    pub is_whole: bool,
    /// [`vector_check`] of the whole vector.
    pub check: u64,
    /// Whether the receiver is to tell its whole vector, as something of it was lost.
    pub wants_whole: bool,
    /// As in [`Ack`].
    pub digest: Option<BucketSum>,
    /// As in [`Moment`].
    pub clock: Csn,
    /// The sender's time in unix milliseconds.
    pub wall_ms: u64,
    /// The sender's monotonic time, to be sent back.
    pub sent_ms: u64,
    /// The receiver's last `sent_ms`, and for how long it lay here.
    pub echo: Option<Echo>,
    /// Whether the receiver is to answer with a beacon at once.
    pub reply: bool,
    /// What other members hold, as the sender knows.
    pub rows: Vec<Row>,
    /// Members the sender has not heard of, directly or not, for too long.
    pub silent: Vec<NodeId>,
    /// What others said of the same; empty where nobody is silent.
    pub silences: Vec<Silence>,
}

/// Whom a member has not heard of, as it said itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Silence {
    /// The member that said so.
    pub node: NodeId,
    /// How long ago, milliseconds.
    pub age_ms: u64,
    /// Whom it missed.
    pub silent: Vec<NodeId>,
}

/// A peer's `sent_ms` on its way back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Echo {
    /// As received.
    pub sent_ms: u64,
    /// Milliseconds between receiving and sending back.
    pub held_ms: u64,
}

/// What a member holds, as it said itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Who.
    pub node: NodeId,
    /// The incarnation that said so.
    pub origin: OriginId,
    /// How long ago it said so, milliseconds.
    pub age_ms: u64,
    /// For each origin of which it holds more or less than the sender the last number; 0 for nothing.
    pub held: Vec<(OriginId, u64)>,
    /// The digest of what it held then, if it said so.
    pub digest: Option<BucketSum>,
}

/// Which origins' changes the sender wants as they come.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Interest {
    /// All but those named, else only those named.
    pub all_but: bool,
    /// Origins, rising.
    pub origins: Vec<OriginId>,
    /// What it holds or has taken in already: send what follows.
    pub held: Vec<(OriginId, u64)>,
}

/// Sums of all buckets at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Buckets {
    /// The exchange.
    pub exchange: u64,
    /// What the sender held.
    pub held: Moment,
    /// One sum a bucket.
    pub sums: Vec<BucketSum>,
}

/// What a snapshot covers: what was asked of it is to be read with this beside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Moment {
    /// The sender's vector.
    pub vector: UpdateVector,
    /// The sender's hybrid clock: newer than all that it has forgotten.
    pub clock: Csn,
    /// Whether the asking node was an active member in it.
    pub standing: MemberState,
}

/// Entries of some buckets in short.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heads {
    /// The exchange.
    pub exchange: u64,
    /// What the sender held.
    pub held: Moment,
    /// Which buckets.
    pub buckets: Vec<u16>,
    /// Their entries.
    pub heads: Vec<EntryHead>,
}

/// States of entries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entries {
    /// The exchange.
    pub exchange: u64,
    /// What the sender held.
    pub held: Moment,
    /// Entries asked for that are not there.
    pub absent: Vec<(EntryUuid, Dot)>,
    /// States, as many as fit; ask again for the rest.
    pub entries: Vec<PortableEntry>,
    /// More parts of the last entry follow in the next message.
    pub more: bool,
}

/// A part of the whole content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// The exchange.
    pub exchange: u64,
    /// What the sender held.
    pub held: Moment,
    /// Where the part began.
    pub after: Vec<u8>,
    /// Where the next part begins; none at the end.
    pub next: Option<Vec<u8>>,
    /// Entries in all, for progress.
    pub entries_total: u64,
    /// States in the sender's order.
    pub entries: Vec<PortableEntry>,
}

/// What the receiver should know about itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Whether it takes part.
    pub state: MemberState,
    /// Its earlier origins' agreed ends.
    pub finals: Vec<(OriginId, u64)>,
    /// What it said before that it holds, if it now holds less: an old copy was restored.
    pub held_before: Vec<(OriginId, u64)>,
    /// The boot number of another node that runs beside under the same identity.
    pub twin: Option<u64>,
}

/// Errors between peers, by name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The frame's checksum is wrong, or its content is not a message.
    #[error("corrupt frame")]
    CorruptFrame,
    /// The peer is of another cluster.
    #[error("another cluster")]
    ClusterMismatch,
    /// The peer's data has a format that this node cannot read.
    #[error("data format not supported")]
    FormatMismatch,
    /// The peer sent more than it was allowed to have under way.
    #[error("more data under way than credited")]
    Flooding,
    /// The first message was not a hello, or there was a second one.
    #[error("hello expected, once")]
    HelloExpected,
    /// The node in the hello is not the one in the certificate.
    #[error("node id does not match the certificate")]
    IdentityMismatch,
    /// The peer speaks as an origin that is another member's.
    #[error("writes under another member's origin")]
    ForeignOrigin,
    /// The peer may not send this by its membership.
    #[error("not allowed by its membership")]
    NotAllowed,
    /// The peer is no member.
    #[error("not a member of this cluster")]
    NotMember,
    /// The peer has left the cluster.
    #[error("retired")]
    Retired,
    /// Both ends are this node.
    #[error("connected to itself")]
    SelfConnection,
    /// There is another session with the same peer.
    #[error("another session replaces this one")]
    Superseded,
    /// Nothing was heard for too long.
    #[error("silent for too long")]
    Silent,
    /// A record cannot be read here: it comes from a newer version.
    #[error("a record needs a newer version")]
    Undecodable,
    /// No version of the protocol in common.
    #[error("no protocol version in common")]
    VersionMismatch,
}
