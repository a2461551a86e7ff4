//! What access rules ask about entries and about the requester, fetched from a view.

use super::{Access, Decided};
use crate::dit::{Entry, View};
use crate::model::{Attribute, AttributeDescription, Dn, EntryUuid, Filter};
use crate::policy::access::{EntryFacts, RequesterFacts};
use crate::schema::AttributeType;
use crate::search::{AllSearchable, CompiledFilter, Truth, computed_values, evaluate, evaluate_attributes};
use crate::storage::EntryId;
use std::borrow::Cow;
use std::sync::atomic::Ordering;

/// The requester.
pub(super) struct OwnFacts<'a> {
    pub(super) decided: &'a Decided,
    pub(super) view: View<'a>,
}

impl RequesterFacts for OwnFacts<'_> {
    fn is_member(&self, group_dn_key: &[u8]) -> bool {
        self.decided.memberships.groups.contains(group_dn_key)
    }

    fn has_role(&self, role_dn_key: &[u8]) -> bool {
        self.decided.memberships.roles.contains(role_dn_key)
    }

    fn requester_matches(&self, filter: &Filter<'_>) -> Option<bool> {
        // The requester's own entry may change without a new generation of rules.
        self.decided.is_momentary.store(true, Ordering::Relaxed);
        let id = self.view.by_uuid(self.decided.requester.entry_uuid()?).ok()??;
        let entry = self.view.entry(id).ok()??;
        let filter = CompiledFilter::compile(self.view.catalog().schema(), filter);
        known(evaluate(&filter, self.view, &entry, &AllSearchable).ok()?)
    }
}

fn known(truth: Truth) -> Option<bool> {
    match truth {
        Truth::True => Some(true),
        Truth::False => Some(false),
        Truth::Undefined => None,
    }
}

/// An entry of the tree.
pub(super) struct TreeEntry<'a> {
    pub(super) access: &'a Access<'a>,
    pub(super) view: View<'a>,
    pub(super) entry: Entry<'a>,
}

impl EntryFacts for TreeEntry<'_> {
    fn uuid(&self) -> Option<EntryUuid> {
        Some(self.entry.record.uuid())
    }

    fn superior_uuid(&self) -> Option<EntryUuid> {
        uuid_of(self.view, self.view.superior(&self.entry))
    }

    fn dn_key(&self) -> Cow<'_, [u8]> {
        let dn = Dn::parse(&self.dn()).unwrap_or_default();
        Cow::Owned(self.view.catalog().schema().dn_key(&dn))
    }

    fn dn(&self) -> Cow<'_, str> {
        let mut text = Vec::with_capacity(96);
        if let Err(error) = self.view.write_dn(&self.entry, &mut text) {
            tracing::error!(%error, "the name of an entry cannot be composed");
        }
        Cow::Owned(String::from_utf8_lossy(&text).into_owned())
    }

    fn matches(&self, filter: &Filter<'_>) -> Option<bool> {
        let filter = self.access.rule_filter(filter);
        known(evaluate(&filter, self.view, &self.entry, &AllSearchable).ok()?)
    }

    fn matches_once(&self, filter: &Filter<'_>) -> Option<bool> {
        let filter = CompiledFilter::compile(self.view.catalog().schema(), filter);
        known(evaluate(&filter, self.view, &self.entry, &AllSearchable).ok()?)
    }

    fn values(&self, level: u8, attribute: &AttributeType, see: &mut dyn FnMut(&[u8])) {
        values_above(self.view, Some(self.entry), level, attribute, see);
    }
}

/// An entry about to be added, or as it will be after a move.
pub(super) struct ProspectiveEntry<'a> {
    pub(super) access: &'a Access<'a>,
    pub(super) view: View<'a>,
    pub(super) dn: &'a Dn,
    pub(super) superior: EntryId,
    pub(super) attributes: &'a [Attribute],
}

impl ProspectiveEntry<'_> {
    /// The attributes as they are given, and the name by which a filter may ask where the entry will be (entryDN, RFC 5020).
    fn with_name(&self) -> Vec<Attribute> {
        let mut attributes = self.attributes.to_vec();
        if let Ok(description) = AttributeDescription::parse("entryDN") {
            attributes.retain(|given| !given.description.is_same(&description));
            attributes.push(Attribute { description, values: vec![self.dn.to_string().into_bytes()] });
        }
        attributes
    }
}

impl EntryFacts for ProspectiveEntry<'_> {
    fn uuid(&self) -> Option<EntryUuid> {
        None
    }

    fn superior_uuid(&self) -> Option<EntryUuid> {
        uuid_of(self.view, self.superior)
    }

    fn dn_key(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.view.catalog().schema().dn_key(self.dn))
    }

    fn dn(&self) -> Cow<'_, str> {
        Cow::Owned(self.dn.to_string())
    }

    fn rdn_count(&self) -> usize {
        self.dn.rdns().len()
    }

    fn matches(&self, filter: &Filter<'_>) -> Option<bool> {
        let filter = self.access.rule_filter(filter);
        known(evaluate_attributes(&filter, self.view.catalog().schema(), &self.with_name()))
    }

    fn matches_once(&self, filter: &Filter<'_>) -> Option<bool> {
        let schema = self.view.catalog().schema();
        known(evaluate_attributes(&CompiledFilter::compile(schema, filter), schema, &self.with_name()))
    }

    fn values(&self, level: u8, attribute: &AttributeType, see: &mut dyn FnMut(&[u8])) {
        let Some(above) = level.checked_sub(1) else {
            let schema = self.view.catalog().schema();
            for given in self.attributes {
                let found = schema.attribute_type(given.description.name());
                if found.is_some_and(|found| attribute.subtypes.contains(&found.index)) {
                    given.values.iter().for_each(|value| see(value));
                }
            }
            return;
        };
        let superior = self.view.entry(self.superior).ok().flatten();
        values_above(self.view, superior, above, attribute, see);
    }
}

fn uuid_of(view: View<'_>, id: EntryId) -> Option<EntryUuid> {
    view.entry(id).ok()?.map(|entry| entry.record.uuid())
}

fn values_above<'v>(
    view: View<'v>,
    mut entry: Option<Entry<'v>>,
    level: u8,
    attribute: &AttributeType,
    see: &mut dyn FnMut(&[u8]),
) {
    for _ in 0..level {
        entry = entry.and_then(|below| view.entry(view.superior(&below)).ok().flatten());
    }
    let Some(entry) = entry else { return };
    if let Ok(Some(values)) = computed_values(view, &entry, attribute.index) {
        values.iter().for_each(|value| see(value));
        return;
    }
    for id in view.catalog().of_type(attribute.index) {
        let values = entry.attribute(*id).map(|slice| view.values(&entry, &slice));
        if let Some(Ok(values)) = values {
            values.iter().for_each(|value| see(value));
        }
    }
}
