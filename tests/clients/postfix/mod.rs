//! Postfix: tables of addresses in LDAP (ldap_table(5)), asked as `postmap -q` and the mail system ask them.

use crate::site::Site;

const PEOPLE: &str = "query_filter = (&(objectClass=inetOrgPerson)(|(mail=%s)(uid=%u)))\nresult_attribute = uid\n";
/// As a list of recipients is written: members are followed, down to the addresses of the last.
const LISTS: &str = "query_filter = (&(objectClass=groupOfNames)(cn=%u))\nresult_attribute =\n\
                     leaf_result_attribute = mail\nspecial_result_attribute = member\n";
/// The table that nobody configured further: attributes of a schema that hardly anybody has.
const DEFAULTS: &str = "";

/// What `postmap -q KEY ldap:TABLE` prints; nothing where it finds nothing.
#[track_caller]
fn postmap(site: &Site, table: &str, key: &str) -> String {
    site.configure("/srv/table.cf", &format!("{}{table}", include_str!("ldap.cf")), 0o600);
    let finished = site.run(&["postmap", "-q", key, "ldap:/srv/table.cf"]);
    // 1 without a word on standard error is "not found".
    assert_eq!(finished.stderr, "", "{finished:#?}");
    finished.stdout
}

#[test]
fn postfix_finds_addresses_and_follows_lists_over_tls() {
    let site = Site::start();
    assert_eq!(postmap(&site, PEOPLE, "ann@example.com"), "ann\n");
    assert_eq!(postmap(&site, PEOPLE, "ann.example@example.com"), "ann\n");
    assert_eq!(postmap(&site, PEOPLE, "nobody@example.com"), "");
    // What a stranger writes into an address is a value, not a filter.
    assert_eq!(postmap(&site, PEOPLE, "*)(uid=*"), "");
    let staff = "ann@example.com,ann.example@example.com,bob@example.com";
    assert_eq!(postmap(&site, LISTS, "staff"), format!("{staff}\n"));
    assert_eq!(postmap(&site, LISTS, "everybody"), format!("{staff},carol@example.com\n"));
}

/// RFC 4511 4.5.1.7: an attribute that the schema does not know makes a filter Undefined, and no error.
#[test]
fn postfix_finds_nothing_by_attributes_that_nobody_knows() {
    let site = Site::start();
    assert_eq!(postmap(&site, DEFAULTS, "ann@example.com"), "");
}
