//! Between the LDAP door and the cluster: settings, the gate for changes, cn=monitor; orders go to `orders`.

use std::sync::Arc;

use super::orders::obey;
use crate::config::Config;
use crate::dit::Dit;
use crate::model::ResultCode;
use crate::operation::assurance::{Acknowledged, Acknowledgements, DurabilityRequest};
use crate::operation::{Directory, MonitorEntry, WriteGate};
use crate::replication::identity::hexadecimal;
use crate::replication::membership::members;
use crate::replication::service::{Compression, Gate, Service, ServiceOptions};
use crate::replication::status::monitor_lines;
use crate::replication::{Durability, LocalWrites, NodeId, Options};
use crate::state::{Dot, OriginId};
use crate::transport::ListenUrl;
use crate::wire::assurance::DurabilityLevel;

/// How long an invitation is good where nothing else is said, seconds.
pub const INVITE_VALID_S: u64 = 3600;
/// The longest that it can be good, seconds.
pub const INVITE_VALID_S_MAX: u64 = 30 * 24 * 3600;

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
        name: replication.name.clone(),
        site: replication.site.clone(),
        machine,
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
            LocalWrites::Held => WriteGate::Closed {
                code: ResultCode::UNWILLING_TO_PERFORM,
                text: named("this server's clock is wrong, and it takes no changes until that is set", &elsewhere),
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
    fn ended(&self, origin: OriginId) -> Option<u64> {
        self.service.published()?.status.ended.get(&origin).copied()
    }

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
