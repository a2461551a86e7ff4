//! `cn=deleted` and `cn=conflicts`: the recycle bin and the conflict log as clients meet them. Entente's alone.

use crate::add_person;
use crate::support::ber::Element;
use crate::support::client::{Client, Entry, Outcome};
use crate::support::request::{ADD, Control, DELETE, ONE, REPLACE, SUB, Search};
use crate::support::server::{Server, Setup};
use crate::support::{code, oid};

/// MS-ADTS 3.1.1.3.4.1.14.
const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";

#[test]
fn a_deleted_entry_is_found_with_the_control_and_brought_back() {
    only_entente!(Own);
    let (mut client, branch) = Server::shared().branch("recycle");
    let dn = add_person(&mut client, &branch, "phoenix");
    let uuid = client.read_attributes(&dn, &["entryUUID"]).value("entryUUID");
    client.delete(&dn).expect(code::SUCCESS);
    let everything = Search::subtree(&branch, "(uid=phoenix)").attributes(&["*", "+"]);
    assert!(client.search(&everything).expect(code::SUCCESS).entries.is_empty());
    client.with(Control::critical(SHOW_DELETED, None));
    let found = client.search(&everything).single();
    assert_eq!(found.dn, format!("entryUUID={uuid},cn=deleted"));
    assert_eq!((found.value("isDeleted"), found.value("deletedEntry")), ("TRUE".to_owned(), dn.clone()));
    assert_eq!((found.value("lastKnownParent"), found.value("sn")), (branch.clone(), "Person".to_owned()));
    client.with(Control::critical(SHOW_DELETED, None));
    client.modify(&found.dn, &[(1, "isDeleted", &[]), (2, "distinguishedName", &[&dn])]).expect(code::SUCCESS);
    assert_eq!(client.read_attributes(&dn, &["entryUUID"]).value("entryUUID"), uuid);
}

#[test]
fn the_recycle_bin_is_paged() {
    only_entente!(Own);
    let (mut client, branch) = Server::shared().branch("recycle-pages");
    for uid in ["one", "two", "three"] {
        let dn = add_person(&mut client, &branch, uid);
        client.delete(&dn).expect(code::SUCCESS);
    }
    let search = Search::base("cn=deleted").scope(ONE).filter(&format!("(lastKnownParent={branch})"));
    let (mut seen, mut cookie) = (Vec::new(), Vec::new());
    loop {
        client.with(Control::paged(2, &cookie));
        let found = client.search(&search).expect(code::SUCCESS);
        assert!(found.entries.len() <= 2);
        seen.extend(found.entries.iter().map(|entry| entry.value("uid")));
        cookie = crate::rfc2696_paged::cookie(&found).0;
        if cookie.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["one", "two", "three"]);
}

#[test]
fn conflicts_and_deleted_entries_are_for_the_administrator() {
    only_entente!(Own);
    for base in ["cn=conflicts", "cn=deleted"] {
        let mut admin = Server::shared().admin();
        let found = admin.search(&Search::base(base).scope(SUB)).expect(code::SUCCESS);
        assert_eq!(found.entries.first().map(|entry| entry.dn.as_str()), Some(base));
        let mut anonymous = Server::shared().anonymous();
        assert!(anonymous.search(&Search::base(base).scope(SUB)).entries.is_empty());
        let mut ann = Server::shared().person("ann");
        ann.search(&Search::base(base)).expect(code::NO_SUCH_OBJECT);
    }
}

const BY_RULE: [&str; 4] = [
    r#"(targetattr = "* || +")(version 3.0; acl "all"; allow (read, search, compare) userdn = "ldap:///uid=bob,ou=people,dc=example,dc=com";)"#,
    r#"(targetattr = "objectClass || uid || title || isDeleted || monitoredInfo || conflictKind")(version 3.0; acl "ann"; allow (read, search, compare) userdn = "ldap:///uid=ann,ou=people,dc=example,dc=com";)"#,
    r#"(target = "ldap:///ou=groups,dc=example,dc=com")(targetattr = "isDeleted || conflictKind")(version 3.0; acl "not groups"; deny (read) userdn = "ldap:///all";)"#,
    r#"(targetattr = "uniqueAttribute")(version 3.0; acl "u"; allow (read) userdn = "ldap:///all";)"#,
];

