//! From LDIF records to entries: what is kept, what is dropped, what is refused.
//!
//! Takes the exports of the peers as they are: `slapcat` of OpenLDAP and `db2ldif` of 389 carry operational
//! attributes. Identity, timestamps, authors and hashed passwords are kept; what this server computes itself and what
//! only the peer understands is dropped and counted by name. Everything else must be a sound entry: known attributes,
//! valid values, a class that allows them, a superior that is there.

use super::suffix::{AllAttributes, KeptSuffix, ReplacedRules, Suffix};
use super::{ImportReport, UnservedPasswords};
use crate::dit::{BulkLoad, ClusterEntry, Dit, DitError, ValueError, birth_deltas};
use crate::model::dn::DN_BYTES_MAX;
use crate::model::ldap_url::check_referral;
use crate::model::ldif::{LdifBody, LdifRecord};
use crate::model::{Attribute, Dn, EntryUuid, Rdn};
use crate::policy::password_hash;
use crate::schema::{AttributeTypeIndex, Schema, check_entry};
use crate::state::AttributeId;
use crate::storage::EntryId;
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Computed here, or meaningless outside the server that wrote them. Lower case.
const DROPPED: &[&str] = &[
    "contextcsn",
    "copiedfrom",
    "copyingfrom",
    "createtimestamp-csn",
    "dsentrydn",
    "dsentryid",
    "entrycsn",
    "entrydn",
    "entryid",
    "entryusn",
    "entryversion",
    "hassubordinates",
    "internalcreatorsname",
    "internalmodifiersname",
    "ismemberof",
    "lastmodifiedby",
    "lastmodifiedtime",
    "memberof",
    "nscpentrydn",
    "nscpentrywsi",
    "nsparentuniqueid",
    "nsrole",
    "nstombstonecsn",
    "nsuniqueid",
    "numsubordinates",
    "objectguid",
    "parentid",
    "parentidcsn",
    "structuralobjectclass",
    "subordinatecount",
    "subschemasubentry",
    "tombstonenumsubordinates",
];
/// Names that begin so belong to 389's replication or password bookkeeping.
const DROPPED_PREFIXES: &[&str] =
    &["nsds5", "nsds50", "nsds7", "nsslapd-", "pwdpolicy", "passwordretry", "passwordhistory"];

/// A naming context has at most this many RDNs where one is looked for.
const SUFFIX_RDNS_MAX: usize = 8;
/// The attribute `ref` (RFC 3296 2.2).
const REF_OID: &str = "2.16.840.1.113730.3.1.34";

/// Superiors remembered by their normalised DN.
const SUPERIORS_MAX: usize = 100_000;

/// Why a record did not go in.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is wrong; the text says what to do.
    Bad(String),
    /// The store failed: the import ends.
    Store(DitError),
}

impl From<DitError> for Refusal {
    fn from(error: DitError) -> Self {
        match error {
            DitError::UnknownAttribute(_) | DitError::TooManyAttributes { .. } | DitError::TooManyOptions { .. } => {
                Self::Bad(error.to_string())
            }
            error => Self::Store(error),
        }
    }
}

impl From<ValueError> for Refusal {
    fn from(error: ValueError) -> Self {
        match error {
            ValueError::Dit(error) => error.into(),
            error @ (ValueError::Invalid { .. } | ValueError::Encrypted { .. }) => Self::Bad(error.to_string()),
        }
    }
}

fn bad<T>(text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Bad(text.into()))
}

/// What an attribute name of the file means.
#[derive(Clone, Copy)]
enum Meaning {
    Keep(AttributeId, AttributeTypeIndex),
    Password(AttributeId, AttributeTypeIndex),
    Drop,
    EntryUuid,
    NsUniqueId,
}

/// Feeds a bulk load.
pub(super) struct Loader<'d> {
    load: Option<BulkLoad<'d>>,
    schema: Arc<Schema>,
    meanings: HashMap<String, Meaning>,
    superiors: HashMap<Vec<u8>, EntryId>,
    pub(super) dropped: BTreeMap<String, u64>,
    pub(super) unserved: BTreeMap<String, UnservedPasswords>,
    pub(super) entries: u64,
    /// What was there before: its naming contexts may come again, and keep their rules if they bring none.
    suffixes: Vec<Suffix>,
    kept_suffixes: Vec<KeptSuffix>,
    replaced_rules: Vec<ReplacedRules>,
    all_attributes: AllAttributes,
    /// Who is said to have made entries that do not say it.
    administrator: Option<Vec<u8>>,
    random: Random,
    now_ms: u64,
}

