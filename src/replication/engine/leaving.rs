//! A supplier that is asked to leave, or to write no more, and what it notices of having left.
//!
//! Once another supplier takes changes, it takes no further ones of clients, waits until other suppliers hold all that it
//! holds, and then writes its own end into its entry: its last change. Since changes of one origin come without holes, whoever
//! has heard of the end holds everything before it, so nothing is lost and nobody has to agree.
//!
//! Invariant: a member that became a consumer sends its changes on until another supplier holds them all.

use super::{Engine, Member, MemberState, NodeId};
use crate::replication::Role;
use crate::replication::membership::{self, Asked};
use crate::state::OriginId;

/// Between closing the gate and the last change: what clients had under way is written before it.
const PAUSE_MS: u64 = 500;
/// After it the last change is tried again.
const RETRY_MS: u64 = 5_000;
/// A member that told this node that it was retired is asked again after this.
const DISMISSED_PAUSE_MS: u64 = 30_000;

/// How far it is.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    pub(super) asked: Option<Asked>,
    /// When the last change is due, monotonic milliseconds, once the gate is closed.
    due_ms: Option<u64>,
}

impl Leaving {
    /// Whether clients' changes are refused for it.
    pub(super) fn is_begun(&self) -> bool {
        self.due_ms.is_some()
    }
}

impl Engine {
    /// The next step, if there is one.
    pub(super) fn leave_if_asked(&mut self) {
        let own = self.members.iter().find(|member| member.node == self.node);
        let takes_part = own.is_some_and(Member::holds_cut);
        let Some(asked) = self.leaving.asked.filter(|_| takes_part) else {
            if self.leaving.due_ms.take().is_some() {
                self.tell_gate();
            }
            return;
        };
        let now_ms = self.now().monotonic_ms;
        if !self.replicator.is_another_open() {
            // The other may need this node's content before it takes any. Clients are not refused for that.
            if self.leaving.due_ms.take().is_some() {
                self.tell_gate();
            }
            let text =
                "this node was asked to leave, or to write no more: it does as soon as another supplier takes changes";
            if !self.alarms.iter().any(|(_, told)| told == text) {
                self.alarm(text.to_owned());
            }
            return;
        }
        match self.leaving.due_ms {
            None => {
                tracing::info!("this node was asked to leave, or to write no more: it takes no further changes");
                self.leaving.due_ms = Some(now_ms + PAUSE_MS);
                self.tell_gate();
            }
            Some(due_ms) if due_ms <= now_ms && self.replicator.is_all_handed_over() => {
                self.leaving.due_ms = Some(now_ms + RETRY_MS);
                let node = self.node;
                self.spawn_change(move |writing| Ok(membership::leave(writing, node, asked)?));
            }
            Some(_) => {}
        }
    }

    /// This node in the list of members as a hub instead of a consumer, while it holds changes of its own that nobody
    /// else has.
    pub(super) fn until_sent(&mut self, mut members: Vec<Member>) -> Vec<Member> {
        let origin = self.replicator.status(self.now()).origin;
        if !self.replicator.is_heard_out() && send_on_first(&mut members, self.node, origin) {
            self.members_stale = true;
        }
        members
    }

    /// A member said that this node was retired.
    pub(super) fn dismissed(&mut self, peer: NodeId) {
        // What the tree says: the members believed lag behind by a tick, within which a peer has told it already.
        let known = self.parts.dit.read().and_then(|snapshot| membership::members(snapshot.view()));
        let known = known.unwrap_or_default();
        let known = known.iter().any(|member| member.node == self.node && member.state == MemberState::Retired);
        let pause_until_ms = self.now().monotonic_ms + DISMISSED_PAUSE_MS;
        self.pause_dialling(peer, pause_until_ms);
        let text = match known {
            true => "this node has left its cluster; its data may be read still, and can go".to_owned(),
            false => format!(
                "this node was retired while it was away: it takes no changes, and nobody sends it any. To take it back \
                 with all that it wrote, on another member: entente replica resume {}; else remove it",
                self.node.to_string().chars().take(8).collect::<String>()
            ),
        };
        if !self.alarms.iter().any(|(_, told)| *told == text) {
            self.alarm(text);
        }
    }
}

/// Makes a node that was a supplier under `origin`, and is a consumer now, a hub in the list. Returns whether it did.
pub(super) fn send_on_first(members: &mut [Member], node: NodeId, origin: OriginId) -> bool {
    let own = members.iter_mut().find(|member| member.node == node && member.role == Role::Consumer);
    let Some(own) = own.filter(|own| own.finals.contains_key(&origin)) else { return false };
    own.role = Role::Hub;
    true
}
