//! A plain search at work: what it knows between its steps, and the step itself.
//!
//! Invariants
//! - Every step looks at the rules anew, in a snapshot of its own.
//! - What a step finds is gathered (an order was asked for), sent to a copy (`sync`) or sent; never two of these.

use super::form::{Form, Looking};
use super::ordered::{Ordered, Sending};
use super::sort::Gathered;
use super::{KEPT_CANDIDATES_MAX, Pause};
use crate::dit::{Entry, View};
use crate::model::{ResultCode, Scope};
use crate::operation::access::{Access, Asker, Granted};
use crate::operation::outcome::Outcome;
use crate::operation::paged::{PagedStore, Waiting};
use crate::operation::selection::Selection;
use crate::operation::sync::{SendAs, shows};
use crate::operation::{Directory, deleted_entry, referral};
use crate::policy::rights::Right;
use crate::schema::AttributeTypeIndex;
use crate::search::{
    AttributeGate, CompiledFilter, Estimate, RunOptions, SearchRun, Step, Subentries, evaluate, evaluate_attributes,
};
use crate::storage::EntryId;
use crate::wire::sync::{SyncState, state_control};
use crate::wire::{ResponseControl, SearchEntry, response};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Steps of the walk between two looks at the clock.
const CLOCK_EVERY: u32 = 128;

/// See the module.
pub(in crate::operation) struct Running {
    pub(super) asker: Asker,
    pub(super) filter: Arc<CompiledFilter>,
    /// The types that the filter looks at; `None` when it may look at others too.
    pub(super) filter_types: Option<Vec<AttributeTypeIndex>>,
    pub(super) base: EntryId,
    pub(super) options: RunOptions,
    /// `None` between pages when it is too large to be kept.
    pub(super) run: Option<SearchRun>,
    pub(super) estimate: Estimate,
    pub(super) form: Form,
    /// The order that entries are to come in.
    pub(super) order: Option<Box<Ordered>>,
    /// What goes with the result besides.
    pub(super) response_controls: Vec<ResponseControl>,
    /// Entries sent, over all pages.
    pub(super) sent: u64,
    pub(super) sent_max: Option<u64>,
    pub(super) deadline: Option<Duration>,
    pub(super) page: Option<Page>,
    /// The entry that was found when the last page was full already.
    pub(super) pending: Option<EntryId>,
    pub(super) last: EntryId,
    /// Referral entries that were found while entries were gathered: their references are sent after those.
    pub(super) referrals: VecDeque<EntryId>,
    /// Entries go with a sync state.
    pub(super) send_as: Option<SendAs>,
    /// Deleted entries are to be sent too, after all others.
    pub(super) show_deleted: bool,
}

/// A page of paged results.
pub(super) struct Page {
    pub(super) store: PagedStore,
    pub(super) fingerprint: u128,
    /// Entries that this page may still have.
    pub(super) left: u64,
}

/// How a walk ended.
enum Walked {
    /// For now, or for good.
    Paused(Pause),
    /// Not everything could be gathered.
    NoRoom(Gathered),
    /// Everything was found.
    All,
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

    fn knows(&self, entry: &Entry<'_>) -> bool {
        self.access.is_visible(entry)
    }

    fn unrestricted(&self) -> bool {
        self.is_open
    }
}

/// What a search that is kept in step (`sync`) takes of a plain one.
impl Running {
    pub(in crate::operation) fn asker(&self) -> &Asker {
        &self.asker
    }

    pub(in crate::operation) fn base(&self) -> EntryId {
        self.base
    }

    pub(in crate::operation) fn filter(&self) -> &CompiledFilter {
        &self.filter
    }

    pub(in crate::operation) fn options(&self) -> &RunOptions {
        &self.options
    }

    pub(in crate::operation) fn form(&mut self) -> &mut Form {
        &mut self.form
    }

    pub(in crate::operation) fn selection(&mut self) -> &mut Selection {
        &mut self.form.selection
    }

    pub(in crate::operation) fn send_as(&mut self, send_as: Option<SendAs>) {
        self.send_as = send_as;
    }

    /// Entries in the order of their creation, whatever time it takes; of a whole copy subentries are a part.
    pub(super) fn keep_in_step(&mut self) {
        self.options.ordered = true;
        self.deadline = None;
        self.form.selection.leave_out_what_is_local();
        if self.options.manage_dsa_it && self.options.subentries == Subentries::Hidden {
            self.options.subentries = Subentries::Included;
        }
    }

    /// Begins from the beginning.
    pub(in crate::operation) fn plan(&mut self, view: View<'_>) -> Outcome<()> {
        let run = SearchRun::new(view, self.base, Arc::clone(&self.filter), self.options.clone())?;
        self.estimate = run.estimate();
        self.run = Some(run);
        self.sent = 0;
        self.referrals.clear();
        Ok(())
    }

