//! A node's part in replication fed by hand: what it concludes from what peers say, and do not say.

use std::collections::BTreeMap;

use super::telling::apart;
use super::*;
use crate::replication::member::MemberState;
use crate::replication::message::{Ack, Beacon, Interest, Moment, Row, Snapshot, Standing, VersionRange, vector_check};
use crate::state::{BucketSum, Csn, OriginPosition, StableCut, UpdateVector};

mod ahead;
mod allowed;
mod contacts;
mod copies;
mod exchanges;
mod forks;
mod handing_over;
mod old_copies;
mod returning;
mod standing;
mod telling;

const OURS: OriginId = OriginId(1);
const THEIRS: OriginId = OriginId(2);
const SESSION: SessionId = SessionId(7);

fn node(number: u8) -> NodeId {
    NodeId([number; 16])
}

fn vector(held: &[(OriginId, u64)]) -> UpdateVector {
    let position = |sequence| OriginPosition { sequence, chain: [sequence as u8; 16], closed: None };
    UpdateVector::from_positions(held.iter().map(|(origin, sequence)| (*origin, position(*sequence))))
}

/// Node 1 of a cluster of these members, with their origins.
fn local(held: &[(OriginId, u64)], members: &[(u8, OriginId)]) -> Local {
    let member =
        |(number, origin): &(u8, OriginId)| Member { node: node(*number), origins: vec![*origin], ..Member::default() };
    Local {
        cluster: [9; 16],
        node: node(1),
        origins_before: Vec::new(),
        catch_up: BTreeMap::new(),
        uncovered: BTreeMap::new(),
        boot: 1,
        joined: true,
        filled_ms: None,
        holding: Holding { origin: OURS, vector: vector(held), ..Holding::default() },
        members: members.iter().map(member).collect(),
        contacts: Vec::new(),
    }
}

/// A node whose only peer has greeted it.
struct Fed {
    replicator: Replicator,
    at_ms: u64,
    /// The hybrid clock that the peer tells.
    clock: Csn,
    /// The versions that peers speak.
    versions: VersionRange,
    out: Vec<Output>,
}

impl Fed {
    fn new(held: &[(OriginId, u64)], greeted: &[(OriginId, u64)]) -> Self {
        Self::greeted(local(held, &[(1, OURS), (2, THEIRS)]), greeted)
    }

    fn greeted(local: Local, greeted: &[(OriginId, u64)]) -> Self {
        let mut fed = Self::alone(local);
        fed.greet(THEIRS, greeted);
        fed
    }

    /// Nobody has greeted it yet.
    fn alone(local: Local) -> Self {
        let replicator = Replicator::new(local, Options::default());
        Self { replicator, at_ms: 1_000, clock: Csn::NONE, versions: VERSIONS, out: Vec::new() }
    }

    /// The peer connects, as `origin`.
    fn greet(&mut self, origin: OriginId, held: &[(OriginId, u64)]) {
        self.greet_as(SESSION, 2, origin, held);
    }

    /// A node connects and says who it is.
    fn greet_as(&mut self, session: SessionId, number: u8, origin: OriginId, held: &[(OriginId, u64)]) {
        let role = self.replicator.members.get(&node(number)).map_or(Role::Supplier, |member| member.role);
        self.greet_with((session, number), role, origin, held);
    }

    /// A node connects and says who it is, and what it believes to be there for.
    fn greet_with(
        &mut self,
        (session, number): (SessionId, u8),
        role: Role,
        origin: OriginId,
        held: &[(OriginId, u64)],
    ) {
        self.feed(Input::Connected { session, peer: node(number), dialled: true });
        let hello = Hello {
            versions: self.versions,
            features: 0,
            cluster: [9; 16],
            node: node(number),
            origin,
            boot: u64::from(number),
            role,
            wall_ms: 1_000,
            clock: self.clock,
            vector: vector(held),
            floors: Vec::new(),
        };
        self.feed(Input::Received { session, message: Message::Hello(Box::new(hello)) });
    }

