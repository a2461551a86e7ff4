//! What can be wrong with bytes or numbers that reach this floor. Joining itself cannot fail.

use crate::state::csn::OriginId;
use crate::state::update::AttributeId;

/// Why a record could not be read or written, or a vector not be advanced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The bytes end too early.
    #[error("the record is cut short")]
    Truncated,
    /// The bytes break the format; `what` names the part.
    #[error("the record is malformed: {what}")]
    Malformed {
        /// The part that is wrong.
        what: &'static str,
    },
    /// Written by a newer version of the format.
    #[error("record version {version} is not known here; a newer entente wrote it")]
    UnknownVersion {
        /// The version byte found.
        version: u8,
    },
    /// A field that must be understood is not known here: a newer peer speaks.
    #[error("field {tag} must be understood and is not known here; upgrade this node first")]
    UnknownField {
        /// The field's number.
        tag: u64,
    },
    /// The local number of an origin is not in the table of origins.
    #[error("origin number {index} is not in the table of origins")]
    UnknownOrigin {
        /// The local number found.
        index: u16,
    },
    /// No local number could be given to this origin (65,536 is the end).
    #[error("no local number left for origin {0}")]
    OriginTableFull(OriginId),
    /// The local number of an attribute has no text, or the text got no number.
    #[error("attribute number {} is not in the table of attributes", .0.0)]
    UnknownAttribute(AttributeId),
    /// The text of an attribute got no local number.
    #[error("attribute '{0}' got no local number")]
    AttributeRefused(String),
    /// An update does not follow the last one of its origin: some are missing in between.
    #[error("hole: origin {origin} is at {held}, update {sequence} does not follow")]
    Hole {
        /// Whose update.
        origin: OriginId,
        /// The last number held.
        held: u64,
        /// The number offered.
        sequence: u64,
    },
    /// The update is already covered.
    #[error("update {sequence} of origin {origin} is already held")]
    AlreadyCovered {
        /// Whose update.
        origin: OriginId,
        /// The number offered.
        sequence: u64,
    },
    /// The origin was closed below this number.
    #[error("origin {origin} was closed at {last}, update {sequence} comes after")]
    Closed {
        /// Whose update.
        origin: OriginId,
        /// Its last number.
        last: u64,
        /// The number offered.
        sequence: u64,
    },
}
