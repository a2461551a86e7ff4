//! One request: decoded, checked for what concerns the connection alone, and handed to `operation`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{ResultCode, Scope};
use crate::operation::assurance::TokenRequest;
use crate::operation::{BindStep, ExtendedCall, OperationError, Progress, Reply, Session, UpdateStep, is_password};
use crate::policy::requester::{Authentication as Proved, RequesterKind};
use crate::transport::HostName;
use crate::wire::{
    Authentication, BindRequest, ExtendedRequest, LdapResult, Message, Request, ResponseKind, extended, operation_tag,
    response,
};

use super::connection::{Connection, Phase, Taken};
use super::operation_log::{self, Record};
use super::registry::{MailBody, ReturnAddress};
use super::{ClearText, Options};

/// So many entries looked at cost a turn as much as one more request.
const ENTRIES_PER_COST: u64 = 64;

impl Connection {
    /// Takes one complete PDU. `has_more` says that bytes behind it have been read already.
    pub(super) fn take_request(&mut self, frame: &[u8], has_more: bool, options: &Options) -> Taken {
        let message = match Message::decode(frame) {
            Ok(message) => message,
            Err(error) => {
                self.door.metrics.protocol_errors_total.increment();
                tracing::debug!(connection = self.mailbox.id, %error, "not a request");
                if error.operation_tag == Some(operation_tag::BIND) {
                    self.become_nobody();
                }
                if response::refusal(self.output.buffer(), &error) {
                    self.phase = Phase::Closing;
                }
                return Taken::Yes;
            }
        };
        match &message.request {
            Request::Unbind => {
                self.door.metrics.unbinds_total.increment();
                self.log(&message, self.started());
                self.work.abandon_searches();
                self.is_left = true;
                self.phase = Phase::Closing;
                return Taken::Yes;
            }
            Request::Abandon(id) => {
                self.door.metrics.abandons_total.increment();
                self.log(&message, self.started());
                self.work.abandon(*id);
                if self.work.is_empty() {
                    self.waits_for_work = false;
                }
                return Taken::Yes;
            }
            // RFC 4511 4.2.1: what is at work is finished before a bind begins.
            // A search that would never end is given up for it.
            Request::Bind(_) if !self.work.is_empty() => {
                self.work.abandon_endless();
                if !self.work.is_empty() {
                    return Taken::NotYet;
                }
            }
            _ => {}
        }
        if self.work.is_in_use(message.id) {
            // RFC 4511 4.1.1.1: the client must not; which of the two it means cannot be told.
            self.refuse(&message, ResultCode::PROTOCOL_ERROR, "a request with this message id is still at work");
            return Taken::Yes;
        }
        if message.controls.len() > options.controls {
            if matches!(message.request, Request::Bind(_)) {
                self.become_nobody();
            }
            let text = format!("more than {} controls", options.controls);
            self.refuse(&message, ResultCode::ADMIN_LIMIT_EXCEEDED, &text);
            return Taken::Yes;
        }
        if !self.may_come(options.operations_in_clear) && !is_for_everybody(&message.request) {
            if matches!(message.request, Request::Bind(_)) {
                self.become_nobody();
            }
            let text = "nothing is answered in clear text; use StartTLS or ldaps";
            self.refuse(&message, ResultCode::CONFIDENTIALITY_REQUIRED, text);
            return Taken::Yes;
        }
        let token = self.door.directory.has_to_wait(&message.controls);
        let address = self.unknown_host(&message);
        if token.is_some() || address.is_some() {
            self.set_aside(&message, frame, token, address);
            return Taken::Yes;
        }
        self.run(&message, has_more, options);
        Taken::Yes
    }

    /// The client's address, if an access rule asks for the name of its host and that has to be looked up. What is
    /// remembered is taken.
    fn unknown_host(&mut self, message: &Message<'_>) -> Option<IpAddr> {
        let address = self.session.requester.peer?;
        let asks_nothing = match &message.request {
            Request::Unbind | Request::Abandon(_) => true,
            // What comes behind StartTLS has to be seen in its own turn; and neither of the two asks the rules.
            Request::Extended(request) => [extended::START_TLS, extended::CANCEL].contains(&request.name),
            _ => false,
        };
        if asks_nothing || !self.door.directory.wants_host(&self.session.requester) {
            return None;
        }
        match self.door.hosts.known(address) {
            Some(host) => {
                if self.session.requester.host != host {
                    self.session.requester.host = host;
                }
                None
            }
            None => Some(address),
        }
    }

