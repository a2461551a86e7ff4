//! `cn=deleted` and `cn=conflicts`: the recycle bin and the conflict log as clients meet them. Entente's alone.

use crate::add_person;
use crate::support::code;
use crate::support::request::{Control, ONE, SUB, Search};
use crate::support::server::{Server, Subject};

/// MS-ADTS 3.1.1.3.4.1.14.
const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";

#[test]
fn a_deleted_entry_is_found_with_the_control_and_brought_back() {
    if Subject::current().is_slapd() {
        return;
    }
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
    if Subject::current().is_slapd() {
        return;
    }
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
    if Subject::current().is_slapd() {
        return;
    }
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
