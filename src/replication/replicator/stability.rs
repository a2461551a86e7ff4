//! Who holds what, as everybody says, and from that what may be forgotten.
//!
//! The stable cut is for each origin the newest change that every active supplier holds. A member's row counts only when
//! this node holds all of the row: what the member wrote before it said so may carry older stamps than what is to be
//! forgotten, and must have met it. Its own origins alone would not do: of one that it began not long ago this node
//! hears with that origin's first change, and what a copy wrote stands under an origin of the member that it was copied
//! from. A row that does not count yet waits as a candidate; a newer one does not displace it, so a member that writes
//! all the time does not hold the cut back for ever, unless the newer one says less: what is in no row may never come.
//!
//! Nothing is forgotten while a supplier is silent, until a majority suspends it (never two against one another: with two
//! suppliers only the operator does), and an origin whose end was agreed must be held to that end first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::interface::{Answer, Output, WriteRequest};
use super::telling::{apart, together};
use super::{Purpose, Replicator};
use crate::replication::member::{Member, MemberState, Role, SessionId, UNHEARD};
use crate::replication::message::Row;
use crate::state::{BucketSum, NodeId, OriginId, StableCut, UpdateVector};

/// Marks of when what was held, kept for the age of a backlog.
const MARKS_MAX: usize = 512;

/// How often it is looked who is silent, in the time after which a session is closed as silent.
const WATCHES: u64 = 3;

/// Rows of all members.
#[derive(Debug, Default)]
pub(super) struct Stability {
    rows: BTreeMap<NodeId, RowState>,
    /// By origin: number and since when held, rising.
    marks: BTreeMap<OriginId, VecDeque<(u64, u64)>>,
    /// Which members others have not heard of, and when they said so.
    silent: BTreeMap<NodeId, (u64, Vec<NodeId>)>,
    /// Of whom others told something in this run.
    told_of: BTreeSet<NodeId>,
    /// Suspended members, and since when that is known here.
    suspended: BTreeMap<NodeId, u64>,
    /// When it is looked next who is silent and who is back.
    watch_at_ms: u64,
    settle_at_ms: u64,
    settled: StableCut,
    /// What all held at some moment, and what anybody held then.
    mark: Option<(StableCut, BTreeMap<OriginId, u64>)>,
    /// The same, where all hold by now what anybody held then.
    known: StableCut,
    trimmed: BTreeMap<OriginId, u64>,
    /// Writes under way.
    background: u32,
    has_more: bool,
}

#[derive(Debug, Default)]
struct RowState {
    /// The incarnation that said so last.
    origin: OriginId,
    /// As it said last.
    latest: BTreeMap<OriginId, u64>,
    heard_ms: u64,
    /// Of what it held then.
    digest: Option<BucketSum>,
    /// Whether others told it, not the member itself.
    is_relayed: bool,
    /// Waits until all of it is held here.
    candidate: Option<BTreeMap<OriginId, u64>>,
    /// Counts for the cut.
    counted: Option<BTreeMap<OriginId, u64>>,
}

impl Stability {
    pub(super) fn background_done(&mut self, answer: &Answer) {
        self.background = self.background.saturating_sub(1);
        self.has_more |= matches!(answer, Answer::Done { more: true });
    }

    /// A member said itself what it holds.
    pub(super) fn row_of(
        &mut self,
        node: NodeId,
        origin: OriginId,
        vector: &UpdateVector,
        digest: Option<BucketSum>,
        now_ms: u64,
    ) {
        let row = self.rows.entry(node).or_default();
        row.origin = origin;
        row.latest = vector.iter().map(|(origin, position)| (origin, position.sequence)).collect();
        row.heard_ms = now_ms;
        row.digest = digest;
        row.is_relayed = false;
    }

    /// The digest of a member's content as others told it with what is [`latest`](Self::latest).
    pub(super) fn relayed_digest(&self, node: NodeId) -> Option<BucketSum> {
        self.rows.get(&node).filter(|row| row.is_relayed)?.digest
    }

