//! Modify DN: RFC 4511 4.9.

use super::*;

/// A house with `ou=a` and `ou=b` below the people, and `uid=p` in `a`.
fn house() -> (House, String, String, String) {
    let house = House::new();
    let (a, b) = (format!("ou=a,{PEOPLE}"), format!("ou=b,{PEOPLE}"));
    for dn in [&a, &b] {
        house.add(&house.admin(), dn, &[("objectClass", &["organizationalUnit"])]).is(OK);
    }
    let p = format!("uid=p,{a}");
    let attributes: [(&str, &[&str]); 3] = [("objectClass", &["inetOrgPerson"]), ("cn", &["A Person"]), ("sn", &["P"])];
    house.add(&house.admin(), &p, &attributes).is(OK);
    (house, a, b, p)
}

#[test]
fn the_old_value_goes_or_stays_as_the_client_says() {
    let (house, a, _, p) = house();
    let admin = house.admin();
    house.rename(&admin, &p, "uid=q", true, None).is(OK);
    let q = format!("uid=q,{a}");
    assert!(!house.exists(&p));
    assert_eq!(house.values(&q, "uid"), ["q"]);
    house.rename(&admin, &q, "uid=r", false, None).is(OK);
    let r = format!("uid=r,{a}");
    assert_eq!(house.values(&r, "uid"), ["r", "q"]);
    house.rename(&admin, &r, "cn=A Person+employeeNumber=7", true, None).is(OK);
    let two = format!("employeeNumber=7+cn=a person,{a}");
    assert_eq!((house.values(&two, "uid"), house.values(&two, "employeeNumber")), (vec!["q".into()], vec!["7".into()]));
}

#[test]
fn another_spelling_of_the_name_is_taken() {
    let (house, a, _, p) = house();
    house.rename(&house.admin(), &p, "uid=P", true, None).is(OK);
    assert_eq!(house.values(&p, "uid"), ["P"]);
    assert_eq!(house.see(&p, |view, entry| view.dn_text(entry.id).unwrap().unwrap()).unwrap(), format!("uid=P,{a}"));
}

#[test]
fn the_same_name_again_writes_nothing() {
    let (house, a, _, p) = house();
    let before = house.sequence();
    house.rename(&house.admin(), &p, "uid=p", true, None).is(OK);
    house.rename(&house.admin(), &p, "uid=p", false, Some(&a)).is(OK);
    assert_eq!(house.sequence(), before);
}

#[test]
fn a_subtree_moves_as_a_whole() {
    let (house, a, b, p) = house();
    let uuid = house.see(&p, |_, entry| entry.record.uuid());
    let before = house.sequence();
    house.rename(&house.admin(), &a, "ou=c", true, Some(&b)).is(OK);
    assert_eq!(house.sequence(), before + 1);
    assert_eq!(house.see(&format!("uid=p,ou=c,{b}"), |_, entry| entry.record.uuid()), uuid);
    assert!(!house.exists(&p) && !house.exists(&a));
}

#[test]
fn a_name_that_is_taken_is_entry_already_exists() {
    let (house, a, b, p) = house();
    let admin = house.admin();
    let person: [(&str, &[&str]); 3] = [("objectClass", &["inetOrgPerson"]), ("cn", &["x"]), ("sn", &["x"])];
    house.add(&admin, &format!("uid=q,{a}"), &person).is(OK);
    house.add(&admin, &format!("uid=p,{b}"), &person).is(OK);
    house.rename(&admin, &p, "uid=Q", true, None).is(ResultCode::ENTRY_ALREADY_EXISTS);
    house.rename(&admin, &p, "uid=p", true, Some(&b)).is(ResultCode::ENTRY_ALREADY_EXISTS);
    assert!(house.exists(&p));
}

#[test]
fn impossible_places_are_refused() {
    let (house, a, _, p) = house();
    let admin = house.admin();
    let nowhere = format!("ou=nowhere,{PEOPLE}");
    let heard = house.rename(&admin, &p, "uid=p", true, Some(&nowhere)).is(ResultCode::NO_SUCH_OBJECT);
    assert_eq!(heard.matched_dn, PEOPLE);
    for superior in [a.as_str(), p.as_str()] {
        house.rename(&admin, &a, "ou=a", true, Some(superior)).is(ResultCode::UNWILLING_TO_PERFORM);
    }
    house.rename(&admin, &p, "uid=p", true, Some("dc=elsewhere")).is(ResultCode::NO_SUCH_OBJECT);
    house.rename(&admin, &p, "uid=p", true, Some("")).is(ResultCode::UNWILLING_TO_PERFORM);
    house.rename(&admin, SUFFIX, "dc=other", true, None).is(ResultCode::UNWILLING_TO_PERFORM);
    let absent = format!("uid=x,ou=y,{PEOPLE}");
    let heard = house.rename(&admin, &absent, "uid=z", true, None).is(ResultCode::NO_SUCH_OBJECT);
    assert_eq!(heard.matched_dn, PEOPLE);
    for rdn in ["nothing", "uid=a,ou=b", ""] {
        house.rename(&admin, &p, rdn, true, None).is(ResultCode::INVALID_DN_SYNTAX);
    }
}

