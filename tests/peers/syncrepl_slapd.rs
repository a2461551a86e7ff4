//! Debian's slapd as the consumer of our content: its copy is ours, entry by entry.
//!
//! The short form runs always. `ENTENTE_SYNC_CHANGES=1000000` makes as many changes instead, and restarts both sides on
//! the way; `ENTENTE_PROGRAM=target/release/entente` takes the optimised server for it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::client::{Client, Entry};
use crate::support::program::Program;
use crate::support::request::{Control, REPLACE, Search};
use crate::support::server::{ADMIN, ADMIN_PASSWORD, SUFFIX, Server, Setup, Subject};
use crate::support::slapd::free_address;
use crate::support::wait::{PATIENCE, wait_for_within, wait_until};
use crate::support::workload::Workload;
use crate::support::{code, oid};

/// A slapd that keeps a copy of another server's suffix.
struct Consumer {
    folder: PathBuf,
    address: SocketAddr,
    program: Option<Program>,
}

impl Consumer {
    /// `kind`: `type=refreshAndPersist` and the like.
    #[track_caller]
    fn start(folder: &Path, provider: &str, kind: &str) -> Self {
        let folder = folder.join("consumer");
        std::fs::create_dir_all(folder.join("db")).expect("temporary folder is writable");
        let mut this = Self { folder, address: free_address(), program: None };
        this.configure(provider, kind);
        this.serve();
        this
    }

    fn configure(&self, provider: &str, kind: &str) {
        let folder = self.folder.display();
        std::fs::write(self.folder.join("rfc2307bis.schema"), include_str!("../support/rfc2307bis.schema")).unwrap();
        let text = format!(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n\
             include /etc/ldap/schema/inetorgperson.schema\ninclude {folder}/rfc2307bis.schema\n\
             modulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {folder}/slapd.pid\nargsfile {folder}/slapd.args\n\
             loglevel sync\ndatabase mdb\nsuffix {SUFFIX}\nrootdn {ADMIN}\nrootpw {ADMIN_PASSWORD}\n\
             directory {folder}/db\nmaxsize 4294967296\ndbnosync\nindex objectClass,entryUUID,entryCSN eq\n\
             syncrepl rid=007 provider={provider} {kind} retry=\"1 +\" searchbase=\"{SUFFIX}\" scope=sub \
             filter=\"(objectClass=*)\" attrs=\"*,+\" schemachecking=off bindmethod=simple binddn=\"{ADMIN}\" \
             credentials={ADMIN_PASSWORD}\n"
        );
        std::fs::write(self.folder.join("slapd.conf"), text).expect("temporary folder is writable");
    }

    #[track_caller]
    fn serve(&mut self) {
        let level = std::env::var("ENTENTE_SLAPD_DEBUG").unwrap_or_else(|_| "0".to_owned());
        let mut command = Command::new("/usr/sbin/slapd");
        command.arg("-h").arg(format!("ldap://{}/", self.address)).args(["-d", &level, "-f"]);
        self.program = Some(Program::start(command.arg(self.folder.join("slapd.conf"))));
        wait_until("slapd to listen", || std::net::TcpStream::connect(self.address).is_ok());
    }

    #[track_caller]
    fn stop(&mut self) {
        self.program.take().expect("it runs").terminate();
    }

    #[track_caller]
    fn client(&self) -> Client {
        let mut client = Client::connect(self.address);
        client.bind(ADMIN, ADMIN_PASSWORD).expect(code::SUCCESS);
        client
    }

    fn said(&self) -> String {
        let said = self.program.as_ref().map(Program::said).unwrap_or_default();
        let noise = ["syncrepl_entry:", "syncrepl_message"];
        let lines: Vec<_> = said.lines().filter(|line| !noise.iter().any(|noise| line.contains(noise))).collect();
        lines[lines.len().saturating_sub(4000)..].join("\n")
    }
}

/// Operational attributes that a copy has in common with its original.
const KEPT: [&str; 5] = ["entryuuid", "createtimestamp", "modifytimestamp", "creatorsname", "modifiersname"];
/// What the consumer's schema does not know, so that it shows it in its own way or not at all.
const UNKNOWN: [&str; 1] = ["aci"];

pub(crate) type Content = BTreeMap<String, (String, BTreeMap<String, BTreeSet<Vec<u8>>>)>;

