//! The LDAP door: connections, requests in, responses out.
//!
//! One tokio task a connection. A turn of it reads all that is there, runs every complete request that is cheap in
//! order into one output buffer, and writes once. What takes long does not hold the others up: searches go on step by
//! step between requests, writes are answered by the writer after its commit, passwords are hashed on threads of their
//! own. Nothing here knows what an operation means; `operation` does.
//!
//! Invariants
//! - A connection holds at most: one incomplete request, `requests_in_flight` requests at work, about
//!   `output_bytes` of answers. An idle one holds no buffer at all: buffers belong to the thread and are lent for a turn.
//! - No read snapshot is open while a task waits: a search is asked for a step only when its answer has room.
//! - Every request gets exactly one final answer, or its connection ends; abandoned ones get none.
//! - Nothing else of a connection runs while a bind does; it begins with the identity taken away.
//! - A panic ends one connection, and is counted.
//!
//! Not here: sockets and TLS (`transport`), signals and order of start (`node`).

mod connection;
mod hashing;
mod operation_log;
mod output;
mod registry;
mod request;
mod work;

use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::operation::Directory;
use crate::transport::{
    Accepted, Admission, Drained, HostNames, Listener, Shutdown, ShutdownGuard, Stream, Ticket, Tls, TransportError,
};
use crate::wire::PDU_BYTES_MAX_BEFORE_BIND;
use connection::{Connection, Next};
pub use hashing::HashingPool;
use registry::Registry;

/// How often deadlines are looked at; all of them are in whole seconds.
const TICK: Duration = Duration::from_secs(1);
/// After a commit so much time passes before the next one is told to those who follow: many commits make one message.
const COMMITS_APART: Duration = Duration::from_millis(2);
/// A client that takes no answer for so long is not waited for any longer, in seconds.
const WRITE_STALL_S: u32 = 30;
/// Lines in the log that any client can cause come so far apart, in seconds.
const COMPLAINTS_APART_S: u32 = 10;
/// How long a connection that we end is kept so that the last words reach the client.
const LINGER: Duration = Duration::from_millis(500);
/// How many bytes of a client that goes on talking are swallowed in that time.
const LINGER_BYTES_MAX: usize = 4 << 20;

/// From where something may come without TLS. A Unix socket never leaves the machine and is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClearText {
    /// From anywhere.
    Everywhere,
    /// From this machine only.
    Loopback,
    /// From nowhere.
    Refused,
}

/// What a connection may cost; taken anew at every turn, so that a reload reaches open connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Longest request of who has not authenticated, in bytes.
    pub pdu_bytes_before_bind: usize,
    /// Longest request of who has, in bytes.
    pub pdu_bytes: usize,
    /// Controls in one request.
    pub controls: usize,
    /// Requests at work; more are not read.
    pub requests_in_flight: usize,
    /// Answers that wait for the client, in bytes.
    pub output_bytes: usize,
    /// Time for a TLS handshake.
    pub handshake: Duration,
    /// Idle seconds before a bind; 0 is no limit.
    pub idle_before_bind_s: u32,
    /// Idle seconds after a bind; 0 is no limit.
    pub idle_s: u32,
    /// Passwords without TLS.
    pub clear_text: ClearText,
    /// Anything without TLS, but StartTLS and reading the root DSE.
    pub operations_in_clear: ClearText,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pdu_bytes_before_bind: PDU_BYTES_MAX_BEFORE_BIND,
            pdu_bytes: 4 * 1024 * 1024,
            controls: 16,
            requests_in_flight: 64,
            output_bytes: 256 * 1024,
            handshake: Duration::from_secs(10),
            idle_before_bind_s: 30,
            idle_s: 900,
            clear_text: ClearText::Loopback,
            operations_in_clear: ClearText::Everywhere,
        }
    }
}

/// What the door needs from the house.
pub struct Parts {
    /// Who answers.
    pub directory: Arc<Directory>,
    /// Limits.
    pub options: Options,
    /// Certificates, if there are any.
    pub tls: Option<Tls>,
    /// Counts connections.
    pub admission: Admission,
    /// Tells when to stop.
    pub shutdown: Shutdown,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Monotonic time.
    pub clock: Clock,
    /// Threads that hash passwords.
    pub hashing: HashingPool,
}

