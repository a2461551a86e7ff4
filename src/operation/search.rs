//! Search (RFC 4511 4.5): from a request to entries in the output buffer, in pieces.
//!
//! A search is prepared once ([`Directory::search`]): base, rights, limits, filter, selection and plan. It then goes
//! on in steps, each in a fresh snapshot and bounded in bytes and work, so that no snapshot waits for a client and no
//! buffer grows with the result; a search by name or index is over after its first step. Behind a paged-results cookie
//! the same value waits for the next request.
//!
//! Invariants
//! - Every step looks at the rules anew: a right that was taken away ends with the step at hand.
//! - What the requester may not read is not sent, may not search is Undefined; an entry without any right is absent.
//! - Limits are counted over the whole search, over the pages of a paged one too.
//!
//! Not here: the entries that are not in the tree (`virtual_entry`), how the cookie is kept (`paged`).

mod dereference;
mod effective_rights;
mod form;
mod ordered;
mod sort;
mod values;

use super::access::{Access, Asker, Granted};
use super::control::{RequestControls, RequestKind};
use super::outcome::{OperationError, Outcome};
use super::paged::{self, PagedStore};
use super::root_dse::default_search_base;
use super::selection::Selection;
use super::sync::{Following, SendAs, Standing, SyncSearch, shows};
use super::{DefaultSearchBase, Directory, Session, deleted_entry, referral, virtual_entry};
use crate::dit::{Entry, View};
use crate::model::{Dn, Filter, ResultCode, Scope};
use crate::policy::limits::SearchLimits;
use crate::policy::rights::Right;
use crate::schema::AttributeTypeIndex;
use crate::search::{
    AttributeGate, Base, CompiledFilter, Estimate, RunOptions, SearchRun, Step, Subentries, evaluate,
    evaluate_attributes, find_base_by,
};
use crate::storage::EntryId;
use crate::wire::assurance::SESSION_TOKEN;
use crate::wire::sync::{SyncState, state_control};
use crate::wire::{Controls, LdapResult, ResponseControl, ResponseKind, SearchEntry, SearchRequest, response};
use form::Form;
pub(super) use form::Looking;
use ordered::{Order, Ordered, Sending};
use smallvec::SmallVec;
use sort::Gathered;
pub(super) use sort::SortMemory;
use std::sync::Arc;
use std::time::Duration;
pub(super) use values::ValuesFilter;

/// Candidates up to which a search is run at once instead of as a task of its own.
const CHEAP_CANDIDATES_MAX: u64 = 2_048;
/// Steps of the walk between two looks at the clock.
const CLOCK_EVERY: u32 = 128;
/// A search with more candidates is not kept between pages, but planned anew: memory is bounded by the page.
const KEPT_CANDIDATES_MAX: u64 = 16_384;

/// Whether there is more to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Call again.
    More,
    /// Nothing, until something is committed: a search that is kept in step. Call again then.
    Waits,
    /// The searchResultDone is in the buffer.
    Done,
}

/// A search at work. Owned; goes on wherever and whenever it is stepped.
pub struct SearchTask {
    id: i32,
    /// The response tells a session token.
    wants_token: bool,
    state: State,
}

enum State {
    /// All PDUs, ready.
    Answered(Vec<u8>),
    Running(Box<Running>),
    InStep(Box<SyncSearch>),
    Following(Box<Following>),
}

/// See the module.
pub(super) struct Running {
    asker: Asker,
    filter: Arc<CompiledFilter>,
    /// The types that the filter looks at; `None` when it may look at others too.
    filter_types: Option<Vec<AttributeTypeIndex>>,
    base: EntryId,
    options: RunOptions,
    /// `None` between pages when it is too large to be kept.
    run: Option<SearchRun>,
    estimate: Estimate,
    form: Form,
    /// The order that entries are to come in.
    order: Option<Box<Ordered>>,
    /// What goes with the result besides.
    response_controls: Vec<ResponseControl>,
    /// Entries sent, over all pages.
    sent: u64,
    sent_max: Option<u64>,
    deadline: Option<Duration>,
    page: Option<Page>,
    /// The entry that was found when the last page was full already.
    pending: Option<EntryId>,
    last: EntryId,
    /// Entries go with a sync state.
    send_as: Option<SendAs>,
    /// Deleted entries are to be sent too, after all others.
    show_deleted: bool,
}

