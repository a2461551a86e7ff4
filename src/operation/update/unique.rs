//! Whether a change would give a value to a second entry where a rule says that one alone may have it
//! (`search::uniqueness`).
//!
//! Judged is what comes new: a value that the entry has already, and shares since a merge, does not keep it from being
//! changed. Of a subtree that moves to below a rule every entry is judged, as far as [`MOVED_MAX`] goes.

use super::Context;
use super::sound::Edits;
use crate::dit::{Entry, View};
use crate::model::{Attribute, AttributeDescription, ResultCode};
use crate::operation::access::Access;
use crate::operation::outcome::{OperationError, Outcome};
use crate::schema::AttributeTypeIndex;
use crate::search::{UNIQUE_ATTRIBUTE, UniqueRule, evaluate_attributes, unique_rules};
use crate::state::CellValue;
use crate::storage::{ENTRY_PHANTOM, EntryId, VALUE_SPILLED};
use hashbrown::HashMap;

/// Entries of a subtree that are judged when it moves: the writer does nothing else meanwhile, some 100 ms for so many.
const MOVED_MAX: usize = 10_000;

/// Who has a value, in an attribute of which type.
type Holder = (EntryId, AttributeTypeIndex);

/// Of no entry alone.
const OBJECT_CLASS: &str = "2.5.4.0";

/// The entry as it will be.
struct Candidate<'c> {
    /// The entry as it is; `None`: it is new.
    before: Option<&'c Entry<'c>>,
    /// What the rules may ask of it.
    attributes: Vec<Attribute>,
}

/// Refuses a new entry with a value that another one holds.
///
/// # Errors
/// constraintViolation, naming the holder to those who may read or search there what it holds.
pub(super) fn check_new(context: &Context, view: View<'_>, superior: EntryId, attributes: &[Attribute]) -> Outcome<()> {
    let rules = rules_above(view, superior, None)?;
    check_rules_set(view, attributes)?;
    if rules.is_empty() {
        return Ok(());
    }
    check(context, view, &rules, &Candidate { before: None, attributes: attributes.to_vec() })
}

/// Refuses a change after which the entry has a value that another one holds.
///
/// # Errors
/// As [`check_new`].
pub(super) fn check_edits(
    context: &Context,
    view: View<'_>,
    entry: &Entry<'_>,
    superior: EntryId,
    edits: &Edits<'_>,
) -> Outcome<()> {
    let rules = rules_above(view, superior, Some(entry.id))?;
    let is_rule = |id| view.catalog().attribute_type(id).is_some_and(|found| found.oid == UNIQUE_ATTRIBUTE);
    if rules.is_empty() && !edits.keys().any(|id| is_rule(*id)) {
        return Ok(());
    }
    let schema = view.catalog().schema();
    let asked = |index: AttributeTypeIndex| {
        rules.iter().any(|rule| {
            let by_filter = rule.filter.as_ref().is_some_and(|filter| filter.attribute_types().contains(&index));
            rule.is_about(schema, index) || by_filter
        }) || schema.attribute_type_at(index).oid == UNIQUE_ATTRIBUTE
    };
    let mut attributes = Vec::new();
    let mut push = |name: &str, values: Vec<Vec<u8>>| -> Outcome<()> {
        if !values.is_empty() {
            attributes.push(Attribute { description: AttributeDescription::parse(name)?, values });
        }
        Ok(())
    };
    for slice in entry.record.attributes().filter(|slice| !edits.contains_key(&slice.id)) {
        let Some(info) = view.catalog().attribute(slice.id) else { continue };
        if slice.flags & VALUE_SPILLED == 0 && info.attribute_type.is_some_and(asked) {
            push(&info.name, view.values(entry, &slice)?)?;
        }
    }
    for (id, edit) in edits {
        let Some(info) = view.catalog().attribute(*id) else { continue };
        if !info.attribute_type.is_some_and(asked) {
            continue;
        }
        let texts = edit.values()?.into_iter().filter_map(|(_, value)| match value {
            CellValue::Text(text) => Some(text),
            CellValue::Link(_) => None,
        });
        push(&info.name, texts.collect())?;
    }
    check_rules_set(view, &attributes)?;
    check(context, view, &rules, &Candidate { before: Some(entry), attributes })
}

/// Refuses to move a subtree to below a rule that it is not below yet, where an entry of it has a value that an entry
/// there has, or another one that comes along. Its top is judged besides, by [`check_edits`].
///
/// # Errors
/// constraintViolation; unwillingToPerform when there are too many entries to judge.
pub(super) fn check_subtree(context: &Context, view: View<'_>, top: &Entry<'_>, superior: EntryId) -> Outcome<()> {
    if view.subordinate_count(top.id)? == 0 {
        return Ok(());
    }
    let mut rules = Vec::new();
    for rule in rules_above(view, superior, None)? {
        if !view.is_within(top.id, rule.top)? {
            rules.push(rule);
        }
    }
    if rules.is_empty() {
        return Ok(());
    }
    let mut coming = HashMap::new();
    let mut ids = vec![top.id];
    let mut at = 0;
    while let Some(id) = ids.get(at).copied() {
        at += 1;
        if ids.len() as u64 + view.subordinate_count(id)? > MOVED_MAX as u64 {
            return Err(OperationError::new(
                ResultCode::UNWILLING_TO_PERFORM,
                format!(
                    "uniqueAttribute is to be kept there, and more than {MOVED_MAX} entries would have to be judged for it: \
                     move the parts of the subtree one after another, or take the rule away and set it again after the move"
                ),
            ));
        }
        for child in view.children(id)? {
            ids.push(child?);
        }
        let Some(entry) = view.entry(id)? else { continue };
        if entry.record.flags() & ENTRY_PHANTOM == 0 {
            check_coming(context, view, &rules, &entry, &mut coming)?;
        }
    }
    Ok(())
}

