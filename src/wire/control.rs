//! Controls (RFC 4511 4.1.11): the list that comes with a request, and the values of those we serve.
//!
//! The list is checked when the message is decoded and then kept as bytes; a value is parsed by whoever serves the
//! control. So an unknown control costs nothing, and a known one with a bad value refuses its request, never the
//! session, and never passes as absent.
//!
//! Invariants
//! - At most [`CONTROLS_MAX`] controls; none comes twice.
//! - [`Controls::iter`] yields every control of the list: what could be lost was refused while decoding.

mod order;
mod persistent;
mod reading;
mod tracking;

pub use order::{
    LIST_VIEW_REQUEST, LIST_VIEW_RESPONSE, ListTarget, ListView, ListViewResult, SORT_KEYS_MAX, SORT_REQUEST,
    SORT_RESPONSE, SortKey, sort_keys, sort_response,
};
pub use persistent::{ChangeType, ENTRY_CHANGE, PERSISTENT_SEARCH, PersistentSearch, entry_change};
pub use reading::{
    ACCOUNT_USABILITY, DEREFERENCE, Dereference, Dereferenced, EFFECTIVE_RIGHTS, EffectiveRights, MATCHED_VALUES,
    Unusable, Usability, dereference_response, dereferences, values_filter,
};
pub use tracking::{SESSION_TRACKING, SessionTracking};

use std::fmt;

use crate::model::Filter;

use super::ber::{self, Reader, Writer};
use super::error::Malformed;
use super::request::{Hidden, text};
use super::{filter, search};

/// Most controls of one request; real clients send three or four.
pub const CONTROLS_MAX: usize = 16;

/// Authorization identity, in a bind request (RFC 3829 3).
pub const AUTHORIZATION_IDENTITY_REQUEST: &str = "2.16.840.1.113730.3.4.16";
/// Authorization identity, in a bind response (RFC 3829 4).
pub const AUTHORIZATION_IDENTITY_RESPONSE: &str = "2.16.840.1.113730.3.4.15";
/// Assertion: act only if the entry matches a filter (RFC 4528).
pub const ASSERTION: &str = "1.3.6.1.1.12";
/// Don't use copy: only who holds the data itself may answer (RFC 6171).
pub const DONT_USE_COPY: &str = "1.3.6.1.1.22";
/// ManageDsaIT: referral entries are plain entries (RFC 3296).
pub const MANAGE_DSA_IT: &str = "2.16.840.1.113730.3.4.2";
/// Manage conflicts: entries whose name another one has are found like others. Ours; it has no value.
pub const MANAGE_CONFLICTS: &str = "2.25.226734431000227364254570923804739913085.3.10";
/// No operation: say what would come of the change, and do not make it (draft-zeilenga-ldap-noop).
pub const NO_OPERATION: &str = "1.3.6.1.4.1.4203.1.10.2";
/// Simple paged results (RFC 2696).
pub const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";
/// Permissive modify: what is there is added without complaint, what is not is deleted so (MS-ADTS 3.1.1.3.4.1.8).
pub const PERMISSIVE_MODIFY: &str = "1.2.840.113556.1.4.1413";
/// Post-read: the entry as it is after the change (RFC 4527).
pub const POST_READ: &str = "1.3.6.1.1.13.2";
/// Pre-read: the entry as it was before the change (RFC 4527).
pub const PRE_READ: &str = "1.3.6.1.1.13.1";
/// Proxied authorization, version 2 (RFC 4370).
pub const PROXIED_AUTHORIZATION: &str = "2.16.840.1.113730.3.4.18";
/// Relax rules: an administrator writes what else only the server does (draft-zeilenga-ldap-relax).
pub const RELAX_RULES: &str = "1.3.6.1.4.1.4203.666.5.12";
/// Show deleted entries too (MS-ADTS 3.1.1.3.4.1.14).
pub const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";
/// Tree delete: the entry and all below it (draft-armijo-ldap-treedelete).
pub const TREE_DELETE: &str = "1.2.840.113556.1.4.805";

/// One control of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Control<'a> {
    /// Object identifier, as sent.
    pub oid: &'a str,
    /// Whether the request must fail where this control is not served.
    pub critical: bool,
    /// Its value, undecoded; absent and empty differ.
    pub value: Option<&'a [u8]>,
}

impl fmt::Debug for Control<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Control({:?}, critical: {}, {:?})", self.oid, self.critical, self.value.map(Hidden))
    }
}

impl<'a> Control<'a> {
    /// Takes one control; `None` at the end.
    fn next(reader: &mut Reader<'a>) -> Result<Option<Self>, Malformed> {
        if reader.is_empty() {
            return Ok(None);
        }
        let mut control = reader.enter(ber::SEQUENCE)?;
        let oid = control.octets()?;
        let critical = control.optional(ber::BOOLEAN)?.map(ber::boolean).transpose()?.unwrap_or(false);
        let value = control.optional(ber::OCTET_STRING)?;
        control.finish_extensible(0)?;
        let oid = text(oid).map_err(|()| Malformed::protocol("the type of a control is not an object identifier"))?;
        Ok(Some(Self { oid, critical, value }))
    }

