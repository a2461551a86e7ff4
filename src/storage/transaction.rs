//! Transactions and cursors: the only code that hands LMDB pointers around.
//!
//! lmdb-rkv opens, begins, commits and aborts; look-ups and cursors go to the functions below it, because its own
//! cursors lack typed seeks and its iterators outlive what they borrow. A [`Reader`] is a copyable look into
//! either kind of transaction; what it returns lives in the memory map until that transaction ends, which the
//! lifetimes say.
#![expect(unsafe_code, reason = "LMDB is C; this file wraps it in lifetimes and says why each call is sound")]

use super::entry_record::Part;
use super::environment::{Pool, Tables};
use super::index::{OpenSet, Overlay, Published, Version};
use super::{EntryId, StorageError};
use arc_swap::ArcSwap;
use lmdb::{RoTransaction, RwTransaction, Transaction, WriteFlags};
use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;

/// The tables; see ARCHITECTURE.md for keys and records.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(usize)]
pub enum Table {
    /// name -> bytes
    Meta,
    /// origin -> update vector element
    Vector,
    /// attribute number -> attribute key text
    Attributes,
    /// origin number -> origin
    Origins,
    /// entry -> view record
    Id2Entry,
    /// entry -> state record
    Id2State,
    /// entryUUID ‖ birth -> entry
    Uuid2Id,
    /// parent ‖ normalised RDN -> entries
    Dn2Id,
    /// entry -> how many entries are directly below it
    Subordinates,
    /// attribute ‖ kind ‖ key -> entries
    Index,
    /// number -> run of index changes that wait; the two tables take turns
    PendingEven,
    /// As `PendingEven`.
    PendingOdd,
    /// entry ‖ attribute ‖ value key -> cell
    BigValues,
    /// origin ‖ sequence -> update
    Log,
    /// chunk of buckets -> their sums
    Digest,
    /// commit -> what it changed of the sums, until that is summed up
    DigestJournal,
    /// CSN of the winner ‖ CSN of the loser ‖ place -> both sides
    Conflicts,
    /// entry that was found to break the schema after a merge -> nothing
    Suspects,
    /// origin ‖ sequence ‖ entry, with attribute ‖ value key for a spilled cell -> CSN: absence to be forgotten that the
    /// log does not tell
    Unsettled,
    /// CSN of the deletion ‖ entry -> nothing
    Deleted,
    /// moves that some member may not hold yet, by time and by entry
    Moves,
    /// entryUUID that is not here ‖ entry -> nothing; and back
    Waiting,
    /// entry whose name another one has -> that one
    Adopted,
    /// origin ‖ sequence of a deletion -> the entries that linked to what was deleted; kept as long as the log's record
    LostLinks,
    /// number of a change at this node -> origin ‖ sequence: where the row of arrivals goes over to another origin
    Arrivals,
}

impl Table {
    /// Every table, in the order of their numbers.
    pub const ALL: [Self; 25] = [
        Self::Meta,
        Self::Vector,
        Self::Attributes,
        Self::Origins,
        Self::Id2Entry,
        Self::Id2State,
        Self::Uuid2Id,
        Self::Dn2Id,
        Self::Subordinates,
        Self::Index,
        Self::PendingEven,
        Self::PendingOdd,
        Self::BigValues,
        Self::Log,
        Self::Digest,
        Self::DigestJournal,
        Self::Conflicts,
        Self::Suspects,
        Self::Unsettled,
        Self::Deleted,
        Self::Moves,
        Self::Waiting,
        Self::Adopted,
        Self::LostLinks,
        Self::Arrivals,
    ];

    /// The name in the file; two tables share one there.
    pub(super) fn name_in_file(self) -> &'static str {
        if self.part().is_some() { "entries" } else { self.name() }
    }

    /// Which part of the shared record the table is.
    fn part(self) -> Option<Part> {
        match self {
            Self::Id2Entry => Some(Part::View),
            Self::Id2State => Some(Part::State),
            _ => None,
        }
    }

    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Vector => "vector",
            Self::Attributes => "attributes",
            Self::Origins => "origins",
            Self::Id2Entry => "id2entry",
            Self::Id2State => "id2state",
            Self::Uuid2Id => "uuid2id",
            Self::Dn2Id => "dn2id",
            Self::Subordinates => "subordinates",
            Self::Index => "index",
            Self::PendingEven => "pending-even",
            Self::PendingOdd => "pending-odd",
            Self::BigValues => "bigvalues",
            Self::Log => "log",
            Self::Digest => "digest",
            Self::Conflicts => "conflicts",
            Self::Suspects => "suspects",
            Self::DigestJournal => "digest-journal",
            Self::Unsettled => "unsettled",
            Self::Deleted => "deleted",
            Self::Moves => "moves",
            Self::Waiting => "waiting",
            Self::Adopted => "adopted",
            Self::LostLinks => "lost-links",
            Self::Arrivals => "arrivals",
        }
    }
}

