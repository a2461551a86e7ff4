//! From a request off the wire to an owned change that the schema alone cannot refuse.
//!
//! Runs on the connection's thread, so that the writer's thread need not parse names or look at every byte of a
//! photo. What is refused here depends on the request and the schema only, never on what the tree holds, so it
//! reveals nothing whoever asks.
//!
//! Leaves open what later steps decide: whether values are there already, and whether the entry fits its classes.

use super::secret;
use crate::model::attribute::is_language_range;
use crate::model::ldap_url::check_referral;
use crate::model::{Attribute, AttributeDescription, Change, Dn, Modification, ModificationKind, Rdn, ResultCode};
use crate::operation::control::RequestControls;
use crate::operation::outcome::{OperationError, Outcome};
use crate::policy::aci::Aci;
use crate::policy::password_policy::{FAILURES_MAX, HISTORY_MAX, POLICY_OIDS};
use crate::policy::requester::Requester;
use crate::schema::{AttributeType, Schema, Syntax};
use crate::search::{Computed, SubtreeSpecification};
use crate::wire::{AddRequest, ModifyDnRequest, ModifyRequest, Request};
use hashbrown::HashSet;

/// Who gives the values, and what it may give.
#[derive(Clone, Copy)]
pub(super) struct Giving<'r> {
    requester: &'r Requester,
    /// What else only the server writes too.
    relaxed: bool,
}

impl<'r> Giving<'r> {
    /// # Errors
    /// insufficientAccessRights: only the administrator may relax the rules.
    pub(super) fn of(requester: &'r Requester, controls: &RequestControls) -> Outcome<Self> {
        if controls.relax && !requester.is_administrator() {
            return Err(OperationError::insufficient_access("only the administrator may relax the rules"));
        }
        Ok(Self { requester, relaxed: controls.relax })
    }
}

/// Attributes that an import brings along although the server writes them: createTimestamp, modifyTimestamp,
/// creatorsName, modifiersName; and with a new entry entryUUID.
const RELAXED: [&str; 4] = ["2.5.18.1", "2.5.18.2", "2.5.18.3", "2.5.18.4"];
const ENTRY_UUID: &str = "1.3.6.1.1.16.4";

/// The change that `request` asks for; of an add with the values of its RDN among the attributes (RFC 4511 4.7).
///
/// # Errors
/// invalidDNSyntax, namingViolation, undefinedAttributeType, invalidAttributeSyntax, constraintViolation,
/// attributeOrValueExists, protocolError for a request that changes nothing.
pub(super) fn read(schema: &Schema, giving: Giving<'_>, request: &Request<'_>) -> Outcome<Change> {
    let change = match request {
        Request::Add(request) => read_add(schema, giving, request)?,
        Request::Delete { dn } => Change::Delete { dn: Dn::parse(dn)? },
        Request::Modify(request) => read_modify(schema, giving, request)?,
        Request::ModifyDn(request) => read_modify_dn(schema, request)?,
        _ => return Err(OperationError::new(ResultCode::PROTOCOL_ERROR, "the request changes nothing")),
    };
    if change.dn().is_root() {
        return Err(OperationError::new(
            ResultCode::UNWILLING_TO_PERFORM,
            "the root DSE cannot be changed; name an entry below a suffix",
        ));
    }
    Ok(change)
}

fn read_add(schema: &Schema, giving: Giving<'_>, request: &AddRequest<'_>) -> Outcome<Change> {
    let dn = Dn::parse(request.dn)?;
    let mut attributes: Vec<Attribute> = Vec::with_capacity(request.attributes.len() + 1);
    let mut seen = HashSet::with_capacity(request.attributes.len());
    let mut clear_passwords = 0;
    for given in &request.attributes {
        let may_give = |found: &AttributeType| giving.relaxed && (found.oid == ENTRY_UUID || is_relaxed(found));
        let (description, attribute_type) = description_of(schema, given.attribute, may_give)?;
        check_options(schema, &description)?;
        if !seen.insert((attribute_type.index, description.options().to_vec())) {
            return Err(OperationError::new(
                ResultCode::ATTRIBUTE_OR_VALUE_EXISTS,
                format!("{description} is given more than once; give all its values together"),
            ));
        }
        check_values(schema, giving.requester, &description, attribute_type, &given.values, &mut clear_passwords)?;
        attributes.push(Attribute { description, values: owned(&given.values) });
    }
    if let Some(rdn) = dn.rdn() {
        check_rdn(schema, rdn)?;
        add_naming_values(schema, rdn, &mut attributes)?;
    }
    Ok(Change::Add { dn, attributes })
}

