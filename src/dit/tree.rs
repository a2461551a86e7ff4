//! The tree as an open thing: environment, catalog, snapshots.

use super::DitError;
use super::catalog::{Catalog, IndexOptions};
use super::encryption::{EncryptionOptions, Purpose, Recorded};
use super::feed::Feed;
use super::fill::Gatherer;
use super::shape::Adoption;
use super::view::View;
use crate::clock::Clock;
use crate::schema::Schema;
use crate::state::DisciplinedClock;
use crate::storage::{EntryId, Environment, FileCheck, MetaName, ReadTransaction, check_format};
use arc_swap::ArcSwap;
use hashbrown::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How to open a tree.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory.
    pub directory: PathBuf,
    /// Address space for the data, in bytes.
    pub map_bytes: usize,
    /// Reader slots.
    pub readers_max: u32,
    /// Which attributes to index.
    pub index: IndexOptions,
    /// Which attributes to encrypt, and with which keys.
    pub encryption: EncryptionOptions,
    /// Records kept in the log at most, all origins together; over that the oldest go, first those that all suppliers
    /// hold, then whoever lacks them. It counts before `log_records_min`.
    pub log_records_max: u64,
    /// Records of each origin kept in the log although every member holds them: for followers that were away a moment.
    pub log_records_min: u64,
    /// How long deleted entries are kept whole, in milliseconds from their deletion, so that they can be undeleted.
    pub recycle_retention_ms: u64,
    /// Changes in one commit, at most.
    pub batch_max: usize,
    /// False only for a bulk load into a new file.
    pub durable: bool,
    /// Whether the data must be there already.
    pub must_exist: bool,
    /// When the structure of the data file is looked through before it is opened.
    pub check: FileCheck,
    /// Where new origins come from instead of the operating system's random numbers: a run that is to repeat.
    pub origin_seed: Option<u64>,
    /// A rule to go without, for tests of tests.
    #[cfg(debug_assertions)]
    pub mutant: Option<super::Mutant>,
}

impl Options {
    /// Defaults for a data directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let storage = crate::storage::Options::new("");
        Self {
            directory: directory.into(),
            map_bytes: storage.map_bytes,
            readers_max: storage.readers_max,
            index: IndexOptions::default(),
            encryption: EncryptionOptions::default(),
            log_records_max: 10_000_000,
            log_records_min: 10_000,
            recycle_retention_ms: 30 * 24 * 60 * 60 * 1000,
            batch_max: 1024,
            durable: true,
            must_exist: false,
            check: storage.check,
            origin_seed: None,
            #[cfg(debug_assertions)]
            mutant: None,
        }
    }
}

/// The open tree; shared by everybody.
pub struct Dit {
    options: Options,
    environment: Environment,
    catalog: ArcSwap<Catalog>,
    adoption: ArcSwap<Adoption>,
    feed: Feed,
    clock: Clock,
    /// See `stamp_time`.
    pub(super) stamp_time: ArcSwap<DisciplinedClock>,
    token: u64,
    log_records_max: u64,
    log_records_min: u64,
    recycle_retention_ms: u64,
    batch_max: usize,
    origin_seed: Option<AtomicU64>,
    /// Where upkeep of the conflict log goes on.
    conflict_sweep: std::sync::Mutex<Vec<u8>>,
    #[cfg(debug_assertions)]
    pub(super) mutant: Option<super::Mutant>,
    /// Counts commits that changed access rules or memberships, so that deciders know when to read them again.
    rules_generation: AtomicU64,
    /// See `fill`.
    filling: AtomicBool,
    /// Index keys of what was taken in so far, while filling.
    gatherer: std::sync::Mutex<Option<Gatherer>>,
}

/// A read snapshot with the catalog of its time. Never hold one across an `.await`.
pub struct Snapshot<'d> {
    transaction: ReadTransaction<'d>,
    catalog: arc_swap::Guard<Arc<Catalog>>,
    adoption: arc_swap::Guard<Arc<Adoption>>,
    naming_stamp: u64,
    token: u64,
}

impl Snapshot<'_> {
    /// The look into it.
    pub fn view(&self) -> View<'_> {
        View::new(self.transaction.reader(), &self.catalog, &self.adoption, self.naming_stamp, self.token)
    }

    /// The number of the commit that it shows; rises with each.
    pub fn commit(&self) -> u64 {
        self.transaction.number()
    }
}

impl Dit {
    /// Opens the tree; an empty data directory is initialised with a new cluster, node and origin.
    ///
    /// # Errors
    /// [`DitError::Storage`]: the folder cannot be used, or has another format.
    pub fn open(options: Options, schema: Arc<Schema>, clock: Clock) -> Result<Self, DitError> {
        Self::open_environment(options, schema, clock, Purpose::AsConfigured)
    }

