//! Which connections are believed: TLS 1.3 between members, each proving the key that its entry names.
//!
//! A peer's certificate must lead to the cluster's authority, be a member's (T-53), and hold the very key that the entry
//! of an active or suspended member names. So a certificate is worth nothing once the entry is gone or retired, however
//! long it would last, and the authority's key alone lets nobody in. Whoever dials says by the host name of TLS which
//! member it wants; an answer from another one, or from itself (T-52), ends the handshake.
//!
//! Who was retired still completes the handshake when it dials, only to be told so: a refusal by TLS has no words, and a
//! node that was away would not know why nobody talks to it. [`Trust::peer`] does not name it, so nothing else is open.
//!
//! This node's own key is believed where it is looked for: whoever answers with it is this node (T-52: the replicator ends
//! that session), or a copy of its data directory, which must hear of this one to become a member of its own.
//!
//! Joining is the exception: a joiner has no certificate yet. It asks for another application protocol (ALPN), on which
//! the server proves itself by the authority whose fingerprint the token holds, and the joiner by the token's secret.

use std::sync::Arc;

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error as TlsError, RootCertStore,
    ServerConfig, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest, Sha256};

use super::identity::{Identity, host_name, member_of};
use super::{Member, MemberState, NodeId};

/// Between members.
pub const REPLICATION_PROTOCOL: &[u8] = b"entente-replication/1";
/// From one who wants to become a member.
pub const JOIN_PROTOCOL: &[u8] = b"entente-join/1";

/// Keys of the members that are believed.
type Pins = HashMap<[u8; 32], NodeId>;

