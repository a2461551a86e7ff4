//! One update against the state that it joins: what of either is not seen afterwards.

use std::collections::{BTreeMap, BTreeSet};

use super::{Content, Found, History, LOST_MAX, Lost, Place, Question, Relation, Rule, Untold, relation};
use crate::state::attribute_state::AttributeState;
use crate::state::cells::{Cell, CellValue};
use crate::state::csn::Stamp;
use crate::state::entry_state::{EntryState, RdnState};
use crate::state::update::{AttributeId, Delta, Update};
use crate::state::value_key::ValueKey;

/// What an update made of one attribute.
#[derive(Default)]
struct Written<'u> {
    cleared: bool,
    cells: Vec<(&'u ValueKey, bool, &'u CellValue)>,
}

impl Written<'_> {
    fn shows(&self, key: &ValueKey) -> bool {
        self.cells.iter().any(|(other, present, _)| *present && *other == key)
    }

    fn present(&self) -> Vec<CellValue> {
        self.cells.iter().filter(|(_, present, _)| *present).map(|(.., value)| (*value).clone()).collect()
    }

    fn content(&self) -> Content {
        let gone: Vec<CellValue> =
            self.cells.iter().filter(|cell| !cell.1).map(|cell| gone_value(cell.0, cell.2)).collect();
        let present = self.present();
        if !self.cleared && present.is_empty() && !gone.is_empty() {
            Content::Without(gone)
        } else {
            Content::Values(present)
        }
    }
}

/// A deleted value has no text of its own; its key mostly says what it was.
fn gone_value(key: &ValueKey, value: &CellValue) -> CellValue {
    match (value, key.as_link(), key.as_plain()) {
        (CellValue::Text(text), Some(target), _) if text.is_empty() => CellValue::Link(target),
        (CellValue::Text(text), None, Some(plain)) if text.is_empty() => CellValue::Text(plain.to_vec()),
        _ => value.clone(),
    }
}

fn written_to(update: &Update, of: AttributeId) -> Written<'_> {
    let mut written = Written::default();
    for delta in &update.deltas {
        match delta {
            Delta::Clear(attribute) if *attribute == of => written.cleared = true,
            Delta::Cell { attribute, key, present, value, .. } if *attribute == of => {
                written.cells.push((key, *present, value));
            }
            _ => {}
        }
    }
    written
}

/// Which changes are lost by joining `update` into `before`. Of spilled attributes the touched cells must be loaded.
pub fn lost_by_joining(before: &EntryState, update: &Update, history: &mut dyn History) -> Found {
    let mut found =
        Finder { before, update, history, lost: Vec::new(), questions: Vec::new(), untold: BTreeSet::new() };
    if update.is_birth() || (before.uuid, before.birth) != (update.uuid, update.birth) {
        return Found::default();
    }
    let dies = update.deltas.iter().any(|delta| matches!(delta, Delta::Dead));
    match (before.dead, dies) {
        (None, true) => found.by_death(),
        (None, false) => {
            found.registers();
            found.attributes();
        }
        (Some(dead), false) => found.in_the_dead(dead),
        (Some(_), true) => {}
    }
    let Finder { mut lost, mut questions, untold, .. } = found;
    lost.truncate(LOST_MAX);
    questions.sort_unstable();
    questions.dedup();
    questions.truncate(LOST_MAX);
    Found { lost, questions, untold: untold.into_iter().take(LOST_MAX).collect() }
}

/// What a question comes to now that the record that was missing is here: `awaited`.
pub fn answer(question: &Question, awaited: Update, history: &mut dyn History) -> Found {
    let mut found = Found::default();
    match relation(&question.place, awaited, question.older, history) {
        Relation::Concurrent(by) => {
            if let Some(loser) = history.update(question.older) {
                found.lost = between(&question.place, &by, &loser);
                found.lost.truncate(LOST_MAX);
            } else {
                found.untold.push(Untold { newer: by.stamp, older: question.older });
            }
        }
        Relation::Open(awaited) => found.questions.push(Question { awaited, ..question.clone() }),
        Relation::Gone => found.untold.push(Untold { newer: question.awaited, older: question.older }),
        Relation::Known | Relation::Far => {}
    }
    found
}

