//! T-13: a change that fails leaves nothing behind, whichever step it fails at: after the access rules, the schema, the
//! indexes, the last look before the commit.

use crate::support::client::{Client, Entry};
use crate::support::request::{self, ADD, Control, DELETE, REPLACE, Search};
use crate::support::server::{SUFFIX, Server, Setup, Subject, check};
use crate::support::{code, oid};
use crate::{ANN, BOB, PEOPLE};

/// Everything that reading can show.
fn everything(client: &mut Client) -> Vec<Entry> {
    let found =
        client.search(&Search::subtree(SUFFIX, "(objectClass=*)").attributes(&["*", "+"])).expect(code::SUCCESS);
    let mut entries = found.entries;
    entries.sort_by_key(|entry| entry.dn.to_lowercase());
    for entry in &mut entries {
        // Raised by every commit of anybody; what a refused change must not do is seen in all the others.
        entry.attributes.retain(|(name, _)| !name.eq_ignore_ascii_case("contextCSN"));
    }
    entries
}

#[test]
fn changes_that_fail_leave_nothing_behind() {
    // slapd has the rule that is written below.
    let unique = "overlay unique\nunique_uri ldap:///dc=example,dc=com?mail?sub\n";
    let setup = Setup::default().with_slapd_global("moduleload unique\n").with_slapd_lines(unique);
    let mut server = Server::start(setup);
    let mut admin = server.admin();
    let group = format!("cn=trace,{SUFFIX}");
    admin
        .add(&group, &[("objectClass", &["groupOfNames"]), ("cn", &["trace"]), ("member", &[ANN])])
        .expect(code::SUCCESS);
    if !Subject::current().is_slapd() {
        admin.modify(SUFFIX, &[(ADD, "uniqueAttribute", &["mail"])]).expect(code::SUCCESS);
    }
    let mut person = server.person("ann");
    let before = everything(&mut admin);
    let new = format!("uid=trace,{PEOPLE}");
    let whole: [(&str, &[&str]); 5] = [
        ("objectClass", &["inetOrgPerson"]),
        ("uid", &["trace"]),
        ("cn", &["Trace Traceable"]),
        ("sn", &["Trace"]),
        ("mail", &["bob@example.com"]),
    ];
    let mut failing: Vec<(&str, bool, Vec<Control>, Vec<u8>)> = vec![
        ("add without the right", false, vec![], request::add(&new, &whole[..4])),
        ("modify without the right", false, vec![], request::modify(BOB, &[(REPLACE, "title", &["traced"])])),
        ("delete without the right", false, vec![], request::delete(BOB)),
        ("rename without the right", false, vec![], request::modify_dn(BOB, "uid=trace", true, None)),
        ("add against the schema", true, vec![], request::add(&new, &whole[..3])),
        ("add below nothing", true, vec![], request::add(&format!("uid=trace,ou=none,{SUFFIX}"), &whole[..4])),
        ("add of a value that is taken", true, vec![], request::add(&new, &whole)),
        (
            "modify whose last step fails",
            true,
            vec![],
            request::modify(
                BOB,
                &[
                    (REPLACE, "title", &["traced"]),
                    (ADD, "description", &["traced"]),
                    (DELETE, "mail", &["nobody@example.com"]),
                ],
            ),
        ),
        (
            "modify that breaks the schema at the end",
            true,
            vec![],
            request::modify(BOB, &[(REPLACE, "description", &["traced"]), (DELETE, "sn", &[])]),
        ),
        (
            "modify to a value that is taken",
            true,
            vec![],
            request::modify(BOB, &[(REPLACE, "title", &["traced"]), (REPLACE, "mail", &["ann@example.com"])]),
        ),
        ("rename to a name that is taken", true, vec![], request::modify_dn(BOB, "uid=carol", true, None)),
        ("rename below itself", true, vec![], request::modify_dn(PEOPLE, "ou=people", true, Some(BOB))),
        ("delete of a superior", true, vec![], request::delete(PEOPLE)),
        (
            "a failed assertion",
            true,
            vec![Control::assertion("(uid=nobody)")],
            request::modify(BOB, &[(REPLACE, "title", &["traced"])]),
        ),
    ];
    let no_op = || vec![Control::plain(Subject::current().pick(oid::NO_OPERATION, "1.3.6.1.4.1.4203.666.5.2"))];
    failing.extend([
        ("an add that is only tried", true, no_op(), request::add(&new, &whole[..4])),
        ("a modify that is only tried", true, no_op(), request::modify(BOB, &[(REPLACE, "title", &["traced"])])),
        ("a rename that is only tried", true, no_op(), request::modify_dn(BOB, "uid=trace", true, None)),
        ("a delete that is only tried", true, no_op(), request::delete(BOB)),
        ("a group that is only tried", true, no_op(), request::modify(&group, &[(ADD, "member", &[BOB])])),
    ]);
    for (what, by_admin, controls, operation) in failing {
        let client = if by_admin { &mut admin } else { &mut person };
        for control in controls {
            client.with(control);
        }
        let outcome = client.perform(&operation);
        assert_ne!(outcome.code, code::SUCCESS, "{what}");
        assert_eq!(everything(&mut admin), before, "{what}");
        for filter in ["(uid=trace)", "(title=traced)", "(description=traced)", "(cn=*traceab*)", "(cn~=traceable)"] {
            assert!(admin.names(SUFFIX, filter).is_empty(), "{what}: {filter}");
        }
        assert_eq!(admin.names(SUFFIX, &format!("(memberOf={group})")), ["ann"], "{what}");
    }
    // slapd's transactions are not to be relied on.
    only_entente_from_here!(Breaks);
    // A transaction whose last update fails takes the others with it.
    let begun = admin.perform(&request::extended("1.3.6.1.1.21.1", None)).expect(code::SUCCESS);
    let identifier = begun.value.expect("a transaction has a name");
    for operation in
        [request::add(&new, &whole[..4]), request::modify(&group, &[(ADD, "member", &[BOB])]), request::delete(PEOPLE)]
    {
        admin.with(Control::critical(oid::TRANSACTION, Some(identifier.clone())));
        admin.perform(&operation).expect(code::SUCCESS);
    }
    let end = crate::support::ber::sequence(&[crate::support::ber::octets(&identifier)]);
    assert_ne!(admin.perform(&request::extended("1.3.6.1.1.21.3", Some(&end))).code, code::SUCCESS);
    assert_eq!(everything(&mut admin), before, "the transaction");
    drop((admin, person));
    server.stop();
    check(&server.data());
}
