//! One incarnation of an entry as the join of all updates made to it.
//!
//! An entry is identified by its entryUUID and its birth; its name and place are registers like everything else, so
//! renames and moves never touch what hangs below or points here. Updates may come in any order, the birth among
//! them: until that comes, the entry is kept but not shown (`born`). Death is absorbing: it beats every concurrent
//! change, whatever the CSNs, because an undelete makes a new incarnation (with a birth of its own) instead.
//!
//! Invariant **same-updates-same-content**: states that joined equal sets of updates are equal; `apply` is a join with
//! the state the update alone makes.

use std::collections::BTreeMap;
use std::collections::btree_map;

use smallvec::SmallVec;

use crate::model::entry_uuid::EntryUuid;
use crate::state::attribute_state::AttributeState;
use crate::state::cells::{Cell, CellValue};
use crate::state::counter::{Counter, CounterBase, CounterPart};
use crate::state::csn::{Csn, OriginId, Stamp};
use crate::state::encoding::entry::StampTable;
use crate::state::update::{AttributeId, Delta, Update};
use crate::state::value_key::ValueKey;

/// One attribute type and value of an RDN.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RdnAva {
    /// The attribute.
    pub attribute: AttributeId,
    /// The value's identity.
    pub key: ValueKey,
    /// The value as written.
    pub value: Vec<u8>,
    /// The attribute type as the client spelled it in the RDN.
    pub type_text: String,
}

/// An RDN; without AVAs only while the entry is not born.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct RdnState {
    /// In the order written.
    pub avas: Vec<RdnAva>,
}

/// The merged state of one incarnation of an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryState {
    /// Which entry.
    pub uuid: EntryUuid,
    /// The change that created this incarnation.
    pub birth: Stamp,
    /// Whether that change has arrived.
    pub born: bool,
    /// The oldest deletion, if there is one.
    pub dead: Option<Stamp>,
    /// The name and the change that gave it.
    pub rdn: (Stamp, RdnState),
    /// The superior ([`EntryUuid::NIL`] for a suffix) and the change that put the entry there.
    pub parent: (Stamp, EntryUuid),
    /// Attributes, those without any present value included.
    pub attributes: BTreeMap<AttributeId, AttributeState>,
    /// The newest change when what it left was forgotten, if nothing else tells: the time of the last change stays.
    pub forgotten: Stamp,
}

/// What a join changed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Effect {
    /// The entry's birth arrived.
    pub born: bool,
    /// The entry ended, or its end turned out to be older.
    pub dead: bool,
    /// The RDN register; values it implies may have changed with it.
    pub rdn: bool,
    /// The superior.
    pub parent: bool,
    /// The time of the last change, of which nothing else is left.
    pub newest: bool,
    /// Attributes whose state changed, rising, each once.
    pub attributes: SmallVec<[AttributeId; 8]>,
}

impl Effect {
    /// Whether anything changed.
    pub fn is_change(&self) -> bool {
        self.born || self.dead || self.rdn || self.parent || self.newest || !self.attributes.is_empty()
    }

    fn touch(&mut self, attribute: AttributeId, changed: bool) {
        if changed && self.attributes.last() != Some(&attribute) {
            self.attributes.push(attribute);
        }
    }

    fn finish(mut self) -> Self {
        self.attributes.sort_unstable();
        self.attributes.dedup();
        self
    }
}

impl EntryState {
    /// An incarnation of which nothing is known but its birth's stamp.
    pub fn unborn(uuid: EntryUuid, birth: Stamp) -> Self {
        Self {
            uuid,
            birth,
            born: false,
            dead: None,
            rdn: (Stamp::NONE, RdnState::default()),
            parent: (Stamp::NONE, EntryUuid::NIL),
            attributes: BTreeMap::new(),
            forgotten: Stamp::NONE,
        }
    }

    /// The state that this update alone makes; born if it is a birth.
    pub fn born(update: &Update) -> Self {
        let mut state = Self::unborn(update.uuid, update.birth);
        state.apply(update);
        state
    }

