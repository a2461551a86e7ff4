//! This node's own place in the cluster: founded at the first start, renewed and corrected while it runs, exchanged
//! when a copy of this node turns up.
//!
//! Only a supplier writes entries of its own accord; a consumer or hub has a supplier write what its entry says.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use super::{Engine, ServiceError, local};
use crate::dit::{DitError, Writing};
use crate::replication::identity::Identity;
use crate::replication::joining::{self, JoinError};
use crate::replication::membership::{self, Appearance, InviteError};
use crate::replication::service::Parts;
use crate::replication::{Input, LocalWrites, MemberState, NodeId, Replicator, Role, store};
use crate::state::OriginId;
use crate::storage::MetaName;

/// Makes sure that this node has a key, a certificate, and, as a cluster's only member, its cluster.
pub(super) async fn prepare(parts: &Parts) -> Result<Identity, ServiceError> {
    let (stored, is_joining, is_alone) = {
        let snapshot = parts.dit.read()?;
        let view = snapshot.view();
        let meta = |name| view.reader().meta(name).map_err(DitError::from);
        let stored = meta(MetaName::Member)?.map(Identity::decode).transpose()?;
        let is_joining = meta(MetaName::Join)?.is_some_and(|bytes| !bytes.is_empty());
        (stored, is_joining, membership::members(view)?.is_empty())
    };
    let node = membership::node_id(parts.dit.read()?.view())?;
    let now_s = i64::try_from(parts.dit.clock().wall_ms() / 1000).unwrap_or(i64::MAX);
    let identity = match stored {
        Some(identity) if is_joining || (identity.is_certified() && !identity.wants_renewal(now_s)) => {
            return match is_alone && !is_joining {
                true => found(parts, node, identity).await,
                false => Ok(identity),
            };
        }
        Some(identity) => identity,
        None => Identity::create()?,
    };
    found(parts, node, identity).await
}

/// Notices that the data file is another one than last time: a copy of the folder, beside which the first may be running.
/// A copy of a member begins a new origin at once, before it could give numbers away that the first one gives too; so does
/// a member whose last run did not end in order, since it may be an old copy. Returns whether it is a copy.
pub(super) async fn notice_copy(parts: &Parts, has_peers: bool) -> Result<bool, ServiceError> {
    let file = parts.dit.environment().directory().join("data.mdb");
    // Where the system does not tell, members notice.
    let Ok(number) = std::fs::metadata(file).map(|metadata| metadata.ino()) else { return Ok(false) };
    let known = parts.dit.read()?.view().reader().meta_u64(MetaName::FileNumber).map_err(DitError::from)?;
    let goes_on = parts.dit.take_handover()?;
    if known == number && (goes_on || !has_peers) {
        return Ok(false);
    }
    let is_copy = known != 0 && known != number && has_peers;
    let begins = is_copy || (has_peers && !goes_on);
    joining::change(&parts.writer, move |writing| {
        if begins {
            writing.rotate_origin()?;
        }
        Ok(writing.put_meta(MetaName::FileNumber, &number.to_be_bytes())?)
    })
    .await??;
    Ok(is_copy)
}

/// Founds what is not there, signs a certificate for the key, and stores it.
async fn found(parts: &Parts, node: NodeId, identity: Identity) -> Result<Identity, ServiceError> {
    let name = parts.options.name_at_first().to_owned();
    let made = joining::change(&parts.writer, move |writing| found_in(writing, node, identity, &name)).await?;
    Ok(made?)
}