    /// The request is set aside until this node holds what it must see, or the name of the client's host is known or surely
    /// does not come; no thread waits.
    fn set_aside(&mut self, message: &Message<'_>, frame: &[u8], token: Option<TokenRequest>, host: Option<IpAddr>) {
        let address = self.expect(message, None);
        self.is_waiting = true;
        let (directory, hosts, frame) = (Arc::clone(&self.door.directory), self.door.hosts.clone(), frame.to_vec());
        tokio::spawn(async move {
            let host = match host {
                Some(host) => Some(hosts.find(host).await),
                None => None,
            };
            let outcome = match token {
                Some(token) => directory.wait_until_held(token).await,
                None => Ok(()),
            };
            address.send(MailBody::Held { frame, host, outcome });
        });
    }

    /// A request that was set aside.
    pub(super) fn take_held(&mut self, frame: &[u8], host: Option<HostName>, outcome: Result<(), OperationError>) {
        if let Some(host) = host {
            self.session.requester.host = host;
        }
        let Ok(message) = Message::decode(frame) else { return };
        let options = self.door.options.load_full();
        match outcome {
            Ok(()) => self.run(&message, false, &options),
            Err(error) => {
                if let Some(kind) = ResponseKind::of_request(message.request.operation_tag()) {
                    error.respond(self.output.buffer(), message.id, kind, &[]);
                }
            }
        }
    }

    fn run(&mut self, message: &Message<'_>, has_more: bool, options: &Options) {
        let started = self.started();
        if !self.session.transactions.is_empty() {
            self.session.transactions.expire(self.door.clock.monotonic(), self.output.buffer());
        }
        let start = self.output.buffer().len();
        let id = message.id;
        if self.session.must_change_password
            && let Some((error, control)) = self.door.directory.restricts(&mut self.session, message)
        {
            if let Some(kind) = ResponseKind::of_request(message.request.operation_tag()) {
                error.respond(self.output.buffer(), id, kind, control.as_slice());
            }
            return;
        }
        if !matches!(message.request, Request::Bind(_)) {
            self.session.exchange = None;
        }
        match &message.request {
            Request::Search(request) => {
                self.door.metrics.searches_total.increment();
                let mut task = self.door.directory.search(&mut self.session, id, request, &message.controls);
                if task.is_endless() {
                    self.follow_commits();
                }
                let out = self.output.buffer();
                let room = options.output_bytes.saturating_sub(out.len());
                let is_done = task.estimate_is_cheap() && task.step(&self.door.directory, out, room) == Progress::Done;
                let cost = task.examined() / ENTRIES_PER_COST;
                self.turn_left = self.turn_left.saturating_sub(u32::try_from(cost).unwrap_or(u32::MAX));
                if !is_done {
                    let mut record = started.map(|started| Record::new(message, started));
                    if let Some(record) = &mut record {
                        record.count(self.output.buffer().get(start..).unwrap_or_default());
                    }
                    self.work.add_search(id, task, record);
                    return;
                }
            }
            Request::Compare(request) => {
                self.door.metrics.compares_total.increment();
                if is_password(request.attribute) && !self.may_send_password(options) {
                    return self.refuse_clear_text(message);
                }
                let out = self.output.buffer();
                let answer = self.door.directory.compare(&self.session, id, request, &message.controls, out);
                if let Some(answer) = answer {
                    let address = self.expect(message, started);
                    if self.door.hashing.run(move || address.send(MailBody::Response(answer()))).is_err() {
                        self.answer_busy(message);
                    }
                    return;
                }
            }
            Request::Bind(request) => {
                if self.bind(message, request, started, options) {
                    return;
                }
            }
            Request::Add(_) => {
                self.door.metrics.adds_total.increment();
                return self.update(message, started);
            }
            Request::Delete { .. } => {
                self.door.metrics.deletes_total.increment();
                return self.update(message, started);
            }
            Request::Modify(_) => {
                self.door.metrics.modifies_total.increment();
                return self.update(message, started);
            }
            Request::ModifyDn(_) => {
                self.door.metrics.modify_dns_total.increment();
                return self.update(message, started);
            }
            Request::Extended(request) => {
                self.door.metrics.extended_total.increment();
                match request.name {
                    oid if self.door.directory.refuses_extended(&self.session, id, oid, self.output.buffer()) => {}
                    extended::START_TLS => self.start_tls(message, request, has_more),
                    extended::CANCEL => self.cancel(message, request),
                    extended::PASSWORD_MODIFY | extended::APP_PASSWORD if !self.may_send_password(options) => {
                        self.refuse_clear_text(message);
                    }
                    name if ExtendedCall::is_later(name) => {
                        let reply = self.reply(message, started);
                        let (session, controls) = (&self.session, &message.controls);
                        let call = ExtendedCall { session, id, request, controls, reply };
                        let step = self.door.directory.extended_later(call);
                        return self.queue(step);
                    }
                    _ => {
                        let out = self.output.buffer();
                        self.door.directory.extended(&self.session, id, request, &message.controls, out);
                    }
                }
            }
            Request::Abandon(_) | Request::Unbind => {}
        }
        if let Some(started) = started {
            let mut record = Record::new(message, started);
            record.count(self.output.buffer().get(start..).unwrap_or_default());
            record.finish(self.mailbox.id, id, self.session.requester.dn(), self.door.clock.monotonic());
        }
    }

