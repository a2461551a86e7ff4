//! Assertion control: RFC 4528.

use crate::support::request::{self, ADD, Control, REPLACE, Search};
use crate::support::server::{Server, Subject};
use crate::support::{code, oid};
use crate::{ANN, PEOPLE, add_person};

#[test]
fn true_assertion_lets_the_operation_pass() {
    let (mut client, branch) = Server::shared().branch("assertion-true");
    let dn = add_person(&mut client, &branch, "p");
    let asserted = || Control::assertion("(sn=person)");
    client.with(asserted()).modify(&dn, &[(ADD, "title", &["Cook"])]).expect(code::SUCCESS);
    client.with(asserted()).compare(&dn, "cn", "A Person").expect(code::COMPARE_TRUE);
    client.with(asserted()).search(&Search::base(&dn)).expect(code::SUCCESS);
    client.with(asserted()).modify_dn(&dn, "uid=q", true, None).expect(code::SUCCESS);
    client.with(asserted()).delete(&format!("uid=q,{branch}")).expect(code::SUCCESS);
}

#[test]
fn false_assertion_is_assertion_failed_and_changes_nothing() {
    let (mut client, branch) = Server::shared().branch("assertion-false");
    let dn = add_person(&mut client, &branch, "p");
    let asserted = || Control::assertion("(sn=somebody else)");
    client.with(asserted()).modify(&dn, &[(ADD, "title", &["Cook"])]).expect(code::ASSERTION_FAILED);
    client.with(asserted()).compare(&dn, "cn", "A Person").expect(code::ASSERTION_FAILED);
    client.with(asserted()).search(&Search::base(&dn)).expect(code::ASSERTION_FAILED);
    client.with(asserted()).modify_dn(&dn, "uid=q", true, None).expect(code::ASSERTION_FAILED);
    client.with(asserted()).delete(&dn).expect(code::ASSERTION_FAILED);
    assert!(!client.read(&dn).has("title"));
}

/// RFC 4528 3: Undefined is not True.
#[test]
fn undefined_assertion_is_assertion_failed() {
    let mut client = Server::shared().admin();
    let asserted = Control::assertion("(!(noSuchAttribute=x))");
    client.with(asserted).compare(ANN, "sn", "Example").expect(code::ASSERTION_FAILED);
}

/// Two clients that both saw 1 and want to write 2: the second one is told.
#[test]
fn assertion_makes_compare_and_swap() {
    let (mut client, branch) = Server::shared().branch("assertion-swap");
    let dn = add_person(&mut client, &branch, "p");
    client.modify(&dn, &[(ADD, "employeeNumber", &["1"])]).expect(code::SUCCESS);
    let change = |client: &mut crate::support::client::Client| {
        client.with(Control::assertion("(employeeNumber=1)")).modify(&dn, &[(REPLACE, "employeeNumber", &["2"])]).code
    };
    assert_eq!((change(&mut client), change(&mut client)), (code::SUCCESS, code::ASSERTION_FAILED));
}

/// RFC 4528 3: for a search the assertion is about the base.
#[test]
fn assertion_of_a_search_is_about_its_base() {
    let mut client = Server::shared().admin();
    let search = Search::subtree(PEOPLE, "(uid=ann)");
    client.with(Control::assertion("(ou=people)")).search(&search).expect(code::SUCCESS);
    client.with(Control::assertion("(uid=ann)")).search(&search).expect(code::ASSERTION_FAILED);
}

#[test]
fn assertion_that_is_no_filter_is_a_protocol_error() {
    let server = Server::shared();
    for value in [None, Some(vec![]), Some(b"x".to_vec()), Some(b"\xA3\x03\x04\x01x".to_vec())] {
        let mut client = server.admin();
        let compare = request::compare(ANN, "sn", b"Example");
        match client.with(Control::critical(oid::ASSERTION, value)).try_perform(&compare) {
            Some(outcome) => {
                outcome.expect(code::PROTOCOL_ERROR);
            }
            // slapd closes the connection.
            None => assert!(Subject::current().is_slapd()),
        }
    }
}

/// RFC 4528 3: an add asserts about an entry that is not there yet: there is nothing to be true. slapd adds.
#[test]
fn assertion_on_add_is_never_silently_ignored_when_false() {
    let (mut client, branch) = Server::shared().branch("assertion-add");
    let outcome = client
        .with(Control::assertion("(sn=x)"))
        .add(&format!("cn=x,{branch}"), &[("objectClass", &["person"]), ("sn", &["y"])]);
    let expected: &[u32] = Subject::current().pick(
        &[code::ASSERTION_FAILED, code::UNAVAILABLE_CRITICAL_EXTENSION],
        &[code::SUCCESS, code::ASSERTION_FAILED, code::UNAVAILABLE_CRITICAL_EXTENSION],
    );
    outcome.expect_one_of(expected);
}

/// T-21 of the hostile tests: the right to assert is the right to search: no probing of what one may not read.
#[test]
fn assertion_does_not_reveal_what_may_not_be_read() {
    let mut client = Server::shared().person("bob");
    let asserted = Control::assertion("(userPassword=*)");
    client.with(asserted).compare(ANN, "sn", "Example").expect(code::ASSERTION_FAILED);
}
