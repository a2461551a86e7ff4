//! cn=conflicts: what concurrent changes have cost, as entries, for the administrator and for whom the rules tell them
//! (`telling`): values of an attribute that one may not read of the entry are left out.
//!
//! Below it stand each lost change and each skipped move of the log with both sides, and mended faults; then what is
//! wrong with entries as they are: names that another entry has, values that one entry alone may have and two do, deleted entries that stay because live ones are below,
//! entries that merged changes made break the schema, entries whose superior is not here. The latter follow from the
//! data: they go by themselves when the cause goes. Each is decided by replacing `conflictState` (`update/resolve`).

use super::access::Access;
use super::outcome::Outcome;
use super::telling::Feed;
use super::virtual_entry::{VirtualEntry, Visit, attribute, one_of};
use crate::dit::{Conflict, ConflictKind, ConflictPlace, NameSide, Side, SideContent, Standing, UntoldRange, View};
use crate::model::{Attribute, EntryUuid, Rdn};
use crate::schema::time::format_generalized_time;
use crate::search::{unique_clashes, unique_violations};
use crate::state::CellValue;
use crate::storage::EntryId;
use std::sync::Arc;

/// The name of the entry above them.
pub(super) const DN: &str = "cn=conflicts";

/// Positions of lost changes begin with this, those of entries with `ENTRIES`.
const LOG: u8 = 0;
const ENTRIES: u8 = 1;
/// Entries that share values against a rule, listed at once.
const SHARERS_MAX: usize = 10_000;

/// The entry above.
pub(super) fn top(view: View<'_>) -> Outcome<VirtualEntry> {
    let count = view.conflict_count()?;
    let mut descriptions =
        vec![format!("Lost changes, lost names and broken entries after merges; {count} changes in the log")];
    descriptions.extend(view.untold_conflicts()?.iter().map(untold_text));
    let attributes = [
        attribute("objectClass", ["top", "replicationConflict"]),
        attribute("cn", ["conflicts"]),
        attribute("description", descriptions),
        attribute("entryDN", [DN]),
        attribute("hasSubordinates", [if count > 0 { "TRUE" } else { "FALSE" }]),
    ];
    Ok(entry(DN.to_owned(), attributes))
}

/// That it cannot be said what changes of an origin overrode unseen.
fn untold_text(range: &UntoldRange) -> String {
    let at = format_generalized_time(i64::try_from(range.at_ms).unwrap_or(i64::MAX));
    format!(
        "Not judged here: changes {} to {} of origin {} override {} of others (the last at {at}), and the log has no records any \
         more that say whether their writer knew these; other members may tell",
        range.first, range.last, range.origin, range.count
    )
}

/// The entry of this RDN.
pub(super) fn find(view: View<'_>, access: &Access<'_>, rdn: &Rdn) -> Outcome<Option<VirtualEntry>> {
    let Some(name) = one_of(rdn, &["cn", "commonName", "2.5.4.3"]) else { return Ok(None) };
    if let Some(conflict) = view.conflict(&name)? {
        return lost_change(view, access, &conflict);
    }
    match standing(view, &name)? {
        Some(standing) => computed(view, access, &standing),
        None => Ok(None),
    }
}

/// The entry that what has this RDN is about: its entryUUID, and the name that it had.
pub(super) fn about(view: View<'_>, rdn: &Rdn) -> Outcome<Option<(EntryUuid, String)>> {
    let Some(name) = one_of(rdn, &["cn", "commonName", "2.5.4.3"]) else { return Ok(None) };
    if let Some(conflict) = view.conflict(&name)? {
        return Ok(Some((conflict.uuid, conflict.dn)));
    }
    let Some(standing) = standing(view, &name)? else { return Ok(None) };
    let (uuid, name) = whose(view, &standing)?;
    Ok(Some((uuid, name.unwrap_or_default())))
}

/// The entryUUID of the entry that something is wrong with, and its name.
fn whose(view: View<'_>, standing: &Standing) -> Outcome<(EntryUuid, Option<String>)> {
    let uuid = standing.name.split_once('.').and_then(|(_, uuid)| uuid.parse().ok()).unwrap_or(EntryUuid::NIL);
    let name = match view.dn_text(standing.entry)? {
        Some(dn) => Some(dn),
        None => view.state_of(standing.entry)?.map(|state| view.dn_by_state(&state)).transpose()?,
    };
    Ok((uuid, name))
}

