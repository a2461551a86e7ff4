//! What this node takes from its peers: from whom it wants which changes, and how they come to the store in order.
//!
//! Each origin's changes come eagerly from the origin's own node, where there is a session with it, and all others from
//! one chosen peer. Peers say what they hold; when somebody holds more than came here and nothing came for 200 ms, it is
//! asked for by number, from each that holds it in turn, and whoever answers becomes the way for that origin. So a
//! lost message, a silent node, a half-dead connection or a missing link cost a fraction of a second, and any connected
//! graph works.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::interface::{Alarm, Answer, Output, WriteRequest};
use super::peer::Peer;
use super::{Purpose, Replicator};
use crate::replication::member::SessionId;
use crate::replication::message::{Interest, Message, PeerError, Push};
use crate::state::encoding::update::is_joined;
use crate::state::{LogRecord, OriginId, OriginPosition, UpdateVector};

/// What waits to be applied, and what is asked for.
#[derive(Debug, Default)]
pub(super) struct Consumer {
    pub(super) queue: VecDeque<(SessionId, LogRecord)>,
    /// The last number queued or under way to the store, by origin; absent if nothing is.
    taken: BTreeMap<OriginId, u64>,
    /// The records under way to the store: how many from whom.
    applying: Option<BTreeMap<SessionId, u64>>,
    /// Since when an origin's changes are lacking without progress.
    lacking: BTreeMap<OriginId, Lacking>,
    /// Where an origin's changes come from, other than usual.
    routes: BTreeMap<OriginId, SessionId>,
    /// The peer from whom everything comes that nobody sends directly.
    rest: Option<SessionId>,
    /// Origins whose changes only an exchange of states can bring.
    pub(super) trimmed: BTreeSet<OriginId>,
    /// Origins of which a record cannot be read here.
    undecodable: BTreeSet<OriginId>,
    pub(super) applied_total: u64,
}

#[derive(Debug)]
struct Lacking {
    since_ms: u64,
    /// Asked last.
    asked: Option<SessionId>,
}

impl Consumer {
    pub(super) fn committed(&mut self, vector: &UpdateVector) {
        self.taken.retain(|origin, taken| *taken > vector.sequence(*origin));
    }

    pub(super) fn session_ended(&mut self, session: SessionId) {
        self.routes.clear();
        if self.rest == Some(session) {
            self.rest = None;
        }
    }

    /// An exchange of states has ended; what is lacking still is asked for anew.
    pub(super) fn exchanged(&mut self) {
        self.trimmed.clear();
        self.lacking.clear();
    }
}

impl Replicator {
    /// The last number of an origin that is here or on its way to the store.
    fn taken(&self, origin: OriginId) -> u64 {
        let held = self.holding.vector.sequence(origin);
        self.consumer.taken.get(&origin).map_or(held, |taken| (*taken).max(held))
    }

    /// Forgets what is queued of an origin.
    pub(super) fn drop_queued(&mut self, origin: OriginId) {
        let Self { consumer, peers, .. } = self;
        consumer.queue.retain(|(session, record)| {
            let is_dropped = record.origin == origin;
            if let Some(peer) = peers.get_mut(session).filter(|_| is_dropped) {
                peer.queued_bytes = peer.queued_bytes.saturating_sub(record.bytes.len());
            }
            !is_dropped
        });
        consumer.taken.remove(&origin);
    }

    /// Says to each peer which changes are wanted from it, where that changed.
    pub(super) fn tell_interests(&mut self, out: &mut Vec<Output>) {
        let usable = |replicator: &Self, session: &SessionId| {
            replicator.peers.get(session).is_some_and(|peer| peer.is_open() && peer.may_forward())
        };
        if !self.consumer.rest.is_some_and(|session| usable(self, &session)) {
            let first = self.open_peers().filter(|peer| peer.may_forward()).min_by_key(|peer| peer.node);
            self.consumer.rest = first.map(|peer| peer.session);
        }
        let routes: Vec<OriginId> = self.consumer.routes.keys().copied().collect();
        for origin in routes {
            let route = self.consumer.routes.get(&origin).copied();
            if !route.is_some_and(|session| usable(self, &session)) {
                self.consumer.routes.remove(&origin);
            }
        }
        // Who sends what directly.
        let mut direct: BTreeMap<OriginId, SessionId> = BTreeMap::new();
        for peer in self.open_peers() {
            if let Some(greeting) = peer.greeting.filter(|greeting| greeting.role.may_originate()) {
                direct.insert(greeting.origin, peer.session);
            }
        }
        direct.extend(self.consumer.routes.iter().map(|(origin, session)| (*origin, *session)));
        let sessions: Vec<SessionId> =
            self.open_peers().filter(|peer| peer.may_forward()).map(|peer| peer.session).collect();
        for session in sessions {
            let all_but = self.consumer.rest == Some(session);
            let mut origins: Vec<OriginId> =
                direct.iter().filter(|(_, of)| (**of == session) != all_but).map(|(origin, _)| *origin).collect();
            if all_but {
                origins.push(self.holding.origin);
                origins.sort_unstable();
                origins.dedup();
            }
            let Some(peer) = self.peers.get(&session) else { continue };
            let told = peer.interest_told.as_ref();
            if told.is_some_and(|told| (told.all_but, &told.origins) == (all_but, &origins)) {
                continue;
            }
            // What is new to this peer starts after what is here; what it sends already goes on.
            let interest = Interest { all_but, origins, held: Vec::new() };
            let wants = |interest: &Interest, origin: OriginId| {
                interest.all_but != interest.origins.binary_search(&origin).is_ok()
            };
            let held = self
                .known_origins()
                .into_iter()
                .filter(|origin| wants(&interest, *origin) && !told.is_some_and(|told| wants(told, *origin)))
                .map(|origin| (origin, self.taken(origin)))
                .collect();
            let message = Message::Interest(Interest { held, ..interest.clone() });
            if let Some(peer) = self.peers.get_mut(&session) {
                peer.interest_told = Some(interest);
            }
            out.push(Output::Send { session, message });
        }
    }

