//! Just enough BER for a client: definite lengths, short tags (RFC 4511 5.1).

/// A complete element: tag, length, content.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        length @ 0..=127 => out.push(length as u8),
        length => {
            let bytes = (length as u64).to_be_bytes();
            let skip = bytes.iter().take_while(|byte| **byte == 0).count();
            out.push(0x80 | (8 - skip) as u8);
            out.extend_from_slice(&bytes[skip..]);
        }
    }
    out.extend_from_slice(content);
    out
}

/// A constructed element of finished elements.
pub(crate) fn constructed(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(tag, &parts.concat())
}

pub(crate) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    constructed(0x30, parts)
}

pub(crate) fn set(parts: &[Vec<u8>]) -> Vec<u8> {
    constructed(0x31, parts)
}

pub(crate) fn octets(value: impl AsRef<[u8]>) -> Vec<u8> {
    tlv(0x04, value.as_ref())
}

pub(crate) fn boolean(value: bool) -> Vec<u8> {
    tlv(0x01, &[if value { 0xFF } else { 0 }])
}

/// Content octets of an INTEGER or ENUMERATED, shortest form.
pub(crate) fn integer_content(value: i64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let mut start = 0;
    while start < 7
        && ((bytes[start] == 0 && bytes[start + 1] < 0x80) || (bytes[start] == 0xFF && bytes[start + 1] >= 0x80))
    {
        start += 1;
    }
    bytes[start..].to_vec()
}

pub(crate) fn integer(value: i64) -> Vec<u8> {
    tlv(0x02, &integer_content(value))
}

pub(crate) fn enumerated(value: i64) -> Vec<u8> {
    tlv(0x0A, &integer_content(value))
}

/// One parsed element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) tag: u8,
    pub(crate) content: Vec<u8>,
}

impl Element {
    /// The length of the first element including its header, once the header is there.
    ///
    /// Refuses what RFC 4511 5.1 forbids (indefinite length) and what no answer can need (more than four length octets).
    pub(crate) fn total_length(bytes: &[u8]) -> Result<Option<usize>, String> {
        let Some(first) = bytes.get(1) else { return Ok(None) };
        if *first < 0x80 {
            return Ok(Some(2 + usize::from(*first)));
        }
        let count = usize::from(first & 0x7F);
        if count == 0 || count > 4 {
            return Err(format!("length of {count} octets"));
        }
        let Some(octets) = bytes.get(2..2 + count) else { return Ok(None) };
        let length = octets.iter().fold(0_usize, |sum, octet| sum << 8 | usize::from(*octet));
        Ok(Some(2 + count + length))
    }

    /// Splits off the first element.
    pub(crate) fn take(bytes: &[u8]) -> Result<(Self, &[u8]), String> {
        let total = Self::total_length(bytes)?.ok_or("element cut in its header")?;
        let whole = bytes.get(..total).ok_or("element cut in its content")?;
        let header = if whole[1] < 0x80 { 2 } else { 2 + usize::from(whole[1] & 0x7F) };
        Ok((Self { tag: whole[0], content: whole[header..].to_vec() }, &bytes[total..]))
    }

    /// The one element that `bytes` consists of.
    pub(crate) fn whole(bytes: &[u8]) -> Result<Self, String> {
        match Self::take(bytes)? {
            (element, []) => Ok(element),
            (_, rest) => Err(format!("{} bytes after the element", rest.len())),
        }
    }

    /// The elements inside a constructed one.
    pub(crate) fn children(&self) -> Result<Vec<Self>, String> {
        let mut rest = self.content.as_slice();
        let mut children = Vec::new();
        while !rest.is_empty() {
            let (child, after) = Self::take(rest)?;
            children.push(child);
            rest = after;
        }
        Ok(children)
    }

    /// INTEGER, ENUMERATED or BOOLEAN as a number.
    pub(crate) fn number(&self) -> i64 {
        let negative = self.content.first().is_some_and(|first| *first >= 0x80);
        self.content.iter().fold(if negative { -1 } else { 0 }, |sum, octet| sum << 8 | i64::from(*octet))
    }

    /// Content as text; what is not UTF-8 is shown with replacement characters.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }
}
