//! SASL PLAIN (RFC 4616), and acting as somebody else (RFC 4513 5.2.1.8).

use crate::support::client::{Client, Outcome};
use crate::support::code;
use crate::support::request;
use crate::support::server::{ADMIN, ADMIN_PASSWORD, Server, Setup, Subject};
use crate::{ANN, BOB};

fn plain(client: &mut Client, authorization: &str, name: &str, password: &str) -> Outcome {
    let message = format!("{authorization}\0{name}\0{password}");
    client.perform(&request::bind_sasl("", "PLAIN", Some(message.as_bytes())))
}

fn secure(server: &Server) -> Client {
    let address = server.url_of("ldaps").trim_start_matches("ldaps://").trim_end_matches('/').parse().unwrap();
    Client::over(server.certificate.clone().unwrap().connect(Client::socket(address)))
}

fn server() -> Option<Server> {
    // slapd's PLAIN is Cyrus SASL with a data base of its own.
    (!Subject::current().is_slapd()).then(|| Server::start(Setup::default().with_tls()))
}

#[test]
fn names_are_dns_or_users() {
    let Some(server) = server() else { return };
    let mut client = secure(&server);
    for name in ["ann", "u:ann", ANN, &format!("dn:{ANN}")] {
        plain(&mut client, "", name, "ann-secret").expect(code::SUCCESS);
        assert_eq!(client.who_am_i(), format!("dn:{ANN}"), "{name}");
        plain(&mut client, "", name, "bob-secret").expect(code::INVALID_CREDENTIALS);
        assert_eq!(client.who_am_i(), "", "T-18");
    }
    plain(&mut client, "", ADMIN, ADMIN_PASSWORD).expect(code::SUCCESS);
    assert_eq!(client.who_am_i(), format!("dn:{ADMIN}"));
    for (name, password) in [("nobody", "x"), ("", "x"), ("ann", ""), ("u:", "x"), ("*", "ann-secret")] {
        plain(&mut client, "", name, password).expect(code::INVALID_CREDENTIALS);
    }
}

/// RFC 4616 4: a password in clear text, so not where it can be read.
#[test]
fn plain_is_for_confidential_connections() {
    let Some(server) = server() else { return };
    let mut client = server.anonymous();
    let offered = client.read_attributes("", &["supportedSASLMechanisms"]);
    assert!(!offered.has("supportedSASLMechanisms"), "nothing vouches for this connection: {offered:?}");
    plain(&mut client, "", "ann", "ann-secret").expect(code::CONFIDENTIALITY_REQUIRED);
    let offered = secure(&server).read_attributes("", &["supportedSASLMechanisms"]);
    assert_eq!(offered.values("supportedSASLMechanisms"), ["PLAIN"]);
    let open = Server::start(Setup::default().with_setting("sasl.plain_without_tls=true"));
    plain(&mut open.anonymous(), "", "ann", "ann-secret").expect(code::SUCCESS);
    let closed = Server::start(Setup::default().with_tls().with_setting("sasl.plain=false"));
    plain(&mut secure(&closed), "", "ann", "ann-secret").expect(code::AUTH_METHOD_NOT_SUPPORTED);
}

/// T-17, T-19: to act as somebody else needs a right, and nothing makes an administrator.
#[test]
fn acting_as_somebody_else_needs_the_right_proxy() {
    if Subject::current().is_slapd() {
        return;
    }
    let rule = format!(
        r#"(target = "ldap:///{BOB}")(version 3.0; acl "ann acts as bob"; allow (proxy) userdn = "ldap:///{ANN}";)"#
    );
    let read = r#"(targetattr = "*")(version 3.0; acl "read"; allow (read, search) userdn = "ldap:///all";)"#;
    let server = Server::start(Setup::default().with_tls().with_access(&[read, &rule], ""));
    let mut client = secure(&server);
    for wanted in [&format!("dn:{BOB}"), "u:bob"] {
        plain(&mut client, wanted, "ann", "ann-secret").expect(code::SUCCESS);
        assert_eq!(client.who_am_i(), format!("dn:{BOB}"));
    }
    plain(&mut client, &format!("dn:{ANN}"), "ann", "ann-secret").expect(code::SUCCESS);
    plain(&mut client, "dn:", "ann", "ann-secret").expect(code::SUCCESS);
    assert_eq!(client.who_am_i(), "");
    let admin = format!("dn:{ADMIN}");
    let carol = "dn:uid=carol,ou=people,dc=example,dc=com";
    for wanted in [admin.as_str(), carol, "dn:uid=nobody,dc=example,dc=com", "u:nobody", "bob", "dn:x", "x:bob"] {
        plain(&mut client, wanted, "ann", "ann-secret").expect(code::AUTHORIZATION_DENIED);
        assert_eq!(client.who_am_i(), "", "{wanted}");
    }
    plain(&mut client, &format!("dn:{ANN}"), "bob", "bob-secret").expect(code::AUTHORIZATION_DENIED);
    plain(&mut client, &format!("dn:{ANN}"), ADMIN, ADMIN_PASSWORD).expect(code::SUCCESS);
    assert_eq!(client.who_am_i(), format!("dn:{ANN}"), "the administrator may be anybody");
}

/// T-10: what is not of RFC 4616 is no bind.
#[test]
fn broken_messages_are_protocol_errors() {
    let Some(server) = server() else { return };
    let mut client = secure(&server);
    for bad in [&b""[..], b"ann", b"\0ann", b"\0ann\0ann-secret\0", b"\0\xff\0x"] {
        client.perform(&request::bind_sasl("", "PLAIN", Some(bad))).expect(code::PROTOCOL_ERROR);
    }
    client.perform(&request::bind_sasl("", "PLAIN", None)).expect(code::PROTOCOL_ERROR);
    plain(&mut client, "", "ann", "ann-secret").expect(code::SUCCESS);
}

/// Devices that know no DN.
#[test]
fn a_simple_bind_takes_a_user_where_it_may() {
    if Subject::current().is_slapd() {
        return;
    }
    let server = Server::start(Setup::default().with_setting("sasl.simple_by_user=true"));
    let mut client = server.anonymous();
    client.bind("ann", "ann-secret").expect(code::SUCCESS);
    assert_eq!(client.who_am_i(), format!("dn:{ANN}"));
    client.bind("ann", "wrong").expect(code::INVALID_CREDENTIALS);
    client.bind("nobody", "wrong").expect(code::INVALID_CREDENTIALS);
}
