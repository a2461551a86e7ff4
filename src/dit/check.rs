//! Everything below the state, computed anew and compared: what `entente check` does.
//!
//! Reads one snapshot; nothing is changed. Each difference is named with the entry it concerns. Views whose link texts
//! await rewriting are compared without them.

use super::DitError;
use super::derive::{derive, derive_phantom, name_key};
use super::digest_table::{digest_of, stored_digest};
use super::index_keys::KeySet;
use super::log::{all_held, log_place, open_record};
use super::shape::naming::claim_of;
use super::spill::read_cells;
use super::tree::Dit;
use super::view::View;
use super::view_keys::all_view_keys;
use super::writing::read_state;
use crate::model::EntryUuid;
use crate::state::encoding::entry::Overhead;
use crate::state::{BUCKETS, BucketSum, EntryState, OriginId, OriginPosition, Spilled, bucket_of};
use crate::storage::{
    ENTRY_HAS_LINKS, ENTRY_PHANTOM, EntryId, IndexCursor, MetaName, Postings, Reader, Table, ViewRecord, dn2id_key,
    sealed_id, uuid2id_key,
};
use std::collections::{BTreeMap, BTreeSet};

/// Differences told in full; the rest is counted.
const DIFFERENCES_TOLD_MAX: usize = 1000;

/// What the check found.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    /// Live entries.
    pub entries: u64,
    /// Deleted entries kept for replication.
    pub deleted: u64,
    /// Deleted entries that are shown because of what is below them.
    pub phantoms: u64,
    /// Live entries that are not shown because something above them is not here yet.
    pub waiting: u64,
    /// Entries whose name another one has.
    pub losers: u64,
    /// Index keys and ids compared.
    pub index_records: u64,
    /// Log records read.
    pub log_records: u64,
    /// Bytes of those records beyond their keys.
    pub log_bytes: u64,
    /// What the records of live entries hold besides content, summed up.
    pub overhead: Overhead,
    /// Views whose links await rewriting (no fault).
    pub stale_links: u64,
    /// The differences, the first thousand in words.
    pub differences: Vec<String>,
    /// How many differences there are.
    pub difference_count: u64,
}

impl CheckReport {
    fn tell(&mut self, difference: String) {
        self.difference_count += 1;
        if self.differences.len() < DIFFERENCES_TOLD_MAX {
            self.differences.push(difference);
        }
    }
}

/// Walks every table of one snapshot. `progress` is told entries done and in all.
///
/// # Errors
/// [`DitError::Storage`] when a table cannot be walked at all; damaged records are differences, not errors.
pub fn check(dit: &Dit, progress: &mut dyn FnMut(u64, u64)) -> Result<CheckReport, DitError> {
    dit.environment().read_ahead();
    let snapshot = dit.read()?;
    let view = snapshot.view();
    let reader = view.reader();
    let mut report = CheckReport::default();
    let total = reader.count(Table::Id2State)?;
    let mut subordinates: BTreeMap<EntryId, u64> = BTreeMap::new();
    let mut tree_records = 0;
    let mut keys = KeySet::default();
    let mut sums = vec![BucketSum::default(); BUCKETS];
    let mut cursor = reader.cursor(Table::Id2State)?;
    let mut item = cursor.first()?;
    let mut done = 0;
    while let Some((key, _)) = item {
        let id = EntryId::from_key(key);
        match read_state(reader, view.catalog(), id) {
            Ok(Some(state)) => {
                digest(&view, id, &state, &mut sums, &mut report)?;
                if let Some(parent) = entry(&view, id, &state, &mut keys, &mut report)? {
                    tree_records += 1;
                    *subordinates.entry(parent).or_default() += 1;
                }
            }
            Ok(None) => {}
            Err(error) => report.tell(error.to_string()),
        }
        done += 1;
        if done % 1_000 == 0 {
            progress(done, total);
        }
        item = cursor.next()?;
    }
    progress(total, total);
    counters(reader, &subordinates, tree_records, &mut report)?;
    if IndexCursor::count_all(reader)? != report.index_records {
        extra_index_records(&view, &mut report)?;
    }
    names(&view, &mut report)?;
    views_without_state(reader, &mut report)?;
    digest_sums(&view, &sums, &mut report)?;
    log(&view, &mut report)?;
    Ok(report)
}

