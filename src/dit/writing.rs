//! The open write transaction: what a change finds in it, how it is stamped and recorded, how all of it is committed.
//!
//! Invariants
//! - csn-rises, vector-no-holes: the origin's sequence grows by one with each stamped change, and is stored with it.
//! - Entry, index, log, vector and clock are committed together or not at all.
//!
//! Not here: what follows from a change (`apply`), loading many entries (`bulk`).

use super::DitError;
use super::arrivals::Run;
use super::catalog::{Catalog, IndexOptions};
use super::derive::rdn_of;
use super::digest_table::{DigestChanges, stored_digest};
use super::encryption::Encryption;
use super::index_keys::KeySet;
use super::log::{Held, log_value};
use super::mutant::Mutant;
use super::shape::Adoption;
use super::shape::placing::Follow;
use super::sorter::Sorter;
use super::spill::{self, Touched};
use super::text_names::Taking;
use super::tree::Dit;
use super::view::View;
use crate::model::{AttributeDescription, EntryUuid};
use crate::schema::Schema;
use crate::state::encoding::update::encode_update;
use crate::state::{
    AttributeId, Cell, Csn, Delta, Dot, EntryDigest, EntryState, Former, HybridClock, OriginId, Stamp, StateError,
    UnknownField, Update, ValueKey,
};
use crate::storage::{EntryId, Environment, FORMAT_VERSION, MetaName, Naming, Reader, Table, WriteTransaction};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Origins whose positions are written down with a change; with more, only what it replaced tells what it knew.
const KNOWN_MAX: usize = 64;

/// A field of each change that a release after this one would make; see the feature `next`.
const NEXT_FIELD: u64 = 90 << 1;

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
    pub(super) dit: &'d Dit,
    pub(super) txn: WriteTransaction<'d>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) catalog_changed: bool,
    pub(super) clock: HybridClock,
    /// What is held of this node's origin.
    pub(super) own: Held,
    /// What is held of other origins, where this transaction changed it.
    pub(super) others: BTreeMap<OriginId, Held>,
    /// How far other origins are held, once somebody asked; forgotten when it changes.
    pub(super) known: Option<Vec<(OriginId, u64)>>,
    pub(super) digest_changes: DigestChanges,
    /// The digest in the state record that was read last, until one is written.
    pub(super) digest_read: std::cell::Cell<Option<(EntryId, Option<EntryDigest>)>>,
    /// The entry that another node's update is for, and whether that changed which attributes and classes it shows.
    pub(super) watched: Option<(EntryId, bool)>,
    /// The deletions that the log tells of, once somebody asked.
    pub(super) deletions: Option<BTreeSet<(EntryUuid, Dot)>>,
    pub(super) last_id: u64,
    pub(super) naming_stamp: u64,
    pub(super) adoption: Arc<Adoption>,
    /// Incarnations born in this transaction of entries that had others before.
    pub(super) born_again: Vec<(EntryUuid, Stamp)>,
    /// What of the tree has still to follow from the change at hand.
    pub(super) follow: Follow,
    pub(super) rules_changed: bool,
    /// Whether schema definitions changed.
    pub(super) schema_touched: bool,
    /// Where the row of arrivals last went over to another origin, once somebody asked.
    pub(super) last_run: Option<Run>,
    /// Whether this node's origin wrote.
    pub(super) stamped: bool,
    /// Changes belong together; whether one of them was made already.
    together: Option<bool>,
    /// Whether the clock followed another node's.
    pub(super) clock_moved: bool,
    /// Under which this thread remembers superiors' names. Another one for each transaction and after each rename within one:
    /// what one renames is not so if it is dropped.
    pub(super) token: u64,
    /// Bulk load gathers index keys here instead of putting them one by one.
    pub(super) sorter: Option<Sorter>,
    /// Bulk load: the keys of the entry at hand are gathered later.
    pub(super) index_later: bool,
    pub(super) is_bulk: bool,
    /// A whole directory is being taken in, and the index is not kept: see `fill`.
    pub(super) filling: bool,
    /// The entry at hand is new, and its record goes to the end of the table.
    pub(super) appends: bool,
    /// While filling: the entry at hand, if it was not here before.
    pub(super) fills_new: Option<EntryUuid>,
    /// The state at hand is written with its view, and until then is `held_back`.
    pub(super) holds_back: bool,
    pub(super) held_back: Option<(EntryId, Vec<u8>)>,
    /// While filling: what this transaction changed, with the view as it is now (empty: none, or as it was).
    pub(super) filled: hashbrown::HashMap<EntryId, Vec<u8>>,
    /// While filling: superiors by entryUUID, as they are shown.
    pub(super) superiors: hashbrown::HashMap<EntryUuid, EntryId>,
    pub(super) old_keys: KeySet,
    pub(super) new_keys: KeySet,
}

