//! Entries that sound changes, merged, have made break the schema.
//!
//! Nothing is refused at a merge, so an entry may come to lack what its class demands. It stays readable, and what is
//! wrong with it is computed when somebody asks (`replSchemaViolation`). So that such entries are found without looking
//! at all, each that was found broken after another node's update is noted in a table; whether it still is, is looked at
//! when they are listed.

use super::DitError;
use super::shape::waiting;
use super::view::{Entry, View};
use super::writing::Writing;
use crate::model::AttributeDescription;
use crate::schema::check_entry;
use crate::storage::{EntryId, IndexKind, Postings, PutMode, Table, index_key};
use std::collections::BTreeSet;

/// Entries noted and listed at most.
const LISTED_MAX: u64 = 10_000;

impl View<'_> {
    /// How the entry breaks the schema; nothing when it does not. Cost: some microseconds.
    pub fn violations(&self, entry: &Entry<'_>) -> Vec<String> {
        let catalog = self.catalog();
        let classes: Vec<&str> = entry
            .attribute(catalog.well_known().object_class)
            .map(|slice| slice.values().filter_map(|value| std::str::from_utf8(value).ok()).collect())
            .unwrap_or_default();
        let attributes = entry.record.attributes().filter_map(|slice| Some((catalog.attribute_type(slice.id)?, 1)));
        let found = check_entry(catalog.schema(), &classes, attributes);
        found.into_iter().map(|violation| violation.to_string()).collect()
    }

    /// How many entries are noted because they broke the schema when another node's update last touched them.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn suspect_count(&self) -> Result<u64, DitError> {
        Ok(self.reader().count(Table::Suspects)?)
    }

    /// Entries with an id above `after` whose name another entry has, that are deleted and still names, that were found to
    /// break the schema, or whose superior is not here; rising, at most ten thousand.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn conflicting_entries(&self, after: EntryId) -> Result<Vec<EntryId>, DitError> {
        let mut found = BTreeSet::new();
        let mut cursor = self.reader().cursor(Table::Suspects)?;
        let mut item = cursor.seek(&(after.0 + 1).to_be_bytes())?;
        while let (true, Some((key, _))) = ((found.len() as u64) < LISTED_MAX, item) {
            found.insert(EntryId(key.try_into().map_or(0, u64::from_be_bytes)));
            item = cursor.next()?;
        }
        for name in ["replConflict", "replState"] {
            let attribute = AttributeDescription::parse(name).ok().and_then(|name| self.catalog().find(&name));
            let Some(attribute) = attribute else { continue };
            let mut key = Vec::new();
            index_key(attribute, IndexKind::Presence, &[], &mut key);
            let Some(mut postings) = Postings::open(self.reader(), &key)? else { continue };
            let mut taken = 0;
            while let Some(id) = postings.next()? {
                if id > after {
                    found.insert(id);
                    taken += 1;
                }
                if taken >= LISTED_MAX {
                    break;
                }
            }
        }
        found.extend(waiting::all(self.reader())?.into_iter().filter(|id| *id > after));
        Ok(found.into_iter().take(LISTED_MAX as usize).collect())
    }
}

impl Writing<'_> {
    /// Notes that what decides whether the watched entry is sound may be another.
    pub(super) fn watch(&mut self, id: EntryId, changed: impl FnOnce() -> bool) {
        if let Some((of, has_changed)) = &mut self.watched
            && *of == id
            && !*has_changed
        {
            *has_changed = changed();
        }
    }

    /// After another node's update: notes the entry if it breaks the schema now, and forgets it if it does not.
    pub(super) fn watch_soundness(&mut self, id: EntryId) -> Result<(), DitError> {
        let view = self.view();
        let is_broken = match view.entry(id)? {
            Some(entry) => !view.violations(&entry).is_empty(),
            None => false,
        };
        let key = id.0.to_be_bytes();
        let is_noted = view.reader().get(Table::Suspects, &key)?.is_some();
        if is_broken && !is_noted && view.reader().count(Table::Suspects)? < LISTED_MAX {
            self.txn.put(Table::Suspects, &key, &[], PutMode::Upsert)?;
        } else if is_noted && !is_broken {
            self.txn.delete(Table::Suspects, &key, None)?;
        }
        Ok(())
    }
}
