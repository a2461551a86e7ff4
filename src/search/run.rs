//! One search, owned and resumable.
//!
//! A [`SearchRun`] holds no snapshot. A [`Walk`] is the run in one snapshot: it goes on where the last one stopped,
//! and after so much work it asks to be dropped, so that requests that came later are answered meanwhile and no
//! snapshot grows old. What changes between two snapshots is seen or not seen, but nothing is found twice that did
//! not move, and nothing is lost that stayed.

use super::SearchError;
use super::alias;
use super::candidates::{Plan, Planned, Planner};
use super::compile::CompiledFilter;
use super::evaluate::{AttributeGate, Judge};
use super::scope::{Subentries, Territory};
use super::source::{Filled, Open, Sequence, collect};
use crate::dit::{Entry, View};
use crate::model::Scope;
use crate::storage::{
    Cursor, ENTRY_ALIAS, ENTRY_LOSER, ENTRY_PHANTOM, ENTRY_REFERRAL, ENTRY_SUBENTRY, EntryId, Table, ViewRecord,
};
use hashbrown::HashSet;
use std::sync::Arc;

/// Ids gathered at once: the bound of a search's memory.
const IDS_MAX: u64 = 1_000_000;
/// Entries of a subtree gathered instead of scanning all.
const SUBTREE_MAX: u64 = 100_000;
/// Candidates fetched at a time, at least and at most.
const BATCH_MIN: usize = 16;
const BATCH_MAX: usize = 1_024;

/// How to search.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Which entries below the base.
    pub scope: Scope,
    /// Whether aliases in scope are followed (and not shown themselves).
    pub deref_in_searching: bool,
    /// Whether referral entries are entries like others.
    pub manage_dsa_it: bool,
    /// RFC 3672.
    pub subentries: Subentries,
    /// Whether entries whose name another one has are found like others. Without it they are found where they are the
    /// base, and by filters that ask for `replConflict`.
    pub conflicts: bool,
    /// Most entries looked at where no index serves; `None`: no limit.
    pub lookthrough_max: Option<u64>,
    /// How many entries the caller will take at most: guides plans and limits nothing.
    pub wanted: Option<u64>,
    /// Whether entries come in ascending order of their ids.
    pub ordered: bool,
    /// Only entries with ids after this one; only with `ordered`.
    pub after: Option<EntryId>,
    /// Work, in entries looked at, after which [`Step::Yield`] comes.
    pub work_max: u32,
}

impl RunOptions {
    /// The plain search of a scope: no aliases followed, referrals reported, subentries hidden, no limits.
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            deref_in_searching: false,
            manage_dsa_it: false,
            subentries: Subentries::Hidden,
            conflicts: false,
            lookthrough_max: None,
            wanted: None,
            ordered: false,
            after: None,
            work_max: 2_048,
        }
    }
}

/// How much a search may have to look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Estimate {
    /// Entries; a guess where the index would have to be read to know.
    pub candidates: u64,
    /// Whether an index or the scope names them. Otherwise every entry is looked at, and `lookthrough_max` holds.
    pub indexed: bool,
}

/// See the module.
#[derive(Debug)]
pub struct SearchRun {
    filter: Arc<CompiledFilter>,
    options: RunOptions,
    territory: Territory,
    judge: Judge,
    references: Vec<EntryId>,
    source: Source,
    /// Candidates read and not yet looked at, descending.
    queue: Vec<EntryId>,
    batch: usize,
    examined: u64,
    estimate: Estimate,
    finished: bool,
}

#[derive(Debug)]
enum Source {
    /// The queue is all.
    Queue,
    Sequence(Sequence),
    Scan {
        after: EntryId,
        without: HashSet<EntryId>,
    },
}

