//! What goes wrong: cut links, crashes, old copies, copies that run beside, wrong clocks; and who comes and leaves.

use std::collections::{BTreeSet, VecDeque};

use entente::clock::Clock;
use entente::dit::{Dit, LogRange};
use entente::replication::message::{Ack, Message};
use entente::replication::{Input, LocalWrites, MemberState, Role, store};
use entente::state::{Csn, OriginId, OriginPosition, UpdateVector};

use super::Cluster;
use crate::node::{
    Backup, EPOCH_MS, Node, TICK_MS, add_member, add_origin, copy_data, dit_options, give_identity, node_id,
    note_filled, schema,
};
use crate::oracle::Oracle;

impl Cluster {
    /// What goes wrong in this tick.
    pub(super) fn faults(&mut self) {
        let weather = self.weather.clone();
        let count = self.nodes.len() as u64;
        for cut in &mut self.cuts {
            cut.1 -= 1;
            if cut.1 == 0 {
                self.network.blocked.remove(&cut.0);
            }
        }
        self.cuts.retain(|cut| cut.1 > 0);
        if self.random.permille(weather.cuts) {
            let (a, b) = (self.random.below(count) as usize, self.random.below(count) as usize);
            let ticks = self.random.between(3, 60);
            for pair in [(a, b), (b, a)] {
                if a != b && self.random.permille(700) && self.network.blocked.insert(pair) {
                    self.tell(format!("cut n{} -> n{} for {ticks}", pair.0, pair.1));
                    self.cuts.push((pair, ticks));
                }
            }
        }
        for place in 0..self.nodes.len() {
            if self.nodes[place].gone {
                continue;
            }
            if self.nodes[place].is_up() {
                if self.random.permille(weather.link_ends)
                    && let Some(session) = self.nodes[place].sessions.keys().next().copied()
                {
                    self.nodes[place].sessions.remove(&session);
                    self.network.close(self.tick, place, session);
                    self.feed(place, Input::Disconnected { session });
                }
                if weather.restores > 0 && self.nodes[place].backup.is_none() && self.random.permille(30) {
                    let path = self.folder.path().join(format!("backup{place}"));
                    copy_data(&self.nodes[place].folder, &path);
                    let Node { node, joined, .. } = self.nodes[place];
                    self.nodes[place].backup = Some(Backup { folder: path, node, joined });
                    self.tell(format!("n{place} is backed up"));
                }
                if self.random.permille(weather.crashes) {
                    if self.random.permille(300) {
                        self.tell(format!("n{place} ends in order"));
                        self.count("orderly end");
                        let running = self.nodes[place].running.as_ref().expect("it runs");
                        running.dit.leave_handover().expect("the folder is written");
                    } else {
                        self.tell(format!("n{place} crashes"));
                        self.count("crash");
                    }
                    self.stop(place);
                }
                if self.random.permille(weather.clock_jumps) {
                    let by_ms = [3_000, 60_000, 400_000, 4_000_000][self.random.below(4) as usize];
                    self.tell(format!("n{place} clock jumps {by_ms} ms ahead"));
                    self.nodes[place].advance(by_ms);
                }
            } else if self.random.permille(if weather.long_away { 25 } else { 120 }) {
                if self.random.permille(weather.restores)
                    && let Some(backup) = self.nodes[place].backup.take()
                {
                    copy_data(&backup.folder, &self.nodes[place].folder);
                    // Times of files are too coarse in a run that takes a hundredth of a second.
                    let _ = std::fs::remove_file(self.nodes[place].folder.join("handover"));
                    (self.nodes[place].node, self.nodes[place].joined) = (backup.node, backup.joined);
                    self.tell(format!("n{place} is restored"));
                    self.restored(place);
                }
                if self.random.permille(weather.clock_jumps * 10) {
                    self.tell(format!("n{place} starts with a right clock"));
                    self.nodes[place].clock = Clock::simulated(EPOCH_MS + self.tick * TICK_MS);
                }
                self.start(place);
            }
        }
        if self.nodes.len() < 6 && self.random.permille(weather.clones) {
            self.clone_node();
        }
        if self.nodes.len() < 6 && self.random.permille(weather.joins) {
            self.join();
        }
        if self.random.permille(weather.withdrawals) {
            self.withdraw();
        }
        if weather.slander > 0 && self.random.permille(weather.slander) {
            self.slander();
        }
    }

