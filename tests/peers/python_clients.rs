//! python-ldap and ldap3 doing their usual work; the scripts are in `tests/clients`.

use std::process::Command;

use crate::support::program::run;
use crate::support::server::{ADMIN, ADMIN_PASSWORD, SUFFIX, Server, Setup, Subject};

/// Runs a script on a server of its own; the script fails by an exception.
#[track_caller]
fn script(name: &str) {
    let server = Server::start(Setup::default().with_tls());
    let certificate = server.certificate.as_ref().expect("started with TLS").certificate_file.clone();
    let mut command = Command::new("/usr/bin/python3");
    command.arg(format!("{}/tests/clients/{name}", env!("CARGO_MANIFEST_DIR")));
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("LDAPCONF", "/dev/null");
    command.env("LDAP_URL", server.url()).env("LDAP_SUFFIX", SUFFIX);
    command.env("LDAP_ADMIN", ADMIN).env("LDAP_ADMIN_PASSWORD", ADMIN_PASSWORD);
    command.env("LDAP_CERTIFICATE", certificate);
    command.env("LDAP_SUBJECT", Subject::current().pick("entente", "slapd"));
    let output = run(&mut command).expect_success();
    assert!(output.contains("all passed"), "{output}");
}

#[test]
fn python_ldap_does_its_work() {
    script("python_ldap.py");
}

#[test]
fn ldap3_does_its_work() {
    script("ldap3_client.py");
}

/// RFC 4533 by a consumer that nobody here wrote; slapd needs an overlay for it and is not asked.
#[test]
fn python_ldap_keeps_a_copy_by_syncrepl() {
    if !Subject::current().is_slapd() {
        script("python_syncrepl.py");
    }
}
