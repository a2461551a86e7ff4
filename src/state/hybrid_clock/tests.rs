use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const NOON: u64 = 1_800_000_000_000;

#[derive(Clone, Debug)]
enum Step {
    Tick(u64),
    Observe(u64, u16),
    Bump(u64, u16),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ms = prop_oneof![4 => 0..4u64, 1 => 1_000_000..1_000_003u64];
    let counter = prop_oneof![Just(0u16), Just(0x7ffe), Just(0x7fff), Just(0x8000), Just(u16::MAX)];
    let step = prop_oneof![
        4 => ms.clone().prop_map(Step::Tick),
        1 => (ms.clone(), counter.clone()).prop_map(|(ms, counter)| Step::Observe(ms, counter)),
        2 => (ms, counter).prop_map(|(ms, counter)| Step::Bump(ms, counter)),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// csn-rises, csn-unique.
    #[test]
    fn ticks_rise_and_no_csn_is_given_twice(steps in steps()) {
        let origin = OriginId(5);
        let mut clock = HybridClock::new(origin);
        let (mut now, mut last, mut given) = (NOON, Csn::NONE, BTreeSet::new());
        for step in steps {
            match step {
                // Time goes forth and back.
                Step::Tick(ms) => {
                    now = NOON + ms;
                    let csn = clock.tick(now);
                    prop_assert!(csn > last);
                    prop_assert!(given.insert(csn));
                    prop_assert_eq!(csn.origin(), origin);
                    last = csn;
                }
                Step::Observe(ms, counter) => {
                    let received = Csn::new(NOON + ms, counter, OriginId(9));
                    match clock.observe(received, now) {
                        Observation::Followed => {
                            let csn = clock.tick(now);
                            prop_assert!(csn > received && csn > last);
                            prop_assert!(given.insert(csn));
                            last = csn;
                        }
                        Observation::TooFarAhead { ahead_ms } => {
                            prop_assert!(ahead_ms > DRIFT_MS_MAX);
                            prop_assert!(clock.last() >= last);
                        }
                        Observation::LaterEpoch => prop_assert!(false, "all are of the first epoch"),
                    }
                }
                Step::Bump(ms, counter) => {
                    let above = Csn::new(NOON + ms, counter, OriginId(9));
                    let ticked = clock.tick(now);
                    let csn = clock.bump(ticked, above);
                    prop_assert!(csn > above);
                    prop_assert!(csn >= ticked);
                    prop_assert!(given.insert(csn));
                    prop_assert_eq!(csn.origin(), origin);
                    last = ticked;
                }
                Step::Restart => clock = HybridClock::resume(origin, clock.last(), clock.bumped()),
            }
        }
    }

    #[test]
    fn disciplined_time_never_goes_back_and_slews_at_most_500_ppm(readings in prop::collection::vec((1..60_000u64, -1900..1900i64), 1..20)) {
        let mut passed = Duration::ZERO;
        let mut clock = DisciplinedClock::start(NOON, passed);
        for (step_ms, error_ms) in readings {
            let before = clock.now_us(passed);
            passed += Duration::from_millis(step_ms);
            let after = clock.now_us(passed);
            let step_us = step_ms as i64 * 1000;
            prop_assert!((after - before - step_us).abs() <= step_us / 2000 + 1);
            let wall_ms = (clock.now_ms(passed) as i64 + error_ms) as u64;
            let verdict = clock.observe_wall(wall_ms, passed, &[]);
            let slewing = matches!(verdict, WallVerdict::Slewing { .. });
            prop_assert!(slewing);
            prop_assert_eq!(clock.now_us(passed), after);
        }
    }
}

#[test]
fn counter_at_its_end_carries_into_the_milliseconds() {
    let origin = OriginId(1);
    let mut clock = HybridClock::resume(origin, Csn::new(NOON, 0x7ffe, origin), Csn::NONE);
    assert_eq!(clock.tick(NOON), Csn::new(NOON, 0x7fff, origin));
    assert_eq!(clock.tick(NOON), Csn::new(NOON + 1, 0, origin));
}

/// T-48.
#[test]
fn stamp_over_five_minutes_ahead_is_not_followed() {
    let mut clock = HybridClock::new(OriginId(1));
    let near = Csn::new(NOON + DRIFT_MS_MAX, 0, OriginId(2));
    let far = Csn::new(NOON + DRIFT_MS_MAX + 1, 0, OriginId(2));
    assert_eq!(clock.observe(far, NOON), Observation::TooFarAhead { ahead_ms: DRIFT_MS_MAX + 1 });
    assert!(clock.tick(NOON) < near);
    assert_eq!(clock.observe(near, NOON), Observation::Followed);
    assert!(clock.tick(NOON) > near);
}

/// T-48.
#[test]
fn entry_hit_by_a_wild_stamp_stays_editable_and_the_clock_stays() {
    let mut clock = HybridClock::new(OriginId(1));
    let wild = Csn::new(NOON * 2, 7, OriginId(2));
    let ticked = clock.tick(NOON);
    let first = clock.bump(ticked, wild);
    let ticked = clock.tick(NOON);
    let second = clock.bump(ticked, wild);
    assert!(first > wild);
    assert!(second > first);
    assert_eq!(clock.tick(NOON).ms(), NOON);
}

#[test]
fn raised_epoch_makes_later_stamps_newer_than_a_wild_one() {
    let mut clock = HybridClock::new(OriginId(1));
    let wild = Csn::new(MS_MAX, 7, OriginId(2));
    clock.tick(NOON);
    clock.raise_epoch(1, NOON);
    assert_eq!((clock.last().epoch(), clock.last().ms()), (1, NOON), "a start looks at it");
    let csn = clock.tick(NOON);
    assert!(csn > wild);
    assert_eq!((csn.epoch(), csn.ms()), (1, NOON));
    clock.raise_epoch(1, NOON + 60_000);
    assert_eq!(clock.last(), csn);
    let later = Csn::with_epoch(2, NOON, 0, OriginId(2));
    assert_eq!(clock.observe(later, NOON), Observation::LaterEpoch);
}

#[test]
fn bump_above_the_last_of_all_numbers_does_not_panic() {
    let mut clock = HybridClock::new(OriginId(1));
    let ticked = clock.tick(NOON);
    let _ = clock.bump(ticked, Csn(u128::MAX));
    let _ = clock.bump(ticked, Csn(u128::MAX));
}

#[test]
fn step_of_the_wall_clock_needs_two_agreeing_peers() {
    let hour = 3_600_000;
    let passed = Duration::from_secs(10);
    let mut clock = DisciplinedClock::start(NOON, Duration::ZERO);
    let wall = NOON + 10_000 + hour;
    let offset_ms = hour as i64;
    assert_eq!(clock.observe_wall(wall, passed, &[]), WallVerdict::StepRefused { offset_ms });
    assert_eq!(clock.observe_wall(wall, passed, &[offset_ms]), WallVerdict::StepRefused { offset_ms });
    assert_eq!(clock.observe_wall(wall, passed, &[0, 5, offset_ms]), WallVerdict::StepRefused { offset_ms });
    assert_eq!(clock.now_ms(passed), NOON + 10_000);
    let peers = [offset_ms - 100, offset_ms + 50];
    assert_eq!(clock.observe_wall(wall, passed, &peers), WallVerdict::StepAdopted { offset_ms });
    assert_eq!(clock.now_ms(passed), wall);
    clock.accept(NOON, passed);
    assert_eq!(clock.now_ms(passed + Duration::from_secs(1)), NOON + 1000);
}

#[test]
fn small_error_of_the_wall_clock_is_caught_up_in_time() {
    let mut clock = DisciplinedClock::start(NOON, Duration::ZERO);
    assert_eq!(clock.observe_wall(NOON + 100, Duration::ZERO, &[]), WallVerdict::Slewing { offset_ms: 100 });
    assert_eq!(clock.now_ms(Duration::from_secs(100)), NOON + 100_000 + 50);
    assert_eq!(clock.now_ms(Duration::from_secs(200)), NOON + 200_000 + 100);
    assert_eq!(clock.now_ms(Duration::from_secs(300)), NOON + 300_000 + 100);
}

#[test]
fn start_ahead_of_the_peers_or_long_after_the_last_change_is_not_trusted() {
    let last = Csn::new(NOON, 0, OriginId(1));
    let fortnight = 14 * 86_400_000;
    let judge = |wall, last, peers: &[i64]| DisciplinedClock::judge_start(wall, last, peers, fortnight);
    assert_eq!(judge(NOON, last, &[]), StartVerdict::Ready);
    assert_eq!(judge(NOON - 86_400_000, last, &[]), StartVerdict::Ready);
    assert_eq!(judge(NOON, Csn::NONE, &[]), StartVerdict::Ready);
    let ahead_ms = fortnight + 1;
    assert_eq!(judge(NOON + ahead_ms, last, &[]), StartVerdict::AheadOfLastChange { ahead_ms });
    assert_eq!(judge(NOON + ahead_ms, last, &[-10, 5]), StartVerdict::Ready);
    assert_eq!(judge(NOON, last, &[-400_000, -300_001, 0]), StartVerdict::AheadOfPeers { ahead_ms: 300_001 });
}
