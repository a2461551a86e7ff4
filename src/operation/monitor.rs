//! cn=monitor: how the server does, as entries, for the administrator and for whom the rules tell them (`telling`).
//!
//! What this floor knows is here (counters, store, version); other floors hand in theirs through
//! [`Directory::add_monitor`]. Values are texts `name: value`, so that a new number needs no new attribute type.

use super::Directory;
use super::virtual_entry::{VirtualEntry, attribute};
use crate::dit::{ConflictKind, encrypted_with};
use crate::schema::time::format_generalized_time;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The name of the entry above them.
pub(super) const DN: &str = "cn=monitor";

/// One entry below cn=monitor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MonitorEntry {
    /// Its `cn`: letters, digits and hyphens.
    pub name: String,
    /// What it is about, one sentence.
    pub description: String,
    /// Names and values, in the order to show.
    pub lines: Vec<(String, String)>,
}

/// Makes entries when somebody looks. Runs in the thread of whoever asks; must be quick.
pub type MonitorProvider = Box<dyn Fn() -> Vec<MonitorEntry> + Send + Sync>;

pub(super) struct NamedEntry {
    /// `None`: the entry above.
    pub(super) name: Option<String>,
    pub(super) entry: VirtualEntry,
}

/// All entries, cn=monitor first.
pub(super) fn entries(directory: &Directory) -> Vec<NamedEntry> {
    let mut made = own(directory);
    let providers = directory.monitors.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for provider in providers.iter() {
        made.extend(provider());
    }
    drop(providers);
    let since = format_generalized_time(directory.started_ms);
    let now = format_generalized_time(i64::try_from(directory.dit.clock().wall_ms()).unwrap_or(i64::MAX));
    let top = MonitorEntry {
        name: "monitor".to_owned(),
        description: "How this server does; the entries below say it in numbers".to_owned(),
        lines: vec![
            ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("started".to_owned(), since.clone()),
            ("now".to_owned(), now.clone()),
        ],
    };
    let named = |monitor: MonitorEntry, is_top: bool| {
        let dn = if is_top { DN.to_owned() } else { format!("cn={},{DN}", monitor.name) };
        let attributes = [
            attribute("objectClass", ["top", "monitoredObject"]),
            attribute("cn", [&monitor.name]),
            attribute("description", [&monitor.description]),
            attribute("monitoredInfo", monitor.lines.iter().map(|(name, value)| format!("{name}: {value}"))),
            attribute("createTimestamp", [&since]),
            attribute("modifyTimestamp", [&now]),
            attribute("entryDN", [&dn]),
            attribute("structuralObjectClass", ["monitoredObject"]),
            attribute("subschemaSubentry", [super::subschema_entry::DN]),
            attribute("hasSubordinates", [if is_top { "TRUE" } else { "FALSE" }]),
        ];
        let attributes = Arc::new(attributes.into_iter().flatten().collect());
        NamedEntry { name: (!is_top).then_some(monitor.name), entry: VirtualEntry { dn, attributes } }
    };
    let below = made.into_iter().map(|entry| named(entry, false)).collect::<Vec<_>>();
    std::iter::once(named(top, true)).chain(below).collect()
}

