//! Encryption of attributes at rest: which ones, with which keys, and the one door of records that hold their values.
//!
//! An administrator names attributes and a key file; from then on their values stand nowhere in clear in the data file.
//! Where they would:
//!
//! | record | what is encrypted |
//! |---|---|
//! | view | the attribute's values, with its place in the record: other attributes are read as ever |
//! | state | all of it, of an entry that has or had such a value, its digest with it |
//! | log, conflicts, questions | all of every record, the hash chain with it |
//! | index | no record: the equality index has a keyed hash, the other indexes leave the attribute out |
//! | bigvalues, unsettled | nothing: the attribute's values stay in their entry's record however many they are |
//! | digest, its journal, the sum in `meta` | all: the digest of one entry would let a guess be tried |
//!
//! A record says by its checksum whether it is encrypted, a view by the attribute's flags: reading needs no setting, and costs
//! nothing more where nothing is encrypted. Backups are copies of the encrypted file. What is sent to
//! clients, to other members (over TLS) and to LDIF is in clear; each member has keys and a list of its own, or none.
//!
//! Not encrypted, and therefore refused: attributes in names (the tree is kept by name; a name that another member gives
//! stays in clear), links (kept as entryUUID), operational attributes, passwords (hashed), and what the server itself reads
//! in each record. Left in clear: which entries have the attribute, how many values, about how long and which of them are equal;
//! the newest hash of each origin's chain; of a value that lost a conflict 64 bits of an unkeyed hash, by which members name
//! the conflict.
//!
//! Invariants
//! - A tree is opened to serve only when its file says that exactly the configured attributes are encrypted, with the
//!   first key of the key file; half-encrypted data is never served.
//! - A record of the door is bound to its table and key ([`CipherPlace`]).

mod anew;

pub use anew::{Anew, encrypt_anew};

use super::DitError;
use super::catalog::Catalog;
use super::index_keys::keys_of_value;
use crate::schema::{AttributeType, Schema};
use crate::state::{AttributeId, EntryState};
use crate::storage::{
    AttributeSlice, Body, CipherPlace, ENCRYPTED_BYTES_MORE, EntryId, IndexKind, KeyNumber, Keyring, MetaName, Reader,
    StorageError, ViewRecordBuilder, decrypted, index_key, seal, sealed_encrypted, sealed_encrypted_id, sealed_id,
    set_of, unseal_any, unseal_any_id, values_of_set,
};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Bytes before the content of a record: its checksum.
const CHECKSUM_BYTES: usize = 8;
const STATES: &str = "id2state";
const VIEWS: &str = "id2entry";

/// What an administrator wants encrypted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EncryptionOptions {
    /// Names or OIDs of attribute types.
    pub attributes: Vec<String>,
    /// The file with the keys.
    pub key_file: Option<PathBuf>,
}

/// The keys of a tree, and the OIDs of the attribute types that are encrypted.
#[derive(Debug)]
pub struct Encryption {
    keyring: Keyring,
    attributes: BTreeSet<String>,
}

impl Encryption {
    /// Whether values of the type with this OID are encrypted, also where the schema does not know it any more.
    pub fn covers(&self, oid: &str) -> bool {
        self.attributes.contains(oid)
    }

    /// The OIDs of the types whose values are encrypted.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().map(String::as_str)
    }
}

/// For what a tree is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// With the settings as they are; they must fit.
    AsConfigured,
    /// With the attributes and the key that the file says.
    AsRecorded,
    /// To make the file fit the settings.
    Anew,
}

/// What the file says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Recorded {
    /// Making it fit other settings was begun.
    is_under_way: bool,
    key: KeyNumber,
    attributes: BTreeSet<String>,
}

impl Recorded {
    pub(super) fn read(reader: Reader<'_>) -> Result<Option<Self>, DitError> {
        let Some(bytes) = reader.meta(MetaName::Encryption)? else { return Ok(None) };
        let read = || {
            let mut lines = std::str::from_utf8(bytes).ok()?.lines();
            let is_under_way = match lines.next()? {
                "done" => false,
                "under way" => true,
                _ => return None,
            };
            let key = KeyNumber::parse(lines.next()?)?;
            Some(Self { is_under_way, key, attributes: lines.map(str::to_owned).collect() })
        };
        let detail = || "what is encrypted is not in a form that this program knows".to_owned();
        read().map(Some).ok_or_else(|| StorageError::Corrupted { table: "meta", detail: detail() }.into())
    }