    /// Up to where what an origin's changes left was forgotten in this run.
    pub(super) fn settled(&self, origin: OriginId) -> u64 {
        self.settled.get(&origin).copied().unwrap_or(0)
    }

    /// What was last said by a member; none if nothing was.
    pub(super) fn latest(&self, node: NodeId) -> Option<&BTreeMap<OriginId, u64>> {
        self.rows.get(&node).map(|row| &row.latest)
    }

    /// The newest change of an origin that some member is known to hold.
    pub(super) fn held_by_any(&self, origin: OriginId) -> u64 {
        self.rows.values().filter_map(|row| row.latest.get(&origin)).copied().max().unwrap_or(0)
    }

    pub(super) fn heard_ms(&self, node: NodeId) -> Option<u64> {
        self.rows.get(&node).map(|row| row.heard_ms)
    }

    /// Whether anybody else told of a member in this run.
    pub(super) fn is_told_of(&self, node: NodeId) -> bool {
        self.told_of.contains(&node)
    }

    /// Rows to tell a peer beside `vector`: all but its own.
    pub(super) fn rows_to_tell(&self, peer: NodeId, vector: &UpdateVector, now_ms: u64) -> Vec<Row> {
        let rows = self.rows.iter().filter(|(node, _)| **node != peer);
        rows.map(|(node, row)| Row {
            node: *node,
            origin: row.origin,
            age_ms: now_ms.saturating_sub(row.heard_ms),
            held: apart(&row.latest, vector),
            digest: row.digest,
        })
        .collect()
    }

    /// Notes since when changes are held here.
    pub(super) fn note_held(&mut self, vector: &UpdateVector, now_ms: u64) {
        for (origin, position) in vector.iter() {
            let marks = self.marks.entry(origin).or_default();
            if marks.back().is_none_or(|(sequence, _)| *sequence < position.sequence) {
                if marks.len() == MARKS_MAX {
                    // Every second mark: ages stay right to within the distance of two.
                    let mut index = 0;
                    marks.retain(|_| {
                        index += 1;
                        index % 2 == 0
                    });
                }
                marks.push_back((position.sequence, now_ms));
            }
        }
    }

    /// For how long a change is held here, at least; none if it was held at the start already.
    pub(super) fn held_for_ms(&self, origin: OriginId, sequence: u64, now_ms: u64) -> Option<u64> {
        let marks = self.marks.get(&origin)?;
        let at = marks.partition_point(|(mark, _)| *mark < sequence);
        marks.get(at).map(|(_, since_ms)| now_ms.saturating_sub(*since_ms))
    }

    /// Members whose rows are held no more.
    pub(super) fn keep_only(&mut self, members: &BTreeMap<NodeId, Member>) {
        if !members.is_empty() {
            self.rows.retain(|node, _| members.contains_key(node));
            self.silent.retain(|node, _| members.contains_key(node));
            self.told_of.retain(|node| members.contains_key(node));
        }
    }

    /// Notes since when members are known to be suspended.
    pub(super) fn note_suspended(&mut self, members: &BTreeMap<NodeId, Member>, now_ms: u64) {
        let is_suspended = |member: &Member| member.state == MemberState::Suspended;
        self.suspended.retain(|node, _| members.get(node).is_some_and(is_suspended));
        for member in members.values().filter(|member| is_suspended(member)) {
            self.suspended.entry(member.node).or_insert(now_ms);
        }
    }
}