/// A snapshot for reading, taken from a pool and given back when dropped. Never hold one across an `.await`.
pub struct ReadTransaction<'e> {
    transaction: Option<RoTransaction<'e>>,
    tables: &'e Tables,
    pool: &'e Pool,
    version: Arc<Version>,
}

impl<'e> ReadTransaction<'e> {
    /// `published` is asked for the index changes that belong to the snapshot; `None` when it has moved on since.
    pub(super) fn new(
        transaction: RoTransaction<'e>,
        tables: &'e Tables,
        pool: &'e Pool,
        published: &ArcSwap<Published>,
    ) -> Option<Self> {
        let version = Arc::clone(published.load().at(number_of(transaction.txn()))?);
        Some(Self { transaction: Some(transaction), tables, pool, version })
    }

    /// A snapshot whose index changes are read from its own records.
    pub(super) fn with_own_index(
        transaction: RoTransaction<'e>,
        tables: &'e Tables,
        pool: &'e Pool,
    ) -> Result<Self, StorageError> {
        let number = number_of(transaction.txn());
        let mut snapshot = Self { transaction: Some(transaction), tables, pool, version: Arc::default() };
        snapshot.version = Arc::new(Version::load(snapshot.reader(), number)?);
        Ok(snapshot)
    }

    /// The index changes that belong to it.
    pub(super) fn version(&self) -> &Arc<Version> {
        &self.version
    }

    /// The look into this snapshot.
    pub fn reader(&self) -> Reader<'_> {
        let txn = self.transaction.as_ref().map_or(ptr::null_mut(), Transaction::txn);
        Reader {
            txn,
            tables: self.tables,
            overlay: Overlay { version: &self.version, open: None },
            lifetime: PhantomData,
        }
    }
}

impl Drop for ReadTransaction<'_> {
    fn drop(&mut self) {
        if let Some(transaction) = self.transaction.take() {
            // SAFETY: the pool belongs to the environment that the transaction borrows and is emptied before that
            // environment closes, so prolonging the lifetime for the stay in the pool cannot dangle.
            let inactive = unsafe {
                std::mem::transmute::<lmdb::InactiveTransaction<'_>, lmdb::InactiveTransaction<'static>>(
                    transaction.reset(),
                )
            };
            self.pool.give_back(inactive);
        }
    }
}

/// How a put treats what is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PutMode {
    /// Replace, or add a duplicate in tables that have them.
    Upsert,
    /// The key is greater than every key of the table (bulk load; wrong order is an error).
    Append,
    /// Like `Append` for the duplicates of a key.
    AppendDuplicate,
    /// As `Upsert`; the key mostly is greater than every key of the table, whose pages then fill to the end.
    Rising,
}

/// The one write transaction; only the writer thread and the offline commands have it.
pub struct WriteTransaction<'e> {
    transaction: RwTransaction<'e>,
    tables: &'e Tables,
    published: &'e ArcSwap<Published>,
    /// The index changes of the commit before, for snapshots of it.
    before: Arc<Version>,
    /// The same, or none once the index was emptied.
    base: Arc<Version>,
    /// Those of this transaction.
    open: OpenSet,
    /// Bulk load: a new entry's state that waits for its view, so that both are appended as one.
    waiting: Option<([u8; 8], Vec<u8>)>,
    marks_max: usize,
}

impl<'e> WriteTransaction<'e> {
    pub(super) fn new(
        transaction: RwTransaction<'e>,
        tables: &'e Tables,
        published: &'e ArcSwap<Published>,
    ) -> Result<Self, StorageError> {
        let before = number_of(transaction.txn()).saturating_sub(1);
        let known = published.load().at(before).map(Arc::clone);
        let known = match known {
            Some(known) => known,
            None => {
                let none = Version::default();
                let overlay = Overlay { version: &none, open: None };
                let reader = Reader { txn: transaction.txn(), tables, overlay, lifetime: PhantomData };
                Arc::new(Version::load(reader, before)?)
            }
        };
        let (base, marks_max) = (Arc::clone(&known), Version::MARKS_MAX);
        Ok(Self {
            transaction,
            tables,
            published,
            before: known,
            base,
            open: OpenSet::default(),
            waiting: None,
            marks_max,
        })
    }