impl<'d> Writing<'d> {
    /// Begins a write transaction; waits for the one that is open.
    pub(super) fn begin(dit: &'d Dit) -> Result<Self, DitError> {
        let txn = dit.environment().write()?;
        let reader = txn.reader();
        let origin = OriginId(reader.meta_u64(MetaName::Origin)?);
        let clock = reader.meta(MetaName::Clock)?.and_then(|bytes| bytes.as_chunks::<16>().0.try_into().ok());
        let [last, bumped]: [[u8; 16]; 2] = clock.unwrap_or_default();
        let own = Held::read(reader, origin)?;
        let last_id = reader.meta_u64(MetaName::LastEntryId)?;
        let naming = reader.naming()?;
        let mut adoption = dit.adoption();
        if adoption.stamp() != naming.adopted {
            adoption = Arc::new(Adoption::load(reader)?);
        }
        Ok(Self {
            dit,
            txn,
            catalog: dit.catalog(),
            catalog_changed: false,
            clock: HybridClock::resume(origin, Csn::from_be_bytes(last), Csn::from_be_bytes(bumped)),
            own,
            others: BTreeMap::new(),
            known: None,
            digest_changes: DigestChanges::default(),
            digest_read: std::cell::Cell::new(None),
            watched: None,
            deletions: None,
            last_id,
            naming_stamp: naming.stamp,
            adoption,
            born_again: Vec::new(),
            follow: Follow::default(),
            rules_changed: false,
            schema_touched: false,
            last_run: None,
            stamped: false,
            together: None,
            clock_moved: false,
            token: fresh_token(),
            sorter: None,
            index_later: false,
            is_bulk: false,
            filling: dit.is_filling(),
            appends: false,
            fills_new: None,
            holds_back: false,
            held_back: None,
            filled: hashbrown::HashMap::new(),
            superiors: hashbrown::HashMap::new(),
            old_keys: KeySet::default(),
            new_keys: KeySet::default(),
        })
    }

