//! The conflict log: changes that were lost at a merge because neither writer knew of the other, with both sides.
//!
//! What is lost is found where another node's update joins ([`Writing::note_lost`]), by the rule of
//! [`crate::state::conflict`]. A record's key says winner and loser by their CSNs, so that every member
//! keeps the same conflict under the same key and name; each member keeps its own log, because each merges for itself.
//! Members that took entries whole (a state exchange) have no records of what was merged before.
//!
//! What became of a conflict (dismissed, restored) is not in this log but a value of the entry, `conflictResolved`,
//! which is replicated like every other: so it holds on all members, comes with the restoring change, and goes with the
//! entry. An entry of its own for each would have to be cleaned away some day, and a note on one member would have to
//! be repeated on all.
//!
//! Invariants
//! - Values of secret attributes are never in the log, only that there were some.
//! - At most [`CONFLICTS_MAX`] records, none older than [`KEPT_MS`]; the oldest go first.

mod record;

use super::DitError;
use super::catalog::Catalog;
use super::derive::rdn_text;
use super::log::open_record;
use super::view::View;
use super::writing::{Writing, read_state};
use crate::model::{AttributeDescription, EntryUuid};
use crate::state::conflict::{Content, History, Lost, Place, Rule, lost_by_joining};
use crate::state::encoding::update::decode_update;
use crate::state::{AttributeId, CellValue, Delta, EntryState, Stamp, Update, ValueKey};
use crate::storage::{EntryId, PutMode, Reader, Table, log_key, uuid2id_key};

/// Conflicts kept: some megabytes, and more than anybody will look through.
pub const CONFLICTS_MAX: u64 = 10_000;
/// How long a conflict is kept, in milliseconds: ninety days.
pub const KEPT_MS: u64 = 90 * 24 * 3600 * 1000;
/// Records dropped with each new one at most.
const DROPPED_AT_ONCE_MAX: u64 = 64;
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
    /// Its name, the same on all members: time of the winner and a hash, in hexadecimal.
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

