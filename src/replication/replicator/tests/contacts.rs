//! What is known of members that fell silent, over the ends of runs and through others; and who is suspended for it.

use super::*;
use crate::replication::message::Silence;

const DAY_MS: u64 = 24 * 3_600_000;
/// What the time of stamps is ahead of monotonic time.
const EPOCH_MS: u64 = 1_700_000_000_000;
const THIRD: OriginId = OriginId(3);

/// Node 1 of a cluster of so many suppliers, of whose third the run before heard last `silent_ms` of its own time ago.
fn cluster(suppliers: u8, silent_ms: u64) -> Fed {
    let held = [(OURS, 9), (THEIRS, 5), (THIRD, 4)];
    let members: Vec<(u8, OriginId)> = (1..=suppliers).map(|number| (number, OriginId(u64::from(number)))).collect();
    let contact = Contact {
        node: node(3),
        held: BTreeMap::from([(OURS, 6), (THEIRS, 5), (THIRD, 4)]),
        heard_ms: Some(EPOCH_MS - 2 * silent_ms),
        silent_ms,
        lacking_since_ms: BTreeMap::from([(OURS, EPOCH_MS - 7_000)]),
    };
    let mut fed = Fed::alone(Local { contacts: vec![contact], ..local(&held, &members) });
    fed.at_ms = 1 << 40;
    fed.feed(Input::Tick);
    fed.greet(THEIRS, &held);
    fed
}

impl Fed {
    fn third(&self, stamp_ms: u64) -> MemberStatus {
        let now = Now { wall_ms: stamp_ms, stamp_ms, monotonic_ms: self.at_ms };
        let status = self.replicator.status(now);
        status.members.into_iter().find(|status| status.member.node == node(3)).unwrap()
    }

    fn hears_silences(&mut self, silent: &[u8], silences: &[(u8, u64, &[u8])]) {
        let nodes = |numbers: &[u8]| numbers.iter().copied().map(node).collect::<Vec<_>>();
        let word = |(of, age_ms, silent): &(u8, u64, &[u8])| Silence {
            node: node(*of),
            age_ms: *age_ms,
            silent: nodes(silent),
        };
        let whole = vector(&[(OURS, 9), (THEIRS, 5), (THIRD, 4)]);
        let beacon = Beacon {
            check: vector_check(&whole),
            vector: whole,
            silent: nodes(silent),
            silences: silences.iter().map(word).collect(),
            ..self.plain_beacon()
        };
        self.beacon_as(beacon);
        self.at_ms += Options::default().silence_ms / 3;
        self.feed(Input::Tick);
    }

    fn suspended(&self) -> Vec<NodeId> {
        let suspended = self.out.iter().filter_map(|output| match output {
            Output::SetMember { node, state: MemberState::Suspended, .. } => Some(*node),
            _ => None,
        });
        suspended.collect()
    }
}

#[test]
fn backlog_of_a_member_that_is_down_and_its_age_are_known_after_a_restart() {
    let fed = cluster(3, 60_000);
    let third = fed.third(EPOCH_MS);
    assert_eq!((third.backlog, third.missing), (BTreeMap::from([(OURS, 3)]), BTreeMap::new()));
    assert_eq!((third.heard_ms_ago, third.backlog_age_ms), (Some(120_000), Some(7_000)));
    assert_eq!(third.verdict, MemberVerdict::Unknown, "of this run nothing is known");
}

/// It may have been stopped, or put back from an old copy, since it said so.
#[test]
fn what_a_run_before_heard_lets_no_order_wait_for_an_answer_and_shows_no_change_to_be_held() {
    let held = [(OURS, 9), (THEIRS, 5)];
    let said = BTreeMap::from(held);
    let contact = Contact { node: node(2), held: said, heard_ms: Some(EPOCH_MS), ..Contact::default() };
    let mut fed = Fed::alone(Local { contacts: vec![contact], ..local(&held, &[(1, OURS), (2, THEIRS)]) });
    let now = Now { wall_ms: EPOCH_MS, stamp_ms: EPOCH_MS, monotonic_ms: fed.at_ms };
    assert_eq!(fed.replicator.status(now).members[0].heard_ms_ago, Some(0));
    assert_eq!(fed.replicator.heard_now_ms_ago(node(2), now), None);
    assert!(!fed.replicator.is_heard_out());
    fed.greet(THEIRS, &held);
    let now = Now { monotonic_ms: fed.at_ms, ..now };
    assert!(fed.replicator.heard_now_ms_ago(node(2), now).is_some());
    assert!(fed.replicator.is_heard_out());
}

