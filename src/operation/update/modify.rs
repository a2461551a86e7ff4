//! Modify (RFC 4511 4.6, RFC 4525): a list of modifications to one entry, in order, whole or not at all.
//!
//! A list that leaves the entry as it was is a success that writes nothing: modifyTimestamp stays, nothing is
//! replicated.

use super::edit::{AttributeEdit, EditError, Value};
use super::sound::{self, Edits};
use super::{Context, Done, Failure, held, intake, password_change, reads, target, unique};
use crate::dit::{AttributeInfo, DitError, Entry, Target, ValueError, View, Writing};
use crate::model::{Attribute, Dn, Modification, ModificationKind, ResultCode};
use crate::operation::access::{Access, Written};
use crate::operation::outcome::{OperationError, Outcome};
use crate::state::{AttributeId, CellValue, Delta, EntryState, ValueKey};
use crate::storage::EntryId;
use std::collections::btree_map;

/// Does the list to the entry `dn`. Cost: that of the values named, not of those that the entry has.
///
/// # Errors
/// noSuchObject, referral, insufficientAccessRights, assertionFailed, attributeOrValueExists, noSuchAttribute,
/// notAllowedOnRDN, constraintViolation, objectClassViolation, objectClassModsProhibited.
pub(super) fn perform(
    context: &Context,
    writing: &mut Writing<'_>,
    dn: &Dn,
    modifications: &[Modification],
) -> Result<Done, Failure> {
    let mut done = Done::default();
    let view = writing.view();
    let access = context.directory.access(&context.requester, view)?;
    let entry = target::entry(context, &access, view, dn)?;
    check_access(&access, view, &entry, modifications)?;
    target::check_assertion(context, &access, view, &entry)?;
    reads::before(context, &access, view, &entry, &mut done)?;
    let id = entry.id;
    drop(access);

    let numbers = numbers_of(writing, modifications)?;
    let state = writing.state(id)?.ok_or_else(|| OperationError::no_such_object(""))?;
    let mut deltas = fold(context, writing, id, &state, modifications.iter().zip(numbers))?;
    if !deltas.is_empty() || password_change::unlocks(modifications) {
        password_change::recorded(context, writing, id, modifications, &mut deltas)?;
    }
    if !deltas.is_empty() {
        if !names_modifier(writing, &deltas) {
            modified_by(writing, &context.author(), &mut deltas)?;
        }
        let target = Target::Existing(id);
        writing.change_held(target, Some(state), &context.author(), deltas).map_err(Failure::Broken)?;
    }
    reads::after(context, writing, id, &mut done);
    Ok(done)
}

fn check_access(access: &Access<'_>, view: View<'_>, entry: &Entry<'_>, modifications: &[Modification]) -> Outcome<()> {
    if access.is_administrator() {
        return Ok(());
    }
    let schema = view.catalog().schema();
    for Modification { kind, attribute } in modifications {
        let index = schema
            .attribute_type(attribute.description.name())
            .ok_or_else(|| DitError::UnknownAttribute(attribute.description.to_string()))?
            .index;
        let values = attribute.values.as_slice();
        let written = match kind {
            ModificationKind::Add => Written::Added(values),
            ModificationKind::Delete if !values.is_empty() => Written::Deleted(values),
            ModificationKind::Delete => Written::Replaced(&[]),
            ModificationKind::Replace => Written::Replaced(values),
            ModificationKind::Increment => Written::Every,
        };
        if !access.may_write(entry, index, written) {
            return Err(target::not_allowed(&attribute.description));
        }
    }
    Ok(())
}

/// The number of each modification's attribute. One that was never stored gets a number only if a value of it may be.
fn numbers_of(writing: &mut Writing<'_>, modifications: &[Modification]) -> Outcome<Vec<Option<AttributeId>>> {
    let mut numbers = Vec::with_capacity(modifications.len());
    for Modification { kind, attribute } in modifications {
        let stores = matches!(kind, ModificationKind::Add | ModificationKind::Replace) && !attribute.values.is_empty();
        numbers.push(match stores {
            true => Some(writing.intern(&attribute.description)?),
            false => writing.view().catalog().find(&attribute.description),
        });
    }
    Ok(numbers)
}

