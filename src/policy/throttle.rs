//! Who has failed to bind too often lately, and how long it has to wait.
//!
//! Guessing costs a hash each time, and somebody's password in the end. So failures are counted in two ways: of a name from
//! one address, after which the next attempt waits, longer with each failure; and of an address, whatever the names, which
//! drains at a steady rate. Nothing is counted of a name alone: who guesses elsewhere keeps nobody out of an account here.
//!
//! Invariants
//! - A name is its letters: whether there is such an account is not known here, so it cannot show.
//! - What is refused is not counted: a wait ends by itself, whoever tries meanwhile.
//! - Memory is fixed: [`SLOTS`] places for each of the two. Where all places of a key are taken, the one with the fewest
//!   failures gives way, so that making up names does not wash away who is being guessed at; and which keys share places
//!   follows from a random number.
//!
//! Not here: what a failure is, and what a client is told (`operation/bind/throttling`).

use std::net::IpAddr;
use std::time::Duration;

/// Places for names with their addresses, and as many for addresses; 32 bytes each.
const SLOTS: usize = 16_384;
/// Places that one key may take.
const WAYS: usize = 8;
/// The first wait of a name is the window divided by this, and at least [`WAIT_MIN`].
const FIRST_WAITS_A_WINDOW: u32 = 60;
/// Nobody waits less.
const WAIT_MIN: Duration = Duration::from_secs(1);

/// How many failures go unpunished.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ThrottleOptions {
    /// Failures of one name from one address, one after the other; 0: any number.
    pub per_account: u32,
    /// Failures of one address in each `window`, whatever the names; 0: any number.
    pub per_address: u32,
    /// After so long without a failure a name is as before. Nobody waits longer than half of it.
    pub window: Duration,
}

impl Default for ThrottleOptions {
    fn default() -> Self {
        Self { per_account: 10, per_address: 300, window: Duration::from_secs(60) }
    }
}

/// Somebody who wants to bind as somebody; see [`Throttle::attempt`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BindAttempt {
    pair: u128,
    address: u128,
}

/// What a failure has used up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exceeded {
    /// The failures of this name from this address.
    Account,
    /// The failures of this address.
    Address,
}

/// Failures of one key. A free place has none.
#[derive(Clone, Copy, Default)]
struct Slot {
    key: u128,
    /// As of `at`; of an address, what has not drained.
    failures: f32,
    /// Since the clock began, in milliseconds.
    at_ms: u64,
    /// Of an address: that it has used up its failures was said.
    is_told: bool,
}

/// Places, `WAYS` for each key.
struct Table(Vec<Slot>);

impl Table {
    fn bucket(&mut self, key: u128) -> &mut [Slot] {
        if self.0.is_empty() {
            self.0 = vec![Slot::default(); SLOTS];
        }
        let buckets = (SLOTS / WAYS) as u128;
        let first = usize::try_from(key % buckets).unwrap_or_default() * WAYS;
        self.0.get_mut(first..first + WAYS).unwrap_or_default()
    }

    fn find(&mut self, key: u128) -> Option<&mut Slot> {
        if self.0.is_empty() {
            return None;
        }
        self.bucket(key).iter_mut().find(|slot| slot.key == key && slot.failures > 0.0)
    }

    /// The place of `key`: its own, or the one that can best be spared. `weight`: what its failures come to now.
    fn place(&mut self, key: u128, weight: impl Fn(&Slot) -> f32) -> Option<&mut Slot> {
        let bucket = self.bucket(key);
        let own = bucket.iter().position(|slot| slot.key == key && slot.failures > 0.0);
        let spared = || {
            let places = bucket.iter().enumerate();
            let least = places
                .min_by(|(_, one), (_, other)| weight(one).total_cmp(&weight(other)).then(one.at_ms.cmp(&other.at_ms)));
            least.map(|(index, _)| index)
        };
        let index = own.or_else(spared)?;
        let slot = bucket.get_mut(index)?;
        if own.is_none() {
            *slot = Slot { key, ..Slot::default() };
        }
        Some(slot)
    }
}

/// See the module.
pub struct Throttle {
    key: [u8; 32],
    pairs: Table,
    addresses: Table,
}

impl ThrottleOptions {
    /// What a name's failures come to at `now_ms`: none after the window.
    fn of_name(&self, slot: &Slot, now_ms: u64) -> f32 {
        let since = Duration::from_millis(now_ms.saturating_sub(slot.at_ms));
        if since >= self.window { 0.0 } else { slot.failures }
    }

    /// What is left of an address's failures at `now_ms`.
    fn of_address(&self, slot: &Slot, now_ms: u64) -> f32 {
        let since = Duration::from_millis(now_ms.saturating_sub(slot.at_ms)).as_secs_f32();
        (slot.failures - since * self.drained_in_a_second()).max(0.0)
    }

    fn drained_in_a_second(&self) -> f32 {
        self.per_address as f32 / self.window.as_secs_f32().max(1.0)
    }

