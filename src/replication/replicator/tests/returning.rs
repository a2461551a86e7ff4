//! A node that was away: what it waits for, and what it writes again.

use super::*;
use crate::replication::member::UNHEARD;

/// The hub lags behind a supplier, who may have forgotten what it deleted: what is written again must know of that.
#[test]
fn who_was_away_writes_again_when_it_holds_what_the_suppliers_hold_whoever_gave_it_its_content() {
    let new = OriginId(10);
    let held = [(OURS, 6), (THEIRS, 5)];
    let members = [(1, OURS), (2, THEIRS), (3, OriginId(3))];
    let mut local = Local { origins_before: vec![OURS], ..local(&held, &members) };
    local.holding.origin = new;
    local.members[0].finals = BTreeMap::from([(OURS, 4)]);
    local.members[2].role = Role::Hub;
    let mut fed = Fed::alone(local);
    let hub = [(OURS, 4), (THEIRS, 5)];
    fed.greet_as(SESSION, 3, OriginId(3), &hub);
    let supplier = Row { node: node(2), origin: THEIRS, age_ms: 0, held: vec![(THEIRS, 7)], digest: None };
    fed.beacon_with(&hub, vec![supplier]);
    fed.at_ms += 1_000;
    fed.feed(Input::Tick);
    fed.take_all(Holding { origin: new, vector: vector(&held), ..Holding::default() }, &hub);
    assert_eq!(fed.replicator.local_writes(), LocalWrites::CatchingUp);
    assert!(fed.reissues().is_empty());
    let holding = Holding { origin: new, vector: vector(&[(OURS, 6), (THEIRS, 7)]), ..Holding::default() };
    fed.feed(Input::Committed(Box::new(holding)));
    assert_eq!(fed.reissues(), [(OURS, 4)]);
}

/// It was forgotten when all suppliers held it. For a hub nobody waits, which may show it still; what only this node has, no hub will
/// hold before it is back.
#[test]
fn who_was_away_takes_content_of_a_hub_that_holds_what_was_forgotten_here() {
    let (third, alone) = (OriginId(3), OriginId(10));
    let held = [(OURS, 4), (THEIRS, 5), (alone, 1)];
    let mut local = local(&held[..2], &[(1, OURS), (2, THEIRS), (3, third)]);
    local.members[2].role = Role::Hub;
    let mut members = local.members.clone();
    let mut fed = Fed::greeted(local, &held[..2]);
    for _ in 0..20 {
        fed.at_ms += 1_000;
        fed.beacon(&held[..2]);
        fed.feed(Input::Tick);
    }
    fed.write_done(Holding { origin: OURS, vector: vector(&held[..2]), ..Holding::default() });
    assert_eq!(fed.replicator.stability.settled(THEIRS), 5);
    fed.commit(&held);
    fed.feed(Input::Disconnected { session: SESSION });
    fed.greet_as(SESSION, 3, third, &[(OURS, 4), (THEIRS, 4)]);
    members[0].finals = BTreeMap::from([(OURS, 4)]);
    fed.feed(Input::Members(members));
    let mut is_asked_at = |held: &[(OriginId, u64)]| {
        fed.at_ms += 1_000;
        fed.beacon(held);
        fed.feed(Input::Tick);
        fed.replicator.exchange.is_some()
    };
    assert!(!is_asked_at(&[(OURS, 4), (THEIRS, 4)]));
    assert!(is_asked_at(&[(OURS, 4), (THEIRS, 5)]));
}

/// The third told of a change of an origin that it then took back and wrote again under another. The fourth is never heard: nobody
/// runs under its identity any more.
#[test]
fn who_was_away_does_not_wait_for_what_the_supplier_who_told_of_it_holds_no_more() {
    let (new, third, left) = (OriginId(10), OriginId(3), OriginId(5));
    let held = [(OURS, 6), (THEIRS, 5)];
    let members = [(1, OURS), (2, THEIRS), (3, third), (4, OriginId(4))];
    let mut local = Local { origins_before: vec![OURS], ..local(&held, &members) };
    local.holding.origin = new;
    local.members[0].finals = BTreeMap::from([(OURS, 4)]);
    let mut fed = Fed::alone(local);
    let theirs = [(OURS, 4), (THEIRS, 5)];
    fed.greet(THEIRS, &theirs);
    let row = |held| Row { node: node(3), origin: third, age_ms: 0, held, digest: None };
    fed.beacon_with(&theirs, vec![row(vec![(left, 1)])]);
    fed.at_ms += 1_000;
    fed.feed(Input::Tick);
    fed.take_all(Holding { origin: new, vector: vector(&held), ..Holding::default() }, &theirs);
    fed.beacon(&theirs);
    assert!(fed.reissues().is_empty(), "the third says that it holds it");
    fed.beacon_with(&theirs, vec![row(vec![(left, 0)])]);
    assert_eq!(fed.reissues(), [(OURS, 4)]);
}

