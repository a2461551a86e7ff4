//! The subentries control: RFC 3672 3, and its forerunner of draft-ietf-ldup-subentry.

use crate::support::code;
use crate::support::oid;
use crate::support::request::{Control, ONE, Search};
use crate::support::server::{Server, Setup, Subject};
use crate::{PEOPLE, support::client::Client};

const SHARED: &str = "cn=shared,ou=people,dc=example,dc=com";

/// A server with one subentry below ou=people, and the administrator's connection. A subentry of both servers' schemas.
fn with_subentry() -> (Server, Client) {
    let server = Server::start(Setup::default());
    let mut client = server.admin();
    let classes: &[&str] =
        if Subject::current().is_slapd() { &["subentry"] } else { &["subentry", "collectiveAttributeSubentry"] };
    let entry: [(&str, &[&str]); 3] =
        [("objectClass", classes), ("cn", &["shared"]), ("subtreeSpecification", &["{}"])];
    client.add(SHARED, &entry).expect(code::SUCCESS);
    (server, client)
}

fn found(client: &mut Client, control: Option<Control>) -> (bool, bool) {
    let search = Search::base(PEOPLE).scope(ONE).filter("(objectClass=*)");
    let result = match control {
        Some(control) => client.with(control).search(&search),
        None => client.search(&search),
    };
    let names = result.expect(code::SUCCESS).names();
    (names.contains(&"shared".to_owned()), names.contains(&"ann".to_owned()))
}

fn visibility(value: u8) -> Control {
    Control::critical(oid::SUBENTRIES, Some(vec![1, 1, value]))
}

/// Section 3: without the control, and with FALSE, entries alone; with TRUE subentries alone.
#[test]
fn subentries_are_seen_when_asked_for_and_then_alone() {
    let (_server, mut client) = with_subentry();
    assert_eq!(found(&mut client, None), (false, true));
    assert_eq!(found(&mut client, Some(visibility(0))), (false, true));
    assert_eq!(found(&mut client, Some(visibility(0xff))), (true, false));
}

/// Section 3: a search of the base object alone sees it without the control.
#[test]
fn a_subentry_that_is_the_base_is_seen_without_the_control() {
    let (_server, mut client) = with_subentry();
    let found = client.search(&Search::base(SHARED).filter("(objectClass=*)")).expect(code::SUCCESS);
    assert_eq!(found.names(), ["shared"]);
}

/// Section 3: the value is a BOOLEAN, and must be there.
#[test]
fn the_subentries_control_without_a_boolean_is_a_protocol_error() {
    let (_server, mut client) = with_subentry();
    for value in [None, Some(vec![]), Some(vec![2, 1, 0])] {
        let search = Search::base(PEOPLE).filter("(objectClass=*)");
        client.with(Control::critical(oid::SUBENTRIES, value)).search(&search).expect(code::PROTOCOL_ERROR);
    }
}

/// draft-ietf-ldup-subentry-08: no value, subentries alone, as OpenDJ serves it. slapd does not have it.
#[test]
fn the_draft_s_control_sees_subentries_alone() {
    only_entente!(Foreign);
    let (_server, mut client) = with_subentry();
    assert_eq!(found(&mut client, Some(Control::critical(oid::SUBENTRIES_ALONE, None))), (true, false));
    let search = Search::base(PEOPLE).filter("(objectClass=*)");
    let control = Control::critical(oid::SUBENTRIES_ALONE, Some(vec![1, 1, 0xff]));
    client.with(control).search(&search).expect(code::PROTOCOL_ERROR);
}
