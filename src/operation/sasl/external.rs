//! SASL EXTERNAL (RFC 4422 appendix A, RFC 4513 5.2.3): who somebody is, as the carrier of the connection vouches.
//!
//! Over a Unix socket the kernel vouches for the user: the owner of the data folder, and root, could read and change
//! everything anyway, so they are the administrator. Over TLS the client's certificate does, once an authority of
//! `tls.client_ca` has signed it; which entry it means is a setting (`certificate`).

use std::os::unix::fs::MetadataExt;

use super::refused;
use crate::operation::bind::verdict::{Proof, Who};
use crate::operation::bind::{Ask, BindStep};
use crate::operation::{Directory, Outcome, Session};
use crate::policy::requester::{Authentication, RequesterKind};
use std::sync::Arc;

impl Directory {
    /// Who the client is as its carrier vouches; the credentials say whom to act as.
    ///
    /// # Errors
    /// invalidCredentials: nobody vouches for the client, or for somebody who is not here; storage.
    pub(super) fn external(
        self: &Arc<Self>,
        session: &Session,
        ask: &mut Ask,
        credentials: Option<&[u8]>,
    ) -> Outcome<BindStep> {
        let authorization = std::str::from_utf8(credentials.unwrap_or_default());
        authorization
            .map_err(|_| refused("the authorization identity is not UTF-8"))?
            .clone_into(&mut ask.authorization_id);
        let facts = &session.connection;
        let who = if let Some(uid) = facts.unix_uid {
            self.user_of_this_machine(uid)?
        } else if let Some(tls) = &facts.tls {
            let Some(certificate) = &tls.client else {
                return Err(refused("EXTERNAL needs a client certificate, and none came"));
            };
            let snapshot = self.dit.read()?;
            let view = snapshot.view();
            let Some(entry) = self.entry_of_certificate(view, certificate)? else {
                return Err(refused("no entry belongs to this certificate"));
            };
            ask.authentication = Authentication::ClientCertificate;
            Who::Entry(self.identity_of(view, &entry)?, self.account(view, &entry)?)
        } else {
            return Err(refused("EXTERNAL needs ldapi or a TLS client certificate"));
        };
        Ok(BindStep::Done(self.accept(ask, who, Proof::Other, None)))
    }

    fn user_of_this_machine(&self, uid: u32) -> Outcome<Who> {
        let owner = std::fs::metadata(self.dit.environment().directory()).map(|folder| folder.uid()).ok();
        if uid != 0 && owner != Some(uid) {
            let text = format!("user {uid} of this machine is nobody here; the owner of the data folder is");
            return Err(refused(text));
        }
        let Some((dn, _)) = self.dit.administrator()? else {
            return Err(refused("this directory has no administrator yet; run: entente init"));
        };
        Ok(Who::Administrator(RequesterKind::Administrator { dn }))
    }
}
