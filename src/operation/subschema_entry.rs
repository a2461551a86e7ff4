//! The subschema entry (RFC 4512 4.2): the schema in words, for anybody.
//!
//! Its values are some hundred KiB and change with the schema only, so that they are made once.

use super::Directory;
use super::virtual_entry::{VirtualEntry, attribute};
use crate::dit::View;
use crate::model::Attribute;
use crate::schema::Schema;
use crate::schema::time::format_generalized_time;
use std::sync::{Arc, Mutex, PoisonError};

/// Its name.
pub(super) const DN: &str = "cn=subschema";

/// The attributes as made for one schema.
#[derive(Default)]
pub(super) struct Published(Mutex<Option<Made>>);

type Made = (Arc<Schema>, Arc<Vec<Attribute>>);

pub(super) fn entry(directory: &Directory, view: View<'_>) -> VirtualEntry {
    let schema = view.catalog().schema();
    let mut published = directory.subschema.0.lock().unwrap_or_else(PoisonError::into_inner);
    let attributes = match &*published {
        Some((known, attributes)) if Arc::ptr_eq(known, schema) => Arc::clone(attributes),
        _ => {
            let changed = view.schema_modified_ms().ok().flatten().unwrap_or(0);
            let attributes = Arc::new(attributes(schema, directory.started_ms, changed));
            *published = Some((Arc::clone(schema), Arc::clone(&attributes)));
            attributes
        }
    };
    VirtualEntry { dn: DN.to_owned(), attributes }
}

fn attributes(schema: &Schema, started_ms: i64, changed_ms: i64) -> Vec<Attribute> {
    let since = format_generalized_time(started_ms);
    let changed = format_generalized_time(started_ms.max(changed_ms));
    let head = [
        attribute("objectClass", ["top", "subentry", "subschema", "extensibleObject"]),
        attribute("cn", ["subschema"]),
        attribute("structuralObjectClass", ["subentry"]),
        attribute("subtreeSpecification", ["{}"]),
        attribute("createTimestamp", [&since]),
        attribute("modifyTimestamp", [&changed]),
        attribute("entryDN", [DN]),
        attribute("subschemaSubentry", [DN]),
        attribute("hasSubordinates", ["FALSE"]),
    ];
    let definitions = schema.subschema_attributes().into_iter().map(|(name, values)| attribute(&name, values));
    head.into_iter().chain(definitions).flatten().collect()
}
