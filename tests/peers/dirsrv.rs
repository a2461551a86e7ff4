//! Debian's 389 Directory Server as the source of a real `db2ldif` export.
//!
//! Needs root, for the package keeps the configuration of its instances below /etc/dirsrv and runs as a user of its own.
//! Works without systemd. The instance is removed with its owner.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::client::Client;
use crate::support::code;
use crate::support::program::{Program, run};
use crate::support::request::REPLACE;
use crate::support::server::{ADMIN_PASSWORD, SUFFIX};
use crate::support::slapd::free_address;
use crate::support::wait::wait_until;

/// Runs one of the product's Python tools as if there were no systemd.
const WITHOUT_SYSTEMD: &str = "import sys, runpy, lib389.paths as p
p.Paths.with_systemd = property(lambda s: False)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')";

/// Its administrator.
pub(crate) const MANAGER: &str = "cn=Directory Manager";

/// An instance with its configuration below /etc/dirsrv and its data in a temporary folder.
pub(crate) struct Dirsrv {
    name: String,
    folder: PathBuf,
    pub(crate) address: std::net::SocketAddr,
}

impl Dirsrv {
    /// Makes an instance with the usual suffix.
    #[track_caller]
    pub(crate) fn make(folder: &Path) -> Self {
        let address = free_address();
        let this = Self { name: format!("entente{}", address.port()), folder: folder.to_owned(), address };
        let shown = folder.display();
        for inner in ["log", "lock", "db"] {
            std::fs::create_dir_all(folder.join(inner)).expect("temporary folder is writable");
        }
        let configuration = format!(
            "[general]\nconfig_version = 2\nfull_machine_name = localhost\nstart = False\nsystemd = False\nselinux = False\n\
             [slapd]\ninstance_name = {}\nport = {}\nsecure_port = {}\nroot_dn = cn=Directory Manager\n\
             root_password = {ADMIN_PASSWORD}\nself_sign_cert = False\ndb_dir = {shown}/db\nlog_dir = {shown}/log\n\
             lock_dir = {shown}/lock\n[backend-userroot]\ncreate_suffix_entry = False\nsuffix = {SUFFIX}\n",
            this.name,
            address.port(),
            free_address().port()
        );
        let file = folder.join("instance.inf");
        std::fs::write(&file, configuration).expect("temporary folder is writable");
        run(Command::new("chown").args(["-R", "dirsrv:dirsrv"]).arg(folder)).expect_success();
        run(Command::new("chmod").args(["-R", "a+rX"]).arg(folder)).expect_success();
        run(Command::new("install").args(["-d", "-o", "dirsrv", "-g", "dirsrv", "-m", "770", "/run/dirsrv"]))
            .expect_success();
        run(&mut this.tool("dscreate", &["-v", "from-file", &file.display().to_string()])).expect_success();
        this
    }

    fn tool(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-c", WITHOUT_SYSTEMD, &format!("/usr/sbin/{name}")]).args(arguments);
        command
    }

    fn daemon(&self) -> Command {
        Command::new("/usr/sbin/ns-slapd")
    }

    fn configuration(&self) -> String {
        format!("/etc/dirsrv/slapd-{}", self.name)
    }

    /// Starts the server in the foreground and waits until it answers.
    #[track_caller]
    pub(crate) fn start(&self) -> Program {
        let pid_file = self.folder.join("pid");
        let mut command = self.daemon();
        command.args(["-D", &self.configuration(), "-d", "0", "-i"]).arg(pid_file);
        let mut program = Program::start(&mut command);
        wait_until("389 to listen", || {
            assert!(!program.has_ended(), "389 ended: {}", program.said());
            std::net::TcpStream::connect(self.address).is_ok()
        });
        program
    }

    /// Starts it with content synchronisation, as its documentation says to set it up.
    #[track_caller]
    pub(crate) fn start_with_content_sync(&self) -> Program {
        let mut program = self.start();
        let mut client = self.manager();
        let mut set = |plugin: &str, name: &str, value: &str| {
            let dn = format!("cn={plugin},cn=plugins,cn=config");
            client.modify(&dn, &[(REPLACE, name, &[value])]).expect(code::SUCCESS);
        };
        set("Retro Changelog Plugin", "nsslapd-pluginEnabled", "on");
        set("Retro Changelog Plugin", "nsslapd-attribute", "nsuniqueid:targetUniqueId");
        set("Content Synchronization", "nsslapd-pluginEnabled", "on");
        program.terminate();
        self.start()
    }

    /// A connection of its administrator, whom no limit binds.
    #[track_caller]
    pub(crate) fn manager(&self) -> Client {
        let mut client = Client::connect(self.address);
        client.bind(MANAGER, ADMIN_PASSWORD).expect(code::SUCCESS);
        client
    }

    /// Writes the whole suffix as LDIF, while the server is stopped.
    #[track_caller]
    pub(crate) fn db2ldif(&self) -> String {
        let file = self.folder.join("export.ldif");
        let mut command = self.daemon();
        command.args(["db2ldif", "-D", &self.configuration(), "-n", "userroot", "-a"]).arg(&file);
        run(&mut command).expect_success();
        std::fs::read_to_string(&file).expect("db2ldif writes text")
    }
}

impl Drop for Dirsrv {
    fn drop(&mut self) {
        // Removing is best effort: a failed test must show its own failure.
        let mut command = self.tool("dsctl", &[&self.name, "remove", "--do-it"]);
        if let Ok(output) = command.output()
            && !output.status.success()
        {
            println!("dsctl remove: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
