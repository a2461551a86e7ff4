//! Generalized time and UTC time as text (RFC 4517 3.3.13, 3.3.34).
//!
//! Servers write the same instant in many ways: `20240229120000Z`, `20240229120000.0Z` (Active Directory),
//! `2024022912Z`, `20240229130000+0100`. All are read into one number, so that sorting and comparing need no text.
//!
//! Invariants
//! - `parse(format(ms)) == ms` for whole seconds of the years 0000 to 9999.
//! - A later instant has the greater number, whatever its spelling.
//!
//! Not here: the clock (`crate::clock`).

const MS_PER_SECOND: i64 = 1_000;
const SECONDS_PER_DAY: i64 = 86_400;
const NS_PER_SECOND: u64 = 1_000_000_000;
/// Digits of a fraction that count; later ones are cut off.
const FRACTION_DIGITS_MAX: usize = 9;
/// Text longer than this is no time.
const TIME_BYTES_MAX: usize = 64;

/// An instant: milliseconds since 1970-01-01T00:00:00Z (negative before) and what is left, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant {
    /// Milliseconds since the epoch, rounded down.
    pub unix_ms: i64,
    /// 0 to 999,999 nanoseconds to add.
    pub rest_ns: u32,
}

/// Unix time in milliseconds of a generalized time, fraction beyond milliseconds cut off.
///
/// Minutes and seconds may be missing, a fraction (after `.` or `,`) belongs to the last unit given, the offset is
/// `Z`, `±hh` or `±hhmm`. `None` when the text is none of that or names a day that does not exist.
pub fn parse_generalized_time(text: &[u8]) -> Option<i64> {
    parse_instant(text).map(|instant| instant.unix_ms)
}

/// As [`parse_generalized_time`] with the part below a millisecond.
pub fn parse_instant(text: &[u8]) -> Option<Instant> {
    let mut digits = Digits::new(text)?;
    let year = digits.number(4)?;
    let month = digits.number(2)?;
    let day = digits.number(2)?;
    let hour = digits.number(2)?;
    finish(&mut digits, Civil { year, month, day, hour }, true)
}

/// Unix time in milliseconds of a UTC time, `yymmddhhmm[ss]` with `Z`, `±hhmm` or nothing; years 50 to 99 are of the
/// twentieth century (as X.509 reads them).
pub fn parse_utc_time(text: &[u8]) -> Option<i64> {
    let mut digits = Digits::new(text)?;
    let short = digits.number(2)?;
    let year = if short < 50 { 2000 + short } else { 1900 + short };
    let month = digits.number(2)?;
    let day = digits.number(2)?;
    let hour = digits.number(2)?;
    if !digits.rest.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    finish(&mut digits, Civil { year, month, day, hour }, false).map(|instant| instant.unix_ms)
}

