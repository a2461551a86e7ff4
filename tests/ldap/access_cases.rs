//! The cases of `tests/support/access_cases.rs`, which `tests/peers` plays to 389 Directory Server, too. Not in slapd, whose
//! rules have another language.

use crate::support::access_cases::play;
use crate::support::code;
use crate::support::request::REPLACE;
use crate::support::server::{SUFFIX, Server, Setup};

/// T-16, T-20, T-23 of the hostile tests: what each part of a rule comes to.
#[test]
fn every_rule_comes_to_what_389_says() {
    only_entente!(Access);
    let server = Server::start(Setup::default());
    let mut admin = server.admin();
    admin.modify(SUFFIX, &[(REPLACE, "aci", &[])]).expect(code::SUCCESS);
    let (asked, wrong) = play(&mut admin, &|| server.anonymous(), 1);
    println!("{asked} questions");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
