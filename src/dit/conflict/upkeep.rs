//! Keeping the conflict log short, and the words about it on entries few.

use super::{CONFLICTS_MAX, Conflict, ConflictState, DECIDED_KEPT_MS, KEPT_MS, MARK_KEPT_MS, RESOLVED, record};
use crate::dit::DitError;
use crate::dit::spill;
use crate::dit::writing::{Target, Writing};
use crate::model::AttributeDescription;
use crate::state::conflict::Untold;
use crate::state::{AttributeId, CellValue, Delta, ValueKey};
use crate::storage::{EntryId, IndexKind, Postings, Table, index_key};

/// Records dropped with each new one at most.
const DROPPED_AT_ONCE_MAX: u64 = 64;
/// Conflicts looked at in one round of upkeep.
const SWEPT_AT_ONCE_MAX: usize = 32;
/// Entries whose old words go with one decision at most.
const MARKED_AT_ONCE_MAX: usize = 64;

impl Writing<'_> {
    pub(super) fn drop_conflict(&mut self, key: &[u8]) -> Result<(), DitError> {
        let Some(value) = self.txn.reader().get(Table::Conflicts, key)? else { return Ok(()) };
        let uuid = record::open(&self.catalog, key, value)?.uuid;
        self.txn.delete(Table::Conflicts, key, None)?;
        self.txn.delete(Table::Conflicts, &record::entry_key(uuid, key), None)?;
        Ok(())
    }

    /// The log is bounded by count.
    pub(super) fn drop_old_conflicts(&mut self) -> Result<(), DitError> {
        for _ in 0..DROPPED_AT_ONCE_MAX {
            let reader = self.txn.reader();
            let mut cursor = reader.cursor(Table::Conflicts)?;
            let first = cursor.seek(&[record::CONFLICT])?.filter(|(key, _)| record::is_conflict(key));
            let Some((key, _)) = first else { break };
            // Each has a second record by its entry.
            if reader.count(Table::Conflicts)? <= 2 * CONFLICTS_MAX {
                break;
            }
            let key = key.to_vec();
            drop(cursor);
            self.drop_conflict(&key)?;
        }
        Ok(())
    }

    /// One round of upkeep: drops some of the conflicts that are too old, long decided, or about entries that are gone
    /// altogether, and questions whose answer will not come. The next round goes on where this one ended.
    pub(in crate::dit) fn sweep_conflicts(&mut self) -> Result<(), DitError> {
        if self.txn.reader().count(Table::Conflicts)? == 0 {
            return Ok(());
        }
        let now = self.now_ms();
        let mut position = self.dit().conflict_sweep();
        let mut over = Vec::new();
        for _ in 0..SWEPT_AT_ONCE_MAX {
            let Some((key, conflict)) = self.view().conflict_after(&position)? else {
                position.clear();
                break;
            };
            let met_ms = conflict.winner.stamp.max(conflict.loser.stamp).csn.ms();
            if met_ms.saturating_add(KEPT_MS) < now || self.is_over(&conflict, now)? {
                over.push(key.clone());
            }
            position = key;
        }
        for key in over {
            self.drop_conflict(&key)?;
        }
        self.dit().set_conflict_sweep(position);
        self.drop_old_untold(now.saturating_sub(KEPT_MS))?;
        self.drop_void_questions()
    }

    fn is_over(&self, conflict: &Conflict, now_ms: u64) -> Result<bool, DitError> {
        let view = self.view();
        let Some(id) = view.incarnation(conflict.uuid, conflict.birth)? else { return Ok(true) };
        let Some(state) = view.state_of(id)? else { return Ok(true) };
        let said = view.said_of(id, &state, &conflict.id)?;
        Ok(said.is_some_and(|(stamp, state)| {
            state != ConflictState::Open && stamp.csn.ms().saturating_add(DECIDED_KEPT_MS) < now_ms
        }))
    }

    /// Drops questions whose record came another way than by the log.
    fn drop_void_questions(&mut self) -> Result<(), DitError> {
        let mut void = Vec::new();
        let mut cursor = self.txn.reader().cursor(Table::Conflicts)?;
        let mut item = cursor.seek(&[record::QUESTION])?;
        while let (true, Some((key, _))) = (void.len() < SWEPT_AT_ONCE_MAX, item) {
            let Some(dot) = record::awaited_by(key) else { break };
            if dot.sequence <= self.held(dot.origin)?.position.sequence {
                void.push(key.to_vec());
            }
            item = cursor.next()?;
        }
        drop(cursor);
        for key in void {
            if let Some(value) = self.txn.reader().get(Table::Conflicts, &key)?
                && let Some((_, question)) = record::open_question(&key, value, &self.catalog)?
            {
                // Whole entries came in the record's place.
                self.note_untold(&[Untold { newer: question.awaited, older: question.older }])?;
            }
            self.txn.delete(Table::Conflicts, &key, None)?;
        }
        Ok(())
    }

    /// Writes on the entry what became of a conflict of this name, and takes words away that nobody needs any more.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`].
    pub fn decide_conflict(
        &mut self,
        entry: EntryId,
        name: &str,
        state: ConflictState,
        author: &str,
    ) -> Result<(), DitError> {
        let word = self.resolution(name, state)?;
        let mut deltas = vec![word.1.clone()];
        deltas.extend(self.old_words(entry, word.0, Some(name))?);
        self.change(Target::Existing(entry), author, deltas)?;
        for other in self.entries_with_words(word.0, entry)? {
            let deltas = self.old_words(other, word.0, None)?;
            if !deltas.is_empty() {
                self.change(Target::Existing(other), author, deltas)?;
            }
        }
        Ok(())
    }

    /// The delta that says on the entry what became of its conflict.
    pub(in crate::dit) fn resolution(
        &mut self,
        name: &str,
        state: ConflictState,
    ) -> Result<(AttributeId, Delta), DitError> {
        let unknown = || DitError::UnknownAttribute(RESOLVED.to_owned());
        let attribute = self.intern(&AttributeDescription::parse(RESOLVED).map_err(|_| unknown())?)?;
        let text = format!("{name} {}", state.name()).into_bytes();
        let key = ValueKey::of_normal(&text);
        Ok((attribute, Delta::Cell { attribute, key, order: 0, present: true, value: CellValue::Text(text) }))
    }

    /// Deltas that take words off an entry: what was said before of the conflict that is decided now, and what is old.
    fn old_words(&self, entry: EntryId, attribute: AttributeId, now: Option<&str>) -> Result<Vec<Delta>, DitError> {
        let since = self.now_ms().saturating_sub(MARK_KEPT_MS);
        let Some(state) = self.state(entry)? else { return Ok(Vec::new()) };
        let Some(held) = state.attribute(attribute) else { return Ok(Vec::new()) };
        let mut cells: Vec<_> = held.cells.iter().map(|(key, cell)| (key.clone(), cell.clone())).collect();
        if held.spilled.is_some() {
            cells.extend(spill::read_cells(self.txn.reader(), &self.catalog, entry, attribute)?);
        }
        let is_old = |value: &CellValue, ms: u64| match value {
            CellValue::Text(text) => {
                let name = std::str::from_utf8(text).ok().and_then(|text| text.split_once(' ')).map(|(name, _)| name);
                ms < since && (name.is_none() || name != now)
            }
            CellValue::Link(_) => true,
        };
        let old = cells.into_iter().filter(|(_, cell)| cell.present && is_old(&cell.value, cell.stamp.csn.ms()));
        Ok(old
            .map(|(key, _)| {
                let value = CellValue::Text(Vec::new());
                Delta::Cell { attribute, key, order: 0, present: false, value }
            })
            .collect())
    }

    /// Some entries that have such words.
    fn entries_with_words(&self, attribute: AttributeId, but: EntryId) -> Result<Vec<EntryId>, DitError> {
        let mut found = Vec::new();
        let mut key = Vec::new();
        index_key(attribute, IndexKind::Presence, &[], &mut key);
        let Some(mut postings) = Postings::open(self.txn.reader(), &key)? else { return Ok(found) };
        while let Some(id) = postings.next()?.filter(|_| found.len() < MARKED_AT_ONCE_MAX) {
            if id != but {
                found.push(id);
            }
        }
        Ok(found)
    }
}
