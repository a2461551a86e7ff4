use proptest::prelude::*;

use super::*;
use crate::state::testing::{birth, fold, history, key, rdn, stamp, update, value};

fn with_order() -> impl Strategy<Value = (Vec<Update>, Vec<usize>, usize)> {
    history().prop_flat_map(|updates| {
        let count = updates.len();
        let order = Just((0..count).collect::<Vec<_>>()).prop_shuffle();
        let again = prop::collection::vec(0..count, 0..4);
        (Just(updates), (order, again).prop_map(|(order, again)| [order, again].concat()), 0..=count)
    })
}

proptest! {
    /// same-updates-same-content.
    #[test]
    fn same_updates_in_any_order_give_the_same_entry((updates, order, cut) in with_order()) {
        let straight = fold(&updates);
        prop_assert_eq!(&fold(order.iter().map(|index| &updates[*index])), &straight);
        let (left, right) = updates.split_at(cut);
        let (left, right) = (fold(left), fold(right));
        let mut joined = left.clone();
        let effect = joined.join(&right);
        prop_assert_eq!(&joined, &straight);
        prop_assert_eq!(effect.is_change(), joined != left);
        let mut other = right.clone();
        other.join(&left);
        prop_assert_eq!(&other, &straight);
        prop_assert!(!joined.join(&left).is_change());
    }

    #[test]
    fn taking_a_state_is_joining_it_into_nothing((updates, ..) in with_order()) {
        let whole = fold(&updates);
        let mut joined = EntryState::unborn(whole.uuid, whole.birth);
        let effect = joined.join(&whole);
        prop_assert_eq!(EntryState::taken(whole), (joined, effect));
    }

    #[test]
    fn applying_is_joining_the_state_of_the_update((updates, order, _) in with_order()) {
        let mut applied = fold(&[]);
        let mut joined = applied.clone();
        for index in order {
            let before = applied.clone();
            let effect = applied.apply(&updates[index]);
            prop_assert_eq!(&joined.join(&EntryState::born(&updates[index])), &effect);
            prop_assert_eq!(&joined, &applied);
            prop_assert_eq!(effect.is_change(), applied != before);
            for attribute in applied.attributes.keys() {
                let changed = applied.attributes.get(attribute) != before.attributes.get(attribute);
                prop_assert_eq!(effect.attributes.contains(attribute), changed);
            }
        }
    }

    /// csn-rises: a write stamped above what it touches wins over it.
    #[test]
    fn write_above_what_it_touches_takes_effect((updates, _, cut) in with_order()) {
        let mut state = fold(&updates);
        let deltas = updates.get(cut).map_or_else(|| vec![value(1, 0, true, "a")], |update| update.deltas.clone());
        let above = state.max_csn_touched(&deltas);
        prop_assert!(above <= state.max_stamp().csn);
        let newer = Stamp { csn: Csn::new(above.ms() + 1, 0, OriginId(1)), sequence: 100 };
        for delta in &deltas {
            let is_count = matches!(delta, Delta::Count { .. });
            let dead = matches!(delta, Delta::Dead) && state.dead.is_some();
            let changed = state.apply(&update(newer, vec![delta.clone()])).is_change();
            let repeated = deltas.iter().filter(|other| *other == delta).count() > 1;
            prop_assert!(changed || is_count || dead || repeated || deltas.len() > 1);
        }
    }
}

fn born() -> EntryState {
    let named = Delta::Birth { rdn: rdn(&[(1, "ann")]), parent: EntryUuid([9; 16]) };
    EntryState::born(&update(birth(), vec![named, value(2, 0, true, "5")]))
}

#[test]
fn change_that_arrives_before_the_birth_is_kept() {
    let change = update(stamp(5, 2), vec![value(3, 0, true, "x")]);
    let mut state = EntryState::born(&change);
    assert!(!state.born);
    assert!(!state.is_live());
    let effect = state.join(&born());
    assert!(effect.born);
    assert!(state.is_live());
    assert!(state.attribute(AttributeId(3)).is_some_and(|attribute| attribute.is_present(&key("x"))));
    let mut other = born();
    other.apply(&change);
    assert_eq!(state, other);
}