/// The door; cheap to clone.
#[derive(Clone)]
pub struct Server(Arc<Door>);

/// What all connections share.
struct Door {
    directory: Arc<Directory>,
    options: ArcSwap<Options>,
    tls: ArcSwapOption<Tls>,
    admission: Admission,
    shutdown: Shutdown,
    metrics: Arc<Metrics>,
    clock: Clock,
    registry: Registry,
    hashing: HashingPool,
    hosts: HostNames,
    /// When the log had the last line that any client can cause; [`registry::NEVER`]: not yet.
    complained_s: AtomicU32,
}

impl Door {
    /// Whether the log may have one more line that any client can cause.
    fn may_complain(&self) -> bool {
        let now_s = self.registry.now_s();
        let is_due = |last_s: u32| last_s == registry::NEVER || now_s.saturating_sub(last_s) >= COMPLAINTS_APART_S;
        self.complained_s
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last_s| is_due(last_s).then_some(now_s))
            .is_ok()
    }

    /// Somebody who is no balancer began with a header of the PROXY protocol.
    fn complain_of_proxy_header(&self, address: Option<IpAddr>) {
        if let Some(address) = address.filter(|_| self.may_complain()) {
            tracing::warn!(
                "{address} begins with a PROXY header, and is not believed whom it speaks for; if it is a load balancer, \
                 add \"{address}\" to server.proxy_protocol_from"
            );
        }
    }
}

impl Server {
    /// A door without listeners. Needs a tokio runtime: it starts the one task that watches all deadlines.
    pub fn new(parts: Parts) -> Self {
        let Parts { directory, options, tls, admission, shutdown, metrics, clock, hashing } = parts;
        let hosts = HostNames::of_system(clock.clone());
        let door = Arc::new(Door {
            directory,
            options: ArcSwap::from_pointee(options),
            tls: ArcSwapOption::from_pointee(tls),
            admission,
            shutdown,
            metrics,
            clock,
            registry: Registry::default(),
            hashing,
            hosts,
            complained_s: AtomicU32::new(registry::NEVER),
        });
        let watched = Arc::downgrade(&door);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(TICK);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let Some(door) = watched.upgrade() else { return };
                door.registry.tick(seconds(door.clock.monotonic()));
                door.directory.write_marks(false);
            }
        });
        let told = Arc::downgrade(&door);
        let mut commits = door.directory.dit().feed().follow();
        let follower_came = door.registry.follower_came();
        tokio::spawn(async move {
            loop {
                // Mostly nobody follows, and then no commit wakes this task.
                follower_came.notified().await;
                if told.strong_count() == 0 {
                    return;
                }
                while commits.changed().await.is_ok() {
                    let Some(door) = told.upgrade() else { return };
                    if !door.registry.committed() {
                        break;
                    }
                    drop(door);
                    tokio::time::sleep(COMMITS_APART).await;
                }
            }
        });
        Self(door)
    }

    /// Takes connections from `listener` until shutdown.
    pub fn listen(&self, listener: Listener) {
        let door = Arc::clone(&self.0);
        tokio::spawn(async move {
            let shutdown = door.shutdown.clone();
            let mut stop = pin!(shutdown.triggered());
            loop {
                tokio::select! {
                    biased;
                    () = &mut stop => return,
                    accepted = listener.accept(&door.admission) => {
                        let guard = door.shutdown.guard();
                        tokio::spawn(run(Arc::clone(&door), accepted, guard));
                    }
                }
            }
        });
    }

    /// New limits, for open connections too.
    pub fn set_options(&self, options: Options) {
        self.0.options.store(Arc::new(options));
    }

    /// TLS for connections to come, where there was none or is none any more. [`Tls::reload`] changes certificates.
    pub fn set_tls(&self, tls: Option<Tls>) {
        self.0.tls.store(tls.map(Arc::new));
    }

    /// Stops: no new connections, no new requests; what runs may go on for `drain`, then every client is told
    /// (notice of disconnection, unavailable) and its connection closed. Returns how many connections had to be cut.
    pub async fn stop(&self, drain: Duration) -> usize {
        let door = &self.0;
        door.shutdown.trigger();
        door.registry.drain();
        if door.shutdown.drained(drain).await == Drained::All {
            return 0;
        }
        let cut = door.registry.end();
        door.shutdown.drained(2 * LINGER).await;
        cut
    }

    /// Connections open now.
    pub fn connections(&self) -> usize {
        self.0.registry.len()
    }
}

