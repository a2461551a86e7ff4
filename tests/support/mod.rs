//! What all test targets share: a server to talk to, a client that speaks raw LDAP, and waiting with a deadline.
//!
//! The server under test is exchangeable. `LDAP_SUBJECT=slapd cargo test --test ldap` runs the same cases against
//! Debian's slapd, which proves the *cases*; without it they run against Entente. Where slapd rightly differs the
//! case says so itself (`Subject::pick`).
//!
//! The client here builds and reads its own BER and shares no code with the server, so that one misreading of an RFC
//! does not hide in both. Processes are ended by their own handle, temporary folders go with their owner, ports are
//! the ones that the system hands out.

pub(crate) mod access_cases;
pub(crate) mod ber;
pub(crate) mod client;
pub(crate) mod filter;
pub(crate) mod ldif;
pub(crate) mod program;
pub(crate) mod request;
pub(crate) mod role_cases;
pub(crate) mod scram;
pub(crate) mod server;
pub(crate) mod slapd;
pub(crate) mod strain;
pub(crate) mod tls;
pub(crate) mod wait;
pub(crate) mod workload;

/// Result codes by their names in RFC 4511 appendix A and the later RFCs.
pub(crate) mod code {
    pub(crate) const SUCCESS: u32 = 0;
    pub(crate) const OPERATIONS_ERROR: u32 = 1;
    pub(crate) const PROTOCOL_ERROR: u32 = 2;
    pub(crate) const TIME_LIMIT_EXCEEDED: u32 = 3;
    pub(crate) const SIZE_LIMIT_EXCEEDED: u32 = 4;
    pub(crate) const COMPARE_FALSE: u32 = 5;
    pub(crate) const COMPARE_TRUE: u32 = 6;
    pub(crate) const AUTH_METHOD_NOT_SUPPORTED: u32 = 7;
    pub(crate) const REFERRAL: u32 = 10;
    pub(crate) const SASL_BIND_IN_PROGRESS: u32 = 14;
    pub(crate) const UNAVAILABLE_CRITICAL_EXTENSION: u32 = 12;
    pub(crate) const CONFIDENTIALITY_REQUIRED: u32 = 13;
    pub(crate) const NO_SUCH_ATTRIBUTE: u32 = 16;
    pub(crate) const UNDEFINED_ATTRIBUTE_TYPE: u32 = 17;
    pub(crate) const INAPPROPRIATE_MATCHING: u32 = 18;
    pub(crate) const CONSTRAINT_VIOLATION: u32 = 19;
    pub(crate) const ATTRIBUTE_OR_VALUE_EXISTS: u32 = 20;
    pub(crate) const INVALID_ATTRIBUTE_SYNTAX: u32 = 21;
    pub(crate) const NO_SUCH_OBJECT: u32 = 32;
    pub(crate) const ALIAS_PROBLEM: u32 = 33;
    pub(crate) const INVALID_DN_SYNTAX: u32 = 34;
    pub(crate) const ALIAS_DEREFERENCING_PROBLEM: u32 = 36;
    pub(crate) const INAPPROPRIATE_AUTHENTICATION: u32 = 48;
    pub(crate) const INVALID_CREDENTIALS: u32 = 49;
    pub(crate) const INSUFFICIENT_ACCESS_RIGHTS: u32 = 50;
    pub(crate) const BUSY: u32 = 51;
    pub(crate) const UNWILLING_TO_PERFORM: u32 = 53;
    pub(crate) const LOOP_DETECT: u32 = 54;
    pub(crate) const NAMING_VIOLATION: u32 = 64;
    pub(crate) const OBJECT_CLASS_VIOLATION: u32 = 65;
    pub(crate) const NOT_ALLOWED_ON_NON_LEAF: u32 = 66;
    pub(crate) const NOT_ALLOWED_ON_RDN: u32 = 67;
    pub(crate) const ENTRY_ALREADY_EXISTS: u32 = 68;
    pub(crate) const OBJECT_CLASS_MODS_PROHIBITED: u32 = 69;
    pub(crate) const SORT_CONTROL_MISSING: u32 = 60;
    pub(crate) const OFFSET_RANGE_ERROR: u32 = 61;
    pub(crate) const AFFECTS_MULTIPLE_DSAS: u32 = 71;
    pub(crate) const VIRTUAL_LIST_VIEW_ERROR: u32 = 76;
    pub(crate) const ADMIN_LIMIT_EXCEEDED: u32 = 11;
    pub(crate) const AUTHORIZATION_DENIED: u32 = 123;
    pub(crate) const NO_OPERATION: u32 = 16_654;
    pub(crate) const OTHER: u32 = 80;
    pub(crate) const CANCELED: u32 = 118;
    pub(crate) const NO_SUCH_OPERATION: u32 = 119;
    pub(crate) const TOO_LATE: u32 = 120;
    pub(crate) const CANNOT_CANCEL: u32 = 121;
    pub(crate) const ASSERTION_FAILED: u32 = 122;
}

