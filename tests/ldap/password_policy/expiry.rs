//! Age of passwords: expiry, graces, warnings, resets (draft 7.2 to 7.5).

use super::{CHANGE_AFTER_RESET, EXPIRED, POLICY, Said, asking, bind_asking, error, operational, policy, said};
use crate::support::request::{self, REPLACE, Search};
use crate::support::server::{Server, Subject};
use crate::support::wait::wait_for;
use crate::support::{code, oid};
use crate::{ANN, BOB};

/// Draft 7.3 and 7.5: an expired password lets in as often as there is grace, and says so.
#[test]
fn an_expired_password_has_its_graces() {
    let server = Server::start(policy(&[("pwdMaxAge", "2"), ("pwdGraceAuthNLimit", "2")]));
    server.admin().modify(ANN, &[(REPLACE, "userPassword", &["ann-secret-2"])]).expect(code::SUCCESS);
    let first = wait_for("the password to expire", || {
        let outcome = bind_asking(&server, ANN, "ann-secret-2").expect(code::SUCCESS);
        said(&outcome).grace
    });
    assert_eq!(first, 1);
    let outcome = bind_asking(&server, ANN, "ann-secret-2").expect(code::SUCCESS);
    assert_eq!(said(&outcome).grace, Some(0));
    let outcome = bind_asking(&server, ANN, "ann-secret-2").expect(code::INVALID_CREDENTIALS);
    assert_eq!(said(&outcome), error(EXPIRED));
    // Nobody learns of it without the password.
    let outcome = bind_asking(&server, ANN, "wrong").expect(code::INVALID_CREDENTIALS);
    assert_eq!(Subject::current().pick(said(&outcome).error, None), None);
}

/// Draft 7.4.
#[test]
fn a_password_that_will_expire_is_warned_of() {
    let server = Server::start(policy(&[("pwdMaxAge", "3600"), ("pwdExpireWarning", "7200")]));
    server.admin().modify(ANN, &[(REPLACE, "userPassword", &["ann-secret-2"])]).expect(code::SUCCESS);
    let outcome = bind_asking(&server, ANN, "ann-secret-2").expect(code::SUCCESS);
    let left = said(&outcome).expires.unwrap();
    assert!((3_500..=3_600).contains(&left), "{left}");
    let outcome = bind_asking(&server, BOB, "bob-secret").expect(code::SUCCESS);
    assert_eq!(said(&outcome), Said::default(), "nobody knows how old bob's password is");
}

/// draft-vchu-ldap-pwd-policy: who did not ask is told in Netscape's controls (clients.md 2.5, 17).
#[test]
fn netscape_controls_tell_who_did_not_ask() {
    let server = Server::start(
        policy(&[("pwdMaxAge", "3600"), ("pwdExpireWarning", "3600")])
            .with_slapd_lines("ppolicy_send_netscape_controls\n"),
    );
    let mut admin = server.admin();
    admin.modify(ANN, &[(REPLACE, "userPassword", &["ann-secret-2"])]).expect(code::SUCCESS);
    let outcome = wait_for("a warning, a second later in slapd", || {
        let outcome = server.anonymous().bind(ANN, "ann-secret-2").expect(code::SUCCESS);
        (!Subject::current().is_slapd() || !outcome.controls.is_empty()).then_some(outcome)
    });
    let left = String::from_utf8(outcome.control(oid::PASSWORD_EXPIRING)).unwrap();
    assert!((3_500..=3_600).contains(&left.parse::<i64>().unwrap()), "{left}");
    admin.modify(POLICY, &[(REPLACE, "pwdMaxAge", &["1"])]).expect(code::SUCCESS);
    let outcome = wait_for("the password to expire", || {
        let outcome = server.anonymous().bind(ANN, "ann-secret-2");
        (outcome.code == code::INVALID_CREDENTIALS).then_some(outcome)
    });
    assert_eq!(outcome.control(oid::PASSWORD_EXPIRED), b"0");
}

/// Draft 7.2: after a reset nothing is allowed but to change the password.
#[test]
fn a_reset_password_must_be_changed_first() {
    let server = Server::start(policy(&[("pwdMustChange", "TRUE")]));
    let mut admin = server.admin();
    admin.modify(ANN, &[(REPLACE, "userPassword", &["set-by-admin"])]).expect(code::SUCCESS);
    if Subject::current().is_slapd() {
        // slapd leaves it to the administrator to say so.
        admin.modify(ANN, &[(REPLACE, "pwdReset", &["TRUE"])]).expect(code::SUCCESS);
    }
    assert_eq!(operational(&server, ANN, "pwdReset"), ["TRUE"]);
    let mut ann = server.anonymous();
    let outcome = asking(&mut ann).bind(ANN, "set-by-admin").expect(code::SUCCESS);
    assert_eq!(said(&outcome), error(CHANGE_AFTER_RESET));
    let found = asking(&mut ann).search(&Search::base(ANN)).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    if !Subject::current().is_slapd() {
        assert_eq!(said(&found.outcome), error(CHANGE_AFTER_RESET));
    }
    ann.modify(ANN, &[(REPLACE, "description", &["x"])]).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    ann.perform(&request::password_modify(None, Some("set-by-admin"), Some("chosen-by-ann-9"))).expect(code::SUCCESS);
    ann.search(&Search::base(ANN)).expect(code::SUCCESS);
    assert!(operational(&server, ANN, "pwdReset").is_empty());
    let outcome = bind_asking(&server, ANN, "chosen-by-ann-9").expect(code::SUCCESS);
    assert_eq!(said(&outcome), Said::default());
}
