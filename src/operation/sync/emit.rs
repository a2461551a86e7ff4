//! Changes as messages: each touched entry as it is now, or named as gone.

use super::Question;
use super::cookie::Position;
use super::gather::{Changes, ENTRIES_MAX, InTheWay, Read, Sent};
use super::told::Told;
use crate::dit::{DitError, Entry, View};
use crate::model::{Dn, EntryUuid, Scope};
use crate::operation::Directory;
use crate::operation::access::{Access, Asker};
use crate::operation::outcome::Outcome;
use crate::operation::search::Running;
use crate::policy::rights::Right;
use crate::schema::AttributeTypeIndex;
use crate::search::{AttributeGate, RunOptions, Subentries, evaluate};
use crate::state::{Csn, Stamp, UpdateVector};
use crate::storage::{ENTRY_LOSER, ENTRY_PHANTOM, ENTRY_REFERRAL, ENTRY_SUBENTRY, EntryId};
use crate::wire::SearchEntry;
use crate::wire::sync::{SyncState, state_control};
use hashbrown::HashSet;
use std::collections::VecDeque;

/// Entries looked at in one step.
const STEP_MAX: usize = 512;

/// How entries of a refresh of everything are sent.
#[derive(Clone, Debug)]
pub(in crate::operation) struct SendAs {
    /// Their entryCSN is made above what the client has; `None`: it has nothing.
    position: Option<Position>,
    /// Their server number.
    sid: u16,
    /// Superiors that were sent.
    pub(in crate::operation) told: Told,
    /// How far the copy goes of a consumer that keeps a tree.
    since: Option<Position>,
}

impl SendAs {
    pub(super) fn new(position: Option<Position>, sid: u16, since: Option<Position>) -> Self {
        Self { position, sid, told: Told::default(), since }
    }

    /// Whether the entry is to be taken out of the copy before it is sent: it got its name since, and slapd can give
    /// it that only by adding it, if another entry has the name there still. (A superior cannot be taken out.)
    pub(in crate::operation) fn is_taken_out(&self, view: View<'_>, entry: &Entry<'_>) -> Result<bool, DitError> {
        let Some(since) = &self.since else { return Ok(false) };
        if view.subordinate_count(entry.id)? > 0 {
            return Ok(false);
        }
        let is_known = |stamp: &Stamp| stamp.sequence <= since.sequence(stamp.dot().origin);
        let changes = view.naming_changes(entry.id)?;
        Ok(changes.is_some_and(|[birth, named, placed]| is_known(&birth) && !(is_known(&named) && is_known(&placed))))
    }

    /// entryCSN of an entry whose own newest change is `own`.
    pub(in crate::operation) fn entry_csn(&self, own: Csn) -> String {
        match &self.position {
            Some(position) => position.changed_csn(own.ms(), false, self.sid),
            None => own.openldap_text(self.sid),
        }
    }
}

/// Entries on their way to a client.
pub(super) struct Emission {
    pub(super) changes: Changes,
    named: VecDeque<EntryUuid>,
    way: InTheWay,
    rest: VecDeque<EntryUuid>,
    /// Names that changed since the changes were gathered: entries are sent as they are now, and so must be what they are
    /// below.
    late: Changes,
    late_way: InTheWay,
    /// Messages so far.
    pub(super) sent: u64,
}

/// How a step of sending ended.
pub(super) enum Sending {
    /// There is more.
    More,
    /// All is sent.
    Done,
    /// The log does not tell any more what changed its name meanwhile.
    Lost,
}

/// To whom, and how.
pub(super) struct Teller<'a> {
    pub(super) id: i32,
    /// Server number of entryCSNs.
    pub(super) sid: u16,
    /// The client has exactly what it was told: who came and went since is not known to it.
    pub(super) is_exact: bool,
    pub(super) question: Question,
    pub(super) running: &'a mut Running,
}

pub(super) struct Gate<'a, 'v>(pub(super) &'a Access<'v>);

impl AttributeGate for Gate<'_, '_> {
    fn searchable(&self, entry: &Entry<'_>, attribute: AttributeTypeIndex) -> bool {
        self.0.may_search(entry, attribute)
    }

    fn knows(&self, entry: &Entry<'_>) -> bool {
        self.0.is_visible(entry)
    }

    fn unrestricted(&self) -> bool {
        self.0.is_administrator()
    }
}

