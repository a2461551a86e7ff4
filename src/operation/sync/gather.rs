//! What the log says since a client's position: which entries are to be looked at, and in which order.
//!
//! An entry is sent once, as it is now, however often it changed. A consumer that keeps a tree (slapd) can take that only
//! in a fitting order: a superior before what is below it, and whoever leaves a name before whoever takes it. Changes
//! of names are therefore sent in the order in which they were made last; and where that cannot be kept (two entries
//! that swap their names, a superior renamed after its children), who is in the way is first moved aside.

use super::cookie::Position;
use crate::dit::{DitError, LogRange, LoggedChange, View};
use crate::model::EntryUuid;
use crate::state::{AttributeId, Csn, OriginId, UpdateVector};
use crate::storage::EntryId;
use hashbrown::{HashMap, HashSet};
use std::collections::{BTreeMap, VecDeque};

/// Entries looked at for one client at a time; with more changed than that everything is sent anew.
pub(super) const ENTRIES_MAX: usize = 1_000_000;
/// Bytes of the log read in one piece of work.
const PIECE_BYTES: usize = 64 * 1024;

/// Whether the name of a touched entry is sent already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sent {
    /// Not yet.
    No,
    /// It was moved aside.
    Aside,
    /// It is.
    Yes,
}

/// An entry whose name, place or being there changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    pub(super) first: Csn,
    pub(super) last: Csn,
    pub(super) born: bool,
    pub(super) dead: bool,
    pub(super) moved: bool,
    pub(super) sent: Sent,
}

/// By which changes, other than of rules, somebody may see other entries than before.
#[derive(Clone, Copy, Default)]
pub(super) struct Signs<'a> {
    /// A link to one of these: the requester and the groups that it is in, through others too.
    pub(super) circle: &'a [EntryUuid],
    /// Values of these in an entry that has others below it.
    pub(super) inherited: &'a [AttributeId],
}

impl Signs<'_> {
    fn shows(self, view: View<'_>, change: &LoggedChange) -> Result<bool, DitError> {
        if self.circle.iter().any(|uuid| change.linked.contains(uuid)) {
            return Ok(true);
        }
        if !change.attributes.iter().any(|attribute| self.inherited.contains(attribute)) {
            return Ok(false);
        }
        let id = view.by_uuid(change.uuid)?;
        Ok(id.map(|id| view.subordinate_count(id)).transpose()?.is_some_and(|count| count > 0))
    }
}

/// How a piece of reading ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Read {
    /// There is more.
    More,
    /// Everything up to the target was read.
    Done,
    /// Some of it is not kept any more, or it is too much.
    Lost,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Up to where the log is to be read.
    target: Position,
    /// Next numbers to be read.
    next: BTreeMap<OriginId, u64>,
    /// Entries with changes of their names.
    pub(super) named: HashMap<EntryUuid, Named>,
    /// All others.
    others: HashSet<EntryUuid>,
    /// Entries that were linked to, or not any more.
    pub(super) linked: HashSet<EntryUuid>,
    /// Access rules changed, or there were [`Signs`]: who may see what is not what it was.
    pub(super) rules: bool,
    /// Something that was there moved.
    pub(super) any_moved: bool,
    /// Links were dropped that are not in `linked`.
    pub(super) unlinked: bool,
    /// How many changes there are.
    pub(super) count: u64,
    /// Other changes than those of names do not matter.
    names_only: bool,
}

impl Changes {
    /// What came after `from` up to `held`.
    pub(super) fn new(from: &Position, held: &UpdateVector) -> Self {
        let target = Position { time_ms: from.time_ms, ..Position::of(held) };
        let next = target.sequences.keys().map(|origin| (*origin, from.sequence(*origin) + 1));
        Self { next: next.collect(), target, ..Self::default() }
    }

    /// What changes the names while entries are sent that changed up to `from`; nothing so far.
    pub(super) fn of_names(from: &Position) -> Self {
        Self { target: from.clone(), names_only: true, ..Self::default() }
    }

    /// Reads on to `held`, all at once.
    ///
    /// # Errors
    /// [`DitError`].
    pub(super) fn follow(&mut self, view: View<'_>, held: &UpdateVector) -> Result<Read, DitError> {
        let later = Position::of(held);
        let origins = later.sequences.iter().filter(|(origin, sequence)| self.target.sequence(**origin) < **sequence);
        self.next = origins.map(|(origin, _)| (*origin, self.target.sequence(*origin) + 1)).collect();
        self.target.advance(&later);
        loop {
            match self.read(view, Signs::default())? {
                Read::More => {}
                read => return Ok(read),
            }
        }
    }

    /// Where the client's copy is once all of it is sent.
    pub(super) fn target(&self) -> &Position {
        &self.target
    }

