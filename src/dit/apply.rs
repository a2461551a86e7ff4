//! The one door: an update joins the state of its entry, and view, indexes, tree, log and vector follow in the same
//! transaction.
//!
//! A local change was stamped above everything that it touches (`writing`), so its join cannot lose; a replicated update
//! comes stamped and joins the same way. Nothing here refuses: what may not be was refused before.
//!
//! Invariants
//! - index-equals-recomputed: index keys are added and removed as the difference of the old and new view's keys.
//! - One entry for each (superior, normalised RDN) by local changes; by merged ones see `shape`.

use super::DitError;
use super::digest_table::digest_of;
use super::index_keys::{KeySet, link_key, text_link_key};
use super::links::dn_of;
use super::shape::{Adoption, Edge, Edges, Move, Moved};
use super::spill::{self, Naming, Touched};
use super::view_keys::{all_view_keys, differing_keys, has_options, has_spilled, shares_spilled_keys, view_keys};
use super::writing::{Writing, state_error};
use crate::model::{Dn, EntryUuid};
use crate::state::{
    AttributeId, AttributeState, Delta, Effect, EntryState, Spilled, Stamp, Update, UpdateVector, ValueKey,
};
use crate::storage::{
    ENTRY_PHANTOM, EntryId, IndexKind, Postings, PutMode, Table, ViewRecord, bigvalue_key, index_key,
};
use std::sync::Arc;

/// Referrers whose view is rewritten at once when a name changes; more are rendered afresh when read.
const REFERRERS_AT_ONCE_MAX: u64 = 256;

/// What of an entry another node has removed and forgotten.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Gone {
    /// One value.
    Value(AttributeId, ValueKey),
    /// What was counted.
    Count(AttributeId),
}

fn drop_gone(state: &mut EntryState, gone: &[Gone], effect: &mut Effect) {
    for gone in gone {
        let (Gone::Value(attribute, _) | Gone::Count(attribute)) = gone;
        let Some(held) = state.attributes.get_mut(attribute) else { continue };
        match gone {
            Gone::Value(_, key) => _ = held.cells.remove(key),
            Gone::Count(_) => held.counter = None,
        }
        effect.attributes.push(*attribute);
    }
    if !gone.is_empty() {
        effect.attributes.sort_unstable();
        effect.attributes.dedup();
        state.attributes.retain(|_, held| !held.is_empty());
    }
}

