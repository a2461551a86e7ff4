//! Modify: RFC 4511 4.6.

use crate::support::client::Client;
use crate::support::request::{self, ADD, Control, DELETE, REPLACE};
use crate::support::server::{Server, Subject};
use crate::support::{ber, code};
use crate::{ANN, PEOPLE, add_person};

/// A person with two mails of its own for one test.
#[track_caller]
fn person(name: &str) -> (Client, String) {
    let (mut client, branch) = Server::shared().branch(name);
    let dn = add_person(&mut client, &branch, "p");
    client.modify(&dn, &[(ADD, "mail", &["one@example.com", "two@example.com"])]).expect(code::SUCCESS);
    (client, dn)
}

fn mails(client: &mut Client, dn: &str) -> Vec<String> {
    client.read(dn).values("mail")
}

#[test]
fn add_of_a_value_creates_the_attribute_or_joins_it() {
    let (mut client, dn) = person("modify-add");
    client.modify(&dn, &[(ADD, "mail", &["three@example.com"]), (ADD, "title", &["Cook"])]).expect(code::SUCCESS);
    assert_eq!(mails(&mut client, &dn), ["one@example.com", "three@example.com", "two@example.com"]);
    assert_eq!(client.read(&dn).value("title"), "Cook");
}

#[test]
fn add_of_a_value_that_is_there_is_attribute_or_value_exists() {
    let (mut client, dn) = person("modify-add-twice");
    client.modify(&dn, &[(ADD, "mail", &["ONE@example.com"])]).expect(code::ATTRIBUTE_OR_VALUE_EXISTS);
    let same = &["new@example.com", "NEW@example.com"];
    client.modify(&dn, &[(ADD, "mail", same)]).expect(code::ATTRIBUTE_OR_VALUE_EXISTS);
    assert_eq!(mails(&mut client, &dn).len(), 2);
}

#[test]
fn delete_of_a_value_takes_this_value_only() {
    let (mut client, dn) = person("modify-delete");
    client.modify(&dn, &[(DELETE, "mail", &["ONE@EXAMPLE.COM"])]).expect(code::SUCCESS);
    assert_eq!(mails(&mut client, &dn), ["two@example.com"]);
    assert!(client.names(&dn, "(mail=one@example.com)").is_empty());
}

#[test]
fn delete_of_the_last_value_takes_the_attribute() {
    let (mut client, dn) = person("modify-delete-last");
    client.modify(&dn, &[(DELETE, "mail", &["one@example.com", "two@example.com"])]).expect(code::SUCCESS);
    assert!(!client.read(&dn).has("mail"));
    assert!(client.names(&dn, "(mail=*)").is_empty());
}

#[test]
fn delete_of_absent_value_is_no_such_attribute() {
    let (mut client, dn) = person("modify-delete-absent-value");
    client.modify(&dn, &[(DELETE, "mail", &["three@example.com"])]).expect(code::NO_SUCH_ATTRIBUTE);
    client.modify(&dn, &[(DELETE, "title", &["x"])]).expect(code::NO_SUCH_ATTRIBUTE);
    // A value deleted twice in one list is absent the second time; slapd takes the list for a set.
    if !Subject::current().is_slapd() {
        let twice = &["one@example.com", "one@example.com"];
        let outcome = client.modify(&dn, &[(DELETE, "mail", twice)]);
        outcome.expect_one_of(&[code::NO_SUCH_ATTRIBUTE, code::ATTRIBUTE_OR_VALUE_EXISTS]);
    }
    assert_eq!(mails(&mut client, &dn).len(), 2);
}

#[test]
fn delete_without_values_takes_the_whole_attribute() {
    let (mut client, dn) = person("modify-delete-all");
    client.modify(&dn, &[(DELETE, "mail", &[])]).expect(code::SUCCESS);
    assert!(!client.read(&dn).has("mail"));
    client.modify(&dn, &[(DELETE, "mail", &[])]).expect(code::NO_SUCH_ATTRIBUTE);
}

