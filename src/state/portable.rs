//! Whole states of entries on their way to another node: what the log does not carry, because it was trimmed or never
//! written.
//!
//! A state is a join, so any part of it is a state as well, and joining the parts in any order gives the whole: an entry
//! of a hundred thousand values travels in as many parts as its frames need, and each part may be joined by itself.
//! Nothing in it is local: attributes are text, origins whole, and no values are left in tables of their own.
//!
//! A part also says for which values it speaks ([`PortableSpan`]): what of those is not in it is not in the state, so
//! that a node that was away learns what the others removed and have forgotten.

use crate::model::entry_uuid::EntryUuid;
use crate::state::csn::{Dot, OriginId, Stamp};
use crate::state::encoding::bytes::{Reader, put_bytes, put_varint};
use crate::state::encoding::update::ATTRIBUTE_KEY_BYTES_MAX;
use crate::state::entry_state::EntryState;
use crate::state::error::StateError;
use crate::state::update::AttributeId;
use crate::state::value_key::ValueKey;

const FORMAT_VERSION: u8 = 4;

/// The state of one incarnation of an entry, or a part of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortableEntry {
    /// Which entry.
    pub uuid: EntryUuid,
    /// Which incarnation.
    pub birth: Dot,
    /// The state: see [`encode_portable`].
    pub bytes: Vec<u8>,
}

/// What a part holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Portable {
    /// The state, or a part of it.
    pub state: EntryState,
    /// Moves of the entry.
    pub moves: Vec<PortableMove>,
    /// What was written down about it: records that mean something to another layer.
    pub notes: Vec<Vec<u8>>,
    /// The values for which it speaks.
    pub span: PortableSpan,
}

/// A move of an entry that not every member may know of yet: which change, and below which entry it put it.
pub type PortableMove = (Stamp, EntryUuid);

/// The values for which a part speaks. The order of attributes is the sender's.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PortableSpan {
    /// The part begins behind this value; none: at the beginning, with all that is not values.
    pub after: Option<(AttributeId, ValueKey)>,
    /// It ends with this value; none: there are no more.
    pub upto: Option<(AttributeId, ValueKey)>,
    /// Attributes all of whose values come later, told by the part at the beginning.
    pub later: Vec<AttributeId>,
}

impl PortableSpan {
    /// Whether the value, if it is not in `part`, is not in the state.
    pub fn speaks_for(&self, part: &EntryState, attribute: AttributeId, key: &ValueKey) -> bool {
        let is_here = match &self.after {
            None => !self.later.contains(&attribute),
            Some((from, _)) => *from == attribute || part.attributes.contains_key(&attribute),
        };
        is_here
            && self.after.as_ref().is_none_or(|(from, after)| *from != attribute || key > after)
            && self.upto.as_ref().is_none_or(|(to, upto)| *to != attribute || key <= upto)
    }

    /// Whether this part, the first, has all values of an attribute.
    pub fn speaks_for_all(&self, attribute: AttributeId) -> bool {
        !self.later.contains(&attribute) && self.upto.as_ref().is_none_or(|(to, _)| *to != attribute)
    }

    /// Whether the part has all that is not values.
    pub fn is_first(&self) -> bool {
        self.after.is_none()
    }
}

