//! Collective attributes: RFC 3671. slapd's overlay collect shares attributes of an ordinary entry and
//! shows them only.

use crate::support::code;
use crate::support::oid;
use crate::support::request::{self, ADD, Control, DELETE, ONE, REPLACE, Search};
use crate::support::server::{SUFFIX, Server, Setup, Subject};
use crate::{ANN, BOB, PEOPLE, add_person};

const CLASSES: &[&str] = &["subentry", "collectiveAttributeSubentry"];

/// A server with one sharing subentry below ou=people, and the administrator's connection.
fn sharing(specification: &str, values: &[(&str, &[&str])]) -> (Server, crate::support::client::Client) {
    // What is COLLECTIVE may stand in no entry there.
    let global = "moduleload collect\nattributetype ( 2.5.4.7.1 NAME 'c-l' SUP l )\n\
                  attributetype ( 2.5.4.20.1 NAME 'c-TelephoneNumber' SUP telephoneNumber )\n";
    let lines = format!("overlay collect\ncollectinfo \"{PEOPLE}\" c-l,c-TelephoneNumber\n");
    let server = Server::start(Setup::default().with_slapd_global(global).with_slapd_lines(&lines));
    let mut client = server.admin();
    if Subject::current().is_slapd() {
        let mut change: Vec<(i64, &str, &[&str])> = vec![(ADD, "objectClass", &["extensibleObject"])];
        change.extend(values.iter().map(|(name, values)| (ADD, *name, *values)));
        client.modify(PEOPLE, &change).expect(code::SUCCESS);
        return (server, client);
    }
    let specification = [specification];
    let mut entry: Vec<(&str, &[&str])> =
        vec![("objectClass", CLASSES), ("cn", &["shared"]), ("subtreeSpecification", &specification)];
    entry.extend_from_slice(values);
    client.add(&format!("cn=shared,{PEOPLE}"), &entry).expect(code::SUCCESS);
    (server, client)
}

/// Sections 1 and 2: they appear in each entry, are searched by, compared, and asked for by their supertype.
#[test]
fn shared_values_are_read_searched_by_and_compared_in_every_entry() {
    let (server, mut client) = sharing("{}", &[("c-l", &["Paris", "Lyon"]), ("c-TelephoneNumber", &["+33 1 1234"])]);
    for asked in [&["c-l"][..], &[], &["*"], &["l"]] {
        let entry = server.person("bob").read_attributes(ANN, asked);
        // slapd shows what is compared.
        let expected = Subject::current().pick(["Lyon", "Paris"], ["lyon", "paris"]);
        assert_eq!(entry.values("c-l"), expected, "{asked:?}");
    }
    assert!(!client.read_attributes(ANN, &["mail"]).has("c-l"));
    assert!(!client.read(SUFFIX).has("c-l"), "above the area");
    only_entente_from_here!(Unserved);
    assert_eq!(client.read(&format!("cn=shared,{PEOPLE}")).values("c-l"), ["Lyon", "Paris"]);
    for filter in ["(c-l=paris)", "(l=PARIS)", "(c-l=*)", "(c-l=Par*)", "(&(uid=*)(c-l=Lyon))", "(!(!(c-l=lyon)))"] {
        let found = client.search(&Search::subtree(SUFFIX, &format!("(&(uid=ann){filter})")));
        assert_eq!(found.names(), ["ann"], "{filter}");
        let found = client.search(&Search::base(PEOPLE).scope(ONE).filter(filter)).expect(code::SUCCESS);
        assert!(found.names().contains(&"bob".to_owned()), "{filter}: {:?}", found.names());
    }
    assert!(client.names(SUFFIX, "(&(uid=*)(c-l=Rome))").is_empty());
    assert!(client.names(SUFFIX, "(&(uid=*)(!(c-l=Paris)))").is_empty());
    client.perform(&request::compare(ANN, "c-l", b"PARIS")).expect(code::COMPARE_TRUE);
    client.perform(&request::compare(ANN, "c-l", b"Rome")).expect(code::COMPARE_FALSE);
    client.perform(&request::compare(SUFFIX, "c-l", b"Paris")).expect(code::NO_SUCH_ATTRIBUTE);
    // Section 2.2.
    let named = client.read_attributes(ANN, &["collectiveAttributeSubentries"]);
    assert_eq!(named.values("collectiveAttributeSubentries"), [format!("cn=shared,{PEOPLE}")]);
    assert_eq!(client.names(SUFFIX, "(&(uid=ann)(collectiveAttributeSubentries=*))"), ["ann"]);
    assert!(!client.read_attributes(SUFFIX, &["+"]).has("collectiveAttributeSubentries"));
    // What the subentry says is said of all, at once.
    client.modify(&format!("cn=shared,{PEOPLE}"), &[(REPLACE, "c-l", &["Rome"])]).expect(code::SUCCESS);
    assert_eq!(client.read(ANN).values("c-l"), ["Rome"]);
    assert!(client.names(SUFFIX, "(&(uid=*)(c-l=Paris))").is_empty());
    let read = Control::read_entry(oid::POST_READ, &["c-l", "title"]);
    let after = client.with(read).modify(ANN, &[(REPLACE, "title", &["x"])]).expect(code::SUCCESS);
    assert!(String::from_utf8_lossy(&after.control(oid::POST_READ)).contains("Rome"));
    client.delete(&format!("cn=shared,{PEOPLE}")).expect(code::SUCCESS);
    assert!(!client.read(ANN).has("c-l"));
}

