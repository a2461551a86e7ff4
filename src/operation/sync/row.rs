//! The row of changes that came to this node (`dit::arrivals`), read on a change at a time by a search that follows them.
//!
//! Nothing is queued: what has been read is a number in the row.
//!
//! Invariant: every change is read once, in the order in which they came here, or the reader hears that some are not kept
//! any more.

use super::cookie::Position;
use crate::dit::View;
use crate::operation::outcome::Outcome;
use crate::state::Update;

/// See the module.
pub(in crate::operation) struct Row {
    /// The number of the last change that was read.
    number: u64,
    /// The same for each origin: that nothing was left out shows here.
    position: Position,
}

/// What comes next.
pub(in crate::operation) enum Next {
    /// This change, and its number.
    Change(u64, Box<Update>),
    /// Nothing, until the next commit.
    Nothing,
    /// Something that is not kept any more, or that came otherwise than by the log and has no number.
    Lost,
}

impl Row {
    /// What comes from now on.
    ///
    /// # Errors
    /// Storage.
    pub(in crate::operation) fn from_now(view: View<'_>) -> Outcome<Self> {
        Ok(Self { number: view.last_arrival()?, position: Position::of(&view.update_vector()?) })
    }

    /// The number of the last change that was read.
    pub(in crate::operation) fn number(&self) -> u64 {
        self.number
    }

    /// Whether all that is here has been read.
    ///
    /// # Errors
    /// Storage.
    pub(in crate::operation) fn is_at_end(&self, view: View<'_>) -> Outcome<bool> {
        let held = Position::of(&view.update_vector()?);
        Ok(held.sequences.iter().all(|(origin, at)| self.position.sequence(*origin) >= *at))
    }

    /// Reads the next change.
    ///
    /// # Errors
    /// Storage.
    pub(in crate::operation) fn next(&mut self, view: View<'_>) -> Outcome<Next> {
        let Some((number, update)) = view.arrival_after(self.number)? else {
            return Ok(if self.is_at_end(view)? { Next::Nothing } else { Next::Lost });
        };
        let dot = update.dot();
        if dot.sequence > self.position.sequence(dot.origin).saturating_add(1) {
            return Ok(Next::Lost);
        }
        self.number = number;
        self.position.sequences.insert(dot.origin, dot.sequence);
        Ok(Next::Change(number, Box::new(update)))
    }
}
