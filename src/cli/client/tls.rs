//! Whose certificate the client believes.
//!
//! Authorities: the system's, or those of `--ca FILE`. A server that shows exactly a certificate of that file is
//! believed too, which is how a certificate without authority (the demo's) is used safely. Or one certificate by its
//! fingerprint, whatever its names and dates say.

use crate::cli::output::CliError;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where systems keep the authorities they believe.
const SYSTEM_AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Whose certificates are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The system's authorities.
    System,
    /// Those of a PEM file, and its certificates themselves.
    File(PathBuf),
    /// One certificate by the SHA-256 of its DER form.
    Fingerprint([u8; 32]),
}

impl Trust {
    /// Reads a fingerprint: 64 hexadecimal digits, colons and case do not matter.
    pub fn fingerprint(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text
            .trim_start_matches("SHA256:")
            .chars()
            .filter(|c| *c != ':')
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<_>>()?;
        let (pairs, rest) = digits.as_chunks::<2>();
        if !rest.is_empty() {
            return None;
        }
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        bytes.try_into().ok().map(Self::Fingerprint)
    }
}

/// Speaks TLS over `stream` to `host`.
pub(super) async fn wrap<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    host: &str,
    trust: &Trust,
) -> Result<TlsStream<S>, CliError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Arc::new(Verifier::new(trust, &provider)?);
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| CliError::new(format!("TLS: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| CliError::new(format!("{host} is no name that a certificate could be for")))?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| {
        CliError::new(format!(
            "TLS with {host}: {error}; name the file with the server's certificate or its authority with --ca FILE"
        ))
    })
}

#[derive(Debug)]
struct Verifier {
    authorities: Option<Arc<WebPkiServerVerifier>>,
    exact: Vec<CertificateDer<'static>>,
    fingerprint: Option<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(trust: &Trust, provider: &Arc<CryptoProvider>) -> Result<Self, CliError> {
        let mut this = Self { authorities: None, exact: Vec::new(), fingerprint: None, provider: Arc::clone(provider) };
        let certificates = match trust {
            Trust::Fingerprint(fingerprint) => {
                this.fingerprint = Some(*fingerprint);
                return Ok(this);
            }
            Trust::File(path) => {
                this.exact = certificates(path)?;
                this.exact.clone()
            }
            Trust::System => match SYSTEM_AUTHORITIES.iter().map(Path::new).find(|path| path.is_file()) {
                Some(path) => certificates(path)?,
                None => {
                    return Err(CliError::new(
                        "this system has no list of certificate authorities; name one with --ca FILE",
                    ));
                }
            },
        };
        let mut roots = RootCertStore::empty();
        // Certificates that cannot be authorities stay out; they may still be the server's own.
        roots.add_parsable_certificates(certificates);
        if !roots.is_empty() {
            let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
            this.authorities = Some(built.map_err(|error| CliError::new(format!("TLS: {error}")))?);
        }
        Ok(this)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CliError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|error| CliError::new(format!("{}: {error}", path.display())))?
        .collect();
    match read {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(CliError::new(format!("{} holds no certificate in PEM form", path.display()))),
        Err(error) => Err(CliError::new(format!("{}: {error}", path.display()))),
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(wanted) = self.fingerprint {
            let found: [u8; 32] = Sha256::digest(end_entity).into();
            if found == wanted {
                return Ok(ServerCertVerified::assertion());
            }
            let text: Vec<String> = found.iter().map(|byte| format!("{byte:02X}")).collect();
            return Err(rustls::Error::General(format!(
                "the server's certificate has another fingerprint, {}",
                text.join(":")
            )));
        }
        if self.exact.iter().any(|trusted| trusted == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        match &self.authorities {
            Some(authorities) => {
                authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            None => Err(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_with_and_without_colons() {
        let plain = "00".repeat(31) + "aF";
        let Some(Trust::Fingerprint(bytes)) = Trust::fingerprint(&plain) else { panic!("not read") };
        assert_eq!(bytes[31], 0xaf);
        let colons: Vec<&str> = (0..64).step_by(2).map(|at| &plain[at..at + 2]).collect();
        assert_eq!(Trust::fingerprint(&colons.join(":")), Some(Trust::Fingerprint(bytes)));
        assert_eq!(Trust::fingerprint("0102"), None);
        assert_eq!(Trust::fingerprint(&"g".repeat(64)), None);
    }
}
