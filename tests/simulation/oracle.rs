//! What clients were promised: every change whose commit was answered.
//!
//! A change is *certain* from its commit on. It becomes *uncertain* when the only disks that held it went back to an older
//! copy, or when its origin's history forked and it was written again under another origin; an uncertain change may show
//! or not. At the end every certain change must show, unless a newer change says otherwise; and nothing that a certain
//! change deleted may show under an older stamp. With `SIM_HEIRS` a change of an incarnation that
//! another replaced, newer than the birth of that one, must show there. It shows below cn=lost+found, and nowhere else, only where all births of
//! what is missing above it were on disks that went back, so that no store has any.
//!
//! Of an entry's names the newest holds; below what it stands [`superiors`] says, and under what it is shown [`names`].
//!
//! Deliberately not assumed: which of two concurrent changes wins beyond their CSNs.

mod names;
mod superiors;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use entente::model::EntryUuid;
use entente::state::encoding::update::decode_update;
use entente::state::{
    AttributeId, Csn, Delta, Dot, EntryState, LogRecord, OriginId, RdnState, Stamp, Update, ValueKey,
};

pub(crate) use names::names;
pub(crate) use superiors::Verdict;

/// One change.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) update: Update,
    pub(crate) certain: bool,
    /// It was promised when the last disk that held it went back.
    pub(crate) lost: bool,
}

/// All changes ever made, in the order of their commits.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pub(crate) issued: Vec<Issued>,
    /// Numbers given to attribute keys here, as nodes number them differently.
    attributes: Vec<String>,
}

/// One write of a value.
#[derive(Clone, Copy, Debug)]
struct Write {
    csn: Csn,
    present: bool,
    certain: bool,
}

impl Oracle {
    pub(crate) fn attribute(&mut self, key: &str) -> AttributeId {
        let at = self.attributes.iter().position(|known| known == key).unwrap_or_else(|| {
            self.attributes.push(key.to_owned());
            self.attributes.len() - 1
        });
        AttributeId(at as u32)
    }

    /// A change was committed and answered.
    pub(crate) fn issue(&mut self, record: &LogRecord) {
        let bytes = record.bytes.clone();
        let update = decode_update(&bytes, |key| Some(self.attribute(key))).expect("a committed record decodes");
        self.issued.push(Issued { update, certain: true, lost: false });
    }

    /// Changes that are written again: nobody is bound to hold them as they were any more.
    pub(crate) fn doubt(&mut self, which: impl FnMut(Dot, Csn) -> bool) -> usize {
        self.doubt_as(false, which)
    }

    /// Changes that no disk holds any more.
    pub(crate) fn lose(&mut self, mut which: impl FnMut(Dot) -> bool) -> usize {
        self.doubt_as(true, |dot, _| which(dot))
    }

    fn doubt_as(&mut self, lost: bool, mut which: impl FnMut(Dot, Csn) -> bool) -> usize {
        let mut count = 0;
        for issued in self.issued.iter_mut().filter(|issued| issued.certain) {
            if which(issued.update.dot(), issued.update.stamp.csn) {
                (issued.certain, issued.lost) = (false, lost);
                count += 1;
            }
        }
        count
    }

    /// Whether an entry was made, and every birth of it that was promised was on disks that all went back: then nobody can
    /// hold what stands below it anywhere but below cn=lost+found.
    pub(crate) fn is_lost(&self, uuid: EntryUuid) -> bool {
        let births = || self.issued.iter().filter(|issued| issued.update.is_birth() && issued.update.uuid == uuid);
        births().any(|issued| issued.lost) && births().all(|issued| !issued.certain)
    }

    /// The entries that exist or existed.
    pub(crate) fn uuids(&self) -> Vec<EntryUuid> {
        self.issued.iter().filter(|issued| issued.update.is_birth()).map(|issued| issued.update.uuid).collect()
    }

