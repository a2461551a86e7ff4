//! Who am I?: RFC 4532.

use crate::ANN;
use crate::support::server::{ADMIN, Server};
use crate::support::{code, oid, request};

#[test]
fn anonymous_is_the_empty_string() {
    let mut client = Server::shared().anonymous();
    let outcome = client.perform(&request::extended(oid::WHO_AM_I, None)).expect(code::SUCCESS);
    // RFC 4532 2.2: zero length, and there.
    assert_eq!(outcome.value.unwrap_or_default(), b"");
}

#[test]
fn bound_identity_is_told_as_a_dn() {
    let server = Server::shared();
    assert_eq!(server.person("ann").who_am_i(), format!("dn:{ANN}"));
    assert_eq!(server.admin().who_am_i(), format!("dn:{ADMIN}"));
}

/// Whatever was typed at bind, the identity is the entry's name.
#[test]
fn identity_has_the_stored_spelling() {
    let mut client = Server::shared().anonymous();
    client.bind("UID=ANN,OU=PEOPLE,DC=EXAMPLE,DC=COM", "ann-secret").expect(code::SUCCESS);
    assert_eq!(client.who_am_i(), format!("dn:{ANN}"));
}

/// RFC 4532 2.1: the request has no value.
#[test]
fn request_with_a_value_is_a_protocol_error() {
    let mut client = Server::shared().admin();
    client.perform(&request::extended(oid::WHO_AM_I, Some(b"x"))).expect(code::PROTOCOL_ERROR);
}