/// [`prepare`] inside a transaction; `init` uses it before anybody serves.
///
/// # Errors
/// [`InviteError`].
pub(super) fn found_in(
    writing: &mut Writing<'_>,
    node: NodeId,
    identity: Identity,
    name: &str,
) -> Result<Identity, InviteError> {
    if membership::authority(writing.view())?.is_none() {
        membership::found(writing)?;
    }
    let Some(authority) = membership::authority(writing.view())? else { return Ok(identity) };
    let now_s = i64::try_from(writing.now_ms() / 1000).unwrap_or(i64::MAX);
    let certificate = authority.sign(node, identity.public_key(), now_s)?;
    let identity = identity.certified(certificate, authority.certificate().clone());
    if membership::members(writing.view())?.is_empty() {
        let appearance = Appearance { name: name.to_owned(), ..Appearance::default() };
        membership::put_member(writing, node, identity.public_key().fingerprint(), Role::Supplier, &appearance)?;
        let origin = writing.origin();
        membership::put_origin(writing, node, origin)?;
    }
    writing.put_meta(MetaName::Member, &identity.encode())?;
    Ok(identity)
}

/// A new identity is asked for again after this.
const IDENTITY_RETRY_MS: u64 = 2_000;

impl Engine {
    /// Has a change made and does not wait for it; what fails is logged.
    pub(super) fn spawn_change(&self, work: impl FnOnce(&mut Writing<'_>) -> Result<(), InviteError> + Send + 'static) {
        let writer = self.parts.writer.clone();
        tokio::spawn(async move {
            match joining::change(&writer, work).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "an entry of the cluster was not changed"),
                Err(error) => tracing::error!(%error, "an entry of the cluster was not changed"),
            }
        });
    }

    /// Signs the own certificate again in its last third. The key stays, so nobody else needs to know.
    pub(super) fn renew_if_wanted(&self) {
        let now_s = i64::try_from(self.now().wall_ms / 1000).unwrap_or(i64::MAX);
        let identity = self.trust.identity();
        if !identity.wants_renewal(now_s) || !self.bootstrap.is_empty() {
            return;
        }
        let renewed = self.parts.dit.read().map_err(InviteError::from).and_then(|snapshot| {
            let Some(authority) = membership::authority(snapshot.view())? else { return Ok(None) };
            let certificate = authority.sign(self.node, identity.public_key(), now_s)?;
            Ok(Some(Identity::clone(&identity).certified(certificate, authority.certificate().clone())))
        });
        match renewed {
            Ok(Some(renewed)) => {
                tracing::info!("the certificate of this member is renewed");
                let encoded = renewed.encode();
                self.trust.set_identity(self.node, renewed);
                self.spawn_change(move |writing| Ok(writing.put_meta(MetaName::Member, &encoded)?));
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the certificate of this member cannot be renewed"),
        }
    }

    /// Has the own entry say how this node is called and reached, where it stands, and under which origin it writes.
    pub(super) fn appear(&self) {
        let Some(own) = self.members.iter().find(|member| member.node == self.node) else { return };
        let addresses = self.addresses();
        let urls = self.parts.options.urls.clone();
        let Ok(snapshot) = self.parts.dit.read() else { return };
        let view = snapshot.view();
        let Ok(held_urls) = membership::urls_of(view, self.node) else { return };
        let origin = OriginId(view.reader().meta_u64(MetaName::Origin).unwrap_or_default());
        let is_supplier = own.role == Role::Supplier;
        // Where no name is set, the one stays under which the node came.
        let name = self.parts.options.name.clone();
        let site = self.parts.options.site.clone();
        let is_right = (addresses.is_none() || addresses.as_ref() == Some(&own.addresses))
            && held_urls == urls
            && (name.is_empty() || own.name == name)
            && own.site == site
            && (!is_supplier || own.origins.contains(&origin));
        if is_right || own.state != MemberState::Active {
            return;
        }
        let (node, key) = (self.node, own.fingerprint);
        let appearance = Appearance { name, addresses, urls: Some(urls), site: Some(site) };
        drop(snapshot);
        if is_supplier {
            if self.local_writes != LocalWrites::Open || !self.clocks.may_stamp() {
                return;
            }
            self.spawn_change(move |writing| {
                membership::put_member(writing, node, key, Role::Supplier, &appearance)?;
                let origin = writing.origin();
                Ok(membership::put_origin(writing, node, origin)?)
            });
        } else if self.bootstrap.is_empty() && self.ticks.is_multiple_of(super::TICKS_SLOW * 5) {
            let suppliers = self.members.iter().filter(|member| member.holds_cut() && !member.addresses.is_empty());
            let (suppliers, own) = (suppliers.cloned().collect::<Vec<_>>(), self.trust.identity());
            tokio::spawn(async move {
                for supplier in suppliers {
                    match joining::appear(&own, &supplier, &appearance).await {
                        Ok(()) => return,
                        Err(error) => tracing::debug!(%error, "a supplier did not take this node's addresses"),
                    }
                }
            });
        }
    }

    /// Another node runs under this identity: asks a member for a second one, and begins anew under it.
    pub(super) async fn take_new_identity(&mut self) {
        self.wants_identity_at_ms = None;
        self.alarm(
            "another node runs under this node's identity: one of the two is a copy. This one goes on under a new node \
             id and a new origin; no change is lost"
                .to_owned(),
        );
        match self.enrol_anew().await {
            Ok((node, identity)) => match self.restart(node, identity).await {
                Ok(()) => tracing::info!(node = %node, "this node goes on under a new identity"),
                Err(error) => self.alarm(format!("the new identity could not be stored: {error}")),
            },
            Err(error) => {
                // Asked for again when the copy is met again.
                self.alarm(format!("no member gave this node a new identity yet: {error}"));
                self.wants_identity_at_ms = Some(self.now().monotonic_ms + IDENTITY_RETRY_MS);
            }
        }
    }

    async fn enrol_anew(&self) -> Result<(NodeId, Identity), ServiceError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|_| ServiceError::Random)?;
        let (node, identity) = (NodeId(random), Identity::create()?);
        let own = self.trust.identity();
        let mut failure = None;
        // The original too, whose own entry is overwritten here by now.
        for peer in self.members.iter().filter(|peer| peer.node != self.node).chain(&self.original) {
            if peer.state != MemberState::Active || peer.addresses.is_empty() {
                continue;
            }
            match joining::enrol(&own, peer, node, &identity, self.parts.options.name_at_first()).await {
                Ok(accepted) => {
                    return Ok((node, identity.certified(accepted.certificate, accepted.authority)));
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.map_or_else(|| ServiceError::Refused("no member can be reached".to_owned()), Into::into))
    }

    /// Everything anew but the tree, the door and whom to believe.
    async fn restart(&mut self, node: NodeId, identity: Identity) -> Result<(), ServiceError> {
        let encoded = identity.encode();
        let stored = joining::change(&self.parts.writer, move |writing| {
            writing.put_meta(MetaName::Node, &node.0)?;
            writing.put_meta(MetaName::Member, &encoded)?;
            writing.rotate_origin()?;
            Ok(store::note_unawaited(writing)?)
        });
        stored.await?.map_err(JoinError::from_invite)?;
        self.node = node;
        self.trust.set_identity(node, identity);
        self.original = None;
        self.begin_again().await
    }

    /// Sessions, replicator and all that is under way begin anew, with what the tree says now.
    pub(super) async fn begin_again(&mut self) -> Result<(), ServiceError> {
        let node = self.node;
        self.sessions.clear();
        self.dialling.clear();
        self.dials.shutdown().await;
        self.pending_writes.clear();
        // Answers to what the old one asked must not reach the new one.
        let (answered, answers) = tokio::sync::mpsc::unbounded_channel();
        (self.answered, self.answers) = (answered, answers);
        let snapshot = self.parts.dit.read()?;
        let members = super::current_members(snapshot.view(), node, &self.bootstrap)?;
        drop(snapshot);
        let local = local(&self.parts.dit, &members, self.bootstrap.is_empty())?;
        self.replicator = Replicator::new(local, self.parts.options.limits.clone());
        self.told_commit = None;
        self.members.clone_from(&members);
        self.handle(Input::Members(members));
        self.handle(Input::Tick);
        self.published.store(Some(Arc::new(self.report())));
        Ok(())
    }
}
