//! Relax rules (draft-zeilenga-ldap-relax): an administrator brings identities and times along.

use crate::add_person;
use crate::support::request::{Control, REPLACE, Search};
use crate::support::server::{Server, Setup, Subject, check};
use crate::support::{code, oid};

fn relax() -> Control {
    Control::plain(oid::RELAX_RULES)
}

const UUID: &str = "11111111-2222-3333-4444-555555555555";

#[test]
fn identity_and_times_of_an_import_are_kept() {
    let mut server = Server::start(Setup::default());
    let (mut client, branch) = server.branch("relax");
    let dn = format!("cn=old,{branch}");
    let author = format!("cn=somebody,{branch}");
    let attributes: [(&str, &[&str]); 7] = [
        ("objectClass", &["person"]),
        ("sn", &["old"]),
        ("entryUUID", &[UUID]),
        ("createTimestamp", &["20010203040506Z"]),
        ("modifyTimestamp", &["20020203040506Z"]),
        ("creatorsName", &[&author]),
        ("modifiersName", &[&author]),
    ];
    client.add(&dn, &attributes).expect(code::CONSTRAINT_VIOLATION);
    client.with(relax()).add(&dn, &attributes).expect(code::SUCCESS);
    let names = ["entryUUID", "createTimestamp", "modifyTimestamp", "creatorsName", "modifiersName"];
    let entry = client.read_attributes(&dn, &names);
    assert_eq!(entry.value("entryUUID"), UUID);
    assert_eq!(entry.value("createTimestamp"), "20010203040506Z");
    assert_eq!(entry.value("modifyTimestamp"), "20020203040506Z");
    assert_eq!((entry.value("creatorsName"), entry.value("modifiersName")), (author.clone(), author));
    assert_eq!(client.search(&Search::subtree(&branch, &format!("(entryUUID={UUID})"))).entries.len(), 1);
    // The next change is the server's to date.
    client.modify(&dn, &[(REPLACE, "sn", &["new"])]).expect(code::SUCCESS);
    assert_ne!(client.read_attributes(&dn, &["modifyTimestamp"]).value("modifyTimestamp"), "20020203040506Z");
    assert_eq!(client.read_attributes(&dn, &["createTimestamp"]).value("createTimestamp"), "20010203040506Z");
    let twin: [(&str, &[&str]); 3] = [("objectClass", &["person"]), ("sn", &["x"]), ("entryUUID", &[UUID])];
    // slapd has two entries with one identity then.
    let twins = Subject::current().pick(code::CONSTRAINT_VIOLATION, code::SUCCESS);
    client.with(relax()).add(&format!("cn=twin,{branch}"), &twin).expect(twins);
    let broken: [(&str, &[&str]); 3] = [("objectClass", &["person"]), ("sn", &["x"]), ("entryUUID", &["x"])];
    client.with(relax()).add(&format!("cn=broken,{branch}"), &broken).expect(code::INVALID_ATTRIBUTE_SYNTAX);
    drop(client);
    server.stop();
    if !Subject::current().is_slapd() {
        check(&server.data());
    }
}

#[test]
fn times_of_an_entry_can_be_corrected() {
    let (mut client, branch) = Server::shared().branch("relax-modify");
    let dn = add_person(&mut client, &branch, "p");
    let list: [(i64, &str, &[&str]); 2] =
        [(REPLACE, "createTimestamp", &["19990101000000Z"]), (REPLACE, "modifyTimestamp", &["20000101000000Z"])];
    client.modify(&dn, &list).expect(code::CONSTRAINT_VIOLATION);
    client.with(relax()).modify(&dn, &list).expect(code::SUCCESS);
    let entry = client.read_attributes(&dn, &["createTimestamp", "modifyTimestamp"]);
    assert_eq!(entry.value("createTimestamp"), "19990101000000Z");
    assert_eq!(entry.value("modifyTimestamp"), "20000101000000Z");
    // slapd lets the identity be changed too.
    let expected = Subject::current().pick(code::CONSTRAINT_VIOLATION, code::SUCCESS);
    client
        .with(relax())
        .modify(&dn, &[(REPLACE, "entryUUID", &["22222222-2222-3333-4444-555555555555"])])
        .expect(expected);
}

/// The structural class is fixed unless the administrator says otherwise.
#[test]
fn structural_class_changes_with_relaxed_rules_only() {
    let (mut client, branch) = Server::shared().branch("relax-class");
    let dn = format!("cn=p,{branch}");
    client.add(&dn, &[("objectClass", &["person"]), ("sn", &["p"])]).expect(code::SUCCESS);
    let list: [(i64, &str, &[&str]); 1] = [(REPLACE, "objectClass", &["inetOrgPerson"])];
    client.modify(&dn, &list).expect(code::OBJECT_CLASS_MODS_PROHIBITED);
    client.with(relax()).modify(&dn, &list).expect(code::SUCCESS);
    assert!(client.read(&dn).values("objectClass").contains(&"inetOrgPerson".to_owned()));
}

#[test]
fn only_the_administrator_relaxes_rules() {
    let mut client = Server::shared().person("ann");
    let outcome = client.with(relax()).modify(crate::ANN, &[(REPLACE, "createTimestamp", &["20010203040506Z"])]);
    assert_ne!(outcome.code, code::SUCCESS);
    if !Subject::current().is_slapd() {
        outcome.expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    }
}
