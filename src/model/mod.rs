//! LDAP values: names, attributes, filters, changes, LDIF. No schema, no I/O but LDIF text.
//!
//! Everything that arrives as text or bytes is parsed here once, at the door, into a type that cannot be
//! malformed; the floors above never look at raw text again. What two values have in common beyond their
//! spelling (`CN=Ann` and `cn=ann`) is the schema's business: equality of these types is equality of spelling.
//!
//! Every parser here has limits (named constants beside it), reports where it stopped and what to write
//! instead, and never panics on any input. Printing a value and parsing the text gives the value back.

pub mod attribute;
pub mod change;
pub mod dn;
pub mod entry_uuid;
pub mod filter;
pub mod ldap_url;
pub mod ldif;
pub mod log_text;
mod percent;
pub mod result_code;
pub mod scope;

pub use attribute::{Attribute, AttributeDescription, AttributeDescriptionError};
pub use change::{Change, Modification, ModificationKind};
pub use dn::{Ava, Dn, DnError, Rdn};
pub use entry_uuid::{EntryUuid, EntryUuidError};
pub use filter::{Assertion, Extensible, Filter, FilterError, Substrings};
pub use ldap_url::{LdapScheme, LdapUrl, LdapUrlError, LdapUrlExtension};
pub use log_text::escape_for_log;
pub use result_code::ResultCode;
pub use scope::{DerefAliases, Scope};
