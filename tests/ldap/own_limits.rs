//! Limits of an entry's own, as 389 Directory Server has them: `nsSizeLimit` and its like hold for whoever binds as the
//! entry; slapd has the same in its configuration (`limits`).

use crate::rfc2696_paged::cookie;
use crate::support::client::{Client, Found};
use crate::support::request::{Control, REPLACE, Search};
use crate::support::server::{Server, Setup, Subject};
use crate::support::{code, oid};
use crate::{ANN, BOB, EVERYBODY, PEOPLE};

/// Limits of people by uid, as slapd's configuration says them.
fn limits(of: &[(&str, &str)]) -> String {
    of.iter().map(|(uid, limits)| format!("limits dn.exact=\"uid={uid},{PEOPLE}\" {limits}\n")).collect()
}

#[track_caller]
fn set(server: &Server, dn: &str, name: &str, value: &str) {
    if !Subject::current().is_slapd() {
        server.admin().modify(dn, &[(REPLACE, name, &[value])]).expect(code::SUCCESS);
    }
}

fn people(client: &mut Client) -> Found {
    client.search(&Search::subtree(PEOPLE, "(uid=*)").attributes(&["uid"]))
}

#[test]
fn an_entry_says_how_many_entries_it_may_be_told() {
    let slapd = limits(&[("ann", "size=unlimited"), ("bob", "size=1")]);
    let server = Server::start(Setup::default().with_size_limit(3).with_slapd_access(&slapd));
    set(&server, ANN, "nsSizeLimit", "-1");
    set(&server, BOB, "nsSizeLimit", "1");
    assert_eq!(people(&mut server.person("ann")).expect(code::SUCCESS).entries.len(), EVERYBODY.len());
    assert_eq!(people(&mut server.person("bob")).expect(code::SIZE_LIMIT_EXCEEDED).entries.len(), 1);
    assert_eq!(people(&mut server.person("carol")).expect(code::SIZE_LIMIT_EXCEEDED).entries.len(), 3);
    // What the request asks for is a limit still (RFC 4511 4.5.1.4).
    let mut ann = server.person("ann");
    let two = Search::subtree(PEOPLE, "(uid=*)").size_limit(2);
    assert_eq!(ann.search(&two).expect(code::SIZE_LIMIT_EXCEEDED).entries.len(), 2);
    only_entente_from_here!(Foreign);
    // Read at the bind, and forgotten with it.
    set(&server, ANN, "nsSizeLimit", "4");
    assert_eq!(people(&mut ann).entries.len(), EVERYBODY.len());
    ann.bind(ANN, "ann-secret").expect(code::SUCCESS);
    assert_eq!(people(&mut ann).expect(code::SIZE_LIMIT_EXCEEDED).entries.len(), 4);
    ann.bind("", "").expect(code::SUCCESS);
    assert_eq!(people(&mut ann).expect(code::SUCCESS).entries.len(), EVERYBODY.len(), "as for anybody who is nobody");
}

/// RFC 4370: limits go with the rights of whom a request is made as.
#[test]
fn who_acts_as_an_entry_has_its_limits() {
    let server = Server::start(Setup::default().with_slapd_access(&limits(&[("bob", "size=1")])));
    set(&server, BOB, "nsSizeLimit", "1");
    let mut admin = server.admin();
    let as_bob = Control::critical(oid::PROXIED_AUTHORIZATION, Some(format!("dn:{BOB}").into_bytes()));
    assert_eq!(people(admin.with(as_bob)).expect(code::SIZE_LIMIT_EXCEEDED).entries.len(), 1);
    assert_eq!(people(&mut admin).expect(code::SUCCESS).entries.len(), EVERYBODY.len());
}

