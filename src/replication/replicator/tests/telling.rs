//! What is told of vectors: once, and again to whoever asks.

use super::*;
use crate::replication::replicator::telling::together;

/// The last beacon that was sent, with its bytes.
fn last_beacon(fed: &Fed) -> (Beacon, usize) {
    let sent = fed.out.iter().rev().find_map(|output| match output {
        Output::Send { message: Message::Beacon(beacon), .. } => Some(beacon.as_ref().clone()),
        _ => None,
    });
    let beacon = sent.expect("a beacon");
    let mut bytes = Vec::new();
    Message::Beacon(Box::new(beacon.clone())).encode(&mut bytes);
    (beacon, bytes.len())
}

fn next_beacon(fed: &mut Fed) -> (Beacon, usize) {
    fed.at_ms += 20_000;
    fed.hear(Message::Interest(Default::default()));
    fed.feed(Input::Tick);
    last_beacon(fed)
}

/// As many runs that did not end in order as a node has in years, and two members that hold them all.
#[test]
fn origins_that_write_no_more_are_told_once_a_session() {
    let ended: Vec<(OriginId, u64)> = (100..1_100).map(|origin| (OriginId(origin), 9)).collect();
    let with = |ours: u64, theirs: u64| [&[(OURS, ours), (THEIRS, theirs)][..], &ended].concat();
    let mut fed = Fed::new(&with(4, 5), &with(4, 5));
    let (first, bytes) = last_beacon(&fed);
    assert!(first.is_whole && bytes > 20_000, "{bytes}");
    let third = Member { node: node(3), origins: vec![OriginId(3)], ..Member::default() };
    let member = |number, origin| Member { node: node(number), origins: vec![origin], ..Member::default() };
    fed.feed(Input::Members(vec![member(1, OURS), member(2, THEIRS), third]));
    let row = Row { node: node(3), origin: OriginId(3), age_ms: 5, held: vec![(OURS, 3)], digest: None };
    fed.beacon_with(&with(4, 5), vec![row]);
    fed.commit(&with(6, 5));
    fed.beacon_of_changes(&[(THEIRS, 6)], &with(4, 6));
    let (next, bytes) = next_beacon(&mut fed);
    assert!(!next.is_whole && !next.wants_whole && bytes < 300, "{bytes}");
    assert_eq!(next.vector, vector(&[(OURS, 6)]));
    assert_eq!(next.check, vector_check(&vector(&with(6, 5))));
    // The third holds our 3 and nothing else that it did not tell us by the peer.
    assert_eq!(next.rows.iter().find(|row| row.node == node(3)).map(|row| &row.held), Some(&vec![(OURS, 3)]));
    let status = fed.replicator.status(Now { wall_ms: fed.at_ms, stamp_ms: fed.at_ms, monotonic_ms: fed.at_ms });
    let verdict = status.members.iter().find(|status| status.member.node == node(2)).map(|status| status.verdict);
    assert_eq!(verdict, Some(MemberVerdict::CatchingUp { they_lack: 2, we_lack: 1 }));
}

#[test]
fn beacon_whose_forerunner_was_lost_is_answered_by_asking_for_the_whole() {
    let held = [(OURS, 4), (THEIRS, 5)];
    let mut fed = Fed::new(&held, &held);
    assert!(last_beacon(&fed).0.is_whole, "with the greeting");
    // That its 6 came and went is lost on the way, and with it that ours stood at 3 there.
    fed.beacon_of_changes(&[(OriginId(3), 1)], &[(OURS, 4), (THEIRS, 6), (OriginId(3), 1)]);
    fed.commit(&[(OURS, 4), (THEIRS, 5), (OriginId(3), 1)]);
    assert_eq!(fed.cut(), BTreeMap::from([(OURS, 4), (THEIRS, 5)]), "no row that mixes two moments");
    fed.feed(Input::Tick);
    let (asking, _) = last_beacon(&fed);
    assert!(asking.wants_whole && !asking.is_whole);
    fed.beacon(&[(OURS, 4), (THEIRS, 5), (OriginId(3), 1)]);
    assert!(!next_beacon(&mut fed).0.wants_whole);
    assert_eq!(fed.cut(), BTreeMap::from([(OURS, 4), (THEIRS, 5), (OriginId(3), 1)]));
}

#[test]
fn peer_that_asks_is_told_the_whole() {
    let held = [(OURS, 4), (THEIRS, 5)];
    let mut fed = Fed::new(&held, &held);
    assert!(last_beacon(&fed).0.is_whole, "with the greeting");
    assert!(!next_beacon(&mut fed).0.is_whole);
    let (same, _) = next_beacon(&mut fed);
    fed.beacon_as(Beacon { wants_whole: true, ..same });
    fed.feed(Input::Tick);
    assert!(last_beacon(&fed).0.is_whole);
}

#[test]
fn row_beside_a_vector_comes_back_as_it_was() {
    let beside = vector(&[(OURS, 4), (THEIRS, 5), (OriginId(3), 0)]);
    for held in [&[(OURS, 4), (THEIRS, 5)][..], &[(OURS, 9)], &[(OriginId(3), 2), (OriginId(7), 1)], &[]] {
        let held: BTreeMap<OriginId, u64> = held.iter().copied().collect();
        assert_eq!(together(&apart(&held, &beside), &beside), held);
    }
    assert_eq!(apart(&BTreeMap::from([(OURS, 4), (THEIRS, 5)]), &beside), []);
}

#[test]
fn a_clock_that_jumps_is_told_at_once_and_seen_at_once() {
    let held = [(OURS, 4), (THEIRS, 5)];
    let mut fed = Fed::new(&held, &held);
    let answered = |fed: &mut Fed, ahead_ms: u64| {
        let (sent_ms, wall_ms) = (fed.at_ms, fed.at_ms + ahead_ms);
        let echo = Some(crate::replication::message::Echo { sent_ms, held_ms: 1 });
        let beacon = Beacon { echo, wall_ms, ..last_beacon(fed).0 };
        fed.beacon_as(Beacon { is_whole: true, vector: vector(&held), reply: false, wants_whole: false, ..beacon });
        fed.replicator.clock_offsets().first().map_or(0, |(_, offset_ms)| *offset_ms)
    };
    for _ in 0..8 {
        assert!(answered(&mut fed, 0).abs() < 10);
    }
    assert!((3_599_000..3_601_000).contains(&answered(&mut fed, 3_600_000)));
    // Ours now: it is in a beacon before one is due.
    fed.out.clear();
    fed.at_ms += 100;
    let now = Now { wall_ms: fed.at_ms + 3_600_000, stamp_ms: fed.at_ms, monotonic_ms: fed.at_ms };
    fed.replicator.handle(now, Input::Tick, &mut fed.out);
    assert_eq!(last_beacon(&fed).0.wall_ms, now.wall_ms);
    assert_eq!(fed.replicator.clock_offsets().len(), 1, "and stamps went on, so what is known stays");
}
