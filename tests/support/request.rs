//! Protocol operations of RFC 4511 section 4 as bytes, ready to be wrapped into a message.

use super::ber::{boolean, constructed, enumerated, integer, octets, sequence, set, tlv};
use super::filter;

/// A request control (RFC 4511 4.1.11).
#[derive(Clone, Debug)]
pub(crate) struct Control {
    pub(crate) oid: String,
    pub(crate) critical: bool,
    pub(crate) value: Option<Vec<u8>>,
}

impl Control {
    pub(crate) fn critical(oid: &str, value: Option<Vec<u8>>) -> Self {
        Self { oid: oid.to_owned(), critical: true, value }
    }

    pub(crate) fn not_critical(oid: &str, value: Option<Vec<u8>>) -> Self {
        Self { oid: oid.to_owned(), critical: false, value }
    }

    /// RFC 2696.
    pub(crate) fn paged(size: i64, cookie: &[u8]) -> Self {
        Self::critical(super::oid::PAGED_RESULTS, Some(sequence(&[integer(size), octets(cookie)])))
    }

    /// RFC 4528.
    #[track_caller]
    pub(crate) fn assertion(text: &str) -> Self {
        Self::critical(super::oid::ASSERTION, Some(filter::encode(text)))
    }

    /// RFC 4527.
    pub(crate) fn read_entry(oid: &str, attributes: &[&str]) -> Self {
        Self::critical(oid, Some(sequence(&attributes.iter().map(octets).collect::<Vec<_>>())))
    }

    /// RFC 2891; `-name` is in reverse order, `name:rule` by that rule.
    pub(crate) fn sort(keys: &[&str]) -> Self {
        let key = |key: &&str| {
            let reverse = key.starts_with('-');
            let (name, rule) = match key.trim_start_matches('-').split_once(':') {
                Some((name, rule)) => (name, Some(rule)),
                None => (key.trim_start_matches('-'), None),
            };
            let mut parts = vec![octets(name)];
            parts.extend(rule.map(|rule| tlv(0x80, rule.as_bytes())));
            parts.extend(reverse.then(|| tlv(0x81, &[0xFF])));
            sequence(&parts)
        };
        Self::critical(super::oid::SORT_REQUEST, Some(sequence(&keys.iter().map(key).collect::<Vec<_>>())))
    }

    /// VLV draft: around the place `offset` of a list believed to be `count` long.
    pub(crate) fn view_at(before: i64, after: i64, offset: i64, count: i64) -> Self {
        let place = constructed(0xA0, &[integer(offset), integer(count)]);
        Self::critical(super::oid::VLV_REQUEST, Some(sequence(&[integer(before), integer(after), place])))
    }

    /// VLV draft: around the first entry at or behind `value`.
    pub(crate) fn view_of(before: i64, after: i64, value: &str) -> Self {
        let value = tlv(0x81, value.as_bytes());
        Self::critical(super::oid::VLV_REQUEST, Some(sequence(&[integer(before), integer(after), value])))
    }

    /// The same, but passed over where it is not served.
    pub(crate) fn optional(mut self) -> Self {
        self.critical = false;
        self
    }

    /// RFC 4370.
    pub(crate) fn proxied(authorization_id: &str) -> Self {
        Self::critical(super::oid::PROXIED_AUTHORIZATION, Some(authorization_id.as_bytes().to_vec()))
    }

    /// RFC 3876: each item is the text of a filter.
    #[track_caller]
    pub(crate) fn matched_values(items: &[&str]) -> Self {
        let items: Vec<_> = items.iter().map(|item| filter::encode(item)).collect();
        Self::critical(super::oid::MATCHED_VALUES, Some(sequence(&items)))
    }

    /// Dereference: attributes, and what is wanted of the entries that they name.
    pub(crate) fn dereference(wanted: &[(&str, &[&str])]) -> Self {
        let item = |(attribute, names): &(&str, &[&str])| {
            sequence(&[octets(attribute), sequence(&names.iter().map(octets).collect::<Vec<_>>())])
        };
        Self::critical(super::oid::DEREFERENCE, Some(sequence(&wanted.iter().map(item).collect::<Vec<_>>())))
    }

