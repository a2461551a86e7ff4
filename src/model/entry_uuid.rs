//! The name of an entry that never changes: its UUID (RFC 4530).
//!
//! A DN changes with every rename and move, the `entryUUID` does not; it is what replication, links between
//! entries and the store identify an entry by. New ones are version 7 (RFC 9562 5.7): the creation time leads, so
//! entries created together lie together in the store.

use std::fmt;
use std::str::FromStr;

/// Sixteen bytes that name one entry for ever, on every node.
///
/// The order is that of the bytes, which for version 7 is the order of creation to the millisecond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntryUuid(pub [u8; 16]);

/// The text is no UUID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a UUID; write 32 hexadecimal digits, as in 597ae2f6-16a6-1027-98f4-d28b5365dc14")]
pub struct EntryUuidError {
    /// The text as given, shortened to 64 characters.
    pub text: String,
}

impl EntryUuid {
    /// All zero: the parent of a suffix, and never the name of an entry.
    pub const NIL: Self = Self([0; 16]);

    /// Makes a version 7 UUID (RFC 9562 5.7) from milliseconds since 1970 (48 bits used) and random bytes (74 bits
    /// used).
    pub fn v7(unix_ms: u64, random: [u8; 10]) -> Self {
        let [_, _, t0, t1, t2, t3, t4, t5] = unix_ms.to_be_bytes();
        let [r0, r1, r2, r3, r4, r5, r6, r7, r8, r9] = random;
        Self([t0, t1, t2, t3, t4, t5, 0x70 | (r0 & 0x0f), r1, 0x80 | (r2 & 0x3f), r3, r4, r5, r6, r7, r8, r9])
    }

    /// Reads the `nsUniqueId` of 389 Directory Server: four groups of eight hexadecimal digits. The bytes are taken
    /// as they stand.
    pub fn from_ns_unique_id(text: &str) -> Result<Self, EntryUuidError> {
        parse_hex(text, &[8, 17, 26]).ok_or_else(|| refused(text))
    }

    /// The `nsUniqueId` that [`EntryUuid::from_ns_unique_id`] reads.
    pub fn to_ns_unique_id(self) -> String {
        let groups = self.0.chunks(4).map(|group| group.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        groups.collect::<Vec<_>>().join("-")
    }

    /// A GUID's bytes as Active Directory has them (MS-DTYP 2.3.4.2): the first three fields have their least byte first.
    pub fn to_guid_bytes(self) -> [u8; 16] {
        let [a, b, c, d, e, f, g, h, rest @ ..] = self.0;
        let [i, j, k, l, m, n, o, p] = rest;
        [d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p]
    }

    /// Reads what [`EntryUuid::to_guid_bytes`] writes; `None` unless there are sixteen bytes.
    pub fn from_guid_bytes(bytes: &[u8]) -> Option<Self> {
        // The exchange of the bytes is its own inverse.
        Some(Self(Self(bytes.try_into().ok()?).to_guid_bytes()))
    }

    /// The text as ASCII bytes: lower case, 8-4-4-4-12. No allocation.
    pub fn to_text(self) -> [u8; 36] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'-'; 36];
        let mut places = text.iter_mut().enumerate().filter(|(place, _)| !matches!(place, 8 | 13 | 18 | 23));
        for byte in self.0 {
            for nibble in [byte >> 4, byte & 15] {
                if let (Some((_, place)), Some(digit)) = (places.next(), DIGITS.get(usize::from(nibble))) {
                    *place = *digit;
                }
            }
        }
        text
    }
}

impl fmt::Display for EntryUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&self.to_text()).unwrap_or_default())
    }
}

/// Takes 8-4-4-4-12 and the bare 32 digits, in either case.
impl FromStr for EntryUuid {
    type Err = EntryUuidError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_hex(text, &[8, 13, 18, 23]).or_else(|| parse_hex(text, &[])).ok_or_else(|| refused(text))
    }
}

fn refused(text: &str) -> EntryUuidError {
    EntryUuidError { text: text.chars().take(64).collect() }
}

/// 32 digits with a hyphen at each of `hyphens` (byte offsets).
fn parse_hex(text: &str, hyphens: &[usize]) -> Option<EntryUuid> {
    if text.len() != 32 + hyphens.len() {
        return None;
    }
    let mut bytes = [0u8; 16];
    let mut nibble_index = 0usize;
    for (offset, byte) in text.bytes().enumerate() {
        if hyphens.contains(&offset) {
            if byte != b'-' {
                return None;
            }
            continue;
        }
        let nibble = u8::try_from(char::from(byte).to_digit(16)?).ok()?;
        let place = bytes.get_mut(nibble_index / 2)?;
        *place = (*place << 4) | nibble;
        nibble_index += 1;
    }
    Some(EntryUuid(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_lower_case_with_hyphens() {
        let uuid: EntryUuid = "597AE2F6-16A6-1027-98F4-D28B5365DC14".parse().unwrap();
        assert_eq!(uuid.to_string(), "597ae2f6-16a6-1027-98f4-d28b5365dc14");
        assert_eq!("597ae2f616a6102798f4d28b5365dc14".parse::<EntryUuid>().unwrap(), uuid);
        assert_eq!(EntryUuid::NIL.to_string(), "00000000-0000-0000-0000-000000000000");
    }

    #[test]
    fn ns_unique_id_keeps_its_bytes() {
        let uuid = EntryUuid::from_ns_unique_id("597ae2f6-16a61027-98f4d28b-5365dc14").unwrap();
        assert_eq!(uuid.to_string(), "597ae2f6-16a6-1027-98f4-d28b5365dc14");
        assert!(EntryUuid::from_ns_unique_id("597ae2f6-16a6-1027-98f4-d28b5365dc14").is_err());
        assert_eq!(uuid.to_ns_unique_id(), "597ae2f6-16a61027-98f4d28b-5365dc14");
    }

    /// MS-DTYP 2.3.4.2: Data1, Data2 and Data3 are little-endian, Data4 stands as it is.
    #[test]
    fn guid_bytes_are_those_of_active_directory() {
        let uuid: EntryUuid = "00112233-4455-6677-8899-aabbccddeeff".parse().unwrap();
        let bytes = [0x33, 0x22, 0x11, 0, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        assert_eq!(uuid.to_guid_bytes(), bytes);
        assert_eq!(EntryUuid::from_guid_bytes(&bytes), Some(uuid));
        assert_eq!(EntryUuid::from_guid_bytes(&bytes[1..]), None);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "x", "597ae2f6-16a6-1027-98f4-d28b5365dc1", "597ae2f6-16a6-1027-98f4-d28b5365dc1g"] {
            assert!(text.parse::<EntryUuid>().is_err(), "{text}");
        }
        assert!("597ae2f6+16a6-1027-98f4-d28b5365dc14".parse::<EntryUuid>().is_err());
        assert!("é".repeat(18).parse::<EntryUuid>().is_err());
    }

    #[test]
    fn version_7_carries_time_version_and_variant() {
        let uuid = EntryUuid::v7(0x0123_4567_89ab, [0xff; 10]);
        assert_eq!(uuid.to_string(), "01234567-89ab-7fff-bfff-ffffffffffff");
        assert!(EntryUuid::v7(1, [0xff; 10]) < EntryUuid::v7(2, [0; 10]));
    }
}
