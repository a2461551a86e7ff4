//! SASL (RFC 4422, RFC 4513 5.2): which mechanisms a connection is offered, and one module for each.
//!
//! ```text
//! external   the carrier of the connection vouches        plain   name and password (RFC 4616)
//! certificate   from a client certificate to an entry     scram   proof of a password (RFC 5802, RFC 7677)
//! token      OAUTHBEARER (RFC 7628)                       options   settings
//! gssapi     Kerberos (RFC 4752), if built with it         principal   from a Kerberos principal to an entry
//! ```
//!
//! Invariants
//! - What is not offered on a connection is refused on it: `supportedSASLMechanisms` is what [`Directory::mechanisms`] says.
//! - Every mechanism ends in [`Directory::accept`]: lockout, and acting as somebody else, are judged there and nowhere
//!   else.
//! - An exchange lives from one bind to the next: anything else that the client does ends it.

mod certificate;
mod external;
#[cfg(feature = "gssapi")]
mod gssapi;
mod options;
mod plain;
mod principal;
mod scram;
mod token;

#[cfg(feature = "gssapi")]
pub(super) use gssapi::Pending as KerberosPending;
#[cfg(feature = "gssapi")]
pub use gssapi::kerberos_is_ready;
pub use options::{CertificateRule, LocalUserOptions, SaslOptions};
pub use principal::{KerberosOptions, Principal, PrincipalRule};
pub(super) use token::KeyCache;
pub use token::{Fetch, KeySource, TokenOptions};

use super::bind::{Ask, BindOutcome, BindStep};
use super::{Directory, OperationError, Outcome, Session};
use crate::model::ResultCode;
use crate::policy::requester::Authentication;
use crate::policy::scram::ScramHash;
use crate::wire::LdapResult;
use std::sync::Arc;

/// The mechanisms' names.
pub const EXTERNAL: &str = "EXTERNAL";
/// RFC 4752.
#[cfg(feature = "gssapi")]
pub const GSSAPI: &str = "GSSAPI";
/// RFC 7628.
pub const OAUTHBEARER: &str = "OAUTHBEARER";
/// RFC 4616.
pub const PLAIN: &str = "PLAIN";

/// What one bind leaves to the next one of the same mechanism.
#[derive(Debug)]
pub struct SaslExchange {
    mechanism: String,
    state: ExchangeState,
}

#[derive(Debug)]
enum ExchangeState {
    /// An empty challenge was sent; the client's first message comes.
    Asked,
    #[cfg(feature = "gssapi")]
    Gssapi(Box<gssapi::Negotiation>),
    Scram(Box<scram::Challenged>),
    /// The client was told that its token is not taken, and says that it has heard.
    TokenRefused,
}