/// Whole seconds, as the registry counts.
fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX - 1)
}

/// What seldom happens to a connection, apart from its own future.
type Rare<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The life of one connection. Rare waits are boxed, as the size of this future is what an idle connection costs.
async fn run(door: Arc<Door>, accepted: Accepted, guard: ShutdownGuard) {
    let Accepted { mut stream, tls_first, mut ticket } = accepted;
    if ticket.awaits_client() {
        let Some(introduced) = introduction(&door, stream, ticket).await else { return };
        (stream, ticket) = introduced;
    }
    if tls_first {
        let Some(secured) = handshake(&door, stream).await else { return };
        stream = secured;
    }
    let mut connection = Connection::new(Arc::clone(&door), stream.peer(), ticket, guard);
    loop {
        match poll_fn(|context| connection.poll(&mut stream, context)).await {
            Next::Close => break,
            Next::Drop => return,
            Next::StartTls => {
                let Some(secured) = handshake(&door, stream).await else { return };
                stream = secured;
                connection.secured(stream.peer());
            }
        }
    }
    linger(stream).await;
}

/// A balancer's stream, once it has said for whom it speaks; `None` when it did not, or that client has too many.
fn introduction(door: &Arc<Door>, stream: Stream, mut ticket: Ticket) -> Rare<Option<(Stream, Ticket)>> {
    let door = Arc::clone(door);
    Box::pin(async move {
        let time_max = door.options.load().handshake;
        let balancer = stream.peer().ip()?;
        let outcome = tokio::select! {
            biased;
            () = door.shutdown.triggered() => return None,
            outcome = stream.introduced(time_max) => outcome,
        };
        match outcome {
            Ok(stream) => {
                let stream = stream?;
                let client = stream.peer().ip()?;
                if ticket.count_for(client) {
                    return Some((stream, ticket));
                }
                tracing::debug!(%client, %balancer, "connection refused: too many");
            }
            Err(error) => {
                if door.may_complain() {
                    tracing::warn!(
                        "{balancer} is in server.proxy_protocol_from, so that each of its connections must say for whom it \
                         is: {error}; have it send headers (haproxy: send-proxy-v2), or take it out of the setting"
                    );
                }
            }
        }
        None
    })
}

/// TLS on the stream; `None` when that failed.
fn handshake(door: &Arc<Door>, stream: Stream) -> Rare<Option<Stream>> {
    let door = Arc::clone(door);
    Box::pin(async move {
        let tls = door.tls.load_full();
        let time_max = door.options.load().handshake;
        let (address, ip) = (stream.peer().address, stream.peer().ip());
        let outcome = match tls {
            Some(tls) => tokio::select! {
                biased;
                () = door.shutdown.triggered() => return None,
                outcome = tls.accept(stream, time_max) => outcome,
            },
            None => Err(TransportError::Handshake("there is no certificate; see [tls]".to_owned())),
        };
        match outcome {
            Ok(stream) => Some(stream),
            Err(error) => {
                door.metrics.tls_handshakes_failed_total.increment();
                if matches!(error, TransportError::ProxyHeader(_)) {
                    door.complain_of_proxy_header(ip);
                }
                tracing::debug!(%address, %error, "no TLS");
                None
            }
        }
    })
}

/// Ends a connection so that what was sent last arrives: closing with unread bytes would reset it.
fn linger(mut stream: Stream) -> Rare<()> {
    Box::pin(async move {
        let farewell = async {
            stream.shutdown().await?;
            let mut swallowed = 0;
            let mut bytes = vec![0; 4096];
            while swallowed < LINGER_BYTES_MAX {
                match stream.read(&mut bytes).await? {
                    0 => break,
                    count => swallowed += count,
                }
            }
            std::io::Result::Ok(())
        };
        // Nobody is left to tell when this fails.
        let _ = tokio::time::timeout(LINGER, farewell).await;
    })
}

#[cfg(test)]
mod tests;
