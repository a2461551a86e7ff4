//! What a peer may send: changes of origins that somebody in the cluster answers for (T-49).
//!
//! A certificate says which node a peer is, and the member's entry what that node may do. Whose an origin is says the entry of
//! a member, once it is here; until then the member's own word in a hello of its session; and where changes of an origin come from
//! others before its entry does, each push says which member answers for it: the one whose the sender knows it to be, or the
//! sender itself, which answers too where the other is no member as known here. So the first change of an origin needs nothing
//! before it, whichever way it comes, and nobody can send one that no certified member answers for.
//!
//! Invariants
//! - An entry goes before a word: who speaks as an origin that an entry gives to another member is refused.
//! - What roles do not allow as they are known here is not taken, and asked for again: a change of roles may be on its way to either
//!   side. The session ends only where that lasts while neither is still catching up: no honest peer loses one.

use std::collections::{BTreeMap, BTreeSet};

use super::Replicator;
use super::interface::{Alarm, Output};
use crate::replication::member::{Member, Role, SessionId, UNHEARD};
use crate::replication::message::{ANSWERS, PeerError, Push};
use crate::state::{NodeId, OriginId};

/// Origins of one peer that wait for a change of roles, at most.
const UNEXPLAINED_MAX: usize = 64;

/// Whose origins are.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// As members' entries say.
    named: BTreeSet<(OriginId, NodeId)>,
    /// Who answers for those that no entry named when their first changes came.
    answered: BTreeMap<OriginId, NodeId>,
}

impl Owners {
    /// As the entries of all members say.
    pub(super) fn named(&mut self, members: &BTreeMap<NodeId, Member>) {
        let of = |member: &Member| {
            let node = member.node;
            let all = member.origins.iter().chain(member.finals.keys()).copied();
            all.map(move |origin| (origin, node)).collect::<Vec<_>>()
        };
        self.named = members.values().flat_map(of).collect();
        let named = &self.named;
        self.answered.retain(|origin, _| of_origin(named, *origin).next().is_none());
    }

    /// All origins that entries name.
    pub(super) fn all_named(&self) -> impl Iterator<Item = OriginId> {
        self.named.iter().map(|(origin, _)| *origin)
    }

    /// The members whose entries name an origin.
    pub(super) fn names(&self, origin: OriginId) -> impl Iterator<Item = NodeId> {
        of_origin(&self.named, origin)
    }

    pub(super) fn is_named(&self, origin: OriginId, node: NodeId) -> bool {
        self.named.contains(&(origin, node))
    }

    /// The other member whose an origin is by its entry, if `node`'s own does not name it too.
    pub(super) fn another_than(&self, node: NodeId, origin: OriginId) -> Option<NodeId> {
        let mut names = of_origin(&self.named, origin);
        let first = names.next()?;
        (first != node && names.all(|name| name != node)).then_some(first)
    }

    fn of(&self, origin: OriginId) -> Option<NodeId> {
        of_origin(&self.named, origin).next().or_else(|| self.answered.get(&origin).copied())
    }
}

fn of_origin(named: &BTreeSet<(OriginId, NodeId)>, origin: OriginId) -> impl Iterator<Item = NodeId> {
    named.range((origin, NodeId([0; 16]))..=(origin, NodeId([0xff; 16]))).map(|(_, node)| *node)
}

/// What is to become of a push.
enum Judgement {
    Allowed,
    /// By the roles that are known here.
    NotAllowed,
    /// Nobody is said to answer for it.
    Unanswered,
}

impl Replicator {
    /// The member that this node names when it sends an origin's changes.
    pub(super) fn answers_for(&self, origin: OriginId) -> NodeId {
        let spoken = || self.spoken.iter().find(|(_, of)| *of == origin).map(|(node, _)| *node);
        let owner = self.owners.of(origin).or_else(spoken);
        owner.filter(|owner| self.members.contains_key(owner)).unwrap_or(self.node)
    }

    /// The member that has an origin which a peer speaks as, if that is another.
    pub(super) fn foreign_owner(&self, node: NodeId, origin: OriginId) -> Option<NodeId> {
        let own = (node != self.node && origin == self.holding.origin).then_some(self.node);
        own.or_else(|| self.owners.another_than(node, origin))
    }

    /// Ends sessions of those who speak as an origin that an entry gives to another member by now.
    pub(super) fn end_foreign(&mut self, out: &mut Vec<Output>) {
        let speaks = self.peers.values().filter_map(|peer| Some((peer.session, peer.node, peer.greeting?.origin)));
        for (session, node, origin) in speaks.collect::<Vec<_>>() {
            if let Some(owner) = self.foreign_owner(node, origin) {
                self.refuse_foreign(session, (node, origin), owner, out);
            }
        }
    }

