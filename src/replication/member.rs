//! Who belongs to the cluster, and what each may do.
//!
//! The list is replicated content (entries below `cn=members,cn=cluster`); here it is a value handed to the
//! [`Replicator`](super::Replicator) whenever it changes. A connection proves by its certificate which node it is; this
//! list says what that node may send.
//!
//! Invariants
//! - Only an active supplier originates changes, and only active suppliers hold back the stable cut.
//! - A member that is suspended or retired has an agreed end for each of its origins ([`Member::finals`]); nothing it
//!   wrote beyond is taken under those origins, so the cut may pass it.

use std::collections::BTreeMap;

use crate::state::{NodeId, OriginId};

/// One connection, numbered by whoever opens it; never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionId(pub u64);

/// What a member is there for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Role {
    /// Reads only: takes everything, sends nothing.
    Consumer,
    /// Takes everything and sends it on, writes nothing itself.
    Hub,
    /// Takes writes.
    #[default]
    Supplier,
}

impl Role {
    /// Whether it may write changes of its own.
    pub fn may_originate(self) -> bool {
        self == Self::Supplier
    }

    /// Whether it may send changes of others on.
    pub fn may_forward(self) -> bool {
        self != Self::Consumer
    }
}

/// Whether a member takes part.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum MemberState {
    /// It does.
    #[default]
    Active,
    /// It was away for too long: nothing waits for it. It may come back.
    Suspended,
    /// It has left for good.
    Retired,
}

/// A member as its entry says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Member {
    /// Which node.
    pub node: NodeId,
    /// Its name for people.
    pub name: String,
    /// Where it listens for peers: `host:port`.
    pub addresses: Vec<String>,
    /// SHA-256 of its certificate's public key.
    pub fingerprint: [u8; 32],
    /// What it is there for.
    pub role: Role,
    /// Whether it takes part.
    pub state: MemberState,
    /// All its incarnations, the oldest first.
    pub origins: Vec<OriginId>,
    /// Where it stands, for durability `site`; empty for nowhere in particular.
    pub site: String,
    /// The agreed last change of each origin of a member that is suspended or retired; a suspended member that came
    /// back keeps those of its earlier incarnations.
    pub finals: BTreeMap<OriginId, u64>,
}

impl Member {
    /// Whether the stable cut waits for it.
    pub fn holds_cut(&self) -> bool {
        self.state == MemberState::Active && self.role.may_originate()
    }

    /// Whether the log is kept for it.
    pub fn holds_log(&self) -> bool {
        self.state == MemberState::Active
    }
}
