//! The LMDB bindings that lmdb-rkv is built on, replaced by the maintained ones: same names, same ABI, newer C.
#![no_std]
pub use lmdb_master_sys::*;
