//! The values of one attribute, each with the stamp of the change that last said whether it is there.
//!
//! A sorted row instead of a tree: an attribute mostly has one value, an entry is read and written whole, and rows of
//! more than 64 values move to their own table. Reading an entry of 20 values so costs one allocation an attribute.

use crate::model::entry_uuid::EntryUuid;
use crate::state::csn::Stamp;
use crate::state::value_key::ValueKey;

/// A value as it is kept: bytes as the client wrote them, or the entry that a DN named.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CellValue {
    /// Raw bytes of the value. Empty in the cell of a value that is gone.
    Text(Vec<u8>),
    /// The entry that a DN value names; shown as its current DN.
    Link(EntryUuid),
}

/// The last word on one value of one attribute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cell {
    /// The change that wrote it.
    pub stamp: Stamp,
    /// Position among the attribute's values within the writing operation, from 0: gives clients back their order.
    pub order: u32,
    /// Whether the change added the value (else it deleted it).
    pub present: bool,
    /// The value as written; for an absent cell by habit empty text.
    pub value: CellValue,
}

impl Cell {
    /// Whether this cell replaces `other` in a join: larger (CSN, present). What follows only separates cells that no
    /// honest origin sends, so that the join is total.
    pub fn wins_over(&self, other: &Self) -> bool {
        self.rank() > other.rank()
    }

    fn rank(&self) -> (crate::state::Csn, bool, u64, u32, &CellValue) {
        (self.stamp.csn, self.present, self.stamp.sequence, self.order, &self.value)
    }
}

/// Cells of one attribute by value key, in key order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cells(Vec<(ValueKey, Cell)>);

impl Cells {
    /// None.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Room for `count` cells.
    pub fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    /// How many, absent ones included.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The cell of `key`.
    pub fn get(&self, key: &ValueKey) -> Option<&Cell> {
        self.find(key).ok().and_then(|index| self.0.get(index)).map(|(_, cell)| cell)
    }

    /// Whether `key` has a cell, present or not.
    pub fn contains_key(&self, key: &ValueKey) -> bool {
        self.find(key).is_ok()
    }

    /// Puts a cell, whatever was there; gives the old one back. Joining is `AttributeState::apply_cell`.
    /// Cost: one binary search, and moving what comes behind (none when keys come in order).
    pub fn insert(&mut self, key: ValueKey, cell: Cell) -> Option<Cell> {
        if self.0.last().is_none_or(|(last, _)| *last < key) {
            self.0.push((key, cell));
            return None;
        }
        match self.find(&key) {
            Ok(index) => self.0.get_mut(index).map(|(_, old)| std::mem::replace(old, cell)),
            Err(index) => {
                self.0.insert(index, (key, cell));
                None
            }
        }
    }

    /// Takes the cell of `key` out.
    pub fn remove(&mut self, key: &ValueKey) -> Option<Cell> {
        self.find(key).ok().map(|index| self.0.remove(index).1)
    }

    /// Keeps the cells for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&ValueKey, &Cell) -> bool) {
        self.0.retain(|(key, cell)| keep(key, cell));
    }

    /// In key order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&ValueKey, &Cell)> + ExactSizeIterator + Clone {
        self.0.iter().map(|(key, cell)| (key, cell))
    }

    /// Keys, absent ones included, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &ValueKey> + Clone {
        self.0.iter().map(|(key, _)| key)
    }

    /// Cells in key order.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &Cell> + Clone {
        self.0.iter().map(|(_, cell)| cell)
    }

    /// Takes all out, in key order.
    pub fn drain(&mut self) -> impl Iterator<Item = (ValueKey, Cell)> {
        self.0.drain(..)
    }

    /// Appends without searching; `false` and nothing done unless `key` is above all others.
    pub(in crate::state) fn push_last(&mut self, key: ValueKey, cell: Cell) -> bool {
        let rises = self.0.last().is_none_or(|(last, _)| *last < key);
        if rises {
            self.0.push((key, cell));
        }
        rises
    }

    fn find(&self, key: &ValueKey) -> Result<usize, usize> {
        self.0.binary_search_by(|(probe, _)| probe.cmp(key))
    }
}

impl FromIterator<(ValueKey, Cell)> for Cells {
    /// Of two cells with one key the later stays.
    fn from_iter<I: IntoIterator<Item = (ValueKey, Cell)>>(cells: I) -> Self {
        let mut row = Self::new();
        for (key, cell) in cells {
            row.insert(key, cell);
        }
        row
    }
}

impl IntoIterator for Cells {
    type Item = (ValueKey, Cell);
    type IntoIter = std::vec::IntoIter<(ValueKey, Cell)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
