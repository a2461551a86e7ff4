//! The cluster as one value: nodes, network, clients, faults; one tick after the other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use entente::clock::Clock;
use entente::dit::{Dit, DitError, LogRange};
use entente::model::EntryUuid;
use entente::replication::{
    self, Alarm, Answer, Input, LocalWrites, Member, MemberState, Now, Output, SessionId, WriteRequest, store,
};
use entente::state::{EntryState, OriginId, UpdateVector};

use crate::network::{Faults, Network};
use crate::node::{
    EPOCH_MS, Node, Rules, TICK_MS, add_member, add_origin, copy_data, dit_options, give_identity, members, node_id,
    replicator_options, schema, set_member, states,
};
use crate::oracle::Oracle;
use crate::random::Random;
use crate::workload::{SUFFIX, add, operate};

/// Events kept for the report.
const EVENTS_MAX: usize = 400;
/// Outputs handled for one input at most: more is a loop.
const STEPS_MAX: usize = 20_000;

/// Which faults a run has, and how many of them; drawn from the seed, so that quiet runs occur too.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weather {
    pub(crate) nodes: u64,
    pub(crate) ticks: u64,
    pub(crate) operations: u64,
    pub(crate) faults: Faults,
    /// In thousandths a tick.
    pub(crate) cuts: u64,
    pub(crate) link_ends: u64,
    pub(crate) crashes: u64,
    /// In thousandths a commit.
    pub(crate) torn: u64,
    pub(crate) restores: u64,
    pub(crate) clones: u64,
    pub(crate) clock_jumps: u64,
    pub(crate) joins: u64,
    pub(crate) withdrawals: u64,
    pub(crate) trims: bool,
    pub(crate) settles: bool,
}

impl Weather {
    pub(crate) fn of(random: &mut Random) -> Self {
        let mut sometimes = |chance: u64, most: u64| if random.permille(chance) { random.between(1, most) } else { 0 };
        let faults = Faults {
            loss: sometimes(400, 100),
            repetition: sometimes(400, 100),
            reordering: sometimes(300, 100),
            delay_max: sometimes(600, 4),
        };
        Self {
            faults,
            cuts: sometimes(500, 40),
            link_ends: sometimes(400, 30),
            crashes: sometimes(400, 20),
            torn: sometimes(200, 20),
            restores: sometimes(300, 900),
            clones: sometimes(100, 10),
            clock_jumps: sometimes(250, 15),
            joins: sometimes(200, 10),
            withdrawals: sometimes(200, 10),
            trims: sometimes(400, 1) == 1,
            settles: sometimes(800, 1) == 1,
            nodes: random.between(2, 4),
            ticks: random.between(30, 90),
            operations: random.between(200, 1500),
        }
    }
}

impl Weather {
    /// Leaves out faults by name, to see what a failure needs.
    fn drop_named(&mut self, names: &str) {
        for name in names.split(',') {
            match name {
                "clock_jumps" => self.clock_jumps = 0,
                "clones" => self.clones = 0,
                "crashes" => (self.crashes, self.torn) = (0, 0),
                "cuts" => self.cuts = 0,
                "faults" => self.faults = Faults::default(),
                "joins" => self.joins = 0,
                "link_ends" => self.link_ends = 0,
                "restores" => self.restores = 0,
                "settles" => self.settles = false,
                "trims" => self.trims = false,
                "withdrawals" => self.withdrawals = 0,
                other => panic!("no fault is named {other}"),
            }
        }
    }
}

/// A run.
pub(crate) struct Cluster {
    pub(crate) seed: u64,
    rules: Rules,
    pub(crate) random: Random,
    pub(crate) weather: Weather,
    pub(crate) tick: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network,
    pub(crate) oracle: Oracle,
    pub(crate) options: replication::Options,
    pub(crate) events: VecDeque<String>,
    /// The first broken invariant.
    pub(crate) broken: Option<String>,
    /// No more faults.
    pub(crate) calm: bool,
    /// Ticks left of each cut.
    cuts: Vec<((usize, usize), u64)>,
    folder: tempfile::TempDir,
    session_last: u64,
    entry_last: u64,
    node_last: u64,
    pub(crate) told: BTreeMap<&'static str, u64>,
}

