//! Which members are dialled and when: those without a session, ever more seldom while nobody answers.

use super::{DialError, Engine, Member, MemberState, NodeId, Session, SessionEvent};
use crate::replication::dial;

/// First pause after a failure, milliseconds; doubles up to [`PAUSE_MS_MAX`].
const PAUSE_MS_MIN: u64 = 100;
/// Longest pause.
const PAUSE_MS_MAX: u64 = 5_000;
/// A session that lasted so long was one.
const LASTING_MS: u64 = 5_000;

/// What became of dialling one member.
#[derive(Clone, Debug, Default)]
pub(super) struct Attempts {
    running: bool,
    failed: u32,
    next_ms: u64,
    error: String,
}

impl Attempts {
    fn fail(&mut self, now_ms: u64, error: String) {
        let pause = PAUSE_MS_MIN.checked_shl(self.failed).unwrap_or(PAUSE_MS_MAX).min(PAUSE_MS_MAX);
        self.failed = (self.failed + 1).min(16);
        self.next_ms = now_ms + pause;
        self.error = error;
    }
}

impl Engine {
    /// Dials whoever is due.
    pub(super) fn dial_due(&mut self) {
        let now = self.now().monotonic_ms;
        let due: Vec<Member> = self
            .members
            .iter()
            .filter(|member| member.node != self.node && member.state != MemberState::Retired)
            .filter(|member| !member.addresses.is_empty())
            .filter(|member| !self.sessions.values().any(|session| session.peer == member.node))
            .filter(|member| {
                self.dialling.get(&member.node).is_none_or(|attempts| !attempts.running && attempts.next_ms <= now)
            })
            .cloned()
            .collect();
        for member in due {
            self.dialling.entry(member.node).or_default().running = true;
            self.dial(member);
        }
        let members = &self.members;
        self.dialling.retain(|node, _| members.iter().any(|member| member.node == *node));
    }

    fn dial(&mut self, member: Member) {
        let (trust, events) = (self.trust.clone(), self.hall.events.clone());
        self.dials.spawn(async move {
            let reached = dial::member(&trust, member.node, &member.addresses).await;
            let outcome = match reached {
                Ok(stream) => {
                    let opened = SessionEvent::Opened { wire: Box::new(stream), peer: member.node, dialled: true };
                    // The engine has ended.
                    let _ = events.send(opened).await;
                    Ok(())
                }
                Err(error) => Err(error),
            };
            (member.node, outcome)
        });
    }

    /// Asks where the node was that this data directory is a copy of whether it runs still: no other member may be there
    /// that knows both.
    pub(super) fn look_for_original(&mut self) {
        let Some(mut original) = self.original.clone() else { return };
        let own = self.addresses().unwrap_or_default();
        original.addresses.retain(|address| !own.contains(address));
        if !original.addresses.is_empty() {
            self.dial(original);
        }
    }

    pub(super) fn dialled(&mut self, outcome: Result<(NodeId, Result<(), DialError>), tokio::task::JoinError>) {
        let Ok((node, outcome)) = outcome else { return };
        let (now, name) = (self.now().monotonic_ms, self.name_of(node));
        let Some(attempts) = self.dialling.get_mut(&node) else { return };
        attempts.running = false;
        match outcome {
            Ok(()) => {}
            Err(error) => {
                let text = error.to_string();
                let is_new = attempts.error != text;
                attempts.fail(now, text.clone());
                if is_new {
                    tracing::warn!(peer = name, error = text, "a member cannot be reached; tried again and again");
                    self.tell_of_clocks(&name, &text);
                }
            }
        }
    }

    /// Takes note of a session's end: one that did not last counts as a failure, so that it is not dialled in a circle.
    pub(super) fn ended(&mut self, session: &Session, reason: &str) {
        let now = self.now().monotonic_ms;
        if now.saturating_sub(session.since_ms) < LASTING_MS {
            let attempts = self.dialling.entry(session.peer).or_default();
            let is_new = attempts.error != reason;
            attempts.fail(now, reason.to_owned());
            if is_new {
                self.tell_of_clocks(&self.name_of(session.peer), reason);
            }
        } else {
            self.dialling.remove(&session.peer);
        }
    }

    /// An alarm where a certificate is refused for the time: that ends only by somebody's doing.
    fn tell_of_clocks(&mut self, peer: &str, reason: &str) {
        if reason.contains(dial::TIME_DIFFERS) {
            self.alarm(format!("no connection with {peer}: {reason}"));
        }
    }

    /// Does not dial a member before this time, monotonic milliseconds.
    pub(super) fn pause_dialling(&mut self, node: NodeId, until_ms: u64) {
        self.dialling.entry(node).or_default().next_ms = until_ms;
    }

    /// A member is reached in another way from now on: it is dialled at once.
    pub(super) fn dial_anew(&mut self, node: NodeId) {
        self.dialling.retain(|known, attempts| *known != node || attempts.running);
    }

    /// Why members could not be reached when last tried.
    pub(super) fn unreachable(&self) -> Vec<(NodeId, String)> {
        let failing = self.dialling.iter().filter(|(_, attempts)| !attempts.error.is_empty());
        failing.map(|(node, attempts)| (*node, attempts.error.clone())).collect()
    }
}
