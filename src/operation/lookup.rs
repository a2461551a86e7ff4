//! Entries that the server itself looks for: policies, and the users that a name means. No access rule is asked.

use super::outcome::Outcome;
use crate::dit::{Entry, View};
use crate::model::{Dn, Filter, Scope};
use crate::search::{AllSearchable, CompiledFilter, RunOptions, SearchRun, Step, Subentries};
use crate::storage::{ENTRY_LOSER, ENTRY_PHANTOM, EntryId};
use std::sync::Arc;

/// The entries of the subtree `base` ([`EntryId::NONE`]: of every suffix) that match; at most `most`.
///
/// Cost: that of the index; where none serves, every entry is looked at.
///
/// # Errors
/// Storage.
pub(super) fn find<'v>(view: View<'v>, base: EntryId, filter: &Filter<'_>, most: usize) -> Outcome<Vec<Entry<'v>>> {
    let filter = Arc::new(CompiledFilter::compile(view.catalog().schema(), filter));
    let bases = if base == EntryId::NONE { view.suffixes()? } else { vec![base] };
    let mut found = Vec::new();
    for base in bases {
        let mut options = RunOptions::new(Scope::Subtree);
        options.subentries = Subentries::Included;
        options.manage_dsa_it = true;
        options.wanted = Some(most as u64);
        let mut run = SearchRun::new(view, base, Arc::clone(&filter), options)?;
        let mut walk = run.walk(view, &AllSearchable)?;
        while found.len() < most {
            match walk.next()? {
                Step::Entry(entry) => {
                    if entry.record.flags() & (ENTRY_LOSER | ENTRY_PHANTOM) == 0 {
                        found.push(entry);
                    }
                }
                Step::Reference(_) | Step::Yield => {}
                Step::LookthroughExceeded | Step::Done => break,
            }
        }
    }
    Ok(found)
}

/// The entry of a name.
///
/// # Errors
/// Storage.
pub(super) fn named<'v>(view: View<'v>, dn: &Dn) -> Outcome<Option<Entry<'v>>> {
    match view.resolve(dn)?.entry {
        Some(id) => Ok(view.entry(id)?),
        None => Ok(None),
    }
}