struct Page {
    store: PagedStore,
    fingerprint: u128,
    /// Entries that this page may still have.
    left: u64,
}

/// Why a step ended.
pub(super) enum Pause {
    /// More to do.
    Budget,
    /// The page is full, and there is more.
    PageFull,
    /// All is sent.
    End(ResultCode, &'static str),
}

impl Directory {
    /// Begins a search. Never fails: what is wrong is said by the first [`SearchTask::step`].
    ///
    /// Cost: some microseconds (a snapshot, the base's name, the plan).
    pub fn search(
        &self,
        session: &mut Session,
        id: i32,
        request: &SearchRequest<'_>,
        controls: &Controls<'_>,
    ) -> SearchTask {
        let prepared = self
            .asked_about(session, controls, RequestKind::Search, request.base)
            .and_then(|asked| self.prepare(asked.session(session), id, request, &asked.controls));
        let state = prepared.unwrap_or_else(|error| {
            let mut out = Vec::new();
            error.respond(&mut out, id, ResponseKind::SearchDone, &[]);
            State::Answered(out)
        });
        SearchTask { id, wants_token: controls.find(SESSION_TOKEN).is_some(), state }
    }

    fn prepare(
        &self,
        session: &Session,
        id: i32,
        request: &SearchRequest<'_>,
        controls: &RequestControls,
    ) -> Outcome<State> {
        if controls.dont_use_copy {
            // RFC 6171: a node that may not take changes holds a copy of what others have.
            self.check_gate()?;
        }
        let snapshot = self.dit.read()?;
        let view = snapshot.view();
        let access = self.access(&session.requester, view)?;
        let dn = Dn::parse(request.base)?;
        let options = self.options();
        if let Some(answer) = virtual_entry::search(self, session, view, &dn, id, request, controls)? {
            if controls.sync.is_some() {
                let text = "this entry is no content that can be kept in step";
                return Err(OperationError::new(ResultCode::UNWILLING_TO_PERFORM, text));
            }
            return Ok(State::Answered(answer));
        }
        let limits = options.limits.for_search(&session.requester.kind, request.size_limit, request.time_limit);
        let deadline = limits.time.map(|time| self.dit.clock().monotonic() + time);
        if let Some(paging) = controls.paged.as_ref().filter(|paging| !paging.cookie.is_empty()) {
            let mut running = session.paged.take(&paging.cookie, paged::fingerprint(request, controls))?;
            if !running.asker.is(&session.requester) {
                return Err(paged::not_yours());
            }
            if paging.size == 0 {
                return Ok(State::Answered(paged::ended(id)));
            }
            running.deadline = deadline;
            if running.run.is_none() && running.order.is_none() {
                let options = RunOptions { after: Some(running.last), ..running.options.clone() };
                running.run = Some(SearchRun::new(view, running.base, Arc::clone(&running.filter), options)?);
                running.pending = None;
            }
            if let Some(page) = &mut running.page {
                page.left = page_size(paging.size, options.limits.for_search(&session.requester.kind, 0, 0));
            }
            return Ok(State::Running(running));
        }
        let base = if dn.is_root() { Some(empty_base(view, &options.default_search_base)?) } else { None };
        let found = match base {
            Some(id) => Base::Entry(id),
            None => {
                let may_follow = |alias: &Entry<'_>| access.is_visible(alias);
                find_base_by(view, &dn, request.deref, controls.manage_dsa_it, &may_follow)?
            }
        };
        let base = base_entry(view, &access, &dn, request.scope, found)?;
        if let Some(assertion) = &controls.assertion {
            let filter = CompiledFilter::compile(view.catalog().schema(), assertion);
            if !evaluate(&filter, view, &base, &access)?.is_true() {
                return Err(OperationError::new(ResultCode::ASSERTION_FAILED, "the base entry does not match"));
            }
        }
        if controls.paged.as_ref().is_some_and(|paging| paging.size == 0) {
            return Ok(State::Answered(paged::ended(id)));
        }
        let (order, response_controls) = match Order::new(self, view, id, request, controls) {
            Order::None => (None, Vec::new()),
            Order::Kept(order) => (Some(order), Vec::new()),
            Order::Unsorted(said) => (None, vec![said]),
            Order::Refused(state) => return Ok(state),
        };
        let filter = Arc::new(CompiledFilter::compile(view.catalog().schema(), &request.filter));
        let page = controls.paged.as_ref().map(|paging| Page {
            store: session.paged.clone(),
            fingerprint: paged::fingerprint(request, controls),
            left: page_size(paging.size, options.limits.for_search(&session.requester.kind, 0, 0)),
        });
        let sent_max = match &page {
            // A page counts by itself, but for those whose limit is against gathering everything.
            Some(_) if !session.requester.is_anonymous() => Some(request.size_limit).filter(|limit| *limit != 0),
            _ => limits.size,
        };
        let wanted = [sent_max.map(u64::from), page.as_ref().map(|page| page.left)].into_iter().flatten().min();
        let run_options = RunOptions {
            deref_in_searching: request.deref.derefs_in_searching(),
            manage_dsa_it: controls.manage_dsa_it,
            subentries: controls.subentries,
            conflicts: controls.manage_conflicts,
            lookthrough_max: limits.look_through.map(u64::from),
            wanted: wanted.filter(|_| order.is_none()).map(|wanted| wanted.saturating_add(1)),
            ordered: page.is_some() && order.is_none(),
            ..RunOptions::new(request.scope)
        };
        let selection = Selection::new(view.catalog(), request.attributes.iter().copied(), request.types_only);
        let form = Form::new(self, view.catalog(), session, selection, controls)?;
        let mut running = Box::new(Running {
            asker: access.asker(),
            filter_types: (!names_no_attribute(&request.filter)).then(|| filter.attribute_types().to_vec()),
            filter,
            base: base.id,
            options: run_options,
            estimate: Estimate { candidates: 0, indexed: true },
            run: None,
            form,
            order,
            response_controls,
            sent: 0,
            sent_max: sent_max.map(u64::from),
            deadline,
            page,
            pending: None,
            last: EntryId::NONE,
            send_as: None,
            show_deleted: controls.show_deleted && session.requester.is_administrator() && controls.sync.is_none(),
        });
        if let Some(sync) = &controls.sync {
            running.keep_in_step();
            let search = SyncSearch::new(session, view, id, request, controls, sync, running)?;
            return Ok(State::InStep(Box::new(search)));
        }
        if let Some(wanted) = controls.persistent {
            running.deadline = None;
            let search = Following::new(view, id, session.requester.entry_uuid(), wanted, running)?;
            return Ok(State::Following(Box::new(search)));
        }
        running.plan(view)?;
        if !running.estimate.indexed {
            self.metrics.searches_unindexed_total.increment();
        }
        Ok(State::Running(running))
    }
}

fn page_size(asked: u32, limits: SearchLimits) -> u64 {
    u64::from(limits.size.map_or(asked, |limit| asked.min(limit)))
}

/// Where a search with an empty base starts.
fn empty_base(view: View<'_>, configured: &DefaultSearchBase) -> Outcome<EntryId> {
    default_search_base(view, configured)?.ok_or_else(|| {
        let mut error = OperationError::no_such_object("");
        "name the suffix to search; the root DSE's namingContexts lists them".clone_into(&mut error.diagnostic);
        error
    })
}

/// The base as the requester may know it.
fn base_entry<'v>(view: View<'v>, access: &Access<'_>, dn: &Dn, scope: Scope, found: Base) -> Outcome<Entry<'v>> {
    match found {
        Base::Entry(id) => match view.entry(id)? {
            Some(entry) if access.is_visible(&entry) => Ok(entry),
            Some(entry) => Err(access.no_such_object(Some(view.superior(&entry)))?),
            None => Err(access.no_such_object(None)?),
        },
        Base::Missing { matched } => Err(access.no_such_object(matched)?),
        Base::Referral { entry, missing } => Err(referral::instead(view, access, entry, dn, missing, Some(scope))?),
        Base::AliasProblem { alias } => {
            let matched = access.visible_name(Some(alias))?;
            let text = "an alias on the way to the base entry names no entry that is here";
            Err(OperationError::new(ResultCode::ALIAS_PROBLEM, text).matched(matched))
        }
    }
}

/// Whether some item of the filter names no attribute, and so looks at all that its rule fits.
fn names_no_attribute(filter: &Filter<'_>) -> bool {
    match filter {
        Filter::And(filters) | Filter::Or(filters) => filters.iter().any(names_no_attribute),
        Filter::Not(filter) => names_no_attribute(filter),
        Filter::Extensible(extensible) => extensible.attribute.is_none(),
        _ => false,
    }
}

impl SearchTask {
    /// Whether it may be run at once rather than as a task of its own.
    pub fn estimate_is_cheap(&self) -> bool {
        match &self.state {
            State::Answered(_) => true,
            State::Running(running) => running.estimate.candidates <= CHEAP_CANDIDATES_MAX,
            State::InStep(_) | State::Following(_) => false,
        }
    }

