//! The changes as entries below `cn=changelog` (draft-good-ldap-changelog), as clients of 389 and OpenDJ read them.
//! Entente's alone: slapd's accesslog has another form.

use crate::add_person;
use crate::support::client::{Client, Entry};
use crate::support::code;
use crate::support::request::{ADD, DELETE, ONE, REPLACE, Search};
use crate::support::server::{Server, Setup};

fn last(client: &mut Client) -> u64 {
    let root = client.search(&Search::base("").attributes(&["lastChangeNumber", "changelog"])).single();
    assert_eq!(root.value("changelog"), "cn=changelog");
    root.value("lastChangeNumber").parse().unwrap()
}

/// The changes of one branch with a number above `after`; other tests change other branches meanwhile.
fn changes(client: &mut Client, branch: &str, after: u64) -> Vec<Entry> {
    let filter = format!("(&(objectClass=changeLogEntry)(changeNumber>={}))", after + 1);
    let found = client.search(&Search::base("cn=changelog").scope(ONE).filter(&filter)).expect(code::SUCCESS);
    found.entries.into_iter().filter(|entry| entry.value("targetDN").ends_with(branch)).collect()
}

#[test]
fn every_change_is_an_entry_by_its_number() {
    only_entente!(Foreign);
    let (mut client, branch) = Server::shared().branch("changelog");
    let start = last(&mut client);
    let dn = add_person(&mut client, &branch, "p");
    client
        .modify(&dn, &[(ADD, "title", &["Boss"]), (ADD, "mail", &["a@example.com", "b@example.com"])])
        .expect(code::SUCCESS);
    client.modify(&dn, &[(REPLACE, "title", &["Chief"]), (DELETE, "mail", &["A@example.com"])]).expect(code::SUCCESS);
    client.modify_dn(&dn, "uid=q", true, None).expect(code::SUCCESS);
    let renamed = format!("uid=q,{branch}");
    client.modify(&renamed, &[(DELETE, "title", &[])]).expect(code::SUCCESS);
    let below = format!("ou=sub,{branch}");
    client.add(&below, &[("objectClass", &["organizationalUnit"])]).expect(code::SUCCESS);
    client.modify_dn(&renamed, "uid=q", false, Some(&below)).expect(code::SUCCESS);
    let moved = format!("uid=q,{below}");
    client.modify(&moved, &[(REPLACE, "userPassword", &["secret"])]).expect(code::SUCCESS);
    client.delete(&moved).expect(code::SUCCESS);

    let found = changes(&mut client, &branch, start);
    let told: Vec<(String, String)> =
        found.iter().map(|entry| (entry.value("changeType"), entry.value("targetDN"))).collect();
    let expected = [
        ("add", &dn),
        ("modify", &dn),
        ("modify", &dn),
        ("modrdn", &dn),
        ("modify", &renamed),
        ("add", &below),
        ("modrdn", &renamed),
        ("modify", &moved),
        ("delete", &moved),
    ];
    let expected: Vec<(String, String)> =
        expected.iter().map(|(kind, dn)| ((*kind).to_owned(), (*dn).clone())).collect();
    assert_eq!(told, expected);
    let body = |at: usize| found[at].value("changes");
    assert!(body(0).contains("cn: A Person\n") && body(0).contains("objectClass: inetOrgPerson\n"), "{}", body(0));
    assert!(body(1).contains("add: mail\nmail: a@example.com\nmail: b@example.com\n-\n"), "{}", body(1));
    assert!(body(2).contains("title: Chief\n"), "{}", body(2));
    // The value that went, as it had been written.
    assert!(body(2).contains("delete: mail\nmail: a@example.com\n-\n"), "{}", body(2));
    assert_eq!((found[3].value("newRDN"), found[3].value("deleteOldRDN")), ("uid=q".to_owned(), "TRUE".to_owned()));
    assert!(!found[3].has("newSuperior"));
    assert!(body(4).contains("title\n-\n"), "{}", body(4));
    assert_eq!(found[6].value("newSuperior"), below);
    assert!(!body(7).contains("assword"), "{}", body(7));
    assert!(!found[8].has("changes"));
    assert!(found.iter().all(|entry| entry.value("targetEntryUUID").len() == 36 && entry.has("changeTime")));
    assert_eq!(found[0].value("changeInitiatorsName"), "cn=admin,dc=example,dc=com");
    // One by its name, and by equality and range.
    let number: u64 = found[3].value("changeNumber").parse().unwrap();
    let by_name = client.search(&Search::base(format!("changeNumber={number},cn=changelog"))).single();
    assert_eq!(by_name.value("newRDN"), "uid=q");
    for filter in [format!("(changeNumber={number})"), format!("(&(changeNumber>={number})(changeNumber<={number}))")] {
        let found = client.search(&Search::base("cn=changelog").scope(ONE).filter(&filter)).single();
        assert_eq!(found.value("changeNumber"), number.to_string());
    }
    assert!(last(&mut client) >= number + 5);
}

