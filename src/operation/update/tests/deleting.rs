//! Delete: RFC 4511 4.8.

use super::*;

#[test]
fn a_leaf_goes_and_its_name_is_free() {
    let house = House::new();
    house.delete(&house.admin(), ANN).is(OK);
    assert!(!house.exists(ANN));
    assert_eq!(house.delete(&house.admin(), ANN).is(ResultCode::NO_SUCH_OBJECT).matched_dn, PEOPLE);
    house.person("ann");
}

#[test]
fn an_entry_with_others_below_stays() {
    let house = House::new();
    house.delete(&house.admin(), PEOPLE).is(ResultCode::NOT_ALLOWED_ON_NON_LEAF);
    house.delete(&house.admin(), SUFFIX).is(ResultCode::NOT_ALLOWED_ON_NON_LEAF);
}

#[test]
fn an_empty_suffix_can_be_deleted_and_added_again() {
    let house = House::new();
    let admin = house.admin();
    for dn in [ANN, BOB] {
        house.delete(&admin, dn).is(OK);
    }
    for ou in ["people", "groups", "hidden"] {
        house.delete(&admin, &format!("ou={ou},{SUFFIX}")).is(OK);
    }
    house.delete(&admin, SUFFIX).is(OK);
    house.add(&admin, SUFFIX, &[("objectClass", &["domain"])]).is(OK);
}

#[test]
fn whoever_may_not_delete_hears_so_where_the_entry_is_visible() {
    let house = House::new();
    let bob = house.user(BOB);
    house.delete(&bob, ANN).is(ResultCode::INSUFFICIENT_ACCESS_RIGHTS);
    let hidden = house.delete(&bob, &format!("ou=hidden,{SUFFIX}")).is(ResultCode::NO_SUCH_OBJECT);
    let absent = house.delete(&bob, &format!("ou=absent,{SUFFIX}")).is(ResultCode::NO_SUCH_OBJECT);
    assert_eq!((hidden.matched_dn, hidden.diagnostic), (absent.matched_dn, absent.diagnostic));
    let anonymous = house.delete(&house.anonymous(), ANN).is(ResultCode::NO_SUCH_OBJECT);
    assert_eq!(anonymous.matched_dn, "");
}

/// RFC 3296 5.
#[test]
fn a_referral_is_deleted_with_manage_dsa_it_only() {
    let house = House::new();
    let admin = house.admin();
    let dn = format!("ou=away,{SUFFIX}");
    let url = "ldap://other.example.net/dc=net";
    let classes: &[&str] = &["referral", "extensibleObject"];
    house.add(&admin, &dn, &[("objectClass", classes), ("ref", &[url])]).is(OK);
    assert_eq!(house.delete(&admin, &dn).is(ResultCode::REFERRAL).referrals, [url]);
    house.ask_with(&admin, &Request::Delete { dn: &dn }, &[(control::MANAGE_DSA_IT, None)]).is(OK);
}

/// RFC 4527 3.1, RFC 4528 3.
#[test]
fn assertion_and_pre_read_are_about_the_entry_as_it_was() {
    let house = House::new();
    let request = Request::Delete { dn: ANN };
    let refused = house.ask_with(&house.admin(), &request, &[(control::ASSERTION, equals("uid", "bob"))]);
    assert!(refused.is(ResultCode::ASSERTION_FAILED).controls.is_empty());
    let heard = house.ask_with(&house.admin(), &request, &[(control::PRE_READ, wants(&["sn"]))]).is(OK);
    assert!(contains(&heard.controls, "Person"));
}