#[test]
fn replace_puts_the_values_in_place_of_all_others() {
    let (mut client, dn) = person("modify-replace");
    client.modify(&dn, &[(REPLACE, "mail", &["new@example.com"])]).expect(code::SUCCESS);
    assert_eq!(mails(&mut client, &dn), ["new@example.com"]);
    assert!(client.names(&dn, "(mail=one@example.com)").is_empty());
    assert_eq!(client.names(&dn, "(mail=new@example.com)"), ["p"]);
    // An attribute that is not there is created.
    client.modify(&dn, &[(REPLACE, "title", &["Cook", "Driver"])]).expect(code::SUCCESS);
    assert_eq!(client.read(&dn).values("title"), ["Cook", "Driver"]);
}

/// RFC 4511 4.6: replacing by nothing deletes, and is no error when there is nothing.
#[test]
fn replace_without_values_deletes_and_ignores_absence() {
    let (mut client, dn) = person("modify-replace-nothing");
    client.modify(&dn, &[(REPLACE, "mail", &[]), (REPLACE, "title", &[])]).expect(code::SUCCESS);
    assert!(!client.read(&dn).has("mail"));
}

#[test]
fn replace_with_equal_values_is_attribute_or_value_exists() {
    let (mut client, dn) = person("modify-replace-equal");
    client.modify(&dn, &[(REPLACE, "mail", &["a@b.c", "A@B.C"])]).expect(code::ATTRIBUTE_OR_VALUE_EXISTS);
    assert_eq!(mails(&mut client, &dn).len(), 2);
}

/// The spelling that was written last is kept.
#[test]
fn replace_with_another_spelling_of_the_value_takes_the_new_spelling() {
    let (mut client, dn) = person("modify-respell");
    client.modify(&dn, &[(REPLACE, "mail", &["ONE@example.com"])]).expect(code::SUCCESS);
    assert_eq!(mails(&mut client, &dn), ["ONE@example.com"]);
    let respell: [(i64, &str, &[&str]); 2] =
        [(DELETE, "mail", &["one@example.com"]), (ADD, "mail", &["One@Example.com"])];
    client.modify(&dn, &respell).expect(code::SUCCESS);
    assert_eq!(mails(&mut client, &dn), ["One@Example.com"]);
}

/// RFC 4511 4.6: the list is done in order, as a whole.
#[test]
fn modifications_are_done_in_the_order_listed() {
    let (mut client, dn) = person("modify-order");
    let list: [(i64, &str, &[&str]); 4] = [
        (DELETE, "mail", &[]),
        (ADD, "mail", &["a@example.com"]),
        (ADD, "mail", &["b@example.com"]),
        (DELETE, "mail", &["a@example.com"]),
    ];
    client.modify(&dn, &list).expect(code::SUCCESS);
    assert_eq!(mails(&mut client, &dn), ["b@example.com"]);
}

/// RFC 4511 4.6: all or nothing.
#[test]
fn failing_modification_leaves_nothing_of_the_list() {
    let (mut client, dn) = person("modify-atomic");
    let list: [(i64, &str, &[&str]); 3] =
        [(ADD, "title", &["Cook"]), (REPLACE, "mail", &["new@example.com"]), (DELETE, "description", &["never there"])];
    client.modify(&dn, &list).expect(code::NO_SUCH_ATTRIBUTE);
    let entry = client.read(&dn);
    assert!(!entry.has("title"));
    assert_eq!(entry.values("mail"), ["one@example.com", "two@example.com"]);
    assert!(client.names(&dn, "(title=cook)").is_empty());
}

/// RFC 4511 4.6: the schema must hold at the end, not in between.
#[test]
fn schema_may_be_broken_between_but_not_at_the_end() {
    let (mut client, dn) = person("modify-between");
    client.modify(&dn, &[(DELETE, "sn", &[]), (ADD, "sn", &["Other"])]).expect(code::SUCCESS);
    assert_eq!(client.read(&dn).value("sn"), "Other");
    client.modify(&dn, &[(DELETE, "sn", &[])]).expect(code::OBJECT_CLASS_VIOLATION);
    client.modify(&dn, &[(ADD, "uidNumber", &["5"])]).expect(code::OBJECT_CLASS_VIOLATION);
    assert_eq!(client.read(&dn).value("sn"), "Other");
}

