//! The one door: an update joins the state of its entry, and view, indexes, tree, log and vector follow in the same
//! transaction.
//!
//! A local change comes as deltas and is stamped here, above everything that it touches; so its join cannot lose. A
//! replicated update comes stamped and joins the same way. Nothing here refuses: what may not be was refused before.
//!
//! Invariants
//! - csn-rises, vector-no-holes: the origin's sequence grows by one with each stamped change, and is stored with it.
//! - index-equals-recomputed: index keys are added and removed as the difference of the old and new view's keys.
//! - siblings-unique: one entry for each (superior, normalised RDN) by local changes.

use super::DitError;
use super::catalog::{Catalog, IndexOptions};
use super::derive::{derive, name_key};
use super::index_keys::{KeySet, keys_of_attribute, link_key};
use super::sorter::Sorter;
use super::spill::{self, Touched};
use super::tree::Dit;
use super::view::View;
use crate::model::{AttributeDescription, EntryUuid};
use crate::schema::Schema;
use crate::schema::time::format_generalized_time;
use crate::state::encoding::update::encode_update;
use crate::state::{
    AttributeId, AttributeState, Cell, Csn, Delta, EntryState, HybridClock, OriginId, OriginPosition, Spilled, Stamp,
    StateError, Update, ValueKey,
};
use crate::storage::{
    AttributeSlice, ENTRY_HAS_ACI, EntryId, Environment, FORMAT_VERSION, IndexKind, MetaName, Postings, PutMode,
    Reader, Table, VALUE_SPILLED, ViewRecord, WriteTransaction, bigvalue_key, index_key, log_key, seal, sealed_id,
    unseal_id, uuid2id_key,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Referrers whose view is rewritten at once when a name changes; more are rendered afresh when read.
const REFERRERS_AT_ONCE_MAX: u64 = 256;
/// Log records trimmed in one commit at most.
const TRIM_MAX: u64 = 4096;

/// Which entry a local change is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// A new one.
    New(EntryUuid),
    /// One that is here.
    Existing(EntryId),
}

/// The open write transaction with everything that a change needs.
pub struct Writing<'d> {
    dit: &'d Dit,
    pub(super) txn: WriteTransaction<'d>,
    pub(super) catalog: Arc<Catalog>,
    catalog_changed: bool,
    clock: HybridClock,
    position: OriginPosition,
    last_id: u64,
    naming_stamp: u64,
    rules_changed: bool,
    stamped: bool,
    /// Remembers superiors' names while nothing is renamed (bulk load); 0 otherwise.
    pub(super) token: u64,
    /// Bulk load gathers index keys here instead of putting them one by one.
    sorter: Option<Sorter>,
    /// Bulk load: the keys of the entry at hand are gathered later.
    index_later: bool,
    is_bulk: bool,
    old_keys: KeySet,
    new_keys: KeySet,
}

impl<'d> Writing<'d> {
    /// Begins a write transaction; waits for the one that is open.
    pub(super) fn begin(dit: &'d Dit) -> Result<Self, DitError> {
        let txn = dit.environment().write()?;
        let reader = txn.reader();
        let origin = OriginId(reader.meta_u64(MetaName::Origin)?);
        let clock = reader.meta(MetaName::Clock)?.and_then(|bytes| bytes.as_chunks::<16>().0.try_into().ok());
        let [last, bumped]: [[u8; 16]; 2] = clock.unwrap_or_default();
        let position = read_position(reader, origin)?;
        let last_id = reader.meta_u64(MetaName::LastEntryId)?;
        let naming_stamp = reader.meta_u64(MetaName::NamingStamp)?;
        Ok(Self {
            dit,
            txn,
            catalog: dit.catalog(),
            catalog_changed: false,
            clock: HybridClock::resume(origin, Csn::from_be_bytes(last), Csn::from_be_bytes(bumped)),
            position,
            last_id,
            naming_stamp,
            rules_changed: false,
            stamped: false,
            token: 0,
            sorter: None,
            index_later: false,
            is_bulk: false,
            old_keys: KeySet::default(),
            new_keys: KeySet::default(),
        })
    }

