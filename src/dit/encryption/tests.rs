//! What is encrypted is nowhere in clear, is shown as before, and does not open when it was tampered with.

use super::*;
use crate::clock::Clock;
use crate::dit::fixture::{self, cell};
use crate::dit::{Dit, LogRange, Options, ValueError, Writing, check, rdn_state};
use crate::model::{AttributeDescription, Rdn};
use crate::state::Delta;
use crate::storage::{PutMode, Table};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

const CANARY: &str = "canary-kq7w";
const SUFFIX: &str = "dc=example,dc=com";

struct Tree {
    dit: Option<Dit>,
    folder: tempfile::TempDir,
    encryption: EncryptionOptions,
}

fn keys(folder: &Path, keys: &[u8]) -> PathBuf {
    let path = folder.join("keys");
    let _ = std::fs::remove_file(&path);
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(&path).unwrap();
    let text: String = keys.iter().map(|key| format!("{key:064x}\n")).collect();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    path
}

impl Tree {
    /// With these attributes encrypted.
    fn new(attributes: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key_file = Some(keys(folder.path(), &[1]));
        let encryption =
            EncryptionOptions { attributes: attributes.iter().map(|name| (*name).to_owned()).collect(), key_file };
        let mut tree = Self { dit: None, folder, encryption };
        tree.open().unwrap();
        tree.add(1, SUFFIX, &[("objectClass", "domain"), ("dc", "example")]);
        tree
    }

    fn options(&self) -> Options {
        let encryption = self.encryption.clone();
        Options { durable: false, map_bytes: 1 << 28, encryption, ..Options::new(self.folder.path().join("data")) }
    }

    fn open(&mut self) -> Result<(), String> {
        self.dit = None;
        let dit = Dit::open(self.options(), Arc::new(Schema::builtin()), Clock::simulated(1_700_000_000_000));
        self.dit = Some(dit.map_err(|error| error.to_string())?);
        Ok(())
    }

    /// As `entente encryption apply` without its compaction.
    fn apply(&mut self) -> Result<Anew, String> {
        self.dit = None;
        let dit =
            Dit::open_to_encrypt(self.options(), Arc::new(Schema::builtin()), Clock::simulated(1_700_000_000_000));
        let done = encrypt_anew(&dit.map_err(|error| error.to_string())?, &mut |_, _| {});
        done.map_err(|error| error.to_string())
    }

    fn dit(&self) -> &Dit {
        self.dit.as_ref().unwrap()
    }

