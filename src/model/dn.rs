//! Distinguished names (RFC 4514): text to RDNs and back.
//!
//! A DN is parsed once, at the door; from then on it is a list of RDNs, leaf first as written. Values are bytes
//! with all escapes undone. Type names keep their spelling. Which spellings name the same entry is decided by the
//! schema (`schema.dn_key`), so equality here is equality of spelling and escapes only.
//!
//! Read: RFC 4514 whole (`\xx` pairs, escaped specials, `#hex` values, multi-valued RDNs), blanks around `,`, `+`
//! and `=`, and from the older RFC 2253 quoted values and the `OID.` prefix. Not read: `;` as separator and `/`
//! forms, which have been gone since LDAPv2 and would make two meanings of one text.
//!
//! Printed: RFC 4514 with as few escapes as it allows; UTF-8 stays readable, control characters and bytes that are
//! not UTF-8 are `\xx`. `parse(print(dn)) == dn` always holds.

use std::fmt;

use smallvec::SmallVec;

use super::attribute::is_attribute_type;

/// Longest DN text we take, in bytes.
pub const DN_BYTES_MAX: usize = 8192;
/// Deepest DN we take, in RDNs.
pub const RDN_COUNT_MAX: usize = 128;
/// Most type and value pairs in one RDN.
pub const AVA_COUNT_MAX: usize = 16;

/// One attribute type and value inside an RDN.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Ava {
    /// The attribute type as spelled: a name or a dotted OID, no options.
    pub attribute: String,
    /// The value without escapes. A `#hex` value that was a BER string is that string; any other is the raw BER.
    pub value: Vec<u8>,
}

/// The last component of a name: one or more [`Ava`] in the order written. Never empty.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Rdn {
    avas: SmallVec<[Ava; 1]>,
}

/// A distinguished name: RDNs, leaf first as written. Empty is the root, whose entry is the root DSE.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Dn {
    rdns: Vec<Rdn>,
}

/// The text is no DN.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset} of the DN: {detail}")]
pub struct DnError {
    /// Where reading stopped, in bytes from the beginning of the text.
    pub offset: usize,
    /// What is wrong and what to write instead.
    pub detail: &'static str,
}

impl Dn {
    /// Reads a DN (RFC 4514); the empty text, or blanks alone, is the root.
    ///
    /// # Errors
    /// What is wrong, at which byte, what to write instead; also when a limit of this module is passed.
    pub fn parse(text: &str) -> Result<Self, DnError> {
        let mut parser = Parser::new(text)?;
        let mut rdns = Vec::new();
        parser.skip_blanks();
        if parser.peek().is_none() {
            return Ok(Self { rdns });
        }
        loop {
            if rdns.len() == RDN_COUNT_MAX {
                return Err(parser.error("more than 128 RDNs"));
            }
            rdns.push(parser.rdn()?);
            match parser.peek() {
                None => return Ok(Self { rdns }),
                Some(_) => parser.at += 1,
            }
        }
    }

    /// Reads a DN from bytes off the wire; they must be UTF-8.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, DnError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::parse(text),
            Err(error) => Err(DnError {
                offset: error.valid_up_to(),
                detail: "not UTF-8; write bytes that are not text as a backslash and two hexadecimal digits",
            }),
        }
    }

    /// The empty DN.
    pub const fn root() -> Self {
        Self { rdns: Vec::new() }
    }

    /// Builds a DN from RDNs, leaf first.
    pub const fn from_rdns(rdns: Vec<Rdn>) -> Self {
        Self { rdns }
    }

    /// True for the empty DN.
    pub const fn is_root(&self) -> bool {
        self.rdns.is_empty()
    }

    /// The RDNs, leaf first.
    pub fn rdns(&self) -> &[Rdn] {
        &self.rdns
    }

    /// The leaf's RDN; `None` for the root.
    pub fn rdn(&self) -> Option<&Rdn> {
        self.rdns.first()
    }

    /// The DN one level up; `None` for the root.
    pub fn superior(&self) -> Option<Self> {
        let (_, above) = self.rdns.split_first()?;
        Some(Self { rdns: above.to_vec() })
    }

    /// The DN of the entry named `rdn` directly below this one.
    #[must_use]
    pub fn child(&self, rdn: Rdn) -> Self {
        let mut rdns = Vec::with_capacity(self.rdns.len() + 1);
        rdns.push(rdn);
        rdns.extend_from_slice(&self.rdns);
        Self { rdns }
    }
}

impl std::str::FromStr for Dn {
    type Err = DnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Dn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, rdn) in self.rdns.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            fmt::Display::fmt(rdn, f)?;
        }
        Ok(())
    }
}

