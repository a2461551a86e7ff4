//! What is wrong with a configuration, and what is weak, in words.
//!
//! Two lists, because they have two readers. `check` is for who wants the node to start: only what will fail or surprise.
//! `hardening` is for who signs that it is safe: every control, fulfilled or not, in a fixed order, so that two runs can
//! be compared.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{CheckAtStart, Config, LogLevel, Sasl, TlsVersion};
use crate::operation::sasl::{CertificateRule, Principal, PrincipalRule};
use crate::policy::aci::IpNetwork;
use crate::policy::scram::ScramHash;
use crate::replication::door::address_error;
use crate::replication::invite::ADDRESSES_MAX;
use crate::schema::AttributeOptions;
use crate::storage::Keyring;
use crate::transport::{FetchUrl, ListenUrl};

/// Longest name of a member, as its entry holds it.
const NAME_BYTES_MAX: usize = 128;

/// Most iterations that the client side of Cyrus SASL computes (`MAX_ITERATION_COUNT` of its plugins/scram.c).
const CYRUS_ITERATIONS_MAX: u32 = 65_536;

/// A network with more addresses than these bits number is more than load balancers.
const BALANCER_BITS_MAX: u8 = 8;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// A control that is fulfilled.
    Pass,
    /// Works, but weaker or other than it seems.
    Warning,
    /// The node will not start or not do what the setting says.
    Error,
}

/// One sentence about a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The setting, `section.key`.
    pub setting: &'static str,
    /// What is so, and what to do about it.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Pass => "pass",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{word}: {}: {}", self.setting, self.text)
    }
}

/// Collects findings.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, setting: &'static str, text: impl Into<String>) {
        self.0.push(Finding { severity: Severity::Error, setting, text: text.into() });
    }

    fn warning(&mut self, setting: &'static str, text: impl Into<String>) {
        self.0.push(Finding { severity: Severity::Warning, setting, text: text.into() });
    }

    /// One control: what is so when it is fulfilled, what to do when it is not.
    fn control(&mut self, setting: &'static str, fulfilled: bool, pass: &str, weak: impl Into<String>) {
        if fulfilled {
            self.0.push(Finding { severity: Severity::Pass, setting, text: pass.to_owned() });
        } else {
            self.warning(setting, weak);
        }
    }
}

pub(super) fn check(config: &Config) -> Vec<Finding> {
    let mut found = Findings::default();
    check_server(config, &mut found);
    check_tls(config, &mut found);
    check_encryption(config, &mut found);
    check_limits(config, &mut found);
    check_replication(config, &mut found);
    check_authentication(config, &mut found);
    check_index(config, &mut found);
    for path in &config.schema.files {
        if let Err(error) = std::fs::File::open(path) {
            found.error("schema.files", format!("cannot read {}: {error}", path.display()));
        }
    }
    if let Err(error) = AttributeOptions::new(config.schema.attribute_options.iter().map(String::as_str)) {
        found.error("schema.attribute_options", error);
    }
    if let Some(file) = &config.log.file {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        if !folder.is_dir() {
            found.error("log.file", format!("the folder {} is not there", folder.display()));
        }
    }
    if config.log.level == LogLevel::Error && config.log.operations {
        found.warning("log.operations", "operations are logged at level info, which log.level = \"error\" leaves out");
    }
    found.0
}

/// Who is in a group, access rules with `groupdn` find by these indexes alone.
fn check_index(config: &Config, found: &mut Findings) {
    let index = &config.index;
    for names in [["member", "2.5.4.31"], ["uniqueMember", "2.5.4.50"]] {
        for (setting, selection) in [("index.equality", &index.equality), ("index.presence", &index.presence)] {
            if !selection.selects(&names) {
                let text = format!(
                    "without {0} nobody is in a group by it: access rules with groupdn, or userattr with #GROUPDN, give \
                     its members nothing and deny them nothing; add \"{0}\"",
                    names[0]
                );
                found.warning(setting, text);
            }
        }
    }
}

