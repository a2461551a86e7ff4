//! The server under test in a temporary folder, filled from LDIF and listening on a port of the system's choice.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, Weak};

use tempfile::TempDir;

use super::client::Client;
use super::code;
use super::program::{Program, entente, run};
use super::slapd::{SYNCPROV, Slapd};
use super::tls::{Certificate, restrict};

/// The suffix of all test data.
pub(crate) const SUFFIX: &str = "dc=example,dc=com";
/// The administrator, not an entry.
pub(crate) const ADMIN: &str = "cn=admin,dc=example,dc=com";
pub(crate) const ADMIN_PASSWORD: &str = "admin-secret";
/// The people and groups of most tests; passwords are `NAME-secret`.
pub(crate) const DATA: &str = include_str!("data.ldif");

/// Which server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Entente,
    Slapd,
}

impl Subject {
    /// From `LDAP_SUBJECT`; Entente when it is not set.
    pub(crate) fn current() -> Self {
        match std::env::var("LDAP_SUBJECT").as_deref() {
            Err(_) | Ok("entente") => Self::Entente,
            Ok("slapd") => Self::Slapd,
            Ok(other) => panic!("LDAP_SUBJECT is entente or slapd, not {other}"),
        }
    }

    pub(crate) fn is_slapd(self) -> bool {
        self == Self::Slapd
    }

    /// What this subject is expected to do, where both are right and differ.
    pub(crate) fn pick<T>(self, entente: T, slapd: T) -> T {
        match self {
            Self::Entente => entente,
            Self::Slapd => slapd,
        }
    }
}

/// Access as nearly all tests want it: everybody reads all but passwords, everybody may change an own password.
const OPEN_ACI: [&str; 3] = [
    r#"(targetattr != "userPassword")(version 3.0; acl "everybody reads"; allow (read, search, compare) userdn = "ldap:///anyone";)"#,
    // `!=` is about user attributes; slapd's `*` is all.
    r#"(targetattr = "+")(version 3.0; acl "operational too"; allow (read, search, compare) userdn = "ldap:///anyone";)"#,
    r#"(targetattr = "userPassword")(version 3.0; acl "own password"; allow (write) userdn = "ldap:///self";)"#,
];
/// The same for slapd.
const OPEN_ACCESS: &str =
    "access to attrs=userPassword by self =xw by anonymous auth by * none\naccess to * by * read\n";

/// What the server shall be like; the same wish is fulfilled by each subject in its own words.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// Content records; the first one is the suffix entry.
    pub(crate) ldif: String,
    /// Entries per search for everybody but the administrator.
    pub(crate) size_limit: Option<u32>,
    /// Offer StartTLS and an `ldaps://` listener.
    pub(crate) tls: bool,
    /// Access rules of the suffix entry, for Entente.
    pub(crate) aci: Vec<String>,
    /// Access rules with the same meaning, for slapd.
    pub(crate) slapd_access: String,
    /// Further settings for Entente, `section.key=value`.
    pub(crate) settings: Vec<String>,
    /// Variables of Entente's environment.
    pub(crate) environment: Vec<(String, String)>,
    /// Further lines of the database in slapd's configuration.
    pub(crate) slapd_lines: String,
    /// Whether slapd is asked through a balancer that speaks the PROXY protocol.
    pub(crate) slapd_proxied: bool,
    /// The attributes of slapd's overlay refint.
    pub(crate) slapd_refint: &'static str,
    /// Whether slapd has its overlay memberof.
    pub(crate) slapd_memberof: bool,
    /// Lines of slapd's configuration before the database.
    pub(crate) slapd_global: String,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            ldif: DATA.to_owned(),
            size_limit: None,
            tls: false,
            aci: OPEN_ACI.map(str::to_owned).to_vec(),
            slapd_access: OPEN_ACCESS.to_owned(),
            settings: Vec::new(),
            environment: Vec::new(),
            slapd_lines: String::new(),
            slapd_proxied: false,
            slapd_refint: "manager seeAlso",
            slapd_memberof: true,
            slapd_global: String::new(),
        }
    }
}

