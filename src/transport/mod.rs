//! Listeners, TLS, shutdown: bytes, no LDAP.
