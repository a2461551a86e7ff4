//! The LMDB environment: open, pool of read transactions, hot copy.
//!
//! The map is reserved large at open (address space, not disk), because LMDB cannot grow it while readers are
//! about. Read transactions are not tied to threads and are kept in a small sharded pool: renewing one costs
//! some 20 ns, beginning one takes a lock that all readers share.
#![expect(unsafe_code, reason = "pooled transactions outlive their borrow; see Pool")]

use super::StorageError;
use super::file::{self, FileCheck, Soundness};
use super::index::Published;
use super::table::Table;
use super::transaction::{ReadTransaction, WriteTransaction};
use super::value::lmdb_error;
use arc_swap::ArcSwap;
use lmdb::{EnvironmentFlags, InactiveTransaction, Transaction};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const POOL_SHARDS: usize = 16;
const POOLED_PER_SHARD_MAX: usize = 8;
/// Snapshots taken anew while the writer commits faster than a reader looks, before it reads the index changes itself.
const RENEWALS_MAX: usize = 16;

/// How to open the environment.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder; made when absent.
    pub directory: PathBuf,
    /// Address space to reserve, in bytes; the most the data can grow to.
    pub map_bytes: usize,
    /// Reader slots.
    pub readers_max: u32,
    /// False only for bulk load into a new file that nobody serves.
    pub durable: bool,
    /// Whether a folder without a data file is an error.
    pub must_exist: bool,
    /// When the file is walked before LMDB opens it.
    pub check: FileCheck,
}

impl Options {
    /// Defaults for a folder: 1 TiB of address space, 4,096 readers, durable, walked where nobody vouches for it.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            map_bytes: 1 << 40,
            readers_max: 4096,
            durable: true,
            must_exist: false,
            check: FileCheck::Changed,
        }
    }
}

/// What the environment holds, for the monitor.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Bytes of the file in use.
    pub used_bytes: u64,
    /// Bytes reserved.
    pub map_bytes: u64,
    /// Number of the last committed transaction.
    pub last_transaction: u64,
    /// Reader slots in use.
    pub readers: u32,
    /// Each table.
    pub tables: Vec<TableStats>,
}

/// One table's size.
#[derive(Clone, Debug)]
pub struct TableStats {
    /// Its name.
    pub name: &'static str,
    /// Records, duplicates counted.
    pub records: u64,
}

pub(super) struct Tables([lmdb::Database; Table::ALL.len()]);

impl Tables {
    #[expect(clippy::indexing_slicing, reason = "the array has one element for each table number")]
    pub(super) fn database(&self, table: Table) -> lmdb::Database {
        self.0[table as usize]
    }

    pub(super) fn handle(&self, table: Table) -> lmdb_sys::MDB_dbi {
        self.database(table).dbi()
    }
}

struct Idle(InactiveTransaction<'static>);
// SAFETY: the environment is opened with NO_TLS, so a transaction handle belongs to no thread; the pool's mutex
// hands it from one to the next.
unsafe impl Send for Idle {}

pub(super) struct Pool {
    shards: [Mutex<Vec<Idle>>; POOL_SHARDS],
}

impl Pool {
    fn shard(&self) -> Option<&Mutex<Vec<Idle>>> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! { static SHARD: usize = NEXT.fetch_add(1, Ordering::Relaxed); }
        self.shards.get(SHARD.with(|shard| *shard) % POOL_SHARDS)
    }

    fn take(&self) -> Option<InactiveTransaction<'static>> {
        self.shard()?.lock().ok()?.pop().map(|idle| idle.0)
    }

    pub(super) fn give_back(&self, transaction: InactiveTransaction<'static>) {
        if let Some(mut shard) = self.shard().and_then(|shard| shard.lock().ok())
            && shard.len() < POOLED_PER_SHARD_MAX
        {
            shard.push(Idle(transaction));
        }
    }
}

