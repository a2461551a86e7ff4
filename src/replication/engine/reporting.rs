//! What is gathered for the operator: published every second for cn=monitor, and afresh when asked.

use std::sync::Arc;

use super::{Counts, Door, Engine, NodeId, Repaired, Report, Table};
use crate::model::EntryUuid;

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
            own: self.members.iter().find(|member| member.node == self.node).cloned(),
            status: self.status(),
            clock_jumped_ms: self.clocks.jumped_ms(),
            alarms: self.alarms.iter().cloned().collect(),
            port: self.door.as_ref().map(Door::port),
            unreachable: self.unreachable(),
            certificate_ends_s: self.trust.identity().expires_s(),
        }
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
