//! A part of a sorted list with memory that is bounded by the part, however long the list is (hostile.md T-45).
//!
//! Short lists are gathered and sorted (`sort`). Of a long one only the rows between two bounds are gathered, and the
//! list is walked again until these are few enough: each walk counts what comes before the bounds and keeps a sample of
//! what lies between them, from which narrower bounds around the part that is wanted are taken. A walk leaves about a
//! tenth, so that a list of 50,000 takes two walks and one of a million three.
//!
//! The sample is those rows whose hashed numbers are least: fair whatever the order of the walk, and the same each time.
//!
//! Invariants
//! - At most [`ROWS_BYTES_MAX`] bytes of rows and [`SAMPLE_MAX`] samples are kept, whatever the client asks for.
//! - Places and lengths are those of the last walk; a part that came to lie outside the bounds meanwhile is looked for
//!   anew.

use super::ordered::place_of;
use crate::storage::EntryId;
use crate::wire::control::{ListTarget, ListView};
use std::collections::BTreeMap;

/// Entries of a part that is looked for so: of a larger one the list is gathered.
pub(super) const PART_MAX: u64 = 2_048;
/// Rows that are kept in one walk, together with their keys.
const ROWS_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Rows of the sample.
const SAMPLE_MAX: usize = 1_024;
/// By how many samples bounds lie beside the part: three standard deviations of a fair sample.
const MARGIN: usize = 48;
/// Walks after which it is given up: the list changes faster than it can be walked.
const WALKS_MAX: u32 = 10;
/// What the search may take of the memory for sorting: rows, sample and bounds.
pub(super) const BYTES: usize = 2 * ROWS_BYTES_MAX;

/// A row of the list: sort key, and the number of the entry for those with equal keys.
type Row = (Vec<u8>, EntryId);

/// What one walk finds.
#[derive(Default)]
struct Walk {
    /// Entries of the list.
    count: usize,
    /// Those before the value that was asked for.
    before_value: usize,
    /// Those before the bounds, and between them.
    before: usize,
    between: usize,
    /// All between the bounds, unless these are too many.
    rows: Vec<Row>,
    rows_bytes: usize,
    is_full: bool,
    sample: BTreeMap<u64, Row>,
}

/// See the module.
pub(super) struct Window {
    list: ListView,
    /// What the keys of entries begin with that have the value asked for.
    value: Option<Vec<u8>>,
    /// Bytes of rows that are kept in one walk.
    rows_max: usize,
    from: Option<Row>,
    to: Option<Row>,
    margin: usize,
    walks: u32,
    walk: Walk,
}

/// What a walk came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The part, in order; its target's place (from 1) and the length of the list.
    Part { ids: Vec<EntryId>, place: usize, count: usize },
    /// Walk again.
    Again,
    /// The place asked for is outside the list.
    Outside,
    /// It cannot be found.
    Lost,
}

impl Window {
    /// Whether a part can be looked for so.
    pub(super) fn fits(list: &ListView) -> bool {
        u64::from(list.before) + u64::from(list.after) < PART_MAX
    }

    /// `value`: what keys begin with that have the value of the list view's target.
    /// `bytes_max`: the most that rows may take, if that is less than [`ROWS_BYTES_MAX`].
    pub(super) fn new(list: ListView, value: Option<Vec<u8>>, bytes_max: usize) -> Self {
        let rows_max = bytes_max.min(ROWS_BYTES_MAX);
        Self { list, value, rows_max, from: None, to: None, margin: MARGIN, walks: 0, walk: Walk::default() }
    }

    /// Takes an entry of the list.
    pub(super) fn take(&mut self, key: &[u8], id: EntryId) {
        let walk = &mut self.walk;
        walk.count += 1;
        walk.before_value += usize::from(self.value.as_ref().is_some_and(|value| key < value.as_slice()));
        let is_before = |bound: &Row| (key, id) < (bound.0.as_slice(), bound.1);
        if self.from.as_ref().is_some_and(is_before) {
            walk.before += 1;
            return;
        }
        if self.to.as_ref().is_some_and(|bound| !is_before(bound)) {
            return;
        }
        walk.between += 1;
        if !walk.is_full {
            walk.rows_bytes += key.len() + size_of::<Row>();
            if walk.rows_bytes > self.rows_max {
                walk.is_full = true;
                walk.rows = Vec::new();
            } else {
                walk.rows.push((key.to_vec(), id));
            }
        }
        let rank = xxhash_rust::xxh3::xxh3_64(&id.0.to_be_bytes());
        let is_last = || walk.sample.last_key_value().is_none_or(|(greatest, _)| rank < *greatest);
        if walk.sample.len() < SAMPLE_MAX || is_last() {
            walk.sample.insert(rank, (key.to_vec(), id));
            if walk.sample.len() > SAMPLE_MAX {
                walk.sample.pop_last();
            }
        }
    }

