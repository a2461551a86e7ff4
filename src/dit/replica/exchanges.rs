//! Whole entries exchanged: a new member, entries without log records, large entries in parts, deletions.

use super::*;
use crate::state::{Csn, PortableEntry, UpdateVector};

fn pair() -> (Replica, Replica) {
    let schema = Arc::new(Schema::builtin());
    let (one, two) = (Replica::new(1, &schema), Replica::new(2, &schema));
    one.suffix();
    (one, two)
}

impl Replica {
    /// Everything, in pieces.
    pub(super) fn pieces(&self, bytes_max: usize) -> Vec<Vec<PortableEntry>> {
        let (mut pieces, mut mark) = (Vec::new(), None);
        loop {
            let snapshot = self.dit.read().unwrap();
            let (piece, next) = snapshot.view().portable_entries(mark.as_ref(), bytes_max).unwrap();
            pieces.push(piece);
            match next {
                Some(next) => mark = EntryMark::from_bytes(&next.to_bytes()),
                None => return pieces,
            }
        }
    }

    pub(super) fn merge(&self, entry: &PortableEntry) -> Merged {
        self.write(|writing| writing.merge_entry(entry).unwrap())
    }

    /// Takes the first `pieces_max` pieces of `other`'s entries as a folder that nobody reads.
    pub(super) fn set_up_fill(&self, other: &Self, bytes_max: usize, pieces_max: usize) {
        for piece in other.pieces(bytes_max).iter().take(pieces_max) {
            self.write(|writing| {
                writing.begin_fill().unwrap();
                piece.iter().for_each(|entry| _ = writing.take_entry(entry, &UpdateVector::new()).unwrap());
            });
        }
    }

    /// Takes all of `other`'s entries and its vector.
    pub(super) fn initialise(&self, other: &Self, bytes_max: usize) {
        let vector = other.dit.read().unwrap().view().update_vector().unwrap();
        for piece in other.pieces(bytes_max) {
            self.write(|writing| piece.iter().for_each(|entry| _ = writing.merge_entry(entry).unwrap()));
        }
        self.write(|writing| writing.take_vector(&vector).unwrap());
    }
}

fn assert_equal(one: &Replica, two: &Replica) {
    let (a, b) = (one.dit.read().unwrap(), two.dit.read().unwrap());
    assert_eq!(a.view().update_vector().unwrap(), b.view().update_vector().unwrap());
    assert_eq!(a.view().digest_buckets().unwrap(), b.view().digest_buckets().unwrap());
    one.assert_sound();
    two.assert_sound();
}

#[test]
fn entries_without_log_records_come_whole_and_the_log_goes_on_behind_them() {
    let (one, two) = pair();
    let loaded = tempfile::tempdir().unwrap();
    let dit = Dit::open(options(&loaded), Arc::clone(&one.schema), one.clock.clone()).unwrap();
    let loaded = Replica { dit, clock: one.clock.clone(), folder: loaded, schema: Arc::clone(&one.schema) };
    let mut load = BulkLoad::begin(&loaded.dit).unwrap();
    for number in 1..40_u8 {
        let name = format!("p{number}");
        let writing = load.writing();
        let (dn, parent) = if number == 1 {
            (Dn::parse(SUFFIX).unwrap(), EntryId::NONE)
        } else {
            (Dn::parse(&format!("cn={name},{SUFFIX}")).unwrap(), EntryId(1))
        };
        let values: Vec<(&str, &str)> = if number == 1 {
            vec![("objectClass", "domain"), ("dc", "example")]
        } else {
            vec![("objectClass", "person"), ("cn", &name), ("sn", "surname")]
        };
        let values: Vec<_> = values
            .into_iter()
            .map(|(name, value)| (attribute(writing, name), vec![value.as_bytes().to_vec()]))
            .collect();
        let deltas = birth_deltas(writing, &dn, parent, &values).unwrap();
        load.add(EntryUuid([number; 16]), "import", deltas).unwrap();
    }
    load.finish().unwrap();
    let range = loaded.dit.read().unwrap().view().log_range(loaded.origin(), 1, 1000).unwrap();
    assert_eq!(range, LogRange::Trimmed { first_kept: 40 });
    two.initialise(&loaded, 700);
    assert_equal(&loaded, &two);
    loaded.set(7, "description", "later", true);
    two.follow(&loaded);
    two.set(7, "description", "answer", true);
    loaded.follow(&two);
    assert_equal(&loaded, &two);
    assert_eq!(two.reopen().values(7, "description"), ["later", "answer"]);
}

