//! Members that are not all linked with each other: what one writes goes the way there is.

use super::world::World;
use super::writers::Writers;
use crate::support::code;
use crate::support::request::REPLACE;

/// Answered writes of each writer.
const SOME: usize = 40;

/// Two suppliers and a reader that hear of each other by way of a hub alone.
#[test]
fn a_star_agrees_by_way_of_its_hub() {
    let mut world = World::with_machines(4);
    world.found();
    for (node, role) in [(1, "hub"), (2, "consumer"), (3, "supplier")] {
        world.join_as(0, node, role);
    }
    world.equal();
    world.nodes[3].wait_until_open();
    world.link_only(&[(0, 1), (2, 1), (3, 1)]);
    let writers = Writers::start_on(&world, &[0, 3], 40);
    writers.write(2 * SOME);
    let book = writers.stop();
    world.equal();
    // Neither the hub nor the reader takes changes; both say who does.
    for node in [1, 2] {
        let dn = "ou=written,dc=example,dc=com";
        let refused = world.nodes[node].client().modify(dn, &[(REPLACE, "description", &["no"])]);
        assert_eq!(refused.code, code::REFERRAL, "{refused:?}");
        assert_eq!(refused.referrals.len(), 2, "{refused:?}");
        assert_eq!(world.nodes[node].status()["writes"], "read-only");
    }
    world.settle(&book);
}

#[test]
fn a_ring_agrees_and_goes_on_as_a_chain_when_a_link_breaks() {
    let mut world = World::of(4);
    world.link_only(&[(0, 1), (1, 2), (2, 3), (3, 0)]);
    let writers = Writers::start(&world, 41);
    writers.write(SOME);
    world.link_only(&[(0, 1), (1, 2), (2, 3)]);
    writers.write(SOME);
    let book = writers.stop();
    world.equal();
    world.settle(&book);
}
