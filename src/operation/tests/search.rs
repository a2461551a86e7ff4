//! Attribute selection, limits, referrals, compare, and the entries that are not in the tree.

use super::support::{ANN, ANYONE, Ask, BOB, GROUP, House, PEOPLE, SUFFIX};
use crate::model::{ResultCode, Scope};
use crate::operation::{MonitorEntry, Options};
use crate::policy::limits::LimitsOptions;
use std::time::Duration;

#[test]
fn user_attributes_come_by_star_and_operational_ones_by_plus() {
    let house = House::new(&[]);
    let mut admin = house.administrator();
    for names in [&[][..], &["*"]] {
        let found = house.search(&mut admin, &Ask::base(ANN).attributes(names));
        let expected = ["cn", "cn;lang-de", "mobile", "objectClass", "sn", "title", "uid", "userPassword"];
        assert_eq!(found.attribute_names(), expected);
    }
    let found = house.search(&mut admin, &Ask::base(ANN).attributes(&["+"]));
    for name in ["createTimestamp", "entryUUID", "entryDN", "memberOf", "structuralObjectClass", "hasSubordinates"] {
        assert_eq!(found.values(name).len(), 1, "{name}: {found:?}");
    }
    assert!(!found.attribute_names().contains(&"cn"));
    assert!(house.search(&mut admin, &Ask::base(ANN).attributes(&["1.1"])).attribute_names().is_empty());
}

#[test]
fn names_come_back_as_spelled_and_what_comes_along_as_the_schema_has_it() {
    let house = House::new(&[]);
    let mut admin = house.administrator();
    let mut names = |names: &[&str]| {
        let found = house.search(&mut admin, &Ask::base(ANN).attributes(names));
        found.attribute_names().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names(&["MAIL", "UID", "2.5.4.4"]), ["2.5.4.4", "UID"]);
    assert_eq!(names(&["commonName"]), ["cn;lang-de", "commonName"]);
    assert_eq!(names(&["CN;LANG-DE"]), ["CN;LANG-DE"]);
    assert_eq!(names(&["cn;lang-fr"]), [""; 0]);
    assert_eq!(names(&["name"]), ["cn", "cn;lang-de", "sn", "title"]);
    assert_eq!(names(&["name", "SN"]), ["SN", "cn", "cn;lang-de", "title"]);
    assert_eq!(names(&["uid", "Uid", "", "nosuch", "dn", "entryDN", "distinguishedName"]), ["entryDN", "uid"]);
    assert_eq!(names(&["nosuch", "cn;", "cn;lang de", "*cn", "c n", "-"]), [""; 0]);
    assert_eq!(names(&["*", "OBJECTCLASS"])[0], "OBJECTCLASS");
    assert_eq!(names(&["@person"]), ["cn", "cn;lang-de", "objectClass", "sn", "userPassword"]);
}

#[test]
fn types_only_sends_names_without_values() {
    let house = House::new(&[]);
    let ask = Ask { types_only: true, ..Ask::base(BOB).attributes(&["manager", "uid", "createTimestamp", "mail"]) };
    let found = house.search(&mut house.administrator(), &ask);
    assert_eq!(found.attribute_names(), ["createTimestamp", "manager", "uid"]);
    assert!(found.entries[0].1.iter().all(|(_, values)| values.is_empty()));
}

#[test]
fn links_are_shown_as_the_names_of_today() {
    let house = House::new(&[]);
    let mut admin = house.administrator();
    house.write(|writing| {
        let id = writing.view().resolve(&crate::model::Dn::parse(PEOPLE).unwrap()).unwrap().entry.unwrap();
        let rdn = crate::dit::rdn_state(writing, &crate::model::Rdn::parse("ou=staff").unwrap()).unwrap();
        let delta = crate::state::Delta::Rdn(rdn);
        writing.change(crate::dit::Target::Existing(id), "cn=test", vec![delta]).unwrap();
    });
    let found = house.search(&mut admin, &Ask::sub(SUFFIX, "(uid=bob)").attributes(&["manager"]));
    assert_eq!(found.values("manager"), ["uid=ann,ou=staff,dc=example,dc=com"]);
    let found = house.search(&mut admin, &Ask::base(GROUP).attributes(&["member"]));
    assert_eq!(found.values("member"), ["uid=ann,ou=staff,dc=example,dc=com"]);
    house.delete("uid=ann,ou=staff,dc=example,dc=com");
    assert!(house.search(&mut admin, &Ask::base(GROUP).attributes(&["member"])).attribute_names().is_empty());
}