/// Whether the file is one that this program has made and finished: then it has all tables, and none is made that is missing,
/// which would serve a part of the directory as all of it.
fn is_of_this_format(lmdb: &lmdb::Environment) -> Result<bool, StorageError> {
    let failed = |error| lmdb_error(error, Table::Meta);
    let meta = match lmdb.open_db(Some(Table::Meta.name_in_file())) {
        Ok(meta) => meta,
        Err(lmdb::Error::NotFound) => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    let read = lmdb.begin_ro_txn().map_err(failed)?;
    let version = match read.get(meta, &super::MetaName::Format.key()) {
        Ok(version) => version == super::FORMAT_VERSION.to_be_bytes(),
        Err(lmdb::Error::NotFound) => false,
        Err(error) => return Err(failed(error)),
    };
    Ok(version)
}

/// An open environment. Fields drop in order: the pooled transactions go before the environment closes.
pub struct Environment {
    pool: Pool,
    tables: Tables,
    index: ArcSwap<Published>,
    lmdb: lmdb::Environment,
    directory: PathBuf,
}

impl Environment {
    /// Opens or makes the environment.
    ///
    /// # Errors
    /// [`StorageError::Io`] when the folder cannot be used; [`StorageError::Format`] when it must exist and does
    /// not; [`StorageError::Unsound`] when the file's structure is broken; LMDB's own otherwise. The format version is checked by [`super::check_format`].
    pub fn open(options: &Options) -> Result<Self, StorageError> {
        let directory = options.directory.clone();
        if options.must_exist && !directory.join("data.mdb").exists() {
            return Err(StorageError::Format(format!(
                "{} holds no directory data; make one with: entente init --data {} --suffix DN --admin-password-file FILE",
                directory.display(),
                directory.display()
            )));
        }
        std::fs::create_dir_all(&directory)?;
        file::before_opening(&directory, options.check)?;
        let mut flags = EnvironmentFlags::NO_TLS | EnvironmentFlags::NO_READAHEAD;
        if !options.durable {
            flags |= EnvironmentFlags::NO_SYNC | EnvironmentFlags::NO_META_SYNC;
        }
        let lmdb = lmdb::Environment::new()
            .set_flags(flags)
            .set_max_readers(options.readers_max)
            .set_max_dbs(Table::ALL.len() as u32 + 4)
            .set_map_size(options.map_bytes)
            .open_with_permissions(&directory, 0o600)
            .map_err(|error| lmdb_error(error, Table::Meta))?;
        let is_made = is_of_this_format(&lmdb)?;
        let open = |table: Table| {
            if is_made && matches!(lmdb.open_db(Some(table.name_in_file())), Err(lmdb::Error::NotFound)) {
                return Err(StorageError::Format(format!(
                    "{} has no table {}: the file is damaged, or somebody has changed it; restore it from a backup, or remove \
                     the folder and let it join the cluster anew",
                    directory.join("data.mdb").display(),
                    table.name_in_file()
                )));
            }
            lmdb.create_db(Some(table.name_in_file()), table.flags()).map_err(|error| lmdb_error(error, table))
        };
        let mut databases = Vec::with_capacity(Table::ALL.len());
        for table in Table::ALL {
            databases.push(open(table)?);
        }
        let tables: [lmdb::Database; Table::ALL.len()] =
            databases.try_into().map_err(|_| StorageError::Lmdb("a table is missing".to_owned()))?;
        // Slots of readers that died with their process.
        // SAFETY: the environment is open; the count is a plain out parameter.
        let mut dead = 0;
        unsafe { lmdb_sys::mdb_reader_check(lmdb.env(), &mut dead) };
        let index = ArcSwap::from_pointee(Published { current: Arc::default(), before: None });
        let environment =
            Self { pool: Pool { shards: Default::default() }, tables: Tables(tables), index, lmdb, directory };
        let current = Arc::clone(environment.read_with_own_index()?.version());
        environment.index.store(Arc::new(Published { current, before: None }));
        Ok(environment)
    }

    /// A snapshot of the last commit. Cost: some 50 ns.
    ///
    /// # Errors
    /// LMDB's own: no reader slot left, or a failed file.
    pub fn read(&self) -> Result<ReadTransaction<'_>, StorageError> {
        for _ in 0..RENEWALS_MAX {
            if let Some(read) = ReadTransaction::new(self.begin_read()?, &self.tables, &self.pool, &self.index) {
                return Ok(read);
            }
        }
        self.read_with_own_index()
    }

    pub(super) fn read_with_own_index(&self) -> Result<ReadTransaction<'_>, StorageError> {
        ReadTransaction::with_own_index(self.begin_read()?, &self.tables, &self.pool)
    }

    fn begin_read(&self) -> Result<lmdb::RoTransaction<'_>, StorageError> {
        let transaction = match self.pool.take() {
            Some(inactive) => inactive.renew(),
            None => self.lmdb.begin_ro_txn(),
        };
        transaction.map_err(|error| lmdb_error(error, Table::Meta))
    }

    /// The write transaction; waits for the one that is open. Only the writer thread calls it while a node serves.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn write(&self) -> Result<WriteTransaction<'_>, StorageError> {
        let transaction = self.lmdb.begin_rw_txn().map_err(|error| lmdb_error(error, Table::Meta))?;
        WriteTransaction::new(transaction, &self.tables, &self.index)
    }

    /// Flushes the file to disk.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn sync(&self) -> Result<(), StorageError> {
        self.lmdb.sync(true).map_err(|error| lmdb_error(error, Table::Meta))
    }

    /// Copies a consistent state of the file to `file` while writing goes on, leaving out free pages.
    /// The copy is a long reader: pages freed meanwhile are not reused until it ends.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn copy_compact(&self, file: &std::fs::File) -> Result<(), StorageError> {
        self.copy_compact_into(file)?;
        file.sync_all()?;
        Ok(())
    }

    /// [`Environment::copy_compact`] into whatever takes bytes in order, a pipe for one; nothing is flushed to disk.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn copy_compact_into(&self, target: &impl std::os::fd::AsFd) -> Result<(), StorageError> {
        use std::os::fd::AsRawFd;
        self.read_ahead();
        let descriptor = target.as_fd().as_raw_fd();
        // SAFETY: the environment is open and the descriptor outlives the call.
        let code = unsafe { lmdb_sys::mdb_env_copyfd2(self.lmdb.env(), descriptor, lmdb_sys::MDB_CP_COMPACT) };
        if code != 0 {
            return Err(lmdb_error(lmdb::Error::from_err_code(code), Table::Meta));
        }
        Ok(())
    }

    /// Says that all of the data file is going to be read; the disk then reads it in large pieces, if memory can hold it.
    pub fn read_ahead(&self) {
        super::ahead::read_whole(&self.data_file());
    }

    /// Walks the structure of the file as of the last commit, while others may write: for a check beside a running node.
    ///
    /// # Errors
    /// [`StorageError::Unsound`]; [`StorageError::Io`].
    pub fn check_file(&self) -> Result<Soundness, StorageError> {
        let mut outcome = Err(StorageError::Lmdb("no snapshot".to_owned()));
        for _ in 0..RENEWALS_MAX {
            let snapshot = self.read_with_own_index()?;
            outcome = file::walk_file(&self.data_file(), Some(snapshot.number()));
            // The meta page of the snapshot is gone when there were two commits before it was looked at.
            let again =
                matches!(&outcome, Err(StorageError::Io(error)) if error.kind() == std::io::ErrorKind::Interrupted);
            if !again {
                break;
            }
        }
        outcome
    }

    /// Sizes.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn stats(&self) -> Result<Stats, StorageError> {
        let info = self.lmdb.info().map_err(|error| lmdb_error(error, Table::Meta))?;
        let page = u64::from(self.lmdb.stat().map_err(|error| lmdb_error(error, Table::Meta))?.page_size());
        let read = self.read()?;
        let reader = read.reader();
        let mut tables = Vec::new();
        for table in Table::ALL {
            tables.push(TableStats { name: table.name(), records: reader.count(table)? });
        }
        Ok(Stats {
            used_bytes: (info.last_pgno() as u64 + 1) * page,
            map_bytes: info.map_size() as u64,
            last_transaction: info.last_txnid() as u64,
            readers: info.num_readers(),
            tables,
        })
    }

    /// The folder.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The data file.
    pub fn data_file(&self) -> PathBuf {
        self.directory.join("data.mdb")
    }
}
