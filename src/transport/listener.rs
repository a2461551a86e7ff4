//! Sockets that wait for clients.
//!
//! Binding says in words what is wrong and what to change, because a busy port is the first thing that goes wrong for a
//! new user. Accepting never gives up: when the process is out of file descriptors it waits and tries again, as those
//! that are open will be closed, while a listener that ended would have to be noticed by a person.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpSocket, UnixListener};

use super::{Admission, ListenUrl, Stream, Ticket, TransportError};

/// First pause after the system could not hand out a connection; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// Longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Idle time after which the kernel asks a silent TCP peer whether it is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(300);
/// Longest path of a Unix socket in bytes: `sun_path` with its closing NUL.
const UNIX_PATH_BYTES_MAX: usize = 107;

/// How to listen.
#[derive(Clone, Copy, Debug)]
pub struct ListenOptions {
    /// Connections that wait in the kernel to be accepted.
    pub backlog: u32,
    /// Mode of a Unix socket's file. Who may connect is told apart by user afterwards, so 0o666 is usual.
    pub unix_mode: u32,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self { backlog: 1024, unix_mode: 0o666 }
    }
}

/// One bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    url: ListenUrl,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _file: SocketFile },
}

/// The file of a Unix socket; removed with the listener, unless another has taken its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A connection that was let in.
#[derive(Debug)]
pub struct Accepted {
    /// The connection, before any TLS.
    pub stream: Stream,
    /// True where TLS comes first (`ldaps://`).
    pub tls_first: bool,
    /// Its place among the connections; keep it as long as the connection.
    pub ticket: Ticket,
}

impl Listener {
    /// Binds every address that `url` stands for: one, or as many as its host name has.
    ///
    /// Needs a tokio runtime. A Unix socket left behind by a process that is gone is replaced.
    ///
    /// # Errors
    /// [`TransportError::Listen`]: port busy, no permission, no such address, a path too long; none stays bound.
    pub async fn bind(url: &ListenUrl, options: ListenOptions) -> Result<Vec<Self>, TransportError> {
        match url {
            ListenUrl::Tcp { host, port, tls } => {
                let addresses = addresses(host, *port).await.map_err(|source| TransportError::Listen {
                    url: url.clone(),
                    detail: format!("{host} is no address of this machine ({source}); change server.listen"),
                    source,
                })?;
                let mut listeners = Vec::with_capacity(addresses.len());
                for address in addresses {
                    let listener = bind_tcp(address, options).map_err(|source| TransportError::Listen {
                        url: url.clone(),
                        detail: tcp_fault(address, &source),
                        source,
                    })?;
                    let port = listener.local_addr().map_or(*port, |address| address.port());
                    let url = ListenUrl::Tcp { host: host.clone(), port, tls: *tls };
                    listeners.push(Self { socket: Socket::Tcp(listener), url });
                }
                Ok(listeners)
            }
            ListenUrl::Unix { path } => {
                let socket = bind_unix(path, options).map_err(|source| TransportError::Listen {
                    url: url.clone(),
                    detail: format!("{source}; change server.listen, or server.data_dir for the node's own socket"),
                    source,
                })?;
                Ok(vec![Self { socket, url: url.clone() }])
            }
        }
    }

    /// The address as configured, with the port that the system chose where 0 was asked for.
    pub fn url(&self) -> &ListenUrl {
        &self.url
    }

