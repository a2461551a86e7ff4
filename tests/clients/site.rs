//! A node with Unix people, and beside it a machine of its own for a program that wants to own one.
//!
//! The machine is `tests/clients/root`: this one's files under those of the client's packages, in a mount and a process
//! namespace. *Invariants:* what a client writes is gone with the [`Site`], and so is every process that it started; it
//! shares the loopback interface alone, so that it reaches the node and listens on free ports.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::program::{Finished, Program, run, run_with_input};
use crate::support::server::{SUFFIX, Server, Setup};
use crate::support::slapd::free_address;

/// Where the machine keeps the node's certificate.
const CERTIFICATE: &str = "/etc/ssl/entente.pem";
/// Further people and groups: accounts below `ou=unix` with groups of both fashions, and the entry that services bind as.
const PEOPLE: &str = include_str!("people.ldif");

/// Passwords below `ou=unix` as `values` say (draft-behera-ldap-password-policy).
pub(crate) fn policy_below_unix(values: &str) -> String {
    format!(
        "dn: cn=policy,ou=unix,{SUFFIX}\nobjectClass: subentry\nobjectClass: pwdPolicy\ncn: policy\n\
         subtreeSpecification: {{}}\npwdAttribute: userPassword\n{values}"
    )
}

/// A node and a machine. Dropping it ends both.
pub(crate) struct Site {
    pub(crate) server: Server,
    /// A port of the loopback interface that was free a moment ago, for what listens.
    pub(crate) port: u16,
    /// Holds the machine's namespaces open.
    _holder: Program,
    /// The first process of the machine.
    inside: u32,
}

impl Site {
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// With further entries.
    #[track_caller]
    pub(crate) fn start_with(entries: &str) -> Self {
        let server = Server::start(Setup::default().with_tls().with_entries(PEOPLE).with_entries(entries));
        let mut holder =
            Program::start(Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/root")).arg("enter"));
        holder.wait_for_line("ready");
        let children = format!("/proc/{0}/task/{0}/children", holder.id());
        let children = std::fs::read_to_string(children).expect("the holder runs");
        let inside = children.split_whitespace().next().and_then(|id| id.parse().ok()).expect("it has a child");
        let site = Self { server, port: free_address().port(), _holder: holder, inside };
        let certificate = site.certificate_file();
        site.write(CERTIFICATE, &std::fs::read_to_string(certificate).expect("the certificate was made"), 0o644);
        site
    }

    /// The node's certificate, as a file outside of the machine.
    pub(crate) fn certificate_file(&self) -> &Path {
        &self.server.certificate.as_ref().expect("started with TLS").certificate_file
    }

    /// A path of the machine as it is seen from here.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.inside))
    }

    /// Writes a file of the machine, and the folders that it stands in.
    #[track_caller]
    pub(crate) fn write(&self, path: &str, text: &str, mode: u32) {
        let file = self.path(path);
        std::fs::create_dir_all(file.parent().expect("a file stands in a folder")).expect("the machine can be written");
        std::fs::write(&file, text).expect("the machine can be written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("the file is ours");
    }

    /// Writes a file from its pattern: `@NODE@` is the node's `ADDRESS:PORT`, `@NODE_PORT@` its port,
    /// `@SECURE@` its `ADDRESS:PORT` for TLS, `@PORT@` [`Site::port`], `@CERTIFICATE@` a file.
    #[track_caller]
    pub(crate) fn configure(&self, path: &str, pattern: &str, mode: u32) {
        let node = self.server.address();
        let secure = self.server.url_of("ldaps");
        let text = pattern
            .replace("@NODE@", &node.to_string())
            .replace("@NODE_PORT@", &node.port().to_string())
            .replace("@SECURE@", secure.trim_start_matches("ldaps://").trim_end_matches('/'))
            .replace("@PORT@", &self.port.to_string())
            .replace("@CERTIFICATE@", CERTIFICATE);
        self.write(path, &text, mode);
    }

    /// A command that runs on the machine.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.inside.to_string(), "--mount", "--pid", "--root", "--wd", "--"]).args(words);
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", "/root").env("LANG", "C.UTF-8");
        command
    }

    /// Runs it to its end.
    #[track_caller]
    pub(crate) fn run(&self, words: &[&str]) -> Finished {
        run(&mut self.command(words))
    }

    /// Runs it to its end with lines for its standard input.
    #[track_caller]
    pub(crate) fn run_with_lines(&self, words: &[&str], lines: &[&str]) -> Finished {
        let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
        run_with_input(&mut self.command(words), input.as_bytes())
    }

    /// Starts what keeps running.
    #[track_caller]
    pub(crate) fn serve(&self, words: &[&str]) -> Program {
        Program::start(&mut self.command(words))
    }
}

/// Lines of an answer, sorted: for what comes in no order.
pub(crate) fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// A service of PAM with one module for everything.
pub(crate) fn pam(module: &str) -> String {
    ["auth", "account", "password"].map(|kind| format!("{kind} required {module}\n")).concat()
}

/// What PAM says to a user of the machine who is asked for these lines, one after the other: `pamtester` as nobody, since
/// modules let root off some questions. `Ok` if all the operations went well.
#[track_caller]
pub(crate) fn pamtester(site: &Site, user: &str, operations: &[&str], lines: &[&str]) -> Result<String, String> {
    let mut words = vec!["runuser", "-u", "nobody", "--", "pamtester", "test", user];
    words.extend(operations);
    let finished = site.run_with_lines(&words, lines);
    let said = finished.stdout + &finished.stderr;
    if finished.status.success() { Ok(said) } else { Err(said) }
}