impl Emission {
    /// Finds what else looks different than before. `None`: too much does.
    pub(super) fn new(view: View<'_>, mut changes: Changes, question: &Question) -> Outcome<Option<Self>> {
        note_others(view, &mut changes)?;
        let way = InTheWay::of(&changes, |uuid| superior_of(view, uuid))?;
        let mut rest = VecDeque::new();
        let mut seen = HashSet::new();
        let mut referrers = Vec::new();
        let takes_along = question.names && matches!(question.scope, Scope::Subtree | Scope::Subordinate);
        for (uuid, named) in changes.named.iter().filter(|(_, named)| !named.born || named.dead) {
            let mut renamed = vec![*uuid];
            if let Some(id) = view.by_uuid(*uuid)?.filter(|_| !named.dead) {
                let mut below = vec![id];
                while let Some(id) = below.pop() {
                    for child in view.children(id)? {
                        let child = child?;
                        below.push(child);
                        let Some(entry) = view.entry(child)? else { continue };
                        renamed.push(entry.record.uuid());
                        if takes_along && seen.insert(entry.record.uuid()) {
                            rest.push_back(entry.record.uuid());
                        }
                        if renamed.len() > ENTRIES_MAX {
                            return Ok(None);
                        }
                    }
                }
            }
            if named.dead
                && let Some(departed) = view.departed(*uuid)?
            {
                referrers.extend(departed.referrers);
            }
            for uuid in renamed {
                if !view.referrers(uuid, ENTRIES_MAX, &mut referrers)? {
                    return Ok(None);
                }
            }
        }
        for id in referrers {
            let Some(entry) = view.entry(id)? else { continue };
            if seen.insert(entry.record.uuid()) {
                rest.push_back(entry.record.uuid());
            }
        }
        rest.extend(changes.take_others().into_iter().filter(|uuid| seen.insert(*uuid)));
        if question.groups {
            rest.extend(changes.linked.iter().copied().filter(|uuid| seen.insert(*uuid)));
        }
        let named = changes.named_in_order();
        let late = Changes::of_names(changes.target());
        Ok(Some(Self { changes, named, way, rest, late, late_way: InTheWay::default(), sent: 0 }))
    }

