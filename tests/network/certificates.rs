//! Certificates of members while months pass: clocks of all machines are moved together.

use super::world::World;
use crate::support::code;
use crate::support::request::{REPLACE, Search};
use crate::support::wait::wait_until;

const DAY_S: i64 = 24 * 60 * 60;

fn certificate_ends_s(world: &World, node: usize) -> i64 {
    world.nodes[node].status()["certificate_ends_s"].as_i64().expect("it has a certificate")
}

fn connected_ms(world: &World, node: usize) -> u64 {
    world.nodes[node].status()["members"][0]["connected_ms"].as_u64().expect("it is connected")
}

fn authority(world: &World, node: usize) -> Vec<String> {
    let search = Search::base("cn=cluster").attributes(&["clusterAuthority;binary", "clusterAuthority", "clusterId"]);
    let found = world.nodes[node].client().search(&search).expect(code::SUCCESS);
    found.entries[0].attributes.iter().map(|attribute| format!("{attribute:?}")).collect()
}

/// A write on each is seen on the other.
#[track_caller]
fn works(world: &World, text: &str) {
    for (from, to) in [(0, 1), (1, 0)] {
        let dn = "ou=written,dc=example,dc=com";
        let text = format!("{text} {from}");
        world.nodes[from].client().modify(dn, &[(REPLACE, "description", &[&text])]).expect(code::SUCCESS);
        wait_until("the write on the other", || world.nodes[to].client().read(dn).values("description") == [&*text]);
    }
}

#[test]
fn certificates_are_renewed_before_they_end_and_nobody_notices() {
    let mut world = World::of(2);
    for node in &mut world.nodes {
        node.stop();
        node.set_clock(0);
        node.serve();
    }
    world.equal();
    world.open();
    let before = [certificate_ends_s(&world, 0), certificate_ends_s(&world, 1)];
    let was_authority = authority(&world, 0);
    let was_connected_ms = connected_ms(&world, 0);
    // In the last third of a member's certificate's thirty days.
    for node in &mut world.nodes {
        node.set_clock(25 * DAY_S);
    }
    for node in [0, 1] {
        wait_until("a new certificate", || certificate_ends_s(&world, node) > before[node] + 20 * DAY_S);
    }
    works(&world, "25 days later");
    assert!(connected_ms(&world, 0) > was_connected_ms, "the session went on");
    assert_eq!([authority(&world, 0), authority(&world, 1)], [was_authority.clone(), was_authority.clone()]);
    // The first certificates are no good any more: sessions made now need the new ones.
    for node in &mut world.nodes {
        node.set_clock(45 * DAY_S);
    }
    wait_until("renewed again", || certificate_ends_s(&world, 0) > before[0] + 40 * DAY_S);
    world.nodes[1].kill();
    world.nodes[1].serve();
    world.equal();
    works(&world, "45 days later");
    // A member that was off for so long that its own ended gives itself a new one when it starts: it may sign.
    world.nodes[1].stop();
    for node in &mut world.nodes {
        node.set_clock(100 * DAY_S);
    }
    wait_until("renewed by who runs", || certificate_ends_s(&world, 0) > before[0] + 90 * DAY_S);
    world.nodes[1].serve();
    world.equal();
    world.open();
    works(&world, "100 days later");
    assert_eq!(authority(&world, 1), was_authority);
    world.settle(&super::book::Book::default());
}
