//! Content synchronisation (RFC 4533) where what a copy shows hangs on other entries: groups, the owner's own, superiors, and
//! subentries that share values.

use super::{Copy, Event, event, everything, next_round, persisting};
use crate::support::client::Client;
use crate::support::code;
use crate::support::request::{ADD, DELETE, REPLACE};
use crate::support::server::{SUFFIX, Server, Setup};

/// The search ends with e-syncRefreshRequired, and nothing was sent before.
#[track_caller]
fn expect_end(client: &mut Client, id: i64, what: &str) {
    loop {
        match event(&client.receive_for(id).expect("an answer")) {
            Event::End(code, ..) => break assert_eq!(code, 4096, "{what}"),
            Event::Cookie(_) => {}
            other => panic!("{what}: {other:?}"),
        }
    }
}

/// RFC 3671 2: a filter on a collective attribute finds other entries when its subentry changes, comes or goes; the copy begins
/// anew then.
#[test]
fn a_copy_begins_anew_when_values_that_entries_share_change() {
    only_entente!(Own);
    let server = Server::start(Setup::default());
    let (mut admin, branch) = server.branch("sync-shared");
    crate::add_person(&mut admin, &branch, "a");
    let shared = format!("cn=shared,{branch}");
    let classes = ["subentry", "collectiveAttributeSubentry"];
    let entry: [(&str, &[&str]); 3] =
        [("objectClass", &classes), ("subtreeSpecification", &["{}"]), ("c-l", &["Paris"])];
    // The values themselves come with their subentry, and not in each entry of a copy.
    let search = everything(&branch).filter("(&(objectClass=person)(c-l=Paris))").attributes(&["uid", "cn", "sn"]);
    for (what, count) in [("comes", 1), ("changes", 0), ("changes back", 1), ("goes", 0)] {
        let (mut copy, mut polled) = (Copy::default(), Copy::default());
        let mut client = server.admin();
        assert_eq!(polled.poll(&mut client, &search), code::SUCCESS, "{what}");
        assert_eq!(polled.entries.len(), 1 - count, "{what}");
        let id = persisting(&mut client, &mut copy, &search);
        match what {
            "comes" => admin.add(&shared, &entry),
            "changes" => admin.modify(&shared, &[(REPLACE, "c-l", &["Rome"])]),
            "changes back" => admin.modify(&shared, &[(REPLACE, "c-l", &["Paris"])]),
            _ => admin.delete(&shared),
        }
        .expect(code::SUCCESS);
        expect_end(&mut client, id, what);
        assert_eq!(polled.poll(&mut client, &search), code::SUCCESS, "{what}");
        polled.expect_equal(&mut client, &search);
        assert_eq!(polled.entries.len(), count, "{what}");
    }
}

