//! What a change that is written again says: what it touched, as that is by now.
//!
//! A change that is written again is newer than everything. If it said what it said at first, it would end what was written
//! over it since, by whoever knew of it or was later.
//!
//! Invariants
//! - What stands over the change here goes on to stand, under its own stamp: nothing of it is said again, since whoever wrote it
//!   may write it again too, and others who hold the same change do what this node does.
//! - But what others may have forgotten is said. A superior is said as it is now even if something newer put the entry there:
//!   what is older than a forgotten move would be made after it. Where the first record stays, and goes to others, a value that it
//!   added and that is gone by now is said to be gone.
//! - A number that was incremented is written as the value that it has here now: who takes it may lack what was counted from.

use super::DitError;
use super::values::value_of;
use super::writing::Writing;
use crate::state::view::ViewContent;
use crate::state::{AttributeId, Delta, EntryState, Stamp, Update};

/// What a change says when it is written again.
#[derive(Default)]
pub(super) struct Restated {
    /// What it said and what stands.
    pub(super) said: Vec<Delta>,
    /// What is in the stead of the rest by now, where that has to be said.
    pub(super) since: Vec<Delta>,
    /// Whether all that it said stands.
    pub(super) stands: bool,
}

impl Writing<'_> {
    /// What a change says when it is written again; `stays`: beside its first record. One of an earlier incarnation of its entry
    /// is looked at as if it had been made of this one, at its own time. Cost: for each attribute that it cleared, as many values
    /// as that has now.
    ///
    /// # Errors
    /// [`DitError::Storage`], [`DitError::State`].
    pub(super) fn restated(&self, update: &Update, stays: bool) -> Result<Restated, DitError> {
        let as_said = Restated { said: update.deltas.clone(), stands: true, ..Restated::default() };
        let Some(id) = self.id_of(update.uuid, update.birth)? else { return Ok(as_said) };
        let Some(mut state) = self.state(id)? else { return Ok(as_said) };
        self.load_touched(id, &mut state, &update.deltas)?;
        let superior = state.parent;
        state.apply(update);
        // A move that made a circle is in no state.
        state.parent = superior;
        let mut restated = Restated { stands: true, ..Restated::default() };
        for delta in &update.deltas {
            let now = match delta {
                Delta::Rdn(_) if state.rdn.0 > update.stamp => Vec::new(),
                Delta::Parent(_) => vec![Delta::Parent(state.parent.1)],
                Delta::Clear(attribute) => cleared(&state, *attribute, update),
                Delta::Cell { attribute, .. } => {
                    let single = self.catalog.attribute(*attribute).is_some_and(|info| info.single_value);
                    value_now((&state, update.stamp), delta, single, stays).into_iter().collect()
                }
                Delta::Count { attribute, .. } => self.count_as_value(&state, *attribute),
                delta => vec![delta.clone()],
            };
            if now.first() == Some(delta) || matches!(delta, Delta::Count { .. }) {
                restated.said.extend(now);
            } else {
                restated.since.extend(now);
                restated.stands = false;
            }
        }
        Ok(restated)
    }

    /// The number that an attribute shows now, as a value.
    fn count_as_value(&self, state: &EntryState, attribute: AttributeId) -> Vec<Delta> {
        let Some(info) = self.catalog.attribute(attribute) else { return Vec::new() };
        let shown = state.view_cells(attribute, info.single_value);
        let Some(ViewContent::Text(text)) = shown.into_iter().next().map(|value| value.content) else {
            return Vec::new();
        };
        match value_of(&self.view(), info, &text) {
            Ok((key, value)) => {
                vec![Delta::Clear(attribute), Delta::Cell { attribute, key, order: 0, present: true, value }]
            }
            Err(_) => Vec::new(),
        }
    }
}

/// A clear, with the values that came since; nothing if there was a later one.
fn cleared(state: &EntryState, attribute: AttributeId, update: &Update) -> Vec<Delta> {
    let Some(held) = state.attribute(attribute).filter(|held| held.clear <= Some(update.stamp)) else {
        return Vec::new();
    };
    let is_said = |key: &crate::state::ValueKey| {
        update.deltas.iter().any(
            |delta| matches!(delta, Delta::Cell { attribute: of, key: said, .. } if *of == attribute && said == key),
        )
    };
    let since = held.cells.iter().filter(|(key, cell)| cell.present && !is_said(key));
    let there = since.map(|(key, cell)| Delta::Cell {
        attribute,
        key: key.clone(),
        order: cell.order,
        present: true,
        value: cell.value.clone(),
    });
    std::iter::once(Delta::Clear(attribute)).chain(there).collect()
}

/// A value that stands as the change of this stamp said; or gone, if that is to be said.
fn value_now((state, stamp): (&EntryState, Stamp), delta: &Delta, single: bool, stays: bool) -> Option<Delta> {
    let Delta::Cell { attribute, key, order, present, value } = delta else { return None };
    let held = state.attribute(*attribute);
    let cell = held.and_then(|held| held.cells.get(key));
    let is_there = cell.is_some_and(|cell| cell.present);
    if cell.is_some_and(|cell| cell.stamp > stamp) || is_there != *present {
        let is_gone = *present && !is_there && stays;
        let (attribute, key, value) = (*attribute, key.clone(), value.clone());
        return is_gone.then_some(Delta::Cell { attribute, key, order: *order, present: false, value });
    }
    let is_beaten = |newest: Stamp| single && *present && newest > stamp;
    let newest = held.and_then(|held| held.cells.values().filter(|cell| cell.present).map(|cell| cell.stamp).max());
    (!newest.is_some_and(is_beaten)).then(|| delta.clone())
}
