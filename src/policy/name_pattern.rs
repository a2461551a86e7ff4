//! DNs with `*` in access rules: `ldap:///uid=*,ou=people,dc=example`.
//!
//! As in 389-DS and OpenDJ a star stands for any text, commas included, so that `uid=*,dc=example` reaches everybody
//! below `dc=example` whose name begins with a `uid`. Both sides are compared in one normal spelling: attribute types
//! by their first name in lower case, values in lower case with single spaces, no blanks between the parts. That is
//! coarser than the schema's matching rules (every value compares without case), which is what the text form means to
//! those who write it; a DN without a star never comes here but is compared by its key.

use crate::model::{Dn, Rdn};
use crate::schema::Schema;

/// Stands for an unescaped star while a pattern goes through the DN parser; no DN may contain it.
const MARK: char = '\u{10FFFD}';

/// A compiled pattern: the pieces between the stars, in normal spelling. At least two.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NameGlob {
    pieces: Vec<String>,
}

/// Where a star stands that is not escaped. Returns the text with [`MARK`] for each, or `None` when there is none.
fn mark_stars(text: &str) -> Option<String> {
    let mut marked = String::with_capacity(text.len());
    let mut found = false;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                marked.push('\\');
                marked.extend(characters.next());
            }
            '*' => {
                found = true;
                marked.push(MARK);
            }
            _ => marked.push(character),
        }
    }
    found.then_some(marked)
}

/// Whether the text has an unescaped star.
pub(crate) fn is_pattern(text: &str) -> bool {
    mark_stars(text).is_some()
}

/// The parts of a DN text between unescaped separators.
pub(crate) fn split_unescaped(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut is_escaped = false;
    for (at, character) in text.char_indices() {
        if is_escaped {
            is_escaped = false;
        } else if character == '\\' {
            is_escaped = true;
        } else if character == separator {
            parts.push(text.get(start..at).unwrap_or_default());
            start = at + character.len_utf8();
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

/// One component of a pattern, split into what the DN parser can take.
enum Component<'t> {
    /// A star alone.
    Anything,
    /// The attribute type has a star; the value follows.
    AnyType {
        attribute: &'t str,
        value: Rdn,
    },
    Plain(Rdn),
}

fn component(text: &str) -> Option<Component<'_>> {
    let text = text.trim_start();
    if text.trim_end().chars().all(|character| character == MARK) && !text.trim_end().is_empty() {
        return Some(Component::Anything);
    }
    match text.split_once('=') {
        Some((attribute, value)) if attribute.contains(MARK) => {
            let is_type = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | MARK);
            let attribute = attribute.trim();
            let value = Rdn::parse(&format!("x={value}")).ok().filter(|rdn| rdn.avas().len() == 1)?;
            attribute.chars().all(is_type).then_some(Component::AnyType { attribute, value })
        }
        _ => Rdn::parse(text).ok().map(Component::Plain),
    }
}

/// Whether the text is a pattern that [`NameGlob::new`] takes.
pub(crate) fn is_valid_pattern(text: &str) -> bool {
    !text.contains(MARK)
        && mark_stars(text)
            .is_some_and(|marked| split_unescaped(&marked, ',').into_iter().all(|part| component(part).is_some()))
}

/// A value without case, with single blanks, and with the characters that structure a DN out of the way.
fn push_value(out: &mut String, value: &[u8]) {
    let Ok(text) = std::str::from_utf8(value) else {
        out.push('#');
        value.iter().for_each(|byte| push_hex(out, *byte));
        return;
    };
    let mut separator = "";
    for word in text.split_whitespace() {
        out.push_str(separator);
        separator = " ";
        for character in word.chars().flat_map(char::to_lowercase) {
            match character {
                ',' | '+' | '=' | '\\' | '#' => {
                    out.push('\\');
                    push_hex(out, u8::try_from(character).unwrap_or_default());
                }
                _ => out.push(character),
            }
        }
    }
}

fn push_hex(out: &mut String, byte: u8) {
    for nibble in [byte >> 4, byte & 15] {
        out.extend(char::from_digit(nibble.into(), 16));
    }
}

fn push_rdn(schema: &Schema, out: &mut String, rdn: &Rdn) {
    let mut avas: Vec<(String, &[u8])> = rdn
        .avas()
        .iter()
        .map(|ava| {
            let known = schema.attribute_type(&ava.attribute).map(|attribute| attribute.name());
            (known.unwrap_or(&ava.attribute).to_ascii_lowercase(), ava.value.as_slice())
        })
        .collect();
    avas.sort();
    let mut separator = "";
    for (attribute, value) in avas {
        out.push_str(separator);
        separator = "+";
        out.push_str(&attribute);
        out.push('=');
        push_value(out, value);
    }
}

