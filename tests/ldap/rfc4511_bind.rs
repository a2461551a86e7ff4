//! Bind: RFC 4511 4.2, RFC 4513 section 5.

use crate::support::client::Client;
use crate::support::request::{self, Search};
use crate::support::server::{ADMIN, ADMIN_PASSWORD, Server, Setup, Subject};
use crate::support::{ber, code};
use crate::{ANN, BOB};

/// RFC 4513 5.1.1.
#[test]
fn bind_with_empty_name_and_password_is_anonymous() {
    let server = Server::shared();
    let mut client = server.anonymous();
    client.bind("", "").expect(code::SUCCESS);
    assert_eq!(client.who_am_i(), "");
}

/// RFC 4511 4.2: a client need not bind.
#[test]
fn a_connection_that_never_bound_is_anonymous() {
    assert_eq!(Server::shared().anonymous().who_am_i(), "");
}

/// RFC 4513 5.1.3.
#[test]
fn bind_with_the_right_password_gives_the_identity() {
    assert_eq!(Server::shared().person("ann").who_am_i(), format!("dn:{ANN}"));
}

/// The administrator is an identity without an entry.
#[test]
fn administrator_binds() {
    assert_eq!(Server::shared().admin().who_am_i(), format!("dn:{ADMIN}"));
}

/// RFC 4511 4.2.2.
#[test]
fn bind_with_a_wrong_password_is_invalid_credentials() {
    Server::shared().anonymous().bind(ANN, "wrong").expect(code::INVALID_CREDENTIALS);
    Server::shared().anonymous().bind(ADMIN, "wrong").expect(code::INVALID_CREDENTIALS);
}

/// Password comparison is exact: case, blanks and length count.
#[test]
fn passwords_are_compared_octet_by_octet() {
    let server = Server::shared();
    for wrong in ["Ann-secret", "ann-secret ", " ann-secret", "ann-secre", "ann-secret\0", "ann-secret\n"] {
        server.anonymous().bind(ANN, wrong).expect(code::INVALID_CREDENTIALS);
        server
            .anonymous()
            .bind(ADMIN, &wrong.replace("ann", "admin").replace("Ann", "Admin"))
            .expect(code::INVALID_CREDENTIALS);
    }
}

/// An unknown name is not told from a wrong password (RFC 4513 6.3.1 spirit; hostile.md of every server's history).
#[test]
fn bind_of_an_unknown_name_answers_as_a_wrong_password_does() {
    let server = Server::shared();
    let wrong = server.anonymous().bind(ANN, "wrong").expect(code::INVALID_CREDENTIALS);
    let missing = "uid=nobody,ou=people,dc=example,dc=com";
    let unknown = server.anonymous().bind(missing, "wrong").expect(code::INVALID_CREDENTIALS);
    assert_eq!((wrong.matched_dn, wrong.diagnostic), (unknown.matched_dn, unknown.diagnostic));
    server.anonymous().bind("uid=ann,dc=elsewhere", "wrong").expect(code::INVALID_CREDENTIALS);
}

/// An entry without userPassword cannot bind, and does not say why.
#[test]
fn bind_of_an_entry_without_a_password_is_invalid_credentials() {
    let server = Server::shared();
    let branch = "ou=people,dc=example,dc=com";
    server.anonymous().bind(branch, "anything").expect(code::INVALID_CREDENTIALS);
}

/// T-39: RFC 4513 5.1.2: a name with an empty password must not look like success.
#[test]
fn bind_with_a_name_and_an_empty_password_is_unwilling_to_perform() {
    let server = Server::shared();
    server.anonymous().bind(ANN, "").expect(code::UNWILLING_TO_PERFORM);
    server.anonymous().bind(ADMIN, "").expect(code::UNWILLING_TO_PERFORM);
}

/// A password without a name authenticates nobody. slapd takes it for an anonymous bind, Entente refuses.
#[test]
fn bind_with_a_password_but_no_name_is_refused() {
    let server = Server::shared();
    let mut client = server.anonymous();
    let outcome = client.bind("", "ann-secret");
    match Subject::current() {
        Subject::Entente => {
            outcome.expect_one_of(&[code::INVALID_CREDENTIALS, code::UNWILLING_TO_PERFORM]);
        }
        Subject::Slapd => {
            outcome.expect_one_of(&[code::SUCCESS, code::INVALID_CREDENTIALS, code::INAPPROPRIATE_AUTHENTICATION]);
        }
    }
    assert_eq!(client.who_am_i(), "");
}

