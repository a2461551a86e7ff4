//! In which order changes came to this node: one row of numbers over the logs of all origins, for clients that know
//! changes by a number (`cn=changelog`).
//!
//! Stored are only the places where the row goes over to another origin. Between two of them the numbers follow the
//! origin's own, so that a node that alone is written to stores one place for good.
//!
//! The numbers are this node's own, as those of every retro changelog: another member counts in another order. Changes
//! that came as whole entries (a new member, one that was away too long) have no record and no number of their own.
//!
//! Invariants
//! - A number once given means the same change for ever.
//! - Numbers rise in the order of arrival; numbers of which no record is kept are left out.

use super::DitError;
use super::derive::{rdn_of, rdn_text};
use super::log::{Held, open_record};
use super::view::{DEPTH_MAX, View};
use super::writing::{Writing, state_error};
use crate::model::{EntryUuid, Rdn};
use crate::state::encoding::update::decode_update;
use crate::state::{AttributeId, Csn, Delta, Dot, EntryState, OriginId, RdnState, Stamp, Update};
use crate::storage::{ENTRY_LOSER, EntryId, PutMode, Table, log_key};
use hashbrown::HashMap;

/// Earlier names and superiors of an entry that are looked for in the log.
const EARLIER_MAX: usize = 64;
/// Names of superiors that are remembered.
const SUPERIORS_MAX: usize = 1_000;
/// Places dropped at once when the log behind them is gone.
const DROP_MAX: usize = 8;

/// A place where the row goes over to another origin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Run {
    /// The number of its first change.
    pub(super) number: u64,
    pub(super) origin: OriginId,
    /// The origin's own number of that change.
    pub(super) sequence: u64,
}

impl Run {
    fn read((key, value): (&[u8], &[u8])) -> Option<Self> {
        let (origin, sequence) = value.split_first_chunk::<8>()?;
        Some(Self {
            number: u64::from_be_bytes(key.try_into().ok()?),
            origin: OriginId(u64::from_be_bytes(*origin)),
            sequence: u64::from_be_bytes(sequence.try_into().ok()?),
        })
    }

    /// The number of the origin's change `sequence`, which belongs to this run.
    fn number_of(&self, sequence: u64) -> u64 {
        self.number.saturating_add(sequence.saturating_sub(self.sequence))
    }
}