/// What `by` overrides of `loser` at a place; neither knew the other.
fn between(place: &Place, by: &Update, loser: &Update) -> Vec<Lost> {
    let mut lost = Vec::new();
    let mut tell = |place: &Place, rule: Rule, winner_content: Content, loser_content: Content| {
        if winner_content != loser_content {
            let (winner, loser) = (by.stamp, loser.stamp);
            lost.push(Lost { place: place.clone(), rule, winner, winner_content, loser, loser_content });
        }
    };
    match place {
        Place::Rdn | Place::Parent => {
            let rule = if *place == Place::Rdn { Rule::NewerRename } else { Rule::NewerMove };
            if let (Some(theirs), Some(own)) = (register_of(by, place), register_of(loser, place)) {
                tell(place, rule, theirs, own);
            }
        }
        Place::Attribute(attribute) => {
            let (theirs, own) = (written_to(by, *attribute), written_to(loser, *attribute));
            if theirs.cleared && own.cleared && !same_values(&theirs, &own) {
                tell(place, Rule::NewerReplace, theirs.content(), own.content());
            } else if theirs.cleared && !own.cleared {
                for (key, present, value) in own.cells.iter().filter(|(key, present, _)| theirs.shows(key) != *present)
                {
                    let rule = if *present { Rule::ClearOverAdd } else { Rule::AddOverDelete };
                    let place = Place::Value(*attribute, (*key).clone());
                    tell(&place, rule, theirs.content(), single(*present, key, value));
                }
            }
        }
        Place::Value(attribute, key) => {
            let (theirs, own) = (written_to(by, *attribute), written_to(loser, *attribute));
            let written = own.cells.iter().find(|(other, ..)| *other == key);
            if let Some((_, present, value)) = written
                && let Some((rule, content)) = override_of(&theirs, key, *present)
            {
                tell(place, rule, content, single(*present, key, value));
            }
        }
    }
    lost
}

/// Whether among what a change replaced knowingly, `replaced` and what that replaced, is the same as `older` wrote,
/// though another one wrote it.
pub(super) fn said_before(place: &Place, replaced: Option<Stamp>, older: Stamp, history: &mut dyn History) -> bool {
    let mut at = replaced.filter(|replaced| replaced.csn > older.csn);
    if at.is_none() {
        return false;
    }
    let Some(older_update) = history.update(older) else { return false };
    for _ in 0..super::CHAIN_MAX {
        let Some(update) = at.and_then(|stamp| history.update(stamp)) else { return false };
        if writes_the_same(place, &update, &older_update) {
            return true;
        }
        at = super::replaced_at(&update, place).filter(|replaced| replaced.csn > older.csn);
    }
    false
}

/// Whether two changes made the same of a place.
fn writes_the_same(place: &Place, one: &Update, other: &Update) -> bool {
    match place {
        Place::Rdn | Place::Parent => {
            let register = register_of(one, place);
            register.is_some() && register == register_of(other, place)
        }
        Place::Attribute(attribute) => {
            let (one, other) = (written_to(one, *attribute), written_to(other, *attribute));
            one.cleared && other.cleared && same_values(&one, &other)
        }
        Place::Value(attribute, key) => {
            let (one, other) = (written_to(one, *attribute), written_to(other, *attribute));
            let writes = |of: &Written<'_>| of.cleared || of.cells.iter().any(|(other, ..)| *other == key);
            writes(&one) && writes(&other) && one.shows(key) == other.shows(key)
        }
    }
}

/// By which rule, and by what, a value is decided otherwise by a newer change; `None` where it is the same.
fn override_of(theirs: &Written<'_>, key: &ValueKey, present: bool) -> Option<(Rule, Content)> {
    if theirs.shows(key) == present {
        return None;
    }
    let rule = match (present, theirs.cleared) {
        (true, true) => Rule::ClearOverAdd,
        (true, false) => Rule::DeleteOverAdd,
        (false, _) => Rule::AddOverDelete,
    };
    let content = if theirs.cleared { theirs.content() } else { single(!present, key, &value_by(theirs, key)) };
    Some((rule, content))
}

struct Finder<'a> {
    before: &'a EntryState,
    update: &'a Update,
    history: &'a mut dyn History,
    lost: Vec<Lost>,
    questions: Vec<Question>,
    untold: BTreeSet<Untold>,
}

