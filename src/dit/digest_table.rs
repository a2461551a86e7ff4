//! Sums of the digests of all live entries, by bucket and in all: what two nodes compare to prove that they hold the same.
//!
//! Each state record carries its entry's digest, so that a change costs one digest and not two, and a list of entries
//! with their digests none. Sums of 4,096 buckets fill some thirty pages, and a commit of many changes would
//! rewrite them all; so a commit appends what it changed to a journal, and only now and then the journal is summed up.
//! The sum of all, and the changes of the last few small commits, stand in `current`, whose page every commit writes anyway.
//!
//! Invariant: the sums are those of the digests in the state records, of live entries only; `check` computes both anew.

use super::DitError;
use super::catalog::Catalog;
use super::view::View;
use super::writing::{Writing, read_state, split_state, state_error};
use crate::model::EntryUuid;
use crate::state::{BUCKETS, BucketSum, EntryDigest, EntryState, Stamp, bucket_of};
use crate::storage::{EntryId, MetaName, PutMode, Reader, Recent, Table};
use hashbrown::HashMap;
use std::collections::BTreeSet;

/// Bytes of a sum on disk: count u64, sum u128, little-endian.
const SUM_BYTES: usize = 24;
/// Bytes of one change in the journal: bucket u16 and a sum.
const CHANGE_BYTES: usize = 2 + SUM_BYTES;
/// Buckets of which the sums stand in one record.
const CHUNK_BUCKETS: usize = 64;
/// Changes that stand in `current` before they go to the journal together.
const RECENT_MAX: usize = 16;
/// Commits in the journal before it is summed up.
const JOURNAL_COMMITS_MAX: u64 = 64;
/// A commit that changed more buckets than this sums the journal up at once.
const CHANGES_MAX: usize = 512;

/// Where sums stand, for their encryption.
const META: &str = "meta";
const SUM_KEY: &[u8] = b"digest";
const CHUNKS: &str = "digest";
const JOURNAL: &str = "digest-journal";

/// An entry in short, as members compare them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntryHead {
    /// Which entry.
    pub uuid: EntryUuid,
    /// The change that created this incarnation.
    pub birth: Stamp,
    /// The digest of its lasting part; none of an entry that is deleted, or not born here yet.
    pub digest: Option<EntryDigest>,
    /// A hash of the changes that it names ([`EntryState::changes_hash`]), kept moves among them.
    pub changes: u64,
}

/// What a transaction changed of the sums.
#[derive(Default)]
pub(super) struct DigestChanges(Vec<(u16, BucketSum)>);

impl DigestChanges {
    /// An entry's digest changed.
    pub(super) fn note(&mut self, uuid: EntryUuid, old: Option<EntryDigest>, new: Option<EntryDigest>) {
        if old == new {
            return;
        }
        let mut change = BucketSum::default();
        change.replace(old, new);
        self.0.push((bucket_of(uuid), change));
    }

    /// One change a bucket, rising.
    fn summed(mut self) -> Vec<(u16, BucketSum)> {
        self.0.sort_unstable_by_key(|(bucket, _)| *bucket);
        let mut summed: Vec<(u16, BucketSum)> = Vec::with_capacity(self.0.len());
        for (bucket, change) in self.0 {
            match summed.last_mut() {
                Some((last, sum)) if *last == bucket => sum.merge(change),
                _ => summed.push((bucket, change)),
            }
        }
        summed
    }
}

impl View<'_> {
    /// The sum over all live entries, as of the last commit. Cost: one look-up.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn digest(&self) -> Result<BucketSum, DitError> {
        sum_of_all(self.reader(), self.catalog())
    }

    /// The sum of each of the [`BUCKETS`] buckets, as of the last commit.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn digest_buckets(&self) -> Result<Vec<BucketSum>, DitError> {
        let mut sums = read_chunks(self.reader(), self.catalog())?;
        add_journal(self.reader(), self.catalog(), &mut sums)?;
        Ok(sums)
    }

    /// The entries of some buckets in short, ordered by entryUUID. Cost: looks at the entryUUID of every entry, and reads
    /// those of the buckets.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`].
    pub fn bucket_heads(&self, buckets: &BTreeSet<u16>) -> Result<Vec<EntryHead>, DitError> {
        let mut heads = Vec::new();
        let mut moves: HashMap<EntryUuid, Vec<Stamp>> = HashMap::new();
        for (of, _) in self.moves()? {
            moves.entry(of.uuid).or_default().push(of.stamp);
        }
        let mut cursor = self.reader().cursor(Table::Uuid2Id)?;
        let mut item = cursor.first()?;
        while let Some((key, id)) = item {
            if let Some(uuid) = key.first_chunk::<16>()
                && buckets.contains(&bucket_of(EntryUuid(*uuid)))
            {
                let id = EntryId::from_key(id);
                if let Some(state) = read_state(self.reader(), self.catalog(), id)? {
                    let digest = stored_digest(self.reader(), self.catalog(), id)?;
                    let changes = state.changes_hash(moves.get(&state.uuid).into_iter().flatten().copied());
                    heads.push(EntryHead { uuid: state.uuid, birth: state.birth, digest, changes });
                }
            }
            item = cursor.next()?;
        }
        Ok(heads)
    }
}