    /// A control without a value.
    pub(crate) fn plain(oid: &str) -> Self {
        Self::critical(oid, None)
    }

    /// RFC 3296.
    pub(crate) fn manage_dsa_it() -> Self {
        Self::critical(super::oid::MANAGE_DSA_IT, None)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut parts = vec![octets(&self.oid)];
        if self.critical {
            parts.push(boolean(true));
        }
        parts.extend(self.value.as_ref().map(octets));
        sequence(&parts)
    }
}

/// Wraps an operation into a message (RFC 4511 4.1.1).
pub(crate) fn message(id: i64, operation: &[u8], controls: &[Control]) -> Vec<u8> {
    let mut parts = vec![integer(id), operation.to_vec()];
    if !controls.is_empty() {
        parts.push(constructed(0xA0, &controls.iter().map(Control::encode).collect::<Vec<_>>()));
    }
    sequence(&parts)
}

/// Search scopes (RFC 4511 4.5.1.2; the fourth is the subordinate subtree draft).
pub(crate) const BASE: i64 = 0;
pub(crate) const ONE: i64 = 1;
pub(crate) const SUB: i64 = 2;
pub(crate) const CHILDREN: i64 = 3;

/// A search request; what is not said is the usual.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    pub(crate) base: Vec<u8>,
    scope: i64,
    deref: i64,
    size_limit: i64,
    time_limit: i64,
    types_only: bool,
    filter: Vec<u8>,
    attributes: Vec<String>,
}

impl Search {
    fn new(base: impl AsRef<[u8]>, scope: i64, filter: Vec<u8>) -> Self {
        Self {
            base: base.as_ref().to_vec(),
            scope,
            deref: 0,
            size_limit: 0,
            time_limit: 0,
            types_only: false,
            filter,
            attributes: Vec::new(),
        }
    }

    /// The entry `base` itself, whatever it is.
    pub(crate) fn base(base: impl AsRef<[u8]>) -> Self {
        Self::new(base, BASE, filter::encode("(objectClass=*)"))
    }

    /// The subtree of `base`.
    #[track_caller]
    pub(crate) fn subtree(base: impl AsRef<[u8]>, text: &str) -> Self {
        Self::new(base, SUB, filter::encode(text))
    }

    #[track_caller]
    pub(crate) fn filter(mut self, text: &str) -> Self {
        self.filter = filter::encode(text);
        self
    }

    pub(crate) fn raw_filter(mut self, encoded: Vec<u8>) -> Self {
        self.filter = encoded;
        self
    }

    pub(crate) fn scope(mut self, scope: i64) -> Self {
        self.scope = scope;
        self
    }

    /// 0 never, 1 in searching, 2 finding the base, 3 always.
    pub(crate) fn deref(mut self, deref: i64) -> Self {
        self.deref = deref;
        self
    }

    pub(crate) fn size_limit(mut self, entries: i64) -> Self {
        self.size_limit = entries;
        self
    }

    pub(crate) fn time_limit(mut self, seconds: i64) -> Self {
        self.time_limit = seconds;
        self
    }

    pub(crate) fn types_only(mut self) -> Self {
        self.types_only = true;
        self
    }

    pub(crate) fn attributes(mut self, names: &[&str]) -> Self {
        self.attributes = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        constructed(
            0x63,
            &[
                octets(&self.base),
                enumerated(self.scope),
                enumerated(self.deref),
                integer(self.size_limit),
                integer(self.time_limit),
                boolean(self.types_only),
                self.filter.clone(),
                sequence(&self.attributes.iter().map(octets).collect::<Vec<_>>()),
            ],
        )
    }
}

pub(crate) fn bind_simple(version: i64, name: &str, password: &[u8]) -> Vec<u8> {
    constructed(0x60, &[integer(version), octets(name), tlv(0x80, password)])
}

