//! What this node's clients changed of an entry that was made again elsewhere meanwhile, before they heard of it.
//!
//! An incarnation is its birth. Who writes an entry again, as it was a member away or an old copy, or because somebody
//! undeleted it, ends one incarnation and begins another. Whoever changes the first one later than that, and has not heard
//! of it, changes what is over. By the clock that change is newer than what is there now, so it counts: the node where it
//! was made writes it again for the incarnation that lives.
//!
//! Invariants
//! - Only what is newer than the later birth is carried over. What is older stood before whoever made the entry again, or
//!   was overtaken by it.
//! - A deletion ends all incarnations that its node knows. The end of one that was made again is no deletion.
//! - A node carries over its own changes, once, in the transaction in which the later incarnation is born here. Others do the
//!   same with theirs.
//!
//! Not carried over: steps of a counter, which belong to what was counted from.

use super::DitError;
use super::log::open_record;
use super::writing::{Target, Writing};
use crate::model::EntryUuid;
use crate::state::encoding::update::decode_update;
use crate::state::{Delta, EntryState, OriginId, Stamp, Update};
use crate::storage::{EntryId, Table, log_key};

/// Own changes looked at for one transaction, the newest first: a clock far behind may make them many.
const LOOKED_AT_MAX: usize = 100_000;

impl Writing<'_> {
    /// A change, as one of the incarnation that is shown if that was born before it and after the change's own.
    pub(super) fn continued(&self, update: Update) -> Result<Update, DitError> {
        if update.is_birth() || update.goes_on {
            return Ok(update);
        }
        let shown = self.living(update.uuid)?.into_iter().map(|(_, birth)| birth).max();
        let born_between = |birth: &Stamp| update.birth.csn < birth.csn && birth.csn < update.stamp.csn;
        let birth = shown.filter(born_between).unwrap_or(update.birth);
        Ok(Update { birth, ..update })
    }

    /// The incarnations of an entry that live. More than one do where two made it again in ignorance of each other: the last is
    /// shown.
    fn living(&self, uuid: EntryUuid) -> Result<Vec<(EntryId, Stamp)>, DitError> {
        let mut living = Vec::new();
        for id in self.view().incarnations(uuid)? {
            living.extend(self.state(id)?.filter(EntryState::is_live).map(|state| (id, state.birth)));
        }
        Ok(living)
    }

    /// Before an entry is deleted: its incarnations that live and are not shown go first, or one of them would take its place.
    pub(super) fn end_hidden(&mut self, id: EntryId, requester: &str) -> Result<(), DitError> {
        let Some(uuid) = self.state(id)?.map(|state| state.uuid) else { return Ok(()) };
        if self.view().incarnations(uuid)?.len() > 1 {
            for (hidden, _) in self.living(uuid)?.into_iter().filter(|(living, _)| *living != id) {
                self.change_alone(Target::Existing(hidden), requester, vec![Delta::Dead])?;
            }
        }
        Ok(())
    }

    /// Carries over what this node's clients changed of incarnations that others replaced in this transaction.
    ///
    /// Cost: nothing if there are none; else a look at each own change that is newer than the oldest of them.
    ///
    /// # Errors
    /// [`DitError::Storage`], [`DitError::State`]: the transaction is then to be dropped.
    pub fn carry_over(&mut self) -> Result<(), DitError> {
        let born: Vec<(EntryUuid, Stamp)> = std::mem::take(&mut self.born_again);
        let Some(oldest) = born.iter().map(|(_, birth)| *birth).min() else { return Ok(()) };
        for update in self.own_changes_since(oldest)? {
            let (uuid, own) = (update.uuid, update.birth);
            let update = self.continued(update)?;
            if update.birth == own || !born.contains(&(uuid, update.birth)) {
                continue;
            }
            let is_step = |delta: &Delta| matches!(delta, Delta::Count { .. });
            let deltas: Vec<Delta> = update.deltas.into_iter().filter(|delta| !is_step(delta)).collect();
            if !deltas.is_empty() {
                self.write_beside(Update { joined: false, deltas, ..update })?;
            }
        }
        Ok(())
    }

    /// What this node wrote with a newer stamp, in its order, as far as the log has it.
    fn own_changes_since(&self, oldest: Stamp) -> Result<Vec<Update>, DitError> {
        let mut origins: Vec<OriginId> = self.view().origins_before()?;
        origins.push(self.origin());
        let mut changes = Vec::new();
        'origins: for origin in origins.into_iter().rev() {
            for sequence in (1..=self.held(origin)?.position.sequence).rev() {
                let key = log_key(origin, sequence);
                let Some(value) = self.txn.reader().get(Table::Log, &key)? else { break 'origins };
                let record = open_record(&self.catalog, &key, value)?;
                let update = decode_update(&record.bytes, |key| self.catalog.find_key(key));
                let Some(update) = update.ok().filter(|update| update.stamp.csn > oldest.csn) else { break 'origins };
                if changes.len() >= LOOKED_AT_MAX {
                    break 'origins;
                }
                changes.push(update);
            }
        }
        changes.reverse();
        Ok(changes)
    }
}
