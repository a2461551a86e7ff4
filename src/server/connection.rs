//! One connection: its turns.
//!
//! Written as a state machine that is polled, not as an async function with many waits: what an idle connection costs is
//! this struct, and a turn sees at once everything that can go on (requests read, answers that came, a search's next
//! step, room in the socket) and decides what comes first.
//!
//! A turn ends when nothing can go on, or after so much work that others must have theirs; then the task is put behind
//! those that are ready.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use crate::model::ResultCode;
use crate::operation::{BindOutcome, ClientFacts, ConnectionFacts, LocalUser, Session, TlsFacts};
use crate::policy::requester::Requester;
use crate::transport::{Peer, ShutdownGuard, Stream, Ticket, begins_proxy_header};
use crate::wire::{LdapResult, ResponseKind, frame_length, response};

use super::output::{self, Output};
use super::registry::{Mail, MailBody, Mailbox, NEVER};
use super::work::{Waiting, Work};
use super::{Door, Options, WRITE_STALL_S};

/// Requests run in one turn before others have theirs; a search that looks at many entries counts for several.
const TURN_COST_MAX: u32 = 64;
/// A buffer whose content has become much smaller than this is not kept as large, in bytes.
const INPUT_KEPT_MAX: usize = 64 * 1024;
/// A search has its next step only when no more than this part of the output's limit is taken.
const STEP_ROOM_DIVISOR: usize = 2;

/// What is to be done with the stream when the connection has no more turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Close it in peace.
    Close,
    /// It is broken, not worth waiting for, or the client has left.
    Drop,
    /// Speak TLS on it.
    StartTls,
}

/// Where a connection stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Requests are taken.
    Serving,
    /// The client will send nothing more, or nothing more is taken: what is at work is finished.
    Finishing {
        /// Whether the client is told that the server stops.
        with_notice: bool,
    },
    /// What is in the output is sent, then TLS begins.
    StartingTls,
    /// What is in the output is sent, then it ends.
    Closing,
}

/// Whether a request was taken off the input.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Yes,
    /// It waits for others to be done.
    NotYet,
}

/// See the module.
pub(super) struct Connection {
    pub(super) door: Arc<Door>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) session: Session,
    pub(super) output: Output,
    pub(super) work: Work,
    pub(super) phase: Phase,
    /// A bind is at work: nothing else is taken.
    pub(super) is_binding: bool,
    /// A bind, or StartTLS, is next and waits until nothing is at work.
    pub(super) waits_for_work: bool,
    /// There was a bind that succeeded.
    is_bound: bool,
    /// The client has ended its side.
    pub(super) is_left: bool,
    /// A request waits for its session token, or for the name of the client's host: nothing behind it is taken.
    pub(super) is_waiting: bool,
    /// Commits wake this connection.
    is_follower: bool,
    /// How much more this turn may do before others have theirs.
    pub(super) turn_left: u32,
    /// What was read and not yet taken: part of a request, or requests that wait.
    input: Vec<u8>,
    /// Requests at work as the metrics know it.
    counted_at_work: usize,
    last_request_s: u32,
    last_sent_s: u32,
    _ticket: Ticket,
    _guard: ShutdownGuard,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.work.abandon_searches();
        self.count_at_work(0);
        self.door.registry.remove(&self.mailbox);
        self.door.metrics.connections_open.decrement();
    }
}

impl Connection {
    pub(super) fn new(door: Arc<Door>, peer: &Peer, ticket: Ticket, guard: ShutdownGuard) -> Self {
        let mailbox = door.registry.add();
        door.metrics.connections_total.increment();
        door.metrics.connections_open.increment();
        let now_s = door.registry.now_s();
        let facts = facts(mailbox.id, peer);
        let session = Session::new(anonymous(&facts, peer), facts);
        tracing::debug!(connection = mailbox.id, peer = %peer.address, via = ?peer.via, "connected");
        Self {
            door,
            mailbox,
            session,
            output: Output::default(),
            work: Work::default(),
            phase: Phase::Serving,
            is_binding: false,
            waits_for_work: false,
            is_bound: false,
            is_left: false,
            is_waiting: false,
            is_follower: false,
            turn_left: 0,
            input: Vec::new(),
            counted_at_work: 0,
            last_request_s: now_s,
            last_sent_s: now_s,
            _ticket: ticket,
            _guard: guard,
        }
    }

