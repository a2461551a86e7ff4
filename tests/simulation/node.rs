//! One node of the simulated cluster: a real tree on LMDB, a real [`Replicator`], and what surrounds them in a process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use entente::clock::Clock;
use entente::dit::{Dit, DitError, Options, Writing};
use entente::model::EntryUuid;
use entente::replication::{
    self, Holding, Local, LocalWrites, Member, MemberState, NodeId, Replicator, Role, SessionId, store,
};
use entente::schema::Schema;
use entente::state::portable::decode_portable;
use entente::state::{AttributeId, Delta, EntryState, OriginId};
use entente::storage::MetaName;

use crate::cluster::Storm;
use crate::random::Random;
use crate::workload::{SUFFIX, add, attribute, cell};

/// Unix time at which runs begin.
pub(crate) const EPOCH_MS: u64 = 1_700_000_000_000;
/// Milliseconds of a tick.
pub(crate) const TICK_MS: u64 = 50;
/// The cluster of all runs.
pub(crate) const CLUSTER: [u8; 16] = [7; 16];

pub(crate) fn schema() -> Arc<Schema> {
    static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| Arc::new(Schema::builtin()));
    Arc::clone(&SCHEMA)
}

pub(crate) fn dit_options(folder: &Path, seed: u64) -> Options {
    options(folder, seed, Rules::default())
}

/// The rules of a run: all, but for those that a test takes away.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    /// Not every member must hold what is forgotten.
    pub(crate) forget_what_is_held_here: bool,
    /// A member is copied while clients write, and both copies go on; whether under the same origin.
    pub(crate) twins: Option<bool>,
    /// In this weather; none: in any.
    pub(crate) storm: Option<Storm>,
    /// One that the tree has.
    #[cfg(debug_assertions)]
    pub(crate) mutant: Option<entente::dit::Mutant>,
}

pub(crate) fn options(folder: &Path, seed: u64, rules: Rules) -> Options {
    let _ = rules;
    Options {
        durable: false,
        map_bytes: 64 << 20,
        readers_max: 16,
        origin_seed: Some(seed),
        log_records_min: 0,
        recycle_retention_ms: 1_000,
        #[cfg(debug_assertions)]
        mutant: rules.mutant,
        ..Options::new(folder)
    }
}

/// The limits and intervals of runs: short, so that everything happens within few ticks.
pub(crate) fn replicator_options() -> replication::Options {
    replication::Options {
        credit_records: 20,
        batch_bytes: 600,
        apply_records_max: 7,
        states_bytes: 1500,
        beacon_active_ms: 200,
        beacon_idle_ms: 500,
        silence_ms: 2_000,
        hello_ms: 1_000,
        exchange_retry_ms: 500,
        start_wait_ms: 400,
        settle_ms: 300,
        fill_pause_ms: 5_000,
        log_records_kept: 10_000,
        ..replication::Options::default()
    }
}

/// A node.
pub(crate) struct Node {
    pub(crate) node: NodeId,
    pub(crate) role: Role,
    pub(crate) folder: PathBuf,
    /// None while it is down.
    pub(crate) running: Option<Running>,
    pub(crate) clock: Clock,
    /// What its disk held when last looked.
    pub(crate) disk: Holding,
    /// Survives restarts, as if written with the vector.
    pub(crate) joined: bool,
    /// Members that it knows before its content tells them, when it is filled anew.
    pub(crate) bootstrap: Vec<Member>,
    /// A copy of the data directory as it was once, with what else stood in it.
    pub(crate) backup: Option<Backup>,
    /// Will not come back.
    pub(crate) gone: bool,
    /// Has written its own end, and stops once another holds it.
    pub(crate) leaving: bool,
    /// Was asked to leave or to write no more, and refuses clients until others hold all that it holds.
    pub(crate) asked: Option<Asked>,
    pub(crate) boots: u64,
    /// Its next run takes itself for the one that follows the last, as the disk is copied with all that tells of that.
    pub(crate) follows: bool,
    pub(crate) rules: Rules,
    /// Open sessions, and with whom.
    pub(crate) sessions: BTreeMap<SessionId, NodeId>,
}

/// What a supplier is asked to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    /// To write no more, as a hub or consumer.
    Read(Role),
    Leave,
}

/// An old copy of a data directory.
#[derive(Clone)]
pub(crate) struct Backup {
    pub(crate) folder: PathBuf,
    pub(crate) node: NodeId,
    pub(crate) joined: bool,
}

