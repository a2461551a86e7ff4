//! Pre-read and post-read (RFC 4527): the entry as it was and as it is, in the answer of the change itself.

use super::{Context, Done};
use crate::dit::{Entry, View, Writing};
use crate::operation::access::Access;
use crate::operation::outcome::{OperationError, Outcome};
use crate::operation::read_entry_control;
use crate::storage::EntryId;
use crate::wire::ResponseControl;
use crate::wire::control::{POST_READ, PRE_READ};

/// Reads the entry before the change, if the client asked for it.
///
/// # Errors
/// Storage.
pub(super) fn before<'v>(
    context: &Context,
    access: &Access<'v>,
    view: View<'v>,
    entry: &Entry<'v>,
    done: &mut Done,
) -> Outcome<()> {
    if let Some(names) = &context.controls.pre_read {
        let value = read_entry_control(view, access, entry, names)?;
        done.controls.push(ResponseControl { oid: PRE_READ, critical: false, value: Some(value) });
    }
    Ok(())
}

/// Reads the entry after the change, if the client asked for it. The change is made: a fault here is logged, and the
/// control is missing in the answer.
pub(super) fn after(context: &Context, writing: &Writing<'_>, id: EntryId, done: &mut Done) {
    let Some(names) = &context.controls.post_read else { return };
    let read = || -> Outcome<Vec<u8>> {
        let view = writing.view();
        let access = context.directory.access(&context.requester, view)?;
        let entry = view.entry(id)?.ok_or_else(|| OperationError::no_such_object(""))?;
        read_entry_control(view, &access, &entry, names)
    };
    match read() {
        Ok(value) => done.controls.push(ResponseControl { oid: POST_READ, critical: false, value: Some(value) }),
        Err(error) => tracing::error!(%error, "an entry could not be read after its change"),
    }
}
