//! What a plan is: sources of candidates, ranges of keys, and how they are put together.
//!
//! Invariant: a union is flat, and one of nothing is nothing.

use crate::search::assertion::{Order, Parts};
use crate::state::AttributeId;
use crate::storage::{EntryId, INDEX_KEY_BYTES_MAX, IndexKind, index_key};

/// Lists that are intersected.
const LISTS_MAX: usize = 4;
/// How much of a normal form an index key keeps in order (the rest may be a hash).
const ORDERED_BYTES: usize = INDEX_KEY_BYTES_MAX - 16;

/// Where candidates come from.
#[derive(Clone, Debug)]
pub(in crate::search) enum Plan {
    /// There are none.
    Nothing,
    /// These, ascending.
    Ids(Vec<EntryId>),
    /// Those in all of these lists; the shortest first.
    Lists(Vec<List>),
    /// Those under a range of keys.
    Range(Range),
    /// Those of any: `Ids`, `Lists` and `Range` only.
    Any(Vec<Self>),
    /// No index says. `counted`: looking at them is limited (look-through).
    Everything { counted: bool },
}

/// The ids under one key.
#[derive(Clone, Debug)]
pub(in crate::search) struct List {
    pub(in crate::search) key: Vec<u8>,
    pub(in crate::search) count: u64,
}

/// The ids under a range of keys of one attribute and kind.
#[derive(Clone, Debug)]
pub(in crate::search) struct Range {
    /// What all keys begin with.
    pub(in crate::search) within: Vec<u8>,
    /// The first key.
    pub(in crate::search) from: Vec<u8>,
    /// The last key, and all that begin with it; `None`: no end but that of `within`.
    pub(in crate::search) until: Option<Vec<u8>>,
    /// What the keys must have, where they are whole.
    pub(in crate::search) parts: Option<Parts>,
    /// Where in a key the normal form begins.
    pub(in crate::search) normal_at: usize,
}

impl Range {
    /// Whether candidates under `key` need not be looked at.
    pub(in crate::search) fn passes_over(&self, key: &[u8]) -> bool {
        let Some(parts) = &self.parts else { return false };
        match key.get(self.normal_at..) {
            Some(normal) if normal.len() < INDEX_KEY_BYTES_MAX => !parts.fit(normal),
            _ => false,
        }
    }

    /// Whether `key` is still in the range.
    pub(in crate::search) fn reaches(&self, key: &[u8]) -> bool {
        key.starts_with(&self.within)
            && self.until.as_ref().is_none_or(|until| key <= until.as_slice() || key.starts_with(until))
    }
}

/// A plan and how many candidates it has, where that is known.
#[derive(Debug)]
pub(in crate::search) struct Planned {
    pub(in crate::search) plan: Plan,
    pub(in crate::search) count: Option<u64>,
}

impl Planned {
    pub(super) fn nothing() -> Self {
        Self { plan: Plan::Nothing, count: Some(0) }
    }

    pub(in crate::search) fn ids(ids: Vec<EntryId>) -> Self {
        if ids.is_empty() {
            return Self::nothing();
        }
        let count = ids.len() as u64;
        Self { plan: Plan::Ids(ids), count: Some(count) }
    }

    pub(in crate::search) fn one(id: Option<EntryId>) -> Self {
        Self::ids(id.into_iter().collect())
    }

    pub(in crate::search) fn range(range: Range) -> Self {
        Self { plan: Plan::Range(range), count: None }
    }

    pub(in crate::search) fn everything(counted: bool) -> Self {
        Self { plan: Plan::Everything { counted }, count: None }
    }
}

/// The candidates of any of these.
pub(super) fn joined(planned: Vec<Planned>) -> Planned {
    let mut plans = Vec::with_capacity(planned.len());
    let mut count = Some(0_u64);
    for planned in planned {
        if let Plan::Everything { .. } = planned.plan {
            return planned;
        }
        count = count.zip(planned.count).map(|(sum, more)| sum.saturating_add(more));
        plans.push(planned.plan);
    }
    union(plans, count)
}

pub(super) fn union(plans: Vec<Plan>, count: Option<u64>) -> Planned {
    let mut flat = Vec::with_capacity(plans.len());
    for plan in plans {
        match plan {
            Plan::Nothing => {}
            Plan::Any(inner) => flat.extend(inner),
            plan => flat.push(plan),
        }
    }
    if flat.len() > 1 {
        return Planned { plan: Plan::Any(flat), count };
    }
    flat.pop().map_or_else(Planned::nothing, |plan| Planned { plan, count })
}

/// The shortest list and those that narrow it for less than judging costs.
pub(super) fn intersection(mut lists: Vec<List>) -> Vec<List> {
    lists.sort_by_key(|list| list.count);
    lists.dedup_by(|one, other| one.key == other.key);
    lists.truncate(LISTS_MAX);
    lists
}

fn prefix_of(base: AttributeId, kind: IndexKind) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    index_key(base, kind, &[], &mut key);
    key
}

/// Keys that begin with `prefix`.
pub(super) fn range(base: AttributeId, kind: IndexKind, prefix: &[u8], parts: Option<Parts>) -> Range {
    let mut within = prefix_of(base, kind);
    let normal_at = within.len();
    within.extend_from_slice(prefix.get(..ORDERED_BYTES).unwrap_or(prefix));
    Range { from: within.clone(), within, until: None, parts, normal_at }
}

/// Keys on one side of `key`.
pub(super) fn ordered(base: AttributeId, key: &[u8], order: Order) -> Range {
    let within = prefix_of(base, IndexKind::Equality);
    let normal_at = within.len();
    let mut edge = within.clone();
    edge.extend_from_slice(key.get(..ORDERED_BYTES).unwrap_or(key));
    match order {
        Order::AtLeast => Range { within, from: edge, until: None, parts: None, normal_at },
        Order::AtMost | Order::Before => {
            Range { from: within.clone(), within, until: Some(edge), parts: None, normal_at }
        }
    }
}
