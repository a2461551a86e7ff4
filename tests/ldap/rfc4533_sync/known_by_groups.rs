//! Content synchronisation (RFC 4533) of somebody whom access rules know by groups or by what its own entry says.

use super::{Copy, Event, event, everything, is_slapd, persisting};
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
    if is_slapd() {
        return;
    }
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

/// T-24: rules know people by groups of groups, groups by search and what their entries say; where one of these changes, the
/// copy begins anew, whether the search persists or comes back with a cookie.
#[test]
fn a_copy_begins_anew_when_that_changes_by_which_rules_know_its_owner() {
    if is_slapd() {
        return;
    }
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
