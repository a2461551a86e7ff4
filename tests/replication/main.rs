//! Text cases of replication: what masters that changed the same things come to.
//!
//! A file in `cases/` holds cases of one theme. Each names its replicas and says, line by line, what clients ask of which
//! one, what is delivered, and what all of them must show. Requests go through the operation layer of real trees;
//! updates go from log to log as between nodes. Every case runs several times, each time with another order of delivery
//! where the case leaves that open; after each `sync` all replicas must be the same to the last value, their digests
//! equal, and `check` must find nothing. The language is described in `README.md` beside this file.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail by panicking, in its helper functions too, and measures its own patience"
)]

mod case;
mod large;
mod replica;
mod run;
mod worlds;

use std::path::Path;

/// Runs of each case, with different orders of delivery.
const RUNS: u64 = 3;

#[test]
fn replicas_come_to_what_the_cases_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/replication/cases");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let wanted = std::env::var("CASE").unwrap_or_default();
    let mut failures = Vec::new();
    let mut cases = 0;
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        for case in case::read(&name, &std::fs::read_to_string(&file).unwrap()) {
            if !format!("{name}: {}", case.name).contains(&wanted) {
                continue;
            }
            cases += 1;
            for seed in 1..=RUNS {
                if let Err(failure) = run::run(&case, seed) {
                    failures.push(format!("{name}, case \"{}\", run {seed}: {failure}", case.name));
                    break;
                }
            }
        }
    }
    assert!(cases > 0, "no case is named {wanted}");
    assert!(failures.is_empty(), "{} of {cases} cases:\n{}", failures.len(), failures.join("\n"));
}
