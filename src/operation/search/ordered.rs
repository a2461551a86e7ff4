//! Searches whose entries come in an order (RFC 2891), whole, by pages, or as a view of a list
//! (draft-ietf-ldapext-ldapv3-vlv-09).
//!
//! All entries found are gathered as sort keys and numbers; then they are sent in order, each looked at again, as
//! other steps than the one that found it may send it. No index has to be set up for a list view; of a long list only the
//! part that is wanted is kept ([`super::window`]). What cannot be sorted
//! is, as RFC 2891 2 has it, refused where the client insists (the control was critical) and else sent unsorted, with
//! the reason in the sort response.
//!
//! Invariants
//! - A place in a list and the length of a list count entries that the requester may see, and no others.

use super::sort::{Gathered, Reservation, Sorter, Sorting, Unsortable};
use super::window::{self, Found, Window};
use super::{Looking, Pause, Running};
use crate::dit::{Entry, View};
use crate::model::{Attribute, ResultCode};
use crate::operation::access::Granted;
use crate::operation::control::RequestControls;
use crate::operation::outcome::Outcome;
use crate::operation::{Directory, paged};
use crate::schema::Schema;
use crate::search::{AttributeGate, evaluate};
use crate::storage::EntryId;
use crate::wire::control::{ListTarget, ListView, ListViewResult, SORT_REQUEST, sort_response};
use crate::wire::{LdapResult, ResponseControl, ResponseKind, SearchRequest, response};

/// Entries of a list that are gathered; of a longer one the part is looked for.
const GATHERED_MAX: usize = 16_384;
/// Bytes of a list view's context id.
const CONTEXT_BYTES: usize = 16;

enum Stage {
    /// Entries are gathered.
    Gathering(Sorter),
    /// The list is walked again and again for the part that is wanted.
    Narrowing { window: Box<Window>, key: Vec<u8>, reserved: Reservation },
    /// They are sent, from place `at` on.
    Sending { ids: Vec<EntryId>, at: usize, _reserved: Reservation },
}

/// See the module.
pub(super) struct Ordered {
    sorting: Sorting,
    /// Whether the client rather has nothing than something unsorted.
    insists: bool,
    list: Option<ListView>,
    /// The first entries of the order, where no more than these are sent.
    first: Option<ListView>,
    context: [u8; CONTEXT_BYTES],
    stage: Stage,
}

/// What a search's order came to.
pub(super) enum Order {
    /// None was asked for.
    None,
    /// It will be kept.
    Kept(Box<Ordered>),
    /// It cannot be kept; the response says why.
    Unsorted(ResponseControl),
    /// The search is answered with these PDUs.
    Refused(Vec<u8>),
}

impl Order {
    /// Reads the sort and list view controls.
    pub(super) fn new(
        directory: &Directory,
        view: View<'_>,
        id: i32,
        request: &SearchRequest<'_>,
        controls: &RequestControls,
    ) -> Self {
        let refuse = |code, text, controls: &[ResponseControl]| {
            let mut out = Vec::new();
            response::result(&mut out, id, ResponseKind::SearchDone, &LdapResult::new(code, text), controls);
            Self::Refused(out)
        };
        let Some(keys) = &controls.sort else {
            return match controls.list_view {
                Some(_) => refuse(LIST_ERROR, NO_SORT, &[failed(ResultCode::SORT_CONTROL_MISSING)]),
                None => Self::None,
            };
        };
        let sorting = match Sorting::new(view.catalog().schema(), keys) {
            Ok(sorting) => sorting,
            Err(Unsortable { code, attribute }) => {
                let said = sort_response(code, Some(&attribute));
                return if controls.list_view.is_some() {
                    refuse(LIST_ERROR, UNSORTABLE, &[said, failed(ResultCode::INAPPROPRIATE_MATCHING)])
                } else if controls.is_critical(SORT_REQUEST) {
                    refuse(ResultCode::UNAVAILABLE_CRITICAL_EXTENSION, UNSORTABLE, &[said])
                } else {
                    Self::Unsorted(said)
                };
            }
        };
        let context = paged::fingerprint(request, controls).to_be_bytes();
        if controls.list_view.as_ref().and_then(|list| list.context.as_ref()).is_some_and(|given| *given != context) {
            let said = [sort_response(ResultCode::SUCCESS, None), failed(ResultCode::UNWILLING_TO_PERFORM)];
            return refuse(LIST_ERROR, OTHER_LIST, &said);
        }
        let bytes_max = directory.options().limits.sort_bytes as usize;
        Self::Kept(Box::new(Ordered {
            sorting,
            insists: controls.is_critical(SORT_REQUEST),
            list: controls.list_view.clone(),
            first: None,
            context,
            stage: Stage::Gathering(Sorter::new(&directory.sort_memory, bytes_max)),
        }))
    }
}

