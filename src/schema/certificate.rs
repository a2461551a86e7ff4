//! The key of certificateExactMatch: serial number and issuer (RFC 4523 2.1).
//!
//! Values are certificates in DER; assertions are either such a certificate whole, or the text
//! `{ serialNumber 42, issuer rdnSequence:"cn=CA,o=Example" }`, or what older clients write, `42$cn=CA,o=Example`. All
//! three give one key.
//!
//! Invariant: a DER SEQUENCE that is no certificate has a key too, equal only to its own: other servers' data holds
//! such values, and they must be kept, found and deleted.

use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::model::{Ava, Dn, Rdn};

use super::syntax::is_der_sequence;
use super::{Schema, name_key};

/// The most digits of a serial number in an assertion: twice what RFC 5280 allows.
const SERIAL_DIGITS_MAX: usize = 100;
/// Begins the key of a value that is no certificate.
const OPAQUE: u8 = 0x01;
/// Begins the key of a certificate.
const CERTIFICATE: u8 = 0x02;

/// Appends the key of a certificate or of an assertion; `None` when it is neither.
pub(crate) fn append_exact_key(schema: &Schema, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if is_der_sequence(value) {
        match X509Certificate::from_der(value) {
            Ok((_, certificate)) => {
                append(schema, certificate.raw_serial(), &name(certificate.issuer()), out);
            }
            Err(_) => {
                out.push(OPAQUE);
                out.extend_from_slice(value);
            }
        }
        return Some(());
    }
    let text = std::str::from_utf8(value).ok()?.trim();
    let (serial, issuer) = match text.split_once('$') {
        Some((serial, issuer)) if serial.bytes().all(|byte| byte.is_ascii_digit()) => (serial, issuer.to_owned()),
        _ => assertion(text)?,
    };
    let issuer = Dn::parse(&issuer).ok()?;
    append(schema, &from_decimal(serial)?, &issuer, out);
    Some(())
}

fn append(schema: &Schema, serial: &[u8], issuer: &Dn, out: &mut Vec<u8>) {
    let zeros = serial.iter().take_while(|byte| **byte == 0).count();
    let serial = serial.get(zeros..).unwrap_or_default();
    out.push(CERTIFICATE);
    out.extend_from_slice(&u16::try_from(serial.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(serial);
    name_key::append_dn_key(schema, issuer, out, 0);
}

/// `{ serialNumber 42, issuer rdnSequence:"…" }`, the two parts in any order.
fn assertion(text: &str) -> Option<(&str, String)> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let after_serial = inner.split_once("serialNumber")?.1.trim_start();
    let digits = after_serial.bytes().take_while(u8::is_ascii_digit).count();
    let serial = after_serial.get(..digits)?;
    let after_issuer = inner.split_once("issuer")?.1.trim_start();
    let quoted = after_issuer.strip_prefix("rdnSequence:").unwrap_or(after_issuer).trim_start().strip_prefix('"')?;
    let mut issuer = String::new();
    let mut characters = quoted.chars().peekable();
    loop {
        match characters.next()? {
            '"' if characters.next_if_eq(&'"').is_none() => return Some((serial, issuer)),
            character => issuer.push(character),
        }
    }
}

/// Digits to bytes, most significant first.
pub(super) fn from_decimal(digits: &str) -> Option<Vec<u8>> {
    if digits.is_empty() || digits.len() > SERIAL_DIGITS_MAX {
        return None;
    }
    let mut number: Vec<u8> = Vec::new(); // least significant first
    for digit in digits.bytes() {
        let mut carry = u16::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
        for byte in &mut number {
            carry += u16::from(*byte) * 10;
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        if carry > 0 {
            number.push(carry.to_le_bytes()[0]);
        }
    }
    number.reverse();
    Some(number)
}

/// The name as a DN, leaf first, types by OID.
pub(super) fn name(issuer: &x509_parser::x509::X509Name<'_>) -> Dn {
    let mut rdns: Vec<Rdn> = issuer
        .iter_rdn()
        .filter_map(|rdn| {
            let avas = rdn
                .iter()
                .map(|ava| Ava { attribute: ava.attr_type().to_id_string(), value: ava.as_slice().to_vec() })
                .collect();
            Rdn::new(avas)
        })
        .collect();
    rdns.reverse();
    Dn::from_rdns(rdns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::MatchingRule;

    fn key(schema: &Schema, value: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        append_exact_key(schema, value, &mut out).map(|()| out)
    }

    fn certificate(serial: u64) -> Vec<u8> {
        let mut parameters = rcgen::CertificateParams::new(vec!["example.org".to_owned()]).unwrap();
        parameters.serial_number = Some(rcgen::SerialNumber::from(serial));
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(rcgen::DnType::OrganizationName, "Example \"Ltd\"");
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "Müller CA");
        let key = rcgen::KeyPair::generate().unwrap();
        parameters.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_is_found_by_serial_number_and_issuer() {
        let schema = Schema::builtin();
        let der = certificate(0x0123_4567_89ab_cdef);
        let expected = key(&schema, &der).unwrap();
        for assertion in [
            r#"{ serialNumber 81985529216486895, issuer rdnSequence:"CN=MÜLLER  ca,O=example \""ltd\""" }"#,
            r#"81985529216486895$cn=müller ca,o=example \"ltd\""#,
        ] {
            assert_eq!(key(&schema, assertion.as_bytes()), Some(expected.clone()), "{assertion}");
        }
        assert_ne!(key(&schema, &certificate(7)).unwrap(), expected);
        assert!(
            MatchingRule::CertificateExactMatch
                .is_match(&schema, &der, b"81985529216486895$2.5.4.3=M\\C3\\BCller CA,o=Example \\22Ltd\\22")
                .unwrap()
        );
    }

    #[test]
    fn values_that_are_no_certificates_equal_themselves() {
        let schema = Schema::builtin();
        let (one, other) = ([0x30, 0x01, 0x05], [0x30, 0x01, 0x06]);
        assert!(key(&schema, &one).is_some());
        assert_ne!(key(&schema, &one), key(&schema, &other));
        for nonsense in
            [&b"abc"[..], b"", b"{ serialNumber x }", b"12$nonsense", b"{ serialNumber 1, issuer rdnSequence:\"cn=a }"]
        {
            assert_eq!(key(&schema, nonsense), None);
        }
    }
}
