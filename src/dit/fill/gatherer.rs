//! Index keys of a directory that is being taken in, gathered by a thread beside while the rest still comes.
//!
//! The thread is given views after they were committed, and nothing of what it does is kept in the file: where it fails, or
//! the process ends, the keys are gathered from the views at the end. Keys of links are always left until then, for the
//! names that links lead to may come later; so are entries with spilled values, which are not in their views.
//!
//! Invariant: an entry is among [`Gathered::entries`] only if all its keys but those of links were gathered from a
//! committed view, by the schema that holds in the end; it is `stale` if it changed after that.

use crate::dit::DitError;
use crate::dit::catalog::Catalog;
use crate::dit::index_keys::KeySet;
use crate::dit::sorter::Sorter;
use crate::dit::view_keys::{has_spilled, keys_by_links};
use crate::schema::Schema;
use crate::storage::{ENTRY_PHANTOM, EntryId, ViewRecord};
use hashbrown::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Commits whose views may wait; whoever commits waits then.
const WAITING_MAX: usize = 4;

/// The views that a commit wrote; an empty one says that the entry changed, and has none that is new.
struct Committed {
    catalog: Arc<Catalog>,
    views: Vec<(EntryId, Vec<u8>)>,
}

/// What was gathered.
pub(in crate::dit) struct Gathered {
    /// The keys.
    pub(in crate::dit) sorter: Sorter,
    /// Of which entries.
    pub(in crate::dit) entries: HashSet<EntryId>,
    /// Those that changed afterwards.
    pub(in crate::dit) stale: HashSet<EntryId>,
}

impl Gathered {
    /// Nothing.
    pub(in crate::dit) fn none(folder: &Path) -> Self {
        let sorter = Sorter::one_of(folder.to_path_buf(), 2);
        Self { sorter, entries: HashSet::new(), stale: HashSet::new() }
    }

    fn take(&mut self, catalog: &Catalog, id: EntryId, view: &[u8], keys: &mut KeySet) -> Result<(), DitError> {
        if self.entries.contains(&id) {
            self.stale.insert(id);
            return Ok(());
        }
        if view.is_empty() {
            return Ok(());
        }
        let record = ViewRecord::open(id, view)?;
        if record.flags() & ENTRY_PHANTOM != 0 || has_spilled(&record) {
            return Ok(());
        }
        self.entries.insert(id);
        keys.clear();
        keys_by_links(catalog, &record, false, keys);
        keys.iter().try_for_each(|key| self.sorter.push(key, id))
    }
}

/// What the thread leaves behind, and the schema by which it gathered.
type Outcome = Result<(Gathered, Option<Arc<Schema>>), DitError>;

/// The thread; see the module.
pub(in crate::dit) struct Gatherer {
    committed: SyncSender<Committed>,
    thread: Option<JoinHandle<Outcome>>,
}

impl Gatherer {
    /// Starts the thread; temporary files go to `folder`.
    pub(in crate::dit) fn start(folder: PathBuf) -> Self {
        let (committed, views) = sync_channel(WAITING_MAX);
        // Without a thread nothing is gathered before the end.
        let thread = std::thread::Builder::new().name("index keys".to_owned()).spawn(move || run(&folder, &views)).ok();
        Self { committed, thread }
    }

    /// Hands over what a commit wrote.
    pub(in crate::dit) fn hand_over(&self, catalog: &Arc<Catalog>, views: HashMap<EntryId, Vec<u8>>) {
        let mut views: Vec<_> = views.into_iter().collect();
        views.sort_unstable_by_key(|(id, _)| *id);
        // A thread that has failed is not asked again.
        let _ = self.committed.send(Committed { catalog: Arc::clone(catalog), views });
    }

    /// Nothing more comes.
    pub(in crate::dit) fn end(self) -> Gathering {
        Gathering(self.thread)
    }
}

/// A thread that comes to its end.
pub(in crate::dit) struct Gathering(Option<JoinHandle<Outcome>>);

impl Gathering {
    /// Waits for the keys. `None` if the thread has failed, or gathered by another schema.
    pub(in crate::dit) fn gathered(self, schema: &Arc<Schema>) -> Option<Gathered> {
        let (gathered, by) = self.0?.join().ok()?.ok()?;
        by.is_some_and(|by| Arc::ptr_eq(&by, schema)).then_some(gathered)
    }
}

fn run(folder: &Path, committed: &Receiver<Committed>) -> Outcome {
    let (mut gathered, mut schema) = (Gathered::none(folder), None::<Arc<Schema>>);
    let mut keys = KeySet::default();
    for Committed { catalog, views } in committed {
        if schema.as_ref().is_none_or(|schema| !Arc::ptr_eq(schema, catalog.schema())) {
            gathered = Gathered::none(folder);
            schema = Some(Arc::clone(catalog.schema()));
        }
        for (id, view) in views {
            gathered.take(&catalog, id, &view, &mut keys)?;
        }
    }
    gathered.sorter.sort();
    Ok((gathered, schema))
}
