//! SCRAM-SHA-256 and SCRAM-SHA-512 (RFC 5802, RFC 7677), with channel binding (RFC 5929, RFC 9266).
//!
//! slapd needs passwords in clear for it.

use crate::support::client::Client;
use crate::support::request::{self, REPLACE, Search};
use crate::support::scram::Scram;
use crate::support::server::{Server, Setup, Subject};
use crate::support::slapd::SASL;
use crate::support::{code, oid};
use crate::{ANN, BOB};

/// A server where ann and bob have set a password since SCRAM was offered.
fn server() -> Server {
    let setup = Setup::default()
        .with_tls()
        .with_setting(r#"password.scram=["SCRAM-SHA-256", "SCRAM-SHA-512"]"#)
        .with_setting("password.scram_iterations=4096")
        .with_slapd_global(SASL)
        .with_slapd_global("sasl-cbinding tls-endpoint\n")
        .with_slapd_global("password-hash {CLEARTEXT}\n");
    let server = Server::start(setup);
    let mut admin = server.admin();
    admin.modify(ANN, &[(REPLACE, "userPassword", &["ann-scram-1"])]).expect(code::SUCCESS);
    admin.perform(&request::password_modify(Some(BOB), None, Some("bob-scram-1"))).expect(code::SUCCESS);
    server
}

fn mechanisms(client: &mut Client) -> Vec<String> {
    client.read_attributes("", &["supportedSASLMechanisms"]).values("supportedSASLMechanisms")
}

#[test]
fn both_hashes_prove_the_password_and_the_server() {
    let server = server();
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let mut client = server.anonymous();
        Scram::new(mechanism, "ann", "ann-scram-1").bind(&mut client).expect(code::SUCCESS);
        assert_eq!(client.who_am_i(), format!("dn:{ANN}"));
        // Cyrus SASL knows users alone.
        let bob = Subject::current().pick(BOB, "bob");
        Scram::new(mechanism, bob, "bob-scram-1").bind(&mut client).expect(code::SUCCESS);
        assert_eq!(client.who_am_i(), format!("dn:{BOB}"));
        Scram::new(mechanism, "ann", "wrong").bind(&mut client).expect(code::INVALID_CREDENTIALS);
        assert_eq!(client.who_am_i(), "", "T-18");
    }
}

/// RFC 9266, RFC 5929 4: bound to the channel; to another one, or without it where it was offered, it fails. OpenLDAP's
/// library (and slapd, by Cyrus SASL) calls every binding `ldap` and says before the data which one it is.
#[test]
fn the_channel_is_bound() {
    let server = server();
    let certificate = server.certificate.clone().unwrap();
    let address = server.url_of("ldaps").trim_start_matches("ldaps://").trim_end_matches('/').parse().unwrap();
    let kinds = [
        ("ldap", "SCRAM-SHA-256-PLUS"),
        ("tls-server-end-point", "SCRAM-SHA-512-PLUS"),
        ("tls-exporter", "SCRAM-SHA-256-PLUS"),
    ];
    // slapd binds to one kind that is configured.
    for (kind, mechanism) in kinds.into_iter().take(Subject::current().pick(3, 1)) {
        let mut stream = certificate.connect(Client::socket(address));
        stream.conn.complete_io(&mut stream.sock).unwrap();
        let channel = match kind {
            "tls-exporter" => {
                let exported = stream.conn.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b""));
                exported.unwrap().to_vec()
            }
            "ldap" => [b"tls-server-end-point:", &certificate.sha256()[..]].concat(),
            _ => certificate.sha256(),
        };
        let mut client = Client::over(stream);
        assert!(mechanisms(&mut client).iter().any(|offered| offered == mechanism));
        let flag = format!("p={kind}");
        let plain = mechanism.trim_end_matches("-PLUS");
        let bound = Scram { flag: &flag, channel: channel.clone(), ..Scram::new(mechanism, "ann", "ann-scram-1") };
        bound.bind(&mut client).expect(code::SUCCESS);
        assert_eq!(client.who_am_i(), format!("dn:{ANN}"));
        let elsewhere = Scram { channel: vec![7; channel.len()], ..bound.clone() };
        elsewhere.bind(&mut client).expect(Subject::current().pick(code::INVALID_CREDENTIALS, code::OTHER));
        assert_eq!(client.who_am_i(), "");
        only_entente_from_here!(Unserved);
        // ldapwhoami that was told `-PLUS` sends the name without it.
        let short = Scram { flag: &flag, channel, ..Scram::new(plain, "ann", "ann-scram-1") };
        short.bind(&mut client).expect(code::SUCCESS);
        let elsewhere = Scram { channel: vec![7; short.channel.len()], ..short };
        elsewhere.bind(&mut client).expect(code::INVALID_CREDENTIALS);
        // RFC 5802 6: somebody on the way has taken the -PLUS mechanisms out of the list.
        let misled = Scram { flag: "y", ..Scram::new(plain, "ann", "ann-scram-1") };
        misled.bind(&mut client).expect(code::INVALID_CREDENTIALS);
        Scram::new(plain, "ann", "ann-scram-1").bind(&mut client).expect(code::SUCCESS);
    }
    let mut clear = server.anonymous();
    assert!(!mechanisms(&mut clear).iter().any(|offered| offered.ends_with("-PLUS")));
    let unbound = Scram::new("SCRAM-SHA-256-PLUS", "ann", "ann-scram-1");
    unbound.bind(&mut clear).expect(code::AUTH_METHOD_NOT_SUPPORTED);
}

