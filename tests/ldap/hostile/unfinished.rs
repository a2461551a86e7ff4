//! Requests that never end: claimed lengths, halves, single bytes, handshakes that do not come.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{others_are_served, others_wait_as_before, strain};
use crate::ANN;
use crate::support::client::Client;
use crate::support::request::{self, Search};
use crate::support::server::{Server, Setup};
use crate::support::slapd::SYNCPROV;
use crate::support::strain::{Use, Waits};
use crate::support::wait::{Deadline, PATIENCE};
use crate::support::{code, oid};

/// The header of the longest request before a bind: 24 KiB in all.
const MOST: [u8; 4] = [0x30, 0x82, 0x5F, 0xFC];

fn open_to_many(setup: Setup) -> Setup {
    setup.with_setting("limits.connections_per_address=20000").with_setting("limits.connections=20000")
}

fn secure_address(server: &Server) -> SocketAddr {
    let url = server.url_of("ldaps");
    url.trim_start_matches("ldaps://").trim_end_matches('/').parse().expect("an address")
}

/// Writes and forgets whether it arrived: the server may have closed already, and rightly.
fn pour(socket: &mut TcpStream, bytes: &[u8]) {
    let _ = socket.write_all(bytes);
}

/// T-03: whatever length a header claims and however much of it comes, a connection that is nobody's holds less than 64 KiB.
#[test]
fn half_requests_before_bind_hold_less_than_64_kib_each() {
    only_entente!(Cost);
    let server = Server::start(open_to_many(Setup::default()));
    let mut other = server.person("bob");
    let count = 200 * strain();
    for (what, header, body) in [
        ("claims 4 GiB", &[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF][..], 60_000),
        ("claims 2 GiB", &[0x30, 0x84, 0x7F, 0xFF, 0xFF, 0xFF], 60_000),
        ("claims 1 MiB", &[0x30, 0x83, 0x10, 0x00, 0x00], 60_000),
        ("claims the most, and sends all but a byte", &MOST, 0x5FFB),
        ("claims the most, and sends little", &MOST, 10),
        ("claims 64 KiB", &[0x30, 0x83, 0x00, 0xFF, 0xFF], 60_000),
    ] {
        let before = Use::of(&server);
        let sockets: Vec<TcpStream> = (0..count)
            .map(|_| {
                let mut socket = Client::socket(server.address());
                pour(&mut socket, header);
                for piece in vec![0x04; body].chunks(8_000) {
                    pour(&mut socket, piece);
                }
                socket
            })
            .collect();
        holds_little(what, &server, &mut other, before, count);
        drop(sockets);
    }
}

/// The same over TLS, where half a record, or half a message of TLS itself, may wait beside half a request.
#[test]
fn half_requests_before_bind_hold_less_than_64_kib_each_over_tls() {
    only_entente!(Cost);
    // Each by a server of its own: what one has left free the next would not be seen to hold.
    let start =
        || Server::start(open_to_many(Setup::default().with_tls()).with_setting("limits.idle_before_bind_s=600"));
    let count = 90 * strain();
    // All but a little of an encrypted record of the largest size.
    let half_record = [&[0x17, 0x03, 0x03, 0x41, 0x00][..], &[0; 16_000]].concat();
    for (what, body, behind) in [
        ("claims the most, and sends all but a byte", 0x5FFB, &[][..]),
        ("claims the most, sends all but a byte, then half a record", 0x5FFB, &half_record),
        ("claims the most, and sends little", 10, &[]),
    ] {
        let server = start();
        let (address, mut other) = (secure_address(&server), server.person("bob"));
        let certificate = server.certificate.as_ref().expect("with TLS");
        let before = Use::of(&server);
        let mut streams: Vec<_> = (0..count)
            .map(|_| {
                let mut stream = certificate.connect(Client::socket(address));
                stream.write_all(&MOST).expect("it is served");
                for piece in vec![0x04; body].chunks(8_000) {
                    stream.write_all(piece).expect("it is served");
                }
                stream.flush().expect("it is served");
                pour(&mut stream.sock, behind);
                stream
            })
            .collect();
        holds_little(what, &server, &mut other, before, count);
        // They are still waited for: what they hold was measured.
        for stream in &mut streams {
            stream.sock.set_nonblocking(true).expect("a socket");
            let heard = stream.read(&mut [0; 1]).map_err(|error| error.kind());
            assert_eq!(heard, Err(std::io::ErrorKind::WouldBlock), "{what}");
        }
    }
    // As much as is taken of a handshake; more ends it.
    let hello = [&[0x01, 0x00, 0xFF, 0xFB][..], &[0x03; 27_000]].concat();
    let server = start();
    let (address, mut other) = (secure_address(&server), server.person("bob"));
    let before = Use::of(&server);
    let sockets: Vec<_> = (0..count)
        .map(|_| {
            let mut socket = Client::socket(address);
            for piece in hello.chunks(16_000) {
                let length = u16::try_from(piece.len()).expect("a record is short").to_be_bytes();
                pour(&mut socket, &[&[0x16, 0x03, 0x01], &length[..], piece].concat());
            }
            socket
        })
        .collect();
    holds_little("a hello that claims 64 KiB", &server, &mut other, before, count);
    drop(sockets);
}

/// Asserts that others are served, and that each of so many connections holds what one that is nobody's may hold.
#[track_caller]
fn holds_little(what: &str, server: &Server, other: &mut Client, before: Use, count: usize) {
    let used = others_are_served(what, server, other, before);
    let each = used.held_kib as f64 / count as f64;
    println!("{what}: {each:.1} KiB each");
    assert!(each < 64.0, "{what}: {each:.1} KiB a connection");
}

