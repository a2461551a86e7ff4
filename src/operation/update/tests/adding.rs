//! Add: RFC 4511 4.7.

use super::*;

const PERSON: (&str, &[&str]) = ("objectClass", &["inetOrgPerson"]);

#[test]
fn an_added_entry_has_its_values_creator_and_identity() {
    let house = House::new();
    let dn = house.person("new");
    assert_eq!(house.values(&dn, "objectClass"), ["inetOrgPerson"]);
    assert_eq!(house.values(&dn, "sn"), ["Person"]);
    assert_eq!(house.values(&dn, "creatorsName"), [ADMIN]);
    assert_eq!(house.values(&dn, "modifiersName"), [ADMIN]);
    let uuid = house.see(&dn, |_, entry| entry.record.uuid()).unwrap();
    assert_eq!(uuid.0[6] >> 4, 7, "an entryUUID of version 7");
    assert_ne!(uuid, EntryUuid::NIL);
}

/// RFC 4511 4.7: "the attributes of the RDN need not be repeated"; slapd adds what is missing.
#[test]
fn naming_values_that_are_not_listed_are_added() {
    let house = House::new();
    let dn = format!("cn=Someone+uid=someone,{PEOPLE}");
    house.add(&house.admin(), &dn, &[PERSON, ("sn", &["One"]), ("cn", &["Other"])]).is(OK);
    assert_eq!(house.values(&dn, "cn"), ["Other", "Someone"]);
    assert_eq!(house.values(&dn, "uid"), ["someone"]);
}

#[test]
fn a_single_valued_naming_attribute_with_another_value_is_naming_violation() {
    let house = House::new();
    let dn = format!("dc=one,{PEOPLE}");
    let heard = house.add(&house.admin(), &dn, &[("objectClass", &["domain"]), ("dc", &["two"])]);
    heard.is(ResultCode::NAMING_VIOLATION);
}

#[test]
fn an_absent_superior_is_no_such_object_with_the_deepest_entry() {
    let house = House::new();
    let dn = format!("uid=x,ou=nowhere,{PEOPLE}");
    let heard = house.add(&house.admin(), &dn, &[PERSON, ("cn", &["x"]), ("sn", &["x"])]);
    assert_eq!(heard.is(ResultCode::NO_SUCH_OBJECT).matched_dn, PEOPLE);
}

#[test]
fn a_name_that_is_taken_is_entry_already_exists() {
    let house = House::new();
    for dn in [ANN, "UID= Ann,OU=People,DC=Example,DC=com"] {
        let heard = house.add(&house.admin(), dn, &[PERSON, ("cn", &["x"]), ("sn", &["x"])]);
        heard.is(ResultCode::ENTRY_ALREADY_EXISTS);
    }
    let suffix = house.add(&house.admin(), SUFFIX, &[("objectClass", &["domain"])]);
    suffix.is(ResultCode::ENTRY_ALREADY_EXISTS);
}

#[test]
fn two_adds_of_one_name_in_one_commit_leave_one_entry() {
    let house = House::new();
    let admin = house.admin();
    let dn = format!("uid=race,{PEOPLE}");
    let attributes: [(&str, &[&str]); 3] = [PERSON, ("cn", &["x"]), ("sn", &["x"])];
    let (answer, answered) = channel();
    for _ in 0..2 {
        let answer = answer.clone();
        let reply = Box::new(move |pdu| answer.send(pdu).unwrap());
        run(house.directory.update(&admin, 7, &add_request(&dn, &attributes), &Controls::NONE, reply));
    }
    let mut codes: Vec<u32> = (0..2).map(|_| Heard::read(&answered.recv().unwrap()).code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, ResultCode::ENTRY_ALREADY_EXISTS.0]);
}

#[test]
fn a_second_suffix_is_for_the_administrators_own_place_only() {
    let house = House::new();
    let domain: [(&str, &[&str]); 1] = [("objectClass", &["domain"])];
    house.add(&house.admin(), "dc=elsewhere", &domain).is(ResultCode::UNWILLING_TO_PERFORM);
    house.add(&house.user(ANN), "dc=elsewhere", &domain).is(ResultCode::NO_SUCH_OBJECT);
    house.add(&house.admin(), "dc=com", &domain).is(ResultCode::NAMING_VIOLATION);
}

