//! `entente migrate` from Debian's slapd while it is written to.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::support::client::Client;
use crate::support::code;
use crate::support::program::{Finished, Program, entente, run};
use crate::support::server::{ADMIN, ADMIN_PASSWORD, SUFFIX, Server, Setup, Subject, check, init};
use crate::support::slapd::Slapd;
use crate::support::tls::restrict;
use crate::support::wait::wait_until;
use crate::support::workload::Workload;
use crate::syncrepl_slapd::{Content, content};

/// Reading for the administrator alone; content synchronisation offered.
pub(crate) const PROVIDER: &str = "access to attrs=userPassword by anonymous auth by * none\naccess to * by * read\n\
    overlay syncprov\nsyncprov-checkpoint 100 1\nsyncprov-sessionlog 500\n";

pub(crate) fn provider(folder: &Path, access: &str) -> (Slapd, Program, SocketAddr) {
    let setup = Setup { slapd_access: access.to_owned(), ..Setup::default() };
    let slapd = Slapd::make(&folder.join("old"), &setup, None);
    let (program, address) = slapd.start();
    (slapd, program, address)
}

#[track_caller]
pub(crate) fn admin(address: SocketAddr) -> Client {
    let mut client = Client::connect(address);
    client.bind(ADMIN, ADMIN_PASSWORD).expect(code::SUCCESS);
    client
}

pub(crate) fn migrate(folder: &Path, address: SocketAddr, bind_dn: &str, further: &[&str]) -> Command {
    let mut command = entente();
    command.args(["migrate", "--from", &format!("ldap://{address}"), "-D", bind_dn]);
    command.arg("-y").arg(folder.join("admin-password")).args(["--base", SUFFIX]);
    command.arg("--data").arg(folder.join("data")).args(further);
    command
}

#[track_caller]
fn once(folder: &Path, address: SocketAddr, further: &[&str]) -> Finished {
    run(&mut migrate(folder, address, ADMIN, further))
}

/// Without passwords in clear, which are kept as hashes here.
fn comparable(content: Content) -> Content {
    let hashed = |values: &BTreeSet<Vec<u8>>| {
        values.iter().all(|value| value.starts_with(b"{") && !value.starts_with(b"{ARGON2"))
    };
    let entries = content.into_iter().map(|(uuid, (dn, mut attributes))| {
        if attributes.get("userpassword").is_some_and(|values| !hashed(values)) {
            attributes.remove("userpassword");
        }
        (uuid, (dn, attributes))
    });
    entries.collect()
}

#[track_caller]
fn expect_same(ours: Content, theirs: Content) {
    let (ours, theirs) = (comparable(ours), comparable(theirs));
    for (uuid, entry) in &theirs {
        assert_eq!(ours.get(uuid), Some(entry), "{uuid}");
    }
    let extra: Vec<_> = ours.iter().filter(|(uuid, _)| !theirs.contains_key(*uuid)).collect();
    assert!(extra.is_empty(), "only here: {extra:?}");
}

/// Serves what was moved.
pub(crate) fn serve(folder: &Path) -> (Program, SocketAddr) {
    let mut command = entente();
    command.arg("serve").arg("--data").arg(folder.join("data")).args(["--listen", "ldap://127.0.0.1:0"]);
    let mut program = Program::start(&mut command);
    let urls = crate::support::server::ready_urls(&program.wait_for_line("ready"));
    let address = urls.iter().find_map(|url| url.strip_prefix("ldap://")?.trim_end_matches('/').parse().ok());
    (program, address.expect("an address"))
}

