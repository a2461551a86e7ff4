//! T-49: a peer sends changes of origins that a member answers for, and speaks as one of its own.

use super::*;
use crate::replication::member::UNHEARD;
use crate::replication::message::Push;

const NEW: OriginId = OriginId(9);
const SECOND: SessionId = SessionId(8);

impl Fed {
    fn hear_push(&mut self, origin: OriginId, answers: Option<NodeId>) {
        let push = Push { origin, answers, first: 1, chain: [1; 16], records: vec![vec![1]] };
        self.hear(Message::Push(push));
    }

    /// What this node told the peer of a session when it ended it.
    fn refused(&self, of: SessionId) -> Option<PeerError> {
        self.out.iter().find_map(|output| match output {
            Output::Close { session, reason: CloseReason::Fault(error) } if *session == of => Some(*error),
            _ => None,
        })
    }

    fn takes(&self, of: OriginId) -> bool {
        self.out.iter().any(|output| match output {
            Output::Write { write: WriteRequest::Apply { records, .. }, .. } => {
                records.iter().any(|record| record.origin == of)
            }
            _ => false,
        })
    }

    /// The peer sends it again and again for a minute, and is heard in between.
    fn hear_for_a_minute(&mut self, origin: OriginId, answers: Option<NodeId>, held: &[(OriginId, u64)]) {
        for _ in 0..60 {
            self.at_ms += 1_000;
            self.beacon(held);
            self.hear_push(origin, answers);
        }
    }
}

fn listed(members: &[(u8, &[OriginId])]) -> Input {
    let member = |(number, origins): &(u8, &[OriginId])| Member {
        node: node(*number),
        origins: origins.to_vec(),
        ..Member::default()
    };
    Input::Members(members.iter().map(member).collect())
}

#[test]
fn origin_that_no_entry_names_and_no_member_answers_for_ends_the_session() {
    let held = [(OURS, 4), (THEIRS, 5)];
    let mut fed = Fed::new(&held, &held);
    fed.hear_push(NEW, None);
    assert_eq!(fed.refused(SESSION), Some(PeerError::NotAllowed));
    assert_eq!(fed.alarms(), [&Alarm::Unanswered { peer: node(2), origin: NEW }]);
    assert!(!fed.takes(NEW));
}

/// It joined elsewhere, and the first of its changes is the one by which its entry names its origin.
#[test]
fn first_change_of_a_member_comes_by_another_before_its_entry_names_its_origin() {
    let held = [(OURS, 4), (THEIRS, 5)];
    let mut fed = Fed::new(&held, &held);
    fed.feed(listed(&[(1, &[OURS]), (2, &[THEIRS]), (3, &[])]));
    fed.hear_push(NEW, Some(node(3)));
    assert!(fed.takes(NEW));
    assert_eq!((fed.refused(SESSION), fed.alarms().len()), (None, 0));
}

/// Its entry was taken away, or never named it: who sends it on answers for it.
#[test]
fn origin_whose_member_the_sender_does_not_know_is_taken_by_the_senders_word() {
    let held = [(OURS, 4), (THEIRS, 5)];
    let mut fed = Fed::new(&held, &held);
    fed.hear_push(NEW, Some(node(2)));
    assert!(fed.takes(NEW));
    let mut sender = Fed::new(&[(OURS, 4), (THEIRS, 5), (NEW, 1)], &held);
    assert_eq!(sender.replicator.answers_for(NEW), node(1), "which it says of itself");
    sender.feed(listed(&[(1, &[OURS]), (2, &[THEIRS]), (3, &[NEW])]));
    assert_eq!(sender.replicator.answers_for(NEW), node(3));
}

/// Its role may be what is lacking here.
#[test]
fn change_of_a_reader_waits_for_its_new_role_and_costs_no_session_until_nothing_else_is_lacking() {
    let (held, theirs) = ([(OURS, 4), (THEIRS, 5)], [(OURS, 4), (THEIRS, 6), (NEW, 1)]);
    let mut fed = Fed::new(&held, &theirs);
    let reads = Member { node: node(3), role: Role::Hub, origins: vec![NEW], ..Member::default() };
    let both = |third: &Member| {
        let own = |number, origin| Member { node: node(number), origins: vec![origin], ..Member::default() };
        Input::Members(vec![own(1, OURS), own(2, THEIRS), third.clone()])
    };
    fed.feed(both(&reads));
    fed.hear_for_a_minute(NEW, Some(node(3)), &theirs);
    assert_eq!((fed.refused(SESSION), fed.takes(NEW)), (None, false));
    fed.commit(&[(OURS, 4), (THEIRS, 6)]);
    fed.feed(both(&Member { role: Role::Supplier, ..reads.clone() }));
    fed.hear_push(NEW, Some(node(3)));
    assert_eq!((fed.refused(SESSION), fed.takes(NEW)), (None, true));
    // Where all else is here, nothing is to come that would allow it.
    let mut fed = Fed::new(&held, &theirs);
    fed.commit(&[(OURS, 4), (THEIRS, 6)]);
    fed.feed(both(&reads));
    fed.hear_for_a_minute(NEW, Some(node(3)), &theirs);
    assert_eq!((fed.refused(SESSION), fed.takes(NEW)), (Some(PeerError::NotAllowed), false));
}

