//! The same access rules and the same questions for 389 Directory Server as for Entente (`tests/ldap/access_cases.rs`).

use crate::dirsrv::Dirsrv;
use crate::support::access_cases::play;
use crate::support::client::Client;
use crate::support::code;

#[test]
fn rules_come_to_the_same_on_389() {
    let folder = tempfile::Builder::new().prefix("entente-access").tempdir_in("/tmp").unwrap();
    let dirsrv = Dirsrv::make(folder.path());
    let mut program = dirsrv.start();
    let mut manager = dirsrv.manager();
    let suffix: [(&str, &[&str]); 2] = [("objectClass", &["top", "domain"]), ("dc", &["example"])];
    manager.add("dc=example,dc=com", &suffix).expect(code::SUCCESS);
    let (asked, wrong) = play(&mut manager, &|| Client::connect(dirsrv.address));
    program.terminate();
    println!("{asked} questions");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