/// Neither its entry nor anybody's word named an origin.
#[test]
fn withdrawing_a_member_of_which_nothing_was_heard_says_so() {
    let held = [(OURS, 4), (THEIRS, 5)];
    let ends = |origins: Vec<OriginId>, state| {
        let mut local = local(&held, &[(1, OURS), (2, THEIRS), (3, OriginId(3))]);
        local.members[2].origins = origins;
        let mut fed = Fed::greeted(local, &held);
        fed.feed(Input::Withdraw { node: node(3), state });
        fed.out.into_iter().find_map(|output| match output {
            Output::SetMember { finals, .. } => Some(finals),
            _ => None,
        })
    };
    let unheard = Some(BTreeMap::from([(UNHEARD, 1)]));
    assert_eq!(ends(Vec::new(), MemberState::Suspended), unheard);
    assert_eq!(ends(vec![OriginId(3)], MemberState::Suspended), Some(BTreeMap::from([(OriginId(3), 0)])));
    assert_eq!(ends(Vec::new(), MemberState::Active), Some(BTreeMap::new()));
}

/// It was suspended before anybody had heard of its origin, so that no end of it was agreed. Others take its changes as they are,
/// and have forgotten meanwhile what these stand on.
#[test]
fn who_was_suspended_unheard_writes_again_all_that_it_wrote() {
    let new = OriginId(10);
    let held = [(OURS, 6), (THEIRS, 5)];
    let members = [(1, OURS), (2, THEIRS)];
    let away = |note: BTreeMap<OriginId, u64>, finals: BTreeMap<OriginId, u64>| {
        let mut local = Local { origins_before: vec![OURS], catch_up: note, ..local(&held, &members) };
        local.holding.origin = new;
        local.members[0].finals = finals;
        Fed::alone(local)
    };
    let comes_back = |mut fed: Fed| {
        fed.at_ms += 1_000;
        fed.feed(Input::Tick);
        assert_eq!(fed.replicator.local_writes(), LocalWrites::CatchingUp);
        let theirs = [(OURS, 2), (THEIRS, 5)];
        fed.take_all(Holding { origin: new, vector: vector(&held), ..Holding::default() }, &theirs);
        let repeats = fed.out.iter().filter_map(|output| match output {
            Output::Write { write: WriteRequest::RepeatTail { origin, after, .. }, .. } => Some((*origin, *after)),
            _ => None,
        });
        assert_eq!(repeats.collect::<Vec<_>>(), [(OURS, 0)]);
        assert!(fed.reissues().is_empty());
    };
    let unheard = BTreeMap::from([(UNHEARD, 1)]);
    // A member tells it.
    let mut fed = away(BTreeMap::new(), BTreeMap::new());
    fed.greet(THEIRS, &[(THEIRS, 5)]);
    let (finals, held_before) = (vec![(UNHEARD, 1)], Vec::new());
    fed.hear(Message::Standing(Standing { state: MemberState::Active, finals, held_before, twin: None }));
    comes_back(fed);
    // Its entry comes to say it.
    let mut fed = away(BTreeMap::new(), BTreeMap::new());
    fed.greet(THEIRS, &[(THEIRS, 5)]);
    let own = Member { node: node(1), origins: vec![OURS], finals: unheard.clone(), ..Member::default() };
    fed.feed(Input::Members(vec![own, Member { node: node(2), origins: vec![THEIRS], ..Member::default() }]));
    comes_back(fed);
    // A run before found it, and ended before it was through.
    let mut fed = away(BTreeMap::from([(OriginId(EARLY), 0)]), unheard.clone());
    fed.greet(THEIRS, &[(THEIRS, 5)]);
    comes_back(fed);
    // That is long over.
    let mut fed = away(BTreeMap::new(), unheard);
    fed.greet(THEIRS, &[(OURS, 6), (THEIRS, 5)]);
    fed.beacon(&[(OURS, 6), (THEIRS, 5)]);
    assert_eq!(fed.replicator.local_writes(), LocalWrites::Open);
    // That is long over, and now it was suspended so again.
    let finals = vec![(UNHEARD, 2)];
    fed.hear(Message::Standing(Standing { state: MemberState::Active, finals, held_before: Vec::new(), twin: None }));
    comes_back(fed);
}

