//! View and state of an entry in one record, so that a change writes one page and not two.
//!
//! ```text
//! length of the view u32, check u32 (of key and length), view record, state record
//! ```
//!
//! Either may be absent (empty): a deleted entry has no view. Above this floor they are two tables, and each record has its
//! own checksum; the check is there because a broken length could make a view vanish.

use xxhash_rust::xxh3::xxh3_64_with_seed;

const HEAD_BYTES: usize = 8;

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    View,
    State,
}

impl Part {
    /// This part of a record; `None` if absent. Of a record whose head is damaged it is something whose checksum fails.
    pub(super) fn of<'t>(self, key: &[u8], record: &'t [u8]) -> Option<&'t [u8]> {
        let (view, state) = split(key, record);
        let part = match self {
            Self::View => view,
            Self::State => state,
        };
        (!part.is_empty()).then_some(part)
    }

    /// The record with this part replaced (by nothing: removed); `None` when nothing is left. `record` may be empty.
    pub(super) fn replaced(self, key: &[u8], record: &[u8], by: &[u8]) -> Option<Vec<u8>> {
        let (view, state) = if record.is_empty() { (&[][..], &[][..]) } else { split(key, record) };
        let (view, state) = match self {
            Self::View => (by, state),
            Self::State => (view, by),
        };
        whole(key, view, state)
    }
}

/// The record of both; `None` when there is neither.
pub(super) fn whole(key: &[u8], view: &[u8], state: &[u8]) -> Option<Vec<u8>> {
    if view.is_empty() && state.is_empty() {
        return None;
    }
    let length = (view.len() as u32).to_le_bytes();
    let mut out = Vec::with_capacity(HEAD_BYTES + view.len() + state.len());
    out.extend_from_slice(&length);
    out.extend_from_slice(&check(key, length));
    out.extend_from_slice(view);
    out.extend_from_slice(state);
    Some(out)
}

fn split<'t>(key: &[u8], record: &'t [u8]) -> (&'t [u8], &'t [u8]) {
    let parts = || {
        let (length, rest) = record.split_first_chunk::<4>()?;
        let (sum, rest) = rest.split_first_chunk::<4>()?;
        (*sum == check(key, *length)).then(|| rest.split_at_checked(u32::from_le_bytes(*length) as usize))?
    };
    parts().unwrap_or((record, record))
}

fn check(key: &[u8], length: [u8; 4]) -> [u8; 4] {
    let [a, b, c, d, ..] = xxh3_64_with_seed(key, u64::from(u32::from_le_bytes(length))).to_le_bytes();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_and_go_alone() {
        let key = 7_u64.to_ne_bytes();
        let record = Part::State.replaced(&key, &[], b"state").unwrap();
        assert_eq!((Part::View.of(&key, &record), Part::State.of(&key, &record)), (None, Some(&b"state"[..])));
        let record = Part::View.replaced(&key, &record, b"view").unwrap();
        assert_eq!(Part::View.of(&key, &record), Some(&b"view"[..]));
        assert_eq!(Part::State.of(&key, &record), Some(&b"state"[..]));
        let record = Part::State.replaced(&key, &record, b"").unwrap();
        assert_eq!((Part::View.of(&key, &record), Part::State.of(&key, &record)), (Some(&b"view"[..]), None));
        assert_eq!(Part::View.replaced(&key, &record, b""), None);
    }

    #[test]
    fn a_damaged_head_hides_no_part() {
        let key = 7_u64.to_ne_bytes();
        let record = Part::View.replaced(&key, &Part::State.replaced(&key, &[], b"state").unwrap(), b"view").unwrap();
        for bit in 0..64 {
            let mut bad = record.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Part::View.of(&key, &bad).is_some_and(|view| view != b"view"), "bit {bit}");
            assert!(Part::State.of(&key, &bad).is_some_and(|state| state != b"state"), "bit {bit}");
        }
    }
}