    /// The number of the snapshot that the commit will make.
    pub(super) fn id(&self) -> u64 {
        number_of(self.transaction.txn())
    }

    /// The look into this transaction; what it returns is valid until the next put or delete.
    pub fn reader(&self) -> Reader<'_> {
        let overlay = Overlay { version: &self.base, open: Some(&self.open) };
        Reader { txn: self.transaction.txn(), tables: self.tables, overlay, lifetime: PhantomData }
    }

    /// Says whether `id` stands under `key` in the index.
    pub fn set_index(&mut self, key: &[u8], id: EntryId, is_there: bool) {
        self.open.set(key, id, is_there);
    }

    /// Empties the index.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn clear_index(&mut self) -> Result<(), StorageError> {
        self.clear(Table::Index)?;
        self.open.clear();
        self.base = Arc::new(Version::cleared(self)?);
        Ok(())
    }

    /// Merges index changes once so many wait (in tests: few).
    #[cfg(test)]
    pub(super) fn merge_beyond(&mut self, marks_max: usize) {
        self.marks_max = marks_max;
    }

    /// Writes one record.
    ///
    /// # Errors
    /// [`StorageError::Full`] when the file cannot grow (the transaction is then useless: drop it), or LMDB's own.
    pub fn put(&mut self, table: Table, key: &[u8], value: &[u8], mode: PutMode) -> Result<(), StorageError> {
        match table.part() {
            Some(part) => self.put_part(table, part, key, value, mode),
            None => self.put_whole(table, key, value, mode),
        }
    }

    fn put_whole(&mut self, table: Table, key: &[u8], value: &[u8], mode: PutMode) -> Result<(), StorageError> {
        let flags = match mode {
            PutMode::Upsert => WriteFlags::empty(),
            PutMode::Append | PutMode::Rising => WriteFlags::APPEND,
            PutMode::AppendDuplicate => WriteFlags::APPEND_DUP,
        };
        match self.transaction.put(self.tables.database(table), &key, &value, flags) {
            Err(lmdb::Error::KeyExist) if mode == PutMode::Rising => self.put_whole(table, key, value, PutMode::Upsert),
            outcome => outcome.map_err(|error| lmdb_error(error, table)),
        }
    }

    fn put_part(
        &mut self,
        table: Table,
        part: Part,
        key: &[u8],
        value: &[u8],
        mode: PutMode,
    ) -> Result<(), StorageError> {
        if let Some((of, state)) = self.waiting.take() {
            let is_whole = part == Part::View && of == key;
            let state = Part::State.replaced(&of, &[], &state).unwrap_or_default();
            let whole = if is_whole { part.replaced(&of, &state, value).unwrap_or_default() } else { state };
            self.put_whole(table, &of, &whole, PutMode::Append)?;
            if is_whole {
                return Ok(());
            }
        }
        if mode == PutMode::Append
            && part == Part::State
            && let Ok(key) = key.try_into()
        {
            self.waiting = Some((key, value.to_vec()));
            return Ok(());
        }
        let held = self.reader().get_whole(table, key)?.unwrap_or_default();
        match part.replaced(key, held, value) {
            Some(record) => self.put_whole(table, key, &record, PutMode::Upsert),
            None => self.delete_whole(table, key, None).map(|_| ()),
        }
    }

    /// Writes view and state of an entry that is there.
    ///
    /// # Errors
    /// As [`WriteTransaction::put`].
    pub fn put_entry(&mut self, id: EntryId, view: &[u8], state: &[u8]) -> Result<(), StorageError> {
        self.settle_waiting()?;
        match super::entry_record::whole(&id.to_key(), view, state) {
            Some(record) => self.put_whole(Table::Id2Entry, &id.to_key(), &record, PutMode::Upsert),
            None => self.delete_whole(Table::Id2Entry, &id.to_key(), None).map(|_| ()),
        }
    }

    /// Writes a state that waits for a view alone.
    fn settle_waiting(&mut self) -> Result<(), StorageError> {
        match self.waiting.take() {
            Some((key, state)) => {
                let record = Part::State.replaced(&key, &[], &state).unwrap_or_default();
                self.put_whole(Table::Id2State, &key, &record, PutMode::Append)
            }
            None => Ok(()),
        }
    }

    /// Appends a key greater than all with its duplicates, ascending: the fast way of bulk load.
    ///
    /// # Errors
    /// As [`WriteTransaction::put`]; a key out of order is LMDB's `KeyExist`.
    pub fn append_postings(&mut self, key: &[u8], ids: &[EntryId]) -> Result<(), StorageError> {
        let Some((first, rest)) = ids.split_first() else { return Ok(()) };
        self.put(Table::Index, key, &first.to_key(), PutMode::Append)?;
        if rest.is_empty() {
            return Ok(());
        }
        let bytes: Vec<u8> = rest.iter().flat_map(|id| id.to_key()).collect();
        let mut key_val = val(key);
        let mut data = [
            lmdb_sys::MDB_val { mv_size: 8, mv_data: bytes.as_ptr().cast_mut().cast::<c_void>() },
            lmdb_sys::MDB_val { mv_size: rest.len(), mv_data: ptr::null_mut() },
        ];
        let mut cursor = ptr::null_mut();
        // SAFETY: the transaction is open and exclusively ours; the cursor is closed below, before it ends. With
        // MDB_MULTIPLE LMDB reads `mv_size` items of eight bytes from the buffer, which outlives the call.
        let code = unsafe {
            let handle = self.tables.handle(Table::Index);
            let opened = lmdb_sys::mdb_cursor_open(self.transaction.txn(), handle, &mut cursor);
            if opened == 0 {
                let put = lmdb_sys::mdb_cursor_put(cursor, &mut key_val, data.as_mut_ptr(), lmdb_sys::MDB_MULTIPLE);
                lmdb_sys::mdb_cursor_close(cursor);
                put
            } else {
                opened
            }
        };
        if code == 0 { Ok(()) } else { Err(lmdb_error(lmdb::Error::from_err_code(code), Table::Index)) }
    }

    /// Deletes a key, or one duplicate of it. Returns whether it was there.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn delete(&mut self, table: Table, key: &[u8], duplicate: Option<&[u8]>) -> Result<bool, StorageError> {
        if table.part().is_none() {
            return self.delete_whole(table, key, duplicate);
        }
        self.settle_waiting()?;
        let was_there = self.reader().get(table, key)?.is_some();
        if was_there {
            self.put(table, key, &[], PutMode::Upsert)?;
        }
        Ok(was_there)
    }

    fn delete_whole(&mut self, table: Table, key: &[u8], duplicate: Option<&[u8]>) -> Result<bool, StorageError> {
        match self.transaction.del(self.tables.database(table), &key, duplicate) {
            Ok(()) => Ok(true),
            Err(lmdb::Error::NotFound) => Ok(false),
            Err(error) => Err(lmdb_error(error, table)),
        }
    }

    /// Empties a table.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn clear(&mut self, table: Table) -> Result<(), StorageError> {
        self.transaction.clear_db(self.tables.database(table)).map_err(|error| lmdb_error(error, table))
    }

    /// Makes everything durable (unless the environment was opened without sync for bulk load).
    ///
    /// # Errors
    /// [`StorageError::Io`] or [`StorageError::Full`]; nothing of the transaction is then visible.
    pub fn commit(mut self) -> Result<(), StorageError> {
        self.settle_waiting()?;
        let (base, open, marks_max) = (Arc::clone(&self.base), std::mem::take(&mut self.open), self.marks_max);
        let current = Arc::new(base.commit(&mut self, &open, marks_max)?);
        // Before the commit, so that no reader sees a snapshot whose index changes are not there yet.
        let held = self.published.swap(Arc::new(Published { current, before: Some(self.before) }));
        self.transaction.commit().map_err(|error| {
            self.published.store(held);
            lmdb_error(error, Table::Meta)
        })
    }
}

