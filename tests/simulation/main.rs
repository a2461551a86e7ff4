//! The cluster under faults, from a seed: real trees, the real replication logic, everything else drawn by chance.
//!
//! ```text
//! cargo test --test simulation                         40 seeds
//! SIM_SEED=17 cargo test --test simulation             one seed, told in full
//! SIM_TOLD=all SIM_SEED=17 ...                         every message and write besides
//! SIM_ENTRY=<entryUUID>,... SIM_SEED=17 ...            what nodes store of these entries besides, whenever it changes
//! SIM_FIRST=1 SIM_SEEDS=100000 SIM_FAILURES=1000 cargo test --release --test simulation masters -- --nocapture
//!                                                      a campaign, on all cores (`taskset -c 1 nice` for one): tells each
//!                                                      seed that fails, goes on, and says at the end what happened how often
//! SIM_HEIRS=1 ...                                      also: changes of an entry that another member made again meanwhile show
//! SIM_TWINS=1 ...                                      a member is copied while clients write, and both copies go on
//! ```
//!
//! A failure prints the seed, the tick, the broken invariant, the last events, and the command that repeats it. Seeds
//! die with the next change of the code: what a seed found becomes a case of its own elsewhere.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail by panicking, in its helper functions too, and measures its own patience"
)]

mod cluster;
mod liveness;
mod network;
mod node;
mod oracle;
mod random;
mod workload;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use cluster::Cluster;
use cluster::Storm;
use node::Rules;

/// Seeds of a plain test run.
const SEEDS: u64 = 40;

struct Outcome {
    broken: Option<String>,
    told: BTreeMap<&'static str, u64>,
}

fn run(seed: u64, rules: Rules) -> Outcome {
    let mut cluster = Cluster::new(seed, rules);
    while cluster.tick < cluster.weather.ticks && cluster.broken.is_none() {
        cluster.step();
    }
    if cluster.broken.is_none() {
        liveness::prove(&mut cluster);
    }
    let broken = cluster.broken.take().map(|invariant| report(&cluster, &invariant));
    Outcome { broken, told: cluster.told }
}

fn report(cluster: &Cluster, invariant: &str) -> String {
    let events: Vec<&str> = cluster.events.iter().map(String::as_str).collect();
    format!(
        "seed {} tick {}: {invariant}\n{:?}\n{}\nrepeat: SIM_SEED={} cargo test --test simulation",
        cluster.seed,
        cluster.tick,
        cluster.weather,
        events.join("\n"),
        cluster.seed
    )
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not '{text}'")))
}

#[test]
fn masters_agree_after_any_storm() {
    let rules = Rules { twins: number("SIM_TWINS").map(|kind| kind == 2), ..Rules::default() };
    if let Some(seed) = number("SIM_SEED") {
        let outcome = run(seed, rules);
        assert!(outcome.broken.is_none(), "{}", outcome.broken.unwrap_or_default());
        println!("seed {seed}: {:?}", outcome.told);
        return;
    }
    let first = number("SIM_FIRST").unwrap_or(1);
    let seeds = number("SIM_SEEDS").unwrap_or(SEEDS);
    let failures_max = number("SIM_FAILURES").unwrap_or(1) as usize;
    let next = AtomicU64::new(first);
    let failures = Mutex::new(Vec::new());
    let told: Mutex<BTreeMap<&'static str, u64>> = Mutex::new(BTreeMap::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let began = std::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > first && (seed - first).is_multiple_of(1000) {
                        println!("{} seeds from {first} in {} s", seed - first, began.elapsed().as_secs());
                    }
                    if seed >= first + seeds || failures.lock().expect("no panic").len() >= failures_max {
                        return;
                    }
                    let outcome = std::panic::catch_unwind(|| run(seed, rules)).unwrap_or_else(|_| Outcome {
                        broken: Some(format!("seed {seed}: panic")),
                        told: BTreeMap::new(),
                    });
                    for (what, count) in outcome.told {
                        *told.lock().expect("no panic").entry(what).or_default() += count;
                    }
                    if let Some(broken) = &outcome.broken {
                        // A campaign takes long: what it finds is told at once.
                        println!("{}", broken.lines().next().unwrap_or_default());
                    }
                    failures.lock().expect("no panic").extend(outcome.broken.map(|broken| (seed, broken)));
                }
            });
        }
    });
    println!("{seeds} seeds from {first}: {:?}", told.into_inner().expect("no panic"));
    let failures = failures.into_inner().expect("no panic");
    assert!(
        failures.is_empty(),
        "{}",
        failures.iter().map(|(_, broken)| broken.as_str()).collect::<Vec<_>>().join("\n\n")
    );
}

