//! Add: RFC 4511 4.7, with the schema rules of RFC 4512.

use crate::support::code;
use crate::support::request::{self, Search};
use crate::support::server::{SUFFIX, Server, Subject};
use crate::{ANN, PEOPLE, add_person};

const PERSON: (&str, &[&str]) = ("objectClass", &["inetOrgPerson"]);

#[test]
fn added_entry_can_be_read_by_everybody() {
    let server = Server::shared();
    let (mut client, branch) = server.branch("add-read");
    let dn = add_person(&mut client, &branch, "new");
    for mut reader in [client, server.anonymous(), server.person("bob")] {
        let entry = reader.read(&dn);
        assert_eq!(entry.dn, dn);
        assert_eq!(entry.value("sn"), "Person");
    }
}

/// The DN comes back as it was written, for some applications compare it as text.
#[test]
fn spelling_of_the_name_is_kept() {
    let (mut client, branch) = Server::shared().branch("add-Spelling");
    let dn = format!("UID=Mixed-Case,{branch}");
    client.add(&dn, &[PERSON, ("cn", &["x"]), ("sn", &["x"])]).expect(code::SUCCESS);
    let entry = client.read(&dn.to_lowercase());
    assert_eq!(entry.value("uid"), "Mixed-Case");
    let leaf = entry.dn.split(',').next().unwrap_or_default().to_owned();
    assert!(leaf.ends_with("=Mixed-Case"), "{leaf}");
}

/// RFC 4511 4.7: the attributes of the RDN need not be repeated in the list.
#[test]
fn rdn_attributes_are_added_by_the_server() {
    let (mut client, branch) = Server::shared().branch("add-rdn");
    let dn = format!("cn=Someone+uid=someone,{branch}");
    client.add(&dn, &[PERSON, ("sn", &["One"])]).expect(code::SUCCESS);
    let entry = client.read(&dn);
    assert_eq!((entry.value("cn"), entry.value("uid")), ("Someone".to_owned(), "someone".to_owned()));
}

/// RFC 4511 4.7.
#[test]
fn add_below_an_absent_superior_is_no_such_object_with_the_matched_dn() {
    let mut client = Server::shared().admin();
    let outcome = client.add(&format!("uid=x,ou=nowhere,{PEOPLE}"), &[PERSON, ("cn", &["x"]), ("sn", &["x"])]);
    assert_eq!(outcome.expect(code::NO_SUCH_OBJECT).matched_dn, PEOPLE);
}

#[test]
fn add_of_an_entry_that_is_there_is_entry_already_exists() {
    let mut client = Server::shared().admin();
    let again = |dn: &str, client: &mut crate::support::client::Client| {
        client.add(dn, &[PERSON, ("cn", &["x"]), ("sn", &["x"])]).expect(code::ENTRY_ALREADY_EXISTS);
    };
    again(ANN, &mut client);
    again("UID= ANN,OU=People,DC=Example,DC=Com", &mut client);
}

/// The suffix exists already; another one is made only where that is said.
#[test]
fn add_outside_the_suffix_is_refused() {
    let mut client = Server::shared().admin();
    let outcome = client.add("dc=elsewhere", &[("objectClass", &["domain"]), ("dc", &["elsewhere"])]);
    outcome.expect_one_of(&[code::NO_SUCH_OBJECT, code::UNWILLING_TO_PERFORM, code::REFERRAL]);
}

#[test]
fn add_with_a_name_that_is_no_dn_is_invalid_dn_syntax() {
    Server::shared().admin().add("nobody", &[PERSON]).expect(code::INVALID_DN_SYNTAX);
}

/// RFC 4512 2.4: no entry without a class.
#[test]
fn add_without_an_object_class_is_object_class_violation() {
    let (mut client, branch) = Server::shared().branch("add-no-class");
    client.add(&format!("cn=x,{branch}"), &[("cn", &["x"])]).expect(code::OBJECT_CLASS_VIOLATION);
}

