//! Clusters on a network that fails: each node a process in a network namespace of its own, links cut by nftables,
//! processes killed, clocks set wrong, data directories copied as files.
//!
//! Needs root, iproute2, nftables and libfaketime, so plain `cargo test` leaves it out: `cargo test --features network
//! --test network`, which `tests/all` runs. The long run is
//! `ENTENTE_NETWORK_ROUNDS=100 cargo test --features network --test network -- five_nodes --nocapture`; it prints its
//! seed, and `ENTENTE_NETWORK_SEED` plays the same plan again.
//!
//! Whatever happened, each test ends with [`world::World::settle`]: all nodes say that they are equal, exports are the
//! same to the byte, checks are clean, no acknowledged write is lost, and clients can remove everything by ordinary
//! deletes.

#![allow(dead_code, reason = "each test target uses its part of support")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail by panicking, in its helper functions too"
)]

#[path = "../support/mod.rs"]
mod support;

mod book;
mod certificates;
mod clocks;
mod copies;
mod crashes;
mod links;
mod namespace;
mod node;
mod rounds;
mod silence;
mod suspensions;
mod topologies;
mod trees;
mod world;
mod writers;
