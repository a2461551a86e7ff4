//! What may be said and when two values are equal (RFC 4512, 4517, 4518).
//!
//! Schema is data: definitions in `schema/*.ldif`, built into the program, to which an administrator's files add.
//! Read once at start into a [`Schema`] that never changes and is shared by reference; a changed schema is a new one.
//! What the definitions cannot say is code: syntaxes, matching rules and the preparation of strings.
//!
//! ```text
//! source         files to definitions, with line numbers        definition   one definition, text and back
//! resolve        definitions to a Schema: inheritance           element      the results
//! syntax         may this be a value?                           matching_rule  when are two values equal?
//! string_prep    RFC 4518                                       name_key     keys of DNs
//! certificate    key of a certificate                           name_table   names to elements
//! certificate_match, certificate_names   parts of a certificate that an assertion names
//! online         definitions added while the server runs
//! check          may this be an entry?                          subschema    what we publish
//! time           generalized time                           sound         when are two values nearly equal?
//! attribute_options   which options descriptions may have
//! ```
//!
//! Invariants
//! - Every name and OID means one element; a clash is refused at start with both places named.
//! - Nothing here knows entries, storage or the wire; everything is a function of values and schema.

pub mod attribute_options;
mod certificate;
mod certificate_match;
mod certificate_names;
pub mod check;
pub mod definition;
pub mod element;
pub mod matching_rule;
mod name_key;
mod name_table;
pub mod online;
mod resolve;
pub mod sound;
pub mod source;
pub mod string_prep;
pub mod subschema;
pub mod syntax;
pub mod time;

pub use attribute_options::AttributeOptions;
pub use check::{Violation, check_entry};
pub(crate) use definition::is_numeric_oid;
pub use definition::{ClassKind, Usage};
pub use element::{AttributeType, AttributeTypeIndex, ContentRule, ObjectClass, ObjectClassIndex};
pub use matching_rule::{InvalidValue, MatchingRule, RuleKind};
pub use source::{SchemaError, SchemaSource};
pub use string_prep::SubstringPart;
pub(crate) use syntax::split_uid;
pub use syntax::{InvalidSyntax, Syntax};

use definition::SyntaxDefinition;
use name_table::NameTable;
use std::sync::Arc;

/// The definitions the program carries, in the order they are read.
pub const BUILTIN: &[SchemaSource<'static>] = &[
    SchemaSource { name: "core.ldif", text: include_str!("../../schema/core.ldif") },
    SchemaSource { name: "collective.ldif", text: include_str!("../../schema/collective.ldif") },
    SchemaSource { name: "cosine.ldif", text: include_str!("../../schema/cosine.ldif") },
    SchemaSource { name: "inetorgperson.ldif", text: include_str!("../../schema/inetorgperson.ldif") },
    SchemaSource { name: "rfc2307bis.ldif", text: include_str!("../../schema/rfc2307bis.ldif") },
    SchemaSource { name: "mozilla_ab.ldif", text: include_str!("../../schema/mozilla_ab.ldif") },
    SchemaSource { name: "evolution_person.ldif", text: include_str!("../../schema/evolution_person.ldif") },
    SchemaSource { name: "eduperson.ldif", text: include_str!("../../schema/eduperson.ldif") },
    SchemaSource { name: "calentry.ldif", text: include_str!("../../schema/calentry.ldif") },
    SchemaSource { name: "openssh.ldif", text: include_str!("../../schema/openssh.ldif") },
    SchemaSource { name: "ad_contact.ldif", text: include_str!("../../schema/ad_contact.ldif") },
    SchemaSource { name: "netscape.ldif", text: include_str!("../../schema/netscape.ldif") },
    SchemaSource { name: "sudo.ldif", text: include_str!("../../schema/sudo.ldif") },
    SchemaSource { name: "entente.ldif", text: include_str!("../../schema/entente.ldif") },
    SchemaSource { name: "password_policy.ldif", text: include_str!("../../schema/password_policy.ldif") },
    SchemaSource { name: "credentials.ldif", text: include_str!("../../schema/credentials.ldif") },
    SchemaSource { name: "conflicts.ldif", text: include_str!("../../schema/conflicts.ldif") },
];

/// All schema elements, names resolved and inheritance applied. Immutable.
#[derive(Debug)]
pub struct Schema {
    attribute_types: Vec<AttributeType>,
    attribute_names: NameTable,
    object_classes: Vec<ObjectClass>,
    class_names: NameTable,
    content_rules: Vec<ContentRule>,
    /// Syntaxes defined in files by `X-SUBST`.
    substituted_syntaxes: Vec<SyntaxDefinition>,
    /// Whether a group may be without members ([`Self::builtin_with_empty_groups`]).
    empty_groups: bool,
    options: AttributeOptions,
    /// The administrator's files.
    files: Arc<Vec<(String, String)>>,
    /// What was added while the server runs.
    online: Vec<online::OnlineDefinition>,
    identity: u64,
    /// Identities of schemas of which this one only says more.
    extends: Vec<u64>,
}