    fn feed(&mut self, input: Input) {
        self.at_ms += 1;
        let now = Now { wall_ms: self.at_ms, stamp_ms: self.at_ms, monotonic_ms: self.at_ms };
        self.replicator.handle(now, input, &mut self.out);
    }

    fn hear(&mut self, message: Message) {
        self.feed(Input::Received { session: SESSION, message });
    }

    fn commit(&mut self, held: &[(OriginId, u64)]) {
        self.feed(Input::Committed(Box::new(Holding { origin: OURS, vector: vector(held), ..Holding::default() })));
    }

    fn acknowledge(&mut self, risen: &[(OriginId, u64)], whole: &[(OriginId, u64)]) {
        let check = vector_check(&vector(whole));
        self.hear(Message::Ack(Ack { risen: vector(risen), check, digest: None, clock: self.clock }));
    }

    fn beacon(&mut self, held: &[(OriginId, u64)]) {
        self.beacon_with(held, Vec::new());
    }

    /// What the rows say is beside what the peer holds.
    fn beacon_with(&mut self, held: &[(OriginId, u64)], rows: Vec<Row>) {
        self.beacon_of(held, None, rows);
    }

    fn beacon_of(&mut self, held: &[(OriginId, u64)], digest: Option<BucketSum>, rows: Vec<Row>) {
        let whole = vector(held);
        self.beacon_as(Beacon {
            vector: whole.clone(),
            check: vector_check(&whole),
            digest,
            rows,
            ..self.plain_beacon()
        });
    }

    /// What changed, of a vector that is `whole`.
    fn beacon_of_changes(&mut self, changed: &[(OriginId, u64)], whole: &[(OriginId, u64)]) {
        let (vector, check) = (vector(changed), vector_check(&vector(whole)));
        self.beacon_as(Beacon { vector, is_whole: false, check, ..self.plain_beacon() });
    }

    fn beacon_as(&mut self, beacon: Beacon) {
        self.hear(Message::Beacon(Box::new(beacon)));
    }

    fn plain_beacon(&self) -> Beacon {
        Beacon {
            vector: UpdateVector::new(),
            is_whole: true,
            check: 0,
            wants_whole: false,
            digest: None,
            clock: self.clock,
            wall_ms: self.at_ms,
            sent_ms: self.at_ms,
            echo: None,
            reply: false,
            rows: Vec::new(),
            silent: Vec::new(),
            silences: Vec::new(),
        }
    }

    fn cut(&self) -> StableCut {
        self.replicator.stable_cut()
    }

    fn alarms(&self) -> Vec<&Alarm> {
        self.out
            .iter()
            .filter_map(|output| if let Output::Alarm(alarm) = output { Some(alarm) } else { None })
            .collect()
    }

    /// Answers the last write with success, but for notes.
    fn write_done(&mut self, holding: Holding) {
        let request = self.out.iter().rev().find_map(|output| match output {
            Output::Write { write: WriteRequest::NoteCatchUp(_), .. } => None,
            Output::Write { request, .. } => Some(*request),
            _ => None,
        });
        self.feed(Input::Committed(Box::new(holding)));
        self.feed(Input::Answered { request: request.expect("a write"), answer: Answer::Done { more: false } });
    }

    /// Plays the exchange that it began, of a peer that holds `theirs` and has no entries; it holds `ours` then.
    fn take_all(&mut self, ours: Holding, theirs: &[(OriginId, u64)]) {
        let exchange = self.replicator.exchange_last;
        let heads = self.out.iter().find_map(|output| match output {
            Output::Read { request, read: ReadRequest::Heads { .. } } => Some(*request),
            _ => None,
        });
        let answer = Answer::Heads { holding: Box::new(ours.clone()), heads: Vec::new() };
        self.feed(Input::Answered { request: heads.expect("it looks at what it has"), answer });
        let held = Moment { vector: vector(theirs), clock: Csn::NONE, standing: MemberState::Active };
        let (after, entries) = (Vec::new(), Vec::new());
        self.hear(Message::Snapshot(Snapshot { exchange, held, after, next: None, entries_total: 0, entries }));
        self.write_done(ours);
    }