    /// TLS has begun: whoever the client was, it is nobody now (RFC 4513 3.1.4 leaves it to us; T-18).
    pub(super) fn secured(&mut self, peer: &Peer) {
        let facts = facts(self.mailbox.id, peer);
        self.session.transactions.abort(self.output.buffer());
        self.session = Session::new(anonymous(&facts, peer), facts);
        self.is_bound = false;
        let is_stopping = self.door.shutdown.is_triggered();
        self.phase = if is_stopping { Phase::Finishing { with_notice: true } } else { Phase::Serving };
        self.last_request_s = self.door.registry.now_s();
    }

    /// One turn.
    pub(super) fn poll(&mut self, stream: &mut Stream, context: &mut Context<'_>) -> Poll<Next> {
        self.mailbox.register(context.waker());
        let options = self.door.options.load_full();
        self.turn_left = TURN_COST_MAX;
        loop {
            if let Some(next) = self.read_news() {
                return Poll::Ready(next);
            }
            let mut goes_on = self.take_buffered(&options);
            // Whether the socket will wake this task when there is more to read.
            let mut read_waits = false;
            if self.input_is_wanted(&options) && self.turn_left > 0 {
                match self.poll_read(stream, context, &options) {
                    Poll::Ready(Ok(0)) => {
                        self.is_left = true;
                        self.phase = Phase::Finishing { with_notice: false };
                    }
                    Poll::Ready(Ok(_)) => goes_on = true,
                    Poll::Ready(Err(_)) => return Poll::Ready(Next::Drop),
                    Poll::Pending => read_waits = true,
                }
            }
            let stepped = self.step_search(&options);
            self.finish_when_idle();
            match self.poll_send(stream, context) {
                Err(_) => return Poll::Ready(Next::Drop),
                Ok(is_sent) => match self.phase {
                    Phase::Closing if is_sent && self.is_left => return Poll::Ready(Next::Drop),
                    Phase::Closing if is_sent => return Poll::Ready(Next::Close),
                    Phase::StartingTls if is_sent => return Poll::Ready(Next::StartTls),
                    _ => {}
                },
            }
            // What was sent may have made room for what could not go on before.
            goes_on |= self.has_complete_request(&options)
                || (self.input_is_wanted(&options) && !read_waits)
                || self.search_has_room(&options);
            if goes_on && !stepped && self.turn_left > 0 {
                continue;
            }
            if goes_on {
                // Others first; also lets the runtime look at its sockets.
                let _ = pin!(tokio::task::yield_now()).poll(context);
            }
            self.count_at_work(self.work.len());
            if self.is_follower && !self.work.follows_commits() {
                self.is_follower = false;
                self.door.registry.set_follower(&self.mailbox, false);
            }
            self.mailbox.set_deadline(self.deadline_s(&options));
            return Poll::Pending;
        }
    }

    /// Mail, deadlines, shutdown.
    fn read_news(&mut self) -> Option<Next> {
        let news = self.mailbox.take_news();
        if news.has_mail() {
            for mail in self.mailbox.take_mail() {
                self.take_mail(mail);
            }
        }
        if news.has_committed() {
            self.work.go_on();
        }
        if news.is_draining() && matches!(self.phase, Phase::Serving | Phase::Finishing { with_notice: false }) {
            self.phase = Phase::Finishing { with_notice: true };
        }
        if news.is_ended() && !matches!(self.phase, Phase::Closing) {
            self.work.abandon_searches();
            self.disconnect(ResultCode::UNAVAILABLE, "the server is stopping");
        }
        if news.has_ticked() {
            let options = self.door.options.load();
            if self.deadline_s(&options) <= self.door.registry.now_s() {
                tracing::debug!(connection = self.mailbox.id, "closed: idle, or takes no answers");
                return Some(if self.output.is_sent() { Next::Close } else { Next::Drop });
            }
        }
        None
    }

