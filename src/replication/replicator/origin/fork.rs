//! Where two histories of one of this node's origins part, found with a peer by comparing chains in rounds.
//!
//! Both sides kept a chain for each number that is still in their log. The last number with the same chain is where the
//! histories part; what this node holds behind it is written again under the running origin (`origin`). Each round
//! asks for up to [`SEARCH_WIDTH`] numbers between the last that is known to be the same and the first that is not.
//!
//! Who holds more of an origin than this node may hold just what stands here, and what came after it. So whoever finds that
//! asks first: written again is only what stands for something else there. A birth that is written again ends the first one, and
//! with it what others change in it meanwhile.

use std::collections::BTreeMap;

use super::super::exchange::Cause;
use super::super::interface::{Alarm, Output, ReadRequest};
use super::super::{Purpose, Replicator};
use crate::replication::member::SessionId;
use crate::replication::message::Message;
use crate::state::OriginId;

/// Numbers looked at in one round of the search for where two histories part.
const SEARCH_WIDTH: u64 = 64;

/// A search for the last number that two histories of an origin have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    pub(super) session: SessionId,
    origin: OriginId,
    /// The same here and there.
    same: u64,
    /// Different.
    different: u64,
    /// Nothing different was seen yet: `different` is one above what is held here.
    is_supposed: bool,
    pub(super) asked_ms: u64,
}

impl Replicator {
    /// A new peer holds an earlier number of this node's origins: whether it is of the same history is read in the log.
    pub(in crate::replication::replicator) fn check_own_chains(&mut self, session: SessionId, out: &mut Vec<Output>) {
        let Some(peer) = self.peers.get(&session) else { return };
        let own = self.incarnation.own.iter().copied().chain([self.holding.origin]);
        let vector = &self.holding.vector;
        let checks: Vec<_> = own
            .map(|origin| (origin, peer.vector.position(origin)))
            .filter(|(_, theirs)| theirs.sequence > 0 && theirs.known_chain().is_some())
            .filter(|(origin, theirs)| theirs.sequence < vector.sequence(*origin))
            .collect();
        for (origin, theirs) in checks {
            let purpose = Purpose::OwnChains { session, origin, theirs: vec![(theirs.sequence, theirs.chain)] };
            self.read(ReadRequest::Chains { origin, sequences: vec![theirs.sequence] }, purpose, out);
        }
    }

    /// Two histories of one origin were met.
    pub(in crate::replication::replicator) fn fork_found(
        &mut self,
        origin: OriginId,
        session: Option<SessionId>,
        out: &mut Vec<Output>,
    ) {
        let peer = session.and_then(|session| self.peers.get(&session)).map(|peer| peer.node).unwrap_or_default();
        self.alarm_once(Alarm::Fork { origin, peer }, out);
        self.incarnation.forked.insert(origin);
        // What this node wrote of it and took back stays away, though others go on to tell it: it is like anybody's.
        let is_ours = self.incarnation.own.contains(&origin) && !self.incarnation.set_back.contains(&origin);
        if origin == self.holding.origin || is_ours {
            self.incarnation.unresolved.insert(origin);
        }
        if origin == self.holding.origin {
            // It is left first; what only this node holds of it is written again when its end is known.
            self.incarnation.catch_up.get_or_insert_default();
            return self.rotate(out);
        }
        let Some(session) = session else { return };
        if is_ours {
            let different = self.holding.vector.sequence(origin);
            return self.search_fork(session, origin, different, out);
        }
        self.consumer.trimmed.insert(origin);
        self.begin_exchange(session, Cause::Fork, out);
    }

    /// Begins to search where the histories part.
    pub(super) fn search_fork(&mut self, session: SessionId, origin: OriginId, different: u64, out: &mut Vec<Output>) {
        let search = Search { session, origin, same: 0, different, is_supposed: false, asked_ms: 0 };
        self.search(search, out);
    }

    /// Begins to search whether they part at all, as the peer holds more than this node.
    pub(super) fn search_below(&mut self, session: SessionId, origin: OriginId, out: &mut Vec<Output>) {
        let different = self.holding.vector.sequence(origin) + 1;
        self.search(Search { session, origin, same: 0, different, is_supposed: true, asked_ms: 0 }, out);
    }

