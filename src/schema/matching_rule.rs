//! Matching rules as keys (RFC 4517 4.2 and the later ones in use).
//!
//! A rule is a way to turn a value into bytes: two values match iff their keys are equal, come in the rule's order iff
//! the keys do (`memcmp`), and contain a substring iff the key contains the key of the substring. So the same bytes
//! serve comparison, index, sorting and the identity of a replicated value, and no rule is written twice. The few
//! rules that are no comparison of keys (bits, words, places in the tree) are answered by [`MatchingRule::is_match`].
//!
//! Invariants
//! - Equality, ordering and substring rules of one family (`caseIgnoreMatch`, `caseIgnoreOrderingMatch`,
//!   `caseIgnoreSubstringsMatch`) make the same key: see [`MatchingRule::shares_key`].
//! - On an error `out` is as it was before.
//! - Keys are stored on disk: changing one is a change of the storage format.
//!
//! Not here: preparation of text (`schema::string_prep`), keys of names (`schema::name_key`), evaluating filters
//! (`search`).

use std::borrow::Cow;

use crate::model::Dn;

use super::string_prep::{self, Case, PrepareError, SubstringPart};
use super::syntax::{INTEGER_DIGITS_MAX, Syntax, bits, parse_uuid, split_uid};
use super::{Schema, time};

/// How deep DNs are compared as names inside DN-valued RDNs; deeper ones are compared as bytes.
pub(crate) const NESTED_NAMES_MAX: u32 = 3;

/// Why a value has no key under a rule. In a filter this makes the item Undefined; in a write it is
/// invalidAttributeSyntax.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule} cannot compare this value: {detail}")]
pub struct InvalidValue {
    /// Name of the rule.
    pub rule: &'static str,
    /// What is wrong with the value.
    pub detail: Cow<'static, str>,
}

/// What a rule decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleKind {
    /// Whether two values are the same.
    Equality,
    /// Which value comes first.
    Ordering,
    /// Whether a value contains parts in order.
    Substring,
}

/// How the key is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    BitAnd,
    BitOr,
    Bits,
    Boolean,
    CaseExact,
    CaseIgnore,
    CaseIgnoreList,
    Chain,
    Csn,
    CsnSid,
    DnOneLevel,
    DnSubordinate,
    DnSubtree,
    DnSuperior,
    FirstInteger,
    FirstOid,
    FirstString,
    Integer,
    Keyword,
    Name,
    NameAndUid,
    Numeric,
    Octets,
    Oid,
    Prefix,
    Telephone,
    Time,
    UtcTime,
    Uuid,
    Word,
}

macro_rules! rules {
    ($($variant:ident = $oid:literal, $name:literal, $syntax:literal, $kind:ident, $form:ident;)*) => {
        /// A matching rule; the variant is named as the standard names the rule.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum MatchingRule { $(#[doc = $name] $variant,)* }

        impl MatchingRule {
            /// All of them, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Object identifier.
            pub const fn oid(self) -> &'static str {
                match self { $(Self::$variant => $oid,)* }
            }

            /// Name as the standard spells it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// OID of the syntax of assertion values.
            pub const fn assertion_syntax(self) -> &'static str {
                match self { $(Self::$variant => $syntax,)* }
            }

            /// Equality, ordering or substring.
            pub const fn kind(self) -> RuleKind {
                match self { $(Self::$variant => RuleKind::$kind,)* }
            }

            const fn form(self) -> Form {
                match self { $(Self::$variant => Form::$form,)* }
            }
        }
    };
}

