//! The cookie: what a client's copy is as of, good on every node of the cluster.
//!
//! It is text, because slapd's consumer takes it apart: of `rid=001,ent=…,csn=A;B` it keeps what stands behind `csn=`,
//! one for each server number, in its `contextCSN`, and makes its next cookie from that alone. So the update vector is
//! in it twice. `ent` is all of it, in hexadecimal: cluster, question (whose content, by which search) and positions,
//! with a checksum. Each `csn` is the position of one origin: its time is that of the newest change that was seen, the
//! same in all of them; sequence and a mark of the origin fill the digits that OpenLDAP counts with.
//!
//! Invariants
//! - For one server number a later cookie's text is greater, as slapd demands: times never go back along one client's
//!   history ([`Position::advance`]), and sequences rise.
//! - Which origin a `csn` belongs to is told by the mark, not by the server number: server numbers of 12 bits may be
//!   taken already, and go to the next free one.

use crate::state::{OpenLdapCsn, OriginId, UpdateVector};
use crate::wire::sync::COOKIE_BYTES_MAX;
use std::collections::BTreeMap;

const FORMAT_VERSION: u8 = 1;
/// Sequences in a `csn` are below this (38 bits).
const SEQUENCE_MAX: u64 = (1 << 38) - 1;
/// Bits of the sequence that stand in the last field.
const LOW_BITS: u32 = 14;
/// Microsecond digits that no cookie uses but an entry that is sent as changed: greater than all of the same millisecond.
const CHANGED_MICROSECONDS: u16 = 999;

/// How far a client's copy goes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Position {
    /// All changes up to these numbers are in the copy.
    pub(super) sequences: BTreeMap<OriginId, u64>,
    /// The newest time that the client was told, in unix milliseconds.
    pub(super) time_ms: u64,
}

impl Position {
    /// What a node holds.
    pub(super) fn of(vector: &UpdateVector) -> Self {
        let held = vector.iter().filter(|(_, position)| position.sequence > 0);
        Self { sequences: held.map(|(origin, position)| (origin, position.sequence)).collect(), time_ms: 0 }
    }

    /// The last number of an origin that is in it.
    pub(super) fn sequence(&self, origin: OriginId) -> u64 {
        self.sequences.get(&origin).copied().unwrap_or(0)
    }

    /// Goes on to `later`, never back in time.
    pub(super) fn advance(&mut self, later: &Self) {
        for (origin, sequence) in &later.sequences {
            let held = self.sequences.entry(*origin).or_default();
            *held = (*held).max(*sequence);
        }
        self.time_ms = self.time_ms.max(later.time_ms);
    }

    /// How many changes are in it: rises with every one.
    pub(super) fn count(&self) -> u64 {
        self.sequences.values().fold(0, |sum, sequence| sum.saturating_add(*sequence))
    }

    /// What of it `vector` does not hold: origin and number.
    pub(super) fn beyond(&self, vector: &UpdateVector) -> Vec<(OriginId, u64)> {
        let beyond = self.sequences.iter().filter(|(origin, sequence)| vector.sequence(**origin) < **sequence);
        beyond.map(|(origin, sequence)| (*origin, *sequence)).collect()
    }

    /// `entryCSN` of an entry that is sent as changed, whose own newest change is of `own_ms`: above whatever the client
    /// was sent before, or slapd's consumer would not take it. `is_passing`: a later one at this position will follow.
    pub(super) fn changed_csn(&self, own_ms: u64, is_passing: bool) -> String {
        let count = self.count();
        let csn = OpenLdapCsn {
            ms: own_ms.max(self.time_ms),
            microseconds: CHANGED_MICROSECONDS - u16::from(is_passing),
            count: (count >> 24) as u32,
            sid: 0,
            modification: count as u32,
        };
        csn.to_string()
    }

    /// One for each origin, as `contextCSN` shows them.
    pub(super) fn csns(&self) -> Vec<String> {
        let slots = slots(self.sequences.keys().copied());
        let csn = |(sid, origin): (u16, OriginId)| {
            let (sequence, (high, low)) = (self.sequence(origin).min(SEQUENCE_MAX), mark(origin));
            let csn = OpenLdapCsn {
                // Above every entry that was sent: slapd deletes by that order.
                ms: self.time_ms.saturating_add(1),
                microseconds: high,
                count: (sequence >> LOW_BITS) as u32,
                sid,
                modification: ((sequence & ((1 << LOW_BITS) - 1)) as u32) << 10 | u32::from(low),
            };
            csn.to_string()
        };
        slots.into_iter().map(csn).collect()
    }
}