/// Object identifiers of controls and extended operations, by the names of their RFCs.
pub(crate) mod oid {
    pub(crate) const MANAGE_DSA_IT: &str = "2.16.840.1.113730.3.4.2";
    pub(crate) const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";
    pub(crate) const SORT_REQUEST: &str = "1.2.840.113556.1.4.473";
    pub(crate) const SORT_RESPONSE: &str = "1.2.840.113556.1.4.474";
    pub(crate) const VLV_REQUEST: &str = "2.16.840.1.113730.3.4.9";
    pub(crate) const VLV_RESPONSE: &str = "2.16.840.1.113730.3.4.10";
    pub(crate) const TREE_DELETE: &str = "1.2.840.113556.1.4.805";
    pub(crate) const PERMISSIVE_MODIFY: &str = "1.2.840.113556.1.4.1413";
    pub(crate) const NO_OPERATION: &str = "1.3.6.1.4.1.4203.1.10.2";
    pub(crate) const RELAX_RULES: &str = "1.3.6.1.4.1.4203.666.5.12";
    pub(crate) const DONT_USE_COPY: &str = "1.3.6.1.1.22";
    pub(crate) const PROXIED_AUTHORIZATION: &str = "2.16.840.1.113730.3.4.18";
    pub(crate) const AUTHORIZATION_IDENTITY_REQUEST: &str = "2.16.840.1.113730.3.4.16";
    pub(crate) const AUTHORIZATION_IDENTITY_RESPONSE: &str = "2.16.840.1.113730.3.4.15";
    pub(crate) const MATCHED_VALUES: &str = "1.2.826.0.1.3344810.2.3";
    pub(crate) const DEREFERENCE: &str = "1.3.6.1.4.1.4203.666.5.16";
    pub(crate) const EFFECTIVE_RIGHTS: &str = "1.3.6.1.4.1.42.2.27.9.5.2";
    pub(crate) const ACCOUNT_USABILITY: &str = "1.3.6.1.4.1.42.2.27.9.5.8";
    pub(crate) const SESSION_TRACKING: &str = "1.3.6.1.4.1.21008.108.63.1";
    pub(crate) const PERSISTENT_SEARCH: &str = "2.16.840.1.113730.3.4.3";
    pub(crate) const ENTRY_CHANGE: &str = "2.16.840.1.113730.3.4.7";
    pub(crate) const START_TRANSACTION: &str = "1.3.6.1.1.21.1";
    pub(crate) const TRANSACTION: &str = "1.3.6.1.1.21.2";
    pub(crate) const END_TRANSACTION: &str = "1.3.6.1.1.21.3";
    pub(crate) const ABORTED_TRANSACTION: &str = "1.3.6.1.1.21.4";
    pub(crate) const SUBENTRIES: &str = "1.3.6.1.4.1.4203.1.10.1";
    pub(crate) const SUBENTRIES_ALONE: &str = "1.3.6.1.4.1.7628.5.101.1";
    pub(crate) const ASSERTION: &str = "1.3.6.1.1.12";
    pub(crate) const PRE_READ: &str = "1.3.6.1.1.13.1";
    pub(crate) const POST_READ: &str = "1.3.6.1.1.13.2";
    pub(crate) const MODIFY_INCREMENT: &str = "1.3.6.1.1.14";
    pub(crate) const CANCEL: &str = "1.3.6.1.1.8";
    pub(crate) const START_TLS: &str = "1.3.6.1.4.1.1466.20037";
    pub(crate) const NOTICE_OF_DISCONNECTION: &str = "1.3.6.1.4.1.1466.20036";
    pub(crate) const WHO_AM_I: &str = "1.3.6.1.4.1.4203.1.11.3";
    pub(crate) const PASSWORD_POLICY: &str = "1.3.6.1.4.1.42.2.27.8.5.1";
    pub(crate) const PASSWORD_EXPIRED: &str = "2.16.840.1.113730.3.4.4";
    pub(crate) const PASSWORD_EXPIRING: &str = "2.16.840.1.113730.3.4.5";
    pub(crate) const APP_PASSWORD: &str = "2.25.226734431000227364254570923804739913085.4.103";
    pub(crate) const PASSWORD_MODIFY: &str = "1.3.6.1.4.1.4203.1.11.1";
    pub(crate) const ALL_OPERATIONAL: &str = "1.3.6.1.4.1.4203.1.5.1";
    pub(crate) const OBJECT_CLASS_ATTRIBUTES: &str = "1.3.6.1.4.1.4203.1.5.2";
    pub(crate) const TRUE_FALSE_FILTERS: &str = "1.3.6.1.4.1.4203.1.5.3";
    pub(crate) const IN_CHAIN: &str = "1.2.840.113556.1.4.1941";
    pub(crate) const BIT_AND: &str = "1.2.840.113556.1.4.803";
    pub(crate) const SESSION_TOKEN: &str = "2.25.226734431000227364254570923804739913085.3.1";
    pub(crate) const DURABILITY: &str = "2.25.226734431000227364254570923804739913085.3.2";
    pub(crate) const SYNC_REQUEST: &str = "1.3.6.1.4.1.4203.1.9.1.1";
    pub(crate) const SYNC_STATE: &str = "1.3.6.1.4.1.4203.1.9.1.2";
    pub(crate) const SYNC_DONE: &str = "1.3.6.1.4.1.4203.1.9.1.3";
    pub(crate) const SYNC_INFO: &str = "1.3.6.1.4.1.4203.1.9.1.4";
    /// In nobody's schema: an OID below 2.25 made for this purpose.
    pub(crate) const UNKNOWN: &str = "2.25.226734431000227364254570923804739913085.99.1";
}