/// The digest in a state record; `None` for an entry that is not live, or not there.
pub(super) fn stored_digest(
    reader: Reader<'_>,
    catalog: &Catalog,
    id: EntryId,
) -> Result<Option<EntryDigest>, DitError> {
    match reader.get(Table::Id2State, &id.to_key())? {
        Some(record) => Ok(split_state(id, &catalog.state_content(id, record)?)?.0),
        None => Ok(None),
    }
}

/// The digest of an entry by its state.
pub(super) fn digest_of(view: &View<'_>, id: EntryId, state: &EntryState) -> Result<Option<EntryDigest>, DitError> {
    let catalog = view.catalog();
    state
        .digest_part(|attribute| catalog.attribute(attribute).map(|info| info.key.as_str()))
        .map_err(|error| state_error(id, &error))
}

impl Writing<'_> {
    /// Writes what the transaction changed of the sums.
    pub(super) fn write_digest(&mut self) -> Result<(), DitError> {
        let changes = std::mem::take(&mut self.digest_changes).summed();
        if changes.is_empty() {
            return Ok(());
        }
        let mut all = sum_of_all(self.txn.reader(), &self.catalog)?;
        changes.iter().for_each(|(_, change)| all.merge(*change));
        let record = self.catalog.sums_record(META, SUM_KEY, encode_sum(&all).to_vec())?;
        self.txn.put_meta(MetaName::Digest, &record)?;
        let recent_key = Recent::Digest.key(0);
        let recent = recent_changes(self.txn.reader(), &self.catalog)?;
        let has_recent = !recent.is_empty();
        let changes = DigestChanges(recent.into_iter().chain(changes).collect()).summed();
        if changes.len() <= RECENT_MAX {
            let record = self.catalog.sums_record(JOURNAL, &recent_key, encode_changes(&changes))?;
            return Ok(self.txn.put(Table::Current, &recent_key, &record, PutMode::Upsert)?);
        }
        if has_recent {
            self.txn.delete(Table::Current, &recent_key, None)?;
        }
        let journal_count = self.txn.reader().count(Table::DigestJournal)?;
        if changes.len() <= CHANGES_MAX && journal_count < JOURNAL_COMMITS_MAX {
            let mut cursor = self.txn.reader().cursor(Table::DigestJournal)?;
            let last = cursor.last()?.and_then(|(key, _)| key.try_into().ok()).map_or(0, u64::from_be_bytes);
            drop(cursor);
            let key = (last + 1).to_be_bytes();
            let record = self.catalog.sums_record(JOURNAL, &key, encode_changes(&changes))?;
            return Ok(self.txn.put(Table::DigestJournal, &key, &record, PutMode::Append)?);
        }
        let mut sums = read_chunks(self.txn.reader(), &self.catalog)?;
        let before = sums.clone();
        add_journal(self.txn.reader(), &self.catalog, &mut sums)?;
        for (bucket, change) in changes {
            if let Some(sum) = sums.get_mut(usize::from(bucket)) {
                sum.merge(change);
            }
        }
        for (number, (chunk, before)) in sums.chunks(CHUNK_BUCKETS).zip(before.chunks(CHUNK_BUCKETS)).enumerate() {
            if chunk != before {
                self.put_chunk(number as u8, chunk)?;
            }
        }
        if journal_count > 0 {
            self.txn.clear(Table::DigestJournal)?;
        }
        Ok(())
    }

    fn put_chunk(&mut self, number: u8, chunk: &[BucketSum]) -> Result<(), DitError> {
        let record: Vec<u8> = chunk.iter().flat_map(encode_sum).collect();
        let record = self.catalog.sums_record(CHUNKS, &[number], record)?;
        Ok(self.txn.put(Table::Digest, &[number], &record, PutMode::Upsert)?)
    }

    /// Writes all sums anew, as the settings are now.
    pub(super) fn rewrite_sums(&mut self) -> Result<(), DitError> {
        let all = sum_of_all(self.txn.reader(), &self.catalog)?;
        let record = self.catalog.sums_record(META, SUM_KEY, encode_sum(&all).to_vec())?;
        self.txn.put_meta(MetaName::Digest, &record)?;
        let mut sums = read_chunks(self.txn.reader(), &self.catalog)?;
        add_journal(self.txn.reader(), &self.catalog, &mut sums)?;
        self.txn.clear(Table::DigestJournal)?;
        self.txn.delete(Table::Current, &Recent::Digest.key(0), None)?;
        for (number, chunk) in sums.chunks(CHUNK_BUCKETS).enumerate() {
            if chunk.iter().any(|sum| *sum != BucketSum::default()) {
                self.put_chunk(number as u8, chunk)?;
            } else {
                self.txn.delete(Table::Digest, &[number as u8], None)?;
            }
        }
        Ok(())
    }
}

