//! Staying in step with the old server for as long as it takes: changes as they come, in transactions of what comes close
//! together, and the search begun anew when the old server or the way to it is gone.

use super::apply::Store;
use super::consumer::{Consumer, Event};
use super::cookie::{joined, lag_ms};
use super::pass::Pass;
use super::{BATCH_MAX, Migration, Progressed};
use crate::cli::output::CliError;
use crate::clock::Clock;
use crate::model::ResultCode;
use crate::wire::sync::SyncMode;
use std::time::Duration;

/// Changes that come so close together share a transaction.
const BATCH_WAIT: Duration = Duration::from_millis(20);
/// Between two attempts to reach the old server again.
const RETRY: Duration = Duration::from_secs(2);
/// Between two lines that say how it goes.
const TELL_EVERY: Duration = Duration::from_secs(10);

impl Migration<'_> {
    /// Stays in step until a signal comes.
    pub(super) async fn follow(&self, store: &mut Store, state: &mut Progressed) -> Result<(), CliError> {
        use tokio::signal::unix::{SignalKind, signal};
        let no_signal = |error: std::io::Error| CliError::new(format!("signals: {error}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(no_signal)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signal)?;
        loop {
            let following = tokio::select! {
                outcome = self.follow_once(store, state) => outcome,
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
            };
            match following {
                Err(Trouble::Fatal(error)) => return Err(error),
                Err(Trouble::Passing(why)) => {
                    self.output.line(&format!("{why}; trying again in {} s", RETRY.as_secs()))?;
                    tokio::select! {
                        () = tokio::time::sleep(RETRY) => {}
                        _ = terminate.recv() => return Ok(()),
                        _ = interrupt.recv() => return Ok(()),
                    }
                }
                Ok(()) => {}
            }
        }
    }

    async fn follow_once(&self, store: &mut Store, state: &mut Progressed) -> Result<(), Trouble> {
        let cookie = Self::usable(state);
        let mode = SyncMode::RefreshAndPersist;
        let opened = Consumer::open(&self.target, &self.args.base, mode, cookie.as_deref()).await;
        let mut consumer = opened.map_err(Trouble::passing)?;
        let is_whole = cookie.is_none();
        let (mut pass, mut cookie, mut is_refreshed) = (Pass::default(), None, false);
        let clock = Clock::system();
        let mut told_at: Option<Duration> = None;
        loop {
            let next = if pass.orders.is_empty() {
                tokio::time::timeout(TELL_EVERY, consumer.next()).await
            } else {
                tokio::time::timeout(BATCH_WAIT, consumer.next()).await
            };
            let is_pause = next.is_err();
            for event in next.unwrap_or(Ok(None)).map_err(Trouble::passing)?.into_iter().flatten() {
                match event {
                    Event::Cookie(fresh) => cookie = Some(joined(cookie.take(), &state.cookie, fresh)),
                    Event::Refreshed { cookie: fresh, deletes } => {
                        pass.refreshed(store, &self.base, deletes && !is_whole)?;
                        cookie = fresh.or(cookie);
                        is_refreshed = true;
                    }
                    Event::End { code: ResultCode::E_SYNC_REFRESH_REQUIRED, .. } => {
                        state.cookie.clear();
                        return Ok(());
                    }
                    Event::End { code, text, .. } => return Err(Trouble::Passing(self.ended(code, &text).to_string())),
                    event => pass.take(event),
                }
            }
            if is_pause || pass.orders.len() >= BATCH_MAX {
                pass.apply(store)?;
            }
            if is_refreshed && pass.orders.is_empty() {
                if let Some(fresh) = cookie.take() {
                    let lag = lag_ms(&fresh, &clock);
                    self.reached(store, state, Some(fresh))?;
                    let now = clock.monotonic();
                    if told_at.is_none_or(|told| now - told >= TELL_EVERY) {
                        told_at = Some(now);
                        self.tell_lag(store, lag)?;
                    }
                } else if is_pause && told_at.is_none_or(|told| clock.monotonic() - told >= TELL_EVERY) {
                    told_at = Some(clock.monotonic());
                    self.tell_lag(store, Some(0))?;
                }
            }
        }
    }

    fn tell_lag(&self, store: &Store, lag: Option<u64>) -> Result<(), CliError> {
        let lag = lag.map_or_else(String::new, |ms| format!(", {:.1} s behind", ms as f64 / 1000.0));
        self.output.line(&format!("in step: {} entries changed{lag}", store.tally.changed))
    }
}

/// Why following stopped.
enum Trouble {
    /// Here; it would stop again.
    Fatal(CliError),
    /// There, or on the way.
    Passing(String),
}

impl Trouble {
    #[expect(clippy::needless_pass_by_value, reason = "for map_err")]
    fn passing(error: CliError) -> Self {
        Self::Passing(error.to_string())
    }
}

impl From<CliError> for Trouble {
    fn from(error: CliError) -> Self {
        Self::Fatal(error)
    }
}
