//! What a client may hold us to: to see on any node what it saw or wrote before (session tokens), and to be answered only
//! when other members hold its change too (durability). The wire forms are in `wire::assurance`.
//!
//! A token is a part of the update vector. A request that carries one waits, without a thread, until this node holds
//! all of it, under these numbers or under those that a restored server gave its changes when it wrote them again; when the time is
//! over it hears busy and what is missing. What was lost with a server's disk is not waited for: that is said at once. Who holds a change is known to the floor that
//! speaks with members; it is handed in as [`Acknowledgements`]. Without that nobody else holds anything.
//!
//! Invariants
//! - A token names only changes that are committed and durable here.
//! - A change is never refused for want of acknowledgements: it is made, and the count is told.

use super::Directory;
use super::outcome::{OperationError, Outcome};
use crate::dit::{Rewritten, View, holds};
use crate::model::ResultCode;
use crate::state::{Dot, OriginId, UpdateVector};
use crate::wire::assurance::{
    DURABILITY, DurabilityLevel, SESSION_TOKEN, decode_durability, decode_token, durability_response,
};
use crate::wire::{Control, Controls, Malformed, ResponseControl};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a request waits for its token where it does not say, in milliseconds.
const TOKEN_WAIT_MS: u64 = 500;
/// Changes missing that are named in a refusal.
const MISSING_SHOWN_MAX: usize = 4;

/// Changes that a client saw or made: for each origin the last one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SessionToken(BTreeMap<OriginId, u64>);

/// A token to be waited for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenRequest {
    /// What must be held.
    pub token: SessionToken,
    /// How long to wait for it.
    pub wait: Duration,
}

impl SessionToken {
    /// All that a node holds.
    pub fn of(vector: &UpdateVector) -> Self {
        let held = vector.iter().filter(|(_, position)| position.sequence > 0);
        Self(held.map(|(origin, position)| (origin, position.sequence)).collect())
    }

    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As the control carries it.
    pub fn to_text(&self) -> String {
        let parts: Vec<_> = self.0.iter().map(|(origin, sequence)| format!("{origin}:{sequence}")).collect();
        parts.join(",")
    }

    /// The inverse of [`SessionToken::to_text`].
    fn parse(text: &str) -> Option<Self> {
        let part = |part: &str| {
            let (origin, sequence) = part.split_once(':')?;
            let origin = u64::from_str_radix(origin, 16).ok().filter(|_| origin.len() == 12)?;
            Some((OriginId(origin), sequence.parse().ok()?))
        };
        text.split(',').filter(|part| !part.is_empty()).map(part).collect::<Option<_>>().map(Self)
    }

    /// What of it is not held.
    fn missing(&self, vector: &UpdateVector, rewritten: &[Rewritten]) -> Vec<Dot> {
        let dots = self.0.iter().map(|(origin, sequence)| Dot { origin: *origin, sequence: *sequence });
        dots.filter(|dot| !holds(vector, rewritten, *dot)).collect()
    }

    /// The same of what a snapshot holds, with its vector.
    fn missing_in(&self, view: &View<'_>) -> Result<(Vec<Dot>, UpdateVector), crate::dit::DitError> {
        let vector = view.update_vector()?;
        let missing = self.missing(&vector, &[]);
        match missing.is_empty() {
            true => Ok((missing, vector)),
            false => Ok((self.missing(&vector, &view.rewritten()?), vector)),
        }
    }
}

fn busy(missing: &[Dot], vector: &UpdateVector) -> OperationError {
    let shown = missing.iter().take(MISSING_SHOWN_MAX);
    let shown: Vec<_> = shown
        .map(|dot| format!("{} of origin {} (held: {})", dot.sequence, dot.origin, vector.sequence(dot.origin)))
        .collect();
    OperationError::new(ResultCode::BUSY, format!("changes are missing here: {}", shown.join(", ")))
}

/// What is read of a request's session token control.
pub(super) fn token_request(control: &Control<'_>) -> Outcome<TokenRequest> {
    let (text, wait) = decode_token(control)?;
    let refused = || OperationError::new(ResultCode::PROTOCOL_ERROR, "not a session token");
    let token = SessionToken::parse(text).ok_or_else(refused)?;
    Ok(TokenRequest { token, wait: Duration::from_millis(wait.unwrap_or(TOKEN_WAIT_MS)) })
}

/// Who must hold a change, and how long that is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DurabilityRequest {
    /// Who.
    pub level: DurabilityLevel,
    /// How long, in milliseconds.
    pub wait_ms: u64,
}

impl Default for DurabilityRequest {
    fn default() -> Self {
        Self { level: DurabilityLevel::Local, wait_ms: 1_000 }
    }
}

/// What is read of a request's durability control.
pub(super) fn durability_request(control: &Control<'_>) -> Result<DurabilityRequest, Malformed> {
    let (level, wait_ms) = decode_durability(control)?;
    Ok(DurabilityRequest { level, wait_ms })
}

/// Who holds a change when its wait ends.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Acknowledged {
    /// Other members that do, by name.
    pub nodes: Vec<String>,
    /// How many were wanted.
    pub wanted: u32,
    /// Whether that is all that was asked for.
    pub met: bool,
}

/// Knows which members hold what.
pub trait Acknowledgements: Send + Sync {
    /// Calls back when the members that `level` means hold the change, or when the time is over. Must not block: it is
    /// called on the writer's thread.
    fn wait_for(&self, dot: Dot, request: DurabilityRequest, reply: Box<dyn FnOnce(Acknowledged) + Send>);

