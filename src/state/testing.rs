//! What the tests of this floor share: stamps, and random histories of one entry.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::model::entry_uuid::EntryUuid;
use crate::state::{
    AttributeId, Cell, CellValue, Csn, Delta, EntryState, OriginId, RdnAva, RdnState, Stamp, Update, ValueKey,
};

/// A stamp at `ms` of `origin`; its sequence is `ms`, as if the origin wrote once a millisecond.
pub(in crate::state) fn stamp(ms: u64, origin: u64) -> Stamp {
    Stamp { csn: Csn::new(ms, 0, OriginId(origin)), sequence: ms }
}

/// The key of a plain value.
pub(in crate::state) fn key(value: &str) -> ValueKey {
    ValueKey::of_normal(value.to_lowercase().as_bytes())
}

/// A cell that says `present` of a text.
pub(in crate::state) fn cell(stamp: Stamp, order: u32, present: bool, text: &str) -> Cell {
    Cell { stamp, order, present, value: CellValue::Text(if present { text.into() } else { Vec::new() }) }
}

/// A delta that adds or deletes a text.
pub(in crate::state) fn value(attribute: u32, order: u32, present: bool, text: &str) -> Delta {
    let Cell { value, .. } = cell(Stamp::NONE, order, present, text);
    Delta::Cell { attribute: AttributeId(attribute), key: key(text), order, present, value }
}

/// An RDN of these attributes and texts.
pub(in crate::state) fn rdn(avas: &[(u32, &str)]) -> RdnState {
    let ava = |(attribute, text): &(u32, &str)| RdnAva {
        attribute: AttributeId(*attribute),
        key: key(text),
        value: text.as_bytes().to_vec(),
        type_text: format!("a{attribute}"),
    };
    RdnState { avas: avas.iter().map(ava).collect() }
}

/// The text key of an attribute's number; texts sort the other way round than numbers.
pub(in crate::state) fn name_of(attribute: AttributeId) -> Option<String> {
    Some(format!("1.3.{}", 1000 - attribute.0))
}

/// An update of the entry of [`BIRTH`].
pub(in crate::state) fn update(stamp: Stamp, deltas: Vec<Delta>) -> Update {
    Update::new(stamp, EntryUuid([7; 16]), birth(), "cn=ann".into(), deltas)
}

/// The birth of the entry that [`update`] changes.
pub(in crate::state) fn birth() -> Stamp {
    stamp(1, 1)
}

/// Texts that collide often, in every key form.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "c", "D"]).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["+1 (2)-3", "Ann Lee", "5"]).prop_map(str::to_owned),
        1 => "[a-zé]{0,90}",
    ]
}

fn delta() -> impl Strategy<Value = Delta> {
    let attribute = 1..4u32;
    prop_oneof![
        8 => (attribute.clone(), 0..3u32, any::<bool>(), text())
            .prop_map(|(attribute, order, present, text)| value(attribute, order, present, &text)),
        1 => (attribute.clone(), any::<u8>()).prop_map(|(attribute, target)| {
            let target = EntryUuid([target % 4; 16]);
            let (key, value) = (ValueKey::link(target), CellValue::Link(target));
            Delta::Cell { attribute: AttributeId(attribute), key, order: 0, present: true, value }
        }),
        3 => attribute.clone().prop_map(|attribute| Delta::Clear(AttributeId(attribute))),
        1 => (attribute.clone(), text()).prop_map(|(attribute, text)| Delta::Rdn(rdn(&[(attribute, &text)]))),
        1 => (attribute.clone(), attribute.clone(), text())
            .prop_map(|(a, b, text)| Delta::Rdn(rdn(&[(a, &text), (b, "b")]))),
        1 => any::<u8>().prop_map(|parent| Delta::Parent(EntryUuid([parent; 16]))),
        1 => Just(Delta::Dead),
        2 => (attribute, 1..9u64, 1..3u64, 1..4u64, -3..4i64).prop_map(|(attribute, at, origin, count, sum)| {
            let base = crate::state::CounterBase { stamp: stamp(at, origin), value: at as i64 };
            Delta::Count { attribute: AttributeId(attribute), base, count, sum }
        }),
    ]
}

/// A birth and up to eleven other updates with different stamps.
pub(in crate::state) fn history() -> impl Strategy<Value = Vec<Update>> {
    let changes = prop::collection::btree_map((2..9u64, 1..4u64), prop::collection::vec(delta(), 1..4), 0..12);
    changes.prop_map(|changes: BTreeMap<_, _>| {
        let named = Delta::Birth { rdn: rdn(&[(1, "a")]), parent: EntryUuid([9; 16]) };
        let added = vec![named, value(1, 1, true, "b"), value(2, 0, true, "5")];
        let changes = changes.into_iter().map(|((ms, origin), deltas)| update(stamp(ms, origin), deltas));
        std::iter::once(update(birth(), added)).chain(changes).collect()
    })
}

/// The state that a history makes in this order.
pub(in crate::state) fn fold<'a>(updates: impl IntoIterator<Item = &'a Update>) -> EntryState {
    let mut state = EntryState::unborn(EntryUuid([7; 16]), birth());
    for update in updates {
        state.apply(update);
    }
    state
}

/// A merged state of a random history.
pub(in crate::state) fn state() -> impl Strategy<Value = EntryState> {
    history().prop_map(|updates| fold(&updates))
}

/// Numbers from a seed, for models that draw while they run (splitmix64).
pub(in crate::state) struct Draw(pub(in crate::state) u64);

impl Draw {
    /// Any number.
    pub(in crate::state) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `end`.
    pub(in crate::state) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// Yes in `percent` of a hundred.
    pub(in crate::state) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
