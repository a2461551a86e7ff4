//! LMDB tables: bytes and ids; no schema, no LDAP policy.
//!
//! One environment a node. Everything that a commit changes (entries, indexes, log, vector, counters) is in
//! it, so that there is no second place that could disagree after a crash. Only this floor names `lmdb`.
//!
//! Invariants
//! - record-checksum: every record of `id2entry`, `id2state`, `bigvalues` and `log` starts with a checksum that
//!   covers its key too; a record that fails is [`StorageError::Corrupted`], never an answer.
//! - no-waiting-reader: a read transaction is never held while waiting for a client.
//! - sound-file: LMDB, which trusts its pages, opens no file that neither a node nor a walk vouches for (`file`).
//! - durable-commit: a commit returns after LMDB's own two flushes; no flag weakens them but in offline bulk load
//!   of a new file.

mod ahead;
mod current;
mod cursor;
mod encryption;
mod entry_record;
mod environment;
mod file;
mod index;
mod key;
mod lock;
mod meta;
mod reader;
mod record;
mod table;
mod transaction;
mod value;
mod view_record;

pub use current::Recent;
pub use cursor::Cursor;
pub use encryption::{CipherPlace, ENCRYPTED_BYTES_MORE, FORM_BYTES, KeyNumber, Keyring, decrypted};
pub use environment::{Environment, Options, Stats, TableStats};
pub use file::{FileCheck, Soundness, Unsound, leave_known, walk_bytes};
pub use index::{IndexCursor, Postings};
pub use key::{
    INDEX_KEY_BYTES_MAX, IndexKind, KEY_BYTES_MAX, bigvalue_key, bigvalue_prefix, dn2id_key, index_key, log_key,
    uuid2id_key,
};
pub use lock::{DataLock, Holder, LockError, LockUse};
pub use meta::{FORMAT_VERSION, MetaName, Naming, check_format};
pub use reader::Reader;
pub use record::{
    Body, seal, sealed_encrypted, sealed_encrypted_id, sealed_id, unseal, unseal_any, unseal_any_id, unseal_id,
};
pub use table::Table;
pub use transaction::{PutMode, ReadTransaction, WriteTransaction};
pub use view_record::{
    AttributeSlice, ENTRY_ALIAS, ENTRY_HAS_ACI, ENTRY_HAS_LINKS, ENTRY_LOSER, ENTRY_PHANTOM, ENTRY_POLICY,
    ENTRY_REFERRAL, ENTRY_SUBENTRY, VALUE_DANGLING, VALUE_ENCRYPTED, VALUE_LINKS, VALUE_OPERATIONAL, VALUE_SECRET,
    VALUE_SPILLED, ViewHeader, ViewRecord, ViewRecordBuilder, set_of, values_of_set,
};

/// The local number of an entry: dense, ascending in creation order, never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntryId(pub u64);

impl EntryId {
    /// No entry: the superior of a suffix.
    pub const NONE: Self = Self(0);

    /// The key bytes in tables with integer keys (native byte order; the file is not portable between byte orders).
    pub fn to_key(self) -> [u8; 8] {
        self.0.to_ne_bytes()
    }

    /// Reads what [`EntryId::to_key`] wrote; anything but eight bytes is entry 0.
    pub fn from_key(bytes: &[u8]) -> Self {
        Self(bytes.try_into().map_or(0, u64::from_ne_bytes))
    }
}

/// Why the store could not do it. Never contains LDAP result codes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// What is on disk breaks the format; not retried. `entente check` tells the extent.
    #[error("corrupted {table}: {detail}")]
    Corrupted {
        /// The table.
        table: &'static str,
        /// Key and what is wrong with its record.
        detail: String,
    },
    /// Keys are missing or wrong, or what is encrypted does not decrypt.
    #[error("{0}")]
    Encryption(String),
    /// The data directory was written by another format version, or is not one of ours.
    #[error("{0}")]
    Format(String),
    /// The file cannot grow: the disk or the map is full. Reads go on; writes are refused until there is room.
    #[error("no room left for the data file ({0})")]
    Full(String),
    /// Input/output failed.
    #[error("input/output: {0}")]
    Io(#[from] std::io::Error),
    /// The structure of the data file is broken: LMDB must not be let at it.
    #[error(
        "{} is damaged: {unsound}. Nothing of it was opened; put a backup in its place (entente restore --replace), or let this member join its cluster again",
        file.display()
    )]
    Unsound {
        /// The data file.
        file: std::path::PathBuf,
        /// The first thing that is wrong.
        unsound: Unsound,
    },
    /// LMDB refused; the text is LMDB's own.
    #[error("LMDB: {0}")]
    Lmdb(String),
}
