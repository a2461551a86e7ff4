//! Attributes as rules tell them apart: those that some rule names, credentials, what a server keeps, and all the others.
//!
//! slapd's `to *` is about every attribute, those of the server too. Here `*` is about user attributes without
//! credentials, which a rule must name, and `aci` is an attribute; so credentials and the server's attributes are named
//! one by one, those that slapd has too and no others. `pwdHistory` is left out on purpose: nobody reads old passwords.

use super::rule::{Item, Rule};
use crate::policy::aci::{AttributePattern, TargetAttributes};
use crate::policy::rights::Right;
use crate::schema::{AttributeType, AttributeTypeIndex, Schema};
use std::collections::BTreeSet;

/// Credentials that slapd keeps as attributes like any other.
const CREDENTIALS: [&str; 6] =
    ["authPassword", "krbPrincipalKey", "nisSecretKey", "sambaLMPassword", "sambaNTPassword", "userPassword"];

/// What slapd keeps in entries, and is kept here, too.
const SERVERS: [&str; 17] = [
    "createTimestamp",
    "creatorsName",
    "entryCSN",
    "entryDN",
    "entryUUID",
    "hasSubordinates",
    "memberOf",
    "modifiersName",
    "modifyTimestamp",
    "pwdAccountLockedTime",
    "pwdChangedTime",
    "pwdFailureTime",
    "pwdGraceUseTime",
    "pwdPolicySubentry",
    "pwdReset",
    "structuralObjectClass",
    "subschemaSubentry",
];

/// An attribute, or what a rule says beside attributes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Class {
    Children,
    Entry,
    Named(AttributeTypeIndex),
    /// Every user attribute that has no class of its own.
    Other,
}

/// Classes that all rules treat alike.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) classes: Vec<Class>,
    /// For each rule whether it is about them.
    pub(super) rules: Vec<bool>,
    /// Values are names, so that one may be the requester's own.
    pub(super) is_dn: bool,
}

impl Group {
    pub(super) fn holds(&self, class: Class) -> bool {
        self.classes.contains(&class)
    }
}

fn with_subtypes(attribute: &AttributeType) -> impl Iterator<Item = AttributeTypeIndex> {
    std::iter::once(attribute.index).chain(attribute.subtypes.iter().copied())
}

/// What a class allows, subtypes included.
fn allowed(schema: &Schema, class: &str) -> Option<BTreeSet<AttributeTypeIndex>> {
    let class = schema.object_class(class)?;
    let types = class.must.iter().chain(&class.may);
    Some(types.flat_map(|index| with_subtypes(schema.attribute_type_at(*index))).collect())
}

fn is_about(schema: &Schema, item: &Item, class: Class) -> bool {
    match (item, class) {
        (Item::Children, class) => class == Class::Children,
        (Item::Entry, class) => class == Class::Entry,
        (Item::Name(name), Class::Named(index)) => {
            schema.attribute_type(name).is_some_and(|attribute| with_subtypes(attribute).any(|known| known == index))
        }
        (Item::Class(name), Class::Named(index)) => allowed(schema, name).is_some_and(|types| types.contains(&index)),
        (Item::NotClass(name), Class::Named(index)) => {
            allowed(schema, name).is_some_and(|types| !types.contains(&index))
        }
        (Item::NotClass(_), _) => true,
        (Item::Name(_) | Item::Class(_), _) => false,
    }
}

/// The names in a rule that the schema does not know, in words.
pub(super) fn unknown_names(schema: &Schema, rule: &Rule) -> Option<String> {
    rule.attributes.iter().flatten().find_map(|item| match item {
        Item::Name(name) if name.contains(';') => {
            Some(format!("attrs={name}: here a rule is about an attribute with all its options"))
        }
        Item::Name(name) if schema.attribute_type(name).is_none() => {
            Some(format!("the schema does not know the attribute {name}; give the directory's own with --data"))
        }
        Item::Class(name) | Item::NotClass(name) if name.eq_ignore_ascii_case("extensibleObject") => {
            Some("extensibleObject allows every attribute; leave it out, or name the attributes".into())
        }
        Item::Class(name) | Item::NotClass(name) if schema.object_class(name).is_none() => {
            Some(format!("the schema does not know the class {name}; give the directory's own with --data"))
        }
        _ => None,
    })
}

