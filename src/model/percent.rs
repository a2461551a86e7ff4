//! Percent encoding of URLs (RFC 3986 2.1), for LDAP URLs and the file URLs of LDIF.

use std::fmt;

use super::dn::hex_digit;

/// Undoes the encoding; `None` when a `%` is not followed by two hexadecimal digits.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter().copied();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hex_digit(rest.next()?)? << 4 | hex_digit(rest.next()?)?,
            plain => plain,
        });
    }
    Some(bytes)
}

/// Writes `text` with all bytes encoded but letters, digits, `-._~` and those in `plain`.
pub(super) fn write(f: &mut fmt::Formatter<'_>, text: &str, plain: &[u8]) -> fmt::Result {
    text.bytes().try_for_each(|byte| match byte {
        b'-' | b'.' | b'_' | b'~' => write!(f, "{}", char::from(byte)),
        _ if byte.is_ascii_alphanumeric() || plain.contains(&byte) => write!(f, "{}", char::from(byte)),
        _ => write!(f, "%{byte:02X}"),
    })
}
