//! Moves: which superior each entry has, when masters moved entries at the same time.
//!
//! A move to another superior is kept as a record until every member holds it. The superiors are what comes of playing
//! all records in the order of their stamps upon the superiors that entries were born below; a move whose new superior
//! is the entry itself or stands below it *at that point* is skipped, so that no circle can come about and the entry
//! stays where it was (Kleppmann, Mulligan, Gomes, Beresford: A highly-available move operation for replicated trees,
//! 2021). A move to a superior that is not here yet is skipped until it is. What an entry was born below is no move:
//! it is there from the beginning, whatever its stamp.
//!
//! A record keeps what the entry's superior was before it, so that a move that comes late is played by taking back those
//! after it and playing them again; one that is newer than all, which is nearly every one, costs a look at the last.
//! Superiors belong to the entryUUID: an entry that was born twice has one, and its second birth counts as a move.
//!
//! Invariants
//! - same-updates-same-content: the superiors are a function of the set of births and moves.
//! - No move makes a circle, and none takes an entry that is shown to where it would not be.

mod record;

use crate::dit::{DitError, Mutant, View, Writing};
use crate::model::EntryUuid;
use crate::state::{Csn, EntryState, Stamp, UpdateVector};
use crate::storage::{PutMode, Table};
use hashbrown::{HashMap, HashSet};
use record::{BY_STAMP, Kept, MISSING, entry_key, kept, kept_from, kept_of, missing_key, record_of, stamp_key};

/// A superior and the change that made it so; [`EntryUuid::NIL`] for a suffix.
pub(in crate::dit) type Edge = (Stamp, EntryUuid);

/// Entries whose superior is another one now.
pub(in crate::dit) type Moved = Vec<(EntryUuid, Edge)>;

/// Superiors followed before the tree is taken for endless.
const DEPTH_MAX: usize = 10_000;

/// An entry got another superior.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Move {
    /// The change.
    pub stamp: Stamp,
    /// The entry.
    pub uuid: EntryUuid,
    /// The new superior.
    pub parent: EntryUuid,
}

/// All that is known of the superiors of one entry: what another node needs to come to the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edges {
    /// The superior before the moves; its stamp is [`Stamp::NONE`] when the entry's birth is not here.
    pub base: (Stamp, EntryUuid),
    /// The moves, oldest first.
    pub moves: Vec<Move>,
}

impl Edges {
    /// From what another node told.
    pub(in crate::dit) fn of(uuid: EntryUuid, base: Edge, moves: &[(Stamp, EntryUuid)]) -> Self {
        let moves = moves.iter().map(|(stamp, parent)| Move { stamp: *stamp, uuid, parent: *parent }).collect();
        Self { base, moves }
    }
}

/// What became of a move.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Outcome {
    /// The entry stood there from then on.
    Made = 0,
    /// The new superior was the entry itself, or below it.
    Circle = 1,
    /// The entry or something above the new superior is not here.
    Waits = 2,
}

/// The superiors while moves are taken back and played again.
struct Replay<'w, 'd> {
    writing: &'w Writing<'d>,
    edges: HashMap<EntryUuid, Option<Edge>>,
    missing: HashSet<EntryUuid>,
}

impl Replay<'_, '_> {
    fn edge(&mut self, uuid: EntryUuid) -> Result<Option<Edge>, DitError> {
        if let Some(known) = self.edges.get(&uuid) {
            return Ok(*known);
        }
        let edge = self.writing.stored_edge(uuid)?;
        self.edges.insert(uuid, edge);
        Ok(edge)
    }

    fn judge(&mut self, of: &Move) -> Result<(Outcome, Option<(Stamp, EntryUuid)>), DitError> {
        if self.edge(of.uuid)?.is_none() {
            return Ok((Outcome::Waits, None));
        }
        let mut at = of.parent;
        let mut way = Vec::new();
        for _ in 0..DEPTH_MAX {
            if at == of.uuid {
                let allowed = self.writing.dit().lacks(Mutant::NoCircleSkip);
                let outcome = if allowed { Outcome::Made } else { Outcome::Circle };
                return Ok((outcome, if allowed { None } else { self.writing.in_the_way(of, &way)? }));
            }
            match self.edge(at)? {
                None => {
                    self.missing.insert(at);
                    return Ok((Outcome::Waits, None));
                }
                Some((_, EntryUuid::NIL)) => return Ok((Outcome::Made, None)),
                Some((stamp, parent)) => {
                    way.push((stamp, at));
                    at = parent;
                }
            }
        }
        Ok((Outcome::Circle, None))
    }

