//! The part of BER that LDAP uses (RFC 4511 5.1, ITU-T X.690 8): a strict reader over borrowed bytes and a writer
//! that appends to a `Vec<u8>`.
//!
//! A general BER library builds a tree first: dozens of allocations a request, a hundred times the bytes of the PDU
//! in memory, and, worse, some keep the good children of a broken parent, so that `(&(uid=ann)(<broken>))` becomes
//! `(&(uid=ann))`. LDAP needs none of that generality: tags are one octet, lengths are definite, strings are
//! primitive, and the grammar is known. So the reader walks the bytes once, hands out slices, and the first octet
//! that does not fit ends the reading.
//!
//! Invariants
//! - No slice handed out reaches beyond its parent; nothing is skipped that was not asked for.
//! - A reader never recurses; depth is the business of the grammar above it (`wire::filter` counts it).
//! - No allocation while reading.
//! - What the writer appends, the reader reads back to the same value.
//!
//! Accepted although not canonical, because real clients send it and its meaning is plain: lengths with leading zero
//! octets (`84 00 00 00 05`), integers with redundant leading octets, any non-zero octet as TRUE.
//! Not here: tag numbers of 31 and more, indefinite lengths, constructed strings. LDAP forbids or never uses them.

/// Tag of a BOOLEAN.
pub const BOOLEAN: u8 = 0x01;
/// Tag of an INTEGER.
pub const INTEGER: u8 = 0x02;
/// Tag of a primitive OCTET STRING, the only form LDAP allows.
pub const OCTET_STRING: u8 = 0x04;
/// Tag of an ENUMERATED.
pub const ENUMERATED: u8 = 0x0a;
/// Tag of a SEQUENCE or SEQUENCE OF.
pub const SEQUENCE: u8 = 0x30;
/// Tag of a SET or SET OF.
pub const SET: u8 = 0x31;

/// Most octets a length may take after its first: 4 describe 4 GiB, far above every PDU limit.
pub const LENGTH_OCTETS_MAX: usize = 4;

/// Identifier octet of a primitive context-specific element; `number` is below 31.
pub const fn context(number: u8) -> u8 {
    0x80 | number
}

/// Identifier octet of a constructed context-specific element; `number` is below 31.
pub const fn context_constructed(number: u8) -> u8 {
    0xa0 | number
}

/// Identifier octet of a primitive application element; `number` is below 31.
pub const fn application(number: u8) -> u8 {
    0x40 | number
}

/// Identifier octet of a constructed application element; `number` is below 31.
pub const fn application_constructed(number: u8) -> u8 {
    0x60 | number
}

/// How bytes fail to be the BER that the grammar asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BerError {
    /// A BOOLEAN whose content is not one octet.
    #[error("a boolean of {0} octets")]
    BooleanLength(usize),
    /// An INTEGER without content, or one that needs more than 64 bits.
    #[error("an integer of {0} octets")]
    IntegerLength(usize),
    /// Indefinite length, or more than [`LENGTH_OCTETS_MAX`] length octets.
    #[error("length octet {0:#04x} is not accepted: lengths are definite and of at most 4 octets")]
    LengthForm(u8),
    /// The element, or its header, reaches beyond what encloses it.
    #[error("an element is longer than what encloses it")]
    Overrun,
    /// A tag number of 31 or more.
    #[error("tag numbers above 30 are not used by LDAP")]
    TagNumber,
    /// Bytes after the last element that belongs here.
    #[error("{0} octets too many")]
    Trailing(usize),
    /// Another element than the grammar allows here.
    #[error("expected tag {expected:#04x}, found {found:#04x}")]
    UnexpectedTag {
        /// Identifier octet that the grammar wants.
        expected: u8,
        /// Identifier octet that is there.
        found: u8,
    },
}

