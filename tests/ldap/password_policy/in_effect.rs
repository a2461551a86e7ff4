//! Which policy is in force for an entry, and since when (draft 5.1, 5.3.1, 5.3.8; RFC 3672).

use super::{POLICY, fail, operational, policy};
use crate::support::code;
use crate::support::request::REPLACE;
use crate::support::server::{Server, Setup};
use crate::{ANN, BOB, PEOPLE};

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
    only_entente!(Unserved);
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

/// A policy that comes, changes and goes while the server runs is in force at once.
#[test]
fn a_policy_is_in_force_as_soon_as_it_is_there() {
    let lines = "overlay ppolicy\nppolicy_default cn=people,dc=example,dc=com\n";
    let server = Server::start(Setup::default().with_slapd_lines(lines));
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

/// RFC 3672: a policy is in force for the entries that its subtree specification speaks of, those about to be added too.
#[test]
fn the_subtree_specification_says_for_whom_a_policy_is() {
    only_entente!(Unserved);
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

/// draft-behera-ldap-password-policy-10 5.2.3, 5.2.7: the numbers of a policy fit together, whichever comes last.
#[test]
fn a_policy_that_contradicts_itself_is_refused_with_both_names() {
    only_entente!(Lax);
    let (mut client, branch) = Server::shared().branch("policy-contradictions");
    for (at, (less, more, bad, good)) in [
        ("pwdMinAge", "pwdMaxAge", "61", "60"),
        ("pwdMinLength", "pwdMaxLength", "61", "60"),
        ("pwdExpireWarning", "pwdMaxAge", "60", "59"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("cn=policy{at},{branch}");
        let mut add = |value: &str| {
            let values: [(&str, &[&str]); 4] = [
                ("objectClass", &["device", "pwdPolicy"]),
                ("pwdAttribute", &["userPassword"]),
                (more, &["60"]),
                (less, &[value]),
            ];
            client.add(&name, &values)
        };
        let check = |outcome: crate::support::client::Outcome| {
            let outcome = outcome.expect(code::CONSTRAINT_VIOLATION);
            assert!(outcome.diagnostic.contains(less) && outcome.diagnostic.contains(more), "{}", outcome.diagnostic);
        };
        check(add(bad));
        add(good).expect(code::SUCCESS);
        check(client.modify(&name, &[(REPLACE, less, &[bad])]));
        check(client.modify(&name, &[(REPLACE, more, &["1"])]));
        // 0 limits nothing, and what comes together is judged together.
        client.modify(&name, &[(REPLACE, more, &["0"])]).expect(code::SUCCESS);
        client.modify(&name, &[(REPLACE, less, &[bad])]).expect(code::SUCCESS);
        client.modify(&name, &[(REPLACE, more, &["70"]), (REPLACE, less, &["62"])]).expect(code::SUCCESS);
    }
}

/// draft-behera-ldap-password-policy-10 5.2: pwdAttribute names the password, numbers are not negative.
#[test]
fn a_policy_that_would_mean_nothing_is_refused_with_what_may_be_written() {
    only_entente!(Lax);
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
        ("userPassword", "pwdInHistory", "25", "pwdInHistory is a number from 0 to 24"),
        ("userPassword", "pwdMaxFailure", "65", "pwdMaxFailure is a number from 0 to 64"),
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
