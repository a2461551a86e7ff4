//! Transactions (RFC 5805): values of their control, their extended operations and the notice that one was aborted.

use super::ber::{self, Reader, Writer};
use super::error::Malformed;
use super::response::{ResponseControl, append_controls};

/// Start of a transaction: an extended operation (RFC 5805 2.1).
pub const START_TRANSACTION: &str = "1.3.6.1.1.21.1";
/// The control that makes an update part of a transaction (RFC 5805 2.2).
pub const TRANSACTION: &str = "1.3.6.1.1.21.2";
/// End of a transaction: an extended operation (RFC 5805 2.3).
pub const END_TRANSACTION: &str = "1.3.6.1.1.21.3";
/// Name of the notice that a transaction was aborted (RFC 5805 2.4).
pub const ABORTED_TRANSACTION: &str = "1.3.6.1.1.21.4";

/// Value of the request that ends a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndTransaction<'a> {
    /// Else it is given up.
    pub commit: bool,
    /// Which transaction.
    pub identifier: &'a [u8],
}

impl<'a> EndTransaction<'a> {
    /// Decodes the value.
    ///
    /// # Errors
    /// protocolError, when it is absent too.
    pub fn decode(value: Option<&'a [u8]>) -> Result<Self, Malformed> {
        let value = value.ok_or_else(|| Malformed::protocol("the end of a transaction without its identifier"))?;
        let mut outer = Reader::new(value);
        let mut reader = outer.enter(ber::SEQUENCE)?;
        outer.finish()?;
        let commit = reader.optional(ber::BOOLEAN)?.map(ber::boolean).transpose()?.unwrap_or(true);
        let identifier = reader.octets()?;
        reader.finish_extensible(0)?;
        Ok(Self { commit, identifier })
    }
}

/// Value of the response that ends a transaction: the update that could not be done, or the controls of those that were,
/// each with its message id. `None` where there is nothing to say.
pub fn end_response(failed: Option<i32>, controls: &[(i32, Vec<ResponseControl>)]) -> Option<Vec<u8>> {
    if failed.is_none() && controls.iter().all(|(_, controls)| controls.is_empty()) {
        return None;
    }
    let mut value = Vec::new();
    let mut writer = Writer::new(&mut value);
    let sequence = writer.begin(ber::SEQUENCE);
    if let Some(id) = failed {
        writer.integer(ber::INTEGER, i64::from(id));
    }
    if controls.iter().any(|(_, controls)| !controls.is_empty()) {
        let list = writer.begin(ber::SEQUENCE);
        for (id, controls) in controls.iter().filter(|(_, controls)| !controls.is_empty()) {
            let item = writer.begin(ber::SEQUENCE);
            writer.integer(ber::INTEGER, i64::from(*id));
            append_controls(&mut writer, controls);
            writer.end(item);
        }
        writer.end(list);
    }
    writer.end(sequence);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commit_is_what_is_meant_unless_said_otherwise() {
        let end = |value| EndTransaction::decode(Some(value)).unwrap();
        assert_eq!(end(b"\x30\x03\x04\x01x"), EndTransaction { commit: true, identifier: b"x" });
        assert_eq!(end(b"\x30\x06\x01\x01\x00\x04\x01x"), EndTransaction { commit: false, identifier: b"x" });
        assert!(EndTransaction::decode(None).is_err() && EndTransaction::decode(Some(b"\x30\x00")).is_err());
    }

    #[test]
    fn nothing_to_say_is_no_value() {
        assert_eq!(end_response(None, &[(3, Vec::new())]), None);
        assert_eq!(end_response(Some(3), &[]).unwrap(), [0x30, 3, 2, 1, 3]);
    }
}
