//! The note beside a data file: which file it is, and when it was last changed by somebody who vouches for it.
//!
//! The time of change is the file system's own (ctime), which nobody can set. It reaches the disk later than the data, so
//! after a power failure it may be that of a moment long before; that is why the note is used up before anything is
//! written, and left again only when nothing more will be.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Name of the note in the data folder.
const FILE: &str = "known";

/// Longest note that is read.
const BYTES_MAX: u64 = 256;

/// What only the same file, unchanged, says.
pub(super) fn stamp(directory: &Path) -> io::Result<String> {
    let file = std::fs::metadata(directory.join("data.mdb"))?;
    let (changed, modified) = ((file.ctime(), file.ctime_nsec()), (file.mtime(), file.mtime_nsec()));
    Ok(format!("{} {} {}.{:09} {}.{:09}\n", file.ino(), file.len(), changed.0, changed.1, modified.0, modified.1))
}

/// Whether the data file is as the note has it.
pub(super) fn is_known(directory: &Path) -> bool {
    let mut left = String::new();
    let read = File::open(directory.join(FILE)).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut left));
    read.is_ok() && stamp(directory).is_ok_and(|now| now == left)
}

/// The same, and the note is used up: what follows will write. A note that cannot be removed for good vouches for nothing.
pub(super) fn take(directory: &Path) -> bool {
    let is_known = is_known(directory);
    let is_gone = std::fs::remove_file(directory.join(FILE)).is_ok()
        && File::open(directory).is_ok_and(|folder| folder.sync_all().is_ok());
    is_known && is_gone
}

/// Vouches for the data file of `directory` as it is. Nothing may be written after it; needs the lock of a writer.
///
/// # Errors
/// The note cannot be written: the file is then walked when it is next opened.
pub fn leave_known(directory: &Path) -> io::Result<()> {
    let stamp = stamp(directory)?;
    let mut file = File::create(directory.join(FILE))?;
    file.write_all(stamp.as_bytes())?;
    file.sync_all()
}
