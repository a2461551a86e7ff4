//! Finding entries: whether an entry matches a filter, which entries may, and walking through them.
//!
//! A filter is compiled once ([`CompiledFilter`]): attributes are resolved, assertion values normalised. A plan turns
//! it into candidates from the indexes, ordered so that the first answers cost as little as possible; each candidate
//! is then looked at again ([`evaluate()`]), so that an index may promise too much but never too little. A search is
//! an owned value ([`SearchRun`]) that goes on in any later snapshot, so that long ones proceed in pieces and no read
//! transaction waits for a client.
//!
//! Invariants
//! - plan-covers: every entry for which a filter is True is among the candidates of its plan.
//! - no-silent-cap: a list of candidates is complete, or the search says that a limit was passed.
//! - Undefined is never an error: unknown attributes, values that break their syntax and attributes that the
//!   requester may not use make an item Undefined (RFC 4511 4.5.1.7), which matches nothing, negated or not.
//!
//! Not here: who may see an entry (`policy`), what of it is sent and in which order (`operation`).

mod alias;
mod assertion;
mod candidates;
mod collective;
mod compile;
mod computed;
mod dynamic;
mod evaluate;
mod membership;
mod roles;
mod run;
mod scope;
mod source;
mod subtree;
mod uniqueness;

#[cfg(test)]
mod tests;

pub use alias::{Base, find_base, find_base_by, marked_entries};
pub use collective::Collective;
pub use compile::CompiledFilter;
pub use computed::{Computed, computed_values};
pub use dynamic::{groups as searched_groups, has_member as searched_group_has, member_url, searched_members};
pub use evaluate::{AllSearchable, AttributeGate, Truth, evaluate, evaluate_attributes};
pub use membership::{MEMBER, groups_of, groups_of_nested, listed_groups_of_nested};
pub use roles::{has_role, is_role_by_filter, roles_of};
pub use run::{Estimate, RunOptions, SearchRun, Step, Walk};
pub use scope::Subentries;
pub use subtree::{Area, SpecificationError, SubtreeSpecification};
pub use uniqueness::{UNIQUE_ATTRIBUTE, UniqueRule, unique_clashes, unique_rules, unique_violations};

use crate::dit::DitError;
use crate::storage::StorageError;

/// Why a search stopped. LDAP result codes are given to these by `operation`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// The tree could not be read.
    #[error(transparent)]
    Dit(#[from] DitError),
    /// The question needs more memory than one search may take; a narrower one is answered.
    #[error("more than {limit} {what} would have to be gathered; ask a narrower question")]
    TooLarge {
        /// Of what there is too much.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A group by search has more members than are shown as its values, or asks for what no index serves.
    #[error(
        "the memberURL of {group} finds, or looks at, more than {limit} entries: ask for other attributes than its member, or \
         for entries by memberOf={group}"
    )]
    GroupTooLarge {
        /// Its name.
        group: String,
        /// The limit.
        limit: usize,
    },
    /// The schema changed while the search was under way; asked again, it is answered.
    #[error("the schema was changed meanwhile; search again")]
    SchemaChanged,
}

impl From<StorageError> for SearchError {
    fn from(error: StorageError) -> Self {
        Self::Dit(error.into())
    }
}
