//! Changes made apart: every member shows both sides with both authors, and what is decided on one holds on all.

use std::path::Path;

use serde_json::Value;

use super::node::{Node, person};
use crate::support::ber::{Element, enumerated, sequence};
use crate::support::client::{Client, Entry};
use crate::support::request::{ADD, Control, ONE, REPLACE, SUB, Search};
use crate::support::server::{ADMIN, SUFFIX, check};
use crate::support::wait::wait_until;
use crate::support::{code, oid};

const ANN_WRITES: &str = r#"(targetattr="*")(version 3.0; acl "ann writes"; allow (all) userdn="ldap:///uid=ann,ou=people,dc=example,dc=com";)"#;

/// Two members, on which ann may write; the second is served.
#[track_caller]
fn two(folder: &Path) -> [Node; 2] {
    let mut a = Node::found(folder, "a");
    a.serve();
    a.client().modify(SUFFIX, &[(ADD, "aci", &[ANN_WRITES])]).expect(code::SUCCESS);
    let b = a.joined("b", "supplier");
    a.wait_until_equal();
    [a, b]
}

#[track_caller]
fn serve_alone(node: &mut Node) {
    node.serve();
    wait_until("changes to be taken", || node.status()["writes"] == "open");
}

/// Has `theirs` done on `b` while `a` is down, then `ours` on `a` while `b` is down, then lets them meet.
#[track_caller]
fn apart([a, b]: &mut [Node; 2], theirs: impl FnOnce(&mut Client), ours: impl FnOnce(&mut Client)) {
    a.stop();
    theirs(&mut b.bound(&person("ann"), "ann-secret"));
    b.stop();
    serve_alone(a);
    ours(&mut a.client());
    b.serve();
    a.wait_until_equal();
    b.wait_until_equal();
}

fn titled(title: &'static str) -> impl FnOnce(&mut Client) {
    move |client| _ = client.modify(&person("bob"), &[(REPLACE, "title", &[title])]).expect(code::SUCCESS)
}

/// The conflicts of a state as a client sees them.
#[track_caller]
fn listed(node: &Node, state: &str) -> Vec<Entry> {
    let search = Search::base("cn=conflicts").scope(ONE).filter(&format!("(conflictState={state})"));
    node.client().search(&search).expect(code::SUCCESS).entries
}

fn counted(node: &Node) -> Value {
    node.status()["open_conflicts"].clone()
}

#[test]
fn both_members_show_both_values_with_their_authors_and_a_restore_holds_on_both() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut pair = two(folder.path());
    apart(&mut pair, titled("by ann"), titled("by the administrator"));
    let [a, b] = &pair;
    let mut names = Vec::new();
    for node in [a, b] {
        let found = listed(node, "open");
        let [conflict] = found.as_slice() else { panic!("{found:?}") };
        for (name, value) in [
            ("conflictKind", "lost-update"),
            ("conflictAttribute", "title"),
            ("conflictEntry", &person("bob")),
            ("losingValue", "by ann"),
            ("losingRequester", &person("ann")),
            ("winningValue", "by the administrator"),
            ("winningRequester", ADMIN),
        ] {
            assert_eq!(conflict.value(name), value, "{name}");
        }
        assert_eq!(counted(node)["lost-update"], 1);
        let text = node.replica(&["conflicts"]).expect_success();
        assert!(text.contains("title: lost by ann, shown by the administrator"), "{text}");
        let shown = node.replica(&["conflicts", "show", &conflict.value("cn")]).expect_success();
        assert!(shown.contains(&person("ann")) && shown.contains(ADMIN) && shown.contains("restore"), "{shown}");
        names.push(conflict.value("cn"));
    }
    assert_eq!(names[0], names[1], "one conflict, one name");
    wait_until("the conflict below cn=monitor", || {
        let told = b.client().read("cn=conflicts,cn=monitor").values("monitoredInfo");
        told.contains(&"open_lost_update: 1".to_owned())
    });
    b.replica(&["conflicts", "restore", &names[0]]).expect_success();
    wait_until("the title of ann on a", || a.client().read(&person("bob")).value("title") == "by ann");
    for node in [a, b] {
        wait_until("the conflict to be decided", || listed(node, "open").is_empty());
        assert_eq!(listed(node, "restored").len(), 1);
        assert_eq!(counted(node), serde_json::json!({}));
        assert!(node.replica(&["status"]).expect_success().contains("open conflicts: none"));
    }
    a.wait_until_equal();
}

