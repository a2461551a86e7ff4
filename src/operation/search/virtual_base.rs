//! Searches whose base is not in the tree (`virtual_entry`): answered at once, with the same controls as others.
//!
//! Entries are few there, or asked for by pages: an answer has [`ENTRIES_MAX`] of them and [`ANSWER_BYTES_MAX`] bytes at
//! most. Sorted ones and list views are gathered as names, put in order by the same code as the tree's, and looked for again
//! when they are sent. What cannot be had is refused where it is critical and has no effect else (RFC 4511 4.1.11):
//! content synchronisation, whose cookies speak of entries of the tree, and persistent search but at cn=changelog, as the
//! others are made when somebody asks, and no change stands for theirs.
//!
//! Invariants
//! - A cookie is as those of the tree (`paged`): of one session, one requester and one search, and good once.
//! - Entries are told as rules have it when they are sent, whatever they were when they were put in order.

use super::form::{Form, Looking};
use super::ordered::{InOrder, Order, Ordered, Refusal};
use super::running::SIZE_LIMIT;
use super::sort::{Gathered, Reservation};
use super::{State, page_size};
use crate::model::{Attribute, Dn, Filter, ResultCode, Scope};
use crate::operation::access::Asker;
use crate::operation::control::RequestControls;
use crate::operation::outcome::{OperationError, Outcome};
use crate::operation::paged::{self, Waiting};
use crate::operation::selection::Selection;
use crate::operation::telling::Feed;
use crate::operation::virtual_entry::{self, VirtualEntry, Visit};
use crate::operation::{Session, changelog};
use crate::search::{CompiledFilter, Subentries, evaluate_attributes};
use crate::wire::control::PERSISTENT_SEARCH;
use crate::wire::sync::SYNC_REQUEST;
use crate::wire::{LdapResult, ResponseControl, ResponseKind, SearchRequest, response};

/// Entries of one answer, and of what is sorted.
const ENTRIES_MAX: u32 = 10_000;
/// Bytes of one answer; one entry more may be begun.
const ANSWER_BYTES_MAX: usize = 16 << 20;

const NO_SYNC: &str = "content synchronisation is served for entries of the tree, below the root DSE's namingContexts; \
                       persistent search follows cn=changelog too";
const NO_FOLLOWING: &str =
    "persistent search is served for entries of the tree, below the root DSE's namingContexts, and at cn=changelog";

/// What is left of a search by pages.
pub(in crate::operation) struct Rest {
    asker: Asker,
    from: From,
    /// Entries sent by all pages so far.
    sent: u32,
    response_controls: Vec<ResponseControl>,
}

impl Rest {
    pub(in crate::operation) fn asker(&self) -> &Asker {
        &self.asker
    }
}

/// Where a page begins.
enum From {
    /// With the base.
    Base,
    /// Behind the entry at this position; behind the base if it is empty.
    Behind(Vec<u8>),
    /// With the first of these, in order.
    Names { names: Vec<String>, at: usize, reserved: Reservation },
}

/// Whether a search is one of these.
pub(super) fn is_meant(dn: &Dn, scope: Scope) -> bool {
    virtual_entry::is_base(dn, scope)
}

