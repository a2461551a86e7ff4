//! T-47: sound files are taken, each fault is refused in words, and whatever is taken LMDB survives.

use super::super::{EntryId, Environment, MetaName, Options, PutMode, Table, dn2id_key, seal};
use super::layout::{BRANCH, LEAF, LEAF2, OVERFLOW, u16_at, u64_at};
use super::*;
use std::path::PathBuf;

const PAGE: usize = 4096;

/// splitmix64: the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

fn options(folder: &Path) -> Options {
    Options { map_bytes: 1 << 28, durable: false, ..Options::new(folder) }
}

fn sealed(key: &[u8], length: usize) -> Vec<u8> {
    let mut record = vec![7; length.max(8)];
    seal(key, &mut record);
    record
}

/// One commit of puts and deletes in tables of every kind.
fn commit(environment: &Environment, random: &mut Random) {
    let mut transaction = environment.write().unwrap();
    for _ in 0..60 {
        let number = random.below(300) as u64;
        let key = number.to_be_bytes();
        let id = EntryId(random.below(1_000) as u64);
        match random.below(8) {
            0 | 1 => {
                let length = [20, 300, 1_900, 5_000, 20_000][random.below(5)];
                transaction.put(Table::Log, &key, &sealed(&key, length), PutMode::Upsert).unwrap();
            }
            2 => transaction.delete(Table::Log, &key, None).map(drop).unwrap(),
            3 => {
                // Some keys have a few values, on a page in the node, and some have a tree of them.
                let key = dn2id_key(EntryId(number % 7), &vec![b'n'; 10 + number as usize % 5]);
                transaction.put(Table::Dn2Id, &key, &id.to_key(), PutMode::Upsert).unwrap();
            }
            4 => {
                for more in 0..200 {
                    let id = EntryId(id.0 + more).to_key();
                    transaction
                        .put(Table::Dn2Id, &dn2id_key(EntryId(number % 3), b"many"), &id, PutMode::Upsert)
                        .unwrap();
                }
            }
            5 => {
                let key = dn2id_key(EntryId(number % 3), b"many");
                transaction.delete(Table::Dn2Id, &key, Some(&id.to_key())).map(drop).unwrap();
            }
            6 => transaction.put(Table::Subordinates, &id.to_key(), &key, PutMode::Upsert).unwrap(),
            _ => transaction.delete(Table::Subordinates, &id.to_key(), None).map(drop).unwrap(),
        }
    }
    transaction.put_meta(MetaName::Format, &1_u32.to_be_bytes()).unwrap();
    transaction.commit().unwrap();
}

fn content(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("data.mdb")).unwrap()
}

/// A file that has pages of every kind, and free ones.
fn sample() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let environment = Environment::open(&options(folder.path())).unwrap();
    let mut random = Random(1);
    for _ in 0..40 {
        commit(&environment, &mut random);
    }
    drop(environment);
    content(folder.path())
}

/// Where the pages start that have these flags.
fn pages_of(file: &[u8], flags: u16) -> Vec<usize> {
    (2 * PAGE..file.len()).step_by(PAGE).filter(|at| u16_at(file, at + 10) == Some(flags)).collect()
}

/// Puts `bytes` at `offset` of each page of a kind, one after the other: what the walk says of each.
fn refusals(file: &[u8], flags: u16, patch: impl Fn(&mut [u8])) -> Vec<String> {
    let pages = pages_of(file, flags);
    assert!(!pages.is_empty(), "no page has {flags:#x}");
    let told = pages.into_iter().filter_map(|at| {
        let mut bad = file.to_vec();
        patch(&mut bad[at..at + PAGE]);
        walk_bytes(&bad).err().map(|unsound| unsound.to_string())
    });
    told.collect()
}

#[track_caller]
fn refused(file: &[u8], flags: u16, words: &str, patch: impl Fn(&mut [u8])) {
    let told = refusals(file, flags, patch);
    assert!(told.iter().any(|told| told.contains(words)), "{words}: {told:?}");
}

fn put_u16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

fn put_u64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// Where the first node of a page starts.
fn node(page: &[u8]) -> usize {
    usize::from(u16_at(page, 16).unwrap())
}

