//! The order of keys, and of values of one key, from page to page.

use super::super::layout::{KEY_MAX, Page, u64_at};
use super::What;
use std::cmp::Ordering;

/// How keys are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Bytes,
    /// Native numbers of eight bytes.
    Number,
}

impl Order {
    pub(super) fn of(is_number: bool) -> Self {
        if is_number { Self::Number } else { Self::Bytes }
    }

    pub(super) fn fits(self, key: &[u8]) -> bool {
        self == Self::Bytes || key.len() == 8
    }

    pub(super) fn compare(self, left: &[u8], right: &[u8]) -> Ordering {
        match self {
            Self::Bytes => left.cmp(right),
            Self::Number => u64_at(left, 0).cmp(&u64_at(right, 0)),
        }
    }
}

/// What the next key must be beyond.
#[derive(Default)]
pub(super) struct Bound {
    key: Vec<u8>,
    is_set: bool,
    /// The key itself may come.
    may_equal: bool,
}

impl Bound {
    pub(super) fn admits(&self, order: Order, key: &[u8]) -> bool {
        !self.is_set
            || match order.compare(key, &self.key) {
                Ordering::Greater => true,
                Ordering::Equal => self.may_equal,
                Ordering::Less => false,
            }
    }

    pub(super) fn set(&mut self, key: &[u8], may_equal: bool) {
        self.key.clear();
        self.key.extend_from_slice(key);
        (self.is_set, self.may_equal) = (true, may_equal);
    }
}

/// The values of one key that stand on a page, in order.
pub(super) fn values(page: &Page<'_>, size: usize, order: Order, bound: &mut Bound) -> Result<(), What> {
    if size == 0 || size > KEY_MAX {
        return Err("has values of an impossible length".into());
    }
    let mut last: Option<&[u8]> = None;
    for value in page.values(size)?.chunks_exact(size) {
        let is_next = match last {
            Some(last) => order.compare(value, last) == Ordering::Greater,
            None => bound.admits(order, value),
        };
        if !is_next {
            return Err("has values that are not in order".into());
        }
        last = Some(value);
    }
    if let Some(last) = last {
        bound.set(last, false);
    }
    Ok(())
}
