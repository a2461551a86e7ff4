//! Syntaxes: what a value may look like (RFC 4517 3.3 and the later ones in use).
//!
//! Strict where a wrong value breaks a client (numbers, times, names, booleans), generous where strictness only turns
//! away data that every other server took: telephone numbers with `#` and `;`, pictures that are not JPEG, addresses
//! without `$`.
//!
//! Invariants
//! - Every syntax an attribute type can name is a variant here, and is published in `ldapSyntaxes`.
//! - A value that validates can be prepared by the matching rules natural to its syntax, save for characters that
//!   RFC 4518 prohibits.
//!
//! Not here: comparing (`schema::matching_rule`), what an access rule says (`policy`).

use crate::model::Dn;

use super::definition::{
    AttributeTypeDefinition, ContentRuleDefinition, ObjectClassDefinition, SyntaxDefinition, is_numeric_oid,
};
use super::time;

/// The most decimal digits of an INTEGER value.
pub const INTEGER_DIGITS_MAX: usize = 4_096;

/// Why a value is not of a syntax; the text says what is expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct InvalidSyntax {
    /// What is expected, as a sentence fit for a client.
    pub detail: String,
}

macro_rules! syntaxes {
    ($($(#[$doc:meta])* $variant:ident = $oid:literal, $description:literal, $form:ident;)*) => {
        /// A syntax. Order: as RFC 4517 lists them, then the others.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Syntax { $($(#[$doc])* #[doc = $description] $variant,)* }

        impl Syntax {
            /// All of them, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Object identifier.
            pub const fn oid(self) -> &'static str {
                match self { $(Self::$variant => $oid,)* }
            }

            /// A short description, as published.
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => $description,)* }
            }

            const fn form(self) -> Form {
                match self { $(Self::$variant => Form::$form,)* }
            }
        }
    };
}

/// How values go over the wire.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Bytes,
    /// Only as `;binary` (RFC 4522).
    Binary,
}

