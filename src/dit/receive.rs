//! The door for other nodes' updates: judged by number and chain, then joined by the same code as local changes.
//!
//! A received update is never refused for what it says. It may come before the birth of its entry (the birth's origin
//! is behind here): then the entry is kept unborn. It may concern an entry that was deleted and forgotten here, which the
//! vector tells: its birth is covered, so the entry was here. It may use attribute types that this node's schema does
//! not know: they are kept by their keys. Its stamp may be wild: it is applied, and the local clock does not follow.
//!
//! Invariants
//! - vector-no-holes: a record is taken only when it follows the last one held of its origin, by number and by chain.
//! - Entry, log, vector and clock change in one transaction.

use super::DitError;
use super::log::{chain_at, log_value, open_record};
use super::mutant::Mutant;
use super::spill::Touched;
use super::writing::Writing;
use crate::model::EntryUuid;
use crate::state::encoding::update::decode_update;
use crate::state::hybrid_clock::{Observation, is_bumped};
use crate::state::{AttributeId, Delta, LogRecord, Stamp, StateError, Update, UpdateVector};
use crate::storage::{EntryId, PutMode, Table, log_key, uuid2id_key};
use std::sync::Arc;

/// What became of a received record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Receipt {
    /// It was taken: log, vector and entry have it.
    Applied {
        /// Set when its stamp is too far ahead of the local time to be followed, and its origin's clock said so: raise an alarm
        /// that names the member. A change that had to be newer than such a one is not followed either, and no reason.
        /// Milliseconds; all of `u64` when the epoch of its clock is a later one.
        ahead_ms: Option<u64>,
    },
    /// It was held before. Nothing changed.
    Known,
    /// Records before it are missing. Nothing changed.
    Gap {
        /// All up to this number is held.
        held: u64,
    },
    /// The origin wrote something else under this number: two nodes run as one. Nothing changed.
    Fork,
    /// It is of this node's own origin and newer than what this node holds: the data folder is older than what was
    /// sent from it. Nothing changed; [`Writing::rotate_origin`] first.
    Own,
    /// The origin was closed below this number. Nothing changed.
    Closed {
        /// The origin's last number.
        last: u64,
    },
    /// It cannot be read here (a newer version wrote it, or it is no update). Nothing changed, and nothing of its
    /// origin can be taken before this is mended.
    Undecodable(StateError),
}

