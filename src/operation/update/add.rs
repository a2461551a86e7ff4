//! Add (RFC 4511 4.7): a new entry below one that is there.
//!
//! Values of the RDN that the list does not repeat are added to it, as slapd does. A new suffix is the
//! administrator's: the one that its own name is below, any in a directory that has none yet, or any with the relax
//! rules control, so that a slip in a name does not make one.

use super::{Context, Done, Failure, modify, password_change, reads, sound, target, unique};
use crate::dit::{Entry, Target, View, Writing, birth_deltas};
use crate::model::dn::DN_BYTES_MAX;
use crate::model::{Attribute, DerefAliases, Dn, EntryUuid, Rdn, ResultCode};
use crate::operation::access::Access;
use crate::operation::outcome::{OperationError, Outcome};
use crate::operation::referral_instead;
use crate::policy::password_policy;
use crate::schema::check_entry;
use crate::search::{Base, CompiledFilter, evaluate_attributes, find_base};
use crate::state::AttributeId;
use crate::storage::{ENTRY_ALIAS, ENTRY_LOSER, ENTRY_PHANTOM, ENTRY_REFERRAL, ENTRY_SUBENTRY, EntryId};
use hashbrown::HashSet;
use std::borrow::Cow;

/// Adds the entry. `attributes` have passed [`super::intake`].
///
/// # Errors
/// noSuchObject, referral, aliasProblem, insufficientAccessRights, assertionFailed, entryAlreadyExists,
/// objectClassViolation, constraintViolation, attributeOrValueExists, unwillingToPerform.
pub(super) fn perform(
    context: &Context,
    writing: &mut Writing<'_>,
    dn: &Dn,
    attributes: &[Attribute],
) -> Result<Done, Failure> {
    let view = writing.view();
    let access = context.directory.access(&context.requester, view)?;
    let parent = place(context, &access, view, dn, attributes)?;
    if let Some(filter) = &context.controls.assertion {
        let filter = CompiledFilter::compile(view.catalog().schema(), filter);
        if !evaluate_attributes(&filter, view.catalog().schema(), attributes).is_true() {
            return Err(target::assertion_failed().into());
        }
    }
    check_schema(view, attributes)?;
    unique::check_new(context, view, parent, attributes)?;
    drop(access);
    let (given_uuid, attributes) = given_uuid(view, attributes)?;

    let numbered = number(writing, &attributes)?;
    let mut deltas = birth_deltas(writing, dn, parent, &numbered)?;
    let known = *writing.view().catalog().well_known();
    let author = context.author();
    for attribute in [known.creators_name, known.modifiers_name] {
        // An import says itself who did it.
        if numbered.iter().any(|(given, _)| *given == attribute) {
            continue;
        }
        deltas.push(modify::name_cell(writing, attribute, &author)?);
    }
    password_change::recorded_at_birth(context, writing, parent, &attributes, &mut deltas)?;
    let uuid = match given_uuid {
        Some(uuid) => uuid,
        None => new_uuid(writing)?,
    };
    let (id, _) = writing.change(Target::New(uuid), &author, deltas).map_err(Failure::Broken)?;
    let mut done = Done::default();
    reads::after(context, writing, id, &mut done);
    Ok(done)
}

/// The entryUUID that an import brings along, taken out of the attributes.
fn given_uuid<'a>(view: View<'_>, attributes: &'a [Attribute]) -> Outcome<(Option<EntryUuid>, Cow<'a, [Attribute]>)> {
    let is_uuid = |attribute: &Attribute| {
        let found = view.catalog().schema().attribute_type(attribute.description.name());
        found.is_some_and(|found| found.oid == ENTRY_UUID)
    };
    let Some(at) = attributes.iter().position(is_uuid) else { return Ok((None, Cow::Borrowed(attributes))) };
    let mut rest = attributes.to_vec();
    let values = rest.remove(at).values;
    let text = values.first().and_then(|value| std::str::from_utf8(value).ok());
    let (Some(uuid), 1) = (text.and_then(|text| text.trim().parse::<EntryUuid>().ok()), values.len()) else {
        return Err(OperationError::new(
            ResultCode::INVALID_ATTRIBUTE_SYNTAX,
            "entryUUID is one UUID, written 8-4-4-4-12",
        ));
    };
    if uuid == EntryUuid::NIL || !view.incarnations(uuid)?.is_empty() {
        return Err(OperationError::new(
            ResultCode::CONSTRAINT_VIOLATION,
            "this entryUUID is or was that of an entry here; leave it out, or bring that entry back",
        ));
    }
    Ok((Some(uuid), Cow::Owned(rest)))
}

