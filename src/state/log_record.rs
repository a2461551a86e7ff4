//! What nodes hand each other of a log, and the names they know each other by.

use std::collections::BTreeMap;
use std::fmt;

use crate::state::csn::OriginId;
use crate::state::update_vector::OriginPosition;

/// A node of the cluster: random 128 bits, minted once for each data directory. Its origins change, this does not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct NodeId(pub [u8; 16]);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// For each origin the newest sequence that every member holds; what is up to there needs no more care for the absent.
/// An origin that is not named is held by nobody.
pub type StableCut = BTreeMap<OriginId, u64>;

/// One record of an origin's log, as stored and as sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogRecord {
    /// Whose.
    pub origin: OriginId,
    /// Its number at that origin, from 1.
    pub sequence: u64,
    /// The hash chain over the origin's records up to and with this one ([`OriginPosition::chain_next`]).
    pub chain: [u8; 16],
    /// The update ([`encode_update`](crate::state::encoding::update::encode_update)).
    pub bytes: Vec<u8>,
}

impl LogRecord {
    /// Whether the record is the one that follows `before` in its origin's row, by number and by chain.
    pub fn follows(&self, before: &OriginPosition) -> bool {
        self.sequence == before.sequence + 1 && self.chain == before.chain_next(&self.bytes)
    }
}