    /// The tree as it is inside the transaction; valid until the next change.
    pub fn view(&self) -> View<'_> {
        View::new(self.txn.reader(), &self.catalog, &self.adoption, self.naming_stamp, self.token)
    }

    /// This node's origin.
    pub fn origin(&self) -> OriginId {
        self.clock.origin()
    }

    /// The last change of this node so far, this transaction's among them.
    pub fn last_dot(&self) -> Dot {
        Dot { origin: self.origin(), sequence: self.own.position.sequence }
    }

    /// Unix milliseconds: [`Dit::now_ms`].
    pub fn now_ms(&self) -> u64 {
        self.dit.now_ms()
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
        let (digest, state) = read_whole(self.txn.reader(), &self.catalog, id)?.unzip();
        self.digest_read.set(Some((id, digest.flatten())));
        Ok(state)
    }

    /// The digest in the entry's state record: mostly read with the state that was changed.
    pub(super) fn digest_before(&self, id: EntryId) -> Result<Option<EntryDigest>, DitError> {
        match self.digest_read.take() {
            Some((of, digest)) if of == id => Ok(digest),
            _ => stored_digest(self.txn.reader(), &self.catalog, id),
        }
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

    /// Stamps a local change and applies it. The deltas were checked; `requester` is kept in the log.
    /// Returns the entry and the change's stamp. Before an entry goes or gets another name, what names it as text becomes a
    /// link (`texts`), and values of uniqueMember with a UID follow it (`unique_members`).
    ///
    /// # Errors
    /// [`DitError::NoSuchEntry`]; [`DitError::Storage`]: the transaction is then to be dropped.
    pub fn change(
        &mut self,
        target: Target,
        requester: &str,
        deltas: Vec<Delta>,
    ) -> Result<(EntryId, Stamp), DitError> {
        if let Target::Existing(id) = target
            && deltas.contains(&Delta::Dead)
        {
            self.end_hidden(id, requester)?;
        }
        let (texts, names) = match (target, Taking::of(&deltas)) {
            (Target::Existing(id), Some(taking)) => {
                (self.texts_left_by(id, taking)?.0, self.names_left_by(id, taking)?)
            }
            _ => (Vec::new(), Vec::new()),
        };
        if texts.is_empty() && names.is_empty() {
            return self.change_alone(target, requester, deltas);
        }
        let change = |writing: &mut Self| {
            let (id, stamp) = writing.change_after_texts(&texts, target, requester, deltas)?;
            writing.follow_names(&names, requester)?;
            Ok((id, stamp))
        };
        if self.together.is_some() { change(self) } else { self.together(change) }
    }

    /// [`Writing::change`] without what goes before it.
    pub(super) fn change_alone(
        &mut self,
        target: Target,
        requester: &str,
        deltas: Vec<Delta>,
    ) -> Result<(EntryId, Stamp), DitError> {
        let state = match target {
            Target::Existing(id) => self.state(id)?,
            Target::New(_) => None,
        };
        self.change_held(target, state, requester, deltas)
    }

    /// [`Writing::change`] of values of an entry whose state, as the transaction has it, is at hand.
    ///
    /// # Errors
    /// As [`Writing::change`].
    pub fn change_held(
        &mut self,
        target: Target,
        mut state: Option<EntryState>,
        requester: &str,
        deltas: Vec<Delta>,
    ) -> Result<(EntryId, Stamp), DitError> {
        let mut touched = Touched::default();
        if let (Target::Existing(id), Some(held)) = (target, &mut state) {
            touched = self.load_touched(id, held, &deltas)?;
        }
        let mut above = state.as_ref().map_or(Csn::NONE, |state| state.max_csn_touched(&deltas));
        if deltas.iter().any(|delta| matches!(delta, Delta::Parent(_))) {
            above = above.max(self.newest_move()?);
        }
        if let Target::New(uuid) = target
            && !self.is_bulk
        {
            above = self.newest_before_birth(uuid)?;
        }
        if self.dit.lacks(Mutant::NoCausalBump) {
            above = Csn::NONE;
        }
        let ticked = self.clock.tick(self.now_ms());
        let stamp = Stamp { csn: self.clock.bump(ticked, above), sequence: self.own.position.sequence + 1 };
        let (uuid, birth) = match (&state, target) {
            (Some(state), _) => (state.uuid, state.birth),
            (None, Target::New(uuid)) => (uuid, stamp),
            (None, Target::Existing(_)) => return Err(DitError::NoSuchEntry(EntryUuid::NIL)),
        };
        let replaced = state.as_ref().map(|state| self.replaced(state, &deltas)).unwrap_or_default();
        let known = if replaced.is_empty() { Vec::new() } else { self.known()? };
        let update = Update::new(stamp, uuid, birth, requester.to_owned(), deltas).replacing(replaced).knowing(known);
        let former = state.as_ref().map(|state| former(state, &update.deltas)).unwrap_or_default();
        let update = update.instead_of(former).joining(self.joins());
        self.record(&update)?;
        let id = match target {
            Target::Existing(id) => id,
            Target::New(_) => self.number(uuid, birth)?,
        };
        self.join_loaded(id, state, touched, &update)?;
        Ok((id, stamp))
    }

    /// What `changes` stamps belongs together: other nodes too show all of it, or nothing yet.
    ///
    /// # Errors
    /// Those of `changes`; the transaction is then to be dropped, or only a part would be there.
    pub fn together<T, E>(&mut self, changes: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        self.together = Some(false);
        let outcome = changes(self);
        self.together = None;
        outcome
    }

    /// Whether the change at hand belongs together with the one before it; the next one may.
    pub(super) fn joins(&mut self) -> bool {
        let joins = self.together == Some(true);
        self.together = self.together.map(|_| true);
        joins
    }

    /// How far other origins are held; nothing when they are too many to be said with every change.
    pub(super) fn known(&mut self) -> Result<Vec<(OriginId, u64)>, DitError> {
        if let Some(known) = &self.known {
            return Ok(known.clone());
        }
        let own = self.origin();
        let held = self.all_held()?.into_iter().filter(|(origin, _)| *origin != own);
        let mut known: Vec<_> = held.map(|(origin, held)| (origin, held.position.sequence)).collect();
        if known.len() > KNOWN_MAX {
            known.clear();
        } else if known.is_empty() {
            // Nothing said would mean that it is not known.
            known.push((own, self.own.position.sequence));
        }
        self.known = Some(known.clone());
        Ok(known)
    }

    /// What each delta of a local change replaces. Who modified an entry last is nothing to lose.
    fn replaced(&self, state: &EntryState, deltas: &[Delta]) -> Vec<Stamp> {
        let known = self.catalog.well_known();
        let stamp_of = |delta: &Delta| match delta {
            Delta::Clear(attribute) | Delta::Cell { attribute, .. } if *attribute == known.modifiers_name => {
                Stamp::NONE
            }
            delta => state.replaced_by(delta),
        };
        deltas.iter().map(stamp_of).collect()
    }

    /// Writes the change into log and vector.
    pub(super) fn record(&mut self, update: &Update) -> Result<(), DitError> {
        let origin = update.stamp.csn.origin();
        self.intern_origin(update.stamp)?;
        assert_eq!(update.stamp.sequence, self.own.position.sequence + 1, "vector-no-holes");
        self.stamped = true;
        if self.is_bulk {
            // A bulk load begins the history of its entries: whoever lacks them takes them whole.
            self.own.position.sequence = update.stamp.sequence;
            self.own.floor = update.stamp.sequence + 1;
            self.own.settled = update.stamp.sequence;
            return Ok(());
        }
        let catalog = &self.catalog;
        let mut value = log_value(&[]);
        let mut of_next = None;
        if cfg!(feature = "next") {
            let field = UnknownField { tag: NEXT_FIELD, bytes: b"next".to_vec() };
            of_next = Some(Update { unknown: vec![field], ..update.clone() });
        }
        let update = of_next.as_ref().unwrap_or(update);
        encode_update(update, |attribute| catalog.attribute(attribute).map(|info| info.key.as_str()), &mut value)
            .map_err(|error| state_error(EntryId::NONE, &error))?;
        self.append(origin, self.own, value)
    }

    /// Something that was shown changes its name or its place: names of superiors are made anew.
    pub(super) fn forget_names(&mut self) {
        self.token = fresh_token();
    }

    /// Turns to bulk load: see `bulk`.
    pub(super) fn bulk(&mut self, sorter: Sorter) {
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

    pub(super) fn dit(&self) -> &'d Dit {
        self.dit
    }

    /// Commits and begins the next transaction with what bulk load has gathered so far.
    pub(super) fn commit_and_continue(mut self) -> Result<Self, DitError> {
        if self.schema_touched {
            self.follow_schema()?;
        }
        let (dit, token, sorter, catalog) = (self.dit, self.token, self.sorter.take(), Arc::clone(&self.catalog));
        self.commit()?;
        let mut next = Self::begin(dit)?;
        next.catalog = catalog;
        next.token = token;
        next.sorter = sorter;
        next.is_bulk = true;
        Ok(next)
    }

    /// Stores counters and clock and commits durably; then tells the followers.
    pub(super) fn commit(mut self) -> Result<(), DitError> {
        if self.schema_touched {
            self.follow_schema()?;
        }
        if self.stamped || self.clock_moved {
            let mut clock = self.clock.last().to_be_bytes().to_vec();
            clock.extend_from_slice(&self.clock.bumped().to_be_bytes());
            self.txn.put_meta(MetaName::Clock, &clock)?;
        }
        if self.stamped {
            self.txn.put_meta(MetaName::Sequence, &self.own.position.sequence.to_be_bytes())?;
        }
        if self.stamped || !self.others.is_empty() {
            self.trim_to_limit()?;
            self.write_vector()?;
        }
        self.write_digest()?;
        // Only what changed: a transaction that put nothing (every change was refused) commits without a flush.
        if self.txn.reader().meta_u64(MetaName::LastEntryId)? != self.last_id {
            self.txn.put_meta(MetaName::LastEntryId, &self.last_id.to_be_bytes())?;
        }
        let naming =
            Naming { stamp: self.naming_stamp, adopted: self.adoption.stamp(), numbered: self.catalog.numbered() };
        if self.txn.reader().naming()? != naming {
            self.txn.put_naming(naming)?;
        }
        self.txn.commit()?;
        self.dit.set_filling(self.filling);
        if self.filling {
            self.dit.gather_keys(&self.catalog, self.filled);
        }
        let catalog = self.catalog_changed.then_some(self.catalog);
        let adoption = (self.dit.adoption().stamp() != naming.adopted).then_some(self.adoption);
        self.dit.publish(catalog, adoption, self.rules_changed);
        Ok(())
    }
}

