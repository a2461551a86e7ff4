//! What happens to the program when the world around it is hostile: a full disk for its log, a data file that somebody has
//! tampered with, somebody who looks for a way in that should not be there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::support::client::{Client, parse_outcome};
use crate::support::code;
use crate::support::program::{Program, entente, run};
use crate::support::request::{self, REPLACE, Search};
use crate::support::server::{ADMIN, ADMIN_PASSWORD, DATA, SUFFIX, Server, Setup, import, init, ready_urls};
use crate::support::tls::restrict;
use crate::support::wait::{PATIENCE, wait_for_within};

const ANN: &str = "uid=ann,ou=people,dc=example,dc=com";

/// Reads and writes as if nothing were wrong.
#[track_caller]
fn serves(client: &mut Client) {
    for number in 0..50 {
        client.modify(ANN, &[(REPLACE, "title", &[&format!("number {number}")])]).expect(code::SUCCESS);
        assert_eq!(client.names(SUFFIX, &format!("(title=number {number})")), ["ann"]);
        client.compare("cn=nobody", "cn", "x").expect(code::NO_SUCH_OBJECT);
    }
}

/// T-34: every line that is written to the log fails with "no space left on device"; everybody is served.
#[test]
fn a_full_disk_for_the_log_stops_nothing() {
    let full = ["log.file=/dev/full", "log.level=trace", "log.operations=true"];
    let setup = full.iter().fold(Setup::default(), |setup, setting| setup.with_setting(setting));
    let mut server = Server::start(setup);
    serves(&mut server.admin());
    assert!(server.stop().success());
    // The same where the log is standard error.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    init(&data, folder.path());
    import(&data, DATA, folder.path());
    let program = entente();
    let mut command = Command::new("sh");
    command.args(["-c", r#"exec "$0" "$@" 2>/dev/full"#]).arg(program.get_program());
    command.arg("serve").arg("--data").arg(&data).args(["--listen", "ldap://127.0.0.1:0"]);
    command.args(["--set", "log.level=trace", "--set", "log.operations=true"]);
    let mut program = Program::start(&mut command);
    let urls = ready_urls(&program.wait_for_line("ready"));
    let address = urls.iter().find_map(|url| url.strip_prefix("ldap://")?.trim_end_matches('/').parse().ok());
    let mut client = Client::connect(address.expect("an address"));
    client.bind(ADMIN, ADMIN_PASSWORD).expect(code::SUCCESS);
    serves(&mut client);
    assert!(program.terminate().success());
}

/// TCP and UDP ports that a process listens on, of either family.
fn ports_of(process: u32) -> BTreeSet<u16> {
    let sockets: BTreeSet<String> = std::fs::read_dir(format!("/proc/{process}/fd"))
        .expect("it runs")
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_owned()))
        .collect();
    let mut ports = BTreeSet::new();
    for (table, state) in [("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")] {
        let Ok(text) = std::fs::read_to_string(format!("/proc/{process}/net/{table}")) else { continue };
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if fields.len() > 9 && fields[3] == state && sockets.contains(fields[9]) {
                let port = fields[1].rsplit(':').next().expect("an address and a port");
                ports.insert(u16::from_str_radix(port, 16).expect("hexadecimal"));
            }
        }
    }
    ports
}

/// T-55: a node is managed over LDAP and over the socket in its data folder, and there is no other door.
#[test]
fn a_node_listens_where_it_was_told_and_nowhere_else() {
    let server = Server::start(Setup::default().with_tls());
    server.admin().read(ANN);
    let told: BTreeSet<u16> = [server.url(), server.url_of("ldaps")]
        .iter()
        .map(|url| url.trim_end_matches('/').rsplit(':').next().expect("a port").parse().expect("a number"))
        .collect();
    assert_eq!(ports_of(server.process_id().expect("it runs")), told);
    let sockets: Vec<_> = std::fs::read_dir(server.data())
        .expect("the data folder")
        .flatten()
        .filter(|entry| {
            use std::os::unix::fs::FileTypeExt;
            entry.file_type().is_ok_and(|kind| kind.is_socket())
        })
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(sockets, ["ldapi"]);
}

