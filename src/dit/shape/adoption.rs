//! Which entries have their name held by another one, and who that is.
//!
//! The tree table keeps every entry below the superior that its state names. Where several entries have one name, one of
//! them, the winner, stands for all: this map leads from the others to it. What is below any of them is shown below the
//! winner. The map is empty nearly everywhere and always, and then reading the tree asks it one question.
//!
//! It is published with the commit that changed it, and stands in the table `adopted` too, so that a snapshot that meets
//! an older or newer map than its own reads it from there.

use crate::dit::DitError;
use crate::storage::{EntryId, PutMode, Reader, StorageError, Table, WriteTransaction};
use hashbrown::HashMap;

/// An entry whose name another one holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::dit) struct Adopted {
    /// Who has the name.
    pub(in crate::dit) winner: EntryId,
    /// The superior that the entry's state names, if the entry is dead: it is shown nowhere then.
    pub(in crate::dit) hidden_below: Option<EntryId>,
}

/// See the module.
#[derive(Clone, Default, Debug)]
pub struct Adoption {
    /// Changes with every change of the map.
    stamp: u64,
    adopted: HashMap<EntryId, Adopted>,
    /// The other way: winner to losers.
    losers: HashMap<EntryId, Vec<EntryId>>,
    /// How many phantoms directly below an entry are shown nowhere.
    hidden: HashMap<EntryId, u64>,
}

impl Adoption {
    /// Whether every name is held by one entry.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.adopted.is_empty()
    }

    /// The entry that stands for `id`: itself, or who has its name.
    pub fn host(&self, id: EntryId) -> EntryId {
        self.adopted.get(&id).map_or(id, |adopted| adopted.winner)
    }

    /// Whether another entry has the name of `id`.
    pub fn is_adopted(&self, id: EntryId) -> bool {
        self.adopted.contains_key(&id)
    }

    /// The entries that `id` stands for, itself first.
    pub fn group(&self, id: EntryId) -> impl Iterator<Item = EntryId> + '_ {
        std::iter::once(id).chain(self.losers.get(&id).into_iter().flatten().copied())
    }

    /// Whether `id` stands for others.
    pub fn has_losers(&self, id: EntryId) -> bool {
        self.losers.contains_key(&id)
    }

    /// Whether `id` is shown nowhere: deleted, with a name that another entry holds.
    pub fn is_hidden(&self, id: EntryId) -> bool {
        self.adopted.get(&id).is_some_and(|adopted| adopted.hidden_below.is_some())
    }

    /// How many entries whose state names `id` as superior are shown nowhere.
    pub(in crate::dit) fn hidden_below(&self, id: EntryId) -> u64 {
        self.hidden.get(&id).copied().unwrap_or(0)
    }

    /// Every entry whose name another one holds, and that one.
    pub fn iter(&self) -> impl Iterator<Item = (EntryId, EntryId)> + '_ {
        self.adopted.iter().map(|(id, adopted)| (*id, adopted.winner))
    }

    /// How many entries have their name held by another one.
    pub fn len(&self) -> usize {
        self.adopted.len()
    }

    pub(in crate::dit) fn get(&self, id: EntryId) -> Option<Adopted> {
        self.adopted.get(&id).copied()
    }

    pub(in crate::dit) fn stamp(&self) -> u64 {
        self.stamp
    }

    /// The map as the tables have it. Cost: O(entries in it).
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub(in crate::dit) fn load(reader: Reader<'_>) -> Result<Self, DitError> {
        let mut adoption = Self { stamp: reader.naming()?.adopted, ..Self::default() };
        let mut cursor = reader.cursor(Table::Adopted)?;
        let mut item = cursor.first()?;
        while let Some((key, record)) = item {
            let id = EntryId::from_key(key);
            let (winner, below) = record.split_at_checked(8).ok_or_else(|| StorageError::Corrupted {
                table: "adopted",
                detail: format!("entry number {} has a record that is too short", id.0),
            })?;
            let hidden_below = (!below.is_empty()).then(|| EntryId::from_key(below));
            adoption.insert(id, Adopted { winner: EntryId::from_key(winner), hidden_below });
            item = cursor.next()?;
        }
        Ok(adoption)
    }

    /// Sets who has the name of `id` (`None`: itself), here and in the table.
    pub(in crate::dit) fn set(
        &mut self,
        txn: &mut WriteTransaction<'_>,
        id: EntryId,
        adopted: Option<Adopted>,
    ) -> Result<(), DitError> {
        self.stamp += 1;
        self.remove(id);
        match adopted {
            Some(adopted) => {
                self.insert(id, adopted);
                let mut record = adopted.winner.to_key().to_vec();
                record.extend(adopted.hidden_below.into_iter().flat_map(EntryId::to_key));
                txn.put(Table::Adopted, &id.to_key(), &record, PutMode::Upsert)?;
            }
            None => {
                txn.delete(Table::Adopted, &id.to_key(), None)?;
            }
        }
        Ok(())
    }

    fn insert(&mut self, id: EntryId, adopted: Adopted) {
        self.adopted.insert(id, adopted);
        let losers = self.losers.entry(adopted.winner).or_default();
        losers.push(id);
        losers.sort_unstable();
        if let Some(below) = adopted.hidden_below {
            *self.hidden.entry(below).or_default() += 1;
        }
    }

    fn remove(&mut self, id: EntryId) {
        let Some(adopted) = self.adopted.remove(&id) else { return };
        if let Some(losers) = self.losers.get_mut(&adopted.winner) {
            losers.retain(|loser| *loser != id);
            if losers.is_empty() {
                self.losers.remove(&adopted.winner);
            }
        }
        if let Some(below) = adopted.hidden_below
            && let Some(hidden) = self.hidden.get_mut(&below)
        {
            *hidden -= 1;
            if *hidden == 0 {
                self.hidden.remove(&below);
            }
        }
    }
}
