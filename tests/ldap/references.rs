//! Values that name an entry before it is there (RFC 4511 asks for no target), and what becomes of them when it comes, gets
//! another name, and goes: as of values that were written afterwards. slapd's overlay refint does it a little later.

use crate::support::client::Client;
use crate::support::code;
use crate::support::request::{ADD, Control, DELETE};
use crate::support::server::{Server, Setup, Subject, check};
use crate::support::wait::wait_until;
use crate::{GROUPS, PEOPLE, add_person};

#[track_caller]
fn values(client: &mut Client, dn: &str, name: &str) -> Vec<String> {
    let mut values = client.read_attributes(dn, &[name]).values(name);
    values.sort();
    values
}

/// The groups that an entry shows; slapd's overlay for it would be in the way of the other one.
#[track_caller]
fn expect_groups(client: &mut Client, dn: &str, groups: &[String]) {
    if !Subject::current().is_slapd() {
        assert_eq!(values(client, dn, "memberOf"), groups, "{dn}");
    }
}

/// Waits for slapd's overlay until the values contain the one or, where it is told to, do not.
#[track_caller]
fn settled(client: &mut Client, dn: &str, name: &str, (value, is_there): (&str, bool)) {
    let mut has = || values(client, dn, name).iter().any(|other| other.eq_ignore_ascii_case(value));
    if Subject::current().is_slapd() {
        wait_until(value, || has() == is_there);
    }
}

#[track_caller]
fn add_group(client: &mut Client, dn: &str, members: &[&str]) {
    client.add(dn, &[("objectClass", &["groupOfNames"]), ("member", members)]).expect(code::SUCCESS);
}

#[track_caller]
fn add_unit(client: &mut Client, dn: &str) {
    client.add(dn, &[("objectClass", &["organizationalUnit"])]).expect(code::SUCCESS);
}

#[test]
fn a_reference_follows_the_rename_of_a_target_that_came_after_it() {
    let server = Server::start(Setup::with_refint());
    let (mut client, branch) = server.branch("references-rename");
    let (group, person) = (format!("cn=g,{branch}"), format!("uid=b,{branch}"));
    let boss: [(&str, &[&str]); 5] = [
        ("objectClass", &["inetOrgPerson"]),
        ("cn", &["Boss"]),
        ("sn", &["Boss"]),
        ("manager", &[&person]),
        ("seeAlso", &[&person]),
    ];
    client.add(&format!("uid=a,{branch}"), &boss).expect(code::SUCCESS);
    add_group(&mut client, &group, &["cn=nobody", &person]);
    add_person(&mut client, &branch, "b");
    let before = client.read_attributes(&group, &["modifiersName"]).values("modifiersName");
    let renamed = format!("uid=b2,{branch}");
    client.modify_dn(&person, "uid=b2", true, None).expect(code::SUCCESS);
    settled(&mut client, &group, "member", (&renamed, true));
    for attribute in ["manager", "seeAlso"] {
        settled(&mut client, &format!("uid=a,{branch}"), attribute, (&renamed, true));
    }
    expect_groups(&mut client, &renamed, std::slice::from_ref(&group));
    assert_eq!(values(&mut client, &group, "member"), ["cn=nobody", &renamed]);
    // The overlay signs what it does.
    let after = client.read_attributes(&group, &["modifiersName"]).values("modifiersName");
    assert_eq!(after == before, !Subject::current().is_slapd(), "{after:?}");
    for attribute in ["manager", "seeAlso"] {
        assert_eq!(client.names(&branch, &format!("({attribute}={renamed})")), ["a"], "{attribute}");
        assert!(client.names(&branch, &format!("({attribute}={person})")).is_empty(), "{attribute}");
    }
    assert_eq!(client.names(&branch, &format!("(member={renamed})")), ["g"]);
    // Whoever has the old name next is somebody else.
    add_person(&mut client, &branch, "b");
    expect_groups(&mut client, &person, &[]);
    client.modify(&group, &[(DELETE, "member", &[&person])]).expect(code::NO_SUCH_ATTRIBUTE);
    client.modify(&group, &[(DELETE, "member", &[&renamed])]).expect(code::SUCCESS);
    assert_eq!(values(&mut client, &group, "member"), ["cn=nobody"]);
}

