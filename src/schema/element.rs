//! Attribute types and object classes after inheritance: what the floors above ask.
//!
//! Invariants
//! - Indexes are dense within one [`super::Schema`] and mean nothing in another one.
//! - `subtypes` and `superiors` contain the element itself and are transitive.
//! - Rules are effective: what the definition or its superior declares, else what is natural to the syntax. The
//!   definition as published stays as written.

use super::definition::{
    AttributeTypeDefinition, ClassKind, ContentRuleDefinition, Extensions, ObjectClassDefinition, Usage,
};
use super::matching_rule::MatchingRule;
use super::syntax::Syntax;

/// Position of an attribute type within its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeTypeIndex(pub u32);

/// Position of an object class within its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectClassIndex(pub u32);

/// An attribute type, inheritance applied.
#[derive(Debug, Clone)]
pub struct AttributeType {
    /// Position in the schema.
    pub index: AttributeTypeIndex,
    /// Numeric OID.
    pub oid: String,
    /// Names, the one to show first. May be empty.
    pub names: Vec<String>,
    /// The type this one refines (`cn` refines `name`).
    pub superior: Option<AttributeTypeIndex>,
    /// This type and all that refine it, directly or not.
    pub subtypes: Vec<AttributeTypeIndex>,
    /// Effective rule for equality.
    pub equality: Option<MatchingRule>,
    /// Effective rule for `>=`, `<=` and sorting.
    pub ordering: Option<MatchingRule>,
    /// Effective rule for substrings.
    pub substring: Option<MatchingRule>,
    /// Syntax of values.
    pub syntax: Syntax,
    /// At most one value.
    pub single_value: bool,
    /// Shared by a collection of entries (RFC 3671).
    pub collective: bool,
    /// Only the server writes it.
    pub no_user_modification: bool,
    /// Who uses it.
    pub usage: Usage,
    /// No longer to be used.
    pub obsolete: bool,
    /// For people.
    pub description: Option<String>,
    /// Suggested minimum upper bound in characters; advice, not a limit (RFC 4512 4.1.2).
    pub length_bound: Option<u32>,
    /// `X-…` of the definition.
    pub extensions: Extensions,
    /// The definition as written.
    pub definition: AttributeTypeDefinition,
    pub(crate) membership: bool,
    pub(crate) sealed: bool,
    pub(crate) secret: bool,
    pub(crate) volatile: bool,
}

impl AttributeType {
    /// The first name, or the OID of a type without names.
    pub fn name(&self) -> &str {
        self.names.first().unwrap_or(&self.oid)
    }

    /// What the definition says against itself (RFC 4512 4.1.2, RFC 3671 2), with what to write instead. Files of other servers
    /// have such definitions, and are taken; new ones are not.
    pub fn contradiction(&self) -> Option<String> {
        let text = if self.no_user_modification && !self.is_operational() {
            "NO-USER-MODIFICATION is for operational attributes: leave it out, or write USAGE directoryOperation (RFC 4512 4.1.2)"
        } else if self.collective && self.is_operational() {
            "COLLECTIVE is for user attributes: leave it out, or leave USAGE out (RFC 4512 4.1.2)"
        } else if self.collective && self.single_value {
            "a COLLECTIVE attribute has as many values as subentries give: leave SINGLE-VALUE or COLLECTIVE out (RFC 3671 2)"
        } else {
            return None;
        };
        Some(format!("{}: {text}", self.name()))
    }

    /// Returned by `+` and by name only, never by `*`.
    pub fn is_operational(&self) -> bool {
        self.usage != Usage::UserApplications
    }

    /// Values are names of entries and nothing else (syntax DN). nameAndOptionalUID is not.
    pub fn is_dn_valued(&self) -> bool {
        self.syntax == Syntax::Dn
    }

    /// Values may be names with a UID behind (Name and Optional UID, RFC 4517 3.3.21).
    pub fn may_have_uid(&self) -> bool {
        self.syntax == Syntax::NameAndOptionalUid
    }

    /// Values name entries, and are kept as links; those with a UID stay text.
    pub fn names_entries(&self) -> bool {
        self.is_dn_valued() || self.may_have_uid()
    }

    /// Values make a set of members: additions and removals of different values never collide.
    pub fn is_membership(&self) -> bool {
        self.membership
    }

    /// Whether values are shown to nobody, the administrator included.
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Values are credentials: never logged, never in messages, hidden unless an access rule names the type.
    pub fn is_secret(&self) -> bool {
        self.secret
    }

    /// The server keeps it about how an entry is used: a change of it is no change of the entry (`modifyTimestamp`).
    pub fn is_volatile(&self) -> bool {
        self.volatile
    }

    /// Value of an extension's first word, as `X-SECRET 'TRUE'`.
    pub fn extension(&self, keyword: &str) -> Option<&str> {
        extension(&self.extensions, keyword)
    }
}

pub(crate) fn extension<'e>(extensions: &'e Extensions, keyword: &str) -> Option<&'e str> {
    let (_, values) = extensions.iter().find(|(name, _)| name == keyword)?;
    values.first().map(String::as_str)
}

/// An object class, inheritance applied.
#[derive(Debug, Clone)]
pub struct ObjectClass {
    /// Position in the schema.
    pub index: ObjectClassIndex,
    /// Numeric OID.
    pub oid: String,
    /// Names, the one to show first. May be empty.
    pub names: Vec<String>,
    /// Abstract, structural or auxiliary.
    pub kind: ClassKind,
    /// This class and all it refines, directly or not.
    pub superiors: Vec<ObjectClassIndex>,
    /// Required attributes, inherited ones among them; sorted.
    pub must: Vec<AttributeTypeIndex>,
    /// Allowed attributes, inherited and required ones among them; sorted.
    pub may: Vec<AttributeTypeIndex>,
    /// No longer to be used.
    pub obsolete: bool,
    /// For people.
    pub description: Option<String>,
    /// For an auxiliary class that older data uses as if it were structural (`X-STANDS-ALONE`): the class whose
    /// attributes its entries may have besides.
    pub stands_alone: Option<ObjectClassIndex>,
    /// The definition as written.
    pub definition: ObjectClassDefinition,
}

impl ObjectClass {
    /// The first name, or the OID of a class without names.
    pub fn name(&self) -> &str {
        self.names.first().unwrap_or(&self.oid)
    }

    /// Whether this class is `other` or refines it.
    pub fn refines(&self, other: ObjectClassIndex) -> bool {
        self.superiors.contains(&other)
    }
}

/// A DIT content rule, names resolved. Lists are sorted.
#[derive(Debug, Clone)]
pub struct ContentRule {
    /// The structural class it is about.
    pub class: ObjectClassIndex,
    /// Auxiliary classes that are allowed.
    pub auxiliary: Vec<ObjectClassIndex>,
    /// Attributes required besides.
    pub must: Vec<AttributeTypeIndex>,
    /// Attributes allowed besides.
    pub may: Vec<AttributeTypeIndex>,
    /// Attributes precluded.
    pub not: Vec<AttributeTypeIndex>,
    /// The definition as written.
    pub definition: ContentRuleDefinition,
}
