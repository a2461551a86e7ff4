//! Who may talk to this node, and what it tells a peer about itself; and all that an operator is shown.

use std::collections::BTreeMap;

use super::interface::{Alarm, CloseReason, MemberStatus, MemberVerdict, Output, PeerStatus, Status};
use super::peer::{Greeting, Peer};
use super::{Now, Replicator};
use crate::replication::member::{Member, MemberState, Role, SessionId, UNHEARD};
use crate::replication::message::{Hello, Message, PeerError, Standing, VERSIONS};
use crate::state::{Csn, NodeId, OriginId};

/// A session that was silent for longer than this gives way to any new one.
const STALE_MS: u64 = 3_000;

impl Replicator {
    /// The first message of a session.
    pub(super) fn greeted(&mut self, session: SessionId, hello: Hello, out: &mut Vec<Output>) {
        let Some(peer) = self.peers.get(&session) else { return };
        let (node, dialled) = (peer.node, peer.dialled);
        if peer.greeting.is_some() {
            // A repeated hello says nothing new.
            return;
        }
        let level = VERSIONS.agree(hello.versions);
        let fault = if level.is_none() {
            Some(PeerError::VersionMismatch)
        } else if hello.cluster != self.cluster {
            Some(PeerError::ClusterMismatch)
        } else if hello.node != node {
            Some(PeerError::IdentityMismatch)
        } else if node == self.node && hello.boot == self.boot {
            Some(PeerError::SelfConnection)
        } else {
            match self.members.get(&node).map(|member| member.state) {
                Some(MemberState::Retired) => Some(PeerError::Retired),
                // Who is not in the list yet is believed by its certificate: its entry may be on the way, or with it.
                _ => None,
            }
        };
        if fault == Some(PeerError::VersionMismatch) {
            self.alarm_once(Alarm::Versions { peer: node, theirs: hello.versions }, out);
        }
        if let Some(fault) = fault {
            return self.refuse(session, fault, "", out);
        }
        if node == self.node {
            self.twin_found(hello.boot, out);
            return self.refuse(session, PeerError::SelfConnection, "another node runs under this identity", out);
        }
        if let Some(owner) = self.foreign_owner(node, hello.origin) {
            return self.refuse_foreign(session, (node, hello.origin), owner, out);
        }
        if !self.replaces_others(session, node, dialled, hello.boot, out) {
            return;
        }
        // What is beyond an agreed end is nobody's. Who only reads has nothing to take back: it may be filled anew.
        let writes = self.members.get(&node).is_none_or(|member| member.role.may_originate());
        let fell_back = self.stability.rows.latest(node).cloned().filter(|latest| {
            writes
                && latest.iter().any(|(origin, sequence)| {
                    let end = self.finals.get(origin).copied().unwrap_or(u64::MAX);
                    hello.vector.sequence(*origin) < (*sequence).min(end)
                })
        });
        let Some(peer) = self.peers.get_mut(&session) else { return };
        self.incarnation.clock_heard = self.incarnation.clock_heard.max(hello.clock);
        let level = level.unwrap_or(VERSIONS.oldest);
        // What its entry says goes before its own word: it may have said so before it heard of another role, or know of one that
        // is not known here, and nothing could be taken from it then.
        let role = self.members.get(&node).map_or(hello.role, |member| member.role);
        peer.greeting = Some(Greeting { origin: hello.origin, boot: hello.boot, role, level });
        peer.vector = hello.vector;
        peer.is_whole = true;
        peer.floors = hello.floors.into_iter().collect();
        peer.held_before = fell_back;
        // A node that was an old copy and began a new origin is measured by what it says from now on.
        if peer.held_before.is_none() {
            let vector = peer.vector.clone();
            self.row_said((node, hello.origin), &vector, None);
        }
        let origin = hello.origin;
        self.spoken.insert((node, origin));
        if let Some(member) = self.members.get_mut(&node)
            && !member.origins.contains(&origin)
        {
            // Its entry will say so; until then its own word, under its certificate, counts.
            member.origins.push(origin);
        }
        self.send_standing(session, None, out);
        self.send_beacon(session, true, out);
        if self.members.get(&node).is_some_and(|member| member.state == MemberState::Suspended) && self.takes_back() {
            self.withdraw(node, MemberState::Active, out);
        }
        self.check_own_chains(session, out);
        self.check_own_origin(session, out);
        self.check_other_origins(session, out);
    }

