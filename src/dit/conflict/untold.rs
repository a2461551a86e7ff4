//! What cannot be told: changes that override others, where the records that would say whether their writers knew are gone,
//! dropped by `replication.log_records_max` or jumped over by an exchange of whole entries. Who looks at conflicts is told so.
//!
//! One record an origin, so that it is bounded by the origins of the cluster.

use super::{UntoldRange, record};
use crate::dit::DitError;
use crate::dit::writing::Writing;
use crate::state::conflict::Untold;
use crate::storage::{PutMode, Table};

impl Writing<'_> {
    /// Writes down that of these it cannot be said whether the older is lost.
    pub(super) fn note_untold(&mut self, untold: &[Untold]) -> Result<(), DitError> {
        let at_ms = self.now_ms();
        for Untold { newer, .. } in untold {
            let (origin, number) = (newer.csn.origin(), newer.sequence);
            let key = record::untold_key(origin);
            let known = match self.txn.reader().get(Table::Conflicts, &key)? {
                Some(value) => record::open_untold(&self.catalog, &key, value)?,
                None => UntoldRange { origin, first: number, last: number, count: 0, at_ms },
            };
            let (first, last) = (known.first.min(number), known.last.max(number));
            let range = UntoldRange { origin, first, last, count: known.count.saturating_add(1), at_ms };
            let value = record::seal_untold(&self.catalog, &key, &range)?;
            self.txn.put(Table::Conflicts, &key, &value, PutMode::Upsert)?;
        }
        Ok(())
    }

    /// Forgets what was met last before `since_ms`.
    pub(super) fn drop_old_untold(&mut self, since_ms: u64) -> Result<(), DitError> {
        let old: Vec<UntoldRange> =
            self.view().untold_conflicts()?.into_iter().filter(|range| range.at_ms < since_ms).collect();
        for range in old {
            self.txn.delete(Table::Conflicts, &record::untold_key(range.origin), None)?;
        }
        Ok(())
    }
}
