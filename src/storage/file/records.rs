//! The checksums of records, looked at on the way through the file.

use super::super::current::Recent;
use super::super::entry_record::Part;
use super::super::record::{unseal, unseal_any, unseal_any_id, unseal_id};
use super::super::{EntryId, StorageError};
use super::walk::Records;

/// Verifies every record that has a checksum.
pub(super) struct Checksums;

impl Records for Checksums {
    fn wants(&self, table: &str) -> bool {
        matches!(table, "current" | "entries" | "bigvalues" | "log" | "conflicts" | "pending-even" | "pending-odd")
    }

    fn record(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), String> {
        let told = |error: StorageError| error.to_string();
        match table {
            "current" if !Recent::Index.has(key) => Ok(()),
            "entries" => {
                let id = EntryId::from_key(key);
                if let Some(view) = Part::View.of(key, value) {
                    unseal_id("id2entry", id, view).map_err(told)?;
                }
                if let Some(state) = Part::State.of(key, value) {
                    unseal_any_id("id2state", id, state).map_err(told)?;
                }
                Ok(())
            }
            "bigvalues" => unseal("bigvalues", key, value).map(drop).map_err(told),
            "log" => unseal_any("log", key, value).map(drop).map_err(told),
            // Those that only say that there is one are empty.
            "conflicts" if value.is_empty() => Ok(()),
            "conflicts" => unseal_any("conflicts", key, value).map(drop).map_err(told),
            "current" | "pending-even" | "pending-odd" => {
                unseal("pending index changes", key, value).map(drop).map_err(told)
            }
            _ => Ok(()),
        }
    }
}
