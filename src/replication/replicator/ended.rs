//! Origins that are over: nobody writes under them, and no member holds more of them than this node. A change of one that is not
//! here was lost with its disk, and nobody needs to wait for it.

use std::collections::{BTreeMap, BTreeSet};

use super::Replicator;
use super::interface::LocalWrites;
use crate::replication::member::{Member, MemberState, UNHEARD};
use crate::state::{NodeId, OriginId};

impl Replicator {
    /// Those origins with the last number of each. None while a member that may bring more is not heard, or is not done with what it
    /// writes again: until then its entry does not name the origin as which it speaks.
    pub(super) fn ended(&self) -> BTreeMap<OriginId, u64> {
        let is_busy = !matches!(self.local_writes(), LocalWrites::Open | LocalWrites::ReadOnly);
        if is_busy || !self.is_certain() {
            return BTreeMap::new();
        }
        let others = self.members.values().filter(|member| {
            member.node != self.node && member.state == MemberState::Active && member.role.may_forward()
        });
        let mut speaking = BTreeSet::from([self.holding.origin]);
        let mut rows = Vec::new();
        for member in others {
            let Some(origin) = self.speaks_as(member.node).filter(|origin| self.is_settled(member, *origin)) else {
                return BTreeMap::new();
            };
            speaking.insert(origin);
            rows.extend(self.stability.rows.of(member.node).map(|voice| &voice.latest));
        }
        let is_over = |origin: &OriginId| {
            let ours = self.holding.vector.sequence(*origin);
            *origin != UNHEARD
                && !speaking.contains(origin)
                && self.owners.names(*origin).all(|owner| self.is_done_with(owner, *origin))
                && rows.iter().all(|row| row.get(origin).copied().unwrap_or(0) <= ours)
        };
        let known = self.owners.all_named().filter(is_over);
        known.map(|origin| (origin, self.holding.vector.sequence(origin))).collect()
    }

    /// As which origin a member speaks, as heard not long ago.
    pub(super) fn speaks_as(&self, node: NodeId) -> Option<OriginId> {
        let own = self.open_peers().filter(|peer| peer.node == node).find_map(|peer| Some(peer.greeting?.origin));
        let told = || self.stability.rows.heard_as(node, self.now.monotonic_ms, self.options.hearsay_ms_max);
        own.or_else(told)
    }

    /// Whether its entry names the origin as which it speaks. Who only reads has nothing to say.
    fn is_settled(&self, member: &Member, origin: OriginId) -> bool {
        !member.role.may_originate() || self.owners.is_named(origin, member.node)
    }

    /// Whether a member that once wrote under an origin, and under which it does not speak now, will not do so again.
    fn is_done_with(&self, owner: NodeId, origin: OriginId) -> bool {
        self.members.get(&owner).is_some_and(|member| match member.state {
            MemberState::Active => true,
            // What it brings back is written again.
            MemberState::Suspended => false,
            MemberState::Retired => member.finals.contains_key(&origin),
        })
    }
}
