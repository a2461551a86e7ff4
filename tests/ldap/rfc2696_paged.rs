//! Simple paged results: RFC 2696.

use crate::support::ber::Element;
use crate::support::client::{Client, Found};
use crate::support::request::{Control, ONE, SUB, Search};
use crate::support::server::{Server, Setup, Subject};
use crate::support::{code, oid};
use crate::{ANN, EVERYBODY, PEOPLE};

/// The cookie of a page, and the estimate of the total.
pub(crate) fn cookie(found: &Found) -> (Vec<u8>, i64) {
    let value = Element::whole(&found.outcome.control(oid::PAGED_RESULTS)).expect("BER");
    let parts = value.children().expect("BER");
    (parts[1].content.clone(), parts[0].number())
}

fn page(client: &mut Client, search: &Search, size: i64, cookie: &[u8]) -> Found {
    client.with(Control::paged(size, cookie)).search(search)
}

fn people() -> Search {
    Search::subtree(PEOPLE, "(uid=*)").attributes(&["uid"])
}

/// All pages; fails unless each but the last is full.
#[track_caller]
fn all_pages(client: &mut Client, search: &Search, size: i64) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = Vec::new();
    for _ in 0..1000 {
        let found = page(client, search, size, &at).expect(code::SUCCESS);
        assert!(found.entries.len() as i64 <= size, "page of {}", found.entries.len());
        names.extend(found.names());
        at = cookie(&found).0;
        if at.is_empty() {
            names.sort();
            return names;
        }
        assert_eq!(found.entries.len() as i64, size, "a page before the last is full");
    }
    panic!("no end of pages")
}

#[test]
fn pages_together_are_the_whole_answer() {
    let mut client = Server::shared().admin();
    for size in [1, 2, 3, 5, 6, 7, 1000] {
        assert_eq!(all_pages(&mut client, &people(), size), EVERYBODY, "pages of {size}");
    }
}

#[test]
fn every_scope_can_be_paged() {
    let mut client = Server::shared().admin();
    let one = Search::base(PEOPLE).scope(ONE);
    assert_eq!(all_pages(&mut client, &one, 4), EVERYBODY);
    let sub = Search::base(PEOPLE).scope(SUB);
    assert_eq!(all_pages(&mut client, &sub, 2).len(), 7);
    let base = Search::base(ANN);
    assert_eq!(all_pages(&mut client, &base, 10), ["ann"]);
}

/// RFC 2696 3: when nothing is found the cookie is empty at once.
#[test]
fn nothing_found_is_one_empty_page() {
    let mut client = Server::shared().admin();
    let found = page(&mut client, &Search::subtree(PEOPLE, "(uid=nobody)"), 10, b"").expect(code::SUCCESS);
    assert!(found.entries.is_empty());
    assert!(cookie(&found).0.is_empty());
}

/// Two pagings on one connection, interleaved; slapd keeps one a connection.
#[test]
fn several_pagings_live_on_one_connection() {
    only_entente!(Unserved);
    let mut client = Server::shared().admin();
    let (one, two) = (people(), Search::subtree(PEOPLE, "(objectClass=person)"));
    let first = page(&mut client, &one, 4, b"").expect(code::SUCCESS);
    let second = page(&mut client, &two, 2, b"").expect(code::SUCCESS);
    let rest = page(&mut client, &one, 4, &cookie(&first).0).expect(code::SUCCESS);
    let more = page(&mut client, &two, 10, &cookie(&second).0).expect(code::SUCCESS);
    assert_eq!((first.entries.len(), rest.entries.len()), (4, 2));
    assert_eq!((second.entries.len(), more.entries.len()), (2, 4));
    assert!(cookie(&rest).0.is_empty() && cookie(&more).0.is_empty());
}

/// The page size may change on the way (RFC 2696 3).
#[test]
fn page_size_may_change_on_the_way() {
    let mut client = Server::shared().admin();
    let first = page(&mut client, &people(), 1, b"").expect(code::SUCCESS);
    let second = page(&mut client, &people(), 3, &cookie(&first).0).expect(code::SUCCESS);
    let third = page(&mut client, &people(), 100, &cookie(&second).0).expect(code::SUCCESS);
    assert_eq!((first.entries.len(), second.entries.len(), third.entries.len()), (1, 3, 2));
}

