//! What is lost is told of alike on all members, however it came to them: by records in any order, by whole entries, by a
//! member that was away; and it leaves the log again.

use super::conflicts::{conflicts, meet, pair, set_title, texts};
use super::returning::{assert_all_equal, settle, three_nodes};
use super::*;
use crate::state::StableCut;
use crate::state::conflict::Rule;
use std::time::Duration;

/// Name, rule, and what is lost.
fn told(replica: &Replica) -> Vec<(String, Rule, Vec<String>)> {
    let found = conflicts(replica).into_iter();
    found.map(|conflict| (conflict.id.clone(), conflict.rule, texts(&conflict.loser))).collect()
}

fn member(number: u64) -> String {
    format!("cn=m{number:02},o=elsewhere")
}

fn open(replica: &Replica) -> Vec<(ConflictKind, u64)> {
    replica.dit.read().unwrap().view().open_conflicts().unwrap().into_iter().collect()
}

#[test]
fn what_could_not_be_told_without_a_record_is_told_when_it_comes() {
    let schema = Arc::new(Schema::builtin());
    let [a, b, c, late] = [1, 2, 3, 4].map(|origin| Replica::new(origin, &schema));
    a.suffix();
    a.person(3, "Ann");
    [&b, &c, &late].into_iter().for_each(|other| other.follow(&a));
    set_title(&b, "lost");
    a.clock.advance(Duration::from_secs(1));
    set_title(&a, "overrode it");
    c.follow(&b);
    c.follow(&a);
    c.clock.advance(Duration::from_secs(2));
    set_title(&c, "replaced that, knowing both");
    late.follow(&c);
    late.follow(&b);
    assert_eq!(told(&late), [], "the record between is not here");
    late.follow(&a);
    assert_eq!(told(&late), told(&c));
    assert_eq!(told(&late)[0].2, ["lost"]);
    assert_eq!(open(&late), [(ConflictKind::LostUpdate, 1)]);
}

#[test]
fn of_three_titles_the_two_older_ones_are_lost_under_the_same_names_in_any_order() {
    let schema = Arc::new(Schema::builtin());
    let writers = [1, 2, 3].map(|origin| Replica::new(origin, &schema));
    writers[0].suffix();
    writers[0].person(3, "Ann");
    let readers = [4, 5, 6, 7].map(|origin| Replica::new(origin, &schema));
    writers[1..].iter().chain(&readers).for_each(|other| other.follow(&writers[0]));
    for (at, writer) in writers.iter().enumerate() {
        writer.clock.advance(Duration::from_secs(at as u64));
        set_title(writer, &format!("title {at}"));
    }
    for (reader, order) in readers.iter().zip([[0, 1, 2], [0, 2, 1], [2, 0, 1], [2, 1, 0]]) {
        order.iter().for_each(|at: &usize| reader.follow(&writers[*at]));
        assert_eq!(told(reader), told(&readers[0]), "{order:?}");
        let lost: Vec<_> = told(reader).into_iter().map(|(.., values)| values).collect();
        assert_eq!(lost, [["title 0"], ["title 1"]]);
    }
}

#[test]
fn members_added_to_a_large_group_while_it_is_deleted_are_told_of() {
    for deleter in [0, 1] {
        let nodes = three_nodes();
        let (one, other) = (&nodes[deleter], &nodes[1 - deleter]);
        one.change(5, |_| vec![Delta::Dead]);
        other.set(5, "member", &member(90), true);
        other.set(5, "member", &member(91), true);
        nodes[0].catch_up(&nodes[1]);
        nodes[1].catch_up(&nodes[0]);
        assert_eq!(told(&nodes[0]), told(&nodes[1]));
        let lost: Vec<_> = told(&nodes[0]).into_iter().map(|(_, rule, values)| (rule, values)).collect();
        assert_eq!(lost, [90, 91].map(|number| (Rule::DeleteOverChange, vec![member(number)])));
    }
}

#[test]
fn a_new_member_takes_along_what_was_written_down() {
    let pair = pair();
    set_title(&pair[0], "CEO");
    set_title(&pair[1], "CTO");
    meet(&pair);
    let new = Replica::new(3, &pair[0].schema);
    new.initialise(&pair[0], 100);
    assert_eq!(conflicts(&new), conflicts(&pair[0]));
    assert_eq!(told(&new).len(), 1);
}

#[test]
fn what_an_older_title_of_another_loses_by_a_state_is_told_of() {
    let pair = pair();
    set_title(&pair[0], "older");
    pair[1].clock.advance(Duration::from_secs(1));
    set_title(&pair[1], "newer");
    for part in pair[0].pieces(1 << 20).into_iter().flatten() {
        pair[1].merge(&part);
    }
    assert_eq!(pair[1].values(3, "title"), ["newer"]);
    pair[0].follow(&pair[1]);
    assert_eq!(told(&pair[0]), told(&pair[1]));
    assert_eq!(told(&pair[1])[0].2, ["older"]);
    // The same by a record, later, is the same conflict.
    pair[1].follow(&pair[0]);
    assert_eq!(told(&pair[0]), told(&pair[1]));
}

