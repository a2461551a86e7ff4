//! cn=deleted: the recycle bin. Deleted entries with what they had, as long as they are kept, for the administrator and for
//! whom the rules tell them (`telling`).
//!
//! They are named by entryUUID, because a name may be taken again while its first holder lies here. Bringing one back
//! is a modify of it (`update/undelete`), as Active Directory's clients do it. A search of the tree with the control to
//! show deleted entries finds them too, after all others, by what they had and where they were.

use super::access::Access;
use super::outcome::Outcome;
use super::telling::{Feed, keep_readable};
use super::virtual_entry::{VirtualEntry, Visit, attribute, one_of};
use crate::dit::{Deleted, View};
use crate::model::{Attribute, AttributeDescription, Dn, EntryUuid, Rdn, Scope};
use crate::schema::time::format_generalized_time;
use crate::state::EntryState;
use crate::state::view::ViewContent;
use std::sync::Arc;

/// The name of the entry above them.
pub(super) const DN: &str = "cn=deleted";

/// The entry above.
pub(super) fn top() -> VirtualEntry {
    let attributes = [
        attribute("objectClass", ["top", "deletedEntries"]),
        attribute("cn", ["deleted"]),
        attribute("description", ["Deleted entries that can be brought back"]),
        attribute("entryDN", [DN]),
    ];
    VirtualEntry { dn: DN.to_owned(), attributes: Arc::new(attributes.into_iter().flatten().collect()) }
}

/// The entryUUID that an RDN below cn=deleted names.
pub(super) fn uuid_of(rdn: &Rdn) -> Option<EntryUuid> {
    one_of(rdn, &["entryUUID", "1.3.6.1.1.16.4"])?.parse().ok()
}

/// The entry of this RDN.
pub(super) fn find(view: View<'_>, access: &Access<'_>, rdn: &Rdn) -> Outcome<Option<VirtualEntry>> {
    let Some(uuid) = uuid_of(rdn) else { return Ok(None) };
    match view.deleted(uuid)? {
        Some(deleted) => told(view, access, &deleted),
        None => Ok(None),
    }
}

/// All below, from the one after the position `after` on, the oldest deletion first, until `visit` says false.
pub(super) fn visit(view: View<'_>, access: &Access<'_>, after: &[u8], visit: Visit<'_>) -> Outcome<()> {
    let mut position = after.to_vec();
    while let Some((key, deleted)) = view.deleted_after(&position)? {
        if let Some(deleted) = deleted
            && let Some(entry) = told(view, access, &deleted)?
            && !visit(&key, entry)?
        {
            return Ok(());
        }
        position = key;
    }
    Ok(())
}

/// Deleted entries looked at for one search of the tree.
const LOOKED_AT_MAX: u32 = 100_000;

/// Those that were below `base` in a search's scope, until `take` says false: for searches of the tree that ask for
/// deleted entries too.
pub(super) fn visit_former(
    view: View<'_>,
    access: &Access<'_>,
    base: &str,
    scope: Scope,
    take: &mut dyn FnMut(VirtualEntry) -> Outcome<bool>,
) -> Outcome<()> {
    let schema = view.catalog().schema();
    let base = schema.dn_key(&Dn::parse(base)?);
    let mut left = LOOKED_AT_MAX;
    visit(view, access, &[], &mut |_, entry| {
        left -= 1;
        let named = |attribute: &&Attribute| attribute.description.name() == "deletedEntry";
        let name = entry.attributes.iter().find(named).and_then(|attribute| attribute.values.first());
        let Some(Ok(name)) = name.map(|name| Dn::parse_bytes(name)) else { return Ok(left > 0) };
        let key_of = |dn: &Dn| schema.dn_key(dn);
        let is_below = match scope {
            Scope::OneLevel => name.superior().is_some_and(|superior| key_of(&superior) == base),
            Scope::Base => key_of(&name) == base,
            _ => key_of(&name).starts_with(&base),
        };
        Ok((!is_below || take(entry)?) && left > 0)
    })
}

/// What a deleted entry was: its name, and the attributes that it had.
pub(super) fn former(view: View<'_>, uuid: EntryUuid) -> Outcome<Option<(String, Vec<Attribute>)>> {
    let Some(deleted) = view.deleted(uuid)? else { return Ok(None) };
    Ok(Some((view.dn_by_state(&deleted.state)?, content_of(view, &deleted.state)?)))
}

/// The entry as the requester may read it; `None` when it is not told of it.
fn told(view: View<'_>, access: &Access<'_>, deleted: &Deleted) -> Outcome<Option<VirtualEntry>> {
    let name = view.dn_by_state(&deleted.state)?;
    let mut content = content_of(view, &deleted.state)?;
    let readable = Feed::Deleted.readable(view, access, EntryUuid::NIL, &name, &content)?;
    let Some(granted) = readable else { return Ok(None) };
    keep_readable(view, &granted, &mut content);
    let tells_author = granted.for_attribute(
        view.catalog().attribute_type(view.catalog().well_known().modifiers_name).map(|found| found.index),
    );
    let dn = format!("entryUUID={},{DN}", deleted.state.uuid);
    let time = format_generalized_time(i64::try_from(deleted.dead.csn.ms()).unwrap_or(i64::MAX));
    let superior = match view.by_uuid(deleted.state.parent.1)? {
        Some(id) => view.dn_text(id)?,
        None => None,
    };
    let mut attributes: Vec<Attribute> = [
        attribute("isDeleted", ["TRUE"]),
        attribute("deletedEntry", [name]),
        attribute("deletedTime", [time]),
        attribute("deletedBy", deleted.requester.as_ref().filter(|_| tells_author)),
        attribute("lastKnownParent", superior),
        attribute("entryUUID", [deleted.state.uuid.to_string()]),
        attribute("entryDN", [&dn]),
    ]
    .into_iter()
    .flatten()
    .collect();
    attributes.extend(content);
    Ok(Some(VirtualEntry { dn, attributes: Arc::new(attributes) }))
}

/// What a client would see of a state, secrets and values kept apart left out.
pub(super) fn content_of(view: View<'_>, state: &EntryState) -> Outcome<Vec<Attribute>> {
    let mut attributes = Vec::new();
    let catalog = view.catalog();
    for id in state.view_attributes() {
        let Some(info) = catalog.attribute(id).filter(|info| !info.operational && !info.secret && !info.sealed) else {
            continue;
        };
        let mut values = Vec::new();
        for value in state.view_cells(id, info.single_value) {
            match value.content {
                ViewContent::Text(text) => values.push(text.into_owned()),
                ViewContent::Link(target) => {
                    if let Some(id) = view.by_uuid(target)? {
                        values.extend(view.dn_text(id)?.map(String::into_bytes));
                    }
                }
            }
        }
        if let (false, Ok(description)) = (values.is_empty(), AttributeDescription::parse(&info.name)) {
            attributes.push(Attribute { description, values });
        }
    }
    Ok(attributes)
}
