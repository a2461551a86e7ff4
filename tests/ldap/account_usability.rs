//! Account usability, the control of Sun's directory server; slapd's overlay ppolicy has it.

use crate::password_policy::policy;
use crate::support::ber::Element;
use crate::support::request::{Control, REPLACE, Search};
use crate::support::server::{SUFFIX, Server, Subject};
use crate::support::wait::wait_for;
use crate::support::{code, oid};
use crate::{ANN, BOB};

/// `is_available`: seconds until the password expires, -1 for never. `is_not_available`: tags and numbers of why.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Usable(i64),
    Unusable(Vec<(u8, i64)>),
}

const INACTIVE: (u8, i64) = (0x80, -1);
const RESET: (u8, i64) = (0x81, -1);
const EXPIRED: (u8, i64) = (0x82, -1);
const GRACES: u8 = 0x83;
const UNLOCKS: u8 = 0x84;

fn told(server: &Server, name: &str) -> Told {
    let mut admin = server.admin();
    let ask = Control::plain(oid::ACCOUNT_USABILITY);
    let found = admin.with(ask).search(&Search::base(name)).expect(code::SUCCESS);
    let value = found.control_of(0, oid::ACCOUNT_USABILITY).expect("an account");
    let element = Element::whole(&value).unwrap();
    match element.tag {
        0x80 => Told::Usable(element.number()),
        0xa1 => {
            let parts = element.children().unwrap();
            // slapd says what is FALSE too, and -1 graces where nothing expires.
            let said = |part: &&Element| match part.tag {
                GRACES => part.number() >= 0,
                tag => tag > EXPIRED.0 || part.number() != 0,
            };
            Told::Unusable(parts.iter().filter(said).map(|part| (part.tag, part.number())).collect())
        }
        tag => panic!("usability with tag {tag:02x}"),
    }
}

/// What a bind would come to is told, lock by failures included before it is in the tree.
#[test]
fn a_locked_account_says_when_it_opens() {
    let values = [("pwdLockout", "TRUE"), ("pwdMaxFailure", "2"), ("pwdLockoutDuration", "600")];
    let server = Server::start(policy(&values));
    assert_eq!(told(&server, ANN), Told::Usable(-1));
    for _ in 0..2 {
        server.anonymous().bind(ANN, "wrong").expect(code::INVALID_CREDENTIALS);
    }
    if Subject::current().is_slapd() {
        // It notes a failure a little later than it says so.
        wait_for("the lock", || matches!(told(&server, ANN), Told::Unusable(_)).then_some(()));
    }
    let Told::Unusable(why) = told(&server, ANN) else { panic!("a locked account is usable") };
    assert_eq!(why.len(), 2, "{why:?}");
    assert_eq!(why[0], INACTIVE);
    assert!(why[1].0 == UNLOCKS && (500..=600).contains(&why[1].1), "{why:?}");
    assert_eq!(told(&server, BOB), Told::Usable(-1));
    // Nobody but an administrator ends this one.
    server.admin().modify(BOB, &[(REPLACE, "pwdAccountLockedTime", &["000001010000Z"])]).expect(code::SUCCESS);
    // slapd says -1 seconds for never.
    let expected = Subject::current().pick(INACTIVE, (UNLOCKS, -1));
    assert_eq!(told(&server, BOB), Told::Unusable(vec![expected]));
}

#[test]
fn an_account_says_when_its_password_expires_and_must_be_changed() {
    let server = Server::start(policy(&[("pwdMaxAge", "3600"), ("pwdMustChange", "TRUE")]));
    assert_eq!(told(&server, ANN), Told::Usable(-1), "nobody knows how old ann's password is");
    let mut ann = server.person("ann");
    ann.modify(ANN, &[(REPLACE, "userPassword", &["ann-secret-2"])]).expect(code::SUCCESS);
    let Told::Usable(left) = told(&server, ANN) else { panic!("a new password is not usable") };
    assert!((3_500..=3_600).contains(&left), "{left}");
    server.admin().modify(ANN, &[(REPLACE, "userPassword", &["ann-secret-3"])]).expect(code::SUCCESS);
    // slapd does not tell of a reset.
    only_entente_from_here!(Unserved);
    assert_eq!(told(&server, ANN), Told::Unusable(vec![RESET]));
}

#[test]
fn an_expired_password_says_how_many_graces_are_left() {
    let server = Server::start(policy(&[("pwdMaxAge", "1"), ("pwdGraceAuthNLimit", "2")]));
    let expired = |graces: i64| Told::Unusable(vec![EXPIRED, (GRACES, graces)]);
    server.person("ann").modify(ANN, &[(REPLACE, "userPassword", &["ann-secret-2"])]).expect(code::SUCCESS);
    // slapd tells the age that a password may have, whatever age it has.
    assert!(matches!(told(&server, ANN), Told::Usable(1)) || !Subject::current().is_slapd());
    only_entente_from_here!(Breaks);
    wait_for("the password to expire", || (told(&server, ANN) == expired(2)).then_some(()));
    for left in [1, 0] {
        server.bound(ANN, "ann-secret-2");
        assert_eq!(told(&server, ANN), expired(left));
    }
    server.anonymous().bind(ANN, "ann-secret-2").expect(code::INVALID_CREDENTIALS);
}

#[test]
fn an_account_says_that_it_can_be_used() {
    let server = Server::start(policy(&[]));
    let ask = || Control::plain(oid::ACCOUNT_USABILITY);
    let mut admin = server.admin();
    let found = admin.with(ask()).search(&Search::base(ANN)).expect(code::SUCCESS);
    // is_available: -1, no expiry.
    assert_eq!(found.control_of(0, oid::ACCOUNT_USABILITY), Some(vec![0x80, 1, 0xFF]));
    let found = admin.with(ask()).search(&Search::base(SUFFIX)).expect(code::SUCCESS);
    assert_eq!(found.control_of(0, oid::ACCOUNT_USABILITY), None, "no password, no account");
    let found = admin.search(&Search::base(ANN)).expect(code::SUCCESS);
    assert_eq!(found.control_of(0, oid::ACCOUNT_USABILITY), None, "nobody asked");
    // Whoever may not even compare the password does not hear whether there is one.
    let found = server.person("bob").with(ask()).search(&Search::base(ANN)).expect(code::SUCCESS);
    assert_eq!(found.control_of(0, oid::ACCOUNT_USABILITY), None);
    let broken = Control::critical(oid::ACCOUNT_USABILITY, Some(b"x".to_vec()));
    admin.with(broken).search(&Search::base(BOB)).expect(code::PROTOCOL_ERROR);
}
