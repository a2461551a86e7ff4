//! How much one search may take, by who asks. Zero always means no limit, in settings and in requests alike.

use super::requester::{Requester, RequesterKind};
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

/// What an entry says that whoever binds as it may take, in the place of the settings; `None`: as they say, 0: no limit.
///
/// As 389 Directory Server has it: operational attributes of the entry, where -1 is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OwnLimits {
    /// `nsSizeLimit`, for `limits.size`: entries.
    pub size: Option<u32>,
    /// `nsTimeLimit`, for `limits.time_s`: seconds.
    pub time_s: Option<u32>,
    /// `nsLookThroughLimit`, for `limits.lookthrough`: entries.
    pub look_through: Option<u32>,
    /// `nsPagedSizeLimit`: entries in all pages of one search together; then a page may be as long as that.
    pub paged_size: Option<u32>,
    /// `nsPagedLookThroughLimit`, for `look_through` in searches by pages: entries.
    pub paged_look_through: Option<u32>,
    /// `nsIdleTimeout`, for `limits.idle_s`: seconds.
    pub idle_s: Option<u32>,
}

impl OwnLimits {
    /// A limit as its value says: a number, or -1 for none; `None`: no such value.
    pub fn read(value: &[u8]) -> Option<u32> {
        match std::str::from_utf8(value).ok()?.parse::<i64>().ok()? {
            -1 => Some(0),
            number => u32::try_from(number).ok(),
        }
    }
}

/// The lower of two limits where 0 is none.
fn lower(left: u32, right: u32) -> Option<u32> {
    [left, right].into_iter().filter(|limit| *limit != 0).min()
}

impl LimitsOptions {
    /// The limits of one search. `size` and `time_s` are what the request asks for (RFC 4511 4.5.1.4, 4.5.1.5); a
    /// client can only lower its own limits. The administrator is bound by what it asked for alone.
    pub fn for_search(&self, requester: &Requester, size: u32, time_s: u32) -> SearchLimits {
        let own = requester.limits.as_deref().copied().unwrap_or_default();
        let (size_max, time_max, look_through) = match requester.kind {
            RequesterKind::Administrator { .. } => (0, 0, 0),
            RequesterKind::Anonymous => (self.size_anonymous, self.time_s, self.look_through),
            RequesterKind::Entry { .. } => (
                own.size.unwrap_or(self.size),
                own.time_s.unwrap_or(self.time_s),
                own.look_through.unwrap_or(self.look_through),
            ),
        };
        SearchLimits {
            size: lower(size_max, size),
            time: lower(time_max, time_s).map(|seconds| Duration::from_secs(seconds.into())),
            look_through: lower(look_through, 0),
        }
    }

    /// Most candidates that a search by pages may look at without an index.
    pub fn look_through_by_pages(&self, requester: &Requester) -> Option<u32> {
        match requester.limits.as_ref().and_then(|own| own.paged_look_through) {
            Some(paged) => lower(paged, 0),
            None => self.for_search(requester, 0, 0).look_through,
        }
    }

    /// Most entries of one page (RFC 2696), which counts by itself.
    pub fn for_page(&self, requester: &Requester) -> Option<u32> {
        match requester.limits.as_ref().and_then(|own| own.paged_size) {
            Some(paged) => lower(paged, 0),
            None => self.for_search(requester, 0, 0).size,
        }
    }

