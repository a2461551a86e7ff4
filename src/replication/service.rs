//! A node's part in its cluster while it runs: what `node` starts, asks and stops.
//!
//! [`Service`] is the handle; `engine` is the one task behind it that owns the [`Replicator`](super::Replicator) and
//! everything that must happen in order.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::door::DoorError;
use super::engine::Engine;
use super::identity::IdentityError;
use super::joining::JoinError;
use super::membership::InviteError;
use super::session::Traffic;
use super::{Durability, LocalWrites, Member, MemberState, NodeId, Options, Role, Status};
use crate::dit::{Dit, DitError, UntoldRange, Writer};
use crate::model::EntryUuid;
use crate::state::Dot;

/// When what is sent is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Compression {
    /// To members that are far away by round trip.
    #[default]
    Auto,
    /// To all.
    Always,
    /// To none.
    Never,
}

/// Folder below the data directory in which a member that only reads, and was ahead of all others, gets its content anew; its
/// `meta/join` is there and empty once it is whole.
pub const ANEW: &str = "anew";

/// Folder below the data directory in which the content that such a one took the place of is kept.
pub const REPLACED: &str = "replaced";

/// Settings; node fills them from the configuration.
#[derive(Clone, Debug)]
pub struct ServiceOptions {
    /// Host to listen on for members; `*` is every address of the machine.
    pub host: String,
    /// Port that it must be; `None`: the last one, the default, or any.
    pub port: Option<u16>,
    /// What other members are told to dial, as `HOST` or `HOST:PORT`; empty: what this machine finds out by itself.
    pub advertise: Vec<String>,
    /// When to compress.
    pub compression: Compression,
    /// This node's name for people; empty where the settings say none.
    pub name: String,
    /// The machine's name, under which a node of no name enters the cluster.
    pub machine: String,
    /// Where it stands, for durability `site`; empty for nowhere in particular.
    pub site: String,
    /// Where LDAP clients reach this node.
    pub urls: Vec<String>,
    /// Limits and intervals.
    pub limits: Options,
}

impl ServiceOptions {
    /// The name under which this node enters the cluster.
    pub fn name_at_first(&self) -> &str {
        if self.name.is_empty() { &self.machine } else { &self.name }
    }
}

/// Why a node cannot take part.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The tree.
    #[error(transparent)]
    Dit(#[from] DitError),
    /// The listener.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// Keys and certificates.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Entries of cn=cluster.
    #[error(transparent)]
    Invite(#[from] InviteError),
    /// A change of such an entry was not stored.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// What was asked makes no sense; the text says why.
    #[error("{0}")]
    Refused(String),
    /// The operating system gives no random numbers.
    #[error("the operating system gives no random numbers")]
    Random,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

/// What a client's change came to at other members.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Durable {
    /// Members that hold it.
    pub acknowledged: Vec<NodeId>,
    /// How many were wanted.
    pub wanted: usize,
    /// Whether that is all that was asked.
    pub met: bool,
}

/// What is told whenever it changes: whether clients' changes are taken, and where else they may go.
pub type Gate = Box<dyn Fn(LocalWrites, Vec<String>) + Send + Sync>;

/// What is told once content that was taken anew is whole.
pub type Filled = Box<dyn Fn() + Send + Sync>;

/// Everything that an operator is shown.
#[derive(Clone, Debug)]
pub struct Report {
    /// This node's entry, if it has one.
    pub own: Option<Member>,
    /// What the replicator says.
    pub status: Status,
    /// The last alarms: unix milliseconds, text.
    pub alarms: Vec<(u64, String)>,
    /// The port on which members come in, if any may.
    pub port: Option<u16>,
    /// Why the last attempt to reach a member failed.
    pub unreachable: Vec<(NodeId, String)>,
    /// By how much the machine's clock is off the time of stamps, since it jumped and was not followed, milliseconds.
    pub clock_jumped_ms: Option<i64>,
    /// When the own certificate ends, unix seconds.
    pub certificate_ends_s: i64,
    /// What stands in the data file.
    pub counts: Counts,
    /// Bytes of the sessions with members.
    pub traffic: Vec<(NodeId, Traffic)>,
    /// The last repairs, the oldest first.
    pub repaired: Vec<Repaired>,
    /// For how long changes are lacking here that a member holds, milliseconds.
    pub lacking_ms: Vec<(NodeId, u64)>,
    /// Whether this node was asked to leave, or to write no more, and is about to.
    pub leaving: bool,
    /// Whether its content is taken anew, since it was ahead of all others.
    pub filling: bool,
    /// Changes of which it cannot be said here what was lost by them.
    pub untold: Vec<UntoldRange>,
}

/// Records of some tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Changes that were lost because two were made at the same time, not decided yet.
    pub conflicts: u64,
    /// Entries that merges left against the schema.
    pub suspects: u64,
    /// Changes kept for members that may ask.
    pub log_records: u64,
}

