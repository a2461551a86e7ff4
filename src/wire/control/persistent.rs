//! Persistent search (draft-ietf-ldapext-psearch-03): changes are told as they come.

use crate::wire::ber::{self, Reader, Writer};
use crate::wire::error::Malformed;
use crate::wire::response::ResponseControl;

/// Persistent search, request.
pub const PERSISTENT_SEARCH: &str = "2.16.840.1.113730.3.4.3";
/// Entry change notification, with each entry.
pub const ENTRY_CHANGE: &str = "2.16.840.1.113730.3.4.7";

/// Kinds of change, as the bits of the request and the numbers of the response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum ChangeType {
    /// The entry was added.
    Add = 1,
    /// It was deleted.
    Delete = 2,
    /// It was modified.
    Modify = 4,
    /// It has another name.
    ModifyDn = 8,
}

/// What a client wants to hear of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PersistentSearch {
    kinds: u8,
    /// Not of what is there already.
    pub changes_only: bool,
    /// Entries go with an entry change notification.
    pub notes: bool,
}

impl PersistentSearch {
    /// Decodes the value.
    ///
    /// # Errors
    /// protocolError, also where no kind of change is wanted.
    pub fn decode(value: &[u8]) -> Result<Self, Malformed> {
        let mut outer = Reader::new(value);
        let mut reader = outer.enter(ber::SEQUENCE)?;
        outer.finish()?;
        let kinds = reader.integer()?;
        let changes_only = ber::boolean(reader.expect(ber::BOOLEAN)?)?;
        let notes = ber::boolean(reader.expect(ber::BOOLEAN)?)?;
        reader.finish_extensible(0)?;
        match u8::try_from(kinds) {
            Ok(kinds @ 1..=15) => Ok(Self { kinds, changes_only, notes }),
            _ => Err(Malformed::protocol(format!("change types {kinds} are not between 1 and 15"))),
        }
    }

    /// Whether such changes are wanted.
    pub const fn wants(&self, kind: ChangeType) -> bool {
        self.kinds & kind as u8 != 0
    }
}

/// The notification that goes with a changed entry. `previous`: the name that a renamed one had.
pub fn entry_change(kind: ChangeType, previous: Option<&str>) -> ResponseControl {
    let mut value = Vec::with_capacity(8);
    let mut writer = Writer::new(&mut value);
    let sequence = writer.begin(ber::SEQUENCE);
    writer.integer(ber::ENUMERATED, kind as i64);
    if let Some(previous) = previous {
        writer.octets(previous.as_bytes());
    }
    writer.end(sequence);
    ResponseControl { oid: ENTRY_CHANGE, critical: false, value: Some(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_bits_and_one_is_needed() {
        let wanted = PersistentSearch::decode(b"\x30\x09\x02\x01\x06\x01\x01\xff\x01\x01\x00").unwrap();
        assert!(wanted.wants(ChangeType::Delete) && wanted.wants(ChangeType::Modify));
        assert!(!wanted.wants(ChangeType::Add) && !wanted.wants(ChangeType::ModifyDn));
        assert!(wanted.changes_only && !wanted.notes);
        for kinds in [0, 16, 0xff] {
            let value = [0x30, 9, 2, 1, kinds, 1, 1, 0, 1, 1, 0];
            assert!(PersistentSearch::decode(&value).is_err(), "{kinds}");
        }
    }
}