#[test]
fn a_reference_goes_with_a_target_that_came_after_it() {
    let server = Server::start(Setup::with_refint());
    let (mut client, branch) = server.branch("references-delete");
    let (group, person) = (format!("cn=g,{branch}"), format!("uid=b,{branch}"));
    add_group(&mut client, &group, &["cn=nobody", &person]);
    add_person(&mut client, &branch, "b");
    client.delete(&person).expect(code::SUCCESS);
    settled(&mut client, &group, "member", (&person, false));
    assert_eq!(values(&mut client, &group, "member"), ["cn=nobody"]);
    assert!(client.names(&branch, &format!("(member={person})")).is_empty());
    add_person(&mut client, &branch, "b");
    expect_groups(&mut client, &person, &[]);
    assert_eq!(values(&mut client, &group, "member"), ["cn=nobody"]);
}

#[test]
fn references_follow_superiors_that_came_after_them() {
    let server = Server::start(Setup::with_refint());
    let (mut client, branch) = server.branch("references-superior");
    let (group, unit) = (format!("cn=g,{branch}"), format!("ou=e,{branch}"));
    let (person, absent) = (format!("uid=b,ou=f,{unit}"), format!("uid=c,ou=f,{unit}"));
    add_group(&mut client, &group, &[&person, &absent, &unit]);
    add_unit(&mut client, &unit);
    add_unit(&mut client, &format!("ou=f,{unit}"));
    add_person(&mut client, &format!("ou=f,{unit}"), "b");
    client.modify_dn(&unit, "ou=z", true, None).expect(code::SUCCESS);
    let moved = format!("ou=z,{branch}");
    let renamed = format!("uid=b,ou=f,{moved}");
    settled(&mut client, &group, "member", (&renamed, true));
    // What names nobody stays what was written; in slapd it goes by the name.
    let absent = Subject::current().pick(absent, format!("uid=c,ou=f,{moved}"));
    let mut expected = [moved.clone(), renamed.clone(), absent];
    expected.sort();
    assert_eq!(values(&mut client, &group, "member"), expected);
    expect_groups(&mut client, &renamed, std::slice::from_ref(&group));
    expect_groups(&mut client, &moved, std::slice::from_ref(&group));
    assert_eq!(client.names(&branch, &format!("(member={renamed})")), ["g"]);
}

/// Name and Optional UID (RFC 4517 3.3.21): what is written behind the name stays.
#[test]
fn unique_members_follow_what_they_name() {
    let server = Server::start(Setup::with_refint());
    let (mut client, branch) = server.branch("references-unique");
    let unit = format!("ou=e,{branch}");
    add_unit(&mut client, &unit);
    let (ann, bob) = (add_person(&mut client, &unit, "a"), add_person(&mut client, &unit, "b"));
    let (group, absent) = (format!("cn=g,{branch}"), format!("uid=c,{unit}"));
    let (with_uid, upper) = (format!("{ann}#'0101'B"), bob.to_uppercase());
    let members: [&str; 5] = [&ann, &with_uid, &upper, &absent, &branch];
    client.add(&group, &[("objectClass", &["groupOfUniqueNames"]), ("uniqueMember", &members)]).expect(code::SUCCESS);
    client.modify_dn(&ann, "uid=a2", true, None).expect(code::SUCCESS);
    let renamed = format!("uid=a2,{unit}");
    settled(&mut client, &group, "uniqueMember", (&renamed, true));
    // slapd follows names without a UID.
    only_entente_from_here!(Unserved);
    let shown = values(&mut client, &group, "uniqueMember");
    assert!(shown.contains(&renamed) && shown.contains(&format!("{renamed}#'0101'B")) && shown.len() == 5, "{shown:?}");
    assert_eq!(client.names(&branch, &format!("(uniqueMember={renamed})")), ["g"]);
    expect_groups(&mut client, &renamed, std::slice::from_ref(&group));
    // With the superior goes what is below it, and what names nobody stays.
    client.modify_dn(&unit, "ou=z", true, None).expect(code::SUCCESS);
    let (first, second) = (format!("uid=a2,ou=z,{branch}"), format!("uid=b,ou=z,{branch}"));
    let shown: Vec<String> =
        values(&mut client, &group, "uniqueMember").iter().map(|name| name.to_lowercase()).collect();
    for name in [&first, &format!("{first}#'0101'b"), &second, &absent, &branch] {
        assert!(shown.contains(name), "{name}: {shown:?}");
    }
    expect_groups(&mut client, &second, std::slice::from_ref(&group));
    client.delete(&first).expect(code::SUCCESS);
    let shown = values(&mut client, &group, "uniqueMember");
    assert!(shown.len() == 3 && !shown.iter().any(|name| name.starts_with("uid=a2")), "{shown:?}");
    // Whoever has the name next is somebody else.
    add_person(&mut client, &format!("ou=z,{branch}"), "a2");
    expect_groups(&mut client, &first, &[]);
}

