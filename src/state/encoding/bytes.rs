//! Reading and writing integers and byte strings without ever running over the end.

use crate::state::error::StateError;

/// A cursor over bytes that are not trusted.
#[derive(Clone, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// At the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.0.len()
    }

    /// The next byte.
    #[inline]
    pub fn byte(&mut self) -> Result<u8, StateError> {
        let (&byte, rest) = self.0.split_first().ok_or(StateError::Truncated)?;
        self.0 = rest;
        Ok(byte)
    }

    /// The next `count` bytes.
    #[inline]
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], StateError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(StateError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    /// The next `N` bytes.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(StateError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    /// An unsigned number: seven bits a byte, least first, top bit says that more follow.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, StateError> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        self.long_varint(first)
    }

    fn long_varint(&mut self, first: u8) -> Result<u64, StateError> {
        let mut number = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(StateError::Malformed { what: "number over 64 bits" })
    }

    /// As [`Reader::varint`], of at most 32 bits.
    #[inline]
    pub fn varint_u32(&mut self) -> Result<u32, StateError> {
        u32::try_from(self.varint()?).map_err(|_| StateError::Malformed { what: "number over 32 bits" })
    }

    /// A signed number: small ones of either sign are short.
    pub fn signed(&mut self) -> Result<i64, StateError> {
        let number = self.varint()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// A byte string with its length before it.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], StateError> {
        let length = self.varint()?;
        self.take(usize::try_from(length).map_err(|_| StateError::Truncated)?)
    }

    /// A UTF-8 string with its length before it.
    pub fn text(&mut self) -> Result<&'a str, StateError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| StateError::Malformed { what: "text that is not UTF-8" })
    }

    /// A count of things that take at least `bytes_min` bytes each, so that no count reserves more than the input is worth.
    pub fn count(&mut self, bytes_min: usize) -> Result<usize, StateError> {
        let count = usize::try_from(self.varint()?).map_err(|_| StateError::Truncated)?;
        if count > self.remaining() / bytes_min.max(1) {
            return Err(StateError::Truncated);
        }
        Ok(count)
    }

    /// The version byte, which must be `known`.
    pub fn version(&mut self, known: u8) -> Result<(), StateError> {
        let version = self.byte()?;
        if version == known { Ok(()) } else { Err(StateError::UnknownVersion { version }) }
    }

    /// The end: nothing may be left.
    pub fn finish(&self) -> Result<(), StateError> {
        if self.0.is_empty() { Ok(()) } else { Err(StateError::Malformed { what: "bytes after the end" }) }
    }
}

/// The inverse of [`Reader::varint`].
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The inverse of [`Reader::signed`].
pub fn put_signed(out: &mut Vec<u8>, number: i64) {
    put_varint(out, (number << 1 ^ number >> 63) as u64);
}

/// The inverse of [`Reader::bytes`].
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(unsigned in any::<u64>(), shift in 0..64u32, signed in any::<i64>()) {
            let unsigned = unsigned >> shift;
            let mut out = Vec::new();
            put_varint(&mut out, unsigned);
            put_signed(&mut out, signed);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.varint(), Ok(unsigned));
            prop_assert_eq!(reader.signed(), Ok(signed));
            prop_assert_eq!(reader.finish(), Ok(()));
        }
    }

    #[test]
    fn number_over_64_bits_is_malformed() {
        let mut reader = Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]);
        assert!(reader.varint().is_err());
        assert!(Reader::new(&[0x80; 12]).varint().is_err());
    }

    #[test]
    fn count_beyond_the_input_is_truncated() {
        assert_eq!(Reader::new(&[200, 1, 0, 0]).count(2), Err(StateError::Truncated));
        assert_eq!(Reader::new(&[2, 0, 0, 0, 0]).count(2), Ok(2));
    }
}
