//! Proof that two nodes hold the same, and what is done where they do not.
//!
//! Whenever a peer's vector is this node's, their digests are compared; unequal ones are a fault of a program or a
//! machine, since equal sets of changes give equal content. It is told, and each side takes from the other what differs
//! (`exchange`); joining both ways mends what was lost on one side. If they differ again afterwards, the entries are
//! named and left alone: that is for a developer.
//!
//! Content can be ahead of the vector: an exchange that broke off has brought entries with changes that are still to come
//! by the log. No digest is told until they are here, in later runs neither. Where those who held such changes turn out to be old copies, and
//! nobody holds them any more, they never come; then what was brought of them counts as content, and reaches the others as
//! any difference does; a consumer, from which nobody takes anything, is filled anew (`ahead`).

use std::collections::{BTreeMap, BTreeSet};

use super::exchange::Cause;
use super::interface::{Alarm, Local, MemberVerdict, Output, WriteRequest};
use super::{Now, Purpose, Replicator};
use crate::model::EntryUuid;
use crate::replication::member::{MemberState, SessionId};
use crate::state::{NodeId, OriginId, OriginPosition, UpdateVector};

/// Entries named in an alarm at most.
const NAMED_MAX: usize = 100;
/// After a repair that did not help, before the next.
const RETRY_MS: u64 = 600_000;

/// Comparisons so far.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    /// What the vector must reach before the digest means something again, and since when.
    uncovered: Option<(UpdateVector, u64)>,
    /// Whether the store remembers any of it.
    is_noted: bool,
    /// Differences found and repaired once, and which entries they were.
    repaired: BTreeMap<NodeId, (u64, BTreeSet<EntryUuid>)>,
    /// Left alone.
    pub(super) quarantined: BTreeSet<EntryUuid>,
    told: Vec<Alarm>,
}

impl Repairs {
    pub(super) fn new(local: &Local) -> Self {
        let position = |sequence: &u64| OriginPosition { sequence: *sequence, ..OriginPosition::default() };
        let positions = local.uncovered.iter().map(|(origin, sequence)| (*origin, position(sequence)));
        let uncovered = UpdateVector::from_positions(positions);
        let is_noted = !local.uncovered.is_empty();
        Self { uncovered: is_noted.then_some((uncovered, 0)), is_noted, ..Self::default() }
    }

    /// States were joined that may hold changes up to here.
    pub(super) fn cover(&mut self, vector: &UpdateVector, now_ms: u64) {
        let (uncovered, since_ms) = self.uncovered.get_or_insert_default();
        uncovered.join(vector);
        *since_ms = now_ms;
    }

    /// What the content may hold beyond the vector; the store is to remember it.
    pub(super) fn uncovered_at(&mut self, vector: &UpdateVector) -> BTreeMap<OriginId, u64> {
        let uncovered = self.uncovered.iter().flat_map(|(uncovered, _)| uncovered.iter());
        let beyond = uncovered.filter(|(origin, position)| vector.sequence(*origin) < position.sequence);
        let beyond: BTreeMap<OriginId, u64> = beyond.map(|(origin, position)| (origin, position.sequence)).collect();
        self.is_noted |= !beyond.is_empty();
        beyond
    }

    /// Whether the content is just what the vector says.
    pub(super) fn is_covered(&self, vector: &UpdateVector) -> bool {
        self.uncovered.as_ref().is_none_or(|(uncovered, _)| vector.holds_all_of(uncovered))
    }
}

impl Replicator {
    /// How a peer's content stands to ours by what it said last.
    pub(super) fn verdict(&self, session: SessionId) -> MemberVerdict {
        let Some(peer) = self.peers.get(&session) else { return MemberVerdict::Unknown };
        let vector = &self.holding.vector;
        let same = vector.holds_all_of(&peer.vector) && peer.vector.holds_all_of(vector);
        if same && vector.forked_origins(&peer.vector).next().is_none() {
            return match (self.told_digest(), peer.digest) {
                (Some(ours), Some(theirs)) if ours == theirs => MemberVerdict::Equal,
                (Some(_), Some(_)) => MemberVerdict::Different,
                _ => MemberVerdict::CatchingUp { they_lack: 0, we_lack: 0 },
            };
        }
        let lack = |less: &UpdateVector, more: &UpdateVector| {
            more.iter().map(|(origin, at)| at.sequence.saturating_sub(less.sequence(origin))).sum()
        };
        MemberVerdict::CatchingUp { they_lack: lack(&peer.vector, vector), we_lack: lack(vector, &peer.vector) }
    }

    /// How a member stands to this node by what others told of it last; else by what itself did.
    pub(super) fn verdict_by_others(&self, node: NodeId, they_lack: u64, we_lack: u64, now: Now) -> MemberVerdict {
        let heard_ms = self.stability.rows.heard_ms(node).unwrap_or(0);
        let is_fresh = now.monotonic_ms.saturating_sub(heard_ms) <= self.options.hearsay_ms_max;
        let theirs = self.stability.rows.relayed_digest(node).filter(|_| is_fresh && they_lack == 0 && we_lack == 0);
        match (self.told_digest(), theirs) {
            (Some(ours), Some(theirs)) if ours == theirs => MemberVerdict::Equal,
            (Some(_), Some(_)) => MemberVerdict::Different,
            _ => MemberVerdict::CatchingUp { they_lack, we_lack },
        }
    }