impl Finder<'_> {
    /// The change `newer` that is held, or that comes, was made in ignorance of `older`: by which update.
    fn ignorant(&mut self, place: &Place, newer: Stamp, older: Stamp) -> Option<Update> {
        let update = if newer == self.update.stamp { Some(self.update.clone()) } else { self.history.update(newer) };
        let Some(update) = update else { return self.ignorant_without_record(newer, older) };
        match relation(place, update, older, self.history) {
            Relation::Concurrent(by) => Some(*by),
            Relation::Open(awaited) => {
                self.questions.push(Question { place: place.clone(), awaited, older });
                None
            }
            Relation::Gone => {
                self.untold.insert(Untold { newer, older });
                None
            }
            Relation::Known | Relation::Far => None,
        }
    }

    /// The same of a held change whose record is gone: what its writer had not met when it wrote again it had not met before.
    /// The update is what the entry still has of it.
    fn ignorant_without_record(&mut self, newer: Stamp, older: Stamp) -> Option<Update> {
        let known = self.history.known_later(newer).unwrap_or_default();
        let mut left = what_is_left_of(newer, self.before, String::new()).knowing(known);
        if self.before.parent.0 == newer {
            left.deltas.push(Delta::Parent(self.before.parent.1));
        }
        let is_of_one_row = newer.csn.origin() == older.csn.origin() || older == self.before.birth;
        match left.knew(older) {
            Some(false) => return Some(left),
            _ if is_of_one_row => {}
            _ => {
                self.untold.insert(Untold { newer, older });
            }
        }
        None
    }

    fn tell(&mut self, place: Place, rule: Rule, winner: (Stamp, Content), loser: (Stamp, Content)) {
        if winner.1 != loser.1 {
            self.lost.push(Lost {
                place,
                rule,
                winner: winner.0,
                winner_content: winner.1,
                loser: loser.0,
                loser_content: loser.1,
            });
        }
    }

    /// What an earlier change wrote to an attribute, if its record is kept.
    fn content_by(&mut self, stamp: Stamp, attribute: AttributeId) -> Option<Content> {
        let update = self.history.update(stamp)?;
        Some(written_to(&update, attribute).content())
    }

    /// Both kinds of register: name and place.
    fn registers(&mut self) {
        let update = self.update;
        for delta in &update.deltas {
            let (place, rule, held, held_content) = match delta {
                Delta::Rdn(_) => {
                    let held = &self.before.rdn;
                    (Place::Rdn, Rule::NewerRename, held.0, Content::Rdn(held.1.clone()))
                }
                Delta::Parent(_) => {
                    let held = self.before.parent;
                    (Place::Parent, Rule::NewerMove, held.0, Content::Parent(held.1))
                }
                _ => continue,
            };
            if held == Stamp::NONE || held == update.stamp {
                continue;
            }
            let own = register_of(update, &place);
            if held < update.stamp {
                if let (Some(own), Some(_)) = (own, self.ignorant(&place, update.stamp, held)) {
                    self.tell(place, rule, (update.stamp, own), (held, held_content));
                }
            } else if let Some(by) = self.ignorant(&place, held, update.stamp)
                && let (Some(own), Some(theirs)) = (own, register_of(&by, &place))
            {
                self.tell(place, rule, (by.stamp, theirs), (update.stamp, own));
            }
        }
    }

    fn attributes(&mut self) {
        let update = self.update;
        for attribute in attributes_of(update) {
            let Some(held) = self.before.attribute(attribute) else { continue };
            if self.history.is_bookkeeping(attribute) || self.is_named_anew(attribute, held) {
                continue;
            }
            let written = written_to(update, attribute);
            if written.cleared {
                self.whole(attribute, held, &written);
            } else {
                for (key, present, value) in &written.cells {
                    self.value(attribute, held, key, *present, value);
                }
            }
            if self.lost.len() >= LOST_MAX {
                return;
            }
        }
    }

    /// The values of an RDN come and go with renames, whose conflict is told of as one.
    fn is_named_anew(&self, attribute: AttributeId, held: &AttributeState) -> bool {
        let names = |rdn: &RdnState| rdn.avas.iter().any(|ava| ava.attribute == attribute);
        let renames = self.update.deltas.iter().any(|delta| matches!(delta, Delta::Rdn(rdn) if names(rdn)));
        renames && names(&self.before.rdn.1) && held.newest() == self.before.rdn.0
    }

    /// The update writes all values of the attribute.
    fn whole(&mut self, attribute: AttributeId, held: &AttributeState, written: &Written<'_>) {
        let (stamp, place) = (self.update.stamp, Place::Attribute(attribute));
        if let Some(clear) = held.clear.filter(|clear| *clear > stamp) {
            if let Some(by) = self.ignorant(&place, clear, stamp) {
                let theirs = written_to(&by, attribute);
                if theirs.cleared && !same_values(&theirs, written) {
                    let (winner, loser) = ((by.stamp, theirs.content()), (stamp, written.content()));
                    self.tell(place, Rule::NewerReplace, winner, loser);
                }
            }
            return;
        }
        // Values that go although whoever wrote the update never saw them: a replaced content is lost whole, values that
        // were added are lost one by one.
        let mut is_overridden = held.cells.is_empty() && held.counter.is_none() && !written.present().is_empty();
        for (key, cell) in
            held.cells.iter().filter(|(key, cell)| cell.stamp < stamp && cell.present != written.shows(key))
        {
            if held.clear == Some(cell.stamp) {
                is_overridden |= cell.present;
                continue;
            }
            if self.ignorant(&place, stamp, cell.stamp).is_some() {
                let rule = if cell.present { Rule::ClearOverAdd } else { Rule::AddOverDelete };
                let loser = (cell.stamp, single(cell.present, key, &cell.value));
                self.tell(Place::Value(attribute, key.clone()), rule, (stamp, written.content()), loser);
            }
        }
        if let Some(clear) = held.clear.filter(|_| is_overridden)
            && self.ignorant(&place, stamp, clear).is_some()
        {
            let left = held.cells.values().filter(|cell| cell.present && cell.stamp == clear);
            let left = Content::Values(left.map(|cell| cell.value.clone()).collect());
            let loser = (clear, self.content_by(clear, attribute).unwrap_or(left));
            self.tell(place, Rule::NewerReplace, (stamp, written.content()), loser);
        }
        // Values that it brings, and that are gone already by a newer change.
        for (key, _, value) in written.cells.iter().filter(|(_, present, _)| *present) {
            if let Some(cell) = held.cells.get(key).filter(|cell| !cell.present && cell.stamp > stamp) {
                self.overridden(attribute, key, cell.stamp, true, value);
            }
        }
    }

    /// The update writes one value of the attribute.
    fn value(
        &mut self,
        attribute: AttributeId,
        held: &AttributeState,
        key: &ValueKey,
        present: bool,
        value: &CellValue,
    ) {
        let stamp = self.update.stamp;
        match held.cells.get(key) {
            Some(cell) if cell.present == present || cell.stamp == stamp => {}
            Some(cell) if cell.stamp > stamp => self.overridden(attribute, key, cell.stamp, present, value),
            Some(cell) => {
                let place = Place::Value(attribute, key.clone());
                if self.ignorant(&place, stamp, cell.stamp).is_some() {
                    let content = |present, value: &CellValue| single(present, key, value);
                    let rule = if present { Rule::AddOverDelete } else { Rule::DeleteOverAdd };
                    let loser = (cell.stamp, content(cell.present, &cell.value));
                    self.tell(place, rule, (stamp, content(present, value)), loser);
                }
            }
            None => {
                if let Some(clear) = held.clear.filter(|clear| present && *clear > stamp) {
                    self.overridden(attribute, key, clear, present, value);
                }
            }
        }
    }

    /// A value that the update writes is decided by the newer change `held`.
    fn overridden(&mut self, attribute: AttributeId, key: &ValueKey, held: Stamp, present: bool, value: &CellValue) {
        let place = Place::Value(attribute, key.clone());
        let Some(by) = self.ignorant(&place, held, self.update.stamp) else { return };
        if let Some((rule, content)) = override_of(&written_to(&by, attribute), key, present) {
            self.tell(place, rule, (by.stamp, content), (self.update.stamp, single(present, key, value)));
        }
    }

    /// The update ends the entry: what its writer had not seen of it is lost.
    fn by_death(&mut self) {
        let update = self.update;
        let is_unseen = |stamp: Stamp| stamp != Stamp::NONE && death_knew(update, stamp) == Some(false);
        let winner = (update.stamp, Content::Dead);
        if is_unseen(self.before.rdn.0) {
            let loser = (self.before.rdn.0, Content::Rdn(self.before.rdn.1.clone()));
            self.tell(Place::Rdn, Rule::DeleteOverChange, winner.clone(), loser);
        }
        if is_unseen(self.before.parent.0) {
            let loser = (self.before.parent.0, Content::Parent(self.before.parent.1));
            self.tell(Place::Parent, Rule::DeleteOverChange, winner.clone(), loser);
        }
        let before = self.before;
        for (attribute, held) in &before.attributes {
            if self.history.is_bookkeeping(*attribute) || self.lost.len() >= LOST_MAX {
                continue;
            }
            let mut losers: BTreeMap<Stamp, Vec<CellValue>> = BTreeMap::new();
            for stamp in held.clear.into_iter().filter(|stamp| is_unseen(*stamp)) {
                losers.entry(stamp).or_default();
            }
            let mut note = |cell: &Cell| {
                let is_noted = losers.len() < LOST_MAX || losers.contains_key(&cell.stamp);
                if is_unseen(cell.stamp) && is_noted {
                    let values = losers.entry(cell.stamp).or_default();
                    if cell.present {
                        values.push(cell.value.clone());
                    }
                }
            };
            held.cells.values().for_each(&mut note);
            if held.spilled.is_some() {
                self.history.each_spilled(*attribute, &mut |key, cell| {
                    if !held.cells.contains_key(&key) {
                        note(&cell);
                    }
                });
            }
            for (loser, values) in losers {
                let loser = (loser, self.content_by(loser, *attribute).unwrap_or(Content::Values(values)));
                self.tell(Place::Attribute(*attribute), Rule::DeleteOverChange, winner.clone(), loser);
            }
        }
    }

    /// The entry has ended; whoever wrote the update did not know, or was known to whoever ended it.
    fn in_the_dead(&mut self, dead: Stamp) {
        let update = self.update;
        let is_lost = update.stamp.csn > dead.csn
            || match self.history.update(dead) {
                Some(death) => death_knew(&death, update.stamp) == Some(false),
                None => self.ignorant_without_record(dead, update.stamp).is_some(),
            };
        if !is_lost {
            return;
        }
        let winner = (dead, Content::Dead);
        for place in [Place::Rdn, Place::Parent] {
            if let Some(content) = register_of(update, &place) {
                self.tell(place, Rule::DeleteOverChange, winner.clone(), (update.stamp, content));
            }
        }
        for attribute in attributes_of(update) {
            if !self.history.is_bookkeeping(attribute) && self.lost.len() < LOST_MAX {
                let loser = (update.stamp, written_to(update, attribute).content());
                self.tell(Place::Attribute(attribute), Rule::DeleteOverChange, winner.clone(), loser);
            }
        }
    }
}