/// All classes, in groups.
pub(super) fn groups(schema: &Schema, rules: &[Rule]) -> Vec<Group> {
    let mut named: BTreeSet<AttributeTypeIndex> = SERVERS
        .iter()
        .chain(&CREDENTIALS)
        .filter_map(|name| schema.attribute_type(name))
        .map(|known| known.index)
        .collect();
    for item in rules.iter().flat_map(|rule| rule.attributes.iter().flatten()) {
        match item {
            Item::Name(name) => named.extend(schema.attribute_type(name).into_iter().flat_map(with_subtypes)),
            Item::Class(name) | Item::NotClass(name) => named.extend(allowed(schema, name).into_iter().flatten()),
            Item::Children | Item::Entry => {}
        }
    }
    let classes = named.into_iter().map(Class::Named).chain([Class::Other, Class::Entry, Class::Children]);
    let mut groups: Vec<Group> = Vec::new();
    for class in classes {
        let about = |rule: &Rule| match &rule.attributes {
            None => true,
            Some(items) => items.iter().any(|item| is_about(schema, item, class)),
        };
        let rules: Vec<bool> = rules.iter().map(about).collect();
        let is_dn = match class {
            Class::Named(index) => schema.attribute_type_at(index).is_dn_valued(),
            _ => false,
        };
        let is_apart = matches!(class, Class::Entry | Class::Children);
        let like = |group: &&mut Group| {
            !is_apart
                && group.rules == rules
                && group.is_dn == is_dn
                && !group.holds(Class::Entry)
                && !group.holds(Class::Children)
        };
        match groups.iter_mut().find(like) {
            Some(group) => group.classes.push(class),
            None => groups.push(Group { classes: vec![class], rules, is_dn }),
        }
    }
    groups
}

/// The `targetattr` of rules that are about these classes; more than one where one cannot say it. `rights`: what they give.
pub(super) fn targets(schema: &Schema, all: &[Group], groups: &[usize], rights: &[Right]) -> Vec<TargetAttributes> {
    let chosen: BTreeSet<Class> =
        groups.iter().filter_map(|index| all.get(*index)).flat_map(|group| group.classes.iter().copied()).collect();
    let types = |wanted: bool| {
        let named = all.iter().flat_map(|group| group.classes.iter()).filter_map(|class| match class {
            Class::Named(index) => Some(schema.attribute_type_at(*index)),
            _ => None,
        });
        let is_wanted = |attribute: &&AttributeType| chosen.contains(&Class::Named(attribute.index)) == wanted;
        named.filter(is_wanted).collect::<Vec<_>>()
    };
    let is_other = groups.iter().any(|index| all.get(*index).is_some_and(|group| group.holds(Class::Other)));
    let writes_only = rights.iter().all(|right| matches!(right, Right::Write | Right::SelfWrite));
    let (wanted, unwanted) = (types(true), types(false));
    // Naming a type names its subtypes.
    let names_unwanted =
        |attribute: &AttributeType| unwanted.iter().any(|other| attribute.subtypes.contains(&other.index));
    let can_be_written = |attribute: &AttributeType| !writes_only || !attribute.no_user_modification;
    let name = |attribute: &AttributeType| AttributePattern::Name(attribute.name().to_owned());
    let excluded: Vec<&AttributeType> =
        unwanted.iter().copied().filter(|attribute| !attribute.is_operational()).collect();
    let is_covered = |attribute: &AttributeType| {
        is_other
            && !attribute.is_operational()
            && (writes_only || !attribute.is_secret())
            && !excluded.iter().any(|other| other.subtypes.contains(&attribute.index))
    };
    let mut names: Vec<AttributePattern> = wanted
        .iter()
        .filter(|attribute| !is_covered(attribute) && !names_unwanted(attribute) && can_be_written(attribute))
        .map(|attribute| name(attribute))
        .collect();
    let mut targets = Vec::new();
    if is_other && excluded.is_empty() {
        names.insert(0, AttributePattern::AllUser);
    } else if is_other {
        targets.push(TargetAttributes { negated: true, names: excluded.into_iter().map(name).collect() });
    }
    if !names.is_empty() {
        targets.push(TargetAttributes { negated: false, names });
    }
    targets
}
