//! What a node asks of a peer and is asked: ranges of the log, whole entries, and what is made of digests that differ.

use super::*;
use crate::dit::EntryHead;
use crate::model::EntryUuid;
use crate::replication::member::MemberState;
use crate::replication::message::{Buckets, Entries, Heads, Moment, Snapshot};
use crate::state::{BUCKETS, Dot, EntryDigest, LogRecord, PortableEntry, Stamp, bucket_of};
use std::ops::RangeInclusive;

fn moment(held: &[(OriginId, u64)]) -> Moment {
    Moment { vector: vector(held), clock: Csn::NONE, standing: MemberState::Active }
}

impl Fed {
    /// The peer answers the exchange at hand: that it holds `held`, and one entry of several.
    fn send_entry(&mut self, held: &[(OriginId, u64)]) {
        let exchange = self.replicator.exchange_last;
        let holding = Box::new(self.replicator.holding.clone());
        self.read_done(Answer::Heads { holding, heads: Vec::new() });
        let birth = Dot { origin: THEIRS, sequence: 8 };
        self.hear(Message::Snapshot(Snapshot {
            exchange,
            held: moment(held),
            after: Vec::new(),
            next: Some(vec![1]),
            entries_total: 2,
            entries: vec![PortableEntry { uuid: EntryUuid([3; 16]), birth, bytes: Vec::new() }],
        }));
    }

    fn read_done(&mut self, answer: Answer) {
        let request = self.out.iter().rev().find_map(|output| match output {
            Output::Read { request, .. } => Some(*request),
            _ => None,
        });
        self.feed(Input::Answered { request: request.expect("a read"), answer });
    }

    fn told_digest(&self) -> Option<BucketSum> {
        let told = self.out.iter().rev().find_map(|output| match output {
            Output::Send { message: Message::Beacon(beacon), .. } => Some(beacon.digest),
            Output::Send { message: Message::Ack(ack), .. } => Some(ack.digest),
            _ => None,
        });
        told.expect("a word on what is held")
    }

    fn tick(&mut self) {
        self.at_ms += 1_000;
        self.feed(Input::Tick);
    }
}

/// Its log begins behind what is needed; one entry of its state was taken when it went down, and was set back to an old copy.
#[test]
fn changes_that_came_in_part_are_awaited_until_every_member_has_said_that_it_does_not_hold_them() {
    let mut fed = Fed::new(&[(OURS, 4), (THEIRS, 5)], &[(OURS, 4), (THEIRS, 9)]);
    fed.hear(Message::Trimmed { origin: THEIRS, first_kept: 8 });
    fed.send_entry(&[(OURS, 4), (THEIRS, 9)]);
    fed.write_done(Holding { origin: OURS, vector: vector(&[(OURS, 4), (THEIRS, 5)]), ..Holding::default() });
    fed.feed(Input::Disconnected { session: SESSION });
    for _ in 0..3 {
        fed.tick();
    }
    assert_eq!(fed.replicator.told_digest(), None, "it may come back with them");
    let (copy, held) = (OriginId(3), [(OURS, 4), (THEIRS, 5)]);
    fed.greet(copy, &held);
    assert_eq!(fed.replicator.told_digest(), None, "it does not know yet that it is an old copy");
    fed.beacon(&held);
    fed.tick();
    assert_eq!(fed.alarms(), [&Alarm::Lost { origin: THEIRS, first: 6, last: 9 }]);
    assert_eq!(fed.told_digest(), Some(BucketSum::default()));
}

#[test]
fn changes_that_came_in_part_are_awaited_in_later_runs_too() {
    let (held, members) = ([(OURS, 4), (THEIRS, 5)], [(1, OURS), (2, THEIRS)]);
    let mut fed = Fed::new(&held, &[(OURS, 4), (THEIRS, 9)]);
    fed.hear(Message::Trimmed { origin: THEIRS, first_kept: 8 });
    fed.send_entry(&[(OURS, 4), (THEIRS, 9)]);
    let noted = fed.out.iter().find_map(|output| match output {
        Output::Write { write: WriteRequest::Merge { uncovered, .. }, .. } => Some(uncovered.clone()),
        _ => None,
    });
    let uncovered = noted.expect("a merge");
    assert_eq!(uncovered, BTreeMap::from([(THEIRS, 9)]));

    let mut fed = Fed::greeted(Local { uncovered, ..local(&held, &members) }, &[(OURS, 4), (THEIRS, 9)]);
    fed.tick();
    assert_eq!(fed.replicator.told_digest(), None, "the entry holds more than the vector says");
    fed.feed(Input::Committed(Box::new(Holding {
        origin: OURS,
        vector: vector(&[(OURS, 4), (THEIRS, 9)]),
        ..Holding::default()
    })));
    fed.tick();
    assert_eq!(fed.told_digest(), Some(BucketSum::default()));
    let forgets = |output: &Output| matches!(output, Output::Write { write: WriteRequest::NoteUncovered(uncovered), .. } if uncovered.is_empty());
    assert!(fed.out.iter().any(forgets), "nothing is beyond the vector any more");
}