const _: () = assert!(BUCKETS / CHUNK_BUCKETS <= 256, "a chunk's number is one byte");

fn sum_of_all(reader: Reader<'_>, catalog: &Catalog) -> Result<BucketSum, DitError> {
    let Some(record) = reader.meta(MetaName::Digest)? else { return Ok(BucketSum::default()) };
    Ok(decode_sum(&catalog.sums((META, SUM_KEY, SUM_BYTES), record)?))
}

fn read_chunks(reader: Reader<'_>, catalog: &Catalog) -> Result<Vec<BucketSum>, DitError> {
    let mut sums = vec![BucketSum::default(); BUCKETS];
    let mut cursor = reader.cursor(Table::Digest)?;
    let mut item = cursor.first()?;
    while let Some((key, record)) = item {
        let first = key.first().map_or(0, |number| usize::from(*number) * CHUNK_BUCKETS);
        let places = sums.iter_mut().skip(first).take(CHUNK_BUCKETS);
        let record = catalog.sums((CHUNKS, key, SUM_BYTES), record)?;
        places.zip(record.chunks_exact(SUM_BYTES)).for_each(|(place, bytes)| *place = decode_sum(bytes));
        item = cursor.next()?;
    }
    Ok(sums)
}

fn add_journal(reader: Reader<'_>, catalog: &Catalog, sums: &mut [BucketSum]) -> Result<(), DitError> {
    let mut cursor = reader.cursor(Table::DigestJournal)?;
    let mut item = cursor.first()?;
    while let Some((key, record)) = item {
        let record = catalog.sums((JOURNAL, key, CHANGE_BYTES), record)?;
        add_changes(decode_changes(&record), sums);
        item = cursor.next()?;
    }
    add_changes(recent_changes(reader, catalog)?.into_iter(), sums);
    Ok(())
}

fn add_changes(changes: impl Iterator<Item = (u16, BucketSum)>, sums: &mut [BucketSum]) {
    for (bucket, change) in changes {
        if let Some(place) = sums.get_mut(usize::from(bucket)) {
            place.merge(change);
        }
    }
}

/// The changes that stand in `current`.
fn recent_changes(reader: Reader<'_>, catalog: &Catalog) -> Result<Vec<(u16, BucketSum)>, DitError> {
    let key = Recent::Digest.key(0);
    let Some(record) = reader.get(Table::Current, &key)? else { return Ok(Vec::new()) };
    let record = catalog.sums((JOURNAL, &key, CHANGE_BYTES), record)?;
    Ok(decode_changes(&record).collect())
}

fn encode_changes(changes: &[(u16, BucketSum)]) -> Vec<u8> {
    let mut record = Vec::with_capacity(changes.len() * CHANGE_BYTES);
    for (bucket, change) in changes {
        record.extend_from_slice(&bucket.to_le_bytes());
        record.extend_from_slice(&encode_sum(change));
    }
    record
}

fn decode_changes(record: &[u8]) -> impl Iterator<Item = (u16, BucketSum)> {
    record.chunks_exact(CHANGE_BYTES).filter_map(|change| {
        let (bucket, sum) = change.split_first_chunk::<2>()?;
        Some((u16::from_le_bytes(*bucket), decode_sum(sum)))
    })
}

fn encode_sum(sum: &BucketSum) -> [u8; SUM_BYTES] {
    let mut bytes = [0; SUM_BYTES];
    let (count, rest) = bytes.split_at_mut(8);
    count.copy_from_slice(&sum.count.to_le_bytes());
    rest.copy_from_slice(&sum.sum.to_le_bytes());
    bytes
}

fn decode_sum(bytes: &[u8]) -> BucketSum {
    let parts = bytes.split_first_chunk::<8>();
    parts.map_or_else(BucketSum::default, |(count, sum)| BucketSum {
        count: u64::from_le_bytes(*count),
        sum: sum.try_into().map_or(0, u128::from_le_bytes),
    })
}
