//! Definitions that are added while the server runs: to what the program carries and the administrator's files say come
//! those of an entry of the directory (`dit::schema_entry`), which all members share.
//!
//! A change is judged as a whole: the schema with it must resolve, or nothing is taken. What two members add apart may
//! not fit together (one name for two types); then the first of them stands and the other one is left out, by the same
//! order on every member, until somebody removes one.
//!
//! Invariant: the elements of program and files keep their indexes whatever is added, since what is added comes last.

use super::definition::{
    AttributeTypeDefinition, ContentRuleDefinition, DefinitionError, ObjectClassDefinition, SyntaxDefinition,
};
use super::source::{SchemaError, SchemaSource};
use super::{BUILTIN, Schema};
use base64::Engine as _;
use std::sync::Arc;

/// What stands for the file in errors.
const SOURCE: &str = "cn=subschema";
/// Definitions beyond program and files.
pub const ONLINE_MAX: usize = 10_000;

/// Earlier schemas that a schema remembers to say more than.
const EXTENDED_MAX: usize = 64;

/// Which element a definition is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DefinitionKind {
    /// ldapSyntaxes
    Syntax,
    /// attributeTypes
    AttributeType,
    /// objectClasses
    ObjectClass,
    /// dITContentRules
    ContentRule,
}

impl DefinitionKind {
    /// All, what others build on first.
    pub const ALL: [Self; 4] = [Self::Syntax, Self::AttributeType, Self::ObjectClass, Self::ContentRule];

    /// The attribute of the subschema entry (RFC 4512 4.2).
    pub const fn attribute(self) -> &'static str {
        match self {
            Self::Syntax => "ldapSyntaxes",
            Self::AttributeType => "attributeTypes",
            Self::ObjectClass => "objectClasses",
            Self::ContentRule => "dITContentRules",
        }
    }

    /// The OID of that attribute.
    pub const fn oid(self) -> &'static str {
        match self {
            Self::Syntax => "1.3.6.1.4.1.1466.101.120.16",
            Self::AttributeType => "2.5.21.5",
            Self::ObjectClass => "2.5.21.6",
            Self::ContentRule => "2.5.21.2",
        }
    }
}

/// One definition, its syntax checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OnlineDefinition {
    /// Of what.
    pub kind: DefinitionKind,
    /// Its OID.
    pub oid: String,
    /// As written.
    pub text: String,
}

impl OnlineDefinition {
    /// Reads a definition.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(kind: DefinitionKind, text: &str) -> Result<Self, DefinitionError> {
        let text = text.trim();
        let oid = match kind {
            DefinitionKind::Syntax => SyntaxDefinition::parse(text)?.oid,
            DefinitionKind::AttributeType => AttributeTypeDefinition::parse(text)?.oid,
            DefinitionKind::ObjectClass => ObjectClassDefinition::parse(text)?.oid,
            DefinitionKind::ContentRule => ContentRuleDefinition::parse(text)?.oid,
        };
        Ok(Self { kind, oid, text: text.to_owned() })
    }
}

impl Schema {
    /// The definitions beyond program and files.
    pub fn online(&self) -> &[OnlineDefinition] {
        &self.online
    }

    /// Whether program or files define an element of this OID.
    pub fn is_built_in(&self, kind: DefinitionKind, oid: &str) -> bool {
        let added = self.online.iter().any(|known| known.kind == kind && known.oid == oid);
        let known = match kind {
            DefinitionKind::Syntax => self.syntaxes().any(|syntax| syntax.oid == oid),
            DefinitionKind::AttributeType => self.attribute_type(oid).is_some_and(|found| found.oid == oid),
            DefinitionKind::ObjectClass => self.object_class(oid).is_some_and(|found| found.oid == oid),
            DefinitionKind::ContentRule => self.content_rules().any(|rule| rule.definition.oid == oid),
        };
        known && !added
    }

