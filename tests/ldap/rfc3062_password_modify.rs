//! Password Modify: RFC 3062.

use crate::support::ber::Element;
use crate::support::client::{Client, Outcome};
use crate::support::request::{self, ADD, REPLACE};
use crate::support::server::{ADMIN, ADMIN_PASSWORD, Server, Setup, Subject};
use crate::support::{code, oid};
use crate::{ANN, BOB};

fn change(client: &mut Client, user: Option<&str>, old: Option<&str>, new: Option<&str>) -> Outcome {
    client.perform(&request::password_modify(user, old, new))
}

/// A server of its own: passwords of the shared one stay.
fn server() -> Server {
    Server::start(Setup::default())
}

#[test]
fn own_password_is_changed_with_the_old_one() {
    let server = server();
    let mut client = server.person("ann");
    change(&mut client, None, Some("ann-secret"), Some("new-secret-1")).expect(code::SUCCESS);
    server.anonymous().bind(ANN, "ann-secret").expect(code::INVALID_CREDENTIALS);
    server.bound(ANN, "new-secret-1");
}

/// nslcd tries without the old password first.
#[test]
fn own_password_is_changed_without_the_old_one_by_its_bound_owner() {
    let server = server();
    let mut client = server.person("ann");
    change(&mut client, Some(ANN), None, Some("new-secret-1")).expect(code::SUCCESS);
    server.bound(ANN, "new-secret-1");
}

#[test]
fn wrong_old_password_changes_nothing() {
    let server = server();
    let mut client = server.person("ann");
    let outcome = change(&mut client, None, Some("not it"), Some("new-secret-1"));
    outcome.expect_one_of(&[code::UNWILLING_TO_PERFORM, code::INVALID_CREDENTIALS]);
    server.bound(ANN, "ann-secret");
}

#[test]
fn administrator_sets_the_password_of_others() {
    let server = server();
    change(&mut server.admin(), Some(BOB), None, Some("set-by-admin-1")).expect(code::SUCCESS);
    server.bound(BOB, "set-by-admin-1");
    server.anonymous().bind(BOB, "bob-secret").expect(code::INVALID_CREDENTIALS);
}

#[test]
fn people_do_not_set_the_password_of_others() {
    let server = server();
    let outcome = change(&mut server.person("ann"), Some(BOB), None, Some("intruder-1"));
    outcome.expect_one_of(&[code::INSUFFICIENT_ACCESS_RIGHTS]);
    server.bound(BOB, "bob-secret");
    let outcome = change(&mut server.anonymous(), Some(BOB), None, Some("intruder-1"));
    assert_ne!(outcome.code, code::SUCCESS, "{outcome:?}");
    server.bound(BOB, "bob-secret");
}

/// RFC 3062 2: without a new password the server makes one and tells it.
#[test]
fn server_makes_a_password_when_none_is_given() {
    let server = server();
    let outcome = change(&mut server.admin(), Some(ANN), None, None).expect(code::SUCCESS);
    let response = Element::whole(&outcome.value.expect("a response value")).expect("BER");
    let parts = response.children().expect("BER");
    assert_eq!(parts[0].tag, 0x80);
    let made = parts[0].text();
    assert!(made.len() >= 8, "{made}");
    server.bound(ANN, &made);
}

/// RFC 3062 2: with a new password nothing is told back.
#[test]
fn response_has_no_value_when_a_password_was_given() {
    let server = server();
    let outcome = change(&mut server.admin(), Some(ANN), None, Some("new-secret-1")).expect(code::SUCCESS);
    assert_eq!(outcome.value, None);
}

#[test]
fn password_of_an_absent_entry_cannot_be_set() {
    let server = server();
    let outcome = change(&mut server.admin(), Some("uid=x,ou=people,dc=example,dc=com"), None, Some("new-secret-1"));
    outcome.expect_one_of(&[code::NO_SUCH_OBJECT]);
}