    /// Whether it goes on until somebody ends it.
    pub fn is_endless(&self) -> bool {
        match &self.state {
            State::InStep(search) => search.is_endless(),
            State::Following(_) => true,
            State::Answered(_) | State::Running(_) => false,
        }
    }

    /// Entries looked at so far, for logs.
    pub fn examined(&self) -> u64 {
        match &self.state {
            State::Answered(_) | State::InStep(_) | State::Following(_) => 0,
            State::Running(running) => running.run.as_ref().map_or(0, SearchRun::examined),
        }
    }

    /// Appends PDUs to `out` until some `bytes_max` bytes more are in it, a piece of work is done, or the search is.
    pub fn step(&mut self, directory: &Directory, out: &mut Vec<u8>, bytes_max: usize) -> Progress {
        let id = self.id;
        let (paged, outcome) = match &mut self.state {
            State::Answered(answer) => {
                out.append(answer);
                return Progress::Done;
            }
            State::InStep(search) => {
                let standing = search.step(directory, out, bytes_max);
                return stand(standing, id, out);
            }
            State::Following(search) => {
                let standing = search.step(directory, out, bytes_max);
                return stand(standing, id, out);
            }
            State::Running(running) => (running.page.is_some(), running.step(directory, id, out, bytes_max)),
        };
        let mut cookie = Vec::new();
        let mut failure = None;
        let result = match &outcome {
            Ok(Pause::Budget) => return Progress::More,
            Ok(Pause::PageFull) => LdapResult::plain(ResultCode::SUCCESS),
            Ok(Pause::End(code, diagnostic)) => LdapResult::new(*code, diagnostic),
            Err(error) => error.as_result(),
        };
        let mut estimate = 0;
        let mut more = Vec::new();
        let state = std::mem::replace(&mut self.state, State::Answered(Vec::new()));
        if let State::Running(running) = state {
            more.clone_from(&running.response_controls);
            // How much there may be is known from indexes, which know no access rules.
            estimate = if running.asker.is_administrator() { running.estimate.candidates } else { 0 };
            if matches!(outcome, Ok(Pause::PageFull)) {
                match running.keep() {
                    Ok(kept) => cookie = kept,
                    Err(error) => failure = Some(error),
                }
            }
        }
        let token = if self.wants_token { directory.token_control() } else { None };
        let paged = paged.then(|| paged::response(estimate, &cookie));
        let controls: Vec<ResponseControl> = paged.into_iter().chain(more).chain(token).collect();
        let result = failure.as_ref().map_or(result, OperationError::as_result);
        response::result(out, id, ResponseKind::SearchDone, &result, &controls);
        Progress::Done
    }

