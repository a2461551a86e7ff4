//! Controls that say what of an entry is sent and what goes with it: matched values (RFC 3876), dereference
//! (draft-masarati-ldap-deref), effective rights (as 389 Directory Server has them), account usability (as Sun's
//! server had it).

use crate::model::Filter;
use crate::wire::ber::{self, Reader, Writer};
use crate::wire::error::Malformed;
use crate::wire::request::text;
use crate::wire::response::ResponseControl;
use crate::wire::{filter, search};

/// Matched values (RFC 3876).
pub const MATCHED_VALUES: &str = "1.2.826.0.1.3344810.2.3";
/// Dereference, request and response (draft-masarati-ldap-deref-00).
pub const DEREFERENCE: &str = "1.3.6.1.4.1.4203.666.5.16";
/// Get effective rights.
pub const EFFECTIVE_RIGHTS: &str = "1.3.6.1.4.1.42.2.27.9.5.2";
/// Account usability, request and response.
pub const ACCOUNT_USABILITY: &str = "1.3.6.1.4.1.42.2.27.9.5.8";

/// Most items of a matched values filter.
const VALUES_FILTERS_MAX: usize = 64;
/// Most attributes that one request has dereferenced; SSSD and nslcd name one or two.
const DEREFERENCES_MAX: usize = 16;

/// Decodes a ValuesReturnFilter (RFC 3876 3): items without AND, OR, NOT and `:dn`.
///
/// # Errors
/// protocolError.
pub fn values_filter(value: &[u8]) -> Result<Vec<Filter<'static>>, Malformed> {
    let mut outer = Reader::new(value);
    let mut list = outer.enter(ber::SEQUENCE)?;
    outer.finish()?;
    let mut items = Vec::new();
    while !list.is_empty() {
        if items.len() == VALUES_FILTERS_MAX {
            return Err(Malformed::protocol(format!("more than {VALUES_FILTERS_MAX} items in a values filter")));
        }
        let item = filter::decode(&mut list)?;
        let is_simple = match &item {
            Filter::And(_) | Filter::Or(_) | Filter::Not(_) => false,
            Filter::Extensible(extensible) => !extensible.dn_attributes,
            _ => true,
        };
        if !is_simple {
            return Err(Malformed::protocol("a values filter has simple items only (RFC 3876 3)"));
        }
        items.push(item.into_owned());
    }
    if items.is_empty() {
        return Err(Malformed::protocol("a values filter without items"));
    }
    Ok(items)
}

/// What is wanted of the entries that an attribute names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dereference {
    /// The attribute, whose values are names.
    pub attribute: String,
    /// What is wanted of the entries named.
    pub wanted: Vec<String>,
}

/// Decodes a dereference request.
///
/// # Errors
/// protocolError, also for an attribute that comes twice.
pub fn dereferences(value: &[u8]) -> Result<Vec<Dereference>, Malformed> {
    let mut outer = Reader::new(value);
    let mut list = outer.enter(ber::SEQUENCE)?;
    outer.finish()?;
    let mut wanted: Vec<Dereference> = Vec::new();
    while !list.is_empty() {
        if wanted.len() == DEREFERENCES_MAX {
            return Err(Malformed::protocol(format!("more than {DEREFERENCES_MAX} attributes to dereference")));
        }
        let mut item = list.enter(ber::SEQUENCE)?;
        let attribute = text(item.octets()?).unwrap_or("").to_owned();
        let names = search::attribute_selection(item.enter(ber::SEQUENCE)?)?;
        item.finish_extensible(0)?;
        if names.is_empty() {
            return Err(Malformed::protocol("dereferencing needs attributes of the entries named"));
        }
        if wanted.iter().any(|known| known.attribute.eq_ignore_ascii_case(&attribute)) {
            return Err(Malformed::protocol("an attribute is to be dereferenced twice"));
        }
        wanted.push(Dereference { attribute, wanted: names.into_iter().map(str::to_owned).collect() });
    }
    if wanted.is_empty() {
        return Err(Malformed::protocol("nothing to dereference"));
    }
    Ok(wanted)
}

/// One name in the response of a dereference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dereferenced {
    /// The attribute, as the client spelled it.
    pub attribute: String,
    /// The name.
    pub name: Vec<u8>,
    /// A run of complete PartialAttribute elements; empty where nothing may be told of the entry named.
    pub attributes: Vec<u8>,
}

/// The dereference response of one entry.
pub fn dereference_response(results: &[Dereferenced]) -> ResponseControl {
    let mut value = Vec::new();
    let mut writer = Writer::new(&mut value);
    let list = writer.begin(ber::SEQUENCE);
    for result in results {
        let item = writer.begin(ber::SEQUENCE);
        writer.octets(result.attribute.as_bytes());
        writer.octets(&result.name);
        if !result.attributes.is_empty() {
            writer.primitive(ber::context_constructed(0), &result.attributes);
        }
        writer.end(item);
    }
    writer.end(list);
    ResponseControl { oid: DEREFERENCE, critical: false, value: Some(value) }
}

/// Whose rights are asked for, and on what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EffectiveRights {
    /// An authorisation identity: `dn:…`; empty or `dn:` alone for anonymous; `None`: the requester's own.
    pub subject: Option<String>,
    /// Attributes whose rights are wanted besides those that are sent.
    pub attributes: Vec<String>,
}

