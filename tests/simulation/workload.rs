//! What clients do: changes of few entries with few names and few values, so that they collide.
//!
//! Each is translated to deltas as the LDAP operations do it, from what the node shows at that moment.

use entente::dit::{DitError, Target, ValueError, Writing, birth_deltas, rdn_state, value_of};
use entente::model::{AttributeDescription, Dn, EntryUuid, Rdn};
use entente::state::{AttributeId, CellValue, Delta};
use entente::storage::EntryId;

use crate::random::Random;

/// The suffix of all.
pub(crate) const SUFFIX: &str = "dc=x";
/// Entries alive at a time, about.
const ENTRIES_MAX: usize = 14;
/// Only leaves below containers that stay, all under names of their own.
const FLAT: bool = false;

pub(crate) fn attribute(writing: &mut Writing<'_>, name: &str) -> Result<AttributeId, DitError> {
    writing.intern(&AttributeDescription::parse(name).expect("an attribute's name"))
}

pub(crate) fn dit_error(error: ValueError) -> DitError {
    match error {
        ValueError::Dit(error) => error,
        error @ (ValueError::Invalid { .. } | ValueError::Encrypted { .. }) => panic!("{error}"),
    }
}

pub(crate) fn cell(writing: &mut Writing<'_>, name: &str, value: &str, present: bool) -> Result<Delta, DitError> {
    let attribute = attribute(writing, name)?;
    let view = writing.view();
    let info = view.catalog().attribute(attribute).expect("it was numbered");
    let (key, value) = value_of(&view, info, value.as_bytes()).map_err(dit_error)?;
    let value = if present { value } else { CellValue::Text(Vec::new()) };
    Ok(Delta::Cell { attribute, key, order: 0, present, value })
}

/// Adds an entry; none if the name is taken or the superior is not there.
pub(crate) fn add(
    writing: &mut Writing<'_>,
    uuid: EntryUuid,
    dn: &str,
    attributes: &[(&str, &str)],
) -> Result<Option<EntryId>, DitError> {
    let dn = Dn::parse(dn).expect("a DN");
    let resolution = writing.view().resolve(&dn)?;
    if resolution.entry.is_some() || (resolution.missing != 1 && resolution.matched.is_some()) {
        return Ok(None);
    }
    let parent = resolution.matched.unwrap_or(EntryId::NONE);
    let mut values = Vec::new();
    for (name, value) in attributes {
        values.push((attribute(writing, name)?, vec![value.as_bytes().to_vec()]));
    }
    let deltas = birth_deltas(writing, &dn, parent, &values).map_err(dit_error)?;
    Ok(Some(writing.change(Target::New(uuid), "cn=client", deltas)?.0))
}

struct Known {
    id: EntryId,
    uuid: EntryUuid,
    is_container: bool,
}

/// Values by which an attribute comes to live in a table of its own.
const MANY: u64 = 70;

/// Entries of a subtree, those below before what they are below.
fn subtree(writing: &Writing<'_>, top: EntryId) -> Result<Vec<EntryId>, DitError> {
    let mut found = vec![top];
    let mut at = 0;
    while let Some(id) = found.get(at).copied() {
        for child in writing.view().children(id)? {
            found.push(child?);
        }
        at += 1;
    }
    found.reverse();
    Ok(found)
}

/// Deletes an entry with all below it, together.
fn delete_tree(writing: &mut Writing<'_>, top: &Known) -> Result<Option<String>, DitError> {
    let entries = subtree(writing, top.id)?;
    if entries.len() < 2 || entries.len() > 8 {
        return Ok(None);
    }
    let count = entries.len();
    writing.together(|writing| {
        entries
            .iter()
            .try_for_each(|id| writing.change(Target::Existing(*id), "cn=client", vec![Delta::Dead]).map(|_| ()))
    })?;
    Ok(Some(format!("delete tree {} of {count}", top.uuid)))
}

/// Brings back what is in the recycle bin.
fn undelete(writing: &mut Writing<'_>, uuid: EntryUuid) -> Result<Option<String>, DitError> {
    let Some(deleted) = writing.view().deleted(uuid)? else { return Ok(None) };
    let parent = deleted.state.parent.1;
    let Some(superior) = writing.view().by_uuid(parent)? else { return Ok(None) };
    let Some(superior) = writing.view().dn_text(superior)? else { return Ok(None) };
    let rdn = deleted.state.rdn.1.clone();
    let Some(name) = rdn.avas.first().map(|ava| String::from_utf8_lossy(&ava.value).into_owned()) else {
        return Ok(None);
    };
    let kind = if uuid.0[0] == b'o' { "ou" } else { "cn" };
    if name_taken(writing, &format!("{kind}={name},{superior}"))? {
        return Ok(None);
    }
    let author = cell(writing, "description", "back", true)?;
    let deltas = writing.undelete_deltas(&deleted, rdn, parent, author)?;
    writing.change(Target::New(uuid), "cn=client", deltas)?;
    Ok(Some(format!("undelete {uuid}")))
}

