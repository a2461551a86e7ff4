//! Keys, records and errors on their way to and from LMDB.
#![expect(unsafe_code, reason = "LMDB hands out pointers; this file makes slices of them")]

use super::StorageError;
use super::table::Table;
use std::ffi::c_void;

pub(super) fn val(slice: &[u8]) -> lmdb_sys::MDB_val {
    lmdb_sys::MDB_val { mv_size: slice.len(), mv_data: slice.as_ptr().cast_mut().cast::<c_void>() }
}

/// # Safety
/// `val` points to memory that stays valid and unchanged for `'t`.
pub(super) unsafe fn bytes<'t>(val: &lmdb_sys::MDB_val) -> &'t [u8] {
    if val.mv_size == 0 {
        return &[];
    }
    // SAFETY: as the function demands.
    unsafe { std::slice::from_raw_parts(val.mv_data.cast::<u8>(), val.mv_size) }
}

pub(super) fn lmdb_error(error: lmdb::Error, table: Table) -> StorageError {
    match error {
        lmdb::Error::MapFull => StorageError::Full("the map is used up: raise storage.map_bytes".to_owned()),
        lmdb::Error::Other(28) => StorageError::Full("the disk is full".to_owned()),
        lmdb::Error::Other(code) => StorageError::Io(std::io::Error::from_raw_os_error(code)),
        lmdb::Error::Corrupted | lmdb::Error::PageNotFound => {
            StorageError::Corrupted { table: table.name(), detail: error.to_string() }
        }
        error => StorageError::Lmdb(format!("{error} (table {})", table.name())),
    }
}
