//! certificateMatch (RFC 4523 2.2, X.509 11.3.2): certificates that have all the parts that an assertion names.
//!
//! The assertion is a CertificateAssertion in GSER (RFC 3641): `{ subject rdnSequence:"cn=Ann", certificateValid
//! utcTime:"261123120000Z" }`. All its parts are judged, general names in the forms that `certificate_names` reads. Undefined
//! are names in other forms, distances in subtrees, what is written wrongly, extensions that cannot be read, and values that
//! are no certificates: a part that is not judged must not find anything.

use super::certificate::{from_decimal, name};
use super::certificate_names::{Name, Subtrees};
use super::{Schema, time};
use crate::model::Dn;
use x509_parser::extensions::{GeneralName, GeneralSubtree, ParsedExtension};
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
        let (word, part) = worded(part)?;
        answer &= part_fits(schema, &certificate, word, part)?;
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
        "authorityKeyIdentifier" => authority_fits(schema, certificate, part),
        "certificateValid" => {
            let at = seconds(part)?;
            let validity = certificate.validity();
            Some(validity.not_before.timestamp() <= at && at <= validity.not_after.timestamp())
        }
        "privateKeyValid" => private_key_is_valid(certificate, &quoted(part)?),
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
            let is_kind: Box<dyn Fn(&GeneralName<'_>) -> bool> = match part.split_once(':')? {
                ("builtinNameForm", kind) => Box::new(kind_of_name(kind.trim())?),
                ("otherNameForm", form) => {
                    let wanted = oid(form.trim())?;
                    Box::new(
                        move |name| matches!(name, GeneralName::OtherName(form, _) if form.to_id_string() == wanted),
                    )
                }
                _ => return None,
            };
            let fits = extension(&|parsed| match parsed {
                ParsedExtension::SubjectAlternativeName(found) => Some(found.general_names.iter().any(&is_kind)),
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
        "pathToName" => {
            let subject = Name::Directory(Dn::parse(&quoted(part.strip_prefix("rdnSequence:")?)?).ok()?);
            Some(constraints_of(certificate)?.is_none_or(|constraints| constraints.let_through(&subject, schema)))
        }
        "nameConstraints" => {
            let constraints = Subtrees::parse(part)?;
            Some(names_of(certificate)?.iter().all(|name| constraints.let_through(name, schema)))
        }
        _ => None,
    }
}

/// A part of an authorityKeyIdentifier.
enum Authority {
    Key(Vec<u8>),
    Issuer(Vec<Name>),
    SerialNumber(Vec<u8>),
}

fn authority_fits(schema: &Schema, certificate: &X509Certificate<'_>, part: &str) -> Option<bool> {
    let mut wanted: Vec<Authority> = Vec::new();
    for part in items(part)? {
        wanted.push(match worded(part)? {
            ("keyIdentifier", key) => Authority::Key(hexadecimal(key)?),
            ("authorityCertIssuer", names) => {
                Authority::Issuer(items(names)?.into_iter().map(Name::parse).collect::<Option<_>>()?)
            }
            ("authorityCertSerialNumber", number) => Authority::SerialNumber(from_decimal(number)?),
            _ => return None,
        });
    }
    let mut found = certificate.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(found) => Some(found),
        _ => None,
    });
    let Some(found) = found.next() else { return Some(false) };
    Some(wanted.iter().all(|wanted| match wanted {
        Authority::Key(wanted) => found.key_identifier.as_ref().is_some_and(|key| key.0 == wanted),
        Authority::SerialNumber(wanted) => found.authority_cert_serial.is_some_and(|serial| is_number(serial, wanted)),
        Authority::Issuer(wanted) => found.authority_cert_issuer.as_ref().is_some_and(|found| {
            let has = |wanted: &Name| found.iter().filter_map(Name::of).any(|name| name.is_same(wanted, schema));
            found.len() == wanted.len() && wanted.iter().all(has)
        }),
    }))
}

/// The subject's names; `None` where one cannot be read that a subtree might be about.
fn names_of(certificate: &X509Certificate<'_>) -> Option<Vec<Name>> {
    let mut names = Vec::new();
    let subject = name(certificate.subject());
    if !subject.is_root() {
        names.push(Name::Directory(subject));
    }
    for extension in certificate.extensions().iter().filter(|one| one.oid.to_id_string() == SUBJECT_ALT_NAME) {
        let ParsedExtension::SubjectAlternativeName(found) = extension.parsed_extension() else { return None };
        if found.general_names.iter().any(|name| matches!(name, GeneralName::Invalid(..))) {
            return None;
        }
        names.extend(found.general_names.iter().filter_map(Name::of));
    }
    Some(names)
}

