//! Which options attribute descriptions may have (RFC 4512 2.5): a description with an option that is not recognized is one of
//! an unknown type, everywhere alike.
//!
//! Recognized are `binary` (RFC 4522) and tagging options (RFC 4512 2.5.2) as OpenLDAP's `attributeoptions` names them: by
//! themselves (`phonetic`), or by how they begin (`lang-` for the languages of RFC 3866, `x-` for private ones).

use crate::model::AttributeDescription;
use std::fmt;

/// The most options that may be named.
pub const OPTIONS_MAX: usize = 64;

/// See the module. Names are lower case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AttributeOptions(Vec<String>);

impl Default for AttributeOptions {
    /// Languages alone, as slapd has it.
    fn default() -> Self {
        Self(vec!["lang-".to_owned()])
    }
}

impl AttributeOptions {
    /// These; one that ends in a hyphen is for all that begin so.
    ///
    /// # Errors
    /// The first one that is no option, or says nothing that `binary` and `lang-` do not; or that there are too many.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, String> {
        let mut options = Self(Vec::new());
        for name in names {
            let name = name.to_ascii_lowercase();
            if AttributeDescription::parse(&format!("cn;{name}")).is_err() || name.contains(';') || name == "-" {
                return Err(format!(
                    "{name:?} is no option: write letters, digits and hyphens, as \"phonetic\", or the beginning of options \
                     with a hyphen, as \"x-\""
                ));
            }
            if options.0.len() >= OPTIONS_MAX {
                return Err(format!("more than {OPTIONS_MAX} options; name the beginning that they share, as \"x-\""));
            }
            options.0.push(name);
        }
        Ok(options)
    }

    /// The first option of the description that is not recognized.
    pub fn unknown_in<'d>(&self, description: &'d AttributeDescription) -> Option<&'d str> {
        description.options().iter().map(String::as_str).find(|option| !self.has(option))
    }

    /// What to say of a description with the option `unknown`.
    pub fn refusal(&self, description: &AttributeDescription, unknown: &str) -> String {
        format!(
            "{description} has the option {unknown}, which is not recognized here; recognized are {self}. Leave it out, or have \
             it named in the setting schema.attribute_options (RFC 4512 2.5)"
        )
    }

    /// Whether an option in lower case is recognized.
    fn has(&self, option: &str) -> bool {
        option == "binary"
            || self.0.iter().any(|known| if known.ends_with('-') { option.starts_with(known) } else { option == known })
    }
}

impl fmt::Display for AttributeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("binary")?;
        self.0.iter().try_for_each(|known| match known.ends_with('-') {
            true => write!(f, ", {known}*"),
            false => write!(f, ", {known}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(options: &AttributeOptions, text: &str) -> Option<String> {
        options.unknown_in(&AttributeDescription::parse(text).unwrap()).map(str::to_owned)
    }

    #[test]
    fn languages_and_binary_are_recognized_and_what_the_administrator_names() {
        let usual = AttributeOptions::default();
        for text in ["cn", "cn;lang-de", "cn;LANG-zh-hant", "userCertificate;binary", "cn;lang-"] {
            assert_eq!(unknown(&usual, text), None, "{text}");
        }
        for (text, option) in
            [("cn;foo", "foo"), ("cn;lang-de;Phonetic", "phonetic"), ("cn;x-a", "x-a"), ("cn;lang", "lang")]
        {
            assert_eq!(unknown(&usual, text).as_deref(), Some(option), "{text}");
        }
        let more = AttributeOptions::new(["lang-", "Phonetic", "X-"]).unwrap();
        assert_eq!(unknown(&more, "cn;lang-ja;phonetic;x-own"), None);
        assert_eq!(unknown(&more, "cn;phonetics").as_deref(), Some("phonetics"));
        assert_eq!(more.to_string(), "binary, lang-*, phonetic, x-*");
        assert_eq!(unknown(&AttributeOptions::new([]).unwrap(), "cn;lang-de").as_deref(), Some("lang-de"));
    }

    #[test]
    fn what_is_no_option_is_refused_with_what_to_write() {
        for name in ["", "-", "a b", "a;b", "ä"] {
            let error = AttributeOptions::new([name]).unwrap_err();
            assert!(error.contains("\"phonetic\""), "{name}: {error}");
        }
        let many: Vec<String> = (0..=OPTIONS_MAX).map(|number| format!("o{number}")).collect();
        assert!(AttributeOptions::new(many.iter().map(String::as_str)).unwrap_err().contains("more than 64"));
    }
}
