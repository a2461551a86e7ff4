//! Alarms of nodes: those that faults explain are counted, the others are broken invariants.

use std::collections::{BTreeMap, BTreeSet};

use entente::model::EntryUuid;
use entente::replication::Alarm;
use entente::state::{EntryState, NodeId, Stamp, UpdateVector};

use super::Cluster;
use crate::node::{Node, states};

impl Cluster {
    pub(super) fn alarm(&mut self, place: usize, alarm: Alarm) {
        self.tell(format!("n{place} ALARM {alarm:?}"));
        if std::env::var_os("SIM_LENIENT").is_some() {
            return;
        }
        match alarm {
            Alarm::Different { peer } if self.is_ahead_of_vectors(place, peer) => self.count("rescued"),
            Alarm::Lost { .. } => self.count("lost"),
            Alarm::Different { peer } | Alarm::Quarantine { peer, .. } => {
                let other = self.nodes.iter().position(|node| node.node == peer && node.is_up());
                let differences = other.map(|other| self.differences(place, other)).unwrap_or_default();
                self.fail(format!("same-updates-same-content: n{place} and n{other:?}: {alarm:?}\n{differences}"));
            }
            Alarm::StoreFailed { .. }
            | Alarm::ForeignOrigin { .. }
            | Alarm::NotAllowed { .. }
            | Alarm::Unanswered { .. }
            | Alarm::Versions { .. }
            | Alarm::Undecodable { .. } => {
                self.fail(format!("node {place}: {alarm:?}"));
            }
            Alarm::Suspended { .. } => self.count("suspended as silent"),
            Alarm::Ahead { .. } => self.count("reader ahead"),
            Alarm::AheadAgain { .. } => self.count("reader ahead again"),
            Alarm::DiffersAlone { .. } => self.count("reader apart"),
            Alarm::RolledBack { .. } => self.count("rolled back"),
            Alarm::Fork { .. } => self.count("fork"),
            Alarm::CloneFound { .. } => self.count("clone"),
            Alarm::ClockAhead { .. } => self.count("clock ahead"),
            Alarm::Repaired { .. } => self.count("repaired"),
        }
    }

    /// Whether two nodes differ only by entries that hold changes which nobody holds any more as those: changes whose holders
    /// were set back to old copies, left, or are about to write them again as others, after whole entries had brought something
    /// of them. What one of the two has changed since they compared, and the other does not hold yet, is no difference.
    fn is_ahead_of_vectors(&mut self, place: usize, peer: NodeId) -> bool {
        let Some(other) = self.nodes.iter().position(|node| node.node == peer && node.is_up()) else { return false };
        let mut digests: Vec<BTreeMap<_, _>> = Vec::new();
        let (mut ahead, mut since) = (BTreeSet::new(), BTreeSet::new());
        let told = |node: &Node| match &node.running {
            Some(running) => running.replicator.told_vector(),
            None => node.disk.vector.clone(),
        };
        let vectors: Vec<UpdateVector> = self.nodes.iter().filter(|node| !node.gone).map(told).collect();
        let is_lost = |stamp: Stamp| stamp != Stamp::NONE && !vectors.iter().any(|held| held.covers(stamp.dot()));
        for (one, beside) in [(place, other), (other, place)] {
            let node = &self.nodes[one];
            let theirs = &self.nodes[beside].disk.vector;
            let Some(running) = node.running.as_ref() else { return false };
            let oracle = &mut self.oracle;
            for state in states(&running.dit, |key| oracle.attribute(key)).expect("states are read") {
                if state.stamps().any(is_lost) {
                    ahead.insert(state.uuid);
                } else if state.stamps().any(|stamp| stamp != Stamp::NONE && !theirs.covers(stamp.dot())) {
                    since.insert(state.uuid);
                }
            }
            let snapshot = running.dit.read().expect("a snapshot");
            let moves = snapshot.view().moves().expect("moves are read").into_iter();
            since.extend(moves.filter(|(of, _)| !theirs.covers(of.stamp.dot())).map(|(of, _)| of.uuid));
            let heads = snapshot.view().bucket_heads(&(0..=u16::MAX).collect()).expect("heads are read");
            digests.push(heads.into_iter().filter_map(|head| Some(((head.uuid, head.birth), head.digest?))).collect());
        }
        let keys = digests.iter().flat_map(|digests| digests.keys());
        let mut differing = keys.filter(|key| digests[0].get(key) != digests[1].get(key));
        let is_explained = differing.clone().any(|key| ahead.contains(&key.0));
        is_explained && differing.all(|key| ahead.contains(&key.0) || since.contains(&key.0))
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
                for place in [one, other] {
                    told += &format!("  n{place} stores:{}\n", self.stored(place, key.0));
                }
                for (place, lines, others) in [(one, &ours, &theirs), (other, &theirs, &ours)] {
                    for line in lines.iter().filter(|line| !others.contains(line)) {
                        told += &format!("  only n{place}: {line}\n");
                    }
                }
            }
        }
        told
    }

    /// What a node has stored of the entries that `SIM_ENTRY` names, told whenever that is another than before.
    pub(super) fn watch(&mut self, place: usize) {
        let Ok(watched) = std::env::var("SIM_ENTRY") else { return };
        for uuid in watched.split(',').filter_map(|uuid| uuid.parse::<EntryUuid>().ok()) {
            let stored = self.stored(place, uuid);
            if self.watched.insert((place, uuid), stored.clone()).is_none_or(|before| before != stored) {
                self.tell(format!("n{place} stores of {uuid}:{stored}"));
            }
        }
    }

    fn stored(&self, place: usize, uuid: EntryUuid) -> String {
        let Some(running) = self.nodes[place].running.as_ref() else { return String::new() };
        let snapshot = running.dit.read().expect("a snapshot");
        let view = snapshot.view();
        let mut told = String::new();
        for id in view.incarnations(uuid).expect("a look-up") {
            let state = running.dit.change_offline(|writing| writing.state(id)).expect("a state");
            let Some(state) = state else { continue };
            told += &format!(
                "\n       birth {:?} born {} dead {:?}\n       rdn {:?}",
                state.birth, state.born, state.dead, state.rdn.0
            );
            told += &format!("\n       parent {:?} {} shown {:?}", state.parent.0, state.parent.1, view.dn_text(id));
            for (attribute, held) in &state.attributes {
                let name = view.catalog().attribute(*attribute).map(|info| info.key.as_str()).unwrap_or_default();
                told += &format!("\n       {name} {held:?}");
            }
        }
        for (of, outcome) in view.moves().expect("moves are read").iter().filter(|(of, _)| of.uuid == uuid) {
            told += &format!("\n       {outcome:?} {of:?}");
        }
        told += &format!("\n       edges {:?}", view.edges_of(uuid).expect("edges").base);
        told
    }
}
