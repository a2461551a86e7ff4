//! A member on a machine of its own. Its socket for local clients is a file, so the test reaches it whatever is cut.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::namespace::Namespace;
use crate::support::client::Client;
use crate::support::code;
use crate::support::program::{Finished, Program, entente, run};
use crate::support::server::{ADMIN, ADMIN_PASSWORD};
use crate::support::wait::{PATIENCE, wait_until};

/// Where distributions put it.
const FAKETIME: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
];

/// A member; runs or not. Dropping it kills it.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) namespace: Namespace,
    folder: PathBuf,
    /// Its clock reads a file with the offset.
    has_own_clock: bool,
    /// All time that passes here is read from the file, not what the clock shows alone.
    has_own_time: bool,
    program: Option<Program>,
}

impl Node {
    pub(crate) fn new(name: &str, namespace: Namespace, folder: &Path) -> Self {
        let (name, folder) = (name.to_owned(), folder.to_owned());
        Self { name, namespace, folder, has_own_clock: false, has_own_time: false, program: None }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// Its socket for local clients.
    pub(crate) fn socket(&self) -> PathBuf {
        self.data().join("ldapi")
    }

    /// A command of `entente` for this data, run on this machine.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = self.namespace.command("env");
        if self.has_own_clock {
            let library = FAKETIME.iter().find(|path| Path::new(path).exists());
            let library = library.expect("tests/network needs libfaketime: apt-get install libfaketime");
            command.arg(format!("LD_PRELOAD={library}"));
            command.arg(format!("FAKETIME_TIMESTAMP_FILE={}", self.clock_file().display()));
            command.arg("FAKETIME_CACHE_DURATION=1");
            command.arg(format!("FAKETIME_DONT_FAKE_MONOTONIC={}", u8::from(!self.has_own_time)));
        }
        command.arg(entente().get_program()).args(words).arg("--data").arg(self.data());
        command
    }

    fn clock_file(&self) -> PathBuf {
        self.folder.join(format!("clock-{}", self.name))
    }

    /// Sets the machine's clock so many seconds off. A process that began without this must start anew to see it.
    #[track_caller]
    pub(crate) fn set_clock(&mut self, offset_s: i64) {
        self.has_own_clock = true;
        // Whole or not at all: it is read at any time.
        let new = self.folder.join(format!("clock-{}.new", self.name));
        std::fs::write(&new, format!("{offset_s:+}\n")).expect("our folder");
        std::fs::rename(new, self.clock_file()).expect("our folder");
    }

    /// Lets time pass on the machine, so many seconds after the right time. A process that began without this must start anew.
    #[track_caller]
    pub(crate) fn pass_time(&mut self, offset_s: i64) {
        self.has_own_time = true;
        self.set_clock(offset_s);
    }

    /// What is shown here of a member; nothing where the connection of who asks is cut off as idle, since time passed meanwhile.
    pub(crate) fn sees(&self, name: &str) -> Value {
        let asked = self.replica(&["status", "--json"]);
        let status: Value = serde_json::from_str(&asked.stdout).unwrap_or(Value::Null);
        let mut members = status["members"].as_array().into_iter().flatten();
        members.find(|member| member["name"] == name).cloned().unwrap_or(Value::Null)
    }

    #[track_caller]
    pub(crate) fn join(&self, token: &str) -> String {
        run(&mut self.command(&["join", token, "--name", &self.name])).expect_success()
    }

    /// `entente invite`: the last line.
    #[track_caller]
    pub(crate) fn invite(&self, role: &str) -> String {
        let text = run(&mut self.command(&["invite", "--role", role])).expect_success();
        text.lines().last().expect("the token is the last line").to_owned()
    }

    #[track_caller]
    pub(crate) fn serve(&mut self) {
        assert!(self.program.is_none(), "{} runs already", self.name);
        let named = format!("replication.name={}", self.name);
        let words = ["serve", "--listen", "ldap://127.0.0.1:3389", "--set", &named];
        let mut program = Program::start(&mut self.command(&words));
        program.wait_for_line("ready");
        self.program = Some(program);
    }

    pub(crate) fn runs(&self) -> bool {
        self.program.is_some()
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

    pub(crate) fn said(&self) -> String {
        self.program.as_ref().map(Program::said).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn client(&self) -> Client {
        connect(&self.socket()).unwrap_or_else(|| panic!("{} does not take us in:\n{}", self.name, self.said()))
    }

    #[track_caller]
    pub(crate) fn replica(&self, words: &[&str]) -> Finished {
        run(&mut self.command(&[&["replica"], words].concat()))
    }

    /// `entente replica status --json`.
    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        let text = self.replica(&["status", "--json"]).expect_success();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Waits until clients may write here.
    #[track_caller]
    pub(crate) fn wait_until_open(&self) {
        wait_until(&format!("{} to take changes", self.name), || self.status()["writes"] == "open");
    }
}

/// The administrator's connection; `None` when nobody answers.
pub(crate) fn connect(socket: &Path) -> Option<Client> {
    let stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    let mut client = Client::over(stream);
    let bound = client.try_perform(&crate::support::request::bind_simple(3, ADMIN, ADMIN_PASSWORD.as_bytes()))?;
    (bound.code == code::SUCCESS).then_some(client)
}
