//! Lost updates: which of two changes, made in ignorance of each other, is not seen after the merge.
//!
//! A join loses nothing of the state's meaning, and yet a person's work: of two titles written at the same time one is
//! shown. Each change says how far its origin held the changes of others, and for every place of the entry which content
//! it replaced; so at the merge it is known whether the newer of two knew the older, and whether what it replaced
//! did, and so on down the chain of records. Where the record of a change is gone, the next ones of its origin say at least
//! what its writer had not met by then. What cannot be told any more is not claimed, and is said to be untold ([`Untold`]).
//!
//! Lost is a change whose effect another one, made in ignorance of it, overrides
//! - an RDN by another RDN, a superior by another superior (moves that would close a circle are found by the tree);
//! - a value by a clear or a replace of its attribute, the content of a replace by another replace;
//! - a value added by its deletion, a deletion by an addition of the same value;
//! - whatever was changed in an entry by the entry's deletion.
//!
//! Updates of different origins come in any order. Where a record on the chain is not here *yet*, the question is kept
//! ([`Question`]) and answered when that record comes ([`answer`]).
//!
//! Nothing is lost where both wrote the same, where different values of one attribute come together, where somebody
//! replaced the same content knowingly, or where numbers were counted.
//!
//! Invariants
//! - only-concurrent: neither of the two changes of a [`Lost`] knew the other.
//! - none-unseen: of the changes of a register, every one that nobody replaced knowingly and that is not shown is a
//!   loser on every member that merges all of them, each after those that its writer knew, while their records are kept.

mod finder;

pub use finder::{answer, lost_by_joining, what_is_left_of};

use crate::model::entry_uuid::EntryUuid;
use crate::state::cells::{Cell, CellValue};
use crate::state::csn::{OriginId, Stamp};
use crate::state::entry_state::RdnState;
use crate::state::update::{AttributeId, Delta, Update};
use crate::state::value_key::ValueKey;

/// Records followed to find out whether a change knew another. A place that was written more often between the two has
/// other worries; each record costs a read of the log.
pub const CHAIN_MAX: usize = 32;
/// Losses told of one update: a deletion or a replace could override any number of values.
pub const LOST_MAX: usize = 1024;

/// What of an entry was written twice.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    /// Its RDN.
    Rdn,
    /// Its superior.
    Parent,
    /// All values of an attribute.
    Attribute(AttributeId),
    /// One value of an attribute.
    Value(AttributeId, ValueKey),
}

impl Place {
    /// The attribute, if it is one.
    pub fn attribute(&self) -> Option<AttributeId> {
        match self {
            Self::Rdn | Self::Parent => None,
            Self::Attribute(attribute) | Self::Value(attribute, _) => Some(*attribute),
        }
    }
}

/// What a change made of a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    /// Values; none where they were taken away.
    Values(Vec<CellValue>),
    /// Values of the attribute were taken away.
    Without(Vec<CellValue>),
    /// An RDN.
    Rdn(RdnState),
    /// A superior; none for a suffix.
    Parent(EntryUuid),
    /// The entry ended.
    Dead,
    /// Another entry stands where it makes this impossible.
    InTheWay(EntryUuid),
}

/// By which rule one of the two is not seen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Rule {
    /// Of two renames the newer holds.
    NewerRename = 1,
    /// Of two moves the newer holds.
    NewerMove = 2,
    /// Of two contents of an attribute the newer holds.
    NewerReplace = 3,
    /// A value goes with a newer deletion of all values.
    ClearOverAdd = 4,
    /// A value goes with its newer deletion.
    DeleteOverAdd = 5,
    /// A value stays with its newer addition.
    AddOverDelete = 6,
    /// A deleted entry stays deleted, whatever was changed in it.
    DeleteOverChange = 7,
    /// A move into what was moved below the entry meanwhile is not made.
    Circle = 8,
    /// A fault of a program or a machine was mended: the content changed without a change.
    Repaired = 9,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::NewerRename,
        Self::NewerMove,
        Self::NewerReplace,
        Self::ClearOverAdd,
        Self::DeleteOverAdd,
        Self::AddOverDelete,
        Self::DeleteOverChange,
        Self::Circle,
        Self::Repaired,
    ];

    /// The rule with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| *rule as u8 == number)
    }

    /// A word for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::NewerRename => "newer-rename",
            Self::NewerMove => "newer-move",
            Self::NewerReplace => "newer-replace",
            Self::ClearOverAdd => "clear-over-add",
            Self::DeleteOverAdd => "delete-over-add",
            Self::AddOverDelete => "add-over-delete",
            Self::DeleteOverChange => "delete-over-change",
            Self::Circle => "circle",
            Self::Repaired => "repaired",
        }
    }

    /// A sentence for people.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NewerRename => "two renames: the newer holds",
            Self::NewerMove => "two moves: the newer holds",
            Self::NewerReplace => "two contents of one attribute: the newer holds",
            Self::ClearOverAdd => "a value was added while all were taken away: it went with them",
            Self::DeleteOverAdd => "a value was added while it was deleted: the newer holds",
            Self::AddOverDelete => "a value was deleted while it was added: the newer holds",
            Self::DeleteOverChange => "the entry was changed while it was deleted: it stays deleted",
            Self::Circle => "the entry was moved into what was moved below it meanwhile: the newer move is not made",
            Self::Repaired => "the entry differed from another member's though both hold the same changes: made equal",
        }
    }
}

