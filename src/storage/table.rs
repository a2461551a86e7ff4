//! The tables of a data file by name.

use super::EntryId;
use super::entry_record::Part;
use lmdb::DatabaseFlags;

/// The tables; see ARCHITECTURE.md for keys and records.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(usize)]
pub enum Table {
    /// name -> bytes
    Meta,
    /// What nearly every commit changes, together on one page; see `current`
    Current,
    /// origin -> update vector element
    Vector,
    /// attribute number -> attribute key text
    Attributes,
    /// origin number -> origin
    Origins,
    /// entry -> view record
    Id2Entry,
    /// entry -> state record
    Id2State,
    /// entryUUID ‖ birth -> entry
    Uuid2Id,
    /// parent ‖ normalised RDN -> entries
    Dn2Id,
    /// entry -> how many entries are directly below it
    Subordinates,
    /// attribute ‖ kind ‖ key -> entries
    Index,
    /// number -> run of index changes that wait; the two tables take turns
    PendingEven,
    /// As `PendingEven`.
    PendingOdd,
    /// entry ‖ attribute ‖ value key -> cell
    BigValues,
    /// origin ‖ sequence -> update
    Log,
    /// chunk of buckets -> their sums
    Digest,
    /// commit -> what it changed of the sums, until that is summed up
    DigestJournal,
    /// CSN of the winner ‖ CSN of the loser ‖ place -> both sides
    Conflicts,
    /// entry that was found to break the schema after a merge -> nothing
    Suspects,
    /// origin ‖ sequence ‖ entry, with attribute ‖ value key for a spilled cell -> CSN: absence to be forgotten that the
    /// log does not tell
    Unsettled,
    /// CSN of the deletion ‖ entry -> nothing
    Deleted,
    /// moves that some member may not hold yet, by time and by entry
    Moves,
    /// entryUUID that is not here ‖ entry -> nothing; and back
    Waiting,
    /// entry whose name another one has -> that one
    Adopted,
    /// origin ‖ sequence of a deletion -> the entries that linked to what was deleted; kept as long as the log's record
    LostLinks,
    /// number of a change at this node -> origin ‖ sequence: where the row of arrivals goes over to another origin
    Arrivals,
}

impl Table {
    /// Every table, in the order of their numbers.
    pub const ALL: [Self; 26] = [
        Self::Meta,
        Self::Current,
        Self::Vector,
        Self::Attributes,
        Self::Origins,
        Self::Id2Entry,
        Self::Id2State,
        Self::Uuid2Id,
        Self::Dn2Id,
        Self::Subordinates,
        Self::Index,
        Self::PendingEven,
        Self::PendingOdd,
        Self::BigValues,
        Self::Log,
        Self::Digest,
        Self::DigestJournal,
        Self::Conflicts,
        Self::Suspects,
        Self::Unsettled,
        Self::Deleted,
        Self::Moves,
        Self::Waiting,
        Self::Adopted,
        Self::LostLinks,
        Self::Arrivals,
    ];

    /// The name in the file; two tables share one there.
    pub(super) fn name_in_file(self) -> &'static str {
        if self.part().is_some() { "entries" } else { self.name() }
    }

    /// As what kind of table LMDB opens it.
    pub(super) fn flags(self) -> DatabaseFlags {
        match self {
            Self::Id2Entry | Self::Id2State | Self::Subordinates | Self::Adopted => DatabaseFlags::INTEGER_KEY,
            Self::Index => DatabaseFlags::DUP_SORT | DatabaseFlags::DUP_FIXED | DatabaseFlags::INTEGER_DUP,
            Self::Dn2Id => DatabaseFlags::DUP_SORT | DatabaseFlags::DUP_FIXED,
            _ => DatabaseFlags::empty(),
        }
    }

    /// Where a key has several values: the bytes of each (they are entry ids).
    pub(super) fn value_bytes(self) -> usize {
        if self.flags().contains(DatabaseFlags::DUP_FIXED) { EntryId::NONE.to_key().len() } else { 0 }
    }

    /// Which part of the shared record the table is.
    pub(super) fn part(self) -> Option<Part> {
        match self {
            Self::Id2Entry => Some(Part::View),
            Self::Id2State => Some(Part::State),
            _ => None,
        }
    }

    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Current => "current",
            Self::Vector => "vector",
            Self::Attributes => "attributes",
            Self::Origins => "origins",
            Self::Id2Entry => "id2entry",
            Self::Id2State => "id2state",
            Self::Uuid2Id => "uuid2id",
            Self::Dn2Id => "dn2id",
            Self::Subordinates => "subordinates",
            Self::Index => "index",
            Self::PendingEven => "pending-even",
            Self::PendingOdd => "pending-odd",
            Self::BigValues => "bigvalues",
            Self::Log => "log",
            Self::Digest => "digest",
            Self::Conflicts => "conflicts",
            Self::Suspects => "suspects",
            Self::DigestJournal => "digest-journal",
            Self::Unsettled => "unsettled",
            Self::Deleted => "deleted",
            Self::Moves => "moves",
            Self::Waiting => "waiting",
            Self::Adopted => "adopted",
            Self::LostLinks => "lost-links",
            Self::Arrivals => "arrivals",
        }
    }
}
