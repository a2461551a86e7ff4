//! cn=changelog: the log as entries, in the form of draft-good-ldap-changelog that 389 and OpenDJ serve (the "retro"
//! changelog).
//!
//! A change is told to the administrator, and to whom the access rules let read `changeNumber` of the entry that was
//! changed (`telling`); of what was changed, those attributes that one may read of that entry.
//!
//! Nothing is kept for it: each entry is made of a log record when somebody asks. So it reaches back as far as the log
//! does (`replication.log_records`, and `replication.log_records_max` before it), and its numbers are this node's own
//! (`dit::arrivals`): a client that goes to another node begins anew there, or uses content synchronisation, whose cookies hold everywhere.
//!
//! `targetDN`, `newRDN` and `newSuperior` are names at the time of the change, and `targetEntryUUID` is the identity. Values that
//! name entries are kept as identities; they are told by the names that these had after the change. Earlier names are
//! found in the log, whose renames and moves say what they replaced: so they are known as far back as changes are told, whenever
//! the entry came. Where a rename between is no more kept (other origins' logs may reach back further) stands the oldest one
//! known. Names that a
//! conflict gave (`+entryUUID=`) stand in no log: a value is told by such a name while the entry has it, whatever the change's
//! time. Values of secret attributes are left out. Changes below cn=cluster are not told.

mod following;

use super::access::{Access, Granted};
use super::outcome::{OperationError, Outcome};
use super::telling::Feed;
use super::virtual_entry::{VirtualEntry, Visit, attribute, one_of};
use crate::dit::View;
use crate::model::ldif::{LdifBody, LdifChange, LdifRecord, LdifWriter};
use crate::model::{
    Attribute, AttributeDescription, Dn, EntryUuid, Filter, Modification, ModificationKind, Rdn, ResultCode,
};
use crate::schema::time::format_generalized_time;
use crate::state::{AttributeId, CellValue, Csn, Delta, Stamp, Update, ValueKey};
pub(super) use following::{Content, Following};
use hashbrown::HashMap;
use std::sync::Arc;

/// The name of the entry above them.
pub(super) const DN: &str = "cn=changelog";

/// Changes looked at in one request.
const LOOKED_AT_MAX: usize = 20_000;
/// Changes that are not told which are passed over for the first and the last number.
const PASSED_OVER_MAX: usize = 256;
const CHANGE_NUMBER: &str = "changeNumber";

/// The entry above.
pub(super) fn top() -> VirtualEntry {
    let attributes = [
        attribute("objectClass", ["top", "extensibleObject"]),
        attribute("cn", ["changelog"]),
        attribute("description", ["Changes in the order in which they came to this node"]),
        attribute("entryDN", [DN]),
        attribute("hasSubordinates", ["TRUE"]),
    ];
    VirtualEntry { dn: DN.to_owned(), attributes: Arc::new(attributes.into_iter().flatten().collect()) }
}

/// The numbers of the first and the last change that the requester is told. Where there is none, the first is the number of
/// the next change to come and the last the one before, so that a client that begins there misses nothing. Where very many
/// changes that are not told stand at an end, not all are passed over: beyond the numbers there is none all the same.
pub(super) fn bounds(view: View<'_>, access: &Access<'_>) -> Outcome<(u64, u64)> {
    let is_told = |update: &Update| Ok::<_, OperationError>(target(view, access, update)?.is_some());
    let mut first = 0;
    for _ in 0..PASSED_OVER_MAX {
        let Some((number, update)) = view.arrival_after(first)? else {
            let last = view.last_arrival()?;
            return Ok((last.saturating_add(1), last));
        };
        first = number;
        if is_told(&update)? {
            break;
        }
    }
    let mut last = view.last_arrival()?.max(first);
    for _ in 0..PASSED_OVER_MAX {
        if last == first {
            break;
        }
        match view.arrival_after(last - 1)? {
            Some((number, update)) if number == last && is_told(&update)? => break,
            _ => last -= 1,
        }
    }
    Ok((first, last))
}

