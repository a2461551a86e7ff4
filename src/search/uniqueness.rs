//! Values that one entry alone may have: the rules, who holds a value, and what merges have made of it.
//!
//! A rule is a value of `uniqueAttribute` in the entry at the top of the subtree that it is about, so that it replicates
//! like any value: `mail`, or `mail+mozillaSecondEmail` (one name space for both), or `uid (objectClass=posixAccount)`.
//! Local changes that would make a second holder are refused (`operation::update::unique`). Two masters can still give one
//! value to two entries at the same time; both keep it then, and it is told of both (`replUniqueViolation`,
//! `cn=conflicts`), the oldest claim being the one to go by.
//!
//! Nothing is stored for that: holders are read from the equality index, so that every member says the same.

use super::SearchError;
use super::compile::CompiledFilter;
use super::evaluate::{AllSearchable, bases, evaluate};
use crate::dit::{Entry, View, keys_of_value};
use crate::model::{EntryUuid, Filter};
use crate::schema::{AttributeTypeIndex, Schema};
use crate::state::{AttributeId, CellValue, EntryState, Stamp};
use crate::storage::{ENTRY_PHANTOM, EntryId, IndexCursor, IndexKind, Postings, index_key};
use std::collections::BTreeSet;

/// `uniqueAttribute` (schema/entente.ldif).
pub const UNIQUE_ATTRIBUTE: &str = "2.25.226734431000227364254570923804739913085.1.90";
/// Attribute types of one rule.
const TYPES_MAX: usize = 16;
/// Entries whose rules are read.
const RULE_HOLDERS_MAX: usize = 1_000;
/// Index keys read to list the clashes of one attribute.
const KEYS_MAX: usize = 4_000_000;

/// One rule, ready to judge.
#[derive(Debug)]
pub struct UniqueRule {
    /// The entry at the top of the subtree.
    pub top: EntryId,
    /// The attribute types that share their values.
    pub types: Vec<AttributeTypeIndex>,
    /// Which entries it is about; `None`: all.
    pub filter: Option<CompiledFilter>,
}

impl UniqueRule {
    /// Reads a rule: names joined by `+`, and perhaps a filter after a blank.
    ///
    /// # Errors
    /// What is wrong and what to write instead.
    pub fn parse(schema: &Schema, top: EntryId, text: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(text).map_err(|_| "a rule is text: an attribute name, as mail".to_owned())?;
        let (names, filter) = text.split_once(' ').unwrap_or((text, ""));
        let mut types = Vec::new();
        for name in names.split('+') {
            let found = schema.attribute_type(name).ok_or_else(|| {
                format!("{name} is no attribute type; write names joined by +, and perhaps a filter after a blank")
            })?;
            let comparable = found.equality.is_some_and(|rule| rule.is_key_rule());
            if !comparable || found.is_secret() || found.names_entries() || found.no_user_modification {
                return Err(format!("values of {name} cannot be held apart; name an attribute of text or numbers"));
            }
            types.push(found.index);
        }
        if types.len() > TYPES_MAX {
            return Err(format!("a rule names at most {TYPES_MAX} attributes"));
        }
        let filter = match filter.trim_ascii() {
            "" => None,
            filter => {
                let filter = Filter::parse(filter).map_err(|error| error.to_string())?;
                Some(CompiledFilter::compile(schema, &filter))
            }
        };
        Ok(Self { top, types, filter })
    }

    /// Whether the rule is about values of this type.
    pub fn is_about(&self, schema: &Schema, attribute: AttributeTypeIndex) -> bool {
        self.types.iter().any(|index| schema.attribute_type_at(*index).subtypes.contains(&attribute))
    }

    /// The first other entry of the subtree that has `value` (of the type `own`) in an attribute of the rule, and the type
    /// of that attribute.
    ///
    /// # Errors
    /// [`SearchError::Dit`].
    pub fn holder(
        &self,
        view: View<'_>,
        own: AttributeTypeIndex,
        value: &[u8],
        except: Option<EntryId>,
    ) -> Result<Option<(EntryId, AttributeTypeIndex)>, SearchError> {
        for (base, key) in self.places(view, own, value) {
            if let Some(id) = self.holders(view, &key, except, 1)?.first() {
                let held = view.catalog().attribute(base).and_then(|info| info.attribute_type);
                return Ok(Some((*id, held.unwrap_or(own))));
            }
        }
        Ok(None)
    }

