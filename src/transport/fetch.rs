//! One small file from one address of the settings, over http or https: the keys of an issuer of tokens.
//!
//! Not a browser: one GET, one answer, no redirect, no proxy, no cookies; the host is the one in the settings, and
//! nothing that a client sends changes where it goes. Blocks, and ends within its time whatever the other side does.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};

use crate::clock::Clock;

/// Longest answer, header included, in bytes.
const ANSWER_BYTES_MAX: usize = 320 * 1024;
/// Time for all of it.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Where Debian and its like keep the authorities they believe.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// An address taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchUrl {
    is_secure: bool,
    host: String,
    port: u16,
    path: String,
}

impl FetchUrl {
    /// Reads `http://HOST[:PORT]/PATH` or `https://…`; no user, no fragment.
    pub fn parse(text: &str) -> Option<Self> {
        let (is_secure, rest) = match text.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("http://")?),
        };
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) || rest.contains(['#', '@', '\\']) {
            return None;
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
            _ => (authority, if is_secure { 443 } else { 80 }),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return None;
        }
        let path = if path.is_empty() { "/".to_owned() } else { path.to_owned() };
        Some(Self { is_secure, host: host.to_owned(), port, path })
    }

    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Gets what is at `url`. `authorities`: a PEM file with those that are believed; `None`: the system's.
///
/// # Errors
/// What went wrong, as text: no such host, no answer in time, no certificate that is believed, another status than 200,
/// an answer that is too long.
pub fn fetch(url: &str, authorities: Option<&PathBuf>, clock: &Clock) -> Result<Vec<u8>, String> {
    let url = FetchUrl::parse(url).ok_or("it is no address of http or https")?;
    let end = clock.monotonic() + TIME_MAX;
    let socket = connect(&url)?;
    let answer = if url.is_secure {
        let config = client_config(authorities.map_or_else(|| Path::new(SYSTEM_AUTHORITIES), PathBuf::as_path))?;
        let name = ServerName::try_from(url.host.clone()).map_err(|error| error.to_string())?;
        let connection = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
        exchange(&mut StreamOwned::new(connection, socket), &url, clock, end)?
    } else {
        let mut socket = socket;
        exchange(&mut socket, &url, clock, end)?
    };
    body(&answer)
}

fn connect(url: &FetchUrl) -> Result<TcpStream, String> {
    let addresses = (url.host.as_str(), url.port).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut fault = "the host has no address".to_owned();
    for address in addresses.take(2) {
        match TcpStream::connect_timeout(&address, TIME_MAX / 2) {
            Ok(socket) => {
                let time = Some(TIME_MAX / 2);
                let limits = socket.set_read_timeout(time).and_then(|()| socket.set_write_timeout(time));
                return limits.map(|()| socket).map_err(|error| error.to_string());
            }
            Err(error) => fault = error.to_string(),
        }
    }
    Err(fault)
}

fn client_config(authorities: &Path) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(authorities).map_err(|error| error.to_string())?;
    for certificate in certificates.flatten() {
        // One that cannot be read is believed by nobody.
        let _ = roots.add(certificate);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(config.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth())
}

/// HTTP/1.0, so that the answer ends with the connection and is never in pieces (RFC 9112 6.3).
fn exchange(stream: &mut (impl Read + Write), url: &FetchUrl, clock: &Clock, end: Duration) -> Result<Vec<u8>, String> {
    let request = format!("GET {} HTTP/1.0\r\nHost: {}\r\nAccept: application/json\r\n\r\n", url.path, url.authority());
    stream.write_all(request.as_bytes()).and_then(|()| stream.flush()).map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    let mut chunk = [0; 8_192];
    loop {
        if clock.monotonic() > end {
            return Err("there was no whole answer in time".to_owned());
        }
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(answer),
            Ok(count) => answer.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            // Many servers end TLS without saying so; the length in the header tells whether all is there.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(answer),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.to_string()),
        }
        if answer.len() > ANSWER_BYTES_MAX {
            return Err("the answer is too long".to_owned());
        }
    }
}

/// The content of an answer with status 200, as long as its header says.
fn body(answer: &[u8]) -> Result<Vec<u8>, String> {
    let at = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or("it is no answer of HTTP")?;
    let (header, body) = answer.split_at(at);
    let body = body.get(4..).unwrap_or_default();
    let header = String::from_utf8_lossy(header);
    let mut lines = header.lines();
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.") || status.split(' ').nth(1) != Some("200") {
        return Err(format!("the answer is {}", status.escape_debug().take(80).collect::<String>()));
    }
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.trim().eq_ignore_ascii_case("content-length") && value.trim().parse() != Ok(body.len()) {
            return Err("the answer was cut".to_owned());
        }
        if name.trim().eq_ignore_ascii_case("transfer-encoding") {
            return Err("the answer comes in pieces, which HTTP/1.0 does not know".to_owned());
        }
    }
    Ok(body.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_or_refused() {
        let url = FetchUrl::parse("https://id.example.com/keys?x=1").unwrap();
        assert_eq!(
            (url.is_secure, url.authority().as_str(), url.path.as_str()),
            (true, "id.example.com:443", "/keys?x=1")
        );
        let url = FetchUrl::parse("http://[::1]:8080").unwrap();
        assert_eq!((url.is_secure, url.authority().as_str(), url.path.as_str()), (false, "[::1]:8080", "/"));
        for bad in
            ["", "ftp://x/", "https://", "https://a b/", "http://u@h/", "http://h:x/", "http://h/#f", "https:///x"]
        {
            assert_eq!(FetchUrl::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_a_whole_answer_counts() {
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap(), b"{}");
        assert_eq!(body(b"HTTP/1.0 200 OK\r\n\r\n{}").unwrap(), b"{}");
        for bad in [
            &b""[..],
            b"{}",
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
            b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        ] {
            assert!(body(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }
}
