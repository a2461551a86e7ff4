//! DN-valued attributes are links: what is kept is the target's entryUUID, what is shown is its DN now.
//!
//! The view keeps the texts as of a naming stamp, beside the targets, and they are copied while the stamp is current.
//! After a rename or a move that may concern them they are rendered afresh here, and rewritten behind the scenes.

use super::DitError;
use super::derive::named_entry;
use super::spill;
use super::view::{Entry, View};
use crate::model::EntryUuid;
use crate::storage::{AttributeSlice, VALUE_OPERATIONAL, VALUE_SPILLED};

/// The texts of the values of `slice` now; links to entries that are gone are left out.
pub(super) fn render<'t>(
    view: &View<'t>,
    entry: &Entry<'t>,
    slice: &AttributeSlice<'t>,
) -> Result<Vec<Vec<u8>>, DitError> {
    if slice.flags & VALUE_SPILLED != 0 {
        return spill::shown(view, entry.id, slice.id);
    }
    if let Some(values) = view.catalog().decrypted_values(entry.id, slice)? {
        return Ok(values);
    }
    let mut values = Vec::new();
    let mut shown: Vec<EntryUuid> = Vec::new();
    let (targets, _) = slice.targets.as_chunks::<16>();
    let mut targets = targets.iter().map(|target| EntryUuid(*target));
    for text in slice.values() {
        let target = match targets.next() {
            Some(target) if target != EntryUuid::NIL => Some(target),
            _ if slice.flags & VALUE_OPERATIONAL == 0 => named_entry(view, text)?,
            _ => None,
        };
        match target {
            Some(target) if shown.contains(&target) => {}
            Some(target) => {
                values.extend(dn_of(view, target)?);
                shown.push(target);
            }
            None => values.push(text.to_vec()),
        }
    }
    // Behind the values: links to what was not there.
    for target in targets.filter(|target| !shown.contains(target)) {
        values.extend(dn_of(view, target)?);
    }
    Ok(values)
}

/// The DN text of the live entry with `uuid`.
pub(super) fn dn_of(view: &View<'_>, uuid: EntryUuid) -> Result<Option<Vec<u8>>, DitError> {
    let Some(id) = view.by_uuid(uuid)? else { return Ok(None) };
    let Some(entry) = view.entry(id)? else { return Ok(None) };
    let mut out = Vec::with_capacity(96);
    view.write_dn(&entry, &mut out)?;
    Ok(Some(out))
}
