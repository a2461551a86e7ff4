//! What an operator asks of the engine, and in which words alarms are told.

use zeroize::Zeroizing;

use super::{Command, Door, Engine, Input, Member, MemberState, NodeId, ServiceError, Ticket};
use crate::dit::Writing;
use crate::replication::door::own_addresses;
use crate::replication::invite::Token;
use crate::replication::joining;
use crate::replication::membership::{self, Asked};
use crate::replication::message::VERSIONS;
use crate::replication::{Alarm, CloseReason, Role};
use crate::storage::MetaName;

/// A member that was silent for longer is not asked to do anything: beacons come every ten seconds at least.
const HEARD_MS: u64 = 15_000;

impl Engine {
    pub(super) async fn obey(&mut self, command: Command) {
        // Whoever asked may have gone meanwhile: then nobody hears the answer.
        match command {
            Command::AcceptClock { reply } => {
                let _ = reply.send(self.accept_clock());
            }
            Command::BeginEpoch { reply } => {
                let _ = reply.send(self.begin_epoch().await);
            }
            Command::Stop => {}
            Command::Invite { role, valid_s, reply } => {
                let _ = reply.send(self.invite(role, valid_s).await);
            }
            Command::Report { reply } => {
                let _ = reply.send(self.report());
            }
            Command::SetAddresses { node, addresses, reply } => {
                let _ = reply.send(self.set_addresses(node, addresses).await);
            }
            Command::SetRole { node, role, reply } => {
                let _ = reply.send(self.set_role(node, role).await);
            }
            Command::SetState { node, state, at_once, reply } => {
                let _ = reply.send(self.set_state(node, state, at_once).await);
            }
            Command::WaitFor { dot, durability, wait_ms, reply } => {
                self.ticket_last += 1;
                let ticket = Ticket(self.ticket_last);
                let deadline_ms = self.now().monotonic_ms.saturating_add(wait_ms);
                self.waiting.insert(ticket, reply);
                self.handle(Input::WaitFor { ticket, dot, durability, deadline_ms });
            }
        }
    }

    async fn invite(&mut self, role: Role, valid_s: u64) -> Result<Zeroizing<String>, ServiceError> {
        if !self.bootstrap.is_empty() {
            return Err(ServiceError::Refused("this node is still joining; invite on another one".to_owned()));
        }
        self.demand_supplier()?;
        let now = self.now();
        self.door_wanted_until_ms = now.monotonic_ms.saturating_add(valid_s.saturating_mul(1000));
        self.open_door_if_wanted().await?;
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(&mut secret[..]).map_err(|_| ServiceError::Random)?;
        let digest = Token::secret_digest(&secret[..]);
        let expires_s = (now.wall_ms / 1000).saturating_add(valid_s);
        joining::change(&self.parts.writer, move |writing| membership::open_invite(writing, digest, expires_s, role))
            .await??;
        let token = Token {
            expires_s,
            role,
            node: self.node,
            authority: membership::authority_fingerprint(self.trust.identity().authority()),
            secret,
            addresses: self.addresses().unwrap_or_default(),
        };
        Ok(token.encode())
    }

    async fn set_addresses(&mut self, node: NodeId, addresses: Vec<String>) -> Result<(), ServiceError> {
        self.demand_supplier()?;
        self.known(node)?;
        let put = move |writing: &mut Writing<'_>| Ok(membership::put_addresses(writing, node, &addresses)?);
        joining::change(&self.parts.writer, put).await??;
        self.refresh_members();
        self.dial_anew(node);
        Ok(())
    }