/// More of them than stand in the entry's record, and names that the index cuts.
#[test]
fn unique_members_of_a_large_group_follow_what_they_name() {
    let server = Server::start(Setup::with_refint());
    let (mut client, branch) = server.branch("references-unique-large");
    // slapd has no names of 300 letters.
    let unit = format!("ou={},{branch}", "e".repeat(Subject::current().pick(300, 200)));
    add_unit(&mut client, &unit);
    let long = format!("cn={},{unit}", "x".repeat(200));
    let person: [(&str, &[&str]); 2] = [("objectClass", &["inetOrgPerson"]), ("sn", &["x"])];
    client.add(&long, &person).expect(code::SUCCESS);
    let short = add_person(&mut client, &branch, "a");
    let others: Vec<String> = (0..100).map(|number| format!("cn=nobody {number}")).collect();
    let mut members: Vec<&str> = others.iter().map(String::as_str).collect();
    members.extend([long.as_str(), short.as_str()]);
    let group = format!("cn=g,{branch}");
    client.add(&group, &[("objectClass", &["groupOfUniqueNames"]), ("uniqueMember", &members)]).expect(code::SUCCESS);
    client.modify_dn(&short, "uid=b", true, None).expect(code::SUCCESS);
    client.modify_dn(&unit, "ou=f", true, None).expect(code::SUCCESS);
    let moved = format!("cn={},ou=f,{branch}", "x".repeat(200));
    settled(&mut client, &group, "uniqueMember", (&moved, true));
    settled(&mut client, &group, "uniqueMember", (&format!("uid=b,{branch}"), true));
    let shown = values(&mut client, &group, "uniqueMember");
    assert!(shown.len() == 102 && shown.contains(&moved) && shown.contains(&format!("uid=b,{branch}")), "{shown:?}");
    expect_groups(&mut client, &moved, std::slice::from_ref(&group));
}

/// More members than stand in the entry's record.
#[test]
fn references_of_a_large_group_are_links_to_what_comes_after_them() {
    let server = Server::start(Setup::with_refint());
    let (mut client, branch) = server.branch("references-large");
    let group = format!("cn=g,{branch}");
    let names: Vec<String> = (0..100).map(|number| format!("uid=p{number:02},ou=e,{branch}")).collect();
    let members: Vec<&str> = names.iter().map(String::as_str).collect();
    add_group(&mut client, &group, &members);
    add_unit(&mut client, &format!("ou=e,{branch}"));
    for uid in ["p07", "p08", "p09"] {
        let person = add_person(&mut client, &format!("ou=e,{branch}"), uid);
        expect_groups(&mut client, &person, std::slice::from_ref(&group));
    }
    if !Subject::current().is_slapd() {
        assert_eq!(client.names(&branch, &format!("(memberOf={group})")), ["p07", "p08", "p09"]);
    }
    client.modify_dn(&names[7], "uid=q07", true, None).expect(code::SUCCESS);
    client.delete(&names[8]).expect(code::SUCCESS);
    client.modify_dn(&format!("ou=e,{branch}"), "ou=z", true, None).expect(code::SUCCESS);
    let (seventh, ninth) = (format!("uid=q07,ou=z,{branch}"), format!("uid=p09,ou=z,{branch}"));
    settled(&mut client, &group, "member", (&seventh, true));
    settled(&mut client, &group, "member", (&names[8], false));
    let shown = values(&mut client, &group, "member");
    assert_eq!(shown.len(), 99);
    assert!(shown.contains(&seventh) && shown.contains(&ninth), "{shown:?}");
    assert!(![7, 8, 9].iter().any(|gone| shown.contains(&names[*gone])), "{shown:?}");
    if !Subject::current().is_slapd() {
        assert_eq!(client.names(&branch, &format!("(memberOf={group})")), ["p09", "q07"]);
    }
    for person in [&seventh, &ninth] {
        expect_groups(&mut client, person, std::slice::from_ref(&group));
        assert_eq!(client.names(&branch, &format!("(member={person})")), ["g"]);
    }
}