/// The entry of this RDN.
pub(super) fn find(view: View<'_>, access: &Access<'_>, rdn: &Rdn) -> Outcome<Option<VirtualEntry>> {
    let number = one_of(rdn, &[CHANGE_NUMBER, "2.16.840.1.113730.3.1.5"]).and_then(|text| text.parse::<u64>().ok());
    let Some(number) = number.filter(|number| *number > 0) else { return Ok(None) };
    match view.arrival_after(number - 1)? {
        Some((found, update)) if found == number => told(view, access, number, &update),
        _ => Ok(None),
    }
}

/// All below, from the one after the position `after` on, until `visit` says false; only numbers that the filter can be
/// true of.
///
/// # Errors
/// adminLimitExceeded when very many changes would have to be looked at.
pub(super) fn visit(
    view: View<'_>,
    access: &Access<'_>,
    after: &[u8],
    filter: &Filter<'_>,
    visit: Visit<'_>,
) -> Outcome<()> {
    let (from, to) = range(filter);
    let mut last = after.try_into().map_or(0, u64::from_be_bytes).max(from.saturating_sub(1));
    for _ in 0..LOOKED_AT_MAX {
        let Some((number, update)) = view.arrival_after(last)? else { return Ok(()) };
        if number > to {
            return Ok(());
        }
        if let Some(entry) = told(view, access, number, &update)?
            && !visit(&number.to_be_bytes(), entry)?
        {
            return Ok(());
        }
        last = number;
    }
    Err(OperationError::new(
        ResultCode::ADMIN_LIMIT_EXCEEDED,
        format!("more than {LOOKED_AT_MAX} changes would have to be looked at; ask by changeNumber, or by pages"),
    ))
}

/// The numbers that a filter can be true of.
fn range(filter: &Filter<'_>) -> (u64, u64) {
    let number = |assertion: &crate::model::Assertion<'_>| {
        let named = assertion.attribute.eq_ignore_ascii_case(CHANGE_NUMBER);
        std::str::from_utf8(&assertion.value).ok().filter(|_| named)?.trim().parse::<u64>().ok()
    };
    match filter {
        Filter::And(filters) => {
            filters.iter().map(range).fold((0, u64::MAX), |(from, to), (low, high)| (from.max(low), to.min(high)))
        }
        Filter::GreaterOrEqual(assertion) => (number(assertion).unwrap_or(0), u64::MAX),
        Filter::LessOrEqual(assertion) => (0, number(assertion).unwrap_or(u64::MAX)),
        Filter::Equality(assertion) => number(assertion).map_or((0, u64::MAX), |number| (number, number)),
        _ => (0, u64::MAX),
    }
}

/// The name of the entry that was changed, with the change (of a renaming: before it), and what may be read of the entry;
/// `None` for changes that are not told.
fn target(view: View<'_>, access: &Access<'_>, update: &Update) -> Outcome<Option<(String, Granted)>> {
    let name = view.dn_at(update.uuid, update.birth, update.stamp.csn, !is_renaming(update))?;
    let name = name.unwrap_or_else(|| format!("entryUUID={}", update.uuid));
    let is_cluster = Dn::parse(&name)
        .is_ok_and(|dn| dn.rdns().last().is_some_and(|rdn| one_of(rdn, &["cn"]).is_some_and(|name| name == "cluster")));
    if is_cluster {
        return Ok(None);
    }
    let granted = Feed::Changelog.readable(view, access, update.uuid, &name, &[])?;
    Ok(granted.map(|granted| (name, granted)))
}

fn is_renaming(update: &Update) -> bool {
    update.deltas.iter().any(|delta| matches!(delta, Delta::Rdn(_) | Delta::Parent(_)))
}

