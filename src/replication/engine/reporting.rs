//! What is gathered for the operator: published every second for cn=monitor, and afresh when asked.

use std::sync::Arc;

use super::{Counts, Door, Engine, LocalWrites, NodeId, Repaired, Report, Table};
use crate::dit::UntoldRange;
use crate::model::EntryUuid;
use crate::replication::MemberVerdict;

/// Alarms remembered for the operator.
const ALARMS_MAX: usize = 32;
/// Repairs remembered.
const REPAIRED_MAX: usize = 16;

impl Engine {
    pub(super) fn publish(&self) {
        self.published.store(Some(Arc::new(self.report())));
    }

    pub(super) fn report(&self) -> Report {
        let counts = self.parts.dit.read().ok().map(|snapshot| {
            let reader = snapshot.view().reader();
            let count = |table| reader.count(table).unwrap_or_default();
            Counts {
                conflicts: snapshot.view().conflict_count().unwrap_or_default(),
                suspects: count(Table::Suspects),
                log_records: count(Table::Log),
            }
        });
        let now_ms = self.now().monotonic_ms;
        Report {
            counts: counts.unwrap_or_default(),
            traffic: self.sessions.values().map(|session| (session.peer, session.traffic())).collect(),
            repaired: self.repaired.iter().cloned().collect(),
            lacking_ms: self.lacking.iter().map(|(node, since)| (*node, now_ms.saturating_sub(*since))).collect(),
            leaving: self.leaving.is_begun(),
            filling: self.filling.is_some(),
            untold: self.untold(),
            own: self.members.iter().find(|member| member.node == self.node).cloned(),
            status: self.status(),
            clock_jumped_ms: self.clocks.jumped_ms(),
            alarms: self.alarms.iter().cloned().collect(),
            port: self.door.as_ref().map(Door::port),
            unreachable: self.unreachable(),
            certificate_ends_s: self.trust.identity().expires_s(),
        }
    }

    fn untold(&self) -> Vec<UntoldRange> {
        let read = self.parts.dit.read().and_then(|snapshot| snapshot.view().untold_conflicts());
        read.unwrap_or_default()
    }

    /// Tells the operator where it cannot be said what was lost: once, and again when it is twice as much.
    pub(super) fn tell_untold(&mut self) {
        let untold = self.untold();
        self.untold_told.retain(|origin, _| untold.iter().any(|range| range.origin == *origin));
        for range in untold {
            let told = self.untold_told.get(&range.origin).copied().unwrap_or(0);
            if range.count > told.saturating_mul(2) {
                self.untold_told.insert(range.origin, range.count);
                let writer = self.members.iter().find(|member| member.origins.contains(&range.origin));
                let writer =
                    writer.map_or_else(|| "a member that is not known here".to_owned(), |of| self.name_of(of.node));
                self.alarm(untold_text(&range, &writer));
            }
        }
    }

    /// What runs before met was told by them.
    pub(super) fn note_untold_before(&mut self) {
        self.untold_told = self.untold().into_iter().map(|range| (range.origin, range.count)).collect();
    }

    /// Tells the operator, in the log and in what is reported.
    pub(super) fn alarm(&mut self, text: String) {
        tracing::warn!("replication: {text}");
        if self.alarms.len() >= ALARMS_MAX {
            self.alarms.pop_front();
        }
        self.alarms.push_back((self.now().wall_ms, text));
    }

    /// The same about a copy or an old copy, which is over once what this node lacks is here. There is one: what the others
    /// tell of it says more than what the file did.
    pub(super) fn alarm_until_caught_up(&mut self, text: String) {
        self.drop_passing_alarm();
        self.until_caught_up = Some(text.clone());
        self.alarm(text);
    }

    /// What was told until this node has caught up is told no more when it has.
    pub(super) fn end_alarm_if_caught_up(&mut self) {
        let is_equal = || {
            let status = self.replicator.status(self.now());
            status.members.iter().any(|member| member.verdict == MemberVerdict::Equal)
        };
        let has_caught_up = match self.local_writes {
            LocalWrites::Open => true,
            // Who only reads is told by others that it has everything.
            LocalWrites::ReadOnly => self.until_caught_up.is_some() && is_equal(),
            _ => false,
        };
        if has_caught_up && self.drop_passing_alarm() {
            tracing::info!("replication: this node has caught up with the other members");
        }
    }

    fn drop_passing_alarm(&mut self) -> bool {
        let Some(text) = self.until_caught_up.take() else { return false };
        self.alarms.retain(|(_, told)| *told != text);
        true
    }

    pub(super) fn note_repaired(&mut self, peer: NodeId, entries: &[EntryUuid]) {
        if self.repaired.len() >= REPAIRED_MAX {
            self.repaired.pop_front();
        }
        self.repaired.push_back(Repaired { at_ms: self.now().wall_ms, peer, entries: entries.to_vec() });
    }

    /// Notes since when members hold what is lacking here.
    pub(super) fn note_lacking(&mut self) {
        let now = self.now();
        let lacking = self.replicator.status(now).members.into_iter();
        let lacking: Vec<NodeId> =
            lacking.filter(|member| !member.missing.is_empty()).map(|member| member.member.node).collect();
        self.lacking.retain(|node, _| lacking.contains(node));
        for node in lacking {
            self.lacking.entry(node).or_insert(now.monotonic_ms);
        }
    }
}

fn untold_text(range: &UntoldRange, writer: &str) -> String {
    let UntoldRange { origin, first, last, count, .. } = range;
    format!(
        "changes {first} to {last} of {writer} (origin {origin}) override {count} of others, and the log has no records any more \
         that say whether their writer knew these (replication.log_records_max): whether something was lost cannot be told \
         here. Other members' conflicts may tell: entente replica conflicts"
    )
}