    fn write<T>(&self, work: impl FnOnce(&mut Writing<'_>) -> T) -> T {
        fixture::write(self.dit(), work)
    }

    fn try_add(&self, uuid: u8, dn: &str, attributes: &[(&str, &str)]) -> Result<EntryId, ValueError> {
        let values: Vec<[&str; 1]> = attributes.iter().map(|(_, value)| [*value]).collect();
        let attributes: Vec<(&str, &[&str])> =
            attributes.iter().zip(&values).map(|((name, _), values)| (*name, values.as_slice())).collect();
        fixture::try_add(self.dit(), uuid, dn, &attributes)
    }

    fn add(&self, uuid: u8, dn: &str, attributes: &[(&str, &str)]) -> EntryId {
        self.try_add(uuid, dn, attributes).unwrap()
    }

    fn person(&self, uuid: u8, name: &str, number: &str) -> EntryId {
        let attributes = [("objectClass", "inetOrgPerson"), ("cn", name), ("sn", name), ("employeeNumber", number)];
        self.add(uuid, &format!("cn={name},{SUFFIX}"), &attributes)
    }

    fn change(&self, id: EntryId, deltas: impl FnOnce(&mut Writing<'_>) -> Vec<Delta>) {
        fixture::change(self.dit(), id, deltas);
    }

    fn values(&self, id: EntryId, name: &str) -> Result<Vec<String>, String> {
        fixture::values(self.dit(), id, name)
    }

    #[track_caller]
    fn assert_sound(&self) {
        fixture::assert_sound(self.dit());
    }

    /// Whether the used pages of the data file hold a text: a compact copy has no others.
    fn holds(&self, text: &str) -> bool {
        let path = self.folder.path().join("copy");
        let file = std::fs::File::create(&path).unwrap();
        self.dit().environment().copy_compact(&file).unwrap();
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
    }
}

#[test]
fn a_value_is_nowhere_in_the_data_file_and_is_shown() {
    let tree = Tree::new(&["employeeNumber", "description"]);
    let ann = tree.person(2, "ann", CANARY);
    let bob = tree.person(3, "bob", "other");
    // More values than an attribute keeps in its record otherwise.
    tree.change(bob, |writing| {
        (0..90).map(|number| cell(writing, "description", &format!("{CANARY} {number}"), true)).collect()
    });
    tree.change(ann, |writing| {
        vec![cell(writing, "employeeNumber", CANARY, false), cell(writing, "employeeNumber", "canary-kq7w-2", true)]
    });
    tree.change(bob, |writing| vec![cell(writing, "description", &format!("{CANARY} 7"), false)]);
    assert_eq!(tree.values(ann, "employeeNumber").unwrap(), ["canary-kq7w-2"]);
    assert_eq!(tree.values(bob, "description").unwrap().len(), 89);
    tree.assert_sound();
    tree.change(bob, |_| vec![Delta::Dead]);
    tree.assert_sound();
    assert!(!tree.holds(CANARY), "with a deleted entry");
    // What is not encrypted is there, so that looking for it proves something.
    assert!(tree.holds("bob"));
    let snapshot = tree.dit().read().unwrap();
    let origin = snapshot.view().update_vector().unwrap().iter().next().unwrap().0;
    let LogRange::Records(records) = snapshot.view().log_range(origin, 1, usize::MAX).unwrap() else { panic!("kept") };
    let sent: Vec<u8> = records.into_iter().flat_map(|record| record.bytes).collect();
    assert!(sent.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()), "members are sent clear text");
}

#[test]
fn other_attributes_of_an_entry_stand_in_its_view_as_ever() {
    let tree = Tree::new(&["employeeNumber"]);
    let ann = tree.person(2, "ann", CANARY);
    let snapshot = tree.dit().read().unwrap();
    let view = snapshot.view();
    let entry = view.entry(ann).unwrap().unwrap();
    for slice in entry.record.attributes() {
        let info = view.catalog().attribute(slice.id).unwrap();
        assert_eq!(view.is_current(&entry, &slice), !info.encrypted, "{}", info.name);
        assert_eq!(slice.values().next().is_none(), info.encrypted, "{}", info.name);
    }
}

/// Writes bytes in the place of a record, with a right checksum: what somebody with the file can do.
fn forge(tree: &Tree, table: Table, id: EntryId, record: &[u8]) {
    let mut txn = tree.dit().environment().write().unwrap();
    txn.put(table, &id.to_key(), record, PutMode::Upsert).unwrap();
    txn.commit().unwrap();
}

#[test]
fn a_record_that_was_changed_or_moved_is_an_error_in_words() {
    let tree = Tree::new(&["employeeNumber"]);
    let (ann, bob) = (tree.person(2, "ann", CANARY), tree.person(3, "bob", "other"));
    let record = |table: Table, id: EntryId| {
        let read = tree.dit().environment().read().unwrap();
        read.reader().get(table, &id.to_key()).unwrap().unwrap().to_vec()
    };
    let (view_before, state_before) = (record(Table::Id2Entry, ann), record(Table::Id2State, ann));
    // Bob's records in ann's place.
    forge(&tree, Table::Id2Entry, ann, &sealed_id(ann, record(Table::Id2Entry, bob)));
    let error = tree.values(ann, "employeeNumber").unwrap_err();
    assert!(error.contains("was changed, or stood somewhere else before"), "{error}");
    let moved = record(Table::Id2State, bob);
    forge(&tree, Table::Id2State, ann, &sealed_encrypted_id(ann, &moved[8..]));
    let error = tree.dit().read().unwrap().view().state_of(ann).unwrap_err().to_string();
    assert!(error.contains("was changed, or stood somewhere else before"), "{error}");
    // One bit.
    let mut changed = view_before.clone();
    *changed.last_mut().unwrap() ^= 1;
    forge(&tree, Table::Id2Entry, ann, &sealed_id(ann, changed));
    assert!(tree.values(ann, "employeeNumber").is_err());
    assert_eq!(tree.values(ann, "sn").unwrap(), ["ann"]);
    let report = check(tree.dit(), &mut |_, _| {}).unwrap();
    assert!(report.difference_count > 0);
    forge(&tree, Table::Id2Entry, ann, &view_before);
    forge(&tree, Table::Id2State, ann, &state_before);
    tree.assert_sound();
}

#[test]
fn without_the_right_key_and_the_right_list_nothing_is_opened() {
    let mut tree = Tree::new(&["employeeNumber"]);
    let ann = tree.person(2, "ann", CANARY);
    let right = tree.encryption.clone();
    let mut refused = |encryption: EncryptionOptions, words: &str| {
        tree.encryption = encryption;
        let error = tree.open().unwrap_err();
        assert!(error.contains(words), "{error}");
    };
    refused(EncryptionOptions::default(), "name the file with this key in storage.encryption_key_file");
    keys(right.key_file.as_deref().unwrap().parent().unwrap(), &[2]);
    refused(right.clone(), "without the right key nobody can read it");
    keys(right.key_file.as_deref().unwrap().parent().unwrap(), &[2, 1]);
    refused(right.clone(), "the first key of the key file is");
    keys(right.key_file.as_deref().unwrap().parent().unwrap(), &[1, 2]);
    let attributes = vec!["employeeNumber".to_owned(), "description".to_owned()];
    refused(EncryptionOptions { attributes, ..right.clone() }, "entente encryption apply");
    refused(EncryptionOptions { attributes: Vec::new(), ..right.clone() }, "the data has encrypted employeeNumber");
    tree.encryption = right;
    tree.open().unwrap();
    assert_eq!(tree.values(ann, "employeeNumber").unwrap(), [CANARY]);
}

#[test]
fn data_in_clear_is_not_served_as_encrypted_until_it_is() {
    let mut tree = Tree::new(&[]);
    let ann = tree.person(2, "ann", CANARY);
    tree.change(ann, |writing| {
        (0..90).map(|number| cell(writing, "description", &format!("{CANARY} {number}"), true)).collect()
    });
    tree.change(ann, |writing| vec![cell(writing, "description", &format!("{CANARY} 3"), false)]);
    let bob = tree.person(3, "bob", CANARY);
    tree.change(bob, |_| vec![Delta::Dead]);
    let before = tree.values(ann, "description").unwrap();
    let digest = |tree: &Tree| {
        let snapshot = tree.dit().read().unwrap();
        (snapshot.view().digest().unwrap(), snapshot.view().digest_buckets().unwrap())
    };
    let sums = digest(&tree);
    assert!(tree.holds(CANARY));
    tree.encryption.attributes = vec!["employeeNumber".to_owned(), "description".to_owned()];
    let error = tree.open().unwrap_err();
    assert!(error.contains("attributes that the data has in clear"), "{error}");

    let done = tree.apply().unwrap();
    assert_eq!((done.entries, done.named), (3, 0));
    tree.open().unwrap();
    assert!(!tree.holds(CANARY));
    assert_eq!(tree.values(ann, "description").unwrap().len(), before.len());
    assert_eq!(tree.values(ann, "employeeNumber").unwrap(), [CANARY]);
    assert_eq!(digest(&tree), sums);
    tree.assert_sound();

    // Another key: the old one behind it until it is done.
    keys(tree.folder.path(), &[2, 1]);
    assert!(tree.open().is_err());
    tree.apply().unwrap();
    keys(tree.folder.path(), &[2]);
    tree.open().unwrap();
    assert_eq!(tree.values(ann, "employeeNumber").unwrap(), [CANARY]);
    tree.assert_sound();

    // And back.
    tree.encryption.attributes.clear();
    tree.apply().unwrap();
    tree.encryption.key_file = None;
    tree.open().unwrap();
    assert!(tree.holds(CANARY));
    assert_eq!(digest(&tree), sums);
    tree.assert_sound();
    tree.change(ann, |writing| vec![cell(writing, "description", "one more", true)]);
    tree.assert_sound();
}

#[test]
fn what_was_interrupted_is_not_served_until_it_is_finished() {
    let mut tree = Tree::new(&["employeeNumber"]);
    let ann = tree.person(2, "ann", CANARY);
    let mut txn = tree.dit().environment().write().unwrap();
    let text = txn.reader().meta(MetaName::Encryption).unwrap().unwrap().to_vec();
    let text = String::from_utf8(text).unwrap().replacen("done", "under way", 1);
    txn.put_meta(MetaName::Encryption, text.as_bytes()).unwrap();
    txn.commit().unwrap();
    let error = tree.open().unwrap_err();
    assert!(error.contains("was interrupted; finish it: "), "{error}");
    tree.apply().unwrap();
    tree.open().unwrap();
    assert_eq!(tree.values(ann, "employeeNumber").unwrap(), [CANARY]);
    tree.assert_sound();
}

#[test]
fn a_crash_in_the_middle_leaves_what_can_be_finished_with_both_keys() {
    let mut tree = Tree::new(&["employeeNumber"]);
    let ann = tree.person(2, "ann", CANARY);
    tree.dit = None;
    keys(tree.folder.path(), &[2, 1]);
    let dit = Dit::open_to_encrypt(tree.options(), Arc::new(Schema::builtin()), Clock::simulated(1_700_000_000_000));
    let dit = dit.unwrap();
    // After the states, and before the log.
    let crash = || encrypt_anew(&dit, &mut |_, _| panic!("a crash"));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(crash)).is_err());
    drop(dit);
    for only in [&[2][..], &[1]] {
        keys(tree.folder.path(), only);
        assert!(tree.open().is_err(), "{only:?}");
    }
    keys(tree.folder.path(), &[2, 1]);
    assert!(tree.open().unwrap_err().contains("was interrupted"));
    tree.apply().unwrap();
    keys(tree.folder.path(), &[2]);
    tree.open().unwrap();
    assert_eq!(tree.values(ann, "employeeNumber").unwrap(), [CANARY]);
    assert!(!tree.holds(CANARY));
    tree.assert_sound();
}

