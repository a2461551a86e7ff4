//! What an operator asks of the engine, and in which words alarms are told.

use zeroize::Zeroizing;

use super::{Command, Door, Engine, Input, Member, MemberState, NodeId, ServiceError, Ticket};
use crate::replication::door::own_addresses;
use crate::replication::invite::Token;
use crate::replication::joining;
use crate::replication::membership;
use crate::replication::{Alarm, CloseReason, Role};
use crate::storage::MetaName;

impl Engine {
    pub(super) async fn obey(&mut self, command: Command) {
        // Whoever asked may have gone meanwhile: then nobody hears the answer.
        match command {
            Command::Stop => {}
            Command::Invite { role, valid_s, reply } => {
                let _ = reply.send(self.invite(role, valid_s).await);
            }
            Command::Report { reply } => {
                let _ = reply.send(self.report());
            }
            Command::SetRole { node, role, reply } => {
                let _ = reply.send(self.set_role(node, role).await);
            }
            Command::SetState { node, state, reply } => {
                let _ = reply.send(self.set_state(node, state).await);
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

    async fn set_role(&mut self, node: NodeId, role: Role) -> Result<(), ServiceError> {
        self.known(node)?;
        joining::change(&self.parts.writer, move |writing| Ok(membership::put_role(writing, node, role)?)).await??;
        self.refresh_members();
        Ok(())
    }

    async fn set_state(&mut self, node: NodeId, state: MemberState) -> Result<(), ServiceError> {
        let member = self.known(node)?;
        if state == MemberState::Active {
            let finals = member.finals.clone();
            let put = move |writing: &mut crate::dit::Writing<'_>| {
                Ok(membership::put_state(writing, node, MemberState::Active, &finals)?)
            };
            joining::change(&self.parts.writer, put).await??;
            self.refresh_members();
        } else {
            self.handle(Input::Withdraw { node, state });
        }
        Ok(())
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
        Alarm::CloneFound { .. } => "another node runs under this node's identity: one of the two is a copy".to_owned(),
        Alarm::ClockAhead { origin, ahead_ms } => {
            format!("changes of origin {origin} are stamped {ahead_ms} ms ahead of this node's clock: set the clocks")
        }
        Alarm::Different { peer } => {
            format!("digests differ from {} though both hold the same changes; being repaired", name(peer))
        }
        Alarm::Fork { origin, peer } => format!(
            "origin {origin} has another history at {}: a copy of a data directory was served beside it. New origins \
             are taken; no change is lost",
            name(peer)
        ),
        Alarm::Quarantine { peer, entries: left } => {
            format!("{} still differ from {} after a repair; look at them", entries(left), name(peer))
        }
        Alarm::NotAllowed { peer, origin } => {
            format!("{} sent changes of origin {origin}, which its membership does not allow", name(peer))
        }
        Alarm::Repaired { peer, entries: made } => format!("{} were made equal with {}", entries(made), name(peer)),
        Alarm::RolledBack { origin } => format!(
            "this data directory is older than what members hold of its origin {origin}: a copy was restored. It takes a \
             new origin, pulls its own changes back and goes on"
        ),
        Alarm::StoreFailed { detail } => format!("the store failed: {detail}"),
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