    async fn set_role(&mut self, node: NodeId, role: Role) -> Result<(), ServiceError> {
        self.demand_supplier()?;
        let member = self.known(node)?;
        let writes_no_more = member.holds_cut() && !role.may_originate();
        if writes_no_more {
            self.demand_another_supplier(node)?;
            if !self.is_heard(node) {
                return Err(ServiceError::Refused(format!(
                    "{} does not answer, and may hold changes that nobody else has: wait until it is back, or retire it",
                    self.name_of(node)
                )));
            }
        }
        let put = move |writing: &mut Writing<'_>| match writes_no_more {
            true => Ok(membership::put_asked(writing, node, Asked::Reader(role))?),
            false => Ok(membership::put_role(writing, node, role)?),
        };
        joining::change(&self.parts.writer, put).await??;
        self.refresh_members();
        Ok(())
    }

    async fn set_state(&mut self, node: NodeId, state: MemberState, at_once: bool) -> Result<(), ServiceError> {
        self.demand_supplier()?;
        let member = self.known(node)?.clone();
        match state {
            MemberState::Active => {
                let put = move |writing: &mut Writing<'_>| {
                    Ok(membership::put_state(writing, node, MemberState::Active, &member.finals)?)
                };
                joining::change(&self.parts.writer, put).await??;
                self.refresh_members();
            }
            MemberState::Suspended | MemberState::Retired if member.state == state => {}
            MemberState::Suspended | MemberState::Retired => {
                self.demand_another_supplier(node)?;
                if node == self.node && (at_once || state == MemberState::Suspended) {
                    return Err(ServiceError::Refused("give this order on another member".to_owned()));
                }
                let can_leave = member.holds_cut() && self.is_heard(node);
                if state == MemberState::Retired && can_leave && !at_once {
                    let put =
                        move |writing: &mut Writing<'_>| Ok(membership::put_asked(writing, node, Asked::Retired)?);
                    joining::change(&self.parts.writer, put).await??;
                    self.refresh_members();
                } else {
                    self.handle(Input::Withdraw { node, state });
                }
            }
        }
        Ok(())
    }

    /// Refuses what would be a change of this node, where it writes none.
    pub(super) fn demand_supplier(&self) -> Result<(), ServiceError> {
        if let Some(why) = self.clocks.held() {
            return Err(ServiceError::Refused(why.to_owned()));
        }
        match self.members.iter().find(|member| member.node == self.node) {
            Some(own) if !own.holds_cut() => {
                let others: Vec<String> = self.members.iter().filter(|member| member.holds_cut()).map(named).collect();
                let others = others.join(", ");
                Err(ServiceError::Refused(format!("this member only reads; give the order on a supplier: {others}")))
            }
            _ => Ok(()),
        }
    }

    /// Refuses to let the last supplier go.
    fn demand_another_supplier(&self, node: NodeId) -> Result<(), ServiceError> {
        let is_last = !self.members.iter().any(|member| member.node != node && member.holds_cut());
        if is_last {
            return Err(ServiceError::Refused("it is the only supplier: nobody else would take changes".to_owned()));
        }
        Ok(())
    }

    /// Whether a member can be asked to do something: it is this node, or was heard, directly or through others.
    pub(super) fn is_heard(&self, node: NodeId) -> bool {
        node == self.node || self.replicator.heard_now_ms_ago(node, self.now()).is_some_and(|ago_ms| ago_ms < HEARD_MS)
    }

    fn known(&self, node: NodeId) -> Result<&Member, ServiceError> {
        let found = self.members.iter().find(|member| member.node == node);
        found.ok_or_else(|| ServiceError::Refused(format!("there is no member {node}")))
    }

    /// Opens the door when somebody may come, closes it when nobody can.
    pub(super) async fn open_door_if_wanted(&mut self) -> Result<(), ServiceError> {
        let others = self.members.iter().any(|member| member.node != self.node && member.state != MemberState::Retired);
        let invited = self.now().monotonic_ms < self.door_wanted_until_ms || self.has_invites();
        let wanted = self.bootstrap.is_empty() && (others || invited);
        if !wanted {
            self.door = None;
            return Ok(());
        }
        if self.door.is_some() {
            return Ok(());
        }
        let last = self.parts.dit.read()?.view().reader().meta_u64(MetaName::MemberPort).unwrap_or_default();
        let last = u16::try_from(last).ok().filter(|port| *port != 0);
        let options = &self.parts.options;
        let door = Door::open(&options.host, options.port, last, self.hall.clone()).await?;
        let port = door.port();
        tracing::info!(port, "other members may come in");
        if let Some(last) = last.filter(|last| *last != port && options.port.is_none()) {
            tracing::warn!(
                last,
                port,
                "the port at which other members know this node is taken: until this node has reached one of them, none of them \
                 finds it. End what listens there, or fix another port with replication.listen"
            );
        }
        if last != Some(port) && options.port.is_none() {
            self.spawn_change(move |writing| {
                Ok(writing.put_meta(MetaName::MemberPort, &u64::from(port).to_be_bytes())?)
            });
        }
        self.door = Some(door);
        self.appear();
        Ok(())
    }

    pub(super) fn has_invites(&self) -> bool {
        self.parts.dit.read().is_ok_and(|snapshot| membership::has_invites(snapshot.view()).unwrap_or(false))
    }

    /// What other members are told to dial; `None` while the door is closed.
    pub(super) fn addresses(&self) -> Option<Vec<String>> {
        let port = self.door.as_ref().map(Door::port)?;
        let options = &self.parts.options;
        if !options.advertise.is_empty() {
            return Some(options.advertise.iter().map(|text| with_port(text, port)).collect());
        }
        if options.host != "*" {
            return Some(vec![with_port(&options.host, port)]);
        }
        Some(own_addresses().into_iter().map(|address| std::net::SocketAddr::new(address, port).to_string()).collect())
    }
}

