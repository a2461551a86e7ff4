//! The `meta` table: names and bytes, and the format version that is looked at before anything else. Those that nearly every
//! commit changes stand in the table `current`.

use super::StorageError;
use super::{PutMode, Reader, Table, WriteTransaction};

/// The format that this program writes. Raise it with every change of a key or a record, and say in CHANGELOG.md
/// how an older one is upgraded.
pub const FORMAT_VERSION: u32 = if cfg!(feature = "next") { 9 } else { 8 };

/// What `meta` holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetaName {
    /// Format version, u32.
    Format,
    /// Cluster id, 16 bytes.
    Cluster,
    /// Node id, 16 bytes.
    Node,
    /// This incarnation's origin, u64.
    Origin,
    /// The origins under which this data directory wrote before, u64 each.
    OriginsBefore,
    /// What must be held before changes of clients are taken, after an old copy was put back: origin u64, sequence u64 each.
    CatchUp,
    /// What whole entries may have brought beyond the vector, while the log is to bring the rest: origin u64, sequence u64 each.
    Uncovered,
    /// Last sequence number that this origin used, u64.
    Sequence,
    /// Last time stamp of the hybrid clock (a CSN), 16 bytes.
    Clock,
    /// Last entry id used, u64.
    LastEntryId,
    /// Naming stamp: changes whenever a rename, move or delete may have changed the text of a link, u64; behind it a u64
    /// that changes with every change of the table `adopted`.
    NamingStamp,
    /// Key and certificate of this node as a member of its cluster; see `replication/identity.rs`.
    Member,
    /// What an unfinished join goes on with; see `replication/invite.rs`.
    Join,
    /// What was last heard of the other members; see `replication/engine/contacts.rs`.
    Contacts,
    /// When this content was begun, since the one before was ahead of all other members, unix milliseconds, u64.
    Filled,
    /// Port at which other members last reached this node, u64.
    MemberPort,
    /// Number of the data file when this node last served it, u64: another number says that it is a copy.
    FileNumber,
    /// What is encrypted and with which key, text; see `dit/encryption.rs`.
    Encryption,
    /// Fingerprint of the index configuration that the index table was built by, text.
    IndexConfiguration,
    /// The sum of the digests of all entries: count u64, sum u128, little-endian.
    Digest,
}

impl MetaName {
    /// Where it stands.
    fn table(self) -> Table {
        match self {
            Self::Clock | Self::Digest | Self::LastEntryId | Self::NamingStamp | Self::Sequence => Table::Current,
            _ => Table::Meta,
        }
    }

    pub(super) fn key(self) -> &'static [u8] {
        match self {
            Self::Format => b"format",
            Self::Cluster => b"cluster",
            Self::Node => b"node",
            Self::Origin => b"origin",
            Self::OriginsBefore => b"origins-before",
            Self::CatchUp => b"catch-up",
            Self::Uncovered => b"uncovered",
            Self::Sequence => b"sequence",
            Self::Clock => b"clock",
            Self::LastEntryId => b"last-entry-id",
            Self::NamingStamp => b"naming-stamp",
            Self::Member => b"member",
            Self::Join => b"join",
            Self::Contacts => b"contacts",
            Self::Filled => b"filled",
            Self::MemberPort => b"member-port",
            Self::FileNumber => b"file-number",
            Self::Encryption => b"encryption",
            Self::IndexConfiguration => b"index-configuration",
            Self::Digest => b"digest",
        }
    }
}

impl<'t> Reader<'t> {
    /// The bytes of `name`, if set.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn meta(&self, name: MetaName) -> Result<Option<&'t [u8]>, StorageError> {
        self.get(name.table(), name.key())
    }

    /// The number at `name`; zero when it was never set.
    ///
    /// # Errors
    /// [`StorageError::Corrupted`] when it is not eight bytes.
    pub fn meta_u64(&self, name: MetaName) -> Result<u64, StorageError> {
        match self.meta(name)? {
            None => Ok(0),
            Some(bytes) => bytes.try_into().map(u64::from_be_bytes).map_err(|_| StorageError::Corrupted {
                table: "meta",
                detail: format!("{name:?} is not a 64-bit number"),
            }),
        }
    }
}

/// What changes with whatever a process keeps in memory of the tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Naming {
    /// With each change of a name.
    pub stamp: u64,
    /// With the table `adopted`.
    pub adopted: u64,
    /// How many attributes and origins have a number.
    pub numbered: u64,
}

impl Reader<'_> {
    /// What tells whether what a process keeps in memory is of this snapshot; zeros where it was never set.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn naming(&self) -> Result<Naming, StorageError> {
        let bytes = self.meta(MetaName::NamingStamp)?.unwrap_or_default();
        let mut numbers = bytes.as_chunks::<8>().0.iter().map(|number| u64::from_be_bytes(*number));
        let mut next = || numbers.next().unwrap_or_default();
        Ok(Naming { stamp: next(), adopted: next(), numbered: next() })
    }
}

impl WriteTransaction<'_> {
    /// Sets what [`Reader::naming`] tells.
    ///
    /// # Errors
    /// As [`WriteTransaction::put`].
    pub fn put_naming(&mut self, naming: Naming) -> Result<(), StorageError> {
        let bytes = [naming.stamp, naming.adopted, naming.numbered].map(u64::to_be_bytes).concat();
        self.put_meta(MetaName::NamingStamp, &bytes)
    }

    /// Takes `name` away.
    ///
    /// # Errors
    /// As [`WriteTransaction::put`].
    pub fn delete_meta(&mut self, name: MetaName) -> Result<(), StorageError> {
        self.delete(name.table(), name.key(), None).map(|_| ())
    }

    /// Sets `name`.
    ///
    /// # Errors
    /// As [`WriteTransaction::put`].
    pub fn put_meta(&mut self, name: MetaName, value: &[u8]) -> Result<(), StorageError> {
        self.put(name.table(), name.key(), value, PutMode::Upsert)
    }
}

/// Looks at the format version. `Ok(false)` means an empty environment, which the caller initialises.
///
/// # Errors
/// [`StorageError::Format`] in words for an older or a newer format.
pub fn check_format(reader: Reader<'_>) -> Result<bool, StorageError> {
    let Some(bytes) = reader.meta(MetaName::Format)? else {
        return if reader.count(Table::Id2Entry)? == 0 {
            Ok(false)
        } else {
            Err(StorageError::Format(
                "this is not a data folder of Entente: it has entries but no format version".to_owned(),
            ))
        };
    };
    let version = bytes.try_into().map(u32::from_be_bytes).unwrap_or_default();
    match version {
        FORMAT_VERSION => Ok(true),
        older if cfg!(feature = "next") && older == FORMAT_VERSION - 1 => Ok(true),
        newer if newer > FORMAT_VERSION => Err(StorageError::Format(format!(
            "the data has format {newer} and this program knows formats up to {FORMAT_VERSION}: use the newer program that wrote it"
        ))),
        older => Err(StorageError::Format(format!(
            "the data has format {older}, which no release ever wrote: restore it from a backup"
        ))),
    }
}
