//! The replicated tree: read snapshots of it, and the one door through which it changes.
//!
//! State, view, index: the state record of an entry is what suppliers merge; its view record is a pure function of
//! the state (and of the names of what it refers to); index keys are a pure function of the view. Reads touch view
//! and index only. Every change, local or replicated, passes `apply` inside the one writer's
//! transaction, which changes all three together with log and vector.

mod apply;
mod arrivals;
mod bulk;
mod carrying;
mod catalog;
mod changes;
mod check;
mod cluster;
mod conflict;
mod derive;
mod digest_table;
mod encryption;
mod exchange;
mod feed;
mod fill;
mod handover;
mod index_keys;
mod links;
mod log;
mod mutant;
mod origin;
mod receive;
mod restated;
mod rewritten;
mod schema_entry;
mod settle;
mod shape;
mod sorter;
mod soundness;
mod spill;
mod stamp_time;
mod suffix_digest;
mod text_names;
mod texts;
mod tree;
mod undelete;
mod unique_members;
mod values;
mod view;
mod view_keys;
mod writer;
mod writing;

pub use bulk::{BulkLoad, reindex};
pub use catalog::{AttributeInfo, Catalog, IndexOptions, Indexed, WellKnown};
pub use changes::{Departed, LoggedChange};
pub use check::{CheckReport, check};
pub use cluster::{CLUSTER_DN, ClusterEntry, MEMBERS_DN, NamedValues};
pub use conflict::{
    CONFLICTS_MAX, Conflict, ConflictKind, ConflictPlace, ConflictState, DECIDED_KEPT_MS, KEPT_MS, MARK_KEPT_MS,
    NameSide, Side, SideContent, Standing, UntoldRange,
};
pub use digest_table::EntryHead;
pub use encryption::{Anew, Encryption, EncryptionOptions, encrypt_anew, encrypted_with};
pub use exchange::{EntryMark, Merged};
pub use feed::Feed;
pub use index_keys::{
    Gram, LONG_PIECE, TEXT_LINK_BEGINS, grams_of, grams_of_part, keys_of_value, link_key, text_link_key, uid_text_key,
};
pub use log::LogRange;
pub use mutant::Mutant;
pub use receive::Receipt;
pub use rewritten::{Rewritten, holds};
pub use schema_entry::SCHEMA_DN;
pub use settle::Settled;
pub use shape::{Adoption, Edges, Move, MoveOutcome};
pub use tree::{Dit, Options, Snapshot};
pub use undelete::{Deleted, Listed};
pub use values::{ValueError, birth_deltas, rdn_state, value_of};
pub use view::{Children, Entry, Resolution, View};
pub use writer::{Committed, Completion, Job, Writer, WriterStats};
pub use writing::{Target, Writing};

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod replica;
#[cfg(test)]
mod tests;

use crate::storage::StorageError;

/// Why the tree could not do it. LDAP result codes are given to these by `operation`, and nowhere else.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DitError {
    /// An attribute type that the schema does not know.
    #[error("attribute type {0} is not in the schema")]
    UnknownAttribute(String),
    /// More different attribute descriptions than a directory can have.
    #[error("more than {attributes_max} different attribute descriptions are in use")]
    TooManyAttributes {
        /// The limit.
        attributes_max: usize,
    },
    /// More different options of one attribute type than a directory can have.
    #[error("more than {options_max} different options of {name} are in use; use one of those")]
    TooManyOptions {
        /// The attribute type.
        name: String,
        /// The limit.
        options_max: usize,
    },
    /// An update names an entry that is not here.
    #[error("no entry with entryUUID {0}")]
    NoSuchEntry(crate::model::EntryUuid),
    /// A state record does not decode.
    #[error("state of entry number {id}: {detail}")]
    State {
        /// Entry number.
        id: u64,
        /// What is wrong.
        detail: String,
    },
    /// The writer has stopped, or its queue is full.
    #[error("{0}")]
    Unavailable(&'static str),
    /// A change that was tried and is not to be kept.
    #[error("the change was withdrawn")]
    Withdrawn,
    /// Storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
