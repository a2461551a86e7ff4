//! A minimal reader of LDIF content records (RFC 2849), to compare what two servers export.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Attribute name in lower case to the set of its values.
pub(crate) type Attributes = BTreeMap<String, BTreeSet<Vec<u8>>>;

/// Reads content records: DN as written, attributes. Panics on what is not LDIF.
#[track_caller]
pub(crate) fn records(text: &str) -> Vec<(String, Attributes)> {
    let mut records = Vec::new();
    for block in unfold(text).split(|line| line.is_empty()) {
        let mut dn = None;
        let mut attributes = Attributes::new();
        for line in block {
            if line.starts_with("version:") {
                continue;
            }
            let (name, value) = parse_line(line);
            if name == "dn" {
                dn = Some(String::from_utf8(value).expect("a DN is UTF-8"));
            } else {
                attributes.entry(name).or_default().insert(value);
            }
        }
        records.extend(dn.map(|dn| (dn, attributes)));
    }
    records
}

/// Records by DN in lower case with no blanks after commas.
#[track_caller]
pub(crate) fn by_dn(text: &str) -> BTreeMap<String, Attributes> {
    records(text).into_iter().map(|(dn, attributes)| (plain_dn(&dn), attributes)).collect()
}

/// A DN for comparing: lower case, escapes and blanks of either form alike, parts of an RDN in order.
pub(crate) fn plain_dn(dn: &str) -> String {
    let rdns = split_unescaped(dn, b',').into_iter().map(|rdn| {
        let mut parts: Vec<String> = split_unescaped(&rdn, b'+').iter().map(|part| plain_part(part)).collect();
        parts.sort();
        parts.join("+")
    });
    rdns.collect::<Vec<_>>().join(",")
}

/// The pieces between separators that no backslash precedes, escapes left in.
fn split_unescaped(text: &str, separator: u8) -> Vec<String> {
    let mut pieces = vec![Vec::new()];
    let mut escaped = false;
    for byte in text.bytes() {
        if byte == separator && !escaped {
            pieces.push(Vec::new());
            continue;
        }
        escaped = byte == b'\\' && !escaped;
        if let Some(piece) = pieces.last_mut() {
            piece.push(byte);
        }
    }
    pieces.iter().map(|piece| String::from_utf8_lossy(piece).into_owned()).collect()
}

/// `type=value` without escapes (but for what separates), lower case, outer blanks gone.
fn plain_part(part: &str) -> String {
    let bytes = part.as_bytes();
    let mut out = Vec::new();
    let mut index = 0;
    while let Some(byte) = bytes.get(index) {
        let hex = part.get(index + 1..index + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, hex) {
            (b'\\', Some(value)) => {
                out.push(value);
                index += 3;
            }
            (b'\\', None) => {
                out.extend(bytes.get(index + 1));
                index += 2;
            }
            _ => {
                out.push(*byte);
                index += 1;
            }
        }
    }
    let text = String::from_utf8_lossy(&out).to_lowercase();
    let (name, value) = text.split_once('=').unwrap_or((&text, ""));
    format!("{}={}", name.trim(), value.trim().replace([',', '+'], "\\"))
}

fn unfold(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut comment = false;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix(' ') {
            if !comment && let Some(last) = lines.last_mut() {
                last.push_str(rest);
            }
            continue;
        }
        comment = line.starts_with('#');
        if !comment {
            lines.push(line.to_owned());
        }
    }
    lines
}

#[track_caller]
fn parse_line(line: &str) -> (String, Vec<u8>) {
    let (name, rest) = line.split_once(':').unwrap_or_else(|| panic!("not an LDIF line: {line}"));
    let value = match rest.strip_prefix(':') {
        Some(encoded) => STANDARD.decode(encoded.trim()).unwrap_or_else(|error| panic!("{line}: {error}")),
        None => rest.strip_prefix(' ').unwrap_or(rest).as_bytes().to_vec(),
    };
    (name.to_lowercase(), value)
}
