//! Attribute descriptions and attributes (RFC 4512 2.5): a type as the client spelled it, its options, its values.
//!
//! The name keeps its spelling, since clients want to see it again; options have no spelling worth keeping and are
//! held lower case, sorted and without repetition, so that equal option sets are equal bytes.
//!
//! Names are read a little more widely than RFC 4512 1.4 says: an underscore is taken inside names and options,
//! because real directories have such attributes. Whether a name means anything is for the schema to say.

use std::fmt;

/// Longest attribute description we take, in bytes.
pub const ATTRIBUTE_DESCRIPTION_BYTES_MAX: usize = 1024;
/// Most options one attribute description may carry.
pub const OPTION_COUNT_MAX: usize = 16;

/// An attribute type with its options: `cn`, `2.5.4.3`, `cn;lang-de`, `userCertificate;binary`.
///
/// Equality is that of spelling; see [`AttributeDescription::is_same`] for the comparison without case.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct AttributeDescription {
    name: String,
    options: Vec<String>,
}

/// The text is no attribute description.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not an attribute description: {detail}")]
pub struct AttributeDescriptionError {
    /// The text as given, shortened to 64 characters.
    pub text: String,
    /// What is wrong and what to write instead.
    pub detail: &'static str,
}

impl AttributeDescription {
    /// Reads an attribute description; no blanks around it.
    pub fn parse(text: &str) -> Result<Self, AttributeDescriptionError> {
        let (name, options_text) = checked_parts(text)?;
        let mut options: Vec<String> = Vec::new();
        if let Some(options_text) = options_text {
            options.extend(options_text.split(';').map(str::to_ascii_lowercase));
            options.sort_unstable();
            options.dedup();
        }
        Ok(Self { name: name.to_owned(), options })
    }

    /// Reads an attribute description from bytes that may not even be UTF-8.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, AttributeDescriptionError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::parse(text),
            Err(_) => Err(refused(&String::from_utf8_lossy(bytes), "names are ASCII letters, digits and hyphens")),
        }
    }

    /// The attribute type as spelled, without options.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The options: lower case, sorted, none twice.
    pub fn options(&self) -> &[String] {
        &self.options
    }

    /// True when both have the same options and names that differ at most in ASCII case. Two names of one type
    /// (`cn`, `commonName`) are not the same here.
    pub fn is_same(&self, other: &Self) -> bool {
        self.name.eq_ignore_ascii_case(&other.name) && self.options == other.options
    }
}

impl fmt::Display for AttributeDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.options.iter().try_for_each(|option| write!(f, ";{option}"))
    }
}

/// An attribute description with values in the order given; a value is any bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Attribute {
    /// Type and options.
    pub description: AttributeDescription,
    /// The values; none in a modification that is about the whole attribute.
    pub values: Vec<Vec<u8>>,
}

/// Whether an option is one that `asked` means: itself, or one in the range of languages that `asked` is (RFC 3866 2.2):
/// `lang-` means every language, `lang-en-` means `lang-en` and `lang-en-us`. Both in lower case.
pub fn option_is_meant(asked: &str, option: &str) -> bool {
    if asked == option {
        return true;
    }
    match asked.strip_suffix('-').filter(|_| is_language_range(asked)) {
        Some(language) => option == language || option.starts_with(asked),
        None => false,
    }
}

/// Whether an option names a range of languages; such a one describes no values of its own (RFC 3866 2.2).
pub fn is_language_range(option: &str) -> bool {
    option.starts_with("lang-") && option.ends_with('-')
}

/// The type and the rest after the first `;` (without it), unchecked: `cn;lang-de` is `("cn", "lang-de")`.
pub fn split_options(description: &str) -> (&str, &str) {
    description.split_once(';').unwrap_or((description, ""))
}

/// True for an attribute type as [`AttributeDescription::parse`] takes it: a name or a dotted OID, without options.
pub fn is_attribute_type(text: &[u8]) -> bool {
    match text.first() {
        Some(first) if first.is_ascii_alphabetic() => text.iter().all(|byte| is_name_byte(*byte)),
        Some(first) if first.is_ascii_digit() => {
            let mut arcs = 0usize;
            text.split(|byte| *byte == b'.').all(|arc| {
                arcs += 1;
                !arc.is_empty() && arc.iter().all(u8::is_ascii_digit)
            }) && arcs > 1
        }
        _ => false,
    }
}

/// Whether the text is an attribute description; allocates nothing.
pub(super) fn check(text: &str) -> Result<(), AttributeDescriptionError> {
    checked_parts(text).map(|_| ())
}

fn checked_parts(text: &str) -> Result<(&str, Option<&str>), AttributeDescriptionError> {
    // Nearly all are a plain short name: one pass, no search for options.
    let bytes = text.as_bytes();
    if bytes.len() <= 64
        && bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.iter().fold(true, |plain, byte| plain & is_name_byte(*byte))
    {
        return Ok((text, None));
    }
    if text.len() > ATTRIBUTE_DESCRIPTION_BYTES_MAX {
        return Err(refused(text, "longer than 1024 bytes"));
    }
    let (name, options) = match text.split_once(';') {
        Some((name, options)) => (name, Some(options)),
        None => (text, None),
    };
    if name.is_empty() {
        return Err(refused(text, "the name is missing"));
    }
    if !is_attribute_type(name.as_bytes()) {
        return Err(refused(
            text,
            "a name begins with a letter and goes on with letters, digits and hyphens; an OID is numbers with dots",
        ));
    }
    if let Some(options) = options {
        let mut count = 0usize;
        for option in options.split(';') {
            count += 1;
            if option.is_empty() || !option.bytes().all(is_name_byte) {
                return Err(refused(text, "an option after ';' is one or more letters, digits and hyphens"));
            }
        }
        if count > OPTION_COUNT_MAX {
            return Err(refused(text, "more than 16 options"));
        }
    }
    Ok((name, options))
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn refused(text: &str, detail: &'static str) -> AttributeDescriptionError {
    AttributeDescriptionError { text: text.chars().take(64).collect(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_keeps_its_spelling_and_options_do_not() {
        let description = AttributeDescription::parse("userCertificate;X-b;binary;BINARY").unwrap();
        assert_eq!(description.name(), "userCertificate");
        assert_eq!(description.options(), ["binary", "x-b"]);
        assert_eq!(description.to_string(), "userCertificate;binary;x-b");
        assert!(description.is_same(&AttributeDescription::parse("USERcertificate;binary;x-b").unwrap()));
        assert!(!description.is_same(&AttributeDescription::parse("userCertificate;binary").unwrap()));
    }

    #[test]
    fn oids_and_underscores_are_names() {
        for text in ["2.5.4.3", "2.5.4.3;lang-de", "cn", "sambaNT_Password", "a-b", "cn;lang-zh-hant"] {
            assert_eq!(AttributeDescription::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn malformed_descriptions_are_refused() {
        let long = "a".repeat(ATTRIBUTE_DESCRIPTION_BYTES_MAX + 1);
        let options = format!("cn{}", ";x".repeat(OPTION_COUNT_MAX + 1));
        for text in
            ["", ";x", "cn;", "cn;;x", "2", "2.", ".2", "2..3", "1a", "-a", "c n", "cn ", "ü", "cn;ü", &long, &options]
        {
            assert!(AttributeDescription::parse(text).is_err(), "{text}");
        }
        assert!(AttributeDescription::parse_bytes(b"c\xff").is_err());
    }
}