fn fresh_token() -> u64 {
    static TOKENS: AtomicU64 = AtomicU64::new(1 << 63);
    TOKENS.fetch_add(1, Ordering::Relaxed)
}

/// Makes an empty environment a node of a new cluster.
pub(super) fn initialise(
    environment: &Environment,
    schema: Arc<Schema>,
    index: Arc<IndexOptions>,
    encryption: Option<&Encryption>,
) -> Result<(), DitError> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|_| DitError::Unavailable("the operating system gives no random numbers"))?;
    let mut parts = random.as_chunks::<16>().0.iter();
    let (cluster, node) = (parts.next().copied().unwrap_or_default(), parts.next().copied().unwrap_or_default());
    let origin = super::origin::mint()?;
    let mut txn = environment.write()?;
    txn.put_meta(MetaName::Format, &FORMAT_VERSION.to_be_bytes())?;
    txn.put_meta(MetaName::Cluster, &cluster)?;
    txn.put_meta(MetaName::Node, &node)?;
    txn.put_meta(MetaName::Origin, &origin.0.to_be_bytes())?;
    txn.put_meta(MetaName::IndexConfiguration, index.fingerprint(&schema).as_bytes())?;
    if let Some(encryption) = encryption {
        txn.put_meta(MetaName::Encryption, encryption.recorded().as_bytes())?;
    }
    let mut catalog = Catalog::new(schema, index);
    catalog.initialise(&mut txn)?;
    catalog.intern_origin(&mut txn, origin)?;
    Ok(txn.commit()?)
}

