//! Index keys of values: a pure function of the view.
//!
//! Keys stand under the bare attribute type, whatever the options: a filter on `cn` also means `cn;lang-de`, and the
//! entry is looked at again in any case. Normal forms are those of the type's equality rule, in whose order the
//! index is, so that prefixes and ranges are one read.
//!
//! A piece for substring search is three characters of the normal form. The end of the value counts as a character
//! (0x00), so that the last two characters, and values of one or two, have a piece that begins with them; a search
//! for one or two characters is then a range of pieces.
//!
//! Keys of nearness (`schema::sound`) stand beside: how the words of a text sound, the last digits of a telephone number.

use super::catalog::AttributeInfo;
use crate::model::{Dn, EntryUuid};
use crate::schema::sound::near_keys;
use crate::schema::{AttributeType, MatchingRule, Schema};
use crate::storage::{FORM_BYTES, IndexKind, index_key};

const TAG_TEXT: u8 = 1;
const TAG_LINK: u8 = 2;
/// Marks the end of a value in its last piece.
pub(super) const END: u8 = 0;
/// Only the beginning of very long values is cut into pieces; what lies beyond is found by [`LONG_PIECE`].
const PIECES_BYTES_MAX: usize = 4096;
/// The piece of values that were not cut to their end: they may contain anything and are always looked at.
pub const LONG_PIECE: &[u8] = &[0xff];

/// A set of keys, gathered in one buffer.
#[derive(Default, Debug)]
pub(super) struct KeySet {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl KeySet {
    /// Starts a key; what is appended to the buffer until [`KeySet::end`] belongs to it.
    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    fn end(&mut self) {
        self.ends.push(self.bytes.len() as u32);
    }

    /// The keys as they were gathered; one may come twice.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let key = self.bytes.get(start..end as usize).unwrap_or_default();
            start = end as usize;
            key
        })
    }

    /// The keys, sorted, each once.
    pub(super) fn sorted(&self) -> Vec<&[u8]> {
        let mut keys: Vec<&[u8]> = self.iter().collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// The normal form under which a link to `target` is indexed.
pub fn link_key(target: EntryUuid) -> Vec<u8> {
    let mut key = vec![TAG_LINK];
    key.extend_from_slice(&target.0);
    key
}

/// What the normal forms of [`text_link_key`] begin with, and no others of DNs.
pub const TEXT_LINK_BEGINS: &[u8] = &[TAG_TEXT];

/// The normal form under which a DN is indexed that was written when it named no entry.
pub fn text_link_key(schema: &Schema, dn: &Dn) -> Vec<u8> {
    let mut key = vec![TAG_TEXT];
    key.extend_from_slice(&schema.dn_key(dn));
    key
}

/// The normal form under which a name with a UID is indexed, by its normal form by uniqueMemberMatch.
pub fn uid_text_key(normal: &[u8]) -> Vec<u8> {
    [&[TAG_TEXT], normal].concat()
}

/// The normal form under which a text of an attribute of links is indexed; `None` if it is no name.
fn text_key(schema: &Schema, attribute_type: &AttributeType, value: &[u8]) -> Option<Vec<u8>> {
    if !attribute_type.may_have_uid() {
        return Dn::parse_bytes(value).ok().map(|dn| text_link_key(schema, &dn));
    }
    let mut key = vec![TAG_TEXT];
    MatchingRule::UniqueMemberMatch.key(schema, value, &mut key).ok().map(|()| key)
}

/// The normal form of a value by the type's equality rule; `None` when it has none or the value breaks its syntax.
pub fn keys_of_value(schema: &Schema, attribute_type: &AttributeType, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    attribute_type.equality?.key(schema, value, out).ok()
}

/// Appends the keys of one attribute. `targets` are the links' targets in value order (16 bytes each, nil for text), and
/// behind them links that show nothing and, once more, targets that are named by a text: found by both. Empty for
/// attributes without links.
pub(super) fn keys_of_attribute<'v>(
    schema: &Schema,
    info: &AttributeInfo,
    values: impl Iterator<Item = &'v [u8]> + Clone,
    targets: &[u8],
    out: &mut KeySet,
) {
    let Some(attribute_type) = info.attribute_type.map(|index| schema.attribute_type_at(index)) else { return };
    let mut values = values.peekable();
    // Links of which none is shown are no presence.
    if info.indexed.presence && (targets.is_empty() || values.peek().is_some()) {
        index_key(info.base, IndexKind::Presence, &[], out.buffer());
        out.end();
    }
    if !info.indexed.equality && !info.indexed.substring && !info.indexed.approx {
        return;
    }
    let (all, _) = targets.as_chunks::<16>();
    let (mut targets, texts) = (all.iter(), values.clone());
    let mut normal = Vec::with_capacity(64);
    for value in values {
        normal.clear();
        if info.links {
            match targets.next() {
                Some(target) if *target != EntryUuid::NIL.0 => normal.extend_from_slice(&link_key(EntryUuid(*target))),
                _ => match text_key(schema, attribute_type, value) {
                    Some(key) => normal.extend_from_slice(&key),
                    None => continue,
                },
            }
        } else if keys_of_value(schema, attribute_type, value, &mut normal).is_none() {
            continue;
        }
        if info.indexed.equality {
            index_key(info.base, IndexKind::Equality, &normal, out.buffer());
            out.end();
        }
        if info.indexed.approx
            && let Some(rule) = attribute_type.equality
        {
            for key in near_keys(rule, &normal).into_iter().flatten() {
                index_key(info.base, IndexKind::Approx, &key, out.buffer());
                out.end();
            }
        }
        if info.indexed.substring && !info.links {
            for piece in grams_of(&normal) {
                index_key(info.base, IndexKind::Substring, piece.as_slice(), out.buffer());
                out.end();
            }
        }
    }
    for target in targets.filter(|_| info.links && info.indexed.equality) {
        let text = texts.clone().zip(all).find(|(_, shown)| *shown == target);
        let text = text.and_then(|(text, _)| text_key(schema, attribute_type, text));
        let normal = text.unwrap_or_else(|| link_key(EntryUuid(*target)));
        index_key(info.base, IndexKind::Equality, &normal, out.buffer());
        out.end();
    }
}

