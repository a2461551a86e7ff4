//! LDAP operations: who may, what it means, which result code.
//!
//! A [`Directory`] is what the doors see: one object, shared by all connections, with a function for each operation of
//! RFC 4511. What a connection knows of its client is a [`Session`]. Reads run in the caller's thread on a snapshot
//! and append their answers to the caller's buffer; writes go to the writer and answer through a callback.
//!
//! ```text
//! search, compare      find and compare entries          selection   which attributes are sent, how they are named
//! access               who may see and do what           control     controls of a request
//! bind, sasl           who is it, and is it proved       act_as      acting as somebody else
//! password_policy      which policy, and what binds leave behind       restricted   until a password is changed
//! app_password         secrets for one program each      lookup      what the server looks for itself
//! referral             what is told instead of entries elsewhere   paged   searches that wait for the next page
//! cluster_order        orders about the cluster, and the gate for changes
//! extended, answer     extended operations, and the one answer of a request that is answered later
//! assurance            session tokens, and who else must hold a change
//! act_as               being somebody else           account     whether an account can be used
//! sync                 searches that are kept in step (RFC 4533)
//! virtual_entry: root_dse, subschema_entry, monitor, conflict_entry, deleted_entry, lost_entry   entries that are not in the tree
//! outcome              inner errors as LDAP result codes
//! ```
//!
//! Invariants
//! - An entry that the requester has no right on is answered like an absent one, by every operation.
//! - Nothing here waits: no lock is held while a client is read or written.

pub mod access;
mod account;
mod act_as;
mod answer;
mod app_password;
pub mod assurance;
pub(crate) mod bind;
mod changelog;
mod cluster_order;
mod compare;
mod conflict_entry;
pub mod control;
mod deleted_entry;
pub mod extended;
mod lookup;
mod lost_entry;
mod monitor;
mod outcome;
mod own_limits;
mod paged;
mod password_policy;
mod referral;
mod restricted;
mod root_dse;
pub mod sasl;
mod search;
mod selection;
mod subschema_entry;
mod sync;
mod telling;
mod update;
mod virtual_entry;

pub use access::{Access, Granted};
pub use bind::{BindOutcome, BindStep};
pub use cluster_order::{Operator, OrderReply, WriteGate};
pub use compare::Answering;
pub use control::{RequestControls, RequestKind};
pub use extended::ExtendedCall;
pub use monitor::{MonitorEntry, MonitorProvider};
pub use outcome::{OperationError, Outcome};
pub use paged::PagedStore;
pub use referral::instead as referral_instead;
pub use restricted::is_password;
pub use search::{Progress, SearchTask};
pub use selection::read_entry_control;
pub use update::{Reply, Transactions, UpdateStep};

use crate::dit::{Dit, View, Writer};
use crate::metrics::Metrics;
use crate::model::Dn;
use crate::policy::limits::LimitsOptions;
use crate::policy::password_hash::random_bytes;
use crate::policy::requester::Requester;
use crate::policy::scram::ScramHash;
use crate::policy::throttle::{Throttle, ThrottleOptions};
use access::AccessCache;
use arc_swap::ArcSwap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Where a search with an empty base and a scope below it starts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum DefaultSearchBase {
    /// At the only suffix; of several, at the one that the administrator's name is below: the same on every node.
    #[default]
    Suffix,
    /// At this entry.
    Named(Dn),
    /// Nowhere: noSuchObject.
    Nowhere,
}

/// Settings of this floor; node fills them from the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// How much one search may take.
    pub limits: LimitsOptions,
    /// Where a search with an empty base and a scope below it starts.
    pub default_search_base: DefaultSearchBase,
    /// LDAP URLs of servers with the same content, for `altServer`.
    pub alternative_servers: Vec<String>,
    /// Whether StartTLS can be asked for.
    pub starttls: bool,
    /// Refuse a password over a connection without TLS; a local socket is never asked.
    pub require_tls_for_simple_bind: bool,
    /// Let loopback connections send a password without TLS all the same.
    pub loopback_needs_no_tls: bool,
    /// Who else must hold a change before it is answered, where the request does not say.
    pub durability: assurance::DurabilityRequest,
    /// SASL mechanisms and what names mean there.
    pub sasl: sasl::SaslOptions,
    /// SCRAM mechanisms: their verifiers are stored with every new password, and they are offered.
    pub scram: Vec<ScramHash>,
    /// Failed binds after which the next ones wait; by default any number.
    pub throttle: ThrottleOptions,
    /// How often a password is hashed for a verifier.
    pub scram_iterations: u32,
    /// Whether a password is stored anew in the present scheme when somebody binds with it.
    pub upgrade_hashes: bool,
    /// Whether who proves the password of a locked account and asks in a control is told that it is locked.
    pub tell_locked: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: LimitsOptions::default(),
            default_search_base: DefaultSearchBase::default(),
            alternative_servers: Vec::new(),
            starttls: false,
            require_tls_for_simple_bind: true,
            loopback_needs_no_tls: true,
            durability: assurance::DurabilityRequest::default(),
            sasl: sasl::SaslOptions::default(),
            scram: Vec::new(),
            throttle: ThrottleOptions::default(),
            scram_iterations: 65_536,
            upgrade_hashes: false,
            tell_locked: false,
        }
    }
}

/// The directory as the doors see it. See the module.
pub struct Directory {
    dit: Arc<Dit>,
    writer: Writer,
    access: AccessCache,
    options: ArcSwap<Options>,
    metrics: Arc<Metrics>,
    subschema: subschema_entry::Published,
    monitors: Mutex<Vec<MonitorProvider>>,
    operator: Mutex<Option<Arc<Operator>>>,
    write_gate: ArcSwap<WriteGate>,
    acknowledgements: assurance::Known,
    held_back: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
    sort_memory: search::SortMemory,
    policies: password_policy::PolicyCache,
    marks: password_policy::Marks,
    throttle: Mutex<Throttle>,
    token_keys: sasl::KeyCache,
    #[cfg(feature = "gssapi")]
    kerberos_pending: sasl::KerberosPending,
    started_ms: i64,
}