    /// The peer was asked for chains of `origin` and tells one for each of these numbers; this node has `ours` there.
    fn hear_chains(&mut self, origin: OriginId, ours: &[(u64, u8)], theirs: &[(u64, u8)]) {
        let asked = self.out.iter().any(|output| match output {
            Output::Send { message: Message::ChainsRequest { origin: of, sequences }, .. } => {
                *of == origin && theirs.iter().all(|(sequence, _)| sequences.contains(sequence))
            }
            _ => false,
        });
        assert!(asked, "{:?}", self.out);
        let chains = |pairs: &[(u64, u8)]| pairs.iter().map(|(sequence, byte)| (*sequence, [*byte; 16])).collect();
        self.hear(Message::Chains { origin, chains: chains(theirs) });
        let request = self.out.iter().rev().find_map(|output| match output {
            Output::Read { request, read: ReadRequest::Chains { .. } } => Some(*request),
            _ => None,
        });
        let answer = Answer::Chains(chains(ours));
        self.feed(Input::Answered { request: request.expect("it reads its own"), answer });
    }

    fn reissues(&self) -> Vec<(OriginId, u64)> {
        let reissue = |output: &Output| match output {
            Output::Write { write: WriteRequest::ReissueTail { origin, after, .. }, .. } => Some((*origin, *after)),
            _ => None,
        };
        self.out.iter().filter_map(reissue).collect()
    }
}

/// The peer made its change 6 before it took our 5, and says both; the word on 6 is lost. What it says next would mean that
/// it held our 5 when its last change was 5.
#[test]
fn acknowledgement_after_a_missed_one_does_not_raise_the_stable_cut() {
    let mut fed = Fed::new(&[(OURS, 4), (THEIRS, 5)], &[(OURS, 4), (THEIRS, 5)]);
    assert_eq!(fed.cut(), BTreeMap::from([(OURS, 4), (THEIRS, 5)]));
    fed.commit(&[(OURS, 5), (THEIRS, 5)]);
    fed.acknowledge(&[(OURS, 5)], &[(OURS, 5), (THEIRS, 6)]);
    assert_eq!(fed.cut(), BTreeMap::from([(OURS, 4), (THEIRS, 5)]), "its 6 may be older than our 5");
    fed.beacon(&[(OURS, 5), (THEIRS, 6)]);
    assert_eq!(fed.cut(), BTreeMap::from([(OURS, 4), (THEIRS, 5)]), "its 6 is not here yet");
    fed.commit(&[(OURS, 5), (THEIRS, 6)]);
    assert_eq!(fed.cut(), BTreeMap::from([(OURS, 5), (THEIRS, 6)]));
}

#[test]
fn acknowledgement_of_the_whole_vector_raises_the_stable_cut() {
    let mut fed = Fed::new(&[(OURS, 4), (THEIRS, 5)], &[(OURS, 4), (THEIRS, 5)]);
    fed.commit(&[(OURS, 5), (THEIRS, 5)]);
    fed.acknowledge(&[(OURS, 5)], &[(OURS, 5), (THEIRS, 5)]);
    assert_eq!(fed.cut(), BTreeMap::from([(OURS, 5), (THEIRS, 5)]));
}

/// As which members it began origins, and which copies wrote under whose, is told by changes that are not here yet.
#[test]
fn row_counts_when_all_of_it_is_here_whatever_origins_it_names() {
    let other = OriginId(3);
    let mut fed = Fed::new(&[(OURS, 4), (THEIRS, 5)], &[(OURS, 4), (THEIRS, 5)]);
    fed.commit(&[(OURS, 5), (THEIRS, 5)]);
    fed.beacon(&[(OURS, 5), (THEIRS, 5), (other, 2)]);
    assert_eq!(
        fed.cut(),
        BTreeMap::from([(OURS, 4), (THEIRS, 5)]),
        "the others' 2 may be its own, and older than our 5"
    );
    fed.commit(&[(OURS, 5), (THEIRS, 5), (other, 2)]);
    assert_eq!(fed.cut(), BTreeMap::from([(OURS, 5), (THEIRS, 5), (other, 2)]));
}

