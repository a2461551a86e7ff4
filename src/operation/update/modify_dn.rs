//! Modify DN (RFC 4511 4.9): another RDN, another superior, or both; a whole subtree at the cost of one record.
//!
//! The name of an entry is a register of its own, and so is its superior: entries below it and links to it hold
//! identities, so nothing else is written. The values of the RDN are ordinary values besides: those of the old one go
//! or stay as the client says, those of the new one come.

use super::edit::EditError;
use super::sound::{self, Edits};
use super::{Context, Done, Failure, add, held, modify, reads, target, unique};
use crate::dit::{Entry, Target, View, Writing, rdn_state};
use crate::model::dn::RDN_COUNT_MAX;
use crate::model::{DerefAliases, Dn, Rdn, ResultCode};
use crate::operation::access::{Access, Written, attributes_of};
use crate::operation::outcome::{OperationError, Outcome};
use crate::search::{Base, find_base};
use crate::state::{AttributeId, Delta, EntryState, RdnState};
use crate::storage::{EntryId, Table};
use hashbrown::HashMap;

/// What is to become of the name.
pub(super) struct Renaming<'c> {
    pub(super) new_rdn: &'c Rdn,
    pub(super) delete_old_rdn: bool,
    pub(super) new_superior: Option<&'c Dn>,
}

/// Renames or moves the entry `dn`.
///
/// # Errors
/// noSuchObject (entry or superior), referral, insufficientAccessRights, assertionFailed, entryAlreadyExists,
/// unwillingToPerform (a suffix, below itself), namingViolation (the name gets too long or too deep),
/// objectClassViolation, constraintViolation.
pub(super) fn perform(
    context: &Context,
    writing: &mut Writing<'_>,
    dn: &Dn,
    renaming: &Renaming<'_>,
) -> Result<Done, Failure> {
    let mut done = Done::default();
    let view = writing.view();
    let access = context.directory.access(&context.requester, view)?;
    let entry = target::entry(context, &access, view, dn)?;
    let superior = find_superior(context, &access, view, &entry, renaming)?;
    check_access(&access, view, &entry, superior, renaming)?;
    target::check_assertion(context, &access, view, &entry)?;
    check_place(view, &entry, superior, renaming)?;
    reads::before(context, &access, view, &entry, &mut done)?;
    let (id, moved_to) = (entry.id, (superior != view.superior(&entry)).then_some(superior));
    let superior_uuid = match moved_to {
        Some(superior) => view.entry(superior)?.map(|entry| entry.record.uuid()),
        None => None,
    };
    drop(access);
    if let Some(superior) = moved_to {
        unique::check_subtree(context, view, &entry, superior)?;
    }

    super::link_ahead(context, writing, id, true)?;
    let state = writing.state(id)?.ok_or_else(|| OperationError::no_such_object(""))?;
    let new_rdn = rdn_state(writing, renaming.new_rdn)?;
    let mut deltas = fold(context, writing, (id, superior), &state, &new_rdn, renaming.delete_old_rdn)?;
    if new_rdn != state.rdn.1 {
        deltas.push(Delta::Rdn(new_rdn));
    }
    deltas.extend(superior_uuid.map(Delta::Parent));
    if !deltas.is_empty() {
        modify::modified_by(writing, &context.author(), &mut deltas)?;
        writing.change(Target::Existing(id), &context.author(), deltas).map_err(Failure::Broken)?;
    }
    reads::after(context, writing, id, &mut done);
    Ok(done)
}

