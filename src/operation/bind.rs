//! Bind (RFC 4511 4.2, RFC 4513 5): who is the client, and can it prove it?
//!
//! The cheap part is done at once: the name is looked up, digests are compared. What takes milliseconds by design
//! (Argon2, PBKDF2, bcrypt, crypt) is handed back as a closure that owns what it needs, to be run where nobody waits
//! behind it and no snapshot is open.
//!
//! Invariants
//! - One code and one text for an unknown name, a name without password and a wrong password; and the same time:
//!   a failure costs at least one verification of what new passwords are stored as ([`dummy_verify`]).
//! - Whatever is not success leaves the requester anonymous.
//! - An empty password never authenticates (RFC 4513 5.1.2).
//!
//! Not here: whether a password may come in clear text, and taking the old identity away (`server`).

use std::sync::Arc;

use zeroize::Zeroizing;

use super::control::{RequestControls, RequestKind};
use super::{Directory, OperationError, Session};
use crate::dit::{Entry, View};
use crate::model::{Dn, ResultCode};
use crate::policy::password_hash::{Verdict, dummy_verify, is_costly, verify};
use crate::policy::requester::{Authentication, Requester, RequesterKind};
use crate::storage::{ENTRY_LOSER, ENTRY_PHANTOM};
use crate::wire::control::{AUTHORIZATION_IDENTITY_REQUEST, AUTHORIZATION_IDENTITY_RESPONSE};
use crate::wire::{self, BindRequest, Controls, LdapResult, ResponseControl, response};

/// Costly values of one name that are tried; an entry with more has them ignored, as each costs some 20 ms.
const COSTLY_VALUES_MAX: usize = 8;

/// How far a bind got.
pub enum BindStep {
    /// It is decided.
    Done(BindOutcome),
    /// Calling this decides it; takes 20 ms and more of a core, and up to 19 MiB and more of memory.
    Hash(Box<dyn FnOnce() -> BindOutcome + Send>),
}

/// A decided bind.
pub struct BindOutcome {
    /// Who the client is from now on: anonymous after anything but success.
    pub requester: Requester,
    /// The result, for counting.
    pub code: ResultCode,
    /// The BindResponse, a complete PDU.
    pub response: Vec<u8>,
}

impl BindOutcome {
    fn success(id: i32, requester: Requester) -> Self {
        let mut response = Vec::with_capacity(16);
        response::bind_result(&mut response, id, &LdapResult::plain(ResultCode::SUCCESS), None, &[]);
        Self { requester, code: ResultCode::SUCCESS, response }
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

    fn failure(id: i32, nobody: Requester, error: &OperationError) -> Self {
        let mut response = Vec::new();
        let result = LdapResult {
            code: error.code,
            matched_dn: &error.matched_dn,
            diagnostic: &error.diagnostic,
            referrals: &error.referrals,
        };
        response::bind_result(&mut response, id, &result, None, &[]);
        Self { requester: nobody, code: error.code, response }
    }
}

/// A stored password; wiped when dropped.
type Stored = Zeroizing<Vec<u8>>;

/// An identity that a password may prove.
struct Claim {
    kind: RequesterKind,
    /// Its costly stored passwords.
    costly: Vec<Stored>,
}

impl Directory {
    /// Decides a bind as far as that is cheap. `session.requester` is anonymous already.
    ///
    /// Cost: a look-up of the name and of one entry. Controls: those of binds in `control`.
    pub fn bind(
        self: &Arc<Self>,
        session: &Session,
        id: i32,
        request: &BindRequest<'_>,
        controls: &Controls<'_>,
    ) -> BindStep {
        let nobody = session.requester.with_identity(RequesterKind::Anonymous, Authentication::None);
        let is_told = controls.find(AUTHORIZATION_IDENTITY_REQUEST).is_some();
        match self.try_bind(session, id, request, controls) {
            Ok(BindStep::Done(outcome)) if is_told => BindStep::Done(outcome.telling()),
            Ok(BindStep::Hash(decide)) if is_told => BindStep::Hash(Box::new(move || decide().telling())),
            Ok(step) => step,
            Err(error) => BindStep::Done(BindOutcome::failure(id, nobody, &error)),
        }
    }

    fn try_bind(
        &self,
        session: &Session,
        id: i32,
        request: &BindRequest<'_>,
        controls: &Controls<'_>,
    ) -> Result<BindStep, OperationError> {
        RequestControls::read(controls, RequestKind::Bind)?;
        if request.version != 3 {
            let text = format!("protocol version {} is not served; use 3", request.version);
            return Err(OperationError::new(ResultCode::PROTOCOL_ERROR, text));
        }
        match request.authentication {
            wire::Authentication::Simple(password) => self.simple(session, id, request.name, password),
            wire::Authentication::Sasl { mechanism, credentials } => {
                let (kind, authentication) = self.sasl(session, mechanism, credentials)?;
                let requester = session.requester.with_identity(kind, authentication);
                Ok(BindStep::Done(BindOutcome::success(id, requester)))
            }
            wire::Authentication::Unknown(tag) => {
                let text = format!("authentication choice {tag:#04x} is not served; use simple or SASL");
                Err(OperationError::new(ResultCode::AUTH_METHOD_NOT_SUPPORTED, text))
            }
        }
    }

