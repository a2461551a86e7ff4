//! Whether this node may write no more, or leave: what clients and other members need of it, others have.
//!
//! Invariants
//! - A supplier that is about to become one, or comes back, needs whole content of another supplier or hub first. The last that
//!   could give it stays one until it has it: else nobody would ever take changes again.
//! - Of a member that has left nobody takes anything. So what is here alone, whoever made it, goes first: who made it may have
//!   become a consumer since this node took it, or be gone.

use super::Replicator;
use crate::replication::member::Member;
use crate::state::OriginId;

impl Replicator {
    /// Whether another supplier takes changes, as was heard not long ago: its entry names the origin as which it speaks, and no end of
    /// that.
    pub fn is_another_open(&self) -> bool {
        self.speaking_suppliers()
            .any(|(member, origin)| self.owners.is_named(origin, member.node) && !member.finals.contains_key(&origin))
    }

    /// Whether other suppliers hold all that is here, as they said not long ago; of what one of them writes itself, it does.
    pub fn is_all_handed_over(&self) -> bool {
        self.holding.vector.iter().all(|(origin, position)| {
            let end = self.finals.get(&origin).copied().unwrap_or(u64::MAX);
            let needed = position.sequence.min(end);
            let holds = |member: &Member| {
                let row = self.stability.rows.latest(member.node);
                row.and_then(|row| row.get(&origin)).is_some_and(|held| *held >= needed)
            };
            needed == 0 || self.speaking_suppliers().any(|(member, speaks)| speaks == origin || holds(member))
        })
    }

    /// The other suppliers, and as which origin each speaks.
    fn speaking_suppliers(&self) -> impl Iterator<Item = (&Member, OriginId)> {
        let others = self.members.values().filter(|member| member.holds_cut() && member.node != self.node);
        others.filter_map(|member| Some((member, self.speaks_as(member.node)?)))
    }
}
