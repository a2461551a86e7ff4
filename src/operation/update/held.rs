//! What an attribute holds before a list of modifications, as the working copy asks for it.
//!
//! Mostly the values are listed from the entry's state. An attribute of very many values has them in a table of their
//! own: then each is looked up where it is touched, and all are read only to replace them.

use super::edit::{AttributeEdit, Held, Style, Value};
use crate::dit::{AttributeInfo, DitError, ValueError, View, Writing, value_of};
use crate::model::Dn;
use crate::state::view::ViewContent;
use crate::state::{AttributeId, CellValue, EntryState, ValueKey};
use crate::storage::EntryId;
use std::collections::BTreeMap;

/// The working copy of one attribute of an entry.
///
/// # Errors
/// Storage.
pub(super) fn edit_of<'w>(
    writing: &'w Writing<'_>,
    id: EntryId,
    state: &EntryState,
    attribute: AttributeId,
) -> Result<AttributeEdit<'w>, ValueError> {
    let view = writing.view();
    let Some(info) = view.catalog().attribute(attribute) else {
        return Err(ValueError::Dit(DitError::UnknownAttribute(format!("number {}", attribute.0))));
    };
    let kept = state.attribute(attribute);
    let is_counted = kept.is_some_and(|kept| kept.counter.is_some());
    let style = match (info.single_value || is_counted, info.membership) {
        (true, _) => Style::Register,
        (false, true) => Style::Set,
        (false, false) => Style::Plain,
    };
    if let Some(spilled) = kept.and_then(|kept| kept.spilled.as_deref()) {
        let held = Spilled { writing, id, attribute, count: spilled.count };
        return Ok(AttributeEdit::new(attribute, style, Box::new(held)));
    }
    let mut listed = Listed::default();
    for value in state.view_cells(attribute, info.single_value) {
        let content = match value.content {
            ViewContent::Text(text) => CellValue::Text(text.into_owned()),
            ViewContent::Link(target) if view.by_uuid(target)?.is_none() => continue,
            ViewContent::Link(target) => CellValue::Link(target),
        };
        let key = match (value.key, &content) {
            (Some(key), _) => key.clone(),
            (None, CellValue::Text(text)) => value_of(&view, info, text)?.0,
            (None, CellValue::Link(target)) => ValueKey::link(*target),
        };
        let is_implied = !is_counted && !kept.is_some_and(|kept| kept.is_present(&key));
        listed.places.insert(key.clone(), (listed.values.len(), is_implied));
        listed.values.push((key, content));
    }
    Ok(AttributeEdit::new(attribute, style, Box::new(listed)))
}

/// A client's value as the working copy compares it.
///
/// # Errors
/// [`ValueError::Invalid`]; storage.
pub(super) fn value_for(view: &View<'_>, info: &AttributeInfo, value: &[u8]) -> Result<Value, ValueError> {
    let (key, content) = value_of(view, info, value)?;
    let alias = match &content {
        CellValue::Link(_) => {
            Dn::parse_bytes(value).ok().map(|dn| ValueKey::of_normal(&view.catalog().schema().dn_key(&dn)))
        }
        CellValue::Text(_) => None,
    };
    Ok(Value { key, content, alias })
}

#[derive(Default)]
struct Listed {
    values: Vec<(ValueKey, CellValue)>,
    /// Where each value stands in the list, and whether only the RDN says it.
    places: BTreeMap<ValueKey, (usize, bool)>,
}

impl Held for Listed {
    fn get(&self, key: &ValueKey) -> Result<Option<CellValue>, DitError> {
        let place = self.places.get(key).and_then(|(at, _)| self.values.get(*at));
        Ok(place.map(|(_, content)| content.clone()))
    }

    fn is_implied(&self, key: &ValueKey) -> bool {
        self.places.get(key).is_some_and(|(_, implied)| *implied)
    }

    fn count(&self) -> u64 {
        self.values.len() as u64
    }

    fn all(&self) -> Result<Vec<(ValueKey, CellValue)>, DitError> {
        Ok(self.values.clone())
    }
}

struct Spilled<'w, 'd> {
    writing: &'w Writing<'d>,
    id: EntryId,
    attribute: AttributeId,
    count: u64,
}

impl Held for Spilled<'_, '_> {
    fn get(&self, key: &ValueKey) -> Result<Option<CellValue>, DitError> {
        let cell = self.writing.spilled_cell(self.id, self.attribute, key)?;
        Ok(cell.filter(|cell| cell.present).map(|cell| cell.value))
    }

    fn is_implied(&self, _: &ValueKey) -> bool {
        false
    }

    fn count(&self) -> u64 {
        self.count
    }

    fn all(&self) -> Result<Vec<(ValueKey, CellValue)>, DitError> {
        // In the order of their keys, as searches show them.
        let cells = self.writing.spilled_cells(self.id, self.attribute)?.into_iter();
        Ok(cells.filter(|(_, cell)| cell.present).map(|(key, cell)| (key, cell.value)).collect())
    }
}
