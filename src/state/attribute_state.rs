//! One attribute of one entry as the join of all changes made to it.
//!
//! An attribute means a function from *every* possible value to (CSN, present), ordered by CSN; `clear` is the write
//! "absent" for all values at once, and the join takes the larger of each. That is a lattice, and it has a finite
//! canonical form: the clear, and the cells newer than it. Joining in any order, with any repetition, gives what the
//! operations would have given **one after another in CSN order**; the tests hold it against exactly that.
//!
//! Invariants
//! - Canonical form: no cell is older than `clear`, no absent cell is as old; so equal meaning is equal content
//!   (**same-updates-same-content**).
//! - A counter's base is not older than `clear`.
//!
//! An attribute of very many values is *spilled*: its cells live one by one in a table of their own, and only their sum
//! stands here. Whoever applies a change to it loads the cells it touches into `cells` first ([`Spilled`]).

use crate::state::cells::{Cell, Cells};
use crate::state::counter::Counter;
use crate::state::csn::{Csn, Stamp};
use crate::state::digest::cell_digest;
use crate::state::value_key::ValueKey;

/// The merged state of one attribute (type and options).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AttributeState {
    /// The newest write that took all values away.
    pub clear: Option<Stamp>,
    /// The last word on each value, newer than `clear`. If spilled: those that somebody loaded.
    pub cells: Cells,
    /// Increments, on an integer of one value.
    pub counter: Option<Box<Counter>>,
    /// The sum of the cells that live in their own table, if they do.
    pub spilled: Option<Box<Spilled>>,
}

/// What stands in for cells that live in a table of their own.
///
/// To apply a change: load the touched cells into `cells` (all of them for a clear), note them with
/// [`Spilled::leave`], apply, note the result with [`Spilled::enter`], write them back, empty `cells`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spilled {
    /// How many cells say present.
    pub count: u64,
    /// At least as new as every cell there.
    pub newest: Stamp,
    /// Wrapping sum of the digests of the present cells.
    pub digest: u128,
}

impl Spilled {
    /// Counts a cell that is put into the table.
    pub fn enter(&mut self, key: &ValueKey, cell: &Cell) {
        self.newest = self.newest.max(cell.stamp);
        if cell.present {
            self.count = self.count.saturating_add(1);
            self.digest = self.digest.wrapping_add(cell_digest(key, cell));
        }
    }

    /// Forgets a cell that is taken out of the table or replaced. `newest` stays.
    pub fn leave(&mut self, key: &ValueKey, cell: &Cell) {
        if cell.present {
            self.count = self.count.saturating_sub(1);
            self.digest = self.digest.wrapping_sub(cell_digest(key, cell));
        }
    }

    /// The sum of these cells.
    pub fn of<'a>(cells: impl IntoIterator<Item = (&'a ValueKey, &'a Cell)>) -> Self {
        let mut sum = Self::default();
        for (key, cell) in cells {
            sum.enter(key, cell);
        }
        sum
    }
}

/// Joins one cell: what stays of `held` and `incoming` under `clear`. `None` if neither outlives the clear.
///
/// The rule for cells wherever they live; [`AttributeState`] uses it for those at hand.
pub fn join_cell(clear: Option<Stamp>, held: Option<Cell>, incoming: Cell) -> Option<Cell> {
    let winner = match held {
        Some(held) if !incoming.wins_over(&held) => held,
        _ => incoming,
    };
    outlives(clear, &winner).then_some(winner)
}

/// Whether a cell says more than the clear does.
fn outlives(clear: Option<Stamp>, cell: &Cell) -> bool {
    clear.is_none_or(|clear| (cell.stamp.csn, cell.present) > (clear.csn, false))
}

impl AttributeState {
    /// Takes all values away as of `stamp`. Returns whether anything changed.
    pub fn apply_clear(&mut self, stamp: Stamp) -> bool {
        if self.clear.is_some_and(|clear| clear >= stamp) {
            return false;
        }
        self.clear = Some(stamp);
        self.drop_cleared();
        true
    }

    /// Joins the cell of one value. Returns whether anything changed.
    pub fn apply_cell(&mut self, key: &ValueKey, incoming: &Cell) -> bool {
        if !outlives(self.clear, incoming) || self.cells.get(key).is_some_and(|held| !incoming.wins_over(held)) {
            return false;
        }
        self.cells.insert(key.clone(), incoming.clone());
        true
    }

    /// Joins a counter. Returns whether anything changed.
    pub fn apply_counter(&mut self, incoming: &Counter) -> bool {
        if self.clear.is_some_and(|clear| incoming.is_void(clear.csn)) {
            return false;
        }
        match &mut self.counter {
            Some(held) => held.join(incoming),
            none => {
                *none = Some(Box::new(incoming.clone()));
                true
            }
        }
    }

    /// Joins another state of the same attribute. Returns whether anything changed. If either is spilled, all its cells
    /// must be loaded; `spilled` itself stays as it is.
    pub fn join(&mut self, other: &Self) -> bool {
        let mut changed = other.clear.is_some_and(|clear| self.apply_clear(clear));
        for (key, cell) in other.cells.iter() {
            changed |= self.apply_cell(key, cell);
        }
        if let Some(counter) = &other.counter {
            changed |= self.apply_counter(counter);
        }
        changed
    }

    /// Keys of the values that are there, in key order. Without those that only the RDN implies.
    pub fn present_keys(&self) -> impl Iterator<Item = &ValueKey> {
        self.cells.iter().filter(|(_, cell)| cell.present).map(|(key, _)| key)
    }

    /// Whether the value is there.
    pub fn is_present(&self, key: &ValueKey) -> bool {
        self.cells.get(key).is_some_and(|cell| cell.present)
    }

    /// The newest change in it; [`Stamp::NONE`] if there is none.
    pub fn newest(&self) -> Stamp {
        let cells = self.cells.values().map(|cell| cell.stamp);
        let counter = self.counter.iter().map(|counter| counter.newest());
        let spilled = self.spilled.iter().map(|spilled| spilled.newest);
        cells.chain(self.clear).chain(counter).chain(spilled).fold(Stamp::NONE, Stamp::max)
    }

    /// The newest CSN of what a write to the value `key` touches: its cell and the clear.
    pub fn csn_touched(&self, key: &ValueKey) -> Csn {
        let cell = self.cells.get(key).map_or(Csn::NONE, |cell| cell.stamp.csn);
        self.clear.map_or(cell, |clear| cell.max(clear.csn))
    }

    /// Whether nothing is kept, so that the attribute can be left out.
    pub fn is_empty(&self) -> bool {
        self.clear.is_none() && self.cells.is_empty() && self.counter.is_none() && self.spilled.is_none()
    }

    /// Drops absent cells and the clear where `is_settled` says so: only for changes that every member holds *and* that
    /// are older than the local clock; earlier dropping makes members differ. Returns whether anything was dropped.
    pub fn forget_settled(&mut self, mut is_settled: impl FnMut(Stamp) -> bool) -> bool {
        let before = self.cells.len();
        self.cells.retain(|_, cell| cell.present || !is_settled(cell.stamp));
        let clear = self.clear.take_if(|clear| is_settled(*clear));
        clear.is_some() || self.cells.len() < before
    }

    /// Brings whatever the parts are into the canonical form.
    pub(in crate::state) fn drop_cleared(&mut self) {
        let clear = self.clear;
        self.cells.retain(|_, cell| outlives(clear, cell));
        self.counter.take_if(|counter| clear.is_some_and(|clear| counter.is_void(clear.csn)));
    }
}

#[cfg(test)]
mod tests;
