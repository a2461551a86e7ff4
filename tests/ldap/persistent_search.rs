//! Persistent search: draft-ietf-ldapext-psearch-03. Not in slapd.

use crate::support::ber::{Element, boolean, integer, sequence};
use crate::support::client::{Client, Entry};
use crate::support::request::{self, Control, REPLACE, Search};
use crate::support::server::{Server, Setup, Subject};
use crate::support::{code, oid};
use crate::{PEOPLE, add_person};

const ADD: i64 = 1;
const DELETE: i64 = 2;
const MODIFY: i64 = 4;
const MODIFY_DN: i64 = 8;
const ANY: i64 = 15;

fn following(kinds: i64, changes_only: bool, notes: bool) -> Control {
    let value = sequence(&[integer(kinds), boolean(changes_only), boolean(notes)]);
    Control::critical(oid::PERSISTENT_SEARCH, Some(value))
}

/// The next entry of the search: its name, and the kind of change if it says.
#[track_caller]
fn next(client: &mut Client, id: i64) -> (Entry, Option<i64>) {
    let message = client.receive_for(id).expect("the search goes on");
    assert_eq!(message.operation.tag, 0x64, "an entry: {message:02x?}");
    let note = message.controls.iter().find(|(name, _)| name == oid::ENTRY_CHANGE).map(|(_, value)| {
        let value = Element::whole(value.as_deref().unwrap_or_default()).expect("BER");
        value.children().expect("BER")[0].number()
    });
    (Entry::parse(&message.operation).expect("an entry"), note)
}

fn leaf(entry: &Entry) -> &str {
    entry.dn.split(',').next().unwrap_or_default()
}

#[test]
fn changes_are_told_as_they_come() {
    if Subject::current().is_slapd() {
        return;
    }
    let (mut writer, branch) = Server::shared().branch("psearch");
    let old = add_person(&mut writer, &branch, "old");
    let mut client = Server::shared().admin();
    let search = Search::subtree(&branch, "(uid=*)").attributes(&["uid", "title"]);
    let id = client.with(following(ANY, false, true)).send(&search.encode());
    let (entry, note) = next(&mut client, id);
    assert_eq!((leaf(&entry), note), ("uid=old", None), "what is there comes first, without a note");
    let new = add_person(&mut writer, &branch, "new");
    let (entry, note) = next(&mut client, id);
    assert_eq!((leaf(&entry), note), ("uid=new", Some(ADD)));
    writer.modify(&old, &[(REPLACE, "title", &["Cook"])]).expect(code::SUCCESS);
    let (entry, note) = next(&mut client, id);
    assert_eq!((leaf(&entry), note, entry.values("title")), ("uid=old", Some(MODIFY), vec!["Cook".to_owned()]));
    writer.modify_dn(&old, "uid=older", true, None).expect(code::SUCCESS);
    let (entry, note) = next(&mut client, id);
    assert_eq!((leaf(&entry), note), ("uid=older", Some(MODIFY_DN)));
    writer.delete(&new).expect(code::SUCCESS);
    let (entry, note) = next(&mut client, id);
    assert_eq!((leaf(&entry), note, entry.values("uid")), ("uid=new", Some(DELETE), vec!["new".to_owned()]));
    // It can be canceled, and the connection serves on.
    client.perform(&request::cancel(id)).expect(code::SUCCESS);
    assert_eq!(client.outcome_of(id).code, code::CANCELED);
    assert_eq!(client.names(PEOPLE, "(uid=ann)"), ["ann"]);
}

/// Kinds that nobody asked for, entries outside the scope and entries that do not match are not told.
#[test]
fn only_what_was_asked_for_is_told() {
    if Subject::current().is_slapd() {
        return;
    }
    let (mut writer, branch) = Server::shared().branch("psearch-only");
    let (_, other) = Server::shared().branch("psearch-other");
    let here = add_person(&mut writer, &branch, "here");
    let mut client = Server::shared().admin();
    let search = Search::subtree(&branch, "(!(title=hidden))").attributes(&["uid"]);
    let id = client.with(following(MODIFY | DELETE, true, false)).send(&search.encode());
    // The search stands when a later request is answered.
    client.who_am_i();
    let there = add_person(&mut writer, &other, "there");
    add_person(&mut writer, &branch, "added");
    writer.modify(&there, &[(REPLACE, "title", &["x"])]).expect(code::SUCCESS);
    writer.modify(&here, &[(REPLACE, "title", &["hidden"])]).expect(code::SUCCESS);
    writer.delete(&there).expect(code::SUCCESS);
    writer.modify(&here, &[(REPLACE, "title", &["shown"])]).expect(code::SUCCESS);
    let (entry, note) = next(&mut client, id);
    assert_eq!((leaf(&entry), note), ("uid=here", None), "and no note, as none was asked for");
    writer.delete(&here).expect(code::SUCCESS);
    assert_eq!(leaf(&next(&mut client, id).0), "uid=here");
}