syntaxes! {
    AttributeTypeDescription = "1.3.6.1.4.1.1466.115.121.1.3", "Attribute Type Description", Text;
    BitString = "1.3.6.1.4.1.1466.115.121.1.6", "Bit String", Text;
    Boolean = "1.3.6.1.4.1.1466.115.121.1.7", "Boolean", Text;
    CountryString = "1.3.6.1.4.1.1466.115.121.1.11", "Country String", Text;
    DeliveryMethod = "1.3.6.1.4.1.1466.115.121.1.14", "Delivery Method", Text;
    DirectoryString = "1.3.6.1.4.1.1466.115.121.1.15", "Directory String", Text;
    DitContentRuleDescription = "1.3.6.1.4.1.1466.115.121.1.16", "DIT Content Rule Description", Text;
    DitStructureRuleDescription = "1.3.6.1.4.1.1466.115.121.1.17", "DIT Structure Rule Description", Text;
    Dn = "1.3.6.1.4.1.1466.115.121.1.12", "DN", Text;
    EnhancedGuide = "1.3.6.1.4.1.1466.115.121.1.21", "Enhanced Guide", Text;
    FacsimileTelephoneNumber = "1.3.6.1.4.1.1466.115.121.1.22", "Facsimile Telephone Number", Text;
    Fax = "1.3.6.1.4.1.1466.115.121.1.23", "Fax", Bytes;
    GeneralizedTime = "1.3.6.1.4.1.1466.115.121.1.24", "Generalized Time", Text;
    Guide = "1.3.6.1.4.1.1466.115.121.1.25", "Guide", Text;
    Ia5String = "1.3.6.1.4.1.1466.115.121.1.26", "IA5 String", Text;
    Integer = "1.3.6.1.4.1.1466.115.121.1.27", "INTEGER", Text;
    Jpeg = "1.3.6.1.4.1.1466.115.121.1.28", "JPEG", Bytes;
    LdapSyntaxDescription = "1.3.6.1.4.1.1466.115.121.1.54", "LDAP Syntax Description", Text;
    MatchingRuleDescription = "1.3.6.1.4.1.1466.115.121.1.30", "Matching Rule Description", Text;
    MatchingRuleUseDescription = "1.3.6.1.4.1.1466.115.121.1.31", "Matching Rule Use Description", Text;
    NameAndOptionalUid = "1.3.6.1.4.1.1466.115.121.1.34", "Name And Optional UID", Text;
    NameFormDescription = "1.3.6.1.4.1.1466.115.121.1.35", "Name Form Description", Text;
    NumericString = "1.3.6.1.4.1.1466.115.121.1.36", "Numeric String", Text;
    ObjectClassDescription = "1.3.6.1.4.1.1466.115.121.1.37", "Object Class Description", Text;
    OctetString = "1.3.6.1.4.1.1466.115.121.1.40", "Octet String", Bytes;
    Oid = "1.3.6.1.4.1.1466.115.121.1.38", "OID", Text;
    OtherMailbox = "1.3.6.1.4.1.1466.115.121.1.39", "Other Mailbox", Text;
    PostalAddress = "1.3.6.1.4.1.1466.115.121.1.41", "Postal Address", Text;
    PrintableString = "1.3.6.1.4.1.1466.115.121.1.44", "Printable String", Text;
    SubstringAssertion = "1.3.6.1.4.1.1466.115.121.1.58", "Substring Assertion", Text;
    TelephoneNumber = "1.3.6.1.4.1.1466.115.121.1.50", "Telephone Number", Text;
    TeletexTerminalIdentifier = "1.3.6.1.4.1.1466.115.121.1.51", "Teletex Terminal Identifier", Text;
    TelexNumber = "1.3.6.1.4.1.1466.115.121.1.52", "Telex Number", Text;
    UtcTime = "1.3.6.1.4.1.1466.115.121.1.53", "UTC Time", Text;
    Audio = "1.3.6.1.4.1.1466.115.121.1.4", "Audio", Bytes;
    Binary = "1.3.6.1.4.1.1466.115.121.1.5", "Binary", Bytes;
    Certificate = "1.3.6.1.4.1.1466.115.121.1.8", "X.509 Certificate", Binary;
    CertificateList = "1.3.6.1.4.1.1466.115.121.1.9", "X.509 Certificate List", Binary;
    CertificatePair = "1.3.6.1.4.1.1466.115.121.1.10", "X.509 Certificate Pair", Binary;
    SupportedAlgorithm = "1.3.6.1.4.1.1466.115.121.1.49", "X.509 Supported Algorithm", Binary;
    DataQuality = "1.3.6.1.4.1.1466.115.121.1.13", "Data Quality", Text;
    DsaQuality = "1.3.6.1.4.1.1466.115.121.1.19", "DSA Quality", Text;
    MhsOrAddress = "1.3.6.1.4.1.1466.115.121.1.33", "MHS OR Address", Text;
    PresentationAddress = "1.3.6.1.4.1.1466.115.121.1.43", "Presentation Address", Text;
    ProtocolInformation = "1.3.6.1.4.1.1466.115.121.1.42", "Protocol Information", Text;
    SubtreeSpecification = "1.3.6.1.4.1.1466.115.121.1.45", "Subtree Specification", Text;
    Uuid = "1.3.6.1.1.16.1", "UUID", Text;
    AuthPassword = "1.3.6.1.4.1.4203.1.1.2", "Authentication Password", Bytes;
    NisNetgroupTriple = "1.3.6.1.1.1.0.0", "NIS Netgroup Triple", Text;
    BootParameter = "1.3.6.1.1.1.0.1", "Boot Parameter", Text;
    Csn = "1.3.6.1.4.1.4203.666.11.2.1", "CSN", Text;
    CsnSid = "1.3.6.1.4.1.4203.666.11.2.4", "CSN Server Identifier", Text;
    AccessRule = "2.25.226734431000227364254570923804739913085.4.1", "Access Rule (ACI 3.0)", Text;
}

