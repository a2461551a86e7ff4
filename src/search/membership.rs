//! Who is in which group, directly or through others, read from the index of links.
//!
//! Nothing about membership is stored with the member. A group's `member` values are links, indexed by the member's
//! entryUUID, so that one look-up finds an entry's groups (and another one those that name it as text, where some do); so are `uniqueMember` values but
//! those with a UID, which make nobody a member. `memberUid` values are found by the entry's `uid`, and what a `memberURL`
//! finds by judging the entry (`dynamic`).
//! Walks from group to group end: each entry is visited once, and only so many of them.
//!
//! Access rules know the groups that list their members by name (`member`, `uniqueMember`), and those by search that they
//! ask about; not those by `uid`, which people may write themselves.

use super::{SearchError, dynamic};
use crate::dit::{Entry, TEXT_LINK_BEGINS, View, keys_of_value, link_key, text_link_key};
use crate::model::{Dn, EntryUuid};
use crate::state::{AttributeId, ValueKey};
use crate::storage::{
    EntryId, IndexCursor, IndexKind, Postings, Reader, Table, VALUE_SPILLED, bigvalue_prefix, index_key,
};
use hashbrown::HashSet;

/// How many entries a walk along links visits at most.
pub(super) const CHAIN_ENTRIES_MAX: usize = 200_000;

/// `member` (RFC 4519 2.17).
pub const MEMBER: &str = "2.5.4.31";
const UNIQUE_MEMBER: &str = "2.5.4.50";
const MEMBER_UID: &str = "1.3.6.1.1.1.1.12";
const UID: &str = "0.9.2342.19200300.100.1.1";
const MEMBER_URL: &str = "2.16.840.1.113730.3.1.198";

/// The groups that have `entry` as a direct member, in ascending order. Cost: one look-up for each attribute of members
/// that is in use, and one judgement for each group by search.
///
/// # Errors
/// [`SearchError::Dit`].
pub fn groups_of(view: View<'_>, entry: &Entry<'_>) -> Result<Vec<EntryId>, SearchError> {
    let mut groups = Vec::new();
    for key in group_keys(view, entry)?.into_iter().chain(uid_keys(view, entry)?) {
        append_list(view.reader(), &key, &mut groups)?;
    }
    dynamic::append_groups_of(view, entry, &mut groups)?;
    groups.sort_unstable();
    groups.dedup();
    Ok(groups)
}

/// The groups of `entry`, the groups of these, and so on; in ascending order.
///
/// # Errors
/// [`SearchError::TooLarge`]; [`SearchError::Dit`].
pub fn groups_of_nested(view: View<'_>, entry: &Entry<'_>) -> Result<Vec<EntryId>, SearchError> {
    nested(view, entry, groups_of)
}

/// [`groups_of_nested`] by `member` and `uniqueMember` alone: what access rules mean by a group, but for groups by search.
///
/// # Errors
/// As [`groups_of_nested`].
pub fn listed_groups_of_nested(view: View<'_>, entry: &Entry<'_>) -> Result<Vec<EntryId>, SearchError> {
    nested(view, entry, |view, entry| {
        let mut groups = Vec::new();
        for key in group_keys(view, entry)? {
            append_list(view.reader(), &key, &mut groups)?;
        }
        Ok(groups)
    })
}

fn nested(
    view: View<'_>,
    entry: &Entry<'_>,
    groups_of: impl Fn(View<'_>, &Entry<'_>) -> Result<Vec<EntryId>, SearchError>,
) -> Result<Vec<EntryId>, SearchError> {
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
    for key in group_keys(view, entry)?.into_iter().chain(uid_keys(view, entry)?) {
        if list_has(view.reader(), &key, group)? {
            return Ok(true);
        }
    }
    match view.entry(group)? {
        Some(group) => dynamic::has_member(view, &group, entry),
        None => Ok(false),
    }
}

/// Whether some group has `entry` as a direct member.
pub(super) fn is_in_a_group(view: View<'_>, entry: &Entry<'_>) -> Result<bool, SearchError> {
    for key in group_keys(view, entry)?.into_iter().chain(uid_keys(view, entry)?) {
        if Postings::open(view.reader(), &key)?.is_some() {
            return Ok(true);
        }
    }
    dynamic::is_in_any(view, entry)
}

/// Everybody who is in some group, in ascending order; perhaps some that were just removed among them (they are judged
/// again). Cost: that of reading all groups.
pub(super) fn members_of_any(view: View<'_>) -> Result<Vec<EntryId>, SearchError> {
    let mut groups = Vec::new();
    for oid in [MEMBER, UNIQUE_MEMBER, MEMBER_UID, MEMBER_URL] {
        let Some(attribute) = member_attribute(view, oid) else { continue };
        let mut key = Vec::with_capacity(8);
        index_key(attribute, IndexKind::Presence, &[], &mut key);
        append_list(view.reader(), &key, &mut groups)?;
    }
    groups.sort_unstable();
    groups.dedup();
    let mut members = HashSet::new();
    for group in groups {
        members.extend(members_of(view, group)?);
        check_count(members.len())?;
    }
    Ok(sorted(members))
}