impl View<'_> {
    /// The number of the last change that came here; 0 when none did.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn last_arrival(&self) -> Result<u64, DitError> {
        let Some(run) = self.reader().cursor(Table::Arrivals)?.last()?.and_then(Run::read) else { return Ok(0) };
        Ok(run.number_of(Held::read(self.reader(), run.origin)?.position.sequence))
    }

    /// The first change with a number above `number` of which a record is kept, and its number. Attributes that the
    /// catalog does not know have the number `u32::MAX`.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`]: a record that this version cannot read.
    pub fn arrival_after(&self, number: u64) -> Result<Option<(u64, Update)>, DitError> {
        let Some(wanted) = number.checked_add(1) else { return Ok(None) };
        let mut cursor = self.reader().cursor(Table::Arrivals)?;
        // The run that has the number, or the first one.
        let mut item = match cursor.seek(&wanted.to_be_bytes())? {
            Some((key, value)) if key == wanted.to_be_bytes() => Some((key, value)),
            Some(_) => match cursor.previous()? {
                Some(before) => Some(before),
                None => cursor.first()?,
            },
            None => cursor.last()?,
        };
        while let Some(run) = item.and_then(Run::read) {
            item = cursor.next()?;
            let end = item.and_then(Run::read).map_or(u64::MAX, |next| next.number);
            let from = run.sequence + wanted.saturating_sub(run.number);
            let mut log = self.reader().cursor(Table::Log)?;
            let Some((key, value)) = log.seek(&log_key(run.origin, from))? else { continue };
            let record = open_record(self.catalog(), key, value)?;
            let found = run.number_of(record.sequence);
            if record.origin == run.origin && found < end {
                return Ok(Some((found, self.read_logged(&record.bytes)?)));
            }
        }
        Ok(None)
    }

    fn read_logged(&self, bytes: &[u8]) -> Result<Update, DitError> {
        let catalog = self.catalog();
        decode_update(bytes, |key| Some(catalog.find_key(key).unwrap_or(AttributeId(u32::MAX))))
            .map_err(|error| state_error(EntryId::NONE, &error))
    }

    /// The logged change with this place in its origin's row, if its record is kept.
    ///
    /// # Errors
    /// As [`View::arrival_after`].
    pub fn logged(&self, dot: Dot) -> Result<Option<Update>, DitError> {
        let key = log_key(dot.origin, dot.sequence);
        match self.reader().get(Table::Log, &key)? {
            Some(value) => self.read_logged(&open_record(self.catalog(), &key, value)?.bytes).map(Some),
            None => Ok(None),
        }
    }

    /// The DN that an entry had before (`inclusive`: and with) the change `at`, as far back as the log tells.
    ///
    /// # Errors
    /// [`DitError`].
    pub fn dn_at(&self, uuid: EntryUuid, birth: Stamp, at: Csn, inclusive: bool) -> Result<Option<String>, DitError> {
        let known = self.incarnation(uuid, birth)?;
        let Some(id) = known else { return Ok(None) };
        let Some(mut state) = self.state_of(id)? else { return Ok(None) };
        let mut dn = String::new();
        for level in 0..DEPTH_MAX {
            let is_earlier = |stamp: Stamp| stamp.csn < at || ((inclusive || level > 0) && stamp.csn == at);
            if !dn.is_empty() {
                dn.push(',');
            }
            let (rdn, parent) = self.place_when(&state, &is_earlier)?;
            dn.push_str(&rdn);
            if parent == EntryUuid::NIL {
                return Ok(Some(dn));
            }
            let Some(above) = self.state_by_uuid(parent)? else { return Ok(None) };
            state = above;
        }
        Ok(None)
    }

    /// The RDN (of a suffix the DN) and the superior that an entry, alive or gone, had before the change `at`, as far
    /// back as the log tells; `None`: nothing is known of it.
    ///
    /// # Errors
    /// [`DitError`].
    pub fn place_before(&self, uuid: EntryUuid, at: Csn) -> Result<Option<(String, EntryUuid)>, DitError> {
        match self.state_by_uuid(uuid)? {
            Some(state) => self.place_when(&state, &|stamp: Stamp| stamp.csn < at).map(Some),
            None => Ok(None),
        }
    }

    /// The DN that an entry, alive or gone, had after the change `at`, as far back as the log tells: further back the one that it
    /// has, or had last. So is a name that a conflict gave, which no log knows. `superiors`: remembers names for the same `at`.
    ///
    /// # Errors
    /// [`DitError`].
    pub fn name_when(
        &self,
        uuid: EntryUuid,
        at: Csn,
        superiors: &mut HashMap<EntryUuid, String>,
    ) -> Result<Option<String>, DitError> {
        let shown = self.by_uuid(uuid)?.map(|id| self.entry(id)).transpose()?.flatten();
        if let Some(loser) = shown.filter(|entry| entry.record.flags() & ENTRY_LOSER != 0) {
            return self.dn_text(loser.id);
        }
        let mut passed: Vec<(EntryUuid, String)> = Vec::new();
        let mut next = uuid;
        let mut dn = loop {
            if let Some(known) = superiors.get(&next) {
                break known.clone();
            }
            let Some(state) = self.state_by_uuid(next)?.filter(|_| passed.len() < DEPTH_MAX) else { return Ok(None) };
            let (rdn, parent) = self.place_when(&state, &|stamp: Stamp| stamp.csn <= at)?;
            passed.push((next, rdn));
            if parent == EntryUuid::NIL {
                break String::new();
            }
            next = parent;
        };
        for (of, rdn) in passed.into_iter().rev() {
            dn = if dn.is_empty() { rdn } else { format!("{rdn},{dn}") };
            if of != uuid && superiors.len() < SUPERIORS_MAX {
                superiors.insert(of, dn.clone());
            }
        }
        Ok(Some(dn))
    }

    /// RDN (text; of a suffix the DN) and superior when only changes that are `earlier` had been made.
    fn place_when(
        &self,
        state: &EntryState,
        is_earlier: &dyn Fn(Stamp) -> bool,
    ) -> Result<(String, EntryUuid), DitError> {
        let rdn_set = |delta: &Delta| match delta {
            Delta::Rdn(rdn) | Delta::Birth { rdn, .. } => Some(text_of(rdn)),
            _ => None,
        };
        // A peer wrote it.
        let rdn_before = |update: &Update| update.former.rdn.clone().filter(|rdn| Rdn::parse(rdn).is_ok());
        let rdn = self.earlier(state.rdn.0, is_earlier, rdn_set, rdn_before)?;
        let parent_set = |delta: &Delta| match delta {
            Delta::Parent(parent) | Delta::Birth { parent, .. } => Some(*parent),
            _ => None,
        };
        let parent = self.earlier(state.parent.0, is_earlier, parent_set, |update| update.former.parent)?;
        Ok((rdn.unwrap_or_else(|| rdn_text(self.catalog(), state)), parent.unwrap_or(state.parent.1)))
    }

    fn state_by_uuid(&self, uuid: EntryUuid) -> Result<Option<EntryState>, DitError> {
        match self.by_uuid(uuid)? {
            Some(id) => self.state_of(id),
            None => Ok(self.last_incarnation(uuid)?.map(|(_, state)| state)),
        }
    }

    /// What a register held when only changes that are `earlier` had been made; `None` when it holds it still. `stamp`:
    /// the change that set it last; `content`: what a delta sets it to; `former`: what a change says that it replaced, which
    /// holds also where the log does not reach back to what had set that.
    fn earlier<T>(
        &self,
        stamp: Stamp,
        is_earlier: &dyn Fn(Stamp) -> bool,
        content: impl Fn(&Delta) -> Option<T>,
        former: impl Fn(&Update) -> Option<T>,
    ) -> Result<Option<T>, DitError> {
        let mut found = None;
        let mut at = stamp;
        for _ in 0..EARLIER_MAX {
            if is_earlier(at) {
                break;
            }
            let Some(update) = self.logged(at.dot())? else { break };
            let set = update.deltas.iter().position(|delta| content(delta).is_some());
            let said = former(&update).filter(|_| set.is_some());
            let is_said = said.is_some();
            found = said.or(found);
            let Some(before) = set.and_then(|set| update.replaced.get(set)).filter(|stamp| **stamp != Stamp::NONE)
            else {
                break;
            };
            at = *before;
            if is_said {
                continue;
            }
            let Some(older) = self.logged(at.dot())? else { break };
            match older.deltas.iter().find_map(&content) {
                Some(content) => found = Some(content),
                None => break,
            }
        }
        Ok(found)
    }
}

