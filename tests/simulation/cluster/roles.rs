//! Members that become something else by a plan: a supplier that only reads from now on, as hub or consumer, a reader that is
//! made a supplier, a supplier that leaves by itself and whose machine joins anew. Drawn from a row of chance of its own, so
//! that it changes nothing of the runs that have none.
//!
//! A supplier that is asked to does it itself, as `src/replication/engine/leaving.rs` has it: its last change says where its
//! origin ends. Who is a consumer then sends its changes on as a hub until a supplier holds them, and who leaves runs until then.

use std::collections::{BTreeMap, VecDeque};

use entente::replication::{Input, LocalWrites, Member, MemberState, Role};
use entente::state::OriginId;

use super::Cluster;
use crate::node::{Asked, put_own, put_role};
use crate::random::Random;

/// How often members become something else.
#[derive(Debug)]
pub(crate) struct Roles {
    random: Random,
    /// In thousandths a tick.
    changes: u64,
    /// In thousandths a tick.
    leaves: u64,
    /// Machines of members that left and are to join anew.
    vacant: u64,
}

impl Roles {
    pub(super) fn of(seed: u64) -> Option<Self> {
        let mut random = Random::new(seed.rotate_left(8) ^ 0x726f_6c65_7300);
        if !random.permille(200) {
            return None;
        }
        let (changes, leaves) = (random.between(10, 60), random.between(0, 15));
        Some(Self { random, changes, leaves, vacant: 0 })
    }
}

impl Cluster {
    pub(super) fn play_roles(&mut self) {
        let Some(mut roles) = self.roles.take() else { return };
        let place = roles.random.below(self.nodes.len() as u64) as usize;
        if roles.random.permille(roles.changes) {
            match self.nodes[place].role {
                Role::Supplier => {
                    let role = if roles.random.permille(500) { Role::Hub } else { Role::Consumer };
                    self.ask(place, Asked::Read(role));
                }
                Role::Hub | Role::Consumer => {
                    let by = roles.random.below(self.nodes.len() as u64) as usize;
                    self.make_supplier(by, place);
                }
            }
        }
        let place = roles.random.below(self.nodes.len() as u64) as usize;
        if roles.random.permille(roles.leaves) {
            self.ask(place, Asked::Leave);
        }
        if roles.vacant > 0 && self.nodes.len() < 8 && roles.random.permille(100) {
            roles.vacant -= 1;
            self.count("joins anew");
            self.join();
        }
        self.roles = Some(roles);
    }

    /// Whether a supplier can end its origin: it takes changes, is alone under its identity, and not the last.
    fn may_step_back(&self, place: usize) -> bool {
        let node = &self.nodes[place];
        let alone = self.nodes.iter().filter(|other| other.node == node.node).count() == 1;
        let is_supplier = |other: &crate::node::Node| {
            other.node != node.node && !other.gone && !other.leaving && other.joined && other.role == Role::Supplier
        };
        let writes = node.role == Role::Supplier && node.local_writes() == Some(LocalWrites::Open);
        let is_another_open = node.running.as_ref().is_some_and(|running| running.replicator.is_another_open());
        writes && alone && is_another_open && !node.leaving && node.joined && self.nodes.iter().any(is_supplier)
    }

    fn ask(&mut self, place: usize, asked: Asked) {
        let active = self.nodes.iter().filter(|node| !node.gone && !node.leaving).count();
        let is_enough = asked != Asked::Leave || active > 2;
        let is_one_at_once = self.nodes.iter().all(|node| node.asked.is_none());
        if is_enough && is_one_at_once && self.may_step_back(place) {
            self.nodes[place].asked = Some(asked);
        }
    }

    /// Who was asked does it once others hold all that it holds.
    pub(super) fn step_back(&mut self) {
        for place in 0..self.nodes.len() {
            let node = &self.nodes[place];
            let (Some(asked), Some(running)) = (node.asked, node.running.as_ref()) else { continue };
            let is_ready = running.replicator.is_all_handed_over();
            if !self.may_step_back(place) {
                self.nodes[place].asked = None;
            } else if is_ready {
                self.nodes[place].asked = None;
                match asked {
                    Asked::Read(role) => self.become_reader(place, role),
                    Asked::Leave => self.leave(place),
                }
            }
        }
    }

    /// What the node says of itself in its last change: where its origins end.
    fn own_ends(&self, place: usize) -> Option<BTreeMap<OriginId, u64>> {
        let node = &self.nodes[place];
        let own = node.running.as_ref()?.members.iter().find(|member| member.node == node.node)?;
        let mut finals = own.finals.clone();
        for origin in &own.origins {
            finals.entry(*origin).or_insert_with(|| node.disk.vector.sequence(*origin));
        }
        finals.insert(node.disk.origin, node.disk.vector.sequence(node.disk.origin) + 1);
        Some(finals)
    }

    fn become_reader(&mut self, place: usize, role: Role) {
        let Some(finals) = self.own_ends(place) else { return };
        let node = self.nodes[place].node;
        let mut inputs = VecDeque::new();
        self.tell(format!("n{place} becomes {role:?}, its origins end: {finals:?}"));
        if self.write_locally(place, &mut inputs, |writing| put_own(writing, node, None, Some(role), &finals)) {
            self.count("becomes reader");
            inputs.into_iter().for_each(|input| self.feed(place, input));
        }
    }

