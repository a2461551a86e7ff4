//! All policies of the tree, read once and kept until a commit touches rules or names.

use crate::dit::{Dit, Entry, View};
use crate::model::{Assertion, Attribute, AttributeDescription, Dn, Filter};
use crate::operation::lookup;
use crate::operation::outcome::Outcome;
use crate::policy::password_policy::PasswordPolicy;
use crate::search::{Area, SubtreeSpecification};
use crate::storage::EntryId;
use arc_swap::ArcSwapOption;
use hashbrown::HashMap;
use std::borrow::Cow;
use std::sync::Arc;

/// Policies kept; what is beyond is in force nowhere, and the log says so.
const POLICIES_MAX: usize = 1_000;

/// The memory.
#[derive(Default)]
pub(in crate::operation) struct PolicyCache(ArcSwapOption<PolicyBook>);

/// All policies, as of one generation of rules.
#[derive(Default)]
pub(in crate::operation) struct PolicyBook {
    generation: u64,
    policies: HashMap<EntryId, Arc<PasswordPolicy>>,
    /// Where policies are in force for entries that name none, by the entry at which the area begins; of several that begin
    /// at one the oldest first.
    areas: HashMap<EntryId, Vec<(Area, EntryId)>>,
    /// A specification names what is not there: when it comes, nobody tells.
    has_unresolved: bool,
}

impl PolicyCache {
    /// The policies as they are committed. Cost: one load while no rule changes.
    ///
    /// # Errors
    /// Storage.
    pub(in crate::operation) fn book(&self, dit: &Dit) -> Outcome<Arc<PolicyBook>> {
        // Before the tree is read: what is published meanwhile makes the next reader read again.
        let generation = dit.rules_generation();
        if let Some(book) = self.0.load_full().filter(|book| book.generation == generation) {
            return Ok(book);
        }
        let snapshot = dit.read()?;
        let book = Arc::new(PolicyBook::load(snapshot.view(), generation)?);
        if !book.has_unresolved {
            self.0.store(Some(Arc::clone(&book)));
        }
        Ok(book)
    }
}

impl PolicyBook {
    fn load(view: View<'_>, generation: u64) -> Outcome<Self> {
        let mut book = Self { generation, ..Self::default() };
        let class = Assertion { attribute: Cow::Borrowed("objectClass"), value: Cow::Borrowed(b"pwdPolicy") };
        let found = lookup::find(view, EntryId::NONE, &Filter::Equality(class), POLICIES_MAX)?;
        if found.len() == POLICIES_MAX {
            tracing::warn!(POLICIES_MAX, "there are more password policies than are used");
        }
        for entry in found {
            let value_of = |name: &str| {
                let id = view.catalog().find(&AttributeDescription::parse(name).ok()?)?;
                let slice = entry.attribute(id)?;
                slice.values().next().map(|value| String::from_utf8_lossy(value).into_owned())
            };
            let policy = Arc::new(PasswordPolicy::read(value_of));
            book.policies.insert(entry.id, policy);
            let Some(specification) = value_of("subtreeSpecification") else { continue };
            match SubtreeSpecification::parse(&specification) {
                Ok(specification) => match specification.resolve(view, view.superior(&entry))? {
                    Some(area) => {
                        book.has_unresolved |= !area.is_resolved();
                        book.areas.entry(area.base()).or_default().push((area, entry.id));
                    }
                    None => book.has_unresolved = true,
                },
                Err(error) => {
                    let dn = view.dn_text(entry.id)?.unwrap_or_default();
                    tracing::warn!(%dn, %error, "the subtreeSpecification of a password policy is not understood");
                }
            }
        }
        Ok(book)
    }

    /// The policy in force for an entry. Cost: none where there are no policies; else its superiors.
    ///
    /// # Errors
    /// Storage.
    pub(in crate::operation) fn policy_of(
        &self,
        view: View<'_>,
        entry: &Entry<'_>,
    ) -> Outcome<Option<Arc<PasswordPolicy>>> {
        let subentry = self.subentry_of(view, entry)?;
        Ok(subentry.and_then(|id| self.policies.get(&id)).cloned())
    }

    /// The entry of the policy in force for an entry. Cost: as [`PolicyBook::policy_of`].
    ///
    /// # Errors
    /// Storage.
    pub(in crate::operation) fn subentry_of(&self, view: View<'_>, entry: &Entry<'_>) -> Outcome<Option<EntryId>> {
        if self.policies.is_empty() {
            return Ok(None);
        }
        if let Ok(description) = AttributeDescription::parse("pwdPolicySubentry")
            && let Some(slice) = view.catalog().find(&description).and_then(|id| entry.record.attribute(id))
        {
            let texts: Vec<Vec<u8>> = slice.values().map(<[u8]>::to_vec).collect();
            for text in texts {
                let named = Dn::parse_bytes(&text).ok().map(|dn| view.resolve(&dn)).transpose()?;
                if let Some(id) = named.and_then(|found| found.entry).filter(|id| self.policies.contains_key(id)) {
                    return Ok(Some(id));
                }
            }
        }
        if self.areas.is_empty() {
            return Ok(None);
        }
        let above = view.superiors(entry)?;
        for (area, id) in self.areas_of(std::iter::once(&entry.id).chain(&above)) {
            if area.has(view, entry, &above)? {
                return Ok(Some(*id));
            }
        }
        Ok(None)
    }

    /// The policy that will be in force for an entry with these attributes below `superior`.
    ///
    /// # Errors
    /// Storage.
    pub(in crate::operation) fn policy_of_new(
        &self,
        view: View<'_>,
        superior: EntryId,
        attributes: &[Attribute],
    ) -> Outcome<Option<Arc<PasswordPolicy>>> {
        if self.areas.is_empty() {
            return Ok(None);
        }
        let Some(entry) = view.entry(superior)? else { return Ok(None) };
        let mut above = vec![superior];
        above.extend(view.superiors(&entry)?);
        let schema = view.catalog().schema();
        let found = self.areas_of(above.iter()).find(|(area, _)| area.will_have(schema, attributes, &above));
        Ok(found.and_then(|(_, id)| self.policies.get(id)).cloned())
    }

    /// The areas that begin at these entries, in their order.
    fn areas_of<'s>(&'s self, entries: impl Iterator<Item = &'s EntryId>) -> impl Iterator<Item = &'s (Area, EntryId)> {
        entries.filter_map(|id| self.areas.get(id)).flatten()
    }
}
