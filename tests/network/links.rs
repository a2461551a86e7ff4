//! Links that fail: cut, cut one way, flapping, losing packets, never there.

use super::world::World;
use super::writers::Writers;

/// Answered writes of each writer before something happens.
const SOME: usize = 40;

#[test]
fn two_against_one_write_the_same_names_and_agree_once_they_meet() {
    let mut world = World::of(3);
    let writers = Writers::start(&world, 1);
    writers.write(SOME);
    world.part(&[2]);
    writers.write(3 * SOME);
    world.heal();
    writers.write(SOME);
    world.settle(&writers.stop());
}

/// Connections that stood and half work are the worst: one side hears, and is not heard.
#[test]
fn what_goes_one_way_only_is_gone_round() {
    let mut world = World::of(3);
    let writers = Writers::start(&world, 2);
    writers.write(SOME);
    world.cut_towards(0, 1);
    writers.write(2 * SOME);
    let book = writers.stop();
    // By way of c, though a and b hear each other no more.
    world.equal();
    world.settle(&book);
}

#[test]
fn a_link_that_flaps_ends_in_agreement() {
    let mut world = World::of(3);
    let writers = Writers::start(&world, 3);
    for _ in 0..6 {
        world.nodes[1].namespace.unplug();
        writers.write(SOME / 4);
        world.nodes[1].namespace.plug();
        writers.write(SOME / 4);
    }
    world.settle(&writers.stop());
}

#[test]
fn a_network_that_loses_every_fifth_packet_only_slows() {
    let mut world = World::of(3);
    world.nodes.iter().for_each(|node| node.namespace.lose(20));
    let writers = Writers::start(&world, 4);
    writers.write(3 * SOME);
    let book = writers.stop();
    world.equal();
    world.settle(&book);
}

/// A and C never meet: what one says reaches the other through B.
#[test]
fn a_chain_of_three_agrees_though_its_ends_never_meet() {
    let mut world = World::with_machines(3);
    world.cut(0, 2);
    world.found();
    world.join(0, 1);
    world.join(1, 2);
    let writers = Writers::start(&world, 5);
    writers.write(2 * SOME);
    let book = writers.stop();
    world.equal();
    world.settle(&book);
}
