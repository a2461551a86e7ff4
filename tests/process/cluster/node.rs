//! Members of a cluster under test: each a real process with a data directory in one temporary folder.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::client::Client;
use crate::support::code;
use crate::support::program::{Finished, Program, entente, run};
use crate::support::request::{REPLACE, Search};
use crate::support::server::{ADMIN, ADMIN_PASSWORD, DATA, SUFFIX, import, init, init_by, ready_urls};
use crate::support::wait::{Deadline, PATIENCE, wait_until};

/// A member. Dropping it kills it.
pub(crate) struct Node {
    name: String,
    folder: PathBuf,
    program: Option<Program>,
    address: Option<SocketAddr>,
    /// Where members come in.
    members_address: SocketAddr,
    /// Further settings, `section.key=value`.
    settings: Vec<String>,
    /// The program, where it is not the one under test.
    build: Option<PathBuf>,
}

impl Node {
    /// A directory with the usual people, not served yet.
    #[track_caller]
    pub(crate) fn found(folder: &Path, name: &str) -> Self {
        Self::found_with(folder, name, DATA)
    }

    /// The same made and served by another program.
    #[track_caller]
    pub(crate) fn found_by(folder: &Path, name: &str, build: &Path) -> Self {
        let node = Self::at(folder, name).of(build);
        init_by(node.build.as_deref().map_or_else(entente, Command::new), &node.data(), folder);
        let file = folder.join("import.ldif");
        std::fs::write(&file, DATA).expect("our folder");
        run(node.command(&["import"]).arg(&file)).expect_success();
        node
    }

    /// A directory with this content.
    #[track_caller]
    pub(crate) fn found_with(folder: &Path, name: &str, ldif: &str) -> Self {
        let node = Self::at(folder, name);
        init(&node.data(), folder);
        import(&node.data(), ldif, folder);
        node
    }