#[test]
fn auxiliary_class_comes_and_goes_with_its_attributes() {
    let (mut client, dn) = person("modify-auxiliary");
    let come: [(i64, &str, &[&str]); 4] = [
        (ADD, "objectClass", &["posixAccount"]),
        (ADD, "uidNumber", &["7"]),
        (ADD, "gidNumber", &["7"]),
        (ADD, "homeDirectory", &["/home/p"]),
    ];
    client.modify(&dn, &come).expect(code::SUCCESS);
    assert_eq!(client.names(&dn, "(objectClass=posixAccount)"), ["p"]);
    client.modify(&dn, &[(DELETE, "objectClass", &["posixAccount"])]).expect(code::OBJECT_CLASS_VIOLATION);
    let go: [(i64, &str, &[&str]); 4] = [
        (DELETE, "objectClass", &["posixAccount"]),
        (DELETE, "uidNumber", &[]),
        (DELETE, "gidNumber", &[]),
        (DELETE, "homeDirectory", &[]),
    ];
    client.modify(&dn, &go).expect(code::SUCCESS);
    assert!(client.names(&dn, "(objectClass=posixAccount)").is_empty());
}

/// RFC 4511 appendix A objectClassModsProhibited; slapd knows it as well.
#[test]
fn change_of_the_structural_class_is_object_class_mods_prohibited() {
    let (mut client, dn) = person("modify-structural");
    let change: [(i64, &str, &[&str]); 3] =
        [(REPLACE, "objectClass", &["organizationalUnit"]), (ADD, "ou", &["p"]), (DELETE, "sn", &[])];
    let outcome = client.modify(&dn, &change);
    outcome.expect_one_of(&[code::OBJECT_CLASS_MODS_PROHIBITED, code::OBJECT_CLASS_VIOLATION]);
    let outcome = client.modify(&dn, &[(DELETE, "objectClass", &[])]);
    outcome.expect_one_of(&[code::OBJECT_CLASS_MODS_PROHIBITED, code::OBJECT_CLASS_VIOLATION]);
}

/// RFC 4511 4.6: values of the RDN stay. slapd answers namingViolation.
#[test]
fn delete_of_an_rdn_value_is_not_allowed_on_rdn() {
    let (mut client, dn) = person("modify-rdn");
    let expected = Subject::current().pick(code::NOT_ALLOWED_ON_RDN, code::NAMING_VIOLATION);
    client.modify(&dn, &[(DELETE, "uid", &["p"])]).expect_one_of(&[expected, code::NOT_ALLOWED_ON_RDN]);
    client.modify(&dn, &[(DELETE, "uid", &[])]).expect_one_of(&[expected, code::NOT_ALLOWED_ON_RDN]);
    client.modify(&dn, &[(REPLACE, "uid", &["q"])]).expect_one_of(&[expected, code::NOT_ALLOWED_ON_RDN]);
    // Other values of that attribute come and go.
    client.modify(&dn, &[(ADD, "uid", &["q"])]).expect(code::SUCCESS);
    client.modify(&dn, &[(REPLACE, "uid", &["r", "p"])]).expect(code::SUCCESS);
    assert_eq!(client.read(&dn).values("uid"), ["p", "r"]);
}

#[test]
fn modify_of_an_absent_entry_is_no_such_object_with_the_matched_dn() {
    let outcome = Server::shared().admin().modify(&format!("uid=x,ou=y,{PEOPLE}"), &[(ADD, "title", &["x"])]);
    assert_eq!(outcome.expect(code::NO_SUCH_OBJECT).matched_dn, PEOPLE);
}

#[test]
fn modify_of_an_unknown_attribute_is_undefined_attribute_type() {
    let (mut client, dn) = person("modify-unknown");
    for kind in [ADD, REPLACE, DELETE] {
        client.modify(&dn, &[(kind, "noSuchAttribute", &["x"])]).expect(code::UNDEFINED_ATTRIBUTE_TYPE);
    }
}

