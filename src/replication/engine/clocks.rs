//! The node's clock beside the machine's and the members': what jumps is told and does not reach the stamps, and a start with
//! a clock that is wrong stamps nothing.
//!
//! A running node's time follows no jump of its machine's clock (`dit::stamp_time`). At the start there is nothing else to go
//! by, so there the members' clocks are asked: a node that is ahead of most of them serves, and takes no changes, until
//! its clock is right or the administrator says that it is. Where nobody answers, the newest change that is held says how
//! late it can be; in a cluster of one member that is only told, since a directory in which nobody writes for weeks is
//! no fault, and no other clock is there to be hurt.
//!
//! Invariants
//! - While a start is not judged, or changes are held back, this node writes no change, of clients or of its own accord.
//! - As long as nothing was stamped the machine's clock is followed wherever it goes, so that setting it is enough.

use std::collections::BTreeMap;

use super::{Engine, LocalWrites, Member, MemberState, NodeId, ServiceError, name_of, store};
use crate::replication::{Status, joining, membership};
use crate::state::DisciplinedClock;
use crate::state::hybrid_clock::{DRIFT_MS_MAX, STEP_MS_MAX, StartVerdict, WallVerdict};

/// A member that answers is waited for so many ticks until its clock is known.
const SAMPLE_TICKS_MAX: u64 = 30;

/// Whether this run may stamp changes.
#[derive(Clone, Debug, Default)]
enum Start {
    #[default]
    Unjudged,
    Ready,
    Held {
        why: String,
        by_peers: bool,
    },
}

/// What is known of clocks.
#[derive(Clone, Debug, Default)]
pub(super) struct Clocks {
    start: Start,
    /// Ticks since the start could have been judged but for a member's clock.
    waited: u64,
    /// By how much the machine's clock is off the time of stamps, since it jumped and nobody backs it, milliseconds.
    jumped_ms: Option<i64>,
    /// Members' clocks that were told to be wrong, and by how much.
    told: BTreeMap<NodeId, i64>,
}

impl Clocks {
    pub(super) fn jumped_ms(&self) -> Option<i64> {
        self.jumped_ms
    }

    pub(super) fn may_stamp(&self) -> bool {
        matches!(self.start, Start::Ready)
    }

    /// Why changes are held back, if they are.
    pub(super) fn held(&self) -> Option<&str> {
        match &self.start {
            Start::Held { why, .. } => Some(why),
            Start::Unjudged | Start::Ready => None,
        }
    }

    /// Whether changes of clients are taken, where nothing else speaks against it.
    pub(super) fn gate(&self, writes: LocalWrites) -> LocalWrites {
        match (&self.start, writes) {
            (Start::Unjudged, LocalWrites::Open) => LocalWrites::Starting,
            (Start::Held { .. }, LocalWrites::Open) => LocalWrites::Held,
            (_, writes) => writes,
        }
    }
}

impl Engine {
    pub(super) fn status(&self) -> Status {
        let mut status = self.replicator.status(self.now());
        status.local_writes = self.clocks.gate(status.local_writes);
        status
    }

    /// Decides whether this run may stamp changes, until it may.
    pub(super) fn judge_start(&mut self) {
        let held_by_peers = match &self.clocks.start {
            Start::Ready => return,
            Start::Unjudged => false,
            Start::Held { by_peers, .. } => {
                self.parts.dit.accept_wall();
                *by_peers
            }
        };
        let is_peer = |member: &Member| member.node != self.node && member.state == MemberState::Active;
        let has_peers = self.members.iter().any(is_peer);
        let offsets: Vec<i64> = self.replicator.clock_offsets().into_iter().map(|(_, offset_ms)| offset_ms).collect();
        if offsets.is_empty() && has_peers {
            let knows_more_soon = match self.local_writes {
                LocalWrites::Open => !self.sessions.is_empty() && self.clocks.waited < SAMPLE_TICKS_MAX,
                _ => true,
            };
            self.clocks.waited += 1;
            if knows_more_soon || held_by_peers {
                return;
            }
        }
        let Ok(holding) = store::holding(&self.parts.dit) else { return };
        let offline_ms_max = self.parts.options.limits.offline_ms_max;
        match DisciplinedClock::judge_start(self.parts.dit.now_ms(), holding.clock, &offsets, offline_ms_max) {
            StartVerdict::AheadOfPeers { ahead_ms } => self.hold(true, &ahead_of_peers_text(ahead_ms)),
            StartVerdict::AheadOfLastChange { ahead_ms } if has_peers => {
                self.hold(false, &ahead_of_last_change_text(ahead_ms));
            }
            verdict => {
                if let StartVerdict::AheadOfLastChange { ahead_ms } = verdict {
                    self.alarm(long_ago_text(ahead_ms));
                }
                if matches!(self.clocks.start, Start::Held { .. }) {
                    self.alarm(
                        "this machine's clock is right now, as far as can be known: changes are taken".to_owned(),
                    );
                }
                self.clocks.start = Start::Ready;
                self.tell_gate();
                self.appear();
            }
        }
    }