#[test]
fn the_newer_of_what_was_written_apart_stands_when_who_was_away_returns_and_the_loser_is_told() {
    for theirs_is_newer in [true, false] {
        let [one, two, away] = three_nodes();
        let end = away.sequence(OriginId(3));
        if !theirs_is_newer {
            away.clock.advance(Duration::from_secs(1));
        }
        set_title(&away, "of who was away");
        if theirs_is_newer {
            one.clock.advance(Duration::from_secs(1));
        }
        set_title(&one, "of the others");
        settle([&one, &two]);
        away.return_to(&one, end, 1 << 20);
        assert_all_equal([&one, &two, &away]);
        let (stands, lost) = match theirs_is_newer {
            true => ("of the others", "of who was away"),
            false => ("of who was away", "of the others"),
        };
        assert_eq!(away.values(3, "title"), [stands]);
        // The others never hear what was lost before it came to them.
        let told_by = if theirs_is_newer { vec![&away] } else { vec![&one, &two, &away] };
        for node in told_by {
            let lost_here: Vec<_> = told(node).into_iter().map(|(.., values)| values).collect();
            assert_eq!(lost_here, [[lost]], "theirs is newer: {theirs_is_newer}");
        }
    }
}

#[test]
fn a_decided_conflict_leaves_the_log_and_its_mark_leaves_the_entry() {
    let day = Duration::from_secs(24 * 3600);
    let pair = pair();
    let decide = |at: usize, id: &str| {
        let entry = pair[at].id(3);
        pair[at].write(|writing| {
            writing.decide_conflict(entry, id, ConflictState::Dismissed, "cn=test").unwrap();
        });
    };
    let conflict = |text: &str| {
        set_title(&pair[0], text);
        set_title(&pair[1], &format!("{text} too"));
        meet(&pair);
        conflicts(&pair[0]).pop().unwrap().id
    };
    let wait = |days: u32| {
        pair.iter().for_each(|member| member.clock.advance(day * days));
        pair.iter().for_each(|member| {
            _ = member.write(|writing| writing.settle(&StableCut::new(), &StableCut::new(), 100).unwrap())
        });
    };
    let first = conflict("one");
    decide(1, &first);
    meet(&pair);
    wait(6);
    assert_eq!(pair.each_ref().map(|member| told(member).len()), [1, 1]);
    wait(2);
    assert_eq!(pair.each_ref().map(|member| told(member).len()), [0, 0]);
    assert_eq!(pair[0].values(3, "conflictResolved"), [format!("{first} dismissed")]);
    wait(30);
    let second = conflict("two");
    decide(0, &second);
    meet(&pair);
    assert_eq!(pair[1].values(3, "conflictResolved"), [format!("{second} dismissed")]);
    // One that nobody decides leaves with its time.
    conflict("three");
    wait(8);
    assert_eq!(pair.each_ref().map(|member| told(member).len()), [1, 1]);
    wait(90);
    assert_eq!(pair.each_ref().map(|member| told(member).len()), [0, 0]);
}

#[test]
fn a_fault_that_another_members_state_mends_is_told_of_once() {
    let pair = pair();
    set_title(&pair[0], "CEO");
    pair[1].follow(&pair[0]);
    let id = pair[1].id(3);
    pair[1].write(|writing| {
        let title = attribute(writing, "title");
        let mut state = writing.state(id).unwrap().unwrap();
        state.attributes.remove(&title);
        writing.put_state(id, &state).unwrap();
        writing.rewrite_view(id).unwrap();
    });
    assert!(pair[1].values(3, "title").is_empty());
    for _ in 0..2 {
        pair[0].pieces(1 << 20).into_iter().flatten().for_each(|part| _ = pair[1].merge(&part));
        assert_eq!(pair[1].values(3, "title"), ["CEO"]);
        assert_eq!(open(&pair[1]), [(ConflictKind::Repair, 1)]);
    }
    pair[1].assert_sound();
    assert_eq!(open(&pair[0]), []);
}

#[test]
fn an_entry_whose_superior_is_not_here_is_listed_until_it_comes() {
    let schema = Arc::new(Schema::builtin());
    let [a, b, late] = [1, 2, 3].map(|origin| Replica::new(origin, &schema));
    a.suffix();
    late.follow(&a);
    let unit: [(&str, &[&str]); 2] = [("objectClass", &["organizationalUnit"]), ("ou", &["unit"])];
    a.add(4, &format!("ou=unit,{SUFFIX}"), &unit);
    b.follow(&a);
    b.add(5, &format!("cn=Ann,ou=unit,{SUFFIX}"), &[("objectClass", &["person"]), ("cn", &["Ann"]), ("sn", &["Ann"])]);
    late.follow(&b);
    assert_eq!(open(&late), [(ConflictKind::LostSuperior, 1)]);
    late.follow(&a);
    assert_eq!(open(&late), []);
    late.assert_sound();
}
