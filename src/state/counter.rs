//! A number that masters increment apart: every increment counts, once.
//!
//! A counter stands on a *base*: the write that last set the number. Each origin keeps how often and by how much it
//! incremented on that base, so joining takes the longer row of each origin and never adds one twice. A newer base wins
//! whole: who sets the number means to forget what was counted on the older one.
//!
//! The base carries its value, so that an increment that arrives before the write it stands on is already right. Base
//! writes themselves are ordinary cells and clears: a counter whose base is older than the attribute's `clear` is
//! void.

use std::collections::BTreeMap;

use crate::state::csn::{Csn, OriginId, Stamp};

/// The write that a counter counts from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CounterBase {
    /// The change that set the number.
    pub stamp: Stamp,
    /// The number it set.
    pub value: i64,
}

/// What one origin added on a base, all its increments together. Ordered by count first: the longer row wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CounterPart {
    /// How many increments, from 1.
    pub count: u64,
    /// Their sum.
    pub sum: i64,
    /// The change that made the last of them.
    pub stamp: Stamp,
}

/// A number as the sum of its base and what every origin added.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counter {
    /// What it counts from.
    pub base: CounterBase,
    /// Increments by origin; an origin's key is the origin of its part's stamp.
    pub parts: BTreeMap<OriginId, CounterPart>,
}

impl Counter {
    /// A counter at its base.
    pub fn new(base: CounterBase) -> Self {
        Self { base, parts: BTreeMap::new() }
    }

    /// The number: base and all increments. Wide enough for every sum of 2^32 origins.
    pub fn value(&self) -> i128 {
        self.parts.values().fold(i128::from(self.base.value), |sum, part| sum + i128::from(part.sum))
    }

    /// The newest change in it.
    pub fn newest(&self) -> Stamp {
        self.parts.values().map(|part| part.stamp).fold(self.base.stamp, Stamp::max)
    }

    /// The part that `origin` ships for one more increment `by`, stamped later. `None` if its sum leaves 64 bits: then
    /// the origin sets a new base instead.
    pub fn next_count(&self, origin: OriginId, by: i64) -> Option<(u64, i64)> {
        match self.parts.get(&origin) {
            Some(part) => Some((part.count.checked_add(1)?, part.sum.checked_add(by)?)),
            None => Some((1, by)),
        }
    }