impl<'d> Loader<'d> {
    pub(super) fn begin(dit: &'d Dit, suffixes: Vec<Suffix>, cluster: &[ClusterEntry]) -> Result<Self, DitError> {
        let mut load = BulkLoad::begin(dit)?;
        cluster.iter().try_for_each(|entry| load.writing().copy_entry(entry))?;
        let administrator = load.writing().view().administrator()?;
        Ok(Self {
            load: Some(load),
            schema: Arc::clone(dit.catalog().schema()),
            meanings: HashMap::new(),
            superiors: HashMap::new(),
            dropped: BTreeMap::new(),
            unserved: BTreeMap::new(),
            entries: 0,
            suffixes,
            kept_suffixes: Vec::new(),
            replaced_rules: Vec::new(),
            all_attributes: AllAttributes::default(),
            administrator: administrator.map(|(name, _)| name.into_bytes()),
            random: Random::new()?,
            now_ms: dit.clock().wall_ms(),
        })
    }

    /// What was done; the report's other parts are the caller's.
    pub(super) fn finish(mut self) -> Result<ImportReport, DitError> {
        if let Some(load) = self.load.take() {
            load.finish()?;
        }
        let rules_without_groups = self.all_attributes.without_groups();
        let Self { entries, dropped, unserved, kept_suffixes, replaced_rules, .. } = self;
        Ok(ImportReport {
            entries,
            dropped,
            unserved_passwords: unserved,
            kept_suffixes,
            replaced_rules,
            rules_without_groups,
            ..ImportReport::default()
        })
    }

    /// Puts in the suffix entries of before that are not there by now: all, or those above the entry of this name.
    pub(super) fn keep_suffixes(&mut self, below: Option<&[u8]>) -> Result<(), Refusal> {
        for at in 0..self.suffixes.len() {
            let Some(suffix) = self.suffixes.get_mut(at) else { continue };
            if suffix.is_here || below.is_some_and(|key| !suffix.is_above(key)) {
                continue;
            }
            suffix.is_here = true;
            let (entry, rules) = (suffix.entry.clone(), suffix.rules.clone());
            let dn = Dn::parse(&entry.dn).map_err(|error| Refusal::Bad(format!("dn: {error}")))?;
            let Some(load) = &mut self.load else { return bad("the import has ended") };
            let mut values = Vec::with_capacity(entry.attributes.len());
            for (name, held) in entry.attributes {
                let description = crate::model::AttributeDescription::parse(&name)
                    .map_err(|error| Refusal::Bad(format!("{name}: {error}")))?;
                values.push((load.writing().intern(&description)?, held));
            }
            let deltas = birth_deltas(load.writing(), &dn, EntryId::NONE, &values)?;
            let id = load.add(entry.uuid, "import", deltas)?;
            rules.iter().for_each(|rule| self.all_attributes.see(rule));
            self.kept_suffixes.push(KeptSuffix { dn: entry.dn, rules: rules.len() });
            self.remember(&dn, id);
        }
        Ok(())
    }

    /// One record of the file.
    pub(super) fn add(&mut self, record: LdifRecord) -> Result<(), Refusal> {
        let LdifBody::Entry(attributes) = record.body else {
            return bad("this is a change record; apply changes to the running server with ldapmodify");
        };
        let dn = Dn::parse(&record.dn).map_err(|error| Refusal::Bad(format!("dn: {error}")))?;
        if dn.is_root() {
            return bad("an entry with the empty DN cannot be imported; remove it");
        }
        // Escaping makes a byte three at most.
        if record.dn.len() > DN_BYTES_MAX / 3 && dn.to_string().len() > DN_BYTES_MAX {
            return bad(format!("dn: longer than {DN_BYTES_MAX} bytes when it is written with its escapes"));
        }
        let Sorted { kept: entry, uuid, unserved } = self.sort_out(&dn, attributes)?;
        self.check(&entry)?;
        let key = self.schema.dn_key(&dn);
        self.keep_suffixes(Some(&key))?;
        let parent = self.superior_of(&dn)?;
        let uuid = match uuid {
            Some(uuid) => self.fresh(uuid)?,
            None => EntryUuid::v7(self.now_ms, self.random.ten()),
        };
        let rules = self.rules_of(&entry);
        let Some(load) = &mut self.load else { return bad("the import has ended") };
        let values: Vec<(AttributeId, Vec<Vec<u8>>)> =
            entry.into_iter().map(|kept| (kept.attribute, kept.values)).collect();
        let deltas = birth_deltas(load.writing(), &dn, parent, &values)?;
        let id = load.add(uuid, "import", deltas)?;
        self.entries += 1;
        self.replace_suffix(&key, &rules);
        for scheme in unserved {
            self.unserved.entry(scheme).or_insert(UnservedPasswords { line: record.line, count: 0 }).count += 1;
        }
        self.remember(&dn, id);
        if let Some(load) = self.load.take() {
            self.load = Some(load.turn_over()?);
        }
        Ok(())
    }

