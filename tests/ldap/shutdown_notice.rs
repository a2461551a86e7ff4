//! Notice of disconnection when the server ends: RFC 4511 4.4.1.

use crate::PEOPLE;
use crate::support::client::parse_outcome;
use crate::support::request::{ADD, Search};
use crate::support::server::{Server, Setup, Subject};
use crate::support::{code, oid};

/// An idle connection is told before it is closed; slapd just closes.
#[test]
fn idle_connections_get_a_notice_of_disconnection_at_shutdown() {
    let mut server = Server::start(Setup::default());
    let mut bound = server.person("ann");
    let mut fresh = server.anonymous();
    fresh.who_am_i();
    server.ask_to_stop();
    for client in [&mut bound, &mut fresh] {
        let mut noticed = false;
        while let Some(message) = client.receive() {
            assert_eq!((message.id, message.operation.tag), (0, 0x78), "{message:?}");
            let outcome = parse_outcome(&message).expect("an extended response");
            assert_eq!(outcome.name.as_deref(), Some(oid::NOTICE_OF_DISCONNECTION));
            outcome.expect_one_of(&[52, 51, code::OTHER]);
            noticed = true;
        }
        assert!(noticed || Subject::current().is_slapd(), "closed without a notice");
    }
    let status = server.wait();
    // slapd says 1 now and then.
    assert!(status.success() || Subject::current().is_slapd(), "{status}");
}

/// What was answered before the end is there after it.
#[test]
fn writes_answered_before_shutdown_are_kept() {
    let mut server = Server::start(Setup::default());
    let mut client = server.admin();
    for round in 0..20 {
        client.modify(crate::ANN, &[(ADD, "description", &[&format!("round {round}")])]).expect(code::SUCCESS);
    }
    let status = server.stop();
    // slapd says 1 now and then.
    assert!(status.success() || Subject::current().is_slapd(), "{status}");
    server.restart();
    let found = server.admin().read(crate::ANN).values("description");
    assert_eq!(found.iter().filter(|value| value.starts_with("round")).count(), 20);
}

/// No new connections while the server ends, and it ends though clients stay.
#[test]
fn server_ends_though_clients_stay_connected() {
    let mut server = Server::start(Setup::default());
    let _silent: Vec<_> = (0..20).map(|_| crate::support::client::Client::socket(server.address())).collect();
    let mut busy = server.admin();
    let id = busy.send(&Search::subtree(PEOPLE, "(uid=*)").encode());
    busy.found_for(id).expect(code::SUCCESS);
    let status = server.stop();
    // slapd says 1 now and then.
    assert!(status.success() || Subject::current().is_slapd(), "{status}");
}
