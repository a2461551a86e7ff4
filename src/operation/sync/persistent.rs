//! Persistent search (draft-ietf-ldapext-psearch-03): what is found, and then each change of it as it comes.
//!
//! Older than content synchronisation and simpler: there is no cookie, an entry that leaves the content without being
//! deleted is not told, and whoever is too slow starts anew. It follows the log like [`super::SyncSearch`], so that
//! nothing is queued for a client.
//!
//! Several changes of an entry between two looks at the log are told as one; a rename counts for more than a modify.
//!
//! Invariants
//! - Of a deleted entry no more is told than a search before the deletion would have: filter, scope and rights are asked
//!   of what it was.

use super::Standing;
use super::cookie::Position;
use super::emit::{Gate, shows};
use super::gather::{Changes, Read};
use crate::dit::{Entry, View};
use crate::model::{Attribute, Dn, EntryUuid, ResultCode, Scope};
use crate::operation::access::Asker;
use crate::operation::outcome::Outcome;
use crate::operation::search::{Looking, Pause, Running};
use crate::operation::{Directory, deleted_entry};
use crate::policy::rights::Right;
use crate::search::{evaluate, evaluate_attributes};
use crate::state::Csn;
use crate::storage::EntryId;
use crate::wire::SearchEntry;
use crate::wire::control::{ChangeType, PersistentSearch, entry_change};
use std::collections::VecDeque;

/// Entries looked at in one step.
const STEP_MAX: usize = 512;
const TOO_SLOW: &str = "more has changed than is kept for this search; begin it anew";

enum Stage {
    /// What is there is sent.
    Content,
    /// The log is read.
    Reading(Box<Changes>),
    /// What it names is told.
    Telling { changes: Box<Changes>, left: VecDeque<(EntryUuid, ChangeType)> },
    /// All is told.
    Standing,
}

/// See the module.
pub(in crate::operation) struct Following {
    id: i32,
    asker: Asker,
    requester: Option<EntryUuid>,
    running: Box<Running>,
    wanted: PersistentSearch,
    scope: Scope,
    position: Position,
    stage: Stage,
}

impl Following {
    /// A search with a persistent search control. `running` is the plain search, not begun.
    pub(in crate::operation) fn new(
        view: View<'_>,
        id: i32,
        requester: Option<EntryUuid>,
        wanted: PersistentSearch,
        mut running: Box<Running>,
    ) -> Outcome<Self> {
        let position = Position::of(&view.update_vector()?);
        let stage = if wanted.changes_only {
            Stage::Standing
        } else {
            running.plan(view)?;
            Stage::Content
        };
        let scope = running.options().scope;
        Ok(Self { id, asker: running.asker().clone(), requester, running, wanted, scope, position, stage })
    }

    /// Goes on; appends some `bytes_max` bytes.
    pub(in crate::operation) fn step(
        &mut self,
        directory: &Directory,
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Outcome<Standing> {
        let start = out.len();
        if let Stage::Content = self.stage {
            return Ok(match self.running.step(directory, self.id, out, bytes_max)? {
                Pause::Budget | Pause::PageFull => Standing::More,
                Pause::End(ResultCode::SUCCESS, _) => {
                    self.running.forget_plan();
                    self.stage = Stage::Standing;
                    Standing::More
                }
                Pause::End(code, text) => Standing::Ends(code, text, None),
            });
        }
        let snapshot = directory.dit().read()?;
        let view = snapshot.view();
        loop {
            match &mut self.stage {
                Stage::Content => return Ok(Standing::More),
                Stage::Standing => {
                    let vector = view.update_vector()?;
                    let later = Position::of(&vector);
                    if later.sequences.iter().all(|(origin, held)| self.position.sequence(*origin) >= *held) {
                        return Ok(Standing::Waits);
                    }
                    self.stage = Stage::Reading(Box::new(Changes::new(&self.position, &vector)));
                }
                Stage::Reading(changes) => match changes.read(view, self.requester)? {
                    Read::More => return Ok(Standing::More),
                    Read::Lost => return Ok(Standing::Ends(ResultCode::BUSY, TOO_SLOW, None)),
                    Read::Done => {
                        let mut changes = std::mem::take(&mut **changes);
                        let mut left = VecDeque::new();
                        for uuid in changes.named_in_order() {
                            let Some(named) = changes.named.get(&uuid) else { continue };
                            left.push_back((
                                uuid,
                                match (named.dead, named.born) {
                                    (true, false) => ChangeType::Delete,
                                    (_, true) => ChangeType::Add,
                                    (false, false) => ChangeType::ModifyDn,
                                },
                            ));
                        }
                        left.extend(changes.take_others().into_iter().map(|uuid| (uuid, ChangeType::Modify)));
                        self.stage = Stage::Telling { changes: Box::new(changes), left };
                    }
                },
                Stage::Telling { changes, left } => {
                    let access = directory.access.renew(&directory.dit, &self.asker, view)?;
                    self.running.form().renew(view)?;
                    let looking = Looking { directory, view, access: &access, id: self.id };
                    for _ in 0..STEP_MAX {
                        if out.len() - start >= bytes_max {
                            return Ok(Standing::More);
                        }
                        let Some((uuid, kind)) = left.pop_front() else { break };
                        let mut teller = Teller { running: &mut self.running, wanted: self.wanted, scope: self.scope };
                        let before = changes.named.get(&uuid).map(|named| named.first);
                        teller.tell(&looking, uuid, (kind, before), out)?;
                    }
                    if !left.is_empty() {
                        return Ok(Standing::More);
                    }
                    let target = changes.target().clone();
                    self.position.advance(&target);
                    self.stage = Stage::Standing;
                }
            }
        }
    }
}

/// Tells changes to one client.
struct Teller<'r> {
    running: &'r mut Running,
    wanted: PersistentSearch,
    scope: Scope,
}

