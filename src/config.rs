//! entente.toml: read, default, check.
//!
//! Node-local things only (listeners, paths, certificates, limits of this machine); what the replicas share lives in the
//! tree. One table below names every setting once: its type, default, allowed values and whether a running node takes a
//! new value on SIGHUP. From it come the section structs, the reader, `--set` and the list that the commented file
//! `deploy/entente.toml` is tested against, so that none of them can drift from another.
//!
//! Why not a derived reader: the people who meet these errors are awake at night. A wrong key names the nearest right
//! one, a wrong value names the key, the line, what was found and what is allowed with its unit, and all mistakes of a
//! file are told at once.
//!
//! Invariants
//! - Later sources win: defaults, then the file, then each `--set` in order.
//! - No setting holds a secret; passwords and keys are named by file.
//! - A relative path in the file is meant from the file's own folder, one from `--set` from the working directory.
//!
//! Not here: what a setting does (each floor's own options), command line flags (`cli`).

mod check;
mod index_selection;
mod open;
mod reader;
mod value;

use std::path::{Path, PathBuf};

use crate::policy::aci::IpNetwork;
use crate::transport::{AdmissionLimits, ListenUrl, TlsOptions};

pub use check::{Finding, Severity};
pub use index_selection::IndexSelection;
pub use open::{SCHEMA_FOLDER, SchemaLoadError};
pub use reader::{ConfigError, Problem};
use value::Value;
pub use value::{CheckAtStart, Compression, Durability, LogFormat, LogLevel, TlsVersion};

/// One setting as the table declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Section, as in `[limits]`.
    pub section: &'static str,
    /// Key inside the section.
    pub key: &'static str,
    /// Allowed values with their unit, in words.
    pub allowed: &'static str,
    /// True where SIGHUP makes a running node take a new value; the others need a restart.
    pub reloadable: bool,
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.section, self.key)
    }
}

