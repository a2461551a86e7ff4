use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::state::testing::{birth, key, rdn, stamp, state, update, value};
use crate::state::update::Delta;

fn texts(state: &EntryState, attribute: u32, single_value: bool) -> Vec<String> {
    let shown = state.view_cells(AttributeId(attribute), single_value);
    shown.iter().filter_map(ViewValue::as_text).map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

proptest! {
    /// rdn-values-present.
    #[test]
    fn each_rdn_value_is_a_value_of_its_attribute(state in state()) {
        for ava in &state.rdn.1.avas {
            let shown = state.view_cells(ava.attribute, false);
            prop_assert_eq!(shown.iter().filter(|value| value.key == Some(&ava.key)).count(), 1);
            let single = state.view_cells(ava.attribute, true);
            let first = state.rdn.1.avas.iter().find(|other| other.attribute == ava.attribute);
            prop_assert_eq!(single[0].key, first.map(|first| &first.key));
        }
    }

    /// single-value-single.
    #[test]
    fn single_value_shows_one_whenever_there_is_any(state in state()) {
        for attribute in (0..5).map(AttributeId) {
            let all = state.view_cells(attribute, false);
            let one = state.view_cells(attribute, true);
            prop_assert_eq!(one.len(), usize::from(!all.is_empty()));
            prop_assert_eq!(state.view_attributes().contains(&attribute), !all.is_empty());
        }
    }

    #[test]
    fn values_come_in_the_order_written_and_each_once(state in state()) {
        for attribute in state.view_attributes() {
            let shown = state.view_cells(attribute, false);
            prop_assert!(shown.is_sorted_by_key(|value| value.stamp));
            let keys: BTreeSet<_> = shown.iter().filter_map(|value| value.key).collect();
            prop_assert_eq!(keys.len(), shown.iter().filter(|value| value.key.is_some()).count());
        }
    }
}

fn born() -> EntryState {
    let named = Delta::Birth { rdn: rdn(&[(1, "Ann")]), parent: EntryUuid([9; 16]) };
    let mails = [value(2, 0, true, "z@x"), value(2, 1, true, "a@x"), value(2, 2, true, "m@x")];
    EntryState::born(&update(birth(), [vec![named], mails.to_vec()].concat()))
}

#[test]
fn values_keep_the_order_of_the_add() {
    assert_eq!(texts(&born(), 2, false), ["z@x", "a@x", "m@x"]);
    assert_eq!(texts(&born(), 1, false), ["Ann"]);
}

#[test]
fn rdn_value_deleted_elsewhere_stays_until_the_rename() {
    let mut state = born();
    state.apply(&update(stamp(5, 2), vec![value(1, 0, false, "Ann")]));
    assert_eq!(texts(&state, 1, false), ["Ann"]);
    state.apply(&update(stamp(6, 1), vec![Delta::Rdn(rdn(&[(1, "Bob")]))]));
    assert_eq!(texts(&state, 1, false), ["Bob"]);
}

#[test]
fn value_in_rdn_and_cell_shows_once_as_the_cell_spells_it() {
    let mut state = born();
    state.apply(&update(stamp(5, 2), vec![value(1, 0, true, "ANN")]));
    assert_eq!(texts(&state, 1, false), ["ANN"]);
    assert_eq!(texts(&state, 1, true), ["ANN"]);
    let shown = state.view_cells(AttributeId(1), false);
    assert_eq!(shown[0].key, Some(&key("ann")));
}

#[test]
fn rdn_value_that_a_counter_counts_from_stays() {
    let mut state = born();
    let base = crate::state::CounterBase { stamp: stamp(5, 2), value: 5 };
    let named = vec![value(1, 0, true, "5"), Delta::Rdn(rdn(&[(1, "5")]))];
    state.apply(&update(base.stamp, named));
    state.apply(&update(stamp(6, 1), vec![Delta::Count { attribute: AttributeId(1), base, count: 1, sum: 2 }]));
    assert_eq!(texts(&state, 1, false), ["5", "7"]);
    assert_eq!(texts(&state, 1, true), ["5"]);
}

#[test]
fn concurrent_values_of_a_single_value_attribute_show_the_newest() {
    let mut state = born();
    state.apply(&update(stamp(6, 1), vec![value(3, 0, true, "one")]));
    state.apply(&update(stamp(5, 2), vec![value(3, 0, true, "two")]));
    assert_eq!(texts(&state, 3, true), ["one"]);
    assert_eq!(texts(&state, 3, false), ["two", "one"]);
}

#[test]
fn incarnation_born_last_is_shown() {
    let (mut first, mut second) = (born(), born());
    second.birth = stamp(8, 2);
    assert_eq!(shown_incarnation([&first, &second]), Some(&second));
    second.dead = Some(stamp(9, 1));
    assert_eq!(shown_incarnation([&first, &second]), Some(&first));
    first.born = false;
    assert_eq!(shown_incarnation([&first, &second]), None);
}
