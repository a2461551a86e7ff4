//! SASL EXTERNAL over ldapi: RFC 4513 5.2.3, RFC 4422 appendix A. The owner of the data directory is its administrator.

use std::os::unix::net::UnixStream;

use crate::support::client::Client;
use crate::support::code;
use crate::support::request::{self, REPLACE};
use crate::support::server::{ADMIN, Server, Setup, Subject};
use crate::support::wait::PATIENCE;
use crate::{ANN, PEOPLE};

/// A connection to the socket in the data folder.
#[track_caller]
fn connect(server: &Server) -> Client {
    let stream = UnixStream::connect(server.data().join("ldapi")).expect("the server listens on its socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    Client::over(stream)
}

#[test]
fn owner_of_the_data_is_administrator_over_ldapi() {
    if Subject::current().is_slapd() {
        return;
    }
    let server = Server::start(Setup::default());
    let mut client = connect(&server);
    assert_eq!(client.who_am_i(), "", "nobody before the bind");
    client.perform(&request::bind_sasl("", "EXTERNAL", Some(b""))).expect(code::SUCCESS);
    assert_eq!(client.who_am_i(), format!("dn:{ADMIN}"));
    client.modify(ANN, &[(REPLACE, "title", &["By the owner"])]).expect(code::SUCCESS);
    let mut client = connect(&server);
    client.perform(&request::bind_sasl("", "EXTERNAL", None)).expect(code::SUCCESS);
    assert_eq!(client.names(PEOPLE, "(title=by the owner)"), ["ann"]);
}

/// RFC 4422 appendix A: an authorization identity is asked for; another than one's own needs a right.
#[test]
fn external_does_not_make_somebody_else_of_nobody() {
    if Subject::current().is_slapd() {
        return;
    }
    let server = Server::start(Setup::default());
    let mut client = connect(&server);
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
    if Subject::current().is_slapd() {
        return;
    }
    let server = Server::start(Setup::default());
    let mut client = connect(&server);
    client.bind(ANN, "ann-secret").expect(code::SUCCESS);
    assert_eq!(client.who_am_i(), format!("dn:{ANN}"));
}