    fn hold(&mut self, by_peers: bool, why: &str) {
        // By how much changes with each look; once is enough for the log.
        let is_new = !matches!(self.clocks.start, Start::Held { by_peers: was, .. } if was == by_peers);
        self.clocks.start = Start::Held { why: why.to_owned(), by_peers };
        if is_new {
            self.alarm(why.to_owned());
            self.tell_gate();
        }
    }

    /// Compares the machine's clock with the time that stamps are made of, and both with the members' clocks.
    pub(super) fn watch_clocks(&mut self) {
        if !self.clocks.may_stamp() {
            return;
        }
        let offsets = self.replicator.clock_offsets();
        let sampled: Vec<i64> = offsets.iter().map(|(_, offset_ms)| *offset_ms).collect();
        match self.parts.dit.observe_wall(&sampled) {
            WallVerdict::Slewing { .. } => {
                if self.clocks.jumped_ms.take().is_some() {
                    self.alarm("this machine's clock is where it was before it jumped".to_owned());
                }
            }
            WallVerdict::StepAdopted { offset_ms } => {
                self.clocks.jumped_ms = None;
                let text = format!(
                    "this machine's clock was set by {}, and the other members' clocks agree: stamps follow it",
                    span(offset_ms)
                );
                self.alarm(text);
            }
            WallVerdict::StepRefused { offset_ms } => {
                let told = self.clocks.jumped_ms.replace(offset_ms);
                if told.is_none_or(|told| told.abs_diff(offset_ms) > STEP_MS_MAX) {
                    self.alarm(jump_text(offset_ms));
                }
            }
        }
        self.clocks.told.retain(|node, _| offsets.iter().any(|(known, ms)| known == node && is_off(*ms)));
        for (node, offset_ms) in offsets.iter().filter(|(_, ms)| is_off(*ms)) {
            let told = self.clocks.told.insert(*node, *offset_ms);
            if told.is_none_or(|told| told.abs_diff(*offset_ms) > DRIFT_MS_MAX) {
                self.alarm(off_text(*node, *offset_ms, &sampled, &self.members));
            }
        }
    }

    /// By the administrator's word the machine's clock is right. Returns by how many milliseconds the time of stamps moved.
    pub(super) fn accept_clock(&mut self) -> i64 {
        let moved_ms = self.parts.dit.accept_wall();
        self.clocks = Clocks { start: Start::Ready, ..Clocks::default() };
        self.alarm(format!("this machine's clock was accepted: stamps moved by {}", span(moved_ms)));
        self.tell_gate();
        self.appear();
        self.publish();
        moved_ms
    }
}

/// Epochs.
impl Engine {
    /// Begins the next epoch by the administrator's word: changes are stamped with the right time again, newer than all before.
    ///
    /// # Errors
    /// [`ServiceError::Refused`] while no stamp is ahead, a clock is wrong, or a supplier could not begin it too; [`ServiceError`].
    pub(super) async fn begin_epoch(&mut self) -> Result<u16, ServiceError> {
        self.demand_supplier()?;
        let now = self.now();
        let ahead_ms = self.replicator.newest_clock().ms().saturating_sub(now.stamp_ms);
        let missing = self.members.iter().find(|member| member.holds_cut() && !self.is_heard(member.node));
        let refusal = if ahead_ms <= DRIFT_MS_MAX {
            Some("no member stamps more than five minutes ahead: a new epoch would leave nothing behind".to_owned())
        } else if self.clocks.jumped_ms.is_some() || !self.clocks.told.is_empty() {
            Some("clocks differ still: set those that are wrong first, as entente replica status tells".to_owned())
        } else {
            missing.map(|member| {
                let name = name_of(member.node, &self.members);
                format!("{name} does not answer, and would go on stamping ahead: wait until it is back, or suspend it")
            })
        };
        if let Some(refusal) = refusal {
            return Err(ServiceError::Refused(refusal));
        }
        let begun = joining::change(&self.parts.writer, |writing| Ok(membership::begin_epoch(writing)?)).await??;
        let epoch = begun.ok_or_else(|| ServiceError::Refused("there is no later epoch".to_owned()))?;
        self.alarm(format!(
            "epoch {epoch} of the clock has begun: what is stamped now is newer than what was stamped ahead"
        ));
        Ok(epoch)
    }