/// `YYYYmmddHHMMSSZ` of an instant, the fraction of a second cut off. Instants outside the years 0000 to 9999 give
/// the nearest one inside.
pub fn format_generalized_time(unix_ms: i64) -> String {
    let (lowest, highest) = (days_from_civil(0, 1, 1), days_from_civil(9999, 12, 31));
    let seconds = unix_ms
        .div_euclid(MS_PER_SECOND)
        .clamp(lowest * SECONDS_PER_DAY, highest * SECONDS_PER_DAY + SECONDS_PER_DAY - 1);
    let (year, month, day) = civil_from_days(seconds.div_euclid(SECONDS_PER_DAY));
    let of_day = seconds.rem_euclid(SECONDS_PER_DAY);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    // Two digits each; a formatter would cost more than all the rest of a time's index key.
    let mut text = *b"00000000000000Z";
    let pairs = [year / 100, year % 100, month, day, hour, minute, second];
    for (place, pair) in text.chunks_exact_mut(2).zip(pairs) {
        place.copy_from_slice(&[b'0' + (pair / 10) as u8, b'0' + (pair % 10) as u8]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[derive(Clone, Copy)]
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
}

fn finish(digits: &mut Digits<'_>, civil: Civil, zone_required: bool) -> Option<Instant> {
    let Civil { year, month, day, hour } = civil;
    let minute = digits.optional_number()?;
    let second = if minute.is_some() { digits.optional_number()? } else { None };
    let unit_s: u64 = match (minute, second) {
        (None, _) => 3_600,
        (Some(_), None) => 60,
        (Some(_), Some(_)) => 1,
    };
    let fraction_ns = digits.fraction(unit_s)?;
    let offset_s = digits.offset(zone_required)?;
    let (minute, second) = (minute.unwrap_or(0), second.unwrap_or(0));
    let in_range = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60; // a leap second counts as the next minute's first
    if !in_range || !digits.rest.is_empty() {
        return None;
    }
    let seconds = days_from_civil(year, month, day) * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second - offset_s;
    let whole = i64::try_from(fraction_ns / NS_PER_SECOND).ok()?;
    let ns = fraction_ns % NS_PER_SECOND;
    let ms = i64::try_from(ns / 1_000_000).ok()?;
    Some(Instant { unix_ms: (seconds + whole) * MS_PER_SECOND + ms, rest_ns: u32::try_from(ns % 1_000_000).ok()? })
}

struct Digits<'a> {
    rest: &'a [u8],
}

impl<'a> Digits<'a> {
    fn new(text: &'a [u8]) -> Option<Self> {
        let text = text.trim_ascii();
        (text.len() <= TIME_BYTES_MAX).then_some(Self { rest: text })
    }

    fn number(&mut self, count: usize) -> Option<i64> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        let mut number = 0;
        for byte in taken {
            if !byte.is_ascii_digit() {
                return None;
            }
            number = number * 10 + i64::from(byte - b'0');
        }
        self.rest = rest;
        Some(number)
    }

    /// Two digits when a digit follows; `None` outside means malformed, inside means absent.
    fn optional_number(&mut self) -> Option<Option<i64>> {
        if self.rest.first().is_some_and(u8::is_ascii_digit) { self.number(2).map(Some) } else { Some(None) }
    }

    /// The fraction in nanoseconds, of a unit of so many seconds.
    fn fraction(&mut self, unit_s: u64) -> Option<u64> {
        let (b'.' | b',', rest) = self.rest.split_first().map_or((0, self.rest), |(first, rest)| (*first, rest)) else {
            return Some(0);
        };
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = rest.split_at_checked(count)?;
        if digits.is_empty() {
            return None;
        }
        self.rest = rest;
        let padded = digits.iter().copied().chain(std::iter::repeat(b'0')).take(FRACTION_DIGITS_MAX);
        let billionths = padded.fold(0_u64, |sum, byte| sum * 10 + u64::from(byte - b'0'));
        Some(billionths * unit_s)
    }

    fn offset(&mut self, required: bool) -> Option<i64> {
        let Some((sign, rest)) = self.rest.split_first() else {
            return if required { None } else { Some(0) };
        };
        self.rest = rest;
        let sign = match sign {
            b'Z' | b'z' => return Some(0),
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let hours = self.number(2)?;
        let minutes = self.optional_number()?.unwrap_or(0);
        (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
    }
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar, counting years from March so that the leap day comes last.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse of [`days_from_civil`]: year, month, day.
const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_of_an_instant_is_read_alike() {
        let noon = 1_709_208_000_000;
        for text in [
            "20240229120000Z",
            "20240229120000.0Z",
            "20240229120000,000Z",
            "202402291200Z",
            "2024022912Z",
            "20240229130000+0100",
            "20240229063000-0530",
            "2024022911.99999999999Z",
        ] {
            let expected = if text.contains("999") { noon - 1 } else { noon };
            assert_eq!(parse_generalized_time(text.as_bytes()), Some(expected), "{text}");
        }
        assert_eq!(parse_generalized_time(b"2024022912.5Z"), Some(noon + 1_800_000));
        assert_eq!(parse_generalized_time(b"202402291200.5Z"), Some(noon + 30_000));
        assert_eq!(parse_instant(b"20240229120000.123456Z"), Some(Instant { unix_ms: noon + 123, rest_ns: 456_000 }));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2024",
            "20240229",
            "20240230120000Z",
            "20230229120000Z",
            "20241301000000Z",
            "20240229240000Z",
            "20240229120000",
            "20240229120000.Z",
            "20240229120000Zx",
            "2024022912000Z",
            "20240229120000+25",
            "-0240229120000Z",
        ] {
            assert_eq!(parse_generalized_time(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn utc_time_has_two_centuries() {
        assert_eq!(parse_utc_time(b"700101000000Z"), Some(0));
        assert_eq!(parse_utc_time(b"7001010000Z"), Some(0));
        assert_eq!(parse_utc_time(b"240229120000Z"), Some(1_709_208_000_000));
        assert_eq!(parse_utc_time(b"70010100Z"), None);
    }

    proptest! {
        #[test]
        fn parsing_what_was_formatted_gives_the_second_back(seconds in -62_167_219_200_i64..253_402_300_800) {
            let text = format_generalized_time(seconds * 1_000);
            prop_assert_eq!(parse_generalized_time(text.as_bytes()), Some(seconds * 1_000));
        }

        #[test]
        fn no_text_makes_the_parser_fall(text in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse_generalized_time(&text);
            let _ = parse_utc_time(&text);
        }
    }
}