#[test]
fn row_of_which_its_member_takes_something_back_is_waited_for_no_more() {
    let mut fed = Fed::new(&[(OURS, 4), (THEIRS, 5)], &[(OURS, 4), (THEIRS, 5)]);
    fed.commit(&[(OURS, 5), (THEIRS, 5)]);
    fed.beacon(&[(OURS, 5), (THEIRS, 6)]);
    fed.beacon(&[(OURS, 5), (THEIRS, 5)]);
    assert_eq!(fed.cut(), BTreeMap::from([(OURS, 5), (THEIRS, 5)]));
}

/// Its membership entry may not say so yet; what it wrote as the earlier one is waited for all the same.
#[test]
fn origin_that_a_member_spoke_as_is_remembered_when_the_members_are_read_anew() {
    let mut fed = Fed::new(&[(OURS, 4), (THEIRS, 5)], &[(OURS, 4), (THEIRS, 6)]);
    assert_eq!(fed.cut(), StableCut::new());
    let member =
        |number, origins: &[OriginId]| Member { node: node(number), origins: origins.to_vec(), ..Member::default() };
    fed.feed(Input::Members(vec![member(1, &[OURS]), member(2, &[])]));
    fed.beacon(&[(OURS, 4), (THEIRS, 6)]);
    assert_eq!(fed.cut(), StableCut::new(), "its 6 is not here");
    fed.commit(&[(OURS, 4), (THEIRS, 6)]);
    assert_eq!(fed.cut(), BTreeMap::from([(OURS, 4), (THEIRS, 6)]));
}

/// The peer holds our numbers up to 9 from before the copy was made; ours of this run stand under numbers 5 and 6.
#[test]
fn old_copy_writes_again_what_it_wrote_before_it_knew_and_forgets_nothing_meanwhile() {
    let mut fed = Fed::new(&[(OURS, 4), (THEIRS, 5)], &[(THEIRS, 5)]);
    fed.commit(&[(OURS, 6), (THEIRS, 5)]);
    fed.beacon(&[(OURS, 9), (THEIRS, 5)]);
    assert!(matches!(fed.alarms()[..], [Alarm::RolledBack { origin: OURS }]), "{:?}", fed.alarms());
    assert_eq!(fed.cut(), StableCut::new());
    assert_eq!(fed.replicator.local_writes(), LocalWrites::CatchingUp);
    let new = OriginId(3);
    fed.write_done(Holding { origin: new, vector: vector(&[(OURS, 6), (THEIRS, 5)]), ..Holding::default() });
    fed.greet(THEIRS, &[(OURS, 9), (THEIRS, 5)]);
    assert_eq!(fed.reissues(), [], "what the peer holds may be what stands here");
    fed.hear_chains(OURS, &[(4, 4), (5, 5), (6, 6)], &[(4, 4), (5, 50), (6, 60)]);
    assert_eq!(fed.reissues(), [(OURS, 4)]);
    assert_eq!(fed.cut(), StableCut::new());
}

/// Set back while it ran, or not at all: what stands here stands there under the same numbers, and may have been changed
/// there since. Written again, it would end with those changes.
#[test]
fn run_that_was_taken_for_an_old_copy_writes_nothing_again_that_the_others_hold_as_it_does() {
    let mut fed = Fed::new(&[(OURS, 4), (THEIRS, 5)], &[(THEIRS, 5)]);
    fed.commit(&[(OURS, 6), (THEIRS, 5)]);
    fed.beacon(&[(OURS, 9), (THEIRS, 5)]);
    assert!(matches!(fed.alarms()[..], [Alarm::RolledBack { origin: OURS }]), "{:?}", fed.alarms());
    let new = OriginId(3);
    fed.write_done(Holding { origin: new, vector: vector(&[(OURS, 6), (THEIRS, 5)]), ..Holding::default() });
    fed.greet(THEIRS, &[(OURS, 9), (THEIRS, 5)]);
    let same = [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6)];
    fed.hear_chains(OURS, &same, &same);
    assert_eq!(fed.replicator.local_writes(), LocalWrites::CatchingUp, "7 to 9 are not here");
    let vector = vector(&[(OURS, 9), (THEIRS, 5)]);
    fed.feed(Input::Committed(Box::new(Holding { origin: new, vector, ..Holding::default() })));
    fed.beacon(&[(OURS, 9), (THEIRS, 5)]);
    fed.feed(Input::Tick);
    assert_eq!(fed.replicator.local_writes(), LocalWrites::Open);
    assert_eq!(fed.reissues(), []);
    assert_eq!(fed.alarms().len(), 1);
}

