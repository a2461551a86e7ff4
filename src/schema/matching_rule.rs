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

mod key;

use std::borrow::Cow;

use super::syntax::Syntax;

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
    Certificate,
    CertificateParts,
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
    CertificateExactMatch = "2.5.13.34", "certificateExactMatch", "1.3.6.1.1.15.1", Equality, Certificate;
    CertificateMatch = "2.5.13.35", "certificateMatch", "1.3.6.1.1.15.2", Equality, CertificateParts;
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
                | Form::CertificateParts
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
