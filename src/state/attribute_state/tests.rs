use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::state::counter::{CounterBase, CounterPart};
use crate::state::testing::{cell, key, stamp};

/// What an operation does to the values of an attribute.
#[derive(Clone, Debug)]
enum Operation {
    Add(char),
    Delete(char),
    DeleteAll,
    Replace(BTreeSet<char>),
}

impl Operation {
    fn values() -> impl Strategy<Value = char> {
        prop::sample::select(vec!['a', 'b', 'c', 'd'])
    }

    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            30 => Self::values().prop_map(Self::Add),
            30 => Self::values().prop_map(Self::Delete),
            15 => Just(Self::DeleteAll),
            25 => prop::collection::btree_set(Self::values(), 1..4).prop_map(Self::Replace),
        ]
    }

    fn delta(&self, stamp: Stamp) -> AttributeState {
        let mut state = AttributeState::default();
        let mut put = |present, value: &char| {
            let text = value.to_string();
            state.cells.insert(key(&text), cell(stamp, 0, present, &text));
        };
        match self {
            Self::Add(value) => put(true, value),
            Self::Delete(value) => put(false, value),
            Self::DeleteAll => state.clear = Some(stamp),
            Self::Replace(values) => {
                values.iter().for_each(|value| put(true, value));
                state.clear = Some(stamp);
            }
        }
        state
    }

    fn run(&self, values: &mut BTreeSet<char>) {
        match self {
            Self::Add(value) => _ = values.insert(*value),
            Self::Delete(value) => _ = values.remove(value),
            Self::DeleteAll => values.clear(),
            Self::Replace(new) => values.clone_from(new),
        }
    }
}

type Histories = (Vec<(Stamp, Operation)>, Vec<usize>);

/// Operations with different CSNs, and an order of applying them: each at least once, some again.
fn histories() -> impl Strategy<Value = Histories> {
    prop::collection::btree_map((1..6u64, 0..3u64), Operation::any(), 1..8).prop_flat_map(|operations| {
        let operations: Vec<_> = operations.into_iter().map(|((ms, origin), op)| (stamp(ms, origin), op)).collect();
        let count = operations.len();
        let order = Just((0..count).collect::<Vec<_>>()).prop_shuffle();
        let again = prop::collection::vec(0..count, 0..4);
        (Just(operations), (order, again).prop_map(|(order, again)| [order, again].concat()))
    })
}

fn fold<'a>(deltas: impl IntoIterator<Item = &'a AttributeState>) -> AttributeState {
    let mut state = AttributeState::default();
    for delta in deltas {
        state.join(delta);
    }
    state
}

fn joined(a: &AttributeState, b: &AttributeState) -> AttributeState {
    fold([a, b])
}

fn shown(state: &AttributeState) -> BTreeSet<ValueKey> {
    state.present_keys().cloned().collect()
}

fn is_canonical(state: &AttributeState) -> bool {
    let clear = state.clear.map_or(Csn::NONE, |clear| clear.csn);
    state.cells.values().all(|cell| cell.stamp.csn > clear || (cell.stamp.csn == clear && cell.present))
        && state.counter.iter().all(|counter| counter.base.stamp.csn >= clear)
}

