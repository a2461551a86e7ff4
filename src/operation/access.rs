//! Who may do what here: the tree's access rules, kept compiled, and decisions about its entries.
//!
//! `policy` decides, this module fetches what it decides on. Three memories keep a search from paying for rules:
//! the rules of all entries that hold some, as long as no commit touched rules, names or memberships, and what they come
//! to for one requester, shared by all its connections (`decided`); and within one snapshot the outcome for the superior
//! last seen ([`Access`]): entries below one superior have the same rules unless they hold some themselves.
//!
//! Invariants
//! - What cannot be found out gives no right: a fault while fetching facts denies.
//! - An entry on which the requester has no right at all is answered like an absent one ([`Access::is_visible`]).
//! - Rules come from committed data; a requester whose entry is gone has the rights of an anonymous one.
//! - The root DSE and the subschema are outside the rules.
//!
//! Times in rules (`timeofday`, `dayofweek`) are UTC.

mod decided;
mod explain;
mod facts;
mod memberships;
mod requests;
mod writing;

use super::outcome::{OperationError, Outcome};
use crate::dit::{Entry, View};
use crate::model::{Attribute, AttributeDescription, Dn};
use crate::policy::access::AttributeRights;
use crate::policy::rights::Right;
use crate::schema::AttributeTypeIndex;
use crate::search::{AttributeGate, CompiledFilter};
use crate::state::Csn;
use crate::storage::{ENTRY_HAS_ACI, EntryId};
use decided::Decided;
pub use decided::RuleScope;
pub(super) use decided::{AccessCache, Asker};
pub use explain::{AccessQuestion, Explained, explain_access, requester_named};
use facts::{OwnFacts, ProspectiveEntry, TreeEntry};
use hashbrown::HashMap;
use std::cell::RefCell;
use std::sync::Arc;
pub(super) use writing::Written;

/// Superiors whose rules are remembered in one snapshot.
const SUPERIORS_MAX: usize = 16_384;

/// For which attributes of an entry a right holds.
#[derive(Clone)]
pub enum Granted {
    /// For everything.
    Everything,
    /// For nothing.
    Nothing,
    /// For these.
    Rights(Box<AttributeRights>),
    /// For what is the same for many entries.
    Shared(Arc<RuleScope>, Right),
}

impl Granted {
    /// The set; `None` where it is all or nothing.
    fn rights(&self) -> Option<&AttributeRights> {
        match self {
            Self::Everything | Self::Nothing => None,
            Self::Rights(rights) => Some(rights),
            Self::Shared(scope, right) => scope.access.same_for_all(*right),
        }
    }

    fn ask(&self, question: impl FnOnce(&AttributeRights) -> bool) -> bool {
        match self {
            Self::Everything => true,
            granted => granted.rights().is_some_and(question),
        }
    }

    /// Whether it holds for this attribute, with any options; `None` is an attribute that the schema does not know.
    pub fn for_attribute(&self, attribute: Option<AttributeTypeIndex>) -> bool {
        self.ask(|rights| match attribute {
            Some(index) => rights.for_attribute(index),
            None => rights.for_unknown(),
        })
    }

    /// Whether it holds for the entry as a whole.
    pub fn for_entry(&self) -> bool {
        self.ask(AttributeRights::for_entry)
    }

    /// Whether it holds for every attribute there is.
    pub fn for_every_attribute(&self) -> bool {
        self.ask(|rights| rights.for_all_user() && rights.for_all_operational())
    }

    /// Whether it holds for anything.
    pub fn for_anything(&self) -> bool {
        self.ask(|rights| !rights.is_nothing())
    }
}

/// The attributes of the entry, for rules that look at them where it will be.
///
/// # Errors
/// Storage.
pub(super) fn attributes_of(view: View<'_>, entry: &Entry<'_>) -> Outcome<Vec<Attribute>> {
    let mut attributes = Vec::with_capacity(24);
    for slice in entry.record.attributes() {
        let Some(info) = view.catalog().attribute(slice.id) else { continue };
        if let Ok(description) = AttributeDescription::parse(&info.name) {
            attributes.push(Attribute { description, values: view.values(entry, &slice)? });
        }
    }
    Ok(attributes)
}

