//! SASL OAUTHBEARER (RFC 7628): tokens of an issuer whose keys come from a file or from an address.

use crate::support::client::{Client, Outcome};
use crate::support::code;
use crate::support::request::{self, REPLACE};
use crate::support::server::{Server, Setup};
use crate::{ANN, BOB};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};

pub(crate) struct Issuer(Ed25519KeyPair);

impl Issuer {
    pub(crate) fn new() -> Self {
        Self(Ed25519KeyPair::generate().unwrap())
    }

    pub(crate) fn keys(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.0.public_key().as_ref());
        format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"k1","alg":"EdDSA","use":"sig","x":"{x}"}}]}}"#)
    }

    pub(crate) fn token(&self, user: &str, ends_in_s: i64) -> String {
        let now = i64::try_from(entente::clock::Clock::system().wall_ms()).unwrap() / 1_000;
        let claims = serde_json::json!({
            "iss": "https://id.example.com", "aud": "ldap.example.com", "exp": now + ends_in_s,
            "preferred_username": user,
        });
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"k1"}"#);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes())))
    }
}

fn setup(keys: &str) -> Setup {
    trusting(Setup::default().with_tls(), keys)
}

/// A server that takes tokens of the issuer with these keys, a file or an address.
pub(crate) fn trusting(setup: Setup, keys: &str) -> Setup {
    setup
        .with_setting("sasl.token_issuer=https://id.example.com")
        .with_setting("sasl.token_audience=ldap.example.com")
        .with_setting("sasl.token_user_claim=preferred_username")
        .with_setting(&format!("sasl.token_keys={keys}"))
}

fn secure(server: &Server) -> Client {
    let address = server.url_of("ldaps").trim_start_matches("ldaps://").trim_end_matches('/').parse().unwrap();
    Client::over(server.certificate.clone().unwrap().connect(Client::socket(address)))
}

pub(crate) fn bear(client: &mut Client, authorization: &str, token: &str) -> Outcome {
    let message = format!("n,{authorization},\u{1}auth=Bearer {token}\u{1}\u{1}");
    client.perform(&request::bind_sasl("", "OAUTHBEARER", Some(message.as_bytes())))
}

/// RFC 7628 3.2.2: the reason as JSON, then the failure.
#[track_caller]
fn refused(client: &mut Client, token: &str) {
    let outcome = bear(client, "", token).expect(code::SASL_BIND_IN_PROGRESS);
    let said: serde_json::Value = serde_json::from_slice(&outcome.value.unwrap()).unwrap();
    assert_eq!(said["status"], "invalid_token");
    client.perform(&request::bind_sasl("", "OAUTHBEARER", Some(b"\x01"))).expect(code::INVALID_CREDENTIALS);
    assert_eq!(client.who_am_i(), "");
}

#[test]
fn a_token_of_the_issuer_is_its_user() {
    only_entente!(Unserved);
    let folder = tempfile::tempdir().unwrap();
    let (issuer, file) = (Issuer::new(), folder.path().join("keys.json"));
    std::fs::write(&file, issuer.keys()).unwrap();
    let server = Server::start(setup(&file.display().to_string()));
    let mut client = secure(&server);
    let offered = client.read_attributes("", &["supportedSASLMechanisms"]).values("supportedSASLMechanisms");
    assert_eq!(offered, ["OAUTHBEARER", "PLAIN"]);
    // RFC 4422 3: who does not begin is asked to.
    client.perform(&request::bind_sasl("", "OAUTHBEARER", None)).expect(code::SASL_BIND_IN_PROGRESS);
    bear(&mut client, "", &issuer.token("ann", 60)).expect(code::SUCCESS);
    assert_eq!(client.who_am_i(), format!("dn:{ANN}"));
    refused(&mut client, &issuer.token("ann", -120));
    refused(&mut client, &issuer.token("nobody", 60));
    refused(&mut client, &Issuer::new().token("ann", 60));
    refused(&mut client, "a.b.c");
    bear(&mut client, &format!("a=dn:{}", BOB.replace('=', "=3D").replace(',', "=2C")), &issuer.token("ann", 60))
        .expect(code::AUTHORIZATION_DENIED);
    // T-31: a lock holds for tokens too.
    server.admin().modify(ANN, &[(REPLACE, "pwdAccountLockedTime", &["000001010000Z"])]).expect(code::SUCCESS);
    bear(&mut client, "", &issuer.token("ann", 60)).expect(code::INVALID_CREDENTIALS);
    bear(&mut server.anonymous(), "", &issuer.token("bob", 60)).expect(code::CONFIDENTIALITY_REQUIRED);
    client.perform(&request::bind_sasl("", "OAUTHBEARER", Some(b"x"))).expect(code::PROTOCOL_ERROR);
}

/// A token that is not taken, sent again and again, has to wait; so has an address that sends many. Others are served.
#[test]
fn tokens_that_prove_nothing_have_to_wait() {
    only_entente!(Unserved);
    let folder = tempfile::tempdir().unwrap();
    let (issuer, file) = (Issuer::new(), folder.path().join("keys.json"));
    std::fs::write(&file, issuer.keys()).unwrap();
    let limits = ["limits.failed_binds_per_account=3", "limits.failed_binds_per_address=8"];
    let setup = setup(&file.display().to_string()).with_setting("limits.failed_binds_window_s=600");
    let server = Server::start(limits.iter().fold(setup, |setup, limit| setup.with_setting(limit)));
    let mut client = secure(&server);
    let old = issuer.token("ann", -120);
    for _ in 0..3 {
        refused(&mut client, &old);
    }
    bear(&mut client, "", &old).expect(code::BUSY);
    bear(&mut client, "", &issuer.token("ann", 60)).expect(code::SUCCESS);
    for number in 0..5 {
        refused(&mut client, &issuer.token("ann", -200 - number));
    }
    let waits = bear(&mut client, "", &issuer.token("ann", 60)).expect(code::BUSY);
    assert!(waits.diagnostic.contains("try again in"), "{waits:?}");
    client.bind(BOB, "bob-secret").expect(code::BUSY);
}

#[test]
fn keys_come_from_the_one_address_of_the_settings() {
    only_entente!(Unserved);
    let issuer = Issuer::new();
    let keys = issuer.keys();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let asked = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut request = [0; 1_024];
        let count = socket.read(&mut request).unwrap();
        write!(socket, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{keys}", keys.len()).unwrap();
        String::from_utf8_lossy(&request[..count]).into_owned()
    });
    let server = Server::start(setup(&format!("http://{address}/keys")));
    let mut client = secure(&server);
    bear(&mut client, "", &issuer.token("ann", 60)).expect(code::SUCCESS);
    assert!(asked.join().unwrap().starts_with("GET /keys HTTP/1.0\r\n"));
    // Kept: nobody answers at the address any more.
    bear(&mut client, "", &issuer.token("bob", 60)).expect(code::SUCCESS);
    assert_eq!(client.who_am_i(), format!("dn:{BOB}"));
}