    /// Ends the search without an answer (RFC 4511 4.11).
    pub fn abandon(self) {}

    /// Ends the search with the answer canceled (RFC 3909).
    pub fn cancel(self, out: &mut Vec<u8>) {
        response::result(out, self.id, ResponseKind::SearchDone, &LdapResult::plain(ResultCode::CANCELED), &[]);
    }
}

fn stand(standing: Outcome<Standing>, id: i32, out: &mut Vec<u8>) -> Progress {
    match standing {
        Ok(Standing::More) => Progress::More,
        Ok(Standing::Waits) => Progress::Waits,
        Ok(Standing::Ends(code, text, control)) => {
            let result = LdapResult::new(code, text);
            response::result(out, id, ResponseKind::SearchDone, &result, control.as_slice());
            Progress::Done
        }
        Err(error) => {
            error.respond(out, id, ResponseKind::SearchDone, &[]);
            Progress::Done
        }
    }
}

/// Which attributes may be used in the filter; one look at a bit where the rules are the same for all entries.
struct SearchGate<'a, 'v> {
    access: &'a Access<'v>,
    everywhere: Option<Granted>,
    is_open: bool,
}

impl AttributeGate for SearchGate<'_, '_> {
    fn searchable(&self, entry: &Entry<'_>, attribute: AttributeTypeIndex) -> bool {
        match &self.everywhere {
            Some(granted) => granted.for_attribute(Some(attribute)),
            None => self.access.may_search(entry, attribute),
        }
    }

