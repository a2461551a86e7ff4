//! How each rule makes its key and judges a match.

use std::borrow::Cow;

use crate::model::Dn;
use crate::schema::string_prep::{self, Case, PrepareError, SubstringPart};
use crate::schema::syntax::{bits, is_integer, parse_uuid, split_uid};
use crate::schema::{Schema, certificate, certificate_match, name_key, time};

use super::{Form, InvalidValue, MatchingRule};

/// What an assertion of certificateMatch looks like.
const PARTS: &str = "write parts that are judged, as { serialNumber 42, subject rdnSequence:\"cn=Ann\" }";

impl MatchingRule {
    /// Appends the key of a value or of an equality or ordering assertion to `out`.
    ///
    /// Two values are equal by the rule iff their keys are byte-equal; for rules with an ordering, `memcmp` order of
    /// keys is the rule's order. Cost: one pass over ASCII text without allocation besides `out`; names are parsed.
    ///
    /// # Errors
    /// The value has no key under this rule; `out` is as before.
    pub fn key(self, schema: &Schema, value: &[u8], out: &mut Vec<u8>) -> Result<(), InvalidValue> {
        self.key_nested(schema, value, out, 0)
    }

    pub(crate) fn key_nested(
        self,
        schema: &Schema,
        value: &[u8],
        out: &mut Vec<u8>,
        depth: u32,
    ) -> Result<(), InvalidValue> {
        match self.form() {
            Form::CaseIgnore | Form::Word | Form::Keyword | Form::Prefix => {
                string_prep::prepare(value, Case::Fold, out).map_err(|error| self.unprepared(error))
            }
            Form::CaseExact => string_prep::prepare(value, Case::Exact, out).map_err(|error| self.unprepared(error)),
            Form::Octets => {
                out.extend_from_slice(value);
                Ok(())
            }
            Form::Numeric => string_prep::prepare_numeric(value, out).map_err(|error| self.unprepared(error)),
            Form::Telephone => string_prep::prepare_telephone(value, out).map_err(|error| self.unprepared(error)),
            Form::CaseIgnoreList => self.list_key(value, out),
            Form::Certificate => certificate::append_exact_key(schema, value, out).ok_or_else(|| {
                self.invalid("write { serialNumber 42, issuer rdnSequence:\"cn=CA\" }, or give the whole certificate")
            }),
            Form::CertificateParts => Err(self.invalid(PARTS)),
            Form::Integer | Form::BitAnd | Form::BitOr => integer_key(value, out).ok_or_else(|| self.not_integer()),
            Form::FirstInteger => integer_key(first_component(value), out).ok_or_else(|| self.not_integer()),
            Form::Oid => self.oid_key(schema, value, out),
            Form::FirstOid => self.oid_key(schema, first_component(value), out),
            Form::FirstString => string_prep::prepare(unquoted(first_component(value)), Case::Fold, out)
                .map_err(|error| self.unprepared(error)),
            Form::Name | Form::Chain | Form::DnOneLevel | Form::DnSubordinate | Form::DnSubtree | Form::DnSuperior => {
                self.name_key(schema, value, out, depth)
            }
            Form::NameAndUid => self.name_and_uid_key(schema, value, out, depth),
            Form::Time => {
                let instant = time::parse_instant(value).ok_or_else(|| self.not_time())?;
                out.extend_from_slice(&ordered(instant.unix_ms));
                if instant.rest_ns > 0 {
                    out.extend_from_slice(&instant.rest_ns.to_be_bytes());
                }
                Ok(())
            }
            Form::UtcTime => {
                let unix_ms = time::parse_utc_time(value).ok_or_else(|| self.not_time())?;
                out.extend_from_slice(&ordered(unix_ms));
                Ok(())
            }
            Form::Uuid => {
                let uuid = parse_uuid(value.trim_ascii())
                    .ok_or_else(|| self.invalid("write 32 hexadecimal digits as 8-4-4-4-12"))?;
                out.extend_from_slice(&uuid);
                Ok(())
            }
            Form::Bits => {
                let bits = bits(value.trim_ascii()).ok_or_else(|| self.invalid("write bits as '0101'B"))?;
                out.extend_from_slice(bits);
                Ok(())
            }
            Form::Boolean => {
                let known =
                    [&b"FALSE"[..], b"TRUE"].into_iter().find(|word| word.eq_ignore_ascii_case(value.trim_ascii()));
                out.extend_from_slice(known.ok_or_else(|| self.invalid("write TRUE or FALSE"))?);
                Ok(())
            }
            Form::Csn => self.csn_key(value, out),
            Form::CsnSid => {
                let sid =
                    csn_sid(value).ok_or_else(|| self.invalid("write a server identifier in hexadecimal, as 001"))?;
                out.extend_from_slice(&sid.to_be_bytes());
                Ok(())
            }
        }
    }

