//! The PROXY protocol (its specification of 2020-03-05, versions 1 and 2): how a load balancer says for whom it connects.
//!
//! The header stands before everything else, TLS included. Who may send one is a setting: from those addresses it is
//! demanded, since a balancer that sends none would hand on one that its client made up; from all others it is no LDAP.
//!
//! Invariants
//! - Nothing behind the header is read here: it belongs to TLS or LDAP.
//! - A header holds at most [`HEADER_BYTES_MAX`], and comes within the time of a handshake.
//! - Reading is a pure function ([`proxy_header`]); what it cannot read ends the connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::{Stream, TransportError};

/// Most bytes of a header: the addresses take 52, and what balancers add about TLS and themselves some hundred.
pub const HEADER_BYTES_MAX: usize = 4_096;

/// What version 2 begins with (2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// What version 1 begins with (2.1).
const WORD: &[u8] = b"PROXY ";
/// Most bytes of a line of version 1, with its end (2.1).
const LINE_BYTES_MAX: usize = 107;
/// Fewest bytes of a line of version 1: `PROXY UNKNOWN` with its end.
const LINE_BYTES_MIN: usize = 15;
/// Signature, command, family, length.
const FIXED_BYTES: usize = 16;

/// How far a header is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// It cannot be told before there are so many bytes in all; they all belong to the header.
    Needs(usize),
    /// The balancer speaks for itself (LOCAL), or for a client without an address.
    Own,
    /// It speaks for the client at this address.
    Client(SocketAddr),
}

/// Whether these bytes of a client could begin a header.
pub fn begins_proxy_header(bytes: &[u8]) -> bool {
    let begins = |with: &[u8]| bytes.len() >= 6 && bytes.iter().zip(with).all(|(left, right)| left == right);
    begins(SIGNATURE) || begins(WORD)
}

/// Reads a header of version 1 or 2; `bytes` hold no more than was needed.
///
/// # Errors
/// What is wrong with it.
pub fn proxy_header(bytes: &[u8]) -> Result<ProxyHeader, &'static str> {
    // No header is shorter than a signature, so that much may be read at once.
    let Some(first) = bytes.get(..SIGNATURE.len()) else { return Ok(ProxyHeader::Needs(SIGNATURE.len())) };
    if first == SIGNATURE {
        return version_2(bytes);
    }
    if first.starts_with(WORD) {
        return version_1(bytes);
    }
    Err("no PROXY header")
}

fn version_2(bytes: &[u8]) -> Result<ProxyHeader, &'static str> {
    let Some(&[.., command, family, high, low]) = bytes.get(..FIXED_BYTES) else {
        return Ok(ProxyHeader::Needs(FIXED_BYTES));
    };
    let length = FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if length > HEADER_BYTES_MAX {
        return Err("longer than a header may be");
    }
    if command >> 4 != 2 {
        return Err("of a version other than 2");
    }
    let Some(content) = bytes.get(FIXED_BYTES..length) else { return Ok(ProxyHeader::Needs(length)) };
    match (command & 0xF, family) {
        // LOCAL: whatever the rest says.
        (0, _) => Ok(ProxyHeader::Own),
        // Unspecified, and a Unix socket of the balancer's machine: there is no address.
        (1, 0x00 | 0x31) => Ok(ProxyHeader::Own),
        (1, 0x11) => {
            let Some(&[a, b, c, d, _, _, _, _, high, low, _, _]) = content.first_chunk::<12>() else {
                return Err("shorter than its addresses");
            };
            Ok(client(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([high, low])))
        }
        (1, 0x21) => {
            let (Some(address), Some(&[high, low, _, _])) =
                (content.first_chunk::<16>(), content.get(32..).and_then(<[u8]>::first_chunk::<4>))
            else {
                return Err("shorter than its addresses");
            };
            Ok(client(Ipv6Addr::from(*address).into(), u16::from_be_bytes([high, low])))
        }
        (1, _) => Err("for something else than a stream over IPv4, IPv6 or a Unix socket"),
        _ => Err("of a command other than LOCAL and PROXY"),
    }
}

fn version_1(bytes: &[u8]) -> Result<ProxyHeader, &'static str> {
    let Some(line) = bytes.strip_suffix(b"\n") else {
        // How long the line is, only its end tells.
        let next = (bytes.len() + 1).max(LINE_BYTES_MIN);
        return if next > LINE_BYTES_MAX { Err("a line that does not end") } else { Ok(ProxyHeader::Needs(next)) };
    };
    let line = line.strip_suffix(b"\r").and_then(|line| std::str::from_utf8(line).ok()).ok_or("no line of ASCII")?;
    let mut words = line.split(' ').skip(1);
    let mut word = || words.next().ok_or("a line with fewer words");
    let family = word()?;
    if family == "UNKNOWN" {
        return Ok(ProxyHeader::Own);
    }
    let (source, destination, source_port, destination_port) = (word()?, word()?, word()?, word()?);
    let no_address = |_| "a line with an address that is none";
    let source: IpAddr = source.parse().map_err(no_address)?;
    let destination: IpAddr = destination.parse().map_err(no_address)?;
    let is_right = match family {
        "TCP4" => source.is_ipv4() && destination.is_ipv4(),
        "TCP6" => source.is_ipv6() && destination.is_ipv6(),
        _ => false,
    };
    if !is_right || words.next().is_some() {
        return Err("a line that names neither TCP4, TCP6 nor UNKNOWN with what belongs to it");
    }
    let no_port = |_| "a line with a port that is none";
    destination_port.parse::<u16>().map_err(no_port)?;
    Ok(client(source, source_port.parse().map_err(no_port)?))
}

fn client(address: IpAddr, port: u16) -> ProxyHeader {
    ProxyHeader::Client(SocketAddr::new(address.to_canonical(), port))
}

impl Stream {
    /// Reads the header that the balancer at the other end begins with; from then on the peer is its client. `None`: the
    /// balancer only looked whether somebody listens.
    ///
    /// # Errors
    /// [`TransportError::ProxyHeader`]: there is none that can be read, or not in time.
    pub async fn introduced(mut self, time_max: Duration) -> Result<Option<Self>, TransportError> {
        let header = async {
            let mut bytes = Vec::new();
            loop {
                let needed = match proxy_header(&bytes).map_err(ToOwned::to_owned)? {
                    ProxyHeader::Needs(needed) => needed,
                    read => return Ok(Some(read)),
                };
                let start = bytes.len();
                bytes.resize(needed, 0);
                match self.read_exact(bytes.get_mut(start..).unwrap_or_default()).await {
                    Ok(_) => {}
                    Err(_) if start == 0 => return Ok(None),
                    Err(error) => return Err(error.to_string()),
                }
            }
        };
        let read = match tokio::time::timeout(time_max, header).await {
            Ok(read) => read.map_err(TransportError::ProxyHeader)?,
            Err(_) => {
                return Err(TransportError::ProxyHeader(format!("not there within {} s", time_max.as_secs())));
            }
        };
        Ok(match read {
            None | Some(ProxyHeader::Needs(_)) => None,
            Some(ProxyHeader::Own) => Some(self),
            Some(ProxyHeader::Client(address)) => {
                self.speaks_for(address);
                Some(self)
            }
        })
    }
}

#[cfg(test)]
mod tests;