rules! {
    ObjectIdentifierMatch = "2.5.13.0", "objectIdentifierMatch", "1.3.6.1.4.1.1466.115.121.1.38", Equality, Oid;
    DistinguishedNameMatch = "2.5.13.1", "distinguishedNameMatch", "1.3.6.1.4.1.1466.115.121.1.12", Equality, Name;
    CaseIgnoreMatch = "2.5.13.2", "caseIgnoreMatch", "1.3.6.1.4.1.1466.115.121.1.15", Equality, CaseIgnore;
    CaseIgnoreOrderingMatch = "2.5.13.3", "caseIgnoreOrderingMatch", "1.3.6.1.4.1.1466.115.121.1.15", Ordering, CaseIgnore;
    CaseIgnoreSubstringsMatch = "2.5.13.4", "caseIgnoreSubstringsMatch", "1.3.6.1.4.1.1466.115.121.1.58", Substring, CaseIgnore;
    CaseExactMatch = "2.5.13.5", "caseExactMatch", "1.3.6.1.4.1.1466.115.121.1.15", Equality, CaseExact;
    CaseExactOrderingMatch = "2.5.13.6", "caseExactOrderingMatch", "1.3.6.1.4.1.1466.115.121.1.15", Ordering, CaseExact;
    CaseExactSubstringsMatch = "2.5.13.7", "caseExactSubstringsMatch", "1.3.6.1.4.1.1466.115.121.1.58", Substring, CaseExact;
    NumericStringMatch = "2.5.13.8", "numericStringMatch", "1.3.6.1.4.1.1466.115.121.1.36", Equality, Numeric;
    NumericStringOrderingMatch = "2.5.13.9", "numericStringOrderingMatch", "1.3.6.1.4.1.1466.115.121.1.36", Ordering, Numeric;
    NumericStringSubstringsMatch = "2.5.13.10", "numericStringSubstringsMatch", "1.3.6.1.4.1.1466.115.121.1.58", Substring, Numeric;
    CaseIgnoreListMatch = "2.5.13.11", "caseIgnoreListMatch", "1.3.6.1.4.1.1466.115.121.1.41", Equality, CaseIgnoreList;
    CaseIgnoreListSubstringsMatch = "2.5.13.12", "caseIgnoreListSubstringsMatch", "1.3.6.1.4.1.1466.115.121.1.58", Substring, CaseIgnoreList;
    BooleanMatch = "2.5.13.13", "booleanMatch", "1.3.6.1.4.1.1466.115.121.1.7", Equality, Boolean;
    IntegerMatch = "2.5.13.14", "integerMatch", "1.3.6.1.4.1.1466.115.121.1.27", Equality, Integer;
    IntegerOrderingMatch = "2.5.13.15", "integerOrderingMatch", "1.3.6.1.4.1.1466.115.121.1.27", Ordering, Integer;
    BitStringMatch = "2.5.13.16", "bitStringMatch", "1.3.6.1.4.1.1466.115.121.1.6", Equality, Bits;
    OctetStringMatch = "2.5.13.17", "octetStringMatch", "1.3.6.1.4.1.1466.115.121.1.40", Equality, Octets;
    OctetStringOrderingMatch = "2.5.13.18", "octetStringOrderingMatch", "1.3.6.1.4.1.1466.115.121.1.40", Ordering, Octets;
    OctetStringSubstringsMatch = "2.5.13.19", "octetStringSubstringsMatch", "1.3.6.1.4.1.1466.115.121.1.40", Substring, Octets;
    TelephoneNumberMatch = "2.5.13.20", "telephoneNumberMatch", "1.3.6.1.4.1.1466.115.121.1.50", Equality, Telephone;
    TelephoneNumberSubstringsMatch = "2.5.13.21", "telephoneNumberSubstringsMatch", "1.3.6.1.4.1.1466.115.121.1.58", Substring, Telephone;
    PresentationAddressMatch = "2.5.13.22", "presentationAddressMatch", "1.3.6.1.4.1.1466.115.121.1.43", Equality, CaseIgnore;
    UniqueMemberMatch = "2.5.13.23", "uniqueMemberMatch", "1.3.6.1.4.1.1466.115.121.1.34", Equality, NameAndUid;
    ProtocolInformationMatch = "2.5.13.24", "protocolInformationMatch", "1.3.6.1.4.1.1466.115.121.1.42", Equality, CaseIgnore;
    UtcTimeMatch = "2.5.13.25", "uTCTimeMatch", "1.3.6.1.4.1.1466.115.121.1.53", Equality, UtcTime;
    UtcTimeOrderingMatch = "2.5.13.26", "uTCTimeOrderingMatch", "1.3.6.1.4.1.1466.115.121.1.53", Ordering, UtcTime;
    GeneralizedTimeMatch = "2.5.13.27", "generalizedTimeMatch", "1.3.6.1.4.1.1466.115.121.1.24", Equality, Time;
    GeneralizedTimeOrderingMatch = "2.5.13.28", "generalizedTimeOrderingMatch", "1.3.6.1.4.1.1466.115.121.1.24", Ordering, Time;
    IntegerFirstComponentMatch = "2.5.13.29", "integerFirstComponentMatch", "1.3.6.1.4.1.1466.115.121.1.27", Equality, FirstInteger;
    ObjectIdentifierFirstComponentMatch = "2.5.13.30", "objectIdentifierFirstComponentMatch", "1.3.6.1.4.1.1466.115.121.1.38", Equality, FirstOid;
    DirectoryStringFirstComponentMatch = "2.5.13.31", "directoryStringFirstComponentMatch", "1.3.6.1.4.1.1466.115.121.1.15", Equality, FirstString;
    WordMatch = "2.5.13.32", "wordMatch", "1.3.6.1.4.1.1466.115.121.1.15", Equality, Word;
    KeywordMatch = "2.5.13.33", "keywordMatch", "1.3.6.1.4.1.1466.115.121.1.15", Equality, Keyword;
    CertificateExactMatch = "2.5.13.34", "certificateExactMatch", "1.3.6.1.1.15.1", Equality, Octets;
    CertificatePairExactMatch = "2.5.13.36", "certificatePairExactMatch", "1.3.6.1.1.15.3", Equality, Octets;
    CertificateListExactMatch = "2.5.13.38", "certificateListExactMatch", "1.3.6.1.1.15.5", Equality, Octets;
    AlgorithmIdentifierMatch = "2.5.13.40", "algorithmIdentifierMatch", "1.3.6.1.1.15.7", Equality, Octets;
    StoredPrefixMatch = "2.5.13.41", "storedPrefixMatch", "1.3.6.1.4.1.1466.115.121.1.15", Equality, Prefix;
    CaseExactIa5Match = "1.3.6.1.4.1.1466.109.114.1", "caseExactIA5Match", "1.3.6.1.4.1.1466.115.121.1.26", Equality, CaseExact;
    CaseIgnoreIa5Match = "1.3.6.1.4.1.1466.109.114.2", "caseIgnoreIA5Match", "1.3.6.1.4.1.1466.115.121.1.26", Equality, CaseIgnore;
    CaseIgnoreIa5SubstringsMatch = "1.3.6.1.4.1.1466.109.114.3", "caseIgnoreIA5SubstringsMatch", "1.3.6.1.4.1.1466.115.121.1.58", Substring, CaseIgnore;
    CaseExactIa5SubstringsMatch = "1.3.6.1.4.1.4203.1.2.1", "caseExactIA5SubstringsMatch", "1.3.6.1.4.1.1466.115.121.1.58", Substring, CaseExact;
    AuthPasswordExactMatch = "1.3.6.1.4.1.4203.1.2.2", "authPasswordExactMatch", "1.3.6.1.4.1.4203.1.1.2", Equality, Octets;
    UuidMatch = "1.3.6.1.1.16.2", "uuidMatch", "1.3.6.1.1.16.1", Equality, Uuid;
    UuidOrderingMatch = "1.3.6.1.1.16.3", "uuidOrderingMatch", "1.3.6.1.1.16.1", Ordering, Uuid;
    IntegerBitAndMatch = "1.2.840.113556.1.4.803", "integerBitAndMatch", "1.3.6.1.4.1.1466.115.121.1.27", Equality, BitAnd;
    IntegerBitOrMatch = "1.2.840.113556.1.4.804", "integerBitOrMatch", "1.3.6.1.4.1.1466.115.121.1.27", Equality, BitOr;
    InChainMatch = "1.2.840.113556.1.4.1941", "distinguishedNameInChainMatch", "1.3.6.1.4.1.1466.115.121.1.12", Equality, Chain;
    CsnMatch = "1.3.6.1.4.1.4203.666.11.2.2", "CSNMatch", "1.3.6.1.4.1.4203.666.11.2.1", Equality, Csn;
    CsnOrderingMatch = "1.3.6.1.4.1.4203.666.11.2.3", "CSNOrderingMatch", "1.3.6.1.4.1.4203.666.11.2.1", Ordering, Csn;
    CsnSidMatch = "1.3.6.1.4.1.4203.666.11.2.5", "CSNSIDMatch", "1.3.6.1.4.1.4203.666.11.2.4", Equality, CsnSid;
    DnOneLevelMatch = "1.3.6.1.4.1.4203.666.4.8", "dnOneLevelMatch", "1.3.6.1.4.1.1466.115.121.1.12", Equality, DnOneLevel;
    DnSubtreeMatch = "1.3.6.1.4.1.4203.666.4.9", "dnSubtreeMatch", "1.3.6.1.4.1.1466.115.121.1.12", Equality, DnSubtree;
    DnSubordinateMatch = "1.3.6.1.4.1.4203.666.4.10", "dnSubordinateMatch", "1.3.6.1.4.1.1466.115.121.1.12", Equality, DnSubordinate;
    DnSuperiorMatch = "1.3.6.1.4.1.4203.666.4.11", "dnSuperiorMatch", "1.3.6.1.4.1.1466.115.121.1.12", Equality, DnSuperior;
}

