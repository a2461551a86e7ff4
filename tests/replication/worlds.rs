//! Small worlds, all of them: three replicas, two or three entries, and every order of a few operations and deliveries.
//!
//! A step is an operation of a family at a replica, or the delivery of what one replica wrote itself to another (so that
//! what was built upon a change can come before it). After every sequence of steps everything is delivered to everybody,
//! in two orders. Then all replicas must have equal vectors; and whatever has equal vectors, on the way there too, must
//! show the same, have equal digests, be found sound by `check`, hold every superior, no name twice, and no fewer
//! entries than live. Refused operations change nothing and make no world of their own.
//!
//! Replicas differ only by the order of their origins, so the first operation is always A's. To let the clocks decide
//! otherwise than the origins do, each family also runs with A's clock ahead. A world is what the three replicas have
//! been through ([`life`]); those that are the same are looked at once, and counted once.
//!
//! The normal run takes as many steps as half a minute allows; `ENTENTE_WORLDS=5 cargo test --test replication worlds`
//! takes as many as it says, of all families, and tells what it counted with `-- --nocapture`.

mod families;
mod life;

use families::{Family, families};
use life::{Event, LifeId, Lives};
use std::collections::HashMap;

/// Steps of the normal run, besides what [`Family::less`] takes off.
const STEPS: usize = 3;

/// Replicas, and how far the programme of each has come; the number of orders that lead there.
type Worlds<T> = HashMap<([LifeId; 3], T), u64>;

fn steps() -> usize {
    std::env::var("ENTENTE_WORLDS").ok().and_then(|steps| steps.parse().ok()).unwrap_or(STEPS)
}

fn explore(family: &Family, ahead_ms: [u64; 3], steps: usize) {
    let (mut lives, begun) = Lives::begin(&family.base, family.operations.clone(), ahead_ms);
    let mut worlds: Worlds<()> = HashMap::from([((begun, ()), 1)]);
    let (mut seen, mut orders) = (0, 0);
    for step in 1..=steps {
        let mut next = Worlds::new();
        for ((world, ()), count) in &worlds {
            let mut reach = |at: usize, life: LifeId| {
                if life != world[at] {
                    let mut after = *world;
                    after[at] = life;
                    *next.entry((after, ())).or_default() += count;
                }
            };
            for at in if step == 1 { 0..1 } else { 0..3 } {
                for operation in 0..family.operations.len() {
                    reach(at, lives.after(world[at], Event::Ask(operation)));
                }
                for from in (0..3).filter(|from| *from != at) {
                    reach(at, lives.after(world[at], Event::Deliver(world[from])));
                }
            }
        }
        worlds = next;
        seen += worlds.len();
        orders += worlds.values().sum::<u64>();
        for (world, ()) in worlds.keys() {
            lives.deliver_all(*world, false);
            lives.deliver_all(*world, true);
        }
    }
    println!(
        "{}, {steps} steps, A {} ms ahead: {orders} orders, {seen} worlds, {} lives",
        family.name,
        ahead_ms[0],
        lives.count()
    );
}

#[test]
fn small_worlds_of_every_family_converge() {
    let wanted = std::env::var("CASE").unwrap_or_default();
    let campaign = std::env::var_os("ENTENTE_WORLDS").is_some();
    for family in families().iter().filter(|family| family.name.contains(&wanted)) {
        let steps = if campaign { steps() } else { steps() - family.less };
        for ahead_ms in [[0, 0, 0], [2, 1, 0]] {
            let begun = std::time::Instant::now();
            explore(family, ahead_ms, steps);
            println!("  {:?}", begun.elapsed());
        }
    }
}

/// Each of three masters adds an entry of one name, delivers it to each of the others, and deletes what it has under the
/// name: all orders of these twelve steps, but for names of replicas.
#[test]
fn all_orders_of_add_deliver_deliver_delete_converge() {
    let add_and_delete = families().swap_remove(0);
    let begun_at = std::time::Instant::now();
    for ahead_ms in [[0, 0, 0], [2, 1, 0]] {
        let (mut lives, begun) = Lives::begin(&add_and_delete.base, add_and_delete.operations.clone(), ahead_ms);
        let mut worlds: Worlds<[usize; 3]> = HashMap::from([((begun, [0; 3]), 1)]);
        for _ in 0..12 {
            let mut next = Worlds::new();
            for ((world, done), count) in &worlds {
                // The first operations come in the order of names.
                for at in
                    (0..3).filter(|at| done[*at] < 4 && (done[*at] > 0 || done[..*at].iter().all(|done| *done > 0)))
                {
                    let (mut after, mut done) = (*world, *done);
                    let to = (at + done[at]) % 3;
                    match done[at] {
                        0 | 3 => after[at] = lives.after(world[at], Event::Ask(usize::from(done[at] == 3))),
                        _ => after[to] = lives.after(world[to], Event::Deliver(world[at])),
                    }
                    done[at] += 1;
                    *next.entry((after, done)).or_default() += count;
                }
            }
            worlds = next;
        }
        assert_eq!(worlds.values().sum::<u64>(), 5_775);
        for (world, _) in worlds.keys() {
            lives.deliver_all(*world, false);
            lives.deliver_all(*world, true);
        }
        println!("5,775 orders, {} worlds, {} lives, {:?}", worlds.len(), lives.count(), begun_at.elapsed());
    }
}
