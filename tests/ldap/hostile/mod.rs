//! Clients that mean harm, by the numbers of `deploy/hostile.md`. What each attack costs the server is bounded, and the
//! others are served meanwhile.
//!
//! Bounds here hold for a debug build on a machine that runs other tests at the same time; `deploy/hostile.md` has what a
//! release build takes on a quiet one. `ENTENTE_STRAIN=5 cargo test --release --test ldap hostile -- --nocapture
//! --test-threads 1` makes every attack five times as large and prints the figures.

mod deep;
mod floods;
mod log_lines;
mod loops;
mod odd_values;
mod unfinished;
mod without_trace;

use std::time::Duration;

use crate::support::client::Client;
use crate::support::server::{Server, Setup, Subject};
use crate::support::strain::{Use, Waits};
use crate::{ANN, PEOPLE};

/// The median of what others wait for an answer, at most; a debug build judges a filter some twenty times as long.
const OTHERS_WAIT: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1_000 } else { 50 });
/// Answers that others get during an attack.
const OTHERS_ASK: usize = 100;
/// How many times as long as without an attack the slowest hundredth of others' answers may take with it.
const OTHERS_SLOWER: u32 = 20;
/// What counts as one wait of no attack at least: a turn of the system's scheduler, beside other tests.
const WAIT_LEAST: Duration = Duration::from_millis(4);

/// How many times as large as usual the attacks are.
fn strain() -> usize {
    std::env::var("ENTENTE_STRAIN").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Entries with some text in them, so that reading all of them is work.
fn with_crowd(entries: usize, text_bytes: usize) -> Setup {
    let text = "lorem ipsum ".repeat(text_bytes / 12);
    let text = text.trim_end();
    let crowd: Vec<String> = (0..entries)
        .map(|number| {
            format!(
                "dn: uid=c{number},{PEOPLE}\nobjectClass: inetOrgPerson\nuid: c{number}\ncn: Crowd {number}\nsn: Crowd\n\
                 roomNumber: {number}\ndescription: {number} {text}\n"
            )
        })
        .collect();
    Setup::default().with_entries(&crowd.join("\n"))
}

/// Somebody else is answered while an attack goes on; says what the attack has cost since `before`.
#[track_caller]
fn others_are_served(what: &str, server: &Server, other: &mut Client, before: Use) -> Use {
    let waits = Waits::of(other, ANN, OTHERS_ASK);
    let used = before.since(server);
    println!(
        "{what}: {:.2} s CPU, {} KiB more, others wait {:?} (median), {:?} (p99)",
        used.cpu,
        used.held_kib,
        waits.median(),
        waits.p99()
    );
    assert!(Subject::current().is_slapd() || waits.median() < OTHERS_WAIT, "{what}: others wait {:?}", waits.median());
    used
}

/// T-42: others' slowest hundredth `during` an attack is that without it, by [`OTHERS_SLOWER`]. The same client asked before
/// (`calm`) and asks after, so that the machine's own moods count on both sides.
#[track_caller]
fn others_wait_as_before(what: &str, other: &mut Client, calm: &Waits, during: &Waits) {
    let after = Waits::of(other, ANN, 5 * OTHERS_ASK);
    let usual = calm.p99().max(after.p99()).max(WAIT_LEAST);
    println!("{what}: others wait {:?} (p99), {:?} before and {:?} after", during.p99(), calm.p99(), after.p99());
    assert!(during.p99() < usual * OTHERS_SLOWER, "{what}: others wait {:?} (p99), else {usual:?}", during.p99());
}