fn number_of(txn: *mut lmdb_sys::MDB_txn) -> u64 {
    // SAFETY: the caller has the transaction open; only its number is read.
    unsafe { lmdb_sys::mdb_txn_id(txn) as u64 }
}

/// A look into a transaction: cheap to copy.
#[derive(Clone, Copy)]
pub struct Reader<'t> {
    txn: *mut lmdb_sys::MDB_txn,
    tables: &'t Tables,
    overlay: Overlay<'t>,
    lifetime: PhantomData<&'t ()>,
}

impl<'t> Reader<'t> {
    /// The index changes before the table.
    pub(super) fn overlay(&self) -> Overlay<'t> {
        self.overlay
    }

    /// The record at `key` (the first duplicate where the table has them).
    ///
    /// # Errors
    /// LMDB's own; absence is `None`.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<&'t [u8]>, StorageError> {
        let whole = self.get_whole(table, key)?;
        Ok(match table.part() {
            Some(part) => whole.and_then(|record| part.of(key, record)),
            None => whole,
        })
    }

    fn get_whole(&self, table: Table, key: &[u8]) -> Result<Option<&'t [u8]>, StorageError> {
        let mut key_val = val(key);
        let mut data = val(&[]);
        // SAFETY: the transaction lives for 't, the database handle belongs to its environment, and LMDB only
        // reads the key. The data it points to stays mapped and unchanged for 't.
        let code = unsafe { lmdb_sys::mdb_get(self.txn, self.tables.handle(table), &mut key_val, &mut data) };
        match code {
            0 => Ok(Some(unsafe { bytes(&data) })),
            lmdb_sys::MDB_NOTFOUND => Ok(None),
            code => Err(lmdb_error(lmdb::Error::from_err_code(code), table)),
        }
    }

    /// A cursor over `table`.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn cursor(&self, table: Table) -> Result<Cursor<'t>, StorageError> {
        let mut cursor = ptr::null_mut();
        // SAFETY: as in `get`; the cursor is closed when dropped, before or after a read transaction ends alike.
        let code = unsafe { lmdb_sys::mdb_cursor_open(self.txn, self.tables.handle(table), &mut cursor) };
        if code != 0 {
            return Err(lmdb_error(lmdb::Error::from_err_code(code), table));
        }
        Ok(Cursor { cursor, table, lifetime: PhantomData })
    }

    /// How many records (duplicates counted) the table has; views and states are counted as one, with or without the
    /// other. Cost: none.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn count(&self, table: Table) -> Result<u64, StorageError> {
        // SAFETY: plain out parameter of the right type; zero is a valid value for each field.
        let mut stat: lmdb_sys::MDB_stat = unsafe { std::mem::zeroed() };
        let code = unsafe { lmdb_sys::mdb_stat(self.txn, self.tables.handle(table), &mut stat) };
        if code != 0 {
            return Err(lmdb_error(lmdb::Error::from_err_code(code), table));
        }
        Ok(stat.ms_entries as u64)
    }
}

