//! Who is in which group, directly or through others, read from the index of links.
//!
//! Nothing about membership is stored with the member. A group's `member` values are links, indexed by the member's
//! entryUUID, so that one look-up finds an entry's groups; `uniqueMember` values are names and are found by name.
//! Walks from group to group end: each entry is visited once, and only so many of them.

use super::SearchError;
use crate::dit::{Entry, View, link_key};
use crate::model::{Dn, EntryUuid};
use crate::schema::MatchingRule;
use crate::state::{AttributeId, ValueKey};
use crate::storage::{EntryId, IndexKind, Postings, Reader, Table, VALUE_SPILLED, bigvalue_prefix, index_key};
use hashbrown::HashSet;

/// How many entries a walk along links visits at most.
pub(super) const CHAIN_ENTRIES_MAX: usize = 200_000;

const MEMBER: &str = "2.5.4.31";
const UNIQUE_MEMBER: &str = "2.5.4.50";

/// The groups that have `entry` as a `member` or `uniqueMember`, in ascending order. Cost: one look-up for each of
/// the two attributes that is in use.
///
/// # Errors
/// [`SearchError::Dit`].
pub fn groups_of(view: View<'_>, entry: &Entry<'_>) -> Result<Vec<EntryId>, SearchError> {
    let mut groups = Vec::new();
    for key in group_keys(view, entry)? {
        append_list(view.reader(), &key, &mut groups)?;
    }
    groups.sort_unstable();
    groups.dedup();
    Ok(groups)
}

/// The groups of `entry`, the groups of these, and so on; in ascending order.
///
/// # Errors
/// [`SearchError::TooLarge`]; [`SearchError::Dit`].
pub fn groups_of_nested(view: View<'_>, entry: &Entry<'_>) -> Result<Vec<EntryId>, SearchError> {
    let mut found = HashSet::new();
    let mut queue = groups_of(view, entry)?;
    while let Some(group) = queue.pop() {
        if !found.insert(group) {
            continue;
        }
        check_count(found.len())?;
        if let Some(group) = view.entry(group)? {
            queue.extend(groups_of(view, &group)?);
        }
    }
    Ok(sorted(found))
}