/// It removed an entry that it lacks there, though its birth is held there, and then the peer went down. Digests of a third, which
/// holds the same changes and the entry, would differ.
#[test]
fn deletion_that_came_in_part_is_awaited_as_well() {
    let theirs = [(OURS, 4), (THEIRS, 9)];
    let mut fed = Fed::new(&[(OURS, 4), (THEIRS, 5)], &theirs);
    fed.hear(Message::Trimmed { origin: THEIRS, first_kept: 8 });
    let birth = Stamp { csn: Csn::new(1, 0, THEIRS), sequence: 3 };
    let head = EntryHead { uuid: EntryUuid([3; 16]), birth, digest: Some(EntryDigest(7)), changes: 5 };
    fed.read_done(Answer::Heads { holding: Box::new(fed.replicator.holding.clone()), heads: vec![head] });
    let exchange = fed.replicator.exchange_last;
    let (after, entries) = (Vec::new(), Vec::new());
    fed.hear(Message::Snapshot(Snapshot {
        exchange,
        held: moment(&theirs),
        after,
        next: None,
        entries_total: 0,
        entries,
    }));
    let place = |wanted: fn(&WriteRequest) -> bool| {
        fed.out.iter().position(|output| matches!(output, Output::Write { write, .. } if wanted(write)))
    };
    let removed = place(|write| matches!(write, WriteRequest::DropDeleted { .. }));
    let noted = place(
        |write| matches!(write, WriteRequest::NoteUncovered(uncovered) if *uncovered == BTreeMap::from([(THEIRS, 9)])),
    );
    assert!(noted.is_some() && noted < removed, "it is so in later runs too: {:?}", fed.out);
    fed.feed(Input::Disconnected { session: SESSION });
    fed.tick();
    assert_eq!(fed.replicator.told_digest(), None);
    fed.commit(&theirs);
    fed.tick();
    assert_eq!(fed.replicator.told_digest(), Some(BucketSum::default()));
}

/// Two that join at once hear of each other before they hear of anybody who has something.
#[test]
fn node_that_joins_asks_one_peer_after_the_other_until_one_can_help() {
    let third = SessionId(8);
    let local = Local { joined: false, ..local(&[], &[(1, OURS), (2, THEIRS), (3, OriginId(3))]) };
    let mut fed = Fed::alone(local);
    fed.greet_as(SESSION, 2, THEIRS, &[]);
    fed.greet_as(third, 3, OriginId(3), &[(THEIRS, 5)]);
    let mut asked = Vec::new();
    for _ in 0..3 {
        fed.at_ms += 10_000;
        fed.out.clear();
        fed.feed(Input::Tick);
        let read = fed.out.iter().find_map(|output| match output {
            Output::Read { request, read: ReadRequest::Heads { .. } } => Some(*request),
            _ => None,
        });
        let answer = Answer::Heads { holding: Box::default(), heads: Vec::new() };
        fed.feed(Input::Answered { request: read.expect("it looks at what it has"), answer });
        let question = fed.out.iter().find_map(|output| match output {
            Output::Send { session, message: Message::SnapshotRequest { exchange, .. } } => Some((*session, *exchange)),
            _ => None,
        });
        let (session, exchange) = question.expect("it asks for all");
        asked.push(session);
        let held = Moment { vector: UpdateVector::new(), clock: Csn::NONE, standing: MemberState::Suspended };
        let (after, entries) = (Vec::new(), Vec::new());
        let refusal = Snapshot { exchange, held, after, next: None, entries_total: 0, entries };
        fed.feed(Input::Received { session, message: Message::Snapshot(refusal) });
    }
    assert_eq!(asked, [SESSION, third, SESSION]);
}

impl Fed {
    /// What was read of a log last, and how many reads there were.
    fn log_read(&self) -> (OriginId, u64, u64, usize) {
        let logs: Vec<_> = self
            .out
            .iter()
            .filter_map(|output| match output {
                Output::Read { read: ReadRequest::Log { origin, first, last, .. }, .. } => {
                    Some((*origin, *first, *last))
                }
                _ => None,
            })
            .collect();
        let (origin, first, last) = *logs.last().expect("a read of the log");
        (origin, first, last, logs.len())
    }

