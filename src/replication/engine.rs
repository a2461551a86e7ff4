//! The one task that owns a node's [`Replicator`]: everything that happens goes in, everything wanted is carried out.
//!
//! Reads of the tree run on blocking threads, writes on the writer's, dialling and sessions in tasks of their own; what
//! comes of them returns through channels, so that this task never waits for a disk or a peer, but for the few moments
//! of an operator's command.
//!
//! Invariants
//! - After a write, the commit is told before the answer.
//! - What a peer says is judged beside what the store holds when it is heard, announced or not: what was read for a peer may be
//!   of a commit that this task was not told of yet, and a node that lacks what it said is an old copy.
//! - Writes reach the writer in the order in which they were wanted; a full queue delays them, and loses none.
//! - A member is dialled only while no session with it is open.

mod clocks;
mod contacts;
mod dialling;
mod filling;
mod identity_change;
mod leaving;
mod operator;
mod reporting;
mod storing;

pub(super) use operator::name_of;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::dial::DialError;
use super::door::{Door, Hall};
use super::joining::decode_members;
use super::membership;
use super::message::PeerError;
use super::service::{Command, Compression, Counts, Durable, Parts, Repaired, Report, ServiceError};
use super::session::{Budget, Session, SessionEvent};
use super::trust::Trust;
use super::{
    Alarm, Answer, CloseReason, Input, Local, LocalWrites, Member, MemberState, Message, NodeId, Now, Output,
    Replicator, RequestId, SessionId, Ticket, WriteRequest, store,
};
use crate::dit::{Dit, View};
use crate::state::OriginId;
use crate::storage::{MetaName, Table};

/// Events of sessions that wait.
const EVENTS_MAX: usize = 256;
/// Monotonic time begins this late, so that what others say was heard before this run has a time too: 34 years.
const BEFORE_MS: u64 = 1 << 40;
/// How often time is told.
const TICK: Duration = Duration::from_millis(100);
/// Ticks between looks at certificates, status, compression.
const TICKS_SLOW: u64 = 10;
/// A full writer's queue is tried again after this.
const WRITE_RETRY: Duration = Duration::from_millis(5);
/// Round trip from which compressing pays.
const COMPRESS_ROUND_TRIP_MS: u64 = 5;
/// Round trips that must have been that long before a link is called slow: one may have met a busy machine.
const COMPRESS_ROUND_TRIPS_MIN: usize = 3;

/// See the module.
pub(super) struct Engine {
    pub(super) parts: Parts,
    replicator: Replicator,
    trust: Arc<Trust>,
    node: NodeId,
    members: Vec<Member>,
    /// Members as the invitation told them, until the content does.
    bootstrap: Vec<Member>,
    sessions: BTreeMap<SessionId, Session>,
    session_last: u64,
    dials: JoinSet<(NodeId, Result<(), DialError>)>,
    dialling: BTreeMap<NodeId, dialling::Attempts>,
    door: Option<Door>,
    door_wanted_until_ms: u64,
    hall: Hall,
    budget: Budget,
    events: mpsc::Receiver<SessionEvent>,
    admitted: mpsc::Receiver<oneshot::Sender<()>>,
    commands: mpsc::Receiver<Command>,
    answers: mpsc::UnboundedReceiver<(RequestId, Answer)>,
    answered: mpsc::UnboundedSender<(RequestId, Answer)>,
    commits: watch::Receiver<u64>,
    /// The commit that the replicator was told of last.
    told_commit: Option<u64>,
    pending_writes: VecDeque<(RequestId, WriteRequest)>,
    waiting: BTreeMap<Ticket, oneshot::Sender<Durable>>,
    ticket_last: u64,
    local_writes: LocalWrites,
    wants_identity_at_ms: Option<u64>,
    /// The content that is taken anew beside the one that is served.
    filling: Option<filling::Filling>,
    wants_filling_at_ms: Option<u64>,
    members_stale: bool,
    leaving: leaving::Leaving,
    /// The member that this data directory was copied from, as long as it may run beside.
    original: Option<Member>,
    ticks: u64,
    alarms: VecDeque<(u64, String)>,
    /// The alarm among them that is over when this node has caught up.
    until_caught_up: Option<String>,
    repaired: VecDeque<Repaired>,
    clocks: clocks::Clocks,
    contacts: contacts::Noted,
    /// By origin how many changes were told of, of which it cannot be said what was lost by them.
    untold_told: BTreeMap<OriginId, u64>,
    /// Since when changes are lacking here that a member holds, monotonic milliseconds.
    lacking: BTreeMap<NodeId, u64>,
    published: Arc<ArcSwapOption<Report>>,
    out: Vec<Output>,
}

