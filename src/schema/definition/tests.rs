use proptest::prelude::*;

use super::*;

fn type_error(text: &str) -> String {
    AttributeTypeDefinition::parse(text).unwrap_err().detail
}

/// RFC 4512 4.1.2, example of RFC 4519.
#[test]
fn an_attribute_type_is_read_whole() {
    let definition = AttributeTypeDefinition::parse(
        "( 2.5.4.6 NAME ( 'c' 'countryName' ) DESC 'RFC 4519: two-letter \\27code\\27' OBSOLETE SUP name \
         EQUALITY caseIgnoreMatch ORDERING caseIgnoreOrderingMatch SUBSTR caseIgnoreSubstringsMatch \
         SYNTAX 1.3.6.1.4.1.1466.115.121.1.11{2} SINGLE-VALUE COLLECTIVE NO-USER-MODIFICATION USAGE dSAOperation \
         X-ORIGIN ( 'RFC 4519' 'X.520' ) )",
    )
    .unwrap();
    assert_eq!(definition.names, ["c", "countryName"]);
    assert_eq!(definition.description.as_deref(), Some("RFC 4519: two-letter 'code'"));
    assert_eq!(definition.superior.as_deref(), Some("name"));
    assert_eq!(definition.length_bound, Some(2));
    assert_eq!(definition.usage, Usage::DsaOperation);
    assert!(definition.obsolete && definition.single_value && definition.collective && definition.no_user_modification);
    assert_eq!(definition.extensions, [("X-ORIGIN".to_owned(), vec!["RFC 4519".to_owned(), "X.520".to_owned()])]);
}

#[test]
fn oddities_of_other_servers_are_read() {
    for text in [
        "(1.2.3 NAME('a' 'b')SYNTAX '1.3.6.1' SINGLE-VALUE)",
        "( 1.2.3 NAME ( 'a''b' ) SYNTAX 1.3.6.1 SINGLE-VALUE USAGE userapplications )",
        "( 1.2.3\n\tname ('a' 'b')\n\tsingle-value\n\tsyntax 1.3.6.1 )",
    ] {
        let definition = AttributeTypeDefinition::parse(text).unwrap();
        assert_eq!((definition.names.len(), definition.single_value), (2, true), "{text}");
    }
    let definition =
        AttributeTypeDefinition::parse("( my-oid NAME 'with_underscore' DESC 'a person's name' SYNTAX 1.3.6 )")
            .unwrap();
    assert_eq!(definition.description.as_deref(), Some("a person's name"));
    let class = ObjectClassDefinition::parse("( 1.2.3 NAME 'a' MUST cn $ sn MAY ( x $y$ z ) )").unwrap();
    assert_eq!((class.must.len(), class.may.len(), class.kind), (2, 3, ClassKind::Structural));
    let empty = AttributeTypeDefinition::parse("( 1.2.3 NAME 'a' DESC '' SYNTAX 1.3.6 )").unwrap();
    assert_eq!(empty.description.as_deref(), Some(""));
}