fn text_of(rdn: &RdnState) -> String {
    rdn_of(rdn).map_or_else(String::new, |rdn| rdn.to_string())
}

impl Writing<'_> {
    /// Numbers the change that is about to be appended to an origin's log.
    pub(super) fn note_arrival(&mut self, origin: OriginId, sequence: u64) -> Result<(), DitError> {
        if self.last_run.is_none() {
            self.last_run = self.txn.reader().cursor(Table::Arrivals)?.last()?.and_then(Run::read);
        }
        let number = match self.last_run {
            Some(run) if run.origin == origin => return Ok(()),
            Some(run) => run.number_of(self.held(run.origin)?.position.sequence) + 1,
            None => 1,
        };
        let run = Run { number, origin, sequence };
        let value = [origin.0.to_be_bytes(), sequence.to_be_bytes()].concat();
        self.txn.put(Table::Arrivals, &number.to_be_bytes(), &value, PutMode::Upsert)?;
        self.last_run = Some(run);
        self.drop_arrivals()
    }

    /// Drops places behind which no record is left.
    fn drop_arrivals(&mut self) -> Result<(), DitError> {
        for _ in 0..DROP_MAX {
            let mut cursor = self.txn.reader().cursor(Table::Arrivals)?;
            let (first, next) = (cursor.first()?.and_then(Run::read), cursor.next()?.and_then(Run::read));
            drop(cursor);
            let (Some(first), Some(next)) = (first, next) else { break };
            let end = first.sequence + (next.number - first.number);
            if self.held(first.origin)?.floor < end {
                break;
            }
            self.txn.delete(Table::Arrivals, &first.number.to_be_bytes(), None)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::dit::{Dit, LogRange, Options, Target};
    use crate::schema::Schema;
    use std::sync::Arc;

    fn open(folder: &std::path::Path) -> Dit {
        Dit::open(Options::new(folder), Arc::new(Schema::builtin()), Clock::simulated(1_700_000_000_000)).unwrap()
    }

    fn change(dit: &Dit, text: &str) {
        let attributes = [("objectClass", vec![b"top".to_vec()]), ("description", vec![text.as_bytes().to_vec()])];
        dit.change_offline(|writing| writing.put_entry(&format!("cn={text},cn=cluster"), &attributes)).unwrap();
    }

    fn origin(dit: &Dit) -> OriginId {
        let writing = Writing::begin(dit).unwrap();
        writing.origin()
    }

    fn deliver(from: &Dit, to: &Dit) {
        let origin = origin(from);
        let snapshot = from.read().unwrap();
        let held = to.read().unwrap().view().update_vector().unwrap().sequence(origin);
        let LogRange::Records(records) = snapshot.view().log_range(origin, held + 1, usize::MAX).unwrap() else {
            panic!("records are gone")
        };
        to.change_offline(|writing| {
            for record in &records {
                writing.receive(record)?;
            }
            Ok(())
        })
        .unwrap();
    }

    fn row(dit: &Dit) -> Vec<(u64, Dot)> {
        let snapshot = dit.read().unwrap();
        let view = snapshot.view();
        let (mut row, mut last) = (Vec::new(), 0);
        while let Some((number, update)) = view.arrival_after(last).unwrap() {
            row.push((number, update.dot()));
            last = number;
        }
        row
    }

    #[test]
    fn changes_are_numbered_as_they_come_whosever_they_are() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [one, other] = [open(folders[0].path()), open(folders[1].path())];
        assert_eq!(one.read().unwrap().view().last_arrival().unwrap(), 0);
        assert!(row(&one).is_empty());
        one.set_administrator("cn=admin", b"x").unwrap();
        change(&one, "a");
        let first = row(&one);
        deliver(&one, &other);
        change(&other, "b");
        change(&other, "c");
        change(&one, "d");
        deliver(&one, &other);
        deliver(&other, &one);
        for dit in [&one, &other] {
            let row = row(dit);
            let numbers: Vec<u64> = row.iter().map(|(number, _)| *number).collect();
            assert_eq!(numbers, (1..=5).collect::<Vec<u64>>());
            assert_eq!(dit.read().unwrap().view().last_arrival().unwrap(), 5);
            assert_eq!(row[..2], first[..]);
        }
        let origins = |dit: &Dit| row(dit).into_iter().map(|(_, dot)| dot.origin).collect::<Vec<_>>();
        let (a, b) = (origin(&one), origin(&other));
        assert_eq!(origins(&one), [a, a, a, b, b]);
        assert_eq!(origins(&other), [a, a, b, b, a]);
        // Places are stored where the row goes over, and nowhere else.
        let places = |dit: &Dit| dit.read().unwrap().view().reader().count(Table::Arrivals).unwrap();
        assert_eq!((places(&one), places(&other)), (2, 3));
    }

    #[test]
    fn what_the_log_dropped_is_left_out_and_no_number_changes() {
        let folder = tempfile::tempdir().unwrap();
        let dit = open(folder.path());
        dit.set_administrator("cn=admin", b"x").unwrap();
        for text in ["a", "b", "c"] {
            change(&dit, text);
        }
        let before = row(&dit);
        let own = origin(&dit);
        dit.change_offline(|writing| writing.drop_log_below(own, 3, 10)).unwrap();
        assert_eq!(row(&dit), before[2..]);
    }

    #[test]
    fn the_name_is_that_of_the_time() {
        let folder = tempfile::tempdir().unwrap();
        let dit = open(folder.path());
        dit.set_administrator("cn=admin", b"x").unwrap();
        change(&dit, "a");
        let snapshot = dit.read().unwrap();
        let (_, update) = snapshot.view().arrival_after(1).unwrap().unwrap();
        let name = snapshot.view().dn_at(update.uuid, update.birth, update.stamp.csn, true).unwrap();
        assert_eq!(name.as_deref(), Some("cn=a,cn=cluster"));
    }

    /// The log begins with the changes that replaced name and superior.
    #[test]
    fn the_name_before_is_known_where_the_log_has_only_what_replaced_it() {
        let folder = tempfile::tempdir().unwrap();
        let dit = open(folder.path());
        dit.set_administrator("cn=admin", b"x").unwrap();
        change(&dit, "a");
        change(&dit, "below");
        let changed = |number: u64| {
            let snapshot = dit.read().unwrap();
            let (found, update) = snapshot.view().arrival_after(number - 1).unwrap().unwrap();
            assert_eq!(found, number);
            update
        };
        let (entry, below) = (changed(2).uuid, changed(3).uuid);
        let id = dit.read().unwrap().view().by_uuid(entry).unwrap().unwrap();
        for rdn in ["cn=b", "cn=c"] {
            dit.change_offline(|writing| {
                let rdn = crate::dit::rdn_state(writing, &Rdn::parse(rdn).unwrap()).unwrap();
                writing.change(Target::Existing(id), "cn=test", vec![Delta::Rdn(rdn)]).map(|_| ())
            })
            .unwrap();
        }
        dit.change_offline(|writing| {
            writing.change(Target::Existing(id), "cn=test", vec![Delta::Parent(below)]).map(|_| ())
        })
        .unwrap();
        let own = origin(&dit);
        dit.change_offline(|writing| writing.drop_log_below(own, 5, 10)).unwrap();
        assert_eq!(row(&dit).len(), 2);
        let names = |number: u64| {
            let update = changed(number);
            let snapshot = dit.read().unwrap();
            [false, true].map(|inclusive| {
                snapshot.view().dn_at(update.uuid, update.birth, update.stamp.csn, inclusive).unwrap().unwrap()
            })
        };
        assert_eq!(names(5), ["cn=b,cn=cluster", "cn=c,cn=cluster"]);
        assert_eq!(names(6), ["cn=c,cn=cluster", "cn=c,cn=below,cn=cluster"]);
    }
}
