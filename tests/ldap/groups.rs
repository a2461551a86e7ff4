//! Groups of every kind and what follows from them: `memberOf`, `isMemberOf`. Computed, so that they hold for what was
//! imported too; slapd's overlay knows `member` alone.

use crate::support::client::Client;
use crate::support::code;
use crate::support::oid::IN_CHAIN;
use crate::support::request::{ADD, DELETE, REPLACE};
use crate::support::server::{SUFFIX, Server, Setup, Subject};
use crate::support::strain::Use;
use crate::{ANN, BOB, GROUPS, PEOPLE, add_person};

#[track_caller]
fn values(client: &mut Client, dn: &str, name: &str) -> Vec<String> {
    let mut values = client.read_attributes(dn, &[name]).values(name);
    values.sort();
    values
}

/// RFC 2307bis: the members of a posixGroup are named by their uid.
#[test]
fn member_of_knows_members_by_uid_and_by_unique_name() {
    only_entente!(Own);
    let mut client = Server::shared().admin();
    let (unix, unique) = (format!("cn=unix,{GROUPS}"), format!("cn=unique,{GROUPS}"));
    assert!(values(&mut client, &format!("uid=carol,{PEOPLE}"), "memberOf").contains(&unix));
    assert!(values(&mut client, ANN, "memberOf").contains(&unique));
    assert_eq!(client.names(PEOPLE, &format!("(memberOf={unix})")), ["bob", "carol"]);
    assert_eq!(client.names(PEOPLE, &format!("(memberOf={unique})")), ["ann"]);
    client.compare(BOB, "memberOf", &unix).expect(code::COMPARE_TRUE);
    client.compare(ANN, "memberOf", &unix).expect(code::COMPARE_FALSE);
}

/// draft-howard-rfc2307bis: a groupOfMembers may be empty, a groupOfNames (RFC 4519 3.5) may not.
#[test]
fn a_group_of_members_may_be_empty() {
    // slapd's overlay knows one class.
    let setup = Setup { slapd_memberof: false, ..Setup::default() };
    let class = "objectclass ( 1.3.6.1.1.1.2.18 NAME 'groupOfMembers' SUP top STRUCTURAL MUST cn MAY member )\n";
    let overlay = "overlay memberof\nmemberof-group-oc groupOfMembers\n";
    let server = Server::start(setup.with_slapd_global(class).with_slapd_lines(overlay));
    let (mut client, branch) = server.branch("groups-empty");
    let person = add_person(&mut client, &branch, "p");
    let group = format!("cn=g,{branch}");
    client.add(&group, &[("objectClass", &["groupOfMembers"])]).expect(code::SUCCESS);
    client.modify(&group, &[(ADD, "member", &[&person])]).expect(code::SUCCESS);
    assert_eq!(values(&mut client, &person, "memberOf"), std::slice::from_ref(&group));
    client.modify(&group, &[(DELETE, "member", &[&person])]).expect(code::SUCCESS);
    assert!(values(&mut client, &person, "memberOf").is_empty());
    let strict = format!("cn=s,{branch}");
    client.add(&strict, &[("objectClass", &["groupOfNames"])]).expect(code::OBJECT_CLASS_VIOLATION);
}

/// As 389 Directory Server lets them; against RFC 4519 3.5 and 3.6, so that it is a setting.
#[test]
fn every_group_may_be_empty_where_the_administrator_says_so() {
    only_entente!(Setting);
    let server = Server::start(Setup { settings: vec!["schema.empty_groups=true".to_owned()], ..Setup::default() });
    let mut client = server.admin();
    for (class, members) in [("groupOfNames", "member"), ("groupOfUniqueNames", "uniqueMember")] {
        let group = format!("cn={class},{SUFFIX}");
        client.add(&group, &[("objectClass", &[class])]).expect(code::SUCCESS);
        client.modify(&group, &[(ADD, members, &[ANN])]).expect(code::SUCCESS);
        client.modify(&group, &[(DELETE, members, &[])]).expect(code::SUCCESS);
    }
    let schema = client.read_attributes("cn=subschema", &["objectClasses"]).values("objectClasses");
    let told = schema.iter().find(|text| text.contains("'groupOfNames'")).expect("it is told");
    assert!(told.contains("MUST cn") && told.contains("member"), "{told}");
}

