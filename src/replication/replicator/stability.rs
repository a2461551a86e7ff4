//! Who holds what, as everybody says, and from that what may be forgotten.
//!
//! The stable cut is for each origin the newest change that every active supplier holds. A member's row counts only when
//! this node holds all of the row: what the member wrote before it said so may carry older stamps than what is to be
//! forgotten, and must have met it. Its own origins alone would not do: of one that it began not long ago this node
//! hears with that origin's first change, and what a copy wrote stands under an origin of the member that it was copied
//! from. Of a member of which a copy runs beside it, each of the two counts (`rows`); this node itself may be one.
//!
//! Nothing is forgotten while a supplier is silent, until a majority suspends it (never two against one another: with two
//! suppliers only the operator does), and an origin whose end was agreed must be held to that end first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::interface::{Alarm, Answer, Output, WriteRequest};
use super::rows::{Held, Rows, VOICES_MAX};
use super::telling::together;
use super::{Purpose, Replicator};
use crate::replication::member::{Member, MemberState, Role, SessionId, UNHEARD};
use crate::replication::message::{Row, Silence};
use crate::state::{BucketSum, NodeId, OriginId, StableCut, UpdateVector};

/// Marks of when what was held, kept for the age of a backlog.
const MARKS_MAX: usize = 512;

/// How often it is looked who is silent, in the time after which a session is closed as silent.
const WATCHES: u64 = 3;

/// For how many times the time after which a session is closed as silent the word counts that somebody is silent: through a
/// chain of members it comes with a beacon each. Whoever was heard of since is not silent by the same beacons.
const WORDS_OF_SILENCE: u64 = 10;

/// Rows of all members.
#[derive(Debug, Default)]
pub(super) struct Stability {
    pub(super) rows: Rows,
    /// By origin: number and since when held, rising.
    marks: BTreeMap<OriginId, VecDeque<(u64, u64)>>,
    /// Which members others have not heard of, and when they said so; of whom never missed anybody there is nothing.
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

impl Stability {
    pub(super) fn background_done(&mut self, answer: &Answer) {
        self.background = self.background.saturating_sub(1);
        self.has_more |= matches!(answer, Answer::Done { more: true });
    }

    /// Up to where what an origin's changes left was forgotten in this run.
    pub(super) fn settled(&self, origin: OriginId) -> u64 {
        self.settled.get(&origin).copied().unwrap_or(0)
    }

