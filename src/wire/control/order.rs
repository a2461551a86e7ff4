//! Sorted results (RFC 2891) and virtual list views (draft-ietf-ldapext-ldapv3-vlv-09): values of their controls.

use crate::model::ResultCode;
use crate::wire::ber::{self, Reader, Writer};
use crate::wire::error::Malformed;
use crate::wire::request::text;
use crate::wire::response::ResponseControl;

/// Server-side sort, request (RFC 2891 1.1).
pub const SORT_REQUEST: &str = "1.2.840.113556.1.4.473";
/// Server-side sort, response (RFC 2891 1.2).
pub const SORT_RESPONSE: &str = "1.2.840.113556.1.4.474";
/// Virtual list view, request (VLV draft 6.1).
pub const LIST_VIEW_REQUEST: &str = "2.16.840.1.113730.3.4.9";
/// Virtual list view, response (VLV draft 6.2).
pub const LIST_VIEW_RESPONSE: &str = "2.16.840.1.113730.3.4.10";

/// Most keys of one sort; address books use two.
pub const SORT_KEYS_MAX: usize = 16;
/// Longest value or context id of a list view, in bytes.
const LIST_VIEW_BYTES_MAX: usize = 4_096;

/// One key of a sort.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SortKey {
    /// Attribute description, as sent; `""` for one that is not UTF-8.
    pub attribute: String,
    /// Name or OID of an ordering rule; `None`: the attribute's own.
    pub rule: Option<String>,
    /// Greatest first.
    pub reverse: bool,
}

/// Decodes the value of a sort request.
///
/// # Errors
/// protocolError: no key, too many, or what is none.
pub fn sort_keys(value: &[u8]) -> Result<Vec<SortKey>, Malformed> {
    let mut outer = Reader::new(value);
    let mut list = outer.enter(ber::SEQUENCE)?;
    outer.finish()?;
    let mut keys = Vec::new();
    while !list.is_empty() {
        if keys.len() == SORT_KEYS_MAX {
            return Err(Malformed::protocol(format!("more than {SORT_KEYS_MAX} sort keys")));
        }
        let mut key = list.enter(ber::SEQUENCE)?;
        let attribute = text(key.octets()?).unwrap_or("").to_owned();
        let rule = key.optional(ber::context(0))?.map(|rule| text(rule).unwrap_or("").to_owned());
        let reverse = key.optional(ber::context(1))?.map(ber::boolean).transpose()?.unwrap_or(false);
        key.finish_extensible(2)?;
        keys.push(SortKey { attribute, rule, reverse });
    }
    if keys.is_empty() {
        return Err(Malformed::protocol("a sort without keys"));
    }
    Ok(keys)
}

/// The sort response: how it went, and with which attribute it did not.
pub fn sort_response(code: ResultCode, attribute: Option<&str>) -> ResponseControl {
    let mut value = Vec::with_capacity(16);
    let mut writer = Writer::new(&mut value);
    let sequence = writer.begin(ber::SEQUENCE);
    writer.integer(ber::ENUMERATED, i64::from(code.0));
    if let Some(attribute) = attribute {
        writer.primitive(ber::context(0), attribute.as_bytes());
    }
    writer.end(sequence);
    ResponseControl { oid: SORT_RESPONSE, critical: false, value: Some(value) }
}

/// Which entry of the list a view is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ListTarget {
    /// The entry at a place, from 1, in a list that the client believes to be so long (0: it does not know).
    Offset {
        /// The place.
        offset: u32,
        /// The length that the client believes in.
        count: u32,
    },
    /// The first entry whose first sort key is at or behind this value.
    Value(Vec<u8>),
}

/// A request for a part of a sorted list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListView {
    /// Entries wanted before the target.
    pub before: u32,
    /// Entries wanted behind the target.
    pub after: u32,
    /// Which entry.
    pub target: ListTarget,
    /// What the last response of the same list said.
    pub context: Option<Vec<u8>>,
}

