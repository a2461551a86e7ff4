//! The catalog: every attribute description that the node has ever stored, numbered, beside the schema that
//! explains it.
//!
//! Records and index keys name attributes by a small number, because names are long and change spelling. The
//! numbers are this node's own: what is sent to others is the attribute key, `OID;option;option`. A catalog is an
//! immutable snapshot; the writer makes a new one when it meets a description for the first time.
//!
//! Invariants
//! - An [`AttributeId`] once given never changes its meaning; numbers are dense from 0.
//! - A description with options is numbered after its bare type, which names the index keys of both.

mod index_options;
mod well_known;

pub use index_options::{IndexOptions, Indexed};
pub use well_known::WellKnown;

use super::DitError;
use super::encryption::Encryption;
use crate::model::AttributeDescription;
use crate::schema::{AttributeType, AttributeTypeIndex, Schema};
use crate::state::{AttributeId, OriginId};
use crate::storage::{PutMode, Reader, Table, WriteTransaction};
use hashbrown::HashMap;
use std::sync::Arc;
use well_known::WELL_KNOWN_NAMES;

/// How many attribute descriptions a node can number; more would be an attack, not a directory.
const ATTRIBUTES_MAX: usize = 65_536;

/// How many it numbers when other nodes send them: a view record has 24 bits for the number.
const ATTRIBUTES_RECEIVED_MAX: usize = 1 << 24;

/// How many descriptions with options of one attribute type clients can bring about: each language in several writings.
/// A number is never taken back and a search looks at all of a type, so that who may write a telephone number must not
/// be able to use up all numbers, nor to make searches slow, by inventing options.
const OPTIONS_MAX: usize = 256;

/// One numbered attribute description.
#[derive(Clone, Debug)]
pub struct AttributeInfo {
    /// `OID;option;option`.
    pub key: String,
    /// Its type; `None` when the schema does not know it (any more).
    pub attribute_type: Option<AttributeTypeIndex>,
    /// The bare type's number: what index keys begin with.
    pub base: AttributeId,
    /// Options, lower case, sorted.
    pub options: Vec<String>,
    /// The name to answer with when the client did not spell one.
    pub name: String,
    /// Not returned for `*`.
    pub operational: bool,
    /// Values are kept as links where the target exists.
    pub links: bool,
    /// At most one value.
    pub single_value: bool,
    /// Says who is in a group or has a role: with it changes what access rules come to.
    pub membership: bool,
    /// Holds password hashes.
    pub secret: bool,
    /// Whether its values are encrypted in the data file.
    pub encrypted: bool,
    /// Whether its values are shown to nobody.
    pub sealed: bool,
    /// Whether a change of it leaves `modifyTimestamp` as it was.
    pub volatile: bool,
    /// Shown in all entries of a subtree (RFC 3671).
    pub collective: bool,
    /// In which indexes.
    pub indexed: Indexed,
}

/// See the module.
#[derive(Clone)]
pub struct Catalog {
    schema: Arc<Schema>,
    options: Arc<IndexOptions>,
    encryption: Option<Arc<Encryption>>,
    attributes: Vec<AttributeInfo>,
    by_key: HashMap<String, AttributeId>,
    /// For each attribute type: the numbers of its descriptions and of all its subtypes' descriptions.
    by_type: Vec<Vec<AttributeId>>,
    /// Attribute numbers with links that are indexed: where referrers of an entry are found.
    link_attributes: Vec<AttributeId>,
    has_hidden_referrers: bool,
    has_collective: bool,
    well_known: WellKnown,
    /// Local number of each origin that stamps in records refer to.
    origins: Vec<OriginId>,
}

impl Catalog {
    /// A catalog of no attributes yet.
    pub fn new(schema: Arc<Schema>, options: Arc<IndexOptions>) -> Self {
        let by_type = vec![Vec::new(); schema.attribute_types().count()];
        Self {
            schema,
            options,
            encryption: None,
            attributes: Vec::new(),
            by_key: HashMap::new(),
            by_type,
            link_attributes: Vec::new(),
            has_hidden_referrers: false,
            has_collective: false,
            well_known: WellKnown::default(),
            origins: Vec::new(),
        }
    }

