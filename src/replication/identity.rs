//! Who this node is to other members: its key, its certificate, and the authority of the cluster that signs them.
//!
//! Every member holds the authority's key (it is replicated, sealed content of cn=cluster), so that every member can
//! sign: for whoever joins, and for itself when its own certificate is about to end. A certificate alone opens nothing:
//! the key in it must be the one that the member's entry names (`trust`), so renewing changes no entry.
//!
//! Invariants
//! - A node's private key never leaves its data file.
//! - A member's certificate names its node id twice: as common name, and as the host name that TLS asks for.
//! - Nothing here reads a clock: the present is a parameter.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::NodeId;

/// How long a member's certificate lasts.
pub const VALID_S: i64 = 30 * DAY_S;
/// It is renewed when this much is left: a third.
pub const RENEW_S: i64 = VALID_S / 3;
/// The authority lasts for ever as far as people are concerned: what revokes is the member's entry.
const AUTHORITY_VALID_S: i64 = 100 * 365 * DAY_S;
/// Certificates begin so long before they are signed: clocks of members may differ by so much, and who signed while its clock
/// was ahead is believed by those whose clocks are right. It costs nothing, since what a certificate opens follows from the
/// member's entry.
const BACKDATED_S: i64 = 365 * DAY_S;
const DAY_S: i64 = 24 * 60 * 60;
/// The organizational unit that marks a member's certificate.
const MEMBER_UNIT: &str = "member";
/// Host names of members are below this.
const HOST_SUFFIX: &str = "member.entente.internal";
/// An uncompressed point of P-256.
const POINT_BYTES: usize = 65;

/// Why a key or a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Making or signing failed.
    #[error("certificates: {0}")]
    Certificate(#[from] rcgen::Error),
    /// What is stored is not as it was written.
    #[error("the stored identity of this node cannot be read: {0}")]
    Stored(&'static str),
    /// The public key that somebody sent is none.
    #[error("that is no public key of the kind that members have")]
    PublicKey,
}

/// The authority of a cluster.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes a new one. `now_s`: unix seconds.
    ///
    /// # Errors
    /// [`IdentityError::Certificate`].
    pub fn create(cluster: [u8; 16], now_s: i64) -> Result<Self, IdentityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let params = authority_params(cluster, now_s);
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }

    /// The one of these parts, as stored in cn=cluster.
    ///
    /// # Errors
    /// [`IdentityError::Stored`]; [`IdentityError::Certificate`].
    pub fn from_parts(cluster: [u8; 16], certificate: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let key = key_pair(key)?;
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| IdentityError::Stored("the authority"))?;
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(IdentityError::Stored("the authority's certificate is not of its key"));
        }
        // Of the parameters only names and key count for what is signed from now on.
        let params = authority_params(cluster, 0);
        Ok(Self { certificate: CertificateDer::from(certificate.to_vec()), issuer: Issuer::new(params, key) })
    }

    /// Its certificate, DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Its key, PKCS 8.
    pub fn key(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.issuer.key().serialize_der())
    }

    /// Signs a certificate for a member's public key.
    ///
    /// # Errors
    /// [`IdentityError::PublicKey`]; [`IdentityError::Certificate`].
    pub fn sign(
        &self,
        node: NodeId,
        public_key: &PublicKey,
        now_s: i64,
    ) -> Result<CertificateDer<'static>, IdentityError> {
        let mut params = CertificateParams::new(vec![host_name(node)])?;
        let mut subject = DistinguishedName::new();
        subject.push(DnType::OrganizationalUnitName, MEMBER_UNIT);
        subject.push(DnType::CommonName, hexadecimal(&node.0));
        params.distinguished_name = subject;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = at(now_s - BACKDATED_S);
        params.not_after = at(now_s + VALID_S);
        params.use_authority_key_identifier_extension = true;
        Ok(params.signed_by(public_key, &self.issuer)?.der().clone())
    }
}

fn authority_params(cluster: [u8; 16], now_s: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, "Entente");
    subject.push(DnType::CommonName, format!("cluster {}", hexadecimal(&cluster)));
    params.distinguished_name = subject;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.not_before = at(now_s - BACKDATED_S);
    params.not_after = at(now_s.saturating_add(AUTHORITY_VALID_S));
    params
}