/// A member that is deleted leaves its groups, and comes back to them.
#[test]
fn the_last_member_may_be_deleted() {
    let (mut client, branch) = Server::shared().branch("groups-last");
    let person = add_person(&mut client, &branch, "p");
    let group = format!("cn=g,{branch}");
    client.add(&group, &[("objectClass", &["groupOfNames"]), ("member", &[&person])]).expect(code::SUCCESS);
    client.delete(&person).expect(code::SUCCESS);
    // slapd keeps the name of nobody, for its schema's sake.
    only_entente_from_here!(Unserved);
    assert!(values(&mut client, &group, "member").is_empty());
    assert!(client.names(&branch, "(member=*)").is_empty());
}

#[test]
fn is_member_of_goes_through_groups_and_member_of_does_not() {
    // What slapd's overlay dynlist calls memberOf.
    let server = Server::start(Setup::with_dynlist());
    let mut client = server.admin();
    let (staff, everybody) = (format!("cn=staff,{GROUPS}"), format!("cn=everybody,{GROUPS}"));
    let nested = Subject::current().pick("isMemberOf", "memberOf");
    let all = values(&mut client, ANN, nested);
    assert!(all.contains(&staff) && all.contains(&everybody), "{all:?}");
    assert_eq!(client.names(PEOPLE, &format!("({nested}={everybody})")), ["ann", "bob", "carol"]);
    assert!(!client.read(ANN).has(nested), "operational: not by *");
    only_entente_from_here!(Foreign);
    let direct = values(&mut client, ANN, "memberOf");
    assert!(direct.contains(&staff) && !direct.contains(&everybody), "{direct:?}");
    assert_eq!(client.names(PEOPLE, &format!("(memberOf={everybody})")), ["carol"]);
    assert_eq!(client.names(PEOPLE, "(memberOf=*)"), client.names(PEOPLE, "(isMemberOf=*)"));
    client.modify(ANN, &[(REPLACE, "isMemberOf", &[&staff])]).expect(code::CONSTRAINT_VIOLATION);
}

/// groupOfURLs: a group is what its LDAP URLs (RFC 4516) find.
#[test]
fn a_group_by_search_has_whom_its_url_finds() {
    let server = Server::start(Setup::with_dynlist());
    let (mut client, branch) = server.branch("groups-dynamic");
    let (one, two) = (add_person(&mut client, &branch, "one"), add_person(&mut client, &branch, "two"));
    client.modify(&one, &[(REPLACE, "title", &["Engineer"])]).expect(code::SUCCESS);
    let group = format!("cn=engineers,{branch}");
    let url = format!("ldap:///{branch}??one?(title=Engineer)");
    client.add(&group, &[("objectClass", &["groupOfURLs"]), ("memberURL", &[&url])]).expect(code::SUCCESS);
    let outer = format!("cn=outer,{branch}");
    client.add(&outer, &[("objectClass", &["groupOfNames"]), ("member", &[&group])]).expect(code::SUCCESS);
    // slapd's memberOf goes through groups here.
    let all = values(&mut client, &one, Subject::current().pick("isMemberOf", "memberOf"));
    assert!(all.contains(&group), "{all:?}");
    assert_eq!(client.names(&branch, &format!("(memberOf={group})")), ["one"]);
    if !Subject::current().is_slapd() {
        assert_eq!(values(&mut client, &one, "memberOf"), std::slice::from_ref(&group));
        assert_eq!(all, [group.clone(), outer.clone()]);
        for filter in ["isMemberOf=", &format!("memberOf:{IN_CHAIN}:=")] {
            assert_eq!(client.names(&branch, &format!("({filter}{group})")), ["one"], "{filter}");
        }
        let nested = client.names(&branch, &format!("(isMemberOf={outer})"));
        assert_eq!(nested, ["engineers", "one"]);
    }
    assert!(values(&mut client, &two, "memberOf").is_empty());
    // It follows the attributes of the members at once.
    client.modify(&two, &[(REPLACE, "title", &["Engineer"])]).expect(code::SUCCESS);
    client.modify(&one, &[(DELETE, "title", &[])]).expect(code::SUCCESS);
    assert_eq!(client.names(&branch, &format!("(memberOf={group})")), ["two"]);
    only_entente_from_here!(Unserved);
    assert_eq!(client.names(&branch, "(memberOf=*)"), ["engineers", "two"]);
}

