//! What this node sends to its peers: changes as they come, ranges asked for, and answers to questions about states.
//!
//! For each session there is a place in every origin's log that the peer wants, and one read under way. What was sent
//! and not acknowledged is bounded by bytes and by count, so a slow peer costs a bounded amount and stops nobody else.
//! A peer that lost something asks for it by number; nothing is remembered about what it may have lost. Whoever follows what
//! this node writes is sent first what it wrote under its origins before, and does not hold.
//!
//! Who takes whole entries takes the vector of the first answer with them, and reads the log from there. What replaced or deleted
//! something may be in that vector while what it replaced is not, so it must come with the entries: a node forgets nothing while
//! it gives them to one for which nobody waits with forgetting (a consumer), and gives no more of them once it did.

use super::interface::{Answer, Output, ReadRequest};
use super::peer::Giving;
use super::{Purpose, Replicator};
use crate::model::EntryUuid;
use crate::replication::member::{Member, MemberState, SessionId};
use crate::replication::message::{ANSWERS, Buckets, Entries, Heads, Interest, Message, Moment, Push, Snapshot};
use crate::replication::replicator::Holding;
use crate::state::{Dot, NodeId, OriginId, PortableEntry};

/// States in one message, about.
const MESSAGE_BYTES: usize = 8 << 20;
/// Entries asked for in one message at most.
const ENTRIES_ASKED_MAX: usize = 4096;

impl Replicator {
    /// Reads what the next message to each peer is to hold, as credits allow.
    pub(super) fn supply_all(&mut self, out: &mut Vec<Output>) {
        if !self.role().may_forward() {
            return;
        }
        let sessions: Vec<SessionId> = self.peers.keys().copied().collect();
        for session in sessions {
            self.supply(session, out);
        }
    }

    fn supply(&mut self, session: SessionId, out: &mut Vec<Output>) {
        let options = &self.options;
        let Some(peer) = self.peers.get_mut(&session) else { return };
        let supply = &mut peer.supply;
        if supply.reading.is_some()
            || supply.under_way_bytes >= options.credit_bytes
            || supply.under_way_records >= options.credit_records
        {
            return;
        }
        let vector = &self.holding.vector;
        let own = self.members.get(&self.node);
        let withholds = |origin| self.incarnation.withholds(origin, own);
        while supply.ranges.front().is_some_and(|(origin, first, last)| {
            first > last || vector.sequence(*origin) < *first || withholds(*origin)
        }) {
            supply.ranges.pop_front();
        }
        let theirs = &peer.vector;
        // What this node writes now may stand on what it wrote before, which is lost if the node is lost in between.
        let follows = supply.wants(self.holding.origin);
        let before = self.incarnation.before().filter(|origin| follows && !withholds(*origin));
        let before = before.filter(|origin| !supply.trimmed.contains(origin)).find_map(|origin| {
            let sent = supply.cursors.get(&origin).copied().unwrap_or(0);
            let (first, last) = (sent.max(theirs.sequence(origin) + 1), vector.sequence(origin));
            (first <= last).then_some((origin, first, last))
        });
        let next = match (before, supply.ranges.front()) {
            (Some((origin, first, last)), _) => {
                supply.cursors.insert(origin, first);
                Some((origin, first, last, false))
            }
            (None, Some((origin, first, last))) => Some((*origin, *first, *last, true)),
            (None, None) => {
                // Origins take turns: those after the last one first.
                let turn = supply.last;
                let after = vector.iter().filter(|(origin, _)| *origin > turn);
                let before = vector.iter().filter(|(origin, _)| *origin <= turn);
                let mut origins = after.chain(before).map(|(origin, _)| origin).filter(|origin| !withholds(*origin));
                origins.find_map(|origin| {
                    if !supply.wants(origin) || supply.trimmed.contains(&origin) {
                        return None;
                    }
                    let start = || theirs.sequence(origin) + 1;
                    let cursor = *supply.cursors.entry(origin).or_insert_with(start);
                    let last = vector.sequence(origin);
                    (cursor <= last).then_some((origin, cursor, last, false))
                })
            }
        };
        let Some((origin, first, last, is_range)) = next else { return };
        supply.last = origin;
        let bytes_max = options.batch_bytes;
        let read = ReadRequest::Log { origin, first, last, bytes_max };
        let request = self.read(read, Purpose::Stream { session, origin, is_range }, out);
        if let Some(peer) = self.peers.get_mut(&session) {
            peer.supply.reading = Some(request);
        }
    }

