//! Where other nodes come in: a listener of its own, apart from that of LDAP.
//!
//! Several nodes may run on one machine, and nobody types port numbers: the port is the one that the settings name, else
//! the one used last time, else [`DEFAULT_PORT`], else any that is free. Which it became stands in the member's entry.
//!
//! Invariants
//! - Nobody costs more than one handshake's time and memory before the peer has proved itself.
//! - The listener is closed while there is nobody who could come.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::codec::Encoder;

use super::codec::MessageCodec;
use super::dial::{HANDSHAKE_TIME_MAX, tune};
use super::message::PeerError;
use super::session::SessionEvent;
use super::trust::{JOIN_PROTOCOL, REPLICATION_PROTOCOL, Trust};
use super::{Message, NodeId, joining};
use crate::dit::{Dit, Writer};
use crate::transport::{ListenOptions, bind_sockets};

/// The port where nothing else is said.
pub const DEFAULT_PORT: u16 = 7636;
/// Handshakes at one time; more wait in the kernel.
const HANDSHAKES_MAX: usize = 32;
/// How long a member that is sent away may take to hear it.
const DISMISSAL_TIME_MAX: Duration = Duration::from_secs(2);
/// Longest address, as a token can carry it.
const ADDRESS_BYTES_MAX: usize = 255;
/// Bytes read of it.
const DISMISSED_BYTES_MAX: u64 = 1 << 20;

/// Why members cannot come in.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for other members on {address}: {source}; change replication.listen")]
pub struct DoorError {
    address: String,
    source: io::Error,
}

/// What the door needs of its node.
#[derive(Clone)]
pub struct Hall {
    /// Whom to believe.
    pub trust: Arc<Trust>,
    /// The tree.
    pub dit: Arc<Dit>,
    /// Its writer.
    pub writer: Writer,
    /// Where sessions go.
    pub events: mpsc::Sender<SessionEvent>,
    /// Told when somebody became a member; acknowledged once it is believed.
    pub admitted: mpsc::Sender<tokio::sync::oneshot::Sender<()>>,
}

/// An open listener; dropping it closes it, sessions stay.
pub struct Door {
    port: u16,
    _tasks: JoinSet<()>,
}

impl Door {
    /// Opens it on `host` (`*`: every address). `port`: the one that must be, else the one that was last.
    ///
    /// # Errors
    /// [`DoorError`].
    pub async fn open(host: &str, port: Option<u16>, last: Option<u16>, hall: Hall) -> Result<Self, DoorError> {
        let candidates = match port {
            Some(port) => vec![port],
            None => last.into_iter().chain([DEFAULT_PORT, 0]).collect(),
        };
        let mut failure = None;
        for candidate in candidates {
            match bind_sockets(host, candidate, ListenOptions { backlog: 128, ..ListenOptions::default() }).await {
                Ok(listeners) => return Ok(Self::serve(listeners, &hall)),
                Err(source) => failure = Some(DoorError { address: format!("{host}:{candidate}"), source }),
            }
        }
        Err(failure.unwrap_or_else(|| DoorError { address: host.to_owned(), source: io::Error::other("no port") }))
    }

    fn serve(listeners: Vec<TcpListener>, hall: &Hall) -> Self {
        let mut tasks = JoinSet::new();
        let mut port = 0;
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        for listener in listeners {
            port = listener.local_addr().map_or(port, |address| address.port());
            tasks.spawn(accept(listener, hall.clone(), Arc::clone(&handshakes)));
        }
        Self { port, _tasks: tasks }
    }

    /// The port that it became.
    pub fn port(&self) -> u16 {
        self.port
    }
}

async fn accept(listener: TcpListener, hall: Hall, handshakes: Arc<Semaphore>) {
    loop {
        let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await else { return };
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections of other members");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let hall = hall.clone();
        tokio::spawn(async move {
            let welcomed = welcome(stream, &hall).await;
            drop(permit);
            if let Err(error) = welcomed {
                tracing::warn!(%from, %error, "a connection to where members come in was refused");
            }
        });
    }
}

/// The handshake, and then what was asked for.
async fn welcome(stream: TcpStream, hall: &Hall) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    tune(&stream)?;
    let (wire, is_join) = tokio::time::timeout(HANDSHAKE_TIME_MAX, handshake(stream, &hall.trust))
        .await
        .map_err(|_| "the handshake took too long")??;
    let certificates = wire.get_ref().1.peer_certificates();
    // A copy of this node comes in as this node; the replicator tells it so.
    let own = hall.trust.is_own(certificates).then(|| hall.trust.node());
    let peer = hall.trust.peer(certificates).or(own);
    if is_join {
        return Ok(admit(wire, peer, hall).await?);
    }
    let Some(peer) = peer else {
        let retired = hall.trust.retired_peer(wire.get_ref().1.peer_certificates()).ok_or("it is no member")?;
        // Apart, so that nobody waits at the door meanwhile. Whoever hangs up before it has heard is told the next time.
        tokio::spawn(tokio::time::timeout(DISMISSAL_TIME_MAX, dismiss(wire)));
        return Err(format!("node {retired} was retired; it is told so").into());
    };
    let opened = SessionEvent::Opened { wire: Box::new(wire), peer, dialled: false };
    // An error: the node is stopping.
    let _ = hall.events.send(opened).await;
    Ok(())
}

