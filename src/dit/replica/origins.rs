//! An origin's numbers are never given twice: old copies of a data folder, and copies that run at the same time.

use super::*;
use crate::state::{Csn, StableCut};

impl Replica {
    /// A copy of the folder, opened as another node would be that was given it.
    fn copied(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        self.dit.environment().sync().unwrap();
        std::fs::copy(self.dit.environment().data_file(), folder.path().join("data.mdb")).unwrap();
        let dit = Dit::open(options(&folder), Arc::clone(&self.schema), self.clock.clone()).unwrap();
        Self { dit, clock: self.clock.clone(), folder, schema: Arc::clone(&self.schema) }
    }

    /// Takes whatever `other` has in its log and is the next here.
    fn take_all(&self, other: &Self) {
        let vector = other.dit.read().unwrap().view().update_vector().unwrap();
        for (origin, _) in vector.iter().filter(|(origin, _)| *origin != self.origin()) {
            for record in other.records(origin, self.sequence(origin)) {
                let receipt = self.receive(&record);
                assert!(matches!(receipt, Receipt::Applied { .. }), "{receipt:?}");
            }
        }
    }
}

/// Three that hold a suffix, and how far the origin of the first is then.
fn three_with_a_suffix() -> ([Replica; 3], u64) {
    let schema = Arc::new(Schema::builtin());
    let [one, two, three] = [1, 2, 3].map(|origin| Replica::new(origin, &schema));
    one.suffix();
    two.take_all(&one);
    three.take_all(&one);
    let same = one.sequence(OriginId(1));
    ([one, two, three], same)
}

fn digest(replica: &Replica) -> crate::state::BucketSum {
    replica.assert_sound();
    replica.dit.read().unwrap().view().digest().unwrap()
}

#[test]
fn old_copy_goes_on_under_a_new_origin_and_takes_its_own_changes_back() {
    let schema = Arc::new(Schema::builtin());
    let (one, two) = (Replica::new(1, &schema), Replica::new(2, &schema));
    one.suffix();
    let old = one.copied();
    one.set(1, "description", "after the backup", true);
    two.take_all(&one);
    let new = old.write(|writing| writing.rotate_origin().unwrap());
    assert_ne!(new, OriginId(1));
    old.take_all(&two);
    old.set(1, "o", "after the restore", true);
    two.take_all(&old);
    assert_eq!(two.values(1, "description"), ["after the backup"]);
    assert_eq!(two.values(1, "o"), ["after the restore"]);
    assert_eq!(digest(&old), digest(&two));
    let old = old.reopen();
    assert_eq!((old.origin(), old.sequence(new), old.sequence(OriginId(1))), (new, 1, 2));
}

/// The copy adds Bob below Ann, whom the others have deleted and forgotten, before it hears of them.
#[test]
fn what_an_old_copy_wrote_before_it_caught_up_is_shown_by_all_when_it_is_written_again() {
    let schema = Arc::new(Schema::builtin());
    let (one, two) = (Replica::new(1, &schema), Replica::new(2, &schema));
    one.suffix();
    one.person(3, "Ann");
    one.person(4, "Dan");
    one.set(4, "mail", "dan@x", true);
    let old = one.copied();
    two.take_all(&one);
    one.change(3, |_| vec![Delta::Dead]);
    two.set(4, "mail", "dan@x", false);
    for node in [&one, &two] {
        node.clock.advance(std::time::Duration::from_secs(31 * 24 * 60 * 60));
        node.set(1, "o", "tick", true);
    }
    two.take_all(&one);
    one.take_all(&two);
    for node in [&one, &two] {
        let vector = node.dit.read().unwrap().view().update_vector().unwrap();
        let cut = vector.iter().map(|(origin, position)| (origin, position.sequence)).collect();
        assert_eq!(node.write(|writing| writing.settle(&cut, &StableCut::new(), 100).unwrap()).purged, 1);
    }
    let new = old.write(|writing| writing.rotate_origin().unwrap());
    let name = format!("cn=Bob,cn=Ann,{SUFFIX}");
    old.add(5, &name, &[("objectClass", &["person"]), ("cn", &["Bob"]), ("sn", &["x"])]);
    old.set(5, "description", "early", true);
    old.change(4, |writing| vec![cell(writing, "mail", "dan@x", true), cell(writing, "sn", "early", true)]);
    old.take_all(&two);
    one.take_all(&old);
    assert!(!model::shown(&one).contains_key(&EntryUuid([5; 16])), "it waits for Ann");
    let clock = one.write(|writing| writing.clock.last());
    let count = old.write(|writing| {
        writing.follow_clock(clock);
        writing.repeat_tail(new, 0).unwrap()
    });
    assert_eq!(count, 3);
    for (to, from) in [(&one, &old), (&two, &one), (&one, &two), (&old, &two)] {
        to.take_all(from);
    }
    for node in [&one, &two, &old] {
        let text = node.dit.read().unwrap().view().dn_text(node.id(5)).unwrap();
        assert_eq!(text.as_deref(), Some(name.as_str()));
        assert_eq!(node.values(5, "description"), ["early"]);
        assert_eq!(node.values(4, "mail"), ["dan@x"]);
        assert_eq!(model::shown(node), model::shown(&two));
        assert_eq!(digest(node), digest(&two));
        assert_eq!(node.sequence(new), old.sequence(new));
    }
}

