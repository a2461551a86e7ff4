//! Search filters (RFC 4511 4.5.1.7) and their text form (RFC 4515).
//!
//! One type for both ways a filter arrives: borrowed from a request's bytes, or owned, parsed from text (LDAP URLs,
//! access rules, configuration). Attribute descriptions keep their spelling and values are bytes; what an unknown
//! attribute means is decided by whoever evaluates the filter (Undefined, never an error).
//!
//! A filter is a tree, so all who walk it recurse. That is safe because no filter is ever built deeper than
//! [`FILTER_DEPTH_MAX`] or larger than [`FILTER_NODES_MAX`]: the parser here and the one of the requests hold to it.
//!
//! The text parser takes RFC 4515 whole, and what real configurations hold beside it: blanks around `&`, `|`, `!`
//! and between components, a single component without parentheses, and `\*` for `\2a`.

use std::borrow::Cow;
use std::fmt;

use super::attribute::{self, is_attribute_type};
use super::dn::hex_digit;

/// Deepest nesting of a filter; a single component has depth 1.
pub const FILTER_DEPTH_MAX: usize = 64;
/// Most nodes of a filter, inner ones and leaves together.
pub const FILTER_NODES_MAX: usize = 1024;
/// Most parts of one substring assertion.
pub const SUBSTRING_PARTS_MAX: usize = 256;
/// Longest filter text we take, in bytes.
pub const FILTER_TEXT_BYTES_MAX: usize = 1024 * 1024;

/// A search filter. Variants in the order of the protocol's tags.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Filter<'a> {
    /// All of them; none at all is true (RFC 4526).
    And(Vec<Self>),
    /// Any of them; none at all is false (RFC 4526).
    Or(Vec<Self>),
    /// The opposite; Undefined stays Undefined.
    Not(Box<Self>),
    /// `(cn=x)`
    Equality(Assertion<'a>),
    /// `(cn=a*b*c)`
    Substrings(Substrings<'a>),
    /// `(cn>=x)`
    GreaterOrEqual(Assertion<'a>),
    /// `(cn<=x)`
    LessOrEqual(Assertion<'a>),
    /// `(cn=*)`: the attribute description as spelled.
    Present(Cow<'a, str>),
    /// `(cn~=x)`
    Approx(Assertion<'a>),
    /// `(cn:dn:2.5.13.5:=x)`
    Extensible(Extensible<'a>),
}

/// An attribute description and a value to compare with.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Assertion<'a> {
    /// The attribute description as spelled.
    pub attribute: Cow<'a, str>,
    /// The assertion value, escapes undone.
    pub value: Cow<'a, [u8]>,
}

/// An attribute description and the parts its value must have, in this order and without overlap.
///
/// At least one part is there, and no part is empty.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Substrings<'a> {
    /// The attribute description as spelled.
    pub attribute: Cow<'a, str>,
    /// What the value begins with.
    pub initial: Option<Cow<'a, [u8]>>,
    /// What the value has in between, in order.
    pub any: Vec<Cow<'a, [u8]>>,
    /// What the value ends with.
    pub last: Option<Cow<'a, [u8]>>,
}

/// A comparison by a named matching rule. Rule or attribute, or both, are there.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Extensible<'a> {
    /// The matching rule, by name or OID; without it, the attribute's equality rule.
    pub rule: Option<Cow<'a, str>>,
    /// The attribute description as spelled; without it, all attributes the rule fits.
    pub attribute: Option<Cow<'a, str>>,
    /// The assertion value, escapes undone.
    pub value: Cow<'a, [u8]>,
    /// Whether the types and values of the entry's DN count as attributes of the entry.
    pub dn_attributes: bool,
}

/// The text is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset} of the filter: {detail}")]
pub struct FilterError {
    /// Where reading stopped, in bytes from the beginning of the text.
    pub offset: usize,
    /// What is wrong and what to write instead.
    pub detail: &'static str,
}

impl Filter<'_> {
    /// Reads a filter (RFC 4515).
    ///
    /// # Errors
    /// What is wrong, at which byte, what to write instead; also when a limit of this module is passed.
    pub fn parse(text: &str) -> Result<Filter<'static>, FilterError> {
        let mut parser = Parser { text: text.as_bytes(), at: 0, nodes: 0 };
        if text.len() > FILTER_TEXT_BYTES_MAX {
            return Err(parser.error("longer than 1 MiB"));
        }
        parser.skip_blanks();
        let filter = match parser.peek() {
            None => return Err(parser.error("empty; to find everything write (objectClass=*)")),
            Some(b'(') => parser.parenthesised(1)?,
            Some(_) => parser.component()?,
        };
        parser.skip_blanks();
        match parser.peek() {
            None => Ok(filter),
            Some(b')') => Err(parser.error("one ')' too many")),
            Some(_) => Err(parser.error("something follows the filter; join several with (&...) or (|...)")),
        }
    }

    /// The filter with everything copied that was borrowed.
    pub fn into_owned(self) -> Filter<'static> {
        match self {
            Self::And(filters) => Filter::And(filters.into_iter().map(Filter::into_owned).collect()),
            Self::Or(filters) => Filter::Or(filters.into_iter().map(Filter::into_owned).collect()),
            Self::Not(filter) => Filter::Not(Box::new(filter.into_owned())),
            Self::Equality(assertion) => Filter::Equality(assertion.into_owned()),
            Self::Substrings(substrings) => Filter::Substrings(substrings.into_owned()),
            Self::GreaterOrEqual(assertion) => Filter::GreaterOrEqual(assertion.into_owned()),
            Self::LessOrEqual(assertion) => Filter::LessOrEqual(assertion.into_owned()),
            Self::Present(attribute) => Filter::Present(owned_text(attribute)),
            Self::Approx(assertion) => Filter::Approx(assertion.into_owned()),
            Self::Extensible(extensible) => Filter::Extensible(extensible.into_owned()),
        }
    }

    /// Inner nodes and leaves together; at least 1.
    pub fn node_count(&self) -> usize {
        match self {
            Self::And(filters) | Self::Or(filters) => 1 + filters.iter().map(Filter::node_count).sum::<usize>(),
            Self::Not(filter) => 1 + filter.node_count(),
            _ => 1,
        }
    }
}