    fn make_supplier(&mut self, by: usize, place: usize) {
        let node = self.nodes[place].node;
        let open = self.nodes[by].role == Role::Supplier && self.nodes[by].local_writes() == Some(LocalWrites::Open);
        let knows = |members: &[Member]| {
            members.iter().any(|member| {
                member.node == node && member.state == MemberState::Active && !member.role.may_originate()
            })
        };
        let known = self.nodes[by].running.as_ref().is_some_and(|running| knows(&running.members));
        if !open || !known || self.nodes[place].gone {
            return;
        }
        let mut inputs = VecDeque::new();
        self.tell(format!("n{by} makes n{place} a supplier"));
        if self.write_locally(by, &mut inputs, |writing| put_role(writing, node, Role::Supplier)) {
            self.count("becomes supplier");
            inputs.into_iter().for_each(|input| self.feed(by, input));
        }
    }

    /// Whether no way between others leads over a member: it leaves, or is a consumer still as somebody knows it. What would come
    /// over it they would not take.
    pub(super) fn stands_aside(&self, place: usize) -> bool {
        let node = &self.nodes[place];
        let reads = |member: &Member| member.node == node.node && member.role == Role::Consumer;
        let mut others =
            self.nodes.iter().filter(|other| other.node != node.node).filter_map(|other| other.running.as_ref());
        self.roles.is_some() && (node.leaving || others.any(|running| running.members.iter().any(reads)))
    }

    /// An operator makes a member a supplier once more that is one by its own word alone: who did it is an old copy now, and
    /// from the member itself nobody takes anything that knows it as a consumer.
    pub(crate) fn promote_again(&mut self) {
        for place in self.up() {
            let node = self.nodes[place].node;
            let is_supplier = self.nodes[place].role == Role::Supplier;
            let unheard = |by: &usize| {
                let running = self.nodes[*by].running.as_ref().expect("it runs");
                let reads = |member: &Member| member.node == node && !member.role.may_originate();
                running.members.iter().any(reads) && self.nodes[*by].local_writes() == Some(LocalWrites::Open)
            };
            if let Some(by) = self.up().into_iter().find(|by| is_supplier && unheard(by)) {
                self.count("promotes again");
                self.make_supplier(by, place);
            }
        }
    }

    /// An operator retires a member that has left for good, where the change that said so is on no disk any more.
    pub(crate) fn retire_again(&mut self) {
        for place in 0..self.nodes.len() {
            let node = self.nodes[place].node;
            let is_alone = self.nodes.iter().filter(|other| other.node == node).count() == 1;
            let is_active = |by: &usize| {
                let running = self.nodes[*by].running.as_ref().expect("it runs");
                let stays = |member: &Member| member.node == node && member.state != MemberState::Retired;
                running.members.iter().any(stays) && self.nodes[*by].local_writes() == Some(LocalWrites::Open)
            };
            let is_gone = self.nodes[place].gone && is_alone;
            if let Some(by) = self.up().into_iter().find(|by| is_gone && is_active(by)) {
                self.tell(format!("n{by} retires n{place} again"));
                self.count("retires again");
                self.feed(by, Input::Withdraw { node, state: MemberState::Retired });
            }
        }
    }

    fn leave(&mut self, place: usize) {
        let Some(finals) = self.own_ends(place) else { return };
        let node = self.nodes[place].node;
        let mut inputs = VecDeque::new();
        self.tell(format!("n{place} leaves, its origins end: {finals:?}"));
        let state = Some(MemberState::Retired);
        self.nodes[place].leaving = true;
        self.nodes[place].backup = None;
        if self.write_locally(place, &mut inputs, |writing| put_own(writing, node, state, None, &finals)) {
            self.count("leaves");
            inputs.into_iter().for_each(|input| self.feed(place, input));
        } else {
            self.nodes[place].leaving = false;
        }
    }

    /// Who leaves stops once another holds all that it holds.
    pub(super) fn finish_leaving(&mut self) {
        for place in 0..self.nodes.len() {
            let node = &self.nodes[place];
            if node.gone || !node.leaving {
                continue;
            }
            let holds = |other: &crate::node::Node| {
                other.node != node.node
                    && !other.gone
                    && !other.leaving
                    && other.role == Role::Supplier
                    && other.disk.vector.holds_all_of(&node.disk.vector)
            };
            if self.nodes.iter().any(holds) {
                self.tell(format!("n{place} has left"));
                self.stop(place);
                self.nodes[place].gone = true;
                if let Some(roles) = &mut self.roles {
                    roles.vacant += 1;
                }
                self.doubt_lost();
            }
        }
    }

    /// The members as a node believes them: one that became a consumer is a hub to itself until a supplier has all of its own
    /// changes.
    pub(super) fn believed_members(&self, place: usize) -> Vec<Member> {
        let node = &self.nodes[place];
        let Some(running) = node.running.as_ref() else { return Vec::new() };
        let mut members = node.members(&running.dit);
        let status = running.replicator.status(self.now(place));
        let holds = status.members.iter().any(|member| {
            member.member.holds_cut() && member.heard_ms_ago.is_some() && !member.backlog.contains_key(&status.origin)
        });
        if !holds {
            crate::node::send_on_first(&mut members, node.node, status.origin);
        }
        members
    }

    /// Has a node look at the list of members again.
    pub(super) fn refresh_members(&mut self, place: usize) {
        let Some(running) = self.nodes[place].running.as_ref() else { return };
        let own = |members: &[Member]| {
            let own = members.iter().find(|member| member.node == self.nodes[place].node)?;
            Some(own.role)
        };
        if own(&running.members) != Some(Role::Hub) || self.nodes[place].role != Role::Consumer {
            return;
        }
        let members = self.believed_members(place);
        let running = self.nodes[place].running.as_mut().expect("it runs");
        if members != running.members {
            running.members.clone_from(&members);
            self.tell(format!("n{place} needs to send its changes no more"));
            self.feed(place, Input::Members(members));
        }
    }
}