    /// Whether anybody else told of a member in this run.
    pub(super) fn is_told_of(&self, node: NodeId) -> bool {
        self.told_of.contains(&node)
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
            self.rows.keep_only(members);
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
    /// A member said itself what it holds.
    pub(super) fn row_said(&mut self, speaker: (NodeId, OriginId), vector: &UpdateVector, digest: Option<BucketSum>) {
        let now_ms = self.now.monotonic_ms;
        self.stability.rows.said(speaker, vector, digest, now_ms);
        self.stability.rows.end_voices(speaker.0, now_ms.saturating_sub(self.options.silence_ms));
        self.row_candidates();
    }

    /// Rows that count from now on, as this node's own vector has risen or rows have come.
    pub(super) fn row_candidates(&mut self) {
        let Self { stability, peers, members, finals, holding, .. } = self;
        let is_suspect = |node: NodeId| {
            let mut sessions = peers.values().filter(|peer| peer.node == node);
            sessions.any(|peer| peer.challenged_ms.is_some() || peer.held_before.is_some())
        };
        let is_here = |row: &Held| {
            row.iter().all(|(origin, said)| {
                let end = finals.get(origin).copied().unwrap_or(u64::MAX);
                holding.vector.sequence(*origin) >= (*said).min(end)
            })
        };
        stability.rows.count(|node| members.contains_key(&node) && !is_suspect(node), is_here);
    }

    /// Rows that a peer knows of others, beside its vector.
    pub(super) fn rows_received(&mut self, session: SessionId, rows: &[Row]) {
        let now_ms = self.now.monotonic_ms;
        let Some(peer) = self.peers.get(&session) else { return };
        let held_beside = peer.vector.clone();
        let is_own = |row: &Row| row.node == self.node && row.origin == self.holding.origin;
        let of_members = rows.iter().filter(|row| self.members.contains_key(&row.node) && !is_own(row));
        // So many rows a member are all that a peer has to say.
        for row in of_members.take(self.members.len() * VOICES_MAX) {
            // What was said before this node began is of its own run before.
            let said_ms = now_ms.saturating_sub(row.age_ms);
            let is_of_before =
                row.node == self.node && self.incarnation.started_ms.is_none_or(|at_ms| said_ms <= at_ms);
            if is_of_before {
                continue;
            }
            let known = &mut self.stability;
            known.rows.told((row.node, row.origin), together(&row.held, &held_beside), row.digest, said_ms);
            if row.node != self.node {
                known.told_of.insert(row.node);
                let heard_ms = known.rows.heard_ms(row.node).unwrap_or(0);
                known.rows.end_voices(row.node, heard_ms.saturating_sub(self.options.silence_ms));
            }
        }
        self.row_candidates();
    }

    /// Whom a member has not heard of for too long, by its own word of so long ago; who sends it may have heard it of others.
    pub(super) fn silence_told(&mut self, of: NodeId, age_ms: u64, silent: &[NodeId]) {
        let said_ms = self.now.monotonic_ms.saturating_sub(age_ms);
        if of == self.node || !self.members.contains_key(&of) {
            return;
        }
        match self.stability.silent.get_mut(&of) {
            Some(known) if known.0 < said_ms => *known = (said_ms, silent.to_vec()),
            None if !silent.is_empty() => {
                self.stability.silent.insert(of, (said_ms, silent.to_vec()));
            }
            _ => {}
        }
    }

    /// What is known of whom others have not heard, for `peer`, who need not be told its own word.
    pub(super) fn silence_to_tell(&self, peer: NodeId) -> Vec<Silence> {
        let now_ms = self.now.monotonic_ms;
        let young = self.stability.silent.iter().filter(|(node, (at_ms, _))| {
            **node != peer && now_ms.saturating_sub(*at_ms) <= self.options.silence_ms * WORDS_OF_SILENCE
        });
        young
            .map(|(node, (at_ms, silent))| Silence {
                node: *node,
                age_ms: now_ms.saturating_sub(*at_ms),
                silent: silent.clone(),
            })
            .collect()
    }

    /// For each origin the newest change that every active supplier holds.
    pub(super) fn stable_cut(&self) -> StableCut {
        let mut cut: StableCut =
            self.holding.vector.iter().map(|(origin, position)| (origin, position.sequence)).collect();
        if self.members.is_empty() || !self.is_certain() {
            return StableCut::new();
        }
        let own: Vec<OriginId> = self.own_origins().collect();
        for member in self.members.values().filter(|member| member.holds_cut()) {
            if member.node != self.node && self.stability.rows.of(member.node).next().is_none() {
                return StableCut::new();
            }
            for voice in self.stability.rows.of(member.node) {
                // What this directory once wrote and does not hold, as an old copy, is still to come here too.
                let has = |origin: &OriginId| voice.latest.get(origin).copied().unwrap_or(0);
                let end = |origin: &OriginId| self.finals.get(origin).copied().unwrap_or(u64::MAX);
                if own.iter().any(|origin| has(origin).min(end(origin)) > self.holding.vector.sequence(*origin)) {
                    return StableCut::new();
                }
                let Some(counted) = voice.counted.as_ref() else { return StableCut::new() };
                for (origin, sequence) in &mut cut {
                    *sequence = (*sequence).min(counted.get(origin).copied().unwrap_or(0));
                }
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
                let lacks = |counted: &Held| {
                    held.iter().any(|(origin, position)| counted.get(&origin).copied().unwrap_or(0) < position.sequence)
                };
                let mut voices = self.stability.rows.of(member.node).peekable();
                voices.peek().is_none() || voices.any(|voice| voice.counted.as_ref().is_none_or(lacks))
            })
            .map(|member| member.node)
            .collect()
    }

    /// For each origin the first log record that somebody may still need: a member that lacks it, or this node itself, which
    /// asks its own records which of its changes an undelete by another that had not heard of them does not know.
    fn log_floors(&self, cut: &StableCut) -> BTreeMap<OriginId, u64> {
        let own: BTreeSet<OriginId> = self.own_origins().collect();
        let mut floors = BTreeMap::new();
        for (origin, position) in self.holding.vector.iter() {
            let mut needed = position.sequence;
            for member in self.members.values().filter(|member| member.holds_log()) {
                let said =
                    self.stability.rows.of(member.node).map(|voice| voice.latest.get(&origin).copied().unwrap_or(0));
                let least = said.min().unwrap_or(if member.node == self.node { u64::MAX } else { 0 });
                needed = needed.min(least);
            }
            if own.contains(&origin) && !self.members.is_empty() {
                needed = needed.min(cut.get(&origin).copied().unwrap_or(0));
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
        // Nothing that this node says ends what a copy of it said.
        self.stability.rows.end_voices(self.node, now_ms.saturating_sub(self.options.silence_ms));
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
        let floors = self.log_floors(&cut);
        if !cut.is_empty() && (more || is_known_more || cut != self.stability.settled) {
            self.stability.settled.clone_from(&cut);
            self.stability.background += 1;
            self.end_giving();
            let known = self.stability.known.clone();
            self.write(WriteRequest::Settle { cut, known }, Purpose::Background, out);
        }
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
            let Some(latest) = self.stability.rows.latest(giver.node) else { return false };
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
        let limit_ms = self.options.offline_ms_max;
        self.members
            .values()
            .filter(|member| member.holds_cut() && member.node != self.node)
            .filter(|member| self.silent_for_ms(member.node, self.now) > limit_ms)
            .map(|member| member.node)
            .collect()
    }

    /// Suspends a supplier that a majority of suppliers says is silent, directly or through others; the first of those does it.
    fn suspend_silent(&mut self, out: &mut Vec<Output>) {
        let suppliers = self.members.values().filter(|member| member.holds_cut()).count();
        if suppliers < 3 || !self.members.get(&self.node).is_some_and(Member::holds_cut) {
            return;
        }
        let now_ms = self.now.monotonic_ms;
        for suspect in self.silent_members() {
            let mut agreeing: Vec<NodeId> = vec![self.node];
            for (node, (at_ms, silent)) in &self.stability.silent {
                let is_young = now_ms.saturating_sub(*at_ms) <= self.options.silence_ms * WORDS_OF_SILENCE;
                let counts = *node != suspect && self.members.get(node).is_some_and(Member::holds_cut);
                if is_young && counts && silent.contains(&suspect) {
                    agreeing.push(*node);
                }
            }
            agreeing.sort_unstable();
            if agreeing.len() * 2 > suppliers && agreeing.first() == Some(&self.node) {
                let silent_ms = self.silent_for_ms(suspect, self.now);
                out.push(Output::Alarm(Alarm::Suspended { member: suspect, by: agreeing, silent_ms }));
                self.withdraw(suspect, MemberState::Suspended, out);
            }
        }
    }

    /// Whether this node takes suspended members back: a supplier that takes part. Where none does any more, since two parts of
    /// the cluster withdrew each other, any supplier that has not left.
    pub(super) fn takes_back(&self) -> bool {
        let takes_part = |member: &Member| member.holds_cut();
        self.members.get(&self.node).is_some_and(|own| {
            // While content is on its way here, it may tell of a suspension that is over.
            let may = own.role.may_originate() && own.state != MemberState::Retired && !self.is_filling();
            may && (takes_part(own) || !self.members.values().any(takes_part))
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
            self.stability.rows.heard_ms(*node).filter(|at_ms| *at_ms > after_ms).map(|_| *node)
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
            let end = self.stability.rows.held_by_any(*origin).max(self.holding.vector.sequence(*origin));
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
