//! Whether a run of this node goes on where another ended, or something has come between.
//!
//! An origin gives each number once, so two runs must not go on from the same place: not the run of a copy beside that of
//! the original, and not a run after an old copy was put back. Whoever copies a data file has one with another place on
//! the disk, or one that was written since; so a run that ends in order leaves beside the data file which file that
//! was, when it was last changed, and up to where the origin wrote. The next run goes on under the same origin if all
//! of that is still so, and uses the proof up. All others begin a new origin: after a crash, in a copy, after a restore.
//! A disk can be copied or set back below the file system, with all of that; but then a machine starts with it, so the proof
//! also says in which run of the machine it was left. Only a machine that is set back while it runs, with its memory, is not
//! seen here; members see it by what they hold (`replication`).

use super::DitError;
use super::tree::Dit;
use crate::storage::MetaName;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Name of the file beside the data file.
const FILE: &str = "handover";
/// Drawn by the kernel whenever the machine starts (random(4)).
const MACHINE_RUN: &str = "/proc/sys/kernel/random/boot_id";

impl Dit {
    fn handover_file(&self) -> PathBuf {
        self.environment().directory().join(FILE)
    }

    /// What only the same file after the same run says.
    fn handover(&self) -> Result<Option<String>, DitError> {
        let file = std::fs::metadata(self.environment().data_file());
        let (Ok(file), Ok(machine_run)) = (file, std::fs::read_to_string(MACHINE_RUN)) else { return Ok(None) };
        let transaction = self.environment().read()?;
        let reader = transaction.reader();
        let (origin, sequence) = (reader.meta_u64(MetaName::Origin)?, reader.meta_u64(MetaName::Sequence)?);
        let (device, number, changed) = (file.dev(), file.ino(), format!("{}.{:09}", file.ctime(), file.ctime_nsec()));
        Ok(Some(format!("{device} {number} {changed} {origin} {sequence} {machine_run}")))
    }

    /// Whether this run goes on where the last one ended, which can be said once; it also does when nothing was ever
    /// written here.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn take_handover(&self) -> Result<bool, DitError> {
        let path = self.handover_file();
        let left = std::fs::read_to_string(&path).ok();
        // What cannot be used up proves nothing. That the file is gone must last.
        let is_used_up = left.is_some()
            && std::fs::remove_file(&path).is_ok()
            && std::fs::File::open(self.environment().directory()).is_ok_and(|folder| folder.sync_all().is_ok());
        if is_used_up && left == self.handover()? {
            return Ok(true);
        }
        let snapshot = self.read()?;
        let view = snapshot.view();
        let origins = view.origins_before()?;
        Ok(origins.is_empty() && view.reader().meta_u64(MetaName::Sequence)? == 0)
    }

    /// Leaves the proof for the next run, and vouches for the data file. Nothing may be written after it.
    ///
    /// # Errors
    /// [`DitError::Storage`]. That the file cannot be written is no error: the next run begins a new origin.
    pub fn leave_handover(&self) -> Result<(), DitError> {
        let Some(handover) = self.handover()? else { return Ok(()) };
        let written = std::fs::File::create(self.handover_file())
            .and_then(|mut file| file.write_all(handover.as_bytes()).and_then(|()| file.sync_all()));
        if let Err(error) = written {
            tracing::warn!(%error, "what the next start is to go on from cannot be left behind: it begins a new origin");
        }
        if let Err(error) = crate::storage::leave_known(self.environment().directory()) {
            tracing::warn!(%error, "the next start looks through the whole data file: nothing can be left to vouch for it");
        }
        Ok(())
    }
}
