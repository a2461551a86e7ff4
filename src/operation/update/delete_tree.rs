//! Tree delete (draft-armijo-ldap-treedelete): an entry and everything below it in one change, or nothing of it.
//!
//! Every entry must be one that the requester may delete. How many may go at a time is limited (`limits.tree_delete`),
//! because the writer does nothing else meanwhile.

use super::{Context, Failure};
use crate::dit::{CLUSTER_DN, Entry, Target, View, Writing};
use crate::model::ResultCode;
use crate::operation::access::Access;
use crate::operation::outcome::{OperationError, Outcome};
use crate::state::Delta;
use crate::storage::EntryId;

/// The entry `top` and all below it, superiors first.
///
/// # Errors
/// insufficientAccessRights, adminLimitExceeded, unwillingToPerform.
pub(super) fn gather(context: &Context, access: &Access<'_>, view: View<'_>, top: &Entry<'_>) -> Outcome<Vec<EntryId>> {
    let most = context.directory.options().limits.tree_delete as usize;
    if top.record.parent() == EntryId::NONE && top.record.rdn().eq_ignore_ascii_case(CLUSTER_DN.as_bytes()) {
        return Err(OperationError::new(
            ResultCode::UNWILLING_TO_PERFORM,
            "this entry holds the cluster together; use: entente replica retire",
        ));
    }
    let mut ids = vec![top.id];
    let mut at = 0;
    while let Some(id) = ids.get(at).copied() {
        at += 1;
        for child in view.children(id)? {
            let child = child?;
            if ids.len() >= most {
                return Err(OperationError::new(
                    ResultCode::ADMIN_LIMIT_EXCEEDED,
                    format!("more than {most} entries would go (limits.tree_delete); delete parts of the tree first"),
                ));
            }
            let Some(entry) = view.entry(child)? else { continue };
            if !access.may_delete(&entry) {
                return Err(OperationError::insufficient_access(
                    "there is an entry below this one that you may not delete; nothing was deleted",
                ));
            }
            ids.push(child);
        }
    }
    Ok(ids)
}

/// Deletes them, those below first.
///
/// # Errors
/// Storage; the transaction is then to be dropped.
pub(super) fn perform(context: &Context, writing: &mut Writing<'_>, ids: &[EntryId]) -> Result<(), Failure> {
    let author = context.author();
    writing.together(|writing| {
        for id in ids.iter().rev() {
            writing.change(Target::Existing(*id), &author, vec![Delta::Dead]).map_err(Failure::Broken)?;
        }
        Ok(())
    })
}
