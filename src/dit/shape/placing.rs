//! Whether an entry is shown, where, and as what; and what follows from that for the entries around it.
//!
//! A live entry is shown below its superior. A dead one is shown, as a phantom, while something below it is; so the name
//! that a client was told for an entry stays, whoever deleted what is above it. When the last one below goes, so does
//! the phantom, and the one above that, with no write of anybody. Where a superior is not here, the entry waits.
//!
//! Changes spread along the tree through a queue, so that no depth of tree is a depth of calls.

use super::moves::Edge;
use super::waiting;
use crate::dit::derive::{Earlier, derive, derive_phantom, name_key, rdn_text};
use crate::dit::spill::Touched;
use crate::dit::{DitError, Writing};
use crate::model::EntryUuid;
use crate::state::{AttributeId, EntryState};
use crate::storage::{
    ENTRY_HAS_ACI, ENTRY_LOSER, ENTRY_PHANTOM, ENTRY_POLICY, EntryId, PutMode, Table, ViewRecord, dn2id_key, sealed_id,
};
use std::collections::VecDeque;

/// Superiors that are not shown, one above the other, that are looked through before an entry waits.
const UNSHOWN_MAX: usize = 1_000;
/// Superiors remembered while a directory is taken in.
const SUPERIORS_MAX: usize = 10_000;

/// What has still to be looked at.
#[derive(Default)]
pub(in crate::dit) struct Follow {
    /// Entries that may be shown otherwise.
    shapes: VecDeque<EntryId>,
    /// Superior and normalised RDN for which it is to be decided who has the name.
    pub(super) names: VecDeque<(EntryId, Vec<u8>)>,
    /// Entries that came or went, or have another name; what links to them shows it.
    referred: Vec<(EntryUuid, bool)>,
}

impl Follow {
    pub(in crate::dit) fn look_at(&mut self, id: EntryId) {
        self.shapes.push_back(id);
    }

    /// `fresh`: the entry was just made here, so that no link can know it.
    pub(in crate::dit) fn refer(&mut self, uuid: EntryUuid, fresh: bool) {
        if self.referred.last() != Some(&(uuid, fresh)) {
            self.referred.push((uuid, fresh));
        }
    }
}

/// Where an entry stands in the tree table, and as what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    parent: EntryId,
    live: bool,
}

