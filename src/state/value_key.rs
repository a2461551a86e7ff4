//! What makes two values of one attribute the same value.
//!
//! The origin computes the normal form by the attribute's equality rule and ships it; receivers compare bytes and
//! never recompute, so that nodes with different schemas still merge alike. Long normal forms (photos, keys) are
//! represented by a 128-bit BLAKE3 hash: a key fits any table key, and finding two values of one hash is beyond
//! anybody who writes entries. DN-valued attributes key on the target's entryUUID, so that no rename changes a key.

use smallvec::SmallVec;

use crate::model::entry_uuid::EntryUuid;

/// Normal forms up to this many bytes are kept as they are; longer ones are hashed.
pub const PLAIN_BYTES_MAX: usize = 64;
/// A key is at most this long: tag and plain normal form.
pub const KEY_BYTES_MAX: usize = 1 + PLAIN_BYTES_MAX;

/// Keys up to this length need no allocation.
const INLINE_BYTES: usize = 32;

const TAG_PLAIN: u8 = 0;
const TAG_HASH: u8 = 1;
const TAG_LINK: u8 = 2;

/// The identity of a value within its attribute. Ordered by bytes: plain forms, then hashes, then links.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ValueKey(SmallVec<[u8; INLINE_BYTES]>);

impl ValueKey {
    /// The key of a value by its normal form: the form itself up to 64 bytes, else its hash.
    pub fn of_normal(normal: &[u8]) -> Self {
        if normal.len() <= PLAIN_BYTES_MAX {
            return Self::tagged(TAG_PLAIN, normal);
        }
        let hash = blake3::hash(normal);
        let (short, _) = hash.as_bytes().split_at_checked(16).unwrap_or((hash.as_bytes(), &[]));
        Self::tagged(TAG_HASH, short)
    }

    /// The key of a value that names the entry `target`.
    pub fn link(target: EntryUuid) -> Self {
        Self::tagged(TAG_LINK, &target.0)
    }

    /// The tag byte and what it announces; at most [`KEY_BYTES_MAX`] bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The inverse of [`ValueKey::as_bytes`]; `None` for an unknown tag or a wrong length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&tag, rest) = bytes.split_first()?;
        let fits = match tag {
            TAG_PLAIN => rest.len() <= PLAIN_BYTES_MAX,
            TAG_HASH | TAG_LINK => rest.len() == 16,
            _ => false,
        };
        fits.then(|| Self(SmallVec::from_slice(bytes)))
    }

    /// The normal form, unless it was too long to be kept.
    pub fn as_plain(&self) -> Option<&[u8]> {
        self.0.split_first().and_then(|(&tag, rest)| (tag == TAG_PLAIN).then_some(rest))
    }

    /// The entry named, if this is a link.
    pub fn as_link(&self) -> Option<EntryUuid> {
        let (&tag, rest) = self.0.split_first()?;
        (tag == TAG_LINK).then(|| rest.try_into().ok().map(EntryUuid))?
    }

    /// The plain key of these very bytes; `None` if there are too many.
    pub(in crate::state) fn plain_of(normal: &[u8]) -> Option<Self> {
        (normal.len() <= PLAIN_BYTES_MAX).then(|| Self::tagged(TAG_PLAIN, normal))
    }

    /// The plain key of these bytes in lower case (ASCII); `None` if there are too many.
    pub(in crate::state) fn plain_lower(raw: &[u8]) -> Option<Self> {
        let mut key = Self::plain_of(raw)?;
        key.0.make_ascii_lowercase(); // the tag is no letter
        Some(key)
    }

    /// A plain key of computed bytes; `None` if there are too many.
    pub(in crate::state) fn plain_from(bytes: impl Iterator<Item = u8>) -> Option<Self> {
        let mut key = SmallVec::new();
        key.push(TAG_PLAIN);
        key.extend(bytes.take(KEY_BYTES_MAX));
        (key.len() <= KEY_BYTES_MAX).then_some(Self(key))
    }

    #[inline]
    fn tagged(tag: u8, content: &[u8]) -> Self {
        let mut short = [0; INLINE_BYTES];
        if let Some((first, rest)) = short.split_first_mut()
            && let Some(place) = rest.get_mut(..content.len())
        {
            *first = tag;
            place.copy_from_slice(content);
            return Self(SmallVec::from_buf_and_len(short, 1 + content.len()));
        }
        let mut key = SmallVec::with_capacity(1 + content.len());
        key.push(tag);
        key.extend_from_slice(content);
        Self(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_normal_form_is_kept() {
        let key = ValueKey::of_normal(b"ann");
        assert_eq!(key.as_plain(), Some(&b"ann"[..]));
        assert_eq!(key.as_link(), None);
        assert_eq!(ValueKey::from_bytes(key.as_bytes()), Some(key));
    }

    #[test]
    fn normal_form_over_64_bytes_is_hashed() {
        assert_eq!(ValueKey::of_normal(&[7; 64]).as_bytes().len(), 65);
        let key = ValueKey::of_normal(&[7; 65]);
        assert_eq!(key.as_bytes().len(), 17);
        assert_eq!(key.as_plain(), None);
        assert_ne!(key, ValueKey::of_normal(&[8; 65]));
        assert_eq!(ValueKey::from_bytes(key.as_bytes()), Some(key));
    }

    #[test]
    fn link_gives_its_target_back() {
        let target = EntryUuid([5; 16]);
        assert_eq!(ValueKey::link(target).as_link(), Some(target));
        assert_ne!(ValueKey::link(target), ValueKey::of_normal(&target.0));
    }

    #[test]
    fn strange_key_bytes_are_refused() {
        assert_eq!(ValueKey::from_bytes(&[]), None);
        assert_eq!(ValueKey::from_bytes(&[9, 1]), None);
        assert_eq!(ValueKey::from_bytes(&[TAG_LINK, 1]), None);
        assert_eq!(ValueKey::from_bytes(&[0; 66]), None);
        assert_eq!(ValueKey::plain_from((0..65).map(|_| b'x')), None);
    }
}
