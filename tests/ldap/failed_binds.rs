//! Failed binds make the next ones wait (`limits.failed_binds_*`). slapd has nothing of the kind.

use std::os::unix::net::UnixStream;

use crate::support::client::Client;
use crate::support::code;
use crate::support::request::{self, ADD, DELETE};
use crate::support::scram::Scram;
use crate::support::server::{ADMIN, ADMIN_PASSWORD, Server, Setup};
use crate::support::wait::{PATIENCE, wait_until};
use crate::{ANN, BOB};

const NOBODY: &str = "uid=nobody,ou=people,dc=example,dc=com";

/// A server with these limits.
fn server(settings: &[&str]) -> Server {
    let setup = settings.iter().fold(Setup::default(), |setup, setting| setup.with_setting(setting));
    Server::start(setup)
}

/// Binds that were refused unchecked, as the administrator is told over the local socket.
fn throttled(server: &Server) -> u64 {
    let mut local = local(server);
    local.perform(&request::bind_sasl("", "EXTERNAL", None)).expect(code::SUCCESS);
    let lines = local.read_attributes("cn=operations,cn=monitor", &["monitoredInfo"]).values("monitoredInfo");
    let count = lines.iter().find_map(|line| line.strip_prefix("binds_throttled_total: "));
    count.expect("the monitor counts them").parse().expect("a number")
}

