//! What a node holds: for each origin, all changes up to a number.
//!
//! One number an origin says everything because numbers are dense and taken in order: change n+1 is only accepted
//! after change n. The chain hash beside it (each record hashed with its forerunner's) tells whether two nodes hold the
//! *same* n changes, which finds a cloned data directory.
//!
//! Invariants
//! - **vector-no-holes**: [`UpdateVector::advance`] takes only the next number of an origin.
//! - **vector-rises**: nothing here lowers a number.

use std::collections::BTreeMap;

use crate::state::csn::{Dot, OriginId};
use crate::state::encoding::bytes::{Reader, put_varint};
use crate::state::error::StateError;
use crate::state::update::Update;

const FORMAT_VERSION: u8 = 1;

/// How far one origin's changes are held.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct OriginPosition {
    /// All changes up to this number are held; from 1.
    pub sequence: u64,
    /// Hash chain over the origin's records up to there; zero if it is not known ([`OriginPosition::known_chain`]).
    pub chain: [u8; 16],
    /// The origin's last number, if its members agreed that it writes no more.
    pub closed: Option<u64>,
}

impl OriginPosition {
    /// The chain, if it is known: it is not where an end was agreed of which no record was kept to tell it. Whoever does
    /// not know it cannot tell another history from the same one.
    pub fn known_chain(&self) -> Option<[u8; 16]> {
        (self.sequence == 0 || self.chain != [0; 16]).then_some(self.chain)
    }

    /// Whether `other` is of as many changes, and other ones.
    pub fn is_forked_from(&self, other: &Self) -> bool {
        let chains = self.known_chain().zip(other.known_chain());
        self.sequence == other.sequence && chains.is_some_and(|(ours, theirs)| ours != theirs)
    }

    /// The chain after one more record of these bytes.
    pub fn chain_next(&self, record: &[u8]) -> [u8; 16] {
        let hash = blake3::Hasher::new().update(&self.chain).update(record).finalize();
        let mut chain = [0; 16];
        chain.iter_mut().zip(hash.as_bytes()).for_each(|(to, from)| *to = *from);
        chain
    }
}

/// How one vector stands to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Both hold the same numbers.
    Equal,
    /// The first holds all of the second and more: it can supply.
    Ahead,
    /// The second holds all of the first and more: it can be asked.
    Behind,
    /// Each holds something that the other lacks.
    Diverged,
}

/// For each origin how far its changes are held.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UpdateVector(BTreeMap<OriginId, OriginPosition>);

impl UpdateVector {
    /// Holds nothing.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// A vector read from a table of positions.
    pub fn from_positions(positions: impl IntoIterator<Item = (OriginId, OriginPosition)>) -> Self {
        Self(positions.into_iter().collect())
    }

    /// The last number held of an origin; 0 if none.
    pub fn sequence(&self, origin: OriginId) -> u64 {
        self.0.get(&origin).map_or(0, |position| position.sequence)
    }

    /// Position of an origin; the start if nothing is held of it.
    pub fn position(&self, origin: OriginId) -> OriginPosition {
        self.0.get(&origin).copied().unwrap_or_default()
    }

