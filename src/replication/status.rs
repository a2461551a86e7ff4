//! What an operator is shown of a node's part in replication, as JSON and as names with values.
//!
//! One place for both, so that the command line and cn=monitor never say different things. Times are given as ages in
//! milliseconds, for clocks of operators and nodes differ.

use serde_json::{Value, json};

use super::engine::name_of;
use super::identity::hexadecimal;
use super::membership::{role_text, state_text};
use super::service::{Repaired, Report};
use super::{LocalWrites, Member, MemberState, MemberStatus, MemberVerdict, NodeId};

/// How a member stands to this node, in the fixed words.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// The same changes, the same content.
    Equal,
    /// Changes are on their way, or nothing is known.
    CatchingUp,
    /// The same changes, other content.
    Different,
}

impl Verdict {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "EQUAL",
            Self::CatchingUp => "CATCHING UP",
            Self::Different => "DIFFERENT",
        }
    }
}

/// The verdict on a member; what one has not heard of for a while one does not know.
pub fn verdict(member: &MemberStatus) -> Verdict {
    match member.verdict {
        MemberVerdict::Different => Verdict::Different,
        MemberVerdict::Equal => Verdict::Equal,
        MemberVerdict::Unknown | MemberVerdict::CatchingUp { .. } => Verdict::CatchingUp,
    }
}

/// Whether clients' changes are taken, in one word.
pub fn local_writes_text(writes: LocalWrites) -> &'static str {
    match writes {
        LocalWrites::Open => "open",
        LocalWrites::Starting => "starting",
        LocalWrites::Joining => "joining",
        LocalWrites::CatchingUp => "catching-up",
        LocalWrites::Withdrawn => "withdrawn",
        LocalWrites::ReadOnly => "read-only",
        LocalWrites::Held => "held",
    }
}

