//! OAUTHBEARER (RFC 7628): a token that an issuer of the settings has signed says who the client is.
//!
//! A token that is not taken is answered with a JSON text first (RFC 7628 3.2.2), so that the client knows to get another
//! one; when it has said that it heard, the bind fails. Why a token is not taken is for the log alone.
//!
//! Invariants
//! - The keys come from a file, or from the one URL of the settings; nothing in a token says where to look.
//! - They are read again at most every [`READ_AGAIN_S`] seconds, however many tokens come that no key fits.

use super::{ExchangeState, OAUTHBEARER, SaslExchange, malformed};
use crate::model::ResultCode;
use crate::operation::act_as::may_bind;
use crate::operation::bind::verdict::{Proof, Who};
use crate::operation::bind::{Ask, BindOutcome, BindStep, invalid_credentials};
use crate::operation::{Directory, Outcome};
use crate::policy::token::{KEY_SET_BYTES_MAX, KeySet, TokenError, TokenRules, verify};
use crate::wire::LdapResult;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The keys are not read again sooner because a token fits none of them.
const READ_AGAIN_S: u64 = 60;
/// They are read again after so long in any case: a key that the issuer takes back is gone then.
const KEPT_S: u64 = 3_600;
/// What the log calls who sent a token that proves nothing.
const TOKEN: &str = "(a token)";
/// Longest message, in bytes.
const MESSAGE_BYTES_MAX: usize = 20 * 1024;

/// Settings of tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenOptions {
    /// What a token must say.
    pub rules: TokenRules,
    /// Where the issuer's keys are.
    pub keys: KeySource,
    /// The attribute that holds what the claim says.
    pub attribute: String,
}

/// Where the issuer's keys are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeySource {
    /// A JSON Web Key Set.
    File(PathBuf),
    /// An address that serves one.
    Url(String),
}

/// Gets what is at an address; given by who knows sockets. Blocks, within its own time limit.
pub type Fetch = Box<dyn Fn(&str) -> Result<Vec<u8>, String> + Send + Sync>;

/// The keys as they were last read.
#[derive(Default)]
pub(in crate::operation) struct KeyCache {
    held: Mutex<Option<Held>>,
    fetch: Mutex<Option<Arc<Fetch>>>,
}

#[derive(Clone)]
struct Held {
    source: KeySource,
    keys: Arc<KeySet>,
    read: Duration,
}

impl Directory {
    /// Who gets keys from an address.
    pub fn set_key_fetch(&self, fetch: Fetch) {
        *self.token_keys.fetch.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(fetch));
    }

    pub(super) fn token(
        self: &Arc<Self>,
        ask: &mut Ask,
        credentials: Option<&[u8]>,
        exchange: Option<&ExchangeState>,
    ) -> Outcome<BindStep> {
        if matches!(exchange, Some(ExchangeState::TokenRefused)) {
            return Err(invalid_credentials());
        }
        let (authorization, token) = read(credentials.unwrap_or_default())
            .ok_or_else(|| malformed("OAUTHBEARER: GS2 header, auth=Bearer TOKEN (RFC 7628 3.1)"))?;
        // The name of the GS2 header is whom to act as; the token's own user needs none.
        ask.authorization_id = authorization;
        let Some(options) = self.options().sasl.token.clone() else { return Err(invalid_credentials()) };
        let attempt = self.attempt_by_token(ask.address, &token);
        self.admit(attempt)?;
        let (directory, ask) = (Arc::clone(self), ask.clone());
        // Reading the keys may take a while, once in an hour.
        Ok(BindStep::Hash(Box::new(move || {
            match directory.admit(attempt).and_then(|()| directory.bearer(&options, &token)) {
                Ok(Some(who)) => {
                    let outcome = directory.accept(&ask, who, Proof::Other, None);
                    directory.note_outcome(&ask, attempt, TOKEN, &outcome);
                    outcome
                }
                Ok(None) => {
                    directory.note_proof(attempt, ask.address, TOKEN, false);
                    let text = br#"{"status":"invalid_token"}"#;
                    let result = LdapResult::plain(ResultCode::SASL_BIND_IN_PROGRESS);
                    let mut outcome = BindOutcome::of(ask.id, ask.nobody.clone(), &result, Some(text), &[]);
                    let state = ExchangeState::TokenRefused;
                    outcome.exchange = Some(Box::new(SaslExchange { mechanism: OAUTHBEARER.to_owned(), state }));
                    outcome
                }
                Err(error) => ask.failure(&error),
            }
        })))
    }

    /// Who bears the token; nobody where it proves nothing.
    fn bearer(&self, options: &TokenOptions, token: &str) -> Outcome<Option<Who>> {
        let now_s = self.now_us().div_euclid(1_000_000);
        let mut outcome = match self.keys_of(options, false) {
            Some(keys) => verify(token, &keys, &options.rules, now_s),
            None => Err(TokenError::UnknownKey),
        };
        if outcome == Err(TokenError::UnknownKey)
            && let Some(keys) = self.keys_of(options, true)
        {
            outcome = verify(token, &keys, &options.rules, now_s);
        }
        let user = match outcome {
            Ok(user) => user,
            Err(error) => {
                tracing::debug!(%error, "a token was not taken");
                return Ok(None);
            }
        };
        let snapshot = self.dit.read()?;
        let view = snapshot.view();
        let Some(entry) = self.user_with(view, &options.attribute, &user)?.filter(may_bind) else {
            tracing::debug!("the user of a token is no entry here");
            return Ok(None);
        };
        Ok(Some(Who::Entry(self.identity_of(view, &entry)?, self.account(view, &entry)?)))
    }

    /// The issuer's keys. `again`: those at hand do not fit.
    fn keys_of(&self, options: &TokenOptions, again: bool) -> Option<Arc<KeySet>> {
        let now = self.dit.clock().monotonic();
        // Held while reading, so that many tokens at once read once.
        let mut held = self.token_keys.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = held.as_ref().filter(|known| known.source == options.keys) {
            let age_s = now.saturating_sub(known.read).as_secs();
            if age_s < READ_AGAIN_S || (age_s < KEPT_S && !again) {
                return Some(Arc::clone(&known.keys)).filter(|keys| !keys.is_empty());
            }
        }
        let read = match &options.keys {
            KeySource::File(path) => read_file(path),
            KeySource::Url(url) => {
                let fetch = self.token_keys.fetch.lock().unwrap_or_else(PoisonError::into_inner).clone();
                fetch.map_or_else(|| Err("nobody here gets files from elsewhere".to_owned()), |fetch| fetch(url))
            }
        };
        let read = read.and_then(|json| KeySet::read(&json).ok_or_else(|| "no JSON Web Key Set of use".to_owned()));
        let keys = match read {
            Ok(keys) => Arc::new(keys),
            Err(error) => {
                tracing::warn!(%error, source = ?options.keys, "the issuer's keys cannot be read; tokens are not taken without");
                // What is at hand serves on where it is not too old; an empty set keeps the next try waiting.
                let known = held.as_ref().filter(|known| known.source == options.keys);
                let serves = known.filter(|known| now.saturating_sub(known.read).as_secs() < 24 * KEPT_S);
                serves.map(|known| Arc::clone(&known.keys)).unwrap_or_default()
            }
        };
        *held = Some(Held { source: options.keys.clone(), keys: Arc::clone(&keys), read: now });
        Some(keys).filter(|keys| !keys.is_empty())
    }
}