/// The superior that the entry will have.
fn find_superior(
    context: &Context,
    access: &Access<'_>,
    view: View<'_>,
    entry: &Entry<'_>,
    renaming: &Renaming<'_>,
) -> Outcome<EntryId> {
    if view.superior(entry) == EntryId::NONE {
        return Err(OperationError::new(
            ResultCode::UNWILLING_TO_PERFORM,
            "a suffix cannot be renamed; export it, change the name in the LDIF, and import that",
        ));
    }
    let Some(dn) = renaming.new_superior else { return Ok(view.superior(entry)) };
    let absent = |matched| -> Outcome<OperationError> {
        let mut error = access.no_such_object(matched)?;
        "there is no such new superior; add it first".clone_into(&mut error.diagnostic);
        Ok(error)
    };
    if dn.is_root() {
        return Err(OperationError::new(
            ResultCode::UNWILLING_TO_PERFORM,
            "an entry cannot become a suffix; name a superior below a suffix",
        ));
    }
    match find_base(view, dn, DerefAliases::Never, context.controls.manage_dsa_it)? {
        Base::Entry(id) => match view.entry(id)? {
            Some(superior) if access.is_visible(&superior) => Ok(id),
            Some(superior) => Err(absent(Some(view.superior(&superior)))?),
            None => Err(absent(None)?),
        },
        Base::Referral { entry, .. } => match view.entry(entry)? {
            Some(referral) if !access.is_visible(&referral) => Err(absent(Some(view.superior(&referral)))?),
            _ => Err(OperationError::new(
                ResultCode::AFFECTS_MULTIPLE_DSAS,
                "the new superior is kept by another server; add the entry there and delete it here",
            )),
        },
        Base::Missing { matched } => Err(absent(matched)?),
        Base::AliasProblem { alias } => Err(absent(Some(alias))?),
    }
}

/// The right to rename, to write what the RDNs are made of, and to leave and to arrive.
fn check_access(
    access: &Access<'_>,
    view: View<'_>,
    entry: &Entry<'_>,
    superior: EntryId,
    renaming: &Renaming<'_>,
) -> Outcome<()> {
    if access.is_administrator() {
        return Ok(());
    }
    let schema = view.catalog().schema();
    let refused = |what: &str| {
        Err(OperationError::insufficient_access(format!(
            "you may not {what}; ask the administrator for a rule that allows it"
        )))
    };
    let old_rdn = Rdn::parse(&String::from_utf8_lossy(entry.record.rdn())).ok();
    if old_rdn.as_ref() != Some(renaming.new_rdn) {
        if !access.may_rename(entry) {
            return refused("rename this entry");
        }
        let old = old_rdn.iter().flat_map(|rdn| rdn.avas()).filter(|_| renaming.delete_old_rdn);
        let new = renaming.new_rdn.avas().iter();
        for (ava, is_new) in new.map(|ava| (ava, true)).chain(old.map(|ava| (ava, false))) {
            let known = schema.attribute_type(&ava.attribute).map(|found| found.index);
            let value = std::slice::from_ref(&ava.value);
            let written = if is_new { Written::Added(value) } else { Written::Deleted(value) };
            if !known.is_some_and(|index| access.may_write(entry, index, written)) {
                return refused(&format!("write {} of this entry", ava.attribute));
            }
        }
    }
    if superior != view.superior(entry) {
        let superior_dn = Dn::parse(&view.dn_text(superior)?.unwrap_or_default())?;
        let dn = superior_dn.child(renaming.new_rdn.clone());
        if !access.may_move(entry, &dn, superior, &attributes_of(view, entry)?) {
            return refused("move this entry there");
        }
    }
    Ok(())
}

/// Whether the entry may stand below `superior` under the new name.
fn check_place(view: View<'_>, entry: &Entry<'_>, superior: EntryId, renaming: &Renaming<'_>) -> Outcome<()> {
    if superior != view.superior(entry) {
        if view.is_within(superior, entry.id)? {
            return Err(OperationError::new(
                ResultCode::UNWILLING_TO_PERFORM,
                "an entry cannot move below itself; choose a superior outside its subtree",
            ));
        }
        if let Some(found) = view.entry(superior)? {
            add::check_superior(&found)?;
        }
    }
    let key = view.catalog().schema().rdn_key(renaming.new_rdn);
    if add::has_name(view, superior, &key)?.is_some_and(|there| there != entry.id) {
        return Err(add::already_there());
    }
    add::check_length(view, superior, renaming.new_rdn)?;
    check_depth(view, entry, superior)
}

