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
    pub(super) fn changed_csn(&self, own_ms: u64, is_passing: bool, sid: u16) -> String {
        let count = self.count() << 1 | u64::from(!is_passing);
        let csn = OpenLdapCsn {
            ms: own_ms.max(self.time_ms),
            microseconds: CHANGED_MICROSECONDS,
            count: (count >> 24) as u32,
            sid,
            modification: count as u32,
        };
        csn.to_string()
    }

    /// One for each server number, as `contextCSN` shows them.
    fn csns_as(&self, numbers: impl IntoIterator<Item = (u16, OriginId)>) -> Vec<String> {
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
        numbers.into_iter().map(csn).collect()
    }

    /// One for each origin.
    pub(super) fn csns(&self) -> Vec<String> {
        let mut numbers = Numbers::default();
        numbers.give(self.sequences.keys().copied());
        self.csns_as(numbers.0)
    }
}

/// Server numbers, and whose position stands under each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Numbers(BTreeMap<u16, OriginId>);

impl Numbers {
    /// A number for each origin that has none; `origins` rise, so that all nodes give the same.
    fn give(&mut self, origins: impl Iterator<Item = OriginId>) {
        for origin in origins {
            if self.0.values().any(|known| *known == origin) {
                continue;
            }
            let first = hash(origin) >> 32;
            let free = (0..4095).map(|step| 1 + ((first + step) % 4095) as u16).find(|sid| !self.0.contains_key(sid));
            if let Some(sid) = free {
                self.0.insert(sid, origin);
            }
        }
    }
}

/// Twenty bits by which an origin is known again: microseconds, and ten bits of the last field.
fn mark(origin: OriginId) -> (u16, u16) {
    let hash = hash(origin) as u32;
    ((hash % 900) as u16, (hash / 900 % 1024) as u16)
}

fn hash(origin: OriginId) -> u64 {
    xxhash_rust::xxh3::xxh3_64(&origin.0.to_be_bytes())
}

/// What a client brought as its cookie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Brought {
    /// slapd's consumer has nothing yet, and says so with its own number alone.
    Nothing,
    /// How far its copy goes.
    Position(Position),
    /// Something else: of another cluster, of another question, or no cookie at all.
    Foreign,
    /// The same from slapd's consumer, which would come again and again with it whatever it is told.
    ForeignToSlapd,
}

/// What is the same in all cookies of one search.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Maker {
    /// The cluster.
    pub(super) cluster: [u8; 8],
    /// Hash of what is asked for, and by whom.
    pub(super) question: u64,
    /// What slapd's consumer calls itself.
    rid: u16,
    /// Under which numbers a consumer knows our origins.
    numbers: Numbers,
    /// Numbers of other providers that it has: it compares cookies by numbers, and must find them all in ours.
    foreign: Vec<u16>,
    /// The first cookie has not all numbers.
    is_told_in_two: bool,
    /// The newest time in what it has.
    time_ms: u64,
}

impl Maker {
    pub(super) fn new(cluster: [u8; 8], question: u64) -> Self {
        let numbers = Numbers::default();
        Self { cluster, question, rid: 0, numbers, foreign: Vec::new(), is_told_in_two: false, time_ms: 0 }
    }

    /// The newest time that the client was told by whomever.
    pub(super) fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// Before everything is sent anew: to a consumer that had another provider. It deletes what was not named only when
    /// it is answered with the very numbers that it has; [`Maker::first_cookie`] has those alone.
    pub(super) fn take_over(&mut self, position: &Position) {
        let mut foreign = std::mem::take(&mut self.foreign).into_iter();
        let is_taken_over = foreign.len() > 0;
        for origin in position.sequences.keys().copied() {
            if self.numbers.0.values().any(|known| *known == origin) {
                continue;
            }
            let Some(sid) = foreign.next() else {
                self.is_told_in_two = is_taken_over;
                break;
            };
            self.numbers.0.insert(sid, origin);
        }
        let any = position.sequences.keys().next().copied().unwrap_or_default();
        self.numbers.0.extend(foreign.map(|sid| (sid, any)));
    }