/// A member's public key: a point of P-256.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicKey(Vec<u8>);

impl PublicKey {
    /// The key in the form in which it is sent.
    ///
    /// # Errors
    /// [`IdentityError::PublicKey`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdentityError> {
        match bytes.first() {
            Some(4) if bytes.len() == POINT_BYTES => Ok(Self(bytes.to_vec())),
            _ => Err(IdentityError::PublicKey),
        }
    }

    /// The form in which it is sent.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// SHA-256 of its X.509 form: how a member's entry names it.
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(self.subject_public_key_info()).into()
    }
}

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

/// This node's key, and once it is a member its certificate and the authority's.
#[derive(Clone)]
pub struct Identity {
    key: Zeroizing<Vec<u8>>,
    public_key: PublicKey,
    certificate: CertificateDer<'static>,
    authority: CertificateDer<'static>,
}

impl Identity {
    /// A new key without a certificate.
    ///
    /// # Errors
    /// [`IdentityError::Certificate`].
    pub fn create() -> Result<Self, IdentityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let none = || CertificateDer::from(Vec::new());
        Ok(Self {
            public_key: PublicKey::from_bytes(key.public_key_raw())?,
            key: Zeroizing::new(key.serialize_der()),
            certificate: none(),
            authority: none(),
        })
    }

    /// The same key with what an authority gave.
    #[must_use]
    pub fn certified(mut self, certificate: CertificateDer<'static>, authority: CertificateDer<'static>) -> Self {
        self.certificate = certificate;
        self.authority = authority;
        self
    }

    /// The key's public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Whether there is a certificate.
    pub fn is_certified(&self) -> bool {
        !self.certificate.is_empty()
    }

    /// The private key for TLS.
    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.to_vec()))
    }

    /// The certificate, then the authority's.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.clone(), self.authority.clone()]
    }

    /// The authority's certificate.
    pub fn authority(&self) -> &CertificateDer<'static> {
        &self.authority
    }

    /// When the certificate ends, unix seconds; 0 when there is none.
    pub fn expires_s(&self) -> i64 {
        X509Certificate::from_der(&self.certificate).map_or(0, |(_, parsed)| parsed.validity().not_after.timestamp())
    }

    /// When the certificate begins, unix seconds; 0 when there is none.
    fn begins_s(&self) -> i64 {
        X509Certificate::from_der(&self.certificate).map_or(0, |(_, parsed)| parsed.validity().not_before.timestamp())
    }

    /// Whether it is time to have the certificate signed anew: it ends soon, or it was signed by a clock that was so far ahead
    /// that nobody would believe it yet.
    pub fn wants_renewal(&self, now_s: i64) -> bool {
        self.expires_s() - now_s < RENEW_S || self.begins_s() > now_s
    }

    /// As it is stored in this node's data file.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::new());
        for part in [&self.key[..], &self.certificate, &self.authority] {
            bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }

    /// Reads what [`Identity::encode`] wrote.
    ///
    /// # Errors
    /// [`IdentityError::Stored`].
    pub fn decode(bytes: &[u8]) -> Result<Self, IdentityError> {
        let mut rest = bytes;
        let mut part = || {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let (part, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
            rest = after;
            Some(part)
        };
        let mut next = || part().ok_or(IdentityError::Stored("it is cut short"));
        let (key, certificate, authority) = (next()?, next()?, next()?);
        let pair = key_pair(key)?;
        Ok(Self {
            public_key: PublicKey::from_bytes(pair.public_key_raw())?,
            key: Zeroizing::new(key.to_vec()),
            certificate: CertificateDer::from(certificate.to_vec()),
            authority: CertificateDer::from(authority.to_vec()),
        })
    }
}

fn key_pair(pkcs8: &[u8]) -> Result<KeyPair, IdentityError> {
    let der = PrivatePkcs8KeyDer::from(pkcs8);
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256)
        .map_err(|_| IdentityError::Stored("a private key"))
}

/// The host name that a member's certificate is for.
pub fn host_name(node: NodeId) -> String {
    format!("{}.{HOST_SUFFIX}", hexadecimal(&node.0))
}

