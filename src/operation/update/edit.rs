//! Folding a list of modifications to what it makes of each attribute.
//!
//! RFC 4511 4.6 wants the list done in order, and whole or not at all; a replica wants at most one delta for each
//! value, because updates of one change carry one stamp. So the list runs against a working copy that remembers only
//! what the list touched, and what differs in the end is written. Taking one member out of a hundred thousand looks at
//! one value, not at all of them.
//!
//! What is written (the origin's side of the translation)
//! - Values added and deleted: one cell each.
//! - An attribute deleted or replaced: a clear, and a cell for each value afterwards. The values of a membership that is
//!   replaced are written as the difference instead, so that rewriting a list cannot drop what another supplier adds.
//! - A single-valued attribute, or a number that was counted: always clear and cell, a register that never shows the
//!   ghost of an older value; an increment of it alone is a count.
//! - Nothing, where the list leaves an attribute as it was.
//!
//! Invariants
//! - final-effects: the values afterwards are those of doing the list step by step (the tests compare).
//! - At most one delta for each value, and a clear comes first.
//!
//! Not here: syntax, access, schema, what the RDN protects (`modify`).

use crate::dit::DitError;
use crate::state::{AttributeId, CellValue, Delta, ValueKey};
use std::collections::{BTreeMap, BTreeSet};

/// One value: its identity and what is kept of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Value {
    /// By the equality rule.
    pub(super) key: ValueKey,
    /// As written, or the entry it names.
    pub(super) content: CellValue,
    /// The other identity that the same value may have in the state: a DN written before its entry was there.
    pub(super) alias: Option<ValueKey>,
}

/// How an attribute is translated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Style {
    /// Any number of values.
    Plain,
    /// One value, or a counted number: always written whole.
    Register,
    /// Members: a replace is a difference.
    Set,
}

/// What an attribute holds before the list.
pub(super) trait Held {
    /// The value of this identity, if it is shown.
    fn get(&self, key: &ValueKey) -> Result<Option<CellValue>, DitError>;
    /// Whether the value is there only because the RDN says it.
    fn is_implied(&self, key: &ValueKey) -> bool;
    /// How many values are shown.
    fn count(&self) -> u64;
    /// All values in the order shown.
    fn all(&self) -> Result<Vec<(ValueKey, CellValue)>, DitError>;
}

/// Why a step of the list fails.
#[derive(Debug)]
pub(super) enum EditError {
    /// attributeOrValueExists
    Exists,
    /// noSuchAttribute
    Absent,
    /// An increment of what is no number, or beyond 127 bits.
    NotCountable,
    /// Reading failed.
    Dit(DitError),
}

