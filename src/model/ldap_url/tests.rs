use proptest::prelude::*;

use super::*;

fn read(text: &str) -> LdapUrl {
    LdapUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// RFC 4516 4.
#[test]
fn examples_of_the_standard_read_and_print_back() {
    for text in [
        "ldap:///o=University%20of%20Michigan,c=US",
        "ldap://ldap1.example.net/o=University%20of%20Michigan,c=US",
        "ldap://ldap1.example.net/o=University%20of%20Michigan,c=US?postalAddress",
        "ldap://ldap1.example.net:6666/o=University%20of%20Michigan,c=US??sub?(cn=Babs%20Jensen)",
        "ldap://ldap1.example.com/c=GB?objectClass?one",
        "ldap://ldap2.example.com/o=Question%3F,c=US?mail",
        "ldap://ldap3.example.com/o=Babsco,c=US???(four-octet=%5C00%5C00%5C00%5C04)",
        "ldap://ldap.example.com/o=An%20Example%5C,%20Inc.,c=US",
        "ldap:///??sub??e-bindname=cn=Manager%2Cdc=example%2Cdc=com",
        "ldap:///??sub??!e-bindname=cn=Manager%2Cdc=example%2Cdc=com",
        "ldap:///",
        "ldaps://[2001:db8::7]:1636",
        "ldap://[fe80::1%25eth0]",
        "ldap://:389/",
        "ldap://*:389",
        "ldapi://%2Frun%2Fentente%2Fldapi",
        "ldapi:///",
        "ldap://h/?*,+,@person,cn;lang-de",
    ] {
        assert_eq!(read(text).to_string(), text);
    }
    assert_eq!(read("LDAP://LDAP1.EXAMPLE.COM/c=GB?objectClass?ONE").scope, Some(Scope::OneLevel));
    assert_eq!(read("ldap://h??one").scope, Some(Scope::OneLevel), "RFC 4516 does without '/', as clients do");
}

#[test]
fn parts_are_told_apart() {
    let url = read("ldaps://ann.example:1636/dc=x?cn, mail?sub?(sn=a%3Fb)?!1.2.3=x,y");
    assert_eq!((url.scheme, url.host.as_deref(), url.port), (LdapScheme::Ldaps, Some("ann.example"), Some(1636)));
    assert_eq!(url.attributes, ["cn", "mail"]);
    assert_eq!(url.filter.unwrap().to_string(), "(sn=a?b)");
    assert_eq!(url.extensions.len(), 2);
    assert!(url.extensions[0].critical && !url.extensions[1].critical);
    assert_eq!(read("ldap://h").port_or_default(), Some(389));
    assert_eq!(read("ldaps://h").port_or_default(), Some(636));
    assert_eq!(read("ldapi:///").port_or_default(), None);
    assert_eq!(read("ldapi://%2Frun%2Fx").host.as_deref(), Some("/run/x"));
    assert_eq!(read("ldap://[::1]:3389/").host.as_deref(), Some("::1"));
}

#[test]
fn malformed_urls_are_refused_with_advice() {
    for (text, advice) in [
        ("", "begins with"),
        ("http://h/", "begins with"),
        ("ldap:h", "begins with"),
        ("ldap://h:x", "port"),
        ("ldap://h:65536", "port"),
        ("ldap://h:+1", "port"),
        ("ldap://::1", "brackets"),
        ("ldap://[::1", "]"),
        ("ldap://[::1]x", "]"),
        ("ldap://a b/", "host"),
        ("ldap://user@h/", "host"),
        ("ldap://h/dc", "base DN"),
        ("ldap://h/dc=%zz", "hexadecimal"),
        ("ldap://h/dc=%ff", "UTF-8"),
        ("ldap://h/?c n", "attribute description"),
        ("ldap://h/??deep", "scope"),
        ("ldap://h/???(cn", "filter"),
        ("ldap://h/????a b", "extension"),
        ("ldap://h/?????", "'?'"),
        ("ldapi:///run/x", "ldapi://%2Frun%2Fx"),
    ] {
        let error = LdapUrl::parse(text).expect_err(text).to_string();
        assert!(error.contains(advice), "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn printing_then_parsing_gives_the_url_back(
        scheme in prop_oneof![Just(LdapScheme::Ldap), Just(LdapScheme::Ldapi), Just(LdapScheme::Ldaps)],
        host in proptest::option::of("[a-z0-9.-]{1,12}|[0-9a-f:]{2,9}"),
        port in proptest::option::of(any::<u16>()),
        cn in any::<String>(),
        attributes in proptest::collection::vec("[a-z]{1,4}(;[a-z]{1,3})?|\\*|\\+|1\\.1", 0..3),
        scope in proptest::option::of((0u32..4).prop_map(|number| Scope::from_number(number).unwrap())),
        value in proptest::option::of(any::<String>()),
        extension in proptest::option::of((any::<bool>(), "[a-z]{1,5}", proptest::option::of(any::<String>()))),
    ) {
        let rdn = crate::model::Rdn::new(vec![crate::model::Ava { attribute: "cn".into(), value: cn.into_bytes() }]);
        let url = LdapUrl {
            scheme,
            host,
            port: port.filter(|_| scheme != LdapScheme::Ldapi),
            dn: Dn::from_rdns(rdn.into_iter().collect()),
            attributes,
            scope,
            filter: value.map(|value| Filter::Equality(crate::model::Assertion {
                attribute: "cn".into(),
                value: value.into_bytes().into(),
            })),
            extensions: extension
                .into_iter()
                .map(|(critical, name, value)| LdapUrlExtension { critical, name, value })
                .collect(),
        };
        prop_assert_eq!(LdapUrl::parse(&url.to_string()).unwrap(), url);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(ldap://)?[a-c=,?/%\\[\\]:!()0-9ü ]{0,40}") {
        if let Ok(url) = LdapUrl::parse(&text) {
            prop_assert_eq!(LdapUrl::parse(&url.to_string()).unwrap(), url);
        }
    }
}
