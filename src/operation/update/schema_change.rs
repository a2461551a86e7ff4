//! Changing the schema of a running server (RFC 4512 4.2): a modify of `cn=subschema` adds, replaces and deletes
//! definitions. Whose that is: the administrator's.
//!
//! What the program and its files define stays; what is added here is kept in the directory and therefore on all
//! members. The schema that comes of the whole request must hold together, and no definition that entries are made by
//! is taken away from them: the answer says how many there are.

use super::{Context, Done, Failure, Work};
use crate::dit::{View, Writing, keys_of_value};
use crate::model::{Dn, ModificationKind, ResultCode};
use crate::operation::outcome::{OperationError, Outcome};
use crate::operation::virtual_entry;
use crate::policy::requester::Requester;
use crate::schema::online::{DefinitionKind, ONLINE_MAX, OnlineDefinition};
use crate::schema::{AttributeType, ObjectClass, Schema};
use crate::state::AttributeId;
use crate::storage::{EntryId, IndexKind, Postings, Table, ViewRecord, index_key};
use crate::wire::Request;

/// One step of the request.
#[derive(Clone, Debug)]
pub(super) struct Step {
    kind: ModificationKind,
    definitions: DefinitionKind,
    values: Vec<String>,
}

/// What the request wants of the subschema entry; `None` when it is about another one.
///
/// # Errors
/// insufficientAccessRights for anybody but the administrator; unwillingToPerform for what the entry does not take.
pub(super) fn read(requester: &Requester, request: &Request<'_>) -> Outcome<Option<Work>> {
    let (name, modifications) = match request {
        Request::Modify(request) => (request.dn, Some(&request.modifications)),
        Request::Delete { dn } => (*dn, None),
        Request::ModifyDn(request) => (request.dn, None),
        Request::Add(request) => (request.dn, None),
        _ => return Ok(None),
    };
    if !virtual_entry::is_subschema(&Dn::parse(name)?) {
        return Ok(None);
    }
    if !requester.is_administrator() {
        return Err(OperationError::insufficient_access("the schema is changed by the administrator"));
    }
    let Some(modifications) = modifications else {
        return Err(refused("the schema is changed by modifying its entry; it is always there, under this name"));
    };
    let mut steps = Vec::with_capacity(modifications.len());
    for modification in modifications {
        let kind = DefinitionKind::ALL.into_iter().find(|kind| {
            kind.attribute().eq_ignore_ascii_case(modification.attribute) || kind.oid() == modification.attribute
        });
        let definitions = kind.ok_or_else(|| {
            refused("of the schema attributeTypes, objectClasses, dITContentRules and ldapSyntaxes can be changed")
        })?;
        if modification.kind == ModificationKind::Increment {
            return Err(refused("definitions are no numbers"));
        }
        let text = |value: &&[u8]| {
            std::str::from_utf8(value)
                .map(str::to_owned)
                .map_err(|_| OperationError::new(ResultCode::INVALID_ATTRIBUTE_SYNTAX, "a definition is UTF-8 text"))
        };
        let values = modification.values.iter().map(text).collect::<Outcome<Vec<String>>>()?;
        steps.push(Step { kind: modification.kind, definitions, values });
    }
    Ok(Some(Work::Schema(steps)))
}

/// Changes the schema.
///
/// # Errors
/// invalidAttributeSyntax, attributeOrValueExists, noSuchAttribute; unwillingToPerform where definitions do not hold
/// together or are in use.
pub(super) fn perform(context: &Context, writing: &mut Writing<'_>, steps: &[Step]) -> Result<Done, Failure> {
    let view = writing.view();
    let schema = view.catalog().schema();
    let before = view.online_definitions()?;
    let mut after = before.clone();
    for step in steps {
        apply(schema, step, context.controls.permissive_modify, &mut after)?;
    }
    if after.len() > ONLINE_MAX {
        return Err(refused(&format!("the directory holds at most {ONLINE_MAX} definitions of its own")).into());
    }
    let removed: Vec<OnlineDefinition> =
        before.iter().filter(|was| !after.iter().any(|is| same(was, is))).cloned().collect();
    let added: Vec<OnlineDefinition> = after.iter().filter(|is| !before.contains(is)).cloned().collect();
    if removed.is_empty() && added.is_empty() {
        return Ok(Done::default());
    }
    // The order in which the directory tells them: what is new comes last.
    let mut told: Vec<OnlineDefinition> = before.iter().filter(|was| after.contains(was)).cloned().collect();
    told.extend(added.iter().cloned());
    check_named(view, schema, &removed, &added)?;
    let changed = schema.with_online(&told).map_err(|error| refused(&error.detail))?;
    check_use(view, schema, &changed, &removed, &added)?;
    let types = added.iter().filter(|definition| definition.kind == DefinitionKind::AttributeType);
    if let Some(text) = types.filter_map(|added| changed.attribute_type(&added.oid)?.contradiction()).next() {
        return Err(refused(&text).into());
    }
    writing.change_schema(&context.author(), &removed, &added).map_err(Failure::Broken)?;
    Ok(Done::default())
}

