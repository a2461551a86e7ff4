//! Where all time enters: nobody else asks the operating system (clippy.toml bans it).
//!
//! A [`Clock`] is handed down by value, so that tests and simulation own time. Two kinds of time stay apart:
//! wall time (unix milliseconds, may step) for stamps and timestamps, monotonic time for deadlines and rates.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of time; cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System {
        start: Instant,
    },
    /// `stepped_ms`: wall time minus the time that has passed.
    Simulated {
        now_ms: Arc<AtomicU64>,
        stepped_ms: Arc<AtomicI64>,
    },
}

impl Clock {
    /// The operating system's time.
    #[expect(clippy::disallowed_methods, reason = "this is the one place where time enters")]
    pub fn system() -> Self {
        Self(Source::System { start: Instant::now() })
    }

    /// A clock that stands still at `now_ms` unix milliseconds until [`Clock::advance`] moves it.
    pub fn simulated(now_ms: u64) -> Self {
        Self(Source::Simulated { now_ms: Arc::new(AtomicU64::new(now_ms)), stepped_ms: Arc::default() })
    }

    /// Wall time in unix milliseconds; may step in either direction.
    #[expect(clippy::disallowed_methods, reason = "this is the one place where time enters")]
    pub fn wall_ms(&self) -> u64 {
        match &self.0 {
            Source::System { .. } => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_millis()
                .try_into()
                .unwrap_or(u64::MAX),
            Source::Simulated { now_ms, stepped_ms } => {
                now_ms.load(Ordering::Relaxed).saturating_add_signed(stepped_ms.load(Ordering::Relaxed))
            }
        }
    }

    /// Time since this clock was made; never goes back.
    #[expect(clippy::disallowed_methods, reason = "this is the one place where time enters")]
    pub fn monotonic(&self) -> Duration {
        match &self.0 {
            Source::System { start } => Instant::now().duration_since(*start),
            Source::Simulated { now_ms, .. } => Duration::from_millis(now_ms.load(Ordering::Relaxed)),
        }
    }

    /// Moves a simulated clock forward; the system's clock is not moved.
    pub fn advance(&self, by: Duration) {
        if let Source::Simulated { now_ms, .. } = &self.0 {
            now_ms.fetch_add(by.as_millis().try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// Sets a simulated wall clock by so many milliseconds, while no time passes; the system's clock is not moved.
    pub fn step(&self, by_ms: i64) {
        if let Source::Simulated { stepped_ms, .. } = &self.0 {
            stepped_ms.fetch_add(by_ms, Ordering::Relaxed);
        }
    }
}
