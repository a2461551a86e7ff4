//! Between the LDAP door and the cluster: settings, the gate for changes, orders, cn=monitor.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::config::Config;
use crate::dit::{Dit, DitError};
use crate::model::ResultCode;
use crate::operation::assurance::{Acknowledged, Acknowledgements, DurabilityRequest};
use crate::operation::{Directory, MonitorEntry, WriteGate};
use crate::replication::identity::{hexadecimal, node_of};
use crate::replication::membership::{members, role_of};
use crate::replication::service::{Compression, Gate, Service, ServiceOptions};
use crate::replication::status::{Verdict, monitor_lines, report_json, verdict};
use crate::replication::{Durability, LocalWrites, MemberState, NodeId, Options, Role};
use crate::state::Dot;
use crate::transport::ListenUrl;
use crate::wire::assurance::DurabilityLevel;

/// How long an invitation is good where nothing else is said, seconds.
pub const INVITE_VALID_S: u64 = 3600;
/// The longest, seconds.
const INVITE_VALID_S_MAX: u64 = 30 * 24 * 3600;
/// Between looks of a verification.
const VERIFY_PAUSE: Duration = Duration::from_millis(100);
/// The longest that a verification waits, milliseconds.
const VERIFY_MS_MAX: u64 = 600_000;

/// What the settings say of replication.
pub fn service_options(config: &Config, urls: &[ListenUrl]) -> ServiceOptions {
    let replication = &config.replication;
    let (host, port) = split_port(&replication.listen);
    let machine = host_name();
    ServiceOptions {
        host,
        port,
        advertise: replication.advertise.clone(),
        compression: match replication.compression {
            crate::config::Compression::Auto => Compression::Auto,
            crate::config::Compression::Always => Compression::Always,
            crate::config::Compression::Never => Compression::Never,
        },
        urls: urls.iter().filter_map(|url| client_url(url, &machine)).collect(),
        name: if replication.name.is_empty() { machine } else { replication.name.clone() },
        limits: Options {
            offline_ms_max: u64::from(replication.offline_days) * 24 * 3_600_000,
            log_records_kept: replication.log_records,
            ..Options::default()
        },
    }
}

/// `HOST` or `HOST:PORT`.
fn split_port(text: &str) -> (String, Option<u16>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
            Ok(port) => (host.trim_matches(['[', ']']).to_owned(), Some(port)),
            Err(_) => (text.to_owned(), None),
        },
        _ => (text.trim_matches(['[', ']']).to_owned(), None),
    }
}

/// The machine's name.
pub fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(|_| String::new(), |name| name.trim().to_owned())
}

/// Where clients elsewhere would reach a listener.
fn client_url(url: &ListenUrl, machine: &str) -> Option<String> {
    match url {
        ListenUrl::Tcp { host, port, tls } if host == "*" => {
            let host = if machine.is_empty() { "localhost" } else { machine };
            Some(ListenUrl::Tcp { host: host.to_owned(), port: *port, tls: *tls }.to_string())
        }
        ListenUrl::Tcp { .. } => Some(url.to_string()),
        ListenUrl::Unix { .. } => None,
    }
}

/// Opens and closes the directory's gate.
pub(super) fn gate(directory: &Arc<Directory>) -> Gate {
    let directory = Arc::clone(directory);
    Box::new(move |writes, elsewhere| {
        let closed = |code, text: &str| WriteGate::Closed { code, text: text.to_owned(), elsewhere: Vec::new() };
        directory.set_write_gate(match writes {
            LocalWrites::Open => WriteGate::Open,
            LocalWrites::Starting => WriteGate::Waiting,
            LocalWrites::Joining => {
                closed(ResultCode::UNAVAILABLE, "this server does not hold the whole content yet; try another")
            }
            LocalWrites::CatchingUp => closed(
                ResultCode::BUSY,
                "this server was restored from an old copy and catches up; try again in seconds",
            ),
            LocalWrites::Withdrawn => WriteGate::Closed {
                code: ResultCode::UNWILLING_TO_PERFORM,
                text: named("this server was suspended or retired and takes no changes", &elsewhere),
                elsewhere,
            },
            LocalWrites::ReadOnly => WriteGate::Closed {
                code: ResultCode::UNWILLING_TO_PERFORM,
                text: named("this server only reads; send changes to a supplier", &elsewhere),
                elsewhere,
            },
        });
    })
}

