//! How much one search may take, by who asks. Zero always means no limit, in settings and in requests alike.

use super::requester::RequesterKind;
use std::time::Duration;

/// Settings of the section `limits`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitsOptions {
    /// `limits.size`: most entries in one answer to an authenticated requester. 0: none. A page of paged results
    /// counts by itself.
    pub size: u32,
    /// `limits.size_anonymous`: the same for anonymous requesters; against harvesting. 0: none.
    pub size_anonymous: u32,
    /// `limits.time_s`: longest time for one search, in seconds. 0: none.
    pub time_s: u32,
    /// `limits.look_through`: most candidates that a search without a fitting index may look at. 0: none.
    pub look_through: u32,
    /// `limits.sort_bytes`: most bytes of sort keys that one sorted search may gather; all of them together may gather
    /// four times as much.
    pub sort_bytes: u32,
    /// `limits.tree_delete`: most entries that one tree delete may take away.
    pub tree_delete: u32,
    /// `limits.transaction_updates`: most updates of one transaction.
    pub transaction_updates: u32,
    /// `limits.transaction_bytes`: most bytes of values that one transaction may bring.
    pub transaction_bytes: u32,
    /// `limits.transaction_s`: seconds that a transaction may be open.
    pub transaction_s: u32,
}

impl Default for LimitsOptions {
    fn default() -> Self {
        Self {
            size: 1_000,
            size_anonymous: 100,
            time_s: 60,
            look_through: 5_000,
            sort_bytes: 64 * 1024 * 1024,
            tree_delete: 10_000,
            transaction_updates: 1_000,
            transaction_bytes: 1024 * 1024,
            transaction_s: 60,
        }
    }
}

/// What binds one search; `None` is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SearchLimits {
    /// Most entries and references to return before sizeLimitExceeded.
    pub size: Option<u32>,
    /// Longest time before timeLimitExceeded.
    pub time: Option<Duration>,
    /// Most candidates to look at without an index before unwillingToPerform or adminLimitExceeded.
    pub look_through: Option<u32>,
}

/// The lower of two limits where 0 is none.
fn lower(left: u32, right: u32) -> Option<u32> {
    [left, right].into_iter().filter(|limit| *limit != 0).min()
}

impl LimitsOptions {
    /// The limits of one search. `size` and `time_s` are what the request asks for (RFC 4511 4.5.1.4, 4.5.1.5); a
    /// client can only lower its own limits. The administrator is bound by what it asked for alone.
    pub fn for_search(&self, kind: &RequesterKind, size: u32, time_s: u32) -> SearchLimits {
        let (size_max, time_max, look_through) = match kind {
            RequesterKind::Administrator { .. } => (0, 0, 0),
            RequesterKind::Anonymous => (self.size_anonymous, self.time_s, self.look_through),
            RequesterKind::Entry { .. } => (self.size, self.time_s, self.look_through),
        };
        SearchLimits {
            size: lower(size_max, size),
            time: lower(time_max, time_s).map(|seconds| Duration::from_secs(seconds.into())),
            look_through: lower(look_through, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EntryUuid;

    #[test]
    fn a_client_can_only_lower_its_limits() {
        let options = LimitsOptions::default();
        let entry = RequesterKind::Entry { uuid: EntryUuid::NIL, dn: String::new(), dn_key: Vec::new() };
        assert_eq!(options.for_search(&entry, 0, 0).size, Some(1_000));
        assert_eq!(options.for_search(&entry, 50, 0).size, Some(50));
        assert_eq!(options.for_search(&entry, 5_000, 0).size, Some(1_000));
        assert_eq!(options.for_search(&entry, 0, 5).time, Some(Duration::from_secs(5)));
        assert_eq!(options.for_search(&entry, 0, 600).time, Some(Duration::from_secs(60)));
        assert_eq!(options.for_search(&RequesterKind::Anonymous, 0, 0).size, Some(100));
    }

    #[test]
    fn the_administrator_is_bound_by_its_own_request_alone() {
        let admin = RequesterKind::Administrator { dn: String::new() };
        assert_eq!(LimitsOptions::default().for_search(&admin, 0, 0), SearchLimits::default());
        assert_eq!(LimitsOptions::default().for_search(&admin, 7, 0).size, Some(7));
    }

    #[test]
    fn zero_is_no_limit() {
        let options =
            LimitsOptions { size: 0, size_anonymous: 0, time_s: 0, look_through: 0, ..LimitsOptions::default() };
        assert_eq!(options.for_search(&RequesterKind::Anonymous, 0, 0), SearchLimits::default());
        assert_eq!(options.for_search(&RequesterKind::Anonymous, 9, 9).size, Some(9));
    }
}
