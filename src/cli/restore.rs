//! `entente restore`: a data directory from a backup, as the same member under a new origin.
//!
//! Under the old origin it would count its changes on from where the backup
//! was taken, and give numbers away that the saved node has used since: to the other suppliers those would be changes
//! that they have seen already, and they would never take them.

use super::archive::{Archive, Manifest, Seal};
use super::compact::put_in_place;
use super::output::{CliError, Output};
use super::progress::Progress;
use crate::dit::encrypted_with;
use crate::storage::{self, DataLock, Environment, LockUse, MetaName, check_format};
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Make a data directory from a backup, or only verify a backup.
///
/// The checksum is verified before anything is put in place. The copy is the same member under a new origin: other
/// members bring it what it lacks. If the saved node runs too, the copy becomes a member of its own, so that it can stand beside the saved one; certificates, configuration and schema files are not in a backup.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    entente restore --data ./restored /backup/entente-monday.zst\n  \
    entente restore --verify /backup/entente-monday.zst")]
pub struct RestoreArgs {
    /// The data directory to make; absent or without data, unless --replace is given
    #[arg(long, value_name = "DIR", required_unless_present = "verify")]
    data: Option<PathBuf>,
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Take the place of the data that is there; it is kept until the new is whole
    #[arg(long)]
    replace: bool,
    /// Only read the backup and verify its checksum
    #[arg(long, conflicts_with_all = ["data", "replace"])]
    verify: bool,
}

/// Runs the command.
///
/// # Errors
/// What was in the data directory is as it was.
pub fn run(args: RestoreArgs, output: &Output) -> Result<ExitCode, CliError> {
    let Some(directory) = args.data else {
        let (manifest, seal) = unpack(&args.file, &mut std::io::sink())?;
        output.report(&serde_json::json!({ "manifest": manifest, "seal": seal }), || {
            format!("the backup is whole: {} entries, taken {}", manifest.entries, manifest.taken)
        })?;
        return Ok(ExitCode::SUCCESS);
    };
    let restored = restore(&args.file, &directory, args.replace)?;
    let value = serde_json::json!({
        "directory": directory,
        "entries": restored.entries,
        "node": restored.node,
        "origin": restored.origin,
        "key": restored.key,
        "manifest": restored.manifest,
    });
    output.report(&value, || {
        format!(
            "{} entries restored to {}, as they were {}\nthis copy is node {} under a new origin, {} (the saved one wrote under {})",
            restored.entries,
            directory.display(),
            restored.manifest.taken,
            restored.node,
            restored.origin,
            restored.manifest.origin,
        ) + &restored.key.as_ref().map_or_else(String::new, |key| {
            format!("\nattributes in it are encrypted: it can be read only with key {key} (storage.encryption_key_file)")
        })
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What a restore made.
#[derive(Clone, Debug)]
pub struct Restored {
    /// What the backup says of itself.
    pub manifest: Manifest,
    /// Entries in the copy.
    pub entries: u64,
    /// The copy's node id, hexadecimal.
    pub node: String,
    /// The copy's origin, hexadecimal.
    pub origin: String,
    /// The number of the key that attributes in it are encrypted with.
    pub key: Option<String>,
}

/// Unpacks the backup `file` into the data directory `directory`.
///
/// # Errors
/// The backup is damaged, or the directory has data and `replace` is not given; nothing was changed.
pub fn restore(file: &Path, directory: &Path, replace: bool) -> Result<Restored, CliError> {
    let failed = |error: std::io::Error| CliError::file(directory, &error);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    let _lock = DataLock::acquire(directory, LockUse::Replacing("restore"))?;
    if directory.join("data.mdb").exists() && !replace {
        return Err(CliError::new(format!(
            "{} has data already: choose another directory, or add --replace to put the backup in its place",
            directory.display()
        )));
    }
    let temporary = directory.join("restore.tmp");
    if temporary.exists() {
        std::fs::remove_dir_all(&temporary).map_err(failed)?;
    }
    std::fs::DirBuilder::new().mode(0o700).create(&temporary).map_err(failed)?;
    let restored = match fill(file, &temporary) {
        Ok(restored) => restored,
        Err(error) => {
            // The error that is told is the backup's; the next restore removes the folder if this does not.
            let _ = std::fs::remove_dir_all(&temporary);
            return Err(error);
        }
    };
    put_in_place(&temporary.join("data.mdb"), directory)?;
    std::fs::remove_dir_all(&temporary).map_err(failed)?;
    Ok(restored)
}

fn fill(file: &Path, temporary: &Path) -> Result<Restored, CliError> {
    let path = temporary.join("data.mdb");
    let target = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(|error| CliError::file(&path, &error))?;
    let mut writer = BufWriter::with_capacity(1 << 20, target);
    let (manifest, _) = unpack(file, &mut writer)?;
    writer.into_inner().map_err(|error| CliError::file(&path, &error.into_error()))?;
    let restored = new_origin(temporary, manifest)?;
    File::open(&path).and_then(|file| file.sync_all()).map_err(|error| CliError::file(&path, &error))?;
    Ok(restored)
}

/// Reads a whole backup into `target` and verifies it.
fn unpack(file: &Path, target: &mut impl std::io::Write) -> Result<(Manifest, Seal), CliError> {
    let failed = |error: std::io::Error| CliError::file(file, &error);
    let mut source = File::open(file).map_err(failed)?;
    let size = source.seek(std::io::SeekFrom::End(0)).map_err(failed)?;
    source.rewind().map_err(failed)?;
    let mut progress = Progress::new(None, true);
    progress.stage(&format!("out of {} MiB", size >> 20));
    let archive = Archive::open(BufReader::with_capacity(1 << 18, source)).map_err(|error| named(file, &error))?;
    let manifest = archive.manifest.clone();
    let seal = archive.copy_data(target, |bytes| progress.advance(bytes)).map_err(|error| named(file, &error))?;
    progress.finish();
    Ok((manifest, seal))
}

fn named(file: &Path, error: &impl std::fmt::Display) -> CliError {
    CliError::new(format!("{}: {error}", file.display()))
}

/// Gives the unpacked copy an origin that nobody had.
fn new_origin(directory: &Path, manifest: Manifest) -> Result<Restored, CliError> {
    let options = storage::Options { must_exist: true, ..storage::Options::new(directory) };
    let environment = Environment::open(&options)?;
    let read = environment.read()?;
    if !check_format(read.reader())? {
        return Err(CliError::new("the backup holds an empty data file; take another"));
    }
    let entries = read.reader().count(storage::Table::Id2Entry)?;
    let node = read.reader().meta(MetaName::Node)?.unwrap_or_default();
    let node = node.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = encrypted_with(read.reader()).map_err(|error| CliError::new(error.to_string()))?;
    let key = key.map(|(number, _)| number.to_string());
    drop(read);
    let mut random = [0; 6];
    getrandom::fill(&mut random).map_err(|error| CliError::new(format!("no random numbers: {error}")))?;
    let origin = random.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)).max(1);
    let mut transaction = environment.write()?;
    transaction.put_meta(MetaName::Origin, &origin.to_be_bytes())?;
    transaction.put_meta(MetaName::Sequence, &0_u64.to_be_bytes())?;
    transaction.commit()?;
    environment.sync()?;
    Ok(Restored { manifest, entries, node, origin: format!("{origin:016x}"), key })
}

#[cfg(test)]
mod tests;