const LIST_ERROR: ResultCode = ResultCode::VIRTUAL_LIST_VIEW_ERROR;
const NO_SORT: &str = "a list view needs a sort control beside it";
const UNSORTABLE: &str =
    "entries cannot be sorted so; the sort response names the attribute, and cn=subschema the rules";
const OTHER_LIST: &str = "the context id is of another list; begin without one";
const OUTSIDE: &str = "the offset is outside the list: places are counted from 1 to the length given beside it";
const NO_SUCH_VALUE: &str = "the value asked for breaks the ordering rule of the first sort key";
const TOO_MUCH: &str = "more entries match than may be sorted (limits.sort_bytes); ask a narrower question";
const CHANGES: &str = "the list changes faster than it can be walked; try again";
const BUSY: &str = "other searches are sorting all that memory allows; try again";

/// A list view that came to nothing.
fn failed(code: ResultCode) -> ResponseControl {
    ListViewResult { position: 0, count: 0, code, context: None }.control()
}

impl Ordered {
    /// No more than the first `most` entries will be sent: where all together are too many to be gathered, these are
    /// looked for.
    pub(super) fn limit(&mut self, most: u32) {
        // One more tells that there are more.
        let list =
            ListView { before: 0, after: most, target: ListTarget::Offset { offset: 1, count: 0 }, context: None };
        self.first = Some(list).filter(|list| self.list.is_none() && Window::fits(list));
    }

    pub(super) fn is_gathering(&self) -> bool {
        matches!(self.stage, Stage::Gathering(_) | Stage::Narrowing { .. })
    }

    /// Takes an entry that was found.
    pub(super) fn gather(&mut self, at: &Looking<'_, '_>, entry: &Entry<'_>, granted: &Granted) -> Outcome<Gathered> {
        let sorter = match &mut self.stage {
            Stage::Gathering(sorter) => sorter,
            Stage::Narrowing { window, key, .. } => {
                key.clear();
                self.sorting.append(at, entry, granted, key)?;
                window.take(key, entry.id);
                return Ok(Gathered::Yes);
            }
            Stage::Sending { .. } => return Ok(Gathered::Yes),
        };
        let may_narrow = self.list.as_ref().is_some_and(Window::fits);
        if may_narrow && sorter.len() >= GATHERED_MAX {
            return Ok(Gathered::Narrow);
        }
        match sorter.take(entry.id, |keys| self.sorting.append(at, entry, granted, keys))? {
            Gathered::Yes => Ok(Gathered::Yes),
            Gathered::TooMuch if self.first.is_some() => Ok(Gathered::Narrow),
            _ if may_narrow => Ok(Gathered::Narrow),
            why => Ok(why),
        }
    }

    /// Gives up gathering for looking for the part that is wanted; false when there is no memory for that.
    fn narrow(&mut self, view: View<'_>) -> Result<bool, Refusal> {
        let Some(list) = self.list.as_ref().or(self.first.as_ref()).cloned() else { return Ok(false) };
        let value = match &list.target {
            ListTarget::Offset { .. } => None,
            ListTarget::Value(value) => Some(self.beginning(view, value)?),
        };
        let Stage::Gathering(sorter) = &mut self.stage else { return Ok(false) };
        let sorter = std::mem::replace(sorter, Sorter::new(&Default::default(), 0));
        let Some((reserved, bytes)) = sorter.into_reserved(window::BYTES) else { return Ok(false) };
        let window = Box::new(Window::new(list, value, bytes));
        self.stage = Stage::Narrowing { window, key: Vec::new(), reserved };
        Ok(true)
    }

