//! What this node says it holds, and what it hears of that: acknowledgements and beacons.
//!
//! Vectors only grow: each run that did not end in order leaves an origin behind for good. So both tell what changed since
//! they last did on the session, and a check of the whole vector; what others hold is told by where it is not the same.
//! Whoever cannot make the whole of it, because something was lost on the way, asks for the whole in its next beacon.
//!
//! Invariants
//! - [`Peer::is_whole`](super::peer::Peer) only if the peer held just that vector at some moment.
//! - Rows are read beside the vector beside which they were written.
//! - A beacon after which the vector is not whole is answered by one that asks for it; the first on a session is whole.

use std::collections::BTreeMap;

use super::{Output, Replicator};
use crate::replication::member::SessionId;
use crate::replication::message::{Ack, Beacon, Echo, Message, vector_check};
use crate::state::{BucketSum, OriginId, UpdateVector};

/// Where what a member holds is not what the vector says.
pub(super) fn apart(held: &BTreeMap<OriginId, u64>, vector: &UpdateVector) -> Vec<(OriginId, u64)> {
    let beyond = held.iter().filter(|(origin, sequence)| vector.sequence(**origin) != **sequence);
    let lacking = vector.iter().filter(|(origin, position)| position.sequence > 0 && !held.contains_key(origin));
    beyond.map(|(origin, sequence)| (*origin, *sequence)).chain(lacking.map(|(origin, _)| (origin, 0))).collect()
}

/// The inverse of [`apart`], without origins of which nothing is held.
pub(super) fn together(apart: &[(OriginId, u64)], vector: &UpdateVector) -> BTreeMap<OriginId, u64> {
    let mut held: BTreeMap<OriginId, u64> =
        vector.iter().map(|(origin, position)| (origin, position.sequence)).collect();
    held.extend(apart.iter().copied());
    held.retain(|_, sequence| *sequence > 0);
    held
}

impl Replicator {
    /// Tells all peers what is held now.
    pub(super) fn acknowledge(&mut self, out: &mut Vec<Output>) {
        let digest = self.told_digest();
        let held = self.told_vector();
        let check = vector_check(&held);
        let clock = self.holding.clock;
        for peer in self.peers.values_mut().filter(|peer| peer.greeting.is_some()) {
            let risen = held.since(&peer.told);
            if risen.iter().len() == 0 && digest == peer.told_digest {
                continue;
            }
            peer.told = held.clone();
            peer.told_digest = digest;
            out.push(Output::Send {
                session: peer.session,
                message: Message::Ack(Ack { risen, check, digest, clock }),
            });
        }
    }

    /// The digest at the vector; none while there is content that the vector does not cover, or clients read other content.
    pub(super) fn told_digest(&self) -> Option<BucketSum> {
        let covered = self.exchange.is_none() && self.repairs.is_covered(&self.holding.vector);
        let covered = covered && !self.ahead.is_beside && !self.withholds_any();
        covered.then_some(self.holding.digest)
    }

    pub(super) fn acknowledged(&mut self, session: SessionId, ack: &Ack, out: &mut Vec<Output>) {
        let Some(peer) = self.peers.get_mut(&session) else { return };
        self.incarnation.clock_heard = self.incarnation.clock_heard.max(ack.clock);
        peer.vector.join(&ack.risen);
        // A digest belongs to one vector, and so does a row: if an acknowledgement was missed, the next beacon tells.
        let is_whole = vector_check(&peer.vector) == ack.check;
        peer.digest = ack.digest.filter(|_| is_whole);
        peer.is_whole = is_whole;
        self.peer_holds(session, out);
    }

    pub(super) fn beacon_received(&mut self, session: SessionId, beacon: Beacon, out: &mut Vec<Output>) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&session) else { return };
        self.incarnation.clock_heard = self.incarnation.clock_heard.max(beacon.clock);
        peer.last_echo = Some((beacon.sent_ms, now.monotonic_ms));
        if let Some(echo) = beacon.echo {
            peer.sample(echo, beacon.wall_ms, now);
            peer.answered_ms = peer.answered_ms.max(Some(echo.sent_ms));
            let node = peer.node;
            if self.are_twins(node) {
                return self.twins_found(session, out);
            }
        }
        let Some(peer) = self.peers.get_mut(&session) else { return };
        let vector = if beacon.is_whole { beacon.vector } else { peer.vector.changed_by(&beacon.vector) };
        peer.is_whole = vector_check(&vector) == beacon.check;
        peer.asks_whole = !peer.is_whole;
        peer.digest = beacon.digest.filter(|_| peer.is_whole);
        peer.owes_whole |= beacon.wants_whole;
        if peer.is_whole {
            peer.vector = vector;
        } else {
            // It held this, whatever else.
            peer.vector.join(&vector);
        }
        let (node, is_whole) = (peer.node, peer.is_whole);
        if beacon.reply || beacon.wants_whole || !is_whole {
            peer.beacon_at_ms = now.monotonic_ms;
        }
        if is_whole {
            // What it had to say of an old copy came before.
            self.incarnation.heard_peer = true;
            self.incarnation.dismissed = false;
        }
        if beacon.reply {
            self.send_beacon(session, false, out);
        }
        if is_whole {
            self.rows_received(session, &beacon.rows);
            self.silence_told(node, 0, &beacon.silent);
            for word in beacon.silences.iter().take(self.members.len()) {
                self.silence_told(word.node, word.age_ms, &word.silent);
            }
        }
        self.peer_holds(session, out);
        if is_whole {
            self.check_other_origins(session, out);
        }
    }

    pub(super) fn send_beacon(&mut self, session: SessionId, reply: bool, out: &mut Vec<Output>) {
        let now = self.now;
        let digest = self.told_digest();
        let held = self.told_vector();
        let Some(peer) = self.peers.get(&session) else { return };
        let speaker = (peer.node, peer.greeting.map_or(OriginId(0), |greeting| greeting.origin));
        let rows = self.stability.rows.to_tell(speaker, &held, now.monotonic_ms);
        let silent = self.silent_members();
        let silences = self.silence_to_tell(speaker.0);
        let Some(peer) = self.peers.get_mut(&session) else { return };
        let echo =
            peer.last_echo.map(|(sent_ms, at_ms)| Echo { sent_ms, held_ms: now.monotonic_ms.saturating_sub(at_ms) });
        let is_whole = std::mem::take(&mut peer.owes_whole);
        let beacon = Beacon {
            vector: if is_whole { held.clone() } else { held.since(&peer.told) },
            is_whole,
            check: vector_check(&held),
            wants_whole: peer.asks_whole,
            digest,
            clock: self.holding.clock,
            wall_ms: now.wall_ms,
            sent_ms: now.monotonic_ms,
            echo,
            reply,
            rows,
            silent,
            silences,
        };
        peer.told = held;
        peer.told_digest = digest;
        out.push(Output::Send { session, message: Message::Beacon(Box::new(beacon)) });
    }
}
