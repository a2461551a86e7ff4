//! Whether an entry is sound by the schema once a list of modifications is done (RFC 4512 2.4).
//!
//! An entry may have come here unsound: from an import, from a merge of changes that were sound apart, or from a
//! schema that has changed since. Such an entry must be mendable step by step, so only what gets worse is refused:
//! a violation that was there before the change does not count.

use super::edit::AttributeEdit;
use crate::dit::{Entry, View};
use crate::model::ResultCode;
use crate::operation::outcome::{OperationError, Outcome};
use crate::policy::password_policy::{POLICY_OIDS, contradiction};
use crate::schema::{AttributeType, Violation, check_entry};
use crate::state::{AttributeId, CellValue};
use std::collections::BTreeMap;

/// The working copies of the attributes that a change touches.
pub(super) type Edits<'w> = BTreeMap<AttributeId, AttributeEdit<'w>>;

/// Whether the structural class may become another one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ClassChange {
    /// With relaxed rules.
    Allowed,
    Refused,
}

/// Refuses the change if the entry breaks the schema afterwards in a way in which it did not before.
///
/// # Errors
/// objectClassViolation, constraintViolation, objectClassModsProhibited.
pub(super) fn check(view: View<'_>, entry: &Entry<'_>, edits: &Edits<'_>, class_change: ClassChange) -> Outcome<()> {
    let object_class = view.catalog().well_known().object_class;
    let before = text_values(entry, object_class);
    let after = match edits.get(&object_class) {
        Some(edit) => texts(edit.values()?),
        None => before.clone(),
    };
    let (before, after) = (as_strs(&before), as_strs(&after));
    let schema = view.catalog().schema();
    let mut violations = check_entry(schema, &after, attributes(view, entry, edits)?);
    if !violations.is_empty() {
        let known = check_entry(schema, &before, attributes(view, entry, &Edits::new())?);
        violations.retain(|violation| !known.contains(violation));
    }
    if let Some(error) = refusal(violations) {
        return Err(error);
    }
    check_policy(view, entry, edits)?;
    if class_change == ClassChange::Refused
        && edits.contains_key(&object_class)
        && let (Ok(was), Ok(is)) = (schema.structural_class(&before), schema.structural_class(&after))
        && was.index != is.index
    {
        return Err(OperationError::new(
            ResultCode::OBJECT_CLASS_MODS_PROHIBITED,
            format!(
                "the structural class cannot change from {} to {}; add a new entry and delete this one",
                was.name(),
                is.name()
            ),
        ));
    }
    Ok(())
}

/// Refuses a password policy that contradicts itself, and did not before.
fn check_policy(view: View<'_>, entry: &Entry<'_>, edits: &Edits<'_>) -> Outcome<()> {
    let catalog = view.catalog();
    let is_policy =
        |id: &AttributeId| catalog.attribute_type(*id).is_some_and(|known| known.oid.starts_with(POLICY_OIDS));
    if !edits.keys().any(is_policy) {
        return Ok(());
    }
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    for slice in entry.record.attributes().filter(|slice| is_policy(&slice.id)) {
        before.insert(slice.id, text_values(entry, slice.id));
    }
    for id in before.keys().chain(edits.keys().filter(|id| is_policy(id))) {
        let values = match edits.get(id) {
            Some(edit) => texts(edit.values()?),
            None => before.get(id).cloned().unwrap_or_default(),
        };
        after.insert(*id, values);
    }
    let found = |values: &BTreeMap<AttributeId, Vec<Vec<u8>>>| {
        contradiction(|name| {
            let id = catalog.schema().attribute_type(name).and_then(|known| catalog.base_of(known))?;
            values.get(&id)?.first().map(|value| String::from_utf8_lossy(value).into_owned())
        })
    };
    match found(&after) {
        Some(text) if found(&before).is_none() => Err(OperationError::new(ResultCode::CONSTRAINT_VIOLATION, text)),
        _ => Ok(()),
    }
}

/// All violations in one answer, with the code of the first.
pub(super) fn refusal(violations: Vec<Violation>) -> Option<OperationError> {
    let mut violations = violations.into_iter();
    let mut error = OperationError::from(violations.next()?);
    for violation in violations.take(VIOLATIONS_TOLD_MAX) {
        error.diagnostic.push_str("; ");
        error.diagnostic.push_str(&violation.to_string());
    }
    Some(error)
}

/// Violations told in one answer beside the first.
const VIOLATIONS_TOLD_MAX: usize = 9;

/// Attributes of the entry with their number of values, `edits` done. Values that nobody touched are fewer than two
/// where one is allowed.
fn attributes<'v>(view: View<'v>, entry: &Entry<'_>, edits: &Edits<'_>) -> Outcome<Vec<(&'v AttributeType, usize)>> {
    let catalog = view.catalog();
    let mut found = Vec::with_capacity(24);
    for slice in entry.record.attributes().filter(|slice| !edits.contains_key(&slice.id)) {
        found.extend(catalog.attribute_type(slice.id).map(|known| (known, 1)));
    }
    for (id, edit) in edits {
        let count = usize::try_from(edit.count()?).unwrap_or(usize::MAX);
        if count > 0 {
            found.extend(catalog.attribute_type(*id).map(|known| (known, count)));
        }
    }
    Ok(found)
}

fn text_values(entry: &Entry<'_>, attribute: AttributeId) -> Vec<Vec<u8>> {
    entry.attribute(attribute).map(|slice| slice.values().map(<[u8]>::to_vec).collect()).unwrap_or_default()
}

fn texts(values: Vec<(crate::state::ValueKey, CellValue)>) -> Vec<Vec<u8>> {
    let text = |(_, content)| match content {
        CellValue::Text(text) => Some(text),
        CellValue::Link(_) => None,
    };
    values.into_iter().filter_map(text).collect()
}

fn as_strs(values: &[Vec<u8>]) -> Vec<&str> {
    values.iter().filter_map(|value| std::str::from_utf8(value).ok()).collect()
}