/// A server number for each origin; `origins` rise.
fn slots(origins: impl Iterator<Item = OriginId>) -> BTreeMap<u16, OriginId> {
    let mut slots = BTreeMap::new();
    for origin in origins {
        let first = hash(origin) >> 32;
        let free = (0..4095).map(|step| 1 + ((first + step) % 4095) as u16).find(|sid| !slots.contains_key(sid));
        if let Some(sid) = free {
            slots.insert(sid, origin);
        }
    }
    slots
}

/// Twenty bits by which an origin is known again: microseconds, and ten bits of the last field.
fn mark(origin: OriginId) -> (u16, u16) {
    let hash = hash(origin) as u32;
    ((hash % 900) as u16, (hash / 900 % 1024) as u16)
}

fn hash(origin: OriginId) -> u64 {
    xxhash_rust::xxh3::xxh3_64(&origin.0.to_be_bytes())
}

/// What is the same in all cookies of one search.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Maker {
    /// The cluster.
    pub(super) cluster: [u8; 8],
    /// Hash of what is asked for, and by whom.
    pub(super) question: u64,
    /// What slapd's consumer calls itself.
    pub(super) rid: u16,
}

impl Maker {
    /// The cookie's text.
    pub(super) fn cookie(&self, position: &Position) -> Vec<u8> {
        let mut bytes = vec![FORMAT_VERSION];
        bytes.extend_from_slice(&self.cluster);
        bytes.extend_from_slice(&self.question.to_be_bytes());
        bytes.extend_from_slice(&position.time_ms.to_be_bytes());
        for (origin, sequence) in &position.sequences {
            bytes.extend_from_slice(&origin.0.to_be_bytes());
            bytes.extend_from_slice(&sequence.to_be_bytes());
        }
        bytes.extend_from_slice(&checksum(&bytes));
        let mut text = format!("rid={:03},ent=", self.rid);
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        text.extend(digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)));
        let csns = position.csns();
        if !csns.is_empty() {
            text.push_str(",csn=");
            text.push_str(&csns.join(";"));
        }
        text.into_bytes()
    }

    /// The position in a cookie that a client brought; `None` if it is not of this cluster, of another question, or no
    /// cookie at all. `held`: this node's vector, by which origins are known.
    pub(super) fn read(&mut self, cookie: &[u8], held: &UpdateVector) -> Option<Position> {
        let text = std::str::from_utf8(cookie).ok().filter(|text| text.len() <= COOKIE_BYTES_MAX)?;
        let field = |name: &str| text.split(',').find_map(|field| field.strip_prefix(name));
        self.rid = field("rid=").and_then(|rid| rid.parse().ok()).filter(|rid| *rid <= 999).unwrap_or(0);
        match field("ent=") {
            Some(whole) => self.read_whole(whole),
            None => read_csns(field("csn=")?, held),
        }
    }

    fn read_whole(&self, text: &str) -> Option<Position> {
        let digits = text.as_bytes().chunks(2);
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Vec<u8> = digits.map(pair).collect::<Option<_>>()?;
        let (bytes, sum) = bytes.split_last_chunk::<4>()?;
        let (version, rest) = bytes.split_first()?;
        let (cluster, rest) = rest.split_first_chunk::<8>()?;
        let (question, rest) = rest.split_first_chunk::<8>()?;
        let (time, rest) = rest.split_first_chunk::<8>()?;
        let is_ours = *version == FORMAT_VERSION
            && checksum(bytes) == *sum
            && *cluster == self.cluster
            && u64::from_be_bytes(*question) == self.question;
        let (positions, behind) = rest.as_chunks::<16>();
        if !is_ours || !behind.is_empty() {
            return None;
        }
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let both = |bytes: &[u8; 16]| bytes.split_at_checked(8).map(|(one, two)| (OriginId(number(one)), number(two)));
        let sequences = positions.iter().filter_map(both).collect();
        Some(Position { sequences, time_ms: u64::from_be_bytes(*time) })
    }
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    (xxhash_rust::xxh3::xxh3_64(bytes) as u32).to_be_bytes()
}

