//! A node that is told that it is an old copy: each such word counts once in a run, and ends by what is said after it.
//!
//! Its sessions end when it begins a new origin. If what was said before were enough to stop looking, the next session would
//! find it again, and each time it would write its tail again twice.

use super::*;

const LOST: OriginId = OriginId(7);
const NEW: OriginId = OriginId(3);
const HELD: [(OriginId, u64); 2] = [(OURS, 4), (THEIRS, 5)];
/// The same, under the new origin.
const AGAIN: [(OriginId, u64); 3] = [(OURS, 4), (THEIRS, 5), (NEW, 4)];

fn holding(held: &[(OriginId, u64)]) -> Holding {
    Holding { origin: NEW, vector: vector(held), ..Holding::default() }
}

impl Fed {
    /// The peer says that it once heard that this node held so many of the origin that is lost.
    fn told_of_lost(&mut self, sequence: u64) {
        let held_before = vec![(LOST, sequence)];
        self.hear(Message::Standing(Standing {
            state: MemberState::Active,
            finals: Vec::new(),
            held_before,
            twin: None,
        }));
    }

    /// It was told so, and went on under a new origin, which ended its sessions.
    fn found() -> Self {
        let mut fed = Self::new(&HELD, &HELD);
        fed.told_of_lost(3);
        assert_eq!(fed.alarms(), [&Alarm::RolledBack { origin: LOST }]);
        fed.write_done(holding(&HELD));
        fed.feed(Input::Tick);
        assert_eq!(fed.replicator.local_writes(), LocalWrites::CatchingUp, "nobody has said anything since");
        assert_eq!(fed.repeats(), 0);
        fed
    }

    fn repeats(&self) -> usize {
        let is_repeat =
            |output: &&Output| matches!(output, Output::Write { write: WriteRequest::RepeatTail { .. }, .. });
        self.out.iter().filter(is_repeat).count()
    }

    fn rotations(&self) -> usize {
        let is_rotation = |output: &&Output| matches!(output, Output::Write { write: WriteRequest::RotateOrigin, .. });
        self.out.iter().filter(is_rotation).count()
    }
}

/// The peer had them not when it last spoke; since then it has taken them from a third.
#[test]
fn old_copy_looks_for_what_it_lost_until_all_have_said_what_they_hold_since_it_was_found() {
    let mut fed = Fed::found();
    let theirs = [(OURS, 4), (THEIRS, 5), (LOST, 3)];
    fed.greet(THEIRS, &theirs);
    fed.told_of_lost(3);
    fed.beacon(&theirs);
    fed.feed(Input::Tick);
    assert_eq!(fed.repeats(), 0, "the peer has them");
    let caught_up = [(OURS, 4), (THEIRS, 5), (LOST, 3)];
    fed.feed(Input::Committed(Box::new(holding(&caught_up))));
    assert_eq!(fed.repeats(), 1);
    fed.write_done(holding(&caught_up));
    fed.feed(Input::Tick);
    assert_eq!(fed.replicator.local_writes(), LocalWrites::Open);
    assert_eq!((fed.alarms().len(), fed.rotations()), (1, 1));
}

/// Nobody holds them any more, and the peer goes on to say that this node once did, in this session and in the next.
#[test]
fn old_copy_is_not_found_again_by_the_same_word() {
    let mut fed = Fed::found();
    fed.greet(THEIRS, &HELD);
    fed.told_of_lost(3);
    fed.beacon(&HELD);
    fed.feed(Input::Tick);
    assert_eq!(fed.repeats(), 1, "all have said that they lack them");
    fed.write_done(holding(&AGAIN));
    fed.feed(Input::Tick);
    for _ in 0..3 {
        assert_eq!(fed.replicator.local_writes(), LocalWrites::Open);
        fed.told_of_lost(3);
        fed.greet(THEIRS, &HELD);
        fed.told_of_lost(3);
        fed.beacon(&HELD);
        fed.feed(Input::Tick);
    }
    assert_eq!((fed.alarms().len(), fed.rotations(), fed.repeats()), (1, 1, 1));
    fed.told_of_lost(4);
    assert_eq!(fed.alarms().len(), 2, "that is another word");
    assert_eq!(fed.replicator.local_writes(), LocalWrites::CatchingUp);
}