const ENTRY_UUID: &str = "1.3.6.1.1.16.4";

/// Where the new entry goes; [`EntryId::NONE`] for a suffix.
fn place(
    context: &Context,
    access: &Access<'_>,
    view: View<'_>,
    dn: &Dn,
    attributes: &[Attribute],
) -> Outcome<EntryId> {
    let Some(superior) = dn.superior().filter(|superior| !superior.is_root()) else {
        return place_suffix(context, access, view, dn);
    };
    let parent = match find_base(view, &superior, DerefAliases::Never, context.controls.manage_dsa_it)? {
        Base::Entry(id) => view.entry(id)?.ok_or_else(|| OperationError::no_such_object(""))?,
        Base::Referral { entry, missing } => {
            return Err(referral_instead(view, access, entry, dn, missing + 1, None)?);
        }
        Base::Missing { matched: None } => return place_suffix(context, access, view, dn),
        Base::Missing { matched: Some(matched) } => {
            return Err(match view.entry(matched)? {
                Some(found) if found.record.flags() & ENTRY_ALIAS != 0 && access.is_visible(&found) => below_alias(),
                _ => absent_superior(access, Some(matched))?,
            });
        }
        Base::AliasProblem { alias } => return Err(absent_superior(access, Some(alias))?),
    };
    if !access.may_add(dn, Some(parent.id), attributes) {
        return Err(if access.is_visible(&parent) {
            OperationError::insufficient_access(
                "you may not add this entry here; ask the administrator for a rule that allows it",
            )
        } else {
            absent_superior(access, Some(view.superior(&parent)))?
        });
    }
    check_superior(&parent)?;
    if let Some(rdn) = dn.rdn() {
        check_length(view, parent.id, rdn)?;
    }
    let rdn_key = dn.rdn().map(|rdn| view.catalog().schema().rdn_key(rdn)).unwrap_or_default();
    if has_name(view, parent.id, &rdn_key)?.is_some() {
        return Err(already_there());
    }
    Ok(parent.id)
}

/// The live entry of a name. One that is only there for what is below it gives its name up.
pub(super) fn has_name(view: View<'_>, superior: EntryId, rdn_key: &[u8]) -> Outcome<Option<EntryId>> {
    let Some(id) = view.child_by_key(superior, rdn_key)? else { return Ok(None) };
    Ok(view.entry(id)?.filter(|entry| entry.record.flags() & ENTRY_PHANTOM == 0).map(|_| id))
}

/// Whether entries may stand below this one.
///
/// # Errors
/// aliasProblem, unwillingToPerform, objectClassViolation.
pub(super) fn check_superior(parent: &Entry<'_>) -> Outcome<()> {
    let flags = parent.record.flags();
    if flags & ENTRY_ALIAS != 0 {
        return Err(below_alias());
    }
    if flags & ENTRY_REFERRAL != 0 {
        return Err(OperationError::new(
            ResultCode::UNWILLING_TO_PERFORM,
            "the superior is a referral: what is below it is kept by another server; ask that one",
        ));
    }
    if flags & ENTRY_LOSER != 0 {
        return Err(OperationError::new(
            ResultCode::UNWILLING_TO_PERFORM,
            "another entry has the name of this superior; name that one, or give this one another name first",
        ));
    }
    if flags & ENTRY_SUBENTRY != 0 {
        return Err(OperationError::new(
            ResultCode::OBJECT_CLASS_VIOLATION,
            "the superior is a subentry, which is always a leaf (RFC 3672)",
        ));
    }
    Ok(())
}

/// Whether the name, written with its escapes, is one that a client could send: else nobody could name the entry.
///
/// # Errors
/// namingViolation.
pub(super) fn check_length(view: View<'_>, superior: EntryId, rdn: &Rdn) -> Outcome<()> {
    let above = view.dn_text(superior)?.map_or(0, |text| text.len() + 1);
    refuse_long(above + rdn.to_string().len())
}

fn refuse_long(bytes: usize) -> Outcome<()> {
    if bytes <= DN_BYTES_MAX {
        return Ok(());
    }
    Err(OperationError::new(
        ResultCode::NAMING_VIOLATION,
        format!("the name is longer than {DN_BYTES_MAX} bytes when it is written with its escapes"),
    ))
}

fn below_alias() -> OperationError {
    OperationError::new(
        ResultCode::ALIAS_PROBLEM,
        "the superior is an alias, which is always a leaf; name the entry that it points to",
    )
}

fn absent_superior(access: &Access<'_>, matched: Option<EntryId>) -> Outcome<OperationError> {
    let mut error = access.no_such_object(matched)?;
    "there is no such superior; add it first".clone_into(&mut error.diagnostic);
    Ok(error)
}

