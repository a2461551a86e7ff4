//! Folding against doing the list step by step, on random lists.

use super::*;
use crate::model::EntryUuid;
use crate::state::{Csn, EntryState, OriginId, RdnState, Stamp, Update};
use proptest::prelude::*;

const ATTRIBUTE: AttributeId = AttributeId(1);

fn stamp(at: u64) -> Stamp {
    Stamp { csn: Csn::new(at, 0, OriginId(1)), sequence: at }
}

fn key(value: &str) -> ValueKey {
    ValueKey::of_normal(value.to_lowercase().as_bytes())
}

fn value(text: &str) -> Value {
    Value { key: key(text), content: CellValue::Text(text.as_bytes().to_vec()), alias: None }
}

/// The values that a state shows.
struct Shown(Vec<(ValueKey, CellValue)>);

impl Held for Shown {
    fn get(&self, key: &ValueKey) -> Result<Option<CellValue>, DitError> {
        Ok(self.0.iter().find(|(known, _)| known == key).map(|(_, content)| content.clone()))
    }

    fn is_implied(&self, _: &ValueKey) -> bool {
        false
    }

    fn count(&self) -> u64 {
        self.0.len() as u64
    }

    fn all(&self) -> Result<Vec<(ValueKey, CellValue)>, DitError> {
        Ok(self.0.clone())
    }
}

fn shown(state: &EntryState, single: bool) -> Vec<(ValueKey, CellValue)> {
    state
        .view_cells(ATTRIBUTE, single)
        .iter()
        .filter_map(|value| value.as_text())
        .map(|text| (key(std::str::from_utf8(text).unwrap()), CellValue::Text(text.to_vec())))
        .collect()
}

fn texts(values: &[(ValueKey, CellValue)]) -> Vec<String> {
    let text = |content: &CellValue| match content {
        CellValue::Text(text) => String::from_utf8(text.clone()).unwrap(),
        CellValue::Link(_) => unreachable!("no links here"),
    };
    values.iter().map(|(_, content)| text(content)).collect()
}

fn entry(values: &[&str]) -> EntryState {
    let birth = Delta::Birth { rdn: RdnState::default(), parent: EntryUuid::NIL };
    let cells = values.iter().enumerate().map(|(order, text)| Delta::Cell {
        attribute: ATTRIBUTE,
        key: key(text),
        order: order as u32,
        present: true,
        value: CellValue::Text(text.as_bytes().to_vec()),
    });
    let deltas = std::iter::once(birth).chain(cells).collect();
    EntryState::born(&Update::new(stamp(1), EntryUuid([1; 16]), stamp(1), String::new(), deltas))
}

/// Folds `list` and applies what comes out; the deltas and the state afterwards.
fn folded(state: &EntryState, style: Style, at: u64, list: &[Step]) -> (Vec<Delta>, EntryState, Vec<bool>) {
    let single = style == Style::Register;
    let mut edit = AttributeEdit::new(ATTRIBUTE, style, Box::new(Shown(shown(state, single))));
    let taken = list.iter().map(|step| step.take(&mut edit)).collect();
    let mut deltas = Vec::new();
    edit.fold(|by| state.count_delta(ATTRIBUTE, OriginId(1), by), &mut deltas).unwrap();
    let mut after = state.clone();
    let update = Update::new(stamp(at), EntryUuid([1; 16]), stamp(1), String::new(), deltas.clone());
    after.apply(&update);
    (deltas, after, taken)
}

#[derive(Clone, Debug)]
enum Step {
    Add(String),
    Delete(String),
    DeleteAll,
    Replace(Vec<String>),
    Increment(i64),
}

impl Step {
    /// On the working copy. A failing step ends a real list; here the next one goes on from the same values.
    fn take(&self, edit: &mut AttributeEdit<'_>) -> bool {
        let outcome = match self {
            Self::Add(text) => edit.add(value(text)),
            Self::Delete(text) => edit.delete(&value(text)),
            Self::DeleteAll => edit.delete_all(),
            Self::Replace(texts) => edit.replace(texts.iter().map(|text| value(text)).collect()),
            Self::Increment(by) => edit.increment(i128::from(*by), &|text| std::str::from_utf8(text).ok().map(key)),
        };
        match outcome {
            Ok(()) => true,
            Err(EditError::Dit(error)) => panic!("{error}"),
            Err(_) => false,
        }
    }

