//! Members that fall silent for weeks, which pass in seconds here; and clocks that only say so (`replication.offline_days`, 14).

use super::node::Node;
use super::world::World;
use super::writers::Writers;
use crate::support::wait::wait_until;

const DAY_S: i64 = 86_400;
const DAY_MS: u64 = 86_400_000;
/// Answered writes of each writer.
const SOME: usize = 20;

/// Waits until a node has counted so many days of a member's silence, and has looked at who is silent since.
#[track_caller]
fn counts(node: &Node, name: &str, days: u64) {
    wait_until(&format!("{} to miss {name} for {days} days", node.name), || {
        node.sees(name)["silent_ms"].as_u64() >= Some(days * DAY_MS)
    });
}

#[track_caller]
fn hear_each_other(one: &Node, other: &Node) {
    for (here, there) in [(one, other), (other, one)] {
        wait_until(&format!("{} to hear {}", here.name, there.name), || {
            let seen = here.sees(&there.name);
            seen["connected"] == true && seen["silent_ms"].as_u64().is_some_and(|silent_ms| silent_ms < 60_000)
        });
    }
}

/// How often it was told that a member is suspended for its silence.
fn told(node: &Node, name: &str) -> usize {
    node.said().lines().filter(|line| line.contains(&format!("{name} (")) && line.contains("is suspended")).count()
}

fn restart(node: &mut Node) {
    node.stop();
    node.serve();
}

/// Eight days and, after a restart, seven more: neither run alone has seen fourteen. The member had changes that nobody else
/// has, and gets those that were made without it.
#[test]
fn majority_suspends_who_was_silent_for_two_weeks_and_takes_it_back_with_nothing_lost() {
    let mut world = World::of(3);
    for node in &mut world.nodes[..2] {
        node.stop();
        node.pass_time(0);
        node.serve();
    }
    world.open();
    let together = Writers::start(&world, 70);
    together.write(SOME);
    let mut book = together.stop();
    world.equal();
    world.part(&[2]);
    let alone = Writers::start_on(&world, &[2], 71);
    alone.write(SOME);
    book.merge(alone.stop());
    world.nodes[2].stop();
    for offset_s in [8 * DAY_S, 15 * DAY_S] {
        let without = Writers::start_on(&world, &[0, 1], 72 + u64::try_from(offset_s).expect("positive"));
        without.write(SOME);
        book.merge(without.stop());
        assert_eq!([0, 1].map(|index| world.nodes[index].sees("c")["state"].clone()), ["active", "active"]);
        world.nodes[..2].iter_mut().for_each(|node| node.pass_time(offset_s));
        counts(&world.nodes[0], "c", u64::try_from(offset_s / DAY_S).expect("positive"));
        hear_each_other(&world.nodes[0], &world.nodes[1]);
        if offset_s == 8 * DAY_S {
            assert_eq!(world.nodes[..2].iter().map(|node| told(node, "c")).sum::<usize>(), 0);
            world.nodes[..2].iter_mut().for_each(restart);
            counts(&world.nodes[1], "c", 8);
            counts(&world.nodes[0], "c", 8);
            world.nodes[..2].iter().for_each(Node::wait_until_open);
        }
    }
    for node in &world.nodes[..2] {
        wait_until("the silent member to be suspended", || node.sees("c")["state"] == "suspended");
    }
    assert_eq!(world.nodes[..2].iter().map(|node| told(node, "c")).sum::<usize>(), 1, "one line, on one of the two");
    world.heal();
    world.nodes[2].pass_time(15 * DAY_S);
    world.nodes[2].serve();
    for node in &world.nodes[..2] {
        wait_until("the member to be taken back", || node.sees("c")["state"] == "active");
    }
    world.open();
    let again = Writers::start(&world, 79);
    again.write(SOME);
    book.merge(again.stop());
    world.settle(&book);
}

#[test]
fn one_of_three_suspends_nobody_however_long_it_is_alone() {
    let mut world = World::of(3);
    world.nodes[0].stop();
    world.nodes[0].pass_time(0);
    world.nodes[0].serve();
    world.open();
    world.nodes[1].stop();
    world.nodes[2].stop();
    for days in [15_u8, 30] {
        world.nodes[0].pass_time(i64::from(days) * DAY_S);
        counts(&world.nodes[0], "b", days.into());
        counts(&world.nodes[0], "c", days.into());
    }
    assert_eq!(["b", "c"].map(|name| world.nodes[0].sees(name)["state"].clone()), ["active", "active"]);
    assert_eq!(["b", "c"].map(|name| told(&world.nodes[0], name)), [0, 0]);
    world.nodes[0].stop();
    world.nodes[0].pass_time(0);
    (0..3).for_each(|index| world.nodes[index].serve());
    world.open();
    world.equal();
}

/// The clocks of a majority jump, and they start again with them; the third is cut off, and lives.
#[test]
fn clocks_that_jump_suspend_nobody() {
    let mut world = World::of(3);
    for node in &mut world.nodes[..2] {
        node.stop();
        node.set_clock(0);
        node.serve();
    }
    world.open();
    world.equal();
    world.part(&[2]);
    for offset_s in [20 * DAY_S, 40 * DAY_S] {
        world.nodes[..2].iter_mut().for_each(|node| node.set_clock(offset_s));
        for node in &world.nodes[..2] {
            wait_until("the clock to have jumped", || node.status()["clock_jumped_ms"].as_i64() > Some(DAY_S * 1_000));
        }
        world.nodes[..2].iter_mut().for_each(restart);
        hear_each_other(&world.nodes[0], &world.nodes[1]);
        for node in &world.nodes[..2] {
            let seen = node.sees("c");
            assert!(seen["heard_ms_ago"].as_u64() > Some(19 * DAY_MS), "{seen}");
            assert!(seen["silent_ms"].as_u64().is_some_and(|silent_ms| silent_ms < 3_600_000), "{seen}");
            assert_eq!(seen["state"], "active");
        }
    }
    for node in &mut world.nodes[..2] {
        node.stop();
        node.set_clock(0);
        node.serve();
    }
    world.heal();
    world.open();
    world.equal();
}