    /// Larger base wins whole; of one base, each origin's longer row. Returns whether anything changed.
    pub fn join(&mut self, other: &Self) -> bool {
        match other.base.cmp(&self.base) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Greater => {
                self.clone_from(other);
                true
            }
            std::cmp::Ordering::Equal => {
                other.parts.values().fold(false, |changed, part| self.join_part(*part) | changed)
            }
        }
    }

    /// Joins one origin's row on this very base.
    pub fn join_part(&mut self, part: CounterPart) -> bool {
        let held = self.parts.entry(part.stamp.csn.origin()).or_insert(CounterPart {
            count: 0,
            sum: i64::MIN,
            stamp: Stamp::NONE,
        });
        let longer = part > *held;
        if longer {
            *held = part;
        }
        longer
    }

    /// Whether a `clear` at this CSN makes the counter void.
    pub fn is_void(&self, clear: Csn) -> bool {
        self.base.stamp.csn < clear
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::state::testing::stamp;

    fn base(at: u64, value: i64) -> CounterBase {
        CounterBase { stamp: stamp(at, 1), value }
    }

    #[test]
    fn increments_made_apart_are_all_counted_once() {
        let mut here = Counter::new(base(1, 10));
        let mut there = here.clone();
        here.join_part(CounterPart { count: 1, sum: 5, stamp: stamp(2, 1) });
        here.join_part(CounterPart { count: 2, sum: 6, stamp: stamp(3, 1) });
        there.join_part(CounterPart { count: 1, sum: -3, stamp: stamp(2, 2) });
        assert!(here.join(&there));
        assert!(!here.join(&there));
        assert_eq!(here.value(), 13);
        assert_eq!(here.newest(), stamp(3, 1));
    }

    #[test]
    fn newer_base_forgets_what_was_counted_on_the_older() {
        let mut here = Counter::new(base(1, 10));
        here.join_part(CounterPart { count: 1, sum: 5, stamp: stamp(9, 1) });
        assert!(here.join(&Counter::new(base(2, 0))));
        assert_eq!(here.value(), 0);
    }

    #[test]
    fn sum_that_leaves_64_bits_is_not_counted() {
        let mut counter = Counter::new(base(1, 0));
        assert_eq!(counter.next_count(OriginId(1), i64::MAX), Some((1, i64::MAX)));
        counter.join_part(CounterPart { count: 1, sum: i64::MAX, stamp: stamp(2, 1) });
        assert_eq!(counter.next_count(OriginId(1), 1), None);
        assert_eq!(counter.value(), i128::from(i64::MAX));
    }

    fn counter() -> impl Strategy<Value = Counter> {
        let parts = prop::collection::vec((1..4u64, -2..3i64, 1..6u64, 1..4u64), 0..5);
        (1..3u64, 0..2i64, parts).prop_map(|(at, value, parts)| {
            let mut counter = Counter::new(base(at, value));
            for (count, sum, at, origin) in parts {
                counter.join_part(CounterPart { count, sum, stamp: stamp(at, origin) });
            }
            counter
        })
    }

    fn joined(a: &Counter, b: &Counter) -> Counter {
        let mut joined = a.clone();
        joined.join(b);
        joined
    }

    /// Replicas that count, set and exchange at random; the reference model of the design.
    fn history() -> impl Strategy<Value = Vec<(usize, u8, usize, i64)>> {
        prop::collection::vec((0..3usize, 0..100u8, 0..3usize, prop::sample::select(vec![1i64, 2, -1])), 0..24)
    }

    proptest! {
        #[test]
        fn join_is_commutative_associative_idempotent(a in counter(), b in counter(), c in counter()) {
            prop_assert_eq!(joined(&a, &b), joined(&b, &a));
            prop_assert_eq!(joined(&joined(&a, &b), &c), joined(&a, &joined(&b, &c)));
            prop_assert_eq!(joined(&a, &a), a.clone());
            let changed = a.clone().join(&b);
            prop_assert_eq!(changed, joined(&a, &b) != a);
        }

        #[test]
        fn replicas_agree_and_the_newest_base_counts_all_its_increments(steps in history()) {
            let mut replicas = vec![Counter::new(base(0, 0)); 3];
            let mut increments: Vec<(CounterBase, i64)> = Vec::new();
            for (time, (replica, kind, other, by)) in steps.into_iter().enumerate() {
                let now = Stamp { csn: Csn::new(time as u64 + 1, 0, OriginId(replica as u64 + 1)), sequence: 1 };
                let origin = now.csn.origin();
                if kind < 15 {
                    replicas[replica] = Counter::new(CounterBase { stamp: now, value: by });
                } else if kind < 60 {
                    let (count, sum) = replicas[replica].next_count(origin, by).expect("small");
                    replicas[replica].join_part(CounterPart { count, sum, stamp: now });
                    increments.push((replicas[replica].base, by));
                } else {
                    let peer = replicas[other].clone();
                    replicas[replica].join(&peer);
                }
            }
            let (a, b, c) = (&replicas[0], &replicas[1], &replicas[2]);
            let all = joined(a, &joined(b, c));
            prop_assert_eq!(&all, &joined(&joined(c, a), b));
            prop_assert_eq!(&all, &joined(&joined(b, a), c));
            let counted: i64 = increments.iter().filter(|(on, _)| *on == all.base).map(|(_, by)| by).sum();
            prop_assert_eq!(all.value(), i128::from(all.base.value + counted));
        }
    }
}
