//! More than one suffix in a server, added while it runs: with the relax rules control (`ldapadd -e relax`), so that a slip
//! in a name makes none. slapd's suffixes are configuration.

use crate::support::code;
use crate::support::request::{Control, SUB, Search};
use crate::support::server::{ADMIN, SUFFIX, Server, Setup, Subject};

/// draft-zeilenga-ldap-relax.
const RELAX: &str = "1.3.6.1.4.1.4203.666.5.12";
/// A suffix that sorts before the first one.
const SECOND: &str = "c=aq";

/// slapd's second database.
fn database(suffix: &str) -> String {
    format!("database mdb\nsuffix {suffix}\nrootdn {ADMIN}\ndirectory {{folder}}/db2\nmaxsize 16777216\ndbnosync\n")
}

fn relaxed() -> Control {
    Control::critical(RELAX, None)
}

#[test]
fn the_administrator_adds_a_suffix_that_is_served_at_once_and_deletes_it_when_it_is_empty() {
    only_entente!(Own);
    let mut server = Server::start(Setup::default());
    let mut client = server.admin();
    let entry: [(&str, &[&str]); 1] = [("objectClass", &["country"])];
    let refused = client.add(SECOND, &entry).expect(code::UNWILLING_TO_PERFORM);
    assert!(refused.diagnostic.contains("relax"), "{}", refused.diagnostic);
    client.with(relaxed()).add(SECOND, &entry).expect(code::SUCCESS);
    client.with(relaxed()).add(SECOND, &entry).expect(code::ENTRY_ALREADY_EXISTS);
    let above: [(&str, &[&str]); 1] = [("objectClass", &["domain"])];
    client.with(relaxed()).add("dc=com", &above).expect(code::NAMING_VIOLATION);
    server.person("ann").with(relaxed()).add("c=fr", &entry).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    let person = crate::add_person(&mut client, SECOND, "p");
    let contexts = |server: &Server| server.admin().search(&Search::base("").attributes(&["namingContexts"])).single();
    assert_eq!(contexts(&server).values("namingContexts"), [SECOND, SUFFIX]);
    assert_eq!(client.search(&Search::subtree(SECOND, "(uid=p)")).names(), ["p"]);
    // One suffix is not searched with the other, and nobody sees it until its own access rules say so.
    assert!(client.search(&Search::subtree(SUFFIX, "(uid=p)")).expect(code::SUCCESS).entries.is_empty());
    assert!(server.person("ann").search(&Search::subtree(SECOND, "(uid=p)")).entries.is_empty());
    server.stop();
    server.restart();
    let mut client = server.admin();
    assert_eq!(client.search(&Search::subtree(SECOND, "(uid=p)")).names(), ["p"]);
    client.delete(SECOND).expect(code::NOT_ALLOWED_ON_NON_LEAF);
    client.delete(&person).expect(code::SUCCESS);
    client.delete(SECOND).expect(code::SUCCESS);
    assert_eq!(contexts(&server).values("namingContexts"), [SUFFIX]);
}

/// RFC 4511 4.5.3: a referral in one suffix leads to another of the same server, by a reference and as a base.
#[test]
fn a_referral_leads_from_one_suffix_to_another() {
    let server = Server::start(Setup::default().with_slapd_lines(&database("dc=example,dc=net")));
    let mut client = server.admin();
    client.with(relaxed()).add("dc=example,dc=net", &[("objectClass", &["domain"])]).expect(code::SUCCESS);
    let url = "ldap:///dc=example,dc=net";
    let link: [(&str, &[&str]); 3] =
        [("objectClass", &["referral", "extensibleObject"]), ("ou", &["net"]), ("ref", &[url])];
    client.add(&format!("ou=net,{SUFFIX}"), &link).expect(code::SUCCESS);
    let found = client.search(&Search::subtree(SUFFIX, "(uid=nobody)")).expect(code::SUCCESS);
    assert!(found.references.contains(&vec![format!("{url}??sub")]), "{:?}", found.references);
    let beyond = client.search(&Search::base(format!("uid=p,ou=net,{SUFFIX}"))).expect(code::REFERRAL);
    assert_eq!(beyond.outcome.referrals, ["ldap:///uid=p,dc=example,dc=net??base"]);
    // An entry does not change over: its name would say nothing of where it was.
    crate::add_person(&mut client, "dc=example,dc=net", "p");
    assert_eq!(client.search(&Search::subtree("dc=example,dc=net", "(uid=p)")).names(), ["p"]);
}

/// clients.md 2.5 number 18, for old phones and printers.
#[test]
fn an_empty_base_means_the_only_suffix_then_that_of_the_administrator_or_what_is_set() {
    // For slapd it is always what is set.
    let slapd = |base: &str| {
        let setup = Setup::default().with_slapd_lines(&database(SECOND));
        if base == "none" { setup } else { setup.with_slapd_global(&format!("defaultsearchbase {base}\n")) }
    };
    let server = Server::start(slapd(SUFFIX));
    let mut client = server.admin();
    let everywhere = |filter: &str| Search::base("").scope(SUB).filter(filter);
    assert_eq!(client.search(&everywhere("(uid=ann)")).names(), ["ann"]);
    client.with(relaxed()).add(SECOND, &[("objectClass", &["country"])]).expect(code::SUCCESS);
    crate::add_person(&mut client, SECOND, "p");
    assert_eq!(client.search(&everywhere("(uid=ann)")).names(), ["ann"]);
    assert!(client.search(&everywhere("(uid=p)")).expect(code::SUCCESS).entries.is_empty());
    if !Subject::current().is_slapd() {
        let root = client.search(&Search::base("").attributes(&["defaultNamingContext"])).single();
        assert_eq!(root.value("defaultNamingContext"), SUFFIX);
    }
    drop(client);
    for (setting, filter, expected) in [(SECOND, "(uid=p)", Some("p")), ("none", "(uid=ann)", None)] {
        let mut server = Server::start(slapd(setting).with_setting(&format!("server.default_search_base={setting}")));
        let mut client = server.admin();
        client.with(relaxed()).add(SECOND, &[("objectClass", &["country"])]).expect(code::SUCCESS);
        crate::add_person(&mut client, SECOND, "p");
        let found = client.search(&everywhere(filter));
        match expected {
            Some(name) => assert_eq!(found.names(), [name]),
            None => {
                let told = found.expect(code::NO_SUCH_OBJECT).outcome.diagnostic;
                assert!(told.contains("namingContexts") || Subject::current().is_slapd(), "{told}");
            }
        }
        server.stop();
    }
}