/// Everything below the suffix by entryUUID, comparable.
#[track_caller]
pub(crate) fn content(client: &mut Client) -> Content {
    let mut names = vec!["*"];
    names.extend(KEPT);
    let search = Search::subtree(SUFFIX, "(objectClass=*)").attributes(&names);
    let found = client.with(Control::manage_dsa_it()).search(&search);
    if found.outcome.code != code::SUCCESS {
        return Content::new();
    }
    found.entries.iter().map(comparable).collect()
}

/// Values by lower-case attribute name.
type Comparable = BTreeMap<String, BTreeSet<Vec<u8>>>;

fn comparable(entry: &Entry) -> (String, (String, Comparable)) {
    let attributes = entry.attributes.iter().map(|(name, values)| {
        let lower = |value: &Vec<u8>| match std::str::from_utf8(value) {
            Ok(text) if text.ends_with("dc=com") => text.to_lowercase().into_bytes(),
            _ => value.clone(),
        };
        (name.to_lowercase(), values.iter().map(lower).collect())
    });
    let attributes: BTreeMap<_, _> = attributes.filter(|(name, _)| !UNKNOWN.contains(&name.as_str())).collect();
    (entry.value("entryUUID"), (entry.dn.to_lowercase(), attributes))
}

/// Sequences of a contextCSN: what stands behind the time, without the server number, which each consumer has its own.
fn sequences(client: &mut Client) -> BTreeSet<String> {
    let found = client.search(&Search::base(SUFFIX).attributes(&["contextCSN"]));
    let values = found.entries.first().map(|entry| entry.values("contextCSN")).unwrap_or_default();
    let parts = values.iter().map(|csn| csn.split('#').collect::<Vec<_>>());
    parts.filter(|parts| parts.len() == 4).map(|parts| format!("{}#{}", parts[1], parts[3])).collect()
}

/// Waits until the copy is as new as the original, and compares.
#[track_caller]
fn expect_equal(server: &Server, consumer: &Consumer, patience: Duration) {
    let mut admin = server.admin();
    let mut copy = consumer.client();
    let caught_up = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        // Asked anew each time: a node also changes what is its own (its membership), and a copy that is fetched now and then
        // passes over the moment at which it would have had just what was there before.
        wait_for_within(patience, "the consumer to catch up", || {
            (sequences(&mut copy) == sequences(&mut admin)).then_some(())
        });
    }));
    let (ours, theirs) = (content(&mut admin), content(&mut copy));
    if theirs.is_empty() {
        panic!("the copy is empty: {}", consumer.said());
    }
    for (uuid, entry) in &ours {
        assert_eq!(Some(entry), theirs.get(uuid), "{}", consumer.said());
    }
    let extra: Vec<_> = theirs.iter().filter(|(uuid, _)| !ours.contains_key(*uuid)).collect();
    let names: Vec<_> = extra.iter().map(|(uuid, (dn, _))| format!("{uuid} {dn}")).collect();
    assert!(names.is_empty(), "only in the copy: {names:?}\n{}", consumer.said());
    assert!(caught_up.is_ok(), "equal, but its contextCSN is not: {:?}\n{}", sequences(&mut admin), consumer.said());
}

#[test]
fn slapd_keeps_a_copy_while_changes_come() {
    let server = Server::start_subject(Subject::Entente, Setup::default());
    let consumer = Consumer::start(server.folder(), &server.url(), "type=refreshAndPersist");
    expect_equal(&server, &consumer, PATIENCE);
    let mut admin = server.admin();
    let mut workload = Workload::begin(&mut admin, 1, 200);
    for _ in 0..5 {
        workload.make(&mut admin, 300);
        expect_equal(&server, &consumer, PATIENCE);
    }
}

/// Both sides are stopped, killed and started again, and miss what the other did meanwhile.
#[track_caller]
fn restart_both_sides(changes: usize, seed: u64, settings: &[&str]) {
    let people = (changes / 20).clamp(200, 20_000);
    let patience = Duration::from_secs(60 + changes as u64 / 100);
    let setup = settings.iter().fold(Setup::default(), |setup, setting| setup.with_setting(setting));
    let mut server = Server::start_subject(Subject::Entente, setup);
    let mut consumer = Consumer::start(server.folder(), &server.url(), "type=refreshAndPersist");
    let mut admin = server.admin();
    let mut workload = Workload::begin(&mut admin, seed, people);
    for round in 0..4 {
        let part = changes / 8;
        workload.make(&mut admin, part);
        drop(admin);
        if round % 2 == 0 {
            server.kill();
        } else {
            server.stop();
        }
        consumer.stop();
        server.restart();
        admin = server.admin();
        workload.make(&mut admin, part);
        consumer.configure(&server.url(), "type=refreshAndPersist");
        consumer.serve();
        expect_equal(&server, &consumer, patience);
        println!("{} changes: equal", (round + 1) * part * 2);
    }
}