    fn depth(&mut self, uuid: EntryUuid) -> Result<usize, DitError> {
        let (mut at, mut depth) = (uuid, 0);
        while let (true, Some((_, parent))) = (depth < DEPTH_MAX && at != EntryUuid::NIL, self.edge(at)?) {
            at = parent;
            depth += 1;
        }
        Ok(depth)
    }
}

impl Writing<'_> {
    /// The superior of an entry as its stored states have it; `None` when its birth is not here.
    fn stored_edge(&self, uuid: EntryUuid) -> Result<Option<Edge>, DitError> {
        for id in self.view().incarnations(uuid)? {
            if let Some(state) = self.state(id)?
                && state.born
                && state.parent.0 != Stamp::NONE
            {
                return Ok(Some(state.parent));
            }
        }
        Ok(None)
    }

    /// The superior of an entry of which another incarnation, unborn here, came first and told it.
    fn told_edge(&self, uuid: EntryUuid) -> Result<Option<Edge>, DitError> {
        let kept = kept_of(self.txn.reader(), uuid)?;
        let made = kept.iter().rev().find(|kept| kept.outcome == Outcome::Made);
        let edge = match made {
            Some(made) => (made.of.stamp, made.of.parent),
            None => self.view().edges_of(uuid)?.base,
        };
        Ok((edge.0 != Stamp::NONE).then_some(edge))
    }

    /// What a birth means for superiors. `held` is the superior that another incarnation of the entry has. Returns the
    /// entries whose superior is another one now, those nearer to the top first; the born one is always among them.
    pub(in crate::dit) fn born_below(
        &mut self,
        state: &mut EntryState,
        birth: Edge,
        held: Option<Edge>,
    ) -> Result<Moved, DitError> {
        state.parent = birth;
        let only = vec![(state.uuid, birth)];
        let reader = self.txn.reader();
        if held.is_none() && (reader.count(Table::Moves)? == 0 || !self.awaits_birth(state.uuid)?) {
            return Ok(only);
        }
        let held = match kept_of(reader, state.uuid)?.first() {
            Some(first) if first.before.0 != Stamp::NONE => Some(first.before),
            _ => held,
        };
        let mut changed = match held {
            None => {
                // Older moves are of an incarnation that is not born here: this birth comes after them.
                let is_first = kept_of(reader, state.uuid)?.first().is_none_or(|first| first.of.stamp > birth.0);
                let again = Move { stamp: birth.0, uuid: state.uuid, parent: birth.1 };
                let played = if is_first { &[][..] } else { std::slice::from_ref(&again) };
                self.replay(played, Some((state.uuid, birth)))?
            }
            Some(held) if held.0 < birth.0 => {
                self.replay(&[Move { stamp: birth.0, uuid: state.uuid, parent: birth.1 }], None)?
            }
            Some(held) if held.0 > birth.0 => {
                let second = Move { stamp: held.0, uuid: state.uuid, parent: held.1 };
                self.replay(&[second], Some((state.uuid, birth)))?
            }
            Some(_) => Vec::new(),
        };
        match changed.iter().find(|(uuid, _)| *uuid == state.uuid) {
            Some((_, edge)) => state.parent = *edge,
            None => {
                state.parent = held.map_or(birth, |_| self.stored_edge(state.uuid).ok().flatten().unwrap_or(birth));
                changed.insert(0, (state.uuid, state.parent));
            }
        }
        Ok(changed)
    }

    /// Of the superiors on the way up to the moved entry the newest that whoever moved it did not know; if that cannot be
    /// told, the newest.
    fn in_the_way(&self, of: &Move, way: &[Edge]) -> Result<Option<Edge>, DitError> {
        let update = self.logged(of.stamp)?;
        let unknown = |stamp: Stamp| update.as_ref().is_some_and(|update| update.knew(stamp) == Some(false));
        let newest = |edges: &mut dyn Iterator<Item = &Edge>| edges.max_by_key(|edge| edge.0).copied();
        Ok(newest(&mut way.iter().filter(|edge| unknown(edge.0))).or_else(|| newest(&mut way.iter())))
    }

    /// Whether some move was judged without this entry's birth.
    fn awaits_birth(&self, uuid: EntryUuid) -> Result<bool, DitError> {
        let reader = self.txn.reader();
        if reader.count(Table::Moves)? == 0 {
            return Ok(false);
        }
        Ok(reader.get(Table::Moves, &missing_key(uuid))?.is_some() || !kept_of(reader, uuid)?.is_empty())
    }

    /// Joins a move; one that is kept already changes nothing. Returns as [`Writing::born_below`].
    pub(in crate::dit) fn moved(&mut self, of: Move) -> Result<Moved, DitError> {
        if self.txn.reader().get(Table::Moves, &stamp_key(&of))?.is_some() {
            return Ok(Vec::new());
        }
        self.replay(&[of], None)
    }

    /// The newest stamp of a move that is kept: a local one must be newer, so that what all members hold can be forgotten.
    pub(in crate::dit) fn newest_move(&self) -> Result<Csn, DitError> {
        let reader = self.txn.reader();
        if reader.count(Table::Moves)? == 0 {
            return Ok(Csn::NONE);
        }
        let mut cursor = reader.cursor(Table::Moves)?;
        let item = match cursor.seek(&[MISSING])? {
            Some(_) => cursor.previous()?,
            None => cursor.last()?,
        };
        let csn = item.and_then(|(key, _)| key.strip_prefix(&[BY_STAMP])).and_then(|key| key.first_chunk::<16>());
        Ok(csn.map_or(Csn::NONE, |csn| Csn::from_be_bytes(*csn)))
    }

    /// What a birth is to be newer than: all that earlier incarnations of the entry say, and, as it counts as a move of
    /// these, the newest move.
    pub(in crate::dit) fn newest_before_birth(&self, uuid: EntryUuid) -> Result<Csn, DitError> {
        let mut newest = Csn::NONE;
        for id in self.view().incarnations(uuid)? {
            newest = newest.max(self.state(id)?.map_or(Csn::NONE, |state| state.max_stamp().csn));
        }
        Ok(if newest == Csn::NONE { newest } else { newest.max(self.newest_move()?) })
    }

    /// Plays moves that were not known, upon another birth where one is given: takes back what is newer, plays, plays
    /// that again. Where that birth makes a circle with others it is where another node's settled moves led, of which only
    /// some are here yet; then it counts as a move, to be made when the others are here.
    fn replay(&mut self, new: &[Move], birth: Option<(EntryUuid, Edge)>) -> Result<Moved, DitError> {
        let first = new.iter().map(|of| (of.stamp.csn, of.uuid)).min();
        let from = if birth.is_some() { None } else { first };
        let mut kept = kept_from(self.txn.reader(), from)?;
        let mut replay = Replay { writing: self, edges: HashMap::new(), missing: HashSet::new() };
        for undone in kept.iter().rev().filter(|kept| kept.outcome == Outcome::Made) {
            replay.edges.insert(undone.of.uuid, Some(undone.before));
        }
        let undone: HashSet<EntryUuid> = kept.iter().map(|kept| kept.of.uuid).collect();
        let mut new = new.to_vec();
        if let Some((uuid, edge)) = birth {
            let again = Move { stamp: edge.0, uuid, parent: edge.1 };
            let held = replay.edge(uuid)?.filter(|held| held.0 < edge.0);
            if held.is_some() && replay.judge(&again)?.0 == Outcome::Circle {
                new.push(again);
            } else {
                replay.edges.insert(uuid, Some(edge));
            }
        }
        for of in &new {
            if !kept.iter().any(|kept| kept.of == *of) {
                kept.push(Kept { of: *of, before: (Stamp::NONE, EntryUuid::NIL), outcome: Outcome::Waits, by: None });
            }
        }
        kept.sort_unstable_by_key(Kept::key);
        let mut changed_records = Vec::new();
        for at in &kept {
            let (outcome, by) = replay.judge(&at.of)?;
            let before = replay.edge(at.of.uuid)?.unwrap_or((Stamp::NONE, EntryUuid::NIL));
            if outcome == Outcome::Made {
                replay.edges.insert(at.of.uuid, Some((at.of.stamp, at.of.parent)));
            }
            let is_new = new.contains(&at.of);
            if is_new || at.outcome != outcome || at.before != before || at.by != by {
                changed_records.push((Kept { of: at.of, before, outcome, by }, is_new, at.by));
            }
        }
        let concerned = undone.into_iter().chain(new.iter().map(|of| of.uuid)).chain(birth.map(|(uuid, _)| uuid));
        let mut changed = Vec::new();
        for uuid in concerned.collect::<HashSet<_>>() {
            if let Some(edge) = replay.edge(uuid)?
                && self.stored_edge(uuid)? != Some(edge)
            {
                changed.push((replay.depth(uuid)?, uuid, edge));
            }
        }
        let missing = replay.missing;
        for (kept, is_new, was) in &changed_records {
            self.note_circle(&kept.of, *was, kept.by)?;
            self.txn.put(Table::Moves, &stamp_key(&kept.of), &record_of(kept), PutMode::Upsert)?;
            if *is_new {
                self.txn.put(Table::Moves, &entry_key(&kept.of), &[], PutMode::Upsert)?;
            }
        }
        for uuid in missing {
            self.txn.put(Table::Moves, &missing_key(uuid), &[], PutMode::Upsert)?;
        }
        if let Some((uuid, _)) = birth {
            self.txn.delete(Table::Moves, &missing_key(uuid), None)?;
        }
        changed.sort_unstable_by_key(|(depth, uuid, _)| (*depth, *uuid));
        Ok(changed.into_iter().map(|(_, uuid, edge)| (uuid, edge)).collect())
    }

    fn forget_move(&mut self, of: &Move) -> Result<(), DitError> {
        self.txn.delete(Table::Moves, &stamp_key(of), None)?;
        self.txn.delete(Table::Moves, &entry_key(of), None)?;
        Ok(())
    }

    /// Takes a move back, as if it had never been made: nobody else has it. Returns the entries whose superior is another
    /// one now.
    pub(in crate::dit) fn unmade(&mut self, of: &Move) -> Result<Moved, DitError> {
        let kept = kept_of(self.txn.reader(), of.uuid)?;
        let base = kept.first().map_or((Stamp::NONE, EntryUuid::NIL), |first| first.before);
        let Some(gone) = kept.iter().find(|kept| kept.of == *of) else { return Ok(Vec::new()) };
        self.note_circle(of, gone.by, None)?;
        self.forget_move(of)?;
        if base.0 == Stamp::NONE { Ok(Vec::new()) } else { self.replay(&[], Some((of.uuid, base))) }
    }

    /// Makes `base` the superior that an entry had from the beginning, and forgets those of its moves of which `is_gone` says
    /// that nobody else has them. Returns the entries whose superior is another one now.
    pub(in crate::dit) fn based(
        &mut self,
        uuid: EntryUuid,
        base: Edge,
        is_gone: impl Fn(Stamp) -> bool,
    ) -> Result<Moved, DitError> {
        for gone in kept_of(self.txn.reader(), uuid)?.iter().filter(|kept| is_gone(kept.of.stamp)) {
            self.note_circle(&gone.of, gone.by, None)?;
            self.forget_move(&gone.of)?;
        }
        self.replay(&[], Some((uuid, base)))
    }

    /// Forgets the oldest moves, at most `work_max`, as far as `is_settled` says so: only those that every member holds
    /// *and* that are older than the local clock. One that waits for a birth is still to be judged, and nothing newer is
    /// forgotten before it, unless `waits_in_vain` says of it that nobody holds such a birth: then it is never made. Returns
    /// how many.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn prune_moves(
        &mut self,
        is_settled: impl Fn(Stamp) -> bool,
        waits_in_vain: impl Fn(Stamp) -> bool,
        work_max: usize,
    ) -> Result<usize, DitError> {
        let reader = self.txn.reader();
        if reader.count(Table::Moves)? == 0 {
            return Ok(0);
        }
        let mut settled = Vec::new();
        let mut cursor = reader.cursor(Table::Moves)?;
        let mut item = cursor.seek(&[BY_STAMP])?;
        while let (true, Some((key, record))) = (settled.len() < work_max, item) {
            let is_judged = |kept: &Kept| kept.outcome != Outcome::Waits || waits_in_vain(kept.of.stamp);
            let is_done = |kept: &Kept| is_judged(kept) && is_settled(kept.of.stamp);
            let Some(kept) = kept(key, record)?.filter(is_done) else { break };
            settled.push(kept.of);
            item = cursor.next()?;
        }
        drop(cursor);
        settled.iter().try_for_each(|of| self.forget_move(of))?;
        if !settled.is_empty() && self.newest_move()? == Csn::NONE {
            // No move is left that could have missed anything.
            self.txn.clear(Table::Moves)?;
        }
        Ok(settled.len())
    }

    /// Joins what another node knows of an entry's superiors; `state` gets its own. What the own vector covers and is not
    /// kept any more was settled here; what `settled_at` covers and the other node does not keep was settled there.
    /// `is_born_now`: the state's birth came along.
    /// Returns as [`Writing::born_below`].
    pub(in crate::dit) fn edges_merged(
        &mut self,
        (state, is_born_now): (&mut EntryState, bool),
        theirs: &Edges,
        settled_at: Option<&UpdateVector>,
    ) -> Result<Moved, DitError> {
        let uuid = state.uuid;
        // Of an entry that is not born there, moves can be known all the same.
        let birth_is_there = theirs.base.0 != Stamp::NONE;
        if !birth_is_there && theirs.moves.is_empty() {
            return Ok(Vec::new());
        }
        let ours = self.view().edges_of(uuid)?;
        let mut new: Vec<Move> = Vec::new();
        for of in theirs.moves.iter().filter(|of| !ours.moves.contains(of)) {
            if !self.holds(of.stamp)? {
                new.push(*of);
            }
        }
        let mut settled: Vec<Move> = Vec::new();
        if let Some(settled_at) = settled_at.filter(|_| birth_is_there) {
            for of in ours.moves.iter().filter(|of| !theirs.moves.contains(of)) {
                settled.extend(self.is_held_there(of.stamp, settled_at)?.then_some(*of));
            }
        }
        settled.iter().try_for_each(|of| self.forget_move(of))?;
        let unborn = ours.base.0 == Stamp::NONE;
        let changed = if !birth_is_there {
            if new.is_empty() { Vec::new() } else { self.replay(&new, None)? }
        } else if unborn && ours.moves.is_empty() && new.is_empty() && !self.awaits_birth(uuid)? {
            vec![(uuid, theirs.base)]
        } else if unborn
            || !settled.is_empty()
            || (theirs.base.0 > ours.base.0
                && !ours.moves.iter().any(|of| of.stamp == theirs.base.0)
                && !self.holds(theirs.base.0)?)
        {
            // They have settled moves of which nothing is known here.
            let known = |of: &&Move| of.stamp <= theirs.base.0 && !theirs.moves.contains(of);
            ours.moves.iter().filter(known).try_for_each(|of| self.forget_move(of))?;
            self.replay(&new, Some((uuid, theirs.base)))?
        } else if theirs.base.0 < ours.base.0 && !self.holds(theirs.base.0)? {
            // Of an earlier birth nothing was known here: what was the beginning counts as a move upon it.
            new.push(Move { stamp: ours.base.0, uuid, parent: ours.base.1 });
            self.replay(&new, Some((uuid, theirs.base)))?
        } else if new.is_empty() {
            Vec::new()
        } else {
            self.replay(&new, None)?
        };
        match changed.iter().find(|(changed, _)| *changed == uuid) {
            Some((_, edge)) => state.parent = *edge,
            // What an unborn state says of the superior is what it was when that came; the moves did not follow it.
            None if is_born_now || state.parent.0 == Stamp::NONE => {
                let known = self.stored_edge(uuid)?;
                let told = if state.born && known.is_none() { self.told_edge(uuid)? } else { None };
                state.parent = known.or(told).unwrap_or(state.parent);
            }
            None => {}
        }
        Ok(changed)
    }
}