    /// The access rules that an entry has.
    fn rules_of(&self, entry: &[Kept]) -> Vec<Vec<u8>> {
        let Some(aci) = self.schema.attribute_type("aci") else { return Vec::new() };
        entry.iter().filter(|held| held.index == aci.index).flat_map(|held| held.values.clone()).collect()
    }

    /// Takes in that an entry with these rules went in; where it is a suffix entry that was there, it has its place.
    fn replace_suffix(&mut self, key: &[u8], rules: &[Vec<u8>]) {
        rules.iter().for_each(|rule| self.all_attributes.see(rule));
        let Some(suffix) = self.suffixes.iter_mut().find(|suffix| suffix.key == key) else { return };
        suffix.is_here = true;
        let gone = suffix.rules.iter().filter(|rule| !rules.contains(rule)).count();
        if gone > 0 {
            self.replaced_rules.push(ReplacedRules { dn: suffix.entry.dn.clone(), gone, now: rules.len() });
        }
    }

    /// Groups, drops and checks the attributes of one entry.
    fn sort_out(&mut self, dn: &Dn, attributes: Vec<Attribute>) -> Result<Sorted, Refusal> {
        let mut kept: Vec<Kept> = Vec::with_capacity(attributes.len() + 1);
        let mut uuid = None;
        let mut unserved = Vec::new();
        for attribute in attributes {
            match self.meaning(&attribute)? {
                Meaning::Drop => {
                    *self.dropped.entry(attribute.description.name().to_owned()).or_default() +=
                        attribute.values.len() as u64;
                }
                Meaning::EntryUuid => {
                    let text = attribute
                        .values
                        .first()
                        .map(|value| String::from_utf8_lossy(value).into_owned())
                        .unwrap_or_default();
                    // The nil UUID says that there is no superior.
                    let given = text.parse().ok().filter(|uuid| *uuid != EntryUuid::NIL);
                    uuid = Some(given.ok_or_else(|| {
                        Refusal::Bad(format!("entryUUID: {text} identifies no entry; correct or remove it"))
                    })?);
                }
                Meaning::NsUniqueId => {
                    let text = attribute
                        .values
                        .first()
                        .map(|value| String::from_utf8_lossy(value).into_owned())
                        .unwrap_or_default();
                    if uuid.is_none() {
                        uuid = EntryUuid::from_ns_unique_id(&text).ok().filter(|uuid| *uuid != EntryUuid::NIL);
                    }
                }
                Meaning::Password(id, index) => {
                    unserved.extend(attribute.values.iter().filter_map(|value| password_hash::unserved_scheme(value)));
                    let values = attribute.values.into_iter().map(hashed).collect();
                    Kept::push(&mut kept, id, index, values);
                }
                Meaning::Keep(id, index) => Kept::push(&mut kept, id, index, attribute.values),
            }
        }
        self.add_naming_values(dn.rdn(), &mut kept)?;
        self.keep_rules(dn, &mut kept)?;
        self.add_authors(&mut kept)?;
        Ok(Sorted { kept, uuid, unserved })
    }

    /// Entries that do not say who made them are the administrator's, who imports them.
    fn add_authors(&mut self, kept: &mut Vec<Kept>) -> Result<(), Refusal> {
        let Some(author) = self.administrator.clone() else { return Ok(()) };
        for name in ["creatorsName", "modifiersName"] {
            let description =
                crate::model::AttributeDescription::parse(name).map_err(|error| Refusal::Bad(error.to_string()))?;
            let attribute = Attribute { description, values: vec![author.clone()] };
            if let Meaning::Keep(id, index) = self.meaning(&attribute)?
                && !kept.iter().any(|held| held.attribute == id)
            {
                Kept::push(kept, id, index, attribute.values);
            }
        }
        Ok(())
    }