    /// Joins an update. One of another entry or incarnation changes nothing.
    pub fn apply(&mut self, update: &Update) -> Effect {
        let mut effect = Effect::default();
        if (update.uuid, update.birth) != (self.uuid, self.birth) {
            return effect;
        }
        let stamp = update.stamp;
        for delta in &update.deltas {
            match delta {
                Delta::Birth { rdn, parent } => {
                    effect.born |= !std::mem::replace(&mut self.born, true);
                    effect.rdn |= join_register(&mut self.rdn, stamp, rdn);
                    effect.parent |= join_register(&mut self.parent, stamp, parent);
                }
                Delta::Rdn(rdn) => effect.rdn |= join_register(&mut self.rdn, stamp, rdn),
                Delta::Parent(parent) => effect.parent |= join_register(&mut self.parent, stamp, parent),
                Delta::Dead => effect.dead |= self.join_dead(stamp),
                Delta::Clear(attribute) => {
                    let changed = self.attribute_mut(*attribute).apply_clear(stamp);
                    effect.touch(*attribute, changed);
                }
                Delta::Cell { attribute, key, order, present, value } => {
                    let cell = Cell { stamp, order: *order, present: *present, value: value.clone() };
                    let changed = self.attribute_mut(*attribute).apply_cell(key, &cell);
                    effect.touch(*attribute, changed);
                }
                Delta::Count { attribute, base, count, sum } => {
                    let mut counter = Counter::new(*base);
                    counter.join_part(CounterPart { count: *count, sum: *sum, stamp });
                    let changed = self.attribute_mut(*attribute).apply_counter(&counter);
                    effect.touch(*attribute, changed);
                }
            }
        }
        effect.finish()
    }

    /// Joins another state of the same incarnation; one of another changes nothing. Spilled cells must be loaded.
    pub fn join(&mut self, other: &Self) -> Effect {
        let mut effect = Effect::default();
        if (other.uuid, other.birth) != (self.uuid, self.birth) {
            return effect;
        }
        effect.born = other.born && !std::mem::replace(&mut self.born, true);
        effect.newest = other.forgotten > self.max_stamp();
        self.forgotten = self.forgotten.max(other.forgotten);
        effect.dead = other.dead.is_some_and(|dead| self.join_dead(dead));
        effect.rdn = join_register(&mut self.rdn, other.rdn.0, &other.rdn.1);
        effect.parent = join_register(&mut self.parent, other.parent.0, &other.parent.1);
        for (attribute, state) in &other.attributes {
            let changed = match self.attributes.entry(*attribute) {
                btree_map::Entry::Occupied(mut held) => held.get_mut().join(state),
                btree_map::Entry::Vacant(none) => {
                    let joined = AttributeState { spilled: None, ..state.clone() };
                    let says_something = !joined.is_empty();
                    if says_something {
                        none.insert(joined);
                    }
                    says_something
                }
            };
            effect.touch(*attribute, changed);
        }
        effect.finish()
    }

    /// What joining `other` into nothing makes ([`EntryState::unborn`] and [`EntryState::join`]), and what that changed.
    pub fn taken(mut other: Self) -> (Self, Effect) {
        let unborn = Self::unborn(other.uuid, other.birth);
        other.attributes.retain(|_, held| {
            held.spilled = None;
            !held.is_empty()
        });
        let effect = Effect {
            born: other.born,
            dead: other.dead.is_some(),
            rdn: other.rdn != unborn.rdn,
            parent: other.parent != unborn.parent,
            newest: other.forgotten > other.birth,
            attributes: other.attributes.keys().copied().collect(),
        };
        (other, effect)
    }

    /// Whether clients may see it (as itself; a dead entry with live ones below is the tree's matter).
    pub fn is_live(&self) -> bool {
        self.born && self.dead.is_none()
    }

    /// The state of one attribute, if anything was ever said about it.
    pub fn attribute(&self, attribute: AttributeId) -> Option<&AttributeState> {
        self.attributes.get(&attribute)
    }

    /// Every stamp in it, each once, rising; of a spilled attribute without loaded cells the newest.
    pub fn stamps(&self) -> impl Iterator<Item = Stamp> + use<> {
        StampTable::of(self).into_iter()
    }

    /// The newest change in the entry: what `entryCSN` shows.
    pub fn max_stamp(&self) -> Stamp {
        self.max_stamp_but(|_| false)
    }

    /// The newest change in the entry but for the attributes that `passes_over` names.
    pub fn max_stamp_but(&self, passes_over: impl Fn(AttributeId) -> bool) -> Stamp {
        let counted = self.attributes.iter().filter(|(id, _)| !passes_over(**id));
        let attributes = counted.map(|(_, attribute)| attribute.newest());
        let dead = self.dead.unwrap_or(Stamp::NONE);
        let registers = [self.birth, self.rdn.0, self.parent.0, dead, self.forgotten];
        attributes.chain(registers).fold(Stamp::NONE, Stamp::max)
    }

