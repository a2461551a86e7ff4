//! Persistent search (draft-ietf-ldapext-psearch-03): what is found, and then each change of it as it comes.
//!
//! Older than content synchronisation and simpler: there is no cookie, an entry that leaves the content without being
//! deleted is not told, and whoever is too slow starts anew. Nothing is queued for a client: what it has been told is a number
//! in the row of changes that came to this node (`dit::arrivals`), and the log is read on from there, a change at a time.
//!
//! Each change is told by itself, in the order in which they came here, under the name that the entry had with it; a rename
//! that is followed by a delete is both. What is sent of the entry is as it is when the change is told: earlier values are not
//! put together again from the log. So what came and went in between is told as changes, and what the filter and the rights
//! are asked of is the entry as it is, or as it was last; but the scope is asked of the name that it had with the change. The draft asks for the entry that was changed and does not say as of
//! when. 389 sends a copy that it made with the change, and keeps copies in memory, however many, until the client has read
//! them (`psearch.c`); it asks filter and rights of that copy. The two differ where an entry changes again before its first
//! change is told: a client there gets both contents, here the newer one twice. Whoever mirrors entries ends with the same;
//! whoever wants each step reads `cn=changelog`, which has it.
//!
//! Invariants
//! - Every change is told once or, for whom the log does not reach back far enough, the search ends (busy).
//! - Of a deleted entry no more is told than a search before the deletion would have: filter and rights are asked of what
//!   it was last.
//! - Of a name from before no more is told than its superior's rights let.

use super::Standing;
use super::emit::{Gate, shows};
use super::row::{Next, Row};
use crate::dit::{Entry, View};
use crate::model::{Attribute, Dn, ResultCode, Scope};
use crate::operation::access::Asker;
use crate::operation::outcome::Outcome;
use crate::operation::search::{Looking, Pause, Running};
use crate::operation::{Directory, deleted_entry};
use crate::policy::rights::Right;
use crate::search::{evaluate, evaluate_attributes};
use crate::state::{Delta, Update};
use crate::storage::EntryId;
use crate::wire::control::{ChangeType, PersistentSearch, entry_change};
use crate::wire::{ResponseControl, SearchEntry};

/// Changes looked at in one step.
const STEP_MAX: usize = 512;
pub(in crate::operation) const TOO_SLOW: &str = "more has changed than is kept for this search; begin it anew";

/// See the module.
pub(in crate::operation) struct Following {
    id: i32,
    asker: Asker,
    running: Box<Running>,
    wanted: PersistentSearch,
    scope: Scope,
    /// What is there is sent; its changes are told after that.
    is_content: bool,
    /// What was told of the changes that came here.
    row: Row,
}

impl Following {
    /// A search with a persistent search control. `running` is the plain search, not begun.
    pub(in crate::operation) fn new(
        view: View<'_>,
        id: i32,
        wanted: PersistentSearch,
        mut running: Box<Running>,
    ) -> Outcome<Self> {
        let row = Row::from_now(view)?;
        let is_content = !wanted.changes_only;
        if is_content {
            running.plan(view)?;
        }
        let (scope, asker) = (running.options().scope, running.asker().clone());
        Ok(Self { id, asker, running, wanted, scope, is_content, row })
    }

