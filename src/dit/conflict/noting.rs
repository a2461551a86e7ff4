//! Writing conflicts down: where an update or a state of another node joins, where a move is skipped, where a fault is
//! mended.

use super::history::LogHistory;
use super::{Conflict, ConflictPlace, SIDE_BYTES_MAX, Side, SideContent, record};
use crate::dit::DitError;
use crate::dit::shape::Move;
use crate::dit::values::value_of;
use crate::dit::view::View;
use crate::dit::writing::Writing;
use crate::model::EntryUuid;
use crate::state::conflict::{Content, Found, History, Lost, Place, Rule, answer, lost_by_joining, what_is_left_of};
use crate::state::{CellValue, Delta, EntryState, Stamp, StateError, Update, UpdateVector, ValueKey};
use crate::storage::{EntryId, PutMode, Table};

/// Conflicts that travel with an entry at most, and their bytes.
const CARRIED_MAX: usize = 256;
const CARRIED_BYTES_MAX: usize = 64 * 1024;
/// Questions kept at most: a few hundred bytes each.
const QUESTIONS_MAX: u64 = 10_000;

/// Which incarnation of which entry, and its name now.
struct About {
    id: EntryId,
    uuid: EntryUuid,
    birth: Stamp,
    dn: String,
}

impl View<'_> {
    /// What the log has about an incarnation, for another member: the newest, as many as fit.
    pub(in crate::dit) fn portable_conflicts(&self, uuid: EntryUuid, birth: Stamp) -> Result<Vec<Vec<u8>>, DitError> {
        let (mut carried, mut bytes) = (Vec::new(), 0);
        if self.reader().count(Table::Conflicts)? == 0 {
            return Ok(carried);
        }
        let prefix = record::entry_prefix(uuid);
        let mut keys = Vec::new();
        let mut cursor = self.reader().cursor(Table::Conflicts)?;
        let mut item = cursor.seek(&prefix)?;
        while let Some((key, _)) = item.filter(|(key, _)| key.starts_with(&prefix)) {
            keys.extend(record::of_entry_key(key));
            item = cursor.next()?;
        }
        for key in keys.iter().rev() {
            let Some(value) = self.reader().get(Table::Conflicts, key)? else { continue };
            let conflict = record::open(self.catalog(), key, value)?;
            let portable = record::portable(self.catalog(), key, value)?;
            // A repair is of one member alone.
            if conflict.birth != birth || conflict.rule == Rule::Repaired {
                continue;
            }
            bytes += portable.len();
            if carried.len() >= CARRIED_MAX || bytes > CARRIED_BYTES_MAX {
                break;
            }
            carried.push(portable);
        }
        Ok(carried)
    }
}

