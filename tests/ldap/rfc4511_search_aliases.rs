//! Alias dereferencing in searches: RFC 4511 4.5.1.3, RFC 4512 2.6.

use crate::support::code;
use crate::support::request::{ONE, SUB, Search};
use crate::support::server::{SUFFIX, Server, Subject};
use crate::{ANN, EVERYBODY};

const NEVER: i64 = 0;
const IN_SEARCHING: i64 = 1;
const FINDING_BASE: i64 = 2;
const ALWAYS: i64 = 3;

fn boss() -> String {
    format!("cn=boss,ou=aliases,{SUFFIX}")
}

fn everyone() -> String {
    format!("cn=everyone,ou=aliases,{SUFFIX}")
}

/// RFC 4511 4.5.1.3: who is reached twice is returned once. slapd returns the entry each time.
fn once(mut names: Vec<String>) -> Vec<String> {
    if Subject::current().is_slapd() {
        names.dedup();
    }
    names
}

#[test]
fn alias_is_an_ordinary_entry_when_never_dereferenced() {
    let mut client = Server::shared().admin();
    let entry = client.search(&Search::base(boss()).deref(NEVER)).single();
    assert_eq!(entry.dn, boss());
    assert_eq!(entry.value("aliasedObjectName"), ANN);
    // Searching dereferences subordinates of the base, not the base.
    let entry = client.search(&Search::base(boss()).deref(IN_SEARCHING)).single();
    assert_eq!(entry.dn, boss());
}

#[test]
fn base_alias_is_dereferenced_when_finding_the_base() {
    let mut client = Server::shared().admin();
    for deref in [FINDING_BASE, ALWAYS] {
        assert_eq!(client.search(&Search::base(boss()).deref(deref)).single().dn, ANN);
        let found = client.search(&Search::subtree(everyone(), "(uid=*)").deref(deref)).expect(code::SUCCESS);
        assert_eq!(found.names(), EVERYBODY);
    }
}

/// An alias may stand in the middle of the base's name.
#[test]
fn alias_above_the_base_is_dereferenced_when_finding_the_base() {
    let mut client = Server::shared().admin();
    let base = format!("uid=ann,{}", everyone());
    assert_eq!(client.search(&Search::base(&base).deref(FINDING_BASE)).single().dn, ANN);
    client.search(&Search::base(&base).deref(NEVER)).expect(code::NO_SUCH_OBJECT);
}

/// RFC 4511 4.5.1.3: subordinates are replaced by what they alias; below a dereferenced alias a subtree search goes on.
#[test]
fn subordinate_aliases_are_dereferenced_in_searching() {
    let server = Server::shared();
    let (mut client, branch) = server.branch("alias-searching");
    for (name, target) in [("one", ANN), ("all", crate::PEOPLE)] {
        let dn = format!("cn={name},{branch}");
        client
            .add(&dn, &[("objectClass", &["alias", "extensibleObject"]), ("aliasedObjectName", &[target])])
            .expect(code::SUCCESS);
    }
    for deref in [IN_SEARCHING, ALWAYS] {
        let found = client.search(&Search::base(&branch).scope(SUB).filter("(uid=*)").deref(deref));
        assert_eq!(once(found.expect(code::SUCCESS).names()), EVERYBODY);
        let found = client.search(&Search::base(&branch).scope(ONE).deref(deref)).expect(code::SUCCESS);
        assert_eq!(found.dns(), [crate::PEOPLE, ANN]);
    }
    let found = client.search(&Search::base(&branch).scope(ONE).deref(NEVER)).expect(code::SUCCESS);
    assert_eq!(found.names(), ["all", "one"]);
}

/// RFC 4511 4.5.1.3: loops end.
#[test]
fn alias_loop_as_the_base_is_an_alias_problem() {
    let mut client = Server::shared().admin();
    let base = format!("cn=loop,ou=aliases,{SUFFIX}");
    let found = client.search(&Search::base(&base).deref(ALWAYS));
    found.outcome.expect_one_of(&[code::ALIAS_PROBLEM, code::ALIAS_DEREFERENCING_PROBLEM, code::LOOP_DETECT]);
    client.search(&Search::base(&base).deref(NEVER)).expect(code::SUCCESS);
}

/// T-06: RFC 4511 4.5.1.3: "servers MUST eliminate duplicates and end loops".
#[test]
fn alias_loop_below_the_base_does_not_keep_the_search_from_ending() {
    let mut client = Server::shared().admin();
    let found = client.search(&Search::subtree(format!("ou=aliases,{SUFFIX}"), "(uid=*)").deref(ALWAYS));
    assert_eq!(once(found.expect(code::SUCCESS).names()), EVERYBODY);
}

/// RFC 4511 4.5.1.3: an alias to nothing as base.
#[test]
fn alias_to_nothing_as_the_base_is_an_alias_problem() {
    let (mut client, branch) = Server::shared().branch("alias-nothing");
    let dn = format!("cn=lost,{branch}");
    let target = format!("cn=gone,{branch}");
    client
        .add(&dn, &[("objectClass", &["alias", "extensibleObject"]), ("aliasedObjectName", &[&target])])
        .expect(code::SUCCESS);
    let found = client.search(&Search::base(&dn).deref(FINDING_BASE));
    found.outcome.expect_one_of(&[code::ALIAS_PROBLEM, code::ALIAS_DEREFERENCING_PROBLEM, code::NO_SUCH_OBJECT]);
    let found = client.search(&Search::subtree(&branch, "(cn=*)").deref(IN_SEARCHING)).expect(code::SUCCESS);
    assert!(found.entries.is_empty());
}