/// What became of a conflict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
        Ok(self.reader().count(Table::Conflicts)?)
    }

    /// Conflicts in the log, the oldest first. Cost: O(log), which is bounded.
    ///
    /// # Errors
    /// [`DitError::Storage`], a failed checksum among them.
    pub fn conflicts(&self) -> Result<Vec<Conflict>, DitError> {
        let mut found = Vec::new();
        let mut cursor = self.reader().cursor(Table::Conflicts)?;
        let mut item = cursor.first()?;
        while let Some((key, bytes)) = item {
            found.push(record::open(key, bytes)?);
            item = cursor.next()?;
        }
        Ok(found)
    }

    /// The conflict after a position in the log (empty: the first), and its own position.
    ///
    /// # Errors
    /// As [`View::conflicts`].
    pub fn conflict_after(&self, position: &[u8]) -> Result<Option<(Vec<u8>, Conflict)>, DitError> {
        let mut cursor = self.reader().cursor(Table::Conflicts)?;
        let item = if position.is_empty() { cursor.first()? } else { cursor.seek(&[position, &[0]].concat())? };
        match item {
            Some((key, bytes)) => Ok(Some((key.to_vec(), record::open(key, bytes)?))),
            None => Ok(None),
        }
    }

    /// Who asked for a change; `None` when its record is gone from the log.
    pub(super) fn requester_of(&self, stamp: Stamp) -> Option<String> {
        let mut history = LogHistory { reader: self.reader(), catalog: self.catalog(), failure: None };
        history.update(stamp).map(|update| update.requester)
    }

    /// The conflict of this name.
    ///
    /// # Errors
    /// As [`View::conflicts`].
    pub fn conflict(&self, id: &str) -> Result<Option<Conflict>, DitError> {
        let mut cursor = self.reader().cursor(Table::Conflicts)?;
        let mut item = cursor.first()?;
        while let Some((key, bytes)) = item {
            if record::name_of(key).eq_ignore_ascii_case(id) {
                return record::open(key, bytes).map(Some);
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
        let attribute = AttributeDescription::parse(RESOLVED).ok().and_then(|name| self.catalog().find(&name));
        let Some(held) = attribute.and_then(|attribute| state.attribute(attribute)) else {
            return Ok(ConflictState::Open);
        };
        let said = held.cells.values().filter(|cell| cell.present).filter_map(|cell| match &cell.value {
            CellValue::Text(text) => {
                let (id, word) = std::str::from_utf8(text).ok()?.split_once(' ')?;
                (id == conflict.id).then_some((cell.stamp, ConflictState::from_name(word)?))
            }
            CellValue::Link(_) => None,
        });
        Ok(said.max_by_key(|(stamp, _)| *stamp).map_or(ConflictState::Open, |(_, state)| state))
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

impl Writing<'_> {
    /// Writes down what joining `update` into `before` loses. The touched cells must be loaded.
    pub(super) fn note_lost(&mut self, id: EntryId, before: &EntryState, update: &Update) -> Result<(), DitError> {
        let mut history = LogHistory { reader: self.txn.reader(), catalog: &self.catalog, failure: None };
        let lost = lost_by_joining(before, update, &mut history);
        if let Some(error) = history.failure {
            return Err(error);
        }
        if lost.is_empty() {
            return Ok(());
        }
        let dn = match self.view().dn_text(id)? {
            Some(dn) => dn,
            None => self.view().dn_by_state(before)?,
        };
        for lost in lost {
            let conflict = self.conflict_of(before, &dn, &lost, update)?;
            let key = record::key(&lost.winner, &lost.loser, &lost.place, &self.catalog);
            self.txn.put(Table::Conflicts, &key, &record::seal_conflict(&key, &conflict), PutMode::Upsert)?;
        }
        self.drop_old_conflicts()
    }

    fn conflict_of(&self, before: &EntryState, dn: &str, lost: &Lost, update: &Update) -> Result<Conflict, DitError> {
        let info = lost.place.attribute().and_then(|attribute| self.catalog.attribute(attribute));
        let is_secret = info.is_some_and(|info| info.secret || info.sealed);
        let mut history = LogHistory { reader: self.txn.reader(), catalog: &self.catalog, failure: None };
        let mut side = |stamp: Stamp, content: &Content| Side {
            stamp,
            requester: if stamp == update.stamp {
                update.requester.clone()
            } else {
                history.update(stamp).map(|update| update.requester).unwrap_or_default()
            },
            content: side_content(content, is_secret),
        };
        let conflict = Conflict {
            id: String::new(),
            uuid: before.uuid,
            birth: before.birth,
            dn: dn.to_owned(),
            place: match lost.place {
                Place::Rdn => ConflictPlace::Name,
                Place::Parent => ConflictPlace::Superior,
                Place::Attribute(_) | Place::Value(..) => {
                    ConflictPlace::Attribute(info.map(|info| info.key.clone()).unwrap_or_default())
                }
            },
            is_secret,
            rule: lost.rule,
            winner: side(lost.winner, &lost.winner_content),
            loser: side(lost.loser, &lost.loser_content),
        };
        history.failure.map_or(Ok(conflict), Err)
    }

    /// The log is bounded by count and by age.
    fn drop_old_conflicts(&mut self) -> Result<(), DitError> {
        let since = self.now_ms().saturating_sub(KEPT_MS);
        for _ in 0..DROPPED_AT_ONCE_MAX {
            let reader = self.txn.reader();
            let mut cursor = reader.cursor(Table::Conflicts)?;
            let Some((key, _)) = cursor.first()? else { break };
            if reader.count(Table::Conflicts)? <= CONFLICTS_MAX && record::ms_of(key) >= since {
                break;
            }
            let key = key.to_vec();
            drop(cursor);
            self.txn.delete(Table::Conflicts, &key, None)?;
        }
        Ok(())
    }

    /// The delta that says on the entry what became of its conflict. It goes with the restoring change, or alone.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn resolution(&mut self, conflict: &Conflict, state: ConflictState) -> Result<Delta, DitError> {
        let unknown = || DitError::UnknownAttribute(RESOLVED.to_owned());
        let attribute = self.intern(&AttributeDescription::parse(RESOLVED).map_err(|_| unknown())?)?;
        let text = format!("{} {}", conflict.id, state.name()).into_bytes();
        let key = ValueKey::of_normal(&text);
        Ok(Delta::Cell { attribute, key, order: 0, present: true, value: CellValue::Text(text) })
    }
}

fn side_content(content: &Content, is_secret: bool) -> SideContent {
    let values = |values: &[CellValue], wrap: fn(Vec<CellValue>) -> SideContent| {
        let bytes: usize = values
            .iter()
            .map(|value| match value {
                CellValue::Text(text) => text.len(),
                CellValue::Link(_) => 16,
            })
            .sum();
        if (is_secret && !values.is_empty()) || bytes > SIDE_BYTES_MAX {
            return SideContent::Unsaid { count: values.len() as u64 };
        }
        wrap(values.to_vec())
    };
    match content {
        Content::Values(list) => values(list, SideContent::Values),
        Content::Without(list) => values(list, SideContent::Without),
        Content::Rdn(rdn) => {
            SideContent::Name(super::derive::rdn_of(rdn).map_or_else(String::new, |rdn| rdn.to_string()))
        }
        Content::Parent(parent) => SideContent::Superior(*parent),
        Content::Dead => SideContent::Deleted,
    }
}

/// Earlier updates, out of the log.
struct LogHistory<'w> {
    reader: Reader<'w>,
    catalog: &'w Catalog,
    failure: Option<DitError>,
}

impl History for LogHistory<'_> {
    fn update(&mut self, stamp: Stamp) -> Option<Update> {
        let dot = stamp.dot();
        let key = log_key(dot.origin, dot.sequence);
        let record = match self.reader.get(Table::Log, &key) {
            Ok(value) => open_record(&key, value?),
            Err(error) => Err(error.into()),
        };
        match record {
            Ok(record) => decode_update(&record.bytes, |key| self.catalog.find_key(key))
                .ok()
                .filter(|update| update.stamp == stamp),
            Err(error) => {
                self.failure = Some(error);
                None
            }
        }
    }

    /// What no client can write says who changed the entry and when, or what became of a conflict.
    fn is_bookkeeping(&self, attribute: AttributeId) -> bool {
        self.catalog.attribute_type(attribute).is_some_and(|known| known.no_user_modification)
    }
}