#[test]
fn an_unfinished_join_is_not_encrypted_anew() {
    let mut tree = Tree::new(&["employeeNumber"]);
    let mut txn = tree.dit().environment().write().unwrap();
    txn.put_meta(MetaName::IndexConfiguration, crate::dit::fill::UNDER_WAY).unwrap();
    txn.commit().unwrap();
    assert!(tree.apply().unwrap_err().contains("finish that first"));
    tree.open().unwrap();
    tree.apply().unwrap();
}

#[test]
fn what_the_schema_forgot_stays_encrypted() {
    let mut tree = Tree::new(&[]);
    let oid = "1.3.6.1.4.1.32473.1";
    let text = format!(
        "dn: cn=schema\nattributeTypes: ( {oid} NAME 'shoeSize' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )\n"
    );
    let sources = [crate::schema::SchemaSource { name: "shoes.ldif", text: &text }];
    let schema = Arc::new(Schema::builtin_and(&sources).unwrap());
    tree.encryption.attributes = vec![oid.to_owned()];
    tree.apply().unwrap();
    tree.dit = Some(Dit::open(tree.options(), schema, Clock::simulated(1_700_000_000_000)).unwrap());
    let ann = tree.person(2, "ann", "1");
    tree.change(ann, |writing| vec![cell(writing, "shoeSize", CANARY, true)]);
    assert_eq!(tree.values(ann, "shoeSize").unwrap(), [CANARY]);
    tree.open().unwrap();
    tree.change(ann, |writing| vec![cell(writing, "sn", "other", true)]);
    assert!(!tree.holds(CANARY));
    tree.assert_sound();
    // And is found by its value when the schema knows it again.
    let schema = Arc::new(Schema::builtin_and(&sources).unwrap());
    tree.dit = None;
    tree.dit = Some(Dit::open(tree.options(), schema, Clock::simulated(1_700_000_000_000)).unwrap());
    tree.assert_sound();
    let snapshot = tree.dit().read().unwrap();
    let (view, mut key) = (snapshot.view(), Vec::new());
    let shoe = view.catalog().find(&AttributeDescription::parse("shoeSize").unwrap()).unwrap();
    view.catalog().equality_key(shoe, CANARY.as_bytes(), &mut key);
    assert!(crate::storage::Postings::has(view.reader(), &key, ann).unwrap());
}