impl Engine {
    /// Founds the cluster if there is none, and gets ready.
    pub(super) async fn start(
        parts: Parts,
        commands: mpsc::Receiver<Command>,
        published: Arc<ArcSwapOption<Report>>,
    ) -> Result<Self, ServiceError> {
        let identity = identity_change::prepare(&parts).await?;
        let commits = parts.dit.feed().follow();
        let snapshot = parts.dit.read()?;
        let view = snapshot.view();
        let node = membership::node_id(view)?;
        let bootstrap = bootstrap_members(view)?;
        let mut members = current_members(view, node, &bootstrap)?;
        leaving::send_on_first(&mut members, node, membership::origin(view)?);
        let trust = Trust::new(node, identity);
        trust.set_members(&members);
        drop(snapshot);
        let has_peers = members.iter().any(|member| member.node != node);
        let is_copy = identity_change::notice_copy(&parts, has_peers).await?;
        // Where the original is, if it runs: soon this node's entry says where this one is.
        let original = members.iter().find(|member| is_copy && member.node == node).cloned();
        let local = local(&parts.dit, &members, bootstrap.is_empty())?;
        let (events_to, events) = mpsc::channel(EVENTS_MAX);
        let (admitted_to, admitted) = mpsc::channel(16);
        let (answered, answers) = mpsc::unbounded_channel();
        let hall = Hall {
            trust: Arc::clone(&trust),
            dit: Arc::clone(&parts.dit),
            writer: parts.writer.clone(),
            events: events_to,
            admitted: admitted_to,
        };
        let replicator = Replicator::new(local, parts.options.limits.clone());
        let mut engine = Self {
            parts,
            replicator,
            trust,
            node,
            members: members.clone(),
            bootstrap,
            sessions: BTreeMap::new(),
            session_last: 0,
            dials: JoinSet::new(),
            dialling: BTreeMap::new(),
            door: None,
            door_wanted_until_ms: 0,
            hall,
            budget: Budget::default(),
            events,
            admitted,
            commands,
            answers,
            answered,
            commits,
            told_commit: None,
            pending_writes: VecDeque::new(),
            waiting: BTreeMap::new(),
            ticket_last: 0,
            local_writes: LocalWrites::Starting,
            wants_identity_at_ms: None,
            filling: None,
            wants_filling_at_ms: None,
            members_stale: true,
            leaving: leaving::Leaving::default(),
            original,
            ticks: 0,
            alarms: VecDeque::new(),
            until_caught_up: None,
            repaired: VecDeque::new(),
            clocks: clocks::Clocks::default(),
            contacts: contacts::Noted::default(),
            untold_told: BTreeMap::new(),
            lacking: BTreeMap::new(),
            published,
            out: Vec::new(),
        };
        if is_copy {
            let text = "this data directory is a copy of another, or was moved: it goes on under a new origin";
            engine.alarm_until_caught_up(text.to_owned());
        }
        engine.tell_of_replaced();
        engine.note_untold_before();
        engine.judge_start();
        engine.tell_gate();
        engine.handle(Input::Members(members));
        engine.handle(Input::Tick);
        engine.open_door_if_wanted().await?;
        engine.look_for_original();
        engine.publish();
        Ok(engine)
    }

