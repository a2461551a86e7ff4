//! Compare of a password (draft-behera-ldap-password-policy-10 8.1): an application that lets people in by it.
//!
//! The assertion is a password, not what is stored: it is verified as a bind does, and counts as one for the policy of the
//! account. Failures are noted and lock, an account that is locked, expired or out of graces is compareFalse, and the
//! control says why. Who may ask at all, the right `compare` on `userPassword` decides.
//!
//! Invariants
//! - Failures make the next attempts wait, as failed binds do (`bind/throttling`): busy then, and nothing is judged.
//! - What is stored is never compared as text: whoever has stolen a hash does not get in by it.
//! - What costs milliseconds is handed back, to be run where nobody waits behind it.

use super::Job;
use crate::dit::{Entry, View};
use crate::model::{Dn, ResultCode};
use crate::operation::Directory;
use crate::operation::bind::try_entry;
use crate::operation::bind::verdict::controls_of;
use crate::operation::outcome::Outcome;
use crate::operation::password_policy::Account;
use crate::policy::password_hash::{Verdict, verify};
use crate::policy::password_policy::{Standing, Welcome};
use crate::wire::password_policy::{PasswordError, password_policy};
use crate::wire::{LdapResult, ResponseControl, ResponseKind, response};
use std::net::IpAddr;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What a compare of a password asks for.
pub(super) struct PasswordQuestion<'a> {
    pub(super) id: i32,
    /// The name of the entry.
    pub(super) dn: &'a Dn,
    /// Where the question comes from; `None`: a local socket.
    pub(super) address: Option<IpAddr>,
    pub(super) password: &'a [u8],
    /// What the policy has to say is said in a control.
    pub(super) says_policy: bool,
    /// Goes with the response besides.
    pub(super) token: Option<ResponseControl>,
}

impl Directory {
    /// What answers the question. Cheap unless [`Job::is_costly`].
    ///
    /// # Errors
    /// busy, where too many have failed; storage.
    pub(super) fn compare_password(
        self: &Arc<Self>,
        view: View<'_>,
        entry: &Entry<'_>,
        question: PasswordQuestion<'_>,
    ) -> Outcome<Job> {
        let name = question.dn.to_string();
        let attempt = self.attempt(question.address, Some(question.dn), &name);
        self.admit(attempt)?;
        let account = self.account(view, entry)?;
        let tried = try_entry(view, entry, question.password);
        let is_costly = tried.fitting.is_none() && !tried.costly.is_empty();
        let password = Zeroizing::new(question.password.to_vec());
        let PasswordQuestion { id, address, says_policy, token, .. } = question;
        let directory = Arc::clone(self);
        let answer = move || {
            let mut out = Vec::with_capacity(32);
            if let Err(error) = directory.admit(attempt) {
                error.respond(&mut out, id, ResponseKind::Compare, &[]);
                return out;
            }
            let fits = tried.fitting.is_some()
                || tried.costly.iter().any(|stored| verify(stored, &password) == Verdict::Match);
            let (is_right, control) = directory.judge_comparison(&account, fits);
            directory.note_proof(attempt, address, &name, is_right);
            let code = if is_right { ResultCode::COMPARE_TRUE } else { ResultCode::COMPARE_FALSE };
            let controls: Vec<ResponseControl> = control.filter(|_| says_policy).into_iter().chain(token).collect();
            response::result(&mut out, id, ResponseKind::Compare, &LdapResult::plain(code), &controls);
            out
        };
        Ok(Job { is_costly, answer: Box::new(answer) })
    }

    /// Whether the password lets in, and what the policy says about that; notes what a bind would leave behind.
    fn judge_comparison(self: &Arc<Self>, account: &Account, fits: bool) -> (bool, Option<ResponseControl>) {
        let (state, now_us) = (self.state_now(account), self.now_us());
        let standing = state.standing(account.policy.as_deref(), now_us);
        if standing != Standing::Open {
            if !fits {
                self.note_failure(account);
            }
            let told = self.options().tell_locked && standing == Standing::Locked;
            return (false, told.then(|| password_policy(None, Some(PasswordError::AccountLocked))));
        }
        if !fits {
            self.note_failure(account);
            let locks = || self.standing(account) == Standing::Locked;
            let told = self.options().tell_locked && locks();
            return (false, told.then(|| password_policy(None, Some(PasswordError::AccountLocked))));
        }
        let welcome = account.policy.as_deref().map(|policy| state.welcome(policy, now_us));
        match welcome.transpose() {
            Ok(welcome) => {
                let welcome = welcome.unwrap_or_default();
                self.note_success(account, welcome.graces_left.is_some());
                let says = |Welcome { expires_in_s, graces_left, must_change }: &Welcome| {
                    expires_in_s.is_some() || graces_left.is_some() || *must_change
                };
                (true, says(&welcome).then(|| controls_of(true, &welcome).pop()).flatten())
            }
            Err(_) => (false, Some(password_policy(None, Some(PasswordError::PasswordExpired)))),
        }
    }
}
