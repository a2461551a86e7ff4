//! One node's part in replication, as a value: all its peers, what it asks of them and what it sends them.
//!
//! All decisions of a node are made in one place and in order, so they can be read, tested and simulated; sockets and
//! transactions are somebody else's. Every peer sends what it has at once; nobody waits for a turn. What is under way to
//! a peer is bounded by credits, what waits to be applied by the credits that this node gives.
//!
//! Invariants
//! - vector-no-holes: records are handed to the store in the order of their numbers; a hole is asked for, never passed.
//! - durable-answer: what is said to be held was committed ([`Input::Committed`]).
//! - A member's row counts for the stable cut only when its own changes up to that row are here (`stability`).
//! - No change of a client is taken before this node knows that its copy is not an old one (`origin`).

mod ahead;
mod allowed;
mod consumer;
mod contacts;
mod durability;
mod ended;
mod exchange;
mod handing_over;
mod interface;
mod origin;
mod peer;
mod repair;
mod rows;
mod stability;
mod standing;
mod supplier;
mod telling;

use std::collections::{BTreeMap, BTreeSet};

pub use interface::{
    Alarm, Answer, Applied, CloseReason, Contact, Durability, EARLY, ExchangeStatus, Holding, Input, Local,
    LocalWrites, MemberStatus, MemberVerdict, Now, Options, Output, PeerStatus, ReadRequest, RequestId, Status, Ticket,
    UNAWAITED, UNTOLD, WriteRequest,
};

use super::member::{Member, Role, SessionId};
use super::message::{Hello, Message, PeerError, VERSIONS};
use crate::state::hybrid_clock::STEP_MS_MAX;
use crate::state::{NodeId, OriginId};
use ahead::Ahead;
use allowed::Owners;
use consumer::Consumer;
use contacts::Contacts;
use durability::Waits;
use exchange::Exchange;
use origin::Incarnation;
use peer::Peer;
use repair::Repairs;
use stability::Stability;

/// One node's part in replication.
#[derive(Debug)]
pub struct Replicator {
    cluster: [u8; 16],
    node: NodeId,
    boot: u64,
    options: Options,
    now: Now,
    holding: Holding,
    members: BTreeMap<NodeId, Member>,
    /// As what members have spoken in this run: their entries may not say so yet.
    spoken: BTreeSet<(NodeId, OriginId)>,
    owners: Owners,
    /// Agreed ends of origins of members that were suspended or retired.
    finals: BTreeMap<OriginId, u64>,
    /// Those of this node's own that a peer told it in this run: its entry may not say so yet.
    finals_told: BTreeMap<OriginId, u64>,
    peers: BTreeMap<SessionId, Peer>,
    requests: BTreeMap<RequestId, Purpose>,
    request_last: u64,
    consumer: Consumer,
    contacts: Contacts,
    stability: Stability,
    exchange: Option<Exchange>,
    exchange_last: u64,
    incarnation: Incarnation,
    repairs: Repairs,
    ahead: Ahead,
    waits: Waits,
    /// Set when the holding or the peers' changed since the last beacon.
    is_active: bool,
}

/// What an answer of the store is for.
#[derive(Clone, Debug)]
enum Purpose {
    Apply,
    Background,
    Chains { session: SessionId, origin: OriginId },
    Exchange(u64),
    Noted,
    OwnChains { session: SessionId, origin: OriginId, theirs: Vec<(u64, [u8; 16])> },
    Reissue,
    Repeat,
    Rotate,
    Serve { session: SessionId, exchange: u64, buckets: Vec<u16>, after: Vec<u8> },
    Stream { session: SessionId, origin: OriginId, is_range: bool },
}

impl Replicator {
    /// A node that has just started.
    pub fn new(local: Local, options: Options) -> Self {
        let mut replicator = Self {
            cluster: local.cluster,
            node: local.node,
            boot: local.boot,
            options,
            now: Now::default(),
            incarnation: Incarnation::new(&local),
            ahead: Ahead::new(&local),
            repairs: Repairs::new(&local),
            contacts: Contacts::new(&local),
            holding: local.holding,
            members: BTreeMap::new(),
            spoken: BTreeSet::new(),
            owners: Owners::default(),
            finals: BTreeMap::new(),
            finals_told: BTreeMap::new(),
            peers: BTreeMap::new(),
            requests: BTreeMap::new(),
            request_last: 0,
            consumer: Consumer::default(),
            stability: Stability::default(),
            exchange: None,
            exchange_last: 0,
            waits: Waits::default(),
            is_active: true,
        };
        replicator.take_members(local.members);
        replicator
    }

