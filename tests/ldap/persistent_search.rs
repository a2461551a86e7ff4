//! Persistent search: draft-ietf-ldapext-psearch-03. Not in slapd.

use crate::rfc5805_transactions::{end, start, within};
use crate::support::ber::{Element, boolean, integer, sequence};
use crate::support::client::{Client, Entry};
use crate::support::request::{self, Control, REPLACE, Search};
use crate::support::server::{Server, Setup};
use crate::support::{code, oid};
use crate::{PEOPLE, add_person};

const ADD: i64 = 1;
const DELETE: i64 = 2;
const MODIFY: i64 = 4;
const MODIFY_DN: i64 = 8;
const ANY: i64 = 15;

pub(crate) fn following(kinds: i64, changes_only: bool, notes: bool) -> Control {
    let value = sequence(&[integer(kinds), boolean(changes_only), boolean(notes)]);
    Control::critical(oid::PERSISTENT_SEARCH, Some(value))
}

/// The next entry of the search: its name, and the kind of change if it says.
#[track_caller]
pub(crate) fn next(client: &mut Client, id: i64) -> (Entry, Option<i64>) {
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
    only_entente!(Foreign);
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
    only_entente!(Foreign);
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
    only_entente!(Foreign);
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
    only_entente!(Foreign);
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
    only_entente!(Foreign);
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

/// The same of entries whose adding stands in no log.
#[test]
fn an_imported_entry_that_is_renamed_comes_with_its_previous_name() {
    only_entente!(Foreign);
    let server = Server::start(Setup::default());
    let (mut writer, mut client) = (server.admin(), server.admin());
    let search = Search::subtree("dc=example,dc=com", "(uid=*)").attributes(&["uid"]);
    let id = client.with(following(MODIFY_DN, true, true)).send(&search.encode());
    client.who_am_i();
    let (groups, ann, bob) = ("ou=groups,dc=example,dc=com", format!("uid=ann,{PEOPLE}"), format!("uid=bob,{PEOPLE}"));
    writer.modify_dn(&ann, "uid=anna", true, None).expect(code::SUCCESS);
    assert_eq!(next_told(&mut client, id).0, (MODIFY_DN, format!("uid=anna,{PEOPLE}"), Some(ann)));
    writer.modify_dn(&bob, "uid=bob", true, Some(groups)).expect(code::SUCCESS);
    assert_eq!(next_told(&mut client, id).0, (MODIFY_DN, format!("uid=bob,{groups}"), Some(bob)));
}

/// A change as it is told: kind, name, previous name.
type Told = (i64, String, Option<String>);

#[track_caller]
fn next_told(client: &mut Client, id: i64) -> (Told, Entry) {
    let message = client.receive_for(id).expect("the search goes on");
    assert_eq!(message.operation.tag, 0x64, "an entry: {message:02x?}");
    let (_, value) = message.controls.iter().find(|(name, _)| name == oid::ENTRY_CHANGE).expect("a note");
    let parts = Element::whole(value.as_deref().unwrap_or_default()).expect("BER").children().expect("BER");
    let entry = Entry::parse(&message.operation).expect("an entry");
    let previous = parts.iter().skip(1).find(|part| part.tag == 4).map(Element::text);
    ((parts[0].number(), entry.dn.clone(), previous), entry)
}

/// Makes the changes in one commit (RFC 5805); their result codes.
fn together(writer: &mut Client, changes: &[Vec<u8>]) -> Vec<u32> {
    let identifier = start(writer);
    let outcomes = changes.iter().map(|change| writer.with(within(&identifier)).perform(change).code).collect();
    end(writer, true, &identifier).expect(code::SUCCESS);
    outcomes
}

/// Each change is told by itself, in order, under the name that the entry had with it: those of one commit (a transaction) as
/// those that are sent without waiting for answers. What is gone by then is told as what it was last.
#[test]
fn changes_that_come_together_are_told_each_by_itself() {
    only_entente!(Foreign);
    let (mut writer, branch) = Server::shared().branch("psearch-together");
    let (_, outside) = Server::shared().branch("psearch-together-outside");
    let old = add_person(&mut writer, &branch, "old");
    let mut client = Server::shared().admin();
    let search = Search::subtree(&branch, "(sn=*)").attributes(&["uid", "title"]);
    let id = client.with(following(ANY, true, true)).send(&search.encode());
    client.who_am_i();
    let name = |uid: &str| format!("uid={uid},{branch}");
    let (a, b, c) = (name("a"), name("b"), name("c"));
    let person: [(&str, &[&str]); 4] =
        [("objectClass", &["inetOrgPerson"]), ("uid", &["a"]), ("cn", &["A"]), ("sn", &["A"])];
    let changes = [
        request::add(&a, &person),
        request::modify(&a, &[(REPLACE, "title", &["one"])]),
        request::modify_dn(&a, "uid=b", true, None),
        request::modify(&b, &[(REPLACE, "title", &["two"])]),
        request::modify_dn(&b, "uid=c", true, None),
        request::modify_dn(&old, "uid=older", true, None),
        request::delete(&c),
        // The name is another one's then.
        request::add(&a, &person),
        request::modify_dn(&a, "uid=a", true, Some(&outside)),
        request::modify(&format!("uid=a,{outside}"), &[(REPLACE, "title", &["elsewhere"])]),
        request::modify_dn(&format!("uid=a,{outside}"), "uid=b", true, Some(&branch)),
        request::delete(&b),
        request::modify_dn(&name("older"), "uid=old", true, None),
    ];
    let told = |kind: i64, name: &str, previous: Option<&str>| (kind, name.to_owned(), previous.map(str::to_owned));
    let from_outside = format!("uid=a,{outside}");
    let expected = [
        told(ADD, &a, None),
        told(MODIFY, &a, None),
        told(MODIFY_DN, &b, Some(&a)),
        told(MODIFY, &b, None),
        told(MODIFY_DN, &c, Some(&b)),
        told(MODIFY_DN, &name("older"), Some(&old)),
        told(DELETE, &c, None),
        told(ADD, &a, None),
        // It was away in between.
        told(MODIFY_DN, &b, Some(&from_outside)),
        told(DELETE, &b, None),
        told(MODIFY_DN, &old, Some(&name("older"))),
    ];
    for in_one_commit in [true, false] {
        let outcomes: Vec<u32> = if in_one_commit {
            together(&mut writer, &changes)
        } else {
            let ids: Vec<i64> = changes.iter().map(|change| writer.send(change)).collect();
            ids.into_iter().map(|id| writer.outcome_of(id).code).collect()
        };
        assert!(outcomes.iter().all(|code| *code == code::SUCCESS), "{outcomes:?}");
        for expected in &expected {
            let (told, entry) = next_told(&mut client, id);
            assert_eq!(told, *expected, "in one commit: {in_one_commit}");
            // What is sent is not older than the change.
            if told.0 == MODIFY && told.1 == b {
                assert_eq!(entry.values("title"), ["two"]);
            }
        }
    }
    // Nothing else was told.
    writer.modify(&old, &[(REPLACE, "title", &["last"])]).expect(code::SUCCESS);
    assert_eq!(next_told(&mut client, id).0, told(MODIFY, &old, None));
}

/// A change is in the scope by the name that the entry had with it, wherever the entry is when the change is told, and though it
/// is nowhere any more.
#[test]
fn a_change_in_the_scope_is_told_of_an_entry_that_has_left_it_since() {
    only_entente!(Foreign);
    let (mut writer, branch) = Server::shared().branch("psearch-left");
    let (_, outside) = Server::shared().branch("psearch-left-outside");
    let mut client = Server::shared().admin();
    let search = Search::subtree(&branch, "(sn=*)").attributes(&["uid", "title"]);
    let id = client.with(following(ANY, true, true)).send(&search.encode());
    client.who_am_i();
    let person: [(&str, &[&str]); 4] =
        [("objectClass", &["inetOrgPerson"]), ("uid", &["a"]), ("cn", &["A"]), ("sn", &["A"])];
    let here = format!("uid=a,{branch}");
    let away = format!("uid=a,{outside}");
    for is_deleted in [false, true] {
        let mut changes = vec![
            request::add(&here, &person),
            request::modify(&here, &[(REPLACE, "title", &["one"])]),
            request::modify_dn(&here, "uid=a", true, Some(&outside)),
            request::modify(&away, &[(REPLACE, "title", &["elsewhere"])]),
        ];
        if is_deleted {
            changes.push(request::delete(&away));
        }
        let outcomes = together(&mut writer, &changes);
        assert!(outcomes.iter().all(|code| *code == code::SUCCESS), "{outcomes:?}");
        assert_eq!(next_told(&mut client, id).0, (ADD, here.clone(), None), "deleted: {is_deleted}");
        assert_eq!(next_told(&mut client, id).0, (MODIFY, here.clone(), None), "deleted: {is_deleted}");
        // Nothing of what was done elsewhere.
        let other = add_person(&mut writer, &branch, if is_deleted { "two" } else { "one" });
        assert_eq!(next_told(&mut client, id).0, (ADD, other, None), "deleted: {is_deleted}");
        if !is_deleted {
            writer.delete(&away).expect(code::SUCCESS);
        }
    }
}

/// T-24: a name from before is told to who may see its superior; who may not is told the name of now.
#[test]
fn names_from_before_are_told_by_the_rights_on_their_superiors() {
    only_entente!(Foreign);
    let rules = [
        r#"(targetattr = "uid || title || objectClass || ou")(version 3.0; acl "read"; allow (read, search) userdn = "ldap:///anyone";)"#,
        r#"(target = "ldap:///ou=hidden,dc=example,dc=com")(targetattr = "*")(version 3.0; acl "hidden"; deny (all) userdn = "ldap:///anyone";)"#,
    ];
    let server = Server::start(Setup::default().with_access(&rules, ""));
    let (mut writer, hidden) = server.branch("hidden");
    let mut client = server.anonymous();
    let search = Search::subtree("dc=example,dc=com", "(uid=*)").attributes(&["uid"]);
    let id = client.with(following(ANY, true, true)).send(&search.encode());
    client.who_am_i();
    let there = format!("uid=x,{hidden}");
    let person: [(&str, &[&str]); 4] =
        [("objectClass", &["inetOrgPerson"]), ("uid", &["x"]), ("cn", &["X"]), ("sn", &["X"])];
    let changes = [request::add(&there, &person), request::modify_dn(&there, "uid=y", true, Some(PEOPLE))];
    assert_eq!(together(&mut writer, &changes), [code::SUCCESS; 2]);
    let now = format!("uid=y,{PEOPLE}");
    assert_eq!(next_told(&mut client, id).0, (ADD, now.clone(), None));
    assert_eq!(next_told(&mut client, id).0, (MODIFY_DN, now, None));
}