/// A node in its second run since it was an old copy: in the one before it wrote three changes as `EARLIER`, and in this one
/// one, with nobody there.
const EARLIER: OriginId = OriginId(9);
const RUNNING: OriginId = OriginId(3);
const NEXT: OriginId = OriginId(11);
const SINCE: [(OriginId, u64); 4] = [(OURS, 4), (THEIRS, 5), (EARLIER, 3), (RUNNING, 1)];

impl Fed {
    fn in_its_second_run() -> Self {
        let held = [(OURS, 4), (THEIRS, 5), (EARLIER, 3)];
        let own = Member { node: node(1), origins: vec![OURS, EARLIER, RUNNING], ..Member::default() };
        let other = Member { node: node(2), origins: vec![THEIRS], ..Member::default() };
        let local = Local {
            origins_before: vec![OURS, EARLIER],
            members: vec![own, other],
            holding: Holding { origin: RUNNING, vector: vector(&held), ..Holding::default() },
            ..local(&[], &[])
        };
        let mut fed = Self::alone(local);
        fed.feed(Input::Committed(Box::new(Holding { origin: RUNNING, vector: vector(&SINCE), ..Holding::default() })));
        fed
    }

    fn said_to_hold(&self) -> UpdateVector {
        self.replicator.hello().vector
    }

    /// Lets each write be done, at a node that holds `held` then; returns what was written again, in order.
    fn written_again(&mut self, origin: OriginId, held: &[(OriginId, u64)]) -> Vec<(OriginId, u64)> {
        let again = |output: &Output| match output {
            Output::Write { write: WriteRequest::RepeatTail { origin, after, .. }, .. }
            | Output::Write { write: WriteRequest::ReissueTail { origin, after, .. }, .. } => Some((*origin, *after)),
            _ => None,
        };
        let mut written = 0;
        loop {
            let found: Vec<_> = self.out.iter().filter_map(again).collect();
            if found.len() == written {
                return found;
            }
            written = found.len();
            self.write_done(Holding { origin, vector: vector(held), ..Holding::default() });
        }
    }
}

/// Of two copies of one member, it is the one that was left, and the peer knows what the other said.
#[test]
fn copy_that_is_left_writes_again_what_its_earlier_runs_wrote_in_their_order() {
    let mut fed = Fed::in_its_second_run();
    let peer = [(THEIRS, 5), (LOST, 2), (OURS, 4)];
    fed.greet(THEIRS, &peer);
    let held_before = vec![(OURS, 4), (THEIRS, 5), (LOST, 2), (RUNNING, 1)];
    fed.hear(Message::Standing(Standing { state: MemberState::Active, finals: Vec::new(), held_before, twin: None }));
    assert_eq!(
        fed.said_to_hold(),
        vector(&[(OURS, 4), (THEIRS, 5), (RUNNING, 1)]),
        "nobody waits for what is not told"
    );
    fed.beacon(&peer);
    let caught_up = [&SINCE[..], &[(LOST, 2)]].concat();
    fed.feed(Input::Committed(Box::new(Holding { origin: RUNNING, vector: vector(&caught_up), ..Holding::default() })));
    assert_eq!(fed.written_again(RUNNING, &caught_up), [(EARLIER, 0), (RUNNING, 0)]);
    assert_eq!(fed.reissues(), [(EARLIER, 0)], "of that nobody has heard");
    assert_eq!(fed.said_to_hold(), vector(&caught_up));
    assert_eq!(fed.replicator.local_writes(), LocalWrites::Open);
}