/// Reads elements one after another from the content of one constructed element.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from `content`, the bytes inside a constructed element (or a whole PDU).
    #[inline]
    pub const fn new(content: &'a [u8]) -> Self {
        Self { rest: content }
    }

    /// Whether everything was read.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The bytes not read so far.
    #[inline]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Identifier octet of the next element, `None` at the end.
    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Takes the next element, whatever its tag: identifier octet and content.
    ///
    /// # Errors
    /// [`BerError::Overrun`] when there is none or it reaches beyond the end, [`BerError::TagNumber`],
    /// [`BerError::LengthForm`].
    #[inline]
    pub fn element(&mut self) -> Result<(u8, &'a [u8]), BerError> {
        let (&tag, rest) = self.rest.split_first().ok_or(BerError::Overrun)?;
        if tag & 0x1f == 0x1f {
            return Err(BerError::TagNumber);
        }
        let (&first, rest) = rest.split_first().ok_or(BerError::Overrun)?;
        let (length, rest) = if first < 0x80 { (usize::from(first), rest) } else { long_length(first, rest)? };
        let (content, rest) = rest.split_at_checked(length).ok_or(BerError::Overrun)?;
        self.rest = rest;
        Ok((tag, content))
    }

    /// Takes the next element, which must have `tag`; gives its content.
    ///
    /// # Errors
    /// As [`Reader::element`], and [`BerError::UnexpectedTag`].
    #[inline]
    pub fn expect(&mut self, tag: u8) -> Result<&'a [u8], BerError> {
        match self.peek() {
            Some(found) if found == tag => self.element().map(|(_, content)| content),
            Some(found) => Err(BerError::UnexpectedTag { expected: tag, found }),
            None => Err(BerError::Overrun),
        }
    }

    /// Takes the next element if it has `tag`; `None` leaves the reader where it was.
    ///
    /// # Errors
    /// As [`Reader::element`].
    #[inline]
    pub fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, BerError> {
        if self.peek() == Some(tag) { self.element().map(|(_, content)| Some(content)) } else { Ok(None) }
    }

    /// Takes the next element, which must have `tag`, to be read into.
    ///
    /// # Errors
    /// As [`Reader::expect`].
    #[inline]
    pub fn enter(&mut self, tag: u8) -> Result<Self, BerError> {
        self.expect(tag).map(Self::new)
    }

    /// Takes an OCTET STRING.
    ///
    /// # Errors
    /// As [`Reader::expect`].
    #[inline]
    pub fn octets(&mut self) -> Result<&'a [u8], BerError> {
        self.expect(OCTET_STRING)
    }

    /// Takes an INTEGER.
    ///
    /// # Errors
    /// As [`Reader::expect`], and [`BerError::IntegerLength`].
    #[inline]
    pub fn integer(&mut self) -> Result<i64, BerError> {
        integer(self.expect(INTEGER)?)
    }

    /// Takes an ENUMERATED.
    ///
    /// # Errors
    /// As [`Reader::integer`].
    #[inline]
    pub fn enumerated(&mut self) -> Result<i64, BerError> {
        integer(self.expect(ENUMERATED)?)
    }

    /// Takes a BOOLEAN.
    ///
    /// # Errors
    /// As [`Reader::expect`], and [`BerError::BooleanLength`].
    #[inline]
    pub fn boolean(&mut self) -> Result<bool, BerError> {
        boolean(self.expect(BOOLEAN)?)
    }

    /// Says that nothing may be left.
    ///
    /// # Errors
    /// [`BerError::Trailing`].
    #[inline]
    pub fn finish(self) -> Result<(), BerError> {
        if self.rest.is_empty() { Ok(()) } else { Err(BerError::Trailing(self.rest.len())) }
    }

    /// Says that nothing may be left of a SEQUENCE but extensions: RFC 4511 4 has trailing components with unknown
    /// tags ignored. Only well-formed context-specific elements from number `first_unknown` on count as such; a
    /// universal one, or one that the grammar knows in another place or form, is a mistake.
    ///
    /// # Errors
    /// [`BerError::Trailing`], or as [`Reader::element`].
    #[inline]
    pub fn finish_extensible(mut self, first_unknown: u8) -> Result<(), BerError> {
        while let Some(tag) = self.peek() {
            if tag & 0xc0 != 0x80 || tag & 0x1f < first_unknown {
                return Err(BerError::Trailing(self.rest.len()));
            }
            self.element()?;
        }
        Ok(())
    }
}

/// Value of a length in long form: `first` is its first octet (at least 0x80); also what follows the length.
#[cold]
fn long_length(first: u8, rest: &[u8]) -> Result<(usize, &[u8]), BerError> {
    let octets = usize::from(first & 0x7f);
    if octets == 0 || octets > LENGTH_OCTETS_MAX {
        return Err(BerError::LengthForm(first));
    }
    let (octets, rest) = rest.split_at_checked(octets).ok_or(BerError::Overrun)?;
    let length = octets.iter().fold(0_u64, |length, &octet| length << 8 | u64::from(octet));
    Ok((usize::try_from(length).map_err(|_| BerError::LengthForm(first))?, rest))
}

/// Value of the content of an INTEGER or ENUMERATED: two's complement, 1 to 8 octets.
///
/// # Errors
/// [`BerError::IntegerLength`].
#[inline]
pub fn integer(content: &[u8]) -> Result<i64, BerError> {
    match content {
        [] => Err(BerError::IntegerLength(0)),
        [first, rest @ ..] if rest.len() < 8 => {
            let sign = i64::from(first.cast_signed());
            Ok(rest.iter().fold(sign, |value, &octet| value << 8 | i64::from(octet)))
        }
        _ => Err(BerError::IntegerLength(content.len())),
    }
}

/// Value of the content of a BOOLEAN: one octet, zero is FALSE.
///
/// # Errors
/// [`BerError::BooleanLength`].
#[inline]
pub fn boolean(content: &[u8]) -> Result<bool, BerError> {
    match content {
        [octet] => Ok(*octet != 0),
        _ => Err(BerError::BooleanLength(content.len())),
    }
}

/// Appends elements to a `Vec<u8>`, lengths as short as they go.
#[derive(Debug)]
pub struct Writer<'o> {
    out: &'o mut Vec<u8>,
}