    /// Log records to be sent were read.
    pub(super) fn streamed(
        &mut self,
        session: SessionId,
        origin: OriginId,
        is_range: bool,
        answer: Answer,
        out: &mut Vec<Output>,
    ) {
        let answers = self.answers_for(origin);
        let Some(peer) = self.peers.get_mut(&session) else { return };
        let answers = peer.greeting.filter(|greeting| greeting.level >= ANSWERS).map(|_| answers);
        let supply = &mut peer.supply;
        supply.reading = None;
        match answer {
            Answer::Log(records) => {
                let (Some(first), Some(last)) = (records.first(), records.last()) else {
                    // Less is held than the vector said (it was set back): what follows is asked for anew.
                    supply.cursors.remove(&origin);
                    if is_range {
                        supply.ranges.pop_front();
                    }
                    return;
                };
                let (first, chain, last) = (first.sequence, first.chain, last.sequence);
                if is_range {
                    if let Some(range) = supply.ranges.front_mut()
                        && range.0 == origin
                    {
                        range.1 = last + 1;
                    }
                } else if supply.cursors.get(&origin).is_some_and(|cursor| *cursor == first) {
                    supply.cursors.insert(origin, last + 1);
                } else {
                    // It was set to another place while the read was under way.
                    return;
                }
                let records = records.into_iter().map(|record| record.bytes).collect();
                let push = Push { origin, answers, first, chain, records };
                supply.sent(origin, last, push.records.len(), push.bytes());
                out.push(Output::Send { session, message: Message::Push(push) });
            }
            Answer::LogTrimmed { first_kept } => {
                supply.ranges.retain(|range| range.0 != origin);
                supply.trimmed.insert(origin);
                out.push(Output::Send { session, message: Message::Trimmed { origin, first_kept } });
            }
            _ => {
                // The store failed: the peer asks again.
                supply.ranges.retain(|range| range.0 != origin);
                supply.cursors.remove(&origin);
                supply.trimmed.insert(origin);
            }
        }
    }

    /// The peer says which changes it wants as they come.
    pub(super) fn interest_received(&mut self, session: SessionId, mut interest: Interest) {
        let Some(peer) = self.peers.get_mut(&session) else { return };
        interest.origins.sort_unstable();
        let supply = &mut peer.supply;
        for (origin, held) in std::mem::take(&mut interest.held) {
            supply.cursors.insert(origin, held.saturating_add(1));
            supply.forget_under_way(origin);
        }
        supply.trimmed.clear();
        supply.interest = Some(interest);
    }

    /// The peer asks for changes by number.
    pub(super) fn range_requested(&mut self, session: SessionId, origin: OriginId, first: u64, last: u64) {
        let Some(peer) = self.peers.get_mut(&session) else { return };
        peer.supply.forget_under_way(origin);
        peer.supply.ask(origin, first.max(1), last);
    }

    /// A question about states.
    pub(super) fn serve(&mut self, session: SessionId, question: Message, out: &mut Vec<Output>) {
        if !self.role().may_forward() {
            return;
        }
        let bytes_max = self.options.states_bytes;
        let (exchange, buckets, after, read) = match question {
            Message::BucketsRequest { exchange } => (exchange, Vec::new(), Vec::new(), ReadRequest::Buckets),
            Message::HeadsRequest { exchange, buckets } => {
                (exchange, buckets.clone(), Vec::new(), ReadRequest::Heads { buckets })
            }
            Message::EntriesRequest { exchange, mut wanted } => {
                wanted.truncate(ENTRIES_ASKED_MAX);
                (exchange, Vec::new(), Vec::new(), ReadRequest::Entries { wanted, bytes_max })
            }
            Message::SnapshotRequest { exchange, after } => {
                (exchange, Vec::new(), after.clone(), ReadRequest::Snapshot { after, bytes_max })
            }
            _ => return,
        };
        if self.may_give(session, exchange) {
            self.read(read, Purpose::Serve { session, exchange, buckets, after }, out);
        }
    }

