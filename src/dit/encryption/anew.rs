//! Makes a file fit other settings: encrypts what is to be encrypted, decrypts what is not, with the first key.
//!
//! Offline, and in transactions of bounded size: states with their views, then the log, conflicts, sums, and at last the
//! index and the word that it is done. Before the first one the file is marked, so that no node serves it half done; whoever
//! begins again does all of it again, which costs time and changes nothing that is right already. What was in clear stays in
//! free pages of the file until it is compacted, which is the caller's part.

use super::{Recorded, refused};
use crate::dit::writing::Writing;
use crate::dit::{Dit, DitError, conflict, fill, log, spill};
use crate::state::{AttributeId, EntryState};
use crate::storage::{Cursor, EntryId, MetaName, PutMode, Table};
use std::collections::BTreeSet;

/// Records in one transaction: LMDB keeps the pages that a transaction changed in memory.
const RECORDS_PER_COMMIT: usize = 2_000;

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Anew {
    /// Entries looked at, deleted ones among them.
    pub entries: u64,
    /// Names of the attributes that are encrypted now.
    pub attributes: Vec<String>,
    /// Entries whose name has a value of an encrypted attribute: there it stays in clear.
    pub named: u64,
}

/// Encrypts what the settings of a tree opened by [`Dit::open_to_encrypt`] say. `progress` is told records done and in all.
///
/// # Errors
/// [`DitError::Storage`]: the data is as it was, or must be encrypted anew again before it is served. Entries that are named
/// by an attribute that was not encrypted before are an error, before anything is changed.
pub fn encrypt_anew(dit: &Dit, progress: &mut dyn FnMut(u64, u64)) -> Result<Anew, DitError> {
    let catalog = dit.catalog();
    let (recorded, total) = {
        let snapshot = dit.read()?;
        let reader = snapshot.view().reader();
        if reader.meta(MetaName::IndexConfiguration)? == Some(fill::UNDER_WAY) {
            return Err(refused(
                "taking in a directory was interrupted; finish that first, with the settings that it began with"
                    .to_owned(),
            ));
        }
        let total = reader.count(Table::Id2State)? + reader.count(Table::Log)?;
        (Recorded::read(reader)?, total)
    };
    let Some(encryption) = catalog.encryption() else { return Ok(Anew::default()) };
    let oids: BTreeSet<String> = encryption.attributes().map(str::to_owned).collect();
    let before = recorded.as_ref().map(|recorded| recorded.attributes.clone()).unwrap_or_default();
    let name =
        |oid: &String| catalog.schema().attribute_type(oid).map_or(oid.as_str(), |found| found.name()).to_owned();
    let mut done = Anew { attributes: oids.iter().map(name).collect(), ..Anew::default() };
    done.named = count_named(dit, &before)?;
    let mark = Recorded {
        is_under_way: true,
        // The key with which it was read before: it stays the one that is asked for until all is done.
        key: recorded.as_ref().map_or_else(|| encryption.keyring.number(), |recorded| recorded.key),
        attributes: before,
    };
    let mut writing = Writing::begin(dit)?;
    writing.txn.put_meta(MetaName::Encryption, mark.text().as_bytes())?;
    writing.commit()?;

    let mut records = 0;
    for table in [Table::Id2State, Table::Log, Table::Conflicts] {
        let mut after = None;
        loop {
            let mut writing = Writing::begin(dit)?;
            let keys = keys_after(&writing, table, after.as_deref())?;
            let Some(last) = keys.last().cloned() else { break };
            for key in &keys {
                match table {
                    Table::Id2State => writing.encrypt_entry(EntryId::from_key(key))?,
                    Table::Log => writing.encrypt_record(table, log::TABLE, key)?,
                    _ => writing.encrypt_record(table, conflict::TABLE, key)?,
                }
            }
            writing.commit()?;
            records += keys.len() as u64;
            if table == Table::Id2State {
                done.entries += keys.len() as u64;
            }
            progress(records.min(total), total);
            after = Some(last);
        }
    }
    let mut writing = Writing::begin(dit)?;
    writing.rewrite_sums()?;
    writing.drop_noted_cells()?;
    writing.reindex(&mut |_, _| {})?;
    if oids.is_empty() {
        writing.txn.delete_meta(MetaName::Encryption)?;
    } else {
        writing.txn.put_meta(MetaName::Encryption, encryption.recorded().as_bytes())?;
    }
    writing.commit()?;
    progress(total, total);
    Ok(done)
}