/// A key and its record.
type Item<'t> = (&'t [u8], &'t [u8]);

/// A position in a table.
pub struct Cursor<'t> {
    cursor: *mut lmdb_sys::MDB_cursor,
    table: Table,
    lifetime: PhantomData<&'t ()>,
}

impl<'t> Cursor<'t> {
    fn step(
        &mut self,
        key: &[u8],
        data: &[u8],
        operation: lmdb_sys::MDB_cursor_op,
    ) -> Result<Option<Item<'t>>, StorageError> {
        let Some(part) = self.table.part() else { return self.step_whole(key, data, operation) };
        // Records without this part are passed over.
        let on = match operation {
            lmdb_sys::MDB_LAST | lmdb_sys::MDB_PREV => lmdb_sys::MDB_PREV,
            _ => lmdb_sys::MDB_NEXT,
        };
        let mut item = self.step_whole(key, data, operation)?;
        while let Some((key, record)) = item {
            if let Some(record) = part.of(key, record) {
                return Ok(Some((key, record)));
            }
            item = self.step_whole(&[], &[], on)?;
        }
        Ok(None)
    }

    fn step_whole(
        &mut self,
        key: &[u8],
        data: &[u8],
        operation: lmdb_sys::MDB_cursor_op,
    ) -> Result<Option<Item<'t>>, StorageError> {
        let mut key_val = val(key);
        let mut data_val = val(data);
        // SAFETY: the cursor is open and its transaction lives for 't; LMDB reads the given key and data and
        // points both at mapped memory that stays for 't.
        let code = unsafe { lmdb_sys::mdb_cursor_get(self.cursor, &mut key_val, &mut data_val, operation) };
        match code {
            0 => Ok(Some(unsafe { (bytes(&key_val), bytes(&data_val)) })),
            lmdb_sys::MDB_NOTFOUND => Ok(None),
            code => Err(lmdb_error(lmdb::Error::from_err_code(code), self.table)),
        }
    }

    /// The first record.
    ///
    /// # Errors
    /// LMDB's own, here and below.
    pub fn first(&mut self) -> Result<Option<Item<'t>>, StorageError> {
        self.step(&[], &[], lmdb_sys::MDB_FIRST)
    }

    /// The last record.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn last(&mut self) -> Result<Option<Item<'t>>, StorageError> {
        self.step(&[], &[], lmdb_sys::MDB_LAST)
    }

    /// The next record, duplicates included.
    ///
    /// # Errors
    /// LMDB's own.
    #[expect(clippy::should_implement_trait, reason = "fallible, and the word of LMDB")]
    pub fn next(&mut self) -> Result<Option<Item<'t>>, StorageError> {
        self.step(&[], &[], lmdb_sys::MDB_NEXT)
    }

    /// The record before this one.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn previous(&mut self) -> Result<Option<Item<'t>>, StorageError> {
        self.step(&[], &[], lmdb_sys::MDB_PREV)
    }

    /// The next duplicate of this key.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn next_duplicate(&mut self) -> Result<Option<Item<'t>>, StorageError> {
        self.step(&[], &[], lmdb_sys::MDB_NEXT_DUP)
    }

    /// The first record of the next key.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn next_key(&mut self) -> Result<Option<Item<'t>>, StorageError> {
        self.step(&[], &[], lmdb_sys::MDB_NEXT_NODUP)
    }

    /// The first record with a key at or after `key`.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn seek(&mut self, key: &[u8]) -> Result<Option<Item<'t>>, StorageError> {
        if key.is_empty() { self.first() } else { self.step(key, &[], lmdb_sys::MDB_SET_RANGE) }
    }

    /// The first record of exactly `key`.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn seek_exact(&mut self, key: &[u8]) -> Result<Option<Item<'t>>, StorageError> {
        if key.is_empty() { Ok(None) } else { self.step(key, &[], lmdb_sys::MDB_SET_KEY) }
    }

    /// The first duplicate of exactly `key` at or after `data`; the returned key is `key` as given.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn seek_duplicate(&mut self, key: &[u8], data: &[u8]) -> Result<Option<&'t [u8]>, StorageError> {
        Ok(self.step(key, data, lmdb_sys::MDB_GET_BOTH_RANGE)?.map(|(_, data)| data))
    }

    /// A page full of fixed-size duplicates from here on; `None` when the key has no more.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn page(&mut self, first: bool) -> Result<Option<&'t [u8]>, StorageError> {
        let operation = if first { lmdb_sys::MDB_GET_MULTIPLE } else { lmdb_sys::MDB_NEXT_MULTIPLE };
        Ok(self.step(&[], &[], operation)?.map(|(_, data)| data))
    }

    /// How many duplicates this key has.
    ///
    /// # Errors
    /// LMDB's own.
    pub fn duplicate_count(&mut self) -> Result<u64, StorageError> {
        let mut count: lmdb_sys::mdb_size_t = 0;
        // SAFETY: the cursor is open and stands on a record.
        let code = unsafe { lmdb_sys::mdb_cursor_count(self.cursor, &mut count) };
        if code != 0 {
            return Err(lmdb_error(lmdb::Error::from_err_code(code), self.table));
        }
        Ok(count as u64)
    }
}

