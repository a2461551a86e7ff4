//! Compare: RFC 4511 4.10.

use crate::support::request::Control;
use crate::support::server::{SUFFIX, Server, Subject};
use crate::support::{code, oid};
use crate::{ANN, GROUPS, PEOPLE};

#[test]
fn compare_with_a_value_that_is_there_is_compare_true() {
    let mut client = Server::shared().admin();
    client.compare(ANN, "sn", "Example").expect(code::COMPARE_TRUE);
    client.compare(ANN, "mail", "ann.example@example.com").expect(code::COMPARE_TRUE);
}

#[test]
fn compare_uses_the_equality_rule_of_the_attribute() {
    let mut client = Server::shared().admin();
    client.compare(ANN, "SN", "  eXAMPLE ").expect(code::COMPARE_TRUE);
    client.compare(ANN, "telephoneNumber", "+1-555-01-00").expect(code::COMPARE_TRUE);
    client.compare(ANN, "2.5.4.4", "example").expect(code::COMPARE_TRUE);
}

#[test]
fn compare_with_another_value_is_compare_false() {
    Server::shared().admin().compare(ANN, "sn", "Builder").expect(code::COMPARE_FALSE);
}

/// Apache's `Require ldap-group`: the member's name in another spelling.
#[test]
fn compare_of_names_is_comparison_of_names() {
    let mut client = Server::shared().admin();
    let staff = format!("cn=staff,{GROUPS}");
    client.compare(&staff, "member", "UID=Ann , OU=People, DC=Example,DC=com").expect(code::COMPARE_TRUE);
    client.compare(&staff, "member", &format!("uid=dave,{PEOPLE}")).expect(code::COMPARE_FALSE);
    client.compare(&format!("cn=unique,{GROUPS}"), "uniqueMember", &ANN.to_uppercase()).expect(code::COMPARE_TRUE);
    client.compare(&format!("cn=unix,{GROUPS}"), "memberUid", "bob").expect(code::COMPARE_TRUE);
    client.compare(&format!("cn=unix,{GROUPS}"), "memberUid", "BOB").expect(code::COMPARE_FALSE);
}

/// RFC 4511 4.10, appendix A.
#[test]
fn compare_with_an_attribute_that_the_entry_lacks_is_no_such_attribute() {
    Server::shared().admin().compare(ANN, "uidNumber", "1").expect(code::NO_SUCH_ATTRIBUTE);
}

#[test]
fn compare_with_an_unknown_attribute_is_undefined_attribute_type() {
    Server::shared().admin().compare(ANN, "noSuchAttribute", "x").expect(code::UNDEFINED_ATTRIBUTE_TYPE);
}

#[test]
fn compare_with_a_value_of_the_wrong_syntax_is_invalid_attribute_syntax() {
    let mut client = Server::shared().admin();
    client.compare(&format!("uid=bob,{PEOPLE}"), "uidNumber", "many").expect(code::INVALID_ATTRIBUTE_SYNTAX);
}

#[test]
fn compare_at_an_absent_entry_is_no_such_object_with_the_matched_dn() {
    let outcome = Server::shared().admin().compare(&format!("uid=x,ou=y,{PEOPLE}"), "sn", "x");
    assert_eq!(outcome.expect(code::NO_SUCH_OBJECT).matched_dn, PEOPLE);
}

/// RFC 4512 2.5: supertype and options.
#[test]
fn compare_covers_subtypes() {
    let mut client = Server::shared().admin();
    client.compare(ANN, "cn", "Anna Beispiel").expect(code::COMPARE_TRUE);
    client.compare(ANN, "cn;lang-de", "Anna Beispiel").expect(code::COMPARE_TRUE);
    client.compare(ANN, "cn;lang-de", "Ann Example").expect(code::COMPARE_FALSE);
    client.compare(ANN, "name", "Example").expect(code::COMPARE_TRUE);
}

/// RFC 4511 4.10: an alias is compared itself, never what it points to.
#[test]
fn compare_does_not_dereference_aliases() {
    let mut client = Server::shared().admin();
    let alias = format!("cn=boss,ou=aliases,{SUFFIX}");
    client.compare(&alias, "cn", "boss").expect(code::COMPARE_TRUE);
    client.compare(&alias, "sn", "Example").expect(code::NO_SUCH_ATTRIBUTE);
}

#[test]
fn compare_of_operational_attributes_works() {
    let mut client = Server::shared().admin();
    client.compare(ANN, "structuralObjectClass", "inetOrgPerson").expect(code::COMPARE_TRUE);
    // slapd: "entryDN compare not supported".
    let expected = Subject::current().pick(code::COMPARE_TRUE, code::UNWILLING_TO_PERFORM);
    client.compare(ANN, "entryDN", ANN).expect(expected);
    client.compare(PEOPLE, "hasSubordinates", "TRUE").expect(code::COMPARE_TRUE);
    client.compare(ANN, "objectClass", "person").expect(code::COMPARE_TRUE);
}

/// Nobody learns a password by comparing.
#[test]
fn compare_of_a_password_is_not_for_others() {
    let server = Server::shared();
    let outcome = server.person("bob").compare(ANN, "userPassword", "ann-secret");
    assert_ne!(outcome.code, code::COMPARE_TRUE, "{outcome:?}");
    assert_ne!(outcome.code, code::COMPARE_FALSE, "{outcome:?}");
}

#[test]
fn compare_with_manage_dsa_it_reads_the_referral_entry() {
    let mut client = Server::shared().admin();
    let referral = format!("ou=away,ou=referrals,{SUFFIX}");
    client.compare(&referral, "ou", "away").expect(code::REFERRAL);
    client.with(Control::manage_dsa_it()).compare(&referral, "ou", "away").expect(code::COMPARE_TRUE);
}

/// A control that does not fit: paging of a compare.
#[test]
fn critical_control_of_another_operation_is_unavailable_critical_extension() {
    let mut client = Server::shared().admin();
    let outcome = client.with(Control::paged(10, b"")).compare(ANN, "sn", "Example");
    // slapd parses the control for every operation and ignores it here.
    let expected = Subject::current().pick(code::UNAVAILABLE_CRITICAL_EXTENSION, code::COMPARE_TRUE);
    outcome.expect_one_of(&[expected, code::UNAVAILABLE_CRITICAL_EXTENSION, code::PROTOCOL_ERROR]);
    let outcome = client.with(Control::critical(oid::UNKNOWN, None)).compare(ANN, "sn", "Example");
    outcome.expect(code::UNAVAILABLE_CRITICAL_EXTENSION);
}