/// T-24 of the hostile tests: a rule that names their attribute opens them, each entry by the rules for the entry that it is
/// about, and no pattern does.
#[test]
fn rules_say_who_reads_the_monitor_conflicts_and_deleted_entries() {
    only_entente!(Own);
    let server = Server::start(Setup::default().with_access(&BY_RULE, ""));
    let mut admin = server.admin();
    let people = "ou=people,dc=example,dc=com";
    let gone = add_person(&mut admin, people, "gone");
    admin.modify(&gone, &[(0, "title", &["Boss"]), (0, "mail", &["gone@example.com"])]).expect(code::SUCCESS);
    let hidden = add_person(&mut admin, "ou=groups,dc=example,dc=com", "hidden");
    for dn in [&gone, &hidden] {
        admin.delete(dn).expect(code::SUCCESS);
    }
    let (mut ann, mut bob) = (server.person("ann"), server.person("bob"));
    for base in ["cn=monitor", "cn=conflicts", "cn=deleted", "cn=lost\\+found"] {
        bob.search(&Search::base(base)).expect(code::NO_SUCH_OBJECT);
        bob.compare(base, "objectClass", "top").expect(code::NO_SUCH_OBJECT);
        ann.search(&Search::base(base)).expect(code::SUCCESS);
    }
    let below = |client: &mut Client, base: &str, filter: &str| {
        client.search(&Search::base(base).scope(ONE).filter(filter)).expect(code::SUCCESS).entries
    };
    assert_eq!(below(&mut admin, "cn=deleted", "(isDeleted=TRUE)").len(), 2);
    let found = below(&mut ann, "cn=deleted", "(isDeleted=TRUE)");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].value("deletedEntry"), found[0].value("title")), (gone, "Boss".to_owned()));
    assert!(!found[0].has("mail") && !found[0].has("sn") && !found[0].has("deletedBy"), "{found:?}");
    assert!(below(&mut ann, "cn=deleted", "(mail=*)").is_empty(), "what may not be read finds nothing");
    let uuid = below(&mut admin, "cn=deleted", "(uid=hidden)")[0].dn.clone();
    ann.search(&Search::base(&uuid)).expect(code::NO_SUCH_OBJECT);
    assert!(below(&mut ann, "cn=monitor", "(monitoredInfo=*)").len() > 3);
    // Two entries share a value against a rule that came later: a conflict of each of them.
    for dn in [format!("uid=ann,{people}"), format!("uid=bob,{people}")] {
        admin.modify(&dn, &[(2, "employeeNumber", &["77"])]).expect(code::SUCCESS);
    }
    admin.modify(people, &[(0, "uniqueAttribute", &["employeeNumber"])]).expect(code::SUCCESS);
    assert_eq!(below(&mut ann, "cn=conflicts", "(conflictKind=unique-violation)").len(), 2);
    let named = below(&mut ann, "cn=conflicts", "(conflictKind=unique-violation)")[0].dn.clone();
    // Deciding is the administrator's.
    ann.modify(&named, &[(2, "conflictState", &["dismissed"])])
        .expect_one_of(&[code::INSUFFICIENT_ACCESS_RIGHTS, code::NO_SUCH_OBJECT]);
    let root = ann.search(&Search::base("").attributes(&["*", "+"])).single();
    assert_eq!(root.value("monitorContext"), "cn=monitor");
}

fn read(outcome: &Outcome, oid: &str) -> Entry {
    Entry::parse(&Element::whole(&outcome.control(oid)).unwrap()).unwrap()
}