/// Tells a member that it was retired.
async fn dismiss(mut wire: TlsStream<TcpStream>) -> io::Result<()> {
    let detail = "this member was retired; on another member `entente replica resume` takes it back".to_owned();
    let mut frame = BytesMut::new();
    let told = MessageCodec::default().encode(&Message::Error { error: PeerError::Retired, detail }, &mut frame);
    told.map_err(io::Error::other)?;
    wire.write_all(&frame).await?;
    wire.shutdown().await?;
    // What it says is not looked at, but read: else the kernel would drop what it was told.
    let mut rest = wire.take(DISMISSED_BYTES_MAX);
    tokio::io::copy(&mut rest, &mut tokio::io::sink()).await.map(|_| ())
}

async fn handshake(
    stream: TcpStream,
    trust: &Arc<Trust>,
) -> Result<(TlsStream<TcpStream>, bool), Box<dyn std::error::Error + Send + Sync>> {
    let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
    let offered: Vec<Vec<u8>> = start.client_hello().alpn().into_iter().flatten().map(<[u8]>::to_vec).collect();
    let offers = |protocol: &[u8]| offered.iter().any(|offer| offer == protocol);
    let is_join = offers(JOIN_PROTOCOL);
    let config = match is_join {
        true => trust.join_server_config()?,
        false if offers(REPLICATION_PROTOCOL) => trust.server_config()?,
        false => return Err("it speaks another protocol".into()),
    };
    Ok((start.into_stream(config).await?, is_join))
}

async fn admit(wire: TlsStream<TcpStream>, member: Option<NodeId>, hall: &Hall) -> Result<(), joining::JoinError> {
    let admitted = joining::admit(wire, member, &hall.dit, &hall.writer).await?;
    tracing::info!(node = %admitted.node, "a new member joins this cluster");
    let (believed, when) = tokio::sync::oneshot::channel();
    if hall.admitted.send(believed).await.is_ok() {
        // An error: the node is stopping; the joiner asks again.
        let _ = when.await;
    }
    admitted.answer().await
}

/// Why a text cannot be what members are told to dial, `HOST` or `HOST:PORT`; `None` if it can.
pub fn address_error(text: &str) -> Option<&'static str> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    if text.contains("://") {
        return Some("no scheme belongs there: HOST or HOST:PORT");
    }
    if host.is_empty() || text.len() > ADDRESS_BYTES_MAX || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Some("no host is named: HOST or HOST:PORT, 255 bytes at most");
    }
    if host == "*" {
        return Some("* is every address to listen on, and none to dial");
    }
    if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
        return Some("a port is a number from 1 to 65535");
    }
    None
}

/// Where this machine is likely reached from others: the addresses that it would send from, first to the world, then
/// to the networks that it is in; else loopback.
pub fn own_addresses() -> Vec<IpAddr> {
    let world = [Ipv4Addr::new(198, 51, 100, 1).into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()];
    let mut found: Vec<IpAddr> = world.into_iter().filter_map(source_towards).collect();
    if found.is_empty() {
        // No way out: a network of its own, as it is behind many a firewall.
        let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
        found.extend(networks(&routes).into_iter().filter_map(|network| source_towards(network.into())));
        found.sort_unstable();
        found.dedup();
    }
    if found.is_empty() {
        found.push(Ipv4Addr::LOCALHOST.into());
    }
    found
}

/// The address from which this machine sends to another one.
fn source_towards(to: IpAddr) -> Option<IpAddr> {
    let from: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // Nothing is sent: connecting a UDP socket only asks the routing table.
    let socket = UdpSocket::bind((from, 0)).ok()?;
    socket.connect((to, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_loopback() && !address.is_unspecified())
}

/// Some address in each network of Linux's table of routes: name, network and gateway (hexadecimal, of the machine's
/// byte order), and more.
fn networks(routes: &str) -> Vec<Ipv4Addr> {
    let address = |text: &str| Some(Ipv4Addr::from(u32::from_str_radix(text, 16).ok()?.to_ne_bytes()));
    let network = |line: &str| address(line.split_whitespace().nth(1)?);
    routes.lines().filter_map(network).map(|network| Ipv4Addr::from(u32::from(network).saturating_add(1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_from_the_table_of_routes() {
        let routes = format!(
            "Iface\tDestination\tGateway\nve\t{:08X}\t00000000\t0001\nbroken\n",
            u32::from_ne_bytes([10, 77, 0, 0])
        );
        assert_eq!(networks(&routes), [Ipv4Addr::new(10, 77, 0, 1)]);
        assert_eq!(networks(""), Vec::<Ipv4Addr>::new());
    }

    #[test]
    fn what_members_are_told_to_dial_is_a_host_with_or_without_a_port() {
        for text in ["a.example", "a.example:7636", "192.0.2.1:1", "[2001:db8::1]:7636", "2001:db8::1"] {
            assert_eq!(address_error(text), None, "{text}");
        }
        for text in ["", "*", "*:7636", "ldap://a", "a b", ":1", "a:0", "a:70000", "a:port"] {
            assert!(address_error(text).is_some(), "{text}");
        }
        assert!(address_error(&"a".repeat(256)).is_some());
    }

    #[test]
    fn there_is_always_some_address() {
        assert!(!own_addresses().is_empty());
        assert_eq!(source_towards(Ipv4Addr::LOCALHOST.into()), None);
    }
}
