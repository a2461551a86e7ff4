//! Delete (RFC 4511 4.8): one leaf goes; or, where the client asks for it, an entry with all below it.

use super::{Context, Done, Failure, delete_tree, link_ahead, reads, target};
use crate::dit::{Target, Writing};
use crate::model::{Dn, ResultCode};
use crate::operation::outcome::OperationError;
use crate::state::Delta;
use crate::storage::EntryId;

/// Deletes the entry `dn`. What links to it stops showing it.
///
/// # Errors
/// noSuchObject, referral, insufficientAccessRights, assertionFailed, notAllowedOnNonLeaf.
pub(super) fn perform(context: &Context, writing: &mut Writing<'_>, dn: &Dn) -> Result<Done, Failure> {
    let view = writing.view();
    let access = context.directory.access(&context.requester, view)?;
    let entry = target::entry(context, &access, view, dn)?;
    let is_suffix = entry.record.parent() == EntryId::NONE;
    if !access.may_delete(&entry) || (is_suffix && !access.is_administrator()) {
        return Err(OperationError::insufficient_access(
            "you may not delete this entry; ask the administrator for a rule that allows it",
        )
        .into());
    }
    target::check_assertion(context, &access, view, &entry)?;
    let below = view.subordinate_count(entry.id)?;
    if below > 0 && context.controls.tree_delete {
        let mut done = Done::default();
        let ids = delete_tree::gather(context, &access, view, &entry)?;
        reads::before(context, &access, view, &entry, &mut done)?;
        let top = entry.id;
        drop(access);
        link_ahead(context, writing, top, true)?;
        delete_tree::perform(context, writing, &ids)?;
        return Ok(done);
    }
    if below > 0 {
        return Err(OperationError::new(
            ResultCode::NOT_ALLOWED_ON_NON_LEAF,
            format!("there are entries below this one ({below} directly); delete or move them first"),
        )
        .into());
    }
    let mut done = Done::default();
    reads::before(context, &access, view, &entry, &mut done)?;
    let id = entry.id;
    drop(access);
    link_ahead(context, writing, id, false)?;
    writing.change(Target::Existing(id), &context.author(), vec![Delta::Dead]).map_err(Failure::Broken)?;
    Ok(done)
}