    /// All origins of which something is held or closed, rising.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (OriginId, &OriginPosition)> {
        self.0.iter().map(|(origin, position)| (*origin, position))
    }

    /// Whether the change is held.
    pub fn covers(&self, dot: Dot) -> bool {
        dot.sequence <= self.sequence(dot.origin)
    }

    /// Whether an update of an entry that is *unknown here* concerns one that was deleted and forgotten: its birth is
    /// covered, so it was here. Such an update is ignored (and covered); any other makes the entry. Ask before
    /// advancing, or after: a birth never answers yes.
    pub fn shows_deleted(&self, update: &Update) -> bool {
        !update.is_birth() && self.covers(update.birth.dot())
    }

    /// Takes the next change of an origin, with the chain hash after it.
    ///
    /// # Errors
    /// [`StateError::AlreadyCovered`]: ignore it. [`StateError::Hole`]: fetch what is missing first.
    /// [`StateError::Closed`]: the origin was closed before it; the change is not taken.
    pub fn advance(&mut self, dot: Dot, chain: [u8; 16]) -> Result<(), StateError> {
        let Dot { origin, sequence } = dot;
        let held = self.sequence(origin);
        if sequence <= held {
            return Err(StateError::AlreadyCovered { origin, sequence });
        }
        if sequence != held + 1 {
            return Err(StateError::Hole { origin, held, sequence });
        }
        let position = self.0.entry(origin).or_default();
        if let Some(last) = position.closed.filter(|last| sequence > *last) {
            return Err(StateError::Closed { origin, last, sequence });
        }
        position.sequence = sequence;
        position.chain = chain;
        Ok(())
    }

    /// Notes that the origin writes nothing after `last`. Closing twice keeps the later end.
    pub fn close(&mut self, origin: OriginId, last: u64) {
        let position = self.0.entry(origin).or_default();
        position.closed = position.closed.max(Some(last));
    }

    /// What is not as in `earlier`, which this vector was before.
    pub fn since(&self, earlier: &Self) -> Self {
        let changed = self.0.iter().filter(|(origin, position)| earlier.0.get(origin) != Some(position));
        Self(changed.map(|(origin, position)| (*origin, *position)).collect())
    }

    /// The vector with these positions as they are now: undoes [`UpdateVector::since`].
    pub fn changed_by(&self, changes: &Self) -> Self {
        let mut changed = self.clone();
        changed.0.extend(changes.0.iter().map(|(origin, position)| (*origin, *position)));
        changed
    }

    /// Takes over what `other` holds more: after a state exchange, which brings the content of whole entries.
    pub fn join(&mut self, other: &Self) {
        for (origin, theirs) in &other.0 {
            let ours = self.0.entry(*origin).or_default();
            if (theirs.sequence, theirs.chain) > (ours.sequence, ours.chain) {
                (ours.sequence, ours.chain) = (theirs.sequence, theirs.chain);
            }
            ours.closed = ours.closed.max(theirs.closed);
        }
    }

    /// Who holds more. By numbers only; see [`UpdateVector::forked_origins`].
    pub fn compare(&self, other: &Self) -> Verdict {
        match (self.holds_all_of(other), other.holds_all_of(self)) {
            (true, true) => Verdict::Equal,
            (true, false) => Verdict::Ahead,
            (false, true) => Verdict::Behind,
            (false, false) => Verdict::Diverged,
        }
    }

    /// Whether everything that `other` holds is held.
    pub fn holds_all_of(&self, other: &Self) -> bool {
        other.0.iter().all(|(origin, theirs)| theirs.sequence <= self.sequence(*origin))
    }

    /// Origins of which both hold the same number of changes, but not the same changes: somebody runs a copy.
    pub fn forked_origins<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = OriginId> + 'a {
        self.0.iter().filter_map(|(origin, ours)| {
            let theirs = other.0.get(origin)?;
            ours.is_forked_from(theirs).then_some(*origin)
        })
    }

    /// For each origin the smaller number: what both hold. Chains are those of the smaller side.
    pub fn meet(&self, other: &Self) -> Self {
        let both = self.0.iter().filter_map(|(origin, ours)| {
            let theirs = other.0.get(origin)?;
            let mut least = if ours.sequence <= theirs.sequence { *ours } else { *theirs };
            least.closed = ours.closed.min(theirs.closed);
            Some((*origin, least))
        });
        Self(both.collect())
    }

    /// Appends the vector's bytes: version, count, then origin (6 bytes), number, chain and end of each.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(FORMAT_VERSION);
        put_varint(out, self.0.len() as u64);
        for (origin, position) in &self.0 {
            out.extend(origin.0.to_be_bytes().into_iter().skip(2));
            put_varint(out, position.sequence);
            out.extend_from_slice(&position.chain);
            out.push(u8::from(position.closed.is_some()));
            if let Some(last) = position.closed {
                put_varint(out, last);
            }
        }
    }

    /// The inverse of [`UpdateVector::encode`].
    ///
    /// # Errors
    /// Any [`StateError`] about bytes; the input is never trusted.
    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = Reader::new(bytes);
        reader.version(FORMAT_VERSION)?;
        let count = reader.varint()?;
        let mut vector = Self::new();
        for _ in 0..count {
            let [a, b, c, d, e, f] = reader.array()?;
            let origin = OriginId(u64::from_be_bytes([0, 0, a, b, c, d, e, f]));
            let sequence = reader.varint()?;
            let chain = reader.array()?;
            let closed = match reader.byte()? {
                0 => None,
                1 => Some(reader.varint()?),
                _ => return Err(StateError::Malformed { what: "end of an origin" }),
            };
            if vector.0.last_key_value().is_some_and(|(last, _)| *last >= origin) {
                return Err(StateError::Malformed { what: "order of origins" });
            }
            vector.0.insert(origin, OriginPosition { sequence, chain, closed });
        }
        reader.finish()?;
        Ok(vector)
    }
}

#[cfg(test)]
mod tests;
