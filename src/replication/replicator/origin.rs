//! This node's own origins: old copies, copies that run twice, and when changes of clients may be taken.
//!
//! An origin gives each number once. A data directory that was restored from a backup would give numbers again that
//! others hold already, and a copy that runs beside would give them twice. Both are found by comparing what peers hold
//! of this node's origin with what this node holds: more there, or another chain at the same number. The node then
//! goes on under a new origin, takes its own old changes back like anybody's, and writes what only it holds again under
//! the new origin. The same is asked about its origins before, since a run after a crash begins a new one at once. An old
//! copy is also found when no number of its own is missing: peers remember what it said to hold, and a node never holds
//! less than it once said. Where two histories part is searched for in `fork`;
//! what an old copy has to reach before it is none any more is in `catch_up`.
//!
//! Changes of clients wait for that: after the start for a peer's word or a few seconds, and after an old copy was found
//! until it has caught up, since its clock and its cells may be older than what others have forgotten. What it wrote in
//! between (nobody was there to tell it) it tells nobody, and writes it again then, with the deleted superiors that others may lack
//! by now (`withheld`). That
//! it has to catch up is written down: a run that ends before it did does not make the copy a newer one. So does a copy that takes an
//! identity of its own, for whose sake nobody has kept anything.
//!
//! Both faults are rare: a run goes on under an origin only after one that ended in order, in the same file, with nothing in
//! between (`dit::handover`). What is left for this file is what old copies wrote, and machines that are set back as they run.

mod catch_up;
mod fork;
mod returning;
mod withheld;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use self::fork::Search;
use super::exchange::Cause;
use super::interface::{Answer, CloseReason, EARLY, Local, LocalWrites, Output, UNAWAITED, UNTOLD, WriteRequest};
use super::{Purpose, Replicator};
use crate::replication::member::{MemberState, SessionId, UNHEARD};
use crate::state::{Csn, OriginId, UpdateVector};

/// Between attempts to begin the first exchange.
const JOIN_RETRY_MS: u64 = 500;

/// Where this node's incarnation stands.
#[derive(Debug, Default)]
pub(super) struct Incarnation {
    /// The content was complete once.
    joined: bool,
    join_at_ms: u64,
    /// Whom this node last asked for all content.
    join_asked: Option<SessionId>,
    pub(super) started_ms: Option<u64>,
    /// How far this directory's origins were held at the start: what came after that was written in this run.
    begun: BTreeMap<OriginId, u64>,
    /// The newest hybrid clock of all that peers told in this run, whether or not they are still here: newer than all that
    /// they had forgotten, and mostly than what they held.
    pub(super) clock_heard: Csn,
    /// A peer has seen what is held here and did not object.
    pub(super) heard_peer: bool,
    /// Origins of this data directory, the running one not among them.
    own: BTreeSet<OriginId>,
    /// Origins of which two histories were met.
    pub(super) forked: BTreeSet<OriginId>,
    /// Those of this directory among them whose tail was not written again yet.
    unresolved: BTreeSet<OriginId>,
    /// Those of this directory that were written again in this run, wholly or from a number on.
    pub(super) set_back: BTreeSet<OriginId>,
    /// What must be held before changes of clients are taken again; kept over the end of the run.
    catch_up: Option<BTreeMap<OriginId, u64>>,
    /// Since when that is known in this run, monotonic milliseconds: what members said before may be older than it.
    found_ms: Option<u64>,
    /// What this node caught up with in this run, as far as it still is anywhere: said again, it finds no old copy again.
    caught_up: BTreeMap<OriginId, u64>,
    /// What this directory wrote as an old copy, before it knew: by origin the last number before that. Written again when it
    /// has caught up. [`UNHEARD`]: whatever it wrote under origins without an agreed end, as it was withdrawn before anybody
    /// had heard of them.
    early: BTreeMap<OriginId, u64>,
    /// Of which that is under way.
    early_under_way: Option<(OriginId, u64)>,
    /// Those that an old copy wrote and that nobody is told of before that.
    untold: BTreeSet<OriginId>,
    /// As it was last written down.
    catch_up_noted: BTreeMap<OriginId, u64>,
    /// The end of an origin of this directory was agreed while this node was away ([`UNAWAITED`]: it was a copy; [`UNHEARD`]:
    /// nobody could agree on one).
    rejoining: Option<(OriginId, u64)>,
    /// Nobody waited for what this directory wrote, and it was not written again yet.
    unawaited: bool,
    /// Of which that is over, in this run.
    rejoined: BTreeSet<OriginId>,
    /// What suppliers held when the content of a node that was away was complete: it goes on once it holds that too.
    awaited: BTreeMap<OriginId, u64>,
    /// The origins before, oldest first.
    own_in_order: Vec<OriginId>,
    /// Those of this directory of which the content said at the start that their end was agreed. Of [`UNHEARD`] the last time
    /// that this run came back from.
    ends_known: BTreeMap<OriginId, u64>,
    rotating: bool,
    /// Origins before of which members were found to hold more, in this run.
    found_older: BTreeSet<OriginId>,
    /// A member said that this node was retired, which its own content does not say.
    pub(super) dismissed: bool,
    search: Option<Search>,
    /// Tails to be written again.
    reissues: VecDeque<(OriginId, u64)>,
    reissuing: bool,
    told: Option<LocalWrites>,
}

