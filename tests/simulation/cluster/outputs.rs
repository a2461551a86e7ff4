//! What nodes ask for, carried out: messages sent, the store read and written, and what follows from a commit.

use std::collections::VecDeque;
use std::sync::LazyLock;

use entente::dit::{DitError, LogRange};
use entente::replication::{Answer, Input, LocalWrites, Member, Output, Role, WriteRequest, store};
use entente::state::UpdateVector;

use super::Cluster;
use crate::node::{add_origin, set_member};

/// Outputs handled for one input at most: more is a loop.
const STEPS_MAX: usize = 20_000;

impl Cluster {
    /// Hands a node an input and does what it asks for.
    pub(crate) fn feed(&mut self, place: usize, input: Input) {
        let now = self.now(place);
        let mut inputs = VecDeque::from([input]);
        let mut steps = 0;
        while let Some(input) = inputs.pop_front() {
            let mut out = Vec::new();
            let Some(running) = self.nodes[place].running.as_mut() else { return };
            running.replicator.handle(now, input, &mut out);
            for output in out {
                steps += 1;
                if steps > STEPS_MAX {
                    return self.fail(format!("node {place} goes round in circles"));
                }
                if !self.carry_out(place, output, &mut inputs) {
                    return;
                }
            }
        }
        let node = &mut self.nodes[place];
        if let Some(running) = &node.running
            && running.replicator.local_writes() != LocalWrites::Joining
            && (node.role == Role::Supplier || running.replicator.is_joined())
        {
            node.joined = true;
            if !std::mem::take(&mut node.bootstrap).is_empty() {
                // What was taken anew takes the place of what was served.
                self.stop(place);
                self.start(place);
            }
        }
    }

    /// Does what a node asks for; false if the node stopped over it.
    pub(super) fn carry_out(&mut self, place: usize, output: Output, inputs: &mut VecDeque<Input>) -> bool {
        match output {
            Output::Alarm(alarm) => self.alarm(place, alarm),
            Output::Close { session, reason } => {
                self.tell(format!("n{place} closes {session:?}: {reason:?}"));
                self.nodes[place].sessions.remove(&session);
                self.network.close(self.tick, place, session);
            }
            Output::Durable { .. } => {}
            Output::FillAnew => return self.fill_anew(place),
            Output::LocalWrites(state) => {
                self.tell(format!("n{place} local writes: {state:?}"));
                return state != LocalWrites::Open || self.say_origin(place, inputs);
            }
            Output::Read { request, read } => {
                let running = self.nodes[place].running.as_ref().expect("it runs");
                inputs.push_back(Input::Answered { request, answer: store::read(&running.dit, &read) });
            }
            Output::Send { session, message } => {
                if told_in_full() {
                    let to = self.nodes[place].sessions.get(&session).copied().unwrap_or_default();
                    let text = format!("{message:?}");
                    self.tell(format!("n{place} to {to}: {}", text.chars().take(600).collect::<String>()));
                }
                self.network.send(self.tick, place, session, message, &mut self.random);
            }
            Output::SetMember { node, state, finals } => {
                self.tell(format!("n{place} sets member {node} {state:?} {finals:?}"));
                let known = self.nodes[place]
                    .running
                    .as_ref()
                    .and_then(|running| running.members.iter().find(|member| member.node == node).cloned());
                if let Some(known) = known {
                    let member = Member { state, finals, ..known };
                    return self.write_locally(place, inputs, |writing| set_member(writing, &member));
                }
            }
            Output::TakeNewIdentity => return self.take_new_identity(place),
            Output::Write { request, mut write } => {
                if let WriteRequest::Settle { cut, .. } = &mut write
                    && self.rules.forget_what_is_held_here
                {
                    let held = self.nodes[place].disk.vector.iter();
                    *cut = held.map(|(origin, position)| (origin, position.sequence)).collect();
                }
                let torn = !self.calm && self.random.permille(self.weather.torn);
                if let WriteRequest::ReissueTail { origin, after, .. } = &write {
                    self.doubt_tail(place, *origin, *after);
                    self.count("reissue");
                }
                self.count(match &write {
                    WriteRequest::Merge { .. } => "merge",
                    WriteRequest::Settle { .. } => "settle",
                    WriteRequest::TrimLog(_) => "trim",
                    WriteRequest::RotateOrigin => "rotate",
                    WriteRequest::TakeVector { .. } => "take vector",
                    WriteRequest::DropDeleted { .. } => "drop",
                    _ => "write",
                });
                if told_in_full() {
                    self.tell(format!("n{place} holds {:?}; {}", self.nodes[place].disk.vector, told_write(&write)));
                }
                let before = self.nodes[place].disk.vector.clone();
                let running = self.nodes[place].running.as_ref().expect("it runs");
                let done = running.dit.change_offline(|writing| {
                    let answer = store::write(writing, &write)?;
                    if torn { Err(DitError::Unavailable("torn")) } else { Ok(answer) }
                });
                if torn {
                    self.tell(format!("n{place} crashes before a commit"));
                    self.stop(place);
                    return false;
                }
                let answer = done.unwrap_or_else(|error| Answer::Failed(error.to_string()));
                if let Answer::Failed(detail) = &answer {
                    let other = self.up().into_iter().find(|other| *other != place);
                    let differences = other.map(|other| self.differences(place, other)).unwrap_or_default();
                    self.fail(format!("node {place}: store failed: {detail}\n{differences}"));
                }
                let lowers = matches!(write, WriteRequest::ReissueTail { .. });
                self.committed(place, &before, lowers, inputs);
                inputs.push_back(Input::Answered { request, answer });
                let writes = self.nodes[place].role == Role::Supplier && !self.nodes[place].leaving;
                if matches!(write, WriteRequest::RotateOrigin) && writes {
                    let (node, origin) = (self.nodes[place].node, self.nodes[place].disk.origin);
                    self.tell(format!("n{place} goes on as {origin}"));
                    return self.write_locally(place, inputs, |writing| add_origin(writing, node, origin));
                }
            }
        }
        true
    }