#[test]
fn a_dismissal_by_ldap_holds_on_all_and_a_new_member_knows_the_conflict() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut pair = two(folder.path());
    apart(&mut pair, titled("by ann"), titled("by the administrator"));
    let [a, b] = &pair;
    let c = a.joined("c", "supplier");
    c.wait_until_equal();
    let dn = listed(a, "open")[0].dn.clone();
    assert_eq!(listed(&c, "open")[0].dn, dn);
    // Whoever is not the administrator learns of nothing, and decides nothing.
    let everything = Search::base("cn=conflicts").scope(SUB);
    let mut ann = b.bound(&person("ann"), "ann-secret");
    assert!(ann.search(&everything).entries.is_empty());
    ann.search(&Search::base(&dn)).expect(code::NO_SUCH_OBJECT);
    ann.modify(&dn, &[(REPLACE, "conflictState", &["dismissed"])]).expect(code::NO_SUCH_OBJECT);
    ann.delete(&dn).expect(code::NO_SUCH_OBJECT);
    assert!(listed(b, "dismissed").is_empty());
    c.client().modify(&dn, &[(REPLACE, "conflictState", &["dismissed"])]).expect(code::SUCCESS);
    for node in [a, b, &c] {
        wait_until("the conflict to be dismissed", || listed(node, "open").is_empty());
        assert_eq!(listed(node, "dismissed")[0].dn, dn);
        assert_eq!(node.client().read(&person("bob")).value("title"), "by the administrator");
        let text = node.replica(&["conflicts"]).expect_success();
        assert!(text.contains("no conflict waits for a decision"), "{text}");
    }
}

#[test]
fn a_move_that_would_close_a_circle_and_a_name_given_twice_are_told_of_on_both() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut pair = two(folder.path());
    let unit = |name: &str| format!("ou={name},{SUFFIX}");
    for name in ["x", "y"] {
        let attributes: [(&str, &[&str]); 2] = [("objectClass", &["organizationalUnit"]), ("ou", &[name])];
        pair[0].client().add(&unit(name), &attributes).expect(code::SUCCESS);
    }
    pair[0].wait_until_equal();
    let added: [(&str, &[&str]); 2] = [("objectClass", &["organizationalUnit"]), ("ou", &["new"])];
    apart(
        &mut pair,
        |client| {
            client.modify_dn(&unit("x"), "ou=x", false, Some(&unit("y"))).expect(code::SUCCESS);
            client.add(&unit("new"), &added).expect(code::SUCCESS);
        },
        |client| {
            client.modify_dn(&unit("y"), "ou=y", false, Some(&unit("x"))).expect(code::SUCCESS);
            client.add(&unit("new"), &added).expect(code::SUCCESS);
        },
    );
    for node in &pair {
        assert_eq!(counted(node)["skipped-move"], 1, "{}", node.status());
        assert_eq!(counted(node)["duplicate"], 1, "{}", node.status());
        let found = listed(node, "open");
        let skipped = found.iter().find(|entry| entry.value("conflictKind") == "skipped-move").expect("it is counted");
        assert_eq!(skipped.value("losingRequester"), ADMIN);
        assert_eq!(skipped.value("winningRequester"), person("ann"));
        assert_eq!(skipped.value("winningValue"), format!("ou=x,{}", unit("y")));
        let text = node.replica(&["conflicts"]).expect_success();
        assert!(text.contains("in its way") && text.contains("duplicate winner="), "{text}");
        both_sides_of_a_name(node, &unit("new"));
    }
    let [mut a, mut b] = pair;
    a.stop();
    b.stop();
    check(&a.data());
    check(&b.data());
}

