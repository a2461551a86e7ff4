//! SASL EXTERNAL (RFC 4422 appendix A, RFC 4513 5.2.3): who somebody is, as the carrier of the connection vouches.
//!
//! Over a Unix socket the kernel vouches for the user: the owner of the data folder, and root, could read and change
//! everything anyway, so they are the administrator; any other is the one entry that has the numbers of the user and of its
//! group, where the settings say so ([`LocalUserOptions`](super::LocalUserOptions)). Over TLS the client's certificate does, once an authority of
//! `tls.client_ca` has signed it; which entry it means is a setting (`certificate`).

use std::os::unix::fs::MetadataExt;

use super::{LocalUserOptions, refused};
use crate::dit::{Entry, View};
use crate::model::{Assertion, Filter};
use crate::operation::bind::verdict::{Proof, Who};
use crate::operation::bind::{Ask, BindStep, may_bind};
use crate::operation::{Directory, LocalUser, Outcome, Session, lookup};
use crate::policy::requester::{Authentication, RequesterKind};
use crate::storage::EntryId;
use std::borrow::Cow;
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
        let who = if let Some(user) = facts.unix {
            self.user_of_this_machine(user)?
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

    fn user_of_this_machine(self: &Arc<Self>, user: LocalUser) -> Outcome<Who> {
        let owner = std::fs::metadata(self.dit.environment().directory()).map(|folder| folder.uid()).ok();
        if user.uid == 0 || owner == Some(user.uid) {
            let Some((dn, _)) = self.dit.administrator()? else {
                return Err(refused("this directory has no administrator yet; run: entente init"));
            };
            return Ok(Who::Administrator(RequesterKind::Administrator { dn }));
        }
        let snapshot = self.dit.read()?;
        let view = snapshot.view();
        match self.entry_of_local_user(view, user)? {
            Some(entry) => Ok(Who::Entry(self.identity_of(view, &entry)?, self.account(view, &entry)?)),
            None => {
                let LocalUser { uid, gid } = user;
                let text = format!(
                    "user {uid} of this machine (group {gid}) is nobody here; the owner of the data folder is, and whom the \
                     settings of [ldapi] lead to an entry"
                );
                Err(refused(text))
            }
        }
    }

    /// The one entry with both numbers; none where several have them.
    fn entry_of_local_user<'v>(&self, view: View<'v>, user: LocalUser) -> Outcome<Option<Entry<'v>>> {
        let options = self.options();
        let Some(LocalUserOptions { user_attribute, group_attribute, base }) = &options.sasl.local_users else {
            return Ok(None);
        };
        let base = match base {
            None => EntryId::NONE,
            Some(dn) => match lookup::named(view, dn)? {
                Some(entry) => entry.id,
                None => return Ok(None),
            },
        };
        let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
        let has = |attribute, value: &str| {
            let value = Cow::Owned(value.as_bytes().to_vec());
            Filter::Equality(Assertion { attribute: Cow::Borrowed(attribute), value })
        };
        let both = Filter::And(vec![has(user_attribute.as_str(), &uid), has(group_attribute.as_str(), &gid)]);
        let mut found = lookup::find(view, base, &both, 2)?;
        Ok(if found.len() == 1 { found.pop().filter(may_bind) } else { None })
    }
}
