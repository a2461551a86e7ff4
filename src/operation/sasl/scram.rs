//! SCRAM-SHA-256 and SCRAM-SHA-512, with channel binding as `-PLUS`: where the verifier comes from, and what an unknown
//! name is answered with.
//!
//! A verifier is kept from when the password was set (`scramCredential`), or came with an import (`authPassword`,
//! `{SCRAM-SHA-256}` in `userPassword`), or is made for the occasion where the password is stored in clear.
//!
//! Invariants
//! - Who is not here, or has no verifier, gets a challenge like anybody else: the salt follows from the name, and is the same
//!   on every node and every day.
//! - A failure costs at least one derivation, whichever of these it was.

use super::{ExchangeState, SaslExchange, malformed};
use crate::dit::{Entry, View};
use crate::model::{AttributeDescription, ResultCode};
use crate::operation::act_as::may_bind;
use crate::operation::bind::verdict::{Proof, Who};
use crate::operation::bind::{Ask, BindOutcome, BindStep, invalid_credentials};
use crate::operation::password_policy::Account;
use crate::operation::{Directory, Outcome, Session, TlsFacts, lookup};
use crate::policy::password_hash::{has_scheme, random_bytes};
use crate::policy::scram::{Channel, ClientFirst, Exchange, ScramHash, Verifier};
use crate::policy::throttle::BindAttempt;
use crate::storage::MetaName;
use crate::wire::LdapResult;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Bytes of the server's part of a nonce.
const NONCE_BYTES: usize = 24;
/// Stored values that are looked through for a verifier.
const VALUES_MAX: usize = 16;

/// A challenge was sent.
#[derive(Debug)]
pub(super) struct Challenged {
    exchange: Exchange,
    attempt: BindAttempt,
    name: String,
    authorization_id: String,
    user: Option<(crate::policy::requester::RequesterKind, Account)>,
    secret: Secret,
    /// For what has to be derived.
    hash: ScramHash,
    salt: Vec<u8>,
    iterations: u32,
}

/// What the proof is verified by.
enum Secret {
    Kept(Verifier),
    Clear(Zeroizing<Vec<u8>>),
    Nothing,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Channel for TlsFacts {
    fn binding(&self, kind: &str) -> Option<Vec<u8>> {
        match kind {
            "tls-exporter" => self.exporter.map(|bytes| bytes.to_vec()),
            "tls-server-end-point" => self.end_point.clone(),
            // libldap (cyrus.c) names all its bindings so, and says before the data which one it is; of its two kinds
            // `tls-unique` is not to be had with TLS 1.3.
            "ldap" => self.end_point.as_ref().map(|hash| [b"tls-server-end-point:", hash.as_slice()].concat()),
            _ => None,
        }
    }
}

/// A connection without TLS has no channel to bind.
struct Clear;

impl Channel for Clear {
    fn binding(&self, _: &str) -> Option<Vec<u8>> {
        None
    }
}

impl Directory {
    pub(super) fn scram(
        self: &Arc<Self>,
        session: &Session,
        ask: &mut Ask,
        mechanism: &str,
        credentials: Option<&[u8]>,
        exchange: Option<ExchangeState>,
    ) -> Outcome<BindStep> {
        let message = credentials.unwrap_or_default();
        if let Some(ExchangeState::Scram(challenged)) = exchange {
            return self.finish(ask, *challenged, message);
        }
        let plus = mechanism.strip_suffix("-PLUS");
        let hash = ScramHash::of(plus.unwrap_or(mechanism)).ok_or_else(|| malformed("SCRAM (RFC 5802)"))?;
        let channel: &dyn Channel = match &session.connection.tls {
            Some(tls) => tls.as_ref(),
            None => &Clear,
        };
        let first = ClientFirst::read(message, plus.is_some(), super::has_binding(session), channel)
            .map_err(|error| super::refused(error.to_string()))?;
        let snapshot = self.dit.read()?;
        let view = snapshot.view();
        let options = self.options();
        let mut secret = Secret::Nothing;
        let (mut salt, mut iterations) = (self.made_up_salt(view, &first.user)?, options.scram_iterations);
        let (dn, user) = super::plain::names(&first.user);
        let attempt = self.attempt(ask.address, dn.as_ref(), user.unwrap_or(&first.user));
        self.admit(attempt)?;
        let entry = match (&dn, user) {
            (Some(dn), _) => lookup::named(view, dn)?,
            (None, Some(user)) => self.user_named(view, user)?,
            (None, None) => None,
        };
        let mut who = None;
        if let Some(entry) = entry.filter(may_bind) {
            secret = secret_of(view, &entry, hash);
            if let Secret::Kept(kept) = &secret {
                salt.clone_from(&kept.salt);
                iterations = kept.iterations;
            }
            who = Some((self.identity_of(view, &entry)?, self.account(view, &entry)?));
        }
        let mut nonce = [0; NONCE_BYTES];
        random_bytes(&mut nonce);
        let (authorization_id, name) = (first.authorization_id.clone(), first.user.clone());
        let (challenge, exchange) = first.challenge(&salt, iterations, &STANDARD.encode(nonce));
        let challenged =
            Challenged { exchange, attempt, name, authorization_id, user: who, secret, hash, salt, iterations };
        let result = LdapResult::plain(ResultCode::SASL_BIND_IN_PROGRESS);
        let mut outcome = BindOutcome::of(ask.id, ask.nobody.clone(), &result, Some(challenge.as_bytes()), &[]);
        let state = ExchangeState::Scram(Box::new(challenged));
        outcome.exchange = Some(Box::new(SaslExchange { mechanism: mechanism.to_owned(), state }));
        Ok(BindStep::Done(outcome))
    }

