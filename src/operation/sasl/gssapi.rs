//! SASL GSSAPI (RFC 4752): a Kerberos ticket for this service says who the client is.
//!
//! ```text
//! client  token                          server  token, or at once the offer
//! client  (empty)                        server  offer: layers, longest message; wrapped
//! client  choice, whom to act as         server  success
//! ```
//!
//! The only security layer on offer is none: what protects the connection afterwards is TLS, whose channel the ticket is bound
//! to where the client binds it (`tls-server-end-point`, RFC 5929). The library reads files and waits for disks, so each step
//! runs where passwords are hashed.
//!
//! Invariants
//! - A context that waits for its client's next bind is one of at most [`PENDING_MAX`], and has at most [`STEPS_MAX`] steps.
//! - Only Kerberos is taken (RFC 4752 3): not what SPNEGO negotiates.
//! - Why a ticket is not taken is for the log alone; the client hears invalidCredentials.

mod acceptor;

use super::principal::{KerberosOptions, Principal, PrincipalRule};
use super::{ExchangeState, GSSAPI, SaslExchange, malformed};
use crate::dit::{Entry, View};
use crate::model::ResultCode;
use crate::operation::act_as::may_bind;
use crate::operation::bind::verdict::{Proof, Who};
use crate::operation::bind::{Ask, BindOutcome, BindStep, invalid_credentials};
use crate::operation::{Directory, OperationError, Outcome, Session};
use crate::wire::LdapResult;
use acceptor::Acceptor;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Contexts that wait for their clients at one time; each is some ten kilobytes.
const PENDING_MAX: usize = 1_024;
/// Binds of one exchange: Kerberos takes three.
const STEPS_MAX: u32 = 8;
/// Longest message, in bytes: Windows makes tickets of up to 48,000.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// RFC 4752 3.3: no security layer, and therefore no longest message.
const OFFER: [u8; 4] = [NO_LAYER, 0, 0, 0];
/// The bit of the layer that is none.
const NO_LAYER: u8 = 1;

/// How many contexts wait for their clients.
#[derive(Clone, Default, Debug)]
pub(in crate::operation) struct Pending(Arc<AtomicUsize>);

