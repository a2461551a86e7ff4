//! After the storm: faults off, everybody up; then all must come to hold the same, and go on doing so.

use entente::dit::{ConflictKind, View, check};
use entente::model::EntryUuid;
use entente::replication::{LocalWrites, Role};
use entente::state::EntryState;

use crate::cluster::Cluster;
use crate::node::{placed_states, states};
use crate::oracle::{Verdict, names};

/// Ticks within which a cluster without faults comes to agree.
const TICKS_MAX: u64 = 400;

/// Of those, what an operator waits before doing again what no disk says any more.
const PATIENCE_TICKS: u64 = 100;

/// Heals the cluster and proves that it agrees, that it serves, and that it agrees again.
pub(crate) fn prove(cluster: &mut Cluster) {
    cluster.calm = true;
    cluster.network.heal();
    cluster.tell("calm".to_owned());
    for place in 0..cluster.nodes.len() {
        if !cluster.nodes[place].is_up() && !cluster.nodes[place].gone {
            cluster.start(place);
        }
    }
    converge(cluster);
    if cluster.broken.is_some() {
        return;
    }
    for _ in 0..3 {
        for place in cluster.up() {
            cluster.operate(place);
        }
        cluster.step();
    }
    converge(cluster);
    if cluster.broken.is_none() {
        inspect(cluster);
    }
}

fn converge(cluster: &mut Cluster) {
    for tick in 0..TICKS_MAX {
        cluster.step();
        cluster.invite_anew();
        if tick >= PATIENCE_TICKS && tick.is_multiple_of(10) {
            cluster.promote_again();
            cluster.retire_again();
        }
        if cluster.broken.is_some() || agree(cluster).is_ok() {
            return;
        }
    }
    if let Err(difference) = agree(cluster) {
        cluster.fail(format!("no agreement after {TICKS_MAX} quiet ticks: {difference}"));
    }
}

/// Whether all hold the same and take changes; else what is different.
fn agree(cluster: &Cluster) -> Result<(), String> {
    let up = cluster.up();
    let Some(first) = up.first() else { return Ok(()) };
    for place in &up {
        let node = &cluster.nodes[*place];
        let is_open = match node.role {
            Role::Supplier => node.local_writes() == Some(LocalWrites::Open),
            Role::Hub | Role::Consumer => node.local_writes() == Some(LocalWrites::ReadOnly) && node.joined,
        };
        if !is_open {
            return Err(format!("n{place} takes no changes: {:?}", node.local_writes()));
        }
        let (ours, theirs) = (&cluster.nodes[*first].disk, &node.disk);
        let same = ours.vector.holds_all_of(&theirs.vector) && theirs.vector.holds_all_of(&ours.vector);
        if !same || ours.vector.forked_origins(&theirs.vector).next().is_some() {
            return Err(format!("n{first} holds {:?}\nn{place} holds {:?}", ours.vector, theirs.vector));
        }
        if ours.digest != theirs.digest {
            return Err(format!("digests of n{first} and n{place} differ at equal vectors"));
        }
    }
    Ok(())
}

/// What each node holds of an entry and of those above it.
fn ways_up(cluster: &mut Cluster, uuid: EntryUuid) -> String {
    let mut told = String::new();
    for place in cluster.up() {
        let running = cluster.nodes[place].running.as_ref().expect("it runs");
        let oracle = &mut cluster.oracle;
        let states = states(&running.dit, |key| oracle.attribute(key)).expect("states are read");
        let mut at = uuid;
        for _ in 0..50 {
            let Some(parent) = states.iter().filter(|state| state.uuid == at).map(|state| state.parent).max() else {
                break;
            };
            for state in states.iter().filter(|state| state.uuid == at) {
                let EntryState { birth, born, dead, parent, .. } = state;
                told += &format!("n{place}: {at} born {born} {birth:?} below {parent:?} dead {dead:?}\n");
            }
            at = parent.1;
        }
        told += &format!("n{place} does not hold {at}\n");
    }
    told
}

