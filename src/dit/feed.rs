//! "Committed up to here": whoever follows the tree waits here and then reads the log at its own pace.

use tokio::sync::watch;

/// A signal that carries the number of commits.
#[derive(Clone, Debug)]
pub struct Feed {
    commits: watch::Sender<u64>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { commits: watch::Sender::new(0) }
    }
}

impl Feed {
    /// Tells the followers of one more commit.
    pub fn announce(&self) {
        self.commits.send_modify(|commits| *commits += 1);
    }

    /// A receiver that wakes after each commit; many commits may make one wake-up.
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    /// How many commits there were since the start.
    pub fn commits(&self) -> u64 {
        *self.commits.borrow()
    }
}