fn read_file(path: &std::path::Path) -> Result<Vec<u8>, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(KEY_SET_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// The authorization identity and the token of a client's message (RFC 7628 3.1).
fn read(message: &[u8]) -> Option<(String, String)> {
    if message.len() > MESSAGE_BYTES_MAX {
        return None;
    }
    let text = std::str::from_utf8(message).ok()?;
    let (header, rest) = text.split_once('\u{1}')?;
    let rest = rest.strip_suffix("\u{1}\u{1}")?;
    let mut parts = header.split(',');
    let (flag, authorization, end) = (parts.next()?, parts.next()?, parts.next()?);
    if !matches!(flag, "n" | "y") || !end.is_empty() || parts.next().is_some() {
        return None;
    }
    let authorization = match authorization.strip_prefix("a=") {
        Some(name) => name.replace("=2C", ",").replace("=3D", "="),
        None if authorization.is_empty() => String::new(),
        None => return None,
    };
    let mut token = None;
    for pair in rest.split('\u{1}') {
        let (name, value) = pair.split_once('=')?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return None;
        }
        if name == "auth" {
            let (scheme, bearer) = value.split_once(' ')?;
            if token.is_some() || !scheme.eq_ignore_ascii_case("Bearer") {
                return None;
            }
            token = Some(bearer.trim().to_owned());
        }
    }
    Some((authorization, token.filter(|token| !token.is_empty())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7628 4.1, and T-10.
    #[test]
    fn a_message_is_of_the_grammar_or_refused() {
        let message =
            "n,a=user@example.com,\u{1}host=server.example.com\u{1}port=143\u{1}auth=Bearer vF9dft4qmT\u{1}\u{1}";
        let read = |text: &str| read(text.as_bytes());
        assert_eq!(read(message), Some(("user@example.com".to_owned(), "vF9dft4qmT".to_owned())));
        assert_eq!(read("n,,\u{1}auth=bearer x\u{1}\u{1}"), Some((String::new(), "x".to_owned())));
        for bad in [
            "",
            "n,,",
            "n,,\u{1}auth=Bearer x",
            "n,,\u{1}auth=Bearer x\u{1}",
            "n,,\u{1}\u{1}",
            "n,,\u{1}auth=Basic x\u{1}\u{1}",
            "n,,\u{1}auth=Bearer \u{1}\u{1}",
            "n,,\u{1}auth=Bearer x\u{1}auth=Bearer y\u{1}\u{1}",
            "p=tls-exporter,,\u{1}auth=Bearer x\u{1}\u{1}",
            "n,x,\u{1}auth=Bearer x\u{1}\u{1}",
            "n,,x\u{1}auth=Bearer x\u{1}\u{1}",
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
