//! Index keys of a bulk load, gathered and put in order.
//!
//! Entries come in ascending order of id, so that a key's ids only ever grow: each key keeps one short list of
//! differences. When the memory budget is used up, keys and lists go to a temporary file in key order; at the end all
//! files and what is in memory are merged, and the index is written by appending alone.

use super::DitError;
use crate::storage::{EntryId, StorageError, WriteTransaction};
use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashSet, HashTable};
use smallvec::SmallVec;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::PathBuf;

/// Memory for keys and lists before they go to a file.
const BUDGET_BYTES: usize = 256 << 20;
/// What a key costs besides its bytes and its list.
const OVERHEAD_BYTES: usize = 96;

type Key = SmallVec<[u8; 24]>;

#[derive(Default)]
struct List {
    last: u64,
    differences: Differences,
}

/// See the module.
pub(super) struct Sorter {
    folder: PathBuf,
    budget: usize,
    used: usize,
    /// Each push hashes its key once.
    lists: HashTable<(Key, List)>,
    hasher: DefaultHashBuilder,
    /// What was in memory, once nothing more comes.
    sorted: Vec<(Key, List)>,
    runs: Vec<File>,
    /// Ids that are not written after all.
    without: HashSet<EntryId>,
}

impl Sorter {
    /// A sorter that keeps its temporary files in `folder` (they have no name there and vanish with the process).
    pub(super) fn new(folder: PathBuf) -> Self {
        Self::one_of(folder, 1)
    }

    /// One of several that share the memory.
    pub(super) fn one_of(folder: PathBuf, count: usize) -> Self {
        let budget = BUDGET_BYTES / count.max(1);
        Self {
            folder,
            budget,
            used: 0,
            lists: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            sorted: Vec::new(),
            runs: Vec::new(),
            without: HashSet::new(),
        }
    }

    /// Adds an id to a key's list; ids of a key come in ascending order.
    pub(super) fn push(&mut self, key: &[u8], id: EntryId) -> Result<(), DitError> {
        let hash = self.hasher.hash_one(key);
        let place =
            self.lists.entry(hash, |(held, _)| held.as_slice() == key, |(held, _)| self.hasher.hash_one(&**held));
        let (_, list) = match place {
            Entry::Occupied(held) => held.into_mut(),
            Entry::Vacant(free) => {
                self.used += key.len() + OVERHEAD_BYTES;
                free.insert((Key::from_slice(key), List::default())).into_mut()
            }
        };
        let mut difference = id.0.wrapping_sub(list.last);
        if difference == 0 {
            return Ok(());
        }
        list.last = id.0;
        while difference >= 0x80 {
            list.differences.push(difference as u8 | 0x80);
            difference >>= 7;
            self.used += 1;
        }
        list.differences.push(difference as u8);
        self.used += 1;
        if self.used > self.budget {
            self.spill()?;
        }
        Ok(())
    }

    /// Nothing more comes: puts what is in memory in order.
    pub(super) fn sort(&mut self) {
        self.sorted = sorted(std::mem::take(&mut self.lists));
    }

    /// Leaves out what was added of these.
    pub(super) fn leave_out(&mut self, ids: HashSet<EntryId>) {
        self.without = ids;
    }

    /// Writes the index of an empty table.
    pub(super) fn finish(self, txn: &mut WriteTransaction<'_>) -> Result<(), DitError> {
        Self::finish_all(vec![self], txn)
    }

    /// Writes the index of an empty table from several sorters. What several have is written once.
    pub(super) fn finish_all(mut sorters: Vec<Self>, txn: &mut WriteTransaction<'_>) -> Result<(), DitError> {
        let mut sources: Vec<Source<'_>> = Vec::new();
        for sorter in &mut sorters {
            if sorter.sorted.is_empty() {
                sorter.sort();
            }
            let without = &sorter.without;
            for file in &mut sorter.runs {
                file.rewind().map_err(StorageError::Io)?;
                let run = Run { reader: BufReader::with_capacity(1 << 18, file) };
                sources.push(Source { pieces: Box::new(run), without });
            }
            let memory = std::mem::take(&mut sorter.sorted).into_iter();
            let pieces = Box::new(memory.map(|(key, list)| Ok((key, list.differences))));
            sources.push(Source { pieces, without });
        }
        merge(sources, |key, ids| Ok(txn.append_postings(key, ids)?))
    }

    fn spill(&mut self) -> Result<(), DitError> {
        let file = temporary(&self.folder).map_err(StorageError::Io)?;
        let mut writer = BufWriter::with_capacity(1 << 20, &file);
        for (key, list) in sorted(std::mem::take(&mut self.lists)) {
            let lengths = ((key.len() as u64) << 48 | list.differences.len() as u64).to_le_bytes();
            writer.write_all(&lengths).map_err(StorageError::Io)?;
            writer.write_all(&key).map_err(StorageError::Io)?;
            writer.write_all(&list.differences).map_err(StorageError::Io)?;
        }
        writer.flush().map_err(StorageError::Io)?;
        drop(writer);
        self.runs.push(file);
        self.used = 0;
        Ok(())
    }
}

