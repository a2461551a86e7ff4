//! Who wins and what is held: the two numbers of a change.
//!
//! A change has a [`Csn`], which decides whose value stays, and a [`Dot`] (origin, dense sequence), which tells
//! whether one holds everything. Peers that use one number for both cannot refuse a wild clock without also losing
//! changes; here completeness never depends on a clock. Together they are a [`Stamp`].
//!
//! Layout of a CSN, most significant first, so that the order of the bytes is the order of the numbers:
//!
//! ```text
//! bits 127..112  epoch    16  0; raised by an administrator after a clock disaster
//! bits 111..64   ms       48  unix milliseconds (physical part of the hybrid clock)
//! bits  63..48   counter  16  logical part of the hybrid clock
//! bits  47..0    origin   48  who wrote it
//! ```
//!
//! Invariant **csn-unique**: origins differ in the last 48 bits, and one origin never gives a CSN twice
//! (`hybrid_clock`).

use std::fmt;

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

/// Milliseconds of a CSN are below this (48 bits: the year 10889).
pub const MS_MAX: u64 = (1 << 48) - 1;
/// Origins are below this (48 bits).
pub const ORIGIN_MAX: u64 = (1 << 48) - 1;
/// CSNs above are refused from peers, so that a newer one can always be made (room for 2^32 of them).
const CSN_ACCEPTED_MAX: u128 = u128::MAX - (1 << (48 + 32));

/// One incarnation of a data directory: random 48 bits, minted when it is made or restored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct OriginId(pub u64);

impl OriginId {
    /// Takes the low 48 bits; the usual way to mint one from random bits.
    pub fn new(bits: u64) -> Self {
        Self(bits & ORIGIN_MAX)
    }
}

impl fmt::Display for OriginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

/// A change sequence number: decides which of two writes to one thing stays.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Csn(pub(in crate::state) u128);

impl Csn {
    /// Older than every CSN that a change carries.
    pub const NONE: Self = Self(0);

    /// Epoch 0, the given unix milliseconds (low 48 bits), counter and origin (low 48 bits).
    pub fn new(ms: u64, counter: u16, origin: OriginId) -> Self {
        Self::with_epoch(0, ms, counter, origin)
    }

    /// As [`Csn::new`] with an epoch.
    pub fn with_epoch(epoch: u16, ms: u64, counter: u16, origin: OriginId) -> Self {
        Self(
            u128::from(epoch) << 112
                | u128::from(ms & MS_MAX) << 64
                | u128::from(counter) << 48
                | u128::from(origin.0 & ORIGIN_MAX),
        )
    }

    /// Epoch of the cluster's clock.
    pub fn epoch(self) -> u16 {
        (self.0 >> 112) as u16
    }

    /// Unix milliseconds.
    pub fn ms(self) -> u64 {
        (self.0 >> 64) as u64 & MS_MAX
    }

    /// Logical counter within the millisecond.
    pub fn counter(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// Who wrote the change.
    pub fn origin(self) -> OriginId {
        OriginId(self.0 as u64 & ORIGIN_MAX)
    }

    /// Sixteen bytes whose order is the order of CSNs.
    pub fn to_be_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The inverse of [`Csn::to_be_bytes`].
    pub fn from_be_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// Whether a peer may send it: not [`Csn::NONE`], and not so near the end that nothing newer could be made.
    pub fn is_acceptable(self) -> bool {
        self != Self::NONE && self.0 <= CSN_ACCEPTED_MAX
    }

    /// The text that OpenLDAP's tools and consumers read: `YYYYmmddHHMMSS.uuuuuuZ#cccccc#sid#000000`, with `sid` the
    /// 12-bit server number shown for the origin. Times after the year 9999 show as its end.
    ///
    /// For one `sid` the order of the texts is the order of the CSNs of one epoch.
    pub fn openldap_text(self, sid: u16) -> String {
        let count = u32::from(self.counter());
        OpenLdapCsn { ms: self.ms(), microseconds: 0, count, sid, modification: 0 }.to_string()
    }
}

impl fmt::Debug for Csn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// `epoch.ms.counter@origin`; a zero epoch is left out.
impl fmt::Display for Csn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.epoch() != 0 {
            write!(f, "{}.", self.epoch())?;
        }
        write!(f, "{}.{}@{}", self.ms(), self.counter(), self.origin())
    }
}