    /// Goes on; appends some `bytes_max` bytes.
    pub(in crate::operation) fn step(
        &mut self,
        directory: &Directory,
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Outcome<Standing> {
        let start = out.len();
        if self.is_content {
            return Ok(match self.running.step(directory, self.id, out, bytes_max)? {
                Pause::Budget | Pause::PageFull => Standing::More,
                Pause::End(ResultCode::SUCCESS, _) => {
                    self.running.forget_plan();
                    self.is_content = false;
                    Standing::More
                }
                Pause::End(code, text) => Standing::Ends(code, text, None),
            });
        }
        let snapshot = directory.dit().read()?;
        let view = snapshot.view();
        if self.row.is_at_end(view)? {
            return Ok(Standing::Waits);
        }
        let access = directory.access.renew(&directory.dit, &self.asker, view)?;
        self.running.form().renew(view)?;
        let looking = Looking { directory, view, access: &access, id: self.id };
        for _ in 0..STEP_MAX {
            if out.len() - start >= bytes_max {
                return Ok(Standing::More);
            }
            let update = match self.row.next(view)? {
                Next::Change(_, update) => update,
                Next::Nothing => return Ok(Standing::Waits),
                Next::Lost => return Ok(Standing::Ends(ResultCode::BUSY, TOO_SLOW, None)),
            };
            let mut teller = Teller { running: &mut self.running, wanted: self.wanted, scope: self.scope };
            teller.tell(&looking, &update, out)?;
        }
        Ok(Standing::More)
    }
}

/// Tells changes to one client.
struct Teller<'r> {
    running: &'r mut Running,
    wanted: PersistentSearch,
    scope: Scope,
}

