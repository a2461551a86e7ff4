//! Two histories of one origin: what is taken of the other side's content, and what is written again.

use super::*;
use crate::dit::EntryHead;
use crate::model::EntryUuid;
use crate::replication::message::{Buckets, Entries, Heads};
use crate::state::{BUCKETS, EntryDigest, PortableEntry, Stamp};

const THIRD: OriginId = OriginId(3);
const BEFORE: OriginId = OriginId(4);

/// As [`vector`], of which the elements of one origin are of another history.
fn other_history(of: OriginId, held: &[(OriginId, u64)]) -> UpdateVector {
    let same = vector(held);
    let positions = same.iter().map(|(origin, at)| {
        let chain = if origin == of { [99; 16] } else { at.chain };
        (origin, OriginPosition { chain, ..*at })
    });
    UpdateVector::from_positions(positions.collect::<Vec<_>>())
}

impl Fed {
    fn hear_that_it_holds(&mut self, held: &UpdateVector) {
        let (vector, check) = (held.clone(), vector_check(held));
        self.beacon_as(Beacon { vector, check, ..self.plain_beacon() });
    }

    fn answer_read(&mut self, answer: Answer) {
        let request = self.out.iter().rev().find_map(|output| match output {
            Output::Read { request, .. } => Some(*request),
            _ => None,
        });
        self.feed(Input::Answered { request: request.expect("a read"), answer });
    }
}

/// Under the numbers of its birth the other history has something else: the vector does not tell that it was deleted.
#[test]
fn entries_born_in_one_of_two_histories_are_taken_and_those_of_the_other_stay() {
    let held = [(OURS, 4), (THEIRS, 5), (THIRD, 5)];
    let mut local = local(&held, &[(1, OURS), (2, THEIRS)]);
    local.holding.digest = BucketSum { count: 1, sum: 1 };
    let holding = Box::new(local.holding.clone());
    let theirs = other_history(THIRD, &held);
    let mut fed = Fed::greeted(local, &held);
    fed.hear_that_it_holds(&theirs);
    assert_eq!(fed.alarms(), [&Alarm::Fork { origin: THIRD, peer: node(2) }]);
    let moment = Moment { vector: theirs, clock: Csn::NONE, standing: MemberState::Active };
    let exchange = fed.replicator.exchange_last;
    let sums = || vec![BucketSum::default(); BUCKETS];
    fed.hear(Message::Buckets(Buckets { exchange, held: moment.clone(), sums: sums() }));
    fed.answer_read(Answer::Buckets { holding: holding.clone(), sums: sums() });
    let head = |number: u8| EntryHead {
        uuid: EntryUuid([number; 16]),
        birth: Stamp { csn: Csn::new(1, 0, THIRD), sequence: u64::from(number) },
        digest: Some(EntryDigest(u128::from(number))),
        changes: 1,
    };
    let buckets = (0..BUCKETS as u16).collect();
    fed.hear(Message::Heads(Heads { exchange, held: moment.clone(), buckets, heads: vec![head(3)] }));
    fed.answer_read(Answer::Heads { holding, heads: vec![head(4)] });
    let entry = PortableEntry { uuid: EntryUuid([3; 16]), birth: head(3).birth.dot(), bytes: Vec::new() };
    let (entries, absent) = (vec![entry], Vec::new());
    fed.hear(Message::Entries(Entries { exchange, held: moment, absent, entries, more: false }));
    let write = |wanted: fn(&WriteRequest) -> bool| {
        fed.out.iter().filter(|output| matches!(output, Output::Write { write, .. } if wanted(write))).count()
    };
    assert_eq!(write(|write| matches!(write, WriteRequest::Merge { revive: true, theirs: None, .. })), 1);
    assert_eq!(write(|write| matches!(write, WriteRequest::DropDeleted { .. })), 0);
}

/// Another member still holds what this node took back, and gives it to it again; the one that goes on under the origin has
/// something else. Written again each time, it would be so for ever.
#[test]
fn what_a_node_took_back_of_an_origin_is_not_written_again_when_it_comes_from_others() {
    let held = [(BEFORE, 5), (THEIRS, 5)];
    let mut local = local(&held, &[(1, OURS), (2, THEIRS)]);
    local.origins_before = vec![BEFORE];
    local.members[0].origins = vec![BEFORE, OURS];
    let holding = Holding { vector: vector(&[(BEFORE, 3), (THEIRS, 5)]), ..local.holding.clone() };
    let mut fed = Fed::greeted(local, &[(THEIRS, 5)]);
    let theirs = other_history(BEFORE, &held);
    fed.hear_that_it_holds(&theirs);
    let chains =
        |chain: u8| (1..5).map(|number| (number, [if number > 3 { chain } else { 1 }; 16])).collect::<Vec<_>>();
    fed.hear(Message::Chains { origin: BEFORE, chains: chains(7) });
    fed.answer_read(Answer::Chains(chains(8)));
    assert_eq!(fed.reissues(), [(BEFORE, 3)]);
    fed.write_done(holding);
    fed.commit(&held);
    fed.hear_that_it_holds(&theirs);
    fed.feed(Input::Tick);
    let asks_for_entries = |output: &Output| matches!(output, Output::Read { read: ReadRequest::Heads { .. }, .. });
    assert!(fed.out.iter().any(asks_for_entries), "it takes the other content");
    assert_eq!(fed.reissues().len(), 1);
}
