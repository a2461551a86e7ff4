//! Cancel: RFC 3909.

use crate::PEOPLE;
use crate::support::request::{self, Search};
use crate::support::server::{SUFFIX, Server, Subject};
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

/// RFC 3909 2.1, 2.2: both requests get an answer, and they fit each other.
#[test]
fn cancel_of_a_search_answers_both_requests() {
    let mut client = Server::shared().admin();
    let search = request::message(10, &Search::subtree(SUFFIX, "(objectClass=*)").encode(), &[]);
    let cancel = request::message(11, &request::cancel(10), &[]);
    client.send_bytes(&[search, cancel].concat());
    let found = client.found_for(10);
    let canceled = client.outcome_of(11);
    match found.outcome.code {
        code::CANCELED => assert_eq!(canceled.code, code::SUCCESS, "{canceled:?}"),
        code::SUCCESS => {
            canceled.expect_one_of(&[code::NO_SUCH_OPERATION, code::TOO_LATE, code::CANNOT_CANCEL, code::SUCCESS]);
        }
        other => panic!("search ended with {other}"),
    }
    assert_eq!(client.who_am_i(), "dn:cn=admin,dc=example,dc=com");
}
