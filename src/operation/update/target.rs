//! The entry that a change is about: found, seen, asserted, and read for the client before and after.

use super::Context;
use crate::dit::{Entry, View};
use crate::model::{AttributeDescription, DerefAliases, Dn, ResultCode};
use crate::operation::access::Access;
use crate::operation::outcome::{OperationError, Outcome};
use crate::operation::referral_instead;
use crate::search::{AttributeGate, Base, CompiledFilter, evaluate, find_base};
use crate::storage::ENTRY_PHANTOM;

/// Why a phantom cannot be changed.
const DELETED_ALREADY: &str = "the entry was deleted already, and its name is shown only for the entries below it: it \
                               goes with the last of them. An entry of this name may be added again";

/// The entry named `dn`. Aliases are not followed (RFC 4511 4.6 to 4.9).
///
/// # Errors
/// noSuchObject with the deepest entry that the requester may know of, also for an entry that it may not see;
/// referral.
pub(super) fn entry<'v>(context: &Context, access: &Access<'v>, view: View<'v>, dn: &Dn) -> Outcome<Entry<'v>> {
    match find_base(view, dn, DerefAliases::Never, context.controls.manage_dsa_it)? {
        Base::Entry(id) => match view.entry(id)? {
            Some(entry) if access.is_visible(&entry) && entry.record.flags() & ENTRY_PHANTOM != 0 => {
                let mut error = access.no_such_object(Some(view.superior(&entry)))?;
                DELETED_ALREADY.clone_into(&mut error.diagnostic);
                Err(error)
            }
            Some(entry) if access.is_visible(&entry) => Ok(entry),
            Some(entry) => Err(access.no_such_object(Some(view.superior(&entry)))?),
            None => Err(access.no_such_object(None)?),
        },
        Base::Referral { entry, missing } => Err(referral_instead(view, access, entry, dn, missing, None)?),
        Base::Missing { matched } => Err(access.no_such_object(matched)?),
        Base::AliasProblem { alias } => Err(access.no_such_object(Some(alias))?),
    }
}

/// The requester may see the entry, but not write the attribute.
pub(super) fn not_allowed(description: &AttributeDescription) -> OperationError {
    OperationError::insufficient_access(format!(
        "you may not write {description} of this entry; ask the administrator for a rule that allows it"
    ))
}

/// RFC 4528: nothing is done unless the entry matches; what may not be searched by is Undefined.
pub(super) fn check_assertion(
    context: &Context,
    gate: &dyn AttributeGate,
    view: View<'_>,
    entry: &Entry<'_>,
) -> Outcome<()> {
    let Some(filter) = &context.controls.assertion else { return Ok(()) };
    let filter = CompiledFilter::compile(view.catalog().schema(), filter);
    if evaluate(&filter, view, entry, gate)?.is_true() { Ok(()) } else { Err(assertion_failed()) }
}

pub(super) fn assertion_failed() -> OperationError {
    OperationError::new(
        ResultCode::ASSERTION_FAILED,
        "the entry does not match the assertion; nothing was changed. Read it again and decide anew",
    )
}