/// One entry of a subtree that moves; `coming`: who brings which value for which rule.
fn check_coming(
    context: &Context,
    view: View<'_>,
    rules: &[UniqueRule],
    entry: &Entry<'_>,
    coming: &mut HashMap<(usize, Vec<u8>), Holder>,
) -> Outcome<()> {
    let schema = view.catalog().schema();
    for (number, rule) in rules.iter().enumerate() {
        if !rule.is_about_entry(view, entry)? {
            continue;
        }
        for slice in entry.record.attributes() {
            let Some(info) = view.catalog().attribute(slice.id) else { continue };
            let Some(own) = info.attribute_type.filter(|own| rule.is_about(schema, *own)) else { continue };
            for value in view.values(entry, &slice)? {
                let mut holder = rule.holder(view, own, &value, None)?;
                for key in rule.keys(view, own, &value) {
                    let first = *coming.entry((number, key)).or_insert((entry.id, own));
                    holder = holder.or_else(|| (first.0 != entry.id).then_some(first));
                }
                let Some(holder) = holder else { continue };
                let access = context.directory.access(&context.requester, view)?;
                return Err(OperationError::new(
                    ResultCode::CONSTRAINT_VIOLATION,
                    format!(
                        "{} of {}: {} has it, and one entry alone may there; change it before the move",
                        info.name,
                        named(&access, view, (entry.id, own))?,
                        named(&access, view, holder)?
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// The rules for what is below `superior`, and those in the entry itself.
fn rules_above(view: View<'_>, superior: EntryId, own: Option<EntryId>) -> Outcome<Vec<UniqueRule>> {
    let mut rules = unique_rules(view)?;
    let mut above = Vec::new();
    for rule in rules.drain(..) {
        if Some(rule.top) == own || (superior != EntryId::NONE && view.is_within(superior, rule.top)?) {
            above.push(rule);
        }
    }
    Ok(above)
}

/// A rule can be kept only where the index knows who holds a value.
fn check_rules_set(view: View<'_>, attributes: &[Attribute]) -> Outcome<()> {
    let catalog = view.catalog();
    let schema = catalog.schema();
    for attribute in attributes {
        if schema.attribute_type(attribute.description.name()).is_none_or(|found| found.oid != UNIQUE_ATTRIBUTE) {
            continue;
        }
        for value in &attribute.values {
            let rule = UniqueRule::parse(schema, EntryId::NONE, value)
                .map_err(|detail| OperationError::new(ResultCode::INVALID_ATTRIBUTE_SYNTAX, detail))?;
            for index in rule.types {
                let found = schema.attribute_type_at(index);
                if found.oid == OBJECT_CLASS {
                    return Err(OperationError::new(
                        ResultCode::CONSTRAINT_VIOLATION,
                        "objectClass identifies no entry, and every entry has top: name an attribute as uid or mail",
                    ));
                }
                let base = catalog.base_of(found).and_then(|base| catalog.attribute(base));
                if base.is_some_and(|info| !info.indexed.equality) {
                    return Err(OperationError::new(
                        ResultCode::CONSTRAINT_VIOLATION,
                        format!("{} is not in the equality index; add it to index.equality first", found.name()),
                    ));
                }
            }
        }
    }
    Ok(())
}

fn check(context: &Context, view: View<'_>, rules: &[UniqueRule], candidate: &Candidate<'_>) -> Outcome<()> {
    let schema = view.catalog().schema();
    for rule in rules {
        if rule
            .filter
            .as_ref()
            .is_some_and(|filter| !evaluate_attributes(filter, schema, &candidate.attributes).is_true())
        {
            continue;
        }
        // Whether the rule was about the entry before.
        let known = match candidate.before {
            Some(before) if view.is_within(before.id, rule.top)? && rule.is_about_entry(view, before)? => {
                Some(before.id)
            }
            _ => None,
        };
        for attribute in &candidate.attributes {
            let Some(own) = schema.attribute_type(attribute.description.name()) else { continue };
            if !rule.is_about(schema, own.index) {
                continue;
            }
            for (at, value) in attribute.values.iter().enumerate() {
                if let Some(known) = known
                    && rule.has(view, own.index, value, known)?
                {
                    continue;
                }
                let except = candidate.before.map(|before| before.id);
                if let Some(holder) = rule.holder(view, own.index, value, except)? {
                    let access = context.directory.access(&context.requester, view)?;
                    return Err(taken(&access, view, &attribute.description, at, holder)?);
                }
            }
        }
    }
    Ok(())
}

fn taken(
    access: &Access<'_>,
    view: View<'_>,
    description: &AttributeDescription,
    at: usize,
    holder: Holder,
) -> Outcome<OperationError> {
    let holder = named(access, view, holder)?;
    Ok(OperationError::new(
        ResultCode::CONSTRAINT_VIOLATION,
        format!("{description}, value {}: {holder} has it, and one entry alone may; choose another value", at + 1),
    ))
}

/// The name of who has a value. Only to whoever may read or search the attribute: to others the refusal would tell of the
/// entry what they may not find. That the value is taken cannot be hidden.
fn named(access: &Access<'_>, view: View<'_>, (holder, attribute): Holder) -> Outcome<String> {
    let may_know = |entry: &Entry<'_>| access.may_read(entry, attribute) || access.may_search(entry, attribute);
    let shown = match view.entry(holder)? {
        Some(entry) if may_know(&entry) => view.dn_text(holder)?,
        _ => None,
    };
    Ok(shown.unwrap_or_else(|| "another entry".to_owned()))
}