fn check_authentication(config: &Config, found: &mut Findings) {
    let sasl = &config.sasl;
    if let Err(error) = crate::model::Dn::parse(&sasl.user_base) {
        found.error("sasl.user_base", format!("no DN: {error}"));
    }
    if crate::model::AttributeDescription::parse(&sasl.user_attribute).is_err() {
        found.error("sasl.user_attribute", format!("{} is no name of an attribute", sasl.user_attribute));
    }
    let ldapi = &config.ldapi;
    if let Err(error) = crate::model::Dn::parse(&ldapi.base) {
        found.error("ldapi.base", format!("no DN: {error}"));
    }
    if !ldapi.user_attribute.is_empty() {
        for (setting, name) in
            [("ldapi.user_attribute", &ldapi.user_attribute), ("ldapi.group_attribute", &ldapi.group_attribute)]
        {
            if crate::model::AttributeDescription::parse(name).is_err() {
                found.error(setting, format!("{name} is no name of an attribute"));
            }
        }
    }
    for rule in sasl.certificate_map.iter().filter(|rule| CertificateRule::parse(rule).is_none()) {
        found.error("sasl.certificate_map", format!("{rule} is no rule; write \"dn\" or \"subject:CN=uid\""));
    }
    for name in config.password.scram.iter().filter(|name| ScramHash::of(name).is_none()) {
        found.error("password.scram", format!("{name} is not served; write \"SCRAM-SHA-256\" or \"SCRAM-SHA-512\""));
    }
    if !config.password.scram.is_empty() && config.password.scram_iterations > CYRUS_ITERATIONS_MAX {
        let text = format!(
            "{}: clients that use Cyrus SASL (ldap-utils, SSSD, nslcd, Postfix) refuse more than {CYRUS_ITERATIONS_MAX}",
            config.password.scram_iterations
        );
        found.warning("password.scram_iterations", text);
    }
    check_kerberos(sasl, found);
    if !sasl.token_issuer.is_empty() {
        check_tokens(sasl, found);
    }
    if sasl.plain && sasl.plain_without_tls {
        found.warning("sasl.plain_without_tls", "whoever is on the way to a client reads its password");
    }
}

fn check_kerberos(sasl: &Sasl, found: &mut Findings) {
    for rule in sasl.principal_map.iter().filter(|rule| PrincipalRule::parse(rule).is_none()) {
        let text =
            format!("{rule} is no rule; write \"user\", \"realm:EXAMPLE.COM=uid\" or \"principal=krbPrincipalName\"");
        found.error("sasl.principal_map", text);
    }
    let Some(keytab) = &sasl.keytab else { return };
    if Principal::parse(&sasl.principal).is_none_or(|service| service.components.len() != 2) {
        let text =
            "names no service; write the name that clients have tickets for, as ldap/ldap.example.com@EXAMPLE.COM";
        found.error("sasl.principal", text);
        return;
    }
    if let Err(text) = kerberos_is_ready(keytab, &sasl.principal) {
        found.error("sasl.keytab", text);
    }
}

#[cfg(feature = "gssapi")]
fn kerberos_is_ready(keytab: &Path, principal: &str) -> Result<(), String> {
    crate::operation::sasl::kerberos_is_ready(keytab, principal)
}

#[cfg(not(feature = "gssapi"))]
fn kerberos_is_ready(_: &Path, _: &str) -> Result<(), String> {
    Err("this program was built without Kerberos; build it with: cargo build --release --features gssapi".to_owned())
}

fn check_tokens(sasl: &Sasl, found: &mut Findings) {
    if sasl.token_audience.is_empty() {
        found.error("sasl.token_audience", "without an audience no token is taken: one for another service would do");
    }
    let is_address = FetchUrl::parse(&sasl.token_keys).is_some();
    if is_address && sasl.token_keys.starts_with("http://") {
        found.warning("sasl.token_keys", "keys that come over http may be anybody's on the way; use https");
    }
    if !is_address && let Err(error) = std::fs::File::open(&sasl.token_keys) {
        found.error("sasl.token_keys", format!("no address, and no file that can be read: {error}"));
    }
}