pub(crate) fn bind_sasl(name: &str, mechanism: &str, credentials: Option<&[u8]>) -> Vec<u8> {
    let mut sasl = vec![octets(mechanism)];
    sasl.extend(credentials.map(octets));
    constructed(0x60, &[integer(3), octets(name), constructed(0xA3, &sasl)])
}

pub(crate) fn unbind() -> Vec<u8> {
    tlv(0x42, &[])
}

/// A name and its values, the shape of every attribute in these tests.
pub(crate) type AttributeValues<'a> = (&'a str, &'a [&'a str]);

fn partial_attribute<V: AsRef<[u8]>>(name: &str, values: &[V]) -> Vec<u8> {
    sequence(&[octets(name), set(&values.iter().map(octets).collect::<Vec<_>>())])
}

pub(crate) fn add(dn: &str, attributes: &[AttributeValues<'_>]) -> Vec<u8> {
    let list: Vec<_> = attributes.iter().map(|(name, values)| partial_attribute(name, values)).collect();
    constructed(0x68, &[octets(dn), sequence(&list)])
}

/// [`add`] with values that need not be text.
pub(crate) fn add_bytes(dn: &str, attributes: &[(&str, Vec<Vec<u8>>)]) -> Vec<u8> {
    let list: Vec<_> = attributes.iter().map(|(name, values)| partial_attribute(name, values)).collect();
    constructed(0x68, &[octets(dn), sequence(&list)])
}

pub(crate) fn delete(dn: &str) -> Vec<u8> {
    tlv(0x4A, dn.as_bytes())
}

/// Modification kinds (RFC 4511 4.6, RFC 4525).
pub(crate) const ADD: i64 = 0;
pub(crate) const DELETE: i64 = 1;
pub(crate) const REPLACE: i64 = 2;
pub(crate) const INCREMENT: i64 = 3;

pub(crate) fn modify(dn: &str, modifications: &[(i64, &str, &[&str])]) -> Vec<u8> {
    let list: Vec<_> = modifications
        .iter()
        .map(|(kind, name, values)| sequence(&[enumerated(*kind), partial_attribute(name, values)]))
        .collect();
    constructed(0x66, &[octets(dn), sequence(&list)])
}

pub(crate) fn modify_dn(dn: &str, new_rdn: &str, delete_old_rdn: bool, new_superior: Option<&str>) -> Vec<u8> {
    let mut parts = vec![octets(dn), octets(new_rdn), boolean(delete_old_rdn)];
    parts.extend(new_superior.map(|superior| tlv(0x80, superior.as_bytes())));
    constructed(0x6C, &parts)
}

pub(crate) fn compare(dn: &str, attribute: &str, value: &[u8]) -> Vec<u8> {
    constructed(0x6E, &[octets(dn), sequence(&[octets(attribute), octets(value)])])
}

pub(crate) fn abandon(id: i64) -> Vec<u8> {
    tlv(0x50, &super::ber::integer_content(id))
}

pub(crate) fn extended(name: &str, value: Option<&[u8]>) -> Vec<u8> {
    let mut parts = vec![tlv(0x80, name.as_bytes())];
    parts.extend(value.map(|value| tlv(0x81, value)));
    constructed(0x77, &parts)
}

/// RFC 3062: each part may be absent.
pub(crate) fn password_modify(user: Option<&str>, old: Option<&str>, new: Option<&str>) -> Vec<u8> {
    let parts: Vec<_> = [(0x80, user), (0x81, old), (0x82, new)]
        .into_iter()
        .filter_map(|(tag, text)| text.map(|text| tlv(tag, text.as_bytes())))
        .collect();
    let value = if parts.is_empty() { None } else { Some(sequence(&parts)) };
    extended(super::oid::PASSWORD_MODIFY, value.as_deref())
}

/// RFC 3909.
pub(crate) fn cancel(id: i64) -> Vec<u8> {
    extended(super::oid::CANCEL, Some(&sequence(&[integer(id)])))
}
