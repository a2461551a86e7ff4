//! Reaching another node: one of its addresses, in their order, then TLS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::NodeId;
use super::trust::{Trust, server_name};

/// How long one address may take to answer.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);
/// How long TLS may take.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// Idle time after which the kernel asks a silent peer whether it is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);

/// Why no address led to the node. The text names each address and what happened there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DialError(String);

/// Dials the member `node` and proves each to the other.
///
/// # Errors
/// [`DialError`].
pub async fn member(trust: &Arc<Trust>, node: NodeId, addresses: &[String]) -> Result<TlsStream<TcpStream>, DialError> {
    let config = trust.client_config(node).map_err(|error| DialError(error.to_string()))?;
    tls(config, node, addresses).await
}

/// Dials `node` with a TLS configuration.
///
/// # Errors
/// [`DialError`].
pub async fn tls(
    config: Arc<ClientConfig>,
    node: NodeId,
    addresses: &[String],
) -> Result<TlsStream<TcpStream>, DialError> {
    if addresses.is_empty() {
        return Err(DialError("no address of it is known".to_owned()));
    }
    let name = server_name(node).map_err(|error| DialError(error.to_string()))?;
    let mut tried = Vec::new();
    for address in addresses {
        let attempt = async {
            let stream = tcp(address).await?;
            TlsConnector::from(Arc::clone(&config)).connect(name.clone(), stream).await
        };
        match tokio::time::timeout(HANDSHAKE_TIME_MAX, attempt).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => tried.push(format!("{address}: {}", words(&error))),
            Err(_) => tried.push(format!("{address}: no answer within {} s", HANDSHAKE_TIME_MAX.as_secs())),
        }
    }
    Err(DialError(tried.join("; ")))
}

/// What is said wherever a certificate is refused for the time.
pub const TIME_DIFFERS: &str =
    "one of the two clocks is wrong: set it (chronyc makestep), a certificate is signed anew by itself";

/// What broke a connection, in words.
pub fn words(error: &io::Error) -> String {
    use rustls::{AlertDescription, CertificateError, Error};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::AlertReceived(AlertDescription::CertificateExpired)) => {
            format!("it says that this node's certificate is not valid at this time; {TIME_DIFFERS}")
        }
        Some(Error::InvalidCertificate(
            CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
            | CertificateError::Expired
            | CertificateError::ExpiredContext { .. },
        )) => format!("its certificate is not valid by this node's clock; {TIME_DIFFERS}"),
        _ => error.to_string(),
    }
}

async fn tcp(address: &str) -> io::Result<TcpStream> {
    let stream = match tokio::time::timeout(CONNECT_TIME_MAX, TcpStream::connect(address)).await {
        Ok(stream) => stream?,
        Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "nobody answers")),
    };
    tune(&stream)?;
    Ok(stream)
}

/// Messages are written whole, and a peer that is gone is noticed.
///
/// # Errors
/// The operating system's.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{AlertDescription, CertificateError, Error};

    #[test]
    fn who_is_refused_for_the_time_hears_of_clocks() {
        let told = |error| words(&io::Error::new(io::ErrorKind::InvalidData, error));
        for error in [
            Error::AlertReceived(AlertDescription::CertificateExpired),
            Error::InvalidCertificate(CertificateError::NotValidYet),
            Error::InvalidCertificate(CertificateError::Expired),
        ] {
            assert!(told(error.clone()).contains(TIME_DIFFERS), "{error}");
        }
        assert!(!told(Error::InvalidCertificate(CertificateError::UnknownIssuer)).contains(TIME_DIFFERS));
    }
}
