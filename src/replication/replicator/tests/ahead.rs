//! A member that only reads and is ahead of what the others agree on, and what others make of its coming back with less.

use super::*;
use crate::model::EntryUuid;
use crate::replication::message::Echo;

const HUB: OriginId = OriginId(4);

/// Node 1 reads, in that role; node 2 is a supplier whose origin has this end, node 3 a hub, of which node 2 tells.
fn reader(role: Role, held: u64, end: Option<u64>, filled_ms: Option<u64>) -> Fed {
    let mut local = local(&[(THEIRS, held)], &[(1, OURS), (2, THEIRS), (3, HUB)]);
    local.filled_ms = filled_ms;
    local.members[0].role = role;
    local.members[1].finals = end.map(|end| (THEIRS, end)).into_iter().collect();
    local.members[2].role = Role::Hub;
    Fed::greeted(local, &[(THEIRS, 5)])
}

impl Fed {
    /// Time passes, and node 2 says what it and the hub hold.
    fn hears_both(&mut self, theirs: u64, hub: u64) {
        self.at_ms += 6_000;
        let held = BTreeMap::from([(THEIRS, hub)]);
        let row = Row {
            node: node(3),
            origin: HUB,
            age_ms: 0,
            held: apart(&held, &vector(&[(THEIRS, theirs)])),
            digest: None,
        };
        self.beacon_with(&[(THEIRS, theirs)], vec![row]);
        self.feed(Input::Tick);
    }

    fn is_to_be_filled(&self) -> bool {
        self.out.contains(&Output::FillAnew)
    }
}

#[test]
fn consumer_that_alone_holds_changes_is_filled_anew_once_all_who_send_changes_on_have_said_that_they_lack_them() {
    let mut fed = reader(Role::Consumer, 6, None, None);
    fed.feed(Input::Tick);
    for _ in 0..3 {
        fed.at_ms += 6_000;
        fed.beacon(&[(THEIRS, 5)]);
        fed.feed(Input::Tick);
    }
    assert!(!fed.is_to_be_filled(), "the hub may have them");
    fed.hears_both(5, 6);
    assert!(!fed.is_to_be_filled(), "the hub has them");
    fed.hears_both(5, 5);
    assert!(!fed.is_to_be_filled(), "that may have been said before");
    fed.hears_both(5, 5);
    assert_eq!(fed.alarms(), [&Alarm::Ahead { origin: THEIRS, first: 6, last: 6 }]);
    assert!(fed.is_to_be_filled());
    let asked = fed.out.len();
    fed.hears_both(5, 5);
    assert!(!fed.out[asked..].contains(&Output::FillAnew), "asked once");
}

/// Clients read the old content until a run begins with the new one.
#[test]
fn content_that_is_not_in_place_yet_proves_nothing_equal() {
    let digest = |joined: bool, filled_ms: Option<u64>| {
        let local = Local { joined, filled_ms, ..local(&[(THEIRS, 5)], &[(1, OURS), (2, THEIRS)]) };
        Fed::greeted(local, &[(THEIRS, 5)]).replicator.told_digest()
    };
    assert_eq!(digest(false, Some(500)), None);
    assert!(digest(true, Some(500)).is_some() && digest(false, None).is_some());
}

/// Suppliers take from a hub what they lack.
#[test]
fn hub_that_alone_holds_changes_hands_them_on_and_is_filled_anew_only_for_those_beyond_an_agreed_end() {
    let filled = |role, end| {
        let mut fed = reader(role, 6, end, None);
        (0..4).for_each(|_| fed.hears_both(5, 5));
        fed.is_to_be_filled()
    };
    assert!(!filled(Role::Hub, None));
    assert!(filled(Role::Hub, Some(5)));
    assert!(filled(Role::Consumer, Some(5)));
    assert!(!filled(Role::Hub, Some(6)));
    assert!(!filled(Role::Supplier, Some(5)), "it writes them again");
}