fn sequences(vector: &UpdateVector) -> BTreeMap<OriginId, u64> {
    vector.iter().map(|(origin, position)| (origin, position.sequence)).collect()
}

impl Incarnation {
    pub(super) fn new(local: &Local) -> Self {
        let (own, holding) = (&local.origins_before, &local.holding);
        let all = own.iter().copied().chain([holding.origin]);
        let begun = all.map(|origin| (origin, holding.vector.sequence(origin))).collect();
        let member = local.members.iter().find(|member| member.node == local.node);
        let mut catch_up = local.catch_up.clone();
        let unawaited = catch_up.remove(&UNAWAITED).is_some();
        let noted = catch_up.split_off(&OriginId(EARLY));
        let plain = |origin: &OriginId| OriginId(origin.0 & !(EARLY | UNTOLD));
        let untold = noted.keys().filter(|origin| origin.0 & UNTOLD != 0).map(plain).collect();
        let early: BTreeMap<OriginId, u64> = noted.iter().map(|(origin, after)| (plain(origin), *after)).collect();
        let is_unheard = early.contains_key(&UNHEARD);
        Self {
            ends_known: member.map(|member| member.finals.clone()).unwrap_or_default(),
            joined: local.joined && !unawaited && !is_unheard,
            rejoining: (unawaited || is_unheard).then_some((UNAWAITED, 0)),
            unawaited,
            own: own.iter().copied().collect(),
            own_in_order: own.clone(),
            begun,
            catch_up: (!catch_up.is_empty() || early.keys().any(|origin| *origin != UNHEARD)).then_some(catch_up),
            early,
            untold,
            catch_up_noted: local.catch_up.clone(),
            ..Self::default()
        }
    }

    /// The last number of an own origin that was given before this run.
    fn begun(&self, origin: OriginId) -> u64 {
        self.begun.get(&origin).copied().unwrap_or(0)
    }

    /// The origins before the running one, the oldest first.
    pub(super) fn before(&self) -> impl Iterator<Item = OriginId> {
        let later = self.own.iter().filter(|origin| !self.own_in_order.contains(origin));
        self.own_in_order.iter().chain(later).copied()
    }

    /// The first exchange is complete.
    pub(super) fn joined(&mut self) {
        self.joined = true;
    }
}