fn read_modify(schema: &Schema, giving: Giving<'_>, request: &ModifyRequest<'_>) -> Outcome<Change> {
    let dn = Dn::parse(request.dn)?;
    let mut modifications = Vec::with_capacity(request.modifications.len());
    let mut clear_passwords = 0;
    for given in &request.modifications {
        let may_give = |found: &AttributeType| giving.relaxed && is_relaxed(found);
        let (description, attribute_type) = description_of(schema, given.attribute, may_give)?;
        // Values under an option that was recognized once can be taken away.
        let takes_away = given.kind == ModificationKind::Delete
            || (given.kind == ModificationKind::Replace && given.values.is_empty());
        if !takes_away {
            check_options(schema, &description)?;
        }
        match given.kind {
            ModificationKind::Add | ModificationKind::Replace => {
                check_values(
                    schema,
                    giving.requester,
                    &description,
                    attribute_type,
                    &given.values,
                    &mut clear_passwords,
                )?;
            }
            ModificationKind::Increment => check_increment(&description, attribute_type, &given.values)?,
            // A value that breaks its syntax may have come by an import: whoever deletes it must be able to.
            ModificationKind::Delete => {}
        }
        let attribute = Attribute { description, values: owned(&given.values) };
        modifications.push(Modification { kind: given.kind, attribute });
    }
    Ok(Change::Modify { dn, modifications })
}

fn read_modify_dn(schema: &Schema, request: &ModifyDnRequest<'_>) -> Outcome<Change> {
    let dn = Dn::parse(request.dn)?;
    let new_rdn = Rdn::parse(request.new_rdn)?;
    check_rdn(schema, &new_rdn)?;
    let new_superior = request.new_superior.map(Dn::parse).transpose()?;
    Ok(Change::ModifyDn { dn, new_rdn, delete_old_rdn: request.delete_old_rdn, new_superior })
}

fn owned(values: &[&[u8]]) -> Vec<Vec<u8>> {
    values.iter().map(|value| value.to_vec()).collect()
}

/// The attribute that a client names, if clients may write it.
fn description_of<'s>(
    schema: &'s Schema,
    text: &str,
    may_give: impl Fn(&AttributeType) -> bool,
) -> Outcome<(AttributeDescription, &'s AttributeType)> {
    let description = AttributeDescription::parse(text)?;
    let attribute_type = known_type(schema, description.name())?;
    let is_servers = attribute_type.no_user_modification || Computed::of(attribute_type).is_some();
    if is_servers && !(may_give(attribute_type) && description.options().is_empty()) {
        return Err(OperationError::new(
            ResultCode::CONSTRAINT_VIOLATION,
            format!("{description} is kept by the server; leave it out"),
        ));
    }
    if description.options().iter().any(|option| is_language_range(option)) {
        return Err(OperationError::new(
            ResultCode::UNDEFINED_ATTRIBUTE_TYPE,
            format!("{description} is a range of languages, which has no values of its own; name one (RFC 3866)"),
        ));
    }
    let has_binary = description.options().iter().any(|option| option == "binary");
    let advice = match (attribute_type.syntax.is_binary_transfer(), has_binary) {
        (true, false) => format!("{description} is transferred as binary only; write {description};binary (RFC 4522)"),
        (false, true) => format!("{description} has no binary form; leave the option ;binary out"),
        _ => return Ok((description, attribute_type)),
    };
    Err(OperationError::new(ResultCode::UNDEFINED_ATTRIBUTE_TYPE, advice))
}

