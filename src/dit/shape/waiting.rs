//! Entries that cannot be shown yet, because something above them is not here.
//!
//! Updates of different origins come in any order, so that an entry can come before its superior. It is kept whole, and
//! stands in the table `waiting` below the entryUUID that is missing, which may be further up. When that is born here,
//! whatever waits for it is looked at again. The second kind of record leads back from an entry to what it waits for.

use crate::dit::DitError;
use crate::model::EntryUuid;
use crate::storage::{EntryId, PutMode, Reader, Table, WriteTransaction};

const FOR: u8 = b'w';
const BACK: u8 = b'i';

/// Notes that `id` waits for `missing` (`None`: for nothing).
///
/// # Errors
/// [`DitError::Storage`].
pub(in crate::dit) fn set(
    txn: &mut WriteTransaction<'_>,
    id: EntryId,
    missing: Option<EntryUuid>,
) -> Result<(), DitError> {
    if missing.is_none() && txn.reader().count(Table::Waiting)? == 0 {
        return Ok(());
    }
    let back = back_key(id);
    let noted = txn.reader().get(Table::Waiting, &back)?.and_then(|bytes| bytes.try_into().ok()).map(EntryUuid);
    if noted == missing {
        return Ok(());
    }
    if let Some(noted) = noted {
        txn.delete(Table::Waiting, &for_key(noted, id), None)?;
        txn.delete(Table::Waiting, &back, None)?;
    }
    if let Some(missing) = missing {
        txn.put(Table::Waiting, &for_key(missing, id), &[], PutMode::Upsert)?;
        txn.put(Table::Waiting, &back, &missing.0, PutMode::Upsert)?;
    }
    Ok(())
}

/// The entries that wait for `missing`, in ascending order.
///
/// # Errors
/// [`DitError::Storage`].
pub(in crate::dit) fn waiting_for(reader: Reader<'_>, missing: EntryUuid) -> Result<Vec<EntryId>, DitError> {
    let mut found = Vec::new();
    if reader.count(Table::Waiting)? == 0 {
        return Ok(found);
    }
    let mut prefix = vec![FOR];
    prefix.extend_from_slice(&missing.0);
    let mut cursor = reader.cursor(Table::Waiting)?;
    let mut item = cursor.seek(&prefix)?;
    while let Some(id) = item.and_then(|(key, _)| key.strip_prefix(prefix.as_slice())) {
        found.push(EntryId(id.try_into().map_or(0, u64::from_be_bytes)));
        item = cursor.next()?;
    }
    Ok(found)
}

/// Every entry that waits, in ascending order.
///
/// # Errors
/// [`DitError::Storage`].
pub(in crate::dit) fn all(reader: Reader<'_>) -> Result<Vec<EntryId>, DitError> {
    let mut found = Vec::new();
    if reader.count(Table::Waiting)? == 0 {
        return Ok(found);
    }
    let mut cursor = reader.cursor(Table::Waiting)?;
    let mut item = cursor.seek(&[BACK])?;
    while let Some(id) = item.and_then(|(key, _)| key.strip_prefix(&[BACK])) {
        found.push(EntryId(id.try_into().map_or(0, u64::from_be_bytes)));
        item = cursor.next()?;
    }
    Ok(found)
}

/// What `id` waits for.
///
/// # Errors
/// [`DitError::Storage`].
pub(in crate::dit) fn missing_of(reader: Reader<'_>, id: EntryId) -> Result<Option<EntryUuid>, DitError> {
    Ok(reader.get(Table::Waiting, &back_key(id))?.and_then(|bytes| bytes.try_into().ok()).map(EntryUuid))
}

fn for_key(missing: EntryUuid, id: EntryId) -> Vec<u8> {
    let mut key = vec![FOR];
    key.extend_from_slice(&missing.0);
    key.extend_from_slice(&id.0.to_be_bytes());
    key
}

fn back_key(id: EntryId) -> [u8; 9] {
    let mut key = [BACK; 9];
    if let Some((_, number)) = key.split_first_mut() {
        number.copy_from_slice(&id.0.to_be_bytes());
    }
    key
}
