//! Failures: delay, lockout, idle accounts, and what a stranger learns of them (draft 5.2.11 to 5.2.19, 7.1, 7.2).

use std::time::Duration;

use super::{ACCOUNT_LOCKED, Said, bind_asking, error, fail, operational, policy, said};
use crate::support::client::Client;
use crate::support::code;
use crate::support::request::{self, DELETE, REPLACE};
use crate::support::server::{Server, Setup, Subject};
use crate::support::wait::{Stopwatch, wait_for};
use crate::{ANN, BOB, PEOPLE};

/// Draft 7.1, 7.2; an administrator unlocks by setting a new password (8.2.7) or by taking the time of the lock away.
#[test]
fn failures_lock_and_an_administrator_unlocks() {
    let server = Server::start(policy(&[("pwdLockout", "TRUE"), ("pwdMaxFailure", "3")]));
    fail(&server, ANN, 2);
    server.bound(ANN, "ann-secret");
    fail(&server, ANN, 3);
    server.anonymous().bind(ANN, "ann-secret").expect(code::INVALID_CREDENTIALS);
    server.bound(BOB, "bob-secret");
    wait_for("the lock to be in the tree", || {
        (!operational(&server, ANN, "pwdAccountLockedTime").is_empty()).then_some(())
    });
    let mut admin = server.admin();
    admin.modify(ANN, &[(REPLACE, "userPassword", &["ann-secret-2"])]).expect(code::SUCCESS);
    server.bound(ANN, "ann-secret-2");
    assert!(operational(&server, ANN, "pwdFailureTime").is_empty());
    fail(&server, ANN, 3);
    wait_for("the lock to be in the tree", || {
        (!operational(&server, ANN, "pwdAccountLockedTime").is_empty()).then_some(())
    });
    server.anonymous().bind(ANN, "ann-secret-2").expect(code::INVALID_CREDENTIALS);
    admin.modify(ANN, &[(DELETE, "pwdAccountLockedTime", &[])]).expect(code::SUCCESS);
    server.bound(ANN, "ann-secret-2");
}

/// Draft 5.2.11.
#[test]
fn a_lock_ends_with_its_duration() {
    let values = [("pwdLockout", "TRUE"), ("pwdMaxFailure", "2"), ("pwdLockoutDuration", "6")];
    let server = Server::start(policy(&values));
    fail(&server, ANN, 2);
    server.anonymous().bind(ANN, "ann-secret").expect(code::INVALID_CREDENTIALS);
    wait_for("the lock to end", || (server.anonymous().bind(ANN, "ann-secret").code == code::SUCCESS).then_some(()));
}

/// Draft 5.2.18, 5.2.19: after a failure the next bind has to wait, twice as long with each further one, and never longer than
/// the most. Attempts that come too early are refused, at once. (slapd 2.5 dies of the attribute: "stack smashing detected".)
#[test]
fn failures_make_the_next_bind_wait_up_to_the_most() {
    only_entente!(Breaks);
    let server = Server::start(policy(&[("pwdMinDelay", "600"), ("pwdMaxDelay", "600")]));
    server.anonymous().bind(ANN, "wrong").expect(code::INVALID_CREDENTIALS);
    // T-26: the right password is refused as a wrong one is; nobody else has to wait.
    server.anonymous().bind(ANN, "ann-secret").expect(code::INVALID_CREDENTIALS);
    server.person("bob");
    // Five failures would be 16 s without a most; with it, it is over after the two seconds that the last one makes.
    let server = Server::start(policy(&[("pwdMinDelay", "1"), ("pwdMaxDelay", "2")]));
    server.anonymous().bind(ANN, "wrong").expect(code::INVALID_CREDENTIALS);
    let failures = |server: &Server| operational(server, ANN, "pwdFailureTime").len();
    for number in 2..=6 {
        wait_for("an attempt that counts", || {
            server.anonymous().bind(ANN, "wrong").expect(code::INVALID_CREDENTIALS);
            (failures(&server) >= number).then_some(())
        });
    }
    let watch = Stopwatch::start();
    wait_for("the end of the delay", || {
        (server.anonymous().bind(ANN, "ann-secret").code == code::SUCCESS).then_some(())
    });
    assert!(watch.elapsed() < Duration::from_secs(16), "{:?}", watch.elapsed());
}

/// T-26: a locked account, an unknown one and a wrong password get the same bytes, control and all.
#[test]
fn nothing_tells_a_stranger_that_an_account_is_locked_or_there() {
    let server = Server::start(policy(&[("pwdLockout", "TRUE"), ("pwdMaxFailure", "2")]));
    fail(&server, ANN, 2);
    let nobody = format!("uid=nobody,{PEOPLE}");
    let answers: Vec<String> = [(ANN, "ann-secret"), (ANN, "wrong"), (BOB, "wrong"), (nobody.as_str(), "wrong")]
        .iter()
        // slapd answers the last one without the control.
        .take(Subject::current().pick(4, 3))
        .map(|(name, password)| format!("{:?}", bind_asking(&server, name, password)))
        .collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    let outcome = bind_asking(&server, ANN, "ann-secret");
    assert_eq!((outcome.code, said(&outcome)), (code::INVALID_CREDENTIALS, Said::default()));
}

