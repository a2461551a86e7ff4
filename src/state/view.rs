//! From merged state to what a client sees: rules that hold for every state that a merge can produce.
//!
//! Peers mend an entry after a conflict by writing again, which conflicts again. Here nothing is mended: the view of a
//! state always obeys these rules, and the state keeps what the view hides.
//!
//! Invariants of the view
//! - **rdn-values-present**: each AVA of the RDN is a value of its attribute, even if its cell says absent.
//! - **single-value-single**: a SINGLE-VALUE attribute shows one value: the RDN's, else that with the largest (CSN, key).
//!
//! Values come in the order in which they were written (CSN, then position in the operation), as clients expect.
//! Not here: the view of the tree (who is superior of whom, clashing names), names of linked entries.

use std::borrow::Cow;

use crate::model::entry_uuid::EntryUuid;
use crate::state::cells::{Cell, CellValue};
use crate::state::csn::Stamp;
use crate::state::entry_state::EntryState;
use crate::state::update::AttributeId;
use crate::state::value_key::ValueKey;

/// One value as it is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ViewValue<'a> {
    /// The change that it comes from.
    pub stamp: Stamp,
    /// Its identity; none for a number that is counted.
    pub key: Option<&'a ValueKey>,
    /// What to show.
    pub content: ViewContent<'a>,
}

/// What a value shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ViewContent<'a> {
    /// These bytes.
    Text(Cow<'a, [u8]>),
    /// The current DN of this entry; nothing if there is no such entry.
    Link(EntryUuid),
}

impl<'a> ViewValue<'a> {
    fn of(key: &'a ValueKey, cell: &'a Cell) -> Self {
        let content = match &cell.value {
            CellValue::Text(text) => ViewContent::Text(Cow::Borrowed(text)),
            CellValue::Link(target) => ViewContent::Link(*target),
        };
        Self { stamp: cell.stamp, key: Some(key), content }
    }

    /// The bytes, if it is not a link.
    pub fn as_text(&self) -> Option<&[u8]> {
        match &self.content {
            ViewContent::Text(text) => Some(text),
            ViewContent::Link(_) => None,
        }
    }
}

impl EntryState {
    /// The values that clients see of `attribute`, in the order written; empty if there is none.
    ///
    /// `single_value` is what the schema says of the type. A value that is in the RDN and in a cell shows as the cell
    /// spells it. Of a spilled attribute only the loaded cells are seen.
    pub fn view_cells(&self, attribute: AttributeId, single_value: bool) -> Vec<ViewValue<'_>> {
        let state = self.attributes.get(&attribute);
        let cells = state.map(|state| &state.cells);
        let counter = state.and_then(|state| state.counter.as_deref());

        let is_naming = self.rdn.1.avas.iter().any(|ava| ava.attribute == attribute);
        if let (Some(cells), None, false) = (cells.filter(|cells| cells.len() == 1), counter, is_naming) {
            // As most are: nothing to choose and nothing to order.
            return cells.iter().filter(|(_, cell)| cell.present).map(|(key, cell)| ViewValue::of(key, cell)).collect();
        }
        let mut shown: Vec<(Stamp, u32, ViewValue<'_>)> = Vec::with_capacity(cells.map_or(0, |cells| cells.len()));
        let naming = self.rdn.1.avas.iter().filter(|ava| ava.attribute == attribute);
        for ava in naming.take(if single_value { 1 } else { usize::MAX }) {
            let written = cells.and_then(|cells| cells.get(&ava.key)).filter(|cell| cell.present);
            let repeated = shown.iter().any(|(.., value)| value.key == Some(&ava.key));
            if single_value || (written.is_none() && !repeated) {
                let implied = ViewContent::Text(Cow::Borrowed(ava.value.as_slice()));
                let value = ViewValue { stamp: self.rdn.0, key: Some(&ava.key), content: implied };
                shown.push((self.rdn.0, 0, written.map_or(value, |cell| ViewValue::of(&ava.key, cell))));
            }
        }
        if single_value && !shown.is_empty() {
            return shown.into_iter().map(|(_, _, value)| value).collect();
        }
        let present = cells.into_iter().flat_map(|cells| cells.iter()).filter(|(_, cell)| cell.present);
        let counted = counter.map(|counter| {
            let text = counter.value().to_string().into_bytes();
            ViewValue { stamp: counter.newest(), key: None, content: ViewContent::Text(Cow::Owned(text)) }
        });
        if single_value {
            let top = present.max_by(|(a_key, a), (b_key, b)| (a.stamp, a_key).cmp(&(b.stamp, b_key)));
            let base = counter.map_or(Stamp::NONE, |counter| counter.base.stamp);
            return match (counted, top) {
                (Some(counted), top) if top.is_none_or(|(_, cell)| cell.stamp <= base) => vec![counted],
                (_, top) => top.map(|(key, cell)| ViewValue::of(key, cell)).into_iter().collect(),
            };
        }
        // A counter stands for the value that it counts from, unless that names the entry; others stand beside it.
        let base = counter.map(|counter| counter.base.stamp);
        let names = |key: &ValueKey| self.rdn.1.avas.iter().any(|ava| ava.attribute == attribute && ava.key == *key);
        shown.extend(
            present
                .filter(|(key, cell)| Some(cell.stamp) != base || names(key))
                .map(|(key, cell)| (cell.stamp, cell.order, ViewValue::of(key, cell))),
        );
        shown.extend(counted.map(|value| (value.stamp, 0, value)));
        shown.sort_by_key(|(stamp, order, _)| (*stamp, *order));
        shown.into_iter().map(|(_, _, value)| value).collect()
    }

    /// The attributes that may show a value, rising: those with a present cell or counter, those in the RDN, and the spilled.
    pub fn view_attributes(&self) -> Vec<AttributeId> {
        let with_values = self.attributes.iter().filter(|(_, state)| {
            state.counter.is_some()
                || state.spilled.as_ref().is_some_and(|spilled| spilled.count > 0)
                || state.present_keys().next().is_some()
        });
        let mut shown = Vec::with_capacity(self.attributes.len() + 1);
        shown.extend(with_values.map(|(attribute, _)| *attribute));
        for ava in &self.rdn.1.avas {
            if let Err(place) = shown.binary_search(&ava.attribute) {
                shown.insert(place, ava.attribute);
            }
        }
        shown
    }
}

/// Of several incarnations of one entryUUID the one that is shown: the live one born last.
pub fn shown_incarnation<'a>(incarnations: impl IntoIterator<Item = &'a EntryState>) -> Option<&'a EntryState> {
    incarnations.into_iter().filter(|state| state.is_live()).max_by_key(|state| state.birth)
}

#[cfg(test)]
mod tests;
