//! What is remembered of decisions from one request to the next: the rules of the tree, compiled, and what they come to for
//! each requester.
//!
//! Invariants
//! - Nothing older than [`Dit::rules_generation`] is used, and what depends on the minute not beyond it.
//! - A requester whose entry is gone has the rights of an anonymous one.

use super::Access;
use super::facts::OwnFacts;
use super::memberships::Memberships;
use crate::dit::{Dit, View};
use crate::model::Dn;
use crate::operation::outcome::Outcome;
use crate::policy::access::{
    AccessCompiler, AccessContext, AskedMemberships, CompiledAccess, CompiledRules, LocalTime,
};
use crate::policy::requester::{Requester, RequesterKind};
use crate::schema::Schema;
use crate::search::marked_entries;
use crate::state::{AttributeId, Csn};
use crate::storage::{ENTRY_HAS_ACI, EntryId, IndexKind, index_key};
use hashbrown::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Requesters whose decisions are remembered; with more, all are decided again.
const DECIDED_MAX: usize = 4_096;
/// Entries that hold rules.
pub(super) struct RuleBook {
    generation: u64,
    /// Which entries, in which version, under which name: equal lists mean equal rules.
    holders: Arc<Vec<(EntryId, Csn, String)>>,
    pub(super) rules: Arc<HashMap<EntryId, Arc<CompiledRules>>>,
    /// For each holder the other holders above it, as of the same snapshot: decisions outlive the view they began in.
    above: Arc<HashMap<EntryId, Vec<EntryId>>>,
    pub(super) compiler: AccessCompiler,
    /// Some rule is about controls or extended operations.
    pub(super) has_request_rules: bool,
    /// Some rule asks for the name of the client's host.
    asks_for_host: bool,
    /// Which groups and roles rules ask about.
    memberships: Arc<AskedMemberships>,
    schema: Arc<Schema>,
}

/// What the rules come to for one requester.
pub(super) struct Decided {
    /// As it came.
    asked: Requester,
    /// As its entry is named now.
    pub(super) requester: Requester,
    pub(super) book: Arc<RuleBook>,
    pub(super) time: LocalTime,
    /// Of the requester.
    pub(super) memberships: Memberships,
    /// Rules by the nearest entry at or above that holds some.
    scopes: Mutex<HashMap<EntryId, Arc<RuleScope>>>,
    uses_time: AtomicBool,
    /// Decided on what may change without a new generation: not to be used by later requests.
    pub(super) is_momentary: AtomicBool,
}

/// The rules that apply below one holder of rules.
pub struct RuleScope {
    pub(super) access: CompiledAccess,
    /// All rules of the tree are here: no entry below has others.
    pub(super) is_whole: bool,
}

#[derive(Default)]
struct Memory {
    book: Option<Arc<RuleBook>>,
    decided: HashMap<u64, Arc<Decided>>,
}

/// The rules of the tree for everybody who asks; one for each directory.
pub(in crate::operation) struct AccessCache {
    memory: Mutex<Memory>,
    hasher: hashbrown::DefaultHashBuilder,
    /// Of the last generation that was asked about: its number and one, doubled, and one more where a rule asks for hosts.
    hosts: AtomicU64,
}

impl AccessCache {
    pub(in crate::operation) fn new() -> Self {
        Self {
            memory: Mutex::new(Memory::default()),
            hasher: hashbrown::DefaultHashBuilder::default(),
            hosts: AtomicU64::new(0),
        }
    }

    /// Whether some rule of the tree asks for the name of the client's host. Cost: one load while the rules stand.
    pub(in crate::operation) fn asks_for_host(&self, dit: &Dit) -> Outcome<bool> {
        let generation = dit.rules_generation();
        let known = self.hosts.load(Ordering::Relaxed);
        if known >> 1 == generation + 1 {
            return Ok(known & 1 == 1);
        }
        let snapshot = dit.read()?;
        let schema = snapshot.view().catalog().schema();
        let old = {
            let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            memory.book.as_ref().filter(|book| Arc::ptr_eq(&book.schema, schema)).map(Arc::clone)
        };
        let asks = match old {
            Some(book) if book.generation == generation => book.asks_for_host,
            old => {
                let book = Arc::new(RuleBook::load(dit, generation, schema, old.as_deref())?);
                let asks = book.asks_for_host;
                let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
                memory.decided.clear();
                memory.book = Some(book);
                asks
            }
        };
        self.hosts.store((generation + 1) << 1 | u64::from(asks), Ordering::Relaxed);
        Ok(asks)
    }

    /// Decisions for `requester` in `view`. Cost: a look-up where the requester was seen since the rules changed.
    pub(in crate::operation) fn access<'v>(
        &self,
        dit: &Dit,
        requester: &Requester,
        view: View<'v>,
    ) -> Outcome<Access<'v>> {
        if requester.is_administrator() {
            return Ok(Access::new(view, None));
        }
        let generation = dit.rules_generation();
        let schema = view.catalog().schema();
        let key = self.key(requester);
        let time = now(dit);
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
    pub(in crate::operation) fn renew<'v>(&self, dit: &Dit, asker: &Asker, view: View<'v>) -> Outcome<Access<'v>> {
        let Some(decided) = &asker.0 else { return Ok(Access::new(view, None)) };
        if decided.book.generation == dit.rules_generation()
            && Arc::ptr_eq(&decided.book.schema, view.catalog().schema())
            && decided.fits(&decided.asked, now(dit))
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

