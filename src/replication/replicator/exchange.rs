//! The exchange of states: how content comes here where the log does not reach.
//!
//! Asked by the side that lacks something, one question after the other; the other side answers each from a snapshot
//! and remembers nothing. A node without content takes everything in order ([`Stage::Snapshot`]); one with content
//! compares the sums of 4,096 buckets, then entries in short, and takes what differs. Both go on while both sides serve
//! reads and writes: states are joined, so what comes twice or was changed meanwhile does no harm, and what is
//! changed later comes by the log. Only at the end is the other side's vector taken over, as it was before the first
//! question; until then an exchange that breaks off has merely brought something early.
//!
//! While states are taken to take over a vector, changes that come by the log wait: one that brought an entry after
//! that was compared would have it here, and the change that deleted it since would be jumped over with the vector.
//!
//! What must not be forgotten: what is joined or removed here may be newer than this node's vector, so no digest is told until
//! the vector covers it (`Repairs::is_covered`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::interface::{Answer, ExchangeStatus, Output, ReadRequest, WriteRequest};
use super::peer::Peer;
use super::{Purpose, Replicator};
use crate::dit::EntryHead;
use crate::model::EntryUuid;
use crate::replication::member::{MemberState, SessionId};
use crate::replication::message::{Message, Moment};
use crate::state::{BUCKETS, BucketSum, Csn, Dot, NodeId, PortableEntry, Stamp, UpdateVector};

/// Entries in short asked for in one question, about.
const HEADS_ASKED: u64 = 20_000;
/// States asked for in one question.
const ENTRIES_ASKED: usize = 1_000;
/// Answers that wait for the store while the next is asked for: so both sides work at the same time.
const WRITES_AHEAD: u32 = 4;
/// The same of a node that nobody reads yet. It commits what waits together, and each commit rewrites pages all over the
/// tables of names and entryUUIDs: with 100,000 contacts some 6 KiB an entry when it has 1,500 of them.
const FILLS_AHEAD: u32 = 16;
/// Times a question is asked again before the exchange is given up: changes wait for it.
const ASKED_AGAIN_MAX: u32 = 20;
/// A node that joins with at most so many entries takes everything in order, and looks at its own afterwards.
const FEW_ENTRIES: u64 = 100;

/// Why states are exchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cause {
    /// The content here is not complete yet.
    Join,
    /// Digests differ at equal vectors.
    Repair,
    /// A log was trimmed beyond what is held here.
    Trimmed,
    /// A log holds another history.
    Fork,
}

/// An exchange under way, on the asking side.
#[derive(Debug)]
pub(super) struct Exchange {
    id: u64,
    pub(super) session: SessionId,
    pub(super) peer: NodeId,
    pub(super) cause: Cause,
    stage: Stage,
    /// What the other side held at the first answer, and its clock.
    start: Option<(UpdateVector, Csn)>,
    /// Buckets still to be looked into, with their sums there.
    buckets: VecDeque<(u16, u64)>,
    /// Entries still to be asked for.
    wanted: VecDeque<(EntryUuid, Dot)>,
    /// Entries that were here before a node that joins took everything in order, and were not met yet.
    few: BTreeMap<(EntryUuid, Dot), Stamp>,
    /// Writes under way.
    writing: u32,
    /// Whether the question of the stage is on its way.
    is_asked: bool,
    /// Whether the vector is being taken over.
    is_closing: bool,
    asked_ms: u64,
    /// How often the question at hand was asked again.
    asked_again: u32,
    entries: u64,
    entries_total: Option<u64>,
    /// Entries that were different.
    pub(super) differing: BTreeSet<EntryUuid>,
}

#[derive(Debug)]
enum Stage {
    /// Changes that came by the log are still under way to the store.
    Waiting,
    /// Asked for sums.
    Buckets,
    /// Have theirs, reading ours.
    OurBuckets(Vec<BucketSum>),
    /// Asked for entries in short.
    Heads(Vec<u16>),
    /// Have theirs, reading ours.
    OurHeads(Vec<EntryHead>, UpdateVector),
    /// Asked for states.
    Entries(Vec<(EntryUuid, Dot)>),
    /// Nothing asked: the next question is to be chosen.
    Between,
    /// Reading the few entries here, before everything is taken.
    OurFew,
    /// Asked for everything after this.
    Snapshot(Vec<u8>),
    /// The vector is being taken over.
    Closing,
}

