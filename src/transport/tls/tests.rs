use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::super::ensure_self_signed;
use super::*;

const LONG: Duration = Duration::from_secs(30);

/// A folder with a server's certificate and its options.
struct Server {
    folder: tempfile::TempDir,
    options: TlsOptions,
}

fn new_server() -> Server {
    let folder = tempfile::tempdir().unwrap();
    let now = time::OffsetDateTime::from_unix_timestamp(now_unix_s()).unwrap().unix_timestamp();
    let files = ensure_self_signed(folder.path(), "box", now).unwrap();
    let options = TlsOptions {
        certificate: files.certificate,
        key: files.key,
        client_ca: None,
        client_certificate_required: false,
        tls13_only: false,
    };
    Server { folder, options }
}

fn now_unix_s() -> i64 {
    (crate::clock::Clock::system().wall_ms() / 1000).try_into().unwrap()
}

/// An authority and a client certificate of it, for `client_ca`.
struct Client {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

fn client_of_authority(server: &mut Server) -> Client {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "Example authority");
    let authority = params.self_signed(&authority_key).unwrap();
    let path = server.folder.path().join("ca.pem");
    std::fs::write(&path, authority.pem()).unwrap();
    server.options.client_ca = Some(path);
    let issuer = rcgen::Issuer::new(params, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "Example");
    params.distinguished_name.push(rcgen::DnType::CommonName, "ann");
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    Client { chain: vec![certificate.der().clone()], key }
}

fn client_config(
    server: &Server,
    client: Option<Client>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&server.options.certificate).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    match client {
        Some(client) => builder.with_client_auth_cert(client.chain, client.key).unwrap(),
        None => builder.with_no_client_auth(),
    }
}

/// Client and server side of one connection over loopback.
async fn handshake(tls: &Tls, config: ClientConfig) -> (io::Result<()>, Result<Stream, TransportError>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = tokio::spawn(async move {
        let tcp = TcpStream::connect(address).await?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
        stream.write_all(b"ping").await?;
        stream.flush().await?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await?;
        assert_eq!(&answer, b"pong");
        Ok(())
    });
    let (tcp, peer) = listener.accept().await.unwrap();
    let accepted = match tls.accept(Stream::tcp(tcp, peer), LONG).await {
        Ok(mut stream) => {
            let mut bytes = [0; 4];
            let exchange = async {
                stream.read_exact(&mut bytes).await?;
                stream.write_all(b"pong").await?;
                stream.flush().await
            };
            match exchange.await {
                Ok(()) => Ok(stream),
                Err(error) => Err(TransportError::Handshake(error.to_string())),
            }
        }
        Err(error) => Err(error),
    };
    (client.await.unwrap(), accepted)
}

#[tokio::test]
async fn both_versions_are_spoken_and_told() {
    let server = new_server();
    let tls = Tls::load(&server.options).unwrap();
    for (version, name) in [(&rustls::version::TLS12, "TLSv1.2"), (&rustls::version::TLS13, "TLSv1.3")] {
        let (client, accepted) = handshake(&tls, client_config(&server, None, &[version])).await;
        client.unwrap();
        let accepted = accepted.unwrap();
        let facts = accepted.peer().tls.clone().unwrap();
        assert_eq!(facts.version, name);
        assert!(facts.ssf >= 128 && accepted.peer().ssf() == facts.ssf, "{facts:?}");
        assert_eq!(facts.client, None);
        assert!(!accepted.can_start_tls());
    }
}

#[tokio::test]
async fn the_older_version_can_be_refused() {
    let mut server = new_server();
    server.options.tls13_only = true;
    let tls = Tls::load(&server.options).unwrap();
    let (client, accepted) = handshake(&tls, client_config(&server, None, &[&rustls::version::TLS12])).await;
    assert!(client.is_err() && accepted.is_err());
}

#[tokio::test]
async fn a_client_certificate_gives_its_subject_leaf_first() {
    let mut server = new_server();
    let client = client_of_authority(&mut server);
    let tls = Tls::load(&server.options).unwrap();
    let config = client_config(&server, Some(client), rustls::ALL_VERSIONS);
    let (client, accepted) = handshake(&tls, config).await;
    client.unwrap();
    let facts = accepted.unwrap().peer().tls.clone().unwrap();
    assert_eq!(facts.client.unwrap().subject.to_string(), "CN=ann,O=Example");
}

