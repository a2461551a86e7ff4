//! From what a client writes to what the state keeps: value keys, links, names.
//!
//! This is the origin's side of the translation: the normal form is computed once, here, and shipped; receivers compare
//! bytes. A DN that names an entry of this directory becomes a link to it; any other stays text (see `texts`).

use super::DitError;
use super::catalog::AttributeInfo;
use super::derive::named_entry;
use super::index_keys::keys_of_value;
use super::view::View;
use super::writing::Writing;
use crate::model::{AttributeDescription, Dn, EntryUuid, Rdn};
use crate::schema::{AttributeType, split_uid};
use crate::state::{AttributeId, CellValue, Delta, RdnAva, RdnState, ValueKey};
use crate::storage::EntryId;

/// A value that its attribute does not take.
#[derive(Debug, thiserror::Error)]
pub enum ValueError {
    /// The value breaks the attribute's syntax.
    #[error("{attribute}: {detail}")]
    Invalid {
        /// Attribute as the schema names it.
        attribute: String,
        /// What is wrong with the value.
        detail: String,
    },
    /// The value would stand in a name, which is kept in clear, and its attribute is encrypted.
    #[error("{attribute} is encrypted in the data file, and names are not: name the entry by another attribute")]
    Encrypted {
        /// Attribute as the schema names it.
        attribute: String,
    },
    /// Storage and the like.
    #[error(transparent)]
    Dit(#[from] DitError),
}

/// The identity and the kept form of `value` in attribute `info`.
///
/// Syntax is checked for attributes that hold links (they are parsed); for all others the caller has checked it.
///
/// # Errors
/// [`ValueError::Invalid`]; [`ValueError::Dit`] when resolving a DN fails.
pub fn value_of(view: &View<'_>, info: &AttributeInfo, value: &[u8]) -> Result<(ValueKey, CellValue), ValueError> {
    let schema = view.catalog().schema();
    let attribute_type = info.attribute_type.map(|index| schema.attribute_type_at(index));
    let has_uid = || std::str::from_utf8(value).is_ok_and(|text| split_uid(text).1.is_some());
    if info.links && !(attribute_type.is_some_and(AttributeType::may_have_uid) && has_uid()) {
        let dn = Dn::parse_bytes(value)
            .map_err(|error| ValueError::Invalid { attribute: info.name.clone(), detail: error.to_string() })?;
        if let Some(target) = named_entry(view, value)? {
            return Ok((ValueKey::link(target), CellValue::Link(target)));
        }
        return Ok((ValueKey::of_normal(&schema.dn_key(&dn)), CellValue::Text(value.to_vec())));
    }
    let mut normal = Vec::with_capacity(value.len() + 8);
    let keyed = attribute_type.and_then(|attribute_type| keys_of_value(schema, attribute_type, value, &mut normal));
    if keyed.is_none() {
        if attribute_type.is_some_and(|found| found.equality.is_some_and(|rule| rule.is_key_rule())) {
            return Err(ValueError::Invalid {
                attribute: info.name.clone(),
                detail: "the value cannot be compared by the attribute's equality rule; check its characters"
                    .to_owned(),
            });
        }
        normal.clear();
        normal.extend_from_slice(value);
    }
    Ok((ValueKey::of_normal(&normal), CellValue::Text(value.to_vec())))
}

/// The state of an RDN; its attribute types are numbered if they are new.
///
/// # Errors
/// [`ValueError::Dit`]: an unknown attribute type; [`ValueError::Invalid`]; [`ValueError::Encrypted`].
pub fn rdn_state(writing: &mut Writing<'_>, rdn: &Rdn) -> Result<RdnState, ValueError> {
    let mut avas = Vec::with_capacity(rdn.avas().len());
    for ava in rdn.avas() {
        let description = AttributeDescription::parse(&ava.attribute)
            .map_err(|error| ValueError::Invalid { attribute: ava.attribute.clone(), detail: error.to_string() })?;
        let attribute = writing.intern(&description)?;
        let view = writing.view();
        let Some(info) = view.catalog().attribute(attribute) else { continue };
        if info.encrypted {
            return Err(ValueError::Encrypted { attribute: info.name.clone() });
        }
        let (key, _) = value_of(&view, info, &ava.value)?;
        avas.push(RdnAva { attribute, key, value: ava.value.clone(), type_text: ava.attribute.clone() });
    }
    Ok(RdnState { avas })
}

/// The deltas that make a new entry. `attributes` hold every value, those of the RDN included, in the order written.
/// A suffix (`parent` is [`EntryId::NONE`]) keeps its whole DN.
///
/// # Errors
/// [`ValueError::Dit`]; [`ValueError::Invalid`], two equal values of one attribute among them.
pub fn birth_deltas(
    writing: &mut Writing<'_>,
    dn: &Dn,
    parent: EntryId,
    attributes: &[(AttributeId, Vec<Vec<u8>>)],
) -> Result<Vec<Delta>, ValueError> {
    let rdn = match dn.rdn() {
        Some(rdn) => rdn_state(writing, rdn)?,
        None => RdnState::default(),
    };
    let superior = match writing.view().entry(parent)? {
        Some(entry) => entry.record.uuid(),
        None => EntryUuid::NIL,
    };
    let mut deltas = Vec::with_capacity(2 + attributes.len());
    deltas.push(Delta::Birth { rdn, parent: superior });
    if superior == EntryUuid::NIL {
        let context = writing.view().catalog().well_known().context_name;
        let text = dn.to_string().into_bytes();
        let key = ValueKey::of_normal(&writing.view().catalog().schema().dn_key(dn));
        deltas.push(Delta::Cell { attribute: context, key, order: 0, present: true, value: CellValue::Text(text) });
    }
    let view = writing.view();
    for (attribute, values) in attributes {
        let Some(info) = view.catalog().attribute(*attribute) else { continue };
        let first = deltas.len();
        for (order, value) in values.iter().enumerate() {
            let (key, value) = value_of(&view, info, value)?;
            deltas.push(Delta::Cell { attribute: *attribute, key, order: order as u32, present: true, value });
        }
        refuse_equal(info, deltas.get(first..).unwrap_or_default())?;
    }
    Ok(deltas)
}

fn refuse_equal(info: &AttributeInfo, cells: &[Delta]) -> Result<(), ValueError> {
    if cells.len() < 2 {
        return Ok(());
    }
    let mut keys: Vec<&ValueKey> = cells
        .iter()
        .filter_map(|delta| match delta {
            Delta::Cell { key, .. } => Some(key),
            _ => None,
        })
        .collect();
    keys.sort_unstable();
    if keys.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(ValueError::Invalid {
            attribute: info.name.clone(),
            detail: "two of the values are equal by the attribute's equality rule; give each value once".to_owned(),
        });
    }
    Ok(())
}
