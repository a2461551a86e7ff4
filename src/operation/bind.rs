//! Bind (RFC 4511 4.2, RFC 4513 5): who is the client, and can it prove it?
//!
//! The cheap part is done at once: the name is looked up, digests are compared. What takes milliseconds by design
//! (Argon2, PBKDF2, bcrypt, crypt) is handed back as a closure that owns what it needs, to be run where nobody waits
//! behind it and no snapshot is open. Whatever way a client proves who it is, [`verdict`] decides what comes of it.
//!
//! Invariants
//! - One code and one text for an unknown name, a name without password, a wrong password and a locked account; and no
//!   time by which to tell them: whatever is stored and however it fails, a failure costs one verification of what new
//!   passwords are stored as ([`dummy_verify`], unless such a value was verified). What older schemes cost comes on top.
//! - Whatever is not success leaves the requester anonymous.
//! - An empty password never authenticates (RFC 4513 5.1.2).
//!
//! Not here: whether a password may come in clear text, and taking the old identity away (`server`); SASL (`sasl`).

mod throttling;
pub(super) mod verdict;

use std::net::IpAddr;
use std::sync::Arc;

use zeroize::Zeroizing;

pub(super) use super::act_as::may_bind;
use super::app_password::{self, AppPassword};
use super::control::{RequestControls, RequestKind};
use super::lookup;
use super::sasl::SaslExchange;
use super::{Directory, OperationError, Session};
use crate::dit::{Entry, View};
use crate::model::{Dn, ResultCode};
use crate::policy::password_hash::{Verdict, dummy_verify, is_costly, spent_a_hash, verify};
use crate::policy::password_policy::Standing;
use crate::policy::requester::{Authentication, Requester, RequesterKind};
use crate::policy::throttle::BindAttempt;
use crate::wire::control::{AUTHORIZATION_IDENTITY_REQUEST, AUTHORIZATION_IDENTITY_RESPONSE};
use crate::wire::password_policy::password_policy;
use crate::wire::{self, BindRequest, Controls, LdapResult, ResponseControl, response};
use verdict::{Proof, Who};

/// Costly values of one name that are tried; an entry with more has them ignored, as each costs some 20 ms.
const COSTLY_VALUES_MAX: usize = 8;

/// How far a bind got.
pub enum BindStep {
    /// It is decided.
    Done(BindOutcome),
    /// Calling this decides it; takes 20 ms and more of a core, and up to 19 MiB and more of memory.
    Hash(Box<dyn FnOnce() -> BindOutcome + Send>),
}

/// A decided bind, or one step of a SASL exchange.
pub struct BindOutcome {
    /// Who the client is from now on: anonymous after anything but success.
    pub requester: Requester,
    /// Nothing but a change of the password is allowed until that is done.
    pub must_change_password: bool,
    /// It was proved with a secret of one program.
    pub by_app_password: bool,
    /// What the next bind of the exchange goes on with.
    pub exchange: Option<Box<SaslExchange>>,
    /// The result, for counting.
    pub code: ResultCode,
    /// The BindResponse, a complete PDU.
    pub response: Vec<u8>,
    /// What is left to do when the answer is on its way: hashing, so for the hashing pool.
    pub afterwards: Option<Box<dyn FnOnce() + Send>>,
}

/// A stored password; wiped when dropped.
pub(super) type Stored = Zeroizing<Vec<u8>>;

/// What a bind asks for beside the proof.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) id: i32,
    /// The client as it is before.
    pub(super) nobody: Requester,
    /// Where it comes from; `None`: a local socket.
    pub(super) address: Option<IpAddr>,
    /// What a password policy has to say is said in a control.
    pub(super) says_policy: bool,
    pub(super) authentication: Authentication,
    /// Whom to act as; empty: who is proved.
    pub(super) authorization_id: String,
}

impl Ask {
    pub(super) fn failure(&self, error: &OperationError) -> BindOutcome {
        let policy = self.says_policy.then(|| password_policy(None, error.password));
        BindOutcome::failure(self.id, self.nobody.clone(), error, policy.as_slice())
    }
}

impl BindOutcome {
    pub(super) fn of(
        id: i32,
        requester: Requester,
        result: &LdapResult<'_>,
        sasl: Option<&[u8]>,
        controls: &[ResponseControl],
    ) -> Self {
        let mut response = Vec::with_capacity(32);
        response::bind_result(&mut response, id, result, sasl, controls);
        let code = result.code;
        Self {
            requester,
            must_change_password: false,
            by_app_password: false,
            exchange: None,
            code,
            response,
            afterwards: None,
        }
    }

    /// The same with who the client is now in the response (RFC 3829), where it is somebody or nobody for good.
    fn telling(mut self) -> Self {
        if self.code == ResultCode::SUCCESS {
            let value = Some(self.requester.authorization_id().into_bytes());
            let control = ResponseControl { oid: AUTHORIZATION_IDENTITY_RESPONSE, critical: false, value };
            self.response = response::with_controls(&self.response, &[control]);
        }
        self
    }

