//! What sorted results are sorted by (RFC 2891): keys resolved against the schema, and the sort key of an entry as bytes.
//!
//! An entry's sort key is one string of bytes whose order is the order asked for, so that sorting, comparing and looking
//! for a value in a sorted list are comparisons of bytes. For each key asked for it has a part: the least value of the
//! attribute under the rule, or a mark that there is none, which comes behind all values (RFC 2891 2.2); the bits of a
//! part in reverse order are turned over.
//!
//! Invariants
//! - Values that the requester may not read do not show in the order: they count as absent.
//! - Collective attributes (RFC 3671) count as if each entry had their values; so do members that a group finds by search, as
//!   they are shown.
//! - Of a value the first [`VALUE_BYTES_MAX`] bytes of its normal form count.
//! - What is gathered is bounded for one search and for all of them together ([`SortMemory`]).
//!
//! More than the RFC asks for: an attribute without an ordering rule is sorted by its equality rule, so that an address
//! book may sort by telephone number too.

use super::Looking;
use crate::dit::Entry;
use crate::model::{Attribute, AttributeDescription, ResultCode};
use crate::operation::access::Granted;
use crate::operation::outcome::Outcome;
use crate::schema::{AttributeType, AttributeTypeIndex, MatchingRule, RuleKind, Schema};
use crate::search::{Collective, Computed, MEMBER, searched_members};
use crate::storage::EntryId;
use crate::wire::control::SortKey;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of a value's normal form that count.
const VALUE_BYTES_MAX: usize = 256;
/// Memory is reserved in pieces of so many bytes.
const RESERVED_AT_ONCE: usize = 256 * 1024;
/// Sorts at full size that all searches together may have.
const FULL_SORTS_MAX: usize = 4;

/// First byte of a part: a value follows.
const VALUE: u8 = 1;
/// First byte of a part: there is no value.
const NO_VALUE: u8 = 2;

struct Key {
    index: AttributeTypeIndex,
    options: Vec<String>,
    computed: Option<Computed>,
    /// `member`, where members that a group finds by search count as its values.
    searched: Option<AttributeTypeIndex>,
    rule: MatchingRule,
    reverse: bool,
}

/// See the module.
pub(super) struct Sorting {
    keys: Vec<Key>,
    /// Read when an entry is first looked at for a type that some collective attribute refines.
    collective: Option<Collective>,
}

/// Why entries cannot be sorted so: the code of the sort response, and the attribute at fault.
pub(super) struct Unsortable {
    pub(super) code: ResultCode,
    pub(super) attribute: String,
}

impl Sorting {
    /// Resolves the keys of a request.
    pub(super) fn new(schema: &Schema, keys: &[SortKey]) -> Result<Self, Unsortable> {
        let member = schema.attribute_type(MEMBER).map(|member| member.index);
        let resolve = |key: &SortKey| {
            let fault = |code| Unsortable { code, attribute: key.attribute.clone() };
            let description = AttributeDescription::parse(&key.attribute);
            let description = description.map_err(|_| fault(ResultCode::NO_SUCH_ATTRIBUTE))?;
            let is_known = schema.attribute_options().unknown_in(&description).is_none();
            let found = schema.attribute_type(description.name()).filter(|found| is_known && !found.is_sealed());
            let found = found.ok_or_else(|| fault(ResultCode::NO_SUCH_ATTRIBUTE))?;
            let rule = match &key.rule {
                Some(name) => MatchingRule::find(name).filter(|rule| orders(*rule, found)),
                None => found.ordering.or_else(|| found.equality.filter(|rule| rule.is_key_rule())),
            };
            Ok(Key {
                index: found.index,
                options: description.options().to_vec(),
                computed: Computed::of(found),
                searched: member.filter(|member| found.subtypes.contains(member) && description.options().is_empty()),
                rule: rule.ok_or_else(|| fault(ResultCode::INAPPROPRIATE_MATCHING))?,
                reverse: key.reverse,
            })
        };
        Ok(Self { keys: keys.iter().map(resolve).collect::<Result<_, _>>()?, collective: None })
    }

    /// Appends the sort key of `entry`. `granted`: what of it may be read.
    pub(super) fn append(
        &mut self,
        at: &Looking<'_, '_>,
        entry: &Entry<'_>,
        granted: &Granted,
        out: &mut Vec<u8>,
    ) -> Outcome<()> {
        let Self { keys, collective } = self;
        for key in keys {
            let least = match granted.for_attribute(Some(key.index)) {
                true => key.least(at, entry, granted, collective)?,
                false => None,
            };
            key.append_part(least.as_deref(), out);
        }
        Ok(())
    }

