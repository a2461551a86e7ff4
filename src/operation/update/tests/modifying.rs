//! Modify: RFC 4511 4.6, RFC 4525.

use super::*;
use ModificationKind::{Add, Delete, Increment, Replace};

fn house() -> House {
    let house = House::new();
    house.modify(&house.admin(), ANN, &[(Add, "mail", &["one@x.org", "two@x.org"])]).is(OK);
    house
}

fn mails(house: &House) -> Vec<String> {
    house.values(ANN, "mail")
}

#[test]
fn values_are_added_deleted_and_replaced() {
    let house = house();
    let admin = house.admin();
    house.modify(&admin, ANN, &[(Add, "mail", &["three@x.org"]), (Add, "title", &["Cook"])]).is(OK);
    assert_eq!(mails(&house), ["one@x.org", "two@x.org", "three@x.org"]);
    house.modify(&admin, ANN, &[(Delete, "mail", &["ONE@X.org"])]).is(OK);
    assert_eq!(mails(&house), ["two@x.org", "three@x.org"]);
    house.modify(&admin, ANN, &[(Replace, "mail", &["new@x.org", "two@x.org"])]).is(OK);
    assert_eq!(mails(&house), ["new@x.org", "two@x.org"]);
    house.modify(&admin, ANN, &[(Delete, "mail", &[])]).is(OK);
    assert!(mails(&house).is_empty());
}

#[test]
fn add_of_a_value_that_is_there_is_attribute_or_value_exists() {
    let house = house();
    let admin = house.admin();
    house.modify(&admin, ANN, &[(Add, "mail", &["ONE@x.org"])]).is(ResultCode::ATTRIBUTE_OR_VALUE_EXISTS);
    house.modify(&admin, ANN, &[(Add, "mail", &["n@x.org", "N@x.org"])]).is(ResultCode::ATTRIBUTE_OR_VALUE_EXISTS);
    house.modify(&admin, ANN, &[(Replace, "mail", &["n@x.org", "N@x.org"])]).is(ResultCode::ATTRIBUTE_OR_VALUE_EXISTS);
    assert_eq!(mails(&house).len(), 2);
}

#[test]
fn delete_of_absent_value_is_no_such_attribute() {
    let house = house();
    let admin = house.admin();
    let cases: [(&str, &[&str]); 5] = [
        ("mail", &["three@x.org"]),
        ("title", &["x"]),
        ("title", &[]),
        ("mail", &["one@x.org", "one@x.org"]),
        ("cn;lang-xx", &[]),
    ];
    for (name, values) in cases {
        house.modify(&admin, ANN, &[(Delete, name, values)]).is(ResultCode::NO_SUCH_ATTRIBUTE);
    }
    assert_eq!(mails(&house).len(), 2);
}

/// RFC 4511 4.6: replacing by nothing deletes, and is no error when there is nothing.
#[test]
fn replace_by_nothing_deletes_and_ignores_absence() {
    let house = house();
    house.modify(&house.admin(), ANN, &[(Replace, "mail", &[]), (Replace, "title", &[])]).is(OK);
    assert!(mails(&house).is_empty());
}

#[test]
fn what_the_list_leaves_as_it_was_writes_nothing() {
    let house = house();
    let admin = house.admin();
    let before = house.sequence();
    house.modify(&admin, ANN, &[]).is(OK);
    house.modify(&admin, ANN, &[(Replace, "mail", &["one@x.org", "two@x.org"])]).is(OK);
    house.modify(&admin, ANN, &[(Add, "title", &["Cook"]), (Delete, "title", &["cook"])]).is(OK);
    house.modify(&admin, ANN, &[(Delete, "mail", &["one@x.org"]), (Add, "mail", &["one@x.org"])]).is(OK);
    house.modify(&admin, ANN, &[(Replace, "displayName", &[])]).is(OK);
    assert_eq!(house.sequence(), before);
    house.modify(&admin, ANN, &[(Replace, "mail", &["ONE@x.org", "two@x.org"])]).is(OK);
    assert_eq!(house.sequence(), before + 1);
    assert_eq!(mails(&house), ["ONE@x.org", "two@x.org"], "the spelling written last is kept");
}

