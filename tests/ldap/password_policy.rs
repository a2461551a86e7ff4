//! Password policy (draft-behera-ldap-password-policy-10), and Netscape's two controls.

use std::time::Duration;

use crate::support::ber::Element;
use crate::support::client::{Client, Outcome};
use crate::support::request::{self, ADD, Control, DELETE, REPLACE, Search};
use crate::support::server::{Server, Setup, Subject};
use crate::support::wait::{Stopwatch, wait_for};
use crate::support::{code, oid};
use crate::{ANN, BOB, PEOPLE};

const POLICY: &str = "cn=policy,dc=example,dc=com";

/// What a password policy response says: warning (tag and number) and error.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    grace: Option<i64>,
    expires: Option<i64>,
    error: Option<i64>,
}

fn said(outcome: &Outcome) -> Said {
    let value = outcome.control(oid::PASSWORD_POLICY);
    let mut said = Said::default();
    for part in Element::whole(&value).unwrap().children().unwrap() {
        match part.tag {
            0xa0 => {
                let warning = part.children().unwrap().remove(0);
                match warning.tag {
                    0x80 => said.expires = Some(warning.number()),
                    0x81 => said.grace = Some(warning.number()),
                    tag => panic!("warning with tag {tag:02x}"),
                }
            }
            0x81 => said.error = Some(part.number()),
            tag => panic!("part with tag {tag:02x}"),
        }
    }
    said
}

fn error(number: i64) -> Said {
    Said { error: Some(number), ..Said::default() }
}

const EXPIRED: i64 = 0;
const ACCOUNT_LOCKED: i64 = 1;
const CHANGE_AFTER_RESET: i64 = 2;
const NOT_ALLOWED: i64 = 3;
const MUST_SUPPLY_OLD: i64 = 4;
const TOO_SHORT: i64 = 6;
const TOO_YOUNG: i64 = 7;
const IN_HISTORY: i64 = 8;

/// A policy for everybody below the suffix: a subentry here, an entry that the overlay names there.
pub(crate) fn policy(values: &[(&str, &str)]) -> Setup {
    let classes = Subject::current().pick("objectClass: subentry\nsubtreeSpecification: {}", "objectClass: device");
    let lines: String = values.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let entry =
        format!("dn: {POLICY}\n{classes}\nobjectClass: pwdPolicy\ncn: policy\npwdAttribute: userPassword\n{lines}");
    Setup::default()
        .with_entries(&entry)
        .with_slapd_lines(&format!("overlay ppolicy\nppolicy_default {POLICY}\nppolicy_use_lockout\n"))
}

fn asking(client: &mut Client) -> &mut Client {
    client.with(Control::not_critical(oid::PASSWORD_POLICY, None))
}

fn bind_asking(server: &Server, name: &str, password: &str) -> Outcome {
    asking(&mut server.anonymous()).bind(name, password)
}

fn fail(server: &Server, name: &str, times: usize) {
    for _ in 0..times {
        server.anonymous().bind(name, "wrong").expect(code::INVALID_CREDENTIALS);
    }
}

fn operational(server: &Server, name: &str, attribute: &str) -> Vec<String> {
    server.admin().read_attributes(name, &[attribute]).values(attribute)
}

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
    let values = [("pwdLockout", "TRUE"), ("pwdMaxFailure", "2"), ("pwdLockoutDuration", "2")];
    let server = Server::start(policy(&values));
    fail(&server, ANN, 2);
    server.anonymous().bind(ANN, "ann-secret").expect(code::INVALID_CREDENTIALS);
    wait_for("the lock to end", || (server.anonymous().bind(ANN, "ann-secret").code == code::SUCCESS).then_some(()));
}

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
    if Subject::current().is_slapd() {
        return;
    }
    let server = Server::start(policy(&[("pwdMaxAge", "3600"), ("pwdExpireWarning", "3600")]));
    let mut admin = server.admin();
    admin.modify(ANN, &[(REPLACE, "userPassword", &["ann-secret-2"])]).expect(code::SUCCESS);
    let outcome = server.anonymous().bind(ANN, "ann-secret-2").expect(code::SUCCESS);
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

