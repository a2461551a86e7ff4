//! Programs and libraries that people use with a directory, each doing its real job against a node of its own.
//!
//! One module for each client, and README.md in this folder says in a table what each of them does. They need Debian's
//! packages, so plain `cargo test` leaves them out: `tests/all clients` installs what they need and runs them. What is
//! asserted is what the client says, not what the server thinks of it.

#![allow(dead_code, reason = "each test target uses its part of support")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail by panicking, in its helper functions too"
)]

#[path = "../support/mod.rs"]
mod support;

mod apache;
mod curl;
mod dovecot;
mod evolution;
mod freeradius;
mod haproxy;
mod jndi;
#[cfg(feature = "gssapi")]
mod kerberos;
mod ldapvi;
mod net_ldap;
mod net_ldap3;
mod node;
mod nslcd;
mod postfix;
mod script;
mod shelldap;
mod site;
mod sssd;
mod thunderbird;