#[test]
fn whatever_lmdb_writes_is_sound_and_loses_no_page() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(5);
    for _ in 0..4 {
        let environment = Environment::open(&options(folder.path())).unwrap();
        for _ in 0..25 {
            commit(&environment, &mut random);
            let sound = walk_bytes(&content(folder.path())).unwrap();
            assert_eq!(sound.lost, 0);
            assert_eq!(environment.check_file().unwrap(), sound);
        }
        let copy = File::create(folder.path().join("copy")).unwrap();
        environment.copy_compact(&copy).unwrap();
        let sound = walk_bytes(&std::fs::read(folder.path().join("copy")).unwrap()).unwrap();
        assert_eq!((sound.free, sound.lost), (0, 0));
    }
    let (empty, file) = (tempfile::tempdir().unwrap(), sample());
    drop(Environment::open(&options(empty.path())).unwrap());
    walk_bytes(&content(empty.path())).unwrap();
    for flags in [BRANCH, LEAF, OVERFLOW, LEAF | LEAF2] {
        assert!(!pages_of(&file, flags).is_empty(), "the sample lacks {flags:#x}");
    }
    assert!(walk_bytes(&file).unwrap().free > 0);
}

#[test]
fn each_fault_of_the_meta_pages_is_refused() {
    let file = sample();
    let newer = if u64_at(&file, 144) > u64_at(&file, PAGE + 144) { 0 } else { PAGE };
    let refused = |words: &str, at: usize, bytes: &[u8]| {
        let mut bad = file.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        let told = walk_bytes(&bad).unwrap_err().to_string();
        assert!(told.contains(words), "{words}: {told}");
    };
    refused("is no meta page", 10, &[0]);
    refused("is an LMDB file", PAGE + 16, &[0]);
    refused("a version that is not known", 20, &[9]);
    refused("impossible size", 40, &1_u32.to_le_bytes());
    refused("is", 40, &8192_u32.to_le_bytes());
    refused("flags that this program never sets", newer + 44, &[9]);
    refused("flags of the main tree", newer + 92, &[4]);
    refused("ends where it cannot", newer + 136, &u64::MAX.to_le_bytes());
    refused("ends where it cannot", newer + 136, &0_u64.to_le_bytes());
    refused("belongs to the other one", newer + 144, &(1_001_u64 + (newer == PAGE) as u64).to_le_bytes());
    refused("impossible transaction", newer + 144, &u64::MAX.to_le_bytes());
    refused("and there is none", newer + 128, &1_u64.to_le_bytes());
    refused("deeper than one can be", newer + 94, &40_u16.to_le_bytes());
    refused("entries", newer + 120, &1_u64.to_le_bytes());
    for length in [0, 100, PAGE, PAGE + 100, 2 * PAGE, file.len() / 2] {
        assert!(walk_bytes(&file[..length]).is_err(), "cut off at {length}");
    }
}

#[test]
fn each_fault_of_a_page_is_refused() {
    let file = sample();
    refused(&file, BRANCH, "is not the one that it says", |page| put_u64(page, 0, 3));
    refused(&file, BRANCH, "no branch page", |page| put_u16(page, 10, LEAF));
    refused(&file, LEAF, "no leaf page", |page| put_u16(page, 10, LEAF | 0x10));
    refused(&file, LEAF | LEAF2, "no leaf page", |page| put_u16(page, 10, LEAF));
    refused(&file, LEAF, "bounds", |page| put_u16(page, 12, 15));
    refused(&file, LEAF, "bounds", |page| put_u16(page, 14, 4_098));
    refused(&file, LEAF, "bounds", |page| put_u16(page, 12, 4_000));
    refused(&file, LEAF, "is empty", |page| put_u16(page, 12, 16));
    refused(&file, BRANCH, "fewer pages", |page| put_u16(page, 12, 18));
    refused(&file, LEAF, "where there is none", |page| put_u16(page, 16, 16));
    refused(&file, LEAF, "where there is none", |page| {
        let odd = node(page) as u16 + 1;
        put_u16(page, 16, odd);
    });
    refused(&file, LEAF, "reaches beyond", |page| put_u16(page, 16, 4_094));
    refused(&file, LEAF, "over each other", |page| page.copy_within(16..18, 18));
    refused(&file, LEAF, "key that is too long", |page| put_u16(page, node(page) + 6, 512));
    refused(&file, LEAF, "of a kind that its table does not have", |page| put_u16(page, node(page) + 4, 0x40));
    refused(&file, LEAF, "not in order", |page| {
        let (at, length) = (node(page) + 8, usize::from(u16_at(page, node(page) + 6).unwrap()));
        page[at..at + length].fill(0xff);
    });
    refused(&file, LEAF | LEAF2, "values that are not in order", |page| page[16..24].fill(0xff));
    refused(&file, LEAF | LEAF2, "more values than room", |page| {
        put_u16(page, 14, 4_096);
        put_u16(page, 12, 3_000);
    });
    refused(&file, LEAF | LEAF2, "more free space than it has", |page| put_u16(page, 14, 4_096));
}