    fn unrestricted(&self) -> bool {
        self.is_open
    }
}

/// What a search that is kept in step (`sync`) takes of a plain one.
impl Running {
    pub(super) fn asker(&self) -> &Asker {
        &self.asker
    }

    pub(super) fn base(&self) -> EntryId {
        self.base
    }

    pub(super) fn filter(&self) -> &CompiledFilter {
        &self.filter
    }

    pub(super) fn options(&self) -> &RunOptions {
        &self.options
    }

    pub(super) fn form(&mut self) -> &mut Form {
        &mut self.form
    }

    pub(super) fn selection(&mut self) -> &mut Selection {
        &mut self.form.selection
    }

    pub(super) fn send_as(&mut self, send_as: Option<SendAs>) {
        self.send_as = send_as;
    }

    /// Entries in the order of their creation, whatever time it takes; of a whole copy subentries are a part.
    fn keep_in_step(&mut self) {
        self.options.ordered = true;
        self.deadline = None;
        self.form.selection.leave_out_what_is_local();
        if self.options.manage_dsa_it && self.options.subentries == Subentries::Hidden {
            self.options.subentries = Subentries::Included;
        }
    }

    /// Begins from the beginning.
    pub(super) fn plan(&mut self, view: View<'_>) -> Outcome<()> {
        let run = SearchRun::new(view, self.base, Arc::clone(&self.filter), self.options.clone())?;
        self.estimate = run.estimate();
        self.run = Some(run);
        self.sent = 0;
        Ok(())
    }