impl View<'_> {
    /// What is known of the superiors of an entry.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`].
    pub fn edges_of(&self, uuid: EntryUuid) -> Result<Edges, DitError> {
        let kept = if self.reader().count(Table::Moves)? == 0 { Vec::new() } else { kept_of(self.reader(), uuid)? };
        let mut base = kept.first().map_or((Stamp::NONE, EntryUuid::NIL), |first| first.before);
        if kept.is_empty() {
            for id in self.incarnations(uuid)? {
                let state = crate::dit::writing::read_state(self.reader(), self.catalog(), id)?;
                base = base.max(state.map_or(base, |state| state.parent));
            }
        }
        Ok(Edges { base, moves: kept.into_iter().map(|kept| kept.of).collect() })
    }

    /// Entries that kept moves name, and all above them: whether these are made, when they are played again, depends on where
    /// those stand. Cost: O(moves kept, and the superiors above what they name).
    pub(in crate::dit) fn named_by_moves(&self) -> Result<HashSet<EntryUuid>, DitError> {
        let kept = kept_from(self.reader(), None)?;
        let mut to_do: Vec<EntryUuid> =
            kept.iter().flat_map(|kept| [kept.of.uuid, kept.of.parent, kept.before.1]).collect();
        let mut named = HashSet::new();
        while let Some(uuid) = to_do.pop() {
            if !named.insert(uuid) {
                continue;
            }
            for id in self.incarnations(uuid)? {
                let state = crate::dit::writing::read_state(self.reader(), self.catalog(), id)?;
                to_do.extend(state.map(|state| state.parent.1).filter(|parent| *parent != EntryUuid::NIL));
            }
        }
        Ok(named)
    }

    /// The moves that are kept, oldest first, and what became of each. Cost: O(moves that are not settled).
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn moves(&self) -> Result<Vec<(Move, Outcome)>, DitError> {
        Ok(kept_from(self.reader(), None)?.into_iter().map(|kept| (kept.of, kept.outcome)).collect())
    }
}
