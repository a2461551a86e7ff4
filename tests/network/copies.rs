//! Data directories that are copied as files: an old copy put back, and a copy served beside its original.

use super::world::World;
use super::writers::Writers;

/// Its own changes since the copy come back from the others, under the names that they had.
#[test]
fn an_old_copy_put_back_catches_up_and_loses_nothing() {
    let mut world = World::of(3);
    let writers = Writers::start(&world, 20);
    writers.write(30);
    let mut book = writers.stop();
    world.nodes[0].stop();
    let copy = world.folder().join("old");
    world.copy_data(0, &copy);
    world.nodes[0].serve();
    let writers = Writers::start(&world, 21);
    writers.write(40);
    book.merge(writers.stop());
    // What a copy lacks and no other node has would be gone by nobody's fault but the operator's.
    world.equal();
    world.nodes[0].kill();
    std::fs::remove_dir_all(world.nodes[0].data()).expect("our folder");
    std::fs::rename(&copy, world.nodes[0].data()).expect("our folder");
    world.nodes[0].serve();
    world.nodes[0].wait_until_open();
    let writers = Writers::start(&world, 22);
    writers.write(30);
    book.merge(writers.stop());
    world.settle(&book);
}

/// T-50. Two machines believe that they are the same member; both take changes before they hear of each other.
#[test]
fn a_clone_served_beside_its_original_becomes_a_member_of_its_own() {
    let mut world = World::of(2);
    let writers = Writers::start(&world, 23);
    writers.write(30);
    let mut book = writers.stop();
    world.equal();
    world.nodes[1].stop();
    let clone = world.machine();
    let copy = world.nodes[clone].data();
    world.copy_data(1, &copy);
    world.nodes[1].serve();
    world.nodes[clone].serve();
    world.open();
    let writers = Writers::start(&world, 24);
    writers.write(40);
    book.merge(writers.stop());
    world.settle(&book);
}
