//! A member whose data directory is copied while clients write to it, and both copies go on taking changes: drawn from a row
//! of chance of its own, so that it changes nothing of the runs that have none (`SIM_TWINS=1`). With `SIM_TWINS=2` the copy goes
//! on under the original's origin, as a machine does that was copied while it ran, with its memory.

use std::path::Path;

use entente::clock::Clock;
use entente::replication::Role;

use super::Cluster;
use crate::node::{Node, copy_data};
use crate::random::Random;

/// What befalls a run in which a member is copied.
#[derive(Debug)]
pub(crate) struct Twins {
    random: Random,
    /// When the next copy is made.
    at_tick: u64,
    /// Copies still to be made.
    left: u64,
    /// Nothing tells the copy that it is one.
    same_origin: bool,
    /// Places of original and copy, and until when clients write to both all the time.
    busy: Vec<(usize, usize, u64)>,
}

impl Twins {
    pub(super) fn of(seed: u64, ticks: u64, same_origin: bool) -> Self {
        let mut random = Random::new(seed.rotate_left(16) ^ 0x7477_696e_7300);
        let at_tick = random.between(3, ticks / 2);
        let left = random.between(1, 2);
        Self { random, at_tick, left, same_origin, busy: Vec::new() }
    }
}

impl Cluster {
    /// Copies a member when it is time, and has clients write to both.
    pub(super) fn play_twins(&mut self) {
        let Some(mut twins) = self.twins.take() else { return };
        if twins.left > 0 && self.tick >= twins.at_tick {
            self.copy_busy(&mut twins);
        }
        for (one, other, until) in twins.busy.clone() {
            for place in [one, other] {
                for _ in 0..twins.random.between(1, 2) {
                    if self.tick < until && self.nodes[place].is_up() {
                        self.operate(place);
                    }
                }
            }
        }
        self.twins = Some(twins);
    }

    fn copy_busy(&mut self, twins: &mut Twins) {
        let place = twins.random.below(self.nodes.len() as u64) as usize;
        let of = &self.nodes[place];
        // A copy of a reader has a supplier write its new entry, which is not played here.
        if of.gone || of.leaving || !of.joined || !of.is_up() || of.role != Role::Supplier {
            return;
        }
        if twins.same_origin {
            let running = self.nodes[place].running.as_ref().expect("it runs");
            running.dit.leave_handover().expect("the folder is written");
            self.stop(place);
        }
        let copy = self.copy_beside(place);
        self.nodes[copy].follows = twins.same_origin;
        self.tell(format!("n{copy} is a copy of n{place}{}", if twins.same_origin { ", memory and all" } else { "" }));
        let apart = twins.random.below(40);
        for pair in [(place, copy), (copy, place)] {
            if apart > 0 && self.network.blocked.insert(pair) {
                self.cuts.push((pair, apart));
            }
        }
        // Others may see the one only, for a while.
        let third = twins.random.below(self.nodes.len() as u64) as usize;
        let unseen = twins.random.below(60);
        for pair in [(third, copy), (copy, third)] {
            if ![place, copy].contains(&third) && unseen > 0 && self.network.blocked.insert(pair) {
                self.cuts.push((pair, unseen));
            }
        }
        if twins.same_origin {
            self.start(place);
        }
        self.start(copy);
        twins.busy.push((place, copy, self.tick + twins.random.between(5, 60)));
        twins.left -= 1;
        twins.at_tick = self.tick + twins.random.between(5, 30);
    }

    /// A data directory is copied as it is now. Returns the place of the copy, which does not run yet.
    pub(super) fn copy_beside(&mut self, place: usize) -> usize {
        let path = self.folder.path().join(format!("node{}", self.nodes.len()));
        copy_data(Path::new(&self.nodes[place].folder), &path);
        let mut copy = Node::new(self.nodes[place].node, path);
        copy.clock = Clock::simulated(self.nodes[place].clock.wall_ms());
        copy.joined = true;
        copy.rules = self.rules;
        copy.boots = 1000;
        copy.disk = self.nodes[place].disk.clone();
        self.nodes.push(copy);
        self.nodes.len() - 1
    }
}
