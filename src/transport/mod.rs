//! Listener, TLS, shutdown: bytes in and out, no LDAP.

mod listen_url;

pub use listen_url::{LDAP_PORT, LDAPS_PORT, ListenUrl, ListenUrlError};
