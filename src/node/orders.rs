//! Orders of the administrator about the cluster: what `entente invite` and `entente replica` ask of a running node.
//!
//! An order and its answer are JSON. What a member has to do by itself (leave, write no more) is waited for here, so that
//! the command can say what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::dit::{Dit, DitError, View};
use crate::model::EntryUuid;
use crate::replication::door::address_error;
use crate::replication::identity::node_of;
use crate::replication::invite::ADDRESSES_MAX;
use crate::replication::membership::{members, role_of, state_text};
use crate::replication::service::{Report, Service};
use crate::replication::status::{Verdict, report_json, verdict};
use crate::replication::{Member, MemberState, MemberStatus, NodeId, Role};
use crate::storage::EntryId;

use super::replication::{INVITE_VALID_S, INVITE_VALID_S_MAX};

/// Between looks.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest that a verification waits, milliseconds.
const VERIFY_MS_MAX: u64 = 600_000;
/// How long a member may take to do what it is asked.
const ASKED_TIME_MAX: Duration = Duration::from_secs(30);
/// Entries named in a verification.
const NAMED_MAX: usize = 20;

/// Carries out one order.
pub(super) async fn obey(service: &Service, dit: &Arc<Dit>, order: &Value) -> Result<Value, String> {
    let text = |name: &str| order.get(name).and_then(Value::as_str);
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let role = || role_of(text("role").unwrap_or("supplier")).ok_or("the role is supplier, consumer or hub");
    let named = |state| member(dit, text("member").unwrap_or_default(), state);
    match text("order") {
        Some("status") => {
            let mut status = report_json(&service.report().await.map_err(|error| failed(&error))?);
            let open = dit.read().and_then(|snapshot| snapshot.view().open_conflicts());
            let open = open.map_err(|error| failed(&error))?;
            if let Value::Object(status) = &mut status {
                let open = open.into_iter().map(|(kind, count)| (kind.name().to_owned(), json!(count))).collect();
                status.insert("open_conflicts".to_owned(), open);
            }
            Ok(status)
        }
        Some("verify") => {
            let wait_ms = order.get("wait_ms").and_then(Value::as_u64).unwrap_or(10_000).min(VERIFY_MS_MAX);
            let digests = order.get("digests").and_then(Value::as_bool).unwrap_or_default();
            verify(service, dit, Duration::from_millis(wait_ms), digests).await
        }
        Some("invite") => {
            let valid_s = order.get("valid_s").and_then(Value::as_u64).unwrap_or(INVITE_VALID_S);
            if !(1..=INVITE_VALID_S_MAX).contains(&valid_s) {
                return Err("an invitation is good for one second at least and 30 days at most".to_owned());
            }
            let token = service.invite(role()?, valid_s).await.map_err(|error| failed(&error))?;
            Ok(json!({ "token": *token }))
        }
        Some("set-state") => {
            let state = match text("state") {
                Some("active") => MemberState::Active,
                Some("suspended") => MemberState::Suspended,
                Some("retired") => MemberState::Retired,
                _ => return Err("the state is active, suspended or retired".to_owned()),
            };
            let node = named(state)?;
            let at_once = order.get("at_once").and_then(Value::as_bool).unwrap_or_default();
            let report = service.report().await.map_err(|error| failed(&error))?;
            let runs = report.status.members.iter().any(|known| known.member.node == node && known.peer.is_some());
            service.set_state(node, state, at_once).await.map_err(|error| failed(&error))?;
            // What the member's own end was, once it is told: whoever leaves by itself is waited for.
            let member = wait_for(service, dit, node, |member| member.state == state).await?;
            let Some(member) = member else { return Err(unanswered(&name_of(dit, node), "leave")) };
            Ok(json!({ "node": node.to_string(), "state": state_text(member.state), "runs": runs }))
        }
        Some("set-role") => {
            let node = named(MemberState::Active)?;
            let role: Role = role()?;
            service.set_role(node, role).await.map_err(|error| failed(&error))?;
            let member = wait_for(service, dit, node, |member| member.role == role).await?;
            member.map(|_| json!({ "node": node.to_string() })).ok_or_else(|| unanswered(&name_of(dit, node), "change"))
        }
        Some("set-addresses") => {
            let node = named(MemberState::Active)?;
            let listed = order.get("addresses").and_then(Value::as_array).into_iter().flatten();
            let addresses: Vec<String> = listed.filter_map(Value::as_str).map(str::to_owned).collect();
            if addresses.is_empty() || addresses.len() > ADDRESSES_MAX {
                return Err(format!("give 1 to {ADDRESSES_MAX} addresses"));
            }
            for address in &addresses {
                match address_error(address) {
                    None if address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) => {}
                    None => return Err(format!("{address}: an address is HOST:PORT")),
                    Some(why) => return Err(format!("{address}: {why}")),
                }
            }
            service.set_addresses(node, addresses).await.map_err(|error| failed(&error))?;
            Ok(json!({ "node": node.to_string() }))
        }
        Some("clock-accept") => {
            let moved_ms = service.accept_clock().await.map_err(|error| failed(&error))?;
            Ok(json!({ "moved_ms": moved_ms }))
        }
        Some("clock-epoch") => {
            let epoch = service.begin_epoch().await.map_err(|error| failed(&error))?;
            Ok(json!({ "epoch": epoch }))
        }
        _ => Err("this server does not know the order; it may be of an older version".to_owned()),
    }
}

