//! Our own controls: session tokens and durability. A cluster of one here; with several nodes in `tests/process`.

use crate::support::ber::{self, Element};
use crate::support::client::{Client, Outcome};
use crate::support::request::{Control, REPLACE, Search};
use crate::support::server::Server;
use crate::support::{code, oid};

/// A token to wait for, at most so many milliseconds.
fn token(text: &str, wait_ms: i64) -> Control {
    Control::critical(oid::SESSION_TOKEN, Some(ber::sequence(&[ber::octets(text), ber::integer(wait_ms)])))
}

fn durability(level: i64, members: i64, wait_ms: i64) -> Control {
    let value = ber::sequence(&[ber::enumerated(level), ber::integer(members), ber::integer(wait_ms)]);
    Control::critical(oid::DURABILITY, Some(value))
}

fn token_of(outcome: &Outcome) -> String {
    String::from_utf8(outcome.control(oid::SESSION_TOKEN)).expect("a token is text")
}

/// acked, wanted.
fn counts(outcome: &Outcome) -> (i64, i64) {
    let parts = Element::whole(&outcome.control(oid::DURABILITY)).unwrap().children().unwrap();
    (parts[0].number(), parts[1].number())
}

fn retitle(client: &mut Client, dn: &str, title: &str, control: Control) -> Outcome {
    client.with(control).modify(dn, &[(REPLACE, "title", &[title])])
}

/// Whoever reads with the token of a write sees the write, and tokens only grow.
#[test]
fn responses_tell_a_token_that_grows() {
    only_entente!(Own);
    let (mut client, branch) = Server::shared().branch("tokens");
    let a = crate::add_person(&mut client, &branch, "a");
    let first = retitle(&mut client, &a, "one", Control::not_critical(oid::SESSION_TOKEN, None)).expect(code::SUCCESS);
    let second = retitle(&mut client, &a, "two", token(&token_of(&first), 100)).expect(code::SUCCESS);
    assert_ne!(token_of(&first), token_of(&second));
    let found = client.with(token(&token_of(&second), 100)).search(&Search::base(&a));
    assert_eq!(found.entries[0].value("title"), "two");
    assert!(token_of(&found.outcome).contains(':'));
    let compared = client.with(token(&token_of(&second), 100)).compare(&a, "title", "two").expect(code::COMPARE_TRUE);
    assert!(!token_of(&compared).is_empty());
}

/// A token of changes that this server does not have is waited for, and then it says what is missing; what is sent behind it is
/// answered after it.
#[test]
fn a_token_from_the_future_ends_in_busy() {
    only_entente!(Own);
    let (mut client, branch) = Server::shared().branch("tokens-missing");
    let search = Search::base(&branch).encode();
    let id = client.with(token("0000deadbeef:7", 50)).send(&search);
    let behind = client.send(&search);
    let refused = client.found_for(id).outcome.expect(code::BUSY);
    assert!(refused.diagnostic.contains("7 of origin 0000deadbeef (held: 0)"), "{refused:?}");
    client.found_for(behind).expect(code::SUCCESS);
    let refused = retitle(&mut client, &branch, "x", token("0000deadbeef:7", 0));
    refused.expect(code::BUSY);
    for nonsense in ["x", "1:1", "0000deadbeef:"] {
        client.with(token(nonsense, 50)).search(&Search::base(&branch)).expect(code::PROTOCOL_ERROR);
    }
}

/// The change is made, and the count is honest.
#[test]
fn a_quorum_that_is_not_there_is_told() {
    only_entente!(Own);
    let (mut client, branch) = Server::shared().branch("durability");
    let a = crate::add_person(&mut client, &branch, "a");
    let alone = retitle(&mut client, &a, "one", durability(1, 2, 100)).expect(code::SUCCESS);
    assert_eq!(counts(&alone), (0, 2));
    assert_eq!(client.read(&a).value("title"), "one");
    for level in [0, 2, 3] {
        let met = retitle(&mut client, &a, "two", durability(level, 0, 100)).expect(code::SUCCESS);
        assert_eq!(counts(&met), (0, 0), "level {level}: there is nobody else");
    }
    retitle(&mut client, &a, "three", durability(9, 0, 1)).expect(code::PROTOCOL_ERROR);
    client.with(durability(0, 0, 1)).search(&Search::base(&a)).expect(code::UNAVAILABLE_CRITICAL_EXTENSION);
}