    /// A change: the writer answers.
    fn update(&mut self, message: &Message<'_>, started: Option<Duration>) {
        let reply = self.reply(message, started);
        let step = self.door.directory.update(&self.session, message.id, &message.request, &message.controls, reply);
        self.queue(step);
    }

    /// Passwords in a change are hashed first. Where the line is full the step is dropped and says so itself.
    fn queue(&self, step: UpdateStep) {
        if let UpdateStep::Hash(job) = step {
            let _ = self.door.hashing.run(job);
        }
    }

    /// Notes that somebody else answers `message`, and how.
    fn reply(&mut self, message: &Message<'_>, started: Option<Duration>) -> Reply {
        let address = self.expect(message, started);
        Box::new(move |response| address.send(MailBody::Response(response)))
    }

    /// Runs a bind, or has it run; says whether the answer comes later.
    fn bind(
        &mut self,
        message: &Message<'_>,
        request: &BindRequest<'_>,
        started: Option<Duration>,
        options: &Options,
    ) -> bool {
        let exchange = self.session.exchange.take();
        self.become_nobody();
        let sends_password =
            matches!(&request.authentication, Authentication::Simple(password) if !password.is_empty());
        if sends_password && !self.may_send_password(options) {
            self.door.metrics.binds_total.increment();
            self.door.metrics.binds_failed_total.increment();
            self.refuse_clear_text(message);
            return false;
        }
        match self.door.directory.bind(&self.session, message.id, request, &message.controls, exchange) {
            BindStep::Done(outcome) => {
                self.bound(outcome);
                false
            }
            BindStep::Hash(decide) => {
                let address = self.expect(message, started);
                self.is_binding = true;
                if self.door.hashing.run(move || address.send(MailBody::Bound(decide()))).is_err() {
                    self.is_binding = false;
                    self.answer_busy(message);
                }
                true
            }
        }
    }

    /// RFC 4511 4.2.1: whoever sends a bind, a broken one too, is nobody from then on until one succeeds.
    fn become_nobody(&mut self) {
        self.session.transactions.abort(self.output.buffer());
        let nobody = self.session.requester.with_identity(RequesterKind::Anonymous, Proved::None);
        self.session = Session::new(nobody, self.session.connection.clone());
    }

