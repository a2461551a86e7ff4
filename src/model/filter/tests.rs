use proptest::prelude::*;

use super::*;

fn equality(attribute: &'static str, value: &'static [u8]) -> Filter<'static> {
    Filter::Equality(Assertion { attribute: attribute.into(), value: value.into() })
}

fn read(text: &str) -> Filter<'static> {
    Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// RFC 4515 4, a line each.
const STANDARD: &str = include_str!("rfc4515.txt");

#[test]
fn examples_of_the_standard_read_and_print_back() {
    let others = ["(cn=*)", "(cn;lang-de=x)", "(cn>=a)", "(cn<=a)", "(cn~=a)", "(&)", "(|)", "(cn=*a*)", "(cn=a=b)"];
    assert_eq!(STANDARD.lines().count(), 17);
    for text in STANDARD.lines().chain(others) {
        assert_eq!(read(text).to_string(), text);
    }
    assert_eq!(read(r"(sn=Lu\c4\8di\c4\87)").to_string(), "(sn=Lučić)");
}

#[test]
fn parts_of_a_substring_assertion_are_told_apart() {
    let Filter::Substrings(substrings) = read("(cn=a*b*c*d)") else { panic!("no substrings") };
    assert_eq!(substrings.initial.as_deref(), Some(b"a".as_slice()));
    assert_eq!(substrings.any, [Cow::Borrowed(b"b"), Cow::Borrowed(b"c")]);
    assert_eq!(substrings.last.as_deref(), Some(b"d".as_slice()));
    assert_eq!(read("(cn=**a***b**)"), read("(cn=*a*b*)"));
    assert_eq!(read("(cn=**)"), Filter::Present("cn".into()));
    assert_eq!(read(r"(cn=\2a)"), equality("cn", b"*"));
}

/// The list of behaviours clients rely on: blanks anywhere between components.
#[test]
fn blanks_between_components_are_taken() {
    let plain = read("(&(objectClass=person)(!(cn=x))(|(mail=*a*)(cn=b)))");
    assert_eq!(read(" ( & ( objectClass =person) ( ! ( cn=x) )\n (| (mail=*a*) (cn=b) ) ) "), plain);
    assert_eq!(read("(cn= a b )"), equality("cn", b" a b "));
    assert_eq!(read("cn=x"), equality("cn", b"x"));
    assert_eq!(read("( & )"), Filter::And(Vec::new()));
}