    /// Appends the sort key of an entry that is not in the tree, which has these attributes for the requester.
    pub(super) fn append_told(&self, schema: &Schema, attributes: &[Attribute], out: &mut Vec<u8>) {
        for key in &self.keys {
            key.append_part(key.least_told(schema, attributes).as_deref(), out);
        }
    }

    /// What the sort keys of all entries begin with whose first attribute is `value`; those before it are before the
    /// value. `None`: the rule cannot read it.
    pub(super) fn beginning(&self, schema: &Schema, value: &[u8]) -> Option<Vec<u8>> {
        let key = self.keys.first()?;
        let (mut normal, mut part) = (Vec::new(), Vec::new());
        key.rule.key(schema, value, &mut normal).ok()?;
        normal.truncate(VALUE_BYTES_MAX);
        key.append_part(Some(&normal), &mut part);
        Some(part)
    }
}

/// Whether values of the type can be sorted by the rule.
fn orders(rule: MatchingRule, attribute_type: &AttributeType) -> bool {
    let has_order = rule.kind() == RuleKind::Ordering || rule.natural_ordering().is_some();
    let is_text =
        [MatchingRule::CaseIgnoreMatch, MatchingRule::CaseExactMatch].into_iter().any(|text| rule.shares_key(text));
    let is_own =
        [attribute_type.equality, attribute_type.ordering].into_iter().flatten().any(|own| own.shares_key(rule));
    has_order
        && (is_own
            || (is_text && attribute_type.syntax.is_human_readable())
            || attribute_type.syntax.oid() == rule.assertion_syntax())
}

impl Key {
    /// The least normal form among the attribute's values that may be read.
    fn least(
        &self,
        at: &Looking<'_, '_>,
        entry: &Entry<'_>,
        granted: &Granted,
        collective: &mut Option<Collective>,
    ) -> Outcome<Option<Vec<u8>>> {
        let view = at.view;
        let catalog = view.catalog();
        let mut least: Option<Vec<u8>> = None;
        let mut normal = Vec::with_capacity(64);
        let mut offer = |value: &[u8]| {
            normal.clear();
            if self.rule.key(catalog.schema(), value, &mut normal).is_ok() {
                normal.truncate(VALUE_BYTES_MAX);
                if least.as_ref().is_none_or(|least| normal < *least) {
                    least = Some(normal.clone());
                }
            }
        };
        if let Some(computed) = self.computed {
            computed.values(view, entry)?.iter().for_each(|value| offer(value));
            return Ok(least);
        }
        for id in catalog.of_type(self.index) {
            let Some(info) = catalog.attribute(*id) else { continue };
            let is_meant = self.options.iter().all(|option| info.options.contains(option));
            if !is_meant || info.sealed || !granted.for_attribute(info.attribute_type) {
                continue;
            }
            if info.collective {
                let sharing = match collective {
                    Some(sharing) => sharing,
                    None => collective.insert(Collective::load(view)?),
                };
                let shared = sharing.values_of(view, entry)?;
                let values = shared.iter().filter(|(shared, _)| shared == id).flat_map(|(_, values)| values);
                values.for_each(|value| offer(value));
            }
            let Some(slice) = entry.attribute(*id) else { continue };
            if view.is_current(entry, &slice) {
                slice.values().for_each(&mut offer);
            } else {
                view.values(entry, &slice)?.iter().for_each(|value| offer(value));
            }
        }
        if self.searched.is_some_and(|member| granted.for_attribute(Some(member))) {
            searched_members(view, entry, at.access)?.iter().for_each(|name| offer(name));
        }
        Ok(least)
    }

    /// The same of an entry that is not in the tree.
    fn least_told(&self, schema: &Schema, attributes: &[Attribute]) -> Option<Vec<u8>> {
        let is_meant = |attribute: &&Attribute| {
            let Attribute { description, .. } = attribute;
            schema.attribute_type(description.name()).is_some_and(|found| found.index == self.index)
                && self.options.iter().all(|option| description.options().contains(option))
        };
        let normal_of = |value: &Vec<u8>| {
            let mut normal = Vec::with_capacity(64);
            self.rule.key(schema, value, &mut normal).ok()?;
            normal.truncate(VALUE_BYTES_MAX);
            Some(normal)
        };
        attributes.iter().filter(is_meant).flat_map(|attribute| &attribute.values).filter_map(normal_of).min()
    }

