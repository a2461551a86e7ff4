//! kill -9 of each node in turn, in the middle of everybody's writes.

use super::world::World;
use super::writers::Writers;

#[test]
fn each_node_is_killed_twice_under_load_and_nothing_acknowledged_is_lost() {
    let mut world = World::of(3);
    let writers = Writers::start(&world, 10);
    for round in 0..6 {
        let victim = round % 3;
        writers.write_on(victim, 15);
        world.nodes[victim].kill();
        writers.write_on((victim + 1) % 3, 15);
        world.nodes[victim].serve();
    }
    writers.write(10);
    world.settle(&writers.stop());
}

/// All at once, as when the power goes, while one of them was cut off.
#[test]
fn all_nodes_lose_power_while_they_are_parted() {
    let mut world = World::of(3);
    let writers = Writers::start(&world, 11);
    writers.write(20);
    world.part(&[0]);
    writers.write(40);
    for node in &mut world.nodes {
        node.kill();
    }
    for node in &mut world.nodes {
        node.serve();
    }
    world.heal();
    writers.write(10);
    world.settle(&writers.stop());
}