/// What is wrong with an entry as it is, and whose values it has too against a rule.
fn standings(view: View<'_>, id: EntryId) -> Outcome<Vec<Standing>> {
    let mut found = view.standings(id)?;
    if let Some(entry) = view.entry(id)? {
        let shared = unique_violations(view, &entry)?;
        if !shared.is_empty() {
            found.push(view.standing(id, entry.record.uuid(), ConflictKind::UniqueViolation, shared)?);
        }
    }
    Ok(found)
}

/// What is wrong with an entry, by the name `KIND.ENTRYUUID`.
pub(super) fn standing(view: View<'_>, name: &str) -> Outcome<Option<Standing>> {
    let parts = name.split_once('.');
    let Some((kind, uuid)) = parts.and_then(|(kind, uuid)| Some((ConflictKind::from_name(kind)?, uuid.parse().ok()?)))
    else {
        return Ok(None);
    };
    // A phantom is no live entry: look at every incarnation.
    for id in view.incarnations(uuid)? {
        let found = standings(view, id)?.into_iter().find(|standing| standing.kind == kind);
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// All below, from the one after the position `after` on, until `visit` says false.
pub(super) fn visit(view: View<'_>, access: &Access<'_>, after: &[u8], visit: Visit<'_>) -> Outcome<()> {
    let (section, key) = after.split_first().map_or((LOG, &[][..]), |(section, key)| (*section, key));
    if section == LOG {
        let mut position = key.to_vec();
        while let Some((key, conflict)) = view.conflict_after(&position)? {
            let at = [&[LOG][..], &key].concat();
            if let Some(entry) = lost_change(view, access, &conflict)?
                && !visit(&at, entry)?
            {
                return Ok(());
            }
            position = key;
        }
    }
    // Of one entry several things may be wrong: how many of these were visited is in the position.
    let (last, visited) = match key.split_first_chunk::<8>() {
        Some((id, [visited])) if section == ENTRIES => (u64::from_be_bytes(*id), *visited),
        _ => (0, 0),
    };
    let before = EntryId(last.saturating_sub(1));
    let mut entries = view.conflicting_entries(before)?;
    entries.extend(unique_clashes(view, before, SHARERS_MAX)?);
    entries.sort_unstable();
    entries.dedup();
    for id in entries {
        let skipped = if id.0 == last { visited } else { 0 };
        for (count, standing) in (1_u8..).zip(standings(view, id)?).skip(skipped.into()) {
            let position = [&[ENTRIES][..], &id.0.to_be_bytes(), &[count]].concat();
            if let Some(entry) = computed(view, access, &standing)?
                && !visit(&position, entry)?
            {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn lost_change(view: View<'_>, access: &Access<'_>, conflict: &Conflict) -> Outcome<Option<VirtualEntry>> {
    let readable = Feed::Conflicts.readable(view, access, conflict.uuid, &conflict.dn, &[])?;
    let Some(granted) = readable else { return Ok(None) };
    let type_of = |name: &str| {
        let name = name.split(';').next().unwrap_or_default();
        view.catalog().schema().attribute_type(name).map(|found| found.index)
    };
    let tells_author = granted.for_attribute(type_of("modifiersName"));
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
    let tells_values = known.as_ref().is_none_or(|name| granted.for_attribute(type_of(name)));
    let shown = |side: &Side| if tells_values { values(view, side) } else { Ok(Vec::new()) };
    let time = |side: &Side| format_generalized_time(i64::try_from(side.stamp.csn.ms()).unwrap_or(i64::MAX));
    let requester =
        |side: &Side| Some(side.requester.clone()).filter(|requester| !requester.is_empty() && tells_author);
    let attributes = [
        attribute("objectClass", ["top", "replicationConflict"]),
        attribute("cn", [&conflict.id]),
        attribute("description", [conflict.rule.sentence()]),
        attribute("conflictRemedy", [conflict.kind().remedy()]),
        attribute("conflictState", [state.name()]),
        attribute("conflictKind", [conflict.kind().name()]),
        attribute("conflictRule", [conflict.rule.name()]),
        attribute("conflictEntry", [&conflict.dn]),
        attribute("conflictEntryUUID", [conflict.uuid.to_string()]),
        attribute("conflictAttribute", known),
        attribute("losingChange", [word(&conflict.loser)]),
        attribute("losingValue", shown(&conflict.loser)?),
        attribute("losingRequester", requester(&conflict.loser)),
        attribute("losingTime", [time(&conflict.loser)]),
        attribute("losingCSN", [conflict.loser.stamp.csn.to_string()]),
        attribute("winningChange", [word(&conflict.winner)]),
        attribute("winningValue", shown(&conflict.winner)?),
        attribute("winningRequester", requester(&conflict.winner)),
        attribute("winningTime", [time(&conflict.winner)]),
        attribute("winningCSN", [conflict.winner.stamp.csn.to_string()]),
        attribute("entryDN", [&dn]),
        attribute("hasSubordinates", ["FALSE"]),
    ];
    Ok(Some(entry(dn, attributes)))
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
        SideContent::InTheWay(_) => "in-the-way",
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
        SideContent::Superior(entry) | SideContent::InTheWay(entry) => vec![name_of(view, *entry)?.into_bytes()],
        SideContent::Deleted | SideContent::Unsaid { .. } => Vec::new(),
    })
}

/// The DN of an entry; of one that is gone its entryUUID.
fn name_of(view: View<'_>, uuid: EntryUuid) -> Outcome<String> {
    let dn = match view.by_uuid(uuid)? {
        Some(id) => view.dn_text(id)?,
        None => None,
    };
    Ok(dn.unwrap_or_else(|| format!("entryUUID={uuid}")))
}

fn computed(view: View<'_>, access: &Access<'_>, standing: &Standing) -> Outcome<Option<VirtualEntry>> {
    let dn = format!("cn={},{DN}", standing.name);
    let (uuid, found) = whose(view, standing)?;
    let name = found.as_deref().unwrap_or_default();
    if Feed::Conflicts.readable(view, access, uuid, name, &[])?.is_none() {
        return Ok(None);
    }
    // Each side as the requester may read that entry.
    let sides = match standing.kind {
        ConflictKind::NameLoser | ConflictKind::Duplicate => view.name_sides(standing.entry)?,
        _ => None,
    };
    let author = view.catalog().schema().attribute_type("modifiersName").map(|found| found.index);
    let told = |side: NameSide| -> Outcome<Option<NameSide>> {
        let granted = Feed::Conflicts.readable(view, access, side.uuid, &side.dn, &[])?;
        Ok(granted.map(|granted| {
            let requester = if granted.for_attribute(author) { side.requester } else { String::new() };
            NameSide { requester, ..side }
        }))
    };
    let (loser, winner) = match sides {
        Some((loser, winner)) => (told(loser)?, told(winner)?),
        None => (None, None),
    };
    let time = |side: &NameSide| format_generalized_time(i64::try_from(side.stamp.csn.ms()).unwrap_or(i64::MAX));
    let by = |side: &Option<NameSide>| side.as_ref().map(|side| side.requester.clone()).filter(|name| !name.is_empty());
    let attributes = [
        attribute("objectClass", ["top", "replicationConflict"]),
        attribute("cn", [&standing.name]),
        attribute("description", &standing.details),
        attribute("conflictRemedy", [standing.kind.remedy()]),
        attribute("conflictState", [standing.state.name()]),
        attribute("conflictKind", [standing.kind.name()]),
        attribute("conflictEntry", found),
        attribute("conflictEntryUUID", [uuid.to_string()]),
        attribute("losingChange", loser.as_ref().map(|_| "named")),
        attribute("losingValue", loser.as_ref().map(|side| side.dn.clone())),
        attribute("losingRequester", by(&loser)),
        attribute("losingTime", loser.as_ref().map(time)),
        attribute("losingCSN", loser.as_ref().map(|side| side.stamp.csn.to_string())),
        attribute("winningChange", winner.as_ref().map(|_| "named")),
        attribute("winningValue", winner.as_ref().map(|side| side.dn.clone())),
        attribute("winningEntryUUID", winner.as_ref().map(|side| side.uuid.to_string())),
        attribute("winningRequester", by(&winner)),
        attribute("winningTime", winner.as_ref().map(time)),
        attribute("winningCSN", winner.as_ref().map(|side| side.stamp.csn.to_string())),
        attribute("entryDN", [&dn]),
        attribute("hasSubordinates", ["FALSE"]),
    ];
    Ok(Some(entry(dn, attributes)))
}

fn entry<const N: usize>(dn: String, attributes: [Option<Attribute>; N]) -> VirtualEntry {
    VirtualEntry { dn, attributes: Arc::new(attributes.into_iter().flatten().collect()) }
}
