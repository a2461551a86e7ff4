//! The replicated state as pure functions: stamps, cells, joins, view rules.
//!
//! What an entry *is* is not a list of values but the join of all changes ever made to it: registers and value
//! cells, each stamped with the change that wrote it. Joins are commutative, associative and idempotent, so
//! masters that received the same changes in any order, with any repetition, hold the same state; and what a
//! client sees is a pure function of it ([`view`]). Nothing here does I/O, asks the time, or knows the schema: value
//! keys come ready-made from the origin, so that no difference of schema between two nodes can make them differ.
//!
//! Invariants, by name
//! - **csn-unique**: no two changes carry one CSN ([`hybrid_clock`]).
//! - **csn-rises**: CSNs by the clock strictly rise, and a change is newer than all it touches ([`hybrid_clock`],
//!   [`EntryState::max_csn_touched`]).
//! - **vector-no-holes**, **vector-rises**: a vector says all up to a number, and never less than before
//!   ([`update_vector`]).
//! - **same-updates-same-content**: equal sets of updates give equal states ([`entry_state`], [`attribute_state`]).
//! - **rdn-values-present**, **single-value-single**: hold in every view of every state ([`view`]).
//!
//! Not here: the shape of the tree and name clashes (`dit`), tables (`storage`), normal forms of values (`schema`).

pub mod attribute_state;
pub mod cells;
pub mod conflict;
pub mod counter;
pub mod csn;
pub mod digest;
pub mod encoding;
pub mod entry_state;
pub mod error;
pub mod hybrid_clock;
pub mod log_record;
pub mod portable;
pub mod update;
pub mod update_vector;
pub mod value_key;
pub mod view;

#[cfg(test)]
mod cluster_model;
#[cfg(test)]
mod testing;

pub use attribute_state::{AttributeState, Spilled, join_cell};
pub use cells::{Cell, CellValue, Cells};
pub use counter::{Counter, CounterBase, CounterPart};
pub use csn::{Csn, Dot, OpenLdapCsn, OriginId, Stamp};
pub use digest::{BUCKETS, BucketSum, EntryDigest, bucket_of};
pub use entry_state::{Effect, EntryState, RdnAva, RdnState};
pub use error::StateError;
pub use hybrid_clock::{DisciplinedClock, HybridClock};
pub use log_record::{LogRecord, NodeId, StableCut};
pub use portable::PortableEntry;
pub use update::{AttributeId, Delta, Former, UnknownField, Update};
pub use update_vector::{OriginPosition, UpdateVector, Verdict};
pub use value_key::ValueKey;
pub use view::ViewValue;
