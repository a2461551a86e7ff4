//! What the tests of replication share: a tree in a folder of its own that takes others' updates.

use super::fixture::{self, attribute, cell};
use super::*;
use crate::clock::Clock;
use crate::model::{Dn, EntryUuid};
use crate::schema::Schema;
use crate::state::{AttributeId, Delta, LogRecord, OriginId};
use crate::storage::{EntryId, MetaName};
use std::sync::Arc;

mod carrying;
mod conflicts;
mod digests;
mod exchanges;
mod link_names;
mod losses;
mod model;
mod origins;
mod receipts;
mod returning;
mod settling;

/// The suffix of all.
const SUFFIX: &str = "dc=example,dc=com";

/// A node's tree. Origins are numbered, so that runs repeat.
struct Replica {
    dit: Dit,
    clock: Clock,
    folder: tempfile::TempDir,
    schema: Arc<Schema>,
}

/// What is encrypted where the folder has keys: text, numbers that count, and an attribute with many values.
const ENCRYPTED: [&str; 3] = ["description", "uidNumber", "mail"];

fn options(folder: &tempfile::TempDir) -> Options {
    let key_file = folder.path().join("keys");
    let encryption = if key_file.exists() {
        EncryptionOptions { attributes: ENCRYPTED.map(str::to_owned).to_vec(), key_file: Some(key_file) }
    } else {
        EncryptionOptions::default()
    };
    Options { durable: false, map_bytes: 1 << 28, encryption, ..Options::new(folder.path()) }
}

impl Replica {
    fn new(origin: u64, schema: &Arc<Schema>) -> Self {
        Self::new_in(tempfile::tempdir().unwrap(), origin, schema)
    }

    /// One that encrypts, with a key of its own.
    fn encrypting(origin: u64, schema: &Arc<Schema>) -> Self {
        use std::os::unix::fs::OpenOptionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path).unwrap();
        std::io::Write::write_all(&mut file, format!("{origin:064x}\n").as_bytes()).unwrap();
        Self::new_in(folder, origin, schema)
    }

    fn new_in(folder: tempfile::TempDir, origin: u64, schema: &Arc<Schema>) -> Self {
        let clock = Clock::simulated(1_700_000_000_000);
        let dit = Dit::open(options(&folder), Arc::clone(schema), clock.clone()).unwrap();
        let mut txn = dit.environment().write().unwrap();
        txn.put_meta(MetaName::Origin, &origin.to_be_bytes()).unwrap();
        txn.commit().unwrap();
        Self { dit, clock, folder, schema: Arc::clone(schema) }
    }

    /// Closes the tree and opens it again.
    fn reopen(self) -> Self {
        let Self { dit, clock, folder, schema } = self;
        drop(dit);
        let dit = Dit::open(options(&folder), Arc::clone(&schema), clock.clone()).unwrap();
        Self { dit, clock, folder, schema }
    }

    fn write<T>(&self, work: impl FnOnce(&mut Writing<'_>) -> T) -> T {
        fixture::write(&self.dit, work)
    }

    fn origin(&self) -> OriginId {
        let snapshot = self.dit.read().unwrap();
        OriginId(snapshot.view().reader().meta_u64(MetaName::Origin).unwrap())
    }

    fn sequence(&self, origin: OriginId) -> u64 {
        self.dit.read().unwrap().view().update_vector().unwrap().sequence(origin)
    }

    fn add(&self, uuid: u8, dn: &str, attributes: &[(&str, &[&str])]) -> EntryId {
        fixture::add(&self.dit, uuid, dn, attributes)
    }

    fn suffix(&self) -> EntryId {
        self.add(1, SUFFIX, &[("objectClass", &["domain"]), ("dc", &["example"])])
    }

    fn person(&self, uuid: u8, name: &str) -> EntryId {
        let attributes: [(&str, &[&str]); 3] =
            [("objectClass", &["inetOrgPerson"]), ("cn", &[name]), ("sn", &["surname"])];
        self.add(uuid, &format!("cn={name},{SUFFIX}"), &attributes)
    }

    fn id(&self, uuid: u8) -> EntryId {
        self.dit.read().unwrap().view().by_uuid(EntryUuid([uuid; 16])).unwrap().unwrap()
    }

    fn change(&self, uuid: u8, deltas: impl FnOnce(&mut Writing<'_>) -> Vec<Delta>) {
        fixture::change(&self.dit, self.id(uuid), deltas);
    }

    fn set(&self, uuid: u8, name: &str, value: &str, present: bool) {
        self.change(uuid, |writing| vec![cell(writing, name, value, present)]);
    }

    fn values(&self, uuid: u8, name: &str) -> Vec<String> {
        let id = self.dit.read().unwrap().view().by_uuid(EntryUuid([uuid; 16])).unwrap();
        id.map_or_else(Vec::new, |id| fixture::values(&self.dit, id, name).unwrap())
    }

    /// The records of an origin after number `held`.
    fn records(&self, origin: OriginId, held: u64) -> Vec<LogRecord> {
        match self.dit.read().unwrap().view().log_range(origin, held + 1, usize::MAX).unwrap() {
            LogRange::Records(records) => records,
            LogRange::Trimmed { .. } => panic!("trimmed"),
        }
    }

    fn receive(&self, record: &LogRecord) -> Receipt {
        self.write(|writing| writing.receive(record).unwrap())
    }

    /// Takes everything that `other` holds of its own origin and is missing here.
    fn follow(&self, other: &Self) {
        let origin = other.origin();
        for record in other.records(origin, self.sequence(origin)) {
            assert!(matches!(self.receive(&record), Receipt::Applied { .. }));
        }
    }

    #[track_caller]
    fn assert_sound(&self) {
        fixture::assert_sound(&self.dit);
    }
}