#[test]
fn no_entry_is_named_by_what_is_encrypted() {
    let mut tree = Tree::new(&["employeeNumber"]);
    let named = [("objectClass", "inetOrgPerson"), ("cn", "cid"), ("sn", "cid"), ("employeeNumber", "7")];
    let refused = tree.try_add(4, &format!("employeeNumber=7,{SUFFIX}"), &named).unwrap_err();
    assert!(matches!(refused, ValueError::Encrypted { .. }), "{refused}");
    tree.write(|writing| {
        assert!(rdn_state(writing, &Rdn::parse("cn=x+employeeNumber=7").unwrap()).is_err());
    });
    // Nor can what names entries be encrypted.
    tree.person(5, "dan", "5");
    tree.encryption.attributes = vec!["cn".to_owned()];
    let error = tree.apply().unwrap_err();
    assert!(error.contains("1 entries are named by") && error.contains("cn=dan"), "{error}");
    tree.encryption.attributes = vec!["employeeNumber".to_owned()];
    tree.open().unwrap();
    tree.assert_sound();
}

#[test]
fn what_the_server_reads_itself_cannot_be_encrypted() {
    let schema = Schema::builtin();
    for name in [
        "objectClass",
        "userPassword",
        "member",
        "manager",
        "entryUUID",
        "modifyTimestamp",
        "aci",
        "memberUid",
        "ref",
        "pwdMaxAge",
        "nothing",
    ] {
        let options = EncryptionOptions { attributes: vec![name.to_owned()], key_file: None };
        let error = wanted(&options, &schema).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
    let options = EncryptionOptions {
        attributes: vec!["MAIL".to_owned(), "0.9.2342.19200300.100.1.3".to_owned()],
        key_file: None,
    };
    assert_eq!(wanted(&options, &schema).unwrap().len(), 1);
}
