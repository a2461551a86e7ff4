//! Groups by search: the members of a `groupOfURLs` are what its `memberURL` values find.
//!
//! The search is made with the rights of the server, so that membership does not depend on who asks; whoever may write
//! `memberURL` can therefore find out by it what values entries have, and the default access rules leave that to
//! administrators. A URL names no members at all when it asks for another server, for secrets, for every attribute at
//! once, or for memberships or roles (which would be a circle).
//!
//! To clients such members are values of `member` beside those that are stored ([`searched_members`]), without those of which
//! they may not know. What goes to copies, into files and to other members of the cluster is what is stored.
//!
//! Invariant: judging an entry by a URL never asks for memberships again, nor for members that a search finds, so it ends.

use super::SearchError;
use super::compile::{CompiledFilter, Subject};
use super::computed::Computed;
use super::evaluate::AttributeGate;
use super::evaluate::{AllSearchable, evaluate};
use super::membership::{CHAIN_ENTRIES_MAX, MEMBER};
use super::run::{RunOptions, SearchRun, Step};
use crate::dit::{Catalog, Entry, View};
use crate::model::{Dn, LdapUrl, Scope};
use crate::schema::Schema;
use crate::state::AttributeId;
use crate::storage::{EntryId, IndexKind, Postings, index_key};
use hashbrown::{HashMap, HashSet};
use std::cell::RefCell;
use std::sync::Arc;

const MEMBER_URL: &str = "2.16.840.1.113730.3.1.198";
/// Groups by search whose URLs an entry is judged by; those above the first ones have no members for `memberOf`.
const GROUPS_MAX: usize = 1_000;
/// Compiled URLs that a thread remembers.
const REMEMBERED_MAX: usize = 256;
/// Entries looked at for the members of one URL that no index serves.
const LOOKTHROUGH_MAX: u64 = 1_000_000;
/// Members of one group that are shown as its values, and entries looked at for them where no index serves: it happens at one
/// go, some 0.1 s of a core.
const SHOWN_MAX: usize = 100_000;

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
    let too_large = || SearchError::TooLarge { what: "members", limit: CHAIN_ENTRIES_MAX };
    let is_whole = each_member(view, group, LOOKTHROUGH_MAX, &mut |member| {
        out.push(member.id);
        Ok(out.len() <= CHAIN_ENTRIES_MAX)
    })?;
    if is_whole { Ok(()) } else { Err(too_large()) }
}

/// Shows what the URLs of `group` find, one by one (an entry that two URLs find twice) until `see` has enough; whether it was
/// all of them.
fn each_member<'v>(
    view: View<'v>,
    group: &Entry<'_>,
    lookthrough_max: u64,
    see: &mut dyn FnMut(&Entry<'v>) -> Result<bool, SearchError>,
) -> Result<bool, SearchError> {
    let mut left = lookthrough_max;
    for url in urls_of(view, group)? {
        let Some(base) = view.resolve(&url.base)?.entry else { continue };
        let options = RunOptions { manage_dsa_it: true, lookthrough_max: Some(left), ..RunOptions::new(url.scope) };
        let mut run = SearchRun::new(view, base, Arc::clone(&url.filter), options)?;
        let mut walk = run.walk(view, &AllSearchable)?;
        loop {
            match walk.next()? {
                Step::Entry(entry) => {
                    if !see(&entry)? {
                        return Ok(false);
                    }
                }
                Step::Reference(_) | Step::Yield => {}
                Step::Done => break,
                Step::LookthroughExceeded => return Ok(false),
            }
        }
        drop(walk);
        left = left.saturating_sub(run.examined());
    }
    Ok(true)
}

/// Whether the URLs of `group` find somebody of whom `gate` knows.
///
/// # Errors
/// [`SearchError::GroupTooLarge`].
pub(super) fn has_any(view: View<'_>, group: &Entry<'_>, gate: &dyn AttributeGate) -> Result<bool, SearchError> {
    let mut found = false;
    let is_whole = each_member(view, group, SHOWN_MAX as u64, &mut |member| {
        found = gate.unrestricted() || gate.knows(member);
        Ok(!found)
    })?;
    if found || is_whole { Ok(found) } else { Err(group_too_large(SHOWN_MAX, view, group)?) }
}

/// The names of those whom the URLs of `group` find, of whom `gate` knows, and who are no stored values of its `member`.
/// Empty, for a look at the record, where the entry is no group by search.
///
/// # Errors
/// [`SearchError::GroupTooLarge`].
pub fn searched_members(
    view: View<'_>,
    group: &Entry<'_>,
    gate: &dyn AttributeGate,
) -> Result<Vec<Vec<u8>>, SearchError> {
    searched_members_up_to(SHOWN_MAX, view, group, gate)
}

/// [`searched_members`] with another limit.
pub(super) fn searched_members_up_to(
    limit: usize,
    view: View<'_>,
    group: &Entry<'_>,
    gate: &dyn AttributeGate,
) -> Result<Vec<Vec<u8>>, SearchError> {
    if !is_group(view, group) {
        return Ok(Vec::new());
    }
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    let is_whole = each_member(view, group, limit as u64, &mut |member| {
        if (gate.unrestricted() || gate.knows(member)) && seen.insert(member.id) {
            found.push(member.id);
        }
        Ok(seen.len() <= limit)
    })?;
    if !is_whole {
        return Err(group_too_large(limit, view, group)?);
    }
    let catalog = view.catalog();
    let stored = catalog.schema().attribute_type(MEMBER).and_then(|member| catalog.base_of(member));
    if let Some(slice) = stored.and_then(|member| group.attribute(member)) {
        let mut listed = HashSet::new();
        for value in view.values(group, &slice)? {
            if let Ok(dn) = Dn::parse_bytes(&value) {
                listed.extend(view.resolve(&dn)?.entry);
            }
        }
        found.retain(|id| !listed.contains(id));
    }
    let mut names = Vec::with_capacity(found.len());
    for id in found {
        names.extend(view.dn_text(id)?.map(String::into_bytes));
    }
    Ok(names)
}

/// Whether the entry has a `memberURL`.
pub(super) fn is_group(view: View<'_>, entry: &Entry<'_>) -> bool {
    member_url(view.catalog()).is_some_and(|base| entry.attribute(base).is_some())
}

/// `memberURL`, where entries ever had it.
pub fn member_url(catalog: &Catalog) -> Option<AttributeId> {
    catalog.base_of(catalog.schema().attribute_type(MEMBER_URL)?)
}

/// The groups with a `memberURL`, in the order of their creation; of very many the first ones.
///
/// # Errors
/// [`SearchError::Dit`].
pub fn groups(view: View<'_>) -> Result<Vec<EntryId>, SearchError> {
    let is_listed = |base: &AttributeId| view.catalog().attribute(*base).is_some_and(|info| info.indexed.presence);
    let Some(base) = member_url(view.catalog()).filter(is_listed) else { return Ok(Vec::new()) };
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
    let Some(slice) = member_url(view.catalog()).and_then(|base| group.attribute(base)) else { return Ok(Vec::new()) };
    let schema = view.catalog().schema();
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

fn group_too_large(limit: usize, view: View<'_>, group: &Entry<'_>) -> Result<SearchError, SearchError> {
    let group = view.dn_text(group.id)?.unwrap_or_default();
    Ok(SearchError::GroupTooLarge { group, limit })
}
