//! The old server's cookies: opaque where they are not OpenLDAP's, whose CSNs tell how far behind the copy is.

use crate::clock::Clock;
use crate::state::OpenLdapCsn;
use std::collections::BTreeMap;

/// How old the newest change in an OpenLDAP cookie is; other servers' cookies do not tell.
pub(super) fn lag_ms(cookie: &[u8], clock: &Clock) -> Option<u64> {
    let text = std::str::from_utf8(cookie).ok()?;
    let csns = text.split("csn=").nth(1)?.split(',').next()?.split(';');
    let newest = csns.filter_map(OpenLdapCsn::parse).map(|csn| csn.ms).max()?;
    Some(clock.wall_ms().saturating_sub(newest))
}

/// OpenLDAP tells with an entry only the CSN of that change's server; those of the others stay.
pub(super) fn joined(known: Option<Vec<u8>>, kept: &str, fresh: Vec<u8>) -> Vec<u8> {
    let known = known.or_else(|| from_hexadecimal(kept));
    known.and_then(|known| newest_of(&known, &fresh)).unwrap_or(fresh)
}

/// For each server the newer CSN of two OpenLDAP cookies; `None` if one is of another kind, which is whole as it comes.
fn newest_of(one: &[u8], other: &[u8]) -> Option<Vec<u8>> {
    let mut newest: BTreeMap<u16, &str> = BTreeMap::new();
    for text in csns_of(one)?.chain(csns_of(other)?) {
        let held = newest.entry(OpenLdapCsn::parse(text)?.sid).or_default();
        *held = text.max(held);
    }
    let csns: Vec<&str> = newest.into_values().collect();
    Some(format!("rid=000,csn={}", csns.join(";")).into_bytes())
}

/// The CSNs of an OpenLDAP cookie; `None` if it is of another kind, as ours are.
fn csns_of(cookie: &[u8]) -> Option<impl Iterator<Item = &str>> {
    let text = std::str::from_utf8(cookie).ok().filter(|text| !text.contains("ent="))?;
    Some(text.split("csn=").nth(1)?.split(',').next()?.split(';'))
}

/// Whether 389 Directory Server made the cookie: its name, what is asked for and by whom, and the number of a change in
/// its retro changelog, with `#` between them.
pub(super) fn is_of_389(cookie: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(cookie) else { return false };
    let Some((before, number)) = text.rsplit_once('#') else { return false };
    before.contains('#') && before.contains(':') && number.parse::<u64>().is_ok()
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    (rest.is_empty() && !bytes.is_empty()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_kept_as_digits() {
        assert_eq!(from_hexadecimal(&hexadecimal(b"rid=001\xff")), Some(b"rid=001\xff".to_vec()));
        assert_eq!(from_hexadecimal(""), None);
        assert_eq!(from_hexadecimal("0g"), None);
    }

    #[test]
    fn cookies_of_389_are_known() {
        assert!(is_of_389(b"localhost:389#cn=directory manager:dc=example,dc=com:(objectClass=*)#29"));
        assert!(!is_of_389(b"rid=001,csn=20261103115903.000000Z#000000#001#000000"));
        assert!(!is_of_389(b"29"));
    }

    #[test]
    fn the_csn_of_one_server_leaves_those_of_the_others() {
        let [old, new] = ["20261103115903.000000Z", "20261103115904.000000Z"];
        let kept = hexadecimal(format!("rid=001,csn={old}#000000#001#000000;{old}#000000#002#000000").as_bytes());
        let fresh = format!("rid=001,sid=002,csn={new}#000000#002#000000").into_bytes();
        let expected = format!("rid=000,csn={old}#000000#001#000000;{new}#000000#002#000000").into_bytes();
        assert_eq!(joined(None, &kept, fresh), expected);
        assert_eq!(joined(None, &kept, b"opaque".to_vec()), b"opaque");
    }

    #[test]
    fn the_newest_change_of_a_cookie_tells_how_far_behind_it_is() {
        let clock = Clock::simulated(1_793_707_145_000);
        let cookie = b"rid=000,csn=20261103115903.000000Z#000000#001#000000;20261103115904.500000Z#000000#002#000000";
        assert_eq!(lag_ms(cookie, &clock), Some(500));
        assert_eq!(lag_ms(b"389-opaque", &clock), None);
    }
}
