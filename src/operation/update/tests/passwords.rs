//! userPassword by add and modify, and password modify (RFC 3062).

use super::*;
use crate::operation::ExtendedCall;
use crate::policy::password_hash::{self, Verdict};
use crate::wire::ExtendedRequest;
use crate::wire::extended::{PASSWORD_MODIFY, PasswordModify};
use ModificationKind::{Add, Delete, Replace};

impl House {
    fn change_password(&self, session: &Session, user: Option<&str>, old: Option<&str>, new: Option<&str>) -> Heard {
        let value = PasswordModify {
            user_identity: user.map(str::as_bytes),
            old_password: old.map(str::as_bytes),
            new_password: new.map(str::as_bytes),
        };
        self.change_password_raw(session, Some(&value.encode()))
    }

    fn change_password_raw(&self, session: &Session, value: Option<&[u8]>) -> Heard {
        let (answer, answered) = channel();
        let reply = Box::new(move |pdu| answer.send(pdu).unwrap());
        let request = ExtendedRequest { name: PASSWORD_MODIFY, value };
        let call = ExtendedCall { session, id: 7, request: &request, controls: &Controls::NONE, reply };
        run(self.directory.extended_later(call));
        Heard::read(&answered.recv_timeout(Duration::from_secs(60)).unwrap())
    }

    fn lets_in(&self, dn: &str, password: &str) -> bool {
        let stored = self.values(dn, "userPassword");
        stored.iter().any(|stored| password_hash::verify(stored.as_bytes(), password.as_bytes()) == Verdict::Match)
    }
}

/// Ann with the password `old`.
fn house() -> House {
    let house = House::new();
    house.modify(&house.admin(), ANN, &[(Replace, "userPassword", &["old"])]).is(OK);
    house
}

#[test]
fn clear_passwords_are_stored_hashed() {
    let house = house();
    let stored = house.values(ANN, "userPassword");
    assert!(stored.iter().all(|stored| stored.starts_with("{ARGON2}") && !stored.contains("old")), "{stored:?}");
    let dn = format!("uid=new,{PEOPLE}");
    let attributes: [(&str, &[&str]); 4] =
        [("objectClass", &["inetOrgPerson"]), ("cn", &["x"]), ("sn", &["x"]), ("userPassword", &["secret"])];
    house.add(&house.admin(), &dn, &attributes).is(OK);
    assert!(house.lets_in(&dn, "secret") && house.lets_in(ANN, "old"));
}

/// hostile.md T-30.
#[test]
fn hashes_come_from_the_administrator_only() {
    let house = house();
    let hash: [(ModificationKind, &str, &[&str]); 1] =
        [(Replace, "userPassword", &["{SHA}nU4eI71bcnBGqeO0t9tXvY1u5oQ="])];
    house.modify(&house.user(ANN), ANN, &hash).is(ResultCode::CONSTRAINT_VIOLATION);
    assert!(house.lets_in(ANN, "old"));
    house.modify(&house.admin(), ANN, &hash).is(OK);
    assert!(house.lets_in(ANN, "pass"));
}

#[test]
fn empty_and_too_many_passwords_are_refused() {
    let house = house();
    let cases: [&[&str]; 2] = [&[""], &["a", "b", "c", "d", "e"]];
    for values in cases {
        let list = [(Replace, "userPassword", values)];
        house.modify(&house.admin(), ANN, &list).is(ResultCode::CONSTRAINT_VIOLATION);
    }
}

/// How clients without RFC 3062 change a password: the old value out, the new one in.
#[test]
fn the_old_clear_password_is_deleted_where_it_fits() {
    let house = house();
    let ann = house.user(ANN);
    let wrong: [(ModificationKind, &str, &[&str]); 2] =
        [(Delete, "userPassword", &["not it"]), (Add, "userPassword", &["new"])];
    house.modify(&ann, ANN, &wrong).is(ResultCode::NO_SUCH_ATTRIBUTE);
    assert!(house.lets_in(ANN, "old"));
    let right: [(ModificationKind, &str, &[&str]); 2] =
        [(Delete, "userPassword", &["old"]), (Add, "userPassword", &["new"])];
    house.modify(&ann, ANN, &right).is(OK);
    assert!(house.lets_in(ANN, "new") && !house.lets_in(ANN, "old"));
    // Whoever may not write it does not learn whether it fits.
    for guess in ["new", "not it"] {
        let list: [(ModificationKind, &str, &[&str]); 1] = [(Delete, "userPassword", &[guess])];
        house.modify(&house.user(BOB), ANN, &list).is(ResultCode::INSUFFICIENT_ACCESS_RIGHTS);
    }
}