#[test]
fn large_entry_travels_in_parts_that_may_come_twice_and_in_any_order() {
    let (one, two) = pair();
    one.add(5, "cn=group,dc=example,dc=com", &[("objectClass", &["groupOfNames"]), ("cn", &["group"])]);
    let texts: Vec<String> = (0..1000).map(|number| format!("cn=p{number},dc=example,dc=com")).collect();
    one.change(5, |writing| texts.iter().map(|text| cell(writing, "member", text, true)).collect());
    one.change(5, |writing| texts[..30].iter().map(|text| cell(writing, "member", text, false)).collect());
    let birth = one.write(|writing| writing.state(EntryId(2)).unwrap().unwrap().birth);
    let parts = one.dit.read().unwrap().view().portable_entry(EntryUuid([5; 16]), birth.dot(), 5000).unwrap().unwrap();
    assert!(parts.len() > 10 && parts.iter().all(|part| part.bytes.len() < 5200), "{}", parts.len());
    let vector = one.dit.read().unwrap().view().update_vector().unwrap();
    two.receive(&one.records(OriginId(1), 0)[0]);
    for part in parts.iter().rev().chain(&parts[3..7]) {
        two.merge(part);
    }
    assert_eq!(two.merge(&parts[0]), Merged::Unchanged);
    for piece in one.pieces(3000).iter().flatten() {
        two.merge(piece);
    }
    two.write(|writing| writing.take_vector(&vector).unwrap());
    assert_eq!(two.values(5, "member").len(), 970);
    assert_equal(&one, &two);
    two.set(5, "member", &texts[3], true);
    one.follow(&two);
    assert_eq!(one.values(5, "member").len(), 971);
    let (a, b) = (one.dit.read().unwrap(), two.dit.read().unwrap());
    assert_eq!(a.view().digest().unwrap(), b.view().digest().unwrap());
}

/// Groups that come before their members, few and many, and a text that names somebody who comes later.
fn linked() -> (Replica, Replica) {
    let (one, two) = pair();
    for group in [5, 6] {
        let (dn, cn) = (format!("cn=group{group},{SUFFIX}"), format!("group{group}"));
        one.add(group, &dn, &[("objectClass", &["groupOfNames"]), ("cn", &[cn.as_str()])]);
    }
    for number in 10..110_u8 {
        one.person(number, &format!("p{number}"));
    }
    for (group, members) in [(5, 10..13), (6, 10..110)] {
        let names: Vec<String> = members.map(|number| format!("cn=p{number},{SUFFIX}")).collect();
        one.change(group, |writing| names.iter().map(|name| cell(writing, "member", name, true)).collect());
    }
    one.person(110, "p110");
    one.set(10, "description", "from one", true);
    one.set(11, "description", "gone", true);
    one.set(11, "description", "gone", false);
    (one, two)
}

#[test]
fn directory_taken_in_whole_has_the_index_and_the_names_that_it_would_have() {
    let (one, two) = linked();
    two.set_up_fill(&one, 20_000, usize::MAX);
    let vector = one.dit.read().unwrap().view().update_vector().unwrap();
    two.write(|writing| {
        writing.take_vector(&vector).unwrap();
        writing.end_fill().unwrap();
    });
    assert_equal(&one, &two);
    for group in [5, 6] {
        assert_eq!(two.values(group, "member"), one.values(group, "member"));
    }
    one.change(12, |_| vec![Delta::Dead]);
    two.follow(&one);
    assert_eq!((two.values(5, "member").len(), two.values(6, "member").len()), (2, 99));
    assert_equal(&one, &two);
}

#[test]
fn directory_of_which_a_part_was_taken_in_is_sound_when_it_is_opened_again() {
    let (one, two) = linked();
    two.set_up_fill(&one, 20_000, 1);
    let two = two.reopen();
    two.assert_sound();
    two.set_up_fill(&one, 20_000, usize::MAX);
    two.write(|writing| writing.end_fill().unwrap());
    two.assert_sound();
    assert_eq!(two.values(6, "member"), one.values(6, "member"));
}

#[test]
fn both_sides_keep_what_they_wrote_during_an_exchange() {
    let (one, two) = pair();
    two.follow(&one);
    one.set(1, "description", "from one", true);
    two.set(1, "description", "from two", true);
    one.change(1, |writing| vec![cell(writing, "o", "x", true), cell(writing, "o", "y", true)]);
    two.initialise(&one, 10_000);
    assert_eq!(two.values(1, "description"), ["from one", "from two"]);
    one.initialise(&two, 10_000);
    assert_equal(&one, &two);
}

#[test]
fn entry_that_was_deleted_and_forgotten_here_does_not_come_back() {
    let (one, two) = pair();
    one.person(3, "Ann");
    two.follow(&one);
    let before = one.pieces(1 << 20).remove(0);
    two.change(3, |_| vec![Delta::Dead]);
    let ann = before.iter().find(|entry| entry.uuid == EntryUuid([3; 16])).unwrap();
    assert_eq!(two.merge(ann), Merged::Unchanged);
    assert!(two.values(3, "cn").is_empty());
    two.assert_sound();
}