/// States of operations, and counters on bases that clears may void.
fn any_state() -> impl Strategy<Value = AttributeState> {
    let counter = (1..6u64, 0..3u64, 1..4u64, -2..3i64);
    (histories(), prop::option::of(counter)).prop_map(|((operations, order), counter)| {
        let deltas: Vec<_> = operations.iter().map(|(stamp, operation)| operation.delta(*stamp)).collect();
        let mut state = fold(order.iter().map(|index| &deltas[*index]));
        if let Some((ms, origin, count, sum)) = counter {
            let mut counter = Counter::new(CounterBase { stamp: stamp(ms, origin), value: 5 });
            counter.join_part(CounterPart { count, sum, stamp: stamp(7, origin) });
            state.apply_counter(&counter);
        }
        state
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// The strong oracle: in any order, with repetitions, the merged attribute is what the operations give one after
    /// another in CSN order.
    #[test]
    fn merged_attribute_is_the_operations_run_in_csn_order((operations, order) in histories()) {
        let deltas: Vec<_> = operations.iter().map(|(stamp, operation)| operation.delta(*stamp)).collect();
        let merged = fold(order.iter().map(|index| &deltas[*index]));
        prop_assert_eq!(&merged, &fold(&deltas));
        prop_assert!(is_canonical(&merged));
        let mut values = BTreeSet::new();
        for (_, operation) in &operations {
            operation.run(&mut values);
        }
        let values: BTreeSet<_> = values.iter().map(|value| key(&value.to_string())).collect();
        prop_assert_eq!(shown(&merged), values);
    }

    #[test]
    fn join_is_commutative_associative_idempotent(a in any_state(), b in any_state(), c in any_state()) {
        let ab = joined(&a, &b);
        prop_assert_eq!(&ab, &joined(&b, &a));
        prop_assert_eq!(joined(&ab, &c), joined(&a, &joined(&b, &c)));
        prop_assert_eq!(joined(&ab, &a), ab.clone());
        prop_assert_eq!(a.clone().join(&b), ab != a);
        prop_assert!(is_canonical(&ab));
    }

    /// What the table of big attributes does value by value is what the joined attribute does at once.
    #[test]
    fn joining_cell_by_cell_is_joining_the_attribute(a in any_state(), b in any_state()) {
        let whole = joined(&a, &b);
        let keys: BTreeSet<_> = a.cells.keys().chain(b.cells.keys()).cloned().collect();
        let single = keys.into_iter().filter_map(|key| {
            let held = a.cells.get(&key).cloned();
            let stays = match b.cells.get(&key) {
                Some(incoming) => join_cell(whole.clear, held, incoming.clone()),
                None => held.and_then(|held| join_cell(whole.clear, None, held)),
            };
            stays.map(|cell| (key, cell))
        });
        prop_assert_eq!(single.collect::<Cells>(), whole.cells);
    }

    #[test]
    fn spilled_sum_is_kept_up_value_by_value(a in any_state(), b in any_state()) {
        let mut sum = Spilled::of(a.cells.iter());
        let whole = joined(&a, &b);
        let touched: BTreeSet<_> = a.cells.keys().chain(whole.cells.keys()).collect();
        for key in touched {
            if let Some(old) = a.cells.get(key) {
                sum.leave(key, old);
            }
            if let Some(new) = whole.cells.get(key) {
                sum.enter(key, new);
            }
        }
        let fresh = Spilled::of(whole.cells.iter());
        prop_assert_eq!((sum.count, sum.digest), (fresh.count, fresh.digest));
        prop_assert_eq!(sum.count as usize, whole.present_keys().count());
        prop_assert!(sum.newest >= fresh.newest);
    }

    #[test]
    fn nothing_in_an_attribute_is_newer_than_its_newest(a in any_state(), b in any_state()) {
        prop_assert_eq!(joined(&a, &b).newest().max(a.newest()).max(b.newest()), a.newest().max(b.newest()));
        let newest = a.newest().csn;
        prop_assert!(a.cells.keys().all(|key| a.csn_touched(key) <= newest));
    }
}

#[test]
fn value_added_at_the_same_instant_as_deleted_is_there() {
    let (add, delete) = (cell(stamp(3, 1), 0, true, "a"), cell(stamp(3, 1), 0, false, "a"));
    assert_eq!(join_cell(None, Some(add.clone()), delete.clone()), Some(add.clone()));
    assert_eq!(join_cell(None, Some(delete), add.clone()), Some(add));
}

#[test]
fn cell_older_than_the_clear_does_not_come_back() {
    let mut state = AttributeState::default();
    assert!(state.apply_clear(stamp(5, 1)));
    assert!(!state.apply_cell(&key("a"), &cell(stamp(4, 2), 0, true, "a")));
    assert!(state.apply_cell(&key("a"), &cell(stamp(5, 1), 0, true, "a")));
    assert!(!state.apply_clear(stamp(5, 1)));
    assert!(state.is_present(&key("a")));
}

#[test]
fn counter_on_a_base_older_than_the_clear_is_void() {
    let counter = Counter::new(CounterBase { stamp: stamp(2, 1), value: 5 });
    let mut state = AttributeState::default();
    assert!(state.apply_counter(&counter));
    assert!(!state.apply_counter(&counter));
    state.apply_clear(stamp(3, 1));
    assert_eq!(state.counter, None);
    assert!(!state.apply_counter(&counter));
}

#[test]
fn only_settled_absence_is_forgotten() {
    let mut state = AttributeState::default();
    state.apply_clear(stamp(1, 1));
    state.apply_cell(&key("a"), &cell(stamp(2, 1), 0, false, "a"));
    state.apply_cell(&key("b"), &cell(stamp(3, 1), 0, true, "b"));
    state.apply_cell(&key("c"), &cell(stamp(4, 1), 0, false, "c"));
    assert!(state.forget_settled(|stamp| stamp.csn.ms() < 4));
    assert_eq!(state.clear, None);
    assert_eq!(state.cells.keys().collect::<Vec<_>>(), [&key("b"), &key("c")]);
    assert!(!state.forget_settled(|stamp| stamp.csn.ms() < 4));
    assert!(state.forget_settled(|_| true));
    assert_eq!(state.cells.len(), 1);
    assert!(!state.is_empty());
}
