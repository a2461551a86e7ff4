//! Carries out what a [`Replicator`](super::Replicator) asks of the tree.
//!
//! Reads see one snapshot each and are short: what they return is bounded by the request. Writes run inside a transaction
//! that somebody else begins and commits; their answer counts only after the commit. The tokio driver and the simulator
//! use the same functions.

use std::collections::{BTreeMap, BTreeSet};

use super::replicator::{Answer, Applied, Holding, ReadRequest, UNAWAITED, WriteRequest};
use crate::dit::{Dit, DitError, EntryMark, LogRange, Merged, Receipt, View, Writing};
use crate::model::EntryUuid;
use crate::state::encoding::update::is_joined;
use crate::state::{Csn, Dot, LogRecord, OriginId, StableCut};
use crate::storage::{MetaName, log_key};

/// Entries looked at in one settling, at most.
const SETTLE_WORK: usize = 2_000;
/// Log records dropped in one transaction, at most.
const TRIM_WORK: usize = 10_000;

/// What the tree holds now.
///
/// # Errors
/// [`DitError::Storage`].
pub fn holding(dit: &Dit) -> Result<Holding, DitError> {
    holding_of(&dit.read()?.view())
}

/// What this data directory must hold before changes of clients are taken, as a run before found.
///
/// # Errors
/// [`DitError::Storage`].
pub fn catch_up(dit: &Dit) -> Result<BTreeMap<OriginId, u64>, DitError> {
    noted(dit, MetaName::CatchUp)
}

/// What whole entries brought beyond the vector in a run before; see [`WriteRequest::Merge`].
///
/// # Errors
/// [`DitError::Storage`].
pub fn uncovered(dit: &Dit) -> Result<BTreeMap<OriginId, u64>, DitError> {
    noted(dit, MetaName::Uncovered)
}

fn noted(dit: &Dit, name: MetaName) -> Result<BTreeMap<OriginId, u64>, DitError> {
    let snapshot = dit.read()?;
    let places = snapshot.view().reader().meta(name)?.unwrap_or_default();
    let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_be_bytes);
    let place = |place: &[u8; 16]| {
        let (origin, sequence) = place.split_at(8);
        (OriginId(number(origin)), number(sequence))
    };
    Ok(places.as_chunks::<16>().0.iter().map(place).collect())
}

/// Notes that nobody waited for what this data directory wrote: see [`UNAWAITED`].
///
/// # Errors
/// [`DitError::Storage`]: the transaction is then to be dropped.
pub fn note_unawaited(writing: &mut Writing<'_>) -> Result<(), DitError> {
    let mut places = writing.view().reader().meta(MetaName::CatchUp)?.unwrap_or_default().to_vec();
    places.extend(log_key(UNAWAITED, 0));
    writing.put_meta(MetaName::CatchUp, &places)
}

fn note(writing: &mut Writing<'_>, name: MetaName, places: &BTreeMap<OriginId, u64>) -> Result<(), DitError> {
    let places: Vec<u8> = places.iter().flat_map(|(origin, sequence)| log_key(*origin, *sequence)).collect();
    if writing.view().reader().meta(name)?.unwrap_or_default() == places {
        return Ok(());
    }
    writing.put_meta(name, &places)
}

/// What a snapshot holds.
///
/// # Errors
/// [`DitError::Storage`].
pub(super) fn holding_of(view: &View<'_>) -> Result<Holding, DitError> {
    let reader = view.reader();
    let clock = reader.meta(MetaName::Clock)?.and_then(|bytes| bytes.first_chunk::<16>().copied()).unwrap_or_default();
    Ok(Holding {
        origin: OriginId(reader.meta_u64(MetaName::Origin)?),
        vector: view.update_vector()?,
        digest: view.digest()?,
        clock: Csn::from_be_bytes(clock),
        floors: view.log_floors()?.into_iter().filter(|(_, floor)| *floor > 1).collect(),
    })
}

/// Answers from one snapshot. A failure is an answer too.
pub fn read(dit: &Dit, request: &ReadRequest) -> Answer {
    let answer = || -> Result<Answer, DitError> {
        let snapshot = dit.read()?;
        let view = snapshot.view();
        read_of(&view, request)
    };
    answer().unwrap_or_else(|error| Answer::Failed(error.to_string()))
}