impl Schema {
    /// The schema of these sources and nothing else. Order of sources and definitions does not matter.
    ///
    /// # Errors
    /// The first definition that cannot be read, clashes with another one or refers to something unknown.
    pub fn load(sources: &[SchemaSource<'_>]) -> Result<Self, SchemaError> {
        resolve::resolve(sources, false)
    }

    /// The schema the program carries.
    ///
    /// # Panics
    /// Never: a test loads it.
    #[expect(clippy::expect_used, reason = "the text is part of the program and a test loads it")]
    pub fn builtin() -> Self {
        Self::load(BUILTIN).expect("the built-in schema is sound")
    }

    /// The schema the program carries and what an administrator's files add to it. A file may repeat a built-in
    /// definition; descriptions and length bounds may differ.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn builtin_and(sources: &[SchemaSource<'_>]) -> Result<Self, SchemaError> {
        Self::of(sources, false)
    }

    /// [`Self::builtin_and`], but that groupOfNames and groupOfUniqueNames do not require a member (RFC 4519 3.5 and 3.6 do),
    /// as in 389 Directory Server.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn builtin_with_empty_groups(sources: &[SchemaSource<'_>]) -> Result<Self, SchemaError> {
        Self::of(sources, true)
    }

    fn of(sources: &[SchemaSource<'_>], empty_groups: bool) -> Result<Self, SchemaError> {
        let mut schema = resolve::resolve(&[BUILTIN, sources].concat(), empty_groups)?;
        schema.files = Arc::new(sources.iter().map(|one| (one.name.to_owned(), one.text.to_owned())).collect());
        Ok(schema)
    }

    /// The same with these options of attribute descriptions.
    #[must_use]
    pub fn with_attribute_options(mut self, options: AttributeOptions) -> Self {
        self.options = options;
        self
    }

    /// Which options attribute descriptions may have.
    pub fn attribute_options(&self) -> &AttributeOptions {
        &self.options
    }

    /// A number that no other schema of this process has: what was made for one schema means nothing in another.
    pub fn identity(&self) -> u64 {
        self.identity
    }

    /// Whether what was made for the schema of that identity means the same in this one.
    pub fn understands(&self, identity: u64) -> bool {
        self.identity == identity || self.extends.contains(&identity)
    }

    /// The attribute type of this name or OID, without options. Any case; no allocation; constant time.
    pub fn attribute_type(&self, name_or_oid: &str) -> Option<&AttributeType> {
        self.attribute_names.find(name_or_oid).and_then(|index| self.attribute_types.get(index))
    }

    /// All attribute types, by index.
    pub fn attribute_types(&self) -> impl ExactSizeIterator<Item = &AttributeType> {
        self.attribute_types.iter()
    }

    /// The attribute type at an index of this schema.
    ///
    /// # Panics
    /// The index is of another schema: a mistake of ours.
    #[expect(clippy::indexing_slicing, reason = "indexes are made by this schema and dense")]
    pub fn attribute_type_at(&self, index: AttributeTypeIndex) -> &AttributeType {
        &self.attribute_types[index.0 as usize]
    }

    /// The object class of this name or OID. Any case; no allocation; constant time.
    pub fn object_class(&self, name_or_oid: &str) -> Option<&ObjectClass> {
        self.class_names.find(name_or_oid).and_then(|index| self.object_classes.get(index))
    }

    /// All object classes, by index.
    pub fn object_classes(&self) -> impl ExactSizeIterator<Item = &ObjectClass> {
        self.object_classes.iter()
    }

    /// The object class at an index of this schema.
    ///
    /// # Panics
    /// The index is of another schema: a mistake of ours.
    #[expect(clippy::indexing_slicing, reason = "indexes are made by this schema and dense")]
    pub fn object_class_at(&self, index: ObjectClassIndex) -> &ObjectClass {
        &self.object_classes[index.0 as usize]
    }

    /// The content rule of a structural class.
    pub fn content_rule(&self, class: ObjectClassIndex) -> Option<&ContentRule> {
        self.content_rules.iter().find(|rule| rule.class == class)
    }

    /// All content rules.
    pub fn content_rules(&self) -> impl ExactSizeIterator<Item = &ContentRule> {
        self.content_rules.iter()
    }

    /// The matching rule of this name (any case) or OID.
    pub fn matching_rule(&self, name_or_oid: &str) -> Option<MatchingRule> {
        MatchingRule::find(name_or_oid)
    }

    /// Definitions of all syntaxes.
    pub fn syntaxes(&self) -> impl Iterator<Item = SyntaxDefinition> {
        Syntax::ALL.iter().map(|syntax| syntax.definition()).chain(self.substituted_syntaxes.iter().cloned())
    }

    /// The numeric OID behind a name of an object class, an attribute type or a matching rule, in this order. `None`
    /// when nothing has that name; a numeric OID has none but itself.
    pub fn canonical_oid(&self, name: &str) -> Option<&str> {
        if name.bytes().next().is_some_and(|byte| byte.is_ascii_digit()) {
            return None;
        }
        self.object_class(name)
            .map(|class| class.oid.as_str())
            .or_else(|| self.attribute_type(name).map(|attribute| attribute.oid.as_str()))
            .or_else(|| MatchingRule::find(name).map(MatchingRule::oid))
    }
}

#[cfg(test)]
mod tests;
