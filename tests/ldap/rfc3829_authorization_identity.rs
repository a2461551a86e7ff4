//! Authorization identity in the response to a bind: RFC 3829. slapd's is a compile-time choice that Debian does not make.

use crate::ANN;
use crate::support::request::Control;
use crate::support::server::Server;
use crate::support::{code, oid};

#[test]
fn a_bind_tells_who_one_is_now() {
    only_entente!(Unserved);
    let server = Server::shared();
    let asked = || Control::plain(oid::AUTHORIZATION_IDENTITY_REQUEST);
    let mut client = server.anonymous();
    let outcome = client.with(asked()).bind("UID=Ann,ou=people,dc=example,dc=com", "ann-secret").expect(code::SUCCESS);
    assert_eq!(outcome.control(oid::AUTHORIZATION_IDENTITY_RESPONSE), format!("dn:{ANN}").into_bytes());
    let outcome = client.with(asked()).bind("", "").expect(code::SUCCESS);
    assert_eq!(outcome.control(oid::AUTHORIZATION_IDENTITY_RESPONSE), b"");
    let outcome = client.with(asked()).bind(ANN, "wrong").expect(code::INVALID_CREDENTIALS);
    assert!(outcome.controls.is_empty());
    let outcome = client.bind(ANN, "ann-secret").expect(code::SUCCESS);
    assert!(outcome.controls.is_empty(), "nobody asked");
}

/// Passwords that take time to verify are answered elsewhere.
#[test]
fn a_costly_password_tells_it_too() {
    only_entente!(Unserved);
    let (mut admin, branch) = Server::shared().branch("authzid");
    let dn = crate::add_person(&mut admin, &branch, "p");
    admin.modify(&dn, &[(0, "userPassword", &["p-secret"])]).expect(code::SUCCESS);
    let mut client = Server::shared().anonymous();
    let asked = Control::plain(oid::AUTHORIZATION_IDENTITY_REQUEST);
    let outcome = client.with(asked).bind(&dn, "p-secret").expect(code::SUCCESS);
    assert_eq!(outcome.control(oid::AUTHORIZATION_IDENTITY_RESPONSE), format!("dn:{dn}").into_bytes());
}