#[test]
fn each_fault_of_what_leads_to_pages_is_refused() {
    let file = sample();
    refused(&file, BRANCH, "in use or free already", |page| {
        let second = usize::from(u16_at(page, 18).unwrap());
        let first = node(page);
        page.copy_within(first..first + 4, second);
    });
    refused(&file, BRANCH, "and there is none", |page| put_u16(page, node(page) + 4, 1));
    refused(&file, BRANCH, "and there is none", |page| {
        let at = node(page);
        page[at..at + 4].fill(0);
    });
    refused(&file, OVERFLOW, "no overflow page", |page| put_u16(page, 10, LEAF));
    refused(&file, OVERFLOW, "longer than the pages", |page| page[12..16].fill(0));
    refused(&file, OVERFLOW, "and there is none", |page| page[12..16].fill(0xff));
    refused(&file, OVERFLOW, "fails its checksum", |page| page[30] ^= 1);
    // A free page that a tree leads to, or that is listed twice, or that is none: the list is in a leaf of keys of 8 bytes.
    let lists = |page: &mut [u8], change: fn(&mut [u8])| {
        let at = node(page);
        let (bytes, key) = (u16_at(page, at).unwrap(), u16_at(page, at + 6).unwrap());
        let data = at + 8 + usize::from(key);
        if key == 8 && bytes >= 24 && u64_at(page, data) == Some(u64::from(bytes / 8 - 1)) {
            change(&mut page[data..]);
        }
    };
    refused(&file, LEAF, "longer than its record", |page| lists(page, |list| put_u64(list, 0, 1 << 40)));
    refused(&file, LEAF, "free list) has a list of free pages that is not in order", |page| {
        lists(page, |list| list.copy_within(8..16, 16));
    });
    refused(&file, LEAF, "leads to page 1, and there is none", |page| {
        lists(page, |list| {
            let last = 8 * u64_at(list, 0).unwrap() as usize;
            put_u64(list, last, 1);
        });
    });
}

/// Opens a file with LMDB alone, reads everything and writes: it must only live.
fn use_it(folder: &Path) {
    let Ok(environment) = Environment::open(&Options { check: FileCheck::Never, ..options(folder) }) else { return };
    if let Ok(snapshot) = environment.read() {
        for table in Table::ALL {
            let Ok(mut cursor) = snapshot.reader().cursor(table) else { continue };
            let mut item = cursor.first().ok().flatten();
            let mut bytes = 0_u64;
            while let Some((key, value)) = item {
                bytes += key.iter().chain(value).map(|byte| u64::from(*byte)).sum::<u64>();
                item = cursor.next().ok().flatten();
            }
            assert!(bytes < u64::MAX);
        }
    }
    for seed in 0..4 {
        let mut random = Random(seed);
        let Ok(mut transaction) = environment.write() else { return };
        for _ in 0..40 {
            let key = (random.below(300) as u64).to_be_bytes();
            let id = EntryId(random.below(1_000) as u64).to_key();
            let done = match random.below(4) {
                0 => transaction.put(Table::Log, &key, &sealed(&key, 3_000), PutMode::Upsert),
                1 => transaction.delete(Table::Log, &key, None).map(drop),
                2 => transaction.put(Table::Dn2Id, &dn2id_key(EntryId(1), b"many"), &id, PutMode::Upsert),
                _ => transaction.delete(Table::Dn2Id, &dn2id_key(EntryId(1), b"many"), Some(&id)).map(drop),
            };
            if done.is_err() {
                return;
            }
        }
        if transaction.commit().is_err() {
            return;
        }
    }
}

/// How many mutants; `ENTENTE_FILES=100000 cargo test --lib storage::file` for more.
fn mutants() -> usize {
    std::env::var("ENTENTE_FILES").ok().and_then(|count| count.parse().ok()).unwrap_or(400)
}

