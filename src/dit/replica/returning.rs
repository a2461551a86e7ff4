//! A node that was away for so long that the others forgot what they had removed: nothing of that comes back, and nothing
//! that it wrote itself is lost.

use super::*;
use crate::state::{StableCut, UpdateVector};
use std::time::Duration;

fn vector(node: &Replica) -> UpdateVector {
    node.dit.read().unwrap().view().update_vector().unwrap()
}

impl Replica {
    /// Takes whatever is the next here of what `other` holds.
    pub(super) fn catch_up(&self, other: &Self) {
        for (origin, _) in vector(other).iter().filter(|(origin, _)| *origin != self.origin()) {
            for record in other.records(origin, self.sequence(origin)) {
                let receipt = self.receive(&record);
                assert!(matches!(receipt, Receipt::Applied { .. }), "{receipt:?}");
            }
        }
    }

    /// Comes back after others agreed that `end` was its last change: takes `other`'s entries, in parts of any size,
    /// and writes again what nobody has.
    pub(super) fn return_to(&self, other: &Self, end: u64, bytes_max: usize) {
        let theirs = vector(other);
        let clock = other.write(|writing| writing.clock.last());
        let (ours, others) = (model::heads(self), model::heads(other));
        let mut mark = None;
        loop {
            let (parts, next) = other.dit.read().unwrap().view().portable_entries(mark.as_ref(), bytes_max).unwrap();
            self.write(|writing| {
                writing.follow_clock(clock);
                for part in &parts {
                    assert!(!matches!(writing.take_entry(part, &theirs).unwrap(), Merged::Undecodable(_)));
                    // What comes twice changes nothing.
                    let twice = writing.take_entry(part, &theirs).unwrap();
                    assert!(matches!(twice, Merged::Unchanged | Merged::Deleted), "{twice:?}");
                }
            });
            mark = next;
            if mark.is_none() {
                break;
            }
        }
        self.write(|writing| {
            for (uuid, birth) in ours.difference(&others) {
                writing.drop_if_deleted_at(*uuid, *birth, &theirs).unwrap();
            }
            writing.take_vector(&theirs).unwrap();
        });
        self.assert_sound();
        let old = self.origin();
        self.write(|writing| {
            writing.rotate_origin().unwrap();
            writing.reissue_tail(old, end).unwrap();
        });
        self.assert_sound();
        assert_eq!(self.sequence(old), end);
    }
}

/// One and two settle all that both hold.
pub(super) fn settle(nodes: [&Replica; 2]) {
    for (to, from) in [(nodes[0], nodes[1]), (nodes[1], nodes[0])] {
        to.catch_up(from);
    }
    for node in nodes {
        node.clock.advance(Duration::from_millis(5));
        node.set(1, "o", "tick", true);
    }
    nodes[0].catch_up(nodes[1]);
    nodes[1].catch_up(nodes[0]);
    let held = vector(nodes[0]).meet(&vector(nodes[1]));
    let cut: StableCut = held.iter().map(|(origin, position)| (origin, position.sequence)).collect();
    for node in nodes {
        node.write(|writing| writing.settle(&cut, &StableCut::new(), usize::MAX).unwrap());
        node.assert_sound();
    }
}

pub(super) fn assert_all_equal(nodes: [&Replica; 3]) {
    for _ in 0..2 {
        for (to, from) in [(0, 2), (1, 2), (2, 0), (1, 0), (0, 1), (2, 1)] {
            nodes[to].catch_up(nodes[from]);
        }
    }
    let first = (vector(nodes[0]), model::shown(nodes[0]));
    for node in nodes {
        node.assert_sound();
        let (ours, theirs) = (nodes[0].dit.read().unwrap(), node.dit.read().unwrap());
        assert_eq!(vector(node).compare(&first.0), crate::state::Verdict::Equal);
        assert_eq!(model::shown(node), first.1);
        assert_eq!(ours.view().digest_buckets().unwrap(), theirs.view().digest_buckets().unwrap());
    }
}

