//! Failed binds make the next ones wait: what counts as a failure, and what a client is told.
//!
//! Who has to wait is told `busy` at once: nothing of the password is looked at, nothing is queued, and the answer says when
//! to come again. `busy` and not invalidCredentials, as the password was not judged: what asks again later is right to.
//! Counted are simple binds, PLAIN and SCRAM: what is proved by a password that people choose. A certificate, a ticket and a
//! token cannot be guessed.
//!
//! Invariants
//! - Asked before the name is looked up, and again before a hash is computed: of many attempts at once no more are hashed
//!   beyond the limit than there are threads that hash.
//! - Names that are no account's are counted like others.
//!
//! Each member counts for itself; what holds for all of them is the lockout of a password policy.

use super::{Ask, BindOutcome};
use crate::dit::View;
use crate::model::{Dn, ResultCode, escape_for_log};
use crate::operation::{Directory, OperationError, Outcome};
use crate::policy::throttle::{BindAttempt, Exceeded, Throttle};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

impl Directory {
    /// The attempt of `ask`'s client as who `name` says. `dn`: the name, where it is one.
    pub(in crate::operation) fn attempt(&self, ask: &Ask, view: View<'_>, dn: Option<&Dn>, name: &str) -> BindAttempt {
        let key = match dn {
            Some(dn) => [b"d", view.catalog().schema().dn_key(dn).as_slice()].concat(),
            None => [b"u", name.to_lowercase().as_bytes()].concat(),
        };
        self.throttle().attempt(ask.address, &key)
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
        let text = format!("too many binds have failed; the password was not looked at, try again in {seconds} s");
        Err(OperationError::new(ResultCode::BUSY, text))
    }

    /// Counts what came of an attempt whose password was judged.
    pub(in crate::operation) fn note_outcome(
        &self,
        ask: &Ask,
        attempt: BindAttempt,
        name: &str,
        outcome: &BindOutcome,
    ) {
        if outcome.code == ResultCode::SUCCESS {
            return self.throttle().succeeded(attempt);
        }
        if outcome.code != ResultCode::INVALID_CREDENTIALS {
            return;
        }
        let exceeded = self.throttle().failed(attempt, &self.options().throttle, self.dit.clock().monotonic());
        let address = || ask.address.map_or_else(|| "local".to_owned(), |address| address.to_string());
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