/// A CSN as OpenLDAP writes it, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct OpenLdapCsn {
    /// Unix milliseconds.
    pub ms: u64,
    /// Microseconds within the millisecond, 0 to 999.
    pub microseconds: u16,
    /// Change count within the microsecond.
    pub count: u32,
    /// Server number.
    pub sid: u16,
    /// Modification number, always 0 in what OpenLDAP writes today.
    pub modification: u32,
}

/// The text that OpenLDAP reads; numbers that are too large for their place lose their upper bits.
impl fmt::Display for OpenLdapCsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = i64::try_from(self.ms).unwrap_or(i64::MAX);
        let at = OffsetDateTime::from_unix_timestamp(ms / 1000).unwrap_or_else(|_| PrimitiveDateTime::MAX.assume_utc());
        write!(
            f,
            "{:04}{:02}{:02}{:02}{:02}{:02}.{:03}{:03}Z#{:06x}#{:03x}#{:06x}",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            ms % 1000,
            self.microseconds % 1000,
            self.count & 0xff_ffff,
            self.sid & 0xfff,
            self.modification & 0xff_ffff
        )
    }
}

impl OpenLdapCsn {
    /// Reads `YYYYmmddHHMMSS[.uuuuuu]Z#cccccc#sid#mmmmmm`; the server number of two or three digits (OpenLDAP before
    /// 2.4 wrote two, and no fraction). `None` if the text is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('#');
        let (moment, count, sid, modification) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || !(2..=3).contains(&sid.len()) || count.len() != 6 || modification.len() != 6 {
            return None;
        }
        let moment = moment.strip_suffix('Z')?;
        let (second, micros) = match moment.split_once('.') {
            Some((second, fraction)) if fraction.len() == 6 => (second, decimal(fraction)?),
            Some(_) => return None,
            None => (moment, 0),
        };
        if second.len() != 14 {
            return None;
        }
        let part = |from: usize, to: usize| second.get(from..to).and_then(decimal);
        let two = |from: usize| part(from, from + 2).and_then(|number| u8::try_from(number).ok());
        let month = Month::try_from(two(4)?).ok()?;
        let date = Date::from_calendar_date(i32::try_from(part(0, 4)?).ok()?, month, two(6)?).ok()?;
        let time = Time::from_hms(two(8)?, two(10)?, two(12)?).ok()?;
        let seconds = u64::try_from(PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp()).ok()?;
        Some(Self {
            ms: seconds * 1000 + u64::from(micros / 1000),
            microseconds: (micros % 1000) as u16,
            count: hexadecimal(count)?,
            sid: u16::try_from(hexadecimal(sid)?).ok()?,
            modification: hexadecimal(modification)?,
        })
    }
}