    /// The value that this control cannot do without.
    ///
    /// # Errors
    /// protocolError when it is absent.
    pub fn required_value(&self) -> Result<&'a [u8], Malformed> {
        self.value.ok_or_else(|| Malformed::protocol("a control came without its value"))
    }
}

/// The controls of one request, in the order sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Controls<'a> {
    list: &'a [u8],
    count: u8,
}

impl<'a> Controls<'a> {
    /// No controls.
    pub const NONE: Self = Self { list: &[], count: 0 };

    /// Checks the content of the `[0]` that follows the operation.
    pub(super) fn decode(list: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(list);
        let mut count = 0_u8;
        while let Some(control) = Control::next(&mut reader)? {
            if usize::from(count) == CONTROLS_MAX {
                return Err(Malformed::protocol(format!("more than {CONTROLS_MAX} controls")));
            }
            // Reads the earlier ones again: at most 120 comparisons, and no list to keep.
            let mut earlier = ControlsIter { reader: Reader::new(list) }.take(usize::from(count));
            if earlier.any(|earlier| earlier.oid == control.oid) {
                return Err(Malformed::protocol("a control comes twice"));
            }
            count += 1;
        }
        Ok(Self { list, count })
    }

    /// The controls, in the order sent.
    pub fn iter(&self) -> ControlsIter<'a> {
        ControlsIter { reader: Reader::new(self.list) }
    }

    /// The control with this object identifier.
    pub fn find(&self, oid: &str) -> Option<Control<'a>> {
        self.iter().find(|control| control.oid == oid)
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl fmt::Debug for Controls<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for &Controls<'a> {
    type Item = Control<'a>;
    type IntoIter = ControlsIter<'a>;

    fn into_iter(self) -> ControlsIter<'a> {
        self.iter()
    }
}

/// Iterates over [`Controls`].
#[derive(Clone, Debug)]
pub struct ControlsIter<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for ControlsIter<'a> {
    type Item = Control<'a>;

    fn next(&mut self) -> Option<Control<'a>> {
        // The list was checked when it was decoded: an error cannot occur, and would end the list.
        Control::next(&mut self.reader).ok().flatten()
    }
}

/// Value of the paged results control, in requests and responses (RFC 2696 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PagedResults<'a> {
    /// In a request: entries wanted, 0 to end the search. In a response: estimate of all entries, 0 when unknown.
    pub size: i32,
    /// Opaque; empty in the first request and in the last response.
    pub cookie: &'a [u8],
}

impl<'a> PagedResults<'a> {
    /// Decodes a control value.
    ///
    /// # Errors
    /// protocolError, for a negative size too.
    pub fn decode(value: &'a [u8]) -> Result<Self, Malformed> {
        let mut outer = Reader::new(value);
        let mut reader = outer.enter(ber::SEQUENCE)?;
        outer.finish()?;
        let size = reader.integer()?;
        let cookie = reader.octets()?;
        reader.finish_extensible(0)?;
        match i32::try_from(size) {
            Ok(size) if size >= 0 => Ok(Self { size, cookie }),
            _ => Err(Malformed::protocol(format!("page size {size} is not between 0 and 2147483647"))),
        }
    }

    /// The control value.
    pub fn encode(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(self.cookie.len() + 16);
        let mut writer = Writer::new(&mut value);
        let sequence = writer.begin(ber::SEQUENCE);
        writer.integer(ber::INTEGER, i64::from(self.size));
        writer.octets(self.cookie);
        writer.end(sequence);
        value
    }
}

/// Decodes the value of an assertion control: a filter (RFC 4528 3). Limits as in a search.
///
/// # Errors
/// protocolError.
pub fn assertion_filter(value: &[u8]) -> Result<Filter<'_>, Malformed> {
    let mut reader = Reader::new(value);
    let filter = filter::decode(&mut reader)?;
    reader.finish()?;
    Ok(filter)
}

/// Decodes the value of a pre-read or post-read control: attributes wanted, as in a search (RFC 4527 3). The value of
/// the response is built by [`super::SearchEntry::begin_value`].
///
/// # Errors
/// protocolError.
pub fn read_entry_selection(value: &[u8]) -> Result<Vec<&str>, Malformed> {
    let mut reader = Reader::new(value);
    let list = reader.enter(ber::SEQUENCE)?;
    reader.finish()?;
    search::attribute_selection(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::transaction::EndTransaction;
    use proptest::prelude::*;

    proptest! {
        /// Any bytes are read or refused, and what is read holds no more than what came.
        #[test]
        fn any_bytes_are_a_value_or_an_error(tag in any::<u8>(), bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut wrapped = vec![0x30, bytes.len() as u8 + 2, tag, bytes.len() as u8];
            wrapped.extend_from_slice(&bytes);
            for value in [&bytes[..], &wrapped] {
                let keys = sort_keys(value).map_or(0, |keys| keys.len());
                let filters = values_filter(value).map_or(0, |filters| filters.len());
                let dereferences = dereferences(value).map_or(0, |wanted| wanted.len());
                prop_assert!(keys.max(filters).max(dereferences) <= value.len());
                let _ = ListView::decode(value);
                let _ = PersistentSearch::decode(value);
                let _ = SessionTracking::decode(value);
                let _ = EffectiveRights::decode(Some(value));
                let _ = EndTransaction::decode(Some(value));
                let _ = PagedResults::decode(value);
            }
        }
    }
}