impl Assertion<'_> {
    /// With everything copied that was borrowed.
    pub fn into_owned(self) -> Assertion<'static> {
        Assertion { attribute: owned_text(self.attribute), value: owned_bytes(self.value) }
    }
}

impl Substrings<'_> {
    /// With everything copied that was borrowed.
    pub fn into_owned(self) -> Substrings<'static> {
        Substrings {
            attribute: owned_text(self.attribute),
            initial: self.initial.map(owned_bytes),
            any: self.any.into_iter().map(owned_bytes).collect(),
            last: self.last.map(owned_bytes),
        }
    }
}

impl Extensible<'_> {
    /// With everything copied that was borrowed.
    pub fn into_owned(self) -> Extensible<'static> {
        Extensible {
            rule: self.rule.map(owned_text),
            attribute: self.attribute.map(owned_text),
            value: owned_bytes(self.value),
            dn_attributes: self.dn_attributes,
        }
    }
}

impl std::str::FromStr for Filter<'static> {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// RFC 4515. An attribute description that could not be parsed again (one came off the wire malformed) shows `?`
/// for each character that has no place in it.
impl fmt::Display for Filter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        match self {
            Self::And(filters) => {
                f.write_str("&")?;
                filters.iter().try_for_each(|filter| fmt::Display::fmt(filter, f))?;
            }
            Self::Or(filters) => {
                f.write_str("|")?;
                filters.iter().try_for_each(|filter| fmt::Display::fmt(filter, f))?;
            }
            Self::Not(filter) => write!(f, "!{filter}")?,
            Self::Equality(assertion) => write_assertion(f, assertion, "=")?,
            Self::Substrings(substrings) => {
                write_description(f, &substrings.attribute)?;
                f.write_str("=")?;
                write_value(f, substrings.initial.as_deref().unwrap_or_default())?;
                f.write_str("*")?;
                for part in &substrings.any {
                    write_value(f, part)?;
                    f.write_str("*")?;
                }
                write_value(f, substrings.last.as_deref().unwrap_or_default())?;
            }
            Self::GreaterOrEqual(assertion) => write_assertion(f, assertion, ">=")?,
            Self::LessOrEqual(assertion) => write_assertion(f, assertion, "<=")?,
            Self::Present(attribute) => {
                write_description(f, attribute)?;
                f.write_str("=*")?;
            }
            Self::Approx(assertion) => write_assertion(f, assertion, "~=")?,
            Self::Extensible(extensible) => {
                if let Some(attribute) = &extensible.attribute {
                    write_description(f, attribute)?;
                }
                if extensible.dn_attributes {
                    f.write_str(":dn")?;
                }
                if let Some(rule) = &extensible.rule {
                    f.write_str(":")?;
                    write_description(f, rule)?;
                }
                f.write_str(":=")?;
                write_value(f, &extensible.value)?;
            }
        }
        f.write_str(")")
    }
}