/// draft-good-ldap-changelog 3: targetDN is the name before, of entries too whose adding stands in no log; below such a superior
/// just so.
#[test]
fn a_rename_of_an_entry_that_was_imported_tells_the_name_before() {
    only_entente!(Foreign);
    let server = Server::start(Setup::default());
    let mut client = server.admin();
    let start = last(&mut client);
    let person = |name: &str| format!("uid={name},ou=people,dc=example,dc=com");
    client.modify(&person("ann"), &[(REPLACE, "title", &["Cook"])]).expect(code::SUCCESS);
    client.modify_dn(&person("ann"), "uid=anna", true, None).expect(code::SUCCESS);
    client.modify_dn(&person("bob"), "uid=bob", true, Some("ou=groups,dc=example,dc=com")).expect(code::SUCCESS);
    client.modify_dn(&person("carol"), "uid=caro", false, Some("ou=aliases,dc=example,dc=com")).expect(code::SUCCESS);
    client.modify(&person("dave"), &[(REPLACE, "title", &["Cook"])]).expect(code::SUCCESS);
    client.modify_dn("ou=people,dc=example,dc=com", "ou=staff", true, None).expect(code::SUCCESS);
    let found = changes(&mut client, "dc=com", start);
    let told: Vec<[String; 3]> = found
        .iter()
        .map(|entry| ["targetDN", "newRDN", "newSuperior"].map(|name| entry.values(name).concat()))
        .collect();
    let expected = [
        [&*person("ann"), "", ""],
        [&*person("ann"), "uid=anna", ""],
        [&*person("bob"), "uid=bob", "ou=groups,dc=example,dc=com"],
        [&*person("carol"), "uid=caro", "ou=aliases,dc=example,dc=com"],
        [&*person("dave"), "", ""],
        ["ou=people,dc=example,dc=com", "ou=staff", ""],
    ];
    assert_eq!(told, expected);
}

/// What a change says is read as of its time, whatever its targets are called since.
#[test]
fn values_of_a_change_name_entries_as_they_were_called_with_it() {
    only_entente!(Foreign);
    let (mut client, branch) = Server::shared().branch("changelog-names");
    let unit = format!("ou=first,{branch}");
    client.add(&unit, &[("objectClass", &["organizationalUnit"])]).expect(code::SUCCESS);
    let (ann, group) = (add_person(&mut client, &unit, "a"), format!("cn=g,{branch}"));
    let start = last(&mut client);
    client
        .add(&group, &[("objectClass", &["groupOfNames"]), ("member", &[&ann]), ("seeAlso", &[&unit])])
        .expect(code::SUCCESS);
    client.modify_dn(&ann, "uid=b", true, None).expect(code::SUCCESS);
    let second = format!("uid=b,{unit}");
    client.modify(&group, &[(ADD, "owner", &[&second])]).expect(code::SUCCESS);
    client.modify_dn(&unit, "ou=then", true, None).expect(code::SUCCESS);
    let third = format!("uid=b,ou=then,{branch}");
    client.modify(&group, &[(DELETE, "owner", &[&third])]).expect(code::SUCCESS);
    client.modify_dn(&third, "uid=c", true, Some(&branch)).expect(code::SUCCESS);
    client.delete(&format!("uid=c,{branch}")).expect(code::SUCCESS);
    let found = changes(&mut client, &branch, start);
    let body = |at: usize| found[at].value("changes");
    assert!(body(0).contains(&format!("member: {ann}\n")), "{}", body(0));
    assert!(body(0).contains(&format!("seeAlso: {unit}\n")), "{}", body(0));
    assert_eq!((found[1].value("targetDN"), found[1].value("newRDN")), (ann, "uid=b".to_owned()));
    assert!(body(2).contains(&format!("owner: {second}\n")), "{}", body(2));
    assert_eq!(found[3].value("targetDN"), unit);
    assert!(body(4).contains(&format!("owner: {third}\n")), "{}", body(4));
    assert_eq!((found[5].value("targetDN"), found[5].value("newSuperior")), (third, branch.clone()));
    assert_eq!(found[6].value("targetDN"), format!("uid=c,{branch}"));
}

