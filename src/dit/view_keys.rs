//! Which index keys a view calls for, and by which two views differ.

use super::catalog::{AttributeInfo, Catalog};
use super::index_keys::{KeySet, keys_of_attribute, keys_of_forms};
use super::{DitError, spill};
use crate::schema::Schema;
use crate::schema::time::format_generalized_time;
use crate::state::AttributeId;
use crate::storage::{AttributeSlice, ENTRY_PHANTOM, EntryId, Reader, VALUE_SPILLED, ViewRecord};

/// Index keys of the attributes in which `record` differs from `other`.
pub(super) fn view_keys(catalog: &Catalog, record: &ViewRecord<'_>, other: Option<&ViewRecord<'_>>, out: &mut KeySet) {
    let schema = catalog.schema();
    let twins = other.map_or_else(Vec::new, |other| changed_twins(catalog, record, other));
    for slice in record.all_attributes() {
        if slice.flags & VALUE_SPILLED != 0 {
            continue;
        }
        let Some(info) = catalog.attribute(slice.id) else { continue };
        let same = other.and_then(|other| other.any_attribute(slice.id));
        if same.is_some_and(|same| is_same(&same, &slice)) && !twins.contains(&info.base) {
            continue;
        }
        keys_of_slice(schema, info, &slice, out);
    }
    time_keys(catalog, record, other, out);
}

/// Index keys of one attribute of a view.
fn keys_of_slice(schema: &Schema, info: &AttributeInfo, slice: &AttributeSlice<'_>, out: &mut KeySet) {
    match slice.encrypted() {
        Some((forms, _)) => keys_of_forms(info, forms, out),
        None => keys_of_attribute(schema, info, slice.values(), slice.targets, out),
    }
}

/// Index keys of the attributes that are links, or of all others; of a record without spilled values.
pub(super) fn keys_by_links(catalog: &Catalog, record: &ViewRecord<'_>, links: bool, out: &mut KeySet) {
    for slice in record.all_attributes() {
        if let Some(info) = catalog.attribute(slice.id).filter(|info| info.links == links) {
            keys_of_slice(catalog.schema(), info, &slice, out);
        }
    }
    if !links {
        time_keys(catalog, record, None, out);
    }
}

/// Keys of the times, which stand in the head of a view, as far as they differ.
fn time_keys(catalog: &Catalog, record: &ViewRecord<'_>, other: Option<&ViewRecord<'_>>, out: &mut KeySet) {
    let (schema, known) = (catalog.schema(), catalog.well_known());
    let times = [
        (known.create_timestamp, record.created_ms(), other.map(ViewRecord::created_ms)),
        (known.modify_timestamp, record.modified_ms(), other.map(ViewRecord::modified_ms)),
    ];
    for (attribute, time, other_time) in times {
        if other_time != Some(time)
            && let Some(info) = catalog.attribute(attribute)
        {
            let text = format_generalized_time(time);
            keys_of_attribute(schema, info, std::iter::once(text.as_bytes()), &[], out);
        }
    }
}

/// Whether some value of the entry has options, so that two descriptions share keys.
pub(super) fn has_options(catalog: &Catalog, record: &ViewRecord<'_>) -> bool {
    record.kinds().any(|(id, _)| catalog.attribute(id).is_some_and(|info| info.base != id))
}

/// [`view_keys`] of two views without options, each against the other, in one walk.
pub(super) fn differing_keys(catalog: &Catalog, [one, other]: [&ViewRecord<'_>; 2], [ones, others]: [&mut KeySet; 2]) {
    let schema = catalog.schema();
    let put = |slice: AttributeSlice<'_>, out: &mut KeySet| {
        if slice.flags & VALUE_SPILLED == 0
            && let Some(info) = catalog.attribute(slice.id)
        {
            keys_of_slice(schema, info, &slice, out);
        }
    };
    let (mut left, mut right) = (one.all_attributes().peekable(), other.all_attributes().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (Some(left), Some(right)) => left.id.cmp(&right.id),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => break,
        };
        let gone = if order.is_le() { left.next() } else { None };
        let come = if order.is_ge() { right.next() } else { None };
        if let (Some(gone), Some(come)) = (&gone, &come)
            && is_same(gone, come)
        {
            continue;
        }
        gone.into_iter().for_each(|slice| put(slice, ones));
        come.into_iter().for_each(|slice| put(slice, others));
    }
    time_keys(catalog, one, Some(other), ones);
    time_keys(catalog, other, Some(one), others);
}

fn is_same(one: &AttributeSlice<'_>, other: &AttributeSlice<'_>) -> bool {
    one.set == other.set && one.targets == other.targets && one.flags == other.flags
}

/// Types of which a description with options changed: its keys stand under the bare type, so that `cn` keeps alive
/// what `cn;lang-de` loses.
fn changed_twins(catalog: &Catalog, one: &ViewRecord<'_>, other: &ViewRecord<'_>) -> Vec<AttributeId> {
    let mut bases = Vec::new();
    for (left, right) in [(one, other), (other, one)] {
        for slice in left.all_attributes() {
            let Some(info) = catalog.attribute(slice.id).filter(|info| info.base != slice.id) else { continue };
            let base_differs = match (left.any_attribute(info.base), right.any_attribute(info.base)) {
                (Some(left), Some(right)) => !is_same(&left, &right),
                (left, right) => left.is_some() != right.is_some(),
            };
            let same = right.any_attribute(slice.id).is_some_and(|same| is_same(&same, &slice));
            if (!same || base_differs) && !bases.contains(&info.base) {
                bases.push(info.base);
            }
        }
    }
    bases
}

pub(super) fn has_spilled(record: &ViewRecord<'_>) -> bool {
    record.attributes().any(|slice| slice.flags & VALUE_SPILLED != 0)
}

/// Whether a value of a spilled attribute may have a key that another value has too: one in another description of the
/// type, or, by pieces and sounds, any other one. Only the touched values are known here, so that what one loses and the
/// other keeps is found only by looking at all.
pub(super) fn shares_spilled_keys(catalog: &Catalog, views: [&ViewRecord<'_>; 2]) -> bool {
    let kinds = || views.into_iter().flat_map(ViewRecord::kinds);
    let base = |id: AttributeId| catalog.attribute(id).map(|info| info.base);
    kinds().filter(|(_, flags)| flags & VALUE_SPILLED != 0).any(|(spilled, _)| {
        let shared = |info: &AttributeInfo| info.indexed.substring || info.indexed.approx;
        catalog.attribute(spilled).is_some_and(shared)
            || kinds().any(|(other, _)| other != spilled && base(other) == base(spilled))
    })
}

/// Every index key that the view of an entry calls for, spilled values included: what `check` and `reindex` compare.
pub(super) fn all_view_keys(
    reader: Reader<'_>,
    catalog: &Catalog,
    id: EntryId,
    record: &ViewRecord<'_>,
    out: &mut KeySet,
) -> Result<(), DitError> {
    view_keys(catalog, record, None, out);
    if record.flags() & ENTRY_PHANTOM != 0 {
        return Ok(());
    }
    spill::all_keys(reader, catalog, id, out)
}
