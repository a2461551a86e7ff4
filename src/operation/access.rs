//! Who may do what here: the tree's access rules, kept compiled, and decisions about its entries.
//!
//! `policy` decides, this module fetches what it decides on. Three memories keep a search from paying for rules:
//! the rules of all entries that hold some (`RuleBook`, as long as no commit touched rules, names or memberships),
//! what they come to for one requester (`Decided`, shared by all its connections), and within one snapshot the
//! outcome for the superior last seen ([`Access`]): entries below one superior have the same rules unless they hold
//! some themselves. A change of the tree that concerns rules shows in [`Dit::rules_generation`]; nothing older is used.
//!
//! Invariants
//! - What cannot be found out gives no right: a fault while fetching facts denies.
//! - An entry on which the requester has no right at all is answered like an absent one ([`Access::is_visible`]).
//! - Rules come from committed data; a requester whose entry is gone has the rights of an anonymous one.
//! - The root DSE and the subschema are outside the rules.
//!
//! Times in rules (`timeofday`, `dayofweek`) are UTC.

mod facts;

use super::outcome::{OperationError, Outcome};
use crate::clock::Clock;
use crate::dit::{Dit, Entry, View};
use crate::model::{Attribute, Dn};
use crate::policy::access::{AccessCompiler, AccessContext, AttributeRights, CompiledAccess, CompiledRules, LocalTime};
use crate::policy::requester::{Requester, RequesterKind};
use crate::policy::rights::Right;
use crate::schema::{AttributeTypeIndex, Schema};
use crate::search::{AttributeGate, CompiledFilter, listed_groups_of_nested};
use crate::state::Csn;
use crate::storage::{ENTRY_HAS_ACI, EntryId, IndexKind, Postings, Table, ViewRecord, index_key};
use facts::{OwnFacts, ProspectiveEntry, TreeEntry};
use hashbrown::{HashMap, HashSet};
use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Requesters whose decisions are remembered; with more, all are decided again.
const DECIDED_MAX: usize = 4_096;
/// Superiors whose rules are remembered in one snapshot.
const SUPERIORS_MAX: usize = 16_384;

/// Entries that hold rules.
struct RuleBook {
    generation: u64,
    /// Which entries, in which version, under which name: equal lists mean equal rules.
    holders: Arc<Vec<(EntryId, Csn, String)>>,
    rules: Arc<HashMap<EntryId, Arc<CompiledRules>>>,
    /// For each holder the other holders above it, as of the same snapshot: decisions outlive the view they began in.
    above: Arc<HashMap<EntryId, Vec<EntryId>>>,
    compiler: AccessCompiler,
    schema: Arc<Schema>,
}

/// What the rules come to for one requester.
struct Decided {
    /// As it came.
    asked: Requester,
    /// As its entry is named now.
    requester: Requester,
    book: Arc<RuleBook>,
    time: LocalTime,
    /// Names (as keys) of the groups that the requester is in.
    groups: HashSet<Vec<u8>>,
    /// Rules by the nearest entry at or above that holds some.
    scopes: Mutex<HashMap<EntryId, Arc<RuleScope>>>,
    uses_time: AtomicBool,
    /// Decided on what may change without a new generation: not to be used by later requests.
    is_momentary: AtomicBool,
}

/// The rules that apply below one holder of rules.
pub struct RuleScope {
    access: CompiledAccess,
    /// All rules of the tree are here: no entry below has others.
    is_whole: bool,
}

#[derive(Default)]
struct Memory {
    book: Option<Arc<RuleBook>>,
    decided: HashMap<u64, Arc<Decided>>,
}

/// The rules of the tree for everybody who asks; one for each directory.
pub(super) struct AccessCache {
    memory: Mutex<Memory>,
    hasher: hashbrown::DefaultHashBuilder,
}

impl AccessCache {
    pub(super) fn new() -> Self {
        Self { memory: Mutex::new(Memory::default()), hasher: hashbrown::DefaultHashBuilder::default() }
    }

