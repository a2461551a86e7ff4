//! What comes of a proof: the one way in, whatever was proved and how (hostile.md T-31).
//!
//! Invariants
//! - A locked account is refused as a wrong password is, and nothing tells them apart unless the settings say so.
//! - Who has proved the password is told that it expires, has expired or must be changed; nobody else is.

use super::{Ask, BindOutcome, Stored, invalid_credentials};
use crate::dit::{Committed, Completion, DitError, Target, Writing};
use crate::model::{EntryUuid, ResultCode};
use crate::operation::password_policy::{Account, cell};
use crate::operation::{Directory, OperationError, Outcome};
use crate::policy::password_hash;
use crate::policy::password_policy::{PasswordState, Standing, Welcome};
use crate::policy::requester::RequesterKind;
use crate::state::Delta;
use crate::wire::password_policy::{
    PasswordError, PasswordWarning, netscape_expired, netscape_expiring, password_policy,
};
use crate::wire::{LdapResult, ResponseControl};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Who has proved it.
pub(in crate::operation) enum Who {
    /// No entry, and bound by no policy.
    Administrator(RequesterKind),
    /// An entry.
    Entry(RequesterKind, Account),
}

/// What was proved.
pub(in crate::operation) enum Proof {
    /// The password, by comparing it with what is stored.
    Password {
        /// The value that it fitted.
        stored: Stored,
        /// As it came.
        password: Zeroizing<Vec<u8>>,
    },
    /// The password, without showing it.
    PasswordUnseen,
    /// A secret of its own for one program.
    AppPassword(String),
    /// A certificate, a token, a user of this machine.
    Other,
}

impl Directory {
    /// Lets in who has given a proof, unless its account says no. `sasl`: the last word of an exchange.
    pub(in crate::operation) fn accept(
        self: &Arc<Self>,
        ask: &Ask,
        who: Who,
        proof: Proof,
        sasl: Option<&[u8]>,
    ) -> BindOutcome {
        match self.try_accept(ask, who, proof, sasl) {
            Ok(outcome) => outcome,
            Err((error, controls)) => BindOutcome::failure(ask.id, ask.nobody.clone(), &error, &controls),
        }
    }

    fn try_accept(
        self: &Arc<Self>,
        ask: &Ask,
        who: Who,
        proof: Proof,
        sasl: Option<&[u8]>,
    ) -> Result<BindOutcome, (OperationError, Vec<ResponseControl>)> {
        let silent = |error: OperationError| {
            let policy = ask.says_policy.then(|| password_policy(None, error.password));
            (error, policy.into_iter().collect::<Vec<_>>())
        };
        let (kind, account) = match who {
            Who::Administrator(kind) => (kind, None),
            Who::Entry(kind, account) => (kind, Some(account)),
        };
        let by_app_password = matches!(proof, Proof::AppPassword(_));
        let by_password = matches!(proof, Proof::Password { .. } | Proof::PasswordUnseen);
        let welcome = match &account {
            Some(account) => self.judge(ask, account, by_password)?,
            None => Welcome::default(),
        };
        let limits = account.as_ref().and_then(|account| account.limits.clone());
        let proved = ask.nobody.with_identity(kind, ask.authentication.clone()).with_limits(limits);
        let requester = match ask.authorization_id.is_empty() {
            true => proved,
            false => self.act_as(&proved, &ask.authorization_id).map_err(silent)?,
        };
        let mut afterwards: Option<Box<dyn FnOnce() + Send>> = None;
        if let Some(account) = &account {
            self.note_success(account, welcome.graces_left.is_some());
            match proof {
                Proof::AppPassword(name) => self.note_app_password(account.uuid, &name),
                Proof::Password { stored, password } => afterwards = self.upgrade(account.uuid, stored, password),
                Proof::PasswordUnseen | Proof::Other => {}
            }
        }
        let controls = controls_of(ask.says_policy, &welcome);
        let success = LdapResult::plain(ResultCode::SUCCESS);
        let mut outcome = BindOutcome::of(ask.id, requester, &success, sasl, &controls);
        outcome.must_change_password = welcome.must_change;
        outcome.by_app_password = by_app_password;
        outcome.afterwards = afterwards;
        Ok(outcome)
    }