impl Replicator {
    /// Whether what a peer gives whole brings nothing back that was forgotten here in this run. A supplier holds all that anybody
    /// forgets; for a hub nobody waits, but what was forgotten comes to it from suppliers, who hold it.
    pub(super) fn knows_all_forgotten(&self, peer: &Peer) -> bool {
        let is_supplier = peer.greeting.is_some_and(|greeting| greeting.role.may_originate());
        let mut held = self.holding.vector.iter();
        is_supplier || held.all(|(origin, _)| peer.vector.sequence(origin) >= self.stability.settled(origin))
    }

    /// Begins to take what a peer holds, if nothing of the kind is under way.
    pub(super) fn begin_exchange(&mut self, session: SessionId, cause: Cause, out: &mut Vec<Output>) {
        let peer = self.peers.get(&session).filter(|peer| peer.is_open() && peer.may_forward());
        let Some(peer) = peer.map(|peer| peer.node) else { return };
        if self.exchange.is_some() {
            return;
        }
        if self.writes_forks_again() {
            // Asked for anew by whoever still lacks something.
            self.consumer.exchanged();
            return;
        }
        self.exchange_last += 1;
        self.exchange = Some(Exchange {
            id: self.exchange_last,
            session,
            peer,
            cause,
            stage: Stage::Waiting,
            start: None,
            buckets: VecDeque::new(),
            wanted: VecDeque::new(),
            few: BTreeMap::new(),
            writing: 0,
            is_asked: false,
            is_closing: false,
            asked_ms: 0,
            asked_again: 0,
            entries: 0,
            entries_total: None,
            differing: BTreeSet::new(),
        });
        self.exchange_begins(out);
    }

    /// Chooses the first question, once nothing of the log is under way to the store.
    pub(super) fn exchange_begins(&mut self, out: &mut Vec<Output>) {
        let is_filling = self.is_filling();
        let is_applying = self.is_applying();
        let count = self.holding.digest.count;
        let Some(exchange) = self.exchange.as_mut().filter(|exchange| matches!(exchange.stage, Stage::Waiting)) else {
            return;
        };
        if is_applying {
            return;
        }
        let takes_in_order = count == 0 || (count <= FEW_ENTRIES && exchange.cause == Cause::Join && is_filling);
        exchange.stage = if takes_in_order && exchange.cause != Cause::Repair { Stage::OurFew } else { Stage::Buckets };
        if matches!(exchange.stage, Stage::OurFew) {
            let purpose = Purpose::Exchange(exchange.id);
            let buckets = (0..BUCKETS as u16).collect();
            self.read(ReadRequest::Heads { buckets }, purpose, out);
        }
        self.ask(out);
    }

