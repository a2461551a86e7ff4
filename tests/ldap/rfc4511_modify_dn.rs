//! Modify DN: RFC 4511 4.9.

use crate::support::client::Client;
use crate::support::code;
use crate::support::request::{ADD, REPLACE, Search};
use crate::support::server::{SUFFIX, Server, Subject};
use crate::{ANN, PEOPLE, add_person};

/// A branch with two branches `a` and `b` and a person `uid=p` in `a`.
#[track_caller]
fn tree(name: &str) -> (Client, String, String) {
    let (mut client, branch) = Server::shared().branch(name);
    for inner in ["a", "b"] {
        client.add(&format!("ou={inner},{branch}"), &[("objectClass", &["organizationalUnit"])]).expect(code::SUCCESS);
    }
    let dn = add_person(&mut client, &format!("ou=a,{branch}"), "p");
    (client, branch, dn)
}

#[test]
fn rename_with_delete_old_rdn_takes_the_old_value() {
    let (mut client, branch, dn) = tree("rename-delete-old");
    client.modify_dn(&dn, "uid=q", true, None).expect(code::SUCCESS);
    let entry = client.read(&format!("uid=q,ou=a,{branch}"));
    assert_eq!(entry.values("uid"), ["q"]);
    client.search(&Search::base(&dn)).expect(code::NO_SUCH_OBJECT);
    assert!(client.names(&branch, "(uid=p)").is_empty());
    assert_eq!(client.names(&branch, "(uid=q)"), ["q"]);
}

#[test]
fn rename_without_delete_old_rdn_keeps_the_old_value() {
    let (mut client, branch, dn) = tree("rename-keep-old");
    client.modify_dn(&dn, "uid=q", false, None).expect(code::SUCCESS);
    let entry = client.read(&format!("uid=q,ou=a,{branch}"));
    assert_eq!(entry.values("uid"), ["p", "q"]);
    assert_eq!(client.names(&branch, "(uid=p)"), ["q"]);
}

#[test]
fn rename_to_another_attribute_is_possible() {
    let (mut client, branch, dn) = tree("rename-attribute");
    client.modify_dn(&dn, "cn=A Person", false, None).expect(code::SUCCESS);
    let entry = client.read(&format!("cn=A Person,ou=a,{branch}"));
    assert_eq!((entry.values("uid"), entry.values("cn")), (vec!["p".to_owned()], vec!["A Person".to_owned()]));
}

#[test]
fn rename_to_a_multi_valued_rdn_is_possible() {
    let (mut client, branch, dn) = tree("rename-multi");
    client.modify_dn(&dn, "uid=q+employeeNumber=7", true, None).expect(code::SUCCESS);
    let entry = client.read(&format!("employeeNumber=7+uid=q,ou=a,{branch}"));
    assert_eq!((entry.values("uid"), entry.value("employeeNumber")), (vec!["q".to_owned()], "7".to_owned()));
}

/// Another spelling of the same name is a rename that everybody sees.
#[test]
fn rename_to_another_spelling_of_the_same_name_takes_it() {
    let (mut client, branch, dn) = tree("rename-spelling");
    client.modify_dn(&dn, "uid=P", true, None).expect(code::SUCCESS);
    let entry = client.read(&dn);
    assert_eq!(entry.values("uid"), ["P"]);
    assert_eq!(entry.dn, format!("uid=P,ou=a,{branch}"));
}

#[test]
fn move_to_a_new_superior() {
    let (mut client, branch, dn) = tree("move");
    client.modify_dn(&dn, "uid=p", true, Some(&format!("ou=b,{branch}"))).expect(code::SUCCESS);
    client.read(&format!("uid=p,ou=b,{branch}"));
    client.search(&Search::base(&dn)).expect(code::NO_SUCH_OBJECT);
    assert!(client.names(&format!("ou=a,{branch}"), "(uid=*)").is_empty());
    assert_eq!(client.names(&format!("ou=b,{branch}"), "(uid=*)"), ["p"]);
}