/// RFC 4511 4.6: in the order listed, the whole or nothing.
#[test]
fn the_list_is_done_in_order_and_whole_or_not_at_all() {
    let house = house();
    let admin = house.admin();
    let list: [(ModificationKind, &str, &[&str]); 4] = [
        (Delete, "mail", &[]),
        (Add, "mail", &["a@x.org"]),
        (Add, "mail", &["b@x.org"]),
        (Delete, "mail", &["a@x.org"]),
    ];
    house.modify(&admin, ANN, &list).is(OK);
    assert_eq!(mails(&house), ["b@x.org"]);
    let before = house.sequence();
    let list: [(ModificationKind, &str, &[&str]); 3] =
        [(Add, "title", &["Cook"]), (Replace, "mail", &["n@x.org"]), (Delete, "description", &["never"])];
    house.modify(&admin, ANN, &list).is(ResultCode::NO_SUCH_ATTRIBUTE);
    assert!(house.values(ANN, "title").is_empty());
    assert_eq!((mails(&house), house.sequence()), (vec!["b@x.org".to_owned()], before));
}

/// RFC 4511 4.6: the schema must hold at the end, not in between.
#[test]
fn the_schema_must_hold_at_the_end() {
    let house = house();
    let admin = house.admin();
    house.modify(&admin, ANN, &[(Delete, "sn", &[]), (Add, "sn", &["Other"])]).is(OK);
    for list in [[(Delete, "sn", &[][..])], [(Add, "uidNumber", &["5"][..])], [(Delete, "objectClass", &[])]] {
        house.modify(&admin, ANN, &list).is(ResultCode::OBJECT_CLASS_VIOLATION);
    }
    let come: [(ModificationKind, &str, &[&str]); 4] = [
        (Add, "objectClass", &["posixAccount"]),
        (Add, "uidNumber", &["7"]),
        (Add, "gidNumber", &["7"]),
        (Add, "homeDirectory", &["/home/ann"]),
    ];
    house.modify(&admin, ANN, &come).is(OK);
    house.modify(&admin, ANN, &[(Delete, "objectClass", &["posixAccount"])]).is(ResultCode::OBJECT_CLASS_VIOLATION);
    assert_eq!(house.values(ANN, "sn"), ["Other"]);
}

#[test]
fn the_structural_class_does_not_change() {
    let house = house();
    let list: [(ModificationKind, &str, &[&str]); 2] = [(Replace, "objectClass", &["account"]), (Replace, "sn", &[])];
    let clean: [(ModificationKind, &str, &[&str]); 5] = [
        (Replace, "objectClass", &["account"]),
        (Delete, "sn", &[]),
        (Delete, "cn", &[]),
        (Delete, "mail", &[]),
        (Delete, "userPassword", &[]),
    ];
    house.modify(&house.admin(), ANN, &list).is(ResultCode::OBJECT_CLASS_VIOLATION);
    house.modify(&house.admin(), ANN, &clean).is(ResultCode::OBJECT_CLASS_MODS_PROHIBITED);
}

/// RFC 4511 4.6: values of the RDN stay.
#[test]
fn values_of_the_rdn_are_not_allowed_to_go() {
    let house = house();
    let admin = house.admin();
    for list in
        [[(Delete, "uid", &["ann"][..])], [(Delete, "uid", &[])], [(Replace, "uid", &["q"])], [(Replace, "uid", &[])]]
    {
        house.modify(&admin, ANN, &list).is(ResultCode::NOT_ALLOWED_ON_RDN);
    }
    house.modify(&admin, ANN, &[(Add, "uid", &["q"])]).is(OK);
    house.modify(&admin, ANN, &[(Replace, "uid", &["r", "Ann"])]).is(OK);
    assert_eq!(house.values(ANN, "uid"), ["r", "Ann"]);
}

