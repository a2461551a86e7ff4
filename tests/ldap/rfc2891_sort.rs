//! Server-side sorting: RFC 2891. slapd sorts by a named rule only where a type has none of its own.

use crate::rfc2696_paged::cookie;
use crate::support::ber::Element;
use crate::support::client::{Client, Found};
use crate::support::request::{Control, REPLACE, Search};
use crate::support::server::{Server, Setup, Subject};
use crate::support::{code, oid};
use crate::{PEOPLE, add_person};

/// Code and attribute of the sort response.
#[track_caller]
pub(crate) fn sorted(found: &Found) -> (i64, Option<String>) {
    let value = Element::whole(&found.outcome.control(oid::SORT_RESPONSE)).expect("BER");
    let parts = value.children().expect("BER");
    (parts[0].number(), parts.get(1).map(Element::text))
}

/// The leftmost RDN values in the order sent.
pub(crate) fn in_order(found: &Found) -> Vec<String> {
    found.entries.iter().map(|entry| entry.dn.split([',', '=']).nth(1).unwrap_or_default().to_owned()).collect()
}

const BY_SURNAME: &str = "sn:caseIgnoreOrderingMatch";
const BY_GIVEN_NAME: &str = "givenName:caseIgnoreOrderingMatch";

/// A branch of people: uid, sn, givenName.
#[track_caller]
pub(crate) fn people(name: &str, people: &[(&str, &str, &[&str])]) -> (Client, String) {
    let (mut client, branch) = Server::shared().branch(name);
    for (uid, surname, given) in people {
        let dn = add_person(&mut client, &branch, uid);
        client.modify(&dn, &[(REPLACE, "sn", &[surname])]).expect(code::SUCCESS);
        if !given.is_empty() {
            client.modify(&dn, &[(REPLACE, "givenName", given)]).expect(code::SUCCESS);
        }
    }
    (client, branch)
}

fn family(name: &str) -> (Client, String) {
    let family: [(&str, &str, &[&str]); 5] = [
        ("p1", "meier", &["Zoe"]),
        ("p2", "Abel", &["bert"]),
        ("p3", "Meier", &["Anna", "Xenia"]),
        ("p4", "Ziegler", &[]),
        ("p5", "abel", &["Carl"]),
    ];
    people(name, &family)
}

#[test]
fn entries_come_in_the_order_of_several_keys() {
    let (mut client, branch) = family("sort-keys");
    let search = Search::subtree(&branch, "(uid=*)");
    let found = client.with(Control::sort(&[BY_SURNAME, BY_GIVEN_NAME])).search(&search).expect(code::SUCCESS);
    assert_eq!(in_order(&found), ["p2", "p5", "p3", "p1", "p4"]);
    assert_eq!(sorted(&found).0, 0);
    let reverse = format!("-{BY_GIVEN_NAME}");
    let found = client.with(Control::sort(&[BY_SURNAME, &reverse])).search(&search).expect(code::SUCCESS);
    assert_eq!(in_order(&found), ["p5", "p2", "p1", "p3", "p4"]);
}

/// RFC 2891 2.2: an absent value is greater than any other; in reverse order it comes first. Of several values the
/// least counts.
#[test]
fn absent_values_are_greatest_and_the_least_of_several_counts() {
    let (mut client, branch) = family("sort-absent");
    let search = Search::subtree(&branch, "(uid=*)");
    let found = client.with(Control::sort(&[BY_GIVEN_NAME])).search(&search).expect(code::SUCCESS);
    assert_eq!(in_order(&found), ["p3", "p2", "p5", "p1", "p4"]);
    let reverse = format!("-{BY_GIVEN_NAME}");
    let found = client.with(Control::sort(&[&reverse])).search(&search).expect(code::SUCCESS);
    assert_eq!(in_order(&found)[0], "p4");
    if !Subject::current().is_slapd() {
        assert_eq!(in_order(&found), ["p4", "p1", "p5", "p2", "p3"]);
    }
}

/// The schema gives cn and sn no ordering rule; address books sort by them all the same. (slapd refuses, code 18.)
#[test]
fn names_are_sorted_without_naming_a_rule() {
    let (mut client, branch) = family("sort-default");
    let search = Search::subtree(&branch, "(uid=*)");
    for keys in [&["sn", "givenName"][..], &["2.5.4.4", "gn"], &["surname", "2.5.4.42"]] {
        let found = client.with(Control::sort(keys)).search(&search);
        if Subject::current().is_slapd() {
            found.expect(code::INAPPROPRIATE_MATCHING);
            continue;
        }
        assert_eq!(in_order(&found.expect(code::SUCCESS)), ["p2", "p5", "p3", "p1", "p4"], "{keys:?}");
    }
    only_entente_from_here!(Unserved);
    let found = client.with(Control::sort(&["-entryDN"])).search(&search).expect(code::SUCCESS);
    assert_eq!(in_order(&found), ["p5", "p4", "p3", "p2", "p1"]);
    let found = client.with(Control::sort(&["telephoneNumber", "-uid"])).search(&search).expect(code::SUCCESS);
    assert_eq!(in_order(&found), ["p5", "p4", "p3", "p2", "p1"]);
}

