//! The time that stamps are made of: the system's clock without its jumps.
//!
//! A wall clock that jumps while a node runs would stand in the stamps of all that is written from then on, and they stay
//! after the clock is right again. So nothing here asks the wall clock what time it is: time runs on with the monotonic
//! clock from what the wall clock said at the start, follows small differences slowly, and jumps only on somebody's word
//! ([`crate::state::DisciplinedClock`]). Whoever measures against a wall clock elsewhere (certificates, invitations) asks
//! [`Dit::clock`].
//!
//! Invariants
//! - One task compares with the wall clock and accepts it: it that knows the members' clocks.
//! - Simulated clocks go the same way.

use super::tree::Dit;
use crate::state::DisciplinedClock;
use crate::state::hybrid_clock::WallVerdict;
use std::sync::Arc;

impl Dit {
    /// Unix milliseconds, as this node stamps. Cost: a reading of the monotonic clock.
    pub fn now_ms(&self) -> u64 {
        self.stamp_time.load().now_ms(self.clock().monotonic())
    }

    /// Compares with the wall clock; `peer_offsets_ms` are those of the members' clocks, theirs minus [`Dit::now_ms`].
    /// To be called every few seconds.
    pub fn observe_wall(&self, peer_offsets_ms: &[i64]) -> WallVerdict {
        let mut time = **self.stamp_time.load();
        let verdict = time.observe_wall(self.clock().wall_ms(), self.clock().monotonic(), peer_offsets_ms);
        self.stamp_time.store(Arc::new(time));
        verdict
    }

    /// Takes the wall clock's time over, by an administrator's word or before anything was stamped. Returns by how many
    /// milliseconds that is another one.
    pub fn accept_wall(&self) -> i64 {
        let wall_ms = self.clock().wall_ms();
        let moved_ms = wall_ms.cast_signed().saturating_sub(self.now_ms().cast_signed());
        self.stamp_time.store(Arc::new(DisciplinedClock::start(wall_ms, self.clock().monotonic())));
        moved_ms
    }
}