/// What slapd kept of a cookie. Values that another provider gave it, before, belong to no origin here.
fn read_csns(text: &str, held: &UpdateVector) -> Option<Position> {
    let mut position = Position::default();
    for csn in text.split(';').filter_map(OpenLdapCsn::parse) {
        let low = (csn.modification & 0x3ff) as u16;
        let mut marked = held.iter().map(|(origin, _)| origin).filter(|origin| mark(*origin) == (csn.microseconds, low));
        let (Some(origin), None) = (marked.next(), marked.next()) else { continue };
        let sequence = u64::from(csn.count) << LOW_BITS | u64::from(csn.modification >> 10);
        let known = position.sequences.entry(origin).or_default();
        *known = (*known).max(sequence);
        position.time_ms = position.time_ms.max(csn.ms.saturating_sub(1));
    }
    (!position.sequences.is_empty()).then_some(position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::OriginPosition;

    fn vector(sequences: &[(u64, u64)]) -> UpdateVector {
        let position = |sequence| OriginPosition { sequence, ..OriginPosition::default() };
        UpdateVector::from_positions(sequences.iter().map(|(origin, at)| (OriginId(*origin), position(*at))))
    }

    fn maker() -> Maker {
        Maker { cluster: [7; 8], question: 9, rid: 0 }
    }

    fn position(sequences: &[(u64, u64)]) -> Position {
        Position { time_ms: 1_793_707_143_042, ..Position::of(&vector(sequences)) }
    }

    const MANY: [(u64, u64); 4] = [(1, 1), (77, 5_000_000_000), (0xffff_ffff_ffff, 16_384), (0x1234_5678, 16_383)];

    #[test]
    fn a_cookie_is_read_back_whole() {
        let at = position(&MANY);
        let text = maker().cookie(&at);
        assert_eq!(maker().read(&text, &vector(&[])), Some(at));
    }

    /// slapd's consumer sends back its number and what stood behind `csn=`, sorted, with values of former providers.
    #[test]
    fn what_slapd_keeps_of_a_cookie_is_enough() {
        let at = position(&MANY);
        let mut csns = at.csns();
        csns.push("20200101000000.123456Z#000000#001#000000".to_owned());
        csns.sort_by(|one, two| one.split('#').nth(2).cmp(&two.split('#').nth(2)));
        let text = format!("rid=042,sid=001,csn={}", csns.join(";"));
        let mut maker = maker();
        assert_eq!(maker.read(text.as_bytes(), &vector(&MANY)), Some(at));
        assert_eq!(maker.rid, 42);
    }

    #[test]
    fn other_clusters_questions_and_nonsense_are_not_read() {
        let text = maker().cookie(&position(&MANY));
        let held = vector(&MANY);
        assert_eq!(Maker { cluster: [8; 8], ..maker() }.read(&text, &held), None);
        assert_eq!(Maker { question: 8, ..maker() }.read(&text, &held), None);
        let mut flipped = text.clone();
        flipped[30] = if flipped[30] == b'0' { b'1' } else { b'0' };
        assert_eq!(maker().read(&flipped, &held), None);
        for nonsense in [&b""[..], b"x", b"rid=1", b"csn=", b"rid=001,csn=;;;", b"\xff", b"ent=zz", b"ent=0\xc3\xa9"] {
            assert_eq!(maker().read(nonsense, &held), None, "{nonsense:?}");
        }
        let foreign = b"rid=001,csn=20200101000000.123456Z#000000#001#000000";
        assert_eq!(maker().read(foreign, &held), None);
    }

    /// slapd leaves out whatever is not greater than what it has.
    #[test]
    fn later_cookies_are_greater_for_every_server_number() {
        let (one, mut two) = (position(&[(1, 16_383), (2, 5)]), position(&[(1, 16_384), (2, 6)]));
        two.time_ms = one.time_ms - 10;
        let mut at = one.clone();
        at.advance(&two);
        for (earlier, later) in one.csns().iter().zip(at.csns()) {
            assert!(*earlier < later, "{earlier} {later}");
        }
        assert!(one.changed_csn(0, false) < at.changed_csn(0, true) && at.changed_csn(0, true) < at.changed_csn(0, false));
        assert!(at.csns().iter().all(|csn| at.changed_csn(0, false) < *csn));
    }

    #[test]
    fn every_origin_has_a_server_number_of_its_own() {
        let slots = slots((1..500).map(OriginId));
        assert_eq!(slots.len(), 499);
        assert!(slots.keys().all(|sid| (1..4096).contains(sid)));
    }
}