#[derive(Default)]
struct Known {
    last_superior: Option<(EntryId, Arc<RuleScope>)>,
    superiors: HashMap<EntryId, Arc<RuleScope>>,
    last_entry: Option<(EntryId, Csn, Right, Granted)>,
    /// Filters of rules, by address: they live as long as the rules, which `decided` keeps.
    filters: Vec<(usize, Arc<CompiledFilter>)>,
}

/// Decisions for one requester in one snapshot (or in the writer's transaction). Ask as often as needed.
pub struct Access<'v> {
    view: View<'v>,
    /// `None`: the administrator, who is not judged.
    decided: Option<Arc<Decided>>,
    known: RefCell<Known>,
}

impl<'v> Access<'v> {
    fn new(view: View<'v>, decided: Option<Arc<Decided>>) -> Self {
        Self { view, decided, known: RefCell::default() }
    }

    /// Whether nothing is judged.
    pub fn is_administrator(&self) -> bool {
        self.decided.is_none()
    }

    /// Whose decisions these are.
    pub(super) fn asker(&self) -> Asker {
        Asker(self.decided.as_ref().map(Arc::clone))
    }

    /// For which attributes of `entry` the right holds. Cost: a few nanoseconds where the rules do not look at the
    /// entry; else at most one evaluation of each rule that does.
    pub fn granted(&self, entry: &Entry<'_>, right: Right) -> Granted {
        let Some(decided) = &self.decided else { return Granted::Everything };
        let scope = match self.scope_of(decided, entry) {
            Ok(scope) => scope,
            Err(error) => {
                tracing::error!(%error, entry = entry.id.0, "access could not be decided, and is denied");
                return Granted::Nothing;
            }
        };
        if scope.access.same_for_all(right).is_some() {
            return Granted::Shared(scope, right);
        }
        let version = entry.record.csn();
        if let Some((id, csn, known, granted)) = &self.known.borrow().last_entry
            && (*id, *csn, *known) == (entry.id, version, right)
        {
            return granted.clone();
        }
        let facts = TreeEntry { access: self, view: self.view, entry: *entry };
        let rights = scope.access.entry(&facts, &OwnFacts { decided, view: self.view }).rights(right).into_owned();
        let granted = Granted::Rights(Box::new(rights));
        self.known.borrow_mut().last_entry = Some((entry.id, version, right, granted.clone()));
        granted
    }

    /// For which attributes the right holds in every entry at and below `base`; `None` where that depends on the entry.
    pub fn granted_below(&self, base: &Entry<'_>, right: Right) -> Option<Granted> {
        let Some(decided) = &self.decided else { return Some(Granted::Everything) };
        let scope = self.scope_of(decided, base).ok().filter(|scope| scope.is_whole)?;
        scope.access.same_for_all(right).is_some().then_some(Granted::Shared(scope, right))
    }

    /// Whether the attribute may be shown.
    pub fn may_read(&self, entry: &Entry<'_>, attribute: AttributeTypeIndex) -> bool {
        self.granted(entry, Right::Read).for_attribute(Some(attribute))
    }

    /// Whether the attribute may be used in a filter.
    pub fn may_search(&self, entry: &Entry<'_>, attribute: AttributeTypeIndex) -> bool {
        self.granted(entry, Right::Search).for_attribute(Some(attribute))
    }

    /// Whether the attribute may be compared.
    pub fn may_compare(&self, entry: &Entry<'_>, attribute: AttributeTypeIndex) -> bool {
        self.granted(entry, Right::Compare).for_attribute(Some(attribute))
    }

    /// Whether the requester may know that the entry is there: it has some right on it. Otherwise every operation
    /// answers as if it were absent.
    pub fn is_visible(&self, entry: &Entry<'_>) -> bool {
        const ANY: [Right; 8] = [
            Right::Read,
            Right::Search,
            Right::Compare,
            Right::Write,
            Right::SelfWrite,
            Right::Add,
            Right::Delete,
            Right::ModDn,
        ];
        self.decided.is_none() || ANY.into_iter().any(|right| self.granted(entry, right).for_anything())
    }

    /// Whether the entry may be shown as a search result: something of it may be read.
    pub fn is_readable(&self, entry: &Entry<'_>) -> bool {
        self.granted(entry, Right::Read).for_anything()
    }