#[test]
fn modify_with_a_value_of_the_wrong_syntax_is_invalid_attribute_syntax() {
    let (mut client, dn) = person("modify-syntax");
    for kind in [ADD, REPLACE] {
        client.modify(&dn, &[(kind, "manager", &["not a name"])]).expect(code::INVALID_ATTRIBUTE_SYNTAX);
        client.modify(&dn, &[(kind, "description", &[""])]).expect(code::INVALID_ATTRIBUTE_SYNTAX);
    }
}

#[test]
fn second_value_of_a_single_valued_attribute_is_constraint_violation() {
    let (mut client, dn) = person("modify-single");
    client.modify(&dn, &[(ADD, "displayName", &["one"])]).expect(code::SUCCESS);
    client.modify(&dn, &[(ADD, "displayName", &["two"])]).expect(code::CONSTRAINT_VIOLATION);
    client.modify(&dn, &[(REPLACE, "displayName", &["two", "three"])]).expect(code::CONSTRAINT_VIOLATION);
    let exchange: [(i64, &str, &[&str]); 2] = [(DELETE, "displayName", &["one"]), (ADD, "displayName", &["two"])];
    client.modify(&dn, &exchange).expect(code::SUCCESS);
    assert_eq!(client.read(&dn).value("displayName"), "two");
}

#[test]
fn modify_of_what_the_server_keeps_is_constraint_violation() {
    let (mut client, dn) = person("modify-operational");
    for (name, value) in
        [("modifyTimestamp", "20200101000000Z"), ("structuralObjectClass", "person"), ("entryDN", "cn=x")]
    {
        client.modify(&dn, &[(REPLACE, name, &[value])]).expect_one_of(&[code::CONSTRAINT_VIOLATION]);
    }
}

/// RFC 4511 4.6: add needs values.
#[test]
fn add_without_values_is_a_protocol_error() {
    let (mut client, dn) = person("modify-add-nothing");
    let outcome = client.modify(&dn, &[(ADD, "title", &[])]);
    outcome.expect_one_of(&[code::PROTOCOL_ERROR, code::CONSTRAINT_VIOLATION, code::INVALID_ATTRIBUTE_SYNTAX]);
    // An operation that nobody knows.
    let unknown = client.modify(&dn, &[(17, "title", &["x"])]);
    unknown.expect_one_of(&[code::PROTOCOL_ERROR, code::UNWILLING_TO_PERFORM]);
}

/// A list of nothing changes nothing; slapd and others answer success.
#[test]
fn empty_list_of_modifications_is_no_harm() {
    let (mut client, dn) = person("modify-nothing");
    let empty = ber::constructed(0x66, &[ber::octets(&dn), ber::sequence(&[])]);
    client.perform(&empty).expect_one_of(&[code::SUCCESS, code::PROTOCOL_ERROR, code::UNWILLING_TO_PERFORM]);
    assert_eq!(mails(&mut client, &dn).len(), 2);
}

/// RFC 4512 2.5.2: a description with options is an attribute of its own.
#[test]
fn options_make_an_attribute_of_its_own() {
    let (mut client, dn) = person("modify-options");
    client.modify(&dn, &[(ADD, "cn;lang-fr", &["Une Personne"])]).expect(code::SUCCESS);
    client.modify(&dn, &[(ADD, "cn;lang-fr", &["une personne"])]).expect(code::ATTRIBUTE_OR_VALUE_EXISTS);
    client.modify(&dn, &[(DELETE, "cn;lang-de", &[])]).expect(code::NO_SUCH_ATTRIBUTE);
    client.modify(&dn, &[(REPLACE, "CN;LANG-FR", &["Autre"])]).expect(code::SUCCESS);
    assert_eq!(client.read(&dn).values("cn;lang-fr"), ["Autre"]);
    assert_eq!(client.read(&dn).values("cn"), ["A Person"]);
}

