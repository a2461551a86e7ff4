//! cn=cluster: what the members of a cluster share beside the data, kept as entries and therefore replicated like them.
//!
//! A suffix of its own, which no search meets by chance: it is not among the naming contexts, not in an export, and has
//! no access rule, so that only the administrator reads it. The administrator is here, so that it is the same on every
//! member; members, invitations and the authority are `replication`'s, which writes them through the functions below.
//!
//! Invariants
//! - Entries of cn=cluster change by local changes like all others: stamped, logged, replicated.
//! - Writing what is there already changes nothing, so that every member may make sure at every start.

use super::DitError;
use super::tree::Dit;
use super::values::{ValueError, birth_deltas, value_of};
use super::view::{Entry, View};
use super::writing::{Target, Writing};
use crate::model::{AttributeDescription, Dn, EntryUuid};
use crate::state::{AttributeId, Delta};
use crate::storage::{EntryId, MetaName, StorageError};

/// The suffix.
pub const CLUSTER_DN: &str = "cn=cluster";
/// What the entries of members stand below.
pub const MEMBERS_DN: &str = "cn=members,cn=cluster";
/// Who is written down as having changed its entries.
const AUTHOR: &str = CLUSTER_DN;

/// Names and values of an entry.
pub type NamedValues = Vec<(String, Vec<Vec<u8>>)>;

/// An entry of cn=cluster apart from any tree.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterEntry {
    /// Its DN.
    pub dn: String,
    /// Its identity.
    pub uuid: EntryUuid,
    /// All values, secrets too.
    pub attributes: NamedValues,
}

impl<'t> View<'t> {
    /// The suffixes that hold data: all but cn=cluster, ordered by normalised DN.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn suffixes(&self) -> Result<Vec<EntryId>, DitError> {
        let mut found = Vec::new();
        for id in self.children(EntryId::NONE)? {
            let id = id?;
            let is_cluster =
                self.entry(id)?.is_some_and(|entry| entry.record.rdn().eq_ignore_ascii_case(b"cn=cluster"));
            if !is_cluster {
                found.push(id);
            }
        }
        Ok(found)
    }

    /// The entry of this name.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`] when `dn` is no DN.
    pub fn entry_named(&self, dn: &str) -> Result<Option<Entry<'t>>, DitError> {
        match self.resolve(&parsed(dn)?)?.entry {
            Some(id) => self.entry(id),
            None => Ok(None),
        }
    }

    /// The values of an attribute by its name; none when nobody ever used it.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn values_named(&self, entry: &Entry<'t>, name: &str) -> Result<Vec<Vec<u8>>, DitError> {
        let number = AttributeDescription::parse(name).ok().and_then(|name| self.catalog().find(&name));
        match number.and_then(|number| entry.attribute(number)) {
            Some(slice) => self.values(entry, &slice),
            None => Ok(Vec::new()),
        }
    }

    /// Everything at and below cn=cluster, superiors first.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn cluster_entries(&self) -> Result<Vec<ClusterEntry>, DitError> {
        let mut found = Vec::new();
        let mut waiting: Vec<EntryId> = self.entry_named(CLUSTER_DN)?.into_iter().map(|entry| entry.id).collect();
        while let Some(id) = waiting.pop() {
            let Some(entry) = self.entry(id)? else { continue };
            let mut attributes = NamedValues::new();
            for slice in entry.record.attributes() {
                if let Some(info) = self.catalog().attribute(slice.id) {
                    attributes.push((info.name.clone(), self.values(&entry, &slice)?));
                }
            }
            let dn = self.dn_text(id)?.unwrap_or_default();
            found.push(ClusterEntry { dn, uuid: entry.record.uuid(), attributes });
            for child in self.children(id)? {
                waiting.push(child?);
            }
        }
        Ok(found)
    }

    /// The administrator's DN and stored password.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn administrator(&self) -> Result<Option<(String, Vec<u8>)>, DitError> {
        let Some(entry) = self.entry_named(CLUSTER_DN)? else { return Ok(None) };
        let Some(name) = self.values_named(&entry, "administratorName")?.into_iter().next() else { return Ok(None) };
        let password = self.values_named(&entry, "administratorPassword")?.into_iter().next().unwrap_or_default();
        Ok(Some((String::from_utf8_lossy(&name).into_owned(), password)))
    }
}

