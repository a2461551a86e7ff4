//! The rules that keep masters from parting, each as something that a test can take away.
//!
//! A simulation that passes proves little unless it fails when a rule is missing. Only builds with debug assertions have
//! the switch; in others [`Dit::lacks`] is always false and costs nothing.

use super::tree::Dit;

/// A rule that is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    /// An entry that is unknown here and whose birth is held is not known to be deleted.
    BirthsTellNothing,
    /// A change may be older than what it touches.
    NoCausalBump,
    /// A move may make a circle.
    NoCircleSkip,
    /// What stands ahead of the local clock is forgotten too.
    NoClockGuard,
    /// A name goes to whoever came here first.
    NoCollisionOrder,
}

impl Dit {
    /// Whether the tree was opened without a rule, for a test.
    #[cfg(debug_assertions)]
    pub(super) fn lacks(&self, rule: Mutant) -> bool {
        self.mutant == Some(rule)
    }

    /// Never.
    #[cfg(not(debug_assertions))]
    #[inline(always)]
    pub(super) fn lacks(&self, _: Mutant) -> bool {
        false
    }
}