/// The normal spelling that [`NameGlob`] is compared with. `None` for a text that is no DN.
pub(crate) fn normal_name(schema: &Schema, dn: &str) -> Option<String> {
    let dn = Dn::parse(dn).ok()?;
    let mut out = String::new();
    for (index, rdn) in dn.rdns().iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_rdn(schema, &mut out, rdn);
    }
    Some(out)
}

impl NameGlob {
    /// Compiles a pattern; `None` when [`is_valid_pattern`] is false.
    pub(crate) fn new(schema: &Schema, pattern: &str) -> Option<Self> {
        if !is_valid_pattern(pattern) {
            return None;
        }
        let marked = mark_stars(pattern)?;
        let mut normal = String::new();
        for (index, part) in split_unescaped(&marked, ',').into_iter().enumerate() {
            if index > 0 {
                normal.push(',');
            }
            match component(part)? {
                Component::Anything => normal.push(MARK),
                Component::AnyType { attribute, value } => {
                    normal.push_str(&attribute.to_ascii_lowercase());
                    normal.push('=');
                    push_value(&mut normal, value.avas().first().map_or(&[][..], |ava| &ava.value));
                }
                Component::Plain(rdn) => push_rdn(schema, &mut normal, &rdn),
            }
        }
        Some(Self { pieces: normal.split(MARK).map(str::to_owned).collect() })
    }

    /// Whether a DN in normal spelling fits the whole pattern. Cost: linear in the name for each piece.
    pub(crate) fn fits(&self, normal: &str) -> bool {
        let Some(((first, last), middle)) = self
            .pieces
            .split_first()
            .and_then(|(first, rest)| rest.split_last().map(|(last, middle)| ((first, last), middle)))
        else {
            return false;
        };
        let Some(mut rest) = normal.strip_prefix(first.as_str()) else {
            return false;
        };
        for piece in middle {
            match rest.find(piece.as_str()) {
                Some(at) => rest = rest.get(at + piece.len()..).unwrap_or_default(),
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }
}

/// Whether an attribute name fits a pattern with stars, without case (`tele*`).
pub(crate) fn attribute_fits(pattern: &str, name: &str) -> bool {
    let pieces = pattern.to_ascii_lowercase().split('*').map(str::to_owned).collect();
    NameGlob { pieces }.fits(&name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, dn: &str) -> bool {
        let schema = Schema::builtin();
        let name = normal_name(&schema, dn).unwrap();
        NameGlob::new(&schema, pattern).unwrap().fits(&name)
    }

    #[test]
    fn a_star_stands_for_any_text_commas_included() {
        assert!(fits("uid=*,ou=people,dc=x", "uid=ann,ou=people,dc=x"));
        assert!(fits("uid=*,dc=x", "uid=ann,ou=people,dc=x"));
        assert!(fits("*,dc=x", "uid=ann,ou=people,dc=x"));
        assert!(fits("*=*,dc=x", "cn=printer,dc=x"));
        assert!(fits("uid=*n*,dc=x", "uid=anna,dc=x"));
        assert!(!fits("uid=*,ou=people,dc=x", "cn=phone,uid=ann,ou=people,dc=x"));
        assert!(!fits("*,dc=x", "dc=x"));
        assert!(!fits("uid=a*na,dc=x", "uid=ana,dc=y"));
        assert!(!fits("uid=ab*ba,dc=x", "uid=aba,dc=x"));
    }

    #[test]
    fn spelling_of_types_case_and_blanks_do_not_matter() {
        assert!(fits("commonName=a  b*, DC=X", "CN=A B c,dc=x"));
        assert!(fits("2.5.4.3=*,dc=x", "cn=a,dc=x"));
        assert!(fits("cn=a+sn=*,dc=x", "sn=b+cn=a,dc=x"));
        assert!(fits("cn=a\\,b*,dc=x", "cn=a\\2cbc,dc=x"));
    }

    #[test]
    fn an_escaped_star_is_a_star_and_escaped_commas_do_not_part() {
        assert!(!is_pattern("cn=a\\*b,dc=x") && !is_pattern("cn=a\\2ab,dc=x"));
        assert!(fits("cn=\\2a*,dc=x", "cn=*b,dc=x"));
        assert!(!fits("cn=\\2a*,dc=x", "cn=ab,dc=x"));
        assert!(!fits("cn=*,ou=x", "cn=a\\,ou\\=x"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["uid*,dc=x", "a b*=c", "=*", "cn=*,,dc=x", "cn=\u{10FFFD}*", "*=a+cn=b"] {
            assert!(!is_valid_pattern(text), "{text}");
        }
        assert!(attribute_fits("tele*", "telephoneNumber") && !attribute_fits("tele*", "homePhone"));
    }
}