fn unanswered(name: &str, what: &str) -> String {
    format!(
        "{name} was asked to {what} and has not answered within {} s; it will when it is heard again. If it is gone for \
         good: entente replica retire --now {name}",
        ASKED_TIME_MAX.as_secs()
    )
}

/// Waits until a member's entry fits; `None` when it does not in time.
async fn wait_for(
    service: &Service,
    dit: &Dit,
    node: NodeId,
    fits: impl Fn(&Member) -> bool,
) -> Result<Option<Member>, String> {
    let started = dit.clock().monotonic();
    loop {
        let report: Report = service.report().await.map_err(|error| error.to_string())?;
        let own = report.own.iter();
        let found =
            report.status.members.iter().map(|member| &member.member).chain(own).find(|known| known.node == node);
        if let Some(member) = found.filter(|member| fits(member)) {
            return Ok(Some(member.clone()));
        }
        if dit.clock().monotonic().saturating_sub(started) >= ASKED_TIME_MAX {
            return Ok(None);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn name_of(dit: &Dit, node: NodeId) -> String {
    let known = dit.read().and_then(|snapshot| members(snapshot.view())).unwrap_or_default();
    let name = known.into_iter().find(|member| member.node == node).map(|member| member.name);
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| node.to_string())
}

/// The member that a person means: its node id, the beginning of it, or its name. Whoever has left is meant only where
/// it is to come back, or to leave again.
fn member(dit: &Dit, text: &str, state: MemberState) -> Result<NodeId, String> {
    let known =
        dit.read().and_then(|snapshot| members(snapshot.view())).map_err(|error: DitError| error.to_string())?;
    if let Some(node) = node_of(text).filter(|node| known.iter().any(|member| member.node == *node)) {
        return Ok(node);
    }
    let fits = |name: &str, node: NodeId| {
        name.eq_ignore_ascii_case(text) || (text.len() >= 4 && node.to_string().starts_with(&text.to_ascii_lowercase()))
    };
    let found: Vec<&Member> = known.iter().filter(|member| fits(&member.name, member.node)).collect();
    let (gone, here): (Vec<&Member>, Vec<&Member>) =
        found.into_iter().partition(|member| member.state == MemberState::Retired);
    let meant = if here.is_empty() && state != MemberState::Suspended { gone } else { here };
    match meant.as_slice() {
        [one] => Ok(one.node),
        [] => Err(format!("there is no member {text}; `entente replica status` lists them")),
        several => {
            let ids: Vec<String> = several.iter().map(|member| member.node.to_string()).collect();
            Err(format!("{text} means more than one member; give its node id: {}", ids.join(" or ")))
        }
    }
}

/// Waits until all members are equal, or until `wait` is over, and tells how each stands.
async fn verify(service: &Service, dit: &Arc<Dit>, wait: Duration, digests: bool) -> Result<Value, String> {
    let started = dit.clock().monotonic();
    let report = loop {
        let report = service.report().await.map_err(|error| error.to_string())?;
        let worst = judged(&report).map(verdict).max().unwrap_or(Verdict::Equal);
        let elapsed = dit.clock().monotonic().saturating_sub(started);
        if worst == Verdict::Equal || elapsed >= wait {
            break report;
        }
        tokio::time::sleep(PAUSE).await;
    };
    let reader = Arc::clone(dit);
    let told = tokio::task::spawn_blocking(move || {
        let snapshot = reader.read()?;
        verified(snapshot.view(), &report, digests)
    });
    told.await.map_err(|error| error.to_string())?.map_err(|error: DitError| error.to_string())
}

fn judged(report: &Report) -> impl Iterator<Item = &MemberStatus> {
    report.status.members.iter().filter(|member| member.member.state != MemberState::Retired)
}

fn verified(view: View<'_>, report: &Report, digests: bool) -> Result<Value, DitError> {
    let mut suffixes: Vec<(EntryId, String)> = Vec::new();
    for id in view.suffixes()? {
        suffixes.extend(view.dn_text(id)?.map(|name| (id, name)));
    }
    let sums = if digests { view.suffix_digests()? } else { BTreeMap::new() };
    let worst = judged(report).map(verdict).max().unwrap_or(Verdict::Equal);
    let (mut lines, mut shown) = (Vec::new(), Vec::new());
    for member in judged(report) {
        let places = places(view, &member.differing)?;
        for (id, suffix) in &suffixes {
            let here: Vec<&Place> = places.iter().filter(|place| place.suffix == Some(*id)).collect();
            // What differs was looked for entry by entry: a suffix without any of it is equal.
            let is_spared = !places.is_empty() && here.is_empty() && places.iter().all(|place| place.suffix.is_some());
            let verdict = match verdict(member) {
                Verdict::Different if is_spared => Verdict::Equal,
                verdict => verdict,
            };
            let differing = if verdict == Verdict::Different { here } else { Vec::new() };
            lines.push(json!({
                "suffix": suffix,
                "node": member.member.node.to_string(),
                "name": member.member.name,
                "verdict": verdict.as_str(),
                "state": state_text(member.member.state),
                "connected": member.peer.is_some(),
                "backlog": member.backlog.values().sum::<u64>(),
                "missing": member.missing.values().sum::<u64>(),
                "backlog_age_ms": member.backlog_age_ms,
                "differing": differing.iter().map(|place| json!({ "dn": place.name, "uuid": place.uuid })).collect::<Vec<_>>(),
            }));
        }
    }
    for (id, suffix) in &suffixes {
        let sum = sums.get(id);
        shown.push(json!({
            "suffix": suffix,
            "entries": sum.map(|sum| sum.count),
            "digest": sum.map(|sum| format!("{:032x}", sum.sum)),
        }));
    }
    let mut repaired = Vec::new();
    for repair in &report.repaired {
        let places = places(view, &repair.entries)?;
        let peer = report.status.members.iter().find(|member| member.member.node == repair.peer);
        repaired.push(json!({
            "at_ms": repair.at_ms,
            "with": peer.map_or_else(|| repair.peer.to_string(), |peer| peer.member.name.clone()),
            "entries": places.iter().map(|place| json!({ "dn": place.name, "uuid": place.uuid })).collect::<Vec<_>>(),
        }));
    }
    Ok(json!({
        "verdict": worst.as_str(),
        "digest": format!("{:032x}", report.status.digest.sum),
        "entries": report.status.digest.count,
        "suffixes": shown,
        "members": lines,
        "repaired": repaired,
        "quarantined": report.status.quarantined.iter().take(NAMED_MAX).map(ToString::to_string).collect::<Vec<_>>(),
    }))
}

/// Where an entry stands here.
struct Place {
    uuid: String,
    /// Empty where it is not shown here.
    name: String,
    suffix: Option<EntryId>,
}

fn places(view: View<'_>, entries: &[EntryUuid]) -> Result<Vec<Place>, DitError> {
    let mut places = Vec::new();
    for uuid in entries.iter().take(NAMED_MAX) {
        let mut place = Place { uuid: uuid.to_string(), name: String::new(), suffix: None };
        if let Some(id) = view.by_uuid(*uuid)?
            && let Some(entry) = view.entry(id)?
        {
            place.name = view.dn_text(id)?.unwrap_or_default();
            place.suffix = Some(view.superiors(&entry)?.last().copied().unwrap_or(id));
        }
        places.push(place);
    }
    Ok(places)
}
