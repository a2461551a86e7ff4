//! Clients that wait until others hold their change.
//!
//! Who holds a change is what members said to hold after their own durable commits, directly or through others; so the
//! count in the answer cannot lie. Consumers do not count: nobody takes a change back from one. At the deadline the client is told how many there are.

use std::collections::BTreeMap;

use super::Replicator;
use super::interface::{Durability, Output, Ticket};
use crate::state::{Dot, NodeId};

/// The clients that wait.
#[derive(Debug, Default)]
pub(super) struct Waits(BTreeMap<Ticket, Wait>);

#[derive(Debug)]
struct Wait {
    dot: Dot,
    durability: Durability,
    deadline_ms: u64,
}

impl Replicator {
    /// The other members that hold a change and can send it on, as they said.
    pub fn acknowledged_by(&self, dot: Dot) -> Vec<NodeId> {
        let others = self.members.values().filter(|member| member.node != self.node && member.role.may_forward());
        others
            .filter(|member| {
                let latest = self.stability.rows.latest(member.node);
                latest.and_then(|row| row.get(&dot.origin)).is_some_and(|held| *held >= dot.sequence)
            })
            .map(|member| member.node)
            .collect()
    }

    pub(super) fn wait_for(
        &mut self,
        ticket: Ticket,
        dot: Dot,
        durability: Durability,
        deadline_ms: u64,
        out: &mut Vec<Output>,
    ) {
        self.waits.0.insert(ticket, Wait { dot, durability, deadline_ms });
        self.answer_waits(out);
    }

    /// Answers those whose change is held as asked, or whose time is up.
    pub(super) fn answer_waits(&mut self, out: &mut Vec<Output>) {
        if self.waits.0.is_empty() {
            return;
        }
        let site = self.members.get(&self.node).map(|member| member.site.clone()).unwrap_or_default();
        let mut answered = Vec::new();
        for (ticket, wait) in &self.waits.0 {
            let mut acknowledged = self.acknowledged_by(wait.dot);
            let suppliers = || self.members.values().filter(|member| member.holds_cut() && member.node != self.node);
            let (wanted, met) = match wait.durability {
                Durability::Quorum(count) => (count, acknowledged.len() >= count),
                Durability::All => (suppliers().count(), suppliers().all(|member| acknowledged.contains(&member.node))),
                Durability::Site => {
                    let here = || suppliers().filter(|member| member.site == site);
                    (here().count(), here().all(|member| acknowledged.contains(&member.node)))
                }
            };
            // The count is told beside how many were wanted: whoever was not asked for is not in it.
            acknowledged.retain(|node| match wait.durability {
                Durability::Quorum(_) => true,
                Durability::All => suppliers().any(|member| member.node == *node),
                Durability::Site => suppliers().any(|member| member.node == *node && member.site == site),
            });
            if met || self.now.monotonic_ms >= wait.deadline_ms {
                answered.push(*ticket);
                out.push(Output::Durable { ticket: *ticket, acknowledged, wanted, met });
            }
        }
        answered.iter().for_each(|ticket| {
            self.waits.0.remove(ticket);
        });
    }
}