#[test]
fn extensible_forms_are_told_apart() {
    let parts = |text: &str| match read(text) {
        Filter::Extensible(extensible) => (
            extensible.attribute.map(Cow::into_owned).unwrap_or_default(),
            extensible.dn_attributes,
            extensible.rule.map(Cow::into_owned).unwrap_or_default(),
        ),
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(parts("(cn:dn:2.5.13.5:=x)"), ("cn".into(), true, "2.5.13.5".into()));
    assert_eq!(parts("(cn:DN:=x)"), ("cn".into(), true, String::new()));
    assert_eq!(parts("(:caseExactMatch:=x)"), (String::new(), false, "caseExactMatch".into()));
    assert_eq!(parts("(userAccountControl:1.2.840.113556.1.4.803:=2)").2, "1.2.840.113556.1.4.803");
    assert_eq!(parts("(member;x-a:1.2:=cn=a:=b)"), ("member;x-a".into(), false, "1.2".into()));
}

#[test]
fn malformed_filters_are_refused_where_they_break() {
    for (text, offset) in [
        ("", 0),
        ("  ", 2),
        ("(", 1),
        ("()", 1),
        ("(cn)", 1),
        ("(cn=x", 0),
        ("(cn=x))", 6),
        ("(cn=x)(sn=y)", 6),
        ("(&(cn=x)", 0),
        ("(!(cn=x)(sn=y))", 8),
        ("(!cn=x)", 2),
        ("(=x)", 1),
        ("(c n=x)", 1),
        ("(cn=a(b)", 5),
        (r"(cn=\zz)", 4),
        (r"(cn=\2)", 4),
        ("(cn=a\0)", 5),
        ("(cn>=a*)", 6),
        ("(:=x)", 1),
        ("(:dn:=x)", 1),
        ("(cn::=x)", 1),
        ("(cn:a:b:=x)", 1),
        ("(cn:a b:=x)", 1),
        ("(&cn=x)", 2),
    ] {
        let error = Filter::parse(text).expect_err(text);
        assert_eq!(error.offset, offset, "{text}: {error}");
    }
}

/// T-05.
#[test]
fn depth_and_size_are_limited() {
    let nested = |depth: usize| format!("{}(a=b){}", "(!".repeat(depth - 1), ")".repeat(depth - 1));
    assert!(Filter::parse(&nested(FILTER_DEPTH_MAX)).is_ok());
    assert!(Filter::parse(&nested(FILTER_DEPTH_MAX + 1)).is_err());
    assert!(Filter::parse(&nested(100_000)).is_err());
    assert!(Filter::parse(&"(&".repeat(500_000)).is_err());
    let wide = |count: usize| format!("(|{})", "(a=b)".repeat(count));
    assert_eq!(read(&wide(FILTER_NODES_MAX - 1)).node_count(), FILTER_NODES_MAX);
    assert!(Filter::parse(&wide(FILTER_NODES_MAX)).is_err());
    assert!(Filter::parse(&format!("(a=*{})", "b*".repeat(SUBSTRING_PARTS_MAX))).is_err());
    assert!(Filter::parse(&format!("(a={})", "b".repeat(FILTER_TEXT_BYTES_MAX))).is_err());
}

#[test]
fn printing_escapes_what_would_change_the_meaning() {
    let filter = equality("cn", b"*()\\\0\xff\n");
    assert_eq!(filter.to_string(), r"(cn=\2a\28\29\5c\00\ff\0a)");
    assert_eq!(equality(")(x=*", b"").to_string(), "(??x??=)");
    assert_eq!(equality("", b"x").to_string(), "(?=x)");
}

fn any_filter() -> impl Strategy<Value = Filter<'static>> {
    let name = "[a-zA-Z][a-zA-Z0-9-]{0,5}(;[a-z]{1,3})?|[0-9](\\.[0-9]{1,3}){1,3}".prop_map(Cow::<str>::Owned);
    let rule = "[a-ce-z][a-zA-Z0-9-]{0,5}|[0-9](\\.[0-9]{1,3}){1,3}".prop_map(Cow::<str>::Owned);
    let value = || {
        prop_oneof![proptest::collection::vec(any::<u8>(), 0..8), any::<String>().prop_map(String::into_bytes)]
            .prop_map(Cow::<[u8]>::Owned)
    };
    let part = || proptest::collection::vec(any::<u8>(), 1..5).prop_map(Cow::<[u8]>::Owned);
    let substrings = (
        name.clone(),
        proptest::option::of(part()),
        proptest::collection::vec(part(), 0..3),
        proptest::option::of(part()),
    )
        .prop_filter("no part", |(_, initial, any, last)| initial.is_some() || !any.is_empty() || last.is_some())
        .prop_map(|(attribute, initial, any, last)| Filter::Substrings(Substrings { attribute, initial, any, last }));
    let extensible = (proptest::option::of(name.clone()), proptest::option::of(rule), value(), any::<bool>())
        .prop_filter("neither", |(attribute, rule, ..)| attribute.is_some() || rule.is_some())
        .prop_map(|(attribute, rule, value, dn_attributes)| {
            Filter::Extensible(Extensible { rule, attribute, value, dn_attributes })
        });
    let comparison = (name.clone(), value(), 0..4).prop_map(|(attribute, value, kind)| {
        let assertion = Assertion { attribute, value };
        match kind {
            0 => Filter::Equality(assertion),
            1 => Filter::GreaterOrEqual(assertion),
            2 => Filter::LessOrEqual(assertion),
            _ => Filter::Approx(assertion),
        }
    });
    let leaf = prop_oneof![comparison, substrings, extensible, name.prop_map(Filter::Present)];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Filter::And),
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Filter::Or),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

proptest! {
    #[test]
    fn printing_then_parsing_gives_the_filter_back(filter in any_filter()) {
        prop_assert_eq!(Filter::parse(&filter.to_string()).unwrap(), filter);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[()&|!=*<>~:\\\\ a-c0-9\\x00ü]{0,40}") {
        if let Ok(filter) = Filter::parse(&text) {
            prop_assert_eq!(Filter::parse(&filter.to_string()).unwrap(), filter);
        }
    }
}