impl MatchingRule {
    /// The rule of this name (any case) or OID.
    pub fn find(name_or_oid: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|rule| rule.name().eq_ignore_ascii_case(name_or_oid) || rule.oid() == name_or_oid)
    }

    /// Whether the rule is a comparison of keys; for the others ask [`Self::is_match`].
    pub fn is_key_rule(self) -> bool {
        !matches!(
            self.form(),
            Form::BitAnd
                | Form::BitOr
                | Form::Chain
                | Form::CsnSid
                | Form::DnOneLevel
                | Form::DnSubordinate
                | Form::DnSubtree
                | Form::DnSuperior
                | Form::Keyword
                | Form::Prefix
                | Form::Word
        )
    }

    /// Whether both rules make the same key of a value, so that one index serves both.
    pub fn shares_key(self, other: Self) -> bool {
        self.form() == other.form()
    }

    /// The equality rule whose key this rule orders by or searches in; the rule itself when it is one of equality.
    pub fn equality_of(self) -> Self {
        match self {
            Self::CaseIgnoreOrderingMatch | Self::CaseIgnoreSubstringsMatch => Self::CaseIgnoreMatch,
            Self::CaseExactOrderingMatch | Self::CaseExactSubstringsMatch => Self::CaseExactMatch,
            Self::NumericStringOrderingMatch | Self::NumericStringSubstringsMatch => Self::NumericStringMatch,
            Self::CaseIgnoreListSubstringsMatch => Self::CaseIgnoreListMatch,
            Self::IntegerOrderingMatch => Self::IntegerMatch,
            Self::OctetStringOrderingMatch | Self::OctetStringSubstringsMatch => Self::OctetStringMatch,
            Self::TelephoneNumberSubstringsMatch => Self::TelephoneNumberMatch,
            Self::UtcTimeOrderingMatch => Self::UtcTimeMatch,
            Self::GeneralizedTimeOrderingMatch => Self::GeneralizedTimeMatch,
            Self::CaseIgnoreIa5SubstringsMatch => Self::CaseIgnoreIa5Match,
            Self::CaseExactIa5SubstringsMatch => Self::CaseExactIa5Match,
            Self::UuidOrderingMatch => Self::UuidMatch,
            Self::CsnOrderingMatch => Self::CsnMatch,
            other => other,
        }
    }

    /// Appends the key of a value or of an equality or ordering assertion to `out`.
    ///
    /// Two values are equal by the rule iff their keys are byte-equal; for rules with an ordering, `memcmp` order of
    /// keys is the rule's order. Cost: one pass over ASCII text without allocation besides `out`; names are parsed.
    ///
    /// # Errors
    /// The value has no key under this rule; `out` is as before.
    pub fn key(self, schema: &Schema, value: &[u8], out: &mut Vec<u8>) -> Result<(), InvalidValue> {
        self.key_nested(schema, value, out, 0)
    }

    pub(crate) fn key_nested(
        self,
        schema: &Schema,
        value: &[u8],
        out: &mut Vec<u8>,
        depth: u32,
    ) -> Result<(), InvalidValue> {
        match self.form() {
            Form::CaseIgnore | Form::Word | Form::Keyword | Form::Prefix => {
                string_prep::prepare(value, Case::Fold, out).map_err(|error| self.unprepared(error))
            }
            Form::CaseExact => string_prep::prepare(value, Case::Exact, out).map_err(|error| self.unprepared(error)),
            Form::Octets => {
                out.extend_from_slice(value);
                Ok(())
            }
            Form::Numeric => string_prep::prepare_numeric(value, out).map_err(|error| self.unprepared(error)),
            Form::Telephone => string_prep::prepare_telephone(value, out).map_err(|error| self.unprepared(error)),
            Form::CaseIgnoreList => self.list_key(value, out),
            Form::Integer | Form::BitAnd | Form::BitOr => integer_key(value, out).ok_or_else(|| self.not_integer()),
            Form::FirstInteger => integer_key(first_component(value), out).ok_or_else(|| self.not_integer()),
            Form::Oid => self.oid_key(schema, value, out),
            Form::FirstOid => self.oid_key(schema, first_component(value), out),
            Form::FirstString => string_prep::prepare(unquoted(first_component(value)), Case::Fold, out)
                .map_err(|error| self.unprepared(error)),
            Form::Name | Form::Chain | Form::DnOneLevel | Form::DnSubordinate | Form::DnSubtree | Form::DnSuperior => {
                self.name_key(schema, value, out, depth)
            }
            Form::NameAndUid => self.name_and_uid_key(schema, value, out, depth),
            Form::Time => {
                let instant = time::parse_instant(value).ok_or_else(|| self.not_time())?;
                out.extend_from_slice(&ordered(instant.unix_ms));
                if instant.rest_ns > 0 {
                    out.extend_from_slice(&instant.rest_ns.to_be_bytes());
                }
                Ok(())
            }
            Form::UtcTime => {
                let unix_ms = time::parse_utc_time(value).ok_or_else(|| self.not_time())?;
                out.extend_from_slice(&ordered(unix_ms));
                Ok(())
            }
            Form::Uuid => {
                let uuid = parse_uuid(value.trim_ascii())
                    .ok_or_else(|| self.invalid("write 32 hexadecimal digits as 8-4-4-4-12"))?;
                out.extend_from_slice(&uuid);
                Ok(())
            }
            Form::Bits => {
                let bits = bits(value.trim_ascii()).ok_or_else(|| self.invalid("write bits as '0101'B"))?;
                out.extend_from_slice(bits);
                Ok(())
            }
            Form::Boolean => {
                let known =
                    [&b"FALSE"[..], b"TRUE"].into_iter().find(|word| word.eq_ignore_ascii_case(value.trim_ascii()));
                out.extend_from_slice(known.ok_or_else(|| self.invalid("write TRUE or FALSE"))?);
                Ok(())
            }
            Form::Csn => self.csn_key(value, out),
            Form::CsnSid => {
                let sid =
                    csn_sid(value).ok_or_else(|| self.invalid("write a server identifier in hexadecimal, as 001"))?;
                out.extend_from_slice(&sid.to_be_bytes());
                Ok(())
            }
        }
    }

    /// Appends the key of a substring assertion part, to be looked for (`memmem`) inside keys of values.
    ///
    /// An initial part must be at the beginning of the key, a last part at its end, parts must not overlap. Blanks at
    /// the edges: see [`string_prep::prepare_part`]. Rules of equality take parts too, as their family does.
    ///
    /// # Errors
    /// The part has no key under this rule; `out` is as before.
    pub fn substring_key(self, part: SubstringPart, value: &[u8], out: &mut Vec<u8>) -> Result<(), InvalidValue> {
        let prepared = match self.form() {
            Form::CaseIgnore | Form::FirstString | Form::Word | Form::Keyword | Form::Prefix => {
                string_prep::prepare_part(value, Case::Fold, part, out)
            }
            Form::CaseExact => string_prep::prepare_part(value, Case::Exact, part, out),
            Form::Numeric => string_prep::prepare_numeric(value, out),
            Form::Telephone => string_prep::prepare_telephone(value, out),
            Form::CaseIgnoreList => return self.list_part_key(part, value, out),
            Form::Octets => {
                out.extend_from_slice(value);
                Ok(())
            }
            _ => return Err(self.invalid("values under this rule have no substrings")),
        };
        prepared.map_err(|error| self.unprepared(error))
    }

    /// Whether `value` satisfies an assertion under this rule; for all rules of equality, those that are no comparison
    /// of keys among them. Of the in-chain rule only the direct link is judged here: the chain is the search's.
    ///
    /// # Errors
    /// The assertion or the value is none of this rule's: Undefined.
    pub fn is_match(self, schema: &Schema, value: &[u8], assertion: &[u8]) -> Result<bool, InvalidValue> {
        let key = |bytes| {
            let mut out = Vec::new();
            self.key(schema, bytes, &mut out).map(|()| out)
        };
        Ok(match self.form() {
            Form::BitAnd | Form::BitOr => {
                let (value, mask) = (self.number(value)?, self.number(assertion)?);
                if self.form() == Form::BitAnd { value & mask == mask } else { value & mask != 0 }
            }
            Form::Word | Form::Keyword => {
                let (value, word) = (key(value)?, key(assertion)?);
                contains_word(&String::from_utf8_lossy(&value), &String::from_utf8_lossy(&word))
            }
            Form::Prefix => key(assertion)?.starts_with(&key(value)?),
            Form::DnSubtree => key(value)?.starts_with(&key(assertion)?),
            Form::DnSubordinate => {
                let (value, base) = (key(value)?, key(assertion)?);
                value.len() > base.len() && value.starts_with(&base)
            }
            Form::DnSuperior => {
                let (value, below) = (key(value)?, key(assertion)?);
                value.len() < below.len() && below.starts_with(&value)
            }
            Form::DnOneLevel => {
                let (value, base) = (key(value)?, key(assertion)?);
                value.strip_prefix(base.as_slice()).is_some_and(|rest| super::name_key::rdn_count(rest) == 1)
            }
            Form::CsnSid => {
                let sid = value.split(|byte| *byte == b'#').nth(2).and_then(csn_sid);
                sid.is_some() && sid == csn_sid(assertion)
            }
            _ => key(value)? == key(assertion)?,
        })
    }

    fn number(self, value: &[u8]) -> Result<i128, InvalidValue> {
        std::str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok()).ok_or_else(|| self.not_integer())
    }

    fn oid_key(self, schema: &Schema, value: &[u8], out: &mut Vec<u8>) -> Result<(), InvalidValue> {
        let text = std::str::from_utf8(value.trim_ascii()).ok().filter(|text| !text.is_empty() && text.is_ascii());
        let text = text.ok_or_else(|| self.invalid("write an OID in numbers or a name"))?;
        match schema.canonical_oid(text) {
            Some(oid) => out.extend_from_slice(oid.as_bytes()),
            None => out.extend(text.bytes().map(|byte| byte.to_ascii_lowercase())),
        }
        Ok(())
    }

    fn name_key(self, schema: &Schema, value: &[u8], out: &mut Vec<u8>, depth: u32) -> Result<(), InvalidValue> {
        let dn = Dn::parse_bytes(value).map_err(|error| InvalidValue {
            rule: self.name(),
            detail: Cow::Owned(format!("not a distinguished name: {error}")),
        })?;
        super::name_key::append_dn_key(schema, &dn, out, depth);
        Ok(())
    }

    fn name_and_uid_key(
        self,
        schema: &Schema,
        value: &[u8],
        out: &mut Vec<u8>,
        depth: u32,
    ) -> Result<(), InvalidValue> {
        let text = std::str::from_utf8(value).map_err(|_| self.unprepared(PrepareError::NotUtf8))?;
        let (name, uid) = split_uid(text);
        self.name_key(schema, name.as_bytes(), out, depth)?;
        if let Some(uid) = uid {
            out.push(b'#');
            out.extend_from_slice(uid);
        }
        Ok(())
    }

    /// Lines of an address, each prepared, joined by a line feed (which preparation never leaves inside a line).
    fn list_key(self, value: &[u8], out: &mut Vec<u8>) -> Result<(), InvalidValue> {
        let start = out.len();
        for (index, line) in value.split(|byte| *byte == b'$').enumerate() {
            if index > 0 {
                out.push(b'\n');
            }
            if let Err(error) = string_prep::prepare(&unescaped_line(line), Case::Fold, out) {
                out.truncate(start);
                return Err(self.unprepared(error));
            }
        }
        Ok(())
    }

    fn list_part_key(self, part: SubstringPart, value: &[u8], out: &mut Vec<u8>) -> Result<(), InvalidValue> {
        let start = out.len();
        let line_count = value.split(|byte| *byte == b'$').count();
        for (index, line) in value.split(|byte| *byte == b'$').enumerate() {
            if index > 0 {
                out.push(b'\n');
            }
            let open_before = index == 0 && part != SubstringPart::Initial;
            let open_after = index + 1 == line_count && part != SubstringPart::Last;
            let line = unescaped_line(line);
            let prepared = match (open_before, open_after) {
                (true, true) => string_prep::prepare_part(&line, Case::Fold, SubstringPart::Any, out),
                (true, false) => string_prep::prepare_part(&line, Case::Fold, SubstringPart::Last, out),
                (false, true) => string_prep::prepare_part(&line, Case::Fold, SubstringPart::Initial, out),
                (false, false) => string_prep::prepare(&line, Case::Fold, out),
            };
            if let Err(error) = prepared {
                out.truncate(start);
                return Err(self.unprepared(error));
            }
        }
        Ok(())
    }

    /// Time, then the three numbers, all of fixed width.
    fn csn_key(self, value: &[u8], out: &mut Vec<u8>) -> Result<(), InvalidValue> {
        let invalid = || self.invalid("write a CSN as time#count#server#modification");
        let mut parts = value.trim_ascii().split(|byte| *byte == b'#');
        let instant = parts.next().and_then(time::parse_instant).ok_or_else(invalid)?;
        let mut numbers = [0_u32; 3];
        for number in &mut numbers {
            *number = parts.next().and_then(hexadecimal).ok_or_else(invalid)?;
        }
        if parts.next().is_some() {
            return Err(invalid());
        }
        out.extend_from_slice(&ordered(instant.unix_ms));
        out.extend_from_slice(&instant.rest_ns.to_be_bytes());
        for number in numbers {
            out.extend_from_slice(&number.to_be_bytes());
        }
        Ok(())
    }

    fn invalid(self, detail: &'static str) -> InvalidValue {
        InvalidValue { rule: self.name(), detail: Cow::Borrowed(detail) }
    }

    fn not_integer(self) -> InvalidValue {
        self.invalid("write a whole number, as 42 or -7")
    }

    fn not_time(self) -> InvalidValue {
        self.invalid("write a time that exists as YYYYmmddHHMMSSZ")
    }

    fn unprepared(self, error: PrepareError) -> InvalidValue {
        InvalidValue { rule: self.name(), detail: Cow::Owned(error.to_string()) }
    }
}

