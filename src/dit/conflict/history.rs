//! Earlier updates, out of the log.

use crate::dit::DitError;
use crate::dit::catalog::Catalog;
use crate::dit::log::{log_place, open_record};
use crate::dit::spill;
use crate::dit::view::View;
use crate::dit::writing::Writing;
use crate::state::conflict::History;
use crate::state::encoding::update::decode_update;
use crate::state::{AttributeId, Cell, OriginId, Stamp, Update, ValueKey};
use crate::storage::{EntryId, Reader, Table, log_key};
use std::collections::BTreeMap;

/// Later records of an origin that are looked at to learn what it had not met: adds do not say it.
const LATER_MAX: usize = 256;
/// Of those that say it so many: what was written again under another origin says what its first writer had met.
const LATER_SAYING_MAX: usize = 16;

/// Earlier updates; what could not be read is in `failure` afterwards.
pub(super) struct LogHistory<'w> {
    reader: Reader<'w>,
    catalog: &'w Catalog,
    /// Whose spilled values are asked for.
    entry: EntryId,
    /// Tells what is still to come; nothing is without it.
    writing: Option<&'w Writing<'w>>,
    pub(super) failure: Option<DitError>,
}

impl<'w> LogHistory<'w> {
    pub(super) fn of_view(view: &View<'w>) -> Self {
        Self { reader: view.reader(), catalog: view.catalog(), entry: EntryId::NONE, writing: None, failure: None }
    }

    pub(super) fn of_writing(writing: &'w Writing<'_>, entry: EntryId) -> Self {
        let (reader, catalog) = (writing.txn.reader(), &*writing.catalog);
        Self { reader, catalog, entry, writing: Some(writing), failure: None }
    }

    /// What was found, if all could be read.
    pub(super) fn checked<T>(self, found: T) -> Result<T, DitError> {
        self.failure.map_or(Ok(found), Err)
    }
}

impl Writing<'_> {
    /// The update of this stamp, if its record is kept.
    pub(in crate::dit) fn logged(&self, stamp: Stamp) -> Result<Option<Update>, DitError> {
        let mut history = LogHistory::of_writing(self, EntryId::NONE);
        let found = history.update(stamp);
        history.checked(found)
    }
}

impl History for LogHistory<'_> {
    fn update(&mut self, stamp: Stamp) -> Option<Update> {
        let dot = stamp.dot();
        let key = log_key(dot.origin, dot.sequence);
        let record = match self.reader.get(Table::Log, &key) {
            Ok(value) => open_record(self.catalog, &key, value?),
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

    fn known_later(&mut self, stamp: Stamp) -> Option<Vec<(OriginId, u64)>> {
        let read = || -> Result<BTreeMap<OriginId, u64>, DitError> {
            let (origin, mut known) = (stamp.csn.origin(), BTreeMap::new());
            let mut said = 0;
            let mut cursor = self.reader.cursor(Table::Log)?;
            let mut item = cursor.seek(&log_key(origin, stamp.sequence + 1))?;
            for _ in 0..LATER_MAX {
                let Some((key, value)) = item.filter(|(key, _)| log_place(key).0 == origin) else { break };
                let record = open_record(self.catalog, key, value)?;
                let update = decode_update(&record.bytes, |key| self.catalog.find_key(key));
                let later = update.map(|update| update.known).unwrap_or_default();
                said += usize::from(!later.is_empty());
                for (of, sequence) in later {
                    let at = known.entry(of).or_default();
                    *at = sequence.max(*at);
                }
                if said == LATER_SAYING_MAX {
                    break;
                }
                item = cursor.next()?;
            }
            Ok(known)
        };
        match read() {
            Ok(known) => (!known.is_empty()).then(|| known.into_iter().collect()),
            Err(error) => {
                self.failure = Some(error);
                None
            }
        }
    }

    fn is_coming(&mut self, stamp: Stamp) -> bool {
        match self.writing.map(|writing| writing.covers(stamp)) {
            Some(Ok(covered)) => !covered,
            Some(Err(error)) => {
                self.failure = Some(error);
                false
            }
            None => false,
        }
    }

    fn each_spilled(&mut self, attribute: AttributeId, visit: &mut dyn FnMut(ValueKey, Cell)) {
        let read = spill::for_each(self.reader, self.catalog, self.entry, attribute, &mut |key, cell| {
            visit(key, cell);
            Ok(true)
        });
        if let Err(error) = read {
            self.failure = Some(error);
        }
    }

    /// What no client can write says who changed the entry and when, or what became of a conflict.
    fn is_bookkeeping(&self, attribute: AttributeId) -> bool {
        self.catalog.attribute_type(attribute).is_some_and(|known| known.no_user_modification)
    }
}