/// Where data directories are made: in memory if the system has such a folder.
fn root() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

/// A data directory that all first nodes begin with: suffix, two containers, the members.
fn template(nodes: u64) -> &'static Path {
    static TEMPLATES: LazyLock<(tempfile::TempDir, Vec<PathBuf>)> = LazyLock::new(|| {
        let folder = tempfile::tempdir_in(root()).expect("a folder");
        let paths = (0..=4).map(|nodes| make_template(folder.path(), nodes)).collect();
        (folder, paths)
    });
    &TEMPLATES.1[nodes as usize]
}

fn make_template(folder: &Path, nodes: u64) -> PathBuf {
    let path = folder.join(format!("template{nodes}"));
    std::fs::create_dir_all(&path).expect("a folder");
    give_identity(&path, node_id(0), OriginId(1));
    let dit = Dit::open(dit_options(&path, 1), schema(), Clock::simulated(EPOCH_MS - 1000)).expect("the tree opens");
    dit.change_offline(|writing| {
        let uuid = |first: u8, number: u8| {
            let mut uuid = [number; 16];
            uuid[0] = first;
            EntryUuid(uuid)
        };
        add(writing, uuid(b's', 1), SUFFIX, &[("objectClass", "domain"), ("dc", "x")])?;
        add(writing, uuid(b'o', 2), &format!("ou=a,{SUFFIX}"), &[("objectClass", "organizationalUnit")])?;
        add(writing, uuid(b'o', 3), &format!("ou=b,{SUFFIX}"), &[("objectClass", "organizationalUnit")])?;
        for place in 0..nodes {
            add_member(writing, node_id(place), MemberState::Active)?;
        }
        Ok(())
    })
    .expect("the first content");
    path
}

impl Cluster {
    pub(crate) fn new(seed: u64, rules: Rules) -> Self {
        let mut random = Random::new(seed);
        let mut weather = Weather::of(&mut random);
        if let Ok(without) = std::env::var("SIM_WITHOUT") {
            weather.drop_named(&without);
        }
        let folder = tempfile::tempdir_in(root()).expect("a folder");
        let mut options = replicator_options();
        if weather.trims {
            options.log_records_kept = random.below(8);
        }
        if !weather.settles {
            options.settle_ms = u64::MAX / 2;
        }
        let mut cluster = Self {
            seed,
            rules,
            random,
            tick: 0,
            nodes: Vec::new(),
            network: Network::new(weather.faults),
            weather,
            oracle: Oracle::default(),
            options,
            events: VecDeque::new(),
            broken: None,
            calm: false,
            cuts: Vec::new(),
            folder,
            session_last: 0,
            entry_last: 0,
            node_last: 0,
            told: BTreeMap::new(),
        };
        let first = template(cluster.weather.nodes);
        for place in 0..cluster.weather.nodes {
            let path = cluster.folder.path().join(format!("node{place}"));
            copy_data(first, &path);
            let origin = OriginId::new(cluster.random.next() | 1);
            give_identity(&path, node_id(place), origin);
            let mut node = Node::new(node_id(place), path);
            node.joined = true;
            node.rules = rules;
            node.advance(cluster.random.below(2_000));
            if cluster.random.permille(100) {
                node.advance(cluster.random.below(400_000));
            }
            node.start(seed, &cluster.options);
            cluster.nodes.push(node);
        }
        cluster.node_last = cluster.weather.nodes;
        let founder = cluster.nodes[0].running.as_ref().expect("it runs");
        let records = founder.dit.read().expect("a snapshot");
        if let LogRange::Records(records) = records.view().log_range(OriginId(1), 1, usize::MAX).expect("the log") {
            records.iter().for_each(|record| cluster.oracle.issue(record));
        }
        drop(records);
        cluster
    }