    /// Opens the tree with the index settings that its index was built by: for commands that only read, which must not
    /// rebuild what a running node has made. The data must be there.
    ///
    /// # Errors
    /// As [`Dit::open`].
    pub fn open_as_recorded(options: Options, schema: Arc<Schema>, clock: Clock) -> Result<Self, DitError> {
        Self::open_environment(Options { must_exist: true, ..options }, schema, clock, Purpose::AsRecorded)
    }

    /// Opens the tree to encrypt it as the settings say ([`super::encrypt_anew`]), however it is encrypted now. Until that is
    /// done nothing else may be done with it.
    ///
    /// # Errors
    /// As [`Dit::open`]; [`StorageError::Encryption`](crate::storage::StorageError::Encryption): the key is missing.
    pub fn open_to_encrypt(options: Options, schema: Arc<Schema>, clock: Clock) -> Result<Self, DitError> {
        Self::open_environment(Options { must_exist: true, ..options }, schema, clock, Purpose::Anew)
    }

    fn open_environment(
        options: Options,
        schema: Arc<Schema>,
        clock: Clock,
        purpose: Purpose,
    ) -> Result<Self, DitError> {
        static TOKENS: AtomicU64 = AtomicU64::new(1);
        let as_recorded = purpose == Purpose::AsRecorded;
        let mut kept = options.clone();
        let environment = Environment::open(&crate::storage::Options {
            directory: options.directory,
            map_bytes: options.map_bytes,
            readers_max: options.readers_max,
            durable: options.durable,
            must_exist: options.must_exist,
            check: options.check,
        })?;
        let initialised = check_format(environment.read()?.reader())?;
        let mut index = options.index;
        if as_recorded && let Some(recorded) = environment.read()?.reader().meta(MetaName::IndexConfiguration)? {
            index = IndexOptions::from_fingerprint(&String::from_utf8_lossy(recorded)).unwrap_or(index);
        }
        let index = Arc::new(index);
        if !initialised {
            let encryption = super::encryption::decide(&options.encryption, None, &schema, purpose, true)?;
            super::writing::initialise(&environment, Arc::clone(&schema), Arc::clone(&index), encryption.as_ref())?;
        }
        if cfg!(feature = "next") {
            let mut txn = environment.write()?;
            txn.put_meta(MetaName::Format, &crate::storage::FORMAT_VERSION.to_be_bytes())?;
            txn.commit()?;
        }
        let read = environment.read()?;
        let mut catalog = Catalog::load(read.reader(), schema, Arc::clone(&index))?;
        let adoption = Adoption::load(read.reader())?;
        let definitions = View::new(read.reader(), &catalog, &adoption, 0, 0).online_definitions()?;
        if !definitions.is_empty() {
            let schema = super::schema_entry::fitting(catalog.schema(), &definitions);
            catalog = catalog.with(Arc::new(schema), Arc::clone(&index));
        }
        let encrypted = Recorded::read(read.reader())?;
        let schema = catalog.schema();
        let encryption = super::encryption::decide(&options.encryption, encrypted.as_ref(), schema, purpose, false)?;
        if let Some(encryption) = encryption {
            kept.encryption.attributes = encryption.attributes().map(str::to_owned).collect();
            catalog = catalog.encrypted_by(Some(Arc::new(encryption)));
        }
        let recorded = read.reader().meta(MetaName::IndexConfiguration)?.map(<[u8]>::to_vec);
        drop(read);
        let dit = Self {
            options: kept,
            environment,
            catalog: ArcSwap::from_pointee(catalog),
            adoption: ArcSwap::from_pointee(adoption),
            feed: Feed::default(),
            stamp_time: ArcSwap::from_pointee(DisciplinedClock::start(clock.wall_ms(), clock.monotonic())),
            clock,
            token: TOKENS.fetch_add(1, Ordering::Relaxed),
            log_records_max: options.log_records_max,
            log_records_min: options.log_records_min,
            recycle_retention_ms: options.recycle_retention_ms,
            batch_max: options.batch_max,
            origin_seed: options.origin_seed.map(AtomicU64::new),
            conflict_sweep: std::sync::Mutex::default(),
            #[cfg(debug_assertions)]
            mutant: options.mutant,
            rules_generation: AtomicU64::new(1),
            filling: AtomicBool::new(false),
            gatherer: std::sync::Mutex::default(),
        };
        if purpose == Purpose::Anew {
            return Ok(dit);
        }
        let wanted = index.fingerprint(dit.catalog().schema());
        if !as_recorded && recorded.as_deref() == Some(super::fill::UNDER_WAY) {
            tracing::info!("taking in a directory was interrupted: building the index of what is there");
            super::fill::finish(&dit)?;
        } else if !as_recorded && recorded.as_deref() != Some(wanted.as_bytes()) {
            tracing::info!("the index settings or the schema changed: building the index anew");
            super::bulk::reindex(&dit, &mut |_, _| {})?;
        }
        Ok(dit)
    }