    fn finish(self: &Arc<Self>, ask: &mut Ask, challenged: Challenged, message: &[u8]) -> Outcome<BindStep> {
        let last = challenged.exchange.read_final(message).map_err(|error| super::refused(error.to_string()))?;
        ask.authorization_id.clone_from(&challenged.authorization_id);
        let (directory, ask) = (Arc::clone(self), ask.clone());
        Ok(BindStep::Hash(Box::new(move || {
            let Challenged { attempt, name, user, secret, hash, salt, iterations, .. } = challenged;
            if let Err(error) = directory.admit(attempt) {
                return ask.failure(&error);
            }
            let derive = |password: &[u8]| Verifier::derive(hash, password, &salt, iterations);
            let is_kept = matches!(secret, Secret::Kept(_));
            let verifier = match secret {
                Secret::Kept(verifier) => Some(verifier),
                Secret::Clear(password) => derive(&password),
                Secret::Nothing => derive(b"nobody").filter(|_| false),
            };
            let proved = verifier.and_then(|verifier| last.verify(&verifier).ok());
            let outcome = match (&user, &proved) {
                (Some((kind, account)), Some(word)) => {
                    let who = Who::Entry(kind.clone(), account.clone());
                    directory.accept(&ask, who, Proof::PasswordUnseen, Some(word.as_bytes()))
                }
                _ => {
                    if let Some((_, account)) = &user {
                        directory.note_failure(account);
                    }
                    ask.failure(&invalid_credentials())
                }
            };
            // The right proof of a locked account too.
            if is_kept && outcome.code != ResultCode::SUCCESS {
                std::hint::black_box(derive(b"nobody"));
            }
            directory.note_outcome(&ask, attempt, &name, &outcome);
            outcome
        })))
    }

    /// The salt of a name that has none: the same for ever, on every node of the cluster.
    fn made_up_salt(&self, view: View<'_>, user: &str) -> Outcome<Vec<u8>> {
        let cluster = view.reader().meta(MetaName::Cluster)?.unwrap_or_default();
        let key = blake3::derive_key("entente SCRAM salt of names without a verifier", cluster);
        let hash = blake3::keyed_hash(&key, user.to_lowercase().as_bytes());
        Ok(hash.as_bytes().get(..16).unwrap_or_default().to_vec())
    }
}

fn secret_of(view: View<'_>, entry: &Entry<'_>, hash: ScramHash) -> Secret {
    let mut clear = None;
    for name in ["scramCredential", "authPassword", "userPassword"] {
        let id = AttributeDescription::parse(name).ok().and_then(|name| view.catalog().find(&name));
        let Some(slice) = id.and_then(|id| entry.record.any_attribute(id)) else { continue };
        for value in slice.values().take(VALUES_MAX) {
            if let Some(verifier) = Verifier::parse(value).filter(|verifier| verifier.hash == hash) {
                return Secret::Kept(verifier);
            }
            if name == "userPassword" && !has_scheme(value) && clear.is_none() {
                let text = [&b"{CLEARTEXT}"[..], &b"{CLEAR}"[..]].into_iter().find_map(|scheme| {
                    value
                        .split_at_checked(scheme.len())
                        .filter(|(head, _)| head.eq_ignore_ascii_case(scheme))
                        .map(|(_, rest)| rest)
                });
                clear = Some(Zeroizing::new(text.unwrap_or(value).to_vec()));
            }
        }
    }
    clear.map_or(Secret::Nothing, Secret::Clear)
}
