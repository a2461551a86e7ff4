//! Limits and refusals that a client meets on the connection: RFC 4511 4.4.1, RFC 4513 5.1.3, 6.
//!
//! The settings are Entente's; where slapd has the same by another name it is set too and proves the case.

use std::time::Duration;

use crate::support::client::{Client, parse_outcome};
use crate::support::request::{self, REPLACE, Search};
use crate::support::server::{ADMIN, ADMIN_PASSWORD, SUFFIX, Server, Setup, Subject};
use crate::support::{code, oid};
use crate::{ANN, EVERYBODY, PEOPLE};

/// The connection must end by itself, with a notice of disconnection or without a word.
#[track_caller]
fn assert_ends(client: &mut Client) {
    while let Some(message) = client.receive() {
        assert_eq!((message.id, message.operation.tag), (0, 0x78), "{message:?}");
        let outcome = parse_outcome(&message).expect("an extended response");
        assert_eq!(outcome.name.as_deref(), Some(oid::NOTICE_OF_DISCONNECTION));
    }
}

#[test]
fn idle_connection_is_closed_before_bind_and_kept_after_it() {
    let setup = Setup::default().with_setting("limits.idle_before_bind_s=3").with_slapd_global("idletimeout 3\n");
    let server = Server::start(setup);
    let mut bound = server.person("ann");
    let mut silent = server.anonymous();
    assert_ends(&mut silent);
    // slapd's limit is for both.
    only_entente_from_here!(Setting);
    assert_eq!(bound.who_am_i(), format!("dn:{ANN}"));
}

/// Half a message is no activity that keeps a connection: bytes that trickle in cannot hold it for ever.
#[test]
fn half_a_message_does_not_hold_a_connection() {
    let setup = Setup::default().with_setting("limits.idle_before_bind_s=1").with_slapd_global("idletimeout 1\n");
    let server = Server::start(setup);
    let mut client = server.anonymous();
    let bytes = request::message(1, &Search::base(ANN).encode(), &[]);
    client.send_bytes(&bytes[..10]);
    assert_ends(&mut client);
}

#[test]
fn request_longer_than_the_limit_ends_the_connection() {
    let slapd = "sockbuf_max_incoming_auth 100000\n";
    let server = Server::start(Setup::default().with_setting("limits.pdu_bytes=100000").with_slapd_global(slapd));
    let mut client = server.admin();
    let photo = "x".repeat(90_000);
    client.modify(ANN, &[(REPLACE, "description", &[&photo])]).expect(code::SUCCESS);
    let photo = "x".repeat(110_000);
    if client.try_send(&request::modify(ANN, &[(REPLACE, "description", &[&photo])])).is_some() {
        assert_ends(&mut client);
    }
    assert_eq!(server.admin().read(ANN).value("description").len(), 90_000);
}

#[test]
fn connections_of_one_address_are_counted() {
    only_entente!(Setting);
    let server = Server::start(Setup::default().with_setting("limits.connections_per_address=3"));
    let mut kept: Vec<Client> = (0..3).map(|_| server.anonymous()).collect();
    for client in &mut kept {
        client.who_am_i();
    }
    let mut refused = server.anonymous();
    if refused.try_send(&request::extended(oid::WHO_AM_I, None)).is_some() {
        assert_ends(&mut refused);
    }
    // One goes, another may come.
    drop(kept.pop());
    crate::support::wait::wait_until("a place", || {
        let mut client = server.anonymous();
        client.try_perform(&request::extended(oid::WHO_AM_I, None)).is_some()
    });
}

#[test]
fn anonymous_size_limit_is_its_own() {
    let mut setup = Setup::default().with_setting("limits.anonymous_size=2");
    setup.slapd_access.push_str("limits anonymous size=2\n");
    let server = Server::start(setup);
    let found = server.anonymous().search(&Search::subtree(PEOPLE, "(uid=*)")).expect(code::SIZE_LIMIT_EXCEEDED);
    assert_eq!(found.entries.len(), 2);
    assert_eq!(server.person("ann").names(PEOPLE, "(uid=*)"), EVERYBODY);
}