/// Appends the keys of one encrypted attribute, by the forms of its values.
pub(super) fn keys_of_forms(info: &AttributeInfo, forms: &[[u8; FORM_BYTES]], out: &mut KeySet) {
    if info.indexed.presence {
        index_key(info.base, IndexKind::Presence, &[], out.buffer());
        out.end();
    }
    for form in forms.iter().filter(|_| info.indexed.equality) {
        index_key(info.base, IndexKind::Equality, form, out.buffer());
        out.end();
    }
}

/// A piece: at most three characters.
pub type Gram = smallvec::SmallVec<[u8; 12]>;

/// The pieces of a normal form, its end included.
pub fn grams_of(normal: &[u8]) -> impl Iterator<Item = Gram> + '_ {
    let cut = normal.get(..PIECES_BYTES_MAX).unwrap_or(normal);
    let whole = cut.len() == normal.len();
    let mut starts = Vec::with_capacity(cut.len() + 1);
    starts.extend(cut.iter().enumerate().filter(|(_, byte)| !is_continuation(**byte)).map(|(at, _)| at));
    let characters = starts.len();
    starts.push(cut.len());
    let full = characters.saturating_sub(2);
    let long = (!whole).then(|| Gram::from_slice(LONG_PIECE));
    let pieces = (0..characters).filter_map(move |first| {
        let start = *starts.get(first)?;
        if first < full {
            return cut.get(start..*starts.get(first + 3)?).map(Gram::from_slice);
        }
        let mut piece = Gram::from_slice(cut.get(start..)?);
        piece.push(END);
        whole.then_some(piece)
    });
    pieces.chain(long)
}

/// The pieces that every value containing `part` has (no end mark), or the prefix of pieces to range over when the
/// part is shorter than a piece.
pub fn grams_of_part(part: &[u8]) -> Vec<Gram> {
    let characters = part.iter().filter(|byte| !is_continuation(**byte)).count();
    if characters < 3 {
        return Vec::new();
    }
    grams_of(part).take(characters - 2).filter(|piece| piece.as_slice() != LONG_PIECE).collect()
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pieces: impl Iterator<Item = Gram>) -> Vec<String> {
        pieces.map(|piece| String::from_utf8_lossy(&piece).replace('\0', "$")).collect()
    }

    #[test]
    fn pieces_cover_every_beginning_and_the_end() {
        assert_eq!(text(grams_of(b"jones")), ["jon", "one", "nes", "es$", "s$"]);
        assert_eq!(text(grams_of("李小龙".as_bytes())), ["李小龙", "小龙$", "龙$"]);
        assert_eq!(text(grams_of(b"a")), ["a$"]);
        assert!(text(grams_of(b"")).is_empty());
    }

    #[test]
    fn a_part_shorter_than_a_piece_has_none() {
        assert!(grams_of_part(b"jo").is_empty());
        assert_eq!(text(grams_of_part("müll".as_bytes()).into_iter()), ["mül", "üll"]);
    }
}
