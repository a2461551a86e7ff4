//! Entente beside programs that nobody here wrote: ldap-utils, slapd, 389 Directory Server, python-ldap, ldap3.
//!
//! Needs Debian's packages, so plain `cargo test` leaves it out: `cargo test --features peers --test peers`, which
//! `tests/all` runs after it has installed them. With `LDAP_SUBJECT=slapd` the client programs run against slapd.

#![allow(dead_code, reason = "each test target uses its part of support")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail by panicking, in its helper functions too"
)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../process/cluster/node.rs"]
mod node;

mod access_389;
mod access_slapd;
mod content_sync;
mod dirsrv;
mod ldap_utils;
mod local_users;
mod migrate_389;
mod migrate_live;
mod migration_389;
mod migration_slapd;
mod python_clients;
mod readme;
mod syncrepl_slapd;
