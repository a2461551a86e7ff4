//! What a transaction sees before the large table: its version's runs, and in a write transaction its own changes.

use super::super::EntryId;
use super::run::{Mark, Run, join_marks, key_hash};
use super::version::Version;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;

type Key = SmallVec<[u8; 24]>;

/// The index changes of a write transaction that is open.
#[derive(Default)]
pub(in super::super) struct OpenSet(BTreeMap<Key, SmallVec<[Mark; 2]>>);

impl OpenSet {
    /// Says whether `id` is under `key`.
    pub(in super::super) fn set(&mut self, key: &[u8], id: EntryId, is_there: bool) {
        let mark = Mark::new(id, is_there);
        let marks = match self.0.get_mut(key) {
            Some(marks) => marks,
            None => self.0.entry(Key::from_slice(key)).or_default(),
        };
        match marks.binary_search_by_key(&id, |mark| mark.id()) {
            Ok(index) => {
                if let Some(held) = marks.get_mut(index) {
                    *held = mark;
                }
            }
            Err(index) => marks.insert(index, mark),
        }
    }

    pub(in super::super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(in super::super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(in super::super) fn to_run(&self) -> Run {
        Run::of(self.0.iter().map(|(key, marks)| (key.as_slice(), marks.as_slice())))
    }
}

/// See the module. Cheap to copy.
#[derive(Clone, Copy)]
pub(in super::super) struct Overlay<'t> {
    pub(in super::super) version: &'t Version,
    pub(in super::super) open: Option<&'t OpenSet>,
}

impl<'t> Overlay<'t> {
    /// What is said of the ids under `key`: ids that are to be added to the table's and such that are to be left out.
    pub(super) fn marks(&self, key: &[u8]) -> Cow<'t, [Mark]> {
        let own = self.open.and_then(|open| open.0.get(key)).map_or(&[][..], |marks| marks.as_slice());
        if self.version.is_empty() {
            return Cow::Borrowed(own);
        }
        let hash = key_hash(key);
        let runs = self.version.newest_first().map(|run| run.get(key, hash));
        let lists: SmallVec<[&'t [Mark]; 8]> =
            std::iter::once(own).chain(runs).filter(|list| !list.is_empty()).collect();
        match lists.as_slice() {
            [] => Cow::Borrowed(&[]),
            [only] => Cow::Borrowed(only),
            several => {
                let mut joined = Vec::with_capacity(several.iter().map(|list| list.len()).sum());
                join_marks(several.iter().copied(), &mut joined);
                Cow::Owned(joined)
            }
        }
    }

    /// What is said of one id under `key`, if anything.
    pub(super) fn mark(&self, key: &[u8], id: EntryId) -> Option<bool> {
        let marks = self.marks(key);
        let index = marks.binary_search_by_key(&id, |mark| mark.id()).ok()?;
        marks.get(index).map(|mark| mark.is_there())
    }

    /// All marks from (`key`, `id`) on, in order.
    pub(super) fn walk(&self, key: &[u8], id: EntryId) -> Walk<'t> {
        let open = self.open.filter(|open| !open.is_empty()).map(|open| Source::open(open, key, id));
        let runs = self.version.newest_first().map(|run| Source::run(run, key, id));
        Walk { sources: open.into_iter().chain(runs).filter(|source| source.head().is_some()).collect() }
    }
}

/// Marks of all sources in order of key and id, each (key, id) once with what the newest says.
pub(super) struct Walk<'t> {
    /// The newest first; none is at its end.
    sources: SmallVec<[Source<'t>; 8]>,
}

impl<'t> Walk<'t> {
    /// The next mark, without going on.
    pub(super) fn head(&self) -> Option<(&'t [u8], Mark)> {
        let heads = self.sources.iter().filter_map(Source::head);
        // Of equal ones the first, which is the newest.
        heads.min_by(|(key, mark), (other, other_mark)| (key, mark.id()).cmp(&(other, other_mark.id())))
    }

    /// Goes on behind this place.
    pub(super) fn pass(&mut self, key: &[u8], id: EntryId) {
        self.step(|head, mark| head == key && mark.id() == id);
    }

    /// Goes on behind all ids of this key.
    pub(super) fn pass_key(&mut self, key: &[u8]) {
        self.step(|head, _| head == key);
    }

    fn step(&mut self, is_passed: impl Fn(&[u8], Mark) -> bool) {
        self.sources.retain(|source| {
            while source.head().is_some_and(|(key, mark)| is_passed(key, mark)) {
                source.next();
            }
            source.head().is_some()
        });
    }
}

enum Source<'t> {
    Run { run: &'t Run, key: usize, mark: usize },
    Open { rest: btree_map::Range<'t, Key, SmallVec<[Mark; 2]>>, head: Option<(&'t [u8], &'t [Mark])> },
}

impl<'t> Source<'t> {
    fn run(run: &'t Run, key: &[u8], id: EntryId) -> Self {
        let at = run.seek(key);
        let mark = if run.key(at) == key { run.marks_of(at).partition_point(|mark| mark.id() < id) } else { 0 };
        let mut source = Self::Run { run, key: at, mark };
        source.normalise();
        source
    }

    fn open(open: &'t OpenSet, key: &[u8], id: EntryId) -> Self {
        let mut rest = open.0.range::<[u8], _>((Bound::Included(key), Bound::Unbounded));
        let head = rest.next().map(|(found, marks)| {
            let skip = if found.as_slice() == key { marks.partition_point(|mark| mark.id() < id) } else { 0 };
            (found.as_slice(), marks.get(skip..).unwrap_or_default())
        });
        let mut source = Self::Open { rest, head };
        source.normalise();
        source
    }

    fn head(&self) -> Option<(&'t [u8], Mark)> {
        match self {
            Self::Run { run, key, mark } => run.marks_of(*key).get(*mark).map(|mark| (run.key(*key), *mark)),
            Self::Open { head, .. } => head.and_then(|(key, marks)| Some((key, *marks.first()?))),
        }
    }

    fn next(&mut self) {
        match self {
            Self::Run { mark, .. } => *mark += 1,
            Self::Open { head, .. } => {
                *head = head.map(|(key, marks)| (key, marks.get(1..).unwrap_or_default()));
            }
        }
        self.normalise();
    }

    /// Behind the last mark of a key comes the next key.
    fn normalise(&mut self) {
        match self {
            Self::Run { run, key, mark } => {
                if *mark >= run.marks_of(*key).len() {
                    *key += 1;
                    *mark = 0;
                }
            }
            Self::Open { rest, head } => {
                if head.is_some_and(|(_, marks)| marks.is_empty()) {
                    *head = rest.next().map(|(key, marks)| (key.as_slice(), marks.as_slice()));
                }
            }
        }
    }
}
