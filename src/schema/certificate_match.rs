//! certificateMatch (RFC 4523 2.2, X.509 11.3.2): certificates that have all the parts that an assertion names.
//!
//! The assertion is a CertificateAssertion in GSER (RFC 3641): `{ subject rdnSequence:"cn=Ann", certificateValid
//! utcTime:"261123120000Z" }`. Served are serialNumber, issuer, subject, subjectKeyIdentifier, authorityKeyIdentifier (its
//! key identifier and serial number), certificateValid, subjectPublicKeyAlgID, keyUsage, subjectAltName (which kind of name
//! is there) and policy. Undefined are privateKeyValid, pathToName, nameConstraints, the issuer inside authorityKeyIdentifier, what
//! is written wrongly, and values that are no certificates: a part that is not judged must not find anything.

use super::certificate::{from_decimal, name};
use super::{Schema, time};
use crate::model::Dn;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Most parts of an assertion; there are thirteen kinds.
const PARTS_MAX: usize = 32;

/// The bits of keyUsage, in their order (RFC 5280 4.2.1.3).
const KEY_USAGES: [&[&str]; 9] = [
    &["digitalSignature"],
    &["nonRepudiation", "contentCommitment"],
    &["keyEncipherment"],
    &["dataEncipherment"],
    &["keyAgreement"],
    &["keyCertSign"],
    &["cRLSign"],
    &["encipherOnly"],
    &["decipherOnly"],
];

/// Whether the certificate has what the assertion names; `None` is Undefined.
pub(crate) fn is_match(schema: &Schema, value: &[u8], assertion: &[u8]) -> Option<bool> {
    let (_, certificate) = X509Certificate::from_der(value).ok()?;
    let parts = items(std::str::from_utf8(assertion).ok()?.trim())?;
    if parts.is_empty() {
        return None;
    }
    // A part that is not understood makes the whole Undefined, whatever the others say.
    let mut answer = true;
    for part in parts {
        let (word, part) = part.split_once(|character: char| character.is_ascii_whitespace())?;
        answer &= part_fits(schema, &certificate, word, part.trim())?;
    }
    Some(answer)
}

fn part_fits(schema: &Schema, certificate: &X509Certificate<'_>, word: &str, part: &str) -> Option<bool> {
    let extension = |wanted: &dyn Fn(&ParsedExtension<'_>) -> Option<bool>| {
        let mut found = certificate.extensions().iter().filter_map(|extension| wanted(extension.parsed_extension()));
        found.next()
    };
    match word {
        "serialNumber" => Some(is_number(certificate.raw_serial(), &from_decimal(part)?)),
        "issuer" => named(schema, part).map(|key| schema.dn_key(&name(certificate.issuer())) == key),
        "subject" => named(schema, part).map(|key| schema.dn_key(&name(certificate.subject())) == key),
        "subjectKeyIdentifier" => {
            let wanted = hexadecimal(part)?;
            let fits = extension(&|parsed| match parsed {
                ParsedExtension::SubjectKeyIdentifier(found) => Some(found.0 == wanted),
                _ => None,
            });
            Some(fits.unwrap_or(false))
        }
        "authorityKeyIdentifier" => authority_fits(certificate, part),
        "certificateValid" => {
            let at = seconds(part)?;
            let validity = certificate.validity();
            Some(validity.not_before.timestamp() <= at && at <= validity.not_after.timestamp())
        }
        "subjectPublicKeyAlgID" => Some(certificate.public_key().algorithm.algorithm.to_id_string() == oid(part)?),
        "keyUsage" => {
            let wanted = key_usage(part)?;
            let fits = extension(&|parsed| match parsed {
                ParsedExtension::KeyUsage(found) => Some(found.flags & wanted == wanted),
                _ => None,
            });
            // Where nothing is said, the key is for everything.
            Some(fits.unwrap_or(true))
        }
        "subjectAltName" => {
            let kind = part.strip_prefix("builtinNameForm:")?.trim();
            let is_kind = kind_of_name(kind)?;
            let fits = extension(&|parsed| match parsed {
                ParsedExtension::SubjectAlternativeName(found) => Some(found.general_names.iter().any(is_kind)),
                _ => None,
            });
            Some(fits.unwrap_or(false))
        }
        "policy" => {
            let wanted: Vec<String> = items(part)?.into_iter().map(oid).collect::<Option<_>>()?;
            let fits = extension(&|parsed| match parsed {
                ParsedExtension::CertificatePolicies(found) => {
                    Some(found.iter().any(|policy| wanted.contains(&policy.policy_id.to_id_string())))
                }
                _ => None,
            });
            Some(fits.unwrap_or(false))
        }
        _ => None,
    }
}