/// What it holds of others it may have forgotten, and so may they; nobody may be connected any more when it writes.
#[test]
fn what_an_old_copy_writes_again_is_newer_than_the_clocks_told_with_what_its_peers_held() {
    let mut fed = Fed::new(&[(OURS, 4), (THEIRS, 5)], &[(THEIRS, 5)]);
    fed.commit(&[(OURS, 6), (THEIRS, 5)]);
    fed.clock = Csn::new(1_700_000_000_000, 3, THEIRS);
    fed.acknowledge(&[(THEIRS, 6)], &[(THEIRS, 6)]);
    let told = fed.clock;
    fed.clock = Csn::NONE;
    fed.beacon(&[(OURS, 9), (THEIRS, 6)]);
    fed.write_done(Holding { origin: OriginId(3), vector: vector(&[(OURS, 6), (THEIRS, 5)]), ..Holding::default() });
    fed.greet(THEIRS, &[(OURS, 9), (THEIRS, 6)]);
    fed.hear_chains(OURS, &[(4, 4), (5, 5)], &[(4, 4), (5, 50)]);
    let clock = fed.out.iter().find_map(|output| match output {
        Output::Write { write: WriteRequest::ReissueTail { clock, .. }, .. } => Some(*clock),
        _ => None,
    });
    assert_eq!(clock, Some(told));
}

/// The others' word is of a copy that ran beside, so nothing says up to where it holds for this one.
#[test]
fn what_all_members_hold_is_not_written_again_by_what_was_taken_for_an_old_copy() {
    let mut fed = Fed::new(&[(OURS, 4), (THEIRS, 5)], &[(OURS, 4), (THEIRS, 5)]);
    fed.commit(&[(OURS, 6), (THEIRS, 5)]);
    fed.beacon(&[(OURS, 6), (THEIRS, 5)]);
    fed.feed(Input::Tick);
    fed.commit(&[(OURS, 7), (THEIRS, 5)]);
    let held_before = vec![(OriginId(7), 3)];
    fed.hear(Message::Standing(Standing { state: MemberState::Active, finals: Vec::new(), held_before, twin: None }));
    fed.write_done(Holding { origin: OriginId(3), vector: vector(&[(OURS, 7), (THEIRS, 5)]), ..Holding::default() });
    assert_eq!(fed.reissues(), [], "not before all that others hold is here");
    fed.greet(THEIRS, &[(OURS, 6), (THEIRS, 5)]);
    fed.beacon(&[(OURS, 6), (THEIRS, 5)]);
    assert_eq!(fed.reissues(), [(OURS, 6)]);
}