impl Writing<'_> {
    /// Derives the view anew and changes index and tree by the difference.
    pub(in crate::dit) fn refresh(
        &mut self,
        id: EntryId,
        state: &EntryState,
        touched: &Touched,
    ) -> Result<(), DitError> {
        let place = self.place_of(id, state)?;
        self.show(id, state, touched, place)
    }

    /// [`Writing::refresh`] after a change of nothing but the values of `changed`: an entry that is shown stays where it is,
    /// and the rest of its view as well.
    pub(in crate::dit) fn refresh_values(
        &mut self,
        id: EntryId,
        state: &EntryState,
        touched: &Touched,
        changed: &[AttributeId],
    ) -> Result<(), DitError> {
        // The name of a suffix is a value.
        let is_named = changed.contains(&self.catalog.well_known().context_name);
        let bytes = self.txn.reader().get(Table::Id2Entry, &id.to_key())?.map(<[u8]>::to_vec);
        if let Some(bytes) = bytes
            && state.is_live()
            && !is_named
            && self.adoption.is_empty()
        {
            let old = ViewRecord::open(id, &bytes)?;
            if old.flags() & (ENTRY_PHANTOM | ENTRY_LOSER) == 0 {
                let place = Place { parent: old.parent(), live: true };
                return self.show_in_place(id, state, touched, place, (&old, Some(changed)));
            }
        }
        self.refresh(id, state, touched)
    }

    /// Looks again at whatever the change at hand concerns besides its own entry.
    pub(in crate::dit) fn settle_shape(&mut self) -> Result<(), DitError> {
        loop {
            if let Some(id) = self.follow.shapes.pop_front() {
                if let Some(state) = self.state(id)? {
                    self.refresh(id, &state, &Touched::default())?;
                }
            } else if let Some((parent, name)) = self.follow.names.pop_front() {
                self.decide_name(parent, &name)?;
            } else if let Some((uuid, fresh)) = self.follow.referred.pop() {
                self.refresh_referrers(uuid, fresh)?;
            } else {
                return Ok(());
            }
        }
    }

    /// After a birth, a death or a move: other incarnations of the entry, what is below them, what waited for it. Whether
    /// there are other incarnations.
    pub(in crate::dit) fn follow_incarnations(&mut self, id: EntryId, uuid: EntryUuid) -> Result<bool, DitError> {
        if self.is_bulk {
            return Ok(false);
        }
        let view = self.view();
        let others: Vec<EntryId> = view.incarnations(uuid)?.into_iter().filter(|other| *other != id).collect();
        let mut below = Vec::new();
        if !others.is_empty() {
            for incarnation in others.iter().chain([&id]) {
                for child in view.own_children(*incarnation)? {
                    below.push(child?);
                }
            }
        }
        let waiting = waiting::waiting_for(self.txn.reader(), uuid)?;
        self.follow.shapes.extend(others.iter().copied().chain(below).chain(others.iter().copied()).chain(waiting));
        Ok(!others.is_empty())
    }

    /// Where the entry is to be shown, if it is. Superiors that are needed for that, and can be, are shown first.
    fn place_of(&mut self, id: EntryId, state: &EntryState) -> Result<Option<Place>, DitError> {
        let live = self.stands_for_itself(id, state)?;
        if !state.born || (!live && self.view().own_subordinate_count(id)? == 0) {
            waiting::set(&mut self.txn, id, None)?;
            return Ok(None);
        }
        match self.superior_of(state)? {
            Ok(parent) => {
                if !self.is_bulk {
                    waiting::set(&mut self.txn, id, None)?;
                }
                Ok(Some(Place { parent, live }))
            }
            Err(missing) => {
                waiting::set(&mut self.txn, id, Some(missing))?;
                // What is shown stays where it is: below it may be others.
                let record = self.view().entry(id)?;
                Ok(record.map(|entry| Place { parent: entry.record.parent(), live }))
            }
        }
    }

    /// Whether the entry is live and, if its entryUUID was born more than once, the last one of these.
    pub(super) fn stands_for_itself(&self, id: EntryId, state: &EntryState) -> Result<bool, DitError> {
        if !state.is_live() || self.is_bulk {
            return Ok(state.is_live());
        }
        Ok(self.representative(state.uuid)?.is_none_or(|(shown, _)| shown == id))
    }

    /// The incarnation that stands for an entryUUID in the tree, if one is born here: the live one born last, else the
    /// one that died last, which alone is kept everywhere while something is below it: one born later may have died before it, and
    /// be forgotten by some. Its state comes along if it had to be read.
    pub(in crate::dit) fn representative(
        &self,
        uuid: EntryUuid,
    ) -> Result<Option<(EntryId, Option<EntryState>)>, DitError> {
        let incarnations = self.view().incarnations(uuid)?;
        if let [only] = incarnations.as_slice()
            && self.txn.reader().get(Table::Id2Entry, &only.to_key())?.is_some()
        {
            return Ok(Some((*only, None)));
        }
        let mut best: Option<(EntryId, EntryState)> = None;
        for id in incarnations {
            let Some(state) = self.state(id)?.filter(|state| state.born) else { continue };
            let rank = |state: &EntryState| (state.is_live(), state.dead, state.birth);
            if best.as_ref().is_none_or(|(_, held)| rank(held) < rank(&state)) {
                best = Some((id, state));
            }
        }
        Ok(best.map(|(id, state)| (id, Some(state))))
    }

    /// The superior of a new entry that nothing here is concerned by but its name: shown, and its place asked for once.
    /// `None` if it is not shown, or other entries are concerned.
    pub(in crate::dit) fn plain_superior_of(&mut self, state: &EntryState) -> Result<Option<EntryId>, DitError> {
        let uuid = state.parent.1;
        if uuid == EntryUuid::NIL {
            return Ok(Some(EntryId::NONE));
        }
        if let Some(known) = self.superiors.get(&uuid) {
            return Ok(Some(*known));
        }
        let Some((id, _)) = self.representative(uuid)? else { return Ok(None) };
        let record = self.txn.reader().get(Table::Id2Entry, &id.to_key())?;
        if record.is_none_or(|record| ViewRecord::flags_of(record) & ENTRY_PHANTOM != 0) {
            return Ok(None);
        }
        if self.superiors.len() < SUPERIORS_MAX {
            self.superiors.insert(uuid, id);
        }
        Ok(Some(id))
    }

    /// Shows a new live entry below a superior that is shown.
    pub(in crate::dit) fn show_new(
        &mut self,
        id: EntryId,
        state: &EntryState,
        touched: &Touched,
        parent: EntryId,
    ) -> Result<(), DitError> {
        self.show(id, state, touched, Some(Place { parent, live: true }))
    }

    /// The superior's number, shown by now; or the entryUUID that is missing on the way up.
    fn superior_of(&mut self, state: &EntryState) -> Result<Result<EntryId, EntryUuid>, DitError> {
        let mut unshown: Vec<(EntryId, EntryState)> = Vec::new();
        let mut at = state.parent.1;
        let mut shown = loop {
            if at == EntryUuid::NIL {
                break EntryId::NONE;
            }
            let Some((id, state)) = self.representative(at)? else { return Ok(Err(at)) };
            if self.txn.reader().get(Table::Id2Entry, &id.to_key())?.is_some() {
                break id;
            }
            let state = match state {
                Some(state) => state,
                None => self.state(id)?.ok_or(DitError::NoSuchEntry(at))?,
            };
            if unshown.len() >= UNSHOWN_MAX {
                return Ok(Err(at));
            }
            at = state.parent.1;
            unshown.push((id, state));
        };
        for (id, state) in unshown.into_iter().rev() {
            let place = Place { parent: shown, live: state.is_live() };
            waiting::set(&mut self.txn, id, None)?;
            self.show(id, &state, &Touched::default(), Some(place))?;
            shown = id;
        }
        Ok(Ok(shown))
    }

    /// Derives the view anew of an entry that stays where it is, and what it is.
    pub(super) fn show_again(&mut self, id: EntryId, state: &EntryState) -> Result<(), DitError> {
        let place = self
            .view()
            .entry(id)?
            .map(|entry| Place { parent: entry.record.parent(), live: entry.record.flags() & ENTRY_PHANTOM == 0 });
        if place.is_some() { self.show(id, state, &Touched::default(), place) } else { Ok(()) }
    }

    /// Writes the view that `place` calls for, and tree and index with it.
    fn show(
        &mut self,
        id: EntryId,
        state: &EntryState,
        touched: &Touched,
        place: Option<Place>,
    ) -> Result<(), DitError> {
        let old_bytes = self.txn.reader().get(Table::Id2Entry, &id.to_key())?.map(<[u8]>::to_vec);
        let old = match &old_bytes {
            Some(bytes) => Some(ViewRecord::open(id, bytes)?),
            None => None,
        };
        if let (Some(old), Some(place)) = (&old, place)
            && old.parent() == place.parent
            && self.adoption.is_empty()
            && old.rdn() == rdn_text(&self.catalog, state).as_bytes()
        {
            return self.show_in_place(id, state, touched, place, (old, None));
        }
        self.watch(id, || true);
        if old.is_some() {
            self.forget_names();
        }
        let stood = old.map(|record| self.stands_at(&record));
        let stands = place.map(|place| {
            let text = rdn_text(&self.catalog, state);
            (place.parent, name_key(&self.catalog, place.parent, &text), text)
        });
        let stays = match (&stood, &stands) {
            (Some(stood), Some(stands)) => stood.0 == stands.0 && stood.1 == stands.1,
            _ => false,
        };
        if let (Some((parent, name)), false) = (&stood, stays) {
            self.leave(id, *parent, name)?;
        }
        let new_bytes = match place {
            Some(place) => Some(sealed_id(id, self.view_of(id, state, place, None)?)),
            None => None,
        };
        let new = match &new_bytes {
            Some(bytes) => Some(ViewRecord::open(id, bytes)?),
            None => None,
        };
        let rules = ENTRY_HAS_ACI | ENTRY_POLICY;
        let aci = |record: &Option<ViewRecord<'_>>| record.is_some_and(|record| record.flags() & rules != 0);
        self.rules_changed |= aci(&old) || aci(&new);
        self.index(id, old.as_ref(), new.as_ref(), touched)?;
        match &new_bytes {
            Some(bytes) => {
                let append = (self.is_bulk || self.appends) && old.is_none() && id.0 == self.last_id;
                let mode = if append { PutMode::Append } else { PutMode::Upsert };
                self.txn.put(Table::Id2Entry, &id.to_key(), bytes, mode)?;
            }
            None => {
                self.txn.delete(Table::Id2Entry, &id.to_key(), None)?;
            }
        }
        if let (Some((parent, name, _)), false) = (&stands, stays) {
            self.txn.put(Table::Dn2Id, &dn2id_key(*parent, name), &id.to_key(), PutMode::Upsert)?;
            self.count_subordinate(*parent, 1)?;
        }
        self.rules_changed |= old.is_some() && !stays;
        if old.is_some() && new.is_some() && !stays && !self.is_bulk {
            // Also where nothing of it changed, but another incarnation of its superior stands there now, under another name.
            self.renamed(state.uuid)?;
        }
        if let Some((parent, name, _)) = stands {
            self.ask_for_name(id, parent, name, stays)?;
        }
        let live = |record: &Option<ViewRecord<'_>>| record.is_some_and(|record| record.flags() & ENTRY_PHANTOM == 0);
        if !self.is_bulk && live(&old) != live(&new) {
            let fresh = old.is_none()
                && state.birth.csn.origin() == self.origin()
                && state.max_stamp() == state.birth
                && self.view().incarnations(state.uuid)?.len() == 1;
            self.follow.refer(state.uuid, fresh);
        }
        if self.filling {
            self.filled.insert(id, new_bytes.unwrap_or_default());
        }
        Ok(())
    }

    /// [`Writing::show`] of an entry that keeps its place and its name, where no name is given twice.
    fn show_in_place(
        &mut self,
        id: EntryId,
        state: &EntryState,
        touched: &Touched,
        place: Place,
        (old, changed): (&ViewRecord<'_>, Option<&[AttributeId]>),
    ) -> Result<(), DitError> {
        let earlier = changed.map(|changed| Earlier { record: old, changed });
        let bytes = sealed_id(id, self.view_of(id, state, place, earlier)?);
        let new = ViewRecord::open(id, &bytes)?;
        self.rules_changed |= (old.flags() | new.flags()) & (ENTRY_HAS_ACI | ENTRY_POLICY) != 0;
        let object_class = self.catalog.well_known().object_class;
        self.watch(id, || !new.is_of_kinds_of(old, object_class));
        self.index(id, Some(old), Some(&new), touched)?;
        match self.held_back.take_if(|(of, _)| *of == id) {
            Some((_, state)) => self.txn.put_entry(id, &bytes, &state)?,
            None => self.txn.put(Table::Id2Entry, &id.to_key(), &bytes, PutMode::Upsert)?,
        }
        let is_switched = (old.flags() ^ new.flags()) & ENTRY_PHANTOM != 0;
        if self.filling {
            self.filled.insert(id, bytes);
        }
        if !self.is_bulk && is_switched {
            self.follow.refer(state.uuid, false);
        }
        Ok(())
    }

    fn view_of(
        &self,
        id: EntryId,
        state: &EntryState,
        place: Place,
        earlier: Option<Earlier<'_>>,
    ) -> Result<Vec<u8>, DitError> {
        let view = self.view();
        let winner = match self.adoption.get(id) {
            Some(adopted) => view.entry(adopted.winner)?.map(|entry| entry.record.uuid()),
            None => None,
        };
        if place.live {
            derive(&view, (id, state), place.parent, winner, earlier)
        } else {
            Ok(derive_phantom(&view, state, place.parent, winner))
        }
    }

    /// Writes the view of an entry anew where it stands, as its state and the settings are now, and no index.
    pub(in crate::dit) fn write_view_anew(&mut self, id: EntryId, state: &EntryState) -> Result<(), DitError> {
        let Some(entry) = self.view().entry(id)? else { return Ok(()) };
        let live = entry.record.flags() & ENTRY_PHANTOM == 0;
        let place = Place { parent: entry.record.parent(), live };
        let bytes = sealed_id(id, self.view_of(id, state, place, None)?);
        if self.txn.reader().get(Table::Id2Entry, &id.to_key())? == Some(bytes.as_slice()) {
            return Ok(());
        }
        Ok(self.txn.put(Table::Id2Entry, &id.to_key(), &bytes, PutMode::Upsert)?)
    }

    fn stands_at(&self, record: &ViewRecord<'_>) -> (EntryId, Vec<u8>) {
        let parent = record.parent();
        (parent, name_key(&self.catalog, parent, &String::from_utf8_lossy(record.rdn())))
    }

    /// The entry leaves its place in the tree table. Its record is still the old one.
    fn leave(&mut self, id: EntryId, parent: EntryId, name: &[u8]) -> Result<(), DitError> {
        let removed = self.txn.delete(Table::Dn2Id, &dn2id_key(parent, name), Some(&id.to_key()))?;
        assert!(removed, "tree-connected: what is shown has its record in the tree table");
        let left = self.count_subordinate(parent, -1)?;
        if left == 0 && parent != EntryId::NONE {
            let record = self.txn.reader().get(Table::Id2Entry, &parent.to_key())?;
            if record.is_some_and(|record| ViewRecord::flags_of(record) & ENTRY_PHANTOM != 0) {
                self.forget_left(parent)?;
                self.follow.look_at(parent);
            }
        }
        if self.adoption.is_adopted(id) || self.adoption.has_losers(id) {
            self.give_up_name(id, parent, name)?;
        }
        Ok(())
    }

    /// Returns the new count.
    fn count_subordinate(&mut self, parent: EntryId, by: i64) -> Result<u64, DitError> {
        if parent == EntryId::NONE {
            return Ok(0);
        }
        let count = self.view().own_subordinate_count(parent)?.saturating_add_signed(by);
        self.txn.put(Table::Subordinates, &parent.to_key(), &count.to_ne_bytes(), PutMode::Upsert)?;
        Ok(count)
    }

    /// Superiors changed by replayed moves: each entry is shown at its new place, nearest to the top first, so that at no
    /// point two are below one another. `own`: the entry at hand, with its state as it is stored; `born` just now.
    pub(in crate::dit) fn follow_edges(
        &mut self,
        changed: &[(EntryUuid, Edge)],
        own: Option<(EntryId, &EntryState, &Touched)>,
        born: bool,
    ) -> Result<(), DitError> {
        let mut joined = false;
        for (uuid, edge) in changed {
            for id in self.view().incarnations(*uuid)? {
                let is_born_now = born && own.is_some_and(|(own, ..)| own == id);
                joined |= !is_born_now && self.txn.reader().get(Table::Id2Entry, &id.to_key())?.is_none();
                match own {
                    Some((own, state, touched)) if own == id => self.refresh(id, state, touched)?,
                    _ => {
                        let Some(mut state) = self.state(id)?.filter(|state| state.born) else { continue };
                        if state.parent != *edge {
                            state.parent = *edge;
                            self.put_state(id, &state)?;
                            self.refresh(id, &state, &Touched::default())?;
                        }
                    }
                }
            }
            self.renamed(*uuid)?;
        }
        if joined {
            // What was not shown may have come to where it is, and others with it.
            let waiting = waiting::all(self.txn.reader())?;
            self.follow.shapes.extend(waiting);
        }
        Ok(())
    }
}
