//! Scripts that let a library do its work: where the server is and who may do what comes in their environment, and what they
//! print is what is asserted.

use std::process::Command;

use crate::support::program::{Finished, run};
use crate::support::server::{ADMIN, ADMIN_PASSWORD, SUFFIX, Server};

/// A command that knows the server by its environment.
pub(crate) fn command(server: &Server, program: &str, arguments: &[&str]) -> Command {
    let certificate = server.certificate.as_ref().expect("started with TLS").certificate_file.clone();
    let mut command = Command::new(program);
    command.args(arguments).env("LDAPCONF", "/dev/null").env("LC_ALL", "C.UTF-8").env("TERM", "dumb");
    command.env("LDAP_URL", server.url()).env("LDAPS_URL", server.url_of("ldaps"));
    command.env("LDAP_PORT", server.address().port().to_string()).env("LDAP_SUFFIX", SUFFIX);
    command.env("LDAP_ADMIN", ADMIN).env("LDAP_ADMIN_PASSWORD", ADMIN_PASSWORD).env("LDAP_CERTIFICATE", certificate);
    command
}

/// A file of this folder.
pub(crate) fn file(name: &str) -> String {
    format!("{}/tests/clients/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Runs a script of this folder to its end, at most a minute. What its library keeps in the folder for temporary files
/// (Net_LDAP3: the schema) goes with it.
#[track_caller]
pub(crate) fn run_script(server: &Server, program: &str, name: &str) -> Finished {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    run(command(server, "timeout", &["60", program, &file(name)]).env("TMPDIR", temporary.path()))
}