/// What a running node has in memory.
pub(crate) struct Running {
    pub(crate) dit: Dit,
    pub(crate) replicator: Replicator,
    pub(crate) members: Vec<Member>,
}

impl Node {
    pub(crate) fn new(node: NodeId, folder: PathBuf) -> Self {
        Self {
            node,
            role: Role::Supplier,
            folder,
            running: None,
            clock: Clock::simulated(EPOCH_MS),
            disk: Holding::default(),
            joined: false,
            bootstrap: Vec::new(),
            backup: None,
            gone: false,
            leaving: false,
            asked: None,
            boots: 0,
            follows: false,
            rules: Rules::default(),
            sessions: BTreeMap::new(),
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.running.is_some()
    }

    /// Opens the tree and begins anew.
    pub(crate) fn start(&mut self, seed: u64, replication: &replication::Options) {
        self.boots += 1;
        // Every start draws other origins: the folder's name tells nodes and their copies apart.
        let name = self.folder.to_string_lossy();
        let name = name.rsplit('/').next().unwrap_or_default().bytes().fold(0, |sum, byte| sum * 31 + u64::from(byte));
        let seed = Random::new(Random::new(seed ^ name << 20).next() ^ self.boots).next();
        let dit =
            Dit::open(options(&self.folder, seed, self.rules), schema(), self.clock.clone()).expect("the tree opens");
        if !dit.take_handover().expect("the folder is read") && !std::mem::take(&mut self.follows) {
            dit.change_offline(|writing| writing.rotate_origin()).expect("a new origin");
        }
        self.disk = store::holding(&dit).expect("the tree is read");
        let mut members = self.members(&dit);
        if let Some(own) = members.iter().find(|member| member.node == self.node) {
            self.role = own.role;
        }
        send_on_first(&mut members, self.node, self.disk.origin);
        let origins_before =
            dit.read().and_then(|snapshot| snapshot.view().origins_before()).expect("the tree is read");
        let replicator = self.replicator(&dit, seed, members.clone(), origins_before, replication);
        self.running = Some(Running { dit, replicator, members });
        self.sessions.clear();
    }

    fn replicator(
        &self,
        dit: &Dit,
        boot: u64,
        members: Vec<Member>,
        origins_before: Vec<OriginId>,
        options: &replication::Options,
    ) -> Replicator {
        let local = Local {
            cluster: CLUSTER,
            node: self.node,
            origins_before,
            catch_up: store::catch_up(dit).expect("the tree is read"),
            uncovered: store::uncovered(dit).expect("the tree is read"),
            boot,
            joined: self.joined,
            filled_ms: filled_ms(dit),
            contacts: Vec::new(),
            holding: self.disk.clone(),
            members,
        };
        Replicator::new(local, options.clone())
    }

    /// The members as the content says, and while that is not complete, as was known before.
    pub(crate) fn members(&self, dit: &Dit) -> Vec<Member> {
        let members = members(dit).expect("members are read");
        if self.joined { members } else { Member::with_known_before(members, &self.bootstrap) }
    }

    pub(crate) fn local_writes(&self) -> Option<LocalWrites> {
        self.running.as_ref().map(|running| running.replicator.local_writes())
    }

    pub(crate) fn advance(&self, by_ms: u64) {
        self.clock.advance(Duration::from_millis(by_ms));
    }
}

/// A new data directory with the identity of a node.
pub(crate) fn give_identity(folder: &Path, node: NodeId, origin: OriginId) {
    let dit = Dit::open(dit_options(folder, 1), schema(), Clock::simulated(EPOCH_MS)).expect("the tree opens");
    let mut txn = dit.environment().write().expect("a transaction");
    txn.put_meta(MetaName::Cluster, &CLUSTER).expect("cluster");
    txn.put_meta(MetaName::Node, &node.0).expect("node");
    txn.put_meta(MetaName::Origin, &origin.0.to_be_bytes()).expect("origin");
    txn.commit().expect("commit");
}

/// Notes in a data directory that its content is taken anew from now on.
pub(crate) fn note_filled(folder: &Path, at_ms: u64) {
    let dit = Dit::open(dit_options(folder, 1), schema(), Clock::simulated(EPOCH_MS)).expect("the tree opens");
    let mut txn = dit.environment().write().expect("a transaction");
    txn.put_meta(MetaName::Filled, &at_ms.to_be_bytes()).expect("a note");
    txn.commit().expect("commit");
}

fn filled_ms(dit: &Dit) -> Option<u64> {
    let snapshot = dit.read().expect("a snapshot");
    let at_ms = snapshot.view().reader().meta_u64(MetaName::Filled).expect("the tree is read");
    Some(at_ms).filter(|at_ms| *at_ms > 0)
}

/// Makes a data directory by copying another.
pub(crate) fn copy_data(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    std::fs::copy(from.join("data.mdb"), to.join("data.mdb")).expect("a copy of the data");
}

/// The node of the member's entry at a place.
pub(crate) fn node_id(place: u64) -> NodeId {
    let mut id = [0; 16];
    id[0] = place as u8 + 1;
    id[8..].copy_from_slice(&place.to_be_bytes());
    NodeId(id)
}

fn member_dn(node: NodeId) -> String {
    format!("cn=m{node},{SUFFIX}")
}

/// Makes the entry of a member.
pub(crate) fn add_member(writing: &mut Writing<'_>, node: NodeId, role: Role) -> Result<(), DitError> {
    let mut uuid = EntryUuid(node.0);
    uuid.0[15] ^= 0xff;
    uuid.0[0] = b'm';
    uuid.0[1] = node.0[0];
    let state = format!("state:{}", MemberState::Active as u8);
    let attributes = [("objectClass", "device"), ("description", state.as_str())];
    if let Some(id) = add(writing, uuid, &member_dn(node), &attributes)?
        && let Some(role) = role_text(role)
    {
        let deltas = vec![cell(writing, "description", role, true)?];
        writing.change(entente::dit::Target::Existing(id), "cn=members", deltas)?;
    }
    Ok(())
}

/// What a member's entry says of its role; nothing of a supplier's.
fn role_text(role: Role) -> Option<&'static str> {
    match role {
        Role::Supplier => None,
        Role::Hub => Some("role:hub"),
        Role::Consumer => Some("role:consumer"),
    }
}