/// T-41: RFC 4513 6: a password in clear is refused; what needs no password works, and over TLS everything does.
#[test]
fn password_in_clear_is_confidentiality_required_when_told_so() {
    let mut setup = Setup::default().with_tls().with_setting("server.loopback_needs_no_tls=false");
    setup.slapd_access.push_str("security simple_bind=56\n");
    let server = Server::start(setup);
    let mut client = server.anonymous();
    client.bind(ANN, "ann-secret").expect(code::CONFIDENTIALITY_REQUIRED);
    client.bind(ANN, "wrong").expect(code::CONFIDENTIALITY_REQUIRED);
    assert_eq!(client.who_am_i(), "");
    client.bind("", "").expect(code::SUCCESS);
    assert_eq!(client.names(PEOPLE, "(uid=ann)"), ["ann"]);
    let socket = Client::socket(server.address());
    let mut clear = Client::over(socket.try_clone().expect("a socket can be shared"));
    clear.perform(&request::extended(oid::START_TLS, None)).expect(code::SUCCESS);
    let certificate = server.certificate.as_ref().expect("server was started with TLS");
    let mut client = Client::over(certificate.connect(socket));
    client.bind(ANN, "ann-secret").expect(code::SUCCESS);
    assert_eq!(client.who_am_i(), format!("dn:{ANN}"));
}

/// Where TLS is wanted for everything, clients in the clear learn how to get it, and nothing else.
#[test]
fn everything_in_clear_is_confidentiality_required_when_told_so() {
    let mut setup = Setup::default()
        .with_tls()
        .with_setting("server.require_tls=true")
        .with_setting("server.loopback_needs_no_tls=false");
    setup.slapd_access.push_str("security tls=1\n");
    let server = Server::start(setup);
    let mut client = Client::connect(server.address());
    client.search(&Search::base(ANN)).expect(code::CONFIDENTIALITY_REQUIRED);
    client.compare(ANN, "sn", "Example").expect(code::CONFIDENTIALITY_REQUIRED);
    client.modify(ANN, &[(REPLACE, "title", &["x"])]).expect(code::CONFIDENTIALITY_REQUIRED);
    client.bind(ANN, "ann-secret").expect(code::CONFIDENTIALITY_REQUIRED);
    if !Subject::current().is_slapd() {
        client.bind("", "").expect(code::CONFIDENTIALITY_REQUIRED);
        client.search(&Search::subtree("", "(uid=ann)")).expect(code::CONFIDENTIALITY_REQUIRED);
        let root = client.read_attributes("", &["supportedExtension"]);
        assert!(root.values("supportedExtension").contains(&oid::START_TLS.to_owned()));
    }
    let socket = Client::socket(server.address());
    let mut clear = Client::over(socket.try_clone().expect("a socket can be shared"));
    clear.perform(&request::extended(oid::START_TLS, None)).expect(code::SUCCESS);
    let certificate = server.certificate.as_ref().expect("server was started with TLS");
    let mut client = Client::over(certificate.connect(socket));
    assert_eq!(client.names(PEOPLE, "(uid=ann)"), ["ann"]);
    client.bind(ANN, "ann-secret").expect(code::SUCCESS);
}

/// hostile.md T-43: many requests sent at once are answered in time, none refused; reading pauses instead.
#[test]
fn requests_beyond_the_window_wait_instead_of_failing() {
    let server = Server::start(Setup::default().with_setting("limits.requests_in_flight=4"));
    let mut client = server.admin();
    let ids: Vec<i64> = (0..300).map(|_| client.send(&Search::subtree(PEOPLE, "(uid=bob)").encode())).collect();
    for id in ids {
        assert_eq!(client.found_for(id).expect(code::SUCCESS).names(), ["bob"]);
    }
}

/// A client that does not read its answers costs itself, nobody else.
#[test]
fn client_that_does_not_read_hinders_nobody() {
    let server = Server::start(Setup::default());
    let mut admin = server.admin();
    let text = "x".repeat(50_000);
    for uid in EVERYBODY {
        admin.modify(&format!("uid={uid},{PEOPLE}"), &[(REPLACE, "description", &[&text])]).expect(code::SUCCESS);
    }
    let socket = Client::socket(server.address());
    socket.set_write_timeout(Some(Duration::from_millis(300))).expect("not zero");
    let mut deaf = Client::over(socket);
    deaf.bind(ADMIN, ADMIN_PASSWORD).expect(code::SUCCESS);
    for _ in 0..200 {
        if deaf.try_send(&Search::subtree(SUFFIX, "(objectClass=*)").encode()).is_none() {
            break;
        }
    }
    for _ in 0..20 {
        assert_eq!(admin.names(PEOPLE, "(uid=bob)"), ["bob"]);
    }
}