/// Draft 5.2.18, 5.2.19: after a failure the next bind has to wait, twice as long with each further one, and never longer than
/// the most. Attempts that come too early are refused here, where slapd answers late.
#[test]
fn failures_make_the_next_bind_wait_up_to_the_most() {
    if Subject::current().is_slapd() {
        return;
    }
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

/// Draft 5.3.1: an entry may have a policy of its own.
#[test]
fn an_entry_names_its_own_policy() {
    let lax = "dn: cn=lax,dc=example,dc=com\nobjectClass: device\nobjectClass: pwdPolicy\ncn: lax\npwdAttribute: userPassword\n";
    let server = Server::start(policy(&[("pwdCheckQuality", "2"), ("pwdMinLength", "30")]).with_entries(lax));
    let mut ann = server.person("ann");
    ann.modify(ANN, &[(REPLACE, "userPassword", &["short one"])]).expect(code::CONSTRAINT_VIOLATION);
    let mut admin = server.admin();
    admin.modify(ANN, &[(REPLACE, "pwdPolicySubentry", &["cn=lax,dc=example,dc=com"])]).expect(code::SUCCESS);
    ann.modify(ANN, &[(REPLACE, "userPassword", &["short one"])]).expect(code::SUCCESS);
    server.bound(ANN, "short one");
}

/// draft-behera-10 5.3.8: the attribute names the policy in effect, whether it is written or the policy's area has the entry.
#[test]
fn an_entry_shows_the_policy_that_is_in_effect() {
    if Subject::current().is_slapd() {
        return;
    }
    let lax = "dn: cn=lax,dc=example,dc=com\nobjectClass: device\nobjectClass: pwdPolicy\ncn: lax\npwdAttribute: userPassword\n";
    let server = Server::start(Setup::default().with_entries(lax));
    let mut admin = server.admin();
    let mut shown = |names: &[&str]| {
        let found = admin.read_attributes(ANN, names);
        found.values("pwdPolicySubentry")
    };
    assert!(shown(&["pwdPolicySubentry"]).is_empty());
    let people: [(&str, &[&str]); 4] = [
        ("objectClass", &["subentry", "pwdPolicy"]),
        ("cn", &["people"]),
        ("pwdAttribute", &["userPassword"]),
        ("subtreeSpecification", &["{ base \"ou=people\" }"]),
    ];
    server.admin().add("cn=people,dc=example,dc=com", &people).expect(code::SUCCESS);
    for names in [["pwdPolicySubentry", "cn"], ["+", "*"]] {
        assert_eq!(shown(&names), ["cn=people,dc=example,dc=com"], "{names:?}");
    }
    assert!(shown(&["*"]).is_empty());
    let set = |value: &[&str]| {
        server.admin().modify(ANN, &[(REPLACE, "pwdPolicySubentry", value)]).expect(code::SUCCESS);
    };
    set(&["cn=lax,dc=example,dc=com"]);
    assert_eq!(shown(&["+"]), ["cn=lax,dc=example,dc=com"]);
    // What names no policy has no effect.
    set(&["ou=people,dc=example,dc=com"]);
    assert_eq!(shown(&["pwdPolicySubentry"]), ["cn=people,dc=example,dc=com"]);
    set(&[]);
    server.admin().delete("cn=people,dc=example,dc=com").expect(code::SUCCESS);
    assert!(shown(&["+"]).is_empty());
}

/// A prefix that says clear text is none of the password (as in an import), and hides nothing from the policy.
#[test]
fn a_password_that_is_said_to_be_clear_text_is_stored_without_saying_so() {
    if Subject::current().is_slapd() {
        return;
    }
    let server = Server::start(policy(&[("pwdCheckQuality", "2"), ("pwdMinLength", "8")]));
    let mut ann = server.person("ann");
    ann.modify(ANN, &[(REPLACE, "userPassword", &["{CLEARTEXT}short"])]).expect(code::CONSTRAINT_VIOLATION);
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

/// A policy that comes, changes and goes while the server runs is in force at once.
#[test]
fn a_policy_is_in_force_as_soon_as_it_is_there() {
    if Subject::current().is_slapd() {
        return;
    }
    let server = Server::start(Setup::default());
    let mut admin = server.admin();
    let mut ann = server.person("ann");
    let entry: [(&str, &[&str]); 6] = [
        ("objectClass", &["subentry", "pwdPolicy"]),
        ("cn", &["people"]),
        ("pwdAttribute", &["userPassword"]),
        ("subtreeSpecification", &["{ base \"ou=people\" }"]),
        ("pwdCheckQuality", &["1"]),
        ("pwdMinLength", &["30"]),
    ];
    admin.add("cn=people,dc=example,dc=com", &entry).expect(code::SUCCESS);
    ann.modify(ANN, &[(REPLACE, "userPassword", &["short one"])]).expect(code::CONSTRAINT_VIOLATION);
    admin.modify("cn=people,dc=example,dc=com", &[(REPLACE, "pwdMinLength", &["5"])]).expect(code::SUCCESS);
    ann.modify(ANN, &[(REPLACE, "userPassword", &["short one"])]).expect(code::SUCCESS);
    admin.modify("cn=people,dc=example,dc=com", &[(REPLACE, "pwdMinLength", &["50"])]).expect(code::SUCCESS);
    admin.delete("cn=people,dc=example,dc=com").expect(code::SUCCESS);
    ann.modify(ANN, &[(REPLACE, "userPassword", &["x"])]).expect(code::SUCCESS);
}

/// T-26: a locked account, an unknown one and a wrong password get the same bytes, control and all.
#[test]
fn nothing_tells_a_stranger_that_an_account_is_locked_or_there() {
    if Subject::current().is_slapd() {
        return;
    }
    let server = Server::start(policy(&[("pwdLockout", "TRUE"), ("pwdMaxFailure", "2")]));
    fail(&server, ANN, 2);
    let nobody = format!("uid=nobody,{PEOPLE}");
    let answers: Vec<String> = [(ANN, "ann-secret"), (ANN, "wrong"), (BOB, "wrong"), (nobody.as_str(), "wrong")]
        .iter()
        .map(|(name, password)| format!("{:?}", bind_asking(&server, name, password)))
        .collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    let outcome = bind_asking(&server, ANN, "ann-secret");
    assert_eq!((outcome.code, said(&outcome)), (code::INVALID_CREDENTIALS, Said::default()));
}

/// Draft 6.2 accountLocked (1), where the settings want it told, and only to who has the password.
#[test]
fn a_setting_tells_the_owner_of_the_lock() {
    if Subject::current().is_slapd() {
        return;
    }
    let setup = policy(&[("pwdLockout", "TRUE"), ("pwdMaxFailure", "2")]).with_setting("password.tell_locked=true");
    let server = Server::start(setup);
    server.admin().modify(ANN, &[(REPLACE, "pwdAccountLockedTime", &["000001010000Z"])]).expect(code::SUCCESS);
    let outcome = bind_asking(&server, ANN, "wrong").expect(code::INVALID_CREDENTIALS);
    assert_eq!(said(&outcome), Said::default());
    let outcome = bind_asking(&server, ANN, "ann-secret").expect(code::INVALID_CREDENTIALS);
    assert_eq!(said(&outcome), error(ACCOUNT_LOCKED));
}

/// T-25 for accounts under a policy: many guesses at once find the lock as guesses one after another do.
#[test]
fn guesses_at_the_same_time_are_counted_like_guesses_in_a_row() {
    if Subject::current().is_slapd() {
        return;
    }
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
    if Subject::current().is_slapd() {
        return;
    }
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

/// Draft 5.2.18 (pwdMaxIdle).
#[test]
fn an_account_that_nobody_uses_is_locked() {
    if Subject::current().is_slapd() {
        return;
    }
    let server = Server::start(policy(&[("pwdMaxIdle", "2")]));
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
    if Subject::current().is_slapd() {
        return;
    }
    let server = Server::start(policy(&[("pwdMaxIdle", "2")]));
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
    server.bound(ANN, "ann-secret");
    lets_idle("ann-secret");
    admin.modify(ANN, &[(REPLACE, "userPassword", &["another-secret"])]).expect(code::SUCCESS);
    server.bound(ANN, "another-secret");
    lets_idle("another-secret");
}

/// Whether more than two seconds have passed since a generalized time, by the clock of this machine.
fn idle_is_over(last: &str) -> bool {
    let last = entente::schema::time::parse_generalized_time(last.as_bytes()).unwrap();
    let now = i64::try_from(entente::clock::Clock::system().wall_ms()).unwrap();
    now > last + 3_000
}

/// RFC 3672: a policy is in force for the entries that its subtree specification speaks of, those about to be added too.
#[test]
fn the_subtree_specification_says_for_whom_a_policy_is() {
    if Subject::current().is_slapd() {
        return;
    }
    let specification = concat!(
        r#"{ base "ou=people", minimum 1, maximum 1, specificExclusions { chopBefore:"uid=bob" }, "#,
        r#"specificationFilter not:item:device }"#
    );
    let entry = format!(
        "dn: {POLICY}\nobjectClass: subentry\nobjectClass: pwdPolicy\ncn: policy\npwdAttribute: userPassword\n\
         subtreeSpecification: {specification}\npwdMustChange: TRUE\npwdLockout: TRUE\npwdMaxFailure: 2\n"
    );
    let server = Server::start(Setup::default().with_entries(&entry));
    for (name, password, is_bound) in [(ANN, "ann-secret", true), (BOB, "bob-secret", false)] {
        fail(&server, name, 2);
        let expected = if is_bound { code::INVALID_CREDENTIALS } else { code::SUCCESS };
        server.anonymous().bind(name, password).expect(expected);
    }
    let mut admin = server.admin();
    let unit = format!("ou=deeper,{PEOPLE}");
    admin.add(&unit, &[("objectClass", &["organizationalUnit"])]).expect(code::SUCCESS);
    for (name, class, is_covered) in [
        (format!("cn=new,{PEOPLE}"), "person", true),
        (format!("cn=thing,{PEOPLE}"), "device", false),
        (format!("cn=below,{unit}"), "person", false),
    ] {
        let attributes: [(&str, &[&str]); 3] =
            [("objectClass", &[class, "extensibleObject"]), ("sn", &["New"]), ("userPassword", &["some-secret"])];
        admin.add(&name, &attributes).expect(code::SUCCESS);
        assert_eq!(operational(&server, &name, "pwdReset"), if is_covered { vec!["TRUE"] } else { vec![] }, "{name}");
    }
    // What is excluded by name may come later.
    let list = r#"{ specificExclusions { chopBefore:"uid=later,ou=people" } }"#;
    admin.modify(POLICY, &[(REPLACE, "subtreeSpecification", &[list])]).expect(code::SUCCESS);
    let later = format!("uid=later,{PEOPLE}");
    let attributes: [(&str, &[&str]); 4] = [
        ("objectClass", &["inetOrgPerson"]),
        ("cn", &["Later"]),
        ("sn", &["Later"]),
        ("userPassword", &["later-secret"]),
    ];
    admin.add(&later, &attributes).expect(code::SUCCESS);
    fail(&server, &later, 2);
    server.anonymous().bind(&later, "later-secret").expect(code::SUCCESS);
}

fn compare_asking(client: &mut Client, name: &str, password: &str) -> Outcome {
    asking(client).compare(name, "userPassword", password)
}

/// Draft 8.1: a compare of a password validates it as a bind does, and counts as one.
#[test]
fn a_comparison_of_a_password_counts_as_a_bind() {
    if Subject::current().is_slapd() {
        return;
    }
    let setup = policy(&[("pwdLockout", "TRUE"), ("pwdMaxFailure", "3")]).with_setting("password.tell_locked=true");
    let server = Server::start(setup);
    let mut admin = server.admin();
    let right = compare_asking(&mut admin, ANN, "ann-secret").expect(code::COMPARE_TRUE);
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
    if Subject::current().is_slapd() {
        return;
    }
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

/// draft-behera-ldap-password-policy-10 5.2: pwdAttribute names the password, numbers are not negative.
#[test]
fn a_policy_that_would_mean_nothing_is_refused_with_what_may_be_written() {
    if Subject::current().is_slapd() {
        return;
    }
    let (mut client, branch) = Server::shared().branch("policy-values");
    let policy = format!("cn=policy,{branch}");
    let wanted = |attribute: &str, more: &str, value: &str| -> Vec<(String, Vec<String>)> {
        let classes = vec!["device".to_owned(), "pwdPolicy".to_owned()];
        let mut list =
            vec![("objectClass".to_owned(), classes), ("pwdAttribute".to_owned(), vec![attribute.to_owned()])];
        list.push((more.to_owned(), vec![value.to_owned()]));
        list
    };
    for (attribute, more, value, says) in [
        ("mail", "pwdMinLength", "8", "pwdAttribute is userPassword"),
        ("userPassword", "pwdMinLength", "-1", "pwdMinLength is a number from 0"),
        ("userPassword", "pwdCheckQuality", "3", "pwdCheckQuality is 0, 1 or 2"),
        ("userPassword", "pwdMaxAge", "99999999999999", "pwdMaxAge is a number from 0"),
    ] {
        let list = wanted(attribute, more, value);
        let texts: Vec<Vec<&str>> =
            list.iter().map(|(_, values)| values.iter().map(String::as_str).collect()).collect();
        let attributes: Vec<(&str, &[&str])> =
            list.iter().zip(&texts).map(|((name, _), values)| (name.as_str(), values.as_slice())).collect();
        let refused = client.add(&policy, &attributes).expect(code::CONSTRAINT_VIOLATION);
        assert!(refused.diagnostic.contains(says), "{}", refused.diagnostic);
    }
    let right: [(&str, &[&str]); 3] =
        [("objectClass", &["device", "pwdPolicy"]), ("pwdAttribute", &["2.5.4.35"]), ("pwdCheckQuality", &["2"])];
    client.add(&policy, &right).expect(code::SUCCESS);
    client.modify(&policy, &[(REPLACE, "pwdMaxAge", &["-5"])]).expect(code::CONSTRAINT_VIOLATION);
}
