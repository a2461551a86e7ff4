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
//! Not here: what the entries are that are not in the tree (`virtual_entry`), how the cookie is kept (`paged`).

mod dereference;
mod effective_rights;
mod form;
mod ordered;
mod running;
mod sort;
mod values;
mod virtual_base;
mod window;

use super::access::Access;
use super::control::{RequestControls, RequestKind};
use super::outcome::{OperationError, Outcome};
use super::paged::{self, Waiting};
use super::root_dse::default_search_base;
use super::selection::Selection;
use super::sync::{Following, Standing, SyncSearch};
use super::{DefaultSearchBase, Directory, Session, changelog, referral};
use crate::dit::{Entry, View};
use crate::model::{Dn, Filter, ResultCode, Scope};
use crate::search::{Base, CompiledFilter, Estimate, RunOptions, SearchRun, evaluate, find_base_by};
use crate::storage::EntryId;
use crate::wire::assurance::SESSION_TOKEN;
use crate::wire::{Controls, LdapResult, ResponseControl, ResponseKind, SearchRequest, response};
pub(super) use form::{Form, Looking};
use ordered::Order;
use running::Page;
pub(super) use running::Running;
pub(super) use sort::SortMemory;
use std::collections::VecDeque;
use std::sync::Arc;
pub(super) use values::ValuesFilter;
pub(super) use virtual_base::Rest;

/// Candidates up to which a search is run at once instead of as a task of its own.
const CHEAP_CANDIDATES_MAX: u64 = 2_048;
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
    FollowingChangelog(Box<changelog::Following>),
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
        if virtual_base::is_meant(&dn, request.scope) {
            let looking = Looking { directory: self, view, access: &access, id };
            return virtual_base::begin(&looking, session, &dn, request, controls);
        }
        let limits = options.limits.for_search(&session.requester, request.size_limit, request.time_limit);
        let deadline = limits.time.map(|time| self.dit.clock().monotonic() + time);
        if let Some(paging) = controls.paged.as_ref().filter(|paging| !paging.cookie.is_empty()) {
            let fingerprint = paged::fingerprint(request, controls);
            let waiting = session.paged.take(&paging.cookie, fingerprint, &session.requester)?;
            let Waiting::Tree(mut running) = waiting else { return Err(paged::not_yours()) };
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
                page.left = page_size(paging.size, options.limits.for_page(&session.requester));
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
            let filter = asked_by_client(view, assertion);
            if !evaluate(&filter, view, &base, &access)?.is_true() {
                return Err(OperationError::new(ResultCode::ASSERTION_FAILED, "the base entry does not match"));
            }
        }
        if controls.paged.as_ref().is_some_and(|paging| paging.size == 0) {
            return Ok(State::Answered(paged::ended(id)));
        }
        let (mut order, response_controls) = match Order::new(self, view, id, request, controls) {
            Order::None => (None, Vec::new()),
            Order::Kept(order) => (Some(order), Vec::new()),
            Order::Unsorted(said) => (None, vec![said]),
            Order::Refused(answer) => return Ok(State::Answered(answer)),
        };
        let filter = Arc::new(match &controls.sync {
            // What a copy has follows from the changes of the entries that it has.
            Some(_) => CompiledFilter::compile(view.catalog().schema(), &request.filter),
            None => asked_by_client(view, &request.filter),
        });
        let page = controls.paged.as_ref().map(|paging| Page {
            store: session.paged.clone(),
            fingerprint: paged::fingerprint(request, controls),
            left: page_size(paging.size, options.limits.for_page(&session.requester)),
        });
        let sent_max = match &page {
            Some(_) => options.limits.for_pages(&session.requester, request.size_limit),
            None => limits.size,
        };
        if let (Some(order), Some(most), None) = (&mut order, sent_max, &page) {
            order.limit(most);
        }
        let wanted = [sent_max.map(u64::from), page.as_ref().map(|page| page.left)].into_iter().flatten().min();
        let look_through = match &page {
            Some(_) => options.limits.look_through_by_pages(&session.requester),
            None => limits.look_through,
        };
        let run_options = RunOptions {
            deref_in_searching: request.deref.derefs_in_searching(),
            manage_dsa_it: controls.manage_dsa_it,
            subentries: controls.subentries,
            conflicts: controls.manage_conflicts,
            lookthrough_max: look_through.map(u64::from),
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
            referrals: VecDeque::new(),
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
            let search = Following::new(view, id, wanted, running)?;
            return Ok(State::Following(Box::new(search)));
        }
        running.plan(view)?;
        if !running.estimate.indexed {
            self.metrics.searches_unindexed_total.increment();
        }
        Ok(State::Running(running))
    }
}

fn asked_by_client(view: View<'_>, filter: &Filter<'_>) -> CompiledFilter {
    let schema = view.catalog().schema();
    CompiledFilter::compile(schema, filter).with_searched_members(schema)
}

fn page_size(asked: u32, most: Option<u32>) -> u64 {
    u64::from(most.map_or(asked, |most| asked.min(most)))
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
            State::InStep(_) | State::Following(_) | State::FollowingChangelog(_) => false,
        }
    }

    /// Whether it goes on until somebody ends it.
    pub fn is_endless(&self) -> bool {
        match &self.state {
            State::InStep(search) => search.is_endless(),
            State::Following(_) | State::FollowingChangelog(_) => true,
            State::Answered(_) | State::Running(_) => false,
        }
    }

    /// Entries looked at so far, for logs.
    pub fn examined(&self) -> u64 {
        match &self.state {
            State::Running(running) => running.run.as_ref().map_or(0, SearchRun::examined),
            _ => 0,
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
            State::FollowingChangelog(search) => {
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
