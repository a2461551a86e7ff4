use proptest::prelude::*;

use super::*;
use crate::state::attribute_state::Spilled;
use crate::state::testing::{fold, history, name_of, state};

fn digest(state: &EntryState) -> Option<EntryDigest> {
    state.digest_part(name_of).expect("every attribute has a name")
}

proptest! {
    #[test]
    fn forgetting_does_not_change_the_digest(state in state(), until in 0..10u64) {
        let mut forgetful = state.clone();
        forgetful.forget_settled(|stamp| stamp.csn.ms() < until);
        prop_assert_eq!(forgetful.max_stamp(), state.max_stamp());
        prop_assert_eq!(digest(&forgetful), digest(&state));
    }

    #[test]
    fn spilling_does_not_change_the_digest(state in state()) {
        let mut spilled = state.clone();
        for attribute in spilled.attributes.values_mut() {
            attribute.spilled = Some(Box::new(Spilled::of(attribute.cells.iter())));
            attribute.cells = crate::state::Cells::new();
        }
        prop_assert_eq!(digest(&spilled), digest(&state));
    }

    #[test]
    fn bucket_kept_up_is_the_bucket_recomputed(updates in history(), others in prop::collection::vec(any::<u128>(), 0..5)) {
        let mut kept = BucketSum::default();
        others.iter().for_each(|other| kept.add(EntryDigest(*other)));
        for count in 0..=updates.len() {
            let old = count.checked_sub(1).and_then(|count| digest(&fold(&updates[..count])));
            kept.replace(old, digest(&fold(&updates[..count])));
        }
        let mut fresh = BucketSum::default();
        digest(&fold(&updates)).into_iter().for_each(|digest| fresh.add(digest));
        let mut rest = BucketSum::default();
        others.iter().for_each(|other| rest.add(EntryDigest(*other)));
        fresh.merge(rest);
        prop_assert_eq!(kept, fresh);
    }

    #[test]
    fn digest_tells_different_content_apart(a in state(), b in state()) {
        let lasting = |state: &EntryState| {
            let mut state = state.clone();
            state.forget_settled(|_| true);
            state.forgotten = Stamp::NONE;
            state
        };
        if digest(&a).is_some() && digest(&b).is_some() {
            prop_assert_eq!(digest(&a) == digest(&b), lasting(&a) == lasting(&b));
        }
    }
}

#[test]
fn digest_does_not_depend_on_local_numbers_of_attributes() {
    let here = fold(&[crate::state::testing::update(
        crate::state::testing::birth(),
        vec![
            crate::state::Delta::Birth { rdn: crate::state::testing::rdn(&[]), parent: EntryUuid::NIL },
            crate::state::testing::value(1, 0, true, "x"),
            crate::state::testing::value(2, 0, true, "y"),
        ],
    )]);
    let mut there = here.clone();
    there.attributes = here.attributes.clone().into_iter().map(|(id, state)| (AttributeId(10 - id.0), state)).collect();
    let at_home = here.digest_part(|id| Some(id.0.to_string()));
    let abroad = there.digest_part(|id| Some((10 - id.0).to_string()));
    assert_eq!(at_home, abroad);
    assert!(matches!(at_home, Ok(Some(_))));
    assert_eq!(here.digest_part(|_| None::<&str>), Err(StateError::UnknownAttribute(AttributeId(1))));
}

#[test]
fn bucket_path_spreads_entries_of_one_moment() {
    let buckets: std::collections::BTreeSet<u8> = (0..=255)
        .map(|last| bucket_path(EntryUuid([1, 2, 3, 4, 5, 6, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, last]))[0])
        .collect();
    assert!(buckets.len() > 100);
}
