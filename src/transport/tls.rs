//! TLS as a server: certificates loaded, checked, and exchanged while running; handshakes within their time.
//!
//! New connections take the configuration that is current when they come; those that are open keep theirs. Loading
//! checks everything that can be checked beforehand (files there, key closed to others, key fits certificate), so that a
//! reload either works or changes nothing.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::server::WebPkiClientVerifier;
use rustls::{ProtocolVersion, RootCertStore, ServerConfig, ServerConnection};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificate::{ClientCertificate, end_point, expires_unix_s, fingerprint};
use super::stream::{Carrier, TlsFacts};
use super::{Stream, TransportError};

mod ration;

pub(super) use ration::Rationed;

/// Mode bits that a key's file must not have: writable by the group, or anything for everybody. The group may read, as
/// Debian's `ssl-cert` does.
const KEY_MODE_REFUSED: u32 = 0o027;

/// What TLS needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// PEM file: the certificate, then its issuers.
    pub certificate: PathBuf,
    /// PEM file with the private key; refused if everybody may read it.
    pub key: PathBuf,
    /// PEM file with the authorities whose client certificates are believed; `None`: none is asked for.
    pub client_ca: Option<PathBuf>,
    /// Refuse clients without a certificate; needs `client_ca`.
    pub client_certificate_required: bool,
    /// Speak TLS 1.3 only, not 1.2.
    pub tls13_only: bool,
}

/// TLS as this node speaks it; cheap to clone, all clones see a reload.
#[derive(Clone, Debug)]
pub struct Tls(Arc<ArcSwap<Loaded>>);

#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    expires_unix_s: Option<i64>,
    sha256: [u8; 32],
    end_point: Option<Vec<u8>>,
}

impl Tls {
    /// Loads certificates and key.
    ///
    /// # Errors
    /// [`TransportError::Certificate`]: a file is missing, unreadable, empty, open to others, or does not fit.
    pub fn load(options: &TlsOptions) -> Result<Self, TransportError> {
        Ok(Self(Arc::new(ArcSwap::from_pointee(load(options)?))))
    }

    /// Loads again; new connections use what was loaded, and tickets of old sessions are no longer taken.
    ///
    /// # Errors
    /// As [`Tls::load`]; then everything stays as it was.
    pub fn reload(&self, options: &TlsOptions) -> Result<(), TransportError> {
        self.0.store(Arc::new(load(options)?));
        Ok(())
    }

    /// When the certificate in use ends, in unix seconds.
    pub fn expires_unix_s(&self) -> Option<i64> {
        self.0.load().expires_unix_s
    }

    /// SHA-256 of the certificate in use, in hex with colons.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.0.load().sha256)
    }

    /// Speaks TLS on a plain TCP connection, at the start (`ldaps`) or after a StartTLS answer has been flushed.
    ///
    /// The caller makes sure that nothing it has already read is waiting (such bytes came in clear: close instead).
    ///
    /// # Errors
    /// [`TransportError::Handshake`]: not TCP, not in time, or not TLS; the connection is closed.
    /// [`TransportError::ProxyHeader`]: a header of the PROXY protocol came instead.
    pub async fn accept(&self, stream: Stream, handshake_time_max: Duration) -> Result<Stream, TransportError> {
        let (carrier, mut peer) = stream.into_parts();
        let Carrier::Tcp(tcp) = carrier else {
            return Err(TransportError::Handshake("TLS is spoken over plain TCP only".to_owned()));
        };
        let (config, end_point) = {
            let loaded = self.0.load();
            (Arc::clone(&loaded.config), loaded.end_point.clone())
        };
        let handshake = TlsAcceptor::from(config).accept(Rationed::new(tcp)).into_fallible();
        let mut tls: Box<TlsStream<Rationed>> = match tokio::time::timeout(handshake_time_max, handshake).await {
            Ok(Ok(tls)) => Box::new(tls),
            Ok(Err((_, tcp))) if tcp.begins_proxy_header() => {
                return Err(TransportError::ProxyHeader("unasked for, where TLS begins".to_owned()));
            }
            Ok(Err((error, _))) => return Err(TransportError::Handshake(error.to_string())),
            Err(_) => {
                let detail = format!("not finished within {} s", handshake_time_max.as_secs());
                return Err(TransportError::Handshake(detail));
            }
        };
        tls.get_mut().0.renew();
        peer.tls = Some(facts(tls.get_ref().1, end_point));
        Ok(Stream::from_parts(Carrier::Tls(tls), peer))
    }
}

/// What the handshake agreed on.
fn facts(connection: &ServerConnection, end_point: Option<Vec<u8>>) -> TlsFacts {
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "TLS",
    };
    let cipher = connection.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite())).unwrap_or_default();
    let ssf = match &cipher {
        name if name.contains("AES_128") => 128,
        name if name.is_empty() => 0,
        _ => 256,
    };
    let client = connection.peer_certificates().and_then(<[_]>::first).and_then(|der| ClientCertificate::read(der));
    let exporter = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => {
            connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).ok()
        }
        _ => None,
    };
    TlsFacts { version, cipher, ssf, client, exporter, end_point }
}

fn load(options: &TlsOptions) -> Result<Loaded, TransportError> {
    let chain = certificates(&options.certificate)?;
    let Some(first) = chain.first() else {
        return Err(fault(&options.certificate, &"holds no certificate"));
    };
    let (expires_unix_s, sha256) = (expires_unix_s(first), Sha256::digest(first).into());
    let end_point = end_point(first);
    let key = private_key(&options.key)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions: &[&rustls::SupportedProtocolVersion] =
        if options.tls13_only { &[&rustls::version::TLS13] } else { rustls::ALL_VERSIONS };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| fault(&options.certificate, &error))?;
    let builder = match &options.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(path)? {
                roots.add(authority).map_err(|error| fault(path, &error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier =
                if options.client_certificate_required { verifier } else { verifier.allow_unauthenticated() };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| fault(path, &error))?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| {
        fault(&options.key, &format!("does not fit the certificate in {}: {error}", options.certificate.display()))
    })?;
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(|error| fault(&options.key, &error))?;
    Ok(Loaded { config: Arc::new(config), expires_unix_s, sha256, end_point })
}

fn fault(path: &Path, detail: &dyn std::fmt::Display) -> TransportError {
    TransportError::Certificate { path: path.to_owned(), detail: detail.to_string() }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault(path, &pem_fault(&error)))?;
    if found.is_empty() {
        return Err(fault(path, &"holds no certificate in PEM (BEGIN CERTIFICATE)"));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TransportError> {
    let mode = std::fs::metadata(path).map_err(|error| fault(path, &error))?.mode() & 0o777;
    if mode & KEY_MODE_REFUSED != 0 {
        return Err(fault(path, &format!("others than its owner may use the key (mode {mode:03o}); chmod 600")));
    }
    PrivateKeyDer::from_pem_file(path).map_err(|error| fault(path, &pem_fault(&error)))
}

fn pem_fault(error: &rustls_pki_types::pem::Error) -> String {
    match error {
        rustls_pki_types::pem::Error::Io(error) if error.kind() == io::ErrorKind::NotFound => "is not there".to_owned(),
        rustls_pki_types::pem::Error::NoItemsFound => "holds no key in PEM (BEGIN PRIVATE KEY)".to_owned(),
        error => format!("is not as PEM should be: {error}"),
    }
}

#[cfg(test)]
mod tests;
