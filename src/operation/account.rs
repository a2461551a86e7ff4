//! Whether an account can be used: what the account usability control tells of an entry.
//!
//! An account is an entry with a password. Nothing expires here and nobody is locked out, as long as no password policy
//! says so; whatever does is to be asked in [`usability`], so that clients hear it.

use super::access::Access;
use super::bind::may_bind;
use super::outcome::Outcome;
use crate::dit::{Entry, View};
use crate::wire::control::Usability;

/// Whether the account can be used; `None` of an entry that is none, or whose password the requester may not even compare.
///
/// # Errors
/// Storage.
pub(super) fn usability(view: View<'_>, access: &Access<'_>, entry: &Entry<'_>) -> Outcome<Option<Usability>> {
    let catalog = view.catalog();
    let Some(password) = catalog.schema().attribute_type("userPassword") else { return Ok(None) };
    if !catalog.of_type(password.index).iter().any(|attribute| entry.attribute(*attribute).is_some()) {
        return Ok(None);
    }
    if !access.may_compare(entry, password.index) {
        return Ok(None);
    }
    Ok(Some(match may_bind(entry) {
        true => Usability::Usable { expires_s: None },
        false => Usability::Unusable { inactive: true },
    }))
}
