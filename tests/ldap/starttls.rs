//! StartTLS: RFC 4511 4.14, RFC 4513 3.

use crate::ANN;
use crate::support::client::Client;
use crate::support::request::{self, Search};
use crate::support::server::{ADMIN, ADMIN_PASSWORD, Server, Setup, Subject};
use crate::support::{code, oid};

fn server() -> Server {
    Server::start(Setup::default().with_tls())
}

/// Asks for TLS in clear on a bare socket, reading no byte beyond the answer, and starts it.
#[track_caller]
fn start_tls(server: &Server) -> Client {
    let socket = Client::socket(server.address());
    let mut clear = Client::over(socket.try_clone().expect("a socket can be shared"));
    clear.perform(&request::extended(oid::START_TLS, None)).expect(code::SUCCESS);
    let certificate = server.certificate.as_ref().expect("server was started with TLS");
    Client::over(certificate.connect(socket))
}

#[test]
fn start_tls_then_bind_and_search() {
    let server = server();
    let mut client = start_tls(&server);
    client.bind(ANN, "ann-secret").expect(code::SUCCESS);
    assert_eq!(client.who_am_i(), format!("dn:{ANN}"));
    assert_eq!(client.names(crate::PEOPLE, "(uid=bob)"), ["bob"]);
    client.bind(ADMIN, ADMIN_PASSWORD).expect(code::SUCCESS);
}

/// The answer names the operation (RFC 4511 4.14.2) where a name is given at all.
#[test]
fn answer_has_no_other_name_and_no_value() {
    let server = server();
    let outcome = server.anonymous().perform(&request::extended(oid::START_TLS, None)).expect(code::SUCCESS);
    assert!(outcome.name.is_none_or(|name| name == oid::START_TLS));
    assert_eq!(outcome.value, None);
}

/// RFC 4511 4.14.1: TLS is there already.
#[test]
fn second_start_tls_is_an_operations_error() {
    let server = server();
    let mut client = start_tls(&server);
    client.perform(&request::extended(oid::START_TLS, None)).expect(code::OPERATIONS_ERROR);
    assert_eq!(client.names(crate::PEOPLE, "(uid=bob)"), ["bob"]);
}

/// T-35: RFC 4511 4.14.1: not while others are outstanding. What is sent behind StartTLS in clear is never done: the bytes
/// that came too early either break the handshake or close the connection. (slapd does requests side by side.)
#[test]
fn clear_text_sent_behind_start_tls_is_never_served() {
    only_entente!(Lax);
    let server = server();
    let mut client = server.anonymous();
    let start = request::message(1, &request::extended(oid::START_TLS, None), &[]);
    let injected = request::message(2, &Search::base(ANN).encode(), &[]);
    client.send_bytes(&[start, injected].concat());
    while let Some(message) = client.receive() {
        assert_ne!(message.operation.tag, 0x64, "the request in clear was served");
        if message.id == 1 {
            let outcome = crate::support::client::parse_outcome(&message).expect("a result");
            if outcome.code == code::SUCCESS {
                // From here on only TLS may come; the peer sees our clear bytes as a broken record.
                break;
            }
        }
    }
}

/// RFC 4511 4.14.1: requestValue is absent.
#[test]
fn start_tls_with_a_value_is_a_protocol_error() {
    let server = server();
    server.anonymous().perform(&request::extended(oid::START_TLS, Some(b"x"))).expect(code::PROTOCOL_ERROR);
}

/// RFC 4513 3.1.1: a server without a certificate says so, and goes on in clear.
#[test]
fn start_tls_without_a_certificate_is_refused() {
    let server = Server::shared();
    let mut client = server.anonymous();
    let outcome = client.perform(&request::extended(oid::START_TLS, None));
    assert_ne!(outcome.code, code::SUCCESS, "{outcome:?}");
    assert_eq!(client.who_am_i(), "");
}

/// T-18: RFC 4513 4, 6.2: an identity from before TLS does not outlive the start of TLS.
#[test]
fn identity_from_before_tls_is_forgotten_or_start_tls_refused() {
    let server = server();
    let socket = Client::socket(server.address());
    let mut clear = Client::over(socket.try_clone().expect("a socket can be shared"));
    clear.bind(ANN, "ann-secret").expect(code::SUCCESS);
    let outcome = clear.perform(&request::extended(oid::START_TLS, None));
    if outcome.code == code::SUCCESS {
        let certificate = server.certificate.as_ref().expect("server was started with TLS");
        let mut client = Client::over(certificate.connect(socket));
        let identity = client.who_am_i();
        // slapd keeps it.
        assert!(identity.is_empty() || Subject::current().is_slapd(), "{identity}");
    }
}

/// The root DSE says what is offered.
#[test]
fn start_tls_is_announced() {
    let server = server();
    let entry = server.anonymous().read_attributes("", &["supportedExtension"]);
    assert!(entry.values("supportedExtension").contains(&oid::START_TLS.to_owned()), "{entry:?}");
}

/// ldaps from the first byte.
#[test]
fn ldaps_listener_speaks_tls_at_once() {
    let server = server();
    let mut client = server.secure();
    client.bind(ANN, "ann-secret").expect(code::SUCCESS);
    assert_eq!(client.names(crate::PEOPLE, "(uid=bob)"), ["bob"]);
}