impl ListView {
    /// Decodes the value of the request.
    ///
    /// # Errors
    /// protocolError.
    pub fn decode(value: &[u8]) -> Result<Self, Malformed> {
        let mut outer = Reader::new(value);
        let mut reader = outer.enter(ber::SEQUENCE)?;
        outer.finish()?;
        let before = count(reader.integer()?)?;
        let after = count(reader.integer()?)?;
        let target = if let Some(offset) = reader.optional(ber::context_constructed(0))? {
            let mut place = Reader::new(offset);
            let (offset, believed) = (count(place.integer()?)?, count(place.integer()?)?);
            place.finish_extensible(0)?;
            ListTarget::Offset { offset, count: believed }
        } else {
            ListTarget::Value(bounded(reader.expect(ber::context(1))?)?)
        };
        let context = reader.optional(ber::OCTET_STRING)?.map(bounded).transpose()?;
        reader.finish_extensible(2)?;
        Ok(Self { before, after, target, context: context.filter(|context| !context.is_empty()) })
    }
}

fn count(value: i64) -> Result<u32, Malformed> {
    i32::try_from(value)
        .and_then(u32::try_from)
        .map_err(|_| Malformed::protocol(format!("{value} in a list view is not between 0 and 2147483647")))
}

fn bounded(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    if bytes.len() > LIST_VIEW_BYTES_MAX {
        return Err(Malformed::protocol(format!("more than {LIST_VIEW_BYTES_MAX} bytes in a part of a list view")));
    }
    Ok(bytes.to_vec())
}

/// What a list view came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListViewResult {
    /// Place of the target, from 1; one behind the last entry when nothing is at or behind the value; 0 in an empty list.
    pub position: u32,
    /// Length of the list.
    pub count: u32,
    /// How it went.
    pub code: ResultCode,
    /// To be sent with the next request about the same list.
    pub context: Option<Vec<u8>>,
}

impl ListViewResult {
    /// As a control of the response.
    pub fn control(&self) -> ResponseControl {
        let mut value = Vec::with_capacity(40);
        let mut writer = Writer::new(&mut value);
        let sequence = writer.begin(ber::SEQUENCE);
        writer.integer(ber::INTEGER, i64::from(self.position));
        writer.integer(ber::INTEGER, i64::from(self.count));
        writer.integer(ber::ENUMERATED, i64::from(self.code.0));
        if let Some(context) = &self.context {
            writer.octets(context);
        }
        writer.end(sequence);
        ResponseControl { oid: LIST_VIEW_RESPONSE, critical: false, value: Some(value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sort_without_keys_or_with_too_many_is_refused() {
        assert!(sort_keys(b"\x30\x00").is_err());
        let key = b"\x30\x04\x04\x02cn";
        assert_eq!(sort_keys(b"\x30\x06\x30\x04\x04\x02cn").unwrap().len(), 1);
        let many = key.repeat(SORT_KEYS_MAX + 1);
        let mut value = vec![0x30, many.len() as u8];
        value.extend_from_slice(&many);
        assert!(sort_keys(&value).is_err());
    }

    #[test]
    fn rule_and_reverse_are_read() {
        let keys = sort_keys(b"\x30\x10\x30\x0e\x04\x02sn\x80\x052.5.1\x81\x01\xff").unwrap();
        assert_eq!(keys, [SortKey { attribute: "sn".into(), rule: Some("2.5.1".into()), reverse: true }]);
    }

    #[test]
    fn a_view_is_by_offset_or_by_value() {
        let by_offset = ListView::decode(b"\x30\x0e\x02\x01\x00\x02\x01\x02\xa0\x06\x02\x01\x05\x02\x01\x00").unwrap();
        assert_eq!(by_offset.target, ListTarget::Offset { offset: 5, count: 0 });
        let by_value = ListView::decode(b"\x30\x0c\x02\x01\x01\x02\x01\x02\x81\x01b\x04\x01x").unwrap();
        assert_eq!((by_value.before, by_value.after), (1, 2));
        assert_eq!((by_value.target, by_value.context), (ListTarget::Value(b"b".to_vec()), Some(b"x".to_vec())));
        assert!(ListView::decode(b"\x30\x06\x02\x01\xff\x02\x01\x02").is_err());
        assert!(ListView::decode(b"\x30\x06\x02\x01\x01\x02\x01\x02").is_err());
    }
}