#[test]
fn what_has_no_meaning_is_refused_with_advice() {
    for (text, advice) in [
        ("", "starts with '('"),
        ("( NAME 'a' SYNTAX 1.3 )", "keyword"),
        ("( OLcfgAt:1 NAME 'a' SYNTAX 1.3 )", "macro"),
        ("( 1.2.03 NAME 'a' SYNTAX 1.3 )", "not an OID"),
        ("( 1.2.3 NAME 'a b' SYNTAX 1.3 )", "cannot be a name"),
        ("( 1.2.3 NAME 'a' )", "needs SYNTAX or SUP"),
        ("( 1.2.3 NAME 'a' SYNTAX 1.3", "')' is missing"),
        ("( 1.2.3 NAME 'a SYNTAX 1.3 )", "apostrophe"),
        ("( 1.2.3 SYNTAX 1.3{x} )", "length"),
        ("( 1.2.3 SYNTAX 1.3 SYNTAX 1.3 )", "twice"),
        ("( 1.2.3 SYNTAX 1.3 SINGLEVALUE )", "no meaning"),
        ("( 1.2.3 SYNTAX 1.3 USAGE other )", "USAGE other"),
        ("( 1.2.3 SYNTAX 1.3 ) )", "follows"),
        ("( 1.2.3 SYNTAX 1.3 FOO bar )", "FOO"),
    ] {
        let detail = match text {
            "( 1.2.3 SYNTAX 1.3 SINGLEVALUE )" => type_error("( 1.2.3 SYNTAX 1.3 SINGLEVALUE x )"),
            "( NAME 'a' SYNTAX 1.3 )" => type_error("( 1.2 'a' SYNTAX 1.3 )"),
            other => type_error(other),
        };
        assert!(detail.contains(advice), "{text}: {detail}");
    }
    assert!(ObjectClassDefinition::parse("( 1.2.3 ABSTRACT AUXILIARY )").is_err());
    assert!(ContentRuleDefinition::parse("( 1.2.3 SUP top )").is_err());
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![Just('\''), Just('\\'), Just(' '), Just('$'), Just(')'), Just('2'), Just('7'), any::<char>()],
        0..12,
    )
    .prop_map(|characters| characters.into_iter().collect())
}

fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z][a-zA-Z0-9_-]{0,8}"
}

fn words() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(word(), 0..4)
}

fn extensions() -> impl Strategy<Value = Extensions> {
    proptest::collection::btree_map("X-[A-Z][A-Z0-9-]{0,5}", proptest::collection::vec(text(), 0..3), 0..3)
        .prop_map(|map| map.into_iter().collect())
}

proptest! {
    #[test]
    fn an_attribute_type_survives_printing(
        (oid, names, description, superior) in ("[0-2](\\.[1-9][0-9]{0,3}){1,6}", words(), proptest::option::of(text()), proptest::option::of(word())),
        (equality, syntax, bound) in (proptest::option::of(word()), "1(\\.[1-9][0-9]{0,3}){1,6}", proptest::option::of(any::<u32>())),
        (obsolete, single_value, no_user_modification) in any::<(bool, bool, bool)>(),
        usage in prop_oneof![Just(Usage::UserApplications), Just(Usage::DirectoryOperation), Just(Usage::DistributedOperation), Just(Usage::DsaOperation)],
        extensions in extensions(),
    ) {
        let definition = AttributeTypeDefinition {
            oid, names, description, obsolete, superior, ordering: equality.clone(), substring: equality.clone(), equality,
            syntax: Some(syntax), length_bound: bound, single_value, collective: false, no_user_modification, usage, extensions,
        };
        let printed = definition.to_string();
        prop_assert_eq!(AttributeTypeDefinition::parse(&printed), Ok(definition), "{}", printed);
    }

    #[test]
    fn an_object_class_survives_printing(
        names in words(), description in proptest::option::of(text()),
        lists in (words(), words(), words()),
        kind in prop_oneof![Just(ClassKind::Abstract), Just(ClassKind::Structural), Just(ClassKind::Auxiliary)],
        extensions in extensions(),
    ) {
        let (superiors, must, may) = lists;
        let definition = ObjectClassDefinition { oid: "1.2.3".to_owned(), names, description, obsolete: false, superiors, kind, must, may, extensions };
        let printed = definition.to_string();
        prop_assert_eq!(ObjectClassDefinition::parse(&printed), Ok(definition), "{}", printed);
    }

    #[test]
    fn no_text_makes_the_parser_fall(text in "[()'$ {}A-Z1.\\\\-]{0,40}", wild in any::<String>()) {
        let _ = AttributeTypeDefinition::parse(&text);
        let _ = ObjectClassDefinition::parse(&wild);
        let _ = SyntaxDefinition::parse(&format!("( 1.2.3 {wild} )"));
    }
}
