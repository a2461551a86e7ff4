use proptest::prelude::*;

use super::*;
use crate::schema::{Schema, SubstringPart, time};

fn schema() -> &'static Schema {
    static SCHEMA: std::sync::OnceLock<Schema> = std::sync::OnceLock::new();
    SCHEMA.get_or_init(Schema::builtin)
}

fn key(rule: MatchingRule, value: &str) -> Vec<u8> {
    let mut out = Vec::new();
    rule.key(schema(), value.as_bytes(), &mut out).unwrap();
    out
}

fn same(rule: MatchingRule, left: &str, right: &str) -> bool {
    key(rule, left) == key(rule, right)
}

fn matches(rule: MatchingRule, value: &str, assertion: &str) -> bool {
    rule.is_match(schema(), value.as_bytes(), assertion.as_bytes()).unwrap()
}

#[test]
fn rules_are_found_by_name_and_oid() {
    assert_eq!(MatchingRule::find("CASEIGNOREMATCH"), Some(MatchingRule::CaseIgnoreMatch));
    assert_eq!(MatchingRule::find("2.5.13.2"), Some(MatchingRule::CaseIgnoreMatch));
    assert_eq!(MatchingRule::find("1.2.840.113556.1.4.803"), Some(MatchingRule::IntegerBitAndMatch));
    assert_eq!(MatchingRule::find("phoneticMatch"), None);
    for rule in MatchingRule::ALL {
        assert_eq!(MatchingRule::find(rule.oid()), Some(*rule));
        assert_eq!(MatchingRule::find(rule.name()), Some(*rule));
        assert_eq!(rule.equality_of().kind(), RuleKind::Equality, "{}", rule.name());
        assert!(rule.shares_key(rule.equality_of()), "{}", rule.name());
    }
}

#[test]
fn text_is_compared_as_people_read_it() {
    assert!(same(MatchingRule::CaseIgnoreMatch, "Straße  9", " STRASSE 9 "));
    assert!(!same(MatchingRule::CaseExactMatch, "Ann", "ann"));
    assert!(same(MatchingRule::CaseExactMatch, "Ann  Lee", "Ann Lee"));
    assert!(same(MatchingRule::CaseIgnoreIa5Match, "Ann@Example.ORG", "ann@example.org"));
    assert!(same(MatchingRule::TelephoneNumberMatch, "+1 555-123", "+1555123"));
    assert!(same(MatchingRule::NumericStringMatch, "12 34", "1234"));
}

#[test]
fn addresses_are_compared_line_by_line() {
    let rule = MatchingRule::CaseIgnoreListMatch;
    assert!(same(rule, "1 Main St$Anytown", "1  MAIN ST $ anytown"));
    assert!(!same(rule, "1 Main St$Anytown", "1 Main St Anytown"));
    assert!(!same(rule, "a\\24b", "a$b"));
    let mut part = Vec::new();
    MatchingRule::CaseIgnoreListSubstringsMatch.substring_key(SubstringPart::Any, b"st$any", &mut part).unwrap();
    assert!(memchr::memmem::find(&key(rule, "1 Main St$Anytown"), &part).is_some());
}

#[test]
fn times_and_integers_are_compared_by_what_they_mean() {
    assert!(same(MatchingRule::GeneralizedTimeMatch, "20240101120000Z", "202401011300+0100"));
    assert!(
        key(MatchingRule::GeneralizedTimeMatch, "20240101120000.0001Z")
            > key(MatchingRule::GeneralizedTimeMatch, "20240101120000Z")
    );
    assert!(
        key(MatchingRule::GeneralizedTimeMatch, "19691231235959Z")
            < key(MatchingRule::GeneralizedTimeMatch, "19700101000000Z")
    );
    assert!(same(MatchingRule::UtcTimeMatch, "240101120000Z", "2401011200Z"));
    assert!(same(MatchingRule::IntegerMatch, "7", "7") && !same(MatchingRule::IntegerMatch, "7", "-7"));
    assert!(same(MatchingRule::UuidMatch, "597AE2F6-16a6-1027-98f4-d28b5365dc14", "597ae2f616a6102798f4d28b5365dc14"));
    assert!(same(MatchingRule::BooleanMatch, "true", "TRUE"));
    let csn = |text| key(MatchingRule::CsnMatch, text);
    assert!(csn("20240101120000.000001Z#000000#002#000000") < csn("20240101120000.000001Z#000001#001#000000"));
}

/// RFC 4517 3.3.16, RFC 4511 4.5.1.7: asserting what is no INTEGER is Undefined, so there is no key.
#[test]
fn numbers_written_otherwise_have_no_key() {
    for value in ["007", "-0", "-07", "+7", " 7", "7 ", "", "-"] {
        for rule in [MatchingRule::IntegerMatch, MatchingRule::IntegerOrderingMatch] {
            assert!(rule.key(schema(), value.as_bytes(), &mut Vec::new()).is_err(), "{value:?}");
        }
        assert!(MatchingRule::IntegerBitAndMatch.is_match(schema(), b"7", value.as_bytes()).is_err(), "{value:?}");
    }
}

#[test]
fn names_and_oids_of_elements_are_one() {
    assert!(same(MatchingRule::ObjectIdentifierMatch, "inetOrgPerson", "2.16.840.1.113730.3.2.2"));
    assert!(same(MatchingRule::ObjectIdentifierMatch, "CommonName", "cn"));
    assert!(!same(MatchingRule::ObjectIdentifierMatch, "cn", "sn"));
    assert!(same(MatchingRule::ObjectIdentifierMatch, "Unheard", "unheard"));
    assert!(matches(MatchingRule::ObjectIdentifierFirstComponentMatch, "( 2.5.4.3 NAME 'cn' SUP name )", "cn"));
    assert!(matches(MatchingRule::IntegerFirstComponentMatch, "( 7 FORM x )", "7"));
    assert!(matches(MatchingRule::DirectoryStringFirstComponentMatch, "( 'Big  One' 3 )", "big one"));
}