/// A class that is not in the schema. slapd tells it as a value that its syntax does not allow.
#[test]
fn add_with_an_unknown_object_class_is_refused() {
    let (mut client, branch) = Server::shared().branch("add-unknown-class");
    let outcome = client.add(&format!("cn=x,{branch}"), &[("objectClass", &["noSuchClass"]), ("cn", &["x"])]);
    outcome.expect(Subject::current().pick(code::OBJECT_CLASS_VIOLATION, code::INVALID_ATTRIBUTE_SYNTAX));
}

#[test]
fn add_with_an_unknown_attribute_is_undefined_attribute_type() {
    let (mut client, branch) = Server::shared().branch("add-unknown-attribute");
    let outcome =
        client.add(&format!("uid=x,{branch}"), &[PERSON, ("cn", &["x"]), ("sn", &["x"]), ("noSuchAttribute", &["x"])]);
    outcome.expect(code::UNDEFINED_ATTRIBUTE_TYPE);
}

/// RFC 4512 2.4: MUST.
#[test]
fn add_without_a_required_attribute_is_object_class_violation() {
    let (mut client, branch) = Server::shared().branch("add-must");
    let outcome = client.add(&format!("uid=x,{branch}"), &[PERSON, ("cn", &["x"])]);
    let outcome = outcome.expect(code::OBJECT_CLASS_VIOLATION);
    assert!(outcome.diagnostic.contains("sn"), "the diagnostic names what is missing: {}", outcome.diagnostic);
}

/// RFC 4512 2.4: what no class allows.
#[test]
fn add_with_an_attribute_that_no_class_allows_is_object_class_violation() {
    let (mut client, branch) = Server::shared().branch("add-may");
    let outcome =
        client.add(&format!("uid=x,{branch}"), &[PERSON, ("cn", &["x"]), ("sn", &["x"]), ("uidNumber", &["7"])]);
    let outcome = outcome.expect(code::OBJECT_CLASS_VIOLATION);
    assert!(outcome.diagnostic.contains("uidNumber"), "{}", outcome.diagnostic);
}

/// RFC 4512 2.4.2: an entry belongs to exactly one chain of structural classes.
#[test]
fn add_with_two_structural_classes_or_none_is_object_class_violation() {
    let (mut client, branch) = Server::shared().branch("add-structural");
    let two: &[&str] = &["inetOrgPerson", "organizationalUnit"];
    let outcome = client.add(&format!("cn=x,{branch}"), &[("objectClass", two), ("sn", &["x"]), ("ou", &["x"])]);
    outcome.expect(code::OBJECT_CLASS_VIOLATION);
    for none in ["top", "dcObject"] {
        let outcome =
            client.add(&format!("cn=x,{branch}"), &[("objectClass", &[none]), ("cn", &["x"]), ("dc", &["x"])]);
        outcome.expect(code::OBJECT_CLASS_VIOLATION);
    }
}

/// RFC 4512 2.4.1: superclasses may be written or left out.
#[test]
fn superclasses_may_be_written_or_left_out() {
    let (mut client, branch) = Server::shared().branch("add-superclasses");
    let all: &[&str] = &["top", "person", "organizationalPerson", "inetOrgPerson"];
    client.add(&format!("cn=all,{branch}"), &[("objectClass", all), ("sn", &["x"])]).expect(code::SUCCESS);
    let few: &[&str] = &["top", "inetOrgPerson"];
    client.add(&format!("cn=few,{branch}"), &[("objectClass", few), ("sn", &["x"])]).expect(code::SUCCESS);
    assert_eq!(client.names(&branch, "(objectClass=organizationalPerson)"), ["all", "few"]);
    for name in ["all", "few"] {
        let entry = client.read_attributes(&format!("cn={name},{branch}"), &["structuralObjectClass"]);
        assert_eq!(entry.value("structuralObjectClass"), "inetOrgPerson");
    }
}

