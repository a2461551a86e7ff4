//! The view of an entry: a pure function of its state, of the catalog, and of the names of what it links to.
//!
//! Timestamps come from stamps, unless the entry was imported with its own: an imported `createTimestamp` holds, an
//! imported `modifyTimestamp` holds until the first change after the import.

use super::DitError;
use super::catalog::Catalog;
use super::links::dn_of;
use super::view::View;
use crate::model::{Ava, Dn, EntryUuid, Rdn};
use crate::schema::time::parse_generalized_time;
use crate::state::view::ViewContent;
use crate::state::{AttributeId, CellValue, EntryState, RdnState, Stamp};
use crate::storage::{
    AttributeSlice, ENTRY_ALIAS, ENTRY_HAS_ACI, ENTRY_HAS_LINKS, ENTRY_LOSER, ENTRY_PHANTOM, ENTRY_POLICY,
    ENTRY_REFERRAL, ENTRY_SUBENTRY, EntryId, VALUE_DANGLING, VALUE_ENCRYPTED, VALUE_LINKS, VALUE_OPERATIONAL,
    VALUE_SECRET, VALUE_SPILLED, ViewHeader, ViewRecord, ViewRecordBuilder,
};
use std::collections::BTreeMap;

/// The view that an entry had before some of its attributes changed, and nothing else: what may be copied from it.
#[derive(Clone, Copy)]
pub(super) struct Earlier<'v> {
    /// The record.
    pub(super) record: &'v ViewRecord<'v>,
    /// Attributes whose state changed since.
    pub(super) changed: &'v [AttributeId],
}

/// What objectClass says in the flags of an entry.
const CLASS_FLAGS: u16 = ENTRY_ALIAS | ENTRY_POLICY | ENTRY_REFERRAL | ENTRY_SUBENTRY;

impl<'v> Earlier<'v> {
    /// An attribute that is as it was: same values, same meaning by the schema, names of links as they are now.
    fn kept(&self, attribute: AttributeId, flags: u8, links: bool, naming_stamp: u64) -> Option<AttributeSlice<'v>> {
        if self.changed.contains(&attribute) {
            return None;
        }
        let slice = self.record.any_attribute(attribute)?;
        let is_named = !links || self.record.naming_stamp() == naming_stamp;
        let expected = flags | if links { VALUE_LINKS } else { 0 };
        (is_named && slice.flags & !VALUE_DANGLING == expected).then_some(slice)
    }
}

