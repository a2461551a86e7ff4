//! The epoch of the cluster's clock: what stands after a disaster of clocks.
//!
//! Stamps that were made with a clock far ahead keep every later stamp there, since none may be older than what it follows.
//! A new epoch is newer than all of them, and its time is right again. It is said by cn=cluster, under its own first stamp; each member
//! that reads it there begins it too, and until then takes changes of it as it takes those of a clock that is ahead:
//! joined and sent on, but not followed, so that it forgets nothing of them.

use super::{CLUSTER_DN, DitError, View, Writing, one, texts};

/// The epoch that cn=cluster says; 0 where it says none.
///
/// # Errors
/// [`DitError::Storage`].
pub fn epoch(view: View<'_>) -> Result<u16, DitError> {
    let Some(entry) = view.entry_named(CLUSTER_DN)? else { return Ok(0) };
    Ok(texts(view, &entry, "clusterEpoch")?.first().and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Begins the next epoch; returns which. None if it is the last.
///
/// # Errors
/// [`DitError`].
pub fn begin_epoch(writing: &mut Writing<'_>) -> Result<Option<u16>, DitError> {
    let Some(next) = epoch(writing.view())?.checked_add(1) else { return Ok(None) };
    writing.raise_epoch(next);
    writing.put_entry(CLUSTER_DN, &[("clusterEpoch", one(&next.to_string()))])?;
    Ok(Some(next))
}
