//! Who asks: the identity after bind (and proxied authorisation), and what is known of the connection.
//!
//! Every decision of this floor and every operation takes a [`Requester`]; nobody looks at a connection to find out
//! who somebody is. A failed bind, a new bind and StartTLS set it back to [`Requester::anonymous`].

use super::limits::OwnLimits;
use crate::model::EntryUuid;
use std::net::IpAddr;
use std::sync::Arc;

/// Who is asking.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RequesterKind {
    /// Nobody has authenticated.
    Anonymous,
    /// An entry of the tree.
    Entry {
        /// The entry.
        uuid: EntryUuid,
        /// Its DN as stored when it authenticated.
        dn: String,
        /// `dn` as `Schema::dn_key` gives it.
        dn_key: Vec<u8>,
    },
    /// The administrator, who is no entry of the tree and whom no access rule and no limit binds.
    Administrator {
        /// The configured name, `cn=admin,SUFFIX` unless said otherwise.
        dn: String,
    },
}

/// How the requester proved who it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Authentication {
    /// Not at all.
    None,
    /// With a password in a simple bind.
    Simple,
    /// By a SASL mechanism other than EXTERNAL by certificate; the name in upper case.
    Sasl(String),
    /// With a TLS client certificate (SASL EXTERNAL over TLS); `authmethod = "ssl"` and `"sasl EXTERNAL"` both fit.
    ClientCertificate,
}

/// Who asks, how that is known, and from where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Requester {
    /// Who.
    pub kind: RequesterKind,
    /// How that was proved.
    pub authentication: Authentication,
    /// Strength of the connection's protection in bits: 0 is clear text, a local socket counts as 256.
    pub ssf: u32,
    /// The peer's address; none on a local socket.
    pub peer: Option<IpAddr>,
    /// The name of the peer's machine, in lower case and confirmed by its addresses; `None` where it was not asked for or could
    /// not be had.
    pub host: Option<Arc<str>>,
    /// What it may take where that is not what everybody may; from its entry, when it proved who it is.
    pub limits: Option<Arc<OwnLimits>>,
    /// Over ldapi or loopback, where clear text does not leave the machine.
    pub is_local: bool,
}

impl Requester {
    /// What a connection begins with.
    pub fn anonymous(peer: Option<IpAddr>, ssf: u32, is_local: bool) -> Self {
        let (kind, authentication) = (RequesterKind::Anonymous, Authentication::None);
        Self { kind, authentication, ssf, peer, host: None, limits: None, is_local }
    }

    /// The same connection with another identity; how a bind, and an unbind to anonymous, change it.
    #[must_use]
    pub fn with_identity(&self, kind: RequesterKind, authentication: Authentication) -> Self {
        let host = self.host.clone();
        Self { kind, authentication, ssf: self.ssf, peer: self.peer, host, limits: None, is_local: self.is_local }
    }

    /// The same with limits of its own.
    #[must_use]
    pub fn with_limits(mut self, limits: Option<Arc<OwnLimits>>) -> Self {
        self.limits = limits;
        self
    }

    /// Whether nobody has authenticated.
    pub fn is_anonymous(&self) -> bool {
        self.kind == RequesterKind::Anonymous
    }

    /// Whether this is the administrator.
    pub fn is_administrator(&self) -> bool {
        matches!(self.kind, RequesterKind::Administrator { .. })
    }

    /// The DN as stored; `None` for anonymous.
    pub fn dn(&self) -> Option<&str> {
        match &self.kind {
            RequesterKind::Anonymous => None,
            RequesterKind::Entry { dn, .. } | RequesterKind::Administrator { dn } => Some(dn),
        }
    }

    /// The key of the requester's DN; only an entry has one, so that no rule ever means the administrator.
    pub fn dn_key(&self) -> Option<&[u8]> {
        match &self.kind {
            RequesterKind::Entry { dn_key, .. } => Some(dn_key),
            _ => None,
        }
    }

    /// The requester's own entry.
    pub fn entry_uuid(&self) -> Option<EntryUuid> {
        match self.kind {
            RequesterKind::Entry { uuid, .. } => Some(uuid),
            _ => None,
        }
    }

    /// The authorisation identity of RFC 4513 5.2.1.8, as `Who am I?` (RFC 4532) answers it: `dn:…`, empty for
    /// anonymous.
    pub fn authorization_id(&self) -> String {
        self.dn().map(|dn| format!("dn:{dn}")).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorization_identity_is_the_dn_or_nothing() {
        let anonymous = Requester::anonymous(None, 0, true);
        assert_eq!(anonymous.authorization_id(), "");
        assert!(anonymous.is_anonymous() && anonymous.dn_key().is_none());
        let kind = RequesterKind::Entry { uuid: EntryUuid::NIL, dn: "uid=Ann,dc=x".into(), dn_key: vec![1] };
        let ann = anonymous.with_identity(kind, Authentication::Simple);
        assert_eq!(ann.authorization_id(), "dn:uid=Ann,dc=x");
        assert_eq!((ann.entry_uuid(), ann.dn_key()), (Some(EntryUuid::NIL), Some(&[1][..])));
        let admin = RequesterKind::Administrator { dn: "cn=admin,dc=x".into() };
        let admin = ann.with_identity(admin, Authentication::Simple);
        assert_eq!(admin.authorization_id(), "dn:cn=admin,dc=x");
        assert!(admin.is_administrator() && admin.entry_uuid().is_none() && admin.dn_key().is_none());
    }
}
