//! SASL GSSAPI (RFC 4752) as people have it: MIT's KDC and kinit, and OpenLDAP's programs with Cyrus SASL.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::program::{Finished, Program, run, run_with_input};
use crate::support::server::{SUFFIX, Server, Setup};
use crate::support::wait::wait_until;

/// The realm of the directory's users.
const REALM: &str = "EXAMPLE.COM";
/// A realm that trusts it and is trusted: its people get tickets for our service too.
const OTHER_REALM: &str = "OTHER.ORG";
const SERVICE: &str = "ldap/localhost@EXAMPLE.COM";
const FAKETIME: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib64/faketime/libfaketime.so.1",
];

/// A KDC for both realms, and where its clients keep their tickets. Everything goes with it.
struct Kdc {
    program: Option<Program>,
    folder: TempDir,
    /// How far the clocks of the KDC and of its clients are off, as libfaketime has it.
    clock: Option<&'static str>,
}

impl Kdc {
    #[track_caller]
    fn start() -> Self {
        Self::start_at(None)
    }

    #[track_caller]
    fn start_at(clock: Option<&'static str>) -> Self {
        let mut kdc = Self { program: None, folder: tempfile::tempdir().expect("a temporary folder"), clock };
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
        let path = kdc.folder.path().display();
        let config = format!(
            "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n \
             dns_canonicalize_hostname = false\n rdns = false\n default_ccache_name = FILE:{path}/tickets\n\
             [realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{port}\n }}\n {OTHER_REALM} = {{\n  kdc = 127.0.0.1:{port}\n }}\n\
             [domain_realm]\n localhost = {REALM}\n[capaths]\n {OTHER_REALM} = {{\n  {REALM} = .\n }}\n"
        );
        let realm = |name: &str| {
            format!(" {name} = {{\n  database_name = {path}/{name}\n  key_stash_file = {path}/{name}.key\n }}\n")
        };
        let profile = format!(
            "[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n[realms]\n{}{}\
             [logging]\n kdc = FILE:{path}/kdc.log\n",
            realm(REALM),
            realm(OTHER_REALM)
        );
        std::fs::write(kdc.config(), config).expect("folder is writable");
        std::fs::write(kdc.folder.path().join("kdc.conf"), profile).expect("folder is writable");
        for name in [REALM, OTHER_REALM] {
            run(kdc.command("/usr/sbin/kdb5_util").args(["-r", name, "create", "-s", "-P", "master-secret"]))
                .expect_success();
        }
        kdc.administer(
            REALM,
            &format!(
                "addprinc -pw ann-secret ann\naddprinc -pw admin-secret ann/admin\naddprinc -pw x-secret nobody\n\
                 addprinc -randkey ldap/localhost\naddprinc -pw trust-secret krbtgt/{REALM}@{OTHER_REALM}\n\
                 ktadd -k {path}/keytab ldap/localhost\n"
            ),
        );
        kdc.administer(
            OTHER_REALM,
            &format!("addprinc -pw ann-secret ann\naddprinc -pw trust-secret krbtgt/{REALM}@{OTHER_REALM}\n"),
        );
        let mut command = kdc.command("/usr/sbin/krb5kdc");
        kdc.program = Some(Program::start(command.args(["-n", "-r", REALM, "-r", OTHER_REALM])));
        wait_until("the KDC listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        kdc
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("krb5.conf")
    }

    fn keytab(&self) -> PathBuf {
        self.folder.path().join("keytab")
    }

    /// A program that sees these realms, and their clock.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("KRB5_CONFIG", self.config()).env("KRB5_KDC_PROFILE", self.folder.path().join("kdc.conf"));
        command.env("LDAPCONF", "/dev/null");
        if let Some(clock) = self.clock {
            let library = FAKETIME.iter().find(|path| Path::new(path).exists());
            command.env("LD_PRELOAD", library.expect("libfaketime: apt-get install libfaketime"));
            command.env("FAKETIME", clock).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        command
    }

    #[track_caller]
    fn administer(&self, realm: &str, orders: &str) {
        let mut command = self.command("/usr/sbin/kadmin.local");
        run_with_input(command.args(["-r", realm]), orders.as_bytes()).expect_success();
    }

    /// `kinit`: a ticket for who asks tickets.
    #[track_caller]
    fn kinit(&self, principal: &str, password: &str, arguments: &[&str]) {
        let mut command = self.command("kinit");
        run_with_input(command.args(arguments).arg(principal), format!("{password}\n").as_bytes()).expect_success();
    }

    /// A server that has the service's key.
    #[track_caller]
    fn server(&self, settings: &[&str]) -> Server {
        let mut setup = Setup::default()
            .with_tls()
            .with_entries(&format!(
                "dn: uid=root,ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: root\ncn: Root\nsn: Root\n\
                 description: ann/admin@{REALM}"
            ))
            .with_setting(&format!("sasl.keytab={}", self.keytab().display()))
            .with_setting(&format!("sasl.principal={SERVICE}"))
            .with_environment("KRB5_CONFIG", &self.config().display().to_string())
            .with_environment("KRB5RCACHEDIR", &self.folder.path().display().to_string());
        for setting in settings {
            setup = setup.with_setting(setting);
        }
        Server::start(setup)
    }

    /// `ldapwhoami -Y GSSAPI`.
    #[track_caller]
    fn whoami(&self, server: &Server, arguments: &[&str]) -> Finished {
        let mut command = self.command("ldapwhoami");
        // For a certificate libldap takes `localhost` for the machine's own name, which is none of the certificate's.
        command.env("LDAPTLS_REQCERT", "never");
        let url = format!("ldap://localhost:{}", server.address().port());
        run(command.args(["-N", "-Q", "-Y", "GSSAPI", "-H", &url]).args(arguments))
    }

    #[track_caller]
    fn is(&self, server: &Server, arguments: &[&str], who: &str) {
        assert_eq!(self.whoami(server, arguments).expect_success().trim(), who);
    }

    /// What the client says when it is nobody: invalidCredentials, and no word why.
    #[track_caller]
    fn is_refused(&self, server: &Server) {
        let said = self.whoami(server, &[]).expect_status(49).stderr;
        assert!(said.contains("Invalid credentials (49)"), "{said}");
        assert!(said.contains("name or password is wrong"), "{said}");
    }
}

/// What the server's administrator reads.
#[track_caller]
fn log_says(server: &Server, text: &str) {
    wait_until(&format!("the log says: {text}"), || server.said().contains(text));
}

fn person(uid: &str) -> String {
    format!("dn:uid={uid},ou=people,{SUFFIX}")
}

/// RFC 4752 3, RFC 4513 5.2.1.
#[test]
fn a_ticket_says_who_somebody_is() {
    let kdc = Kdc::start();
    let server = kdc.server(&[]);
    kdc.kinit("ann", "ann-secret", &[]);
    kdc.is(&server, &[], &person("ann"));
    kdc.is(&server, &["-X", "u:ann"], &person("ann"));
    // Under TLS, and bound to its channel (RFC 5929 4).
    kdc.is(&server, &["-ZZ"], &person("ann"));
    kdc.is(&server, &["-ZZ", "-o", "SASL_CBINDING=tls-endpoint"], &person("ann"));
    // As somebody else only by the one function that decides it.
    let said = kdc.whoami(&server, &["-X", "u:bob"]).expect_status(123).stderr;
    assert!(said.contains("right proxy"), "{said}");
}

#[test]
fn gssapi_is_offered_where_a_keytab_is_set() {
    let kdc = Kdc::start();
    let offered = |server: &Server| server.anonymous().read_attributes("", &["supportedSASLMechanisms"]);
    let server = kdc.server(&[]);
    assert_eq!(offered(&server).values("supportedSASLMechanisms"), ["GSSAPI"]);
    let without = Server::start(Setup::default().with_tls());
    assert_eq!(offered(&without).values("supportedSASLMechanisms"), [""; 0]);
    kdc.kinit("ann", "ann-secret", &[]);
    let said = kdc.whoami(&without, &[]).expect_failure();
    assert!(said.contains("Authentication method not supported (7)"), "{said}");
}

#[test]
fn who_has_a_ticket_and_no_entry_is_nobody() {
    let kdc = Kdc::start();
    let server = kdc.server(&[]);
    kdc.kinit("nobody", "x-secret", &[]);
    kdc.is_refused(&server);
    // Ann has more power as ann/admin, which is not uid ann.
    kdc.kinit("ann/admin", "admin-secret", &[]);
    kdc.is_refused(&server);
    // Somebody else's Ann, with a good ticket for this service.
    kdc.kinit(&format!("ann@{OTHER_REALM}"), "ann-secret", &[]);
    kdc.is_refused(&server);
    for principal in ["nobody@EXAMPLE.COM", "ann/admin@EXAMPLE.COM", "ann@OTHER.ORG"] {
        log_says(&server, &format!("see sasl.principal_map principal={principal}"));
    }
}

#[test]
fn rules_lead_from_principals_to_entries() {
    let kdc = Kdc::start();
    let server = kdc.server(&[r#"sasl.principal_map=["principal=description","realm:OTHER.ORG=givenName"]"#]);
    kdc.kinit("ann/admin", "admin-secret", &[]);
    kdc.is(&server, &[], &person("root"));
    kdc.kinit(&format!("ann@{OTHER_REALM}"), "ann-secret", &[]);
    kdc.is(&server, &[], &person("ann"));
    kdc.kinit("ann", "ann-secret", &[]);
    kdc.is_refused(&server);
}

/// The KDC and its clients live two hours ago: tickets of ten hours are fresh by another clock, those of ten minutes are over.
#[test]
fn tickets_of_another_time_are_refused_and_the_log_says_what_to_do() {
    let kdc = Kdc::start_at(Some("-2h"));
    let server = kdc.server(&[]);
    kdc.kinit("ann", "ann-secret", &["-l", "10h"]);
    kdc.is_refused(&server);
    log_says(&server, "five minutes may lie between them");
    kdc.kinit("ann", "ann-secret", &["-l", "10m"]);
    kdc.is_refused(&server);
    log_says(&server, "the client's ticket has expired");
}

#[test]
fn a_key_that_does_not_fit_is_refused_and_the_log_says_what_to_do() {
    let kdc = Kdc::start();
    let server = kdc.server(&[]);
    let elsewhere = kdc.folder.path().join("elsewhere");
    kdc.administer(REALM, &format!("ktadd -k {} ldap/localhost\n", elsewhere.display()));
    kdc.kinit("ann", "ann-secret", &[]);
    kdc.is_refused(&server);
    log_says(&server, "put the new one into the keytab (kadmin: ktadd)");
    // The next bind reads the file anew.
    std::fs::copy(&elsewhere, kdc.keytab()).expect("the keytab is ours");
    kdc.is(&server, &[], &person("ann"));
    std::fs::remove_file(kdc.keytab()).expect("the keytab is ours");
    let said = kdc.whoami(&server, &[]).expect_status(52).stderr;
    assert!(said.contains("this server cannot use its Kerberos key; its log says why"), "{said}");
    log_says(&server, "ktadd -k");
}
