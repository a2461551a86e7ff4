//! Operational attributes: RFC 4512 3.4, RFC 4530, RFC 5020, memberOf.

use crate::support::client::Client;
use crate::support::request::{ADD, Control, DELETE, REPLACE};
use crate::support::server::{ADMIN, Server, Subject};
use crate::support::{code, oid};
use crate::{ANN, BOB, GROUPS, PEOPLE, add_person};

#[test]
fn every_entry_has_the_attributes_of_rfc_4512() {
    let mut client = Server::shared().admin();
    for dn in [ANN, PEOPLE, "dc=example,dc=com"] {
        let entry = client.read_attributes(dn, &["+"]);
        for name in [
            "createTimestamp",
            "modifyTimestamp",
            "creatorsName",
            "modifiersName",
            "entryUUID",
            "entryDN",
            "entryCSN",
            "structuralObjectClass",
            "subschemaSubentry",
            "hasSubordinates",
        ] {
            assert_eq!(entry.bytes(name).len(), 1, "{name} of {dn}: {entry:?}");
        }
        assert_eq!(entry.value("entryDN"), dn);
    }
}

#[test]
fn structural_object_class_is_the_most_derived_one() {
    let mut client = Server::shared().admin();
    let mut structural =
        |dn: &str| client.read_attributes(dn, &["structuralObjectClass"]).value("structuralObjectClass");
    assert_eq!(structural(ANN), "inetOrgPerson");
    assert_eq!(structural(BOB), "inetOrgPerson");
    assert_eq!(structural("dc=example,dc=com"), "organization");
}

#[test]
fn timestamps_are_generalized_time_in_utc() {
    let mut client = Server::shared().admin();
    let entry = client.read_attributes(ANN, &["createTimestamp", "modifyTimestamp"]);
    for name in ["createTimestamp", "modifyTimestamp"] {
        let value = entry.value(name);
        assert_eq!(value.len(), 15, "{value}");
        assert!(value.ends_with('Z') && value[..14].bytes().all(|byte| byte.is_ascii_digit()), "{value}");
        assert!(value.as_str() > "20200101000000Z", "{value}");
    }
}

#[test]
fn creator_and_modifier_are_who_did_it() {
    let server = Server::shared();
    let (mut client, branch) = server.branch("operational-who");
    let dn = add_person(&mut client, &branch, "p");
    let entry = client.read_attributes(&dn, &["creatorsName", "modifiersName"]);
    assert_eq!((entry.value("creatorsName").as_str(), entry.value("modifiersName").as_str()), (ADMIN, ADMIN));
}

#[test]
fn modify_changes_entry_csn_and_keeps_creation() {
    let (mut client, branch) = Server::shared().branch("operational-modify");
    let dn = add_person(&mut client, &branch, "p");
    let before = client.read_attributes(&dn, &["+"]);
    client.modify(&dn, &[(ADD, "title", &["x"])]).expect(code::SUCCESS);
    let after = client.read_attributes(&dn, &["+"]);
    assert!(
        after.value("entryCSN") > before.value("entryCSN"),
        "{} {}",
        before.value("entryCSN"),
        after.value("entryCSN")
    );
    assert!(after.value("modifyTimestamp") >= before.value("modifyTimestamp"));
    for name in ["createTimestamp", "creatorsName", "entryUUID"] {
        assert_eq!(after.value(name), before.value(name), "{name}");
    }
}

/// RFC 4530: a name changes, the UUID does not.
#[test]
fn entry_uuid_is_a_uuid_and_outlives_renaming() {
    let (mut client, branch) = Server::shared().branch("operational-uuid");
    let dn = add_person(&mut client, &branch, "p");
    let uuid = client.read_attributes(&dn, &["entryUUID"]).value("entryUUID");
    let parts: Vec<usize> = uuid.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12], "{uuid}");
    assert_eq!(uuid, uuid.to_lowercase());
    client.modify_dn(&dn, "uid=q", true, None).expect(code::SUCCESS);
    let renamed = client.read_attributes(&format!("uid=q,{branch}"), &["entryUUID", "entryDN"]);
    assert_eq!(renamed.value("entryUUID"), uuid);
    assert_eq!(renamed.value("entryDN"), format!("uid=q,{branch}"));
}