    /// Appends what the key of a text certainly begins with, where the ASCII characters at its beginning say so; may be
    /// nothing. Cost: none of that of other scripts.
    pub fn key_beginning(self, value: &[u8], out: &mut Vec<u8>) {
        match self.form() {
            Form::CaseIgnore => string_prep::prepare_beginning(value, Case::Fold, out),
            Form::CaseExact => string_prep::prepare_beginning(value, Case::Exact, out),
            _ => {}
        }
    }

    /// Appends the key of a substring assertion part, to be looked for (`memmem`) inside keys of values.
    ///
    /// An initial part must be at the beginning of the key, a last part at its end, parts must not overlap. Blanks at
    /// the edges: see [`string_prep::prepare_part`]. Rules of equality take parts too, as their family does.
    ///
    /// # Errors
    /// The part has no key under this rule; `out` is as before.
    pub fn substring_key(self, part: SubstringPart, value: &[u8], out: &mut Vec<u8>) -> Result<(), InvalidValue> {
        let prepared = match self.form() {
            Form::CaseIgnore | Form::FirstString | Form::Word | Form::Keyword | Form::Prefix => {
                string_prep::prepare_part(value, Case::Fold, part, out)
            }
            Form::CaseExact => string_prep::prepare_part(value, Case::Exact, part, out),
            Form::Numeric => string_prep::prepare_numeric(value, out),
            Form::Telephone => string_prep::prepare_telephone(value, out),
            Form::CaseIgnoreList => return self.list_part_key(part, value, out),
            Form::Octets => {
                out.extend_from_slice(value);
                Ok(())
            }
            _ => return Err(self.invalid("values under this rule have no substrings")),
        };
        prepared.map_err(|error| self.unprepared(error))
    }

    /// Whether `value` satisfies an assertion under this rule; for all rules of equality, those that are no comparison
    /// of keys among them. Of the in-chain rule only the direct link is judged here: the chain is the search's.
    ///
    /// # Errors
    /// The assertion or the value is none of this rule's: Undefined.
    pub fn is_match(self, schema: &Schema, value: &[u8], assertion: &[u8]) -> Result<bool, InvalidValue> {
        let key = |bytes| {
            let mut out = Vec::new();
            self.key(schema, bytes, &mut out).map(|()| out)
        };
        Ok(match self.form() {
            Form::BitAnd | Form::BitOr => {
                let (value, mask) = (self.number(value)?, self.number(assertion)?);
                if self.form() == Form::BitAnd { value & mask == mask } else { value & mask != 0 }
            }
            Form::Word | Form::Keyword => {
                let (value, word) = (key(value)?, key(assertion)?);
                contains_word(&String::from_utf8_lossy(&value), &String::from_utf8_lossy(&word))
            }
            Form::Prefix => key(assertion)?.starts_with(&key(value)?),
            Form::DnSubtree => key(value)?.starts_with(&key(assertion)?),
            Form::DnSubordinate => {
                let (value, base) = (key(value)?, key(assertion)?);
                value.len() > base.len() && value.starts_with(&base)
            }
            Form::DnSuperior => {
                let (value, below) = (key(value)?, key(assertion)?);
                value.len() < below.len() && below.starts_with(&value)
            }
            Form::DnOneLevel => {
                let (value, base) = (key(value)?, key(assertion)?);
                value.strip_prefix(base.as_slice()).is_some_and(|rest| name_key::rdn_count(rest) == 1)
            }
            Form::CertificateParts => {
                certificate_match::is_match(schema, value, assertion).ok_or_else(|| self.invalid(PARTS))?
            }
            Form::CsnSid => {
                let sid = value.split(|byte| *byte == b'#').nth(2).and_then(csn_sid);
                sid.is_some() && sid == csn_sid(assertion)
            }
            _ => key(value)? == key(assertion)?,
        })
    }