/// The entry of a change; `None` for those that are not told.
fn told(view: View<'_>, access: &Access<'_>, number: u64, update: &Update) -> Outcome<Option<VirtualEntry>> {
    let has = |wanted: &dyn Fn(&Delta) -> bool| update.deltas.iter().any(wanted);
    let Some((target, granted)) = target(view, access, update)? else { return Ok(None) };
    let may_read = |attribute: AttributeId| {
        view.catalog().attribute(attribute).is_some_and(|info| granted.for_attribute(info.attribute_type))
    };
    let mut new_name: [Option<Attribute>; 3] = [None, None, None];
    let (kind, change) = if update.is_birth() {
        ("add", Some(added(view, update, &may_read)?))
    } else if has(&|delta| matches!(delta, Delta::Dead)) {
        ("delete", None)
    } else if is_renaming(update) {
        new_name = renaming(view, update)?;
        ("modrdn", None)
    } else {
        ("modify", modified(view, update, &may_read)?)
    };
    let tells_author = may_read(view.catalog().well_known().modifiers_name);
    let dn = format!("{CHANGE_NUMBER}={number},{DN}");
    let time = format_generalized_time(i64::try_from(update.stamp.csn.ms()).unwrap_or(i64::MAX));
    let attributes = [
        attribute("objectClass", ["top", "changeLogEntry"]),
        attribute(CHANGE_NUMBER, [number.to_string()]),
        attribute("targetDN", [&target]),
        attribute("changeType", [kind]),
        attribute("changes", change.map(body)),
        attribute("changeTime", [time]),
        attribute("targetEntryUUID", [update.uuid.to_string()]),
        attribute("changeInitiatorsName", Some(&update.requester).filter(|name| !name.is_empty() && tells_author)),
        attribute("entryDN", [&dn]),
        attribute("hasSubordinates", ["FALSE"]),
    ];
    let attributes = attributes.into_iter().chain(new_name).flatten().collect();
    Ok(Some(VirtualEntry { dn, attributes: Arc::new(attributes) }))
}

/// newRDN, deleteOldRDN and newSuperior.
fn renaming(view: View<'_>, update: &Update) -> Outcome<[Option<Attribute>; 3]> {
    let now = view.dn_at(update.uuid, update.birth, update.stamp.csn, true)?.unwrap_or_default();
    let now = Dn::parse(&now)?;
    let drops = update.deltas.iter().any(|delta| matches!(delta, Delta::Cell { present: false, .. } | Delta::Clear(_)));
    let moved = update.deltas.iter().any(|delta| matches!(delta, Delta::Parent(_)));
    let superior = now.superior().filter(|_| moved).map(|superior| superior.to_string());
    Ok([
        attribute("newRDN", now.rdn().map(ToString::to_string)),
        attribute("deleteOldRDN", [if drops { "TRUE" } else { "FALSE" }]),
        attribute("newSuperior", superior),
    ])
}

/// What a client would have sent to add the entry.
fn added(view: View<'_>, update: &Update, may_read: MayRead<'_>) -> Outcome<LdifChange> {
    let mut attributes: Vec<Attribute> = Vec::new();
    let mut names = Names::after(view, update);
    for delta in &update.deltas {
        let Delta::Cell { attribute, present: true, value, .. } = delta else { continue };
        let Some(description) = shown(view, *attribute, may_read) else { continue };
        let Some(value) = names.text(value)? else { continue };
        match attributes.iter_mut().find(|known| known.description == description) {
            Some(known) => known.values.push(value),
            None => attributes.push(Attribute { description, values: vec![value] }),
        }
    }
    Ok(LdifChange::Add(attributes))
}

/// The modifications that have this effect; `None` when nothing of it is told.
fn modified(view: View<'_>, update: &Update, may_read: MayRead<'_>) -> Outcome<Option<LdifChange>> {
    let mut modifications: Vec<Modification> = Vec::new();
    let mut names = Names::after(view, update);
    let cleared: Vec<AttributeId> = update
        .deltas
        .iter()
        .filter_map(|delta| match delta {
            Delta::Clear(attribute) => Some(*attribute),
            _ => None,
        })
        .collect();
    let mut push = |kind: ModificationKind, description: &AttributeDescription, value: Option<Vec<u8>>| {
        let same = |known: &&mut Modification| known.kind == kind && known.attribute.description == *description;
        match modifications.iter_mut().find(same) {
            Some(known) => known.attribute.values.extend(value),
            None => modifications.push(Modification {
                kind,
                attribute: Attribute { description: description.clone(), values: value.into_iter().collect() },
            }),
        }
    };
    for (at, delta) in update.deltas.iter().enumerate() {
        match delta {
            Delta::Clear(attribute) => {
                let Some(description) = shown(view, *attribute, may_read) else { continue };
                push(ModificationKind::Replace, &description, None);
            }
            Delta::Cell { attribute, key, present, value, .. } => {
                let Some(description) = shown(view, *attribute, may_read) else { continue };
                let kind = match (present, cleared.contains(attribute)) {
                    (true, true) => ModificationKind::Replace,
                    (true, false) => ModificationKind::Add,
                    (false, true) => continue,
                    (false, false) => ModificationKind::Delete,
                };
                let value = if *present {
                    names.text(value)?
                } else {
                    removed(&mut names, update.replaced.get(at).copied(), *attribute, key)?
                };
                if value.is_some() {
                    push(kind, &description, value);
                }
            }
            Delta::Count { attribute, .. } => {
                // By how much is not said alone: the number as it is.
                let Some(description) = shown(view, *attribute, may_read) else { continue };
                let entry = view.by_uuid(update.uuid)?.map(|id| view.entry(id)).transpose()?.flatten();
                let slice = entry.as_ref().and_then(|entry| Some((entry, entry.attribute(*attribute)?)));
                if let Some((entry, slice)) = slice {
                    for value in view.values(entry, &slice)? {
                        push(ModificationKind::Replace, &description, Some(value));
                    }
                }
            }
            Delta::Birth { .. } | Delta::Rdn(_) | Delta::Parent(_) | Delta::Dead => {}
        }
    }
    Ok((!modifications.is_empty()).then_some(LdifChange::Modify(modifications)))
}

