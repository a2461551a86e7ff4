//! SASL EXTERNAL (RFC 4422 appendix A, RFC 4513 5.2.3): who somebody is, as the carrier of the connection vouches.
//!
//! Over a Unix socket the kernel vouches for the user: the owner of the data folder, and root, could read and change
//! everything anyway, so they are the administrator. Over TLS the client's certificate does, once an authority of
//! `tls.client_ca` has signed it: its subject is the name of an entry.
//!
//! Invariants
//! - Nobody acts as somebody else: an authorisation identity that is not one's own is refused (T-17).

use std::os::unix::fs::MetadataExt;

use super::bind::{entry_identity, may_bind};
use super::{Directory, OperationError, Session};
use crate::model::{Dn, ResultCode};
use crate::policy::requester::{Authentication, RequesterKind};
use crate::schema::Schema;

/// The mechanism served, as `supportedSASLMechanisms` shows it.
pub const EXTERNAL: &str = "EXTERNAL";

impl Directory {
    /// Who the client is by `mechanism`.
    ///
    /// # Errors
    /// - authMethodNotSupported: another mechanism, an empty name (which aborts a negotiation, RFC 4511 4.2.1) among them.
    /// - invalidCredentials: nobody vouches for the client, or for somebody who is not here, or it wants to be another.
    pub(super) fn sasl(
        &self,
        session: &Session,
        mechanism: &str,
        credentials: Option<&[u8]>,
    ) -> Result<(RequesterKind, Authentication), OperationError> {
        if !mechanism.eq_ignore_ascii_case(EXTERNAL) {
            let text = "the SASL mechanism served is EXTERNAL";
            return Err(OperationError::new(ResultCode::AUTH_METHOD_NOT_SUPPORTED, text));
        }
        let snapshot = self.dit.read()?;
        let view = snapshot.view();
        let schema = view.catalog().schema();
        let facts = &session.connection;
        let (kind, dn_key, authentication) = if let Some(uid) = facts.unix_uid {
            let owner = std::fs::metadata(self.dit.environment().directory()).map(|folder| folder.uid()).ok();
            if uid != 0 && owner != Some(uid) {
                let text = format!("user {uid} of this machine is nobody here; the owner of the data folder is");
                return Err(refused(text));
            }
            let Some((dn, _)) = self.dit.administrator()? else {
                return Err(refused("this directory has no administrator yet; run: entente init"));
            };
            let dn_key = Dn::parse(&dn).map(|dn| schema.dn_key(&dn)).unwrap_or_default();
            (RequesterKind::Administrator { dn }, dn_key, Authentication::Sasl(EXTERNAL.to_owned()))
        } else if let Some(tls) = &facts.tls {
            let Some(subject) = &tls.client_certificate_subject else {
                return Err(refused("EXTERNAL needs a client certificate, and none came"));
            };
            let not_here = || refused("there is no entry named as the certificate's subject");
            let dn = Dn::parse(subject).map_err(|_| not_here())?;
            let found = view.resolve(&dn)?.entry.ok_or_else(not_here)?;
            let entry = view.entry(found)?.filter(may_bind).ok_or_else(not_here)?;
            let dn_key = schema.dn_key(&dn);
            (entry_identity(view, &entry, dn_key.clone())?, dn_key, Authentication::ClientCertificate)
        } else {
            return Err(refused("EXTERNAL needs ldapi or a TLS client certificate"));
        };
        if !is_own(schema, credentials.unwrap_or_default(), &dn_key) {
            return Err(refused("one may only act as oneself: leave the authorization identity empty"));
        }
        Ok((kind, authentication))
    }
}

fn refused(text: impl Into<String>) -> OperationError {
    OperationError::new(ResultCode::INVALID_CREDENTIALS, text)
}

/// Whether an authorisation identity (RFC 4513 5.2.1.8) is the one that was proved; an empty one asks for just that.
fn is_own(schema: &Schema, authorization_id: &[u8], dn_key: &[u8]) -> bool {
    if authorization_id.is_empty() {
        return true;
    }
    let dn = authorization_id.split_at_checked(3).filter(|(prefix, _)| prefix.eq_ignore_ascii_case(b"dn:"));
    dn.and_then(|(_, dn)| Dn::parse_bytes(dn).ok()).is_some_and(|dn| schema.dn_key(&dn) == dn_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T-17.
    #[test]
    fn nobody_acts_as_somebody_else() {
        let schema = Schema::builtin();
        let own = schema.dn_key(&Dn::parse("uid=ann,dc=example").unwrap());
        for fits in ["", "dn:uid=ann,dc=example", "DN:UID=Ann, dc=example"] {
            assert!(is_own(&schema, fits.as_bytes(), &own), "{fits}");
        }
        for other in ["dn:", "dn:uid=bob,dc=example", "u:ann", "uid=ann,dc=example", "dn:ann", "\u{0}", "dn:uid=ann"] {
            assert!(!is_own(&schema, other.as_bytes(), &own), "{other}");
        }
        assert!(!is_own(&schema, b"dn:\xff", &own));
    }
}
