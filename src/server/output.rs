//! Answers on their way out, and the buffers that a thread lends to the connection whose turn it is.
//!
//! A connection that waits for its client owns no buffer; one whose client reads slowly keeps the bytes it still has to
//! send, and nothing else.
//!
//! Invariant: over TLS no record holds parts of two messages. A client that waits for its socket, not knowing that its TLS
//! library has read further (curl does), would wait for ever for the second one; slapd and 389 write so too.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use crate::transport::Stream;
use crate::wire::frame_length;

/// Most bytes read in one go.
pub(super) const READ_BYTES_MAX: usize = 64 * 1024;
/// A buffer that grew larger is given back to the allocator rather than kept by the thread.
const KEPT_BYTES_MAX: usize = 512 * 1024;

thread_local! {
    static INPUT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static OUTPUT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lends `work` this thread's buffer of [`READ_BYTES_MAX`] bytes with unspecified content.
pub(super) fn with_input<R>(work: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut buffer = INPUT.take();
    buffer.resize(READ_BYTES_MAX, 0);
    let result = work(&mut buffer);
    INPUT.set(buffer);
    result
}

/// Whole responses, the first of which may be sent in part.
#[derive(Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    sent: usize,
    /// Bytes that are left of the message that was sent in part, over TLS.
    message_left: usize,
    unflushed: bool,
}

impl Output {
    /// Bytes that wait to be sent.
    pub(super) fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.sent)
    }

    /// Whether everything has been handed to the system.
    pub(super) fn is_sent(&self) -> bool {
        self.len() == 0 && !self.unflushed
    }

    /// Where to append responses.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = OUTPUT.take();
        } else if self.sent > self.bytes.len() / 2 {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        &mut self.bytes
    }

    /// Sends what can be sent; ready when all is. Returns how many bytes went out through `sent`.
    pub(super) fn poll_send(
        &mut self,
        stream: &mut Stream,
        context: &mut Context<'_>,
        sent: &mut usize,
    ) -> Poll<io::Result<()>> {
        while let Some(rest) = self.bytes.get(self.sent..).filter(|rest| !rest.is_empty()) {
            if self.message_left == 0 {
                let length = frame_length(rest, usize::MAX).ok().flatten();
                self.message_left = length.unwrap_or(rest.len()).min(rest.len());
            }
            let message = rest.get(..self.message_left).unwrap_or(rest);
            let count = match stream.take_record(message).transpose()? {
                Some(0) => {
                    // What was taken before goes out first.
                    ready!(Pin::new(&mut *stream).poll_flush(context))?;
                    self.unflushed = false;
                    continue;
                }
                Some(count) => {
                    self.message_left -= count;
                    count
                }
                None => {
                    self.message_left = 0;
                    ready!(Pin::new(&mut *stream).poll_write(context, rest))?
                }
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += count;
            self.unflushed = true;
            *sent += count;
        }
        self.release();
        if self.unflushed {
            ready!(Pin::new(stream).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn release(&mut self) {
        self.sent = 0;
        self.message_left = 0;
        let mut bytes = std::mem::take(&mut self.bytes);
        if bytes.capacity() > 0 && bytes.capacity() <= KEPT_BYTES_MAX {
            bytes.clear();
            OUTPUT.set(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_lent_and_comes_back_empty() {
        let mut output = Output::default();
        output.buffer().extend_from_slice(b"answer");
        assert_eq!(output.len(), 6);
        output.sent = 4;
        assert_eq!(output.len(), 2);
        assert_eq!(output.buffer(), b"er");
        output.sent = 2;
        output.release();
        assert!(output.is_sent() && output.bytes.capacity() == 0);
        assert!(Output::default().buffer().is_empty());
    }

    #[test]
    fn a_large_buffer_is_not_kept() {
        let mut output = Output::default();
        output.buffer().resize(KEPT_BYTES_MAX + 1, 0);
        output.release();
        assert!(output.buffer().capacity() <= KEPT_BYTES_MAX);
    }
}