    /// What the sort keys begin with of entries that have the value of a list view's target.
    fn beginning(&self, view: View<'_>, value: &[u8]) -> Result<Vec<u8>, Refusal> {
        let beginning = self.sorting.beginning(view.catalog().schema(), value);
        beginning.ok_or_else(|| refused(ResultCode::INAPPROPRIATE_MATCHING, NO_SUCH_VALUE))
    }

    /// The list was walked to its end for a part of it. Returns the response controls; `None`: it is to be walked again.
    fn end_walk(&mut self) -> Result<Option<Vec<ResponseControl>>, Refusal> {
        let Stage::Narrowing { window, .. } = &mut self.stage else { return Ok(None) };
        let (ids, place, count) = match window.end() {
            Found::Again => return Ok(None),
            Found::Lost if self.list.is_none() => {
                return Err((ResultCode::BUSY, CHANGES, vec![sort_response(ResultCode::BUSY, None)]));
            }
            Found::Outside => return Err(refused(ResultCode::OFFSET_RANGE_ERROR, OUTSIDE)),
            Found::Lost => return Err(refused(ResultCode::ADMIN_LIMIT_EXCEEDED, CHANGES)),
            Found::Part { ids, place, count } => (ids, place, count),
        };
        let result = self.list_result(place, count);
        let sending = Stage::Sending { ids, at: 0, _reserved: Reservation::default() };
        if let Stage::Narrowing { mut reserved, .. } = std::mem::replace(&mut self.stage, sending)
            && let Stage::Sending { ids, _reserved, .. } = &mut self.stage
        {
            reserved.shrink(ids.len() * size_of::<EntryId>());
            *_reserved = reserved;
        }
        let result = self.list.is_some().then_some(result);
        Ok(Some(std::iter::once(sort_response(ResultCode::SUCCESS, None)).chain(result).collect()))
    }

    /// Takes an entry that is not in the tree, which the requester calls by `number` afterwards.
    pub(super) fn gather_told(&mut self, schema: &Schema, attributes: &[Attribute], number: u64) -> Outcome<Gathered> {
        let Stage::Gathering(sorter) = &mut self.stage else { return Ok(Gathered::Yes) };
        sorter.take(EntryId(number), |keys| {
            self.sorting.append_told(schema, attributes, keys);
            Ok(())
        })
    }

    /// All entries that are not in the tree are gathered.
    pub(super) fn end_told(mut self: Box<Self>, view: View<'_>) -> Result<InOrder, Refusal> {
        let controls = self.finish(view, None)?;
        let (numbers, reserved) = match self.stage {
            Stage::Sending { ids, _reserved, .. } => (ids.into_iter().map(|id| id.0).collect(), _reserved),
            Stage::Gathering(_) | Stage::Narrowing { .. } => (Vec::new(), Reservation::default()),
        };
        Ok(InOrder { numbers, controls, reserved })
    }

    /// What becomes of a search that found more than may be gathered: it goes on unsorted, or ends so.
    pub(super) fn given_up(&self, why: Gathered) -> GivenUp {
        let (code, text) = match why {
            Gathered::Busy => (ResultCode::BUSY, BUSY),
            _ => (ResultCode::ADMIN_LIMIT_EXCEEDED, TOO_MUCH),
        };
        let mut controls = vec![sort_response(code, None)];
        if self.list.is_some() {
            controls.push(failed(code));
            return (controls, Some((LIST_ERROR, text)));
        }
        (controls, self.insists.then_some((ResultCode::UNAVAILABLE_CRITICAL_EXTENSION, text)))
    }

    fn list_result(&self, place: usize, count: usize) -> ResponseControl {
        let result = ListViewResult {
            position: u32::try_from(place).unwrap_or(u32::MAX),
            count: u32::try_from(count).unwrap_or(u32::MAX),
            code: ResultCode::SUCCESS,
            context: Some(self.context.to_vec()),
        };
        result.control()
    }