    /// A member says to hold a change more of a node than it has made: the node has to take itself for an old copy.
    fn slander(&mut self) {
        let place = self.random.below(self.nodes.len() as u64) as usize;
        let node = &self.nodes[place];
        let Some(session) = node.sessions.keys().next().copied().filter(|_| node.is_up()) else { return };
        let sequence = node.disk.vector.sequence(node.disk.origin) + 1;
        let position = OriginPosition { sequence, chain: [1; 16], closed: None };
        let risen = UpdateVector::from_positions([(node.disk.origin, position)]);
        let ack = Ack { risen, check: 0, digest: None, clock: Csn::NONE };
        self.tell(format!("n{place} is told that it made {sequence} changes"));
        self.feed(place, Input::Received { session, message: Message::Ack(ack) });
    }

    pub(super) fn restored(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        let dit = Dit::open(dit_options(&node.folder, 1), schema(), node.clock.clone()).expect("the tree opens");
        node.disk = store::holding(&dit).expect("the tree is read");
        drop(dit);
        self.count("restore");
        self.doubt_lost();
    }

    /// A data directory is copied and started beside.
    pub(super) fn clone_node(&mut self) {
        let place = self.random.below(self.nodes.len() as u64) as usize;
        // A copy of a reader has a supplier write its new entry, which is not played here.
        let of = &self.nodes[place];
        if of.gone || of.leaving || !of.joined || of.role != Role::Supplier {
            return;
        }
        let copy = self.copy_beside(place);
        self.tell(format!("n{copy} is a copy of n{place}"));
        self.start(copy);
    }

    /// A new member comes.
    pub(super) fn join(&mut self) {
        let inviter = self.random.below(self.nodes.len() as u64) as usize;
        if self.nodes[inviter].local_writes() != Some(LocalWrites::Open) {
            return;
        }
        let node = node_id(self.node_last);
        self.node_last += 1;
        let mut inputs = VecDeque::new();
        let joining = self.weather.readers.joining;
        let role = match if joining > 0 { self.random.below(1000) } else { 1000 } {
            chance if chance < joining => Role::Hub,
            chance if chance < 2 * joining => Role::Consumer,
            _ => Role::Supplier,
        };
        self.tell(format!("n{inviter} invites {node}, {role:?}"));
        if !self.write_locally(inviter, &mut inputs, |writing| add_member(writing, node, role)) {
            return;
        }
        inputs.into_iter().for_each(|input| self.feed(inviter, input));
        let path = self.folder.path().join(format!("node{}", self.nodes.len()));
        std::fs::create_dir_all(&path).expect("a folder");
        give_identity(&path, node, OriginId::new(self.random.next() | 1));
        let mut joining = Node::new(node, path);
        joining.role = role;
        joining.rules = self.rules;
        joining.clock = Clock::simulated(EPOCH_MS + self.tick * TICK_MS);
        self.nodes.push(joining);
        self.count("join");
        self.start(self.nodes.len() - 1);
    }

    /// An operator invites those anew whose invitation no disk holds any more, since the inviter's is an old copy.
    pub(crate) fn invite_anew(&mut self) {
        let up = self.up();
        let known = |cluster: &Self, node| {
            up.iter().any(|place| {
                let running = cluster.nodes[*place].running.as_ref();
                running.is_some_and(|running| running.members.iter().any(|member| member.node == node))
            })
        };
        for place in &up {
            let Node { node, role, .. } = self.nodes[*place];
            if self.nodes[*place].local_writes() != Some(LocalWrites::Joining) || known(self, node) {
                continue;
            }
            let inviter = up.iter().find(|place| self.nodes[**place].local_writes() == Some(LocalWrites::Open));
            let Some(inviter) = inviter.copied() else { return };
            let mut inputs = VecDeque::new();
            self.tell(format!("n{inviter} invites {node} again"));
            self.write_locally(inviter, &mut inputs, |writing| add_member(writing, node, role));
            inputs.into_iter().for_each(|input| self.feed(inviter, input));
        }
    }

