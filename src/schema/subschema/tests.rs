use super::*;
use crate::schema::definition::{AttributeTypeDefinition, ObjectClassDefinition, SyntaxDefinition};

fn values(name: &str) -> Vec<String> {
    let attributes = Schema::builtin().subschema_attributes();
    let (_, values) = attributes.into_iter().find(|(attribute, _)| attribute == name).unwrap();
    values.into_iter().map(|value| String::from_utf8(value).unwrap()).collect()
}

#[test]
fn everything_published_can_be_read_again() {
    assert!(values("attributeTypes").iter().all(|text| AttributeTypeDefinition::parse(text).is_ok()));
    assert!(values("objectClasses").iter().all(|text| ObjectClassDefinition::parse(text).is_ok()));
    assert!(values("ldapSyntaxes").iter().all(|text| SyntaxDefinition::parse(text).is_ok()));
}

#[test]
fn definitions_are_published_as_their_standards_word_them() {
    let cn = "( 2.5.4.3 NAME ( 'cn' 'commonName' ) DESC 'full name' SUP name X-ORIGIN 'RFC 4519' )";
    assert!(values("attributeTypes").iter().any(|text| text == cn));
    assert!(values("ldapSyntaxes").iter().any(|text| {
        text == "( 1.3.6.1.4.1.1466.115.121.1.8 DESC 'X.509 Certificate' X-BINARY-TRANSFER-REQUIRED 'TRUE' X-NOT-HUMAN-READABLE 'TRUE' )"
    }));
    let rule = "( 2.5.13.2 NAME 'caseIgnoreMatch' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )";
    assert!(values("matchingRules").iter().any(|text| text == rule));
}

#[test]
fn rules_are_published_with_the_types_they_apply_to() {
    let uses = values("matchingRuleUse");
    let bits = uses.iter().find(|text| text.starts_with("( 1.2.840.113556.1.4.803 ")).unwrap();
    assert!(bits.contains("uidNumber") && !bits.contains("memberOf"), "{bits}");
    let chain = uses.iter().find(|text| text.starts_with("( 1.2.840.113556.1.4.1941 ")).unwrap();
    assert!(chain.contains("memberOf") && chain.contains("member"), "{chain}");
}
