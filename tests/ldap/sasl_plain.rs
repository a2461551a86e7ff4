//! SASL PLAIN (RFC 4616), and acting as somebody else (RFC 4513 5.2.1.8).

use crate::support::client::{Client, Outcome};
use crate::support::code;
use crate::support::request::{self, ADD, REPLACE};
use crate::support::server::{ADMIN, ADMIN_PASSWORD, Server, Setup, Subject};
use crate::support::slapd::SASL;
use crate::{ANN, BOB};

fn plain(client: &mut Client, authorization: &str, name: &str, password: &str) -> Outcome {
    let message = format!("{authorization}\0{name}\0{password}");
    client.perform(&request::bind_sasl("", "PLAIN", Some(message.as_bytes())))
}

fn server() -> Server {
    started(Setup::default())
}

fn started(setup: Setup) -> Server {
    let server = Server::start(setup.with_tls().with_slapd_global(SASL));
    if Subject::current().is_slapd() {
        // Cyrus SASL takes passwords in clear alone.
        for (dn, password) in [(ANN, "ann-secret"), (BOB, "bob-secret")] {
            server.admin().modify(dn, &[(REPLACE, "userPassword", &[password])]).expect(code::SUCCESS);
        }
    }
    server
}

#[test]
fn names_are_dns_or_users() {
    let server = server();
    let mut client = server.secure();
    let dn = format!("dn:{ANN}");
    let names: [&str; 4] = ["ann", "u:ann", ANN, &dn];
    // Cyrus SASL knows users alone.
    for name in &names[..Subject::current().pick(4, 1)] {
        plain(&mut client, "", name, "ann-secret").expect(code::SUCCESS);
        assert_eq!(client.who_am_i(), format!("dn:{ANN}"), "{name}");
        plain(&mut client, "", name, "bob-secret").expect(code::INVALID_CREDENTIALS);
        assert_eq!(client.who_am_i(), "", "T-18");
    }
    if !Subject::current().is_slapd() {
        plain(&mut client, "", ADMIN, ADMIN_PASSWORD).expect(code::SUCCESS);
        assert_eq!(client.who_am_i(), format!("dn:{ADMIN}"));
    }
    for (name, password) in [("nobody", "x"), ("", "x"), ("ann", ""), ("u:", "x"), ("*", "ann-secret")] {
        // Cyrus SASL calls what it cannot read an error of another kind.
        let refused = plain(&mut client, "", name, password);
        assert!(refused.code == code::INVALID_CREDENTIALS || Subject::current().is_slapd(), "{refused:?}");
        assert_ne!(refused.code, code::SUCCESS);
        assert_eq!(client.who_am_i(), "");
    }
}

/// RFC 4616 4: a password in clear text, so not where it can be read.
#[test]
fn plain_is_for_confidential_connections() {
    let server = server();
    let mut client = server.anonymous();
    let offered = client.read_attributes("", &["supportedSASLMechanisms"]);
    // slapd offers there what is not clear text.
    assert!(!offered.values("supportedSASLMechanisms").contains(&"PLAIN".to_owned()), "{offered:?}");
    assert!(!offered.has("supportedSASLMechanisms") || Subject::current().is_slapd(), "{offered:?}");
    plain(&mut client, "", "ann", "ann-secret")
        .expect(Subject::current().pick(code::CONFIDENTIALITY_REQUIRED, code::INAPPROPRIATE_AUTHENTICATION));
    let offered = server.secure().read_attributes("", &["supportedSASLMechanisms"]);
    assert!(offered.values("supportedSASLMechanisms").contains(&"PLAIN".to_owned()), "{offered:?}");
    assert_eq!(offered.values("supportedSASLMechanisms").len() == 1, !Subject::current().is_slapd(), "{offered:?}");
    plain(&mut server.secure(), "", "ann", "ann-secret").expect(code::SUCCESS);
    only_entente_from_here!(Setting);
    let open = Server::start(Setup::default().with_setting("sasl.plain_without_tls=true"));
    plain(&mut open.anonymous(), "", "ann", "ann-secret").expect(code::SUCCESS);
    let closed = Server::start(Setup::default().with_tls().with_setting("sasl.plain=false"));
    plain(&mut closed.secure(), "", "ann", "ann-secret").expect(code::AUTH_METHOD_NOT_SUPPORTED);
}