/// Writes a member's state, ends and origins into its entry.
pub(crate) fn set_member(writing: &mut Writing<'_>, member: &Member) -> Result<(), DitError> {
    let dn = entente::model::Dn::parse(&member_dn(member.node)).expect("a DN");
    let Some(id) = writing.view().resolve(&dn)?.entry else { return Ok(()) };
    let mut deltas = vec![Delta::Clear(attribute(writing, "description")?)];
    deltas.push(cell(writing, "description", &format!("state:{}", member.state as u8), true)?);
    if let Some(role) = role_text(member.role) {
        deltas.push(cell(writing, "description", role, true)?);
    }
    for (origin, end) in &member.finals {
        deltas.push(cell(writing, "description", &format!("final:{}:{end}", origin.0), true)?);
    }
    for origin in &member.origins {
        deltas.push(cell(writing, "description", &format!("origin:{}", origin.0), true)?);
    }
    writing.change(entente::dit::Target::Existing(id), "cn=members", deltas)?;
    Ok(())
}

/// Changes a member's role by values of its entry alone.
fn role_deltas(writing: &mut Writing<'_>, role: Role) -> Result<Vec<Delta>, DitError> {
    let roles = [Role::Supplier, Role::Hub, Role::Consumer];
    let texts = roles.into_iter().filter_map(|other| Some((role_text(other)?, other == role)));
    texts.map(|(text, present)| cell(writing, "description", text, present)).collect()
}

/// An operator gives a member another role.
pub(crate) fn put_role(writing: &mut Writing<'_>, node: NodeId, role: Role) -> Result<(), DitError> {
    let dn = entente::model::Dn::parse(&member_dn(node)).expect("a DN");
    let Some(id) = writing.view().resolve(&dn)?.entry else { return Ok(()) };
    let deltas = role_deltas(writing, role)?;
    writing.change(entente::dit::Target::Existing(id), "cn=members", deltas)?;
    Ok(())
}

/// A member says of itself what it is from now on, and where its origins end.
pub(crate) fn put_own(
    writing: &mut Writing<'_>,
    node: NodeId,
    state: Option<MemberState>,
    role: Option<Role>,
    finals: &BTreeMap<OriginId, u64>,
) -> Result<(), DitError> {
    let dn = entente::model::Dn::parse(&member_dn(node)).expect("a DN");
    let Some(id) = writing.view().resolve(&dn)?.entry else { return Ok(()) };
    let mut deltas = Vec::new();
    if let Some(state) = state {
        deltas.push(cell(writing, "description", &format!("state:{}", MemberState::Active as u8), false)?);
        deltas.push(cell(writing, "description", &format!("state:{}", state as u8), true)?);
    }
    if let Some(role) = role {
        deltas.extend(role_deltas(writing, role)?);
    }
    for (origin, end) in finals {
        deltas.push(cell(writing, "description", &format!("final:{}:{end}", origin.0), true)?);
    }
    writing.change(entente::dit::Target::Existing(id), "cn=members", deltas)?;
    Ok(())
}