/// Runs the list on working copies and returns what is to be written.
fn fold<'m>(
    context: &Context,
    writing: &Writing<'_>,
    id: EntryId,
    state: &EntryState,
    modifications: impl Iterator<Item = (&'m Modification, Option<AttributeId>)>,
) -> Outcome<Vec<Delta>> {
    let view = writing.view();
    let entry = view.entry(id)?.ok_or_else(|| OperationError::no_such_object(""))?;
    let mut edits = Edits::new();
    let permissive = context.controls.permissive_modify;
    for (Modification { kind, attribute }, number) in modifications {
        let Some((number, info)) = number.and_then(|number| Some((number, view.catalog().attribute(number)?))) else {
            match kind {
                // Nothing by nothing.
                ModificationKind::Replace => continue,
                ModificationKind::Delete if permissive => continue,
                _ => return Err(told(EditError::Absent, attribute, None)),
            }
        };
        let edit = working_copy(&mut edits, writing, id, state, number)?;
        step(&view, info, edit, (*kind, permissive), attribute)?;
    }
    check_rdn(state, &edits)?;
    let change = if context.controls.relax { sound::ClassChange::Allowed } else { sound::ClassChange::Refused };
    sound::check(view, &entry, &edits, change)?;
    unique::check_edits(context, view, &entry, view.superior(&entry), &edits)?;
    fold_edits(writing, state, &edits)
}

/// The working copy of an attribute, made when the first modification touches it.
///
/// # Errors
/// Storage.
pub(super) fn working_copy<'e, 'w>(
    edits: &'e mut Edits<'w>,
    writing: &'w Writing<'_>,
    id: EntryId,
    state: &EntryState,
    number: AttributeId,
) -> Outcome<&'e mut AttributeEdit<'w>> {
    Ok(match edits.entry(number) {
        btree_map::Entry::Occupied(known) => known.into_mut(),
        btree_map::Entry::Vacant(place) => place.insert(held::edit_of(writing, id, state, number)?),
    })
}

/// The deltas of all working copies.
///
/// # Errors
/// Storage.
pub(super) fn fold_edits(writing: &Writing<'_>, state: &EntryState, edits: &Edits<'_>) -> Outcome<Vec<Delta>> {
    let mut deltas = Vec::new();
    for (number, edit) in edits {
        let is_naming = state.rdn.1.avas.iter().any(|ava| ava.attribute == *number);
        let count = |by| state.count_delta(*number, writing.origin(), by).filter(|_| !is_naming);
        edit.fold(count, &mut deltas)?;
    }
    Ok(deltas)
}

fn step(
    view: &View<'_>,
    info: &AttributeInfo,
    edit: &mut AttributeEdit<'_>,
    (kind, permissive): (ModificationKind, bool),
    attribute: &Attribute,
) -> Outcome<()> {
    // What a permissive modify does not mind: the entry is as the client wants it.
    let minded = |result: Result<(), EditError>| match result {
        Err(EditError::Exists | EditError::Absent) if permissive => Ok(()),
        result => result,
    };
    let value = |value: &Vec<u8>| held::value_for(view, info, value);
    match kind {
        ModificationKind::Add => {
            for (index, given) in attribute.values.iter().enumerate() {
                minded(edit.add(value(given)?)).map_err(|error| told(error, attribute, Some(index)))?;
            }
        }
        ModificationKind::Delete if attribute.values.is_empty() => {
            minded(edit.delete_all()).map_err(|error| told(error, attribute, None))?;
        }
        ModificationKind::Delete => {
            for (index, given) in attribute.values.iter().enumerate() {
                let absent = || told(EditError::Absent, attribute, Some(index));
                let value = match value(given) {
                    Err(ValueError::Invalid { .. }) if permissive => continue,
                    Err(ValueError::Invalid { .. }) => return Err(absent()),
                    other => other?,
                };
                minded(edit.delete(&value)).map_err(|error| told(error, attribute, Some(index)))?;
            }
        }
        ModificationKind::Replace => {
            let values: Vec<Value> = attribute.values.iter().map(value).collect::<Result<_, _>>()?;
            edit.replace(values).map_err(|error| told(error, attribute, None))?;
        }
        ModificationKind::Increment => {
            let by = attribute.values.first().and_then(|value| intake::increment_of(value));
            let by = by.ok_or_else(|| told(EditError::NotCountable, attribute, None))?;
            let key_of = |text: &[u8]| held::value_for(view, info, text).ok().map(|value| value.key);
            edit.increment(by, &key_of).map_err(|error| told(error, attribute, None))?;
        }
    }
    Ok(())
}