fn same(one: &OnlineDefinition, other: &OnlineDefinition) -> bool {
    one.kind == other.kind && one.oid == other.oid
}

/// `permissive`: what is there already may be added, as it is, and what is not be deleted.
fn apply(schema: &Schema, step: &Step, permissive: bool, after: &mut Vec<OnlineDefinition>) -> Outcome<()> {
    let of_kind = |known: &OnlineDefinition| known.kind == step.definitions;
    match step.kind {
        ModificationKind::Delete if step.values.is_empty() => after.retain(|known| !of_kind(known)),
        ModificationKind::Delete => {
            for value in &step.values {
                let oid = oid_of(step.definitions, value)?;
                let count = after.len();
                after.retain(|known| !(of_kind(known) && known.oid == oid));
                let is_built_in = schema.is_built_in(step.definitions, &oid);
                if after.len() == count && (is_built_in || !permissive) {
                    return Err(if is_built_in {
                        refused(&format!("{oid} belongs to the program or to its schema files, and stays"))
                    } else {
                        OperationError::new(ResultCode::NO_SUCH_ATTRIBUTE, format!("{oid} is not defined"))
                    });
                }
            }
        }
        ModificationKind::Add => {
            for value in &step.values {
                let definition = parse(step.definitions, value)?;
                if permissive && after.contains(&definition) {
                    continue;
                }
                let taken = after.iter().any(|known| same(known, &definition));
                if taken || schema.is_built_in(step.definitions, &definition.oid) {
                    return Err(OperationError::new(
                        ResultCode::ATTRIBUTE_OR_VALUE_EXISTS,
                        format!("{} is defined already; to change it, delete it in the same request", definition.oid),
                    ));
                }
                check_numbered(&definition)?;
                after.push(definition);
            }
        }
        _ => {
            after.retain(|known| !of_kind(known));
            for value in &step.values {
                let definition = parse(step.definitions, value)?;
                // A client that read all definitions and sends them back sends ours too.
                if schema.is_built_in(step.definitions, &definition.oid) {
                    continue;
                }
                if !schema.online().iter().any(|known| same(known, &definition)) {
                    check_numbered(&definition)?;
                }
                after.retain(|known| !same(known, &definition));
                after.push(definition);
            }
        }
    }
    Ok(())
}

/// A definition that comes to be needs an OID of its own (RFC 4512 4.1): a word in its place, as OpenLDAP and 389 take it,
/// could mean something else on every server.
fn check_numbered(definition: &OnlineDefinition) -> Outcome<()> {
    if crate::schema::is_numeric_oid(&definition.oid) {
        return Ok(());
    }
    Err(OperationError::new(
        ResultCode::INVALID_ATTRIBUTE_SYNTAX,
        format!(
            "{}: {} is no OID in numbers; write one below your own (iana.org gives them out for nothing), or a UUID as 2.25.NUMBER",
            definition.kind.attribute(),
            definition.oid
        ),
    ))
}

/// Refuses to take an attribute type away that a class which stays names.
fn check_named(
    view: View<'_>,
    schema: &Schema,
    removed: &[OnlineDefinition],
    added: &[OnlineDefinition],
) -> Outcome<()> {
    for definition in removed.iter().filter(|definition| definition.kind == DefinitionKind::AttributeType) {
        let Some(was) = schema.attribute_type(&definition.oid) else { continue };
        let is_new = |class: &ObjectClass| {
            let is = |known: &OnlineDefinition| known.kind == DefinitionKind::ObjectClass && known.oid == class.oid;
            removed.iter().any(is) || added.iter().any(is)
        };
        // A class shows what it inherits too: the first one that names it itself is enough.
        let naming = schema
            .object_classes()
            .find(|class| !is_new(class) && (class.must.contains(&was.index) || class.may.contains(&was.index)));
        let Some(class) = naming else { continue };
        let used = match count_attribute(view, was)? {
            0 => String::new(),
            count => format!(", and {count} entries have values of it"),
        };
        return Err(refused(&format!(
            "{} ({}) is an attribute of the object class {}{used}: change that class in the same request, or before",
            was.name(),
            definition.oid,
            class.name()
        )));
    }
    Ok(())
}

fn parse(kind: DefinitionKind, value: &str) -> Outcome<OnlineDefinition> {
    OnlineDefinition::parse(kind, value).map_err(|error| {
        OperationError::new(ResultCode::INVALID_ATTRIBUTE_SYNTAX, format!("{}: {error}", kind.attribute()))
    })
}

/// Of a definition, or of its OID alone (objectIdentifierFirstComponentMatch, RFC 4517 4.2.26).
fn oid_of(kind: DefinitionKind, value: &str) -> Outcome<String> {
    let bare = value.trim().trim_start_matches('(').trim_end_matches(')').trim();
    if !bare.contains(char::is_whitespace) {
        return Ok(bare.to_owned());
    }
    parse(kind, value).map(|definition| definition.oid)
}