    /// One that is there, or is to come.
    pub(crate) fn at(folder: &Path, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            program: None,
            address: None,
            members_address: address_of(&folder.join(name)),
            settings: Vec::new(),
            build: None,
        }
    }

    /// The same where members come in to another one.
    pub(crate) fn at_the_address_of(mut self, other: &Self) -> Self {
        self.members_address = other.members_address;
        self
    }

    /// The same by another program from its next start on.
    pub(crate) fn of(mut self, build: &Path) -> Self {
        self.build = Some(build.to_owned());
        self
    }

    /// Stops it and serves it by another program.
    #[track_caller]
    pub(crate) fn upgrade(&mut self, build: &Path) {
        self.stop();
        self.build = Some(build.to_owned());
        self.serve();
    }

    /// The same with a setting more.
    pub(crate) fn with_setting(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// A new member by a token of this one, served.
    #[track_caller]
    pub(crate) fn joined(&self, name: &str, role: &str) -> Self {
        let token = self.invite(&["--role", role]);
        let mut node = Self::at(&self.folder, name);
        node.join(&token).expect_success();
        node.serve();
        node
    }

    /// This one by a token of that one, served.
    #[track_caller]
    pub(crate) fn joining(mut self, inviter: &Self) -> Self {
        self.join(&inviter.invite(&[])).expect_success();
        self.serve();
        self
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = self.build.as_ref().map_or_else(entente, Command::new);
        command.args(words).arg("--data").arg(self.data());
        command
    }

    /// The same with the settings that make it part of this test's cluster.
    pub(crate) fn set_command(&self, words: &[&str]) -> Command {
        let mut command = self.command(words);
        let listen = format!("replication.listen={}", self.members_address);
        for setting in [&listen].into_iter().chain(&self.settings) {
            command.args(["--set", setting]);
        }
        command
    }

    #[track_caller]
    pub(crate) fn serve(&mut self) {
        self.serve_as(&self.name.clone());
    }

    /// The same under a name for people that may be another than the folder's.
    #[track_caller]
    pub(crate) fn serve_as(&mut self, name: &str) {
        assert!(self.program.is_none(), "{} runs already", self.name);
        let mut command = self.set_command(&["serve", "--listen", "ldap://127.0.0.1:0"]);
        command.args(["--set", &format!("replication.name={name}")]);
        let mut program = Program::start(&mut command);
        let urls = ready_urls(&program.wait_for_line("ready"));
        self.address = urls.iter().find_map(|url| url.strip_prefix("ldap://")?.trim_end_matches('/').parse().ok());
        self.program = Some(program);
    }

    /// `ldap://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("ldap://{}", self.address.expect("it was served"))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address.expect("it was served")
    }

    /// Where members come in.
    pub(crate) fn members_address(&self) -> SocketAddr {
        self.members_address
    }

    /// Whether the password is taken.
    pub(crate) fn binds_as(&self, dn: &str, password: &str) -> bool {
        Client::connect(self.address.expect("it was served")).bind(dn, password).code == code::SUCCESS
    }

    #[track_caller]
    pub(crate) fn bound(&self, dn: &str, password: &str) -> Client {
        let mut client = Client::connect(self.address.expect("it was served"));
        client.bind(dn, password).expect(code::SUCCESS);
        client
    }

    /// `entente invite`: the last line.
    #[track_caller]
    pub(crate) fn invite(&self, more: &[&str]) -> String {
        let text = run(self.set_command(&["invite"]).args(more)).expect_success();
        text.lines().last().expect("the token is the last line").to_owned()
    }

    #[track_caller]
    pub(crate) fn join(&self, token: &str) -> Finished {
        run(&mut self.join_command(token))
    }

    pub(crate) fn join_command(&self, token: &str) -> Command {
        self.set_command(&["join", token, "--name", &self.name, "--listen", "ldap://127.0.0.1:0"])
    }

    #[track_caller]
    pub(crate) fn replica(&self, words: &[&str]) -> Finished {
        let mut all = vec!["replica"];
        all.extend_from_slice(words);
        run(&mut self.command(&all))
    }

    /// `entente replica status --json`.
    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        let text = self.replica(&["status", "--json"]).expect_success();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// How this one sees another member.
    #[track_caller]
    pub(crate) fn sees(&self, name: &str) -> Value {
        let members = self.status()["members"].as_array().cloned().unwrap_or_default();
        members.into_iter().find(|member| member["name"] == name).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn wait_until_open(&self) {
        wait_until(&format!("{} to take changes", self.name), || self.status()["writes"] == "open");
    }

    /// Waits until `entente replica verify` says that all are equal.
    #[track_caller]
    pub(crate) fn wait_until_equal(&self) {
        let mut last = String::new();
        wait_until(&format!("{} to be equal with all", self.name), || {
            let verified = self.replica(&["verify", "--wait", "3"]);
            assert_ne!(verified.status.code(), Some(2), "{verified:#?}\n{}", self.said());
            if last != verified.stdout {
                println!("{}: {}", self.name, verified.stdout);
                last.clone_from(&verified.stdout);
            }
            verified.status.success()
        });
    }

    #[track_caller]
    pub(crate) fn client(&self) -> Client {
        let mut client = Client::connect(self.address.expect("it was served"));
        client.bind(ADMIN, ADMIN_PASSWORD).expect(code::SUCCESS);
        client
    }

    /// Sets the description of a person.
    #[track_caller]
    pub(crate) fn describe(&self, uid: &str, text: &str) {
        self.client().modify(&person(uid), &[(REPLACE, "description", &[text])]).expect(code::SUCCESS);
    }

    #[track_caller]
    pub(crate) fn description(&self, uid: &str) -> String {
        let search = Search::subtree(SUFFIX, &format!("(uid={uid})")).attributes(&["description"]);
        let found = self.client().search(&search).expect(code::SUCCESS);
        found.entries.first().and_then(|entry| entry.values("description").into_iter().next()).unwrap_or_default()
    }

    /// Waits until a person's description is this one; if it does not become so, the node's own words tell why.
    #[track_caller]
    pub(crate) fn wait_for_description(&self, uid: &str, text: &str) {
        let deadline = Deadline::after(PATIENCE);
        while self.description(uid) != text {
            let told = || format!("{}\n{:#}", self.said(), self.status());
            assert!(!deadline.is_over(), "{uid} of {} is not described as {text}; it said\n{}", self.name, told());
            deadline.pause();
        }
    }

    pub(crate) fn said(&self) -> String {
        self.program.as_ref().map(Program::said).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn wait_for_saying(&self, text: &str) {
        let deadline = Deadline::after(PATIENCE);
        while !self.said().contains(text) {
            assert!(!deadline.is_over(), "{} did not say: {text}; it said\n{}", self.name, self.said());
            deadline.pause();
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.program.as_ref().expect("it runs").signal(signal);
    }

    /// Memory of the running process that is no file's, in KiB.
    #[track_caller]
    pub(crate) fn anonymous_kib(&self) -> u64 {
        let id = self.program.as_ref().expect("it runs").id();
        let text = std::fs::read_to_string(format!("/proc/{id}/status")).expect("procfs");
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    #[track_caller]
    pub(crate) fn stop(&mut self) {
        let mut program = self.program.take().expect("it runs");
        assert!(program.terminate().success(), "{}", program.said());
    }

    #[track_caller]
    pub(crate) fn kill(&mut self) {
        self.program.take().expect("it runs").kill();
    }

    /// The data file as it is now, copied to another node's directory.
    #[track_caller]
    pub(crate) fn copy_data_to(&self, other: &Path) {
        std::fs::create_dir_all(other).expect("our folder");
        std::fs::copy(self.data().join("data.mdb"), other.join("data.mdb")).expect("our folder");
    }
}

pub(crate) fn person(uid: &str) -> String {
    format!("uid={uid},ou=people,{SUFFIX}")
}

/// An address of this machine that is this folder's alone, so that nobody takes the place of a node that is away: a port that
/// was free is another's by then.
fn address_of(data: &Path) -> SocketAddr {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    let [x, y, z, ..] = hasher.finish().to_be_bytes().map(|byte| byte.clamp(1, 254));
    SocketAddr::from(([127, x, y, z], 7636))
}