    /// How long a name waits after so many failures.
    fn wait_of_name(&self, failures: f32) -> Duration {
        let beyond = failures - self.per_account as f32;
        if self.per_account == 0 || beyond < 0.0 {
            return Duration::ZERO;
        }
        let first = (self.window / FIRST_WAITS_A_WINDOW).max(WAIT_MIN);
        // Beyond half of any window after that many.
        first.mul_f32(beyond.min(16.0).exp2()).min((self.window / 2).max(WAIT_MIN))
    }
}

impl Throttle {
    /// `key`: random, so that nobody can choose names that share places.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key, pairs: Table(Vec::new()), addresses: Table(Vec::new()) }
    }

    /// The attempt of a client at `address` (`None`: a local socket) as `name`, in a form that is one for all spellings.
    pub fn attempt(&self, address: Option<IpAddr>, name: &[u8]) -> BindAttempt {
        // Whoever has one address of IPv6 has 2^64.
        let place = match address.map(|address| address.to_canonical()) {
            None => [0; 9],
            Some(IpAddr::V4(address)) => {
                let [a, b, c, d] = address.octets();
                [4, a, b, c, d, 0, 0, 0, 0]
            }
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                [6, a, b, c, d, e, f, g, h]
            }
        };
        let hash = |parts: &[&[u8]]| {
            let mut hasher = blake3::Hasher::new_keyed(&self.key);
            parts.iter().for_each(|part| {
                hasher.update(part);
            });
            let mut bytes = [0; 16];
            hasher.finalize_xof().fill(&mut bytes);
            u128::from_le_bytes(bytes)
        };
        BindAttempt { pair: hash(&[&place, name]), address: hash(&[&place]) }
    }

    /// How long `attempt` has to wait before it is looked at; zero: not at all.
    pub fn wait(&mut self, attempt: BindAttempt, options: &ThrottleOptions, now: Duration) -> Duration {
        let now_ms = millis(now);
        let name = self.pairs.find(attempt.pair).map_or(Duration::ZERO, |slot| {
            let ends = Duration::from_millis(slot.at_ms) + options.wait_of_name(options.of_name(slot, now_ms));
            ends.saturating_sub(now)
        });
        let address = self.addresses.find(attempt.address).map_or(Duration::ZERO, |slot| {
            let beyond = options.of_address(slot, now_ms) + 1.0 - options.per_address as f32;
            match options.per_address {
                0 => Duration::ZERO,
                _ => Duration::from_secs_f32((beyond / options.drained_in_a_second()).max(0.0)),
            }
        });
        name.max(address)
    }

    /// `attempt` has failed. Says what is used up with this failure, once each time.
    pub fn failed(&mut self, attempt: BindAttempt, options: &ThrottleOptions, now: Duration) -> Option<Exceeded> {
        let now_ms = millis(now);
        let mut exceeded = None;
        if options.per_address > 0
            && let Some(slot) = self.addresses.place(attempt.address, |slot| options.of_address(slot, now_ms))
        {
            let limit = options.per_address as f32;
            slot.failures = (options.of_address(slot, now_ms) + 1.0).min(limit * 2.0);
            slot.at_ms = now_ms;
            // Told again after a quiet time only.
            if slot.failures + 1.0 > limit && !slot.is_told {
                slot.is_told = true;
                exceeded = Some(Exceeded::Address);
            }
            slot.is_told &= slot.failures > limit / 2.0;
        }
        if options.per_account > 0
            && let Some(slot) = self.pairs.place(attempt.pair, |slot| options.of_name(slot, now_ms))
        {
            let limit = options.per_account as f32;
            let before = options.of_name(slot, now_ms);
            slot.failures = (before + 1.0).min(limit + 32.0);
            slot.at_ms = now_ms;
            if before < limit && slot.failures >= limit {
                exceeded = Some(Exceeded::Account);
            }
        }
        exceeded
    }

    /// `attempt` has succeeded: its name's failures from there are forgotten. Those of the address are not: who guesses may
    /// well have an account.
    pub fn succeeded(&mut self, attempt: BindAttempt) {
        if let Some(slot) = self.pairs.find(attempt.pair) {
            *slot = Slot::default();
        }
    }
}