impl Writing<'_> {
    /// Takes another node's record, if it is the next of its origin.
    ///
    /// # Errors
    /// [`DitError::Storage`], [`DitError::State`]: the transaction is then to be dropped.
    pub fn receive(&mut self, record: &LogRecord) -> Result<Receipt, DitError> {
        let held = self.held(record.origin)?;
        if record.sequence <= held.position.sequence {
            let chain = chain_at(self.txn.reader(), &self.catalog, record.origin, &held, record.sequence)?;
            let differs = chain.is_some_and(|chain| chain != record.chain);
            return Ok(if differs { Receipt::Fork } else { Receipt::Known });
        }
        if record.origin == self.origin() {
            return Ok(Receipt::Own);
        }
        if let Some(last) = held.position.closed.filter(|last| record.sequence > *last) {
            return Ok(Receipt::Closed { last });
        }
        if record.sequence != held.position.sequence + 1 {
            return Ok(Receipt::Gap { held: held.position.sequence });
        }
        if !record.follows(&held.position) {
            return Ok(Receipt::Fork);
        }
        let update = match self.read_update(record)? {
            Ok(update) => update,
            Err(error) => return Ok(Receipt::Undecodable(error)),
        };
        self.append(record.origin, held, log_value(&record.bytes))?;
        let now_ms = self.now_ms();
        let ahead_ms = match self.clock.observe(update.stamp.csn, now_ms) {
            Observation::Followed | Observation::LaterEpoch => None,
            // Its origin's clock is right: it changed what another's had stamped.
            Observation::TooFarAhead { .. } if is_bumped(update.stamp.csn) => None,
            Observation::TooFarAhead { ahead_ms } => Some(ahead_ms),
        };
        self.clock_moved = true;
        self.take(&update)?;
        Ok(Receipt::Applied { ahead_ms })
    }

    /// Joins an update into its entry, or ignores it when that was deleted and forgotten.
    pub(super) fn take(&mut self, update: &Update) -> Result<(), DitError> {
        self.intern_origin(update.stamp)?;
        self.intern_origin(update.birth)?;
        for delta in &update.deltas {
            if let Delta::Count { base, .. } = delta {
                self.intern_origin(base.stamp)?;
            }
        }
        match self.id_of(update.uuid, update.birth)? {
            Some(id) => {
                let (mut state, mut touched) = (self.state(id)?, Touched::default());
                if let Some(held) = &mut state {
                    touched = self.load_touched(id, held, &update.deltas)?;
                    self.heal_conflicts(held, update)?;
                    self.note_lost(id, held, update)?;
                }
                self.watched = Some((id, false));
                self.join_loaded(id, state, touched, update)?;
                if self.watched.take().is_some_and(|(_, changed)| changed) {
                    self.watch_soundness(id)?;
                }
                self.answer_questions(update)
            }
            None if !update.is_birth() && self.shows_deleted(update.birth)? => Ok(()),
            None => {
                let id = self.number(update.uuid, update.birth)?;
                self.join(id, None, update)
            }
        }
    }

    /// The update in a record, which must be the one that the record's place says.
    fn read_update(&mut self, record: &LogRecord) -> Result<Result<Update, StateError>, DitError> {
        let update = self.with_received_attributes(|intern| decode_update(&record.bytes, intern))?;
        Ok(update.and_then(|update| {
            let dot = update.dot();
            if (dot.origin, dot.sequence) != (record.origin, record.sequence) {
                return Err(StateError::Malformed { what: "place of an update" });
            }
            if update.is_birth() && update.birth != update.stamp {
                return Err(StateError::Malformed { what: "birth of an update" });
            }
            Ok(update)
        }))
    }

    /// Decodes what another node sent, whose attribute keys get local numbers.
    pub(super) fn with_received_attributes<T>(
        &mut self,
        decode: impl FnOnce(&mut dyn FnMut(&str) -> Option<AttributeId>) -> T,
    ) -> Result<T, DitError> {
        let mut failure = None;
        let decoded = decode(&mut |key| self.intern_received(key).map_err(|error| failure = Some(error)).ok());
        failure.map_or(Ok(decoded), Err)
    }

    /// The local number of an attribute key that another node sent, given now if it is new. No schema is asked.
    pub(super) fn intern_received(&mut self, key: &str) -> Result<AttributeId, DitError> {
        if let Some(id) = self.catalog.find_key(key) {
            return Ok(id);
        }
        self.catalog_changed = true;
        Arc::make_mut(&mut self.catalog).intern_received(&mut self.txn, key)
    }

    /// Gives the origin of a stamp a local number, so that records can refer to it.
    pub(super) fn intern_origin(&mut self, stamp: Stamp) -> Result<(), DitError> {
        let origin = stamp.csn.origin();
        if stamp == Stamp::NONE || self.catalog.origin_number(origin).is_some() {
            return Ok(());
        }
        self.catalog_changed = true;
        Arc::make_mut(&mut self.catalog).intern_origin(&mut self.txn, origin)
    }

    /// The entry number of an incarnation, live or not.
    pub(super) fn id_of(&self, uuid: EntryUuid, birth: Stamp) -> Result<Option<EntryId>, DitError> {
        let dot = birth.dot();
        let key = uuid2id_key(uuid, Some((dot.origin, dot.sequence)));
        Ok(self.txn.reader().get(Table::Uuid2Id, &key)?.map(EntryId::from_key))
    }

    /// Whether an entry of this birth that is unknown here was deleted and forgotten.
    pub(super) fn shows_deleted(&self, birth: Stamp) -> Result<bool, DitError> {
        Ok(!self.dit.lacks(Mutant::BirthsTellNothing) && self.holds(birth)?)
    }

    /// Whether this very change is held here, not another under its number, as copies of a data folder write them.
    /// That is seen as long as the record is kept, and a copy's changes are written again only from kept records.
    pub(super) fn holds(&self, stamp: Stamp) -> Result<bool, DitError> {
        if !self.covers(stamp)? {
            return Ok(false);
        }
        let key = log_key(stamp.csn.origin(), stamp.sequence);
        let Some(value) = self.txn.reader().get(Table::Log, &key)? else { return Ok(true) };
        let record = open_record(&self.catalog, &key, value)?;
        let update = decode_update(&record.bytes, |key| self.catalog.find_key(key));
        Ok(update.map_or(true, |update| update.stamp == stamp))
    }

    /// Whether another node that holds `theirs` holds this change of this node's: it does not if its history of the
    /// origin is another one.
    pub(super) fn is_held_there(&self, stamp: Stamp, theirs: &UpdateVector) -> Result<bool, DitError> {
        if !theirs.covers(stamp.dot()) {
            return Ok(false);
        }
        let origin = stamp.csn.origin();
        let (held, there) = (self.held(origin)?, theirs.position(origin));
        let chain = chain_at(self.txn.reader(), &self.catalog, origin, &held, there.sequence)?;
        Ok(chain.zip(there.known_chain()).is_none_or(|(here, there)| here == there))
    }

    /// Whether the change behind a stamp is held here.
    pub(super) fn covers(&self, stamp: Stamp) -> Result<bool, DitError> {
        Ok(stamp.sequence <= self.held(stamp.csn.origin())?.position.sequence)
    }

    /// A new entry number for an incarnation.
    pub(super) fn number(&mut self, uuid: EntryUuid, birth: Stamp) -> Result<EntryId, DitError> {
        self.last_id += 1;
        let id = EntryId(self.last_id);
        let dot = birth.dot();
        let key = uuid2id_key(uuid, Some((dot.origin, dot.sequence)));
        self.txn.put(Table::Uuid2Id, &key, &id.to_key(), PutMode::Upsert)?;
        Ok(id)
    }
}