impl Rdn {
    /// Reads one RDN.
    pub fn parse(text: &str) -> Result<Self, DnError> {
        let mut parser = Parser::new(text)?;
        let rdn = parser.rdn()?;
        match parser.peek() {
            None => Ok(rdn),
            Some(_) => {
                Err(parser.error("one RDN is wanted here, not a whole DN; a comma inside a value is written '\\,'"))
            }
        }
    }

    /// Builds an RDN; `None` without any type and value, or with a type that is neither name nor OID.
    pub fn new(avas: Vec<Ava>) -> Option<Self> {
        if avas.is_empty() || !avas.iter().all(|ava| is_attribute_type(ava.attribute.as_bytes())) {
            return None;
        }
        Some(Self { avas: SmallVec::from_vec(avas) })
    }

    /// The types and values, in the order written; at least one.
    pub fn avas(&self) -> &[Ava] {
        &self.avas
    }
}

impl std::str::FromStr for Rdn {
    type Err = DnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Rdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, ava) in self.avas.iter().enumerate() {
            if index > 0 {
                f.write_str("+")?;
            }
            fmt::Display::fmt(ava, f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Ava {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.attribute)?;
        write_value(f, &self.value)
    }
}

/// Writes the value with the escapes of RFC 4514 2.4, in runs that need none.
fn write_value(f: &mut fmt::Formatter<'_>, value: &[u8]) -> fmt::Result {
    let mut at_beginning = true;
    let mut chunks = value.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        let text = chunk.valid();
        let reaches_end = chunk.invalid().is_empty() && chunks.peek().is_none();
        let mut run_from = 0;
        for (offset, byte) in text.bytes().enumerate() {
            let is_first = at_beginning && offset == 0;
            let is_last = reaches_end && offset + 1 == text.len();
            let escaped = match byte {
                b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' => true,
                b'#' => is_first,
                b' ' => is_first || is_last,
                _ => byte < b' ' || byte == 0x7f,
            };
            if escaped {
                f.write_str(text.get(run_from..offset).unwrap_or_default())?;
                if byte < b' ' || byte == 0x7f {
                    write!(f, "\\{byte:02x}")?;
                } else {
                    write!(f, "\\{}", char::from(byte))?;
                }
                run_from = offset + 1;
            }
        }
        f.write_str(text.get(run_from..).unwrap_or_default())?;
        for byte in chunk.invalid() {
            write!(f, "\\{byte:02x}")?;
        }
        at_beginning = false;
    }
    Ok(())
}

