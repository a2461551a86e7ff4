//! cn=conflicts: what concurrent changes have cost, as entries, for the administrator.
//!
//! Below it stand: each lost change of the log with both sides (kind `lost-update`), entries whose name another one
//! has (`name-loser`), entries that share a value that one alone may have (`unique-violation`), deleted entries that stay because live ones are below (`phantom`), and entries that merged
//! changes made break the schema (`schema-violation`). The last four follow from the data as it is: they go by
//! themselves when the cause goes. A lost change is decided by replacing `conflictState` (`update/resolve`).

use super::outcome::Outcome;
use super::virtual_entry::{VirtualEntry, Visit, attribute, one_of};
use crate::dit::{Conflict, ConflictPlace, Entry, Side, SideContent, View};
use crate::model::{Attribute, Rdn};
use crate::schema::time::format_generalized_time;
use crate::search::{unique_clashes, unique_violations};
use crate::state::CellValue;
use crate::storage::EntryId;
use std::sync::Arc;

/// The name of the entry above them.
pub(super) const DN: &str = "cn=conflicts";

/// Entries that share values against a rule, listed at once.
const SHARERS_MAX: usize = 10_000;

/// Positions of lost changes begin with this, those of entries with `ENTRIES`.
const LOG: u8 = 0;
const ENTRIES: u8 = 1;

/// The entry above.
pub(super) fn top(view: View<'_>) -> Outcome<VirtualEntry> {
    let count = view.conflict_count()?;
    let description = format!("Lost changes, lost names and broken entries after merges; {count} changes in the log");
    let attributes = [
        attribute("objectClass", ["top", "replicationConflict"]),
        attribute("cn", ["conflicts"]),
        attribute("description", [description]),
        attribute("entryDN", [DN]),
        attribute("hasSubordinates", [if count > 0 { "TRUE" } else { "FALSE" }]),
    ];
    Ok(entry(DN.to_owned(), attributes))
}

