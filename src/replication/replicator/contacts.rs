//! When members were heard of last, and what they said then, over the ends of runs.
//!
//! Rows are of this run (`rows`). What a run before knew is kept beside them, written down from time to time and at the end,
//! so that the backlog of a member that is down is told, and its silence counted, after a restart too. It is told and counted,
//! and no more: the stable cut, what is sent, and whom an order waits for follow from what is said in this run.
//!
//! Silence is counted in the time that passes while this node runs, by the monotonic clock. No clock that jumps, here or on
//! most machines at once, makes it longer; nor does a night in which all were switched off. What was said, directly or
//! through others, ends it.

use std::collections::BTreeMap;

use super::interface::{Contact, Local, Now};
use super::rows::Held;
use super::{Replicator, Stability};
use crate::replication::member::MemberState;
use crate::state::{NodeId, OriginId};

/// What runs before knew.
#[derive(Debug, Default)]
pub(super) struct Contacts(BTreeMap<NodeId, Contact>);

/// The last that was heard of a member.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastWord<'a> {
    pub(super) held: &'a Held,
    /// How long ago, by the time of stamps where it was in a run before, milliseconds.
    pub(super) ago_ms: u64,
}

impl Contacts {
    pub(super) fn new(local: &Local) -> Self {
        Self(local.contacts.iter().map(|contact| (contact.node, contact.clone())).collect())
    }

    /// For how long the oldest change that a member lacks of an origin was made, if it was known in a run before that it holds
    /// just `held`; milliseconds.
    pub(super) fn lacking_for_ms(&self, node: NodeId, origin: OriginId, held: u64, now: Now) -> Option<u64> {
        let kept = self.0.get(&node).filter(|kept| kept.held.get(&origin).copied().unwrap_or(0) == held)?;
        kept.lacking_since_ms.get(&origin).map(|since_ms| now.stamp_ms.saturating_sub(*since_ms))
    }

    /// The last word of a member, of this run or one before: the younger by what passed while this node ran.
    fn last_word<'a>(&'a self, rows: &'a Stability, node: NodeId, run_ms: u64, now: Now) -> Option<LastWord<'a>> {
        let said = rows.rows.latest(node).zip(rows.rows.heard_ms(node));
        let said = said.map(|(held, at_ms)| LastWord { held, ago_ms: now.monotonic_ms.saturating_sub(at_ms) });
        let kept = self.0.get(&node).and_then(|kept| {
            let at_least_ms = kept.silent_ms.saturating_add(run_ms);
            let is_older = said.is_some_and(|said| said.ago_ms <= at_least_ms);
            let ago_ms = now.stamp_ms.saturating_sub(kept.heard_ms.filter(|_| !is_older)?).max(at_least_ms);
            Some(LastWord { held: &kept.held, ago_ms })
        });
        kept.or(said)
    }
}

impl Replicator {
    fn run_ms(&self, now: Now) -> u64 {
        self.incarnation.started_ms.map_or(0, |at_ms| now.monotonic_ms.saturating_sub(at_ms))
    }

    pub(super) fn last_word(&self, node: NodeId, now: Now) -> Option<LastWord<'_>> {
        self.contacts.last_word(&self.stability, node, self.run_ms(now), now)
    }

    /// How long ago a member said in this run what it holds, directly or through others; milliseconds.
    pub fn heard_now_ms_ago(&self, node: NodeId, now: Now) -> Option<u64> {
        self.stability.rows.heard_ms(node).map(|at_ms| now.monotonic_ms.saturating_sub(at_ms))
    }

    /// Whether a supplier said in this run that it holds all that this node wrote under its origin.
    pub fn is_heard_out(&self) -> bool {
        let origin = self.holding.origin;
        let written = self.holding.vector.sequence(origin);
        let others = self.members.values().filter(|member| member.node != self.node && member.holds_cut());
        let said = others.filter_map(|member| self.stability.rows.latest(member.node));
        said.map(|said| said.get(&origin).copied().unwrap_or(0)).any(|held| held >= written)
    }

    /// For how long this node heard nothing of a member, directly or through others, while it ran; milliseconds.
    pub(super) fn silent_for_ms(&self, node: NodeId, now: Now) -> u64 {
        let before_ms = self.contacts.0.get(&node).map_or(0, |kept| kept.silent_ms);
        let counted_ms = before_ms.saturating_add(self.run_ms(now));
        self.heard_now_ms_ago(node, now).map_or(counted_ms, |said_ms| said_ms.min(counted_ms))
    }

    /// What the next run should know of the other members.
    pub fn contacts(&self, now: Now) -> Vec<Contact> {
        let others = self.members.values().filter(|member| member.node != self.node);
        let others = others.filter(|member| member.state != MemberState::Retired);
        others
            .map(|member| {
                let word = self.last_word(member.node, now);
                Contact {
                    node: member.node,
                    held: word.map(|word| word.held.clone()).unwrap_or_default(),
                    heard_ms: word.map(|word| now.stamp_ms.saturating_sub(word.ago_ms)),
                    silent_ms: self.silent_for_ms(member.node, now),
                    lacking_since_ms: BTreeMap::new(),
                }
            })
            .collect()
    }
}