#[test]
fn has_subordinates_follows_the_tree() {
    let (mut client, branch) = Server::shared().branch("operational-subordinates");
    let has = |client: &mut Client| client.read_attributes(&branch, &["hasSubordinates"]).value("hasSubordinates");
    assert_eq!(has(&mut client), "FALSE");
    let dn = add_person(&mut client, &branch, "p");
    assert_eq!(has(&mut client), "TRUE");
    client.delete(&dn).expect(code::SUCCESS);
    assert_eq!(has(&mut client), "FALSE");
}

/// Roundcube and Apache Directory Studio read it; slapd does not have it.
#[test]
fn num_subordinates_counts_the_immediate_ones() {
    let (mut client, branch) = Server::shared().branch("operational-count");
    for uid in ["a", "b", "c"] {
        add_person(&mut client, &branch, uid);
    }
    let entry = client.read_attributes(&branch, &["numSubordinates"]);
    match Subject::current() {
        Subject::Entente => assert_eq!(entry.value("numSubordinates"), "3"),
        Subject::Slapd => assert!(!entry.has("numSubordinates")),
    }
}

/// A number that changes with every change of the entry, for clients that guard against overwriting; ours alone.
#[test]
fn entry_version_changes_with_the_entry() {
    only_entente!(Own);
    let (mut client, branch) = Server::shared().branch("operational-version");
    let dn = add_person(&mut client, &branch, "p");
    let before = client.read_attributes(&dn, &["entryVersion"]).value("entryVersion");
    assert_eq!(client.read_attributes(&dn, &["entryVersion"]).value("entryVersion"), before);
    // Who asserts the version that was read (RFC 4528) overwrites nothing that came in between.
    let as_read = || Control::assertion(&format!("(entryVersion={before})"));
    assert_eq!(client.names(&branch, &format!("(entryVersion={before})")), ["p"]);
    client.compare(&dn, "entryVersion", &before).expect(code::COMPARE_TRUE);
    client.with(as_read()).modify(&dn, &[(REPLACE, "title", &["x"])]).expect(code::SUCCESS);
    let after = client.read_attributes(&dn, &["entryVersion"]).value("entryVersion");
    assert!(after > before, "{after} {before}");
    client.with(as_read()).modify(&dn, &[(REPLACE, "title", &["y"])]).expect(code::ASSERTION_FAILED);
    assert_eq!(client.names(&branch, &format!("(&(uid=p)(entryVersion>={before})(!(entryVersion={before})))")), ["p"]);
    assert!(client.names(&branch, &format!("(&(uid=p)(entryVersion<={before}))")).is_empty());
}

fn member_of(client: &mut Client, dn: &str) -> Vec<String> {
    client.read_attributes(dn, &["memberOf"]).values("memberOf")
}

/// Computed, so it holds for imported entries too; slapd's overlay misses what slapadd loaded.
#[test]
fn member_of_lists_the_groups_of_imported_entries() {
    let mut client = Server::shared().admin();
    let staff = format!("cn=staff,{GROUPS}");
    let unix = format!("cn=unix,{GROUPS}");
    match Subject::current() {
        Subject::Entente => {
            let found = member_of(&mut client, BOB);
            assert!(found.contains(&staff) && found.contains(&unix), "{found:?}");
            let filter = format!("(memberOf={})", staff.to_uppercase());
            assert_eq!(client.names(PEOPLE, &filter), ["ann", "bob"]);
        }
        Subject::Slapd => assert!(member_of(&mut client, BOB).is_empty()),
    }
}

