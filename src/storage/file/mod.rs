//! The structure of the data file, looked through before LMDB is let at it.
//!
//! LMDB trusts its pages: a page number, an offset or a length that somebody has tampered with, or that a disk has
//! spoilt, leads it through memory that is not its own, and that ends the process which serves everybody. So a file that
//! nobody vouches for is walked first, by a reader of our own that trusts nothing: a file is refused with the page and
//! what is wrong with it, or every page that LMDB can come to is such that it stays inside the map.
//!
//! Who vouches: a node that stops in order, and a command that puts a new file in place, leave beside the data which file
//! it was and when it was last changed (`known`). Where that still holds the walk is spared; the note is used up by
//! whoever opens the file to write, so that after a crash, in a copy, and of a file that was put back there is none.
//!
//! Invariants
//! - A file that is walked and found sound cannot make LMDB leave the map, loop, or fail an assertion of its own; and each of
//!   its records that has a checksum has the right one. (What is wrong inside records is for their readers, which trust
//!   nothing either, and for `entente check`.)
//! - The walk needs a bit for each page, a page for each level of a tree, and room for the longest record; it never recurses.
//! - It reads by calls, not through a map: a file that is cut off meanwhile, or a sector that cannot be read, is an error.
//! - A file that another process has open is not walked at the start: that process did so, and goes on writing.
//!
//! Only little-endian 64-bit files of data version 1, which is what the LMDB that we link writes where we run.

mod known;
mod layout;
mod records;
mod source;
mod walk;

#[cfg(test)]
mod tests;

use super::lock::DataLock;
use super::{StorageError, Table};
use crate::clock::Clock;
use std::fs::File;
use std::path::Path;

pub use known::leave_known;
pub use walk::{Soundness, Unsound};

/// Times that a walk is begun anew because the file was changed meanwhile.
const WALKS_MAX: usize = 3;

/// When a data file is walked before it is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileCheck {
    /// Whenever it is opened.
    Always,
    /// When it is not as a node left it that stopped in order.
    Changed,
    /// Never: LMDB trusts whatever is there.
    Never,
}

/// Walks the data file of `directory` if it is to be walked; `None` when there is none yet, when it is vouched for, or when
/// another process has it open.
///
/// # Errors
/// [`StorageError::Unsound`] names the page; [`StorageError::Io`].
pub(super) fn before_opening(directory: &Path, check: FileCheck) -> Result<Option<Soundness>, StorageError> {
    let path = directory.join("data.mdb");
    if std::fs::metadata(&path).map_or(0, |metadata| metadata.len()) == 0 {
        return Ok(None);
    }
    let holder = DataLock::holder(directory).ok().flatten();
    let is_ours = holder.as_ref().is_some_and(|holder| holder.pid == Some(std::process::id()));
    let is_known = if is_ours { known::take(directory) } else { known::is_known(directory) };
    if holder.is_some() && !is_ours {
        return Ok(None);
    }
    if check == FileCheck::Never || (check == FileCheck::Changed && is_known) {
        return Ok(None);
    }
    let clock = Clock::system();
    let mut walks = 1;
    let sound = loop {
        let before = known::stamp(directory)?;
        let outcome = walk_file(&path, None);
        // Somebody began to serve it meanwhile, and writes.
        if walks < WALKS_MAX && known::stamp(directory)? != before {
            if DataLock::holder(directory).ok().flatten().is_some_and(|holder| holder.pid != Some(std::process::id())) {
                return Ok(None);
            }
            walks += 1;
            continue;
        }
        break outcome?;
    };
    let milliseconds = u64::try_from(clock.monotonic().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        pages = sound.pages,
        milliseconds,
        "the data file was looked through before it was opened: it is sound"
    );
    Ok(Some(sound))
}

/// Walks a file: its newest state, or that of the commit `number`, which a reader must hold on to.
pub(super) fn walk_file(path: &Path, number: Option<u64>) -> Result<Soundness, StorageError> {
    let file = File::open(path)?;
    super::ahead::read_whole(path);
    let source = source::FileSource::new(file)?;
    walk::walk(&source, &expected(), number, &mut records::Checksums).map_err(|error| match error {
        walk::WalkError::Io(error) => StorageError::Io(error),
        walk::WalkError::Unsound(unsound) => StorageError::Unsound { file: path.to_owned(), unsound },
    })
}

/// Walks the content of a data file that is in memory.
///
/// # Errors
/// The first thing that is wrong, in words.
pub fn walk_bytes(content: &[u8]) -> Result<Soundness, Unsound> {
    walk::walk(content, &expected(), None, &mut records::Checksums).map_err(|error| match error {
        walk::WalkError::Io(error) => Unsound { page: 0, place: "file".to_owned(), what: error.to_string() },
        walk::WalkError::Unsound(unsound) => unsound,
    })
}

/// The tables that this program opens, as it opens them.
fn expected() -> Vec<walk::Expected> {
    Table::ALL
        .into_iter()
        .map(|table| walk::Expected {
            name: table.name_in_file(),
            flags: table.flags().bits() as u16,
            value_bytes: table.value_bytes(),
        })
        .collect()
}