    /// All is gathered. `most`: entries that will be sent at most. Returns the response controls; an error where the
    /// view asked for is none of this list.
    fn finish(&mut self, view: View<'_>, most: Option<u64>) -> Result<Vec<ResponseControl>, Refusal> {
        let sorted = sort_response(ResultCode::SUCCESS, None);
        let Stage::Gathering(sorter) = &mut self.stage else { return Ok(vec![sorted]) };
        sorter.sort();
        let count = sorter.len();
        let mut places = None;
        let (range, mut controls) = match &self.list {
            None => {
                let most = most.map_or(count, |most| usize::try_from(most).unwrap_or(usize::MAX).saturating_add(1));
                (0..count.min(most), vec![sorted])
            }
            Some(list) => {
                let place = match &list.target {
                    ListTarget::Offset { offset, count: believed } => place_of(*offset, *believed, count)
                        .ok_or_else(|| refused(ResultCode::OFFSET_RANGE_ERROR, OUTSIDE))?,
                    ListTarget::Value(value) => {
                        let beginning = self.sorting.beginning(view.catalog().schema(), value);
                        let beginning =
                            beginning.ok_or_else(|| refused(ResultCode::INAPPROPRIATE_MATCHING, NO_SUCH_VALUE))?;
                        if count == 0 { 0 } else { sorter.before(&beginning) + 1 }
                    }
                };
                let at = place.saturating_sub(1);
                let range =
                    at.saturating_sub(list.before as usize)..count.min(at.saturating_add(list.after as usize + 1));
                places = Some((place, count));
                (range, vec![sorted])
            }
        };
        let sorter = std::mem::replace(sorter, Sorter::new(&Default::default(), 0));
        let (ids, reserved) = sorter.into_entries(range);
        self.stage = Stage::Sending { ids, at: 0, _reserved: reserved };
        controls.extend(places.map(|(place, count)| self.list_result(place, count)));
        Ok(controls)
    }
}

/// Entries that are not in the tree, sorted.
pub(super) struct InOrder {
    /// The numbers of those that are wanted.
    pub(super) numbers: Vec<u64>,
    pub(super) controls: Vec<ResponseControl>,
    pub(super) reserved: Reservation,
}