    fn search(&mut self, search: Search, out: &mut Vec<Output>) {
        let origin = search.origin;
        let now_ms = self.now.monotonic_ms;
        let reissues = &self.incarnation.reissues;
        let fresh =
            self.incarnation.search.is_some_and(|search| now_ms < search.asked_ms + self.options.exchange_retry_ms);
        if fresh || self.incarnation.reissuing || reissues.iter().any(|(queued, _)| *queued == origin) {
            return;
        }
        self.search_on(Search { asked_ms: now_ms, ..search }, out);
    }

    pub(super) fn search_on(&mut self, search: Search, out: &mut Vec<Output>) {
        let Search { session, origin, same, different, .. } = search;
        let step = ((different - same) / SEARCH_WIDTH).max(1);
        let sequences: Vec<u64> = (same + 1..different).rev().step_by(usize::try_from(step).unwrap_or(1)).collect();
        let sequences: Vec<u64> = sequences.into_iter().rev().collect();
        if sequences.is_empty() && search.is_supposed {
            // All that is here is there too.
            self.incarnation.search = None;
            self.incarnation.unresolved.remove(&origin);
            return;
        }
        if sequences.is_empty() {
            self.incarnation.search = None;
            self.incarnation.reissues.push_back((origin, same));
            return;
        }
        self.incarnation.search = Some(Search { asked_ms: self.now.monotonic_ms, ..search });
        out.push(Output::Send { session, message: Message::ChainsRequest { origin, sequences } });
    }

    /// A peer's chains came.
    pub(in crate::replication::replicator) fn chains_received(
        &mut self,
        session: SessionId,
        origin: OriginId,
        theirs: Vec<(u64, [u8; 16])>,
        out: &mut Vec<Output>,
    ) {
        if !self.incarnation.search.is_some_and(|search| search.session == session && search.origin == origin) {
            return;
        }
        let sequences = theirs.iter().map(|(sequence, _)| *sequence).collect();
        let purpose = Purpose::OwnChains { session, origin, theirs };
        self.read(ReadRequest::Chains { origin, sequences }, purpose, out);
    }

    /// Both sides' chains are here.
    pub(in crate::replication::replicator) fn compare_chains(
        &mut self,
        session: SessionId,
        origin: OriginId,
        ours: &[(u64, [u8; 16])],
        theirs: &[(u64, [u8; 16])],
        out: &mut Vec<Output>,
    ) {
        let ours: BTreeMap<u64, [u8; 16]> = ours.iter().copied().collect();
        let pairs = theirs.iter().filter_map(|(sequence, chain)| Some((*sequence, ours.get(sequence)? == chain)));
        let (mut same, mut different) = (None, None);
        for (sequence, equal) in pairs {
            if equal {
                same = same.max(Some(sequence));
            } else {
                different = Some(different.map_or(sequence, |least: u64| least.min(sequence)));
            }
        }
        let searching = self.incarnation.search.filter(|search| search.session == session && search.origin == origin);
        match searching {
            Some(search) => {
                let next = Search {
                    same: same.unwrap_or(0).max(search.same),
                    different: different.unwrap_or(search.different).min(search.different),
                    is_supposed: search.is_supposed && different.is_none(),
                    ..search
                };
                if (next.same, next.different) == (search.same, search.different) {
                    // Nothing in between is in both logs: what is behind the last common one is written again, of which
                    // nothing is known what this run wrote.
                    self.incarnation.search = None;
                    let settled = if next.is_supposed { self.stability.settled(origin) } else { 0 };
                    let begun = self.incarnation.begun(origin).max(settled).min(next.different.saturating_sub(1));
                    let after = if next.same == 0 { begun } else { next.same };
                    self.incarnation.reissues.push_back((origin, after));
                } else {
                    self.search_on(next, out);
                }
            }
            None if different.is_some() => self.fork_found(origin, Some(session), out),
            None => {}
        }
    }
}
