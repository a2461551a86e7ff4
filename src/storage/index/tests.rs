//! The index with what waits before it against a plain set of (key, id): the same list, order and membership in the open
//! transaction, in snapshots old and new, after merges, failed commits and a new start.

use super::super::{EntryId, Environment, Options};
use super::super::{Reader, Recent, Table};
use super::{IndexCursor, Postings};
use proptest::prelude::*;
use std::collections::BTreeSet;

type Model = BTreeSet<(Vec<u8>, u64)>;

/// Keys of which some begin others, and ids around each other.
const KEYS: [&[u8]; 9] = [b"a", b"a\0", b"aa", b"ab", b"b", b"bb\xff", b"c", b"c\0\0\0\0\0\0\0\x01", b"d"];

#[derive(Clone, Debug)]
enum Step {
    Set {
        key: usize,
        id: u64,
        is_there: bool,
    },
    Commit,
    Drop,
    Clear,
    Restart,
    /// A snapshot is taken, and looked at when the next is.
    Look,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let set = (0..KEYS.len(), 1..40_u64, any::<bool>()).prop_map(|(key, id, is_there)| Step::Set { key, id, is_there });
    let step = prop_oneof![
        40 => set,
        8 => Just(Step::Commit),
        1 => Just(Step::Drop),
        1 => Just(Step::Restart),
        2 => Just(Step::Look),
    ];
    // Emptying is rare, or nothing ever grows.
    (prop::collection::vec(step, 1..400), any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(mut steps, at, clear)| {
            if clear {
                let at = at.index(steps.len());
                steps.insert(at, Step::Clear);
            }
            steps
        },
    )
}

fn walk_from(reader: Reader<'_>, key: &[u8], id: u64) -> Vec<(Vec<u8>, u64)> {
    let mut cursor = IndexCursor::seek(reader, key, EntryId(id)).unwrap();
    std::iter::from_fn(|| cursor.next().unwrap().map(|(key, id)| (key.to_vec(), id.0))).collect()
}

fn assert_same(reader: Reader<'_>, model: &Model) {
    assert_eq!(walk_from(reader, &[], 0), model.iter().cloned().collect::<Vec<_>>());
    assert_eq!(IndexCursor::count_all(reader).unwrap(), model.len() as u64);
    for key in KEYS {
        let expected: Vec<u64> = model.iter().filter(|(of, _)| of == key).map(|(_, id)| *id).collect();
        let list = Postings::open(reader, key).unwrap();
        assert_eq!(list.is_none(), expected.is_empty(), "{key:?}");
        if let Some(mut list) = list {
            assert!(list.count() >= expected.len() as u64);
            let ids: Vec<u64> = std::iter::from_fn(|| list.next().unwrap()).map(|id| id.0).collect();
            assert_eq!(ids, expected, "{key:?}");
        }
        for id in [1, 7, 20, 39] {
            let mut list = Postings::open(reader, key).unwrap();
            let mut leap = |to| list.as_mut().and_then(|list| list.seek(EntryId(to)).unwrap()).map(|id| id.0);
            let after = |to| expected.iter().copied().find(|id| *id >= to);
            assert_eq!(leap(id), after(id), "{key:?} {id}");
            // Leaps only lead on.
            let on = after(id).map_or(40, |last| last + 1).max(id + 5);
            assert_eq!(leap(on), after(on), "{key:?} {on}");
            assert_eq!(Postings::has(reader, key, EntryId(id)).unwrap(), expected.contains(&id));
            let rest: Vec<_> = model.range((key.to_vec(), id)..).cloned().collect();
            assert_eq!(walk_from(reader, key, id), rest);
        }
        // Over a key and on.
        let mut cursor = IndexCursor::seek(reader, key, EntryId::NONE).unwrap();
        if let Some((first, _)) = cursor.next().unwrap() {
            cursor.pass_key(first).unwrap();
            let next = cursor.next().unwrap().map(|(key, id)| (key.to_vec(), id.0));
            assert_eq!(next, model.iter().find(|(of, _)| of.as_slice() > first).cloned());
        }
    }
    for within in [&b"a"[..], b"b", b""] {
        for keys_max in [0, 1, 2, 100] {
            assert_passes(reader, model, within, keys_max);
        }
    }
}