/// T-37: our own client believes a server by its chain and its name, or by the one fingerprint that it was told; nothing else
/// lets it go on, and the password is not sent.
#[test]
fn the_client_believes_no_certificate_that_it_was_not_told_of() {
    let server = Server::start(Setup::default().with_tls());
    let certificate = server.certificate.as_ref().expect("with TLS");
    let password = server.folder().join("password");
    std::fs::write(&password, ADMIN_PASSWORD).expect("the folder is writable");
    restrict(&password);
    let who_am_i = |url: &str, how: &[&str]| {
        let mut command = entente();
        command.args(["whoami", "--url", url, "--bind-dn", ADMIN, "--password-file"]).arg(&password).args(how);
        run(&mut command)
    };
    let (secure, clear) = (server.url_of("ldaps"), server.url());
    let authority = certificate.certificate_file.to_str().expect("a plain path");
    let fingerprint: String = certificate.sha256().iter().map(|byte| format!("{byte:02x}")).collect();
    let wrong = fingerprint.chars().map(|c| if c == 'a' { 'b' } else { c }).rev().collect::<String>();
    for (url, starttls) in [(&secure, &[][..]), (&clear, &["--starttls"][..])] {
        let with = |more: &[&str]| who_am_i(url, &[starttls, more].concat());
        assert!(!with(&[]).status.success(), "{url}: an authority that nobody knows");
        assert!(!with(&["--insecure-pin", &wrong]).status.success(), "{url}: another fingerprint");
        with(&["--insecure-pin", &fingerprint]).expect_success();
        with(&["--ca", authority]).expect_success();
    }
}

/// xorshift: the same damage every time.
struct Damage(u64);

impl Damage {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// How a check of a data file ended.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Clean,
    Told,
    Killed,
}

/// `entente check` in a process of its own, which must end.
#[track_caller]
fn check_of(data: &Path) -> End {
    let mut program = Program::start(entente().arg("check").arg("--data").arg(data));
    let ended = wait_for_within(PATIENCE, "the end of the check", || program.has_ended().then(|| program.wait()));
    match ended.code() {
        Some(0) => End::Clean,
        Some(_) => {
            // The outputs are read by threads of their own.
            wait_for_within(PATIENCE, "what the check says", || (!program.said().trim().is_empty()).then_some(()));
            End::Told
        }
        None => End::Killed,
    }
}

/// What became of a node that was started with a data file.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Served {
    /// It does not start, and says why.
    Refused,
    /// It started, and everything was answered as always.
    Well,
    /// It started, everything was read, and the write was refused: what is damaged is where free pages are noted, which
    /// nobody reads for answers.
    WithoutWriting,
    /// It started, and did not answer everything well; it lives.
    Badly,
    /// It died of it, by a signal.
    Killed,
}

/// `entente serve` in a process of its own. Whoever asks it gets an answer or the end of the connection, and so does
/// whoever stops it.
#[track_caller]
fn serve_of(data: &Path) -> Served {
    let mut command = entente();
    command.args(["serve", "--listen", "ldap://127.0.0.1:0", "--set", "server.drain_s=1", "--data"]).arg(data);
    let mut program = Program::start(&mut command);
    let ready = wait_for_within(PATIENCE, "the node to start or to end", || {
        let said = program.said();
        let line = said.lines().find(|line| line.starts_with("ready ")).map(str::to_owned);
        line.map(Some).or_else(|| program.has_ended().then_some(None))
    });
    let ended = |program: &mut Program| {
        wait_for_within(PATIENCE, "the end of the node", || program.has_ended().then(|| program.wait()))
    };
    let Some(line) = ready else {
        let is_told = ended(&mut program).code().is_some();
        if is_told {
            wait_for_within(PATIENCE, "what the node says", || (!program.said().trim().is_empty()).then_some(()));
        }
        return if is_told { Served::Refused } else { Served::Killed };
    };
    let urls = ready_urls(&line);
    let address = urls.iter().find_map(|url| url.strip_prefix("ldap://")?.trim_end_matches('/').parse().ok());
    let address: std::net::SocketAddr = address.expect("an address");
    // It may be dead already.
    let is_there = std::net::TcpStream::connect(address).is_ok();
    let (reads, writes) = if is_there { asks(&mut Client::connect(address)) } else { (false, false) };
    if program.has_ended() {
        return if program.wait().code().is_some() { Served::Badly } else { Served::Killed };
    }
    match program.terminate().code() {
        None => Served::Killed,
        Some(_) if reads && writes => Served::Well,
        Some(_) if reads => Served::WithoutWriting,
        Some(_) => Served::Badly,
    }
}