#[test]
fn names_with_identifiers_are_compared_whole() {
    let rule = MatchingRule::UniqueMemberMatch;
    assert!(same(rule, "CN=Ann, O=x#'01'B", "cn=ann,o=X#'01'B"));
    assert!(!same(rule, "cn=ann,o=x#'01'B", "cn=ann,o=x"));
}

#[test]
fn bits_are_compared_by_and_and_or() {
    assert!(matches(MatchingRule::IntegerBitAndMatch, "7", "5"));
    assert!(!matches(MatchingRule::IntegerBitAndMatch, "6", "5"));
    assert!(matches(MatchingRule::IntegerBitOrMatch, "6", "5"));
    assert!(!matches(MatchingRule::IntegerBitOrMatch, "8", "5"));
    assert!(matches(MatchingRule::IntegerBitAndMatch, "-2147483646", "2147483648"));
}

/// RFC 3698 2.
#[test]
fn words_are_found_between_other_characters() {
    assert!(matches(MatchingRule::WordMatch, "The Quick, brown fox", "QUICK"));
    assert!(!matches(MatchingRule::WordMatch, "Quickly", "quick"));
    assert!(matches(MatchingRule::KeywordMatch, "ldap;x.500", "x"));
    assert!(matches(MatchingRule::StoredPrefixMatch, "+49", "+4930"));
}

#[test]
fn places_in_the_tree_are_compared() {
    let (value, base) = ("ou=a,dc=x", "DC=X");
    assert!(matches(MatchingRule::DnSubtreeMatch, value, base) && matches(MatchingRule::DnSubtreeMatch, base, base));
    assert!(matches(MatchingRule::DnOneLevelMatch, value, base) && !matches(MatchingRule::DnOneLevelMatch, base, base));
    assert!(matches(MatchingRule::DnSubordinateMatch, "cn=b,ou=a,dc=x", base));
    assert!(
        matches(MatchingRule::DnSuperiorMatch, base, value) && !matches(MatchingRule::DnSuperiorMatch, value, base)
    );
}

#[test]
fn server_identifiers_of_csns_are_compared() {
    assert!(matches(MatchingRule::CsnSidMatch, "20240101120000.000000Z#000000#00a#000000", "00A"));
}

#[test]
fn what_cannot_be_compared_leaves_no_bytes_behind() {
    let mut out = b"kept".to_vec();
    for rule in MatchingRule::ALL {
        for bad in [&b"\xff\xfe"[..], b"x$\xff", b"cn=a,", b"12a", b"20240230000000Z", b"2024#0"] {
            if rule.key(schema(), bad, &mut out).is_err() {
                assert_eq!(out, b"kept", "{}", rule.name());
            }
            out.truncate(4);
            if rule.substring_key(SubstringPart::Any, bad, &mut out).is_err() {
                assert_eq!(out, b"kept", "{}", rule.name());
            }
            out.truncate(4);
        }
    }
    let error = MatchingRule::IntegerMatch.key(schema(), b"abc", &mut out).unwrap_err();
    assert!(error.to_string().contains("integerMatch"), "{error}");
}

fn big() -> impl Strategy<Value = i128> {
    prop_oneof![any::<i128>(), -1_000_i128..1_000, any::<i64>().prop_map(i128::from)]
}

proptest! {
    #[test]
    fn keys_of_integers_have_the_order_of_integers(left in big(), right in big()) {
        let keys = (key(MatchingRule::IntegerOrderingMatch, &left.to_string()), key(MatchingRule::IntegerOrderingMatch, &right.to_string()));
        prop_assert_eq!(left.cmp(&right), keys.0.cmp(&keys.1));
    }

    #[test]
    fn keys_of_times_have_the_order_of_times(left in -60_000_000_000_000_i64..250_000_000_000_000, right in -60_000_000_000_000_i64..250_000_000_000_000) {
        let text = |ms: i64| time::format_generalized_time(ms).replace('Z', &format!(".{:03}Z", ms.rem_euclid(1000)));
        let keys = (key(MatchingRule::GeneralizedTimeOrderingMatch, &text(left)), key(MatchingRule::GeneralizedTimeOrderingMatch, &text(right)));
        prop_assert_eq!(left.cmp(&right), keys.0.cmp(&keys.1));
    }

    #[test]
    fn equal_text_has_equal_keys(text in "[a-zA-Z ß]{1,16}") {
        let upper = text.to_uppercase();
        prop_assert_eq!(key(MatchingRule::CaseIgnoreMatch, &text), key(MatchingRule::CaseIgnoreMatch, &upper));
        prop_assert_eq!(matches(MatchingRule::CaseIgnoreMatch, &text, &upper), true);
        let spaced = format!("  {} ", text.replace(' ', "   "));
        prop_assert_eq!(key(MatchingRule::CaseExactMatch, &text), key(MatchingRule::CaseExactMatch, &spaced));
    }

    #[test]
    fn no_value_makes_a_rule_fall(value in proptest::collection::vec(any::<u8>(), 0..24), text in any::<String>()) {
        let mut out = Vec::new();
        for rule in MatchingRule::ALL {
            let _ = rule.key(schema(), &value, &mut out);
            let _ = rule.key(schema(), text.as_bytes(), &mut out);
            let _ = rule.is_match(schema(), text.as_bytes(), &value);
            let _ = rule.substring_key(SubstringPart::Last, text.as_bytes(), &mut out);
        }
    }
}