/// The peer holds more of what the directory wrote before the copy was made than the copy.
#[test]
fn old_copy_writes_again_what_was_written_since_it_was_one_in_whatever_run() {
    let mut fed = Fed::in_its_second_run();
    let peer = [(THEIRS, 5), (OURS, 6)];
    fed.greet(THEIRS, &peer);
    assert_eq!(fed.alarms(), [&Alarm::RolledBack { origin: OURS }]);
    fed.beacon(&peer);
    let caught_up = [(OURS, 6), (THEIRS, 5), (EARLIER, 3), (RUNNING, 1)];
    fed.feed(Input::Committed(Box::new(Holding { origin: RUNNING, vector: vector(&caught_up), ..Holding::default() })));
    assert_eq!(fed.written_again(RUNNING, &caught_up), [(EARLIER, 0), (RUNNING, 0)]);
    assert_eq!(fed.replicator.local_writes(), LocalWrites::Open);
}

impl Fed {
    /// It is told that it holds less than it once said; one of its origins is beyond that.
    fn told_in_its_second_run() -> Self {
        let mut fed = Self::in_its_second_run();
        fed.greet(THEIRS, &[(THEIRS, 5), (LOST, 2), (OURS, 4)]);
        let held_before = vec![(OURS, 4), (THEIRS, 5), (LOST, 2), (RUNNING, 1)];
        fed.hear(Message::Standing(Standing {
            state: MemberState::Active,
            finals: Vec::new(),
            held_before,
            twin: None,
        }));
        fed
    }
}

#[test]
fn what_an_old_copy_tells_nobody_it_tells_nobody_in_its_next_run_either() {
    let fed = Fed::told_in_its_second_run();
    let noted = fed.out.iter().rev().find_map(|output| match output {
        Output::Write { write: WriteRequest::NoteCatchUp(noted), .. } => Some(noted.clone()),
        _ => None,
    });
    let members = fed.replicator.members.values().cloned().collect();
    let local = Local {
        origins_before: vec![OURS, EARLIER, RUNNING],
        members,
        catch_up: noted.expect("a note"),
        holding: Holding { origin: NEXT, vector: vector(&SINCE), ..Holding::default() },
        ..local(&[], &[])
    };
    let mut fed = Fed::alone(local);
    assert_eq!(fed.said_to_hold(), vector(&[(OURS, 4), (THEIRS, 5), (RUNNING, 1)]));
    let peer = [(THEIRS, 5), (LOST, 2), (OURS, 4)];
    fed.greet(THEIRS, &peer);
    fed.beacon(&peer);
    let caught_up = [&SINCE[..], &[(LOST, 2)]].concat();
    fed.feed(Input::Committed(Box::new(Holding { origin: NEXT, vector: vector(&caught_up), ..Holding::default() })));
    fed.written_again(NEXT, &caught_up);
    assert!(fed.reissues().contains(&(EARLIER, 0)), "of that nobody has heard: {:?}", fed.reissues());
}

/// The original runs beside it. What it wrote stands on what members have forgotten, under its new identity no less. Returns what
/// it writes again where the peer holds `peer`.
fn written_again_under_another_identity(peer: &[(OriginId, u64)]) -> (Fed, Vec<(OriginId, u64)>) {
    let mut fed = Fed::told_in_its_second_run();
    let (finals, held_before) = (Vec::new(), Vec::new());
    fed.hear(Message::Standing(Standing { state: MemberState::Active, finals, held_before, twin: Some(0) }));
    let taken = fed.out.iter().position(|output| matches!(output, Output::TakeNewIdentity));
    let noted = fed.out[..taken.expect("it does")].iter().rev().find_map(|output| match output {
        Output::Write { write: WriteRequest::NoteCatchUp(noted), .. } => Some(noted.clone()),
        _ => None,
    });
    let mut catch_up = noted.expect("a note");
    catch_up.insert(UNAWAITED, 0);
    let member = |number, origins| Member { node: node(number), origins, ..Member::default() };
    let original = member(4, vec![OURS, EARLIER, RUNNING]);
    let local = Local {
        origins_before: vec![OURS, EARLIER, RUNNING],
        members: vec![member(1, vec![NEXT]), member(2, vec![THEIRS]), original],
        catch_up,
        holding: Holding { origin: NEXT, vector: vector(&SINCE), ..Holding::default() },
        ..local(&[], &[])
    };
    let mut fed = Fed::alone(local);
    fed.greet(THEIRS, peer);
    fed.at_ms += 1_000;
    fed.feed(Input::Tick);
    let held = [&SINCE[..], &[(LOST, 2)]].concat();
    fed.take_all(Holding { origin: NEXT, vector: vector(&held), ..Holding::default() }, peer);
    let written = fed.written_again(NEXT, &held);
    (fed, written)
}

