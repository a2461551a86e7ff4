//! Names of the machines that clients connect from, for access rules that ask (`dns = "*.example.com"`).
//!
//! A name is what the system's resolver (hosts file, DNS, whatever `nsswitch.conf` says) has for an address, if it leads
//! back to that address: whoever runs the reverse zone of a network can write any name into it, but not make that name's
//! owner confirm it.
//!
//! Without a name (none, none that leads back, or none in time) a rule that asks for it does not hold: an allow gives nothing,
//! a deny takes, with `=` and `!=`. 389 does the same: its look-up fails, and a deny that cannot be judged denies.
//!
//! Looking up may take long, and the system's calls cannot be stopped. So they run on threads of their own, few at a time,
//! whom nobody waits for beyond [`WAIT_MAX`]; what one finds later serves the next request.
//!
//! Invariants
//! - Who waits, waits at most [`WAIT_MAX`], holding no lock, no snapshot and no thread of the runtime.
//! - At most [`LOOKUPS_MAX`] threads and [`NAMES_MAX`] names.
//! - A name that could not be had is not taken for another one: it is none.

use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;
use tokio::sync::{Semaphore, oneshot};

use crate::clock::Clock;

/// A request waits so long for the name of its client's machine.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Look-ups at a time.
const LOOKUPS_MAX: usize = 16;
/// Names that are remembered; with more, all are forgotten.
const NAMES_MAX: usize = 4_096;
/// How long a name is believed: names change rarely, and rules about them are to follow within minutes.
const NAME_LIFETIME: Duration = Duration::from_secs(300);
/// How long it is believed that there is no name.
const ABSENCE_LIFETIME: Duration = Duration::from_secs(60);
/// How long nobody waits again after one waited in vain.
const SILENCE_LIFETIME: Duration = Duration::from_secs(10);

/// Who knows names and addresses; blocks.
pub trait NameSystem: Send + Sync {
    /// The name of an address.
    fn name_of(&self, address: IpAddr) -> Option<String>;
    /// The addresses of a name.
    fn addresses_of(&self, name: &str) -> Vec<IpAddr>;
}

/// getnameinfo and getaddrinfo.
struct SystemNames;

impl NameSystem for SystemNames {
    fn name_of(&self, address: IpAddr) -> Option<String> {
        dns_lookup::lookup_addr(&address).ok()
    }

    fn addresses_of(&self, name: &str) -> Vec<IpAddr> {
        (name, 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect()).unwrap_or_default()
    }
}

/// A name in lower case without a dot at its end; `None`: there is none, or it could not be had.
pub type HostName = Option<Arc<str>>;

#[derive(Clone)]
struct Known {
    name: HostName,
    until: Duration,
}

struct Shared {
    system: Box<dyn NameSystem>,
    clock: Clock,
    known: Mutex<HashMap<IpAddr, Known>>,
}

impl Shared {
    fn remember(&self, address: IpAddr, name: HostName, lifetime: Duration) {
        let until = self.clock.monotonic() + lifetime;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= NAMES_MAX && !known.contains_key(&address) {
            known.clear();
        }
        known.insert(address, Known { name, until });
    }

    /// The name that leads back.
    fn look_up(&self, address: IpAddr) -> HostName {
        let name = self.system.name_of(address)?.trim_end_matches('.').to_ascii_lowercase();
        let confirmed = !name.is_empty()
            && name.parse::<IpAddr>().is_err()
            && self.system.addresses_of(&name).iter().any(|found| found.to_canonical() == address);
        confirmed.then(|| Arc::from(name))
    }
}

/// Names of hosts, remembered; cheap to clone.
#[derive(Clone)]
pub struct HostNames {
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
}

impl HostNames {
    /// Names as the system knows them.
    pub fn of_system(clock: Clock) -> Self {
        Self::new(clock, Box::new(SystemNames))
    }

