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

use std::fmt;

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

pub(crate) fn write_head(
    f: &mut impl fmt::Write,
    oid: &str,
    names: &[String],
    description: Option<&str>,
    obsolete: bool,
) -> fmt::Result {
    write!(f, "( {oid}")?;
    if !names.is_empty() {
        f.write_str(" NAME")?;
        write_quoted_list(f, names)?;
    }
    if let Some(description) = description {
        f.write_str(" DESC ")?;
        write_quoted(f, description)?;
    }
    write_flag(f, "OBSOLETE", obsolete)
}

pub(crate) fn write_tail(f: &mut impl fmt::Write, extensions: &Extensions) -> fmt::Result {
    for (keyword, values) in extensions {
        write!(f, " {keyword}")?;
        write_quoted_list(f, values)?;
    }
    f.write_str(" )")
}

fn write_flag(f: &mut impl fmt::Write, keyword: &str, present: bool) -> fmt::Result {
    if present { write!(f, " {keyword}") } else { Ok(()) }
}

pub(crate) fn write_word(f: &mut impl fmt::Write, keyword: &str, value: Option<&str>) -> fmt::Result {
    if let Some(value) = value { write!(f, " {keyword} {value}") } else { Ok(()) }
}

/// `oids` of RFC 4512: one bare, several as `( a $ b )`.
pub(crate) fn write_oids(f: &mut impl fmt::Write, keyword: &str, oids: &[String]) -> fmt::Result {
    match oids {
        [] => Ok(()),
        [one] => write!(f, " {keyword} {one}"),
        several => write!(f, " {keyword} ( {} )", several.join(" $ ")),
    }
}

fn write_quoted_list(f: &mut impl fmt::Write, values: &[String]) -> fmt::Result {
    if let [one] = values {
        f.write_char(' ')?;
        return write_quoted(f, one);
    }
    f.write_str(" (")?;
    for value in values {
        f.write_char(' ')?;
        write_quoted(f, value)?;
    }
    f.write_str(" )")
}

fn write_quoted(f: &mut impl fmt::Write, text: &str) -> fmt::Result {
    f.write_char('\'')?;
    for character in text.chars() {
        match character {
            '\'' => f.write_str("\\27")?,
            '\\' => f.write_str("\\5C")?,
            other => f.write_char(other)?,
        }
    }
    f.write_char('\'')
}

/// One keyword with what follows it.
struct Part {
    keyword: String,
    values: Vec<String>,
}

impl Part {
    fn one(mut self) -> Result<String, DefinitionError> {
        match (self.values.pop(), self.values.is_empty()) {
            (Some(value), true) => Ok(value),
            _ => Err(DefinitionError::new(format!("{} takes one value", self.keyword))),
        }
    }

    /// The name or OID of another element.
    fn oid(self) -> Result<String, DefinitionError> {
        let oid = self.one()?;
        check_oid(&oid)?;
        Ok(oid)
    }

    fn oids(self) -> Result<Vec<String>, DefinitionError> {
        for oid in &self.values {
            check_oid(oid)?;
        }
        Ok(self.values)
    }

    fn names(self) -> Result<Vec<String>, DefinitionError> {
        for name in &self.values {
            check_name(name)?;
        }
        Ok(self.values)
    }

    fn extension(self, element: &str) -> Result<(String, Vec<String>), DefinitionError> {
        if self.keyword.starts_with("X-") {
            Ok((self.keyword, self.values))
        } else {
            Err(DefinitionError::new(format!(
                "{} has no meaning in {element}: check the spelling, or write private parts as X-…",
                self.keyword
            )))
        }
    }
}

fn check_name(name: &str) -> Result<(), DefinitionError> {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    if first
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    {
        return Ok(());
    }
    Err(DefinitionError::new(format!(
        "'{name}' cannot be a name: start with a letter, go on with letters, digits and hyphens, {NAME_BYTES_MAX} at most"
    )))
}

fn check_oid(oid: &str) -> Result<(), DefinitionError> {
    if oid.contains(':') {
        return Err(DefinitionError::new(format!("'{oid}' uses an OID macro: write the OID out in numbers")));
    }
    let numeric = is_numeric_oid(oid);
    let word = oid.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic()) && check_name(oid).is_ok();
    if numeric || word {
        return Ok(());
    }
    Err(DefinitionError::new(format!("'{oid}' is not an OID: write numbers with dots, as 2.5.4.3")))
}

/// Whether `text` is a numeric OID (RFC 4512 1.4): numbers without leading zeros, joined by dots.
pub(crate) fn is_numeric_oid(text: &str) -> bool {
    let mut arcs = 0_u32;
    for arc in text.split('.') {
        arcs += 1;
        let plain = !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit());
        if !plain || (arc.len() > 1 && arc.starts_with('0')) {
            return false;
        }
    }
    arcs >= 2
}

