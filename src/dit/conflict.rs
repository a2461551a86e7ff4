//! The conflict log: changes that were lost at a merge because neither writer knew of the other, with both sides.
//!
//! What is lost is found where another node's update joins, by the rule of [`crate::state::conflict`]. A record's key says
//! the loser by its CSN and the place, so that every member keeps the same conflict under the same key and name,
//! whichever of several winners it met first; each member keeps its own log, because each merges for itself. A member
//! that takes an entry whole (a state exchange) takes what the other one wrote down about it along.
//!
//! What is wrong with entries as they are (names, phantoms, the schema) is not in the log: [`standing`] computes it.
//!
//! What became of a conflict (dismissed, restored) is not in this log but a value of the entry, `conflictResolved`,
//! which is replicated like every other: so it holds on all members, comes with the restoring change, and goes with the
//! entry. A conflict that is decided leaves the log after [`DECIDED_KEPT_MS`]; the value leaves the entry when somebody
//! decides another conflict later than [`MARK_KEPT_MS`].
//!
//! Invariants
//! - Values of secret attributes are never in the log, only that there were some.
//! - At most [`CONFLICTS_MAX`] records, none older than [`KEPT_MS`]; the oldest go first.

mod history;
mod noting;
mod record;
mod standing;
mod untold;
mod upkeep;

pub(super) use record::TABLE;
pub use standing::{ConflictKind, NameSide, Standing};

use super::DitError;
use super::derive::rdn_text;
use super::view::View;
use super::writing::read_state;
use crate::model::{AttributeDescription, EntryUuid};
use crate::state::conflict::{History, Rule};
use crate::state::{Cell, CellValue, EntryState, OriginId, Stamp};
use crate::storage::{EntryId, Table, uuid2id_key};
use history::LogHistory;

/// Conflicts kept: some megabytes, and more than anybody will look through.
pub const CONFLICTS_MAX: u64 = 10_000;
/// How long a conflict is kept, in milliseconds: ninety days.
pub const KEPT_MS: u64 = 90 * 24 * 3600 * 1000;
/// How long a conflict stays in the log after it was decided, in milliseconds: seven days.
pub const DECIDED_KEPT_MS: u64 = 7 * 24 * 3600 * 1000;
/// How long the word about a conflict stays on its entry, in milliseconds: thirty days, so that it is older than every
/// log that still has the conflict.
pub const MARK_KEPT_MS: u64 = 30 * 24 * 3600 * 1000;
/// A side with more bytes of values is kept without them: the log is not a second store of photos.
const SIDE_BYTES_MAX: usize = 256 * 1024;

/// The attribute that says what became of the conflicts of an entry: `ID dismissed` or `ID restored`.
pub(super) const RESOLVED: &str = "conflictResolved";

/// What of the entry was written twice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConflictPlace {
    /// Its RDN.
    Name,
    /// Its superior.
    Superior,
    /// An attribute: its key (`OID;option`).
    Attribute(String),
}

/// What one side made of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SideContent {
    /// Values; none where all were taken away.
    Values(Vec<CellValue>),
    /// These values were deleted.
    Without(Vec<CellValue>),
    /// An RDN.
    Name(String),
    /// A superior.
    Superior(EntryUuid),
    /// The entry was deleted.
    Deleted,
    /// Another entry, that was put where it makes this impossible.
    InTheWay(EntryUuid),
    /// Values that are secret, or too large to be kept twice.
    Unsaid {
        /// How many.
        count: u64,
    },
}

/// One of the two changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Side {
    /// The change.
    pub stamp: Stamp,
    /// Who asked for it; empty when its record was gone already.
    pub requester: String,
    /// What it wrote.
    pub content: SideContent,
}

/// A lost change. See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conflict {
    /// Its name, the same on all members: time of the loser and a hash, in hexadecimal.
    pub id: String,
    /// The entry.
    pub uuid: EntryUuid,
    /// The change that created its incarnation.
    pub birth: Stamp,
    /// The entry's DN when the two met here.
    pub dn: String,
    /// What of it.
    pub place: ConflictPlace,
    /// Whether the attribute's values are secret.
    pub is_secret: bool,
    /// Why one is not seen.
    pub rule: Rule,
    /// The change that is seen.
    pub winner: Side,
    /// The change that is not.
    pub loser: Side,
}