/// What this node believes and how it proves itself; shared by all sessions.
#[derive(Debug)]
pub struct Trust {
    node: ArcSwap<NodeId>,
    identity: ArcSwap<Identity>,
    pins: ArcSwap<Pins>,
    retired: ArcSwap<Pins>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Trust {
    /// Believes nobody yet.
    pub fn new(node: NodeId, identity: Identity) -> Arc<Self> {
        Arc::new(Self {
            node: ArcSwap::from_pointee(node),
            identity: ArcSwap::from_pointee(identity),
            pins: ArcSwap::default(),
            retired: ArcSwap::default(),
        })
    }

    /// Believes these from now on; sessions that are open stay.
    pub fn set_members(&self, members: &[Member]) {
        let pins = |retired: bool| {
            let meant = members.iter().filter(|member| (member.state == MemberState::Retired) == retired);
            Arc::new(meant.map(|member| (member.fingerprint, member.node)).collect::<Pins>())
        };
        self.pins.store(pins(false));
        self.retired.store(pins(true));
    }

    /// Proves itself so from now on.
    pub fn set_identity(&self, node: NodeId, identity: Identity) {
        self.node.store(Arc::new(node));
        self.identity.store(Arc::new(identity));
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        **self.node.load()
    }

    /// How this node proves itself.
    pub fn identity(&self) -> Arc<Identity> {
        self.identity.load_full()
    }

    /// The member whose certificate this is, if it is believed.
    pub fn peer(&self, certificates: Option<&[CertificateDer<'_>]>) -> Option<NodeId> {
        let (node, fingerprint) = member_of(certificates?.first()?)?;
        (self.pins.load().get(&fingerprint) == Some(&node) && node != self.node()).then_some(node)
    }

    /// Whether this is a certificate of this node: its own, or a copy's.
    pub fn is_own(&self, certificates: Option<&[CertificateDer<'_>]>) -> bool {
        let shown = certificates.and_then(|certificates| member_of(certificates.first()?));
        shown == Some((self.node(), self.identity().public_key().fingerprint()))
    }

    /// The member that was retired whose certificate this is.
    pub fn retired_peer(&self, certificates: Option<&[CertificateDer<'_>]>) -> Option<NodeId> {
        let (node, fingerprint) = member_of(certificates?.first()?)?;
        (self.retired.load().get(&fingerprint) == Some(&node)).then_some(node)
    }

    /// For connections of members.
    ///
    /// # Errors
    /// The own certificate cannot be used.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
        self.server_config_for(REPLICATION_PROTOCOL, true)
    }

    /// For connections of those who want to become members: without a certificate, or with a member's.
    ///
    /// # Errors
    /// The own certificate cannot be used.
    pub fn join_server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
        self.server_config_for(JOIN_PROTOCOL, false)
    }

    fn server_config_for(self: &Arc<Self>, protocol: &[u8], mandatory: bool) -> Result<Arc<ServerConfig>, TlsError> {
        let identity = self.identity.load();
        let inner = WebPkiClientVerifier::builder_with_provider(roots(identity.authority())?, provider())
            .build()
            .map_err(|error| TlsError::General(error.to_string()))?;
        let verifier =
            MemberVerifier { client: Some(inner), server: None, trust: Arc::clone(self), wanted: None, mandatory };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_single_cert(identity.chain(), identity.private_key())?;
        config.alpn_protocols = vec![protocol.to_vec()];
        // Every session is a full handshake: whoever was a member yesterday is asked again.
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// To dial the member `wanted`.
    ///
    /// # Errors
    /// The own certificate cannot be used.
    pub fn client_config(self: &Arc<Self>, wanted: NodeId) -> Result<Arc<ClientConfig>, TlsError> {
        let identity = self.identity.load();
        let inner = WebPkiServerVerifier::builder_with_provider(roots(identity.authority())?, provider())
            .build()
            .map_err(|error| TlsError::General(error.to_string()))?;
        let verifier = MemberVerifier {
            client: None,
            server: Some(inner),
            trust: Arc::clone(self),
            wanted: Some(wanted),
            mandatory: true,
        };
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(identity.chain(), identity.private_key())?;
        config.alpn_protocols = vec![REPLICATION_PROTOCOL.to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }
}

/// To dial a node on the protocol of joining: its chain must lead to the authority with this fingerprint. `own`: the
/// certificate to show, of who is a member already.
///
/// # Errors
/// TLS 1.3 is not there; the certificate cannot be used.
pub fn join_client_config(authority: [u8; 32], own: Option<&Identity>) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AuthorityVerifier { authority, provider: provider() }));
    let mut config = match own {
        Some(own) => builder.with_client_auth_cert(own.chain(), own.private_key())?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![JOIN_PROTOCOL.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// The name that TLS asks a member for.
///
/// # Errors
/// Never: it is a host name.
pub fn server_name(node: NodeId) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(host_name(node)).map_err(|error| TlsError::General(error.to_string()))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn roots(authority: &CertificateDer<'static>) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone())?;
    Ok(Arc::new(roots))
}

/// The chain by TLS's own rules, then the key by the member's entry.
#[derive(Debug)]
struct MemberVerifier {
    client: Option<Arc<dyn ClientCertVerifier>>,
    server: Option<Arc<WebPkiServerVerifier>>,
    trust: Arc<Trust>,
    wanted: Option<NodeId>,
    mandatory: bool,
}

impl MemberVerifier {
    fn pinned(&self, certificate: &CertificateDer<'_>) -> Result<(), TlsError> {
        let refused = |why: &str| {
            tracing::warn!(why, "a certificate of another node was refused");
            Err(TlsError::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        };
        let Some((node, fingerprint)) = member_of(certificate) else {
            return refused("it is signed by the cluster's authority, but is no member's");
        };
        if self.wanted.is_some_and(|wanted| wanted != node) {
            return refused("it is another member's than the one that was dialled");
        }
        if node == self.trust.node() {
            return match self.trust.is_own(Some(std::slice::from_ref(certificate))) {
                true => Ok(()),
                false => refused("it names this node, and another key"),
            };
        }
        match self.trust.pins.load().get(&fingerprint) {
            Some(pinned) if *pinned == node => Ok(()),
            // It is told why, and nothing else; nobody dials it.
            _ if self.client.is_some() && self.trust.retired.load().get(&fingerprint) == Some(&node) => Ok(()),
            _ => refused("no entry of a member names its key; it may have been retired, or come from an old copy"),
        }
    }
}

impl ClientCertVerifier for MemberVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.client.as_ref().map_or(&[], |inner| inner.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        let Some(inner) = &self.client else { return Err(TlsError::General("no verifier".to_owned())) };
        let verified = inner.verify_client_cert(end_entity, intermediates, now)?;
        self.pinned(end_entity)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(TlsError::General("only TLS 1.3 is spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signature, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for MemberVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let Some(inner) = &self.server else { return Err(TlsError::General("no verifier".to_owned())) };
        let verified = inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        self.pinned(end_entity)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        ClientCertVerifier::verify_tls12_signature(self, message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        ClientCertVerifier::verify_tls13_signature(self, message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ClientCertVerifier::supported_verify_schemes(self)
    }
}

/// The chain must lead to one authority, which is known by its fingerprint alone.
#[derive(Debug)]
struct AuthorityVerifier {
    authority: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AuthorityVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let is_meant = |der: &&CertificateDer<'_>| <[u8; 32]>::from(Sha256::digest(der)) == self.authority;
        let Some(authority) = intermediates.iter().find(is_meant) else {
            return Err(TlsError::InvalidCertificate(CertificateError::UnknownIssuer));
        };
        let inner = WebPkiServerVerifier::builder_with_provider(
            roots(&authority.clone().into_owned())?,
            Arc::clone(&self.provider),
        )
        .build()
        .map_err(|error| TlsError::General(error.to_string()))?;
        inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(TlsError::General("only TLS 1.3 is spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
