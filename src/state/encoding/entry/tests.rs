use proptest::prelude::*;

use super::*;
use crate::state::csn::Csn;
use crate::state::encoding::cell::{decode_cell, encode_cell};
use crate::state::testing::{birth, rdn, state, update, value};
use crate::state::update::Delta;
use crate::state::value_key::ValueKey;

fn intern(origin: OriginId) -> Option<u16> {
    u16::try_from(origin.0).ok()
}

fn resolve(index: u16) -> Option<OriginId> {
    Some(OriginId(u64::from(index)))
}

fn encoded(state: &EntryState) -> Vec<u8> {
    let mut out = Vec::new();
    state.encode(intern, &mut out).expect("origins have numbers");
    out
}

proptest! {
    #[test]
    fn state_comes_back_from_its_record(state in state()) {
        prop_assert_eq!(EntryState::decode(&encoded(&state), resolve), Ok(state));
    }

    #[test]
    fn spilled_state_comes_back_without_its_cells(state in state(), number in 1..4u32) {
        let mut state = state;
        if let Some(attribute) = state.attributes.get_mut(&AttributeId(number)) {
            attribute.spilled = Some(Box::new(Spilled::of(attribute.cells.iter())));
        }
        let record = encoded(&state);
        if let Some(attribute) = state.attributes.get_mut(&AttributeId(number)) {
            attribute.cells = Cells::new();
        }
        prop_assert_eq!(EntryState::decode(&record, resolve), Ok(state));
    }

    #[test]
    fn cells_of_big_attributes_come_back(state in state()) {
        for attribute in state.attributes.values() {
            for (key, cell) in attribute.cells.iter() {
                let mut record = Vec::new();
                encode_cell(key, cell, intern, &mut record).expect("origins have numbers");
                let read = decode_cell(key, &record, resolve);
                prop_assert_eq!(read.as_ref(), Ok(cell));
            }
        }
    }

    #[test]
    fn hostile_record_is_an_error_or_a_state(
        state in state(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        noise in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut record = encoded(&state);
        for cut in [0, 1, record.len() / 2, record.len() - 1] {
            prop_assert!(EntryState::decode(&record[..cut], resolve).is_err());
        }
        for (at, byte) in changes {
            let at = at.index(record.len());
            record[at] = byte;
            if let Ok(read) = EntryState::decode(&record, resolve) {
                prop_assert_eq!(EntryState::decode(&encoded(&read), resolve), Ok(read));
            }
        }
        let _ = EntryState::decode(&noise, resolve);
        let _ = EntryState::decode(&[&record[..17], &noise].concat(), resolve);
        let _ = decode_cell(&ValueKey::of_normal(b"a"), &noise, resolve);
    }
}

/// A contact as an address book writes it: 20 values of 14 attributes, by one add.
fn contact() -> EntryState {
    let values: [(u32, u32, &str); 20] = [
        (3, 0, "top"),
        (3, 1, "person"),
        (3, 2, "organizationalPerson"),
        (3, 3, "inetOrgPerson"),
        (5, 0, "Ann Lee"),
        (5, 1, "Ann B. Lee"),
        (6, 0, "Lee"),
        (7, 0, "Ann"),
        (9, 0, "ann.lee@example.com"),
        (9, 1, "A.Lee@example.org"),
        (12, 0, "+49 30 1234-567"),
        (13, 0, "+49 170 7654321"),
        (14, 0, "+49 (30) 1234/568"),
        (20, 0, "Head of Purchasing"),
        (21, 0, "Example GmbH"),
        (22, 0, "Berlin"),
        (23, 0, "4711"),
        (24, 0, "Unter den Linden 1"),
        (25, 0, "10117"),
        (130, 0, "A small note that is longer than sixty-four bytes, hashed in the key."),
    ];
    let squeeze = |text: &str| text.to_lowercase().replace([' ', '-', '(', ')', '/', '.'], "");
    let mut deltas = vec![Delta::Birth { rdn: rdn(&[(40, "alee")]), parent: EntryUuid([9; 16]) }];
    for (attribute, order, text) in values {
        let mut delta = value(attribute, order, true, text);
        if let (12..=14, Delta::Cell { key, .. }) = (attribute, &mut delta) {
            *key = ValueKey::of_normal(squeeze(text).as_bytes());
        }
        deltas.push(delta);
    }
    let stamp = Stamp { csn: Csn::new(1_800_000_000_000, 17, OriginId(3)), sequence: 1_234_567 };
    let mut update = update(stamp, deltas);
    update.birth = stamp;
    EntryState::born(&update)
}

/// What counts as content: the entryUUID (also an attribute), each value's raw bytes, the RDN's text, and keys that do
/// not follow from their values (here one hash of 17 bytes and its length). All else, the superior's UUID among it, is
/// overhead.
#[test]
fn plain_entry_costs_at_most_40_bytes_and_4_a_value() {
    let state = contact();
    let overhead = state.overhead(|_| Some(1)).expect("one origin");
    assert_eq!((overhead.values, overhead.key_bytes), (20, 18));
    assert!(overhead.entry_bytes <= 40 && overhead.value_bytes <= 4 * 20, "{overhead:?}");
    let raw = state.attributes.values().flat_map(|attribute| attribute.cells.values()).map(|cell| match &cell.value {
        CellValue::Text(text) => text.len(),
        CellValue::Link(_) => 16,
    });
    let names: usize = state.rdn.1.avas.iter().map(|ava| ava.value.len() + ava.type_text.len()).sum();
    let content = 16 + raw.sum::<usize>() + names + 18;
    assert_eq!(overhead.entry_bytes + overhead.value_bytes, (encoded(&state).len() - content) as u64);
}

#[test]
fn later_change_of_one_value_costs_one_stamp() {
    let mut state = contact();
    let before = encoded(&state).len();
    let mut change = update(Stamp { csn: Csn::new(1_800_000_100_000, 0, OriginId(4)), sequence: 99 }, vec![]);
    change.birth = state.birth;
    change.deltas = vec![Delta::Clear(AttributeId(22)), value(22, 0, true, "Moscow")];
    state.apply(&change);
    assert!(encoded(&state).len() <= before + 8);
}

#[test]
fn origin_without_a_number_is_an_error() {
    let state = EntryState::unborn(EntryUuid([7; 16]), birth());
    let full = state.encode(|_| None, &mut Vec::new());
    assert_eq!(full, Err(StateError::OriginTableFull(OriginId(1))));
    let unknown = EntryState::decode(&encoded(&state), |_| None);
    assert_eq!(unknown, Err(StateError::UnknownOrigin { index: 1 }));
}

#[test]
fn record_of_a_newer_version_is_refused_by_name() {
    let mut record = encoded(&contact());
    record[0] = 3;
    assert_eq!(EntryState::decode(&record, resolve), Err(StateError::UnknownVersion { version: 3 }));
}

/// A count that the input cannot hold is refused before any room is made for it.
#[test]
fn huge_counts_are_refused_at_once() {
    let record = encoded(&contact());
    for at in 0..record.len() {
        let huge = [&record[..at], &[0xff; 9], &[0x01], &record[at..]].concat();
        let _ = EntryState::decode(&huge, resolve);
    }
    let stamps_follow = [&record[..17], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]].concat();
    assert_eq!(EntryState::decode(&stamps_follow, resolve), Err(StateError::Truncated));
}