/// RFC 4512 2.4.
#[test]
fn what_breaks_the_classes_is_object_class_violation_and_says_why() {
    let house = House::new();
    let admin = house.admin();
    let dn = format!("uid=x,{PEOPLE}");
    type Listed<'a> = &'a [(&'a str, &'a [&'a str])];
    let cases: [(Listed<'_>, &str); 6] = [
        (&[("cn", &["x"])], "objectClass"),
        (&[("objectClass", &["noSuchClass"])], "noSuchClass"),
        (&[PERSON, ("cn", &["x"])], "sn"),
        (&[PERSON, ("cn", &["x"]), ("sn", &["x"]), ("uidNumber", &["7"])], "uidNumber"),
        (&[("objectClass", &["top"])], "structural"),
        (&[("objectClass", &["inetOrgPerson", "organizationalUnit"]), ("cn", &["x"]), ("sn", &["x"])], "structural"),
    ];
    for (attributes, word) in cases {
        let heard = house.add(&admin, &dn, attributes).is(ResultCode::OBJECT_CLASS_VIOLATION);
        assert!(heard.diagnostic.contains(word), "{heard:?}");
    }
    assert!(!house.exists(&dn));
}

#[test]
fn each_way_to_be_wrong_has_its_code() {
    let house = House::new();
    let admin = house.admin();
    let dn = format!("uid=x,{PEOPLE}");
    let cases: [(&str, &[&str], ResultCode); 12] = [
        ("noSuchAttribute", &["x"], ResultCode::UNDEFINED_ATTRIBUTE_TYPE),
        ("userCertificate", &["x"], ResultCode::UNDEFINED_ATTRIBUTE_TYPE),
        ("description;binary", &["x"], ResultCode::UNDEFINED_ATTRIBUTE_TYPE),
        ("manager", &["not a name"], ResultCode::INVALID_ATTRIBUTE_SYNTAX),
        ("mail", &["jürgen@example.com"], ResultCode::INVALID_ATTRIBUTE_SYNTAX),
        ("description", &[""], ResultCode::INVALID_ATTRIBUTE_SYNTAX),
        ("mail", &["a@x", "A@X"], ResultCode::ATTRIBUTE_OR_VALUE_EXISTS),
        ("manager", &[BOB, "uid=BOB,ou=People,dc=example,dc=com"], ResultCode::ATTRIBUTE_OR_VALUE_EXISTS),
        ("displayName", &["one", "two"], ResultCode::CONSTRAINT_VIOLATION),
        ("modifyTimestamp", &["20200101000000Z"], ResultCode::CONSTRAINT_VIOLATION),
        ("entryUUID", &["11111111-2222-3333-4444-555555555555"], ResultCode::CONSTRAINT_VIOLATION),
        ("cn", &["again"], ResultCode::ATTRIBUTE_OR_VALUE_EXISTS),
    ];
    for (name, values, code) in cases {
        let heard = house.add(&admin, &dn, &[PERSON, ("cn", &["x"]), ("sn", &["x"]), (name, values)]);
        let heard = heard.is(code);
        assert!(heard.diagnostic.contains(name), "{heard:?}");
    }
    assert!(!house.exists(&dn));
}

/// RFC 4514, RFC 4512 2.3.1.
#[test]
fn what_cannot_name_an_entry_is_refused() {
    let house = House::new();
    let admin = house.admin();
    for (rdn, code) in [
        ("noSuchAttribute=x", ResultCode::UNDEFINED_ATTRIBUTE_TYPE),
        ("entryUUID=11111111-2222-3333-4444-555555555555", ResultCode::NAMING_VIOLATION),
        ("userPassword=x", ResultCode::NAMING_VIOLATION),
        ("cn=a+commonName=b", ResultCode::NAMING_VIOLATION),
        ("c=xyz", ResultCode::INVALID_DN_SYNTAX),
        ("uidNumber=5", ResultCode::OBJECT_CLASS_VIOLATION),
    ] {
        let heard = house.add(&admin, &format!("{rdn},{PEOPLE}"), &[PERSON, ("cn", &["x"]), ("sn", &["x"])]);
        heard.is(code);
    }
}

#[test]
fn below_an_alias_a_subentry_or_a_referral_nothing_is_added() {
    let house = House::new();
    let admin = house.admin();
    let alias = format!("cn=alias,{PEOPLE}");
    let classes: &[&str] = &["alias", "extensibleObject"];
    house.add(&admin, &alias, &[("objectClass", classes), ("aliasedObjectName", &[ANN])]).is(OK);
    let child: [(&str, &[&str]); 3] = [PERSON, ("cn", &["x"]), ("sn", &["x"])];
    house.add(&admin, &format!("uid=x,{alias}"), &child).is(ResultCode::ALIAS_PROBLEM);

    let away = format!("ou=away,{SUFFIX}");
    let classes: &[&str] = &["referral", "extensibleObject"];
    let url = "ldap://other.example.net/ou=away,dc=example,dc=net??sub";
    house.add(&admin, &away, &[("objectClass", classes), ("ref", &[url])]).is(OK);
    let below = format!("uid=x,{away}");
    let heard = house.add(&admin, &below, &child).is(ResultCode::REFERRAL);
    assert_eq!(heard.referrals, ["ldap://other.example.net/uid=x,ou=away,dc=example,dc=net"]);
    assert_eq!(heard.matched_dn, away);
    let manage = [(control::MANAGE_DSA_IT, None)];
    house.ask_with(&admin, &add_request(&below, &child), &manage).is(ResultCode::UNWILLING_TO_PERFORM);
}

#[test]
fn a_malformed_access_rule_is_refused_with_its_place() {
    let house = House::new();
    let dn = format!("ou=x,{SUFFIX}");
    let rule = r#"(targetattr = "*")(version 3.0; acl "x"; allow (fly) userdn = "ldap:///anyone";)"#;
    let heard = house.add(&house.admin(), &dn, &[("objectClass", &["organizationalUnit"]), ("aci", &[rule])]);
    assert!(heard.is(ResultCode::INVALID_ATTRIBUTE_SYNTAX).diagnostic.contains("at byte"));
}

/// hostile.md T-22: invisible and absent superiors sound alike.
#[test]
fn an_invisible_superior_answers_like_an_absent_one() {
    let house = House::new();
    let ann = house.user(ANN);
    let child: [(&str, &[&str]); 3] = [PERSON, ("cn", &["x"]), ("sn", &["x"])];
    let hidden = house.add(&ann, &format!("uid=x,ou=hidden,{SUFFIX}"), &child).is(ResultCode::NO_SUCH_OBJECT);
    let absent = house.add(&ann, &format!("uid=x,ou=absent,{SUFFIX}"), &child).is(ResultCode::NO_SUCH_OBJECT);
    assert_eq!((hidden.matched_dn, hidden.diagnostic), (absent.matched_dn, absent.diagnostic));
    // Where one may not add, nobody learns whether the name is taken (389-DS CVE-2016-4992).
    house.add(&ann, BOB, &child).is(ResultCode::INSUFFICIENT_ACCESS_RIGHTS);
    house.add(&ann, &format!("uid=nobody,{PEOPLE}"), &child).is(ResultCode::INSUFFICIENT_ACCESS_RIGHTS);
}

/// RFC 4528: the assertion of an add is about the entry as it would be.
#[test]
fn the_assertion_of_an_add_is_about_the_new_entry() {
    let house = House::new();
    let dn = format!("cn=x,{PEOPLE}");
    let attributes: [(&str, &[&str]); 2] = [("objectClass", &["person"]), ("sn", &["y"])];
    let request = add_request(&dn, &attributes);
    let refused = house.ask_with(&house.admin(), &request, &[(control::ASSERTION, equals("sn", "x"))]);
    refused.is(ResultCode::ASSERTION_FAILED);
    house.ask_with(&house.admin(), &request, &[(control::ASSERTION, equals("sn", "Y"))]).is(OK);
}

/// RFC 4527 3.2.
#[test]
fn post_read_shows_what_the_server_made_of_the_entry() {
    let house = House::new();
    let dn = format!("cn=x,{PEOPLE}");
    let attributes: [(&str, &[&str]); 2] = [("objectClass", &["person"]), ("sn", &["y"])];
    let controls = [(control::POST_READ, wants(&["cn", "entryUUID"]))];
    let heard = house.ask_with(&house.admin(), &add_request(&dn, &attributes), &controls).is(OK);
    let uuid = house.see(&dn, |_, entry| entry.record.uuid().to_string()).unwrap();
    assert!(contains(&heard.controls, &uuid) && !contains(&heard.controls, "objectClass"));
}

#[test]
fn links_are_kept_to_entries_and_text_to_strangers() {
    let house = House::new();
    let group = format!("cn=group,ou=groups,{SUFFIX}");
    let members: &[&str] = &[ANN, "cn=stranger,dc=elsewhere"];
    house.add(&house.admin(), &group, &[("objectClass", &["groupOfNames"]), ("member", members)]).is(OK);
    house.rename(&house.admin(), ANN, "uid=anna", true, None).is(OK);
    assert_eq!(house.values(&group, "member"), [format!("uid=anna,{PEOPLE}").as_str(), "cn=stranger,dc=elsewhere"]);
}

/// A comma in quotes is one byte, and two when it is written as every other client writes it.
#[test]
fn a_name_that_nobody_could_write_is_naming_violation() {
    let house = House::new();
    let admin = house.admin();
    let dn = |commas: usize| format!("cn=\"{}\",{PEOPLE}", ",".repeat(commas));
    let add = |dn: &str| house.add(&admin, dn, &[PERSON, ("sn", &["Long"])]);
    add(&dn(5_000)).is(ResultCode::NAMING_VIOLATION);
    add(&dn(4_000)).is(OK);
    house.delete(&admin, &dn(4_000)).is(OK);
}