    fn take_mail(&mut self, mail: Mail) {
        let Some(mut waiting) = self.work.settle(mail.serial) else { return };
        let start = self.output.buffer().len();
        match mail.body {
            MailBody::Bound(outcome) => self.bound(outcome),
            MailBody::Response(response) if !waiting.is_abandoned => {
                self.output.buffer().extend_from_slice(&response);
            }
            MailBody::Response(_) => {}
            MailBody::Held { frame, host, outcome } => {
                self.is_waiting = false;
                if !waiting.is_abandoned {
                    self.take_held(&frame, host, outcome);
                }
            }
            MailBody::Lost => self.lost(&waiting),
        }
        if self.work.is_empty() {
            self.waits_for_work = false;
        }
        if let Some(record) = &mut waiting.record {
            record.count(self.output.buffer().get(start..).unwrap_or_default());
            let now = self.door.clock.monotonic();
            record.finish(self.mailbox.id, waiting.id, self.session.requester.dn(), now);
        }
    }

    /// The identity that a bind gave, and its answer.
    pub(super) fn bound(&mut self, outcome: BindOutcome) {
        self.is_binding = false;
        let metrics = &self.door.metrics;
        metrics.binds_total.increment();
        self.is_bound = outcome.code == ResultCode::SUCCESS;
        if !self.is_bound && outcome.exchange.is_none() {
            metrics.binds_failed_total.increment();
        }
        self.session.requester = outcome.requester;
        self.session.must_change_password = outcome.must_change_password;
        self.session.by_app_password = outcome.by_app_password;
        self.session.exchange = outcome.exchange;
        self.output.buffer().extend_from_slice(&outcome.response);
        if let Some(job) = outcome.afterwards {
            // Where the line is full the next bind tries again.
            let _ = self.door.hashing.run(job);
        }
    }

    /// Whoever was to answer is gone: a fault of ours, or the writer has stopped.
    fn lost(&mut self, waiting: &Waiting) {
        self.is_binding = false;
        self.is_waiting = false;
        if waiting.is_abandoned {
            return;
        }
        if let Some(kind) = ResponseKind::of_request(waiting.tag) {
            let result = LdapResult::new(ResultCode::OTHER, "the server could not finish this request; see its log");
            response::result(self.output.buffer(), waiting.id, kind, &result, &[]);
        }
    }

    /// Whether a request may be taken off the input.
    fn takes_requests(&self, options: &Options) -> bool {
        self.phase == Phase::Serving
            && !self.is_binding
            && !self.is_waiting
            && !self.waits_for_work
            && self.work.len() < options.requests_in_flight
            && self.output.len() < options.output_bytes
    }

    /// Whether reading makes sense: requests are taken, and none waits complete in the input.
    fn input_is_wanted(&self, options: &Options) -> bool {
        self.takes_requests(options) && !self.has_complete_request(options)
    }

    fn has_complete_request(&self, options: &Options) -> bool {
        self.takes_requests(options)
            && match frame_length(&self.input, self.pdu_bytes_max(options)) {
                Ok(Some(length)) => length <= self.input.len(),
                Ok(None) => false,
                Err(_) => true,
            }
    }

    fn pdu_bytes_max(&self, options: &Options) -> usize {
        if self.session.requester.is_anonymous() { options.pdu_bytes_before_bind } else { options.pdu_bytes }
    }

    /// Runs what was read before and could not be taken then. Returns whether anything was taken.
    fn take_buffered(&mut self, options: &Options) -> bool {
        if self.input.is_empty() || !self.takes_requests(options) {
            return false;
        }
        let mut input = std::mem::take(&mut self.input);
        let taken = self.take_requests(&input, options);
        if taken < input.len() {
            input.drain(..taken);
            if input.capacity() > INPUT_KEPT_MAX && input.len() < input.capacity() / 4 {
                input.shrink_to_fit();
            }
            self.input = input;
        }
        taken > 0
    }