/// Adds very many values to an entry, or takes some of them away.
fn change_many(writing: &mut Writing<'_>, random: &mut Random, entry: &Known) -> Result<Option<String>, DitError> {
    let Some(state) = writing.state(entry.id)? else { return Ok(None) };
    let attribute = attribute(writing, "member")?;
    let spilled = state.attribute(attribute).is_some_and(|held| held.spilled.is_some());
    let present = !spilled || random.permille(300);
    let first = random.below(20);
    let count = if present && !spilled { MANY } else { 1 + random.below(30) };
    let deltas = (first..first + count)
        .map(|number| cell(writing, "member", &format!("cn=m{number},o=elsewhere"), present))
        .collect::<Result<Vec<_>, _>>()?;
    writing.change(Target::Existing(entry.id), "cn=client", deltas)?;
    Ok(Some(format!("{} many: {count} of {}", if present { "add" } else { "delete" }, entry.uuid)))
}

/// One operation of a client; says what it did, or nothing if it was refused.
pub(crate) fn operate(
    writing: &mut Writing<'_>,
    random: &mut Random,
    uuids: &[EntryUuid],
    fresh: EntryUuid,
    has_many_values: bool,
) -> Result<Option<String>, DitError> {
    let mut known = Vec::new();
    for uuid in uuids {
        if let Some(id) = writing.view().by_uuid(*uuid)? {
            let is_container = uuid.0[0] == b'o';
            if FLAT && is_container && ![2, 3].contains(&uuid.0[1]) {
                continue;
            }
            known.push(Known { id, uuid: *uuid, is_container });
        }
    }
    let containers: Vec<&Known> = known.iter().filter(|known| known.is_container).collect();
    let kind = random.below(100);
    match random.below(100) {
        0..4 => {
            let Some(top) = random.pick(&containers) else { return Ok(None) };
            return delete_tree(writing, top);
        }
        4..9 => {
            let Some(uuid) = random.pick(uuids) else { return Ok(None) };
            return if writing.view().by_uuid(*uuid)?.is_none() { undelete(writing, *uuid) } else { Ok(None) };
        }
        9..13 if has_many_values => {
            // Always the same few, so that they meet.
            let Some(entry) = known.iter().take(3).nth(random.below(3) as usize) else { return Ok(None) };
            return change_many(writing, random, entry);
        }
        _ => {}
    }
    if known.len() < 4 || (kind < 22 && known.len() < ENTRIES_MAX) {
        let parent = match random.pick(&containers) {
            Some(parent) if random.permille(800) => writing.view().dn_text(parent.id)?,
            _ => Some(SUFFIX.to_owned()),
        };
        let Some(parent) = parent else { return Ok(None) };
        let mut uuid = fresh;
        let name = random.below(5);
        let (dn, attributes) = if !FLAT && random.permille(300) {
            uuid.0[0] = b'o';
            (format!("ou=o{name},{parent}"), [("objectClass", "organizationalUnit"), ("description", "v0")])
        } else {
            uuid.0[0] = b'p';
            (
                format!("cn=n{}{parent}", if FLAT { format!("{fresh},") } else { format!("{name},") }),
                [("objectClass", "inetOrgPerson"), ("sn", "s")],
            )
        };
        return Ok(add(writing, uuid, &dn, &attributes)?.map(|_| format!("add {dn} as {uuid}")));
    }
    let Some(entry) = random.pick(&known) else { return Ok(None) };
    let Some(state) = writing.state(entry.id)? else { return Ok(None) };
    let value = format!("v{}", random.below(4));
    let uuid = entry.uuid;
    let (deltas, told) = match kind {
        22..30 => {
            if FLAT && entry.is_container {
                return Ok(None);
            }
            if writing.view().subordinate_count(entry.id)? > 0 {
                return Ok(None);
            }
            (vec![Delta::Dead], format!("delete {uuid}"))
        }
        30..58 => {
            let name = ["description", "mail"][random.below(2) as usize];
            let mut delta = cell(writing, name, &value, true)?;
            let Delta::Cell { attribute, key, present, value: content, .. } = &mut delta else { return Ok(None) };
            let shown =
                state.attribute(*attribute).is_some_and(|held| held.cells.get(key).is_some_and(|cell| cell.present));
            if shown {
                *present = false;
                *content = CellValue::Text(Vec::new());
            }
            (vec![delta], format!("{} {name}={value} of {uuid}", if shown { "delete" } else { "add" }))
        }
        58..66 => {
            let attribute = attribute(writing, "description")?;
            let other = format!("v{}", random.below(4));
            let mut deltas = vec![Delta::Clear(attribute), cell(writing, "description", &value, true)?];
            if other != value {
                deltas.push(cell(writing, "description", &other, true)?);
            }
            (deltas, format!("replace description={value},{other} of {uuid}"))
        }
        66..72 => {
            let attribute = attribute(writing, "displayName")?;
            let set = vec![Delta::Clear(attribute), cell(writing, "displayName", &value, true)?];
            (set, format!("set displayName={value} of {uuid}"))
        }
        72..78 => {
            let attribute = attribute(writing, "uidNumber")?;
            match state.count_delta(attribute, writing.origin(), 1 + random.below(3) as i64) {
                Some(delta) => (vec![delta], format!("increment uidNumber of {uuid}")),
                None => {
                    let number = random.below(100).to_string();
                    let set = vec![Delta::Clear(attribute), cell(writing, "uidNumber", &number, true)?];
                    (set, format!("set uidNumber={number} of {uuid}"))
                }
            }
        }
        78..86 => {
            if FLAT {
                return Ok(None);
            }
            let name = if entry.is_container { "ou" } else { "cn" };
            let rdn = format!("{name}={}{}", if entry.is_container { "o" } else { "n" }, random.below(5));
            let Some(old) = state.rdn.1.avas.first() else { return Ok(None) };
            let old = Delta::Cell {
                attribute: old.attribute,
                key: old.key.clone(),
                order: 0,
                present: false,
                value: CellValue::Text(Vec::new()),
            };
            let new = rdn_state(writing, &Rdn::parse(&rdn).expect("an RDN")).map_err(dit_error)?;
            let taken = match parent_dn(writing, entry.id)? {
                Some(parent) => name_taken(writing, &format!("{rdn},{parent}"))?,
                None => true,
            };
            if taken {
                return Ok(None);
            }
            (vec![Delta::Rdn(new), old], format!("rename {uuid} to {rdn}"))
        }
        86..94 => {
            if FLAT {
                return Ok(None);
            }
            let Some(target) = random.pick(&containers) else { return Ok(None) };
            let view = writing.view();
            if target.uuid == uuid || view.is_within(target.id, entry.id)? || state.parent.1 == target.uuid {
                return Ok(None);
            }
            let (Some(own), Some(parent)) = (view.dn_text(entry.id)?, view.dn_text(target.id)?) else {
                return Ok(None);
            };
            let rdn = own.split(',').next().unwrap_or_default().to_owned();
            if name_taken(writing, &format!("{rdn},{parent}"))? {
                return Ok(None);
            }
            (vec![Delta::Parent(target.uuid)], format!("move {uuid} below {}", target.uuid))
        }
        _ => {
            let Some(target) = random.pick(&known) else { return Ok(None) };
            let Some(dn) = writing.view().dn_text(target.id)? else { return Ok(None) };
            let mut delta = cell(writing, "member", &dn, true)?;
            let Delta::Cell { attribute, key, present, value: content, .. } = &mut delta else { return Ok(None) };
            let shown =
                state.attribute(*attribute).is_some_and(|held| held.cells.get(key).is_some_and(|cell| cell.present));
            if shown {
                *present = false;
                *content = CellValue::Text(Vec::new());
            }
            (vec![delta], format!("{} member {} of {uuid}", if shown { "delete" } else { "add" }, target.uuid))
        }
    };
    writing.change(Target::Existing(entry.id), "cn=client", deltas)?;
    Ok(Some(told))
}

fn parent_dn(writing: &Writing<'_>, id: EntryId) -> Result<Option<String>, DitError> {
    let dn = writing.view().dn_text(id)?;
    Ok(dn.and_then(|dn| dn.split_once(',').map(|(_, parent)| parent.to_owned())))
}

fn name_taken(writing: &Writing<'_>, dn: &str) -> Result<bool, DitError> {
    Ok(writing.view().resolve(&Dn::parse(dn).expect("a DN"))?.entry.is_some())
}