impl Writing<'_> {
    /// Writes down what joining `update` into `before` loses. The touched cells must be loaded.
    pub(in crate::dit) fn note_lost(
        &mut self,
        id: EntryId,
        before: &EntryState,
        update: &Update,
    ) -> Result<(), DitError> {
        let mut history = LogHistory::of_writing(self, id);
        let found = lost_by_joining(before, update, &mut history);
        let found = history.checked(found)?;
        self.note_found(id, before, Some(update), &found)
    }

    /// Writes down what joining another node's state of the entry loses, as far as this node can tell: which of its own
    /// changes and theirs were made apart. Changes that are held here have met already, and those that the other held
    /// (`theirs`) there.
    pub(in crate::dit) fn note_lost_to(
        &mut self,
        id: EntryId,
        before: &EntryState,
        other: &EntryState,
        theirs: Option<&UpdateVector>,
    ) -> Result<(), DitError> {
        let mut stamps: Vec<Stamp> = Vec::new();
        for stamp in other.stamps() {
            if stamp != other.birth && !self.covers(stamp)? {
                stamps.push(stamp);
            }
        }
        for stamp in stamps {
            let update = what_is_left_of(stamp, other, self.view().modifier_at(stamp, other)?);
            if update.deltas.is_empty() {
                continue;
            }
            let mut history = LogHistory::of_writing(self, id);
            let mut found = lost_by_joining(before, &update, &mut history);
            // What is told of by its own record, here or there, is judged where that comes.
            found.untold.retain(|untold| {
                theirs.is_some_and(|theirs| !theirs.covers(untold.older.dot()))
                    && untold.older != update.stamp
                    && history.update(untold.older).is_none()
            });
            let found = history.checked(found)?;
            self.note_found(id, before, Some(&update), &found)?;
        }
        Ok(())
    }

    /// Writes down what others overrode of a change that nobody but this node held: none of them knew it, though no record
    /// tells that any more where only their entries came.
    pub(in crate::dit) fn note_overtaken(&mut self, update: &Update) -> Result<(), DitError> {
        let Some(id) = self.id_of(update.uuid, update.birth)? else { return Ok(()) };
        let Some(mut state) = self.state(id)? else { return Ok(()) };
        self.load_touched(id, &mut state, &update.deltas)?;
        let mut before = EntryState::unborn(update.uuid, update.birth);
        before.apply(update);
        let own = [self.origin(), update.stamp.csn.origin()];
        for stamp in state.stamps() {
            let origin = stamp.csn.origin();
            if stamp > update.stamp && !own.contains(&origin) {
                let by = what_is_left_of(stamp, &state, self.view().modifier_at(stamp, &state)?);
                self.note_lost(id, &before, &by.knowing(vec![(origin, stamp.sequence)]))?;
            }
        }
        Ok(())
    }

    /// Forgets conflicts that turn out to be none: whoever lost replaced the change knowingly, or the same is written
    /// again, by somebody who did not know what it was lost to. Members that met this update first never saw them.
    pub(in crate::dit) fn heal_conflicts(&mut self, before: &EntryState, update: &Update) -> Result<(), DitError> {
        for key in self.conflicts_of(before.uuid)? {
            let Some(value) = self.txn.reader().get(Table::Conflicts, &key)? else { continue };
            let conflict = record::open(&self.catalog, &key, value)?;
            if conflict.birth != before.birth
                || matches!(conflict.rule, Rule::Circle | Rule::Repaired)
                || update.stamp < conflict.loser.stamp
                || update.knew(conflict.winner.stamp) != Some(false)
            {
                continue;
            }
            let dies = update.deltas.iter().any(|delta| matches!(delta, Delta::Dead));
            let says = self.written_by(update, &conflict)?;
            let is_replaced = (dies || says.is_some()) && update.knew(conflict.loser.stamp) == Some(true);
            if is_replaced || says.is_some_and(|says| says == conflict.loser.content) {
                self.drop_conflict(&key)?;
            }
        }
        Ok(())
    }

    /// What an update makes of the place of a conflict; `None` when it leaves it alone.
    fn written_by(&self, update: &Update, conflict: &Conflict) -> Result<Option<SideContent>, DitError> {
        let key = match &conflict.place {
            ConflictPlace::Name | ConflictPlace::Superior => {
                return Ok(update.deltas.iter().find_map(|delta| match (delta, &conflict.place) {
                    (Delta::Rdn(rdn), ConflictPlace::Name) => Some(side_content(&Content::Rdn(rdn.clone()), false)),
                    (Delta::Parent(parent), ConflictPlace::Superior) => Some(SideContent::Superior(*parent)),
                    _ => None,
                }));
            }
            ConflictPlace::Attribute(key) => key,
        };
        let Some(attribute) = self.catalog.find_key(key) else { return Ok(None) };
        let Some(info) = self.catalog.attribute(attribute) else { return Ok(None) };
        let cells = update.deltas.iter().filter_map(|delta| match delta {
            Delta::Cell { attribute: of, key, present, value, .. } if *of == attribute => Some((key, *present, value)),
            _ => None,
        });
        let cleared = update.deltas.iter().any(|delta| matches!(delta, Delta::Clear(of) if *of == attribute));
        if !matches!(conflict.rule, Rule::ClearOverAdd | Rule::DeleteOverAdd | Rule::AddOverDelete) {
            let values = cells.filter(|(_, present, _)| *present).map(|(.., value)| value.clone()).collect();
            return Ok(cleared.then(|| side_content(&Content::Values(values), conflict.is_secret)));
        }
        let (SideContent::Values(lost) | SideContent::Without(lost)) = &conflict.loser.content else { return Ok(None) };
        let Some(lost) = lost.first() else { return Ok(None) };
        let lost_key = match lost {
            CellValue::Link(target) => ValueKey::link(*target),
            CellValue::Text(text) => match value_of(&self.view(), info, text) {
                Ok((key, _)) => key,
                Err(_) => return Ok(None),
            },
        };
        let mut cells = cells;
        let said = cells.find(|(key, ..)| **key == lost_key).map(|(_, present, _)| present);
        Ok(match said.or_else(|| cleared.then_some(false)) {
            Some(true) => Some(SideContent::Values(vec![lost.clone()])),
            Some(false) => Some(SideContent::Without(vec![lost.clone()])),
            None => None,
        })
    }

    fn conflicts_of(&self, uuid: EntryUuid) -> Result<Vec<Vec<u8>>, DitError> {
        let mut keys = Vec::new();
        if self.txn.reader().count(Table::Conflicts)? == 0 {
            return Ok(keys);
        }
        let prefix = record::entry_prefix(uuid);
        let mut cursor = self.txn.reader().cursor(Table::Conflicts)?;
        let mut item = cursor.seek(&prefix)?;
        while let Some((key, _)) = item.filter(|(key, _)| key.starts_with(&prefix)) {
            keys.extend(record::of_entry_key(key));
            item = cursor.next()?;
        }
        Ok(keys)
    }

    /// Answers what could not be told before this record was here.
    pub(in crate::dit) fn answer_questions(&mut self, update: &Update) -> Result<(), DitError> {
        if self.txn.reader().count(Table::Conflicts)? == 0 {
            return Ok(());
        }
        let prefix = record::question_prefix(update.dot());
        let mut asked = Vec::new();
        let mut cursor = self.txn.reader().cursor(Table::Conflicts)?;
        let mut item = cursor.seek(&prefix)?;
        while let Some((key, value)) = item.filter(|(key, _)| key.starts_with(&prefix)) {
            asked.push((key.to_vec(), record::open_question(key, value, &self.catalog)?));
            item = cursor.next()?;
        }
        drop(cursor);
        for (key, question) in asked {
            self.txn.delete(Table::Conflicts, &key, None)?;
            let Some(((uuid, birth), question)) = question else { continue };
            let Some(id) = self.id_of(uuid, birth)? else { continue };
            let Some(state) = self.state(id)? else { continue };
            let mut history = LogHistory::of_writing(self, id);
            let found = answer(&question, update.clone(), &mut history);
            let found = history.checked(found)?;
            self.note_found(id, &state, Some(update), &found)?;
        }
        Ok(())
    }

    /// A move is skipped because `by` put another entry where it would make a circle, or (`none`) is not skipped any more
    /// for that reason.
    pub(in crate::dit) fn note_circle(
        &mut self,
        of: &Move,
        was: Option<(Stamp, EntryUuid)>,
        by: Option<(Stamp, EntryUuid)>,
    ) -> Result<(), DitError> {
        if was == by {
            return Ok(());
        }
        if was.is_some() {
            let key = record::key(Rule::Circle, &of.stamp, &Place::Parent, &self.catalog);
            self.drop_conflict(&key)?;
        }
        let Some((winner, in_the_way)) = by else { return Ok(()) };
        let Some((id, state)) = self.view().last_incarnation(of.uuid)? else { return Ok(()) };
        let lost = Lost {
            place: Place::Parent,
            rule: Rule::Circle,
            winner,
            winner_content: Content::InTheWay(in_the_way),
            loser: of.stamp,
            loser_content: Content::Parent(of.parent),
        };
        self.note_found(id, &state, None, &Found { lost: vec![lost], ..Found::default() })
    }

    /// The entry's content was made another member's though no change was missing.
    pub(in crate::dit) fn note_repair(&mut self, id: EntryId) -> Result<(), DitError> {
        let Some(state) = self.state(id)? else { return Ok(()) };
        let stamp = state.max_stamp();
        let lost = Lost {
            place: Place::Parent,
            rule: Rule::Repaired,
            winner: stamp,
            winner_content: Content::Values(Vec::new()),
            loser: stamp,
            loser_content: Content::Values(Vec::new()),
        };
        self.note_found(id, &state, None, &Found { lost: vec![lost], ..Found::default() })
    }

    /// A change was written again with another stamp: what it had overridden, it overrides under that one, and if all of it
    /// `stands`, it is lost no more itself.
    pub(in crate::dit) fn restamp_conflicts(
        &mut self,
        uuid: EntryUuid,
        old: Stamp,
        new: Stamp,
        stands: bool,
    ) -> Result<(), DitError> {
        for key in self.conflicts_of(uuid)? {
            let Some(value) = self.txn.reader().get(Table::Conflicts, &key)? else { continue };
            let mut conflict = record::open(&self.catalog, &key, value)?;
            if conflict.loser.stamp == old && stands {
                self.drop_conflict(&key)?;
            } else if conflict.winner.stamp == old {
                conflict.winner.stamp = new;
                self.put_conflict(&key, &conflict)?;
            }
        }
        Ok(())
    }

    /// Takes what another member wrote down about an entry.
    pub(in crate::dit) fn take_conflicts(&mut self, carried: &[Vec<u8>]) -> Result<Result<(), StateError>, DitError> {
        for bytes in carried.iter().take(CARRIED_MAX) {
            let (key, conflict) = match record::from_portable(bytes) {
                Ok(read) => read,
                Err(error) => return Ok(Err(error)),
            };
            self.put_conflict(&key, &conflict)?;
        }
        Ok(Ok(()))
    }

    fn note_found(
        &mut self,
        id: EntryId,
        before: &EntryState,
        update: Option<&Update>,
        found: &Found,
    ) -> Result<(), DitError> {
        self.note_untold(&found.untold)?;
        if found.questions.is_empty() && found.lost.is_empty() {
            return Ok(());
        }
        for question in &found.questions {
            if self.txn.reader().count(Table::Conflicts)? < QUESTIONS_MAX + 2 * super::CONFLICTS_MAX {
                let (key, value) = record::seal_question((before.uuid, before.birth), question, &self.catalog)?;
                self.txn.put(Table::Conflicts, &key, &value, PutMode::Upsert)?;
            }
        }
        let dn = match self.view().dn_text(id)? {
            Some(dn) => dn,
            None => self.view().dn_by_state(before)?,
        };
        let about = About { id, uuid: before.uuid, birth: before.birth, dn };
        for lost in &found.lost {
            let conflict = self.conflict_of(&about, lost, before, update)?;
            let key = record::key(lost.rule, &lost.loser, &lost.place, &self.catalog);
            self.put_conflict(&key, &conflict)?;
        }
        self.drop_old_conflicts()
    }

    /// Of several winners the newest is told of.
    fn put_conflict(&mut self, key: &[u8], conflict: &Conflict) -> Result<(), DitError> {
        let rank = |of: &Conflict| (of.winner.stamp, !of.winner.requester.is_empty(), !of.loser.requester.is_empty());
        if let Some(value) = self.txn.reader().get(Table::Conflicts, key)?
            && rank(&record::open(&self.catalog, key, value)?) >= rank(conflict)
        {
            return Ok(());
        }
        let value = record::seal_conflict(&self.catalog, key, conflict)?;
        self.txn.put(Table::Conflicts, key, &value, PutMode::Upsert)?;
        self.txn.put(Table::Conflicts, &record::entry_key(conflict.uuid, key), &[], PutMode::Upsert)?;
        Ok(())
    }

    fn conflict_of(
        &self,
        about: &About,
        lost: &Lost,
        before: &EntryState,
        update: Option<&Update>,
    ) -> Result<Conflict, DitError> {
        let info = lost.place.attribute().and_then(|attribute| self.catalog.attribute(attribute));
        let is_secret = info.is_some_and(|info| info.secret || info.sealed);
        let side = |stamp: Stamp, content: &Content| -> Result<Side, DitError> {
            let requester = match update.filter(|update| update.stamp == stamp) {
                Some(update) => update.requester.clone(),
                None => self.requester_of_change(about.id, stamp, before)?,
            };
            Ok(Side { stamp, requester, content: side_content(content, is_secret) })
        };
        let (winner, loser) = (side(lost.winner, &lost.winner_content)?, side(lost.loser, &lost.loser_content)?);
        Ok(Conflict {
            id: String::new(),
            uuid: about.uuid,
            birth: about.birth,
            dn: about.dn.clone(),
            place: match lost.place {
                Place::Rdn => ConflictPlace::Name,
                Place::Parent => ConflictPlace::Superior,
                Place::Attribute(_) | Place::Value(..) => {
                    ConflictPlace::Attribute(info.map(|info| info.key.clone()).unwrap_or_default())
                }
            },
            is_secret,
            rule: lost.rule,
            winner,
            loser,
        })
    }

    /// Who asked for a change: by its record, or by the entry's own word where that is of the same change.
    fn requester_of_change(&self, id: EntryId, stamp: Stamp, state: &EntryState) -> Result<String, DitError> {
        let mut history = LogHistory::of_writing(self, id);
        let found = history.update(stamp).map(|update| update.requester);
        match history.checked(found)? {
            Some(requester) => Ok(requester),
            None => self.view().modifier_at(stamp, state),
        }
    }
}