/// `1.2.3{64}` apart.
fn split_bound(text: &str) -> Result<(String, Option<u32>), DefinitionError> {
    let Some((oid, rest)) = text.split_once('{') else {
        return Ok((text.to_owned(), None));
    };
    let bound = rest.strip_suffix('}').and_then(|digits| digits.parse().ok());
    match bound {
        Some(bound) => Ok((oid.to_owned(), Some(bound))),
        None => Err(DefinitionError::new(format!("SYNTAX {text}: write the length as {oid}{{64}}"))),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Dollar,
    Word(String),
    Quoted(String),
}

fn parse_parts(text: &str) -> Result<(String, Vec<Part>), DefinitionError> {
    if text.len() > DEFINITION_BYTES_MAX {
        return Err(DefinitionError::new(format!("a definition has at most {DEFINITION_BYTES_MAX} bytes")));
    }
    let mut tokens = tokenize(text)?.into_iter().peekable();
    if tokens.next() != Some(Token::Open) {
        return Err(DefinitionError::new("a definition starts with '(' and its OID"));
    }
    let oid = match tokens.next() {
        Some(Token::Word(oid) | Token::Quoted(oid)) => oid,
        _ => return Err(DefinitionError::new("the OID is missing: write it right after '('")),
    };
    check_oid(&oid)?;
    let mut parts: Vec<Part> = Vec::new();
    loop {
        let keyword = match tokens.next() {
            Some(Token::Word(word)) => word.to_ascii_uppercase(),
            Some(Token::Close) => break,
            Some(Token::Quoted(text)) => {
                return Err(DefinitionError::new(format!(
                    "'{text}' stands without a keyword: put NAME or DESC before it"
                )));
            }
            Some(Token::Open | Token::Dollar) => {
                return Err(DefinitionError::new(
                    "a list stands without a keyword: put MUST, MAY, SUP or NAME before it",
                ));
            }
            None => return Err(DefinitionError::new("the closing ')' is missing")),
        };
        if parts.iter().any(|part| part.keyword == keyword) {
            return Err(DefinitionError::new(format!("{keyword} is given twice: keep one")));
        }
        let values = if is_flag(&keyword) { Vec::new() } else { parse_values(&keyword, &mut tokens)? };
        parts.push(Part { keyword, values });
    }
    if tokens.next().is_some() {
        return Err(DefinitionError::new("text follows the closing ')': one value holds one definition"));
    }
    Ok((oid, parts))
}

fn is_flag(keyword: &str) -> bool {
    matches!(
        keyword,
        "OBSOLETE" | "SINGLE-VALUE" | "COLLECTIVE" | "NO-USER-MODIFICATION" | "ABSTRACT" | "STRUCTURAL" | "AUXILIARY"
    )
}

fn parse_values(
    keyword: &str,
    tokens: &mut std::iter::Peekable<impl Iterator<Item = Token>>,
) -> Result<Vec<String>, DefinitionError> {
    match tokens.next() {
        Some(Token::Word(value) | Token::Quoted(value)) => {
            let mut values = vec![value];
            // Some files leave the parentheses of `a $ b` out.
            while tokens.next_if_eq(&Token::Dollar).is_some() {
                match tokens.next() {
                    Some(Token::Word(value) | Token::Quoted(value)) => values.push(value),
                    _ => return Err(DefinitionError::new(format!("{keyword}: a name must follow '$'"))),
                }
            }
            Ok(values)
        }
        Some(Token::Open) => {
            let mut values = Vec::new();
            loop {
                match tokens.next() {
                    Some(Token::Word(value) | Token::Quoted(value)) => values.push(value),
                    Some(Token::Dollar) => {}
                    Some(Token::Close) => return Ok(values),
                    Some(Token::Open) => return Err(DefinitionError::new(format!("{keyword}: '(' inside a list"))),
                    None => {
                        return Err(DefinitionError::new(format!("{keyword}: the closing ')' of its list is missing")));
                    }
                }
            }
        }
        _ => Err(DefinitionError::new(format!("{keyword} needs a value"))),
    }
}

fn tokenize(text: &str) -> Result<Vec<Token>, DefinitionError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let after = rest.get(first.len_utf8()..).unwrap_or_default();
        rest = match first {
            '(' => {
                tokens.push(Token::Open);
                after
            }
            ')' => {
                tokens.push(Token::Close);
                after
            }
            '$' => {
                tokens.push(Token::Dollar);
                after
            }
            '\'' => {
                let end = closing_quote(after)
                    .ok_or_else(|| DefinitionError::new("a quoted text has no closing apostrophe"))?;
                let (quoted, after) = after.split_at_checked(end).unwrap_or((after, ""));
                tokens.push(Token::Quoted(unescape(quoted)));
                after.strip_prefix('\'').unwrap_or(after)
            }
            _ => {
                let end =
                    rest.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '$' | '\'')).unwrap_or(rest.len());
                let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
                tokens.push(Token::Word(word.to_owned()));
                after
            }
        }
        .trim_start();
    }
    Ok(tokens)
}

/// Where the quoted text ends: the apostrophe that a blank, a parenthesis, another apostrophe or the end follows.
/// An apostrophe inside a word (`person's`) belongs to the text, as several servers' files have it.
fn closing_quote(text: &str) -> Option<usize> {
    text.match_indices('\'').map(|(at, _)| at).find(|&at| {
        text.get(at + 1..)
            .and_then(|after| after.chars().next())
            .is_none_or(|next| next.is_whitespace() || matches!(next, ')' | '(' | '$' | '\''))
    })
}

/// `\27` and `\5C` back to what they stand for (RFC 4512 4.1 `QQ`, `QS`); any other backslash stays as it is.
fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        rest = match after.as_bytes() {
            [b'2', b'7', ..] => {
                out.push('\'');
                after.get(2..).unwrap_or_default()
            }
            [b'5', b'C' | b'c', ..] => {
                out.push('\\');
                after.get(2..).unwrap_or_default()
            }
            _ => {
                out.push('\\');
                after
            }
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests;