/// Three nodes that hold the suffix, Ann (3), Bob (4) and a group of many members (5).
pub(super) fn three_nodes() -> [Replica; 3] {
    let schema = Arc::new(Schema::builtin());
    let nodes = [1, 2, 3].map(|origin| Replica::new(origin, &schema));
    nodes[0].suffix();
    nodes[0].person(3, "Ann");
    nodes[0].person(4, "Bob");
    nodes[0].add(5, "cn=group,dc=example,dc=com", &[("objectClass", &["groupOfNames"]), ("cn", &["group"])]);
    nodes[0].change(5, |writing| (0..80).map(|number| cell(writing, "member", &member(number), true)).collect());
    nodes[0].change(3, |writing| ["x", "y"].into_iter().map(|text| cell(writing, "description", text, true)).collect());
    nodes[0].set(3, "mail", "ann@x", true);
    nodes[1].catch_up(&nodes[0]);
    nodes[2].catch_up(&nodes[0]);
    nodes
}

fn member(number: u64) -> String {
    format!("cn=m{number:02},o=elsewhere")
}

#[test]
fn values_that_others_removed_and_forgot_do_not_come_back_and_unsent_ones_are_kept() {
    for bytes_max in [100, 1 << 20] {
        let [one, two, away] = three_nodes();
        away.set(3, "description", "sent", true);
        one.catch_up(&away);
        let end = away.sequence(OriginId(3));
        away.set(3, "description", "unsent", true);
        away.set(3, "description", "y", false);
        away.set(5, "member", &member(90), true);
        away.person(7, "Cid");
        away.change(4, |_| vec![Delta::Dead]);
        one.set(3, "description", "x", false);
        one.set(3, "description", "sent", false);
        two.change(3, |writing| vec![Delta::Clear(attribute(writing, "mail"))]);
        two.change(5, |writing| (0..75).map(|number| cell(writing, "member", &member(number), false)).collect());
        two.set(5, "member", &member(91), true);
        settle([&one, &two]);
        away.return_to(&one, end, bytes_max);
        assert_all_equal([&one, &two, &away]);
        for node in [&one, &two, &away] {
            assert_eq!(node.values(3, "description"), ["unsent"]);
            assert!(node.values(3, "mail").is_empty());
            assert_eq!(node.values(5, "member").len(), 7);
            assert_eq!(node.values(7, "cn"), ["Cid"]);
            assert!(node.values(4, "cn").is_empty());
        }
        let away = away.reopen();
        away.set(3, "mail", "again@x", true);
        assert_all_equal([&one, &two, &away]);
    }
}

fn set_title(node: &Replica, title: &str) {
    node.change(3, |writing| vec![Delta::Clear(attribute(writing, "title")), cell(writing, "title", title, true)]);
}

/// Later than all that the node's clock was set to.
fn write_again(node: &Replica, origin: OriginId, end: u64) {
    if node.origin() == origin {
        node.write(|writing| writing.rotate_origin().unwrap());
    }
    node.set(1, "o", "tick", true);
    node.write(|writing| assert!(writing.reissue_tail(origin, end).unwrap() > 0));
    node.assert_sound();
}

/// Whoever holds a tail beyond an agreed end writes it again: its writer, and another who was on its side.
#[test]
fn the_newest_stands_when_two_write_the_same_tail_again_and_one_of_them_holds_something_in_its_stead() {
    let [one, two, away] = three_nodes();
    let end = away.sequence(OriginId(3));
    set_title(&away, "of who was away");
    two.catch_up(&away);
    one.clock.advance(Duration::from_secs(1));
    set_title(&one, "newer, at first");
    two.catch_up(&one);
    away.clock.advance(Duration::from_secs(2));
    write_again(&away, OriginId(3), end);
    two.clock.advance(Duration::from_secs(3));
    write_again(&two, OriginId(3), end);
    assert_all_equal([&one, &two, &away]);
    assert_eq!(two.values(3, "title"), ["of who was away"]);
}

#[test]
fn the_oldest_deletion_stays_when_two_write_the_same_one_again() {
    let [one, two, away] = three_nodes();
    let end = away.sequence(OriginId(3));
    away.change(5, |_| vec![Delta::Dead]);
    two.catch_up(&away);
    write_again(&away, OriginId(3), end);
    two.catch_up(&away);
    two.clock.advance(Duration::from_secs(1));
    write_again(&two, OriginId(3), end);
    assert_all_equal([&one, &two, &away]);
    let ends = [&one, &two, &away].map(|node| {
        node.write(|writing| {
            let id = writing.view().incarnations(EntryUuid([5; 16])).unwrap()[0];
            writing.state(id).unwrap().unwrap().dead
        })
    });
    assert_eq!(ends, [ends[0]; 3]);
}

