//! Members that a groupOfURLs finds by search, as values of its `member`: slapd's overlay dynlist shows and compares them too.

use crate::support::client::Client;
use crate::support::code;
use crate::support::oid::{DEREFERENCE, IN_CHAIN, POST_READ};
use crate::support::request::{ADD, Control, DELETE, REPLACE, Search};
use crate::support::server::{SUFFIX, Server, Setup, Subject};
use crate::{ANN, BOB, PEOPLE, add_person};

const DYNLIST: &str = "overlay dynlist\ndynlist-attrset groupOfURLs memberURL member\n";

fn add_group(client: &mut Client, dn: &str, urls: &[&str], more: &[(&str, &[&str])]) {
    let mut attributes: Vec<(&str, &[&str])> = vec![("objectClass", &["groupOfURLs"]), ("memberURL", urls)];
    if !more.is_empty() {
        attributes[0].1 = &["groupOfURLs", "extensibleObject"];
    }
    attributes.extend(more);
    client.add(dn, &attributes).expect(code::SUCCESS);
}

#[track_caller]
fn members(client: &mut Client, group: &str) -> Vec<String> {
    client.read_attributes(group, &["member"]).values("member")
}

/// slapo-dynlist(5): shown when asked for by name or with all user attributes, and compared.
#[test]
fn members_found_by_search_are_values_of_member() {
    let server = Server::start(Setup::default().with_slapd_lines(DYNLIST));
    let mut client = server.admin();
    let group = format!("cn=found,{SUFFIX}");
    let url = format!("ldap:///{PEOPLE}??one?(|(uid=ann)(uid=bob))");
    add_group(&mut client, &group, &[&url], &[]);
    assert_eq!(members(&mut client, &group), [ANN, BOB]);
    assert_eq!(client.read(&group).values("member"), [ANN, BOB]);
    assert_eq!(client.read_attributes(&group, &["*"]).values("member"), [ANN, BOB]);
    assert!(!client.read_attributes(&group, &["cn", "+"]).has("member"));
    assert!(client.search(&Search::base(&group).types_only()).single().has("member"));
    client.compare(&group, "member", ANN).expect(code::COMPARE_TRUE);
    client.compare(&group, "member", &format!("uid=carol,{PEOPLE}")).expect(code::COMPARE_FALSE);
    // They are nobody's to take away, and come and go with what they match.
    client.modify(&group, &[(DELETE, "member", &[ANN])]).expect(code::NO_SUCH_ATTRIBUTE);
    client
        .modify(&group, &[(REPLACE, "memberURL", &[&format!("ldap:///{PEOPLE}??one?(uid=carol)")])])
        .expect(code::SUCCESS);
    assert_eq!(members(&mut client, &group), [format!("uid=carol,{PEOPLE}")]);
    client.modify(&group, &[(DELETE, "memberURL", &[])]).expect(code::SUCCESS);
    assert!(!client.read(&group).has("member"));
    client.compare(&group, "member", ANN).expect(Subject::current().pick(code::NO_SUCH_ATTRIBUTE, code::COMPARE_FALSE));
}

/// The filter finds the groups that memberOf names.
#[test]
fn groups_are_found_by_members_that_a_search_finds() {
    let server = Server::start(Setup::with_dynlist());
    let (mut client, branch) = server.branch("searched-filters");
    let (one, two) = (add_person(&mut client, &branch, "one"), add_person(&mut client, &branch, "two"));
    client.modify(&one, &[(REPLACE, "title", &["Engineer"])]).expect(code::SUCCESS);
    let (group, outer, empty) = (format!("cn=g,{branch}"), format!("cn=outer,{branch}"), format!("cn=empty,{branch}"));
    add_group(&mut client, &group, &[&format!("ldap:///{branch}??one?(title=Engineer)")], &[]);
    add_group(&mut client, &empty, &[&format!("ldap:///{branch}??one?(title=Nobody)")], &[]);
    client.add(&outer, &[("objectClass", &["groupOfNames"]), ("member", &[&group])]).expect(code::SUCCESS);
    for (filter, expected) in [
        (format!("(member={one})"), &["g"][..]),
        (format!("(member={two})"), &[]),
        (format!("(distinguishedName={one})"), &["g"]),
        (format!("(member:distinguishedNameMatch:={one})"), &["g"]),
        (format!("(:distinguishedNameMatch:={one})"), &["g"]),
        (format!("(member=uid=nobody,{branch})"), &[]),
        (format!("(member:{IN_CHAIN}:={one})"), &["g", "outer"]),
        (format!("(member:{IN_CHAIN}:={two})"), &[]),
        ("(member=*)".to_owned(), &["g", "outer"]),
        ("(&(objectClass=groupOfURLs)(!(member=*)))".to_owned(), &["empty"]),
        (format!("(&(cn=g)(!(member={one})))"), &[]),
        (format!("(&(objectClass=groupOfURLs)(!(member={one})))"), &["empty"]),
        (format!("(|(cn=nothing)(member={one}))"), &["g"]),
    ] {
        // slapd knows `member` alone, by equality, where nothing is beside it.
        if Subject::current().is_slapd() && !(filter.starts_with("(member=uid") || filter.starts_with("(|")) {
            continue;
        }
        assert_eq!(client.names(&branch, &filter), expected, "{filter}");
    }
    assert_eq!(client.names(&branch, &format!("(memberOf={group})")), ["one"]);
    only_entente_from_here!(Unserved);
    // RFC 4528; RFC 3876; draft-masarati-ldap-deref.
    let asserting = Control::assertion(&format!("(member={one})"));
    client.with(asserting.clone()).search(&Search::base(&group)).expect(code::SUCCESS);
    client.with(asserting.clone()).compare(&group, "cn", "g").expect(code::COMPARE_TRUE);
    // But for changes, which no search may hold up.
    client.with(asserting).modify(&group, &[(REPLACE, "description", &["x"])]).expect(code::ASSERTION_FAILED);
    let fitting = Control::matched_values(&[&format!("(member={two})")]);
    assert!(!client.with(fitting).search(&Search::base(&group)).single().has("member"));
    let found = client.with(Control::dereference(&[("member", &["uid"])])).search(&Search::base(&group));
    let told = found.expect(code::SUCCESS).control_of(0, DEREFERENCE).expect("a dereference response");
    assert!(told.windows(one.len()).any(|part| part == one.as_bytes()));
}

