//! The shape of the tree: where each entry stands and under which name, as a total function of the merged state.
//!
//! Nothing that comes from another master is refused and nothing is mended by writing: an entry whose superior is not
//! here waits ([`waiting`]), a deleted entry with live ones below stays as a phantom ([`placing`]), moves that would
//! make a circle are skipped in the order of their stamps ([`moves`]), and of entries of one name the first claim has
//! it, while what is below the others is shown below it ([`naming`], [`adoption`]). All of it is kept up to date in the
//! writer's transaction, at the cost of what changes.
//!
//! Invariants
//! - same-updates-same-content: equal sets of updates give equal trees, in whatever order they came.
//! - tree-connected: what is shown has a superior that is shown, or is a suffix.
//! - names-unique: of the entries directly below one superior no two are shown under one name.
//! - nothing-lost: a live entry whose superiors are here is shown.

pub(super) mod adoption;
pub(super) mod moves;
pub(super) mod naming;
pub(super) mod placing;
pub(super) mod waiting;

pub use adoption::Adoption;
pub(super) use moves::{Edge, Moved};
pub use moves::{Edges, Move, Outcome as MoveOutcome};

#[cfg(test)]
mod tests;