#[test]
fn two_running_copies_lose_nothing_of_what_either_wrote() {
    let schema = Arc::new(Schema::builtin());
    let (one, three) = (Replica::new(1, &schema), Replica::new(3, &schema));
    one.suffix();
    one.person(3, "Ann");
    one.set(3, "employeeNumber", "7", true);
    three.take_all(&one);
    let copy = one.copied();
    let same = one.sequence(OriginId(1));
    one.set(3, "mail", "one@x", true);
    one.person(4, "Bob");
    one.set(4, "mail", "bob@x", true);
    copy.set(3, "mail", "copy@x", true);
    copy.person(5, "Cid");
    copy.set(5, "mail", "cid@x", true);
    copy.change(3, |writing| vec![Delta::Clear(attribute(writing, "employeeNumber"))]);
    three.take_all(&one);
    let record = copy.records(OriginId(1), same).remove(0);
    assert_eq!(three.receive(&record), Receipt::Fork);
    for node in [&one, &copy] {
        let count = node.write(|writing| {
            assert_eq!(writing.reissue_tail(OriginId(1), same).unwrap(), 0, "not under the running origin");
            writing.rotate_origin().unwrap();
            writing.reissue_tail(OriginId(1), same).unwrap()
        });
        assert!(count >= 3);
        assert_eq!(node.sequence(OriginId(1)), same);
        node.assert_sound();
    }
    for _ in 0..2 {
        for (to, from) in [(&three, &one), (&three, &copy), (&one, &three), (&copy, &three)] {
            to.take_all(from);
        }
    }
    for node in [&one, &copy, &three] {
        // Which of the two is newer is by chance: new origins are random.
        let mut mails = node.values(3, "mail");
        mails.sort();
        assert_eq!(mails, ["copy@x", "one@x"]);
        assert_eq!(node.values(4, "mail"), ["bob@x"]);
        assert_eq!(node.values(5, "mail"), ["cid@x"]);
        assert!(node.values(3, "employeeNumber").is_empty());
        assert_eq!(digest(node), digest(&three));
        assert_eq!(
            node.dit
                .read()
                .unwrap()
                .view()
                .update_vector()
                .unwrap()
                .compare(&three.dit.read().unwrap().view().update_vector().unwrap()),
            crate::state::Verdict::Equal
        );
    }
}

#[test]
fn what_is_written_again_is_above_all_that_is_known_and_not_as_of_the_wall_clock() {
    let schema = Arc::new(Schema::builtin());
    let one = Replica::new(1, &schema);
    one.suffix();
    one.set(1, "o", "x", true);
    let csn = |one: &Replica| -> Csn {
        one.write(|writing| {
            let attribute = attribute(writing, "o");
            writing.state(EntryId(1)).unwrap().unwrap().attribute(attribute).unwrap().newest().csn
        })
    };
    let before = csn(&one);
    one.clock.advance(std::time::Duration::from_secs(3600));
    one.write(|writing| {
        writing.rotate_origin().unwrap();
        writing.reissue_tail(OriginId(1), 1).unwrap();
    });
    assert!(csn(&one) > before && csn(&one).ms() == before.ms());
    one.set(1, "o", "y", true);
    one.reopen().assert_sound();
}