/// Who lost a name and who has it, by LDAP and on the command line: DN, entryUUID, author and time.
#[track_caller]
fn both_sides_of_a_name(node: &Node, name: &str) {
    let found = listed(node, "open");
    let conflict = found.iter().find(|entry| entry.value("conflictKind") == "duplicate").expect("it is counted");
    let entries = node.client().search(&Search::subtree(SUFFIX, "(ou=new)").attributes(&["+"])).expect(code::SUCCESS);
    let [winner] = entries.entries.as_slice() else { panic!("{entries:?}") };
    let loser = node.client().read(&conflict.value("losingValue"));
    let has = |name: &str, value: &str| assert_eq!(conflict.value(name), value, "{name}: {conflict:?}");
    has("winningValue", name);
    has("winningEntryUUID", &winner.value("entryUUID"));
    // The older claim has the name: ann's.
    has("winningRequester", &person("ann"));
    has("losingRequester", ADMIN);
    assert!(conflict.value("winningTime") < conflict.value("losingTime"), "{conflict:?}");
    assert_ne!(loser.dn, name);
    let id = conflict.value("cn");
    let shown = node.replica(&["conflicts", "show", &id]).expect_success();
    for field in ["losingValue", "conflictEntryUUID", "winningValue", "winningEntryUUID", "winningTime", "losingTime"] {
        assert!(!conflict.value(field).is_empty() && shown.contains(&conflict.value(field)), "{field}: {shown}");
    }
    assert!(shown.contains(&format!("  by        {}", person("ann"))) && shown.contains(ADMIN), "{shown}");
    let text = node.replica(&["conflicts", "show", "--json", &id]).expect_success();
    let json: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["shown"]["entryUUID"], winner.value("entryUUID"), "{json}");
    assert_eq!(json["lost"]["requester"], ADMIN, "{json}");
    let refused = node.replica(&["conflicts", "show", "nix"]).expect_failure();
    assert!(refused.contains("there is no conflict nix") && refused.contains("conflicts list --all"), "{refused}");
}

#[test]
fn a_suspended_member_returns_with_a_thousand_changes_that_nobody_has() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found(folder.path(), "a");
    a.serve();
    let mut b = a.joined("b", "supplier");
    let mut away = a.joined("away", "supplier");
    a.wait_until_equal();
    a.stop();
    b.stop();
    let mut client = away.client();
    client.modify(&person("bob"), &[(REPLACE, "title", &["by who is away"])]).expect(code::SUCCESS);
    for number in 1..1000 {
        let title = format!("change {number}");
        client.modify(&person("carol"), &[(REPLACE, "title", &[&title])]).expect(code::SUCCESS);
    }
    drop(client);
    away.stop();
    a.serve();
    b.serve();
    wait_until("changes to be taken", || a.status()["writes"] == "open");
    a.replica(&["suspend", "away"]).expect_success();
    let state_of_away = |node: &Node| {
        let status = node.status();
        let members = status["members"].as_array().cloned().unwrap_or_default();
        members.into_iter().find(|member| member["name"] == "away").map(|member| member["state"].clone())
    };
    wait_until("away to be suspended", || state_of_away(&a) == Some("suspended".into()));
    a.client().modify(&person("bob"), &[(REPLACE, "title", &["by the others"])]).expect(code::SUCCESS);
    away.serve();
    a.replica(&["resume", "away"]).expect_success();
    for node in [&a, &b, &away] {
        wait_until("the last change of who was away", || {
            node.client().read(&person("carol")).value("title") == "change 999"
        });
        node.wait_until_equal();
        assert_eq!(node.client().read(&person("bob")).value("title"), "by the others", "the newer one");
    }
    // Nobody else ever had what it lost.
    let lost = |node: &Node| -> Vec<_> {
        let found = listed(node, "open");
        found.iter().map(|entry| (entry.value("losingValue"), entry.value("winningValue"))).collect()
    };
    let told = [("by who is away".to_owned(), "by the others".to_owned())];
    assert_eq!(lost(&away), told);
    for node in [&a, &b] {
        assert_eq!(lost(node), []);
    }
}

