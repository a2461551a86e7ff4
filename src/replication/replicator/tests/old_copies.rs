//! A node that is told that it is an old copy: each such word counts once in a run, and ends by what is said after it.
//!
//! Its sessions end when it begins a new origin. If what was said before were enough to stop looking, the next session would
//! find it again, and each time it would write its tail again twice.

use super::*;

const LOST: OriginId = OriginId(7);
const NEW: OriginId = OriginId(3);
const HELD: [(OriginId, u64); 2] = [(OURS, 4), (THEIRS, 5)];
/// The same, under the new origin.
const AGAIN: [(OriginId, u64); 3] = [(OURS, 0), (THEIRS, 5), (NEW, 4)];

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

    /// It was told so, went on under a new origin, which ended its sessions, and wrote its old changes again under that.
    fn found() -> Self {
        let mut fed = Self::new(&HELD, &HELD);
        fed.told_of_lost(3);
        assert_eq!(fed.alarms(), [&Alarm::RolledBack { origin: LOST }]);
        fed.write_done(Holding { origin: NEW, vector: vector(&HELD), ..Holding::default() });
        fed.write_done(holding(&AGAIN));
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
    let caught_up = [(OURS, 0), (THEIRS, 5), (NEW, 4), (LOST, 3)];
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