impl Dit {
    /// The administrator's DN and stored password.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn administrator(&self) -> Result<Option<(String, Vec<u8>)>, StorageError> {
        self.read().and_then(|snapshot| snapshot.view().administrator()).map_err(|error| match error {
            DitError::Storage(error) => error,
            other => StorageError::Corrupted { table: "id2entry", detail: other.to_string() },
        })
    }

    /// Sets the administrator, and makes cn=cluster if it is not there. For `init`, and for tests.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn set_administrator(&self, dn: &str, password: &[u8]) -> Result<(), DitError> {
        let mut writing = Writing::begin(self)?;
        writing.put_entry(
            CLUSTER_DN,
            &[
                ("objectClass", vec![b"clusterRoot".to_vec()]),
                ("cn", vec![b"cluster".to_vec()]),
                ("administratorName", vec![dn.as_bytes().to_vec()]),
                ("administratorPassword", vec![password.to_vec()]),
            ],
        )?;
        writing.commit()
    }

    /// Runs a change when nobody serves the tree, and commits it.
    ///
    /// # Errors
    /// What `change` gives; then nothing was written.
    pub fn change_offline<T>(
        &self,
        change: impl FnOnce(&mut Writing<'_>) -> Result<T, DitError>,
    ) -> Result<T, DitError> {
        let mut writing = Writing::begin(self)?;
        let made = change(&mut writing)?;
        writing.commit()?;
        Ok(made)
    }
}

impl Writing<'_> {
    /// The administrator's stored password as it is in the transaction.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn administrator_password(&self) -> Result<Vec<u8>, DitError> {
        Ok(self.view().administrator()?.map(|(_, password)| password).unwrap_or_default())
    }

    /// Stores another password (hashed) for the administrator, on all members.
    ///
    /// # Errors
    /// [`DitError::Storage`]: the transaction is then to be dropped.
    pub fn set_administrator_password(&mut self, hash: &[u8]) -> Result<(), DitError> {
        self.put_entry(CLUSTER_DN, &[("administratorPassword", vec![hash.to_vec()])]).map(|_| ())
    }

    /// Sets a value of this node alone: not logged, not replicated. Empty bytes count as not set.
    ///
    /// # Errors
    /// [`DitError::Storage`]: the transaction is then to be dropped.
    pub fn put_meta(&mut self, name: MetaName, value: &[u8]) -> Result<(), DitError> {
        Ok(self.txn.put_meta(name, value)?)
    }

    /// Makes the entry, or gives the one that is there these values of the attributes named; others stay.
    ///
    /// The caller knows the schema: values are not checked. The superior must be there, but for a suffix.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`]: no DN, no superior, an attribute that the schema does not know.
    pub fn put_entry(&mut self, dn: &str, attributes: &[(&str, Vec<Vec<u8>>)]) -> Result<EntryId, DitError> {
        let name = parsed(dn)?;
        let mut numbered = Vec::with_capacity(attributes.len());
        for (attribute, values) in attributes {
            numbered.push((self.number_of(attribute)?, values.clone()));
        }
        match self.view().resolve(&name)?.entry {
            None => {
                numbered.retain(|(_, values)| !values.is_empty());
                let uuid = self.fresh_uuid()?;
                self.make_entry(&name, uuid, &numbered)
            }
            Some(id) => {
                let mut deltas = Vec::new();
                for (attribute, values) in &numbered {
                    self.replace_deltas(id, *attribute, values, &mut deltas)?;
                }
                if !deltas.is_empty() {
                    self.change(Target::Existing(id), AUTHOR, deltas)?;
                }
                Ok(id)
            }
        }
    }

    /// Makes an entry as it was in another tree; one that is here already stays as it is.
    ///
    /// # Errors
    /// As [`Writing::put_entry`].
    pub fn copy_entry(&mut self, entry: &ClusterEntry) -> Result<(), DitError> {
        let name = parsed(&entry.dn)?;
        if self.view().resolve(&name)?.entry.is_some() {
            return Ok(());
        }
        let mut numbered = Vec::with_capacity(entry.attributes.len());
        for (attribute, values) in &entry.attributes {
            numbered.push((self.number_of(attribute)?, values.clone()));
        }
        self.make_entry(&name, entry.uuid, &numbered).map(|_| ())
    }

    /// Deletes the entry; one that is not there is no error.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn delete_entry(&mut self, dn: &str) -> Result<(), DitError> {
        if let Some(id) = self.view().resolve(&parsed(dn)?)?.entry {
            self.change(Target::Existing(id), AUTHOR, vec![Delta::Dead])?;
        }
        Ok(())
    }

    fn make_entry(
        &mut self,
        name: &Dn,
        uuid: EntryUuid,
        attributes: &[(AttributeId, Vec<Vec<u8>>)],
    ) -> Result<EntryId, DitError> {
        let parent = match name.superior().filter(|superior| !superior.is_root()) {
            None => EntryId::NONE,
            Some(superior) => self
                .view()
                .resolve(&superior)?
                .entry
                .ok_or_else(|| unfit(format!("{name} cannot be made: its superior is not there")))?,
        };
        let deltas = birth_deltas(self, name, parent, attributes).map_err(unfit_value)?;
        Ok(self.change(Target::New(uuid), AUTHOR, deltas)?.0)
    }

    /// What makes `values` the values; nothing if they are that already.
    fn replace_deltas(
        &self,
        id: EntryId,
        attribute: AttributeId,
        values: &[Vec<u8>],
        deltas: &mut Vec<Delta>,
    ) -> Result<(), DitError> {
        let view = self.view();
        let held = match view.entry(id)? {
            Some(entry) => match entry.attribute(attribute) {
                Some(slice) => view.values(&entry, &slice)?,
                None => Vec::new(),
            },
            None => Vec::new(),
        };
        if held == values {
            return Ok(());
        }
        let Some(info) = view.catalog().attribute(attribute) else { return Ok(()) };
        deltas.push(Delta::Clear(attribute));
        for (order, value) in values.iter().enumerate() {
            let (key, value) = value_of(&view, info, value).map_err(unfit_value)?;
            let order = u32::try_from(order).unwrap_or(u32::MAX);
            deltas.push(Delta::Cell { attribute, key, order, present: true, value });
        }
        Ok(())
    }

    fn number_of(&mut self, attribute: &str) -> Result<AttributeId, DitError> {
        let description = AttributeDescription::parse(attribute).map_err(|error| unfit(error.to_string()))?;
        self.intern(&description)
    }

    fn fresh_uuid(&self) -> Result<EntryUuid, DitError> {
        let mut random = [0; 10];
        getrandom::fill(&mut random)
            .map_err(|_| DitError::Unavailable("the operating system gives no random numbers"))?;
        Ok(EntryUuid::v7(self.now_ms(), random))
    }
}

