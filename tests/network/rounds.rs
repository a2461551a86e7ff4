//! The long run: five nodes, faults by a seed, for as many rounds as ENTENTE_NETWORK_ROUNDS says.

use super::world::World;
use super::writers::Writers;
use crate::support::workload::Dice;

/// Rounds without the variable: enough to show that this test works.
const ROUNDS: usize = 4;
const NODES: usize = 5;
/// Rounds after which everything must be as it should.
const ROUNDS_BETWEEN_CHECKS: usize = 10;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text}")))
}

#[test]
fn five_nodes_agree_after_faults_at_random() {
    let rounds = number("ENTENTE_NETWORK_ROUNDS").map_or(ROUNDS, |rounds| usize::try_from(rounds).expect("a count"));
    let seed = number("ENTENTE_NETWORK_SEED").unwrap_or(1);
    println!("ENTENTE_NETWORK_SEED={seed} ENTENTE_NETWORK_ROUNDS={rounds}");
    let mut dice = Dice(seed);
    let mut done = 0;
    while done < rounds {
        let mut world = World::of(NODES);
        let writers = Writers::start(&world, seed.wrapping_add(done as u64));
        for _ in 0..ROUNDS_BETWEEN_CHECKS.min(rounds - done) {
            done += 1;
            let said = round(&mut world, &mut dice);
            println!("round {done}: {said}");
            let running: Vec<_> = (0..NODES).filter(|node| world.nodes[*node].runs()).collect();
            writers.write_on(running[dice.roll(running.len())], 10 + dice.roll(20));
        }
        for node in world.nodes.iter_mut().filter(|node| !node.runs()) {
            node.serve();
        }
        world.settle(&writers.stop());
    }
}

/// One thing goes wrong, or is put right; what it was.
fn round(world: &mut World, dice: &mut Dice) -> String {
    let (one, other) = (dice.roll(NODES), dice.roll(NODES));
    let names = [one, other].map(|node| world.nodes[node].name.clone());
    match dice.roll(10) {
        0 | 1 if world.nodes.iter().filter(|node| node.runs()).count() > 2 && world.nodes[one].runs() => {
            world.nodes[one].kill();
            format!("{} is killed", names[0])
        }
        0..=3 => {
            let down: Vec<_> = (0..NODES).filter(|node| !world.nodes[*node].runs()).collect();
            down.iter().for_each(|node| world.nodes[*node].serve());
            format!("{} nodes are started", down.len())
        }
        4 => {
            world.part(&[one, other]);
            format!("{} and {} are cut off", names[0], names[1])
        }
        5 => {
            world.cut_towards(one, other);
            format!("{} is not heard by {}", names[0], names[1])
        }
        6 => {
            world.nodes[one].namespace.unplug();
            format!("{} is unplugged", names[0])
        }
        7 => {
            world.nodes[one].namespace.lose(30);
            format!("{} hears two packets of three", names[0])
        }
        _ => {
            world.heal();
            "all links are whole".to_owned()
        }
    }
}