/// One entry; returns its superior when it is live and in place.
fn entry(
    view: &View<'_>,
    id: EntryId,
    state: &EntryState,
    keys: &mut KeySet,
    report: &mut CheckReport,
) -> Result<Option<EntryId>, DitError> {
    let reader = view.reader();
    let dot = state.birth.dot();
    let identity = uuid2id_key(state.uuid, Some((dot.origin, dot.sequence)));
    if reader.get(Table::Uuid2Id, &identity)?.map(EntryId::from_key) != Some(id) {
        report.tell(format!("uuid2id: entryUUID {} does not lead to entry number {}", state.uuid, id.0));
    }
    let stored = reader.get(Table::Id2Entry, &id.to_key())?;
    let is_last = last_incarnation(view, state.uuid)?.is_none_or(|last| last == id);
    let live = state.is_live() && is_last;
    if !live {
        report.deleted += 1;
    } else {
        report.entries += 1;
        let overhead = state.overhead(|origin| view.catalog().origin_number(origin)).unwrap_or_default();
        report.overhead.entry_bytes += overhead.entry_bytes;
        report.overhead.value_bytes += overhead.value_bytes;
        report.overhead.key_bytes += overhead.key_bytes;
        report.overhead.values += overhead.values;
    }
    let Some(stored) = stored else {
        let waits = super::shape::waiting::missing_of(reader, id)?;
        if !live {
            return Ok(None);
        }
        match waits {
            Some(missing) if view.incarnations(missing)?.into_iter().all(|id| !is_born(view, id)) => {
                report.waiting += 1;
            }
            _ => {
                report.tell(format!("id2entry: entry number {} (entryUUID {}) is live and not shown", id.0, state.uuid))
            }
        }
        return Ok(None);
    };
    let parent = match state.parent.1 {
        EntryUuid::NIL => Some(EntryId::NONE),
        uuid => shown_incarnation(view, uuid)?,
    };
    let Some(parent) = parent else {
        report.tell(format!("tree: the superior of entry number {} (entryUUID {}) is not there", id.0, state.uuid));
        return Ok(None);
    };
    if !live {
        report.phantoms += 1;
        let is_phantom = ViewRecord::flags_of(stored) & ENTRY_PHANTOM != 0;
        if !is_phantom || view.own_subordinate_count(id)? == 0 {
            report.tell(format!("id2entry: entry number {} is deleted and still shown", id.0));
        }
    }
    let record = match ViewRecord::open(id, stored) {
        Ok(record) => record,
        Err(error) => {
            report.tell(error.to_string());
            return Ok(Some(parent));
        }
    };
    // A record without links never has to follow a rename: it is compared as of the stamp that it has.
    if record.naming_stamp() == view.naming_stamp() || record.flags() & ENTRY_HAS_LINKS == 0 {
        let then = view.as_of(record.naming_stamp());
        let winner = match view.adoption().get(id) {
            Some(adopted) => view.entry(adopted.winner)?.map(|entry| entry.record.uuid()),
            None => None,
        };
        let derived = match live {
            true => derive(&then, (id, state), parent, winner, None)?,
            false => derive_phantom(&then, state, parent, winner),
        };
        let derived = sealed_id(id, derived);
        if derived != stored {
            let places = differing(view, &record, &ViewRecord::open(id, &derived)?);
            report.tell(format!(
                "id2entry: the view of entry number {} (entryUUID {}) differs from its state in {places}",
                id.0, state.uuid
            ));
        }
    } else {
        report.stale_links += 1;
    }
    let name = name_key(view.catalog(), parent, &String::from_utf8_lossy(record.rdn()));
    let mut tree = reader.cursor(Table::Dn2Id)?;
    if tree.seek_duplicate(&dn2id_key(parent, &name), &id.to_key())?.map(EntryId::from_key) != Some(id) {
        report.tell(format!(
            "dn2id: entry number {} ({}) is not below its superior",
            id.0,
            String::from_utf8_lossy(record.rdn())
        ));
    }
    keys.clear();
    match all_view_keys(reader, view.catalog(), id, &record, keys) {
        Ok(()) => {}
        Err(error) => report.tell(error.to_string()),
    }
    // A phantom shows no links.
    let misspelt = if live { super::spill::misspelt(view, id, 1)? } else { Vec::new() };
    for misspelt in misspelt {
        let text = String::from_utf8_lossy(&misspelt.text);
        report.tell(format!("bigvalues: entry number {} keeps {text} as the name of an entry that has another", id.0));
    }
    for key in keys.sorted() {
        if Postings::has(reader, key, id)? {
            report.index_records += 1;
        } else {
            report.tell(format!("index: entry number {} is missing at {}", id.0, key_text(view, key)));
        }
    }
    Ok(Some(parent))
}