/// Others settled the second move and forgot it, and one of them met the first with entries of who was away.
#[test]
fn a_superior_is_said_as_it_is_when_an_older_move_is_written_again() {
    let [one, two, away] = three_nodes();
    let end = away.sequence(OriginId(3));
    away.change(3, |_| vec![Delta::Parent(EntryUuid([4; 16]))]);
    one.clock.advance(Duration::from_secs(1));
    one.change(3, |_| vec![Delta::Parent(EntryUuid([5; 16]))]);
    settle([&one, &two]);
    for part in away.pieces(1 << 20).into_iter().flatten() {
        one.merge(&part);
    }
    away.return_to(&two, end, 1 << 20);
    assert_all_equal([&one, &two, &away]);
    let above =
        [&one, &two, &away].map(|node| node.write(|writing| writing.state(node.id(3)).unwrap().unwrap().parent.1));
    assert_eq!(above, [EntryUuid([5; 16]); 3]);
}

/// Taking the rule away shows that the test sees it.
#[test]
fn plain_join_would_bring_removed_values_back() {
    let [one, two, away] = three_nodes();
    one.set(3, "description", "x", false);
    settle([&one, &two]);
    let parts = one.dit.read().unwrap().view().portable_entries(None, 1 << 20).unwrap().0;
    away.write(|writing| parts.iter().for_each(|part| _ = writing.merge_entry(part).unwrap()));
    assert_eq!(away.values(3, "description"), ["x", "y"]);
}

#[test]
fn unsent_move_is_judged_anew_where_others_moved_meanwhile() {
    let [one, two, away] = three_nodes();
    let end = away.sequence(OriginId(3));
    away.change(3, |_| vec![Delta::Parent(EntryUuid([4; 16]))]);
    one.clock.advance(Duration::from_millis(2));
    one.change(4, |_| vec![Delta::Parent(EntryUuid([3; 16]))]);
    settle([&one, &two]);
    away.return_to(&one, end, 1 << 20);
    assert_all_equal([&one, &two, &away]);
    let name = away.dit.read().unwrap().view().dn_text(away.id(4)).unwrap().unwrap();
    assert_eq!(name, "cn=Bob,cn=Ann,dc=example,dc=com");
}

/// The move was written under the next origin already, and reached the others before it was known that the birth had not.
#[test]
fn birth_that_is_written_again_comes_after_moves_that_were_told() {
    let [one, two, away] = three_nodes();
    let end = away.sequence(OriginId(3));
    away.person(7, "Cid");
    away.write(|writing| writing.rotate_origin().unwrap());
    away.change(7, |_| vec![Delta::Parent(EntryUuid([3; 16]))]);
    one.follow(&away);
    away.write(|writing| assert_eq!(writing.reissue_tail(OriginId(3), end).unwrap(), 1));
    away.assert_sound();
    assert_all_equal([&one, &two, &away]);
}

/// It found no record that both have, and could not tell that others hold what it took back.
#[test]
fn birth_that_was_taken_back_and_comes_from_others_is_the_beginning_again() {
    let [one, two, three] = three_nodes();
    let end = two.sequence(OriginId(2));
    two.person(7, "Cid");
    two.change(7, |_| vec![Delta::Parent(EntryUuid([3; 16]))]);
    one.catch_up(&two);
    two.write(|writing| {
        writing.rotate_origin().unwrap();
        assert_eq!(writing.reissue_tail(OriginId(2), end).unwrap(), 2);
    });
    two.catch_up(&one);
    assert_all_equal([&one, &two, &three]);
    let edges = |node: &Replica| node.dit.read().unwrap().view().edges_of(EntryUuid([7; 16])).unwrap();
    assert_eq!(edges(&two), edges(&one));
}