impl View<'_> {
    /// The name in `modifiersName` or `creatorsName` if just this change wrote it.
    pub(super) fn modifier_at(&self, stamp: Stamp, state: &EntryState) -> Result<String, DitError> {
        let known = self.catalog().well_known();
        for attribute in [known.modifiers_name, known.creators_name] {
            let cells = state.attribute(attribute).into_iter().flat_map(|held| held.cells.values());
            for cell in cells.filter(|cell| cell.present && cell.stamp == stamp) {
                match &cell.value {
                    CellValue::Text(text) => return Ok(String::from_utf8_lossy(text).into_owned()),
                    CellValue::Link(target) => {
                        if let Some(id) = self.by_uuid(*target)? {
                            return Ok(self.dn_text(id)?.unwrap_or_default());
                        }
                    }
                }
            }
        }
        Ok(String::new())
    }
}

fn side_content(content: &Content, is_secret: bool) -> SideContent {
    let values = |values: &[CellValue], wrap: fn(Vec<CellValue>) -> SideContent| {
        let bytes: usize = values
            .iter()
            .map(|value| match value {
                CellValue::Text(text) => text.len(),
                CellValue::Link(_) => 16,
            })
            .sum();
        if (is_secret && !values.is_empty()) || bytes > SIDE_BYTES_MAX {
            return SideContent::Unsaid { count: values.len() as u64 };
        }
        wrap(values.to_vec())
    };
    match content {
        Content::Values(list) => values(list, SideContent::Values),
        Content::Without(list) => values(list, SideContent::Without),
        Content::Rdn(rdn) => {
            SideContent::Name(crate::dit::derive::rdn_of(rdn).map_or_else(String::new, |rdn| rdn.to_string()))
        }
        Content::Parent(parent) => SideContent::Superior(*parent),
        Content::Dead => SideContent::Deleted,
        Content::InTheWay(entry) => SideContent::InTheWay(*entry),
    }
}