    /// Whether the index says that `id` has the value already.
    ///
    /// # Errors
    /// [`SearchError::Dit`].
    pub fn has(&self, view: View<'_>, own: AttributeTypeIndex, value: &[u8], id: EntryId) -> Result<bool, SearchError> {
        for key in self.keys(view, own, value) {
            if Postings::has(view.reader(), &key, id)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where the index has the value, one key for each attribute of the rule that is in use.
    pub fn keys(&self, view: View<'_>, own: AttributeTypeIndex, value: &[u8]) -> Vec<Vec<u8>> {
        self.places(view, own, value).into_iter().map(|(_, key)| key).collect()
    }

    /// As [`Self::keys`], each with its attribute.
    fn places(&self, view: View<'_>, own: AttributeTypeIndex, value: &[u8]) -> Vec<(AttributeId, Vec<u8>)> {
        let schema = view.catalog().schema();
        let mut normal = Vec::with_capacity(value.len());
        if keys_of_value(schema, schema.attribute_type_at(own), value, &mut normal).is_none() {
            return Vec::new();
        }
        let mut places = Vec::with_capacity(self.types.len());
        for index in &self.types {
            for base in bases(view, *index) {
                let mut key = Vec::with_capacity(normal.len() + 8);
                view.catalog().equality_key(base, &normal, &mut key);
                places.push((base, key));
            }
        }
        places
    }

    /// Entries of the subtree under a key, at most `holders_max`.
    fn holders(
        &self,
        view: View<'_>,
        key: &[u8],
        except: Option<EntryId>,
        holders_max: usize,
    ) -> Result<Vec<EntryId>, SearchError> {
        let mut found = Vec::new();
        let Some(mut postings) = Postings::open(view.reader(), key)? else { return Ok(found) };
        while let Some(id) = postings.next()? {
            if Some(id) == except {
                continue;
            }
            let Some(entry) = view.entry(id)? else { continue };
            if entry.record.flags() & ENTRY_PHANTOM == 0
                && view.is_within(id, self.top)?
                && self.is_about_entry(view, &entry)?
            {
                found.push(id);
                if found.len() >= holders_max {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Whether the rule is about the entry as it is, wherever it stands.
    ///
    /// # Errors
    /// [`SearchError::Dit`].
    pub fn is_about_entry(&self, view: View<'_>, entry: &Entry<'_>) -> Result<bool, SearchError> {
        match &self.filter {
            Some(filter) => Ok(evaluate(filter, view, entry, &AllSearchable)?.is_true()),
            None => Ok(true),
        }
    }
}

/// All rules of the tree. Cost: a look-up where there are none.
///
/// # Errors
/// [`SearchError::Dit`].
pub fn unique_rules(view: View<'_>) -> Result<Vec<UniqueRule>, SearchError> {
    let catalog = view.catalog();
    let schema = catalog.schema();
    let attribute = schema.attribute_type(UNIQUE_ATTRIBUTE).and_then(|found| catalog.base_of(found));
    let Some(attribute) = attribute else { return Ok(Vec::new()) };
    let mut key = Vec::with_capacity(8);
    index_key(attribute, IndexKind::Presence, &[], &mut key);
    let Some(mut postings) = Postings::open(view.reader(), &key)? else { return Ok(Vec::new()) };
    let mut rules = Vec::new();
    let mut read = 0;
    while let Some(top) = postings.next()?
        && read < RULE_HOLDERS_MAX
    {
        read += 1;
        let Some(entry) = view.entry(top)? else { continue };
        let Some(slice) = entry.attribute(attribute) else { continue };
        for value in view.values(&entry, &slice)? {
            // A rule that the schema no longer allows says nothing.
            rules.extend(UniqueRule::parse(schema, top, &value).ok());
        }
    }
    Ok(rules)
}

/// Whose values the entry has too, against a rule: texts as `replUniqueViolation` shows them.
///
/// # Errors
/// [`SearchError::Dit`].
pub fn unique_violations(view: View<'_>, entry: &Entry<'_>) -> Result<Vec<String>, SearchError> {
    let catalog = view.catalog();
    let schema = catalog.schema();
    let mut texts = Vec::new();
    for rule in unique_rules(view)? {
        if !view.is_within(entry.id, rule.top)? || !rule.is_about_entry(view, entry)? {
            continue;
        }
        for slice in entry.record.attributes() {
            let Some(own) = catalog.attribute(slice.id).and_then(|info| info.attribute_type) else { continue };
            if !rule.is_about(schema, own) {
                continue;
            }
            for value in view.values(entry, &slice)? {
                for key in rule.keys(view, own, &value) {
                    for other in rule.holders(view, &key, Some(entry.id), usize::MAX)? {
                        texts.push(clash(view, entry, other, own, &value)?);
                    }
                }
            }
        }
    }
    texts.sort_unstable();
    texts.dedup();
    Ok(texts)
}

/// Entries with an id above `after` that share a value against a rule, rising, at most `entries_max`.
/// Cost: the index of each attribute with a rule is read.
///
/// # Errors
/// [`SearchError::Dit`].
pub fn unique_clashes(view: View<'_>, after: EntryId, entries_max: usize) -> Result<Vec<EntryId>, SearchError> {
    let mut found = BTreeSet::new();
    for rule in unique_rules(view)? {
        for base in rule.types.iter().flat_map(|index| bases(view, *index)).collect::<Vec<_>>() {
            let mut within = Vec::with_capacity(8);
            index_key(base, IndexKind::Equality, &[], &mut within);
            let is_form = view.catalog().attribute(base).is_some_and(|info| info.encrypted);
            let mut cursor = IndexCursor::seek(view.reader(), &within, EntryId::NONE)?;
            let mut last: Vec<u8> = Vec::new();
            let mut read = 0;
            while let Some((key, _)) = cursor.next()?.filter(|(key, _)| key.starts_with(&within)) {
                read += 1;
                if read > KEYS_MAX {
                    break;
                }
                if rule.types.len() == 1 && last != key {
                    // The first of a key; a second one makes it worth a look.
                    last = key.to_vec();
                    continue;
                }
                let mut holders = BTreeSet::new();
                let normal = key.get(within.len()..).unwrap_or_default();
                for other in rule.types.iter().flat_map(|index| bases(view, *index)) {
                    let mut place = Vec::with_capacity(key.len());
                    // Of an encrypted attribute the index has a form already, the same for all of them.
                    if is_form {
                        index_key(other, IndexKind::Equality, normal, &mut place);
                    } else {
                        view.catalog().equality_key(other, normal, &mut place);
                    }
                    holders.extend(rule.holders(view, &place, None, entries_max)?);
                }
                if holders.len() > 1 {
                    found.extend(holders.into_iter().filter(|id| *id > after));
                }
                let key = key.to_vec();
                cursor.pass_key(&key)?;
                last = key;
            }
        }
    }
    Ok(found.into_iter().take(entries_max).collect())
}

/// Who has claimed the value first says which of the two is to be gone by.
fn clash(
    view: View<'_>,
    entry: &Entry<'_>,
    other: EntryId,
    own: AttributeTypeIndex,
    value: &[u8],
) -> Result<String, SearchError> {
    let schema = view.catalog().schema();
    let name = schema.attribute_type_at(own).name();
    let mine = claim(view, entry.id, own, value)?;
    let theirs = claim(view, other, own, value)?;
    let uuid = view.entry(other)?.map_or(EntryUuid::NIL, |other| other.record.uuid());
    let side = if theirs < mine { "winner" } else { "loser" };
    Ok(format!("unique attribute={name} {side}={uuid}"))
}

/// The change by which an entry has a value.
fn claim(view: View<'_>, id: EntryId, own: AttributeTypeIndex, value: &[u8]) -> Result<Stamp, SearchError> {
    let schema = view.catalog().schema();
    let Some(state) = view.state_of(id)? else { return Ok(Stamp::NONE) };
    let normal = |text: &[u8]| {
        let mut key = Vec::with_capacity(text.len());
        keys_of_value(schema, schema.attribute_type_at(own), text, &mut key).map(|()| key)
    };
    let wanted = normal(value);
    let stamps = state.attributes.values().flat_map(|held| held.cells.values()).filter(|cell| cell.present);
    let claimed = stamps
        .filter(|cell| match &cell.value {
            CellValue::Text(text) => normal(text) == wanted,
            CellValue::Link(_) => false,
        })
        .map(|cell| cell.stamp)
        .min();
    Ok(claimed.unwrap_or_else(|| named_at(&state)))
}

/// A value that no cell says is said by the name.
fn named_at(state: &EntryState) -> Stamp {
    state.rdn.0
}
