//! SIGKILL in the middle of many writers: what was answered is there, and the store is whole.
//!
//! Five kills in the usual run; `ENTENTE_KILLS=50 cargo test --test process kill` for the long one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::client::Client;
use crate::support::program::{Program, entente};
use crate::support::request::{self, REPLACE, Search};
use crate::support::server::{ADMIN, ADMIN_PASSWORD, SUFFIX, Server, Setup, check, export, import, init};
use crate::support::wait::{Deadline, wait_until};
use crate::support::{code, ldif};

const WRITERS: usize = 64;
/// How many answered writes a round waits for before it kills.
const WRITES_BEFORE_KILL: usize = 400;

/// What one writer knows of its entries: DN to the description that must be there, `None` where it must not.
type Content = BTreeMap<String, Option<String>>;

/// What a writer knows when its server is gone.
struct Log {
    answered: Content,
    /// The write that was sent and not answered: either may hold.
    pending: Option<(String, Option<String>)>,
}

fn kills() -> usize {
    std::env::var("ENTENTE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(5)
}

/// The invariant of the write door: answers only after the data is on the disk.
#[test]
fn acknowledged_writes_outlive_kill_minus_nine_amid_64_writers() {
    let mut server = Server::start(Setup::default());
    let base = format!("ou=written,{SUFFIX}");
    server.admin().add(&base, &[("objectClass", &["organizationalUnit"])]).expect(code::SUCCESS);
    let mut expected = Content::new();
    for round in 0..kills() {
        let logs = write_until_killed(&mut server, &base, round);
        check(&server.data());
        server.restart();
        compare(&server, &base, &mut expected, logs, round);
    }
    assert!(server.stop().success());
    check(&server.data());
}

fn write_until_killed(server: &mut Server, base: &str, round: usize) -> Vec<Log> {
    let answered = Arc::new(AtomicUsize::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let writers: Vec<JoinHandle<Log>> = (0..WRITERS)
        .map(|writer| {
            let (address, base) = (server.address(), base.to_owned());
            let (answered, over) = (Arc::clone(&answered), Arc::clone(&over));
            // Before the thread begins, which may be after the server ended.
            let mut client = Client::connect(address);
            std::thread::spawn(move || write(&mut client, &base, &format!("r{round}w{writer}"), &answered, &over))
        })
        .collect();
    wait_until("enough answered writes", || {
        answered.load(Ordering::Relaxed) >= WRITES_BEFORE_KILL || writers.iter().all(JoinHandle::is_finished)
    });
    server.kill();
    over.store(true, Ordering::Relaxed);
    writers.into_iter().map(|writer| writer.join().expect("a writer saw nothing but success until the end")).collect()
}

/// Adds, modifies, renames and deletes its own entries until the connection is gone.
fn write(client: &mut Client, base: &str, name: &str, count: &AtomicUsize, over: &AtomicBool) -> Log {
    let mut log = Log { answered: Content::new(), pending: None };
    if client.try_perform(&request::bind_simple(3, ADMIN, ADMIN_PASSWORD.as_bytes())).is_none() {
        return log;
    }
    for index in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let dn = format!("uid={name}-{index},{base}");
        let text = format!("written by {name}, entry {index}");
        let mut steps = vec![
            (
                request::add(
                    &dn,
                    &[("objectClass", &["inetOrgPerson"]), ("cn", &[name]), ("sn", &[name]), ("description", &["new"])],
                ),
                dn.clone(),
                Some("new".to_owned()),
            ),
            (request::modify(&dn, &[(REPLACE, "description", &[&text])]), dn.clone(), Some(text)),
        ];
        if index % 3 == 2 {
            steps.push((request::delete(&dn), dn, None));
        }
        for (operation, dn, value) in steps {
            log.pending = Some((dn.clone(), value.clone()));
            let Some(outcome) = client.try_perform(&operation) else { return log };
            outcome.expect(code::SUCCESS);
            log.pending = None;
            log.answered.insert(dn, value);
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
    log
}

/// Every answered write is there, unanswered ones are there whole or not at all; what is there is expected from now on.
fn compare(server: &Server, base: &str, expected: &mut Content, logs: Vec<Log>, round: usize) {
    let mut pending = Content::new();
    for log in logs {
        expected.extend(log.answered);
        pending.extend(log.pending);
    }
    let search = Search::subtree(base, "(uid=*)").attributes(&["description", "cn", "sn", "uid"]);
    let found = server.admin().search(&search).expect(code::SUCCESS);
    let mut actual: BTreeMap<String, String> = BTreeMap::new();
    for entry in found.entries {
        assert!(entry.has("cn") && entry.has("sn") && entry.has("uid"), "half an entry: {entry:?}");
        let description = entry.value("description");
        actual.insert(entry.dn, description);
    }
    for (dn, unanswered) in pending {
        let now = actual.get(&dn).cloned();
        let before = expected.get(&dn).cloned().flatten();
        assert!(
            now == unanswered || now == before,
            "round {round}: {dn} is {now:?}, was {before:?}, asked {unanswered:?}"
        );
        expected.insert(dn, now);
    }
    let must: BTreeMap<_, _> = expected.iter().filter_map(|(dn, value)| Some((dn.clone(), value.clone()?))).collect();
    let lost: Vec<_> = must.iter().filter(|(dn, value)| actual.get(*dn) != Some(value)).take(10).collect();
    assert!(lost.is_empty(), "round {round}: answered writes are lost: {lost:?}");
    let extra: Vec<_> = actual.keys().filter(|dn| !must.contains_key(*dn)).take(10).collect();
    assert!(extra.is_empty(), "round {round}: deleted entries are back: {extra:?}");
}

/// A bulk load that is killed leaves what was there before, or has ended.
#[test]
fn killed_import_leaves_the_old_data_untouched() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    init(&data, folder.path());
    import(&data, crate::support::server::DATA, folder.path());
    let before = ldif::by_dn(&export(&data));
    let mut large = crate::support::server::DATA.to_owned();
    for index in 0..20_000 {
        large.push_str(&format!(
            "\ndn: uid=n{index},ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: n{index}\ncn: Number {index}\nsn: {index}\n"
        ));
    }
    let file = folder.path().join("large.ldif");
    std::fs::write(&file, large).expect("temporary folder is writable");
    for after_ms in [20, 100, 400] {
        let mut program = Program::start(entente().args(["import", "--replace", "--data"]).arg(&data).arg(&file));
        let deadline = Deadline::after(Duration::from_millis(after_ms));
        while !deadline.is_over() {
            deadline.pause();
        }
        program.kill();
        check(&data);
        let after = ldif::by_dn(&export(&data));
        if after.len() == before.len() {
            assert_eq!(after, before);
        } else {
            assert!(after.len() > 20_000, "half an import: {} entries", after.len());
            return;
        }
    }
}

/// A server that was killed starts again by itself, without a repair.
#[test]
fn killed_server_starts_again_at_once() {
    let mut server = Server::start(Setup::default());
    for _ in 0..3 {
        server.kill();
        server.restart();
        assert_eq!(server.admin().names(SUFFIX, "(uid=ann)"), ["ann"]);
    }
}