    /// Changes came.
    pub(super) fn pushed(&mut self, session: SessionId, push: Push, out: &mut Vec<Output>) {
        let Some(peer) = self.peers.get_mut(&session) else { return };
        let Some(greeting) = peer.greeting else { return };
        let origin = push.origin;
        if push.records.is_empty() {
            return;
        }
        if peer.queued_bytes + push.bytes() > 2 * self.options.credit_bytes + crate::replication::codec::FRAME_BYTES_MAX
        {
            return self.refuse(session, PeerError::Flooding, "", out);
        }
        if peer.held_before.is_some() && origin == greeting.origin {
            // It does not know yet that it is an old copy. What it wrote may be older than what others have forgotten, and
            // may stand under numbers that were given before: it writes that again once it has caught up.
            return;
        }
        if !self.is_allowed(session, &push, out) {
            return;
        }
        if origin == self.holding.origin {
            if push.last() > self.holding.vector.sequence(origin) {
                self.roll_back(origin, (BTreeMap::from([(origin, push.last())]), false), out);
            }
            return;
        }
        let expected = self.taken(origin) + 1;
        if self.consumer.undecodable.contains(&origin) || push.last() < expected {
            return;
        }
        if push.first > expected {
            return self.ask_for_gap(session, origin, expected, push.last(), out);
        }
        let end = self.finals.get(&origin).copied().unwrap_or(u64::MAX);
        let mut position = OriginPosition { sequence: push.first, chain: push.chain, closed: None };
        let mut bytes = 0;
        for (index, record) in push.records.into_iter().enumerate() {
            let sequence = push.first + index as u64;
            if index > 0 {
                position.chain = position.chain_next(&record);
            }
            if sequence > end {
                break;
            }
            if sequence >= expected {
                bytes += record.len();
                let record = LogRecord { origin, sequence, chain: position.chain, bytes: record };
                self.consumer.queue.push_back((session, record));
                self.consumer.taken.insert(origin, sequence);
            }
        }
        self.consumer.lacking.remove(&origin);
        if let Some(peer) = self.peers.get_mut(&session) {
            peer.queued_bytes += bytes;
        }
    }

    /// Records before these are missing: they are sent again from the first missing one.
    fn ask_for_gap(&mut self, session: SessionId, origin: OriginId, first: u64, last: u64, out: &mut Vec<Output>) {
        let now_ms = self.now.monotonic_ms;
        let reroute_ms = self.options.reroute_ms;
        let lacking = self.consumer.lacking.entry(origin).or_insert(Lacking { since_ms: now_ms, asked: None });
        if lacking.asked == Some(session) && now_ms < lacking.since_ms + reroute_ms {
            return;
        }
        *lacking = Lacking { since_ms: now_ms, asked: Some(session) };
        out.push(Output::Send { session, message: Message::Request { origin, first, last } });
    }

    /// Whether a batch is under way to the store.
    pub(super) fn is_applying(&self) -> bool {
        self.consumer.applying.is_some()
    }

    /// Hands what waits to the store; one batch at a time.
    pub(super) fn apply_next(&mut self, out: &mut Vec<Output>) {
        if self.is_applying() || self.consumer.queue.is_empty() || self.holds_log_back() {
            return;
        }
        let mut count = self.consumer.queue.len().min(self.options.apply_records_max);
        // What its origin made together is shown together.
        while self.consumer.queue.get(count).is_some_and(|(_, record)| is_joined(&record.bytes)) {
            count += 1;
        }
        let mut from: BTreeMap<SessionId, u64> = BTreeMap::new();
        let mut records = Vec::with_capacity(count);
        for (session, record) in self.consumer.queue.drain(..count) {
            *from.entry(session).or_default() += 1;
            if let Some(peer) = self.peers.get_mut(&session) {
                peer.queued_bytes = peer.queued_bytes.saturating_sub(record.bytes.len());
            }
            records.push(record);
        }
        self.consumer.applying = Some(from);
        let carries = self.takes_writes();
        self.write(WriteRequest::Apply { records, carries }, Purpose::Apply, out);
    }

