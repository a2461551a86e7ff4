//! Stopping in order: one signal for everybody, and a wait for those who are at work.
//!
//! Whoever serves something holds a [`ShutdownGuard`] for as long as it does and listens to the signal. The node sends
//! the signal once, waits until all guards are gone or the deadline has passed, and then ends what is left.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// The signal and the count of those at work; cheap to clone, all clones are one.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<Channels>);

#[derive(Debug)]
struct Channels {
    signal: watch::Sender<bool>,
    /// Never sent to: its receivers are the guards.
    guards: watch::Sender<()>,
}

/// Held by who is at work; dropping it says done.
#[derive(Debug)]
pub struct ShutdownGuard {
    _held: watch::Receiver<()>,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Everybody was done in time.
    All,
    /// The deadline passed; so many were still at work.
    Left(usize),
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// Not triggered, nobody at work.
    pub fn new() -> Self {
        Self(Arc::new(Channels { signal: watch::Sender::new(false), guards: watch::Sender::new(()) }))
    }

    /// Tells everybody to stop; again has no effect.
    pub fn trigger(&self) {
        self.0.signal.send_replace(true);
    }

    /// True once triggered.
    pub fn is_triggered(&self) -> bool {
        *self.0.signal.borrow()
    }

    /// Waits until triggered; at once if it already is. Safe to drop and call again (`select!`).
    pub async fn triggered(&self) {
        let mut signal = self.0.signal.subscribe();
        // An error means that the sender is gone, which `self` rules out.
        let _ = signal.wait_for(|triggered| *triggered).await;
    }

    /// Counts one more at work until the guard is dropped.
    pub fn guard(&self) -> ShutdownGuard {
        ShutdownGuard { _held: self.0.guards.subscribe() }
    }

    /// How many are at work.
    pub fn guards(&self) -> usize {
        self.0.guards.receiver_count()
    }

    /// Waits until nobody is at work, at most for `deadline`.
    pub async fn drained(&self, deadline: Duration) -> Drained {
        match tokio::time::timeout(deadline, self.0.guards.closed()).await {
            Ok(()) => Drained::All,
            Err(_) => match self.guards() {
                0 => Drained::All,
                left => Drained::Left(left),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_signal_reaches_who_waits_and_who_comes_late() {
        let shutdown = Shutdown::new();
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.triggered().await }
        });
        assert!(!shutdown.is_triggered());
        shutdown.trigger();
        waiting.await.unwrap();
        shutdown.triggered().await;
        assert!(shutdown.is_triggered());
    }

    #[tokio::test]
    async fn a_drain_waits_for_guards_until_its_deadline() {
        let shutdown = Shutdown::new();
        assert_eq!(shutdown.drained(Duration::from_secs(5)).await, Drained::All);
        let guard = shutdown.guard();
        assert_eq!(shutdown.drained(Duration::from_millis(10)).await, Drained::Left(1));
        let draining = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.drained(Duration::from_secs(60)).await }
        });
        drop(guard);
        assert_eq!(draining.await.unwrap(), Drained::All);
    }
}
