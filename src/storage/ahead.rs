//! Reading pages of the data file before a scan comes to them.
//!
//! The file is opened without the system's own reading ahead, for most readers jump; a scan of a whole table would then
//! wait for the disk at every page that is not in memory (75 µs for 4 KiB here, half of an initialisation by a node that
//! was just started). A scan goes through the file in the order in which it was written more or less, so what it will
//! want is asked of the system a piece at a time, without waiting. Commands that go through all of the file in another
//! order ask for all of it at once, if there is memory for it.
//!
//! Invariants
//! - Where a scan jumps (a file that was written here and there over years), nothing is read that is not asked for: a
//!   piece is read ahead only after one that gave many records. A short scan asks for nothing.
//! - Nothing but time depends on it: what the system says is not looked at.
#![expect(unsafe_code, reason = "advice about mapped memory is given by address")]

use std::fs::File;
use std::num::NonZero;
use std::ops::Range;
use std::path::Path;

/// Bytes of the file that are asked for at once, twice: where the scan is, and what comes after it.
const PIECE: usize = 1 << 20;

/// Bytes that one call asks for: Linux takes no more than the device's own reading ahead, 128 KiB where nobody set it.
const STEP: usize = 128 << 10;

/// Records that a piece gives before another one is worth asking for; one page has some four entries.
const WORTH: u32 = 32;

/// Where a scan is in the mapped file, and what it has got of this piece.
pub(super) struct Ahead {
    piece: Range<usize>,
    records: u32,
}

impl Ahead {
    /// Of a scan that begins.
    pub(super) fn new() -> Self {
        Self { piece: 0..0, records: 0 }
    }

    /// The scan has come to `record`. Cost: nothing but once a piece, a call of the system.
    pub(super) fn come_to(&mut self, record: &[u8]) {
        if let Some(wanted) = self.wanted(record.as_ptr() as usize) {
            for address in wanted.step_by(STEP) {
                // SAFETY: this advice changes no memory and no mapping; addresses that are not mapped are passed over.
                let _ = unsafe { rustix::mm::madvise(address as *mut _, STEP, rustix::mm::Advice::WillNeed) };
            }
        }
    }

    fn wanted(&mut self, address: usize) -> Option<Range<usize>> {
        if self.piece.contains(&address) {
            self.records = self.records.saturating_add(1);
            return None;
        }
        let is_worth_it = self.records >= WORTH;
        let start = address / PIECE * PIECE;
        self.piece = start..start.saturating_add(PIECE);
        self.records = 1;
        is_worth_it.then(|| start..start.saturating_add(2 * PIECE))
    }
}

/// Has the system read all of a file into memory, unless that would take more than half of what is available. Cost: the
/// disk's time for most of it.
pub(super) fn read_whole(path: &Path) {
    let Ok(file) = File::open(path) else { return };
    let size = file.metadata().map_or(u64::MAX, |metadata| metadata.len());
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    if available(&memory).is_some_and(|bytes| size <= bytes / 2) {
        for start in (0..size).step_by(STEP) {
            // It is advice: who reads finds out what is wrong.
            let _ = rustix::fs::fadvise(&file, start, NonZero::new(STEP as u64), rustix::fs::Advice::WillNeed);
        }
    }
}

/// The bytes of memory that the system says (proc(5), meminfo) it could give without swapping.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pieces asked for, of a scan that comes to these addresses.
    fn asked(addresses: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let mut ahead = Ahead::new();
        addresses.into_iter().filter_map(|address| ahead.wanted(address)).map(|piece| piece.start / PIECE).collect()
    }

    #[test]
    fn a_scan_in_order_is_a_piece_ahead_of_itself() {
        assert_eq!(asked((5 * PIECE..8 * PIECE).step_by(1024)), [6, 7]);
    }

    #[test]
    fn a_scan_that_jumps_asks_for_nothing() {
        assert!(asked((0..1_000).map(|number| (number * 7_919 % 1_000) * PIECE)).is_empty());
    }

    #[test]
    fn a_scan_that_jumps_to_where_it_finds_much_goes_on_reading_ahead() {
        let jumps = (0..10).map(|number| (100 - 3 * number) * PIECE);
        let in_order = (200 * PIECE..202 * PIECE).step_by(4096);
        assert_eq!(asked(jumps.chain(in_order)), [201]);
    }

    #[test]
    fn memory_is_what_the_system_says_is_available() {
        assert_eq!(available("MemTotal:  9 kB\nMemAvailable:   20 kB\nBuffers: 3 kB\n"), Some(20 << 10));
        assert_eq!(available("MemTotal: 9 kB\n"), None);
    }
}