/// Digits only; at most nine of them.
fn decimal(text: &str) -> Option<u32> {
    (text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Hexadecimal digits only; at most seven of them.
fn hexadecimal(text: &str) -> Option<u32> {
    (text.len() <= 7 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .then(|| u32::from_str_radix(text, 16).ok())?
}

/// One change of one origin: numbers are dense from 1, so that "all up to n" has a meaning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Dot {
    /// Who wrote it.
    pub origin: OriginId,
    /// Its number at that origin, from 1.
    pub sequence: u64,
}

/// What a change is stamped with: the CSN decides, the sequence makes it a [`Dot`]. Ordered by CSN (the sequence only
/// separates what no honest origin sends).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Stamp {
    /// Decides who wins.
    pub csn: Csn,
    /// Number of the change at its origin, from 1.
    pub sequence: u64,
}

impl Stamp {
    /// Older than every change.
    pub const NONE: Self = Self { csn: Csn::NONE, sequence: 0 };

    /// The change's place in its origin's row.
    pub fn dot(self) -> Dot {
        Dot { origin: self.csn.origin(), sequence: self.sequence }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_come_back_from_a_csn() {
        let csn = Csn::with_epoch(3, 1_700_000_000_123, 0xabcd, OriginId(0x1234_5678_9abc));
        assert_eq!(csn.epoch(), 3);
        assert_eq!(csn.ms(), 1_700_000_000_123);
        assert_eq!(csn.counter(), 0xabcd);
        assert_eq!(csn.origin(), OriginId(0x1234_5678_9abc));
        assert_eq!(Csn::from_be_bytes(csn.to_be_bytes()), csn);
        assert_eq!(csn.to_string(), "3.1700000000123.43981@123456789abc");
    }

    #[test]
    fn openldap_text_is_the_form_slapd_writes() {
        let csn = Csn::new(1_793_707_143_042, 2, OriginId(9));
        assert_eq!(csn.openldap_text(1), "20261103115903.042000Z#000002#001#000000");
    }

    #[test]
    fn openldap_text_is_read_back() {
        let read = OpenLdapCsn::parse("20261103115903.042917Z#00000a#00f#000001");
        let expected = OpenLdapCsn { ms: 1_793_707_143_042, microseconds: 917, count: 10, sid: 15, modification: 1 };
        assert_eq!(read, Some(expected));
        assert_eq!(OpenLdapCsn::parse("20060102030405Z#000001#00#000000").map(|csn| csn.ms), Some(1_136_171_045_000));
    }

    #[test]
    fn broken_openldap_text_is_refused() {
        for text in [
            "",
            "2026",
            "20261303115903.042917Z#00000a#00f#000001",
            "20261103115903.04291Z#00000a#00f#000001",
            "20261103115903.042917Z#00000a#00f",
            "20261103115903.042917Z#00000a#00f#000001#",
            "20261103115903.042917Z#+0000a#00f#000001",
            "2026110311590é.042917Z#00000a#00f#000001",
            "19600101000000.000000Z#000000#000#000000",
        ] {
            assert_eq!(OpenLdapCsn::parse(text), None, "{text}");
        }
    }

    #[test]
    fn csn_at_the_end_of_numbers_is_not_acceptable() {
        assert!(!Csn::NONE.is_acceptable());
        assert!(!Csn(u128::MAX).is_acceptable());
        assert!(Csn::new(MS_MAX, u16::MAX, OriginId(ORIGIN_MAX)).is_acceptable());
    }

    fn csn() -> impl Strategy<Value = Csn> {
        (0..2u16, 0..253_402_300_800_000u64, any::<u16>(), 0..4u64)
            .prop_map(|(epoch, ms, counter, origin)| Csn::with_epoch(epoch, ms, counter, OriginId(origin)))
    }

    proptest! {
        #[test]
        fn order_of_bytes_is_order_of_csns(a in csn(), b in csn()) {
            prop_assert_eq!(a.cmp(&b), a.to_be_bytes().cmp(&b.to_be_bytes()));
            let fields = |c: Csn| (c.epoch(), c.ms(), c.counter(), c.origin());
            prop_assert_eq!(a.cmp(&b), fields(a).cmp(&fields(b)));
        }

        #[test]
        fn order_of_openldap_texts_is_order_of_csns_of_one_epoch(a in csn(), b in csn(), sid in 0..0x1000u16) {
            let plain = |c: Csn| Csn::new(c.ms(), c.counter(), OriginId(1));
            let (a, b) = (plain(a), plain(b));
            prop_assert_eq!(a.cmp(&b), a.openldap_text(sid).cmp(&b.openldap_text(sid)));
        }

        #[test]
        fn openldap_text_read_back_is_the_same(a in csn(), sid in 0..0x1000u16) {
            let read = OpenLdapCsn::parse(&a.openldap_text(sid)).expect("own text");
            prop_assert_eq!((read.ms, read.count, read.sid), (a.ms(), u32::from(a.counter()), sid));
        }
    }
}