fn check_server(config: &Config, found: &mut Findings) {
    let server = &config.server;
    if !server.data_dir.is_dir() {
        let text = format!("{} is not there; `entente init --data` makes it", server.data_dir.display());
        found.error("server.data_dir", text);
    } else if let Some(mode) = mode_of(&server.data_dir).filter(|mode| mode & 0o077 != 0) {
        let text = format!("{} may be read by others (mode {mode:03o}); chmod 700", server.data_dir.display());
        found.warning("server.data_dir", text);
    }
    if server.listen.is_empty() && !server.ldapi {
        found.error("server.listen", "nobody can reach a node that listens nowhere");
    }
    for (position, url) in server.listen.iter().enumerate() {
        if server.listen.iter().take(position).any(|earlier| earlier == url) {
            found.error("server.listen", format!("{url} is named twice"));
        }
        if let ListenUrl::Unix { path } = url {
            let folder = path.parent().unwrap_or_else(|| Path::new("/"));
            if !folder.is_dir() {
                found.error("server.listen", format!("{url}: the folder {} is not there", folder.display()));
            }
        }
    }
    if server.proxy_protocol_from.iter().any(|network| network.to_string().ends_with("/0")) {
        let text = "everybody may say to be anybody, and nobody can connect without; name the balancers alone";
        found.warning("server.proxy_protocol_from", text);
    }
    if server.default_search_base != "none"
        && let Err(error) = crate::model::Dn::parse(&server.default_search_base)
    {
        found.error("server.default_search_base", format!("no DN: {error}"));
    }
}