    fn append_part(&self, normal: Option<&[u8]>, out: &mut Vec<u8>) {
        let start = out.len();
        match normal {
            None => out.push(NO_VALUE),
            Some(normal) => {
                out.push(VALUE);
                // A zero is written as two bytes so that the end, a single zero and a one, comes before everything.
                for byte in normal {
                    out.push(*byte);
                    if *byte == 0 {
                        out.push(0xff);
                    }
                }
                out.extend_from_slice(&[0, 1]);
            }
        }
        if self.reverse {
            out.iter_mut().skip(start).for_each(|byte| *byte = !*byte);
        }
    }
}

/// Memory that sorts of all searches together take. A clone is the same.
#[derive(Clone, Debug, Default)]
pub(in crate::operation) struct SortMemory(Arc<AtomicUsize>);

/// A part of [`SortMemory`], given back when dropped.
#[derive(Debug, Default)]
pub(super) struct Reservation {
    memory: SortMemory,
    bytes: usize,
}

impl Reservation {
    fn grow(&mut self, bytes: usize, most: usize) -> bool {
        let before = self.memory.0.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > most {
            self.memory.0.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        self.bytes += bytes;
        true
    }

    /// Gives back what is beyond `bytes`.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let beyond = self.bytes.saturating_sub(bytes);
        self.memory.0.fetch_sub(beyond, Ordering::Relaxed);
        self.bytes -= beyond;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.memory.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy)]
struct Row {
    at: u32,
    length: u32,
    id: EntryId,
}

/// Entries gathered to be sorted.
pub(super) struct Sorter {
    keys: Vec<u8>,
    rows: Vec<Row>,
    reserved: Reservation,
    bytes_max: usize,
}

/// Whether one more entry could be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gathered {
    /// It was.
    Yes,
    /// One search may not gather more.
    TooMuch,
    /// All searches together may not gather more.
    Busy,
    /// It was not: the list is long, and only the part that is wanted is to be looked for (`window`).
    Narrow,
}

impl Sorter {
    /// One that takes `bytes_max` bytes of keys and numbers at most.
    pub(super) fn new(memory: &SortMemory, bytes_max: usize) -> Self {
        let reserved = Reservation { memory: memory.clone(), bytes: 0 };
        Self { keys: Vec::new(), rows: Vec::new(), reserved, bytes_max: bytes_max.min(u32::MAX as usize) }
    }

    /// Takes an entry; `append` appends its sort key.
    pub(super) fn take(&mut self, id: EntryId, append: impl FnOnce(&mut Vec<u8>) -> Outcome<()>) -> Outcome<Gathered> {
        let start = self.keys.len();
        append(&mut self.keys)?;
        let bytes = self.keys.len() + (self.rows.len() + 1) * size_of::<Row>();
        if bytes > self.bytes_max {
            return Ok(Gathered::TooMuch);
        }
        while bytes > self.reserved.bytes {
            if !self.reserved.grow(RESERVED_AT_ONCE, self.bytes_max.saturating_mul(FULL_SORTS_MAX)) {
                return Ok(Gathered::Busy);
            }
        }
        let length = (self.keys.len() - start) as u32;
        self.rows.push(Row { at: start as u32, length, id });
        Ok(Gathered::Yes)
    }

    /// Gives up what was gathered and reserves so many bytes, or what one search may have, for another way; with the
    /// number of bytes. `None`: other searches have the memory.
    pub(super) fn into_reserved(mut self, bytes: usize) -> Option<(Reservation, usize)> {
        let bytes = bytes.min(self.bytes_max);
        self.reserved.shrink(bytes);
        let missing = bytes - self.reserved.bytes;
        let is_there = self.reserved.grow(missing, self.bytes_max.saturating_mul(FULL_SORTS_MAX));
        is_there.then_some((self.reserved, bytes))
    }

