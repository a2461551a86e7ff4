//! LDAP URLs (RFC 4516): where a server is, and which search to ask it.
//!
//! Used for listeners, referrals, agreements between servers and access rules. `ldapi` names a local socket; its
//! path stands percent-encoded where the host would.

use std::fmt;

use super::attribute::{self, is_attribute_type};
use super::dn::Dn;
use super::filter::Filter;
use super::percent;
use super::scope::Scope;

/// Longest URL we take, in bytes.
pub const LDAP_URL_BYTES_MAX: usize = 64 * 1024;

/// How to reach the server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LdapScheme {
    /// TCP, clear text until StartTLS.
    Ldap,
    /// A Unix domain socket.
    Ldapi,
    /// TLS from the first byte.
    Ldaps,
}

/// An LDAP URL: `ldap://host:389/dc=example?cn,mail?sub?(sn=Lee)?!ext=value`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LdapUrl {
    /// How to reach the server.
    pub scheme: LdapScheme,
    /// Name or address, an IPv6 address without brackets; for `ldapi` the path of the socket. `None`: whatever
    /// server the reader knows.
    pub host: Option<String>,
    /// TCP port; see [`LdapUrl::port_or_default`].
    pub port: Option<u16>,
    /// The base of the search.
    pub dn: Dn,
    /// What to return, as spelled; none means all user attributes.
    pub attributes: Vec<String>,
    /// How far to search; without it, the base alone.
    pub scope: Option<Scope>,
    /// What to find; without it, everything.
    pub filter: Option<Filter<'static>>,
    /// Extensions, in order.
    pub extensions: Vec<LdapUrlExtension>,
}

/// `!name=value` at the end of an LDAP URL.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LdapUrlExtension {
    /// Whether a reader that does not know it must not follow the URL.
    pub critical: bool,
    /// Name or OID.
    pub name: String,
    /// Value, if any.
    pub value: Option<String>,
}

/// The text is no LDAP URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("LDAP URL '{url}': {detail}")]
pub struct LdapUrlError {
    /// The text as given, shortened to 128 characters.
    pub url: String,
    /// What is wrong and what to write instead.
    pub detail: String,
}

impl LdapScheme {
    /// The word before `://`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ldap => "ldap",
            Self::Ldapi => "ldapi",
            Self::Ldaps => "ldaps",
        }
    }

    /// From the word before `://`, in any case.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Ldap, Self::Ldapi, Self::Ldaps].into_iter().find(|scheme| scheme.word().eq_ignore_ascii_case(word))
    }

    /// The registered port; `None` for a local socket.
    pub const fn default_port(self) -> Option<u16> {
        match self {
            Self::Ldap => Some(389),
            Self::Ldapi => None,
            Self::Ldaps => Some(636),
        }
    }
}

impl LdapUrl {
    /// Reads an LDAP URL (RFC 4516).
    ///
    /// # Errors
    /// What is wrong and what to write instead.
    pub fn parse(text: &str) -> Result<Self, LdapUrlError> {
        parse(text.trim_ascii()).map_err(|detail| LdapUrlError { url: text.chars().take(128).collect(), detail })
    }

    /// The port given, else the scheme's; `None` for `ldapi`.
    pub const fn port_or_default(&self) -> Option<u16> {
        match self.port {
            Some(port) => Some(port),
            None => self.scheme.default_port(),
        }
    }
}

/// Whether a client can follow a value of `ref` (RFC 3296 2.2): a URI, after blanks perhaps a label as in labeledURI
/// (RFC 2079); what names an LDAP server is an LDAP URL.
///
/// # Errors
/// What is wrong and what to write instead.
pub fn check_referral(value: &str) -> Result<(), String> {
    const ALLOWED: &str = "write an LDAP URL, as ldap://host/dc=example,dc=com, or another URI (RFC 3296 2.2)";
    let uri =
        value.split_ascii_whitespace().next().ok_or_else(|| format!("an empty referral leads nowhere; {ALLOWED}"))?;
    let is_in_scheme = |character: char| character.is_ascii_alphanumeric() || "+-.".contains(character);
    let (scheme, rest) = uri.split_once(':').unwrap_or_default();
    if !scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        || !scheme.chars().all(is_in_scheme)
        || rest.is_empty()
    {
        return Err(format!("this is no URI; {ALLOWED}"));
    }
    if LdapScheme::from_word(scheme).is_some() {
        LdapUrl::parse(uri).map_err(|error| format!("{error}; {ALLOWED}"))?;
    }
    Ok(())
}

impl std::str::FromStr for LdapUrl {
    type Err = LdapUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for LdapUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme.word())?;
        if let Some(host) = &self.host {
            if self.scheme != LdapScheme::Ldapi && host.contains(':') {
                f.write_str("[")?;
                percent::write(f, host, b":")?;
                f.write_str("]")?;
            } else {
                percent::write(f, host, b"*")?;
            }
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        let fields = [
            !self.dn.is_root() || self.host.is_none(),
            !self.attributes.is_empty(),
            self.scope.is_some(),
            self.filter.is_some(),
            !self.extensions.is_empty(),
        ];
        let Some(last) = fields.iter().rposition(|there| *there) else { return Ok(()) };
        f.write_str("/")?;
        percent::write(f, &self.dn.to_string(), b"!$&'()*+,;=:@/")?;
        for field in 1..=last {
            f.write_str("?")?;
            match field {
                1 => percent::write(f, &self.attributes.join(","), b"*+,;@")?,
                2 => f.write_str(self.scope.map_or("", Scope::word))?,
                3 => {
                    if let Some(filter) = &self.filter {
                        percent::write(f, &filter.to_string(), b"!$&'()*+,;=:@/")?;
                    }
                }
                _ => self.write_extensions(f)?,
            }
        }
        Ok(())
    }
}