#[test]
fn scopes_and_bases_are_those_of_the_rfc() {
    let house = House::new(&[]);
    let mut admin = house.administrator();
    let mut names = |base: &str, scope| {
        let found = house.search(&mut admin, &Ask { scope, ..Ask::sub(base, "(objectClass=*)") });
        (found.code, found.matched_dn.clone(), found.entries.len())
    };
    assert_eq!(names(PEOPLE, Scope::Subtree).2, 4);
    assert_eq!(names(PEOPLE, Scope::OneLevel).2, 3);
    assert_eq!(names(PEOPLE, Scope::Subordinate).2, 3);
    assert_eq!(names(PEOPLE, Scope::Base).2, 1);
    assert_eq!(names("", Scope::Subtree).2, 6);
    assert_eq!(names("", Scope::OneLevel).2, 2);
    let missing = (ResultCode::NO_SUCH_OBJECT, PEOPLE.to_owned(), 0);
    assert_eq!(names("uid=x,ou=y,ou=people,dc=example,dc=com", Scope::Base), missing);
    assert_eq!(names("dc=elsewhere", Scope::Subtree), (ResultCode::NO_SUCH_OBJECT, String::new(), 0));
    assert_eq!(names("no dn", Scope::Base).0, ResultCode::INVALID_DN_SYNTAX);
}

#[test]
fn size_limits_come_with_the_first_entries() {
    let limits = LimitsOptions { size: 2, size_anonymous: 1, ..LimitsOptions::default() };
    let house = House::with_options(&[ANYONE], Options { limits, ..Options::default() });
    let everybody = Ask::sub(PEOPLE, "(uid=*)");
    let outcome = |session: &mut crate::operation::Session, size_limit| {
        let found = house.search(session, &Ask { size_limit, ..Ask::sub(PEOPLE, "(uid=*)") });
        (found.code, found.entries.len())
    };
    assert_eq!(outcome(&mut house.anonymous(), 0), (ResultCode::SIZE_LIMIT_EXCEEDED, 1));
    assert_eq!(outcome(&mut house.person_session(ANN), 5), (ResultCode::SIZE_LIMIT_EXCEEDED, 2));
    assert_eq!(outcome(&mut house.administrator(), 2), (ResultCode::SIZE_LIMIT_EXCEEDED, 2));
    assert_eq!(outcome(&mut house.administrator(), 3), (ResultCode::SUCCESS, 3));
    assert_eq!(house.search(&mut house.administrator(), &everybody).entries.len(), 3);
}

#[test]
fn a_search_beyond_its_time_ends_with_what_it_found() {
    let house = House::new(&[ANYONE]);
    let mut session = house.person_session(ANN);
    let request = crate::wire::SearchRequest {
        base: PEOPLE,
        scope: Scope::Subtree,
        deref: crate::model::DerefAliases::Never,
        size_limit: 0,
        time_limit: 2,
        types_only: false,
        filter: crate::model::Filter::parse("(uid=*)").unwrap(),
        attributes: Vec::new(),
    };
    let mut task = house.directory.search(&mut session, 7, &request, &crate::wire::Controls::NONE);
    let mut out = Vec::new();
    assert_eq!(task.step(&house.directory, &mut out, 1), crate::operation::Progress::More);
    house.clock.advance(Duration::from_secs(3));
    let before = out.len();
    assert_eq!(task.step(&house.directory, &mut out, 1), crate::operation::Progress::Done);
    assert_eq!(out[before + 9], 3, "timeLimitExceeded: {:?}", &out[before..]);
}

#[test]
fn an_unindexed_search_may_look_at_so_many_entries() {
    let limits = LimitsOptions { look_through: 1, ..LimitsOptions::default() };
    let house = House::with_options(&[ANYONE], Options { limits, ..Options::default() });
    let ask = Ask::sub(SUFFIX, "(!(description=nothing))");
    assert_eq!(house.search(&mut house.person_session(ANN), &ask).code, ResultCode::ADMIN_LIMIT_EXCEEDED);
    assert_eq!(house.search(&mut house.administrator(), &ask).entries.len(), 6);
}