struct Parser<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Parser<'t> {
    const fn new(text: &'t str) -> Result<Self, DnError> {
        if text.len() > DN_BYTES_MAX {
            return Err(DnError { offset: DN_BYTES_MAX, detail: "longer than 8192 bytes" });
        }
        Ok(Self { text: text.as_bytes(), at: 0 })
    }

    const fn error(&self, detail: &'static str) -> DnError {
        DnError { offset: self.at, detail }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn rest(&self) -> &'t [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
    }

    /// One RDN; stops at the end or at a comma.
    fn rdn(&mut self) -> Result<Rdn, DnError> {
        let mut avas = SmallVec::new();
        loop {
            if avas.len() == AVA_COUNT_MAX {
                return Err(self.error("more than 16 types and values in one RDN"));
            }
            avas.push(self.ava()?);
            match self.peek() {
                Some(b'+') => self.at += 1,
                _ => return Ok(Rdn { avas }),
            }
        }
    }

    /// One type and value; stops at the end, at a comma or at a plus sign.
    fn ava(&mut self) -> Result<Ava, DnError> {
        self.skip_blanks();
        let rest = self.rest();
        let Some(type_bytes) = rest.iter().position(|byte| matches!(byte, b'=' | b',' | b'+' | b';')) else {
            return Err(self.error(match rest.is_empty() {
                true => "an RDN is missing here; write type=value, or drop the comma or plus sign before it",
                false => "an RDN is type=value; the '=' is missing",
            }));
        };
        let (type_text, from_equals) = rest.split_at(type_bytes);
        if from_equals.first() != Some(&b'=') {
            return Err(self.error(match type_text.trim_ascii().is_empty() {
                true => "an RDN is missing here; write type=value, or drop the separator",
                false => "an RDN is type=value; a comma, plus sign or semicolon inside a value is written with a backslash before it",
            }));
        }
        let mut type_text = type_text.trim_ascii_end();
        if let Some((b"OID." | b"oid." | b"Oid.", oid)) = type_text.split_at_checked(4) {
            type_text = oid;
        }
        if !is_attribute_type(type_text) {
            return Err(self.error(match type_text.is_empty() {
                true => "the attribute type before '=' is missing",
                false => "the attribute type before '=' must be a name of letters, digits and hyphens, or an OID",
            }));
        }
        // A checked type is ASCII.
        let attribute = String::from_utf8_lossy(type_text).into_owned();
        self.at += type_bytes + 1;
        self.skip_blanks();
        let value = match self.peek() {
            Some(b'#') => self.hex_value()?,
            Some(b'"') => self.quoted_value()?,
            _ => return Ok(Ava { attribute, value: self.plain_value()? }),
        };
        self.skip_blanks();
        match self.peek() {
            None | Some(b',' | b'+') => Ok(Ava { attribute, value }),
            Some(_) => Err(self.error("after a quoted or '#' value only a comma, a plus sign or the end may follow")),
        }
    }

    /// A value as RFC 4514 `string`; blanks at the end fall away unless escaped.
    fn plain_value(&mut self) -> Result<Vec<u8>, DnError> {
        let mut value = Vec::new();
        let mut kept_bytes = 0;
        loop {
            let rest = self.rest();
            let run_bytes = rest.iter().position(|byte| is_special(*byte)).unwrap_or(rest.len());
            let (run, _) = rest.split_at(run_bytes);
            if let Some(last) = run.iter().rposition(|byte| !is_blank(*byte)) {
                kept_bytes = value.len() + last + 1;
            }
            value.extend_from_slice(run);
            self.at += run_bytes;
            match self.peek() {
                None | Some(b',' | b'+') => break,
                Some(b'\\') => {
                    value.push(self.escape()?);
                    kept_bytes = value.len();
                }
                Some(b';') => {
                    return Err(self.error("RDNs are separated by ','; a ';' inside a value is written '\\;'"));
                }
                Some(0) => return Err(self.error("a zero byte inside a value is written '\\00'")),
                Some(_) => {
                    return Err(self.error("'\"', '<' and '>' inside a value are written with a backslash before them"));
                }
            }
        }
        value.truncate(kept_bytes);
        Ok(value)
    }

    /// A value in double quotes, as RFC 2253 4 lets older writers have it.
    fn quoted_value(&mut self) -> Result<Vec<u8>, DnError> {
        let begin = self.at;
        self.at += 1;
        let mut value = Vec::new();
        loop {
            let rest = self.rest();
            let run_bytes = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0)).unwrap_or(rest.len());
            let (run, _) = rest.split_at(run_bytes);
            value.extend_from_slice(run);
            self.at += run_bytes;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(value);
                }
                Some(b'\\') => value.push(self.escape()?),
                Some(_) => return Err(self.error("a zero byte inside a value is written '\\00'")),
                None => return Err(DnError { offset: begin, detail: "the closing '\"' of this value is missing" }),
            }
        }
    }

    /// A backslash and what it stands for.
    fn escape(&mut self) -> Result<u8, DnError> {
        let mut following = self.rest().iter().skip(1).copied();
        let (first, second) = (following.next(), following.next());
        if let (Some(high), Some(low)) = (first.and_then(hex_digit), second.and_then(hex_digit)) {
            self.at += 3;
            return Ok(high << 4 | low);
        }
        match first {
            Some(byte @ (b' ' | b'#' | b'=' | b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\')) => {
                self.at += 2;
                Ok(byte)
            }
            _ => Err(self.error(
                "after a backslash comes a special character or two hexadecimal digits; a backslash itself is '\\\\'",
            )),
        }
    }

    /// `#` and the BER of the value in hexadecimal.
    fn hex_value(&mut self) -> Result<Vec<u8>, DnError> {
        self.at += 1;
        let mut value = Vec::new();
        loop {
            let mut following = self.rest().iter().copied();
            let (first, second) = (following.next(), following.next());
            match (first.and_then(hex_digit), second.and_then(hex_digit)) {
                (Some(high), Some(low)) => {
                    value.push(high << 4 | low);
                    self.at += 2;
                }
                (None, _) if !value.is_empty() => break,
                _ => {
                    return Err(self.error(
                        "after '#' come pairs of hexadecimal digits; a value that begins with '#' is written '\\#'",
                    ));
                }
            }
        }
        Ok(match ber_string(&value) {
            Some(content) => content.to_vec(),
            None => value,
        })
    }
}

/// The content of a BER OCTET STRING, UTF8String, PrintableString or IA5String that fills `ber` exactly.
fn ber_string(ber: &[u8]) -> Option<&[u8]> {
    let (tag, rest) = ber.split_first()?;
    if !matches!(tag, 0x04 | 0x0c | 0x13 | 0x16) {
        return None;
    }
    let (first, rest) = rest.split_first()?;
    let (content_bytes, content) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (length, content) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte)), content)
        }
        _ => return None,
    };
    (content.len() == content_bytes).then_some(content)
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

const fn is_special(byte: u8) -> bool {
    matches!(byte, b',' | b'+' | b'\\' | b'"' | b';' | b'<' | b'>' | 0)
}

/// The number a hexadecimal digit stands for.
pub(super) const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