    /// Takes note of what happened and says what is to be done, in order. Cost: in proportion to the input and what it
    /// causes, and to the number of sessions.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Vec<Output>) {
        self.note_jumps(now);
        self.now = now;
        match input {
            Input::Answered { request, answer } => self.answered(request, answer, out),
            Input::Committed(holding) => self.committed(*holding, out),
            Input::Connected { session, peer, dialled } => self.connected(session, peer, dialled, out),
            Input::Disconnected { session } => self.disconnected(session),
            Input::Members(members) => {
                self.take_members(members);
                self.members_changed(out);
            }
            Input::Received { session, message } => self.received(session, message, out),
            Input::Tick => self.tick(out),
            Input::WaitFor { ticket, dot, durability, deadline_ms } => {
                self.wait_for(ticket, dot, durability, deadline_ms, out);
            }
            Input::Withdraw { node, state } => self.withdraw(node, state, out),
        }
        self.tell_interests(out);
        self.supply_all(out);
        self.apply_next(out);
        self.advance_incarnation(out);
    }

    /// This node's role by its membership; a supplier as long as it does not know better.
    fn role(&self) -> Role {
        self.members.get(&self.node).map_or(Role::Supplier, |member| member.role)
    }

    /// Where the machine's clock jumped, members are told at once; where the time of stamps did, what was known of their
    /// clocks is known no more.
    fn note_jumps(&mut self, now: Now) {
        let jumped = |unix_ms: fn(&Now) -> u64| {
            let passed_ms = now.monotonic_ms.saturating_sub(self.now.monotonic_ms);
            unix_ms(&self.now).saturating_add(passed_ms).abs_diff(unix_ms(&now)) > STEP_MS_MAX
        };
        let (wall, stamps) = (jumped(|now| now.wall_ms), jumped(|now| now.stamp_ms));
        for peer in self.peers.values_mut() {
            if wall {
                peer.beacon_at_ms = 0;
            }
            if stamps {
                peer.samples.clear();
            }
        }
    }

    /// Offsets of the peers' clocks, theirs minus the time of this node's stamps in milliseconds, one for each peer that has
    /// answered: what the disciplined clock wants to know before it follows a step.
    pub fn clock_offsets(&self) -> Vec<(NodeId, i64)> {
        self.open_peers().filter_map(|peer| Some((peer.node, peer.best_sample()?.offset_ms))).collect()
    }

    fn read(&mut self, read: ReadRequest, purpose: Purpose, out: &mut Vec<Output>) -> RequestId {
        let request = self.next_request(purpose);
        out.push(Output::Read { request, read });
        request
    }

    fn write(&mut self, write: WriteRequest, purpose: Purpose, out: &mut Vec<Output>) {
        let request = self.next_request(purpose);
        out.push(Output::Write { request, write });
    }

    fn next_request(&mut self, purpose: Purpose) -> RequestId {
        self.request_last += 1;
        let request = RequestId(self.request_last);
        self.requests.insert(request, purpose);
        request
    }

    fn answered(&mut self, request: RequestId, answer: Answer, out: &mut Vec<Output>) {
        let Some(purpose) = self.requests.remove(&request) else { return };
        if let Answer::Failed(detail) = &answer {
            out.push(Output::Alarm(Alarm::StoreFailed { detail: detail.clone() }));
        }
        match purpose {
            Purpose::Apply => self.applied(answer, out),
            Purpose::Background => self.stability.background_done(&answer),
            Purpose::Noted => {}
            Purpose::Chains { session, origin } => {
                if let Answer::Chains(chains) = answer {
                    out.push(Output::Send { session, message: Message::Chains { origin, chains } });
                }
            }
            Purpose::Exchange(exchange) => self.exchange_answered(exchange, answer, out),
            Purpose::OwnChains { session, origin, theirs } => {
                if let Answer::Chains(ours) = answer {
                    self.compare_chains(session, origin, &ours, &theirs, out);
                }
            }
            Purpose::Reissue => self.reissued(&answer),
            Purpose::Repeat => self.repeated(),
            Purpose::Rotate => self.rotated(&answer, out),
            Purpose::Serve { session, exchange, buckets, after } => {
                self.serve_answered(session, exchange, buckets, after, answer, out);
            }
            Purpose::Stream { session, origin, is_range } => self.streamed(session, origin, is_range, answer, out),
        }
    }

    fn committed(&mut self, holding: Holding, out: &mut Vec<Output>) {
        let changed = holding.vector != self.holding.vector;
        let others_rose = holding
            .vector
            .iter()
            .any(|(origin, position)| origin != holding.origin && *position != self.holding.vector.position(origin));
        self.holding = holding;
        if changed {
            self.is_active = true;
            self.consumer.committed(&self.holding.vector);
            self.stability.note_held(&self.holding.vector, self.now.monotonic_ms);
            self.row_candidates();
        }
        // Changes of this node are told by sending them; what came from others is acknowledged at once.
        if others_rose {
            self.acknowledge(out);
        }
    }

    fn connected(&mut self, session: SessionId, node: NodeId, dialled: bool, out: &mut Vec<Output>) {
        self.peers.insert(session, Peer::new(session, node, dialled, self.now.monotonic_ms));
        out.push(Output::Send { session, message: Message::Hello(Box::new(self.hello())) });
    }

    fn hello(&self) -> Hello {
        Hello {
            versions: VERSIONS,
            features: 0,
            cluster: self.cluster,
            node: self.node,
            origin: self.holding.origin,
            boot: self.boot,
            role: self.role(),
            wall_ms: self.now.wall_ms,
            clock: self.holding.clock,
            vector: self.told_vector(),
            floors: self.holding.floors.iter().map(|(origin, floor)| (*origin, *floor)).collect(),
        }
    }

    fn disconnected(&mut self, session: SessionId) {
        let Some(ended) = self.peers.remove(&session) else { return };
        let mut left = self.peers.values_mut().filter(|peer| peer.node == ended.node);
        if let (Some(only), None) = (left.next(), left.next()) {
            // The copy, or the older run, is gone: there is nothing left to show.
            only.challenged_ms = None;
        }
        self.consumer.session_ended(session);
        if self.exchange.as_ref().is_some_and(|exchange| exchange.session == session) {
            self.exchange_interrupted();
        }
    }

    /// Ends a session for a fault of the other side, and tells it.
    fn refuse(&mut self, session: SessionId, error: PeerError, detail: &str, out: &mut Vec<Output>) {
        out.push(Output::Send { session, message: Message::Error { error, detail: detail.to_owned() } });
        self.close(session, CloseReason::Fault(error), out);
    }

    fn close(&mut self, session: SessionId, reason: CloseReason, out: &mut Vec<Output>) {
        self.disconnected(session);
        out.push(Output::Close { session, reason });
    }

    fn received(&mut self, session: SessionId, message: Message, out: &mut Vec<Output>) {
        let Some(peer) = self.peers.get_mut(&session) else { return };
        peer.heard_ms = self.now.monotonic_ms;
        let message = match message {
            Message::Hello(hello) => return self.greeted(session, *hello, out),
            Message::Error { error, .. } => {
                self.incarnation.dismissed |= error == PeerError::Retired;
                return self.close(session, CloseReason::PeerFault(error), out);
            }
            other if peer.greeting.is_none() => {
                // What overtook the hello is said again later.
                let _ = other;
                return;
            }
            other => other,
        };
        match message {
            Message::Ack(ack) => self.acknowledged(session, &ack, out),
            Message::Beacon(beacon) => self.beacon_received(session, *beacon, out),
            Message::Buckets(_) | Message::Heads(_) | Message::Entries(_) | Message::Snapshot(_) => {
                self.exchange_received(session, message, out);
            }
            Message::BucketsRequest { .. }
            | Message::HeadsRequest { .. }
            | Message::EntriesRequest { .. }
            | Message::SnapshotRequest { .. } => self.serve(session, message, out),
            Message::Chains { origin, chains } => self.chains_received(session, origin, chains, out),
            Message::ChainsRequest { origin, sequences } => {
                self.read(ReadRequest::Chains { origin, sequences }, Purpose::Chains { session, origin }, out);
            }
            Message::Interest(interest) => self.interest_received(session, interest),
            Message::Push(push) => self.pushed(session, push, out),
            Message::Request { origin, first, last } => self.range_requested(session, origin, first, last),
            Message::Standing(standing) => self.standing_received(&standing, out),
            Message::Trimmed { origin, first_kept } => self.trimmed(session, origin, first_kept, out),
            Message::Hello(_) | Message::Error { .. } => {}
        }
    }

    /// What a peer says to hold has changed.
    fn peer_holds(&mut self, session: SessionId, out: &mut Vec<Output>) {
        let regained = self.peers.get(&session).is_some_and(|peer| self.has_regained(peer));
        let Some(peer) = self.peers.get_mut(&session) else { return };
        peer.supply.acknowledged(&peer.vector);
        let held_sum = peer.vector.iter().fold(0u64, |sum, (_, position)| sum.wrapping_add(position.sequence));
        if held_sum != std::mem::replace(&mut peer.held_sum, held_sum) {
            peer.risen_ms = self.now.monotonic_ms;
        }
        if regained {
            peer.held_before = None;
        }
        // A row that mixes two moments may say that changes were held before ones that were made without them.
        if peer.is_whole && peer.challenged_ms.is_none() && peer.held_before.is_none() {
            let (node, vector, digest) = (peer.node, peer.vector.clone(), peer.digest);
            match peer.greeting {
                Some(greeting) => self.row_said((node, greeting.origin), &vector, digest),
                None => self.row_candidates(),
            }
        }
        self.check_own_origin(session, out);
        self.answer_waits(out);
        self.compare_digests(session, out);
    }

    /// Whether a peer that is an old copy holds again what it once held. What is held nowhere any more from where it could
    /// come, it need not reach: this node's, or of what this node sends to nobody, what others say.
    fn has_regained(&self, peer: &Peer) -> bool {
        let Some(before) = &peer.held_before else { return false };
        let own = self.members.get(&self.node);
        let sends = |origin| self.role().may_forward() && !self.incarnation.withholds(origin, own);
        // A word before this session is of before an old copy was found: two of them would wait for what neither has.
        let said = |member: &Member, origin| match self.open_peers().find(|other| other.node == member.node) {
            Some(other) => other.vector.sequence(origin),
            None => self.stability.rows.latest(member.node).and_then(|row| row.get(&origin)).copied().unwrap_or(0),
        };
        let others = |member: &&Member| member.role.may_forward() && ![peer.node, self.node].contains(&member.node);
        let can_come = |origin| match sends(origin) {
            true => self.holding.vector.sequence(origin),
            false => self.members.values().filter(others).map(|member| said(member, origin)).max().unwrap_or(0),
        };
        before.iter().all(|(origin, held)| peer.vector.sequence(*origin) >= (*held).min(can_come(*origin)))
    }

    fn tick(&mut self, out: &mut Vec<Output>) {
        let now_ms = self.now.monotonic_ms;
        let mut lost = Vec::new();
        let mut due = Vec::new();
        let interval_ms = if self.is_active { self.options.beacon_active_ms } else { self.options.beacon_idle_ms };
        for peer in self.peers.values_mut() {
            let limit_ms = if peer.greeting.is_some() { self.options.silence_ms } else { self.options.hello_ms };
            if now_ms.saturating_sub(peer.heard_ms) > limit_ms {
                lost.push(peer.session);
            } else if peer.greeting.is_some() && now_ms >= peer.beacon_at_ms {
                due.push(peer.session);
            } else if peer.beacon_at_ms > now_ms + interval_ms {
                peer.beacon_at_ms = now_ms + interval_ms;
            }
        }
        for session in lost {
            self.refuse(session, PeerError::Silent, "", out);
        }
        for session in &due {
            self.send_beacon(*session, false, out);
            if self.peers.get(session).is_some_and(|peer| peer.held_before.is_some()) {
                self.send_standing(*session, None, out);
            }
            if let Some(peer) = self.peers.get_mut(session) {
                peer.beacon_at_ms = now_ms + interval_ms;
            }
        }
        if !due.is_empty() {
            self.is_active = false;
        }
        self.ask_for_missing(out);
        self.exchange_tick(out);
        self.give_up_lost(out);
        self.ahead_tick(out);
        self.stability_tick(out);
        self.incarnation_tick(out);
        self.answer_waits(out);
    }

    /// Open sessions, one for each node.
    fn open_peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values().filter(|peer| peer.is_open())
    }

    /// All origins that anybody here has heard of.
    fn known_origins(&self) -> BTreeSet<OriginId> {
        let ours = self.holding.vector.iter().map(|(origin, _)| origin);
        let theirs = self.open_peers().flat_map(|peer| peer.vector.iter().map(|(origin, _)| origin));
        ours.chain(theirs).collect()
    }
}

#[cfg(test)]
mod tests;