fn read_of(view: &View<'_>, request: &ReadRequest) -> Result<Answer, DitError> {
    Ok(match request {
        ReadRequest::Buckets => Answer::Buckets { holding: Box::new(holding_of(view)?), sums: view.digest_buckets()? },
        ReadRequest::Chains { origin, sequences } => {
            let mut chains = Vec::with_capacity(sequences.len());
            for sequence in sequences {
                chains.extend(view.log_chain(*origin, *sequence)?.map(|chain| (*sequence, chain)));
            }
            Answer::Chains(chains)
        }
        ReadRequest::Entries { wanted, bytes_max } => entries(view, wanted, *bytes_max)?,
        ReadRequest::Heads { buckets } => {
            let buckets: BTreeSet<u16> = buckets.iter().copied().collect();
            Answer::Heads { holding: Box::new(holding_of(view)?), heads: view.bucket_heads(&buckets)? }
        }
        ReadRequest::Log { origin, first, last, bytes_max } => match view.log_range(*origin, *first, *bytes_max)? {
            LogRange::Records(mut records) => {
                // What was made together is not cut apart.
                let end = records.iter().position(|record| record.sequence > *last && !is_joined(&record.bytes));
                records.truncate(end.unwrap_or(records.len()));
                Answer::Log(records)
            }
            LogRange::Trimmed { first_kept } => Answer::LogTrimmed { first_kept },
        },
        ReadRequest::Snapshot { after, bytes_max } => {
            let holding = Box::new(holding_of(view)?);
            let entries_total = holding.digest.count;
            let (entries, next) = view.portable_entries(EntryMark::from_bytes(after).as_ref(), *bytes_max)?;
            Answer::Snapshot { holding, entries, next: next.map(|mark| mark.to_bytes()), entries_total }
        }
    })
}

/// States of as many of the wanted entries as fit, in their order.
fn entries(view: &View<'_>, wanted: &[(EntryUuid, Dot)], bytes_max: usize) -> Result<Answer, DitError> {
    let (mut entries, mut absent, mut bytes) = (Vec::new(), Vec::new(), 0);
    for (uuid, birth) in wanted {
        if bytes >= bytes_max {
            break;
        }
        match view.portable_entry(*uuid, *birth, bytes_max)? {
            Some(parts) => {
                bytes += parts.iter().map(|part| part.bytes.len()).sum::<usize>();
                entries.extend(parts);
            }
            None => absent.push((*uuid, *birth)),
        }
    }
    Ok(Answer::Entries { holding: Box::new(holding_of(view)?), absent, entries })
}

/// Does it inside the transaction; the answer is to be given after the commit.
///
/// # Errors
/// [`DitError::Storage`], [`DitError::State`]: the transaction is then to be dropped, and the answer is
/// [`Answer::Failed`].
pub fn write(writing: &mut Writing<'_>, request: &WriteRequest) -> Result<Answer, DitError> {
    match request {
        WriteRequest::Apply { records, carries } => {
            let applied = apply(writing, records)?;
            if *carries {
                writing.carry_over()?;
            }
            return Ok(Answer::Applied(applied));
        }
        WriteRequest::DropDeleted { entries, theirs, proven } => {
            for (uuid, birth) in entries {
                if *proven && !writing.tells_of_deletion(*uuid, birth.dot())? {
                    continue;
                }
                writing.drop_if_deleted_at(*uuid, *birth, theirs)?;
            }
        }
        WriteRequest::Merge { entries, theirs, clock, uncovered, fill, revive, carries } => {
            writing.follow_clock(*clock);
            note(writing, MetaName::Uncovered, uncovered)?;
            if *fill {
                writing.begin_fill()?;
            }
            for entry in entries {
                let merged = match theirs {
                    Some(theirs) => writing.take_entry(entry, theirs)?,
                    None if *revive => writing.revive_entry(entry)?,
                    None => writing.merge_entry(entry)?,
                };
                if let Merged::Undecodable(error) = merged {
                    return Ok(Answer::Failed(format!("state of entry {}: {error}", entry.uuid)));
                }
            }
            if *carries {
                writing.carry_over()?;
            }
        }
        WriteRequest::NoteCatchUp(target) => note(writing, MetaName::CatchUp, target)?,
        WriteRequest::NoteUncovered(uncovered) => note(writing, MetaName::Uncovered, uncovered)?,
        WriteRequest::ReissueTail { origin, after, clock } => {
            writing.follow_clock(*clock);
            let node = super::membership::node_id(writing.view())?;
            writing.reissue_tail_of(*origin, *after, &super::membership::member_dn(node))?;
        }
        WriteRequest::RepeatTail { origin, after, clock } => {
            writing.follow_clock(*clock);
            writing.repeat_tail(*origin, *after)?;
        }
        WriteRequest::RotateOrigin => {
            writing.rotate_origin()?;
        }
        WriteRequest::Settle { cut, known } => return settle(writing, cut, known),
        WriteRequest::TakeVector { theirs, clock } => {
            writing.follow_clock(*clock);
            writing.take_vector(theirs)?;
            writing.end_fill()?;
        }
        WriteRequest::TrimLog(floors) => return trim(writing, floors),
    }
    Ok(Answer::Done { more: false })
}