/// The view record of a live entry, checksum still open. `winner`: another entry that has the name. With `earlier` only
/// what changed since is made anew.
pub(super) fn derive(
    view: &View<'_>,
    (id, state): (EntryId, &EntryState),
    parent: EntryId,
    winner: Option<EntryUuid>,
    earlier: Option<Earlier<'_>>,
) -> Result<Vec<u8>, DitError> {
    let catalog = view.catalog();
    let known = catalog.well_known();
    // How an entry is used (failed binds, the last one) is no change of what it says.
    let is_volatile = |id: AttributeId| catalog.attribute(id).is_some_and(|info| info.volatile);
    let content = state.max_stamp_but(is_volatile);
    let volatile = state.attributes.iter().filter(|(id, _)| is_volatile(**id));
    let newest = volatile.map(|(_, held)| held.newest()).fold(content, Stamp::max);
    let header = ViewHeader {
        parent,
        naming_stamp: view.naming_stamp(),
        uuid: state.uuid,
        csn: newest.csn,
        created_ms: written_time(state, known.create_timestamp)
            .map_or_else(|| ms(state.birth.csn.ms()), |(_, time)| time),
        modified_ms: written_time(state, known.modify_timestamp)
            .filter(|(stamp, _)| *stamp >= content)
            .map_or_else(|| ms(content.csn.ms()), |(_, time)| time),
        flags: 0,
    };
    let mut builder = ViewRecordBuilder::new(header, &rdn_text(catalog, state));
    let mut attributes = state.view_attributes();
    if winner.is_some() {
        if let Err(place) = attributes.binary_search(&known.repl_conflict) {
            attributes.insert(place, known.repl_conflict);
        }
        builder.flags(ENTRY_LOSER);
    }
    for attribute in attributes {
        if known.is_hidden(attribute) {
            continue;
        }
        let Some(info) = catalog.attribute(attribute) else { continue };
        let mut flags = if info.operational { VALUE_OPERATIONAL } else { 0 };
        if info.secret {
            flags |= VALUE_SECRET;
        }
        if info.encrypted {
            flags |= VALUE_ENCRYPTED;
        }
        if let Some(earlier) = &earlier
            && let Some(slice) = earlier.kept(attribute, flags, info.links, view.naming_stamp())
        {
            builder.copy(&slice);
            let of_class = if attribute == known.object_class { CLASS_FLAGS } else { 0 };
            let of_aci = if attribute == known.aci { ENTRY_HAS_ACI } else { 0 };
            let of_links = if info.links { ENTRY_HAS_LINKS } else { 0 };
            builder.flags(earlier.record.flags() & (of_class | of_aci | of_links));
            continue;
        }
        if state.attribute(attribute).is_some_and(|held| held.spilled.is_some()) {
            builder.attribute(attribute, flags | VALUE_SPILLED, &[], &[]);
            if info.links {
                builder.flags(ENTRY_HAS_LINKS);
            }
            continue;
        }
        let values = state.view_cells(attribute, info.single_value);
        if info.links {
            if add_links(view, &mut builder, attribute, flags, &values)? {
                builder.flags(ENTRY_HAS_LINKS);
            }
            continue;
        }
        let mut texts: Vec<&[u8]> = values.iter().filter_map(|value| value.as_text()).collect();
        let conflict = match winner.filter(|_| attribute == known.repl_conflict) {
            Some(winner) => Some(lost_name(view, state, winner)?),
            None => None,
        };
        texts.extend(conflict.as_deref().map(str::as_bytes));
        if attribute == known.object_class {
            builder.flags(class_flags(&texts));
        }
        if attribute == known.aci {
            builder.flags(ENTRY_HAS_ACI);
        }
        if info.encrypted && !texts.is_empty() {
            catalog.put_encrypted((id, attribute), flags, &texts, &mut builder)?;
        } else if !texts.is_empty() {
            builder.attribute(attribute, flags, &texts, &[]);
        }
    }
    Ok(builder.finish())
}

/// The view record of a deleted entry with live ones below it: its name and what it is, and none of what it had.
pub(super) fn derive_phantom(
    view: &View<'_>,
    state: &EntryState,
    parent: EntryId,
    winner: Option<EntryUuid>,
) -> Vec<u8> {
    let catalog = view.catalog();
    let known = catalog.well_known();
    let deleted = state.dead.unwrap_or(state.birth);
    let header = ViewHeader {
        parent,
        naming_stamp: view.naming_stamp(),
        uuid: state.uuid,
        csn: deleted.csn,
        created_ms: ms(state.birth.csn.ms()),
        modified_ms: ms(deleted.csn.ms()),
        flags: ENTRY_PHANTOM | if winner.is_some() { ENTRY_LOSER } else { 0 },
    };
    let mut builder = ViewRecordBuilder::new(header, &rdn_text(catalog, state));
    let deleting = deleted.csn.openldap_text(0);
    let mut shown: BTreeMap<AttributeId, (u8, Vec<&[u8]>)> = BTreeMap::new();
    for ava in &state.rdn.1.avas {
        shown.entry(ava.attribute).or_default().1.push(&ava.value);
    }
    shown.insert(known.object_class, (0, vec![b"top", b"extensibleObject"]));
    shown.insert(known.repl_state, (VALUE_OPERATIONAL, vec![b"phantom"]));
    shown.insert(known.repl_delete_csn, (VALUE_OPERATIONAL, vec![deleting.as_bytes()]));
    for (attribute, (flags, values)) in shown {
        builder.attribute(attribute, flags, &values, &[]);
    }
    builder.finish()
}

/// What `replConflict` says of an entry whose name another one has.
fn lost_name(view: &View<'_>, state: &EntryState, winner: EntryUuid) -> Result<String, DitError> {
    let other = match view.by_uuid(winner)? {
        Some(id) => view.state_of(id)?,
        None => None,
    };
    let is_same = other.is_some_and(|other| has_content_of(view.catalog(), state, &other));
    Ok(format!("{} winner={winner}", if is_same { "duplicate" } else { "name" }))
}

