//! Schema files: from text to definitions that know where they stand.
//!
//! The form is LDIF (RFC 2849) whose values are definitions, as every server publishes its subschema. Read too: what
//! OpenLDAP exports from `cn=config` (`olcAttributeTypes: {3}( … )`) and its older `.schema` form
//! (`attributetype ( … )`), since that is what people have on disk. The general LDIF reader is not used here because
//! errors must name the line of the definition, not of the record.
//!
//! Read too: names that OpenLDAP's files give to OIDs (`objectIdentifier NetscapeLDAP NetscapeRoot:3`), which stand for the
//! OID of a definition and for its syntax, in their file and in those that are read after it.
//!
//! Invariant: a value that looks like a definition is either understood or refused, never skipped. Matching rules and
//! their use are skipped: the server publishes its own.

use base64::Engine as _;
use hashbrown::HashMap;

use super::definition::{
    AttributeTypeDefinition, ContentRuleDefinition, DefinitionError, NAME_BYTES_MAX, ObjectClassDefinition,
    SyntaxDefinition, is_numeric_oid,
};
use std::borrow::Cow;

/// The most bytes of one schema file.
pub const SOURCE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The most names for OIDs in all files: OpenLDAP's own files have some 80.
const MACROS_MAX: usize = 10_000;
/// The longest OID that such a name stands for, in bytes.
const MACRO_BYTES_MAX: usize = 512;

/// One schema file.
#[derive(Debug, Clone, Copy)]
pub struct SchemaSource<'a> {
    /// Shown in errors: the file's name.
    pub name: &'a str,
    /// Its content.
    pub text: &'a str,
}

/// Why a schema cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{source_name}, line {line}: {detail}")]
pub struct SchemaError {
    /// Name of the schema file.
    pub source_name: String,
    /// Line of the definition, from 1.
    pub line: u64,
    /// What is wrong and what to do.
    pub detail: String,
}

/// Where a definition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    pub(crate) source: &'a str,
    pub(crate) line: u64,
}

impl Place<'_> {
    pub(crate) fn error(self, detail: impl Into<String>) -> SchemaError {
        SchemaError { source_name: self.source.to_owned(), line: self.line, detail: detail.into() }
    }
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, line {}", self.source, self.line)
    }
}

