//! General names (RFC 5280 4.2.1.6) of certificates and of assertions (GSER, RFC 3642), and the subtrees of names by which
//! certificates are constrained (RFC 5280 4.2.1.10).
//!
//! Read are directory names, mail addresses, host names, URIs, IP addresses and registered identifiers; the other forms
//! (other names, X.400, EDI) have no text that could be compared.

use super::Schema;
use super::certificate::name as dn_of;
use super::certificate_match::{hexadecimal, items, oid, quoted, worded};
use crate::model::Dn;
use x509_parser::extensions::GeneralName;

/// See the module.
#[derive(Clone, Debug)]
pub(super) enum Name {
    Directory(Dn),
    Mail(String),
    Host(String),
    Uri(String),
    Ip(Vec<u8>),
    Registered(String),
}

impl Name {
    /// A name of a certificate.
    pub(super) fn of(found: &GeneralName<'_>) -> Option<Self> {
        Some(match found {
            GeneralName::DirectoryName(name) => Self::Directory(dn_of(name)),
            GeneralName::RFC822Name(text) => Self::Mail((*text).to_owned()),
            GeneralName::DNSName(text) => Self::Host((*text).to_owned()),
            GeneralName::URI(text) => Self::Uri((*text).to_owned()),
            GeneralName::IPAddress(bytes) => Self::Ip(bytes.to_vec()),
            GeneralName::RegisteredID(oid) => Self::Registered(oid.to_id_string()),
            _ => return None,
        })
    }

    /// `directoryName:rdnSequence:"…"`, `dNSName:"…"`, `iPAddress:'0A000001'H` and the like.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (form, value) = text.split_once(':')?;
        let value = value.trim();
        Some(match form.trim() {
            "directoryName" => Self::Directory(Dn::parse(&quoted(value.strip_prefix("rdnSequence:")?)?).ok()?),
            "rfc822Name" => Self::Mail(quoted(value)?),
            "dNSName" => Self::Host(quoted(value)?),
            "uniformResourceIdentifier" => Self::Uri(quoted(value)?),
            "iPAddress" => Self::Ip(hexadecimal(value)?),
            "registeredID" => Self::Registered(oid(value)?),
            _ => return None,
        })
    }

    /// Whether both are the same name.
    pub(super) fn is_same(&self, other: &Self, schema: &Schema) -> bool {
        match (self, other) {
            (Self::Directory(one), Self::Directory(other)) => schema.dn_key(one) == schema.dn_key(other),
            (Self::Mail(one), Self::Mail(other)) => mail(one) == mail(other),
            (Self::Host(one), Self::Host(other)) => one.eq_ignore_ascii_case(other),
            (Self::Uri(one), Self::Uri(other)) | (Self::Registered(one), Self::Registered(other)) => one == other,
            (Self::Ip(one), Self::Ip(other)) => one == other,
            _ => false,
        }
    }

    /// Whether the name is in the subtree of `base` (RFC 5280 4.2.1.10); `None` where `base` is about names of another form.
    fn is_within(&self, base: &Self, schema: &Schema) -> Option<bool> {
        Some(match (self, base) {
            (Self::Directory(name), Self::Directory(base)) => {
                let above = name.rdns().len().checked_sub(base.rdns().len());
                let mut at = Some(name.clone());
                for _ in 0..above.unwrap_or_default() {
                    at = at.and_then(|name| name.superior());
                }
                above.is_some() && at.is_some_and(|name| schema.dn_key(&name) == schema.dn_key(base))
            }
            (Self::Mail(name), Self::Mail(base)) if base.contains('@') => mail(name) == mail(base),
            (Self::Mail(name), Self::Mail(base)) => is_host_of(name.rsplit_once('@')?.1, base),
            (Self::Uri(uri), Self::Uri(base)) => is_host_of(host_of(uri)?, base),
            (Self::Host(name), Self::Host(base)) => {
                let (name, base) = (name.to_ascii_lowercase(), base.to_ascii_lowercase());
                base.is_empty() || name == base || name.ends_with(&format!(".{}", base.trim_start_matches('.')))
            }
            (Self::Ip(address), Self::Ip(base)) if base.len() == address.len() * 2 => {
                let (network, mask) = base.split_at_checked(address.len())?;
                address.iter().zip(network).zip(mask).all(|((byte, net), mask)| byte & mask == net & mask)
            }
            _ => return None,
        })
    }
}

/// The local part as it is, the host in small letters.
fn mail(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((local, host)) => format!("{local}@{}", host.to_ascii_lowercase()),
        None => text.to_owned(),
    }
}