/// RFC 4511 4.9: a subtree moves with its entry.
#[test]
fn subtree_moves_as_a_whole() {
    let (mut client, branch, dn) = tree("move-subtree");
    let uuid = client.read_attributes(&dn, &["entryUUID"]).value("entryUUID");
    client.modify_dn(&format!("ou=a,{branch}"), "ou=c", true, Some(&format!("ou=b,{branch}"))).expect(code::SUCCESS);
    let moved = format!("uid=p,ou=c,ou=b,{branch}");
    assert_eq!(client.read_attributes(&moved, &["entryUUID"]).value("entryUUID"), uuid);
    assert_eq!(client.search(&Search::subtree(&branch, "(uid=p)")).expect(code::SUCCESS).dns(), [moved]);
    client.search(&Search::base(&dn)).expect(code::NO_SUCH_OBJECT);
    let found = client.search(&Search::subtree(format!("ou=b,{branch}"), "(entryDN=*)")).expect(code::SUCCESS);
    assert_eq!(found.entries.len(), 3);
}

#[test]
fn rename_of_an_entry_with_subordinates_renames_them_too() {
    let (mut client, branch, _) = tree("rename-non-leaf");
    client.modify_dn(&format!("ou=a,{branch}"), "ou=z", true, None).expect(code::SUCCESS);
    assert_eq!(client.read(&format!("uid=p,ou=z,{branch}")).dn, format!("uid=p,ou=z,{branch}"));
    // The freed name can be given at once.
    client.add(&format!("ou=a,{branch}"), &[("objectClass", &["organizationalUnit"])]).expect(code::SUCCESS);
    assert!(client.names(&format!("ou=a,{branch}"), "(uid=*)").is_empty());
}

#[test]
fn rename_to_a_name_that_is_taken_is_entry_already_exists() {
    let (mut client, branch, dn) = tree("rename-taken");
    add_person(&mut client, &format!("ou=a,{branch}"), "q");
    add_person(&mut client, &format!("ou=b,{branch}"), "p");
    client.modify_dn(&dn, "uid=Q", true, None).expect(code::ENTRY_ALREADY_EXISTS);
    client.modify_dn(&dn, "uid=p", true, Some(&format!("ou=b,{branch}"))).expect(code::ENTRY_ALREADY_EXISTS);
    client.read(&dn);
}

#[test]
fn rename_of_an_absent_entry_is_no_such_object_with_the_matched_dn() {
    let outcome = Server::shared().admin().modify_dn(&format!("uid=x,ou=y,{PEOPLE}"), "uid=z", true, None);
    // slapd's rename does not say.
    assert_eq!(outcome.expect(code::NO_SUCH_OBJECT).matched_dn, Subject::current().pick(PEOPLE, ""));
}

/// RFC 4511 4.9.
#[test]
fn move_below_an_absent_superior_is_no_such_object() {
    let (mut client, branch, dn) = tree("move-nowhere");
    client.modify_dn(&dn, "uid=p", true, Some(&format!("ou=nowhere,{branch}"))).expect(code::NO_SUCH_OBJECT);
    client.read(&dn);
}

/// A tree must stay one.
#[test]
fn move_below_itself_is_refused() {
    let (mut client, branch, dn) = tree("move-below-itself");
    let a = format!("ou=a,{branch}");
    for superior in [a.as_str(), dn.as_str()] {
        let outcome = client.modify_dn(&a, "ou=a", true, Some(superior));
        assert_ne!(outcome.code, code::SUCCESS, "{superior}: {outcome:?}");
        outcome.expect_one_of(&[
            code::UNWILLING_TO_PERFORM,
            code::NAMING_VIOLATION,
            code::NO_SUCH_OBJECT,
            code::ENTRY_ALREADY_EXISTS,
            code::OTHER,
        ]);
    }
    client.read(&dn);
}

#[test]
fn rename_with_an_rdn_that_is_none_is_invalid_dn_syntax() {
    let (mut client, _, dn) = tree("rename-syntax");
    client.modify_dn(&dn, "nothing", true, None).expect(code::INVALID_DN_SYNTAX);
    let several = client.modify_dn(&dn, "uid=a,ou=b", true, None);
    several.expect_one_of(&[code::INVALID_DN_SYNTAX, code::NAMING_VIOLATION, code::PROTOCOL_ERROR]);
    let none = client.modify_dn(&dn, "", true, None);
    none.expect_one_of(&[
        code::INVALID_DN_SYNTAX,
        code::NAMING_VIOLATION,
        code::PROTOCOL_ERROR,
        code::UNWILLING_TO_PERFORM,
    ]);
    client.modify_dn(&dn, "uid=p", true, Some("nowhere")).expect(code::INVALID_DN_SYNTAX);
}