    fn number(self, value: &[u8]) -> Result<i128, InvalidValue> {
        let text = std::str::from_utf8(value).ok().filter(|_| is_integer(value));
        text.and_then(|text| text.parse().ok()).ok_or_else(|| self.not_integer())
    }

    fn oid_key(self, schema: &Schema, value: &[u8], out: &mut Vec<u8>) -> Result<(), InvalidValue> {
        let text = std::str::from_utf8(value.trim_ascii()).ok().filter(|text| !text.is_empty() && text.is_ascii());
        let text = text.ok_or_else(|| self.invalid("write an OID in numbers or a name"))?;
        match schema.canonical_oid(text) {
            Some(oid) => out.extend_from_slice(oid.as_bytes()),
            None => out.extend(text.bytes().map(|byte| byte.to_ascii_lowercase())),
        }
        Ok(())
    }

    fn name_key(self, schema: &Schema, value: &[u8], out: &mut Vec<u8>, depth: u32) -> Result<(), InvalidValue> {
        let dn = Dn::parse_bytes(value).map_err(|error| InvalidValue {
            rule: self.name(),
            detail: Cow::Owned(format!("not a distinguished name: {error}")),
        })?;
        name_key::append_dn_key(schema, &dn, out, depth);
        Ok(())
    }

    fn name_and_uid_key(
        self,
        schema: &Schema,
        value: &[u8],
        out: &mut Vec<u8>,
        depth: u32,
    ) -> Result<(), InvalidValue> {
        let text = std::str::from_utf8(value).map_err(|_| self.unprepared(PrepareError::NotUtf8))?;
        let (name, uid) = split_uid(text);
        self.name_key(schema, name.as_bytes(), out, depth)?;
        if let Some(uid) = uid {
            out.push(b'#');
            out.extend_from_slice(uid);
        }
        Ok(())
    }

    /// Lines of an address, each prepared, joined by a line feed (which preparation never leaves inside a line).
    fn list_key(self, value: &[u8], out: &mut Vec<u8>) -> Result<(), InvalidValue> {
        let start = out.len();
        for (index, line) in value.split(|byte| *byte == b'$').enumerate() {
            if index > 0 {
                out.push(b'\n');
            }
            if let Err(error) = string_prep::prepare(&unescaped_line(line), Case::Fold, out) {
                out.truncate(start);
                return Err(self.unprepared(error));
            }
        }
        Ok(())
    }

    fn list_part_key(self, part: SubstringPart, value: &[u8], out: &mut Vec<u8>) -> Result<(), InvalidValue> {
        let start = out.len();
        let line_count = value.split(|byte| *byte == b'$').count();
        for (index, line) in value.split(|byte| *byte == b'$').enumerate() {
            if index > 0 {
                out.push(b'\n');
            }
            let open_before = index == 0 && part != SubstringPart::Initial;
            let open_after = index + 1 == line_count && part != SubstringPart::Last;
            let line = unescaped_line(line);
            let prepared = match (open_before, open_after) {
                (true, true) => string_prep::prepare_part(&line, Case::Fold, SubstringPart::Any, out),
                (true, false) => string_prep::prepare_part(&line, Case::Fold, SubstringPart::Last, out),
                (false, true) => string_prep::prepare_part(&line, Case::Fold, SubstringPart::Initial, out),
                (false, false) => string_prep::prepare(&line, Case::Fold, out),
            };
            if let Err(error) = prepared {
                out.truncate(start);
                return Err(self.unprepared(error));
            }
        }
        Ok(())
    }