    /// The cookie after everything was sent, where an ordinary one is to follow.
    pub(super) fn first_cookie(&mut self, position: &Position) -> Option<Vec<u8>> {
        std::mem::take(&mut self.is_told_in_two).then(|| self.text(position))
    }

    /// The server number of entryCSNs: one of those in the cookie, because slapd deletes no entry of another.
    pub(super) fn sid(&mut self, position: &Position) -> u16 {
        if self.numbers.0.is_empty() {
            self.numbers.give(position.sequences.keys().copied());
        }
        self.numbers.0.keys().next().copied().unwrap_or(0)
    }

    /// The cookie's text.
    pub(super) fn cookie(&mut self, position: &Position) -> Vec<u8> {
        self.numbers.give(position.sequences.keys().copied());
        self.text(position)
    }

    fn text(&self, position: &Position) -> Vec<u8> {
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
        let csns = position.csns_as(self.numbers.0.iter().map(|(sid, origin)| (*sid, *origin)));
        if !csns.is_empty() {
            text.push_str(",csn=");
            text.push_str(&csns.join(";"));
        }
        text.into_bytes()
    }

    /// What is in a cookie that a client brought. `held`: this node's vector, by which origins are known.
    pub(super) fn read(&mut self, cookie: &[u8], held: &UpdateVector) -> Brought {
        let text = std::str::from_utf8(cookie).ok().filter(|text| text.len() <= COOKIE_BYTES_MAX);
        let Some(text) = text else { return Brought::Foreign };
        let field = |name: &str| text.split(',').find_map(|field| field.strip_prefix(name));
        let rid = field("rid=").and_then(|rid| rid.parse().ok()).filter(|rid| *rid <= 999);
        self.rid = rid.unwrap_or(0);
        let position = match (field("ent="), field("csn=")) {
            (Some(whole), _) => self.read_whole(whole),
            (None, Some(csns)) => self.read_csns(csns, held),
            (None, None) if rid.is_some() => return Brought::Nothing,
            (None, None) => None,
        };
        match position {
            Some(position) => Brought::Position(position),
            None if rid.is_some() && field("ent=").is_none() => Brought::ForeignToSlapd,
            None => Brought::Foreign,
        }
    }

    /// What slapd kept of a cookie. Values that another provider gave it, before, belong to no origin here.
    fn read_csns(&mut self, text: &str, held: &UpdateVector) -> Option<Position> {
        let mut position = Position::default();
        for csn in text.split(';').take(4096).filter_map(OpenLdapCsn::parse) {
            self.time_ms = self.time_ms.max(csn.ms);
            let known = (csn.microseconds, (csn.modification & 0x3ff) as u16);
            let mut marked = held.iter().map(|(origin, _)| origin).filter(|origin| mark(*origin) == known);
            let (Some(origin), None) = (marked.next(), marked.next()) else {
                self.foreign.push(csn.sid);
                continue;
            };
            let sequence = u64::from(csn.count) << LOW_BITS | u64::from(csn.modification >> 10);
            self.numbers.0.insert(csn.sid, origin);
            let known = position.sequences.entry(origin).or_default();
            *known = (*known).max(sequence);
        }
        position.time_ms = self.time_ms;
        (!position.sequences.is_empty()).then_some(position)
    }