impl Directory {
    /// The directory over an open tree and its writer.
    pub fn new(dit: Arc<Dit>, writer: Writer, options: Options, metrics: Arc<Metrics>) -> Arc<Self> {
        let started_ms = i64::try_from(dit.clock().wall_ms()).unwrap_or(i64::MAX);
        let mut throttle_key = [0; 32];
        random_bytes(&mut throttle_key);
        Arc::new(Self {
            dit,
            writer,
            access: AccessCache::new(),
            options: ArcSwap::from_pointee(options),
            metrics,
            subschema: subschema_entry::Published::default(),
            monitors: Mutex::new(Vec::new()),
            operator: Mutex::new(None),
            write_gate: ArcSwap::default(),
            acknowledgements: assurance::Known::default(),
            held_back: Mutex::new(Vec::new()),
            sort_memory: search::SortMemory::default(),
            policies: password_policy::PolicyCache::default(),
            marks: password_policy::Marks::default(),
            throttle: Mutex::new(Throttle::new(throttle_key)),
            token_keys: sasl::KeyCache::default(),
            #[cfg(feature = "gssapi")]
            kerberos_pending: sasl::KerberosPending::default(),
            started_ms,
        })
    }

    /// Has `provider` asked for more entries whenever somebody looks below cn=monitor.
    pub fn add_monitor(&self, provider: MonitorProvider) {
        self.monitors.lock().unwrap_or_else(PoisonError::into_inner).push(provider);
    }

    /// Takes new settings; requests that run keep those they began with.
    pub fn set_options(&self, options: Options) {
        self.options.store(Arc::new(options));
    }

    /// The settings.
    pub fn options(&self) -> Arc<Options> {
        self.options.load_full()
    }

    /// The tree.
    pub fn dit(&self) -> &Arc<Dit> {
        &self.dit
    }

    /// The writer.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Whether decisions about a requester want the name of its host: some rule of the tree asks for it. Where the rules
    /// cannot be read it is not asked for, and such rules give nothing.
    pub fn wants_host(&self, requester: &Requester) -> bool {
        !requester.is_administrator()
            && self.access.asks_for_host(&self.dit).unwrap_or_else(|error| {
                tracing::error!(%error, "the access rules cannot be read");
                false
            })
    }

    /// Decisions for `requester` in `view`: a snapshot, or the writer's transaction.
    ///
    /// # Errors
    /// Storage, while the rules are read.
    pub fn access<'v>(&self, requester: &Requester, view: View<'v>) -> Outcome<Access<'v>> {
        self.access.access(&self.dit, requester, view)
    }
}

/// The TLS of a connection.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct TlsFacts {
    /// Key length of the cipher in bits.
    pub ssf: u32,
    /// "1.2" or "1.3".
    pub version: &'static str,
    /// The client's certificate, if it came with one that an authority of ours has signed.
    pub client: Option<ClientFacts>,
    /// Channel binding `tls-exporter` (RFC 9266); with TLS 1.3 only.
    pub exporter: Option<[u8; 32]>,
    /// Channel binding `tls-server-end-point` (RFC 5929 4).
    pub end_point: Option<Vec<u8>>,
}

/// A client's certificate that was verified.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ClientFacts {
    /// Its subject, as a DN.
    pub subject: String,
    /// SHA-256 of the whole certificate.
    pub sha256: [u8; 32],
    /// Alternative names: mail addresses.
    pub mail_addresses: Vec<String>,
    /// Alternative names: names of hosts.
    pub dns_names: Vec<String>,
    /// Alternative names: URIs.
    pub uris: Vec<String>,
}

/// A user of this machine, as the kernel vouches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LocalUser {
    /// Number of the user.
    pub uid: u32,
    /// Number of its group.
    pub gid: u32,
}

/// What is known of a connection whoever uses it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectionFacts {
    /// Number of the connection, for logs.
    pub id: u64,
    /// The peer; `None` on a local socket.
    pub address: Option<IpAddr>,
    /// Loopback or a local socket: bytes do not leave the machine.
    pub is_local: bool,
    /// Who is at the other end of a local socket.
    pub unix: Option<LocalUser>,
    /// TLS, when it is spoken; apart, as most of what a connection is made of would be this.
    pub tls: Option<Box<TlsFacts>>,
}

/// What a connection knows of its client; bind and StartTLS change it.
#[derive(Debug)]
pub struct Session {
    /// Who asks.
    pub requester: Requester,
    /// From where.
    pub connection: ConnectionFacts,
    /// Its searches that wait for their next page; to be cleared by a bind.
    pub paged: PagedStore,
    /// Its open transactions; to be aborted by a bind.
    pub transactions: Transactions,
    /// Nothing but a change of the password is allowed until that is done.
    pub must_change_password: bool,
    /// Who came in with a secret of one program.
    pub by_app_password: bool,
    /// What the last bind left to the next one.
    pub exchange: Option<Box<sasl::SaslExchange>>,
}

impl Session {
    /// A session of `requester` over a connection.
    pub fn new(requester: Requester, connection: ConnectionFacts) -> Self {
        Self {
            requester,
            connection,
            paged: PagedStore::default(),
            transactions: Transactions::default(),
            must_change_password: false,
            by_app_password: false,
            exchange: None,
        }
    }
}

#[cfg(test)]
mod tests;
