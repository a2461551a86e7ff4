//! Settings of SASL, as the operations want them.

use super::principal::KerberosOptions;
use super::token::TokenOptions;
use crate::model::{AttributeDescription, Dn};

/// See `[sasl]` in `deploy/entente.toml`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SaslOptions {
    /// Whether PLAIN is offered.
    pub plain: bool,
    /// Whether PLAIN and OAUTHBEARER are offered without TLS.
    pub plain_without_tls: bool,
    /// The attribute that the names of users are in.
    pub user_attribute: String,
    /// Below which entry users are looked for; `None`: in every suffix.
    pub user_base: Option<Dn>,
    /// Whether the name in a simple bind may be that of a user instead of a DN.
    pub simple_by_user: bool,
    /// How a certificate leads to an entry; the first rule that finds one decides.
    pub certificate_map: Vec<CertificateRule>,
    /// Kerberos; of use only to a program that was built with it.
    pub kerberos: Option<KerberosOptions>,
    /// Tokens of an issuer.
    pub token: Option<TokenOptions>,
    /// How a user of this machine leads to an entry; `None`: the administrator alone is somebody over ldapi.
    pub local_users: Option<LocalUserOptions>,
}

impl Default for SaslOptions {
    fn default() -> Self {
        Self {
            plain: true,
            plain_without_tls: false,
            user_attribute: "uid".to_owned(),
            user_base: None,
            simple_by_user: false,
            certificate_map: vec![CertificateRule::Dn],
            kerberos: None,
            token: None,
            local_users: None,
        }
    }
}

/// How a user of this machine leads to an entry: by both its numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocalUserOptions {
    /// As uidNumber.
    pub user_attribute: String,
    /// As gidNumber.
    pub group_attribute: String,
    /// Below which entry it is looked for; `None`: in every suffix.
    pub base: Option<Dn>,
}

/// How a certificate leads to an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CertificateRule {
    /// The subject is the entry's name.
    Dn,
    /// An entry has its fingerprint in `certificateFingerprint`.
    Fingerprint,
    /// An entry has in `attribute` what the subject has in `name`.
    Subject {
        /// As CN.
        name: String,
        /// As uid.
        attribute: String,
    },
    /// An entry has in `attribute` one of the alternative names of this kind.
    Alternative {
        /// `mail`, `dns` or `uri`.
        kind: AlternativeKind,
        /// As mail.
        attribute: String,
    },
}

/// A kind of alternative names (RFC 5280 4.2.1.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AlternativeKind {
    /// dNSName.
    Dns,
    /// rfc822Name.
    Mail,
    /// uniformResourceIdentifier.
    Uri,
}

impl CertificateRule {
    /// Reads `dn`, `fingerprint`, `subject:CN=uid`, `san:mail=mail`.
    pub fn parse(text: &str) -> Option<Self> {
        let pair = |text: &str| -> Option<(String, String)> {
            let (name, attribute) = text.split_once('=')?;
            AttributeDescription::parse(name.trim()).ok()?;
            AttributeDescription::parse(attribute.trim()).ok()?;
            Some((name.trim().to_owned(), attribute.trim().to_owned()))
        };
        match text.trim() {
            "dn" => Some(Self::Dn),
            "fingerprint" => Some(Self::Fingerprint),
            text => {
                if let Some((name, attribute)) = text.strip_prefix("subject:").and_then(pair) {
                    return Some(Self::Subject { name, attribute });
                }
                let (kind, attribute) = text.strip_prefix("san:").and_then(pair)?;
                let kind = match kind.as_str() {
                    "mail" => AlternativeKind::Mail,
                    "dns" => AlternativeKind::Dns,
                    "uri" => AlternativeKind::Uri,
                    _ => return None,
                };
                Some(Self::Alternative { kind, attribute })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_or_refused_whole() {
        assert_eq!(CertificateRule::parse(" dn "), Some(CertificateRule::Dn));
        let wanted = CertificateRule::Subject { name: "CN".into(), attribute: "uid".into() };
        assert_eq!(CertificateRule::parse("subject:CN=uid"), Some(wanted));
        let wanted = CertificateRule::Alternative { kind: AlternativeKind::Mail, attribute: "mail".into() };
        assert_eq!(CertificateRule::parse("san:mail=mail"), Some(wanted));
        for bad in ["", "DN=x", "subject:CN", "subject:=uid", "san:ip=cn", "san:mail=", "subject:CN=a b"] {
            assert_eq!(CertificateRule::parse(bad), None, "{bad}");
        }
    }
}
