//! The single writer: a bounded queue, one thread, one commit for many changes.
//!
//! A flush to disk costs more than a hundred changes, so whatever waits is done in one transaction and answered after
//! its commit. A change comes as a closure from the floor above: it re-checks its preconditions inside the
//! transaction, applies, and leaves behind what is to be done after the commit (answer the client). It validates
//! before its first put, so that a refused change needs no rollback.
//!
//! Invariants
//! - durable-answer: what a closure leaves behind runs after LMDB's flush, or is told that the commit failed.
//! - A closure that panics, or a storage error, drops the whole transaction: nothing is half written. After a panic
//!   the writer accepts no more changes until the node is started again: crash before corrupting.

use super::DitError;
use super::tree::Dit;
use super::writing::Writing;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Work in one commit at most, unless a single change takes longer.
const GROUP_WORK: Duration = Duration::from_millis(10);
/// The same while a directory is taken in and nobody waits for an answer.
const FILL_WORK: Duration = Duration::from_millis(500);

/// Whether the commit succeeded; the text of the failure is for the log, not for clients.
pub type Committed<'c> = Result<(), &'c DitError>;
/// What a change leaves behind.
pub type Completion = Box<dyn FnOnce(Committed<'_>) + Send>;
/// A change: runs inside the transaction.
pub type Job = Box<dyn FnOnce(&mut Writing<'_>) -> Result<Completion, (DitError, Completion)> + Send>;

enum Order {
    Change(Job),
    /// In a transaction of its own.
    Alone(Job),
    Stop,
}

/// Counters of the writer.
#[derive(Debug, Default)]
pub struct WriterStats {
    /// Changes that waited when last looked.
    pub queued: AtomicU64,
    /// Commits.
    pub commits: AtomicU64,
    /// Changes done.
    pub changes: AtomicU64,
}

/// The handle to the writer's thread; cloned by whoever submits.
#[derive(Clone)]
pub struct Writer {
    queue: SyncSender<Order>,
    stats: Arc<WriterStats>,
    poisoned: Arc<AtomicBool>,
}

impl Writer {
    /// Starts the thread. `queue_max` changes may wait; more are refused.
    ///
    /// # Errors
    /// [`DitError::Unavailable`] when the thread cannot be made; [`DitError::Storage`].
    pub fn start(dit: Arc<Dit>, queue_max: usize) -> Result<(Self, JoinHandle<()>), DitError> {
        let (queue, orders) = sync_channel(queue_max);
        let writer =
            Self { queue, stats: Arc::new(WriterStats::default()), poisoned: Arc::new(AtomicBool::new(false)) };
        let (stats, poisoned) = (Arc::clone(&writer.stats), Arc::clone(&writer.poisoned));
        let thread = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || run(&dit, &orders, &stats, &poisoned))
            .map_err(|_| DitError::Unavailable("the writer's thread cannot be started"))?;
        Ok((writer, thread))
    }

    /// Queues a change.
    ///
    /// # Errors
    /// [`DitError::Unavailable`]: the queue is full, or the writer has stopped; the change was not looked at.
    pub fn submit(&self, job: Job) -> Result<(), DitError> {
        self.send(Order::Change(job))
    }

    /// Queues a change that is made in a transaction of its own, so that it can be undone although it has written:
    /// an error of the job drops what it did and nothing else.
    ///
    /// # Errors
    /// As [`Writer::submit`].
    pub fn submit_alone(&self, job: Job) -> Result<(), DitError> {
        self.send(Order::Alone(job))
    }

    fn send(&self, order: Order) -> Result<(), DitError> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(DitError::Unavailable(
                "this server stopped taking changes after an internal fault; restart it and run: entente check",
            ));
        }
        self.stats.queued.fetch_add(1, Ordering::Relaxed);
        self.queue.try_send(order).map_err(|error| {
            self.stats.queued.fetch_sub(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => DitError::Unavailable("too many changes are waiting; try again later"),
                TrySendError::Disconnected(_) => DitError::Unavailable("the server is stopping"),
            }
        })
    }

    /// Lets the thread finish what is queued and end; join its handle afterwards. Blocks while the queue is full.
    pub fn stop(&self) {
        let _ = self.queue.send(Order::Stop);
    }

    /// Counters.
    pub fn stats(&self) -> &WriterStats {
        &self.stats
    }

    /// Whether a fault made the writer refuse further changes.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }
}

fn run(dit: &Dit, orders: &Receiver<Order>, stats: &WriterStats, poisoned: &AtomicBool) {
    let mut carried = None;
    loop {
        let order = match carried.take() {
            Some(order) => order,
            None => match orders.recv() {
                Ok(order) => order,
                Err(_) => break,
            },
        };
        if let Order::Stop = order {
            break;
        }
        let stop;
        (stop, carried) = group(dit, order, orders, stats, poisoned);
        if stop || poisoned.load(Ordering::Acquire) {
            break;
        }
    }
    // Whoever still waits is answered by the drop of its closure (its reply channel closes).
}

/// Runs one group and commits it. Returns whether a stop was among the orders, and the order that is to begin the next
/// group.
fn group(
    dit: &Dit,
    first: Order,
    orders: &Receiver<Order>,
    stats: &WriterStats,
    poisoned: &AtomicBool,
) -> (bool, Option<Order>) {
    let (first, is_alone) = match first {
        Order::Change(job) => (job, false),
        Order::Alone(job) => (job, true),
        Order::Stop => return (true, None),
    };
    let mut completions: Vec<Completion> = Vec::new();
    let mut writing = match Writing::begin(dit) {
        Ok(writing) => writing,
        Err(error) => {
            stats.queued.fetch_sub(1, Ordering::Relaxed);
            tracing::error!(%error, "a write transaction cannot be begun");
            return (false, None);
        }
    };
    let started = dit.clock().monotonic();
    let mut next = Some(first);
    let mut stop = false;
    let mut carried = None;
    let mut failure = None;
    while let Some(job) = next.take() {
        stats.queued.fetch_sub(1, Ordering::Relaxed);
        stats.changes.fetch_add(1, Ordering::Relaxed);
        match catch_unwind(AssertUnwindSafe(|| job(&mut writing))) {
            Ok(Ok(completion)) => completions.push(completion),
            Ok(Err((error, completion))) => {
                completions.push(completion);
                failure = Some(error);
            }
            Err(_) => {
                poisoned.store(true, Ordering::Release);
                failure =
                    Some(DitError::Unavailable("a change failed inside the writer; nothing of its group was stored"));
            }
        }
        if is_alone
            || failure.is_some()
            || completions.len() >= dit.batch_max()
            || dit.clock().monotonic() - started > if writing.filling { FILL_WORK } else { GROUP_WORK }
        {
            break;
        }
        match orders.try_recv() {
            Ok(Order::Change(job)) => next = Some(job),
            Ok(order @ Order::Alone(_)) => carried = Some(order),
            Ok(Order::Stop) => stop = true,
            Err(_) => {}
        }
    }
    let outcome = match failure {
        Some(error) => Err(error),
        None => writing.commit(),
    };
    stats.commits.fetch_add(1, Ordering::Relaxed);
    if let Err(error) = &outcome
        && !matches!(error, DitError::Withdrawn)
    {
        tracing::error!(%error, changes = completions.len(), "a group of changes was not stored");
    }
    for completion in completions {
        completion(outcome.as_ref().copied());
    }
    (stop, carried)
}
