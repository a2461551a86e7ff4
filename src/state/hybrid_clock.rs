//! Two clocks as values: the disciplined one says what time it is, the hybrid one stamps changes with it.
//!
//! Peers trust the wall clock, so a clock that jumps an hour ahead stamps changes that nobody can override for an
//! hour, and some refuse all writes until it is mended. Here a jump does not reach the stamps ([`DisciplinedClock`]), a
//! peer's wild stamp is taken but not followed ([`HybridClock::observe`]), and what it hit stays editable
//! ([`HybridClock::bump`]).
//!
//! Invariants
//! - **csn-rises**: [`HybridClock::tick`] gives ever larger CSNs, also after the time went back and, with what
//!   [`HybridClock::last`] said before kept on disk, after a restart.
//! - **csn-unique**: a bumped CSN has the counter's top bit set, a ticked one never; each kind rises by itself.

use std::time::Duration;

use crate::state::csn::{Csn, MS_MAX, OriginId};

/// Stamps further ahead of the local time than this (5 minutes) are not followed.
pub const DRIFT_MS_MAX: u64 = 5 * 60 * 1000;
/// The disciplined clock runs towards the wall clock by at most this much of the time that passes: 500 ppm.
const SLEW_DIVISOR: i64 = 2000;
/// A wall clock off by more than this (2 s) has stepped, which needs somebody's word.
pub const STEP_MS_MAX: u64 = 2000;

/// Counters from here on belong to bumped CSNs.
const BUMPED: u128 = 0x8000;

/// The hybrid logical clock of one origin (Kulkarni, Demirbas and others, 2014): physical time as long as that rises,
/// else a counter. Never blocks, never goes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HybridClock {
    origin: OriginId,
    /// Epoch, ms and counter of the newest CSN seen or made.
    last: u128,
    /// The same of the newest CSN made by bumping.
    bumped: u128,
}

/// Whether a change was stamped above what it touched ([`HybridClock::bump`]): its time is that of somebody else's clock.
pub fn is_bumped(csn: Csn) -> bool {
    csn.0 >> 48 & BUMPED != 0
}

/// What became of a received CSN. In either case the change itself is applied and sent on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Observation {
    /// Later local changes will be newer.
    Followed,
    /// Its origin's clock is wild: raise an alarm that names the origin. The local clock did not move.
    TooFarAhead {
        /// How far it is ahead of the local time.
        ahead_ms: u64,
    },
    /// It is of a later epoch, which the local clock begins when the administrator's word comes. It did not move.
    LaterEpoch,
}

impl HybridClock {
    /// A clock that never ran.
    pub fn new(origin: OriginId) -> Self {
        Self { origin, last: 0, bumped: 0 }
    }

    /// A clock that goes on where [`HybridClock::last`] and [`HybridClock::bumped`] were when kept.
    pub fn resume(origin: OriginId, last: Csn, bumped: Csn) -> Self {
        Self { origin, last: last.0 >> 48, bumped: bumped.0 >> 48 }
    }

    /// Whose changes it stamps.
    pub fn origin(&self) -> OriginId {
        self.origin
    }

    /// The newest CSN made by ticking or followed: kept with every commit. What is older than this and known to every
    /// member may be forgotten.
    pub fn last(&self) -> Csn {
        self.csn(self.last)
    }

    /// The newest CSN made by bumping: kept with every commit.
    pub fn bumped(&self) -> Csn {
        self.csn(self.bumped)
    }

    /// A CSN for a local change, larger than all before; `now_ms` is the disciplined time in unix milliseconds.
    pub fn tick(&mut self, now_ms: u64) -> Csn {
        let now = (self.last >> 64 << 48 | u128::from(now_ms.min(MS_MAX))) << 16;
        let next = self.last + 1;
        let next = if next & BUMPED == 0 { next } else { ((next >> 16) + 1) << 16 };
        let made = now.max(next);
        assert!(made > self.last, "csn-rises");
        self.last = made;
        self.csn(made)
    }

    /// Takes note of a received CSN, so that later local changes are newer than it; unless it is more than
    /// [`DRIFT_MS_MAX`] ahead of `now_ms`, or of a later epoch.
    pub fn observe(&mut self, received: Csn, now_ms: u64) -> Observation {
        if received.epoch() > self.last().epoch() {
            return Observation::LaterEpoch;
        }
        let ahead_ms = received.ms().saturating_sub(now_ms);
        if received.epoch() == self.last().epoch() && ahead_ms > DRIFT_MS_MAX {
            return Observation::TooFarAhead { ahead_ms };
        }
        self.last = self.last.max(received.0 >> 48);
        Observation::Followed
    }

    /// Takes over a clock however far ahead it is: that of a node that may have forgotten what is older.
    pub fn follow(&mut self, clock: Csn) {
        self.last = self.last.max(clock.0 >> 48);
    }

    /// The CSN for a local change that touches something stamped `above` (the causal bump): `ticked` itself if it is
    /// newer, else one just above. The clock does not follow, so what a wild stamp hit can be changed, and nothing else
    /// is hit. Bumped CSNs rise among themselves.
    pub fn bump(&mut self, ticked: Csn, above: Csn) -> Csn {
        if ticked > above {
            return ticked;
        }
        let next = (above.0 >> 48).max(self.bumped) + 1;
        let made = if next & BUMPED == 0 { (next & !0xffff) | BUMPED } else { next };
        // `above` leaves room: receivers refuse stamps at the end of numbers (`Csn::is_acceptable`).
        self.bumped = made.min(u128::MAX >> 48);
        self.csn(self.bumped)
    }

