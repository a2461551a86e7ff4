use proptest::prelude::*;

use super::*;
use crate::state::Former;
use crate::state::testing::{birth, history, name_of, rdn, stamp, update};

fn intern(text: &str) -> Option<AttributeId> {
    (0..200).map(AttributeId).find(|attribute| name_of(*attribute).as_deref() == Some(text))
}

fn encoded(update: &Update) -> Vec<u8> {
    let mut out = Vec::new();
    encode_update(update, name_of, &mut out).expect("attributes have names");
    out
}

proptest! {
    #[test]
    fn update_comes_back_from_its_record(updates in history()) {
        for update in updates {
            prop_assert_eq!(decode_update(&encoded(&update), intern), Ok(update));
        }
    }

    #[test]
    fn record_tells_whether_it_is_joined_to_the_one_before(updates in history(), joined: bool) {
        for update in updates {
            let update = update.joining(joined);
            let record = encoded(&update);
            prop_assert_eq!(is_joined(&record), joined);
            prop_assert_eq!(decode_update(&record, intern), Ok(update));
        }
    }

    #[test]
    fn record_tells_whether_its_entry_goes_on(updates in history()) {
        for update in updates {
            let update = update.going_on();
            prop_assert_eq!(decode_update(&encoded(&update), intern), Ok(update));
        }
    }

    #[test]
    fn record_tells_whether_it_leaves_absence(updates in history()) {
        for update in updates {
            let set = |cleared: &AttributeId| {
                let sets = |delta: &Delta| matches!(delta, Delta::Cell { attribute, .. } if attribute == cleared);
                update.deltas.iter().any(sets)
            };
            let gone = |delta: &Delta| match delta {
                Delta::Clear(attribute) => !set(attribute),
                Delta::Cell { present, .. } => !present,
                _ => false,
            };
            prop_assert_eq!(leaves_absence(&encoded(&update)), update.deltas.iter().any(gone));
        }
    }

    #[test]
    fn what_the_origin_knew_comes_back(
        updates in history(),
        times in prop::collection::vec(0..4u64, 64),
        known in prop::collection::btree_map(0..9u64, any::<u64>(), 0..4),
    ) {
        for update in updates {
            let stamp_at = |time: &u64| if *time == 0 { Stamp::NONE } else { stamp(*time, 1) };
            let replaced = times.iter().take(update.deltas.len()).map(stamp_at).collect();
            let update = update.replacing(replaced).knowing(known.iter().map(|(origin, held)| (OriginId(*origin), *held)).collect());
            prop_assert_eq!(decode_update(&encoded(&update), intern), Ok(update));
        }
    }

    #[test]
    fn what_a_rename_or_a_move_replaced_comes_back(
        updates in history(),
        rdn in prop::option::of("[a-z]{1,3}=.{1,9}"),
        parent in prop::option::of(any::<[u8; 16]>()),
    ) {
        for update in updates {
            let update = update.instead_of(Former { rdn: rdn.clone(), parent: parent.map(EntryUuid) });
            let record = encoded(&update);
            prop_assert_eq!(decode_update(&record, intern), Ok(update));
        }
    }

    #[test]
    fn fields_of_newer_versions_survive(updates in history(), number in 100..1000u64, bytes: Vec<u8>) {
        let mut update = updates[0].clone();
        update.unknown.push(UnknownField { tag: number * 2, bytes });
        let record = encoded(&update);
        let read = decode_update(&record, intern);
        prop_assert_eq!(read.as_ref(), Ok(&update));
        prop_assert_eq!(encoded(&update), record);
    }

    #[test]
    fn hostile_record_is_an_error_or_an_update(
        updates in history(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        noise in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        for update in updates {
            let mut record = encoded(&update);
            for (at, byte) in &changes {
                let at = at.index(record.len());
                record[at] = *byte;
                let _ = decode_update(&record[..at], intern);
                if let Ok(read) = decode_update(&record, intern) {
                    prop_assert_eq!(decode_update(&encoded(&read), intern), Ok(read));
                }
            }
            let _ = decode_update(&[&record[..record.len().min(42)], &noise].concat(), intern);
        }
        let _ = decode_update(&noise, intern);
    }
}

#[test]
fn unknown_field_that_must_be_understood_is_refused() {
    let mut update = update(birth(), vec![Delta::Dead]);
    update.unknown.push(UnknownField { tag: 99 * 2 + 1, bytes: vec![1] });
    assert_eq!(decode_update(&encoded(&update), intern), Err(StateError::UnknownField { tag: 99 }));
}

#[test]
fn attribute_without_name_or_number_is_an_error() {
    let update = update(birth(), vec![Delta::Clear(AttributeId(3))]);
    let nameless = encode_update(&update, |_| None::<&str>, &mut Vec::new());
    assert_eq!(nameless, Err(StateError::UnknownAttribute(AttributeId(3))));
    let refused = decode_update(&encoded(&update), |_| None);
    assert_eq!(refused, Err(StateError::AttributeRefused(name_of(AttributeId(3)).expect("named"))));
}

#[test]
fn stamp_that_nothing_could_follow_is_refused() {
    let mut wild = update(birth(), vec![Delta::Dead]);
    wild.stamp = Stamp { csn: Csn::from_be_bytes([0xff; 16]), sequence: 1 };
    assert_eq!(decode_update(&encoded(&wild), intern), Err(StateError::Malformed { what: "stamp" }));
    wild.stamp = Stamp { csn: stamp(5, 1).csn, sequence: 0 };
    assert_eq!(decode_update(&encoded(&wild), intern), Err(StateError::Malformed { what: "stamp" }));
}

#[test]
fn rdn_without_values_is_refused() {
    let empty = update(birth(), vec![Delta::Rdn(rdn(&[]))]);
    assert_eq!(decode_update(&encoded(&empty), intern), Err(StateError::Malformed { what: "RDN without values" }));
}
