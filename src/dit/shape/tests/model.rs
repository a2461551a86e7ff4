//! The tree computed naively from a set of updates: the reference model of the design, with waiting superiors.

use crate::model::EntryUuid;
use crate::state::{Csn, Stamp};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum What {
    Birth { parent: EntryUuid, name: String },
    Move(EntryUuid),
    Rename(String),
    Death,
    Link(EntryUuid),
    Text(String),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Op {
    pub(super) stamp: Stamp,
    pub(super) uuid: EntryUuid,
    pub(super) birth: Stamp,
    pub(super) what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Live,
    Phantom,
    Loser,
}

type Edges = BTreeMap<EntryUuid, (Csn, EntryUuid)>;

/// Whether the way up from `at` ends at a suffix without meeting `entry`.
fn leads_up(edges: &Edges, at: EntryUuid, entry: EntryUuid) -> bool {
    let mut at = at;
    loop {
        if at == entry {
            return false;
        }
        match edges.get(&at) {
            None => return false,
            Some((_, EntryUuid::NIL)) => return true,
            Some((_, parent)) => at = *parent,
        }
    }
}

fn edges_of(ops: &[Op]) -> Edges {
    let mut edges: Edges = ops
        .iter()
        .filter_map(|op| match &op.what {
            What::Birth { parent, .. } => Some((op.uuid, (op.stamp.csn, *parent))),
            _ => None,
        })
        .collect();
    let mut moves: BTreeSet<(Csn, EntryUuid, EntryUuid)> = BTreeSet::new();
    for op in ops {
        if let What::Move(parent) = op.what {
            moves.insert((op.stamp.csn, op.uuid, parent));
        }
    }
    for (csn, entry, parent) in moves {
        if edges.contains_key(&entry) && leads_up(&edges, parent, entry) {
            edges.insert(entry, (csn, parent));
        }
    }
    edges
}

struct Node {
    name: String,
    claim: Csn,
    live: bool,
}

/// DN to entry.
pub(super) fn naive_view(ops: &[Op]) -> BTreeMap<String, (EntryUuid, Kind)> {
    let edges = edges_of(ops);
    let mut nodes = BTreeMap::new();
    for (uuid, (placed, parent)) in &edges {
        let own = || ops.iter().filter(|op| op.uuid == *uuid);
        let (named, name) = own()
            .filter_map(|op| match &op.what {
                What::Birth { name, .. } | What::Rename(name) => Some((op.stamp.csn, name.clone())),
                _ => None,
            })
            .max()
            .unwrap();
        let born = own().map(|op| op.birth.csn).max().unwrap();
        let live = own().all(|op| op.what != What::Death);
        let attribute = if *parent == EntryUuid::NIL { "dc" } else { "cn" };
        let name = format!("{attribute}={name}");
        nodes.insert(*uuid, Node { name, claim: (*placed).max(named).max(born), live });
    }
    let has_live = |uuid: EntryUuid| {
        nodes.iter().any(|(other, node)| {
            let mut at = *other;
            while at != uuid {
                match edges.get(&at) {
                    Some((_, parent)) => at = *parent,
                    None => return false,
                }
            }
            node.live
        })
    };
    let mut shown = BTreeMap::new();
    let mut groups = vec![(vec![EntryUuid::NIL], String::new())];
    while let Some((group, above)) = groups.pop() {
        let mut pools: BTreeMap<&str, Vec<EntryUuid>> = BTreeMap::new();
        for (uuid, (_, parent)) in &edges {
            if group.contains(parent) && has_live(*uuid) {
                pools.entry(&nodes[uuid].name).or_default().push(*uuid);
            }
        }
        for (name, mut pool) in pools {
            pool.sort_by_key(|uuid| (!nodes[uuid].live, nodes[uuid].claim, *uuid));
            let comma = if above.is_empty() { "" } else { "," };
            for (at, uuid) in pool.iter().enumerate() {
                let live = nodes[uuid].live;
                let (name, kind) = match (at, live) {
                    (0, true) => (name.to_owned(), Kind::Live),
                    (0, false) => (name.to_owned(), Kind::Phantom),
                    (_, true) => (format!("{name}+entryUUID={uuid}"), Kind::Loser),
                    (_, false) => continue,
                };
                shown.insert(format!("{name}{comma}{above}"), (*uuid, kind));
            }
            groups.push((pool, format!("{name}{comma}{above}")));
        }
    }
    shown
}