/// Section 2.3.
#[test]
fn an_entry_keeps_some_or_all_of_them_off() {
    only_entente!(Unserved);
    let (_server, mut client) = sharing("{}", &[("c-l", &["Paris"]), ("c-PostalCode", &["75001"])]);
    client.modify(ANN, &[(ADD, "collectiveExclusions", &["c-l"])]).expect(code::SUCCESS);
    let entry = client.read(ANN);
    assert_eq!((entry.has("c-l"), entry.values("c-PostalCode")), (false, vec!["75001".to_owned()]));
    assert!(client.names(SUFFIX, "(&(uid=ann)(c-l=Paris))").is_empty());
    client.modify(ANN, &[(REPLACE, "collectiveExclusions", &["2.5.18.0"])]).expect(code::SUCCESS);
    let entry = client.read(ANN);
    assert!(!entry.has("c-l") && !entry.has("c-PostalCode"));
    client.modify(ANN, &[(DELETE, "collectiveExclusions", &[])]).expect(code::SUCCESS);
    assert_eq!(client.read(ANN).values("c-l"), ["Paris"]);
}

/// Section 2: they are changed where they stand.
#[test]
fn they_cannot_be_changed_through_the_entries() {
    let (_server, mut client) = sharing("{}", &[("c-l", &["Paris"])]);
    let expected = Subject::current().pick(code::OBJECT_CLASS_VIOLATION, code::UNWILLING_TO_PERFORM);
    client.modify(ANN, &[(ADD, "c-l", &["Rome"])]).expect(expected);
    only_entente_from_here!(Unserved);
    client.modify(ANN, &[(DELETE, "c-l", &[])]).expect(code::NO_SUCH_ATTRIBUTE);
    let entry: [(&str, &[&str]); 4] =
        [("objectClass", &["person", "extensibleObject"]), ("cn", &["x"]), ("sn", &["x"]), ("c-l", &["Rome"])];
    client.add(&format!("cn=x,{PEOPLE}"), &entry).expect(code::OBJECT_CLASS_VIOLATION);
}

/// Entries are sorted by what they share as by what is their own, and by the supertype that both have.
#[test]
fn shared_values_count_as_sort_keys() {
    only_entente!(Unserved);
    let specification = r#"{ specificExclusions { chopBefore:"uid=ann" } }"#;
    let (_server, mut client) = sharing(specification, &[("c-l", &["Paris"])]);
    client.modify(ANN, &[(REPLACE, "l", &["Berlin"])]).expect(code::SUCCESS);
    client.modify(BOB, &[(REPLACE, "l", &["Zurich"]), (ADD, "collectiveExclusions", &["c-l"])]).expect(code::SUCCESS);
    let people = Search::subtree(PEOPLE, "(uid=*)").attributes(&["uid"]);
    let order = |client: &mut crate::support::client::Client, key: &str| {
        let found = client.with(Control::sort(&[key, "uid"])).search(&people).expect(code::SUCCESS);
        found.entries.iter().map(|entry| entry.value("uid")).collect::<Vec<_>>()
    };
    let by_place = order(&mut client, "l");
    assert_eq!((by_place.first().map(String::as_str), by_place.last().map(String::as_str)), (Some("ann"), Some("bob")));
    let shared = order(&mut client, "c-l");
    assert_eq!(shared[shared.len() - 2..], ["ann", "bob"], "those without it come last");
}

