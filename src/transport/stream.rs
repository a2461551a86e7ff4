//! One connection, whatever carries it, with what is known about the peer.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use super::certificate::ClientCertificate;
use super::tls::Rationed;

/// Where a peer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAddress {
    /// Over the network or loopback; an IPv4 address is never written as IPv6.
    Tcp(SocketAddr),
    /// Over a Unix socket of this machine.
    Unix(UnixPeer),
}

/// The process at the other end of a Unix socket, as the kernel vouches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnixPeer {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its process, where the system tells.
    pub pid: Option<i32>,
}

impl std::fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(peer) => write!(f, "ldapi uid={} gid={}", peer.uid, peer.gid),
        }
    }
}

/// What TLS agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// IANA name of the cipher suite.
    pub cipher: String,
    /// Bits of its symmetric key, the security strength factor that access rules ask for.
    pub ssf: u16,
    /// The client's certificate, checked against `client_ca`.
    pub client: Option<ClientCertificate>,
    /// Channel binding `tls-exporter` (RFC 9266 2); not with TLS 1.2, where it needs what cannot be seen here.
    pub exporter: Option<[u8; 32]>,
    /// Channel binding `tls-server-end-point` (RFC 5929 4).
    pub end_point: Option<Vec<u8>>,
}

/// What is known about a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where it comes from.
    pub address: PeerAddress,
    /// The load balancer that said so and stands between, if one does.
    pub via: Option<IpAddr>,
    /// Set once TLS is spoken.
    pub tls: Option<TlsFacts>,
}

impl Peer {
    /// True for a peer on this machine: loopback or a Unix socket, and nothing of another machine between.
    pub fn is_local(&self) -> bool {
        match self.address {
            PeerAddress::Tcp(address) => {
                address.ip().is_loopback() && self.via.is_none_or(|balancer| balancer.is_loopback())
            }
            PeerAddress::Unix(_) => true,
        }
    }

    /// Its address; none over a Unix socket.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.address {
            PeerAddress::Tcp(address) => Some(address.ip()),
            PeerAddress::Unix(_) => None,
        }
    }

    /// The Unix socket's process, if it is one.
    pub fn unix(&self) -> Option<UnixPeer> {
        match self.address {
            PeerAddress::Tcp(_) => None,
            PeerAddress::Unix(peer) => Some(peer),
        }
    }

    /// Security strength in bits: of the TLS cipher; 71 for a Unix socket (as OpenLDAP counts it); else 0.
    pub fn ssf(&self) -> u16 {
        match (&self.tls, self.address) {
            (Some(tls), _) => tls.ssf,
            (None, PeerAddress::Unix(_)) => 71,
            (None, PeerAddress::Tcp(_)) => 0,
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Stream {
    carrier: Carrier,
    peer: Peer,
}

#[derive(Debug)]
pub(super) enum Carrier {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// Boxed: the state of a TLS session is large, and most connections wait most of the time.
    Tls(Box<TlsStream<Rationed>>),
}

impl Stream {
    pub(super) fn tcp(stream: TcpStream, address: SocketAddr) -> Self {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let peer = Peer { address: PeerAddress::Tcp(address), via: None, tls: None };
        Self { carrier: Carrier::Tcp(stream), peer }
    }

    pub(super) fn unix(stream: UnixStream) -> io::Result<Self> {
        let credentials = stream.peer_cred()?;
        let peer = UnixPeer { uid: credentials.uid(), gid: credentials.gid(), pid: credentials.pid() };
        let peer = Peer { address: PeerAddress::Unix(peer), via: None, tls: None };
        Ok(Self { carrier: Carrier::Unix(stream), peer })
    }

    pub(super) fn from_parts(carrier: Carrier, peer: Peer) -> Self {
        Self { carrier, peer }
    }

    pub(super) fn into_parts(self) -> (Carrier, Peer) {
        (self.carrier, self.peer)
    }

    /// The peer turned out to be a balancer, and this its client.
    pub(super) fn speaks_for(&mut self, client: SocketAddr) {
        if let PeerAddress::Tcp(balancer) = self.peer.address {
            self.peer.via = Some(balancer.ip());
            self.peer.address = PeerAddress::Tcp(client);
        }
    }

    /// What is known about the peer.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Takes bytes as TLS records of their own, which the next flush sends; how many had room. `None`: this is not TLS.
    pub fn take_record(&mut self, bytes: &[u8]) -> Option<io::Result<usize>> {
        match &mut self.carrier {
            Carrier::Tls(stream) => Some(stream.get_mut().1.writer().write(bytes)),
            Carrier::Tcp(_) | Carrier::Unix(_) => None,
        }
    }

    /// True where StartTLS makes sense: plain TCP, not yet TLS.
    pub fn can_start_tls(&self) -> bool {
        matches!(self.carrier, Carrier::Tcp(_))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().carrier {
            Carrier::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Carrier::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            Carrier::Tls(stream) => poll_read_records(stream, context, buffer),
        }
    }
}

/// Reads what is there, a record at a time: each that brings something renews the ration. What goes wrong behind what was read
/// comes again with the next read.
fn poll_read_records(
    stream: &mut TlsStream<Rationed>,
    context: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let before = buffer.filled().len();
    while buffer.remaining() > 0 {
        let length = match Pin::new(&mut *stream).poll_fill_buf(context) {
            Poll::Ready(Ok(bytes)) => {
                let bytes = bytes.get(..buffer.remaining()).unwrap_or(bytes);
                buffer.put_slice(bytes);
                bytes.len()
            }
            other if buffer.filled().len() == before => return other.map_ok(|_| ()),
            _ => break,
        };
        if length == 0 {
            break;
        }
        Pin::new(&mut *stream).consume(length);
        stream.get_mut().0.renew();
    }
    Poll::Ready(Ok(()))
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().carrier {
            Carrier::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Carrier::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            Carrier::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().carrier {
            Carrier::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Carrier::Unix(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Carrier::Tls(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.carrier {
            Carrier::Tcp(stream) => stream.is_write_vectored(),
            Carrier::Unix(stream) => stream.is_write_vectored(),
            Carrier::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().carrier {
            Carrier::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Carrier::Unix(stream) => Pin::new(stream).poll_flush(context),
            Carrier::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().carrier {
            Carrier::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Carrier::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Carrier::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