/// One and a copy of it wrote under the same numbers: what one has there is another entry, not one that was deleted.
#[test]
fn entry_that_a_copy_made_is_not_taken_for_a_deleted_one() {
    let schema = Arc::new(Schema::builtin());
    let (one, three) = (Replica::new(1, &schema), Replica::new(3, &schema));
    one.suffix();
    three.take_all(&one);
    let copy = one.copied();
    let same = one.sequence(OriginId(1));
    one.person(4, "Bob");
    copy.clock.advance(std::time::Duration::from_millis(3));
    copy.person(5, "Cid");
    three.take_all(&copy);
    let new = copy.write(|writing| writing.rotate_origin().unwrap());
    copy.set(5, "mail", "cid@x", true);
    for record in copy.records(new, 0) {
        assert!(matches!(one.receive(&record), Receipt::Applied { .. }));
    }
    let theirs = three.dit.read().unwrap().view().update_vector().unwrap();
    let bob = one.write(|writing| writing.state(EntryId(2)).unwrap().unwrap().birth);
    let ended = one.write(|writing| writing.drop_if_deleted_at(EntryUuid([4; 16]), bob, &theirs).unwrap());
    assert!(!ended, "three never held Bob, whatever its numbers say");
    one.write(|writing| {
        writing.rotate_origin().unwrap();
        writing.reissue_tail(OriginId(1), same).unwrap();
    });
    for _ in 0..2 {
        for (to, from) in [(&three, &one), (&three, &copy), (&one, &three)] {
            to.take_all(from);
        }
    }
    for node in [&one, &three] {
        assert_eq!(node.values(5, "mail"), ["cid@x"]);
        assert_eq!(node.values(4, "cn"), ["Bob"]);
    }
    assert_eq!(digest(&one), digest(&three));
    assert_eq!(one.dit.read().unwrap().view().origins_before().unwrap(), [OriginId(1)]);
}

#[test]
fn entry_of_a_forked_tail_is_written_again_with_what_changed_it_since() {
    let schema = Arc::new(Schema::builtin());
    let (one, two) = (Replica::new(1, &schema), Replica::new(2, &schema));
    one.suffix();
    two.take_all(&one);
    let same = one.sequence(OriginId(1));
    one.person(4, "Bob");
    one.person(5, "Cid");
    one.change(5, |_| vec![Delta::Dead]);
    one.write(|writing| writing.rotate_origin().unwrap());
    one.set(4, "mail", "bob@x", true);
    one.set(4, "description", "since", true);
    assert_eq!(one.write(|writing| writing.reissue_tail(OriginId(1), same).unwrap()), 3);
    two.take_all(&one);
    for node in [&one, &two] {
        assert_eq!(node.values(4, "mail"), ["bob@x"]);
        assert_eq!(node.values(4, "description"), ["since"]);
        assert!(node.values(5, "cn").is_empty());
    }
    assert_eq!(digest(&one), digest(&two));
}

/// The deletion speaks of the first incarnation, and is written under another origin than the tail.
#[test]
fn entry_of_a_tail_that_others_deleted_does_not_come_back_when_it_is_written_again() {
    let ([one, two, three], same) = three_with_a_suffix();
    one.person(4, "Bob");
    one.set(4, "mail", "bob@x", true);
    two.take_all(&one);
    two.change(4, |_| vec![Delta::Dead]);
    one.take_all(&two);
    one.write(|writing| writing.rotate_origin().unwrap());
    one.write(|writing| writing.reissue_tail(OriginId(1), same).unwrap());
    three.take_all(&one);
    for node in [&one, &three] {
        assert!(node.values(4, "cn").is_empty());
    }
    assert_eq!(digest(&one), digest(&three));
}