fn named(text: &str, elsewhere: &[String]) -> String {
    if elsewhere.is_empty() { text.to_owned() } else { format!("{text}: {}", elsewhere.join(" ")) }
}

/// Hands orders and cn=monitor to the service. Needs a tokio runtime.
pub(super) fn attach(directory: &Arc<Directory>, service: &Service) {
    let shown = service.clone();
    directory.add_monitor(Box::new(move || {
        let Some(report) = shown.published() else { return Vec::new() };
        let entries = monitor_lines(&report).into_iter();
        entries.map(|(name, description, lines)| MonitorEntry { name, description, lines }).collect()
    }));
    let (service, dit, runtime) = (service.clone(), Arc::clone(directory.dit()), tokio::runtime::Handle::current());
    directory.set_acknowledgements(Arc::new(Members {
        service: service.clone(),
        dit: Arc::clone(&dit),
        runtime: runtime.clone(),
    }));
    directory.set_operator(Box::new(move |order, reply| {
        let (service, dit) = (service.clone(), Arc::clone(&dit));
        runtime.spawn(async move {
            let outcome = match serde_json::from_slice(&order) {
                Ok(order) => obey(&service, &dit, &order).await,
                Err(_) => Err("an order is JSON".to_owned()),
            };
            reply(outcome.map(|value| value.to_string().into_bytes()));
        });
    }));
}

/// Members' acknowledgements for clients that want them.
struct Members {
    service: Service,
    dit: Arc<Dit>,
    runtime: tokio::runtime::Handle,
}

impl Acknowledgements for Members {
    fn wait_for(&self, dot: Dot, request: DurabilityRequest, reply: Box<dyn FnOnce(Acknowledged) + Send>) {
        let durability = match request.level {
            DurabilityLevel::Local => return reply(Acknowledged { met: true, ..Acknowledged::default() }),
            DurabilityLevel::Quorum(members) => Durability::Quorum(members as usize),
            DurabilityLevel::Site => Durability::Site,
            DurabilityLevel::All => Durability::All,
        };
        let (service, dit) = (self.service.clone(), Arc::clone(&self.dit));
        self.runtime.spawn(async move {
            // Where the service has ended, nobody is known to hold anything.
            let Ok(durable) = service.wait_for(dot, durability, request.wait_ms).await else {
                return reply(Acknowledged::default());
            };
            let known = dit.read().and_then(|snapshot| members(snapshot.view())).unwrap_or_default();
            let name = |node: &NodeId| {
                let member = known.iter().find(|member| member.node == *node);
                member.map_or_else(|| hexadecimal(&node.0), |member| member.name.clone())
            };
            reply(Acknowledged {
                nodes: durable.acknowledged.iter().map(name).collect(),
                wanted: u32::try_from(durable.wanted).unwrap_or(u32::MAX),
                met: durable.met,
            });
        });
    }
}

/// Carries out one order.
async fn obey(service: &Service, dit: &Dit, order: &Value) -> Result<Value, String> {
    let text = |name: &str| order.get(name).and_then(Value::as_str);
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    match text("order") {
        Some("status") => Ok(report_json(&service.report().await.map_err(|error| failed(&error))?)),
        Some("verify") => {
            let wait_ms = order.get("wait_ms").and_then(Value::as_u64).unwrap_or(10_000).min(VERIFY_MS_MAX);
            verify(service, dit, Duration::from_millis(wait_ms)).await
        }
        Some("invite") => {
            let role = role_of(text("role").unwrap_or("supplier")).ok_or("the role is supplier, consumer or hub")?;
            let valid_s = order.get("valid_s").and_then(Value::as_u64).unwrap_or(INVITE_VALID_S);
            if valid_s > INVITE_VALID_S_MAX {
                return Err("an invitation is good for 30 days at most".to_owned());
            }
            let token = service.invite(role, valid_s).await.map_err(|error| failed(&error))?;
            Ok(json!({ "token": *token }))
        }
        Some("set-state") => {
            let node = member(dit, text("member").unwrap_or_default())?;
            let state = match text("state") {
                Some("active") => MemberState::Active,
                Some("suspended") => MemberState::Suspended,
                Some("retired") => MemberState::Retired,
                _ => return Err("the state is active, suspended or retired".to_owned()),
            };
            service.set_state(node, state).await.map_err(|error| failed(&error))?;
            Ok(json!({ "node": node.to_string() }))
        }
        Some("set-role") => {
            let node = member(dit, text("member").unwrap_or_default())?;
            let role: Role =
                role_of(text("role").unwrap_or_default()).ok_or("the role is supplier, consumer or hub")?;
            service.set_role(node, role).await.map_err(|error| failed(&error))?;
            Ok(json!({ "node": node.to_string() }))
        }
        _ => Err("this server does not know the order; it may be of an older version".to_owned()),
    }
}

