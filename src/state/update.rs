//! An update: one LDAP operation as what it changed in one entry, stamped.
//!
//! Not the operation is stored and sent but its effect, folded by the origin to at most one delta a value: applying can
//! therefore never fail and needs no schema. The birth of the entry travels along, so that a node can tell "not arrived
//! yet" from "deleted and forgotten" ([`UpdateVector::shows_deleted`](crate::state::UpdateVector::shows_deleted)).

use crate::model::entry_uuid::EntryUuid;
use crate::state::cells::CellValue;
use crate::state::counter::CounterBase;
use crate::state::csn::{Dot, OriginId, Stamp};
use crate::state::entry_state::RdnState;
use crate::state::value_key::ValueKey;

/// A node's own number for an attribute key (type and sorted options); never sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct AttributeId(pub u32);

/// A change of one entry: the unit of storing and sending.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Update {
    /// The change.
    pub stamp: Stamp,
    /// The entry.
    pub uuid: EntryUuid,
    /// The change that created this incarnation of the entry; of an add its own stamp.
    pub birth: Stamp,
    /// Who asked, as shown in `creatorsName` and `modifiersName`.
    pub requester: String,
    /// It was made together with the change before it of the same origin: both are shown, or neither is. Joins never look
    /// at it; whoever sends or takes records keeps such ones together.
    pub joined: bool,
    /// Of an end: the entry goes on in another incarnation, since it was made again; nobody deleted it.
    pub goes_on: bool,
    /// What it changed; at most one delta a register, attribute clear or value.
    pub deltas: Vec<Delta>,
    /// For each delta the newest content that it replaced at its origin ([`EntryState::replaced_by`]); empty when the
    /// origin did not say. It tells which changes were made in ignorance of each other, and joins never look at it.
    ///
    /// [`EntryState::replaced_by`]: crate::state::EntryState::replaced_by
    pub replaced: Vec<Stamp>,
    /// How far the origin held other origins' changes when it wrote, by rising origin; empty when it did not say. Like
    /// `replaced`, joins never look at it.
    pub known: Vec<(OriginId, u64)>,
    /// The name and the superior that a rename or a move replaced at its origin. Like `replaced`, joins never look at it.
    pub former: Former,
    /// Optional fields that only newer versions understand; kept and sent on.
    pub unknown: Vec<UnknownField>,
}

impl Update {
    /// An update of this version, without unknown fields.
    pub fn new(stamp: Stamp, uuid: EntryUuid, birth: Stamp, requester: String, deltas: Vec<Delta>) -> Self {
        Self {
            stamp,
            uuid,
            birth,
            requester,
            joined: false,
            goes_on: false,
            deltas,
            replaced: Vec::new(),
            known: Vec::new(),
            former: Former::default(),
            unknown: Vec::new(),
        }
    }

    /// The end of an incarnation of an entry that goes on in another.
    #[must_use]
    pub fn going_on(mut self) -> Self {
        self.goes_on = true;
        self
    }

    /// The same with what its deltas replaced, one stamp for each.
    #[must_use]
    pub fn replacing(mut self, replaced: Vec<Stamp>) -> Self {
        let is_said = replaced.len() == self.deltas.len() && replaced.iter().any(|stamp| *stamp != Stamp::NONE);
        self.replaced = if is_said { replaced } else { Vec::new() };
        self
    }

    /// The same with how far its origin held the changes of others.
    #[must_use]
    pub fn knowing(mut self, known: Vec<(OriginId, u64)>) -> Self {
        self.known = known;
        self
    }

    /// The same with the name and the superior that it replaced.
    #[must_use]
    pub fn instead_of(mut self, former: Former) -> Self {
        self.former = former;
        self
    }

    /// The same as a part of what the origin made together.
    #[must_use]
    pub fn joining(mut self, joined: bool) -> Self {
        self.joined = joined;
        self
    }

    /// Whether whoever wrote this held the change `other` of the same entry; `None` when the update does not say.
    pub fn knew(&self, other: Stamp) -> Option<bool> {
        let (own, dot) = (self.stamp.dot(), other.dot());
        if other == self.birth {
            return Some(true);
        }
        if own.origin == dot.origin {
            return Some(dot.sequence < own.sequence);
        }
        if other.csn > self.stamp.csn {
            // csn-rises: a change is newer than all that its origin knew of the entry.
            return Some(false);
        }
        let held = |index: usize| self.known.get(index).is_some_and(|(_, sequence)| dot.sequence <= *sequence);
        (!self.known.is_empty())
            .then(|| self.known.binary_search_by_key(&dot.origin, |(origin, _)| *origin).is_ok_and(held))
    }

    /// The change's place in its origin's row.
    pub fn dot(&self) -> Dot {
        self.stamp.dot()
    }

    /// Whether this update creates the incarnation.
    pub fn is_birth(&self) -> bool {
        self.deltas.iter().any(|delta| matches!(delta, Delta::Birth { .. }))
    }
}

/// Where an entry stood before a rename or a move, as far as that changed it: the log has the change that put it there only
/// if the entry is younger than the log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Former {
    /// Its RDN before it got another, as written (RFC 4514); whoever reads it checks that it is one.
    pub rdn: Option<String>,
    /// The entry that it was below before it was moved.
    pub parent: Option<EntryUuid>,
}

/// A field of a record that this version does not know and may ignore.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownField {
    /// Its number.
    pub tag: u64,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// One effect of an update.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Delta {
    /// The entry begins, with this name, below this parent ([`EntryUuid::NIL`] for a suffix).
    Birth {
        /// Its RDN.
        rdn: RdnState,
        /// The entry above.
        parent: EntryUuid,
    },
    /// A new RDN.
    Rdn(RdnState),
    /// A new superior.
    Parent(EntryUuid),
    /// All values of the attribute are gone.
    Clear(AttributeId),
    /// One value is there, or is gone.
    Cell {
        /// Which attribute.
        attribute: AttributeId,
        /// Which value.
        key: ValueKey,
        /// Position among the attribute's values in the operation, from 0.
        order: u32,
        /// Added, else deleted.
        present: bool,
        /// As the client wrote it; empty text when deleted.
        value: CellValue,
    },
    /// The number was incremented; [`EntryState::count_delta`](crate::state::EntryState::count_delta) makes it.
    Count {
        /// Which attribute.
        attribute: AttributeId,
        /// The write that it counts from.
        base: CounterBase,
        /// How often this origin incremented on that base, this time included.
        count: u64,
        /// By how much in all.
        sum: i64,
    },
    /// The entry ends.
    Dead,
}