#[test]
fn add_with_a_value_of_the_wrong_syntax_is_invalid_attribute_syntax() {
    let (mut client, branch) = Server::shared().branch("add-syntax");
    let dn = format!("uid=x,{branch}");
    let bad: [(&str, &str); 4] =
        [("manager", "not a name"), ("mail", "jürgen@example.com"), ("telephoneNumber", "☎"), ("description", "")];
    for (name, value) in bad {
        let outcome = client.add(&dn, &[PERSON, ("cn", &["x"]), ("sn", &["x"]), (name, &[value])]);
        // slapd's telephoneNumber takes what IA5 has not, and its diagnostics name the attribute.
        assert_eq!(outcome.code, code::INVALID_ATTRIBUTE_SYNTAX, "{name}={value}: {outcome:?}");
        assert!(outcome.diagnostic.contains(name), "{}", outcome.diagnostic);
    }
    let bytes = request::add_bytes(
        &dn,
        &[("objectClass", vec![b"inetOrgPerson".to_vec()]), ("sn", vec![vec![0xFF]]), ("cn", vec![b"x".to_vec()])],
    );
    client.perform(&bytes).expect(code::INVALID_ATTRIBUTE_SYNTAX);
}

/// RFC 4511 4.7, 4.1.7: values are a set, compared by the equality rule.
#[test]
fn add_with_equal_values_is_attribute_or_value_exists() {
    let (mut client, branch) = Server::shared().branch("add-twice");
    for pair in [["a@example.com", "a@example.com"], ["a@example.com", "A@EXAMPLE.com"]] {
        let outcome =
            client.add(&format!("uid=x,{branch}"), &[PERSON, ("cn", &["x"]), ("sn", &["x"]), ("mail", &pair)]);
        outcome.expect_one_of(&[code::ATTRIBUTE_OR_VALUE_EXISTS]);
    }
}

/// RFC 4512 2.2.
#[test]
fn add_with_two_values_of_a_single_valued_attribute_is_constraint_violation() {
    let (mut client, branch) = Server::shared().branch("add-single");
    let outcome = client
        .add(&format!("uid=x,{branch}"), &[PERSON, ("cn", &["x"]), ("sn", &["x"]), ("displayName", &["one", "two"])]);
    outcome.expect(code::CONSTRAINT_VIOLATION);
}

/// RFC 4512 4.1.2 NO-USER-MODIFICATION.
#[test]
fn add_with_an_attribute_that_the_server_keeps_is_constraint_violation() {
    let (mut client, branch) = Server::shared().branch("add-operational");
    for (name, value) in [
        ("modifyTimestamp", "20200101000000Z"),
        ("structuralObjectClass", "inetOrgPerson"),
        ("entryUUID", "11111111-2222-3333-4444-555555555555"),
        ("creatorsName", "cn=x"),
        ("hasSubordinates", "FALSE"),
    ] {
        let outcome =
            client.add(&format!("uid=x,{branch}"), &[PERSON, ("cn", &["x"]), ("sn", &["x"]), (name, &[value])]);
        outcome.expect_one_of(&[code::CONSTRAINT_VIOLATION]);
    }
}

/// RFC 4511 4.7: the vals set of an attribute is not empty.
#[test]
fn add_with_an_attribute_without_values_is_refused() {
    let (mut client, branch) = Server::shared().branch("add-no-values");
    let outcome = client.add(&format!("uid=x,{branch}"), &[PERSON, ("cn", &["x"]), ("sn", &["x"]), ("mail", &[])]);
    outcome.expect_one_of(&[code::PROTOCOL_ERROR, code::INVALID_ATTRIBUTE_SYNTAX, code::CONSTRAINT_VIOLATION]);
}