/// The member that a person means: its node id, the beginning of it, or its name.
fn member(dit: &Dit, text: &str) -> Result<NodeId, String> {
    let known =
        dit.read().and_then(|snapshot| members(snapshot.view())).map_err(|error: DitError| error.to_string())?;
    if let Some(node) = node_of(text).filter(|node| known.iter().any(|member| member.node == *node)) {
        return Ok(node);
    }
    let fits = |name: &str, node: NodeId| {
        name.eq_ignore_ascii_case(text) || (text.len() >= 4 && node.to_string().starts_with(&text.to_ascii_lowercase()))
    };
    let mut found =
        known.iter().filter(|member| member.state != MemberState::Retired && fits(&member.name, member.node));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one.node),
        (Some(_), Some(_)) => Err(format!("{text} means more than one member; give its node id")),
        _ => Err(format!("there is no member {text}; `entente replica status` lists them")),
    }
}

/// Waits until all members are equal, or until `wait` is over, and tells how each stands.
async fn verify(service: &Service, dit: &Dit, wait: Duration) -> Result<Value, String> {
    let started = dit.clock().monotonic();
    loop {
        let report = service.report().await.map_err(|error| error.to_string())?;
        let judged: Vec<_> =
            report.status.members.iter().filter(|member| member.member.state != MemberState::Retired).collect();
        let worst = judged.iter().map(|member| verdict(member)).max().unwrap_or(Verdict::Equal);
        let elapsed = dit.clock().monotonic().saturating_sub(started);
        if worst == Verdict::Equal || elapsed >= wait {
            let lines: Vec<Value> = judged
                .iter()
                .map(|member| {
                    json!({
                        "node": member.member.node.to_string(),
                        "name": member.member.name,
                        "verdict": verdict(member).as_str(),
                        "connected": member.peer.is_some(),
                        "backlog": member.backlog.values().sum::<u64>(),
                        "missing": member.missing.values().sum::<u64>(),
                        "backlog_age_ms": member.backlog_age_ms,
                    })
                })
                .collect();
            return Ok(json!({
                "verdict": worst.as_str(),
                "digest": format!("{:032x}", report.status.digest.sum),
                "entries": report.status.digest.count,
                "suffixes": suffixes(dit).map_err(|error| error.to_string())?,
                "members": lines,
            }));
        }
        tokio::time::sleep(VERIFY_PAUSE).await;
    }
}

fn suffixes(dit: &Dit) -> Result<Vec<String>, DitError> {
    let snapshot = dit.read()?;
    let view = snapshot.view();
    let mut names = Vec::new();
    for id in view.suffixes()? {
        names.extend(view.dn_text(id)?);
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listen_setting_is_a_host_with_or_without_a_port() {
        for (text, host, port) in [
            ("*", "*", None),
            ("*:7000", "*", Some(7000)),
            ("192.0.2.1:1", "192.0.2.1", Some(1)),
            ("::1", "::1", None),
            ("[::1]:9", "::1", Some(9)),
            ("[::1]", "::1", None),
        ] {
            assert_eq!(split_port(text), (host.to_owned(), port), "{text}");
        }
    }

    #[test]
    fn clients_are_not_told_of_the_nodes_own_socket() {
        let url = |text: &str| client_url(&text.parse().unwrap(), "box");
        assert_eq!(url("ldap://*:389").as_deref(), Some("ldap://box:389"));
        assert_eq!(url("ldaps://192.0.2.1:636").as_deref(), Some("ldaps://192.0.2.1:636"));
        assert_eq!(url("ldapi:///x"), None);
    }
}