#[test]
fn what_a_member_says_now_takes_the_place_of_what_a_run_before_heard() {
    let mut fed = cluster(3, 60_000);
    let row = Row {
        node: node(3),
        origin: THIRD,
        age_ms: 0,
        held: apart(&[(OURS, 8), (THEIRS, 5), (THIRD, 4)].into(), &vector(&[(OURS, 9), (THEIRS, 5), (THIRD, 4)])),
        digest: None,
    };
    fed.beacon_with(&[(OURS, 9), (THEIRS, 5), (THIRD, 4)], vec![row]);
    let third = fed.third(EPOCH_MS);
    assert_eq!((third.backlog, third.heard_ms_ago, third.silent_ms), (BTreeMap::from([(OURS, 1)]), Some(0), 0));
    let now = Now { wall_ms: EPOCH_MS, stamp_ms: EPOCH_MS, monotonic_ms: fed.at_ms };
    let kept = fed.replicator.contacts(now).into_iter().find(|contact| contact.node == node(3)).unwrap();
    assert_eq!((kept.held.get(&OURS), kept.heard_ms, kept.silent_ms), (Some(&8), Some(EPOCH_MS), 0));
}

/// Design 3.9 counts silence; the runs before count, the time by clocks that jump does not.
#[test]
fn silence_is_counted_over_the_ends_of_runs_and_by_no_clock_that_jumps() {
    let mut fed = cluster(3, 13 * DAY_MS);
    let began_ms = fed.at_ms;
    fed.at_ms += DAY_MS - 60_000;
    let third = fed.third(EPOCH_MS + 400 * DAY_MS);
    assert!(third.heard_ms_ago > Some(400 * DAY_MS), "{third:?}");
    assert_eq!(third.silent_ms / 1_000, (14 * DAY_MS - 60_000) / 1_000);
    fed.hears_silences(&[3], &[]);
    assert_eq!(fed.suspended(), [], "a minute is missing");
    fed.at_ms = began_ms + DAY_MS + 1;
    fed.hears_silences(&[3], &[]);
    assert_eq!(fed.suspended(), [node(3)]);
}

/// Of five in a chain one hears two at most, and the words of the others through them.
#[test]
fn majority_agrees_through_others() {
    let mut fed = cluster(5, 14 * DAY_MS);
    fed.hears_silences(&[3], &[]);
    assert_eq!(fed.suspended(), [], "two of five");
    fed.hears_silences(&[3], &[(4, 10 * Options::default().silence_ms, &[3])]);
    assert_eq!(fed.suspended(), [], "what the fourth said is too old by now");
    fed.hears_silences(&[3], &[(3, 0, &[3]), (1, 0, &[3]), (9, 0, &[3])]);
    assert_eq!(fed.suspended(), [], "neither the suspect, nor this node twice, nor who is no member counts");
    fed.hears_silences(&[3], &[(4, 20_000, &[3])]);
    assert_eq!(fed.suspended(), [node(3)]);
    let told = |output: &Output| match output {
        Output::Alarm(Alarm::Suspended { member, by, .. }) => *member == node(3) && *by == [node(1), node(2), node(4)],
        _ => false,
    };
    assert_eq!(fed.out.iter().filter(|output| told(output)).count(), 1);
}

#[test]
fn who_was_heard_of_through_others_is_not_silent_whoever_says_so() {
    let mut fed = cluster(3, 14 * DAY_MS);
    let whole = [(OURS, 9), (THEIRS, 5), (THIRD, 4)];
    let row = Row { node: node(3), origin: THIRD, age_ms: 40_000, held: Vec::new(), digest: None };
    fed.beacon_with(&whole, vec![row]);
    fed.hears_silences(&[3], &[]);
    assert_eq!(fed.suspended(), []);
}

#[test]
fn words_of_silence_are_told_on_to_others_and_not_back() {
    let mut fed = cluster(5, 0);
    fed.hears_silences(&[3], &[(4, 20_000, &[3]), (5, 0, &[])]);
    fed.out.clear();
    fed.feed(Input::Connected { session: SessionId(8), peer: node(5), dialled: true });
    fed.greet_as(SessionId(8), 5, OriginId(5), &[]);
    fed.beacon(&[(OURS, 9), (THEIRS, 5), (THIRD, 4)]);
    fed.at_ms += Options::default().beacon_idle_ms;
    fed.feed(Input::Tick);
    let told = |to: SessionId| {
        let last = fed.out.iter().rev().find_map(|output| match output {
            Output::Send { session, message: Message::Beacon(beacon) } if *session == to => Some(&beacon.silences),
            _ => None,
        });
        let words = last.expect("a beacon").iter();
        words.map(|word| (word.node, word.silent.clone())).collect::<Vec<_>>()
    };
    assert_eq!(told(SessionId(8)), [(node(2), vec![]), (node(4), vec![node(3)])], "the second took its word back");
    assert_eq!(told(SESSION), [(node(4), vec![node(3)])]);
}
