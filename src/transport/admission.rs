//! How many connections there may be: in all, and from one client.
//!
//! One client must not be able to take every connection of the node (hostile clients, and pools that leak). A client is
//! an IPv4 address or an IPv6 /64, as whoever has one address of a /64 has all of them. Connections over Unix sockets
//! count in all, but for nobody: the kernel of this machine already bounds them, and administration must get in when
//! the network is flooded. What comes from a load balancer counts for its client, once the balancer has said who that is.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use hashbrown::HashMap;

use crate::policy::aci::IpNetwork;

/// The limits, in connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// Connections in all.
    pub connections: usize,
    /// Connections from one client address.
    pub connections_per_address: usize,
}

/// Counts connections and refuses those beyond the limits; cheap to clone, all clones share one count.
#[derive(Clone, Debug)]
pub struct Admission(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    connections_max: AtomicUsize,
    per_address_max: AtomicUsize,
    open: AtomicUsize,
    admitted_total: AtomicU64,
    refused_total: AtomicU64,
    balancers: ArcSwap<Vec<IpNetwork>>,
    /// Only addresses with at least one connection: bounded by the connections.
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// The right to one connection; dropping it gives the place back.
#[derive(Debug)]
pub struct Ticket {
    counts: Arc<Counts>,
    address: Option<IpAddr>,
    awaits_client: bool,
}

impl Admission {
    /// Starts with no connections.
    pub fn new(limits: AdmissionLimits) -> Self {
        Self(Arc::new(Counts {
            connections_max: AtomicUsize::new(limits.connections),
            per_address_max: AtomicUsize::new(limits.connections_per_address),
            open: AtomicUsize::new(0),
            admitted_total: AtomicU64::new(0),
            refused_total: AtomicU64::new(0),
            balancers: ArcSwap::default(),
            by_address: Mutex::new(HashMap::new()),
        }))
    }

    /// New limits for connections to come; those that are open stay.
    pub fn set_limits(&self, limits: AdmissionLimits) {
        self.0.connections_max.store(limits.connections, Ordering::Relaxed);
        self.0.per_address_max.store(limits.connections_per_address, Ordering::Relaxed);
    }

    /// Who speaks for clients (PROXY protocol), for connections to come.
    pub fn set_balancers(&self, balancers: Vec<IpNetwork>) {
        self.0.balancers.store(Arc::new(balancers));
    }

    /// Takes a place for a connection from `address` (`None`: a Unix socket); `None` when there is none left. One from a
    /// balancer counts for nobody until [`Ticket::count_for`].
    pub fn admit(&self, address: Option<IpAddr>) -> Option<Ticket> {
        let counts = &self.0;
        let limit = match address {
            Some(_) => counts.connections_max.load(Ordering::Relaxed),
            None => usize::MAX,
        };
        let is_balancer = |address| counts.balancers.load().iter().any(|network| network.contains(address));
        let awaits_client = address.is_some_and(is_balancer);
        let admitted = counts
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| (open < limit).then_some(open + 1))
            .is_ok();
        if !admitted {
            counts.refused_total.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let mut ticket = Ticket { counts: Arc::clone(counts), address: None, awaits_client };
        if let Some(address) = address.filter(|_| !awaits_client)
            && !ticket.count_for(address)
        {
            return None;
        }
        counts.admitted_total.fetch_add(1, Ordering::Relaxed);
        Some(ticket)
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }

    /// Connections admitted since the start.
    pub fn admitted_total(&self) -> u64 {
        self.0.admitted_total.load(Ordering::Relaxed)
    }

    /// Connections refused since the start.
    pub fn refused_total(&self) -> u64 {
        self.0.refused_total.load(Ordering::Relaxed)
    }
}

impl Ticket {
    /// Whether the connection comes from a balancer that has not said yet for whom.
    pub fn awaits_client(&self) -> bool {
        self.awaits_client
    }

    /// Counts the connection for who is at `address`; false when that has too many. Once for each ticket.
    pub fn count_for(&mut self, address: IpAddr) -> bool {
        let address = client_of(address);
        self.awaits_client = false;
        let mut by_address = self.counts.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let open = by_address.get(&address).copied().unwrap_or(0);
        if self.address.is_some() || open >= self.counts.per_address_max.load(Ordering::Relaxed) {
            self.counts.refused_total.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        by_address.insert(address, open + 1);
        self.address = Some(address);
        true
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            let mut by_address = self.counts.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            match by_address.get_mut(&address) {
                Some(open) if *open > 1 => *open -= 1,
                _ => {
                    by_address.remove(&address);
                }
            }
        }
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Who is one client: an IPv4 address, or an IPv6 /64.
fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(connections: usize, connections_per_address: usize) -> Admission {
        Admission::new(AdmissionLimits { connections, connections_per_address })
    }

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn one_client_cannot_take_every_place() {
        let admission = admission(10, 2);
        let held: Vec<_> = (0..4).filter_map(|_| admission.admit(ip("192.0.2.1"))).collect();
        assert_eq!((held.len(), admission.open(), admission.refused_total()), (2, 2, 2));
        assert!(admission.admit(ip("::ffff:192.0.2.1")).is_none());
        assert!(admission.admit(ip("192.0.2.2")).is_some());
        drop(held);
        assert_eq!(admission.open(), 0);
        assert!(admission.0.by_address.lock().unwrap().is_empty());
        assert_eq!(admission.admitted_total(), 3);
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let admission = admission(10, 1);
        let _held = admission.admit(ip("2001:db8:0:1::1"));
        assert!(admission.admit(ip("2001:db8:0:1:ffff::2")).is_none());
        assert!(admission.admit(ip("2001:db8:0:2::1")).is_some());
    }

    #[test]
    fn what_comes_through_a_balancer_counts_for_its_client() {
        let admission = admission(10, 1);
        admission.set_balancers(vec![IpNetwork::new(ip("10.0.0.0").unwrap(), 24).unwrap()]);
        let mut tickets: Vec<_> = (0..3).filter_map(|_| admission.admit(ip("10.0.0.9"))).collect();
        assert!(tickets.iter().all(Ticket::awaits_client));
        let clients = ["192.0.2.1", "192.0.2.1", "192.0.2.2"].map(|client| ip(client).unwrap());
        let counted: Vec<_> =
            tickets.iter_mut().zip(clients).map(|(ticket, client)| ticket.count_for(client)).collect();
        assert_eq!(counted, [true, false, true]);
        assert!(admission.admit(ip("192.0.2.2")).is_none(), "it has its connection through the balancer");
        drop(tickets);
        assert_eq!(admission.open(), 0);
        assert!(admission.0.by_address.lock().unwrap().is_empty());
        assert!(!admission.admit(ip("10.0.1.9")).unwrap().awaits_client());
    }

    #[test]
    fn unix_sockets_get_in_when_the_node_is_full() {
        let admission = admission(1, 1);
        let _held = admission.admit(ip("192.0.2.1")).unwrap();
        assert!(admission.admit(ip("192.0.2.2")).is_none());
        assert!(admission.admit(None).is_some());
        admission.set_limits(AdmissionLimits { connections: 2, connections_per_address: 1 });
        assert!(admission.admit(ip("192.0.2.2")).is_some());
    }
}
