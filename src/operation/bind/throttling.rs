//! Failed proofs make the next ones wait: what counts as a failure, and what a client is told.
//!
//! Who has to wait is told `busy` at once: nothing of the password is looked at, nothing is queued, and the answer says when
//! to come again. `busy` and not invalidCredentials, as the password was not judged: what asks again later is right to.
//! Counted is whatever says that a password is right: simple binds, PLAIN and SCRAM, the old password of a password modify
//! (RFC 3062) and of a modify that deletes it by value, a compare of `userPassword`; all under the name of the account and the
//! address of who asks, so that no other door is left where one is shut. Tokens are counted by themselves: none is guessed,
//! but each costs a signature, and a client that has kept an old one sends it without end. A certificate and a ticket are not.
//!
//! Invariants
//! - Asked before the name of a bind is looked up, and of anything again before a hash is computed: of many attempts at once
//!   no more are hashed beyond the limit than there are threads that hash.
//! - Names that are no account's are counted like others; what the rights do not let somebody try is not counted.
//!
//! Each member counts for itself; what holds for all of them is the lockout of a password policy.

use super::{Ask, BindOutcome};
use crate::model::{Dn, ResultCode, escape_for_log};
use crate::operation::{Directory, OperationError, Outcome};
use crate::policy::throttle::{BindAttempt, Exceeded, Throttle};
use std::net::IpAddr;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

impl Directory {
    /// The attempt of a client at `address` as who `name` says. `dn`: the name, where it is one.
    pub(in crate::operation) fn attempt(&self, address: Option<IpAddr>, dn: Option<&Dn>, name: &str) -> BindAttempt {
        let key = match dn {
            Some(dn) => [b"d", self.dit.catalog().schema().dn_key(dn).as_slice()].concat(),
            None => [b"u", name.to_lowercase().as_bytes()].concat(),
        };
        self.throttle().attempt(address, &key)
    }

    /// The attempt of a client at `address` with this token.
    pub(in crate::operation) fn attempt_by_token(&self, address: Option<IpAddr>, token: &str) -> BindAttempt {
        self.throttle().attempt(address, &[b"t", token.as_bytes()].concat())
    }

    /// Refuses an attempt that has to wait.
    ///
    /// # Errors
    /// busy, and when to come again.
    pub(in crate::operation) fn admit(&self, attempt: BindAttempt) -> Outcome<()> {
        let wait = self.throttle().wait(attempt, &self.options().throttle, self.dit.clock().monotonic());
        if wait.is_zero() {
            return Ok(());
        }
        self.metrics.binds_throttled_total.increment();
        let seconds = wait.saturating_add(Duration::from_millis(999)).as_secs();
        let text = format!("too many attempts have failed; this one was not looked at, try again in {seconds} s");
        Err(OperationError::new(ResultCode::BUSY, text))
    }

    /// Counts what came of a bind whose password was judged.
    pub(in crate::operation) fn note_outcome(
        &self,
        ask: &Ask,
        attempt: BindAttempt,
        name: &str,
        outcome: &BindOutcome,
    ) {
        match outcome.code {
            ResultCode::SUCCESS => self.note_proof(attempt, ask.address, name, true),
            ResultCode::INVALID_CREDENTIALS => self.note_proof(attempt, ask.address, name, false),
            _ => {}
        }
    }

    /// Counts whether an attempt from `address` under `name` proved to be right.
    pub(in crate::operation) fn note_proof(
        &self,
        attempt: BindAttempt,
        address: Option<IpAddr>,
        name: &str,
        is_right: bool,
    ) {
        if is_right {
            return self.throttle().succeeded(attempt);
        }
        let exceeded = self.throttle().failed(attempt, &self.options().throttle, self.dit.clock().monotonic());
        let address = || address.map_or_else(|| "local".to_owned(), |address| address.to_string());
        match exceeded {
            None => {}
            Some(Exceeded::Account) => {
                let name: String = name.chars().take(NAME_SHOWN_MAX).collect();
                let (address, name) = (address(), escape_for_log(&name));
                tracing::warn!(%address, %name, "binds under this name fail again and again; more from there have to wait");
            }
            Some(Exceeded::Address) => {
                let address = address();
                tracing::warn!(%address, "too many binds from this address fail; more from there have to wait");
            }
        }
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Most letters of a name that a log line shows.
const NAME_SHOWN_MAX: usize = 256;
