//! What is known of a member by its own word and by what others tell of it.

use super::*;

#[test]
fn node_that_is_its_clusters_only_member_holds_all_that_its_members_hold() {
    let local = local(&[(OURS, 4)], &[(1, OURS)]);
    let mut replicator = Replicator::new(local, Options::default());
    let mut out = Vec::new();
    replicator.handle(Now { wall_ms: 1_000_000, stamp_ms: 1_000_000, monotonic_ms: 1_000_000 }, Input::Tick, &mut out);
    let settles = out.iter().any(|output| {
        matches!(output, Output::Write { write: WriteRequest::Settle { cut, .. }, .. } if *cut == BTreeMap::from([(OURS, 4)]))
    });
    assert!(settles, "{out:?}");
}

/// The third member is linked with the peer alone; the peer tells what it said.
#[test]
fn member_that_only_others_hear_is_equal_by_their_word_while_that_is_young() {
    let held = [(OURS, 4), (THEIRS, 5)];
    let mut fed = Fed::new(&held, &held);
    let third = Member { node: node(3), origins: vec![OriginId(3)], ..Member::default() };
    let member = |number, origin| Member { node: node(number), origins: vec![origin], ..Member::default() };
    fed.feed(Input::Members(vec![member(1, OURS), member(2, THEIRS), third]));
    let verdict = |fed: &Fed, later_ms: u64| {
        let now =
            Now { wall_ms: fed.at_ms + later_ms, stamp_ms: fed.at_ms + later_ms, monotonic_ms: fed.at_ms + later_ms };
        let status = fed.replicator.status(now);
        status.members.iter().find(|status| status.member.node == node(3)).map(|status| status.verdict)
    };
    let row = |age_ms, held: &[(OriginId, u64)], digest| Row {
        node: node(3),
        origin: OriginId(3),
        age_ms,
        held: apart(&held.iter().copied().collect(), &vector(&[(OURS, 4), (THEIRS, 5)])),
        digest,
    };
    assert_eq!(verdict(&fed, 0), Some(MemberVerdict::Unknown));
    let ours = Holding::default().digest;
    fed.beacon_with(&held, vec![row(900, &[(OURS, 4)], Some(ours))]);
    assert_eq!(verdict(&fed, 0), Some(MemberVerdict::CatchingUp { they_lack: 5, we_lack: 0 }));
    fed.beacon_with(&held, vec![row(500, &held, None)]);
    assert_eq!(verdict(&fed, 0), Some(MemberVerdict::CatchingUp { they_lack: 0, we_lack: 0 }));
    fed.beacon_with(&held, vec![row(10, &held, Some(ours))]);
    assert_eq!(verdict(&fed, 0), Some(MemberVerdict::Equal));
    assert_eq!(verdict(&fed, 60_001), Some(MemberVerdict::CatchingUp { they_lack: 0, we_lack: 0 }), "too long ago");
    fed.beacon_with(&held, vec![row(0, &held, Some(BucketSum { count: 1, sum: 1 }))]);
    assert_eq!(verdict(&fed, 0), Some(MemberVerdict::Different));
}

/// The session is older than the word of the suspension, so that no greeting comes any more. Nothing needs to be forgotten.
#[test]
fn suspended_member_that_goes_on_to_speak_is_taken_back() {
    for settle_ms in [Options::default().settle_ms, u64::MAX / 2] {
        let held = [(OURS, 4), (THEIRS, 5)];
        let mut fed = Fed::new(&held, &held);
        fed.replicator.options.settle_ms = settle_ms;
        let suspended = Member {
            node: node(2),
            origins: vec![THEIRS],
            state: MemberState::Suspended,
            finals: BTreeMap::from([(THEIRS, 5)]),
            ..Member::default()
        };
        let own = Member { node: node(1), origins: vec![OURS], ..Member::default() };
        fed.feed(Input::Members(vec![own, suspended]));
        let taken_back = |fed: &Fed| {
            fed.out.iter().any(|output| matches!(output, Output::SetMember { state: MemberState::Active, node: who, .. } if *who == node(2)))
        };
        fed.beacon(&held);
        fed.at_ms += Options::default().settle_ms;
        fed.feed(Input::Tick);
        assert!(!taken_back(&fed), "what was on its way then says nothing");
        fed.write_done(Holding { origin: OURS, vector: vector(&held), ..Holding::default() });
        fed.at_ms += Options::default().silence_ms - 1_000;
        fed.beacon(&held);
        fed.at_ms += 2_000;
        fed.beacon(&held);
        fed.feed(Input::Tick);
        assert!(taken_back(&fed));
    }
}

