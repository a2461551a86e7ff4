//! Under what name each entry must be shown, computed naively from what is held of all.
//!
//! The rules are those of the design (replication.md 3.6 and 3.7): a dead entry is shown while something lives below it; of those
//! with one name below one superior the oldest claim has it, live before dead, and whoever is below one of them is shown below
//! that; the others are shown with their entryUUID. Nothing of this is stored, so it is the same wherever the same is held.

use std::collections::{BTreeMap, BTreeSet};

use entente::model::EntryUuid;
use entente::state::{AttributeId, EntryState, RdnAva, Stamp, ValueKey};

/// What one name is: the AVAs as they are compared.
type Name = Vec<(AttributeId, ValueKey)>;

/// What stands for an entryUUID: the live incarnation that was born last, else the one that died last.
fn representatives(states: &[EntryState]) -> BTreeMap<EntryUuid, &EntryState> {
    let mut shown: BTreeMap<EntryUuid, &EntryState> = BTreeMap::new();
    let rank = |state: &EntryState| (state.is_live(), state.dead, state.birth);
    for state in states.iter().filter(|state| state.born) {
        let best = shown.entry(state.uuid).or_insert(state);
        if rank(best) < rank(state) {
            *best = state;
        }
    }
    shown
}

/// Entries that are live or have one that is below them.
fn with_live_ones(entries: &BTreeMap<EntryUuid, &EntryState>) -> BTreeSet<EntryUuid> {
    let mut with = BTreeSet::new();
    for state in entries.values().filter(|state| state.is_live()) {
        let mut at = state.uuid;
        while let Some(state) = entries.get(&at)
            && with.insert(at)
        {
            at = state.parent.1;
        }
    }
    with
}

fn name_of(state: &EntryState) -> Name {
    let mut name: Name = state.rdn.1.avas.iter().map(|ava| (ava.attribute, ava.key.clone())).collect();
    name.sort();
    name
}

/// The RDN as it was written.
fn rdn_text(state: &EntryState) -> String {
    let ava = |ava: &RdnAva| format!("{}={}", ava.type_text, String::from_utf8_lossy(&ava.value));
    state.rdn.1.avas.iter().map(ava).collect::<Vec<_>>().join("+")
}

/// The DN of every live entry that has a way up to a suffix.
pub(crate) fn names(states: &[EntryState]) -> BTreeMap<EntryUuid, String> {
    let entries = representatives(states);
    let with_live = with_live_ones(&entries);
    let mut names = BTreeMap::new();
    let mut groups = vec![(vec![EntryUuid::NIL], String::new())];
    while let Some((group, above)) = groups.pop() {
        let mut pools: BTreeMap<Name, Vec<&EntryState>> = BTreeMap::new();
        for state in entries.values().filter(|state| with_live.contains(&state.uuid)) {
            if group.contains(&state.parent.1) {
                pools.entry(name_of(state)).or_default().push(state);
            }
        }
        for mut pool in pools.into_values() {
            let claim = |state: &EntryState| -> (bool, Stamp, EntryUuid) {
                let newest = state.parent.0.max(state.rdn.0).max(state.birth);
                (!state.is_live(), Stamp { csn: newest.csn, sequence: 0 }, state.uuid)
            };
            pool.sort_by_key(|state| claim(state));
            let comma = if above.is_empty() { "" } else { "," };
            for (at, state) in pool.iter().enumerate().filter(|(_, state)| state.is_live()) {
                let beside = if at == 0 { String::new() } else { format!("+entryUUID={}", state.uuid) };
                names.insert(state.uuid, format!("{}{beside}{comma}{above}", rdn_text(state)));
            }
            let Some(first) = pool.first() else { continue };
            let below = format!("{}{comma}{above}", rdn_text(first));
            groups.push((pool.iter().map(|state| state.uuid).collect(), below));
        }
    }
    names
}
