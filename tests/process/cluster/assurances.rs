//! What a client was told holds when the node that told it is gone: counts of durability, session tokens.

use std::path::Path;

use super::node::{Node, person};
use crate::support::ber::{self, Element};
use crate::support::client::{Client, Found, Outcome};
use crate::support::request::{Control, REPLACE, Search};
use crate::support::wait::wait_until;
use crate::support::{code, oid};

/// Three suppliers, served, which all know each other.
#[track_caller]
fn three(folder: &Path) -> [Node; 3] {
    let mut a = Node::found(folder, "a");
    a.serve();
    let b = a.joined("b", "supplier");
    let c = a.joined("c", "supplier");
    for (node, others) in [(&a, ["b", "c"]), (&b, ["a", "c"]), (&c, ["a", "b"])] {
        wait_until("a session with each", || others.iter().all(|other| node.sees(other)["connected"] == true));
    }
    [a, b, c]
}

/// Ann's title, written with durability `quorum(members)`: the count that held it, that were wanted, and their names.
#[track_caller]
fn written_for(client: &mut Client, members: i64, title: &str, wait_ms: i64) -> (i64, i64, Vec<String>) {
    let quorum = ber::sequence(&[ber::enumerated(1), ber::integer(members), ber::integer(wait_ms)]);
    let control = Control::critical(oid::DURABILITY, Some(quorum));
    let written = client.with(control).modify(&person("ann"), &[(REPLACE, "title", &[title])]).expect(code::SUCCESS);
    let parts = Element::whole(&written.control(oid::DURABILITY)).unwrap().children().unwrap();
    let names = parts[2].children().unwrap();
    let names = names.iter().map(|name| String::from_utf8_lossy(&name.content).into_owned()).collect();
    (parts[0].number(), parts[1].number(), names)
}

fn title(node: &Node) -> String {
    node.client().read(&person("ann")).value("title")
}

#[test]
fn durability_that_is_not_met_in_time_tells_who_holds_the_change_and_those_do_when_its_node_is_killed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [mut a, b, mut c] = three(folder.path());
    let mut client = a.client();
    let (held, wanted, mut names) = written_for(&mut client, 2, "held by all", 20_000);
    names.sort();
    assert_eq!((held, wanted, names), (2, 2, vec!["b".to_owned(), "c".to_owned()]));
    c.kill();
    // One of two, and it is said which: with nothing in between, what it says must be so.
    let told = written_for(&mut client, 2, "held by b", 2_000);
    a.kill();
    assert_eq!(told, (1, 2, vec!["b".to_owned()]));
    assert_eq!(title(&b), "held by b");
    // Nobody is there: the change is made, and nobody is named.
    let told = written_for(&mut b.client(), 1, "held by nobody else", 300);
    assert_eq!(told, (0, 1, Vec::new()));
    a.serve();
    c.serve();
    for node in [&a, &b, &c] {
        node.wait_until_equal();
        assert_eq!(title(node), "held by nobody else");
    }
}

/// Ann's entry, read by who holds all that the token says, or waits so long for it.
fn read_with(node: &Node, token: &str, wait_ms: i64) -> Found {
    let value = ber::sequence(&[ber::octets(token), ber::integer(wait_ms)]);
    let control = Control::critical(oid::SESSION_TOKEN, Some(value));
    node.client().with(control).search(&Search::base(person("ann")))
}

fn token_of(outcome: &Outcome) -> String {
    String::from_utf8(outcome.control(oid::SESSION_TOKEN)).expect("a token is text")
}

#[test]
fn the_token_of_a_node_that_was_killed_is_met_by_another_once_it_has_caught_up_and_until_then_busy_says_what_is_missing()
 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [mut a, mut b, mut c] = three(folder.path());
    let retitled = |node: &Node, title: &str| {
        let wanted = Control::not_critical(oid::SESSION_TOKEN, None);
        let written = node.client().with(wanted).modify(&person("ann"), &[(REPLACE, "title", &[title])]);
        token_of(&written.expect(code::SUCCESS))
    };
    // While b was away c heard of it: b has it from there.
    b.stop();
    let token = retitled(&a, "while b was away");
    assert_eq!(written_for(&mut a.client(), 1, "known to c", 20_000).0, 1);
    a.kill();
    b.serve();
    let found = read_with(&b, &token, 20_000).expect(code::SUCCESS);
    assert_eq!(found.entries[0].value("title"), "known to c");
    // Nobody who runs has it: whoever asks is told what is missing, however often.
    a.serve();
    a.wait_until_open();
    b.wait_until_equal();
    c.stop();
    b.stop();
    let token = retitled(&a, "known to nobody else");
    a.kill();
    b.serve();
    for _ in 0..2 {
        let refused = read_with(&b, &token, 200).outcome.expect(code::BUSY);
        let text = &refused.diagnostic;
        assert!(text.contains(" of origin ") && text.contains("(held: "), "{refused:?}");
    }
    assert_eq!(title(&b), "known to c", "without the token it is answered at once");
    // The node comes back; b is asked before it has heard of it.
    a.serve();
    let found = read_with(&b, &token, 20_000).expect(code::SUCCESS);
    assert_eq!(found.entries[0].value("title"), "known to nobody else");
    c.serve();
    let found = read_with(&c, &token, 20_000).expect(code::SUCCESS);
    assert_eq!(found.entries[0].value("title"), "known to nobody else");
}
