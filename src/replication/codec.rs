//! Messages as frames on a byte stream.
//!
//! ```text
//! length u32   bytes that follow, big-endian; at most FRAME_BYTES_MAX
//! version u8   1
//! flags u8     bit 0: the content is compressed (zstd)
//! check u64    xxh3 of flags and content, big-endian
//! content      one message
//! ```
//!
//! TLS already guards against tampering; the checksum guards against our own faults and tells a foreign speaker (HTTP or
//! LDAP on this port reads as a frame that is too long). What does not check ends the session with a named error, before
//! anything in it was looked at. Memory is bounded: a frame is refused by its header, and a compressed one may not grow
//! beyond the same limit.

use std::io::Read as _;

use bytes::{Buf as _, BufMut as _, BytesMut};
use tokio_util::codec::{Decoder, Encoder};
use xxhash_rust::xxh3::Xxh3;

use super::message::Message;
use crate::state::StateError;

/// The longest frame, header not counted. A state of one entry must fit: that is the limit of an entry's size.
pub const FRAME_BYTES_MAX: usize = 64 << 20;
/// Smaller messages are never compressed.
const COMPRESS_BYTES_MIN: usize = 512;
const VERSION: u8 = 1;
const COMPRESSED: u8 = 1;
/// Version, flags, checksum.
const OVERHEAD: usize = 1 + 1 + 8;
/// Level 1: links that need compression are slower than it.
const ZSTD_LEVEL: i32 = 1;

/// Why a frame was refused; the session ends.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The frame is longer than allowed, or this is another protocol.
    #[error("a frame of {bytes} bytes is over the limit of {FRAME_BYTES_MAX}, or the peer speaks another protocol")]
    FrameTooLong {
        /// As the header says.
        bytes: usize,
    },
    /// The header is not one of ours.
    #[error("frame version {version}, flags {flags:#x}: not known here")]
    UnknownFrame {
        /// The version byte.
        version: u8,
        /// The flags.
        flags: u8,
    },
    /// The checksum does not match.
    #[error("the frame is corrupt: its checksum does not match")]
    Checksum,
    /// The content cannot be unpacked.
    #[error("the frame cannot be unpacked")]
    Compression,
    /// The content is not a message.
    #[error("the frame holds no message: {0}")]
    Message(#[from] StateError),
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Frames for both directions of one session.
#[derive(Clone, Debug, Default)]
pub struct MessageCodec {
    /// Whether to compress what is sent; what comes says so itself.
    pub compress: bool,
    /// Bytes of the frames that came.
    pub bytes_read: u64,
}

impl Encoder<&Message> for MessageCodec {
    type Error = CodecError;

    fn encode(&mut self, message: &Message, out: &mut BytesMut) -> Result<(), CodecError> {
        let mut content = Vec::new();
        message.encode(&mut content);
        let mut flags = 0;
        if self.compress && content.len() >= COMPRESS_BYTES_MIN {
            content = zstd::bulk::compress(&content, ZSTD_LEVEL)?;
            flags |= COMPRESSED;
        }
        let bytes = OVERHEAD + content.len();
        if bytes > FRAME_BYTES_MAX {
            return Err(CodecError::FrameTooLong { bytes });
        }
        out.reserve(4 + bytes);
        out.put_u32(bytes as u32);
        out.put_u8(VERSION);
        out.put_u8(flags);
        out.put_u64(checksum(flags, &content));
        out.put_slice(&content);
        Ok(())
    }
}

impl Decoder for MessageCodec {
    type Item = Message;
    type Error = CodecError;

    /// The next message; those of unknown kinds that need not be understood are skipped.
    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Message>, CodecError> {
        loop {
            let Some((header, rest)) = input.split_first_chunk::<4>() else { return Ok(None) };
            let bytes = u32::from_be_bytes(*header) as usize;
            if !(OVERHEAD..=FRAME_BYTES_MAX).contains(&bytes) {
                return Err(CodecError::FrameTooLong { bytes });
            }
            // Version and flags are looked at before the rest is waited for.
            if let [version, flags, ..] = rest
                && (*version != VERSION || flags & !COMPRESSED != 0)
            {
                return Err(CodecError::UnknownFrame { version: *version, flags: *flags });
            }
            if rest.len() < bytes {
                // Grows with what really comes: a header alone reserves little.
                input.reserve((4 + bytes - input.len()).min(1 << 20));
                return Ok(None);
            }
            input.advance(4);
            self.bytes_read += 4 + bytes as u64;
            let mut frame = input.split_to(bytes);
            frame.advance(1);
            let (flags, check) = (frame.get_u8(), frame.get_u64());
            if checksum(flags, &frame) != check {
                return Err(CodecError::Checksum);
            }
            let message =
                if flags & COMPRESSED == 0 { Message::decode(&frame)? } else { Message::decode(&unpack(&frame)?)? };
            if message.is_some() {
                return Ok(message);
            }
        }
    }
}

fn checksum(flags: u8, content: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&[flags]);
    hash.update(content);
    hash.digest()
}

/// Unpacks at most [`FRAME_BYTES_MAX`] bytes; memory grows with what really comes out.
fn unpack(packed: &[u8]) -> Result<Vec<u8>, CodecError> {
    let decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(|_| CodecError::Compression)?;
    let mut content = Vec::new();
    let limit = FRAME_BYTES_MAX as u64 + 1;
    decoder.take(limit).read_to_end(&mut content).map_err(|_| CodecError::Compression)?;
    if content.len() > FRAME_BYTES_MAX {
        return Err(CodecError::FrameTooLong { bytes: content.len() });
    }
    Ok(content)
}

#[cfg(test)]
mod tests;
