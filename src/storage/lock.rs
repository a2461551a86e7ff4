//! Who uses a data directory: one who changes it, and nobody else while files are put in another's place.
//!
//! LMDB lets several processes read and write one file, but the rest of a node (its cache, its clock, its one writer)
//! must not run twice, and a file that is swapped under a process that has it open leads that process astray. So
//! every command says what it is about to do, by two locks of the kernel that a crash cannot leave behind:
//!
//! | use | `lock` | `lock.readers` |
//! |---|---|---|
//! | serve, or change offline | exclusive | shared |
//! | put a new data file in place | exclusive | exclusive |
//! | read (export, check, backup) | not taken | shared |
//!
//! LMDB keeps a table of readers of its own, `lock.mdb`, and believes what stands in it. Whoever takes `lock` while nobody
//! reads takes that file away first, so that nobody is led by what a crash, a copy or somebody else left there.
//!
//! `lock` holds the number of the process and what it does, for the message to whoever comes second.

use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Longest text of a holder that is believed.
const HOLDER_BYTES_MAX: u64 = 200;

/// What a process is about to do with a data directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockUse {
    /// Serve it.
    Serving,
    /// Change it while nobody serves it; the text is the command.
    Offline(&'static str),
    /// Put another data file in place; the text is the command.
    Replacing(&'static str),
    /// Only read it.
    Reading,
}

/// Who holds a data directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    /// The process, if it could be read.
    pub pid: Option<u32>,
    /// What it does: `serve`, `import` and so on.
    pub what: String,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid} (entente {})", self.what),
            None => f.write_str("another process"),
        }
    }
}

/// Why a data directory was not locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Somebody else uses it.
    #[error("{} is in use by {holder}; stop it first, or wait until it is done", directory.display())]
    InUse {
        /// The data directory.
        directory: PathBuf,
        /// Who.
        holder: Holder,
    },
    /// Processes that read it would be led astray.
    #[error(
        "{} is being read (by an export, a check or a backup), and its file cannot be replaced meanwhile; wait until that is done",
        directory.display()
    )]
    BeingRead {
        /// The data directory.
        directory: PathBuf,
    },
    /// The lock file cannot be used.
    #[error("{}: {source}", file.display())]
    Io {
        /// The lock file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A held data directory; free again when dropped or when the process ends.
#[derive(Debug)]
pub struct DataLock {
    _writer: Option<File>,
    _readers: File,
}

impl DataLock {
    /// Takes the locks for a use. Never waits. The folder must be there.
    ///
    /// # Errors
    /// [`LockError::InUse`] names the holder; [`LockError::BeingRead`]; [`LockError::Io`].
    pub fn acquire(directory: &Path, lock_use: LockUse) -> Result<Self, LockError> {
        let what = match lock_use {
            LockUse::Serving => Some("serve"),
            LockUse::Offline(what) | LockUse::Replacing(what) => Some(what),
            LockUse::Reading => None,
        };
        let writer = match what {
            Some(what) => Some(take_writer(directory, what)?),
            None => None,
        };
        let path = directory.join("lock.readers");
        let readers = open(&path)?;
        if writer.is_some() && flock(&readers, FlockOperation::NonBlockingLockExclusive).is_ok() {
            forget_readers(directory)?;
        }
        let operation = match lock_use {
            LockUse::Replacing(_) => FlockOperation::NonBlockingLockExclusive,
            _ => FlockOperation::NonBlockingLockShared,
        };
        match flock(&readers, operation) {
            Ok(()) => Ok(Self { _writer: writer, _readers: readers }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(match lock_use {
                LockUse::Replacing(_) => LockError::BeingRead { directory: directory.to_owned() },
                _ => LockError::InUse { directory: directory.to_owned(), holder: read_holder(directory) },
            }),
            Err(error) => Err(LockError::Io { file: path, source: error.into() }),
        }
    }

    /// Who changes or serves the directory at this moment; `None` when nobody does.
    ///
    /// # Errors
    /// [`LockError::Io`].
    pub fn holder(directory: &Path) -> Result<Option<Holder>, LockError> {
        let path = directory.join("lock");
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(LockError::Io { file: path, source }),
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(None),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(Some(read_holder(directory))),
            Err(error) => Err(LockError::Io { file: path, source: error.into() }),
        }
    }
}

fn take_writer(directory: &Path, what: &str) -> Result<File, LockError> {
    let path = directory.join("lock");
    let mut file = open(&path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            return Err(LockError::InUse { directory: directory.to_owned(), holder: read_holder(directory) });
        }
        Err(error) => return Err(LockError::Io { file: path, source: error.into() }),
    }
    let written =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{} {what}", std::process::id()));
    match written {
        Ok(()) => Ok(file),
        Err(source) => Err(LockError::Io { file: path, source }),
    }
}