    /// Runs until nobody holds the service any more.
    pub(super) async fn run(mut self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Stop) | None => return self.end().await,
                    Some(command) => self.obey(command).await,
                },
                Some(event) = self.events.recv() => self.session_event(event),
                Some((request, answer)) = self.answers.recv() => self.handle(Input::Answered { request, answer }),
                // With nobody to tell, the next input is soon enough, a tick at the latest: then no change of a client
                // wakes this task.
                changed = self.commits.changed(), if !self.sessions.is_empty() => {
                    if changed.is_err() {
                        return self.end().await;
                    }
                    self.tell_commits();
                }
                Some(believed) = self.admitted.recv() => {
                    self.refresh_members();
                    // The joiner is gone; it may ask again.
                    let _ = believed.send(());
                }
                Some(dialled) = self.dials.join_next(), if !self.dials.is_empty() => self.dialled(dialled),
                () = tokio::time::sleep(WRITE_RETRY), if !self.pending_writes.is_empty() => self.submit_writes(),
                _ = ticks.tick() => self.tick().await,
            }
            if self.wants_identity_at_ms.is_some_and(|at_ms| at_ms <= self.now().monotonic_ms) {
                self.take_new_identity().await;
            }
            if self.wants_filling_at_ms.is_some_and(|at_ms| at_ms <= self.now().monotonic_ms) {
                self.fill_anew().await;
            }
        }
    }

    fn now(&self) -> Now {
        let clock = self.parts.dit.clock();
        Now {
            wall_ms: clock.wall_ms(),
            stamp_ms: self.parts.dit.now_ms(),
            monotonic_ms: u64::try_from(clock.monotonic().as_millis()).unwrap_or(u64::MAX).saturating_add(BEFORE_MS),
        }
    }

    /// Hands it to the replicator, which hears first of all that the store holds by now. Commits themselves go another way
    /// ([`Engine::tell_commits`]): one that is made while they are on it must not overtake them.
    fn handle(&mut self, input: Input) {
        if !self.tell_commits() && matches!(input, Input::Received { .. }) {
            // Nothing is concluded from what a peer says beside what was held once; it says so again.
            return;
        }
        self.hand_over(input);
    }

    fn hand_over(&mut self, input: Input) {
        let now = self.now();
        self.replicator.handle(now, input, &mut self.out);
        // What is wanted may fail at once, which is told in turn.
        while !self.out.is_empty() {
            for output in std::mem::take(&mut self.out) {
                self.perform(output);
            }
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Alarm(alarm) => {
                if let Alarm::Repaired { peer, entries } = &alarm {
                    self.note_repaired(*peer, entries);
                }
                let text = operator::alarm_text(&alarm, &self.members);
                match alarm {
                    Alarm::RolledBack { .. } => self.alarm_until_caught_up(text),
                    _ => self.alarm(text),
                }
            }
            Output::Close { session, reason } => {
                if let Some(closed) = self.sessions.remove(&session) {
                    let peer = self.name_of(closed.peer);
                    self.ended(&closed, &operator::close_text(&reason));
                    tracing::info!(peer, reason = %operator::close_text(&reason), "a session with a member is closed");
                    if reason == CloseReason::PeerFault(PeerError::Retired) {
                        self.dismissed(closed.peer);
                    }
                }
            }
            Output::Durable { ticket, acknowledged, wanted, met } => {
                if let Some(reply) = self.waiting.remove(&ticket) {
                    // The client has gone.
                    let _ = reply.send(Durable { acknowledged, wanted, met });
                }
            }
            Output::FillAnew => self.wants_filling_at_ms = Some(self.now().monotonic_ms),
            Output::LocalWrites(writes) => {
                self.local_writes = writes;
                self.tell_gate();
                self.appear();
            }
            Output::Read { request, read } => self.read(request, read),
            Output::Send { session, message } => self.send(session, message),
            Output::SetMember { node, state, finals } => self.spawn_change(move |writing| {
                membership::put_state(writing, node, state, &finals)?;
                Ok(())
            }),
            Output::TakeNewIdentity => {
                let now = self.now().monotonic_ms;
                self.wants_identity_at_ms.get_or_insert(now);
            }
            Output::Write { request, write } => {
                self.pending_writes.push_back((request, write));
                self.submit_writes();
            }
        }
    }

    fn send(&mut self, session: SessionId, message: Message) {
        let is_full = self.sessions.get(&session).is_some_and(|open| !open.send(message));
        if is_full && let Some(closed) = self.sessions.remove(&session) {
            tracing::warn!(peer = self.name_of(closed.peer), "a member does not read what it is sent; cut off");
            let now = self.now();
            self.replicator.handle(now, Input::Disconnected { session }, &mut self.out);
        }
    }

    /// Tells the replicator what the store holds, unless that is what it was told last; false if the store cannot say.
    fn tell_commits(&mut self) -> bool {
        self.commits.mark_unchanged();
        let read = self.parts.dit.read().and_then(|snapshot| {
            let commit = snapshot.commit();
            let is_new = self.told_commit != Some(commit);
            Ok((commit, if is_new { Some(store::holding_of(&snapshot.view())?) } else { None }))
        });
        match read {
            Ok((commit, Some(holding))) => {
                self.told_commit = Some(commit);
                self.members_stale = true;
                self.hand_over(Input::Committed(Box::new(holding)));
                true
            }
            Ok((_, None)) => true,
            Err(error) => {
                tracing::error!(%error, "what is held cannot be read");
                false
            }
        }
    }

    fn session_event(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Opened { wire, peer, dialled } => {
                self.session_last += 1;
                let (id, since_ms) = (SessionId(self.session_last), self.now().monotonic_ms);
                let session =
                    Session::start(id, wire, (peer, dialled, since_ms), self.hall.events.clone(), self.budget.clone());
                session.set_compress(self.parts.options.compression == Compression::Always);
                self.sessions.insert(id, session);
                tracing::info!(peer = self.name_of(peer), dialled, "connected to a member");
                self.handle(Input::Connected { session: id, peer, dialled });
            }
            SessionEvent::Message { session, message, permit } => {
                if self.sessions.contains_key(&session) {
                    self.handle(Input::Received { session, message });
                }
                drop(permit);
            }
            SessionEvent::Closed { session, reason, fault } => {
                if let Some(closed) = self.sessions.remove(&session) {
                    if let Some(error) = fault {
                        // A peer that does not read need not know.
                        let _ = closed.send(Message::Error { error, detail: reason.clone() });
                    }
                    tracing::info!(peer = self.name_of(closed.peer), reason, "the session with a member has ended");
                    self.ended(&closed, &reason);
                    self.handle(Input::Disconnected { session });
                }
            }
        }
    }

    async fn tick(&mut self) {
        self.ticks += 1;
        self.handle(Input::Tick);
        self.judge_start();
        if self.members_stale {
            self.refresh_members();
        }
        self.dial_due();
        if self.ticks.is_multiple_of(TICKS_SLOW) {
            if let Err(error) = self.open_door_if_wanted().await
                && self.ticks.is_multiple_of(TICKS_SLOW * 10)
            {
                self.alarm(error.to_string());
            }
            self.watch_clocks();
            self.renew_if_wanted();
            self.leave_if_asked();
            self.finish_filling().await;
            self.note_lacking();
            self.note_contacts();
            self.tell_untold();
            self.end_alarm_if_caught_up();
            if self.ticks.is_multiple_of(TICKS_SLOW * 60) {
                self.look_for_original();
            }
            if self.ticks.is_multiple_of(TICKS_SLOW * 600)
                && self.local_writes == LocalWrites::Open
                && self.clocks.may_stamp()
                && self.has_invites()
            {
                self.spawn_change(|writing| Ok(membership::drop_expired(writing).map(|_| ())?));
            }
            self.appear();
            self.publish();
            self.choose_compression();
        }
    }

    fn choose_compression(&self) {
        if self.parts.options.compression != Compression::Auto {
            return;
        }
        let Some(report) = self.published.load_full() else { return };
        for peer in report.status.members.iter().filter_map(|member| member.peer.as_ref()) {
            if let (Some(session), Some(round_trip)) = (self.sessions.get(&peer.session), peer.round_trip_ms) {
                let is_slow = round_trip >= COMPRESS_ROUND_TRIP_MS && peer.round_trips >= COMPRESS_ROUND_TRIPS_MIN;
                session.set_compress(is_slow);
            }
        }
    }

    /// Reads the list of members again and has it believed.
    fn refresh_members(&mut self) {
        self.members_stale = false;
        let read = self.parts.dit.read().map_err(ServiceError::from).and_then(|snapshot| {
            let view = snapshot.view();
            self.bootstrap = bootstrap_members(view)?;
            self.leaving.asked = membership::asked_of(view, self.node)?;
            Ok((current_members(view, self.node, &self.bootstrap)?, membership::epoch(view)?))
        });
        let members = read.map(|(members, epoch)| {
            self.follow_epoch(epoch);
            self.until_sent(members)
        });
        match members {
            Ok(members) if members != self.members => {
                self.trust.set_members(&members);
                self.members.clone_from(&members);
                self.handle(Input::Members(members));
                self.tell_gate();
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "the members cannot be read"),
        }
    }

    fn tell_gate(&self) {
        if self.filling.is_some() {
            // What is served is the content before, to which nothing else applies now.
            return;
        }
        let urls = self.parts.dit.read().and_then(|snapshot| membership::supplier_urls(snapshot.view(), self.node));
        // Nobody else is there who could know better.
        let alone = self.bootstrap.is_empty() && !self.members.iter().any(|member| member.node != self.node);
        let writes = match self.local_writes {
            LocalWrites::Open if self.leaving.is_begun() => LocalWrites::Withdrawn,
            LocalWrites::Starting if alone => LocalWrites::Open,
            writes => writes,
        };
        let writes = self.clocks.gate(writes);
        (self.parts.gate)(writes, urls.unwrap_or_default());
    }

    fn name_of(&self, node: NodeId) -> String {
        name_of(node, &self.members)
    }
}