/// T-17, T-19: to act as somebody else needs a right, and nothing makes an administrator.
#[test]
fn acting_as_somebody_else_needs_the_right_proxy() {
    let rule = format!(
        r#"(target = "ldap:///{BOB}")(version 3.0; acl "ann acts as bob"; allow (proxy) userdn = "ldap:///{ANN}";)"#
    );
    let read = r#"(targetattr = "*")(version 3.0; acl "read"; allow (read, search) userdn = "ldap:///all";)"#;
    let slapd = "access to attrs=userPassword by * auth\naccess to * by * read\n";
    let server = started(Setup::default().with_access(&[read, &rule], slapd).with_slapd_global("authz-policy to\n"));
    if Subject::current().is_slapd() {
        // The right is a value of the entry that acts there.
        server.admin().modify(ANN, &[(ADD, "authzTo", &[&format!("dn.exact:{BOB}")])]).expect(code::SUCCESS);
    }
    let denied = Subject::current().pick(code::AUTHORIZATION_DENIED, code::INSUFFICIENT_ACCESS_RIGHTS);
    let mut client = server.secure();
    for wanted in [&format!("dn:{BOB}"), "u:bob"] {
        plain(&mut client, wanted, "ann", "ann-secret").expect(code::SUCCESS);
        assert_eq!(client.who_am_i(), format!("dn:{BOB}"));
    }
    plain(&mut client, &format!("dn:{ANN}"), "ann", "ann-secret").expect(code::SUCCESS);
    if !Subject::current().is_slapd() {
        plain(&mut client, "dn:", "ann", "ann-secret").expect(code::SUCCESS);
        assert_eq!(client.who_am_i(), "");
    }
    let admin = format!("dn:{ADMIN}");
    let carol = "dn:uid=carol,ou=people,dc=example,dc=com";
    for wanted in [admin.as_str(), carol, "dn:uid=nobody,dc=example,dc=com", "u:nobody", "bob", "dn:x", "x:bob"] {
        // What is no name at all Cyrus SASL calls a failure.
        plain(&mut client, wanted, "ann", "ann-secret")
            .expect_one_of(&[denied, Subject::current().pick(denied, code::OTHER)]);
        assert_eq!(client.who_am_i(), "", "{wanted}");
    }
    plain(&mut client, &format!("dn:{ANN}"), "bob", "bob-secret").expect(denied);
    // slapd's administrator is nobody to Cyrus SASL.
    only_entente_from_here!(Unserved);
    plain(&mut client, &format!("dn:{ANN}"), ADMIN, ADMIN_PASSWORD).expect(code::SUCCESS);
    assert_eq!(client.who_am_i(), format!("dn:{ANN}"), "the administrator may be anybody");
}

/// T-10: what is not of RFC 4616 is no bind.
#[test]
fn broken_messages_are_protocol_errors() {
    let server = server();
    let mut client = server.secure();
    for bad in [&b""[..], b"ann", b"\0ann", b"\0ann\0ann-secret\0", b"\0\xff\0x"] {
        let refused = client.perform(&request::bind_sasl("", "PLAIN", Some(bad)));
        // Cyrus SASL has several words for it.
        assert!(refused.code == code::PROTOCOL_ERROR || Subject::current().is_slapd(), "{refused:?}");
        assert_ne!(refused.code, code::SUCCESS);
    }
    // RFC 4422 3: who does not begin is asked to, by an empty challenge.
    let silent = client.perform(&request::bind_sasl("", "PLAIN", None)).expect(code::SASL_BIND_IN_PROGRESS);
    assert_eq!(silent.value.as_deref(), Some(&b""[..]));
    plain(&mut client, "", "ann", "ann-secret").expect(code::SUCCESS);
}

/// Devices that know no DN.
#[test]
fn a_simple_bind_takes_a_user_where_it_may() {
    only_entente!(Setting);
    let server = Server::start(Setup::default().with_setting("sasl.simple_by_user=true"));
    let mut client = server.anonymous();
    client.bind("ann", "ann-secret").expect(code::SUCCESS);
    assert_eq!(client.who_am_i(), format!("dn:{ANN}"));
    client.bind("ann", "wrong").expect(code::INVALID_CREDENTIALS);
    client.bind("nobody", "wrong").expect(code::INVALID_CREDENTIALS);
}
