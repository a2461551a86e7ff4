//! Bytes that are no LDAP: each gets a protocolError, a notice of disconnection or a closed connection; never silence,
//! never a changed meaning, and never harm to others (RFC 4511 4.1.1, 4.4.1, 5.1).

use crate::support::ber::{Element, boolean, constructed, enumerated, integer, octets, sequence, set, tlv};
use crate::support::client::{Client, Message, parse_outcome};
use crate::support::request::{self, Search};
use crate::support::server::{Server, Subject};
use crate::support::{code, filter, oid};
use crate::{ANN, PEOPLE};

/// What a malformed request may bring.
#[derive(Debug, PartialEq, Eq)]
enum Reaction {
    /// The request got a protocolError of its own and the connection lives.
    ProtocolError,
    /// The connection ended, told by a notice of disconnection or by closing.
    Disconnected,
    /// A result with another code.
    Result(u32),
    /// Nothing at all, though the next request was answered.
    Nothing,
}

/// Sends bytes, then a Who am I? behind them, and says what came of it.
#[track_caller]
fn reaction(client: &mut Client, bytes: &[u8]) -> Reaction {
    const PROBE: i64 = 77_777;
    let probe = request::message(PROBE, &request::extended(oid::WHO_AM_I, None), &[]);
    if client.try_send_bytes(&[bytes, &probe].concat()).is_err() {
        return Reaction::Disconnected;
    }
    let mut first: Option<Message> = None;
    while let Some(message) = client.receive() {
        if message.id == 0 {
            let outcome = parse_outcome(&message).expect("a notice is an extended response");
            assert_eq!(outcome.name.as_deref(), Some(oid::NOTICE_OF_DISCONNECTION), "{outcome:?}");
            outcome.expect_one_of(&[code::PROTOCOL_ERROR, 51, 52]);
            // slapd still answers what it has read already.
            assert!(Subject::current().is_slapd() || client.receive().is_none(), "a notice is the last message");
            return Reaction::Disconnected;
        }
        if message.id == PROBE {
            return match first.map(|first| parse_outcome(&first).expect("a result").code) {
                None => Reaction::Nothing,
                Some(code::PROTOCOL_ERROR) => Reaction::ProtocolError,
                Some(other) => Reaction::Result(other),
            };
        }
        assert_ne!(message.operation.tag, 0x64, "an entry for a malformed request: {message:?}");
        first = Some(message);
    }
    Reaction::Disconnected
}

/// What slapd takes for something, or waits for the rest of.
const SLAPD_TAKES: [&str; 13] = [
    "text",
    "a not with two members",
    "controls that are no sequence",
    "a boolean of two octets",
    "substrings with final before initial",
    "an equality with three parts",
    "an extensible match without a value",
    "an empty id",
    "substrings without any",
    "no filter at all",
    "a control without a type",
    "a control that is no sequence",
    "a control cut",
];

/// Each must be refused, on a fresh connection, and the server must serve on.
#[track_caller]
fn all_refused(cases: &[(&str, Vec<u8>)]) {
    let server = Server::shared();
    for (what, bytes) in cases {
        if Subject::current().is_slapd() && SLAPD_TAKES.contains(what) {
            continue;
        }
        println!("{what}: {bytes:02x?}");
        let reaction = reaction(&mut server.anonymous(), bytes);
        // slapd does requests side by side: the later one may be answered first.
        let overtaken = Subject::current().is_slapd() && reaction == Reaction::Nothing;
        let refused = matches!(reaction, Reaction::ProtocolError | Reaction::Disconnected);
        assert!(overtaken || refused, "{what}: {reaction:?}");
    }
    assert_eq!(server.anonymous().names(PEOPLE, "(uid=ann)"), ["ann"]);
}

fn wrapped(operation: &[u8]) -> Vec<u8> {
    request::message(5, operation, &[])
}

