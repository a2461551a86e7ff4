//! Listener, TLS, shutdown: bytes in and out, no LDAP.
//!
//! A listener hands out admitted connections; a [`Stream`] is one of them whatever carries it (TCP, TLS, Unix socket),
//! with the facts about its peer that the floors above decide by: address, local or not, user of a Unix socket, TLS
//! version and strength, subject of the client's certificate.
//!
//! What it keeps true
//! - Nobody costs a task or memory before being counted: limits are asked when the socket is accepted.
//! - A TLS handshake ends within its time or the connection does.
//! - A bad new certificate never replaces a good one in use.
//! - Private keys that others may read are refused; keys made here have mode 0600.
//!
//! Not here: what the bytes mean (`wire`), who the peer is in the directory (`operation`), signals (`node`).

mod admission;
mod certificate;
mod fetch;
mod host_name;
mod listen_url;
mod listener;
mod proxy_header;
mod self_signed;
mod shutdown;
mod stream;
mod tls;

use std::path::PathBuf;

pub use admission::{Admission, AdmissionLimits, Ticket};
pub use certificate::ClientCertificate;
pub use fetch::{FetchUrl, fetch};
pub use host_name::{HostName, HostNames, NameSystem};
pub use listen_url::{LDAP_PORT, LDAPS_PORT, ListenUrl, ListenUrlError};
pub use listener::{Accepted, ListenOptions, Listener, bind_sockets};
pub use proxy_header::{HEADER_BYTES_MAX as PROXY_HEADER_BYTES_MAX, ProxyHeader, begins_proxy_header, proxy_header};
pub use self_signed::{SelfSigned, ensure_self_signed};
pub use shutdown::{Drained, Shutdown, ShutdownGuard};
pub use stream::{Peer, PeerAddress, Stream, TlsFacts, UnixPeer};
pub use tls::{Tls, TlsOptions};

/// Why listening, TLS or a certificate did not work. Texts are for the operator, never for the client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// A certificate, key or list of authorities cannot be used; the text names the file.
    #[error("{}: {detail}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The peer did not finish its TLS handshake in time, or not as TLS asks.
    #[error("TLS handshake: {0}")]
    Handshake(String),
    /// An address cannot be listened on; the text says why and which setting to change.
    #[error("cannot listen on {url}: {detail}")]
    Listen {
        /// The address as configured.
        url: ListenUrl,
        /// Why, and what to do.
        detail: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A load balancer began with no header of the PROXY protocol, or one came that was not asked for.
    #[error("PROXY header: {0}")]
    ProxyHeader(String),
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}