/// Why a value was not taken; the reader adds where it stands.
#[derive(Clone, Copy)]
enum Refused {
    UnknownSection,
    UnknownKey,
    Wrong(&'static Setting),
}

macro_rules! sections {
    ($(
        $(#[$section_doc:meta])*
        $section:ident: $Section:ident {$(
            $(#[$doc:meta])*
            $key:ident: $Type:ty = $default:expr, $allowed:literal, $reload:ident $(, in $range:expr)?;
        )*}
    )*) => {
        $(
            $(#[$section_doc])*
            #[derive(Clone, Debug, PartialEq)]
            pub struct $Section {$(
                $(#[$doc])*
                #[doc = concat!("\n\nAllowed: ", $allowed, ".")]
                pub $key: $Type,
            )*}

            impl Default for $Section {
                fn default() -> Self {
                    Self {$( $key: $default, )*}
                }
            }
        )*

        /// The settings of one node; every field has a default.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Config {$(
            $(#[$section_doc])*
            pub $section: $Section,
        )*}

        /// Every setting there is, in the order of `deploy/entente.toml`.
        pub const SETTINGS: &[Setting] = &[$($(
            Setting {
                section: stringify!($section),
                key: stringify!($key),
                allowed: $allowed,
                reloadable: sections!(@reload $reload),
            },
        )*)*];

        impl Config {
            /// Sets one key from a TOML value; paths are relative to `folder`.
            fn assign(
                &mut self,
                (section, key): (&str, &str),
                value: &toml::de::DeValue<'_>,
                folder: &Path,
            ) -> Result<(), Refused> {
                match (section, key) {
                    $($(
                        (stringify!($section), stringify!($key)) => {
                            let setting = || setting(stringify!($section), stringify!($key));
                            let Some(read) = <$Type as Value>::read(value, folder) else {
                                return Err(setting().map_or(Refused::UnknownKey, Refused::Wrong));
                            };
                            $(
                                if !read.number().is_some_and(|number| $range.contains(&number)) {
                                    return Err(setting().map_or(Refused::UnknownKey, Refused::Wrong));
                                }
                            )?
                            self.$section.$key = read;
                            Ok(())
                        }
                    )*)*
                    _ if SETTINGS.iter().any(|setting| setting.section == section) => Err(Refused::UnknownKey),
                    _ => Err(Refused::UnknownSection),
                }
            }

            /// Every setting with its value in TOML, in the order of [`SETTINGS`].
            pub fn values(&self) -> Vec<(&'static Setting, String)> {
                let texts = [$($( self.$section.$key.to_toml(), )*)*];
                SETTINGS.iter().zip(texts).collect()
            }

            /// What SIGHUP makes of the running configuration: this one with the reloadable settings of `new`.
            ///
            /// The second part names the settings that differ, but need a restart.
            pub fn reloaded(&self, new: &Self) -> (Self, Vec<&'static Setting>) {
                let mut merged = self.clone();
                let mut kept = Vec::new();
                $($(
                    if self.$section.$key != new.$section.$key {
                        if sections!(@reload $reload) {
                            merged.$section.$key = new.$section.$key.clone();
                        } else {
                            kept.extend(setting(stringify!($section), stringify!($key)));
                        }
                    }
                )*)*
                (merged, kept)
            }
        }
    };
    (@reload reload) => { true };
    (@reload restart) => { false };
}

sections! {
    /// Where the node listens and keeps its data.
    server: Server {
        /// Folder of the data; made by `entente init`.
        data_dir: PathBuf = PathBuf::from("/var/lib/entente"), "a path", restart;
        /// Addresses to listen on.
        listen: Vec<ListenUrl> = vec![ListenUrl::loopback()],
            "a list of \"ldap://HOST:PORT\", \"ldaps://HOST:PORT\" and \"ldapi:///PATH\"; HOST * means every address",
            restart;
        /// Also listen on the socket `ldapi` in the data folder, which the online commands use.
        ldapi: bool = true, "true or false", restart;
        /// Where a search with an empty base and a scope below it starts. Empty: the only suffix, and of several the one
        /// that the administrator's name is below. "none": nowhere (noSuchObject).
        default_search_base: String = String::new(), "a DN, \"\" for the only or first suffix, or \"none\"", reload;
        /// Refuse a password over a connection without TLS (confidentialityRequired). ldapi is never asked.
        require_tls_for_simple_bind: bool = true, "true or false", reload;
        /// Answer nothing without TLS (confidentialityRequired) but StartTLS, and the root DSE, which announces it. ldapi is never
        /// asked.
        require_tls: bool = false, "true or false", reload;
        /// Let loopback connections do without TLS all the same.
        loopback_needs_no_tls: bool = true, "true or false", reload;
        /// Load balancers that say for whom they connect (PROXY protocol, versions 1 and 2); whoever is named must.
        proxy_protocol_from: Vec<IpNetwork> = Vec::new(),
            "a list of addresses and networks, as \"192.0.2.7\" and \"2001:db8::/64\"", reload;
        /// Threads that serve connections; 0: one for each core.
        threads: usize = 0, "0 to 1024 threads (0 = one for each core)", restart, in (0..=1024);
        /// Connections that wait in the kernel to be accepted.
        backlog: u32 = 1024, "1 to 65535 connections", restart, in (1..=65_535);
        /// How long running operations may go on after SIGTERM.
        drain_s: u32 = 10, "0 to 600 seconds", reload, in (0..=600);
    }
    /// Certificates; ldaps and StartTLS need one.
    tls: Tls {
        /// PEM file with the certificate, then its issuers; empty: no TLS.
        certificate: Option<PathBuf> = None, "a path, or \"\" for none", reload;
        /// PEM file with the private key, readable by the owner alone.
        key: Option<PathBuf> = None, "a path, or \"\" for none", reload;
        /// PEM file with the authorities whose client certificates are believed (SASL EXTERNAL); empty: none asked for.
        client_ca: Option<PathBuf> = None, "a path, or \"\" for none", reload;
        /// Refuse a TLS connection without a client certificate; needs `client_ca`.
        client_certificate_required: bool = false, "true or false", reload;
        /// Oldest TLS version spoken.
        min_version: TlsVersion = TlsVersion::V1_2, "\"1.2\" or \"1.3\"", reload;
    }
    /// Ways to say who one is beside a simple bind.
    sasl: Sasl {
        /// Offer PLAIN.
        plain: bool = true, "true or false", reload;
        /// Offer PLAIN over connections without TLS too.
        plain_without_tls: bool = false, "true or false", reload;
        /// The attribute that holds the names of users.
        user_attribute: String = "uid".to_owned(), "the name of an attribute", reload;
        /// Below which entry users are looked for; empty: everywhere.
        user_base: String = String::new(), "a DN, or \"\" for everywhere", reload;
        /// Take the name of a user instead of a DN in a simple bind.
        simple_by_user: bool = false, "true or false", reload;
        /// How a client certificate leads to an entry; the first rule that finds one decides.
        certificate_map: Vec<String> = vec!["dn".to_owned()],
            "a list of \"dn\", \"fingerprint\", \"subject:TYPE=ATTRIBUTE\", \"san:mail=ATTRIBUTE\", \"san:dns=ATTRIBUTE\" or \"san:uri=ATTRIBUTE\"",
            reload;
        /// The file with the Kerberos key of this service; empty: GSSAPI is not offered.
        keytab: Option<PathBuf> = None, "a path, or \"\" for none", reload;
        /// The Kerberos name of this service.
        principal: String = String::new(), "SERVICE/HOST@REALM, as ldap/ldap.example.com@EXAMPLE.COM", reload;
        /// How a Kerberos principal leads to an entry; the first rule that finds one decides.
        principal_map: Vec<String> = vec!["user".to_owned()],
            "a list of \"user\", \"realm:REALM=ATTRIBUTE\" or \"principal=ATTRIBUTE\"", reload;
        /// Whose tokens are taken (OAUTHBEARER), as they name themselves; empty: nobody's.
        token_issuer: String = String::new(), "the issuer as its tokens have it, or \"\" for none", reload;
        /// For whom a token must be.
        token_audience: String = String::new(), "the audience as tokens have it", reload;
        /// Where the issuer's keys are (a JSON Web Key Set).
        token_keys: String = String::new(), "an absolute path, or an address of http or https", reload;
        /// PEM file with the authorities that are believed for that address; empty: the system's.
        token_keys_ca: Option<PathBuf> = None, "a path, or \"\" for the system's", reload;
        /// The claim that names the user.
        token_user_claim: String = "sub".to_owned(), "the name of a claim", reload;
        /// The attribute that holds what that claim says; empty: as `user_attribute`.
        token_attribute: String = String::new(), "the name of an attribute, or \"\" for sasl.user_attribute", reload;
        /// How much the issuer's clock may differ.
        token_skew_s: u32 = 60, "0 to 3600 seconds", reload, in (0..=3_600);
    }
    /// Whom users of this machine are over ldapi (SASL EXTERNAL). The owner of the data folder and root are the administrator.
    ldapi: Ldapi {
        /// The attribute that holds the number of a user; empty: nobody but the administrator is somebody.
        user_attribute: String = String::new(), "the name of an attribute, or \"\" for nobody", reload;
        /// The attribute that holds the number of its group.
        group_attribute: String = "gidNumber".to_owned(), "the name of an attribute", reload;
        /// Below which entry users are looked for; empty: everywhere.
        base: String = String::new(), "a DN, or \"\" for everywhere", reload;
    }
    /// What one client may cost. None of `size`, `time_s`, `lookthrough` binds the administrator.
    limits: Limits {
        /// Entries a search may return.
        size: u32 = 1000, "0 to 2147483647 entries (0 = no limit)", reload, in (0..=2_147_483_647);
        /// Entries a search may return to who has not bound.
        anonymous_size: u32 = 100, "0 to 2147483647 entries (0 = as limits.size)", reload, in (0..=2_147_483_647);
        /// Time a search may take.
        time_s: u32 = 60, "0 to 2147483647 seconds (0 = no limit)", reload, in (0..=2_147_483_647);
        /// Entries a search may look at where no index serves.
        lookthrough: u32 = 5000, "0 to 4294967295 entries (0 = no limit)", reload;
        /// Memory for the sort keys of one sorted search; all together may take four times as much.
        sort_bytes: u32 = 64 * 1024 * 1024, "65536 to 1073741824 bytes", reload, in (65_536..=1_073_741_824);
        /// Entries that one tree delete may take away.
        tree_delete: u32 = 10_000, "1 to 1000000 entries", reload, in (1..=1_000_000);
        /// Updates of one transaction (RFC 5805).
        transaction_updates: u32 = 1_000, "1 to 100000 updates", reload, in (1..=100_000);
        /// Values that one transaction may bring.
        transaction_bytes: u32 = 1024 * 1024, "1024 to 268435456 bytes", reload, in (1_024..=268_435_456);
        /// Time that a transaction may be open.
        transaction_s: u32 = 60, "1 to 86400 seconds", reload, in (1..=86_400);
        /// Longest request before a bind.
        pdu_bytes_before_bind: usize = 24 * 1024, "1024 to 16777216 bytes", reload, in (1_024..=16_777_216);
        /// Longest request after a bind; photos must fit.
        pdu_bytes: usize = 4 * 1024 * 1024, "1024 to 268435456 bytes", reload, in (1_024..=268_435_456);
        /// Controls in one request.
        controls: usize = 16, "1 to 16 controls", reload, in (1..=16);
        /// Requests that a connection may have running or waiting; more are not read.
        requests_in_flight: usize = 64, "1 to 4096 requests", reload, in (1..=4_096);
        /// Answers that wait for a client to read them; a search pauses above it.
        output_bytes: usize = 256 * 1024, "16384 to 67108864 bytes", reload, in (16_384..=67_108_864);
        /// Time for a TLS handshake.
        handshake_s: u32 = 10, "1 to 600 seconds", reload, in (1..=600);
        /// Idle time before a bind until the connection is closed.
        idle_before_bind_s: u32 = 30, "0 to 86400 seconds (0 = no limit)", reload, in (0..=86_400);
        /// Idle time after a bind until the connection is closed.
        idle_s: u32 = 900, "0 to 86400 seconds (0 = no limit)", reload, in (0..=86_400);
        /// Connections in all.
        connections: usize = 10_000, "1 to 1000000 connections", reload, in (1..=1_000_000);
        /// Connections from one client address; ldapi is not counted.
        connections_per_address: usize = 100, "1 to 1000000 connections", reload, in (1..=1_000_000);
        /// Failed binds under one name from one address until the next one has to wait; then longer with each failure, and at
        /// most half of `failed_binds_window_s`.
        failed_binds_per_account: u32 = 10, "0 to 1000000 binds (0 = no limit)", reload, in (0..=1_000_000);
        /// Failed binds from one address within `failed_binds_window_s`, whatever the names, until more have to wait.
        failed_binds_per_address: u32 = 300, "0 to 1000000 binds (0 = no limit)", reload, in (0..=1_000_000);
        /// Time after which failed binds are forgotten.
        failed_binds_window_s: u32 = 60, "2 to 86400 seconds", reload, in (2..=86_400);
        /// Writes that wait for the writer; more are answered `busy`.
        writer_queue: usize = 4096, "1 to 1000000 writes", restart, in (1..=1_000_000);
        /// Writes that share one commit.
        writer_batch: usize = 1024, "1 to 65536 writes", restart, in (1..=65_536);
    }
    /// Which attributes are indexed; after a change the node builds the index anew when it starts.
    index: Index {
        /// Answers `(a=v)`, `(a=v*)`, `(a>=v)`, `(a<=v)`.
        equality: IndexSelection = IndexSelection::all_but(&NOT_INDEXED),
            "a list of attribute names; \"*\" means every attribute with an equality rule, \"!name\" takes one out",
            restart;
        /// Answers `(a=*)`.
        presence: IndexSelection = IndexSelection::all_but(&NOT_INDEXED),
            "a list of attribute names; \"*\" means every attribute with an equality rule, \"!name\" takes one out",
            restart;
        /// Answers `(a=*v*)` and `(a=*v)`.
        substring: IndexSelection = IndexSelection::only(&ADDRESS_BOOK),
            "a list of attribute names; \"*\" means every attribute with a substring rule, \"!name\" takes one out",
            restart;
        /// Answers `(a~=v)`.
        approx: IndexSelection = IndexSelection::only(&SPOKEN),
            "a list of attribute names; \"*\" means every attribute of text, \"!name\" takes one out",
            restart;
    }
    /// The LMDB file.
    storage: Storage {
        /// Address space reserved for the data: the size it may grow to, not a size on disk.
        map_size_bytes: u64 = 1 << 40, "1048576 to 70368744177664 bytes", restart, in (1_048_576..=70_368_744_177_664);
        /// Read transactions at one time.
        readers: u32 = 512, "16 to 65536 readers", restart, in (16..=65_536);
        /// When the structure of the data file is looked through before it is opened.
        check_at_start: CheckAtStart = CheckAtStart::Changed, "\"changed\", \"always\" or \"never\"", restart;
        /// Attributes whose values stand nowhere in clear in the data folder. After a change: `entente encryption apply`.
        encrypted_attributes: Vec<String> = Vec::new(), "a list of attribute names", restart;
        /// The file with the keys they are encrypted with, readable by the owner alone; the first key encrypts.
        encryption_key_file: Option<PathBuf> = None, "a path, or \"\" for none", restart;
    }
    /// Other members of the cluster.
    replication: Replication {
        /// Where members come in; opened once there is an invitation or another member.
        listen: String = "*".to_owned(),
            "HOST or HOST:PORT; HOST * means every address, without PORT the one used last, 7636 or any free one",
            restart;
        /// What other members are told to dial; empty: what this machine finds out by itself.
        advertise: Vec<String> = Vec::new(), "a list of HOST or HOST:PORT", restart;
        /// What people call this member; empty: the machine's name.
        name: String = String::new(), "a text, or \"\" for the machine's name", restart;
        /// Where this member stands: durability "site" waits for the suppliers that say the same.
        site: String = String::new(), "a text, or \"\" for nowhere in particular", restart;
        /// Whether what goes to members is compressed.
        compression: Compression = Compression::Auto, "\"auto\", \"always\" or \"never\"", restart;
        /// Silence after which a majority suspends a member.
        offline_days: u32 = 14, "1 to 3650 days", restart, in (1..=3_650);
        /// Changes kept in the log of each origin though every member has them.
        log_records: u64 = 100_000, "0 to 1000000000 changes", restart, in (0..=1_000_000_000);
        /// Changes kept in the log at most, all origins together, whoever lacks them.
        log_records_max: u64 = 10_000_000, "10 to 1000000000 changes", restart, in (10..=1_000_000_000);
        /// Who else must hold a change before its client is answered, where the request does not say.
        durability: Durability = Durability::Local, "\"local\", \"quorum\", \"site\" or \"all\"", reload;
        /// How many other suppliers and hubs a quorum is of.
        quorum: u32 = 1, "1 to 1000 members", reload, in (1..=1_000);
        /// How long that is waited for; then the client is told how many hold it.
        durability_wait_ms: u32 = 1_000, "1 to 30000 milliseconds", reload, in (1..=30_000);
        /// How long deleted entries can be brought back.
        recycle_days: u32 = 30, "0 to 3650 days", restart, in (0..=3_650);
    }
    /// Schema beyond what the program carries inside.
    schema: SchemaFiles {
        /// LDIF files with more attribute types and object classes.
        files: Vec<PathBuf> = Vec::new(), "a list of paths", restart;
        /// Whether groupOfNames and groupOfUniqueNames may be without members, against RFC 4519; on all members alike.
        empty_groups: bool = false, "true or false", restart;
        /// Options that attribute descriptions may have besides binary; with a hyphen at the end all that begin so.
        attribute_options: Vec<String> = vec!["lang-".to_owned()], "a list of options, as \"phonetic\", or beginnings, as \"x-\"", restart;
    }
    /// What the node says about itself.
    log: Log {
        /// For people or for programs.
        format: LogFormat = LogFormat::Text, "\"text\" or \"json\"", restart;
        /// The least important line that is written.
        level: LogLevel = LogLevel::Info, "\"error\", \"warn\", \"info\", \"debug\" or \"trace\"", reload;
        /// One line for each operation. Never holds a password or an attribute value of an entry.
        operations: bool = false, "true or false", reload;
        /// File to append to; empty: standard error.
        file: Option<PathBuf> = None, "a path, or \"\" for standard error", restart;
    }
    /// Passwords; new ones are stored as Argon2id (19 MiB, 2 rounds), which is no setting.
    password: Password {
        /// Threads that hash, so that a flood of binds cannot starve searches; 0: half of the cores.
        hashing_threads: usize = 0, "0 to 256 threads (0 = half of the cores)", restart, in (0..=256);
        /// Binds that wait for such a thread; more are answered `busy`.
        hashing_queue: usize = 256, "1 to 65536 binds", restart, in (1..=65_536);
        /// Store a password anew as Argon2id when somebody binds with one that is stored in another way.
        upgrade: bool = false, "true or false", reload;
        /// SCRAM mechanisms that are offered, and whose verifiers are stored with every new password.
        scram: Vec<String> = Vec::new(), "a list of \"SCRAM-SHA-256\" and \"SCRAM-SHA-512\"", reload;
        /// How often a password is hashed for such a verifier.
        scram_iterations: u32 = 65_536, "4096 to 10000000 rounds", reload, in (4_096..=10_000_000);
        /// Tell who proves the password of a locked account, and asks in a control, that it is locked.
        tell_locked: bool = false, "true or false", reload;
    }
}

/// Attributes that nobody searches by value: secrets, pictures, certificates.
const NOT_INDEXED: [&str; 13] = [
    "userPassword",
    "jpegPhoto",
    "photo",
    "audio",
    "thumbnailPhoto",
    "userCertificate",
    "userSMIMECertificate",
    "userPKCS12",
    "cACertificate",
    "authorityRevocationList",
    "certificateRevocationList",
    "deltaRevocationList",
    "crossCertificatePair",
];

/// What has about as many values as there are entries and is searched in its middle while one types. Other attributes
/// need no pieces: few different values (given names, titles, places) or short ones (numbers) are looked through in the
/// equality index, and each piece of a value is a page to write when an entry is added.
/// Names of people and places: what one has heard and not read.
const SPOKEN: [&str; 9] = ["cn", "sn", "givenName", "displayName", "mozillaNickname", "fileAs", "o", "ou", "l"];
const ADDRESS_BOOK: [&str; 5] = ["cn", "mail", "mozillaNickname", "mozillaSecondEmail", "fileAs"];

/// The setting of that name.
fn setting(section: &str, key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.section == section && setting.key == key)
}

impl Config {
    /// Reads the defaults, then the file at `path`, then each of `sets` (`section.key=value`, value in TOML or bare text).
    ///
    /// # Errors
    /// - [`ConfigError::Unreadable`]: the file cannot be read.
    /// - [`ConfigError::Wrong`]: every mistake found, each with its place; nothing of it is to be used.
    pub fn load(path: Option<&Path>, sets: &[String]) -> Result<Self, ConfigError> {
        reader::load(path, sets)
    }

    /// Every address to listen on, the node's own socket included.
    pub fn listen_urls(&self) -> Vec<ListenUrl> {
        let own = self.server.ldapi.then(|| ListenUrl::Unix { path: self.own_socket() });
        self.server.listen.iter().cloned().chain(own).collect()
    }

    /// The socket that online commands use, in the data folder.
    pub fn own_socket(&self) -> PathBuf {
        self.server.data_dir.join("ldapi")
    }

    /// What TLS needs; `None` where there is no certificate.
    pub fn tls_options(&self) -> Option<TlsOptions> {
        let Tls { certificate, key, client_ca, client_certificate_required, min_version } = &self.tls;
        Some(TlsOptions {
            certificate: certificate.clone()?,
            key: key.clone()?,
            client_ca: client_ca.clone(),
            client_certificate_required: *client_certificate_required,
            tls13_only: *min_version == TlsVersion::V1_3,
        })
    }

    /// How many connections are let in.
    pub fn admission_limits(&self) -> AdmissionLimits {
        let Limits { connections, connections_per_address, .. } = self.limits;
        AdmissionLimits { connections, connections_per_address }
    }

    /// What will not work, and what is likely a mistake, in words; empty when all is well.
    ///
    /// Looks at files and folders that the settings name, and changes nothing.
    pub fn check(&self) -> Vec<Finding> {
        check::check(self)
    }

    /// How the settings stand against the secure defaults, one finding for each control, fulfilled or not.
    pub fn hardening(&self) -> Vec<Finding> {
        check::hardening(self)
    }
}

#[cfg(test)]
mod tests;