/// RFC 2891: the least value decides, and what a search finds is a value.
#[test]
fn groups_are_sorted_by_members_that_a_search_finds() {
    only_entente!(Unserved);
    let (mut client, branch) = Server::shared().branch("searched-order");
    let people = ["a", "b", "c"].map(|uid| add_person(&mut client, &branch, uid));
    for (group, uid) in [("last", "c"), ("first", "a"), ("none", "nobody")] {
        add_group(&mut client, &format!("cn={group},{branch}"), &[&format!("ldap:///{branch}??one?(uid={uid})")], &[]);
    }
    let listed = format!("cn=listed,{branch}");
    client.add(&listed, &[("objectClass", &["groupOfNames"]), ("member", &[&people[1]])]).expect(code::SUCCESS);
    for (key, expected) in [
        ("member", ["first", "listed", "last", "none"]),
        ("-member", ["none", "last", "listed", "first"]),
        // As for filters: options are of values that are stored.
        ("member;lang-en", ["last", "first", "none", "listed"]),
    ] {
        let found = client
            .with(Control::sort(&[key]))
            .search(&Search::subtree(&branch, "(|(objectClass=groupOfURLs)(objectClass=groupOfNames))"));
        let names: Vec<String> = found.expect(code::SUCCESS).entries.iter().map(|entry| entry.value("cn")).collect();
        assert_eq!(names, expected, "{key}");
    }
}

/// An entry may have both kinds, and each member is shown once.
#[test]
fn stored_members_stand_beside_those_that_a_search_finds() {
    let server = Server::start(Setup::with_dynlist());
    let (mut client, branch) = server.branch("searched-both");
    let people = ["a", "b", "c"].map(|uid| add_person(&mut client, &branch, uid));
    let group = format!("cn=g,{branch}");
    let urls = [format!("ldap:///{branch}??one?(uid=b)"), format!("ldap:///{branch}??sub?(uid=b)")];
    let stored: [&str; 2] = [&people[0], &people[1]];
    add_group(&mut client, &group, &[&urls[0], &urls[1]], &[("member", &stored)]);
    assert_eq!(members(&mut client, &group), stored);
    client.modify(&group, &[(DELETE, "member", &[&people[1]])]).expect(code::SUCCESS);
    assert_eq!(members(&mut client, &group), stored);
    client.modify(&group, &[(ADD, "member", &[&people[2]])]).expect(code::SUCCESS);
    assert_eq!(members(&mut client, &group), people);
    for person in &people {
        // slapd compares with what the search finds, and finds by that.
        let is_found = !Subject::current().is_slapd() || person == &people[1];
        let expected = if is_found { code::COMPARE_TRUE } else { code::COMPARE_FALSE };
        client.compare(&group, "member", person).expect(expected);
        assert_eq!(client.names(&branch, &format!("(member={person})")), ["g"]);
    }
    // Answers to changes say what is stored: no search is made while one is under way.
    let read = Control::read_entry(POST_READ, &["member"]);
    let told = client.with(read).modify(&group, &[(DELETE, "member", &[&people[0]])]).expect(code::SUCCESS);
    let told = String::from_utf8_lossy(&told.control(POST_READ)).into_owned();
    assert!(told.contains(&people[2]) && !told.contains(&people[1]), "{told}");
}

