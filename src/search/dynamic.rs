//! Groups by search: the members of a `groupOfURLs` are what its `memberURL` values find.
//!
//! The search is made with the rights of the server, so that membership does not depend on who asks; whoever may write
//! `memberURL` can therefore find out by it what values entries have, and the default access rules leave that to
//! administrators. A URL names no members at all when it asks for another server, for secrets, for every attribute at
//! once, or for memberships or roles (which would be a circle).
//!
//! Invariant: judging an entry by a URL never asks for memberships again, so it ends.

use super::SearchError;
use super::compile::{CompiledFilter, Subject};
use super::computed::Computed;
use super::evaluate::{AllSearchable, evaluate};
use super::membership::CHAIN_ENTRIES_MAX;
use super::run::{RunOptions, SearchRun, Step};
use crate::dit::{Entry, View};
use crate::model::{Dn, LdapUrl, Scope};
use crate::schema::Schema;
use crate::storage::{EntryId, IndexKind, Postings, index_key};
use hashbrown::HashMap;
use std::cell::RefCell;
use std::sync::Arc;

const MEMBER_URL: &str = "2.16.840.1.113730.3.1.198";
/// Groups by search whose URLs an entry is judged by; those above the first ones have no members for `memberOf`.
const GROUPS_MAX: usize = 1_000;
/// Compiled URLs that a thread remembers.
const REMEMBERED_MAX: usize = 256;
/// Entries looked at for the members of one URL that no index serves.
const LOOKTHROUGH_MAX: u64 = 1_000_000;

/// One `memberURL`, ready to judge.
struct MemberUrl {
    base: Dn,
    scope: Scope,
    filter: Arc<CompiledFilter>,
}

#[derive(Default)]
struct Remembered {
    schema: Option<Arc<Schema>>,
    urls: HashMap<Vec<u8>, Option<Arc<MemberUrl>>>,
}

thread_local! {
    static REMEMBERED: RefCell<Remembered> = RefCell::default();
}

/// Appends the groups by search that `entry` is a member of.
pub(super) fn append_groups_of(view: View<'_>, entry: &Entry<'_>, out: &mut Vec<EntryId>) -> Result<(), SearchError> {
    for group in groups(view)? {
        if let Some(found) = view.entry(group)?
            && has_member(view, &found, entry)?
        {
            out.push(group);
        }
    }
    Ok(())
}

