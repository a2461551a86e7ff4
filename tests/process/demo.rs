//! `entente demo`: the README's first command.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::support::client::Client;
use crate::support::code;
use crate::support::program::{Program, entente};
use crate::support::request::Search;
use crate::support::wait::wait_until;

/// The demo's ports are fixed, so one demo runs at a time.
static PORTS: Mutex<()> = Mutex::new(());

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn is_taken(port: u16) -> bool {
    TcpStream::connect_timeout(&address(port), Duration::from_millis(500)).is_ok()
}

/// The ports for this test; fails in words where another program has them.
#[track_caller]
fn ports() -> MutexGuard<'static, ()> {
    let guard = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    for port in [3389, 3636] {
        assert!(!is_taken(port), "port {port} is in use by another program; end it and run the test again");
    }
    guard
}

#[track_caller]
fn start(folder: &Path) -> Program {
    let mut program = Program::start(entente().arg("demo").current_dir(folder));
    wait_until("the demo to listen", || {
        assert!(!program.has_ended(), "the demo ended: {}", program.said());
        is_taken(3389) && is_taken(3636)
    });
    program
}

#[test]
fn demo_serves_the_example_to_anybody_and_says_what_to_type() {
    let _ports = ports();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut demo = start(folder.path());
    assert!(folder.path().join("entente-demo").is_dir());
    let mut client = Client::connect(address(3389));
    let found = client.search(&Search::subtree("dc=example,dc=com", "(uid=ann)")).expect(code::SUCCESS);
    assert_eq!(found.entries.len(), 1);
    assert!(!found.entries[0].bytes("mail").is_empty() && !found.entries[0].has("userPassword"));
    client.bind("uid=ann,ou=people,dc=example,dc=com", "secret").expect(code::SUCCESS);
    wait_until("lines to paste", || demo.said().contains("ldapsearch"));
    let said = demo.said();
    for word in ["ldapsearch", "ldaps://", "3389", "3636", "entente search", "dc=example,dc=com"] {
        assert!(said.contains(word), "{word} is not among the lines to paste:\n{said}");
    }
    assert!(demo.terminate().success());
}

#[test]
fn second_demo_uses_the_data_that_is_there() {
    let _ports = ports();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut demo = start(folder.path());
    let mut client = Client::connect(address(3389));
    client.bind("uid=ann,ou=people,dc=example,dc=com", "secret").expect(code::SUCCESS);
    let own = "uid=ann,ou=people,dc=example,dc=com";
    client.modify(own, &[(crate::support::request::REPLACE, "mobile", &["+44 7700 900999"])]).expect(code::SUCCESS);
    drop(client);
    assert!(demo.terminate().success());
    let mut demo = start(folder.path());
    let mut client = Client::connect(address(3389));
    assert_eq!(client.read_attributes(own, &["mobile"]).value("mobile"), "+44 7700 900999");
    assert!(demo.terminate().success());
}

/// Ctrl-C is SIGINT.
#[test]
fn demo_ends_cleanly_at_ctrl_c() {
    let _ports = ports();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut demo = start(folder.path());
    demo.signal(rustix::process::Signal::INT);
    assert!(demo.wait().success(), "{}", demo.said());
}

#[test]
fn demo_with_a_busy_port_names_the_port_and_the_setting() {
    let _ports = ports();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let taken = std::net::TcpListener::bind(address(3389)).expect("the port was free a moment ago");
    let mut demo = Program::start(entente().arg("demo").current_dir(folder.path()));
    assert!(!demo.wait().success());
    drop(taken);
    wait_until("a word about the port", || demo.said().contains("3389"));
    let said = demo.said().to_lowercase();
    assert!(said.contains("listen"), "the setting is not named:\n{said}");
    assert!(said.contains("in use") || said.contains("busy") || said.contains("taken"), "{said}");
}
