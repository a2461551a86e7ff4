//! Where changes are that were written again under another origin ([`Writing::reissue_tail`]), so that who was told their first
//! numbers is not left to wait for these.
//!
//! The node that wrote them again says it in its member's entry, with the next change under its new origin. Numbers stand for changes:
//! whoever holds the last one of what was written again holds all of it, whether or not it came as such.

use super::DitError;
use super::cluster::MEMBERS_DN;
use super::view::View;
use super::writing::Writing;
use crate::state::{Dot, OriginId, UpdateVector};

/// Notes that one member's entry keeps; the oldest go.
const NOTES_MAX: usize = 64;
/// How often one change is followed from one origin to the next.
const STEPS_MAX: usize = 16;
/// The attribute of a member's entry.
const ATTRIBUTE: &str = "memberRewritten";

/// Changes of an origin that stand under another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rewritten {
    /// Under which they stood.
    pub origin: OriginId,
    /// The last number before them.
    pub after: u64,
    /// The last of them.
    pub last: u64,
    /// The last change that was made of them.
    pub into: Dot,
}

impl Rewritten {
    fn to_text(self) -> String {
        format!("{} {} {} {} {}", self.origin, self.after, self.last, self.into.origin, self.into.sequence)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let origin = |part: &str| u64::from_str_radix(part, 16).ok().map(OriginId);
        let read = Self {
            origin: origin(parts.next()?)?,
            after: parts.next()?.parse().ok()?,
            last: parts.next()?.parse().ok()?,
            into: Dot { origin: origin(parts.next()?)?, sequence: parts.next()?.parse().ok()? },
        };
        parts.next().is_none().then_some(read)
    }
}

/// Whether what was change `sequence` of `origin` is among what `vector` holds, under this number or another.
pub fn holds(vector: &UpdateVector, rewritten: &[Rewritten], mut at: Dot) -> bool {
    for _ in 0..STEPS_MAX {
        if vector.covers(at) {
            return true;
        }
        let is_of =
            |note: &&Rewritten| note.origin == at.origin && note.after < at.sequence && at.sequence <= note.last;
        let Some(note) = rewritten.iter().find(is_of) else { return false };
        at = note.into;
    }
    false
}

impl View<'_> {
    /// All that members say to have written again.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn rewritten(&self) -> Result<Vec<Rewritten>, DitError> {
        let mut found = Vec::new();
        let Some(members) = self.entry_named(MEMBERS_DN)? else { return Ok(found) };
        for id in self.children(members.id)? {
            let Some(entry) = self.entry(id?)? else { continue };
            let texts = self.values_named(&entry, ATTRIBUTE)?;
            found.extend(texts.iter().filter_map(|text| Rewritten::parse(std::str::from_utf8(text).ok()?)));
        }
        Ok(found)
    }
}

impl Writing<'_> {
    /// As [`Writing::reissue_tail`], and has the entry `member` say it, if there is one.
    ///
    /// # Errors
    /// As [`Writing::reissue_tail`].
    pub fn reissue_tail_of(&mut self, origin: OriginId, after: u64, member: &str) -> Result<(), DitError> {
        let last = self.held(origin)?.position.sequence;
        if self.reissue_tail(origin, after)? == 0 {
            return Ok(());
        }
        let into = self.last_dot();
        let view = self.view();
        let Some(entry) = view.entry_named(member)? else { return Ok(()) };
        let mut texts = view.values_named(&entry, ATTRIBUTE)?;
        texts.drain(..(texts.len() + 1).saturating_sub(NOTES_MAX));
        texts.push(Rewritten { origin, after, last, into }.to_text().into_bytes());
        self.put_entry(member, &[(ATTRIBUTE, texts)])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::OriginPosition;

    fn vector(held: &[(u64, u64)]) -> UpdateVector {
        let position = |sequence| OriginPosition { sequence, ..OriginPosition::default() };
        UpdateVector::from_positions(held.iter().map(|(origin, at)| (OriginId(*origin), position(*at))))
    }

    fn dot(origin: u64, sequence: u64) -> Dot {
        Dot { origin: OriginId(origin), sequence }
    }

    #[test]
    fn change_is_found_under_the_origins_under_which_it_was_written_again() {
        let note = |origin, after, last, into| Rewritten { origin: OriginId(origin), after, last, into };
        let notes = [note(1, 4, 7, dot(2, 3)), note(2, 1, 3, dot(3, 9))];
        for (held, at, expected) in [
            (vector(&[(1, 4), (2, 3)]), dot(1, 7), true),
            (vector(&[(1, 4), (2, 2)]), dot(1, 5), false),
            (vector(&[(1, 4), (2, 1), (3, 9)]), dot(1, 5), true),
            (vector(&[(1, 4), (2, 3)]), dot(1, 8), false),
            (vector(&[(1, 3), (2, 3)]), dot(1, 4), false),
        ] {
            assert_eq!(holds(&held, &notes, at), expected, "{at:?} in {held:?}");
        }
        let circle = [note(1, 0, 9, dot(2, 1)), note(2, 0, 9, dot(1, 1))];
        assert!(!holds(&vector(&[]), &circle, dot(1, 1)), "nonsense ends");
    }

    #[test]
    fn notes_are_read_as_they_are_written() {
        let note = Rewritten { origin: OriginId(0xabc), after: 4, last: 7, into: dot(2, 3) };
        assert_eq!(Rewritten::parse(&note.to_text()), Some(note));
        for text in ["", "1 2 3 4", "1 2 3 4 5 6", "x 2 3 4 5", "1 2 3 4 -5"] {
            assert_eq!(Rewritten::parse(text), None, "{text}");
        }
    }
}