#[test]
fn numbers_are_sorted_as_numbers() {
    let (mut client, branch) = Server::shared().branch("sort-numbers");
    for (uid, number) in [("a", "10"), ("b", "9"), ("c", "-1"), ("d", "100")] {
        let dn = format!("uid={uid},{branch}");
        let attributes: [(&str, &[&str]); 6] = [
            ("objectClass", &["account", "posixAccount"]),
            ("uid", &[uid]),
            ("cn", &[uid]),
            ("uidNumber", &[number]),
            ("gidNumber", &["1"]),
            ("homeDirectory", &["/"]),
        ];
        client.add(&dn, &attributes).expect(code::SUCCESS);
    }
    let found =
        client.with(Control::sort(&["uidNumber:integerOrderingMatch"])).search(&Search::subtree(&branch, "(uid=*)"));
    assert_eq!(in_order(&found.expect(code::SUCCESS)), ["c", "b", "a", "d"]);
}

/// RFC 2891 2: what cannot be sorted is sent unsorted where the control is not critical, and the response says why; where
/// it is critical, nothing is sent. (slapd answers with the reason's code, and refuses in both cases.)
#[test]
fn unknown_keys_are_said_and_refused_only_where_critical() {
    let (mut client, branch) = family("sort-unknown");
    let search = Search::subtree(&branch, "(uid=*)");
    for (key, why) in [
        ("noSuchAttribute", code::NO_SUCH_ATTRIBUTE),
        ("sn:noSuchRule", code::INAPPROPRIATE_MATCHING),
        ("sn:integerOrderingMatch", code::INAPPROPRIATE_MATCHING),
    ] {
        // slapd sorts names as numbers.
        if Subject::current().is_slapd() && key == "sn:integerOrderingMatch" {
            continue;
        }
        let refused = client.with(Control::sort(&[key])).search(&search);
        assert!(refused.entries.is_empty(), "{key}");
        if Subject::current().is_slapd() {
            continue;
        }
        assert_eq!(refused.outcome.code, code::UNAVAILABLE_CRITICAL_EXTENSION);
        let name = key.split(':').next().unwrap_or_default().to_owned();
        assert_eq!(sorted(&refused), (i64::from(why), Some(name.clone())));
        let found = client.with(Control::sort(&[key]).optional()).search(&search).expect(code::SUCCESS);
        assert_eq!(found.entries.len(), 5);
        assert_eq!(sorted(&found), (i64::from(why), Some(name)));
    }
}

#[test]
fn a_sort_that_is_no_list_of_keys_is_a_protocol_error() {
    let server = Server::shared();
    for value in [None, Some(vec![]), Some(b"\x30\x00".to_vec()), Some(b"\x30\x02\x04\x00".to_vec())] {
        let mut client = server.admin();
        let id = client.with(Control::critical(oid::SORT_REQUEST, value)).send(&Search::base(PEOPLE).encode());
        if let Some(message) = client.receive_for(id) {
            assert_ne!(message.operation.tag, 0x64, "an entry for a sort without keys");
        }
    }
}

/// The order is over all pages, and a page is as long as asked for.
#[test]
fn pages_of_a_sorted_search_go_on_in_its_order() {
    let (mut client, branch) = family("sort-pages");
    let search = Search::subtree(&branch, "(uid=*)");
    let mut names = Vec::new();
    let mut at = Vec::new();
    loop {
        let keys = Control::sort(&[BY_SURNAME, BY_GIVEN_NAME]);
        let found = client.with(keys).with(Control::paged(2, &at)).search(&search).expect(code::SUCCESS);
        assert!(found.entries.len() <= 2);
        names.extend(in_order(&found));
        at = cookie(&found).0;
        if at.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["p2", "p5", "p3", "p1", "p4"]);
}

/// A cookie is good for the same order only.
#[test]
fn cookie_of_another_order_is_refused() {
    let (mut client, branch) = family("sort-cookie");
    let search = Search::subtree(&branch, "(uid=*)");
    let first = Control::sort(&[BY_SURNAME]);
    let found = client.with(first).with(Control::paged(2, b"")).search(&search).expect(code::SUCCESS);
    let at = cookie(&found).0;
    let reverse = Control::sort(&[&format!("-{BY_SURNAME}")]);
    let other = client.with(reverse).with(Control::paged(2, &at)).search(&search);
    // slapd goes on in the first order, or is busy with it.
    let expected =
        Subject::current().pick(&[(code::UNWILLING_TO_PERFORM, 0)][..], &[(code::SUCCESS, 2), (code::BUSY, 0)]);
    assert!(expected.contains(&(other.outcome.code, other.entries.len())), "{:?}", other.outcome);
}