    /// Sorts; entries with equal keys by their numbers.
    pub(super) fn sort(&mut self) {
        let keys = &self.keys;
        self.rows.sort_unstable_by(|left, right| key(keys, left).cmp(key(keys, right)).then(left.id.cmp(&right.id)));
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// How many entries come before those whose key begins with `beginning` or comes behind it. After [`Self::sort`].
    pub(super) fn before(&self, beginning: &[u8]) -> usize {
        self.rows.partition_point(|row| key(&self.keys, row) < beginning)
    }

    /// The entries of a range of places, and the memory that they take.
    pub(super) fn into_entries(mut self, range: std::ops::Range<usize>) -> (Vec<EntryId>, Reservation) {
        let ids: Vec<EntryId> = self.rows.get(range).unwrap_or_default().iter().map(|row| row.id).collect();
        self.reserved.shrink(ids.len() * size_of::<EntryId>());
        (ids, self.reserved)
    }
}

fn key<'k>(keys: &'k [u8], row: &Row) -> &'k [u8] {
    let start = row.at as usize;
    keys.get(start..start + row.length as usize).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorting(keys: &[(&str, bool)]) -> Sorting {
        let keys: Vec<_> = keys
            .iter()
            .map(|(name, reverse)| SortKey { attribute: (*name).to_owned(), rule: None, reverse: *reverse })
            .collect();
        Sorting::new(&Schema::builtin(), &keys).unwrap_or_else(|fault| panic!("{}: {}", fault.attribute, fault.code))
    }

    /// A composed key sorts as its parts do, whatever bytes they have; absence is greatest.
    #[test]
    fn parts_keep_their_order_when_they_are_put_together() {
        let sorting = sorting(&[("cn", false), ("sn", true)]);
        let values: [Option<&[u8]>; 8] =
            [Some(b""), Some(b"\0"), Some(b"\0\0"), Some(b"\0\x01"), Some(b"a"), Some(b"a\0"), Some(b"ab"), None];
        for (at, first) in values.iter().enumerate() {
            for (other_at, other) in values.iter().enumerate() {
                for (low, high) in [(0, 5), (3, 3), (6, 7)] {
                    let make = |cn: &Option<&[u8]>, sn: Option<&[u8]>| {
                        let mut out = Vec::new();
                        sorting.keys[0].append_part(*cn, &mut out);
                        sorting.keys[1].append_part(sn, &mut out);
                        out
                    };
                    let order = make(first, values[low]).cmp(&make(other, values[high]));
                    // The second part in reverse.
                    assert_eq!(order, at.cmp(&other_at).then(high.cmp(&low)), "{first:?} {other:?} {low} {high}");
                }
            }
        }
    }

    #[test]
    fn memory_is_bounded_for_one_and_for_all() {
        let memory = SortMemory::default();
        let mut sorters: Vec<Sorter> = (0..=FULL_SORTS_MAX).map(|_| Sorter::new(&memory, RESERVED_AT_ONCE)).collect();
        let mut endings = Vec::new();
        for sorter in &mut sorters {
            let mut id = 0;
            endings.push(loop {
                id += 1;
                let gathered = sorter.take(EntryId(id), |keys| {
                    keys.extend_from_slice(&[7; 100]);
                    Ok(())
                });
                match gathered.unwrap() {
                    Gathered::Yes => {}
                    ended => break ended,
                }
            });
        }
        assert_eq!(endings.pop(), Some(Gathered::Busy));
        assert!(endings.iter().all(|ended| *ended == Gathered::TooMuch));
        drop(sorters);
        assert_eq!(memory.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_has_no_order_is_said_with_its_name() {
        let schema = Schema::builtin();
        let fault = |attribute: &str, rule: Option<&str>| {
            let key = SortKey { attribute: attribute.to_owned(), rule: rule.map(str::to_owned), reverse: false };
            Sorting::new(&schema, &[key]).err().map(|fault| fault.code)
        };
        assert_eq!(fault("noSuchThing", None), Some(ResultCode::NO_SUCH_ATTRIBUTE));
        assert_eq!(fault("", None), Some(ResultCode::NO_SUCH_ATTRIBUTE));
        assert_eq!(fault("cn", Some("noSuchRule")), Some(ResultCode::INAPPROPRIATE_MATCHING));
        assert_eq!(fault("cn", Some("integerOrderingMatch")), Some(ResultCode::INAPPROPRIATE_MATCHING));
        for (attribute, rule) in [
            ("cn", None),
            ("sn", Some("2.5.13.3")),
            ("cn", Some("caseExactOrderingMatch")),
            ("telephoneNumber", None),
            ("uidNumber", Some("integerOrderingMatch")),
            ("createTimestamp", None),
            ("mail", Some("caseIgnoreOrderingMatch")),
        ] {
            assert_eq!(fault(attribute, rule), None, "{attribute} {rule:?}");
        }
    }
}
