//! Thunderbird: the search box of the address book, completing a recipient, the copy for working offline, and a book
//! behind TLS and a password.

use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::site::Site;
use crate::support::program::run;
use crate::support::wait::wait_until;

/// Runs `search.js` in a Thunderbird without a window; it fails unless all went well there.
#[track_caller]
fn thunderbird(site: &Site, words: &str, beginning: &str) -> serde_json::Value {
    site.configure("/root/profile/user.js", include_str!("user.js"), 0o600);
    let thunderbird = site.serve(&[
        "thunderbird",
        "--headless",
        "--marionette",
        "--remote-allow-system-access",
        "--no-remote",
        "--profile",
        "/root/profile",
    ]);
    wait_until("Thunderbird to listen", || std::net::TcpStream::connect(("127.0.0.1", site.port)).is_ok());
    let pem = std::fs::read_to_string(site.certificate_file()).expect("the certificate was made");
    let certificate: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    assert!(STANDARD.decode(&certificate).is_ok(), "{pem}");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/thunderbird");
    let mut command = Command::new("/usr/bin/python3");
    command.arg(format!("{folder}/marionette.py")).arg(site.port.to_string()).arg(format!("{folder}/search.js"));
    let finished = run(command.args([words, beginning, &certificate, "mail-secret"]));
    assert!(finished.status.success(), "{finished:#?}\n{}", thunderbird.said());
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:#?}"))
}

#[test]
fn thunderbird_searches_completes_and_takes_a_copy() {
    let site = Site::start();
    let said = thunderbird(&site, "Gro", "be");
    let juergen = serde_json::json!({ "status": 0, "cards": [["Jürgen Groß", "juergen@example.com"]] });
    assert_eq!(said["search"], juergen, "{said:#}");
    // By a name in another language (cn;lang-de).
    assert_eq!(said["complete"], serde_json::json!(["Ann Example <ann@example.com>"]), "{said:#}");
    assert_eq!(said["copy"], serde_json::json!({ "status": 0, "offline": juergen }), "{said:#}");
    assert_eq!(said["secure"], juergen, "{said:#}");
}