#[test]
fn reader_that_was_filled_anew_a_moment_ago_waits_before_it_is_again() {
    let mut fed = reader(Role::Consumer, 6, Some(5), Some(500));
    (0..4).for_each(|_| fed.hears_both(5, 5));
    assert_eq!(fed.alarms(), [&Alarm::AheadAgain { origin: THEIRS, first: 6, last: 6 }]);
    assert!(!fed.is_to_be_filled());
    fed.at_ms += Options::default().fill_pause_ms;
    fed.greet(THEIRS, &[(THEIRS, 5)]);
    (0..2).for_each(|_| fed.hears_both(5, 5));
    assert!(fed.is_to_be_filled());
}

/// What is beyond the end there is about to be written again; a reader filled from there would be ahead again.
#[test]
fn content_is_not_taken_from_a_member_that_is_beyond_an_agreed_end_or_has_no_content_itself() {
    let joins = |theirs: u64| {
        let mut local = local(&[], &[(1, OURS), (2, THEIRS)]);
        (local.joined, local.members[0].role) = (false, Role::Consumer);
        local.members[1].finals = BTreeMap::from([(THEIRS, 5)]);
        let mut fed = Fed::greeted(local, &[(THEIRS, theirs)]);
        fed.at_ms += 1_000;
        fed.feed(Input::Tick);
        fed.replicator.exchange.is_some()
    };
    assert_eq!((joins(5), joins(6)), (true, false));
    let mut joining = local(&[], &[(1, OURS), (2, THEIRS)]);
    joining.joined = false;
    let mut fed = Fed::greeted(joining, &[]);
    fed.hear(Message::SnapshotRequest { exchange: 1, after: Vec::new() });
    let request = fed.out.iter().rev().find_map(|output| match output {
        Output::Read { request, read: ReadRequest::Snapshot { .. } } => Some(*request),
        _ => None,
    });
    let answer = Answer::Snapshot { holding: Box::default(), entries: Vec::new(), next: None, entries_total: 0 };
    fed.feed(Input::Answered { request: request.expect("it looks"), answer });
    let standing = fed.out.iter().rev().find_map(|output| match output {
        Output::Send { message: Message::Snapshot(snapshot), .. } => Some(snapshot.held.standing),
        _ => None,
    });
    assert_eq!(standing, Some(MemberState::Suspended), "what it has is no directory");
}

#[test]
fn reader_that_comes_back_with_less_is_no_old_copy() {
    let held_before = |role: Role| {
        let mut local = local(&[(OURS, 9)], &[(1, OURS), (2, THEIRS)]);
        local.members[1].role = role;
        let mut fed = Fed::greeted(local, &[(OURS, 9)]);
        fed.beacon(&[(OURS, 9)]);
        fed.feed(Input::Disconnected { session: SESSION });
        fed.greet(OriginId(8), &[(OURS, 2)]);
        let peer = fed.replicator.peers.get(&SESSION).expect("a session");
        (
            peer.held_before.is_some(),
            fed.replicator.stability.rows.latest(node(2)).and_then(|row| row.get(&OURS)).copied(),
        )
    };
    assert_eq!(held_before(Role::Supplier), (true, Some(9)));
    assert_eq!(held_before(Role::Consumer), (false, Some(2)));
}

/// A consumer may be filled anew, and nobody takes a change back from it.
#[test]
fn consumer_does_not_count_among_those_that_hold_a_change() {
    let acknowledged = |role: Role| {
        let mut local = local(&[(OURS, 9)], &[(1, OURS), (2, THEIRS)]);
        local.members[1].role = role;
        let mut fed = Fed::greeted(local, &[(OURS, 9)]);
        fed.beacon(&[(OURS, 9)]);
        fed.replicator.acknowledged_by(crate::state::Dot { origin: OURS, sequence: 9 })
    };
    assert_eq!(acknowledged(Role::Hub), [node(2)]);
    assert_eq!(acknowledged(Role::Consumer), []);
}