    /// Origins of which a peer holds as much as this node and something else.
    pub(super) fn check_other_origins(&mut self, session: SessionId, out: &mut Vec<Output>) {
        let Some(peer) = self.peers.get(&session).filter(|peer| peer.is_open()) else { return };
        let forked: Vec<OriginId> =
            self.holding.vector.forked_origins(&peer.vector).filter(|origin| *origin != self.holding.origin).collect();
        for origin in forked {
            self.fork_found(origin, Some(session), out);
        }
    }

    /// Decides between sessions with one node; false if this one ended.
    fn replaces_others(
        &mut self,
        session: SessionId,
        node: NodeId,
        dialled: bool,
        boot: u64,
        out: &mut Vec<Output>,
    ) -> bool {
        let now_ms = self.now.monotonic_ms;
        let others: Vec<(SessionId, bool, u64, u64)> = self
            .peers
            .values()
            .filter(|peer| peer.node == node && peer.session != session)
            .filter_map(|peer| Some((peer.session, peer.dialled, peer.greeting?.boot, peer.heard_ms)))
            .collect();
        for (other, other_dialled, other_boot, heard_ms) in others {
            if other_boot != boot {
                // Started again, or a copy beside: the older session must show whether anybody is still there.
                if let Some(peer) = self.peers.get_mut(&other) {
                    peer.challenged_ms.get_or_insert(now_ms);
                }
                self.send_beacon(other, true, out);
                continue;
            }
            // Both sides decide alike: that session stays which the smaller node dialled.
            let keeps_other = other_dialled != dialled
                && other_dialled == (self.node < node)
                && now_ms.saturating_sub(heard_ms) < STALE_MS;
            if keeps_other {
                self.close(session, CloseReason::Superseded, out);
                return false;
            }
            self.close(other, CloseReason::Superseded, out);
        }
        true
    }

    /// Whether sessions with one node that it greeted under different boot numbers have all answered since: a hello may have
    /// been on its way when the run that sent it was over.
    pub(super) fn are_twins(&self, node: NodeId) -> bool {
        let sessions = || self.peers.values().filter(|peer| peer.node == node);
        let since_ms = sessions().filter_map(|peer| peer.challenged_ms).max();
        let answered = sessions().filter(|peer| since_ms.is_some() && peer.answered_ms >= since_ms);
        let mut boots = answered.filter_map(|peer| Some(peer.greeting?.boot));
        boots.next().is_some_and(|first| boots.any(|boot| boot != first))
    }

    /// An older session of a node answered though the node greeted under another boot number: two of it are running.
    pub(super) fn twins_found(&mut self, session: SessionId, out: &mut Vec<Output>) {
        let Some(old) = self.peers.get(&session) else { return };
        let node = old.node;
        let both: Vec<(SessionId, u64)> = self
            .peers
            .values()
            .filter(|peer| peer.node == node)
            .filter_map(|peer| Some((peer.session, peer.greeting?.boot)))
            .collect();
        for (told, boot) in &both {
            let twin = both.iter().map(|(_, boot)| *boot).find(|other| other != boot);
            if twin.is_some() {
                self.send_standing(*told, twin, out);
            }
        }
    }

    fn twin_found(&mut self, twin: u64, out: &mut Vec<Output>) {
        self.alarm_once(Alarm::CloneFound { twin }, out);
        // One of the two keeps the identity: both decide alike.
        if self.boot > twin {
            self.catch_up_as_copy(out);
            out.push(Output::TakeNewIdentity);
        }
    }

