//! `entente encryption`: a key to encrypt attributes with, and the data made to fit what the settings say is encrypted.

use super::compact::compact;
use super::data::DataArgs;
use super::output::{CliError, Output};
use super::progress::Progress;
use crate::clock::Clock;
use crate::dit::{Anew, Dit, encrypt_anew};
use crate::storage::{DataLock, Keyring, LockUse};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Encrypt attributes in the data directory.
#[derive(clap::Args, Clone, Debug)]
pub struct EncryptionArgs {
    #[command(subcommand)]
    command: EncryptionCommand,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum EncryptionCommand {
    #[command(about = "Make the data fit what the settings say is encrypted")]
    Apply(ApplyArgs),
    #[command(about = "Write a new key into a new file")]
    CreateKey(CreateKeyArgs),
}

/// Encrypt, decrypt or encrypt with another key what rests in the data directory, as storage.encrypted_attributes and the
/// first key of storage.encryption_key_file say; then write the data file anew, so that nothing is left in its free pages.
///
/// Offline: no node may be serving. Keys that the data was encrypted with before must be in the key file too, behind the
/// first one, until this is done. Needs room for a second copy of the data. When it was interrupted, no node serves the data
/// until it is run again.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example:\n  entente encryption apply --config /etc/entente/entente.toml")]
struct ApplyArgs {
    #[command(flatten)]
    data: DataArgs,
}

/// Write a new random key into a new file that only its owner can read.
///
/// Keep a copy apart from the data and from its backups: without the key, nobody can read what it encrypted.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example:\n  entente encryption create-key /etc/entente/encryption.key")]
struct CreateKeyArgs {
    /// The file to make
    file: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// In words; what `apply` had begun is to be finished by running it again.
pub fn run(args: EncryptionArgs, output: &Output) -> Result<ExitCode, CliError> {
    match args.command {
        EncryptionCommand::Apply(args) => apply(&args, output),
        EncryptionCommand::CreateKey(args) => create_key(&args.file, output),
    }
}

fn create_key(path: &Path, output: &Output) -> Result<ExitCode, CliError> {
    let key = Keyring::new_key()?;
    let mut file = std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| CliError::file(path, &error))?;
    let written = file.write_all(format_key(&key).as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|error| CliError::file(path, &error))?;
    let number = Keyring::read(path)?.number().to_string();
    output.report(&serde_json::json!({ "file": path, "key": number }), || {
        format!("{} holds key {number}; keep a copy apart from the data and its backups", path.display())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn format_key(key: &str) -> zeroize::Zeroizing<String> {
    zeroize::Zeroizing::new(format!("{key}\n"))
}

fn apply(args: &ApplyArgs, output: &Output) -> Result<ExitCode, CliError> {
    if let Some(holder) = DataLock::holder(&args.data.config()?.server.data_dir)? {
        return Err(CliError::new(format!(
            "{holder} uses the data, and all of it is to be written anew: stop it first"
        )));
    }
    let (config, _lock) = args.data.lock(LockUse::Replacing("encryption apply"))?;
    let dit = Dit::open_to_encrypt(config.dit_options(), config.load_schema()?, Clock::system())?;
    let mut progress = Progress::new(Some(0), false);
    progress.stage("records");
    let done = encrypt_anew(&dit, &mut |records, total| {
        progress.total(total);
        progress.advance(records);
    })?;
    progress.finish();
    compact(dit, &config.server.data_dir)?;
    let older = older_copies(&config.server.data_dir)?;
    let value = serde_json::json!({
        "entries": done.entries,
        "attributes": done.attributes,
        "named": done.named,
        "older": older,
    });
    output.report(&value, || tell(&done, &older))?;
    Ok(ExitCode::SUCCESS)
}

/// Data in the folder that is not the data file: what was replaced and kept, and what an interrupted command left.
fn older_copies(directory: &Path) -> Result<Vec<PathBuf>, CliError> {
    let failed = |error: std::io::Error| CliError::file(directory, &error);
    let mut older = Vec::new();
    for item in std::fs::read_dir(directory).map_err(failed)? {
        let path = item.map_err(failed)?.path();
        let is_ldif = path.extension().is_some_and(|extension| extension == "ldif");
        if is_ldif || path.join("data.mdb").exists() {
            older.push(path);
        }
    }
    older.sort();
    Ok(older)
}

fn tell(done: &Anew, older: &[PathBuf]) -> String {
    let mut text = match done.attributes.as_slice() {
        [] => "nothing is encrypted any more".to_owned(),
        attributes => format!("encrypted in {} entries: {}", done.entries, attributes.join(", ")),
    };
    text.push_str("; backups that were made before are as they were");
    for path in older {
        text.push_str(&format!("\n{} holds data as it was before: remove it if nobody needs it", path.display()));
    }
    if done.named > 0 {
        text.push_str(&format!(
            "\n{} entries are named by an encrypted attribute: their names stay in clear",
            done.named
        ));
    }
    text
}
