use proptest::prelude::*;

use super::*;

fn values(text: &str) -> Vec<(String, Vec<u8>)> {
    let dn = Dn::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    dn.rdns().iter().flat_map(Rdn::avas).map(|ava| (ava.attribute.clone(), ava.value.clone())).collect()
}

fn value(text: &str) -> Vec<u8> {
    let mut values = values(text);
    assert_eq!(values.len(), 1, "{text}");
    values.remove(0).1
}

fn refusal(text: &str) -> DnError {
    Dn::parse(text).expect_err(text)
}

/// RFC 4514 4.
#[test]
fn examples_of_the_standard_read() {
    assert_eq!(Dn::parse("UID=jsmith,DC=example,DC=net").unwrap().rdns().len(), 3);
    let dn = Dn::parse("OU=Sales+CN=J.  Smith,DC=example,DC=net").unwrap();
    assert_eq!(dn.rdn().unwrap().avas().len(), 2);
    assert_eq!(dn.rdn().unwrap().avas()[1].value, b"J.  Smith");
    assert_eq!(value(r#"CN=James \"Jim\" Smith\, III"#), b"James \"Jim\" Smith, III");
    assert_eq!(value(r"CN=Before\0dAfter"), b"Before\rAfter");
    assert_eq!(value("1.3.6.1.4.1.1466.0=#04024869"), b"Hi");
    assert_eq!(value(r"CN=Lu\C4\8Di\C4\87"), "Lučić".as_bytes());
}

#[test]
fn blanks_around_separators_fall_away_and_escaped_ones_stay() {
    assert_eq!(values(" cn = Ann Lee  +  sn = Lee , dc = x "), values("cn=Ann Lee+sn=Lee,dc=x"));
    assert_eq!(value(r"cn=\ a b\  "), b" a b ");
    assert_eq!(value(r"cn= a\20 "), b"a ");
    assert_eq!(value("cn=  "), b"");
    assert_eq!(value("cn=a\n "), b"a");
}

#[test]
fn older_quoted_values_read() {
    assert_eq!(values(r#"o="Sue, Grabbit and Runn" , c=GB"#)[0].1, b"Sue, Grabbit and Runn");
    assert_eq!(value(r#"o=" a\"b\2c ""#), b" a\"b, ");
    assert_eq!(values("OID.2.5.4.3=x")[0].0, "2.5.4.3");
}

#[test]
fn hex_values_of_strings_are_unwrapped_and_others_kept() {
    assert_eq!(value("cn=#0c03c3a461"), "äa".as_bytes());
    assert_eq!(value("cn=#1303616263"), b"abc");
    assert_eq!(value("cn=#1681 03616263".replace(' ', "").as_str()), b"abc");
    assert_eq!(value("cn=#020105"), [2, 1, 5]);
    assert_eq!(value("cn=#0405616263"), [4, 5, b'a', b'b', b'c']);
    assert_eq!(value("cn=#04"), [4]);
    assert_eq!(value("cn=#0484ffffffff61"), [4, 0x84, 0xff, 0xff, 0xff, 0xff, b'a']);
}

#[test]
fn root_is_the_empty_text() {
    assert!(Dn::parse("").unwrap().is_root());
    assert!(Dn::parse("  ").unwrap().is_root());
    assert_eq!(Dn::root().to_string(), "");
    assert_eq!(Dn::root().superior(), None);
}

#[test]
fn malformed_names_are_refused_where_they_break() {
    for (text, offset) in [
        ("a=b,", 4),
        (",a=b", 0),
        ("a=b,,c=d", 4),
        ("a=b+", 4),
        ("ann", 0),
        ("=x", 0),
        ("a=b;c=d", 3),
        ("a=b\"", 3),
        ("a=<b", 2),
        ("a=b\\", 3),
        ("a=b\\zz", 3),
        ("a=#", 3),
        ("a=#0", 3),
        ("a=#04 x", 6),
        ("a=\"b", 2),
        ("a=\"b\"c", 5),
        ("a=b\0", 3),
        ("cn;lang-de=x", 0),
        ("ü=x", 0),
        ("a/b=x", 0),
    ] {
        let error = refusal(text);
        assert_eq!(error.offset, offset, "{text}: {error}");
    }
    assert_eq!(Dn::parse_bytes(b"cn=\xff").unwrap_err().offset, 3);
    assert!(Rdn::parse("a=b,c=d").is_err());
    assert!(Rdn::parse("").is_err());
    assert!(Rdn::new(Vec::new()).is_none());
    assert!(Rdn::new(vec![Ava { attribute: "a,b".to_owned(), value: Vec::new() }]).is_none());
}

#[test]
fn limits_hold() {
    assert!(Dn::parse(&format!("cn={}", "a".repeat(DN_BYTES_MAX - 3))).is_ok());
    assert!(Dn::parse(&format!("cn={}", "a".repeat(DN_BYTES_MAX - 2))).is_err());
    assert!(Dn::parse(&vec!["a=b"; RDN_COUNT_MAX].join(",")).is_ok());
    assert!(Dn::parse(&vec!["a=b"; RDN_COUNT_MAX + 1].join(",")).is_err());
    assert!(Dn::parse(&vec!["a=b"; AVA_COUNT_MAX].join("+")).is_ok());
    assert!(Dn::parse(&vec!["a=b"; AVA_COUNT_MAX + 1].join("+")).is_err());
}

#[test]
fn printing_escapes_only_what_it_must() {
    for (text, printed) in [
        ("CN=Zoë Ångström,dc=example", "CN=Zoë Ångström,dc=example"),
        (r"cn=a\=b\20c\#d", "cn=a=b c#d"),
        (r"cn=\#a\2c\2b\22\3c\3e\3b\5c", r#"cn=\#a\,\+\"\<\>\;\\"#),
        (r"cn=\20\20a\20\20", r"cn=\  a \ "),
        (r"cn=\20", r"cn=\ "),
        (r"cn=\ff\0a\00\c3", r"cn=\ff\0a\00\c3"),
        (r"cn=\ff\20", r"cn=\ff\ "),
        (r"cn=\20\ff", r"cn=\ \ff"),
        ("cn=", "cn="),
        ("cn = x + sn = y , c = DE", "cn=x+sn=y,c=DE"),
    ] {
        assert_eq!(Dn::parse(text).unwrap().to_string(), printed);
    }
}

#[test]
fn child_and_superior_undo_each_other() {
    let dn = Dn::parse("dc=example,dc=com").unwrap();
    let child = dn.child(Rdn::parse("cn=Ann").unwrap());
    assert_eq!(child.to_string(), "cn=Ann,dc=example,dc=com");
    assert_eq!(child.superior(), Some(dn));
}

fn any_rdn() -> impl Strategy<Value = Rdn> {
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..12),
        "[ #,+\"\\\\<>;=aü]{0,8}".prop_map(String::into_bytes),
        any::<String>().prop_map(String::into_bytes),
    ];
    let ava = ("[a-zA-Z][a-zA-Z0-9-]{0,8}|[0-9]{1,3}(\\.[0-9]{1,5}){1,4}", bytes)
        .prop_map(|(attribute, value)| Ava { attribute, value });
    proptest::collection::vec(ava, 1..4).prop_map(|avas| Rdn::new(avas).unwrap())
}

proptest! {
    #[test]
    fn printing_then_parsing_gives_the_name_back(rdns in proptest::collection::vec(any_rdn(), 0..5)) {
        let dn = Dn::from_rdns(rdns);
        let text = dn.to_string();
        prop_assume!(text.len() <= DN_BYTES_MAX);
        prop_assert_eq!(Dn::parse(&text).unwrap(), dn);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[a-c=,+;\"#\\\\ 0-9<>\\x00ü]{0,40}") {
        if let Ok(dn) = Dn::parse(&text) {
            prop_assert_eq!(Dn::parse(&dn.to_string()).unwrap(), dn);
        }
    }
}
