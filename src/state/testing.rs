//! What the tests of this floor share.

use crate::state::csn::{Csn, OriginId, Stamp};

/// A stamp at `ms` of `origin`; its sequence is `ms`, as if the origin wrote once a millisecond.
pub(in crate::state) fn stamp(ms: u64, origin: u64) -> Stamp {
    Stamp { csn: Csn::new(ms, 0, OriginId(origin)), sequence: ms }
}