/// Nobody could name what is deeper than a DN may be.
fn check_depth(view: View<'_>, entry: &Entry<'_>, superior: EntryId) -> Outcome<()> {
    let rdns_of = |id| -> Outcome<usize> { Ok(Dn::parse(&view.dn_text(id)?.unwrap_or_default())?.rdns().len()) };
    let (above_new, above_old) = (rdns_of(superior)?, rdns_of(view.superior(entry))?);
    if above_new <= above_old {
        return Ok(());
    }
    let below = if view.subordinate_count(entry.id)? == 0 { 0 } else { height(view, entry.id)? };
    if above_new + 1 + below > RDN_COUNT_MAX {
        return Err(OperationError::new(
            ResultCode::NAMING_VIOLATION,
            format!("entries would come to stand more than {RDN_COUNT_MAX} levels deep; choose a higher superior"),
        ));
    }
    Ok(())
}

/// How many levels are below `top`. Cost: one look at each entry of the tree that has others below it; paid only by
/// moves of subtrees to a deeper place.
fn height(view: View<'_>, top: EntryId) -> Outcome<usize> {
    // For each entry looked at: how far it is below `top`, if it is.
    let mut distances: HashMap<EntryId, Option<usize>> = HashMap::new();
    distances.insert(top, Some(0));
    distances.insert(EntryId::NONE, None);
    let mut deepest = 0;
    let mut cursor = view.reader().cursor(Table::Subordinates)?;
    let mut item = cursor.first()?;
    while let Some((key, count)) = item {
        let id = EntryId::from_key(key);
        if count.iter().any(|byte| *byte != 0) {
            let mut path = Vec::new();
            let mut at = id;
            let found = loop {
                if let Some(known) = distances.get(&at) {
                    break *known;
                }
                path.push(at);
                if path.len() > 2 * RDN_COUNT_MAX {
                    break None;
                }
                at = view.entry(at)?.map_or(EntryId::NONE, |entry| view.superior(&entry));
            };
            for (steps, id) in path.iter().rev().enumerate() {
                distances.insert(*id, found.map(|distance| distance + steps + 1));
            }
            deepest = deepest.max(distances.get(&id).copied().flatten().map_or(0, |distance| distance + 1));
        }
        item = cursor.next()?;
    }
    Ok(deepest)
}

/// What the renaming does to values: those of the old RDN go or stay, those of the new one come.
fn fold(
    context: &Context,
    writing: &Writing<'_>,
    (id, superior): (EntryId, EntryId),
    state: &EntryState,
    new_rdn: &RdnState,
    delete_old_rdn: bool,
) -> Outcome<Vec<Delta>> {
    let view = writing.view();
    let entry = view.entry(id)?.ok_or_else(|| OperationError::no_such_object(""))?;
    let mut edits = Edits::new();
    let is_new = |attribute: AttributeId, key: &crate::state::ValueKey| {
        new_rdn.avas.iter().any(|ava| ava.attribute == attribute && ava.key == *key)
    };
    let old = state.rdn.1.avas.iter().filter(|ava| !is_new(ava.attribute, &ava.key));
    let avas = old.map(|ava| (ava, !delete_old_rdn)).chain(new_rdn.avas.iter().map(|ava| (ava, true)));
    for (ava, stays) in avas {
        let Some(info) = view.catalog().attribute(ava.attribute) else { continue };
        let edit = modify::working_copy(&mut edits, writing, id, state, ava.attribute)?;
        let mut value = held::value_for(&view, info, &ava.value)?;
        value.key = ava.key.clone();
        let is_old = !is_new(ava.attribute, &ava.key);
        let step = if stays { edit.ensure(value, is_old) } else { edit.delete(&value) };
        // Anything else than a fault of storage only says that there is nothing to do.
        if let Err(EditError::Dit(error)) = step {
            return Err(error.into());
        }
    }
    sound::check(view, &entry, &edits, sound::ClassChange::Refused)?;
    unique::check_edits(context, view, &entry, superior, &edits)?;
    let mut deltas = modify::fold_edits(writing, state, &edits)?;
    // The name itself says that its values are there. Written besides, they would outlive a name that loses against
    // another one given at the same time.
    deltas.retain(|delta| match delta {
        Delta::Cell { attribute, key, present: true, .. } => {
            let held = state.attribute(*attribute);
            !is_new(*attribute, key) || held.is_some_and(|held| held.spilled.is_some() || held.is_present(key))
        }
        _ => true,
    });
    Ok(deltas)
}