/// T-25, T-26: who is not here is challenged like anybody else, and always alike.
#[test]
fn an_unknown_name_is_challenged_too() {
    let server = server();
    if Subject::current().is_slapd() {
        // Cyrus SASL tells who is here.
        Scram::new("SCRAM-SHA-256", "nobody", "x").challenge(&mut server.anonymous()).expect(code::OTHER);
        Scram::new("SCRAM-SHA-256", "ann", "x").challenge(&mut server.anonymous()).expect(code::SASL_BIND_IN_PROGRESS);
    }
    only_entente_from_here!(Unserved);
    let salt = |user: &str| {
        let outcome = Scram::new("SCRAM-SHA-256", user, "x").challenge(&mut server.anonymous());
        let challenge = String::from_utf8(outcome.expect(code::SASL_BIND_IN_PROGRESS).value.unwrap()).unwrap();
        challenge.split_once(",s=").unwrap().1.to_owned()
    };
    assert_eq!(salt("nobody"), salt("nobody"));
    assert_ne!(salt("nobody"), salt("nobody2"));
    assert_eq!(salt("nobody").len(), salt("ann").len());
    let unknown = Scram::new("SCRAM-SHA-256", "nobody", "x").bind(&mut server.anonymous());
    let wrong = Scram::new("SCRAM-SHA-256", "ann", "x").bind(&mut server.anonymous());
    assert_eq!(format!("{unknown:?}"), format!("{wrong:?}"));
    assert_eq!(wrong.code, code::INVALID_CREDENTIALS);
}

/// An old password opens nothing: its verifier goes with it, however it is changed.
#[test]
fn a_new_password_ends_the_old_verifier() {
    let server = server();
    let mut ann = server.bound(ANN, "ann-scram-1");
    ann.perform(&request::password_modify(None, None, Some("ann-scram-2"))).expect(code::SUCCESS);
    let try_it = |password: &str| Scram::new("SCRAM-SHA-256", "ann", password).bind(&mut server.anonymous()).code;
    assert_eq!((try_it("ann-scram-1"), try_it("ann-scram-2")), (code::INVALID_CREDENTIALS, code::SUCCESS));
    // A hash that the administrator brings along has no verifier.
    server
        .admin()
        .modify(ANN, &[(REPLACE, "userPassword", &["{SSHA}QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="])])
        .expect(code::SUCCESS);
    assert_eq!(try_it("ann-scram-2"), code::INVALID_CREDENTIALS);
    // Nobody reads a verifier but the administrator.
    let shown = server.bound(BOB, "bob-scram-1").read_attributes(BOB, &["*", "+", "scramCredential"]);
    assert!(!shown.has("scramCredential"));
}

/// RFC 4511 4.2.1: an exchange ends with anything else that the client does.
#[test]
fn another_request_ends_the_exchange() {
    let server = server();
    let mut client = server.anonymous();
    let scram = Scram::new("SCRAM-SHA-256", "ann", "ann-scram-1");
    scram.challenge(&mut client).expect(code::SASL_BIND_IN_PROGRESS);
    // slapd insists that the exchange is ended first.
    let expected = Subject::current().pick(code::SUCCESS, code::OPERATIONS_ERROR);
    client.search(&Search::base("").attributes(&["1.1"])).expect(expected);
    let last = request::bind_sasl("", "SCRAM-SHA-256", Some(b"c=biws,r=x,p=AAAA"));
    client.perform(&last).expect(Subject::current().pick(code::INVALID_CREDENTIALS, code::OTHER));
    // Aborted by an empty mechanism.
    scram.challenge(&mut client).expect(code::SASL_BIND_IN_PROGRESS);
    client.perform(&request::bind_sasl("", "", None)).expect(code::AUTH_METHOD_NOT_SUPPORTED);
    scram.bind(&mut client).expect(code::SUCCESS);
    assert_eq!(client.perform(&request::extended(oid::WHO_AM_I, None)).code, code::SUCCESS);
}

/// RFC 4422 3: in SCRAM the client speaks first; one that does not is asked to, by an empty challenge.
#[test]
fn a_client_that_does_not_begin_is_asked_to() {
    let server = server();
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let mut client = server.anonymous();
        let silent = client.perform(&request::bind_sasl("", mechanism, None)).expect(code::SASL_BIND_IN_PROGRESS);
        assert_eq!(silent.value.as_deref(), Some(&b""[..]), "{mechanism}");
        Scram::new(mechanism, "ann", "ann-scram-1").bind(&mut client).expect(code::SUCCESS);
        assert_eq!(client.who_am_i(), format!("dn:{ANN}"));
    }
}

/// T-31: a lock holds here too.
#[test]
fn a_locked_account_proves_nothing() {
    let server = server();
    server.admin().modify(ANN, &[(REPLACE, "pwdAccountLockedTime", &["000001010000Z"])]).expect(code::SUCCESS);
    let outcome = Scram::new("SCRAM-SHA-256", "ann", "ann-scram-1").bind(&mut server.anonymous());
    // slapd's policy knows nothing of SASL.
    outcome.expect(Subject::current().pick(code::INVALID_CREDENTIALS, code::SUCCESS));
}