    /// Frees what only a walk needs.
    pub(in crate::operation) fn forget_plan(&mut self) {
        self.run = None;
    }
}

impl Running {
    pub(in crate::operation) fn step(
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
        if self.is_late(directory) {
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
        if let Some(send_as) = &mut self.send_as {
            send_as.told.renew();
        }
        // Apart while it is walked, so that the search may be changed by what is found.
        let Some(mut run) = self.run.take() else { return Ok(Pause::End(ResultCode::SUCCESS, "")) };
        let ended = self.walk(&mut run, &sending, out, bytes_max);
        self.run = Some(run);
        match ended? {
            Walked::Paused(pause) => Ok(pause),
            Walked::NoRoom(Gathered::Narrow) => self.narrow(view),
            Walked::NoRoom(why) => self.give_up_order(view, why),
            Walked::All if self.order.is_some() => match self.put_in_order(view)? {
                Some(pause) => Ok(pause),
                None => self.send_in_order(&sending, out, bytes_max),
            },
            Walked::All if self.show_deleted => self.send_deleted(&looking, out),
            Walked::All => END,
        }
    }

    fn is_late(&self, directory: &Directory) -> bool {
        self.deadline.is_some_and(|deadline| directory.dit.clock().monotonic() > deadline)
    }

    /// Walks on: what is found is gathered or sent.
    fn walk(
        &mut self,
        run: &mut SearchRun,
        sending: &Sending<'_, '_>,
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Outcome<Walked> {
        let view = sending.at.view;
        let start = out.len();
        let mut until_clock = CLOCK_EVERY;
        let mut first = match self.pending.take() {
            Some(id) => view.entry(id)?,
            None => None,
        };
        let mut walk = run.walk(view, sending.gate)?;
        loop {
            let step = match first.take() {
                Some(entry) if evaluate(&self.filter, view, &entry, sending.gate)?.is_true() => Step::Entry(entry),
                _ => walk.next()?,
            };
            match step {
                Step::Entry(entry) => {
                    if let Some(ended) = self.found(entry, sending, out)? {
                        return Ok(ended);
                    }
                }
                Step::Reference(entry) if self.order.is_some() => self.referrals.push_back(entry.id),
                Step::Reference(entry) => self.refer(&entry, sending, out)?,
                Step::Yield => return Ok(Walked::Paused(Pause::Budget)),
                Step::LookthroughExceeded => {
                    return Ok(Walked::Paused(Pause::End(ResultCode::ADMIN_LIMIT_EXCEEDED, LOOK_THROUGH)));
                }
                Step::Done => return Ok(Walked::All),
            }
            if out.len() - start >= bytes_max {
                return Ok(Walked::Paused(Pause::Budget));
            }
            until_clock -= 1;
            if until_clock == 0 {
                until_clock = CLOCK_EVERY;
                if self.is_late(sending.at.directory) {
                    return Ok(Walked::Paused(Pause::End(ResultCode::TIME_LIMIT_EXCEEDED, TIME_LIMIT)));
                }
            }
        }
    }

    /// Gathers an entry that matches, or sends it; says so where the walk ends with it.
    fn found<'v>(&mut self, entry: Entry<'v>, sending: &Sending<'_, 'v>, out: &mut Vec<u8>) -> Outcome<Option<Walked>> {
        let granted = (sending.granted)(&entry);
        if !granted.for_anything() {
            return Ok(None);
        }
        if let Some(order) = &mut self.order {
            return Ok(match order.gather(sending.at, &entry, &granted)? {
                Gathered::Yes => None,
                why => Some(Walked::NoRoom(why)),
            });
        }
        if self.sent_max.is_some_and(|most| self.sent >= most) {
            return Ok(Some(Walked::Paused(Pause::End(ResultCode::SIZE_LIMIT_EXCEEDED, SIZE_LIMIT))));
        }
        if let Some(page) = &mut self.page {
            if page.left == 0 {
                self.pending = Some(entry.id);
                return Ok(Some(Walked::Paused(Pause::PageFull)));
            }
            page.left -= 1;
        }
        self.last = entry.id;
        if self.send_as.is_some() {
            return self.send_to_copy(entry, granted, sending, out);
        }
        self.form.send(sending.at, &entry, &granted, None, out)?;
        self.count(sending);
        Ok(None)
    }

    fn count(&mut self, sending: &Sending<'_, '_>) {
        self.sent += 1;
        sending.at.directory.metrics.entries_sent_total.increment();
    }

    /// Sends an entry to a copy that takes everything, after those of its superiors that the copy does not have.
    fn send_to_copy<'v>(
        &mut self,
        entry: Entry<'v>,
        granted: Granted,
        sending: &Sending<'_, 'v>,
        out: &mut Vec<u8>,
    ) -> Outcome<Option<Walked>> {
        let view = sending.at.view;
        let Some(send_as) = &mut self.send_as else { return Ok(None) };
        let mut line = SmallVec::<[_; 1]>::new();
        for superior in send_as.told.missing(view, &entry, self.base)? {
            let granted = sending.at.access.granted(&superior, Right::Read);
            let is_in_scope = match self.options.scope {
                Scope::Subtree => true,
                Scope::Subordinate => superior.id != self.base,
                Scope::Base | Scope::OneLevel => false,
            };
            if is_in_scope
                && shows(&superior, &self.options, self.base)
                && granted.for_anything()
                && evaluate(&self.filter, view, &superior, sending.gate)?.is_true()
            {
                line.push((superior, granted));
            }
        }
        if send_as.told.is_due(view, &entry)? {
            line.push((entry, granted));
        }
        for (entry, granted) in &line {
            if self.sent_max.is_some_and(|most| self.sent >= most) {
                return Ok(Some(Walked::Paused(Pause::End(ResultCode::SIZE_LIMIT_EXCEEDED, SIZE_LIMIT))));
            }
            let Some(send_as) = &self.send_as else { return Ok(None) };
            if send_as.is_taken_out(view, entry)? {
                let name = view.dn_text(self.base)?.unwrap_or_default();
                let pdu = SearchEntry::begin(out, sending.at.id, name.as_bytes());
                pdu.finish(&[state_control(SyncState::Delete, &entry.record.uuid().0)]);
            }
            self.form.selection.show_entry_csn(Some(send_as.entry_csn(entry.record.csn())));
            let state = state_control(SyncState::Add, &entry.record.uuid().0);
            self.form.send(sending.at, entry, granted, Some(state), out)?;
            self.count(sending);
        }
        Ok(None)
    }

