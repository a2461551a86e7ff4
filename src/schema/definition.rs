//! Schema definitions as text: attribute types, object classes and their kin (RFC 4512 4.1).
//!
//! What administrators have on disk was written for OpenLDAP, 389 or OpenDJ and bends the grammar: blanks missing
//! around parentheses, quoted OIDs after SYNTAX, apostrophes inside descriptions, underscores in names, parts in any
//! order. All of that has one meaning only, so it is read; what has none (a macro for an OID, an unknown keyword, a
//! part given twice) is refused with a sentence that says what to write instead.
//!
//! Invariants
//! - Printing follows the grammar of RFC 4512 to the letter, in its order of parts.
//! - `parse(print(definition)) == definition`.
//!
//! Not here: what a definition means among others, inheritance, OIDs that name nothing (`schema::element`).

mod text;

use std::fmt;

use text::{check_oid, parse_parts, split_bound, write_flag};
pub(crate) use text::{is_numeric_oid, write_head, write_oids, write_tail, write_word};

/// The longest definition that is read, in bytes: ten times the longest one known.
pub const DEFINITION_BYTES_MAX: usize = 256 * 1024;
/// The longest name (`NAME 'cn'`) of a schema element, in bytes.
pub const NAME_BYTES_MAX: usize = 200;

/// Why a definition cannot be read; the text says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct DefinitionError {
    /// What is wrong and what to do.
    pub detail: String,
}

impl DefinitionError {
    pub(crate) fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into() }
    }
}

/// What an attribute is used for (RFC 4512 4.1.2). All but the first are operational.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Usage {
    /// Content of the entry, returned by `*`.
    #[default]
    UserApplications,
    /// Administration of the directory.
    DirectoryOperation,
    /// Administration shared by the servers of one directory.
    DistributedOperation,
    /// Local to one server.
    DsaOperation,
}

impl Usage {
    /// The word of RFC 4512.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UserApplications => "userApplications",
            Self::DirectoryOperation => "directoryOperation",
            Self::DistributedOperation => "distributedOperation",
            Self::DsaOperation => "dSAOperation",
        }
    }

    fn parse(word: &str) -> Result<Self, DefinitionError> {
        [Self::UserApplications, Self::DirectoryOperation, Self::DistributedOperation, Self::DsaOperation]
            .into_iter()
            .find(|usage| usage.name().eq_ignore_ascii_case(word))
            .ok_or_else(|| {
                DefinitionError::new(format!(
                    "USAGE {word} is unknown: use userApplications, directoryOperation, distributedOperation or dSAOperation"
                ))
            })
    }
}

/// Kind of an object class (RFC 4512 2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClassKind {
    /// Only a base for other classes.
    Abstract,
    /// What an entry is; every entry has exactly one most specific class of this kind.
    #[default]
    Structural,
    /// What an entry has besides.
    Auxiliary,
}

impl ClassKind {
    /// The keyword of RFC 4512.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Abstract => "ABSTRACT",
            Self::Structural => "STRUCTURAL",
            Self::Auxiliary => "AUXILIARY",
        }
    }
}

/// Extensions of a definition: `X-ORIGIN 'RFC 4519'`. Keyword in capitals, values in their order.
pub type Extensions = Vec<(String, Vec<String>)>;

/// An attribute type as written (RFC 4512 4.1.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttributeTypeDefinition {
    /// Object identifier.
    pub oid: String,
    /// Names in their order; the first is the one we show.
    pub names: Vec<String>,
    /// DESC.
    pub description: Option<String>,
    /// OBSOLETE.
    pub obsolete: bool,
    /// SUP: name or OID.
    pub superior: Option<String>,
    /// EQUALITY: name or OID of a rule.
    pub equality: Option<String>,
    /// ORDERING.
    pub ordering: Option<String>,
    /// SUBSTR.
    pub substring: Option<String>,
    /// SYNTAX: the OID.
    pub syntax: Option<String>,
    /// The suggested minimum upper bound, `{256}` after the syntax.
    pub length_bound: Option<u32>,
    /// SINGLE-VALUE.
    pub single_value: bool,
    /// COLLECTIVE.
    pub collective: bool,
    /// NO-USER-MODIFICATION.
    pub no_user_modification: bool,
    /// USAGE.
    pub usage: Usage,
    /// `X-…`.
    pub extensions: Extensions,
}