/// entryAlreadyExists.
pub(super) fn already_there() -> OperationError {
    OperationError::new(
        ResultCode::ENTRY_ALREADY_EXISTS,
        "an entry of this name is there already; modify it, or choose another name",
    )
}

/// A name outside every suffix: a new suffix, if it may be one.
fn place_suffix(context: &Context, access: &Access<'_>, view: View<'_>, dn: &Dn) -> Outcome<EntryId> {
    let schema = view.catalog().schema();
    if has_name(view, EntryId::NONE, &schema.dn_key(dn))?.is_some() {
        return Err(already_there());
    }
    if !access.is_administrator() {
        return Err(absent_superior(access, None)?);
    }
    refuse_long(dn.to_string().len())?;
    let key = schema.dn_key(dn);
    let mut has_suffixes = false;
    for suffix in view.suffixes()? {
        has_suffixes = true;
        let name = view.dn_text(suffix)?.unwrap_or_default();
        if Dn::parse(&name).is_ok_and(|name| schema.dn_key(&name).starts_with(&key)) {
            return Err(OperationError::new(
                ResultCode::NAMING_VIOLATION,
                format!("{name} is a suffix of this directory, and a suffix has none above it"),
            ));
        }
    }
    let own = context.requester.dn().and_then(|own| Dn::parse(own).ok());
    let is_meant = context.controls.relax;
    if has_suffixes && !is_meant && !own.is_some_and(|own| schema.dn_key(&own).starts_with(&key)) {
        return Err(OperationError::new(
            ResultCode::UNWILLING_TO_PERFORM,
            "the name is outside the suffixes of this directory (namingContexts of the root DSE); for another suffix: \
             entente suffix add, or add its top entry with the relax rules control (ldapadd -e relax)",
        ));
    }
    Ok(EntryId::NONE)
}

fn check_schema(view: View<'_>, attributes: &[Attribute]) -> Outcome<()> {
    let schema = view.catalog().schema();
    let object_class = schema.attribute_type("objectClass").map(|found| found.index);
    let mut classes: Vec<&str> = Vec::new();
    let mut present = Vec::with_capacity(attributes.len());
    for attribute in attributes {
        let Some(known) = schema.attribute_type(attribute.description.name()) else { continue };
        if Some(known.index) == object_class {
            classes.extend(attribute.values.iter().filter_map(|value| std::str::from_utf8(value).ok()));
        }
        present.push((known, attribute.values.len()));
    }
    sound::refusal(check_entry(schema, &classes, present)).map_or(Ok(()), Err)?;
    let contradiction = password_policy::contradiction(|name| {
        let wanted = schema.attribute_type(name)?.index;
        let is_it = |given: &&Attribute| {
            given.description.options().is_empty()
                && schema.attribute_type(given.description.name()).is_some_and(|known| known.index == wanted)
        };
        let value = attributes.iter().find(is_it)?.values.first()?;
        Some(String::from_utf8_lossy(value).into_owned())
    });
    match contradiction {
        Some(text) => Err(OperationError::new(ResultCode::CONSTRAINT_VIOLATION, text)),
        None => Ok(()),
    }
}

/// The attributes by number. Equal values are refused here, where their identities are known.
fn number(writing: &mut Writing<'_>, attributes: &[Attribute]) -> Outcome<Vec<(AttributeId, Vec<Vec<u8>>)>> {
    let mut numbered = Vec::with_capacity(attributes.len());
    for attribute in attributes {
        let id = writing.intern(&attribute.description)?;
        let view = writing.view();
        if attribute.values.len() > 1
            && let Some(info) = view.catalog().attribute(id)
        {
            let mut seen = HashSet::with_capacity(attribute.values.len());
            for (index, value) in attribute.values.iter().enumerate() {
                if !seen.insert(crate::dit::value_of(&view, info, value)?.0) {
                    return Err(OperationError::new(
                        ResultCode::ATTRIBUTE_OR_VALUE_EXISTS,
                        format!(
                            "{}, value {}: equal to an earlier one; give each value once",
                            attribute.description,
                            index + 1
                        ),
                    ));
                }
            }
        }
        numbered.push((id, attribute.values.clone()));
    }
    Ok(numbered)
}

fn new_uuid(writing: &Writing<'_>) -> Outcome<EntryUuid> {
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(|_| {
        OperationError::new(ResultCode::UNAVAILABLE, "the operating system gives no random numbers; try again")
    })?;
    Ok(EntryUuid::v7(writing.now_ms(), random))
}