#[test]
fn entry_that_the_other_side_deleted_and_forgot_ends_here_even_before_its_birth_arrives() {
    let (one, two) = pair();
    let three = Replica::new(3, &one.schema);
    two.follow(&one);
    one.person(3, "Ann");
    two.follow(&one);
    two.set(3, "description", "x", true);
    for record in one.records(OriginId(1), 0).iter().take(1) {
        three.receive(record);
    }
    three.follow(&two);
    let birth = one.write(|writing| writing.state(EntryId(2)).unwrap().unwrap().birth);
    let uuid = EntryUuid([3; 16]);
    let (behind, ahead) = (three.dit.read().unwrap().view().update_vector().unwrap(), {
        one.dit.read().unwrap().view().update_vector().unwrap()
    });
    assert!(!three.write(|writing| writing.drop_if_deleted_at(uuid, birth, &behind).unwrap()), "not born there");
    assert!(three.write(|writing| writing.drop_if_deleted_at(uuid, birth, &ahead).unwrap()));
    assert!(!three.write(|writing| writing.drop_if_deleted_at(uuid, birth, &ahead).unwrap()), "once is enough");
    three.follow(&one);
    assert!(three.values(3, "cn").is_empty());
    three.assert_sound();
    assert!(one.write(|writing| writing.drop_if_deleted_at(uuid, birth, &ahead).unwrap()));
    assert!(one.values(3, "cn").is_empty());
    one.assert_sound();
}

#[test]
fn move_that_came_before_its_entry_goes_along_with_it() {
    let (one, two) = pair();
    let (three, four) = (Replica::new(3, &one.schema), Replica::new(4, &one.schema));
    one.person(3, "Ann");
    one.person(4, "Bob");
    two.follow(&one);
    two.change(3, |_| vec![Delta::Parent(EntryUuid([4; 16]))]);
    for node in [&three, &four] {
        node.receive(&one.records(OriginId(1), 0)[0]);
    }
    three.follow(&two);
    four.initialise(&three, 1 << 20);
    four.follow(&one);
    let dn = four.dit.read().unwrap().view().dn_text(four.id(3)).unwrap().unwrap();
    assert_eq!(dn, "cn=Ann,cn=Bob,dc=example,dc=com");
    assert_equal(&two, &four);
}

#[test]
fn state_that_cannot_be_read_changes_nothing() {
    let (one, two) = pair();
    let mut entry = one.pieces(1 << 20).remove(0).remove(0);
    entry.bytes[0] = 77;
    assert!(matches!(two.merge(&entry), Merged::Undecodable(_)));
    two.assert_sound();
}

#[test]
fn what_is_written_after_following_a_clock_is_newer() {
    let (one, _) = pair();
    let clock = Csn::new(1_700_000_000_000 + 60 * 60 * 1000, 3, OriginId(9));
    one.write(|writing| writing.follow_clock(clock));
    let one = one.reopen();
    one.set(1, "o", "x", true);
    assert!(one.write(|writing| writing.state(EntryId(1)).unwrap().unwrap().max_stamp().csn) > clock);
}

#[test]
fn vector_that_knows_more_of_the_own_origin_makes_a_new_one() {
    let (one, two) = pair();
    two.follow(&one);
    let copy = Replica::new(1, &one.schema);
    copy.initialise(&two, 1 << 20);
    assert_ne!(copy.origin(), OriginId(1));
    copy.set(1, "o", "x", true);
    assert_eq!((copy.sequence(OriginId(1)), copy.sequence(copy.origin())), (1, 1));
    two.follow(&copy);
    assert_eq!(two.values(1, "o"), ["x"]);
    copy.reopen().assert_sound();
}

#[test]
fn entry_that_a_fault_lost_comes_back_unless_the_log_tells_of_its_deletion() {
    let (one, two) = pair();
    one.person(3, "Ann");
    one.person(4, "Bob");
    let (ann, bob) = {
        let snapshot = one.dit.read().unwrap();
        let (entries, _) = snapshot.view().portable_entries(None, usize::MAX).unwrap();
        let of = |uuid: u8| entries.iter().find(|entry| entry.uuid == EntryUuid([uuid; 16])).unwrap().clone();
        two.write(|writing| writing.merge_entry(&of(1)).unwrap());
        (of(3), of(4))
    };
    // All of it is said to be held, and two entries are not there.
    let vector = one.dit.read().unwrap().view().update_vector().unwrap();
    two.write(|writing| writing.take_vector(&vector).unwrap());
    assert_eq!(two.write(|writing| writing.merge_entry(&ann).unwrap()), Merged::Deleted);
    assert_eq!(two.write(|writing| writing.revive_entry(&ann).unwrap()), Merged::Changed);
    assert_eq!(two.values(3, "sn"), ["surname"]);
    one.change(4, |_| vec![Delta::Dead]);
    two.follow(&one);
    assert_eq!(two.write(|writing| writing.revive_entry(&bob).unwrap()), Merged::Deleted);
    two.assert_sound();
}