/// The hello of a run that is over arrives after that of the next one.
#[test]
fn hello_that_was_on_its_way_when_its_sender_ended_makes_no_twins() {
    let late = SessionId(8);
    let hears_twin = |late_one_answers: bool| {
        let held = [(OURS, 4), (THEIRS, 5)];
        let mut fed = Fed::new(&held, &held);
        fed.at_ms += 100;
        fed.feed(Input::Connected { session: late, peer: node(2), dialled: false });
        let hello = Hello { boot: 1, node: node(2), origin: THEIRS, vector: vector(&held), ..fed.replicator.hello() };
        fed.feed(Input::Received { session: late, message: Message::Hello(Box::new(hello)) });
        let sent_ms = fed.at_ms;
        let sessions = if late_one_answers { vec![SESSION, late] } else { vec![SESSION] };
        for session in sessions {
            let whole = vector(&held);
            let beacon = Beacon {
                check: vector_check(&whole),
                vector: whole,
                echo: Some(Echo { sent_ms, held_ms: 0 }),
                ..fed.plain_beacon()
            };
            fed.feed(Input::Received { session, message: Message::Beacon(Box::new(beacon)) });
        }
        fed.out.iter().any(
            |output| matches!(output, Output::Send { message: Message::Standing(standing), .. } if standing.twin.is_some()),
        )
    };
    assert!(!hears_twin(false));
    assert!(hears_twin(true));
}

/// It came to this node with content that nobody else has, and its disk is gone.
#[test]
fn consumer_waits_an_hour_at_most_for_a_supplier_of_which_nobody_else_has_heard() {
    let mut fed = reader(Role::Consumer, 6, None, None);
    for _ in 0..3 {
        fed.at_ms += 6_000;
        fed.beacon(&[(THEIRS, 5)]);
        fed.feed(Input::Tick);
    }
    fed.at_ms += Options::default().fill_pause_ms;
    fed.feed(Input::Tick);
    assert!(!fed.is_to_be_filled(), "nobody is here");
    fed.greet(THEIRS, &[(THEIRS, 5)]);
    fed.at_ms += 6_000;
    fed.beacon(&[(THEIRS, 5)]);
    fed.feed(Input::Tick);
    assert!(fed.is_to_be_filled());
}

#[test]
fn consumer_waits_longer_for_a_supplier_of_which_others_tell() {
    let mut fed = reader(Role::Consumer, 6, None, None);
    fed.hears_both(5, 5);
    fed.at_ms += Options::default().fill_pause_ms;
    fed.greet(THEIRS, &[(THEIRS, 5)]);
    for _ in 0..3 {
        fed.at_ms += 6_000;
        fed.beacon(&[(THEIRS, 5)]);
        fed.feed(Input::Tick);
    }
    assert!(!fed.is_to_be_filled(), "the hub has said nothing since");
}

/// The reader in this role, whose content is not that of node 2 at the same vector, after a repair that found nothing.
fn apart_for_good(role: Role, filled_ms: Option<u64>) -> Fed {
    let mut fed = reader(role, 5, None, filled_ms);
    let differs = |fed: &mut Fed| {
        fed.beacon_of(&[(THEIRS, 5)], Some(BucketSum { count: 1, ..BucketSum::default() }), Vec::new());
        fed.feed(Input::Tick);
    };
    differs(&mut fed);
    assert_eq!(fed.alarms(), [&Alarm::Different { peer: node(2) }]);
    fed.replicator.exchange = None;
    fed.replicator.repair_done(node(2), [EntryUuid([5; 16])].into());
    differs(&mut fed);
    fed
}

/// The words on it are those that tell a developer of a fault, too.
#[test]
fn reader_that_stays_different_from_a_supplier_after_a_repair_is_filled_anew() {
    let peer = node(2);
    let quarantine = Alarm::Quarantine { peer, entries: vec![EntryUuid([5; 16])] };
    let different = Alarm::Different { peer };
    for role in [Role::Consumer, Role::Hub] {
        let fed = apart_for_good(role, None);
        let alone = Alarm::DiffersAlone { peer, is_again: false };
        assert_eq!(fed.alarms(), [&different, &quarantine, &alone]);
        assert!(fed.is_to_be_filled());
    }
    let fed = apart_for_good(Role::Consumer, Some(500));
    assert_eq!(fed.alarms()[2..], [&Alarm::DiffersAlone { peer, is_again: true }]);
    assert!(!fed.is_to_be_filled());
    assert!(!apart_for_good(Role::Supplier, None).is_to_be_filled(), "it may be the one that is right");
}
