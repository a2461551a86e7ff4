//! Putting an entry whose superior is not here below one that is: a modify of its entry below cn=lost+found that
//! replaces `distinguishedName`. It is a move like any other, and holds on all members.

use super::{Context, Done, Failure, Work, add, modify, reads};
use crate::dit::{Target, Writing};
use crate::model::{DerefAliases, Dn, EntryUuid, ModificationKind, Rdn, ResultCode};
use crate::operation::lost_entry;
use crate::operation::outcome::{OperationError, Outcome};
use crate::search::{Base, find_base};
use crate::state::Delta;
use crate::wire::ModificationRequest;

/// What the modify of an entry below cn=lost+found wants.
///
/// # Errors
/// noSuchObject; unwillingToPerform for any other modify; invalidDNSyntax.
pub(super) fn read(rdn: &Rdn, modifications: &[ModificationRequest<'_>]) -> Outcome<Work> {
    let uuid = lost_entry::uuid_of(rdn).ok_or_else(|| OperationError::no_such_object(lost_entry::DN))?;
    match modifications {
        [one] if one.attribute.eq_ignore_ascii_case("distinguishedName") && one.kind == ModificationKind::Replace => {
            if let [dn] = one.values.as_slice() {
                return Ok(Work::Place { uuid, to: Dn::parse_bytes(dn)? });
            }
        }
        _ => {}
    }
    Err(OperationError::new(
        ResultCode::UNWILLING_TO_PERFORM,
        "an entry that has no superior can only be given one: replace distinguishedName by the name that it shall have",
    ))
}

/// Puts the entry below the superior of `to`; its RDN stays.
///
/// # Errors
/// noSuchObject: it is not lost, or the superior is not there; namingViolation; entryAlreadyExists: the name is taken.
pub(super) fn perform(context: &Context, writing: &mut Writing<'_>, uuid: EntryUuid, to: &Dn) -> Result<Done, Failure> {
    let view = writing.view();
    let Some(id) = lost_entry::number_of(view, uuid)? else {
        let text = "no entry of this entryUUID waits for its superior";
        return Err(OperationError::new(ResultCode::NO_SUCH_OBJECT, text).matched(lost_entry::DN).into());
    };
    let state = view.state_of(id)?.ok_or_else(|| OperationError::no_such_object(lost_entry::DN))?;
    let own = Dn::parse(&view.dn_by_state(&state)?).map_err(OperationError::from)?;
    let schema = view.catalog().schema();
    let (Some(rdn), Some(superior)) = (to.rdn(), to.superior().filter(|superior| !superior.is_root())) else {
        return Err(OperationError::no_such_object("").into());
    };
    if own.rdn().map(|own| schema.rdn_key(own)) != Some(schema.rdn_key(rdn)) {
        let text = "the entry keeps its RDN when it gets a superior; rename it afterwards";
        return Err(OperationError::new(ResultCode::NAMING_VIOLATION, text).into());
    }
    let superior = match find_base(view, &superior, DerefAliases::Never, true)? {
        Base::Entry(superior) => view.entry(superior)?,
        _ => None,
    };
    let superior = superior.ok_or_else(|| {
        OperationError::new(
            ResultCode::NO_SUCH_OBJECT,
            format!("the superior of {to} is not there; name another place"),
        )
    })?;
    add::check_superior(&superior)?;
    add::check_length(view, superior.id, rdn)?;
    if view.child_by_key(superior.id, &schema.rdn_key(rdn))?.is_some() {
        return Err(add::already_there().into());
    }
    let parent = superior.record.uuid();
    let modifiers_name = view.catalog().well_known().modifiers_name;
    let author = modify::name_cell(writing, modifiers_name, &context.author())?;
    let deltas = vec![Delta::Parent(parent), Delta::Clear(modifiers_name), author];
    writing.change(Target::Existing(id), &context.author(), deltas).map_err(Failure::Broken)?;
    let mut done = Done::default();
    reads::after(context, writing, id, &mut done);
    Ok(done)
}