    pub(super) fn failure(id: i32, nobody: Requester, error: &OperationError, controls: &[ResponseControl]) -> Self {
        Self::of(id, nobody, &error.as_result(), None, controls)
    }
}

/// An identity that a password may prove.
struct Claim {
    who: Who,
    /// Its costly stored passwords.
    costly: Vec<Stored>,
}

impl Directory {
    /// Decides a bind as far as that is cheap. `session.requester` is anonymous already. `exchange`: what the bind before
    /// left behind.
    ///
    /// Cost: a look-up of the name and of one entry.
    pub fn bind(
        self: &Arc<Self>,
        session: &Session,
        id: i32,
        request: &BindRequest<'_>,
        controls: &Controls<'_>,
        exchange: Option<Box<SaslExchange>>,
    ) -> BindStep {
        let nobody = session.requester.with_identity(RequesterKind::Anonymous, Authentication::None);
        let mut ask = Ask {
            id,
            nobody,
            address: session.connection.address,
            says_policy: false,
            authentication: Authentication::Simple,
            authorization_id: String::new(),
        };
        let is_told = controls.find(AUTHORIZATION_IDENTITY_REQUEST).is_some();
        match self.try_bind(session, &mut ask, request, controls, exchange) {
            Ok(BindStep::Done(outcome)) if is_told => BindStep::Done(outcome.telling()),
            Ok(BindStep::Hash(decide)) if is_told => BindStep::Hash(Box::new(move || decide().telling())),
            Ok(step) => step,
            Err(error) => BindStep::Done(ask.failure(&error)),
        }
    }

    fn try_bind(
        self: &Arc<Self>,
        session: &Session,
        ask: &mut Ask,
        request: &BindRequest<'_>,
        controls: &Controls<'_>,
        exchange: Option<Box<SaslExchange>>,
    ) -> Result<BindStep, OperationError> {
        let controls = RequestControls::read(controls, RequestKind::Bind)?;
        ask.says_policy = controls.password_policy;
        if request.version != 3 {
            let text = format!("protocol version {} is not served; use 3", request.version);
            return Err(OperationError::new(ResultCode::PROTOCOL_ERROR, text));
        }
        match request.authentication {
            wire::Authentication::Simple(password) => self.simple(ask, request.name, password),
            wire::Authentication::Sasl { mechanism, credentials } => {
                self.sasl(session, ask, mechanism, credentials, exchange)
            }
            wire::Authentication::Unknown(tag) => {
                let text = format!("authentication choice {tag:#04x} is not served; use simple or SASL");
                Err(OperationError::new(ResultCode::AUTH_METHOD_NOT_SUPPORTED, text))
            }
        }
    }

    fn simple(self: &Arc<Self>, ask: &Ask, name: &str, password: &[u8]) -> Result<BindStep, OperationError> {
        match (name.is_empty(), password.is_empty()) {
            (true, true) => {
                let (nobody, success) = (ask.nobody.clone(), LdapResult::plain(ResultCode::SUCCESS));
                let policy = ask.says_policy.then(|| password_policy(None, None));
                return Ok(BindStep::Done(BindOutcome::of(ask.id, nobody, &success, None, policy.as_slice())));
            }
            (true, false) => return Err(invalid_credentials()),
            (false, true) => {
                let text = "a name without a password authenticates nobody; send a password, or neither";
                return Err(OperationError::new(ResultCode::UNWILLING_TO_PERFORM, text));
            }
            (false, false) => {}
        }
        let snapshot = self.dit.read()?;
        let view = snapshot.view();
        let dn = match Dn::parse(name) {
            Ok(dn) => Some(dn),
            Err(_) if self.options().sasl.simple_by_user => None,
            Err(error) => return Err(OperationError::new(ResultCode::INVALID_DN_SYNTAX, error.to_string())),
        };
        let attempt = self.attempt(ask.address, dn.as_ref(), name);
        self.admit(attempt)?;
        let entry = match &dn {
            Some(dn) => lookup::named(view, dn)?,
            None => self.user_named(view, name)?,
        };
        self.by_password(ask, view, (entry, dn.as_ref(), name), attempt, password)
    }

