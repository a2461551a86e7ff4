//! Search filters from their text (RFC 4515) to BER (RFC 4511 4.5.1.7), for the tests' requests.
//!
//! Strict, and its own: the server's parser is not used to test the server.

use super::ber::{boolean, constructed, octets, tlv};

/// Encodes one filter; panics on text that is not one, for the text stands in a test.
#[track_caller]
pub(crate) fn encode(text: &str) -> Vec<u8> {
    let (filter, rest) = component(text.as_bytes()).unwrap_or_else(|| panic!("not a filter: {text}"));
    assert!(rest.is_empty(), "not one filter: {text}");
    filter
}

fn component(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let inner = text.strip_prefix(b"(")?;
    match inner.first()? {
        b'&' => list(0xA0, &inner[1..]),
        b'|' => list(0xA1, &inner[1..]),
        b'!' => {
            let (filter, rest) = component(&inner[1..])?;
            Some((tlv(0xA2, &filter), rest.strip_prefix(b")")?))
        }
        _ => {
            let end = inner.iter().position(|byte| *byte == b')')?;
            Some((item(&inner[..end])?, &inner[end + 1..]))
        }
    }
}

fn list(tag: u8, mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut filters = Vec::new();
    while rest.first() == Some(&b'(') {
        let (filter, after) = component(rest)?;
        filters.push(filter);
        rest = after;
    }
    Some((constructed(tag, &filters), rest.strip_prefix(b")")?))
}

fn item(text: &[u8]) -> Option<Vec<u8>> {
    let equals = text.iter().position(|byte| *byte == b'=')?;
    let (left, value) = (&text[..equals], &text[equals + 1..]);
    let assertion = |tag: u8, attribute: &[u8]| Some(constructed(tag, &[octets(attribute), octets(unescape(value)?)]));
    match left.last()? {
        b'~' => assertion(0xA8, &left[..left.len() - 1]),
        b'>' => assertion(0xA5, &left[..left.len() - 1]),
        b'<' => assertion(0xA6, &left[..left.len() - 1]),
        b':' => extensible(&left[..left.len() - 1], value),
        _ if value == b"*" => Some(tlv(0x87, left)),
        _ if value.contains(&b'*') => substrings(left, value),
        _ => assertion(0xA3, left),
    }
}

fn substrings(attribute: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let parts: Vec<&[u8]> = value.split(|byte| *byte == b'*').collect();
    let last = parts.len() - 1;
    let mut encoded = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        if part.is_empty() {
            continue;
        }
        let tag = if index == 0 {
            0x80
        } else if index == last {
            0x82
        } else {
            0x81
        };
        encoded.push(tlv(tag, &unescape(part)?));
    }
    Some(constructed(0xA4, &[octets(attribute), constructed(0x30, &encoded)]))
}

fn extensible(left: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let mut words = left.split(|byte| *byte == b':');
    let attribute = words.next()?;
    let mut parts = Vec::new();
    let mut dn_attributes = false;
    for word in words {
        if word.eq_ignore_ascii_case(b"dn") {
            dn_attributes = true;
        } else {
            parts.push(tlv(0x81, word));
        }
    }
    if !attribute.is_empty() {
        parts.push(tlv(0x82, attribute));
    }
    parts.push(tlv(0x83, &unescape(value)?));
    if dn_attributes {
        let mut truth = boolean(true);
        truth[0] = 0x84;
        parts.push(truth);
    }
    Some(constructed(0xA9, &parts))
}

fn unescape(value: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'\\' {
            let hex = std::str::from_utf8(rest.get(..2)?).ok()?;
            out.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &rest[2..];
        } else {
            out.push(*first);
        }
    }
    Some(out)
}
