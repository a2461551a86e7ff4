//! This node's origin: one for each incarnation of the data folder.
//!
//! An origin's numbers must never be given twice. Whoever finds that others hold more of this node's origin than it
//! does itself (the folder is an older copy), or other changes under its numbers (the folder is a copy that runs
//! twice), begins a new one; the old one stays in vector and log like any other node's.

use super::DitError;
use super::log::{Held, chain_at, log_place, open_record};
use super::restated::Restated;
use super::shape::Move;
use super::spill::Touched;
use super::undelete::there;
use super::view::View;
use super::writing::{Writing, state_error};
use crate::model::EntryUuid;
use crate::state::encoding::update::decode_update;
use crate::state::{Csn, Delta, Dot, EntryState, HybridClock, LogRecord, OriginId, OriginPosition, Stamp, Update};
use crate::storage::{EntryId, MetaName, Table, log_key};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Superiors followed upwards at most.
const SUPERIORS_MAX: usize = 1_000;

/// A birth that was written again.
#[derive(Clone, Copy)]
struct Reborn {
    birth: Stamp,
    /// With all that the entry had, so that what changed it since is not written again.
    is_copy: bool,
}

/// What of a tail was written again so far.
#[derive(Default)]
struct Again {
    /// From the births to what became of them.
    births: BTreeMap<Dot, Reborn>,
    /// Deleted entries above others.
    superiors: BTreeSet<EntryUuid>,
    /// The oldest deletions of incarnations that are not of the tail.
    ends: BTreeMap<(EntryUuid, Stamp), Stamp>,
    /// The last change of the origin that stays.
    after: u64,
    /// Whether the tail stays beside what is written again.
    keeps_tail: bool,
}

/// Keeps the oldest deletion of an incarnation.
fn note_end(ends: &mut BTreeMap<(EntryUuid, Stamp), Stamp>, of: (EntryUuid, Stamp), end: Stamp) {
    ends.entry(of).and_modify(|oldest| *oldest = end.min(*oldest)).or_insert(end);
}

/// Random 48 bits, never zero.
pub(super) fn mint() -> Result<OriginId, DitError> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|_| DitError::Unavailable("the operating system gives no random numbers"))?;
    Ok(OriginId(OriginId::new(u64::from_be_bytes(random)).0.max(1)))
}

/// How far the writer of a change held all origins, its own among them; nothing when the change does not say.
fn known_to(update: &Update) -> Vec<(OriginId, u64)> {
    let mut known = update.known.clone();
    if !update.is_birth() {
        let own = update.stamp.dot();
        known.retain(|(origin, _)| *origin != own.origin);
        known.push((own.origin, own.sequence.saturating_sub(1)));
        known.sort_unstable();
    }
    known
}

impl View<'_> {
    /// The origins under which this data folder wrote before it began its present one, oldest first; whichever node's they
    /// are said to be.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn origins_before(&self) -> Result<Vec<OriginId>, DitError> {
        let bytes = self.reader().meta(MetaName::OriginsBefore)?.unwrap_or_default();
        Ok(bytes.as_chunks::<8>().0.iter().map(|origin| OriginId(u64::from_be_bytes(*origin))).collect())
    }
}

