//! No operation: draft-zeilenga-ldap-noop. Everything is checked, nothing is done.

use crate::add_person;
use crate::support::request::{ADD, Control};
use crate::support::server::{Server, Setup, Subject, check};
use crate::support::{code, oid};

fn no_op() -> Control {
    // slapd 2.5 has it under an experimental OID of OpenLDAP's.
    Control::plain(Subject::current().pick(oid::NO_OPERATION, "1.3.6.1.4.1.4203.666.5.2"))
}

#[test]
fn nothing_is_done_and_the_code_says_that_it_could_be() {
    let mut server = Server::start(Setup::default());
    let (mut client, branch) = server.branch("noop");
    let dn = add_person(&mut client, &branch, "p");
    let person: [(&str, &[&str]); 3] = [("objectClass", &["person"]), ("cn", &["q"]), ("sn", &["q"])];
    client.with(no_op()).add(&format!("cn=q,{branch}"), &person).expect(code::NO_OPERATION);
    client.with(no_op()).modify(&dn, &[(ADD, "title", &["Cook"])]).expect(code::NO_OPERATION);
    client.with(no_op()).modify_dn(&dn, "uid=r", true, None).expect(code::NO_OPERATION);
    client.with(no_op()).delete(&dn).expect(code::NO_OPERATION);
    assert_eq!(client.names(&branch, "(objectClass=person)"), ["p"]);
    assert!(!client.read(&dn).has("title"));
    // What follows is numbered as if nothing had been tried.
    client.modify(&dn, &[(ADD, "title", &["Cook"])]).expect(code::SUCCESS);
    assert_eq!(client.read(&dn).values("title"), ["Cook"]);
    drop(client);
    server.stop();
    if !Subject::current().is_slapd() {
        check(&server.data());
    }
}

#[test]
fn a_change_that_could_not_be_made_is_refused_as_ever() {
    let (mut client, branch) = Server::shared().branch("noop-refused");
    let dn = add_person(&mut client, &branch, "p");
    client.with(no_op()).modify(&dn, &[(ADD, "sn", &["person"])]).expect(code::ATTRIBUTE_OR_VALUE_EXISTS);
    client.with(no_op()).delete(&format!("uid=q,{branch}")).expect(code::NO_SUCH_OBJECT);
    client.with(no_op()).delete(&branch).expect(code::NOT_ALLOWED_ON_NON_LEAF);
    client.with(no_op()).modify(&dn, &[(1, "sn", &[])]).expect(code::OBJECT_CLASS_VIOLATION);
}