    /// RFC 4511 4.14.
    fn start_tls(&mut self, message: &Message<'_>, request: &ExtendedRequest<'_>, has_more: bool) {
        if has_more {
            // Whoever sends on in clear text before TLS is there is not the client, or must not be believed.
            self.work.abandon_searches();
            self.disconnect(ResultCode::PROTOCOL_ERROR, "something was sent behind StartTLS before its answer");
            return;
        }
        let (code, text) = if request.value.is_some() {
            (ResultCode::PROTOCOL_ERROR, "StartTLS has no value")
        } else if self.session.connection.unix.is_some() {
            (ResultCode::PROTOCOL_ERROR, "there is no TLS on a local socket, which needs none")
        } else if self.door.tls.load().is_none() {
            (ResultCode::PROTOCOL_ERROR, "there is no TLS here: the settings tls.certificate and tls.key give it")
        } else if self.session.connection.tls.is_some() {
            (ResultCode::OPERATIONS_ERROR, "TLS is spoken already")
        } else if !self.work.is_empty() {
            (ResultCode::OPERATIONS_ERROR, "other requests are still at work")
        } else if message.controls.iter().any(|control| control.critical) {
            (ResultCode::UNAVAILABLE_CRITICAL_EXTENSION, "StartTLS takes no control")
        } else {
            self.phase = Phase::StartingTls;
            (ResultCode::SUCCESS, "")
        };
        let result = LdapResult::new(code, text);
        response::extended(self.output.buffer(), message.id, &result, Some(extended::START_TLS), None, &[]);
    }

    /// RFC 3909.
    fn cancel(&mut self, message: &Message<'_>, request: &ExtendedRequest<'_>) {
        if message.controls.iter().any(|control| control.critical) {
            return self.refuse(message, ResultCode::UNAVAILABLE_CRITICAL_EXTENSION, "Cancel takes no control");
        }
        match extended::cancel_id(request.value) {
            Ok(id) => {
                let code = self.work.cancel(id, self.output.buffer());
                let kind = ResponseKind::Extended;
                response::result(self.output.buffer(), message.id, kind, &LdapResult::plain(code), &[]);
            }
            Err(error) => self.refuse(message, error.code, &error.detail),
        }
    }

    /// Whether a password may come over this connection.
    fn may_send_password(&self, options: &Options) -> bool {
        self.may_come(options.clear_text)
    }

    fn may_come(&self, in_clear: ClearText) -> bool {
        let facts = &self.session.connection;
        facts.tls.is_some()
            || facts.unix.is_some()
            || match in_clear {
                ClearText::Everywhere => true,
                ClearText::Loopback => facts.is_local,
                ClearText::Refused => false,
            }
    }

    fn refuse_clear_text(&mut self, message: &Message<'_>) {
        let text = "a password may not come in clear text; use StartTLS or ldaps";
        self.refuse(message, ResultCode::CONFIDENTIALITY_REQUIRED, text);
    }

    /// Answers with a code and a text.
    fn refuse(&mut self, message: &Message<'_>, code: ResultCode, text: &str) {
        if let Some(kind) = ResponseKind::of_request(message.request.operation_tag()) {
            response::result(self.output.buffer(), message.id, kind, &LdapResult::new(code, text), &[]);
        }
    }

    /// The return address was dropped with the job and says "lost"; this answer is the better one and comes first.
    fn answer_busy(&mut self, message: &Message<'_>) {
        self.work.abandon(message.id);
        if message.request.operation_tag() == operation_tag::BIND {
            self.door.metrics.binds_total.increment();
            self.door.metrics.binds_failed_total.increment();
        }
        self.refuse(message, ResultCode::BUSY, "too many passwords are being checked; try again later");
    }

    /// Notes that somebody else answers `message`.
    fn expect(&mut self, message: &Message<'_>, started: Option<Duration>) -> ReturnAddress {
        let record = started.map(|started| Record::new(message, started));
        let serial = self.work.expect(message.id, message.request.operation_tag(), record);
        ReturnAddress::new(&self.mailbox, serial)
    }

    /// The time, when the log wants to know how long things take.
    fn started(&self) -> Option<Duration> {
        operation_log::is_wanted().then(|| self.door.clock.monotonic())
    }

    /// The log's line for what has no answer.
    fn log(&self, message: &Message<'_>, started: Option<Duration>) {
        if let Some(started) = started {
            Record::new(message, started).finish(
                self.mailbox.id,
                message.id,
                self.session.requester.dn(),
                self.door.clock.monotonic(),
            );
        }
    }
}

/// Whether a client must be able to ask it to find out how to get TLS (RFC 4513 3.1.1).
fn is_for_everybody(request: &Request<'_>) -> bool {
    match request {
        Request::Extended(request) => request.name == extended::START_TLS,
        Request::Search(search) => search.base.is_empty() && search.scope == Scope::Base,
        _ => false,
    }
}