#[test]
fn a_single_valued_attribute_is_a_register() {
    let house = house();
    let admin = house.admin();
    house.modify(&admin, ANN, &[(Add, "displayName", &["one"])]).is(OK);
    house.modify(&admin, ANN, &[(Add, "displayName", &["two"])]).is(ResultCode::CONSTRAINT_VIOLATION);
    house.modify(&admin, ANN, &[(Replace, "displayName", &["two", "three"])]).is(ResultCode::CONSTRAINT_VIOLATION);
    house.modify(&admin, ANN, &[(Add, "displayName", &["two"]), (Delete, "displayName", &["one"])]).is(OK);
    assert_eq!(house.values(ANN, "displayName"), ["two"]);
    house.modify(&admin, ANN, &[(Delete, "displayName", &["two"])]).is(OK);
    assert!(house.values(ANN, "displayName").is_empty());
}

#[test]
fn each_way_to_be_wrong_has_its_code() {
    let house = house();
    let admin = house.admin();
    for (name, value, code) in [
        ("noSuchAttribute", "x", ResultCode::UNDEFINED_ATTRIBUTE_TYPE),
        ("modifyTimestamp", "20200101000000Z", ResultCode::CONSTRAINT_VIOLATION),
        ("memberOf", ANN, ResultCode::CONSTRAINT_VIOLATION),
        ("manager", "not a name", ResultCode::INVALID_ATTRIBUTE_SYNTAX),
        ("description", "", ResultCode::INVALID_ATTRIBUTE_SYNTAX),
        ("telephoneNumber", "☎", ResultCode::INVALID_ATTRIBUTE_SYNTAX),
    ] {
        let heard = house.modify(&admin, ANN, &[(Replace, name, &[value])]).is(code);
        assert!(heard.diagnostic.contains(name), "{heard:?}");
    }
    let absent = format!("uid=x,ou=y,{PEOPLE}");
    let heard = house.modify(&admin, &absent, &[(Add, "title", &["x"])]).is(ResultCode::NO_SUCH_OBJECT);
    assert_eq!(heard.matched_dn, PEOPLE);
}

/// RFC 4512 2.5.2.
#[test]
fn options_make_an_attribute_of_its_own() {
    let house = house();
    let admin = house.admin();
    house.modify(&admin, ANN, &[(Add, "cn;lang-fr", &["Une Personne"])]).is(OK);
    house.modify(&admin, ANN, &[(Add, "CN;LANG-FR", &["une personne"])]).is(ResultCode::ATTRIBUTE_OR_VALUE_EXISTS);
    house.modify(&admin, ANN, &[(Replace, "commonName;lang-fr", &["Autre"])]).is(OK);
    assert_eq!((house.values(ANN, "cn;lang-fr"), house.values(ANN, "cn")), (vec!["Autre".into()], vec!["ann".into()]));
}

fn counter(house: &House) -> String {
    let dn = format!("ou=counter,{SUFFIX}");
    let classes: &[&str] = &["organizationalUnit", "extensibleObject"];
    house.add(&house.admin(), &dn, &[("objectClass", classes), ("uidNumber", &["10"])]).is(OK);
    dn
}

/// RFC 4525 3.
#[test]
fn increments_are_counted() {
    let house = House::new();
    let admin = house.admin();
    let dn = counter(&house);
    for (by, sum) in [("1", "11"), ("5", "16"), ("-20", "-4"), ("0", "-4")] {
        house.modify(&admin, &dn, &[(Increment, "uidNumber", &[by])]).is(OK);
        assert_eq!(house.values(&dn, "uidNumber"), [sum]);
    }
    house.modify(&admin, &dn, &[(Increment, "uidNumber", &["1"]), (Increment, "uidNumber", &["2"])]).is(OK);
    assert_eq!(house.values(&dn, "uidNumber"), ["-1"]);
    house.modify(&admin, &dn, &[(Delete, "uidNumber", &["-1"]), (Add, "uidNumber", &["100"])]).is(OK);
    assert_eq!(house.values(&dn, "uidNumber"), ["100"]);
    house.modify(&admin, &dn, &[(Replace, "uidNumber", &["7"]), (Increment, "uidNumber", &["1"])]).is(OK);
    assert_eq!(house.values(&dn, "uidNumber"), ["8"]);
    house.modify(&admin, &dn, &[(Increment, "uidNumber", &["1"]), (Delete, "uidNumber", &["9"])]).is(OK);
    assert!(house.values(&dn, "uidNumber").is_empty());
}