/// Appends a state: version, span, attribute keys, origins (6 bytes each), moves, notes, then the state's record with the
/// numbers of these lists. `name_of` gives an attribute's key as text. No attribute may be spilled.
///
/// # Errors
/// [`StateError::UnknownAttribute`] if `name_of` gives none; [`StateError::OriginTableFull`].
pub fn encode_portable<N: AsRef<str>>(
    Portable { mut state, moves, notes, span }: Portable,
    name_of: impl Fn(AttributeId) -> Option<N>,
    out: &mut Vec<u8>,
) -> Result<(), StateError> {
    let named = |attribute| name_of(attribute).ok_or(StateError::UnknownAttribute(attribute));
    let mut attributes: Vec<AttributeId> = state.attributes.keys().copied().collect();
    for ava in &state.rdn.1.avas {
        if !attributes.contains(&ava.attribute) {
            attributes.push(ava.attribute);
        }
    }
    let number = |attribute| attributes.iter().position(|known| *known == attribute).map_or(0, |at| at as u32);
    for ava in &mut state.rdn.1.avas {
        ava.attribute = AttributeId(number(ava.attribute));
    }
    // The first attributes are the state's own, in its order.
    state.attributes = (0..).map(AttributeId).zip(std::mem::take(&mut state.attributes).into_values()).collect();

    out.push(FORMAT_VERSION);
    for place in [&span.after, &span.upto] {
        put_varint(out, u64::from(place.is_some()));
        if let Some((attribute, key)) = place {
            put_bytes(out, named(*attribute)?.as_ref().as_bytes());
            put_bytes(out, key.as_bytes());
        }
    }
    for list in [&span.later, &attributes] {
        put_varint(out, list.len() as u64);
        for attribute in list {
            put_bytes(out, named(*attribute)?.as_ref().as_bytes());
        }
    }
    let mut origins: Vec<OriginId> = Vec::new();
    let mut record = Vec::with_capacity(1024);
    let mut intern = |origin| {
        let at = origins.iter().position(|known| *known == origin).unwrap_or_else(|| {
            origins.push(origin);
            origins.len() - 1
        });
        u16::try_from(at).ok()
    };
    state.encode(&mut intern, &mut record)?;
    put_varint(out, origins.len() as u64);
    origins.iter().for_each(|origin| out.extend(origin.0.to_be_bytes().into_iter().skip(2)));
    put_varint(out, moves.len() as u64);
    for (stamp, parent) in moves {
        out.extend_from_slice(&stamp.csn.to_be_bytes());
        put_varint(out, stamp.sequence);
        out.extend_from_slice(&parent.0);
    }
    put_varint(out, notes.len() as u64);
    notes.iter().for_each(|note| put_bytes(out, note));
    out.extend_from_slice(&record);
    Ok(())
}

/// The inverse of [`encode_portable`]; `intern` gives the local number of an attribute key, making one if need be.
///
/// # Errors
/// Any [`StateError`] about bytes; [`StateError::AttributeRefused`] if `intern` gives no number.
pub fn decode_portable(
    entry: &PortableEntry,
    mut intern: impl FnMut(&str) -> Option<AttributeId>,
) -> Result<Portable, StateError> {
    let mut reader = Reader::new(&entry.bytes);
    reader.version(FORMAT_VERSION)?;
    let mut attribute = |reader: &mut Reader<'_>| {
        let key = reader.text()?;
        if key.len() > ATTRIBUTE_KEY_BYTES_MAX {
            return Err(StateError::Malformed { what: "attribute key" });
        }
        intern(key).ok_or_else(|| StateError::AttributeRefused(key.to_owned()))
    };
    let mut place = |reader: &mut Reader<'_>| {
        if reader.varint()? == 0 {
            return Ok(None);
        }
        let attribute = attribute(reader)?;
        let key = ValueKey::from_bytes(reader.bytes()?).ok_or(StateError::Malformed { what: "value key" })?;
        Ok(Some((attribute, key)))
    };
    let (after, upto) = (place(&mut reader)?, place(&mut reader)?);
    let mut list = |reader: &mut Reader<'_>| {
        let count = reader.count(1)?;
        (0..count).map(|_| attribute(reader)).collect::<Result<Vec<_>, _>>()
    };
    let (later, attributes) = (list(&mut reader)?, list(&mut reader)?);
    let span = PortableSpan { after, upto, later };
    let mut origins = Vec::with_capacity(reader.clone().count(6)?);
    for _ in 0..reader.count(6)? {
        let [a, b, c, d, e, f] = reader.array()?;
        origins.push(OriginId(u64::from_be_bytes([0, 0, a, b, c, d, e, f])));
    }
    let mut moves = Vec::with_capacity(reader.clone().count(33)?);
    for _ in 0..reader.count(33)? {
        let csn = crate::state::Csn::from_be_bytes(reader.array()?);
        let stamp = Stamp { csn, sequence: reader.varint()? };
        moves.push((acceptable(stamp)?, EntryUuid(reader.array()?)));
    }
    let count = reader.count(1)?;
    let notes = (0..count).map(|_| Ok(reader.bytes()?.to_vec())).collect::<Result<Vec<_>, StateError>>()?;
    let record = reader.take(reader.remaining())?;
    let mut state = EntryState::decode(record, |number| origins.get(usize::from(number)).copied())?;
    state.stamps().try_for_each(|stamp| acceptable(stamp).map(|_| ()))?;
    if (state.uuid, state.birth.dot()) != (entry.uuid, entry.birth) {
        return Err(StateError::Malformed { what: "identity of an entry" });
    }
    let local = |numbered: AttributeId| {
        let local = attributes.get(numbered.0 as usize);
        local.copied().ok_or(StateError::Malformed { what: "number of an attribute" })
    };
    for ava in &mut state.rdn.1.avas {
        ava.attribute = local(ava.attribute)?;
    }
    for (number, mut held) in std::mem::take(&mut state.attributes) {
        if held.spilled.is_some() {
            return Err(StateError::Malformed { what: "values left out" });
        }
        // Whatever was sent becomes a state of the canonical form.
        held.drop_cleared();
        state.attributes.insert(local(number)?, held);
    }
    Ok(Portable { state, moves, notes, span })
}

