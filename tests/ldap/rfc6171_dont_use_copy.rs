//! Don't use copy: RFC 6171. Every supplier holds the data itself.

use crate::ANN;
use crate::support::request::{ADD, Control, Search};
use crate::support::server::{Server, Setup};
use crate::support::{code, oid};

#[test]
fn a_supplier_answers_from_its_own_data() {
    let mut client = Server::shared().admin();
    let control = || Control::plain(oid::DONT_USE_COPY);
    client.with(control()).search(&Search::base(ANN)).single();
    client.with(control()).compare(ANN, "sn", "Example").expect(code::COMPARE_TRUE);
}

/// RFC 6171 2: it is critical, has no value, and belongs to search and compare.
#[test]
fn the_control_is_critical_and_without_a_value() {
    let server = Server::start(Setup::default().with_slapd_global("disallow dontusecopy_non_critical\n"));
    let mut client = server.admin();
    client.with(Control::plain(oid::DONT_USE_COPY).optional()).search(&Search::base(ANN)).expect(code::PROTOCOL_ERROR);
    let with_value = Control::critical(oid::DONT_USE_COPY, Some(b"x".to_vec()));
    client.with(with_value).search(&Search::base(ANN)).expect(code::PROTOCOL_ERROR);
    let outcome = client.with(Control::plain(oid::DONT_USE_COPY)).modify(ANN, &[(ADD, "title", &["x"])]);
    outcome.expect(code::UNAVAILABLE_CRITICAL_EXTENSION);
}