    fn simple(&self, session: &Session, id: i32, name: &str, password: &[u8]) -> Result<BindStep, OperationError> {
        let nobody = &session.requester;
        match (name.is_empty(), password.is_empty()) {
            (true, true) => return Ok(BindStep::Done(BindOutcome::success(id, nobody.clone()))),
            (true, false) => return Err(invalid_credentials()),
            (false, true) => {
                let text = "a name without a password authenticates nobody; send a password, or neither";
                return Err(OperationError::new(ResultCode::UNWILLING_TO_PERFORM, text));
            }
            (false, false) => {}
        }
        let dn =
            Dn::parse(name).map_err(|error| OperationError::new(ResultCode::INVALID_DN_SYNTAX, error.to_string()))?;
        let mut claims = Vec::with_capacity(1);
        {
            let snapshot = self.dit.read()?;
            let view = snapshot.view();
            let dn_key = view.catalog().schema().dn_key(&dn);
            let entry = match view.resolve(&dn)?.entry {
                Some(found) => view.entry(found)?.filter(may_bind),
                None => None,
            };
            if let Some(entry) = entry {
                let (is_right, costly) = try_entry(view, &entry, password)?;
                if is_right || !costly.is_empty() {
                    let kind = entry_identity(view, &entry, dn_key.clone())?;
                    if is_right {
                        let requester = nobody.with_identity(kind, Authentication::Simple);
                        return Ok(BindStep::Done(BindOutcome::success(id, requester)));
                    }
                    claims.push(Claim { kind, costly });
                }
            }
            // Not an entry of the tree, so that emptying the tree locks nobody out.
            if let Some((administrator, stored)) = self.administrator_named(view, &dn_key)? {
                let kind = RequesterKind::Administrator { dn: administrator };
                if is_costly(&stored) {
                    claims.push(Claim { kind, costly: vec![stored] });
                } else if verify(&stored, password) == Verdict::Match {
                    let requester = nobody.with_identity(kind, Authentication::Simple);
                    return Ok(BindStep::Done(BindOutcome::success(id, requester)));
                }
            }
        }
        let password = Zeroizing::new(password.to_vec());
        let nobody = nobody.clone();
        Ok(BindStep::Hash(Box::new(move || decide(id, nobody, claims, &password))))
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

/// Nobody is known by a name that another entry has, or by one that is only there for what is below it.
pub(super) fn may_bind(entry: &Entry<'_>) -> bool {
    entry.record.flags() & (ENTRY_LOSER | ENTRY_PHANTOM) == 0
}

/// An entry as the requester that it becomes.
pub(super) fn entry_identity(
    view: View<'_>,
    entry: &Entry<'_>,
    dn_key: Vec<u8>,
) -> Result<RequesterKind, OperationError> {
    let mut dn = Vec::with_capacity(64);
    view.write_dn(entry, &mut dn)?;
    Ok(RequesterKind::Entry { uuid: entry.record.uuid(), dn: String::from_utf8_lossy(&dn).into_owned(), dn_key })
}

/// Whether one of the entry's cheap stored passwords fits; else its costly ones.
fn try_entry(view: View<'_>, entry: &Entry<'_>, password: &[u8]) -> Result<(bool, Vec<Stored>), OperationError> {
    let catalog = view.catalog();
    let mut costly = Vec::new();
    let Some(attribute_type) = catalog.schema().attribute_type("userPassword") else { return Ok((false, costly)) };
    for attribute in catalog.of_type(attribute_type.index) {
        let Some(slice) = entry.attribute(*attribute) else { continue };
        for stored in slice.values() {
            if !is_costly(stored) {
                if verify(stored, password) == Verdict::Match {
                    return Ok((true, Vec::new()));
                }
            } else if costly.len() < COSTLY_VALUES_MAX {
                costly.push(Zeroizing::new(stored.to_vec()));
            }
        }
    }
    Ok((false, costly))
}

/// The costly part: tries every claim; with none it costs the same.
fn decide(id: i32, nobody: Requester, claims: Vec<Claim>, password: &[u8]) -> BindOutcome {
    if claims.is_empty() {
        dummy_verify(password);
    }
    for Claim { kind, costly } in claims {
        if costly.iter().any(|stored| verify(stored, password) == Verdict::Match) {
            return BindOutcome::success(id, nobody.with_identity(kind, Authentication::Simple));
        }
    }
    BindOutcome::failure(id, nobody, &invalid_credentials())
}