/// Whether `group` has `entry` as a direct member.
pub(super) fn is_member(view: View<'_>, entry: &Entry<'_>, group: EntryId) -> Result<bool, SearchError> {
    for key in group_keys(view, entry)? {
        if list_has(view.reader(), &key, group)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether some group has `entry` as a direct member.
pub(super) fn is_in_a_group(view: View<'_>, entry: &Entry<'_>) -> Result<bool, SearchError> {
    for key in group_keys(view, entry)? {
        if Postings::open(view.reader(), &key)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The direct members of a group; perhaps some that were just removed among them (they are judged again).
pub(super) fn members_of(view: View<'_>, group: EntryId) -> Result<Vec<EntryId>, SearchError> {
    let mut members = Vec::new();
    let Some(group) = view.entry(group)? else { return Ok(members) };
    let (linked, named) = membership_attributes(view);
    if let Some(slice) = linked.and_then(|id| group.attribute(id)) {
        if slice.flags & VALUE_SPILLED == 0 {
            for target in slice.targets.as_chunks::<16>().0 {
                members.extend(view.by_uuid(EntryUuid(*target))?);
            }
        } else {
            let prefix = bigvalue_prefix(group.id, slice.id);
            let mut cursor = view.reader().cursor(Table::BigValues)?;
            let mut item = cursor.seek(&prefix)?;
            while let Some((key, _)) = item {
                let Some(value) = key.strip_prefix(&prefix) else { break };
                check_count(members.len())?;
                if let Some(target) = ValueKey::from_bytes(value).and_then(|value| value.as_link()) {
                    members.extend(view.by_uuid(target)?);
                }
                item = cursor.next()?;
            }
        }
    }
    if let Some(slice) = named.and_then(|id| group.attribute(id)) {
        for value in view.values(&group, &slice)? {
            check_count(members.len())?;
            let name = value.split(|byte| *byte == b'#').next().unwrap_or_default();
            for text in [value.as_slice(), name] {
                if let Ok(dn) = Dn::parse_bytes(text) {
                    members.extend(view.resolve(&dn)?.entry);
                }
            }
        }
    }
    members.sort_unstable();
    members.dedup();
    Ok(members)
}

/// The direct members of a group, their members where they are groups, and so on; in ascending order.
pub(super) fn members_of_nested(view: View<'_>, group: EntryId) -> Result<Vec<EntryId>, SearchError> {
    let mut found = HashSet::new();
    let mut queue = vec![group];
    let mut expanded = HashSet::new();
    while let Some(group) = queue.pop() {
        if !expanded.insert(group) {
            continue;
        }
        for member in members_of(view, group)? {
            if found.insert(member) {
                queue.push(member);
            }
        }
        check_count(found.len())?;
    }
    Ok(sorted(found))
}

/// Whether `entry` is in `group`, directly or through other groups.
pub(super) fn is_nested_member(
    view: View<'_>,
    entry: &Entry<'_>,
    group: EntryId,
    outside: &mut HashSet<EntryId>,
) -> Result<bool, SearchError> {
    let mut visited = HashSet::new();
    let mut queue = groups_of(view, entry)?;
    while let Some(at) = queue.pop() {
        if at == group {
            return Ok(true);
        }
        if outside.contains(&at) || !visited.insert(at) {
            continue;
        }
        check_count(visited.len())?;
        if let Some(at) = view.entry(at)? {
            queue.extend(groups_of(view, &at)?);
        }
    }
    // None of these leads to the group; remembered, so that their other members need no walk.
    if outside.len() < CHAIN_ENTRIES_MAX {
        outside.extend(visited);
    }
    Ok(false)
}

/// The entries with a link by one of `attributes` to `target`, or to such an entry, and so on; in ascending order.
pub(super) fn chain_to(
    view: View<'_>,
    attributes: &[AttributeId],
    target: EntryUuid,
) -> Result<Vec<EntryId>, SearchError> {
    let mut found = HashSet::new();
    let mut queue = vec![target];
    let mut referrers = Vec::new();
    while let Some(target) = queue.pop() {
        referrers.clear();
        for attribute in attributes {
            append_list(view.reader(), &link_index_key(*attribute, target), &mut referrers)?;
        }
        for id in &referrers {
            if found.insert(*id) {
                queue.extend(view.entry(*id)?.map(|entry| entry.record.uuid()));
            }
        }
        check_count(found.len())?;
    }
    Ok(sorted(found))
}

/// Where the index has the entries that link by `attribute` (a bare type) to `target`.
pub(super) fn link_index_key(attribute: AttributeId, target: EntryUuid) -> Vec<u8> {
    let mut key = Vec::with_capacity(24);
    index_key(attribute, IndexKind::Equality, &link_key(target), &mut key);
    key
}

/// Whether the list at `key` has `id`.
pub(super) fn list_has(reader: Reader<'_>, key: &[u8], id: EntryId) -> Result<bool, SearchError> {
    Ok(Postings::has(reader, key, id)?)
}

/// Appends all ids of the list at `key`.
pub(super) fn append_list(reader: Reader<'_>, key: &[u8], out: &mut Vec<EntryId>) -> Result<(), SearchError> {
    let Some(mut list) = Postings::open(reader, key)? else { return Ok(()) };
    while let Some(id) = list.next()? {
        out.push(id);
    }
    Ok(())
}

/// Where the index has the groups of `entry`.
fn group_keys(view: View<'_>, entry: &Entry<'_>) -> Result<Vec<Vec<u8>>, SearchError> {
    let (linked, named) = membership_attributes(view);
    let mut keys = Vec::with_capacity(2);
    keys.extend(linked.map(|id| link_index_key(id, entry.record.uuid())));
    if let Some(id) = named {
        let mut dn = Vec::with_capacity(96);
        view.write_dn(entry, &mut dn)?;
        let mut normal = Vec::with_capacity(96);
        if MatchingRule::UniqueMemberMatch.key(view.catalog().schema(), &dn, &mut normal).is_ok() {
            let mut key = Vec::with_capacity(normal.len() + 8);
            index_key(id, IndexKind::Equality, &normal, &mut key);
            keys.push(key);
        }
    }
    Ok(keys)
}

/// `member` and `uniqueMember`, where entries have them and the index knows.
fn membership_attributes(view: View<'_>) -> (Option<AttributeId>, Option<AttributeId>) {
    let catalog = view.catalog();
    let find = |oid: &str| {
        let id = catalog.base_of(catalog.schema().attribute_type(oid)?)?;
        catalog.attribute(id)?.indexed.equality.then_some(id)
    };
    (find(MEMBER), find(UNIQUE_MEMBER))
}

fn check_count(count: usize) -> Result<(), SearchError> {
    if count > CHAIN_ENTRIES_MAX {
        return Err(SearchError::TooLarge { what: "linked entries", limit: CHAIN_ENTRIES_MAX });
    }
    Ok(())
}

fn sorted(found: HashSet<EntryId>) -> Vec<EntryId> {
    let mut found: Vec<EntryId> = found.into_iter().collect();
    found.sort_unstable();
    found
}