#[test]
fn modify_of_a_referral_is_a_referral_without_manage_dsa_it() {
    let (mut client, branch) = Server::shared().branch("modify-referral");
    let dn = format!("ou=away,{branch}");
    client
        .add(&dn, &[("objectClass", &["referral", "extensibleObject"]), ("ref", &["ldap://other.example.net/dc=net"])])
        .expect(code::SUCCESS);
    client.modify(&dn, &[(ADD, "description", &["x"])]).expect(code::REFERRAL);
    client.with(Control::manage_dsa_it()).modify(&dn, &[(ADD, "description", &["x"])]).expect(code::SUCCESS);
}

/// What a modify changed is what the next reader finds, by every index.
#[test]
fn changed_values_are_found_and_old_ones_are_not() {
    let (mut client, dn) = person("modify-index");
    client.modify(&dn, &[(REPLACE, "cn", &["Zacharias Quux"]), (REPLACE, "sn", &["Quux"])]).expect(code::SUCCESS);
    for filter in
        ["(cn=zacharias quux)", "(cn=zach*)", "(cn=*arias*)", "(cn=*quux)", "(sn=quux)", "(sn~=quux)", "(name=Quux)"]
    {
        assert_eq!(client.names(&dn, filter), ["p"], "{filter}");
    }
    for filter in ["(cn=a person)", "(cn=*person*)", "(sn=person)", "(sn=pers*)"] {
        assert!(client.names(&dn, filter).is_empty(), "{filter}");
    }
}

/// A hundred clients' worth of values in one attribute, and one of them out again.
#[test]
fn attribute_with_many_values_works_as_one_with_few() {
    let (mut client, branch) = Server::shared().branch("modify-many");
    let dn = add_person(&mut client, &branch, "p");
    let many: Vec<String> = (0..500).map(|index| format!("alias{index}@example.com")).collect();
    let values: Vec<&str> = many.iter().map(String::as_str).collect();
    client.modify(&dn, &[(ADD, "mail", &values)]).expect(code::SUCCESS);
    client.modify(&dn, &[(ADD, "mail", &["alias250@example.com"])]).expect(code::ATTRIBUTE_OR_VALUE_EXISTS);
    client.modify(&dn, &[(DELETE, "mail", &["alias250@example.com"])]).expect(code::SUCCESS);
    assert_eq!(mails(&mut client, &dn).len(), 499);
    assert!(client.names(&dn, "(mail=alias250@example.com)").is_empty());
    assert_eq!(client.names(&dn, "(mail=alias251@example.com)"), ["p"]);
    client.modify(&dn, &[(DELETE, "mail", &[])]).expect(code::SUCCESS);
    assert!(client.names(&dn, "(mail=*)").is_empty());
}

/// Writes on one connection are seen by the next request on it and by every later one elsewhere.
#[test]
fn answered_write_is_seen_by_everybody_at_once() {
    let server = Server::shared();
    let (mut client, branch) = server.branch("modify-seen");
    let dn = add_person(&mut client, &branch, "p");
    let mut other = server.anonymous();
    for round in 0..50 {
        let title = format!("round {round}");
        client.modify(&dn, &[(REPLACE, "title", &[&title])]).expect(code::SUCCESS);
        assert_eq!(other.read(&dn).value("title"), title);
    }
}

/// Writes of one connection are done in the order sent. RFC 4511 3.1 leaves it open, and slapd does them side by side.
#[test]
fn pipelined_writes_are_done_in_order() {
    let (mut client, dn) = person("modify-pipelined");
    let ids: Vec<i64> = (0..100)
        .map(|round| client.send(&request::modify(&dn, &[(REPLACE, "title", &[&format!("round {round}")])])))
        .collect();
    for id in ids {
        client.outcome_of(id).expect(code::SUCCESS);
    }
    if !Subject::current().is_slapd() {
        assert_eq!(client.read(&dn).value("title"), "round 99");
    }
}

#[test]
fn modify_without_the_right_is_refused() {
    let server = Server::shared();
    server.person("bob").modify(ANN, &[(ADD, "title", &["x"])]).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    server.anonymous().modify(ANN, &[(ADD, "title", &["x"])]).expect_one_of(&[code::INSUFFICIENT_ACCESS_RIGHTS, 8]);
}