/// The new RDN becomes part of the entry, so the schema has its say.
#[test]
fn rename_against_the_schema_is_refused() {
    let (mut client, _, dn) = tree("rename-schema");
    client
        .modify_dn(&dn, "uidNumber=7", false, None)
        .expect_one_of(&[code::OBJECT_CLASS_VIOLATION, code::NAMING_VIOLATION]);
    let unknown = client.modify_dn(&dn, "noSuchAttribute=x", false, None);
    unknown.expect_one_of(&[code::UNDEFINED_ATTRIBUTE_TYPE, code::INVALID_DN_SYNTAX, code::NAMING_VIOLATION]);
    let entry = client.read(&dn);
    assert_eq!(entry.values("uid"), ["p"]);
}

/// deleteOldRdn may not take what the class requires.
#[test]
fn rename_that_takes_a_required_attribute_is_object_class_violation() {
    let (mut client, branch) = Server::shared().branch("rename-required");
    let dn = format!("sn=Only,{branch}");
    client.add(&dn, &[("objectClass", &["person"]), ("cn", &["x"])]).expect(code::SUCCESS);
    client.modify_dn(&dn, "cn=x", true, None).expect(code::OBJECT_CLASS_VIOLATION);
    client.modify_dn(&dn, "cn=x", false, None).expect(code::SUCCESS);
}

/// A move out of what this server holds. slapd says affectsMultipleDSAs.
#[test]
fn move_out_of_the_suffix_is_refused() {
    let (mut client, _, dn) = tree("move-out");
    let outcome = client.modify_dn(&dn, "uid=p", true, Some("dc=elsewhere"));
    outcome.expect_one_of(&[code::AFFECTS_MULTIPLE_DSAS, code::NO_SUCH_OBJECT, code::UNWILLING_TO_PERFORM]);
}

/// RFC 4511 4.9 leaves it open whether a suffix can be renamed; nobody's data may vanish by it.
#[test]
fn rename_of_the_suffix_is_refused() {
    let mut client = Server::shared().admin();
    let outcome = client.modify_dn(SUFFIX, "dc=other", true, None);
    assert_ne!(outcome.code, code::SUCCESS, "{outcome:?}");
    client.read(ANN);
}

/// Groups follow. slapd does it by its memberof overlay, Entente because members are links.
#[test]
fn members_follow_a_rename() {
    let (mut client, branch, dn) = tree("rename-member");
    let group = format!("cn=group,{branch}");
    client.add(&group, &[("objectClass", &["groupOfNames"]), ("member", &[&dn])]).expect(code::SUCCESS);
    client.modify_dn(&dn, "uid=q", true, Some(&format!("ou=b,{branch}"))).expect(code::SUCCESS);
    let renamed = format!("uid=q,ou=b,{branch}");
    assert_eq!(client.read(&group).values("member"), std::slice::from_ref(&renamed));
    assert_eq!(client.names(&branch, &format!("(member={renamed})")), ["group"]);
    assert!(client.names(&branch, &format!("(member={dn})")).is_empty());
}

/// Members below a renamed superior follow as well; slapd's overlay looks at the entry itself only.
#[test]
fn members_follow_the_rename_of_a_superior() {
    let (mut client, branch, dn) = tree("rename-member-superior");
    let group = format!("cn=group,{branch}");
    client.add(&group, &[("objectClass", &["groupOfNames"]), ("member", &[&dn])]).expect(code::SUCCESS);
    client.modify_dn(&format!("ou=a,{branch}"), "ou=z", true, None).expect(code::SUCCESS);
    let expected = Subject::current().pick(format!("uid=p,ou=z,{branch}"), dn);
    assert_eq!(client.read(&group).values("member"), [expected]);
}

/// Operations on the entry go on under the new name.
#[test]
fn renamed_entry_can_be_modified_and_deleted() {
    let (mut client, branch, dn) = tree("rename-then");
    client.modify_dn(&dn, "uid=q", true, None).expect(code::SUCCESS);
    let new = format!("uid=q,ou=a,{branch}");
    client.modify(&new, &[(ADD, "title", &["x"]), (REPLACE, "sn", &["y"])]).expect(code::SUCCESS);
    client.modify(&dn, &[(ADD, "title", &["x"])]).expect(code::NO_SUCH_OBJECT);
    client.delete(&new).expect(code::SUCCESS);
    client.delete(&format!("ou=a,{branch}")).expect(code::SUCCESS);
}

/// T-23 of the hostile tests; the rights on the RDN's attributes and both superiors: `access_cases.rs`.
#[test]
fn rename_without_the_right_is_refused() {
    let mut client = Server::shared().person("bob");
    client.modify_dn(ANN, "uid=anne", true, None).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
}