    /// Frees what only a walk needs.
    pub(super) fn forget_plan(&mut self) {
        self.run = None;
    }
}

impl Running {
    pub(super) fn step(
        &mut self,
        directory: &Directory,
        id: i32,
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Outcome<Pause> {
        let snapshot = directory.dit.read()?;
        let view = snapshot.view();
        self.form.renew(view)?;
        let access = directory.access.renew(&directory.dit, &self.asker, view)?;
        let base = view.entry(self.base)?.filter(|_| !self.options.deref_in_searching);
        let below = |right| base.as_ref().and_then(|base| access.granted_below(base, right));
        let (search, read) = (below(Right::Search), below(Right::Read));
        let is_open = search.as_ref().is_some_and(|granted| match &self.filter_types {
            Some(types) => types.iter().all(|index| granted.for_attribute(Some(*index))),
            None => granted.for_every_attribute(),
        });
        let gate = SearchGate { access: &access, everywhere: search, is_open };
        let clock = directory.dit.clock();
        let is_late = |deadline: Option<Duration>| deadline.is_some_and(|deadline| clock.monotonic() > deadline);
        if is_late(self.deadline) {
            return Ok(Pause::End(ResultCode::TIME_LIMIT_EXCEEDED, TIME_LIMIT));
        }
        let granted = |entry: &Entry<'_>| match &read {
            Some(granted) => granted.clone(),
            None => access.granted(entry, Right::Read),
        };
        let looking = Looking { directory, view, access: &access, id };
        let sending = Sending { at: &looking, gate: &gate, granted: &granted };
        if self.order.as_ref().is_some_and(|order| !order.is_gathering()) {
            return self.send_in_order(&sending, out, bytes_max);
        }
        let Self { run, form, order, sent, sent_max, deadline, page, pending, last, filter, options, send_as, .. } =
            self;
        let base_id = &self.base;
        if let Some(send_as) = send_as {
            send_as.told.renew();
        }
        let start = out.len();
        let mut until_clock = CLOCK_EVERY;
        let mut first = match pending.take() {
            Some(id) => view.entry(id)?,
            None => None,
        };
        let Some(run) = run else { return Ok(Pause::End(ResultCode::SUCCESS, "")) };
        let mut walk = run.walk(view, &gate)?;
        loop {
            let step = match first.take() {
                Some(entry) if evaluate(filter, view, &entry, &gate)?.is_true() => Step::Entry(entry),
                _ => walk.next()?,
            };
            match step {
                Step::Entry(entry) => {
                    let granted = granted(&entry);
                    if !granted.for_anything() {
                        continue;
                    }
                    if let Some(order) = order {
                        match order.gather(view, &entry, &granted)? {
                            Gathered::Yes => {}
                            why => {
                                drop(walk);
                                return self.give_up_order(view, why);
                            }
                        }
                        until_clock -= 1;
                        if until_clock == 0 {
                            until_clock = CLOCK_EVERY;
                            if is_late(*deadline) {
                                return Ok(Pause::End(ResultCode::TIME_LIMIT_EXCEEDED, TIME_LIMIT));
                            }
                        }
                        continue;
                    }
                    if sent_max.is_some_and(|most| *sent >= most) {
                        return Ok(Pause::End(ResultCode::SIZE_LIMIT_EXCEEDED, SIZE_LIMIT));
                    }
                    if let Some(page) = page {
                        if page.left == 0 {
                            *pending = Some(entry.id);
                            return Ok(Pause::PageFull);
                        }
                        page.left -= 1;
                    }
                    *last = entry.id;
                    let mut line = SmallVec::<[_; 1]>::new();
                    if let Some(send_as) = send_as {
                        for superior in send_as.told.missing(view, &entry, *base_id)? {
                            let granted = access.granted(&superior, Right::Read);
                            let is_in_scope = match options.scope {
                                Scope::Subtree => true,
                                Scope::Subordinate => superior.id != *base_id,
                                Scope::Base | Scope::OneLevel => false,
                            };
                            if is_in_scope
                                && shows(&superior, options, *base_id)
                                && granted.for_anything()
                                && evaluate(filter, view, &superior, &gate)?.is_true()
                            {
                                line.push((superior, granted));
                            }
                        }
                        if send_as.told.is_due(view, &entry)? {
                            line.push((entry, granted));
                        }
                    } else {
                        line.push((entry, granted));
                    }
                    for (entry, granted) in &line {
                        if sent_max.is_some_and(|most| *sent >= most) {
                            return Ok(Pause::End(ResultCode::SIZE_LIMIT_EXCEEDED, SIZE_LIMIT));
                        }
                        if let Some(send_as) = send_as
                            && send_as.is_taken_out(view, entry)?
                        {
                            let name = view.dn_text(*base_id)?.unwrap_or_default();
                            let pdu = SearchEntry::begin(out, id, name.as_bytes());
                            pdu.finish(&[state_control(SyncState::Delete, &entry.record.uuid().0)]);
                        }
                        let state = send_as.as_ref().map(|send_as| {
                            form.selection.show_entry_csn(Some(send_as.entry_csn(entry.record.csn())));
                            state_control(SyncState::Add, &entry.record.uuid().0)
                        });
                        form.send(&looking, entry, granted, state, out)?;
                        *sent += 1;
                        directory.metrics.entries_sent_total.increment();
                    }
                }
                Step::Reference(entry) => {
                    if send_as.is_none() && access.is_visible(&entry) {
                        let urls = referral::continuation(view, &entry, options.scope)?;
                        if !urls.is_empty() {
                            response::search_reference(out, id, &urls, &[]);
                            directory.metrics.references_sent_total.increment();
                        }
                    }
                }
                Step::Yield => return Ok(Pause::Budget),
                Step::LookthroughExceeded => {
                    return Ok(Pause::End(ResultCode::ADMIN_LIMIT_EXCEEDED, LOOK_THROUGH));
                }
                Step::Done => {
                    drop(walk);
                    if order.is_some() {
                        return match self.put_in_order(view) {
                            Some(pause) => Ok(pause),
                            None => self.send_in_order(&sending, out, bytes_max),
                        };
                    }
                    return if self.show_deleted { self.send_deleted(directory, view, id, out) } else { END };
                }
            }
            if out.len() - start >= bytes_max {
                return Ok(Pause::Budget);
            }
            until_clock -= 1;
            if until_clock == 0 {
                until_clock = CLOCK_EVERY;
                if is_late(*deadline) {
                    return Ok(Pause::End(ResultCode::TIME_LIMIT_EXCEEDED, TIME_LIMIT));
                }
            }
        }
    }

