//! Definitions of a schema, values of its syntaxes, and rules that name its attributes.

use std::sync::LazyLock;

use entente::schema::definition::{
    AttributeTypeDefinition, ContentRuleDefinition, ObjectClassDefinition, SyntaxDefinition,
};
use entente::schema::{MatchingRule, RuleKind, Schema, SchemaSource, SubstringPart, Syntax};
use entente::search::UniqueRule;
use entente::storage::EntryId;

use super::texts;

static SCHEMA: LazyLock<Schema> = LazyLock::new(Schema::builtin);

pub(super) fn schema_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "( 2.5.4.3 NAME ( 'cn' 'commonName' ) DESC 'a, \\27name\\27' SUP name )",
        "( 1.2.3 NAME 'x' OBSOLETE EQUALITY caseIgnoreMatch ORDERING caseIgnoreOrderingMatch SUBSTR \
         caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15{64} SINGLE-VALUE NO-USER-MODIFICATION USAGE \
         directoryOperation X-ORIGIN ( 'RFC 4519' 'us' ) )",
        "( 2.5.6.6 NAME 'person' SUP top STRUCTURAL MUST ( sn $ cn ) MAY ( userPassword $ telephoneNumber ) )",
        "( 2.5.6.6 NAME 'rule' AUX ( a $ b ) MUST cn MAY sn NOT mail )",
        "( 1.3.6.1.4.1.1466.115.121.1.15 DESC 'Directory String' X-SUBST '1.2.3' )",
    ])
}

/// A definition that parses is printed to text that parses to the same; as part of a file it is no panic either.
pub(super) fn schema_text(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let mut is_accepted = false;
    // A file with what is no definition is refused for the same reason; a sample of them shows that.
    let is_sample = input.len().is_multiple_of(32);
    macro_rules! read_back {
        ($($definition:ident $attribute:literal)*) => {$(
            let parsed = $definition::parse(text);
            if let Ok(definition) = &parsed {
                let printed = definition.to_string();
                assert_eq!($definition::parse(&printed).as_ref(), Ok(definition), "{printed:?}");
                is_accepted = true;
            }
            if parsed.is_ok() || is_sample {
                let text = format!("dn: cn=fuzz,cn=schema\n{}: {text}\n", $attribute);
                let _ = Schema::load(&[SchemaSource { name: "fuzz", text: &text }]);
            }
        )*};
    }
    read_back!(
        AttributeTypeDefinition "attributeTypes"
        ObjectClassDefinition "objectClasses"
        ContentRuleDefinition "dITContentRules"
        SyntaxDefinition "ldapSyntaxes"
    );
    is_accepted
}

pub(super) fn value_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "Ann  Meyer",
        " Stra\u{df}e \u{ad}\u{130}stanbul ",
        "12 34-5",
        "-0042",
        "20261122123000.5+0130",
        "2611221230Z",
        "TRUE",
        "'0101'B",
        "1.3.6.1.4.1",
        "uid=ann,dc=example#'01'B",
        "Main Street$Town$\\24 5",
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "20261122123000.000000Z#000000#001#000000",
        "( 2.5.4.3 NAME 'cn' )",
        "ldap:///dc=example??sub",
    ])
}

/// Every syntax and every matching rule on any value: no panic, errors leave nothing behind, and a value matches itself.
pub(super) fn schema_value(input: &[u8]) -> bool {
    let mut is_accepted = false;
    for syntax in Syntax::ALL {
        is_accepted |= syntax.validate(input).is_ok() && *syntax != Syntax::OctetString;
    }
    for rule in MatchingRule::ALL.iter().copied() {
        let mut key = Vec::new();
        let has_key = rule.key(&SCHEMA, input, &mut key).is_ok();
        assert!(has_key || key.is_empty(), "{} leaves {key:x?}", rule.name());
        let matches = rule.is_match(&SCHEMA, input, input);
        if rule.kind() == RuleKind::Equality && rule.is_key_rule() {
            assert_eq!(matches.ok(), has_key.then_some(true), "{}", rule.name());
        }
        for part in [SubstringPart::Initial, SubstringPart::Any, SubstringPart::Last] {
            let mut part_key = Vec::new();
            let has_part = rule.substring_key(part, input, &mut part_key).is_ok();
            assert!(has_part || part_key.is_empty(), "{} leaves {part_key:x?}", rule.name());
        }
    }
    is_accepted
}

pub(super) fn unique_seeds() -> Vec<Vec<u8>> {
    texts(&["uid", "mail+mozillaSecondEmail (objectClass=inetOrgPerson)", "employeeNumber (&(ou=a)(!(ou=b)))"])
}

/// A rule of uniqueness: text or a refusal in words.
pub(super) fn unique_rule(input: &[u8]) -> bool {
    let rule = UniqueRule::parse(&SCHEMA, EntryId::NONE, input);
    if let Err(error) = &rule {
        assert!(!error.is_empty());
    }
    rule.is_ok()
}
