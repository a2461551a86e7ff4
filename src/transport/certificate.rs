//! What a certificate says, read once after the handshake has proved that the peer holds its key.

use sha2::{Digest, Sha256, Sha384, Sha512};
use x509_parser::prelude::{AttributeTypeAndValue, FromDer, GeneralName, X509Certificate, X509Name};

use crate::model::{Ava, Dn, Rdn};

/// A client's certificate after TLS has checked it against the authorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Its subject as a DN (RFC 4514 order: leaf first). Empty if the certificate names none.
    pub subject: Dn,
    /// SHA-256 of the whole certificate.
    pub sha256: [u8; 32],
    /// Alternative names (RFC 5280 4.2.1.6): mail addresses.
    pub mail_addresses: Vec<String>,
    /// Alternative names: names of hosts.
    pub dns_names: Vec<String>,
    /// Alternative names: URIs.
    pub uris: Vec<String>,
}

impl ClientCertificate {
    /// Reads a certificate in DER; `None` where it cannot be read, or its subject is no possible DN.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let mut read = Self {
            subject: dn_of(certificate.subject())?,
            sha256: Sha256::digest(der).into(),
            mail_addresses: Vec::new(),
            dns_names: Vec::new(),
            uris: Vec::new(),
        };
        let names = certificate.subject_alternative_name().ok().flatten();
        for name in names.iter().flat_map(|extension| &extension.value.general_names) {
            match name {
                GeneralName::RFC822Name(text) => read.mail_addresses.push((*text).to_owned()),
                GeneralName::DNSName(text) => read.dns_names.push((*text).to_owned()),
                GeneralName::URI(text) => read.uris.push((*text).to_owned()),
                _ => {}
            }
        }
        Some(read)
    }

    /// The fingerprint as people compare it: lower-case hex, pairs apart by colons.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.sha256)
    }
}

/// Hex pairs apart by colons.
pub(super) fn fingerprint(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

/// The hash of the server's certificate that binds a channel (RFC 5929 4.1): by the hash function of its signature, SHA-256
/// in place of MD5 and SHA-1. `None` where the signature has no one hash function.
pub(super) fn end_point(der: &[u8]) -> Option<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    match certificate.signature_algorithm.algorithm.to_id_string().as_str() {
        // MD5, SHA-1 and SHA-256 with RSA; SHA-1 and SHA-256 with ECDSA.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.1"
        | "1.2.840.10045.4.3.2" => Some(Sha256::digest(der).to_vec()),
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => Some(Sha384::digest(der).to_vec()),
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => Some(Sha512::digest(der).to_vec()),
        _ => None,
    }
}

/// When a certificate in DER ends, in unix seconds.
pub(super) fn expires_unix_s(der: &[u8]) -> Option<i64> {
    X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate.validity().not_after.timestamp())
}

/// A subject, root first in the certificate, as a DN.
fn dn_of(name: &X509Name<'_>) -> Option<Dn> {
    let mut rdns = Vec::new();
    for rdn in name.iter() {
        let avas = rdn.iter().map(ava_of).collect::<Option<Vec<_>>>()?;
        rdns.push(Rdn::new(avas)?);
    }
    rdns.reverse();
    let dn = Dn::from_rdns(rdns);
    // Back through the parser, so that no DN comes in here that its limits would refuse elsewhere.
    Dn::parse(&dn.to_string()).ok()
}

fn ava_of(ava: &AttributeTypeAndValue<'_>) -> Option<Ava> {
    let oid = ava.attr_type().to_id_string();
    let attribute = SHORT_NAMES.iter().find(|(known, _)| *known == oid).map_or(oid, |(_, name)| (*name).to_owned());
    let value = ava.attr_value();
    Some(Ava { attribute, value: text_of(value.tag().0, value.data)?.into_bytes() })
}

/// The string types of X.520 as UTF-8, by their universal tag; `None` for anything that is no text.
fn text_of(tag: u32, bytes: &[u8]) -> Option<String> {
    match tag {
        // UTF8String, NumericString, PrintableString, IA5String, VisibleString
        12 | 18 | 19 | 22 | 26 => String::from_utf8(bytes.to_vec()).ok(),
        // TeletexString, which everybody fills with Latin-1
        20 => Some(bytes.iter().copied().map(char::from).collect()),
        // UniversalString
        28 => bytes.chunks(4).map(|chunk| char::from_u32(u32::from_be_bytes(chunk.try_into().ok()?))).collect(),
        // BMPString
        30 => {
            let units = bytes.chunks(2).map(|chunk| chunk.try_into().ok().map(u16::from_be_bytes));
            String::from_utf16(&units.collect::<Option<Vec<_>>>()?).ok()
        }
        _ => None,
    }
}

/// Short names of the attribute types that subjects are made of (RFC 4514 3, RFC 4519, RFC 5280 appendix A.1).
const SHORT_NAMES: [(&str, &str); 21] = [
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.3", "mail"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.15", "businessCategory"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.41", "name"),
    ("2.5.4.42", "givenName"),
    ("2.5.4.43", "initials"),
    ("2.5.4.44", "generationQualifier"),
    ("2.5.4.46", "dnQualifier"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_becomes_a_dn_leaf_first() {
        let mut params = rcgen::CertificateParams::default();
        let mut subject = rcgen::DistinguishedName::new();
        subject.push(rcgen::DnType::CountryName, "GB");
        subject.push(rcgen::DnType::OrganizationName, "Example, Instruments");
        subject.push(rcgen::DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 1]), "ann");
        subject.push(rcgen::DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 99999, 1]), "odd");
        subject.push(rcgen::DnType::CommonName, "Siobhán");
        params.distinguished_name = subject;
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let read = ClientCertificate::read(certificate.der()).unwrap();
        assert_eq!(
            read.subject.to_string(),
            "CN=Siobhán,1.3.6.1.4.1.99999.1=odd,UID=ann,O=Example\\, Instruments,C=GB"
        );
        assert_eq!(read.fingerprint().len(), 32 * 3 - 1);
        assert_eq!(read.sha256, <[u8; 32]>::from(Sha256::digest(certificate.der())));
        assert!(expires_unix_s(certificate.der()).is_some());
    }

    #[test]
    fn old_string_types_are_read_as_text() {
        assert_eq!(text_of(30, b"\x00A\x03\xb1").as_deref(), Some("Aα"));
        assert_eq!(text_of(30, b"\x00A\x03"), None);
        assert_eq!(text_of(28, b"\x00\x00\x00A").as_deref(), Some("A"));
        assert_eq!(text_of(20, b"\xe9").as_deref(), Some("é"));
        assert_eq!(text_of(12, b"\xff"), None);
        assert_eq!(text_of(4, b"octets"), None);
    }

    #[test]
    fn nonsense_is_no_certificate() {
        assert_eq!(ClientCertificate::read(b""), None);
        assert_eq!(ClientCertificate::read(&[0x30; 64]), None);
    }
}
