//! Decisions without side effects: who may do what, whether a password fits, which limits bind.
//!
//! Everything here is a function of its arguments: no store, no socket, no clock. The operation floor fetches the
//! facts and hands them in, which is what lets every decision be compared with a naive reference in tests.

pub mod access;
pub mod aci;
pub mod limits;
mod name_pattern;
pub mod password_hash;
pub mod password_policy;
pub mod requester;
pub mod rights;
pub mod scram;
pub mod slapd_access;
pub mod throttle;
pub mod token;