#[test]
fn entry_that_was_deleted_and_forgotten_is_not_written_again() {
    let schema = Arc::new(Schema::builtin());
    let one = Replica::new(1, &schema);
    one.suffix();
    one.person(4, "Bob");
    one.set(4, "mail", "bob@x", true);
    one.change(4, |_| vec![Delta::Dead]);
    one.clock.advance(std::time::Duration::from_secs(31 * 24 * 60 * 60));
    one.set(1, "o", "x", true);
    let cut = [(OriginId(1), one.sequence(OriginId(1)))].into();
    assert_eq!(one.write(|writing| writing.settle(&cut, &StableCut::new(), 100).unwrap()).purged, 1);
    let new = one.write(|writing| writing.rotate_origin().unwrap());
    one.write(|writing| writing.reissue_tail(OriginId(1), 1).unwrap());
    assert!(one.values(4, "cn").is_empty());
    assert_eq!((one.sequence(new), one.values(1, "o")), (1, vec!["x".to_owned()]));
    one.assert_sound();
}

/// Who never heard of the first incarnation holds of it the deletion alone, and passes on with it where the entry stands.
#[test]
fn entry_written_again_stands_below_its_superior_where_the_end_of_its_first_incarnation_comes_before_it() {
    let ([one, two, three], same) = three_with_a_suffix();
    one.person(4, "Bob");
    one.write(|writing| writing.rotate_origin().unwrap());
    one.write(|writing| writing.reissue_tail(OriginId(1), same).unwrap());
    two.take_all(&one);
    three.initialise(&two, 1 << 20);
    for node in [&two, &three] {
        assert_eq!(node.values(4, "cn"), ["Bob"]);
        assert_eq!(digest(node), digest(&one));
    }
}

#[test]
fn only_the_run_after_an_orderly_end_goes_on_under_the_same_origin() {
    let one = Replica::new(1, &Arc::new(Schema::builtin()));
    assert!(one.dit.take_handover().unwrap(), "nothing was ever written here");
    one.suffix();
    assert!(!one.dit.take_handover().unwrap(), "the run before did not end");
    one.dit.leave_handover().unwrap();
    assert!(one.dit.take_handover().unwrap());
    assert!(!one.dit.take_handover().unwrap(), "the proof is used up");
    one.dit.leave_handover().unwrap();
    one.set(1, "o", "written since", true);
    assert!(!one.dit.take_handover().unwrap(), "somebody wrote since");
}

#[test]
fn copy_of_a_folder_that_was_closed_in_order_does_not_go_on_under_its_origin() {
    let one = Replica::new(1, &Arc::new(Schema::builtin()));
    one.suffix();
    one.dit.leave_handover().unwrap();
    let copy = one.copied();
    std::fs::copy(one.folder.path().join("handover"), copy.folder.path().join("handover")).unwrap();
    assert!(!copy.dit.take_handover().unwrap());
    assert!(one.dit.take_handover().unwrap());
}

/// A disk that is copied or set back below the file system has all that it had.
#[test]
fn disk_with_which_a_machine_starts_anew_does_not_go_on_under_its_origin() {
    let one = Replica::new(1, &Arc::new(Schema::builtin()));
    one.suffix();
    one.dit.leave_handover().unwrap();
    let file = one.folder.path().join("handover");
    let left = std::fs::read_to_string(&file).unwrap();
    let (disk, machine_run) = left.trim_end().rsplit_once(' ').unwrap();
    assert_eq!(machine_run, std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim_end());
    std::fs::write(&file, format!("{disk} 0f0e0d0c-0b0a-4908-8706-050403020100\n")).unwrap();
    assert!(!one.dit.take_handover().unwrap());
}

/// `entente restore` gives a folder another origin while nothing knows of it yet.
#[test]
fn the_first_change_under_the_origin_of_a_restored_folder_may_be_a_deletion_that_is_written_again() {
    let one = Replica::new(1, &Arc::new(Schema::builtin()));
    one.suffix();
    one.person(3, "Ann");
    one.change(3, |_| vec![Delta::Dead]);
    let mut txn = one.dit.environment().write().unwrap();
    txn.put_meta(MetaName::Origin, &9_u64.to_be_bytes()).unwrap();
    txn.put_meta(MetaName::OriginsBefore, &1_u64.to_be_bytes()).unwrap();
    txn.commit().unwrap();
    let one = one.reopen();
    assert_eq!(one.write(|writing| writing.reissue_tail(OriginId(1), 2)).unwrap(), 1);
    assert_eq!((one.sequence(OriginId(1)), one.sequence(OriginId(9))), (2, 1));
    one.assert_sound();
}