/// Where two views of an entry differ.
fn differing(view: &View<'_>, one: &ViewRecord<'_>, other: &ViewRecord<'_>) -> String {
    let times = |record: &ViewRecord<'_>| (record.csn(), record.created_ms(), record.modified_ms());
    let heads = [
        ("its place", (one.parent(), one.rdn()) != (other.parent(), other.rdn())),
        ("times", times(one) != times(other)),
        ("flags", one.flags() != other.flags()),
    ];
    let mut places: Vec<&str> = heads.iter().filter(|(_, differs)| *differs).map(|(place, _)| *place).collect();
    let attributes: BTreeSet<_> = one.kinds().chain(other.kinds()).map(|(attribute, _)| attribute).collect();
    for attribute in attributes {
        let [ours, theirs] = [one, other].map(|record| record.any_attribute(attribute));
        if ours.map(|slice| (slice.flags, slice.set, slice.targets))
            != theirs.map(|slice| (slice.flags, slice.set, slice.targets))
        {
            places.extend(view.catalog().attribute(attribute).map(|info| info.key.as_str()));
        }
    }
    places.join(", ")
}

/// The digest of an entry, compared with that in its record and added to its bucket.
fn digest(
    view: &View<'_>,
    id: EntryId,
    state: &EntryState,
    sums: &mut [BucketSum],
    report: &mut CheckReport,
) -> Result<(), DitError> {
    for (attribute, held) in &state.attributes {
        if let Some(says) = &held.spilled {
            let is = Spilled::of(
                read_cells(view.reader(), view.catalog(), id, *attribute)?.iter().map(|(key, cell)| (key, cell)),
            );
            if (is.count, is.digest) != (says.count, says.digest) {
                report
                    .tell(format!("bigvalues: the sum of attribute {} of entry number {} is wrong", attribute.0, id.0));
            }
        }
    }
    let digest = digest_of(view, id, state)?;
    if stored_digest(view.reader(), view.catalog(), id)? != digest {
        report.tell(format!("id2state: the digest of entry number {} is not that of its state", id.0));
    }
    if let Some(sum) = sums.get_mut(usize::from(bucket_of(state.uuid))) {
        sum.replace(None, digest);
    }
    Ok(())
}

fn digest_sums(view: &View<'_>, sums: &[BucketSum], report: &mut CheckReport) -> Result<(), DitError> {
    let stored = view.digest_buckets()?;
    let mut all = BucketSum::default();
    for (bucket, (is, says)) in sums.iter().zip(&stored).enumerate() {
        all.merge(*is);
        if is != says {
            report
                .tell(format!("digest: bucket {bucket} has {} entries, its sum is of {} others", is.count, says.count));
        }
    }
    if view.digest()? != all {
        report.tell("digest: the sum of all is not that of the entries".to_owned());
    }
    Ok(())
}

fn is_born(view: &View<'_>, id: EntryId) -> bool {
    read_state(view.reader(), view.catalog(), id).ok().flatten().is_some_and(|state| state.born)
}

