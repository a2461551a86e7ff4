//! SASL EXTERNAL with a TLS client certificate (RFC 4513 5.2.3): which entry it means.

use crate::support::client::Client;
use crate::support::code;
use crate::support::request::{self, REPLACE};
use crate::support::server::{Server, Setup, Subject};
use crate::support::tls::Authority;
use crate::{ANN, BOB};

/// A server that believes an authority, with these rules; and the authority.
fn server(rules: &str, slapd: &str) -> (Server, Authority) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::make(folder);
    let setup = Setup::default()
        .with_tls()
        .with_setting(&format!("tls.client_ca={}", authority.file().display()))
        .with_setting(&format!("sasl.certificate_map={rules}"))
        .with_slapd_global(&format!(
            "TLSCACertificateFile {}\nTLSVerifyClient allow\nauthz-regexp {slapd} uid=$1,ou=people,dc=example,dc=com\n",
            authority.file().display()
        ));
    (Server::start(setup), authority)
}

fn external(client: &mut Client) -> u32 {
    client.perform(&request::bind_sasl("", "EXTERNAL", Some(b""))).code
}

#[test]
fn a_certificate_vouches_for_its_entry_and_for_nobody_else() {
    let (server, authority) = server(r#"["dn", "subject:UID=uid"]"#, "uid=([^,]*),c=gb");
    let ann = authority.identity(&[("2.5.4.6", "GB"), ("0.9.2342.19200300.100.1.1", "ann")], &[]);
    let mut client = server.secure_as(Some(&ann));
    let offered = client.read_attributes("", &["supportedSASLMechanisms"]).values("supportedSASLMechanisms");
    assert!(offered.iter().any(|name| name == "EXTERNAL"), "{offered:?}");
    assert_eq!(external(&mut client), code::SUCCESS);
    assert_eq!(client.who_am_i(), format!("dn:{ANN}"));
    // Somebody else's identity needs a right.
    let outcome = client.perform(&request::bind_sasl("", "EXTERNAL", Some(format!("dn:{BOB}").as_bytes())));
    outcome.expect(Subject::current().pick(code::AUTHORIZATION_DENIED, code::INSUFFICIENT_ACCESS_RIGHTS));
    assert_eq!(client.who_am_i(), "");
    // slapd lets in whom a certificate names, entry or not, and its policy knows nothing of SASL.
    only_entente_from_here!(Unserved);
    let stranger = authority.identity(&[("2.5.4.3", "Nobody")], &[]);
    assert_eq!(external(&mut server.secure_as(Some(&stranger))), code::INVALID_CREDENTIALS);
    assert_eq!(external(&mut server.secure_as(None)), code::INVALID_CREDENTIALS);
    // T-31: a lock holds for certificates too.
    server.admin().modify(ANN, &[(REPLACE, "pwdAccountLockedTime", &["000001010000Z"])]).expect(code::SUCCESS);
    assert_eq!(external(&mut server.secure_as(Some(&ann))), code::INVALID_CREDENTIALS);
}

#[test]
fn a_part_of_the_subject_leads_to_an_entry() {
    let (server, authority) = server(r#"["dn", "subject:CN=uid"]"#, "cn=([^,]*),c=gb");
    let bob = authority.identity(&[("2.5.4.6", "GB"), ("2.5.4.3", "bob")], &[]);
    let mut client = server.secure_as(Some(&bob));
    assert_eq!(external(&mut client), code::SUCCESS);
    assert_eq!(client.who_am_i(), format!("dn:{BOB}"));
    only_entente_from_here!(Unserved);
    let anyone = authority.identity(&[("2.5.4.3", "*")], &[]);
    assert_eq!(external(&mut server.secure_as(Some(&anyone))), code::INVALID_CREDENTIALS);
}

#[test]
fn an_alternative_name_leads_to_an_entry() {
    only_entente!(Setting);
    let (server, authority) = server(r#"["san:mail=mail"]"#, "");
    let mail = server.admin().read(ANN).values("mail").remove(0);
    let ann = authority.identity(&[("2.5.4.3", "whoever")], &[&mail]);
    let mut client = server.secure_as(Some(&ann));
    assert_eq!(external(&mut client), code::SUCCESS);
    assert_eq!(client.who_am_i(), format!("dn:{ANN}"));
    let bob_mail = server.admin().read(BOB).values("mail").remove(0);
    let both = authority.identity(&[("2.5.4.3", "whoever")], &[&mail, &bob_mail]);
    assert_eq!(external(&mut server.secure_as(Some(&both))), code::INVALID_CREDENTIALS, "one entry or nobody");
}

#[test]
fn a_fingerprint_leads_to_an_entry() {
    only_entente!(Setting);
    let (server, authority) = server(r#"["fingerprint"]"#, "");
    let ann = authority.identity(&[("2.5.4.3", "phone of ann")], &[]);
    assert_eq!(external(&mut server.secure_as(Some(&ann))), code::INVALID_CREDENTIALS);
    let mut admin = server.admin();
    admin.modify(ANN, &[(REPLACE, "certificateFingerprint", &[&ann.fingerprint()])]).expect(code::SUCCESS);
    let mut client = server.secure_as(Some(&ann));
    assert_eq!(external(&mut client), code::SUCCESS);
    assert_eq!(client.who_am_i(), format!("dn:{ANN}"));
}
