//! The cluster as one value: nodes, network, clients, faults; one tick after the other.

mod alarms;
mod clocks;
mod faults;
mod outputs;
mod roles;
mod twins;
mod weather;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

use entente::clock::Clock;
use entente::dit::{Dit, LogRange};
use entente::model::EntryUuid;
use entente::replication::{self, Input, LocalWrites, Now, Role, SessionId};
use entente::state::OriginId;

use crate::network::Network;
use crate::node::{
    EPOCH_MS, Node, Rules, TICK_MS, add_member, copy_data, dit_options, give_identity, node_id, replicator_options,
    schema,
};
use crate::oracle::Oracle;
use crate::random::Random;
use crate::workload::{SUFFIX, add, operate};
use clocks::Steps;
use roles::Roles;
use twins::Twins;
pub(crate) use weather::Storm;
use weather::{Net, Readers, Weather};

/// Events kept for the report.
const EVENTS_MAX: usize = 400;

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
    twins: Option<Twins>,
    steps: Option<Steps>,
    roles: Option<Roles>,
    /// Ticks left of each cut.
    cuts: Vec<((usize, usize), u64)>,
    folder: tempfile::TempDir,
    session_last: u64,
    entry_last: u64,
    node_last: u64,
    nodes_filled: u64,
    pub(crate) told: BTreeMap<&'static str, u64>,
    /// What was told last of the entries that are watched.
    watched: BTreeMap<(usize, EntryUuid), String>,
}

/// Where data directories are made: in memory if the system has such a folder.
fn root() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

/// A data directory that all first nodes begin with: suffix, two containers, the members.
fn template(roles: &[Role]) -> PathBuf {
    type Templates = (tempfile::TempDir, BTreeMap<Vec<Role>, PathBuf>);
    static TEMPLATES: LazyLock<Mutex<Templates>> =
        LazyLock::new(|| Mutex::new((tempfile::tempdir_in(root()).expect("a folder"), BTreeMap::new())));
    let mut templates = TEMPLATES.lock().expect("no panic");
    let (folder, paths) = &mut *templates;
    let number = paths.len();
    paths.entry(roles.to_vec()).or_insert_with(|| make_template(folder.path(), number, roles)).clone()
}