    /// Time, then the three numbers, all of fixed width.
    fn csn_key(self, value: &[u8], out: &mut Vec<u8>) -> Result<(), InvalidValue> {
        let invalid = || self.invalid("write a CSN as time#count#server#modification");
        let mut parts = value.trim_ascii().split(|byte| *byte == b'#');
        let instant = parts.next().and_then(time::parse_instant).ok_or_else(invalid)?;
        let mut numbers = [0_u32; 3];
        for number in &mut numbers {
            *number = parts.next().and_then(hexadecimal).ok_or_else(invalid)?;
        }
        if parts.next().is_some() {
            return Err(invalid());
        }
        out.extend_from_slice(&ordered(instant.unix_ms));
        out.extend_from_slice(&instant.rest_ns.to_be_bytes());
        for number in numbers {
            out.extend_from_slice(&number.to_be_bytes());
        }
        Ok(())
    }

    fn invalid(self, detail: &'static str) -> InvalidValue {
        InvalidValue { rule: self.name(), detail: Cow::Borrowed(detail) }
    }

    fn not_integer(self) -> InvalidValue {
        self.invalid("write a whole number, as 42 or -7")
    }

    fn not_time(self) -> InvalidValue {
        self.invalid("write a time that exists as YYYYmmddHHMMSSZ")
    }

    fn unprepared(self, error: PrepareError) -> InvalidValue {
        InvalidValue { rule: self.name(), detail: Cow::Owned(error.to_string()) }
    }
}

/// A signed number as eight bytes whose order is the numbers' order.
fn ordered(number: i64) -> [u8; 8] {
    (number.cast_unsigned() ^ 1 << 63).to_be_bytes()
}

/// Sign, count of digits, digits; for negative numbers all of it complemented, so that `memcmp` is numeric order for
/// any length. What RFC 4517 3.3.16 does not allow (`01`, `-0`) has no key, so that asserting it is Undefined.
fn integer_key(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if !is_integer(value) {
        return None;
    }
    let (negative, digits) = match value.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    // Zero has no digits: its count is less than that of all other numbers.
    let digits = if value == b"0" { &[] } else { digits };
    let count = u16::try_from(digits.len()).ok()?;
    if negative {
        out.push(0x7f);
        out.extend_from_slice(&(!count).to_be_bytes());
        out.extend(digits.iter().map(|byte| !byte));
    } else {
        out.push(0x80);
        out.extend_from_slice(&count.to_be_bytes());
        out.extend_from_slice(digits);
    }
    Some(())
}

/// What follows the opening parenthesis of a description (RFC 4517 4.2.13 and kin); a value that is none is itself.
fn first_component(value: &[u8]) -> &[u8] {
    let value = value.trim_ascii();
    match value.strip_prefix(b"(") {
        Some(inner) => {
            let inner = inner.trim_ascii_start();
            let end = match inner.strip_prefix(b"'") {
                Some(quoted) => quoted.iter().position(|byte| *byte == b'\'').map(|at| at + 2),
                None => inner.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b')'),
            };
            inner.get(..end.unwrap_or(inner.len())).unwrap_or(inner)
        }
        None => value,
    }
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"'").and_then(|inner| inner.strip_suffix(b"'")).unwrap_or(value)
}

/// `\24` and `\5C` back to `$` and `\` (RFC 4517 3.3.28).
fn unescaped_line(line: &[u8]) -> Cow<'_, [u8]> {
    if !line.contains(&b'\\') {
        return Cow::Borrowed(line);
    }
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((&first, after)) = rest.split_first() {
        let (byte, left) = match rest {
            [b'\\', b'2', b'4', after @ ..] => (b'$', after),
            [b'\\', b'5', b'C' | b'c', after @ ..] => (b'\\', after),
            _ => (first, after),
        };
        out.push(byte);
        rest = left;
    }
    Cow::Owned(out)
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u32::from_str_radix(text, 16).ok()
}

fn csn_sid(value: &[u8]) -> Option<u32> {
    if value.len() > 3 { None } else { hexadecimal(value) }
}

/// Whether `text` holds `word` between characters that are neither letters nor digits.
fn contains_word(text: &str, word: &str) -> bool {
    !word.is_empty()
        && text.match_indices(word).any(|(at, _)| {
            let before = text.get(..at).and_then(|before| before.chars().next_back());
            let after = text.get(at + word.len()..).and_then(|after| after.chars().next());
            !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
        })
}