/// `base` is a host, or with a dot in front all hosts of a domain.
fn is_host_of(host: &str, base: &str) -> bool {
    let (host, base) = (host.to_ascii_lowercase(), base.to_ascii_lowercase());
    if base.starts_with('.') { host.ends_with(&base) } else { host == base }
}

fn host_of(uri: &str) -> Option<&str> {
    let rest = uri.split_once("://")?.1;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.split(':').next().filter(|host| !host.is_empty())
}

/// Subtrees of names: those permitted, where some are for a form of names, and those excluded.
#[derive(Debug, Default)]
pub(super) struct Subtrees {
    pub(super) permitted: Vec<Name>,
    pub(super) excluded: Vec<Name>,
}

impl Subtrees {
    /// `{ permittedSubtrees { { base dNSName:"example.org" } }, excludedSubtrees { … } }`; `None`: written wrongly, about
    /// names that are not read, or with distances other than none (RFC 5280 4.2.1.10 knows no others).
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut subtrees = Self::default();
        for part in items(text)? {
            let (word, list) = worded(part)?;
            let into = match word {
                "permittedSubtrees" => &mut subtrees.permitted,
                "excludedSubtrees" => &mut subtrees.excluded,
                _ => return None,
            };
            for subtree in items(list)? {
                let mut base = None;
                for part in items(subtree)? {
                    match worded(part)? {
                        ("base", name) => base = Some(Name::parse(name)?),
                        ("minimum", "0") => {}
                        _ => return None,
                    }
                }
                into.push(base?);
            }
        }
        (!subtrees.permitted.is_empty() || !subtrees.excluded.is_empty()).then_some(subtrees)
    }

    /// Whether the name is within what is permitted, where something is for names of its form, and not excluded.
    pub(super) fn let_through(&self, name: &Name, schema: &Schema) -> bool {
        let mut permitted = self.permitted.iter().filter_map(|base| name.is_within(base, schema)).peekable();
        let is_permitted = permitted.peek().is_none() || permitted.any(|is_within| is_within);
        is_permitted && !self.excluded.iter().any(|base| name.is_within(base, schema) == Some(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5280 4.2.1.10.
    #[test]
    fn names_are_within_subtrees_of_their_form() {
        let schema = Schema::builtin();
        for (name, base, expected) in [
            (r#"dNSName:"a.Example.org""#, r#"dNSName:"example.org""#, Some(true)),
            (r#"dNSName:"example.org""#, r#"dNSName:"example.org""#, Some(true)),
            (r#"dNSName:"notexample.org""#, r#"dNSName:"example.org""#, Some(false)),
            (r#"rfc822Name:"ann@example.org""#, r#"rfc822Name:"example.org""#, Some(true)),
            (r#"rfc822Name:"ann@mail.example.org""#, r#"rfc822Name:"example.org""#, Some(false)),
            (r#"rfc822Name:"ann@mail.example.org""#, r#"rfc822Name:".example.org""#, Some(true)),
            (r#"rfc822Name:"ann@EXAMPLE.org""#, r#"rfc822Name:"ann@example.org""#, Some(true)),
            (r#"rfc822Name:"Ann@example.org""#, r#"rfc822Name:"ann@example.org""#, Some(false)),
            (
                r#"uniformResourceIdentifier:"https://u@www.example.org:8/x""#,
                r#"uniformResourceIdentifier:".example.org""#,
                Some(true),
            ),
            (
                r#"uniformResourceIdentifier:"https://example.net/""#,
                r#"uniformResourceIdentifier:"example.org""#,
                Some(false),
            ),
            ("iPAddress:'0A010203'H", "iPAddress:'0A010000FFFF0000'H", Some(true)),
            ("iPAddress:'0A020203'H", "iPAddress:'0A010000FFFF0000'H", Some(false)),
            (r#"directoryName:rdnSequence:"cn=Ann,O=Example""#, r#"directoryName:rdnSequence:"o=example""#, Some(true)),
            (
                r#"directoryName:rdnSequence:"o=Example""#,
                r#"directoryName:rdnSequence:"cn=ann,o=example""#,
                Some(false),
            ),
            (r#"directoryName:rdnSequence:"cn=ann""#, r#"directoryName:rdnSequence:"""#, Some(true)),
            (r#"dNSName:"example.org""#, r#"rfc822Name:"example.org""#, None),
        ] {
            let [name, base] = [name, base].map(|text| Name::parse(text).unwrap());
            assert_eq!(name.is_within(&base, &schema), expected, "{name:?} {base:?}");
        }
        for text in ["", "dNSName", "otherName:{}", "dNSName:x", "iPAddress:'0'H", "registeredID:x", "x400Address:\"\""]
        {
            assert!(Name::parse(text).is_none(), "{text}");
        }
    }
}