    /// Whether a cookie is as this server gave it, and not made by slapd from a part of it.
    pub(super) fn is_whole(cookie: &[u8]) -> bool {
        cookie.windows(4).any(|part| part == b"ent=")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::OriginPosition;

    fn vector(sequences: &[(u64, u64)]) -> UpdateVector {
        let position = |sequence| OriginPosition { sequence, ..OriginPosition::default() };
        UpdateVector::from_positions(sequences.iter().map(|(origin, at)| (OriginId(*origin), position(*at))))
    }

    fn maker() -> Maker {
        Maker::new([7; 8], 9)
    }

    fn position(sequences: &[(u64, u64)]) -> Position {
        Position { time_ms: 1_793_707_143_042, ..Position::of(&vector(sequences)) }
    }

    const MANY: [(u64, u64); 4] = [(1, 1), (77, 5_000_000_000), (0xffff_ffff_ffff, 16_384), (0x1234_5678, 16_383)];

    #[test]
    fn a_cookie_is_read_back_whole() {
        let at = position(&MANY);
        let text = maker().cookie(&at);
        assert_eq!(maker().read(&text, &vector(&[])), Brought::Position(at));
    }

    /// slapd's consumer sends back its number and what stood behind `csn=`, sorted, with values of former providers.
    #[test]
    fn what_slapd_keeps_of_a_cookie_is_enough() {
        let at = position(&MANY);
        let mut csns = at.csns();
        let later = Position { time_ms: at.time_ms + 1, ..at.clone() };
        csns.push("20200101000000.123456Z#000000#001#000000".to_owned());
        csns.sort_by(|one, two| one.split('#').nth(2).cmp(&two.split('#').nth(2)));
        let text = format!("rid=042,sid=001,csn={}", csns.join(";"));
        let mut maker = maker();
        assert_eq!(maker.read(text.as_bytes(), &vector(&MANY)), Brought::Position(later));
        assert_eq!(maker.rid, 42);
        assert_eq!(maker.read(b"rid=042", &vector(&MANY)), Brought::Nothing);
    }

    #[test]
    fn other_clusters_questions_and_nonsense_are_not_read() {
        let text = maker().cookie(&position(&MANY));
        let held = vector(&MANY);
        assert_eq!(Maker { cluster: [8; 8], ..maker() }.read(&text, &held), Brought::Foreign);
        assert_eq!(Maker { question: 8, ..maker() }.read(&text, &held), Brought::Foreign);
        let mut flipped = text.clone();
        flipped[30] = if flipped[30] == b'0' { b'1' } else { b'0' };
        assert_eq!(maker().read(&flipped, &held), Brought::Foreign);
        for nonsense in [&b""[..], b"x", b"csn=", b"\xff", b"ent=zz", b"rid=001,ent=0\xc3\xa9"] {
            assert_eq!(maker().read(nonsense, &held), Brought::Foreign, "{nonsense:?}");
        }
        for foreign in [&b"rid=001,csn=20200101000000.123456Z#000000#001#000000"[..], b"rid=001,csn=;;;"] {
            assert_eq!(maker().read(foreign, &held), Brought::ForeignToSlapd);
        }
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
        assert!(
            one.changed_csn(0, false, 1) < at.changed_csn(0, true, 1)
                && at.changed_csn(0, true, 1) < at.changed_csn(0, false, 1)
        );
        assert!(at.csns().iter().all(|csn| at.changed_csn(0, false, 1) < *csn));
    }

    #[test]
    fn every_origin_has_a_server_number_of_its_own() {
        let mut numbers = Numbers::default();
        numbers.give((1..500).map(OriginId));
        assert_eq!(numbers.0.len(), 499);
        assert!(numbers.0.keys().all(|sid| (1..4096).contains(sid)));
        let before = numbers.clone();
        numbers.give((1..500).map(OriginId));
        assert_eq!(numbers, before);
    }

    /// slapd deletes what was not named only if it finds the numbers that it has, and none besides.
    #[test]
    fn numbers_of_a_former_provider_are_taken_over() {
        let held = vector(&[(5, 10), (6, 20), (7, 30)]);
        let mut maker = maker();
        let old = b"rid=001,csn=20300101000000.123456Z#000000#001#000000;20300101000001.000000Z#000000#002#000000";
        assert_eq!(maker.read(old, &held), Brought::ForeignToSlapd);
        let at = Position { time_ms: maker.time_ms(), ..Position::of(&held) };
        let numbers = |cookie: Vec<u8>| -> Vec<(u16, u64)> {
            let text = String::from_utf8(cookie).unwrap();
            let csns = text.split_once(",csn=").unwrap().1.split(';');
            csns.map(|csn| OpenLdapCsn::parse(csn).unwrap()).map(|csn| (csn.sid, csn.ms)).collect()
        };
        maker.take_over(&at);
        let first = numbers(maker.first_cookie(&at).unwrap());
        assert_eq!(first.iter().map(|(sid, _)| *sid).collect::<Vec<_>>(), [1, 2]);
        assert!(first.iter().all(|(_, ms)| *ms > 1_893_456_001_000));
        assert_eq!(numbers(maker.cookie(&at)).len(), 3);
        assert_eq!(maker.first_cookie(&at), None);
    }
}
