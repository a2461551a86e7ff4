//! All policies of the tree, read once and kept until a commit touches rules or names.

use crate::dit::{Dit, Entry, View};
use crate::model::{Assertion, AttributeDescription, Dn, Filter};
use crate::operation::lookup;
use crate::operation::outcome::Outcome;
use crate::policy::password_policy::PasswordPolicy;
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
    /// At and below which entries a policy is in force where an entry names none.
    areas: HashMap<EntryId, Arc<PasswordPolicy>>,
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
        self.0.store(Some(Arc::clone(&book)));
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
            book.policies.insert(entry.id, Arc::clone(&policy));
            let Some(specification) = value_of("subtreeSpecification") else { continue };
            let superior = view.superior(&entry);
            match area_of(view, superior, &specification)? {
                Some(area) => {
                    book.areas.entry(area).or_insert(policy);
                }
                None => {
                    let dn = view.dn_text(entry.id)?.unwrap_or_default();
                    tracing::warn!(%dn, "the subtreeSpecification of a password policy is not understood; use {{}}");
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
        if self.policies.is_empty() {
            return Ok(None);
        }
        if let Ok(description) = AttributeDescription::parse("pwdPolicySubentry")
            && let Some(slice) = view.catalog().find(&description).and_then(|id| entry.record.attribute(id))
        {
            let texts: Vec<Vec<u8>> = slice.values().map(<[u8]>::to_vec).collect();
            for text in texts {
                let named = Dn::parse_bytes(&text).ok().map(|dn| view.resolve(&dn)).transpose()?;
                if let Some(policy) = named.and_then(|found| self.policies.get(&found.entry?)) {
                    return Ok(Some(Arc::clone(policy)));
                }
            }
        }
        if let Some(policy) = self.areas.get(&entry.id) {
            return Ok(Some(Arc::clone(policy)));
        }
        self.policy_below(view, view.superior(entry))
    }

    /// The policy in force below an entry.
    ///
    /// # Errors
    /// Storage.
    pub(in crate::operation) fn policy_below(
        &self,
        view: View<'_>,
        superior: EntryId,
    ) -> Outcome<Option<Arc<PasswordPolicy>>> {
        if self.areas.is_empty() {
            return Ok(None);
        }
        if let Some(policy) = self.areas.get(&superior) {
            return Ok(Some(Arc::clone(policy)));
        }
        let Some(entry) = view.entry(superior)? else { return Ok(None) };
        let above = view.superiors(&entry)?;
        Ok(above.iter().find_map(|id| self.areas.get(id)).map(Arc::clone))
    }
}

/// The entry at and below which a policy is in force: the administrative point, or what `base` names below it.
fn area_of(view: View<'_>, point: EntryId, specification: &str) -> Outcome<Option<EntryId>> {
    let Some(inner) = specification.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return Ok(None);
    };
    let inner = inner.trim();
    if inner.is_empty() {
        return Ok(Some(point));
    }
    let local = inner.strip_prefix("base").map(str::trim).and_then(|rest| rest.strip_prefix('"'));
    let Some(local) = local.and_then(|rest| rest.strip_suffix('"')).filter(|local| !local.contains('"')) else {
        return Ok(None);
    };
    let above = view.dn_text(point)?.unwrap_or_default();
    let text = if local.is_empty() { above } else { format!("{local},{above}") };
    let Ok(dn) = Dn::parse(&text) else { return Ok(None) };
    Ok(view.resolve(&dn)?.entry)
}