/// RFC 3062 2: an anonymous request without a name is about nobody.
#[test]
fn anonymous_request_without_a_name_is_refused() {
    let server = Server::shared();
    let outcome = change(&mut server.anonymous(), None, Some("x"), Some("new-secret-1"));
    assert_ne!(outcome.code, code::SUCCESS, "{outcome:?}");
}

#[test]
fn malformed_request_value_is_a_protocol_error() {
    let server = Server::shared();
    let mut client = server.admin();
    for value in [&b"x"[..], b"\x30\x05\x80", b"\x30\x02\x99\x00", b"\x04\x00"] {
        let outcome = client.perform(&request::extended(oid::PASSWORD_MODIFY, Some(value)));
        // slapd takes an unreadable value for none and finds no entry of the administrator.
        outcome.expect_one_of(&[
            code::PROTOCOL_ERROR,
            Subject::current().pick(code::PROTOCOL_ERROR, code::NO_SUCH_OBJECT),
        ]);
    }
}

/// What is stored is a hash, by every way in.
#[test]
fn stored_password_is_never_the_clear_text() {
    let server = server();
    let mut client = server.admin();
    change(&mut client, Some(ANN), None, Some("clear-text-1")).expect(code::SUCCESS);
    let stored = client.read_attributes(ANN, &["userPassword"]).values("userPassword");
    assert!(stored.iter().all(|value| value.starts_with('{') && !value.contains("clear-text-1")), "{stored:?}");
    // A modify is hashed as well; slapd needs its ppolicy overlay for that.
    client.modify(ANN, &[(REPLACE, "userPassword", &["clear-text-2"])]).expect(code::SUCCESS);
    server.bound(ANN, "clear-text-2");
    if !Subject::current().is_slapd() {
        let stored = client.read_attributes(ANN, &["userPassword"]).values("userPassword");
        assert!(stored.iter().all(|value| value.starts_with('{') && !value.contains("clear-text-2")), "{stored:?}");
    }
}

/// The administrator is no entry; slapd keeps its password in the configuration and can change it by this operation.
#[test]
fn administrator_still_binds_after_trying_the_own_password() {
    let server = server();
    let outcome = change(&mut server.admin(), None, None, Some("admin-secret"));
    outcome.expect_one_of(&[code::SUCCESS, code::UNWILLING_TO_PERFORM, code::NO_SUCH_OBJECT]);
    server.bound(ADMIN, ADMIN_PASSWORD);
}

/// RFC 3062 2: the user may be named otherwise than by DN; `u:` as in an authorization identity (RFC 4513 5.2.1.8).
#[test]
fn a_user_may_be_named_as_in_an_authorization_identity() {
    only_entente!(Own);
    let server = Server::start(Setup::default());
    let mut admin = server.admin();
    admin.perform(&request::password_modify(Some("u:bob"), None, Some("bob-secret-2"))).expect(code::SUCCESS);
    server.bound(BOB, "bob-secret-2");
    admin.perform(&request::password_modify(Some("u:nobody"), None, Some("x-secret"))).expect(code::NO_SUCH_OBJECT);
    // Who may not see the entry does not learn that there is such a user.
    let hidden = r#"(targetattr = "* || +")(version 3.0; acl "hidden"; deny (all) userdn = "ldap:///anyone";)"#;
    admin.modify(BOB, &[(ADD, "aci", &[hidden])]).expect(code::SUCCESS);
    let mut ann = server.person("ann");
    let mut said = |name| {
        let outcome = change(&mut ann, Some(name), None, Some("x-secret")).expect(code::NO_SUCH_OBJECT);
        (outcome.matched_dn, outcome.diagnostic)
    };
    assert_eq!(said("u:bob"), said("u:nobody"));
    let refused = admin.perform(&request::password_modify(Some("bob"), None, Some("x-secret")));
    assert!(refused.expect(code::INVALID_DN_SYNTAX).diagnostic.contains("u:ann"));
}
