//! The index: a large table in key order, and before it the changes that are not merged into it yet.
//!
//! A new contact has a hundred keys, and each of them lands on another page of the large table: merging at every commit
//! wrote two hundred pages for one add. So a commit writes its changed keys as one small sorted *run* (one record), keeps
//! it in memory too, and once some hundred thousand keys wait they are merged in key order, a slice with each commit,
//! when neighbours share pages.
//!
//! ```text
//! open set (this write transaction) -> runs of commits, joined as they grow -> frozen run, being merged -> table
//!      newest                                                                                             oldest
//! ```
//!
//! A run says of (key, id) whether the id is there; the newest that says anything is right, and what nobody speaks of is
//! as the table has it. Readers ask all of them through [`Postings`] and [`IndexCursor`], and nothing else reads the table.
//!
//! Invariants
//! - one-snapshot: runs in memory carry the number of the LMDB transaction that they belong to, and a reader takes those
//!   of its own snapshot; if memory has none (another process writes), they are read from the snapshot's records.
//! - merging-says-nothing-new: a merged slice repeats what the frozen run says, so that a merge may stop anywhere, also in
//!   a crash, and begin anew.
//! - The records of runs are in two tables in turn, so that those of a frozen run go by emptying one. Those of the newest
//!   small commits stand in `current` and go from there to their table together, before anything of them is frozen.

mod cursor;
mod overlay;
mod postings;
mod run;
mod version;

pub use cursor::IndexCursor;
pub(super) use overlay::{OpenSet, Overlay};
pub use postings::Postings;
pub(super) use version::{Published, Version};

#[cfg(test)]
mod tests;