/// All definitions of some sources, each with its place.
#[derive(Default)]
pub(crate) struct Definitions<'a> {
    pub(crate) attribute_types: Vec<(Place<'a>, AttributeTypeDefinition)>,
    pub(crate) object_classes: Vec<(Place<'a>, ObjectClassDefinition)>,
    pub(crate) content_rules: Vec<(Place<'a>, ContentRuleDefinition)>,
    pub(crate) syntaxes: Vec<(Place<'a>, SyntaxDefinition)>,
    pub(crate) macros: OidMacros,
}

impl<'a> Definitions<'a> {
    /// Reads one source and adds its definitions.
    pub(crate) fn read(&mut self, source: &SchemaSource<'a>) -> Result<(), SchemaError> {
        if source.text.len() > SOURCE_BYTES_MAX {
            let place = Place { source: source.name, line: 1 };
            return Err(place.error(format!("a schema file has at most {SOURCE_BYTES_MAX} bytes: split it")));
        }
        let lines = logical_lines(source.text);
        let place = |line: &LogicalLine| Place { source: source.name, line: line.number };
        // An export may tell the names behind the definitions.
        for line in &lines {
            self.macros.learn(line).map_err(|error| place(line).error(error.detail))?;
        }
        for line in lines {
            let place = place(&line);
            self.add(place, &line).map_err(|error| place.error(error.detail))?;
        }
        Ok(())
    }

    fn add(&mut self, place: Place<'a>, line: &LogicalLine) -> Result<(), DefinitionError> {
        let keyword_end = line.text.find(|c: char| c == ':' || c.is_whitespace()).unwrap_or(line.text.len());
        let (keyword, rest) = line.text.split_at_checked(keyword_end).unwrap_or((&line.text, ""));
        let value = value_of(rest)?;
        let value = self.macros.written_out(without_order(value.trim()))?;
        let value = value.as_ref();
        let keyword = keyword.to_ascii_lowercase();
        let keyword = keyword.strip_prefix("olc").unwrap_or(&keyword);
        match keyword.strip_suffix('s').unwrap_or(keyword) {
            "attributetype" if value.starts_with('(') => {
                self.attribute_types.push((place, AttributeTypeDefinition::parse(value)?));
            }
            "objectclasse" | "objectclas" if value.starts_with('(') => {
                self.object_classes.push((place, ObjectClassDefinition::parse(value)?));
            }
            "ditcontentrule" if value.starts_with('(') => {
                self.content_rules.push((place, ContentRuleDefinition::parse(value)?));
            }
            "ldapsyntaxe" | "ldapsyntax" if value.starts_with('(') => {
                self.syntaxes.push((place, SyntaxDefinition::parse(value)?));
            }
            "matchingrule" | "matchingruleuse" | "objectidentifier" => {}
            _ if looks_like_definition(value) => {
                return Err(DefinitionError::new(format!(
                    "{keyword} is not supported here: use attributeTypes, objectClasses, dITContentRules or ldapSyntaxes"
                )));
            }
            // dn, cn, objectClass, timestamps and whatever else surrounds definitions in an export
            _ if rest.starts_with(':') || line.text == "-" => {}
            _ => {
                return Err(DefinitionError::new(format!(
                    "'{keyword}' is neither LDIF nor a definition: write attributeTypes: ( … ) or objectClasses: ( … )"
                )));
            }
        }
        Ok(())
    }
}

/// Names for OIDs (slapd.conf(5), `objectidentifier`).
#[derive(Default)]
pub(crate) struct OidMacros {
    /// By name in small letters, the OID in numbers.
    known: HashMap<String, String>,
}

impl OidMacros {
    /// Takes in what a line says, if it is about a name for an OID.
    fn learn(&mut self, line: &LogicalLine) -> Result<(), DefinitionError> {
        let end = line.text.find(|c: char| c == ':' || c.is_whitespace()).unwrap_or(line.text.len());
        let (keyword, rest) = line.text.split_at_checked(end).unwrap_or((&line.text, ""));
        let keyword = keyword.to_ascii_lowercase();
        if keyword.strip_prefix("olc").unwrap_or(&keyword) != "objectidentifier" {
            return Ok(());
        }
        let value = value_of(rest)?;
        let mut words = without_order(value.trim()).split_whitespace();
        let (Some(name), Some(meant), None) = (words.next(), words.next(), words.next()) else {
            return Err(DefinitionError::new(
                "write a name for an OID as: objectIdentifier NAME 1.2.3, or NAME OTHER:3",
            ));
        };
        if !is_macro_name(name) {
            return Err(DefinitionError::new(format!(
                "'{name}' cannot be a name for an OID: start with a letter, go on with letters, digits and hyphens"
            )));
        }
        let oid = match self.meaning(meant)? {
            Some(oid) => oid,
            None if is_numeric_oid(meant) => meant.to_owned(),
            None => {
                return Err(DefinitionError::new(format!(
                    "'{meant}' is no OID and no name that was given to one before"
                )));
            }
        };
        if oid.len() > MACRO_BYTES_MAX || self.known.len() >= MACROS_MAX {
            return Err(DefinitionError::new(format!(
                "an OID has at most {MACRO_BYTES_MAX} bytes here, and at most {MACROS_MAX} have names"
            )));
        }
        match self.known.insert(name.to_ascii_lowercase(), oid.clone()) {
            Some(before) if before != oid => Err(DefinitionError::new(format!(
                "{name} is {before} already, and cannot be {oid} too: take another name"
            ))),
            _ => Ok(()),
        }
    }

    /// What `NAME` or `NAME:3.1` stands for; `None` where no name is meant.
    fn meaning(&self, word: &str) -> Result<Option<String>, DefinitionError> {
        let (name, suffix) = word.split_once(':').map_or((word, None), |(name, suffix)| (name, Some(suffix)));
        let found = self.known.get(&name.to_ascii_lowercase());
        let Some(suffix) = suffix else { return Ok(found.cloned()) };
        let Some(found) = found else {
            return Err(DefinitionError::new(format!(
                "'{word}' uses a name for an OID that nothing defines: put objectIdentifier {name} and the OID before it, or \
                 write the OID out in numbers"
            )));
        };
        let oid = format!("{found}.{suffix}");
        if !is_numeric_oid(&oid) {
            return Err(DefinitionError::new(format!(
                "'{word}': numbers with dots come behind the colon, as {name}:3.1"
            )));
        }
        Ok(Some(oid))
    }

    /// A definition with its OID and its syntax in numbers.
    fn written_out<'t>(&self, text: &'t str) -> Result<Cow<'t, str>, DefinitionError> {
        if !text.starts_with('(') || (self.known.is_empty() && !text.contains(':')) {
            return Ok(Cow::Borrowed(text));
        }
        let mut out = String::with_capacity(text.len() + 64);
        let (mut rest, mut is_meant, mut is_quoted) = (text, false, false);
        while let Some(first) = rest.chars().next() {
            let is_word = |c: char| !c.is_whitespace() && !matches!(c, '(' | ')' | '$' | '\'' | '{');
            let end = if is_word(first) && !is_quoted {
                rest.find(|c: char| !is_word(c)).unwrap_or(rest.len())
            } else {
                first.len_utf8()
            };
            let (piece, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            rest = after;
            if first == '\'' {
                is_quoted = !is_quoted;
            }
            if is_quoted || !is_word(first) {
                // The OID comes first, behind the parenthesis that the definition begins with.
                is_meant = out.is_empty() || (is_meant && first.is_whitespace());
                out.push_str(piece);
                continue;
            }
            let meaning = if is_meant { self.meaning(piece)? } else { None };
            out.push_str(meaning.as_deref().unwrap_or(piece));
            is_meant = piece.eq_ignore_ascii_case("SYNTAX");
        }
        Ok(Cow::Owned(out))
    }
}

fn is_macro_name(name: &str) -> bool {
    name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

struct LogicalLine {
    number: u64,
    text: String,
}

/// Joins folded lines and drops comments and blank lines.
fn logical_lines(text: &str) -> Vec<LogicalLine> {
    let mut lines: Vec<LogicalLine> = Vec::new();
    let mut in_comment = false;
    let mut number = 0;
    for raw in text.lines() {
        number += 1;
        let raw = if number == 1 { raw.strip_prefix('\u{feff}').unwrap_or(raw) } else { raw };
        if let Some(folded) = raw.strip_prefix([' ', '\t']) {
            if let (false, Some(line)) = (in_comment, lines.last_mut()) {
                // LDIF cuts anywhere; the older form breaks between words.
                if raw.starts_with('\t') || !is_ldif(&line.text) {
                    line.text.push(' ');
                }
                line.text.push_str(folded);
            }
            continue;
        }
        in_comment = raw.starts_with('#');
        if !in_comment && !raw.trim().is_empty() {
            lines.push(LogicalLine { number, text: raw.to_owned() });
        }
    }
    lines
}

/// Whether a colon comes before the first blank.
fn is_ldif(line: &str) -> bool {
    line.find(|c: char| c == ':' || c.is_whitespace())
        .is_some_and(|at| line.get(at..).is_some_and(|rest| rest.starts_with(':')))
}

fn value_of(rest: &str) -> Result<String, DefinitionError> {
    let Some(after) = rest.strip_prefix(':') else {
        return Ok(rest.to_owned());
    };
    let Some(encoded) = after.strip_prefix(':') else {
        return Ok(after.to_owned());
    };
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim());
    decoded
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| DefinitionError::new("the value after '::' is not base64 of UTF-8 text"))
}

/// A parenthesis and an OID: other values with parentheses (access rules, filters) surround definitions in exports.
fn looks_like_definition(value: &str) -> bool {
    let inner = value.strip_prefix('(').map(str::trim_start);
    inner.and_then(|inner| inner.split_whitespace().next()).is_some_and(is_numeric_oid)
}

/// `{12}( … )` without its number.
fn without_order(value: &str) -> &str {
    match value.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some((digits, rest)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => rest.trim_start(),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Definitions<'_>, SchemaError> {
        let mut definitions = Definitions::default();
        definitions.read(&SchemaSource { name: "test.ldif", text }).map(|()| definitions)
    }

    #[test]
    fn folded_ldif_is_joined_without_a_blank() {
        let text = "dn: cn=schema\n# note\n  goes on\nattributeTypes: ( 1.2.3 NA\n ME 'a'\n  SYNTAX 1.3.6 )\n";
        let definitions = read(text).unwrap();
        let (place, definition) = &definitions.attribute_types[0];
        assert_eq!((place.line, definition.names.as_slice()), (4, ["a".to_owned()].as_slice()));
    }

    #[test]
    fn older_form_and_exports_of_cn_config_are_read() {
        let text = "attributetype ( 1.2.3\n\tNAME 'a'\n\tSYNTAX 1.3.6 )\n\nobjectclass ( 1.2.4 NAME 'b'\n  MAY a )\n\
                    olcAttributeTypes: {7}( 1.2.5 NAME 'c' SUP a )\nolcObjectClasses: {0}( 1.2.6 NAME 'd' SUP b )\n";
        let definitions = read(text).unwrap();
        assert_eq!(definitions.attribute_types.len(), 2);
        assert_eq!(definitions.object_classes.len(), 2);
    }

    #[test]
    fn base64_values_are_read() {
        let text = "attributeTypes:: KCAxLjIuMyBOQU1FICdhJyBTWU5UQVggMS4zLjYgKQ==\n";
        assert_eq!(read(text).unwrap().attribute_types[0].1.oid, "1.2.3");
    }

    #[test]
    fn names_for_oids_stand_for_the_oid_and_the_syntax_of_a_definition() {
        let text = "attributeTypes: ( Attr:1.2 NAME 'a' DESC 'as (Attr:9 says' SYNTAX string{64} )\n\
                    olcObjectIdentifier: {0}Root 1.2.3\nobjectidentifier\tAttr ROOT:4\n\
                    objectIdentifier string 1.3.6.1.4.1.1466.115.121.1.15\nobjectIdentifier same Attr\n\
                    objectclass ( same NAME 'same' MAY a )\n";
        let definitions = read(text).unwrap();
        let (_, attribute) = &definitions.attribute_types[0];
        assert_eq!(attribute.oid, "1.2.3.4.1.2");
        assert_eq!(attribute.syntax.as_deref(), Some("1.3.6.1.4.1.1466.115.121.1.15"));
        assert_eq!(attribute.description.as_deref(), Some("as (Attr:9 says"));
        let (_, class) = &definitions.object_classes[0];
        assert_eq!((class.oid.as_str(), class.names.as_slice()), ("1.2.3.4", ["same".to_owned()].as_slice()));
    }

    #[test]
    fn names_for_oids_that_say_nothing_or_two_things_are_refused() {
        for (text, line, says) in [
            ("attributeTypes: ( Other:1 NAME 'a' )\n", 1, "put objectIdentifier Other"),
            ("objectIdentifier A 1.2.3\nobjectIdentifier a 1.2.4\n", 2, "already"),
            ("objectIdentifier A 1.2.3\nattributetype ( A:x NAME 'a' )\n", 2, "behind the colon"),
            ("objectIdentifier A B\n", 1, "no name that was given"),
            ("objectIdentifier A\n", 1, "objectIdentifier NAME 1.2.3"),
            ("objectIdentifier 1A 1.2.3\n", 1, "start with a letter"),
        ] {
            let error = read(text).err().unwrap();
            assert!(error.line == line && error.detail.contains(says), "{text}: {error}");
        }
        let chain = (1..600).map(|n| format!("objectIdentifier a{n} a{}:1\n", n - 1)).collect::<String>();
        let error = read(&format!("objectIdentifier a0 1.2\n{chain}")).err().unwrap();
        assert!(error.detail.contains("at most"), "{error}");
    }

    #[test]
    fn errors_name_file_and_line() {
        let error = read("dn: cn=schema\n\nattributTypes: ( 1.2.3 NAME 'a' )\n").err().unwrap();
        assert_eq!((error.source_name.as_str(), error.line), ("test.ldif", 3));
    }
}