impl Syntax {
    /// The syntax of this OID.
    pub fn from_oid(oid: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|syntax| syntax.oid() == oid)
    }

    /// Whether values travel only under `;binary` (RFC 4522, 4523).
    pub fn is_binary_transfer(self) -> bool {
        self.form() == Form::Binary
    }

    /// Whether a person can read values as they are; others are shown as base64 or not at all.
    pub fn is_human_readable(self) -> bool {
        self.form() == Form::Text
    }

    /// The definition as published in `ldapSyntaxes`.
    pub fn definition(self) -> SyntaxDefinition {
        let mut extensions = Vec::new();
        if self.is_binary_transfer() {
            extensions.push(("X-BINARY-TRANSFER-REQUIRED".to_owned(), vec!["TRUE".to_owned()]));
        }
        if !self.is_human_readable() {
            extensions.push(("X-NOT-HUMAN-READABLE".to_owned(), vec!["TRUE".to_owned()]));
        }
        SyntaxDefinition { oid: self.oid().to_owned(), description: Some(self.description().to_owned()), extensions }
    }

    /// Whether `value` is of this syntax. Cost: one pass, no allocation except for DNs and definitions.
    ///
    /// # Errors
    /// It is not; the detail says what is expected. To the client this is invalidAttributeSyntax.
    pub fn validate(self, value: &[u8]) -> Result<(), InvalidSyntax> {
        let ok = match self {
            Self::OctetString | Self::Audio | Self::Binary | Self::AuthPassword => true,
            Self::Fax | Self::Jpeg => !value.is_empty(),
            Self::Certificate | Self::CertificateList | Self::CertificatePair | Self::SupportedAlgorithm => {
                is_der_sequence(value)
            }
            Self::Ia5String => value.is_ascii(),
            Self::BitString => bits(value).is_some(),
            Self::Boolean => matches!(value, b"TRUE" | b"FALSE"),
            Self::CountryString => value.len() == 2 && value.iter().all(u8::is_ascii_alphabetic),
            Self::Integer => is_integer(value),
            Self::NumericString => !value.is_empty() && value.iter().all(|byte| byte.is_ascii_digit() || *byte == b' '),
            Self::PrintableString => !value.is_empty() && value.iter().all(|byte| is_printable(*byte)),
            Self::TelephoneNumber | Self::FacsimileTelephoneNumber => {
                !value.is_empty() && value.iter().all(|byte| matches!(byte, b' '..=b'~'))
            }
            Self::GeneralizedTime => time::parse_generalized_time(value).is_some(),
            Self::UtcTime => time::parse_utc_time(value).is_some(),
            Self::Uuid => parse_uuid(value).is_some(),
            Self::Csn => is_csn(value),
            Self::CsnSid => (1..=3).contains(&value.len()) && value.iter().all(u8::is_ascii_hexdigit),
            _ => return self.validate_text(value),
        };
        if ok { Ok(()) } else { Err(self.refusal()) }
    }

    fn validate_text(self, value: &[u8]) -> Result<(), InvalidSyntax> {
        let Ok(text) = std::str::from_utf8(value) else {
            return Err(InvalidSyntax { detail: "the value is not UTF-8 text: convert it to UTF-8".to_owned() });
        };
        let ok = match self {
            Self::Dn => match Dn::parse(text) {
                Ok(_) => true,
                Err(error) => return Err(InvalidSyntax { detail: format!("not a distinguished name: {error}") }),
            },
            Self::NameAndOptionalUid => {
                let (name, _) = split_uid(text);
                match Dn::parse(name) {
                    Ok(_) => true,
                    Err(error) => return Err(InvalidSyntax { detail: format!("not a distinguished name: {error}") }),
                }
            }
            Self::Oid => is_oid(text),
            Self::OtherMailbox => {
                text.split_once('$').is_some_and(|(kind, address)| !kind.trim().is_empty() && !address.is_empty())
            }
            Self::NisNetgroupTriple => text.starts_with('(') && text.ends_with(')') && text.matches(',').count() == 2,
            Self::AttributeTypeDescription => return definition(AttributeTypeDefinition::parse(text)),
            Self::ObjectClassDescription => return definition(ObjectClassDefinition::parse(text)),
            Self::DitContentRuleDescription => return definition(ContentRuleDefinition::parse(text)),
            Self::LdapSyntaxDescription => return definition(SyntaxDefinition::parse(text)),
            Self::DitStructureRuleDescription
            | Self::MatchingRuleDescription
            | Self::MatchingRuleUseDescription
            | Self::NameFormDescription => text.starts_with('(') && text.ends_with(')'),
            _ => !text.is_empty(),
        };
        if ok { Ok(()) } else { Err(self.refusal()) }
    }

    fn refusal(self) -> InvalidSyntax {
        let expected = match self {
            Self::BitString => "write bits as '0101'B",
            Self::Boolean => "write TRUE or FALSE in capitals",
            Self::CountryString => "write a country code of two letters (ISO 3166), as DE",
            Self::Ia5String => "only ASCII characters are allowed",
            Self::Integer => "write a whole number without leading zeros, as 42 or -7",
            Self::NumericString => "only digits and blanks are allowed",
            Self::PrintableString => "only ASCII letters, digits, blanks and '()+,-./:?= are allowed",
            Self::TelephoneNumber | Self::FacsimileTelephoneNumber => {
                "write a number in ASCII characters, as +49 30 1234567"
            }
            Self::GeneralizedTime => "write a time that exists as YYYYmmddHHMMSSZ",
            Self::UtcTime => "write a time that exists as yymmddHHMMSSZ",
            Self::Uuid => "write 32 hexadecimal digits as 8-4-4-4-12",
            Self::Oid => "write an OID in numbers, as 2.5.4.3, or a name of letters, digits and hyphens",
            Self::OtherMailbox => "write the kind of mailbox, '$', and the address",
            Self::NisNetgroupTriple => "write (host,user,domain)",
            Self::Certificate | Self::CertificateList | Self::CertificatePair | Self::SupportedAlgorithm => {
                "expected is the DER encoding, as base64 after '::' in LDIF"
            }
            _ => "a value must not be empty",
        };
        InvalidSyntax { detail: format!("not a value of syntax {}: {expected}", self.description()) }
    }
}

