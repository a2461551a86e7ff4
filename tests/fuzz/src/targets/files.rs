//! Files that somebody else may have written: configuration and backups (T-47).

use std::io::Cursor;
use std::path::PathBuf;
use std::sync::LazyLock;

use entente::cli::archive::{Archive, Manifest};
use entente::config::{Config, SETTINGS};

use super::texts;

pub(super) fn configuration_seeds() -> Vec<Vec<u8>> {
    let all: Vec<String> =
        Config::default().values().into_iter().map(|(setting, value)| format!("{setting}={value}")).collect();
    let mut seeds = texts(&[
        "[server]\nlisten = [\"ldap://127.0.0.1:3389\", \"ldaps://*\"]\n[limits]\nsize = 500\n",
        "[tls]\nmin_version = \"1.3\"\n[password]\nscheme = \"argon2id\"\n[log]\nlevel = 'debug'\n",
        "limits.size=0",
        "server.listen=[\"ldap://[::1]:0\"]",
    ]);
    seeds.extend(all.into_iter().map(String::into_bytes));
    seeds
}

/// A file and a `--set` argument: a configuration, or mistakes in words.
pub(super) fn configuration(input: &[u8]) -> bool {
    static FILE: LazyLock<PathBuf> =
        LazyLock::new(|| std::env::temp_dir().join(format!("entente-fuzz-{}.toml", std::process::id())));
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let mut is_read = false;
    if text.starts_with('[') && std::fs::write(&*FILE, input).is_ok() {
        is_read = told(Config::load(Some(FILE.as_path()), &[]).map_err(|error| error.to_string()));
        // Gone at once, so that nothing is left behind whatever happens.
        let _ = std::fs::remove_file(&*FILE);
    }
    told(Config::load(None, &[text.to_owned()]).map_err(|error| error.to_string())) || is_read
}

fn told(outcome: Result<Config, String>) -> bool {
    match outcome {
        Ok(config) => {
            assert_eq!(config.values().len(), SETTINGS.len());
            true
        }
        Err(error) => {
            assert!(!error.is_empty());
            false
        }
    }
}

/// The content of an archive, as it is before it is compressed.
pub(super) fn backup_seeds() -> Vec<Vec<u8>> {
    let archive = |data: &[u8]| {
        let manifest = Manifest { cluster: "c".to_owned(), entries: 3, ..Manifest::empty() };
        let written = entente::cli::archive::write(&manifest, data, Vec::new(), |_| {});
        let (packed, _) = written.expect("memory takes all");
        zstd::decode_all(&packed[..]).expect("was packed a moment ago")
    };
    vec![archive(b"some pages of data"), archive(b"")]
}

/// A backup, as it is and packed: opened and copied, or refused; what is copied is what its seal says.
pub(super) fn backup(input: &[u8]) -> bool {
    let packed = zstd::encode_all(input, 1).expect("memory takes all");
    [input, &packed].into_iter().any(|bytes| {
        let Ok(archive) = Archive::open(Cursor::new(bytes)) else { return false };
        let mut data = Vec::new();
        if let Ok(seal) = archive.copy_data(&mut data, |_| {}) {
            assert_eq!(seal.bytes, data.len() as u64);
        }
        true
    })
}
