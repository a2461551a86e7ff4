//! Roles as 389 Directory Server and its relatives have them: what an entry's `nsRole` names.
//!
//! An entry has a managed role (`nsManagedRoleDefinition`) that its own `nsRoleDN` names, a filtered one
//! (`nsFilteredRoleDefinition`) whose `nsRoleFilter` it matches, and a nested one (`nsNestedRoleDefinition`) when it has a
//! role that this one's `nsRoleDN` names. Each role, those that others name included, is for the entries at and below its
//! superior, and for those at and below what `nsRoleScopeDN` names. Nothing is stored with who has a role.
//!
//! Filters are judged with the rights of the server, like those of groups by search (`dynamic`), and may not name secrets,
//! every attribute at once, or `nsRole` itself: such a role nobody has.
//!
//! Invariants
//! - Walks from role to role end: each is visited once, and only so many of them.
//! - Judging a filter of a role asks for memberships at most, which ask for no role.

use super::SearchError;
use super::compile::{CompiledFilter, OBJECT_CLASS, Subject};
use super::computed::Computed;
use super::evaluate::{AllSearchable, evaluate};
use super::membership::{append_list, link_index_key, list_has, text_index_key};
use crate::dit::{Entry, View};
use crate::model::{Dn, EntryUuid, Filter};
use crate::schema::Schema;
use crate::state::AttributeId;
use crate::storage::{EntryId, IndexKind, VALUE_SPILLED, index_key};
use hashbrown::{HashMap, HashSet};
use std::cell::RefCell;
use std::sync::Arc;

const ROLE_DN: &str = "2.16.840.1.113730.3.1.575";
const ROLE_FILTER: &str = "2.16.840.1.113730.3.1.576";
const ROLE_SCOPE_DN: &str = "2.16.840.1.113730.3.1.1101";
const MANAGED: &str = "nsManagedRoleDefinition";
const FILTERED: &str = "nsFilteredRoleDefinition";
const NESTED: &str = "nsNestedRoleDefinition";
/// Filtered and nested roles that an entry is judged by, of each kind the first ones; and roles that one role leads to.
const ROLES_MAX: usize = 1_000;
/// Compiled filters that a thread remembers.
const REMEMBERED_MAX: usize = 256;

/// What makes an entry have a role.
pub(super) enum Role {
    /// Its `nsRoleDN`.
    Managed,
    /// A filter; `None`: one that nobody fits.
    Filtered(Option<Arc<CompiledFilter>>),
    /// Having one of these.
    Nested(Vec<EntryId>),
}

#[derive(Default)]
struct Remembered {
    schema: Option<Arc<Schema>>,
    filters: HashMap<Vec<u8>, Option<Arc<CompiledFilter>>>,
}

thread_local! {
    static REMEMBERED: RefCell<Remembered> = RefCell::default();
}

impl Role {
    /// What the entry defines; `None` when it is no role.
    pub(super) fn defined_by(view: View<'_>, role: &Entry<'_>) -> Result<Option<Self>, SearchError> {
        let catalog = view.catalog();
        let Some(slice) = base_of(view, OBJECT_CLASS).and_then(|classes| role.attribute(classes)) else {
            return Ok(None);
        };
        let is = |class: &str| slice.values().any(|value| value.eq_ignore_ascii_case(class.as_bytes()));
        if is(MANAGED) {
            return Ok(Some(Self::Managed));
        }
        if is(FILTERED) {
            let Some(slice) = base_of(view, ROLE_FILTER).and_then(|filter| role.attribute(filter)) else {
                return Ok(Some(Self::Filtered(None)));
            };
            let text = view.values(role, &slice)?.into_iter().next().unwrap_or_default();
            let filter = REMEMBERED.with_borrow_mut(|remembered| remembered.filter(catalog.schema(), text));
            return Ok(Some(Self::Filtered(filter)));
        }
        if is(NESTED) {
            return Ok(Some(Self::Nested(named_by(view, role, ROLE_DN)?)));
        }
        Ok(None)
    }
}

impl Remembered {
    fn filter(&mut self, schema: &Arc<Schema>, text: Vec<u8>) -> Option<Arc<CompiledFilter>> {
        if !self.schema.as_ref().is_some_and(|known| Arc::ptr_eq(known, schema)) || self.filters.len() >= REMEMBERED_MAX
        {
            self.filters.clear();
            self.schema = Some(Arc::clone(schema));
        }
        if let Some(known) = self.filters.get(&text) {
            return known.clone();
        }
        let read = compiled(schema, &text).map(Arc::new);
        self.filters.insert(text, read.clone());
        read
    }
}