/// RFC 4511 4.2: names are DNs, compared as DNs.
#[test]
fn bind_name_may_be_spelled_in_any_equivalent_way() {
    let server = Server::shared();
    let mut client = server.anonymous();
    client.bind("UID=Ann , OU = People,dc=EXAMPLE,0.9.2342.19200300.100.1.25=com", "ann-secret").expect(code::SUCCESS);
    client.bind("CN=Admin, DC=Example, DC=com", ADMIN_PASSWORD).expect(code::SUCCESS);
}

/// RFC 4511 4.2, 4.1.3.
#[test]
fn bind_name_that_is_no_dn_is_invalid_dn_syntax() {
    Server::shared().anonymous().bind("ann", "ann-secret").expect(code::INVALID_DN_SYNTAX);
}

/// RFC 4511 4.2: the version is 3; others are answered with protocolError.
#[test]
fn bind_with_another_version_is_a_protocol_error() {
    let server = Server::shared();
    for version in [0, 1, 2, 4, 127] {
        let mut client = server.anonymous();
        client.perform(&request::bind_simple(version, "", b"")).expect(code::PROTOCOL_ERROR);
    }
}

/// RFC 4511 4.2.2, 4513 5.2.
#[test]
fn bind_with_an_unknown_mechanism_is_auth_method_not_supported() {
    let mut client = Server::shared().anonymous();
    client.perform(&request::bind_sasl("", "X-NO-SUCH", None)).expect(code::AUTH_METHOD_NOT_SUPPORTED);
}

/// RFC 4511 4.2: an authentication choice that nobody knows. slapd says authMethodNotSupported, as we do.
#[test]
fn bind_with_an_unknown_authentication_choice_is_auth_method_not_supported() {
    let mut client = Server::shared().anonymous();
    let choice = ber::tlv(0x89, b"secret");
    let bind = ber::constructed(0x60, &[ber::integer(3), ber::octets(ANN), choice]);
    let outcome = client.perform(&bind);
    outcome.expect_one_of(&[code::AUTH_METHOD_NOT_SUPPORTED, code::PROTOCOL_ERROR]);
}

/// RFC 4511 4.2.1: a later bind replaces the identity.
#[test]
fn second_bind_on_a_connection_changes_the_identity() {
    let server = Server::shared();
    let mut client = server.person("ann");
    client.bind(BOB, "bob-secret").expect(code::SUCCESS);
    assert_eq!(client.who_am_i(), format!("dn:{BOB}"));
    client.bind("", "").expect(code::SUCCESS);
    assert_eq!(client.who_am_i(), "");
}

/// RFC 4513 4: a failed bind leaves the connection anonymous.
#[test]
fn failed_bind_leaves_the_connection_anonymous() {
    let server = Server::shared();
    let mut client = server.person("ann");
    client.bind(ANN, "wrong").expect(code::INVALID_CREDENTIALS);
    assert_eq!(client.who_am_i(), "");
    let mut client = server.admin();
    client.perform(&request::bind_sasl("", "X-NO-SUCH", None)).expect(code::AUTH_METHOD_NOT_SUPPORTED);
    assert_eq!(client.who_am_i(), "");
}

/// Dovecot searches as a service, binds as the user and binds as the service again, all on one connection.
#[test]
fn a_mail_server_may_alternate_service_and_user_on_one_connection() {
    let server = Server::shared();
    let mut client = server.admin();
    for _ in 0..3 {
        let found = client.search(&Search::subtree(crate::PEOPLE, "(&(objectClass=posixAccount)(uid=bob))"));
        assert_eq!(found.dns(), [BOB]);
        client.bind(BOB, "bob-secret").expect(code::SUCCESS);
        client.bind(ADMIN, ADMIN_PASSWORD).expect(code::SUCCESS);
    }
}

/// RFC 4511 4.3: unbind has no response; the server closes.
#[test]
fn unbind_closes_the_connection() {
    let mut client = Server::shared().person("ann");
    client.send(&request::unbind());
    assert!(client.receive().is_none());
}

