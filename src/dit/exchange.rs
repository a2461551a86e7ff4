//! Exchange of whole entries: where the log does not reach, for a new member, and where two digests differ.
//!
//! What is sent is the whole state of an entry ([`PortableEntry`]), in parts if it is large; what arrives is joined, so
//! that nothing is lost whatever either side wrote meanwhile, and the same part may come twice. An entry that one side
//! lacks was deleted there if that side holds its birth; deletions therefore need no list of the dead.
//!
//! The vector is taken over only when everything was exchanged ([`Writing::take_vector`]): until then it says what is
//! held without the exchange, and an exchange that breaks off has merely brought something early.
//!
//! A node that was away beyond the stable cut holds values that the others removed and have forgotten. It takes their
//! entries by [`Writing::take_entry`], which applies to values what holds for entries: of whom the other side holds the
//! change, and which is not there, was removed there. A repair must not do so, for it is to bring back what a fault lost.
//!
//! Invariants
//! - Joining whole states and joining updates give the same state (same-updates-same-content).
//! - A node that took another's vector stamps what it writes above all that the other has forgotten
//!   ([`Writing::follow_clock`]).

use super::DitError;
use super::apply::Gone;
use super::digest_table::stored_digest;
use super::log::{Held, open_record};
use super::mutant::Mutant;
use super::shape::Edges;
use super::spill::{self, Touched};
use super::view::View;
use super::writing::{Writing, read_state, state_error};
use crate::model::EntryUuid;
use crate::state::encoding::update::decode_update;
use crate::state::portable::{Portable, PortableMove, PortableSpan, decode_portable, encode_portable};
use crate::state::{
    AttributeId, AttributeState, Cell, Csn, Delta, Dot, EntryState, PortableEntry, Stamp, StateError, UpdateVector,
    ValueKey,
};
use crate::storage::{EntryId, Table, uuid2id_key};
use std::collections::BTreeSet;

/// Bytes that a cell takes in a part besides its key and value, at most.
const CELL_BYTES: usize = 24;

/// A cell by its place: attribute, then key.
type CellPlace = (AttributeId, ValueKey);

/// Where a walk over all entries goes on. It means something only to the node that gave it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryMark {
    id: EntryId,
    /// The last cell sent of an entry that is not through yet.
    within: Option<CellPlace>,
}

impl EntryMark {
    /// Bytes to hand to a peer, who hands them back to go on; at most 78.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.id.0.to_be_bytes().to_vec();
        if let Some((attribute, key)) = &self.within {
            bytes.extend_from_slice(&attribute.0.to_be_bytes());
            bytes.extend_from_slice(key.as_bytes());
        }
        bytes
    }

    /// The inverse of [`EntryMark::to_bytes`]; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk::<8>()?;
        let within = match rest.split_first_chunk::<4>() {
            Some((attribute, key)) => Some((AttributeId(u32::from_be_bytes(*attribute)), ValueKey::from_bytes(key)?)),
            None if rest.is_empty() => None,
            None => return None,
        };
        Some(Self { id: EntryId(u64::from_be_bytes(*id)), within })
    }
}

/// What became of another node's state of an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Merged {
    /// It brought something.
    Changed,
    /// All of it was here.
    Unchanged,
    /// The entry was deleted and forgotten here: ignored.
    Deleted,
    /// It cannot be read here. Nothing changed.
    Undecodable(StateError),
}

