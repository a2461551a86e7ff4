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
    /// back keeps those of its earlier incarnations. [`UNHEARD`] among them if none could be agreed.
    pub finals: BTreeMap<OriginId, u64>,
}

/// Stands in [`Member::finals`], where it is no origin's, for this: when the member was withdrawn, nobody who did it had heard of
/// an origin of it whose end was not agreed before. The number says how often that was.
pub const UNHEARD: OriginId = OriginId(0);

impl Member {
    /// Whether the stable cut waits for it.
    pub fn holds_cut(&self) -> bool {
        self.state == MemberState::Active && self.role.may_originate()
    }

    /// Whether the log is kept for it.
    pub fn holds_log(&self) -> bool {
        self.state == MemberState::Active
    }

    /// Members as content that is not complete yet tells them, together with what was known before it came (`before`): members
    /// that it does not name yet, roles, and agreed ends and origins, which never go once they are there. By the older word alone
    /// this node would take the whole content from one that holds what is beyond an end, and that no other will ever hold; and
    /// who only reads would make changes of its own where its entry came before its role did.
    pub fn with_known_before(mut members: Vec<Self>, before: &[Self]) -> Vec<Self> {
        for known in before {
            let Some(member) = members.iter_mut().find(|member| member.node == known.node) else {
                members.push(known.clone());
                continue;
            };
            member.role = known.role;
            for (origin, end) in &known.finals {
                member.finals.entry(*origin).or_insert(*end);
            }
            for origin in &known.origins {
                if !member.origins.contains(origin) {
                    member.origins.push(*origin);
                }
            }
        }
        members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreed_ends_stay_known_while_the_first_content_that_comes_is_older() {
        let member = |node: u8, origins: &[u64], finals: &[(u64, u64)]| Member {
            node: NodeId([node; 16]),
            origins: origins.iter().copied().map(OriginId).collect(),
            finals: finals.iter().map(|(origin, end)| (OriginId(*origin), *end)).collect(),
            ..Member::default()
        };
        let before = [member(1, &[1, 2], &[(1, 6)]), member(2, &[], &[])];
        let told = vec![member(1, &[1, 3], &[]), member(3, &[], &[])];
        let expected = [member(1, &[1, 3, 2], &[(1, 6)]), member(3, &[], &[]), member(2, &[], &[])];
        assert_eq!(Member::with_known_before(told, &before), expected);
    }

    #[test]
    fn role_stays_known_while_the_first_content_that_comes_is_older() {
        let told = vec![Member { role: Role::Supplier, ..Member::default() }];
        let before = [Member { role: Role::Consumer, ..Member::default() }];
        assert_eq!(Member::with_known_before(told, &before), before);
    }
}