/// RFC 4512 2.5: a description with an option that is not recognized is one of an unknown type.
fn check_options(schema: &Schema, description: &AttributeDescription) -> Outcome<()> {
    let options = schema.attribute_options();
    match options.unknown_in(description) {
        None => Ok(()),
        Some(unknown) => {
            Err(OperationError::new(ResultCode::UNDEFINED_ATTRIBUTE_TYPE, options.refusal(description, unknown)))
        }
    }
}

fn is_relaxed(attribute_type: &AttributeType) -> bool {
    RELAXED.contains(&attribute_type.oid.as_str())
}

fn known_type<'s>(schema: &'s Schema, name: &str) -> Outcome<&'s AttributeType> {
    schema.attribute_type(name).ok_or_else(|| {
        OperationError::new(
            ResultCode::UNDEFINED_ATTRIBUTE_TYPE,
            format!("attribute type {name} is not in the schema; cn=subschema lists what is"),
        )
    })
}

/// A value of a password policy (draft-behera-ldap-password-policy-10 5.2) that would mean nothing; the error says what may
/// be written.
fn check_policy_value(attribute_type: &AttributeType, value: &str) -> Result<(), &'static str> {
    let Some(number) = attribute_type.oid.strip_prefix(POLICY_OIDS) else { return Ok(()) };
    let value = value.trim();
    let is_within = |most: i64| value.parse::<i64>().is_ok_and(|number| (0..=most).contains(&number));
    match number {
        "1" if !value.eq_ignore_ascii_case("userPassword") && value != "2.5.4.35" => {
            Err("userPassword: a policy is about no other attribute")
        }
        "5" if !is_within(2) => Err("0, 1 or 2"),
        "4" if !is_within(HISTORY_MAX as i64) => {
            Err("a number from 0 to 24: each costs a verification when the password changes")
        }
        "11" if !is_within(FAILURES_MAX as i64) => {
            Err("a number from 0 to 64: so many failures of an account are kept")
        }
        "2" | "3" | "6" | "7" | "8" | "10" | "12" | "24" | "25" | "26" | "30" | "31" | "32"
            if !is_within(i64::from(i32::MAX)) =>
        {
            Err("a number from 0 to 2147483647")
        }
        _ => Ok(()),
    }
}

fn check_values(
    schema: &Schema,
    requester: &Requester,
    description: &AttributeDescription,
    attribute_type: &AttributeType,
    values: &[&[u8]],
    clear_passwords: &mut usize,
) -> Outcome<()> {
    for (index, value) in values.iter().enumerate() {
        let invalid = |detail: &dyn std::fmt::Display| {
            OperationError::new(
                ResultCode::INVALID_ATTRIBUTE_SYNTAX,
                format!("{description}, value {}: {detail}", index + 1),
            )
        };
        attribute_type.syntax.validate(value).map_err(|error| invalid(&error))?;
        check_policy_value(attribute_type, &String::from_utf8_lossy(value)).map_err(|allowed| {
            OperationError::new(ResultCode::CONSTRAINT_VIOLATION, format!("{description} is {allowed}"))
        })?;
        if attribute_type.syntax != Syntax::Dn
            && let Some(rule) = attribute_type.equality.filter(|rule| rule.is_key_rule())
        {
            rule.key(schema, value, &mut Vec::new()).map_err(|error| invalid(&error))?;
        }
        if attribute_type.syntax == Syntax::SubtreeSpecification {
            let text = std::str::from_utf8(value).map_err(|error| invalid(&error))?;
            SubtreeSpecification::parse(text).map_err(|error| invalid(&error))?;
        }
        if attribute_type.oid == REF_OID {
            check_referral(&String::from_utf8_lossy(value)).map_err(|error| invalid(&error))?;
        }
        if attribute_type.oid == ACI_OID {
            let rule = Aci::parse_bytes(value).map_err(|error| invalid(&error))?;
            // One that came by an import stands, and is warned of; nobody should write what can have no effect.
            if let Some(warning) = rule.warnings().first() {
                return Err(OperationError::new(ResultCode::UNWILLING_TO_PERFORM, warning.as_str()));
            }
        }
    }
    if secret::is_password(description) {
        secret::check(requester, description, values, clear_passwords)?;
    }
    Ok(())
}