/// More than one commit makes links of: by an import, in ten attributes of each entry.
#[test]
fn very_many_references_follow_what_comes_after_them_all_alike() {
    only_entente!(Cost);
    const ATTRIBUTES: [&str; 10] = [
        "member",
        "owner",
        "roleOccupant",
        "seeAlso",
        "manager",
        "secretary",
        "documentAuthor",
        "associatedName",
        "dITRedirect",
        "uniqueMember",
    ];
    const ENTRIES: usize = 1_700;
    let person = format!("uid=later,ou=here,{PEOPLE}");
    let mut ldif = String::new();
    for number in 0..ENTRIES {
        ldif.push_str(&format!("\ndn: cn=r{number},{GROUPS}\nobjectClass: device\nobjectClass: extensibleObject\n"));
        ldif.push_str(&format!("cn: r{number}\n"));
        for attribute in ATTRIBUTES {
            ldif.push_str(&format!("{attribute}: {person}\n"));
        }
    }
    let server = Server::start(Setup::default().with_entries(&ldif));
    let mut client = server.admin();
    add_unit(&mut client, &format!("ou=here,{PEOPLE}"));
    add_person(&mut client, &format!("ou=here,{PEOPLE}"), "later");
    client.modify_dn(&format!("ou=here,{PEOPLE}"), "ou=there", true, None).expect(code::SUCCESS);
    let renamed = format!("uid=later,ou=there,{PEOPLE}");
    for attribute in ATTRIBUTES {
        assert!(client.names(GROUPS, &format!("({attribute}={person})")).is_empty(), "{attribute}");
        assert_eq!(client.names(GROUPS, &format!("({attribute}={renamed})")).len(), ENTRIES, "{attribute}");
    }
    client.delete(&renamed).expect(code::SUCCESS);
    for attribute in ATTRIBUTES {
        assert!(client.names(GROUPS, &format!("({attribute}={renamed})")).is_empty(), "{attribute}");
        assert!(values(&mut client, &format!("cn=r7,{GROUPS}"), attribute).is_empty(), "{attribute}");
    }
    drop(client);
    check(&server.data());
}

/// From an import, into another suffix, and across a restart; the data are sound in the end.
#[test]
fn imported_references_follow_targets_of_another_suffix_that_come_later() {
    only_entente!(Own);
    let (person, local) = ("uid=p,c=aq", format!("uid=later,{PEOPLE}"));
    let group = format!("cn=travellers,{GROUPS}");
    let ldif = format!("\ndn: {group}\nobjectClass: groupOfNames\ncn: travellers\nmember: {person}\nmember: {local}\n");
    let mut server = Server::start(Setup::default().with_entries(&ldif));
    let mut client = server.admin();
    let relax = || Control::critical("1.3.6.1.4.1.4203.666.5.12", None);
    client.with(relax()).add("c=aq", &[("objectClass", &["country"])]).expect(code::SUCCESS);
    add_person(&mut client, "c=aq", "p");
    add_person(&mut client, PEOPLE, "later");
    expect_groups(&mut client, person, std::slice::from_ref(&group));
    client.modify_dn(person, "uid=q", true, None).expect(code::SUCCESS);
    client.modify_dn(&local, "uid=sooner", true, None).expect(code::SUCCESS);
    let sooner = format!("uid=sooner,{PEOPLE}");
    assert_eq!(values(&mut client, &group, "member"), ["uid=q,c=aq", &sooner]);
    drop(client);
    server.stop();
    check(&server.data());
    server.restart();
    let mut client = server.admin();
    assert_eq!(values(&mut client, "uid=q,c=aq", "memberOf"), std::slice::from_ref(&group));
    client.delete("uid=q,c=aq").expect(code::SUCCESS);
    client.delete(&sooner).expect(code::SUCCESS);
    assert!(values(&mut client, &group, "member").is_empty());
    client.modify(&group, &[(ADD, "member", &[person])]).expect(code::SUCCESS);
    assert_eq!(values(&mut client, &group, "member"), [person]);
}

/// draft-armijo-ldap-treedelete.
#[test]
fn references_go_with_a_tree_that_came_after_them() {
    only_entente!(Unserved);
    let (mut client, branch) = Server::shared().branch("references-tree");
    let (group, unit) = (format!("cn=g,{branch}"), format!("ou=e,{branch}"));
    let person = format!("uid=b,{unit}");
    add_group(&mut client, &group, &["cn=nobody", &person, &unit]);
    add_unit(&mut client, &unit);
    add_person(&mut client, &unit, "b");
    client.with(Control::critical("1.2.840.113556.1.4.805", None)).delete(&unit).expect(code::SUCCESS);
    assert_eq!(values(&mut client, &group, "member"), ["cn=nobody"]);
    add_unit(&mut client, &unit);
    add_person(&mut client, &unit, "b");
    assert_eq!(values(&mut client, &group, "member"), ["cn=nobody"]);
}