/// The change of this stamp as far as a state still shows it, but for a move, which is told by itself.
pub fn what_is_left_of(stamp: Stamp, state: &EntryState, requester: String) -> Update {
    let mut deltas = Vec::new();
    if state.dead == Some(stamp) {
        deltas.push(Delta::Dead);
    }
    if state.rdn.0 == stamp {
        deltas.push(Delta::Rdn(state.rdn.1.clone()));
    }
    for (attribute, held) in &state.attributes {
        if held.clear == Some(stamp) {
            deltas.push(Delta::Clear(*attribute));
        }
        for (key, cell) in held.cells.iter().filter(|(_, cell)| cell.stamp == stamp) {
            deltas.push(Delta::Cell {
                attribute: *attribute,
                key: key.clone(),
                order: cell.order,
                present: cell.present,
                value: cell.value.clone(),
            });
        }
    }
    Update::new(stamp, state.uuid, state.birth, requester, deltas)
}

/// One value, there or gone.
fn single(present: bool, key: &ValueKey, value: &CellValue) -> Content {
    if present { Content::Values(vec![value.clone()]) } else { Content::Without(vec![gone_value(key, value)]) }
}

/// The value of this key as an update wrote it.
fn value_by(written: &Written<'_>, key: &ValueKey) -> CellValue {
    let found = written.cells.iter().find(|(other, ..)| *other == key);
    found.map_or(CellValue::Text(Vec::new()), |(.., value)| (*value).clone())
}