/// What a rename or a move with these deltas takes from an entry in this state.
fn former(state: &EntryState, deltas: &[Delta]) -> Former {
    let has = |is_meant: fn(&Delta) -> bool| deltas.iter().any(is_meant);
    let rdn = if has(|delta| matches!(delta, Delta::Rdn(_))) { rdn_of(&state.rdn.1) } else { None };
    let parent = has(|delta| matches!(delta, Delta::Parent(_))).then_some(state.parent.1);
    Former { rdn: rdn.map(|rdn| rdn.to_string()), parent }
}

pub(super) fn read_state(reader: Reader<'_>, catalog: &Catalog, id: EntryId) -> Result<Option<EntryState>, DitError> {
    Ok(read_whole(reader, catalog, id)?.map(|(_, state)| state))
}

/// A state and the digest that is kept with it.
fn read_whole(
    reader: Reader<'_>,
    catalog: &Catalog,
    id: EntryId,
) -> Result<Option<(Option<EntryDigest>, EntryState)>, DitError> {
    let Some(record) = reader.get(Table::Id2State, &id.to_key())? else { return Ok(None) };
    let content = catalog.state_content(id, record)?;
    let (digest, body) = split_state(id, &content)?;
    let state = EntryState::decode(body, |number| catalog.origin(number)).map_err(|error| state_error(id, &error))?;
    Ok(Some((digest, state)))
}

/// A state record after its checksum: the entry's digest (zero: none, as it is not live) and the state.
pub(super) fn split_state(id: EntryId, body: &[u8]) -> Result<(Option<EntryDigest>, &[u8]), DitError> {
    let (digest, state) = body.split_first_chunk::<16>().ok_or_else(|| state_error(id, &StateError::Truncated))?;
    let digest = u128::from_be_bytes(*digest);
    Ok(((digest != 0).then_some(EntryDigest(digest)), state))
}

pub(super) fn state_error(id: EntryId, error: &StateError) -> DitError {
    DitError::State { id: id.0, detail: error.to_string() }
}