/// An element begun by [`Writer::begin`] or [`Writer::begin_fixed`]; ended by the like-named `end`.
#[derive(Debug)]
#[must_use = "an element that is begun must be ended"]
pub struct Mark(usize);

/// Octets of a length in the fixed long form `84 xx xx xx xx`.
const FIXED_LENGTH_OCTETS: usize = 5;

impl<'o> Writer<'o> {
    /// Appends to `out`; what is there stays.
    #[inline]
    pub const fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Appends one primitive element.
    #[inline]
    pub fn primitive(&mut self, tag: u8, content: &[u8]) {
        self.header(tag, content.len());
        self.out.extend_from_slice(content);
    }

    /// Appends an OCTET STRING.
    #[inline]
    pub fn octets(&mut self, content: &[u8]) {
        self.primitive(OCTET_STRING, content);
    }

    /// Appends an INTEGER, or whatever `tag` says, in as few octets as it needs.
    #[inline]
    pub fn integer(&mut self, tag: u8, value: i64) {
        let octets = value.to_be_bytes();
        let redundant = octets
            .iter()
            .zip(octets.iter().skip(1))
            .take_while(|&(&octet, &next)| (octet == 0 && next & 0x80 == 0) || (octet == 0xff && next & 0x80 != 0))
            .count();
        self.primitive(tag, octets.get(redundant..).unwrap_or(&octets));
    }

    /// Appends a BOOLEAN; TRUE is `ff` (RFC 4511 5.1).
    #[inline]
    pub fn boolean(&mut self, tag: u8, value: bool) {
        self.primitive(tag, &[if value { 0xff } else { 0 }]);
    }

    /// Appends bytes that are complete elements already.
    #[inline]
    pub fn raw(&mut self, elements: &[u8]) {
        self.out.extend_from_slice(elements);
    }

    /// Appends identifier and length of an element whose `length` bytes of content the caller appends next.
    #[inline]
    pub fn header(&mut self, tag: u8, length: usize) {
        self.out.push(tag);
        match u8::try_from(length) {
            Ok(short) if short < 0x80 => self.out.push(short),
            _ => {
                let (octets, skipped) = long_form(length);
                self.out.extend(octets.iter().skip(skipped));
            }
        }
    }

    /// Begins a constructed element of unknown length. Its content moves by up to four bytes at [`Writer::end`] when
    /// it grew beyond 127 bytes; for large ones see [`Writer::begin_fixed`].
    #[inline]
    pub fn begin(&mut self, tag: u8) -> Mark {
        self.out.extend_from_slice(&[tag, 0]);
        Mark(self.out.len())
    }

    /// Ends what [`Writer::begin`] began: writes the shortest length.
    #[expect(clippy::needless_pass_by_value, reason = "a mark is used once")]
    #[inline]
    pub fn end(&mut self, mark: Mark) {
        let content = mark.0;
        let length = self.out.len().saturating_sub(content);
        match u8::try_from(length) {
            Ok(short) if short < 0x80 => {
                if let Some(octet) = content.checked_sub(1).and_then(|position| self.out.get_mut(position)) {
                    *octet = short;
                }
            }
            _ => {
                let (octets, skipped) = long_form(length);
                let position = content.saturating_sub(1);
                self.out.splice(position..content, octets.into_iter().skip(skipped));
            }
        }
    }

    /// Begins a constructed element whose length will take five octets: nothing moves when it ends.
    #[inline]
    pub fn begin_fixed(&mut self, tag: u8) -> Mark {
        self.out.extend_from_slice(&[tag, 0x84, 0, 0, 0, 0]);
        Mark(self.out.len())
    }

    /// Ends what [`Writer::begin_fixed`] began: patches the length.
    #[expect(clippy::needless_pass_by_value, reason = "a mark is used once")]
    #[inline]
    pub fn end_fixed(&mut self, mark: Mark) {
        let length = u32::try_from(self.out.len().saturating_sub(mark.0)).unwrap_or(u32::MAX);
        let position = mark.0.saturating_sub(FIXED_LENGTH_OCTETS - 1);
        if let Some(octets) = self.out.get_mut(position..mark.0) {
            octets.copy_from_slice(&length.to_be_bytes());
        }
    }
}

/// The long form of a length: five octets, and how many of them to skip.
fn long_form(length: usize) -> ([u8; FIXED_LENGTH_OCTETS], usize) {
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    match [a, b, c, d] {
        [0, 0, 0, _] => ([0, 0, 0, 0x81, d], 3),
        [0, 0, ..] => ([0, 0, 0x82, c, d], 2),
        [0, ..] => ([0, 0x83, b, c, d], 1),
        _ => ([0x84, a, b, c, d], 0),
    }
}

/// Octets that [`Writer::header`] takes for an element of `length` bytes.
#[inline]
pub const fn header_length(length: usize) -> usize {
    match length {
        0..=0x7f => 2,
        0x80..=0xff => 3,
        0x100..=0xffff => 4,
        0x1_0000..=0xff_ffff => 5,
        _ => 6,
    }
}

#[cfg(test)]
mod tests;