fn now(dit: &Dit) -> LocalTime {
    LocalTime::from_unix_ms(dit.now_ms(), 0)
}

impl RuleBook {
    pub(super) fn load(dit: &Dit, generation: u64, schema: &Arc<Schema>, old: Option<&Self>) -> Outcome<Self> {
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
                has_request_rules: old.has_request_rules,
                asks_for_host: old.asks_for_host,
                memberships: Arc::clone(&old.memberships),
                schema: Arc::clone(schema),
            });
        }
        let compiler = AccessCompiler::new(Arc::clone(schema));
        let mut rules = HashMap::with_capacity(holders.len());
        let mut memberships = AskedMemberships::default();
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
            memberships.extend(compiled.memberships());
            rules.insert(*id, Arc::new(compiled));
        }
        above.values_mut().for_each(|superiors: &mut Vec<EntryId>| superiors.retain(|id| rules.contains_key(id)));
        Ok(Self {
            generation,
            holders: Arc::new(holders),
            asks_for_host: rules.values().any(|rules: &Arc<CompiledRules>| rules.asks_for_host()),
            has_request_rules: rules.values().any(|rules: &Arc<CompiledRules>| rules.has_request_rules()),
            memberships: Arc::new(memberships),
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
    let mut key = Vec::with_capacity(16);
    index_key(aci, IndexKind::Presence, &[], &mut key);
    let indexed = view.catalog().attribute(aci).is_some_and(|info| info.indexed.presence);
    Ok(marked_entries(view, indexed.then_some(key.as_slice()), ENTRY_HAS_ACI, usize::MAX)?)
}

impl Decided {
    pub(super) fn new(dit: &Dit, asked: &Requester, book: Arc<RuleBook>, time: LocalTime) -> Outcome<Self> {
        let mut requester = asked.clone();
        let mut memberships = Memberships::default();
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
                    memberships = Memberships::of(view, &entry, &book.memberships)?;
                }
                None => requester = asked.with_identity(RequesterKind::Anonymous, asked.authentication.clone()),
            }
        }
        Ok(Self {
            asked: asked.clone(),
            requester,
            book,
            time,
            is_momentary: AtomicBool::new(memberships.is_momentary),
            memberships,
            scopes: Mutex::new(HashMap::new()),
            uses_time: AtomicBool::new(false),
        })
    }

    fn fits(&self, requester: &Requester, time: LocalTime) -> bool {
        !self.is_momentary.load(Ordering::Relaxed)
            && (self.time == time || !self.uses_time.load(Ordering::Relaxed))
            && self.asked == *requester
    }

    /// The rules of `holder` and of the holders above it, in this order.
    pub(super) fn rules_at(&self, holder: EntryId) -> Vec<Arc<CompiledRules>> {
        let above = self.book.above.get(&holder).into_iter().flatten();
        std::iter::once(&holder).chain(above).filter_map(|id| self.book.rules.get(id)).map(Arc::clone).collect()
    }

    /// The rules for entries whose nearest rule holder is `holder`.
    pub(super) fn scope(&self, view: View<'_>, holder: EntryId) -> Outcome<Arc<RuleScope>> {
        if let Some(scope) = self.scopes.lock().unwrap_or_else(PoisonError::into_inner).get(&holder) {
            return Ok(Arc::clone(scope));
        }
        let rules = self.rules_at(holder);
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
pub(in crate::operation) struct Asker(pub(super) Option<Arc<Decided>>);

impl Asker {
    pub(in crate::operation) fn is_administrator(&self) -> bool {
        self.0.is_none()
    }

    /// A number that is another one when it is in other groups or roles that rules ask about, or its entry says something
    /// else that they look at; 0: nothing is judged, or nobody asks.
    pub(in crate::operation) fn mark(&self) -> u64 {
        let bound = self.0.as_ref().filter(|decided| decided.requester.entry_uuid().is_some());
        bound.map_or(0, |decided| decided.memberships.mark())
    }

    /// The attributes whose values in a superior decide about what is below it.
    pub(in crate::operation) fn inherited(&self, view: View<'_>) -> Vec<AttributeId> {
        let catalog = view.catalog();
        let names = self.0.iter().flat_map(|decided| &decided.book.memberships.inherited);
        let types = names.filter_map(|name| catalog.schema().attribute_type(name));
        types.flat_map(|found| catalog.of_type(found.index)).copied().collect()
    }

    /// Whether it is this requester.
    pub(in crate::operation) fn is(&self, requester: &Requester) -> bool {
        match &self.0 {
            None => requester.is_administrator(),
            Some(decided) => decided.asked == *requester,
        }
    }
}