/// One of them; it is one less when this goes.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Pending {
    fn take(&self) -> Option<Place> {
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
            (count < PENDING_MAX).then_some(count.saturating_add(1))
        });
        taken.is_ok().then(|| Place(Arc::clone(&self.0)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An exchange between two binds.
#[derive(Debug)]
pub(super) struct Negotiation {
    acceptor: Acceptor,
    stage: Stage,
    steps: u32,
    _place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Tokens go to and fro.
    Authenticating,
    /// The client's ticket is taken; it answers to the server's with nothing.
    Acknowledging,
    /// The layers were offered.
    Choosing,
}

/// What comes of one message.
enum Step {
    /// The client is to go on after this.
    Challenge(Vec<u8>),
    /// Who it is, and whom to act as.
    Proved { principal: String, authorization_id: String },
}

impl Directory {
    pub(super) fn gssapi(
        self: &Arc<Self>,
        session: &Session,
        ask: &mut Ask,
        credentials: Option<&[u8]>,
        exchange: Option<ExchangeState>,
    ) -> Outcome<BindStep> {
        let Some(options) = self.options().sasl.kerberos.clone() else { return Err(invalid_credentials()) };
        let message = credentials.unwrap_or_default().to_vec();
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(malformed("GSSAPI: a token of at most 64 KiB (RFC 4752)"));
        }
        let negotiation = match exchange {
            Some(ExchangeState::Gssapi(negotiation)) => Some(negotiation),
            _ => None,
        };
        let end_point = session.connection.tls.as_ref().and_then(|tls| tls.end_point.as_deref());
        let binding = end_point.map(|hash| [b"tls-server-end-point:", hash].concat());
        let (directory, ask) = (Arc::clone(self), ask.clone());
        Ok(BindStep::Hash(Box::new(move || {
            directory
                .negotiate(ask.clone(), &options, negotiation, &message, binding.as_deref())
                .unwrap_or_else(|error| ask.failure(&error))
        })))
    }

    fn negotiate(
        self: &Arc<Self>,
        mut ask: Ask,
        options: &KerberosOptions,
        negotiation: Option<Box<Negotiation>>,
        message: &[u8],
        binding: Option<&[u8]>,
    ) -> Outcome<BindOutcome> {
        let mut negotiation = match negotiation {
            Some(negotiation) => negotiation,
            None => self.begin(options)?,
        };
        match negotiation.step(message, binding)? {
            Step::Challenge(challenge) => {
                let result = LdapResult::plain(ResultCode::SASL_BIND_IN_PROGRESS);
                let mut outcome = BindOutcome::of(ask.id, ask.nobody, &result, Some(&challenge), &[]);
                let state = ExchangeState::Gssapi(negotiation);
                outcome.exchange = Some(Box::new(SaslExchange { mechanism: GSSAPI.to_owned(), state }));
                Ok(outcome)
            }
            Step::Proved { principal, authorization_id } => {
                let snapshot = self.dit.read()?;
                let view = snapshot.view();
                let Some(entry) = self.entry_of_principal(view, options, &principal)? else {
                    tracing::info!(%principal, "no entry belongs to this principal; see sasl.principal_map");
                    return Err(invalid_credentials());
                };
                let who = Who::Entry(self.identity_of(view, &entry)?, self.account(view, &entry)?);
                ask.authorization_id = authorization_id;
                Ok(self.accept(&ask, who, Proof::Other, None))
            }
        }
    }

    fn begin(&self, options: &KerberosOptions) -> Outcome<Box<Negotiation>> {
        let place = self.kerberos_pending.take().ok_or_else(|| {
            OperationError::new(ResultCode::BUSY, "too many Kerberos exchanges are not finished; try again later")
        })?;
        let acceptor = Acceptor::new(&options.keytab, &options.principal).map_err(|error| {
            tracing::warn!(%error, "GSSAPI cannot be served");
            OperationError::new(ResultCode::UNAVAILABLE, "this server cannot use its Kerberos key; its log says why")
        })?;
        Ok(Box::new(Negotiation { acceptor, stage: Stage::Authenticating, steps: 0, _place: place }))
    }

    /// The entry that a principal means.
    fn entry_of_principal<'v>(
        &self,
        view: View<'v>,
        options: &KerberosOptions,
        text: &str,
    ) -> Outcome<Option<Entry<'v>>> {
        let Some(principal) = Principal::parse(text) else { return Ok(None) };
        let service = Principal::parse(&options.principal);
        let settings = self.options();
        for rule in &options.map {
            let found = match rule {
                PrincipalRule::Principal { attribute } => self.user_with(view, attribute, text)?,
                PrincipalRule::Realm { realm, attribute } => match principal.user_of(realm) {
                    Some(name) => self.user_with(view, attribute, name)?,
                    None => None,
                },
                PrincipalRule::User => match service.as_ref().and_then(|service| principal.user_of(&service.realm)) {
                    Some(name) => self.user_with(view, &settings.sasl.user_attribute, name)?,
                    None => None,
                },
            };
            if let Some(entry) = found.filter(may_bind) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}

impl Negotiation {
    fn step(&mut self, message: &[u8], binding: Option<&[u8]>) -> Outcome<Step> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(malformed("GSSAPI: three messages (RFC 4752)"));
        }
        let refused = |error: acceptor::AcceptError| {
            tracing::info!(%error, "a Kerberos ticket was not taken");
            invalid_credentials()
        };
        match self.stage {
            // RFC 4422 5: whoever sends no first message is asked for it.
            Stage::Authenticating if message.is_empty() && self.steps == 1 => Ok(Step::Challenge(Vec::new())),
            Stage::Authenticating => {
                let answer = self.acceptor.accept(message, binding).map_err(refused)?;
                match (answer, self.acceptor.is_complete()) {
                    (Some(token), true) => {
                        self.stage = Stage::Acknowledging;
                        Ok(Step::Challenge(token))
                    }
                    (None, true) => self.offer().map_err(refused),
                    (token, false) => Ok(Step::Challenge(token.unwrap_or_default())),
                }
            }
            Stage::Acknowledging if message.is_empty() => self.offer().map_err(refused),
            Stage::Acknowledging => Err(malformed("GSSAPI: an empty message after the server's token (RFC 4752 3.1)")),
            Stage::Choosing => {
                let choice = self.acceptor.unwrap(message).map_err(refused)?;
                let authorization_id = choice_of(&choice)
                    .ok_or_else(|| malformed("GSSAPI: no security layer, and an identity in UTF-8 (RFC 4752 3.3)"))?;
                let principal = self.acceptor.client().map_err(refused)?;
                Ok(Step::Proved { principal, authorization_id })
            }
        }
    }

    fn offer(&mut self) -> Result<Step, acceptor::AcceptError> {
        self.stage = Stage::Choosing;
        Ok(Step::Challenge(self.acceptor.wrap(&OFFER)?))
    }
}

/// Whom a client wants to act as, once it has chosen no security layer (RFC 4752 3.1). Of its longest message, which means
/// nothing then, nothing is asked: some clients send one.
fn choice_of(message: &[u8]) -> Option<String> {
    let (head, authorization_id) = message.split_at_checked(OFFER.len())?;
    if head.first() != Some(&NO_LAYER) {
        return None;
    }
    String::from_utf8(authorization_id.to_vec()).ok()
}

/// Whether the key of the service can be read: what is wrong, and what to do.
///
/// # Errors
/// What an administrator is to do about it.
pub fn kerberos_is_ready(keytab: &Path, principal: &str) -> Result<(), String> {
    Acceptor::new(keytab, principal).map(|_| ()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4752 3.3; T-10.
    #[test]
    fn a_choice_is_no_layer_or_refused() {
        assert_eq!(choice_of(&[1, 0, 0, 0]).as_deref(), Some(""));
        assert_eq!(choice_of(b"\x01\x00\x00\x00u:ann").as_deref(), Some("u:ann"));
        assert_eq!(choice_of(b"\x01\x00\xff\xffu:ann").as_deref(), Some("u:ann"));
        for bad in
            [&b""[..], &[1, 0, 0], &[0, 0, 0, 0], &[2, 0, 0, 0], &[4, 0, 0, 0], &[7, 0, 0, 0], &[1, 0, 0, 0, 0xff]]
        {
            assert_eq!(choice_of(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn places_are_bounded_and_come_back() {
        let pending = Pending::default();
        let places: Vec<Place> = std::iter::from_fn(|| pending.take()).take(PENDING_MAX + 1).collect();
        assert_eq!(places.len(), PENDING_MAX);
        drop(places);
        assert!(pending.take().is_some());
    }

    #[test]
    fn a_keytab_that_is_not_there_is_said_so() {
        let text = kerberos_is_ready(Path::new("/nowhere/keytab"), "ldap/host@R").unwrap_err();
        assert!(text.contains("/nowhere/keytab") && text.contains("sasl.keytab"), "{text}");
    }
}