fn local(server: &Server) -> Client {
    let stream = UnixStream::connect(server.data().join("ldapi")).expect("the server listens on its socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    Client::over(stream)
}

/// T-26: a name that is nobody's waits like any other. Whoever waits is answered at once, over any connection; with the right
/// password too, which is good again when the wait is over.
#[test]
fn a_name_that_fails_again_and_again_has_to_wait() {
    only_entente!(Setting);
    let server = server(&["limits.failed_binds_per_account=3", "limits.failed_binds_window_s=360"]);
    for (name, password) in [(ANN, "ann-secret"), (NOBODY, "nobody-secret"), (ADMIN, ADMIN_PASSWORD)] {
        let mut client = server.anonymous();
        for _ in 0..3 {
            client.bind(name, "wrong").expect(code::INVALID_CREDENTIALS);
        }
        let refused = client.bind(name, password).expect(code::BUSY);
        assert!(refused.diagnostic.contains("try again in"), "{name}: {refused:?}");
        server.anonymous().bind(&name.replace("uid=", "UID = "), password).expect(code::BUSY);
        client.bind(BOB, "bob-secret").expect(code::SUCCESS);
        let expected = if name == NOBODY { code::INVALID_CREDENTIALS } else { code::SUCCESS };
        let mut answer = code::BUSY;
        wait_until("the wait is over", || {
            answer = server.anonymous().bind(name, password).code;
            answer != code::BUSY
        });
        assert_eq!(answer, expected, "{name}");
    }
    assert!(throttled(&server) >= 6);
    let told = server.said().matches("binds under this name fail again and again").count();
    assert_eq!(told, 3, "a line for each: {}", server.said());
}

/// A success begins anew; and who guesses from elsewhere keeps nobody out.
#[test]
fn nobody_is_kept_out_by_who_guesses_elsewhere() {
    only_entente!(Setting);
    let server = server(&["limits.failed_binds_per_account=3", "limits.failed_binds_window_s=600"]);
    let mut client = server.anonymous();
    for _ in 0..3 {
        for _ in 0..2 {
            client.bind(ANN, "wrong").expect(code::INVALID_CREDENTIALS);
        }
        client.bind(ANN, "ann-secret").expect(code::SUCCESS);
    }
    for _ in 0..3 {
        client.bind(ANN, "wrong").expect(code::INVALID_CREDENTIALS);
    }
    client.bind(ANN, "ann-secret").expect(code::BUSY);
    local(&server).bind(ANN, "ann-secret").expect(code::SUCCESS);
    let mut local = local(&server);
    for _ in 0..3 {
        local.bind(BOB, "wrong").expect(code::INVALID_CREDENTIALS);
    }
    local.bind(BOB, "bob-secret").expect(code::BUSY);
    client.bind(BOB, "bob-secret").expect(code::SUCCESS);
}

/// Password spraying: another name each time.
#[test]
fn an_address_that_fails_under_many_names_has_to_wait() {
    only_entente!(Setting);
    let server = server(&["limits.failed_binds_per_address=20", "limits.failed_binds_window_s=600"]);
    let mut client = server.anonymous();
    for number in 0..20 {
        client
            .bind(&format!("uid=user-{number},ou=people,dc=example,dc=com"), "wrong")
            .expect(code::INVALID_CREDENTIALS);
    }
    client.bind(ANN, "ann-secret").expect(code::BUSY);
    client.bind(NOBODY, "wrong").expect(code::BUSY);
    client.perform(&request::bind_simple(3, "", b"")).expect(code::SUCCESS);
    local(&server).bind(ANN, "ann-secret").expect(code::SUCCESS);
    assert_eq!(throttled(&server), 2);
}

/// T-31: no other way to prove a password passes by; a thousand attempts at once are not hashed either.
#[test]
fn other_mechanisms_and_many_connections_wait_too() {
    only_entente!(Setting);
    let settings = [
        "limits.failed_binds_per_account=5",
        "limits.failed_binds_window_s=600",
        "sasl.plain_without_tls=true",
        r#"password.scram=["SCRAM-SHA-256"]"#,
        "password.hashing_threads=2",
    ];
    let server = server(&settings);
    let plain = |client: &mut Client, password: &str| {
        client.perform(&request::bind_sasl("", "PLAIN", Some(format!("\0ann\0{password}").as_bytes()))).code
    };
    let mut client = server.anonymous();
    for _ in 0..4 {
        assert_eq!(plain(&mut client, "wrong"), code::INVALID_CREDENTIALS);
    }
    Scram::new("SCRAM-SHA-256", "ann", "wrong").bind(&mut client).expect(code::INVALID_CREDENTIALS);
    assert_eq!(plain(&mut client, "ann-secret"), code::BUSY);
    let first = request::bind_sasl("", "SCRAM-SHA-256", Some(b"n,,n=ann,r=nonce"));
    client.perform(&first).expect(code::BUSY);
    // All are sent before the first is answered.
    let mut clients: Vec<Client> = (0..40).map(|_| server.anonymous()).collect();
    let ids: Vec<i64> = clients.iter_mut().map(|client| client.send(&request::bind_simple(3, BOB, b"wrong"))).collect();
    let codes: Vec<u32> = clients.iter_mut().zip(ids).map(|(client, id)| client.outcome_of(id).code).collect();
    let judged = codes.iter().filter(|code| **code == code::INVALID_CREDENTIALS).count();
    assert!((5..=7).contains(&judged), "one more for each thread that hashes at most: {codes:?}");
    assert!(codes.iter().all(|code| [code::INVALID_CREDENTIALS, code::BUSY].contains(code)), "{codes:?}");
}

/// T-31: whatever says that a password is right counts like a bind: the old password of a password modify (RFC 3062) and of a
/// modify that deletes it by value, and a compare. Where one door is shut, so are the others; and what is refused with the right
/// password was not judged.
#[test]
fn no_other_way_to_try_a_password_passes_by() {
    only_entente!(Setting);
    let compares =
        r#"(targetattr = "userPassword")(version 3.0; acl "compare"; allow (compare) userdn = "ldap:///all";)"#;
    let owns = r#"(targetattr = "userPassword")(version 3.0; acl "own"; allow (write) userdn = "ldap:///self";)"#;
    let reads = r#"(targetattr = "*")(version 3.0; acl "read"; allow (read, search) userdn = "ldap:///all";)"#;
    let start = || {
        let setup = Setup::default().with_access(&[compares, owns, reads], "");
        let setup = setup.with_setting("limits.failed_binds_per_account=3");
        Server::start(setup.with_setting("limits.failed_binds_window_s=600"))
    };
    type Try = fn(&mut Client, &str) -> u32;
    let modify: Try =
        |client, old| client.perform(&request::password_modify(None, Some(old), Some("new-secret-1"))).code;
    let replace: Try = |client, old| {
        client.modify(ANN, &[(DELETE, "userPassword", &[old]), (ADD, "userPassword", &["new-secret-1"])]).code
    };
    let compare: Try = |client, password| client.compare(ANN, "userPassword", password).code;
    for (what, attempt, wrong, right) in [
        ("password modify", modify, code::INVALID_CREDENTIALS, code::SUCCESS),
        ("modify", replace, code::NO_SUCH_ATTRIBUTE, code::SUCCESS),
        ("compare", compare, code::COMPARE_FALSE, code::COMPARE_TRUE),
    ] {
        let server = start();
        let mut ann = server.person("ann");
        for _ in 0..2 {
            assert_eq!(attempt(&mut ann, "wrong"), wrong, "{what}");
        }
        // A success begins anew, as for binds.
        server.anonymous().bind(ANN, "ann-secret").expect(code::SUCCESS);
        for _ in 0..3 {
            assert_eq!(attempt(&mut ann, "wrong"), wrong, "{what}");
        }
        for (other, again) in [("password modify", modify), ("modify", replace), ("compare", compare)] {
            assert_eq!(again(&mut ann, "ann-secret"), code::BUSY, "{other} after {what}");
        }
        let refused = server.anonymous().bind(ANN, "ann-secret").expect(code::BUSY);
        assert!(refused.diagnostic.contains("try again in"), "{what}: {refused:?}");
        assert!(throttled(&server) >= 4, "{what}");
        // From elsewhere it is open, and nobody else waits here.
        let mut local = local(&server);
        local.bind(ANN, "ann-secret").expect(code::SUCCESS);
        assert_eq!(attempt(&mut local, "ann-secret"), right, "{what}");
        let mut bob = server.person("bob");
        bob.compare(BOB, "userPassword", "bob-secret").expect(code::COMPARE_TRUE);
        // Whose rights do not reach it is told that, counts nothing, and learns of no wait.
        let old = request::password_modify(Some(BOB), Some("wrong"), Some("new-secret-1"));
        for _ in 0..5 {
            local.perform(&old).expect(code::INSUFFICIENT_ACCESS_RIGHTS);
        }
    }
}