/// It began a new origin at its start and wrote two changes under it before the peer, which holds its earlier numbers, was there.
#[test]
fn old_copy_writes_again_what_it_wrote_under_a_new_origin_once_it_has_caught_up() {
    let before = OriginId(4);
    let local = Local {
        origins_before: vec![before],
        members: vec![
            Member { node: node(1), origins: vec![OURS, before], ..Member::default() },
            Member { node: node(2), origins: vec![THEIRS], ..Member::default() },
        ],
        ..local(&[(before, 4), (THEIRS, 5)], &[])
    };
    let repeats = |fed: &Fed| -> Vec<(OriginId, u64)> {
        let repeat = |output: &Output| match output {
            Output::Write { write: WriteRequest::RepeatTail { origin, after, .. }, .. } => Some((*origin, *after)),
            _ => None,
        };
        fed.out.iter().filter_map(repeat).collect()
    };
    let run_on = |mut fed: Fed| {
        assert_eq!(fed.replicator.local_writes(), LocalWrites::CatchingUp);
        assert_eq!(repeats(&fed), [], "what others deleted meanwhile is not known here");
        fed.commit(&[(OURS, 2), (before, 6), (THEIRS, 8)]);
        assert_eq!(repeats(&fed), [(OURS, 0)]);
        assert_eq!(fed.replicator.local_writes(), LocalWrites::CatchingUp);
        let vector = vector(&[(OURS, 4), (before, 6), (THEIRS, 8)]);
        fed.write_done(Holding { origin: OURS, vector, ..Holding::default() });
        fed.beacon(&[(before, 6), (THEIRS, 8)]);
        assert_eq!(fed.replicator.local_writes(), LocalWrites::Open);
        assert_eq!(repeats(&fed).len(), 1);
    };
    let mut fed = Fed::alone(local.clone());
    fed.commit(&[(OURS, 2), (before, 4), (THEIRS, 5)]);
    fed.greet(THEIRS, &[(before, 6), (THEIRS, 8)]);
    assert!(matches!(fed.alarms()[..], [Alarm::RolledBack { origin }] if *origin == before), "{:?}", fed.alarms());
    let noted = fed.out.iter().rev().find_map(|output| match output {
        Output::Write { write: WriteRequest::NoteCatchUp(noted), .. } => Some(noted.clone()),
        _ => None,
    });
    run_on(fed);
    // The same when its run ends before it has caught up.
    let held = vector(&[(OURS, 2), (before, 4), (THEIRS, 5)]);
    let holding = Holding { vector: held, ..local.holding.clone() };
    let local = Local { catch_up: noted.expect("a note"), holding, ..local };
    run_on(Fed::greeted(local, &[(before, 6), (THEIRS, 8)]));
}

#[test]
fn old_copy_that_wrote_nothing_has_nothing_to_write_again() {
    let mut fed = Fed::new(&[(OURS, 4), (THEIRS, 5)], &[(OURS, 9), (THEIRS, 5)]);
    assert_eq!(fed.alarms().len(), 1);
    fed.write_done(Holding { origin: OriginId(3), vector: vector(&[(OURS, 4), (THEIRS, 5)]), ..Holding::default() });
    assert_eq!(fed.reissues(), []);
}

/// The last run was killed, so that this one began a new origin at its start; the peer never heard that the node held 9.
#[test]
fn old_copy_that_began_a_new_origin_at_its_start_is_told_and_catches_up_before_it_takes_changes() {
    let new = OriginId(3);
    let held = [(OURS, 4), (THEIRS, 5)];
    let with_own = |origins: Vec<OriginId>| {
        let mut local = local(&held, &[(1, OURS), (2, THEIRS)]);
        local.members[0].origins = origins;
        local.origins_before = vec![OURS];
        local.holding.origin = new;
        Fed::greeted(local, &[(OURS, 9), (THEIRS, 5)])
    };
    let mut fed = with_own(vec![OURS]);
    assert!(matches!(fed.alarms()[..], [Alarm::RolledBack { origin: OURS }]), "{:?}", fed.alarms());
    assert_eq!(fed.replicator.local_writes(), LocalWrites::CatchingUp);
    assert_eq!(fed.cut(), StableCut::new());
    fed.beacon(&[(OURS, 9), (THEIRS, 5)]);
    let vector = vector(&[(OURS, 9), (THEIRS, 5)]);
    fed.feed(Input::Committed(Box::new(Holding { origin: new, vector, ..Holding::default() })));
    assert_eq!(fed.replicator.local_writes(), LocalWrites::Open);
    assert_eq!((fed.alarms().len(), fed.reissues()), (1, Vec::new()), "told once, and nothing is written again");
    // What the original of a copy goes on to write is not missing in the copy that became a member of its own.
    assert!(with_own(Vec::new()).alarms().is_empty());
}

