//! Tests of the floor as a whole: requests, hostile bytes, responses, and `ldap3_proto` as the second opinion.

mod build;
mod differential;
mod hostile;
mod meaning;
mod requests;
mod responses;
