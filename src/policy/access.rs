//! Who may do what with which attribute of which entry: evaluation of ACI 3.0, as a pure function.
//!
//! Rules stand in `aci` values of entries and apply to that entry and everything below it. Reading thousands of
//! entries must not evaluate them thousands of times, so the work is cut in three, each kept by the caller as long as
//! its input stands:
//!
//! 1. [`AccessCompiler::compile`]: the rules of one entry, once per change of them ([`CompiledRules`]);
//! 2. [`AccessCompiler::for_requester`]: all rules that apply to a set of entries, for one requester: whatever depends
//!    on requester and connection alone (userdn, groupdn, ip, …) is decided here, and what remains is a short list
//!    ([`CompiledAccess`]); usually nothing remains, and the answer is the same for all these entries;
//! 3. [`CompiledAccess::entry`]: the rest for one entry: self, parent, target, targetfilter, userattr.
//!
//! The answer is a set of attribute types ([`AttributeRights`]); where it says "all user attributes", the caller
//! copies bytes as they stand.
//!
//! Invariants
//! - Default is no. A deny that applies beats every allow, wherever either stands (389-DS).
//! - The administrator is not judged.
//! - What cannot be known never gives: an allow needs every condition true, a deny applies unless a condition is
//!   false. Unknown are: the name of a host that could not be had, a filter that is Undefined for the entry, a rule whose
//!   text cannot be read. The last denies everything to everybody below its holder, for it may have been a deny.
//! - Compiled and naive evaluation agree (`tests.rs` compares them over generated rules).
//!
//! Meaning of `targetattr`
//! - `*` is all user attributes, `+` all operational ones, `!=` all user attributes except those named (OpenDJ).
//! - A name covers its subtypes and all options.
//! - To read, search or compare a secret attribute (passwords), an allow must name it: `*`, `+`, `tele*` and `!=` do not
//!   give that away. Stricter than 389-DS, where a rule of `*` for everybody publishes every password hash. Writing
//!   secrets is not concerned, nor is any deny.
//! - Without `targetattr` a rule is about entries as a whole. Add, delete, moving and proxy never look at attributes,
//!   nor does renaming (write without an attribute); for them rules with `targetattr` count as well (389-DS).
//! - A name that the schema does not know gives nothing in an allow and takes all unknown attributes in a deny.
//!
//! Not here: which rights an operation needs (`operation`), and reading entries: facts come through
//! [`RequesterFacts`] and [`EntryFacts`].

mod attribute_set;
mod bind_rule;
mod compile;
mod decide;
mod explain;
mod macros;
mod memberships;
mod moves;
mod requests;
mod value_filters;

use super::aci::Day;
use super::requester::Requester;
use crate::model::{Dn, EntryUuid, Filter};
use crate::schema::{AttributeType, Schema};
use attribute_set::Universe;
use std::borrow::Cow;
use std::sync::Arc;

pub use attribute_set::AttributeRights;
pub use compile::{CompiledRules, RuleProblem};
pub use decide::{CompiledAccess, EntryAccess};
pub use explain::{Explanation, Outcome, RuleReport, RuleVerdict};
pub use memberships::AskedMemberships;
pub use moves::{Move, MovePlace, MoveVerdict};
pub use requests::RequestPart;
pub use value_filters::ValueChange;

/// The time as `timeofday` and `dayofweek` mean it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LocalTime {
    /// Minutes after midnight, 0 to 1439.
    pub minute_of_day: u16,
    /// The day.
    pub day: Day,
}

impl LocalTime {
    /// From unix milliseconds and the offset of local time from UTC in seconds.
    pub fn from_unix_ms(unix_ms: u64, offset_s: i32) -> Self {
        let minutes = i64::try_from(unix_ms / 60_000).unwrap_or(i64::MAX / 2) + i64::from(offset_s / 60);
        let minute_of_day = u16::try_from(minutes.rem_euclid(24 * 60)).unwrap_or(0);
        // Day 0 of unix time was a Thursday.
        let weekday = usize::try_from((minutes.div_euclid(24 * 60) + 4).rem_euclid(7)).unwrap_or(0);
        Self { minute_of_day, day: Day::ALL.get(weekday).copied().unwrap_or(Day::Sunday) }
    }
}

/// On whose behalf and when rules are judged.
#[derive(Clone, Copy, Debug)]
pub struct AccessContext<'a> {
    /// Who asks.
    pub requester: &'a Requester,
    /// When; rules with `timeofday` and `dayofweek` hold for this moment only
    /// (see [`CompiledAccess::depends_on_time`]).
    pub time: LocalTime,
}

/// What the tree knows about the requester. Asked only when a rule needs it.
pub trait RequesterFacts {
    /// Whether the requester is a member of the group, nested groups included; false when there is no such group.
    /// `group_dn_key` is as `Schema::dn_key` makes it.
    fn is_member(&self, group_dn_key: &[u8]) -> bool;

    /// Whether the requester has the role, by nested roles too; false when there is no such role.
    fn has_role(&self, role_dn_key: &[u8]) -> bool;

    /// Whether the requester's own entry matches, without looking at access rules. `None`: Undefined, or no entry.
    fn requester_matches(&self, filter: &Filter<'_>) -> Option<bool>;
}

/// What is known about the entry that a decision is about. Asked only when a rule needs it.
///
/// For an add it is the entry as it would be; for a rename, the entry as it is, and the caller asks about the new
/// superior apart.
pub trait EntryFacts {
    /// The entry's identity; `None` while it is being added.
    fn uuid(&self) -> Option<EntryUuid>;

    /// The identity of its superior; `None` for a suffix and the root.
    fn superior_uuid(&self) -> Option<EntryUuid>;

    /// Its DN as `Schema::dn_key` makes it.
    fn dn_key(&self) -> Cow<'_, [u8]>;

    /// Its DN as text; for patterns with `*`.
    fn dn(&self) -> Cow<'_, str>;

    /// How many RDNs its DN has.
    fn rdn_count(&self) -> usize {
        Dn::parse(&self.dn()).map_or(0, |dn| dn.rdns().len())
    }

    /// Whether the entry matches, without looking at access rules. `None`: Undefined.
    ///
    /// The filter is one of a rule and lives as long as the rules: what it is compiled to may be kept.
    fn matches(&self, filter: &Filter<'_>) -> Option<bool>;

    /// As [`Self::matches`], for a filter that was made for this one question.
    fn matches_once(&self, filter: &Filter<'_>) -> Option<bool>;

    /// Calls `see` with every value of the attribute (and its subtypes and options); `level` 0 is the entry itself,
    /// 1 its superior, and so on. Nothing is seen above the suffix.
    fn values(&self, level: u8, attribute: &AttributeType, see: &mut dyn FnMut(&[u8]));
}

/// Compiles rules against one schema. Cheap to clone; make a new one when the schema changes.
#[derive(Clone)]
pub struct AccessCompiler {
    schema: Arc<Schema>,
    universe: Arc<Universe>,
}

impl AccessCompiler {
    /// Cost: one walk over the attribute types.
    pub fn new(schema: Arc<Schema>) -> Self {
        let universe = Arc::new(Universe::new(&schema));
        Self { schema, universe }
    }
}

#[cfg(test)]
mod tests;