    /// An RDN's values belong to the entry, listed or not.
    fn add_naming_values(&mut self, rdn: Option<&Rdn>, kept: &mut Vec<Kept>) -> Result<(), Refusal> {
        for ava in rdn.into_iter().flat_map(Rdn::avas) {
            let description = crate::model::AttributeDescription::parse(&ava.attribute)
                .map_err(|error| Refusal::Bad(format!("dn: {error}")))?;
            let named = Attribute { description, values: vec![ava.value.clone()] };
            let Meaning::Keep(id, index) = self.meaning(&named)? else {
                return bad(format!("dn: {} cannot name an entry", ava.attribute));
            };
            let rule = self.schema.attribute_type_at(index).equality;
            let key = |value: &[u8]| {
                let mut key = Vec::new();
                rule.and_then(|rule| rule.key(&self.schema, value, &mut key).ok()).map(|()| key)
            };
            let wanted = key(&ava.value);
            let there = kept.iter().filter(|held| held.attribute == id).any(|held| {
                held.values.iter().any(|value| *value == ava.value || (wanted.is_some() && key(value) == wanted))
            });
            if !there {
                Kept::push(kept, id, index, named.values);
            }
        }
        Ok(())
    }

    /// A suffix entry without access rules keeps those that were there: an import locks nobody out by accident.
    fn keep_rules(&mut self, dn: &Dn, kept: &mut Vec<Kept>) -> Result<(), Refusal> {
        if dn.rdns().len() > SUFFIX_RDNS_MAX {
            return Ok(());
        }
        let key = self.schema.dn_key(dn);
        let Some(rules) = self.suffixes.iter().find(|suffix| suffix.key == key).map(|suffix| suffix.rules.clone())
        else {
            return Ok(());
        };
        if rules.is_empty() {
            return Ok(());
        }
        let aci = Attribute {
            description: crate::model::AttributeDescription::parse("aci")
                .map_err(|error| Refusal::Bad(error.to_string()))?,
            values: rules,
        };
        if let Meaning::Keep(id, index) = self.meaning(&aci)?
            && !kept.iter().any(|held| held.attribute == id)
        {
            Kept::push(kept, id, index, aci.values);
        }
        Ok(())
    }

    fn check(&self, entry: &[Kept]) -> Result<(), Refusal> {
        for held in entry {
            let attribute_type = self.schema.attribute_type_at(held.index);
            for value in &held.values {
                if let Err(error) = attribute_type.syntax.validate(value) {
                    return bad(format!("{}: {error}", attribute_type.name()));
                }
                if attribute_type.oid == REF_OID
                    && let Err(error) = check_referral(&String::from_utf8_lossy(value))
                {
                    return bad(format!("{}: {error}", attribute_type.name()));
                }
            }
        }
        let classes: Vec<&str> = entry
            .iter()
            .filter(|held| self.schema.attribute_type_at(held.index).oid == "2.5.4.0")
            .flat_map(|held| held.values.iter().filter_map(|value| std::str::from_utf8(value).ok()))
            .collect();
        let present = entry.iter().map(|held| (self.schema.attribute_type_at(held.index), held.values.len()));
        let violations = check_entry(&self.schema, &classes, present);
        if violations.is_empty() {
            return Ok(());
        }
        bad(violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    }

    fn superior_of(&mut self, dn: &Dn) -> Result<EntryId, Refusal> {
        let superior = dn.superior().unwrap_or_default();
        let Some(load) = &mut self.load else { return bad("the import has ended") };
        let view = load.writing().view();
        let key = self.schema.dn_key(&superior);
        let parent = match self.superiors.get(&key) {
            Some(id) => Some(*id),
            None if superior.is_root() => None,
            None => view.resolve(&superior)?.entry,
        };
        if let Some(parent) = parent {
            let rdn = dn.rdn().map(|rdn| self.schema.rdn_key(rdn)).unwrap_or_default();
            if view.child_by_key(parent, &rdn)?.is_some() {
                return bad("the file has this DN twice; remove one");
            }
            return Ok(parent);
        }
        let resolution = view.resolve(dn)?;
        match resolution {
            crate::dit::Resolution { entry: Some(_), .. }
                if self
                    .kept_suffixes
                    .iter()
                    .any(|kept| Dn::parse(&kept.dn).is_ok_and(|kept| self.schema.dn_equal(&kept, dn))) =>
            {
                bad(
                    "a suffix entry stands before the entries below it: put it first, or change the one that is there with ldapmodify",
                )
            }
            crate::dit::Resolution { entry: Some(_), .. } => bad("the file has this DN twice; remove one"),
            // A naming context is one that was there, or the first entry of the file; any other entry without a superior is
            // a mistake in the file.
            crate::dit::Resolution { matched: None, .. }
                if self.entries == 0 || self.suffixes.iter().any(|suffix| suffix.key == self.schema.dn_key(dn)) =>
            {
                Ok(EntryId::NONE)
            }
            _ => bad(format!("its superior {superior} is not in the file before it, or was refused")),
        }
    }

    /// A UUID that no entry of the file had before.
    fn fresh(&mut self, uuid: EntryUuid) -> Result<EntryUuid, Refusal> {
        let Some(load) = &mut self.load else { return Ok(uuid) };
        match load.writing().view().by_uuid(uuid)? {
            None => Ok(uuid),
            Some(_) => bad(format!("another entry of the file has entryUUID {uuid}; remove one of the two lines")),
        }
    }

    fn remember(&mut self, dn: &Dn, id: EntryId) {
        // Entries directly below people's containers are seldom superiors: remember the upper levels only.
        if dn.rdns().len() <= 5 && self.superiors.len() < SUPERIORS_MAX && self.entries < SUPERIORS_MAX as u64 {
            self.superiors.insert(self.schema.dn_key(dn), id);
        }
    }

    fn meaning(&mut self, attribute: &Attribute) -> Result<Meaning, Refusal> {
        let description = &attribute.description;
        let text = description.to_string();
        if let Some(meaning) = self.meanings.get(&text) {
            return Ok(*meaning);
        }
        let lower = description.name().to_ascii_lowercase();
        let dropped = is_dropped(&lower);
        let meaning = match lower.as_str() {
            "entryuuid" => Meaning::EntryUuid,
            "nsuniqueid" => Meaning::NsUniqueId,
            _ if dropped => Meaning::Drop,
            _ => {
                let Some(found) = self.schema.attribute_type(description.name()) else {
                    return bad(format!(
                        "attribute {} is not in the schema: add its definition to a file in schema/, or remove the line",
                        description.name()
                    ));
                };
                if let Some(unknown) = self.schema.attribute_options().unknown_in(description) {
                    return bad(self.schema.attribute_options().refusal(description, unknown));
                }
                let index = found.index;
                let secret = found.is_secret();
                let Some(load) = &mut self.load else { return bad("the import has ended") };
                let id = load.writing().intern(description)?;
                if secret { Meaning::Password(id, index) } else { Meaning::Keep(id, index) }
            }
        };
        self.meanings.insert(text, meaning);
        Ok(meaning)
    }
}

fn is_dropped(lower: &str) -> bool {
    DROPPED.contains(&lower) || DROPPED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix))
}