/// Whether a client sees the same in both, secrets aside, which are the same only by chance. Very many values are not
/// compared.
fn has_content_of(catalog: &Catalog, one: &EntryState, other: &EntryState) -> bool {
    let shown = |state: &EntryState| {
        let mut shown: BTreeMap<AttributeId, Vec<Vec<u8>>> = BTreeMap::new();
        for attribute in state.view_attributes() {
            let Some(info) = catalog.attribute(attribute).filter(|info| !info.operational) else { continue };
            if state.attribute(attribute).is_some_and(|held| held.spilled.is_some()) {
                return None;
            }
            let mut values: Vec<Vec<u8>> = Vec::new();
            for value in state.view_cells(attribute, info.single_value) {
                values.push(match (value.key, &value.content) {
                    _ if info.secret => Vec::new(),
                    (Some(key), _) => key.as_bytes().to_vec(),
                    (None, ViewContent::Text(text)) => text.to_vec(),
                    (None, ViewContent::Link(target)) => target.0.to_vec(),
                });
            }
            values.sort_unstable();
            if !values.is_empty() {
                shown.insert(attribute, values);
            }
        }
        Some(shown)
    };
    let one = shown(one);
    one.is_some() && one == shown(other)
}

/// The record with the names that its links have now. `None` if that cannot be told from the record alone.
pub(super) fn relinked(view: &View<'_>, record: &ViewRecord<'_>) -> Result<Option<Vec<u8>>, DitError> {
    let mut builder = ViewRecordBuilder::like(record, view.naming_stamp());
    for slice in record.all_attributes() {
        if slice.flags & VALUE_LINKS == 0 {
            builder.copy(&slice);
            continue;
        }
        let (all, _) = slice.targets.as_chunks::<16>();
        let shown: Vec<&[u8]> = slice.values().collect();
        // What is shown and what comes now stand in an order that only the state knows; a text may name an entry by now.
        let is_mixed = !shown.is_empty() && all.len() != shown.len();
        let has_texts = slice.flags & VALUE_OPERATIONAL == 0 && all.contains(&[0; 16]);
        if slice.flags & VALUE_SPILLED != 0 || is_mixed || has_texts {
            return Ok(None);
        }
        let (mut texts, mut targets, mut dangling) = (Vec::with_capacity(all.len()), Vec::new(), Vec::new());
        for (place, target) in all.iter().enumerate() {
            let text = match EntryUuid(*target) {
                EntryUuid::NIL => shown.get(place).map(|text| text.to_vec()),
                target => dn_of(view, target)?,
            };
            match text {
                Some(text) => {
                    texts.push(text);
                    targets.extend_from_slice(target);
                }
                None => dangling.extend_from_slice(target),
            }
        }
        targets.extend_from_slice(&dangling);
        let slices: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        let hidden = if texts.is_empty() { VALUE_DANGLING } else { 0 };
        builder.attribute(slice.id, slice.flags & !VALUE_DANGLING | hidden, &slices, &targets);
    }
    Ok(Some(builder.finish()))
}

