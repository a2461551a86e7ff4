//! A member that only reads and is ahead of what the others agree on: it is filled anew.
//!
//! Who only reads writes nothing, so what it holds and nobody else takes stays with it alone: changes beyond an end that was
//! agreed without them, and, with a consumer, from which nobody takes changes, those whose holders were all set back to old
//! copies. A supplier writes such changes again under its own origin. A reader cannot; and no join takes away what is newer.
//! So it takes the whole content from a supplier again, as when it joined, into a new data file that takes the old one's place
//! once it is whole ([`Output::FillAnew`]). The same where it differs from those whose changes it takes and a repair did not
//! help: what is here alone, of another history of an origin or by a fault, nobody misses.
//!
//! Invariants
//! - What a supplier or a hub may still take is left to it: all who send changes on were heard since it was found, and not one
//!   of them holds it. A member that is silent, and of which nobody else has told anything, may be known to this content alone,
//!   and gone: it is waited for no longer than [`Options::fill_pause_ms`](super::Options::fill_pause_ms).
//! - Filling does not go round: it is not done twice within [`Options::fill_pause_ms`](super::Options::fill_pause_ms).

use std::collections::BTreeMap;

use super::interface::{Alarm, Local, MemberVerdict, Output};
use super::{Now, Replicator};
use crate::replication::member::{Member, MemberState, Role};
use crate::state::{NodeId, OriginId};

/// What is held here alone.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// By origin: after which number, and since when, monotonic milliseconds.
    found: BTreeMap<OriginId, (u64, u64)>,
    /// Whole entries brought something that never comes, and that nobody takes from here.
    pub(super) has_lost: bool,
    /// Whose content is another at an equal vector, and stayed so after a repair.
    differs_from: Option<NodeId>,
    /// Filling was asked for; this run goes no further.
    is_asked: bool,
    /// When this content was begun because the one before was ahead, unix milliseconds.
    filled_ms: Option<u64>,
    /// This run fills the content that is to take the place of another, which clients read until then: it proves nothing equal.
    pub(super) is_beside: bool,
}

impl Ahead {
    pub(super) fn new(local: &Local) -> Self {
        Self { filled_ms: local.filled_ms, is_beside: local.filled_ms.is_some() && !local.joined, ..Self::default() }
    }

    /// Whether it was filled anew so lately that doing it again would go round. A clock that was set back ends it.
    fn is_paused(&self, now: Now, pause_ms: u64) -> bool {
        self.filled_ms.is_some_and(|at_ms| now.wall_ms.checked_sub(at_ms).is_some_and(|ago_ms| ago_ms < pause_ms))
    }
}

impl Replicator {
    /// Looks whether this node, which only reads, holds what nobody takes any more.
    pub(super) fn ahead_tick(&mut self, out: &mut Vec<Output>) {
        let role = self.members.get(&self.node).filter(|own| own.state == MemberState::Active).map(|own| own.role);
        let Some(role) = role.filter(|role| !role.may_originate()) else {
            self.ahead.found.clear();
            return;
        };
        if self.ahead.is_asked || !self.is_joined() || self.exchange.is_some() {
            return;
        }
        let now_ms = self.now.monotonic_ms;
        let vector = self.holding.vector.iter().map(|(origin, position)| (origin, position.sequence));
        let alone: BTreeMap<OriginId, u64> =
            vector.filter_map(|(origin, held)| Some((origin, self.taken_until(origin, held, role)?))).collect();
        self.ahead.found.retain(|origin, (after, _)| alone.get(origin) == Some(after));
        for (origin, after) in alone {
            self.ahead.found.entry(origin).or_insert((after, now_ms));
        }
        let lost = self.ahead.found.iter().find(|(_, (_, since_ms))| self.all_heard_since(*since_ms));
        let lost = lost.map(|(origin, (after, _))| (*origin, after + 1, self.holding.vector.sequence(*origin)));
        let can_be_filled = self.open_peers().any(|peer| peer.may_forward() && peer.held_before.is_none());
        let differs_from = self.ahead.differs_from.filter(|_| !self.is_proved_equal());
        if (lost.is_none() && !self.ahead.has_lost && differs_from.is_none()) || !can_be_filled {
            return;
        }
        let (origin, first, last) = lost.unwrap_or_default();
        let is_again = self.ahead.is_paused(self.now, self.options.fill_pause_ms);
        let alarm = match differs_from {
            Some(peer) => Alarm::DiffersAlone { peer, is_again },
            None if is_again => Alarm::AheadAgain { origin, first, last },
            None => Alarm::Ahead { origin, first, last },
        };
        if is_again {
            return self.alarm_once(alarm, out);
        }
        self.ahead.is_asked = true;
        out.push(Output::Alarm(alarm));
        out.push(Output::FillAnew);
    }

    /// The content of a peer is another than this node's at an equal vector, also after a repair. If this node only reads, and
    /// takes changes from there, the fault may be here, and nothing is lost by taking the content anew.
    pub(super) fn differs_for_good(&mut self, peer: NodeId) {
        let takes_from = |role: Role| role.may_originate() || (self.role() == Role::Consumer && role.may_forward());
        if !self.role().may_originate() && self.members.get(&peer).is_some_and(|member| takes_from(member.role)) {
            self.ahead.differs_from = Some(peer);
        }
    }

    /// Whether a supplier that is here has the same content: then it is another member that is wrong.
    fn is_proved_equal(&self) -> bool {
        let suppliers = self
            .open_peers()
            .filter(|peer| self.members.get(&peer.node).is_some_and(|member| member.role.may_originate()));
        suppliers.map(|peer| self.verdict(peer.session)).any(|verdict| verdict == MemberVerdict::Equal)
    }

    /// Up to where somebody else holds or takes the changes of an origin, of which `held` are here; none if that is all.
    fn taken_until(&self, origin: OriginId, held: u64, role: Role) -> Option<u64> {
        let end = self.finals.get(&origin).copied().unwrap_or(u64::MAX);
        let there = match role {
            Role::Consumer => {
                let rows = self.forwarders().filter_map(|member| self.stability.rows.latest(member.node));
                rows.filter_map(|row| row.get(&origin)).copied().max().unwrap_or(0)
            }
            // What is here goes on from here.
            Role::Hub | Role::Supplier => held,
        };
        let taken = end.min(there);
        (taken < held).then_some(taken)
    }

    /// The others that send changes on.
    fn forwarders(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| {
            member.node != self.node && member.state == MemberState::Active && member.role.may_forward()
        })
    }

    /// Whether all who send changes on have said what they hold since then, and not before what they had said was on its way.
    fn all_heard_since(&self, since_ms: u64) -> bool {
        let after_ms = since_ms + self.options.exchange_retry_ms;
        let said =
            |member: &Member| self.stability.rows.heard_ms(member.node).is_some_and(|heard_ms| heard_ms > after_ms);
        self.now.monotonic_ms > after_ms
            && self.forwarders().any(said)
            && self.forwarders().all(|member| said(member) || !self.is_awaited(member))
    }

    /// Whether a reader waits for a member's word. Only this content may know it.
    pub(super) fn is_awaited(&self, member: &Member) -> bool {
        let heard_ms = self.stability.rows.heard_ms(member.node).or(self.incarnation.started_ms).unwrap_or(0);
        let is_silent = self.now.monotonic_ms > heard_ms + self.options.fill_pause_ms;
        self.role().may_originate() || self.stability.is_told_of(member.node) || !is_silent
    }
}