/// The entry of this RDN.
pub(super) fn find(view: View<'_>, rdn: &Rdn) -> Outcome<Option<VirtualEntry>> {
    let Some(name) = one_of(rdn, &["cn", "commonName", "2.5.4.3"]) else { return Ok(None) };
    if let Some(conflict) = view.conflict(&name)? {
        return lost_change(view, &conflict).map(Some);
    }
    let Some((kind, uuid)) = name.split_once('.').and_then(|(kind, uuid)| Some((kind, uuid.parse().ok()?))) else {
        return Ok(None);
    };
    // A phantom is no live entry: look at every incarnation.
    for id in view.incarnations(uuid)? {
        let found = of_entry(view, id)?.into_iter().find(|(name, _)| name.starts_with(kind));
        if let Some((_, entry)) = found {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

/// All below, from the one after the position `after` on, until `visit` says false.
pub(super) fn visit(view: View<'_>, after: &[u8], visit: Visit<'_>) -> Outcome<()> {
    let (section, key) = after.split_first().map_or((LOG, &[][..]), |(section, key)| (*section, key));
    if section == LOG {
        let mut position = key.to_vec();
        while let Some((key, conflict)) = view.conflict_after(&position)? {
            let at = [&[LOG][..], &key].concat();
            if !visit(&at, lost_change(view, &conflict)?)? {
                return Ok(());
            }
            position = key;
        }
    }
    let last = if section == ENTRIES { key.try_into().map_or(0, u64::from_be_bytes) } else { 0 };
    let mut entries = view.conflicting_entries(EntryId(last))?;
    entries.extend(unique_clashes(view, EntryId(last), SHARERS_MAX)?);
    entries.sort_unstable();
    entries.dedup();
    for id in entries {
        let position = [&[ENTRIES][..], &id.0.to_be_bytes()].concat();
        for (_, entry) in of_entry(view, id)? {
            if !visit(&position, entry)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn lost_change(view: View<'_>, conflict: &Conflict) -> Outcome<VirtualEntry> {
    let dn = format!("cn={},{DN}", conflict.id);
    let state = view.conflict_state(conflict)?;
    let known = match &conflict.place {
        ConflictPlace::Attribute(key) => {
            let catalog = view.catalog();
            let name = catalog.find_key(key).and_then(|id| catalog.attribute(id)).map(|info| info.name.clone());
            Some(name.unwrap_or_else(|| key.clone()))
        }
        ConflictPlace::Name | ConflictPlace::Superior => None,
    };
    let time = |side: &Side| format_generalized_time(i64::try_from(side.stamp.csn.ms()).unwrap_or(i64::MAX));
    let requester = |side: &Side| Some(side.requester.clone()).filter(|requester| !requester.is_empty());
    let attributes = [
        attribute("objectClass", ["top", "replicationConflict"]),
        attribute("cn", [&conflict.id]),
        attribute("description", [conflict.rule.sentence()]),
        attribute("conflictState", [state.name()]),
        attribute("conflictKind", ["lost-update"]),
        attribute("conflictRule", [conflict.rule.name()]),
        attribute("conflictEntry", [&conflict.dn]),
        attribute("conflictEntryUUID", [conflict.uuid.to_string()]),
        attribute("conflictAttribute", known),
        attribute("losingChange", [word(&conflict.loser)]),
        attribute("losingValue", values(view, &conflict.loser)?),
        attribute("losingRequester", requester(&conflict.loser)),
        attribute("losingTime", [time(&conflict.loser)]),
        attribute("losingCSN", [conflict.loser.stamp.csn.to_string()]),
        attribute("winningChange", [word(&conflict.winner)]),
        attribute("winningValue", values(view, &conflict.winner)?),
        attribute("winningRequester", requester(&conflict.winner)),
        attribute("winningTime", [time(&conflict.winner)]),
        attribute("winningCSN", [conflict.winner.stamp.csn.to_string()]),
        attribute("entryDN", [&dn]),
        attribute("hasSubordinates", ["FALSE"]),
    ];
    Ok(entry(dn, attributes))
}

/// What the side did.
fn word(side: &Side) -> &'static str {
    match &side.content {
        SideContent::Values(values) if values.is_empty() => "cleared",
        SideContent::Values(_) => "set",
        SideContent::Without(_) => "removed",
        SideContent::Name(_) => "renamed",
        SideContent::Superior(_) => "moved",
        SideContent::Deleted => "deleted",
        SideContent::Unsaid { .. } => "unsaid",
    }
}

fn values(view: View<'_>, side: &Side) -> Outcome<Vec<Vec<u8>>> {
    Ok(match &side.content {
        SideContent::Values(list) | SideContent::Without(list) => {
            let mut texts = Vec::with_capacity(list.len());
            for value in list {
                texts.push(match value {
                    CellValue::Text(text) => text.clone(),
                    CellValue::Link(target) => name_of(view, *target)?.into_bytes(),
                });
            }
            texts
        }
        SideContent::Name(name) => vec![name.clone().into_bytes()],
        SideContent::Superior(superior) => vec![name_of(view, *superior)?.into_bytes()],
        SideContent::Deleted | SideContent::Unsaid { .. } => Vec::new(),
    })
}

/// The DN of an entry; of one that is gone its entryUUID.
fn name_of(view: View<'_>, uuid: crate::model::EntryUuid) -> Outcome<String> {
    let dn = match view.by_uuid(uuid)? {
        Some(id) => view.dn_text(id)?,
        None => None,
    };
    Ok(dn.unwrap_or_else(|| format!("entryUUID={uuid}")))
}

/// What is wrong with an entry as it is; each with its name.
fn of_entry(view: View<'_>, id: EntryId) -> Outcome<Vec<(String, VirtualEntry)>> {
    let Some(found) = view.entry(id)? else { return Ok(Vec::new()) };
    let mut made = Vec::new();
    let mut add = |kind: &str, details: Vec<String>| -> Outcome<()> {
        let (name, made_entry) = computed(view, &found, kind, &details)?;
        made.push((name, made_entry));
        Ok(())
    };
    let lost_names = view.values_named(&found, "replConflict")?;
    if !lost_names.is_empty() {
        add("name-loser", lost_names.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect())?;
    }
    if view.values_named(&found, "replState")?.iter().any(|state| state == b"phantom") {
        add("phantom", vec!["deleted, and kept as a name because entries are below it".to_owned()])?;
    } else {
        let violations = view.violations(&found);
        if !violations.is_empty() {
            add("schema-violation", violations)?;
        }
        let shared = unique_violations(view, &found)?;
        if !shared.is_empty() {
            add("unique-violation", shared)?;
        }
    }
    Ok(made)
}

fn computed(view: View<'_>, found: &Entry<'_>, kind: &str, details: &[String]) -> Outcome<(String, VirtualEntry)> {
    let uuid = found.record.uuid();
    let name = format!("{kind}.{uuid}");
    let dn = format!("cn={name},{DN}");
    let attributes = [
        attribute("objectClass", ["top", "replicationConflict"]),
        attribute("cn", [&name]),
        attribute("description", details),
        attribute("conflictState", ["open"]),
        attribute("conflictKind", [kind]),
        attribute("conflictEntry", view.dn_text(found.id)?),
        attribute("conflictEntryUUID", [uuid.to_string()]),
        attribute("entryDN", [&dn]),
        attribute("hasSubordinates", ["FALSE"]),
    ];
    Ok((name, entry(dn, attributes)))
}

fn entry<const N: usize>(dn: String, attributes: [Option<Attribute>; N]) -> VirtualEntry {
    VirtualEntry { dn, attributes: Arc::new(attributes.into_iter().flatten().collect()) }
}
