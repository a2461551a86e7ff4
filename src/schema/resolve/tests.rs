use crate::schema::{MatchingRule, Schema, SchemaError, SchemaSource};

fn load(text: &str) -> Result<Schema, SchemaError> {
    Schema::load(&[SchemaSource { name: "base.ldif", text: BASE }, SchemaSource { name: "more.ldif", text }])
}

fn refusal(text: &str) -> String {
    load(text).unwrap_err().to_string()
}

const BASE: &str = "dn: cn=base,cn=schema
attributeTypes: ( 2.5.4.0 NAME 'objectClass' EQUALITY objectIdentifierMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.38 )
attributeTypes: ( 2.5.4.3 NAME ( 'cn' 'commonName' ) SUP name )
attributeTypes: ( 2.5.4.41 NAME 'name' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15{64} )
objectClasses: ( 2.5.6.0 NAME 'top' ABSTRACT MUST objectClass )
objectClasses: ( 1.2.1 NAME 'thing' SUP top STRUCTURAL MUST cn )
objectClasses: ( 1.2.2 NAME 'extra' SUP top AUXILIARY MAY name )
";

#[test]
fn syntax_and_rules_are_inherited() {
    let schema = load("attributeTypes: ( 1.1.1 NAME 'nick' SUP cn SINGLE-VALUE )\n").unwrap();
    let nick = schema.attribute_type("NICK").unwrap();
    assert_eq!(nick.equality, Some(MatchingRule::CaseIgnoreMatch));
    assert_eq!(nick.ordering, Some(MatchingRule::CaseIgnoreOrderingMatch));
    assert_eq!(nick.substring, Some(MatchingRule::CaseIgnoreSubstringsMatch));
    assert_eq!(nick.length_bound, Some(64));
    let name = schema.attribute_type("name").unwrap();
    let subtypes: Vec<_> = name.subtypes.iter().map(|index| schema.attribute_type_at(*index).name()).collect();
    assert_eq!(subtypes, ["cn", "name", "nick"]);
    assert_eq!(nick.subtypes, [nick.index]);
}

#[test]
fn classes_inherit_what_they_require_and_allow() {
    let schema = load("objectClasses: ( 1.2.3 NAME 'special' SUP thing MAY name )\n").unwrap();
    let special = schema.object_class("special").unwrap();
    let names = |list: &[crate::schema::AttributeTypeIndex]| {
        list.iter().map(|index| schema.attribute_type_at(*index).name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&special.must), ["objectClass", "cn"]);
    assert_eq!(names(&special.may), ["objectClass", "cn", "name"]);
    assert!(special.refines(schema.object_class("top").unwrap().index));
    assert!(!special.refines(schema.object_class("extra").unwrap().index));
}

#[test]
fn the_same_definition_may_be_repeated() {
    let schema = load(
        "attributeTypes: ( 2.5.4.41 NAME 'name' DESC 'again' EQUALITY 2.5.13.2 SUBSTR caseignoresubstringsmatch\n  \
         SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )\nobjectClasses: ( 1.2.1 NAME 'Thing' SUP top MUST CN )\n",
    )
    .unwrap();
    assert_eq!(schema.attribute_types().len(), 3);
    assert_eq!(schema.object_classes().len(), 3);
    let less = "objectClasses: ( 1.2.2 NAME 'extra' SUP top AUXILIARY )\nattributeTypes: ( 2.5.4.41 NAME 'name' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )\n";
    let schema = load(less).unwrap();
    assert_eq!(schema.object_class("extra").unwrap().may.len(), 2);
    let more = refusal("objectClasses: ( 1.2.2 NAME 'extra' SUP top AUXILIARY MAY ( name $ cn ) )\n");
    assert!(more.contains("is defined differently"), "{more}");
}

#[test]
fn clashes_name_both_places() {
    let text = refusal(
        "\nattributeTypes: ( 2.5.4.41 NAME 'name' EQUALITY caseExactMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )\n",
    );
    assert!(text.starts_with("more.ldif, line 2: ") && text.contains("base.ldif, line 4"), "{text}");
    let text = refusal("attributeTypes: ( 1.1.1 NAME 'COMMONNAME' SUP name )\n");
    assert!(text.contains("'COMMONNAME' is taken at base.ldif, line 3"), "{text}");
}