/// Begins a search from `dn`, of which [`is_meant`] is true; but for persistent ones it is answered with that.
pub(super) fn begin(
    at: &Looking<'_, '_>,
    session: &Session,
    dn: &Dn,
    request: &SearchRequest<'_>,
    controls: &RequestControls,
) -> Outcome<State> {
    refuse_what_is_not_served(dn, controls)?;
    let Looking { directory, view, access, id } = *at;
    let Some(base) = virtual_entry::find(directory, session, view, dn)? else {
        return Err(OperationError::no_such_object(""));
    };
    let schema = view.catalog().schema();
    let paging = controls.paged.as_ref();
    let rest = match paging.filter(|paging| !paging.cookie.is_empty()) {
        Some(paging) => {
            let fingerprint = paged::fingerprint(request, controls);
            match session.paged.take(&paging.cookie, fingerprint, &session.requester)? {
                Waiting::Virtual(rest) => Some(*rest),
                Waiting::Tree(_) => return Err(paged::not_yours()),
            }
        }
        None => None,
    };
    if let Some(assertion) = controls.assertion.as_ref().filter(|_| rest.is_none()) {
        let filter = CompiledFilter::compile(schema, assertion);
        if !evaluate_attributes(&filter, schema, &base.attributes).is_true() {
            return Err(OperationError::new(ResultCode::ASSERTION_FAILED, "the base entry does not match"));
        }
    }
    if paging.is_some_and(|paging| paging.size == 0) {
        return Ok(State::Answered(paged::ended(id)));
    }
    let filter = CompiledFilter::compile(schema, &request.filter);
    let selection = Selection::new(view.catalog(), request.attributes.iter().copied(), request.types_only);
    let mut form = Form::new(directory, view.catalog(), session, selection, controls)?;
    form.renew(view)?;
    if let Some(wanted) = controls.persistent.filter(|_| is_followed(dn)) {
        let with_base = matches!(request.scope, Scope::Base | Scope::Subtree);
        let is_below = dn.rdns().len() == 1 && request.scope != Scope::Base;
        let content = changelog::Content { base: with_base.then_some(base), is_below };
        let following = changelog::Following::new(at, wanted, content, request, filter, form)?;
        return Ok(State::FollowingChangelog(Box::new(following)));
    }
    let question = Question { session, dn, base, request, filter, subentries: controls.subentries };
    let rest = match rest {
        Some(rest) => rest,
        None => {
            let begun = |from, response_controls| Rest { asker: access.asker(), from, sent: 0, response_controls };
            match Order::new(directory, view, id, request, controls) {
                Order::None => begun(From::Base, Vec::new()),
                Order::Unsorted(said) => begun(From::Base, vec![said]),
                Order::Refused(answer) => return Ok(State::Answered(answer)),
                Order::Kept(order) => match question.put_in_order(at, order)? {
                    Ok((from, response_controls)) => begun(from, response_controls),
                    Err((code, text, controls)) => {
                        let mut out = Vec::new();
                        response::result(
                            &mut out,
                            id,
                            ResponseKind::SearchDone,
                            &LdapResult::new(code, text),
                            &controls,
                        );
                        return Ok(State::Answered(out));
                    }
                },
            }
        }
    };
    let page = paging.map(|paging| {
        let size = page_size(paging.size, directory.options().limits.for_page(&session.requester));
        u32::try_from(size).unwrap_or(u32::MAX)
    });
    let mut answer = Answer {
        at,
        form,
        question: &question,
        sent_max: Some(request.size_limit).filter(|most| *most > 0).map(|most| most.saturating_sub(rest.sent)),
        page,
        out: Vec::new(),
        sent: 0,
        is_over: false,
    };
    let asker = rest.asker;
    let (sent_before, response_controls) = (rest.sent, rest.response_controls);
    let next = answer.fill(rest.from)?;
    let Answer { mut out, sent, is_over, .. } = answer;
    let cookie = match next.filter(|_| !is_over && paging.is_some()) {
        Some(from) => {
            let sent = sent_before.saturating_add(sent);
            let rest = Rest { asker, from, sent, response_controls: response_controls.clone() };
            session.paged.put(Waiting::Virtual(Box::new(rest)), paged::fingerprint(request, controls))?
        }
        None => Vec::new(),
    };
    let result = match is_over {
        true => LdapResult::new(ResultCode::SIZE_LIMIT_EXCEEDED, SIZE_LIMIT),
        false => LdapResult::plain(ResultCode::SUCCESS),
    };
    // How many there are is not known.
    let paged = paging.map(|_| paged::response(0, &cookie));
    let token = if controls.session_token.is_some() { directory.token_control() } else { None };
    let controls: Vec<ResponseControl> = paged.into_iter().chain(response_controls).chain(token).collect();
    response::result(&mut out, id, ResponseKind::SearchDone, &result, &controls);
    Ok(State::Answered(out))
}

fn is_followed(dn: &Dn) -> bool {
    virtual_entry::feed_of(dn) == Some(Feed::Changelog)
}

/// # Errors
/// unavailableCriticalExtension for a critical control that has no meaning for what is not in the tree.
fn refuse_what_is_not_served(dn: &Dn, controls: &RequestControls) -> Outcome<()> {
    let following = controls.persistent.is_some() && !is_followed(dn);
    for (came, oid, text) in
        [(controls.sync.is_some(), SYNC_REQUEST, NO_SYNC), (following, PERSISTENT_SEARCH, NO_FOLLOWING)]
    {
        if came && controls.is_critical(oid) {
            return Err(OperationError::new(ResultCode::UNAVAILABLE_CRITICAL_EXTENSION, text));
        }
    }
    Ok(())
}

/// What is asked.
struct Question<'q> {
    session: &'q Session,
    dn: &'q Dn,
    base: VirtualEntry,
    request: &'q SearchRequest<'q>,
    filter: CompiledFilter,
    subentries: Subentries,
}