/// RFC 3672 2.1: the names in a subtreeSpecification mean other entries once these are renamed. A consumer that keeps a tree, as
/// slapd's, is sent of a rename the renamed entry alone.
#[test]
fn a_copy_begins_anew_when_entries_that_a_subtree_names_are_renamed() {
    only_entente!(Own);
    let server = Server::start(Setup::default());
    let (mut admin, branch) = server.branch("sync-areas");
    let [one, two] = ["one", "two"].map(|name| format!("ou={name},{branch}"));
    for unit in [&one, &two] {
        admin.add(unit, &[("objectClass", &["organizationalUnit"])]).expect(code::SUCCESS);
        crate::add_person(&mut admin, unit, "a");
    }
    let shared = format!("cn=shared,{branch}");
    let classes = ["subentry", "collectiveAttributeSubentry"];
    let search = everything(SUFFIX).filter("(&(objectClass=person)(c-l=Paris))").attributes(&["uid", "cn", "sn"]);
    for (what, area, count) in [
        ("an exclusion", r#"{ specificExclusions { chopBefore:"ou=one" } }"#, 2),
        ("a base", r#"{ base "ou=one" }"#, 0),
    ] {
        let entry: [(&str, &[&str]); 3] =
            [("objectClass", &classes), ("subtreeSpecification", &[area]), ("c-l", &["Paris"])];
        admin.add(&shared, &entry).expect(code::SUCCESS);
        let mut copy = Copy { cookie: Some(b"rid=000".to_vec()), ..Copy::default() };
        let mut client = server.admin();
        let id = persisting(&mut client, &mut copy, &search);
        assert_eq!(copy.entries.len(), 1, "{what}");
        admin.modify_dn(&one, "ou=other", true, None).expect(code::SUCCESS);
        expect_end(&mut client, id, what);
        let mut copy = Copy::default();
        assert_eq!(copy.poll(&mut client, &search), code::SUCCESS, "{what}");
        assert_eq!(copy.entries.len(), count, "{what}");
        admin.modify_dn(&format!("ou=other,{branch}"), "ou=one", true, None).expect(code::SUCCESS);
        admin.delete(&shared).expect(code::SUCCESS);
    }
}

/// T-24: `parent[1]` in userattr lets the values of a superior decide; where these change, what is below is seen or not any more,
/// and no change of its own says so.
#[test]
fn a_copy_begins_anew_when_values_of_a_superior_decide_otherwise() {
    only_entente!(Own);
    let server = Server::start(Setup::default());
    let (mut admin, branch) = server.branch("sync-superiors");
    admin.modify(crate::ANN, &[(ADD, "description", &["reader"])]).expect(code::SUCCESS);
    for (what, name, value, attribute) in
        [("a value", "value", "reader", "description#reader"), ("a name", "name", crate::ANN, "seeAlso#USERDN")]
    {
        let unit = format!("ou={name},{branch}");
        let attribute_type = attribute.split('#').next().unwrap();
        admin.add(&unit, &[("objectClass", &["organizationalUnit"]), (attribute_type, &[value])]).expect(code::SUCCESS);
        let person = crate::add_person(&mut admin, &unit, "a");
        let rule = format!(
            r#"(targetattr = "*")(targetfilter = "(objectClass=person)")(version 3.0; acl "closed"; deny (all) userattr != "parent[1].{attribute}";)"#
        );
        admin.modify(&unit, &[(ADD, "aci", &[&rule])]).expect(code::SUCCESS);
        let search = everything(&unit);
        let (gone, there): (&[&str], &[&str]) = (&[], &[value]);
        for (kind, values, count) in [(DELETE, gone, 1), (ADD, there, 2)] {
            let (mut copy, mut polled) = (Copy::default(), Copy::default());
            let mut client = server.person("ann");
            assert_eq!(polled.poll(&mut client, &search), code::SUCCESS, "{what}");
            assert_eq!(polled.entries.len(), 3 - count, "{what}");
            let id = persisting(&mut client, &mut copy, &search);
            // What is below nothing decides about nobody.
            if count == 1 {
                admin.modify(&person, &[(REPLACE, "description", &["reader"])]).expect(code::SUCCESS);
                next_round(&mut client, &mut copy, id);
            }
            admin.modify(&unit, &[(kind, attribute_type, values)]).expect(code::SUCCESS);
            expect_end(&mut client, id, what);
            assert_eq!(polled.poll(&mut client, &search), code::SUCCESS, "{what}");
            polled.expect_equal(&mut client, &search);
            assert_eq!(polled.entries.len(), count, "{what}");
        }
    }
}

/// T-24: rules know people by groups of groups, groups by search and what their entries say; where one of these changes, the
/// copy begins anew, whether the search persists or comes back with a cookie.
#[test]
fn a_copy_begins_anew_when_that_changes_by_which_rules_know_its_owner() {
    only_entente!(Own);
    let server = Server::start(Setup::default());
    let (mut admin, branch) = server.branch("sync-groups");
    let [inner, outer, found] = ["inner", "outer", "found"].map(|name| format!("cn={name},{branch}"));
    let group = [("objectClass", &["groupOfMembers"][..])];
    for name in [&inner, &outer] {
        admin.add(name, &group).expect(code::SUCCESS);
    }
    let url = format!("ldap:///{SUFFIX}??sub?(employeeType=searcher)");
    admin.add(&found, &[("objectClass", &["groupOfURLs"]), ("memberURL", &[&url])]).expect(code::SUCCESS);
    admin.modify(&outer, &[(ADD, "member", &[&inner])]).expect(code::SUCCESS);
    admin.modify(&inner, &[(ADD, "member", &[crate::ANN])]).expect(code::SUCCESS);
    admin.modify(crate::ANN, &[(ADD, "employeeType", &["searcher", "reader"])]).expect(code::SUCCESS);
    let by_outer = format!(r#"groupdn != "ldap:///{outer}""#);
    let ways: [(&str, String, &str, &str, &str); 4] = [
        ("a group of groups", by_outer.clone(), &outer, "member", &inner),
        ("a group in it", by_outer, &inner, "member", crate::ANN),
        ("a group by search", format!(r#"groupdn != "ldap:///{found}""#), crate::ANN, "employeeType", "searcher"),
        (
            "its own entry",
            format!(r#"userdn != "ldap:///{SUFFIX}??sub?(employeeType=reader)""#),
            crate::ANN,
            "employeeType",
            "reader",
        ),
    ];
    for (at, (what, stranger, dn, attribute, value)) in ways.iter().enumerate() {
        let closed = format!("ou=closed{at},{branch}");
        admin.add(&closed, &[("objectClass", &["organizationalUnit"])]).expect(code::SUCCESS);
        crate::add_person(&mut admin, &closed, "a");
        let rule = format!(
            r#"(targetattr = "*")(targetfilter = "(objectClass=person)")(version 3.0; acl "closed"; deny (all) {stranger};)"#
        );
        admin.modify(&closed, &[(ADD, "aci", &[&rule])]).expect(code::SUCCESS);
        let search = everything(&closed);
        for (kind, count) in [(DELETE, 1), (ADD, 2)] {
            let (mut copy, mut polled) = (Copy::default(), Copy::default());
            let mut client = server.person("ann");
            assert_eq!(polled.poll(&mut client, &search), code::SUCCESS, "{what}");
            assert_eq!(polled.entries.len(), 3 - count, "{what}");
            let id = persisting(&mut client, &mut copy, &search);
            admin.modify(dn, &[(kind, *attribute, &[value])]).expect(code::SUCCESS);
            expect_end(&mut client, id, what);
            assert_eq!(polled.poll(&mut client, &search), code::SUCCESS, "{what}");
            polled.expect_equal(&mut client, &search);
            assert_eq!(polled.entries.len(), count, "{what}");
        }
    }
}