    /// Names as `system` knows them.
    pub fn new(clock: Clock, system: Box<dyn NameSystem>) -> Self {
        let shared = Shared { system, clock, known: Mutex::new(HashMap::new()) };
        Self { shared: Arc::new(shared), places: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }

    /// What is remembered of an address; `None`: it has to be looked up. Cost: a look-up in a table.
    pub fn known(&self, address: IpAddr) -> Option<HostName> {
        let known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(&address.to_canonical())?;
        (self.shared.clock.monotonic() < found.until).then(|| found.name.clone())
    }

    /// The name of an address, within [`WAIT_MAX`].
    pub async fn find(&self, address: IpAddr) -> HostName {
        let address = address.to_canonical();
        if let Ok(name) = tokio::time::timeout(WAIT_MAX, self.look_up(address)).await {
            return name;
        }
        tracing::debug!(%address, "the name of a client's host does not come");
        // Unless it came in this moment.
        match self.known(address) {
            Some(name) => name,
            None => {
                self.shared.remember(address, None, SILENCE_LIFETIME);
                None
            }
        }
    }

    async fn look_up(&self, address: IpAddr) -> HostName {
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        if let Some(name) = self.known(address) {
            return name;
        }
        let (answer, answered) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        let work = move || {
            let name = shared.look_up(address);
            let lifetime = if name.is_some() { NAME_LIFETIME } else { ABSENCE_LIFETIME };
            shared.remember(address, name.clone(), lifetime);
            drop(place);
            // Whoever asked may have stopped waiting.
            let _ = answer.send(name);
        };
        // Not a thread of the runtime: the end of the process would wait for it.
        if let Err(error) = std::thread::Builder::new().name("host-name".to_owned()).spawn(work) {
            tracing::warn!(%error, "no thread for looking up the name of a client's host");
            return None;
        }
        answered.await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A zone: addresses with their names, names with their addresses.
    struct Zone {
        names: Vec<(&'static str, &'static str)>,
        addresses: Vec<(&'static str, &'static str)>,
        asked: Arc<AtomicUsize>,
        is_silent: bool,
    }

    impl NameSystem for Zone {
        fn name_of(&self, address: IpAddr) -> Option<String> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.is_silent {
                loop {
                    std::thread::park();
                }
            }
            let found = self.names.iter().find(|(known, _)| *known == address.to_string());
            found.map(|(_, name)| (*name).to_owned())
        }

        fn addresses_of(&self, name: &str) -> Vec<IpAddr> {
            let found = self.addresses.iter().filter(|(known, _)| *known == name);
            found.map(|(_, address)| address.parse().unwrap()).collect()
        }
    }

    fn zone() -> (HostNames, Clock, Arc<AtomicUsize>) {
        let (clock, asked) = (Clock::simulated(0), Arc::new(AtomicUsize::new(0)));
        let zone = Zone {
            names: vec![
                ("192.0.2.1", "Mail.Example.COM."),
                ("192.0.2.2", "admin.example.com"),
                ("192.0.2.3", "192.0.2.3"),
                ("2001:db8::1", "mail.example.com"),
            ],
            addresses: vec![
                ("mail.example.com", "192.0.2.1"),
                ("mail.example.com", "2001:db8::1"),
                ("admin.example.com", "192.0.2.99"),
                ("192.0.2.3", "192.0.2.3"),
            ],
            asked: Arc::clone(&asked),
            is_silent: false,
        };
        (HostNames::new(clock.clone(), Box::new(zone)), clock, asked)
    }

    async fn name(names: &HostNames, address: &str) -> Option<String> {
        names.find(address.parse().unwrap()).await.map(|name| name.to_string())
    }

    #[tokio::test]
    async fn a_name_counts_when_it_leads_back_to_the_address() {
        let (names, ..) = zone();
        assert_eq!(name(&names, "192.0.2.1").await.as_deref(), Some("mail.example.com"));
        assert_eq!(name(&names, "2001:db8::1").await.as_deref(), Some("mail.example.com"));
        assert_eq!(name(&names, "::ffff:192.0.2.1").await.as_deref(), Some("mail.example.com"));
        // The reverse zone says so, the owner of the name does not.
        assert_eq!(name(&names, "192.0.2.2").await, None);
        assert_eq!(name(&names, "192.0.2.3").await, None, "an address is no name");
        assert_eq!(name(&names, "192.0.2.4").await, None);
    }

    #[tokio::test]
    async fn names_and_their_absence_are_remembered_for_a_while() {
        let (names, clock, asked) = zone();
        let address = "192.0.2.1".parse().unwrap();
        assert_eq!(names.known(address), None);
        for _ in 0..3 {
            name(&names, "192.0.2.1").await;
            name(&names, "192.0.2.4").await;
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        assert_eq!(names.known(address).flatten().as_deref(), Some("mail.example.com"));
        clock.advance(ABSENCE_LIFETIME);
        assert_eq!(names.known("192.0.2.4".parse().unwrap()), None);
        assert!(names.known(address).is_some());
        clock.advance(NAME_LIFETIME);
        assert_eq!(names.known(address), None);
    }

    #[tokio::test]
    async fn no_more_is_remembered_than_fits() {
        let (names, ..) = zone();
        for number in 0..u32::try_from(NAMES_MAX).unwrap() + 10 {
            names.shared.remember(IpAddr::from(number.to_be_bytes()), None, NAME_LIFETIME);
        }
        assert!(names.shared.known.lock().unwrap().len() <= NAMES_MAX);
    }

    /// A resolver that says nothing: everybody is answered, by at most so many threads, and nobody waits twice.
    #[tokio::test]
    async fn a_silent_resolver_holds_nobody_for_long() {
        let asked = Arc::new(AtomicUsize::new(0));
        let zone = Zone { names: vec![], addresses: vec![], asked: Arc::clone(&asked), is_silent: true };
        let names = HostNames::new(Clock::simulated(0), Box::new(zone));
        let mut waiting = tokio::task::JoinSet::new();
        for last in 0..100 {
            let names = names.clone();
            waiting.spawn(async move { names.find(IpAddr::from([192, 0, 2, last])).await });
        }
        while let Some(answer) = waiting.join_next().await {
            assert_eq!(answer.unwrap(), None);
        }
        assert!(asked.load(Ordering::Relaxed) <= LOOKUPS_MAX);
        assert_eq!(names.known(IpAddr::from([192, 0, 2, 7])), Some(None));
    }
}