impl Setup {
    /// Groups by search, and memberships of them and of nested groups: slapd's overlay dynlist in place of its memberof.
    pub(crate) fn with_dynlist() -> Self {
        let lines = "overlay dynlist\ndynlist-attrset groupOfURLs memberURL member+memberOf@groupOfNames*\n";
        Self { slapd_memberof: false, ..Self::default() }.with_slapd_lines(lines)
    }

    /// Names of members follow renames and go with whom they name: by slapd's overlay refint in place of its memberof.
    pub(crate) fn with_refint() -> Self {
        Self { slapd_memberof: false, slapd_refint: "member uniqueMember manager seeAlso", ..Self::default() }
    }

    pub(crate) fn with_size_limit(mut self, entries: u32) -> Self {
        self.size_limit = Some(entries);
        self
    }

    pub(crate) fn with_tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Replaces the access rules of both subjects.
    pub(crate) fn with_access(mut self, aci: &[&str], slapd_access: &str) -> Self {
        self.aci = aci.iter().map(|rule| (*rule).to_owned()).collect();
        self.slapd_access = slapd_access.to_owned();
        self
    }

    /// Adds content records after the usual ones.
    pub(crate) fn with_entries(mut self, ldif: &str) -> Self {
        self.ldif = format!("{}\n\n{}\n", self.ldif.trim_end(), ldif.trim());
        self
    }

    pub(crate) fn with_setting(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    pub(crate) fn with_environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds lines to slapd's configuration of the database: overlays, for what Entente has in its data, and further databases.
    /// `{folder}` is its folder, where `db2` is for a second database.
    pub(crate) fn with_slapd_lines(mut self, lines: &str) -> Self {
        self.slapd_lines.push_str(lines);
        self
    }

    /// Adds lines before the access rules of slapd's database, where its limits stand.
    pub(crate) fn with_slapd_access(mut self, lines: &str) -> Self {
        self.slapd_access = format!("{lines}{}", self.slapd_access);
        self
    }

    /// Adds lines to slapd's configuration before the database, for what are settings here.
    pub(crate) fn with_slapd_global(mut self, lines: &str) -> Self {
        self.slapd_global.push_str(lines);
        self
    }

    /// The content with the access rules in the suffix entry.
    fn ldif_with_aci(&self) -> String {
        let rules: String = self.aci.iter().map(|rule| format!("aci: {rule}\n")).collect();
        // Comments and a version line may stand before the first record.
        let first = if self.ldif.starts_with("dn:") { 0 } else { self.ldif.find("\ndn:").map_or(0, |at| at + 1) };
        let end = self.ldif[first..].find("\n\n").map_or(self.ldif.len(), |at| first + at);
        let (suffix, rest) = self.ldif.split_at(end);
        format!("{}\n{rules}{rest}", suffix.trim_end())
    }
}

/// A running server. Dropping it ends it and removes its folder.
pub(crate) struct Server {
    subject: Subject,
    program: Option<Program>,
    address: SocketAddr,
    urls: Vec<String>,
    pub(crate) certificate: Option<Certificate>,
    pub(crate) setup: Setup,
    /// Itself where it is shared: each connection keeps it running.
    myself: Weak<Self>,
    folder: TempDir,
}

impl Server {
    /// The subject that `LDAP_SUBJECT` names.
    #[track_caller]
    pub(crate) fn start(setup: Setup) -> Self {
        Self::start_subject(Subject::current(), setup)
    }

    #[track_caller]
    pub(crate) fn start_subject(subject: Subject, setup: Setup) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let certificate = setup.tls.then(|| Certificate::make(folder.path()));
        let (program, address, urls) = match subject {
            Subject::Slapd => Slapd::make(folder.path(), &setup, certificate.as_ref()).listen(&setup),
            Subject::Entente => {
                let data = folder.path().join("data");
                init(&data, folder.path());
                if !setup.ldif.is_empty() {
                    import(&data, &setup.ldif_with_aci(), folder.path());
                }
                serve(&data, &setup, certificate.as_ref())
            }
        };
        Self { subject, program: Some(program), address, urls, certificate, setup, myself: Weak::new(), folder }
    }

