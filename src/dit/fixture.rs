//! What every test of the tree does with one: a transaction, an entry, values, and that all agrees in the end.

use super::{Dit, Target, ValueError, Writing, birth_deltas, check, value_of};
use crate::model::{AttributeDescription, Dn, EntryUuid};
use crate::state::{AttributeId, Delta};
use crate::storage::EntryId;

/// One transaction, committed.
pub(super) fn write<T>(dit: &Dit, work: impl FnOnce(&mut Writing<'_>) -> T) -> T {
    let mut writing = Writing::begin(dit).unwrap();
    let outcome = work(&mut writing);
    writing.commit().unwrap();
    outcome
}

/// Adds an entry whose entryUUID is 16 times `uuid`; a name whose superior is not there becomes a suffix.
pub(super) fn try_add(dit: &Dit, uuid: u8, dn: &str, attributes: &[(&str, &[&str])]) -> Result<EntryId, ValueError> {
    write(dit, |writing| {
        let dn = Dn::parse(dn).unwrap();
        let attributes = values_of(writing, attributes);
        let resolution = writing.view().resolve(&dn).unwrap();
        let parent = if resolution.missing == 1 { resolution.matched.unwrap() } else { EntryId::NONE };
        let deltas = birth_deltas(writing, &dn, parent, &attributes)?;
        Ok(writing.change(Target::New(EntryUuid([uuid; 16])), "cn=test", deltas)?.0)
    })
}

/// Attributes and values as a birth takes them.
pub(super) fn values_of(writing: &mut Writing<'_>, attributes: &[(&str, &[&str])]) -> Vec<(AttributeId, Vec<Vec<u8>>)> {
    let bytes = |values: &[&str]| values.iter().map(|value| value.as_bytes().to_vec()).collect();
    attributes.iter().map(|(name, values)| (attribute(writing, name), bytes(values))).collect()
}

/// [`try_add`] of what is taken.
pub(super) fn add(dit: &Dit, uuid: u8, dn: &str, attributes: &[(&str, &[&str])]) -> EntryId {
    try_add(dit, uuid, dn, attributes).unwrap()
}

/// A change of an entry that is there.
pub(super) fn change(dit: &Dit, id: EntryId, deltas: impl FnOnce(&mut Writing<'_>) -> Vec<Delta>) {
    write(dit, |writing| {
        let deltas = deltas(writing);
        writing.change(Target::Existing(id), "cn=test", deltas).unwrap();
    });
}

/// The number of an attribute, which it is given if it has none.
pub(super) fn attribute(writing: &mut Writing<'_>, name: &str) -> AttributeId {
    writing.intern(&AttributeDescription::parse(name).unwrap()).unwrap()
}

/// A value that comes (`present`) or goes.
pub(super) fn cell(writing: &mut Writing<'_>, name: &str, value: &str, present: bool) -> Delta {
    let attribute = attribute(writing, name);
    let view = writing.view();
    let (key, value) = value_of(&view, view.catalog().attribute(attribute).unwrap(), value.as_bytes()).unwrap();
    Delta::Cell { attribute, key, order: 0, present, value }
}

/// The values that a shown entry has. Of an attribute that nobody ever used: none.
pub(super) fn values(dit: &Dit, id: EntryId, name: &str) -> Result<Vec<String>, String> {
    let snapshot = dit.read().unwrap();
    let view = snapshot.view();
    let entry = view.entry(id).unwrap().unwrap();
    let attribute = view.catalog().find(&AttributeDescription::parse(name).unwrap());
    let Some(slice) = attribute.and_then(|attribute| entry.attribute(attribute)) else { return Ok(Vec::new()) };
    let values = view.values(&entry, &slice).map_err(|error| error.to_string())?;
    Ok(values.into_iter().map(|value| String::from_utf8(value).unwrap()).collect())
}

/// State, view, index and counters agree.
#[track_caller]
pub(super) fn assert_sound(dit: &Dit) {
    let report = check(dit, &mut |_, _| {}).unwrap();
    assert!(report.differences.is_empty(), "{:#?}", report.differences);
}
