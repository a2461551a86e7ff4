//! The program as a person or a supervisor meets it: started, killed, asked for help, given wrong settings.
//!
//! Needs nothing but the program itself. Tests that drive other programs are in `tests/peers`.

#![allow(dead_code, reason = "each test target uses its part of support")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail by panicking, in its helper functions too"
)]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod cluster;
mod commands;
mod demo;
mod encryption;
mod help;
mod hostile;
mod import_export;
mod kill;
mod notify;
mod secrets;
mod settings;
mod undelete;