/// Makes a node that was a supplier under `origin`, and is a consumer now, a hub in the list.
pub(crate) fn send_on_first(members: &mut [Member], node: NodeId, origin: OriginId) {
    let own = members.iter_mut().find(|member| member.node == node && member.role == Role::Consumer);
    if let Some(own) = own.filter(|own| own.finals.contains_key(&origin)) {
        own.role = Role::Hub;
    }
}

/// Notes an origin in a member's entry.
pub(crate) fn add_origin(writing: &mut Writing<'_>, node: NodeId, origin: OriginId) -> Result<(), DitError> {
    let dn = entente::model::Dn::parse(&member_dn(node)).expect("a DN");
    let Some(id) = writing.view().resolve(&dn)?.entry else { return Ok(()) };
    let deltas = vec![cell(writing, "description", &format!("origin:{}", origin.0), true)?];
    writing.change(entente::dit::Target::Existing(id), "cn=members", deltas)?;
    Ok(())
}

/// The members as the content says.
pub(crate) fn members(dit: &Dit) -> Result<Vec<Member>, DitError> {
    let snapshot = dit.read()?;
    let view = snapshot.view();
    let mut members = Vec::new();
    let Some(suffix) = view.resolve(&entente::model::Dn::parse(SUFFIX).expect("a DN"))?.entry else {
        return Ok(members);
    };
    let description = view.catalog().find(&entente::model::AttributeDescription::parse("description").expect("a name"));
    let Some(description) = description else { return Ok(members) };
    for id in view.children(suffix)? {
        let Some(entry) = view.entry(id?)? else { continue };
        let rdn = String::from_utf8_lossy(entry.record.rdn()).into_owned();
        let Some(hexadecimal) = rdn.strip_prefix("cn=m").filter(|text| text.len() == 32) else { continue };
        let mut node = NodeId::default();
        for (index, byte) in node.0.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hexadecimal[2 * index..2 * index + 2], 16).expect("hexadecimal");
        }
        let mut member = Member { node, role: Role::Supplier, ..Member::default() };
        let Some(slice) = entry.attribute(description) else { continue };
        for value in view.values(&entry, &slice)? {
            let value = String::from_utf8_lossy(&value).into_owned();
            let mut parts = value.split(':');
            match (parts.next(), parts.next(), parts.next()) {
                (Some("state"), Some(state), None) => {
                    let states = [MemberState::Active, MemberState::Suspended, MemberState::Retired];
                    member.state = states[state.parse::<usize>().expect("a number")];
                }
                (Some("role"), Some(role), None) => {
                    member.role = if role == "hub" { Role::Hub } else { Role::Consumer };
                }
                (Some("origin"), Some(origin), None) => {
                    member.origins.push(OriginId(origin.parse().expect("a number")));
                }
                (Some("final"), Some(origin), Some(end)) => {
                    let origin = OriginId(origin.parse().expect("a number"));
                    member.finals.insert(origin, end.parse().expect("a number"));
                }
                _ => {}
            }
        }
        members.push(member);
    }
    Ok(members)
}

/// All states in a tree, attributes numbered by `number`, each below what it stands below with all moves played.
pub(crate) fn placed_states(dit: &Dit, number: impl FnMut(&str) -> AttributeId) -> Result<Vec<EntryState>, DitError> {
    let mut states = states(dit, number)?;
    let snapshot = dit.read()?;
    let view = snapshot.view();
    for state in &mut states {
        for id in view.incarnations(state.uuid)? {
            if let Some(stored) = view.state_of(id)?.filter(|stored| stored.birth == state.birth) {
                state.parent = stored.parent;
            }
        }
    }
    Ok(states)
}

/// All states in a tree as they are told to others, attributes numbered by `number`.
pub(crate) fn states(dit: &Dit, mut number: impl FnMut(&str) -> AttributeId) -> Result<Vec<EntryState>, DitError> {
    let snapshot = dit.read()?;
    let (parts, _) = snapshot.view().portable_entries(None, usize::MAX)?;
    Ok(parts
        .iter()
        .map(|part| decode_portable(part, |key| Some(number(key))).expect("a stored state decodes").state)
        .collect())
}