    /// The newest CSN of all that these deltas touch; a local write must be stamped above it
    /// ([`HybridClock::bump`](crate::state::HybridClock::bump)). Birth and death count for every delta, so that no
    /// change is older than its entry. Of a spilled attribute the touched cells must be loaded, or its sum counts.
    pub fn max_csn_touched(&self, deltas: &[Delta]) -> Csn {
        let newest = |attribute: &AttributeId| self.attribute(*attribute).map_or(Csn::NONE, |state| state.newest().csn);
        let always = self.birth.csn.max(self.dead.map_or(Csn::NONE, |dead| dead.csn));
        deltas.iter().fold(always, |csn, delta| {
            csn.max(match delta {
                Delta::Birth { .. } => self.rdn.0.csn.max(self.parent.0.csn),
                Delta::Rdn(_) => self.rdn.0.csn,
                Delta::Parent(_) => self.parent.0.csn,
                Delta::Clear(attribute) | Delta::Count { attribute, .. } => newest(attribute),
                Delta::Cell { attribute, key, .. } => {
                    self.attribute(*attribute).map_or(Csn::NONE, |state| state.csn_touched(key))
                }
                Delta::Dead => self.max_stamp().csn,
            })
        })
    }

    /// The stamp of the newest content that a local change with this delta replaces: what its origin knew of the place when
    /// it wrote. [`Stamp::NONE`] where there is nothing. Of a spilled attribute the touched cells must be loaded.
    pub fn replaced_by(&self, delta: &Delta) -> Stamp {
        let newest = |attribute| self.attribute(attribute).map_or(Stamp::NONE, AttributeState::newest);
        match delta {
            Delta::Birth { .. } => Stamp::NONE,
            Delta::Rdn(_) => self.rdn.0,
            Delta::Parent(_) => self.parent.0,
            Delta::Clear(attribute) | Delta::Count { attribute, .. } => newest(*attribute),
            Delta::Cell { attribute, key, .. } => self.attribute(*attribute).map_or(Stamp::NONE, |held| {
                let cell = held.cells.get(key).map_or(Stamp::NONE, |cell| cell.stamp);
                cell.max(held.clear.unwrap_or(Stamp::NONE))
            }),
            Delta::Dead => self.max_stamp(),
        }
    }

    /// The delta by which `origin` increments the attribute's number: on the counter if it is newer than every value, else
    /// on the value that is shown. `None` if there is no number, it is not a decimal of 64 bits, or the sum leaves 64
    /// bits: then the origin writes a new value (clear and cell) instead.
    pub fn count_delta(&self, attribute: AttributeId, origin: OriginId, by: i64) -> Option<Delta> {
        let state = self.attribute(attribute)?;
        let top = state.cells.values().filter(|cell| cell.present).max_by_key(|cell| cell.stamp);
        let counter =
            state.counter.as_deref().filter(|counter| counter.base.stamp >= top.map_or(Stamp::NONE, |top| top.stamp));
        let (base, (count, sum)) = match (counter, top) {
            (Some(counter), _) => (counter.base, counter.next_count(origin, by)?),
            (None, Some(top)) => (CounterBase { stamp: top.stamp, value: decimal(&top.value)? }, (1, by)),
            (None, None) => return None,
        };
        Some(Delta::Count { attribute, base, count, sum })
    }

    /// Drops what only concurrent older changes could need: absent cells, clears and attributes about which nothing is
    /// left to say. `is_settled` must say yes only to changes that every member holds *and* whose CSN is older than
    /// the local clock; without either condition members come to differ. Returns whether anything was dropped.
    pub fn forget_settled(&mut self, mut is_settled: impl FnMut(Stamp) -> bool) -> bool {
        let newest = self.max_stamp();
        let mut changed = false;
        self.attributes.retain(|_, state| {
            changed |= state.forget_settled(&mut is_settled);
            !state.is_empty()
        });
        if changed {
            self.forgotten = Stamp::NONE;
            self.forgotten = if self.max_stamp() < newest { newest } else { Stamp::NONE };
        }
        changed
    }

    fn attribute_mut(&mut self, attribute: AttributeId) -> &mut AttributeState {
        self.attributes.entry(attribute).or_default()
    }

    fn join_dead(&mut self, stamp: Stamp) -> bool {
        let older = self.dead.is_none_or(|dead| stamp < dead);
        if older {
            self.dead = Some(stamp);
        }
        older
    }
}

/// Larger stamp wins; should one stamp carry two contents, the larger content.
fn join_register<T: Ord + Clone>(held: &mut (Stamp, T), stamp: Stamp, content: &T) -> bool {
    let newer = (stamp, content) > (held.0, &held.1);
    if newer {
        *held = (stamp, content.clone());
    }
    newer
}

/// A number as RFC 4517 3.3.16 writes it, if it fits.
fn decimal(value: &CellValue) -> Option<i64> {
    match value {
        CellValue::Text(text) => std::str::from_utf8(text).ok()?.parse().ok(),
        CellValue::Link(_) => None,
    }
}

#[cfg(test)]
mod tests;
