//! A certificate made on the spot, and a TLS client that trusts exactly it.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// Certificate and key as files for a server, and the certificate for the client.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    pub(crate) certificate_file: PathBuf,
    pub(crate) key_file: PathBuf,
    certificate: CertificateDer<'static>,
}

impl Certificate {
    /// A self-signed certificate for 127.0.0.1 and localhost, written into `folder`.
    #[track_caller]
    pub(crate) fn make(folder: &Path) -> Self {
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate is made");
        let certificate_file = folder.join("certificate.pem");
        let key_file = folder.join("key.pem");
        std::fs::write(&certificate_file, made.cert.pem()).expect("folder is writable");
        std::fs::write(&key_file, made.signing_key.serialize_pem()).expect("folder is writable");
        restrict(&key_file);
        Self { certificate_file, key_file, certificate: made.cert.der().clone() }
    }

    /// The TLS client side over a connected socket; the handshake runs with the first byte.
    #[track_caller]
    pub(crate) fn connect(&self, socket: TcpStream) -> StreamOwned<ClientConnection, TcpStream> {
        self.connect_as(socket, None)
    }

    /// SHA-256 of the certificate.
    pub(crate) fn sha256(&self) -> Vec<u8> {
        Sha256::digest(&self.certificate).to_vec()
    }

    /// [`Certificate::connect`] with a certificate of the client's own.
    #[track_caller]
    pub(crate) fn connect_as(
        &self,
        socket: TcpStream,
        identity: Option<&Identity>,
    ) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("our certificate is well-formed");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the default versions")
            .with_root_certificates(roots);
        let config = match identity {
            Some(identity) => config
                .with_client_auth_cert(vec![identity.certificate.clone()], identity.key.clone_key())
                .expect("key and certificate fit"),
            None => config.with_no_client_auth(),
        };
        let name = ServerName::try_from("127.0.0.1").expect("an address is a name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("client configuration is sound");
        StreamOwned::new(connection, socket)
    }
}

/// An authority that signs certificates of clients.
pub(crate) struct Authority {
    folder: TempDir,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

/// A client's certificate with its key.
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// SHA-256 in lower-case hex.
    pub(crate) fn fingerprint(&self) -> String {
        Sha256::digest(&self.certificate).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Authority {
    #[track_caller]
    pub(crate) fn make(folder: TempDir) -> Self {
        let key = rcgen::KeyPair::generate().expect("a key is made");
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "An authority");
        let certificate = params.self_signed(&key).expect("a certificate is made");
        std::fs::write(folder.path().join("authority.pem"), certificate.pem()).expect("folder is writable");
        Self { folder, issuer: rcgen::Issuer::new(params, key) }
    }

    /// Its certificate as a PEM file.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// A client's certificate: its subject by OID from the root, and mail addresses as alternative names.
    #[track_caller]
    pub(crate) fn identity(&self, subject: &[(&str, &str)], mail_addresses: &[&str]) -> Identity {
        let key = rcgen::KeyPair::generate().expect("a key is made");
        let mut params = rcgen::CertificateParams::default();
        let mut name = rcgen::DistinguishedName::new();
        for (oid, value) in subject {
            let oid = oid.split('.').map(|part| part.parse().expect("an OID")).collect();
            name.push(rcgen::DnType::CustomDnType(oid), *value);
        }
        params.distinguished_name = name;
        params.subject_alt_names = mail_addresses
            .iter()
            .map(|address| rcgen::SanType::Rfc822Name((*address).try_into().expect("an address is ASCII")))
            .collect();
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate is signed");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key is in PKCS 8");
        Identity { certificate: certificate.der().clone(), key }
    }
}

/// Readable by its owner only, as a secret must be.
pub(crate) fn restrict(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).expect("we own the file");
}
