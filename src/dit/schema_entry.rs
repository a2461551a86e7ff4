//! Schema definitions that the directory itself holds: an entry below cn=cluster, a value for each OID.
//!
//! So they replicate like all values, and changes of different definitions never collide. Every node makes its schema of
//! them when the entry changes, in the transaction that changes it, whoever sent the change; nothing of it is stored
//! besides. Attributes that the schema did not know when their values came, or knew otherwise, are looked at anew then.
//!
//! Invariant: the catalog that a commit publishes explains what the commit wrote.

use super::DitError;
use super::catalog::{AttributeInfo, Catalog};
use super::cluster::CLUSTER_DN;
use super::values::{ValueError, value_of};
use super::view::View;
use super::writing::{Target, Writing};
use crate::model::AttributeDescription;
use crate::schema::online::{DefinitionKind, OnlineDefinition};
use crate::schema::{MatchingRule, Schema};
use crate::state::{AttributeId, CellValue, Delta};
use crate::storage::{EntryId, MetaName, Table, ViewRecord};
use std::sync::Arc;

/// The entry.
pub const SCHEMA_DN: &str = "cn=schema,cn=cluster";

impl View<'_> {
    /// The definitions that the directory holds, in an order that is the same on all members. What is no definition is
    /// left out.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn online_definitions(&self) -> Result<Vec<OnlineDefinition>, DitError> {
        let Some(entry) = self.entry_named(SCHEMA_DN)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for kind in DefinitionKind::ALL {
            for value in self.values_named(&entry, kind.attribute())? {
                let text = String::from_utf8_lossy(&value);
                match OnlineDefinition::parse(kind, &text) {
                    Ok(definition) => found.push(definition),
                    Err(error) => tracing::warn!(%error, "a schema definition of the directory cannot be read"),
                }
            }
        }
        Ok(found)
    }

    /// When the definitions last changed, in milliseconds.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn schema_modified_ms(&self) -> Result<Option<i64>, DitError> {
        Ok(self.entry_named(SCHEMA_DN)?.map(|entry| entry.record.modified_ms()))
    }
}

impl Catalog {
    /// Numbers of the descriptions that another schema explains otherwise.
    fn explained_otherwise(&self, other: &Self) -> Vec<AttributeId> {
        let rule = |catalog: &Self, info: &AttributeInfo| -> Option<Option<MatchingRule>> {
            info.attribute_type.map(|index| catalog.schema().attribute_type_at(index).equality)
        };
        let ids = (0..self.len()).map(|at| AttributeId(u32::try_from(at).unwrap_or(u32::MAX)));
        ids.filter(|id| match (self.attribute(*id), other.attribute(*id)) {
            (Some(was), Some(is)) => {
                rule(self, was) != rule(other, is)
                    || (was.indexed, was.links, was.single_value, was.operational, was.secret)
                        != (is.indexed, is.links, is.single_value, is.operational, is.secret)
            }
            _ => false,
        })
        .collect()
    }
}

impl Writing<'_> {
    /// Adds and removes definitions, stamped like any change. The caller has judged the schema that comes of it.
    ///
    /// # Errors
    /// [`DitError::Storage`]: the transaction is then to be dropped.
    pub fn change_schema(
        &mut self,
        requester: &str,
        removed: &[OnlineDefinition],
        added: &[OnlineDefinition],
    ) -> Result<(), DitError> {
        let classes = ["top", "namedObject", "subschema"].map(|class| class.as_bytes().to_vec()).to_vec();
        let id = match self.view().entry_named(SCHEMA_DN)? {
            Some(entry) => entry.id,
            None => {
                if self.view().entry_named(CLUSTER_DN)?.is_none() {
                    return Err(DitError::Unavailable("cn=cluster is not there: run entente init"));
                }
                self.put_entry(SCHEMA_DN, &[("objectClass", classes), ("cn", vec![b"schema".to_vec()])])?
            }
        };
        let mut deltas = Vec::with_capacity(removed.len() + added.len());
        let gone = removed.iter().map(|definition| (definition, false));
        for (order, (definition, present)) in gone.chain(added.iter().map(|definition| (definition, true))).enumerate()
        {
            let description = AttributeDescription::parse(definition.kind.attribute())
                .map_err(|error| DitError::State { id: id.0, detail: error.to_string() })?;
            let attribute = self.intern(&description)?;
            let view = self.view();
            let Some(info) = view.catalog().attribute(attribute) else { continue };
            let (key, value) = match value_of(&view, info, definition.text.as_bytes()) {
                Ok(kept) => kept,
                Err(ValueError::Dit(error)) => return Err(error),
                Err(error) => return Err(DitError::State { id: id.0, detail: error.to_string() }),
            };
            let value = if present { value } else { CellValue::Text(Vec::new()) };
            let order = u32::try_from(order).unwrap_or(u32::MAX);
            deltas.push(Delta::Cell { attribute, key, order, present, value });
        }
        if !deltas.is_empty() {
            self.change(Target::Existing(id), requester, deltas)?;
        }
        self.follow_schema()
    }

    /// Makes the schema of what the directory holds now.
    pub(super) fn follow_schema(&mut self) -> Result<(), DitError> {
        self.schema_touched = false;
        let definitions = self.view().online_definitions()?;
        if definitions == self.catalog.schema().online() {
            return Ok(());
        }
        let schema = fitting(self.catalog.schema(), &definitions);
        let options = Arc::clone(self.catalog.shared_options());
        let catalog = self.catalog.with(Arc::new(schema), options);
        let otherwise = self.catalog.explained_otherwise(&catalog);
        self.catalog = Arc::new(catalog);
        self.catalog_changed = true;
        self.rules_changed = true;
        let concerned = self.entries_with(&otherwise)?;
        if concerned.is_empty() || self.is_bulk {
            let fingerprint = self.catalog.index_options().fingerprint(self.catalog.schema());
            return Ok(self.txn.put_meta(MetaName::IndexConfiguration, fingerprint.as_bytes())?);
        }
        tracing::info!(entries = concerned.len(), "the schema changed what entries mean: building the index anew");
        for id in concerned {
            self.rewrite_view(id)?;
        }
        self.reindex(&mut |_, _| {})
    }

    /// Entries with a value of one of these. Cost: O(entries), but nothing for no attributes.
    pub(super) fn entries_with(&self, attributes: &[AttributeId]) -> Result<Vec<EntryId>, DitError> {
        let mut found = Vec::new();
        if attributes.is_empty() {
            return Ok(found);
        }
        let mut cursor = self.view().reader().cursor(Table::Id2Entry)?;
        let mut item = cursor.first()?;
        while let Some((key, bytes)) = item {
            let id = EntryId::from_key(key);
            let record = ViewRecord::open(id, bytes)?;
            if attributes.iter().any(|attribute| record.any_attribute(*attribute).is_some()) {
                found.push(id);
            }
            item = cursor.next()?;
        }
        Ok(found)
    }
}