/// Its reader holds our 9, which nobody else does; a reader sends no changes. Else it could stop writes by a word.
#[test]
fn old_copy_does_not_wait_for_what_only_a_consumer_holds() {
    let mut local = local(&[(OURS, 4)], &[(1, OURS), (2, THEIRS)]);
    local.members[1].role = Role::Consumer;
    let mut fed = Fed::greeted(local, &[(OURS, 9)]);
    assert!(matches!(fed.alarms()[..], [Alarm::RolledBack { origin: OURS }]), "{:?}", fed.alarms());
    let new = OriginId(3);
    fed.write_done(Holding { origin: new, vector: vector(&[(OURS, 4)]), ..Holding::default() });
    fed.greet(THEIRS, &[(OURS, 9)]);
    fed.beacon(&[(OURS, 9)]);
    fed.feed(Input::Tick);
    assert_eq!(fed.replicator.local_writes(), LocalWrites::Open);
}

/// The end was agreed while the member was away with a change more.
#[test]
fn what_is_beyond_an_agreed_end_is_written_again_by_suppliers_alone() {
    let reissues = |role: Role| {
        let held = [(OURS, 4), (THEIRS, 6)];
        let mut local = local(&held, &[(1, OURS), (2, THEIRS)]);
        local.members[0].role = role;
        local.members[1].state = MemberState::Retired;
        local.members[1].finals = BTreeMap::from([(THEIRS, 5)]);
        let mut fed = Fed::alone(local);
        fed.feed(Input::Tick);
        fed.reissues()
    };
    assert_eq!(reissues(Role::Supplier), [(THEIRS, 5)]);
    assert_eq!(reissues(Role::Hub), []);
    assert_eq!(reissues(Role::Consumer), []);
}

/// Nobody knows how old the copy is, and nobody waited for it under the name that it gets.
#[test]
fn copy_that_takes_another_identity_catches_up_with_those_it_met_first() {
    let mut fed = Fed::new(&[(OURS, 4), (THEIRS, 5)], &[(OURS, 4), (THEIRS, 8)]);
    let standing = Standing { state: MemberState::Active, finals: Vec::new(), held_before: Vec::new(), twin: Some(0) };
    fed.hear(Message::Standing(standing));
    assert_eq!(fed.replicator.local_writes(), LocalWrites::CatchingUp);
    let place = |wanted: fn(&Output) -> bool| fed.out.iter().position(wanted);
    let noted = place(|output| {
        let target = BTreeMap::from([(OURS, 4), (THEIRS, 8)]);
        matches!(output, Output::Write { write: WriteRequest::NoteCatchUp(noted), .. } if *noted == target)
    });
    let taken = place(|output| matches!(output, Output::TakeNewIdentity));
    assert!(noted.is_some() && noted < taken, "{:?}", fed.out);
}

/// Its changes may be older than what others have forgotten: they are not told as they are.
#[test]
fn copy_with_an_identity_of_its_own_takes_all_content_and_writes_again_what_nobody_has() {
    let copied = OriginId(9);
    let held = [(OURS, 1), (THEIRS, 5), (copied, 3)];
    let members = [(1, OURS), (2, THEIRS)];
    let note = BTreeMap::from([(UNAWAITED, 0)]);
    let local = Local { origins_before: vec![copied], catch_up: note, ..local(&held, &members) };
    let mut fed = Fed::greeted(local, &[(OURS, 0), (THEIRS, 5), (copied, 1)]);
    fed.hear(Message::Interest(Interest { all_but: true, origins: vec![THEIRS], held: vec![(copied, 1)] }));
    fed.at_ms += 1_000;
    fed.feed(Input::Tick);
    assert_eq!(fed.replicator.local_writes(), LocalWrites::CatchingUp);
    let told = fed.out.iter().filter_map(|output| match output {
        Output::Read { read: ReadRequest::Log { origin, .. }, .. } => Some(*origin),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [OURS]);
    assert!(fed.reissues().is_empty());
    fed.take_all(Holding { origin: OURS, vector: vector(&held), ..Holding::default() }, &held[..2]);
    assert_eq!(fed.reissues(), [(copied, 1)]);
    assert_eq!(fed.replicator.local_writes(), LocalWrites::CatchingUp);
}