fn compiled(schema: &Schema, text: &[u8]) -> Option<CompiledFilter> {
    let filter = Filter::parse(std::str::from_utf8(text).ok()?.trim()).ok()?;
    let filter = CompiledFilter::compile(schema, &filter);
    let allowed = filter.attribute_types().iter().all(|index| {
        let asked = schema.attribute_type_at(*index);
        !asked.is_secret() && !asked.is_sealed() && Computed::of(asked) != Some(Computed::NsRole)
    });
    let fitting = filter.root.any_leaf(&|leaf| matches!(leaf.subject, Subject::Fitting(_)));
    (allowed && !fitting).then_some(filter)
}

fn base_of(view: View<'_>, oid: &str) -> Option<AttributeId> {
    let catalog = view.catalog();
    catalog.base_of(catalog.schema().attribute_type(oid)?)
}

/// The entries that the values of an attribute name.
fn named_by(view: View<'_>, entry: &Entry<'_>, oid: &str) -> Result<Vec<EntryId>, SearchError> {
    let Some(slice) = base_of(view, oid).and_then(|attribute| entry.attribute(attribute)) else {
        return Ok(Vec::new());
    };
    let mut named = Vec::new();
    for value in view.values(entry, &slice)? {
        if let Ok(dn) = Dn::parse_bytes(&value) {
            named.extend(view.resolve(&dn)?.entry);
        }
    }
    Ok(named)
}