    pub(crate) fn tell(&mut self, event: String) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(format!("{:>4} {event}", self.tick));
    }

    fn count(&mut self, what: &'static str) {
        *self.told.entry(what).or_default() += 1;
    }

    pub(crate) fn fail(&mut self, invariant: String) {
        if self.broken.is_none() {
            self.tell(format!("BROKEN {invariant}"));
            self.broken = Some(invariant);
        }
    }

    fn now(&self, place: usize) -> Now {
        Now { wall_ms: self.nodes[place].clock.wall_ms(), monotonic_ms: 10_000 + self.tick * TICK_MS }
    }

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
        {
            node.joined = true;
        }
    }

    /// Does what a node asks for; false if the node stopped over it.
    fn carry_out(&mut self, place: usize, output: Output, inputs: &mut VecDeque<Input>) -> bool {
        match output {
            Output::Alarm(alarm) => self.alarm(place, alarm),
            Output::Close { session, reason } => {
                self.tell(format!("n{place} closes {session:?}: {reason:?}"));
                self.nodes[place].sessions.remove(&session);
                self.network.close(self.tick, place, session);
            }
            Output::Durable { .. } => {}
            Output::LocalWrites(state) => self.tell(format!("n{place} local writes: {state:?}")),
            Output::Read { request, read } => {
                let running = self.nodes[place].running.as_ref().expect("it runs");
                inputs.push_back(Input::Answered { request, answer: store::read(&running.dit, &read) });
            }
            Output::Send { session, message } => {
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
                if let WriteRequest::Settle(cut) = &mut write
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
                    WriteRequest::Settle(_) => "settle",
                    WriteRequest::TrimLog(_) => "trim",
                    WriteRequest::RotateOrigin => "rotate",
                    WriteRequest::TakeVector { .. } => "take vector",
                    WriteRequest::DropDeleted { .. } => "drop",
                    _ => "write",
                });
                let (before, old_origin) = (self.nodes[place].disk.vector.clone(), self.nodes[place].disk.origin);
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
                    self.fail(format!("node {place}: store failed: {detail}"));
                }
                let lowers = matches!(write, WriteRequest::ReissueTail { .. });
                self.committed(place, &before, lowers, inputs);
                inputs.push_back(Input::Answered { request, answer });
                if matches!(write, WriteRequest::RotateOrigin) {
                    let (node, origin) = (self.nodes[place].node, self.nodes[place].disk.origin);
                    self.nodes[place].origins_before.push(old_origin);
                    self.tell(format!("n{place} goes on as {origin}"));
                    return self.write_locally(place, inputs, |writing| add_origin(writing, node, origin));
                }
            }
        }
        true
    }

    /// A commit of a node: notes what it issued and tells the replicator.
    fn committed(&mut self, place: usize, before: &UpdateVector, lowers: bool, inputs: &mut VecDeque<Input>) {
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
        issued.iter().for_each(|record| self.oracle.issue(record));
        if !lowers && !holding.vector.holds_all_of(before) {
            self.fail(format!("vector-rises: node {place} held {before:?}, holds {:?}", holding.vector));
        }
        let changed = holding.vector != *before;
        self.nodes[place].disk = holding.clone();
        inputs.push_back(Input::Committed(Box::new(holding)));
        if changed {
            let running = self.nodes[place].running.as_mut().expect("it runs");
            let members = members(&running.dit).expect("members are read");
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

    fn alarm(&mut self, place: usize, alarm: Alarm) {
        self.tell(format!("n{place} ALARM {alarm:?}"));
        if std::env::var_os("SIM_LENIENT").is_some() {
            return;
        }
        match alarm {
            Alarm::Different { peer } | Alarm::Quarantine { peer, .. } => {
                let other = self.nodes.iter().position(|node| node.node == peer && node.is_up());
                let differences = other.map(|other| self.differences(place, other)).unwrap_or_default();
                self.fail(format!("same-updates-same-content: n{place} and n{other:?}: {alarm:?}\n{differences}"));
            }
            Alarm::StoreFailed { .. } | Alarm::NotAllowed { .. } | Alarm::Undecodable { .. } => {
                self.fail(format!("node {place}: {alarm:?}"));
            }
            Alarm::RolledBack { .. } => self.count("rolled back"),
            Alarm::Fork { .. } => self.count("fork"),
            Alarm::CloneFound { .. } => self.count("clone"),
            Alarm::ClockAhead { .. } => self.count("clock ahead"),
            Alarm::Repaired { .. } => self.count("repaired"),
        }
    }

    /// The states that differ between two nodes.
    pub(crate) fn differences(&mut self, one: usize, other: usize) -> String {
        let (mut all, mut digests, mut moves) = (Vec::new(), Vec::new(), String::new());
        for place in [one, other] {
            let Some(running) = self.nodes[place].running.as_ref() else { return String::new() };
            let oracle = &mut self.oracle;
            let states = states(&running.dit, |key| oracle.attribute(key)).expect("states are read");
            let states: BTreeMap<_, _> =
                states.into_iter().map(|state| ((state.uuid, state.birth.dot()), state)).collect();
            all.push(states);
            let snapshot = running.dit.read().expect("a snapshot");
            let buckets = (0..=u16::MAX).collect();
            let heads = snapshot.view().bucket_heads(&buckets).expect("heads are read");
            let live = heads.into_iter().filter_map(|head| Some(((head.uuid, head.birth.dot()), head.digest?)));
            digests.push(live.collect::<BTreeMap<_, _>>());
            for (of, outcome) in snapshot.view().moves().expect("moves are read") {
                moves += &format!("n{place} {outcome:?} {of:?}\n");
            }
        }
        let keys: BTreeSet<_> = all.iter().flat_map(|states| states.keys().copied()).collect();
        let mut told = moves;
        for key in keys {
            let (ours, theirs) = (all[0].get(&key), all[1].get(&key));
            if digests[0].get(&key) != digests[1].get(&key) {
                let lines =
                    |state: Option<&EntryState>| state.map(|state| self.oracle.lines(state)).unwrap_or_default();
                let (ours, theirs) = (lines(ours), lines(theirs));
                told += &format!("entry {} born {:?}\n", key.0, key.1);
                for (place, lines, others) in [(one, &ours, &theirs), (other, &theirs, &ours)] {
                    for line in lines.iter().filter(|line| !others.contains(line)) {
                        told += &format!("  only n{place}: {line}\n");
                    }
                }
            }
        }
        told
    }

    /// The process ends; what was not committed is lost.
    pub(crate) fn stop(&mut self, place: usize) {
        self.nodes[place].running = None;
        self.nodes[place].sessions.clear();
        self.network.node_stopped(self.tick, place, &mut self.random);
    }

    pub(crate) fn start(&mut self, place: usize) {
        self.tell(format!("n{place} starts"));
        let seed = self.seed ^ (place as u64) << 56;
        let options = self.options.clone();
        self.nodes[place].start(seed, &options);
    }

    /// Changes of an origin after a number, as this node has them, are written again under another.
    fn doubt_tail(&mut self, place: usize, origin: OriginId, after: u64) {
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
    fn doubt_lost(&mut self) {
        let vectors: Vec<UpdateVector> =
            self.nodes.iter().filter(|node| !node.gone).map(|node| node.disk.vector.clone()).collect();
        let count = self.oracle.doubt(|dot, _| !vectors.iter().any(|vector| vector.covers(dot)));
        if count > 0 {
            self.tell(format!("{count} changes are on no disk any more"));
        }
    }

    /// A copy that runs beside gets an identity of its own.
    fn take_new_identity(&mut self, place: usize) -> bool {
        self.stop(place);
        let node = node_id(self.node_last);
        self.node_last += 1;
        self.tell(format!("n{place} becomes {node}"));
        let options = self.options.clone();
        let seed = self.seed ^ (place as u64) << 56;
        {
            let old = self.nodes[place].disk.origin;
            let this = &mut self.nodes[place];
            this.origins_before.push(old);
            this.node = node;
            let dit = Dit::open(dit_options(&this.folder, seed ^ 0x77 ^ self.tick << 40), schema(), this.clock.clone())
                .expect("it opens");
            let before = this.disk.vector.clone();
            dit.change_offline(|writing| {
                let origin = writing.rotate_origin()?;
                add_member(writing, node, MemberState::Active)?;
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
        self.nodes[place].joined = false;
        self.nodes[place].start(seed, &options);
        false
    }

    /// One tick: arrivals, connections, clients, faults, timers.
    pub(crate) fn step(&mut self) {
        self.tick += 1;
        for node in &self.nodes {
            node.advance(TICK_MS);
        }
        for (place, session, message) in self.network.arrivals(self.tick) {
            if !self.nodes[place].is_up() || !self.nodes[place].sessions.contains_key(&session) {
                continue;
            }
            match message {
                Some(message) => self.feed(place, Input::Received { session, message }),
                None => {
                    self.nodes[place].sessions.remove(&session);
                    self.feed(place, Input::Disconnected { session });
                }
            }
        }
        self.connect();
        if !self.calm {
            self.faults();
            for place in 0..self.nodes.len() {
                if self.random.permille(self.weather.operations.min(1000)) {
                    self.operate(place);
                }
                if self.random.permille(self.weather.operations.saturating_sub(1000)) {
                    self.operate(place);
                }
            }
        }
        for place in 0..self.nodes.len() {
            self.feed(place, Input::Tick);
        }
    }

    fn session(&mut self) -> SessionId {
        self.session_last += 1;
        SessionId(self.session_last)
    }

    /// Nodes dial whom they have no link with.
    fn connect(&mut self) {
        for dialler in 0..self.nodes.len() {
            for other in 0..self.nodes.len() {
                let cut = |from, to| self.network.blocked.contains(&(from, to));
                if dialler == other
                    || !self.nodes[dialler].is_up()
                    || !self.nodes[other].is_up()
                    || cut(dialler, other)
                    || cut(other, dialler)
                    || self.network.connected(dialler, other)
                    || !self.random.permille(if self.calm { 500 } else { 150 })
                {
                    continue;
                }
                let (a, b) = (self.session(), self.session());
                self.network.connect((dialler, a), (other, b));
                let (node_a, node_b) = (self.nodes[dialler].node, self.nodes[other].node);
                self.nodes[dialler].sessions.insert(a, node_b);
                self.nodes[other].sessions.insert(b, node_a);
                self.feed(dialler, Input::Connected { session: a, peer: node_b, dialled: true });
                self.feed(other, Input::Connected { session: b, peer: node_a, dialled: false });
            }
        }
    }

    /// A client does something, if the node takes changes.
    pub(crate) fn operate(&mut self, place: usize) {
        if self.nodes[place].local_writes() != Some(LocalWrites::Open) {
            return;
        }
        self.entry_last += 1;
        let mut fresh = [0; 16];
        fresh[8..].copy_from_slice(&self.entry_last.to_be_bytes());
        let uuids: Vec<EntryUuid> =
            self.oracle.uuids().into_iter().filter(|uuid| [b'o', b'p'].contains(&uuid.0[0])).collect();
        let mut random = Random::new(self.random.next());
        let mut told = None;
        let mut inputs = VecDeque::new();
        let lives = self.write_locally(place, &mut inputs, |writing| {
            told = operate(writing, &mut random, &uuids, EntryUuid(fresh))?;
            Ok(())
        });
        if let Some(told) = told {
            self.tell(format!("n{place} {told}"));
        }
        if lives {
            inputs.into_iter().for_each(|input| self.feed(place, input));
        }
    }

    /// What goes wrong in this tick.
    fn faults(&mut self) {
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
                    self.nodes[place].backup = Some(path);
                    self.tell(format!("n{place} is backed up"));
                }
                if self.random.permille(weather.crashes) {
                    self.tell(format!("n{place} crashes"));
                    self.stop(place);
                }
                if self.random.permille(weather.clock_jumps) {
                    let by_ms = [3_000, 60_000, 400_000, 4_000_000][self.random.below(4) as usize];
                    self.tell(format!("n{place} clock jumps {by_ms} ms ahead"));
                    self.nodes[place].advance(by_ms);
                }
            } else if self.random.permille(120) {
                if self.random.permille(weather.restores)
                    && let Some(backup) = self.nodes[place].backup.take()
                {
                    copy_data(&backup, &self.nodes[place].folder);
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
    }

    fn restored(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        let dit = Dit::open(dit_options(&node.folder, 1), schema(), node.clock.clone()).expect("the tree opens");
        node.disk = store::holding(&dit).expect("the tree is read");
        drop(dit);
        self.count("restore");
        self.doubt_lost();
    }

    /// A data directory is copied and started beside.
    fn clone_node(&mut self) {
        let place = self.random.below(self.nodes.len() as u64) as usize;
        if self.nodes[place].gone || !self.nodes[place].joined {
            return;
        }
        let path = self.folder.path().join(format!("node{}", self.nodes.len()));
        copy_data(&self.nodes[place].folder, &path);
        let mut copy = Node::new(self.nodes[place].node, path);
        copy.clock = Clock::simulated(self.nodes[place].clock.wall_ms());
        copy.joined = true;
        copy.rules = self.rules;
        copy.boots = 1000;
        copy.origins_before = self.nodes[place].origins_before.clone();
        copy.disk = self.nodes[place].disk.clone();
        self.nodes.push(copy);
        self.tell(format!("n{} is a copy of n{place}", self.nodes.len() - 1));
        self.start(self.nodes.len() - 1);
    }

    /// A new member comes.
    fn join(&mut self) {
        let inviter = self.random.below(self.nodes.len() as u64) as usize;
        if self.nodes[inviter].local_writes() != Some(LocalWrites::Open) {
            return;
        }
        let node = node_id(self.node_last);
        self.node_last += 1;
        let mut inputs = VecDeque::new();
        self.tell(format!("n{inviter} invites {node}"));
        if !self.write_locally(inviter, &mut inputs, |writing| add_member(writing, node, MemberState::Active)) {
            return;
        }
        inputs.into_iter().for_each(|input| self.feed(inviter, input));
        let path = self.folder.path().join(format!("node{}", self.nodes.len()));
        std::fs::create_dir_all(&path).expect("a folder");
        give_identity(&path, node, OriginId::new(self.random.next() | 1));
        let mut joining = Node::new(node, path);
        joining.rules = self.rules;
        joining.clock = Clock::simulated(EPOCH_MS + self.tick * TICK_MS);
        self.nodes.push(joining);
        self.count("join");
        self.start(self.nodes.len() - 1);
    }

    /// An operator suspends a member that is down, or retires it for good.
    fn withdraw(&mut self) {
        let active = self.nodes.iter().filter(|node| !node.gone).count();
        let by = self.random.below(self.nodes.len() as u64) as usize;
        let place = self.random.below(self.nodes.len() as u64) as usize;
        let node = self.nodes[place].node;
        let twins = self.nodes.iter().filter(|other| other.node == node).count();
        if by == place
            || active < 3
            || twins > 1
            || self.nodes[place].gone
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

    /// Running nodes.
    pub(crate) fn up(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|place| self.nodes[*place].is_up()).collect()
    }
}