/// `HOST` or `HOST:PORT` with a port.
fn with_port(text: &str, port: u16) -> String {
    let has_port = match text.rsplit_once(':') {
        Some((host, digits)) => digits.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']')),
        None => false,
    };
    match (has_port, text.contains(':') && !text.starts_with('[')) {
        (true, _) => text.to_owned(),
        (false, true) => format!("[{text}]:{port}"),
        (false, false) => format!("{text}:{port}"),
    }
}

fn named(member: &Member) -> String {
    name_of(member.node, std::slice::from_ref(member))
}

/// A member by its name and the beginning of its node id.
pub(in crate::replication) fn name_of(node: NodeId, members: &[Member]) -> String {
    let id: String = node.to_string().chars().take(8).collect();
    match members.iter().find(|member| member.node == node) {
        Some(member) if !member.name.is_empty() => format!("{} ({id})", member.name),
        _ => id,
    }
}

/// Why a session was closed, in words.
pub(super) fn close_text(reason: &CloseReason) -> String {
    match reason {
        CloseReason::Fault(error) => format!("told the member: {error}"),
        CloseReason::PeerFault(error) => format!("the member said: {error}"),
        CloseReason::NewOrigin => "this node goes on under a new origin".to_owned(),
        CloseReason::Superseded => "there is a better one".to_owned(),
    }
}