/// RFC 4525 3.
#[test]
fn what_cannot_be_counted_has_its_code() {
    let house = House::new();
    let admin = house.admin();
    let dn = counter(&house);
    let cases: [(&str, &[&str], ResultCode); 5] = [
        ("gidNumber", &["1"], ResultCode::NO_SUCH_ATTRIBUTE),
        ("uidNumber", &["many"], ResultCode::INVALID_ATTRIBUTE_SYNTAX),
        ("uidNumber", &[], ResultCode::PROTOCOL_ERROR),
        ("uidNumber", &["1", "2"], ResultCode::PROTOCOL_ERROR),
        ("ou", &["1"], ResultCode::CONSTRAINT_VIOLATION),
    ];
    for (name, values, code) in cases {
        house.modify(&admin, &dn, &[(Increment, name, values)]).is(code);
    }
    let largest = "9223372036854775807";
    house.modify(&admin, &dn, &[(Replace, "uidNumber", &[largest]), (Increment, "uidNumber", &["1"])]).is(OK);
    assert_eq!(house.values(&dn, "uidNumber"), ["9223372036854775808"]);
    let beyond = "170141183460469231731687303715884105727";
    house.modify(&admin, &dn, &[(Replace, "uidNumber", &[beyond])]).is(OK);
    house.modify(&admin, &dn, &[(Increment, "uidNumber", &["1"])]).is(ResultCode::CONSTRAINT_VIOLATION);
}

fn group(house: &House, members: &[&str]) -> String {
    let dn = format!("cn=group,ou=groups,{SUFFIX}");
    house.add(&house.admin(), &dn, &[("objectClass", &["groupOfNames"]), ("member", members)]).is(OK);
    dn
}

/// Replicas that add members apart must not lose one because a third rewrites its list.
#[test]
fn a_replaced_membership_is_written_as_the_difference() {
    let house = House::new();
    let carol = house.person("carol");
    let dn = group(&house, &[ANN, BOB]);
    house.modify(&house.admin(), &dn, &[(Replace, "member", &[BOB, &carol])]).is(OK);
    let mut members = house.values(&dn, "member");
    members.sort();
    assert_eq!(members, [BOB, carol.as_str()]);
    let state = house.see(&dn, |view, entry| {
        let member = view.catalog().find(&AttributeDescription::parse("member").unwrap()).unwrap();
        (member, entry.id)
    });
    let (member, id) = state.unwrap();
    let (answer, answered) = channel();
    let job = move |writing: &mut Writing<'_>| {
        let state = writing.state(id).unwrap().unwrap();
        answer.send(state.attribute(member).unwrap().clear.is_none()).unwrap();
        let completion: Completion = Box::new(|_| ());
        Ok(completion)
    };
    house.directory.writer().submit(Box::new(job)).unwrap();
    assert!(answered.recv().unwrap(), "no clear was written");
}

/// A member written before its entry was there is the same member afterwards.
#[test]
fn a_member_known_as_text_is_deleted_by_its_name() {
    let house = House::new();
    let later = format!("uid=later,{PEOPLE}");
    let dn = group(&house, &[ANN, &later]);
    house.person("later");
    house.modify(&house.admin(), &dn, &[(Add, "member", &[&later])]).is(ResultCode::ATTRIBUTE_OR_VALUE_EXISTS);
    house.modify(&house.admin(), &dn, &[(Delete, "member", &[&later])]).is(OK);
    assert_eq!(house.values(&dn, "member"), [ANN]);
}