    /// Tells a peer what it should know about itself, if there is anything.
    pub(super) fn send_standing(&mut self, session: SessionId, twin: Option<u64>, out: &mut Vec<Output>) {
        let Some(peer) = self.peers.get_mut(&session) else { return };
        let member = self.members.get(&peer.node);
        let state = member.map_or(MemberState::Active, |member| member.state);
        let finals = member.map(|member| member.finals.clone()).unwrap_or_default();
        let pairs =
            |numbers: &BTreeMap<OriginId, u64>| numbers.iter().map(|(origin, number)| (*origin, *number)).collect();
        let held_before: Vec<(OriginId, u64)> = peer.held_before.as_ref().map(pairs).unwrap_or_default();
        if state != MemberState::Active || !finals.is_empty() || !held_before.is_empty() || twin.is_some() {
            let standing = Standing { state, finals: pairs(&finals), held_before, twin };
            out.push(Output::Send { session, message: Message::Standing(standing) });
        }
        peer.standing_told = (state, finals);
    }

    /// What a peer tells about this node.
    pub(super) fn standing_received(&mut self, standing: &Standing, out: &mut Vec<Output>) {
        if let Some(twin) = standing.twin.filter(|twin| *twin != self.boot) {
            return self.twin_found(twin, out);
        }
        self.finals_told.extend(standing.finals.iter().copied());
        self.finals.extend(standing.finals.iter().copied());
        // What was written again under another origin in this run is not lacking under the old one; nor is what it was told
        // before and looked for in vain. A run finds no new loss: it would begin a new origin without end.
        let lacks = |(origin, sequence): &(OriginId, u64)| {
            self.holding.vector.sequence(*origin) < *sequence
                && !self.incarnation.set_back.contains(origin)
                && !self.incarnation.has_looked_for(*origin, *sequence)
        };
        if let Some((origin, _)) = standing.held_before.iter().find(|held| lacks(held)) {
            let mut held: BTreeMap<OriginId, u64> = standing.held_before.iter().copied().collect();
            held.entry(self.holding.origin).or_insert(0);
            self.roll_back(*origin, (held, true), out);
        }
    }

    pub(super) fn take_members(&mut self, members: Vec<Member>) {
        self.members = members.into_iter().map(|member| (member.node, member)).collect();
        self.spoken.insert((self.node, self.holding.origin));
        self.owners.named(&self.members);
        let Self { owners, spoken, .. } = self;
        spoken.retain(|(node, origin)| owners.another_than(*node, *origin).is_none());
        for (node, origin) in &self.spoken {
            if let Some(member) = self.members.get_mut(node)
                && !member.origins.contains(origin)
            {
                member.origins.push(*origin);
            }
        }
        // Until this node's entry says so too, what it was told of its own ends counts.
        self.finals.clone_from(&self.finals_told);
        self.finals.extend(self.members.values().flat_map(|member| member.finals.clone()));
        self.finals.remove(&UNHEARD);
        self.stability.keep_only(&self.members);
        self.stability.note_suspended(&self.members, self.now.monotonic_ms);
        self.row_candidates();
    }

    /// Ends sessions with those who have left, knows the others by the roles that they have now, and tells each whose state or
    /// ends are others now. It cannot wait for their entries to come: they may stand behind an end that it agreed on, when two
    /// withdrew each other.
    pub(super) fn members_changed(&mut self, out: &mut Vec<Output>) {
        self.end_foreign(out);
        for peer in self.peers.values_mut() {
            peer.not_allowed_ms = None;
            if let (Some(greeting), Some(member)) = (&mut peer.greeting, self.members.get(&peer.node)) {
                greeting.role = member.role;
            }
        }
        let gone: Vec<SessionId> = self
            .peers
            .values()
            .filter(|peer| self.members.get(&peer.node).is_some_and(|member| member.state == MemberState::Retired))
            .map(|peer| peer.session)
            .collect();
        for session in gone {
            self.send_standing(session, None, out);
            self.refuse(session, PeerError::Retired, "", out);
        }
        let is_news = |peer: &&Peer| {
            let told = (&peer.standing_told.0, &peer.standing_told.1);
            peer.greeting.is_some()
                && self.members.get(&peer.node).is_some_and(|member| (&member.state, &member.finals) != told)
        };
        let changed: Vec<SessionId> = self.peers.values().filter(is_news).map(|peer| peer.session).collect();
        for session in changed {
            self.send_standing(session, None, out);
        }
    }

    /// This node's hybrid clock.
    pub fn own_clock(&self) -> Csn {
        self.holding.clock
    }

    /// The newest hybrid clock of this node's and those that members told in this run.
    pub fn newest_clock(&self) -> Csn {
        self.holding.clock.max(self.incarnation.clock_heard)
    }

