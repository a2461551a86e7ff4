//! A certificate made on the spot, and a TLS client that trusts exactly it.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

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
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("our certificate is well-formed");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("127.0.0.1").expect("an address is a name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("client configuration is sound");
        StreamOwned::new(connection, socket)
    }
}

/// Readable by its owner only, as a secret must be.
pub(crate) fn restrict(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).expect("we own the file");
}
