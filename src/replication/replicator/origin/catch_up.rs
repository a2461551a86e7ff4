//! An old copy catches up: what it once held is looked for among the others until it is here, or is nowhere.
//!
//! Invariants
//! - Nowhere is what no supplier holds by what it said since the old copy was found. What was said before is too old: its
//!   sessions end when it begins a new origin, and others take meanwhile what they lacked.
//! - A run catches up with the same word once. Members remember what was held, and go on to say so though it is nowhere;
//!   a run that took that for another loss would begin a new origin without end, and write its tail again each time.

use std::collections::BTreeMap;

use super::super::interface::{Alarm, EARLY, Output, UNTOLD, WriteRequest};
use super::super::{Purpose, Replicator};
use super::{Incarnation, sequences};
use crate::replication::member::Member;
use crate::state::OriginId;

/// The greater number of each origin.
fn raise(target: &mut BTreeMap<OriginId, u64>, held: impl IntoIterator<Item = (OriginId, u64)>) {
    for (origin, sequence) in held {
        let at = target.entry(origin).or_default();
        *at = sequence.max(*at);
    }
}

impl Incarnation {
    /// Whether this run caught up already with what was once held of an origin, as far as it was to be had.
    pub(in crate::replication::replicator) fn has_looked_for(&self, origin: OriginId, sequence: u64) -> bool {
        self.caught_up.get(&origin).is_some_and(|at| sequence <= *at)
    }

    /// The next of what was written too early: what was written first is written again first, where that is known.
    pub(super) fn next_early(&mut self) -> Option<(OriginId, u64)> {
        let next = self.before().find(|origin| self.early.contains_key(origin));
        let next = next.or_else(|| self.early.keys().next().copied())?;
        self.early.remove_entry(&next)
    }

    /// What was written too early, as it is written down.
    pub(super) fn early_notes(&self) -> impl Iterator<Item = (OriginId, u64)> {
        self.early.iter().map(|(origin, after)| {
            let untold = if self.untold.contains(origin) { UNTOLD } else { 0 };
            (OriginId(origin.0 | EARLY | untold), *after)
        })
    }

    /// All that is to be had is here.
    pub(super) fn end_catch_up(&mut self) {
        raise(&mut self.caught_up, self.catch_up.take().unwrap_or_default());
    }
}

impl Replicator {
    /// This node's content is older than what it once was: it holds less than `held` says, of `found` for one. That is
    /// `said_here` if this node, or a copy of it, once said so itself.
    pub(in crate::replication::replicator) fn roll_back(
        &mut self,
        found: OriginId,
        (held, said_here): (BTreeMap<OriginId, u64>, bool),
        out: &mut Vec<Output>,
    ) {
        let origin = self.holding.origin;
        let ours = self.holding.vector.sequence(origin);
        // Once found and left, an origin is not left again for what was said about the time before it.
        let is_new = self.incarnation.catch_up.is_none();
        let before = held.get(&origin).copied().filter(|before| is_new || *before > ours);
        if is_new {
            out.push(Output::Alarm(Alarm::RolledBack { origin: found }));
            let early = self.written_in_earlier_runs(&held, said_here);
            self.incarnation.untold.extend(early.iter().map(|(origin, _)| *origin));
            self.incarnation.early.extend(early);
        }
        let target = self.incarnation.catch_up.get_or_insert_default();
        if is_new || held.iter().any(|(origin, sequence)| target.get(origin).is_none_or(|at| sequence > at)) {
            self.incarnation.found_ms = Some(self.now.monotonic_ms);
        }
        raise(target, held);
        let begun = self.incarnation.begun(origin);
        if before.is_some_and(|before| before != ours) {
            // What the old copy wrote before it knew stands under numbers that were given before; but what every member
            // holds under its number, and may have forgotten, is not written again.
            let after = before.map_or(begun, |before| before.min(begun)).max(self.stability.settled(origin));
            if after < ours && before.is_some_and(|before| before > ours) {
                // Whether others gave them to something else is asked first: this run may have been set back, or not at all.
                self.incarnation.unresolved.insert(origin);
            } else if after < ours {
                // Nobody else gave these numbers: it waits until all that others hold is here.
                self.incarnation.early.insert(origin, after);
                self.incarnation.untold.insert(origin);
            }
            self.rotate(out);
        } else if is_new && ours > begun && self.role().may_originate() {
            let begun = begun.max(self.stability.settled(origin));
            self.incarnation.early.entry(origin).or_insert(begun);
        }
    }