impl EffectiveRights {
    /// Decodes the value: `SEQUENCE { authzId, attributes }`, or the bare identity as ldapsearch of 389 sends it.
    ///
    /// # Errors
    /// protocolError.
    pub fn decode(value: Option<&[u8]>) -> Result<Self, Malformed> {
        let not_text = || Malformed::protocol("the subject of effective rights is not UTF-8");
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return Ok(Self { subject: None, attributes: Vec::new() });
        };
        if value.get(..3).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"dn:")) {
            let subject = text(value).map_err(|()| not_text())?;
            return Ok(Self { subject: Some(subject.to_owned()), attributes: Vec::new() });
        }
        if value.first() != Some(&ber::SEQUENCE) {
            return Err(Malformed::protocol(
                "effective rights: the value names whose rights are meant, as dn: and a DN (dn: alone for anonymous)",
            ));
        }
        let mut outer = Reader::new(value);
        let mut reader = outer.enter(ber::SEQUENCE)?;
        outer.finish()?;
        let subject = text(reader.octets()?).map_err(|()| not_text())?.to_owned();
        let attributes = match reader.peek() {
            Some(ber::SEQUENCE) => search::attribute_selection(reader.enter(ber::SEQUENCE)?)?,
            _ => Vec::new(),
        };
        reader.finish_extensible(0)?;
        Ok(Self { subject: Some(subject), attributes: attributes.into_iter().map(str::to_owned).collect() })
    }
}

/// What is known of an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Usability {
    /// It can be used.
    Usable {
        /// Until its password expires, in seconds; `None`: it does not.
        expires_s: Option<u32>,
    },
    /// It cannot.
    Unusable(Unusable),
}

/// Why an account cannot be used.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Unusable {
    /// It was switched off, or is locked.
    pub inactive: bool,
    /// The password must be changed first.
    pub reset: bool,
    /// The password has expired.
    pub expired: bool,
    /// Binds that an expired password is still good for.
    pub graces_left: Option<u32>,
    /// Until a lock is over, in seconds; `None`: it is not locked, or somebody has to unlock it.
    pub unlocks_s: Option<u32>,
}

impl Usability {
    /// The response that goes with an entry.
    pub fn control(self) -> ResponseControl {
        let mut value = Vec::with_capacity(8);
        let mut writer = Writer::new(&mut value);
        match self {
            Self::Usable { expires_s } => writer.integer(ber::context(0), expires_s.map_or(-1, i64::from)),
            Self::Unusable(Unusable { inactive, reset, expired, graces_left, unlocks_s }) => {
                let more = writer.begin(ber::context_constructed(1));
                // What is false is the default, and not sent (RFC 4511 5.1).
                for (number, flag) in (0_u8..).zip([inactive, reset, expired]) {
                    if flag {
                        writer.boolean(ber::context(number), true);
                    }
                }
                for (number, amount) in (3_u8..).zip([graces_left, unlocks_s]) {
                    if let Some(amount) = amount {
                        writer.integer(ber::context(number), i64::from(amount));
                    }
                }
                writer.end(more);
            }
        }
        ResponseControl { oid: ACCOUNT_USABILITY, critical: false, value: Some(value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_filters_are_simple() {
        assert_eq!(values_filter(b"\x30\x04\x87\x02cn").unwrap().len(), 1);
        for refused in [&b"\x30\x00"[..], b"\x30\x02\xa0\x00", b"\x30\x06\xa2\x04\x87\x02cn", b"\x04\x00", b""] {
            assert!(values_filter(refused).is_err(), "{refused:02x?}");
        }
    }

    #[test]
    fn effective_rights_are_asked_for_in_two_ways() {
        let error = EffectiveRights::decode(Some(b"uid=a,dc=example,dc=com")).unwrap_err();
        assert!(error.to_string().contains("as dn: and a DN"), "{error}");
        let bare = EffectiveRights::decode(Some(b"dn:uid=a")).unwrap();
        let wrapped = EffectiveRights::decode(Some(b"\x30\x10\x04\x08dn:uid=a\x30\x04\x04\x02cn")).unwrap();
        assert_eq!(bare.subject.as_deref(), Some("dn:uid=a"));
        assert_eq!((wrapped.subject, wrapped.attributes), (bare.subject, vec!["cn".to_owned()]));
        assert_eq!(EffectiveRights::decode(None).unwrap().subject, None);
        assert!(EffectiveRights::decode(Some(b"\x30\x01\x04")).is_err());
    }

    #[test]
    fn an_account_without_an_end_has_minus_one_second() {
        assert_eq!(Usability::Usable { expires_s: None }.control().value.unwrap(), [0x80, 1, 0xff]);
        let off = Unusable { inactive: true, ..Unusable::default() };
        assert_eq!(Usability::Unusable(off).control().value.unwrap(), [0xa1, 3, 0x80, 1, 0xff]);
        let old = Unusable { expired: true, graces_left: Some(2), unlocks_s: Some(9), ..Unusable::default() };
        let bytes = [0xa1, 9, 0x82, 1, 0xff, 0x83, 1, 2, 0x84, 1, 9];
        assert_eq!(Usability::Unusable(old).control().value.unwrap(), bytes);
    }
}