/// The entries that it takes on its return are of before the end was agreed. What it wrote before that end everybody has, and it is
/// not to be written again.
#[test]
fn end_that_a_peer_told_stands_while_the_entry_does_not_say_it() {
    let held = [(OURS, 6), (THEIRS, 5)];
    let mut fed = Fed::greeted(local(&held, &[(1, OURS), (2, THEIRS)]), &[(OURS, 4), (THEIRS, 5)]);
    let (finals, held_before) = (vec![(OURS, 4)], Vec::new());
    fed.hear(Message::Standing(Standing { state: MemberState::Active, finals, held_before, twin: None }));
    let entry = |number, origin| Member { node: node(number), origins: vec![origin], ..Member::default() };
    fed.feed(Input::Members(vec![entry(1, OURS), entry(2, THEIRS)]));
    assert_eq!(fed.replicator.finals, BTreeMap::from([(OURS, 4)]));
}

/// Suspended again, with no word of it in between.
#[test]
fn each_withdrawal_of_a_member_of_which_nothing_was_heard_counts() {
    let held = [(OURS, 4), (THEIRS, 5)];
    let mut local = local(&held, &[(1, OURS), (2, THEIRS), (3, OriginId(3))]);
    (local.members[2].origins, local.members[2].finals) = (Vec::new(), BTreeMap::from([(UNHEARD, 1)]));
    let mut fed = Fed::greeted(local, &held);
    fed.feed(Input::Withdraw { node: node(3), state: MemberState::Suspended });
    let ends = fed.out.into_iter().find_map(|output| match output {
        Output::SetMember { finals, .. } => Some(finals),
        _ => None,
    });
    assert_eq!(ends, Some(BTreeMap::from([(UNHEARD, 2)])));
}

/// Each withdrew the other while they could not hear each other: neither has heard that itself was.
#[test]
fn two_that_suspended_each_other_take_each_other_back_and_each_comes_back() {
    let held = [(OURS, 6), (THEIRS, 5)];
    let mut local = local(&held, &[(1, OURS), (2, THEIRS)]);
    (local.members[1].state, local.members[1].finals) = (MemberState::Suspended, BTreeMap::from([(THEIRS, 5)]));
    let mut fed = Fed::alone(local);
    let theirs = [(OURS, 4), (THEIRS, 7)];
    fed.greet(THEIRS, &theirs);
    assert!(fed.takes_back_the_peer());
    let (state, finals) = (MemberState::Suspended, vec![(OURS, 4)]);
    fed.hear(Message::Standing(Standing { state, finals, held_before: Vec::new(), twin: None }));
    assert_eq!(fed.replicator.local_writes(), LocalWrites::CatchingUp);
    fed.at_ms += 1_000;
    fed.feed(Input::Tick);
    fed.take_all(Holding { origin: OURS, vector: vector(&held), ..Holding::default() }, &[(OURS, 4), (THEIRS, 5)]);
    let rotates = |output: &Output| matches!(output, Output::Write { write: WriteRequest::RotateOrigin, .. });
    assert!(fed.out.iter().any(rotates));
    fed.write_done(Holding { origin: OriginId(3), vector: vector(&held), ..Holding::default() });
    assert_eq!(fed.reissues(), [(OURS, 4)]);
}

/// A third, whom both heard, brought both the word that they are suspended.
#[test]
fn suspended_suppliers_take_each_other_back_where_none_is_left_that_takes_part() {
    let held = [(OURS, 4), (THEIRS, 5)];
    let meets = |third: MemberState| {
        let mut local = local(&held, &[(1, OURS), (2, THEIRS), (3, OriginId(3))]);
        for member in &mut local.members {
            (member.state, member.finals) = (MemberState::Suspended, BTreeMap::from([(member.origins[0], 5)]));
        }
        local.members[2].state = third;
        let mut fed = Fed::alone(local);
        fed.greet(THEIRS, &held);
        fed.takes_back_the_peer()
    };
    assert!(meets(MemberState::Retired));
    assert!(!meets(MemberState::Active), "that is the third's to do");
}

impl Fed {
    fn takes_back_the_peer(&self) -> bool {
        let taken = |output: &Output| matches!(output, Output::SetMember { node: of, state: MemberState::Active, .. } if *of == node(2));
        self.out.iter().any(taken)
    }
}