    fn text(&self) -> String {
        let state = if self.is_under_way { "under way" } else { "done" };
        let attributes = self.attributes.iter().map(|oid| format!("\n{oid}"));
        std::iter::once(format!("{state}\n{}", self.key)).chain(attributes).collect()
    }
}

/// The number of the key that a file is encrypted with, and the OIDs of the attributes; `None` when nothing is encrypted.
///
/// # Errors
/// [`DitError::Storage`].
pub fn encrypted_with(reader: Reader<'_>) -> Result<Option<(KeyNumber, Vec<String>)>, DitError> {
    Ok(Recorded::read(reader)?.map(|recorded| (recorded.key, recorded.attributes.into_iter().collect())))
}

fn refused(detail: String) -> DitError {
    DitError::Storage(StorageError::Encryption(detail))
}

/// The encryption that a tree is to be opened with. `recorded`: what the file says; a new file says nothing yet, and what is
/// returned is to be written to it ([`Encryption::recorded`]).
pub(super) fn decide(
    options: &EncryptionOptions,
    recorded: Option<&Recorded>,
    schema: &Schema,
    purpose: Purpose,
    is_new: bool,
) -> Result<Option<Encryption>, DitError> {
    let keyring = options.key_file.as_deref().map(Keyring::read).transpose()?;
    let wanted = wanted(options, schema)?;
    let needs_key = || {
        refused(match recorded {
            Some(recorded) => format!(
                "the data is encrypted with key {}; name the file with this key in storage.encryption_key_file",
                recorded.key
            ),
            None => "storage.encrypted_attributes needs a key: make one with entente encryption create-key FILE and name the file in storage.encryption_key_file".to_owned(),
        })
    };
    let Some(recorded) = recorded else {
        if wanted.is_empty() || purpose == Purpose::AsRecorded {
            return Ok(None);
        }
        let keyring = keyring.ok_or_else(needs_key)?;
        if is_new || purpose == Purpose::Anew {
            return Ok(Some(Encryption { keyring, attributes: wanted }));
        }
        return Err(refused(format!(
            "storage.encrypted_attributes names attributes that the data has in clear; {APPLY}"
        )));
    };
    let keyring = keyring.ok_or_else(needs_key)?;
    if !keyring.numbers().any(|number| number == recorded.key) {
        let numbers: Vec<String> = keyring.numbers().map(|number| number.to_string()).collect();
        return Err(refused(format!(
            "the data is encrypted with key {}, and the key file has {}; without the right key nobody can read it",
            recorded.key,
            numbers.join(", ")
        )));
    }
    if purpose == Purpose::Anew {
        return Ok(Some(Encryption { keyring, attributes: wanted }));
    }
    if recorded.is_under_way {
        return Err(refused(format!("encrypting the data anew was interrupted; finish it: {APPLY}")));
    }
    if purpose == Purpose::AsRecorded {
        let keyring = keyring.led_by(recorded.key).ok_or_else(needs_key)?;
        return Ok(Some(Encryption { keyring, attributes: recorded.attributes.clone() }));
    }
    if keyring.number() != recorded.key {
        return Err(refused(format!(
            "the data is encrypted with key {}, and the first key of the key file is {}; {APPLY}",
            recorded.key,
            keyring.number()
        )));
    }
    if wanted != recorded.attributes {
        let named = |oids: &BTreeSet<String>| {
            let name = |oid: &String| schema.attribute_type(oid).map_or(oid.as_str(), AttributeType::name).to_owned();
            if oids.is_empty() { "none".to_owned() } else { oids.iter().map(name).collect::<Vec<_>>().join(", ") }
        };
        return Err(refused(format!(
            "storage.encrypted_attributes is {}, and the data has encrypted {}; {APPLY}",
            named(&wanted),
            named(&recorded.attributes)
        )));
    }
    Ok(Some(Encryption { keyring, attributes: recorded.attributes.clone() }))
}

/// What to do about a file that does not fit.
const APPLY: &str = "stop the node, make a backup, and run: entente encryption apply --data DIR";