/// What `other` waits beside four clients that ask without a pause, as people do all day, while single bytes are sent to nobody:
/// a server that works shares the machine with whatever else runs there, this test with its bytes too, and one that does
/// nothing hardly feels it.
fn beside_others(server: &Server, other: &mut Client) -> Waits {
    let is_asked = AtomicBool::new(false);
    let patience = Deadline::after(PATIENCE);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut here = Client::socket(listener.local_addr().expect("an address"));
    let (mut there, _) = listener.accept().expect("a connection");
    let goes_on = || !is_asked.load(Ordering::Relaxed) && !patience.is_over();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while goes_on() {
                (0..1_000).for_each(|_| pour(&mut here, b"x"));
                there.read_exact(&mut [0; 1_000]).expect("they come");
            }
        });
        for _ in 0..4 {
            let mut client = server.person("ann");
            scope.spawn(move || {
                while goes_on() {
                    client.search(&Search::base(ANN)).single();
                }
            });
        }
        let waits = Waits::of(other, ANN, 500);
        is_asked.store(true, Ordering::Relaxed);
        waits
    })
}

/// T-42: clients that send a byte now and then. They cost what idle ones cost, and end by the rule for idle ones.
#[test]
fn trickling_clients_hold_up_nobody() {
    only_entente!(Cost);
    let server = Server::start(open_to_many(Setup::default()).with_setting("limits.idle_before_bind_s=5"));
    let mut other = server.person("bob");
    // Long enough that no machine is done with it while others ask, and no longer than somebody unknown may send.
    let bytes = request::message(1, &Search::base(ANN).attributes(&["cn"; 4_000]).encode(), &[]);
    let calm = beside_others(&server, &mut other);
    let before = Use::of(&server);
    let mut trickling: Vec<TcpStream> = (0..5_000 * strain()).map(|_| Client::socket(server.address())).collect();
    let is_asked = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&is_asked);
    // One byte for each, round after round, as long as others ask; of the last byte nobody is sent any.
    let senders = std::thread::spawn(move || {
        for byte in &bytes[..bytes.len() - 1] {
            for socket in &mut trickling {
                pour(socket, &[*byte]);
            }
            if asked.load(Ordering::Relaxed) {
                break;
            }
        }
        trickling
    });
    let during = Waits::of(&mut other, ANN, 500);
    assert!(!senders.is_finished(), "others asked while all of them sent");
    is_asked.store(true, Ordering::Relaxed);
    let mut trickling = senders.join().expect("the senders end");
    others_wait_as_before("5,000 clients that trickle", &mut other, &calm, &during);
    others_are_served("5,000 clients that trickle", &server, &mut other, before);
    // Bytes that trickle in are no reason to keep a connection.
    for socket in &mut trickling {
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest);
    }
    assert_eq!(other.who_am_i(), format!("dn:{}", crate::BOB));
}

/// T-04: a request is the same in whatever pieces it comes, and so is a flood of them.
#[test]
fn requests_in_odd_pieces_are_answered_the_same() {
    let server = Server::shared();
    let stream: Vec<u8> =
        (1..=40).flat_map(|id| request::message(id, &Search::base(ANN).attributes(&["cn"]).encode(), &[])).collect();
    for size in [1, 2, 3, 7, 64, 1_000] {
        let mut client = server.anonymous();
        for piece in stream.chunks(size) {
            client.send_bytes(piece);
        }
        for id in 1..=40 {
            assert_eq!(client.found_for(id).expect(code::SUCCESS).names(), ["ann"], "in pieces of {size}");
        }
    }
}

/// T-38: whoever opens a TLS connection and says nothing, or half a hello, is given up in time; others get in meanwhile.
#[test]
fn handshakes_that_do_not_come_are_given_up() {
    only_entente!(Cost);
    let setup = open_to_many(Setup::default().with_tls()).with_setting("limits.handshake_s=8");
    let server = Server::start(setup);
    let address = secure_address(&server);
    let mut other = server.person("bob");
    let before = Use::of(&server);
    let mut silent: Vec<TcpStream> = (0..100 * strain())
        .map(|number| {
            let mut socket = Client::socket(address);
            // A hello that is announced and cut short.
            pour(&mut socket, &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00][..number % 8]);
            socket
        })
        .collect();
    others_are_served("100 handshakes that do not come", &server, &mut other, before);
    let certificate = server.certificate.as_ref().expect("with TLS");
    let mut secure = Client::over(certificate.connect(Client::socket(address)));
    assert_eq!(secure.who_am_i(), "");
    for socket in &mut silent {
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest);
    }
}

/// T-36: StartTLS while something is at work is an operationsError (RFC 4511 4.14.1), and no TLS begins.
#[test]
fn start_tls_while_something_is_at_work_is_refused() {
    use crate::support::ber::{boolean, enumerated, integer, sequence};
    use crate::support::request::Control;
    let server = Server::start(Setup::default().with_tls().with_slapd_lines(SYNCPROV));
    let mut client = server.admin();
    let persists = Control::critical(oid::SYNC_REQUEST, Some(sequence(&[enumerated(3)])));
    let search = client.with(persists).send(&Search::base(ANN).encode());
    client.perform(&request::extended(oid::START_TLS, None)).expect(code::OPERATIONS_ERROR);
    client.send(&request::abandon(search));
    only_entente_from_here!(Foreign);
    let listens =
        Control::critical(oid::PERSISTENT_SEARCH, Some(sequence(&[integer(15), boolean(true), boolean(true)])));
    client.with(listens).send(&Search::base(ANN).encode());
    client.perform(&request::extended(oid::START_TLS, None)).expect(code::OPERATIONS_ERROR);
    assert_eq!(client.who_am_i(), "dn:cn=admin,dc=example,dc=com", "the connection goes on in clear");
}