fn owned_text(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

fn owned_bytes(bytes: Cow<'_, [u8]>) -> Cow<'static, [u8]> {
    Cow::Owned(bytes.into_owned())
}

fn write_assertion(f: &mut fmt::Formatter<'_>, assertion: &Assertion<'_>, operator: &str) -> fmt::Result {
    write_description(f, &assertion.attribute)?;
    f.write_str(operator)?;
    write_value(f, &assertion.value)
}

fn write_description(f: &mut fmt::Formatter<'_>, description: &str) -> fmt::Result {
    if attribute::check(description).is_ok() {
        return f.write_str(description);
    }
    if description.is_empty() {
        return f.write_str("?");
    }
    description.chars().try_for_each(|character| match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' | ';' => write!(f, "{character}"),
        _ => f.write_str("?"),
    })
}

/// Writes the value in runs that need no escape.
fn write_value(f: &mut fmt::Formatter<'_>, value: &[u8]) -> fmt::Result {
    for chunk in value.utf8_chunks() {
        let text = chunk.valid();
        let mut run_from = 0;
        for (offset, byte) in text.bytes().enumerate() {
            if matches!(byte, b'*' | b'(' | b')' | b'\\' | 0..=0x1f | 0x7f) {
                f.write_str(text.get(run_from..offset).unwrap_or_default())?;
                write!(f, "\\{byte:02x}")?;
                run_from = offset + 1;
            }
        }
        f.write_str(text.get(run_from..).unwrap_or_default())?;
        chunk.invalid().iter().try_for_each(|byte| write!(f, "\\{byte:02x}"))?;
    }
    Ok(())
}

struct Parser<'t> {
    text: &'t [u8],
    at: usize,
    nodes: usize,
}

impl<'t> Parser<'t> {
    const fn error(&self, detail: &'static str) -> FilterError {
        FilterError { offset: self.at, detail }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn rest(&self) -> &'t [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    const fn count_node(&mut self) -> Result<(), FilterError> {
        self.nodes += 1;
        if self.nodes > FILTER_NODES_MAX { Err(self.error("more than 1024 components")) } else { Ok(()) }
    }