impl Replicator {
    /// Rows that count from now on, as this node's own vector has risen or rows have come.
    pub(super) fn row_candidates(&mut self) {
        let held = &self.holding.vector;
        for (node, row) in &mut self.stability.rows {
            let suspect = self
                .peers
                .values()
                .any(|peer| peer.node == *node && (peer.challenged_ms.is_some() || peer.held_before.is_some()));
            if suspect {
                continue;
            }
            if !self.members.contains_key(node) {
                continue;
            }
            let is_here = |candidate: &BTreeMap<OriginId, u64>| {
                candidate.iter().all(|(origin, said)| {
                    let end = self.finals.get(origin).copied().unwrap_or(u64::MAX);
                    held.sequence(*origin) >= (*said).min(end)
                })
            };
            let latest = &row.latest;
            row.candidate.take_if(|candidate| {
                candidate.iter().any(|(origin, said)| latest.get(origin).copied().unwrap_or(0) < *said)
            });
            for _ in 0..2 {
                let candidate = row.candidate.take().unwrap_or_else(|| row.latest.clone());
                if is_here(&candidate) {
                    row.counted = Some(candidate);
                } else {
                    row.candidate = Some(candidate);
                    break;
                }
            }
        }
    }

    /// Rows that a peer knows of others, beside its vector.
    pub(super) fn rows_received(&mut self, (session, from): (SessionId, NodeId), rows: &[Row], silent: &[NodeId]) {
        let now_ms = self.now.monotonic_ms;
        let Some(peer) = self.peers.get(&session) else { return };
        let of_members = rows.iter().filter(|row| self.members.contains_key(&row.node) && row.node != self.node);
        // One row a member is all that a peer has to say.
        for row in of_members.take(self.members.len()) {
            self.stability.told_of.insert(row.node);
            let known = self.stability.rows.entry(row.node).or_default();
            // A relayed row never is newer than a session's word; of two relayed ones the younger counts.
            let said_ms = now_ms.saturating_sub(row.age_ms);
            if known.latest.is_empty() || said_ms > known.heard_ms {
                known.latest = together(&row.held, &peer.vector);
                known.heard_ms = said_ms;
                known.origin = row.origin;
                known.digest = row.digest;
                known.is_relayed = true;
            }
        }
        self.stability.silent.insert(from, (now_ms, silent.to_vec()));
        self.row_candidates();
    }

    /// For each origin the newest change that every active supplier holds.
    pub(super) fn stable_cut(&self) -> StableCut {
        let mut cut: StableCut =
            self.holding.vector.iter().map(|(origin, position)| (origin, position.sequence)).collect();
        if self.members.is_empty() || !self.is_certain() {
            return StableCut::new();
        }
        let own: Vec<OriginId> = self.own_origins().collect();
        for member in self.members.values().filter(|member| member.holds_cut() && member.node != self.node) {
            let Some(counted) = self.stability.rows.get(&member.node).and_then(|row| row.counted.as_ref()) else {
                return StableCut::new();
            };
            // What this directory once wrote and does not hold, as an old copy, is still to come here too.
            let latest = self.stability.latest(member.node);
            let has = |origin: &OriginId| latest.and_then(|row| row.get(origin)).copied().unwrap_or(0);
            let end = |origin: &OriginId| self.finals.get(origin).copied().unwrap_or(u64::MAX);
            if own.iter().any(|origin| has(origin).min(end(origin)) > self.holding.vector.sequence(*origin)) {
                return StableCut::new();
            }
            for (origin, sequence) in &mut cut {
                *sequence = (*sequence).min(counted.get(origin).copied().unwrap_or(0));
            }
        }
        // Who has left may have written until the agreed end: all of that must be here first.
        let mut ends = self.finals.iter().filter(|(origin, _)| **origin != UNHEARD);
        if ends.any(|(origin, end)| self.holding.vector.sequence(*origin) < *end) {
            return StableCut::new();
        }
        cut.retain(|_, sequence| *sequence > 0);
        cut
    }

    /// Suppliers without which the cut would be higher.
    pub(super) fn cut_held_by(&self) -> Vec<NodeId> {
        let held = &self.holding.vector;
        self.members
            .values()
            .filter(|member| member.holds_cut() && member.node != self.node)
            .filter(|member| {
                let counted = self.stability.rows.get(&member.node).and_then(|row| row.counted.as_ref());
                counted.is_none_or(|counted| {
                    held.iter().any(|(origin, position)| counted.get(&origin).copied().unwrap_or(0) < position.sequence)
                })
            })
            .map(|member| member.node)
            .collect()
    }