    /// Begins a later epoch at `now_ms`, by an administrator's word on all members: its CSNs are newer than all of earlier
    /// ones, and the time may be right again. An epoch that is not later changes nothing.
    pub fn raise_epoch(&mut self, epoch: u16, now_ms: u64) {
        if epoch > self.last().epoch() {
            self.last = u128::from(epoch) << 64 | u128::from(now_ms.min(MS_MAX)) << 16;
        }
    }

    fn csn(&self, prefix: u128) -> Csn {
        Csn(prefix << 48 | u128::from(self.origin.0 & crate::state::csn::ORIGIN_MAX))
    }
}

/// What the wall clock's reading led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WallVerdict {
    /// It is off by this much (wall minus ours) and approached at 500 ppm.
    Slewing {
        /// Milliseconds to go.
        offset_ms: i64,
    },
    /// It stepped by this much, enough peers agree with it, and it was taken over.
    StepAdopted {
        /// Milliseconds.
        offset_ms: i64,
    },
    /// It stepped by this much and nobody backs it: alarm; time runs on without it.
    StepRefused {
        /// Milliseconds.
        offset_ms: i64,
    },
}

/// Whether the time at start-up can be trusted with replicated writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartVerdict {
    /// It can. (A wall clock that went back is fine: the hybrid clock counts on.)
    Ready,
    /// It is more than 5 minutes ahead of the peers' median: serve replicated suffixes read-only, and say so.
    AheadOfPeers {
        /// By how many milliseconds.
        ahead_ms: u64,
    },
    /// No peer answered, and it is further ahead of the last change here than a member may stay away: read-only, and say
    /// so.
    AheadOfLastChange {
        /// By how many milliseconds.
        ahead_ms: u64,
    },
}

/// The time that stamps are made of: runs with the monotonic clock and approaches the wall clock slowly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DisciplinedClock {
    anchor_us: i64,
    anchor_at: Duration,
    /// What is still to be caught up from the anchor on.
    pending_us: i64,
}

impl DisciplinedClock {
    /// Starts at the wall clock's time. `monotonic` never goes back; the same source must be used later.
    pub fn start(wall_ms: u64, monotonic: Duration) -> Self {
        Self { anchor_us: micros(wall_ms), anchor_at: monotonic, pending_us: 0 }
    }

    /// Judges the start-up time. `last_change` is the kept [`HybridClock::last`] ([`Csn::NONE`] on a new node);
    /// `peer_offsets_ms` are samples "peer's time minus ours", corrected by half the round trip; `offline_ms_max` is
    /// how long a member may stay away.
    pub fn judge_start(wall_ms: u64, last_change: Csn, peer_offsets_ms: &[i64], offline_ms_max: u64) -> StartVerdict {
        if let Some(offset_ms) = median(peer_offsets_ms) {
            let ahead_ms = offset_ms.min(0).unsigned_abs();
            return if ahead_ms > DRIFT_MS_MAX { StartVerdict::AheadOfPeers { ahead_ms } } else { StartVerdict::Ready };
        }
        let ahead_ms = wall_ms.saturating_sub(last_change.ms());
        if last_change != Csn::NONE && ahead_ms > offline_ms_max {
            return StartVerdict::AheadOfLastChange { ahead_ms };
        }
        StartVerdict::Ready
    }

    /// The time in unix milliseconds. Rises with `monotonic`; jumps only where a step is adopted.
    pub fn now_ms(&self, monotonic: Duration) -> u64 {
        u64::try_from(self.now_us(monotonic) / 1000).unwrap_or(0)
    }

    /// Compares with the wall clock; call every few seconds. A step is adopted if the median of at least two peers'
    /// offsets agrees with it to within [`STEP_MS_MAX`].
    pub fn observe_wall(&mut self, wall_ms: u64, monotonic: Duration, peer_offsets_ms: &[i64]) -> WallVerdict {
        let now_us = self.now_us(monotonic);
        let pending_us = micros(wall_ms).saturating_sub(now_us);
        let offset_ms = pending_us / 1000;
        *self = Self { anchor_us: now_us, anchor_at: monotonic.max(self.anchor_at), pending_us: 0 };
        if offset_ms.unsigned_abs() <= STEP_MS_MAX {
            self.pending_us = pending_us;
            return WallVerdict::Slewing { offset_ms };
        }
        let agrees = |median: i64| median.saturating_sub(offset_ms).unsigned_abs() <= STEP_MS_MAX;
        if peer_offsets_ms.len() >= 2 && median(peer_offsets_ms).is_some_and(agrees) {
            self.accept(wall_ms, monotonic);
            return WallVerdict::StepAdopted { offset_ms };
        }
        WallVerdict::StepRefused { offset_ms }
    }

    /// Takes the wall clock's time over, by an administrator's word.
    pub fn accept(&mut self, wall_ms: u64, monotonic: Duration) {
        *self = Self::start(wall_ms, monotonic);
    }

    fn now_us(&self, monotonic: Duration) -> i64 {
        let passed = i64::try_from(monotonic.saturating_sub(self.anchor_at).as_micros()).unwrap_or(i64::MAX / 2);
        let slewed = self.pending_us.abs().min(passed / SLEW_DIVISOR) * self.pending_us.signum();
        self.anchor_us.saturating_add(passed).saturating_add(slewed)
    }
}

fn micros(ms: u64) -> i64 {
    i64::try_from(ms.min(MS_MAX)).unwrap_or(i64::MAX / 1000) * 1000
}

/// The middle sample; of an even number the mean of the middle two. `None` if there is none.
fn median(samples: &[i64]) -> Option<i64> {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get(sorted.len() / 2 - 1)?;
    Some(((i128::from(lower) + i128::from(upper)) / 2) as i64)
}

#[cfg(test)]
mod tests;
