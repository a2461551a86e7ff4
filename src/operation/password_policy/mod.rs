//! Password policies of the tree: which one is in force for an account, what its state is, what is noted of its use.
//!
//! A policy is an entry of class `pwdPolicy`. It is in force for an entry that names it in `pwdPolicySubentry`; else
//! for the entries that the `subtreeSpecification` (RFC 3672) of a policy speaks of; of several that speak of an entry the one
//! whose area begins nearest above it.
//!
//! What a bind changes (failures, graces, the last success) is remembered here first and written behind
//! ([`marks`]): the memory decides at once, the tree tells the other suppliers.
//!
//! Invariants
//! - Every way to authenticate asks [`Directory::standing`], and tells [`Directory::note_failure`] or
//!   [`Directory::note_success`] (hostile.md T-31).
//! - No policy in the tree costs a bind next to nothing: one load.

mod book;
mod marks;
mod state;

pub(super) use book::PolicyCache;
pub(super) use marks::Marks;
pub(super) use state::{cell, clear, second_text, state_of};

use super::outcome::Outcome;
use super::own_limits::own_limits;
use super::{Directory, OperationError};
use crate::dit::{Entry, View};
use crate::model::{EntryUuid, ResultCode};
use crate::policy::limits::OwnLimits;
use crate::policy::password_policy::{PasswordPolicy, PasswordState, Quality, Standing};
use crate::wire::password_policy::PasswordError;
use std::sync::Arc;

/// An entry as somebody who may prove to be it.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) uuid: EntryUuid,
    pub(super) policy: Option<Arc<PasswordPolicy>>,
    /// As the tree has it; what is not written yet comes on top.
    stored: PasswordState,
    /// What it may take.
    pub(super) limits: Option<Arc<OwnLimits>>,
}

impl Directory {
    /// The account of an entry.
    ///
    /// # Errors
    /// Storage.
    pub(super) fn account(&self, view: View<'_>, entry: &Entry<'_>) -> Outcome<Account> {
        let policy = self.policies.book(self.dit())?.policy_of(view, entry)?;
        let (stored, limits) = (state_of(view, entry)?, own_limits(view, entry));
        Ok(Account { uuid: entry.record.uuid(), policy, stored, limits })
    }

    /// The name of the policy in force for an entry, which `pwdPolicySubentry` shows (draft-behera-10 5.3.8).
    ///
    /// # Errors
    /// Storage.
    pub(super) fn policy_name(&self, view: View<'_>, entry: &Entry<'_>) -> Outcome<Option<Vec<u8>>> {
        match self.policies.book(self.dit())?.subentry_of(view, entry)? {
            Some(id) => Ok(view.dn_text(id)?.map(String::into_bytes)),
            None => Ok(None),
        }
    }

    /// The state of an account with what was noted since it was read.
    pub(super) fn state_now(&self, account: &Account) -> PasswordState {
        self.marks.merged(account.uuid, || self.stored_now(account))
    }

    /// What the tree says of an account now: a bind may have waited for seconds since it looked.
    fn stored_now(&self, account: &Account) -> PasswordState {
        let read = || -> Outcome<Option<PasswordState>> {
            let snapshot = self.dit.read()?;
            let view = snapshot.view();
            let entry = view.by_uuid(account.uuid)?.map(|id| view.entry(id)).transpose()?.flatten();
            entry.map(|entry| state_of(view, &entry)).transpose()
        };
        // What cannot be read is as it was a moment ago.
        read().ok().flatten().unwrap_or_else(|| account.stored.clone())
    }

    /// Whether the account may be used now.
    pub(super) fn standing(&self, account: &Account) -> Standing {
        self.state_now(account).standing(account.policy.as_deref(), self.now_us())
    }

    /// Now, in unix microseconds.
    pub(super) fn now_us(&self) -> i64 {
        i64::try_from(self.dit.now_ms()).unwrap_or(i64::MAX / 1_000).saturating_mul(1_000)
    }
}

/// The refusal of a poor password.
pub(super) fn poor(quality: Quality, policy: &PasswordPolicy) -> OperationError {
    let (text, error) = match quality {
        Quality::TooShort => {
            (format!("the password needs at least {} characters", policy.min_length), PasswordError::PasswordTooShort)
        }
        Quality::TooLong => {
            (format!("the password may have at most {} characters", policy.max_length), PasswordError::PasswordTooLong)
        }
        Quality::Insufficient => (
            "the password holds a name of its owner, or hardly any different characters".to_owned(),
            PasswordError::InsufficientPasswordQuality,
        ),
    };
    OperationError::new(ResultCode::CONSTRAINT_VIOLATION, text).by_policy(error)
}
