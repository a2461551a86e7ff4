//! Cancel: RFC 3909.

use crate::PEOPLE;
use crate::support::request::{self, Search};
use crate::support::server::{SUFFIX, Server, Setup, Subject};
use crate::support::wait::wait_for;
use crate::support::{code, oid};

/// RFC 3909 2.2: an id that nothing is running under.
#[test]
fn cancel_of_an_unknown_id_is_no_such_operation() {
    let mut client = Server::shared().admin();
    client.perform(&request::cancel(4711)).expect(code::NO_SUCH_OPERATION);
}

#[test]
fn cancel_of_a_finished_operation_is_no_such_operation_or_too_late() {
    let mut client = Server::shared().admin();
    let id = client.send(&Search::base(PEOPLE).encode());
    client.found_for(id).expect(code::SUCCESS);
    client.perform(&request::cancel(id)).expect_one_of(&[code::NO_SUCH_OPERATION, code::TOO_LATE]);
}

/// RFC 3909 2.1: the request has a value, a cancelID.
#[test]
fn cancel_without_a_proper_value_is_a_protocol_error() {
    let mut client = Server::shared().admin();
    client.perform(&request::extended(oid::CANCEL, None)).expect(code::PROTOCOL_ERROR);
    let outcome = client.perform(&request::extended(oid::CANCEL, Some(b"\x30\x03\x04\x01x")));
    // slapd reads the octet string as a number.
    outcome.expect(Subject::current().pick(code::PROTOCOL_ERROR, code::NO_SUCH_OPERATION));
}

/// RFC 3909 2.1, 2.2: both requests get an answer. The search goes through 4,000 entries, a hundred times as long as its
/// cancel takes to be read, so that one that is canceled is all that there can be.
#[test]
fn cancel_of_a_search_answers_both_requests() {
    let setup = Setup::default().with_entries(&crowd()).with_setting("limits.lookthrough=0");
    let server = Server::start(setup.with_slapd_lines("sizelimit unlimited\n"));
    let mut client = server.admin();
    // slapd ends such a search before it has read the cancel: of one that sends all that it finds it does not.
    let filter = Subject::current().pick("(|(description=*nowhere*)(description=*neither*))", "(objectClass=*)");
    let search = request::message(10, &Search::subtree(SUFFIX, filter).encode(), &[]);
    let cancel = request::message(11, &request::cancel(10), &[]);
    client.send_bytes(&[search, cancel].concat());
    let found = client.found_for(10).expect(code::CANCELED);
    assert!(found.entries.len() < 4_000);
    client.outcome_of(11).expect(code::SUCCESS);
    assert_eq!(client.who_am_i(), "dn:cn=admin,dc=example,dc=com");
    // What was canceled is no operation any more.
    let outcome = wait_for("the search to be over", || {
        let outcome = client.perform(&request::cancel(10));
        // slapd says for a moment that it is being canceled already.
        (!Subject::current().is_slapd() || outcome.code != code::OPERATIONS_ERROR).then_some(outcome)
    });
    outcome.expect(code::NO_SUCH_OPERATION);
}

fn crowd() -> String {
    let text = "lorem ipsum ".repeat(80);
    let entry = |number: usize| {
        format!(
            "dn: cn=c{number},{PEOPLE}\nobjectClass: person\ncn: c{number}\nsn: Crowd\ndescription: {number} {text}.\n"
        )
    };
    (0..4_000).map(entry).collect::<Vec<_>>().join("\n")
}