    fn log_done(&mut self, sequences: RangeInclusive<u64>) {
        let record = |sequence| LogRecord { origin: OURS, sequence, chain: [sequence as u8; 16], bytes: vec![0; 9] };
        self.read_done(Answer::Log(sequences.map(record).collect()));
    }

    /// First number and count of each message of changes.
    fn pushed(&self) -> Vec<(u64, usize)> {
        let push = |output: &Output| match output {
            Output::Send { message: Message::Push(push), .. } => Some((push.first, push.records.len())),
            _ => None,
        };
        self.out.iter().filter_map(push).collect()
    }

    /// Answers every write that was not answered yet, and those that come of it; says what they were.
    fn writes_done(&mut self, holding: &Holding, answered: &mut usize) -> Vec<WriteRequest> {
        let mut done = Vec::new();
        while let Some((request, write)) = self.out.iter().skip(*answered).find_map(|output| match output {
            Output::Write { request, write } => Some((*request, write.clone())),
            _ => None,
        }) {
            *answered += 1 + self
                .out
                .iter()
                .skip(*answered)
                .position(|output| matches!(output, Output::Write { request: of, .. } if *of == request))
                .expect("it was found");
            done.push(write);
            self.feed(Input::Committed(Box::new(holding.clone())));
            self.feed(Input::Answered { request, answer: Answer::Done { more: false } });
        }
        done
    }
}

#[test]
fn range_that_does_not_fit_one_message_is_sent_on_from_where_it_was_cut() {
    let held = [(OURS, 9), (THEIRS, 5)];
    let mut fed = Fed::new(&held, &held);
    fed.hear(Message::Request { origin: OURS, first: 2, last: 7 });
    assert_eq!(fed.log_read(), (OURS, 2, 7, 1));
    fed.feed(Input::Tick);
    assert_eq!(fed.log_read().3, 1, "one read at a time");
    fed.log_done(2..=4);
    assert_eq!(fed.log_read(), (OURS, 5, 7, 2));
    // What was made together is read in one piece, also where it goes on behind what was asked for.
    fed.log_done(5..=8);
    fed.feed(Input::Tick);
    assert_eq!(fed.pushed(), [(2, 3), (5, 4)]);
    assert_eq!(fed.log_read().3, 2, "that was all");
}

#[test]
fn range_that_was_trimmed_meanwhile_is_answered_with_where_the_log_begins() {
    let held = [(OURS, 9), (THEIRS, 5)];
    let mut fed = Fed::new(&held, &held);
    fed.hear(Message::Request { origin: OURS, first: 2, last: 7 });
    fed.log_done(2..=3);
    fed.read_done(Answer::LogTrimmed { first_kept: 6 });
    let trimmed = |output: &&Output| {
        matches!(output, Output::Send { message: Message::Trimmed { origin: OURS, first_kept: 6 }, .. })
    };
    assert_eq!(fed.out.iter().filter(trimmed).count(), 1);
    assert_eq!((fed.pushed(), fed.log_read().3), (vec![(2, 2)], 2), "and is not read again");
}

/// If this node is lost for ever in between, what others have of it stands on nothing that they lack.
#[test]
fn what_a_node_wrote_under_an_origin_before_is_sent_before_what_it_writes_now() {
    let before = OriginId(5);
    let held = [(before, 3), (OURS, 4), (THEIRS, 5)];
    let local = Local { origins_before: vec![before], ..local(&held, &[(1, OURS), (2, THEIRS)]) };
    let mut fed = Fed::greeted(local, &[(THEIRS, 5)]);
    fed.hear(Message::Interest(Interest { all_but: false, origins: vec![OURS], held: vec![(OURS, 0)] }));
    fed.hear(Message::Request { origin: OURS, first: 1, last: 4 });
    assert_eq!(fed.log_read(), (before, 1, 3, 1));
    let record = |sequence| LogRecord { origin: before, sequence, chain: [sequence as u8; 16], bytes: vec![0; 9] };
    fed.read_done(Answer::Log((1..=3).map(record).collect()));
    fed.feed(Input::Tick);
    assert_eq!(fed.log_read(), (OURS, 1, 4, 2));
}

