//! What is wrong with entries as they are, and how many conflicts of each kind are open.
//!
//! Nothing of it is stored: names that two entries claim, deleted entries that others stand below, entries that broke the
//! schema at a merge, entries whose superior is not here. They go by themselves when the cause goes. What somebody
//! decided about one stands on the entry like the word about a lost change, under the name `KIND.ENTRYUUID`.

use super::{Conflict, ConflictState};
use crate::dit::DitError;
use crate::dit::shape::waiting;
use crate::dit::view::{Entry, View};
use crate::model::EntryUuid;
use crate::state::Stamp;
use crate::state::conflict::Rule;
use crate::storage::EntryId;
use std::collections::BTreeMap;

/// What an administrator is told of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ConflictKind {
    /// A change that is not seen.
    LostUpdate,
    /// A move that is not made, because it would close a circle.
    SkippedMove,
    /// A fault that was mended.
    Repair,
    /// An entry whose name another one has.
    NameLoser,
    /// The same where both have the same content: a client added it twice.
    Duplicate,
    /// A deleted entry that stays as a name because others are below it.
    Phantom,
    /// An entry that breaks the schema.
    SchemaViolation,
    /// An entry that shares a value that one alone may have: `search` finds these.
    UniqueViolation,
    /// An entry whose superior is not here.
    LostSuperior,
}

impl ConflictKind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::LostUpdate,
        Self::SkippedMove,
        Self::Repair,
        Self::NameLoser,
        Self::Duplicate,
        Self::Phantom,
        Self::SchemaViolation,
        Self::UniqueViolation,
        Self::LostSuperior,
    ];

    /// A word for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::LostUpdate => "lost-update",
            Self::SkippedMove => "skipped-move",
            Self::Repair => "repair",
            Self::NameLoser => "name-loser",
            Self::Duplicate => "duplicate",
            Self::Phantom => "phantom",
            Self::SchemaViolation => "schema-violation",
            Self::UniqueViolation => "unique-violation",
            Self::LostSuperior => "lost-superior",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| name.eq_ignore_ascii_case(kind.name()))
    }

    /// What an administrator can do about it besides dismissing it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::LostUpdate => "restore it: what the losing side wrote is written again",
            Self::SkippedMove => "restore it: the move is made now, if it closes no circle any more",
            Self::Repair => "look at the alarms of both members: a program or a machine has a fault",
            Self::NameLoser => "rename or delete the entry; it takes the bare name when the other one gives it up",
            Self::Duplicate => "delete the entry, by the name shown: the other one has the same content",
            Self::Phantom => "restore it: the entry is brought back; or move or delete what is below it",
            Self::SchemaViolation => "change the entry until it is whole: a change that makes it no worse is taken",
            Self::UniqueViolation => "take the value from one of the two; the winner has the older claim",
            Self::LostSuperior => "move it to a superior that is here, by its entry below cn=lost\\+found",
        }
    }
}

impl Conflict {
    /// Its kind.
    pub fn kind(&self) -> ConflictKind {
        match self.rule {
            Rule::Circle => ConflictKind::SkippedMove,
            Rule::Repaired => ConflictKind::Repair,
            _ => ConflictKind::LostUpdate,
        }
    }
}

/// Something wrong with an entry as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// What.
    pub kind: ConflictKind,
    /// `KIND.ENTRYUUID`.
    pub name: String,
    /// The entry.
    pub entry: EntryId,
    /// More in words.
    pub details: Vec<String>,
    /// What somebody decided.
    pub state: ConflictState,
}

/// One of two entries that were given one name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameSide {
    /// Which entry.
    pub uuid: EntryUuid,
    /// Its DN as it is shown.
    pub dn: String,
    /// The change by which it claims the name: the newest of birth, rename and move.
    pub stamp: Stamp,
    /// Who asked for that; empty when nothing tells any more.
    pub requester: String,
}