#[test]
fn an_entry_says_how_many_entries_its_searches_may_look_at() {
    let slapd = limits(&[("bob", "size.unchecked=1")]);
    let server = Server::start(Setup::default().with_setting("limits.lookthrough=1").with_slapd_access(&slapd));
    set(&server, ANN, "nsLookThroughLimit", "1000");
    let search = Search::subtree(PEOPLE, "(!(description=nothing))");
    server.person("ann").search(&search).expect(code::SUCCESS);
    server.person("bob").search(&search).expect(code::ADMIN_LIMIT_EXCEEDED);
    only_entente_from_here!(Foreign);
    // By pages another limit holds, where the entry has one.
    let by_pages = |uid: &str| server.person(uid).with(Control::paged(1_000, b"")).search(&search).outcome.code;
    assert_eq!(by_pages("ann"), code::SUCCESS);
    set(&server, ANN, "nsPagedLookThroughLimit", "1");
    set(&server, BOB, "nsPagedLookThroughLimit", "-1");
    assert_eq!((by_pages("ann"), by_pages("bob")), (code::ADMIN_LIMIT_EXCEEDED, code::SUCCESS));
    assert_eq!(by_pages("carol"), code::ADMIN_LIMIT_EXCEEDED);
    server.person("ann").search(&search).expect(code::SUCCESS);
    server.person("bob").search(&search).expect(code::ADMIN_LIMIT_EXCEEDED);
}

/// RFC 2696: a page counts by itself, and all of them together where the entry says so.
#[test]
fn an_entry_says_how_many_entries_its_pages_may_bring() {
    let slapd = limits(&[("ann", "size=2 size.pr=100 size.prtotal=4"), ("bob", "size=2 size.prtotal=unlimited")]);
    let server = Server::start(Setup::default().with_size_limit(2).with_slapd_access(&slapd));
    set(&server, ANN, "nsPagedSizeLimit", "4");
    set(&server, BOB, "nsPagedSizeLimit", "-1");
    let search = Search::subtree(PEOPLE, "(uid=*)").attributes(&["uid"]);
    let mut ann = server.person("ann");
    let first = ann.with(Control::paged(3, b"")).search(&search).expect(code::SUCCESS);
    assert_eq!(first.entries.len(), 3, "a page may be longer than limits.size");
    let second = ann.with(Control::paged(3, &cookie(&first).0)).search(&search).expect(code::SIZE_LIMIT_EXCEEDED);
    assert_eq!(second.entries.len(), 1);
    let whole = server.person("bob").with(Control::paged(1000, b"")).search(&search).expect(code::SUCCESS);
    assert_eq!(whole.entries.len(), EVERYBODY.len());
    // slapd counts over all pages.
    let expected = Subject::current().pick(code::SUCCESS, code::SIZE_LIMIT_EXCEEDED);
    let page = server.person("carol").with(Control::paged(1000, b"")).search(&search).expect(expected);
    assert_eq!(page.entries.len(), 2);
    assert_eq!(people(&mut ann).expect(code::SIZE_LIMIT_EXCEEDED).entries.len(), 2, "without pages");
}

#[test]
fn an_entry_says_how_long_its_connections_may_idle() {
    only_entente!(Foreign);
    let server = Server::start(Setup::default());
    set(&server, ANN, "nsIdleTimeout", "1");
    let (mut ann, mut bob) = (server.person("ann"), server.person("bob"));
    while let Some(message) = ann.receive() {
        assert_eq!(message.id, 0, "{message:?}");
    }
    assert_eq!(bob.who_am_i(), format!("dn:{BOB}"));
}

/// They are operational, so that a rule for all user attributes does not open them.
#[test]
fn nobody_raises_their_own_limits_without_a_rule_that_names_them() {
    only_entente!(Access);
    let all = r#"(targetattr = "*")(version 3.0; acl "a"; allow (all) userdn = "ldap:///self";)"#;
    let server = Server::start(Setup::default().with_access(&[all], ""));
    let mut ann = server.person("ann");
    ann.modify(ANN, &[(REPLACE, "title", &["Boss"])]).expect(code::SUCCESS);
    for name in ["nsSizeLimit", "nsTimeLimit", "nsLookThroughLimit", "nsPagedSizeLimit", "nsIdleTimeout"] {
        ann.modify(ANN, &[(REPLACE, name, &["-1"])]).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    }
}