    /// Reads on. Cost: some hundred microseconds.
    ///
    /// # Errors
    /// [`DitError`].
    pub(super) fn read(&mut self, view: View<'_>, signs: Signs<'_>) -> Result<Read, DitError> {
        while let Some((origin, from)) = self.next.first_key_value().map(|(origin, from)| (*origin, *from)) {
            let to = self.target.sequence(origin);
            if from > to {
                self.next.pop_first();
                continue;
            }
            let records = match view.log_range(origin, from, PIECE_BYTES)? {
                LogRange::Trimmed { .. } => return Ok(Read::Lost),
                LogRange::Records(records) => records,
            };
            let Some(last) = records.last().map(|record| record.sequence) else { return Ok(Read::Lost) };
            for record in records.iter().filter(|record| record.sequence <= to) {
                let change = LoggedChange::read(view, record)?;
                self.rules |= change.rules || signs.shows(view, &change)?;
                self.note(&change);
            }
            self.next.insert(origin, last + 1);
            let touched = self.named.len() + self.others.len() + self.linked.len();
            return Ok(if touched > ENTRIES_MAX { Read::Lost } else { Read::More });
        }
        Ok(Read::Done)
    }

    fn note(&mut self, change: &LoggedChange) {
        self.count += 1;
        self.target.time_ms = self.target.time_ms.max(change.stamp.csn.ms());
        self.unlinked |= change.unlinked;
        if !self.names_only {
            self.linked.extend(change.linked.iter().copied());
        }
        if !change.is_naming() {
            if self.names_only {
                return;
            }
            if !self.named.contains_key(&change.uuid) {
                self.others.insert(change.uuid);
            }
            return;
        }
        self.others.remove(&change.uuid);
        let csn = change.stamp.csn;
        let named = self.named.entry(change.uuid).or_insert(Named {
            first: csn,
            last: csn,
            born: false,
            dead: false,
            moved: false,
            sent: Sent::No,
        });
        named.sent = Sent::No;
        named.first = named.first.min(csn);
        named.last = named.last.max(csn);
        named.born |= change.birth;
        named.dead |= change.dead;
        named.moved |= change.moved && !change.birth;
        self.any_moved |= change.moved && !change.birth;
    }

    /// An entry whose name changed, or that came or went, by the change `cause` of another one.
    pub(super) fn note_effect(&mut self, uuid: EntryUuid, cause: Csn) {
        self.others.remove(&uuid);
        let named = Named { first: Csn::NONE, last: cause, born: false, dead: false, moved: false, sent: Sent::No };
        self.named.entry(uuid).or_insert(named);
    }

    /// Entries whose names changed, in the order of the last change; by one change the entry that it was made to first.
    pub(super) fn named_in_order(&self) -> VecDeque<EntryUuid> {
        let is_effect = |named: &Named| named.first == Csn::NONE;
        let mut order: Vec<_> = self.named.iter().map(|(uuid, named)| (named.last, is_effect(named), *uuid)).collect();
        order.sort_unstable();
        order.into_iter().map(|(_, _, uuid)| uuid).collect()
    }

    /// The other entries, to be sent after those.
    pub(super) fn take_others(&mut self) -> HashSet<EntryUuid> {
        std::mem::take(&mut self.others)
    }
}

/// Who may be in the way of a name: renamed, and not sent yet. By the superior that they had all the time; those that
/// were moved may have had any.
#[derive(Debug, Default)]
pub(super) struct InTheWay {
    below: HashMap<EntryId, VecDeque<(Csn, EntryUuid)>>,
    moved: VecDeque<(Csn, EntryUuid)>,
}

impl InTheWay {
    /// Adds entries that were there before, by the first change of their names; `parent_of`: their superior now.
    ///
    /// # Errors
    /// Those of `parent_of`.
    pub(super) fn of<E>(
        changes: &Changes,
        mut parent_of: impl FnMut(EntryUuid) -> Result<Option<EntryId>, E>,
    ) -> Result<Self, E> {
        let mut rows: Vec<_> = changes.named.iter().filter(|(_, named)| !named.born).collect();
        rows.sort_unstable_by_key(|(uuid, named)| (named.first, **uuid));
        let mut way = Self::default();
        for (uuid, named) in rows {
            match parent_of(*uuid)?.filter(|_| !named.moved) {
                Some(parent) => way.below.entry(parent).or_default().push_back((named.first, *uuid)),
                None => way.moved.push_back((named.first, *uuid)),
            }
        }
        Ok(way)
    }

    /// Who left a name below `parent`, perhaps the one that somebody took at `taken`. Each comes once.
    pub(super) fn of_name(&mut self, parent: EntryId, taken: Csn) -> Vec<EntryUuid> {
        let mut found = Vec::new();
        let queues = self.below.get_mut(&parent).into_iter().chain(std::iter::once(&mut self.moved));
        for queue in queues {
            while let Some((_, uuid)) = queue.pop_front_if(|(first, _)| *first < taken) {
                found.push(uuid);
            }
        }
        found
    }
}