/// The schemes that slapd and 389 exports bring along, each made of the password `secret` by another tool.
#[test]
fn imported_password_hashes_are_verified() {
    let everywhere =
        [("ssha", SSHA), ("smd5", SMD5), ("sha", SHA), ("md5", MD5), ("crypt5", CRYPT_5), ("crypt6", CRYPT_6)];
    let ours = [
        ("ssha256", SSHA256),
        ("ssha512", SSHA512),
        ("sha256", SHA256),
        ("pbkdf2", PBKDF2_SHA256),
        ("bcrypt", CRYPT_BCRYPT),
    ];
    let mut schemes = everywhere.to_vec();
    if !Subject::current().is_slapd() {
        schemes.extend(ours);
    }
    let server = Server::start(people_with_passwords(&schemes));
    for (uid, _) in &schemes {
        let mut client = server.anonymous();
        let dn = format!("uid={uid},dc=example,dc=com");
        let right = client.bind(&dn, "secret");
        assert_eq!(right.code, code::SUCCESS, "{uid}: {right:?}");
        let wrong = client.bind(&dn, "Secret");
        assert_eq!(wrong.code, code::INVALID_CREDENTIALS, "{uid}: {wrong:?}");
    }
}

/// T-28: What is no hash lets nobody in, whatever is typed: the malformed value itself, `*`, the empty rest.
#[test]
fn malformed_password_hashes_never_match() {
    let values = [
        ("cut", "{SSHA}AAAA"),
        ("empty", "{SSHA}"),
        ("notbase64", "{SSHA}!!!!"),
        ("star", "{CRYPT}*"),
        ("bang", "{CRYPT}!"),
        ("unknown", "{NO-SUCH-SCHEME}abc"),
        ("argon", "{ARGON2}$argon2id$v=19$m=19456"),
    ];
    let server = Server::start(people_with_passwords(&values));
    for (uid, value) in &values {
        let rest = value.split_once('}').map_or("", |(_, rest)| rest);
        for typed in ["secret", "*", "!", value, rest] {
            let mut client = server.anonymous();
            if typed.is_empty() {
                continue;
            }
            let outcome = client.bind(&format!("uid={uid},dc=example,dc=com"), typed);
            // slapd compares what it takes for no scheme as clear text.
            let clear_text = Subject::current().is_slapd() && typed == *value;
            assert!(clear_text || outcome.code != code::SUCCESS, "{uid} with {typed}: {outcome:?}");
        }
    }
}

fn people_with_passwords(passwords: &[(&str, &str)]) -> Setup {
    let mut ldif =
        "dn: dc=example,dc=com\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: E\n".to_owned();
    for (uid, password) in passwords {
        ldif.push_str(&format!(
            "\ndn: uid={uid},dc=example,dc=com\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: {uid}\n\
             userPassword: {password}\n"
        ));
    }
    Setup { ldif, ..Setup::default() }
}

/// RFC 4511 4.2.1: requests sent behind a bind are done under the identity that it gives.
#[test]
fn request_sent_behind_a_bind_sees_its_identity() {
    let server = Server::shared();
    let mut client = Client::connect(server.address());
    let bind = request::message(1, &request::bind_simple(3, ANN, b"ann-secret"), &[]);
    let who = request::message(2, &request::extended(crate::support::oid::WHO_AM_I, None), &[]);
    client.send_bytes(&[bind, who].concat());
    client.outcome_of(1).expect(code::SUCCESS);
    let outcome = client.outcome_of(2).expect(code::SUCCESS);
    assert_eq!(outcome.value.as_deref(), Some(format!("dn:{ANN}").as_bytes()));
}

const SSHA: &str = "{SSHA}1G904nLkTkGWjKNnQuB/hpWXC/hzYWx0c2FsdA==";
const SMD5: &str = "{SMD5}VAfQ6nCkaw9o3u+x706wnXNhbHRzYWx0";
const SHA: &str = "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=";
const MD5: &str = "{MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==";
const SSHA256: &str = "{SSHA256}oBmrdHcA6OZEkkCLeXh71YAerbvhXz1qqwjrPsXmEtNzYWx0c2FsdA==";
const SSHA512: &str =
    "{SSHA512}aCu7JRc+kLsuEmFs1zTY+AiP7DSGnjjG+dH28Dp+E5usqoAixeTPihKqZmkWal4mUfp63tqvCAkFV1LKTDFH6XNhbHRzYWx0";
const SHA256: &str = "{SHA256}K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=";
const CRYPT_5: &str = "{CRYPT}$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA";
const CRYPT_6: &str =
    "{CRYPT}$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1";
const PBKDF2_SHA256: &str = "{PBKDF2-SHA256}1000$MDEyMzQ1Njc4OWFiY2RlZg$tiKWHy4FAGCWE8gn6GtKhaxD2OeeAUUWXFT/p1aaNl8";
const CRYPT_BCRYPT: &str = "{CRYPT}$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";