/// What a URL may not ask: memberships (a circle), secrets, another server.
#[test]
fn a_url_that_asks_for_too_much_names_nobody() {
    only_entente!(Own);
    let (mut client, branch) = Server::shared().branch("groups-refused");
    add_person(&mut client, &branch, "one");
    for (cn, query) in [
        ("circle", "??sub?(memberOf=*)"),
        ("secret", "??sub?(userPassword=*)"),
        ("fitting", "??sub?(:caseIgnoreMatch:=person)"),
        ("broken", "??sub?(uid=one"),
    ] {
        let group = format!("cn={cn},{branch}");
        let url = format!("ldap:///{branch}{query}");
        client.add(&group, &[("objectClass", &["groupOfURLs"]), ("memberURL", &[&url])]).expect(code::SUCCESS);
        assert!(client.names(&branch, &format!("(memberOf={group})")).is_empty(), "{cn}");
    }
    let group = format!("cn=elsewhere,{branch}");
    let url = format!("ldap://other.example.net/{branch}??sub?(uid=one)");
    client.add(&group, &[("objectClass", &["groupOfURLs"]), ("memberURL", &[&url])]).expect(code::SUCCESS);
    assert!(client.names(&branch, "(memberOf=*)").is_empty());
}

/// A member costs one cell, however many there are: what is written to add or take away one is what it is for a group of a
/// hundred, and reading another attribute of the group reads none of them.
#[test]
fn a_member_of_a_group_of_100_000_costs_one_cell() {
    only_entente!(Cost);
    const MEMBERS: usize = 100_000;
    let group = |name: &str, count: usize| {
        let members: String =
            (0..count).map(|number| format!("member: uid=m{number},ou=elsewhere,{SUFFIX}\n")).collect();
        format!("dn: cn={name},{GROUPS}\nobjectClass: groupOfNames\ncn: {name}\n{members}")
    };
    let entries = [group("few", 100), group("many", MEMBERS)].join("\n");
    let server = Server::start(Setup::default().with_entries(&entries));
    let mut admin = server.admin();
    let (few, many) = (format!("cn=few,{GROUPS}"), format!("cn=many,{GROUPS}"));
    let mut written = |group: &str| {
        let before = Use::of(&server);
        for kind in [ADD, DELETE] {
            for member in [ANN, BOB] {
                admin.modify(group, &[(kind, "member", &[member])]).expect(code::SUCCESS);
            }
        }
        before.since(&server).written_kib / 4
    };
    let (of_few, of_many) = (written(&few), written(&many));
    println!("a member more or less: {of_few} KiB written for a group of 100, {of_many} KiB for one of 100,000");
    // A copy of the group's record alone would be 4,000 KiB.
    assert!(of_many < 2 * of_few + 64, "{of_many} KiB written for a member, {of_few} in a small group");
    let before = Use::of(&server);
    let name = admin.read_attributes(&many, &["cn"]);
    assert_eq!(name.value("cn"), "many");
    assert!(before.since(&server).cpu < 0.1, "reading a name reads no members");
    Use::forget_peak(&server);
    let before = Use::of(&server);
    let members = admin.read_attributes(&many, &["member"]).bytes("member");
    assert_eq!(members.len(), MEMBERS);
    let peak = before.since(&server).peak_kib;
    println!("reading 100,000 members: {peak} KiB more at the peak");
    assert!(peak < 64 * 1024, "{peak} KiB more at the peak");
    admin.compare(&many, "member", &format!("uid=m99999,ou=elsewhere,{SUFFIX}")).expect(code::COMPARE_TRUE);
}

/// The rule 1.2.840.113556.1.4.1941 follows the names of uniqueMember; a value with a UID (RFC 4517 3.3.21) makes nobody a
/// member, as for memberOf.
#[test]
fn chains_of_unique_members_are_followed() {
    only_entente!(Foreign);
    let (mut client, branch) = Server::shared().branch("unique-chain");
    let person = add_person(&mut client, &branch, "chained");
    let other = add_person(&mut client, &branch, "numbered");
    let (inner, outer) = (format!("cn=inner,{branch}"), format!("cn=outer,{branch}"));
    let numbered = format!("{other}#'0101'B");
    for (group, members) in [(&inner, vec![person.as_str(), numbered.as_str()]), (&outer, vec![inner.as_str()])] {
        client
            .add(group, &[("objectClass", &["groupOfUniqueNames"]), ("uniqueMember", &members)])
            .expect(code::SUCCESS);
    }
    let mut found = |filter: String| {
        let mut names = client.names(&branch, &filter);
        names.sort();
        names
    };
    assert_eq!(found(format!("(uniqueMember:1.2.840.113556.1.4.1941:={person})")), ["inner", "outer"]);
    assert_eq!(found(format!("(uniqueMember:1.2.840.113556.1.4.1941:={inner})")), ["outer"]);
    assert!(found(format!("(uniqueMember:1.2.840.113556.1.4.1941:={other})")).is_empty());
    assert_eq!(found(format!("(memberOf:1.2.840.113556.1.4.1941:={outer})")).len(), 2);
    assert_eq!(found(format!("(&(cn=outer)(uniqueMember:1.2.840.113556.1.4.1941:={person}))")), ["outer"]);
}