/// The OIDs of the types named.
fn wanted(options: &EncryptionOptions, schema: &Schema) -> Result<BTreeSet<String>, DitError> {
    let mut oids = BTreeSet::new();
    for name in &options.attributes {
        match schema.attribute_type(name) {
            Some(found) => {
                if let Some(why) = unfit(found) {
                    return Err(refused(format!("storage.encrypted_attributes: {name} cannot be encrypted: {why}")));
                }
                oids.insert(found.oid.clone());
            }
            // A type that was defined online, in a folder that does not know it yet.
            None if name.starts_with(|first: char| first.is_ascii_digit()) => {
                oids.insert(name.clone());
            }
            None => {
                return Err(refused(format!("storage.encrypted_attributes: {name} is not in the schema")));
            }
        }
    }
    Ok(oids)
}

/// OIDs under which are attributes of the server's own entries: policies, rules, members.
const OWN_ARCS: [&str; 2] = ["2.25.226734431000227364254570923804739913085.", "1.3.6.1.4.1.42.2.27.8.1."];

/// Attributes that the server reads in the record to find out what an entry is or whom it lists.
const READ_BY_SERVER: [&str; 6] = ["objectClass", "aci", "ref", "memberURL", "memberUid", "uid"];

/// Why values of this type cannot be encrypted.
fn unfit(attribute_type: &AttributeType) -> Option<&'static str> {
    let is_named = |name: &str| attribute_type.names.iter().any(|own| own.eq_ignore_ascii_case(name));
    if attribute_type.is_secret() {
        return Some("its values are hashed already, and every bind reads them");
    }
    if attribute_type.is_operational() || attribute_type.no_user_modification {
        return Some("it is operational: the server keeps it for itself");
    }
    if attribute_type.names_entries() {
        return Some("its values are names of entries, which are kept as links");
    }
    if attribute_type.collective {
        return Some("it is collective: its values stand in a subentry and are read with every entry below");
    }
    if READ_BY_SERVER.into_iter().any(is_named) || OWN_ARCS.iter().any(|arc| attribute_type.oid.starts_with(arc)) {
        return Some("the server itself reads it in every record, to know what an entry is");
    }
    None
}

impl Encryption {
    /// What a file says that is encrypted so.
    pub(super) fn recorded(&self) -> String {
        let attributes = self.attributes.clone();
        Recorded { is_under_way: false, key: self.keyring.number(), attributes }.text()
    }
}

/// The door.
impl Catalog {
    fn keyring(&self) -> Option<&Keyring> {
        self.encryption().map(|encryption| &encryption.keyring)
    }

    /// The keys that records are to be encrypted with, if anything is encrypted.
    fn encrypting(&self) -> Option<&Keyring> {
        let encryption = self.encryption().filter(|encryption| !encryption.attributes.is_empty());
        encryption.map(|encryption| &encryption.keyring)
    }