/// The supplier retired the third member before it had heard of its origin, and this node after it had.
#[test]
fn who_was_away_writes_again_what_it_has_of_withdrawn_members_of_whom_no_end_was_agreed() {
    let (new, unheard, ended) = (OriginId(10), OriginId(3), OriginId(4));
    let held = [(OURS, 6), (THEIRS, 5), (unheard, 8), (ended, 7)];
    let members = [(1, OURS), (2, THEIRS), (3, unheard), (4, ended)];
    let mut local = Local { origins_before: vec![OURS], ..local(&held, &members) };
    local.holding.origin = new;
    local.members[0].finals = BTreeMap::from([(OURS, 6)]);
    local.members[2].state = MemberState::Retired;
    local.members[3].state = MemberState::Retired;
    local.members[3].finals = BTreeMap::from([(ended, 7)]);
    let mut fed = Fed::alone(local);
    let theirs = [(OURS, 6), (THEIRS, 5)];
    fed.greet(THEIRS, &theirs);
    fed.at_ms += 1_000;
    fed.feed(Input::Tick);
    fed.take_all(Holding { origin: new, vector: vector(&held), ..Holding::default() }, &theirs);
    let repeats = fed.out.iter().filter_map(|output| match output {
        Output::Write { write: WriteRequest::RepeatTail { origin, after, .. }, .. } => Some((*origin, *after)),
        _ => None,
    });
    assert_eq!(repeats.collect::<Vec<_>>(), [(unheard, 0)]);
    assert!(fed.reissues().is_empty());
}

/// A node that was a copy of another's, and runs under an identity of its own; `COPIED` is what it wrote as the other. The third
/// member only reads.
const COPIED: OriginId = OriginId(9);
const COPYS: [(OriginId, u64); 3] = [(OURS, 1), (THEIRS, 5), (COPIED, 3)];

impl Fed {
    fn was_a_copy(theirs: &[(OriginId, u64)]) -> Self {
        let note = BTreeMap::from([(UNAWAITED, 0)]);
        let members = [(1, OURS), (2, THEIRS), (3, OriginId(3))];
        let mut local = Local { origins_before: vec![COPIED], catch_up: note, ..local(&COPYS, &members) };
        (local.members[2].role, local.members[2].origins) = (Role::Consumer, Vec::new());
        let mut fed = Self::greeted(local, theirs);
        fed.at_ms += 1_000;
        fed.feed(Input::Tick);
        fed
    }

    fn repeated(&self) -> Vec<(OriginId, u64)> {
        let repeats = self.out.iter().filter_map(|output| match output {
            Output::Write { write: WriteRequest::RepeatTail { origin, after, .. }, .. } => Some((*origin, *after)),
            _ => None,
        });
        repeats.collect()
    }
}

/// It told the consumer before it knew. The suppliers have forgotten meanwhile what that stands on.
#[test]
fn what_a_copy_told_a_consumer_alone_is_written_again_beside_the_first() {
    let theirs = [(OURS, 0), (THEIRS, 5)];
    let mut fed = Fed::was_a_copy(&theirs);
    fed.greet_as(SessionId(8), 3, OriginId(3), &COPYS[1..]);
    fed.take_all(Holding { origin: OURS, vector: vector(&COPYS), ..Holding::default() }, &theirs);
    assert_eq!(fed.repeated(), [(COPIED, 0)]);
    assert!(fed.reissues().is_empty(), "the consumer would be ahead of all");
}

/// The original goes on under the origin that both have from before; the word that the peer holds that comes later.
#[test]
fn what_an_original_wrote_since_its_copy_went_its_own_way_the_copy_does_not_write_again() {
    let theirs = [(OURS, 0), (THEIRS, 5), (COPIED, 3)];
    let mut fed = Fed::was_a_copy(&theirs);
    let held = [(OURS, 1), (THEIRS, 5), (COPIED, 4)];
    fed.feed(Input::Committed(Box::new(Holding { origin: OURS, vector: vector(&held), ..Holding::default() })));
    fed.take_all(Holding { origin: OURS, vector: vector(&held), ..Holding::default() }, &theirs);
    fed.beacon(&theirs);
    assert_eq!(fed.replicator.local_writes(), LocalWrites::Open);
    assert!(fed.reissues().is_empty() && fed.repeated().is_empty(), "{:?} {:?}", fed.reissues(), fed.repeated());
}
