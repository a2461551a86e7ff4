//! A member of which a copy runs beside it, so that two speak as one: each of them may still write against what it does not hold.

use super::*;

/// What the copy of a member began.
const COPYS: OriginId = OriginId(4);
const THIRDS: OriginId = OriginId(3);
const HELD: [(OriginId, u64); 3] = [(OURS, 4), (THEIRS, 5), (THIRDS, 6)];

/// As others tell it.
fn row(number: u8, origin: OriginId, held: &[(OriginId, u64)]) -> Row {
    let held = apart(&held.iter().copied().collect(), &vector(&HELD));
    Row { node: node(number), origin, age_ms: 0, held, digest: None }
}

/// Of three members the second has greeted.
fn fed() -> Fed {
    Fed::greeted(local(&HELD, &[(1, OURS), (2, THEIRS), (3, THIRDS)]), &HELD)
}

#[test]
fn what_the_copy_of_a_member_does_not_hold_is_kept_while_the_copy_is_heard() {
    let behind = [(OURS, 2), (THEIRS, 5), (THIRDS, 5)];
    let mut fed = fed();
    let original = || row(3, THIRDS, &HELD);
    fed.beacon_with(&HELD, vec![original()]);
    assert_eq!(fed.cut(), HELD.into_iter().collect());
    fed.beacon_with(&HELD, vec![row(3, COPYS, &behind)]);
    assert_eq!(fed.cut(), behind.into_iter().collect());
    fed.beacon_with(&HELD, vec![original()]);
    assert_eq!(fed.cut(), behind.into_iter().collect(), "the original holds it, not the copy");
    fed.at_ms += Options::default().silence_ms + 1_000;
    fed.beacon_with(&HELD, vec![original()]);
    assert_eq!(fed.cut(), HELD.into_iter().collect(), "the copy is gone");
}

#[test]
fn what_a_copy_wrote_that_is_not_here_yet_keeps_all_from_being_forgotten() {
    let mut fed = fed();
    let written = [HELD.as_slice(), &[(COPYS, 1)]].concat();
    fed.beacon_with(&HELD, vec![row(3, THIRDS, &HELD), row(3, COPYS, &written)]);
    assert_eq!(fed.cut(), StableCut::new());
    fed.commit(&written);
    assert_eq!(fed.cut(), HELD.into_iter().collect());
}

#[test]
fn what_a_copy_of_this_node_does_not_hold_is_kept_here_too() {
    let behind = [(OURS, 4), (THEIRS, 3), (THIRDS, 6)];
    let mut fed = fed();
    fed.beacon_with(&HELD, vec![row(3, THIRDS, &HELD), row(1, COPYS, &behind)]);
    assert_eq!(fed.cut(), behind.into_iter().collect());
    fed.at_ms += Options::default().silence_ms + 1_000;
    fed.feed(Input::Tick);
    fed.greet(THEIRS, &HELD);
    fed.beacon_with(&HELD, vec![row(1, OURS, &behind)]);
    assert_eq!(fed.cut(), HELD.into_iter().collect(), "what this node itself said is no copy's");
}

#[test]
fn peer_hears_what_its_copy_says_and_not_what_it_said_itself() {
    let mut fed = fed();
    fed.beacon_with(&HELD, vec![row(3, THIRDS, &HELD), row(3, COPYS, &HELD)]);
    fed.out.clear();
    fed.greet_as(SessionId(8), 3, THIRDS, &HELD);
    let told = |output: &Output| match output {
        Output::Send { session: SessionId(8), message: Message::Beacon(beacon) } => {
            Some(beacon.rows.iter().map(|row| (row.node, row.origin)).collect::<Vec<_>>())
        }
        _ => None,
    };
    assert_eq!(fed.out.iter().find_map(told), Some(vec![(node(2), THEIRS), (node(3), COPYS)]));
}