const REF_OID: &str = "2.16.840.1.113730.3.1.34";
const ACI_OID: &str = "2.16.840.1.113730.3.1.55";

/// RFC 4525 3: an integer attribute, one integer.
fn check_increment(
    description: &AttributeDescription,
    attribute_type: &AttributeType,
    values: &[&[u8]],
) -> Outcome<()> {
    if attribute_type.syntax != Syntax::Integer {
        return Err(OperationError::new(
            ResultCode::CONSTRAINT_VIOLATION,
            format!("{description} is no number; only attributes of integer syntax can be incremented"),
        ));
    }
    let [value] = values else {
        return Err(OperationError::new(
            ResultCode::PROTOCOL_ERROR,
            format!("an increment takes one value, and {} came for {description}", values.len()),
        ));
    };
    increment_of(value).map(|_| ()).ok_or_else(|| {
        OperationError::new(
            ResultCode::INVALID_ATTRIBUTE_SYNTAX,
            format!("{description} is to be incremented by a whole number, as 1 or -5"),
        )
    })
}

/// By how much an increment's value says.
pub(super) fn increment_of(value: &[u8]) -> Option<i128> {
    Syntax::Integer.validate(value).ok()?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Whether a new entry may be named so: known types that clients may write, each once, with values of their syntax.
fn check_rdn(schema: &Schema, rdn: &Rdn) -> Outcome<()> {
    let mut seen = Vec::with_capacity(rdn.avas().len());
    for ava in rdn.avas() {
        let attribute_type = known_type(schema, &ava.attribute)?;
        let unfit = if attribute_type.is_operational() || attribute_type.no_user_modification {
            Some("is operational and cannot name an entry")
        } else if attribute_type.is_secret() {
            Some("holds secrets and cannot name an entry")
        } else if attribute_type.syntax.is_binary_transfer() || !attribute_type.syntax.is_human_readable() {
            Some("has no text form and cannot name an entry")
        } else if seen.contains(&attribute_type.index) {
            Some("comes twice in one RDN")
        } else {
            None
        };
        if let Some(unfit) = unfit {
            return Err(OperationError::new(
                ResultCode::NAMING_VIOLATION,
                format!("{} {unfit}; use another attribute, as cn or uid", ava.attribute),
            ));
        }
        seen.push(attribute_type.index);
        attribute_type.syntax.validate(&ava.value).map_err(|error| {
            OperationError::new(
                ResultCode::INVALID_DN_SYNTAX,
                format!("the value of {} in the RDN: {error}", ava.attribute),
            )
        })?;
    }
    Ok(())
}

/// RFC 4511 4.7: the values of the RDN need not be repeated in the list. As slapd does it, what is missing is added.
fn add_naming_values(schema: &Schema, rdn: &Rdn, attributes: &mut Vec<Attribute>) -> Outcome<()> {
    for ava in rdn.avas() {
        let attribute_type = known_type(schema, &ava.attribute)?;
        let listed = attributes.iter_mut().find(|listed| {
            listed.description.options().is_empty()
                && schema
                    .attribute_type(listed.description.name())
                    .is_some_and(|known| known.index == attribute_type.index)
        });
        let Some(listed) = listed else {
            let description = AttributeDescription::parse(&ava.attribute)?;
            attributes.push(Attribute { description, values: vec![ava.value.clone()] });
            continue;
        };
        let key = key_of(schema, attribute_type, &ava.value);
        if listed.values.iter().any(|value| key_of(schema, attribute_type, value) == key) {
            continue;
        }
        if attribute_type.single_value && !listed.values.is_empty() {
            return Err(OperationError::new(
                ResultCode::NAMING_VIOLATION,
                format!(
                    "{} takes one value, and the RDN names another one than the list; give the same in both",
                    ava.attribute
                ),
            ));
        }
        listed.values.push(ava.value.clone());
    }
    Ok(())
}

/// By which two values of the attribute are compared; the bytes themselves where the rule has no answer.
fn key_of(schema: &Schema, attribute_type: &AttributeType, value: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(value.len());
    match attribute_type.equality.map(|rule| rule.key(schema, value, &mut key)) {
        Some(Ok(())) => key,
        _ => value.to_vec(),
    }
}
