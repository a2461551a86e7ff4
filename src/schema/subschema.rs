//! The schema as published: definition texts for the subschema entry (RFC 4512 4.2).
//!
//! Clients build forms and parse values by what stands here, so definitions appear as their standards word them, not
//! as we extend them: an ordering rule that is only natural to a syntax is not claimed.
//!
//! Not here: the entry around it (name, object classes, who may read it): `operation`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::definition::{write_head, write_oids, write_tail, write_word};
use super::matching_rule::{MatchingRule, RuleKind};
use super::{AttributeType, Schema, Syntax};

impl Schema {
    /// Attributes of the subschema entry that hold definitions, each with its values, in the order of definition.
    pub fn subschema_attributes(&self) -> Vec<(String, Vec<Vec<u8>>)> {
        let texts = |values: Vec<String>| values.into_iter().map(String::into_bytes).collect::<Vec<_>>();
        let mut attributes = vec![
            ("ldapSyntaxes".to_owned(), texts(self.syntaxes().map(|syntax| syntax.to_string()).collect())),
            ("matchingRules".to_owned(), texts(MatchingRule::ALL.iter().map(|rule| rule_definition(*rule)).collect())),
            ("matchingRuleUse".to_owned(), texts(self.rule_uses())),
            (
                "attributeTypes".to_owned(),
                texts(self.attribute_types().map(|known| known.definition.to_string()).collect()),
            ),
            (
                "objectClasses".to_owned(),
                texts(self.object_classes().map(|class| class.definition.to_string()).collect()),
            ),
        ];
        let rules: Vec<_> = self.content_rules().map(|rule| rule.definition.to_string()).collect();
        if !rules.is_empty() {
            attributes.push(("dITContentRules".to_owned(), texts(rules)));
        }
        attributes
    }

    /// `matchingRuleUse`: the attribute types each rule can be asked for in an extensible filter (RFC 4512 4.1.4).
    fn rule_uses(&self) -> Vec<String> {
        let mut uses: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for attribute in self.attribute_types() {
            for (position, rule) in MatchingRule::ALL.iter().enumerate() {
                if applies(*rule, attribute) {
                    uses.entry(position).or_default().push(attribute.name().to_owned());
                }
            }
        }
        let named = uses.into_iter().filter_map(|(position, types)| Some((MatchingRule::ALL.get(position)?, types)));
        named.map(|(rule, types)| rule_use(*rule, &types)).collect()
    }
}

fn applies(rule: MatchingRule, attribute: &AttributeType) -> bool {
    match rule {
        MatchingRule::IntegerBitAndMatch | MatchingRule::IntegerBitOrMatch => attribute.syntax == Syntax::Integer,
        MatchingRule::InChainMatch
        | MatchingRule::DnOneLevelMatch
        | MatchingRule::DnSubtreeMatch
        | MatchingRule::DnSubordinateMatch
        | MatchingRule::DnSuperiorMatch => attribute.syntax == Syntax::Dn,
        MatchingRule::CertificateMatch => attribute.equality == Some(MatchingRule::CertificateExactMatch),
        _ if rule.kind() == RuleKind::Equality => {
            attribute.equality == Some(rule)
                || (attribute.syntax == Syntax::DirectoryString
                    && matches!(
                        rule,
                        MatchingRule::CaseIgnoreMatch
                            | MatchingRule::CaseExactMatch
                            | MatchingRule::WordMatch
                            | MatchingRule::KeywordMatch
                    ))
        }
        _ => attribute.ordering == Some(rule) || attribute.substring == Some(rule),
    }
}

fn rule_definition(rule: MatchingRule) -> String {
    let mut text = String::new();
    let written = write_head(&mut text, rule.oid(), &[rule.name().to_owned()], None, false)
        .and_then(|()| write_word(&mut text, "SYNTAX", Some(rule.assertion_syntax())))
        .and_then(|()| write_tail(&mut text, &Vec::new()));
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
    text
}

fn rule_use(rule: MatchingRule, types: &[String]) -> String {
    let mut text = String::new();
    let written = write!(text, "( {} NAME '{}'", rule.oid(), rule.name())
        .and_then(|()| write_oids(&mut text, "APPLIES", types))
        .and_then(|()| text.write_str(" )"));
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
    text
}

#[cfg(test)]
mod tests;
