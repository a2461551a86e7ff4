//! What a server costs while somebody strains it: its CPU, its memory, and how long others wait for their answers.

use std::time::Duration;

use super::client::Client;
use super::request::Search;
use super::server::Server;
use super::wait::Stopwatch;

/// What the process of a server has used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    /// Seconds of CPU.
    pub(crate) cpu: f64,
    /// Memory of its own in KiB; what is mapped from files does not count.
    pub(crate) held_kib: u64,
    /// All memory in KiB, what is mapped from files with it: the most that it was since [`Use::forget_peak`].
    pub(crate) peak_kib: u64,
    /// Bytes given to `write` and its like, in KiB: data file, log, sockets.
    pub(crate) written_kib: u64,
}

impl Use {
    #[track_caller]
    pub(crate) fn of(server: &Server) -> Self {
        let id = server.process_id().expect("it runs");
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{id}/{file}")).expect("the server runs");
        let status = read("status");
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux says so");
            line.trim().trim_end_matches(" kB").parse().expect("a number")
        };
        let (held_kib, peak_kib) = (kib("RssAnon:"), kib("VmHWM:"));
        let io = read("io");
        let written = io.lines().find_map(|line| line.strip_prefix("wchar:")).expect("Linux says so");
        let written_kib = written.trim().parse::<u64>().expect("a number") / 1_024;
        // Behind the name, which ends with the last bracket: state is field 3, utime 14, stime 15, in hundredths.
        let stat = read("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("a line").split_whitespace().collect();
        let ticks: f64 = [fields[11], fields[12]].iter().map(|field| field.parse::<f64>().expect("a number")).sum();
        Self { cpu: ticks / 100.0, held_kib, peak_kib, written_kib }
    }

    /// Begins the peak anew at what there is now.
    #[track_caller]
    pub(crate) fn forget_peak(server: &Server) {
        let id = server.process_id().expect("it runs");
        std::fs::write(format!("/proc/{id}/clear_refs"), "5").expect("the server is ours");
    }

    /// What has come on top since.
    #[track_caller]
    pub(crate) fn since(self, server: &Server) -> Self {
        let now = Self::of(server);
        Self {
            cpu: now.cpu - self.cpu,
            held_kib: now.held_kib.saturating_sub(self.held_kib),
            peak_kib: now.peak_kib.saturating_sub(self.peak_kib),
            written_kib: now.written_kib - self.written_kib,
        }
    }
}

/// How long answers took, in order.
#[derive(Clone, Debug)]
pub(crate) struct Waits(Vec<Duration>);

impl Waits {
    /// Asks for an entry by its name so many times.
    #[track_caller]
    pub(crate) fn of(client: &mut Client, dn: &str, times: usize) -> Self {
        let search = Search::base(dn).attributes(&["cn"]);
        let mut waits: Vec<Duration> = (0..times)
            .map(|_| {
                let watch = Stopwatch::start();
                client.search(&search).single();
                watch.elapsed()
            })
            .collect();
        waits.sort();
        Self(waits)
    }

    pub(crate) fn median(&self) -> Duration {
        self.0[self.0.len() / 2]
    }

    pub(crate) fn p99(&self) -> Duration {
        self.0[self.0.len() * 99 / 100]
    }
}