/// Ours differs in entry 3, lacks entry 4 and has entry 5 besides, of which the log must prove that it was deleted there.
fn differing() -> (Fed, Vec<WriteRequest>) {
    let held = [(OURS, 4), (THEIRS, 5)];
    let mut fed = Fed::new(&held, &held);
    let holding = || Holding { origin: OURS, vector: vector(&held), ..Holding::default() };
    fed.beacon_of(&held, Some(BucketSum { count: 2, sum: 7 }), Vec::new());
    assert_eq!(fed.alarms(), [&Alarm::Different { peer: node(2) }]);
    assert!(fed.replicator.told_digest().is_none(), "none is told while entries are taken");
    let exchange = fed.replicator.exchange_last;
    let uuid = |number| EntryUuid([number; 16]);
    let bucket = |number| bucket_of(uuid(number));
    let stamp = |sequence| Stamp { csn: Csn::new(1, 0, THEIRS), sequence };
    let head = |number: u8, digest| EntryHead {
        uuid: uuid(number),
        birth: stamp(u64::from(number) - 2),
        digest: Some(EntryDigest(digest)),
        changes: 5,
    };
    let sums = |numbers: &[(u8, u128)]| {
        let mut sums = vec![BucketSum::default(); BUCKETS];
        for (number, sum) in numbers {
            sums[usize::from(bucket(*number))] = BucketSum { count: 1, sum: *sum };
        }
        sums
    };
    fed.hear(Message::Buckets(Buckets { exchange, held: moment(&held), sums: sums(&[(3, 3), (4, 4)]) }));
    fed.read_done(Answer::Buckets { holding: Box::new(holding()), sums: sums(&[(3, 1), (5, 5)]) });
    let asked = fed.out.iter().rev().find_map(|output| match output {
        Output::Send { message: Message::HeadsRequest { buckets, .. }, .. } => Some(buckets.clone()),
        _ => None,
    });
    let mut buckets: Vec<u16> = [3, 4, 5].map(bucket).to_vec();
    buckets.sort_unstable();
    assert_eq!(asked.as_ref(), Some(&buckets), "only what differs is looked into");
    let heads = vec![head(3, 3), head(4, 4)];
    fed.hear(Message::Heads(Heads { exchange, buckets, held: moment(&held), heads }));
    fed.read_done(Answer::Heads { holding: Box::new(holding()), heads: vec![head(3, 1), head(5, 5)] });
    let entry =
        |number: u8| PortableEntry { uuid: uuid(number), birth: head(number, 0).birth.dot(), bytes: Vec::new() };
    let (entries, absent) = (vec![entry(3), entry(4)], Vec::new());
    fed.hear(Message::Entries(Entries { exchange, held: moment(&held), absent, entries, more: false }));
    let mut answered = 0;
    let writes = fed.writes_done(&holding(), &mut answered);
    assert_eq!(fed.replicator.differing(node(2)), [3, 4, 5].map(uuid));
    (fed, writes)
}

#[test]
fn what_differs_at_equal_vectors_is_taken_without_removing_anything_that_the_log_does_not_tell_was_deleted() {
    let (_, writes) = differing();
    let drops = |write: &&WriteRequest| matches!(write, WriteRequest::DropDeleted { proven: true, entries, .. } if entries.len() == 1);
    let merges = |write: &&WriteRequest| matches!(write, WriteRequest::Merge { theirs: None, revive: true, fill: false, entries, .. } if entries.len() == 2);
    assert_eq!((writes.iter().filter(drops).count(), writes.iter().filter(merges).count()), (1, 1), "{writes:?}");
    // It may have taken changes of a third meanwhile, and deleted entries by them, which no sum covers.
    let takes_none = |theirs: &UpdateVector| theirs.iter().next().is_none();
    assert!(matches!(writes.last(), Some(WriteRequest::TakeVector { theirs, .. }) if takes_none(theirs)), "{writes:?}");
}

#[test]
fn entries_of_a_repair_are_told_once_digests_are_equal() {
    let held = [(OURS, 4), (THEIRS, 5)];
    let (mut fed, _) = differing();
    assert_eq!(fed.told_digest(), Some(BucketSum::default()));
    for _ in 0..2 {
        fed.beacon_of(&held, Some(BucketSum::default()), Vec::new());
    }
    let entries = [3, 4, 5].map(|number| EntryUuid([number; 16])).to_vec();
    let different = Alarm::Different { peer: node(2) };
    assert_eq!(fed.alarms(), [&different, &Alarm::Repaired { peer: node(2), entries }]);
    assert!(fed.replicator.differing(node(2)).is_empty());
}