/// RFC 4511 4.6: modify cannot take values out of the RDN.
fn check_rdn(state: &EntryState, edits: &Edits<'_>) -> Outcome<()> {
    for ava in &state.rdn.1.avas {
        if let Some(edit) = edits.get(&ava.attribute)
            && !edit.is_present(&ava.key)?
        {
            return Err(OperationError::new(
                ResultCode::NOT_ALLOWED_ON_RDN,
                format!("the entry is named by a value of {} that would go; rename it with modify DN", ava.type_text),
            ));
        }
    }
    Ok(())
}

/// The result of a failing step. Values stay unsaid: they may be secret.
fn told(error: EditError, attribute: &Attribute, index: Option<usize>) -> OperationError {
    let description = &attribute.description;
    let which = index.map_or_else(|| description.to_string(), |index| format!("{description}, value {}", index + 1));
    match error {
        EditError::Exists => OperationError::new(
            ResultCode::ATTRIBUTE_OR_VALUE_EXISTS,
            format!("{which}: an equal value is there already; leave it out, or replace"),
        ),
        EditError::Absent => OperationError::new(
            ResultCode::NO_SUCH_ATTRIBUTE,
            format!("{which}: not in the entry; read the entry again, or replace instead"),
        ),
        EditError::NotCountable => OperationError::new(
            ResultCode::CONSTRAINT_VIOLATION,
            format!("{which}: the sum would leave 127 bits, or the value is no number; replace it instead"),
        ),
        EditError::Dit(error) => error.into(),
    }
}

/// Whether the change itself says who made it, as only an import may.
fn names_modifier(writing: &Writing<'_>, deltas: &[Delta]) -> bool {
    let modifier = writing.view().catalog().well_known().modifiers_name;
    deltas.iter().any(|delta| matches!(delta, Delta::Cell { attribute, .. } if *attribute == modifier))
}

/// Appends that `author` modified the entry.
///
/// # Errors
/// A name that is no DN; storage.
pub(super) fn modified_by(writing: &Writing<'_>, author: &str, deltas: &mut Vec<Delta>) -> Outcome<()> {
    let attribute = writing.view().catalog().well_known().modifiers_name;
    deltas.push(Delta::Clear(attribute));
    deltas.push(name_cell(writing, attribute, author)?);
    Ok(())
}

/// The cell of an attribute that names who did it.
///
/// # Errors
/// A name that is no DN; storage.
pub(super) fn name_cell(writing: &Writing<'_>, attribute: AttributeId, author: &str) -> Outcome<Delta> {
    let view = writing.view();
    let (key, value) = match view.catalog().attribute(attribute) {
        Some(info) => crate::dit::value_of(&view, info, author.as_bytes())?,
        None => (ValueKey::of_normal(author.as_bytes()), CellValue::Text(author.as_bytes().to_vec())),
    };
    Ok(Delta::Cell { attribute, key, order: 0, present: true, value })
}