impl Writing<'_> {
    /// Begins a new origin for this node; local changes are its own from here on. Returns it.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::Unavailable`].
    pub fn rotate_origin(&mut self) -> Result<OriginId, DitError> {
        let new = match self.dit.next_seeded() {
            Some(bits) => OriginId(OriginId::new(bits).0.max(1)),
            None => mint()?,
        };
        let old = self.origin();
        if self.own != Held::default() {
            self.others.insert(old, self.own);
        }
        self.clock = HybridClock::resume(new, self.clock.last(), self.clock.bumped());
        self.own = Held::default();
        self.stamped = true;
        self.catalog_changed = true;
        Arc::make_mut(&mut self.catalog).intern_origin(&mut self.txn, new)?;
        self.txn.put_meta(MetaName::Origin, &new.0.to_be_bytes())?;
        let before = self.txn.reader().meta(MetaName::OriginsBefore)?.unwrap_or_default();
        let before = [before, &old.0.to_be_bytes()].concat();
        self.txn.put_meta(MetaName::OriginsBefore, &before)?;
        Ok(new)
    }

    /// Writes an old origin's changes after number `after` again under this node's origin, and forgets them under the
    /// old one: two copies of this node's data wrote under the same numbers, and none of it shall be lost. What is
    /// written again is as new as if it were written now: others may have forgotten what was removed since, and nothing
    /// older may come upon that. Returns how many changes there were. Call [`Writing::rotate_origin`] first, and
    /// [`Writing::follow_clock`] with the clocks of others.
    ///
    /// An entry that the tail made is made again as it is now, with what anybody changed in it since, before all else: a
    /// superior before what is below it. One that others deleted since is made again and deleted again.
    /// Of an incarnation that ended, and whose entry lives again, nothing but the end is written. Deleted entries
    /// above what is made or moved again are made again with it, and deleted again: who has forgotten them is to show
    /// the same phantoms as who has not, so that everything keeps the name that a client was told. Of other changes that is
    /// written which stands (`restated`). Nothing is written of entries that were deleted and forgotten. Changes whose records are not kept any more stay as they are, for an exchange of entries to
    /// spread.
    ///
    /// # Errors
    /// [`DitError::Storage`], [`DitError::State`]: the transaction is then to be dropped.
    pub fn reissue_tail(&mut self, origin: OriginId, after: u64) -> Result<u64, DitError> {
        let held = self.held(origin)?;
        if origin == self.origin() || after >= held.position.sequence {
            return Ok(0);
        }
        // Not known if no record tells it any more.
        let chain = chain_at(self.txn.reader(), &self.catalog, origin, &held, after)?.unwrap_or_default();
        let tail = self.tail(origin, after)?;
        let updates = self.births_first(&tail)?;
        let ends = self.ends_beside(&updates)?;
        let mut again = Again { after, ends, ..Again::default() };
        for update in updates {
            let update = self.continued(update)?;
            self.reissue(update, &mut again)?;
        }
        for record in &tail {
            self.txn.delete(Table::Log, &log_key(origin, record.sequence), None)?;
        }
        let position = OriginPosition { sequence: after, chain, closed: held.position.closed };
        let floor = held.floor.min(after + 1);
        self.set_held(origin, Held { position, floor, settled: held.settled.min(after) });
        Ok(tail.len() as u64)
    }

    /// Writes an origin's changes after number `after` again under this node's origin, beside the first ones, which stay: an
    /// old copy of this node's data wrote them before it knew that it was one. What they touched, others may have changed
    /// and forgotten since, and so may be what stands above what they made; not so of changes that were forgotten here, as all
    /// held them. Returns how many changes there were. To be called when all that others hold is here, with their clocks
    /// ([`Writing::follow_clock`]).
    ///
    /// It is done as by [`Writing::reissue_tail`], but of entries that are deleted by now only where they stand is written: others
    /// may be below them, and whoever has forgotten their superiors shows these elsewhere, or nowhere.
    ///
    /// # Errors
    /// As [`Writing::reissue_tail`].
    pub fn repeat_tail(&mut self, origin: OriginId, after: u64) -> Result<u64, DitError> {
        let tail = self.tail(origin, after.max(self.held(origin)?.settled))?;
        let mut again = Again { keeps_tail: true, ..Again::default() };
        for update in self.births_first(&tail)? {
            let update = self.continued(update)?;
            self.repeat(update, &mut again)?;
        }
        Ok(tail.len() as u64)
    }

    /// Writes one change of a tail that stays again, if others may stand on it.
    fn repeat(&mut self, update: Update, again: &mut Again) -> Result<(), DitError> {
        let Some(id) = self.id_of(update.uuid, update.birth)? else { return Ok(()) };
        // What was written again already has ended itself.
        let is_again = again.births.contains_key(&update.birth.dot());
        let lives = self.state(id)?.is_some_and(|state| state.dead.is_none());
        let is_move = update.deltas.iter().any(|delta| matches!(delta, Delta::Parent(_)));
        if is_again || lives || is_move {
            self.reissue(update, again)
        } else if update.is_birth() && self.view().own_subordinate_count(id)? > 0 {
            let deleted = self.deleted_above(update.uuid, again)?;
            self.with_superiors(deleted, &update.requester, again, |_, _| Ok(()))
        } else {
            Ok(())
        }
    }

    fn tail(&self, origin: OriginId, after: u64) -> Result<Vec<LogRecord>, DitError> {
        let mut tail = Vec::new();
        let mut cursor = self.txn.reader().cursor(Table::Log)?;
        let mut item = cursor.seek(&log_key(origin, after + 1))?;
        while let Some((key, value)) = item.filter(|(key, _)| log_place(key).0 == origin) {
            tail.push(open_record(&self.catalog, key, value)?);
            item = cursor.next()?;
        }
        Ok(tail)
    }

    /// The oldest deletion of each incarnation among those that are not of this tail: it is left when the tail's is taken back. Cost:
    /// nothing if the tail deletes nothing; else a look at each change that is newer than its oldest deletion.
    fn ends_beside(&self, tail: &[Update]) -> Result<BTreeMap<(EntryUuid, Stamp), Stamp>, DitError> {
        let is_end = |update: &&Update| update.deltas.contains(&Delta::Dead);
        let mut ends = BTreeMap::new();
        let Some(oldest) = tail.iter().filter(is_end).map(|end| end.stamp).min() else { return Ok(ends) };
        for (origin, held) in self.all_held()? {
            let is_of_tail =
                |sequence: u64| tail.iter().any(|of| of.stamp.csn.origin() == origin && of.stamp.sequence == sequence);
            for sequence in (1..=held.position.sequence).rev() {
                let key = log_key(origin, sequence);
                let Some(value) = self.txn.reader().get(Table::Log, &key)? else { break };
                let record = open_record(&self.catalog, &key, value)?;
                let update = decode_update(&record.bytes, |key| self.catalog.find_key(key));
                let Some(update) = update.ok().filter(|update| update.stamp.csn > oldest.csn) else { break };
                if is_end(&&update) && !is_of_tail(sequence) {
                    note_end(&mut ends, (update.uuid, update.birth), update.stamp);
                }
            }
        }
        Ok(ends)
    }

    /// The changes of a tail in the order in which they are written again. What makes an entry that lives comes first, superiors
    /// before what is below them: it is made as it is now, so that it may stand below what the tail made later, and who has
    /// forgotten an earlier incarnation of that must not place it otherwise than who has not.
    fn births_first(&self, tail: &[LogRecord]) -> Result<Vec<Update>, DitError> {
        let mut ordered = Vec::with_capacity(tail.len());
        let mut is_before_elsewhere = false;
        for record in tail {
            let mut update = decode_update(&record.bytes, |key| self.catalog.find_key(key))
                .map_err(|error| state_error(EntryId::NONE, &error))?;
            let depth = if update.is_birth() { self.live_depth(&update)? } else { None };
            update.joined &= !is_before_elsewhere;
            is_before_elsewhere = depth.is_some();
            ordered.push((depth.unwrap_or(usize::MAX), update));
        }
        ordered.sort_by_key(|(depth, _)| *depth);
        Ok(ordered.into_iter().map(|(_, update)| update).collect())
    }

    /// How many superiors are above the entry that a birth made; `None` if it lives no more.
    fn live_depth(&self, birth: &Update) -> Result<Option<usize>, DitError> {
        let Some(id) = self.id_of(birth.uuid, birth.birth)? else { return Ok(None) };
        let Some(mut at) = self.state(id)?.filter(EntryState::is_live).map(|state| state.parent.1) else {
            return Ok(None);
        };
        let mut depth = 0;
        while at != EntryUuid::NIL && depth < SUPERIORS_MAX {
            let Some(state) = self.representative_state(at)? else { break };
            at = state.parent.1;
            depth += 1;
        }
        Ok(Some(depth))
    }

    /// Writes one change again, beside the first.
    pub(super) fn write_beside(&mut self, update: Update) -> Result<(), DitError> {
        self.reissue(update, &mut Again { keeps_tail: true, ..Again::default() })
    }

    /// Writes one change again, and deleted superiors that it needs together with it.
    fn reissue(&mut self, update: Update, again: &mut Again) -> Result<(), DitError> {
        if self.id_of(update.uuid, update.birth)?.is_none() {
            // Its entry was deleted, and all held that: nothing of it comes back.
            return Ok(());
        }
        let ended = if again.keeps_tail { None } else { self.ended_by_others(&update, again.after)? };
        let is_ended = ended.is_some();
        let copied = if is_ended || !update.is_birth() { ended } else { self.copied(&update)? };
        let restated = self.restated(&update, again.keeps_tail)?;
        let mut deleted = Vec::new();
        let written =
            copied.iter().flatten().chain(restated.said.iter().chain(&restated.since).filter(|_| copied.is_none()));
        for delta in written {
            if let Delta::Birth { parent, .. } | Delta::Parent(parent) = delta {
                deleted = self.deleted_above(*parent, again)?;
            }
        }
        if deleted.is_empty() && !is_ended {
            return self.reissue_alone(update, (copied, restated), again);
        }
        let (uuid, birth, requester) = (update.uuid, update.birth.dot(), update.requester.clone());
        self.with_superiors(deleted, &requester, again, |writing, again| {
            writing.reissue_alone(update, (copied, restated), again)?;
            match again.births.get(&birth) {
                Some(reborn) if is_ended => writing.end(uuid, reborn.birth, &requester),
                _ => Ok(()),
            }
        })
    }

    /// Deletes an entry that was written again.
    fn end(&mut self, uuid: EntryUuid, birth: Stamp, requester: &str) -> Result<(), DitError> {
        let end = Update::new(birth, uuid, birth, requester.to_owned(), vec![Delta::Dead]);
        let stamp = self.above(&end)?;
        self.write_again(Update { stamp, ..end })
    }

    /// What makes again the entry that `update` of a tail made, where others deleted it since: the tail does not tell that, and
    /// what they wrote speaks of an incarnation that nobody hears of. None of one that lives, or lives again.
    fn ended_by_others(&self, update: &Update, after: u64) -> Result<Option<Vec<Delta>>, DitError> {
        if !update.is_birth() || self.lives(update.uuid)? {
            return Ok(None);
        }
        let Some(id) = self.id_of(update.uuid, update.birth)? else { return Ok(None) };
        let Some(state) = self.state(id)? else { return Ok(None) };
        let origin = update.stamp.csn.origin();
        let is_of_tail = |dead: Stamp| dead.csn.origin() == origin && dead.sequence > after;
        if state.dead.is_none_or(is_of_tail) {
            return Ok(None);
        }
        self.copy_deltas(id, &state, state.rdn.1.clone(), state.parent.1).map(Some)
    }

    /// Writes deleted superiors again, then does `work`, and deletes them again.
    fn with_superiors(
        &mut self,
        deleted: Vec<(EntryId, EntryState)>,
        requester: &str,
        again: &mut Again,
        work: impl FnOnce(&mut Self, &mut Again) -> Result<(), DitError>,
    ) -> Result<(), DitError> {
        self.together(|writing| {
            let mut births = Vec::new();
            for (id, state) in deleted {
                let deltas = writing.copy_deltas(id, &state, state.rdn.1.clone(), state.parent.1)?;
                let old = Update::new(state.birth, state.uuid, state.birth, requester.to_owned(), deltas);
                let birth = writing.above(&old)?;
                writing.write_again(Update { stamp: birth, birth, ..old })?;
                again.superiors.insert(state.uuid);
                births.push((state.uuid, birth));
            }
            work(writing, again)?;
            // They end after something is below them, or they could be forgotten before it comes.
            births.into_iter().try_for_each(|(uuid, birth)| writing.end(uuid, birth, requester))
        })
    }

    /// Of `superior` and what is above it the deleted ones that others may have forgotten, nearest to the top first: not
    /// those that were written again and still have something below them.
    fn deleted_above(&self, superior: EntryUuid, again: &Again) -> Result<Vec<(EntryId, EntryState)>, DitError> {
        let mut deleted = Vec::new();
        let mut at = superior;
        while at != EntryUuid::NIL && deleted.len() < SUPERIORS_MAX {
            let Some((id, state)) = self.representative(at)? else { break };
            let Some(state) = state.map_or_else(|| self.state(id), |state| Ok(Some(state)))? else { break };
            // What is above a live one is kept everywhere because of it, or was written again with it.
            if state.is_live() || (again.superiors.contains(&at) && self.view().own_subordinate_count(id)? > 0) {
                break;
            }
            at = state.parent.1;
            deleted.push((id, state));
        }
        deleted.reverse();
        Ok(deleted)
    }

    /// Writes one change again. `copied`: what makes its entry again, if it made one that lives; `restated`: what it says else.
    fn reissue_alone(
        &mut self,
        update: Update,
        (copied, restated): (Option<Vec<Delta>>, Restated),
        again: &mut Again,
    ) -> Result<(), DitError> {
        if update.is_birth() {
            // An incarnation is its birth: the old one ends, another begins.
            let end = self.above(&update)?;
            let dead = Update::new(end, update.uuid, update.birth, update.requester.clone(), vec![Delta::Dead]);
            self.write_again(dead.going_on())?;
            note_end(&mut again.ends, (update.uuid, update.birth), end);
            if copied.is_none() && self.lives(update.uuid)? {
                // It came back since: that one is written again, and an older one must not be born after it.
                again.births.insert(update.birth.dot(), Reborn { birth: end, is_copy: true });
                return self.restamp_conflicts(update.uuid, update.stamp, end, true);
            }
        }
        let stamp = self.above(&update)?;
        if update.is_birth() {
            again.births.insert(update.birth.dot(), Reborn { birth: stamp, is_copy: copied.is_some() });
        }
        if !again.keeps_tail {
            if !restated.stands {
                self.note_overtaken(&update)?;
            }
            self.take_back(&update, stamp, again)?;
            self.begin_anew(&update, copied.as_ref().unwrap_or(&update.deltas), stamp, again.after)?;
        }
        let reborn = again.births.get(&update.birth.dot()).copied();
        if let Some(deltas) = copied {
            let (old, uuid) = (update.stamp, update.uuid);
            self.write_again(Update::new(stamp, uuid, stamp, update.requester, deltas))?;
            return self.restamp_conflicts(uuid, old, stamp, true);
        }
        if let Some(reborn) = reborn.filter(|reborn| reborn.is_copy) {
            return self.restamp_conflicts(update.uuid, update.stamp, reborn.birth, true);
        }
        let birth = reborn.map_or(update.birth, |reborn| reborn.birth);
        // What its writer knew stays true; what it replaced may have another stamp by now.
        let (old, uuid, mut joined) = (update.stamp, update.uuid, update.joined);
        let (known, requester) = (known_to(&update), update.requester.clone());
        if !restated.said.is_empty() {
            let deltas = restated.said;
            self.write_again(Update { stamp, birth, deltas, replaced: Vec::new(), known, ..update })?;
            self.restamp_conflicts(uuid, old, stamp, restated.stands)?;
            joined = true;
        }
        if !restated.since.is_empty() {
            // Written now, by who knows all that is here.
            let since = Update::new(stamp, uuid, birth, requester, restated.since).knowing(self.known()?);
            let stamp = self.above(&since)?;
            self.write_again(Update { stamp, ..since }.joining(joined))?;
        }
        Ok(())
    }

    /// Whether any incarnation of an entry lives.
    fn lives(&self, uuid: EntryUuid) -> Result<bool, DitError> {
        Ok(self.representative_state(uuid)?.is_some_and(|state| state.is_live()))
    }

    /// The state of the incarnation that stands for an entryUUID, if one is born here.
    fn representative_state(&self, uuid: EntryUuid) -> Result<Option<EntryState>, DitError> {
        match self.representative(uuid)? {
            Some((_, Some(state))) => Ok(Some(state)),
            Some((id, None)) => self.state(id),
            None => Ok(None),
        }
    }

    /// What makes again the entry that `update` made, as it is now; none when it lives no more.
    fn copied(&self, update: &Update) -> Result<Option<Vec<Delta>>, DitError> {
        let Some(id) = self.id_of(update.uuid, update.birth)? else { return Ok(None) };
        let Some(state) = self.state(id)?.filter(|state| state.is_live()) else { return Ok(None) };
        let mut deltas = self.copy_deltas(id, &state, state.rdn.1.clone(), state.parent.1)?;
        let author = self.catalog.well_known().modifiers_name;
        let cells = state.attribute(author).into_iter().flat_map(|held| held.cells.iter());
        let authors = cells.filter(|(_, cell)| cell.present);
        deltas.extend(authors.map(|(key, cell)| there(author, key.clone(), 0, cell.value.clone())));
        Ok(Some(deltas))
    }

    /// A stamp of this node's origin above that of `update`, of all that it touches now, and of all that may be forgotten.
    fn above(&mut self, update: &Update) -> Result<Stamp, DitError> {
        let mut above = update.stamp.csn.max(self.clock.last());
        if let Some(id) = self.id_of(update.uuid, update.birth)?
            && let Some(state) = self.state(id)?
        {
            above = above.max(state.max_csn_touched(&update.deltas));
        }
        if update.deltas.iter().any(|delta| matches!(delta, Delta::Parent(_))) {
            above = above.max(self.newest_move()?);
        }
        if update.is_birth() {
            above = above.max(self.newest_before_birth(update.uuid)?);
        }
        let stamp = Stamp { csn: self.clock.bump(Csn::NONE, above), sequence: self.own.position.sequence + 1 };
        // An origin that a restored folder was given has no number before its first change.
        self.intern_origin(stamp)?;
        Ok(stamp)
    }

    /// Before an entry that nobody else ever knew is born again by `deltas` with the stamp `new`: its superior was this one
    /// from the beginning, as for the others, who see no move in it, and nothing is left of how it moved before. The old
    /// births and moves would judge what is written again otherwise than it is judged elsewhere.
    fn begin_anew(&mut self, update: &Update, deltas: &[Delta], new: Stamp, after: u64) -> Result<(), DitError> {
        let birth = deltas.iter().find_map(|delta| match delta {
            Delta::Birth { parent, .. } => Some(*parent),
            _ => None,
        });
        let Some(parent) = birth else { return Ok(()) };
        let origin = update.stamp.csn.origin();
        let is_of_tail = |stamp: Stamp| stamp.csn.origin() == origin && stamp.sequence > after;
        for id in self.view().incarnations(update.uuid)? {
            if self.state(id)?.is_some_and(|state| !is_of_tail(state.birth)) {
                return Ok(());
            }
        }
        let moved = self.based(update.uuid, (new, parent), is_of_tail)?;
        self.follow_edges(&moved, None, false)?;
        if self.view().edges_of(update.uuid)?.moves.iter().any(|of| of.stamp < new) {
            // Told under another origin before: who meets it first takes the birth for a later one.
            let moved = self.moved(Move { stamp: new, uuid: update.uuid, parent })?;
            self.follow_edges(&moved, None, false)?;
        }
        self.settle_shape()
    }

    /// What joining does not replace: the stamp of a deletion, of which the oldest stays, and a move that is kept. `new` is
    /// the stamp that the change gets.
    fn take_back(&mut self, update: &Update, new: Stamp, again: &Again) -> Result<(), DitError> {
        for delta in &update.deltas {
            match delta {
                Delta::Dead => {
                    let Some(id) = self.id_of(update.uuid, update.birth)? else { continue };
                    let Some(mut state) = self.state(id)?.filter(|state| state.dead == Some(update.stamp)) else {
                        continue;
                    };
                    let beside = again.ends.get(&(update.uuid, update.birth)).copied();
                    state.dead = Some(beside.map_or(new, |beside| beside.min(new)));
                    self.list_deleted(id, Some(update.stamp), state.dead)?;
                    self.put_state(id, &state)?;
                    self.refresh(id, &state, &Touched::default())?;
                    self.follow_incarnations(id, update.uuid)?;
                    self.settle_shape()?;
                }
                // The birth of a later incarnation is kept as a move.
                Delta::Parent(parent) | Delta::Birth { parent, .. } => {
                    let of = Move { stamp: update.stamp, uuid: update.uuid, parent: *parent };
                    let moved = self.unmade(&of)?;
                    self.follow_edges(&moved, None, false)?;
                    self.settle_shape()?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn write_again(&mut self, update: Update) -> Result<(), DitError> {
        let joined = update.joined || self.joins();
        let update = &update.joining(joined);
        self.intern_origin(update.birth)?;
        self.record(update)?;
        let id = match self.id_of(update.uuid, update.birth)? {
            Some(id) => id,
            None if !update.is_birth() && self.shows_deleted(update.birth)? => return Ok(()),
            None => self.number(update.uuid, update.birth)?,
        };
        let mut state = self.state(id)?;
        let mut touched = Touched::default();
        if let Some(held) = &mut state {
            touched = self.load_touched(id, held, &update.deltas)?;
            self.note_lost(id, held, update)?;
        }
        self.join_loaded(id, state, touched, update)
    }
}