/// The live incarnation of an entryUUID that was born last.
fn last_incarnation(view: &View<'_>, uuid: EntryUuid) -> Result<Option<EntryId>, DitError> {
    let incarnations = view.incarnations(uuid)?;
    if incarnations.len() < 2 {
        return Ok(None);
    }
    let mut last = None;
    for id in incarnations {
        if let Some(state) = read_state(view.reader(), view.catalog(), id)?.filter(EntryState::is_live)
            && last.is_none_or(|(birth, _)| birth < state.birth)
        {
            last = Some((state.birth, id));
        }
    }
    Ok(last.map(|(_, id)| id))
}

/// The incarnation of an entryUUID that stands in the tree, live or phantom.
fn shown_incarnation(view: &View<'_>, uuid: EntryUuid) -> Result<Option<EntryId>, DitError> {
    for id in view.incarnations(uuid)? {
        if view.entry(id)?.is_some() {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// Who has which name, decided anew, against the table.
fn names(view: &View<'_>, report: &mut CheckReport) -> Result<(), DitError> {
    let adoption = view.adoption();
    let mut groups: BTreeMap<(EntryId, Vec<u8>), Vec<EntryId>> = BTreeMap::new();
    let mut cursor = view.reader().cursor(Table::Dn2Id)?;
    let mut item = cursor.first()?;
    while let Some((key, _)) = item {
        let Some((parent, name)) = key.split_first_chunk::<8>() else { break };
        let parent = EntryId(u64::from_be_bytes(*parent));
        if cursor.duplicate_count()? > 1 || adoption.is_adopted(parent) || adoption.has_losers(parent) {
            let group = groups.entry((adoption.host(parent), name.to_vec())).or_default();
            while let Some((_, id)) = item {
                group.push(EntryId::from_key(id));
                item = cursor.next_duplicate()?;
            }
        }
        item = cursor.next_key()?;
    }
    let mut decided = BTreeMap::new();
    for group in groups.values() {
        let mut claims = Vec::with_capacity(group.len());
        for id in group {
            if let Some(state) = read_state(view.reader(), view.catalog(), *id)? {
                let phantom = view.entry(*id)?.is_some_and(|entry| entry.record.flags() & ENTRY_PHANTOM != 0);
                claims.push((claim_of(&state, phantom), *id));
            }
        }
        claims.sort_unstable();
        let mut claims = claims.into_iter();
        if let Some((_, winner)) = claims.next() {
            decided.extend(claims.map(|(_, loser)| (loser, winner)));
        }
    }
    report.losers = decided.len() as u64;
    let stored: BTreeMap<EntryId, EntryId> = adoption.iter().collect();
    for id in decided.keys().chain(stored.keys()).collect::<BTreeSet<_>>() {
        if decided.get(id) != stored.get(id) {
            report.tell(format!(
                "adopted: the name of entry number {} has {:?}, and the table says {:?}",
                id.0,
                decided.get(id),
                stored.get(id)
            ));
        }
    }
    Ok(())
}

fn counters(
    reader: Reader<'_>,
    counted: &BTreeMap<EntryId, u64>,
    tree_records: u64,
    report: &mut CheckReport,
) -> Result<(), DitError> {
    let mut stored: BTreeMap<EntryId, u64> = BTreeMap::new();
    let mut cursor = reader.cursor(Table::Subordinates)?;
    let mut item = cursor.first()?;
    while let Some((key, count)) = item {
        stored.insert(EntryId::from_key(key), count.try_into().map_or(u64::MAX, u64::from_ne_bytes));
        item = cursor.next()?;
    }
    for id in counted.keys().chain(stored.keys()).filter(|id| **id != EntryId::NONE) {
        let (is, says) = (counted.get(id).copied().unwrap_or(0), stored.get(id).copied().unwrap_or(0));
        if is != says {
            report.tell(format!("subordinates: entry number {} has {is}, the counter says {says}", id.0));
        }
    }
    let records = reader.count(Table::Dn2Id)?;
    if records != tree_records {
        report.tell(format!("dn2id: {records} records for {tree_records} live entries"));
    }
    Ok(())
}

/// Finds index records that no entry calls for.
fn extra_index_records(view: &View<'_>, report: &mut CheckReport) -> Result<(), DitError> {
    let mut cursor = IndexCursor::seek(view.reader(), &[], EntryId::NONE)?;
    let mut keys = KeySet::default();
    while let Some((key, id)) = cursor.next()? {
        keys.clear();
        let called_for = match view.entry(id) {
            Ok(Some(entry)) => {
                all_view_keys(view.reader(), view.catalog(), id, &entry.record, &mut keys)?;
                keys.sorted().binary_search(&key).is_ok()
            }
            Ok(None) => false,
            Err(_) => true,
        };
        if !called_for {
            report.tell(format!("index: entry number {} stands at {} for no reason", id.0, key_text(view, key)));
        }
    }
    Ok(())
}

fn views_without_state(reader: Reader<'_>, report: &mut CheckReport) -> Result<(), DitError> {
    let mut cursor = reader.cursor(Table::Id2Entry)?;
    let mut item = cursor.first()?;
    while let Some((key, _)) = item {
        if reader.get(Table::Id2State, key)?.is_none() {
            report.tell(format!("id2entry: entry number {} is shown and has no state", EntryId::from_key(key).0));
        }
        item = cursor.next()?;
    }
    Ok(())
}

/// The log of each origin is dense from its floor to what is held, every record is whole and follows the one before it.
fn log(view: &View<'_>, report: &mut CheckReport) -> Result<(), DitError> {
    let reader = view.reader();
    let all = all_held(reader)?;
    let mut chain: Option<(OriginId, OriginPosition)> = None;
    let mut counts: BTreeMap<OriginId, u64> = BTreeMap::new();
    let mut cursor = reader.cursor(Table::Log)?;
    let mut item = cursor.first()?;
    while let Some((key, value)) = item {
        report.log_records += 1;
        report.log_bytes += value.len() as u64;
        let (origin, sequence) = log_place(key);
        let held = all.get(&origin).copied().unwrap_or_default();
        match open_record(view.catalog(), key, value) {
            // What lies below the floor awaits its trimming.
            Ok(_) if sequence < held.floor => {}
            Ok(record) => {
                *counts.entry(origin).or_default() += 1;
                if let Some((_, before)) = chain.filter(|(of, _)| *of == origin)
                    && !record.follows(&before)
                {
                    report.tell(format!("log: record {sequence} of origin {origin} does not follow the one before it"));
                }
                chain = Some((origin, OriginPosition { sequence, chain: record.chain, closed: None }));
                if sequence == held.position.sequence && record.chain != held.position.chain {
                    report.tell(format!("vector: the chain of origin {origin} is not that of its last record"));
                }
            }
            Err(error) => report.tell(error.to_string()),
        }
        item = cursor.next()?;
    }
    for (origin, held) in &all {
        let (is, should) =
            (counts.get(origin).copied().unwrap_or(0), (held.position.sequence + 1).saturating_sub(held.floor));
        if is != should {
            report.tell(format!("log: {is} records of origin {origin}, its vector element says {should}"));
        }
    }
    let origin = OriginId(reader.meta_u64(MetaName::Origin)?);
    let (own, last) = (all.get(&origin).copied().unwrap_or_default(), reader.meta_u64(MetaName::Sequence)?);
    if own.position.sequence != last {
        report.tell(format!("vector: this node's origin is at {} and the sequence is {last}", own.position.sequence));
    }
    Ok(())
}

fn key_text(view: &View<'_>, key: &[u8]) -> String {
    let attribute = key.first_chunk::<4>().map_or(u32::MAX, |bytes| u32::from_be_bytes(*bytes));
    let name = view.catalog().attribute(crate::state::AttributeId(attribute)).map_or("?", |info| info.name.as_str());
    let kind = key.get(4).map_or('?', |byte| char::from(*byte));
    format!("{name} {kind} {}", String::from_utf8_lossy(key.get(5..).unwrap_or_default()).escape_debug())
}