    /// The schema of program and files with these definitions instead of those that were added before.
    ///
    /// # Errors
    /// The first definition that does not fit.
    pub fn with_online(&self, definitions: &[OnlineDefinition]) -> Result<Self, SchemaError> {
        let text = as_source(definitions);
        let mut sources = BUILTIN.to_vec();
        sources.extend(self.files.iter().map(|(name, text)| SchemaSource { name, text }));
        sources.push(SchemaSource { name: SOURCE, text: &text });
        let mut schema = super::resolve::resolve(&sources, self.empty_groups)?;
        schema.files = Arc::clone(&self.files);
        schema.options = self.options.clone();
        schema.online = definitions.to_vec();
        let of = |kind: DefinitionKind, all: &[OnlineDefinition]| -> Vec<OnlineDefinition> {
            all.iter().filter(|definition| definition.kind == kind).cloned().collect()
        };
        if DefinitionKind::ALL.iter().all(|kind| of(*kind, definitions).starts_with(&of(*kind, &self.online))) {
            schema.extends.push(self.identity);
            schema.extends.extend(self.extends.iter().take(EXTENDED_MAX));
        }
        Ok(schema)
    }

    /// The same without those that do not fit, each with the reason.
    pub fn with_online_that_fits(&self, definitions: &[OnlineDefinition]) -> (Self, Vec<SchemaError>) {
        let mut left = definitions.to_vec();
        let mut faults = Vec::new();
        loop {
            match self.with_online(&left) {
                Ok(schema) => return (schema, faults),
                Err(fault) => {
                    let at = usize::try_from(fault.line).unwrap_or(0).saturating_sub(1);
                    if fault.source_name != SOURCE || at >= left.len() {
                        // Not one of these: without any of them it is the schema that is in force.
                        left.clear();
                    } else {
                        left.remove(at);
                    }
                    faults.push(fault);
                    if faults.len() > ONLINE_MAX {
                        left.clear();
                    }
                }
            }
        }
    }
}

/// One line for each, so that the line of an error says which it is.
fn as_source(definitions: &[OnlineDefinition]) -> String {
    let mut text = String::new();
    for definition in definitions {
        text.push_str(definition.kind.attribute());
        text.push_str(":: ");
        base64::engine::general_purpose::STANDARD.encode_string(&definition.text, &mut text);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(kind: DefinitionKind, text: &str) -> OnlineDefinition {
        OnlineDefinition::parse(kind, text).unwrap()
    }

    const SHOE: &str =
        "( 1.3.6.1.4.1.32473.1 NAME 'shoeSize' EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 )";

    #[test]
    fn what_is_added_comes_after_what_was_there() {
        let schema = Schema::builtin();
        let more = schema.with_online(&[
            definition(DefinitionKind::ObjectClass, "( 1.3.6.1.4.1.32473.2 NAME 'shod' AUXILIARY MAY shoeSize )"),
            definition(DefinitionKind::AttributeType, SHOE),
        ]);
        let more = more.unwrap();
        assert_eq!(more.attribute_type("shoeSize").unwrap().oid, "1.3.6.1.4.1.32473.1");
        assert!(more.object_class("shod").is_some());
        for known in schema.attribute_types() {
            assert_eq!(more.attribute_type(&known.oid).unwrap().index, known.index);
        }
        assert!(more.is_built_in(DefinitionKind::AttributeType, "2.5.4.3"));
        assert!(!more.is_built_in(DefinitionKind::AttributeType, "1.3.6.1.4.1.32473.1"));
        // Taken away again.
        assert!(more.with_online(&[]).unwrap().attribute_type("shoeSize").is_none());
        assert!(more.understands(schema.identity()) && !schema.understands(more.identity()));
        assert!(!more.with_online(&[]).unwrap().understands(more.identity()));
    }

    #[test]
    fn of_two_that_do_not_fit_together_the_first_stands() {
        let schema = Schema::builtin();
        let other = SHOE.replace("32473.1 ", "32473.9 ");
        let both = [definition(DefinitionKind::AttributeType, SHOE), definition(DefinitionKind::AttributeType, &other)];
        assert!(schema.with_online(&both).unwrap_err().detail.contains("shoeSize"));
        let (fitting, faults) = schema.with_online_that_fits(&both);
        assert_eq!(fitting.attribute_type("shoeSize").unwrap().oid, "1.3.6.1.4.1.32473.1");
        assert_eq!(faults.len(), 1);
        let lost = definition(DefinitionKind::ObjectClass, "( 1.3.6.1.4.1.32473.3 NAME 'lost' SUP nowhere )");
        let (fitting, faults) = schema.with_online_that_fits(&[lost, both[0].clone()]);
        assert!(fitting.attribute_type("shoeSize").is_some() && fitting.object_class("lost").is_none());
        assert_eq!(faults.len(), 1);
    }
}
