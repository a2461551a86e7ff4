//! Session tracking (draft-wahl-ldap-session-03): for whom a proxy or an application asks, for the log.

use crate::wire::ber::{self, Reader};
use crate::wire::error::Malformed;
use crate::wire::request::text;

/// Session tracking.
pub const SESSION_TRACKING: &str = "1.3.6.1.4.1.21008.108.63.1";

/// Longest address, format and other parts, in bytes (draft 2).
const SOURCE_ADDRESS_MAX: usize = 128;
const FORMAT_MAX: usize = 1_024;
const TEXT_MAX: usize = 65_536;

/// For whom a request is made, as the client says; believed by nobody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionTracking<'a> {
    /// Address of the user's machine; may be empty.
    pub source_address: &'a str,
    /// Name of the application or machine; may be empty.
    pub source_name: &'a str,
    /// What kind of identifier it is: an OID.
    pub format: &'a str,
    /// The identifier, as a user name or a session id.
    pub identifier: &'a str,
}

impl<'a> SessionTracking<'a> {
    /// Decodes the value.
    ///
    /// # Errors
    /// protocolError.
    pub fn decode(value: &'a [u8]) -> Result<Self, Malformed> {
        let mut outer = Reader::new(value);
        let mut reader = outer.enter(ber::SEQUENCE)?;
        outer.finish()?;
        let mut part = |most: usize| match text(reader.octets()?) {
            Ok(text) if text.len() <= most => Ok(text),
            _ => Err(Malformed::protocol("a part of the session tracking control is too long or not UTF-8")),
        };
        Ok(Self {
            source_address: part(SOURCE_ADDRESS_MAX)?,
            source_name: part(TEXT_MAX)?,
            format: part(FORMAT_MAX)?,
            identifier: part(TEXT_MAX)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_texts_are_read() {
        let value = b"\x30\x0e\x04\x03::1\x04\x01w\x04\x011\x04\x01u";
        let mut whole = value.to_vec();
        whole[1] = (value.len() - 2) as u8;
        let read = SessionTracking::decode(&whole).unwrap();
        assert_eq!((read.source_address, read.source_name, read.format, read.identifier), ("::1", "w", "1", "u"));
        assert!(SessionTracking::decode(b"\x30\x05\x04\x03::1").is_err());
        assert!(SessionTracking::decode(b"\x30\x06\x04\x01\xff\x04\x01w").is_err());
    }
}