    /// For each origin the first log record that somebody may still need.
    fn log_floors(&self) -> BTreeMap<OriginId, u64> {
        let mut floors = BTreeMap::new();
        for (origin, position) in self.holding.vector.iter() {
            let mut needed = position.sequence;
            for member in self.members.values().filter(|member| member.holds_log() && member.node != self.node) {
                let latest = self.stability.latest(member.node);
                needed = needed.min(latest.and_then(|row| row.get(&origin)).copied().unwrap_or(0));
            }
            let kept = position.sequence.saturating_sub(self.options.log_records_kept);
            floors.insert(origin, needed.min(kept) + 1);
        }
        floors.retain(|_, floor| *floor > 1);
        floors
    }

    /// Suspends who has been silent for too long, takes back who was heard again; forgets and trims from time to time.
    pub(super) fn stability_tick(&mut self, out: &mut Vec<Output>) {
        let now_ms = self.now.monotonic_ms;
        if now_ms >= self.stability.watch_at_ms {
            self.stability.watch_at_ms = now_ms + self.options.silence_ms / WATCHES;
            self.suspend_silent(out);
            self.take_back_heard(out);
        }
        let is_exchanging = self.exchange.is_some() || self.is_giving();
        if now_ms < self.stability.settle_at_ms || self.stability.background > 0 || is_exchanging {
            return;
        }
        self.stability.settle_at_ms = now_ms + self.options.settle_ms;
        let more = std::mem::take(&mut self.stability.has_more);
        let cut = self.stable_cut();
        let is_known_more = self.note_known(&cut);
        if !cut.is_empty() && (more || is_known_more || cut != self.stability.settled) {
            self.stability.settled.clone_from(&cut);
            self.stability.background += 1;
            self.end_giving();
            let known = self.stability.known.clone();
            self.write(WriteRequest::Settle { cut, known }, Purpose::Background, out);
        }
        let floors = self.log_floors();
        if !floors.is_empty() && (more || floors != self.stability.trimmed) {
            self.stability.trimmed.clone_from(&floors);
            self.stability.background += 1;
            self.write(WriteRequest::TrimLog(floors), Purpose::Background, out);
        }
    }

    /// Whether all hold by now what anybody held when they held less than now: what is still missing of that is nowhere. What
    /// its holders lost since, all who held it, is waited for no longer.
    fn note_known(&mut self, cut: &StableCut) -> bool {
        if cut.is_empty() || self.peers.values().any(|peer| peer.held_before.is_some()) {
            return false;
        }
        let until_end = |origin, sequence: u64| sequence.min(self.finals.get(&origin).copied().unwrap_or(u64::MAX));
        let ours = self.holding.vector.iter().map(|(origin, at)| (origin, until_end(origin, at.sequence)));
        let mut held: BTreeMap<OriginId, u64> = ours.collect();
        let givers = self.members.values().filter(|member| {
            member.node != self.node && member.state == MemberState::Active && member.role.may_forward()
        });
        for giver in givers {
            let Some(latest) = self.stability.latest(giver.node) else { return false };
            for (origin, sequence) in latest {
                let at = held.entry(*origin).or_default();
                *at = (*at).max(until_end(*origin, *sequence));
            }
        }
        let is_here = |(origin, marked): (&OriginId, &u64)| {
            let now = held.get(origin).copied().unwrap_or(0);
            cut.get(origin).copied().unwrap_or(0) >= (*marked).min(now)
        };
        match self.stability.mark.take_if(|(_, marked)| marked.iter().all(is_here)) {
            Some((known, _)) => {
                let is_more = self.stability.known != known;
                self.stability.known = known;
                self.stability.mark = Some((cut.clone(), held));
                is_more
            }
            None => {
                self.stability.mark.get_or_insert_with(|| (cut.clone(), held));
                false
            }
        }
    }