    /// A peer speaks as another member's origin.
    pub(super) fn refuse_foreign(
        &mut self,
        session: SessionId,
        (peer, origin): (NodeId, OriginId),
        owner: NodeId,
        out: &mut Vec<Output>,
    ) {
        self.alarm_once(Alarm::ForeignOrigin { peer, origin, owner }, out);
        let detail = format!("origin {origin} is that of node {owner}");
        self.refuse(session, PeerError::ForeignOrigin, &detail, out);
    }

    /// Whether what a peer sends may be taken. Where it may not for long enough, its session is ended.
    pub(super) fn is_allowed(&mut self, session: SessionId, push: &Push, out: &mut Vec<Output>) -> bool {
        let Some(peer) = self.peers.get(&session) else { return false };
        let (node, origin) = (peer.node, push.origin);
        let judgement = self.judge(session, push);
        let Some(peer) = self.peers.get_mut(&session) else { return false };
        match judgement {
            Judgement::Allowed => {
                peer.unexplained.remove(&origin);
                return true;
            }
            Judgement::Unanswered => {
                self.alarm_once(Alarm::Unanswered { peer: node, origin }, out);
                let detail = format!("no member answers for origin {origin}");
                self.refuse(session, PeerError::NotAllowed, &detail, out);
                return false;
            }
            Judgement::NotAllowed => {}
        }
        // A role that changed is known sooner there than here, or later.
        peer.unexplained.insert(origin);
        let now_ms = self.now.monotonic_ms;
        let since_ms = *peer.not_allowed_ms.get_or_insert(now_ms);
        let retry_ms = self.options.exchange_retry_ms;
        let is_too_many = peer.unexplained.len() > UNEXPLAINED_MAX;
        if !is_too_many && (now_ms < since_ms.max(peer.risen_ms) + retry_ms || self.lacks_explained(session)) {
            return false;
        }
        out.push(Output::Alarm(Alarm::NotAllowed { peer: node, origin }));
        self.refuse(session, PeerError::NotAllowed, "", out);
        false
    }

    fn judge(&mut self, session: SessionId, push: &Push) -> Judgement {
        let Some((peer, greeting)) = self.peers.get(&session).and_then(|peer| Some((peer, peer.greeting?))) else {
            return Judgement::Unanswered;
        };
        let (node, origin) = (peer.node, push.origin);
        let role = |node: NodeId| self.members.get(&node).map(|member| member.role);
        if role(node) == Some(Role::Consumer) {
            return Judgement::NotAllowed;
        }
        let of_role = |may: bool| if may { Judgement::Allowed } else { Judgement::NotAllowed };
        // Who wrote once and does no more has an agreed end; up to that its changes go on their way, and so do those of its runs
        // before the one that was ended.
        if let Some(owner) = self.members.values().find(|member| member.origins.contains(&origin)) {
            let has_end = owner.finals.keys().any(|ended| *ended != UNHEARD);
            return of_role(owner.role.may_originate() || has_end);
        }
        let is_known = self.finals.contains_key(&origin)
            || self.owners.answered.contains_key(&origin)
            || self.holding.vector.sequence(origin) > 0
            || self.own_origins().any(|own| own == origin);
        if is_known {
            return Judgement::Allowed;
        }
        // Of who cannot say, it is the sender that answers.
        let Some(answers) = push.answers.or_else(|| (greeting.level < ANSWERS).then_some(node)) else {
            return Judgement::Unanswered;
        };
        match role(answers).filter(|_| answers != node) {
            Some(role) if !role.may_originate() => return Judgement::NotAllowed,
            Some(_) => self.owners.answered.insert(origin, answers),
            None => self.owners.answered.insert(origin, node),
        };
        Judgement::Allowed
    }

    /// Whether anything else is to come here that a peer or any other member holds, which may tell of other roles: a hub sends on
    /// what it may not have been told the reason of itself.
    fn lacks_explained(&self, session: SessionId) -> bool {
        let Some(peer) = self.peers.get(&session) else { return false };
        let is_lacking = |(origin, sequence): (OriginId, u64)| {
            let end = self.finals.get(&origin).copied().unwrap_or(u64::MAX);
            !peer.unexplained.contains(&origin) && self.holding.vector.sequence(origin) < sequence.min(end)
        };
        let of_others = self.members.keys().flat_map(|node| self.stability.rows.of(*node));
        let by_others = of_others.flat_map(|voice| voice.latest.iter().map(|(origin, held)| (*origin, *held)));
        peer.vector.iter().map(|(origin, position)| (origin, position.sequence)).chain(by_others).any(is_lacking)
    }
}
