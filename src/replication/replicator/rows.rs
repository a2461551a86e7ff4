//! What each member said last that it holds.
//!
//! A member is one voice, unless a copy of it runs beside it: then two say of themselves that they are this member, and each
//! holds what it holds. What one of them does not hold yet it may still write against, so each counts by itself. They are told
//! apart by the incarnation that speaks. The voice of an incarnation that is over is waited for as long as for a session that
//! fell silent: whoever is heard later than that for the same member has replaced it.
//!
//! A row that does not count yet waits as a candidate; a newer one does not displace it, so a member that writes all the time
//! does not hold the cut back for ever, unless the newer one says less: what is in no row may never come.

use std::collections::BTreeMap;

use super::telling::apart;
use crate::replication::member::Member;
use crate::replication::message::Row;
use crate::state::{BucketSum, NodeId, OriginId, UpdateVector};

/// Voices of one member; of more, those that were heard last.
pub(super) const VOICES_MAX: usize = 4;

/// Numbers held, by origin.
pub(super) type Held = BTreeMap<OriginId, u64>;

/// Rows of all members, by the incarnations that said them.
#[derive(Debug, Default)]
pub(super) struct Rows(BTreeMap<NodeId, BTreeMap<OriginId, Voice>>);

/// What one incarnation of a member said.
#[derive(Debug, Default)]
pub(super) struct Voice {
    /// Last.
    pub(super) latest: Held,
    heard_ms: u64,
    /// Of what it held then.
    digest: Option<BucketSum>,
    /// Whether others told it, not the member itself.
    is_relayed: bool,
    /// Waits until all of it is held here.
    candidate: Option<Held>,
    /// Counts for the cut.
    pub(super) counted: Option<Held>,
}

impl Voice {
    /// Takes as counting what is all here.
    fn count(&mut self, is_here: impl Fn(&Held) -> bool) {
        let latest = &self.latest;
        let says_less = |candidate: &mut Held| {
            candidate.iter().any(|(origin, said)| latest.get(origin).copied().unwrap_or(0) < *said)
        };
        self.candidate.take_if(says_less);
        for _ in 0..2 {
            let candidate = self.candidate.take().unwrap_or_else(|| self.latest.clone());
            if is_here(&candidate) {
                self.counted = Some(candidate);
            } else {
                self.candidate = Some(candidate);
                break;
            }
        }
    }
}

impl Rows {
    /// A member said itself what it holds.
    pub(super) fn said(
        &mut self,
        (node, origin): (NodeId, OriginId),
        vector: &UpdateVector,
        digest: Option<BucketSum>,
        now_ms: u64,
    ) {
        let voice = self.0.entry(node).or_default().entry(origin).or_default();
        voice.latest = vector.iter().map(|(origin, position)| (origin, position.sequence)).collect();
        voice.heard_ms = now_ms;
        voice.digest = digest;
        voice.is_relayed = false;
    }

    /// Others told what it said at `said_ms`: of two such words the younger counts, and none that is older than the member's own.
    pub(super) fn told(
        &mut self,
        (node, origin): (NodeId, OriginId),
        held: Held,
        digest: Option<BucketSum>,
        said_ms: u64,
    ) {
        let voice = self.0.entry(node).or_default().entry(origin).or_default();
        if voice.latest.is_empty() || said_ms > voice.heard_ms {
            voice.latest = held;
            voice.heard_ms = said_ms;
            voice.digest = digest;
            voice.is_relayed = true;
        }
    }

    /// Gives up the voices of a member that were heard last before `since_ms`.
    pub(super) fn end_voices(&mut self, node: NodeId, since_ms: u64) {
        let Some(voices) = self.0.get_mut(&node) else { return };
        voices.retain(|_, voice| voice.heard_ms >= since_ms);
        while voices.len() > VOICES_MAX {
            let oldest = voices.iter().min_by_key(|(_, voice)| voice.heard_ms).map(|(origin, _)| *origin);
            voices.retain(|origin, _| Some(*origin) != oldest);
        }
        if voices.is_empty() {
            self.0.remove(&node);
        }
    }

    /// All voices of a member.
    pub(super) fn of(&self, node: NodeId) -> impl Iterator<Item = &Voice> {
        self.0.get(&node).into_iter().flat_map(BTreeMap::values)
    }

    /// The voice of a member that was heard last.
    fn last(&self, node: NodeId) -> Option<&Voice> {
        self.of(node).max_by_key(|voice| (voice.heard_ms, !voice.is_relayed))
    }

    /// What was last said by a member; none if nothing was.
    pub(super) fn latest(&self, node: NodeId) -> Option<&Held> {
        self.last(node).map(|voice| &voice.latest)
    }

    /// The incarnation of a member that was heard last, if that was at most `age_ms_max` ago.
    pub(super) fn heard_as(&self, node: NodeId, now_ms: u64, age_ms_max: u64) -> Option<OriginId> {
        let (origin, voice) = self.0.get(&node)?.iter().max_by_key(|(_, voice)| (voice.heard_ms, !voice.is_relayed))?;
        (now_ms.saturating_sub(voice.heard_ms) <= age_ms_max).then_some(*origin)
    }

    pub(super) fn heard_ms(&self, node: NodeId) -> Option<u64> {
        self.last(node).map(|voice| voice.heard_ms)
    }

    /// The digest of a member's content as others told it with what is [`latest`](Self::latest).
    pub(super) fn relayed_digest(&self, node: NodeId) -> Option<BucketSum> {
        self.last(node).filter(|voice| voice.is_relayed)?.digest
    }

    /// The newest change of an origin that some member is known to hold.
    pub(super) fn held_by_any(&self, origin: OriginId) -> u64 {
        let voices = self.0.values().flat_map(BTreeMap::values);
        voices.filter_map(|voice| voice.latest.get(&origin)).copied().max().unwrap_or(0)
    }

    /// Rows to tell a peer, which speaks as `own`, beside `vector`.
    pub(super) fn to_tell(&self, own: (NodeId, OriginId), vector: &UpdateVector, now_ms: u64) -> Vec<Row> {
        let voices =
            self.0.iter().flat_map(|(node, voices)| voices.iter().map(|(origin, voice)| (*node, *origin, voice)));
        let others = voices.filter(|(node, origin, _)| (*node, *origin) != own);
        others
            .map(|(node, origin, voice)| Row {
                node,
                origin,
                age_ms: now_ms.saturating_sub(voice.heard_ms),
                held: apart(&voice.latest, vector),
                digest: voice.digest,
            })
            .collect()
    }

    pub(super) fn keep_only(&mut self, members: &BTreeMap<NodeId, Member>) {
        self.0.retain(|node, _| members.contains_key(node));
    }

    /// Takes as counting what is all here, of the members that `may_count`.
    pub(super) fn count(&mut self, may_count: impl Fn(NodeId) -> bool, is_here: impl Fn(&Held) -> bool) {
        for (_, voices) in self.0.iter_mut().filter(|(node, _)| may_count(**node)) {
            voices.values_mut().for_each(|voice| voice.count(&is_here));
        }
    }
}
