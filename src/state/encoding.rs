//! Bytes of states, cells and updates.
//!
//! On disk a state is small and quick to read: stamps stand once in a table at the head and are referred to by number,
//! origins and attributes by their local numbers, a value's key is left out where it can be computed from the value.
//! On the way to peers and in the log ([`update`]) nothing is local: origins are whole, attributes are text, and fields of
//! newer versions survive.
//!
//! Decoders trust nothing: any bytes give a value or an error, in memory proportional to their number. Every record
//! begins with its version.

pub mod bytes;
pub mod cell;
pub mod entry;
pub mod update;
