//! Waiting on a condition with a deadline: the only place of the tests that looks at a clock or sleeps.

use std::time::{Duration, Instant};

/// How long a test waits for anything before it calls it lost. Long, because two cores may serve many tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A point in time after which waiting is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

#[expect(clippy::disallowed_methods, reason = "tests have no simulated time: a real process is waited for")]
impl Deadline {
    pub(crate) fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// What is left; zero once it is over.
    pub(crate) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    pub(crate) fn is_over(self) -> bool {
        self.left().is_zero()
    }

    /// Lets a little time pass, never beyond the deadline.
    pub(crate) fn pause(self) {
        std::thread::sleep(Duration::from_millis(10).min(self.left()));
    }
}

/// How long something takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

#[expect(clippy::disallowed_methods, reason = "tests have no simulated time: a real process is measured")]
impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Asks until the answer is `Some`; panics with `what` after `patience`.
#[track_caller]
pub(crate) fn wait_for_within<T>(patience: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Deadline::after(patience);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(!deadline.is_over(), "waited {} s in vain for {what}", patience.as_secs());
        deadline.pause();
    }
}

/// [`wait_for_within`] with the usual patience.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    wait_for_within(PATIENCE, what, ask)
}

/// Waits until the condition holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}