    /// The list was walked to its end.
    pub(super) fn end(&mut self) -> Found {
        let mut walk = std::mem::take(&mut self.walk);
        self.walks += 1;
        let place = match &self.list.target {
            ListTarget::Value(_) if walk.count == 0 => 0,
            ListTarget::Value(_) => walk.before_value + 1,
            ListTarget::Offset { offset, count } => match place_of(*offset, *count, walk.count) {
                Some(place) => place,
                None => return Found::Outside,
            },
        };
        let at = place.saturating_sub(1);
        let first = at.saturating_sub(self.list.before as usize).min(walk.count);
        let last = walk.count.min(at.saturating_add(self.list.after as usize + 1)).max(first);
        let is_inside = first >= walk.before && last <= walk.before + walk.between;
        if is_inside && !walk.is_full {
            walk.rows.sort_unstable();
            let rows = walk.rows.get(first - walk.before..last - walk.before).unwrap_or_default();
            return Found::Part { ids: rows.iter().map(|(_, id)| *id).collect(), place, count: walk.count };
        }
        if self.walks >= WALKS_MAX {
            return Found::Lost;
        }
        if !is_inside {
            // The list changed, or the sample was not fair: from the beginning, and with more room.
            (self.from, self.to, self.margin) = (None, None, self.margin * 2);
            return Found::Again;
        }
        let mut sample: Vec<Row> = walk.sample.into_values().collect();
        sample.sort_unstable();
        let sampled = |row: usize| (row - walk.before) * sample.len() / walk.between.max(1);
        let (low, high) = (sampled(first).checked_sub(self.margin), sampled(last) + self.margin);
        // Without a sample so far out the bound stays.
        let high = sample.get(high).cloned().or_else(|| self.to.take());
        self.from = low.and_then(|low| sample.get(low).cloned()).or_else(|| self.from.take());
        self.to = high;
        Found::Again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The list of `count` rows, whose keys come in no order; of three rows one has the key of another.
    fn rows(count: u64) -> Vec<Row> {
        (0..count)
            .map(|id| {
                let number = (id / 3 * 7_919) % count;
                (format!("key {number:08} and some more text").into_bytes(), EntryId(id + 1))
            })
            .collect()
    }

    fn part(rows: &[Row], list: &ListView, value: Option<&str>) -> (Found, u32, usize) {
        let mut window = Window::new(list.clone(), value.map(|value| value.as_bytes().to_vec()), usize::MAX);
        let mut kept = 0;
        loop {
            for (key, id) in rows {
                window.take(key, *id);
                kept = kept.max(window.walk.rows_bytes.min(ROWS_BYTES_MAX) + window.walk.sample.len() * 64);
            }
            match window.end() {
                Found::Again => {}
                found => return (found, window.walks, kept),
            }
        }
    }

    fn at(before: u32, after: u32, offset: u32, count: u32) -> ListView {
        ListView { before, after, target: ListTarget::Offset { offset, count }, context: None }
    }

    /// T-45: with 500,000 entries as with 50,000 a part is what sorting everything would give, and memory does not grow.
    #[test]
    fn a_part_of_a_long_list_is_found_with_little_memory() {
        for count in [50_000, 500_000] {
            let rows = rows(count);
            let mut sorted = rows.clone();
            sorted.sort_unstable();
            let total = sorted.len();
            for (before, after, offset) in
                [(0, 19, 1), (3, 10, 25_000), (0, 0, 49_999), (50, 50, 40), (1_000, 1_000, 33_333)]
            {
                let (found, walks, kept) = part(&rows, &at(before, after, offset, 0), None);
                let place = offset as usize;
                let first = (place - 1).saturating_sub(before as usize);
                let last = total.min(place + after as usize);
                let ids = sorted[first..last].iter().map(|(_, id)| *id).collect();
                assert_eq!(found, Found::Part { ids, place, count: total }, "{count} {offset}");
                assert!(walks <= 4 && kept <= ROWS_BYTES_MAX + SAMPLE_MAX * 64, "{walks} walks, {kept} bytes");
            }
            let value = "key 00020000";
            let place = sorted.partition_point(|row| row.0.as_slice() < value.as_bytes()) + 1;
            let list = ListView { before: 2, after: 3, target: ListTarget::Value(Vec::new()), context: None };
            let (found, ..) = part(&rows, &list, Some(value));
            let ids = sorted[place - 3..place + 3].iter().map(|(_, id)| *id).collect();
            assert_eq!(found, Found::Part { ids, place, count: total });
        }
    }

    #[test]
    fn the_ends_of_a_list_and_places_outside_are_as_in_a_short_one() {
        let rows = rows(100);
        let count = rows.len();
        let of = |list| part(&rows, &list, None).0;
        assert!(matches!(of(at(2, 5, 100, 0)), Found::Part { ids, place: 100, count: 100 } if ids.len() == 3));
        assert!(matches!(of(at(0, 0, 50, 1_000)), Found::Part { place: 5, .. }));
        assert_eq!(of(at(0, 0, 0, 0)), Found::Outside);
        assert_eq!(part(&[], &at(1, 1, 1, 0), None).0, Found::Part { ids: Vec::new(), place: 0, count: 0 });
        let beyond = ListView { before: 1, after: 1, target: ListTarget::Value(Vec::new()), context: None };
        let (found, ..) = part(&rows, &beyond, Some("z"));
        assert!(matches!(found, Found::Part { ids, place, .. } if ids.len() == 1 && place == count + 1));
    }

    /// Who asks for a part as large as the list does not get it so.
    #[test]
    fn the_part_is_bounded() {
        assert!(Window::fits(&at(1_000, 1_000, 1, 0)));
        assert!(!Window::fits(&at(u32::MAX, u32::MAX, 1, 0)) && !Window::fits(&at(2_048, 0, 1, 0)));
    }
}
