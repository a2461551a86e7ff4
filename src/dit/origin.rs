//! This node's origin: one for each incarnation of the data folder.
//!
//! An origin's numbers must never be given twice. Whoever finds that others hold more of this node's origin than it
//! does itself (the folder is an older copy), or other changes under its numbers (the folder is a copy that runs
//! twice), begins a new one; the old one stays in vector and log like any other node's.

use super::DitError;
use super::log::Held;
use super::writing::Writing;
use crate::state::{HybridClock, OriginId};
use crate::storage::MetaName;
use std::sync::Arc;

/// Random 48 bits, never zero.
pub(super) fn mint() -> Result<OriginId, DitError> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|_| DitError::Unavailable("the operating system gives no random numbers"))?;
    Ok(OriginId(OriginId::new(u64::from_be_bytes(random)).0.max(1)))
}

impl Writing<'_> {
    /// Begins a new origin for this node; local changes are its own from here on. Returns it.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::Unavailable`].
    pub fn rotate_origin(&mut self) -> Result<OriginId, DitError> {
        let new = mint()?;
        let old = self.origin();
        if self.own != Held::default() {
            self.others.insert(old, self.own);
        }
        self.clock = HybridClock::resume(new, self.clock.last(), self.clock.bumped());
        self.own = Held::default();
        self.stamped = true;
        self.catalog_changed = true;
        Arc::make_mut(&mut self.catalog).intern_origin(&mut self.txn, new)?;
        self.txn.put_meta(MetaName::Origin, &new.0.to_be_bytes())?;
        Ok(new)
    }
}