/// This run knew from its beginning that the member is suspended, and others go on telling what it said before.
#[test]
fn what_a_suspended_member_said_before_this_run_does_not_take_it_back() {
    let third = OriginId(3);
    let held = [(OURS, 4), (THEIRS, 5), (third, 6)];
    let mut local = local(&held, &[(1, OURS), (2, THEIRS), (3, third)]);
    for member in local.members.iter_mut().filter(|member| member.node == node(3)) {
        (member.state, member.finals) = (MemberState::Suspended, BTreeMap::from([(third, 6)]));
    }
    let mut fed = Fed::alone(local);
    fed.at_ms = 1_000_000;
    fed.greet(THEIRS, &held);
    let latest: BTreeMap<OriginId, u64> = held.into_iter().collect();
    let row = |age_ms| Row { node: node(3), origin: third, age_ms, held: apart(&latest, &vector(&held)), digest: None };
    let is_taken_back =
        |fed: &Fed| fed.out.iter().any(|output| matches!(output, Output::SetMember { state: MemberState::Active, .. }));
    let almost_silent_ms = Options::default().silence_ms - 1_000;
    fed.beacon_with(&held, vec![row(500_000)]);
    fed.at_ms += almost_silent_ms;
    fed.feed(Input::Tick);
    assert!(!is_taken_back(&fed));
    fed.beacon(&held);
    fed.at_ms += 2_000;
    fed.beacon_with(&held, vec![row(0)]);
    fed.at_ms += almost_silent_ms;
    fed.feed(Input::Tick);
    assert!(is_taken_back(&fed));
}

impl Fed {
    /// What the store is told that all held when nobody held more than all do now; each time that it is to forget anything.
    fn known(&mut self) -> Vec<StableCut> {
        self.at_ms += Options::default().settle_ms;
        self.feed(Input::Tick);
        let known = |output: &Output| match output {
            Output::Write { write: WriteRequest::Settle { known, .. }, .. } => Some(known.clone()),
            _ => None,
        };
        self.out.iter().filter_map(known).collect()
    }
}

/// Which of its changes another did not know that made the entry again, a node looks up in its own log.
#[test]
fn own_records_are_kept_until_they_are_stable_and_those_of_others_until_all_have_them() {
    let third = OriginId(3);
    let held = [(OURS, 4), (THEIRS, 5), (third, 6)];
    let trimmed = |holds: [(OriginId, u64); 3]| -> BTreeMap<OriginId, u64> {
        let mut fed = Fed::greeted(local(&held, &[(1, OURS), (2, THEIRS), (3, third)]), &held);
        fed.replicator.options.log_records_kept = 0;
        let row = apart(&holds.into(), &vector(&held));
        fed.beacon_with(&held, vec![Row { node: node(3), origin: third, age_ms: 0, held: row, digest: None }]);
        fed.at_ms += Options::default().settle_ms;
        fed.feed(Input::Tick);
        let floors = |output: &Output| match output {
            Output::Write { write: WriteRequest::TrimLog(floors), .. } => Some(floors.clone()),
            _ => None,
        };
        fed.out.iter().find_map(floors).expect("it trims")
    };
    assert_eq!(trimmed(held), [(OURS, 5), (THEIRS, 6), (third, 7)].into());
    let with_one_that_is_not_here = [(OURS, 4), (THEIRS, 5), (third, 7)];
    assert_eq!(trimmed(with_one_that_is_not_here), [(THEIRS, 6), (third, 7)].into());
}