    /// The content of a record: checked, and decrypted if it is encrypted.
    pub(super) fn content<'r>(
        &self,
        table: &'static str,
        key: &[u8],
        record: &'r [u8],
    ) -> Result<Cow<'r, [u8]>, DitError> {
        let place = CipherPlace { table, key, attribute: None };
        Ok(match unseal_any(table, key, record)? {
            Body::Clear(body) => Cow::Borrowed(body),
            Body::Encrypted(body) => Cow::Owned(decrypted(self.keyring(), place, body)?),
        })
    }

    /// The record of a content that stands behind room for the checksum: encrypted if anything is.
    pub(super) fn record(&self, table: &'static str, key: &[u8], mut record: Vec<u8>) -> Result<Vec<u8>, DitError> {
        let Some(keyring) = self.encrypting() else {
            seal(key, &mut record);
            return Ok(record);
        };
        let content = record.get(CHECKSUM_BYTES..).unwrap_or_default();
        Ok(sealed_encrypted(key, &keyring.encrypt(CipherPlace { table, key, attribute: None }, content)?))
    }

    /// [`Catalog::content`] of a state record.
    pub(super) fn state_content<'r>(&self, id: EntryId, record: &'r [u8]) -> Result<Cow<'r, [u8]>, DitError> {
        Ok(match unseal_any_id(STATES, id, record)? {
            Body::Clear(body) => Cow::Borrowed(body),
            Body::Encrypted(body) => {
                let place = CipherPlace { table: STATES, key: &id.to_key(), attribute: None };
                Cow::Owned(decrypted(self.keyring(), place, body)?)
            }
        })
    }

    /// [`Catalog::record`] of a state: encrypted if it has an attribute that is.
    pub(super) fn state_record(&self, id: EntryId, state: &EntryState, record: Vec<u8>) -> Result<Vec<u8>, DitError> {
        let has_encrypted = || {
            let mut attributes = state.attributes.keys();
            attributes.any(|attribute| self.attribute(*attribute).is_some_and(|info| info.encrypted))
        };
        let Some(keyring) = self.encrypting().filter(|_| has_encrypted()) else { return Ok(sealed_id(id, record)) };
        let place = CipherPlace { table: STATES, key: &id.to_key(), attribute: None };
        let content = record.get(CHECKSUM_BYTES..).unwrap_or_default();
        Ok(sealed_encrypted_id(id, &keyring.encrypt(place, content)?))
    }

    /// The content of a record without checksum, of pieces of `piece_bytes`: decrypted if its length says that it is encrypted.
    pub(super) fn sums<'r>(
        &self,
        (table, key, piece_bytes): (&'static str, &[u8], usize),
        record: &'r [u8],
    ) -> Result<Cow<'r, [u8]>, DitError> {
        if record.len().is_multiple_of(piece_bytes) {
            return Ok(Cow::Borrowed(record));
        }
        debug_assert!(!ENCRYPTED_BYTES_MORE.is_multiple_of(piece_bytes), "the lengths tell one from the other");
        Ok(Cow::Owned(decrypted(self.keyring(), CipherPlace { table, key, attribute: None }, record)?))
    }

    /// The record of what [`Catalog::sums`] reads.
    pub(super) fn sums_record(&self, table: &'static str, key: &[u8], sums: Vec<u8>) -> Result<Vec<u8>, DitError> {
        match self.encrypting() {
            Some(keyring) => Ok(keyring.encrypt(CipherPlace { table, key, attribute: None }, &sums)?),
            None => Ok(sums),
        }
    }

    /// Puts the values of an encrypted attribute into a view.
    pub(super) fn put_encrypted(
        &self,
        (id, attribute): (EntryId, AttributeId),
        flags: u8,
        values: &[&[u8]],
        builder: &mut ViewRecordBuilder,
    ) -> Result<(), DitError> {
        let Some(keyring) = self.encrypting() else {
            return Err(refused("an attribute is encrypted and no key is there".to_owned()));
        };
        // Also where the index leaves the attribute out: what is indexed may change, and the index is made from views.
        let mut forms = Vec::new();
        if let Some(found) = self.attribute_type(attribute) {
            let mut normal = Vec::with_capacity(64);
            for value in values {
                normal.clear();
                if keys_of_value(self.schema(), found, value, &mut normal).is_some() {
                    forms.push(keyring.form(&normal));
                }
            }
            forms.sort_unstable();
        }
        let place = CipherPlace { table: VIEWS, key: &id.to_key(), attribute: Some(attribute) };
        builder.encrypted(attribute, flags, &forms, &keyring.encrypt(place, &set_of(values))?);
        Ok(())
    }

    /// The values of an encrypted attribute in a view; `None` when they are in clear.
    pub(super) fn decrypted_values(
        &self,
        id: EntryId,
        slice: &AttributeSlice<'_>,
    ) -> Result<Option<Vec<Vec<u8>>>, DitError> {
        let Some((_, ciphertext)) = slice.encrypted() else { return Ok(None) };
        let place = CipherPlace { table: VIEWS, key: &id.to_key(), attribute: Some(slice.id) };
        let set = decrypted(self.keyring(), place, ciphertext)?;
        Ok(Some(values_of_set(&set).map(<[u8]>::to_vec).collect()))
    }

    /// Where the equality index has a normal form of values of `base`, appended to `out`.
    pub fn equality_key(&self, base: AttributeId, normal: &[u8], out: &mut Vec<u8>) {
        let is_encrypted = self.attribute(base).is_some_and(|info| info.encrypted);
        match self.encrypting().filter(|_| is_encrypted) {
            Some(keyring) => index_key(base, IndexKind::Equality, &keyring.form(normal), out),
            None => index_key(base, IndexKind::Equality, normal, out),
        };
    }
}

#[cfg(test)]
mod tests;