/// RFC 4511 4.7: aliases are not dereferenced on the way to the superior.
#[test]
fn add_below_an_alias_is_refused() {
    let mut client = Server::shared().admin();
    let dn = format!("uid=x,cn=everyone,ou=aliases,{SUFFIX}");
    let outcome = client.add(&dn, &[PERSON, ("cn", &["x"]), ("sn", &["x"])]);
    outcome.expect_one_of(&[
        code::ALIAS_PROBLEM,
        code::NAMING_VIOLATION,
        code::UNWILLING_TO_PERFORM,
        code::NO_SUCH_OBJECT,
    ]);
}

#[test]
fn add_below_a_referral_is_a_referral() {
    let mut client = Server::shared().admin();
    let dn = format!("uid=x,ou=away,ou=referrals,{SUFFIX}");
    let outcome = client.add(&dn, &[PERSON, ("cn", &["x"]), ("sn", &["x"])]).expect(code::REFERRAL);
    assert!(outcome.referrals[0].contains("uid=x,ou=away,dc=example,dc=net"), "{outcome:?}");
}

/// RFC 4514: names with everything in them.
#[test]
fn names_with_special_characters_are_found_in_every_spelling() {
    let (mut client, branch) = Server::shared().branch("add-special");
    let cases: [(&str, &str, &[&str]); 8] = [
        ("cn=Smith\\, John", "Smith, John", &["cn=Smith\\2C John", "CN=smith\\,  john"]),
        ("cn=\\#hash", "#hash", &["cn=\\23hash"]),
        ("cn=a\\+b", "a+b", &["cn=a\\2bb"]),
        ("cn=quote\\\"s", "quote\"s", &["cn=quote\\22s"]),
        ("cn=back\\\\slash", "back\\slash", &["cn=back\\5cslash"]),
        ("cn=less\\<more\\>semi\\;equal=", "less<more>semi;equal=", &["cn=less\\3cmore\\3esemi\\3bequal\\3d"]),
        ("cn=\\ lead and trail\\ ", "lead and trail", &["cn=lead and trail"]),
        ("cn=Лукашенко 🐘 日本", "Лукашенко 🐘 日本", &["cn=лукашенко 🐘 日本", "cn=\\d0\\9bукашенко 🐘 日本"]),
    ];
    for (rdn, value, spellings) in cases {
        let dn = format!("{rdn},{branch}");
        client.add(&dn, &[PERSON, ("sn", &["x"])]).expect(code::SUCCESS);
        for spelling in spellings {
            let entry = client.read(&format!("{spelling},{branch}"));
            assert_eq!(entry.value("cn").trim(), value, "{spelling}");
            // What the server writes is a name that it reads.
            assert_eq!(client.read(&entry.dn).dn, entry.dn);
        }
    }
}

/// RFC 4514 2: the order within a multi-valued RDN does not matter.
#[test]
fn parts_of_an_rdn_may_come_in_any_order() {
    let (mut client, branch) = Server::shared().branch("add-multi");
    client.add(&format!("cn=A+sn=B,{branch}"), &[PERSON]).expect(code::SUCCESS);
    let first = client.read(&format!("sn=b+cn=a,{branch}"));
    assert_eq!(first.value("cn"), "A");
    let outcome = client.add(&format!("sn=B+cn=A,{branch}"), &[PERSON]);
    outcome.expect(code::ENTRY_ALREADY_EXISTS);
    // One part alone is another name.
    client.search(&Search::base(format!("cn=A,{branch}"))).expect(code::NO_SUCH_OBJECT);
}