/// The direct members of a group; perhaps some that were just removed among them (they are judged again).
pub(super) fn members_of(view: View<'_>, group: EntryId) -> Result<Vec<EntryId>, SearchError> {
    let mut members = Vec::new();
    let Some(group) = view.entry(group)? else { return Ok(members) };
    for slice in membership_attributes(view).filter_map(|id| group.attribute(id)) {
        if slice.flags & VALUE_SPILLED == 0 {
            for target in slice.targets.as_chunks::<16>().0 {
                members.extend(view.by_uuid(EntryUuid(*target))?);
            }
        } else {
            for text in view.spilled_texts(group.id, slice.id)? {
                if let Ok(dn) = Dn::parse_bytes(&text) {
                    members.extend(view.resolve(&dn)?.entry);
                }
            }
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
    if let Some(slice) = member_attribute(view, MEMBER_UID).and_then(|id| group.attribute(id)) {
        for value in view.values(&group, &slice)? {
            check_count(members.len())?;
            append_accounts(view, &value, &mut members)?;
        }
    }
    dynamic::append_members(view, &group, &mut members)?;
    members.sort_unstable();
    members.dedup();
    Ok(members)
}

/// Appends the entries with this `uid`.
fn append_accounts(view: View<'_>, uid: &[u8], out: &mut Vec<EntryId>) -> Result<(), SearchError> {
    let catalog = view.catalog();
    let Some(known) = catalog.schema().attribute_type(UID) else { return Ok(()) };
    let Some(attribute) = member_attribute(view, UID) else { return Ok(()) };
    let mut normal = Vec::with_capacity(uid.len());
    if keys_of_value(catalog.schema(), known, uid, &mut normal).is_some() {
        let mut key = Vec::with_capacity(normal.len() + 8);
        index_key(attribute, IndexKind::Equality, &normal, &mut key);
        append_list(view.reader(), &key, out)?;
    }
    Ok(())
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
/// `by_search`: what a group finds by search is as good as a link.
pub(super) fn chain_to(
    view: View<'_>,
    attributes: &[AttributeId],
    target: EntryUuid,
    by_search: bool,
) -> Result<Vec<EntryId>, SearchError> {
    let mut found = HashSet::new();
    let mut queue = vec![target];
    let mut referrers = Vec::new();
    while let Some(target) = queue.pop() {
        referrers.clear();
        let named = match view.by_uuid(target)? {
            Some(id) => view.entry(id)?,
            None => None,
        };
        for attribute in attributes {
            append_list(view.reader(), &link_index_key(*attribute, target), &mut referrers)?;
            if let Some(key) =
                named.as_ref().map(|entry| text_index_key(view, *attribute, entry)).transpose()?.flatten()
            {
                append_list(view.reader(), &key, &mut referrers)?;
            }
        }
        if let Some(named) = named.as_ref().filter(|_| by_search) {
            dynamic::append_groups_of(view, named, &mut referrers)?;
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

/// Where the index has the entries that have, in `attribute` (a bare type), the name of `entry` as text: written before it
/// was there. `None` where no value is text.
pub(super) fn text_index_key(
    view: View<'_>,
    attribute: AttributeId,
    entry: &Entry<'_>,
) -> Result<Option<Vec<u8>>, SearchError> {
    let schema = view.catalog().schema();
    let mut texts = Vec::with_capacity(6);
    index_key(attribute, IndexKind::Equality, TEXT_LINK_BEGINS, &mut texts);
    let first = IndexCursor::seek(view.reader(), &texts, EntryId::NONE)?.next()?;
    if !first.is_some_and(|(key, _)| key.starts_with(&texts)) {
        return Ok(None);
    }
    let mut dn = Vec::with_capacity(96);
    view.write_dn(entry, &mut dn)?;
    let Ok(dn) = Dn::parse_bytes(&dn) else { return Ok(None) };
    let mut key = Vec::with_capacity(104);
    index_key(attribute, IndexKind::Equality, &text_link_key(schema, &dn), &mut key);
    Ok(Some(key))
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
    let mut keys = Vec::with_capacity(2);
    for id in membership_attributes(view) {
        keys.push(link_index_key(id, entry.record.uuid()));
        keys.extend(text_index_key(view, id, entry)?);
    }
    Ok(keys)
}

/// Where the index has the groups that list `entry` by its `uid`.
fn uid_keys(view: View<'_>, entry: &Entry<'_>) -> Result<Vec<Vec<u8>>, SearchError> {
    let catalog = view.catalog();
    let mut keys = Vec::new();
    let Some(listing) = member_attribute(view, MEMBER_UID) else { return Ok(keys) };
    let Some(known) = catalog.attribute_type(listing) else { return Ok(keys) };
    let uid = catalog.schema().attribute_type(UID).and_then(|uid| catalog.base_of(uid));
    let Some(slice) = uid.and_then(|uid| entry.attribute(uid)) else { return Ok(keys) };
    for value in view.values(entry, &slice)? {
        let mut normal = Vec::with_capacity(value.len());
        if keys_of_value(catalog.schema(), known, &value, &mut normal).is_some() {
            let mut key = Vec::with_capacity(normal.len() + 8);
            index_key(listing, IndexKind::Equality, &normal, &mut key);
            keys.push(key);
        }
    }
    Ok(keys)
}

/// `member` and `uniqueMember`, where entries have them and the index knows.
fn membership_attributes(view: View<'_>) -> impl Iterator<Item = AttributeId> + '_ {
    [MEMBER, UNIQUE_MEMBER].into_iter().filter_map(move |oid| member_attribute(view, oid))
}

/// The attribute, where entries have it and the index knows.
fn member_attribute(view: View<'_>, oid: &str) -> Option<AttributeId> {
    let catalog = view.catalog();
    let id = catalog.base_of(catalog.schema().attribute_type(oid)?)?;
    let indexed = catalog.attribute(id)?.indexed;
    (indexed.equality && indexed.presence).then_some(id)
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