impl Directory {
    /// The mechanisms that this connection may use, best first.
    pub fn mechanisms(&self, session: &Session) -> Vec<&'static str> {
        let options = self.options();
        let facts = &session.connection;
        let mut offered = Vec::with_capacity(8);
        if facts.unix.is_some() || facts.tls.as_ref().is_some_and(|tls| tls.client.is_some()) {
            offered.push(EXTERNAL);
        }
        #[cfg(feature = "gssapi")]
        if options.sasl.kerberos.is_some() {
            offered.push(GSSAPI);
        }
        for hash in ScramHash::ALL.into_iter().rev().filter(|hash| options.scram.contains(hash)) {
            if has_binding(session) {
                offered.push(hash.mechanism_plus());
            }
            offered.push(hash.mechanism());
        }
        if is_confidential(&options.sasl, session) {
            if options.sasl.token.is_some() {
                offered.push(OAUTHBEARER);
            }
            if options.sasl.plain {
                offered.push(PLAIN);
            }
        }
        offered
    }

    /// The mechanisms that TLS would add.
    fn over_tls(&self, session: &Session) -> Vec<&'static str> {
        let options = self.options();
        if session.connection.unix.is_some() || session.connection.tls.is_some() {
            return Vec::new();
        }
        let mut more = vec![EXTERNAL];
        if !is_confidential(&options.sasl, session) {
            more.extend(options.sasl.token.is_some().then_some(OAUTHBEARER));
            more.extend(options.sasl.plain.then_some(PLAIN));
        }
        more
    }

    /// One bind of a mechanism.
    ///
    /// # Errors
    /// - authMethodNotSupported: a mechanism that this connection is not offered, an empty name (which aborts an exchange,
    ///   RFC 4511 4.2.1) among them.
    /// - confidentialityRequired: it would show a secret, and the connection is clear.
    /// - invalidCredentials, protocolError; storage.
    pub(super) fn sasl(
        self: &Arc<Self>,
        session: &Session,
        ask: &mut Ask,
        mechanism: &str,
        credentials: Option<&[u8]>,
        exchange: Option<Box<SaslExchange>>,
    ) -> Outcome<BindStep> {
        let offered = self.mechanisms(session);
        // What vouches for EXTERNAL is looked at there, which says better what is missing.
        let known = offered.iter().copied().chain([EXTERNAL]).find(|known| known.eq_ignore_ascii_case(mechanism));
        let Some(mechanism) = known else {
            let options = self.options();
            let shows = (mechanism.eq_ignore_ascii_case(PLAIN) && options.sasl.plain)
                || (mechanism.eq_ignore_ascii_case(OAUTHBEARER) && options.sasl.token.is_some());
            return Err(match shows {
                true => OperationError::new(
                    ResultCode::CONFIDENTIALITY_REQUIRED,
                    "this mechanism would show a secret in clear text; use StartTLS or ldaps",
                ),
                false => OperationError::new(
                    ResultCode::AUTH_METHOD_NOT_SUPPORTED,
                    not_offered(&offered, &self.over_tls(session)),
                ),
            });
        };
        let exchange = exchange.filter(|exchange| exchange.mechanism == mechanism).map(|exchange| exchange.state);
        ask.authentication = Authentication::Sasl(mechanism.to_owned());
        let exchange = exchange.filter(|state| !matches!(state, ExchangeState::Asked));
        // RFC 4422 3: in all of them the client speaks first; one that said nothing yet is asked to, by an empty challenge.
        // Who says nothing with EXTERNAL has nothing to say.
        if credentials.is_none() && exchange.is_none() && mechanism != EXTERNAL {
            let result = LdapResult::plain(ResultCode::SASL_BIND_IN_PROGRESS);
            let mut outcome = BindOutcome::of(ask.id, ask.nobody.clone(), &result, Some(b""), &[]);
            let state = ExchangeState::Asked;
            outcome.exchange = Some(Box::new(SaslExchange { mechanism: mechanism.to_owned(), state }));
            return Ok(BindStep::Done(outcome));
        }
        match mechanism {
            EXTERNAL => self.external(session, ask, credentials),
            #[cfg(feature = "gssapi")]
            GSSAPI => self.gssapi(session, ask, credentials, exchange),
            PLAIN => self.plain(ask, credentials),
            OAUTHBEARER => self.token(ask, credentials, exchange.as_ref()),
            _ => self.scram(session, ask, mechanism, credentials, exchange),
        }
    }
}

/// What to do about a mechanism that is not offered.
fn not_offered(offered: &[&str], over_tls: &[&str]) -> String {
    let mut text = match offered {
        [] => "this connection has no SASL mechanism".to_owned(),
        _ => format!("the SASL mechanisms of this connection are: {}", offered.join(" ")),
    };
    if !over_tls.is_empty() {
        let certificate = if over_tls.contains(&EXTERNAL) { " (EXTERNAL with a client certificate)" } else { "" };
        text.push_str(&format!("; TLS (StartTLS or ldaps) adds: {}{certificate}", over_tls.join(" ")));
    }
    text
}

/// Whether a secret may be shown on this connection.
fn is_confidential(options: &SaslOptions, session: &Session) -> bool {
    session.connection.tls.is_some() || session.connection.unix.is_some() || options.plain_without_tls
}

fn has_binding(session: &Session) -> bool {
    session.connection.tls.as_ref().is_some_and(|tls| tls.exporter.is_some() || tls.end_point.is_some())
}

fn malformed(what: &str) -> OperationError {
    OperationError::new(ResultCode::PROTOCOL_ERROR, format!("the SASL credentials are not those of {what}"))
}

/// Refused, with a reason that tells nothing about anybody.
fn refused(text: impl Into<String>) -> OperationError {
    OperationError::new(ResultCode::INVALID_CREDENTIALS, text)
}