/// Entries written in between neither break the paging nor come twice.
#[test]
fn entries_written_in_between_break_nothing() {
    let (mut client, branch) = Server::shared().branch("paged-writes");
    for index in 0..10 {
        crate::add_person(&mut client, &branch, &format!("p{index}"));
    }
    let search = Search::subtree(&branch, "(uid=*)");
    let first = page(&mut client, &search, 4, b"").expect(code::SUCCESS);
    crate::add_person(&mut client, &branch, "late");
    client.delete(&first.entries[0].dn).expect(code::SUCCESS);
    let mut seen = first.names();
    let mut at = cookie(&first).0;
    while !at.is_empty() {
        let found = page(&mut client, &search, 4, &at).expect(code::SUCCESS);
        seen.extend(found.names());
        at = cookie(&found).0;
    }
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), all, "an entry came twice: {seen:?}");
    assert!((0..10).all(|index| seen.contains(&format!("p{index}"))), "{seen:?}");
}

/// RFC 2696 3: size 0 with a cookie ends the paging.
#[test]
fn size_zero_with_a_cookie_abandons_the_paging() {
    let mut client = Server::shared().admin();
    let first = page(&mut client, &people(), 2, b"").expect(code::SUCCESS);
    let last = page(&mut client, &people(), 0, &cookie(&first).0);
    assert!(last.entries.is_empty(), "{last:?}");
    assert_eq!(client.names(PEOPLE, "(uid=ann)"), ["ann"]);
}

/// T-15: A cookie is believed from nobody: another search's, another connection's text, nonsense. (slapd knows one cookie a
/// connection, and an empty one starts anew.)
#[test]
fn forged_cookie_is_refused() {
    let server = Server::shared();
    let mut client = server.admin();
    for nonsense in [&b"x"[..], b"\0\0\0\0\0\0\0\0", &[0xFF; 200]] {
        // For slapd eight zeroes are the beginning.
        if Subject::current().is_slapd() && nonsense.len() == 8 {
            continue;
        }
        let found = page(&mut client, &people(), 2, nonsense);
        assert_ne!(found.outcome.code, code::SUCCESS, "{found:?}");
        assert!(found.entries.is_empty());
    }
    let first = page(&mut client, &people(), 2, b"").expect(code::SUCCESS);
    let other = Search::subtree(PEOPLE, "(cn=*)");
    let found = page(&mut client, &other, 2, &cookie(&first).0);
    if !Subject::current().is_slapd() {
        assert_ne!(found.outcome.code, code::SUCCESS, "{found:?}");
    }
}

/// T-15.
#[test]
fn impossible_page_sizes_are_refused() {
    let server = Server::shared();
    for size in [-1, i64::from(i32::MIN), 1 << 40] {
        let mut client = server.admin();
        let id = client.with(Control::paged(size, b"")).send(&people().encode());
        if let Some(message) = client.receive_for(id) {
            assert_ne!(message.operation.tag, 0x64, "an entry for page size {size}");
        }
    }
    let mut client = server.admin();
    for value in [None, Some(vec![]), Some(b"\x30\x00".to_vec()), Some(b"\x02\x01\x01".to_vec())] {
        let found = client.with(Control::critical(oid::PAGED_RESULTS, value)).search(&people());
        assert_ne!(found.outcome.code, code::SUCCESS, "{found:?}");
    }
}

/// A size limit of the client's counts over all pages in slapd and for one search in ours; a page below it always works.
#[test]
fn paging_works_within_the_servers_size_limit() {
    let server = Server::start(Setup::default().with_size_limit(3));
    let mut client = server.person("ann");
    let first = page(&mut client, &people(), 2, b"").expect(code::SUCCESS);
    assert_eq!(first.entries.len(), 2);
    assert!(!cookie(&first).0.is_empty());
}

/// As Keycloak does: critical, 2 a page, with a filter of its own shape and some attributes.
#[test]
fn paging_returns_the_attributes_asked_for() {
    let mut client = Server::shared().admin();
    let search = Search::subtree(PEOPLE, "(&(objectClass=inetOrgPerson)(objectClass=organizationalPerson))")
        .attributes(&["uid", "mail", "entryUUID"]);
    let found = page(&mut client, &search, 2, b"").expect(code::SUCCESS);
    assert_eq!(found.entries.len(), 2);
    assert!(found.entries.iter().all(|entry| entry.has("entryUUID") && entry.has("uid")));
}