    /// The last change of an origin under which nobody writes any more, if no member holds more of it than this server.
    fn ended(&self, origin: OriginId) -> Option<u64>;
}

/// Nobody else holds anything.
struct Alone;

impl Acknowledgements for Alone {
    fn wait_for(&self, _: Dot, request: DurabilityRequest, reply: Box<dyn FnOnce(Acknowledged) + Send>) {
        let wanted = match request.level {
            DurabilityLevel::Quorum(members) => members,
            DurabilityLevel::Local | DurabilityLevel::Site | DurabilityLevel::All => 0,
        };
        reply(Acknowledged { nodes: Vec::new(), wanted, met: wanted == 0 });
    }

    fn ended(&self, _: OriginId) -> Option<u64> {
        None
    }
}

/// See [`Directory::set_acknowledgements`].
pub(super) type Known = std::sync::Mutex<Option<Arc<dyn Acknowledgements>>>;

impl Directory {
    /// Hands in who knows which members hold what.
    pub fn set_acknowledgements(&self, known: Arc<dyn Acknowledgements>) {
        *self.acknowledgements.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(known);
    }

    pub(super) fn acknowledgements(&self) -> Arc<dyn Acknowledgements> {
        let known = self.acknowledgements.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.clone().unwrap_or_else(|| Arc::new(Alone))
    }

    /// What a request has to wait for before it may run: its session token, if this node does not hold all of it. A
    /// control that cannot be read is the operation's to refuse.
    pub fn has_to_wait(&self, controls: &Controls<'_>) -> Option<TokenRequest> {
        let request = token_request(&controls.find(SESSION_TOKEN)?).ok().filter(|request| !request.token.is_empty())?;
        let (missing, _) = self.dit.read().and_then(|snapshot| request.token.missing_in(&snapshot.view())).ok()?;
        (!missing.is_empty()).then_some(request)
    }

    /// Waits until this node holds what the token names.
    ///
    /// # Errors
    /// busy, with what is missing, when the time is over; unwillingToPerform at once where that is nowhere any more.
    pub async fn wait_until_held(self: Arc<Self>, request: TokenRequest) -> Outcome<()> {
        let mut commits = self.dit.feed().follow();
        let waiting = async {
            loop {
                let missing = self.missing(&request.token)?.0;
                if missing.is_empty() || commits.changed().await.is_err() {
                    return Outcome::Ok(());
                }
            }
        };
        if let Ok(outcome) = tokio::time::timeout(request.wait, waiting).await {
            return outcome;
        }
        match self.missing(&request.token)? {
            (missing, _) if missing.is_empty() => Ok(()),
            (missing, vector) => Err(busy(&missing, &vector)),
        }
    }

    /// What of a token is not held here, with what is.
    fn missing(&self, token: &SessionToken) -> Outcome<(Vec<Dot>, UpdateVector)> {
        let (missing, vector) = self.dit.read().and_then(|snapshot| token.missing_in(&snapshot.view()))?;
        let known = self.acknowledgements();
        let lost =
            missing.iter().find_map(|dot| Some((dot, known.ended(dot.origin).filter(|last| dot.sequence > *last)?)));
        if let Some((dot, last)) = lost {
            let text = format!(
                "change {} of origin {} is lost: its server was put back from an older copy, and no server has more than {last} of \
                 that origin; begin anew without this session token",
                dot.sequence, dot.origin
            );
            return Err(OperationError::new(ResultCode::UNWILLING_TO_PERFORM, text));
        }
        Ok((missing, vector))
    }

    /// The session token of a response: all that is held here now.
    pub(super) fn token_control(&self) -> Option<ResponseControl> {
        let held = self.dit.read().and_then(|snapshot| snapshot.view().update_vector()).ok()?;
        let value = SessionToken::of(&held).to_text().into_bytes();
        Some(ResponseControl { oid: SESSION_TOKEN, critical: false, value: Some(value) })
    }
}

/// The durability control of a response.
pub(super) fn durability_control(acknowledged: &Acknowledged) -> ResponseControl {
    let value = durability_response(&acknowledged.nodes, acknowledged.wanted);
    ResponseControl { oid: DURABILITY, critical: false, value: Some(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::OriginPosition;

    fn vector(sequences: &[(u64, u64)]) -> UpdateVector {
        let position = |sequence| OriginPosition { sequence, ..OriginPosition::default() };
        UpdateVector::from_positions(sequences.iter().map(|(origin, at)| (OriginId(*origin), position(*at))))
    }

    #[test]
    fn a_token_says_what_is_missing() {
        let token = SessionToken::of(&vector(&[(1, 5), (0xabc, 7)]));
        assert_eq!(token.to_text(), "000000000001:5,000000000abc:7");
        assert_eq!(SessionToken::parse(&token.to_text()), Some(token.clone()));
        assert_eq!(token.missing(&vector(&[(1, 9), (0xabc, 7), (3, 1)]), &[]), []);
        let held = vector(&[(1, 5), (0xabc, 6)]);
        let refused = busy(&token.missing(&held, &[]), &held);
        assert!(refused.diagnostic.contains("7 of origin 000000000abc (held: 6)"), "{}", refused.diagnostic);
    }

    #[test]
    fn nonsense_is_no_token() {
        for text in ["x", "1:2", "000000000001", "000000000001:x", "00000000000g:1", "000000000001:5;"] {
            assert_eq!(SessionToken::parse(text), None, "{text}");
        }
        assert_eq!(SessionToken::parse(""), Some(SessionToken::default()));
    }
}