/// A signed number as eight bytes whose order is the numbers' order.
fn ordered(number: i64) -> [u8; 8] {
    (number.cast_unsigned() ^ 1 << 63).to_be_bytes()
}

/// Sign, count of digits, digits; for negative numbers all of it complemented, so that `memcmp` is numeric order for
/// any length. Leading zeros and `-0` are tolerated, as assertions have them.
fn integer_key(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let value = value.trim_ascii();
    let (negative, digits) = match value.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    if digits.is_empty() || digits.len() > INTEGER_DIGITS_MAX || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    let digits = digits.get(zeros..)?;
    let count = u16::try_from(digits.len()).ok()?;
    if negative && count > 0 {
        out.push(0x7f);
        out.extend_from_slice(&(!count).to_be_bytes());
        out.extend(digits.iter().map(|byte| !byte));
    } else {
        out.push(0x80);
        out.extend_from_slice(&count.to_be_bytes());
        out.extend_from_slice(digits);
    }
    Some(())
}

/// What follows the opening parenthesis of a description (RFC 4517 4.2.13 and kin); a value that is none is itself.
fn first_component(value: &[u8]) -> &[u8] {
    let value = value.trim_ascii();
    match value.strip_prefix(b"(") {
        Some(inner) => {
            let inner = inner.trim_ascii_start();
            let end = match inner.strip_prefix(b"'") {
                Some(quoted) => quoted.iter().position(|byte| *byte == b'\'').map(|at| at + 2),
                None => inner.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b')'),
            };
            inner.get(..end.unwrap_or(inner.len())).unwrap_or(inner)
        }
        None => value,
    }
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"'").and_then(|inner| inner.strip_suffix(b"'")).unwrap_or(value)
}