/// Changes of an origin of which it could not be said here what they met unseen, since their records are gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UntoldRange {
    /// Whose.
    pub origin: OriginId,
    /// The first of them.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// How many changes of others they overrode, which may be lost by that.
    pub count: u64,
    /// When the last of these was met, Unix milliseconds.
    pub at_ms: u64,
}

/// What became of a conflict.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ConflictState {
    /// Nobody cared yet.
    Open,
    /// Somebody decided that it may stay as it is.
    Dismissed,
    /// The losing side was brought back by a new change.
    Restored,
}

impl ConflictState {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Dismissed => "dismissed",
            Self::Restored => "restored",
        }
    }

    /// The state of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Open, Self::Dismissed, Self::Restored].into_iter().find(|state| name.eq_ignore_ascii_case(state.name()))
    }
}

impl View<'_> {
    /// Conflicts in the log, the open ones and the others.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn conflict_count(&self) -> Result<u64, DitError> {
        let mut count = 0;
        let mut cursor = self.reader().cursor(Table::Conflicts)?;
        let mut item = cursor.seek(&[record::CONFLICT])?;
        while item.is_some_and(|(key, _)| record::is_conflict(key)) {
            count += 1;
            item = cursor.next()?;
        }
        Ok(count)
    }

    /// Conflicts in the log, the oldest first. Cost: O(log), which is bounded.
    ///
    /// # Errors
    /// [`DitError::Storage`], a failed checksum among them.
    pub fn conflicts(&self) -> Result<Vec<Conflict>, DitError> {
        let mut found = Vec::new();
        let mut at = Vec::new();
        while let Some((position, conflict)) = self.conflict_after(&at)? {
            found.push(conflict);
            at = position;
        }
        Ok(found)
    }

    /// The conflict after a position in the log (empty: the first), and its own position.
    ///
    /// # Errors
    /// As [`View::conflicts`].
    pub fn conflict_after(&self, position: &[u8]) -> Result<Option<(Vec<u8>, Conflict)>, DitError> {
        let mut cursor = self.reader().cursor(Table::Conflicts)?;
        let start = if position.is_empty() { vec![record::CONFLICT] } else { [position, &[0]].concat() };
        match cursor.seek(&start)?.filter(|(key, _)| record::is_conflict(key)) {
            Some((key, bytes)) => Ok(Some((key.to_vec(), record::open(self.catalog(), key, bytes)?))),
            None => Ok(None),
        }
    }

    /// Where it could not be said whether something was lost, by origin of what holds; ninety days long.
    ///
    /// # Errors
    /// As [`View::conflicts`].
    pub fn untold_conflicts(&self) -> Result<Vec<UntoldRange>, DitError> {
        let mut found = Vec::new();
        let mut cursor = self.reader().cursor(Table::Conflicts)?;
        let mut item = cursor.seek(&[record::UNTOLD])?;
        while let Some((key, value)) = item.filter(|(key, _)| record::untold_origin(key).is_some()) {
            found.push(record::open_untold(self.catalog(), key, value)?);
            item = cursor.next()?;
        }
        Ok(found)
    }

    /// Who asked for a change; `None` when its record is gone from the log.
    pub(super) fn requester_of(&self, stamp: Stamp) -> Option<String> {
        LogHistory::of_view(self).update(stamp).map(|update| update.requester)
    }

    /// The conflict of this name.
    ///
    /// # Errors
    /// As [`View::conflicts`].
    pub fn conflict(&self, id: &str) -> Result<Option<Conflict>, DitError> {
        let mut cursor = self.reader().cursor(Table::Conflicts)?;
        let mut item = cursor.seek(&[record::CONFLICT])?;
        while let Some((key, bytes)) = item.filter(|(key, _)| record::is_conflict(key)) {
            if record::name_of(key).eq_ignore_ascii_case(id) {
                return record::open(self.catalog(), key, bytes).map(Some);
            }
            item = cursor.next()?;
        }
        Ok(None)
    }

    /// What became of a conflict, by the entry's own word. The later of two words holds; one whose entry is purged is
    /// over.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`].
    pub fn conflict_state(&self, conflict: &Conflict) -> Result<ConflictState, DitError> {
        let Some(id) = self.incarnation(conflict.uuid, conflict.birth)? else { return Ok(ConflictState::Dismissed) };
        let Some(state) = self.state_of(id)? else { return Ok(ConflictState::Dismissed) };
        Ok(self.said_of(id, &state, &conflict.id)?.map_or(ConflictState::Open, |(_, state)| state))
    }

    /// What the entry says became of the conflict of this name, and by which change.
    pub(super) fn said_of(
        &self,
        id: EntryId,
        state: &EntryState,
        name: &str,
    ) -> Result<Option<(Stamp, ConflictState)>, DitError> {
        let attribute = AttributeDescription::parse(RESOLVED).ok().and_then(|name| self.catalog().find(&name));
        let Some(attribute) = attribute else { return Ok(None) };
        let Some(held) = state.attribute(attribute) else { return Ok(None) };
        let mut newest = None;
        let mut look = |cell: &Cell| {
            let CellValue::Text(text) = &cell.value else { return };
            let said = std::str::from_utf8(text).ok().and_then(|text| text.split_once(' '));
            if let Some((_, word)) = said.filter(|(of, _)| cell.present && *of == name)
                && let Some(state) = ConflictState::from_name(word)
            {
                newest = newest.max(Some((cell.stamp, state)));
            }
        };
        held.cells.values().for_each(&mut look);
        if held.spilled.is_some() {
            super::spill::for_each(self.reader(), self.catalog(), id, attribute, &mut |_, cell| {
                look(&cell);
                Ok(true)
            })?;
        }
        Ok(newest)
    }

    /// The entry number of an incarnation, live or not.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn incarnation(&self, uuid: EntryUuid, birth: Stamp) -> Result<Option<EntryId>, DitError> {
        let dot = birth.dot();
        let key = uuid2id_key(uuid, Some((dot.origin, dot.sequence)));
        Ok(self.reader().get(Table::Uuid2Id, &key)?.map(EntryId::from_key))
    }

    /// The merged state of an entry, without the cells of spilled attributes.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`].
    pub fn state_of(&self, id: EntryId) -> Result<Option<EntryState>, DitError> {
        read_state(self.reader(), self.catalog(), id)
    }

    /// The DN that an entry has by its state, dead or alive; of a superior that is gone, what is left of the name.
    ///
    /// # Errors
    /// As [`View::write_dn`].
    pub fn dn_by_state(&self, state: &EntryState) -> Result<String, DitError> {
        let name = rdn_text(self.catalog(), state);
        let mut above = String::new();
        let mut parent = state.parent.1;
        for _ in 0..super::view::DEPTH_MAX {
            if parent == EntryUuid::NIL {
                break;
            }
            if let Some(id) = self.by_uuid(parent)? {
                above.push(',');
                above.push_str(&self.dn_text(id)?.unwrap_or_default());
                break;
            }
            let Some((_, gone)) = self.last_incarnation(parent)? else { break };
            above.push(',');
            above.push_str(&rdn_text(self.catalog(), &gone));
            parent = gone.parent.1;
        }
        Ok(name + &above)
    }

    /// Number and state of the youngest incarnation of an entry, live or not.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`].
    pub fn last_incarnation(&self, uuid: EntryUuid) -> Result<Option<(EntryId, EntryState)>, DitError> {
        let prefix = uuid2id_key(uuid, None);
        let mut youngest: Option<(EntryId, EntryState)> = None;
        let mut cursor = self.reader().cursor(Table::Uuid2Id)?;
        let mut item = cursor.seek(&prefix)?;
        while let Some((key, id)) = item.filter(|(key, _)| key.starts_with(&prefix)) {
            debug_assert!(key.len() > prefix.len(), "an incarnation's key has its birth");
            let id = EntryId::from_key(id);
            if let Some(state) = self.state_of(id)?
                && youngest.as_ref().is_none_or(|(_, known)| state.birth > known.birth)
            {
                youngest = Some((id, state));
            }
            item = cursor.next()?;
        }
        Ok(youngest)
    }
}