/// One line for an operator.
pub(super) fn alarm_text(alarm: &Alarm, members: &[Member]) -> String {
    let name = |node: &NodeId| name_of(*node, members);
    let entries = |entries: &[crate::model::EntryUuid]| {
        let shown: Vec<String> = entries.iter().take(8).map(ToString::to_string).collect();
        format!("{} entries ({})", entries.len(), shown.join(" "))
    };
    match alarm {
        Alarm::Ahead { first: 0, .. } => {
            "parts of changes are here that no supplier has or gets any more: this node, which only \
            reads, takes the whole content anew, and serves what it has until then"
                .to_owned()
        }
        Alarm::Ahead { origin, first, last } => format!(
            "changes {first} to {last} of origin {origin} are here, and no supplier has or takes them any more: this node, which \
             only reads, takes the whole content anew, and serves what it has until then"
        ),
        Alarm::AheadAgain { first: 0, .. } => {
            "parts of changes are here that no supplier has or gets any more, although the whole content was taken anew less \
             than an hour ago: it is not taken again before that hour has passed"
                .to_owned()
        }
        Alarm::DiffersAlone { peer, is_again: false } => format!(
            "content still differs from {} after a repair: this node, which only reads, takes the whole content anew, and serves \
             what it has until then",
            name(peer)
        ),
        Alarm::DiffersAlone { peer, is_again: true } => format!(
            "content differs from {} although the whole of it was taken anew less than an hour ago: it is not taken again \
             before that hour has passed; compare the entries that were named",
            name(peer)
        ),
        Alarm::AheadAgain { origin, first, last } => format!(
            "changes {first} to {last} of origin {origin} are here, and no supplier has or takes them any more, although the whole \
             content was taken anew less than an hour ago: it is not taken again before that hour has passed"
        ),
        Alarm::CloneFound { .. } => "another node runs under this node's identity: one of the two is a copy".to_owned(),
        Alarm::ClockAhead { origin, ahead_ms } => {
            let writer = members.iter().find(|member| member.origins.contains(origin));
            let writer = writer.map_or_else(|| "a member that is not known here".to_owned(), named);
            let ahead = super::clocks::span(i64::try_from(*ahead_ms).unwrap_or(i64::MAX));
            format!(
                "changes of {writer} (origin {origin}) are stamped {ahead} ahead of this node's time. `entente replica status` \
                 shows whose clock is wrong now; set it there"
            )
        }
        Alarm::Different { peer } => {
            format!("digests differ from {} though both hold the same changes; being repaired", name(peer))
        }
        Alarm::ForeignOrigin { peer, origin, owner } => format!(
            "{} says that it writes under origin {origin}, which is that of {}: its sessions are ended",
            name(peer),
            name(owner)
        ),
        Alarm::Fork { origin, peer } => format!(
            "origin {origin} has another history at {}: a copy of a data directory was served beside it. New origins \
             are taken; no change is lost",
            name(peer)
        ),
        Alarm::Lost { origin, first, last } => format!(
            "changes {first} to {last} of origin {origin} came here in part, and no member holds them any more: old copies \
             were put back. What came of them is kept, and the members are made equal"
        ),
        Alarm::Quarantine { peer, entries: left } => {
            format!("{} still differ from {} after a repair; look at them", entries(left), name(peer))
        }
        Alarm::Suspended { member, by, silent_ms } => format!(
            "{} is suspended: {} of the suppliers ({}) heard nothing of it for {} while they ran. It is taken back when it is heard \
             of again",
            name(member),
            by.len(),
            by.iter().map(name).collect::<Vec<_>>().join(", "),
            super::clocks::span(i64::try_from(*silent_ms).unwrap_or(i64::MAX)).trim_start_matches('+')
        ),
        Alarm::NotAllowed { peer, origin } => {
            format!("{} sent changes of origin {origin}, which its membership does not allow", name(peer))
        }
        Alarm::Repaired { peer, entries: made } => format!("{} were made equal with {}", entries(made), name(peer)),
        Alarm::RolledBack { origin } => format!(
            "this data directory is older than what members hold of its origin {origin}: a copy was restored. It takes a \
             new origin, pulls its own changes back and goes on"
        ),
        Alarm::StoreFailed { detail } => format!("the store failed: {detail}"),
        Alarm::Unanswered { peer, origin } => format!(
            "{} sent changes of origin {origin}, which no member's entry names and no member answers for: none was taken",
            name(peer)
        ),
        Alarm::Versions { peer, theirs } => VERSIONS.advice(&name(peer), *theirs),
        Alarm::Undecodable { origin, sequence, detail } => format!(
            "change {sequence} of origin {origin} needs a newer version of this program, and what follows waits: {detail}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_added_where_there_is_none() {
        for (text, expected) in [
            ("a.example", "a.example:7636"),
            ("a.example:1", "a.example:1"),
            ("192.0.2.1", "192.0.2.1:7636"),
            ("2001:db8::1", "[2001:db8::1]:7636"),
            ("[2001:db8::1]", "[2001:db8::1]:7636"),
            ("[2001:db8::1]:2", "[2001:db8::1]:2"),
        ] {
            assert_eq!(with_port(text, 7636), expected);
        }
    }
}