/// A change that is not seen, and the one that is seen in its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lost {
    /// Where.
    pub place: Place,
    /// Why.
    pub rule: Rule,
    /// The change that holds.
    pub winner: Stamp,
    /// What it made of the place.
    pub winner_content: Content,
    /// The change that is not seen.
    pub loser: Stamp,
    /// What it had made of the place.
    pub loser_content: Content,
}

/// Whether the change `older` was lost at `place` cannot be said before the record `awaited` is here.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Question {
    /// Where.
    pub place: Place,
    /// The record that is missing.
    pub awaited: Stamp,
    /// The change that may be lost.
    pub older: Stamp,
}

/// Whether one of two changes of a place was made in ignorance of the other cannot be said any more: a record is gone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Untold {
    /// The change that holds.
    pub newer: Stamp,
    /// The change that is not seen, and may be lost.
    pub older: Stamp,
}

/// What a join came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Found {
    /// Changes that are lost; at most [`LOST_MAX`].
    pub lost: Vec<Lost>,
    /// What is still to be answered; at most [`LOST_MAX`].
    pub questions: Vec<Question>,
    /// What cannot be answered; at most [`LOST_MAX`].
    pub untold: Vec<Untold>,
}

/// What earlier updates said.
pub trait History {
    /// The update of this stamp, as it was written; `None` when its record is not kept any more, or not here yet.
    fn update(&mut self, stamp: Stamp) -> Option<Update>;
    /// How far the writer of this change held other origins' changes when it made later ones whose records are kept, by
    /// rising origin: what is beyond that it had not met. None when no record says so.
    fn known_later(&mut self, stamp: Stamp) -> Option<Vec<(OriginId, u64)>>;
    /// Whether the record of this stamp is still to come here.
    fn is_coming(&mut self, stamp: Stamp) -> bool;
    /// Calls `visit` with every cell of the entry's attribute that is kept apart from its state, in the order of keys.
    fn each_spilled(&mut self, attribute: AttributeId, visit: &mut dyn FnMut(ValueKey, Cell));
    /// Whether nobody cares for the attribute: who changed the entry, and when.
    fn is_bookkeeping(&self, attribute: AttributeId) -> bool;
}

/// How a newer change of a place stands to an older one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Relation {
    /// Whoever wrote the newer knew the older, or knew the same said by somebody else.
    Known,
    /// This one, the newer itself or one that it replaced, was written in ignorance of the older.
    Concurrent(Box<Update>),
    /// A record on the way is still to come.
    Open(Stamp),
    /// Records on the way are missing, or do not say.
    Gone,
    /// There are too many on the way.
    Far,
}

/// Whether the writer of `newer` knew the change `older` of the same place.
pub fn relation(place: &Place, newer: Update, older: Stamp, history: &mut dyn History) -> Relation {
    let mut at = newer;
    for _ in 0..CHAIN_MAX {
        let replaced = replaced_at(&at, place);
        if replaced == Some(older) {
            return Relation::Known;
        }
        let knew = at.knew(older);
        if knew == Some(false) || replaced.is_some_and(|replaced| replaced.csn < older.csn) {
            let said_before = finder::said_before(place, replaced, older, history);
            return if said_before { Relation::Known } else { Relation::Concurrent(Box::new(at)) };
        }
        // It replaced something newer, which may have overridden the older one in ignorance.
        let replaced = replaced.filter(|replaced| *replaced != Stamp::NONE);
        let before = replaced.and_then(|replaced| history.update(replaced));
        match (before, replaced) {
            (Some(update), _) if delta_at(&update, place).is_some() => at = update,
            (None, Some(replaced)) if history.is_coming(replaced) => return Relation::Open(replaced),
            _ if knew == Some(true) => return Relation::Known,
            _ => return Relation::Gone,
        }
    }
    Relation::Far
}

/// What the update says that it replaced at the place; `None` if it says nothing about it.
fn replaced_at(update: &Update, place: &Place) -> Option<Stamp> {
    if update.is_birth() {
        return Some(Stamp::NONE);
    }
    update.replaced.get(delta_at(update, place)?).copied()
}

/// The delta that decides the place.
fn delta_at(update: &Update, place: &Place) -> Option<usize> {
    let find = |wanted: &dyn Fn(&Delta) -> bool| update.deltas.iter().position(wanted);
    let clear = |of: AttributeId| find(&|delta| matches!(delta, Delta::Clear(attribute) if *attribute == of));
    match place {
        Place::Rdn => find(&|delta| matches!(delta, Delta::Rdn(_))),
        Place::Parent => find(&|delta| matches!(delta, Delta::Parent(_))),
        Place::Attribute(attribute) => clear(*attribute),
        Place::Value(of, key) => clear(*of).or_else(|| {
            find(&|delta| matches!(delta, Delta::Cell { attribute, key: other, .. } if attribute == of && other == key))
        }),
    }
}

#[cfg(test)]
mod tests;
