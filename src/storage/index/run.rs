//! A run: changed keys with their ids, sorted; in memory to be searched, in bytes to be stored.
//!
//! ```text
//! record: checksum u64; then for each key, rising:
//!   bytes shared with the key before, bytes of its own, these; count of marks,
//!   each: id less the one before, times two, and one if the id is there
//! ```
//!
//! Numbers are varints. A search for a key that the run does not have mostly ends at a filter of two bits a key.

use super::super::record::{seal, unseal};
use super::super::{EntryId, StorageError};
use smallvec::SmallVec;
use std::cmp::Ordering;
use xxhash_rust::xxh3::xxh3_64;

const TABLE: &str = "pending index";
/// Bits of the filter for each key: one search in fifty for an absent key goes on for nothing.
const FILTER_BITS: usize = 16;

/// What a run says of one id under a key. Sorted by id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in super::super) struct Mark(u64);

impl Mark {
    pub(super) fn new(id: EntryId, is_there: bool) -> Self {
        Self(id.0 << 1 | u64::from(is_there))
    }

    pub(super) fn id(self) -> EntryId {
        EntryId(self.0 >> 1)
    }

    pub(super) fn is_there(self) -> bool {
        self.0 & 1 == 1
    }
}

/// A key's hash, made once for the filters of all runs.
pub(super) fn key_hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

#[derive(Clone, Copy, Default)]
struct End {
    bytes: u32,
    marks: u32,
}

/// See the module. Keys rise, and the ids under a key.
#[derive(Default)]
pub(in super::super) struct Run {
    bytes: Vec<u8>,
    ends: Vec<End>,
    marks: Vec<Mark>,
    filter: Vec<u64>,
}