    /// A node that takes changes has its own entry say under which origin, if it does not; false if it crashed over it.
    pub(super) fn say_origin(&mut self, place: usize, inputs: &mut VecDeque<Input>) -> bool {
        let (node, origin) = (self.nodes[place].node, self.nodes[place].disk.origin);
        let members = &self.nodes[place].running.as_ref().expect("it runs").members;
        let said = members.iter().any(|member| member.node == node && member.origins.contains(&origin));
        said || self.write_locally(place, inputs, |writing| add_origin(writing, node, origin))
    }

    /// A commit of a node: notes what it issued and tells the replicator.
    pub(super) fn committed(
        &mut self,
        place: usize,
        before: &UpdateVector,
        lowers: bool,
        inputs: &mut VecDeque<Input>,
    ) {
        let running = self.nodes[place].running.as_ref().expect("it runs");
        let holding = store::holding(&running.dit).expect("the tree is read");
        let issued = match running.dit.read().expect("a snapshot").view().log_range(
            holding.origin,
            before.sequence(holding.origin) + 1,
            usize::MAX,
        ) {
            Ok(LogRange::Records(records)) => records,
            _ => Vec::new(),
        };
        if !issued.is_empty() && self.nodes[place].role != Role::Supplier {
            self.fail(format!("read-only: n{place}, {:?}, makes changes of its own", self.nodes[place].role));
        }
        issued.iter().for_each(|record| self.oracle.issue(record));
        if !lowers && !holding.vector.holds_all_of(before) {
            self.fail(format!("vector-rises: node {place} held {before:?}, holds {:?}", holding.vector));
        }
        let changed = holding.vector != *before;
        self.nodes[place].disk = holding.clone();
        self.watch(place);
        inputs.push_back(Input::Committed(Box::new(holding)));
        if changed {
            let members = self.believed_members(place);
            let known = self.nodes[place].members(&self.nodes[place].running.as_ref().expect("it runs").dit);
            if let Some(own) = known.iter().find(|member| member.node == self.nodes[place].node) {
                self.nodes[place].role = own.role;
            }
            let running = self.nodes[place].running.as_mut().expect("it runs");
            if members != running.members {
                running.members.clone_from(&members);
                inputs.push_back(Input::Members(members));
            }
        }
    }

    /// A change made on the node itself; false if it crashed over it.
    pub(crate) fn write_locally(
        &mut self,
        place: usize,
        inputs: &mut VecDeque<Input>,
        work: impl FnOnce(&mut entente::dit::Writing<'_>) -> Result<(), DitError>,
    ) -> bool {
        let torn = !self.calm && self.random.permille(self.weather.torn);
        let before = self.nodes[place].disk.vector.clone();
        let running = self.nodes[place].running.as_ref().expect("it runs");
        let done = running.dit.change_offline(|writing| {
            work(writing)?;
            if torn { Err(DitError::Unavailable("torn")) } else { Ok(()) }
        });
        if torn {
            self.tell(format!("n{place} crashes before a commit"));
            self.stop(place);
            return false;
        }
        if let Err(error) = done {
            self.fail(format!("node {place}: local change failed: {error}"));
        }
        self.committed(place, &before, false, inputs);
        true
    }
}

/// Whether every message and every write is told (`SIM_TOLD=all`).
fn told_in_full() -> bool {
    static ALL: LazyLock<bool> = LazyLock::new(|| std::env::var_os("SIM_TOLD").is_some());
    *ALL
}

fn told_write(write: &WriteRequest) -> String {
    match write {
        WriteRequest::Apply { records, .. } => {
            let places = records.iter().map(|record| format!(" {}:{}", record.origin, record.sequence));
            format!("Apply{}", places.collect::<String>())
        }
        WriteRequest::Merge { entries, theirs, fill, .. } => {
            let entries: String = entries.iter().map(|entry| format!(" {}", entry.uuid)).collect();
            format!("Merge fill {fill} theirs {theirs:?}{entries}")
        }
        other => format!("{other:?}"),
    }
}