/// Follows the people of a member (RFC 4533) as the administrator, from now on.
struct Copy {
    client: Client,
    id: i64,
}

impl Copy {
    #[track_caller]
    fn of(node: &Node) -> Self {
        let mut client = node.client();
        let persist = Control::critical(oid::SYNC_REQUEST, Some(sequence(&[enumerated(3)])));
        let search = Search::subtree(SUFFIX, "(objectClass=*)").attributes(&["cn"]);
        let id = client.with(persist).send(&search.encode());
        let mut copy = Self { client, id };
        while copy.next().is_some() {}
        copy
    }

    /// The next entry: its state (2: modified, 1: added, 3: deleted) and name; `None`: a message between them.
    #[track_caller]
    fn next(&mut self) -> Option<(i64, String)> {
        let message = self.client.receive_for(self.id).expect("the search goes on");
        if message.operation.tag != 0x64 {
            return None;
        }
        let entry = Entry::parse(&message.operation).expect("an entry");
        let (_, value) = message.controls.iter().find(|(name, _)| name == oid::SYNC_STATE).expect("a sync state");
        let parts = Element::whole(value.as_deref().unwrap_or_default()).expect("BER").children().expect("BER");
        Some((parts[0].number(), entry.dn))
    }

    /// What comes up to the next cookie.
    #[track_caller]
    fn told(&mut self) -> Vec<(i64, String)> {
        let mut told = Vec::new();
        loop {
            match self.next() {
                Some(entry) => told.push(entry),
                None if told.is_empty() => {}
                None => return told,
            }
        }
    }
}

/// RFC 4533: whoever takes over a name, because its holder leaves it, is told to a copy after the holder.
#[test]
fn a_copy_is_told_who_takes_over_a_name_that_is_left() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut pair = two(folder.path());
    let twin = person("twin");
    let attributes: [(&str, &[&str]); 3] = [("objectClass", &["inetOrgPerson"]), ("cn", &["Twin"]), ("sn", &["Twin"])];
    apart(
        &mut pair,
        |client| _ = client.add(&twin, &attributes).expect(code::SUCCESS),
        |client| _ = client.add(&twin, &attributes).expect(code::SUCCESS),
    );
    let [a, _b] = &pair;
    let mut copy = Copy::of(a);
    a.client().modify_dn(&twin, "uid=elsewhere", true, None).expect(code::SUCCESS);
    let mut told = copy.told();
    // Who takes a name over may be put aside before under a passing one.
    told.retain(|(_, dn)| dn.starts_with("uid="));
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!((told[0].1.as_str(), told[1].1.as_str()), (person("elsewhere").as_str(), twin.as_str()), "{told:?}");
    assert_ne!((told[0].0, told[1].0), (3, 3));
}

/// RFC 4533: an entry that was deleted and stood only for what is below it is gone when the last of these moves away.
#[test]
fn a_copy_is_told_that_what_stood_for_the_last_entry_below_is_gone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut pair = two(folder.path());
    let gone = format!("ou=gone,{SUFFIX}");
    let unit: [(&str, &[&str]); 1] = [("objectClass", &["organizationalUnit"])];
    pair[0].client().add(&gone, &unit).expect(code::SUCCESS);
    pair[0].wait_until_equal();
    let child = format!("ou=child,{gone}");
    apart(
        &mut pair,
        |client| _ = client.add(&child, &unit).expect(code::SUCCESS),
        |client| _ = client.delete(&gone).expect(code::SUCCESS),
    );
    let [a, _b] = &pair;
    let mut copy = Copy::of(a);
    a.client().modify_dn(&child, "ou=child", true, Some(SUFFIX)).expect(code::SUCCESS);
    let mut told = copy.told();
    told.sort();
    let names: Vec<_> = told.iter().map(|(state, dn)| (*state, dn.as_str())).collect();
    assert_eq!(names, [(2, format!("ou=child,{SUFFIX}").as_str()), (3, gone.as_str())]);
}