/// A move that all hold may wait for a birth that only one of them has.
#[test]
fn what_anybody_still_holds_alone_may_be_awaited() {
    let (held, third) = ([(OURS, 4), (THEIRS, 5)], OriginId(3));
    let more = [(OURS, 4), (THEIRS, 5), (third, 2)];
    let all = |held: &[(OriginId, u64)]| held.iter().copied().collect::<StableCut>();
    let begun = || {
        let mut fed = Fed::new(&held, &held);
        fed.beacon(&more);
        assert_eq!(fed.known(), [StableCut::new()]);
        fed.write_done(Holding { origin: OURS, vector: vector(&held), ..Holding::default() });
        assert_eq!(fed.known().len(), 1, "the peer has what may be awaited");
        fed
    };
    let mut fed = begun();
    fed.commit(&more);
    assert_eq!(fed.known(), [StableCut::new(), all(&held)]);
    fed.write_done(Holding { origin: OURS, vector: vector(&more), ..Holding::default() });
    assert_eq!(fed.known(), [StableCut::new(), all(&held), all(&more)]);
    // The peer's disk went back to an old copy.
    let mut fed = begun();
    fed.beacon(&held);
    assert_eq!(fed.known(), [StableCut::new(), all(&held)]);
}

/// Its content may be of a time when the member was suspended.
#[test]
fn nobody_is_taken_back_by_a_node_whose_content_is_on_its_way() {
    let held = [(OURS, 4), (THEIRS, 5)];
    let takes_back = |joined: bool| {
        let mut local = Local { joined, ..local(&held, &[(1, OURS), (2, THEIRS)]) };
        local.members[1].state = MemberState::Suspended;
        let fed = Fed::greeted(local, &held);
        fed.out.iter().any(|output| matches!(output, Output::SetMember { state: MemberState::Active, .. }))
    };
    assert_eq!((takes_back(true), takes_back(false)), (true, false));
}

/// Its entry may come late, or never: where both withdrew each other, each takes nothing of the other beyond its end.
#[test]
fn peer_that_is_withdrawn_while_its_session_stands_is_told_by_that_session() {
    let held = [(OURS, 4), (THEIRS, 5)];
    let mut fed = Fed::new(&held, &held);
    let own = Member { node: node(1), origins: vec![OURS], ..Member::default() };
    let withdrawn = |state, end| Member {
        node: node(2),
        origins: vec![THEIRS],
        state,
        finals: BTreeMap::from([(THEIRS, end)]),
        ..Member::default()
    };
    for (state, end) in [(MemberState::Suspended, 5), (MemberState::Suspended, 5), (MemberState::Active, 5)] {
        fed.feed(Input::Members(vec![own.clone(), withdrawn(state, end)]));
    }
    let told = fed.out.iter().filter_map(|output| match output {
        Output::Send { session: SESSION, message: Message::Standing(standing) } => {
            Some((standing.state, standing.finals.clone()))
        }
        _ => None,
    });
    let ends = vec![(THEIRS, 5)];
    assert_eq!(
        told.collect::<Vec<_>>(),
        [(MemberState::Suspended, ends.clone()), (MemberState::Active, ends)],
        "each once"
    );
}

#[test]
fn rate_of_changes_is_of_the_last_ten_seconds() {
    let mut fed = Fed::new(&[(OURS, 4)], &[(OURS, 4)]);
    let rate = |fed: &Fed| {
        let now = Now { wall_ms: fed.at_ms, stamp_ms: fed.at_ms, monotonic_ms: fed.at_ms };
        let status = fed.replicator.status(now);
        status.members.iter().find_map(|member| member.peer.as_ref()).map(|peer| peer.apply_rate)
    };
    let at_ms = fed.at_ms;
    fed.replicator.peers.get_mut(&SESSION).expect("a session").count_applied(300, at_ms);
    assert_eq!(rate(&fed), Some(30.0));
    fed.at_ms += 11_000;
    assert_eq!(rate(&fed), Some(0.0), "nothing came since");
}

/// Who sends what has to be dropped again and again is not taken for one who floods.
#[test]
fn what_is_dropped_unread_is_not_on_the_account_of_who_sent_it() {
    let mut fed = Fed::new(&[(OURS, 4)], &[(OURS, 4)]);
    for (origin, sequence) in [(THEIRS, 1), (OriginId(3), 1)] {
        let record = crate::state::LogRecord { origin, sequence, chain: [0; 16], bytes: vec![0; 100] };
        fed.replicator.consumer.queue.push_back((SESSION, record));
    }
    fed.replicator.peers.get_mut(&SESSION).expect("a session").queued_bytes = 200;
    fed.replicator.drop_queued(THEIRS);
    assert_eq!(fed.replicator.peers[&SESSION].queued_bytes, 100);
}