/// The response controls, and how the search ends if it does.
type GivenUp = (Vec<ResponseControl>, Option<(ResultCode, &'static str)>);

/// Code, text and controls of a search that ends without entries.
pub(super) type Refusal = (ResultCode, &'static str, Vec<ResponseControl>);

/// A list view that cannot be had.
fn refused(code: ResultCode, text: &'static str) -> Refusal {
    (LIST_ERROR, text, vec![sort_response(ResultCode::SUCCESS, None), failed(code)])
}

/// The place that a client means which believes the list to be `believed` long (VLV draft 6.1), from 1; 0 in an empty list.
pub(super) fn place_of(offset: u32, believed: u32, count: usize) -> Option<usize> {
    if offset == 0 || (believed != 0 && offset > believed) {
        return None;
    }
    let place = match (offset, believed) {
        (1, _) => 1,
        (offset, 0) => offset as usize,
        (offset, believed) => {
            let place = u128::from(offset) * count as u128 / u128::from(believed);
            usize::try_from(place).unwrap_or(usize::MAX).max(1)
        }
    };
    Some(place.min(count))
}

/// What a step of sending needs of the snapshot at hand.
pub(super) struct Sending<'s, 'v> {
    pub(super) at: &'s Looking<'s, 'v>,
    pub(super) gate: &'s dyn AttributeGate,
    pub(super) granted: &'s dyn Fn(&Entry<'_>) -> Granted,
}

impl Running {
    /// One entry more than may be gathered: the search goes on unsorted, or ends.
    pub(super) fn give_up_order(&mut self, view: View<'_>, why: Gathered) -> Outcome<Pause> {
        let Some(order) = self.order.take() else { return Ok(Pause::Budget) };
        let (controls, ended) = order.given_up(why);
        self.response_controls = controls;
        if let Some((code, text)) = ended {
            return Ok(Pause::End(code, text));
        }
        self.options.ordered = self.page.is_some();
        self.plan(view)?;
        Ok(Pause::Budget)
    }

    /// The list is long: it is walked from its beginning for the part that is wanted.
    pub(super) fn narrow(&mut self, view: View<'_>) -> Outcome<Pause> {
        let Some(order) = self.order.as_mut() else { return Ok(Pause::Budget) };
        match order.narrow(view) {
            Ok(true) => {
                self.plan(view)?;
                Ok(Pause::Budget)
            }
            Ok(false) => self.give_up_order(view, Gathered::Busy),
            Err((code, text, controls)) => {
                self.response_controls = controls;
                Ok(Pause::End(code, text))
            }
        }
    }

    /// All entries were found: they are put in order, or walked again. `None`: they can be sent.
    pub(super) fn put_in_order(&mut self, view: View<'_>) -> Outcome<Option<Pause>> {
        let most = self.sent_max.filter(|_| self.page.is_none());
        let Some(order) = self.order.as_mut() else { return Ok(None) };
        let ended = match order.stage {
            Stage::Narrowing { .. } => order.end_walk(),
            _ => order.finish(view, most).map(Some),
        };
        match ended {
            Ok(Some(controls)) => {
                self.response_controls = controls;
                self.run = None;
                Ok(None)
            }
            Ok(None) => {
                self.plan(view)?;
                Ok(Some(Pause::Budget))
            }
            Err((code, text, controls)) => {
                self.response_controls = controls;
                Ok(Some(Pause::End(code, text)))
            }
        }
    }

    /// Sends entries in their order.
    pub(super) fn send_in_order(
        &mut self,
        sending: &Sending<'_, '_>,
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Outcome<Pause> {
        let start = out.len();
        let pause = self.send_gathered(sending, out, bytes_max)?;
        if matches!(pause, Pause::End(ResultCode::SUCCESS, _)) {
            while let Some(id) = self.referrals.pop_front() {
                if let Some(entry) = sending.at.view.entry(id)? {
                    self.refer(&entry, sending, out)?;
                }
                if out.len() - start >= bytes_max {
                    return Ok(Pause::Budget);
                }
            }
        }
        let is_list = self.order.as_ref().is_some_and(|order| order.list.is_some());
        match pause {
            // Deleted entries have no place in an order.
            Pause::End(ResultCode::SUCCESS, _) if self.show_deleted && !is_list => self.send_deleted(sending.at, out),
            pause => Ok(pause),
        }
    }

    fn send_gathered(&mut self, sending: &Sending<'_, '_>, out: &mut Vec<u8>, bytes_max: usize) -> Outcome<Pause> {
        let Self { order, form, filter, sent, sent_max, page, .. } = self;
        let Some(Stage::Sending { ids, at, .. }) = order.as_mut().map(|order| &mut order.stage) else {
            return Ok(Pause::End(ResultCode::SUCCESS, ""));
        };
        let start = out.len();
        while let Some(id) = ids.get(*at) {
            if out.len() - start >= bytes_max {
                return Ok(Pause::Budget);
            }
            let entry = sending.at.view.entry(*id)?;
            let granted = entry.as_ref().map(|entry| (sending.granted)(entry));
            let (Some(entry), Some(granted)) = (entry, granted.filter(Granted::for_anything)) else {
                *at += 1;
                continue;
            };
            if !evaluate(filter, sending.at.view, &entry, sending.gate)?.is_true() {
                *at += 1;
                continue;
            }
            if sent_max.is_some_and(|most| *sent >= most) {
                return Ok(Pause::End(ResultCode::SIZE_LIMIT_EXCEEDED, super::running::SIZE_LIMIT));
            }
            if let Some(page) = page {
                if page.left == 0 {
                    return Ok(Pause::PageFull);
                }
                page.left -= 1;
            }
            form.send(sending.at, &entry, &granted, None, out)?;
            *at += 1;
            *sent += 1;
            sending.at.directory.metrics.entries_sent_total.increment();
        }
        Ok(Pause::End(ResultCode::SUCCESS, ""))
    }
}

#[cfg(test)]
mod tests {
    use super::place_of;

    /// VLV draft 6.1: first and last are meant exactly, in between it is a proportion.
    #[test]
    fn a_place_is_scaled_to_the_list_as_it_is() {
        assert_eq!(place_of(1, 0, 10), Some(1));
        assert_eq!(place_of(7, 0, 10), Some(7));
        assert_eq!(place_of(99, 0, 10), Some(10));
        assert_eq!(place_of(50, 100, 10), Some(5));
        assert_eq!(place_of(100, 100, 10), Some(10));
        assert_eq!(place_of(2, 1_000, 10), Some(1));
        assert_eq!(place_of(1, 1, 0), Some(0));
        assert_eq!((place_of(0, 0, 10), place_of(0, 5, 10), place_of(6, 5, 10)), (None, None, None));
        assert_eq!(place_of(u32::MAX, u32::MAX, usize::MAX), Some(usize::MAX));
    }
}