    /// The tree as it is inside the transaction; valid until the next change.
    pub fn view(&self) -> View<'_> {
        View::new(self.txn.reader(), &self.catalog, self.naming_stamp, self.token)
    }

    /// This node's origin.
    pub fn origin(&self) -> OriginId {
        self.clock.origin()
    }

    /// Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.dit.clock().wall_ms()
    }

    /// The number of an attribute description, given now if it is new.
    ///
    /// # Errors
    /// As [`Catalog::intern`].
    pub fn intern(&mut self, description: &AttributeDescription) -> Result<AttributeId, DitError> {
        if let Some(id) = self.catalog.find(description) {
            return Ok(id);
        }
        self.catalog_changed = true;
        Arc::make_mut(&mut self.catalog).intern(&mut self.txn, description)
    }

    /// The merged state of an entry, without the cells of spilled attributes.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`].
    pub fn state(&self, id: EntryId) -> Result<Option<EntryState>, DitError> {
        read_state(self.txn.reader(), &self.catalog, id)
    }

    /// One cell of a spilled attribute.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`].
    pub fn spilled_cell(&self, id: EntryId, attribute: AttributeId, key: &ValueKey) -> Result<Option<Cell>, DitError> {
        spill::read_cell(self.txn.reader(), &self.catalog, id, attribute, key)
    }

    /// All cells of a spilled attribute in the order of their keys, those that say absent too. Cost: O(cells).
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`].
    pub fn spilled_cells(&self, id: EntryId, attribute: AttributeId) -> Result<Vec<(ValueKey, Cell)>, DitError> {
        spill::read_cells(self.txn.reader(), &self.catalog, id, attribute)
    }

    /// The administrator's stored password as it is in the transaction.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn administrator_password(&self) -> Result<Vec<u8>, DitError> {
        Ok(self.txn.reader().meta(MetaName::AdministratorPassword)?.unwrap_or_default().to_vec())
    }

    /// Stores another password (hashed) for the administrator. It belongs to this node, and is not in the log.
    ///
    /// # Errors
    /// [`DitError::Storage`]: the transaction is then to be dropped.
    pub fn set_administrator_password(&mut self, hash: &[u8]) -> Result<(), DitError> {
        Ok(self.txn.put_meta(MetaName::AdministratorPassword, hash)?)
    }

    /// Stamps a local change and applies it. The deltas were checked; `requester` is kept in the log.
    /// Returns the entry and the change's stamp.
    ///
    /// # Errors
    /// [`DitError::NoSuchEntry`]; [`DitError::Storage`]: the transaction is then to be dropped.
    pub fn change(
        &mut self,
        target: Target,
        requester: &str,
        deltas: Vec<Delta>,
    ) -> Result<(EntryId, Stamp), DitError> {
        let state = match target {
            Target::New(_) => None,
            Target::Existing(id) => Some(self.state(id)?.ok_or(DitError::NoSuchEntry(EntryUuid::NIL))?),
        };
        let above = state.as_ref().map_or(Csn::NONE, |state| state.max_csn_touched(&deltas));
        let ticked = self.clock.tick(self.now_ms());
        let stamp = Stamp { csn: self.clock.bump(ticked, above), sequence: self.position.sequence + 1 };
        let (uuid, birth) = match (&state, target) {
            (Some(state), _) => (state.uuid, state.birth),
            (None, Target::New(uuid)) => (uuid, stamp),
            (None, Target::Existing(_)) => return Err(DitError::NoSuchEntry(EntryUuid::NIL)),
        };
        let update = Update::new(stamp, uuid, birth, requester.to_owned(), deltas);
        self.record(&update)?;
        let id = match target {
            Target::Existing(id) => id,
            Target::New(_) => self.number(&update)?,
        };
        self.join(id, state, &update)?;
        Ok((id, stamp))
    }

    /// Writes the change into log and vector.
    fn record(&mut self, update: &Update) -> Result<(), DitError> {
        let origin = update.stamp.csn.origin();
        if self.catalog.origin_number(origin).is_none() {
            self.catalog_changed = true;
            Arc::make_mut(&mut self.catalog).intern_origin(&mut self.txn, origin)?;
        }
        assert_eq!(update.stamp.sequence, self.position.sequence + 1, "vector-no-holes");
        self.stamped = true;
        if self.is_bulk {
            // A bulk load begins the history of its entries: there is nobody who could ask for its changes.
            self.position.sequence = update.stamp.sequence;
            return Ok(());
        }
        let key = log_key(origin, update.stamp.sequence);
        let catalog = &self.catalog;
        let mut record = vec![0; 8];
        encode_update(update, |attribute| catalog.attribute(attribute).map(|info| info.key.as_str()), &mut record)
            .map_err(|error| state_error(EntryId::NONE, &error))?;
        self.position.chain = self.position.chain_next(record.get(8..).unwrap_or_default());
        self.position.sequence = update.stamp.sequence;
        seal(&key, &mut record);
        Ok(self.txn.put(Table::Log, &key, &record, PutMode::Upsert)?)
    }

    fn number(&mut self, update: &Update) -> Result<EntryId, DitError> {
        self.last_id += 1;
        let id = EntryId(self.last_id);
        let dot = update.birth.dot();
        let key = uuid2id_key(update.uuid, Some((dot.origin, dot.sequence)));
        self.txn.put(Table::Uuid2Id, &key, &id.to_key(), PutMode::Upsert)?;
        Ok(id)
    }

    /// Joins `update` into `state` (the entry's, or none) and lets everything that follows from it follow.
    fn join(&mut self, id: EntryId, state: Option<EntryState>, update: &Update) -> Result<(), DitError> {
        let is_new = state.is_none();
        let mut state = state.unwrap_or_else(|| EntryState::unborn(update.uuid, update.birth));
        let mut touched = Touched::load(self.txn.reader(), &self.catalog, id, &mut state, &update.deltas)?;
        let effect = state.apply(update);
        if !effect.is_change() {
            return Ok(());
        }
        let renamed = !is_new && (effect.rdn || effect.parent);
        let members = effect
            .attributes
            .iter()
            .any(|id| self.catalog.attribute(*id).is_some_and(|info| info.links || info.membership));
        self.rules_changed |= members || renamed || effect.dead;
        touched.store(&mut self.txn, &self.catalog, id, &mut state)?;
        self.put_state(id, &state)?;
        self.refresh(id, &state, &touched)?;
        if renamed || effect.dead {
            self.refresh_referrers(id, state.uuid, effect.dead)?;
        }
        Ok(())
    }

    pub(super) fn put_state(&mut self, id: EntryId, state: &EntryState) -> Result<(), DitError> {
        let catalog = &self.catalog;
        let mut record = vec![0; 8];
        state.encode(|origin| catalog.origin_number(origin), &mut record).map_err(|error| state_error(id, &error))?;
        let mode = if self.is_bulk && id.0 == self.last_id { PutMode::Append } else { PutMode::Upsert };
        Ok(self.txn.put(Table::Id2State, &id.to_key(), &sealed_id(id, record), mode)?)
    }

    /// Derives the view anew and changes index and tree by the difference.
    pub(super) fn refresh(&mut self, id: EntryId, state: &EntryState, touched: &Touched) -> Result<(), DitError> {
        let old = self.txn.reader().get(Table::Id2Entry, &id.to_key())?.map(<[u8]>::to_vec);
        let old = match &old {
            Some(bytes) => Some(ViewRecord::open(id, bytes)?),
            None => None,
        };
        let new = if state.is_live() {
            let parent = self.parent_of(state)?;
            Some(sealed_id(id, derive(&self.view(), state, parent)?))
        } else {
            None
        };
        let new_record = match &new {
            Some(bytes) => Some(ViewRecord::open(id, bytes)?),
            None => None,
        };
        let aci = |record: &Option<ViewRecord<'_>>| record.is_some_and(|record| record.flags() & ENTRY_HAS_ACI != 0);
        self.rules_changed |= aci(&old) || aci(&new_record);
        self.place(id, old.as_ref(), new_record.as_ref())?;
        self.index(id, old.as_ref(), new_record.as_ref(), touched)?;
        match new {
            Some(bytes) => {
                let append = self.is_bulk && old.is_none() && id.0 == self.last_id;
                let mode = if append { PutMode::Append } else { PutMode::Upsert };
                self.txn.put(Table::Id2Entry, &id.to_key(), &bytes, mode)?;
            }
            None => {
                self.txn.delete(Table::Id2Entry, &id.to_key(), None)?;
            }
        }
        Ok(())
    }

    fn parent_of(&self, state: &EntryState) -> Result<EntryId, DitError> {
        if state.parent.1 == EntryUuid::NIL {
            return Ok(EntryId::NONE);
        }
        self.view().by_uuid(state.parent.1)?.ok_or(DitError::NoSuchEntry(state.parent.1))
    }

    /// The tree table and the counts of subordinates.
    fn place(
        &mut self,
        id: EntryId,
        old: Option<&ViewRecord<'_>>,
        new: Option<&ViewRecord<'_>>,
    ) -> Result<(), DitError> {
        let place = |catalog: &Catalog, record: &ViewRecord<'_>| {
            let parent = record.parent();
            (parent, name_key(catalog, parent, &String::from_utf8_lossy(record.rdn())))
        };
        if let (Some(old), Some(new)) = (old, new)
            && old.parent() == new.parent()
            && old.rdn() == new.rdn()
        {
            return Ok(());
        }
        let old = old.map(|record| place(&self.catalog, record));
        let new = new.map(|record| place(&self.catalog, record));
        if old == new {
            return Ok(());
        }
        if let Some((parent, name)) = &old {
            let removed =
                self.txn.delete(Table::Dn2Id, &crate::storage::dn2id_key(*parent, name), Some(&id.to_key()))?;
            assert!(removed, "tree-connected: a live entry has its record in the tree table");
        }
        if let Some((parent, name)) = &new {
            self.txn.put(Table::Dn2Id, &crate::storage::dn2id_key(*parent, name), &id.to_key(), PutMode::Upsert)?;
        }
        let (from, to) = (old.map(|(parent, _)| parent), new.map(|(parent, _)| parent));
        if from != to {
            if let Some(parent) = from {
                self.count_subordinate(parent, -1)?;
            }
            if let Some(parent) = to {
                self.count_subordinate(parent, 1)?;
            }
        }
        Ok(())
    }

    fn count_subordinate(&mut self, parent: EntryId, by: i64) -> Result<(), DitError> {
        if parent == EntryId::NONE {
            return Ok(());
        }
        let count = self.view().subordinate_count(parent)?.saturating_add_signed(by);
        Ok(self.txn.put(Table::Subordinates, &parent.to_key(), &count.to_ne_bytes(), PutMode::Upsert)?)
    }

    /// Changes the index by the difference of the keys of two views.
    fn index(
        &mut self,
        id: EntryId,
        old: Option<&ViewRecord<'_>>,
        new: Option<&ViewRecord<'_>>,
        touched: &Touched,
    ) -> Result<(), DitError> {
        let (mut old_keys, mut new_keys) = (std::mem::take(&mut self.old_keys), std::mem::take(&mut self.new_keys));
        old_keys.clear();
        new_keys.clear();
        if let Some(old) = old {
            view_keys(&self.catalog, old, new, &mut old_keys);
        }
        if let Some(new) = new {
            view_keys(&self.catalog, new, old, &mut new_keys);
        }
        touched.keys(&self.catalog, new.is_some(), &mut old_keys, &mut new_keys);
        if old.is_some() && new.is_none() {
            spill::all_keys(self.txn.reader(), &self.catalog, id, &mut old_keys)?;
        }
        let outcome = self.put_keys(id, &old_keys, &new_keys);
        self.old_keys = old_keys;
        self.new_keys = new_keys;
        outcome
    }

    fn put_keys(&mut self, id: EntryId, old_keys: &KeySet, new_keys: &KeySet) -> Result<(), DitError> {
        if self.sorter.is_some() {
            return if self.index_later { Ok(()) } else { self.sort_keys(id, new_keys) };
        }
        let (old, new) = (old_keys.sorted(), new_keys.sorted());
        let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (Some(gone), Some(come)) => gone.cmp(come),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (None, None) => return Ok(()),
            };
            let gone = if order.is_le() { old.next() } else { None };
            let come = if order.is_ge() { new.next() } else { None };
            match (gone, come) {
                (Some(key), None) => {
                    self.txn.delete(Table::Index, key, Some(&id.to_key()))?;
                }
                (None, Some(key)) => self.txn.put(Table::Index, key, &id.to_key(), PutMode::Upsert)?,
                _ => {}
            }
        }
    }

    pub(super) fn sort_keys(&mut self, id: EntryId, keys: &KeySet) -> Result<(), DitError> {
        if let Some(sorter) = &mut self.sorter {
            for key in keys.sorted() {
                sorter.push(key, id)?;
            }
        }
        Ok(())
    }

    /// Turns to bulk load: see `bulk`.
    pub(super) fn bulk(&mut self, sorter: Sorter) {
        static TOKENS: AtomicU64 = AtomicU64::new(1 << 63);
        self.token = TOKENS.fetch_add(1, Ordering::Relaxed);
        self.sorter = Some(sorter);
        self.is_bulk = true;
    }

    pub(super) fn index_later(&mut self, later: bool) {
        self.index_later = later;
    }

    /// Bulk load: writes the gathered keys as the index.
    pub(super) fn write_sorted(&mut self) -> Result<(), DitError> {
        match self.sorter.take() {
            Some(sorter) => sorter.finish(&mut self.txn),
            None => Ok(()),
        }
    }

    /// Bulk load: what was spilled with texts for links is written again with links.
    pub(super) fn relink_spilled(
        &mut self,
        id: EntryId,
        attribute: AttributeId,
        held: &mut AttributeState,
    ) -> Result<(), DitError> {
        let cells = spill::read_cells(self.txn.reader(), &self.catalog, id, attribute)?;
        let mut linked = Vec::with_capacity(cells.len());
        for (key, cell) in cells {
            self.txn.delete(Table::BigValues, &bigvalue_key(id, attribute, &key), None)?;
            linked.push(super::bulk::relink(self, attribute, key, cell)?);
        }
        held.spilled = Some(Box::new(Spilled::of(linked.iter().map(|(key, cell)| (key, cell)))));
        for (key, cell) in &linked {
            spill::write_cell(&mut self.txn, &self.catalog, id, attribute, key, cell)?;
        }
        Ok(())
    }

    pub(super) fn dit(&self) -> &'d Dit {
        self.dit
    }

    /// Commits and begins the next transaction with what bulk load has gathered so far.
    pub(super) fn commit_and_continue(mut self) -> Result<Self, DitError> {
        let (dit, token, sorter, catalog) = (self.dit, self.token, self.sorter.take(), Arc::clone(&self.catalog));
        self.commit()?;
        let mut next = Self::begin(dit)?;
        next.catalog = catalog;
        next.token = token;
        next.sorter = sorter;
        next.is_bulk = true;
        Ok(next)
    }

    /// After a name changed or an entry went: the entries that link to it show it, at once if they are few, else when
    /// they are next read.
    fn refresh_referrers(&mut self, id: EntryId, uuid: EntryUuid, dead: bool) -> Result<(), DitError> {
        let had_subordinates = self.txn.reader().get(Table::Subordinates, &id.to_key())?.is_some();
        let mut referrers = Vec::new();
        let mut many = had_subordinates && !dead;
        for attribute in self.catalog.link_attributes() {
            let mut key = Vec::with_capacity(24);
            index_key(*attribute, IndexKind::Equality, &link_key(uuid), &mut key);
            if let Some(mut postings) = Postings::open(self.txn.reader(), &key)? {
                many |= postings.count() > REFERRERS_AT_ONCE_MAX;
                while let (false, Some(referrer)) = (many, postings.next()?) {
                    referrers.push(referrer);
                }
            }
        }
        self.rules_changed |= many || !referrers.is_empty();
        if many {
            self.naming_stamp += 1;
            return Ok(());
        }
        referrers.sort_unstable();
        referrers.dedup();
        for referrer in referrers {
            if referrer != id {
                self.rewrite_view(referrer)?;
            }
        }
        Ok(())
    }

    /// Derives the view of an entry from its unchanged state: after names that it links to have changed.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`].
    pub fn rewrite_view(&mut self, id: EntryId) -> Result<(), DitError> {
        match self.state(id)? {
            Some(state) => self.refresh(id, &state, &Touched::default()),
            None => Ok(()),
        }
    }

    /// Stores counters and clock and commits durably; then tells the followers.
    pub(super) fn commit(mut self) -> Result<(), DitError> {
        let origin = self.clock.origin();
        if self.stamped {
            let mut clock = self.clock.last().to_be_bytes().to_vec();
            clock.extend_from_slice(&self.clock.bumped().to_be_bytes());
            self.txn.put_meta(MetaName::Clock, &clock)?;
            self.txn.put_meta(MetaName::Sequence, &self.position.sequence.to_be_bytes())?;
            write_position(&mut self.txn, origin, &self.position)?;
            self.trim()?;
        }
        // Only what changed: a transaction that put nothing (every change was refused) commits without a flush.
        for (name, number) in [(MetaName::LastEntryId, self.last_id), (MetaName::NamingStamp, self.naming_stamp)] {
            if self.txn.reader().meta_u64(name)? != number {
                self.txn.put_meta(name, &number.to_be_bytes())?;
            }
        }
        self.txn.commit()?;
        let catalog = self.catalog_changed.then_some(self.catalog);
        self.dit.publish(catalog, self.rules_changed);
        Ok(())
    }

    /// Drops the oldest log records beyond what is to be kept.
    fn trim(&mut self) -> Result<(), DitError> {
        let origin = self.clock.origin();
        let keep_from = self.position.sequence.saturating_sub(self.dit.log_records_max()) + 1;
        let floor = self.txn.reader().meta_u64(MetaName::LogFloor)?.max(1);
        let to = keep_from.min(floor + TRIM_MAX);
        if to <= floor {
            return Ok(());
        }
        for sequence in floor..to {
            self.txn.delete(Table::Log, &log_key(origin, sequence), None)?;
        }
        Ok(self.txn.put_meta(MetaName::LogFloor, &to.to_be_bytes())?)
    }
}

