//! ManageDsaIT: RFC 3296.

use crate::support::client::Client;
use crate::support::code;
use crate::support::request::{ADD, Control, REPLACE, Search};
use crate::support::server::Server;

const URL: &str = "ldap://other.example.net/ou=away,dc=example,dc=net";

/// A branch with a referral `ou=away` in it.
#[track_caller]
fn referral(name: &str) -> (Client, String, String) {
    let (mut client, branch) = Server::shared().branch(name);
    let dn = format!("ou=away,{branch}");
    client.add(&dn, &[("objectClass", &["referral", "extensibleObject"]), ("ref", &[URL])]).expect(code::SUCCESS);
    (client, branch, dn)
}

/// RFC 3296 5.1: all operations on the entry itself.
#[test]
fn referral_entry_is_managed_with_the_control() {
    let (mut client, branch, dn) = referral("manage-all");
    let control = Control::manage_dsa_it;
    assert_eq!(client.with(control()).read_attributes(&dn, &["ref"]).value("ref"), URL);
    client.with(control()).compare(&dn, "ou", "away").expect(code::COMPARE_TRUE);
    let other = "ldap://third.example.net/ou=away,dc=example,dc=net";
    client.with(control()).modify(&dn, &[(REPLACE, "ref", &[other])]).expect(code::SUCCESS);
    assert_eq!(client.with(control()).read_attributes(&dn, &["ref"]).value("ref"), other);
    client.with(control()).modify_dn(&dn, "ou=far", true, None).expect(code::SUCCESS);
    client.with(control()).delete(&format!("ou=far,{branch}")).expect(code::SUCCESS);
}

/// RFC 3296 5: without it each operation is referred.
#[test]
fn every_operation_on_a_referral_is_referred_without_the_control() {
    let (mut client, _, dn) = referral("manage-referred");
    for outcome in [
        client.search(&Search::base(&dn)).outcome,
        client.compare(&dn, "ou", "away"),
        client.modify(&dn, &[(ADD, "description", &["x"])]),
        client.modify_dn(&dn, "ou=far", true, None),
        client.delete(&dn),
        client.add(&format!("cn=x,{dn}"), &[("objectClass", &["applicationProcess"]), ("cn", &["x"])]),
    ] {
        let outcome = outcome.expect(code::REFERRAL);
        assert_eq!(outcome.referrals.len(), 1, "{outcome:?}");
        assert!(outcome.referrals[0].starts_with("ldap://other.example.net/"), "{outcome:?}");
        assert_eq!(outcome.matched_dn, dn);
    }
    client.with(Control::manage_dsa_it()).read(&dn);
}

/// RFC 3296 2: a referral entry has ref, and several values are alternatives.
#[test]
fn every_url_of_a_referral_is_told() {
    let (mut client, branch) = Server::shared().branch("manage-urls");
    let dn = format!("ou=away,{branch}");
    let urls: &[&str] = &["ldap://one.example.net/dc=one", "ldap://two.example.net/dc=two"];
    client.add(&dn, &[("objectClass", &["referral", "extensibleObject"]), ("ref", urls)]).expect(code::SUCCESS);
    let outcome = client.search(&Search::base(&dn)).outcome.expect(code::REFERRAL);
    assert_eq!(outcome.referrals.len(), 2);
    let found = client.search(&Search::subtree(&branch, "(cn=nobody)")).expect(code::SUCCESS);
    assert_eq!(found.references.len(), 1);
    assert_eq!(found.references[0].len(), 2);
}

/// RFC 3296 2.2: a value is a URI, of an LDAP server an LDAP URL, and perhaps a label.
#[test]
fn a_referral_that_leads_nowhere_is_refused() {
    only_entente!(Lax);
    let (mut client, _, dn) = referral("manage-nowhere");
    for value in
        [" ", "other.example.net", "://other", "ldap:", "ldap://host:many/dc=x", "ldaps://host/no-name", "7up:x"]
    {
        let refused = client.with(Control::manage_dsa_it()).modify(&dn, &[(REPLACE, "ref", &[value])]);
        let refused = refused.expect(code::INVALID_ATTRIBUTE_SYNTAX);
        assert!(refused.diagnostic.contains("write an LDAP URL"), "{value}: {}", refused.diagnostic);
        let below = format!("ou=below,{}", dn.split_once(',').unwrap().1);
        let entry = [("objectClass", &["referral", "extensibleObject"][..]), ("ref", &[value][..])];
        client.add(&below, &entry).expect(code::INVALID_ATTRIBUTE_SYNTAX);
    }
    for value in
        ["ldap:///dc=example", "LDAPS://host/dc=example a label", "https://example.com/", "ldapi://%2Frun%2Fldapi"]
    {
        client.with(Control::manage_dsa_it()).modify(&dn, &[(REPLACE, "ref", &[value])]).expect(code::SUCCESS);
    }
}

/// RFC 3296 3: the control has no value and may be sent with anything, JNDI does so.
#[test]
fn control_on_ordinary_entries_changes_nothing() {
    let mut client = Server::shared().admin();
    let entry = client.with(Control::manage_dsa_it()).read(crate::ANN);
    assert_eq!(entry.dn, crate::ANN);
    let control = Control::not_critical(crate::support::oid::MANAGE_DSA_IT, None);
    assert_eq!(client.with(control).names(crate::PEOPLE, "(uid=bob)"), ["bob"]);
}
