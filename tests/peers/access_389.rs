//! The same access rules and the same questions for 389 Directory Server as for Entente (`tests/ldap/access_cases.rs`).

use crate::dirsrv::Dirsrv;
use crate::support::access_cases::{OTHERWISE_ON_389, play};
use crate::support::client::Client;
use crate::support::code;
use crate::support::request::REPLACE;
use crate::support::role_cases;
use crate::support::server::SUFFIX;
use crate::support::wait::wait_until;

#[test]
fn rules_come_to_the_same_on_389() {
    let folder = tempfile::Builder::new().prefix("entente-access").tempdir_in("/tmp").unwrap();
    let dirsrv = Dirsrv::make(folder.path());
    let mut program = dirsrv.start();
    let mut manager = dirsrv.manager();
    let suffix: [(&str, &[&str]); 2] = [("objectClass", &["top", "domain"]), ("dc", &["example"])];
    manager.add(SUFFIX, &suffix).expect_one_of(&[code::SUCCESS, code::ENTRY_ALREADY_EXISTS]);
    manager.modify(SUFFIX, &[(REPLACE, "aci", &[])]).expect(code::SUCCESS);
    role_cases::make(&mut manager);
    // It learns of roles a moment after they are added.
    wait_until("389 to know the roles", || role_cases::wrong(&mut manager).is_empty());
    let (asked, wrong) = play(&mut manager, &|| Client::connect(dirsrv.address), 4);
    program.terminate();
    println!("{asked} questions");
    // Where it is asked again because it now and then overlooks rules, it may by that come to the same.
    let unknown: Vec<_> = wrong.iter().filter(|question| !OTHERWISE_ON_389.contains(&question.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}
