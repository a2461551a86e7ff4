//! Delete: RFC 4511 4.8.

use crate::support::code;
use crate::support::request::{Control, Search};
use crate::support::server::{SUFFIX, Server};
use crate::{ANN, PEOPLE, add_person};

#[test]
fn deleted_entry_is_gone() {
    let (mut client, branch) = Server::shared().branch("delete-leaf");
    let dn = add_person(&mut client, &branch, "gone");
    client.delete(&dn).expect(code::SUCCESS);
    assert_eq!(client.search(&Search::base(&dn)).expect(code::NO_SUCH_OBJECT).outcome.matched_dn, branch);
    assert!(client.names(&branch, "(uid=gone)").is_empty());
    client.delete(&dn).expect(code::NO_SUCH_OBJECT);
}

#[test]
fn name_of_a_deleted_entry_can_be_given_again() {
    let (mut client, branch) = Server::shared().branch("delete-again");
    let dn = add_person(&mut client, &branch, "again");
    let first = client.read_attributes(&dn, &["entryUUID"]).value("entryUUID");
    client.delete(&dn).expect(code::SUCCESS);
    add_person(&mut client, &branch, "again");
    let second = client.read_attributes(&dn, &["entryUUID"]).value("entryUUID");
    assert_ne!(first, second, "an entryUUID is never given twice (RFC 4530)");
}

#[test]
fn delete_of_an_absent_entry_is_no_such_object_with_the_matched_dn() {
    let outcome = Server::shared().admin().delete(&format!("uid=x,ou=y,{PEOPLE}")).expect(code::NO_SUCH_OBJECT);
    assert_eq!(outcome.matched_dn, PEOPLE);
}

/// RFC 4511 4.8: leaves only.
#[test]
fn delete_of_an_entry_with_subordinates_is_not_allowed_on_non_leaf() {
    let (mut client, branch) = Server::shared().branch("delete-non-leaf");
    let dn = add_person(&mut client, &branch, "leaf");
    client.delete(&branch).expect(code::NOT_ALLOWED_ON_NON_LEAF);
    client.delete(&dn).expect(code::SUCCESS);
    client.delete(&branch).expect(code::SUCCESS);
}

/// RFC 4511 4.8: the alias goes, not what it points to.
#[test]
fn delete_does_not_dereference_aliases() {
    let (mut client, branch) = Server::shared().branch("delete-alias");
    let target = add_person(&mut client, &branch, "target");
    let alias = format!("cn=alias,{branch}");
    client
        .add(&alias, &[("objectClass", &["alias", "extensibleObject"]), ("aliasedObjectName", &[&target])])
        .expect(code::SUCCESS);
    client.delete(&alias).expect(code::SUCCESS);
    client.read(&target);
}

#[test]
fn delete_of_a_referral_needs_manage_dsa_it() {
    let (mut client, branch) = Server::shared().branch("delete-referral");
    let dn = format!("ou=away,{branch}");
    client
        .add(&dn, &[("objectClass", &["referral", "extensibleObject"]), ("ref", &["ldap://other.example.net/dc=net"])])
        .expect(code::SUCCESS);
    client.delete(&dn).expect(code::REFERRAL);
    client.with(Control::manage_dsa_it()).delete(&dn).expect(code::SUCCESS);
    client.search(&Search::base(&dn)).expect(code::NO_SUCH_OBJECT);
}

#[test]
fn delete_with_a_name_that_is_no_dn_is_invalid_dn_syntax() {
    Server::shared().admin().delete("nobody").expect(code::INVALID_DN_SYNTAX);
}

#[test]
fn delete_without_the_right_is_refused() {
    let server = Server::shared();
    server.person("bob").delete(ANN).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    server.anonymous().delete(ANN).expect_one_of(&[code::INSUFFICIENT_ACCESS_RIGHTS, 8]);
    server.admin().read(ANN);
}

/// The suffix is an entry like others once it has no subordinates; with them it stays.
#[test]
fn suffix_with_subordinates_cannot_be_deleted() {
    Server::shared().admin().delete(SUFFIX).expect(code::NOT_ALLOWED_ON_NON_LEAF);
}

/// A deleted person vanishes from groups. slapd does it by its memberof overlay, Entente because members are links.
#[test]
fn deleted_entry_vanishes_from_groups() {
    let (mut client, branch) = Server::shared().branch("delete-member");
    let one = add_person(&mut client, &branch, "one");
    let two = add_person(&mut client, &branch, "two");
    let group = format!("cn=group,{branch}");
    client.add(&group, &[("objectClass", &["groupOfNames"]), ("member", &[&one, &two])]).expect(code::SUCCESS);
    client.delete(&one).expect(code::SUCCESS);
    assert_eq!(client.read(&group).values("member"), [two]);
    assert!(client.names(&branch, &format!("(member={one})")).is_empty());
}