#[test]
fn a_large_attribute_is_changed_value_by_value() {
    let house = House::new();
    let admin = house.admin();
    let many: Vec<String> = (0..300).map(|index| format!("a{index}@x.org")).collect();
    let values: Vec<&str> = many.iter().map(String::as_str).collect();
    house.modify(&admin, ANN, &[(Add, "mail", &values)]).is(OK);
    house.modify(&admin, ANN, &[(Add, "mail", &["A250@x.org"])]).is(ResultCode::ATTRIBUTE_OR_VALUE_EXISTS);
    house.modify(&admin, ANN, &[(Delete, "mail", &["none@x.org"])]).is(ResultCode::NO_SUCH_ATTRIBUTE);
    house.modify(&admin, ANN, &[(Delete, "mail", &["a250@x.org"]), (Add, "mail", &["z@x.org"])]).is(OK);
    let shown = house.values(ANN, "mail");
    assert!(shown.len() == 300 && shown.contains(&"z@x.org".to_owned()) && !shown.contains(&"a250@x.org".to_owned()));
    let before = house.sequence();
    let same: Vec<&str> = shown.iter().map(String::as_str).collect();
    house.modify(&admin, ANN, &[(Replace, "mail", &same)]).is(OK);
    assert_eq!(house.sequence(), before, "replaced by itself");
    house.modify(&admin, ANN, &[(Replace, "mail", &["only@x.org"])]).is(OK);
    assert_eq!(house.values(ANN, "mail"), ["only@x.org"]);
    house.modify(&admin, ANN, &[(Delete, "mail", &[])]).is(OK);
    house.modify(&admin, ANN, &[(Delete, "mail", &[])]).is(ResultCode::NO_SUCH_ATTRIBUTE);
}

#[test]
fn access_is_judged_attribute_by_attribute() {
    let house = house();
    let ann = house.user(ANN);
    house.modify(&ann, ANN, &[(Replace, "description", &["me"])]).is(OK);
    assert_eq!(house.values(ANN, "modifiersName"), [ANN]);
    let list: [(ModificationKind, &str, &[&str]); 2] =
        [(Replace, "description", &["x"]), (Replace, "title", &["Boss"])];
    house.modify(&ann, ANN, &list).is(ResultCode::INSUFFICIENT_ACCESS_RIGHTS);
    house.modify(&ann, BOB, &[(Replace, "description", &["x"])]).is(ResultCode::INSUFFICIENT_ACCESS_RIGHTS);
    house.modify(&house.anonymous(), ANN, &[(Replace, "description", &["x"])]).is(ResultCode::NO_SUCH_OBJECT);
    house.modify(&ann, SUFFIX, &[(Replace, "aci", &[])]).is(ResultCode::INSUFFICIENT_ACCESS_RIGHTS);
    assert_eq!(house.values(ANN, "description"), ["me"]);
}

/// ACI 3.0 selfwrite: one's own name, and no other, in and out.
#[test]
fn selfwrite_is_for_ones_own_name() {
    let house = House::new();
    let dn = group(&house, &[BOB]);
    let ann = house.user(ANN);
    house.modify(&ann, &dn, &[(Add, "member", &[ANN])]).is(OK);
    house.modify(&ann, &dn, &[(Delete, "member", &[BOB])]).is(ResultCode::INSUFFICIENT_ACCESS_RIGHTS);
    house.modify(&ann, &dn, &[(Replace, "member", &[ANN])]).is(ResultCode::INSUFFICIENT_ACCESS_RIGHTS);
    house.modify(&ann, &dn, &[(Delete, "member", &["UID=Ann,ou=people,dc=example,dc=com"])]).is(OK);
    assert_eq!(house.values(&dn, "member"), [BOB]);
}