#[test]
fn entries_come_one_by_one_though_those_on_the_way_up_stand_the_other_way_round_by_now() {
    for all in [false, true] {
        let [one, two, away] = three_nodes();
        one.add(
            7,
            "cn=Dan,cn=Ann,dc=example,dc=com",
            &[("objectClass", &["person"]), ("cn", &["Dan"]), ("sn", &["d"])],
        );
        away.catch_up(&one);
        let end = away.sequence(OriginId(3));
        one.change(7, |_| vec![Delta::Parent(EntryUuid([1; 16]))]);
        one.clock.advance(Duration::from_millis(2));
        one.change(3, |_| vec![Delta::Parent(EntryUuid([7; 16]))]);
        settle([&one, &two]);
        assert!(one.dit.read().unwrap().view().moves().unwrap().is_empty(), "they came to be the beginning");
        let parts = one.dit.read().unwrap().view().portable_entries(None, 1 << 20).unwrap().0;
        let ann = parts.iter().find(|part| part.uuid == EntryUuid([3; 16])).unwrap();
        away.write(|writing| writing.take_entry(ann, &vector(&one)).unwrap());
        away.assert_sound();
        let name = |uuid| away.dit.read().unwrap().view().dn_text(away.id(uuid)).unwrap().unwrap();
        assert_eq!(name(7), "cn=Dan,cn=Ann,dc=example,dc=com", "that is still to come");
        if all {
            away.return_to(&one, end, 100);
        } else {
            let dan = parts.iter().find(|part| part.uuid == EntryUuid([7; 16])).unwrap();
            away.write(|writing| writing.take_entry(dan, &vector(&one)).unwrap());
            away.assert_sound();
        }
        assert_eq!(name(3), "cn=Ann,cn=Dan,dc=example,dc=com");
        if all {
            assert_all_equal([&one, &two, &away]);
        }
    }
}

/// Dan was born below Cid and moved away, so that Cid could be moved below him.
#[test]
fn unsent_births_and_moves_are_judged_by_who_wrote_them_again_as_by_those_who_never_knew_the_first_ones() {
    let [one, two, away] = three_nodes();
    let end = away.sequence(OriginId(3));
    away.person(7, "Cid");
    away.add(8, &format!("cn=Dan,cn=Cid,{SUFFIX}"), &[("objectClass", &["person"]), ("cn", &["Dan"]), ("sn", &["x"])]);
    away.change(8, |_| vec![Delta::Parent(EntryUuid([1; 16]))]);
    away.change(7, |_| vec![Delta::Parent(EntryUuid([8; 16]))]);
    away.return_to(&one, end, 1 << 20);
    assert_all_equal([&one, &two, &away]);
    let name = away.dit.read().unwrap().view().dn_text(away.id(7)).unwrap();
    assert_eq!(name, Some(format!("cn=Cid,cn=Dan,{SUFFIX}")));
}

#[test]
fn unsent_change_of_an_entry_that_others_deleted_stays_void() {
    let [one, two, away] = three_nodes();
    let end = away.sequence(OriginId(3));
    away.set(3, "description", "unsent", true);
    one.change(3, |_| vec![Delta::Dead]);
    settle([&one, &two]);
    for node in [&one, &two] {
        node.clock.advance(Duration::from_secs(40 * 24 * 60 * 60));
    }
    settle([&one, &two]);
    away.return_to(&one, end, 1 << 20);
    assert_all_equal([&one, &two, &away]);
    assert!(away.values(3, "cn").is_empty());
}

/// The record of its last common change is not kept by the time it has to say where it ended.
#[test]
fn end_that_no_record_tells_any_more_is_not_taken_for_another_history() {
    let [one, two, away] = three_nodes();
    let old = OriginId(3);
    away.set(3, "description", "sent", true);
    one.catch_up(&away);
    two.catch_up(&away);
    let end = away.sequence(old);
    away.set(3, "description", "unsent", true);
    away.write(|writing| writing.drop_log_below(old, end + 1, 10).unwrap());
    away.return_to(&one, end, 1 << 20);
    assert_eq!(vector(&away).position(old).known_chain(), None);
    assert_all_equal([&one, &two, &away]);
    for node in [&one, &two] {
        assert_eq!(vector(node).forked_origins(&vector(&away)).count(), 0);
        assert_eq!(vector(&away).forked_origins(&vector(node)).count(), 0);
    }
    let record = one.records(old, end - 1).remove(0);
    assert_eq!(away.receive(&record), Receipt::Known);
    away.write(|writing| writing.take_vector(&vector(&one)).unwrap());
    assert_eq!(vector(&away).position(old), vector(&one).position(old), "learnt from who knows it");
}