    /// Naively, on a list of values.
    fn take_naively(&self, values: &mut Vec<String>) -> bool {
        let same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
        match self {
            Self::Add(text) => {
                let fits = !values.iter().any(|known| same(known, text));
                if fits {
                    values.push(text.clone());
                }
                fits
            }
            Self::Delete(text) => {
                let before = values.len();
                values.retain(|known| !same(known, text));
                values.len() < before
            }
            Self::DeleteAll => !std::mem::take(values).is_empty(),
            Self::Replace(texts) => {
                values.clone_from(texts);
                true
            }
            Self::Increment(by) => {
                let sums: Option<Vec<String>> = values
                    .iter()
                    .map(|text| text.parse::<i64>().ok().map(|number| (number + by).to_string()))
                    .collect();
                match sums {
                    Some(sums) if !sums.is_empty() => {
                        *values = sums;
                        true
                    }
                    _ => false,
                }
            }
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "A", "b", "B", "c", "1", "2", "7"]).prop_map(str::to_owned)
}

fn different(most: usize) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(text(), 0..=most).prop_map(|mut texts| {
        let mut seen = Vec::new();
        texts.retain(|text| {
            let new = !seen.contains(&text.to_lowercase());
            seen.push(text.to_lowercase());
            new
        });
        texts
    })
}

fn step(replaced_most: usize) -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => text().prop_map(Step::Add),
        3 => text().prop_map(Step::Delete),
        1 => Just(Step::DeleteAll),
        1 => different(replaced_most).prop_map(Step::Replace),
        1 => (-2..3i64).prop_map(Step::Increment),
    ]
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

fn style() -> impl Strategy<Value = Style> {
    prop::sample::select(vec![Style::Plain, Style::Set])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// RFC 4511 4.6: the result is that of the modifications one after another; and of several lists as well.
    #[test]
    fn folding_equals_doing_it_step_by_step(
        style in style(),
        before in different(4),
        lists in prop::collection::vec(prop::collection::vec(step(3), 0..6), 1..4),
    ) {
        let strs: Vec<&str> = before.iter().map(String::as_str).collect();
        let mut state = entry(&strs);
        let mut naive = before;
        for (index, list) in lists.iter().enumerate() {
            let unchanged = naive.clone();
            let expected: Vec<bool> = list.iter().map(|step| step.take_naively(&mut naive)).collect();
            let (deltas, after, taken) = folded(&state, style, 2 + index as u64, list);
            prop_assert_eq!(taken, expected);
            prop_assert_eq!(sorted(texts(&shown(&after, false))), sorted(naive.clone()));
            let mut keys: Vec<_> = deltas.iter().filter_map(|delta| match delta {
                Delta::Cell { key, .. } => Some(key),
                _ => None,
            }).collect();
            let count = keys.len();
            keys.sort();
            keys.dedup();
            prop_assert_eq!(keys.len(), count, "one delta for each value");
            let clears = deltas.iter().filter(|delta| matches!(delta, Delta::Clear(_))).count();
            prop_assert!(clears <= 1 && (clears == 0 || matches!(deltas.first(), Some(Delta::Clear(_)))));
            if deltas.is_empty() {
                prop_assert_eq!(sorted(unchanged), sorted(naive.clone()));
            }
            state = after;
        }
    }

    /// A register: lists that leave one value or none, as the schema check makes sure.
    #[test]
    fn a_register_shows_the_last_value_and_no_other(
        before in different(1),
        lists in prop::collection::vec(prop::collection::vec(step(1), 0..6), 1..5),
    ) {
        let strs: Vec<&str> = before.iter().map(String::as_str).collect();
        let mut state = entry(&strs);
        let mut naive = before;
        for (index, list) in lists.iter().enumerate() {
            let mut done = naive.clone();
            list.iter().for_each(|step| { step.take_naively(&mut done); });
            if done.len() > 1 {
                continue;
            }
            naive = done;
            let (_, after, _) = folded(&state, Style::Register, 2 + index as u64, list);
            prop_assert_eq!(texts(&shown(&after, true)), naive.clone());
            state = after;
        }
    }
}

#[test]
fn replaced_members_are_a_difference_and_other_values_a_clear() {
    let state = entry(&["a", "b"]);
    let list = [Step::Replace(vec!["b".into(), "c".into()])];
    let clears = |deltas: &[Delta]| deltas.iter().any(|delta| matches!(delta, Delta::Clear(_)));
    let (deltas, after, _) = folded(&state, Style::Set, 2, &list);
    assert!(!clears(&deltas) && deltas.len() == 2, "{deltas:?}");
    assert_eq!(sorted(texts(&shown(&after, false))), ["b", "c"]);
    let (deltas, after, _) = folded(&state, Style::Plain, 2, &list);
    assert!(clears(&deltas));
    assert_eq!(texts(&shown(&after, false)), ["b", "c"]);
}

#[test]
fn an_increment_alone_is_a_count() {
    let (deltas, after, _) = folded(&entry(&["7"]), Style::Register, 2, &[Step::Increment(2), Step::Increment(3)]);
    assert!(matches!(deltas.as_slice(), [Delta::Count { sum: 5, .. }]), "{deltas:?}");
    assert_eq!(texts(&shown(&after, true)), ["12"]);
}