#[test]
fn lmdb_survives_every_mutant_that_is_found_sound() {
    let file = sample();
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("data.mdb");
    let mut random = Random(77);
    let mut taken = 0;
    for _ in 0..mutants() {
        let mut bad = file.clone();
        let pages = bad.len() / PAGE;
        for _ in 0..=random.below(3) {
            let page = random.below(pages) * PAGE;
            match random.below(8) {
                0 => bad[page + random.below(16)] = random.below(256) as u8,
                1 => bad[page + random.below(PAGE)] ^= 1 << random.below(8),
                2 => put_u16(&mut bad, page + 16 + 2 * random.below(100), random.below(PAGE) as u16),
                3 => {
                    // The head of a node.
                    let at = page + node(&bad[page..]).min(PAGE - 8) + random.below(8);
                    bad[at] = random.below(256) as u8;
                }
                4 => {
                    let other = random.below(pages) * PAGE;
                    bad.copy_within(other..other + PAGE, page);
                }
                5 => bad[random.below(2) * PAGE + 40 + random.below(112)] = random.below(256) as u8,
                6 => bad[page + random.below(PAGE / 8) * 8] = random.below(256) as u8,
                _ => put_u16(&mut bad, page + [10, 12, 14][random.below(3)], random.below(PAGE) as u16),
            }
        }
        if walk_bytes(&bad).is_ok() {
            taken += 1;
            std::fs::write(&path, &bad).unwrap();
            let _ = std::fs::remove_file(folder.path().join("lock.mdb"));
            use_it(folder.path());
        }
    }
    println!("{taken} of {} mutants are sound", mutants());
    assert!(taken > 0);
}

#[test]
fn a_file_is_walked_unless_somebody_vouches_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let walked = |check| before_opening(folder.path(), check);
    assert!(walked(FileCheck::Always).unwrap().is_none(), "there is none yet");
    drop(Environment::open(&options(folder.path())).unwrap());
    assert!(walked(FileCheck::Changed).unwrap().is_some());
    leave_known(folder.path()).unwrap();
    assert!(walked(FileCheck::Changed).unwrap().is_none());
    assert!(walked(FileCheck::Always).unwrap().is_some());
    // Whoever opens it to write uses the note up.
    let lock = DataLock::acquire(folder.path(), super::super::LockUse::Serving).unwrap();
    assert!(walked(FileCheck::Changed).unwrap().is_none());
    assert!(walked(FileCheck::Changed).unwrap().is_some());
    drop(lock);
    // Another file, as large and as old.
    leave_known(folder.path()).unwrap();
    let path = folder.path().join("data.mdb");
    let mut bytes = std::fs::read(&path).unwrap();
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    bytes[10] = 0;
    std::fs::write(&path, &bytes).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    let told = walked(FileCheck::Changed).unwrap_err().to_string();
    assert!(told.contains("page 0 (meta) is no meta page") && told.contains("entente restore"), "{told}");
    assert!(walked(FileCheck::Never).unwrap().is_none());
}

/// A file that was finished and lacks a table is refused with the table's name, before any is made in its place; one whose making
/// was interrupted, which says no format yet, is made anew.
#[test]
fn a_file_that_lacks_a_table_is_refused_by_its_name() {
    use lmdb::{Transaction, WriteFlags};
    for missing in Table::ALL.into_iter().filter(|table| *table != Table::Meta) {
        let folder = tempfile::tempdir().unwrap();
        let make = |format: Option<u32>| {
            let made = lmdb::Environment::new().set_max_dbs(64).set_map_size(1 << 24).open(folder.path()).unwrap();
            for table in Table::ALL.into_iter().filter(|table| table.name_in_file() != missing.name_in_file()) {
                made.create_db(Some(table.name_in_file()), table.flags()).unwrap();
            }
            let meta = made.open_db(Some("meta")).unwrap();
            if let Some(format) = format {
                let mut transaction = made.begin_rw_txn().unwrap();
                transaction.put(meta, b"format", &format.to_be_bytes(), WriteFlags::empty()).unwrap();
                transaction.commit().unwrap();
            }
        };
        make(Some(super::super::FORMAT_VERSION));
        for _ in 0..2 {
            let refused = Environment::open(&options(folder.path())).err().expect("it lacks a table").to_string();
            assert!(refused.contains(&format!("no table {}:", missing.name_in_file())), "{refused}");
            assert!(refused.contains("backup"), "{refused}");
        }
        std::fs::remove_file(folder.path().join("data.mdb")).unwrap();
        make(None);
        Environment::open(&options(folder.path())).unwrap();
    }
}