#[test]
fn a_long_answer_comes_in_steps() {
    let house = House::new(&[]);
    for index in 0..50 {
        house.person(100 + index, &format!("p{index}"), &[]);
    }
    let found = house.search(&mut house.administrator(), &Ask { bytes_max: 300, ..Ask::sub(PEOPLE, "(uid=p*)") });
    assert_eq!((found.code, found.entries.len()), (ResultCode::SUCCESS, 50));
}

#[test]
fn referral_entries_are_told_as_references_and_referrals() {
    let house = House::new(&[ANYONE]);
    let away = "ou=away,dc=example,dc=com";
    let urls: &[&str] = &["ldap://one.example.net/ou=there,dc=net", "ldap://two.example.net label"];
    house.add(9, away, &[("objectClass", &["referral", "extensibleObject"]), ("ou", &["away"]), ("ref", urls)]);
    let mut session = house.anonymous();
    let found = house.search(&mut session, &Ask::sub(SUFFIX, "(uid=ann)"));
    assert_eq!(found.names(), ["uid=ann"]);
    let expected =
        ["ldap://one.example.net/ou=there,dc=net??sub", "ldap://two.example.net/ou=away,dc=example,dc=com??sub"];
    assert_eq!(found.references, [expected]);
    let found = house.search(&mut session, &Ask { scope: Scope::OneLevel, ..Ask::sub(SUFFIX, "(uid=ann)") });
    assert_eq!(found.references[0][0], "ldap://one.example.net/ou=there,dc=net??base");
    let below = format!("cn=x,{away}");
    let found = house.search(&mut session, &Ask::sub(&below, "(uid=ann)"));
    assert_eq!((found.code, found.matched_dn.as_str()), (ResultCode::REFERRAL, away));
    assert_eq!(found.referrals[0], "ldap://one.example.net/cn=x,ou=there,dc=net??sub");
    assert_eq!(found.referrals[1], "ldap://two.example.net/cn=x,ou=away,dc=example,dc=com??sub");
    assert_eq!(house.compare(&session, &below, "cn", "x"), ResultCode::REFERRAL);
}

#[test]
fn compare_answers_as_rfc_4511_4_10_says() {
    let house = House::new(&[ANYONE]);
    let admin = house.administrator();
    let compare = |dn: &str, name: &str, value: &str| house.compare(&admin, dn, name, value);
    assert_eq!(compare(ANN, "SN", "  ANN "), ResultCode::COMPARE_TRUE);
    assert_eq!(compare(ANN, "sn", "bob"), ResultCode::COMPARE_FALSE);
    assert_eq!(compare(ANN, "name", "anna"), ResultCode::COMPARE_TRUE);
    assert_eq!(compare(ANN, "cn;lang-de", "ann"), ResultCode::COMPARE_FALSE);
    assert_eq!(compare(ANN, "mobile", "+1-555-02-00"), ResultCode::COMPARE_TRUE);
    assert_eq!(compare(ANN, "mail", "x"), ResultCode::NO_SUCH_ATTRIBUTE);
    assert_eq!(compare(ANN, "nosuch", "x"), ResultCode::UNDEFINED_ATTRIBUTE_TYPE);
    assert_eq!(compare(BOB, "manager", "UID=ann, OU=People,dc=example,dc=com"), ResultCode::COMPARE_TRUE);
    assert_eq!(compare(GROUP, "member", "uid=bob,ou=people,dc=example,dc=com"), ResultCode::COMPARE_FALSE);
    assert_eq!(compare(ANN, "memberOf", &GROUP.to_uppercase()), ResultCode::COMPARE_TRUE);
    assert_eq!(compare(BOB, "manager", "no dn"), ResultCode::INVALID_ATTRIBUTE_SYNTAX);
    assert_eq!(compare("uid=x,dc=example,dc=com", "cn", "x"), ResultCode::NO_SUCH_OBJECT);
    assert_eq!(compare("", "supportedLDAPVersion", "3"), ResultCode::COMPARE_TRUE);
    let ann = house.person_session(ANN);
    assert_eq!(house.compare(&ann, ANN, "mobile", "1"), ResultCode::INSUFFICIENT_ACCESS_RIGHTS);
    assert_eq!(house.compare(&ann, BOB, "mobile", "1"), ResultCode::INSUFFICIENT_ACCESS_RIGHTS);
}