/// Adds an attribute of links. A text that names a live entry is shown as a link to it, and an entry only once. Behind the
/// values are kept links to what is not there, so that the index still leads here when it comes, and once more the targets
/// that texts name, so that it leads here by the name too.
fn add_links(
    view: &View<'_>,
    builder: &mut ViewRecordBuilder,
    attribute: AttributeId,
    flags: u8,
    values: &[crate::state::ViewValue<'_>],
) -> Result<bool, DitError> {
    let mut texts: Vec<Vec<u8>> = Vec::with_capacity(values.len());
    let mut targets: Vec<EntryUuid> = Vec::with_capacity(values.len());
    let mut behind = Vec::new();
    let links: Vec<EntryUuid> = values
        .iter()
        .filter_map(|value| match value.content {
            ViewContent::Link(target) => Some(target),
            ViewContent::Text(_) => None,
        })
        .collect();
    for value in values {
        match &value.content {
            ViewContent::Text(text) => {
                let named = if flags & VALUE_OPERATIONAL == 0 { named_entry(view, text)? } else { None };
                behind.extend(named);
                match named {
                    Some(target) if links.contains(&target) || targets.contains(&target) => {}
                    Some(target) => {
                        texts.extend(dn_of(view, target)?);
                        targets.push(target);
                    }
                    None => {
                        texts.push(text.to_vec());
                        targets.push(EntryUuid::NIL);
                    }
                }
            }
            ViewContent::Link(target) => match dn_of(view, *target)? {
                Some(text) => {
                    texts.push(text);
                    targets.push(*target);
                }
                None => behind.push(*target),
            },
        }
    }
    if !values.is_empty() {
        let slices: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        let bytes: Vec<u8> = targets.iter().chain(&behind).flat_map(|target| target.0).collect();
        let hidden = if texts.is_empty() { VALUE_DANGLING } else { 0 };
        builder.attribute(attribute, flags | VALUE_LINKS | hidden, &slices, &bytes);
    }
    Ok(!values.is_empty())
}

/// The live entry that a text names.
pub(super) fn named_entry(view: &View<'_>, text: &[u8]) -> Result<Option<EntryUuid>, DitError> {
    let Ok(dn) = Dn::parse_bytes(text) else { return Ok(None) };
    let Some(id) = view.resolve(&dn)?.entry else { return Ok(None) };
    let entry = view.entry(id)?.filter(|entry| entry.record.flags() & ENTRY_PHANTOM == 0);
    Ok(entry.map(|entry| entry.record.uuid()))
}

/// The RDN as written; for a suffix its whole DN.
pub(super) fn rdn_text(catalog: &Catalog, state: &EntryState) -> String {
    let context = state.attribute(catalog.well_known().context_name).and_then(|held| {
        held.cells.values().find(|cell| cell.present).and_then(|cell| match &cell.value {
            CellValue::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
            CellValue::Link(_) => None,
        })
    });
    context.unwrap_or_else(|| rdn_of(&state.rdn.1).map_or_else(String::new, |rdn| rdn.to_string()))
}

/// The normalised form under which the tree table has an entry of this name: an RDN, or the whole DN of a suffix.
pub(super) fn name_key(catalog: &Catalog, parent: EntryId, text: &str) -> Vec<u8> {
    let schema = catalog.schema();
    if parent == EntryId::NONE {
        return Dn::parse(text).map(|dn| schema.dn_key(&dn)).unwrap_or_default();
    }
    Rdn::parse(text).map(|rdn| schema.rdn_key(&rdn)).unwrap_or_default()
}

/// The RDN of the register; none while the entry is not born.
pub(super) fn rdn_of(state: &RdnState) -> Option<Rdn> {
    Rdn::new(state.avas.iter().map(|ava| Ava { attribute: ava.type_text.clone(), value: ava.value.clone() }).collect())
}

fn written_time(state: &EntryState, attribute: AttributeId) -> Option<(Stamp, i64)> {
    let held = state.attribute(attribute)?;
    let cell = held.cells.values().filter(|cell| cell.present).max_by_key(|cell| cell.stamp)?;
    match &cell.value {
        CellValue::Text(text) => Some((cell.stamp, parse_generalized_time(text)?)),
        CellValue::Link(_) => None,
    }
}

fn class_flags(classes: &[&[u8]]) -> u16 {
    classes.iter().fold(0, |flags, class| {
        flags
            | match class.to_ascii_lowercase().as_slice() {
                b"alias" | b"2.5.6.1" => ENTRY_ALIAS,
                b"referral" | b"2.16.840.1.113730.3.2.6" => ENTRY_REFERRAL,
                b"subentry" | b"2.5.17.0" => ENTRY_SUBENTRY,
                b"pwdpolicy" | b"1.3.6.1.4.1.42.2.27.8.2.1" => ENTRY_POLICY,
                _ => 0,
            }
    })
}

fn ms(unsigned: u64) -> i64 {
    i64::try_from(unsigned).unwrap_or(i64::MAX)
}
