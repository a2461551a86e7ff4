//! Members that are suspended while they go on: each side takes the other for lost.

use std::time::Duration;

use super::node::Node;
use super::world::World;
use super::writers::Writers;
use crate::support::wait::wait_for_within;

/// Answered writes of each writer.
const SOME: usize = 30;

/// An operator on each side gives up the other, so that neither waits for it with forgetting any more. Both go on taking
/// changes; what was written on either side is there in the end, and nobody has to be let in again by hand.
#[test]
fn halves_that_suspend_each_other_take_each_other_back_and_agree() {
    let mut world = World::of(4);
    let together = Writers::start(&world, 60);
    together.write(SOME);
    let mut book = together.stop();
    world.equal();
    world.part(&[2, 3]);
    for (node, others) in [(0, ["c", "d"]), (2, ["a", "b"])] {
        for other in others {
            world.nodes[node].replica(&["suspend", other]).expect_success();
        }
    }
    let apart = Writers::start(&world, 61);
    apart.write(2 * SOME);
    book.merge(apart.stop());
    world.heal();
    let all_take_part = |node: &Node| {
        let status = node.status();
        let members = status["members"].as_array().expect("members");
        members.len() == 3 && members.iter().all(|member| member["state"] == "active") && status["writes"] == "open"
    };
    for node in &world.nodes {
        let is_over = || all_take_part(node).then_some(());
        wait_for_within(
            Duration::from_secs(100),
            &format!("{} to be open, with all others active", node.name),
            is_over,
        );
    }
    world.settle(&book);
}