    /// A server that its connections keep running.
    #[track_caller]
    pub(crate) fn kept(setup: Setup) -> Arc<Self> {
        Arc::new_cyclic(|myself| Self { myself: Weak::clone(myself), ..Self::start(setup) })
    }

    /// The usual data, for all tests that leave it as it is or write below a branch of their own ([`Server::branch`]).
    ///
    /// Tests that run at the same time share one; it ends with the last of them.
    #[track_caller]
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return server;
        }
        let server = Self::kept(Setup::default().with_slapd_lines(SYNCPROV));
        *shared = Arc::downgrade(&server);
        server
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `ldap://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("ldap://{}", self.address)
    }

    /// A connection to the local socket that nobody has bound.
    #[track_caller]
    pub(crate) fn local(&self) -> Client {
        let stream = std::os::unix::net::UnixStream::connect(self.data().join("ldapi")).expect("the server listens");
        stream.set_read_timeout(Some(super::wait::PATIENCE)).expect("not zero");
        Client::over(stream)
    }

    /// A connection that begins with TLS and has not bound.
    #[track_caller]
    pub(crate) fn secure(&self) -> Client {
        self.secure_as(None)
    }

    /// [`Server::secure`] with a certificate of the client's own.
    #[track_caller]
    pub(crate) fn secure_as(&self, identity: Option<&super::tls::Identity>) -> Client {
        let url = self.url_of("ldaps");
        let address = url.trim_start_matches("ldaps://").trim_end_matches('/').parse().expect("address and port");
        let certificate = self.certificate.as_ref().expect("server was started with TLS");
        Client::over(certificate.connect_as(Client::socket(address), identity))
    }

    /// The URL with another scheme that the server said it listens on.
    #[track_caller]
    pub(crate) fn url_of(&self, scheme: &str) -> String {
        let prefix = format!("{scheme}://");
        let found = self.urls.iter().find(|url| url.starts_with(&prefix));
        found.unwrap_or_else(|| panic!("no {scheme} among {:?}", self.urls)).clone()
    }

    /// Entente's data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder of this server's own, for files that a test needs.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A connection that has not bound.
    #[track_caller]
    pub(crate) fn anonymous(&self) -> Client {
        Client::connect(self.address).keeping(self.myself.upgrade())
    }

    /// A connection bound as the administrator.
    #[track_caller]
    pub(crate) fn admin(&self) -> Client {
        self.bound(ADMIN, ADMIN_PASSWORD)
    }

    /// A connection bound as the person with this uid below ou=people.
    #[track_caller]
    pub(crate) fn person(&self, uid: &str) -> Client {
        self.bound(&format!("uid={uid},ou=people,{SUFFIX}"), &format!("{uid}-secret"))
    }

    #[track_caller]
    pub(crate) fn bound(&self, dn: &str, password: &str) -> Client {
        let mut client = self.anonymous();
        client.bind(dn, password).expect(code::SUCCESS);
        client
    }

    /// A new branch `ou=NAME` below the suffix for a test that writes, and the administrator's connection.
    #[track_caller]
    pub(crate) fn branch(&self, name: &str) -> (Client, String) {
        let mut client = self.admin();
        let dn = format!("ou={name},{SUFFIX}");
        client.add(&dn, &[("objectClass", &["organizationalUnit"])]).expect(code::SUCCESS);
        (client, dn)
    }

    fn program(&mut self) -> &mut Program {
        self.program.as_mut().expect("server runs")
    }

    pub(crate) fn process_id(&self) -> Option<u32> {
        self.program.as_ref().map(Program::id)
    }

    pub(crate) fn said(&self) -> String {
        self.program.as_ref().map(Program::said).unwrap_or_default()
    }

    /// SIGTERM; the exit status of the program.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> ExitStatus {
        let status = self.program().terminate();
        self.program = None;
        status
    }

    /// SIGTERM without waiting for the end.
    pub(crate) fn ask_to_stop(&mut self) {
        self.program().signal(rustix::process::Signal::TERM);
    }

    /// Waits for the end of a server that was asked to stop.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let status = self.program().wait();
        self.program = None;
        status
    }

    /// SIGKILL.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        self.program().kill();
        self.program = None;
    }

    /// [`Server::restart`] with these settings in the place of those of [`Setup::settings`].
    #[track_caller]
    pub(crate) fn restart_with(&mut self, settings: &[&str]) {
        self.setup.settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        self.restart();
    }

    /// Serves the same data again after [`Server::stop`] or [`Server::kill`].
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        assert!(self.program.is_none(), "server runs already");
        let (program, address, urls) = match self.subject {
            Subject::Entente => serve(&self.data(), &self.setup, self.certificate.as_ref()),
            Subject::Slapd => Slapd::of(self.folder()).listen(&self.setup),
        };
        self.program = Some(program);
        self.address = address;
        self.urls = urls;
    }
}

/// `entente init` with the usual suffix and administrator.
#[track_caller]
pub(crate) fn init(data: &Path, folder: &Path) {
    init_by(entente(), data, folder);
}

/// The same by a build of the program.
#[track_caller]
pub(crate) fn init_by(mut command: Command, data: &Path, folder: &Path) {
    let password_file = folder.join("admin-password");
    std::fs::write(&password_file, format!("{ADMIN_PASSWORD}\n")).expect("folder is writable");
    restrict(&password_file);
    command.arg("init").arg("--data").arg(data).args(["--suffix", SUFFIX]);
    run(command.arg("--admin-password-file").arg(&password_file)).expect_success();
}

/// `entente import` of LDIF text; fails unless everything went in.
#[track_caller]
pub(crate) fn import(data: &Path, ldif: &str, folder: &Path) -> String {
    let file = folder.join("import.ldif");
    std::fs::write(&file, ldif).expect("folder is writable");
    run(entente().arg("import").arg("--data").arg(data).arg(&file)).expect_success()
}

/// `entente export` as text.
#[track_caller]
pub(crate) fn export(data: &Path) -> String {
    run(entente().arg("export").arg("--data").arg(data)).expect_success()
}

/// `entente check`; fails unless it finds nothing.
#[track_caller]
pub(crate) fn check(data: &Path) -> String {
    run(entente().arg("check").arg("--data").arg(data)).expect_success()
}

/// `entente serve`, once it has said that it is ready: the program, its ldap address, all its URLs.
#[track_caller]
fn serve(data: &Path, setup: &Setup, certificate: Option<&Certificate>) -> (Program, SocketAddr, Vec<String>) {
    let mut program = Program::start(&mut serve_command(data, setup, certificate));
    let urls = ready_urls(&program.wait_for_line("ready"));
    let address = urls.iter().find_map(|url| url.strip_prefix("ldap://")?.trim_end_matches('/').parse().ok());
    let address = address.unwrap_or_else(|| panic!("no ldap://ADDRESS:PORT in the ready line: {urls:?}"));
    (program, address, urls)
}

fn serve_command(data: &Path, setup: &Setup, certificate: Option<&Certificate>) -> Command {
    let mut command = entente();
    command.envs(setup.environment.iter().map(|(name, value)| (name, value)));
    command.arg("serve").arg("--data").arg(data).args(["--listen", "ldap://127.0.0.1:0"]);
    if let Some(certificate) = certificate {
        command.args(["--listen", "ldaps://127.0.0.1:0"]);
        command.arg("--set").arg(format!("tls.certificate={}", certificate.certificate_file.display()));
        command.arg("--set").arg(format!("tls.key={}", certificate.key_file.display()));
    }
    if let Some(entries) = setup.size_limit {
        command.arg("--set").arg(format!("limits.size={entries}"));
    }
    // Tests guess more often than people do; those that are about it say so.
    command.args(["--set", "limits.failed_binds_per_account=0", "--set", "limits.failed_binds_per_address=0"]);
    for setting in &setup.settings {
        command.args(["--set", setting]);
    }
    command
}

/// The URLs of a line `ready ldap://… ldaps://…`.
pub(crate) fn ready_urls(line: &str) -> Vec<String> {
    let words = line.split_whitespace().map(|word| word.trim_matches([',', ';']));
    words.filter(|word| word.contains("://")).map(str::to_owned).collect()
}