    fn judge(
        &self,
        ask: &Ask,
        account: &Account,
        by_password: bool,
    ) -> Result<Welcome, (OperationError, Vec<ResponseControl>)> {
        let state: PasswordState = self.state_now(account);
        let now_us = self.now_us();
        let standing = state.standing(account.policy.as_deref(), now_us);
        if standing != Standing::Open {
            let told = self.options().tell_locked && standing == Standing::Locked;
            let policy = ask.says_policy.then(|| password_policy(None, told.then_some(PasswordError::AccountLocked)));
            return Err((invalid_credentials(), policy.into_iter().collect()));
        }
        let Some(policy) = account.policy.as_deref().filter(|_| by_password) else { return Ok(Welcome::default()) };
        state.welcome(policy, now_us).map_err(|_| {
            let control = match ask.says_policy {
                true => password_policy(None, Some(PasswordError::PasswordExpired)),
                false => netscape_expired(),
            };
            (invalid_credentials(), vec![control])
        })
    }

    /// What stores the password as new ones are stored, where that is wanted and it is not so already.
    fn upgrade(
        self: &Arc<Self>,
        uuid: EntryUuid,
        stored: Stored,
        password: Zeroizing<Vec<u8>>,
    ) -> Option<Box<dyn FnOnce() + Send>> {
        if !self.options().upgrade_hashes || !password_hash::needs_rehash(&stored) {
            return None;
        }
        let directory = Arc::clone(self);
        Some(Box::new(move || {
            if directory.is_gate_waiting() || directory.check_gate().is_err() {
                return;
            }
            let hash = Zeroizing::new(password_hash::hash(&password));
            let job = move |writing: &mut Writing<'_>| -> Result<Completion, (DitError, Completion)> {
                let done = || -> Completion { Box::new(|_: Committed<'_>| {}) };
                match replace_hash(writing, uuid, &stored, &hash) {
                    Ok(None) => Ok(done()),
                    Ok(Some((id, deltas))) => match writing.change(Target::Existing(id), AUTHOR, deltas) {
                        Ok(_) => Ok(done()),
                        Err(error) => Err((error, done())),
                    },
                    Err(error) => {
                        tracing::error!(%error, "a password could not be stored anew");
                        Ok(done())
                    }
                }
            };
            // A full queue: the next bind tries again.
            let _ = directory.writer().submit(Box::new(job));
        }))
    }
}

/// Who is said to have stored a password anew.
const AUTHOR: &str = "cn=password policy";

/// The deltas that put `hash` in the place of `stored`; none if that was changed meanwhile.
fn replace_hash(
    writing: &mut Writing<'_>,
    uuid: EntryUuid,
    stored: &[u8],
    hash: &[u8],
) -> Outcome<Option<(crate::storage::EntryId, Vec<Delta>)>> {
    let place = {
        let view = writing.view();
        let Some(id) = view.by_uuid(uuid)? else { return Ok(None) };
        let Some(entry) = view.entry(id)? else { return Ok(None) };
        let Some(index) = view.catalog().schema().attribute_type("userPassword").map(|found| found.index) else {
            return Ok(None);
        };
        let attributes = view.catalog().of_type(index).iter();
        let holder = attributes.copied().find(|attribute| {
            entry.attribute(*attribute).is_some_and(|slice| slice.values().any(|value| value == stored))
        });
        let name = holder.and_then(|holder| view.catalog().attribute(holder)).map(|info| info.name.clone());
        name.map(|name| (id, name))
    };
    let Some((id, name)) = place else { return Ok(None) };
    let deltas = vec![cell(writing, &name, stored, false)?, cell(writing, &name, hash, true)?];
    Ok(Some((id, deltas)))
}

/// What is said to whom is let in.
pub(in crate::operation) fn controls_of(says_policy: bool, welcome: &Welcome) -> Vec<ResponseControl> {
    let Welcome { expires_in_s, graces_left, must_change } = *welcome;
    if says_policy {
        let grace =
            graces_left.map(|left| PasswordWarning::GraceAuthNsRemaining(i64::try_from(left).unwrap_or(i64::MAX)));
        let warning = grace.or_else(|| expires_in_s.map(PasswordWarning::TimeBeforeExpiration));
        return vec![password_policy(warning, must_change.then_some(PasswordError::ChangeAfterReset))];
    }
    match (must_change || graces_left.is_some(), expires_in_s) {
        (true, _) => vec![netscape_expired()],
        (false, Some(seconds)) => vec![netscape_expiring(seconds)],
        (false, None) => Vec::new(),
    }
}