/// RFC 4512 2.4.1: the entries say inetOrgPerson and nothing of what that refines.
#[test]
fn a_class_is_found_by_what_it_refines() {
    let house = House::new(&[]);
    let mut admin = house.administrator();
    let mut count = |filter: &str| house.search(&mut admin, &Ask::sub(SUFFIX, filter)).entries.len();
    assert_eq!(count("(objectClass=person)"), 3);
    assert_eq!(count("(objectClass=2.5.6.6)"), 3);
    assert_eq!(count("(objectClass=top)"), 6);
    assert_eq!(count("(!(objectClass=PERSON))"), 3);
    assert_eq!(count("(&(objectclass=inetOrgPerson)(objectclass=organizationalPerson)(uid=ann))"), 1);
    assert_eq!(count("(objectClass=device)"), 0);
    assert_eq!(house.compare(&house.administrator(), ANN, "objectClass", "person"), ResultCode::COMPARE_TRUE);
}

#[test]
fn root_dse_and_subschema_are_for_anybody() {
    let house = House::new(&[]);
    let mut session = house.anonymous();
    let found = house.search(&mut session, &Ask::base("").attributes(&["+", "SupportedLdapVersion"]));
    assert_eq!(found.entries[0].0, "");
    assert_eq!(found.values("namingContexts"), [SUFFIX]);
    assert_eq!(found.values("defaultNamingContext"), [SUFFIX]);
    assert_eq!(found.values("SupportedLdapVersion"), ["3"]);
    // Nothing vouches for this connection, and nothing hides a password on it.
    assert!(found.values("supportedSASLMechanisms").is_empty());
    assert_eq!(found.values("subschemaSubentry"), ["cn=subschema"]);
    assert!(found.values("monitorContext").is_empty());
    let found = house.search(&mut session, &Ask::base(""));
    assert_eq!(found.attribute_names(), ["objectClass"]);
    for base in ["cn=subschema", "CN = SubSchema"] {
        let found = house.search(
            &mut session,
            &Ask { filter: "(objectClass=subschema)", ..Ask::base(base) }
                .attributes(&["objectClasses", "ldapSyntaxes"]),
        );
        assert!(found.values("objectClasses").iter().any(|text| text.contains("'inetOrgPerson'")));
        assert!(found.values("ldapSyntaxes").len() > 20);
    }
    let found = house.search(&mut session, &Ask { filter: "(objectClass=person)", ..Ask::base("cn=subschema") });
    assert_eq!((found.code, found.entries.len()), (ResultCode::SUCCESS, 0));
}

/// T-24.
#[test]
fn the_monitor_is_for_the_administrator_alone() {
    let house = House::new(&[ANYONE]);
    house.directory.add_monitor(Box::new(|| {
        let lines = vec![("links".to_owned(), "3".to_owned())];
        vec![MonitorEntry { name: "peers".to_owned(), description: "Other servers".to_owned(), lines }]
    }));
    let all = Ask::sub("cn=Monitor", "(objectClass=*)");
    for mut session in [house.anonymous(), house.person_session(ANN)] {
        let found = house.search(&mut session, &all);
        assert_eq!((found.code, found.entries.len()), (ResultCode::NO_SUCH_OBJECT, 0));
    }
    let mut admin = house.administrator();
    let found = house.search(&mut admin, &all);
    assert_eq!(
        found.names(),
        ["cn=conflicts", "cn=connections", "cn=monitor", "cn=operations", "cn=peers", "cn=queue", "cn=store"]
    );
    let found = house.search(&mut admin, &Ask::base("cn=peers,cn=monitor").attributes(&["*", "modifyTimestamp"]));
    assert_eq!(found.values("monitoredInfo"), ["links: 3"]);
    assert_eq!(found.values("modifyTimestamp"), ["20231114221320Z"]);
    assert_eq!(house.search(&mut admin, &Ask::base("cn=x,cn=monitor")).code, ResultCode::NO_SUCH_OBJECT);
}