/// One has forgotten Ann and two has not: both, and who comes back, show the phantom while something is below it.
#[test]
fn what_is_written_again_below_what_others_deleted_keeps_its_name_whoever_has_forgotten_that() {
    let [one, two, away] = three_nodes();
    let end = away.sequence(OriginId(3));
    let below = |name: &str| format!("cn={name},cn=Ann,{SUFFIX}");
    for (uuid, name) in [(7, "Cid"), (8, "Dan")] {
        away.add(uuid, &below(name), &[("objectClass", &["person"]), ("cn", &[name]), ("sn", &["x"])]);
    }
    away.change(4, |_| vec![Delta::Parent(EntryUuid([3; 16]))]);
    one.change(3, |_| vec![Delta::Dead]);
    settle([&one, &two]);
    one.clock.advance(Duration::from_secs(40 * 24 * 60 * 60));
    settle([&one, &two]);
    let is_kept = |node: &Replica| model::heads(node).iter().any(|(uuid, _)| *uuid == EntryUuid([3; 16]));
    assert_eq!((is_kept(&one), is_kept(&two)), (false, true));
    away.return_to(&one, end, 1 << 20);
    assert_all_equal([&one, &two, &away]);
    for node in [&one, &two, &away] {
        for (uuid, name) in [(7, "Cid"), (8, "Dan"), (4, "Bob")] {
            assert_eq!(node.dit.read().unwrap().view().dn_text(node.id(uuid)).unwrap(), Some(below(name)));
        }
        assert!(node.values(3, "mail").is_empty());
    }
    two.change(4, |_| vec![Delta::Parent(EntryUuid([1; 16]))]);
    one.change(7, |_| vec![Delta::Dead]);
    away.change(8, |_| vec![Delta::Dead]);
    assert_all_equal([&one, &two, &away]);
    assert!(!model::shown(&one).contains_key(&EntryUuid([3; 16])));
}

/// Cid was deleted and brought back, and stands below Ann, who was brought back after him; one has forgotten Ann's first
/// incarnation, and two has not.
#[test]
fn superiors_that_came_back_are_written_again_before_what_stands_below_them() {
    let [one, two, away] = three_nodes();
    one.change(3, |_| vec![Delta::Dead]);
    settle([&one, &two]);
    away.catch_up(&one);
    one.clock.advance(Duration::from_secs(40 * 24 * 60 * 60));
    settle([&one, &two]);
    let is_kept = |node: &Replica| model::heads(node).iter().any(|(uuid, _)| *uuid == EntryUuid([3; 16]));
    assert_eq!((is_kept(&one), is_kept(&two), is_kept(&away)), (false, true, true));
    let end = away.sequence(OriginId(3));
    away.person(7, "Cid");
    away.change(7, |_| vec![Delta::Dead]);
    away.undelete(7);
    away.undelete(3);
    away.change(7, |_| vec![Delta::Parent(EntryUuid([3; 16]))]);
    away.return_to(&two, end, 1 << 20);
    for record in away.records(away.origin(), 0) {
        for node in [&one, &two] {
            assert!(matches!(node.receive(&record), Receipt::Applied { .. }));
        }
        let (ones, twos) = (one.dit.read().unwrap(), two.dit.read().unwrap());
        let difference = format!("after change {}", record.sequence);
        assert_eq!(ones.view().digest_buckets().unwrap(), twos.view().digest_buckets().unwrap(), "{difference}");
    }
    assert_all_equal([&one, &two, &away]);
    let name = one.dit.read().unwrap().view().dn_text(one.id(7)).unwrap();
    assert_eq!(name, Some(format!("cn=Cid,cn=Ann,{SUFFIX}")));
}

/// The model of `model`, one of whose three is away for a part of its life.
#[test]
fn trees_of_which_one_was_away_show_the_same() {
    let schema = Arc::new(Schema::builtin());
    for seed in model::seeds() {
        let nodes = model::Cluster::new(seed, &schema, true).with_one_away(60);
        assert_all_equal([&nodes[0], &nodes[1], &nodes[2]]);
    }
}