#[test]
fn old_copy_that_takes_another_identity_still_writes_again_what_others_have_come_to_hold() {
    let peer = [(THEIRS, 5), (LOST, 2), (OURS, 4), (EARLIER, 3), (RUNNING, 1)];
    let (fed, written) = written_again_under_another_identity(&peer);
    assert_eq!(written, [(EARLIER, 0), (RUNNING, 0)]);
    assert!(fed.reissues().is_empty(), "others hold that");
}

/// What came of deletions that were taken back differs from what others have of them, until superiors are made anew (seed 108 of
/// the simulation with copies).
#[test]
fn old_copy_that_takes_another_identity_takes_back_what_nobody_holds_and_then_writes_that_again_too() {
    let (fed, written) = written_again_under_another_identity(&[(THEIRS, 5), (LOST, 2), (OURS, 4)]);
    assert_eq!(written, [(EARLIER, 0), (RUNNING, 0), (NEXT, 0)]);
    assert_eq!(fed.reissues(), [(EARLIER, 0), (RUNNING, 0)]);
}

/// It would take what is to be written again, superiors that others have forgotten among it.
#[test]
fn nobody_joins_by_the_content_of_a_node_that_withholds_some_of_it() {
    let standing = |fed: &mut Fed| {
        fed.hear(Message::SnapshotRequest { exchange: 1, after: Vec::new() });
        let request = fed.out.iter().rev().find_map(|output| match output {
            Output::Read { request, read: ReadRequest::Snapshot { .. } } => Some(*request),
            _ => None,
        });
        let (holding, entries) = (Box::new(fed.replicator.holding.clone()), Vec::new());
        let answer = Answer::Snapshot { holding, entries, next: None, entries_total: 0 };
        fed.feed(Input::Answered { request: request.expect("it is read"), answer });
        let told = fed.out.iter().rev().find_map(|output| match output {
            Output::Send { message: Message::Snapshot(snapshot), .. } => Some(snapshot.held.standing),
            _ => None,
        });
        told.expect("an answer")
    };
    assert_eq!(standing(&mut Fed::told_in_its_second_run()), MemberState::Suspended);
    let mut fed = Fed::in_its_second_run();
    fed.greet(THEIRS, &[(OURS, 4), (THEIRS, 5)]);
    assert_eq!(standing(&mut fed), MemberState::Active);
}

/// What it lost, this node holds alone and sends to nobody until its content is complete, which it would take from that peer
/// (seed 1035588 of the simulation).
#[test]
fn old_copy_need_not_regain_what_this_node_alone_holds_and_withholds() {
    let mut fed = Fed::told_in_its_second_run();
    fed.beacon(&[(OURS, 4), (THEIRS, 5), (EARLIER, 3)]);
    fed.feed(Input::Disconnected { session: SESSION });
    let less = [(OURS, 4), (THEIRS, 5)];
    fed.greet(OriginId(8), &less);
    let is_waited_for = |fed: &Fed| fed.replicator.peers[&SESSION].held_before.is_some();
    assert!(is_waited_for(&fed), "it held more once");
    fed.beacon(&less);
    assert!(!is_waited_for(&fed));
}