/// Which node a certificate was signed for, and the fingerprint of its key; `None` if it is no member's (T-53).
pub fn member_of(certificate: &[u8]) -> Option<(NodeId, [u8; 32])> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let subject = parsed.subject();
    let is_member = subject.iter_organizational_unit().any(|unit| unit.as_str().is_ok_and(|unit| unit == MEMBER_UNIT));
    let name = subject.iter_common_name().next()?.as_str().ok()?;
    let node = node_of(name)?;
    is_member.then(|| (node, Sha256::digest(parsed.public_key().raw).into()))
}

/// Lower-case hexadecimal.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal text; `None` if it is none.
pub fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// The node that hexadecimal text names.
pub fn node_of(text: &str) -> Option<NodeId> {
    from_hexadecimal(text)?.try_into().ok().map(NodeId)
}

fn at(unix_s: i64) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(unix_s).unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_000_000;
    const NODE: NodeId = NodeId([7; 16]);

    #[test]
    fn an_identity_is_stored_and_read_back_and_renewed_in_its_last_third() {
        let authority = Authority::create([1; 16], NOW).unwrap();
        let identity = Identity::create().unwrap();
        assert!(!identity.is_certified() && identity.wants_renewal(NOW));
        let certificate = authority.sign(NODE, identity.public_key(), NOW).unwrap();
        let identity = identity.certified(certificate, authority.certificate().clone());
        let read = Identity::decode(&identity.encode()).unwrap();
        assert_eq!(read.chain(), identity.chain());
        assert_eq!(read.public_key(), identity.public_key());
        assert!(!read.wants_renewal(NOW + VALID_S / 2) && read.wants_renewal(NOW + VALID_S * 2 / 3 + 1));
        assert!(Identity::decode(&identity.encode()[..40]).is_err());
    }

    #[test]
    fn a_certificate_that_was_signed_by_a_clock_far_ahead_is_signed_anew() {
        let authority = Authority::create([1; 16], NOW).unwrap();
        let identity = Identity::create().unwrap();
        let signed = |at_s| {
            let certificate = authority.sign(NODE, identity.public_key(), at_s).unwrap();
            identity.clone().certified(certificate, authority.certificate().clone())
        };
        // A month ahead it is good at the right time too.
        assert!(!signed(NOW + VALID_S).wants_renewal(NOW));
        assert!(signed(NOW + BACKDATED_S + 1).wants_renewal(NOW));
        assert!(!signed(NOW).wants_renewal(NOW));
    }

    #[test]
    fn a_members_certificate_tells_its_node_and_key_and_others_tell_nothing() {
        let authority = Authority::create([1; 16], NOW).unwrap();
        let identity = Identity::create().unwrap();
        let certificate = authority.sign(NODE, identity.public_key(), NOW).unwrap();
        assert_eq!(member_of(&certificate), Some((NODE, identity.public_key().fingerprint())));
        assert_eq!(member_of(authority.certificate()), None);
        assert_eq!(member_of(b"nonsense"), None);
    }

    #[test]
    fn an_authority_from_its_parts_signs_for_the_same_chain() {
        let authority = Authority::create([1; 16], NOW).unwrap();
        let again = Authority::from_parts([1; 16], authority.certificate(), &authority.key()).unwrap();
        let identity = Identity::create().unwrap();
        let certificate = again.sign(NODE, identity.public_key(), NOW).unwrap();
        let (_, parsed) = X509Certificate::from_der(&certificate).unwrap();
        let (_, issuer) = X509Certificate::from_der(authority.certificate()).unwrap();
        assert_eq!(parsed.issuer(), issuer.subject());
        let other = Authority::create([1; 16], NOW).unwrap();
        assert!(Authority::from_parts([1; 16], other.certificate(), &authority.key()).is_err());
    }

    #[test]
    fn only_points_are_public_keys() {
        assert!(PublicKey::from_bytes(&[4; 64]).is_err() && PublicKey::from_bytes(b"").is_err());
        assert!(PublicKey::from_bytes(&[2; 65]).is_err());
        assert_eq!(node_of(&hexadecimal(&NODE.0)), Some(NODE));
        assert_eq!(node_of("07"), None);
    }
}
