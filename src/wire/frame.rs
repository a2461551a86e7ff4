//! Where one PDU ends and the next begins.
//!
//! The header alone decides: a length above the limit is refused before a byte of the content is buffered, so that
//! nobody reserves memory here by announcing 4 GiB. The first octet must be a SEQUENCE, so that a TLS or HTTP client
//! on the wrong port is told from a slow one at once.
//!
//! The server splits frames out of its own read buffer with [`frame_length`]; [`FrameDecoder`] is the same rule for
//! `tokio_util` streams.

use std::io;

use bytes::BytesMut;
use tokio_util::codec::Decoder;

use super::ber;

/// Most bytes of a PDU before the client has bound: enough for a bind with a Kerberos ticket or a token of usual size, and
/// little enough that a connection stays below 64 KiB with all that belongs to it, TLS included, which may hold a record of
/// 18 KiB before it is whole.
pub const PDU_BYTES_MAX_BEFORE_BIND: usize = 24 * 1024;

/// Most bytes of a PDU after the client has bound, unless set otherwise: photos and certificates fit.
pub const PDU_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why the bytes cannot begin a PDU. The stream has no next frame: the session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Indefinite length, or more than four length octets.
    #[error("length octet {0:#04x} is not accepted: lengths are definite and of at most 4 octets")]
    LengthForm(u8),
    /// The first octet is not that of an LDAPMessage.
    #[error("not an LDAP message: it begins with {0:#04x}, not 0x30")]
    NotLdap(u8),
    /// The header announces more than is allowed.
    #[error("a message of {bytes} bytes is over the limit of {bytes_max}")]
    TooLarge {
        /// Announced size, header included, in bytes.
        bytes: u64,
        /// The limit, in bytes.
        bytes_max: usize,
    },
}

/// Length in bytes of the PDU at the start of `buffer`, header included; `None` while the header is incomplete.
///
/// Looks at no more than six bytes. The PDU itself need not be there yet: compare with `buffer.len()`.
/// `bytes_max` counts the header too.
///
/// # Errors
/// [`FrameError`]: send a notice of disconnection and close.
#[inline]
pub fn frame_length(buffer: &[u8], bytes_max: usize) -> Result<Option<usize>, FrameError> {
    let Some((&tag, rest)) = buffer.split_first() else { return Ok(None) };
    if tag != ber::SEQUENCE {
        return Err(FrameError::NotLdap(tag));
    }
    let Some((&first, rest)) = rest.split_first() else { return Ok(None) };
    let bytes = if first < 0x80 {
        2 + u64::from(first)
    } else {
        let octets = usize::from(first & 0x7f);
        if octets == 0 || octets > ber::LENGTH_OCTETS_MAX {
            return Err(FrameError::LengthForm(first));
        }
        let Some(octets) = rest.get(..octets) else { return Ok(None) };
        let content = octets.iter().fold(0_u64, |length, &octet| length << 8 | u64::from(octet));
        2 + octets.len() as u64 + content
    };
    match usize::try_from(bytes) {
        Ok(length) if length <= bytes_max => Ok(Some(length)),
        _ => Err(FrameError::TooLarge { bytes, bytes_max }),
    }
}

/// Splits a byte stream into PDUs for `tokio_util::codec::FramedRead`: each item is one whole PDU.
#[derive(Clone, Copy, Debug)]
pub struct FrameDecoder {
    bytes_max: usize,
}

impl FrameDecoder {
    /// Refuses PDUs of more than `bytes_max` bytes, header included.
    pub const fn new(bytes_max: usize) -> Self {
        Self { bytes_max }
    }
}

impl Decoder for FrameDecoder {
    type Item = BytesMut;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<BytesMut>, io::Error> {
        let length =
            frame_length(buffer, self.bytes_max).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        match length {
            Some(length) if length <= buffer.len() => Ok(Some(buffer.split_to(length))),
            Some(length) => {
                buffer.reserve(length.saturating_sub(buffer.len()).min(PDU_BYTES_MAX_BEFORE_BIND));
                Ok(None)
            }
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_counts_the_header() {
        assert_eq!(frame_length(&[0x30, 5], 100), Ok(Some(7)));
        assert_eq!(frame_length(&[0x30, 0x81, 5], 100), Ok(Some(8)));
        assert_eq!(frame_length(&[0x30, 0x84, 0, 0, 0, 5], 100), Ok(Some(11)));
        assert_eq!(frame_length(&[0x30, 0], 100), Ok(Some(2)));
    }

    #[test]
    fn incomplete_header_waits() {
        for bytes in [&[][..], &[0x30], &[0x30, 0x82], &[0x30, 0x82, 1], &[0x30, 0x84, 0xff, 0xff, 0xff]] {
            assert_eq!(frame_length(bytes, 100), Ok(None));
        }
    }

    /// The limit holds on the header, before the content arrives.
    #[test]
    fn announced_length_above_the_limit_is_refused_at_once() {
        assert_eq!(frame_length(&[0x30, 98], 100), Ok(Some(100)));
        assert_eq!(frame_length(&[0x30, 99], 100), Err(FrameError::TooLarge { bytes: 101, bytes_max: 100 }));
        let most = frame_length(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], PDU_BYTES_MAX);
        assert_eq!(most, Err(FrameError::TooLarge { bytes: 0x1_0000_0005, bytes_max: PDU_BYTES_MAX }));
    }

    #[test]
    fn indefinite_and_oversized_lengths_are_refused() {
        assert_eq!(frame_length(&[0x30, 0x80], 100), Err(FrameError::LengthForm(0x80)));
        assert_eq!(frame_length(&[0x30, 0x85, 0, 0, 0, 0, 1], 100), Err(FrameError::LengthForm(0x85)));
        assert_eq!(frame_length(&[0x30, 0x90], 100), Err(FrameError::LengthForm(0x90)));
    }

    /// A TLS hello, an HTTP request, other classes with tag number 16.
    #[test]
    fn other_protocols_are_refused_by_their_first_octet() {
        for first in [0x16, b'G', 0x10, 0x70, 0xb0, 0xf0, 0x31] {
            assert_eq!(frame_length(&[first], 100), Err(FrameError::NotLdap(first)));
        }
    }

    #[test]
    fn frames_come_out_whole_whatever_the_delivery() {
        let stream = [0x30, 3, 2, 1, 7, 0x30, 0x81, 2, 5, 0, 0x30, 0];
        let frames = [&stream[..5], &stream[5..10], &stream[10..]];
        for step in 1..=stream.len() {
            let (mut buffer, mut got) = (BytesMut::new(), Vec::new());
            let mut decoder = FrameDecoder::new(100);
            for piece in stream.chunks(step) {
                buffer.extend_from_slice(piece);
                while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
                    got.push(frame);
                }
            }
            assert!(buffer.is_empty());
            assert_eq!(got, frames, "in steps of {step} bytes");
        }
    }

    #[test]
    fn announced_length_reserves_no_more_than_a_small_buffer() {
        let mut buffer = BytesMut::from(&[0x30_u8, 0x83, 0x3f, 0xff, 0][..]);
        assert!(FrameDecoder::new(PDU_BYTES_MAX).decode(&mut buffer).unwrap().is_none());
        assert!(buffer.capacity() <= 2 * PDU_BYTES_MAX_BEFORE_BIND);
    }
}
