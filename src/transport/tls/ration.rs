//! How much a client may send below TLS before something comes of it.
//!
//! The TLS library joins messages of its own that come in pieces, up to 64 KiB for a connection, and by its protocol it
//! cannot know that nothing ever comes of them: a handshake that is announced and cut short, or such a message afterwards.
//! Together with a request that is not whole that would be more than a connection that is nobody's may hold (hostile.md
//! T-03), so what is read from the socket is counted, and each byte that is handed on as plain text sets the count back.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::transport::proxy_header::begins_proxy_header;

/// Most bytes of a client's handshake: a hello, and a chain of certificates with their signatures.
const HANDSHAKE_BYTES_MAX: usize = 28 * 1024;
/// Most bytes from which nothing comes afterwards: a record (RFC 8446 5.2: 16,645 bytes; RFC 5246 6.2.3: 18,437) and what is
/// read ahead of the next one.
const RECORD_BYTES_MAX: usize = 24 * 1024;

/// A TCP connection below TLS.
#[derive(Debug)]
pub(in crate::transport) struct Rationed {
    tcp: TcpStream,
    left: usize,
    /// Whether what came first could begin a header of the PROXY protocol.
    begins_proxy_header: Option<bool>,
}

impl Rationed {
    /// With the ration of a handshake.
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self { tcp, left: HANDSHAKE_BYTES_MAX, begins_proxy_header: None }
    }

    /// Whether it began with what looks like a header of the PROXY protocol.
    pub(super) fn begins_proxy_header(&self) -> bool {
        self.begins_proxy_header == Some(true)
    }

    /// Something came of what was read.
    pub(in crate::transport) fn renew(&mut self) {
        self.left = RECORD_BYTES_MAX;
    }
}

impl AsyncRead for Rationed {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.left == 0 {
            let text = "too many bytes without anything of LDAP in them";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
        }
        let before = buffer.filled().len();
        std::task::ready!(Pin::new(&mut this.tcp).poll_read(context, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        this.left = this.left.saturating_sub(read.len());
        this.begins_proxy_header.get_or_insert_with(|| begins_proxy_header(read));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rationed {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(context)
    }
}
