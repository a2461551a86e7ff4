//! Clusters whose members run different builds of the program: the one under test, the one of an earlier revision, and what a release
//! after this one would be. `tests/upgrade/run` builds them and says where they are.

#![allow(dead_code, reason = "each test target uses its part of support")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail by panicking, in its helper functions too"
)]

#[path = "../process/cluster/node.rs"]
mod node;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use entente::clock::Clock;
use entente::dit::{Dit, LogRange, Options};
use entente::schema::Schema;
use entente::state::OriginId;

use node::{Node, person};
use support::client::Client;
use support::code;
use support::program::run;
use support::request::REPLACE;
use support::server::{ADMIN, ADMIN_PASSWORD};
use support::wait::wait_until;

/// Written between two steps, at least.
const WRITES: usize = 20;

fn build(variable: &str) -> PathBuf {
    std::env::var_os(variable).map(PathBuf::from).unwrap_or_else(|| panic!("{variable} is not set: tests/upgrade/run"))
}

fn this() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_entente"))
}

fn three(folder: &Path, of: &Path) -> [Node; 3] {
    let mut a = Node::found_by(folder, "a", of);
    a.serve();
    let join = |name: &str| Node::at(folder, name).of(of).joining(&a);
    let (b, c) = (join("b"), join("c"));
    [a, b, c]
}

/// Somebody who writes to one member that runs, its own entry, a number that rises; what was answered is kept.
struct Writer {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Writer {
    fn to(node: &Node, uid: &'static str, from: usize) -> Self {
        let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(from)));
        let (is_over, count, address) = (Arc::clone(&over), Arc::clone(&answered), node.address());
        let thread = std::thread::spawn(move || {
            let mut client = Client::connect(address);
            client.bind(ADMIN, ADMIN_PASSWORD).expect(code::SUCCESS);
            while !is_over.load(Ordering::SeqCst) {
                let next = count.load(Ordering::SeqCst) + 1;
                let outcome = client.modify(&person(uid), &[(REPLACE, "description", &[&next.to_string()])]);
                outcome.expect(code::SUCCESS);
                count.store(next, Ordering::SeqCst);
            }
        });
        Self { over, answered, thread }
    }

    /// Lets it write some more.
    fn wait(&self) {
        let until = self.answered.load(Ordering::SeqCst) + WRITES;
        wait_until("writes", || self.answered.load(Ordering::SeqCst) >= until);
    }

    /// The last that was answered.
    fn end(self) -> usize {
        self.over.store(true, Ordering::SeqCst);
        self.thread.join().expect("it writes");
        self.answered.load(Ordering::SeqCst)
    }
}

/// One member after the other is stopped and served by another program, while clients write to the others.
#[track_caller]
fn upgrade(from: &Path, to: &Path) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut nodes = three(folder.path(), from);
    let uids = ["ann", "bob", "carol"];
    let mut written = [0; 3];
    for place in 0..3 {
        let others = [(place + 1) % 3, (place + 2) % 3];
        let writers = others.map(|other| (other, Writer::to(&nodes[other], uids[other], written[other])));
        writers.iter().for_each(|(_, writer)| writer.wait());
        nodes[place].upgrade(to);
        nodes[place].wait_until_open();
        // What is written meanwhile goes on both ways between the two programs.
        let own = Writer::to(&nodes[place], uids[place], written[place]);
        own.wait();
        writers.iter().for_each(|(_, writer)| writer.wait());
        written[place] = own.end();
        for (other, writer) in writers {
            written[other] = writer.end();
        }
        nodes.iter().for_each(|node| node.wait_until_equal());
        for node in &nodes {
            for (uid, last) in uids.iter().zip(written) {
                assert_eq!(node.description(uid), last.to_string(), "what was answered, after step {place}");
            }
        }
    }
    let exports: Vec<String> = nodes
        .iter_mut()
        .map(|node| {
            node.stop();
            run(&mut node.command(&["check"])).expect_success();
            run(&mut node.command(&["export"])).expect_success()
        })
        .collect();
    assert!(exports.iter().all(|export| *export == exports[0]));
}

#[test]
fn three_members_are_upgraded_from_an_earlier_revision_one_by_one_under_writes() {
    upgrade(&build("ENTENTE_BEFORE"), &this());
}

/// Another format of the data file, a newer protocol.
#[test]
fn three_members_are_upgraded_to_a_later_release_one_by_one_under_writes() {
    upgrade(&this(), &build("ENTENTE_NEXT"));
}

/// The log of a node that does not run, of one origin.
fn log(node: &Node, origin: &str) -> Vec<Vec<u8>> {
    let dit = Dit::open(Options::new(node.data()), Arc::new(Schema::builtin()), Clock::system()).expect("its data");
    let origin = OriginId(u64::from_str_radix(origin, 16).expect("an origin"));
    let snapshot = dit.read().expect("a snapshot");
    match snapshot.view().log_range(origin, 1, usize::MAX).expect("a log") {
        LogRange::Records(records) => records.into_iter().map(|record| record.bytes).collect(),
        LogRange::Trimmed { .. } => panic!("it is whole"),
    }
}

/// What one release adds to a change, the one before keeps and sends on.
#[test]
fn a_field_that_a_member_does_not_know_goes_through_it_unharmed_to_a_third() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut a = Node::found_by(folder.path(), "a", &this());
    a.serve();
    let mut b = a.joined("b", "supplier");
    let mut c = a.joined("c", "supplier");
    a.wait_until_equal();
    c.stop();
    a.upgrade(&build("ENTENTE_NEXT"));
    a.wait_until_open();
    a.describe("ann", "by a later release");
    b.wait_for_description("ann", "by a later release");
    let origin = a.status()["origin"].as_str().expect("an origin").to_owned();
    let last = |node: &Node| node.status()["vector"][&origin].as_u64();
    wait_until("all of it at b", || last(&b).is_some() && last(&a) == last(&b));
    a.stop();
    c.serve();
    wait_until("all of it at c, by b", || last(&b) == last(&c));
    assert_eq!(c.description("ann"), "by a later release");
    b.stop();
    c.stop();
    let (through, at) = (log(&b, &origin), log(&c, &origin));
    let has_field = |record: &Vec<u8>| record.windows(4).any(|part| part == b"next");
    assert!(at.last().is_some_and(has_field), "{at:?}");
    assert_eq!(through, at);
}