    /// Goes on with a password for who is named: an entry, or the administrator if that is its name. Where there is neither it
    /// takes the same time. `attempt` was admitted.
    ///
    /// # Errors
    /// Storage.
    pub(super) fn by_password(
        self: &Arc<Self>,
        ask: &Ask,
        view: View<'_>,
        (entry, dn, name): (Option<Entry<'_>>, Option<&Dn>, &str),
        attempt: BindAttempt,
        password: &[u8],
    ) -> Result<BindStep, OperationError> {
        let mut claims = Vec::with_capacity(1);
        let mut tried = None;
        let done = |outcome: BindOutcome| {
            self.note_outcome(ask, attempt, name, &outcome);
            BindStep::Done(outcome)
        };
        if let Some(entry) = entry.filter(may_bind) {
            let account = self.account(view, &entry)?;
            let is_open = self.standing(&account) == Standing::Open;
            let app = app_password::of(view, &entry, password);
            let attempt = try_entry(view, &entry, password);
            let who = || Ok::<_, OperationError>(Who::Entry(self.identity_of(view, &entry)?, account.clone()));
            // What is not let in takes the long way, so that the time does not tell that the password was right.
            if is_open && let Some(AppPassword { name }) = app {
                return Ok(done(self.accept(ask, who()?, Proof::AppPassword(name), None)));
            }
            if is_open && let Some(stored) = &attempt.fitting {
                let stored = stored.clone();
                let proof = Proof::Password { stored, password: Zeroizing::new(password.to_vec()) };
                return Ok(done(self.accept(ask, who()?, proof, None)));
            }
            let told = attempt.fitting.filter(|_| self.options().tell_locked);
            if !attempt.costly.is_empty() || told.is_some() {
                let costly = told.into_iter().chain(attempt.costly).collect();
                claims.push(Claim { who: who()?, costly });
            }
            tried = Some(account);
        }
        // Not an entry of the tree, so that emptying the tree locks nobody out.
        let administrator = dn.map(|dn| self.administrator_named(view, &view.catalog().schema().dn_key(dn)));
        if let Some((dn, stored)) = administrator.transpose()?.flatten() {
            let who = Who::Administrator(RequesterKind::Administrator { dn });
            if is_costly(&stored) {
                claims.push(Claim { who, costly: vec![stored] });
            } else if verify(&stored, password) == Verdict::Match {
                return Ok(done(self.accept(ask, who, Proof::Other, None)));
            }
        }
        let password = Zeroizing::new(password.to_vec());
        let (directory, ask, name) = (Arc::clone(self), ask.clone(), name.to_owned());
        Ok(BindStep::Hash(Box::new(move || {
            if let Err(error) = directory.admit(attempt) {
                return ask.failure(&error);
            }
            let mut has_spent = false;
            let mut fits = |stored: &Stored| {
                let verdict = verify(stored, &password);
                has_spent |= spent_a_hash(stored, verdict);
                verdict == Verdict::Match
            };
            let proved = claims.into_iter().find_map(|Claim { who, costly }| {
                let stored = costly.into_iter().find(&mut fits)?;
                Some((who, stored))
            });
            let outcome = match proved {
                Some((who, stored)) => {
                    let proof = match &who {
                        Who::Entry(..) => Proof::Password { stored, password: password.clone() },
                        Who::Administrator(_) => Proof::Other,
                    };
                    directory.accept(&ask, who, proof, None)
                }
                None => {
                    if let Some(account) = &tried {
                        directory.note_failure(account);
                    }
                    ask.failure(&invalid_credentials())
                }
            };
            // The right password of a locked account too.
            if outcome.code != ResultCode::SUCCESS && !has_spent {
                dummy_verify(&password);
            }
            directory.note_outcome(&ask, attempt, &name, &outcome);
            outcome
        })))
    }

    /// The administrator as stored, if `dn_key` is its name's.
    pub(super) fn administrator_named(
        &self,
        view: View<'_>,
        dn_key: &[u8],
    ) -> Result<Option<(String, Stored)>, OperationError> {
        let Some((text, stored)) = self.dit.administrator()? else { return Ok(None) };
        let stored = Zeroizing::new(stored);
        let is_named = Dn::parse(&text).is_ok_and(|dn| view.catalog().schema().dn_key(&dn) == dn_key);
        Ok(is_named.then_some((text, stored)))
    }
}

/// The one answer to a wrong name, a wrong password and a name that has none.
pub(super) fn invalid_credentials() -> OperationError {
    OperationError::new(ResultCode::INVALID_CREDENTIALS, "name or password is wrong")
}

/// What comparing the cheap stored passwords came to.
pub(super) struct Attempt {
    pub(super) fitting: Option<Stored>,
    pub(super) costly: Vec<Stored>,
}

/// Which of the entry's cheap stored passwords fits; and its costly ones.
pub(super) fn try_entry(view: View<'_>, entry: &Entry<'_>, password: &[u8]) -> Attempt {
    let catalog = view.catalog();
    let mut attempt = Attempt { fitting: None, costly: Vec::new() };
    let Some(attribute_type) = catalog.schema().attribute_type("userPassword") else { return attempt };
    for attribute in catalog.of_type(attribute_type.index) {
        let Some(slice) = entry.attribute(*attribute) else { continue };
        for stored in slice.values() {
            let owned = || Zeroizing::new(stored.to_vec());
            if !is_costly(stored) {
                if attempt.fitting.is_none() && verify(stored, password) == Verdict::Match {
                    attempt.fitting = Some(owned());
                }
            } else if attempt.costly.len() < COSTLY_VALUES_MAX {
                attempt.costly.push(owned());
            }
        }
    }
    attempt
}
