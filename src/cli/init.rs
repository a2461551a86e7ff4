//! `entente init`: a new directory with its suffix entry and its administrator.

use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use base64::Engine;
use clap::Args;
use serde_json::json;
use zeroize::Zeroizing;

use super::data::{demand_own, settings_file};
use super::import::{ImportOptions, import, vouch_for};
use super::output::{CliError, Output};
use super::progress::Progress;
use crate::clock::Clock;
use crate::config::Config;
use crate::dit::Dit;
use crate::model::Dn;
use crate::policy::password_hash;
use crate::storage::{DataLock, LockUse};

/// The suffix entry with the first access rules.
const BOOTSTRAP: &str = include_str!("../../ldif/bootstrap.ldif");
/// Longest password that is read, in bytes.
const PASSWORD_BYTES_MAX: u64 = 1024;

/// Make a new directory: a data folder with the suffix entry and the administrator.
///
/// Never asks when all is given; without a password file it asks for the password.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  entente init --data ./data --suffix dc=example,dc=com\n  entente init --data /var/lib/entente --suffix o=Example --admin-password-file ./password\n\nThe administrator is no entry: it can always bind, whatever happens to the tree. Fill the directory with `entente import` or, once it is served, with ldapadd."
)]
pub struct InitArgs {
    /// Folder of the data; made if it is not there
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Name of the topmost entry, as dc=example,dc=com or o=Example
    #[arg(long, value_name = "DN")]
    suffix: String,
    /// File whose first line is the administrator's password; asked for if not given
    #[arg(long, value_name = "FILE")]
    admin_password_file: Option<PathBuf>,
    /// Name of the administrator [default: cn=admin,SUFFIX]
    #[arg(long, value_name = "DN")]
    admin_dn: Option<String>,
    /// Settings of the node (entente.toml): schema files and indexes are taken from it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting; wins over the file
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    sets: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// Nothing was made; the text says what to do.
#[expect(clippy::needless_pass_by_value, reason = "every command takes its arguments so")]
pub fn run(args: InitArgs, output: &Output) -> Result<ExitCode, CliError> {
    let suffix = parse_suffix("--suffix", &args.suffix)?;
    let administrator = match &args.admin_dn {
        Some(text) => Dn::parse(text).map_err(|error| CliError::new(format!("--admin-dn {text}: {error}")))?,
        None => Dn::parse(&format!("cn=admin,{suffix}")).map_err(|error| CliError::new(error.to_string()))?,
    };
    let file = settings_file(args.config.as_deref(), Some(args.data.as_path()));
    let mut config = Config::load(file.as_deref(), &args.sets)?;
    config.server.data_dir.clone_from(&args.data);
    let password = match &args.admin_password_file {
        Some(file) => password_of_file(file)?,
        None => password_of_person(&administrator)?,
    };
    let given: Vec<&Path> =
        [&args.admin_password_file, &args.config].into_iter().flatten().map(PathBuf::as_path).collect();
    make_from(
        &config,
        &given,
        (&bootstrap(&suffix)?, Path::new("bootstrap.ldif")),
        &administrator.to_string(),
        &password,
    )?;
    let data = args.data.display();
    let value = json!({
        "data": data.to_string(),
        "suffix": suffix.to_string(),
        "administrator": administrator.to_string(),
    });
    output.report(&value, || {
        format!(
            "{data} holds the directory {suffix}; its administrator is {administrator}.\n\nServe it with:\n  \
             entente serve --data {data} --listen ldap://127.0.0.1:3389"
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Makes the data folder's content from LDIF and the name that errors call it by; there is all of it or none. `given`: files
/// that may stand in the folder.
pub(super) fn make_from(
    config: &Config,
    given: &[&Path],
    (ldif, file): (&str, &Path),
    administrator: &str,
    password: &[u8],
) -> Result<(), CliError> {
    let data_dir = &config.server.data_dir;
    let schema = config.load_schema()?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .map_err(|error| CliError::new(format!("{}: {error}", data_dir.display())))?;
    demand_own(config, given)?;
    let _lock = DataLock::acquire(data_dir, LockUse::Replacing("init"))?;
    let data_file = data_dir.join("data.mdb");
    if data_file.exists() {
        let text = format!("{} holds a directory already; choose another folder", data_dir.display());
        return Err(CliError::new(text));
    }
    // Made apart and put in place whole, so that one that is interrupted is not taken for a directory.
    let mut apart = config.clone();
    apart.server.data_dir = data_dir.join("init.tmp");
    remove_folder(&apart.server.data_dir)?;
    let dit = Dit::open(apart.dit_options(), Arc::clone(&schema), Clock::system())?;
    dit.set_administrator(administrator, &password_hash::hash(password))?;
    drop(dit);
    let how = ImportOptions { strict: true, ..ImportOptions::default() };
    import(&apart.dit_options(), &schema, ldif.as_bytes(), file, &how, &mut Progress::silent())
        .map_err(CliError::from)
        .and_then(|_| put_in_place(&apart.server.data_dir.join("data.mdb"), &data_file, data_dir))
        .inspect_err(|_| {
            // The error that is told is the one that matters.
            let _ = remove_folder(&apart.server.data_dir);
        })?;
    vouch_for(data_dir);
    remove_folder(&apart.server.data_dir)
}

fn remove_folder(folder: &Path) -> Result<(), CliError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(CliError::file(folder, &error)),
        _ => Ok(()),
    }
}

/// Renames, and has it on disk.
fn put_in_place(from: &Path, to: &Path, folder: &Path) -> Result<(), CliError> {
    std::fs::rename(from, to).map_err(|error| CliError::file(to, &error))?;
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| CliError::file(folder, &error))
}

/// A suffix is a name that an entry can have. `option`: where it was given.
pub(super) fn parse_suffix(option: &str, text: &str) -> Result<Dn, CliError> {
    let said = |what: String| CliError::new(format!("{option} {what}").trim_start());
    let suffix = Dn::parse(text).map_err(|error| said(format!("{text}: {error}")))?;
    if suffix.is_root() {
        return Err(said("name the topmost entry, as dc=example,dc=com".to_owned()));
    }
    Ok(suffix)
}

/// The bootstrap LDIF for a suffix: its class follows from the first part of its name.
pub(super) fn bootstrap(suffix: &Dn) -> Result<String, CliError> {
    let ava = suffix.rdn().and_then(|rdn| rdn.avas().first()).ok_or_else(|| CliError::new("the suffix is empty"))?;
    let class = match ava.attribute.to_ascii_lowercase().as_str() {
        "dc" => "domain",
        "o" => "organization",
        "ou" => "organizationalUnit",
        "c" => "country",
        "l" | "st" => "locality",
        _ => {
            let text = format!("suffix {suffix}: begin it with dc, o, ou, c, l or st");
            return Err(CliError::new(text));
        }
    };
    let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    Ok(BOOTSTRAP
        .replace("dn: @SUFFIX@", &format!("dn:: {}", base64(suffix.to_string().as_bytes())))
        .replace("@CLASS@", class)
        .replace("@TYPE@: @VALUE@", &format!("{}:: {}", ava.attribute, base64(&ava.value))))
}

/// The first line of a file.
fn password_of_file(file: &Path) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let named = |error| CliError::new(format!("{}: {error}", file.display()));
    let mut bytes = Zeroizing::new(Vec::new());
    let opened = std::fs::File::open(file).map_err(named)?;
    if opened.metadata().map_err(named)?.mode() & 0o004 != 0 {
        tell(&format!("warning: everybody may read {}; chmod 600 it, or remove it", file.display()));
    }
    opened.take(PASSWORD_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(named)?;
    checked(first_line(&bytes)).map_err(|error| CliError::new(format!("{}: {error}", file.display())))
}

/// What a person types, twice; or the first line of what is piped in.
fn password_of_person(administrator: &Dn) -> Result<Zeroizing<Vec<u8>>, CliError> {
    if !std::io::stdin().is_terminal() {
        return checked(&read_line()?);
    }
    let first = typed(&format!("Password for {administrator}: "))?;
    if *first != *typed("Again: ")? {
        return Err(CliError::new("the two passwords differ"));
    }
    checked(&first)
}

/// One line without echo.
fn typed(question: &str) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let echo = |word: &str| Command::new("stty").arg(word).stdin(Stdio::inherit()).status();
    tell_without_end(question);
    // A terminal that goes on showing what is typed is better than none.
    let _ = echo("-echo");
    let line = read_line();
    let _ = echo("echo");
    tell("");
    line
}

fn read_line() -> Result<Zeroizing<Vec<u8>>, CliError> {
    let mut line = Zeroizing::new(Vec::with_capacity(256));
    let mut byte = [0_u8];
    let mut input = std::io::stdin().lock();
    while line.len() as u64 <= PASSWORD_BYTES_MAX && input.read(&mut byte)? == 1 && byte != [b'\n'] {
        line.extend_from_slice(&byte);
    }
    Ok(line)
}

fn first_line(bytes: &[u8]) -> &[u8] {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn checked(password: &[u8]) -> Result<Zeroizing<Vec<u8>>, CliError> {
    if password.is_empty() {
        return Err(CliError::new("the administrator's password is empty"));
    }
    if password.len() as u64 > PASSWORD_BYTES_MAX {
        return Err(CliError::new(format!("a password has at most {PASSWORD_BYTES_MAX} bytes")));
    }
    Ok(Zeroizing::new(password.to_vec()))
}

fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn tell_without_end(text: &str) {
    let mut out = std::io::stderr();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suffix_entry_follows_from_the_suffix() {
        for (suffix, class, rdn) in [
            ("dc=example,dc=com", "domain", "dc:: ZXhhbXBsZQ=="),
            ("o=Example \\, Inc", "organization", "o:: RXhhbXBsZSAsIElu"),
            ("C=FR", "country", "C:: RlI="),
        ] {
            let text = bootstrap(&Dn::parse(suffix).unwrap()).unwrap();
            assert!(text.contains(&format!("objectClass: {class}\n")) && text.contains(rdn), "{text}");
            assert!(!text.lines().any(|line| !line.starts_with('#') && line.contains('@')), "{text}");
        }
        assert!(bootstrap(&Dn::parse("cn=x").unwrap()).is_err());
        assert!(parse_suffix("--suffix", "").is_err() && parse_suffix("--suffix", "nonsense").is_err());
    }

    #[test]
    fn a_password_is_the_first_line() {
        assert_eq!(first_line(b"secret\n"), b"secret");
        assert_eq!(first_line(b"secret\r\nmore"), b"secret");
        assert_eq!(first_line(b" blanks count "), b" blanks count ");
        assert!(checked(first_line(b"\nsecret")).is_err());
        assert!(checked(&[b'x'; 1025]).is_err());
    }
}
