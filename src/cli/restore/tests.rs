//! Backups taken while the directory changes, and what is restored from them.

use super::*;
use crate::cli::backup::backup;
use crate::cli::export::{ExportOptions, export};
use crate::cli::import::{ImportOptions, import};
use crate::clock::Clock;
use crate::dit::{Dit, Options, Target, Writer, birth_deltas, check};
use crate::model::{AttributeDescription, Dn, EntryUuid};
use crate::schema::Schema;
use crate::storage::EntryId;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

fn options(directory: &Path) -> Options {
    Options { map_bytes: 1 << 28, ..Options::new(directory) }
}

fn open(directory: &Path) -> Dit {
    Dit::open(options(directory), Arc::new(Schema::builtin()), Clock::system()).unwrap()
}

fn example() -> (tempfile::TempDir, Dit) {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let how = ImportOptions { strict: true, ..ImportOptions::default() };
    let text = include_str!("../../../ldif/example.ldif");
    let schema = Arc::new(Schema::builtin());
    let options = options(directory.path());
    import(&options, &schema, text.as_bytes(), Path::new("x.ldif"), &how, &mut Progress::silent()).unwrap();
    let dit = open(directory.path());
    (directory, dit)
}

fn exported(dit: &Dit) -> Vec<u8> {
    let mut out = Vec::new();
    export(dit, &ExportOptions::default(), &mut out, &mut Progress::silent()).unwrap();
    out
}

/// Adds a suffix entry `dc=NUMBER` and returns once it is committed.
fn add(writer: &Writer, number: u64) {
    let (done, answered) = std::sync::mpsc::channel();
    let job = Box::new(move |writing: &mut crate::dit::Writing<'_>| {
        let dn = Dn::parse(&format!("dc=n{number}")).unwrap();
        let name = |text: &str| AttributeDescription::parse(text).unwrap();
        let class = writing.intern(&name("objectClass")).unwrap();
        let dc = writing.intern(&name("dc")).unwrap();
        let values = [(class, vec![b"domain".to_vec()]), (dc, vec![format!("n{number}").into_bytes()])];
        let deltas = birth_deltas(writing, &dn, EntryId::NONE, &values).unwrap();
        let mut uuid = [0; 16];
        getrandom::fill(&mut uuid).unwrap();
        writing.change(Target::New(EntryUuid(uuid)), "cn=admin", deltas).unwrap();
        let completion: crate::dit::Completion = Box::new(move |committed| {
            committed.unwrap();
            done.send(()).unwrap();
        });
        Ok(completion)
    });
    writer.submit(job).unwrap();
    answered.recv().unwrap();
}

#[test]
fn a_restored_backup_has_the_same_entries_and_another_identity() {
    let (directory, dit) = example();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("saved.zst");
    let (manifest, _) = backup(&dit, &file, |_| {}).unwrap();
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let copy = place.path().join("copy");
    let restored = restore(&file, &copy, false).unwrap();
    assert_eq!(restored.entries, manifest.entries);
    assert!(restored.node == manifest.node && restored.origin != manifest.origin);
    let again = open(&copy);
    assert!(exported(&again) == exported(&dit), "the content is the same");
    assert_eq!(check(&again, &mut |_, _| {}).unwrap().differences, Vec::<String>::new());
    drop(directory);
}

#[test]
fn a_restored_copy_takes_changes_and_checks_clean() {
    let (_directory, dit) = example();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("saved.zst");
    backup(&dit, &file, |_| {}).unwrap();
    let copy = place.path().join("copy");
    restore(&file, &copy, false).unwrap();
    let again = Arc::new(open(&copy));
    let (writer, thread) = Writer::start(Arc::clone(&again), 16).unwrap();
    add(&writer, 1);
    writer.stop();
    thread.join().unwrap();
    assert_eq!(check(&again, &mut |_, _| {}).unwrap().differences, Vec::<String>::new());
}

#[test]
fn a_backup_taken_while_writing_is_whole() {
    let (_directory, dit) = example();
    let dit = Arc::new(dit);
    let (writer, thread) = Writer::start(Arc::clone(&dit), 64).unwrap();
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writing = std::thread::spawn({
        let (writer, stop, acknowledged) = (writer.clone(), Arc::clone(&stop), Arc::clone(&acknowledged));
        move || {
            while !stop.load(Ordering::Relaxed) {
                add(&writer, acknowledged.load(Ordering::Relaxed));
                acknowledged.fetch_add(1, Ordering::Release);
            }
        }
    });
    let place = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let before = acknowledged.load(Ordering::Acquire);
        let file = place.path().join(format!("{round}.zst"));
        let (manifest, _) = backup(&dit, &file, |_| {}).unwrap();
        let copy = place.path().join(format!("{round}"));
        let restored = restore(&file, &copy, false).unwrap();
        assert!(restored.entries >= manifest.entries);
        let again = open(&copy);
        let snapshot = again.read().unwrap();
        for number in 0..before {
            let dn = Dn::parse(&format!("dc=n{number}")).unwrap();
            assert!(snapshot.view().resolve(&dn).unwrap().entry.is_some(), "an acknowledged write is missing");
        }
        drop(snapshot);
        assert_eq!(check(&again, &mut |_, _| {}).unwrap().differences, Vec::<String>::new());
    }
    stop.store(true, Ordering::Relaxed);
    writing.join().unwrap();
    writer.stop();
    thread.join().unwrap();
}

/// T-47.
#[test]
fn a_damaged_backup_leaves_everything_as_it_was() {
    let (_directory, dit) = example();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("saved.zst");
    backup(&dit, &file, |_| {}).unwrap();
    let copy = place.path().join("copy");
    restore(&file, &copy, false).unwrap();
    let before = exported(&open(&copy));
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let error = restore(&file, &copy, true).unwrap_err().to_string();
    assert!(error.contains("damaged") && error.contains("saved.zst"), "{error}");
    std::fs::write(&file, &bytes[..middle]).unwrap();
    let error = restore(&file, &copy, true).unwrap_err().to_string();
    assert!(error.contains("cut off") || error.contains("damaged"), "{error}");
    assert!(!copy.join("restore.tmp").exists());
    assert!(exported(&open(&copy)) == before);
}

#[test]
fn a_directory_with_data_is_replaced_only_when_asked() {
    let (_directory, dit) = example();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("saved.zst");
    backup(&dit, &file, |_| {}).unwrap();
    let copy = place.path().join("copy");
    drop(open(&copy));
    let error = restore(&file, &copy, false).unwrap_err().to_string();
    assert!(error.contains("--replace"), "{error}");
    restore(&file, &copy, true).unwrap();
    assert!(exported(&open(&copy)) == exported(&dit));
}