    /// Sends what was deleted below the base, all at once.
    fn send_deleted(&mut self, directory: &Directory, view: View<'_>, id: i32, out: &mut Vec<u8>) -> Outcome<Pause> {
        let schema = view.catalog().schema();
        let base = view.dn_text(self.base)?.unwrap_or_default();
        let Self { filter, form, sent, sent_max, .. } = self;
        let mut is_over = false;
        deleted_entry::visit_former(view, &base, self.options.scope, &mut |entry| {
            if !evaluate_attributes(filter, schema, &entry.attributes).is_true() {
                return Ok(true);
            }
            is_over = sent_max.is_some_and(|most| *sent >= most);
            if is_over {
                return Ok(false);
            }
            let mut pdu = SearchEntry::begin(out, id, entry.dn.as_bytes());
            form.selection.write_attributes(schema, &entry.attributes, &mut pdu);
            pdu.finish(&[]);
            *sent += 1;
            directory.metrics.entries_sent_total.increment();
            Ok(true)
        })?;
        if is_over { Ok(Pause::End(ResultCode::SIZE_LIMIT_EXCEEDED, SIZE_LIMIT)) } else { END }
    }

    /// Puts the search behind a new cookie.
    fn keep(mut self: Box<Self>) -> Outcome<Vec<u8>> {
        let Some(page) = &self.page else { return Ok(Vec::new()) };
        let (store, fingerprint) = (page.store.clone(), page.fingerprint);
        if self.order.is_none() && self.estimate.candidates > KEPT_CANDIDATES_MAX && self.last != EntryId::NONE {
            self.run = None;
        }
        store.put(self, fingerprint)
    }
}

const END: Outcome<Pause> = Ok(Pause::End(ResultCode::SUCCESS, ""));
const TIME_LIMIT: &str = "the time allowed is over; what was found so far was sent";
const SIZE_LIMIT: &str = "more entries match than are allowed in one answer; the first were sent";
const LOOK_THROUGH: &str =
    "no index serves this filter, and too many entries would have to be looked at; name an indexed attribute";
