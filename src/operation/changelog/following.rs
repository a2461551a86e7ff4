//! Persistent search (draft-ietf-ldapext-psearch-03) at cn=changelog: each change as the entry of it, when it comes.
//!
//! An entry there comes and stays as it is: all that is told is kind `add`. What is there already is sent first unless
//! `changesOnly` was asked for, from the first number that the filter can be true of.
//!
//! Invariants
//! - Every change is told once, or the search ends (busy): see [`Row`].
//! - What is told of a change is what a search would tell of it at that time (`telling`).

use super::{range, told};
use crate::dit::View;
use crate::model::ResultCode;
use crate::operation::Directory;
use crate::operation::access::Asker;
use crate::operation::outcome::Outcome;
use crate::operation::search::{Form, Looking};
use crate::operation::sync::{Next, Row, Standing, TOO_SLOW};
use crate::operation::virtual_entry::VirtualEntry;
use crate::search::{CompiledFilter, evaluate_attributes};
use crate::wire::SearchRequest;
use crate::wire::control::{ChangeType, PersistentSearch, entry_change};

/// Changes looked at in one step.
const STEP_MAX: usize = 512;
const SIZE_LIMIT: &str = "more entries match than are asked for; the first were sent";

/// What there is when a search begins.
pub(in crate::operation) struct Content {
    /// The base, if it is in the scope.
    pub(in crate::operation) base: Option<VirtualEntry>,
    /// Whether the changes are.
    pub(in crate::operation) is_below: bool,
}

/// See the module.
pub(in crate::operation) struct Following {
    id: i32,
    asker: Asker,
    wanted: PersistentSearch,
    filter: CompiledFilter,
    form: Form,
    content: Content,
    /// Of what was there at the beginning: the last number that was looked at, and the last of all.
    earlier: Option<(u64, u64)>,
    /// Entries that may still be sent of what was there.
    left: Option<u32>,
    row: Row,
}

impl Following {
    /// A search for `content` and what joins it.
    ///
    /// # Errors
    /// Storage.
    pub(in crate::operation) fn new(
        at: &Looking<'_, '_>,
        wanted: PersistentSearch,
        mut content: Content,
        request: &SearchRequest<'_>,
        filter: CompiledFilter,
        form: Form,
    ) -> Outcome<Self> {
        let row = Row::from_now(at.view)?;
        let (from, to) = range(&request.filter);
        content.base = content.base.filter(|_| !wanted.changes_only);
        let earlier =
            (content.is_below && !wanted.changes_only).then(|| (from.saturating_sub(1), to.min(row.number())));
        let left = Some(request.size_limit).filter(|most| *most > 0);
        Ok(Self { id: at.id, asker: at.access.asker(), wanted, filter, form, content, earlier, left, row })
    }

    /// Goes on; appends some `bytes_max` bytes.
    ///
    /// # Errors
    /// Storage.
    pub(in crate::operation) fn step(
        &mut self,
        directory: &Directory,
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Outcome<Standing> {
        let start = out.len();
        let snapshot = directory.dit().read()?;
        let view = snapshot.view();
        let is_silent = self.content.base.is_none() && self.earlier.is_none();
        if is_silent && (!self.content.is_below || self.row.is_at_end(view)?) {
            return Ok(Standing::Waits);
        }
        let access = directory.access.renew(&directory.dit, &self.asker, view)?;
        self.form.renew(view)?;
        let at = Looking { directory, view, access: &access, id: self.id };
        for _ in 0..STEP_MAX {
            if out.len() - start >= bytes_max {
                return Ok(Standing::More);
            }
            if let Some(entry) = self.earlier(&at)? {
                if !self.is_met_by(view, &entry) {
                    continue;
                }
                match &mut self.left {
                    Some(0) => return Ok(Standing::Ends(ResultCode::SIZE_LIMIT_EXCEEDED, SIZE_LIMIT, None)),
                    Some(left) => *left -= 1,
                    None => {}
                }
                self.form.send_told(&at, &entry, None, out)?;
                directory.metrics.entries_sent_total.increment();
                continue;
            }
            if self.earlier.is_some() {
                continue;
            }
            if !self.content.is_below {
                return Ok(Standing::Waits);
            }
            let (number, update) = match self.row.next(view)? {
                Next::Change(number, update) => (number, update),
                Next::Nothing => return Ok(Standing::Waits),
                Next::Lost => return Ok(Standing::Ends(ResultCode::BUSY, TOO_SLOW, None)),
            };
            if !self.wanted.wants(ChangeType::Add) {
                continue;
            }
            let Some(entry) = told(view, &access, number, &update)? else { continue };
            if self.is_met_by(view, &entry) {
                let note = self.wanted.notes.then(|| entry_change(ChangeType::Add, None));
                self.form.send_told(&at, &entry, note, out)?;
                directory.metrics.entries_sent_total.increment();
            }
        }
        Ok(Standing::More)
    }

    /// The next entry of those that were there at the beginning; `None` where the one looked at is not told, or there are no
    /// more.
    fn earlier(&mut self, at: &Looking<'_, '_>) -> Outcome<Option<VirtualEntry>> {
        if let Some(base) = self.content.base.take() {
            return Ok(Some(base));
        }
        let Some((last, end)) = &mut self.earlier else { return Ok(None) };
        match at.view.arrival_after(*last)? {
            Some((number, update)) if number <= *end => {
                *last = number;
                told(at.view, at.access, number, &update)
            }
            _ => {
                self.earlier = None;
                Ok(None)
            }
        }
    }

    fn is_met_by(&self, view: View<'_>, entry: &VirtualEntry) -> bool {
        evaluate_attributes(&self.filter, view.catalog().schema(), &entry.attributes).is_true()
    }
}