#[test]
fn the_own_password_changes_with_and_without_the_old_one() {
    let house = house();
    let ann = house.user(ANN);
    let heard = house.change_password(&ann, None, Some("old"), Some("one")).is(OK);
    assert_eq!(heard.value, None, "RFC 3062 2: nothing is told when a password was given");
    assert!(house.lets_in(ANN, "one") && !house.lets_in(ANN, "old"));
    house.change_password(&ann, Some(ANN), None, Some("two")).is(OK);
    house.change_password(&ann, Some(&format!("dn:{ANN}")), Some("two"), Some("three")).is(OK);
    assert!(house.lets_in(ANN, "three"));
    house.change_password(&ann, None, Some("not it"), Some("four")).is(ResultCode::INVALID_CREDENTIALS);
    house.change_password(&ann, None, None, Some("")).is(ResultCode::CONSTRAINT_VIOLATION);
    assert!(house.lets_in(ANN, "three"));
    assert_eq!(house.values(ANN, "modifiersName"), [ANN]);
}

#[test]
fn the_own_password_follows_a_rename() {
    let house = house();
    let ann = house.user(ANN);
    house.rename(&house.admin(), ANN, "uid=anna", true, None).is(OK);
    house.change_password(&ann, None, None, Some("new")).is(OK);
    assert!(house.lets_in(&format!("uid=anna,{PEOPLE}"), "new"));
}

/// RFC 3062 2: without a new password the server makes one and tells it.
#[test]
fn a_password_is_made_where_none_is_given() {
    let house = house();
    let heard = house.change_password(&house.admin(), Some(ANN), None, None).is(OK);
    let value = heard.value.unwrap();
    let made = extended::decode_generated_password(&value).unwrap().unwrap();
    assert!(made.len() >= 16);
    assert!(house.lets_in(ANN, std::str::from_utf8(made).unwrap()));
}

#[test]
fn the_password_of_others_needs_the_right_to_write_it() {
    let house = house();
    let bob = house.user(BOB);
    for old in [None, Some("old"), Some("not it")] {
        house.change_password(&bob, Some(ANN), old, Some("x")).is(ResultCode::INSUFFICIENT_ACCESS_RIGHTS);
    }
    house.change_password(&house.anonymous(), Some(ANN), Some("old"), Some("x")).is(ResultCode::NO_SUCH_OBJECT);
    house.change_password(&house.anonymous(), None, Some("old"), Some("x")).is(ResultCode::UNWILLING_TO_PERFORM);
    house.change_password(&bob, Some(ADMIN), None, Some("x")).is(ResultCode::NO_SUCH_OBJECT);
    let absent = format!("uid=x,{PEOPLE}");
    house.change_password(&house.admin(), Some(&absent), None, Some("x")).is(ResultCode::NO_SUCH_OBJECT);
    house.change_password(&house.admin(), Some("ann"), None, Some("x")).is(ResultCode::INVALID_DN_SYNTAX);
    assert!(house.lets_in(ANN, "old"));
}

#[test]
fn an_entry_whose_class_takes_no_password_gets_none() {
    let house = house();
    let room = format!("cn=room,{PEOPLE}");
    house.add(&house.admin(), &room, &[("objectClass", &["room"])]).is(OK);
    house.change_password(&house.admin(), Some(&room), None, Some("x")).is(ResultCode::OBJECT_CLASS_VIOLATION);
}

#[test]
fn the_administrators_password_is_kept_beside_the_tree() {
    let house = house();
    let admin = house.admin();
    let stored = || house.directory.dit().administrator().unwrap().unwrap().1;
    house.change_password(&admin, None, Some("not it"), Some("new")).is(ResultCode::INVALID_CREDENTIALS);
    house.change_password(&admin, None, Some("admin-secret"), Some("new")).is(OK);
    assert_eq!(password_hash::verify(&stored(), b"new"), Verdict::Match);
    house.change_password(&admin, Some("CN=Admin, dc=example,dc=com"), None, Some("newer")).is(OK);
    assert_eq!(password_hash::verify(&stored(), b"newer"), Verdict::Match);
}

#[test]
fn passwords_are_not_taken_over_clear_text() {
    let house = house();
    let mut session = house.user(ANN);
    session.connection.is_local = false;
    session.connection.address = Some([192, 0, 2, 1].into());
    house.change_password(&session, None, None, Some("new")).is(ResultCode::CONFIDENTIALITY_REQUIRED);
    let tls = crate::operation::TlsFacts { ssf: 256, version: "1.3", ..Default::default() };
    session.connection.tls = Some(Box::new(tls));
    house.change_password(&session, None, None, Some("new")).is(OK);
}

#[test]
fn malformed_values_are_protocol_errors() {
    let house = House::new();
    for value in [&b"x"[..], b"\x30\x05\x80", b"\x30\x02\x99\x00", b"\x04\x00"] {
        house.change_password_raw(&house.admin(), Some(value)).is(ResultCode::PROTOCOL_ERROR);
    }
}
