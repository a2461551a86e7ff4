//! One script of content synchronisation (RFC 4533) by python-ldap's consumer, run against Entente, slapd and 389: what the
//! others pass is what it says of Entente.

use std::path::Path;
use std::process::Command;

use crate::dirsrv::{Dirsrv, MANAGER};
use crate::migrate_live::{PROVIDER, provider};
use crate::migration_389::fill;
use crate::node::Node;
use crate::support::program::run;
use crate::support::server::{ADMIN, ADMIN_PASSWORD, SUFFIX, Server, Setup, Subject};
use crate::support::workload::Workload;

/// Where the script keeps its copy, and of whom.
struct Script<'a> {
    folder: &'a Path,
    subject: &'a str,
    admin: &'a str,
}

impl Script<'_> {
    #[track_caller]
    fn step(&self, name: &str, url: &str) {
        let mut command = Command::new("/usr/bin/python3");
        command.arg(format!("{}/tests/clients/python_content_sync.py", env!("CARGO_MANIFEST_DIR"))).arg(name);
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("LDAPCONF", "/dev/null");
        command.env("LDAP_URL", url).env("LDAP_SUFFIX", SUFFIX).env("LDAP_SUBJECT", self.subject);
        command.env("LDAP_ADMIN", self.admin).env("LDAP_ADMIN_PASSWORD", ADMIN_PASSWORD);
        command.env("LDAP_STATE", self.folder.join("copy"));
        let output = run(&mut command).expect_success();
        assert!(output.contains("all passed"), "{name}: {output}");
    }
}

#[test]
fn entente_keeps_python_ldap_in_step_over_restarts_and_forgotten_changes() {
    let setup = Setup::default().with_setting("replication.log_records_max=100");
    let mut server = Server::start_subject(Subject::Entente, setup);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = Script { folder: folder.path(), subject: "entente", admin: ADMIN };
    script.step("begin", &server.url());
    script.step("resume", &server.url());
    server.stop();
    server.restart();
    script.step("resume", &server.url());
    server.kill();
    server.restart();
    script.step("persist", &server.url());
    script.step("resume", &server.url());
    script.step("foreign", &server.url());
    let mut admin = server.admin();
    Workload::begin(&mut admin, 10, 100).make(&mut admin, 500);
    script.step("old", &server.url());
    script.step("resume", &server.url());
}

/// The cookie of one node is good on another, there and back.
#[test]
fn entente_keeps_python_ldap_in_step_from_node_to_node() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut first = Node::found(folder.path(), "first");
    first.serve();
    let second = first.joined("second", "supplier");
    let script = Script { folder: folder.path(), subject: "entente", admin: ADMIN };
    script.step("begin", &first.url());
    for node in [&second, &first, &second] {
        first.wait_until_equal();
        script.step("resume", &node.url());
    }
    first.wait_until_equal();
    script.step("persist", &first.url());
    first.wait_until_equal();
    script.step("old", &second.url());
}

#[test]
fn slapd_passes_the_same_script() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (slapd, mut program, address) = provider(folder.path(), PROVIDER);
    let script = Script { folder: folder.path(), subject: "slapd", admin: ADMIN };
    script.step("begin", &format!("ldap://{address}"));
    program.terminate();
    let (_program, address) = slapd.start();
    for step in ["resume", "persist", "resume", "old"] {
        script.step(step, &format!("ldap://{address}"));
    }
}

#[test]
fn dirsrv_passes_the_same_script() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Dirsrv::make(&folder.path().join("389"));
    let mut program = server.start_with_content_sync();
    fill(&mut server.manager());
    let url = format!("ldap://{}", server.address);
    let script = Script { folder: folder.path(), subject: "389", admin: MANAGER };
    script.step("begin", &url);
    program.terminate();
    let _program = server.start();
    for step in ["resume", "persist", "resume"] {
        script.step(step, &url);
    }
}