/// The schema with those of the definitions that fit; what is left out is logged.
pub(super) fn fitting(schema: &Schema, definitions: &[OnlineDefinition]) -> Schema {
    let (schema, faults) = schema.with_online_that_fits(definitions);
    for fault in faults {
        tracing::error!(detail = %fault.detail, "a schema definition of the directory does not fit and is left out");
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::dit::{Dit, LogRange, Options, Receipt};

    fn open(folder: &std::path::Path) -> Dit {
        Dit::open(Options::new(folder), Arc::new(Schema::builtin()), Clock::simulated(1_700_000_000_000)).unwrap()
    }

    fn shoe() -> OnlineDefinition {
        let text = "( 1.3.6.1.4.1.32473.1 NAME 'shoeSize' EQUALITY integerMatch \
                    SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 )";
        OnlineDefinition::parse(DefinitionKind::AttributeType, text).unwrap()
    }

    #[test]
    fn definitions_are_there_after_a_restart_and_on_other_members() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [one, other] = [open(folders[0].path()), open(folders[1].path())];
        one.set_administrator("cn=admin,dc=example,dc=com", b"x").unwrap();
        let mut writing = Writing::begin(&one).unwrap();
        writing.change_schema("cn=admin", &[], &[shoe()]).unwrap();
        assert!(writing.view().catalog().schema().attribute_type("shoeSize").is_some());
        writing.commit().unwrap();
        assert!(one.catalog().schema().attribute_type("shoeSize").is_some());

        // The other one hears of it by the log, and knows it with that commit.
        let snapshot = one.read().unwrap();
        let origin = snapshot.view().update_vector().unwrap().iter().next().unwrap().0;
        let LogRange::Records(records) = snapshot.view().log_range(origin, 1, usize::MAX).unwrap() else { panic!() };
        let mut writing = Writing::begin(&other).unwrap();
        for record in &records {
            assert!(matches!(writing.receive(record).unwrap(), Receipt::Applied { .. }));
        }
        writing.commit().unwrap();
        assert!(other.catalog().schema().attribute_type("shoeSize").is_some());

        drop(snapshot);
        drop(one);
        let one = open(folders[0].path());
        assert!(one.catalog().schema().attribute_type("shoeSize").is_some());
        let mut writing = Writing::begin(&one).unwrap();
        writing.change_schema("cn=admin", &[shoe()], &[]).unwrap();
        writing.commit().unwrap();
        assert!(one.catalog().schema().attribute_type("shoeSize").is_none());
        assert!(open_again(one, folders[0].path()).catalog().schema().attribute_type("shoeSize").is_none());
    }

    fn open_again(dit: Dit, folder: &std::path::Path) -> Dit {
        drop(dit);
        open(folder)
    }

    #[test]
    fn values_that_came_before_their_definition_are_indexed_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let dit = open(folder.path());
        dit.set_administrator("cn=admin,dc=example,dc=com", b"x").unwrap();
        let mut writing = Writing::begin(&dit).unwrap();
        // As it comes from a member that knows the type already.
        let attribute = writing.intern_received("1.3.6.1.4.1.32473.1").unwrap();
        let key = crate::state::ValueKey::of_normal(b"42");
        let value = CellValue::Text(b"42".to_vec());
        let id = writing.view().entry_named(CLUSTER_DN).unwrap().unwrap().id;
        let delta = Delta::Cell { attribute, key, order: 0, present: true, value };
        writing.change(Target::Existing(id), "", vec![delta]).unwrap();
        writing.change_schema("cn=admin", &[], &[shoe()]).unwrap();
        writing.commit().unwrap();
        let report = crate::dit::check(&dit, &mut |_, _| {}).unwrap();
        assert!(report.differences.is_empty(), "{:?}", report.differences);
        let snapshot = dit.read().unwrap();
        let view = snapshot.view();
        let mut index_place = Vec::new();
        crate::storage::index_key(attribute, crate::storage::IndexKind::Presence, &[], &mut index_place);
        assert!(crate::storage::Postings::has(view.reader(), &index_place, id).unwrap());
    }
}