fn refused(text: &str) -> OperationError {
    OperationError::new(ResultCode::UNWILLING_TO_PERFORM, text)
}

/// Refuses what would leave entries without what they are made by.
fn check_use(
    view: View<'_>,
    schema: &Schema,
    changed: &Schema,
    removed: &[OnlineDefinition],
    added: &[OnlineDefinition],
) -> Outcome<()> {
    let redefined = added.iter().filter(|definition| {
        schema.online().iter().any(|known| same(known, definition))
            && !removed.iter().any(|gone| same(gone, definition))
    });
    for definition in removed.iter().chain(redefined) {
        let (name, count) = match definition.kind {
            DefinitionKind::AttributeType => {
                let Some(was) = schema.attribute_type(&definition.oid) else { continue };
                if changed.attribute_type(&definition.oid).is_some_and(|is| means_as_much(was, is)) {
                    continue;
                }
                (was.name(), count_attribute(view, was)?)
            }
            DefinitionKind::ObjectClass => {
                let Some(was) = schema.object_class(&definition.oid) else { continue };
                let is = changed.object_class(&definition.oid);
                if is.is_some_and(|is| allows_as_much((schema, was), (changed, is))) {
                    continue;
                }
                (was.name(), count_class(view, was)?)
            }
            DefinitionKind::Syntax | DefinitionKind::ContentRule => continue,
        };
        if count > 0 {
            return Err(refused(&format!(
                "{name} ({}) is in use by {count} entries: change those first, or define another one",
                definition.oid
            )));
        }
    }
    Ok(())
}

/// Whether values of the one are values of the other and equal in the same cases.
fn means_as_much(was: &AttributeType, is: &AttributeType) -> bool {
    (was.equality, was.ordering, was.substring, was.syntax) == (is.equality, is.ordering, is.substring, is.syntax)
        && (was.single_value || !is.single_value)
        && (was.no_user_modification, was.collective, was.usage) == (is.no_user_modification, is.collective, is.usage)
        && was.names.iter().all(|name| is.names.iter().any(|known| known.eq_ignore_ascii_case(name)))
        && was.superior.is_some() == is.superior.is_some()
}

/// Whether every entry of the one class is a sound entry of the other.
fn allows_as_much((schema, was): (&Schema, &ObjectClass), (changed, is): (&Schema, &ObjectClass)) -> bool {
    let names = |schema: &Schema, types: &[crate::schema::AttributeTypeIndex]| -> Vec<String> {
        types.iter().map(|index| schema.attribute_type_at(*index).oid.clone()).collect()
    };
    let classes = |schema: &Schema, class: &ObjectClass| -> Vec<String> {
        class.superiors.iter().map(|index| schema.object_class_at(*index).oid.clone()).collect()
    };
    let (must, now_must) = (names(schema, &was.must), names(changed, &is.must));
    let (may, now_may) = (names(schema, &was.may), names(changed, &is.may));
    was.kind == is.kind
        && classes(schema, was) == classes(changed, is)
        && now_must.iter().all(|oid| must.contains(oid))
        && may.iter().all(|oid| now_may.contains(oid))
        && was.names.iter().all(|name| is.names.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

/// Entries with values of the type, options or not.
fn count_attribute(view: View<'_>, attribute: &AttributeType) -> Outcome<u64> {
    let catalog = view.catalog();
    let Some(base) = catalog.base_of(attribute) else { return Ok(0) };
    if catalog.attribute(base).is_some_and(|info| info.indexed.presence) {
        return count_list(view, base, IndexKind::Presence, &[]);
    }
    let own = |id: &&AttributeId| catalog.attribute(**id).is_some_and(|info| info.base == base);
    let ids: Vec<AttributeId> = catalog.of_type(attribute.index).iter().filter(own).copied().collect();
    let mut cursor = view.reader().cursor(Table::Id2Entry)?.reading_ahead();
    let mut item = cursor.first()?;
    let mut count = 0;
    while let Some((key, bytes)) = item {
        let record = ViewRecord::open(EntryId::from_key(key), bytes)?;
        count += u64::from(ids.iter().any(|id| record.any_attribute(*id).is_some()));
        item = cursor.next()?;
    }
    Ok(count)
}

/// Entries of the class.
fn count_class(view: View<'_>, class: &ObjectClass) -> Outcome<u64> {
    let catalog = view.catalog();
    let classes = catalog.well_known().object_class;
    let mut normal = Vec::new();
    match catalog.attribute_type(classes) {
        Some(known) if keys_of_value(catalog.schema(), known, class.name().as_bytes(), &mut normal).is_some() => {
            count_list(view, classes, IndexKind::Equality, &normal)
        }
        _ => Ok(0),
    }
}

fn count_list(view: View<'_>, attribute: AttributeId, kind: IndexKind, normal: &[u8]) -> Outcome<u64> {
    let mut key = Vec::with_capacity(normal.len() + 8);
    index_key(attribute, kind, normal, &mut key);
    Ok(Postings::open(view.reader(), &key)?.map_or(0, |list| list.count()))
}