impl Writing<'_> {
    /// Joins `update` into `state` (the entry's, or none) and lets everything that follows from it follow.
    pub(super) fn join(&mut self, id: EntryId, state: Option<EntryState>, update: &Update) -> Result<(), DitError> {
        let (mut state, mut touched) = (state, Touched::default());
        if let Some(state) = &mut state {
            touched = self.load_touched(id, state, &update.deltas)?;
        }
        self.join_loaded(id, state, touched, update)
    }

    /// Loads the cells of spilled attributes that `deltas` touch into `state`.
    pub(super) fn load_touched(
        &self,
        id: EntryId,
        state: &mut EntryState,
        deltas: &[Delta],
    ) -> Result<Touched, DitError> {
        Touched::load(self.txn.reader(), &self.catalog, id, state, deltas)
    }

    /// [`Writing::join`] with the touched cells in `state` already.
    pub(super) fn join_loaded(
        &mut self,
        id: EntryId,
        state: Option<EntryState>,
        touched: Touched,
        update: &Update,
    ) -> Result<(), DitError> {
        let (is_new, ended) = (state.is_none(), state.as_ref().and_then(|state| state.dead));
        let mut state = state.unwrap_or_else(|| EntryState::unborn(update.uuid, update.birth));
        let edge = state.parent;
        let mut effect = state.apply(update);
        let moved = self.edges_after(id, &mut state, edge, &effect, update)?;
        effect.parent = state.parent != edge;
        if effect.dead {
            self.list_deleted(id, ended, state.dead)?;
        }
        self.follow_effect(id, state, touched, (&effect, is_new), &moved)
    }

    /// Joins another state of the incarnation, or a part of one, into `state` (the entry's, or none). `edges`: what the
    /// other node knows of its superiors, if the part says that, and up to where moves that it lacks are settled there.
    /// `gone` is dropped from `state`. Returns whether that changed anything.
    pub(super) fn join_state(
        &mut self,
        id: EntryId,
        state: Option<EntryState>,
        other: &EntryState,
        edges: Option<(&Edges, Option<&UpdateVector>)>,
        gone: &[Gone],
    ) -> Result<bool, DitError> {
        let (is_new, ended) = (state.is_none(), state.as_ref().and_then(|state| state.dead));
        let mut state = state.unwrap_or_else(|| EntryState::unborn(other.uuid, other.birth));
        let mut touched = Touched::load_state(self.txn.reader(), &self.catalog, id, &mut state, other)?;
        touched.load_gone(self.txn.reader(), &self.catalog, id, &mut state, gone)?;
        let edge = state.parent;
        let mut effect = state.join(other);
        drop_gone(&mut state, gone, &mut effect);
        state.parent = edge;
        let moved = match edges {
            Some((edges, settled_at)) => self.edges_merged((&mut state, effect.born), edges, settled_at)?,
            None => Vec::new(),
        };
        effect.parent = state.parent != edge;
        let changed = is_new || effect.is_change() || !moved.is_empty();
        if effect.dead {
            self.list_deleted(id, ended, state.dead)?;
        }
        self.follow_effect(id, state, touched, (&effect, is_new), &moved)?;
        Ok(changed)
    }

    /// What a birth or a move in `update` makes of superiors: `state` gets its own, the others are returned.
    fn edges_after(
        &mut self,
        id: EntryId,
        state: &mut EntryState,
        edge: Edge,
        effect: &Effect,
        update: &Update,
    ) -> Result<Moved, DitError> {
        let mut changed = Vec::new();
        // What the register of the state says of moves does not count; a late one counts too.
        state.parent = edge;
        for delta in &update.deltas {
            match delta {
                Delta::Birth { parent, .. } => {
                    let held = match effect.born {
                        true if self.is_bulk => None,
                        true => self.edge_of_others(id, state.uuid)?,
                        false if self.begins_later(state.uuid, update.stamp)? => Some(edge),
                        false => continue,
                    };
                    changed = self.born_below(state, (update.stamp, *parent), held)?;
                }
                Delta::Parent(parent) => {
                    changed = self.moved(Move { stamp: update.stamp, uuid: state.uuid, parent: *parent })?;
                    if let Some((_, edge)) = changed.iter().find(|(uuid, _)| *uuid == state.uuid) {
                        state.parent = *edge;
                    }
                }
                _ => {}
            }
        }
        Ok(changed)
    }

    /// Whether a later birth than this one, which is held, is taken for the beginning of the entry: this node took the earlier
    /// one back, to write it again, and somebody held it all the same.
    fn begins_later(&self, uuid: EntryUuid, birth: Stamp) -> Result<bool, DitError> {
        let (base, _) = self.view().edges_of(uuid)?.base;
        if base <= birth {
            return Ok(false);
        }
        for id in self.view().incarnations(uuid)? {
            if self.state(id)?.is_some_and(|state| state.birth == base) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The superior that other incarnations of the entry have.
    fn edge_of_others(&self, id: EntryId, uuid: EntryUuid) -> Result<Option<Edge>, DitError> {
        for other in self.view().incarnations(uuid)?.into_iter().filter(|other| *other != id) {
            if let Some(state) = self.state(other)?.filter(|state| state.born) {
                return Ok(Some(state.parent));
            }
        }
        Ok(None)
    }

    /// Stores a state that a join has changed, and lets view, index, tree and whatever else is concerned follow. `moved`:
    /// the superiors that changed with it ([`Writing::moved`], [`Writing::born_below`]).
    fn follow_effect(
        &mut self,
        id: EntryId,
        mut state: EntryState,
        mut touched: Touched,
        (effect, is_new): (&Effect, bool),
        moved: &[(EntryUuid, Edge)],
    ) -> Result<(), DitError> {
        if !effect.is_change() && !is_new && moved.is_empty() {
            return Ok(());
        }
        self.superiors.clear();
        let renamed = !is_new && (effect.rdn || effect.parent);
        let members = effect
            .attributes
            .iter()
            .any(|id| self.catalog.attribute(*id).is_some_and(|info| info.links || info.membership));
        self.rules_changed |= members || renamed || effect.dead;
        let definitions = self.catalog.well_known().definitions;
        self.schema_touched |= effect.attributes.iter().any(|id| definitions.contains(id))
            || ((effect.born || effect.dead) && state.attributes.keys().any(|id| definitions.contains(id)));
        let adoption = Arc::clone(&self.adoption);
        let naming = self.naming(&adoption);
        touched.store(&mut self.txn, &self.catalog, naming, id, &mut state)?;
        let is_alone = moved.is_empty() && !self.adoption.has_losers(id);
        if !is_new && !renamed && !effect.born && !effect.dead && is_alone {
            // Only values: view and state are written as one.
            self.holds_back = true;
            let shown =
                self.put_state(id, &state).and_then(|()| self.refresh_values(id, &state, &touched, &effect.attributes));
            self.holds_back = false;
            shown?;
            self.put_held_back()?;
            return self.settle_shape();
        }
        self.put_state(id, &state)?;
        if effect.dead {
            self.note_lost_links(&state)?;
        }
        if moved.iter().any(|(uuid, _)| *uuid == state.uuid) {
            self.follow_edges(moved, Some((id, &state, &touched)), effect.born)?;
        } else {
            self.refresh(id, &state, &touched)?;
            self.follow_edges(moved, None, false)?;
        }
        if effect.born || effect.dead {
            let has_others = self.follow_incarnations(id, state.uuid)?;
            if effect.born && has_others && state.birth.csn.origin() != self.origin() {
                self.born_again.push((state.uuid, state.birth));
            }
        }
        if self.adoption.has_losers(id) {
            // Whether they are duplicates depends on this one.
            let adoption = Arc::clone(&self.adoption);
            adoption.group(id).skip(1).for_each(|loser| self.follow.look_at(loser));
        }
        if renamed {
            self.renamed(state.uuid)?;
        }
        self.settle_shape()
    }

    pub(super) fn put_state(&mut self, id: EntryId, state: &EntryState) -> Result<(), DitError> {
        let is_appended = (self.is_bulk || self.appends) && id.0 == self.last_id;
        let digest = digest_of(&self.view(), id, state)?;
        let mut record = vec![0; 8];
        record.extend_from_slice(&digest.map_or(0, |digest| digest.0).to_be_bytes());
        let catalog = &self.catalog;
        state.encode(|origin| catalog.origin_number(origin), &mut record).map_err(|error| state_error(id, &error))?;
        let old = if self.appends { None } else { self.digest_before(id)? };
        self.digest_changes.note(state.uuid, old, digest);
        let record = catalog.state_record(id, state, record)?;
        if self.filling {
            self.filled.entry(id).or_default();
        }
        if self.holds_back {
            self.held_back = Some((id, record));
            return Ok(());
        }
        let mode = if is_appended && old.is_none() { PutMode::Append } else { PutMode::Upsert };
        Ok(self.txn.put(Table::Id2State, &id.to_key(), &record, mode)?)
    }

    /// Writes the state that waits for its view, if no view was written.
    fn put_held_back(&mut self) -> Result<(), DitError> {
        match self.held_back.take() {
            Some((id, record)) => Ok(self.txn.put(Table::Id2State, &id.to_key(), &record, PutMode::Upsert)?),
            None => Ok(()),
        }
    }

    /// Changes the index by the difference of the keys of two views.
    pub(super) fn index(
        &mut self,
        id: EntryId,
        old: Option<&ViewRecord<'_>>,
        new: Option<&ViewRecord<'_>>,
        touched: &Touched,
    ) -> Result<(), DitError> {
        if self.filling {
            return Ok(());
        }
        let (mut old_keys, mut new_keys) = (std::mem::take(&mut self.old_keys), std::mem::take(&mut self.new_keys));
        old_keys.clear();
        new_keys.clear();
        match (old, new) {
            (Some(old), Some(new)) if !has_options(&self.catalog, old) && !has_options(&self.catalog, new) => {
                differing_keys(&self.catalog, [old, new], [&mut old_keys, &mut new_keys]);
            }
            _ => {
                if let Some(old) = old {
                    view_keys(&self.catalog, old, new, &mut old_keys);
                }
                if let Some(new) = new {
                    view_keys(&self.catalog, new, old, &mut new_keys);
                }
            }
        }
        let shows = |record: Option<&ViewRecord<'_>>| record.is_some_and(|record| record.flags() & ENTRY_PHANTOM == 0);
        touched.keys(&self.catalog, (shows(old), shows(new)), &mut old_keys, &mut new_keys);
        match (shows(old), shows(new)) {
            (true, false) => spill::all_keys(self.txn.reader(), &self.catalog, id, &mut old_keys)?,
            (false, true) if new.is_some_and(has_spilled) => {
                spill::all_keys(self.txn.reader(), &self.catalog, id, &mut new_keys)?;
                if !new.is_some_and(|new| touched.is_all_of(new)) {
                    let adoption = Arc::clone(&self.adoption);
                    let naming = self.naming(&adoption);
                    spill::spell_anew(&mut self.txn, &self.catalog, naming, id)?;
                }
            }
            _ => {}
        }
        if let (Some(old), Some(new)) = (old, new)
            && shares_spilled_keys(&self.catalog, [old, new])
        {
            all_view_keys(self.txn.reader(), &self.catalog, id, new, &mut new_keys)?;
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
                    self.txn.set_index(key, id, false);
                }
                (None, Some(key)) => self.txn.set_index(key, id, true),
                _ => {}
            }
        }
    }

    pub(super) fn sort_keys(&mut self, id: EntryId, keys: &KeySet) -> Result<(), DitError> {
        if let Some(sorter) = &mut self.sorter {
            // The sorter takes a key twice for once.
            for key in keys.iter() {
                sorter.push(key, id)?;
            }
        }
        Ok(())
    }

    /// Bulk load: what was spilled with texts for links is written again with links.
    pub(super) fn relink_spilled(
        &mut self,
        id: EntryId,
        attribute: AttributeId,
        held: &mut AttributeState,
    ) -> Result<(), DitError> {
        let adoption = Arc::clone(&self.adoption);
        let naming = self.naming(&adoption);
        let cells = spill::read_cells(self.txn.reader(), &self.catalog, id, attribute)?;
        let mut linked = Vec::with_capacity(cells.len());
        for (key, cell) in cells {
            self.txn.delete(Table::BigValues, &bigvalue_key(id, attribute, &key), None)?;
            linked.push(super::bulk::relink(self, attribute, key, cell)?);
        }
        held.spilled = Some(Box::new(Spilled::of(linked.iter().map(|(key, cell)| (key, cell)))));
        for (key, cell) in &linked {
            spill::write_cell(&mut self.txn, &self.catalog, naming, (id, attribute), key, cell)?;
        }
        Ok(())
    }

    /// After an entry's name changed: what links to it, and to what is below it, shows the new one.
    pub(super) fn renamed(&mut self, uuid: EntryUuid) -> Result<(), DitError> {
        for id in self.view().incarnations(uuid)? {
            if self.txn.reader().get(Table::Subordinates, &id.to_key())?.is_some() {
                self.rules_changed = true;
                self.naming_stamp += 1;
                return Ok(());
            }
        }
        self.follow.refer(uuid, false);
        Ok(())
    }

    /// After an entry came, went or changed its name: the entries that link to it, or have its name as text, show it, at
    /// once if they are few, else when they are next read. To a `fresh` entry nothing can link yet.
    pub(super) fn refresh_referrers(&mut self, uuid: EntryUuid, fresh: bool) -> Result<(), DitError> {
        if self.filling {
            // To an entry that was not here nothing shows a name yet; whatever else changed, all names are looked at in the end.
            self.naming_stamp += u64::from(self.fills_new != Some(uuid));
            return Ok(());
        }
        let view = self.view();
        let mut keys = Vec::with_capacity(2);
        if !fresh {
            keys.push(link_key(uuid));
        }
        let name = dn_of(&view, uuid)?.and_then(|text| Dn::parse_bytes(&text).ok());
        keys.extend(name.map(|dn| text_link_key(self.catalog.schema(), &dn)));
        let mut referrers = Vec::new();
        let mut many = self.catalog.has_hidden_referrers() && !fresh;
        for attribute in self.catalog.link_attributes() {
            for normal in &keys {
                let mut key = Vec::with_capacity(24);
                index_key(*attribute, IndexKind::Equality, normal, &mut key);
                if let Some(mut postings) = Postings::open(self.txn.reader(), &key)? {
                    many |= postings.count() > REFERRERS_AT_ONCE_MAX;
                    while let (false, Some(referrer)) = (many, postings.next()?) {
                        referrers.push((referrer, *attribute));
                    }
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
        let adoption = Arc::clone(&self.adoption);
        let (naming, key) = (self.naming(&adoption), ValueKey::link(uuid));
        for (referrer, attribute) in &referrers {
            if let Some(cell) = self.spilled_cell(*referrer, *attribute, &key)? {
                spill::write_cell(&mut self.txn, &self.catalog, naming, (*referrer, *attribute), &key, &cell)?;
            }
        }
        referrers.dedup_by_key(|(referrer, _)| *referrer);
        for (referrer, _) in referrers {
            if let Some(state) = self.state(referrer)? {
                self.refresh(referrer, &state, &Touched::default())?;
            }
        }
        Ok(())
    }

    pub(super) fn naming<'a>(&self, adoption: &'a Adoption) -> Naming<'a> {
        Naming { stamp: self.naming_stamp, token: self.token, adoption }
    }

    /// Derives the view of an entry from its unchanged state: after names that it links to have changed.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`].
    pub fn rewrite_view(&mut self, id: EntryId) -> Result<(), DitError> {
        match self.state(id)? {
            Some(state) => {
                self.refresh(id, &state, &Touched::default())?;
                self.settle_shape()
            }
            None => Ok(()),
        }
    }
}