#[test]
fn the_new_name_obeys_the_schema() {
    let (house, a, _, p) = house();
    let admin = house.admin();
    house.rename(&admin, &p, "uidNumber=7", false, None).is(ResultCode::OBJECT_CLASS_VIOLATION);
    house.rename(&admin, &p, "noSuchAttribute=x", false, None).is(ResultCode::UNDEFINED_ATTRIBUTE_TYPE);
    house.rename(&admin, &p, "userPassword=x", false, None).is(ResultCode::NAMING_VIOLATION);
    let only = format!("sn=Only,{a}");
    house.add(&admin, &only, &[("objectClass", &["person"]), ("cn", &["x"])]).is(OK);
    house.rename(&admin, &only, "cn=x", true, None).is(ResultCode::OBJECT_CLASS_VIOLATION);
    house.rename(&admin, &only, "cn=x", false, None).is(OK);
    let dc = format!("dc=one,{a}");
    house.add(&admin, &dc, &[("objectClass", &["domain"])]).is(OK);
    house.rename(&admin, &dc, "dc=two", false, None).is(ResultCode::CONSTRAINT_VIOLATION);
    house.rename(&admin, &dc, "dc=two", true, None).is(OK);
    assert_eq!(house.values(&format!("dc=two,{a}"), "dc"), ["two"]);
}

/// A chain of moves must not lead to names that nobody can write.
#[test]
fn a_move_does_not_make_names_too_deep() {
    let house = House::new();
    let admin = house.admin();
    let unit: [(&str, &[&str]); 1] = [("objectClass", &["organizationalUnit"])];
    let chain = |name: &str, count: usize| {
        let mut dn = PEOPLE.to_owned();
        for level in 0..count {
            dn = format!("ou={name}{level},{dn}");
            house.add(&admin, &dn, &unit).is(OK);
        }
        dn
    };
    let deep = chain("x", 64);
    chain("y", 62);
    let top = format!("ou=y0,{PEOPLE}");
    house.rename(&admin, &top, "ou=y0", true, Some(&deep)).is(ResultCode::NAMING_VIOLATION);
    let second = format!("ou=y1,ou=y0,{PEOPLE}");
    house.rename(&admin, &second, "ou=y1", true, Some(&deep)).is(OK);
}

/// hostile.md T-23: the entry, its RDN's attributes, the old and the new superior.
#[test]
fn renaming_and_moving_need_their_rights() {
    let (house, _, b, p) = house();
    let ann = house.user(ANN);
    house.rename(&ann, &p, "uid=q", true, None).is(ResultCode::INSUFFICIENT_ACCESS_RIGHTS);
    // May write the own cn, but not the uid that would go.
    house.rename(&ann, ANN, "cn=ann", true, None).is(ResultCode::INSUFFICIENT_ACCESS_RIGHTS);
    house.rename(&ann, ANN, "uid=ann", true, Some(&b)).is(ResultCode::INSUFFICIENT_ACCESS_RIGHTS);
    let hidden = house.rename(&ann, ANN, "uid=ann", true, Some(&format!("ou=hidden,{SUFFIX}")));
    let absent = house.rename(&ann, ANN, "uid=ann", true, Some(&format!("ou=absent,{SUFFIX}")));
    let (hidden, absent) = (hidden.is(ResultCode::NO_SUCH_OBJECT), absent.is(ResultCode::NO_SUCH_OBJECT));
    assert_eq!((hidden.matched_dn, hidden.diagnostic), (absent.matched_dn, absent.diagnostic));
    assert!(house.exists(ANN) && house.exists(&p));
}

#[test]
fn groups_and_reads_follow_the_name() {
    let (house, a, b, p) = house();
    let admin = house.admin();
    let group = format!("cn=group,ou=groups,{SUFFIX}");
    house.add(&admin, &group, &[("objectClass", &["groupOfNames"]), ("member", &[&p])]).is(OK);
    let request =
        Request::ModifyDn(ModifyDnRequest { dn: &p, new_rdn: "uid=q", delete_old_rdn: true, new_superior: Some(&b) });
    let controls = [(control::PRE_READ, wants(&["uid"])), (control::POST_READ, wants(&["uid"]))];
    let heard = house.ask_with(&admin, &request, &controls).is(OK);
    assert!(contains(&heard.controls, &p) && contains(&heard.controls, &format!("uid=q,{b}")));
    assert_eq!(house.values(&group, "member"), [format!("uid=q,{b}")]);
    house.add(&admin, &p, &[("objectClass", &["inetOrgPerson"]), ("cn", &["x"]), ("sn", &["x"])]).is(OK);
    assert!(house.exists(&format!("uid=p,{a}")));
}
