//! What strangers send ends in log lines (T-33): it can neither begin a line of its own, nor act on a terminal, nor fill the
//! disk with one request.

use crate::support::request::{self, Control, Search};
use crate::support::server::{Server, Setup};
use crate::support::wait::wait_until;
use crate::support::{code, oid};
use crate::{ANN, PEOPLE};

/// The longest line that one request may make, in bytes.
const LINE_BYTES_MAX: usize = 16 * 1024;

#[test]
fn nothing_that_is_sent_forges_a_log_line() {
    only_entente!(Log);
    let server = Server::start(Setup::default().with_setting("log.operations=true").with_setting("log.level=debug"));
    let forged = "2026-01-01T00:00:00Z  INFO forged: all is well";
    let mut client = server.admin();
    for nasty in [
        format!("x\n{forged}"),
        format!("x\r\n{forged}"),
        format!("x\r{forged}"),
        format!("x\0{forged}"),
        format!("x\u{1b}[2K\u{1b}[1A{forged}"),
        format!("x\u{85}\u{2028}\u{2029}{forged}"),
        format!("x\u{202e}{forged}\u{200f}\u{2066}"),
        "x".repeat(1_000_000),
    ] {
        let escaped: String = nasty.bytes().map(|byte| format!("\\{byte:02x}")).collect();
        client.search(&Search::base(format!("cn={escaped},{PEOPLE}")));
        client.search(&Search::base(&nasty));
        client.search(&Search::subtree(PEOPLE, "(&)").raw_filter(crate::support::ber::constructed(
            0xA3,
            &[crate::support::ber::octets("cn"), crate::support::ber::octets(&nasty)],
        )));
        client.search(&Search::base(ANN).attributes(&[&nasty]));
        client.compare(ANN, &nasty, &nasty);
        client.modify(ANN, &[(2, &nasty, &["x"])]);
        client.delete(&nasty);
        client.perform(&request::extended(&nasty, Some(nasty.as_bytes())));
        client.with(Control { critical: false, ..Control::plain(&nasty) }).compare(ANN, "sn", "x");
        let tracking =
            [nasty.as_str(), &nasty, "1.3.6.1.4.1.21008.108.63.1.3", &nasty].map(crate::support::ber::octets);
        let tracking = Control::critical(oid::SESSION_TRACKING, Some(crate::support::ber::sequence(&tracking)));
        client.with(Control { critical: false, ..tracking }).compare(ANN, "sn", "x");
        // A bind before bind may be refused for its length; then the connection ends, which is an answer too.
        let mut stranger = server.anonymous();
        stranger.try_perform(&request::bind_simple(3, &nasty, nasty.as_bytes()));
        let mut stranger = server.anonymous();
        stranger.try_perform(&request::bind_sasl(&nasty, &nasty, Some(nasty.as_bytes())));
    }
    client.compare(ANN, "sn", "the last").expect(code::COMPARE_FALSE);
    wait_until("the log", || server.said().contains("COMPARE") || server.said().to_lowercase().contains("compare"));
    let said = server.said();
    for line in said.split('\n') {
        assert!(!line.starts_with(forged) && !line.starts_with("x\u{1b}"), "forged: {line}");
        assert!(line.len() <= LINE_BYTES_MAX, "{} bytes: {}", line.len(), line.chars().take(200).collect::<String>());
        let bad = line.chars().find(|c| c.is_control() && *c != '\t' || ('\u{2028}'..='\u{202e}').contains(c));
        assert_eq!(bad, None, "{line:?}");
    }
}