fn definition<T>(parsed: Result<T, super::definition::DefinitionError>) -> Result<(), InvalidSyntax> {
    match parsed {
        Ok(_) => Ok(()),
        Err(error) => Err(InvalidSyntax { detail: error.detail }),
    }
}

/// RFC 4517 3.2 PrintableCharacter.
fn is_printable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'\'' | b'(' | b')' | b'+' | b',' | b'-' | b'.' | b'=' | b'/' | b':' | b'?' | b' ')
}

/// A whole number as RFC 4517 3.3.16 writes it: no leading zeros, no `-0`, no blanks.
pub(crate) fn is_integer(value: &[u8]) -> bool {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    let plain = !digits.is_empty() && digits.len() <= INTEGER_DIGITS_MAX && digits.iter().all(u8::is_ascii_digit);
    plain && (digits.first() != Some(&b'0') || value == b"0")
}

/// The `0` and `1` between `'` and `'B` (RFC 4517 3.3.2).
pub(crate) fn bits(value: &[u8]) -> Option<&[u8]> {
    let inner = value.strip_prefix(b"'")?;
    let inner = inner.strip_suffix(b"'B").or_else(|| inner.strip_suffix(b"'b"))?;
    inner.iter().all(|byte| matches!(byte, b'0' | b'1')).then_some(inner)
}

/// Name and UID apart (RFC 4517 3.3.21): only `#'…'B` at the end is a UID, any other `#` belongs to the name.
pub(crate) fn split_uid(text: &str) -> (&str, Option<&[u8]>) {
    if let Some((name, uid)) = text.rsplit_once('#')
        && let Some(bits) = bits(uid.as_bytes())
    {
        return (name, Some(bits));
    }
    (text, None)
}

fn is_oid(text: &str) -> bool {
    is_numeric_oid(text)
        || (text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b';' | b'.')))
}

