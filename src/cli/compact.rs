//! `entente compact`: the data file without its free pages.

use super::data::DataArgs;
use super::import::{forget_cached, vouch_for};
use super::output::{CliError, Output};
use crate::clock::Clock;
use crate::dit::Dit;
use crate::storage::{DataLock, LockUse};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

/// Write the data file anew without its free pages, and put it in the old one's place.
///
/// Offline: no node may be serving. Free pages are used again by later writes, so this is worth while only after much
/// was deleted. Needs room for a second copy of the data.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example:\n  entente compact --data /var/lib/entente")]
pub struct CompactArgs {
    #[command(flatten)]
    data: DataArgs,
}

/// Runs the command.
///
/// # Errors
/// The old file is as it was.
pub fn run(args: &CompactArgs, output: &Output) -> Result<ExitCode, CliError> {
    if let Some(holder) = DataLock::holder(&args.data.config()?.server.data_dir)? {
        return Err(CliError::new(format!(
            "{holder} uses the data, and its file cannot be replaced under it: stop it and compact, or make a backup \
             (which is compact) and restore that elsewhere"
        )));
    }
    let (config, _lock) = args.data.lock(LockUse::Replacing("compact"))?;
    let directory = &config.server.data_dir;
    let data = directory.join("data.mdb");
    let before = size(&data)?;
    compact(Dit::open_as_recorded(config.dit_options(), config.load_schema()?, Clock::system())?, directory)?;
    let after = size(&data)?;
    output.report(&serde_json::json!({ "bytes_before": before, "bytes_after": after }), || {
        format!("{} MiB before, {} MiB now", before >> 20, after >> 20)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the data file of `directory` anew without its free pages. Needs [`LockUse::Replacing`].
pub(super) fn compact(dit: Dit, directory: &Path) -> Result<(), CliError> {
    let new = directory.join("data.mdb.compact");
    let file = std::fs::File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .map_err(|error| CliError::file(&new, &error))?;
    let copied = dit.environment().copy_compact(&file);
    drop(dit);
    if let Err(error) = copied {
        // The error that is told is the copy's; a file left behind is overwritten next time.
        let _ = std::fs::remove_file(&new);
        return Err(error.into());
    }
    put_in_place(&new, directory)
}

fn size(path: &Path) -> Result<u64, CliError> {
    Ok(std::fs::metadata(path).map_err(|error| CliError::file(path, &error))?.len())
}

/// `new`, whole on disk, becomes the data file of `directory`. LMDB's own lock file belongs to the old one and goes:
/// what it says of readers and transactions would be believed of the new. Needs [`LockUse::Replacing`].
pub(super) fn put_in_place(new: &Path, directory: &Path) -> Result<(), CliError> {
    let (data, readers) = (directory.join("data.mdb"), directory.join("lock.mdb"));
    forget_cached(new).map_err(|error| CliError::file(new, &error))?;
    std::fs::rename(new, &data).map_err(|error| CliError::file(&data, &error))?;
    match std::fs::remove_file(&readers) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(CliError::file(&readers, &error)),
        _ => {}
    }
    vouch_for(directory);
    std::fs::File::open(directory)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| CliError::file(directory, &error))
}
