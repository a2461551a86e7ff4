//! Pre-read and post-read controls: RFC 4527.

use crate::add_person;
use crate::support::ber::Element;
use crate::support::client::{Client, Entry, Outcome};
use crate::support::request::{self, ADD, Control, INCREMENT, REPLACE};
use crate::support::server::{Server, Subject};
use crate::support::{code, oid};

#[track_caller]
fn entry(outcome: &Outcome, oid: &str) -> Entry {
    let element = Element::whole(&outcome.control(oid)).expect("BER");
    // RFC 4527 3: a SearchResultEntry, with its application tag in the field and as a plain SEQUENCE in slapd.
    assert!(matches!(element.tag, 0x30 | 0x64), "tag {:02x}", element.tag);
    Entry::parse(&element).expect("an entry")
}

fn person(name: &str) -> (Client, String, String) {
    let (mut client, branch) = Server::shared().branch(name);
    let dn = add_person(&mut client, &branch, "p");
    (client, branch, dn)
}

#[test]
fn post_read_of_an_add_shows_what_the_server_made_of_it() {
    let (mut client, branch) = Server::shared().branch("read-add");
    let dn = format!("cn=x,{branch}");
    let outcome = client
        .with(Control::read_entry(oid::POST_READ, &["cn", "entryUUID"]))
        .add(&dn, &[("objectClass", &["person"]), ("sn", &["y"])])
        .expect(code::SUCCESS);
    let seen = entry(&outcome, oid::POST_READ);
    assert_eq!((seen.dn.as_str(), seen.value("cn").as_str()), (dn.as_str(), "x"));
    assert_eq!(seen.value("entryUUID"), client.read_attributes(&dn, &["entryUUID"]).value("entryUUID"));
    assert!(!seen.has("sn"));
}

#[test]
fn pre_and_post_read_of_a_modify_show_before_and_after() {
    let (mut client, _, dn) = person("read-modify");
    client.modify(&dn, &[(ADD, "title", &["Cook"])]).expect(code::SUCCESS);
    let outcome = client
        .with(Control::read_entry(oid::PRE_READ, &["title"]))
        .with(Control::read_entry(oid::POST_READ, &["title"]))
        .modify(&dn, &[(REPLACE, "title", &["Driver"])])
        .expect(code::SUCCESS);
    assert_eq!(entry(&outcome, oid::PRE_READ).value("title"), "Cook");
    assert_eq!(entry(&outcome, oid::POST_READ).value("title"), "Driver");
}

#[test]
fn pre_read_of_a_delete_shows_what_is_gone() {
    let (mut client, _, dn) = person("read-delete");
    let outcome = client.with(Control::read_entry(oid::PRE_READ, &["*"])).delete(&dn).expect(code::SUCCESS);
    let seen = entry(&outcome, oid::PRE_READ);
    assert_eq!((seen.value("uid").as_str(), seen.value("sn").as_str()), ("p", "Person"));
}

#[test]
fn post_read_of_a_rename_shows_the_new_name() {
    let (mut client, branch, dn) = person("read-rename");
    let outcome = client
        .with(Control::read_entry(oid::PRE_READ, &["uid"]))
        .with(Control::read_entry(oid::POST_READ, &["uid"]))
        .modify_dn(&dn, "uid=q", true, None)
        .expect(code::SUCCESS);
    assert_eq!(entry(&outcome, oid::PRE_READ).dn, dn);
    let after = entry(&outcome, oid::POST_READ);
    assert_eq!((after.dn.clone(), after.values("uid")), (format!("uid=q,{branch}"), vec!["q".to_owned()]));
}

/// RFC 4525 with RFC 4527: a number that is given to nobody else.
#[test]
fn post_read_of_an_increment_is_a_number_of_ones_own() {
    let (mut client, branch) = Server::shared().branch("read-increment");
    let dn = format!("ou=counter,{branch}");
    let classes: &[&str] = &["organizationalUnit", "extensibleObject"];
    client.add(&dn, &[("objectClass", classes), ("uidNumber", &["1000"])]).expect(code::SUCCESS);
    for expected in ["1001", "1002", "1003"] {
        let outcome = client
            .with(Control::read_entry(oid::POST_READ, &["uidNumber"]))
            .modify(&dn, &[(INCREMENT, "uidNumber", &["1"])])
            .expect(code::SUCCESS);
        assert_eq!(entry(&outcome, oid::POST_READ).value("uidNumber"), expected);
    }
}

/// RFC 4527 3.1: nothing is returned for what failed.
#[test]
fn failed_operation_returns_no_entry() {
    let (mut client, _, dn) = person("read-failed");
    let outcome = client
        .with(Control::read_entry(oid::PRE_READ, &["*"]))
        .with(Control::read_entry(oid::POST_READ, &["*"]))
        .modify(&dn, &[(request::DELETE, "title", &["never there"])])
        .expect(code::NO_SUCH_ATTRIBUTE);
    assert!(outcome.controls.is_empty(), "{outcome:?}");
}

/// RFC 4527 3.1, 3.2: attributes are selected as in a search.
#[test]
fn attributes_are_selected_as_in_a_search() {
    let (mut client, _, dn) = person("read-select");
    let mut read = |names: &[&str]| {
        let outcome = client
            .with(Control::read_entry(oid::POST_READ, names))
            .modify(&dn, &[(REPLACE, "description", &["x"])])
            .expect(code::SUCCESS);
        entry(&outcome, oid::POST_READ)
    };
    let all = read(&[]);
    assert!(all.has("sn") && !all.has("modifyTimestamp"), "{all:?}");
    assert!(read(&["+"]).has("modifyTimestamp"));
    assert_eq!(read(&["description"]).names(), ["description"]);
    assert!(read(&["1.1"]).attributes.is_empty());
    // slapd refuses unknown names here, though not in a search.
    if !Subject::current().is_slapd() {
        assert_eq!(read(&["description", "noSuchAttribute"]).names(), ["description"]);
    }
}

/// slapd takes what it cannot read for an empty list.
#[test]
fn malformed_request_value_is_a_protocol_error() {
    only_entente!(Lax);
    let (mut client, _, dn) = person("read-malformed");
    for oid in [oid::PRE_READ, oid::POST_READ] {
        for value in [None, Some(b"x".to_vec()), Some(b"\x04\x00".to_vec())] {
            let outcome = client.with(Control::critical(oid, value)).modify(&dn, &[(REPLACE, "description", &["bad"])]);
            outcome.expect(code::PROTOCOL_ERROR);
        }
    }
    assert!(!client.read(&dn).has("description"));
}
