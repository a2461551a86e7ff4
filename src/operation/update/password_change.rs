//! What a password policy says of a change of a password (draft-behera-ldap-password-policy-10 7.6, 8.2).
//!
//! In two steps. [`check`] runs on the hashing pool, where the new password is still clear: quality, history, age, who
//! may. It judges only what the requester may write at all, so that nobody learns more than that from it; the
//! transaction judges access again. [`recorded`] runs in the transaction and says what the change leaves in the entry:
//! when it was, what the password was before, that failures are forgotten.
//!
//! Invariants
//! - The administrator is bound by no policy, but what it sets is recorded like any other change.
//! - Every change of `userPassword` renews the SCRAM verifiers: no old password opens another way in.

use super::secret::is_password;
use super::{Context, secret, target};
use crate::dit::{Entry, View, Writing};
use crate::model::{Attribute, AttributeDescription, Change, Dn, Modification, ModificationKind, ResultCode};
use crate::operation::access::Written;
use crate::operation::outcome::{OperationError, Outcome};
use crate::operation::password_policy::{Account, cell, clear, poor, second_text};
use crate::policy::password_hash::{self, Verdict};
use crate::policy::password_policy::{PasswordPolicy, check_quality};
use crate::schema::time::parse_generalized_time;
use crate::state::Delta;
use crate::storage::EntryId;
use crate::wire::password_policy::PasswordError;
use std::sync::Arc;

/// Attributes whose values a password may not hold.
const NAMES: [&str; 6] = ["uid", "cn", "sn", "givenName", "mail", "displayName"];
const LOCKED_TIME: &str = "pwdAccountLockedTime";
/// OID of the syntax of userPassword, as `pwdHistory` names it.
const OCTET_STRING: &str = "1.3.6.1.4.1.1466.115.121.1.40";

/// Whether the policy lets the requester make this change. Cost: that of one verification for each earlier password.
///
/// # Errors
/// constraintViolation, insufficientAccessRights, each with what the policy objects to; storage.
pub(super) fn check(context: &Context, change: &Change) -> Outcome<()> {
    if context.requester.is_administrator() {
        return Ok(());
    }
    match change {
        Change::Add { dn, attributes } => check_add(context, dn, attributes),
        Change::Modify { dn, modifications } => {
            let mut clear: Vec<&[u8]> = Vec::new();
            let (mut sends_old, mut touches) = (false, false);
            for Modification { kind, attribute } in modifications {
                if !is_password(&attribute.description) {
                    continue;
                }
                touches = true;
                match kind {
                    ModificationKind::Delete => sends_old |= !attribute.values.is_empty(),
                    _ => clear.extend(attribute.values.iter().map(|value| secret::clear(value))),
                }
            }
            if touches { check_modify(context, dn, &clear, sends_old) } else { Ok(()) }
        }
        Change::Delete { .. } | Change::ModifyDn { .. } => Ok(()),
    }
}

/// [`check`] of a change of an entry's password. `clear`: the new ones; `sends_old`: the old one comes along.
///
/// # Errors
/// As [`check`].
pub(super) fn check_modify(context: &Context, dn: &Dn, clear: &[&[u8]], sends_old: bool) -> Outcome<()> {
    if context.requester.is_administrator() {
        return Ok(());
    }
    let directory = &context.directory;
    let (account, policy, names, old, is_owner) = {
        let snapshot = directory.dit().read()?;
        let view = snapshot.view();
        let access = directory.access(&context.requester, view)?;
        // Why not, the transaction says.
        let Ok(entry) = target::entry(context, &access, view, dn) else { return Ok(()) };
        let index = view.catalog().schema().attribute_type("userPassword").map(|found| found.index);
        if !index.is_some_and(|index| access.may_write(&entry, index, Written::Every)) {
            return Ok(());
        }
        let account = directory.account(view, &entry)?;
        let Some(policy) = account.policy.clone() else { return Ok(()) };
        let mut old = history(view, &entry);
        old.truncate(policy.in_history);
        if policy.in_history > 0 {
            old.extend(values_of(view, &entry, "userPassword").into_iter().take(secret::STORED_PASSWORDS_MAX));
        }
        let is_owner = context.requester.entry_uuid() == Some(entry.record.uuid());
        (account, policy, names_of(view, &entry), old, is_owner)
    };
    if is_owner {
        check_owner(context, &account, &policy, sends_old)?;
    }
    check_values(&policy, clear, &names)?;
    let is_known = |new: &&[u8]| old.iter().any(|stored| password_hash::verify(stored, new) == Verdict::Match);
    if clear.iter().any(is_known) {
        return Err(OperationError::new(ResultCode::CONSTRAINT_VIOLATION, "the password is one of the last ones")
            .by_policy(PasswordError::PasswordInHistory));
    }
    Ok(())
}