impl Replicator {
    /// Whether changes of clients are taken.
    pub fn local_writes(&self) -> LocalWrites {
        let own = self.members.get(&self.node);
        let incarnation = &self.incarnation;
        let others = self.members.values().any(|member| member.holds_cut() && member.node != self.node);
        let waited =
            incarnation.started_ms.is_some_and(|at_ms| self.now.monotonic_ms >= at_ms + self.options.start_wait_ms);
        if !self.role().may_originate() {
            LocalWrites::ReadOnly
        } else if incarnation.dismissed || own.is_some_and(|own| own.state != MemberState::Active) {
            LocalWrites::Withdrawn
        } else if !incarnation.joined && incarnation.rejoining.is_none() {
            LocalWrites::Joining
        } else if incarnation.catch_up.is_some()
            || incarnation.rejoining.is_some()
            || incarnation.rotating
            || incarnation.reissuing
            || !incarnation.reissues.is_empty()
        {
            LocalWrites::CatchingUp
        } else if others && !incarnation.heard_peer && !waited && incarnation.told != Some(LocalWrites::Open) {
            LocalWrites::Starting
        } else {
            LocalWrites::Open
        }
    }

    /// Whether a change of a client would be taken now.
    pub(super) fn takes_writes(&self) -> bool {
        self.local_writes() == LocalWrites::Open
    }

    /// The origins of this directory.
    pub(super) fn own_origins(&self) -> impl Iterator<Item = OriginId> {
        self.incarnation.own.iter().copied().chain([self.holding.origin])
    }

    /// Before states are exchanged: own tails of which it was not found where another history parts from them. What was
    /// written in this run is written again first, since the other side's numbers would speak for it. Returns whether
    /// there are any.
    pub(super) fn writes_forks_again(&mut self) -> bool {
        let incarnation = &mut self.incarnation;
        for origin in std::mem::take(&mut incarnation.unresolved) {
            let begun = incarnation.begun(origin);
            let is_queued = incarnation.reissues.iter().any(|(queued, _)| *queued == origin);
            if !is_queued && self.holding.vector.sequence(origin) > begun {
                incarnation.reissues.push_back((origin, begun));
            }
        }
        incarnation.search = None;
        incarnation.rotating || incarnation.reissuing || !incarnation.reissues.is_empty()
    }

    /// Whether this node's vector says just what it holds. It does not while numbers of its own origins may stand for
    /// other changes elsewhere: what those say may still come here, so nothing may be forgotten.
    pub(super) fn is_certain(&self) -> bool {
        let incarnation = &self.incarnation;
        incarnation.joined
            && incarnation.catch_up.is_none()
            && incarnation.rejoining.is_none()
            && !incarnation.rotating
            && !incarnation.reissuing
            && incarnation.reissues.is_empty()
            && incarnation.unresolved.is_empty()
    }

    /// Whether the content was complete once, and no other content is to be taken first.
    pub fn is_joined(&self) -> bool {
        self.incarnation.joined
    }

    /// Whether this node has no content yet that anybody may read.
    pub(super) fn is_filling(&self) -> bool {
        !self.incarnation.joined && self.incarnation.rejoining.is_none()
    }

    /// Begins a new origin.
    fn rotate(&mut self, out: &mut Vec<Output>) {
        if self.incarnation.rotating {
            return;
        }
        self.incarnation.rotating = true;
        self.incarnation.own.insert(self.holding.origin);
        self.write(WriteRequest::RotateOrigin, Purpose::Rotate, out);
    }

    /// The new origin is there: all sessions begin anew, so that every peer learns of it.
    pub(super) fn rotated(&mut self, answer: &Answer, out: &mut Vec<Output>) {
        self.incarnation.rotating = false;
        if matches!(answer, Answer::Done { .. }) {
            let sessions: Vec<SessionId> = self.peers.keys().copied().collect();
            for session in sessions {
                self.close(session, CloseReason::NewOrigin, out);
            }
        }
    }