    /// What earlier runs of this directory wrote as an old copy, with nobody there to tell them: what is beyond `held`, if that
    /// is what this node said to hold once (a copy of it may have said so, and this one be left); else under origins that it
    /// began after one of which it lacks something now. Others waited for none of it with forgetting.
    fn written_in_earlier_runs(&self, held: &BTreeMap<OriginId, u64>, said_here: bool) -> Vec<(OriginId, u64)> {
        let mut is_later = false;
        let mut early = Vec::new();
        let own = self.incarnation.before().chain([self.holding.origin]);
        for origin in own.filter(|origin| self.role().may_originate() && self.is_of_this_node(*origin)) {
            let (ours, said) = (self.holding.vector.sequence(origin), held.get(&origin).copied().unwrap_or(0));
            let after = said.max(self.stability.settled(origin));
            // For the running origin that is looked at where it is left.
            let is_beyond = said_here && origin != self.holding.origin;
            if (is_later || is_beyond) && after < ours {
                early.push((origin, after));
            }
            is_later |= !said_here && said > ours;
        }
        early
    }

    /// This node goes on under an identity that nobody waits for yet, as a copy of which nobody can tell how old it is:
    /// members may have forgotten what it still holds. It catches up with those it meets before it takes changes, and what it
    /// was to write again it still is.
    pub(in crate::replication::replicator) fn catch_up_as_copy(&mut self, out: &mut Vec<Output>) {
        let mut target = self.incarnation.catch_up.clone().unwrap_or_default();
        for peer in self.open_peers() {
            raise(&mut target, sequences(&peer.vector));
        }
        self.incarnation.catch_up = Some(target.clone());
        target.extend(self.incarnation.early_notes());
        self.incarnation.catch_up_noted.clone_from(&target);
        self.write(WriteRequest::NoteCatchUp(target), Purpose::Noted, out);
    }

    /// Whether what was said to be held once is held again, as far as it still is anywhere.
    pub(super) fn has_caught_up(&self, origin: OriginId, sequence: u64) -> bool {
        let held = self.holding.vector.sequence(origin);
        let end = self.finals.get(&origin).copied().unwrap_or(u64::MAX);
        // What this directory wrote under an old origin and wrote again under another is nowhere under the old one; what
        // was on disks that all went back is nowhere, as far as every supplier can say.
        // A supplier that others speak for, with what it said in this run, counts as one that is here. What anybody said
        // before this node was found to be an old copy counts for nothing: they may have caught up themselves since.
        let found_ms = self.incarnation.found_ms;
        let started_ms = self.incarnation.started_ms.unwrap_or(0).max(found_ms.unwrap_or(0));
        let speaks = |member: &Member| {
            self.open_peers().any(|peer| peer.node == member.node && found_ms.is_none_or(|at_ms| peer.heard_ms > at_ms))
                || self.stability.rows.heard_ms(member.node).is_some_and(|at_ms| at_ms > started_ms)
                    && self
                        .stability
                        .rows
                        .latest(member.node)
                        .is_some_and(|row| row.get(&origin).copied().unwrap_or(0) <= held)
        };
        let mut suppliers = self.members.values().filter(|member| member.holds_cut() && member.node != self.node);
        let all_here = suppliers.all(speaks);
        let own = self.incarnation.own.contains(&origin) && self.open_peers().any(|peer| peer.held_before.is_none());
        // What a consumer alone still has cannot come from there, and its word may not keep anybody from taking changes.
        let mut givers = self.open_peers().filter(|peer| peer.may_forward());
        let nowhere = (own || all_here) && givers.all(|peer| peer.vector.sequence(origin) <= held);
        held >= sequence.min(end) || nowhere
    }
}