    /// Reads the catalog as the file has it.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn load(reader: Reader<'_>, schema: Arc<Schema>, options: Arc<IndexOptions>) -> Result<Self, DitError> {
        let mut catalog = Self::new(schema, options);
        let mut cursor = reader.cursor(Table::Attributes)?;
        let mut item = cursor.first()?;
        while let Some((_, key)) = item {
            catalog.append(&String::from_utf8_lossy(key));
            item = cursor.next()?;
        }
        let mut cursor = reader.cursor(Table::Origins)?;
        let mut item = cursor.first()?;
        while let Some((_, origin)) = item {
            catalog.origins.push(OriginId(origin.try_into().map_or(0, u64::from_be_bytes)));
            item = cursor.next()?;
        }
        Ok(catalog)
    }

    /// How many attributes and origins have a number.
    pub fn numbered(&self) -> u64 {
        (self.attributes.len() + self.origins.len()) as u64
    }

    /// The same with the numbers that a snapshot has.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn numbered_as(&self, reader: Reader<'_>) -> Result<Self, DitError> {
        let mut catalog = Self::load(reader, Arc::clone(&self.schema), Arc::clone(&self.options))?;
        catalog.encryption.clone_from(&self.encryption);
        Ok(catalog)
    }

    /// Numbers the attributes that every directory has.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn initialise(&mut self, txn: &mut WriteTransaction<'_>) -> Result<(), DitError> {
        for name in WELL_KNOWN_NAMES {
            if let Ok(description) = AttributeDescription::parse(name)
                && self.schema.attribute_type(name).is_some()
            {
                self.intern(txn, &description)?;
            }
        }
        Ok(())
    }

    /// The schema of this snapshot.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The same numbers explained by another schema or indexed otherwise.
    pub fn with(&self, schema: Arc<Schema>, options: Arc<IndexOptions>) -> Self {
        self.again(Self { encryption: self.encryption.clone(), ..Self::new(schema, options) })
    }

    /// The same numbers with other attributes encrypted.
    pub fn encrypted_by(&self, encryption: Option<Arc<Encryption>>) -> Self {
        self.again(Self { encryption, ..Self::new(Arc::clone(&self.schema), Arc::clone(&self.options)) })
    }

    fn again(&self, mut empty: Self) -> Self {
        for info in &self.attributes {
            empty.append(&info.key);
        }
        empty.origins.clone_from(&self.origins);
        empty
    }

    /// What is encrypted in the data file, and the keys; `None` when nothing is.
    pub fn encryption(&self) -> Option<&Encryption> {
        self.encryption.as_deref()
    }

    /// Numbers of the attributes that the tree itself looks at.
    pub fn well_known(&self) -> &WellKnown {
        &self.well_known
    }

    /// The origin behind a local number.
    pub fn origin(&self, number: u16) -> Option<OriginId> {
        self.origins.get(usize::from(number)).copied()
    }

    /// The local number of an origin, if it has one.
    pub fn origin_number(&self, origin: OriginId) -> Option<u16> {
        self.origins.iter().position(|known| *known == origin).and_then(|at| u16::try_from(at).ok())
    }

    /// Gives an origin a local number if it has none.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn intern_origin(&mut self, txn: &mut WriteTransaction<'_>, origin: OriginId) -> Result<(), DitError> {
        if self.origin_number(origin).is_none() {
            let number = u16::try_from(self.origins.len())
                .map_err(|_| DitError::Unavailable("more origins than a node can number"))?;
            txn.put(Table::Origins, &number.to_be_bytes(), &origin.0.to_be_bytes(), PutMode::Upsert)?;
            self.origins.push(origin);
        }
        Ok(())
    }

    /// The index options.
    pub fn index_options(&self) -> &IndexOptions {
        &self.options
    }

    pub(super) fn shared_options(&self) -> &Arc<IndexOptions> {
        &self.options
    }

    /// How many descriptions are numbered.
    pub fn len(&self) -> usize {
        self.attributes.len()
    }

    /// Whether none is numbered.
    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty()
    }

    /// What is known of a number.
    pub fn attribute(&self, id: AttributeId) -> Option<&AttributeInfo> {
        self.attributes.get(id.0 as usize)
    }

    /// The attribute type behind a number.
    pub fn attribute_type(&self, id: AttributeId) -> Option<&AttributeType> {
        self.attribute(id)?.attribute_type.map(|index| self.schema.attribute_type_at(index))
    }

    /// The number of a description, if any entry ever had it.
    pub fn find(&self, description: &AttributeDescription) -> Option<AttributeId> {
        if description.options().is_empty() {
            let attribute_type = self.schema.attribute_type(description.name())?;
            return self.base_of(attribute_type);
        }
        self.by_key.get(&self.key_of(description)?).copied()
    }

    /// The number of a bare attribute type.
    pub fn base_of(&self, attribute_type: &AttributeType) -> Option<AttributeId> {
        self.by_key.get(attribute_type.oid.as_str()).copied()
    }

    /// The number of an attribute key.
    pub fn find_key(&self, key: &str) -> Option<AttributeId> {
        self.by_key.get(key).copied()
    }

    /// Numbers of all descriptions of a type and of its subtypes: what a filter or a request on it means.
    pub fn of_type(&self, index: AttributeTypeIndex) -> &[AttributeId] {
        self.by_type.get(index.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// Numbers of indexed attributes that hold links.
    pub fn link_attributes(&self) -> &[AttributeId] {
        &self.link_attributes
    }

    /// Whether some attribute holds links and is not indexed, so that not all referrers of an entry can be found.
    pub fn has_hidden_referrers(&self) -> bool {
        self.has_hidden_referrers
    }

    /// Whether some entry ever had a collective attribute.
    pub fn has_collective(&self) -> bool {
        self.has_collective
    }

    /// The number of a description, given now if it is new. The type must be in the schema.
    ///
    /// # Errors
    /// [`DitError::UnknownAttribute`]; [`DitError::TooManyAttributes`]; [`DitError::TooManyOptions`];
    /// [`DitError::Storage`].
    pub fn intern(
        &mut self,
        txn: &mut WriteTransaction<'_>,
        description: &AttributeDescription,
    ) -> Result<AttributeId, DitError> {
        if let Some(id) = self.find(description) {
            return Ok(id);
        }
        let key = self.key_of(description).ok_or_else(|| DitError::UnknownAttribute(description.to_string()))?;
        if !description.options().is_empty()
            && let Some(base) = key.split_once(';').and_then(|(oid, _)| self.by_key.get(oid))
            && self.attributes.iter().filter(|known| known.base == *base).count() > OPTIONS_MAX
        {
            let name = description.name().to_owned();
            return Err(DitError::TooManyOptions { name, options_max: OPTIONS_MAX });
        }
        self.intern_key(txn, &key)
    }

    /// [`Catalog::intern`] by attribute key.
    ///
    /// # Errors
    /// [`DitError::TooManyAttributes`]; [`DitError::Storage`].
    pub fn intern_key(&mut self, txn: &mut WriteTransaction<'_>, key: &str) -> Result<AttributeId, DitError> {
        self.intern_up_to(txn, key, ATTRIBUTES_MAX)
    }

    /// [`Catalog::intern`] by an attribute key that another node gave a number to: a type that the schema does not know
    /// is kept by its OID. What one node took all must take, so the limit is that of the records, not that of clients.
    ///
    /// # Errors
    /// [`DitError::TooManyAttributes`]; [`DitError::Storage`].
    pub fn intern_received(&mut self, txn: &mut WriteTransaction<'_>, key: &str) -> Result<AttributeId, DitError> {
        self.intern_up_to(txn, key, ATTRIBUTES_RECEIVED_MAX)
    }

    fn intern_up_to(
        &mut self,
        txn: &mut WriteTransaction<'_>,
        key: &str,
        attributes_max: usize,
    ) -> Result<AttributeId, DitError> {
        if let Some(id) = self.by_key.get(key) {
            return Ok(*id);
        }
        if self.attributes.len() + 1 >= attributes_max {
            return Err(DitError::TooManyAttributes { attributes_max });
        }
        if let Some((base, _)) = key.split_once(';') {
            self.intern_up_to(txn, base, attributes_max)?;
        }
        let number = (self.attributes.len() as u32).to_be_bytes();
        txn.put(Table::Attributes, &number, key.as_bytes(), PutMode::Upsert)?;
        Ok(self.append(key))
    }

    fn key_of(&self, description: &AttributeDescription) -> Option<String> {
        let mut key = self.schema.attribute_type(description.name())?.oid.clone();
        for option in description.options() {
            key.push(';');
            key.push_str(option);
        }
        Some(key)
    }

    fn append(&mut self, key: &str) -> AttributeId {
        let id = AttributeId(self.attributes.len() as u32);
        let (oid, options) = key.split_once(';').unwrap_or((key, ""));
        let base = if options.is_empty() { id } else { self.by_key.get(oid).copied().unwrap_or(id) };
        let found = self.schema.attribute_type(oid);
        let suffix = key.get(oid.len()..).unwrap_or_default();
        let encrypted = self.encryption().is_some_and(|encryption| encryption.covers(oid));
        let indexed = found.map_or_else(Indexed::default, |found| self.options.of(found));
        let info = AttributeInfo {
            key: key.to_owned(),
            attribute_type: found.map(|found| found.index),
            base,
            options: options.split(';').filter(|option| !option.is_empty()).map(str::to_owned).collect(),
            name: format!("{}{suffix}", found.map_or(oid, |found| found.name())),
            operational: found.is_some_and(AttributeType::is_operational),
            links: found.is_some_and(holds_links),
            single_value: found.is_some_and(|found| found.single_value),
            membership: found.is_some_and(|found| found.is_membership() || finds_members(found)),
            secret: found.is_some_and(AttributeType::is_secret),
            encrypted,
            sealed: found.is_some_and(AttributeType::is_sealed),
            volatile: found.is_some_and(AttributeType::is_volatile),
            collective: found.is_some_and(|found| found.collective),
            indexed: if encrypted { indexed.of_encrypted() } else { indexed },
        };
        if info.links && base == id {
            if info.indexed.equality {
                self.link_attributes.push(id);
            } else {
                self.has_hidden_referrers = true;
            }
        }
        self.has_collective |= info.collective;
        self.well_known.note(key, id);
        let mut ancestor = info.attribute_type;
        while let Some(index) = ancestor {
            if let Some(list) = self.by_type.get_mut(index.0 as usize) {
                list.push(id);
            }
            ancestor = self.schema.attribute_type_at(index).superior;
        }
        self.attributes.push(info);
        self.by_key.insert(key.to_owned(), id);
        id
    }
}

/// Whether values find members: `memberURL`, `nsRoleFilter`.
fn finds_members(attribute_type: &AttributeType) -> bool {
    ["2.16.840.1.113730.3.1.198", "2.16.840.1.113730.3.1.576"].contains(&attribute_type.oid.as_str())
}

/// Attributes whose values name entries hold links, except the server's own (who created an entry stays known after that one is
/// gone) and the target of an alias (an alias without its name would break its class).
fn holds_links(attribute_type: &AttributeType) -> bool {
    attribute_type.names_entries() && !attribute_type.no_user_modification && attribute_type.oid != "2.5.4.1"
}