/// T-24 of the hostile tests: the feed shows the changes of entries, and of them the attributes, that its reader may read.
#[test]
fn a_rule_by_name_lets_somebody_follow_the_changes_that_it_may_read() {
    only_entente!(Foreign);
    let rules = [
        r#"(targetattr = "* || +")(version 3.0; acl "bob reads all"; allow (read, search) userdn = "ldap:///uid=bob,ou=people,dc=example,dc=com";)"#,
        r#"(target = "ldap:///ou=people,dc=example,dc=com")(targetattr = "uid || title || objectClass")(version 3.0; acl "ann reads some"; allow (read, search) userdn = "ldap:///uid=ann,ou=people,dc=example,dc=com";)"#,
        r#"(targetattr = "changeNumber")(version 3.0; acl "ann follows"; allow (read) userdn = "ldap:///uid=ann,ou=people,dc=example,dc=com";)"#,
        r#"(target = "ldap:///ou=groups,dc=example,dc=com")(targetattr = "changeNumber")(version 3.0; acl "not groups"; deny (read) userdn = "ldap:///all";)"#,
    ];
    let server = Server::start(Setup::default().with_access(&rules, ""));
    let mut admin = server.admin();
    let start = last(&mut admin);
    let dn = add_person(&mut admin, "ou=people,dc=example,dc=com", "p");
    admin.modify(&dn, &[(ADD, "title", &["Boss"]), (ADD, "mail", &["a@example.com"])]).expect(code::SUCCESS);
    admin.modify("cn=staff,ou=groups,dc=example,dc=com", &[(ADD, "description", &["x"])]).expect(code::SUCCESS);
    admin.delete(&dn).expect(code::SUCCESS);
    assert_eq!(changes(&mut admin, "dc=com", start).len(), 4);

    let mut ann = server.person("ann");
    assert_eq!(last(&mut ann), last(&mut admin));
    let found = changes(&mut ann, "dc=com", start);
    let told: Vec<(String, String)> =
        found.iter().map(|entry| (entry.value("changeType"), entry.value("targetDN"))).collect();
    let expected = ["add", "modify", "delete"].map(|kind| (kind.to_owned(), dn.clone()));
    assert_eq!(told, expected);
    let body = |at: usize| String::from_utf8_lossy(&found[at].bytes("changes").concat()).into_owned();
    assert!(body(0).contains("uid: p") && !body(0).contains("sn:") && !body(0).contains("cn:"), "{}", body(0));
    assert!(body(1).contains("title: Boss") && !body(1).contains("example.com"), "{}", body(1));
    assert!(found.iter().all(|entry| !entry.has("changeInitiatorsName")));
    // What is not told is not there by its number, by a filter, or in a compare.
    let hidden = changes(&mut admin, "ou=groups,dc=example,dc=com", start).remove(0);
    let name = format!("changeNumber={},cn=changelog", hidden.value("changeNumber"));
    ann.search(&Search::base(&name)).expect(code::NO_SUCH_OBJECT);
    ann.compare(&name, "changeType", "modify").expect(code::NO_SUCH_OBJECT);
    let guess = "(changes=*a@example.com*)";
    assert!(ann.search(&Search::base("cn=changelog").scope(ONE).filter(guess)).entries.is_empty());

    // Who may read everything, but not this by its name, follows nothing.
    let mut bob = server.person("bob");
    bob.search(&Search::base("cn=changelog")).expect(code::NO_SUCH_OBJECT);
    assert!(!bob.search(&Search::base("").attributes(&["+", "*"])).single().has("lastChangeNumber"));
}

#[test]
fn the_changelog_is_for_the_administrator_and_is_not_written() {
    only_entente!(Foreign);
    let mut ann = Server::shared().person("ann");
    ann.search(&Search::base("cn=changelog")).expect(code::NO_SUCH_OBJECT);
    let root = ann.search(&Search::base("").attributes(&["+", "*"])).single();
    assert!(!root.has("lastChangeNumber") && !root.has("changelog"));
    let mut admin = Server::shared().admin();
    assert_ne!(admin.delete("changeNumber=1,cn=changelog").code, code::SUCCESS);
    admin.search(&Search::base("changeNumber=0,cn=changelog")).expect(code::NO_SUCH_OBJECT);
    admin.search(&Search::base("changeNumber=99999999,cn=changelog")).expect(code::NO_SUCH_OBJECT);
}
