//! What a node remembers of one session: who is at the other end, what it holds, and what is under way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::interface::{Now, RequestId};
use crate::replication::member::{MemberState, Role, SessionId};
use crate::replication::message::{Echo, Interest};
use crate::state::hybrid_clock::STEP_MS_MAX;
use crate::state::{BucketSum, NodeId, OriginId, UpdateVector};

/// Ranges asked for and not yet sent, at most; more are dropped and asked for again.
const RANGES_MAX: usize = 256;
/// Clock samples kept.
const SAMPLES_MAX: usize = 8;

/// One session.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) session: SessionId,
    /// By its certificate.
    pub(super) node: NodeId,
    pub(super) dialled: bool,
    pub(super) opened_ms: u64,
    pub(super) heard_ms: u64,
    /// Set once its hello was accepted.
    pub(super) greeting: Option<Greeting>,
    /// What it holds, and the digest at just that.
    pub(super) vector: UpdateVector,
    /// Whether it held just that at some moment; not if an acknowledgement was missed.
    pub(super) is_whole: bool,
    pub(super) digest: Option<BucketSum>,
    pub(super) floors: BTreeMap<OriginId, u64>,
    pub(super) supply: Supply,
    /// What was last said to be held here.
    pub(super) told: UpdateVector,
    pub(super) told_digest: Option<BucketSum>,
    /// Whether the next beacon tells the whole vector: at the beginning, and when the peer asked.
    pub(super) owes_whole: bool,
    /// Whether what the peer last said could not be understood without what came before.
    pub(super) asks_whole: bool,
    pub(super) beacon_at_ms: u64,
    pub(super) last_echo: Option<(u64, u64)>,
    pub(super) interest_told: Option<Interest>,
    /// Bytes that came and wait to be applied.
    pub(super) queued_bytes: usize,
    /// An older session of the node that may be a copy running beside: since when an answer is awaited.
    pub(super) challenged_ms: Option<u64>,
    /// When the newest message was sent here that it answered.
    pub(super) answered_ms: Option<u64>,
    /// It holds less than it once said, until it holds this again.
    pub(super) held_before: Option<BTreeMap<OriginId, u64>>,
    /// What it was last told of its own state and agreed ends.
    pub(super) standing_told: (MemberState, BTreeMap<OriginId, u64>),
    /// Since when it sends what its membership does not allow, as known here.
    pub(super) not_allowed_ms: Option<u64>,
    /// Origins of which that was.
    pub(super) unexplained: BTreeSet<OriginId>,
    /// When what it says to hold was another than before, and the sum of that.
    pub(super) risen_ms: u64,
    pub(super) held_sum: u64,
    pub(super) samples: VecDeque<Sample>,
    /// Changes that were new, by second.
    pub(super) applied: VecDeque<(u64, u64)>,
}

/// What a hello said for good.
#[derive(Clone, Copy, Debug)]
pub(super) struct Greeting {
    pub(super) origin: OriginId,
    pub(super) boot: u64,
    pub(super) role: Role,
    /// The version of the protocol that both speak.
    pub(super) level: u32,
}

/// One comparison of clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) round_trip_ms: u64,
    pub(super) offset_ms: i64,
}

/// What this node sends on the session.
#[derive(Debug, Default)]
pub(super) struct Supply {
    /// What the peer wants as it comes.
    pub(super) interest: Option<Interest>,
    /// The next number to send, by origin.
    pub(super) cursors: BTreeMap<OriginId, u64>,
    /// Origins of which the log does not go back far enough: the peer was told.
    pub(super) trimmed: BTreeSet<OriginId>,
    /// Asked for by number, both ends included.
    pub(super) ranges: VecDeque<(OriginId, u64, u64)>,
    /// The read under way.
    pub(super) reading: Option<RequestId>,
    /// Which origin was sent last, so that all take turns.
    pub(super) last: OriginId,
    /// Sent and not acknowledged: origin, last number, records, bytes.
    pub(super) under_way: VecDeque<(OriginId, u64, usize, usize)>,
    pub(super) under_way_records: usize,
    pub(super) under_way_bytes: usize,
    /// The exchange by which it takes states, if nobody waits for it with forgetting.
    pub(super) giving: Option<Giving>,
}

/// An exchange that a peer has begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Giving {
    pub(super) exchange: u64,
    /// When it asked last. None: it has what it asked for.
    pub(super) asked_ms: Option<u64>,
    /// Something was forgotten here since it began.
    pub(super) is_void: bool,
}

