//! curl: searches by LDAP URL (RFC 4516), printed as LDIF.

use std::process::Command;

use crate::support::program::{Finished, run};
use crate::support::server::{ADMIN, ADMIN_PASSWORD, SUFFIX, Server, Setup};

/// `curl ARGUMENTS URL`, a search below the people: at a continuation reference curl 7.88 ends without a word.
#[track_caller]
fn curl(server: &Server, scheme: &str, arguments: &[&str], query: &str) -> Finished {
    let url = server.url_of(scheme);
    let mut command = Command::new("curl");
    command.env("LDAPNOINIT", "1").args(["--silent", "--show-error", "--max-time", "20"]).args(arguments);
    run(command.arg(format!("{}/ou=people,{SUFFIX}?{query}", url.trim_end_matches('/'))))
}

fn server() -> Server {
    Server::start(Setup::default().with_tls())
}

#[test]
fn curl_prints_what_a_url_finds() {
    let server = server();
    let found = curl(&server, "ldap", &[], "cn,mail?sub?(uid=bob)").expect_success();
    assert_eq!(
        found,
        format!("DN: uid=bob,ou=people,{SUFFIX}\n\tcn: Bob Builder\n\n\tmail: bob@example.com\n\n\n"),
        "{found:?}"
    );
}

/// RFC 4516 2.1: percent encoding, and a value that is no text.
#[test]
fn curl_encodes_what_is_no_text() {
    let server = server();
    let found = curl(&server, "ldap", &[], "cn,jpegPhoto?sub?(%7C(sn=Gro%C3%9F)(uid=ann))").expect_success();
    assert!(found.contains("\tcn:: SsO8cmdlbiBHcm/Dnw==\n"), "{found}");
    assert!(found.contains("\tjpegPhoto:: /9j/4AAQSkZJRgABAQEASABIAAD/2Q==\n"), "{found}");
}

/// Several messages that come at once are all seen.
#[test]
fn curl_searches_over_tls_with_a_name_and_a_password() {
    let server = server();
    let authority = server.certificate.as_ref().expect("started with TLS").certificate_file.display().to_string();
    let user = format!("{ADMIN}:{ADMIN_PASSWORD}");
    let found = curl(&server, "ldaps", &["--cacert", &authority, "--user", &user], "userPassword?sub?(uid=*)");
    let found = found.expect_success();
    assert_eq!(found.matches("DN: uid=").count(), 6, "{found}");
    assert_eq!(found.matches("\tuserPassword: {SSHA}").count(), 6, "{found}");
    let refused = curl(&server, "ldaps", &["--cacert", &authority, "--user", &format!("{ADMIN}:wrong")], "cn?sub");
    // 67: CURLE_LOGIN_DENIED.
    refused.expect_status(67);
}