/// RFC 4528, hostile.md T-21: what one may not search by is Undefined, and Undefined is not true.
#[test]
fn an_assertion_compares_and_swaps_and_reveals_nothing() {
    let house = house();
    let change: [(ModificationKind, &str, &[&str]); 1] = [(Replace, "mail", &["new@x.org"])];
    let request = modify_request(ANN, &change);
    let asserted = [(control::ASSERTION, equals("mail", "ONE@x.org"))];
    house.ask_with(&house.admin(), &request, &asserted).is(OK);
    house.ask_with(&house.admin(), &request, &asserted).is(ResultCode::ASSERTION_FAILED);
    house.modify(&house.admin(), ANN, &[(Add, "mobile", &["+15550100"])]).is(OK);
    let own: [(ModificationKind, &str, &[&str]); 1] = [(Replace, "description", &["x"])];
    let probe = [(control::ASSERTION, equals("mobile", "+15550100"))];
    house.ask_with(&house.user(ANN), &modify_request(ANN, &own), &probe).is(ResultCode::ASSERTION_FAILED);
}

/// RFC 4527 3; hostile.md T-16.
#[test]
fn reads_show_before_and_after_what_may_be_read() {
    let house = house();
    house.modify(&house.admin(), ANN, &[(Add, "mobile", &["+15550100"]), (Add, "description", &["old"])]).is(OK);
    let list: [(ModificationKind, &str, &[&str]); 1] = [(Replace, "description", &["young"])];
    let names = ["description", "mobile", "userPassword"];
    let controls = [(control::PRE_READ, wants(&names)), (control::POST_READ, wants(&names))];
    let heard = house.ask_with(&house.user(ANN), &modify_request(ANN, &list), &controls).is(OK);
    assert!(contains(&heard.controls, "old") && contains(&heard.controls, "young"));
    assert!(!contains(&heard.controls, "5550100") && !contains(&heard.controls, "SHA"));
    let failing: [(ModificationKind, &str, &[&str]); 1] = [(Delete, "description", &["never"])];
    let heard = house.ask_with(&house.user(ANN), &modify_request(ANN, &failing), &controls);
    assert!(heard.is(ResultCode::NO_SUCH_ATTRIBUTE).controls.is_empty());
}

#[test]
fn modification_time_moves_with_the_clock() {
    let house = house();
    let before = house.see(ANN, |_, entry| entry.record.modified_ms()).unwrap();
    house.clock.advance(Duration::from_secs(5));
    house.modify(&house.admin(), ANN, &[(Replace, "title", &["x"])]).is(OK);
    let (after, created) = house.see(ANN, |_, entry| (entry.record.modified_ms(), entry.record.created_ms())).unwrap();
    assert!(after >= before + 5_000 && created < before + 5_000);
}

/// An entry that came here unsound can be mended step by step, and be changed otherwise meanwhile.
#[test]
fn an_unsound_entry_may_get_better_but_not_worse() {
    let house = house();
    let id = house.see(ANN, |_, entry| entry.id).unwrap();
    let sn = AttributeDescription::parse("sn").unwrap();
    let job = move |writing: &mut Writing<'_>| {
        let sn = writing.intern(&sn).unwrap();
        let clear = vec![crate::state::Delta::Clear(sn)];
        writing.change(crate::dit::Target::Existing(id), "merge", clear).unwrap();
        let completion: Completion = Box::new(|_| ());
        Ok(completion)
    };
    house.directory.writer().submit(Box::new(job)).unwrap();
    let admin = house.admin();
    house.modify(&admin, ANN, &[(Replace, "title", &["x"])]).is(OK);
    house.modify(&admin, ANN, &[(Delete, "cn", &[])]).is(ResultCode::OBJECT_CLASS_VIOLATION);
    house.modify(&admin, ANN, &[(Add, "sn", &["Again"])]).is(OK);
    assert_eq!(house.values(ANN, "sn"), ["Again"]);
}