impl View<'_> {
    /// The whole state of an incarnation, in parts of about `part_bytes_max` bytes (a part holds at least one value);
    /// deleted entries too. `None` when it is not here.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`].
    pub fn portable_entry(
        &self,
        uuid: EntryUuid,
        birth: Dot,
        part_bytes_max: usize,
    ) -> Result<Option<Vec<PortableEntry>>, DitError> {
        let key = uuid2id_key(uuid, Some((birth.origin, birth.sequence)));
        let Some(id) = self.reader().get(Table::Uuid2Id, &key)?.map(EntryId::from_key) else { return Ok(None) };
        let mut parts = Vec::new();
        let mut within = None;
        loop {
            let Some((part, next)) = self.part(id, within.as_ref(), (part_bytes_max, 0))? else { return Ok(None) };
            parts.push(part);
            match next {
                Some(next) => within = Some(next),
                None => return Ok(Some(parts)),
            }
        }
    }

    /// All entries, deleted ones too, in the order of their local numbers: from the start, or from where `after` says.
    /// Stops at `bytes_max` bytes, after at least one part; gives back where to go on, `None` at the end. Entries that
    /// come meanwhile are met at the end.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`].
    pub fn portable_entries(
        &self,
        after: Option<&EntryMark>,
        bytes_max: usize,
    ) -> Result<(Vec<PortableEntry>, Option<EntryMark>), DitError> {
        let mut parts = Vec::new();
        let mut bytes = 0;
        let mut within = after.and_then(|mark| mark.within.clone());
        let mut cursor = self.reader().cursor(Table::Id2State)?.reading_ahead();
        let start = after.map_or(1, |mark| if within.is_some() { mark.id.0 } else { mark.id.0 + 1 });
        let mut item = cursor.seek(&EntryId(start).to_key())?;
        while let Some((key, _)) = item {
            let id = EntryId::from_key(key);
            let from = within.take().filter(|_| id.0 == start);
            let room = (bytes_max.saturating_sub(bytes), bytes_max / 16);
            if let Some((part, next)) = self.part(id, from.as_ref(), room)? {
                bytes += part.bytes.len();
                parts.push(part);
                if next.is_some() || bytes >= bytes_max {
                    return Ok((parts, Some(EntryMark { id, within: next })));
                }
            }
            item = cursor.next()?;
        }
        Ok((parts, None))
    }

    /// The whole state of an entry without spilled values.
    fn whole(&self, id: EntryId, mut state: EntryState) -> Result<PortableEntry, DitError> {
        let (uuid, birth) = (state.uuid, state.birth.dot());
        let notes = self.portable_conflicts(uuid, state.birth)?;
        let mut moves: Vec<PortableMove> = Vec::new();
        if self.reader().count(Table::Moves)? > 0 || self.incarnations(uuid)?.len() > 1 {
            let edges = self.edges_of(uuid)?;
            state.parent = edges.base;
            moves = edges.moves.iter().map(|of| (of.stamp, of.parent)).collect();
        }
        let catalog = self.catalog();
        let name_of = |attribute| catalog.attribute(attribute).map(|info| info.key.as_str());
        let mut bytes = Vec::with_capacity(1024);
        let portable = Portable { state, moves, notes, span: PortableSpan::default() };
        encode_portable(portable, name_of, &mut bytes).map_err(|error| state_error(id, &error))?;
        Ok(PortableEntry { uuid, birth, bytes })
    }

    /// The part of an entry's state after the cell `within` (none: with what is not cells, from the first on), and the
    /// last cell in it when there are more. An entry of at most `whole_max` bytes is not cut, whatever room there is.
    fn part(
        &self,
        id: EntryId,
        within: Option<&CellPlace>,
        (bytes_max, whole_max): (usize, usize),
    ) -> Result<Option<(PortableEntry, Option<CellPlace>)>, DitError> {
        let Some(mut state) = read_state(self.reader(), self.catalog(), id)? else { return Ok(None) };
        if within.is_none() && bytes_of(&state).is_some_and(|bytes| bytes <= bytes_max.max(whole_max)) {
            return self.whole(id, state).map(|part| Some((part, None)));
        }
        let mut part = EntryState::unborn(state.uuid, state.birth);
        let mut moves: Vec<PortableMove> = Vec::new();
        let mut notes = Vec::new();
        let mut bytes = 0;
        if within.is_none() {
            notes = self.portable_conflicts(state.uuid, state.birth)?;
            let edges = self.edges_of(state.uuid)?;
            part = EntryState { attributes: std::collections::BTreeMap::new(), parent: edges.base, ..state.clone() };
            moves = edges.moves.iter().map(|of| (of.stamp, of.parent)).collect();
            for (attribute, held) in &mut state.attributes {
                let (clear, counter) = (held.clear, held.counter.take());
                bytes += 64;
                if clear.is_some() || counter.is_some() {
                    part.attributes.insert(*attribute, AttributeState { clear, counter, ..AttributeState::default() });
                }
            }
        }
        let mut budget = Budget { bytes, bytes_max, last: None };
        let mut next = None;
        let mut later = Vec::new();
        for (attribute, held) in &state.attributes {
            let after = match within {
                Some((from, _)) if attribute < from => continue,
                Some((from, key)) if attribute == from => Some(key),
                _ => None,
            };
            let mut visit = |key: ValueKey, cell: Cell| {
                if !budget.takes(*attribute, &key, &cell) {
                    return false;
                }
                part.attributes.entry(*attribute).or_default().cells.insert(key, cell);
                true
            };
            let is_through = if held.spilled.is_some() {
                let mut is_through = true;
                spill::for_each_after(self.reader(), self.catalog(), id, *attribute, after, &mut |key, cell| {
                    is_through = visit(key, cell);
                    Ok(is_through)
                })?;
                is_through
            } else {
                let cells = held.cells.iter().filter(|(key, _)| after.is_none_or(|after| *key > after));
                cells.into_iter().all(|(key, cell)| visit(key.clone(), cell.clone()))
            };
            if !is_through {
                next = budget.last.take();
                let has_values = |held: &AttributeState| held.spilled.is_some() || !held.cells.is_empty();
                let rest = state.attributes.range(attribute..).filter(|(_, held)| within.is_none() && has_values(held));
                let begun = next.as_ref().map(|(begun, _)| *begun);
                later.extend(rest.map(|(attribute, _)| *attribute).filter(|attribute| Some(*attribute) != begun));
                break;
            }
        }
        let mut record = Vec::with_capacity(budget.bytes + 128);
        let catalog = self.catalog();
        let name_of = |attribute| catalog.attribute(attribute).map(|info| info.key.as_str());
        let span = PortableSpan { after: within.cloned(), upto: next.clone(), later };
        let (uuid, birth) = (state.uuid, state.birth.dot());
        let portable = Portable { state: part, moves, notes, span };
        encode_portable(portable, name_of, &mut record).map_err(|error| state_error(id, &error))?;
        Ok(Some((PortableEntry { uuid, birth, bytes: record }, next)))
    }
}

