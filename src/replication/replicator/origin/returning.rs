//! Who was away comes back: suspended meanwhile, or as a copy of which nobody knew.
//!
//! Others did not wait for it with forgetting. So its content is made complete by another's, it waits until it holds what the
//! suppliers hold, and what only it may have brought is written again.
//!
//! Invariants
//! - What is waited for is what a supplier still says to hold: a word that was taken back binds nobody, whoever else is silent.
//! - An end that nobody could agree on, since no origin was known, is told by [`UNHEARD`]; all that the member wrote is then
//!   written again beside the first, which others took under its numbers.

use std::collections::BTreeMap;

use super::super::Replicator;
use super::OriginId;
use crate::replication::member::{MemberState, UNHEARD};

impl Replicator {
    /// The content is complete again, by the word of one member, who may lag behind what the suppliers hold and forget. What is
    /// written again must know of that.
    pub(in crate::replication::replicator) fn await_suppliers(&mut self) {
        let mut awaited: BTreeMap<OriginId, u64> = BTreeMap::new();
        let suppliers = self.members.values().filter(|member| member.holds_cut() && member.node != self.node);
        for (origin, held) in suppliers.filter_map(|member| self.stability.rows.latest(member.node)).flatten() {
            let at = awaited.entry(*origin).or_default();
            *at = (*held).max(*at);
        }
        self.incarnation.awaited = awaited;
    }

    /// Whether what suppliers held when the content was complete is here too, as far as one of them still says to hold it: what
    /// it wrote again under another origin since is nowhere else, whoever else may be silent.
    pub(super) fn holds_awaited(&self) -> bool {
        let suppliers = || self.members.values().filter(|member| member.holds_cut() && member.node != self.node);
        let said = |origin: &OriginId| {
            let rows = suppliers().filter_map(|member| self.stability.rows.latest(member.node));
            rows.filter_map(|row| row.get(origin)).copied().max().unwrap_or(0)
        };
        let mut awaited = self.incarnation.awaited.iter();
        awaited.all(|(origin, held)| self.has_caught_up(*origin, (*held).min(said(origin))))
    }

    /// The content of what was a copy is complete: what it wrote beside its original, and nobody who sends changes on is known to
    /// hold, is written again. What one of those holds may be the original's, and what came since this run began is.
    pub(super) fn write_unawaited_again(&mut self) {
        if !self.incarnation.unawaited {
            return;
        }
        let incarnation = &self.incarnation;
        // What is noted as an old copy's is written again whoever holds it.
        let after = |origin: OriginId| {
            let held = self.held_by_givers(origin);
            (origin, incarnation.early.get(&origin).map_or(held, |noted| held.min(*noted)))
        };
        // In the order in which they were written: what is older must not come upon what is newer.
        let own = incarnation.before().filter(|origin| !self.is_of_this_node(*origin)).map(after);
        let lacked: Vec<_> = own.filter(|(origin, after)| incarnation.begun(*origin) > *after).collect();
        for (origin, after) in lacked {
            if self.held_by_others(origin) > after {
                self.incarnation.catch_up.get_or_insert_default();
                self.incarnation.untold.insert(origin);
                self.incarnation.early.insert(origin, after);
            } else {
                self.incarnation.untold.remove(&origin);
                self.incarnation.early.remove(&origin);
                self.incarnation.reissues.push_back((origin, after));
            }
        }
    }

    /// This node was away. Who withdrew a member meanwhile without having heard of an origin of it agreed on no end of that,
    /// and waited neither for that member nor for this node with forgetting: what only this node may have brought of it is
    /// written again beside the first, as this node's own early writes are. Of its own origins those count too that it had at the
    /// start of this run.
    pub(super) fn repeat_unended(&mut self) {
        self.incarnation.early.remove(&UNHEARD);
        if !self.role().may_originate() {
            return;
        }
        let incarnation = &self.incarnation;
        let others = || self.members.values().filter(|member| member.node != self.node);
        let withdrawn = others().filter(|member| member.state != MemberState::Active);
        let withdrawn = withdrawn.flat_map(|member| member.origins.iter().copied());
        // Not those of the one of which it once was a copy.
        let is_others = |origin: &OriginId| others().any(|member| member.origins.contains(origin));
        let own = incarnation.begun.keys().copied().filter(|origin| !incarnation.unawaited && !is_others(origin));
        let unended = withdrawn
            .filter(|origin| !self.own_origins().any(|own| own == *origin))
            .chain(own)
            .filter(|origin| !self.finals.contains_key(origin))
            .map(|origin| (origin, self.stability.settled(origin)))
            .filter(|(origin, after)| self.holding.vector.sequence(*origin) > *after);
        let unended: Vec<(OriginId, u64)> = unended.collect();
        if !unended.is_empty() {
            self.incarnation.catch_up.get_or_insert_default();
            self.incarnation.early.extend(unended);
        }
    }

    /// How often this node was withdrawn by those who had heard of no origin of it: each time counts one more.
    pub(super) fn times_unheard(&self) -> Option<u64> {
        let entry = self.members.get(&self.node).and_then(|own| own.finals.get(&UNHEARD));
        self.finals.get(&UNHEARD).max(entry).copied()
    }

    /// An origin of which the end was agreed, and since which this node wrote nothing: the running one, or the last one
    /// before it under which anything was written; or any of which that was first heard in this run. [`UNHEARD`] if nobody had
    /// heard of one.
    pub(super) fn suspended_as(&self) -> Option<(OriginId, u64)> {
        let incarnation = &self.incarnation;
        let vector = &self.holding.vector;
        let is_new = |origin: &OriginId| !incarnation.rejoined.contains(origin);
        let of = |origin: OriginId| self.finals.get(&origin).map(|end| (origin, *end));
        let before = incarnation.own_in_order.iter().rev().copied().filter(|origin| *origin != self.holding.origin);
        let last = [self.holding.origin].into_iter().chain(before).find(|origin| vector.sequence(*origin) > 0);
        let heard =
            incarnation.own_in_order.iter().copied().filter(|origin| !incarnation.ends_known.contains_key(origin));
        let unheard = self.times_unheard();
        let unheard = unheard.filter(|times| incarnation.ends_known.get(&UNHEARD).is_none_or(|known| times > known));
        let unheard = unheard.map(|times| (UNHEARD, times));
        of(self.holding.origin).or_else(|| last.into_iter().chain(heard).filter(is_new).find_map(of)).or(unheard)
    }
}