impl LdapUrl {
    fn write_extensions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, extension) in self.extensions.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            if extension.critical {
                f.write_str("!")?;
            }
            f.write_str(&extension.name)?;
            if let Some(value) = &extension.value {
                f.write_str("=")?;
                percent::write(f, value, b"!$&'()*+;=:@/")?;
            }
        }
        Ok(())
    }
}

fn parse(text: &str) -> Result<LdapUrl, String> {
    if text.len() > LDAP_URL_BYTES_MAX {
        return Err("longer than 64 KiB".to_owned());
    }
    let (scheme, rest) = text
        .split_once("://")
        .and_then(|(word, rest)| Some((LdapScheme::from_word(word)?, rest)))
        .ok_or("it begins with ldap://, ldaps:// or ldapi://")?;
    let authority_bytes = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at_checked(authority_bytes).unwrap_or((rest, ""));
    let (host, port) = authority_parts(scheme, authority)?;
    let mut fields = rest.strip_prefix('/').unwrap_or(rest).split('?');
    let dn = parse_dn(scheme, fields.next().unwrap_or_default())?;
    let attributes = parse_attributes(fields.next().unwrap_or_default())?;
    let scope = match fields.next().unwrap_or_default() {
        "" => None,
        word => Some(Scope::from_word(word).ok_or("the scope is one of base, one, sub, subord")?),
    };
    let filter = match fields.next().unwrap_or_default() {
        "" => None,
        filter => Some(Filter::parse(&decode(filter)?).map_err(|error| error.to_string())?),
    };
    let extensions = parse_extensions(fields.next().unwrap_or_default())?;
    if fields.next().is_some() {
        return Err("more than four '?'; a '?' inside a part is written '%3F'".to_owned());
    }
    Ok(LdapUrl { scheme, host, port, dn, attributes, scope, filter, extensions })
}

fn decode(text: &str) -> Result<String, String> {
    let bytes = percent::decode(text).ok_or("after '%' come two hexadecimal digits; '%' itself is written '%25'")?;
    String::from_utf8(bytes).map_err(|_| "its percent-encoded bytes are not UTF-8".to_owned())
}

fn authority_parts(scheme: LdapScheme, authority: &str) -> Result<(Option<String>, Option<u16>), String> {
    if scheme == LdapScheme::Ldapi {
        let path = decode(authority)?;
        return Ok(((!path.is_empty()).then_some(path), None));
    }
    let (host, port) = if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']').ok_or("the ']' after the IPv6 address is missing")?;
        let port = match rest {
            "" => "",
            _ => rest.strip_prefix(':').ok_or("after ']' comes ':' and the port, or '/'")?,
        };
        (host, port)
    } else {
        let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
        if port.contains(':') {
            return Err("an IPv6 address stands in brackets, as in ldap://[::1]:389".to_owned());
        }
        (host, port)
    };
    let host = decode(host)?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:%*".contains(&byte) || !byte.is_ascii();
    if !host.bytes().all(is_name) {
        return Err("the host is a name or an address".to_owned());
    }
    let port = match port {
        "" => None,
        port => Some(parse_port(port).ok_or("the port is a number from 0 to 65535")?),
    };
    Ok(((!host.is_empty()).then_some(host), port))
}

fn parse_port(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn parse_dn(scheme: LdapScheme, text: &str) -> Result<Dn, String> {
    let text = decode(text)?;
    Dn::parse(&text).map_err(|error| match scheme {
        LdapScheme::Ldapi if !text.contains('=') => {
            format!(
                "the path of the socket is written with '%2F' for '/', as in ldapi://%2F{}",
                text.replace('/', "%2F")
            )
        }
        _ => format!("after the host comes the base DN; {error}"),
    })
}

fn parse_attributes(text: &str) -> Result<Vec<String>, String> {
    let text = decode(text)?;
    let names = text.split(',').map(str::trim_ascii).filter(|name| !name.is_empty());
    names
        .map(|name| match name {
            "*" | "+" | "1.1" => Ok(name.to_owned()),
            _ => match attribute::check(name.strip_prefix('@').unwrap_or(name)) {
                Ok(()) => Ok(name.to_owned()),
                Err(error) => Err(error.to_string()),
            },
        })
        .collect()
}

fn parse_extensions(text: &str) -> Result<Vec<LdapUrlExtension>, String> {
    let parts = text.split(',').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (critical, part) = part.strip_prefix('!').map_or((false, part), |part| (true, part));
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name, Some(decode(value)?)),
                None => (part, None),
            };
            let name = decode(name)?;
            if !is_attribute_type(name.as_bytes()) {
                return Err("an extension is !name=value with a name or an OID".to_owned());
            }
            Ok(LdapUrlExtension { critical, name, value })
        })
        .collect()
}

#[cfg(test)]
mod tests;