/// RFC 4528 3, RFC 4527 3: decisions beside the tree are changes, and what a control asks for is done with them too.
#[test]
fn controls_of_a_change_hold_for_decisions() {
    only_entente!(Own);
    let server = Server::start(Setup::default());
    let (mut client, branch) = server.branch("decided");
    let people = ["one", "two"].map(|uid| add_person(&mut client, &branch, uid));
    for dn in &people {
        client.modify(dn, &[(REPLACE, "employeeNumber", &["77"])]).expect(code::SUCCESS);
    }
    client.modify(&branch, &[(ADD, "uniqueAttribute", &["employeeNumber"])]).expect(code::SUCCESS);
    let state = |client: &mut Client, dn: &str| client.read(dn).value("conflictState");
    let listed = client.search(&Search::base("cn=conflicts").scope(ONE)).expect(code::SUCCESS).entries;
    let [first, second] = listed.as_slice() else { panic!("{listed:?}") };
    let dismiss: [(i64, &str, &[&str]); 1] = [(REPLACE, "conflictState", &["dismissed"])];
    // What is not as the client believes is not decided.
    let not_so = || Control::assertion("(conflictState=restored)");
    client.with(not_so()).modify(&first.dn, &dismiss).expect(code::ASSERTION_FAILED);
    client.with(not_so()).delete(&first.dn).expect(code::ASSERTION_FAILED);
    assert_eq!(state(&mut client, &first.dn), "open");
    let so = || Control::assertion("(&(conflictState=open)(conflictKind=unique-violation))");
    let told = |oid| Control::read_entry(oid, &["conflictState"]);
    let decided = client
        .with(so())
        .with(told(oid::PRE_READ))
        .with(told(oid::POST_READ))
        .modify(&first.dn, &dismiss)
        .expect(code::SUCCESS);
    for (oid, expected) in [(oid::PRE_READ, "open"), (oid::POST_READ, "dismissed")] {
        let entry = read(&decided, oid);
        assert_eq!((entry.dn.as_str(), entry.value("conflictState").as_str()), (first.dn.as_str(), expected));
    }
    let dismissed = client.with(so()).with(told(oid::PRE_READ)).delete(&second.dn).expect(code::SUCCESS);
    assert_eq!(read(&dismissed, oid::PRE_READ).value("conflictState"), "open");
    assert_eq!(state(&mut client, &second.dn), "dismissed");
    // A deleted entry is asked as it is told below cn=deleted, and read where it is back.
    client.modify(&branch, &[(DELETE, "uniqueAttribute", &[])]).expect(code::SUCCESS);
    client.delete(&people[0]).expect(code::SUCCESS);
    let gone = Search::base("cn=deleted").scope(ONE).filter("(uid=one)");
    let deleted = client.search(&gone).single().dn;
    let undelete: [(i64, &str, &[&str]); 2] =
        [(DELETE, "isDeleted", &[]), (REPLACE, "distinguishedName", &[&people[0]])];
    let other = Control::assertion("(employeeNumber=78)");
    client.with(other).modify(&deleted, &undelete).expect(code::ASSERTION_FAILED);
    assert_eq!(client.search(&gone).single().dn, deleted);
    let uid = |oid| Control::read_entry(oid, &["uid"]);
    let back = client
        .with(Control::assertion("(employeeNumber=77)"))
        .with(uid(oid::PRE_READ))
        .with(uid(oid::POST_READ))
        .modify(&deleted, &undelete)
        .expect(code::SUCCESS);
    let (before, after) = (read(&back, oid::PRE_READ), read(&back, oid::POST_READ));
    assert_eq!((before.dn.as_str(), before.value("uid").as_str()), (deleted.as_str(), "one"));
    assert_eq!((after.dn.as_str(), after.value("uid").as_str()), (people[0].as_str(), "one"));
}