const SUBJECT_ALT_NAME: &str = "2.5.29.17";
const PRIVATE_KEY_USAGE_PERIOD: &str = "2.5.29.16";
const NAME_CONSTRAINTS: &str = "2.5.29.30";

/// By which names the certificate constrains others, of the forms that are read; the outer `None` where they cannot be read.
#[expect(clippy::option_option, reason = "Undefined and absent are different")]
fn constraints_of(certificate: &X509Certificate<'_>) -> Option<Option<Subtrees>> {
    let mut extensions = certificate.extensions().iter();
    let Some(extension) = extensions.find(|one| one.oid.to_id_string() == NAME_CONSTRAINTS) else { return Some(None) };
    let ParsedExtension::NameConstraints(found) = extension.parsed_extension() else { return None };
    let names = |subtrees: &Option<Vec<GeneralSubtree<'_>>>| -> Vec<Name> {
        subtrees.iter().flatten().filter_map(|subtree| Name::of(&subtree.base)).collect()
    };
    let (permitted, excluded) = (names(&found.permitted_subtrees), names(&found.excluded_subtrees));
    Some(Some(Subtrees { permitted, excluded }))
}

/// X.509 11.3.2: within the private key usage period, where the certificate has one (X.509 8.2.2.5: `[0]` notBefore, `[1]`
/// notAfter, both generalized times).
fn private_key_is_valid(certificate: &X509Certificate<'_>, at: &str) -> Option<bool> {
    let instant = |text: &[u8]| time::parse_instant(text).map(|instant| instant.unix_ms);
    let at = instant(at.as_bytes())?;
    let mut extensions = certificate.extensions().iter();
    let Some(extension) = extensions.find(|one| one.oid.to_id_string() == PRIVATE_KEY_USAGE_PERIOD) else {
        return Some(true);
    };
    // Two times take less than 128 bytes: every length is one byte.
    let [0x30, length, rest @ ..] = extension.value else { return None };
    let mut rest: &[u8] = rest;
    if usize::from(*length) != rest.len() || *length >= 0x80 {
        return None;
    }
    let mut is_valid = true;
    while let [tag, length, more @ ..] = rest {
        let (text, after) = more.split_at_checked(usize::from(*length))?;
        is_valid &= match tag {
            0x80 => instant(text)? <= at,
            0x81 => at <= instant(text)?,
            _ => return None,
        };
        rest = after;
    }
    rest.is_empty().then_some(is_valid)
}

/// A word and what comes after it.
pub(super) fn worded(part: &str) -> Option<(&str, &str)> {
    let (word, rest) = part.split_once(|character: char| character.is_ascii_whitespace())?;
    Some((word, rest.trim()))
}