/// Entries that were found to differ from a member's and were made equal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repaired {
    /// When, unix milliseconds.
    pub at_ms: u64,
    /// From whose.
    pub peer: NodeId,
    /// Which; at most a hundred.
    pub entries: Vec<EntryUuid>,
}

/// What the engine is asked.
pub(super) enum Command {
    AcceptClock { reply: oneshot::Sender<i64> },
    BeginEpoch { reply: oneshot::Sender<Result<u16, ServiceError>> },
    Invite { role: Role, valid_s: u64, reply: oneshot::Sender<Result<Zeroizing<String>, ServiceError>> },
    Report { reply: oneshot::Sender<Report> },
    SetAddresses { node: NodeId, addresses: Vec<String>, reply: oneshot::Sender<Result<(), ServiceError>> },
    SetRole { node: NodeId, role: Role, reply: oneshot::Sender<Result<(), ServiceError>> },
    SetState { node: NodeId, state: MemberState, at_once: bool, reply: oneshot::Sender<Result<(), ServiceError>> },
    Stop,
    WaitFor { dot: Dot, durability: Durability, wait_ms: u64, reply: oneshot::Sender<Durable> },
}

/// The handle to a running engine; cheap to clone.
#[derive(Clone)]
pub struct Service {
    commands: mpsc::Sender<Command>,
    published: Arc<ArcSwapOption<Report>>,
}

/// What a service needs.
pub struct Parts {
    /// The tree.
    pub dit: Arc<Dit>,
    /// Its writer.
    pub writer: Writer,
    /// Settings.
    pub options: ServiceOptions,
    /// Told whether clients' changes are taken.
    pub gate: Gate,
    /// Told once content that was taken anew is whole in the folder [`ANEW`]: stop, put it in place and start again. None:
    /// nobody would, so none is taken.
    pub filled: Option<Filled>,
}

impl Service {
    /// Starts the engine; it ends when all handles are gone. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn start(parts: Parts) -> Result<(Self, JoinHandle<()>), ServiceError> {
        let (commands, asked) = mpsc::channel(64);
        let published = Arc::new(ArcSwapOption::empty());
        let engine = Engine::start(parts, asked, Arc::clone(&published)).await?;
        Ok((Self { commands, published }, tokio::spawn(engine.run())))
    }

    /// What was so at most a second ago; `None` right after the start.
    pub fn published(&self) -> Option<Arc<Report>> {
        self.published.load_full()
    }

    /// What is so now.
    ///
    /// # Errors
    /// [`ServiceError::Stopping`].
    pub async fn report(&self) -> Result<Report, ServiceError> {
        self.ask(|reply| Command::Report { reply }).await
    }

    /// Opens an invitation and the door for whoever has it; returns the token.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn invite(&self, role: Role, valid_s: u64) -> Result<Zeroizing<String>, ServiceError> {
        self.ask(|reply| Command::Invite { role, valid_s, reply }).await?
    }

    /// Suspends, retires or takes back a member. A supplier that can be heard retires by itself, once it is asked to,
    /// unless `at_once`: then the others agree on its end by what they hold.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn set_state(&self, node: NodeId, state: MemberState, at_once: bool) -> Result<(), ServiceError> {
        self.ask(|reply| Command::SetState { node, state, at_once, reply }).await?
    }

    /// Says where a member is reached, until it says so itself.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn set_addresses(&self, node: NodeId, addresses: Vec<String>) -> Result<(), ServiceError> {
        self.ask(|reply| Command::SetAddresses { node, addresses, reply }).await?
    }

    /// Gives a member another role; a supplier that is to write no more does so by itself, once it is asked to.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn set_role(&self, node: NodeId, role: Role) -> Result<(), ServiceError> {
        self.ask(|reply| Command::SetRole { node, role, reply }).await?
    }

    /// Takes the machine's clock for right, whatever it did and whatever other members' clocks say. Returns by how many
    /// milliseconds the time of stamps moved.
    ///
    /// # Errors
    /// [`ServiceError::Stopping`].
    pub async fn accept_clock(&self) -> Result<i64, ServiceError> {
        self.ask(|reply| Command::AcceptClock { reply }).await
    }

    /// Begins the next epoch of the cluster's clock, and returns which.
    ///
    /// # Errors
    /// [`ServiceError::Refused`] with what is in the way; [`ServiceError`].
    pub async fn begin_epoch(&self) -> Result<u16, ServiceError> {
        self.ask(|reply| Command::BeginEpoch { reply }).await?
    }

    /// Waits until other members hold a change, at most `wait_ms`.
    ///
    /// # Errors
    /// [`ServiceError::Stopping`].
    pub async fn wait_for(&self, dot: Dot, durability: Durability, wait_ms: u64) -> Result<Durable, ServiceError> {
        self.ask(|reply| Command::WaitFor { dot, durability, wait_ms, reply }).await
    }

    /// Ends the engine; sessions send what they have and close.
    pub async fn stop(&self) {
        // It has ended already.
        let _ = self.commands.send(Command::Stop).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, ServiceError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| ServiceError::Stopping)?;
        answer.await.map_err(|_| ServiceError::Stopping)
    }
}
