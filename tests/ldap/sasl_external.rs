//! SASL EXTERNAL over ldapi: RFC 4513 5.2.3, RFC 4422 appendix A. The owner of the data directory is its administrator.

use crate::support::code;
use crate::support::request::{self, REPLACE};
use crate::support::server::{ADMIN, Server, Setup, Subject};
use crate::support::slapd::SASL;
use crate::{ANN, PEOPLE};

/// For slapd the owner is one of the names that SASL proves.
fn server() -> Server {
    Server::start(Setup::default().with_slapd_global(SASL))
}

#[test]
fn owner_of_the_data_is_administrator_over_ldapi() {
    let server = server();
    let mut client = server.local();
    assert_eq!(client.who_am_i(), "", "nobody before the bind");
    client.perform(&request::bind_sasl("", "EXTERNAL", Some(b""))).expect(code::SUCCESS);
    assert_eq!(client.who_am_i(), format!("dn:{ADMIN}"));
    client.modify(ANN, &[(REPLACE, "title", &["By the owner"])]).expect(code::SUCCESS);
    let mut client = server.local();
    // RFC 4422 5: who does not begin is asked to; we take silence for the empty answer.
    let silent = client.perform(&request::bind_sasl("", "EXTERNAL", None));
    if silent.expect(Subject::current().pick(code::SUCCESS, code::SASL_BIND_IN_PROGRESS)).code != code::SUCCESS {
        client.perform(&request::bind_sasl("", "EXTERNAL", Some(b""))).expect(code::SUCCESS);
    }
    assert_eq!(client.names(PEOPLE, "(title=by the owner)"), ["ann"]);
}

/// RFC 4422 appendix A: an authorization identity is asked for; another than one's own needs a right.
#[test]
fn external_does_not_make_somebody_else_of_nobody() {
    let server = server();
    let mut client = server.local();
    let outcome = client.perform(&request::bind_sasl("", "EXTERNAL", Some(b"dn:uid=nobody,dc=nowhere")));
    assert_ne!(outcome.code, code::SUCCESS, "{outcome:?}");
    assert_eq!(client.who_am_i(), "");
}

/// Over TCP without a client certificate there is nothing external to believe.
#[test]
fn external_without_credentials_outside_is_refused() {
    let server = Server::shared();
    let mut client = server.anonymous();
    let outcome = client.perform(&request::bind_sasl("", "EXTERNAL", Some(b"")));
    assert_ne!(outcome.code, code::SUCCESS, "{outcome:?}");
    assert_eq!(client.who_am_i(), "");
}

/// The socket is for passwords too.
#[test]
fn simple_bind_works_over_ldapi() {
    let server = server();
    let mut client = server.local();
    client.bind(ANN, "ann-secret").expect(code::SUCCESS);
    assert_eq!(client.who_am_i(), format!("dn:{ANN}"));
}