/// Draft 6.2 accountLocked (1), where the settings want it told, and only to who has the password.
#[test]
fn a_setting_tells_the_owner_of_the_lock() {
    let setup = policy(&[("pwdLockout", "TRUE"), ("pwdMaxFailure", "2")])
        .with_setting("password.tell_locked=true")
        .with_slapd_lines("ppolicy_use_lockout\n");
    let server = Server::start(setup);
    server.admin().modify(ANN, &[(REPLACE, "pwdAccountLockedTime", &["000001010000Z"])]).expect(code::SUCCESS);
    let outcome = bind_asking(&server, ANN, "wrong").expect(code::INVALID_CREDENTIALS);
    // slapd tells it to everybody then.
    assert_eq!(said(&outcome), Subject::current().pick(Said::default(), error(ACCOUNT_LOCKED)));
    let outcome = bind_asking(&server, ANN, "ann-secret").expect(code::INVALID_CREDENTIALS);
    assert_eq!(said(&outcome), error(ACCOUNT_LOCKED));
}

/// T-25 for accounts under a policy: many guesses at once find the lock as guesses one after another do.
#[test]
fn guesses_at_the_same_time_are_counted_like_guesses_in_a_row() {
    let server = Server::start(policy(&[("pwdLockout", "TRUE"), ("pwdMaxFailure", "3")]));
    let mut clients: Vec<Client> = (0..12).map(|_| server.anonymous()).collect();
    let ids: Vec<i64> = clients.iter_mut().map(|client| client.send(&request::bind_simple(3, ANN, b"wrong"))).collect();
    for (client, id) in clients.iter_mut().zip(ids) {
        client.outcome_of(id).expect(code::INVALID_CREDENTIALS);
    }
    server.anonymous().bind(ANN, "ann-secret").expect(code::INVALID_CREDENTIALS);
    wait_for("the lock to be in the tree", || {
        (!operational(&server, ANN, "pwdAccountLockedTime").is_empty()).then_some(())
    });
    assert_eq!(operational(&server, ANN, "pwdFailureTime").len(), 3, "what came while it was locked is not noted");
}

/// What a bind leaves behind is no change of the entry to who asks what changed since yesterday.
#[test]
fn failures_do_not_touch_the_time_of_the_last_change() {
    let server = Server::start(policy(&[("pwdLockout", "TRUE"), ("pwdMaxFailure", "5"), ("pwdMaxIdle", "3600")]));
    let before = operational(&server, ANN, "modifyTimestamp");
    fail(&server, ANN, 1);
    wait_for("the failure to be in the tree", || {
        (!operational(&server, ANN, "pwdFailureTime").is_empty()).then_some(())
    });
    server.bound(ANN, "ann-secret");
    wait_for("the success to be in the tree", || {
        (!operational(&server, ANN, "pwdLastSuccess").is_empty()).then_some(())
    });
    assert!(operational(&server, ANN, "pwdFailureTime").is_empty());
    assert_eq!(operational(&server, ANN, "modifyTimestamp"), before);
}

/// Two seconds. slapd looks at it where there is a lockout.
fn idle_policy() -> Setup {
    policy(&[("pwdMaxIdle", "4"), ("pwdLockout", "TRUE")][..Subject::current().pick(1, 2)])
}

/// Draft 5.2.18 (pwdMaxIdle).
#[test]
fn an_account_that_nobody_uses_is_locked() {
    let server = Server::start(idle_policy());
    server.bound(ANN, "ann-secret");
    wait_for("the success to be in the tree", || {
        (!operational(&server, ANN, "pwdLastSuccess").is_empty()).then_some(())
    });
    let last = operational(&server, ANN, "pwdLastSuccess");
    wait_for("the idle time to be over", || idle_is_over(&last[0]).then_some(()));
    server.anonymous().bind(ANN, "ann-secret").expect(code::INVALID_CREDENTIALS);
}

/// Draft 5.2.18: who may write the password or take a lock away lets such an account in again, and it is idle anew afterwards.
#[test]
fn an_account_that_nobody_used_is_let_in_again_by_another_password_or_by_taking_the_lock_away() {
    let server = Server::start(idle_policy());
    let mut admin = server.admin();
    let lets_idle = |password: &str| {
        let last = operational(&server, ANN, "pwdLastSuccess");
        wait_for("the idle time to be over", || idle_is_over(&last[0]).then_some(()));
        server.anonymous().bind(ANN, password).expect(code::INVALID_CREDENTIALS);
    };
    server.bound(ANN, "ann-secret");
    wait_for("the success to be in the tree", || {
        (!operational(&server, ANN, "pwdLastSuccess").is_empty()).then_some(())
    });
    lets_idle("ann-secret");
    // There is no value to be taken away: the lock follows from the last success.
    admin.modify(ANN, &[(REPLACE, "pwdAccountLockedTime", &[])]).expect(code::SUCCESS);
    // slapd holds to the last success, come what may.
    let expected = Subject::current().pick(code::SUCCESS, code::INVALID_CREDENTIALS);
    server.anonymous().bind(ANN, "ann-secret").expect(expected);
    only_entente_from_here!(Unserved);
    lets_idle("ann-secret");
    admin.modify(ANN, &[(REPLACE, "userPassword", &["another-secret"])]).expect(code::SUCCESS);
    server.bound(ANN, "another-secret");
    lets_idle("another-secret");
}

/// Whether more than four seconds have passed since a generalized time, by the clock of this machine.
fn idle_is_over(last: &str) -> bool {
    let last = entente::schema::time::parse_generalized_time(last.as_bytes()).unwrap();
    let now = i64::try_from(entente::clock::Clock::system().wall_ms()).unwrap();
    now > last + 5_500
}