    /// Reads once and runs what is complete. Returns how many bytes were read; 0 at the end of the stream.
    fn poll_read(
        &mut self,
        stream: &mut Stream,
        context: &mut Context<'_>,
        options: &Options,
    ) -> Poll<io::Result<usize>> {
        // Never more than the longest request is kept for a client, whatever it sends ahead.
        let room = self.pdu_bytes_max(options).saturating_sub(self.input.len()).max(1);
        output::with_input(|scratch| {
            let scratch = scratch.get_mut(..room.min(output::READ_BYTES_MAX)).unwrap_or_default();
            let mut buffer = ReadBuf::new(scratch);
            std::task::ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
            let bytes = buffer.filled();
            self.door.metrics.bytes_in_total.add(bytes.len() as u64);
            if self.input.is_empty() {
                // The usual case: requests are run from where they were read.
                let taken = self.take_requests(bytes, options);
                self.keep(bytes.get(taken..).unwrap_or_default(), options);
            } else {
                self.keep(bytes, options);
                self.take_buffered(options);
            }
            Poll::Ready(Ok(bytes.len()))
        })
    }

    /// Adds to the input. Its buffer doubles, but never beyond the longest request: half of one holds no more memory than a
    /// whole one would.
    fn keep(&mut self, bytes: &[u8], options: &Options) {
        let wanted = self.input.len() + bytes.len();
        if wanted > self.input.capacity() {
            let doubled = self.input.capacity().saturating_mul(2).min(self.pdu_bytes_max(options));
            self.input.reserve_exact(doubled.max(wanted) - self.input.len());
        }
        self.input.extend_from_slice(bytes);
    }

    /// Runs complete requests from the front of `bytes`; returns how many bytes they were.
    fn take_requests(&mut self, bytes: &[u8], options: &Options) -> usize {
        let mut taken = 0;
        while self.turn_left > 0 && self.takes_requests(options) {
            let rest = bytes.get(taken..).unwrap_or_default();
            match frame_length(rest, self.pdu_bytes_max(options)) {
                Ok(Some(length)) => {
                    let Some((frame, behind)) = rest.split_at_checked(length) else { break };
                    if self.take_request(frame, !behind.is_empty(), options) == Taken::NotYet {
                        self.waits_for_work = true;
                        break;
                    }
                    taken += length;
                    self.turn_left = self.turn_left.saturating_sub(1);
                    self.last_request_s = self.door.registry.now_s();
                }
                Ok(None) => break,
                Err(error) => {
                    self.door.metrics.protocol_errors_total.increment();
                    if begins_proxy_header(rest) {
                        self.door.complain_of_proxy_header(self.session.connection.address);
                    }
                    self.disconnect(ResultCode::PROTOCOL_ERROR, &error.to_string());
                }
            }
        }
        // What comes behind the last words is nobody's.
        if self.phase == Phase::Closing { bytes.len() } else { taken }
    }

    /// Whether a search is at work and there is room for what it writes.
    fn search_has_room(&self, options: &Options) -> bool {
        matches!(self.phase, Phase::Serving | Phase::Finishing { .. })
            && self.work.has_searches()
            && self.output.len() <= options.output_bytes / STEP_ROOM_DIVISOR
    }

    /// Has commits wake this connection; before the search that wants it looks at the tree for the first time.
    pub(super) fn follow_commits(&mut self) {
        if !self.is_follower {
            self.is_follower = true;
            self.door.registry.set_follower(&self.mailbox, true);
        }
    }

