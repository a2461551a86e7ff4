//! Behaviour on the wire: one file an RFC or an area, each case a sentence that cites its section.
//!
//! `cargo test --test ldap` runs the cases against Entente, `LDAP_SUBJECT=slapd cargo test --test ldap` the same ones
//! against Debian's slapd, which proves the cases. Where slapd rightly differs the case says so.

#![allow(dead_code, reason = "each test target uses its part of support")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail by panicking, in its helper functions too"
)]

#[macro_use]
mod only;

#[path = "../support/mod.rs"]
mod support;

mod access;
mod access_cases;
mod account_usability;
mod acting_as;
mod app_password;
mod approximate;
mod assurance;
mod changelog;
mod client_filters;
mod client_habits;
mod conflicts_and_deleted;
mod control_pairs;
mod controls_without_value;
mod dereference;
mod effective_rights;
mod failed_binds;
mod groups;
mod hostile;
mod ldap3_proto_agrees;
mod limits;
mod malformed_pdus;
mod monitor;
mod no_operation;
mod operational_attributes;
mod own_limits;
mod password_policy;
mod password_upgrade;
mod permissive_modify;
mod persistent_search;
mod proxy_protocol;
mod references;
mod relax_rules;
mod result_codes;
mod rfc2696_paged;
mod rfc2891_sort;
mod rfc3062_password_modify;
mod rfc3296_manage_dsa_it;
mod rfc3671_collective;
mod rfc3672_subentries;
mod rfc3829_authorization_identity;
mod rfc3866_languages;
mod rfc3876_matched_values;
mod rfc3909_cancel;
mod rfc4370_proxied_authorization;
mod rfc4511_add;
mod rfc4511_bind;
mod rfc4511_compare;
mod rfc4511_delete;
mod rfc4511_modify;
mod rfc4511_modify_dn;
mod rfc4511_search;
mod rfc4511_search_aliases;
mod rfc4511_search_attributes;
mod rfc4511_search_filters;
mod rfc4512_attribute_options;
mod rfc4512_root_dse_and_subschema;
mod rfc4525_increment;
mod rfc4527_read_entry;
mod rfc4528_assertion;
mod rfc4532_whoami;
mod rfc4533_sync;
mod rfc5805_transactions;
mod rfc6171_dont_use_copy;
mod roles;
mod sasl_certificate;
mod sasl_external;
mod sasl_oauthbearer;
mod sasl_plain;
mod sasl_scram;
mod schema_online;
mod searched_members;
mod second_suffix;
mod session_tracking;
mod shutdown_notice;
mod starttls;
mod sync_under_strain;
mod tls_records;
mod tree_delete;
mod uniqueness;
mod virtual_entries;
mod virtual_list_view;

/// Where the people of the usual data are.
const PEOPLE: &str = "ou=people,dc=example,dc=com";
/// Where the groups are.
const GROUPS: &str = "ou=groups,dc=example,dc=com";
/// One of the people.
const ANN: &str = "uid=ann,ou=people,dc=example,dc=com";
/// Another one.
const BOB: &str = "uid=bob,ou=people,dc=example,dc=com";
/// Everybody below ou=people.
const EVERYBODY: [&str; 6] = ["ann", "bob", "carol", "dave", "juergen", "star"];

/// Adds a person with the least that inetOrgPerson needs, and returns the DN.
#[track_caller]
fn add_person(client: &mut support::client::Client, superior: &str, uid: &str) -> String {
    let dn = format!("uid={uid},{superior}");
    let attributes: [(&str, &[&str]); 4] =
        [("objectClass", &["inetOrgPerson"]), ("uid", &[uid]), ("cn", &["A Person"]), ("sn", &["Person"])];
    client.add(&dn, &attributes).expect(support::code::SUCCESS);
    dn
}
