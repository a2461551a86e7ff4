//! Keys of names: bytes that are equal iff two DNs name the same entry (RFC 4517 4.2.15).
//!
//! A key is built root first, so that everything below an entry has keys that begin with the entry's own. Types
//! appear by OID, values by the key of their equality rule, the pairs of a multi-valued RDN in sorted order.
//!
//! ```text
//! rdn key  = pair *( 0x01 pair )           pairs sorted as bytes
//! pair     = OID or lower-case name "=" value key, with 0x00, 0x01, 0x02 written as 0x02 0x10, 0x11, 0x12
//! dn key   = *( rdn key 0x00 )             root first; the root's own key is empty
//! ```
//!
//! Invariants
//! - `dn_key(a)` starts with `dn_key(b)` iff `a` is `b` or subordinate to it.
//! - An RDN key holds no zero byte and is never empty.
//! - A value that its rule cannot compare (or of a type nobody knows) still has a key: bytes that equal only themselves.

use smallvec::SmallVec;

use crate::model::{Ava, Dn, Rdn};

use super::Schema;
use super::matching_rule::{MatchingRule, NESTED_NAMES_MAX};

/// Ends an RDN in a DN key.
const RDN_END: u8 = 0x00;
/// Stands between the pairs of one RDN.
const PAIR_SEPARATOR: u8 = 0x01;
/// Begins an escaped byte.
const ESCAPE: u8 = 0x02;
/// Added to an escaped byte.
const ESCAPE_OFFSET: u8 = 0x10;
/// Begins a value that is compared as bytes because its rule refused it.
const RAW: [u8; 2] = [ESCAPE, 0x1f];

impl Schema {
    /// The key of an RDN; see the module for its form. Cost: one look-up and one pass per pair.
    pub fn rdn_key(&self, rdn: &Rdn) -> Vec<u8> {
        let mut out = Vec::with_capacity(48);
        append_rdn_key(self, rdn, &mut out, 0);
        out
    }

    /// The key of a DN, root first; empty for the root.
    pub fn dn_key(&self, dn: &Dn) -> Vec<u8> {
        let mut out = Vec::with_capacity(48 * dn.rdns().len());
        append_dn_key(self, dn, &mut out, 0);
        out
    }

    /// Whether two DNs name the same entry (distinguishedNameMatch).
    pub fn dn_equal(&self, left: &Dn, right: &Dn) -> bool {
        left.rdns().len() == right.rdns().len() && (left == right || self.dn_key(left) == self.dn_key(right))
    }

    /// Whether `dn` is `base` or stands below it.
    pub fn dn_is_within(&self, dn: &Dn, base: &Dn) -> bool {
        dn.rdns().len() >= base.rdns().len() && self.dn_key(dn).starts_with(&self.dn_key(base))
    }
}

/// How many RDNs a DN key, or what is left of one behind a shorter key, holds.
pub(crate) fn rdn_count(dn_key: &[u8]) -> usize {
    dn_key.iter().filter(|byte| **byte == RDN_END).count()
}

pub(crate) fn append_dn_key(schema: &Schema, dn: &Dn, out: &mut Vec<u8>, depth: u32) {
    for rdn in dn.rdns().iter().rev() {
        append_rdn_key(schema, rdn, out, depth);
        out.push(RDN_END);
    }
}

fn append_rdn_key(schema: &Schema, rdn: &Rdn, out: &mut Vec<u8>, depth: u32) {
    if let [only] = rdn.avas() {
        append_pair(schema, only, out, depth);
        return;
    }
    let mut pairs: SmallVec<[Vec<u8>; 4]> = SmallVec::new();
    for ava in rdn.avas() {
        let mut pair = Vec::with_capacity(48);
        append_pair(schema, ava, &mut pair, depth);
        pairs.push(pair);
    }
    pairs.sort_unstable();
    for (index, pair) in pairs.iter().enumerate() {
        if index > 0 {
            out.push(PAIR_SEPARATOR);
        }
        out.extend_from_slice(pair);
    }
}

fn append_pair(schema: &Schema, ava: &Ava, out: &mut Vec<u8>, depth: u32) {
    let attribute_type = schema.attribute_type(&ava.attribute);
    match attribute_type {
        Some(known) => out.extend_from_slice(known.oid.as_bytes()),
        None => out.extend(ava.attribute.bytes().map(|byte| byte.to_ascii_lowercase())),
    }
    out.push(b'=');
    let start = out.len();
    let rule = attribute_type.map_or(Some(MatchingRule::CaseIgnoreMatch), |known| known.equality);
    let compared = match rule {
        Some(rule) if depth < NESTED_NAMES_MAX => rule.key_nested(schema, &ava.value, out, depth + 1).is_ok(),
        _ => false,
    };
    if !compared {
        out.truncate(start);
        out.extend_from_slice(&ava.value);
    }
    escape_from(out, start);
    if !compared {
        out.splice(start..start, RAW);
    }
}

/// Escapes what separates, from `start` to the end, in place. Names hardly ever need it.
fn escape_from(out: &mut Vec<u8>, start: usize) {
    let Some(tail) = out.get(start..) else { return };
    if tail.iter().all(|byte| *byte > ESCAPE) {
        return;
    }
    let tail = out.split_off(start);
    for byte in tail {
        if byte <= ESCAPE {
            out.push(ESCAPE);
            out.push(byte + ESCAPE_OFFSET);
        } else {
            out.push(byte);
        }
    }
}

#[cfg(test)]
mod tests;