/// Makes an empty environment a node of a new cluster.
pub(super) fn initialise(
    environment: &Environment,
    schema: Arc<Schema>,
    index: Arc<IndexOptions>,
) -> Result<(), DitError> {
    let mut random = [0; 38];
    getrandom::fill(&mut random).map_err(|_| DitError::Unavailable("the operating system gives no random numbers"))?;
    let mut parts = random.as_chunks::<16>().0.iter();
    let (cluster, node) = (parts.next().copied().unwrap_or_default(), parts.next().copied().unwrap_or_default());
    let origin = random
        .last_chunk::<6>()
        .map_or(1, |bytes| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
        .max(1);
    let mut txn = environment.write()?;
    txn.put_meta(MetaName::Format, &FORMAT_VERSION.to_be_bytes())?;
    txn.put_meta(MetaName::Cluster, &cluster)?;
    txn.put_meta(MetaName::Node, &node)?;
    txn.put_meta(MetaName::Origin, &origin.to_be_bytes())?;
    txn.put_meta(MetaName::IndexConfiguration, index.fingerprint().as_bytes())?;
    let mut catalog = Catalog::new(schema, index);
    catalog.initialise(&mut txn)?;
    catalog.intern_origin(&mut txn, OriginId(origin))?;
    Ok(txn.commit()?)
}

/// Index keys of the attributes in which `record` differs from `other`.
fn view_keys(catalog: &Catalog, record: &ViewRecord<'_>, other: Option<&ViewRecord<'_>>, out: &mut KeySet) {
    let schema = catalog.schema();
    let twins = other.map_or_else(Vec::new, |other| changed_twins(catalog, record, other));
    for slice in record.attributes() {
        if slice.flags & VALUE_SPILLED != 0 {
            continue;
        }
        let Some(info) = catalog.attribute(slice.id) else { continue };
        let same = other.and_then(|other| other.attribute(slice.id));
        if same.is_some_and(|same| is_same(&same, &slice)) && !twins.contains(&info.base) {
            continue;
        }
        keys_of_attribute(schema, info, slice.values(), slice.targets, out);
    }
    let known = catalog.well_known();
    let times = [
        (known.create_timestamp, record.created_ms(), other.map(ViewRecord::created_ms)),
        (known.modify_timestamp, record.modified_ms(), other.map(ViewRecord::modified_ms)),
    ];
    for (attribute, time, other_time) in times {
        if other_time != Some(time)
            && let Some(info) = catalog.attribute(attribute)
        {
            let text = format_generalized_time(time);
            keys_of_attribute(schema, info, std::iter::once(text.as_bytes()), &[], out);
        }
    }
}

fn is_same(one: &AttributeSlice<'_>, other: &AttributeSlice<'_>) -> bool {
    one.set == other.set && one.targets == other.targets && one.flags == other.flags
}

/// Types of which a description with options changed: its keys stand under the bare type, so that `cn` keeps alive
/// what `cn;lang-de` loses.
fn changed_twins(catalog: &Catalog, one: &ViewRecord<'_>, other: &ViewRecord<'_>) -> Vec<AttributeId> {
    let mut bases = Vec::new();
    for (left, right) in [(one, other), (other, one)] {
        for slice in left.attributes() {
            let Some(info) = catalog.attribute(slice.id).filter(|info| info.base != slice.id) else { continue };
            let base_differs = match (left.attribute(info.base), right.attribute(info.base)) {
                (Some(left), Some(right)) => !is_same(&left, &right),
                (left, right) => left.is_some() != right.is_some(),
            };
            let same = right.attribute(slice.id).is_some_and(|same| is_same(&same, &slice));
            if (!same || base_differs) && !bases.contains(&info.base) {
                bases.push(info.base);
            }
        }
    }
    bases
}

/// Every index key that the view of an entry calls for, spilled values included: what `check` and `reindex` compare.
pub(super) fn all_view_keys(
    reader: Reader<'_>,
    catalog: &Catalog,
    id: EntryId,
    record: &ViewRecord<'_>,
    out: &mut KeySet,
) -> Result<(), DitError> {
    view_keys(catalog, record, None, out);
    spill::all_keys(reader, catalog, id, out)
}

pub(super) fn read_state(reader: Reader<'_>, catalog: &Catalog, id: EntryId) -> Result<Option<EntryState>, DitError> {
    let Some(record) = reader.get(Table::Id2State, &id.to_key())? else { return Ok(None) };
    let body = unseal_id("id2state", id, record)?;
    EntryState::decode(body, |number| catalog.origin(number)).map(Some).map_err(|error| state_error(id, &error))
}

pub(super) fn state_error(id: EntryId, error: &StateError) -> DitError {
    DitError::State { id: id.0, detail: error.to_string() }
}

fn read_position(reader: Reader<'_>, origin: OriginId) -> Result<OriginPosition, DitError> {
    let Some(bytes) = reader.get(Table::Vector, &origin.0.to_be_bytes())? else { return Ok(OriginPosition::default()) };
    let parts =
        bytes.split_first_chunk::<8>().and_then(|(sequence, rest)| Some((sequence, rest.split_first_chunk::<16>()?)));
    let (sequence, (chain, closed)) = parts.ok_or_else(|| {
        DitError::Storage(crate::storage::StorageError::Corrupted {
            table: "vector",
            detail: format!("the element of origin {origin}"),
        })
    })?;
    Ok(OriginPosition {
        sequence: u64::from_be_bytes(*sequence),
        chain: *chain,
        closed: closed.try_into().ok().map(u64::from_be_bytes),
    })
}

fn write_position(txn: &mut WriteTransaction<'_>, origin: OriginId, position: &OriginPosition) -> Result<(), DitError> {
    let mut bytes = position.sequence.to_be_bytes().to_vec();
    bytes.extend_from_slice(&position.chain);
    bytes.extend(position.closed.into_iter().flat_map(u64::to_be_bytes));
    Ok(txn.put(Table::Vector, &origin.0.to_be_bytes(), &bytes, PutMode::Upsert)?)
}