/// `\24` and `\5C` back to `$` and `\` (RFC 4517 3.3.28).
fn unescaped_line(line: &[u8]) -> Cow<'_, [u8]> {
    if !line.contains(&b'\\') {
        return Cow::Borrowed(line);
    }
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((&first, after)) = rest.split_first() {
        let (byte, left) = match rest {
            [b'\\', b'2', b'4', after @ ..] => (b'$', after),
            [b'\\', b'5', b'C' | b'c', after @ ..] => (b'\\', after),
            _ => (first, after),
        };
        out.push(byte);
        rest = left;
    }
    Cow::Owned(out)
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u32::from_str_radix(text, 16).ok()
}

fn csn_sid(value: &[u8]) -> Option<u32> {
    if value.len() > 3 { None } else { hexadecimal(value) }
}

/// Whether `text` holds `word` between characters that are neither letters nor digits.
fn contains_word(text: &str, word: &str) -> bool {
    !word.is_empty()
        && text.match_indices(word).any(|(at, _)| {
            let before = text.get(..at).and_then(|before| before.chars().next_back());
            let after = text.get(at + word.len()..).and_then(|after| after.chars().next());
            !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
        })
}

impl Syntax {
    /// Equality rule natural to the syntax, for types that declare none.
    pub(crate) fn natural_equality(self) -> MatchingRule {
        match self {
            Self::BitString => MatchingRule::BitStringMatch,
            Self::Boolean => MatchingRule::BooleanMatch,
            Self::Csn => MatchingRule::CsnMatch,
            Self::Dn => MatchingRule::DistinguishedNameMatch,
            Self::FacsimileTelephoneNumber | Self::TelephoneNumber => MatchingRule::TelephoneNumberMatch,
            Self::GeneralizedTime => MatchingRule::GeneralizedTimeMatch,
            Self::Ia5String | Self::OtherMailbox => MatchingRule::CaseIgnoreIa5Match,
            Self::Integer => MatchingRule::IntegerMatch,
            Self::NameAndOptionalUid => MatchingRule::UniqueMemberMatch,
            Self::NumericString => MatchingRule::NumericStringMatch,
            Self::Oid => MatchingRule::ObjectIdentifierMatch,
            Self::PostalAddress => MatchingRule::CaseIgnoreListMatch,
            Self::UtcTime => MatchingRule::UtcTimeMatch,
            Self::Uuid => MatchingRule::UuidMatch,
            Self::CountryString
            | Self::DeliveryMethod
            | Self::DirectoryString
            | Self::EnhancedGuide
            | Self::Guide
            | Self::PrintableString
            | Self::TeletexTerminalIdentifier
            | Self::TelexNumber => MatchingRule::CaseIgnoreMatch,
            _ => MatchingRule::OctetStringMatch,
        }
    }
}