/// The entryUUID on the way up of which no birth is held.
fn missing_above(states: &[EntryState], state: &EntryState) -> Option<EntryUuid> {
    let mut at = state.parent.1;
    for _ in 0..=states.len() {
        let born = states.iter().filter(|state| state.uuid == at && state.born);
        match born.max_by_key(|state| (state.is_live(), state.birth)) {
            _ if at == EntryUuid::NIL => return None,
            Some(superior) => at = superior.parent.1,
            None => return Some(at),
        }
    }
    None
}

/// Whether an entry is told of below cn=lost+found.
fn is_told_lost(view: View<'_>, uuid: EntryUuid) -> bool {
    view.incarnations(uuid).expect("a look-up").into_iter().any(|id| {
        let standings = view.standings(id).expect("what is wrong with an entry");
        standings.iter().any(|standing| standing.kind == ConflictKind::LostSuperior)
    })
}

/// What must hold of nodes that agree.
fn inspect(cluster: &mut Cluster) {
    let up = cluster.up();
    let mut exports: Vec<(usize, Vec<String>)> = Vec::new();
    for place in up {
        let running = cluster.nodes[place].running.as_ref().expect("it runs");
        let report = match check(&running.dit, &mut |_, _| {}) {
            Ok(report) => report,
            Err(error) => return cluster.fail(format!("n{place}: check: {error}")),
        };
        if let Some(difference) = report.differences.first() {
            return cluster.fail(format!("index-equals-recomputed: n{place}: {difference}"));
        }
        let oracle = &mut cluster.oracle;
        let states = placed_states(&running.dit, |key| oracle.attribute(key)).expect("states are read");
        let snapshot = running.dit.read().expect("a snapshot");
        let view = snapshot.view();
        let (mut lines, mut lost) = (Vec::new(), 0);
        let named = names(&states);
        let mut misnamed = None;
        for state in states.iter().filter(|state| state.is_live()) {
            let uuid = state.uuid;
            let shown = view.by_uuid(uuid).expect("a look-up");
            let dn = shown.and_then(|id| view.dn_text(id).expect("a name"));
            let name = match (dn, missing_above(&states, state)) {
                (Some(dn), _) => {
                    if named.get(&uuid) != Some(&dn) {
                        misnamed
                            .get_or_insert_with(|| format!("{uuid} is shown as {dn}, not as {:?}", named.get(&uuid)));
                    }
                    dn
                }
                (None, Some(missing)) if cluster.oracle.is_lost(missing) && is_told_lost(view, uuid) => {
                    lost += 1;
                    format!("lost+found, below {missing}")
                }
                (None, _) => {
                    drop(snapshot);
                    let ways = ways_up(cluster, uuid);
                    return cluster.fail(format!("tree-connected: n{place} does not show live entry {uuid}\n{ways}"));
                }
            };
            lines.push(format!("{uuid} {name}"));
        }
        drop(snapshot);
        if lost > 0 {
            *cluster.told.entry("lost and found").or_default() += lost;
        }
        lines.sort();
        if let Some(misnamed) = misnamed {
            return cluster.fail(format!("name-of-oldest-claim: n{place}: {misnamed}"));
        }
        if let Err(broken) = cluster.oracle.judge(&states) {
            return cluster.fail(format!("promise: n{place}: {broken}"));
        }
        match cluster.oracle.judge_superiors(&states) {
            Err(broken) => return cluster.fail(format!("newest-move: n{place}: {broken}")),
            Ok(Verdict::Unjudged) => *cluster.told.entry("superiors not judged").or_default() += 1,
            Ok(Verdict::Judged { moves, skipped }) => {
                *cluster.told.entry("moves judged").or_default() += moves;
                *cluster.told.entry("moves not made").or_default() += skipped;
            }
        }
        exports.push((place, lines));
    }
    if let Some(((first, ours), (place, theirs))) =
        exports.first().and_then(|first| Some((first, exports.iter().find(|other| other.1 != first.1)?)))
    {
        let differing: Vec<String> = ours
            .iter()
            .filter(|line| !theirs.contains(line))
            .chain(theirs.iter().filter(|line| !ours.contains(line)))
            .cloned()
            .collect();
        cluster.fail(format!("exports of n{first} and n{place} differ: {differing:?}"));
    }
}