    /// Compares what a peer holds of this node's origins.
    pub(super) fn check_own_origin(&mut self, session: SessionId, out: &mut Vec<Output>) {
        let Some(peer) = self.peers.get(&session).filter(|peer| peer.is_open()) else { return };
        if self.incarnation.rotating {
            return;
        }
        let origin = self.holding.origin;
        let (ours, theirs) = (self.holding.vector.position(origin), peer.vector.position(origin));
        if theirs.sequence > ours.sequence {
            let held = sequences(&peer.vector);
            return self.roll_back(origin, (held, false), out);
        }
        if theirs.is_forked_from(&ours) {
            return self.fork_found(origin, Some(session), out);
        }
        let own: Vec<OriginId> = self.incarnation.own.iter().copied().collect();
        for origin in own {
            let (ours, theirs) = (self.holding.vector.position(origin), peer.vector.position(origin));
            if theirs.sequence > ours.sequence && self.incarnation.unresolved.contains(&origin) {
                return self.search_below(session, origin, out);
            }
            // A change is held here before anybody else hears of it. Not so of what was written again, nor of what the
            // node goes on to write of which this one was a copy.
            if theirs.sequence > ours.sequence
                && self.is_of_this_node(origin)
                && !self.incarnation.set_back.contains(&origin)
                && self.incarnation.found_older.insert(origin)
            {
                let held = sequences(&peer.vector);
                return self.roll_back(origin, (held, false), out);
            }
            if theirs.is_forked_from(&ours) {
                return match self.incarnation.set_back.contains(&origin) {
                    true => self.fork_found(origin, Some(session), out),
                    false => self.search_fork(session, origin, ours.sequence, out),
                };
            }
        }
    }

    /// Whether an origin before is this node's, and not of a node of which it was a copy.
    fn is_of_this_node(&self, origin: OriginId) -> bool {
        self.members.get(&self.node).is_some_and(|own| own.origins.contains(&origin))
    }

    pub(super) fn reissued(&mut self, answer: &Answer) {
        self.incarnation.reissuing = false;
        if !matches!(answer, Answer::Done { .. }) {
            return;
        }
        self.is_active = true;
        if self.incarnation.catch_up.as_ref().is_some_and(|target| !target.is_empty()) {
            // It stands under another origin now, and was written by an old copy all the same.
            let origin = self.holding.origin;
            self.incarnation.early.insert(origin, self.incarnation.begun(origin));
        }
    }

    pub(super) fn repeated(&mut self) {
        self.incarnation.reissuing = false;
        if let Some((done, _)) = self.incarnation.early_under_way.take() {
            self.incarnation.untold.remove(&done);
        }
        self.is_active = true;
    }