    /// Gives one search a step if it can have one.
    fn step_search(&mut self, options: &Options) -> bool {
        if !self.search_has_room(options) {
            return false;
        }
        // The last entry goes a little beyond; leave it room, so that the buffer need not double for it.
        let room = options.output_bytes.saturating_sub(self.output.len()) / 8 * 7;
        let done = self.work.step(&self.door.directory, self.output.buffer(), room);
        if let Some((id, record)) = done {
            record.finish(self.mailbox.id, id, self.session.requester.dn(), self.door.clock.monotonic());
        }
        if self.work.is_empty() {
            self.waits_for_work = false;
        }
        true
    }

    fn finish_when_idle(&mut self) {
        if matches!(self.phase, Phase::Finishing { .. }) {
            self.work.abandon_endless();
        }
        if let Phase::Finishing { with_notice } = self.phase
            && self.work.is_empty()
        {
            if with_notice {
                self.disconnect(ResultCode::UNAVAILABLE, "the server is stopping");
            } else {
                self.phase = Phase::Closing;
            }
        }
    }

    /// Tells the client why, and ends.
    pub(super) fn disconnect(&mut self, code: ResultCode, diagnostic: &str) {
        response::notice_of_disconnection(self.output.buffer(), code, diagnostic);
        self.phase = Phase::Closing;
        self.input = Vec::new();
    }

    /// Sends what can be sent; says whether everything is.
    fn poll_send(&mut self, stream: &mut Stream, context: &mut Context<'_>) -> io::Result<bool> {
        if self.output.is_sent() {
            self.last_sent_s = self.door.registry.now_s();
            return Ok(true);
        }
        let mut sent = 0;
        let outcome = self.output.poll_send(stream, context, &mut sent);
        if sent > 0 {
            self.last_sent_s = self.door.registry.now_s();
            self.door.metrics.bytes_out_total.add(sent as u64);
        }
        match outcome {
            Poll::Ready(result) => result.map(|()| true),
            Poll::Pending => Ok(false),
        }
    }

    /// Tells the metrics.
    fn count_at_work(&mut self, count: usize) {
        let gauge = &self.door.metrics.operations_in_progress;
        (self.counted_at_work..count).for_each(|_| gauge.increment());
        (count..self.counted_at_work).for_each(|_| gauge.decrement());
        self.counted_at_work = count;
    }

    /// When the connection is to be looked at though nothing happens.
    fn deadline_s(&self, options: &Options) -> u32 {
        // The registry's second may be almost over: one more.
        let after = |since: u32, seconds: u32| since.saturating_add(seconds).saturating_add(1).min(NEVER - 1);
        if !self.output.is_sent() {
            return after(self.last_sent_s, WRITE_STALL_S);
        }
        if !self.work.is_empty() {
            return NEVER;
        }
        let own = self.session.requester.limits.as_ref().and_then(|own| own.idle_s);
        match if self.is_bound { own.unwrap_or(options.idle_s) } else { options.idle_before_bind_s } {
            0 => NEVER,
            idle_s => after(self.last_request_s, idle_s),
        }
    }
}

/// Nobody, over this connection.
fn anonymous(facts: &ConnectionFacts, peer: &Peer) -> Requester {
    // A Unix socket cannot be listened to; policy counts it as the strongest TLS.
    let ssf = if peer.unix().is_some() { 256 } else { u32::from(peer.ssf()) };
    Requester::anonymous(facts.address, ssf, facts.is_local)
}

fn facts(id: u64, peer: &Peer) -> ConnectionFacts {
    ConnectionFacts {
        id,
        address: peer.ip(),
        is_local: peer.is_local(),
        unix: peer.unix().map(|unix| LocalUser { uid: unix.uid, gid: unix.gid }),
        tls: peer.tls.as_ref().map(|tls| {
            Box::new(TlsFacts {
                ssf: u32::from(tls.ssf),
                version: tls.version,
                client: tls.client.as_ref().map(|client| ClientFacts {
                    subject: client.subject.to_string(),
                    sha256: client.sha256,
                    mail_addresses: client.mail_addresses.clone(),
                    dns_names: client.dns_names.clone(),
                    uris: client.uris.clone(),
                }),
                exporter: tls.exporter,
                end_point: tls.end_point.clone(),
            })
        }),
    }
}