fn authority_fits(certificate: &X509Certificate<'_>, part: &str) -> Option<bool> {
    let mut wanted: Vec<(bool, Vec<u8>)> = Vec::new();
    for part in items(part)? {
        let (word, part) = part.split_once(|character: char| character.is_ascii_whitespace())?;
        wanted.push(match word {
            "keyIdentifier" => (true, hexadecimal(part.trim())?),
            "authorityCertSerialNumber" => (false, from_decimal(part.trim())?),
            _ => return None,
        });
    }
    let mut found = certificate.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(found) => Some(wanted.iter().all(|(is_key, wanted)| match is_key {
            true => found.key_identifier.as_ref().is_some_and(|key| key.0 == wanted),
            false => found.authority_cert_serial.is_some_and(|serial| is_number(serial, wanted)),
        })),
        _ => None,
    });
    Some(found.next().unwrap_or(false))
}

/// `{ one, two }`: the parts, cut at commas that stand in no quotation marks and no braces.
fn items(text: &str) -> Option<Vec<&str>> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let (mut items, mut start, mut depth, mut is_quoted) = (Vec::new(), 0, 0_usize, false);
    for (at, character) in inner.char_indices() {
        match character {
            // A quotation mark inside is written twice, which comes to the same.
            '"' => is_quoted = !is_quoted,
            '{' if !is_quoted => depth += 1,
            '}' if !is_quoted => depth = depth.checked_sub(1)?,
            ',' if !is_quoted && depth == 0 => {
                items.push(inner.get(start..at)?.trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    if is_quoted || depth > 0 || items.len() >= PARTS_MAX {
        return None;
    }
    let last = inner.get(start..)?.trim();
    if !(last.is_empty() && items.is_empty()) {
        items.push(last);
    }
    Some(items)
}

/// The text in quotation marks.
fn quoted(text: &str) -> Option<String> {
    let inner = text.trim().strip_prefix('"')?.strip_suffix('"')?;
    Some(inner.replace("\"\"", "\""))
}

fn named(schema: &Schema, text: &str) -> Option<Vec<u8>> {
    let dn = Dn::parse(&quoted(text.strip_prefix("rdnSequence:")?)?).ok()?;
    Some(schema.dn_key(&dn))
}

/// `'0A1B'H`
fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix('\'')?.strip_suffix("'H")?;
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}

/// Equal but for zeros in front, which DER puts there for the sign.
fn is_number(found: &[u8], wanted: &[u8]) -> bool {
    let plain = |bytes: &[u8]| bytes.iter().skip_while(|byte| **byte == 0).copied().collect::<Vec<u8>>();
    plain(found) == plain(wanted)
}

/// `utcTime:"…"` or `generalTime:"…"` in seconds since the epoch.
fn seconds(text: &str) -> Option<i64> {
    if let Some(text) = text.strip_prefix("utcTime:") {
        return time::parse_utc_time(quoted(text)?.as_bytes()).map(|unix_ms| unix_ms.div_euclid(1000));
    }
    let text = quoted(text.strip_prefix("generalTime:")?)?;
    time::parse_instant(text.as_bytes()).map(|instant| instant.unix_ms.div_euclid(1000))
}

fn oid(text: &str) -> Option<String> {
    let is_oid = text.split('.').all(|arc| !arc.is_empty() && arc.bytes().all(|digit| digit.is_ascii_digit()));
    (is_oid && text.contains('.')).then(|| text.to_owned())
}

/// `{ digitalSignature, keyCertSign }` or `'100001'B`.
fn key_usage(text: &str) -> Option<u16> {
    if let Some(bits) = text.strip_prefix('\'').and_then(|text| text.strip_suffix("'B")) {
        let is_bits = bits.len() <= 16 && bits.bytes().all(|bit| matches!(bit, b'0' | b'1'));
        let set = bits.bytes().enumerate().filter(|(_, bit)| *bit == b'1');
        return is_bits.then(|| set.fold(0, |flags, (at, _)| flags | 1 << at));
    }
    let mut flags = 0;
    for item in items(text)? {
        flags |= 1 << KEY_USAGES.iter().position(|names| names.contains(&item))?;
    }
    Some(flags)
}

fn kind_of_name(kind: &str) -> Option<fn(&GeneralName<'_>) -> bool> {
    Some(match kind {
        "rfc822Name" => |name| matches!(name, GeneralName::RFC822Name(_)),
        "dNSName" => |name| matches!(name, GeneralName::DNSName(_)),
        "x400Address" => |name| matches!(name, GeneralName::X400Address(_)),
        "directoryName" => |name| matches!(name, GeneralName::DirectoryName(_)),
        "ediPartyName" => |name| matches!(name, GeneralName::EDIPartyName(_)),
        "uniformResourceIdentifier" => |name| matches!(name, GeneralName::URI(_)),
        "iPAddress" => |name| matches!(name, GeneralName::IPAddress(_)),
        "registeredId" => |name| matches!(name, GeneralName::RegisteredID(_)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::MatchingRule;
    use rcgen::{CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose, SerialNumber};

    fn certificate() -> Vec<u8> {
        let mut parameters = CertificateParams::new(vec!["ann.example.org".to_owned()]).unwrap();
        parameters.serial_number = Some(SerialNumber::from(200_u64));
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::OrganizationName, "Example, \"Ltd\"");
        parameters.distinguished_name.push(DnType::CommonName, "Ann");
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
        parameters.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(vec![0xab, 0xcd]);
        parameters.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters.not_before = rcgen::date_time_ymd(2026, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2027, 1, 1);
        let key = KeyPair::generate().unwrap();
        parameters.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn every_part_that_is_named_must_fit() {
        let (schema, value) = (Schema::builtin(), certificate());
        let fits =
            |assertion: &str| MatchingRule::CertificateMatch.is_match(&schema, &value, assertion.as_bytes()).ok();
        for assertion in [
            "{ serialNumber 200 }",
            r#"{ subject rdnSequence:"cn=ANN,o=example\, \""ltd\"""}"#,
            r#"{serialNumber 200, issuer rdnSequence:"2.5.4.3=ann,o=example\2c \""Ltd\""", keyUsage { keyCertSign }}"#,
            "{ subjectKeyIdentifier 'ABcd'H }",
            r#"{ certificateValid utcTime:"260601120000Z" }"#,
            r#"{ certificateValid generalTime:"20260601120000Z" }"#,
            "{ subjectPublicKeyAlgID 1.2.840.10045.2.1 }",
            "{ keyUsage '1'B }",
            "{ keyUsage { digitalSignature, keyCertSign } }",
            "{ subjectAltName builtinNameForm:dNSName }",
        ] {
            assert_eq!(fits(assertion), Some(true), "{assertion}");
        }
        for assertion in [
            "{ serialNumber 201 }",
            r#"{ serialNumber 200, subject rdnSequence:"cn=bob" }"#,
            "{ subjectKeyIdentifier 'ABCE'H }",
            "{ authorityKeyIdentifier { keyIdentifier '00'H } }",
            r#"{ certificateValid utcTime:"280601120000Z" }"#,
            "{ subjectPublicKeyAlgID 1.2.840.113549.1.1.1 }",
            "{ keyUsage { digitalSignature, cRLSign } }",
            "{ subjectAltName builtinNameForm:rfc822Name }",
            "{ policy { 1.2.3 } }",
        ] {
            assert_eq!(fits(assertion), Some(false), "{assertion}");
        }
    }

    #[test]
    fn what_is_not_judged_finds_nothing() {
        let (schema, value) = (Schema::builtin(), certificate());
        let fits = |value: &[u8], assertion: &str| {
            MatchingRule::CertificateMatch.is_match(&schema, value, assertion.as_bytes()).ok()
        };
        for assertion in [
            "",
            "{}",
            "{ }",
            "{ serialNumber }",
            "{ serialNumber 200, nameConstraints { } }",
            "{ serialNumber 201, pathToName rdnSequence:\"cn=a\" }",
            "{ serialNumber 200 } }",
            "{ serialNumber 200, }",
            "{ subject rdnSequence:\"cn=Ann }",
            "{ subjectKeyIdentifier 'ABC'H }",
            "{ keyUsage { nothing } }",
            "{ certificateValid utcTime:\"never\" }",
        ] {
            assert_eq!(fits(&value, assertion), None, "{assertion}");
        }
        assert_eq!(fits(&[0x30, 0x00], "{ serialNumber 200 }"), None);
    }
}