    /// Begins the epoch that cn=cluster says, if this node's clock is in an earlier one: at once, or when it may stamp.
    pub(super) fn follow_epoch(&mut self, epoch: u16) {
        if epoch <= self.replicator.own_clock().epoch() {
            return;
        }
        self.members_stale = true;
        if self.clocks.may_stamp() {
            self.spawn_change(move |writing| {
                writing.raise_epoch(epoch);
                Ok(())
            });
        }
    }
}

fn is_off(offset_ms: i64) -> bool {
    offset_ms.unsigned_abs() > DRIFT_MS_MAX
}

fn jump_text(offset_ms: i64) -> String {
    format!(
        "this machine's clock jumped by {} while the node ran. Changes are stamped as if it had not. If the clock is wrong now, \
         set it; if it is right, tell this node: entente replica clock accept",
        span(offset_ms)
    )
}

fn ahead_of_peers_text(ahead_ms: u64) -> String {
    format!(
        "this machine's clock is {} off the other members': no changes are taken, which would be stamped with it. Set the clock \
         (chronyc makestep), and they are taken at once. If it is right and the others' are not: entente replica clock accept",
        span(i64::try_from(ahead_ms).unwrap_or(i64::MAX))
    )
}

fn ahead_of_last_change_text(ahead_ms: u64) -> String {
    format!(
        "this machine's clock is {} off the newest change here, and no other member can be asked: no changes are taken. Set the \
         clock if it is wrong. Changes are taken once a member answers whose clock agrees; if the clock is right: entente \
         replica clock accept",
        span(i64::try_from(ahead_ms).unwrap_or(i64::MAX))
    )
}

fn long_ago_text(ahead_ms: u64) -> String {
    format!(
        "this machine's clock is {} off the newest change here. If that is too much, set it before anything is written: what is \
         stamped ahead stays so",
        span(i64::try_from(ahead_ms).unwrap_or(i64::MAX))
    )
}

/// Whose clock it is that differs: of three and more the one that most differ from.
fn off_text(node: NodeId, offset_ms: i64, sampled: &[i64], members: &[Member]) -> String {
    let name = name_of(node, members);
    let span = span(offset_ms);
    let off = sampled.iter().filter(|offset_ms| is_off(**offset_ms)).count();
    if off * 2 > sampled.len() && sampled.len() > 1 {
        format!("the clock of {name} and most others is {span} off this node's time: set this machine's clock")
    } else if sampled.len() > 1 {
        format!("the clock of {name} is {span} off this node's time, and most others' are not: set it there")
    } else {
        format!(
            "the clock of {name} is {span} off this node's time: one of the two machines' clocks is wrong; set it there"
        )
    }
}

/// A difference of clocks for people: sign, number, unit.
pub(super) fn span(offset_ms: i64) -> String {
    let sign = if offset_ms < 0 { '-' } else { '+' };
    let ms = offset_ms.unsigned_abs();
    match ms {
        0..10_000 => format!("{sign}{ms} ms"),
        10_000..600_000 => format!("{sign}{} s", ms / 1_000),
        600_000..36_000_000 => format!("{sign}{} min", ms / 60_000),
        36_000_000..864_000_000 => format!("{sign}{} h", ms / 3_600_000),
        _ => format!("{sign}{} days", ms / 86_400_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    #[test]
    fn who_differs_from_most_is_named() {
        let node = NodeId([7; 16]);
        let named = Member { node, name: "c".to_owned(), ..Member::default() };
        let text = |offset_ms, sampled: &[i64]| off_text(node, offset_ms, sampled, std::slice::from_ref(&named));
        assert!(text(HOUR_MS, &[HOUR_MS]).contains("c (07070707) is +60 min off"));
        assert!(text(HOUR_MS, &[HOUR_MS, 0, 3]).contains("set it there"));
        assert!(text(-HOUR_MS, &[-HOUR_MS, -HOUR_MS]).contains("set this machine's clock"));
    }

    #[test]
    fn a_start_that_is_not_judged_or_is_held_takes_no_changes() {
        let mut clocks = Clocks::default();
        assert_eq!(clocks.gate(LocalWrites::Open), LocalWrites::Starting);
        clocks.start = Start::Held { why: "ahead".to_owned(), by_peers: true };
        assert_eq!((clocks.gate(LocalWrites::Open), clocks.held()), (LocalWrites::Held, Some("ahead")));
        assert_eq!(clocks.gate(LocalWrites::ReadOnly), LocalWrites::ReadOnly);
        clocks.start = Start::Ready;
        assert_eq!(clocks.gate(LocalWrites::Open), LocalWrites::Open);
    }
}
