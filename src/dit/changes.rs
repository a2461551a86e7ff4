//! What changed, for those who follow the tree without being members of the cluster: the log's records as what they
//! did to which entry.
//!
//! A record says what an operation changed; whether and how an entry is shown is asked of the tree as it is now. So a
//! follower needs of a record only which entry it is about and what else may look different for it: names, links,
//! access rules.

use super::DitError;
use super::derive::rdn_text;
use super::index_keys::link_key;
use super::view::View;
use super::writing::{Writing, read_state, state_error};
use crate::model::EntryUuid;
use crate::state::encoding::update::decode_update;

use crate::state::{AttributeId, Delta, EntryState, LogRecord, Stamp};
use crate::storage::{EntryId, IndexKind, Postings, PutMode, Table, index_key, log_key, uuid2id_key};

/// Referrers of a deleted entry that are remembered.
const LOST_LINKS_MAX: usize = 65_536;

/// One record of the log as a follower sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoggedChange {
    /// When, and by whom.
    pub stamp: Stamp,
    /// Of which entry.
    pub uuid: EntryUuid,
    /// The entry began.
    pub birth: bool,
    /// The entry ended.
    pub dead: bool,
    /// It got a name.
    pub renamed: bool,
    /// It got a superior.
    pub moved: bool,
    /// Access rules in it changed.
    pub rules: bool,
    /// Attributes of which values came or went; each once where the record has it in one piece.
    pub attributes: Vec<AttributeId>,
    /// Entries that it began or ceased to link to, where the record says which.
    pub linked: Vec<EntryUuid>,
    /// It may have ceased to link to entries that the record does not name.
    pub unlinked: bool,
}

impl LoggedChange {
    /// Whether its name, its place or its being there changed.
    pub fn is_naming(&self) -> bool {
        self.birth || self.dead || self.renamed || self.moved
    }

    /// Reads a record. Cost: a microsecond, and more for many values.
    ///
    /// # Errors
    /// [`DitError::State`]: a record that this version cannot read.
    pub fn read(view: View<'_>, record: &LogRecord) -> Result<Self, DitError> {
        let catalog = view.catalog();
        // A number for attributes that are new here is not needed: they hold neither rules nor links yet.
        let number = |key: &str| Some(catalog.find_key(key).unwrap_or(AttributeId(u32::MAX)));
        let update = decode_update(&record.bytes, number).map_err(|error| state_error(EntryId::NONE, &error))?;
        let mut change = Self {
            stamp: update.stamp,
            uuid: update.uuid,
            birth: false,
            dead: false,
            renamed: false,
            moved: false,
            rules: false,
            attributes: Vec::new(),
            linked: Vec::new(),
            unlinked: false,
        };
        for delta in &update.deltas {
            if let Delta::Clear(attribute) | Delta::Cell { attribute, .. } | Delta::Count { attribute, .. } = delta
                && change.attributes.last() != Some(attribute)
            {
                change.attributes.push(*attribute);
            }
            match delta {
                Delta::Birth { .. } => change.birth = true,
                Delta::Dead => change.dead = true,
                Delta::Rdn(_) => change.renamed = true,
                Delta::Parent(_) => change.moved = true,
                Delta::Count { .. } => {}
                Delta::Clear(attribute) => {
                    change.unlinked |= catalog.attribute(*attribute).is_some_and(|info| info.links);
                }
                Delta::Cell { key, .. } => change.linked.extend(key.as_link()),
            }
        }
        change.rules = change.attributes.contains(&catalog.well_known().aci);
        Ok(change)
    }
}

impl View<'_> {
    /// Entries that link to `uuid`, by the index; at most `entries_max`, and false if there are more.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn referrers(&self, uuid: EntryUuid, entries_max: usize, out: &mut Vec<EntryId>) -> Result<bool, DitError> {
        for attribute in self.catalog().link_attributes() {
            let mut key = Vec::with_capacity(24);
            index_key(*attribute, IndexKind::Equality, &link_key(uuid), &mut key);
            let Some(mut postings) = Postings::open(self.reader(), &key)? else { continue };
            while let Some(id) = postings.next()? {
                if out.len() >= entries_max {
                    return Ok(false);
                }
                out.push(id);
            }
        }
        Ok(true)
    }

    /// The changes that made an entry, named it and put it where it is.
    ///
    /// # Errors
    /// [`DitError`].
    pub fn naming_changes(&self, id: EntryId) -> Result<Option<[Stamp; 3]>, DitError> {
        let state = read_state(self.reader(), self.catalog(), id)?;
        Ok(state.map(|state| [state.birth, state.rdn.0, state.parent.0]))
    }

    /// What is known of an entry that is gone; `None` where nothing of it is kept.
    ///
    /// # Errors
    /// [`DitError`].
    pub fn departed(&self, uuid: EntryUuid) -> Result<Option<Departed>, DitError> {
        let prefix = uuid2id_key(uuid, None);
        let mut cursor = self.reader().cursor(Table::Uuid2Id)?;
        let mut item = cursor.seek(&prefix)?;
        let mut departed = None;
        while let Some((key, id)) = item {
            if !key.starts_with(&prefix) {
                break;
            }
            if let Some(state) = read_state(self.reader(), self.catalog(), EntryId::from_key(id))?
                && state.born
            {
                let dot = state.dead.unwrap_or_default().dot();
                let row = self.reader().get(Table::LostLinks, &log_key(dot.origin, dot.sequence))?;
                let (ids, _) = row.unwrap_or_default().as_chunks::<8>();
                departed = Some(Departed {
                    rdn: rdn_text(self.catalog(), &state),
                    parent: state.parent.1,
                    referrers: ids.iter().map(|id| EntryId::from_key(id)).collect(),
                });
            }
            item = cursor.next()?;
        }
        Ok(departed)
    }
}

/// What is known of an entry that is gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Departed {
    /// Its RDN; of a suffix its DN.
    pub rdn: String,
    /// The entry that it was below; [`EntryUuid::NIL`]: none.
    pub parent: EntryUuid,
    /// Entries that linked to it.
    pub referrers: Vec<EntryId>,
}

impl Writing<'_> {
    /// Remembers who linked to an entry that goes: with it its links go from the index, and whoever follows the tree
    /// could not find out any more who looks different without it.
    pub(super) fn note_lost_links(&mut self, state: &EntryState) -> Result<(), DitError> {
        let Some(dead) = state.dead.filter(|_| !self.is_bulk) else { return Ok(()) };
        let mut referrers = Vec::new();
        self.view().referrers(state.uuid, LOST_LINKS_MAX, &mut referrers)?;
        if referrers.is_empty() {
            return Ok(());
        }
        let row: Vec<u8> = referrers.iter().flat_map(|id| id.to_key()).collect();
        let dot = dead.dot();
        Ok(self.txn.put(Table::LostLinks, &log_key(dot.origin, dot.sequence), &row, PutMode::Upsert)?)
    }
}