/// RFC 3672 appendix A: what is no subtree specification is refused with the place where it stops to be one.
#[test]
fn a_subtree_specification_that_cannot_be_read_is_refused() {
    // slapd 2.5 takes any text.
    only_entente!(Lax);
    let (mut client, branch) = Server::shared().branch("subtree-syntax");
    let policy = |client: &mut crate::support::client::Client, name: &str, text: &str| {
        let attributes: [(&str, &[&str]); 3] =
            [("objectClass", &["subentry"]), ("cn", &[name]), ("subtreeSpecification", &[text])];
        client.add(&format!("cn={name},{branch}"), &attributes)
    };
    policy(&mut client, "good", r#"{ base "ou=x", minimum 1 }"#).expect(code::SUCCESS);
    for (text, place) in [("nonsense", "byte 0"), ("{ base ou=x }", "byte 7"), ("{} }", "byte 3")] {
        let refused = policy(&mut client, "bad", text).expect(code::INVALID_ATTRIBUTE_SYNTAX);
        assert!(refused.diagnostic.contains(place), "{text}: {}", refused.diagnostic);
    }
    let change: [(i64, &str, &[&str]); 1] = [(REPLACE, "subtreeSpecification", &["{ maximum x }"])];
    client.modify(&format!("cn=good,{branch}"), &change).expect(code::INVALID_ATTRIBUTE_SYNTAX);
}

/// RFC 3672 2.1: base, exclusions, depth and classes say which entries share.
#[test]
fn the_subtree_specification_says_which_entries() {
    only_entente!(Unserved);
    let specification = r#"{ specificExclusions { chopBefore:"ou=out", chopAfter:"ou=in" }, minimum 1, specificationFilter not:item:device }"#;
    let (_server, mut client) = sharing(specification, &[("c-l", &["Paris"])]);
    let unit: [(&str, &[&str]); 1] = [("objectClass", &["organizationalUnit"])];
    for name in ["out", "in"] {
        client.add(&format!("ou={name},{PEOPLE}"), &unit).expect(code::SUCCESS);
        add_person(&mut client, &format!("ou={name},{PEOPLE}"), &format!("p-{name}"));
    }
    client.add(&format!("cn=thing,{PEOPLE}"), &[("objectClass", &["device"])]).expect(code::SUCCESS);
    let shares = |client: &mut crate::support::client::Client, dn: &str| client.read(dn).has("c-l");
    for (dn, expected) in [
        (PEOPLE.to_owned(), false),
        (ANN.to_owned(), true),
        (format!("ou=out,{PEOPLE}"), false),
        (format!("uid=p-out,ou=out,{PEOPLE}"), false),
        (format!("ou=in,{PEOPLE}"), true),
        (format!("uid=p-in,ou=in,{PEOPLE}"), false),
        (format!("cn=thing,{PEOPLE}"), false),
    ] {
        assert_eq!(shares(&mut client, &dn), expected, "{dn}");
    }
    let found = client.names(PEOPLE, "(c-l=Paris)");
    assert!(found.contains(&"in".to_owned()) && !found.contains(&"p-in".to_owned()), "{found:?}");
}

/// Access rules are asked of the entry that shows the value, by the collective type.
#[test]
fn access_rules_hold_for_what_is_shared() {
    only_entente!(Unserved);
    let rules = [
        r#"(targetattr != "userPassword || c-l")(version 3.0; acl "most"; allow (read, search, compare) userdn = "ldap:///anyone";)"#,
        r#"(target = "ldap:///uid=bob,ou=people,dc=example,dc=com")(targetattr = "c-l")(version 3.0; acl "bob's"; allow (read, search, compare) userdn = "ldap:///anyone";)"#,
    ];
    let server = Server::start(Setup::default().with_access(&rules, ""));
    let entry: [(&str, &[&str]); 4] =
        [("objectClass", CLASSES), ("cn", &["shared"]), ("subtreeSpecification", &["{}"]), ("c-l", &["Paris"])];
    server.admin().add(&format!("cn=shared,{PEOPLE}"), &entry).expect(code::SUCCESS);
    let mut client = server.anonymous();
    assert!(!client.read(ANN).has("c-l"));
    assert_eq!(client.read(BOB).values("c-l"), ["Paris"]);
    assert_eq!(client.names(SUFFIX, "(c-l=Paris)"), ["bob"]);
    client.perform(&request::compare(ANN, "c-l", b"Paris")).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
}
