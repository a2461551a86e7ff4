use super::*;
use crate::schema::SchemaSource;

fn violations(schema: &Schema, classes: &[&str], attributes: &[(&str, usize)]) -> Vec<String> {
    let attributes = attributes.iter().map(|(name, count)| (schema.attribute_type(name).unwrap(), *count));
    check_entry(schema, classes, attributes).iter().map(ToString::to_string).collect()
}

#[test]
fn a_whole_person_has_no_violation() {
    let schema = Schema::builtin();
    let attributes =
        [("objectClass", 1), ("cn", 2), ("sn", 1), ("mail", 3), ("entryUUID", 1), ("memberOf", 4), ("aci", 2)];
    assert_eq!(violations(&schema, &["inetOrgPerson"], &attributes), [""; 0]);
    assert_eq!(violations(&schema, &["TOP", "person", "2.5.6.7", "inetorgperson"], &attributes), [""; 0]);
}

#[test]
fn missing_and_foreign_attributes_are_named_with_advice() {
    let schema = Schema::builtin();
    let found = violations(&schema, &["inetOrgPerson"], &[("cn", 1), ("uidNumber", 1), ("dc", 1), ("displayName", 2)]);
    assert_eq!(
        found,
        [
            "no object class of the entry allows uidNumber: remove it, or add objectClass posixAccount or nisKeyObject",
            "no object class of the entry allows dc: remove it, or add objectClass dcObject",
            "displayName takes one value and was given 2: keep one",
            "objectClass inetOrgPerson requires sn: add a value",
        ]
    );
}

#[test]
fn required_attributes_are_asked_for_once() {
    let schema = Schema::builtin();
    let found = violations(&schema, &["person", "organizationalPerson", "posixAccount"], &[("sn", 1)]);
    assert_eq!(found.iter().filter(|text| text.contains("requires cn")).count(), 1, "{found:?}");
}

/// RFC 4512 2.4.2.
#[test]
fn an_entry_is_of_one_structural_class() {
    let schema = Schema::builtin();
    assert_eq!(schema.structural_class(&["person", "inetOrgPerson", "posixAccount"]).unwrap().name(), "inetOrgPerson");
    assert_eq!(schema.structural_class(&[]).unwrap_err(), Violation::NoObjectClass);
    assert!(matches!(schema.structural_class(&["top", "posixAccount"]), Err(Violation::NoStructuralClass { .. })));
    assert!(matches!(schema.structural_class(&["person", "group"]), Err(Violation::UnknownClass { .. })));
    let both = schema.structural_class(&["person", "device"]).unwrap_err();
    assert_eq!(both.to_string(), "person and device are both structural and neither refines the other: keep one");
}

#[test]
fn an_unknown_class_is_the_only_complaint_about_classes() {
    let schema = Schema::builtin();
    let found = violations(&schema, &["nonsense"], &[]);
    assert_eq!(found, ["objectClass nonsense is not in the schema: correct the name or add its definition"]);
}

#[test]
fn extensible_objects_take_any_attribute() {
    let schema = Schema::builtin();
    assert_eq!(violations(&schema, &["device", "extensibleObject"], &[("cn", 1), ("mail", 1)]), [""; 0]);
}

#[test]
fn groups_may_be_empty_where_their_class_allows_it() {
    let schema = Schema::builtin();
    assert_eq!(violations(&schema, &["groupOfMembers", "posixGroup"], &[("cn", 1), ("gidNumber", 1)]), [""; 0]);
    assert_eq!(violations(&schema, &["groupOfNames"], &[("cn", 1)]).len(), 1);
}

/// RFC 2307 has posixGroup structural, its successor auxiliary; data of both kinds must be taken.
#[test]
fn a_unix_group_may_stand_alone_as_older_data_has_it() {
    let schema = Schema::builtin();
    assert_eq!(schema.structural_class(&["top", "posixGroup"]).unwrap().name(), "posixGroup");
    assert_eq!(violations(&schema, &["top", "posixGroup"], &[("cn", 1), ("gidNumber", 1), ("memberUid", 3)]), [""; 0]);
    assert_eq!(schema.structural_class(&["posixGroup", "groupOfNames"]).unwrap().name(), "groupOfNames");
    assert!(matches!(schema.structural_class(&["posixAccount"]), Err(Violation::NoStructuralClass { .. })));
}

/// RFC 4512 4.1.6.
#[test]
fn content_rules_say_what_else_may_be_there() {
    let text = "dITContentRules: ( 2.5.6.14 NAME 'deviceRule' AUX ( ipHost ) MUST l MAY mail NOT owner )\n";
    let schema = Schema::builtin_and(&[SchemaSource { name: "rule.ldif", text }]).unwrap();
    let allowed = [("cn", 1), ("l", 1), ("mail", 1), ("ipHostNumber", 1)];
    assert_eq!(violations(&schema, &["device", "ipHost"], &allowed), [""; 0]);
    let found = violations(&schema, &["device", "ieee802Device"], &[("cn", 1), ("owner", 1)]);
    assert_eq!(
        found,
        [
            "entries of device may not have auxiliary class ieee802Device: the content rule of device does not list it",
            "entries of device may not have owner: the content rule of device precludes it",
            "objectClass device requires l: add a value",
        ]
    );
}

#[test]
fn classes_are_listed_with_all_they_refine() {
    let schema = Schema::builtin();
    let mut names: Vec<_> = schema
        .classes_with_superiors(&["inetOrgPerson"])
        .iter()
        .map(|index| schema.object_class_at(*index).name())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["inetOrgPerson", "organizationalPerson", "person", "top"]);
}