/// Entries, deleted ones among them, with a value of an encrypted attribute in their name.
fn count_named(dit: &Dit, before: &BTreeSet<String>) -> Result<u64, DitError> {
    let snapshot = dit.read()?;
    let view = snapshot.view();
    let catalog = view.catalog();
    let encrypted = |attribute: AttributeId| catalog.attribute(attribute).is_some_and(|info| info.encrypted);
    let was =
        |attribute: AttributeId| catalog.attribute_type(attribute).is_some_and(|found| before.contains(&found.oid));
    let mut cursor = view.reader().cursor(Table::Id2State)?.reading_ahead();
    let mut item = cursor.first()?;
    let (mut named, mut fresh, mut example) = (0, 0, None);
    while let Some((key, _)) = item {
        let id = EntryId::from_key(key);
        if let Some(state) = view.state_of(id)? {
            let mut naming = state.rdn.1.avas.iter().map(|ava| ava.attribute).filter(|attribute| encrypted(*attribute));
            if let Some(first) = naming.next() {
                named += 1;
                if !was(first) || naming.any(|attribute| !was(attribute)) {
                    fresh += 1;
                    example = example.or(view.dn_text(id)?);
                }
            }
        }
        item = cursor.next()?;
    }
    if fresh == 0 {
        return Ok(named);
    }
    let example = example.unwrap_or_else(|| "deleted ones".to_owned());
    Err(refused(format!(
        "{fresh} entries are named by an attribute that is to be encrypted ({example}), and names stay in clear: rename them (deleted ones: purge them), or take the attribute out of storage.encrypted_attributes"
    )))
}

fn keys_after(writing: &Writing<'_>, table: Table, after: Option<&[u8]>) -> Result<Vec<Vec<u8>>, DitError> {
    let mut cursor: Cursor<'_> = writing.txn.reader().cursor(table)?;
    let mut item = match after {
        None => cursor.first()?,
        Some(after) => match cursor.seek(after)? {
            Some((key, _)) if key == after => cursor.next()?,
            item => item,
        },
    };
    let mut keys = Vec::new();
    while let Some((key, _)) = item.filter(|_| keys.len() < RECORDS_PER_COMMIT) {
        keys.push(key.to_vec());
        item = cursor.next()?;
    }
    Ok(keys)
}

impl Writing<'_> {
    /// Writes state and view of an entry as the settings are now.
    fn encrypt_entry(&mut self, id: EntryId) -> Result<(), DitError> {
        let Some(mut state) = self.state(id)? else { return Ok(()) };
        self.take_in_spilled(id, &mut state)?;
        self.put_state(id, &state)?;
        self.write_view_anew(id, &state)
    }

    /// Views have the forms of encrypted values that the index is made of, and another schema may compare these values
    /// otherwise.
    pub(in crate::dit) fn renew_forms(&mut self) -> Result<(), DitError> {
        let numbers = (0..self.catalog.len() as u32).map(AttributeId);
        let encrypted = |id: &AttributeId| self.catalog.attribute(*id).is_some_and(|info| info.encrypted);
        let encrypted: Vec<AttributeId> = numbers.filter(encrypted).collect();
        for id in self.entries_with(&encrypted)? {
            if let Some(state) = self.state(id)? {
                self.write_view_anew(id, &state)?;
            }
        }
        Ok(())
    }

    /// What is encrypted stands in its entry's record, however many values there are.
    fn take_in_spilled(&mut self, id: EntryId, state: &mut EntryState) -> Result<(), DitError> {
        for (attribute, held) in &mut state.attributes {
            if held.spilled.is_some() && self.catalog.attribute(*attribute).is_some_and(|info| info.encrypted) {
                spill::take_in(&mut self.txn, &self.catalog, (id, *attribute), held)?;
            }
        }
        Ok(())
    }

    fn encrypt_record(&mut self, table: Table, name: &'static str, key: &[u8]) -> Result<(), DitError> {
        let Some(value) = self.txn.reader().get(table, key)?.filter(|value| !value.is_empty()) else { return Ok(()) };
        let mut record = vec![0; super::CHECKSUM_BYTES];
        record.extend_from_slice(&self.catalog.content(name, key, value)?);
        let record = self.catalog.record(name, key, record)?;
        Ok(self.txn.put(table, key, &record, PutMode::Upsert)?)
    }
}
