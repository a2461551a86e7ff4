//! Files that somebody else may have written: configuration, backups, data (T-47).

use std::io::Cursor;
use std::path::PathBuf;
use std::sync::LazyLock;

use entente::cli::archive::{Archive, Manifest};
use entente::config::{Config, SETTINGS};
use entente::storage::{EntryId, Environment, FileCheck, Options, PutMode, Table, dn2id_key, seal, walk_bytes};

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

/// A small data file with pages of every kind, and free ones.
static DATA: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = data_folder("sample");
    let options = Options { map_bytes: 1 << 28, durable: false, ..Options::new(&folder) };
    let environment = Environment::open(&options).expect("the temporary folder is writable");
    for commit in 0..6_u64 {
        let mut transaction = environment.write().expect("nobody else writes");
        for number in 0..60 + commit {
            let key = (commit % 3 * 100 + number).to_be_bytes();
            let mut record = vec![7; if number % 9 == 0 { 6_000 } else { 200 }];
            seal(&key, &mut record);
            transaction.put(Table::Log, &key, &record, PutMode::Upsert).expect("there is room");
            for (superior, name) in [(1, &b"many"[..]), (number % 20, b"few")] {
                for id in 0..12 {
                    let id = EntryId(commit * 1_000 + number * 12 + id).to_key();
                    let put = transaction.put(Table::Dn2Id, &dn2id_key(EntryId(superior), name), &id, PutMode::Upsert);
                    put.expect("there is room");
                }
            }
        }
        transaction.commit().expect("there is room");
    }
    drop(environment);
    let content = std::fs::read(folder.join("data.mdb")).expect("it was written a moment ago");
    // Gone at once, so that nothing is left behind whatever happens.
    let _ = std::fs::remove_dir_all(&folder);
    content
});

fn data_folder(what: &str) -> PathBuf {
    std::env::temp_dir().join(format!("entente-fuzz-{}-{what}", std::process::id()))
}

pub(super) fn data_file_seeds() -> Vec<Vec<u8>> {
    // Nothing; a byte that nobody reads; two of the head of the newest meta page that are as they were.
    vec![Vec::new(), vec![0, 0x2c, 1, 9], vec![1, 16, 0, 0xde, 1, 17, 0, 0xc0]]
}

/// Changes of a data file, each a page, an offset in it (two bytes) and what to put there: it is refused, or LMDB reads all of
/// it in this process, which would end if the walk had taken what it must not.
pub(super) fn data_file(input: &[u8]) -> bool {
    let mut content = DATA.clone();
    let pages = content.len() / 4096;
    for [page, low, high, value] in input.as_chunks::<4>().0 {
        let at = usize::from(*page) % pages * 4096 + usize::from(u16::from_le_bytes([*low, *high])) % 4096;
        content[at] = *value;
    }
    if let Err(unsound) = walk_bytes(&content) {
        assert!(!unsound.to_string().is_empty());
        return false;
    }
    let folder = data_folder("data");
    std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
    std::fs::write(folder.join("data.mdb"), &content).expect("the temporary folder is writable");
    let options = Options { map_bytes: 1 << 28, durable: false, check: FileCheck::Never, ..Options::new(&folder) };
    if let Ok(environment) = Environment::open(&options)
        && let Ok(snapshot) = environment.read()
    {
        for table in Table::ALL {
            let Ok(mut cursor) = snapshot.reader().cursor(table) else { continue };
            let mut item = cursor.first().ok().flatten();
            let mut sum = 0_u64;
            while let Some((key, value)) = item {
                sum += key.iter().chain(value).map(|byte| u64::from(*byte)).sum::<u64>();
                item = cursor.next().ok().flatten();
            }
            assert!(sum < u64::MAX);
        }
    }
    let _ = std::fs::remove_dir_all(&folder);
    true
}