/// Written over LDAP both do it.
#[test]
fn member_of_follows_changes_of_groups_and_members() {
    let (mut client, branch) = Server::shared().branch("member-of");
    let one = add_person(&mut client, &branch, "one");
    let two = add_person(&mut client, &branch, "two");
    let group = format!("cn=group,{branch}");
    client.add(&group, &[("objectClass", &["groupOfNames"]), ("member", &[&one])]).expect(code::SUCCESS);
    assert_eq!(member_of(&mut client, &one), std::slice::from_ref(&group));
    assert!(member_of(&mut client, &two).is_empty());
    assert_eq!(client.names(&branch, &format!("(memberOf={group})")), ["one"]);

    client.modify(&group, &[(ADD, "member", &[&two]), (DELETE, "member", &[&one])]).expect(code::SUCCESS);
    assert!(member_of(&mut client, &one).is_empty());
    assert_eq!(member_of(&mut client, &two), std::slice::from_ref(&group));
    assert_eq!(client.names(&branch, &format!("(memberOf={group})")), ["two"]);
    assert_eq!(client.names(&branch, "(memberOf=*)"), ["two"]);

    client.modify_dn(&group, "cn=renamed", true, None).expect(code::SUCCESS);
    let renamed = format!("cn=renamed,{branch}");
    assert_eq!(member_of(&mut client, &two), std::slice::from_ref(&renamed));
    client.delete(&renamed).expect(code::SUCCESS);
    assert!(member_of(&mut client, &two).is_empty());
    assert!(client.names(&branch, "(memberOf=*)").is_empty());
}

/// memberOf is operational: not by `*`, and not for writing.
#[test]
fn member_of_is_computed_and_not_written() {
    let (mut client, branch) = Server::shared().branch("member-of-write");
    let dn = add_person(&mut client, &branch, "p");
    assert!(!client.read(&dn).has("memberOf"));
    let outcome = client.modify(&dn, &[(ADD, "memberOf", &[&format!("cn=staff,{GROUPS}")])]);
    if !Subject::current().is_slapd() {
        assert_ne!(outcome.code, code::SUCCESS, "{outcome:?}");
    }
}

/// LDAP_MATCHING_RULE_IN_CHAIN: groups in groups. slapd does not know the rule: Undefined, so nobody.
#[test]
fn in_chain_rule_finds_members_of_members() {
    let mut client = Server::shared().admin();
    let everybody = format!("cn=everybody,{GROUPS}");
    let chain = oid::IN_CHAIN;
    let cases: [(&str, String, &[&str]); 4] = [
        (PEOPLE, format!("(memberOf:{chain}:={everybody})"), &["ann", "bob", "carol"]),
        (PEOPLE, format!("(memberOf:{chain}:=cn=staff,{GROUPS})"), &["ann", "bob"]),
        (GROUPS, format!("(member:{chain}:={ANN})"), &["everybody", "staff"]),
        (GROUPS, format!("(member:{chain}:=uid=carol,{PEOPLE})"), &["everybody"]),
    ];
    for (base, filter, expected) in cases {
        let expected = Subject::current().pick(expected, &[]);
        assert_eq!(client.names(base, &filter), expected, "{filter}");
    }
}

/// Groups that contain each other end somewhere.
#[test]
fn groups_in_a_circle_are_followed_once() {
    only_entente!(Foreign);
    let (mut client, branch) = Server::shared().branch("member-circle");
    let person = add_person(&mut client, &branch, "p");
    let (one, two) = (format!("cn=one,{branch}"), format!("cn=two,{branch}"));
    client.add(&one, &[("objectClass", &["groupOfNames"]), ("member", &[&person])]).expect(code::SUCCESS);
    client.add(&two, &[("objectClass", &["groupOfNames"]), ("member", &[&one])]).expect(code::SUCCESS);
    client.modify(&one, &[(ADD, "member", &[&two])]).expect(code::SUCCESS);
    let filter = format!("(memberOf:{}:={two})", oid::IN_CHAIN);
    let mut expected = vec!["one", "p", "two"];
    let found = client.names(&branch, &filter);
    if found.len() == 2 {
        expected.retain(|name| *name != "two");
    }
    assert_eq!(found, expected);
}