/// `{ one, two }`: the parts, cut at commas that stand in no quotation marks and no braces.
pub(super) fn items(text: &str) -> Option<Vec<&str>> {
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
pub(super) fn quoted(text: &str) -> Option<String> {
    let inner = text.trim().strip_prefix('"')?.strip_suffix('"')?;
    Some(inner.replace("\"\"", "\""))
}

fn named(schema: &Schema, text: &str) -> Option<Vec<u8>> {
    let dn = Dn::parse(&quoted(text.strip_prefix("rdnSequence:")?)?).ok()?;
    Some(schema.dn_key(&dn))
}

/// `'0A1B'H`
pub(super) fn hexadecimal(text: &str) -> Option<Vec<u8>> {
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

pub(super) fn oid(text: &str) -> Option<String> {
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

    /// An authority: its names are constrained, and the private key has a period of its own.
    fn authority() -> Vec<u8> {
        let mut parameters = CertificateParams::new(vec!["a.example.org".to_owned()]).unwrap();
        parameters.subject_alt_names.push(rcgen::SanType::Rfc822Name("ann@example.org".try_into().unwrap()));
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::OrganizationName, "Example");
        parameters.distinguished_name.push(DnType::CommonName, "CA");
        parameters.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let organization = |name: &str| {
            let mut dn = DistinguishedName::new();
            dn.push(DnType::OrganizationName, name);
            rcgen::GeneralSubtree::DirectoryName(dn)
        };
        parameters.name_constraints = Some(rcgen::NameConstraints {
            permitted_subtrees: vec![organization("Example"), organization("Other")],
            excluded_subtrees: vec![rcgen::GeneralSubtree::DnsName("example.net".to_owned()), {
                let mut dn = DistinguishedName::new();
                dn.push(DnType::OrganizationName, "Other");
                dn.push(DnType::OrganizationalUnitName, "Secret");
                rcgen::GeneralSubtree::DirectoryName(dn)
            }],
        });
        let times: [(u8, &[u8]); 2] = [(0x80, b"20260101000000Z"), (0x81, b"20260601000000Z")];
        let period: Vec<u8> = times.iter().flat_map(|(tag, time)| [&[*tag, 15], *time].concat()).collect();
        // The issuer (o=Issuer) and the serial number of who signed.
        let mut issuer = vec![0x30, 0x11, 0x31, 0x0f, 0x30, 0x0d, 0x06, 0x03, 0x55, 0x04, 0x0a, 0x0c, 0x06];
        issuer.extend_from_slice(b"Issuer");
        let issuer = [&[0xa1, 0x15, 0xa4, 0x13], issuer.as_slice(), &[0x82, 0x01, 0x07]].concat();
        let sequence = |content: Vec<u8>| [&[0x30, u8::try_from(content.len()).unwrap()], content.as_slice()].concat();
        parameters.custom_extensions = vec![
            rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 16], sequence(period)),
            rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 35], sequence(issuer)),
        ];
        let key = KeyPair::generate().unwrap();
        parameters.self_signed(&key).unwrap().der().to_vec()
    }

    /// X.509 11.3.2; RFC 5280 4.2.1.10.
    #[test]
    fn names_periods_and_issuers_are_judged() {
        let (schema, authority, plain) = (Schema::builtin(), authority(), certificate());
        let fits = |value: &[u8], assertion: &str| {
            MatchingRule::CertificateMatch.is_match(&schema, value, assertion.as_bytes()).ok()
        };
        for (assertion, of_authority, of_plain) in [
            (r#"{ privateKeyValid "20260301000000Z" }"#, true, true),
            (r#"{ privateKeyValid "20251231235959Z" }"#, false, true),
            (r#"{ privateKeyValid "20260601000001Z" }"#, false, true),
            (r#"{ pathToName rdnSequence:"cn=Ann,o=example" }"#, true, true),
            (r#"{ pathToName rdnSequence:"cn=Ann,o=Third" }"#, false, true),
            (r#"{ pathToName rdnSequence:"cn=Ann,o=Other" }"#, true, true),
            (r#"{ pathToName rdnSequence:"cn=Ann,ou=secret,o=other" }"#, false, true),
            (
                r#"{ authorityKeyIdentifier { authorityCertIssuer { directoryName:rdnSequence:"o=issuer" } } }"#,
                true,
                false,
            ),
            (
                r#"{ authorityKeyIdentifier { authorityCertIssuer { directoryName:rdnSequence:"o=issuer" }, authorityCertSerialNumber 7 } }"#,
                true,
                false,
            ),
            (
                r#"{ authorityKeyIdentifier { authorityCertIssuer { directoryName:rdnSequence:"o=other" } } }"#,
                false,
                false,
            ),
            (r#"{ nameConstraints { permittedSubtrees { { base dNSName:"example.org" } } } }"#, true, true),
            (
                r#"{ nameConstraints { permittedSubtrees { { base dNSName:"example.net", minimum 0 } } } }"#,
                false,
                false,
            ),
            (r#"{ nameConstraints { permittedSubtrees { { base rfc822Name:"example.net" } } } }"#, false, true),
            (
                r#"{ nameConstraints { excludedSubtrees { { base directoryName:rdnSequence:"o=Example" } } } }"#,
                false,
                true,
            ),
            (
                r#"{ nameConstraints { permittedSubtrees { { base dNSName:"org" } }, excludedSubtrees { { base dNSName:"ann.example.org" } } } }"#,
                true,
                false,
            ),
            ("{ subjectAltName otherNameForm:1.2.3 }", false, false),
        ] {
            assert_eq!(fits(&authority, assertion), Some(of_authority), "authority: {assertion}");
            assert_eq!(fits(&plain, assertion), Some(of_plain), "plain: {assertion}");
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
            "{ serialNumber 200, nameConstraints { permittedSubtrees { { base otherName:{ } } } } }",
            "{ nameConstraints { permittedSubtrees { { base dNSName:\"a\", minimum 1 } } } }",
            "{ nameConstraints { permittedSubtrees { { minimum 0 } } } }",
            "{ serialNumber 201, pathToName \"cn=a\" }",
            "{ privateKeyValid \"never\" }",
            "{ authorityKeyIdentifier { authorityCertIssuer { x400Address:\"\" } } }",
            "{ subjectAltName otherNameForm:x }",
            "{ somethingElse 1 }",
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