#[test]
fn update_of_another_incarnation_changes_nothing() {
    let mut state = born();
    let mut other = update(stamp(5, 2), vec![Delta::Dead]);
    other.birth = stamp(2, 2);
    assert!(!state.apply(&other).is_change());
    assert!(!state.join(&EntryState::born(&other)).is_change());
}

#[test]
fn death_beats_every_concurrent_change_and_the_oldest_is_kept() {
    let mut state = born();
    state.apply(&update(stamp(5, 2), vec![Delta::Dead]));
    state.apply(&update(stamp(9, 1), vec![Delta::Rdn(rdn(&[(1, "bob")]))]));
    assert!(!state.is_live());
    assert!(state.apply(&update(stamp(4, 3), vec![Delta::Dead])).dead);
    assert!(!state.apply(&update(stamp(6, 3), vec![Delta::Dead])).dead);
    assert_eq!(state.dead, Some(stamp(4, 3)));
}

#[test]
fn rename_and_concurrent_move_both_take_effect() {
    let mut state = born();
    state.apply(&update(stamp(5, 2), vec![Delta::Parent(EntryUuid([3; 16]))]));
    state.apply(&update(stamp(4, 3), vec![Delta::Rdn(rdn(&[(1, "bob")]))]));
    assert_eq!(state.parent, (stamp(5, 2), EntryUuid([3; 16])));
    assert_eq!(state.rdn, (stamp(4, 3), rdn(&[(1, "bob")])));
    assert_eq!(state.max_stamp(), stamp(5, 2));
}

#[test]
fn increments_made_apart_add_up_and_a_later_replace_forgets_them() {
    let number = AttributeId(2);
    let mut here = born();
    let mut there = here.clone();
    let three = update(stamp(5, 1), vec![here.count_delta(number, OriginId(1), 3).expect("a number")]);
    here.apply(&three);
    let four = update(stamp(6, 1), vec![here.count_delta(number, OriginId(1), 4).expect("a number")]);
    here.apply(&four);
    let minus = update(stamp(5, 2), vec![there.count_delta(number, OriginId(2), -1).expect("a number")]);
    there.apply(&minus);
    here.apply(&minus);
    there.apply(&four);
    there.apply(&three);
    assert_eq!(here, there);
    assert_eq!(here.view_cells(number, true)[0].as_text(), Some(&b"11"[..]));
    assert_eq!(here.max_stamp(), stamp(6, 1));
    let replace = update(stamp(7, 2), vec![Delta::Clear(number), value(2, 0, true, "100")]);
    here.apply(&replace);
    assert_eq!(here.view_cells(number, true)[0].as_text(), Some(&b"100"[..]));
    assert!(!here.apply(&four).is_change());
    let delta = here.count_delta(number, OriginId(1), 1).expect("a number");
    assert!(matches!(delta, Delta::Count { base: CounterBase { value: 100, .. }, count: 1, sum: 1, .. }));
}

#[test]
fn increment_that_arrives_before_the_value_it_counts_from_shows_the_sum() {
    let replace = update(stamp(7, 2), vec![Delta::Clear(AttributeId(2)), value(2, 0, true, "100")]);
    let mut origin = born();
    origin.apply(&replace);
    let count = update(stamp(8, 3), vec![origin.count_delta(AttributeId(2), OriginId(3), 1).expect("a number")]);
    let mut state = born();
    state.apply(&count);
    assert_eq!(state.view_cells(AttributeId(2), true)[0].as_text(), Some(&b"101"[..]));
    state.apply(&replace);
    assert_eq!(state.view_cells(AttributeId(2), true)[0].as_text(), Some(&b"101"[..]));
    origin.apply(&count);
    assert_eq!(state, origin);
}

#[test]
fn what_is_no_number_is_not_counted() {
    let mut state = born();
    assert_eq!(state.count_delta(AttributeId(9), OriginId(1), 1), None);
    state.apply(&update(stamp(5, 1), vec![value(3, 0, true, "five")]));
    assert_eq!(state.count_delta(AttributeId(3), OriginId(1), 1), None);
}

#[test]
fn attribute_of_which_nothing_is_left_to_say_is_forgotten() {
    let mut state = born();
    state.apply(&update(stamp(5, 1), vec![Delta::Clear(AttributeId(2))]));
    assert!(state.forget_settled(|stamp| stamp.csn.ms() <= 5));
    assert_eq!(state.attribute(AttributeId(2)), None);
}