    /// What an operator is shown.
    pub fn status(&self, now: Now) -> Status {
        let members = self.members.values().filter(|member| member.node != self.node);
        Status {
            node: self.node,
            origin: self.holding.origin,
            local_writes: self.local_writes(),
            vector: self.holding.vector.clone(),
            epoch: self.holding.clock.epoch(),
            digest: self.holding.digest,
            stable_cut: self.stable_cut(),
            members: members.map(|member| self.member_status(member, now)).collect(),
            cut_held_by: self.cut_held_by(),
            ended: self.ended(),
            exchange: self.exchange_status(),
            quarantined: self.repairs.quarantined.iter().copied().collect(),
            applied_total: self.consumer.applied_total,
        }
    }

    fn member_status(&self, member: &Member, now: Now) -> MemberStatus {
        let ours = &self.holding.vector;
        let theirs = self.stability.rows.latest(member.node);
        // Of whom nothing was heard in this run it is known what it held in one before.
        let word = self.last_word(member.node, now);
        let shown = word.map(|word| word.held);
        let has = |origin: OriginId| shown.and_then(|held| held.get(&origin)).copied().unwrap_or(0);
        // What came of that it holds, though it may have ended before it said so.
        let writes_as = member.origins.last().copied();
        let backlog: BTreeMap<OriginId, u64> = ours
            .iter()
            .filter(|(origin, _)| Some(*origin) != writes_as)
            .map(|(origin, position)| (origin, position.sequence.saturating_sub(has(origin))))
            .filter(|(_, count)| *count > 0)
            .collect();
        let missing =
            shown.into_iter().flatten().map(|(origin, held)| (*origin, held.saturating_sub(ours.sequence(*origin))));
        let ages = backlog.keys().filter_map(|origin| {
            let of_before = self.contacts.lacking_for_ms(member.node, *origin, has(*origin), now);
            of_before.or_else(|| self.stability.held_for_ms(*origin, has(*origin) + 1, now.monotonic_ms))
        });
        let peer = self.peers.values().find(|peer| peer.node == member.node && peer.is_open());
        let verdict = match peer.map(|peer| self.verdict(peer.session)) {
            Some(proved @ (MemberVerdict::Equal | MemberVerdict::Different)) => proved,
            // Of who falls silent on a link that stands, others may know more.
            Some(_) | None if theirs.is_some() => {
                let we_lack =
                    theirs.into_iter().flatten().map(|(origin, held)| held.saturating_sub(ours.sequence(*origin)));
                self.verdict_by_others(member.node, backlog.values().sum(), we_lack.sum(), now)
            }
            _ => MemberVerdict::Unknown,
        };
        MemberStatus {
            member: member.clone(),
            peer: peer.map(|peer| peer_status(peer, now)),
            heard_ms_ago: word.map(|word| word.ago_ms),
            silent_ms: self.silent_for_ms(member.node, now),
            backlog_age_ms: ages.max(),
            differing: self.differing(member.node),
            backlog,
            missing: missing.filter(|(_, count)| *count > 0).collect(),
            verdict,
        }
    }
}

fn peer_status(peer: &Peer, now: Now) -> PeerStatus {
    let is_recent = |second: u64| second + 10 > now.monotonic_ms / 1000;
    let applied: u64 = peer.applied.iter().filter(|(second, _)| is_recent(*second)).map(|(_, count)| count).sum();
    PeerStatus {
        session: peer.session,
        role: peer.greeting.map_or(Role::Supplier, |greeting| greeting.role),
        origin: peer.greeting.map(|greeting| greeting.origin),
        dialled: peer.dialled,
        connected_ms: now.monotonic_ms.saturating_sub(peer.opened_ms),
        heard_ms_ago: now.monotonic_ms.saturating_sub(peer.heard_ms),
        apply_rate: applied as f64 / 10.0,
        round_trip_ms: peer.best_sample().map(|sample| sample.round_trip_ms),
        round_trips: peer.samples.len(),
        clock_offset_ms: peer.best_sample().map(|sample| sample.offset_ms),
        under_way_bytes: peer.supply.under_way_bytes,
    }
}