#[tokio::test]
async fn a_client_without_certificate_is_welcome_unless_one_is_required() {
    let mut server = new_server();
    client_of_authority(&mut server);
    let tls = Tls::load(&server.options).unwrap();
    let (client, accepted) = handshake(&tls, client_config(&server, None, rustls::ALL_VERSIONS)).await;
    client.unwrap();
    assert_eq!(accepted.unwrap().peer().tls.as_ref().unwrap().client, None);
    server.options.client_certificate_required = true;
    tls.reload(&server.options).unwrap();
    let (client, accepted) = handshake(&tls, client_config(&server, None, rustls::ALL_VERSIONS)).await;
    assert!(client.is_err() && accepted.is_err());
}

#[tokio::test]
async fn a_certificate_of_a_strange_authority_is_refused() {
    let mut server = new_server();
    client_of_authority(&mut server);
    let tls = Tls::load(&server.options).unwrap();
    let stranger = client_of_authority(&mut new_server());
    let config = client_config(&server, Some(stranger), rustls::ALL_VERSIONS);
    let (client, accepted) = handshake(&tls, config).await;
    assert!(client.is_err() && accepted.is_err());
}

/// T-38.
#[tokio::test]
async fn a_silent_client_is_given_up_in_time() {
    let server = new_server();
    let tls = Tls::load(&server.options).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _silent = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (tcp, peer) = listener.accept().await.unwrap();
    let error = tls.accept(Stream::tcp(tcp, peer), Duration::from_millis(20)).await.unwrap_err();
    assert!(error.to_string().contains("not finished within"), "{error}");
}

#[tokio::test]
async fn clear_bytes_instead_of_a_handshake_end_the_connection() {
    let server = new_server();
    let tls = Tls::load(&server.options).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    client.write_all(b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00").await.unwrap();
    let (tcp, peer) = listener.accept().await.unwrap();
    assert!(matches!(tls.accept(Stream::tcp(tcp, peer), LONG).await, Err(TransportError::Handshake(_))));
}

#[test]
fn a_bad_new_certificate_keeps_the_old_one() {
    let server = new_server();
    let tls = Tls::load(&server.options).unwrap();
    let before = tls.fingerprint();
    assert!(tls.expires_unix_s().is_some());
    let other = new_server();
    let mixed = TlsOptions { key: other.options.key.clone(), ..server.options.clone() };
    let error = tls.reload(&mixed).unwrap_err().to_string();
    assert!(error.contains("does not fit the certificate"), "{error}");
    std::fs::write(&server.options.certificate, "").unwrap();
    assert!(tls.reload(&server.options).is_err());
    assert_eq!(tls.fingerprint(), before);
    tls.reload(&other.options).unwrap();
    assert_ne!(tls.fingerprint(), before);
}

#[test]
fn a_key_that_everybody_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let server = new_server();
    for (mode, loads) in [(0o600, true), (0o400, true), (0o640, true), (0o644, false), (0o660, false)] {
        std::fs::set_permissions(&server.options.key, std::fs::Permissions::from_mode(mode)).unwrap();
        let loaded = Tls::load(&server.options);
        assert_eq!(loaded.is_ok(), loads, "{mode:o}");
        if let Err(error) = loaded {
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let server = new_server();
    type Change = fn(&mut TlsOptions);
    let cases: [(Change, &str); 4] = [
        (|options| options.certificate = PathBuf::from("/nowhere.pem"), "/nowhere.pem: is not there"),
        (|options| options.key = PathBuf::from("/nowhere.pem"), "/nowhere.pem: "),
        (|options| options.key = options.certificate.clone(), "certificate.pem: "),
        (|options| options.client_ca = Some(options.key.clone()), "key.pem: holds no certificate"),
    ];
    for (change, expected) in cases {
        let mut options = server.options.clone();
        change(&mut options);
        let error = Tls::load(&options).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
