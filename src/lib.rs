//! Entente: an LDAP directory server for contacts whose masters agree.
//!
//! The house has floors; a floor imports only from the floors below it (`tests/tidy.rs` checks it):
//!
//! ```text
//! 11  main, cli                       commands
//! 10  node, config, telemetry         wires everything
//!  9  server | replication            doors: LDAP, peers
//!  8  transport                       listener, TLS, shutdown: bytes, no LDAP
//!  7  operation                       LDAP operations: who may, what it means, which result code
//!  6  policy                          decide: access rules, passwords, limits
//!  5  search                          find entries, and say whether an entry matches
//!  4  dit                             the replicated tree: snapshots, the one write door
//!  3  storage                         LMDB tables: bytes and ids
//!  2  state                           pure: CSN, clock, cells, joins, view rules
//!  1  schema | wire                   types, matching rules, syntaxes | BER, requests, responses
//!  0  model, clock, metrics           DN, attribute, filter, change, LDIF; time; counters
//! ```

pub mod cli;
pub mod clock;
pub mod config;
pub mod dit;
pub mod metrics;
pub mod model;
pub mod node;
pub mod operation;
pub mod policy;
pub mod replication;
pub mod schema;
pub mod search;
pub mod server;
pub mod state;
pub mod storage;
pub mod telemetry;
pub mod transport;
pub mod wire;