    /// Active suppliers that were not heard of, directly or through others, for too long.
    pub(super) fn silent_members(&self) -> Vec<NodeId> {
        let now_ms = self.now.monotonic_ms;
        let limit_ms = self.options.offline_ms_max;
        self.members
            .values()
            .filter(|member| member.holds_cut() && member.node != self.node)
            .filter(|member| {
                let heard_ms = self.stability.heard_ms(member.node).unwrap_or(0);
                now_ms.saturating_sub(heard_ms) > limit_ms
            })
            .map(|member| member.node)
            .collect()
    }

    /// Suspends a supplier that a majority of suppliers says is silent; the first of those does it.
    fn suspend_silent(&mut self, out: &mut Vec<Output>) {
        let suppliers = self.members.values().filter(|member| member.holds_cut()).count();
        if suppliers < 3 || !self.members.get(&self.node).is_some_and(Member::holds_cut) {
            return;
        }
        let now_ms = self.now.monotonic_ms;
        for suspect in self.silent_members() {
            let mut agreeing: Vec<NodeId> = vec![self.node];
            for peer in self.open_peers() {
                let says = self.stability.silent.get(&peer.node).is_some_and(|(at_ms, silent)| {
                    now_ms.saturating_sub(*at_ms) <= self.options.silence_ms && silent.contains(&suspect)
                });
                if says && self.members.get(&peer.node).is_some_and(Member::holds_cut) {
                    agreeing.push(peer.node);
                }
            }
            agreeing.sort_unstable();
            agreeing.dedup();
            if agreeing.len() * 2 > suppliers && agreeing.first() == Some(&self.node) {
                self.withdraw(suspect, MemberState::Suspended, out);
            }
        }
    }

    /// Whether this node takes suspended members back: a supplier that takes part. Where none does any more, since two parts of
    /// the cluster withdrew each other, any supplier that has not left.
    pub(super) fn takes_back(&self) -> bool {
        let takes_part = |member: &Member| member.holds_cut();
        self.members.get(&self.node).is_some_and(|own| {
            let may = own.role.may_originate() && own.state != MemberState::Retired;
            takes_part(own) || (may && !self.members.values().any(takes_part))
        })
    }

    /// Takes suspended members back of whom something was heard since, directly or through others: their session may be
    /// older than the word of their suspension, or be with a hub, which changes no entries.
    fn take_back_heard(&mut self, out: &mut Vec<Output>) {
        if !self.takes_back() {
            return;
        }
        // What others tell may be older than it looks, by the time that it was on its way; and they go on telling what was
        // said before it was suspended, also to a node that has just started.
        let on_its_way_ms = self.options.silence_ms;
        let started_ms = self.incarnation.started_ms.unwrap_or(self.now.monotonic_ms);
        let is_back = |(node, since_ms): (&NodeId, &u64)| {
            let after_ms = started_ms.max(*since_ms) + on_its_way_ms;
            self.stability.heard_ms(*node).filter(|at_ms| *at_ms > after_ms).map(|_| *node)
        };
        let back: Vec<NodeId> = self.stability.suspended.iter().filter_map(is_back).collect();
        for node in back {
            self.withdraw(node, MemberState::Active, out);
        }
    }

    /// Agrees on the ends of a member's origins by what is known to be held of them, and says so in its entry.
    pub(super) fn withdraw(&mut self, node: NodeId, state: MemberState, out: &mut Vec<Output>) {
        let Some(member) = self.members.get(&node) else { return };
        let mut finals = member.finals.clone();
        for origin in &member.origins {
            let rows = self.stability.rows.values().filter_map(|row| row.latest.get(origin));
            let end = rows.copied().max().unwrap_or(0).max(self.holding.vector.sequence(*origin));
            finals.entry(*origin).or_insert(end);
        }
        if finals.len() == member.finals.len() {
            *finals.entry(UNHEARD).or_default() += 1;
        }
        if state == MemberState::Active || member.role == Role::Consumer {
            finals.clone_from(&member.finals);
        }
        out.push(Output::SetMember { node, state, finals });
    }
}