/// A URL that asks for members would ask for itself: it is about those that are stored.
#[test]
fn a_url_that_asks_for_members_ends() {
    let server = Server::start(Setup::with_dynlist());
    let (mut client, branch) = server.branch("searched-circle");
    let (one, two) = (format!("cn=one,{branch}"), format!("cn=two,{branch}"));
    add_group(&mut client, &one, &[&format!("ldap:///{branch}??sub?(member={two})")], &[]);
    add_group(&mut client, &two, &[&format!("ldap:///{branch}??sub?(member={one})")], &[]);
    assert!(members(&mut client, &one).is_empty());
    assert!(client.names(&branch, "(member=*)").is_empty());
    let expected = Subject::current().pick(code::NO_SUCH_ATTRIBUTE, code::COMPARE_FALSE);
    client.compare(&one, "member", &one).expect(expected);
    let listed = format!("cn=listed,{branch}");
    client.add(&listed, &[("objectClass", &["groupOfNames"]), ("member", &[&two])]).expect(code::SUCCESS);
    assert_eq!(members(&mut client, &one), [listed]);
}

/// slapd's dynlist searches with the rights of who asks. Here the right to `member` decides, as for a group of names, but
/// that nobody hears by it of an entry that he may not know of.
#[test]
fn who_may_not_know_of_an_entry_does_not_hear_of_it_as_a_member() {
    let rules = [
        r#"(targetattr != "userPassword")(version 3.0; acl "all"; allow (read, search, compare) userdn = "ldap:///anyone";)"#.to_owned(),
        format!(
            r#"(target = "ldap:///{BOB}")(targetattr = "* || +")(version 3.0; acl "no"; deny (all) userdn = "ldap:///anyone";)"#
        ),
        format!(
            r#"(target = "ldap:///cn=closed,{SUFFIX}")(targetattr = "member")(version 3.0; acl "no"; deny (all) userdn = "ldap:///anyone";)"#
        ),
    ];
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let slapd = format!(
        "access to dn.base=\"{BOB}\" by * none\naccess to dn.base=\"cn=closed,{SUFFIX}\" attrs=member by * none\n\
         access to attrs=userPassword by anonymous auth\naccess to * by * read\n"
    );
    let setup = Setup::with_dynlist().with_access(&rules, &slapd);
    let server = Server::start(setup);
    let mut admin = server.admin();
    let url = format!("ldap:///{PEOPLE}??one?(|(uid=ann)(uid=bob))");
    let (open, closed) = (format!("cn=open,{SUFFIX}"), format!("cn=closed,{SUFFIX}"));
    let bobs = format!("cn=bobs,{SUFFIX}");
    add_group(&mut admin, &open, &[&url], &[]);
    add_group(&mut admin, &closed, &[&url], &[]);
    add_group(&mut admin, &bobs, &[&format!("ldap:///{BOB}??base?")], &[]);
    assert_eq!(members(&mut admin, &open), [ANN, BOB]);
    let mut client = server.anonymous();
    assert_eq!(members(&mut client, &open), [ANN]);
    assert!(members(&mut client, &closed).is_empty() && members(&mut client, &bobs).is_empty());
    assert_eq!(client.names(SUFFIX, &format!("(&(memberURL=*)(member={ANN}))")), ["open"]);
    assert!(client.names(SUFFIX, &format!("(&(memberURL=*)(member={BOB}))")).is_empty());
    assert!(client.names(SUFFIX, &format!("(&(memberURL=*)(member:{IN_CHAIN}:={BOB}))")).is_empty());
    assert_eq!(client.names(SUFFIX, "(&(memberURL=*)(member=*))"), ["open"]);
    assert_eq!(client.names(SUFFIX, "(&(cn=bobs)(!(member=*)))"), ["bobs"]);
    assert!(client.names(SUFFIX, "(&(cn=closed)(!(member=*)))").is_empty(), "Undefined, not False");
    client.compare(&open, "member", ANN).expect(code::COMPARE_TRUE);
    // slapd compares with all.
    client.compare(&open, "member", BOB).expect(Subject::current().pick(code::COMPARE_FALSE, code::COMPARE_TRUE));
    let expected = Subject::current().pick(code::INSUFFICIENT_ACCESS_RIGHTS, code::COMPARE_TRUE);
    client.compare(&closed, "member", ANN).expect(expected);
    // slapd has no order of names.
    only_entente_from_here!(Unserved);
    let in_order = |client: &mut Client| {
        let found = client.with(Control::sort(&["-member"])).search(&Search::subtree(SUFFIX, "(memberURL=*)"));
        found.expect(code::SUCCESS).entries.iter().map(|entry| entry.value("cn")).collect::<Vec<String>>()
    };
    assert_eq!(in_order(&mut admin), ["bobs", "open", "closed"]);
    assert_eq!(
        in_order(&mut client),
        ["closed", "bobs", "open"],
        "who may not know of Bob does not hear of him by the order"
    );
}