fn acceptable(stamp: Stamp) -> Result<Stamp, StateError> {
    let good = stamp.csn.is_acceptable() && stamp.sequence > 0;
    if good { Ok(stamp) } else { Err(StateError::Malformed { what: "stamp" }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::state::attribute_state::AttributeState;
    use crate::state::testing::{name_of, stamp, state};

    fn number_of(name: &str) -> Option<AttributeId> {
        Some(AttributeId(1000 - name.strip_prefix("1.3.")?.parse::<u32>().ok()?))
    }

    fn portable(state: &EntryState, moves: &[PortableMove]) -> PortableEntry {
        portable_part(state, moves, &PortableSpan::default())
    }

    fn portable_part(state: &EntryState, moves: &[PortableMove], span: &PortableSpan) -> PortableEntry {
        let mut bytes = Vec::new();
        let notes = vec![b"note".to_vec(), Vec::new()];
        let portable = Portable { state: state.clone(), moves: moves.to_vec(), notes, span: span.clone() };
        encode_portable(portable, name_of, &mut bytes).expect("every attribute has a name");
        PortableEntry { uuid: state.uuid, birth: state.birth.dot(), bytes }
    }

    proptest! {
        #[test]
        fn state_and_moves_come_back(state in state()) {
            let moves = vec![(stamp(4, 2), EntryUuid([3; 16]))];
            let place = |number, text: &str| Some((AttributeId(number), ValueKey::of_normal(text.as_bytes())));
            let span = PortableSpan { after: place(3, "a"), upto: place(5, ""), later: vec![AttributeId(7)] };
            let entry = portable_part(&state, &moves, &span);
            let notes = vec![b"note".to_vec(), Vec::new()];
            prop_assert_eq!(decode_portable(&entry, number_of), Ok(Portable { state, moves, notes, span }));
        }

        #[test]
        fn numbers_of_the_other_node_do_not_matter(state in state()) {
            let Portable { state: there, .. } = decode_portable(&portable(&state, &[]), |name| {
                number_of(name).map(|id| AttributeId(id.0 + 7))
            }).expect("own bytes");
            let digest = there.digest_part(|id| name_of(AttributeId(id.0 - 7)));
            prop_assert_eq!(digest, state.digest_part(name_of));
        }

        #[test]
        fn hostile_bytes_are_an_error_or_a_state(bytes in prop::collection::vec(any::<u8>(), 0..200), state in state(), at in any::<prop::sample::Index>(), with in any::<u8>()) {
            let strange = PortableEntry { bytes, ..portable(&state, &[]) };
            let _ = decode_portable(&strange, number_of);
            let mut damaged = portable(&state, &[]);
            let at = at.index(damaged.bytes.len());
            damaged.bytes[at] ^= with;
            let _ = decode_portable(&damaged, number_of);
        }
    }

    #[test]
    fn part_speaks_for_what_lies_between_its_ends() {
        let key = |text: &str| ValueKey::of_normal(text.as_bytes());
        let [one, two, three] = [1, 2, 3].map(AttributeId);
        let mut part = EntryState::unborn(EntryUuid([7; 16]), stamp(1, 1));
        let first = PortableSpan { after: None, upto: Some((two, key("m"))), later: vec![three] };
        assert!(first.speaks_for(&part, one, &key("x")) && first.speaks_for(&part, two, &key("m")));
        assert!(!first.speaks_for(&part, two, &key("n")) && !first.speaks_for(&part, three, &key("a")));
        let second = PortableSpan { after: first.upto, ..PortableSpan::default() };
        part.attributes.insert(three, AttributeState::default());
        assert!(second.speaks_for(&part, two, &key("n")) && second.speaks_for(&part, three, &key("a")));
        assert!(!second.speaks_for(&part, two, &key("m")) && !second.speaks_for(&part, one, &key("x")));
    }

    #[test]
    fn state_of_another_entry_is_refused() {
        let state = EntryState::unborn(EntryUuid([7; 16]), stamp(1, 1));
        let entry = PortableEntry { uuid: EntryUuid([8; 16]), ..portable(&state, &[]) };
        assert_eq!(decode_portable(&entry, number_of), Err(StateError::Malformed { what: "identity of an entry" }));
    }
}
