//! LDAP result codes (RFC 4511 4.1.9 and appendix A, with those of the extensions we speak).
//!
//! The protocol's enumeration is open: extensions add to it and a peer may send one we never heard of. So it is an
//! integer with names, not a closed enum.

use std::fmt;

/// The outcome of an operation, as the number on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ResultCode(pub u32);

macro_rules! result_codes {
    ($($(#[$doc:meta])* $constant:ident = $number:literal, $name:literal;)*) => {
        impl ResultCode {
            $($(#[$doc])* pub const $constant: Self = Self($number);)*

            /// The name as its RFC spells it, such as `noSuchObject`; `unknown` for a number without a name here.
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($number => $name,)*
                    _ => "unknown",
                }
            }

            /// Every code that has a name here, by rising number.
            pub const NAMED: &'static [Self] = &[$(Self::$constant,)*];
        }
    };
}

result_codes! {
    /// `success` (RFC 4511).
    SUCCESS = 0, "success";
    /// `operationsError` (RFC 4511).
    OPERATIONS_ERROR = 1, "operationsError";
    /// `protocolError` (RFC 4511).
    PROTOCOL_ERROR = 2, "protocolError";
    /// `timeLimitExceeded` (RFC 4511).
    TIME_LIMIT_EXCEEDED = 3, "timeLimitExceeded";
    /// `sizeLimitExceeded` (RFC 4511).
    SIZE_LIMIT_EXCEEDED = 4, "sizeLimitExceeded";
    /// `compareFalse` (RFC 4511).
    COMPARE_FALSE = 5, "compareFalse";
    /// `compareTrue` (RFC 4511).
    COMPARE_TRUE = 6, "compareTrue";
    /// `authMethodNotSupported` (RFC 4511).
    AUTH_METHOD_NOT_SUPPORTED = 7, "authMethodNotSupported";
    /// `strongerAuthRequired` (RFC 4511).
    STRONGER_AUTH_REQUIRED = 8, "strongerAuthRequired";
    /// `referral` (RFC 4511).
    REFERRAL = 10, "referral";
    /// `adminLimitExceeded` (RFC 4511).
    ADMIN_LIMIT_EXCEEDED = 11, "adminLimitExceeded";
    /// `unavailableCriticalExtension` (RFC 4511).
    UNAVAILABLE_CRITICAL_EXTENSION = 12, "unavailableCriticalExtension";
    /// `confidentialityRequired` (RFC 4511).
    CONFIDENTIALITY_REQUIRED = 13, "confidentialityRequired";
    /// `saslBindInProgress` (RFC 4511).
    SASL_BIND_IN_PROGRESS = 14, "saslBindInProgress";
    /// `noSuchAttribute` (RFC 4511).
    NO_SUCH_ATTRIBUTE = 16, "noSuchAttribute";
    /// `undefinedAttributeType` (RFC 4511).
    UNDEFINED_ATTRIBUTE_TYPE = 17, "undefinedAttributeType";
    /// `inappropriateMatching` (RFC 4511).
    INAPPROPRIATE_MATCHING = 18, "inappropriateMatching";
    /// `constraintViolation` (RFC 4511).
    CONSTRAINT_VIOLATION = 19, "constraintViolation";
    /// `attributeOrValueExists` (RFC 4511).
    ATTRIBUTE_OR_VALUE_EXISTS = 20, "attributeOrValueExists";
    /// `invalidAttributeSyntax` (RFC 4511).
    INVALID_ATTRIBUTE_SYNTAX = 21, "invalidAttributeSyntax";
    /// `noSuchObject` (RFC 4511).
    NO_SUCH_OBJECT = 32, "noSuchObject";
    /// `aliasProblem` (RFC 4511).
    ALIAS_PROBLEM = 33, "aliasProblem";
    /// `invalidDNSyntax` (RFC 4511).
    INVALID_DN_SYNTAX = 34, "invalidDNSyntax";
    /// `aliasDereferencingProblem` (RFC 4511).
    ALIAS_DEREFERENCING_PROBLEM = 36, "aliasDereferencingProblem";
    /// `inappropriateAuthentication` (RFC 4511).
    INAPPROPRIATE_AUTHENTICATION = 48, "inappropriateAuthentication";
    /// `invalidCredentials` (RFC 4511).
    INVALID_CREDENTIALS = 49, "invalidCredentials";
    /// `insufficientAccessRights` (RFC 4511).
    INSUFFICIENT_ACCESS_RIGHTS = 50, "insufficientAccessRights";
    /// `busy` (RFC 4511).
    BUSY = 51, "busy";
    /// `unavailable` (RFC 4511).
    UNAVAILABLE = 52, "unavailable";
    /// `unwillingToPerform` (RFC 4511).
    UNWILLING_TO_PERFORM = 53, "unwillingToPerform";
    /// `loopDetect` (RFC 4511).
    LOOP_DETECT = 54, "loopDetect";
    /// `sortControlMissing` (RFC 2891 / draft-ietf-ldapext-ldapv3-vlv).
    SORT_CONTROL_MISSING = 60, "sortControlMissing";
    /// `offsetRangeError` (draft-ietf-ldapext-ldapv3-vlv).
    OFFSET_RANGE_ERROR = 61, "offsetRangeError";
    /// `namingViolation` (RFC 4511).
    NAMING_VIOLATION = 64, "namingViolation";
    /// `objectClassViolation` (RFC 4511).
    OBJECT_CLASS_VIOLATION = 65, "objectClassViolation";
    /// `notAllowedOnNonLeaf` (RFC 4511).
    NOT_ALLOWED_ON_NON_LEAF = 66, "notAllowedOnNonLeaf";
    /// `notAllowedOnRDN` (RFC 4511).
    NOT_ALLOWED_ON_RDN = 67, "notAllowedOnRDN";
    /// `entryAlreadyExists` (RFC 4511).
    ENTRY_ALREADY_EXISTS = 68, "entryAlreadyExists";
    /// `objectClassModsProhibited` (RFC 4511).
    OBJECT_CLASS_MODS_PROHIBITED = 69, "objectClassModsProhibited";
    /// `resultsTooLarge` (IANA registry, used with virtual list views).
    RESULTS_TOO_LARGE = 70, "resultsTooLarge";
    /// `affectsMultipleDSAs` (RFC 4511).
    AFFECTS_MULTIPLE_DSAS = 71, "affectsMultipleDSAs";
    /// `virtualListViewError` (draft-ietf-ldapext-ldapv3-vlv-09).
    VIRTUAL_LIST_VIEW_ERROR = 76, "virtualListViewError";
    /// `other` (RFC 4511).
    OTHER = 80, "other";
    /// `canceled` (RFC 3909).
    CANCELED = 118, "canceled";
    /// `noSuchOperation` (RFC 3909).
    NO_SUCH_OPERATION = 119, "noSuchOperation";
    /// `tooLate` (RFC 3909).
    TOO_LATE = 120, "tooLate";
    /// `cannotCancel` (RFC 3909).
    CANNOT_CANCEL = 121, "cannotCancel";
    /// `assertionFailed` (RFC 4528).
    ASSERTION_FAILED = 122, "assertionFailed";
    /// `authorizationDenied` (RFC 4370).
    AUTHORIZATION_DENIED = 123, "authorizationDenied";
    /// `e-syncRefreshRequired` (RFC 4533).
    E_SYNC_REFRESH_REQUIRED = 4096, "e-syncRefreshRequired";
    /// `noOperation` (draft-zeilenga-ldap-noop; the number that OpenLDAP and OpenDJ use).
    NO_OPERATION = 16_654, "noOperation";
}

impl fmt::Display for ResultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_standard() {
        assert_eq!(ResultCode::NO_SUCH_OBJECT.name(), "noSuchObject");
        assert_eq!(ResultCode::NO_SUCH_OBJECT.to_string(), "noSuchObject (32)");
        assert_eq!(ResultCode(9999).to_string(), "unknown (9999)");
    }

    #[test]
    fn codes_are_listed_by_rising_number() {
        assert!(ResultCode::NAMED.is_sorted_by(|left, right| left < right));
    }
}