fn millis(since: Duration) -> u64 {
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: ThrottleOptions =
        ThrottleOptions { per_account: 3, per_address: 20, window: Duration::from_secs(60) };

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_name_waits_longer_with_each_failure_and_at_most_half_the_window() {
        let mut throttle = Throttle::new([1; 32]);
        let ann = throttle.attempt(address(1), b"ann");
        let mut now = seconds(1_000);
        for count in 1..=2 {
            assert_eq!(throttle.failed(ann, &OPTIONS, now), None, "{count}");
            assert_eq!(throttle.wait(ann, &OPTIONS, now), Duration::ZERO);
        }
        assert_eq!(throttle.failed(ann, &OPTIONS, now), Some(Exceeded::Account));
        for wait in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(throttle.wait(ann, &OPTIONS, now), seconds(wait));
            now += seconds(wait);
            assert_eq!(throttle.wait(ann, &OPTIONS, now), Duration::ZERO, "the wait ends by itself");
            assert_eq!(throttle.failed(ann, &OPTIONS, now), None, "told once");
        }
        now += seconds(60);
        assert_eq!(throttle.failed(ann, &OPTIONS, now), None);
        assert_eq!(throttle.wait(ann, &OPTIONS, now), Duration::ZERO, "forgotten");
    }

    #[test]
    fn nobody_is_kept_out_by_who_guesses_elsewhere_or_at_another_name() {
        let mut throttle = Throttle::new([1; 32]);
        let now = seconds(5);
        for _ in 0..10 {
            let ann = throttle.attempt(address(1), b"ann");
            throttle.failed(ann, &OPTIONS, now);
        }
        let waits =
            [(address(1), &b"ann"[..], 30), (address(2), b"ann", 0), (None, b"ann", 0), (address(1), b"bob", 0)];
        for (from, name, wait) in waits {
            let attempt = throttle.attempt(from, name);
            assert_eq!(throttle.wait(attempt, &OPTIONS, now), seconds(wait));
        }
    }

    #[test]
    fn a_success_forgets_the_failures_of_its_name() {
        let mut throttle = Throttle::new([1; 32]);
        let ann = throttle.attempt(None, b"ann");
        (0..3).for_each(|_| {
            throttle.failed(ann, &OPTIONS, seconds(1));
        });
        assert_eq!(throttle.wait(ann, &OPTIONS, seconds(2)), Duration::ZERO);
        throttle.succeeded(ann);
        assert_eq!(throttle.failed(ann, &OPTIONS, seconds(2)), None);
        assert_eq!(throttle.wait(ann, &OPTIONS, seconds(2)), Duration::ZERO);
    }

    /// Password spraying: a name each.
    #[test]
    fn an_address_may_fail_so_often_in_each_window_whatever_the_names() {
        let mut throttle = Throttle::new([1; 32]);
        let mut told = Vec::new();
        let mut counts = Vec::new();
        // Ten times a second for eleven minutes.
        for tenth in 0..6_600u32 {
            let attempt = throttle.attempt(address(1), &tenth.to_le_bytes());
            let now = seconds(100) + Duration::from_millis(u64::from(tenth) * 100);
            if throttle.wait(attempt, &OPTIONS, now).is_zero() {
                counts.push(tenth / 600);
                told.extend(throttle.failed(attempt, &OPTIONS, now));
            }
            if tenth == 300 {
                let other = throttle.attempt(address(2), b"x");
                assert_eq!(throttle.wait(other, &OPTIONS, now), Duration::ZERO);
            }
        }
        assert_eq!(told, [Exceeded::Address], "not with each one that is let in again");
        let in_minute = |minute| counts.iter().filter(|count| **count == minute).count();
        assert!((38..=41).contains(&in_minute(0)), "20 at once, and what drains: {}", in_minute(0));
        (1..11).for_each(|minute| assert!((18..=20).contains(&in_minute(minute)), "{}", in_minute(minute)));
    }

    #[test]
    fn addresses_of_one_network_of_ipv6_are_one_and_mapped_ones_are_themselves() {
        let throttle = Throttle::new([1; 32]);
        let at = |text: &str| throttle.attempt(Some(text.parse().unwrap()), b"ann");
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:2"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
        assert_ne!(at("127.0.0.1"), throttle.attempt(None, b"ann"));
    }

    /// Hundreds of thousands of names take no more memory than one, and do not wash away who is being guessed at.
    #[test]
    fn made_up_names_do_not_wash_away_who_is_being_guessed_at() {
        let mut throttle = Throttle::new([1; 32]);
        let options = ThrottleOptions { per_address: 0, ..OPTIONS };
        let ann = throttle.attempt(address(1), b"ann");
        let now = seconds(1);
        (0..5).for_each(|_| {
            throttle.failed(ann, &options, now);
        });
        for number in 0..300_000u32 {
            let made_up = throttle.attempt(address(1), &number.to_le_bytes());
            throttle.failed(made_up, &options, now);
        }
        assert_eq!(throttle.wait(ann, &options, now), seconds(4));
        assert_eq!((throttle.pairs.0.len(), throttle.addresses.0.len()), (SLOTS, 0));
        assert_eq!(size_of::<Slot>(), 32);
    }

    #[test]
    fn none_is_no_limit() {
        let mut throttle = Throttle::new([1; 32]);
        let options = ThrottleOptions { per_account: 0, per_address: 0, ..OPTIONS };
        let ann = throttle.attempt(None, b"ann");
        for _ in 0..1_000 {
            assert_eq!(throttle.failed(ann, &options, seconds(1)), None);
        }
        assert_eq!(throttle.wait(ann, &options, seconds(1)), Duration::ZERO);
    }
}