/// T-24 of the hostile tests: deletions are told by the rights that the requester had on the entry.
#[test]
fn deletions_of_what_one_could_not_see_are_not_told() {
    if Subject::current().is_slapd() {
        return;
    }
    let rules = [
        r#"(targetattr != "userPassword")(targetfilter = "(title=public)")(version 3.0; acl "public"; allow (read, search) userdn = "ldap:///anyone";)"#,
        r#"(target = "ldap:///ou=people,dc=example,dc=com")(targetattr = "ou || objectClass")(targetscope = "base")(version 3.0; acl "base"; allow (read, search) userdn = "ldap:///anyone";)"#,
    ];
    let server = Server::start(Setup::default().with_access(&rules, ""));
    let mut writer = server.admin();
    let (secret, public) = (add_person(&mut writer, PEOPLE, "secret"), add_person(&mut writer, PEOPLE, "public"));
    writer.modify(&public, &[(REPLACE, "title", &["public"])]).expect(code::SUCCESS);
    let mut client = server.anonymous();
    let search = Search::subtree(PEOPLE, "(uid=*)").attributes(&["uid"]);
    let id = client.with(following(DELETE, true, true)).send(&search.encode());
    client.who_am_i();
    writer.delete(&secret).expect(code::SUCCESS);
    writer.delete(&public).expect(code::SUCCESS);
    let (entry, note) = next(&mut client, id);
    assert_eq!((leaf(&entry), note), ("uid=public", Some(DELETE)));
}

#[test]
fn a_persistent_search_has_no_order_and_no_pages() {
    if Subject::current().is_slapd() {
        return;
    }
    let mut client = Server::shared().admin();
    let search = Search::subtree(PEOPLE, "(uid=*)");
    for other in [Control::sort(&["cn"]), Control::paged(2, b"")] {
        let found = client.with(following(ANY, false, true)).with(other).search(&search);
        assert_eq!((found.outcome.code, found.entries.len()), (code::UNWILLING_TO_PERFORM, 0));
    }
    for value in [None, Some(vec![]), Some(sequence(&[integer(0), boolean(true), boolean(true)]))] {
        let found = client.with(Control::critical(oid::PERSISTENT_SEARCH, value)).search(&search);
        found.expect(code::PROTOCOL_ERROR);
    }
}

/// The draft, section 5: previousDN says which entry it was that has another name now.
#[test]
fn a_renamed_entry_comes_with_its_previous_name() {
    if Subject::current().is_slapd() {
        return;
    }
    let (mut writer, branch) = Server::shared().branch("psearch-previous");
    let (_, other) = Server::shared().branch("psearch-previous-other");
    let old = add_person(&mut writer, &branch, "old");
    let mut client = Server::shared().admin();
    let search = Search::subtree("dc=example,dc=com", "(sn=Person)").attributes(&["uid"]);
    let id = client.with(following(MODIFY_DN | MODIFY, true, true)).send(&search.encode());
    client.who_am_i();
    let mut told = |new: &str, previous: &str| loop {
        let message = client.receive_for(id).expect("the search goes on");
        let entry = Entry::parse(&message.operation).expect("an entry");
        // Other tests change other entries meanwhile.
        if entry.dn != new {
            continue;
        }
        let (_, value) = message.controls.iter().find(|(name, _)| name == oid::ENTRY_CHANGE).expect("a note");
        let parts = Element::whole(value.as_deref().unwrap_or_default()).expect("BER").children().expect("BER");
        assert_eq!((parts[0].number(), parts[1].text().as_str()), (MODIFY_DN, previous));
        break;
    };
    writer.modify_dn(&old, "uid=older", true, None).expect(code::SUCCESS);
    let older = format!("uid=older,{branch}");
    told(&older, &old);
    writer.modify_dn(&older, "uid=older", true, Some(&other)).expect(code::SUCCESS);
    told(&format!("uid=older,{other}"), &older);
}