    /// Makes a tree without content in another folder, with the settings of this one, the schema of the program and its files.
    ///
    /// # Errors
    /// As [`Dit::open`].
    pub fn open_beside(&self, directory: impl Into<PathBuf>) -> Result<Self, DitError> {
        let options = Options { directory: directory.into(), must_exist: false, ..self.options.clone() };
        let schema = super::schema_entry::fitting(self.catalog().schema(), &[]);
        Self::open(options, Arc::new(schema), self.clock.clone())
    }

    /// A snapshot of the last commit. Cost: a few hundred nanoseconds.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn read(&self) -> Result<Snapshot<'_>, DitError> {
        // The transaction first: a catalog that is newer than the snapshot only knows more.
        let transaction = self.environment.read()?;
        let naming = transaction.reader().naming()?;
        // Where they differ a commit is being published just now, or another process made it.
        let mut catalog = self.catalog.load();
        if catalog.numbered() < naming.numbered {
            catalog = arc_swap::Guard::from_inner(Arc::new(catalog.numbered_as(transaction.reader())?));
        }
        let mut adoption = self.adoption.load();
        if adoption.stamp() != naming.adopted {
            adoption = arc_swap::Guard::from_inner(Arc::new(Adoption::load(transaction.reader())?));
        }
        Ok(Snapshot { transaction, catalog, adoption, naming_stamp: naming.stamp, token: self.token })
    }

    /// The environment, for offline work, backup and the monitor.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The catalog of the last commit.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    /// The signal of commits.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// The system's clock. Its wall time may jump: stamps are made of [`Dit::now_ms`].
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Changes with every commit that may change who may do what.
    pub fn rules_generation(&self) -> u64 {
        self.rules_generation.load(Ordering::Acquire)
    }

    /// The map of names that several entries have, as of the last commit.
    pub fn adoption(&self) -> Arc<Adoption> {
        self.adoption.load_full()
    }

    pub(super) fn publish(&self, catalog: Option<Arc<Catalog>>, adoption: Option<Arc<Adoption>>, rules_changed: bool) {
        if let Some(adoption) = adoption {
            self.adoption.store(adoption);
        }
        if let Some(catalog) = catalog {
            self.catalog.store(catalog);
        }
        if rules_changed {
            self.rules_generation.fetch_add(1, Ordering::Release);
        }
        self.feed.announce();
    }

    /// Where upkeep of the conflict log goes on; empty: at its beginning.
    pub(super) fn conflict_sweep(&self) -> Vec<u8> {
        self.conflict_sweep.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    pub(super) fn set_conflict_sweep(&self, position: Vec<u8>) {
        *self.conflict_sweep.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = position;
    }

    /// The next number of the seed's row (splitmix64), if there is a seed.
    pub(super) fn next_seeded(&self) -> Option<u64> {
        let state = self.origin_seed.as_ref()?.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some(mixed ^ (mixed >> 31))
    }

    pub(super) fn is_filling(&self) -> bool {
        self.filling.load(Ordering::Acquire)
    }

    pub(super) fn set_filling(&self, filling: bool) {
        self.filling.store(filling, Ordering::Release);
    }

    /// Has the index keys of views that were committed while filling gathered beside.
    pub(super) fn gather_keys(&self, catalog: &Arc<Catalog>, views: HashMap<EntryId, Vec<u8>>) {
        if views.is_empty() {
            return;
        }
        let mut gatherer = self.gatherer.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let gatherer = gatherer.get_or_insert_with(|| Gatherer::start(self.environment.directory().to_path_buf()));
        gatherer.hand_over(catalog, views);
    }

    pub(super) fn take_gatherer(&self) -> Option<Gatherer> {
        self.gatherer.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }

    pub(super) fn batch_max(&self) -> usize {
        self.batch_max
    }

    pub(super) fn log_records_max(&self) -> u64 {
        self.log_records_max
    }

    pub(super) fn log_records_min(&self) -> u64 {
        self.log_records_min
    }

    pub(super) fn recycle_retention_ms(&self) -> u64 {
        self.recycle_retention_ms
    }
}
