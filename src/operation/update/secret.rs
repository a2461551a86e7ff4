//! Clear passwords in a change: refused where they are none, hashed before the change is queued.
//!
//! `userPassword` comes as clear text and is stored as Argon2id. Hashing takes 20 ms, so it is never done where others
//! wait: the server runs [`hash`] on its hashing pool. A client that changes its password by deleting the old clear
//! value and adding the new one means the stored value that the old one fits; that is found here too.
//!
//! Invariants
//! - Values in known hash schemes come from the administrator only: anybody else could set a hash that no password
//!   policy has seen, or that is weak (hostile.md T-30).
//! - After [`hash`] no value that is to be stored is clear.
//! - `{CLEARTEXT}` and `{CLEAR}` say that what follows is the password, as in an import and as slapd's policies read it; the
//!   prefix is never part of a password that is hashed. What follows is taken as it is, a `{SCHEME}` in it too. (389 stores
//!   such a value of its administrator as it stands and refuses everybody else's.) RFC 3062's new passwords have no prefix.
//! - Nothing here says whether an old password fits: that shows in the transaction, where access is judged first.

use super::{Context, target};
use crate::model::{Attribute, AttributeDescription, Change, Dn, Modification, ModificationKind, ResultCode};
use crate::operation::access::Written;
use crate::operation::outcome::{OperationError, Outcome};
use crate::policy::password_hash::{self, Verdict};
use crate::policy::requester::Requester;
use crate::policy::scram;

/// Clear passwords in one request; each costs 20 ms of a core.
const CLEAR_PASSWORDS_MAX: usize = 4;
/// Stored values that an old password is compared with.
pub(super) const STORED_PASSWORDS_MAX: usize = 8;

/// Whether the attribute is userPassword, with any options.
pub(super) fn is_password(description: &AttributeDescription) -> bool {
    description.name().eq_ignore_ascii_case("userPassword") || description.name() == "2.5.4.35"
}

/// Whether these values may be stored as passwords once they are hashed. `clear_count` counts those of one request.
pub(super) fn check(
    requester: &Requester,
    description: &AttributeDescription,
    values: &[&[u8]],
    clear_count: &mut usize,
) -> Outcome<()> {
    let refused =
        |advice: &str| Err(OperationError::new(ResultCode::CONSTRAINT_VIOLATION, format!("{description}: {advice}")));
    for value in values {
        if clear(value).is_empty() {
            return refused("an empty password would let nobody in; delete the attribute instead");
        }
        if password_hash::is_hashed(value) {
            if !requester.is_administrator() {
                return refused(
                    "send the password as clear text over TLS; the server hashes it. Only the administrator may store hashes",
                );
            }
            continue;
        }
        *clear_count += 1;
        if *clear_count > CLEAR_PASSWORDS_MAX {
            return refused("more than 4 clear passwords in one request; send them one after another");
        }
    }
    Ok(())
}

/// Whether [`hash`] has something to do.
pub(super) fn wants_hashing(change: &Change) -> bool {
    let is_clear = |value: &Vec<u8>| !password_hash::is_hashed(value);
    match change {
        Change::Add { attributes, .. } => attributes
            .iter()
            .any(|attribute| is_password(&attribute.description) && attribute.values.iter().any(is_clear)),
        // Taking all passwords away is for the policy to judge as well, which is done in the same place.
        Change::Modify { modifications, .. } => modifications.iter().any(|Modification { attribute, .. }| {
            is_password(&attribute.description)
                && (attribute.values.is_empty() || attribute.values.iter().any(is_clear))
        }),
        Change::Delete { .. } | Change::ModifyDn { .. } => false,
    }
}

/// Hashes the clear passwords that are to be stored, and puts the stored values in place of the clear ones that are to
/// be deleted. Cost: 20 ms for each; only for the hashing pool.
///
/// # Errors
/// busy: too many that were to be deleted were wrong, and this one was not looked at.
pub(super) fn hash(context: &Context, change: &mut Change) -> Outcome<()> {
    match change {
        Change::Add { attributes, .. } => {
            for attribute in attributes.iter_mut().filter(|attribute| is_password(&attribute.description)) {
                attribute.values.iter_mut().for_each(hash_in_place);
            }
        }
        Change::Modify { dn, modifications } => {
            for modification in modifications.iter_mut().filter(|found| is_password(&found.attribute.description)) {
                match modification.kind {
                    ModificationKind::Delete => {
                        find_stored(
                            context,
                            dn,
                            &modification.attribute.description,
                            &mut modification.attribute.values,
                        )?;
                    }
                    _ => modification.attribute.values.iter_mut().for_each(hash_in_place),
                }
            }
        }
        Change::Delete { .. } | Change::ModifyDn { .. } => {}
    }
    Ok(())
}