fn parsed(dn: &str) -> Result<Dn, DitError> {
    Dn::parse(dn).map_err(|error| unfit(format!("{dn}: {error}")))
}

fn unfit(detail: String) -> DitError {
    DitError::State { id: 0, detail }
}

fn unfit_value(error: ValueError) -> DitError {
    match error {
        ValueError::Dit(error) => error,
        error @ (ValueError::Invalid { .. } | ValueError::Encrypted { .. }) => unfit(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::schema::Schema;
    use std::sync::Arc;

    fn tree() -> (Dit, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let options = crate::dit::Options::new(folder.path());
        (Dit::open(options, Arc::new(Schema::builtin()), Clock::simulated(1_700_000_000_000)).unwrap(), folder)
    }

    #[test]
    fn the_administrator_is_an_attribute_of_a_suffix_that_is_no_naming_context() {
        let (dit, _folder) = tree();
        assert_eq!(dit.administrator().unwrap(), None);
        dit.set_administrator("cn=admin,dc=example", b"{X}1").unwrap();
        dit.change_offline(|writing| writing.set_administrator_password(b"{X}2")).unwrap();
        assert_eq!(dit.administrator().unwrap(), Some(("cn=admin,dc=example".to_owned(), b"{X}2".to_vec())));
        let snapshot = dit.read().unwrap();
        assert!(snapshot.view().suffixes().unwrap().is_empty());
        assert!(crate::dit::check(&dit, &mut |_, _| {}).unwrap().differences.is_empty());
    }

    #[test]
    fn writing_what_is_there_already_is_no_change() {
        let (dit, _folder) = tree();
        dit.set_administrator("cn=admin,dc=example", b"{X}1").unwrap();
        let sequence = || dit.read().unwrap().view().reader().meta_u64(MetaName::Sequence).unwrap();
        let before = sequence();
        dit.set_administrator("cn=admin,dc=example", b"{X}1").unwrap();
        assert_eq!(sequence(), before);
    }

    #[test]
    fn entries_go_to_another_tree_with_their_secrets_and_identity() {
        let (dit, _folder) = tree();
        dit.set_administrator("cn=admin,dc=example", b"{X}1").unwrap();
        let folder_class = ("objectClass", vec![b"clusterContainer".to_vec()]);
        dit.change_offline(|writing| {
            writing.put_entry("cn=members,cn=cluster", &[folder_class, ("cn", vec![b"members".to_vec()])])
        })
        .unwrap();
        let entries = dit.read().unwrap().view().cluster_entries().unwrap();
        assert_eq!(entries.len(), 2);
        let (other, _other_folder) = tree();
        other.change_offline(|writing| entries.iter().try_for_each(|entry| writing.copy_entry(entry))).unwrap();
        assert!(other.read().unwrap().view().cluster_entries().unwrap() == entries);
        assert_eq!(other.administrator().unwrap(), dit.administrator().unwrap());
        other.change_offline(|writing| writing.delete_entry("cn=members,cn=cluster")).unwrap();
        assert_eq!(other.read().unwrap().view().cluster_entries().unwrap().len(), 1);
    }
}