#[test]
fn what_is_no_ldap_message_is_refused() {
    all_refused(&[
        ("text", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("a TLS client hello", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03".to_vec()),
        ("a set instead of a sequence", tlv(0x31, &[integer(1), request::unbind()].concat())),
        ("an empty sequence", sequence(&[])),
        ("a message without an operation", sequence(&[integer(1)])),
        ("an id that is no integer", sequence(&[octets("x"), Search::base(ANN).encode()])),
        ("an empty id", sequence(&[tlv(2, &[]), Search::base(ANN).encode()])),
        ("an id of nine octets", sequence(&[tlv(2, &[1; 9]), Search::base(ANN).encode()])),
        ("an unknown operation", wrapped(&tlv(0x5F, &[]))),
        ("a response as a request", wrapped(&constructed(0x61, &[enumerated(0), octets(""), octets("")]))),
        ("an indefinite length", [&[0x30, 0x80][..], &integer(1), &Search::base(ANN).encode(), &[0, 0]].concat()),
    ]);
}

/// RFC 4511 4.1.1: lengths that lie. The connection cannot be kept, for nobody knows where the next message begins.
#[test]
fn lengths_beyond_all_limits_are_refused_from_the_header() {
    let server = Server::shared();
    for header in [
        &[0x30, 0x84, 0x7F, 0xFF, 0xFF, 0xFF][..],
        &[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF],
        &[0x30, 0x84, 0x80, 0x00, 0x00, 0x00],
        &[0x30, 0x88, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        &[0x30, 0xFF, 0xFF, 0xFF],
        &[0x30, 0x83, 0x20, 0x00, 0x00],
    ] {
        let mut client = server.anonymous();
        // Nothing but the header: the server must not wait for two gibibytes.
        client.send_bytes(header);
        if let Some(message) = client.receive() {
            assert_eq!(message.id, 0, "{message:?}");
            assert!(client.receive().is_none());
        }
    }
}

/// hostile.md T-03: before bind 64 KiB are enough for everybody.
#[test]
fn large_request_before_bind_is_refused() {
    let server = Server::shared();
    let mut client = server.anonymous();
    let long = "x".repeat(200_000);
    let reaction = reaction(&mut client, &wrapped(&Search::base(PEOPLE).filter(&format!("(cn={long})")).encode()));
    assert_eq!(reaction, Reaction::Disconnected);
}

#[test]
fn message_cut_inside_is_refused() {
    let whole = Search::base(ANN).filter("(&(uid=ann)(mail=*))").encode();
    let content = Element::whole(&whole).expect("BER").content;
    let cases: Vec<(&str, Vec<u8>)> = (0..content.len())
        .map(|length| ("a search cut inside", wrapped(&tlv(0x63, &content[..length]))))
        // Cut behind the filter or between attributes there may be a search that an indulgent reader takes.
        .filter(|(_, bytes)| bytes.len() < 60)
        .collect();
    all_refused(&cases);
}

/// T-02: an element that claims more than its parent holds.
#[test]
fn element_longer_than_its_parent_is_refused() {
    let mut search = Search::base(ANN).encode();
    // The base's length octet: one more than there is before the operation ends.
    search[3] = 0x7F;
    all_refused(&[("a base longer than the request", wrapped(&search))]);
    let bind = constructed(0x60, &[integer(3), octets(ANN), vec![0x80, 0x20, b'x']]);
    all_refused(&[("a password longer than the request", wrapped(&bind))]);
}

/// The meaning must not change: a truncated list of filters or modifications is not a shorter list.
#[test]
fn broken_filters_are_refused() {
    let ann = filter::encode("(uid=ann)");
    let broken: Vec<(&str, Vec<u8>)> = vec![
        ("an and with a cut member", tlv(0xA0, &[&ann[..], &ann[..ann.len() - 2]].concat())),
        ("a not with two members", tlv(0xA2, &[&ann[..], &ann[..]].concat())),
        ("an empty not", tlv(0xA2, &[])),
        ("an equality without a value", constructed(0xA3, &[octets("uid")])),
        ("an equality with three parts", constructed(0xA3, &[octets("uid"), octets("a"), octets("b")])),
        ("substrings without any", constructed(0xA4, &[octets("uid"), sequence(&[])])),
        (
            "substrings with final before initial",
            constructed(0xA4, &[octets("uid"), sequence(&[tlv(0x82, b"a"), tlv(0x80, b"b")])]),
        ),
        ("an extensible match without a value", constructed(0xA9, &[tlv(0x82, b"uid")])),
        ("no filter at all", octets("uid=ann")),
    ];
    let cases: Vec<_> = broken
        .into_iter()
        .map(|(what, filter)| (what, wrapped(&Search::base(ANN).raw_filter(filter).encode())))
        .collect();
    all_refused(&cases);
}

/// RFC 4511 4.5.1.7: a choice of filter that a server does not know is Undefined; refusing it is no harm either.
#[test]
fn unknown_kind_of_filter_finds_nobody() {
    let mut client = Server::shared().admin();
    let unknown = tlv(0xAF, &filter::encode("(uid=ann)"));
    for filter in [unknown.clone(), tlv(0xA2, &unknown)] {
        let found = client.search(&Search::subtree(PEOPLE, "(&)").raw_filter(filter));
        assert!(found.entries.is_empty());
        found.outcome.expect_one_of(&[code::SUCCESS, code::PROTOCOL_ERROR]);
    }
}

#[test]
fn broken_operations_are_refused() {
    let modification = sequence(&[enumerated(0), sequence(&[octets("cn"), set(&[octets("x")])])]);
    all_refused(&[
        ("an empty bind", wrapped(&tlv(0x60, &[]))),
        ("a bind without a version", wrapped(&constructed(0x60, &[octets(ANN), tlv(0x80, b"x")]))),
        ("a bind without a choice", wrapped(&constructed(0x60, &[integer(3), octets(ANN)]))),
        ("an empty search", wrapped(&tlv(0x63, &[]))),
        ("an empty modify", wrapped(&tlv(0x66, &[]))),
        ("a modify with a list that is none", wrapped(&constructed(0x66, &[octets(ANN), octets("x")]))),
        ("a modification cut", wrapped(&constructed(0x66, &[octets(ANN), sequence(&[modification[..6].to_vec()])]))),
        ("an add without a list", wrapped(&constructed(0x68, &[octets(ANN)]))),
        ("an empty modify dn", wrapped(&tlv(0x6C, &[]))),
        ("a modify dn without deleteOldRdn", wrapped(&constructed(0x6C, &[octets(ANN), octets("uid=b")]))),
        ("a compare without an assertion", wrapped(&constructed(0x6E, &[octets(ANN)]))),
        ("an extended request without a name", wrapped(&tlv(0x77, &[]))),
        ("a boolean of two octets", wrapped(&constructed(0x6C, &[octets(ANN), octets("uid=b"), tlv(1, &[0, 0])]))),
    ]);
}

/// T-14: RFC 4511 4.1.11: controls that are none.
#[test]
fn broken_controls_are_refused() {
    let with = |controls: Vec<u8>| sequence(&[integer(5), Search::base(ANN).encode(), controls]);
    let mut cases = vec![
        ("controls that are no sequence", with(tlv(0xA0, b"x"))),
        ("a control without a type", with(constructed(0xA0, &[sequence(&[boolean(true)])]))),
        ("a control that is no sequence", with(constructed(0xA0, &[octets("1.2.3")]))),
        ("a control cut", with(tlv(0xA0, &[0x30, 0x10, 0x04, 0x05, b'1']))),
    ];
    if !Subject::current().is_slapd() {
        let many: Vec<_> = (0..100).map(|index| sequence(&[octets(format!("1.2.3.{index}"))])).collect();
        cases.push(("a hundred controls", with(constructed(0xA0, &many))));
        let paged = request::Control::paged(5, b"").encode();
        cases.push(("one control twice", with(constructed(0xA0, &[paged.clone(), paged]))));
    }
    all_refused(&cases);
}

/// RFC 4511 4.1.1: broken structure ends the session, but a well-formed request that asks for what there is not gets an
/// answer of its own, and the connection lives.
#[test]
fn connection_lives_after_a_well_formed_request_for_the_impossible() {
    let server = Server::shared();
    let mut client = server.person("ann");
    for operation in [
        Search::base(ANN).scope(9).encode(),
        Search::base(ANN).deref(9).encode(),
        request::modify(ANN, &[(17, "title", &["x"])]),
        request::extended("1.2.3.4.5", None),
        request::extended(oid::WHO_AM_I, Some(b"x")),
    ] {
        let reaction = reaction(&mut client, &wrapped(&operation));
        let overtaken = Subject::current().is_slapd() && reaction == Reaction::Nothing;
        assert!(overtaken || matches!(reaction, Reaction::ProtocolError | Reaction::Result(_)), "{reaction:?}");
    }
    assert_eq!(client.who_am_i(), format!("dn:{ANN}"));
}

/// Unbind and abandon have no answer, so a broken one cannot be told; what follows is served or the connection ends.
#[test]
fn broken_requests_without_an_answer_do_no_harm() {
    let server = Server::shared();
    for operation in [tlv(0x50, &[]), tlv(0x50, &[1; 20]), tlv(0x42, b"x")] {
        let mut client = server.anonymous();
        client.send_bytes(&wrapped(&operation));
        let probe = request::message(9, &request::extended(oid::WHO_AM_I, None), &[]);
        if client.try_send_bytes(&probe).is_ok() {
            while let Some(message) = client.receive() {
                assert!(message.id == 9 || message.id == 0, "{message:?}");
                if message.id == 9 {
                    break;
                }
            }
        }
    }
}

/// RFC 4511 4.1.1.1: an id of 0 is the server's own.
#[test]
fn message_id_zero_or_negative_is_refused() {
    let server = Server::shared();
    for id in [0, -1, -128] {
        let mut client = server.anonymous();
        client.send_bytes(&request::message(id, &Search::base(ANN).encode(), &[]));
        match client.receive() {
            None => {}
            // slapd answers id 0 as any other.
            Some(message) if Subject::current().is_slapd() => assert_eq!(message.id, id),
            Some(message) => assert_eq!((message.id, message.operation.tag), (0, 0x78), "{message:?}"),
        }
    }
}

/// T-05: a filter nested a million deep, within the size of a message.
#[test]
fn absurdly_deep_filter_does_no_harm() {
    let server = Server::shared();
    let mut filter = filter::encode("(uid=ann)");
    while filter.len() < 60_000 {
        filter = tlv(0xA2, &filter);
    }
    let mut client = server.anonymous();
    let id = client.try_send(&Search::base(ANN).raw_filter(filter).encode());
    if let Some(message) = id.and_then(|id| client.receive_for(id)) {
        assert_ne!(message.operation.tag, 0x64, "{message:?}");
    }
    assert_eq!(server.anonymous().names(PEOPLE, "(uid=ann)"), ["ann"]);
}

/// A value that is not UTF-8 is a value like others: it matches nothing, and nothing breaks.
#[test]
fn octets_that_are_no_utf8_are_only_values() {
    let mut client = Server::shared().admin();
    for bytes in [&[0xFF, 0xFE][..], &[0xC0, 0x80], &[0xED, 0xA0, 0x80], &[0]] {
        for tag in [0xA3, 0xA5, 0xA6, 0xA8] {
            let filter = constructed(tag, &[octets("cn"), octets(bytes)]);
            let found = client.search(&Search::subtree(PEOPLE, "(&)").raw_filter(filter)).expect(code::SUCCESS);
            assert!(found.entries.len() <= 7);
        }
        let filter = constructed(0xA3, &[octets(bytes), octets("x")]);
        let found = client.search(&Search::subtree(PEOPLE, "(&)").raw_filter(filter)).expect(code::SUCCESS);
        assert!(found.entries.is_empty());
        let compared = client.perform(&request::compare(ANN, "cn", bytes));
        compared.expect_one_of(&[code::COMPARE_FALSE, code::INVALID_ATTRIBUTE_SYNTAX]);
    }
}

/// A client that goes away in the middle of a message, and one that closes its sending side only.
#[test]
fn half_messages_and_half_closed_connections_do_no_harm() {
    let server = Server::shared();
    for length in [1, 2, 5, 20] {
        let bytes = wrapped(&Search::base(ANN).encode());
        let mut client = server.anonymous();
        client.send_bytes(&bytes[..length]);
        drop(client);
    }
    let socket = Client::socket(server.address());
    let mut client = Client::over(socket.try_clone().expect("a socket can be shared"));
    let id = client.send(&Search::base(ANN).encode());
    socket.shutdown(std::net::Shutdown::Write).expect("the socket is open");
    // The answer may still come, or the connection may just end; both end.
    if client.receive_for(id).is_some() {
        while client.receive().is_some() {}
    }
    assert_eq!(server.anonymous().names(PEOPLE, "(uid=ann)"), ["ann"]);
}

/// Every single-bit error of a search: an answer, a refusal or an end, and the server serves on.
#[test]
fn flipped_bits_do_no_harm() {
    let server = Server::shared();
    let bytes =
        request::message(1, &Search::base(ANN).filter("(&(uid=ann)(cn=*nn*))").attributes(&["cn"]).encode(), &[]);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let socket = Client::socket(server.address());
        let mut client = Client::over(socket.try_clone().expect("a socket can be shared"));
        if client.try_send_bytes(&flipped).is_ok() {
            // Nothing more will come from us: the server need not wait for the rest of a longer message.
            let _ = socket.shutdown(std::net::Shutdown::Write);
            while client.receive().is_some() {}
        }
    }
    assert_eq!(server.anonymous().names(PEOPLE, "(uid=ann)"), ["ann"]);
}