/// Whether the role is for the entry.
fn is_in_scope(view: View<'_>, role: &Entry<'_>, entry: &Entry<'_>) -> Result<bool, SearchError> {
    let superior = view.superior(role);
    if superior != EntryId::NONE && view.is_within(entry.id, superior)? {
        return Ok(true);
    }
    for top in named_by(view, role, ROLE_SCOPE_DN)? {
        if view.is_within(entry.id, top)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the entry's own `nsRoleDN` names the role.
fn names_role(view: View<'_>, entry: &Entry<'_>, role: &Entry<'_>) -> Result<bool, SearchError> {
    let Some(attribute) = base_of(view, ROLE_DN) else { return Ok(false) };
    let Some(slice) = entry.attribute(attribute) else { return Ok(false) };
    let uuid = role.record.uuid();
    if slice.flags & VALUE_SPILLED == 0 {
        let (targets, _) = slice.targets.as_chunks::<16>();
        if targets.contains(&uuid.0) {
            return Ok(true);
        }
        if !targets.contains(&EntryUuid::NIL.0) {
            return Ok(false);
        }
    } else if list_has(view.reader(), &link_index_key(attribute, uuid), entry.id)? {
        return Ok(true);
    }
    Ok(named_by(view, entry, ROLE_DN)?.contains(&role.id))
}

fn matches(view: View<'_>, filter: Option<&CompiledFilter>, entry: &Entry<'_>) -> Result<bool, SearchError> {
    match filter {
        Some(filter) => Ok(evaluate(filter, view, entry, &AllSearchable)?.is_true()),
        None => Ok(false),
    }
}

/// Whether any of the roles that `role` leads to, itself first, is `wanted`; nested ones that are not lead further.
fn leads_to(
    view: View<'_>,
    role: EntryId,
    mut wanted: impl FnMut(&Entry<'_>, &Role) -> Result<Step, SearchError>,
) -> Result<bool, SearchError> {
    let mut visited = HashSet::new();
    let mut queue = vec![role];
    while let Some(at) = queue.pop() {
        if !visited.insert(at) {
            continue;
        }
        check_count(visited.len())?;
        let Some(role) = view.entry(at)? else { continue };
        let Some(definition) = Role::defined_by(view, &role)? else { continue };
        match (wanted(&role, &definition)?, definition) {
            (Step::Found, _) => return Ok(true),
            (Step::Further, Role::Nested(named)) => queue.extend(named),
            (Step::Further | Step::Aside, _) => {}
        }
    }
    Ok(false)
}

/// What a walk from role to role does at one of them.
enum Step {
    Found,
    /// To those that it names.
    Further,
    /// Those that it names are no matter.
    Aside,
}

/// Whether `entry` has the role, directly or through others.
///
/// # Errors
/// [`SearchError::TooLarge`]: the role leads to too many others. [`SearchError::Dit`].
pub fn has_role(view: View<'_>, entry: &Entry<'_>, role: EntryId) -> Result<bool, SearchError> {
    leads_to(view, role, |role, definition| {
        if !is_in_scope(view, role, entry)? {
            return Ok(Step::Aside);
        }
        let has = match definition {
            Role::Managed => names_role(view, entry, role)?,
            Role::Filtered(filter) => matches(view, filter.as_deref(), entry)?,
            Role::Nested(_) => false,
        };
        Ok(if has { Step::Found } else { Step::Further })
    })
}

/// Whether having the role depends on filters, which look at any attribute.
///
/// # Errors
/// As [`has_role`].
pub fn is_role_by_filter(view: View<'_>, role: EntryId) -> Result<bool, SearchError> {
    leads_to(view, role, |_, definition| {
        Ok(if matches!(definition, Role::Filtered(_)) { Step::Found } else { Step::Further })
    })
}

/// All roles that `entry` has, in ascending order. Cost: a look-up for each value of its `nsRoleDN`, a judgement for each
/// filtered role, and a look at each nested one for each step that they lead further.
///
/// # Errors
/// [`SearchError::Dit`].
pub fn roles_of(view: View<'_>, entry: &Entry<'_>) -> Result<Vec<EntryId>, SearchError> {
    let mut found = HashSet::new();
    for id in named_by(view, entry, ROLE_DN)? {
        let Some(role) = view.entry(id)? else { continue };
        if matches!(Role::defined_by(view, &role)?, Some(Role::Managed)) && is_in_scope(view, &role, entry)? {
            found.insert(id);
        }
    }
    for id in definitions(view, FILTERED)? {
        let Some(role) = view.entry(id)? else { continue };
        if let Some(Role::Filtered(filter)) = Role::defined_by(view, &role)?
            && is_in_scope(view, &role, entry)?
            && matches(view, filter.as_deref(), entry)?
        {
            found.insert(id);
        }
    }
    let mut nested = Vec::new();
    for id in definitions(view, NESTED)? {
        let Some(role) = view.entry(id)? else { continue };
        if let Some(Role::Nested(named)) = Role::defined_by(view, &role)?
            && is_in_scope(view, &role, entry)?
        {
            nested.push((id, named));
        }
    }
    while !nested.is_empty() {
        let before = nested.len();
        nested.retain(|(id, named)| {
            let has = named.iter().any(|named| found.contains(named));
            if has {
                found.insert(*id);
            }
            !has
        });
        if nested.len() == before {
            break;
        }
    }
    let mut found: Vec<EntryId> = found.into_iter().collect();
    found.sort_unstable();
    Ok(found)
}

/// The entries that define a role of this class, in the order of their creation.
pub(super) fn definitions(view: View<'_>, class: &str) -> Result<Vec<EntryId>, SearchError> {
    let catalog = view.catalog();
    let Some(known) = catalog.schema().attribute_type(OBJECT_CLASS) else { return Ok(Vec::new()) };
    let Some(base) = catalog.base_of(known) else { return Ok(Vec::new()) };
    let mut normal = Vec::with_capacity(class.len());
    let keyed = known.equality.is_some_and(|rule| rule.key(catalog.schema(), class.as_bytes(), &mut normal).is_ok());
    if !keyed || !catalog.attribute(base).is_some_and(|info| info.indexed.equality) {
        return Ok(Vec::new());
    }
    let mut key = Vec::with_capacity(normal.len() + 8);
    index_key(base, IndexKind::Equality, &normal, &mut key);
    let mut found = Vec::new();
    append_list(view.reader(), &key, &mut found)?;
    found.truncate(ROLES_MAX);
    Ok(found)
}

/// The filtered roles there are.
pub(super) fn filtered(view: View<'_>) -> Result<Vec<EntryId>, SearchError> {
    definitions(view, FILTERED)
}

/// Where the index has the entries whose `nsRoleDN` names the role, by link and as text; and where it has all that name any.
pub(super) fn managed_keys(view: View<'_>, role: &Entry<'_>) -> Result<Option<Vec<Vec<u8>>>, SearchError> {
    let Some(attribute) = base_of(view, ROLE_DN) else { return Ok(Some(Vec::new())) };
    if !view.catalog().attribute(attribute).is_some_and(|info| info.indexed.equality) {
        return Ok(None);
    }
    let mut keys = vec![link_index_key(attribute, role.record.uuid())];
    keys.extend(text_index_key(view, attribute, role)?);
    Ok(Some(keys))
}

/// The attribute that names managed roles, where entries have it.
pub(super) fn role_dn(view: View<'_>) -> Option<AttributeId> {
    base_of(view, ROLE_DN)
}

fn check_count(count: usize) -> Result<(), SearchError> {
    if count > ROLES_MAX {
        return Err(SearchError::TooLarge { what: "nested roles", limit: ROLES_MAX });
    }
    Ok(())
}
