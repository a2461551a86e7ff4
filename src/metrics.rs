//! What the node counts, with names and units in one list.
//!
//! Counting is one relaxed atomic addition, so it may stand on the hot path; no number here orders anything. The node
//! makes one [`Metrics`] and hands it down; nobody keeps counters of its own that an operator should see.
//!
//! Names are made to be shown as they are (`cn=monitor`, and Prometheus text later): what is counted, then the unit,
//! then `total` for what only rises.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that rises and falls.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// One more.
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less; never below 0.
    pub fn decrement(&self) {
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |value| value.checked_sub(1));
    }

    /// The number as it is now.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The number as it was last set.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether a number only rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only rises while the process lives.
    Counter,
    /// Rises and falls.
    Gauge,
}

/// One number with its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Name without blanks, unit included.
    pub name: &'static str,
    /// Whether it only rises.
    pub kind: MetricKind,
    /// What it means, one sentence.
    pub help: &'static str,
    /// The number.
    pub value: u64,
}

macro_rules! metrics {
    ($($field:ident: $Kind:ident, $help:literal;)*) => {
        /// Everything the node counts. All numbers begin at 0 with the process.
        #[derive(Debug, Default)]
        pub struct Metrics {$(
            #[doc = $help]
            pub $field: $Kind,
        )*}

        impl Metrics {
            /// Every number as it is now, in the order of the list.
            pub fn samples(&self) -> Vec<Sample> {
                vec![$(Sample {
                    name: stringify!($field),
                    kind: MetricKind::$Kind,
                    help: $help,
                    value: self.$field.value(),
                },)*]
            }
        }
    };
}

metrics! {
    connections_open: Gauge, "Connections open now.";
    connections_total: Counter, "Connections accepted.";
    connections_refused_total: Counter, "Connections closed at once because there were too many.";
    tls_handshakes_failed_total: Counter, "TLS handshakes that did not succeed.";
    abandons_total: Counter, "Abandon requests.";
    adds_total: Counter, "Add requests answered.";
    binds_total: Counter, "Bind requests answered.";
    binds_failed_total: Counter, "Bind requests answered with other than success.";
    binds_throttled_total: Counter, "Binds refused unchecked, because too many have failed before.";
    compares_total: Counter, "Compare requests answered.";
    deletes_total: Counter, "Delete requests answered.";
    extended_total: Counter, "Extended requests answered.";
    modifies_total: Counter, "Modify requests answered.";
    modify_dns_total: Counter, "Modify DN requests answered.";
    searches_total: Counter, "Search requests answered.";
    unbinds_total: Counter, "Unbind requests.";
    operations_in_progress: Gauge, "Requests being worked on or waiting now.";
    entries_sent_total: Counter, "Entries sent in answer to searches.";
    references_sent_total: Counter, "Referrals sent in answer to searches.";
    bytes_in_total: Counter, "Bytes read from clients, before TLS is added or after it is taken off.";
    bytes_out_total: Counter, "Bytes written to clients, before TLS is added or after it is taken off.";
    protocol_errors_total: Counter, "Requests that were no LDAP.";
    searches_unindexed_total: Counter, "Searches that had to look at entries one by one.";
    writer_queue: Gauge, "Writes that wait for the writer now.";
    writer_commits_total: Counter, "Commits of the writer.";
    writer_writes_total: Counter, "Writes in these commits; divided by the commits, the size of a batch.";
    panics_total: Counter, "Defects of the server that ended one request or task; anything but 0 is to be reported.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown_under_its_name() {
        let metrics = Metrics::default();
        metrics.searches_total.increment();
        metrics.bytes_out_total.add(100);
        metrics.connections_open.increment();
        metrics.connections_open.decrement();
        metrics.connections_open.decrement();
        metrics.writer_queue.set(7);
        let shown: Vec<_> =
            metrics.samples().into_iter().filter(|sample| sample.value > 0).map(|s| (s.name, s.value)).collect();
        assert_eq!(shown, [("searches_total", 1), ("bytes_out_total", 100), ("writer_queue", 7)]);
    }

    #[test]
    fn names_say_whether_a_number_only_rises() {
        for sample in Metrics::default().samples() {
            assert_eq!(sample.name.ends_with("_total"), sample.kind == MetricKind::Counter, "{}", sample.name);
        }
    }
}