    /// Whether changes that come by the log wait for the exchange under way.
    pub(super) fn holds_log_back(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.cause != Cause::Repair)
    }

    /// Sends the question of the stage (again).
    fn ask(&mut self, out: &mut Vec<Output>) {
        let Some(exchange) = &mut self.exchange else { return };
        let id = exchange.id;
        let message = match &exchange.stage {
            Stage::Buckets => Message::BucketsRequest { exchange: id },
            Stage::Heads(buckets) => Message::HeadsRequest { exchange: id, buckets: buckets.clone() },
            Stage::Entries(wanted) => Message::EntriesRequest { exchange: id, wanted: wanted.clone() },
            Stage::Snapshot(after) => Message::SnapshotRequest { exchange: id, after: after.clone() },
            Stage::Waiting
            | Stage::OurBuckets(_)
            | Stage::OurHeads(..)
            | Stage::OurFew
            | Stage::Between
            | Stage::Closing => return,
        };
        exchange.is_asked = true;
        exchange.asked_ms = self.now.monotonic_ms;
        out.push(Output::Send { session: exchange.session, message });
    }

    /// Asks again what was not answered.
    pub(super) fn exchange_tick(&mut self, out: &mut Vec<Output>) {
        let retry_ms = self.options.exchange_retry_ms;
        if let Some(exchange) = &mut self.exchange
            && exchange.is_asked
            && exchange.writing == 0
            && self.now.monotonic_ms >= exchange.asked_ms + retry_ms
        {
            exchange.asked_again += 1;
            if exchange.asked_again > ASKED_AGAIN_MAX {
                return self.exchange_interrupted();
            }
            self.ask(out);
        }
    }

    /// The session is gone: what was joined stays, the rest is asked for anew by whoever still lacks something.
    pub(super) fn exchange_interrupted(&mut self) {
        self.exchange = None;
        self.consumer.exchanged();
    }

    /// An answer came.
    pub(super) fn exchange_received(&mut self, session: SessionId, message: Message, out: &mut Vec<Output>) {
        let Some(exchange) = self.exchange.as_mut().filter(|exchange| exchange.session == session) else { return };
        exchange.asked_again = 0;
        // Answers to questions that were answered already are dropped by the stage.
        match (message, &mut exchange.stage) {
            (Message::Buckets(answer), Stage::Buckets) if answer.exchange == exchange.id => {
                if !self.exchange_started(&answer.held) {
                    return;
                }
                let Some(exchange) = &mut self.exchange else { return };
                exchange.stage = Stage::OurBuckets(answer.sums);
                let purpose = Purpose::Exchange(exchange.id);
                self.read(ReadRequest::Buckets, purpose, out);
            }
            (Message::Heads(answer), Stage::Heads(asked))
                if answer.exchange == exchange.id && answer.buckets == *asked =>
            {
                exchange.stage = Stage::OurHeads(answer.heads, answer.held.vector);
                let purpose = Purpose::Exchange(exchange.id);
                self.read(ReadRequest::Heads { buckets: answer.buckets }, purpose, out);
            }
            (Message::Entries(answer), Stage::Entries(asked)) if answer.exchange == exchange.id => {
                // Forgotten there since it was compared: its deletion was known there.
                let stamp = |birth: &Dot| Stamp { csn: Csn::new(0, 0, birth.origin), sequence: birth.sequence };
                let absent = answer.absent.iter().map(|(uuid, birth)| (*uuid, stamp(birth))).collect();
                let theirs = answer.held.vector.clone();
                let mut got: BTreeSet<(EntryUuid, Dot)> =
                    answer.entries.iter().map(|entry| (entry.uuid, entry.birth)).chain(answer.absent).collect();
                if answer.more
                    && let Some(last) = answer.entries.last()
                {
                    got.remove(&(last.uuid, last.birth));
                }
                let before = asked.len();
                asked.retain(|wanted| !got.contains(wanted));
                // With more to come the question stays asked; what comes twice does no harm.
                if !answer.more && asked.len() < before {
                    let left = std::mem::take(asked);
                    left.into_iter().rev().for_each(|wanted| exchange.wanted.push_front(wanted));
                    exchange.stage = Stage::Between;
                }
                self.take_states(answer.entries, answer.held, out);
                self.drop_absent(absent, theirs, out);
                self.next_question(out);
            }
            (Message::Snapshot(answer), Stage::Snapshot(after))
                if answer.exchange == exchange.id && answer.after == *after =>
            {
                if !self.exchange_started(&answer.held) {
                    return;
                }
                let Some(exchange) = &mut self.exchange else { return };
                exchange.entries_total = Some(answer.entries_total);
                exchange.is_asked = false;
                if !exchange.few.is_empty() {
                    answer.entries.iter().for_each(|entry| _ = exchange.few.remove(&(entry.uuid, entry.birth)));
                }
                let theirs = answer.held.vector.clone();
                let is_last = answer.next.is_none();
                exchange.stage = answer.next.map_or(Stage::Closing, Stage::Snapshot);
                self.take_states(answer.entries, answer.held, out);
                if is_last {
                    self.drop_unmet(theirs, out);
                }
                self.next_question(out);
            }
            _ => {}
        }
    }

    /// The first answer: what the vector will be at the end. False if the peer cannot help.
    fn exchange_started(&mut self, held: &Moment) -> bool {
        let Some(exchange) = &mut self.exchange else { return false };
        if exchange.start.is_some() {
            return true;
        }
        if exchange.cause == Cause::Join && held.standing != MemberState::Active {
            // What is forgotten there may not wait for this node yet: ask again when its membership has arrived there.
            self.exchange = None;
            return false;
        }
        exchange.start = Some((held.vector.clone(), held.clock));
        true
    }

    /// Hands states to the store.
    fn take_states(&mut self, entries: Vec<PortableEntry>, held: Moment, out: &mut Vec<Output>) {
        let is_filling = self.is_filling();
        let Some(exchange) = &mut self.exchange else { return };
        if entries.is_empty() {
            return;
        }
        exchange.entries += entries.len() as u64;
        exchange.writing += 1;
        let purpose = Purpose::Exchange(exchange.id);
        self.repairs.cover(&held.vector, self.now.monotonic_ms);
        // What a fault lost on one side, and what another history wrote under the same numbers, was not removed.
        let removes = matches!(exchange.cause, Cause::Join | Cause::Trimmed);
        let theirs = removes.then_some(held.vector);
        let uncovered = self.repairs.uncovered_at(&self.holding.vector);
        let fill = exchange.cause == Cause::Join && is_filling;
        // Nor does a number say what became of an entry where two histories use it.
        let revive = matches!(exchange.cause, Cause::Repair | Cause::Fork);
        let (clock, carries) = (held.clock, self.takes_writes());
        self.write(WriteRequest::Merge { entries, theirs, clock, uncovered, fill, revive, carries }, purpose, out);
    }

    /// Goes on when nothing is under way.
    fn next_question(&mut self, out: &mut Vec<Output>) {
        let is_filling = self.is_filling();
        let Some(exchange) = &mut self.exchange else { return };
        let ahead_max = if is_filling && exchange.cause == Cause::Join { FILLS_AHEAD } else { WRITES_AHEAD };
        let is_ahead = exchange.writing >= ahead_max;
        if matches!(exchange.stage, Stage::Snapshot(_)) && !exchange.is_asked && !is_ahead {
            return self.ask(out);
        }
        if matches!(exchange.stage, Stage::Closing) && exchange.writing == 0 {
            return self.close_exchange(out);
        }
        if !matches!(exchange.stage, Stage::Between) || is_ahead {
            return;
        }
        if !exchange.wanted.is_empty() {
            let count = exchange.wanted.len().min(ENTRIES_ASKED);
            exchange.stage = Stage::Entries(exchange.wanted.drain(..count).collect());
            return self.ask(out);
        }
        if exchange.writing > 0 {
            return;
        }
        let mut asked = Vec::new();
        let mut heads = 0;
        while let Some((bucket, count)) = exchange.buckets.front()
            && (heads + count <= HEADS_ASKED || asked.is_empty())
        {
            heads += count;
            asked.push(*bucket);
            exchange.buckets.pop_front();
        }
        if asked.is_empty() {
            exchange.stage = Stage::Closing;
            return self.close_exchange(out);
        }
        exchange.stage = Stage::Heads(asked);
        self.ask(out);
    }

    fn close_exchange(&mut self, out: &mut Vec<Output>) {
        let Some(exchange) = &mut self.exchange else { return };
        exchange.writing += 1;
        exchange.is_closing = true;
        let purpose = Purpose::Exchange(exchange.id);
        let (mut theirs, clock) = exchange.start.clone().unwrap_or((UpdateVector::new(), Csn::NONE));
        if exchange.cause == Cause::Repair {
            // It looked into what differs alone: what else the peer took since still comes by the log.
            theirs = UpdateVector::new();
        }
        self.write(WriteRequest::TakeVector { theirs, clock }, purpose, out);
    }

    /// The store answered.
    pub(super) fn exchange_answered(&mut self, id: u64, answer: Answer, out: &mut Vec<Output>) {
        let Some(exchange) = self.exchange.as_mut().filter(|exchange| exchange.id == id) else { return };
        match answer {
            Answer::Buckets { sums: ours, .. } => {
                let Stage::OurBuckets(theirs) = &exchange.stage else { return };
                // A repair looks into what differs. Where changes are missing, deleted entries matter too, which no
                // sum covers: they may stand above live ones.
                let all = exchange.cause != Cause::Repair;
                let differing = theirs.iter().enumerate().filter(|(index, sum)| all || ours.get(*index) != Some(sum));
                exchange.buckets =
                    differing.filter_map(|(index, sum)| Some((u16::try_from(index).ok()?, sum.count + 1))).collect();
                exchange.entries_total = Some(exchange.buckets.iter().map(|(_, count)| count - 1).sum());
                exchange.stage = Stage::Between;
                self.next_question(out);
            }
            Answer::Heads { heads: ours, .. } if matches!(exchange.stage, Stage::OurFew) => {
                exchange.few = ours.into_iter().map(|head| ((head.uuid, head.birth.dot()), head.birth)).collect();
                exchange.stage = Stage::Snapshot(Vec::new());
                self.ask(out);
            }
            Answer::Heads { holding, heads: ours } => {
                let Stage::OurHeads(theirs, their_vector) = &exchange.stage else { return };
                let (theirs, their_vector) = (theirs.clone(), their_vector.clone());
                exchange.stage = Stage::Between;
                self.compare_heads(&holding.vector, &ours, &theirs, their_vector, out);
                self.next_question(out);
            }
            Answer::Done { .. } => {
                exchange.writing = exchange.writing.saturating_sub(1);
                if exchange.is_closing && exchange.writing == 0 {
                    return self.exchange_done(out);
                }
                self.next_question(out);
            }
            _ => self.exchange_interrupted(),
        }
    }

    fn compare_heads(
        &mut self,
        our_vector: &UpdateVector,
        ours: &[EntryHead],
        theirs: &[EntryHead],
        their_vector: UpdateVector,
        out: &mut Vec<Output>,
    ) {
        let Some(exchange) = &mut self.exchange else { return };
        let key = |head: &EntryHead| (head.uuid, head.birth.dot());
        let is_repair = exchange.cause == Cause::Repair;
        let forked = &self.incarnation.forked;
        let ours: BTreeMap<_, &EntryHead> = ours.iter().map(|head| (key(head), head)).collect();
        let mut theirs_seen = BTreeSet::new();
        for head in theirs {
            theirs_seen.insert(key(head));
            let wanted = match ours.get(&key(head)) {
                Some(our) => our.digest != head.digest || our.changes != head.changes,
                // Known to be deleted and forgotten here, if the number of its birth means the same here; or lost by a
                // fault, which a repair looks into.
                None => !our_vector.covers(head.birth.dot()) || is_repair || forked.contains(&head.birth.csn.origin()),
            };
            if wanted {
                exchange.wanted.push_back(key(head));
            }
            if ours.get(&key(head)).is_none_or(|our| our.digest != head.digest) {
                exchange.differing.insert(head.uuid);
            }
        }
        let gone: Vec<_> = ours
            .values()
            .filter(|head| !theirs_seen.contains(&key(head)) && their_vector.covers(head.birth.dot()))
            .filter(|head| exchange.cause != Cause::Fork || !forked.contains(&head.birth.csn.origin()))
            .map(|head| {
                exchange.differing.extend(head.digest.map(|_| head.uuid));
                (head.uuid, head.birth)
            })
            .collect();
        self.drop_absent(gone, their_vector, out);
    }

    /// What is here and not there, though its birth is known there, was deleted there; or lost by a fault, which a repair
    /// looks into.
    fn drop_absent(&mut self, entries: Vec<(EntryUuid, Stamp)>, theirs: UpdateVector, out: &mut Vec<Output>) {
        let Some(exchange) = self.exchange.as_mut().filter(|_| !entries.is_empty()) else { return };
        exchange.writing += 1;
        let (purpose, proven) = (Purpose::Exchange(exchange.id), exchange.cause == Cause::Repair);
        if !proven {
            // The changes that deleted them may still be on their way here.
            self.repairs.cover(&theirs, self.now.monotonic_ms);
            let uncovered = self.repairs.uncovered_at(&self.holding.vector);
            if !uncovered.is_empty() {
                self.write(WriteRequest::NoteUncovered(uncovered), Purpose::Noted, out);
            }
        }
        self.write(WriteRequest::DropDeleted { entries, theirs, proven }, purpose, out);
    }

    /// Entries that were here and are not there, though their births are known there, were deleted there.
    fn drop_unmet(&mut self, theirs: UpdateVector, out: &mut Vec<Output>) {
        let Some(exchange) = &mut self.exchange else { return };
        let few = std::mem::take(&mut exchange.few).into_iter();
        let entries: Vec<_> =
            few.filter(|((_, birth), _)| theirs.covers(*birth)).map(|((uuid, _), birth)| (uuid, birth)).collect();
        self.drop_absent(entries, theirs, out);
    }

    fn exchange_done(&mut self, out: &mut Vec<Output>) {
        let Some(exchange) = self.exchange.take() else { return };
        self.consumer.exchanged();
        match exchange.cause {
            Cause::Join => {
                self.incarnation.joined();
                self.await_suppliers();
            }
            Cause::Repair => self.repair_done(exchange.peer, exchange.differing),
            Cause::Trimmed | Cause::Fork => {}
        }
        self.is_active = true;
        self.acknowledge(out);
    }

    pub(super) fn exchange_status(&self) -> Option<ExchangeStatus> {
        self.exchange.as_ref().map(|exchange| ExchangeStatus {
            peer: exchange.peer,
            entries: exchange.entries,
            entries_total: exchange.entries_total,
        })
    }
}