fn check_owner(context: &Context, account: &Account, policy: &PasswordPolicy, sends_old: bool) -> Outcome<()> {
    let directory = &context.directory;
    let denied = |text: &str| OperationError::insufficient_access(text);
    let state = directory.state_now(account);
    if !policy.allow_user_change && !state.reset {
        return Err(denied("the password policy lets only others change this password")
            .by_policy(PasswordError::PasswordModNotAllowed));
    }
    if policy.safe_modify && !sends_old {
        return Err(denied("send the old password along: as oldPasswd of a password modify request (RFC 3062), or delete it by value and add the new \
             one in one modify")
            .by_policy(PasswordError::MustSupplyOldPassword));
    }
    if state.is_too_young(policy, directory.now_us()) {
        let text = "the password was changed a short time ago; try again later";
        return Err(
            OperationError::new(ResultCode::CONSTRAINT_VIOLATION, text).by_policy(PasswordError::PasswordTooYoung)
        );
    }
    Ok(())
}

fn check_values(policy: &PasswordPolicy, clear: &[&[u8]], names: &[String]) -> Outcome<()> {
    if clear.len() > 1 {
        let text = "an account under a password policy has one password";
        return Err(OperationError::new(ResultCode::CONSTRAINT_VIOLATION, text)
            .by_policy(PasswordError::InsufficientPasswordQuality));
    }
    clear.iter().try_for_each(|new| check_quality(policy, new, names).map_err(|quality| poor(quality, policy)))
}

fn check_add(context: &Context, dn: &Dn, attributes: &[Attribute]) -> Outcome<()> {
    let passwords = attributes.iter().filter(|attribute| is_password(&attribute.description));
    let clear: Vec<&[u8]> =
        passwords.flat_map(|attribute| &attribute.values).map(|value| secret::clear(value)).collect();
    let Some(superior) = dn.superior() else { return Ok(()) };
    let directory = &context.directory;
    let snapshot = directory.dit().read()?;
    let view = snapshot.view();
    let Some(superior) = view.resolve(&superior)?.entry else { return Ok(()) };
    let Some(policy) = directory.policies.book(directory.dit())?.policy_of_new(view, superior, attributes)? else {
        return Ok(());
    };
    let is_name =
        |attribute: &&Attribute| NAMES.iter().any(|name| attribute.description.name().eq_ignore_ascii_case(name));
    let values = attributes.iter().filter(is_name).flat_map(|attribute| &attribute.values);
    let names: Vec<String> = values.map(|value| name_text(value)).collect();
    check_values(&policy, &clear, &names)
}

fn names(modifications: &[Modification], name: &str) -> bool {
    modifications.iter().any(|one| one.attribute.description.name().eq_ignore_ascii_case(name))
}

/// Whether an account is unlocked or locked by hand: of consequence also where `pwdAccountLockedTime` stays away, as with an
/// account that is locked because nobody used it.
pub(super) fn unlocks(modifications: &[Modification]) -> bool {
    names(modifications, LOCKED_TIME)
}

