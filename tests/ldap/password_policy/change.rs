//! What a new password has to be, and who may set it (draft 5.2.2 to 5.2.15, 8.2).

use super::{IN_HISTORY, MUST_SUPPLY_OLD, NOT_ALLOWED, TOO_SHORT, TOO_YOUNG, asking, error, operational, policy, said};
use crate::ANN;
use crate::support::client::Client;
use crate::support::code;
use crate::support::request::{self, ADD, DELETE, REPLACE};
use crate::support::server::{Server, Subject};

/// Draft 5.2.5 and 5.2.6, by modify and by password modify.
#[test]
fn a_short_password_is_refused() {
    let server = Server::start(policy(&[("pwdCheckQuality", "2"), ("pwdMinLength", "10")]));
    let mut ann = server.person("ann");
    let outcome = asking(&mut ann).modify(ANN, &[(REPLACE, "userPassword", &["short"])]);
    assert_eq!(said(&outcome.expect(code::CONSTRAINT_VIOLATION)), error(TOO_SHORT));
    let outcome = asking(&mut ann).perform(&request::password_modify(None, None, Some("short")));
    assert_eq!(said(&outcome.expect(code::CONSTRAINT_VIOLATION)), error(TOO_SHORT));
    ann.modify(ANN, &[(REPLACE, "userPassword", &["long enough now"])]).expect(code::SUCCESS);
    server.bound(ANN, "long enough now");
}

/// Draft 5.2.4.
#[test]
fn an_earlier_password_is_refused() {
    let server = Server::start(policy(&[("pwdInHistory", "2")]));
    let mut ann = server.person("ann");
    let set =
        |ann: &mut Client, password: &str| asking(ann).perform(&request::password_modify(None, None, Some(password)));
    set(&mut ann, "first-one-1").expect(code::SUCCESS);
    set(&mut ann, "second-one-2").expect(code::SUCCESS);
    for known in ["second-one-2", "first-one-1", "ann-secret"] {
        let outcome = set(&mut ann, known).expect(code::CONSTRAINT_VIOLATION);
        assert_eq!(said(&outcome), error(IN_HISTORY), "{known}");
    }
    set(&mut ann, "third-one-3").expect(code::SUCCESS);
    set(&mut ann, "ann-secret").expect(code::SUCCESS);
    assert_eq!(operational(&server, ANN, "pwdHistory").len(), 2);
    // Nobody reads the hashes of old passwords.
    assert!(
        !server.anonymous().read_attributes(ANN, &["+", "pwdHistory"]).has("pwdHistory")
            || Subject::current().is_slapd()
    );
}

/// Draft 5.2.2.
#[test]
fn a_young_password_stays() {
    let server = Server::start(policy(&[("pwdMinAge", "3600")]));
    let mut ann = server.person("ann");
    ann.perform(&request::password_modify(None, None, Some("first-one-1"))).expect(code::SUCCESS);
    let outcome = asking(&mut ann).perform(&request::password_modify(None, None, Some("second-one-2")));
    assert_eq!(said(&outcome.expect(code::CONSTRAINT_VIOLATION)), error(TOO_YOUNG));
    server.admin().modify(ANN, &[(REPLACE, "userPassword", &["by-the-administrator"])]).expect(code::SUCCESS);
}

/// Draft 5.2.15.
#[test]
fn the_old_password_must_come_along_where_the_policy_says_so() {
    let server = Server::start(policy(&[("pwdSafeModify", "TRUE")]));
    let mut ann = server.person("ann");
    let outcome = asking(&mut ann).modify(ANN, &[(REPLACE, "userPassword", &["new-one-1"])]);
    assert_eq!(said(&outcome.expect(code::INSUFFICIENT_ACCESS_RIGHTS)), error(MUST_SUPPLY_OLD));
    let outcome = ann.modify(ANN, &[(DELETE, "userPassword", &["not it"]), (ADD, "userPassword", &["new-one-1"])]);
    assert_ne!(outcome.code, code::SUCCESS);
    ann.modify(ANN, &[(DELETE, "userPassword", &["ann-secret"]), (ADD, "userPassword", &["new-one-1"])])
        .expect(code::SUCCESS);
    ann.perform(&request::password_modify(None, Some("new-one-1"), Some("new-one-2"))).expect(code::SUCCESS);
    server.bound(ANN, "new-one-2");
}

/// Draft 5.2.14.
#[test]
fn owners_may_be_kept_from_changing_their_password() {
    let server = Server::start(policy(&[("pwdAllowUserChange", "FALSE")]));
    let mut ann = server.person("ann");
    let outcome = asking(&mut ann).modify(ANN, &[(REPLACE, "userPassword", &["new-one-1"])]);
    assert_eq!(said(&outcome.expect(code::INSUFFICIENT_ACCESS_RIGHTS)), error(NOT_ALLOWED));
    server.admin().modify(ANN, &[(REPLACE, "userPassword", &["new-one-1"])]).expect(code::SUCCESS);
    server.bound(ANN, "new-one-1");
}

/// A prefix that says clear text is none of the password (as in an import), and hides nothing from the policy.
#[test]
fn a_password_that_is_said_to_be_clear_text_is_stored_without_saying_so() {
    let server = Server::start(policy(&[("pwdCheckQuality", "2"), ("pwdMinLength", "8")]));
    let mut ann = server.person("ann");
    // slapd counts the prefix.
    let expected = Subject::current().pick(code::CONSTRAINT_VIOLATION, code::SUCCESS);
    ann.modify(ANN, &[(REPLACE, "userPassword", &["{CLEARTEXT}short"])]).expect(expected);
    only_entente_from_here!(Lax);
    ann.modify(ANN, &[(REPLACE, "userPassword", &["{CLEARTEXT}"])]).expect(code::CONSTRAINT_VIOLATION);
    ann.modify(ANN, &[(REPLACE, "userPassword", &["{cleartext}long enough"])]).expect(code::SUCCESS);
    server.bound(ANN, "long enough");
    // What follows is the password whatever it looks like: nobody brings a hash this way.
    let hash = "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=";
    let change =
        [(DELETE, "userPassword", &["{CLEAR}long enough"][..]), (ADD, "userPassword", &[&format!("{{CLEAR}}{hash}")])];
    ann.modify(ANN, &change).expect(code::SUCCESS);
    server.bound(ANN, hash);
    server.anonymous().bind(ANN, "password").expect(code::INVALID_CREDENTIALS);
}
