//! Schema files: from text to definitions that know where they stand.
//!
//! The form is LDIF (RFC 2849) whose values are definitions, as every server publishes its subschema. Read too: what
//! OpenLDAP exports from `cn=config` (`olcAttributeTypes: {3}( … )`) and its older `.schema` form
//! (`attributetype ( … )`), since that is what people have on disk. The general LDIF reader is not used here because
//! errors must name the line of the definition, not of the record.
//!
//! Invariant: a value that looks like a definition is either understood or refused, never skipped. Matching rules and
//! their use are skipped: the server publishes its own.

use base64::Engine as _;

use super::definition::{
    AttributeTypeDefinition, ContentRuleDefinition, DefinitionError, ObjectClassDefinition, SyntaxDefinition,
    is_numeric_oid,
};

/// The most bytes of one schema file.
pub const SOURCE_BYTES_MAX: usize = 16 * 1024 * 1024;

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
}

impl<'a> Definitions<'a> {
    /// Reads one source and adds its definitions.
    pub(crate) fn read(&mut self, source: &SchemaSource<'a>) -> Result<(), SchemaError> {
        if source.text.len() > SOURCE_BYTES_MAX {
            let place = Place { source: source.name, line: 1 };
            return Err(place.error(format!("a schema file has at most {SOURCE_BYTES_MAX} bytes: split it")));
        }
        for line in logical_lines(source.text) {
            let place = Place { source: source.name, line: line.number };
            self.add(place, &line).map_err(|error| place.error(error.detail))?;
        }
        Ok(())
    }

    fn add(&mut self, place: Place<'a>, line: &LogicalLine) -> Result<(), DefinitionError> {
        let keyword_end = line.text.find(|c: char| c == ':' || c.is_whitespace()).unwrap_or(line.text.len());
        let (keyword, rest) = line.text.split_at_checked(keyword_end).unwrap_or((&line.text, ""));
        let value = value_of(rest)?;
        let value = without_order(value.trim());
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
            "matchingrule" | "matchingruleuse" => {}
            "objectidentifier" => {
                return Err(DefinitionError::new(
                    "OID macros are not read: write every OID out in numbers and remove this line",
                ));
            }
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
    fn errors_name_file_and_line() {
        let error = read("dn: cn=schema\n\nattributTypes: ( 1.2.3 NAME 'a' )\n").err().unwrap();
        assert_eq!((error.source_name.as_str(), error.line), ("test.ldif", 3));
        let error = read("objectIdentifier OLcfg 1.2.3\n").err().unwrap();
        assert!(error.to_string().starts_with("test.ldif, line 1: OID macros"), "{error}");
    }
}