/// Whether the requester may read an attribute of the entry.
type MayRead<'a> = &'a dyn Fn(AttributeId) -> bool;

/// How an attribute is named; `None` for those that are not told.
fn shown(view: View<'_>, attribute: AttributeId, may_read: MayRead<'_>) -> Option<AttributeDescription> {
    let catalog = view.catalog();
    let info = catalog.attribute(attribute)?;
    if info.secret || info.sealed || !may_read(attribute) || catalog.well_known().is_hidden(attribute) {
        return None;
    }
    AttributeDescription::parse(&info.name).ok()
}

/// What entries were called after a change.
struct Names<'v> {
    view: View<'v>,
    at: Csn,
    superiors: HashMap<EntryUuid, String>,
}

impl<'v> Names<'v> {
    fn after(view: View<'v>, update: &Update) -> Self {
        Self { view, at: update.stamp.csn, superiors: HashMap::new() }
    }

    fn text(&mut self, value: &CellValue) -> Outcome<Option<Vec<u8>>> {
        Ok(match value {
            CellValue::Text(text) => Some(text.clone()),
            CellValue::Link(target) => Some(self.name(*target)?),
        })
    }

    fn name(&mut self, uuid: EntryUuid) -> Outcome<Vec<u8>> {
        let name = self.view.name_when(uuid, self.at, &mut self.superiors)?;
        Ok(name.unwrap_or_else(|| format!("entryUUID={uuid}")).into_bytes())
    }
}

/// A value that was removed: as it was written, where the log still has that change, else as it was compared.
fn removed(
    names: &mut Names<'_>,
    replaced: Option<Stamp>,
    attribute: AttributeId,
    key: &ValueKey,
) -> Outcome<Option<Vec<u8>>> {
    if let Some(target) = key.as_link() {
        return names.name(target).map(Some);
    }
    if let Some(stamp) = replaced.filter(|stamp| *stamp != Stamp::NONE)
        && let Some(before) = names.view.logged(stamp.dot())?
    {
        for delta in &before.deltas {
            if let Delta::Cell { attribute: of, key: was, present: true, value: CellValue::Text(text), .. } = delta
                && *of == attribute
                && was == key
            {
                return Ok(Some(text.clone()));
            }
        }
    }
    Ok(key.as_plain().filter(|plain| std::str::from_utf8(plain).is_ok()).map(<[u8]>::to_vec))
}

/// The lines of an LDIF record after `changetype` (draft-good-ldap-changelog 3.1).
fn body(change: LdifChange) -> Vec<u8> {
    let mut writer = LdifWriter::unfolded(Vec::new());
    let record = LdifRecord { line: 0, dn: String::new(), controls: Vec::new(), body: LdifBody::Change(change) };
    if writer.change(&record).is_err() {
        return Vec::new();
    }
    let whole = writer.into_inner();
    let lines = whole.split_inclusive(|byte| *byte == b'\n');
    let body = lines.skip_while(|line| !line.starts_with(b"changetype:")).skip(1);
    let mut body: Vec<u8> = body.flatten().copied().collect();
    while body.ends_with(b"\n\n") {
        body.pop();
    }
    body
}