/// Loaded, followed under load, stopped, caught up, taken over: entry by entry the same, and people bind as before.
#[test]
fn a_live_slapd_is_moved_while_it_is_written_to() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let (_slapd, _program, address) = provider(folder, PROVIDER);
    let mut client = admin(address);
    let mut workload = Workload::begin(&mut client, 5, 150);
    (workload.renames_branches, workload.window) = (false, 1);
    workload.make(&mut client, 300);
    init(&folder.join("data"), folder);
    once(folder, address, &[]).expect_success();
    workload.make(&mut client, 200);
    let mut follower = Program::start(&mut migrate(folder, address, ADMIN, &["--follow"]));
    follower.wait_for_line("in step");
    for _ in 0..4 {
        workload.make(&mut client, 300);
    }
    let marker = format!("cn=marker,{SUFFIX}");
    client.add(&marker, &[("objectClass", &["device"])]).expect(code::SUCCESS);
    let csn = client.read_attributes(&marker, &["entryCSN"]).value("entryCSN");
    let state = folder.join("data/migration.json");
    wait_until("the follower to have the last change", || {
        let text = std::fs::read_to_string(&state).unwrap_or_default();
        let cookie = text.split("\"cookie\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        let bytes: Vec<u8> = (0..cookie.len() / 2)
            .filter_map(|at| u8::from_str_radix(cookie.get(2 * at..2 * at + 2)?, 16).ok())
            .collect();
        let cookie = String::from_utf8_lossy(&bytes).into_owned();
        cookie.split("csn=").nth(1).is_some_and(|known| known >= csn.as_str())
    });
    assert!(follower.terminate().success(), "{}", follower.said());
    check(&folder.join("data"));
    workload.make(&mut client, 300);
    let said = once(folder, address, &["--take-over"]).expect_success();
    assert!(said.contains("entente serve --data"), "{said}");
    check(&folder.join("data"));
    let (mut served, ours) = serve(folder);
    expect_same(content(&mut admin(ours)), content(&mut client));
    let mut ann = Client::connect(ours);
    ann.bind(&format!("uid=ann,ou=people,{SUFFIX}"), "ann-secret").expect(code::SUCCESS);
    drop(ann);
    assert!(served.terminate().success());
    let again = once(folder, address, &[]).expect_failure();
    assert!(again.contains("taken over"), "{again}");
}

/// What is in the way is named, with what to do.
#[test]
fn what_stops_a_migration_is_said() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let (slapd, mut program, address) = provider(folder, "access to * by * read\n");
    init(&folder.join("data"), folder);
    let said = once(folder, address, &[]).expect_failure();
    assert!(said.contains("syncprov"), "{said}");
    program.terminate();
    drop(slapd);
    std::fs::remove_dir_all(folder.join("old")).unwrap();
    let access = PROVIDER.replace("attrs=userPassword by", "attrs=userPassword by dn.exact=\"cn=nobody\" none by");
    let (_slapd, _program, address) = provider(folder, &access);
    let mut client = admin(address);
    let reader = format!("cn=reader,{SUFFIX}");
    let attributes: [(&str, &[&str]); 3] =
        [("objectClass", &["person"]), ("sn", &["Reader"]), ("userPassword", &[ADMIN_PASSWORD])];
    client.add(&reader, &attributes).expect(code::SUCCESS);
    let said = run(&mut migrate(folder, address, &reader, &[])).expect_failure();
    assert!(said.contains("userPassword") || said.contains("limits"), "{said}");
    let wrong = folder.join("wrong");
    std::fs::write(&wrong, "wrong\n").unwrap();
    restrict(&wrong);
    let mut command = migrate(folder, address, ADMIN, &[]);
    let said = run(command.arg("--password-file").arg(&wrong)).expect_failure();
    assert!(!said.is_empty());
}

/// Ours is a provider like another one.
#[test]
fn an_entente_server_is_moved_to_another_machine() {
    let server = Server::start_subject(Subject::Entente, Setup::default());
    let mut client = server.admin();
    let mut workload = Workload::begin(&mut client, 6, 100);
    workload.make(&mut client, 200);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    init(&folder.join("data"), folder);
    once(folder, server.address(), &[]).expect_success();
    // What clients wrote to a copy would be lost with the next pass.
    let mut early = entente();
    early.args(["serve", "--listen", "ldap://127.0.0.1:0", "--data"]).arg(folder.join("data"));
    let said = run(&mut early).expect_failure();
    assert!(said.contains("--take-over") && said.contains("migration.json"), "{said}");
    workload.make(&mut client, 400);
    once(folder, server.address(), &[]).expect_success();
    workload.make(&mut client, 100);
    once(folder, server.address(), &["--take-over"]).expect_success();
    let (_served, ours) = serve(folder);
    expect_same(content(&mut admin(ours)), content(&mut client));
}
