//! Network namespaces on one bridge, and what is cut between them. All goes when its owner goes.
//!
//! Names are `entente-PID-NUMBER-NAME`, so that runs do not meet; what a killed run left behind is removed by the next.

use std::path::Path;
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::program::{run, run_with_input};

/// What every machine is given: who is cut off, and how much gets lost.
const FILTER: &str = "
table inet faults {
    set cut { type ipv4_addr; }
    chain loss { }
    chain arriving {
        type filter hook input priority 0; policy accept;
        ip saddr @cut drop
        jump loss
    }
}
";

/// A bridge in a namespace of its own.
pub(crate) struct Bridge {
    prefix: String,
}

/// A machine's place on the network.
pub(crate) struct Namespace {
    pub(crate) name: String,
    pub(crate) address: String,
    bridge: String,
    port: String,
}

impl Bridge {
    #[track_caller]
    pub(crate) fn make() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        static FIRST: Once = Once::new();
        FIRST.call_once(|| {
            demand_programs();
            remove_leftovers();
        });
        let prefix = format!("entente-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let bridge = Self { prefix };
        ip(&["netns", "add", &bridge.name()]);
        ip(&["-n", &bridge.name(), "link", "add", "bridge", "type", "bridge"]);
        ip(&["-n", &bridge.name(), "link", "set", "bridge", "up"]);
        bridge
    }

    fn name(&self) -> String {
        format!("{}-bridge", self.prefix)
    }

    /// A further machine with the address `10.99.0.NUMBER`.
    #[track_caller]
    pub(crate) fn attach(&self, name: &str, number: usize) -> Namespace {
        let made = Namespace {
            name: format!("{}-{name}", self.prefix),
            address: format!("10.99.0.{number}"),
            bridge: self.name(),
            port: format!("port-{number}"),
        };
        ip(&["netns", "add", &made.name]);
        let inside = ["peer", "name", "eth0", "netns", &made.name];
        ip(&[&["-n", &made.bridge, "link", "add", &made.port, "type", "veth"], &inside[..]].concat());
        ip(&["-n", &made.bridge, "link", "set", &made.port, "master", "bridge", "up"]);
        ip(&["-n", &made.name, "address", "add", &format!("{}/24", made.address), "dev", "eth0"]);
        ip(&["-n", &made.name, "link", "set", "eth0", "up"]);
        ip(&["-n", &made.name, "link", "set", "lo", "up"]);
        made.filter(FILTER);
        made
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        remove(&self.name());
    }
}

impl Namespace {
    /// A command that runs on this machine.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    #[track_caller]
    fn filter(&self, rules: &str) {
        run_with_input(self.command("nft").args(["-f", "-"]), rules.as_bytes()).expect_success();
    }

    /// From now on nothing from the other one arrives here. What goes the other way still does.
    #[track_caller]
    pub(crate) fn ignore(&self, other: &Self) {
        self.filter(&format!("add element inet faults cut {{ {} }}", other.address));
    }

    /// Everything arrives again.
    #[track_caller]
    pub(crate) fn heal(&self) {
        self.filter("flush set inet faults cut\nflush chain inet faults loss");
        self.plug();
    }

    /// So many of a hundred packets that should arrive here do not.
    #[track_caller]
    pub(crate) fn lose(&self, percent: u32) {
        self.filter(&format!(
            "flush chain inet faults loss\nadd rule inet faults loss numgen random mod 100 < {percent} drop"
        ));
    }

    /// The cable is pulled: the machine's interface goes down.
    #[track_caller]
    pub(crate) fn unplug(&self) {
        ip(&["-n", &self.bridge, "link", "set", &self.port, "down"]);
    }

    #[track_caller]
    pub(crate) fn plug(&self) {
        ip(&["-n", &self.bridge, "link", "set", &self.port, "up"]);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Tests that cannot run fail, and say why.
#[track_caller]
fn demand_programs() {
    let is_root = rustix::process::geteuid().is_root();
    assert!(is_root, "tests/network makes network namespaces: run it as root, or leave the feature out");
    for (program, package) in [("ip", "iproute2"), ("nft", "nftables")] {
        let found = Command::new(program).arg("-V").output().is_ok_and(|output| output.status.success());
        assert!(found, "tests/network needs the program {program}: apt-get install {package}");
    }
}

/// Namespaces whose test no longer runs.
fn remove_leftovers() {
    for line in run(Command::new("ip").args(["netns", "list"])).stdout.lines() {
        let Some(name) = line.split_whitespace().next() else { continue };
        let Some(process) = name.strip_prefix("entente-").and_then(|rest| rest.split('-').next()) else { continue };
        if !Path::new("/proc").join(process).exists() {
            remove(name);
        }
    }
}

fn remove(name: &str) {
    // It may never have come to be.
    let _ = Command::new("ip").args(["netns", "delete", name]).output();
}

#[track_caller]
fn ip(words: &[&str]) {
    run(Command::new("ip").args(words)).expect_success();
}