    /// Whether the peer may have more states by this exchange; while it asks, nothing is forgotten.
    fn may_give(&mut self, session: SessionId, exchange: u64) -> bool {
        let Some(peer) = self.peers.get_mut(&session) else { return false };
        if self.members.get(&peer.node).is_some_and(Member::holds_cut) {
            peer.supply.giving = None;
            return true;
        }
        let is_void = peer.supply.giving.is_some_and(|giving| giving.exchange == exchange && giving.is_void);
        let asked_ms = Some(self.now.monotonic_ms).filter(|_| !is_void);
        peer.supply.giving = Some(Giving { exchange, asked_ms, is_void });
        !is_void
    }

    /// Whether a peer is taking states for which nobody waits with forgetting. One that asks for nothing for as long as a session may
    /// be silent is waited for no longer.
    pub(super) fn is_giving(&self) -> bool {
        let until = |asked_ms: u64| asked_ms + self.options.silence_ms;
        let mut asked = self.peers.values().filter_map(|peer| peer.supply.giving?.asked_ms);
        asked.any(|asked_ms| self.now.monotonic_ms < until(asked_ms))
    }

    /// Something is forgotten here: exchanges that peers began before give nothing more.
    pub(super) fn end_giving(&mut self) {
        for giving in self.peers.values_mut().filter_map(|peer| peer.supply.giving.as_mut()) {
            (giving.asked_ms, giving.is_void) = (None, true);
        }
    }

    /// What a question about states asked for was read.
    pub(super) fn serve_answered(
        &mut self,
        session: SessionId,
        exchange: u64,
        buckets: Vec<u16>,
        after: Vec<u8>,
        answer: Answer,
        out: &mut Vec<Output>,
    ) {
        if matches!(answer, Answer::Snapshot { next: None, .. })
            && let Some(peer) = self.peers.get_mut(&session)
            && let Some(giving) = peer.supply.giving.as_mut().filter(|giving| giving.exchange == exchange)
        {
            giving.asked_ms = None;
        }
        let Some(peer) = self.peers.get(&session) else { return };
        let moment = |holding: Holding| self.moment(peer.node, holding);
        let message = match answer {
            Answer::Entries { holding, absent, entries } => {
                return self.send_entries(session, exchange, *holding, absent, entries, out);
            }
            Answer::Buckets { holding, sums } => Message::Buckets(Buckets { exchange, held: moment(*holding), sums }),
            Answer::Heads { holding, heads } => {
                Message::Heads(Heads { exchange, held: moment(*holding), buckets, heads })
            }
            Answer::Snapshot { holding, entries, next, entries_total } => {
                Message::Snapshot(Snapshot { exchange, held: moment(*holding), after, next, entries_total, entries })
            }
            _ => return,
        };
        out.push(Output::Send { session, message });
    }

    /// Sends states in messages of bounded size: a large entry is in several.
    fn send_entries(
        &self,
        session: SessionId,
        exchange: u64,
        holding: Holding,
        absent: Vec<(EntryUuid, Dot)>,
        entries: Vec<PortableEntry>,
        out: &mut Vec<Output>,
    ) {
        let Some(peer) = self.peers.get(&session) else { return };
        let held = self.moment(peer.node, holding);
        let mut entries = entries.into_iter().peekable();
        let mut absent = Some(absent);
        loop {
            let (mut part, mut bytes) = (Vec::new(), 0);
            while let Some(entry) =
                entries.next_if(|entry| part.is_empty() || bytes + entry.bytes.len() <= MESSAGE_BYTES)
            {
                bytes += entry.bytes.len();
                part.push(entry);
            }
            let more = entries.peek().is_some();
            let absent = absent.take().unwrap_or_default();
            let message = Message::Entries(Entries { exchange, held: held.clone(), absent, entries: part, more });
            out.push(Output::Send { session, message });
            if !more {
                return;
            }
        }
    }

    fn moment(&self, asker: NodeId, holding: Holding) -> Moment {
        // A node that knows no members yet, or has not all content, is of no help to a node that joins; nor is one whose content
        // has changes that it is to write again. To whom lacks changes that no log has it is: two of whom each waits for what
        // only the other's content has would wait for ever.
        let is_whole = !self.is_filling() && !self.withholds_too_much();
        let knows = self.members.get(&asker).filter(|_| is_whole);
        let standing = knows.map_or(MemberState::Suspended, |member| member.state);
        Moment { vector: holding.vector, clock: holding.clock, standing }
    }
}