fn make_template(folder: &Path, number: usize, roles: &[Role]) -> PathBuf {
    let path = folder.join(format!("template{number}"));
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
        for (place, role) in roles.iter().enumerate() {
            add_member(writing, node_id(place as u64), *role)?;
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
        match rules.storm {
            Some(storm) => weather.gather(storm),
            None => weather.readers = Readers::of(seed, weather.nodes),
        }
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
            twins: None,
            roles: if rules.storm.is_none() { Roles::of(seed) } else { None },
            steps: if rules.storm.is_none() { Steps::of(seed) } else { None },
            cuts: Vec::new(),
            folder,
            session_last: 0,
            entry_last: 0,
            node_last: 0,
            nodes_filled: 0,
            told: BTreeMap::new(),
            watched: BTreeMap::new(),
        };
        cluster.twins = rules.twins.map(|same_origin| Twins::of(seed, cluster.weather.ticks, same_origin));
        let members = cluster.weather.nodes + cluster.weather.readers.count();
        let roles: Vec<Role> = (0..members).map(|place| cluster.weather.readers.role(place, members)).collect();
        let first = template(&roles);
        for (place, role) in (0..members).zip(roles) {
            let path = cluster.folder.path().join(format!("node{place}"));
            copy_data(&first, &path);
            let origin = OriginId::new(cluster.random.next() | 1);
            give_identity(&path, node_id(place), origin);
            let mut node = Node::new(node_id(place), path);
            node.role = role;
            node.joined = true;
            node.rules = rules;
            node.advance(cluster.random.below(2_000));
            if cluster.random.permille(100) {
                node.advance(cluster.random.below(400_000));
            }
            node.start(seed, &cluster.options);
            cluster.nodes.push(node);
        }
        cluster.node_last = members;
        if cluster.weather.readers.hub.is_some() {
            cluster.count("with a hub");
        }
        if cluster.weather.readers.consumer {
            cluster.count("with a consumer");
        }
        cluster.count(match cluster.weather.net {
            Net::Mesh => "meshes",
            Net::Chain => "chains",
            Net::Ring => "rings",
            Net::Star => "stars",
        });
        let founder = cluster.nodes[0].running.as_ref().expect("it runs");
        let records = founder.dit.read().expect("a snapshot");
        if let LogRange::Records(records) = records.view().log_range(OriginId(1), 1, usize::MAX).expect("the log") {
            records.iter().for_each(|record| cluster.oracle.issue(record));
        }
        drop(records);
        cluster
    }

    pub(crate) fn tell(&mut self, event: String) {
        if self.events.len() == EVENTS_MAX && std::env::var_os("SIM_TOLD").is_none() {
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
        let wall_ms = self.nodes[place].clock.wall_ms();
        let stamp_ms = self.nodes[place].running.as_ref().map_or(wall_ms, |running| running.dit.now_ms());
        Now { wall_ms, stamp_ms, monotonic_ms: 10_000 + self.tick * TICK_MS }
    }

    /// The process ends; what was not committed is lost.
    pub(crate) fn stop(&mut self, place: usize) {
        self.nodes[place].running = None;
        self.nodes[place].asked = None;
        self.nodes[place].sessions.clear();
        self.network.node_stopped(self.tick, place, &mut self.random);
    }

    pub(crate) fn start(&mut self, place: usize) {
        self.step_clock_at_start(place);
        self.tell(format!("n{place} starts"));
        let seed = self.seed ^ (place as u64) << 56;
        let options = self.options.clone();
        self.nodes[place].start(seed, &options);
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
            self.step_clocks();
            self.play_roles();
            self.play_twins();
            for place in 0..self.nodes.len() {
                if self.random.permille(self.weather.operations.min(1000)) {
                    self.operate(place);
                }
                if self.random.permille(self.weather.operations.saturating_sub(1000)) {
                    self.operate(place);
                }
            }
        }
        self.watch_clocks();
        self.step_back();
        self.finish_leaving();
        for place in 0..self.nodes.len() {
            self.refresh_members(place);
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
                    || !self.are_neighbours(dialler, other)
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

    /// Whether there is a way between two nodes in the net that this run has. Who sends nothing on hangs on one of those
    /// who do, in whatever net these have; among all in a mesh.
    fn are_neighbours(&self, one: usize, other: usize) -> bool {
        let leaf = |place: usize| !self.nodes[place].role.may_forward() || self.stands_aside(place);
        let here: Vec<usize> =
            (0..self.nodes.len()).filter(|place| !self.nodes[*place].gone && !leaf(*place)).collect();
        if here.is_empty() {
            return true;
        }
        if leaf(one) || leaf(other) {
            let (leaf, other) = if leaf(one) { (one, other) } else { (other, one) };
            let way = here.get(leaf % here.len()).copied();
            return here.contains(&other) && (self.weather.net == Net::Mesh || way == Some(other));
        }
        let at = |place: usize| here.iter().position(|here| *here == place).unwrap_or(0);
        let (one, other) = (at(one).min(at(other)), at(one).max(at(other)));
        match self.weather.net {
            Net::Mesh => true,
            Net::Chain => other == one + 1,
            Net::Ring => other == one + 1 || (one == 0 && other + 1 == here.len()),
            Net::Star => one == 0,
        }
    }

    /// A client does something, if the node takes changes.
    pub(crate) fn operate(&mut self, place: usize) {
        let local_writes = self.nodes[place].local_writes();
        if self.nodes[place].role != Role::Supplier && local_writes.is_some() {
            self.count("refused");
            if local_writes == Some(LocalWrites::Open) {
                self.fail(format!("read-only: n{place}, {:?}, takes changes", self.nodes[place].role));
            }
        }
        if local_writes != Some(LocalWrites::Open) || self.nodes[place].asked.is_some() {
            return;
        }
        self.entry_last += 1;
        let mut fresh = [0; 16];
        fresh[8..].copy_from_slice(&self.entry_last.to_be_bytes());
        let uuids: Vec<EntryUuid> =
            self.oracle.uuids().into_iter().filter(|uuid| [b'o', b'p'].contains(&uuid.0[0])).collect();
        let mut random = Random::new(self.random.next());
        let has_many_values = self.weather.many_values;
        let mut told = None;
        let mut inputs = VecDeque::new();
        let lives = self.write_locally(place, &mut inputs, |writing| {
            told = operate(writing, &mut random, &uuids, EntryUuid(fresh), has_many_values)?;
            Ok(())
        });
        if let Some(told) = told {
            for (prefix, what) in
                [("delete tree", "tree deletes"), ("undelete", "undeletes"), ("add many", "spills"), ("move", "moves")]
            {
                if told.starts_with(prefix) {
                    self.count(what);
                }
            }
            self.tell(format!("n{place} {told}"));
        }
        if lives {
            inputs.into_iter().for_each(|input| self.feed(place, input));
        }
    }

    /// Running nodes.
    pub(crate) fn up(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|place| self.nodes[*place].is_up()).collect()
    }
}