impl Peer {
    pub(super) fn new(session: SessionId, node: NodeId, dialled: bool, now_ms: u64) -> Self {
        Self {
            session,
            node,
            dialled,
            opened_ms: now_ms,
            heard_ms: now_ms,
            greeting: None,
            vector: UpdateVector::new(),
            is_whole: false,
            digest: None,
            floors: BTreeMap::new(),
            supply: Supply::default(),
            told: UpdateVector::new(),
            told_digest: None,
            owes_whole: true,
            asks_whole: false,
            beacon_at_ms: 0,
            last_echo: None,
            interest_told: None,
            queued_bytes: 0,
            challenged_ms: None,
            answered_ms: None,
            held_before: None,
            standing_told: Default::default(),
            not_allowed_ms: None,
            unexplained: BTreeSet::new(),
            risen_ms: now_ms,
            held_sum: 0,
            samples: VecDeque::new(),
            applied: VecDeque::new(),
        }
    }

    /// Whether changes may be asked of it: it was greeted, and no newer session stands beside.
    pub(super) fn is_open(&self) -> bool {
        self.greeting.is_some() && self.challenged_ms.is_none()
    }

    /// Whether it may send changes of others.
    pub(super) fn may_forward(&self) -> bool {
        self.greeting.is_some_and(|greeting| greeting.role.may_forward())
    }

    /// Takes a clock sample from an echo: their machine's clock beside the time of this node's stamps. Where it jumped, what
    /// was sampled before says nothing any more.
    pub(super) fn sample(&mut self, echo: Echo, their_wall_ms: u64, now: Now) {
        let Some(elapsed) = now.monotonic_ms.checked_sub(echo.sent_ms) else { return };
        let Some(round_trip_ms) = elapsed.checked_sub(echo.held_ms) else { return };
        let theirs = i64::try_from(their_wall_ms.saturating_add(round_trip_ms / 2)).unwrap_or(i64::MAX);
        let ours = i64::try_from(now.stamp_ms).unwrap_or(i64::MAX);
        let offset_ms = theirs.saturating_sub(ours);
        let has_jumped = |best: Sample| {
            let unsure_ms = (best.round_trip_ms / 2).saturating_add(round_trip_ms / 2);
            best.offset_ms.abs_diff(offset_ms) > STEP_MS_MAX.saturating_add(unsure_ms)
        };
        if self.best_sample().is_some_and(has_jumped) {
            self.samples.clear();
        }
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample { round_trip_ms, offset_ms });
    }

    /// The sample least spoilt by the way.
    pub(super) fn best_sample(&self) -> Option<Sample> {
        self.samples.iter().min_by_key(|sample| sample.round_trip_ms).copied()
    }

    /// Notes changes that were new.
    pub(super) fn count_applied(&mut self, count: u64, now_ms: u64) {
        let second = now_ms / 1000;
        match self.applied.back_mut() {
            Some((last, sum)) if *last == second => *sum += count,
            _ => self.applied.push_back((second, count)),
        }
        while self.applied.front().is_some_and(|(first, _)| first + 10 < second) {
            self.applied.pop_front();
        }
    }
}

impl Supply {
    /// Whether the peer wants this origin's changes as they come.
    pub(super) fn wants(&self, origin: OriginId) -> bool {
        self.interest
            .as_ref()
            .is_some_and(|interest| interest.all_but != interest.origins.binary_search(&origin).is_ok())
    }

    /// The peer asks for a range.
    pub(super) fn ask(&mut self, origin: OriginId, first: u64, last: u64) {
        self.trimmed.remove(&origin);
        if self.wants(origin) && self.cursors.get(&origin).is_some_and(|cursor| *cursor >= first) {
            // What is streamed anyway is streamed from there again.
            self.cursors.insert(origin, first);
            return;
        }
        self.ranges.retain(|range| range.0 != origin || range.1 < first || range.2 > last);
        if self.ranges.len() < RANGES_MAX {
            self.ranges.push_back((origin, first, last));
        }
    }

    /// Notes what was sent.
    pub(super) fn sent(&mut self, origin: OriginId, last: u64, records: usize, bytes: usize) {
        self.under_way.push_back((origin, last, records, bytes));
        self.under_way_records += records;
        self.under_way_bytes += bytes;
    }

    /// Takes what was acknowledged off the account.
    pub(super) fn acknowledged(&mut self, held: &UpdateVector) {
        self.under_way.retain(|(origin, last, records, bytes)| {
            let open = held.sequence(*origin) < *last;
            if !open {
                self.under_way_records -= records;
                self.under_way_bytes -= bytes;
            }
            open
        });
    }

    /// Everything that is under way for an origin may be lost: it is asked for again.
    pub(super) fn forget_under_way(&mut self, origin: OriginId) {
        self.under_way.retain(|(of, _, records, bytes)| {
            if *of == origin {
                self.under_way_records -= records;
                self.under_way_bytes -= bytes;
            }
            *of != origin
        });
    }
}