    /// A filter in parentheses; the cursor stands on the opening one.
    fn parenthesised(&mut self, depth: usize) -> Result<Filter<'static>, FilterError> {
        if depth > FILTER_DEPTH_MAX {
            return Err(self.error("nested deeper than 64"));
        }
        let begin = self.at;
        self.at += 1;
        self.skip_blanks();
        let filter = match self.peek() {
            Some(b'&') => Filter::And(self.list(depth)?),
            Some(b'|') => Filter::Or(self.list(depth)?),
            Some(b'!') => {
                self.count_node()?;
                self.at += 1;
                self.skip_blanks();
                if self.peek() != Some(b'(') {
                    return Err(self.error("after '!' comes one filter in parentheses"));
                }
                let inner = self.parenthesised(depth + 1)?;
                self.skip_blanks();
                Filter::Not(Box::new(inner))
            }
            _ => self.component()?,
        };
        match self.peek() {
            Some(b')') => {
                self.at += 1;
                Ok(filter)
            }
            Some(_) => {
                Err(self.error("a ')' is wanted here; inside a value '(' is written '\\28' and ')' is written '\\29'"))
            }
            None => Err(FilterError { offset: begin, detail: "this '(' has no ')'" }),
        }
    }

    /// The components after `&` or `|`; the cursor stands on that.
    fn list(&mut self, depth: usize) -> Result<Vec<Filter<'static>>, FilterError> {
        self.count_node()?;
        self.at += 1;
        let mut filters = Vec::new();
        loop {
            self.skip_blanks();
            match self.peek() {
                Some(b'(') => filters.push(self.parenthesised(depth + 1)?),
                _ => return Ok(filters),
            }
        }
    }

    /// One component without its parentheses; stops before `)` or at the end.
    fn component(&mut self) -> Result<Filter<'static>, FilterError> {
        self.count_node()?;
        let rest = self.rest();
        let Some(equals) = rest.iter().position(|byte| matches!(byte, b'=' | b'(' | b')')) else {
            return Err(self.error("a component is attribute=value; the '=' is missing"));
        };
        let (left, from_equals) = rest.split_at(equals);
        if from_equals.first() != Some(&b'=') {
            return Err(self.error("a component is attribute=value; the '=' is missing"));
        }
        let operator = left.last().copied();
        let attribute_text = match operator {
            Some(b'>' | b'<' | b'~' | b':') => left.get(..left.len() - 1).unwrap_or_default(),
            _ => left,
        };
        if operator == Some(b':') {
            return self.extensible(attribute_text, equals + 1);
        }
        let attribute = self.description(attribute_text)?;
        self.at += equals + 1;
        match operator {
            Some(b'>') => Ok(Filter::GreaterOrEqual(self.assertion(attribute)?)),
            Some(b'<') => Ok(Filter::LessOrEqual(self.assertion(attribute)?)),
            Some(b'~') => Ok(Filter::Approx(self.assertion(attribute)?)),
            _ => self.equality_or_substrings(attribute),
        }
    }

    fn description(&self, text: &[u8]) -> Result<Cow<'static, str>, FilterError> {
        let text = std::str::from_utf8(text.trim_ascii()).unwrap_or_default();
        match attribute::check(text) {
            Ok(()) => Ok(Cow::Owned(text.to_owned())),
            Err(_) => {
                Err(self
                    .error("before the operator stands an attribute: a name of letters, digits and hyphens, or an OID"))
            }
        }
    }

    fn assertion(&mut self, attribute: Cow<'static, str>) -> Result<Assertion<'static>, FilterError> {
        let value = self.value_part()?;
        if self.peek() == Some(b'*') {
            return Err(self.error("'*' stands only in an '=' component; the character itself is written '\\2a'"));
        }
        Ok(Assertion { attribute, value: Cow::Owned(value) })
    }

    fn equality_or_substrings(&mut self, attribute: Cow<'static, str>) -> Result<Filter<'static>, FilterError> {
        let first = self.value_part()?;
        if self.peek() != Some(b'*') {
            return Ok(Filter::Equality(Assertion { attribute, value: Cow::Owned(first) }));
        }
        let initial = (!first.is_empty()).then_some(Cow::Owned(first));
        let mut any = Vec::new();
        let mut last = None;
        while self.peek() == Some(b'*') {
            self.at += 1;
            let part = self.value_part()?;
            if part.is_empty() {
                continue;
            }
            if self.peek() == Some(b'*') {
                any.push(Cow::Owned(part));
            } else {
                last = Some(Cow::Owned(part));
            }
            if any.len() + 2 > SUBSTRING_PARTS_MAX {
                return Err(self.error("more than 256 parts between '*'"));
            }
        }
        if initial.is_none() && any.is_empty() && last.is_none() {
            return Ok(Filter::Present(attribute));
        }
        Ok(Filter::Substrings(Substrings { attribute, initial, any, last }))
    }

    /// `left` is all before `:=`, which lies `left.len() + 1` bytes on at most.
    fn extensible(&mut self, left: &[u8], value_from: usize) -> Result<Filter<'static>, FilterError> {
        const FORM: &str = "this form is attribute:dn:rule:=value, where attribute or rule, and ':dn', may be missing";
        let mut parts = left.split(|byte| *byte == b':').map(<[u8]>::trim_ascii);
        let attribute_text = parts.next().unwrap_or_default();
        let attribute = match attribute_text {
            b"" => None,
            text => Some(self.description(text)?),
        };
        let (mut dn_attributes, mut rule) = (false, None);
        for part in parts {
            if rule.is_some() || part.is_empty() {
                return Err(self.error(FORM));
            }
            if part.eq_ignore_ascii_case(b"dn") && !dn_attributes {
                dn_attributes = true;
            } else if is_attribute_type(part) {
                rule = Some(Cow::Owned(String::from_utf8_lossy(part).into_owned()));
            } else {
                return Err(self.error("the matching rule is a name of letters, digits and hyphens, or an OID"));
            }
        }
        if attribute.is_none() && rule.is_none() {
            return Err(self.error(FORM));
        }
        self.at += value_from;
        let Assertion { value, .. } = self.assertion(Cow::Borrowed(""))?;
        Ok(Filter::Extensible(Extensible { rule, attribute, value, dn_attributes }))
    }

    /// Value bytes up to `*`, `)` or the end.
    fn value_part(&mut self) -> Result<Vec<u8>, FilterError> {
        let mut value = Vec::new();
        loop {
            let rest = self.rest();
            let run_bytes =
                rest.iter().position(|byte| matches!(byte, b'*' | b'(' | b')' | b'\\' | 0)).unwrap_or(rest.len());
            let (run, _) = rest.split_at(run_bytes);
            value.extend_from_slice(run);
            self.at += run_bytes;
            match self.peek() {
                Some(b'\\') => value.push(self.escape()?),
                Some(b'(') => return Err(self.error("a '(' inside a value is written '\\28'")),
                Some(0) => return Err(self.error("a zero byte inside a value is written '\\00'")),
                _ => return Ok(value),
            }
        }
    }

    fn escape(&mut self) -> Result<u8, FilterError> {
        let mut following = self.rest().iter().skip(1).copied();
        let (first, second) = (following.next(), following.next());
        if let (Some(high), Some(low)) = (first.and_then(hex_digit), second.and_then(hex_digit)) {
            self.at += 3;
            return Ok(high << 4 | low);
        }
        match first {
            Some(byte @ (b'*' | b'(' | b')' | b'\\')) => {
                self.at += 2;
                Ok(byte)
            }
            _ => Err(self.error("after a backslash come two hexadecimal digits; a backslash itself is '\\5c'")),
        }
    }
}

#[cfg(test)]
mod tests;