/// Everything.
pub fn report_json(report: &Report) -> Value {
    let status = &report.status;
    let known: Vec<Member> =
        status.members.iter().map(|member| member.member.clone()).chain(report.own.clone()).collect();
    let names = |nodes: &[NodeId]| nodes.iter().map(|node| name_of(*node, &known)).collect::<Vec<_>>();
    json!({
        "node": status.node.to_string(),
        "name": report.own.as_ref().map(|own| own.name.clone()),
        "role": report.own.as_ref().map(|own| role_text(own.role)),
        "state": report.own.as_ref().map(|own| state_text(own.state)),
        "site": report.own.as_ref().map(|own| own.site.clone()).filter(|site| !site.is_empty()),
        "origin": status.origin.to_string(),
        "addresses": report.own.as_ref().map(|own| own.addresses.clone()),
        "port": report.port,
        "writes": local_writes_text(status.local_writes),
        "clock_jumped_ms": report.clock_jumped_ms,
        "clock_epoch": status.epoch,
        "digest": format!("{:032x}", status.digest.sum),
        "entries": status.digest.count,
        "vector": vector(report),
        "stable_cut": status.stable_cut.iter().map(|(origin, at)| (origin.to_string(), json!(at))).collect::<serde_json::Map<_, _>>(),
        "cut_held_by": names(&status.cut_held_by),
        "exchange": status.exchange.as_ref().map(|exchange| json!({
            "with": name_of(exchange.peer, &known),
            "entries": exchange.entries,
            "entries_total": exchange.entries_total,
        })),
        "quarantined": status.quarantined.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "applied_total": status.applied_total,
        "certificate_ends_s": report.certificate_ends_s,
        "conflicts": report.counts.conflicts,
        "suspects": report.counts.suspects,
        "untold_conflicts": report.untold.iter().map(|range| json!({
            "origin": range.origin.to_string(),
            "member": known.iter().find(|member| member.origins.contains(&range.origin)).map(|member| &member.name),
            "first": range.first,
            "last": range.last,
            "overridden": range.count,
            "at_ms": range.at_ms,
        })).collect::<Vec<_>>(),
        "log_records": report.counts.log_records,
        "leaving": report.leaving,
        "filling_anew": report.filling,
        "repaired": report.repaired.iter().map(|repair| json!({
            "at_ms": repair.at_ms,
            "with": name_of(repair.peer, &known),
            "entries": repair.entries.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "alarms": report.alarms.iter().map(|(at_ms, text)| json!({ "at_ms": at_ms, "text": text })).collect::<Vec<_>>(),
        "members": status.members.iter().map(|member| member_json(member, report)).collect::<Vec<_>>(),
    })
}

fn vector(report: &Report) -> serde_json::Map<String, Value> {
    report.status.vector.iter().map(|(origin, position)| (origin.to_string(), json!(position.sequence))).collect()
}

fn member_json(status: &MemberStatus, report: &Report) -> Value {
    let member = &status.member;
    let counts = |counts: &std::collections::BTreeMap<crate::state::OriginId, u64>| {
        counts.iter().map(|(origin, count)| (origin.to_string(), json!(count))).collect::<serde_json::Map<_, _>>()
    };
    let error = report.unreachable.iter().find(|(node, _)| *node == member.node).map(|(_, error)| error.clone());
    let traffic = report.traffic.iter().find(|(node, _)| *node == member.node).map(|(_, traffic)| *traffic);
    let lacking = report.lacking_ms.iter().find(|(node, _)| *node == member.node).map(|(_, ms)| *ms);
    // Who has left gets nothing more, and nobody waits for what it had.
    let has_left = member.state == MemberState::Retired;
    let none = std::collections::BTreeMap::new();
    let (backlog, missing) = if has_left { (&none, &none) } else { (&status.backlog, &status.missing) };
    json!({
        "node": member.node.to_string(),
        "name": member.name,
        "role": role_text(member.role),
        "state": state_text(member.state),
        "origin": status.peer.as_ref().and_then(|peer| peer.origin).map(|origin| origin.to_string()),
        "origins": member.origins.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "site": Some(&member.site).filter(|site| !site.is_empty()),
        "addresses": member.addresses,
        "connected": status.peer.is_some(),
        "connected_ms": status.peer.as_ref().map(|peer| peer.connected_ms),
        "dialled": status.peer.as_ref().map(|peer| peer.dialled),
        "unreachable": error.filter(|_| status.peer.is_none()),
        "heard_ms_ago": status.heard_ms_ago,
        "silent_ms": status.silent_ms,
        "backlog": counts(backlog),
        "backlog_total": backlog.values().sum::<u64>(),
        "backlog_age_ms": status.backlog_age_ms.filter(|_| !has_left),
        "missing": counts(missing),
        "missing_total": missing.values().sum::<u64>(),
        "missing_age_ms": lacking.filter(|_| !has_left),
        "sent_bytes": traffic.map(|traffic| traffic.sent),
        "received_bytes": traffic.map(|traffic| traffic.received),
        "compressed": traffic.map(|traffic| traffic.compressed),
        "differing": status.differing.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "apply_rate": status.peer.as_ref().map(|peer| (peer.apply_rate * 10.0).round() / 10.0),
        "round_trip_ms": status.peer.as_ref().and_then(|peer| peer.round_trip_ms),
        "clock_offset_ms": status.peer.as_ref().and_then(|peer| peer.clock_offset_ms),
        "under_way_bytes": status.peer.as_ref().map(|peer| peer.under_way_bytes),
        "holds_cut": report.status.cut_held_by.contains(&member.node),
        "verdict": if has_left { state_text(member.state) } else { verdict(status).as_str() },
    })
}

/// An entry for cn=monitor: its name, what it is about, names and values.
pub type MonitorLines = (String, String, Vec<(String, String)>);

/// The node's own entry and one for each member.
pub fn monitor_lines(report: &Report) -> Vec<MonitorLines> {
    let own = report_json(report);
    let mut entries = vec![(
        "replication".to_owned(),
        "This node's part in its cluster".to_owned(),
        flat(&own, &["members", "alarms", "vector", "stable_cut", "repaired", "untold_conflicts"]),
    )];
    for (name, part) in [("vector", "vector"), ("stable_cut", "stable_cut")] {
        if let (Some((_, _, lines)), Some(Value::Object(positions))) = (entries.first_mut(), own.get(part)) {
            lines.extend(positions.iter().map(|(origin, at)| (format!("{name}_{origin}"), at.to_string())));
        }
    }
    if let Some((_, _, lines)) = entries.first_mut() {
        lines.extend(report.alarms.iter().map(|(at_ms, text)| ("alarm".to_owned(), format!("{at_ms} {text}"))));
        lines.extend(report.repaired.iter().map(|repair| ("repaired".to_owned(), repaired_line(repair, report))));
    }
    for member in &report.status.members {
        let lines = flat(&member_json(member, report), &[]);
        let id = hexadecimal(&member.member.node.0);
        entries.push((format!("replication-{id}"), "Another member as seen from here".to_owned(), lines));
    }
    entries
}

/// When, with whom, which entries.
fn repaired_line(repair: &Repaired, report: &Report) -> String {
    let members = report.status.members.iter().map(|member| member.member.clone());
    let members: Vec<Member> = members.chain(report.own.clone()).collect();
    let entries: Vec<String> = repair.entries.iter().map(ToString::to_string).collect();
    format!("{} with {}: {}", repair.at_ms, name_of(repair.peer, &members), entries.join(" "))
}

/// The members of an object as text; inner objects as `name_key`, lists with blanks, what is not there is left out.
fn flat(value: &Value, without: &[&str]) -> Vec<(String, String)> {
    let Value::Object(fields) = value else { return Vec::new() };
    let mut lines = Vec::new();
    for (name, value) in fields.iter().filter(|(name, _)| !without.contains(&name.as_str())) {
        match value {
            Value::Null => {}
            Value::Object(inner) => {
                lines.extend(inner.iter().map(|(key, value)| (format!("{name}_{key}"), text(value))));
            }
            Value::Array(items) if items.is_empty() => {}
            Value::Array(items) => lines.push((name.clone(), items.iter().map(text).collect::<Vec<_>>().join(" "))),
            value => lines.push((name.clone(), text(value))),
        }
    }
    lines
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}
