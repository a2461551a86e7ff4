//! Session tracking (draft-wahl-ldap-session): for whom an application asks stands in the log of operations.

use crate::ANN;
use crate::support::ber::{octets, sequence};
use crate::support::request::{self, ADD, Control, Search};
use crate::support::server::{Server, Setup, Subject};
use crate::support::wait::{PATIENCE, wait_for_within};
use crate::support::{code, oid};

fn tracked(source: &str, host: &str, identifier: &str) -> Control {
    let parts = [octets(source), octets(host), octets("1.3.6.1.4.1.21008.108.63.1.3"), octets(identifier)];
    Control::not_critical(oid::SESSION_TRACKING, Some(sequence(&parts)))
}

#[test]
fn every_operation_takes_it() {
    let mut client = Server::shared().admin();
    let is_critical = !Subject::current().is_slapd();
    let critical = || Control { critical: is_critical, ..tracked("192.0.2.7", "webmail", "ann") };
    client.with(critical()).search(&Search::base(ANN)).single();
    client.with(critical()).compare(ANN, "sn", "Example").expect(code::COMPARE_TRUE);
    client
        .with(critical())
        .modify("uid=nobody,dc=example,dc=com", &[(ADD, "title", &["x"])])
        .expect(code::NO_SUCH_OBJECT);
    client.with(critical()).perform(&request::extended(oid::WHO_AM_I, None)).expect(code::SUCCESS);
    client.with(critical()).bind(ANN, "ann-secret").expect(code::SUCCESS);
    let broken = Control::critical(oid::SESSION_TRACKING, Some(b"\x30\x00".to_vec()));
    client.with(broken).search(&Search::base(ANN)).expect(code::PROTOCOL_ERROR);
}

#[test]
fn the_log_names_the_session() {
    only_entente!(Log);
    let server = Server::start(Setup::default().with_setting("log.operations=true"));
    let mut client = server.admin();
    client.with(Control::proxied(&format!("dn:{ANN}")));
    client.with(tracked("192.0.2.7", "webmail", "ann\n\"x\" forged=1")).search(&Search::base(ANN)).single();
    let line = wait_for_within(PATIENCE, "the line of the search", || {
        server.said().lines().find(|line| line.contains("192.0.2.7")).map(str::to_owned)
    });
    assert!(line.contains(r#"host=\"webmail\""#) || line.contains(r#"host="webmail""#), "{line}");
    assert!(line.contains(&format!("dn:{ANN}")), "as whom: {line}");
    assert!(line.contains("search") && line.contains("forged"), "one line, whatever is in it: {line}");
    assert!(!line.contains("\"x\" forged"), "quotes end nothing: {line}");
}