fn check_replication(config: &Config, found: &mut Findings) {
    let replication = &config.replication;
    let host = replication.listen.strip_prefix("*:").map_or(replication.listen.as_str(), |port| {
        // Every address of the machine, as good as a name here.
        if port.parse::<u16>().is_ok_and(|port| port > 0) { "*" } else { "any:0" }
    });
    if host != "*"
        && let Some(why) = address_error(host)
    {
        found.error("replication.listen", format!("{}: {why}", replication.listen));
    }
    if replication.advertise.len() > ADDRESSES_MAX {
        found.error("replication.advertise", format!("{ADDRESSES_MAX} addresses at most"));
    }
    for address in &replication.advertise {
        if let Some(why) = address_error(address) {
            found.error("replication.advertise", format!("{address}: {why}"));
        }
    }
    if replication.name.len() > NAME_BYTES_MAX || replication.name.chars().any(char::is_control) {
        found.error("replication.name", format!("a name has {NAME_BYTES_MAX} bytes at most and no control characters"));
    }
    if replication.site.len() > NAME_BYTES_MAX || replication.site.chars().any(char::is_control) {
        found.error("replication.site", format!("a site has {NAME_BYTES_MAX} bytes at most and no control characters"));
    }
    let is_loopback = |address: &str| {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    if !replication.advertise.is_empty() && is_loopback(&replication.listen) {
        let text = "it listens on this machine alone, so that nobody else reaches what replication.advertise says";
        found.warning("replication.listen", text);
    }
}

fn check_tls(config: &Config, found: &mut Findings) {
    let tls = &config.tls;
    for (setting, path) in
        [("tls.certificate", &tls.certificate), ("tls.key", &tls.key), ("tls.client_ca", &tls.client_ca)]
    {
        if let Some(path) = path
            && let Err(error) = std::fs::File::open(path)
        {
            found.error(setting, format!("cannot read {}: {error}", path.display()));
        }
    }
    match (&tls.certificate, &tls.key) {
        (Some(_), None) => found.error("tls.key", "a certificate is of no use without its key"),
        (None, Some(_)) => found.error("tls.certificate", "a key is of no use without its certificate"),
        (None, None) => {
            if let Some(url) = config.server.listen.iter().find(|url| url.is_tls()) {
                found.error("tls.certificate", format!("{url} needs a certificate and a key"));
            } else if let Some(url) = config.server.listen.iter().find(|url| !url.is_local()) {
                let text = format!("clients of {url} cannot ask for TLS without a certificate, nor send a password");
                found.warning("tls.certificate", text);
            }
            if tls.client_ca.is_some() {
                found.error("tls.client_ca", "no client certificate is asked for without tls.certificate");
            }
        }
        (Some(_), Some(_)) => {}
    }
    if let Some(key) = &tls.key
        && let Some(mode) = mode_of(key).filter(|mode| mode & 0o027 != 0)
    {
        found.error("tls.key", format!("{} may be used by others (mode {mode:03o}); chmod 600", key.display()));
    }
    if tls.client_certificate_required && tls.client_ca.is_none() {
        found.error("tls.client_certificate_required", "tls.client_ca names no authority to check them with");
    }
}

fn check_limits(config: &Config, found: &mut Findings) {
    let limits = &config.limits;
    if limits.pdu_bytes < limits.pdu_bytes_before_bind {
        found.error("limits.pdu_bytes", "after a bind a request may not be shorter than before it");
    }
    if limits.connections_per_address > limits.connections {
        found.warning("limits.connections_per_address", "never reached: limits.connections is lower");
    }
    // Listeners, the store, logs and standard streams need a few descriptors beside the connections.
    let reserve = 64;
    if let Some(open_files) = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum
        && (limits.connections as u64).saturating_add(reserve) > open_files
    {
        let text = format!(
            "the system grants {open_files} open files, {reserve} of which are kept for other things; raise \
             LimitNOFILE or lower the setting"
        );
        found.warning("limits.connections", text);
    }
}

pub(super) fn hardening(config: &Config) -> Vec<Finding> {
    let mut found = Findings::default();
    harden_transport(config, &mut found);
    harden_files(config, &mut found);
    harden_limits(config, &mut found);
    harden_trust(config, &mut found);
    found.control(
        "log.operations",
        config.log.operations,
        "every operation leaves a line",
        "no line is left by an operation; set true to be able to tell later who did what",
    );
    let root = rustix::process::geteuid().is_root();
    found.control("server", !root, "not run by root", "run by root; make an account of its own");
    found.0
}

fn harden_transport(config: &Config, found: &mut Findings) {
    let server = &config.server;
    found.control(
        "server.require_tls_for_simple_bind",
        server.require_tls_for_simple_bind,
        "no password crosses the network in clear",
        "passwords cross the network in clear; set true",
    );
    found.control(
        "server.loopback_needs_no_tls",
        !server.loopback_needs_no_tls,
        "not even loopback takes a password in clear",
        "loopback takes a password in clear; set false if others may log in to this machine",
    );
    let clear: Vec<String> =
        server.listen.iter().filter(|url| !url.is_tls() && !url.is_local()).map(ToString::to_string).collect();
    found.control(
        "server.listen",
        clear.is_empty(),
        "from outside only TLS is spoken",
        format!("{} may be used without TLS; prefer ldaps://", clear.join(", ")),
    );
    found.control(
        "tls.certificate",
        config.tls.certificate.is_some() || server.listen.iter().all(ListenUrl::is_local),
        "TLS can be asked for, or is not needed",
        "clients from outside cannot ask for TLS; name a certificate",
    );
    found.control(
        "tls.min_version",
        config.tls.min_version == TlsVersion::V1_3,
        "TLS 1.3 or newer",
        "TLS 1.2 is still spoken; set \"1.3\" if no client needs the older one",
    );
}

fn check_encryption(config: &Config, found: &mut Findings) {
    let storage = &config.storage;
    match &storage.encryption_key_file {
        Some(file) => {
            if let Err(error) = Keyring::read(file) {
                found.error("storage.encryption_key_file", error.to_string());
            }
        }
        None if !storage.encrypted_attributes.is_empty() => found.error(
            "storage.encrypted_attributes",
            "without a key nothing is encrypted; make one with entente encryption create-key FILE, and name it in storage.encryption_key_file",
        ),
        None => {}
    }
}

fn harden_files(config: &Config, found: &mut Findings) {
    let closed = |path: &Path| mode_of(path).is_none_or(|mode| mode & 0o077 == 0);
    found.control(
        "server.data_dir",
        closed(&config.server.data_dir),
        "the data folder is closed to others",
        format!("{} is open to others; chmod 700", config.server.data_dir.display()),
    );
    if let Some(key) = &config.tls.key {
        found.control(
            "tls.key",
            closed(key),
            "the key is closed to others",
            format!("{} is open to others; chmod 600", key.display()),
        );
    }
}

fn harden_limits(config: &Config, found: &mut Findings) {
    let limits = &config.limits;
    let controls: [(&'static str, u64, u64); 10] = [
        ("limits.size", u64::from(limits.size), 1_000),
        ("limits.anonymous_size", u64::from(limits.anonymous_size), 100),
        ("limits.time_s", u64::from(limits.time_s), 60),
        ("limits.lookthrough", u64::from(limits.lookthrough), 5_000),
        ("limits.idle_before_bind_s", u64::from(limits.idle_before_bind_s), 30),
        ("limits.idle_s", u64::from(limits.idle_s), 900),
        ("limits.pdu_bytes_before_bind", limits.pdu_bytes_before_bind as u64, 24 * 1024),
        ("limits.connections_per_address", limits.connections_per_address as u64, 100),
        ("limits.failed_binds_per_account", u64::from(limits.failed_binds_per_account), 10),
        ("limits.failed_binds_per_address", u64::from(limits.failed_binds_per_address), 300),
    ];
    for (setting, value, advised) in controls {
        let weak = if value == 0 { "no limit".to_owned() } else { value.to_string() };
        found.control(
            setting,
            value != 0 && value <= advised,
            &format!("{value}, and {advised} is the most that is advised"),
            format!("{weak}; advised is {advised} or less"),
        );
    }
    found.control(
        "limits.failed_binds_window_s",
        limits.failed_binds_window_s >= 60,
        "failed binds count for a minute at least",
        format!("failed binds are forgotten after {} s; advised are 60 or more", limits.failed_binds_window_s),
    );
}

/// Who is believed without a proof of its own: load balancers, users of this machine, the data file.
fn harden_trust(config: &Config, found: &mut Findings) {
    let wide = |network: &&IpNetwork| network.host_bits() > BALANCER_BITS_MAX;
    let balancers: Vec<String> =
        config.server.proxy_protocol_from.iter().filter(wide).map(ToString::to_string).collect();
    found.control(
        "server.proxy_protocol_from",
        balancers.is_empty(),
        "only named machines may say for whom they connect, or none",
        format!("everybody in {} may say to connect for any address; name the load balancers", balancers.join(", ")),
    );
    let ldapi = &config.ldapi;
    found.control(
        "ldapi.user_attribute",
        ldapi.user_attribute.is_empty(),
        "over ldapi nobody is somebody by a number but the administrator",
        format!(
            "whoever may write {} and {} decides who logs in as whom over ldapi; let rules give that to nobody",
            ldapi.user_attribute, ldapi.group_attribute
        ),
    );
    found.control(
        "storage.check_at_start",
        config.storage.check_at_start != CheckAtStart::Never,
        "a data file that nobody vouches for is looked through before it is opened",
        "a damaged or tampered data file can end the server at any time; set \"changed\"",
    );
}

/// Permission bits of a file; `None` where it cannot be asked.
fn mode_of(path: &Path) -> Option<u32> {
    std::fs::metadata(path).ok().map(|metadata| metadata.mode() & 0o777)
}