impl View<'_> {
    /// Of an entry whose name another one has, both: the entry itself and the one that has the name.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`].
    pub fn name_sides(&self, id: EntryId) -> Result<Option<(NameSide, NameSide)>, DitError> {
        let winner = self.adoption().host(id);
        if winner == id {
            return Ok(None);
        }
        Ok(self.name_side(id)?.zip(self.name_side(winner)?))
    }

    fn name_side(&self, id: EntryId) -> Result<Option<NameSide>, DitError> {
        let Some(state) = self.state_of(id)? else { return Ok(None) };
        // The order of claims is by CSN: see `shape::naming`.
        let newest = |one: Stamp, other: Stamp| if other.csn > one.csn { other } else { one };
        let stamp = newest(newest(state.birth, state.rdn.0), state.parent.0);
        let dn = match self.dn_text(id)? {
            Some(dn) => dn,
            None => self.dn_by_state(&state)?,
        };
        let requester = match self.requester_of(stamp) {
            Some(requester) => requester,
            None => self.modifier_at(stamp, &state)?,
        };
        Ok(Some(NameSide { uuid: state.uuid, dn, stamp, requester }))
    }

    /// What is wrong with an entry as it is; nothing where all is well. Cost: some microseconds.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`].
    pub fn standings(&self, id: EntryId) -> Result<Vec<Standing>, DitError> {
        let mut found: Vec<(ConflictKind, Vec<String>)> = Vec::new();
        match self.entry(id)? {
            Some(entry) => self.of_shown(&entry, &mut found)?,
            None => {
                if let Some(missing) = waiting::missing_of(self.reader(), id)? {
                    let text = format!("its superior, entryUUID {missing}, is not here: not yet, or lost");
                    found.push((ConflictKind::LostSuperior, vec![text]));
                }
            }
        }
        let Some(state) = (if found.is_empty() { None } else { self.state_of(id)? }) else { return Ok(Vec::new()) };
        found.into_iter().map(|(kind, details)| self.standing(id, state.uuid, kind, details)).collect()
    }

    /// Something found wrong with an entry, with its name and what somebody decided about it.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`].
    pub fn standing(
        &self,
        id: EntryId,
        uuid: EntryUuid,
        kind: ConflictKind,
        details: Vec<String>,
    ) -> Result<Standing, DitError> {
        let name = format!("{}.{uuid}", kind.name());
        let said = match self.state_of(id)? {
            Some(state) => self.said_of(id, &state, &name)?,
            None => None,
        };
        let state = said.map_or(ConflictState::Open, |(_, said)| said);
        Ok(Standing { kind, name, entry: id, details, state })
    }

    /// Entries that are here and cannot be shown, because something above them is not, in the order of their numbers.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn waiting_entries(&self) -> Result<Vec<EntryId>, DitError> {
        waiting::all(self.reader())
    }

    fn of_shown(&self, entry: &Entry<'_>, found: &mut Vec<(ConflictKind, Vec<String>)>) -> Result<(), DitError> {
        let lost_names = self.values_named(entry, "replConflict")?;
        if let Some(first) = lost_names.first() {
            let kind = if first.starts_with(b"duplicate") { ConflictKind::Duplicate } else { ConflictKind::NameLoser };
            found.push((kind, lost_names.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()));
        }
        if self.values_named(entry, "replState")?.iter().any(|state| state == b"phantom") {
            let text = "deleted, and kept as a name because entries are below it";
            found.push((ConflictKind::Phantom, vec![text.to_owned()]));
        } else {
            let violations = self.violations(entry);
            if !violations.is_empty() {
                found.push((ConflictKind::SchemaViolation, violations));
            }
        }
        Ok(())
    }

    /// How many conflicts of each kind nobody has decided; kinds without any are left out. Values that one entry alone may
    /// have are not looked through for this. Cost: O(log and entries that
    /// are not as they should be), both bounded.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`].
    pub fn open_conflicts(&self) -> Result<BTreeMap<ConflictKind, u64>, DitError> {
        let mut counts = BTreeMap::new();
        let mut at = Vec::new();
        while let Some((position, conflict)) = self.conflict_after(&at)? {
            if self.conflict_state(&conflict)? == ConflictState::Open {
                *counts.entry(conflict.kind()).or_default() += 1;
            }
            at = position;
        }
        for id in self.conflicting_entries(EntryId::NONE)? {
            for standing in self.standings(id)? {
                if standing.state == ConflictState::Open {
                    *counts.entry(standing.kind).or_default() += 1;
                }
            }
        }
        Ok(counts)
    }
}