/// An object class as written (RFC 4512 4.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectClassDefinition {
    /// Object identifier.
    pub oid: String,
    /// Names in their order.
    pub names: Vec<String>,
    /// DESC.
    pub description: Option<String>,
    /// OBSOLETE.
    pub obsolete: bool,
    /// SUP: names or OIDs.
    pub superiors: Vec<String>,
    /// ABSTRACT, STRUCTURAL (when none is written) or AUXILIARY.
    pub kind: ClassKind,
    /// MUST.
    pub must: Vec<String>,
    /// MAY.
    pub may: Vec<String>,
    /// `X-…`.
    pub extensions: Extensions,
}

/// A DIT content rule as written (RFC 4512 4.1.6): what entries of one structural class may hold besides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContentRuleDefinition {
    /// OID of the structural class.
    pub oid: String,
    /// Names in their order.
    pub names: Vec<String>,
    /// DESC.
    pub description: Option<String>,
    /// OBSOLETE.
    pub obsolete: bool,
    /// AUX: auxiliary classes that are allowed.
    pub auxiliary: Vec<String>,
    /// MUST.
    pub must: Vec<String>,
    /// MAY.
    pub may: Vec<String>,
    /// NOT: attributes that are precluded.
    pub not: Vec<String>,
    /// `X-…`.
    pub extensions: Extensions,
}

/// A syntax as written (RFC 4512 4.1.5). `X-SUBST` names the syntax that judges its values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyntaxDefinition {
    /// Object identifier.
    pub oid: String,
    /// DESC.
    pub description: Option<String>,
    /// `X-…`.
    pub extensions: Extensions,
}

impl AttributeTypeDefinition {
    /// Reads one definition, parentheses included.
    ///
    /// # Errors
    /// Not a definition; the text says where and what to write instead.
    pub fn parse(text: &str) -> Result<Self, DefinitionError> {
        let (oid, parts) = parse_parts(text)?;
        let mut this = Self { oid, ..Self::default() };
        for part in parts {
            match part.keyword.as_str() {
                "NAME" => this.names = part.names()?,
                "DESC" => this.description = Some(part.one()?),
                "OBSOLETE" => this.obsolete = true,
                "SUP" => this.superior = Some(part.oid()?),
                "EQUALITY" => this.equality = Some(part.oid()?),
                "ORDERING" => this.ordering = Some(part.oid()?),
                "SUBSTR" | "SUBSTRINGS" => this.substring = Some(part.oid()?),
                "SYNTAX" => {
                    let (syntax, bound) = split_bound(&part.one()?)?;
                    check_oid(&syntax)?;
                    this.syntax = Some(syntax);
                    this.length_bound = bound;
                }
                "SINGLE-VALUE" => this.single_value = true,
                "COLLECTIVE" => this.collective = true,
                "NO-USER-MODIFICATION" => this.no_user_modification = true,
                "USAGE" => this.usage = Usage::parse(&part.one()?)?,
                _ => this.extensions.push(part.extension("an attribute type")?),
            }
        }
        if this.superior.is_none() && this.syntax.is_none() {
            return Err(DefinitionError::new(
                "an attribute type needs SYNTAX or SUP: add SYNTAX with the OID of a syntax",
            ));
        }
        Ok(this)
    }
}

