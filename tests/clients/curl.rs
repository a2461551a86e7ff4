//! curl: searches by LDAP URL (RFC 4516), printed as LDIF.

use std::process::Command;

use crate::support::program::{Finished, run};
use crate::support::server::{SUFFIX, Server, Setup};

/// `curl URL`, a search below the people: at a continuation reference curl 7.88 ends without a word.
#[track_caller]
fn curl(server: &Server, query: &str) -> Finished {
    let url = server.url();
    let mut command = Command::new("curl");
    command.env("LDAPNOINIT", "1").args(["--silent", "--show-error", "--max-time", "20"]);
    run(command.arg(format!("{}/ou=people,{SUFFIX}?{query}", url.trim_end_matches('/'))))
}

fn server() -> Server {
    Server::start(Setup::default())
}

#[test]
fn curl_prints_what_a_url_finds() {
    let server = server();
    let found = curl(&server, "cn,mail?sub?(uid=bob)").expect_success();
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
    let found = curl(&server, "cn,jpegPhoto?sub?(%7C(sn=Gro%C3%9F)(uid=ann))").expect_success();
    assert!(found.contains("\tcn:: SsO8cmdlbiBHcm/Dnw==\n"), "{found}");
    assert!(found.contains("\tjpegPhoto:: /9j/4AAQSkZJRgABAQEASABIAAD/2Q==\n"), "{found}");
}