/// Seeds within which a missing rule must show.
#[cfg(debug_assertions)]
const MUTANT_SEEDS: u64 = 60;

/// The first seed that fails without a rule, and with all rules in the same weather does not.
#[cfg(debug_assertions)]
fn first_failure(rules: Rules) -> Option<u64> {
    let fails = |seed, rules| {
        let outcome = std::panic::catch_unwind(|| run(seed, rules));
        outcome.map_or_else(|_| Some(format!("seed {seed}: panic")), |outcome| outcome.broken)
    };
    let seed = (1..=MUTANT_SEEDS).find(|seed| fails(*seed, rules).is_some())?;
    let broken = fails(seed, Rules { storm: rules.storm, ..Rules::default() });
    assert!(broken.is_none(), "with all rules too: {}", broken.unwrap_or_default());
    Some(seed)
}

#[cfg(debug_assertions)]
fn shows_without(rule: entente::dit::Mutant, storm: Storm) {
    let seed = first_failure(Rules { mutant: Some(rule), storm: Some(storm), ..Rules::default() });
    println!("{rule:?}: seed {seed:?}");
    assert!(seed.is_some(), "nothing fails in {MUTANT_SEEDS} seeds without the rule {rule:?}");
}

#[cfg(debug_assertions)]
#[test]
fn forgetting_what_not_all_hold_shows() {
    let rules = Rules { forget_what_is_held_here: true, storm: Some(Storm::Apart), ..Rules::default() };
    let seed = first_failure(rules);
    println!("stability: seed {seed:?}");
    assert!(seed.is_some());
}

#[cfg(debug_assertions)]
#[test]
fn ignoring_births_shows() {
    shows_without(entente::dit::Mutant::BirthsTellNothing, Storm::Away);
}

#[cfg(debug_assertions)]
#[test]
fn forgetting_what_is_ahead_of_the_clock_shows() {
    shows_without(entente::dit::Mutant::NoClockGuard, Storm::WrongClocks);
}

#[cfg(debug_assertions)]
#[test]
fn changes_older_than_what_they_touch_show() {
    shows_without(entente::dit::Mutant::NoCausalBump, Storm::WrongClocks);
}

#[cfg(debug_assertions)]
#[test]
fn circles_of_moves_show() {
    shows_without(entente::dit::Mutant::NoCircleSkip, Storm::Apart);
}

#[cfg(debug_assertions)]
#[test]
fn names_given_in_order_of_arrival_show() {
    shows_without(entente::dit::Mutant::NoCollisionOrder, Storm::Apart);
}

/// What it wrote stands with the others as it does here. Written again, it would end with what they changed in it since.
#[test]
fn a_node_that_is_taken_for_an_old_copy_and_is_none_writes_nothing_again_and_all_are_equal() {
    let mut told: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in 1..=20 {
        let outcome = run(seed, Rules { storm: Some(Storm::Slander), ..Rules::default() });
        assert!(outcome.broken.is_none(), "{}", outcome.broken.unwrap_or_default());
        for (what, count) in outcome.told {
            *told.entry(what).or_default() += count;
        }
    }
    assert!(told.get("rolled back").is_some_and(|count| *count > 5), "{told:?}");
    assert_eq!(told.get("reissue"), None, "{told:?}");
}
