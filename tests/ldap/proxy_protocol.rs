//! The PROXY protocol, versions 1 and 2: a load balancer says for whom it connects, and everything goes by that.

use std::io::{Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};

use crate::ANN;
use crate::support::client::Client;
use crate::support::code;
use crate::support::request::{self, Search};
use crate::support::server::{Server, Setup, Subject};
use crate::support::wait::wait_for;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Whom the rule lets read.
const FRIEND: &str = "192.0.2.7:40000";
const STRANGER: &str = "192.0.2.8:40000";

/// This machine is the balancer; one address may read names.
fn setup() -> Setup {
    let rule = r#"(targetattr = "cn || objectClass")(version 3.0; acl "a"; allow (read, search) ip = "192.0.2.7";)"#;
    let slapd = "access to attrs=userPassword by anonymous auth\n\
                 access to attrs=entry,cn,objectClass by peername.ip=192.0.2.7 read\n";
    let setup = Setup { slapd_proxied: true, ..Setup::default() };
    setup.with_access(&[rule], slapd).with_setting("server.proxy_protocol_from=127.0.0.1/32")
}

/// A header of version 2 for a client of IPv4, with something behind the addresses that is passed over.
fn header(client: &str) -> Vec<u8> {
    let client: SocketAddrV4 = client.parse().expect("an address");
    let (from, to) = (client.ip().octets(), [127, 0, 0, 1]);
    let rest = [0x04, 0x00, 0x02, b'x', b'y'];
    let length = (12 + rest.len() as u16).to_be_bytes();
    let (port, own_port) = (client.port().to_be_bytes(), 389_u16.to_be_bytes());
    [&SIGNATURE[..], &[0x21, 0x11], &length, &from, &to, &port, &own_port, &rest].concat()
}

/// A connection that begins with these bytes.
#[track_caller]
fn introduced(address: SocketAddr, header: &[u8]) -> TcpStream {
    let mut socket = Client::socket(address);
    socket.write_all(header).expect("the server listens");
    socket
}

#[track_caller]
fn through(server: &Server, header: &[u8]) -> Client {
    Client::over(introduced(server.address(), header))
}

#[track_caller]
fn secure_address(server: &Server) -> SocketAddr {
    let url = server.url_of("ldaps");
    url.trim_start_matches("ldaps://").trim_end_matches('/').parse().expect("an address")
}

/// The server ends the connection without an answer, or after a notice.
#[track_caller]
fn is_ended(mut socket: TcpStream) {
    let mut rest = Vec::new();
    // A reset is an end too.
    let _ = socket.read_to_end(&mut rest);
    assert!(rest.is_empty() || rest.windows(7).any(|part| part == b"1.3.6.1"), "{rest:02x?}");
}

#[track_caller]
fn is_in_the_log(server: &Server, text: &str) {
    wait_for(text, || server.said().contains(text).then_some(()));
}

#[test]
fn rules_and_log_go_by_the_address_of_the_client() {
    let server = Server::start(setup().with_setting("log.level=debug"));
    let find_any = |header: &[u8]| through(&server, header).search(&Search::base(ANN)).entries.len();
    assert_eq!(find_any(&header(FRIEND)), 1);
    assert_eq!(find_any(&header(STRANGER)), 0);
    // slapd knows version 2.
    only_entente_from_here!(Unserved);
    assert_eq!(find_any(b"PROXY TCP4 192.0.2.7 127.0.0.1 40000 389\r\n"), 1);
    assert_eq!(find_any(b"PROXY TCP4 192.0.2.8 127.0.0.1 40000 389\r\n"), 0);
    is_in_the_log(&server, &format!("peer={FRIEND} via=Some(127.0.0.1)"));
    // A password in clear may come from this machine, and that is where the balancer is, not its client.
    let mut client = through(&server, &header(FRIEND));
    client.bind(ANN, "ann-secret").expect(code::CONFIDENTIALITY_REQUIRED);
}

/// A balancer that looks whether the node is well speaks for itself.
#[test]
fn a_balancer_may_speak_for_itself() {
    let server = Server::start(setup());
    let local = [&SIGNATURE[..], &[0x20, 0x00, 0x00, 0x00]].concat();
    for own in [&local[..], b"PROXY UNKNOWN\r\n"].into_iter().take(Subject::current().pick(2, 1)) {
        let mut client = through(&server, own);
        client.bind(ANN, "ann-secret").expect(code::SUCCESS);
        assert_eq!(client.who_am_i(), format!("dn:{ANN}"));
    }
}

#[test]
fn connections_are_counted_for_the_client_and_not_for_the_balancer() {
    only_entente!(Setting);
    let server = Server::start(setup().with_setting("limits.connections_per_address=1"));
    let mut first = through(&server, &header(FRIEND));
    let mut other = through(&server, &header(STRANGER));
    assert_eq!((first.who_am_i(), other.who_am_i()), (String::new(), String::new()));
    is_ended(introduced(server.address(), &header("192.0.2.7:40001")));
    drop(first);
    wait_for("the place of the first", || {
        let mut socket = introduced(server.address(), &header("192.0.2.7:40002"));
        let _ = socket.write_all(&request::message(1, &Search::base("").encode(), &[]));
        matches!(socket.read(&mut [0; 1]), Ok(1)).then_some(())
    });
}

/// The header comes before TLS.
#[test]
fn a_header_stands_before_tls() {
    let server = Server::start(setup().with_tls());
    let certificate = server.certificate.as_ref().expect("with TLS");
    let socket = introduced(secure_address(&server), &header(FRIEND));
    let mut client = Client::over(certificate.connect(socket));
    assert_eq!(client.search(&Search::base(ANN)).entries.len(), 1);
    client.bind(ANN, "ann-secret").expect(code::SUCCESS);
}

/// Otherwise a client of the balancer could write a header of its own.
#[test]
fn a_balancer_that_sends_no_header_is_refused_and_the_log_says_why() {
    let server = Server::start(setup().with_setting("limits.handshake_s=1"));
    let bind = request::message(1, &request::bind_simple(3, ANN, b"ann-secret"), &[]);
    is_ended(introduced(server.address(), &bind));
    only_entente_from_here!(Log);
    is_in_the_log(&server, "127.0.0.1 is in server.proxy_protocol_from");
    is_in_the_log(&server, "send-proxy-v2");
    // Nor does it hold a place by saying nothing, or half.
    is_ended(introduced(server.address(), b""));
    is_ended(introduced(server.address(), &header(FRIEND)[..20]));
}

#[test]
fn a_header_of_others_is_refused_and_the_log_says_what_to_set() {
    for scheme in ["ldap", "ldaps"] {
        let server = Server::start(Setup::default().with_tls());
        let address = if scheme == "ldap" { server.address() } else { secure_address(&server) };
        let mut socket = introduced(address, &header(FRIEND));
        let _ = socket.write_all(&request::message(1, &request::bind_simple(3, ANN, b"ann-secret"), &[]));
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest);
        assert!(!rest.windows(2).any(|part| part == [0x61, 0x07]), "no bind is answered: {rest:02x?}");
        if Subject::current().is_slapd() {
            continue;
        }
        is_in_the_log(&server, r#"add "127.0.0.1" to server.proxy_protocol_from"#);
    }
}