impl From<DitError> for EditError {
    fn from(error: DitError) -> Self {
        Self::Dit(error)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cleared {
    ByDelete,
    ByReplace,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Done {
    Nothing,
    Increments(i128),
    Other,
}

/// The working copy of one attribute.
pub(super) struct AttributeEdit<'h> {
    id: AttributeId,
    style: Style,
    held: Box<dyn Held + 'h>,
    cleared: Option<Cleared>,
    /// The last word on each value touched: its content and place, or gone.
    finals: BTreeMap<ValueKey, Option<(u32, CellValue)>>,
    order_next: u32,
    done: Done,
    /// Values that only the RDN implied are to be written as values.
    explicit: bool,
    /// Identities that are written absent although they are not there.
    denied: BTreeSet<ValueKey>,
}

impl<'h> AttributeEdit<'h> {
    pub(super) fn new(id: AttributeId, style: Style, held: Box<dyn Held + 'h>) -> Self {
        Self {
            id,
            style,
            held,
            cleared: None,
            finals: BTreeMap::new(),
            order_next: 0,
            done: Done::Nothing,
            explicit: false,
            denied: BTreeSet::new(),
        }
    }

    /// Adds one value.
    pub(super) fn add(&mut self, value: Value) -> Result<(), EditError> {
        if self.is_present(&value.key)? || self.has_alias(&value)? {
            return Err(EditError::Exists);
        }
        self.put(value);
        Ok(())
    }

    /// Makes sure that the value is there and spelled so; `keep` leaves a spelling that is there.
    pub(super) fn ensure(&mut self, value: Value, keep: bool) -> Result<(), EditError> {
        let there = match self.finals.get(&value.key) {
            Some(last) => last.as_ref().map(|(_, content)| content.clone()),
            None if self.cleared.is_some() => None,
            None => self.held.get(&value.key)?.filter(|_| !self.held.is_implied(&value.key)),
        };
        match there {
            Some(content) if keep || content == value.content => Ok(()),
            _ => {
                self.explicit = true;
                self.put(value);
                Ok(())
            }
        }
    }

    /// Deletes one value.
    pub(super) fn delete(&mut self, value: &Value) -> Result<(), EditError> {
        let mut found = false;
        for key in std::iter::once(&value.key).chain(&value.alias) {
            if self.is_present(key)? {
                self.finals.insert(key.clone(), None);
                found = true;
            }
        }
        self.done = Done::Other;
        if !found {
            return Err(EditError::Absent);
        }
        if value.alias.as_ref().is_some_and(|alias| self.finals.contains_key(alias)) {
            // Another master may make a link of the text meanwhile.
            self.finals.entry(value.key.clone()).or_insert(None);
            self.denied.insert(value.key.clone());
        }
        Ok(())
    }

    /// Deletes all values.
    pub(super) fn delete_all(&mut self) -> Result<(), EditError> {
        if self.count()? == 0 {
            return Err(EditError::Absent);
        }
        self.clear(Cleared::ByDelete);
        Ok(())
    }

    /// These values and no others.
    pub(super) fn replace(&mut self, values: Vec<Value>) -> Result<(), EditError> {
        self.clear(Cleared::ByReplace);
        values.into_iter().try_for_each(|value| self.add(value))
    }

    /// Adds `by` to every value (RFC 4525). `key_of` gives the identity of a number's text.
    pub(super) fn increment(&mut self, by: i128, key_of: &dyn Fn(&[u8]) -> Option<ValueKey>) -> Result<(), EditError> {
        let values = self.values()?;
        if values.is_empty() {
            return Err(EditError::Absent);
        }
        let mut sums = Vec::with_capacity(values.len());
        for (_, content) in &values {
            let text = incremented(content, by).ok_or(EditError::NotCountable)?;
            let key = key_of(&text).ok_or(EditError::NotCountable)?;
            sums.push(Value { key, content: CellValue::Text(text), alias: None });
        }
        let done = match self.done {
            Done::Nothing => Done::Increments(by),
            Done::Increments(sum) => sum.checked_add(by).map_or(Done::Other, Done::Increments),
            Done::Other => Done::Other,
        };
        self.clear(Cleared::ByDelete);
        sums.into_iter().for_each(|value| self.put(value));
        self.done = done;
        Ok(())
    }

    /// Whether the value is there now.
    pub(super) fn is_present(&self, key: &ValueKey) -> Result<bool, DitError> {
        match self.finals.get(key) {
            Some(last) => Ok(last.is_some()),
            None if self.cleared.is_some() => Ok(false),
            None => Ok(self.held.get(key)?.is_some()),
        }
    }

    /// How many values there are now.
    pub(super) fn count(&self) -> Result<u64, DitError> {
        if self.cleared.is_some() {
            return Ok(self.finals.values().flatten().count() as u64);
        }
        let mut count = self.held.count();
        for (key, last) in &self.finals {
            match (self.held.get(key)?.is_some(), last.is_some()) {
                (true, false) => count = count.saturating_sub(1),
                (false, true) => count += 1,
                _ => {}
            }
        }
        Ok(count)
    }

    /// The values now, in the order in which they will be shown.
    pub(super) fn values(&self) -> Result<Vec<(ValueKey, CellValue)>, DitError> {
        let mut values = if self.cleared.is_some() { Vec::new() } else { self.held.all()? };
        let mut in_place = BTreeSet::new();
        values.retain(|(key, content)| match self.finals.get_key_value(key) {
            None => true,
            Some((key, Some((_, now)))) if now == content => in_place.insert(key),
            Some(_) => false,
        });
        let mut written: Vec<_> = self
            .finals
            .iter()
            .filter(|(key, _)| !in_place.contains(key))
            .filter_map(|(key, last)| last.as_ref().map(|last| (key, last)))
            .collect();
        written.sort_by_key(|(_, (order, _))| *order);
        values.extend(written.into_iter().map(|(key, (_, content))| (key.clone(), content.clone())));
        Ok(values)
    }

    /// Appends what is to be written; nothing if the attribute is as it was. `count_delta` gives the delta of an
    /// increment where the number can be counted.
    pub(super) fn fold(
        &self,
        count_delta: impl FnOnce(i64) -> Option<Delta>,
        out: &mut Vec<Delta>,
    ) -> Result<(), DitError> {
        if self.cleared.is_none() && self.finals.is_empty() {
            return Ok(());
        }
        let whole = self.style == Style::Register || self.cleared.is_some();
        if !whole {
            return self.fold_touched(out);
        }
        let (before, now) = (self.held.all()?, self.values()?);
        if before == now && !now.iter().any(|(key, _)| self.is_settled_now(key)) {
            return Ok(());
        }
        if let Done::Increments(by) = self.done
            && self.style == Style::Register
            && now.len() == 1
            && let Some(delta) = i64::try_from(by).ok().and_then(count_delta)
        {
            out.push(delta);
            return Ok(());
        }
        if self.style == Style::Set && self.cleared == Some(Cleared::ByReplace) {
            self.difference(before, &now, out);
            return Ok(());
        }
        out.push(Delta::Clear(self.id));
        for (order, (key, content)) in now.into_iter().enumerate() {
            out.push(self.present(key, order as u32, content));
        }
        Ok(())
    }

    fn fold_touched(&self, out: &mut Vec<Delta>) -> Result<(), DitError> {
        for (key, last) in &self.finals {
            let before = self.held.get(key)?;
            match last {
                Some((order, content)) if before.as_ref() != Some(content) || self.is_settled_now(key) => {
                    out.push(self.present(key.clone(), *order, content.clone()));
                }
                None if before.is_some() || self.denied.contains(key) => out.push(self.absent(key.clone())),
                _ => {}
            }
        }
        Ok(())
    }

    fn difference(&self, before: Vec<(ValueKey, CellValue)>, now: &[(ValueKey, CellValue)], out: &mut Vec<Delta>) {
        let before: BTreeMap<_, _> = before.into_iter().collect();
        for (order, (key, content)) in now.iter().enumerate() {
            if before.get(key) != Some(content) || self.is_settled_now(key) {
                out.push(self.present(key.clone(), order as u32, content.clone()));
            }
        }
        for (key, _) in before {
            if !self.finals.get(&key).is_some_and(Option::is_some) {
                out.push(self.absent(key));
            }
        }
    }

    fn present(&self, key: ValueKey, order: u32, value: CellValue) -> Delta {
        Delta::Cell { attribute: self.id, key, order, present: true, value }
    }

    fn absent(&self, key: ValueKey) -> Delta {
        Delta::Cell { attribute: self.id, key, order: 0, present: false, value: CellValue::Text(Vec::new()) }
    }

    /// Whether a value that the RDN implied is to become one of its own.
    fn is_settled_now(&self, key: &ValueKey) -> bool {
        self.explicit && self.held.is_implied(key)
    }

    fn has_alias(&self, value: &Value) -> Result<bool, DitError> {
        value.alias.as_ref().map_or(Ok(false), |alias| self.is_present(alias))
    }

    fn put(&mut self, value: Value) {
        self.finals.insert(value.key, Some((self.order_next, value.content)));
        self.order_next = self.order_next.saturating_add(1);
        self.done = Done::Other;
    }

    fn clear(&mut self, how: Cleared) {
        if self.cleared != Some(Cleared::ByDelete) {
            self.cleared = Some(how);
        }
        self.finals.clear();
        self.denied.clear();
        self.order_next = 0;
        self.done = Done::Other;
    }
}

/// The text of the sum; `None` if it is no number or leaves 127 bits.
fn incremented(content: &CellValue, by: i128) -> Option<Vec<u8>> {
    let CellValue::Text(text) = content else { return None };
    let number: i128 = std::str::from_utf8(text).ok()?.parse().ok()?;
    number.checked_add(by).map(|sum| sum.to_string().into_bytes())
}

#[cfg(test)]
mod tests;