/// What the change of an entry's password leaves in it, and whose changes it must not repeat (`deltas` so far).
///
/// # Errors
/// Storage.
pub(super) fn recorded(
    context: &Context,
    writing: &mut Writing<'_>,
    id: EntryId,
    modifications: &[Modification],
    deltas: &mut Vec<Delta>,
) -> Outcome<()> {
    let named = |name: &str| names(modifications, name);
    let changes_password = modifications.iter().any(|one| is_password(&one.attribute.description));
    if !changes_password && !named(LOCKED_TIME) {
        return Ok(());
    }
    let (policy, old, kept, uuid) = {
        let view = writing.view();
        let Some(entry) = view.entry(id)? else { return Ok(()) };
        let policy = context.directory.policies.book(context.directory.dit())?.policy_of(view, &entry)?;
        (policy, values_of(view, &entry, "userPassword"), values_of(view, &entry, "pwdHistory"), entry.record.uuid())
    };
    let mut gone = vec!["pwdFailureTime"];
    context.directory.marks.forget(uuid);
    let is_owner = context.requester.entry_uuid() == Some(uuid);
    if !is_owner && policy.as_ref().is_some_and(|policy| policy.max_idle_s > 0) {
        begin_idle_time(context, writing, id, deltas)?;
    }
    if changes_password {
        gone.push("pwdGraceUseTime");
        if !named(LOCKED_TIME) {
            gone.push(LOCKED_TIME);
        }
        verifiers(context, writing, id, deltas)?;
        let must_change = policy.as_ref().is_some_and(|policy| policy.must_change) && !is_owner;
        if !named("pwdReset") {
            gone.push("pwdReset");
        }
        for name in gone {
            deltas.extend(clear(writing, id, name)?);
        }
        if must_change && !named("pwdReset") {
            deltas.push(cell(writing, "pwdReset", b"TRUE", true)?);
        }
        if let Some(policy) = policy {
            let now = second_text(context.directory.now_us());
            deltas.extend(clear(writing, id, "pwdChangedTime")?);
            deltas.push(cell(writing, "pwdChangedTime", now.as_bytes(), true)?);
            remember(writing, &policy, &now, &old, kept, deltas)?;
        }
        return Ok(());
    }
    for name in gone {
        deltas.extend(clear(writing, id, name)?);
    }
    Ok(())
}

/// Whoever lets an account in again that nobody has used (`pwdMaxIdle`), by another password or by taking the lock away,
/// gives it as long as from a bind.
fn begin_idle_time(context: &Context, writing: &mut Writing<'_>, id: EntryId, deltas: &mut Vec<Delta>) -> Outcome<()> {
    let Some(cleared) = clear(writing, id, "pwdLastSuccess")? else { return Ok(()) };
    let now = second_text(context.directory.now_us());
    deltas.extend([cleared, cell(writing, "pwdLastSuccess", now.as_bytes(), true)?]);
    Ok(())
}

/// What a new entry with a password begins with.
///
/// # Errors
/// Storage.
pub(super) fn recorded_at_birth(
    context: &Context,
    writing: &mut Writing<'_>,
    superior: EntryId,
    attributes: &[Attribute],
    deltas: &mut Vec<Delta>,
) -> Outcome<()> {
    if !attributes.iter().any(|attribute| is_password(&attribute.description)) {
        return Ok(());
    }
    for verifier in &context.verifiers {
        deltas.push(cell(writing, SCRAM_CREDENTIAL, verifier.as_bytes(), true)?);
    }
    let policy = {
        let view = writing.view();
        let book = context.directory.policies.book(context.directory.dit())?;
        book.policy_of_new(view, superior, attributes)?
    };
    let Some(policy) = policy else { return Ok(()) };
    let now = second_text(context.directory.now_us());
    deltas.push(cell(writing, "pwdChangedTime", now.as_bytes(), true)?);
    let says_reset = attributes.iter().any(|attribute| attribute.description.name().eq_ignore_ascii_case("pwdReset"));
    if policy.must_change && !says_reset {
        deltas.push(cell(writing, "pwdReset", b"TRUE", true)?);
    }
    Ok(())
}