/// Binds and reads everything, then writes: whether each went well.
fn asks(client: &mut Client) -> (bool, bool) {
    let read = |client: &mut Client| {
        let bound = client.try_perform(&request::bind_simple(3, ADMIN, ADMIN_PASSWORD.as_bytes()))?;
        let id = client.try_send(&Search::subtree(SUFFIX, "(objectClass=*)").encode())?;
        let mut entries = 0;
        loop {
            let message = client.receive_for(id)?;
            match message.operation.tag {
                0x64 => entries += 1,
                0x65 => {
                    let done = parse_outcome(&message).ok()?;
                    return Some((bound.code, done.code) == (code::SUCCESS, code::SUCCESS) && entries > 10);
                }
                _ => {}
            }
        }
    };
    let reads = read(client).unwrap_or(false);
    let written = client.try_perform(&request::modify(ANN, &[(REPLACE, "title", &["Written"])]));
    (reads, written.is_some_and(|outcome| outcome.code == code::SUCCESS))
}

/// One way to spoil a data file, of six that take turns.
fn tampered(sound: &[u8], round: u64, damage: &mut Damage) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    let pages = sound.len() / 4096;
    let page = damage.below(pages);
    let range = page * 4096..(page + 1) * 4096;
    match round % 6 {
        0 => bytes.truncate(page * 4096 + damage.below(4096)),
        1 => bytes[range].fill(damage.below(256) as u8),
        // The head of a page: its number, kind and free space.
        2 => (0..4).for_each(|_| bytes[page * 4096 + damage.below(16)] = damage.below(256) as u8),
        3 => (0..64).for_each(|_| bytes[damage.below(sound.len())] ^= 1 << damage.below(8)),
        4 => {
            let other = damage.below(pages);
            bytes.copy_within(other * 4096..(other + 1) * 4096, page * 4096);
        }
        // The two pages that say where everything is.
        _ => (0..4).for_each(|_| bytes[damage.below(2 * 4096)] ^= 1 << damage.below(8)),
    }
    bytes
}

/// How many files are spoilt; `ENTENTE_TAMPERED=600` for more.
fn tampered_files() -> u64 {
    std::env::var("ENTENTE_TAMPERED").ok().and_then(|count| count.parse().ok()).unwrap_or(24)
}

/// T-47: pages of the data file are cut off, overwritten, exchanged and sprinkled with other bits. A node that is started with
/// it says what is wrong and does not start, or serves everything; it never dies of it, and never serves a part. So does the
/// check, and what the check finds clean is served.
#[test]
fn a_tampered_data_file_is_refused_in_words_or_served_whole() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    init(&data, folder.path());
    import(&data, DATA, folder.path());
    let file = data.join("data.mdb");
    let sound = std::fs::read(&file).expect("the data file");
    assert_eq!(check_of(&data), End::Clean);
    let seed = std::env::var("ENTENTE_TAMPERED_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5eed);
    let mut damage = Damage(seed);
    let (mut ends, mut outcomes) = (std::collections::BTreeMap::new(), std::collections::BTreeMap::new());
    for round in 0..tampered_files() {
        let bytes = tampered(&sound, round, &mut damage);
        std::fs::write(&file, &bytes).expect("the folder is writable");
        let end = check_of(&data);
        let is_clean = end == End::Clean;
        assert_ne!(end, End::Killed, "the check died in round {round} of seed {seed}");
        *ends.entry(end).or_insert(0) += 1;
        // With its own traces of the start gone, each node finds the same.
        std::fs::write(&file, &bytes).expect("the folder is writable");
        let served = serve_of(&data);
        assert!([Served::Well, Served::Refused].contains(&served), "{served:?} in round {round} of seed {seed}");
        assert!(!is_clean || served == Served::Well, "clean, and yet {served:?} in round {round} of seed {seed}");
        *outcomes.entry(served).or_insert(0) += 1;
    }
    println!("nodes that were started with it: {outcomes:?}");
    println!("a tampered data file: {ends:?}");
    assert!(ends.get(&End::Told).copied().unwrap_or(0) >= 6, "{ends:?}");
    std::fs::write(&file, &sound).expect("the folder is writable");
    assert_eq!(check_of(&data), End::Clean);
    run(entente().arg("export").arg("--data").arg(&data)).expect_success();
}

