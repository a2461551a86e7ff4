//! Result codes with matchedDN, over all operations: RFC 4511 4.1.9 and appendix A.

use crate::support::client::{Client, Outcome};
use crate::support::code;
use crate::support::request::{self, ADD, Search};
use crate::support::server::{SUFFIX, Server, Subject};
use crate::{ANN, PEOPLE};

const PERSON: [(&str, &[&str]); 3] = [("objectClass", &["inetOrgPerson"]), ("cn", &["x"]), ("sn", &["x"])];

/// Every operation that names an entry, tried on `dn`.
fn every_operation(client: &mut Client, dn: &str) -> Vec<(&'static str, Outcome)> {
    vec![
        ("search", client.search(&Search::base(dn)).outcome),
        ("compare", client.compare(dn, "cn", "x")),
        ("add", client.add(&format!("uid=below,{dn}"), &PERSON)),
        ("modify", client.modify(dn, &[(ADD, "description", &["x"])])),
        ("modifyDN", client.modify_dn(dn, "uid=other", true, None)),
        ("delete", client.delete(dn)),
    ]
}

/// RFC 4511 4.1.9: matchedDN is the name of the last entry found on the way.
#[test]
fn matched_dn_is_the_nearest_superior_that_is_there() {
    let mut client = Server::shared().admin();
    let cases = [
        (format!("uid=x,{PEOPLE}"), PEOPLE),
        (format!("uid=x,ou=y,{SUFFIX}"), SUFFIX),
        (format!("uid=x,ou=y,dc=z,{PEOPLE}"), PEOPLE),
        (format!("cn=child,{ANN}"), ANN),
    ];
    for (dn, matched) in cases {
        for (operation, outcome) in every_operation(&mut client, &dn) {
            assert_eq!(outcome.code, code::NO_SUCH_OBJECT, "{operation} of {dn}: {outcome:?}");
            // slapd's rename does not always say.
            let silent = Subject::current().is_slapd() && operation == "modifyDN" && outcome.matched_dn.is_empty();
            assert!(silent || outcome.matched_dn == matched, "{operation} of {dn}: {outcome:?}");
        }
    }
}

/// matchedDN is the stored spelling, not the request's.
#[test]
fn matched_dn_has_the_stored_spelling() {
    let mut client = Server::shared().admin();
    let outcome =
        client.search(&Search::base("UID=X,OU=PEOPLE,DC=Example,DC=COM")).outcome.expect(code::NO_SUCH_OBJECT);
    assert_eq!(outcome.matched_dn.to_lowercase(), PEOPLE);
}

#[test]
fn matched_dn_is_empty_where_no_name_was_looked_for() {
    let mut client = Server::shared().admin();
    for outcome in [
        client.add(ANN, &PERSON).expect(code::ENTRY_ALREADY_EXISTS),
        client.modify(ANN, &[(request::DELETE, "title", &["x"])]).expect(code::NO_SUCH_ATTRIBUTE),
        client.compare(ANN, "sn", "Example").expect(code::COMPARE_TRUE),
        client.search(&Search::base(ANN)).outcome.expect(code::SUCCESS),
    ] {
        assert_eq!(outcome.matched_dn, "", "{outcome:?}");
    }
}

/// A refusal says in words what is wrong; success needs no words. slapd is silent in places.
#[test]
fn diagnostics_help_and_hide_the_inside() {
    let (mut client, branch) = Server::shared().branch("diagnostics");
    let dn = crate::add_person(&mut client, &branch, "p");
    let mut outcomes = vec![
        client.modify(&dn, &[(ADD, "uidNumber", &["5"])]),
        client.modify(&dn, &[(ADD, "noSuchAttribute", &["5"])]),
        client.modify(&dn, &[(ADD, "manager", &["not a name"])]),
        client.modify(&dn, &[(request::DELETE, "sn", &[])]),
        client.add("nobody", &PERSON),
    ];
    if !Subject::current().is_slapd() {
        outcomes.push(client.delete(&branch));
        outcomes.push(client.modify(&dn, &[(request::DELETE, "title", &["x"])]));
    }
    for outcome in outcomes {
        assert!(!outcome.diagnostic.is_empty(), "{outcome:?}");
        for inside in ["src/", ".rs", "panicked", "/tmp", "mdb", "unwrap", "Some("] {
            assert!(!outcome.diagnostic.contains(inside), "{outcome:?}");
        }
    }
}

/// A connection outlives every refusal.
#[test]
fn connection_goes_on_after_each_refusal() {
    let mut client = Server::shared().admin();
    for dn in ["nobody", "", "dc=elsewhere", "uid=x,dc=example,dc=com"] {
        every_operation(&mut client, dn);
        assert_eq!(client.who_am_i(), "dn:cn=admin,dc=example,dc=com");
    }
}
