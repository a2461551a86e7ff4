//! `entente backup`: a copy of the data while it is served and written.

use super::archive::{self, ArchiveError, Manifest, Seal};
use super::data::DataArgs;
use super::export::with_suffix;
use super::output::{CliError, Output};
use super::progress::Progress;
use crate::dit::Dit;
use crate::schema::time::format_generalized_time;
use crate::storage::{MetaName, StorageError, Table};
use std::fs::File;
use std::io::BufWriter;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Write a compressed copy of the data to one file, also while a node serves and writes.
///
/// The file holds everything of the data directory's data file, password hashes too: keep it as safe as the data.
/// Configuration, certificates and schema files are not in it. It appears under its name once it is whole and on disk.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    entente backup --data /var/lib/entente /backup/entente-monday.zst\n  \
    entente restore --verify /backup/entente-monday.zst")]
pub struct BackupArgs {
    #[command(flatten)]
    data: DataArgs,
    /// The file to write
    #[arg(value_name = "OUT.zst")]
    file: PathBuf,
    /// Take the place of a file that is there
    #[arg(long)]
    force: bool,
}

impl From<ArchiveError> for CliError {
    fn from(error: ArchiveError) -> Self {
        Self::new(error.to_string())
    }
}

/// Runs the command.
///
/// # Errors
/// No file of that name was made.
pub fn run(args: &BackupArgs, output: &Output) -> Result<ExitCode, CliError> {
    let file = &args.file;
    if file.exists() && !args.force {
        return Err(CliError::new(format!(
            "{} is there already; choose another name, or add --force to put the backup in its place",
            file.display()
        )));
    }
    let opened = args.data.open_to_read()?;
    let mut progress = Progress::new(Some(opened.dit.environment().stats()?.used_bytes), true);
    let (manifest, seal) = backup(&opened.dit, file, |bytes| progress.advance(bytes))?;
    progress.finish();
    let size = std::fs::metadata(file).map_err(|error| CliError::file(file, &error))?.len();
    let seconds = opened.dit.clock().monotonic().as_secs_f64();
    output.report(
        &serde_json::json!({ "file": file, "bytes": size, "manifest": manifest, "seal": seal, "seconds": seconds }),
        || {
            format!(
                "{} entries, {} MiB of data in {} MiB, written to {} in {seconds:.1} s",
                manifest.entries,
                seal.bytes >> 20,
                size >> 20,
                file.display()
            )
        },
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a backup of the tree to `file`, by way of a temporary one beside it. Writing to the tree goes on meanwhile;
/// what is committed after the beginning may or may not be in it.
///
/// # Errors
/// The data or the file cannot be read or written; the temporary file is removed.
pub fn backup(dit: &Dit, file: &Path, progress: impl FnMut(u64)) -> Result<(Manifest, Seal), CliError> {
    let temporary = with_suffix(file, ".tmp");
    let failed = |error: std::io::Error| CliError::file(&temporary, &error);
    let manifest = manifest_of(dit)?;
    let target =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary).map_err(failed)?;
    let seal = match copy(dit, &manifest, target, progress) {
        Ok(seal) => seal,
        Err(error) => {
            // The error that is told is the copy's.
            let _ = std::fs::remove_file(&temporary);
            return Err(CliError::new(format!("{}: {error}", file.display())));
        }
    };
    std::fs::rename(&temporary, file).map_err(|error| CliError::file(file, &error))?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| CliError::file(folder, &error))?;
    Ok((manifest, seal))
}

/// LMDB writes into a pipe, and what comes out is packed: neither waits for the other's whole.
fn copy(dit: &Dit, manifest: &Manifest, target: File, progress: impl FnMut(u64)) -> Result<Seal, CliError> {
    let (reader, writer) = std::io::pipe()?;
    std::thread::scope(|scope| {
        let copier = scope.spawn(move || {
            let copied = dit.environment().copy_compact_into(&writer);
            drop(writer);
            copied
        });
        let packed = archive::write(manifest, reader, BufWriter::with_capacity(1 << 18, target), progress);
        match copier.join() {
            Ok(copied) => {
                // A failed target closes the pipe, and the copy then fails for that: the target's error is the cause.
                let (buffered, seal) = packed?;
                copied?;
                let file = buffered.into_inner().map_err(std::io::IntoInnerError::into_error)?;
                file.sync_all()?;
                Ok(seal)
            }
            Err(_) => Err(CliError::new("the copy failed inside; this is a defect of entente, please report it")),
        }
    })
}

fn manifest_of(dit: &Dit) -> Result<Manifest, CliError> {
    let snapshot = dit.read()?;
    let reader = snapshot.view().reader();
    let hexadecimal = |name: MetaName| -> Result<String, StorageError> {
        Ok(reader.meta(name)?.unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect())
    };
    Ok(Manifest {
        cluster: hexadecimal(MetaName::Cluster)?,
        node: hexadecimal(MetaName::Node)?,
        origin: hexadecimal(MetaName::Origin)?,
        sequence: reader.meta_u64(MetaName::Sequence)?,
        entries: reader.count(Table::Id2Entry)?,
        taken: format_generalized_time(i64::try_from(dit.clock().wall_ms()).unwrap_or(i64::MAX)),
        ..Manifest::empty()
    })
}
