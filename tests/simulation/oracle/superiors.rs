//! Below what each entry must stand: births and moves played in the order of their stamps.
//!
//! The rule is that of the design (replication.md 3.5), computed from all that was ever promised and naively: the first birth of
//! an entry says what it stands below from the beginning; later births and moves follow in the order of stamps; one into what
//! stands below the entry then, or below what nobody has, is not made. So of two moves the newer holds, unless it is one of those.
//!
//! Of an uncertain change both are right, that it counts and that it does not, so each choice is played. Where too many are
//! uncertain for that nothing is judged, and the run says so.

use std::collections::BTreeMap;

use entente::model::EntryUuid;
use entente::state::{Delta, EntryState, Stamp};

use super::Issued;

/// A superior, and the change that made it so.
type Edge = (Stamp, EntryUuid);

/// Uncertain births and moves of which each choice is played.
const UNCERTAIN_MAX: usize = 10;

/// Superiors followed before a way up is taken for endless.
const DEPTH_MAX: usize = 1_000;

/// A birth or a move.
#[derive(Clone, Copy, Debug)]
struct Placing {
    stamp: Stamp,
    uuid: EntryUuid,
    parent: EntryUuid,
    is_birth: bool,
    certain: bool,
}

/// What came of judging.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Every entry stands where it must; of this many moves, so many are not made.
    Judged { moves: u64, skipped: u64 },
    /// Too many births and moves are uncertain.
    Unjudged,
}

fn placings(issued: &[Issued]) -> Vec<Placing> {
    let mut placings = Vec::new();
    for Issued { update, certain, .. } in issued {
        for delta in &update.deltas {
            let (parent, is_birth) = match delta {
                Delta::Birth { parent, .. } => (*parent, true),
                Delta::Parent(parent) => (*parent, false),
                _ => continue,
            };
            let (stamp, uuid) = (update.stamp, update.uuid);
            placings.push(Placing { stamp, uuid, parent, is_birth, certain: *certain });
        }
    }
    placings.sort_by_key(|placing| (placing.stamp, placing.uuid));
    placings
}

/// Whether the way up from `at` ends at a suffix without meeting `entry`.
fn leads_up(edges: &BTreeMap<EntryUuid, Edge>, at: EntryUuid, entry: EntryUuid) -> bool {
    let mut at = at;
    for _ in 0..DEPTH_MAX {
        match edges.get(&at) {
            _ if at == entry => return false,
            None => return false,
            Some((_, EntryUuid::NIL)) => return true,
            Some((_, parent)) => at = *parent,
        }
    }
    false
}

/// The superiors, and how many moves were not made.
fn play<'p>(placings: impl Iterator<Item = &'p Placing> + Clone) -> (BTreeMap<EntryUuid, Edge>, u64) {
    let mut edges: BTreeMap<EntryUuid, Edge> = BTreeMap::new();
    for birth in placings.clone().filter(|placing| placing.is_birth) {
        edges.entry(birth.uuid).or_insert((birth.stamp, birth.parent));
    }
    let mut skipped = 0;
    for placing in placings {
        match edges.get(&placing.uuid) {
            Some((stamp, _)) if *stamp == placing.stamp => {}
            Some(_) if leads_up(&edges, placing.parent, placing.uuid) => {
                edges.insert(placing.uuid, (placing.stamp, placing.parent));
            }
            _ => skipped += 1,
        }
    }
    (edges, skipped)
}

/// Compares the superiors of live entries with those that births and moves call for.
pub(crate) fn judge(issued: &[Issued], states: &[EntryState]) -> Result<Verdict, String> {
    let placings = placings(issued);
    // Of what is uncertain that is there which somebody stands below by it, or was born with.
    let shows = |placing: &Placing| {
        let mut of = states.iter().filter(|state| state.uuid == placing.uuid);
        of.any(|state| state.parent.0 == placing.stamp || (state.born && state.birth == placing.stamp))
    };
    let open: Vec<Stamp> =
        placings.iter().filter(|placing| !placing.certain && !shows(placing)).map(|placing| placing.stamp).collect();
    if open.len() > UNCERTAIN_MAX {
        return Ok(Verdict::Unjudged);
    }
    let mut first = None;
    for choice in 0..1_u32 << open.len() {
        let counts = |placing: &&Placing| {
            let at = open.iter().position(|stamp| *stamp == placing.stamp);
            at.is_none_or(|at| choice & (1 << at) != 0)
        };
        let (edges, skipped) = play(placings.iter().filter(counts));
        let other = states.iter().filter(|state| state.is_live()).find_map(|state| {
            let must = edges.get(&state.uuid).copied();
            (must != Some(state.parent)).then_some((state, must))
        });
        let Some((state, must)) = other else {
            let moves = placings.iter().filter(|placing| !placing.is_birth).count() as u64;
            return Ok(Verdict::Judged { moves, skipped });
        };
        first.get_or_insert_with(|| told(state, must, &placings));
    }
    Err(first.unwrap_or_default())
}

fn told(state: &EntryState, must: Option<Edge>, placings: &[Placing]) -> String {
    let (stamp, parent) = state.parent;
    let mut text = format!("{}: stands below {parent} by {}", state.uuid, stamp.csn);
    match must {
        Some((stamp, parent)) => text += &format!(", and must stand below {parent} by {}", stamp.csn),
        None => text += ", and nobody put it there",
    }
    for placing in placings.iter().filter(|placing| placing.uuid == state.uuid) {
        let (what, surely) = (if placing.is_birth { "born" } else { "moved" }, if placing.certain { "" } else { "?" });
        text += &format!("\n  {what}{surely} below {} at {}", placing.parent, placing.stamp.csn);
    }
    text
}
