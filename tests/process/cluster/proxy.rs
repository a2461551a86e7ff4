//! A link between members that a test can look at and slow down: a proxy on loopback, which a member has others dial.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use super::node::Node;
use crate::support::wait::Deadline;

/// Bytes read at once.
const CHUNK: usize = 64 << 10;

/// It ends with the test's process.
pub(crate) struct Proxy {
    address: SocketAddr,
    bytes: Arc<AtomicU64>,
}

impl Proxy {
    /// In front of this address; each way takes `delay`.
    pub(crate) fn to(behind: SocketAddr, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("it is bound");
        let bytes = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&bytes);
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                // Nobody is there yet: the dialler tries again.
                let Ok(far) = TcpStream::connect(behind) else { continue };
                let both = || Some((near.try_clone().ok()?, far.try_clone().ok()?));
                if let (Some((a, b)), Some((c, d))) = (both(), both()) {
                    carry(a, b, delay, Arc::clone(&counted));
                    carry(d, c, delay, Arc::clone(&counted));
                }
            }
        });
        Self { address, bytes }
    }

    /// What went through it so far, both ways, TLS and all.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, delay: Duration, bytes: Arc<AtomicU64>) {
    let (read, written) = channel::<(Deadline, Vec<u8>)>();
    std::thread::spawn(move || {
        let mut chunk = vec![0; CHUNK];
        while let Ok(count) = from.read(&mut chunk) {
            if count == 0 || read.send((Deadline::after(delay), chunk[..count].to_vec())).is_err() {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        while let Ok((due, chunk)) = written.recv() {
            while !due.is_over() {
                due.pause();
            }
            bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            if to.write_all(&chunk).is_err() {
                return;
            }
        }
        // It may be closed already.
        let _ = to.shutdown(Shutdown::Write);
    });
}

/// A member that others reach by way of a proxy.
pub(crate) fn behind_a_proxy(node: Node, delay: Duration) -> (Node, Proxy) {
    let proxy = Proxy::to(node.members_address(), delay);
    let advertised = format!("replication.advertise=[\"{}\"]", proxy.address);
    (node.with_setting(&advertised), proxy)
}