/// Takes LMDB's table of readers away; it makes another one.
fn forget_readers(directory: &Path) -> Result<(), LockError> {
    let path = directory.join("lock.mdb");
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(LockError::Io { file: path, source }),
        _ => Ok(()),
    }
}

fn open(path: &Path) -> Result<File, LockError> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|source| LockError::Io { file: path.to_owned(), source })
}

fn read_holder(directory: &Path) -> Holder {
    let mut text = String::new();
    let read =
        File::open(directory.join("lock")).and_then(|file| file.take(HOLDER_BYTES_MAX).read_to_string(&mut text));
    let (pid, what) = match read {
        Ok(_) => text.trim_end().split_once(' ').unwrap_or((text.as_str(), "")),
        Err(_) => ("", ""),
    };
    Holder { pid: pid.parse().ok(), what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_who_would_change_the_data_is_told_who_has_it() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(DataLock::holder(directory.path()).unwrap(), None);
        let serving = DataLock::acquire(directory.path(), LockUse::Serving).unwrap();
        let error = DataLock::acquire(directory.path(), LockUse::Offline("reindex")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&std::process::id().to_string()) && text.contains("serve"), "{text}");
        let holder = DataLock::holder(directory.path()).unwrap().unwrap();
        assert_eq!((holder.pid, holder.what.as_str()), (Some(std::process::id()), "serve"));
        drop(serving);
        assert_eq!(DataLock::holder(directory.path()).unwrap(), None);
        DataLock::acquire(directory.path(), LockUse::Offline("reindex")).unwrap();
    }

    #[test]
    fn what_somebody_left_in_the_place_of_lmdbs_readers_is_taken_away_unless_somebody_reads() {
        let directory = tempfile::tempdir().unwrap();
        let table = directory.path().join("lock.mdb");
        let leave = || std::os::unix::fs::symlink(directory.path().join("data.mdb"), &table).unwrap();
        leave();
        let serving = DataLock::acquire(directory.path(), LockUse::Serving).unwrap();
        assert!(table.symlink_metadata().is_err());
        drop(serving);
        leave();
        let reading = DataLock::acquire(directory.path(), LockUse::Reading).unwrap();
        let serving = DataLock::acquire(directory.path(), LockUse::Serving).unwrap();
        assert!(table.symlink_metadata().is_ok(), "a reader stands in it");
        DataLock::acquire(directory.path(), LockUse::Reading).unwrap();
        drop((reading, serving));
    }

    #[test]
    fn readers_stand_beside_a_server_but_not_beside_a_swap() {
        let directory = tempfile::tempdir().unwrap();
        let serving = DataLock::acquire(directory.path(), LockUse::Serving).unwrap();
        let reading = DataLock::acquire(directory.path(), LockUse::Reading).unwrap();
        drop(serving);
        let error = DataLock::acquire(directory.path(), LockUse::Replacing("import")).unwrap_err();
        assert!(matches!(error, LockError::BeingRead { .. }), "{error}");
        drop(reading);
        let swap = DataLock::acquire(directory.path(), LockUse::Replacing("import")).unwrap();
        assert!(DataLock::acquire(directory.path(), LockUse::Reading).is_err());
        drop(swap);
    }
}