/// 16 bytes of `8-4-4-4-12` or of 32 hexadecimal digits.
pub(crate) fn parse_uuid(value: &[u8]) -> Option<[u8; 16]> {
    let hyphens_right = match value.len() {
        32 => true,
        36 => [8, 13, 18, 23].into_iter().all(|at| value.get(at) == Some(&b'-')),
        _ => false,
    };
    if !hyphens_right {
        return None;
    }
    let mut digits = value.iter().filter(|byte| **byte != b'-').map(|byte| char::from(*byte).to_digit(16));
    let mut uuid = [0_u8; 16];
    for byte in &mut uuid {
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    digits.next().is_none().then_some(uuid)
}

/// OpenLDAP's change sequence number: `time#count#server#modification`, the last three in hexadecimal.
fn is_csn(value: &[u8]) -> bool {
    let mut parts = value.split(|byte| *byte == b'#');
    let time = parts.next().is_some_and(|part| time::parse_generalized_time(part).is_some());
    let numbers =
        parts.by_ref().take(3).filter(|part| !part.is_empty() && part.iter().all(u8::is_ascii_hexdigit)).count();
    time && numbers == 3 && parts.next().is_none()
}

/// Whether the bytes are one DER SEQUENCE, going by its header.
pub(crate) fn is_der_sequence(value: &[u8]) -> bool {
    let Some((0x30, rest)) = value.split_first().map(|(tag, rest)| (*tag, rest)) else {
        return false;
    };
    let Some((&length, rest)) = rest.split_first() else {
        return false;
    };
    if length < 0x80 {
        return rest.len() == usize::from(length);
    }
    let Some((octets, content)) = rest.split_at_checked(usize::from(length & 0x7f)) else {
        return false;
    };
    if octets.is_empty() || octets.len() > 4 {
        return false;
    }
    octets.iter().fold(0_usize, |sum, octet| sum << 8 | usize::from(*octet)) == content.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(syntax: Syntax, value: &str) -> bool {
        syntax.validate(value.as_bytes()).is_ok()
    }

    #[test]
    fn values_of_the_rfc_are_taken() {
        for (syntax, value) in [
            (Syntax::BitString, "'0101111101'B"),
            (Syntax::BitString, "''B"),
            (Syntax::Boolean, "TRUE"),
            (Syntax::CountryString, "US"),
            (Syntax::DeliveryMethod, "telephone $ videotex"),
            (Syntax::DirectoryString, "This is a value of Directory String containing #!%#@."),
            (Syntax::Dn, "UID=jsmith,DC=example,DC=net"),
            (Syntax::Dn, ""),
            (Syntax::FacsimileTelephoneNumber, "+61 3 9896 7801$twoDimensional"),
            (Syntax::GeneralizedTime, "199412161032Z"),
            (Syntax::Integer, "-32"),
            (Syntax::Integer, "0"),
            (Syntax::NameAndOptionalUid, "1.3.6.1.4.1.1466.0=#04024869,O=Test,C=GB#'0101'B"),
            (Syntax::NumericString, "15 079 672 281"),
            (Syntax::Oid, "cn"),
            (Syntax::Oid, "1.2.3.4"),
            (Syntax::PostalAddress, "1234 Main St.$Anytown, CA 12345$USA"),
            (Syntax::TelephoneNumber, "+1 512 315 0280"),
            (Syntax::UtcTime, "9412161032Z"),
            (Syntax::Uuid, "597ae2f6-16a6-1027-98f4-d28b5365dc14"),
            (Syntax::Csn, "20240229120000.123456Z#000000#001#000000"),
            (Syntax::AttributeTypeDescription, "( 2.5.4.41 NAME 'name' SYNTAX 1.2.3 )"),
        ] {
            assert!(takes(syntax, value), "{syntax:?} {value}");
        }
    }

    #[test]
    fn values_that_are_none_are_refused_with_advice() {
        for (syntax, value) in [
            (Syntax::BitString, "0101"),
            (Syntax::Boolean, "true"),
            (Syntax::CountryString, "Germany"),
            (Syntax::DirectoryString, ""),
            (Syntax::Dn, "no name"),
            (Syntax::GeneralizedTime, "20240230120000Z"),
            (Syntax::Ia5String, "jörg@example.org"),
            (Syntax::Integer, "007"),
            (Syntax::Integer, "-0"),
            (Syntax::Integer, "1.5"),
            (Syntax::Oid, "1.02"),
            (Syntax::PrintableString, "a@b"),
            (Syntax::TelephoneNumber, ""),
            (Syntax::Uuid, "597ae2f6-16a6-1027-98f4-d28b5365dc1"),
            (Syntax::Certificate, "hello"),
            (Syntax::Csn, "20240229120000Z#0"),
        ] {
            let refusal = syntax.validate(value.as_bytes()).unwrap_err();
            assert!(refusal.detail.len() > 20, "{syntax:?} {value}: {refusal}");
        }
        assert!(Syntax::DirectoryString.validate(b"\xff").is_err());
    }

    #[test]
    fn oids_of_syntaxes_are_unique() {
        let mut oids: Vec<_> = Syntax::ALL.iter().map(|syntax| syntax.oid()).collect();
        oids.sort_unstable();
        oids.dedup();
        assert_eq!(oids.len(), Syntax::ALL.len());
    }
}