fn same_values(one: &Written<'_>, other: &Written<'_>) -> bool {
    let all = |one: &Written<'_>, other: &Written<'_>| {
        one.cells.iter().filter(|(_, present, _)| *present).all(|(key, ..)| other.shows(key))
    };
    all(one, other) && all(other, one)
}

fn register_of(update: &Update, place: &Place) -> Option<Content> {
    update.deltas.iter().find_map(|delta| match (delta, place) {
        (Delta::Rdn(rdn), Place::Rdn) => Some(Content::Rdn(rdn.clone())),
        (Delta::Parent(parent), Place::Parent) => Some(Content::Parent(*parent)),
        _ => None,
    })
}

/// Attributes whose values the update writes, each once.
fn attributes_of(update: &Update) -> Vec<AttributeId> {
    let mut attributes: Vec<AttributeId> = update
        .deltas
        .iter()
        .filter_map(|delta| match delta {
            Delta::Clear(attribute) | Delta::Cell { attribute, .. } => Some(*attribute),
            _ => None,
        })
        .collect();
    attributes.sort_unstable();
    attributes.dedup();
    attributes
}

/// Whether whoever ended the entry had seen the change: said by what was held, or by the newest that was seen.
fn death_knew(death: &Update, stamp: Stamp) -> Option<bool> {
    death.knew(stamp).or_else(|| {
        let index = death.deltas.iter().position(|delta| matches!(delta, Delta::Dead))?;
        let seen = death.replaced.get(index)?;
        (seen.csn <= stamp.csn).then_some(*seen == stamp)
    })
}