    /// Sends on, from a snapshot and what it holds.
    pub(super) fn step(
        &mut self,
        directory: &Directory,
        asker: &Asker,
        (view, held): (View<'_>, &UpdateVector),
        teller: Teller<'_>,
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Outcome<Sending> {
        let before = self.late.count;
        if self.late.follow(view, held)? == Read::Lost {
            return Ok(Sending::Lost);
        }
        if self.late.count != before {
            self.late_way = InTheWay::of(&self.late, |uuid| superior_of(view, uuid))?;
        }
        let access = directory.access.renew(&directory.dit, asker, view)?;
        teller.running.selection().renew(view)?;
        let start = out.len();
        let mut step = Step { emission: self, view, access: &access, teller, out };
        for _ in 0..STEP_MAX {
            if step.out.len() - start >= bytes_max {
                return Ok(Sending::More);
            }
            if let Some(uuid) = step.emission.named.pop_front() {
                step.named(uuid)?;
            } else if let Some(uuid) = step.emission.rest.pop_front() {
                if !step.emission.changes.named.contains_key(&uuid) {
                    if !step.emission.late.named.is_empty() {
                        step.named(uuid)?;
                    }
                    if step.emission.late.named.get(&uuid).is_none_or(|named| named.sent != Sent::Yes) {
                        step.tell(uuid, false, false)?;
                    }
                }
            } else {
                return Ok(Sending::Done);
            }
        }
        Ok(Sending::More)
    }
}

/// Adds entries that nobody wrote to and that came, went or have another name by what is in `changes`: those that share a
/// name with others, take it over when these are gone, or are shown only for what is below them.
fn note_others(view: View<'_>, changes: &mut Changes) -> Result<(), DitError> {
    let adoption = view.adoption();
    let mut others = Vec::new();
    for (uuid, named) in &changes.named {
        if let Some(entry) = shown(view, *uuid)? {
            if adoption.is_adopted(entry.id) || adoption.has_losers(entry.id) {
                for other in adoption.group(adoption.host(entry.id)) {
                    others.extend(view.entry(other)?.map(|entry| (entry.record.uuid(), named.last)));
                }
            }
            for superior in view.superiors(&entry)? {
                let superior = view.entry(superior)?.filter(|entry| entry.record.flags() & ENTRY_PHANTOM != 0);
                others.extend(superior.map(|entry| (entry.record.uuid(), named.last)));
            }
        }
        if named.dead
            && let Some(departed) = view.departed(*uuid)?
        {
            left_behind(view, changes, (departed.rdn, departed.parent), named.last, &mut others)?;
        }
        if !named.born
            && let Some(place) = view.place_before(*uuid, named.first)?
        {
            left_behind(view, changes, place, named.last, &mut others)?;
        }
        if others.len() > ENTRIES_MAX {
            break;
        }
    }
    for (uuid, cause) in others {
        changes.note_effect(uuid, cause);
    }
    Ok(())
}

/// Who takes over a name that was left, and superiors that stood only for who left it: with them goes what these were
/// named by.
fn left_behind(
    view: View<'_>,
    changes: &Changes,
    place: (String, EntryUuid),
    cause: Csn,
    others: &mut Vec<(EntryUuid, Csn)>,
) -> Result<(), DitError> {
    let mut left = Some(place);
    while let Some((rdn, superior)) = left.take() {
        let Some(parent) = shown(view, superior)? else {
            if superior != EntryUuid::NIL && !changes.named.contains_key(&superior) {
                others.push((superior, cause));
                left = view.departed(superior)?.map(|departed| (departed.rdn, departed.parent));
            }
            continue;
        };
        let rdn = Dn::parse(&rdn).ok().and_then(|dn| dn.rdn().cloned());
        let key = rdn.map(|rdn| view.catalog().schema().rdn_key(&rdn));
        if let Some(key) = key
            && let Some(heir) = view.child_by_key(parent.id, &key)?
        {
            others.extend(view.entry(heir)?.map(|entry| (entry.record.uuid(), cause)));
        }
    }
    Ok(())
}

fn superior_of(view: View<'_>, uuid: EntryUuid) -> Result<Option<EntryId>, DitError> {
    Ok(shown(view, uuid)?.map(|entry| view.superior(&entry)))
}

/// What a search finds as the entry of this entryUUID: a deleted one too, as long as there are entries below it.
fn shown(view: View<'_>, uuid: EntryUuid) -> Result<Option<Entry<'_>>, DitError> {
    if let Some(id) = view.by_uuid(uuid)? {
        return view.entry(id);
    }
    for id in view.incarnations(uuid)? {
        if let Some(entry) = view.entry(id)? {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

/// One step in one snapshot.
struct Step<'s, 'v> {
    emission: &'s mut Emission,
    view: View<'v>,
    access: &'s Access<'v>,
    teller: Teller<'s>,
    out: &'s mut Vec<u8>,
}

impl Step<'_, '_> {
    /// Sends an entry whose name changed, after its superiors and after those who may still have that name.
    fn named(&mut self, uuid: EntryUuid) -> Outcome<()> {
        let mut order = vec![uuid];
        if let Some(entry) = shown(self.view, uuid)? {
            for superior in self.view.superiors(&entry)? {
                let Some(superior) = self.view.entry(superior)? else { continue };
                order.push(superior.record.uuid());
            }
        }
        for uuid in order.into_iter().rev() {
            let unsent = |changes: &Changes| changes.named.get(&uuid).copied().filter(|named| named.sent != Sent::Yes);
            let (named, late) = (unsent(&self.emission.changes), unsent(&self.emission.late));
            let Some(taken) = named.into_iter().chain(late).map(|named| named.last).max() else { continue };
            if let Some(parent) = superior_of(self.view, uuid)? {
                let mut others = self.emission.way.of_name(parent, taken);
                others.extend(self.emission.late_way.of_name(parent, taken));
                for other in others {
                    self.move_aside(other, uuid)?;
                }
            }
            self.mark(uuid, Sent::Yes);
            let born = named.or(late).is_some_and(|named| named.born);
            self.tell(uuid, born, false)?;
        }
        Ok(())
    }

    fn move_aside(&mut self, other: EntryUuid, taker: EntryUuid) -> Outcome<()> {
        let emission = &self.emission;
        let ways = [emission.changes.named.get(&other), emission.late.named.get(&other)];
        let is_in_the_way = ways.into_iter().flatten().any(|named| named.sent == Sent::No);
        if other == taker || !is_in_the_way {
            return Ok(());
        }
        let stays = self.tell(other, false, true)?;
        self.mark(other, if stays { Sent::Aside } else { Sent::Yes });
        Ok(())
    }

    fn mark(&mut self, uuid: EntryUuid, sent: Sent) {
        let emission = &mut self.emission;
        for changes in [&mut emission.changes, &mut emission.late] {
            if let Some(named) = changes.named.get_mut(&uuid) {
                named.sent = sent;
            }
        }
    }

    /// Sends the entry, or that it is gone; says whether it is in the content. `aside`: under a passing name.
    fn tell(&mut self, uuid: EntryUuid, born: bool, aside: bool) -> Outcome<bool> {
        let Some(entry) = shown(self.view, uuid)? else {
            self.gone_entry(uuid)?;
            return Ok(false);
        };
        let in_scope = self.is_in_scope(entry.id, self.view.superior(&entry))?;
        let granted = self.access.granted(&entry, Right::Read);
        let running = &*self.teller.running;
        let is_content = in_scope
            && shows(&entry, running.options(), running.base())
            && evaluate(running.filter(), self.view, &entry, &Gate(self.access))?.is_true()
            && granted.for_anything();
        if !is_content {
            // Whoever is elsewhere and did not move was never here.
            let unknown = (!in_scope && !self.emission.changes.any_moved) || (born && self.teller.is_exact);
            if !unknown {
                self.gone(uuid, None)?;
            }
            return Ok(false);
        }
        let running = &mut *self.teller.running;
        let position = self.emission.changes.target();
        let csn = position.changed_csn(entry.record.csn().ms(), aside, self.teller.sid);
        let mut name = Vec::with_capacity(96);
        let passing = (aside && entry.id != running.base()).then(|| uuid.to_text().to_vec());
        if let Some(passing) = &passing {
            name.extend_from_slice(b"cn=");
            name.extend_from_slice(passing);
            name.push(b',');
            name.extend_from_slice(self.view.dn_text(running.base())?.unwrap_or_default().as_bytes());
        } else {
            self.view.write_dn(&entry, &mut name)?;
        }
        let state = if born { SyncState::Add } else { SyncState::Modify };
        let mut pdu = SearchEntry::begin(self.out, self.teller.id, &name);
        let selection = running.selection();
        selection.show_entry_csn(Some(csn));
        selection.show_passing_name(passing);
        selection.write(self.view, &entry, (self.access, &granted), &mut pdu)?;
        selection.show_passing_name(None);
        selection.show_entry_csn(None);
        pdu.finish(&[state_control(state, &uuid.0)]);
        self.emission.sent += 1;
        Ok(true)
    }

    /// An entry that is not there any more.
    fn gone_entry(&mut self, uuid: EntryUuid) -> Outcome<()> {
        let born = self.emission.changes.named.get(&uuid).is_some_and(|named| named.born);
        if born && self.teller.is_exact {
            return Ok(());
        }
        let is_base = uuid == self.teller.question.base;
        let mut place = self.view.departed(uuid)?;
        let name = match &place {
            Some(departed) => match self.view.by_uuid(departed.parent)? {
                Some(parent) => self.view.dn_text(parent)?.map(|parent| format!("{},{parent}", departed.rdn)),
                None => None,
            },
            None => None,
        };
        // Deleted elsewhere: the first superior that is still there tells.
        let mut depth = 0;
        while let Some(departed) = place.take_if(|_| !is_base && !self.emission.changes.any_moved && depth < 256) {
            depth += 1;
            let Some(id) = self.view.by_uuid(departed.parent)? else {
                place = self.view.departed(departed.parent)?;
                continue;
            };
            let superior = self.view.entry(id)?.map_or(EntryId::NONE, |entry| self.view.superior(&entry));
            let is_below_base = id == self.teller.running.base();
            let was_in_scope = match self.teller.question.scope {
                Scope::Base => false,
                Scope::OneLevel => depth == 1 && is_below_base,
                Scope::Subtree | Scope::Subordinate => is_below_base || self.is_in_scope(id, superior)?,
            };
            if !was_in_scope {
                return Ok(());
            }
        }
        self.gone(uuid, name)
    }

    /// RFC 4533 3.3.2, 3.4.2. One message each and never a set of names, which slapd 2.5 follows only after weighing
    /// entryCSNs. Where it cannot be told what the entry was called, it goes by the base's name: consumers go by the
    /// entryUUID.
    fn gone(&mut self, uuid: EntryUuid, name: Option<String>) -> Outcome<()> {
        self.emission.sent += 1;
        let name = match name {
            Some(name) => name,
            None => self.view.dn_text(self.teller.running.base())?.unwrap_or_default(),
        };
        let pdu = SearchEntry::begin(self.out, self.teller.id, name.as_bytes());
        pdu.finish(&[state_control(SyncState::Delete, &uuid.0)]);
        Ok(())
    }

    fn is_in_scope(&self, id: EntryId, parent: EntryId) -> Outcome<bool> {
        let base = self.teller.running.base();
        Ok(match self.teller.question.scope {
            Scope::Base => id == base,
            Scope::OneLevel => parent == base,
            Scope::Subtree => self.view.is_within(id, base)?,
            Scope::Subordinate => id != base && self.view.is_within(id, base)?,
        })
    }
}

/// Whether entries of this kind are content at all: what a search shows.
pub(in crate::operation) fn shows(entry: &Entry<'_>, options: &RunOptions, base: EntryId) -> bool {
    let flags = entry.record.flags();
    if flags & ENTRY_LOSER != 0 && (flags & ENTRY_PHANTOM != 0 || !(options.conflicts || entry.id == base)) {
        return false;
    }
    if options.scope == Scope::Base {
        return true;
    }
    if flags & ENTRY_REFERRAL != 0 && !options.manage_dsa_it {
        return false;
    }
    match options.subentries {
        Subentries::Hidden => flags & ENTRY_SUBENTRY == 0,
        Subentries::Included => true,
        Subentries::Only => flags & ENTRY_SUBENTRY != 0,
    }
}