fn apply(writing: &mut Writing<'_>, records: &[LogRecord]) -> Result<Applied, DitError> {
    let mut applied = Applied::default();
    let mut stopped: BTreeSet<OriginId> = BTreeSet::new();
    for record in records.iter() {
        let origin = record.origin;
        if stopped.contains(&origin) {
            continue;
        }
        match writing.receive(record)? {
            Receipt::Applied { ahead_ms } => {
                applied.applied += 1;
                applied.far_ahead.extend(ahead_ms.map(|ahead_ms| (origin, ahead_ms)));
                continue;
            }
            Receipt::Known => {
                applied.known += 1;
                continue;
            }
            Receipt::Closed { .. } => {}
            Receipt::Fork => applied.forks.push(origin),
            Receipt::Gap { held } => applied.gaps.push((origin, held)),
            // Told by its vector too; the replicator begins a new origin.
            Receipt::Own => {}
            Receipt::Undecodable(error) => applied.undecodable.push((origin, record.sequence, error.to_string())),
        }
        stopped.insert(origin);
    }
    Ok(applied)
}

fn settle(writing: &mut Writing<'_>, cut: &StableCut, known: &StableCut) -> Result<Answer, DitError> {
    Ok(Answer::Done { more: writing.settle(cut, known, SETTLE_WORK)?.more })
}

fn trim(writing: &mut Writing<'_>, floors: &BTreeMap<OriginId, u64>) -> Result<Answer, DitError> {
    let dropped = writing.trim_log(floors, TRIM_WORK)?;
    Ok(Answer::Done { more: dropped >= TRIM_WORK as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::dit::{Options, Target, birth_deltas};
    use crate::model::{AttributeDescription, Dn};
    use crate::schema::Schema;
    use crate::storage::EntryId;
    use std::sync::Arc;

    fn add(writing: &mut Writing<'_>, number: u8, dn: &str, superior: EntryId, class: &str) -> Result<(), DitError> {
        let object_class = writing.intern(&AttributeDescription::parse("objectClass").unwrap())?;
        let values = [(object_class, vec![class.as_bytes().to_vec()])];
        let deltas = birth_deltas(writing, &Dn::parse(dn).unwrap(), superior, &values).unwrap();
        writing.change(Target::New(EntryUuid([number; 16])), "cn=test", deltas).map(|_| ())
    }

    /// Changes 1 to 3 were made one by one, 4 to 6 together.
    #[test]
    fn range_of_the_log_is_cut_by_number_and_by_size_but_never_within_what_was_made_together() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { durable: false, map_bytes: 1 << 26, ..Options::new(folder.path()) };
        let dit = Dit::open(options, Arc::new(Schema::builtin()), Clock::simulated(1_700_000_000_000)).unwrap();
        let unit = |writing: &mut Writing<'_>, number: u8| {
            add(writing, number, &format!("ou=u{number},dc=x"), EntryId(1), "organizationalUnit")
        };
        dit.change_offline(|writing| {
            add(writing, 1, "dc=x", EntryId::NONE, "domain")?;
            (2..=3).try_for_each(|number| unit(writing, number))?;
            writing.together(|writing| (4..=6).try_for_each(|number| unit(writing, number)))
        })
        .unwrap();
        let origin = holding(&dit).unwrap().origin;
        let range = |first, last, bytes_max| match read(&dit, &ReadRequest::Log { origin, first, last, bytes_max }) {
            Answer::Log(records) => records.iter().map(|record| record.sequence).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(range(1, 2, usize::MAX), [1, 2]);
        assert_eq!(range(2, 4, usize::MAX), [2, 3, 4, 5, 6]);
        assert_eq!(range(1, 6, 1), [1]);
        assert_eq!(range(4, 6, 1), [4, 5, 6]);
        assert_eq!(range(7, 9, usize::MAX), [0; 0]);
    }
}