impl Question<'_> {
    /// Whether an entry is a result.
    fn is_met_by(&self, at: &Looking<'_, '_>, entry: &VirtualEntry) -> bool {
        let is_shown =
            self.subentries != Subentries::Only || self.request.scope == Scope::Base || is_subentry(&entry.attributes);
        is_shown && evaluate_attributes(&self.filter, at.view.catalog().schema(), &entry.attributes).is_true()
    }

    /// Visits all that are in the scope, the base first; from behind the position `after` on, if there is one.
    fn visit(&self, at: &Looking<'_, '_>, after: Option<&[u8]>, visit: Visit<'_>) -> Outcome<()> {
        let scope = self.request.scope;
        if after.is_none() && matches!(scope, Scope::Base | Scope::Subtree) && !visit(&[], self.base.clone())? {
            return Ok(());
        }
        if scope == Scope::Base {
            return Ok(());
        }
        let filter: &Filter<'_> = &self.request.filter;
        let after = after.unwrap_or_default();
        virtual_entry::visit_below(self.dn, at.directory, self.session, at.view, after, filter, visit)
    }

    /// Gathers all entries and puts them in order; where they are too many and the client does not insist, the search
    /// goes on unsorted.
    fn put_in_order(
        &self,
        at: &Looking<'_, '_>,
        mut order: Box<Ordered>,
    ) -> Outcome<Result<(From, Vec<ResponseControl>), Refusal>> {
        let schema = at.view.catalog().schema();
        let mut names: Vec<String> = Vec::new();
        let mut gathered = Gathered::Yes;
        self.visit(at, None, &mut |_, entry| {
            if !self.is_met_by(at, &entry) {
                return Ok(true);
            }
            gathered = match names.len() < ENTRIES_MAX as usize {
                true => order.gather_told(schema, &entry.attributes, names.len() as u64)?,
                false => Gathered::TooMuch,
            };
            names.push(entry.dn);
            Ok(gathered == Gathered::Yes)
        })?;
        if gathered != Gathered::Yes {
            let (controls, ended) = order.given_up(gathered);
            return Ok(match ended {
                Some((code, text)) => Err((code, text, controls)),
                None => Ok((From::Base, controls)),
            });
        }
        Ok(order.end_told(at.view).map(|InOrder { numbers, controls, reserved }| {
            let places = numbers.into_iter().filter_map(|number| usize::try_from(number).ok());
            let names = places.filter_map(|place| names.get_mut(place).map(std::mem::take)).collect();
            (From::Names { names, at: 0, reserved }, controls)
        }))
    }
}

/// Of an entry that is not in the tree (RFC 3672 2.1).
fn is_subentry(attributes: &[Attribute]) -> bool {
    let mut classes = attributes.iter().filter(|found| found.description.name().eq_ignore_ascii_case("objectClass"));
    classes.any(|classes| classes.values.iter().any(|class| class.eq_ignore_ascii_case(b"subentry")))
}

/// One answer as it is made.
struct Answer<'a, 'v> {
    at: &'a Looking<'a, 'v>,
    form: Form,
    question: &'a Question<'a>,
    /// Entries that the size limit leaves.
    sent_max: Option<u32>,
    /// Entries that the page has.
    page: Option<u32>,
    out: Vec<u8>,
    sent: u32,
    /// There are more than are allowed.
    is_over: bool,
}

impl Answer<'_, '_> {
    /// Sends what there is from `from` on, as far as it goes. Returns where the next page begins; `None`: there is no more.
    fn fill(&mut self, from: From) -> Outcome<Option<From>> {
        let (at, question) = (self.at, self.question);
        let after = match from {
            From::Names { names, at: first, reserved } => {
                for (place, name) in names.iter().enumerate().skip(first) {
                    let entry = match virtual_entry::find(at.directory, question.session, at.view, &Dn::parse(name)?) {
                        Ok(Some(entry)) => entry,
                        Ok(None) => continue,
                        Err(error) if error.code == ResultCode::NO_SUCH_OBJECT => continue,
                        Err(error) => return Err(error),
                    };
                    if !self.take(&entry)? {
                        return Ok(Some(From::Names { names, at: place, reserved }));
                    }
                }
                return Ok(None);
            }
            From::Base => None,
            From::Behind(position) => Some(position),
        };
        let mut last = after.clone();
        let mut is_all = true;
        question.visit(at, after.as_deref(), &mut |position, entry| {
            is_all = self.take(&entry)?;
            if is_all {
                last = Some(position.to_vec());
            }
            Ok(is_all)
        })?;
        Ok((!is_all).then(|| last.map_or(From::Base, From::Behind)))
    }

    /// Sends an entry if it is a result; false when there is no room for it.
    fn take(&mut self, entry: &VirtualEntry) -> Outcome<bool> {
        if !self.question.is_met_by(self.at, entry) {
            return Ok(true);
        }
        let is_full =
            self.sent >= self.page.unwrap_or(ENTRIES_MAX).min(ENTRIES_MAX) || self.out.len() >= ANSWER_BYTES_MAX;
        self.is_over = self.sent_max.is_some_and(|most| self.sent >= most) || (is_full && self.page.is_none());
        if self.is_over || is_full {
            return Ok(false);
        }
        self.form.send_told(self.at, entry, None, &mut self.out)?;
        self.sent += 1;
        self.at.directory.metrics.entries_sent_total.increment();
        Ok(true)
    }
}
