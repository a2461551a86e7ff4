//! Threads that hash passwords.
//!
//! One Argon2id verification takes some 20 ms of a core: on the threads that serve connections, ten people who log in
//! would stop everybody's searches. Here they wait in line before a few threads instead, and when the line is too
//! long they are told `busy` at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Work for the pool.
type Job = Box<dyn FnOnce() + Send>;

/// The pool; cheap to clone. Its threads end when the last clone is gone and the line is empty.
#[derive(Clone)]
pub struct HashingPool(SyncSender<Job>);

/// The line before the threads is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked; try again later")]
pub struct Busy;

impl HashingPool {
    /// Starts `threads` threads (at least one) with a line of `queue_max` jobs.
    ///
    /// # Errors
    /// What the operating system says when not even one thread can be made.
    pub fn start(threads: usize, queue_max: usize) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel::<Job>(queue_max);
        let receiver = Arc::new(Mutex::new(receiver));
        let mut started = 0;
        for number in 0..threads.max(1) {
            let receiver = Arc::clone(&receiver);
            let thread = std::thread::Builder::new().name(format!("hashing-{number}"));
            match thread.spawn(move || work(&receiver)) {
                Ok(_) => started += 1,
                Err(error) if started == 0 => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, started, "fewer hashing threads than asked for");
                    break;
                }
            }
        }
        Ok(Self(sender))
    }

    /// Puts `job` into the line.
    ///
    /// # Errors
    /// `Busy`; the job is dropped.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) -> Result<(), Busy> {
        self.0.try_send(Box::new(job)).map_err(|_| Busy)
    }
}

fn work(receiver: &Mutex<Receiver<Job>>) {
    loop {
        // Whoever holds the lock waits for the next job, the others for the lock.
        let job = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // The panic is counted and logged by the hook; dropping what the job held tells the client.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_full_line_is_busy_and_moves_on() {
        let pool = HashingPool::start(1, 1).unwrap();
        let (go, gate) = channel::<()>();
        let (done, results) = channel();
        let at_work = done.clone();
        pool.run(move || {
            at_work.send(0).unwrap();
            gate.recv().unwrap();
        })
        .unwrap();
        assert_eq!(results.recv().unwrap(), 0);
        let waiting = done.clone();
        pool.run(move || waiting.send(1).unwrap()).unwrap();
        assert_eq!(pool.run(|| {}), Err(Busy));
        go.send(()).unwrap();
        assert_eq!(results.recv().unwrap(), 1);
        pool.run(move || done.send(2).unwrap()).unwrap();
        assert_eq!(results.recv().unwrap(), 2);
    }

    #[test]
    fn a_panic_ends_its_job_only() {
        let pool = HashingPool::start(1, 4).unwrap();
        let (done, results) = channel();
        pool.run(|| panic!("on purpose")).unwrap();
        pool.run(move || done.send(()).unwrap()).unwrap();
        results.recv().unwrap();
    }
}
