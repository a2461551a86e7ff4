//! What this directory wrote while nobody waited for it, as an old copy or as a copy of another member's: others may have
//! forgotten what it stands on, or what took its place. It is told to nobody as it is; when all content is here it is written
//! again.
//!
//! Invariants
//! - What is not told is not said to be held either: two of whom each waits for what the other only says it holds would wait for
//!   ever.
//! - Nothing is taken back that others are known to hold; that is written again beside the first.

use super::super::{Output, Purpose, Replicator, WriteRequest};
use super::Incarnation;
use crate::replication::member::Member;
use crate::state::{OriginId, OriginPosition, UpdateVector};

impl Incarnation {
    /// Whether changes of an origin are not told, as they may be older than what others have forgotten: this directory wrote
    /// them before it knew that it was an old copy, or as another than `own`, the member that it is now.
    pub(in crate::replication::replicator) fn withholds(&self, origin: OriginId, own: Option<&Member>) -> bool {
        let is_copys = self.unawaited && !own.is_some_and(|own| own.origins.contains(&origin));
        self.own.contains(&origin) && (is_copys || self.untold.contains(&origin))
    }
}

impl Replicator {
    /// How far others are known to hold an origin.
    pub(super) fn held_by_others(&self, origin: OriginId) -> u64 {
        let told = self.stability.rows.held_by_any(origin);
        self.open_peers().map(|peer| peer.vector.sequence(origin)).fold(told, u64::max)
    }

    /// How far those are known to hold an origin from whom others may have it.
    pub(super) fn held_by_givers(&self, origin: OriginId) -> u64 {
        let givers = self.members.values().filter(|member| member.node != self.node && member.role.may_forward());
        let told = givers.flat_map(|member| self.stability.rows.of(member.node));
        let told = told.filter_map(|voice| voice.latest.get(&origin)).copied();
        let open = self.open_peers().filter(|peer| peer.may_forward()).map(|peer| peer.vector.sequence(origin));
        told.chain(open).max().unwrap_or(0)
    }

    fn withheld(&self) -> impl Iterator<Item = OriginId> {
        let own = self.members.get(&self.node);
        self.incarnation.before().filter(move |origin| self.incarnation.withholds(*origin, own))
    }

    /// Whether the content has changes that are not said to be held.
    pub(in crate::replication::replicator) fn withholds_any(&self) -> bool {
        self.withheld().next().is_some()
    }

    /// Whether the content has such changes and nobody who joins may take it. One that is itself about to take all content must
    /// give its own: the other may be waiting for it as well.
    pub(in crate::replication::replicator) fn withholds_too_much(&self) -> bool {
        self.incarnation.rejoining.is_none() && self.withholds_any()
    }

    /// What this node says that it holds.
    pub fn told_vector(&self) -> UpdateVector {
        let held = &self.holding.vector;
        let mut told: Vec<(OriginId, OriginPosition)> = Vec::new();
        if !self.withholds_any() {
            return held.clone();
        }
        let withheld: Vec<OriginId> = self.withheld().collect();
        for (origin, position) in held.iter() {
            let early = self.incarnation.early.get(&origin).copied();
            let under_way = self.incarnation.early_under_way.filter(|(early, _)| *early == origin);
            let after = early.or_else(|| under_way.map(|(_, after)| after)).unwrap_or(0);
            let until = after.max(self.held_by_others(origin));
            if !withheld.contains(&origin) || until >= position.sequence {
                told.push((origin, *position));
            } else if until > 0 {
                told.push((origin, OriginPosition { sequence: until, ..OriginPosition::default() }));
            }
        }
        UpdateVector::from_positions(told)
    }

    /// The content is complete: what was written early is written again, one origin after the other; when that is done, this node
    /// has caught up.
    pub(super) fn write_early_again(&mut self, out: &mut Vec<Output>) {
        let Some((origin, after)) = self.incarnation.next_early() else { return self.incarnation.end_catch_up() };
        let clock = self.incarnation.clock_heard;
        let is_left = self.incarnation.untold.contains(&origin) && origin != self.holding.origin;
        self.incarnation.reissuing = true;
        self.incarnation.early_under_way = Some((origin, after));
        let write = if is_left && self.held_by_others(origin) <= after {
            self.drop_queued(origin);
            self.incarnation.set_back.insert(origin);
            WriteRequest::ReissueTail { origin, after, clock }
        } else {
            WriteRequest::RepeatTail { origin, after, clock }
        };
        self.write(write, Purpose::Repeat, out);
    }
}