/// T-47: LMDB believes what stands in its table of readers; a node that starts makes it anew.
#[test]
fn a_tampered_table_of_readers_is_made_anew() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    init(&data, folder.path());
    import(&data, DATA, folder.path());
    let table = data.join("lock.mdb");
    let mut damage = Damage(0x10c4);
    for round in 0..6 {
        let _ = std::fs::remove_file(&table);
        match round {
            0 => std::os::unix::fs::symlink(data.join("data.mdb"), &table).expect("a link"),
            // As long as no address space is.
            1 => std::fs::File::create(&table).and_then(|file| file.set_len(1 << 43)).expect("a file with a hole"),
            2 => std::fs::write(&table, [0xff; 5]).expect("a short file"),
            _ => {
                let bytes: Vec<u8> = (0..1 << 16).map(|_| damage.below(256) as u8).collect();
                std::fs::write(&table, bytes).expect("a file");
            }
        }
        assert_eq!(serve_of(&data), Served::Well, "in round {round}");
    }
}

/// A file that was served and left in order is opened at once; one that was not is looked through, and the log says so.
#[test]
fn a_data_file_is_looked_through_where_nobody_vouches_for_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    init(&data, folder.path());
    import(&data, DATA, folder.path());
    let walked = |settings: &[&str], crash: bool| {
        let mut command = entente();
        command.args(["serve", "--listen", "ldap://127.0.0.1:0", "--data"]).arg(&data);
        for setting in settings {
            command.args(["--set", setting]);
        }
        let mut program = Program::start(&mut command);
        program.wait_for_line("ready");
        let walked = program.said().contains("looked through before it was opened");
        if crash {
            program.kill();
        } else {
            assert!(program.terminate().success());
        }
        walked
    };
    assert!(!walked(&[], false), "an import vouches for what it made");
    assert!(!walked(&[], true));
    assert!(walked(&[], false), "after a crash");
    assert!(!walked(&[], false));
    assert!(walked(&["storage.check_at_start=always"], true));
    assert!(!walked(&["storage.check_at_start=never"], false));
    let (file, copy) = (data.join("data.mdb"), data.join("copy.mdb"));
    std::fs::copy(&file, &copy).and_then(|_| std::fs::rename(&copy, &file)).expect("the folder is writable");
    assert!(walked(&[], false), "a copy");
}

/// Commands that change the data of a node that does not run leave it vouched for, as the node itself does.
#[test]
fn commands_on_data_that_nobody_serves_vouch_for_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    init(&data, folder.path());
    let is_known = || std::fs::read_to_string(data.join("known")).is_ok_and(|note| !note.is_empty());
    let opened_at_once = |what: &str| {
        assert!(is_known(), "{what} leaves a note");
        let mut command = entente();
        command.args(["serve", "--listen", "ldap://127.0.0.1:0", "--data"]).arg(&data);
        let mut program = Program::start(command.args(["--set", "replication.listen=127.0.0.1"]));
        program.wait_for_line("ready");
        assert!(!program.said().contains("looked through before it was opened"), "{what}: {}", program.said());
        assert!(!is_known(), "it is used up while somebody writes");
        assert!(program.terminate().success());
    };
    opened_at_once("init");
    for words in [
        &["suffix", "add", "dc=example,dc=net"][..],
        &["suffix", "delete", "dc=example,dc=net"],
        &["invite", "--set", "replication.listen=127.0.0.1"],
        &["reindex"],
    ] {
        run(entente().args(words).arg("--data").arg(&data)).expect_success();
        opened_at_once(words[0]);
    }
    // One that is refused has written nothing either.
    run(entente().args(["suffix", "delete", "dc=nowhere"]).arg("--data").arg(&data)).expect_failure();
    opened_at_once("a suffix that is not there");
}