fn own(directory: &Directory) -> Vec<MonitorEntry> {
    let samples = directory.metrics.samples();
    let pick = |wanted: &dyn Fn(&str) -> bool| -> Vec<(String, String)> {
        let picked = samples.iter().filter(|sample| wanted(sample.name));
        picked.map(|sample| (sample.name.to_owned(), sample.value.to_string())).collect()
    };
    let about = |name: &str, parts: &[&str]| parts.iter().any(|part| name.starts_with(part));
    let connections = pick(&|name| about(name, &["connections_", "tls_", "bytes_"]));
    let operations = pick(&|name| !about(name, &["connections_", "tls_", "bytes_", "writer_"]));
    let stats = directory.writer.stats();
    let queue = [("queued", &stats.queued), ("commits", &stats.commits), ("changes", &stats.changes)];
    let mut queue: Vec<_> =
        queue.map(|(name, number)| (name.to_owned(), number.load(Ordering::Relaxed).to_string())).into();
    queue.push(("poisoned".to_owned(), directory.writer.is_poisoned().to_string()));
    let entry = |name: &str, description: &str, lines| MonitorEntry {
        name: name.to_owned(),
        description: description.to_owned(),
        lines,
    };
    vec![
        entry("connections", "Connections and bytes since the start", connections),
        entry("operations", "Requests answered since the start", operations),
        entry("queue", "Changes that wait for the writer, and what it did since the start", queue),
        entry("conflicts", "What concurrent changes have cost; cn=conflicts says more", conflicts(directory)),
        entry("store", "The data file", store(directory)),
    ]
}

fn conflicts(directory: &Directory) -> Vec<(String, String)> {
    let counted = || -> Result<Vec<(String, String)>, crate::dit::DitError> {
        let snapshot = directory.dit.read()?;
        let view = snapshot.view();
        let open = view.open_conflicts()?;
        let mut lines = vec![
            ("lost_changes".to_owned(), view.conflict_count()?.to_string()),
            (
                "not_judged".to_owned(),
                view.untold_conflicts()?.iter().map(|range| range.count).sum::<u64>().to_string(),
            ),
            ("schema_suspects".to_owned(), view.suspect_count()?.to_string()),
            ("deleted_kept".to_owned(), view.deleted_count()?.to_string()),
            ("open".to_owned(), open.values().sum::<u64>().to_string()),
        ];
        // Shared values are not looked through for every reader of this.
        for kind in ConflictKind::ALL.into_iter().filter(|kind| *kind != ConflictKind::UniqueViolation) {
            let count = open.get(&kind).copied().unwrap_or(0);
            lines.push((format!("open_{}", kind.name().replace('-', "_")), count.to_string()));
        }
        Ok(lines)
    };
    match counted() {
        Ok(lines) => lines,
        Err(error) => {
            tracing::error!(%error, "conflicts cannot be counted");
            Vec::new()
        }
    }
}

fn store(directory: &Directory) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    match directory.dit.environment().stats() {
        Ok(stats) => {
            lines.push(("used_bytes".to_owned(), stats.used_bytes.to_string()));
            lines.push(("map_bytes".to_owned(), stats.map_bytes.to_string()));
            lines.push(("last_transaction".to_owned(), stats.last_transaction.to_string()));
            lines.push(("readers".to_owned(), stats.readers.to_string()));
            let tables =
                stats.tables.iter().map(|table| (format!("{}_records", table.name), table.records.to_string()));
            lines.extend(tables);
        }
        Err(error) => tracing::error!(%error, "the data file cannot be measured"),
    }
    lines.extend(encryption(directory));
    lines
}

/// What of the data file is encrypted (the names only), and with which key; that something is left in clear says `none`.
fn encryption(directory: &Directory) -> Vec<(String, String)> {
    let catalog = directory.dit.catalog();
    let read = || encrypted_with(directory.dit.read()?.view().reader());
    let (key, mut names) = match read() {
        Ok(Some((key, oids))) => {
            let name = |oid: &String| {
                catalog.schema().attribute_type(oid).map_or_else(|| oid.clone(), |found| found.name().to_owned())
            };
            (Some(key), oids.iter().map(name).collect::<Vec<_>>())
        }
        Ok(None) => (None, Vec::new()),
        Err(error) => {
            tracing::error!(%error, "it cannot be read what is encrypted");
            return Vec::new();
        }
    };
    names.sort_unstable();
    let listed = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let key = key.map(|key| ("encryption_key".to_owned(), key.to_string()));
    std::iter::once(("encrypted_attributes".to_owned(), listed)).chain(key).collect()
}