    /// A state in lines, to compare.
    pub(crate) fn lines(&self, state: &EntryState) -> Vec<String> {
        let mut lines = vec![
            format!("birth {:?} born {} dead {:?}", state.birth, state.born, state.dead),
            format!("rdn {:?} {:?}", state.rdn.0, state.rdn.1.avas),
            format!("parent {:?} {}", state.parent.0, state.parent.1),
        ];
        for (attribute, held) in &state.attributes {
            let name = &self.attributes[attribute.0 as usize];
            lines.push(format!("{name} clear {:?} counter {:?} spilled {:?}", held.clear, held.counter, held.spilled));
            for (key, cell) in held.cells.iter() {
                lines.push(format!("{name} {key:?} {cell:?}"));
            }
        }
        lines
    }

    /// Compares with the final states; the first broken promise in words.
    pub(crate) fn judge(&self, states: &[EntryState]) -> Result<(), String> {
        // Of several that live the last born is shown.
        let mut living: BTreeMap<EntryUuid, Stamp> = BTreeMap::new();
        for state in states.iter().filter(|state| state.is_live()) {
            let birth = living.entry(state.uuid).or_insert(state.birth);
            *birth = state.birth.max(*birth);
        }
        // Of an incarnation that another replaced counts what is newer than that one: it is carried over.
        let meant = |update: &Update| {
            let is_between = |birth: &Stamp| update.birth.csn < birth.csn && birth.csn < update.stamp.csn;
            let later = living.get(&update.uuid).copied().filter(|_| judges_heirs() && !update.is_birth());
            later.filter(is_between).unwrap_or(update.birth)
        };
        let mut by_entry: BTreeMap<(EntryUuid, Dot), Vec<&Issued>> = BTreeMap::new();
        for issued in &self.issued {
            by_entry.entry((issued.update.uuid, meant(&issued.update).dot())).or_default().push(issued);
        }
        let finals: BTreeMap<(EntryUuid, Dot), &EntryState> =
            states.iter().map(|state| ((state.uuid, state.birth.dot()), state)).collect();
        for ((uuid, birth), changes) in by_entry {
            let state = finals.get(&(uuid, birth)).copied().filter(|state| state.is_live());
            let dead = |certain: bool| {
                changes.iter().any(|issued| {
                    (issued.certain || !certain)
                        && issued.update.deltas.iter().any(|delta| matches!(delta, Delta::Dead))
                })
            };
            let born = changes.iter().any(|issued| issued.certain && issued.update.is_birth());
            let Some(state) = state else {
                if born && !dead(false) {
                    return Err(format!("entry {uuid} born at {birth:?} is gone though nobody deleted it"));
                }
                continue;
            };
            if dead(true) {
                let deaths =
                    changes.iter().filter(|issued| issued.certain && issued.update.deltas.contains(&Delta::Dead));
                let deaths: Vec<_> = deaths.map(|issued| (issued.update.stamp, issued.update.birth)).collect();
                return Err(format!(
                    "entry {uuid} born at {:?} lives though its deletion was answered: {deaths:?}",
                    state.birth
                ));
            }
            judge_rdn(state, &changes)?;
            self.judge_cells(state, &changes)?;
            let own: Vec<&Issued> =
                changes.iter().copied().filter(|issued| issued.update.birth.dot() == birth).collect();
            self.judge_counters(state, &own)?;
        }
        Ok(())
    }

    /// Compares the superiors of live entries with what births and moves say; the first that is another in words.
    pub(crate) fn judge_superiors(&self, states: &[EntryState]) -> Result<Verdict, String> {
        superiors::judge(&self.issued, states)
    }