    /// Most entries of all pages of one search, which asks for `size`. Anonymous requesters are limited in all as in one
    /// answer, against gathering everything.
    pub fn for_pages(&self, requester: &Requester, size: u32) -> Option<u32> {
        match &requester.kind {
            RequesterKind::Anonymous => self.for_search(requester, size, 0).size,
            _ => lower(requester.limits.as_ref().and_then(|own| own.paged_size).unwrap_or(0), size),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EntryUuid;
    use crate::policy::requester::Authentication;
    use std::sync::Arc;

    fn requester(kind: RequesterKind) -> Requester {
        Requester::anonymous(None, 0, true).with_identity(kind, Authentication::Simple)
    }

    fn entry() -> Requester {
        requester(RequesterKind::Entry { uuid: EntryUuid::NIL, dn: String::new(), dn_key: Vec::new() })
    }

    fn anonymous() -> Requester {
        Requester::anonymous(None, 0, true)
    }

    #[test]
    fn an_entry_may_have_limits_of_its_own() {
        let options = LimitsOptions::default();
        let own = |own: OwnLimits| entry().with_limits(Some(Arc::new(own)));
        let more = own(OwnLimits { size: Some(5_000), time_s: Some(0), look_through: Some(7), ..OwnLimits::default() });
        let limits = options.for_search(&more, 0, 0);
        assert_eq!((limits.size, limits.time, limits.look_through), (Some(5_000), None, Some(7)));
        assert_eq!(options.for_search(&more, 10, 3).size, Some(10));
        assert_eq!((options.for_page(&more), options.for_pages(&more, 0)), (Some(5_000), None));
        assert_eq!(options.look_through_by_pages(&more), Some(7));
        let looks = own(OwnLimits { look_through: Some(7), paged_look_through: Some(0), ..OwnLimits::default() });
        assert_eq!(
            (options.look_through_by_pages(&looks), options.for_search(&looks, 0, 0).look_through),
            (None, Some(7))
        );
        assert_eq!(options.look_through_by_pages(&entry()), Some(5_000));
        let paged = own(OwnLimits { paged_size: Some(3_000), ..OwnLimits::default() });
        assert_eq!(options.for_search(&paged, 0, 0).size, Some(1_000));
        assert_eq!((options.for_page(&paged), options.for_pages(&paged, 0)), (Some(3_000), Some(3_000)));
        assert_eq!(options.for_pages(&paged, 9), Some(9));
        let endless = own(OwnLimits { paged_size: Some(0), ..OwnLimits::default() });
        assert_eq!((options.for_page(&endless), options.for_pages(&endless, 0)), (None, None));
        assert_eq!((options.for_page(&anonymous()), options.for_pages(&anonymous(), 0)), (Some(100), Some(100)));
    }

    #[test]
    fn a_value_is_a_number_or_minus_one() {
        let read = |value: &str| OwnLimits::read(value.as_bytes());
        assert_eq!((read("0"), read("7"), read("-1")), (Some(0), Some(7), Some(0)));
        assert_eq!((read("-2"), read("4294967296"), read("many"), read("")), (None, None, None, None));
    }

    #[test]
    fn a_client_can_only_lower_its_limits() {
        let options = LimitsOptions::default();
        let entry = entry();
        assert_eq!(options.for_search(&entry, 0, 0).size, Some(1_000));
        assert_eq!(options.for_search(&entry, 50, 0).size, Some(50));
        assert_eq!(options.for_search(&entry, 5_000, 0).size, Some(1_000));
        assert_eq!(options.for_search(&entry, 0, 5).time, Some(Duration::from_secs(5)));
        assert_eq!(options.for_search(&entry, 0, 600).time, Some(Duration::from_secs(60)));
        assert_eq!(options.for_search(&anonymous(), 0, 0).size, Some(100));
    }

    #[test]
    fn the_administrator_is_bound_by_its_own_request_alone() {
        let admin = requester(RequesterKind::Administrator { dn: String::new() });
        assert_eq!(LimitsOptions::default().for_search(&admin, 0, 0), SearchLimits::default());
        assert_eq!(LimitsOptions::default().for_search(&admin, 7, 0).size, Some(7));
    }

    #[test]
    fn zero_is_no_limit() {
        let options =
            LimitsOptions { size: 0, size_anonymous: 0, time_s: 0, look_through: 0, ..LimitsOptions::default() };
        assert_eq!(options.for_search(&anonymous(), 0, 0), SearchLimits::default());
        assert_eq!(options.for_search(&anonymous(), 9, 9).size, Some(9));
    }
}
