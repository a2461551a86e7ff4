use proptest::prelude::*;

use super::*;
use crate::model::entry_uuid::EntryUuid;
use crate::state::testing::{rdn, stamp};
use crate::state::update::Delta;

fn dot(origin: u64, sequence: u64) -> Dot {
    Dot { origin: OriginId(origin), sequence }
}

/// Vectors of nodes that hold the same chains as far as they hold them.
fn vector() -> impl Strategy<Value = UpdateVector> {
    prop::collection::btree_map(0..4u64, (0..4u64, prop::option::of(0..4u64)), 0..4).prop_map(|positions| {
        let position = |(origin, (sequence, closed))| {
            (OriginId(origin), OriginPosition { sequence, chain: [sequence as u8; 16], closed })
        };
        UpdateVector::from_positions(positions.into_iter().map(position))
    })
}

fn joined(a: &UpdateVector, b: &UpdateVector) -> UpdateVector {
    let mut joined = a.clone();
    joined.join(b);
    joined
}

proptest! {
    #[test]
    fn join_is_commutative_associative_idempotent(a in vector(), b in vector(), c in vector()) {
        prop_assert_eq!(joined(&a, &b), joined(&b, &a));
        prop_assert_eq!(joined(&joined(&a, &b), &c), joined(&a, &joined(&b, &c)));
        prop_assert_eq!(joined(&a, &a), a);
    }

    /// vector-rises.
    #[test]
    fn join_covers_what_either_covers(a in vector(), b in vector(), origin in 0..4u64, sequence in 1..5u64) {
        let dot = dot(origin, sequence);
        prop_assert_eq!(joined(&a, &b).covers(dot), a.covers(dot) || b.covers(dot));
        prop_assert_eq!(a.meet(&b).covers(dot), a.covers(dot) && b.covers(dot));
    }

    #[test]
    fn verdict_agrees_with_what_is_covered(a in vector(), b in vector()) {
        let dots = || (0..4).flat_map(|origin| (1..5).map(move |sequence| dot(origin, sequence)));
        let more = dots().any(|dot| a.covers(dot) && !b.covers(dot));
        let less = dots().any(|dot| b.covers(dot) && !a.covers(dot));
        let verdict = match (more, less) {
            (false, false) => Verdict::Equal,
            (true, false) => Verdict::Ahead,
            (false, true) => Verdict::Behind,
            (true, true) => Verdict::Diverged,
        };
        prop_assert_eq!(a.compare(&b), verdict);
        prop_assert_eq!(a.forked_origins(&b).count(), 0);
    }

    #[test]
    fn vector_comes_back_from_its_bytes(vector in vector()) {
        let mut bytes = Vec::new();
        vector.encode(&mut bytes);
        prop_assert_eq!(UpdateVector::decode(&bytes), Ok(vector));
    }

    #[test]
    fn hostile_bytes_are_an_error_or_a_vector(vector in vector(), at in any::<prop::sample::Index>(), byte: u8, noise: Vec<u8>) {
        let mut bytes = Vec::new();
        vector.encode(&mut bytes);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = UpdateVector::decode(&bytes);
        prop_assert!(UpdateVector::decode(&bytes[..at]).is_err());
        let _ = UpdateVector::decode(&noise);
    }
}

/// vector-no-holes.
#[test]
fn only_the_next_change_of_an_origin_is_taken() {
    let mut vector = UpdateVector::new();
    let origin = OriginId(1);
    assert_eq!(vector.advance(dot(1, 2), [0; 16]), Err(StateError::Hole { origin, held: 0, sequence: 2 }));
    assert_eq!(vector.advance(dot(1, 0), [0; 16]), Err(StateError::AlreadyCovered { origin, sequence: 0 }));
    assert_eq!(vector.advance(dot(1, 1), [1; 16]), Ok(()));
    assert_eq!(vector.advance(dot(1, 1), [1; 16]), Err(StateError::AlreadyCovered { origin, sequence: 1 }));
    assert_eq!(vector.advance(dot(1, 2), [2; 16]), Ok(()));
    assert_eq!(vector.position(origin), OriginPosition { sequence: 2, chain: [2; 16], closed: None });
}

#[test]
fn closed_origin_takes_nothing_after_its_end() {
    let mut vector = UpdateVector::new();
    vector.close(OriginId(1), 1);
    assert_eq!(vector.advance(dot(1, 1), [0; 16]), Ok(()));
    assert_eq!(
        vector.advance(dot(1, 2), [0; 16]),
        Err(StateError::Closed { origin: OriginId(1), last: 1, sequence: 2 })
    );
}

#[test]
fn copy_of_a_data_directory_shows_as_a_fork() {
    let start = OriginPosition::default();
    let position = |record: &[u8]| OriginPosition { sequence: 1, chain: start.chain_next(record), closed: None };
    let ours = UpdateVector::from_positions([(OriginId(1), position(b"one"))]);
    let theirs = UpdateVector::from_positions([(OriginId(1), position(b"other"))]);
    assert_eq!(ours.compare(&theirs), Verdict::Equal);
    assert_eq!(ours.forked_origins(&theirs).collect::<Vec<_>>(), [OriginId(1)]);
}

#[test]
fn unknown_entry_whose_birth_is_covered_was_deleted_here() {
    let (birth, change) = (stamp(3, 1), stamp(9, 2));
    let update = |stamp, deltas| Update::new(stamp, EntryUuid([1; 16]), birth, String::new(), deltas);
    let mut vector = UpdateVector::new();
    let later = update(change, vec![Delta::Dead]);
    assert!(!vector.shows_deleted(&later));
    (1..=3).for_each(|sequence| vector.advance(dot(1, sequence), [0; 16]).expect("in order"));
    assert!(vector.shows_deleted(&later));
    let born = update(birth, vec![Delta::Birth { rdn: rdn(&[(1, "a")]), parent: EntryUuid::NIL }]);
    assert!(!vector.shows_deleted(&born));
}