    /// An operator suspends a member that is down, or retires it for good.
    pub(super) fn withdraw(&mut self) {
        let active = self.nodes.iter().filter(|node| !node.gone).count();
        let by = self.random.below(self.nodes.len() as u64) as usize;
        let place = self.random.below(self.nodes.len() as u64) as usize;
        let node = self.nodes[place].node;
        let twins = self.nodes.iter().filter(|other| other.node == node).count();
        if by == place
            || active < 3
            || twins > 1
            || self.nodes[place].gone
            || self.nodes[place].leaving
            || self.nodes[by].local_writes() != Some(LocalWrites::Open)
            || self.nodes[by].node == node
        {
            return;
        }
        let retire = self.random.permille(400);
        if self.nodes[place].is_up() {
            self.stop(place);
        }
        if retire {
            self.tell(format!("n{place} is retired"));
            self.nodes[place].gone = true;
            self.count("retire");
            self.doubt_lost();
        } else {
            self.tell(format!("n{place} is suspended"));
            self.count("suspend");
        }
        let state = if retire { MemberState::Retired } else { MemberState::Suspended };
        self.feed(by, Input::Withdraw { node, state });
    }

    /// A copy that runs beside gets an identity of its own.
    pub(super) fn take_new_identity(&mut self, place: usize) -> bool {
        self.stop(place);
        let node = node_id(self.node_last);
        self.node_last += 1;
        self.tell(format!("n{place} becomes {node}"));
        let options = self.options.clone();
        let seed = self.seed ^ (place as u64) << 56;
        {
            let this = &mut self.nodes[place];
            this.node = node;
            let dit = Dit::open(dit_options(&this.folder, seed ^ 0x77 ^ self.tick << 40), schema(), this.clock.clone())
                .expect("it opens");
            let before = this.disk.vector.clone();
            dit.change_offline(|writing| {
                let origin = writing.rotate_origin()?;
                store::note_unawaited(writing)?;
                add_member(writing, node, Role::Supplier)?;
                add_origin(writing, node, origin)
            })
            .expect("a new identity");
            let holding = store::holding(&dit).expect("the tree is read");
            let snapshot = dit.read().expect("a snapshot");
            let records = snapshot.view().log_range(holding.origin, before.sequence(holding.origin) + 1, usize::MAX);
            if let Ok(LogRange::Records(records)) = records {
                records.iter().for_each(|record| self.oracle.issue(record));
            }
        }
        self.nodes[place].start(seed, &options);
        false
    }

    /// A reader that was ahead goes on in an empty data directory of its own.
    pub(super) fn fill_anew(&mut self, place: usize) -> bool {
        self.tell(format!("n{place} is filled anew"));
        self.count("filled anew");
        let members = self.nodes[place].running.as_ref().expect("it runs").members.clone();
        self.stop(place);
        self.nodes_filled += 1;
        let path = self.folder.path().join(format!("anew{}", self.nodes_filled));
        std::fs::create_dir_all(&path).expect("a folder");
        let origin = OriginId::new(self.random.next() | 1);
        give_identity(&path, self.nodes[place].node, origin);
        note_filled(&path, self.nodes[place].clock.wall_ms());
        let node = &mut self.nodes[place];
        (node.folder, node.joined, node.bootstrap) = (path, false, members);
        self.start(place);
        self.doubt_lost();
        false
    }

    /// Changes of an origin after a number, as this node has them, are written again under another.
    pub(super) fn doubt_tail(&mut self, place: usize, origin: OriginId, after: u64) {
        let running = self.nodes[place].running.as_ref().expect("it runs");
        let snapshot = running.dit.read().expect("a snapshot");
        let mut tail = BTreeSet::new();
        if let Ok(LogRange::Records(records)) = snapshot.view().log_range(origin, after + 1, usize::MAX) {
            let mut oracle = Oracle::default();
            records.iter().for_each(|record| oracle.issue(record));
            tail = oracle.issued.iter().map(|issued| issued.update.stamp.csn).collect();
        }
        drop(snapshot);
        let count = self.oracle.doubt(|_, csn| tail.contains(&csn));
        self.tell(format!("n{place} writes {count} changes of {origin} after {after} again"));
    }

    /// Changes that no disk holds any more are nobody's promise.
    pub(super) fn doubt_lost(&mut self) {
        let vectors: Vec<UpdateVector> =
            self.nodes.iter().filter(|node| !node.gone).map(|node| node.disk.vector.clone()).collect();
        let count = self.oracle.lose(|dot| !vectors.iter().any(|vector| vector.covers(dot)));
        if count > 0 {
            self.tell(format!("{count} changes are on no disk any more"));
        }
    }
}
