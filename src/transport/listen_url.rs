//! Where to listen: `ldap://`, `ldaps://` and `ldapi://` addresses as a person writes them.
//!
//! Only host, port and path: what RFC 4516 puts behind them (DN, attributes, filter) means nothing to a listener and is
//! refused. Names are resolved when the socket is bound, not here.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Port of `ldap://` where none is given (RFC 4516 2).
pub const LDAP_PORT: u16 = 389;
/// Port of `ldaps://` where none is given (IANA).
pub const LDAPS_PORT: u16 = 636;

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenUrl {
    /// A TCP socket.
    Tcp {
        /// Name or address, an IPv6 one without brackets; `*` means every address of the machine.
        host: String,
        /// Port; 0 lets the system choose one.
        port: u16,
        /// True for `ldaps`: TLS from the first byte.
        tls: bool,
    },
    /// A Unix socket.
    Unix {
        /// Its file.
        path: PathBuf,
    },
}

impl ListenUrl {
    /// `ldap://127.0.0.1:389`.
    pub fn loopback() -> Self {
        Self::Tcp { host: "127.0.0.1".to_owned(), port: LDAP_PORT, tls: false }
    }

    /// True if a certificate is needed before the first byte.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tcp { tls: true, .. })
    }

    /// True if only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp { host, .. } => {
                host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
            }
            Self::Unix { .. } => true,
        }
    }
}

/// Why a text is no address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text} is no address to listen on: {detail}")]
pub struct ListenUrlError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub detail: &'static str,
}

impl FromStr for ListenUrl {
    type Err = ListenUrlError;

    fn from_str(text: &str) -> Result<Self, ListenUrlError> {
        let wrong = |detail| ListenUrlError { text: text.to_owned(), detail };
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(wrong("it begins with ldap://, ldaps:// or ldapi://"));
        };
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "ldap" => false,
            "ldaps" => true,
            "ldapi" => {
                return unix(rest).ok_or_else(|| wrong("ldapi:// needs a path, as in ldapi:///run/entente/ldapi"));
            }
            _ => return Err(wrong("it begins with ldap://, ldaps:// or ldapi://")),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '@']) {
            return Err(wrong("only a host and a port can be listened on"));
        }
        let (host, port) = if let Some(bracketed) = authority.strip_prefix('[') {
            let (host, port) = bracketed.split_once(']').ok_or_else(|| wrong("the bracket is not closed"))?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(wrong("between brackets stands an IPv6 address"));
            }
            match port.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if port.is_empty() => (host, None),
                None => return Err(wrong("a colon stands between host and port")),
            }
        } else {
            match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            }
        };
        let port = match port {
            Some(port) => port.parse().map_err(|_| wrong("a port is a number from 0 to 65535"))?,
            None if tls => LDAPS_PORT,
            None => LDAP_PORT,
        };
        let host = if host.is_empty() { "*" } else { host };
        if host.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(wrong("a host has no blanks"));
        }
        Ok(Self::Tcp { host: host.to_owned(), port, tls })
    }
}

/// The path of an `ldapi://` address: percent-encoded in the place of the host (as OpenLDAP writes it), or plain.
fn unix(rest: &str) -> Option<ListenUrl> {
    let path =
        if rest.contains('%') { percent_decoded(rest.strip_suffix('/').unwrap_or(rest))? } else { rest.to_owned() };
    (!path.is_empty() && path != "/" && !path.contains('\0')).then(|| ListenUrl::Unix { path: PathBuf::from(path) })
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(bytes).ok()
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, tls } => {
                let scheme = if *tls { "ldaps" } else { "ldap" };
                if host.contains(':') {
                    write!(f, "{scheme}://[{host}]:{port}")
                } else {
                    write!(f, "{scheme}://{host}:{port}")
                }
            }
            Self::Unix { path } => {
                f.write_str("ldapi://")?;
                for c in path.to_string_lossy().chars() {
                    match c {
                        '/' => f.write_str("%2F")?,
                        '%' => f.write_str("%25")?,
                        c => write!(f, "{c}")?,
                    }
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(text: &str) -> (String, u16, bool) {
        match text.parse() {
            Ok(ListenUrl::Tcp { host, port, tls }) => (host, port, tls),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn ports_have_their_standard_defaults() {
        assert_eq!(tcp("ldap://127.0.0.1"), ("127.0.0.1".to_owned(), 389, false));
        assert_eq!(tcp("ldaps://host.example.com/"), ("host.example.com".to_owned(), 636, true));
        assert_eq!(tcp("LDAP://:3389"), ("*".to_owned(), 3389, false));
        assert_eq!(tcp("ldap://[::1]:0"), ("::1".to_owned(), 0, false));
    }

    #[test]
    fn unix_paths_are_taken_encoded_and_plain() {
        let expected = ListenUrl::Unix { path: PathBuf::from("/run/entente/ldapi") };
        assert_eq!("ldapi://%2Frun%2Fentente%2Fldapi".parse(), Ok(expected.clone()));
        assert_eq!("ldapi://%2frun%2fentente%2fldapi/".parse(), Ok(expected.clone()));
        assert_eq!("ldapi:///run/entente/ldapi".parse(), Ok(expected));
    }

    #[test]
    fn what_is_printed_is_read_back() {
        for text in ["ldap://*:389", "ldaps://[::]:636", "ldap://127.0.0.1:3389", "ldapi://%2Ftmp%2Fa%25b"] {
            assert_eq!(text.parse::<ListenUrl>().map(|url| url.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "127.0.0.1:389",
            "http://127.0.0.1",
            "ldap://127.0.0.1:99999",
            "ldap://127.0.0.1:",
            "ldap://h/dc=example",
            "ldap://[::1",
            "ldap://[nonsense]:389",
            "ldap://[::1]389",
            "ldapi://",
            "ldapi:///",
            "ldapi://%2",
            "ldapi://%zz",
            "ldap://a b",
        ] {
            assert!(text.parse::<ListenUrl>().is_err(), "{text}");
        }
    }
}
