//! cn=lost+found: entries that cannot be shown because something above them is not here, for the administrator and for whom
//! the rules tell them (`telling`).
//!
//! While changes are on their way that is nothing: the superior comes and the entry is shown. Where it never comes,
//! because data was damaged, the entry would be in nobody's sight for ever. Here it is seen with what it has, and a modify
//! that replaces `distinguishedName` puts it below a superior that is here.

use super::access::Access;
use super::deleted_entry::content_of;
use super::outcome::Outcome;
use super::telling::{Feed, keep_readable};
use super::virtual_entry::{VirtualEntry, Visit, attribute, one_of};
use crate::dit::{ConflictKind, View};
use crate::model::{Attribute, EntryUuid, Rdn};
use crate::storage::EntryId;
use std::sync::Arc;

/// The name of the entry above them, as a DN.
pub(super) const DN: &str = "cn=lost\\+found";

/// The entry above.
pub(super) fn top() -> VirtualEntry {
    let attributes = [
        attribute("objectClass", ["top", "deletedEntries"]),
        attribute("cn", ["lost+found"]),
        attribute("description", ["Entries whose superior is not here: not yet, or lost"]),
        attribute("entryDN", [DN]),
    ];
    VirtualEntry { dn: DN.to_owned(), attributes: Arc::new(attributes.into_iter().flatten().collect()) }
}

/// The entryUUID that an RDN below it names.
pub(super) fn uuid_of(rdn: &Rdn) -> Option<EntryUuid> {
    one_of(rdn, &["entryUUID", "1.3.6.1.1.16.4"])?.parse().ok()
}

/// The number of the entry of this entryUUID, if it is one of them.
pub(super) fn number_of(view: View<'_>, uuid: EntryUuid) -> Outcome<Option<EntryId>> {
    for id in view.incarnations(uuid)? {
        if view.standings(id)?.iter().any(|standing| standing.kind == ConflictKind::LostSuperior) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// Its name, as far as that is known, and the attributes that it has.
pub(super) fn former(view: View<'_>, uuid: EntryUuid) -> Outcome<Option<(String, Vec<Attribute>)>> {
    let Some(id) = number_of(view, uuid)? else { return Ok(None) };
    let Some(state) = view.state_of(id)? else { return Ok(None) };
    Ok(Some((view.dn_by_state(&state)?, content_of(view, &state)?)))
}

/// The entry of this RDN.
pub(super) fn find(view: View<'_>, access: &Access<'_>, rdn: &Rdn) -> Outcome<Option<VirtualEntry>> {
    let Some(uuid) = uuid_of(rdn) else { return Ok(None) };
    match number_of(view, uuid)? {
        Some(id) => told(view, access, id),
        None => Ok(None),
    }
}

/// All below, from the one after the position `after` on, until `visit` says false.
pub(super) fn visit(view: View<'_>, access: &Access<'_>, after: &[u8], visit: Visit<'_>) -> Outcome<()> {
    let last = EntryId(after.try_into().map_or(0, u64::from_be_bytes));
    for id in view.waiting_entries()?.into_iter().filter(|id| *id > last) {
        if let Some(entry) = told(view, access, id)?
            && !visit(&id.0.to_be_bytes(), entry)?
        {
            return Ok(());
        }
    }
    Ok(())
}

/// The entry as the requester may read it; `None` when it is not told of it.
fn told(view: View<'_>, access: &Access<'_>, id: EntryId) -> Outcome<Option<VirtualEntry>> {
    let Some(state) = view.state_of(id)? else { return Ok(None) };
    let name = view.dn_by_state(&state)?;
    let mut content = content_of(view, &state)?;
    let readable = Feed::LostFound.readable(view, access, EntryUuid::NIL, &name, &content)?;
    let Some(granted) = readable else { return Ok(None) };
    keep_readable(view, &granted, &mut content);
    let dn = format!("entryUUID={},{DN}", state.uuid);
    let standings = view.standings(id)?;
    let details = standings.into_iter().flat_map(|standing| standing.details);
    let mut attributes: Vec<Attribute> = [
        attribute("description", details),
        attribute("distinguishedName", [name]),
        attribute("entryUUID", [state.uuid.to_string()]),
        attribute("entryDN", [&dn]),
    ]
    .into_iter()
    .flatten()
    .collect();
    for own in content {
        match attributes.iter_mut().find(|known| known.description == own.description) {
            Some(known) => known.values.extend(own.values),
            None => attributes.push(own),
        }
    }
    Ok(Some(VirtualEntry { dn, attributes: Arc::new(attributes) }))
}