impl ObjectClassDefinition {
    /// Reads one definition, parentheses included.
    ///
    /// # Errors
    /// Not a definition; the text says where and what to write instead.
    pub fn parse(text: &str) -> Result<Self, DefinitionError> {
        let (oid, parts) = parse_parts(text)?;
        let mut this = Self { oid, ..Self::default() };
        let mut kinds = 0_u32;
        for part in parts {
            match part.keyword.as_str() {
                "NAME" => this.names = part.names()?,
                "DESC" => this.description = Some(part.one()?),
                "OBSOLETE" => this.obsolete = true,
                "SUP" => this.superiors = part.oids()?,
                "ABSTRACT" | "STRUCTURAL" | "AUXILIARY" => {
                    kinds += 1;
                    this.kind = match part.keyword.as_str() {
                        "ABSTRACT" => ClassKind::Abstract,
                        "AUXILIARY" => ClassKind::Auxiliary,
                        _ => ClassKind::Structural,
                    };
                }
                "MUST" => this.must = part.oids()?,
                "MAY" => this.may = part.oids()?,
                _ => this.extensions.push(part.extension("an object class")?),
            }
        }
        if kinds > 1 {
            return Err(DefinitionError::new("an object class is one of ABSTRACT, STRUCTURAL, AUXILIARY: keep one"));
        }
        Ok(this)
    }
}

impl ContentRuleDefinition {
    /// Reads one definition, parentheses included.
    ///
    /// # Errors
    /// Not a definition; the text says where and what to write instead.
    pub fn parse(text: &str) -> Result<Self, DefinitionError> {
        let (oid, parts) = parse_parts(text)?;
        let mut this = Self { oid, ..Self::default() };
        for part in parts {
            match part.keyword.as_str() {
                "NAME" => this.names = part.names()?,
                "DESC" => this.description = Some(part.one()?),
                "OBSOLETE" => this.obsolete = true,
                "AUX" => this.auxiliary = part.oids()?,
                "MUST" => this.must = part.oids()?,
                "MAY" => this.may = part.oids()?,
                "NOT" => this.not = part.oids()?,
                _ => this.extensions.push(part.extension("a content rule")?),
            }
        }
        Ok(this)
    }
}

impl SyntaxDefinition {
    /// Reads one definition, parentheses included.
    ///
    /// # Errors
    /// Not a definition; the text says where and what to write instead.
    pub fn parse(text: &str) -> Result<Self, DefinitionError> {
        let (oid, parts) = parse_parts(text)?;
        let mut this = Self { oid, ..Self::default() };
        for part in parts {
            match part.keyword.as_str() {
                "DESC" => this.description = Some(part.one()?),
                _ => this.extensions.push(part.extension("a syntax")?),
            }
        }
        Ok(this)
    }
}

impl fmt::Display for AttributeTypeDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_head(f, &self.oid, &self.names, self.description.as_deref(), self.obsolete)?;
        write_word(f, "SUP", self.superior.as_deref())?;
        write_word(f, "EQUALITY", self.equality.as_deref())?;
        write_word(f, "ORDERING", self.ordering.as_deref())?;
        write_word(f, "SUBSTR", self.substring.as_deref())?;
        write_word(f, "SYNTAX", self.syntax.as_deref())?;
        if let (Some(_), Some(bound)) = (&self.syntax, self.length_bound) {
            write!(f, "{{{bound}}}")?;
        }
        write_flag(f, "SINGLE-VALUE", self.single_value)?;
        write_flag(f, "COLLECTIVE", self.collective)?;
        write_flag(f, "NO-USER-MODIFICATION", self.no_user_modification)?;
        if self.usage != Usage::UserApplications {
            write_word(f, "USAGE", Some(self.usage.name()))?;
        }
        write_tail(f, &self.extensions)
    }
}

impl fmt::Display for ObjectClassDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_head(f, &self.oid, &self.names, self.description.as_deref(), self.obsolete)?;
        write_oids(f, "SUP", &self.superiors)?;
        write_flag(f, self.kind.name(), true)?;
        write_oids(f, "MUST", &self.must)?;
        write_oids(f, "MAY", &self.may)?;
        write_tail(f, &self.extensions)
    }
}

impl fmt::Display for ContentRuleDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_head(f, &self.oid, &self.names, self.description.as_deref(), self.obsolete)?;
        write_oids(f, "AUX", &self.auxiliary)?;
        write_oids(f, "MUST", &self.must)?;
        write_oids(f, "MAY", &self.may)?;
        write_oids(f, "NOT", &self.not)?;
        write_tail(f, &self.extensions)
    }
}

impl fmt::Display for SyntaxDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_head(f, &self.oid, &[], self.description.as_deref(), false)?;
        write_tail(f, &self.extensions)
    }
}

#[cfg(test)]
mod tests;