fn sorted(lists: HashTable<(Key, List)>) -> Vec<(Key, List)> {
    let mut sorted: Vec<(Key, List)> = lists.into_iter().collect();
    sorted.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    sorted
}

/// An unnamed file: removed from the folder as soon as it is open.
fn temporary(folder: &std::path::Path) -> std::io::Result<File> {
    static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = folder.join(format!("sort-{}-{number}.tmp", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

type Differences = SmallVec<[u8; 16]>;
type Piece = (Key, Differences);

/// Pieces in the order of their keys.
struct Source<'s> {
    pieces: Box<dyn Iterator<Item = Result<Piece, DitError>> + 's>,
    without: &'s HashSet<EntryId>,
}

struct Run<'f> {
    reader: BufReader<&'f mut File>,
}

impl Iterator for Run<'_> {
    type Item = Result<Piece, DitError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut lengths = [0; 8];
        match self.reader.read_exact(&mut lengths) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return None,
            Err(error) => return Some(Err(StorageError::Io(error).into())),
            Ok(()) => {}
        }
        let lengths = u64::from_le_bytes(lengths);
        let mut key = vec![0; (lengths >> 48) as usize];
        let mut list = vec![0; (lengths & 0xffff_ffff_ffff) as usize];
        let read = self.reader.read_exact(&mut key).and_then(|()| self.reader.read_exact(&mut list));
        Some(
            read.map(|()| (Key::from_vec(key), Differences::from_vec(list)))
                .map_err(|error| StorageError::Io(error).into()),
        )
    }
}

/// Gives each key once, in order, with the lists of its sources joined, each id once.
fn merge(
    mut sources: Vec<Source<'_>>,
    mut write: impl FnMut(&[u8], &[EntryId]) -> Result<(), DitError>,
) -> Result<(), DitError> {
    let mut heads: BinaryHeap<Reverse<(Key, usize, Differences)>> = BinaryHeap::with_capacity(sources.len());
    for (number, source) in sources.iter_mut().enumerate() {
        if let Some(piece) = source.pieces.next() {
            let (key, list) = piece?;
            heads.push(Reverse((key, number, list)));
        }
    }
    let mut ids: Vec<EntryId> = Vec::new();
    while let Some(Reverse((key, ..))) = heads.peek() {
        let key = key.clone();
        ids.clear();
        while let Some(mut head) = heads.peek_mut().filter(|head| head.0.0 == key) {
            let (begun, number) = (ids.len(), head.0.1);
            decode(&head.0.2, &mut ids);
            let Some(source) = sources.get_mut(number) else { break };
            if !source.without.is_empty() {
                let kept: Vec<EntryId> = ids.drain(begun..).filter(|id| !source.without.contains(id)).collect();
                ids.extend(kept);
            }
            match source.pieces.next() {
                Some(piece) => {
                    let (key, list) = piece?;
                    *head = Reverse((key, number, list));
                }
                None => _ = PeekMut::pop(head),
            }
        }
        if !ids.is_sorted() {
            ids.sort_unstable();
        }
        ids.dedup();
        write(&key, &ids)?;
    }
    Ok(())
}

fn decode(list: &[u8], ids: &mut Vec<EntryId>) {
    let (mut last, mut difference, mut shift) = (0_u64, 0_u64, 0);
    for byte in list {
        difference |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            last = last.wrapping_add(difference);
            ids.push(EntryId(last));
            (difference, shift) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn keys_come_out_in_order_with_the_ids_of_every_run_and_every_sorter() {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(folder.path().to_path_buf());
        sorter.budget = 2_000;
        let mut other = Sorter::one_of(folder.path().to_path_buf(), 2);
        let mut expected: BTreeMap<Vec<u8>, Vec<u64>> = BTreeMap::new();
        for id in 1..=500_u64 {
            let sorter = if id % 10 == 3 { &mut other } else { &mut sorter };
            for key in [format!("k{}", id % 7), format!("u{id}"), "all".to_owned()] {
                sorter.push(key.as_bytes(), EntryId(id)).unwrap();
                sorter.push(key.as_bytes(), EntryId(id)).unwrap();
                expected.entry(key.into_bytes()).or_default().push(id);
            }
        }
        assert!(sorter.runs.len() > 3, "the budget forces runs");
        let environment =
            crate::storage::Environment::open(&crate::storage::Options::new(folder.path().join("db"))).unwrap();
        let mut txn = environment.write().unwrap();
        other.sort();
        Sorter::finish_all(vec![sorter, other], &mut txn).unwrap();
        txn.commit().unwrap();
        let read = environment.read().unwrap();
        for (key, ids) in expected {
            let mut postings = crate::storage::Postings::open(read.reader(), &key).unwrap().unwrap();
            assert_eq!(postings.count(), ids.len() as u64);
            let mut found = Vec::new();
            while let Some(id) = postings.next().unwrap() {
                found.push(id.0);
            }
            assert_eq!(found, ids);
            let mut postings = crate::storage::Postings::open(read.reader(), &key).unwrap().unwrap();
            assert_eq!(postings.seek(EntryId(*ids.last().unwrap())).unwrap(), ids.last().map(|id| EntryId(*id)));
        }
    }
}