    /// Decisions for `requester` in `view`. Cost: a look-up where the requester was seen since the rules changed.
    pub(super) fn access<'v>(&self, dit: &Dit, requester: &Requester, view: View<'v>) -> Outcome<Access<'v>> {
        if requester.is_administrator() {
            return Ok(Access::new(view, None));
        }
        let generation = dit.rules_generation();
        let schema = view.catalog().schema();
        let key = self.key(requester);
        let time = now(dit.clock());
        let old = {
            let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            let book = memory.book.as_ref().filter(|book| Arc::ptr_eq(&book.schema, schema));
            if let Some(book) = book
                && book.generation == generation
                && let Some(decided) = memory.decided.get(&key)
                && decided.fits(requester, time)
            {
                return Ok(Access::new(view, Some(Arc::clone(decided))));
            }
            book.map(Arc::clone)
        };
        let book = match old {
            Some(book) if book.generation == generation => book,
            old => Arc::new(RuleBook::load(dit, generation, schema, old.as_deref())?),
        };
        let decided = Arc::new(Decided::new(dit, requester, Arc::clone(&book), time)?);
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = memory.book.as_ref().is_some_and(|known| known.generation == generation);
        if !is_known || memory.decided.len() >= DECIDED_MAX {
            memory.decided.clear();
            memory.book = Some(book);
        }
        memory.decided.insert(key, Arc::clone(&decided));
        drop(memory);
        Ok(Access::new(view, Some(decided)))
    }

    /// The same requester in a later snapshot. Cost: next to nothing while the rules stand.
    pub(super) fn renew<'v>(&self, dit: &Dit, asker: &Asker, view: View<'v>) -> Outcome<Access<'v>> {
        let Some(decided) = &asker.0 else { return Ok(Access::new(view, None)) };
        if decided.book.generation == dit.rules_generation()
            && Arc::ptr_eq(&decided.book.schema, view.catalog().schema())
            && decided.fits(&decided.asked, now(dit.clock()))
        {
            return Ok(Access::new(view, Some(Arc::clone(decided))));
        }
        self.access(dit, &decided.asked, view)
    }

    fn key(&self, requester: &Requester) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u128(requester.entry_uuid().map_or(0, |uuid| u128::from_be_bytes(uuid.0)));
        hasher.write_u32(requester.ssf);
        std::hash::Hash::hash(&requester.peer, &mut hasher);
        hasher.finish()
    }
}

fn now(clock: &Clock) -> LocalTime {
    LocalTime::from_unix_ms(clock.wall_ms(), 0)
}

impl RuleBook {
    fn load(dit: &Dit, generation: u64, schema: &Arc<Schema>, old: Option<&Self>) -> Outcome<Self> {
        let snapshot = dit.read()?;
        let view = snapshot.view();
        let mut holders = Vec::new();
        for id in rule_holders(view)? {
            let Some(entry) = view.entry(id)? else { continue };
            holders.push((id, entry.record.csn(), view.dn_text(id)?.unwrap_or_default()));
        }
        if let Some(old) = old
            && *old.holders == holders
        {
            return Ok(Self {
                generation,
                holders: Arc::clone(&old.holders),
                rules: Arc::clone(&old.rules),
                above: Arc::clone(&old.above),
                compiler: old.compiler.clone(),
                schema: Arc::clone(schema),
            });
        }
        let compiler = AccessCompiler::new(Arc::clone(schema));
        let mut rules = HashMap::with_capacity(holders.len());
        let mut above = HashMap::with_capacity(holders.len());
        for (id, _, dn) in &holders {
            let Some(entry) = view.entry(*id)? else { continue };
            above.insert(*id, view.superiors(&entry)?);
            let Some(slice) = entry.attribute(view.catalog().well_known().aci) else { continue };
            let values = view.values(&entry, &slice)?;
            let compiled = compiler.compile(dn, values.iter().map(Vec::as_slice));
            for problem in compiled.problems() {
                let text = crate::model::escape_for_log(&problem.rule);
                tracing::warn!(holder = %dn, rule = %text, detail = %problem.detail, "an access rule is not what it seems");
            }
            rules.insert(*id, Arc::new(compiled));
        }
        above.values_mut().for_each(|superiors: &mut Vec<EntryId>| superiors.retain(|id| rules.contains_key(id)));
        Ok(Self {
            generation,
            holders: Arc::new(holders),
            rules: Arc::new(rules),
            above: Arc::new(above),
            compiler,
            schema: Arc::clone(schema),
        })
    }
}

/// The entries with `aci` values, in ascending order.
fn rule_holders(view: View<'_>) -> Outcome<Vec<EntryId>> {
    let aci = view.catalog().well_known().aci;
    let mut found = Vec::new();
    if view.catalog().attribute(aci).is_some_and(|info| info.indexed.presence) {
        let mut key = Vec::with_capacity(16);
        index_key(aci, IndexKind::Presence, &[], &mut key);
        if let Some(mut postings) = Postings::open(view.reader(), &key)? {
            while let Some(id) = postings.next()? {
                found.push(id);
            }
        }
        return Ok(found);
    }
    let mut cursor = view.reader().cursor(Table::Id2Entry)?;
    let mut item = cursor.first()?;
    while let Some((key, record)) = item {
        let id = EntryId::from_key(key);
        if ViewRecord::open(id, record)?.flags() & ENTRY_HAS_ACI != 0 {
            found.push(id);
        }
        item = cursor.next()?;
    }
    Ok(found)
}