#[test]
fn what_refers_to_nothing_is_refused() {
    for (text, advice) in [
        ("attributeTypes: ( 1.1.1 NAME 'a' SUP nothing )", "SUP nothing"),
        ("attributeTypes: ( 1.1.1 NAME 'a' SYNTAX 1.9.9 )", "SYNTAX 1.9.9 is unknown"),
        ("attributeTypes: ( 1.1.1 NAME 'a' EQUALITY fooMatch SUP name )", "matching rule fooMatch is unknown"),
        ("attributeTypes: ( 1.1.1 NAME 'a' EQUALITY caseIgnoreOrderingMatch SUP name )", "no rule of this kind"),
        ("attributeTypes: ( 1.1.1 NAME 'a' SUP name USAGE dSAOperation )", "same USAGE"),
        ("objectClasses: ( 1.1.1 NAME 'a' SUP nothing )", "SUP nothing"),
        ("objectClasses: ( 1.1.1 NAME 'a' MAY ( cn $ nothing ) )", "nothing is no known attribute type"),
        ("objectClasses: ( 1.1.1 NAME 'a' SUP extra STRUCTURAL )", "cannot refine"),
        ("dITContentRules: ( 1.2.2 MAY cn )", "no structural object class"),
        ("dITContentRules: ( 1.2.1 AUX thing )", "no known auxiliary class"),
        ("ldapSyntaxes: ( 1.9.9 DESC 'x' )", "X-SUBST"),
    ] {
        let refusal = refusal(text);
        assert!(refusal.contains(advice), "{text}: {refusal}");
        assert!(refusal.starts_with("more.ldif, line 1: "), "{refusal}");
    }
}

#[test]
fn circles_are_refused() {
    let text = refusal("attributeTypes: ( 1.1.1 NAME 'a' SUP b )\nattributeTypes: ( 1.1.2 NAME 'b' SUP a )\n");
    assert!(text.contains("refines itself"), "{text}");
    let text = refusal("objectClasses: ( 1.1.1 NAME 'a' SUP a )\n");
    assert!(text.contains("refines itself"), "{text}");
}

#[test]
fn a_long_chain_of_superiors_is_no_trouble() {
    let mut text = String::new();
    for step in 1..5_000 {
        let superior = if step == 1 { "name".to_owned() } else { format!("a{}", step - 1) };
        text.push_str(&format!("attributeTypes: ( 1.1.{step} NAME 'a{step}' SUP {superior} )\n"));
    }
    let schema = load(&text).unwrap();
    assert_eq!(schema.attribute_type("a4999").unwrap().equality, Some(MatchingRule::CaseIgnoreMatch));
}

#[test]
fn syntaxes_of_files_are_judged_by_a_known_one() {
    let schema = load(
        "ldapSyntaxes: ( 1.2.840.113556.1.4.906 DESC 'Large Integer' X-SUBST '1.3.6.1.4.1.1466.115.121.1.27' )\n\
         attributeTypes: ( 1.1.1 NAME 'big' SYNTAX 1.2.840.113556.1.4.906 )\n",
    )
    .unwrap();
    assert_eq!(schema.attribute_type("big").unwrap().equality, Some(MatchingRule::IntegerMatch));
    assert!(schema.syntaxes().any(|syntax| syntax.oid == "1.2.840.113556.1.4.906"));
}

#[test]
fn marks_of_definitions_are_kept() {
    let schema = load(
        "attributeTypes: ( 1.1.1 NAME 'pin' SUP name X-SECRET 'TRUE' )\nattributeTypes: ( 1.1.2 NAME 'oldPin' SUP pin )\n\
         attributeTypes: ( 1.1.3 NAME 'crew' SUP name X-REPL-MERGE 'set' )\n",
    )
    .unwrap();
    assert!(schema.attribute_type("oldPin").unwrap().is_secret());
    assert!(schema.attribute_type("crew").unwrap().is_membership());
    assert!(!schema.attribute_type("cn").unwrap().is_secret());
}