/// Others hold the number and not what was added to it here: that is unsent, and not removed there.
#[test]
fn increment_that_others_lack_is_kept_as_long_as_they_have_the_number() {
    for bytes_max in [100, 1 << 20] {
        let [one, two, away] = three_nodes();
        away.set(3, "employeeNumber", "1", true);
        one.change(3, |writing| {
            vec![Delta::Clear(attribute(writing, "uidNumber")), cell(writing, "uidNumber", "40", true)]
        });
        one.change(4, |writing| {
            vec![Delta::Clear(attribute(writing, "uidNumber")), cell(writing, "uidNumber", "50", true)]
        });
        one.catch_up(&away);
        two.catch_up(&one);
        away.catch_up(&one);
        let end = away.sequence(OriginId(3));
        for uuid in [3, 4] {
            away.change(uuid, |writing| {
                let number = attribute(writing, "uidNumber");
                let state = writing.state(writing.view().by_uuid(EntryUuid([uuid; 16])).unwrap().unwrap()).unwrap();
                vec![state.unwrap().count_delta(number, OriginId(3), 2).unwrap()]
            });
        }
        one.change(4, |writing| vec![Delta::Clear(attribute(writing, "uidNumber"))]);
        settle([&one, &two]);
        let state = |uuid| {
            away.write(|writing| {
                let number = attribute(writing, "uidNumber");
                let id = writing.view().by_uuid(EntryUuid([uuid; 16])).unwrap().unwrap();
                let state = writing.state(id).unwrap().unwrap();
                state.attribute(number).and_then(|held| held.counter.clone()).map(|counter| counter.value())
            })
        };
        let theirs = vector(&one);
        let parts = one.dit.read().unwrap().view().portable_entries(None, bytes_max).unwrap().0;
        away.write(|writing| parts.iter().for_each(|part| _ = writing.take_entry(part, &theirs).unwrap()));
        if bytes_max > 100 {
            assert_eq!(
                (state(3), state(4)),
                (Some(42), None),
                "what was counted on a number that is gone went with it"
            );
        }
        away.return_to(&one, end, bytes_max);
        assert_all_equal([&one, &two, &away]);
        assert_eq!(away.values(3, "uidNumber"), ["42"]);
    }
}

/// An old copy writes `early`, with which one and two go on: both have deleted Ann, and one has forgotten her. Then the copy
/// catches up, does `late`, and writes all of it again beside the first. Cid is below Bob; returns Cid's name everywhere.
fn name_after_old_copy(early: impl Fn(&Replica), two_does: impl Fn(&Replica), late: impl Fn(&Replica)) -> String {
    let [one, two, away] = three_nodes();
    one.add(7, &format!("cn=Cid,cn=Bob,{SUFFIX}"), &[("objectClass", &["person"]), ("cn", &["Cid"]), ("sn", &["x"])]);
    two.catch_up(&one);
    away.catch_up(&one);
    one.change(3, |_| vec![Delta::Dead]);
    settle([&one, &two]);
    one.clock.advance(Duration::from_secs(40 * 24 * 60 * 60));
    settle([&one, &two]);
    early(&away);
    two.follow(&away);
    two_does(&two);
    one.follow(&away);
    away.catch_up(&one);
    away.catch_up(&two);
    late(&away);
    let old = away.origin();
    let clock = one.write(|writing| writing.clock.last());
    away.write(|writing| {
        writing.rotate_origin().unwrap();
        writing.follow_clock(clock);
        writing.repeat_tail(old, 0).unwrap();
    });
    away.assert_sound();
    assert_all_equal([&one, &two, &away]);
    for node in [&one, &two, &away] {
        assert!(node.dit.read().unwrap().view().waiting_entries().unwrap().is_empty());
        assert!(
            node.dit.read().unwrap().view().moves().unwrap().iter().all(|(_, outcome)| *outcome == MoveOutcome::Made)
        );
    }
    one.dit.read().unwrap().view().dn_text(one.id(7)).unwrap().unwrap()
}

#[test]
fn move_by_an_old_copy_of_what_was_deleted_since_is_written_again_with_the_superior_that_others_forgot() {
    let early = |away: &Replica| away.change(4, |_| vec![Delta::Parent(EntryUuid([3; 16]))]);
    let name = name_after_old_copy(early, |_| {}, |away| away.change(4, |_| vec![Delta::Dead]));
    assert_eq!(name, format!("cn=Cid,cn=Bob,cn=Ann,{SUFFIX}"));
}

#[test]
fn what_an_old_copy_made_and_deleted_again_is_written_again_as_a_superior_of_what_others_put_below_it() {
    let early = |away: &Replica| {
        let classes = ("objectClass", &["person"][..]);
        away.add(8, &format!("cn=Dan,cn=Ann,{SUFFIX}"), &[classes, ("cn", &["Dan"]), ("sn", &["x"])]);
    };
    let below = |two: &Replica| two.change(7, |_| vec![Delta::Parent(EntryUuid([8; 16]))]);
    let name = name_after_old_copy(early, below, |away| away.change(8, |_| vec![Delta::Dead]));
    assert_eq!(name, format!("cn=Cid,cn=Dan,cn=Ann,{SUFFIX}"));
}