    /// Sends a continuation reference (RFC 4511 4.5.3); a copy has the referral itself.
    pub(super) fn refer(&self, entry: &Entry<'_>, sending: &Sending<'_, '_>, out: &mut Vec<u8>) -> Outcome<()> {
        if self.send_as.is_some() || !sending.at.access.is_visible(entry) {
            return Ok(());
        }
        let urls = referral::continuation(sending.at.view, entry, self.options.scope)?;
        if !urls.is_empty() {
            response::search_reference(out, sending.at.id, &urls, &[]);
            sending.at.directory.metrics.references_sent_total.increment();
        }
        Ok(())
    }

    /// Sends what was deleted below the base, all at once.
    pub(super) fn send_deleted(&mut self, at: &Looking<'_, '_>, out: &mut Vec<u8>) -> Outcome<Pause> {
        let Looking { directory, view, access, .. } = *at;
        let schema = view.catalog().schema();
        let base = view.dn_text(self.base)?.unwrap_or_default();
        let Self { filter, form, sent, sent_max, .. } = self;
        let mut is_over = false;
        deleted_entry::visit_former(view, access, &base, self.options.scope, &mut |entry| {
            if !evaluate_attributes(filter, schema, &entry.attributes).is_true() {
                return Ok(true);
            }
            is_over = sent_max.is_some_and(|most| *sent >= most);
            if is_over {
                return Ok(false);
            }
            form.send_told(at, &entry, None, out)?;
            *sent += 1;
            directory.metrics.entries_sent_total.increment();
            Ok(true)
        })?;
        if is_over { Ok(Pause::End(ResultCode::SIZE_LIMIT_EXCEEDED, SIZE_LIMIT)) } else { END }
    }

    /// Puts the search behind a new cookie.
    pub(super) fn keep(mut self: Box<Self>) -> Outcome<Vec<u8>> {
        let Some(page) = &self.page else { return Ok(Vec::new()) };
        let (store, fingerprint) = (page.store.clone(), page.fingerprint);
        if self.order.is_none() && self.estimate.candidates > KEPT_CANDIDATES_MAX && self.last != EntryId::NONE {
            self.run = None;
        }
        store.put(Waiting::Tree(self), fingerprint)
    }
}

const END: Outcome<Pause> = Ok(Pause::End(ResultCode::SUCCESS, ""));
const TIME_LIMIT: &str = "the time allowed is over; what was found so far was sent";
pub(super) const SIZE_LIMIT: &str = "more entries match than are allowed in one answer; the first were sent";
const LOOK_THROUGH: &str =
    "no index serves this filter, and too many entries would have to be looked at; name an indexed attribute";
