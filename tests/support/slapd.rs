//! Debian's slapd as the peer: a configuration of its own in a temporary folder, started and ended by the test.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::program::{Program, run};
use super::server::{ADMIN_PASSWORD, SUFFIX, Setup};
use super::tls::Certificate;
use super::wait::{PATIENCE, wait_for_within};

const SCHEMA_FOLDER: &str = "/etc/ldap/schema";
const MODULE_FOLDER: &str = "/usr/lib/ldap";
/// Content synchronisation in slapd.
pub(crate) const SYNCPROV: &str = "overlay syncprov\n";

/// SASL in slapd: names without a domain are people, and their passwords are those of the directory.
pub(crate) const SASL: &str = "sasl-auxprops slapd\nsasl-host 127.0.0.1\nsasl-secprops noanonymous,noplain\n\
    authz-regexp \"gidNumber=.*,cn=peercred,cn=external,cn=auth\" cn=admin,dc=example,dc=com\n\
    authz-regexp \"uid=([^,]*)(,cn=.*)?,cn=auth\" uid=$1,ou=people,dc=example,dc=com\n";

const SLAPD: &str = "/usr/sbin/slapd";

/// RFC 2307bis is not among the schemas that Debian ships.
const RFC2307BIS: &str = include_str!("rfc2307bis.schema");

/// Where the data lies and how it is served.
pub(crate) struct Slapd {
    folder: PathBuf,
}

impl Slapd {
    /// One that was made before.
    pub(crate) fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Writes the configuration into `folder` and loads the LDIF of the set-up.
    #[track_caller]
    pub(crate) fn make(folder: &Path, setup: &Setup, certificate: Option<&Certificate>) -> Self {
        let this = Self { folder: folder.to_owned() };
        for below in ["db", "db2", "data"] {
            std::fs::create_dir_all(folder.join(below)).expect("temporary folder is writable");
        }
        std::fs::write(folder.join("rfc2307bis.schema"), RFC2307BIS).expect("temporary folder is writable");
        std::fs::write(folder.join("slapd.conf"), this.configuration(setup, certificate))
            .expect("temporary folder is writable");
        if !setup.ldif.is_empty() {
            this.slapadd(&setup.ldif);
        }
        this
    }

    fn configuration(&self, setup: &Setup, certificate: Option<&Certificate>) -> String {
        let folder = self.folder.display();
        let mut text = String::new();
        for schema in ["core", "cosine", "inetorgperson", "dyngroup"] {
            text.push_str(&format!("include {SCHEMA_FOLDER}/{schema}.schema\n"));
        }
        text.push_str(&format!(
            "include {folder}/rfc2307bis.schema\nmodulepath {MODULE_FOLDER}\nmoduleload back_mdb\nmoduleload memberof\n\
             moduleload refint\nmoduleload syncprov\nmoduleload sssvlv\nmoduleload deref\nmoduleload ppolicy\nmoduleload dynlist\n\
             pidfile {folder}/slapd.pid\nargsfile {folder}/slapd.args\nloglevel 0\n\
             sockbuf_max_incoming 65536\n"
        ));
        if let Some(certificate) = certificate {
            text.push_str(&format!(
                "TLSCertificateFile {}\nTLSCertificateKeyFile {}\n",
                certificate.certificate_file.display(),
                certificate.key_file.display()
            ));
        }
        text.push_str(&setup.slapd_global);
        text.push_str(&format!(
            "database mdb\nsuffix {SUFFIX}\nrootdn cn=admin,{SUFFIX}\nrootpw {ADMIN_PASSWORD}\ndirectory {folder}/db\n\
             maxsize 268435456\ndbnosync\nindex objectClass eq\nindex uid,cn,mail eq,sub\n"
        ));
        if let Some(entries) = setup.size_limit {
            text.push_str(&format!("sizelimit {entries}\n"));
        }
        text.push_str(&setup.slapd_access);
        text.push_str(if setup.slapd_memberof { "\noverlay memberof\nmemberof-refint TRUE" } else { "" });
        text.push_str(&format!(
            "\noverlay refint\nrefint_attributes {}\noverlay sssvlv\nsssvlv-max 1000\noverlay deref\n",
            setup.slapd_refint
        ));
        text.push_str(&setup.slapd_lines.replace("{folder}", &folder.to_string()));
        text
    }

    /// Loads LDIF with slapadd.
    #[track_caller]
    pub(crate) fn slapadd(&self, ldif: &str) {
        let file = self.folder.join("load.ldif");
        std::fs::write(&file, ldif).expect("temporary folder is writable");
        run(self.tool("slapadd").arg("-l").arg(&file)).expect_success();
    }

    /// Writes the whole database as LDIF with slapcat.
    #[track_caller]
    pub(crate) fn slapcat(&self) -> String {
        run(&mut self.tool("slapcat")).expect_success()
    }

    /// slapadd and slapcat are the daemon under another name.
    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(SLAPD);
        command.args(["-T", name.trim_start_matches("slap"), "-f"]).arg(self.folder.join("slapd.conf"));
        command
    }

    /// [`Slapd::listen`] without TLS.
    #[track_caller]
    pub(crate) fn start(&self) -> (Program, SocketAddr) {
        let (program, address, _) = self.listen(&Setup::default());
        (program, address)
    }

    /// Starts the daemon on a free port, with a socket `data/ldapi` and perhaps with a port for TLS. slapd cannot be given port
    /// 0, so a port lost to somebody else is tried again.
    #[track_caller]
    pub(crate) fn listen(&self, setup: &Setup) -> (Program, SocketAddr, Vec<String>) {
        for _ in 0..5 {
            let address = free_address();
            let (mut addresses, mut urls) = (vec![address], vec![format!("ldap://{address}/")]);
            if setup.tls {
                addresses.push(free_address());
                urls.push(format!("ldaps://{}/", addresses[1]));
            }
            let socket = self.folder.join("data/ldapi").display().to_string().replace('/', "%2F");
            // Written when the ports are its own: somebody else might answer at one.
            let has_ports = self.folder.join("slapd.pid");
            let _ = std::fs::remove_file(&has_ports);
            let mut command = Command::new(SLAPD);
            let proxied = if setup.slapd_proxied { "p" } else { "" };
            let ports: String = urls.iter().map(|url| format!("{proxied}{url} ")).collect();
            command.arg("-h").arg(format!("{ports}ldapi://{socket}")).args(["-d", "0", "-f"]);
            let mut program = Program::start(command.arg(self.folder.join("slapd.conf")));
            let up = wait_for_within(PATIENCE, "slapd to listen or to give up", || {
                let answers = |address| TcpStream::connect_timeout(address, Duration::from_secs(1)).is_ok();
                if has_ports.exists() && addresses.iter().all(answers) {
                    Some(true)
                } else {
                    program.has_ended().then_some(false)
                }
            });
            if up && !program.has_ended() {
                return (program, address, urls);
            }
        }
        panic!("slapd did not start five times; is the package slapd installed?")
    }
}

/// An address on the loopback interface whose port was free a moment ago, and which the kernel gives to nobody who asks for any:
/// a program that is away finds it again.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(97);
    let free = (0..5_000).find_map(|_| {
        let port = 10_000 + first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port).expect("below 30,000")));
        let is_free = TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok();
        is_free.then_some(address)
    });
    free.expect("a free port below those that pass")
}
