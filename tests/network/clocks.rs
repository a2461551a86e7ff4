//! Clocks that are wrong: an hour ahead, a day back, jumping while the node serves.

use super::world::World;
use super::writers::Writers;

/// T-48.
#[test]
fn clocks_an_hour_ahead_and_a_day_back_do_not_keep_nodes_apart() {
    let mut world = World::of(3);
    for (node, offset_s) in [(1, 3_600), (2, -86_400)] {
        world.nodes[node].stop();
        world.nodes[node].set_clock(offset_s);
        world.nodes[node].serve();
    }
    let writers = Writers::start_on(&world, &[0, 2], 30);
    writers.write(60);
    world.settle(&writers.stop());
}

#[test]
fn a_clock_that_jumps_under_a_running_node_reaches_nobodys_changes() {
    let mut world = World::of(3);
    world.nodes[1].stop();
    world.nodes[1].set_clock(0);
    world.nodes[1].serve();
    let writers = Writers::start(&world, 31);
    for offset_s in [3_600, -86_400, 5, 0] {
        world.nodes[1].set_clock(offset_s);
        writers.write(25);
    }
    world.settle(&writers.stop());
}
