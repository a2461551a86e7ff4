use proptest::prelude::*;

use super::*;

fn schema() -> &'static Schema {
    static SCHEMA: std::sync::OnceLock<Schema> = std::sync::OnceLock::new();
    SCHEMA.get_or_init(Schema::builtin)
}

fn dn(text: &str) -> Dn {
    Dn::parse(text).unwrap()
}

fn key(text: &str) -> Vec<u8> {
    schema().dn_key(&dn(text))
}

#[test]
fn spelling_of_a_name_does_not_matter() {
    for (left, right) in [
        ("CN=Ann  Lee,OU=People,DC=example", "commonName=ann lee , ou=people, dc=EXAMPLE"),
        ("cn=Straße,dc=x", "cn=STRASSE,dc=x"),
        ("2.5.4.3=Ann,dc=x", "cn=ann,dc=x"),
        ("uid=1+cn=a,dc=x", "CN=A+UID=1,dc=x"),
        ("cn=\\41nn,dc=x", "cn=ann,dc=x"),
        ("cn=#0403416e6e,dc=x", "cn=ann,dc=x"),
        ("unheard=A,dc=x", "UNHEARD=a,dc=x"),
        ("manager=CN\\=Ann\\,DC\\=x,dc=y", "manager=cn=ann\\, dc=X,dc=y"),
    ] {
        assert!(schema().dn_equal(&dn(left), &dn(right)), "{left} {right}");
    }
}

#[test]
fn different_names_have_different_keys() {
    for (left, right) in [
        ("cn=a,dc=x", "sn=a,dc=x"),
        ("cn=a,dc=x", "cn=a,dc=x,dc=y"),
        ("cn=a+uid=b,dc=x", "cn=a,uid=b,dc=x"),
        ("cn=a+uid=b,dc=x", "cn=a\\+uid\\=b,dc=x"),
        ("cn=ab,cn=c", "cn=a,cn=bc"),
        ("userPassword=a,dc=x", "userPassword=A,dc=x"),
        ("", "dc=x"),
    ] {
        assert!(!schema().dn_equal(&dn(left), &dn(right)), "{left} {right}");
    }
}

#[test]
fn keys_of_subordinates_begin_with_the_key_of_the_superior() {
    assert_eq!(key(""), b"");
    assert!(key("cn=a,ou=b,dc=x").starts_with(&key("ou=b,dc=x")));
    assert!(!key("cn=a,ou=bc,dc=x").starts_with(&key("ou=b,dc=x")));
    assert!(schema().dn_is_within(&dn("CN=a,OU=B,dc=x"), &dn("ou=b,dc=X")));
    assert!(!schema().dn_is_within(&dn("dc=x"), &dn("ou=b,dc=x")));
    assert_eq!(rdn_count(&key("cn=a,ou=b,dc=x")), 3);
}

#[test]
fn values_that_no_rule_takes_still_name_something() {
    let raw = |value: &[u8]| {
        Rdn::new(vec![Ava { attribute: "cn".to_owned(), value: value.to_vec() }])
            .map(|rdn| schema().rdn_key(&rdn))
            .unwrap()
    };
    assert_ne!(raw(b"\xff\x00\x01\x02"), raw(b"\xff\x00\x01\x03"));
    assert!(!raw(b"\xff\x00\x01\x02").contains(&0));
    assert_ne!(raw(b"\xff"), raw(b"\xfe"));
}

/// A DN-valued RDN may hold a DN with a DN-valued RDN, and so on for a thousand levels in 8 KiB.
#[test]
fn names_nested_deep_are_compared_without_going_deep() {
    let text = format!("{}x", "manager=".repeat(900));
    assert!(!key(&text).is_empty());
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[aAbB ]{1,4}".prop_map(String::into_bytes),
        proptest::collection::vec(
            prop_oneof![Just(0_u8), Just(1), Just(2), Just(0x10), Just(b'='), Just(b'+'), Just(0xff), any::<u8>()],
            1..6
        ),
    ]
}

fn rdn() -> impl Strategy<Value = Rdn> {
    let attribute = prop_oneof![
        Just("cn"),
        Just("CN"),
        Just("commonName"),
        Just("sn"),
        Just("uid"),
        Just("userPassword"),
        Just("uidNumber"),
        Just("member"),
        Just("other")
    ];
    proptest::collection::vec((attribute, value()), 1..3).prop_map(|pairs| {
        Rdn::new(pairs.into_iter().map(|(attribute, value)| Ava { attribute: attribute.to_owned(), value }).collect())
            .unwrap()
    })
}

fn name() -> impl Strategy<Value = Dn> {
    proptest::collection::vec(rdn(), 0..4).prop_map(Dn::from_rdns)
}

/// distinguishedNameMatch written out, without keys of whole names.
fn equal(left: &Dn, right: &Dn) -> bool {
    left.rdns().len() == right.rdns().len()
        && left.rdns().iter().zip(right.rdns()).all(|(left, right)| rdn_equal(left, right))
}

fn rdn_equal(left: &Rdn, right: &Rdn) -> bool {
    let mut rest: Vec<&Ava> = right.avas().iter().collect();
    left.avas().len() == rest.len()
        && left.avas().iter().all(|ava| match rest.iter().position(|other| ava_equal(ava, other)) {
            Some(at) => {
                rest.remove(at);
                true
            }
            None => false,
        })
}

fn ava_equal(left: &Ava, right: &Ava) -> bool {
    let (left_type, right_type) = (schema().attribute_type(&left.attribute), schema().attribute_type(&right.attribute));
    let same_type = match (left_type, right_type) {
        (Some(left), Some(right)) => left.index == right.index,
        (None, None) => left.attribute.eq_ignore_ascii_case(&right.attribute),
        _ => false,
    };
    let rule = left_type.and_then(|known| known.equality).unwrap_or(MatchingRule::CaseIgnoreMatch);
    let key = |value: &[u8]| {
        let mut out = Vec::new();
        rule.key(schema(), value, &mut out).ok().map(|()| out)
    };
    same_type
        && match (key(&left.value), key(&right.value)) {
            (Some(left), Some(right)) => left == right,
            (None, None) => left.value == right.value,
            _ => false,
        }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn keys_are_equal_iff_the_names_match(left in name(), right in name()) {
        prop_assert_eq!(schema().dn_key(&left) == schema().dn_key(&right), equal(&left, &right));
    }

    #[test]
    fn a_key_begins_with_another_iff_the_name_is_below(below in name(), base in name()) {
        let whole = Dn::from_rdns([below.rdns(), base.rdns()].concat());
        prop_assert!(schema().dn_key(&whole).starts_with(&schema().dn_key(&base)));
        let is_below = below.rdns().len() >= base.rdns().len()
            && equal(&Dn::from_rdns(below.rdns()[below.rdns().len() - base.rdns().len()..].to_vec()), &base);
        prop_assert_eq!(schema().dn_key(&below).starts_with(&schema().dn_key(&base)), is_below);
    }

    #[test]
    fn keys_of_rdns_hold_no_zero_byte(rdn in rdn()) {
        let key = schema().rdn_key(&rdn);
        prop_assert!(!key.is_empty());
        prop_assert!(!key.contains(&0));
    }
}
