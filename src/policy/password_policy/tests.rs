use super::*;

const NOW: i64 = 1_700_000_000 * SECOND;

fn policy(values: &[(&str, &str)]) -> PasswordPolicy {
    let values: Vec<(String, String)> = values.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    PasswordPolicy::read(|name| values.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
}

fn failed(ago_s: &[i64]) -> PasswordState {
    let mut failures_us: Vec<i64> = ago_s.iter().map(|ago| NOW - ago * SECOND).collect();
    failures_us.sort_unstable();
    PasswordState { failures_us, ..PasswordState::default() }
}

/// What is not said restricts nothing.
#[test]
fn an_empty_policy_restricts_nothing() {
    let policy = policy(&[("pwdMaxFailure", "nonsense")]);
    let state = PasswordState { changed_us: Some(0), ..failed(&[3, 2, 1]) };
    assert_eq!(state.standing(Some(&policy), NOW), Standing::Open);
    assert_eq!(state.welcome(&policy, NOW), Ok(Welcome::default()));
    assert!(!policy.counts_failures() && policy.allow_user_change && !state.is_too_young(&policy, NOW));
    assert_eq!(check_quality(&policy, b"a", &[]), Ok(()));
}

/// Draft 7.1: the year 0 locks for ever, with a policy and without.
#[test]
fn an_administrator_locks_for_ever() {
    let state = PasswordState { locked_us: Some(LOCKED_FOREVER_US), ..PasswordState::default() };
    let policy = policy(&[("pwdLockoutDuration", "1")]);
    assert_eq!(state.standing(None, NOW), Standing::Locked);
    assert_eq!(state.standing(Some(&policy), NOW), Standing::Locked);
    let parsed = crate::schema::time::parse_generalized_time(LOCKED_FOREVER.as_bytes());
    assert_eq!(parsed.map(|ms| ms * 1_000), Some(LOCKED_FOREVER_US));
}

/// Draft 7.2 and 5.2.11, 5.2.12.
#[test]
fn failures_in_a_row_lock_until_the_duration_is_over() {
    let policy = policy(&[
        ("pwdLockout", "TRUE"),
        ("pwdMaxFailure", "3"),
        ("pwdLockoutDuration", "60"),
        ("pwdFailureCountInterval", "300"),
    ]);
    assert_eq!(failed(&[9, 8]).standing(Some(&policy), NOW), Standing::Open);
    assert_eq!(failed(&[9, 8, 7]).standing(Some(&policy), NOW), Standing::Locked);
    assert_eq!(failed(&[80, 70, 61]).standing(Some(&policy), NOW), Standing::Open, "the lock is over");
    assert_eq!(failed(&[110, 100, 91, 2, 1]).standing(Some(&policy), NOW), Standing::Open, "counted anew");
    assert_eq!(failed(&[110, 100, 91, 3, 2, 1]).standing(Some(&policy), NOW), Standing::Locked);
    assert_eq!(failed(&[301, 8, 7]).standing(Some(&policy), NOW), Standing::Open, "one is forgotten");
}

#[test]
fn without_a_duration_a_lock_stays() {
    let policy = policy(&[("pwdLockout", "TRUE"), ("pwdMaxFailure", "2")]);
    assert_eq!(failed(&[90_000_000, 80_000_000]).standing(Some(&policy), NOW), Standing::Locked);
}

/// Two suppliers noted two failures each: together they lock, whoever looks.
#[test]
fn failures_noted_apart_count_together() {
    let policy = policy(&[("pwdLockout", "TRUE"), ("pwdMaxFailure", "4")]);
    let (mut one, two) = (failed(&[9, 7]), failed(&[8, 6]));
    assert_eq!(one.standing(Some(&policy), NOW), Standing::Open);
    one.failures_us.extend(two.failures_us);
    one.failures_us.sort_unstable();
    assert_eq!(one.standing(Some(&policy), NOW), Standing::Locked);
}

/// Another supplier's clock may be ahead of ours: its failure is one of now, not of a time to come.
#[test]
fn a_failure_ahead_of_the_clock_counts_as_now() {
    let policy = policy(&[("pwdLockout", "TRUE"), ("pwdMaxFailure", "1"), ("pwdLockoutDuration", "60")]);
    assert_eq!(failed(&[-100_000]).standing(Some(&policy), NOW), Standing::Locked);
    assert_eq!(failed(&[-100_000]).failures(&policy, NOW).locked_us, Some(NOW));
}

#[test]
fn the_delay_doubles_up_to_its_most() {
    let policy = policy(&[("pwdMinDelay", "2"), ("pwdMaxDelay", "10")]);
    assert!(policy.counts_failures());
    assert_eq!(failed(&[1]).standing(Some(&policy), NOW), Standing::TooEarly);
    assert_eq!(failed(&[2]).standing(Some(&policy), NOW), Standing::Open);
    assert_eq!(failed(&[9, 3]).standing(Some(&policy), NOW), Standing::TooEarly);
    assert_eq!(failed(&[9, 4]).standing(Some(&policy), NOW), Standing::Open);
    let many: Vec<i64> = (10..60).collect();
    assert_eq!(failed(&many).standing(Some(&policy), NOW), Standing::Open);
    assert_eq!(failed(&many).standing(Some(&policy), NOW - SECOND), Standing::TooEarly);
}

#[test]
fn an_idle_account_is_locked() {
    let policy = policy(&[("pwdMaxIdle", "100")]);
    let used = |ago: i64| PasswordState { last_success_us: Some(NOW - ago * SECOND), ..PasswordState::default() };
    assert_eq!(used(100).standing(Some(&policy), NOW), Standing::Open);
    assert_eq!(used(101).standing(Some(&policy), NOW), Standing::Locked);
    assert_eq!(PasswordState::default().standing(Some(&policy), NOW), Standing::Open, "never noted");
}

#[test]
fn an_account_outside_its_time_is_locked() {
    let from = |start: i64, end: i64| PasswordState {
        start_us: Some(NOW + start * SECOND),
        end_us: Some(NOW + end * SECOND),
        ..PasswordState::default()
    };
    assert_eq!(from(-1, 1).standing(None, NOW), Standing::Open);
    assert_eq!(from(1, 2).standing(None, NOW), Standing::Locked);
    assert_eq!(from(-2, 0).standing(None, NOW), Standing::Locked);
}

/// Draft 7.3 to 7.5.
#[test]
fn a_password_warns_then_expires_then_has_graces() {
    let policy = policy(&[("pwdMaxAge", "100"), ("pwdExpireWarning", "10"), ("pwdGraceAuthNLimit", "2")]);
    let changed = |ago: i64| PasswordState { changed_us: Some(NOW - ago * SECOND), ..PasswordState::default() };
    assert_eq!(changed(89).welcome(&policy, NOW), Ok(Welcome::default()));
    assert_eq!(changed(90).welcome(&policy, NOW).unwrap().expires_in_s, Some(10));
    assert_eq!(changed(100).welcome(&policy, NOW).unwrap().graces_left, Some(1));
    let mut used = changed(101);
    used.grace_uses_us = vec![NOW - SECOND];
    assert_eq!(used.welcome(&policy, NOW).unwrap().graces_left, Some(0));
    used.grace_uses_us.push(NOW);
    assert_eq!(used.welcome(&policy, NOW), Err(Expired));
    let short = PasswordPolicy { grace_expiry_s: 5, ..policy };
    assert!(changed(104).welcome(&short, NOW).is_ok());
    assert_eq!(changed(105).welcome(&short, NOW), Err(Expired));
}

/// Draft 7.2: after a reset nothing else is looked at.
#[test]
fn a_reset_password_must_be_changed() {
    let policy = policy(&[("pwdMustChange", "TRUE"), ("pwdMaxAge", "1"), ("pwdMinAge", "100")]);
    let state = PasswordState { reset: true, changed_us: Some(NOW - 5 * SECOND), ..PasswordState::default() };
    assert!(state.welcome(&policy, NOW).unwrap().must_change);
    assert!(!state.is_too_young(&policy, NOW));
    assert!(PasswordState { reset: false, ..state }.is_too_young(&policy, NOW));
}

#[test]
fn poor_passwords_are_told_by_what_is_wrong() {
    let policy = policy(&[("pwdCheckQuality", "2"), ("pwdMinLength", "8"), ("pwdMaxLength", "20")]);
    let names = ["Juergen".to_owned(), "Li".to_owned()];
    let check = |password: &str| check_quality(&policy, password.as_bytes(), &names);
    assert_eq!(check("short"), Err(Quality::TooShort));
    assert_eq!(check("a password too long to be taken"), Err(Quality::TooLong));
    assert_eq!(check("aaaaaaaaab"), Err(Quality::Insufficient));
    assert_eq!(check("my-jUERGEN-1"), Err(Quality::Insufficient));
    assert_eq!(check("liquid-tree"), Ok(()), "two letters of a name are in many words");
    assert_eq!(check("äöüßéíóú"), Ok(()), "characters are counted, not bytes");
}

#[test]
fn a_shut_account_tells_when_it_opens() {
    let timed = policy(&[("pwdLockout", "TRUE"), ("pwdMaxFailure", "2"), ("pwdLockoutDuration", "60")]);
    assert_eq!(failed(&[10]).opens_in_s(Some(&timed), NOW), None, "it is open");
    assert_eq!(failed(&[11, 10]).opens_in_s(Some(&timed), NOW), Some(50));
    assert_eq!(failed(&[11, 10]).opens_in_s(Some(&timed), NOW + 1), Some(50), "part of a second is one");
    let by_hand = PasswordState { locked_us: Some(NOW - 20 * SECOND), ..PasswordState::default() };
    assert_eq!(by_hand.opens_in_s(Some(&timed), NOW), Some(40));
    assert_eq!(by_hand.opens_in_s(None, NOW), None, "without a duration somebody unlocks");
    let forever = PasswordState { locked_us: Some(LOCKED_FOREVER_US), ..PasswordState::default() };
    assert_eq!(forever.opens_in_s(Some(&timed), NOW), None);
    let early = PasswordState { start_us: Some(NOW + 5 * SECOND), ..PasswordState::default() };
    assert_eq!(early.opens_in_s(None, NOW), Some(5));
    let slow = policy(&[("pwdMinDelay", "4")]);
    assert_eq!(failed(&[1]).opens_in_s(Some(&slow), NOW), Some(3));
}