impl Teller<'_> {
    /// Tells one change, if it is one that is wanted of an entry that is in the content.
    fn tell(&mut self, at: &Looking<'_, '_>, update: &Update, out: &mut Vec<u8>) -> Outcome<()> {
        let Some(kind) = self.kind_of(update) else { return Ok(()) };
        let entry = match at.view.by_uuid(update.uuid)? {
            Some(id) => at.view.entry(id)?,
            None => None,
        };
        let Some(entry) = entry else { return self.tell_gone(at, update, kind, out) };
        let running = &*self.running;
        if !shows(&entry, running.options(), running.base()) {
            return Ok(());
        }
        let csn = update.stamp.csn;
        let naming = at.view.naming_changes(entry.id)?;
        let name = match naming.is_some_and(|changes| changes.iter().any(|later| later.csn > csn)) {
            // It has another name since.
            true => at.view.dn_at(update.uuid, update.birth, csn, true)?,
            false => None,
        };
        let is_meant = match &name {
            Some(name) => self.is_below_base(at, &Dn::parse(name)?)?,
            None => is_in_scope(at.view, running, self.scope, &entry)?,
        };
        let granted = at.access.granted(&entry, Right::Read);
        if !is_meant
            || !granted.for_anything()
            || !evaluate(running.filter(), at.view, &entry, &Gate(at.access))?.is_true()
        {
            return Ok(());
        }
        let name = match name {
            Some(name) => seen_name(at, name)?,
            None => None,
        };
        let note = self.note(at, update, kind)?;
        let form = self.running.form();
        match name {
            Some(name) => form.send_under(&name, at, (&entry, &granted), note, out),
            None => form.send(at, &entry, &granted, note, out),
        }
    }

    /// Which kind of change it is told as; `None`: it is not wanted.
    fn kind_of(&self, update: &Update) -> Option<ChangeType> {
        let has = |is_meant: fn(&Delta) -> bool| update.deltas.iter().any(is_meant);
        let kind = if update.is_birth() {
            ChangeType::Add
        } else if has(|delta| matches!(delta, Delta::Dead)) {
            ChangeType::Delete
        } else if has(|delta| matches!(delta, Delta::Rdn(_) | Delta::Parent(_)))
            && self.wanted.wants(ChangeType::ModifyDn)
        {
            ChangeType::ModifyDn
        } else {
            ChangeType::Modify
        };
        self.wanted.wants(kind).then_some(kind)
    }

    fn note(&self, at: &Looking<'_, '_>, update: &Update, kind: ChangeType) -> Outcome<Option<ResponseControl>> {
        if !self.wanted.notes {
            return Ok(None);
        }
        let previous = match kind {
            ChangeType::ModifyDn => at.view.dn_at(update.uuid, update.birth, update.stamp.csn, false)?,
            _ => None,
        };
        let previous = match previous {
            Some(name) => seen_name(at, name)?,
            None => None,
        };
        Ok(Some(entry_change(kind, previous.as_deref())))
    }

    /// Tells a change of an entry that is gone, its end or one before that, if the requester would have found it.
    fn tell_gone(&mut self, at: &Looking<'_, '_>, update: &Update, kind: ChangeType, out: &mut Vec<u8>) -> Outcome<()> {
        let schema = at.view.catalog().schema();
        let Some((last, attributes)) = deleted_entry::former(at.view, update.uuid)? else { return Ok(()) };
        let dn = Dn::parse(&last)?;
        let Some(superior) = nearest(at.view, &dn)? else { return Ok(()) };
        let name = match kind {
            ChangeType::Delete => None,
            _ => at.view.dn_at(update.uuid, update.birth, update.stamp.csn, true)?,
        };
        let is_meant = match &name {
            Some(name) => self.is_below_base(at, &Dn::parse(name)?)?,
            None => self.is_below_base(at, &dn)?,
        };
        if !is_meant {
            return Ok(());
        }
        let running = &mut *self.running;
        let search = at.access.granted_new(&dn, Some(superior), &attributes, Right::Search);
        let read = at.access.granted_new(&dn, Some(superior), &attributes, Right::Read);
        let may_search = running.filter().attribute_types().iter().all(|index| search.for_attribute(Some(*index)));
        if !read.for_anything() || !may_search || !evaluate_attributes(running.filter(), schema, &attributes).is_true()
        {
            return Ok(());
        }
        let name = match name {
            Some(name) => seen_name(at, name)?.unwrap_or(last),
            None => last,
        };
        let type_of =
            |attribute: &Attribute| schema.attribute_type(attribute.description.name()).map(|found| found.index);
        let readable: Vec<Attribute> =
            attributes.into_iter().filter(|attribute| read.for_attribute(type_of(attribute))).collect();
        let note = self.note(at, update, kind)?;
        let mut pdu = SearchEntry::begin(out, at.id, name.as_bytes());
        self.running.selection().write_attributes(schema, &readable, &mut pdu);
        pdu.finish(note.as_slice());
        Ok(())
    }

    /// Whether a name is in the scope of the search.
    fn is_below_base(&self, at: &Looking<'_, '_>, dn: &Dn) -> Outcome<bool> {
        let schema = at.view.catalog().schema();
        let Some(base) = at.view.dn_text(self.running.base())? else { return Ok(false) };
        let (key, base_key) = (schema.dn_key(dn), schema.dn_key(&Dn::parse(&base)?));
        Ok(match self.scope {
            Scope::Base => key == base_key,
            Scope::OneLevel => dn.superior().is_some_and(|superior| schema.dn_key(&superior) == base_key),
            Scope::Subtree => key.starts_with(&base_key),
            Scope::Subordinate => key.starts_with(&base_key) && key != base_key,
        })
    }
}

/// A name that an entry had, where the requester sees the superior in it.
fn seen_name(at: &Looking<'_, '_>, name: String) -> Outcome<Option<String>> {
    let superior = match nearest(at.view, &Dn::parse(&name)?)? {
        Some(superior) => at.view.entry(superior)?,
        None => None,
    };
    Ok(superior.filter(|superior| at.access.is_visible(superior)).map(|_| name))
}

fn is_in_scope(view: View<'_>, running: &Running, scope: Scope, entry: &Entry<'_>) -> Outcome<bool> {
    let base = running.base();
    Ok(match scope {
        Scope::Base => entry.id == base,
        Scope::OneLevel => view.superior(entry) == base,
        Scope::Subtree => view.is_within(entry.id, base)?,
        Scope::Subordinate => entry.id != base && view.is_within(entry.id, base)?,
    })
}

/// The nearest superior that is still there.
fn nearest(view: View<'_>, dn: &Dn) -> Outcome<Option<EntryId>> {
    Ok(match dn.superior() {
        Some(superior) if !superior.is_root() => view.resolve(&superior)?.matched,
        _ => None,
    })
}