impl Drop for Cursor<'_> {
    fn drop(&mut self) {
        // SAFETY: opened by `Reader::cursor`, closed once; the borrow keeps its transaction alive until here.
        unsafe { lmdb_sys::mdb_cursor_close(self.cursor) }
    }
}

fn val(slice: &[u8]) -> lmdb_sys::MDB_val {
    lmdb_sys::MDB_val { mv_size: slice.len(), mv_data: slice.as_ptr().cast_mut().cast::<c_void>() }
}

/// # Safety
/// `val` points to memory that stays valid and unchanged for `'t`.
unsafe fn bytes<'t>(val: &lmdb_sys::MDB_val) -> &'t [u8] {
    if val.mv_size == 0 {
        return &[];
    }
    // SAFETY: as the function demands.
    unsafe { std::slice::from_raw_parts(val.mv_data.cast::<u8>(), val.mv_size) }
}

pub(super) fn lmdb_error(error: lmdb::Error, table: Table) -> StorageError {
    match error {
        lmdb::Error::MapFull => StorageError::Full("the map is used up: raise storage.map_bytes".to_owned()),
        lmdb::Error::Other(28) => StorageError::Full("the disk is full".to_owned()),
        lmdb::Error::Other(code) => StorageError::Io(std::io::Error::from_raw_os_error(code)),
        lmdb::Error::Corrupted | lmdb::Error::PageNotFound => {
            StorageError::Corrupted { table: table.name(), detail: error.to_string() }
        }
        error => StorageError::Lmdb(format!("{error} (table {})", table.name())),
    }
}
