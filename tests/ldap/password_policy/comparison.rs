//! A compare of a password counts as a bind (draft 8.1).

use super::{ACCOUNT_LOCKED, EXPIRED, asking, error, fail, policy, said};
use crate::support::client::{Client, Outcome};
use crate::support::code;
use crate::support::request::REPLACE;
use crate::support::server::{Server, Subject};
use crate::support::wait::wait_for;
use crate::{ANN, BOB};

fn compare_asking(client: &mut Client, name: &str, password: &str) -> Outcome {
    asking(client).compare(name, "userPassword", password)
}

/// Draft 8.1: a compare of a password validates it as a bind does, and counts as one.
#[test]
fn a_comparison_of_a_password_counts_as_a_bind() {
    let setup = policy(&[("pwdLockout", "TRUE"), ("pwdMaxFailure", "3")])
        .with_setting("password.tell_locked=true")
        .with_slapd_lines("ppolicy_use_lockout\n");
    let server = Server::start(setup);
    let mut admin = server.admin();
    // slapd compares with what is stored.
    let expected = Subject::current().pick(code::COMPARE_TRUE, code::COMPARE_FALSE);
    let right = compare_asking(&mut admin, ANN, "ann-secret").expect(expected);
    only_entente_from_here!(Unserved);
    assert!(right.controls.is_empty(), "there is nothing to say");
    for _ in 0..2 {
        let wrong = compare_asking(&mut admin, ANN, "wrong").expect(code::COMPARE_FALSE);
        assert!(wrong.controls.is_empty());
    }
    // One that is right ends the row, as a bind does.
    admin.compare(ANN, "userPassword", "ann-secret").expect(code::COMPARE_TRUE);
    fail(&server, ANN, 1);
    compare_asking(&mut admin, ANN, "wrong").expect(code::COMPARE_FALSE);
    let last = compare_asking(&mut admin, ANN, "wrong").expect(code::COMPARE_FALSE);
    assert_eq!(said(&last), error(ACCOUNT_LOCKED));
    let locked = compare_asking(&mut admin, ANN, "ann-secret").expect(code::COMPARE_FALSE);
    assert_eq!(said(&locked), error(ACCOUNT_LOCKED));
    server.anonymous().bind(ANN, "ann-secret").expect(code::INVALID_CREDENTIALS);
    // What is stored is no password.
    let stored = server.admin().read_attributes(BOB, &["userPassword"]).value("userPassword");
    assert!(stored.starts_with('{'), "{stored}");
    admin.compare(BOB, "userPassword", &stored).expect(code::COMPARE_FALSE);
    admin.compare(BOB, "userPassword", "bob-secret").expect(code::COMPARE_TRUE);
    admin.compare("ou=people,dc=example,dc=com", "userPassword", "x").expect(code::NO_SUCH_ATTRIBUTE);
}

/// Draft 8.1.2.3, 9.4: graces are used by comparisons too, and told.
#[test]
fn a_comparison_of_an_expired_password_uses_a_grace() {
    only_entente!(Unserved);
    let server = Server::start(policy(&[("pwdMaxAge", "2"), ("pwdGraceAuthNLimit", "2")]));
    let mut admin = server.admin();
    admin.modify(ANN, &[(REPLACE, "userPassword", &["ann-secret-2"])]).expect(code::SUCCESS);
    let first = wait_for("the password to expire", || {
        let outcome = compare_asking(&mut admin, ANN, "ann-secret-2").expect(code::COMPARE_TRUE);
        (!outcome.controls.is_empty()).then(|| said(&outcome).grace).flatten()
    });
    assert_eq!(first, 1);
    let outcome = compare_asking(&mut admin, ANN, "ann-secret-2").expect(code::COMPARE_TRUE);
    assert_eq!(said(&outcome).grace, Some(0));
    let outcome = compare_asking(&mut admin, ANN, "ann-secret-2").expect(code::COMPARE_FALSE);
    assert_eq!(said(&outcome), error(EXPIRED));
    let outcome = compare_asking(&mut admin, ANN, "wrong").expect(code::COMPARE_FALSE);
    assert!(outcome.controls.is_empty());
}