impl Teller<'_> {
    /// Tells one change, if it is one that is wanted of an entry that is in the content. `before`: the first of several
    /// that changed the name.
    fn tell(
        &mut self,
        at: &Looking<'_, '_>,
        uuid: EntryUuid,
        (kind, before): (ChangeType, Option<Csn>),
        out: &mut Vec<u8>,
    ) -> Outcome<()> {
        let (wanted, running) = (self.wanted, &mut *self.running);
        let entry = match at.view.by_uuid(uuid)? {
            Some(id) => at.view.entry(id)?,
            None => None,
        };
        let Some(entry) = entry else {
            // Whoever came and went in between was never seen.
            if kind != ChangeType::Add && wanted.wants(ChangeType::Delete) {
                self.tell_gone(at, uuid, out)?;
            }
            return Ok(());
        };
        let kind = match kind {
            // Deleted and brought back.
            ChangeType::Delete => ChangeType::Add,
            ChangeType::ModifyDn if !wanted.wants(ChangeType::ModifyDn) => ChangeType::Modify,
            kind => kind,
        };
        if !wanted.wants(kind)
            || !is_in_scope(at.view, running, self.scope, &entry)?
            || !shows(&entry, running.options(), running.base())
        {
            return Ok(());
        }
        let granted = at.access.granted(&entry, Right::Read);
        if !granted.for_anything() || !evaluate(running.filter(), at.view, &entry, &Gate(at.access))?.is_true() {
            return Ok(());
        }
        let previous = match before.filter(|_| wanted.notes && kind == ChangeType::ModifyDn) {
            Some(before) => previous_name(at, &entry, before)?,
            None => None,
        };
        running.form().send(at, &entry, &granted, wanted.notes.then(|| entry_change(kind, previous.as_deref())), out)
    }

    /// Tells that an entry is gone, if the requester would have found it.
    fn tell_gone(&mut self, at: &Looking<'_, '_>, uuid: EntryUuid, out: &mut Vec<u8>) -> Outcome<()> {
        let running = &mut *self.running;
        let schema = at.view.catalog().schema();
        let Some((name, attributes)) = deleted_entry::former(at.view, uuid)? else { return Ok(()) };
        let Some(base) = at.view.dn_text(running.base())? else { return Ok(()) };
        let (dn, base) = (Dn::parse(&name)?, Dn::parse(&base)?);
        let (key, base_key) = (schema.dn_key(&dn), schema.dn_key(&base));
        let is_content = match self.scope {
            Scope::Base => key == base_key,
            Scope::OneLevel => dn.superior().is_some_and(|superior| schema.dn_key(&superior) == base_key),
            Scope::Subtree => key.starts_with(&base_key),
            Scope::Subordinate => key.starts_with(&base_key) && key != base_key,
        };
        let Some(superior) = nearest(at.view, &dn)?.filter(|_| is_content) else { return Ok(()) };
        let search = at.access.granted_new(&dn, Some(superior), &attributes, Right::Search);
        let read = at.access.granted_new(&dn, Some(superior), &attributes, Right::Read);
        let may_search = running.filter().attribute_types().iter().all(|index| search.for_attribute(Some(*index)));
        if !read.for_anything() || !may_search || !evaluate_attributes(running.filter(), schema, &attributes).is_true()
        {
            return Ok(());
        }
        let type_of =
            |attribute: &Attribute| schema.attribute_type(attribute.description.name()).map(|found| found.index);
        let readable: Vec<Attribute> =
            attributes.into_iter().filter(|attribute| read.for_attribute(type_of(attribute))).collect();
        let mut pdu = SearchEntry::begin(out, at.id, name.as_bytes());
        running.selection().write_attributes(schema, &readable, &mut pdu);
        let note = self.wanted.notes.then(|| entry_change(ChangeType::Delete, None));
        pdu.finish(note.as_slice());
        Ok(())
    }
}

/// The name that an entry had before it was renamed, where the requester sees the superior in it.
fn previous_name(at: &Looking<'_, '_>, entry: &Entry<'_>, before: Csn) -> Outcome<Option<String>> {
    let Some([birth, ..]) = at.view.naming_changes(entry.id)? else { return Ok(None) };
    let Some(name) = at.view.dn_at(entry.record.uuid(), birth, before, false)? else { return Ok(None) };
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