/// RFC 4512 2.3: a name cannot be made of one attribute twice, nor of an attribute that the class does not allow.
#[test]
fn rdn_of_an_attribute_that_the_class_does_not_allow_is_refused() {
    let (mut client, branch) = Server::shared().branch("add-bad-rdn");
    let outcome = client.add(&format!("uidNumber=5,{branch}"), &[PERSON, ("cn", &["x"]), ("sn", &["x"])]);
    outcome.expect_one_of(&[code::OBJECT_CLASS_VIOLATION, code::NAMING_VIOLATION]);
    let outcome = client.add(&format!("noSuchAttribute=5,{branch}"), &[PERSON, ("cn", &["x"]), ("sn", &["x"])]);
    outcome.expect_one_of(&[code::UNDEFINED_ATTRIBUTE_TYPE, code::INVALID_DN_SYNTAX, code::NAMING_VIOLATION]);
}

/// Every octet survives; a value may be large.
#[test]
fn binary_values_of_any_size_come_back_unchanged() {
    let (mut client, branch) = Server::shared().branch("add-binary");
    for size in [1_usize, 127, 128, 255, 256, 65_535, 65_536, 1_000_000] {
        let photo: Vec<u8> = (0..size).map(|index| (index * 7 % 256) as u8).collect();
        let dn = format!("uid=p{size},{branch}");
        let text = |value: &str| vec![value.as_bytes().to_vec()];
        let attributes = [
            ("objectClass", text("inetOrgPerson")),
            ("cn", text("x")),
            ("sn", text("x")),
            ("uid", text(&format!("p{size}"))),
            ("jpegPhoto", vec![photo.clone()]),
        ];
        client.perform(&request::add_bytes(&dn, &attributes)).expect(code::SUCCESS);
        assert_eq!(client.read_attributes(&dn, &["jpegPhoto"]).bytes("jpegPhoto"), [photo]);
    }
}

/// RFC 4523 2.1: certificates are transferred with ;binary.
#[test]
fn certificates_are_kept_under_the_binary_option() {
    let (mut client, branch) = Server::shared().branch("add-certificate");
    let made = rcgen::generate_simple_self_signed(["ann".to_owned()]).expect("a certificate is made");
    let der = made.cert.der().to_vec();
    let dn = format!("uid=c,{branch}");
    let text = |value: &str| vec![value.as_bytes().to_vec()];
    let attributes = [
        ("objectClass", text("inetOrgPerson")),
        ("cn", text("x")),
        ("sn", text("x")),
        ("uid", text("c")),
        ("userCertificate;binary", vec![der.clone()]),
    ];
    client.perform(&request::add_bytes(&dn, &attributes)).expect(code::SUCCESS);
    let entry = client.read(&dn);
    assert_eq!(entry.bytes("userCertificate;binary"), [der], "{:?}", entry.names());
    assert_eq!(client.names(&branch, "(userCertificate;binary=*)"), ["c"]);
}

/// RFC 4512 4.3.
#[test]
fn extensible_object_takes_every_user_attribute() {
    let (mut client, branch) = Server::shared().branch("add-extensible");
    let classes: &[&str] = &["organizationalUnit", "extensibleObject"];
    let dn = format!("ou=x,{branch}");
    client.add(&dn, &[("objectClass", classes), ("uidNumber", &["7"]), ("mail", &["a@b.c"])]).expect(code::SUCCESS);
    assert_eq!(client.read(&dn).value("uidNumber"), "7");
}

/// Only who may write writes.
#[test]
fn add_without_the_right_is_refused() {
    let server = Server::shared();
    let attributes: [(&str, &[&str]); 3] = [PERSON, ("cn", &["x"]), ("sn", &["x"])];
    let outcome = server.person("bob").add(&format!("uid=intruder,{PEOPLE}"), &attributes);
    outcome.expect(code::INSUFFICIENT_ACCESS_RIGHTS);
    let outcome = server.anonymous().add(&format!("uid=intruder,{PEOPLE}"), &attributes);
    // slapd asks for authentication first.
    outcome.expect_one_of(&[code::INSUFFICIENT_ACCESS_RIGHTS, 8]);
    server.admin().search(&Search::base(format!("uid=intruder,{PEOPLE}"))).expect(code::NO_SUCH_OBJECT);
}
