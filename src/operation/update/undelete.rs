//! Undelete: bringing a deleted entry back, by a modify of its entry below cn=deleted, as clients of Active Directory do
//! it: `isDeleted` is deleted, and `distinguishedName` may be replaced by the name that it shall have.
//!
//! The entry keeps its entryUUID: groups show it again, and what stands below it is below it again.

use super::{Context, Done, Failure, Work, add, modify, reads};
use crate::dit::{Deleted, Target, View, Writing, rdn_state};
use crate::model::{DerefAliases, Dn, EntryUuid, ModificationKind, Rdn, ResultCode};
use crate::operation::deleted_entry;
use crate::operation::outcome::{OperationError, Outcome};
use crate::search::{Base, find_base};
use crate::storage::EntryId;
use crate::wire::ModificationRequest;

/// What the modify of an entry below cn=deleted wants.
///
/// # Errors
/// noSuchObject; unwillingToPerform for any other modify; invalidDNSyntax.
pub(super) fn read(rdn: &Rdn, modifications: &[ModificationRequest<'_>]) -> Outcome<Work> {
    let uuid = deleted_entry::uuid_of(rdn).ok_or_else(|| OperationError::no_such_object(deleted_entry::DN))?;
    let (mut is_undelete, mut to) = (false, None);
    for modification in modifications {
        let named = |name: &str| modification.attribute.eq_ignore_ascii_case(name);
        match (modification.kind, modification.values.as_slice()) {
            (ModificationKind::Delete, _) if named("isDeleted") => is_undelete = true,
            (ModificationKind::Replace, []) if named("isDeleted") => is_undelete = true,
            (ModificationKind::Replace, [b"FALSE"]) if named("isDeleted") => is_undelete = true,
            (ModificationKind::Replace | ModificationKind::Add, [dn]) if named("distinguishedName") => {
                to = Some(Dn::parse_bytes(dn)?);
            }
            _ => {
                return Err(OperationError::new(
                    ResultCode::UNWILLING_TO_PERFORM,
                    "a deleted entry can only be brought back: delete isDeleted, and replace distinguishedName by the \
                     name that it shall have if that is another; change it afterwards",
                ));
            }
        }
    }
    if is_undelete {
        return Ok(Work::Undelete { uuid, to });
    }
    Err(OperationError::new(ResultCode::UNWILLING_TO_PERFORM, "to bring the entry back, delete isDeleted"))
}

/// Brings the entry back, under its last name or as `to`.
///
/// # Errors
/// noSuchObject: not deleted, not kept any more, or the superior is not there; entryAlreadyExists: the name is taken;
/// aliasProblem and its like of the superior; namingViolation.
pub(super) fn perform(
    context: &Context,
    writing: &mut Writing<'_>,
    uuid: EntryUuid,
    to: Option<&Dn>,
) -> Result<Done, Failure> {
    let view = writing.view();
    let Some(deleted) = view.deleted(uuid)? else {
        let text = match view.by_uuid(uuid)? {
            Some(_) => "the entry is not deleted",
            None => "no deleted entry of this entryUUID is kept; after its time a deleted entry goes altogether",
        };
        return Err(OperationError::new(ResultCode::NO_SUCH_OBJECT, text).matched(deleted_entry::DN).into());
    };
    let dn = match to {
        Some(dn) => dn.clone(),
        None => Dn::parse(&view.dn_by_state(&deleted.state)?).map_err(OperationError::from)?,
    };
    let parent = place(view, &deleted, &dn, to)?;
    let parent_uuid = view.entry(parent)?.map_or(EntryUuid::NIL, |entry| entry.record.uuid());
    let rdn = match (to, dn.rdn()) {
        (Some(_), Some(rdn)) => rdn_state(writing, rdn)?,
        _ => deleted.state.rdn.1.clone(),
    };
    let modifiers_name = writing.view().catalog().well_known().modifiers_name;
    let author = modify::name_cell(writing, modifiers_name, &context.author())?;
    let deltas = writing.undelete_deltas(&deleted, rdn, parent_uuid, author)?;
    let (id, _) = writing.change(Target::New(uuid), &context.author(), deltas).map_err(Failure::Broken)?;
    let mut done = Done::default();
    reads::after(context, writing, id, &mut done);
    Ok(done)
}

/// The superior to be; [`EntryId::NONE`] for a suffix.
fn place(view: View<'_>, deleted: &Deleted, dn: &Dn, to: Option<&Dn>) -> Outcome<EntryId> {
    let schema = view.catalog().schema();
    let is_suffix = deleted.state.parent.1 == EntryUuid::NIL;
    if is_suffix {
        if to.is_some() {
            return Err(OperationError::new(
                ResultCode::UNWILLING_TO_PERFORM,
                "the entry was a suffix, and a suffix keeps its name; leave the new name out",
            ));
        }
        return match view.child_by_key(EntryId::NONE, &schema.dn_key(dn))? {
            Some(there) if there != deleted.id => Err(add::already_there()),
            _ => Ok(EntryId::NONE),
        };
    }
    let superior = match to {
        None => view.by_uuid(deleted.state.parent.1)?,
        Some(dn) => {
            let superior = dn.superior().filter(|superior| !superior.is_root());
            match superior.map(|superior| find_base(view, &superior, DerefAliases::Never, true)).transpose()? {
                Some(Base::Entry(id)) => Some(id),
                _ => None,
            }
        }
    };
    let superior = match superior {
        Some(id) => view.entry(id)?,
        None => None,
    };
    let superior = superior.ok_or_else(|| {
        OperationError::new(
            ResultCode::NO_SUCH_OBJECT,
            format!("the superior of {dn} is not there; bring that back first, or name another place"),
        )
    })?;
    add::check_superior(&superior)?;
    let rdn = dn.rdn().ok_or_else(|| OperationError::no_such_object(""))?;
    add::check_length(view, superior.id, rdn)?;
    match view.child_by_key(superior.id, &schema.rdn_key(rdn))? {
        Some(there) if there != deleted.id => Err(OperationError::new(
            ResultCode::ENTRY_ALREADY_EXISTS,
            format!("another entry is named {dn} now; name another place, or rename that one"),
        )),
        _ => Ok(superior.id),
    }
}