/// Members as an invitation told them; empty once the content is complete.
fn bootstrap_members(view: View<'_>) -> Result<Vec<Member>, ServiceError> {
    let bytes = view.reader().meta(MetaName::Join).map_err(crate::dit::DitError::from)?;
    Ok(bytes.filter(|bytes| !bytes.is_empty()).map(decode_members).unwrap_or_default())
}

/// The content's members; while it is not complete, with what the invitation told of them.
fn current_members(view: View<'_>, own: NodeId, bootstrap: &[Member]) -> Result<Vec<Member>, ServiceError> {
    let mut members = Member::with_known_before(membership::members(view)?, bootstrap);
    members.sort_by_key(|member| (member.node != own, member.node));
    Ok(members)
}

fn local(dit: &Dit, members: &[Member], joined: bool) -> Result<Local, ServiceError> {
    let mut random = [0; 2];
    getrandom::fill(&mut random).map_err(|_| ServiceError::Random)?;
    // Later starts have larger numbers, so that of two copies the one that came later takes another identity.
    let boot = dit.clock().wall_ms() << 16 | u64::from(u16::from_be_bytes(random));
    let snapshot = dit.read()?;
    let view = snapshot.view();
    let node = membership::node_id(view)?;
    let holding = store::holding(dit)?;
    let filled_ms = view.reader().meta_u64(MetaName::Filled).map_err(crate::dit::DitError::from)?;
    Ok(Local {
        cluster: membership::cluster_id(view)?,
        node,
        origins_before: view.origins_before()?,
        catch_up: store::catch_up(dit)?,
        uncovered: store::uncovered(dit)?,
        boot,
        joined,
        filled_ms: Some(filled_ms).filter(|at_ms| *at_ms > 0),
        contacts: contacts::kept(view, &holding.vector)?,
        holding,
        members: members.to_vec(),
    })
}

#[cfg(test)]
mod tests;