/// Where SCRAM verifiers are kept.
pub(in crate::operation) const SCRAM_CREDENTIAL: &str = "scramCredential";

fn verifiers(context: &Context, writing: &mut Writing<'_>, id: EntryId, deltas: &mut Vec<Delta>) -> Outcome<()> {
    deltas.extend(clear(writing, id, SCRAM_CREDENTIAL)?);
    for verifier in &context.verifiers {
        deltas.push(cell(writing, SCRAM_CREDENTIAL, verifier.as_bytes(), true)?);
    }
    Ok(())
}

/// Puts the old passwords into the history, and takes out what is beyond its length.
fn remember(
    writing: &mut Writing<'_>,
    policy: &Arc<PasswordPolicy>,
    now: &str,
    old: &[Vec<u8>],
    mut kept: Vec<Vec<u8>>,
    deltas: &mut Vec<Delta>,
) -> Outcome<()> {
    kept.sort_by_key(|value| history_time(value));
    let mut new = Vec::new();
    for stored in old.iter().take(policy.in_history) {
        let mut value = format!("{now}#{OCTET_STRING}#{}#", stored.len()).into_bytes();
        value.extend_from_slice(stored);
        new.push(value);
    }
    let surplus = (kept.len() + new.len()).saturating_sub(policy.in_history).min(kept.len());
    for value in kept.iter().take(surplus) {
        deltas.push(cell(writing, "pwdHistory", value, false)?);
    }
    for value in new {
        deltas.push(cell(writing, "pwdHistory", &value, true)?);
    }
    Ok(())
}

/// The earlier passwords as stored, the newest first.
fn history(view: View<'_>, entry: &Entry<'_>) -> Vec<Vec<u8>> {
    let mut values = values_of(view, entry, "pwdHistory");
    values.sort_by_key(|value| std::cmp::Reverse(history_time(value)));
    values.iter().filter_map(|value| Some(history_parts(value)?.1.to_vec())).collect()
}

fn history_time(value: &[u8]) -> i64 {
    history_parts(value).and_then(|(time, _)| parse_generalized_time(time)).unwrap_or(i64::MIN)
}

/// `time#syntax#length#password` (draft 5.3.5).
fn history_parts(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = value.splitn(4, |byte| *byte == b'#');
    let (time, _, length, stored) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
    (length == stored.len()).then_some((time, stored))
}

fn values_of(view: View<'_>, entry: &Entry<'_>, name: &str) -> Vec<Vec<u8>> {
    let id = AttributeDescription::parse(name).ok().and_then(|name| view.catalog().find(&name));
    let slice = id.and_then(|id| entry.record.any_attribute(id));
    slice.map(|slice| slice.values().map(<[u8]>::to_vec).collect()).unwrap_or_default()
}

fn names_of(view: View<'_>, entry: &Entry<'_>) -> Vec<String> {
    NAMES.iter().flat_map(|name| values_of(view, entry, name)).map(|value| name_text(&value)).collect()
}

/// What of a name is to be looked for in a password: of a mail address what is before the @.
fn name_text(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    text.split('@').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draft 5.3.5.
    #[test]
    fn history_values_are_read_as_they_are_written() {
        let value = b"20240101000000Z#1.3.6.1.4.1.1466.115.121.1.40#7#{X}a#b#";
        let (time, stored) = history_parts(value).unwrap();
        assert_eq!((time, stored), (&b"20240101000000Z"[..], &b"{X}a#b#"[..]));
        assert_eq!(history_parts(b"20240101000000Z#1.2#8#{X}a#b#"), None, "a wrong length is no value");
        assert_eq!(history_parts(b"x"), None);
    }
}