impl Decided {
    fn new(dit: &Dit, asked: &Requester, book: Arc<RuleBook>, time: LocalTime) -> Outcome<Self> {
        let mut requester = asked.clone();
        let mut groups = HashSet::new();
        if let RequesterKind::Entry { uuid, dn, dn_key } = &mut requester.kind {
            let snapshot = dit.read()?;
            let view = snapshot.view();
            let schema = view.catalog().schema();
            let key_of = |id| -> Outcome<Option<(String, Vec<u8>)>> {
                let Some(text) = view.dn_text(id)? else { return Ok(None) };
                let key = schema.dn_key(&Dn::parse(&text)?);
                Ok(Some((text, key)))
            };
            let own = match view.by_uuid(*uuid)? {
                Some(id) => view.entry(id)?,
                None => None,
            };
            match own {
                Some(entry) => {
                    if let Some((text, key)) = key_of(entry.id)? {
                        (*dn, *dn_key) = (text, key);
                    }
                    for group in listed_groups_of_nested(view, &entry)? {
                        groups.extend(key_of(group)?.map(|(_, key)| key));
                    }
                }
                None => requester = asked.with_identity(RequesterKind::Anonymous, asked.authentication.clone()),
            }
        }
        Ok(Self {
            asked: asked.clone(),
            requester,
            book,
            time,
            groups,
            scopes: Mutex::new(HashMap::new()),
            uses_time: AtomicBool::new(false),
            is_momentary: AtomicBool::new(false),
        })
    }

    fn fits(&self, requester: &Requester, time: LocalTime) -> bool {
        !self.is_momentary.load(Ordering::Relaxed)
            && (self.time == time || !self.uses_time.load(Ordering::Relaxed))
            && self.asked == *requester
    }

    /// The rules for entries whose nearest rule holder is `holder`.
    fn scope(&self, view: View<'_>, holder: EntryId) -> Outcome<Arc<RuleScope>> {
        if let Some(scope) = self.scopes.lock().unwrap_or_else(PoisonError::into_inner).get(&holder) {
            return Ok(Arc::clone(scope));
        }
        let above = self.book.above.get(&holder).into_iter().flatten();
        let holders = std::iter::once(&holder).chain(above);
        let rules: Vec<_> = holders.filter_map(|id| self.book.rules.get(id)).map(Arc::clone).collect();
        let context = AccessContext { requester: &self.requester, time: self.time };
        let access = self.book.compiler.for_requester(&rules, &context, &OwnFacts { decided: self, view });
        if access.depends_on_time() {
            self.uses_time.store(true, Ordering::Relaxed);
        }
        let scope = Arc::new(RuleScope { access, is_whole: rules.len() == self.book.rules.len() });
        self.scopes.lock().unwrap_or_else(PoisonError::into_inner).insert(holder, Arc::clone(&scope));
        Ok(scope)
    }
}

/// Who asks, to be taken from one snapshot to the next. `None`: the administrator.
#[derive(Clone)]
pub(super) struct Asker(Option<Arc<Decided>>);

impl Asker {
    pub(super) fn is_administrator(&self) -> bool {
        self.0.is_none()
    }

    /// Whether it is this requester.
    pub(super) fn is(&self, requester: &Requester) -> bool {
        match &self.0 {
            None => requester.is_administrator(),
            Some(decided) => decided.asked == *requester,
        }
    }
}

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

    /// Whether an entry may be added. `superior`: where; `None` for a new suffix, which is the administrator's.
    pub fn may_add(&self, dn: &Dn, superior: Option<EntryId>, attributes: &[Attribute]) -> bool {
        self.granted_new(dn, superior, attributes, Right::Add).for_entry()
    }

    /// Whether the entry may be deleted.
    pub fn may_delete(&self, entry: &Entry<'_>) -> bool {
        self.granted(entry, Right::Delete).for_entry()
    }

    /// Whether a value of the attribute may be added or deleted (`Some`), or all of them (`None`).
    pub fn may_write(&self, entry: &Entry<'_>, attribute: AttributeTypeIndex, value: Option<&[u8]>) -> bool {
        if self.granted(entry, Right::Write).for_attribute(Some(attribute)) {
            return true;
        }
        let (Some(decided), Some(value)) = (&self.decided, value) else { return false };
        let Some(own) = decided.requester.dn_key() else { return false };
        let is_own = || Dn::parse_bytes(value).is_ok_and(|dn| self.view.catalog().schema().dn_key(&dn) == own);
        self.granted(entry, Right::SelfWrite).for_attribute(Some(attribute)) && is_own()
    }

    /// Whether the entry may be renamed where it is; its RDN's attributes are asked for apart ([`Self::may_write`]).
    pub fn may_rename(&self, entry: &Entry<'_>) -> bool {
        self.granted(entry, Right::Write).for_entry()
    }

    /// Whether the entry may be moved below `superior`, to be `dn` there: it may leave (moddn or delete here), and may
    /// arrive (moddn or add there). `attributes`: those that it will have.
    pub fn may_move(&self, entry: &Entry<'_>, dn: &Dn, superior: EntryId, attributes: &[Attribute]) -> bool {
        let leaves = self.granted(entry, Right::ModDn).for_entry() || self.may_delete(entry);
        let arrives = || {
            self.granted_new(dn, Some(superior), attributes, Right::ModDn).for_entry()
                || self.may_add(dn, Some(superior), attributes)
        };
        leaves && arrives()
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
            None => {
                let mut holder = superior;
                while holder != EntryId::NONE && !decided.book.rules.contains_key(&holder) {
                    holder = self.view.entry(holder)?.map_or(EntryId::NONE, |entry| self.view.superior(&entry));
                }
                decided.scope(self.view, holder)?
            }
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

    fn unrestricted(&self) -> bool {
        self.decided.is_none()
    }
}