/// About how many bytes a state takes in a part; `None` where values are spilled.
fn bytes_of(state: &EntryState) -> Option<usize> {
    state.attributes.values().try_fold(0, |sum, held| {
        let cells = held.cells.iter().map(|(key, cell)| cell_bytes(key, cell));
        held.spilled.is_none().then(|| sum + 64 + cells.sum::<usize>())
    })
}

fn cell_bytes(key: &ValueKey, cell: &Cell) -> usize {
    let value = match &cell.value {
        crate::state::CellValue::Text(text) => text.len(),
        crate::state::CellValue::Link(_) => 0,
    };
    CELL_BYTES + key.as_bytes().len() + value
}

/// How much a part has taken in.
struct Budget {
    bytes: usize,
    bytes_max: usize,
    last: Option<CellPlace>,
}

impl Budget {
    /// Whether the cell has room; the first always has.
    fn takes(&mut self, attribute: AttributeId, key: &ValueKey, cell: &Cell) -> bool {
        let bytes = cell_bytes(key, cell);
        if self.last.is_some() && self.bytes + bytes > self.bytes_max {
            return false;
        }
        self.bytes += bytes;
        self.last = Some((attribute, key.clone()));
        true
    }
}

impl Writing<'_> {
    /// Joins another node's state of an entry, or a part of it. An entry unknown here whose birth is held was deleted
    /// here, and stays so.
    ///
    /// # Errors
    /// [`DitError::Storage`], [`DitError::State`]: the transaction is then to be dropped.
    pub fn merge_entry(&mut self, entry: &PortableEntry) -> Result<Merged, DitError> {
        self.join_portable(entry, None, false)
    }

    /// [`Writing::merge_entry`] to bring back what a fault lost: an entry unknown here whose birth is held was deleted only
    /// if the log still tells of it.
    ///
    /// # Errors
    /// As [`Writing::merge_entry`].
    pub fn revive_entry(&mut self, entry: &PortableEntry) -> Result<Merged, DitError> {
        self.join_portable(entry, None, true)
    }

    /// [`Writing::merge_entry`] of what a node sent that holds `theirs` (when it read the entry), for a node that may
    /// have been away: values and moves here whose changes `theirs` covers and that are not there were removed there,
    /// whether or not anybody still knows by which change; they go. What `theirs` does not cover stays.
    ///
    /// # Errors
    /// As [`Writing::merge_entry`].
    pub fn take_entry(&mut self, entry: &PortableEntry, theirs: &UpdateVector) -> Result<Merged, DitError> {
        self.join_portable(entry, Some(theirs), false)
    }

    fn join_portable(
        &mut self,
        entry: &PortableEntry,
        theirs: Option<&UpdateVector>,
        revives: bool,
    ) -> Result<Merged, DitError> {
        let decoded = self.with_received_attributes(|intern| decode_portable(entry, intern))?;
        let Portable { state: other, moves, notes, span } = match decoded {
            Ok(decoded) => decoded,
            Err(error) => return Ok(Merged::Undecodable(error)),
        };
        let (id, state) = match self.id_of(other.uuid, other.birth)? {
            Some(id) => (id, self.state(id)?),
            None if self.shows_deleted(other.birth)?
                && (!revives || self.tells_of_deletion(other.uuid, other.birth.dot())?) =>
            {
                return Ok(Merged::Deleted);
            }
            None => (self.number(other.uuid, other.birth)?, None),
        };
        let mut interned = None;
        for stamp in other.stamps() {
            if interned.replace(stamp.csn.origin()) != Some(stamp.csn.origin()) {
                self.intern_origin(stamp)?;
            }
        }
        let other = if state.is_none() && moves.is_empty() && notes.is_empty() && span == PortableSpan::default() {
            match self.fill_in(id, other)? {
                None => return Ok(Merged::Changed),
                Some(other) => other,
            }
        } else {
            other
        };
        let edges = Edges::of(other.uuid, other.parent, &moves);
        for of in &edges.moves {
            self.intern_origin(of.stamp)?;
        }
        let gone = match (theirs, &state) {
            (Some(theirs), Some(state)) => self.gone_there(id, state, &other, &span, theirs)?,
            _ => Vec::new(),
        };
        let settled_at = theirs.filter(|_| span.is_first());
        let is_repair = theirs.is_none() && state.is_some() && self.holds_all_of(&other)?;
        if let Some(state) = &state {
            let mut before = state.clone();
            Touched::load_state(self.txn.reader(), &self.catalog, id, &mut before, &other)?;
            self.note_lost_to(id, &before, &other, theirs)?;
        }
        if let Err(error) = self.take_conflicts(&notes)? {
            return Ok(Merged::Undecodable(error));
        }
        let digest = if is_repair { stored_digest(self.txn.reader(), &self.catalog, id)? } else { None };
        let changed = self.join_state(id, state, &other, Some((&edges, settled_at)), &gone)?;
        if changed {
            self.note_absence_of(id, &other)?;
        }
        if is_repair && changed && stored_digest(self.txn.reader(), &self.catalog, id)? != digest {
            self.note_repair(id)?;
        }
        Ok(if changed { Merged::Changed } else { Merged::Unchanged })
    }

    /// Whether the log, as far as it is kept, has the deletion of an incarnation. Cost: reads all of it once in a
    /// transaction.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn tells_of_deletion(&mut self, uuid: EntryUuid, birth: Dot) -> Result<bool, DitError> {
        if self.deletions.is_none() {
            let mut deletions = BTreeSet::new();
            let mut cursor = self.txn.reader().cursor(Table::Log)?;
            let mut item = cursor.first()?;
            while let Some((key, value)) = item {
                let record = open_record(&self.catalog, key, value)?;
                if let Ok(update) = decode_update(&record.bytes, |key| self.catalog.find_key(key))
                    && update.deltas.contains(&Delta::Dead)
                {
                    deletions.insert((update.uuid, update.birth.dot()));
                }
                item = cursor.next()?;
            }
            self.deletions = Some(deletions);
        }
        Ok(self.deletions.as_ref().is_some_and(|deletions| deletions.contains(&(uuid, birth))))
    }

    /// Whether all changes that the state tells of are held here: then joining it can bring nothing but what a fault lost.
    fn holds_all_of(&self, other: &EntryState) -> Result<bool, DitError> {
        for stamp in other.stamps().filter(|stamp| *stamp != Stamp::NONE) {
            if !self.covers(stamp)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Values in `state` whose changes `theirs` covers, and that are not in the part `other` though it speaks for them.
    fn gone_there(
        &self,
        id: EntryId,
        state: &EntryState,
        other: &EntryState,
        span: &PortableSpan,
        theirs: &UpdateVector,
    ) -> Result<Vec<Gone>, DitError> {
        let mut missing: Vec<(Gone, Stamp)> = Vec::new();
        if state.dead.is_some() || other.dead.is_some() {
            return Ok(Vec::new());
        }
        for (attribute, held) in &state.attributes {
            let there = other.attribute(*attribute);
            // A newer base there replaces ours by joining.
            let is_counted_there = there.is_some_and(|there| there.counter.is_some());
            let base = held.counter.as_ref().filter(|_| !is_counted_there).map(|counter| counter.base.stamp);
            let mut look = |key: &ValueKey, cell: &Cell| {
                let is_missing = cell.present
                    && span.speaks_for(other, *attribute, key)
                    && !there.is_some_and(|there| there.cells.contains_key(key));
                if is_missing {
                    missing.push((Gone::Value(*attribute, key.clone()), cell.stamp));
                    // What was counted goes with the value that it was counted on.
                    missing.extend((base == Some(cell.stamp)).then_some((Gone::Count(*attribute), cell.stamp)));
                }
            };
            if held.spilled.is_some() {
                spill::for_each(self.txn.reader(), &self.catalog, id, *attribute, &mut |key, cell| {
                    look(&key, &cell);
                    Ok(true)
                })?;
            } else {
                held.cells.iter().for_each(|(key, cell)| look(key, cell));
            }
            if let Some(base) = base
                && span.is_first()
                && span.speaks_for_all(*attribute)
                && !there.is_some_and(|there| there.cells.values().any(|cell| cell.present && cell.stamp == base))
            {
                missing.push((Gone::Count(*attribute), base));
            }
        }
        let mut gone = Vec::new();
        for (gone_there, stamp) in missing {
            gone.extend(self.is_held_there(stamp, theirs)?.then_some(gone_there));
        }
        Ok(gone)
    }

    /// For an entry that is here and not at another node, which holds `theirs`: if that covers the entry's birth, the
    /// other node deleted it, and it ends here too. Returns whether it did.
    ///
    /// # Errors
    /// [`DitError::Storage`], [`DitError::State`]: the transaction is then to be dropped.
    pub fn drop_if_deleted_at(
        &mut self,
        uuid: EntryUuid,
        birth: Stamp,
        theirs: &UpdateVector,
    ) -> Result<bool, DitError> {
        let Some(id) = self.id_of(uuid, birth)? else { return Ok(false) };
        let Some(state) = self.state(id)? else { return Ok(false) };
        let deleted_there = !self.dit.lacks(Mutant::BirthsTellNothing) && self.is_held_there(birth, theirs)?;
        if !deleted_there || state.dead.is_some() {
            return Ok(false);
        }
        // Not forgotten at once: its birth may still be on the way to this node, and entries may be below it. Which
        // change deleted it, nobody knows any more; it cannot be older than the birth.
        let dead = EntryState { dead: Some(state.birth), ..EntryState::unborn(uuid, state.birth) };
        self.join_state(id, Some(state), &dead, None, &[])
    }

    /// Stamps later local changes above `clock`, the hybrid clock of a node whose states are joined here: it may have
    /// forgotten all that is older. Call it before the first [`Writing::merge_entry`]. Unlike the stamps of updates it
    /// is followed however far ahead.
    pub fn follow_clock(&mut self, clock: Csn) {
        self.clock.follow(clock);
        self.clock_moved = true;
    }

    /// Begins a later epoch of the cluster's clock ([`HybridClock::raise_epoch`]).
    ///
    /// [`HybridClock::raise_epoch`]: crate::state::HybridClock::raise_epoch
    pub fn raise_epoch(&mut self, epoch: u16) {
        self.clock.raise_epoch(epoch, self.now_ms());
        self.clock_moved = true;
    }

    /// Takes over what another node held when an exchange of all entries began, now that it is complete. Records that
    /// lie between have no place in the log, which then begins behind them. Of two histories of one origin the longer
    /// counts, of equally long ones that with the larger chain. An origin of this node that the other knew
    /// further than this node does is given up for a new one first.
    ///
    /// # Errors
    /// [`DitError::Storage`]: the transaction is then to be dropped.
    pub fn take_vector(&mut self, theirs: &UpdateVector) -> Result<(), DitError> {
        for (origin, position) in theirs.iter() {
            let held = self.held(origin)?;
            let closed = held.position.closed.max(position.closed);
            if position.sequence > held.position.sequence {
                if origin == self.origin() {
                    self.rotate_origin()?;
                }
                let position = crate::state::OriginPosition { closed, ..*position };
                self.set_held(origin, Held { position, floor: position.sequence + 1, settled: held.settled });
            } else if position.sequence == held.position.sequence
                && position.chain > held.position.chain
                && origin != self.origin()
            {
                // Two histories of one length: both contents are joined, and all go on behind the same one.
                let position = crate::state::OriginPosition { closed, ..*position };
                self.set_held(origin, Held { position, floor: position.sequence + 1, ..held });
            } else if closed != held.position.closed {
                let position = crate::state::OriginPosition { closed, ..held.position };
                self.set_held(origin, Held { position, ..held });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mark_comes_back_from_its_bytes() {
        for within in [None, Some((AttributeId(7), ValueKey::of_normal(&[7; 64])))] {
            let mark = EntryMark { id: EntryId(9), within };
            assert!(mark.to_bytes().len() <= 78);
            assert_eq!(EntryMark::from_bytes(&mark.to_bytes()), Some(mark));
        }
        assert_eq!(EntryMark::from_bytes(&[0; 7]), None);
        assert_eq!(EntryMark::from_bytes(&[0; 10]), None);
        assert_eq!(EntryMark::from_bytes(&[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 9, 9]), None);
    }
}