/// What comes next in a search.
pub enum Step<'t> {
    /// A result.
    Entry(Entry<'t>),
    /// A referral entry in scope: to be sent as a continuation reference. They come after all results: some clients (curl)
    /// read nothing behind the first one.
    Reference(Entry<'t>),
    /// Enough work for now: renew the snapshot and walk again, or just go on.
    Yield,
    /// As many entries as `lookthrough_max` allows were looked at; the run is over.
    LookthroughExceeded,
    /// Nothing more.
    Done,
}

impl SearchRun {
    /// Plans a search below `base` (see [`super::find_base`]). Cost: some look-ups in the index, a few microseconds.
    ///
    /// # Errors
    /// [`SearchError::TooLarge`]: aliases or referrals beyond all measure. [`SearchError::Dit`].
    pub fn new(
        view: View<'_>,
        base: EntryId,
        filter: Arc<CompiledFilter>,
        options: RunOptions,
    ) -> Result<Self, SearchError> {
        let conflict = view.catalog().schema().attribute_type("replConflict").map(|found| found.index);
        let mut options = options;
        options.conflicts |= conflict.is_some_and(|conflict| filter.attribute_types().contains(&conflict));
        let mut run = Self {
            judge: Judge::new(&filter),
            territory: Territory::new(base, options.scope),
            references: Vec::new(),
            source: Source::Queue,
            queue: Vec::new(),
            batch: options.wanted.map_or(BATCH_MAX / 4, |wanted| wanted.min(BATCH_MAX as u64) as usize).max(BATCH_MIN),
            examined: 0,
            estimate: Estimate { candidates: 1, indexed: true },
            finished: false,
            filter,
            options,
        };
        if run.options.scope == Scope::Base {
            run.queue.push(base);
            return Ok(run);
        }
        if run.options.deref_in_searching {
            alias::extend(view, &mut run.territory)?;
        }
        if !run.options.manage_dsa_it {
            run.references = alias::of_class(view, "referral", ENTRY_REFERRAL)?;
            run.references.reverse();
        }
        let planner = Planner::new(view, run.options.wanted)?;
        let planned = planner.node(&run.filter.root)?;
        run.choose(view, &planner, planned)?;
        Ok(run)
    }

    /// How much it may have to look at.
    pub fn estimate(&self) -> Estimate {
        self.estimate
    }

    /// How many entries it has looked at.
    pub fn examined(&self) -> u64 {
        self.examined
    }

    /// Goes on in this snapshot. Drop the walk before waiting for anything.
    ///
    /// # Errors
    /// [`SearchError::Dit`].
    pub fn walk<'r, 't>(
        &'r mut self,
        view: View<'t>,
        gate: &'r dyn AttributeGate,
    ) -> Result<Walk<'r, 't>, SearchError> {
        if !self.filter.is_for(view.catalog().schema()) {
            return Err(SearchError::SchemaChanged);
        }
        Ok(Walk { run: self, view, gate, open: Open::Nothing, scan: None, work: 0 })
    }

    fn choose(&mut self, view: View<'_>, planner: &Planner<'_>, planned: Planned) -> Result<(), SearchError> {
        let total = planner.entries();
        let Planned { plan, count } = planned;
        if let Plan::Nothing = plan {
            self.estimate.candidates = 0;
            return Ok(());
        }
        if let Plan::Everything { counted } = plan {
            let most = if self.options.scope == Scope::OneLevel { total / 4 } else { SUBTREE_MAX.min(total / 4) };
            match self.narrow(view, most.max(64))? {
                Some(ids) => {
                    self.take(ids);
                    self.estimate.indexed = !counted;
                }
                None => self.scan(total, counted),
            }
            return Ok(());
        }
        let candidates = count.unwrap_or_else(|| planner.guess().min(total));
        if candidates > 64 {
            let most = if self.options.scope == Scope::OneLevel { candidates } else { (candidates / 8).min(4_096) };
            if let Some(ids) = self.narrow(view, most.min(SUBTREE_MAX))? {
                self.take(ids);
                return Ok(());
            }
        }
        if count.is_some_and(|count| count > 64 && count > total / 2) {
            self.scan(total, false);
            return Ok(());
        }
        let few = self.options.wanted.unwrap_or(u64::MAX).saturating_mul(2);
        self.estimate.candidates = if count.is_some() { candidates } else { candidates.min(few) };
        if let Plan::Ids(ids) = plan {
            self.take(ids);
        } else if self.options.ordered {
            let most = (total / 2).clamp(65_536, IDS_MAX) as usize;
            match collect(view, &plan, most, most.saturating_mul(4))? {
                Some(ids) => self.take(ids),
                None => self.scan(total, false),
            }
        } else {
            self.source = Source::Sequence(Sequence::new(plan));
        }
        Ok(())
    }

    /// The entries in scope, when the scope is narrower than the whole tree and than `most`.
    fn narrow(&self, view: View<'_>, most: u64) -> Result<Option<Vec<EntryId>>, SearchError> {
        if self.options.scope != Scope::OneLevel {
            let base = view.entry(self.territory.base())?;
            let is_suffix = base.is_some_and(|base| base.record.parent() == EntryId::NONE);
            if is_suffix && view.suffixes()?.len() <= 1 {
                return Ok(None);
            }
        }
        self.territory.gather(view, most as usize)
    }

    fn take(&mut self, mut ids: Vec<EntryId>) {
        if let Some(after) = self.options.after {
            ids.retain(|id| *id > after);
        }
        ids.reverse();
        self.estimate.candidates = ids.len() as u64;
        self.queue = ids;
        self.source = Source::Queue;
    }

    fn scan(&mut self, total: u64, counted: bool) {
        self.source = Source::Scan { after: self.options.after.unwrap_or(EntryId::NONE), without: HashSet::new() };
        self.estimate = Estimate { candidates: total, indexed: !counted };
    }
}

/// A run in one snapshot.
pub struct Walk<'r, 't> {
    run: &'r mut SearchRun,
    view: View<'t>,
    gate: &'r dyn AttributeGate,
    open: Open<'t>,
    scan: Option<Cursor<'t>>,
    work: usize,
}

enum Candidate<'t> {
    Entry(Entry<'t>),
    None,
    End,
}

impl<'t> Walk<'_, 't> {
    /// The next thing to do. After [`Step::Done`] and [`Step::LookthroughExceeded`] it is [`Step::Done`] for ever.
    ///
    /// # Errors
    /// [`SearchError::Dit`]; the run cannot go on.
    #[expect(clippy::should_implement_trait, reason = "fallible, and what it returns is no option")]
    pub fn next(&mut self) -> Result<Step<'t>, SearchError> {
        loop {
            if self.run.finished {
                return Ok(Step::Done);
            }
            if self.work >= self.run.options.work_max.max(1) as usize {
                self.work = 0;
                return Ok(Step::Yield);
            }
            self.work += 1;
            let entry = match self.candidate()? {
                Candidate::Entry(entry) => entry,
                Candidate::None => continue,
                Candidate::End => {
                    self.run.source = Source::Queue;
                    let Some(id) = self.run.references.pop() else {
                        self.run.finished = true;
                        return Ok(Step::Done);
                    };
                    match self.referral(id)? {
                        Some(entry) => return Ok(Step::Reference(entry)),
                        None => continue,
                    }
                }
            };
            if !self.shows(&entry) || !self.run.territory.contains(self.view, &entry)? {
                continue;
            }
            let run = &mut *self.run;
            let limit = run.options.lookthrough_max.filter(|_| !run.estimate.indexed);
            if limit.is_some_and(|limit| run.examined >= limit) {
                run.finished = true;
                return Ok(Step::LookthroughExceeded);
            }
            run.examined += 1;
            // A thousand items are a thousand times the work, and others wait for this step to end.
            self.work += run.filter.cost() - 1;
            if run.judge.judge(&run.filter, self.view, &entry, self.gate)?.is_true() {
                return Ok(Step::Entry(entry));
            }
        }
    }

    /// The entry, if it is a referral entry in scope.
    fn referral(&mut self, id: EntryId) -> Result<Option<Entry<'t>>, SearchError> {
        let Some(entry) = self.view.entry(id)? else { return Ok(None) };
        let is_referral = entry.record.flags() & (ENTRY_REFERRAL | ENTRY_LOSER) == ENTRY_REFERRAL;
        let is_meant = is_referral && self.run.territory.contains(self.view, &entry)?;
        Ok(is_meant.then_some(entry))
    }

    fn candidate(&mut self) -> Result<Candidate<'t>, SearchError> {
        let run = &mut *self.run;
        loop {
            if let Some(id) = run.queue.pop() {
                return Ok(self.view.entry(id)?.map_or(Candidate::None, Candidate::Entry));
            }
            match &mut run.source {
                Source::Queue => return Ok(Candidate::End),
                Source::Sequence(sequence) => {
                    let (filled, steps) = sequence.fill(self.view, &mut self.open, run.batch, &mut run.queue)?;
                    run.queue.reverse();
                    run.batch = (run.batch * 2).min(BATCH_MAX);
                    // A key may have to be looked through for what it contains, which is half of judging an entry.
                    self.work += steps / 2;
                    match filled {
                        Filled::More if run.queue.is_empty() => return Ok(Candidate::None),
                        Filled::More => {}
                        Filled::End => run.source = Source::Queue,
                        Filled::Overflow => {
                            if let Source::Sequence(sequence) = std::mem::replace(&mut run.source, Source::Queue) {
                                run.source = Source::Scan { after: EntryId::NONE, without: sequence.into_seen() };
                            }
                        }
                    }
                }
                Source::Scan { after, without } => {
                    let item = match &mut self.scan {
                        Some(cursor) => cursor.next()?,
                        None => {
                            let cursor = self.scan.insert(self.view.reader().cursor(Table::Id2Entry)?.reading_ahead());
                            cursor.seek(&EntryId(after.0.saturating_add(1)).to_key())?
                        }
                    };
                    let Some((key, record)) = item else { return Ok(Candidate::End) };
                    let id = EntryId::from_key(key);
                    *after = id;
                    if !without.is_empty() && without.contains(&id) {
                        return Ok(Candidate::None);
                    }
                    return Ok(Candidate::Entry(Entry { id, record: ViewRecord::open(id, record)? }));
                }
            }
        }
    }

    /// Whether entries of this kind are results at all.
    fn shows(&self, entry: &Entry<'_>) -> bool {
        let (flags, options) = (entry.record.flags(), &self.run.options);
        if flags & ENTRY_LOSER != 0
            && (flags & ENTRY_PHANTOM != 0 || !(options.conflicts || entry.id == self.run.territory.base()))
        {
            return false;
        }
        if flags & (ENTRY_REFERRAL | ENTRY_ALIAS | ENTRY_SUBENTRY) == 0 {
            return options.subentries != Subentries::Only || options.scope == Scope::Base;
        }
        if options.scope == Scope::Base {
            return true;
        }
        if flags & ENTRY_REFERRAL != 0 && !options.manage_dsa_it {
            return false;
        }
        if flags & ENTRY_ALIAS != 0 && options.deref_in_searching {
            return false;
        }
        match options.subentries {
            Subentries::Hidden => flags & ENTRY_SUBENTRY == 0,
            Subentries::Included => true,
            Subentries::Only => flags & ENTRY_SUBENTRY != 0,
        }
    }
}