#[test]
fn entries_that_a_repair_did_not_make_equal_are_named_once_and_left_alone() {
    let held = [(OURS, 4), (THEIRS, 5)];
    let (mut fed, _) = differing();
    let exchanges = fed.replicator.exchange_last;
    for _ in 0..3 {
        fed.beacon_of(&held, Some(BucketSum { count: 2, sum: 8 }), Vec::new());
    }
    let entries = [3, 4, 5].map(|number| EntryUuid([number; 16])).to_vec();
    let different = Alarm::Different { peer: node(2) };
    assert_eq!(fed.alarms(), [&different, &Alarm::Quarantine { peer: node(2), entries: entries.clone() }]);
    assert_eq!((fed.replicator.exchange_last, fed.replicator.differing(node(2))), (exchanges, entries));
    // In the end it is tried again.
    fed.at_ms += 600_001;
    fed.beacon_of(&held, Some(BucketSum { count: 2, sum: 8 }), Vec::new());
    fed.beacon_of(&held, Some(BucketSum { count: 2, sum: 8 }), Vec::new());
    assert_eq!(fed.replicator.exchange_last, exchanges + 1);
}

impl Fed {
    /// Whether the node forgets anything when it is time to.
    fn settles(&mut self) -> bool {
        let before = self.out.len();
        self.at_ms += Options::default().settle_ms;
        self.feed(Input::Tick);
        let settles = |output: &Output| matches!(output, Output::Write { write: WriteRequest::Settle { .. }, .. });
        self.out[before..].iter().any(settles)
    }

    /// The peer asks for states behind `after`: whether they are read. `next` is what the answer says then.
    fn gives(&mut self, exchange: u64, after: &[u8], next: Option<&[u8]>) -> bool {
        let before = self.out.len();
        self.hear(Message::SnapshotRequest { exchange, after: after.to_vec() });
        let reads = |output: &Output| matches!(output, Output::Read { read: ReadRequest::Snapshot { .. }, .. });
        let given = self.out[before..].iter().any(reads);
        if given {
            let holding = Box::new(self.replicator.holding.clone());
            let next = next.map(<[u8]>::to_vec);
            self.read_done(Answer::Snapshot { holding, entries: Vec::new(), next, entries_total: 2 });
        }
        given
    }
}

/// It reads the log from where the first answer was: what came later may bring a value that something before that had replaced.
#[test]
fn nothing_is_forgotten_while_a_consumer_takes_the_content() {
    let held = [(OURS, 4)];
    let of = |role: Role| {
        let mut local = local(&held, &[(1, OURS), (2, THEIRS)]);
        local.members[1].role = role;
        Fed::greeted(local, &held)
    };
    let mut fed = of(Role::Consumer);
    assert!(fed.gives(1, &[], Some(&[1])));
    assert!(!fed.settles());
    assert!(fed.gives(1, &[1], Some(&[2])));
    assert!(!fed.settles());
    assert!(fed.gives(1, &[2], None));
    assert!(fed.settles());
    assert!(of(Role::Supplier).settles(), "for a supplier all wait");
}

#[test]
fn a_consumer_that_asks_for_nothing_more_is_not_waited_for_and_has_to_begin_anew() {
    let held = [(OURS, 4)];
    let mut local = local(&held, &[(1, OURS), (2, THEIRS)]);
    local.members[1].role = Role::Consumer;
    let mut fed = Fed::greeted(local, &held);
    assert!(fed.gives(1, &[], Some(&[1])));
    let waited = (0..4).take_while(|_| {
        fed.beacon(&held);
        !fed.settles()
    });
    assert_eq!(waited.count(), 2);
    assert!(!fed.gives(1, &[1], None));
    assert!(fed.gives(2, &[], Some(&[1])));
    assert!(fed.gives(2, &[1], None));
}

/// It was forgotten when all suppliers held it; nobody waits for a hub, whose content may be older than that. What it still shows
/// would come back.
#[test]
fn hub_is_asked_for_its_content_when_it_holds_what_was_forgotten_here() {
    let other = OriginId(9);
    let mut local = local(&[(OURS, 4)], &[(1, OURS), (2, THEIRS)]);
    local.members[1].role = Role::Hub;
    let mut fed = Fed::greeted(local, &[(OURS, 3), (other, 7)]);
    for _ in 0..20 {
        fed.at_ms += 1_000;
        fed.beacon(&[(OURS, 3), (other, 7)]);
        fed.feed(Input::Tick);
    }
    fed.write_done(Holding { origin: OURS, vector: vector(&[(OURS, 4)]), ..Holding::default() });
    assert_eq!(fed.replicator.stability.settled(OURS), 4);
    let is_asked = |fed: &Fed| fed.replicator.exchange.is_some();
    fed.hear(Message::Trimmed { origin: other, first_kept: 5 });
    assert!(!is_asked(&fed));
    fed.beacon(&[(OURS, 4), (other, 7)]);
    fed.hear(Message::Trimmed { origin: other, first_kept: 5 });
    assert!(is_asked(&fed));
}