    /// The store took a batch, or some of it.
    pub(super) fn applied(&mut self, answer: Answer, out: &mut Vec<Output>) {
        let from = self.consumer.applying.take().unwrap_or_default();
        self.exchange_begins(out);
        let Answer::Applied(applied) = answer else {
            // Nothing of the batch was stored: all of it is asked for again.
            self.consumer.queue.clear();
            self.consumer.taken.clear();
            self.peers.values_mut().for_each(|peer| peer.queued_bytes = 0);
            return;
        };
        self.consumer.applied_total += applied.applied;
        for (session, count) in &from {
            if let Some(peer) = self.peers.get_mut(session) {
                peer.count_applied((*count).min(applied.applied), self.now.monotonic_ms);
            }
        }
        for (origin, ahead_ms) in applied.far_ahead {
            self.alarm_once(Alarm::ClockAhead { origin, ahead_ms }, out);
        }
        for (origin, _) in applied.gaps {
            self.drop_queued(origin);
        }
        for (origin, sequence, detail) in applied.undecodable {
            self.drop_queued(origin);
            if self.consumer.undecodable.insert(origin) {
                out.push(Output::Alarm(Alarm::Undecodable { origin, sequence, detail }));
            }
        }
        for origin in applied.forks {
            self.drop_queued(origin);
            let session = from.keys().next().copied();
            self.fork_found(origin, session, out);
        }
    }

    /// Asks for what somebody holds and nobody sends.
    pub(super) fn ask_for_missing(&mut self, out: &mut Vec<Output>) {
        let now_ms = self.now.monotonic_ms;
        let mut asks = Vec::new();
        for origin in self.known_origins() {
            let taken = self.taken(origin);
            let end = self.finals.get(&origin).copied().unwrap_or(u64::MAX);
            let blocked = origin == self.holding.origin
                || self.consumer.trimmed.contains(&origin)
                || self.consumer.undecodable.contains(&origin)
                || taken > self.holding.vector.sequence(origin);
            let holders: Vec<(SessionId, u64)> = self
                .open_peers()
                .filter(|peer| peer.may_forward() && peer.vector.sequence(origin).min(end) > taken)
                .map(|peer| (peer.session, peer.vector.sequence(origin)))
                .collect();
            if blocked || holders.is_empty() {
                self.consumer.lacking.remove(&origin);
                continue;
            }
            let lacking = self.consumer.lacking.entry(origin).or_insert(Lacking { since_ms: now_ms, asked: None });
            if now_ms < lacking.since_ms + self.options.reroute_ms {
                continue;
            }
            // Each holder in turn, the usual way first.
            let after = lacking.asked;
            let next = holders.iter().find(|(session, _)| after.is_none_or(|after| *session > after));
            let Some((session, last)) = next.or_else(|| holders.first()).copied() else { continue };
            *lacking = Lacking { since_ms: now_ms, asked: Some(session) };
            asks.push((origin, session, taken + 1, last, after.is_some()));
        }
        for (origin, session, first, last, again) in asks {
            if again {
                self.consumer.routes.insert(origin, session);
            }
            out.push(Output::Send { session, message: Message::Request { origin, first, last } });
        }
    }

    /// A peer's log does not go back far enough.
    pub(super) fn trimmed(&mut self, session: SessionId, origin: OriginId, first_kept: u64, out: &mut Vec<Output>) {
        let needed = self.taken(origin) + 1;
        let Some(peer) = self.peers.get_mut(&session) else { return };
        if needed >= first_kept || peer.vector.sequence(origin) < needed || origin == self.holding.origin {
            return;
        }
        peer.floors.insert(origin, first_kept);
        let other = self.open_peers().find(|peer| {
            peer.session != session
                && peer.may_forward()
                && peer.vector.sequence(origin) >= needed
                && peer.floors.get(&origin).is_none_or(|floor| *floor <= needed)
        });
        if let Some(other) = other.map(|peer| peer.session) {
            self.consumer.routes.insert(origin, other);
            return;
        }
        let gives = |peer: &Peer| {
            let holds = peer.may_forward() && peer.vector.sequence(origin) >= needed;
            holds && (!self.is_joined() || self.knows_all_forgotten(peer))
        };
        let givers: Vec<SessionId> = self.open_peers().filter(|peer| gives(peer)).map(|peer| peer.session).collect();
        let asked = givers.contains(&session).then_some(session);
        let Some(giver) = asked.or_else(|| givers.first().copied()) else { return };
        self.consumer.trimmed.insert(origin);
        // A node that joins takes everything anyway.
        if self.is_joined() {
            self.begin_exchange(giver, super::exchange::Cause::Trimmed, out);
        }
    }
}