/// The first by the order are sent, not the first found.
#[test]
fn size_limit_keeps_the_first_of_the_order() {
    let (mut client, branch) = family("sort-limit");
    let search = Search::subtree(&branch, "(uid=*)").size_limit(2);
    let keys = Control::sort(&[BY_SURNAME, BY_GIVEN_NAME]);
    let found = client.with(keys).search(&search).expect(code::SIZE_LIMIT_EXCEEDED);
    assert_eq!(in_order(&found), ["p2", "p5"]);
}

/// T-16, T-21 of the hostile tests: what may not be read does not show in the order.
#[test]
fn order_does_not_reveal_what_may_not_be_read() {
    let aci = r#"(targetattr != "userPassword || title")(version 3.0; acl "r"; allow (read, search, compare) userdn = "ldap:///anyone";)"#;
    let slapd =
        "access to attrs=userPassword by anonymous auth\naccess to attrs=title by * none\naccess to * by * read\n";
    let server = Server::start(Setup::default().with_access(&[aci], slapd));
    let mut admin = server.admin();
    for (uid, title) in [("ann", "z"), ("bob", "y"), ("carol", "x")] {
        admin.modify(&format!("uid={uid},{PEOPLE}"), &[(REPLACE, "title", &[title])]).expect(code::SUCCESS);
    }
    let search = Search::subtree(PEOPLE, "(|(uid=ann)(uid=bob)(uid=carol))").attributes(&["uid"]);
    let keys = || Control::sort(&["title:caseIgnoreOrderingMatch", "uid:caseIgnoreOrderingMatch"]);
    assert_eq!(in_order(&admin.with(keys()).search(&search)), ["carol", "bob", "ann"]);
    // slapd sorts by what may not be read.
    let expected = Subject::current().pick(["ann", "bob", "carol"], ["carol", "bob", "ann"]);
    assert_eq!(in_order(&server.anonymous().with(keys()).search(&search)), expected);
}

/// Memory for sorting is bounded: beyond it a search that insists is refused, another one comes unsorted.
#[test]
fn too_much_to_sort_is_said() {
    only_entente!(Setting);
    let mut ldif = String::new();
    for index in 0..400 {
        let long = "x".repeat(200);
        ldif.push_str(&format!(
            "dn: cn={index:03}{long},{PEOPLE}\nobjectClass: person\ncn: {index:03}{long}\nsn: s\n\n"
        ));
    }
    let server = Server::start(Setup::default().with_entries(&ldif).with_setting("limits.sort_bytes=65536"));
    let mut client = server.admin();
    let search = Search::subtree(PEOPLE, "(sn=s)").attributes(&["cn"]);
    let refused = client.with(Control::sort(&["cn"])).search(&search).expect(code::UNAVAILABLE_CRITICAL_EXTENSION);
    assert_eq!((sorted(&refused).0, refused.entries.len()), (i64::from(code::ADMIN_LIMIT_EXCEEDED), 0));
    let found = client.with(Control::sort(&["cn"]).optional()).search(&search).expect(code::SUCCESS);
    assert_eq!((sorted(&found).0, found.entries.len()), (i64::from(code::ADMIN_LIMIT_EXCEEDED), 400));
    // Of the first ones alone they can be kept apart.
    let first = client.with(Control::sort(&["-cn"])).search(&Search::subtree(PEOPLE, "(sn=s)").size_limit(3));
    assert_eq!(sorted(&first.expect(code::SIZE_LIMIT_EXCEEDED)).0, 0);
    let first = client.with(Control::sort(&["-cn"])).search(&Search::subtree(PEOPLE, "(sn=s)").size_limit(3));
    let names: Vec<String> = first.entries.iter().map(|entry| entry.value("cn")[..3].to_owned()).collect();
    assert_eq!(names, ["399", "398", "397"]);
    // A view takes memory for itself alone, but not one of thousands.
    let view = client.with(Control::sort(&["cn"])).with(Control::view_at(0, 3, 1, 0)).search(&search);
    assert_eq!((view.outcome.code, view.entries.len()), (code::SUCCESS, 4));
    let view = client.with(Control::sort(&["cn"])).with(Control::view_at(0, 4_000, 1, 0)).search(&search);
    assert_eq!((view.outcome.code, view.entries.len()), (code::VIRTUAL_LIST_VIEW_ERROR, 0));
    let some = Search::subtree(PEOPLE, "(cn=1*)").attributes(&["cn"]);
    assert_eq!(client.with(Control::sort(&["cn"])).search(&some).expect(code::SUCCESS).entries.len(), 100);
}
