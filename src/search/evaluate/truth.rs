//! The three answers of a filter (RFC 4511 4.5.1.7), and who may have which: an attribute that the asker may not use is
//! Undefined for them, so that nothing can be learnt of it by its opposite either.

use crate::dit::Entry;
use crate::schema::AttributeTypeIndex;

/// What a filter says of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Truth {
    /// It does not match.
    False,
    /// It cannot be said, and neither can its opposite.
    Undefined,
    /// It matches.
    True,
}

impl Truth {
    /// Whether the entry is a result.
    pub fn is_true(self) -> bool {
        self == Self::True
    }

    pub(in crate::search) fn negated(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::Undefined => Self::Undefined,
            Self::True => Self::False,
        }
    }
}

impl From<bool> for Truth {
    fn from(answer: bool) -> Self {
        if answer { Self::True } else { Self::False }
    }
}

/// Which attributes of an entry its asker may use in a filter. The others are Undefined for them, whether the entry
/// has them or not.
pub trait AttributeGate {
    /// Whether `attribute` of `entry` may be searched by.
    fn searchable(&self, entry: &Entry<'_>, attribute: AttributeTypeIndex) -> bool;

    /// Whether its asker may know that an entry is there, so that a group by search is told to have it.
    fn knows(&self, _entry: &Entry<'_>) -> bool {
        true
    }

    /// True when everything may be; the others are then never asked.
    fn unrestricted(&self) -> bool {
        false
    }
}

/// The gate of those who may use every attribute.
#[derive(Clone, Copy, Debug)]
pub struct AllSearchable;

impl AttributeGate for AllSearchable {
    fn searchable(&self, _: &Entry<'_>, _: AttributeTypeIndex) -> bool {
        true
    }

    fn unrestricted(&self) -> bool {
        true
    }
}