/// Whether some group by search has `entry`.
pub(super) fn is_in_any(view: View<'_>, entry: &Entry<'_>) -> Result<bool, SearchError> {
    for group in groups(view)? {
        if let Some(found) = view.entry(group)?
            && has_member(view, &found, entry)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a URL of `group` finds `entry`.
///
/// # Errors
/// [`SearchError::Dit`].
pub fn has_member(view: View<'_>, group: &Entry<'_>, entry: &Entry<'_>) -> Result<bool, SearchError> {
    for url in urls_of(view, group)? {
        let Some(base) = view.resolve(&url.base)?.entry else { continue };
        let inside = match url.scope {
            Scope::Base => entry.id == base,
            Scope::OneLevel => view.superior(entry) == base,
            Scope::Subtree => view.is_within(entry.id, base)?,
            Scope::Subordinate => entry.id != base && view.is_within(entry.id, base)?,
        };
        if inside && evaluate(&url.filter, view, entry, &AllSearchable)?.is_true() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Appends what the URLs of `group` find.
///
/// # Errors
/// [`SearchError::TooLarge`].
pub(super) fn append_members(view: View<'_>, group: &Entry<'_>, out: &mut Vec<EntryId>) -> Result<(), SearchError> {
    for url in urls_of(view, group)? {
        let Some(base) = view.resolve(&url.base)?.entry else { continue };
        let options =
            RunOptions { manage_dsa_it: true, lookthrough_max: Some(LOOKTHROUGH_MAX), ..RunOptions::new(url.scope) };
        let mut run = SearchRun::new(view, base, Arc::clone(&url.filter), options)?;
        let mut walk = run.walk(view, &AllSearchable)?;
        loop {
            match walk.next()? {
                Step::Entry(entry) => out.push(entry.id),
                Step::Reference(_) | Step::Yield => {}
                Step::Done => break,
                Step::LookthroughExceeded => return Err(too_large()),
            }
            if out.len() > CHAIN_ENTRIES_MAX {
                return Err(too_large());
            }
        }
    }
    Ok(())
}

/// The groups with a `memberURL`, in the order of their creation; of very many the first ones.
///
/// # Errors
/// [`SearchError::Dit`].
pub fn groups(view: View<'_>) -> Result<Vec<EntryId>, SearchError> {
    let catalog = view.catalog();
    let base = catalog.schema().attribute_type(MEMBER_URL).and_then(|found| catalog.base_of(found));
    let Some(base) = base.filter(|base| catalog.attribute(*base).is_some_and(|info| info.indexed.presence)) else {
        return Ok(Vec::new());
    };
    let mut key = Vec::with_capacity(8);
    index_key(base, IndexKind::Presence, &[], &mut key);
    let Some(mut list) = Postings::open(view.reader(), &key)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    while let Some(id) = list.next()?
        && found.len() < GROUPS_MAX
    {
        found.push(id);
    }
    Ok(found)
}

fn urls_of(view: View<'_>, group: &Entry<'_>) -> Result<Vec<Arc<MemberUrl>>, SearchError> {
    let catalog = view.catalog();
    let base = catalog.schema().attribute_type(MEMBER_URL).and_then(|found| catalog.base_of(found));
    let Some(slice) = base.and_then(|base| group.attribute(base)) else { return Ok(Vec::new()) };
    let schema = catalog.schema();
    let mut urls = Vec::new();
    for text in view.values(group, &slice)? {
        urls.extend(REMEMBERED.with_borrow_mut(|remembered| remembered.url(schema, text)));
    }
    Ok(urls)
}

impl Remembered {
    fn url(&mut self, schema: &Arc<Schema>, text: Vec<u8>) -> Option<Arc<MemberUrl>> {
        if !self.schema.as_ref().is_some_and(|known| Arc::ptr_eq(known, schema)) || self.urls.len() >= REMEMBERED_MAX {
            self.urls.clear();
            self.schema = Some(Arc::clone(schema));
        }
        if let Some(known) = self.urls.get(&text) {
            return known.clone();
        }
        let read = MemberUrl::read(schema, &text).map(Arc::new);
        self.urls.insert(text, read.clone());
        read
    }
}

impl MemberUrl {
    fn read(schema: &Schema, text: &[u8]) -> Option<Self> {
        let url = LdapUrl::parse(std::str::from_utf8(text).ok()?).ok()?;
        if url.host.is_some() || url.extensions.iter().any(|extension| extension.critical) {
            return None;
        }
        let filter = match &url.filter {
            Some(filter) => CompiledFilter::compile(schema, filter),
            None => CompiledFilter::everything(),
        };
        let allowed = filter.attribute_types().iter().all(|index| {
            let asked = schema.attribute_type_at(*index);
            let leads_back = |computed: Computed| computed.is_membership() || computed == Computed::NsRole;
            !asked.is_secret() && !asked.is_sealed() && !Computed::of(asked).is_some_and(leads_back)
        });
        let fitting = filter.root.any_leaf(&|leaf| matches!(leaf.subject, Subject::Fitting(_)));
        (allowed && !fitting).then(|| Self {
            base: url.dn,
            scope: url.scope.unwrap_or(Scope::Base),
            filter: Arc::new(filter),
        })
    }
}

fn too_large() -> SearchError {
    SearchError::TooLarge { what: "members", limit: CHAIN_ENTRIES_MAX }
}