impl Run {
    /// From keys that rise, each with marks that rise and are not none.
    pub(super) fn of<'k>(pieces: impl Iterator<Item = (&'k [u8], &'k [Mark])>) -> Self {
        let mut run = Self::default();
        for (key, marks) in pieces {
            run.push(key, marks);
        }
        run.fill_filter();
        run
    }

    fn push(&mut self, key: &[u8], marks: &[Mark]) {
        debug_assert!(self.ends.is_empty() || self.key(self.ends.len() - 1) < key, "keys rise");
        self.bytes.extend_from_slice(key);
        self.marks.extend_from_slice(marks);
        self.ends.push(End { bytes: self.bytes.len() as u32, marks: self.marks.len() as u32 });
    }

    fn fill_filter(&mut self) {
        let words = (self.ends.len() * FILTER_BITS).div_ceil(64).next_power_of_two();
        let mut filter = vec![0_u64; words];
        for index in 0..self.ends.len() {
            for (word, bit) in places(key_hash(self.key(index)), words) {
                if let Some(word) = filter.get_mut(word) {
                    *word |= bit;
                }
            }
        }
        self.filter = filter;
    }

    /// How many keys.
    pub(super) fn keys(&self) -> usize {
        self.ends.len()
    }

    /// How many marks under all keys.
    pub(super) fn marks(&self) -> usize {
        self.marks.len()
    }

    fn end(&self, count: usize) -> End {
        count.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or_default()
    }

    /// The key with this number; empty behind the last.
    pub(super) fn key(&self, index: usize) -> &[u8] {
        let (start, end) = (self.end(index).bytes as usize, self.end(index + 1).bytes as usize);
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// The marks under the key with this number, never none but behind the last.
    pub(super) fn marks_of(&self, index: usize) -> &[Mark] {
        let (start, end) = (self.end(index).marks as usize, self.end(index + 1).marks as usize);
        self.marks.get(start..end).unwrap_or_default()
    }

    /// Number of the first key at or after `key`.
    pub(super) fn seek(&self, key: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.ends.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.key(middle) < key { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// The marks under `key`, whose hash is given; none if the run does not know it.
    pub(super) fn get(&self, key: &[u8], hash: u64) -> &[Mark] {
        let has = |(word, bit): (usize, u64)| self.filter.get(word).is_some_and(|word| word & bit != 0);
        if !places(hash, self.filter.len()).into_iter().all(has) {
            return &[];
        }
        let index = self.seek(key);
        if index < self.ends.len() && self.key(index) == key { self.marks_of(index) } else { &[] }
    }

    /// One run that says what these say together, the later being right.
    pub(super) fn join<'r>(runs: &[&'r Self]) -> Self {
        let mut joined = Self {
            bytes: Vec::with_capacity(runs.iter().map(|run| run.bytes.len()).sum()),
            ends: Vec::with_capacity(runs.iter().map(|run| run.keys()).sum()),
            marks: Vec::with_capacity(runs.iter().map(|run| run.marks()).sum()),
            filter: Vec::new(),
        };
        let mut at: SmallVec<[usize; 8]> = runs.iter().map(|_| 0).collect();
        let mut marks: Vec<Mark> = Vec::new();
        let head = |run: &'r Self, at: usize| (at < run.keys()).then(|| run.key(at));
        let mut heads: SmallVec<[Option<&'r [u8]>; 8]> = runs.iter().map(|run| head(run, 0)).collect();
        let mut with_least: SmallVec<[(usize, &'r [Mark]); 8]> = SmallVec::new();
        loop {
            let mut least: Option<&[u8]> = None;
            with_least.clear();
            for (source, ((key, run), at)) in heads.iter().zip(runs).zip(&at).enumerate() {
                let Some(key) = *key else { continue };
                let order = least.map_or(Ordering::Less, |least| key.cmp(least));
                if order.is_lt() {
                    least = Some(key);
                    with_least.clear();
                }
                if order.is_le() {
                    with_least.push((source, run.marks_of(*at)));
                }
            }
            let Some(least) = least else { break };
            match with_least.as_slice() {
                [(_, only)] => joined.push(least, only),
                several => {
                    join_marks(several.iter().rev().map(|(_, marks)| *marks), &mut marks);
                    joined.push(least, &marks);
                }
            }
            for (source, _) in &with_least {
                if let (Some(at), Some(key), Some(run)) =
                    (at.get_mut(*source), heads.get_mut(*source), runs.get(*source))
                {
                    *at += 1;
                    *key = head(run, *at);
                }
            }
        }
        joined.fill_filter();
        joined
    }

    /// The run as a record under `key`.
    pub(in super::super) fn encode(&self, key: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + self.bytes.len() + self.ends.len() * 3 + self.marks.len() * 3);
        out.extend_from_slice(&[0; 8]);
        let mut before: &[u8] = &[];
        for index in 0..self.ends.len() {
            let (name, marks) = (self.key(index), self.marks_of(index));
            let shared = before.iter().zip(name).take_while(|(one, other)| one == other).count();
            let own = name.get(shared..).unwrap_or_default();
            put_varint(&mut out, shared as u64);
            put_varint(&mut out, own.len() as u64);
            out.extend_from_slice(own);
            put_varint(&mut out, marks.len() as u64);
            let mut last = 0;
            for mark in marks {
                put_varint(&mut out, (mark.id().0 - last) << 1 | u64::from(mark.is_there()));
                last = mark.id().0;
            }
            before = name;
        }
        seal(key, &mut out);
        out
    }

    /// The inverse of [`Run::encode`].
    pub(in super::super) fn decode(key: &[u8], record: &[u8]) -> Result<Self, StorageError> {
        let body = unseal(TABLE, key, record)?;
        Self::read(body)
            .ok_or_else(|| StorageError::Corrupted { table: TABLE, detail: "a run does not decode".to_owned() })
    }

    fn read(mut rest: &[u8]) -> Option<Self> {
        let mut run = Self::default();
        let mut name: Vec<u8> = Vec::new();
        let mut marks = Vec::new();
        while !rest.is_empty() {
            let shared = usize::try_from(varint(&mut rest)?).ok().filter(|shared| *shared <= name.len())?;
            let own = usize::try_from(varint(&mut rest)?).ok()?;
            let (own, after) = rest.split_at_checked(own)?;
            rest = after;
            name.truncate(shared);
            name.extend_from_slice(own);
            let count = varint(&mut rest)?;
            marks.clear();
            let mut last = 0_u64;
            for _ in 0..count {
                let mark = varint(&mut rest)?;
                last = last.checked_add(mark >> 1)?;
                marks.push(Mark::new(EntryId(last), mark & 1 == 1));
            }
            let rises = run.ends.is_empty() || run.key(run.ends.len() - 1) < name.as_slice();
            if !rises || marks.is_empty() || !marks.is_sorted_by(|one, other| one.id() < other.id()) {
                return None;
            }
            run.push(&name, &marks);
        }
        run.fill_filter();
        Some(run)
    }
}

/// What several lists of marks say together, the first being the newest.
pub(super) fn join_marks<'m>(lists: impl Iterator<Item = &'m [Mark]>, out: &mut Vec<Mark>) {
    out.clear();
    for list in lists {
        out.extend_from_slice(list);
    }
    // Stable: of two marks of one id the newer stays first.
    out.sort_by_key(|mark| mark.id());
    out.dedup_by_key(|mark| mark.id());
}

fn places(hash: u64, words: usize) -> [(usize, u64); 2] {
    let place = |hash: u64| ((hash >> 6) as usize & words.wrapping_sub(1), 1 << (hash & 63));
    [place(hash), place(hash >> 32)]
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let (mut number, mut shift) = (0_u64, 0);
    loop {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
        shift += 7;
        if shift > 63 {
            return None;
        }
    }
}
