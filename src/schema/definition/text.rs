//! The words of a definition: reading and writing what all kinds have in common (RFC 4512 4.1).
//!
//! A definition is a parenthesis, an OID and keywords with nothing, one value or a list behind them. Which keywords
//! there are and what they mean is the parent module's.

use std::fmt;

use super::{DEFINITION_BYTES_MAX, DefinitionError, Extensions, NAME_BYTES_MAX};

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

pub(super) fn write_flag(f: &mut impl fmt::Write, keyword: &str, present: bool) -> fmt::Result {
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
pub(super) struct Part {
    pub(super) keyword: String,
    pub(super) values: Vec<String>,
}

impl Part {
    pub(super) fn one(mut self) -> Result<String, DefinitionError> {
        match (self.values.pop(), self.values.is_empty()) {
            (Some(value), true) => Ok(value),
            _ => Err(DefinitionError::new(format!("{} takes one value", self.keyword))),
        }
    }

    /// The name or OID of another element.
    pub(super) fn oid(self) -> Result<String, DefinitionError> {
        let oid = self.one()?;
        check_oid(&oid)?;
        Ok(oid)
    }

    pub(super) fn oids(self) -> Result<Vec<String>, DefinitionError> {
        for oid in &self.values {
            check_oid(oid)?;
        }
        Ok(self.values)
    }

    pub(super) fn names(self) -> Result<Vec<String>, DefinitionError> {
        for name in &self.values {
            check_name(name)?;
        }
        Ok(self.values)
    }

    pub(super) fn extension(self, element: &str) -> Result<(String, Vec<String>), DefinitionError> {
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

pub(super) fn check_oid(oid: &str) -> Result<(), DefinitionError> {
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
pub(super) fn split_bound(text: &str) -> Result<(String, Option<u32>), DefinitionError> {
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

pub(super) fn parse_parts(text: &str) -> Result<(String, Vec<Part>), DefinitionError> {
    if text.len() > DEFINITION_BYTES_MAX {
        return Err(DefinitionError::new(format!("a definition has at most {DEFINITION_BYTES_MAX} bytes")));
    }
    let mut tokens = tokenize(text)?.into_iter().peekable();
    if tokens.next() != Some(Token::Open) {
        return Err(DefinitionError::new("a definition starts with '(' and its OID"));
    }
    let Some(Token::Word(oid) | Token::Quoted(oid)) = tokens.next() else {
        return Err(DefinitionError::new("the OID is missing: write it right after '('"));
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