impl MatchingRule {
    /// Ordering rule that goes with an equality rule where text or numbers have a natural order. Telephone numbers
    /// and addresses have none here: no standard rule orders by their keys.
    pub(crate) fn natural_ordering(self) -> Option<Self> {
        match self {
            Self::CaseIgnoreMatch | Self::CaseIgnoreIa5Match => Some(Self::CaseIgnoreOrderingMatch),
            Self::CaseExactMatch | Self::CaseExactIa5Match => Some(Self::CaseExactOrderingMatch),
            Self::NumericStringMatch => Some(Self::NumericStringOrderingMatch),
            Self::IntegerMatch => Some(Self::IntegerOrderingMatch),
            Self::GeneralizedTimeMatch => Some(Self::GeneralizedTimeOrderingMatch),
            Self::UtcTimeMatch => Some(Self::UtcTimeOrderingMatch),
            Self::UuidMatch => Some(Self::UuidOrderingMatch),
            Self::CsnMatch => Some(Self::CsnOrderingMatch),
            _ => None,
        }
    }

    /// Substring rule that goes with an equality rule of text.
    pub(crate) fn natural_substring(self) -> Option<Self> {
        match self {
            Self::CaseIgnoreMatch => Some(Self::CaseIgnoreSubstringsMatch),
            Self::CaseExactMatch => Some(Self::CaseExactSubstringsMatch),
            Self::CaseIgnoreIa5Match => Some(Self::CaseIgnoreIa5SubstringsMatch),
            Self::CaseExactIa5Match => Some(Self::CaseExactIa5SubstringsMatch),
            Self::NumericStringMatch => Some(Self::NumericStringSubstringsMatch),
            Self::CaseIgnoreListMatch => Some(Self::CaseIgnoreListSubstringsMatch),
            Self::TelephoneNumberMatch => Some(Self::TelephoneNumberSubstringsMatch),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