    fn judge_cells(&self, state: &EntryState, changes: &[&Issued]) -> Result<(), String> {
        let mut writes: BTreeMap<(AttributeId, &ValueKey), Vec<Write>> = BTreeMap::new();
        let mut clears: BTreeMap<AttributeId, Vec<Write>> = BTreeMap::new();
        for issued in changes {
            let (csn, certain) = (issued.update.stamp.csn, issued.certain);
            for delta in &issued.update.deltas {
                match delta {
                    Delta::Cell { attribute, key, present, .. } => {
                        writes.entry((*attribute, key)).or_default().push(Write { csn, present: *present, certain });
                    }
                    Delta::Clear(attribute) => {
                        clears.entry(*attribute).or_default().push(Write { csn, present: false, certain });
                    }
                    _ => {}
                }
            }
        }
        for ((attribute, key), mut cell_writes) in writes {
            // Of one change the value comes after the clear.
            cell_writes.extend(clears.get(&attribute).into_iter().flatten());
            let last = cell_writes.iter().filter(|write| write.certain).max_by_key(|write| (write.csn, write.present));
            let Some(last) = last else { continue };
            let shown = state
                .attribute(attribute)
                .and_then(|held| held.cells.get(key))
                .filter(|cell| cell.present)
                .map(|cell| cell.stamp);
            let excused = |shown: bool| {
                cell_writes.iter().any(|write| !write.certain && write.present == shown && write.csn > last.csn)
            };
            let name = &self.attributes[attribute.0 as usize];
            match shown {
                None if last.present && !excused(false) => {
                    return Err(format!("{}: {name}: a value added at {} is gone", state.uuid, last.csn));
                }
                Some(stamp) if !last.present && stamp.csn < last.csn => {
                    return Err(format!(
                        "{}: {name}: a value deleted at {} shows as of {}",
                        state.uuid, last.csn, stamp.csn
                    ));
                }
                Some(stamp) if last.present && stamp.csn < last.csn => {
                    return Err(format!(
                        "{}: {name}: a value written at {} shows as of {}",
                        state.uuid, last.csn, stamp.csn
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn judge_counters(&self, state: &EntryState, changes: &[&Issued]) -> Result<(), String> {
        let mut parts: BTreeMap<(AttributeId, Stamp, OriginId), u64> = BTreeMap::new();
        for issued in changes.iter().filter(|issued| issued.certain) {
            for delta in &issued.update.deltas {
                if let Delta::Count { attribute, base, count, .. } = delta {
                    let at = parts.entry((*attribute, base.stamp, issued.update.stamp.csn.origin())).or_default();
                    *at = (*at).max(*count);
                }
            }
        }
        for ((attribute, base, origin), count) in parts {
            let Some(held) = state.attribute(attribute) else {
                return Err(format!("{}: a counted attribute is gone", state.uuid));
            };
            // Void when something newer was written.
            let newer = held.clear.is_some_and(|clear| clear.csn > base.csn);
            if let Some(counter) = &held.counter
                && counter.base.stamp == base
                && !newer
                && counter.parts.get(&origin).is_none_or(|part| part.count < count)
            {
                return Err(format!("{}: increments of {origin} are missing", state.uuid));
            }
        }
        Ok(())
    }
}

/// The RDN is that of the newest birth or rename.
fn judge_rdn(state: &EntryState, changes: &[&Issued]) -> Result<(), String> {
    let given = |issued: &&Issued| -> Option<(Stamp, RdnState, bool)> {
        let rdn = issued.update.deltas.iter().find_map(|delta| match delta {
            Delta::Birth { rdn, .. } | Delta::Rdn(rdn) => Some(rdn.clone()),
            _ => None,
        });
        Some((issued.update.stamp, rdn?, issued.certain))
    };
    let given: Vec<(Stamp, RdnState, bool)> = changes.iter().filter_map(given).collect();
    let (shown, rdn) = &state.rdn;
    let Some((_, named, _)) = given.iter().find(|(stamp, ..)| stamp == shown) else {
        return Err(format!("{}: its name is as of {}, when nobody named it", state.uuid, shown.csn));
    };
    if named != rdn {
        return Err(format!("{}: its name is {rdn:?}, and was given as {named:?} at {}", state.uuid, shown.csn));
    }
    match given.iter().filter(|(_, _, certain)| *certain).map(|(stamp, ..)| *stamp).max() {
        Some(last) if *shown < last => {
            Err(format!("{}: named at {}, its name is that of {}", state.uuid, last.csn, shown.csn))
        }
        _ => Ok(()),
    }
}

/// Whether what was promised of an incarnation that another replaced is judged too (`SIM_HEIRS`).
fn judges_heirs() -> bool {
    static HEIRS: LazyLock<bool> = LazyLock::new(|| std::env::var_os("SIM_HEIRS").is_some());
    *HEIRS
}
