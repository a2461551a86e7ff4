//! One connection to one member: frames in, frames out, each at its own pace.
//!
//! Reading and writing are two tasks. The reader hands on whole messages and waits when the node is behind, which TCP
//! tells the peer; the writer takes what the node has to say from a bounded queue. A peer that does not read fills its
//! own queue, and is then cut off: it holds up nobody else, and catches up in its next session.
//!
//! Invariants
//! - What a frame breaks is its own session: the reason is told once, by name.
//! - Bytes of messages that wait to be handled are bounded over all sessions ([`Budget`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_util::codec::{Encoder, FramedRead};

use super::codec::{CodecError, MessageCodec};
use super::dial::words;
use super::message::PeerError;
use super::{Message, NodeId, SessionId};

/// Messages that wait to be sent to one peer.
pub const OUTBOX_MAX: usize = 1024;
/// Messages that are encoded before they are written together.
const WRITTEN_TOGETHER: usize = 64;
/// Bytes that are encoded before they are written.
const WRITTEN_BYTES: usize = 256 * 1024;
/// How long what is left may take to be written when the session ends.
const FAREWELL_TIME_MAX: Duration = Duration::from_secs(2);
/// A unit of the budget.
const BUDGET_UNIT: usize = 1024;
/// Units for messages that wait to be handled: 64 MiB.
const BUDGET_UNITS: usize = 64 * 1024;

/// What a session is carried by.
pub trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// What sessions tell their node.
pub enum SessionEvent {
    /// A connection is open and both have proved who they are.
    Opened {
        /// The connection.
        wire: Box<dyn Wire>,
        /// Who it is.
        peer: NodeId,
        /// Whether this node dialled.
        dialled: bool,
    },
    /// A message came.
    Message {
        /// The session.
        session: SessionId,
        /// The message.
        message: Message,
        /// Its part of the budget.
        permit: OwnedSemaphorePermit,
    },
    /// The session has ended.
    Closed {
        /// The session.
        session: SessionId,
        /// Why, in words.
        reason: String,
        /// What the peer is to be told before.
        fault: Option<PeerError>,
    },
}

/// Memory for messages that wait to be handled, shared by all sessions.
#[derive(Clone)]
pub struct Budget(Arc<Semaphore>);

impl Default for Budget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(BUDGET_UNITS)))
    }
}

/// What went over a session, in bytes of frames (TLS not counted).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// To the peer.
    pub sent: u64,
    /// From it.
    pub received: u64,
    /// Whether what is sent is compressed now.
    pub compressed: bool,
}

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
    compress: AtomicBool,
}

/// A node's end of an open session. Dropping it sends what is queued, then closes.
pub struct Session {
    /// Who is at the other end.
    pub peer: NodeId,
    /// Whether this node dialled.
    pub dialled: bool,
    /// When it was opened, monotonic milliseconds.
    pub since_ms: u64,
    outbox: mpsc::Sender<Message>,
    counters: Arc<Counters>,
    _open: watch::Sender<()>,
}

impl Session {
    /// Starts the two tasks.
    pub fn start(
        id: SessionId,
        wire: Box<dyn Wire>,
        (peer, dialled, since_ms): (NodeId, bool, u64),
        events: mpsc::Sender<SessionEvent>,
        budget: Budget,
    ) -> Self {
        let (outbox, queued) = mpsc::channel(OUTBOX_MAX);
        let (open, closed) = watch::channel(());
        let counters = Arc::<Counters>::default();
        let (reader, writer) = tokio::io::split(wire);
        tokio::spawn(write(writer, queued, Arc::clone(&counters)));
        tokio::spawn(read((id, reader), events, budget, closed, Arc::clone(&counters)));
        Self { peer, dialled, since_ms, outbox, counters, _open: open }
    }

    /// Queues a message; false when the peer has not read for so long that there is no room.
    #[must_use]
    pub fn send(&self, message: Message) -> bool {
        !matches!(self.outbox.try_send(message), Err(mpsc::error::TrySendError::Full(_)))
    }

    /// Whether what is sent from now on is compressed.
    pub fn set_compress(&self, compress: bool) {
        self.counters.compress.store(compress, Ordering::Relaxed);
    }

    /// What went over it so far.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            sent: self.counters.sent.load(Ordering::Relaxed),
            received: self.counters.received.load(Ordering::Relaxed),
            compressed: self.counters.compress.load(Ordering::Relaxed),
        }
    }
}

async fn write(mut wire: WriteHalf<Box<dyn Wire>>, mut queued: mpsc::Receiver<Message>, counters: Arc<Counters>) {
    let mut messages = Vec::with_capacity(WRITTEN_TOGETHER);
    let mut bytes = BytesMut::new();
    while queued.recv_many(&mut messages, WRITTEN_TOGETHER).await > 0 {
        let compress = counters.compress.load(Ordering::Relaxed);
        let mut codec = MessageCodec { compress, ..MessageCodec::default() };
        for message in messages.drain(..) {
            if let Err(error) = codec.encode(&message, &mut bytes) {
                // Nothing that this node says can be so long; the peer asks again for what it misses.
                tracing::error!(%error, "a message to another member was not sent");
            }
            if bytes.len() >= WRITTEN_BYTES && flush(&mut wire, &mut bytes, &counters).await.is_err() {
                return;
            }
        }
        if flush(&mut wire, &mut bytes, &counters).await.is_err() {
            return;
        }
    }
    // Whoever is gone needs no farewell.
    let _ = tokio::time::timeout(FAREWELL_TIME_MAX, wire.shutdown()).await;
}

async fn flush(wire: &mut WriteHalf<Box<dyn Wire>>, bytes: &mut BytesMut, counters: &Counters) -> std::io::Result<()> {
    wire.write_all(bytes).await?;
    counters.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    bytes.clear();
    wire.flush().await
}

async fn read(
    (session, wire): (SessionId, ReadHalf<Box<dyn Wire>>),
    events: mpsc::Sender<SessionEvent>,
    budget: Budget,
    mut closed: watch::Receiver<()>,
    counters: Arc<Counters>,
) {
    let mut frames = FramedRead::new(wire, MessageCodec::default());
    let (reason, fault) = loop {
        let frame = tokio::select! {
            frame = frames.next() => frame,
            // The node let go of the session.
            _ = closed.changed() => return,
        };
        counters.received.store(frames.decoder().bytes_read, Ordering::Relaxed);
        match frame {
            Some(Ok(message)) => {
                let units = u32::try_from((frames.read_buffer().capacity() / BUDGET_UNIT).clamp(1, BUDGET_UNITS));
                let Ok(permit) = Arc::clone(&budget.0).acquire_many_owned(units.unwrap_or(1)).await else { return };
                if events.send(SessionEvent::Message { session, message, permit }).await.is_err() {
                    return;
                }
            }
            // A process that ends, or is killed, closes no TLS.
            Some(Err(CodecError::Io(error))) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                break ("the peer closed the connection".to_owned(), None);
            }
            Some(Err(CodecError::Io(error))) => {
                break (format!("the connection broke: {}", words(&error)), None);
            }
            Some(Err(error)) => break (error.to_string(), Some(PeerError::CorruptFrame)),
            None => break ("the peer closed the connection".to_owned(), None),
        }
    };
    // The node may have stopped.
    let _ = events.send(SessionEvent::Closed { session, reason, fault }).await;
}