/// SCRAM verifiers of the clear password that a change sets; none if it sets none, or several.
pub(super) fn verifiers(context: &Context, change: &Change) -> Vec<String> {
    let sets = |attribute: &Attribute| {
        let is_clear = |value: &&Vec<u8>| !password_hash::is_hashed(value);
        let found = attribute.values.iter().filter(|_| is_password(&attribute.description)).find(is_clear);
        found.map(|value| clear(value).to_vec())
    };
    let set: Vec<Vec<u8>> = match change {
        Change::Add { attributes, .. } => attributes.iter().filter_map(sets).collect(),
        Change::Modify { modifications, .. } => modifications
            .iter()
            .filter(|one| matches!(one.kind, ModificationKind::Add | ModificationKind::Replace))
            .filter_map(|one| sets(&one.attribute))
            .collect(),
        Change::Delete { .. } | Change::ModifyDn { .. } => Vec::new(),
    };
    match set.as_slice() {
        [one] => verifiers_of(context, one),
        _ => Vec::new(),
    }
}

/// SCRAM verifiers of a clear password, of the kinds that the settings name.
pub(super) fn verifiers_of(context: &Context, password: &[u8]) -> Vec<String> {
    let options = context.directory.options();
    let kinds = options.scram.iter().copied();
    kinds
        .filter_map(|hash| scram::Verifier::make(hash, password, options.scram_iterations))
        .map(|made| made.to_text())
        .collect()
}

/// The clear password that a value says which is no hash.
pub(super) fn clear(value: &[u8]) -> &[u8] {
    password_hash::clear_text(value).unwrap_or(value)
}

fn hash_in_place(value: &mut Vec<u8>) {
    if !password_hash::is_hashed(value) {
        let hash = password_hash::hash(clear(value));
        drop(zeroize::Zeroizing::new(std::mem::replace(value, hash)));
    }
}

/// Puts stored values in place of the clear ones that fit them. What fits none stays, and is then found absent.
fn find_stored(context: &Context, dn: &Dn, description: &AttributeDescription, values: &mut [Vec<u8>]) -> Outcome<()> {
    // Why not, the transaction says to those who may know.
    let Ok(stored) = stored_passwords(context, dn, description) else { return Ok(()) };
    for value in values.iter_mut().filter(|value| !password_hash::is_hashed(value)) {
        if let Some(fitting) = fitting(context, dn, &stored, clear(value))? {
            *value = fitting;
        }
    }
    Ok(())
}

/// The one of the `stored` passwords of `dn` that an old password fits, which the requester may try. Counts as a bind does.
///
/// # Errors
/// busy: too many have failed, and this one was not looked at.
pub(super) fn fitting(context: &Context, dn: &Dn, stored: &[Vec<u8>], old: &[u8]) -> Outcome<Option<Vec<u8>>> {
    let (directory, address) = (&context.directory, context.requester.peer);
    let name = dn.to_string();
    let attempt = directory.attempt(address, Some(dn), &name);
    directory.admit(attempt)?;
    let fits = |stored: &&Vec<u8>| password_hash::verify(stored, old) == Verdict::Match;
    let found = stored.iter().take(STORED_PASSWORDS_MAX).find(fits).cloned();
    directory.note_proof(attempt, address, &name, found.is_some());
    Ok(found)
}

/// The stored values of an entry's password that the requester may write; at most [`STORED_PASSWORDS_MAX`].
///
/// # Errors
/// As for a modify of it: noSuchObject, referral, insufficientAccessRights.
pub(super) fn stored_passwords(
    context: &Context,
    dn: &Dn,
    description: &AttributeDescription,
) -> Outcome<Vec<Vec<u8>>> {
    let snapshot = context.directory.dit().read()?;
    let view = snapshot.view();
    let access = context.directory.access(&context.requester, view)?;
    let entry = target::entry(context, &access, view, dn)?;
    let Some(attribute_type) = view.catalog().schema().attribute_type(description.name()) else {
        return Ok(Vec::new());
    };
    if !access.may_write(&entry, attribute_type.index, Written::Every) {
        return Err(target::not_allowed(description));
    }
    let Some(slice) = view.catalog().find(description).and_then(|id| entry.attribute(id)) else {
        return Ok(Vec::new());
    };
    Ok(slice.values().take(STORED_PASSWORDS_MAX).map(<[u8]>::to_vec).collect())
}