fn campaign() -> Option<usize> {
    std::env::var("ENTENTE_SYNC_CHANGES").ok().and_then(|text| text.parse().ok())
}

#[test]
fn slapd_catches_up_after_restarts_of_both_sides() {
    restart_both_sides(campaign().unwrap_or(2_000), 2, &[]);
}

/// What it missed is not in the log any more: everything is sent, onto a copy in which all kinds of things are otherwise.
#[test]
fn slapd_is_filled_anew_after_restarts_of_both_sides() {
    restart_both_sides(campaign().unwrap_or(8_000), 7, &["replication.log_records_max=200"]);
}

#[test]
fn slapd_polls_for_changes() {
    let server = Server::start_subject(Subject::Entente, Setup::default());
    let mut admin = server.admin();
    let mut workload = Workload::begin(&mut admin, 3, 200);
    let consumer = Consumer::start(server.folder(), &server.url(), "type=refreshOnly interval=00:00:00:01");
    for _ in 0..3 {
        workload.make(&mut admin, 300);
        expect_equal(&server, &consumer, PATIENCE);
    }
}

/// With its log trimmed behind the consumer's cookie everything is sent again, and what is gone goes.
#[test]
fn slapd_is_filled_anew_when_the_log_is_too_short() {
    let mut server = Server::start_subject(Subject::Entente, Setup::default());
    let mut consumer = Consumer::start(server.folder(), &server.url(), "type=refreshAndPersist");
    let mut admin = server.admin();
    let mut workload = Workload::begin(&mut admin, 4, 100);
    workload.make(&mut admin, 300);
    expect_equal(&server, &consumer, PATIENCE);
    consumer.stop();
    workload.make(&mut admin, 300);
    drop(admin);
    // Loaded anew, it has a new origin and no log at all.
    let exported = {
        server.stop();
        crate::support::server::export(&server.data())
    };
    let file = server.folder().join("again.ldif");
    std::fs::write(&file, exported).unwrap();
    let mut command = crate::support::program::entente();
    command.arg("import").arg("--replace").arg("--data").arg(server.data()).arg(&file);
    crate::support::program::run(&mut command).expect_success();
    server.restart();
    consumer.configure(&server.url(), "type=refreshAndPersist");
    consumer.serve();
    expect_equal(&server, &consumer, PATIENCE);
}

/// Names changed hands while the consumer was away, and the log does not tell any more: everything is sent, and slapd has
/// each name held by another entry still.
#[test]
fn slapd_is_filled_anew_where_names_changed_hands() {
    let setup = Setup::default().with_setting("replication.log_records_max=20");
    let server = Server::start_subject(Subject::Entente, setup);
    let (mut admin, branch) = server.branch("hands");
    let dn = |name: &str| format!("cn={name},{branch}");
    for name in ["a", "b", "c", "d", "e"] {
        admin.add(&dn(name), &[("objectClass", &["person"]), ("sn", &[name])]).expect(code::SUCCESS);
    }
    let mut consumer = Consumer::start(server.folder(), &server.url(), "type=refreshAndPersist");
    expect_equal(&server, &consumer, PATIENCE);
    consumer.stop();
    // a and b swap; c goes and d is called so; e goes and another e comes.
    for (from, to) in [("a", "x"), ("b", "a"), ("x", "b")] {
        admin.modify_dn(&dn(from), &format!("cn={to}"), true, None).expect(code::SUCCESS);
    }
    admin.delete(&dn("c")).expect(code::SUCCESS);
    admin.modify_dn(&dn("d"), "cn=c", true, None).expect(code::SUCCESS);
    admin.delete(&dn("e")).expect(code::SUCCESS);
    admin.add(&dn("e"), &[("objectClass", &["person"]), ("sn", &["another"])]).expect(code::SUCCESS);
    for number in 0..60 {
        admin.modify(&branch, &[(REPLACE, "description", &[&number.to_string()])]).expect(code::SUCCESS);
    }
    consumer.serve();
    expect_equal(&server, &consumer, PATIENCE);
}

/// The control is announced where clients look for it.
#[test]
fn the_root_dse_announces_content_synchronisation() {
    let server = Server::start_subject(Subject::Entente, Setup::default());
    let names = server.anonymous().read_attributes("", &["supportedControl"]).values("supportedControl");
    assert!(names.contains(&oid::SYNC_REQUEST.to_owned()), "{names:?}");
}