    /// The bound TCP address; `None` for a Unix socket.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix { .. } => None,
        }
    }

    /// Waits for the next connection that `admission` lets in; those it does not are closed at once.
    ///
    /// Never fails: trouble of the system is logged and waited out. Safe to drop and call again (`select!`).
    pub async fn accept(&self, admission: &Admission) -> Accepted {
        let mut pause = PAUSE_MIN;
        loop {
            match self.try_accept(admission).await {
                Ok(Some(accepted)) => return accepted,
                Ok(None) => {
                    tracing::debug!(url = %self.url, "connection refused: too many");
                    pause = PAUSE_MIN;
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(url = %self.url, %error, pause_ms = pause.as_millis(), "cannot accept connections");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    async fn try_accept(&self, admission: &Admission) -> io::Result<Option<Accepted>> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                let Some(ticket) = admission.admit(Some(address.ip())) else { return Ok(None) };
                // Answers are written whole, so there is nothing to gather.
                stream.set_nodelay(true)?;
                sockopt::set_socket_keepalive(&stream, true)?;
                sockopt::set_tcp_keepidle(&stream, KEEPALIVE_IDLE)?;
                let tls_first = self.url.is_tls();
                Ok(Some(Accepted { stream: Stream::tcp(stream, address), tls_first, ticket }))
            }
            Socket::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                let Some(ticket) = admission.admit(None) else { return Ok(None) };
                Ok(Some(Accepted { stream: Stream::unix(stream)?, tls_first: false, ticket }))
            }
        }
    }
}

/// True for a fault of the connection that was about to be accepted, after which the next may well work.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, InvalidInput, NotConnected};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | InvalidInput | NotConnected)
}

/// Binds every TCP address that `host` stands for (`*`: every one of the machine), for doors that are not LDAP's. With
/// port 0 all get the port that the system chose for the first.
///
/// # Errors
/// The operating system's; none stays bound.
pub async fn bind_sockets(host: &str, port: u16, options: ListenOptions) -> io::Result<Vec<TcpListener>> {
    let mut port = port;
    let mut listeners = Vec::new();
    for address in addresses(host, port).await? {
        let listener = bind_tcp(SocketAddr::new(address.ip(), port), options)?;
        port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(listeners)
}

async fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if host == "*" {
        // One IPv6 socket serves both families; a machine without IPv6 gets an IPv4 one.
        let has_ipv6 = TcpSocket::new_v6()
            .is_ok_and(|socket| socket.bind(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0)).is_ok());
        let every = if has_ipv6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
        return Ok(vec![SocketAddr::new(every, port)]);
    }
    let mut found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    found.sort();
    found.dedup();
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address"));
    }
    Ok(found)
}

fn bind_tcp(address: SocketAddr, options: ListenOptions) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() {
        let socket = TcpSocket::new_v6()?;
        sockopt::set_ipv6_v6only(&socket, !address.ip().is_unspecified())?;
        socket
    } else {
        TcpSocket::new_v4()?
    };
    // A restart must not wait for connections of the last run to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(options.backlog)
}

fn tcp_fault(address: SocketAddr, error: &io::Error) -> String {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "port {port} is in use by another program; stop it, or choose another port with --listen or server.listen"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "port {port} is kept for the system; choose one above 1023 with --listen or server.listen, or grant \
             CAP_NET_BIND_SERVICE"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("{} is no address of this machine; change --listen or server.listen", address.ip())
        }
        _ => format!("{error}; change --listen or server.listen"),
    }
}

fn bind_unix(path: &Path, options: ListenOptions) -> io::Result<Socket> {
    let length = path.as_os_str().len();
    if length > UNIX_PATH_BYTES_MAX {
        let detail = format!("the path has {length} bytes, and a socket's path may have {UNIX_PATH_BYTES_MAX}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, detail));
    }
    if let Ok(metadata) = fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of that name"));
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another program listens there"));
        }
        fs::remove_file(path)?;
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    let file = SocketFile { path: path.to_owned(), inode: fs::symlink_metadata(path)?.ino() };
    fs::set_permissions(path, fs::Permissions::from_mode(options.unix_mode))?;
    // The standard library chooses the backlog; listening again on the same socket sets ours.
    rustix::net::listen(&listener, i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    listener.set_nonblocking(true)?;
    Ok(Socket::Unix { listener: UnixListener::from_std(listener)?, _file: file })
}

#[cfg(test)]
mod tests;