/// Whether an attribute of another server is no value here: computed, its own, or the entry's identity.
pub fn is_left_out(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    is_dropped(&lower) || lower == "entryuuid" || lower == "nsuniqueid"
}

/// A password as it is stored: hashed as it came, or if it came in clear the one among `held` that it fits, else hashed now.
pub fn stored_password(value: &[u8], held: &[Vec<u8>]) -> Vec<u8> {
    let Some(clear) = password_hash::clear_text(value) else { return value.to_vec() };
    let fitting = held.iter().find(|held| password_hash::verify(held, clear) == password_hash::Verdict::Match);
    fitting.map_or_else(|| password_hash::hash(clear), Vec::clone)
}

/// A clear-text password never reaches the store.
fn hashed(value: Vec<u8>) -> Vec<u8> {
    match password_hash::clear_text(&value) {
        Some(clear) => password_hash::hash(clear),
        None => value,
    }
}

/// What a record comes to.
struct Sorted {
    kept: Vec<Kept>,
    uuid: Option<EntryUuid>,
    /// Of passwords that will never be verified, how each is stored.
    unserved: Vec<String>,
}

struct Kept {
    attribute: AttributeId,
    index: AttributeTypeIndex,
    values: Vec<Vec<u8>>,
}

impl Kept {
    /// Adds values, joining what stands in two places of the record.
    fn push(kept: &mut Vec<Self>, attribute: AttributeId, index: AttributeTypeIndex, values: Vec<Vec<u8>>) {
        match kept.iter_mut().find(|held| held.attribute == attribute) {
            Some(held) => held.values.extend(values),
            None => kept.push(Self { attribute, index, values }),
        }
    }
}

/// Random bytes for UUIDs, fetched by the page.
struct Random {
    bytes: Vec<u8>,
}

impl Random {
    fn new() -> Result<Self, DitError> {
        let mut random = Self { bytes: Vec::new() };
        random.refill()?;
        Ok(random)
    }

    fn refill(&mut self) -> Result<(), DitError> {
        self.bytes.resize(4000, 0);
        getrandom::fill(&mut self.bytes)
            .map_err(|_| DitError::Unavailable("the operating system gives no random numbers"))
    }

    fn ten(&mut self) -> [u8; 10] {
        if self.bytes.len() < 10 && self.refill().is_err() {
            self.bytes.resize(10, 0);
        }
        let rest = self.bytes.len() - 10;
        let mut ten = [0; 10];
        ten.iter_mut().zip(self.bytes.drain(rest..)).for_each(|(to, from)| *to = from);
        ten
    }
}