/// Nothing is passed but what is to be passed; and if anything is, all of it up to the limit.
fn assert_passes(reader: Reader<'_>, model: &Model, within: &[u8], keys_max: usize) {
    let passes_over = |key: &[u8]| key.len() == 1 || key.contains(&b'b');
    let mut cursor = IndexCursor::seek(reader, within, EntryId::NONE).unwrap();
    let Some((first, _)) = cursor.next().unwrap() else { return };
    cursor.pass_key(first).unwrap();
    let passed = cursor.pass_keys(within, keys_max, passes_over).unwrap();
    let next = cursor.next().unwrap().map(|(key, id)| (key.to_vec(), id.0));
    let behind = model.iter().filter(|(of, _)| of.as_slice() > first);
    let skipped: BTreeSet<&Vec<u8>> =
        behind.take_while(|item| next.as_ref().is_none_or(|next| *item < next)).map(|(key, _)| key).collect();
    assert!(skipped.iter().all(|key| key.starts_with(within) && passes_over(key)), "{skipped:?}");
    assert!(passed <= keys_max && skipped.len() <= passed, "{passed} {skipped:?}");
    if passed > 0 && passed < keys_max {
        assert!(next.is_none_or(|(key, _)| !key.starts_with(within) || !passes_over(&key)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn random_changes_and_merges_are_as_a_plain_set(steps in steps(), marks_max in 4..200_usize) {
        let folder = tempfile::tempdir().unwrap();
        let open = || Environment::open(&Options { durable: false, ..Options::new(folder.path()) }).unwrap();
        let mut environment = open();
        let (mut committed, mut at_hand) = (Model::new(), Model::new());
        let mut queue: std::collections::VecDeque<Step> = steps.into();
        queue.push_back(Step::Commit);
        while !queue.is_empty() {
            if matches!(queue.front(), Some(Step::Restart)) {
                queue.pop_front();
                drop(environment);
                environment = open();
                assert_same(environment.read().unwrap().reader(), &committed);
                continue;
            }
            let old = environment.read().unwrap();
            let before = committed.clone();
            let mut txn = environment.write().unwrap();
            txn.merge_beyond(marks_max);
            let mut keep = true;
            while let Some(step) = queue.pop_front() {
                match step {
                    Step::Set { key, id, is_there } => {
                        txn.set_index(KEYS[key], EntryId(id), is_there);
                        if is_there {
                            at_hand.insert((KEYS[key].to_vec(), id));
                        } else {
                            at_hand.remove(&(KEYS[key].to_vec(), id));
                        }
                    }
                    Step::Clear => {
                        txn.clear_index().unwrap();
                        at_hand.clear();
                    }
                    Step::Look => assert_same(txn.reader(), &at_hand),
                    Step::Commit => break,
                    Step::Drop => {
                        keep = false;
                        break;
                    }
                    Step::Restart => {
                        queue.push_front(Step::Restart);
                        break;
                    }
                }
            }
            if keep {
                txn.commit().unwrap();
                committed.clone_from(&at_hand);
            } else {
                drop(txn);
                at_hand.clone_from(&committed);
            }
            assert_same(old.reader(), &before);
            let read = environment.read().unwrap();
            assert_same(read.reader(), &committed);
            // As another process sees it: by the records alone.
            if committed.len() % 3 == 0 {
                assert_same(environment.read_with_own_index().unwrap().reader(), &committed);
            }
        }
    }
}

#[test]
fn what_waits_is_merged_and_its_records_go() {
    let folder = tempfile::tempdir().unwrap();
    let environment = Environment::open(&Options::new(folder.path())).unwrap();
    let waiting = || {
        let read = environment.read().unwrap();
        let reader = read.reader();
        let records = [Table::PendingEven, Table::PendingOdd].map(|table| reader.count(table).unwrap());
        (records, reader.count(Table::Index).unwrap())
    };
    for round in 0..40_u64 {
        let mut txn = environment.write().unwrap();
        txn.merge_beyond(100);
        for key in 0..10_u64 {
            txn.set_index(&key.to_be_bytes(), EntryId(round * 10 + key), true);
        }
        txn.commit().unwrap();
        let ([even, odd], _) = waiting();
        assert!(even + odd <= 16, "{even} {odd}");
    }
    assert!(waiting().1 >= 300, "{:?}", waiting());
}

#[test]
fn records_of_small_commits_move_on_together() {
    let folder = tempfile::tempdir().unwrap();
    let environment = Environment::open(&Options::new(folder.path())).unwrap();
    let mut most = 0;
    for commit in 1..=60_u64 {
        let mut txn = environment.write().unwrap();
        txn.set_index(&commit.to_be_bytes(), EntryId(commit), true);
        txn.commit().unwrap();
        let read = environment.read().unwrap();
        let recent = read.reader().recent(Recent::Index).unwrap().len() as u64;
        let moved = read.reader().count(Table::PendingEven).unwrap();
        assert!(moved * 4 <= commit && (recent > 0 || moved > 0), "{moved} of {commit}");
        most = most.max(recent);
        let own = environment.read_with_own_index().unwrap();
        assert_eq!(IndexCursor::count_all(own.reader()).unwrap(), commit);
    }
    assert!(most >= 4, "{most}");
}

#[test]
fn a_damaged_run_is_an_error_and_not_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let environment = Environment::open(&Options::new(folder.path())).unwrap();
    let mut txn = environment.write().unwrap();
    txn.set_index(b"key", EntryId(1), true);
    txn.commit().unwrap();
    let mut txn = environment.write().unwrap();
    let (key, mut record) = {
        let reader = txn.reader();
        let rows = reader.recent(Recent::Index).unwrap();
        (Recent::Index.key(rows[0].0), rows[0].1.to_vec())
    };
    *record.last_mut().unwrap() ^= 1;
    txn.put(Table::Current, &key, &record, super::super::PutMode::Upsert).unwrap();
    txn.commit().unwrap();
    drop(environment);
    assert!(Environment::open(&Options::new(folder.path())).is_err());
}