    /// Looks whether a peer proves equal or different.
    pub(super) fn compare_digests(&mut self, session: SessionId, out: &mut Vec<Output>) {
        let Some(peer) = self.peers.get(&session).filter(|peer| peer.is_open()) else { return };
        let node = peer.node;
        match self.verdict(session) {
            MemberVerdict::Equal => {
                if let Some((_, entries)) = self.repairs.repaired.remove(&node) {
                    let entries = entries.into_iter().take(NAMED_MAX).collect();
                    out.push(Output::Alarm(Alarm::Repaired { peer: node, entries }));
                }
            }
            MemberVerdict::Different if self.exchange.is_none() => match self.repairs.repaired.get(&node) {
                None => {
                    out.push(Output::Alarm(Alarm::Different { peer: node }));
                    self.begin_exchange(session, Cause::Repair, out);
                }
                Some((at_ms, entries)) => {
                    let (at_ms, entries) = (*at_ms, entries.clone());
                    let quarantined = &mut self.repairs.quarantined;
                    // The other side may be at its repair still: it tells no digest then, so this is its last word.
                    if !entries.iter().all(|entry| quarantined.contains(entry)) || quarantined.is_empty() {
                        quarantined.extend(entries.iter().copied());
                        let entries = entries.into_iter().take(NAMED_MAX).collect();
                        out.push(Output::Alarm(Alarm::Quarantine { peer: node, entries }));
                        self.differs_for_good(node);
                    }
                    if self.now.monotonic_ms > at_ms + RETRY_MS {
                        self.repairs.repaired.remove(&node);
                    }
                }
            },
            _ => {}
        }
    }

    /// Waits no longer for changes of which whole entries brought something and that nobody holds: every member that may have
    /// them has said since what it holds.
    pub(super) fn give_up_lost(&mut self, out: &mut Vec<Output>) {
        let Some((uncovered, since_ms)) = &self.repairs.uncovered else { return };
        let ours = &self.holding.vector;
        let awaited: Vec<(OriginId, u64)> = uncovered
            .iter()
            .map(|(origin, position)| (origin, position.sequence))
            .filter(|(origin, sequence)| ours.sequence(*origin) < *sequence)
            .collect();
        if awaited.is_empty() {
            return self.await_no_more(out);
        }
        let others = self.members.values().filter(|member| member.node != self.node);
        let others = others.filter(|member| member.state == MemberState::Active && member.role.may_forward());
        let mut others = others.filter(|member| self.is_awaited(member));
        let is_lost = self.exchange.is_none()
            && self.is_certain()
            && self.peers.values().all(|peer| peer.held_before.is_none())
            && others.all(|member| {
                let said = self.stability.rows.heard_ms(member.node).is_some_and(|heard_ms| heard_ms > *since_ms);
                let held = self.stability.rows.latest(member.node).filter(|_| said);
                held.is_some_and(|held| {
                    awaited.iter().all(|(origin, _)| held.get(origin).copied().unwrap_or(0) <= ours.sequence(*origin))
                })
            });
        if !is_lost {
            return;
        }
        if !self.role().may_forward() {
            // Nobody takes anything from here.
            self.ahead.has_lost = true;
            return;
        }
        let lost = awaited.iter().map(|(origin, sequence)| (*origin, ours.sequence(*origin) + 1, *sequence));
        out.extend(lost.map(|(origin, first, last)| Output::Alarm(Alarm::Lost { origin, first, last })));
        self.await_no_more(out);
        self.is_active = true;
        self.acknowledge(out);
        let sessions: Vec<SessionId> = self.open_peers().map(|peer| peer.session).collect();
        sessions.into_iter().for_each(|session| self.compare_digests(session, out));
    }

    fn await_no_more(&mut self, out: &mut Vec<Output>) {
        self.repairs.uncovered = None;
        if std::mem::take(&mut self.repairs.is_noted) {
            self.write(WriteRequest::NoteUncovered(BTreeMap::new()), Purpose::Noted, out);
        }
    }

    /// Entries that were found to differ from a member's and are not proved equal again.
    pub(super) fn differing(&self, node: NodeId) -> Vec<EntryUuid> {
        let repaired = self.repairs.repaired.get(&node).map(|(_, entries)| entries);
        let exchange = self.exchange.as_ref();
        let found = exchange.filter(|exchange| exchange.peer == node && exchange.cause == Cause::Repair);
        let found = found.map(|exchange| &exchange.differing);
        repaired.into_iter().chain(found).flatten().copied().take(NAMED_MAX).collect()
    }

    pub(super) fn repair_done(&mut self, peer: NodeId, differing: BTreeSet<EntryUuid>) {
        self.repairs.repaired.insert(peer, (self.now.monotonic_ms, differing));
    }

    /// Tells the operator once of what would come again and again.
    pub(super) fn alarm_once(&mut self, alarm: Alarm, out: &mut Vec<Output>) {
        let known = self.repairs.told.iter().any(|told| match (told, &alarm) {
            (Alarm::ClockAhead { origin: a, .. }, Alarm::ClockAhead { origin: b, .. }) => a == b,
            (told, alarm) => told == alarm,
        });
        if !known && self.repairs.told.len() < NAMED_MAX {
            self.repairs.told.push(alarm.clone());
            out.push(Output::Alarm(alarm));
        }
    }
}