    /// The DN of `id` or of its nearest superior that the requester may know of; empty when there is none. What
    /// matchedDN says.
    ///
    /// # Errors
    /// Storage.
    pub fn visible_name(&self, id: Option<EntryId>) -> Outcome<String> {
        let mut at = id.unwrap_or(EntryId::NONE);
        while at != EntryId::NONE {
            let Some(entry) = self.view.entry(at)? else { break };
            if self.is_visible(&entry) {
                return Ok(self.view.dn_text(at)?.unwrap_or_default());
            }
            at = self.view.superior(&entry);
        }
        Ok(String::new())
    }

    /// noSuchObject below `matched`, as the requester may hear it.
    ///
    /// # Errors
    /// Storage.
    pub fn no_such_object(&self, matched: Option<EntryId>) -> Outcome<OperationError> {
        Ok(OperationError::no_such_object(self.visible_name(matched)?))
    }

    /// For which attributes the right would hold on an entry that is not there, or not any more.
    pub(in crate::operation) fn granted_new(
        &self,
        dn: &Dn,
        superior: Option<EntryId>,
        attributes: &[Attribute],
        right: Right,
    ) -> Granted {
        let Some(decided) = &self.decided else { return Granted::Everything };
        let Some(superior) = superior else { return Granted::Nothing };
        let scope = match self.scope_of_superior(decided, superior) {
            Ok(scope) => scope,
            Err(error) => {
                tracing::error!(%error, superior = superior.0, "access could not be decided, and is denied");
                return Granted::Nothing;
            }
        };
        let facts = ProspectiveEntry { access: self, view: self.view, dn, superior, attributes };
        let rights = scope.access.entry(&facts, &OwnFacts { decided, view: self.view }).rights(right).into_owned();
        Granted::Rights(Box::new(rights))
    }

    fn scope_of(&self, decided: &Decided, entry: &Entry<'_>) -> Outcome<Arc<RuleScope>> {
        if entry.record.flags() & ENTRY_HAS_ACI != 0 && decided.book.rules.contains_key(&entry.id) {
            return decided.scope(self.view, entry.id);
        }
        self.scope_of_superior(decided, self.view.superior(entry))
    }

    /// The entry at or above `at` that is the nearest to hold rules; [`EntryId::NONE`] when none does.
    fn holder_above(&self, decided: &Decided, at: EntryId) -> Outcome<EntryId> {
        let mut holder = at;
        while holder != EntryId::NONE && !decided.book.rules.contains_key(&holder) {
            holder = self.view.entry(holder)?.map_or(EntryId::NONE, |entry| self.view.superior(&entry));
        }
        Ok(holder)
    }

    fn scope_of_superior(&self, decided: &Decided, superior: EntryId) -> Outcome<Arc<RuleScope>> {
        {
            let known = self.known.borrow();
            if let Some((id, scope)) = &known.last_superior
                && *id == superior
            {
                return Ok(Arc::clone(scope));
            }
        }
        let known = self.known.borrow().superiors.get(&superior).map(Arc::clone);
        let scope = match known {
            Some(scope) => scope,
            None => decided.scope(self.view, self.holder_above(decided, superior)?)?,
        };
        let mut known = self.known.borrow_mut();
        if known.superiors.len() < SUPERIORS_MAX {
            known.superiors.insert(superior, Arc::clone(&scope));
        }
        known.last_superior = Some((superior, Arc::clone(&scope)));
        Ok(scope)
    }

    /// The filter of a rule, compiled once in this snapshot.
    fn rule_filter(&self, filter: &crate::model::Filter<'_>) -> Arc<CompiledFilter> {
        let address = std::ptr::from_ref(filter).addr();
        if let Some((_, known)) = self.known.borrow().filters.iter().find(|(known, _)| *known == address) {
            return Arc::clone(known);
        }
        let compiled = Arc::new(CompiledFilter::compile(self.view.catalog().schema(), filter));
        self.known.borrow_mut().filters.push((address, Arc::clone(&compiled)));
        compiled
    }
}

impl AttributeGate for Access<'_> {
    fn searchable(&self, entry: &Entry<'_>, attribute: AttributeTypeIndex) -> bool {
        self.may_search(entry, attribute)
    }

    fn knows(&self, entry: &Entry<'_>) -> bool {
        self.is_visible(entry)
    }

    fn unrestricted(&self) -> bool {
        self.decided.is_none()
    }
}