/// A hub hands on what it took when it knew of another role, which it forgot with its content; a third member holds that change.
#[test]
fn change_of_a_reader_waits_for_what_any_member_holds_that_may_allow_it() {
    let (held, theirs) = ([(OURS, 4), (THEIRS, 5)], [(OURS, 4), (THEIRS, 5), (NEW, 1)]);
    let mut fed = Fed::alone(local(&held, &[(1, OURS), (2, THEIRS), (3, NEW), (4, OriginId(4))]));
    let third = |role| {
        let own = |number, origin| Member { node: node(number), origins: vec![origin], ..Member::default() };
        let reads = Member { role, ..own(3, NEW) };
        Input::Members(vec![own(1, OURS), own(2, THEIRS), reads, own(4, OriginId(4))])
    };
    fed.feed(third(Role::Hub));
    fed.greet(THEIRS, &theirs);
    let of_fourth = apart(&[(OURS, 4), (THEIRS, 5), (OriginId(4), 1)].into(), &vector(&theirs));
    let row = Row { node: node(4), origin: OriginId(4), age_ms: 0, held: of_fourth, digest: None };
    fed.beacon_with(&theirs, vec![row]);
    fed.hear_for_a_minute(NEW, Some(node(3)), &theirs);
    assert_eq!((fed.refused(SESSION), fed.takes(NEW)), (None, false));
    fed.commit(&[(OURS, 4), (THEIRS, 5), (OriginId(4), 1)]);
    fed.feed(third(Role::Supplier));
    fed.hear_push(NEW, Some(node(3)));
    assert_eq!((fed.refused(SESSION), fed.takes(NEW)), (None, true));
}

/// Who ended it knew the last of its origins alone, and that it has not written since.
#[test]
fn change_of_a_reader_from_before_its_ended_origin_is_taken_and_none_of_a_reader_without_an_end() {
    let held = [(OURS, 4), (THEIRS, 5)];
    for (ended, is_taken) in [(OriginId(10), true), (UNHEARD, false)] {
        let mut fed = Fed::new(&held, &held);
        let own = |number, origin| Member { node: node(number), origins: vec![origin], ..Member::default() };
        let reads =
            Member { role: Role::Hub, origins: vec![NEW, OriginId(10)], finals: [(ended, 3)].into(), ..own(3, NEW) };
        fed.feed(Input::Members(vec![own(1, OURS), own(2, THEIRS), reads]));
        fed.hear_push(NEW, Some(node(3)));
        assert_eq!(fed.takes(NEW), is_taken);
    }
}

/// It greets before it has heard that it is a supplier now, which is known here already: no other change of its entry comes.
#[test]
fn changes_are_asked_of_whom_its_entry_makes_a_supplier_whatever_it_said_itself_and_not_of_whom_it_makes_a_consumer() {
    let held = [(OURS, 4), (THEIRS, 5)];
    let asks = |here, there| {
        let mut local = local(&held, &[(1, OURS), (2, THEIRS)]);
        local.members[1].role = here;
        let mut fed = Fed::alone(local);
        fed.greet_with((SESSION, 2), there, THEIRS, &held);
        for _ in 0..60 {
            fed.at_ms += 1_000;
            fed.beacon(&[(OURS, 4), (THEIRS, 6)]);
            fed.feed(Input::Tick);
        }
        let is_asked = |output: &Output| {
            matches!(output, Output::Send { message: Message::Request { .. } | Message::Interest(_), .. })
        };
        fed.out.iter().any(is_asked)
    };
    assert!(asks(Role::Supplier, Role::Consumer));
    assert!(!asks(Role::Consumer, Role::Supplier), "nothing may be taken from there, and a session would end for it");
}

#[test]
fn for_an_origin_of_a_node_that_is_no_member_here_its_sender_answers() {
    let held = [(OURS, 4), (THEIRS, 5)];
    let mut fed = Fed::new(&held, &held);
    fed.hear_push(NEW, Some(node(3)));
    assert!(fed.takes(NEW));
    assert_eq!(fed.replicator.answers_for(NEW), node(2));
}

#[test]
fn hello_as_an_origin_that_an_entry_gives_to_another_member_ends_the_session() {
    let held = [(OURS, 4), (THEIRS, 5)];
    for (origin, owner) in [(OURS, 1), (NEW, 3)] {
        let mut fed = Fed::alone(local(&held, &[(1, OURS), (2, THEIRS), (3, NEW)]));
        fed.greet(origin, &held);
        assert_eq!(fed.refused(SESSION), Some(PeerError::ForeignOrigin));
        let expected = Alarm::ForeignOrigin { peer: node(2), origin, owner: node(owner) };
        assert_eq!(fed.alarms(), [&expected]);
        fed.out.clear();
        fed.greet(THEIRS, &held);
        assert_eq!(fed.refused(SESSION), None, "which is as good as before");
    }
}

/// Whoever says it first has not got it for that.
#[test]
fn entry_goes_before_the_word_of_another_member() {
    let held = [(OURS, 4), (THEIRS, 5)];
    let mut fed = Fed::alone(local(&held, &[(1, OURS), (2, THEIRS), (3, OriginId(3))]));
    fed.greet(NEW, &held);
    assert_eq!(fed.refused(SESSION), None);
    fed.feed(listed(&[(1, &[OURS]), (2, &[THEIRS]), (3, &[OriginId(3), NEW])]));
    assert_eq!(fed.refused(SESSION), Some(PeerError::ForeignOrigin));
    fed.greet_as(SECOND, 3, NEW, &held);
    assert_eq!(fed.refused(SECOND), None);
    assert_eq!(fed.replicator.answers_for(NEW), node(3));
}

#[test]
fn member_of_a_version_that_does_not_say_who_answers_is_taken_at_its_own_word() {
    let held = [(OURS, 4), (THEIRS, 5)];
    let mut fed = Fed::alone(local(&held, &[(1, OURS), (2, THEIRS)]));
    fed.versions = VersionRange { oldest: 1, newest: 1 };
    fed.greet(THEIRS, &held);
    fed.hear_push(NEW, None);
    assert!(fed.takes(NEW));
    assert_eq!(fed.refused(SESSION), None);
}