    /// What is to be done next about this node's incarnation.
    pub(super) fn advance_incarnation(&mut self, out: &mut Vec<Output>) {
        let now_ms = self.now.monotonic_ms;
        self.incarnation.started_ms.get_or_insert(now_ms);
        let origin = self.holding.origin;
        if self.incarnation.rejoining.is_none()
            && !self.incarnation.rotating
            && let Some(suspended) = self.suspended_as()
        {
            // This node was suspended: its content is made complete before it goes on.
            self.incarnation.rejoining = Some(suspended);
            self.incarnation.joined = false;
            if suspended.0 == UNHEARD {
                self.incarnation.early.insert(UNHEARD, 0);
            }
        }
        if !self.incarnation.joined && self.exchange.is_none() && now_ms >= self.incarnation.join_at_ms {
            self.incarnation.join_at_ms = now_ms + JOIN_RETRY_MS;
            let suppliers = self.open_peers().filter(|peer| {
                // What is beyond an agreed end there is about to be written again, or to go.
                let is_beyond = self.finals.iter().any(|(origin, end)| peer.vector.sequence(*origin) > *end);
                let gives = if self.is_filling() { !is_beyond } else { self.knows_all_forgotten(peer) };
                peer.may_forward() && peer.held_before.is_none() && gives
            });
            let suppliers: Vec<SessionId> = suppliers.map(|peer| peer.session).collect();
            // One after the other: the first may be a node that joins as well, and waits for this one.
            let asked = self.incarnation.join_asked;
            let next = suppliers.iter().find(|session| asked.is_none_or(|asked| **session > asked));
            if let Some(session) = next.or_else(|| suppliers.first()).copied() {
                self.incarnation.join_asked = Some(session);
                self.begin_exchange(session, Cause::Join, out);
            }
        }
        if self.incarnation.joined
            && let Some((old, end)) = self.incarnation.rejoining
            && !self.incarnation.rotating
            && self.holds_awaited()
        {
            if origin == old {
                if self.holding.vector.sequence(old) > end {
                    self.incarnation.reissues.push_back((old, end));
                }
                self.rotate(out);
            } else {
                self.incarnation.rejoining = None;
                if old == UNHEARD {
                    self.incarnation.ends_known.extend(self.times_unheard().map(|times| (UNHEARD, times)));
                } else {
                    self.incarnation.rejoined.insert(old);
                }
                self.incarnation.awaited.clear();
                self.write_unawaited_again();
                self.repeat_unended();
            }
        }
        if self.role().may_originate()
            && self.incarnation.joined
            && self.incarnation.rejoining.is_none()
            && self.incarnation.reissues.is_empty()
            && !self.incarnation.reissuing
        {
            // What this node holds beyond an agreed end, nobody else will take under that origin. Who only reads keeps it:
            // changes of its own nobody would take either.
            let beyond =
                self.finals.iter().find(|(old, end)| **old != origin && self.holding.vector.sequence(**old) > **end);
            self.incarnation.reissues.extend(beyond.map(|(old, end)| (*old, *end)));
        }
        if !self.incarnation.rotating
            && !self.incarnation.reissuing
            && let Some((old, after)) = self.incarnation.reissues.front().copied()
            && old != origin
        {
            self.incarnation.reissues.pop_front();
            self.incarnation.unresolved.remove(&old);
            if self.holding.vector.sequence(old) > after {
                self.incarnation.reissuing = true;
                let clock = self.incarnation.clock_heard;
                self.drop_queued(old);
                self.incarnation.set_back.insert(old);
                self.write(WriteRequest::ReissueTail { origin: old, after, clock }, Purpose::Reissue, out);
            } else {
                // The histories part before that: contents are joined.
                let ours = self.holding.vector.position(old);
                let other = self.open_peers().find(|peer| peer.vector.position(old).is_forked_from(&ours));
                if let Some(session) = other.map(|peer| peer.session) {
                    self.begin_exchange(session, Cause::Fork, out);
                }
            }
        }
        if let Some(target) = &self.incarnation.catch_up
            && target.iter().all(|(origin, sequence)| self.has_caught_up(*origin, *sequence))
            && self.incarnation.rejoining.is_none()
            && !self.incarnation.rotating
            && !self.incarnation.reissuing
            && self.incarnation.reissues.is_empty()
        {
            self.write_early_again(out);
        }
        self.incarnation.unawaited &=
            self.incarnation.rejoining.is_some() || self.incarnation.reissuing || !self.incarnation.reissues.is_empty();
        let mut target = self.incarnation.catch_up.clone().unwrap_or_default();
        target.extend(self.incarnation.unawaited.then_some((UNAWAITED, 0)));
        target.extend(self.incarnation.early_notes());
        if target != self.incarnation.catch_up_noted {
            self.incarnation.catch_up_noted.clone_from(&target);
            self.write(WriteRequest::NoteCatchUp(target), Purpose::Noted, out);
        }
        let state = self.local_writes();
        if self.incarnation.told != Some(state) {
            self.incarnation.told = Some(state);
            out.push(Output::LocalWrites(state));
        }
    }

    pub(super) fn incarnation_tick(&mut self, out: &mut Vec<Output>) {
        let retry_ms = self.options.exchange_retry_ms;
        if let Some(search) = self.incarnation.search
            && self.now.monotonic_ms >= search.asked_ms + retry_ms
        {
            self.incarnation.search = None;
            if self.peers.get(&search.session).is_some_and(|peer| peer.is_open()) {
                self.search_on(search, out);
            }
        }
        let mut suppliers = self.members.values().filter(|member| member.holds_cut() && member.node != self.node);
        if self.incarnation.search.is_none()
            && suppliers.all(|member| self.open_peers().any(|peer| peer.node == member.node))
        {
            // Where nobody has more, a search would have begun with the session if anybody had another history.
            let is_open = |origin: &OriginId| {
                let ours = self.holding.vector.position(*origin);
                self.open_peers().any(|peer| {
                    let theirs = peer.vector.position(*origin);
                    theirs.sequence > ours.sequence || theirs.is_forked_from(&ours)
                })
            };
            let still_open = self.incarnation.unresolved.iter().copied().filter(is_open).collect();
            self.incarnation.unresolved = still_open;
        }
    }
}
