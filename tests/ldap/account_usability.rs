//! Account usability, the control of Sun's directory server. Not in slapd.

use crate::support::request::{Control, Search};
use crate::support::server::{SUFFIX, Server, Subject};
use crate::support::{code, oid};
use crate::{ANN, BOB};

#[test]
fn an_account_says_that_it_can_be_used() {
    if Subject::current().is_slapd() {
        return;
    }
    let server = Server::shared();
    let ask = || Control::plain(oid::ACCOUNT_USABILITY);
    let mut admin = server.admin();
    let found = admin.with(ask()).search(&Search::base(ANN)).expect(code::SUCCESS);
    // is_available: -1, no expiry.
    assert_eq!(found.control_of(0, oid::ACCOUNT_USABILITY), Some(vec![0x80, 1, 0xFF]));
    let found = admin.with(ask()).search(&Search::base(SUFFIX)).expect(code::SUCCESS);
    assert_eq!(found.control_of(0, oid::ACCOUNT_USABILITY), None, "no password, no account");
    let found = admin.search(&Search::base(ANN)).expect(code::SUCCESS);
    assert_eq!(found.control_of(0, oid::ACCOUNT_USABILITY), None, "nobody asked");
    // Whoever may not even compare the password does not hear whether there is one.
    let found = server.person("bob").with(ask()).search(&Search::base(ANN)).expect(code::SUCCESS);
    assert_eq!(found.control_of(0, oid::ACCOUNT_USABILITY), None);
    let broken = Control::critical(oid::ACCOUNT_USABILITY, Some(b"x".to_vec()));
    admin.with(broken).search(&Search::base(BOB)).expect(code::PROTOCOL_ERROR);
}
