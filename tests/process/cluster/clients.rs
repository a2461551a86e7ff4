//! Clients of two nodes of one cluster: session tokens, acknowledged changes, cookies that move between nodes.

use std::path::Path;

use super::node::{Node, person};
use crate::support::ber::{self, Element};
use crate::support::client::{Client, Outcome};
use crate::support::request::{Control, REPLACE, Search};
use crate::support::server::SUFFIX;
use crate::support::{code, oid};

/// Two members, both served.
#[track_caller]
fn two(folder: &Path) -> [Node; 2] {
    let mut one = Node::found(folder, "one");
    one.serve();
    let two = one.joined("two", "supplier");
    [one, two]
}

fn token(text: &str) -> Control {
    Control::critical(oid::SESSION_TOKEN, Some(ber::sequence(&[ber::octets(text), ber::integer(20_000)])))
}

fn token_of(outcome: &Outcome) -> String {
    String::from_utf8(outcome.control(oid::SESSION_TOKEN)).expect("a token is text")
}

/// refreshOnly: how many entries came, and the cookie.
#[track_caller]
fn poll(client: &mut Client, cookie: Option<&[u8]>) -> (usize, Vec<u8>) {
    let mut parts = vec![ber::enumerated(1)];
    parts.extend(cookie.map(ber::octets));
    let control = Control::critical(oid::SYNC_REQUEST, Some(ber::sequence(&parts)));
    let found = client.with(control).search(&Search::subtree(SUFFIX, "(objectClass=*)")).expect(code::SUCCESS);
    let done = Element::whole(&found.outcome.control(oid::SYNC_DONE)).unwrap().children().unwrap();
    (found.entries.len(), done[0].content.clone())
}

#[test]
fn what_was_written_on_one_node_is_read_on_the_other() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [one, two] = two(folder.path());
    let (mut here, mut there) = (one.client(), two.client());
    let ann = person("ann");
    for round in 0..20 {
        let title = format!("title {round}");
        let (writer, reader) = if round % 2 == 0 { (&mut here, &mut there) } else { (&mut there, &mut here) };
        let wanted = Control::not_critical(oid::SESSION_TOKEN, None);
        let written = writer.with(wanted).modify(&ann, &[(REPLACE, "title", &[&title])]).expect(code::SUCCESS);
        let found = reader.with(token(&token_of(&written))).search(&Search::base(&ann)).expect(code::SUCCESS);
        assert_eq!(found.entries[0].value("title"), title);
    }
    // Answered once the other member holds it.
    let quorum = ber::sequence(&[ber::enumerated(1), ber::integer(1), ber::integer(20_000)]);
    let control = Control::critical(oid::DURABILITY, Some(quorum));
    let written = here.with(control).modify(&ann, &[(REPLACE, "title", &["held by two"])]).expect(code::SUCCESS);
    let parts = Element::whole(&written.control(oid::DURABILITY)).unwrap().children().unwrap();
    assert_eq!((parts[0].number(), parts[1].number()), (1, 1));
    assert_eq!(there.read(&ann).value("title"), "held by two");
}

#[test]
fn a_cookie_of_one_node_is_good_on_the_other() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [one, two] = two(folder.path());
    let (mut here, mut there) = (one.client(), two.client());
    let ann = person("ann");
    // Whatever was done to become a cluster is known to both.
    let wanted = Control::not_critical(oid::SESSION_TOKEN, None);
    let written = here.with(wanted.clone()).modify(&ann, &[(REPLACE, "title", &["one"])]).expect(code::SUCCESS);
    there.with(token(&token_of(&written))).search(&Search::base(&ann)).expect(code::SUCCESS);
    let (all, cookie) = poll(&mut here, None);
    assert!(all > 10);
    assert_eq!(poll(&mut there, Some(&cookie)).0, 0, "nothing changed");
    let written = there.with(wanted).modify(&ann, &[(REPLACE, "title", &["two"])]).expect(code::SUCCESS);
    let (changed, cookie) = poll(&mut there, Some(&cookie));
    assert_eq!(changed, 1);
    here.with(token(&token_of(&written))).search(&Search::base(&ann)).expect(code::SUCCESS);
    assert_eq!(poll(&mut here, Some(&cookie)).0, 0, "it was told on the other node");
}
