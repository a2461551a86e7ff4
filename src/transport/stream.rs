//! One connection, whatever carries it, with what is known about the peer.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use super::certificate::ClientCertificate;

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
    /// Set once TLS is spoken.
    pub tls: Option<TlsFacts>,
}

impl Peer {
    /// True for a peer on this machine: loopback or a Unix socket.
    pub fn is_local(&self) -> bool {
        match self.address {
            PeerAddress::Tcp(address) => address.ip().is_loopback(),
            PeerAddress::Unix(_) => true,
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
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub(super) fn tcp(stream: TcpStream, address: SocketAddr) -> Self {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        Self { carrier: Carrier::Tcp(stream), peer: Peer { address: PeerAddress::Tcp(address), tls: None } }
    }

    pub(super) fn unix(stream: UnixStream) -> io::Result<Self> {
        let credentials = stream.peer_cred()?;
        let peer = UnixPeer { uid: credentials.uid(), gid: credentials.gid(), pid: credentials.pid() };
        Ok(Self { carrier: Carrier::Unix(stream), peer: Peer { address: PeerAddress::Unix(peer), tls: None } })
    }

    pub(super) fn from_parts(carrier: Carrier, peer: Peer) -> Self {
        Self { carrier, peer }
    }

    pub(super) fn into_parts(self) -> (Carrier, Peer) {
        (self.carrier, self.peer)
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
            Carrier::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
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
