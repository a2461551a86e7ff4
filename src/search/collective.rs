//! Collective attributes (RFC 3671): values that stand in a subentry and that every entry of its subtree shows.
//!
//! They are read, searched by and compared as if they were in each entry (RFC 3671 1, 2); an entry keeps some or all of
//! them off by `collectiveExclusions`. What sharing subentries there are is found out once for each snapshot that asks, and
//! only where the catalog knows of collective attributes at all, so that nobody pays for them who has none.
//!
//! A filter that such a value fits has the whole area of its subentry as candidates; beyond [`AREA_MAX`] entries every
//! entry is looked at, which counts against the look-through limit.

use super::SearchError;
use super::assertion::Test;
use super::compile::{Leaf, OBJECT_CLASS};
use super::evaluate::Truth;
use super::scope::Territory;
use super::subtree::{Area, SubtreeSpecification};
use crate::dit::{Entry, View};
use crate::model::Scope;
use crate::schema::{AttributeTypeIndex, Schema};
use crate::state::AttributeId;
use crate::storage::{ENTRY_LOSER, ENTRY_SUBENTRY, EntryId, IndexKind, Postings, index_key};

/// collectiveAttributeSubentry (RFC 3671 2.1), as the index has it.
const SUBENTRY_CLASS: &str = "collectiveAttributeSubentry";
const EXCLUSIONS: &str = "2.5.18.7";
/// excludeAllCollectiveAttributes (RFC 3671 2.3).
const EXCLUDE_ALL: [&str; 2] = ["2.5.18.0", "excludeAllCollectiveAttributes"];
/// Subentries that are read.
const SUBENTRIES_MAX: usize = 1_000;
/// Entries of an area that are gathered as candidates.
const AREA_MAX: usize = 100_000;

/// Values by attribute.
type Values = Vec<(AttributeId, Vec<Vec<u8>>)>;

/// A subentry that shares values.
#[derive(Clone, Debug)]
struct Source {
    id: EntryId,
    area: Area,
    /// The text of the area.
    specification: Vec<u8>,
    values: Values,
}

/// The sharing subentries of one snapshot. See the module.
#[derive(Clone, Debug, Default)]
pub struct Collective {
    sources: Vec<Source>,
}

impl Collective {
    /// Reads them. Cost: none where no collective attribute was ever stored; else an index list and their subentries.
    ///
    /// # Errors
    /// [`SearchError::Dit`].
    pub fn load(view: View<'_>) -> Result<Self, SearchError> {
        let mut found = Self::default();
        let catalog = view.catalog();
        if !catalog.has_collective() {
            return Ok(found);
        }
        let attribute = |name: &str| catalog.schema().attribute_type(name).and_then(|known| catalog.base_of(known));
        let (Some(class), Some(specification)) = (attribute(OBJECT_CLASS), attribute("subtreeSpecification")) else {
            return Ok(found);
        };
        let mut normal = Vec::new();
        let of_class = catalog.attribute_type(class).filter(|known| {
            crate::dit::keys_of_value(catalog.schema(), known, SUBENTRY_CLASS.as_bytes(), &mut normal).is_some()
        });
        if of_class.is_none() {
            return Ok(found);
        }
        let mut key = Vec::with_capacity(normal.len() + 8);
        index_key(class, IndexKind::Equality, &normal, &mut key);
        let Some(mut postings) = Postings::open(view.reader(), &key)? else { return Ok(found) };
        while let Some(id) = postings.next()?
            && found.sources.len() < SUBENTRIES_MAX
        {
            let Some(entry) = view.entry(id)? else { continue };
            if entry.record.flags() & (ENTRY_SUBENTRY | ENTRY_LOSER) != ENTRY_SUBENTRY {
                continue;
            }
            let Some(slice) = entry.attribute(specification) else { continue };
            let text = view.values(&entry, &slice)?.into_iter().next().unwrap_or_default();
            let read = std::str::from_utf8(&text).ok().and_then(|text| SubtreeSpecification::parse(text).ok());
            let Some(area) = read.map(|read| read.resolve(view, view.superior(&entry))).transpose()?.flatten() else {
                continue;
            };
            let mut values = Vec::new();
            for slice in entry.record.attributes() {
                if catalog.attribute(slice.id).is_some_and(|info| info.collective) {
                    values.push((slice.id, view.values(&entry, &slice)?));
                }
            }
            found.sources.push(Source { id, area, specification: text, values });
        }
        Ok(found)
    }

    /// A number that is another one when other values are shared or with other entries, 0 where none are: the same on all members
    /// of a cluster.
    ///
    /// # Errors
    /// [`SearchError::Dit`].
    pub fn mark(&self, view: View<'_>) -> Result<u64, SearchError> {
        let mut mark = 0;
        for source in &self.sources {
            let Some(entry) = view.entry(source.id)? else { continue };
            let mut said = vec![vec![entry.record.uuid().0.to_vec(), source.specification.clone()]];
            // The names in the text mean other entries after a rename.
            said.push(source.area.named(view)?.iter().map(|uuid| uuid.0.to_vec()).collect());
            for (id, values) in &source.values {
                let name = view.catalog().attribute(*id).map(|info| info.name.to_ascii_lowercase().into_bytes());
                let mut values = values.clone();
                values.sort_unstable();
                said.push(name.into_iter().chain(values).collect());
            }
            said.sort_unstable();
            let mut bytes = Vec::new();
            for list in &said {
                bytes.extend_from_slice(&(list.len() as u64).to_be_bytes());
                for text in list {
                    bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
                    bytes.extend_from_slice(text);
                }
            }
            // Numbers of entries differ between members, and with them the order.
            mark ^= xxhash_rust::xxh3::xxh3_64(&bytes);
        }
        Ok(mark)
    }

    /// Whether nobody shares anything.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The subentries whose values the entry shows (`collectiveAttributeSubentries`).
    ///
    /// # Errors
    /// [`SearchError::Dit`].
    pub fn subentries_of(&self, view: View<'_>, entry: &Entry<'_>) -> Result<Vec<EntryId>, SearchError> {
        Ok(self.sources_of(view, entry)?.into_iter().map(|source| source.id).collect())
    }

    /// What the entry shows besides its own values; each attribute once, ascending. Cost: a look at its superiors.
    ///
    /// # Errors
    /// [`SearchError::Dit`].
    pub fn values_of(&self, view: View<'_>, entry: &Entry<'_>) -> Result<Values, SearchError> {
        let mut shown = Values::new();
        let sources = self.sources_of(view, entry)?;
        if sources.is_empty() {
            return Ok(shown);
        }
        let excluded = Excluded::of(view, entry)?;
        for (id, values) in sources.iter().flat_map(|source| &source.values) {
            if excluded.has(view, *id) {
                continue;
            }
            let at = match shown.binary_search_by_key(id, |(known, _)| *known) {
                Ok(at) => at,
                Err(at) => {
                    shown.insert(at, (*id, Vec::new()));
                    at
                }
            };
            let Some((_, known)) = shown.get_mut(at) else { continue };
            for value in values {
                if !known.contains(value) {
                    known.push(value.clone());
                }
            }
        }
        Ok(shown)
    }

    fn sources_of(&self, view: View<'_>, entry: &Entry<'_>) -> Result<Vec<&Source>, SearchError> {
        let mut found = Vec::new();
        if self.sources.is_empty() || entry.record.flags() & ENTRY_SUBENTRY != 0 {
            return Ok(found);
        }
        let above = view.superiors(entry)?;
        for source in &self.sources {
            if source.area.has(view, entry, &above)? {
                found.push(source);
            }
        }
        Ok(found)
    }

    /// What an item of a filter says of the shared values of `attribute` in the entry; `None`: it has none.
    ///
    /// # Errors
    /// [`SearchError::Dit`].
    pub(super) fn judge(
        &self,
        leaf: &Leaf,
        attribute: AttributeId,
        view: View<'_>,
        entry: &Entry<'_>,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<Truth>, SearchError> {
        if !self.sources.iter().any(|source| source.values.iter().any(|(id, _)| *id == attribute)) {
            return Ok(None);
        }
        let shown = self.values_of(view, entry)?;
        let values = shown.iter().find(|(id, _)| *id == attribute);
        Ok(values.map(|(_, values)| fits(leaf, view.catalog().schema(), values, buffer)))
    }

    /// The entries that an item of a filter may be true of for the shared values of `attribute`; `None`: too many to
    /// be gathered.
    ///
    /// # Errors
    /// [`SearchError::Dit`].
    pub(super) fn candidates(
        &self,
        leaf: &Leaf,
        attribute: AttributeId,
        view: View<'_>,
    ) -> Result<Option<Vec<EntryId>>, SearchError> {
        let (schema, mut buffer) = (view.catalog().schema(), Vec::new());
        let mut ids = Vec::new();
        for source in &self.sources {
            let mut values = source
                .values
                .iter()
                .filter(|(id, _)| view.catalog().attribute(*id).is_some_and(|info| info.base == attribute));
            if !values.any(|(_, values)| fits(leaf, schema, values, &mut buffer).is_true()) {
                continue;
            }
            let area = Territory::new(source.area.base(), Scope::Subtree);
            match area.gather(view, AREA_MAX.saturating_sub(ids.len()))? {
                Some(more) => ids.extend(more),
                None => return Ok(None),
            }
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(Some(ids))
    }
}

fn fits(leaf: &Leaf, schema: &Schema, values: &[Vec<u8>], buffer: &mut Vec<u8>) -> Truth {
    let mut answer = Truth::False;
    for value in values {
        match &leaf.test {
            Test::Always | Test::Present => return Truth::True,
            test => match test.holds(schema, value, buffer) {
                Truth::True => return Truth::True,
                Truth::Undefined => answer = Truth::Undefined,
                Truth::False => {}
            },
        }
    }
    answer
}

/// What an entry keeps off itself.
enum Excluded {
    All,
    Types(Vec<AttributeTypeIndex>),
}

impl Excluded {
    fn of(view: View<'_>, entry: &Entry<'_>) -> Result<Self, SearchError> {
        let (catalog, schema) = (view.catalog(), view.catalog().schema());
        let attribute = schema.attribute_type(EXCLUSIONS).and_then(|known| catalog.base_of(known));
        let Some(slice) = attribute.and_then(|id| entry.attribute(id)) else { return Ok(Self::Types(Vec::new())) };
        let mut types = Vec::new();
        for value in view.values(entry, &slice)? {
            let text = String::from_utf8_lossy(&value);
            if EXCLUDE_ALL.iter().any(|all| all.eq_ignore_ascii_case(text.trim())) {
                return Ok(Self::All);
            }
            types.extend(schema.attribute_type(text.trim()).map(|known| known.index));
        }
        Ok(Self::Types(types))
    }

    fn has(&self, view: View<'_>, attribute: AttributeId) -> bool {
        match self {
            Self::All => true,
            Self::Types(types) => {
                let own = view.catalog().attribute(attribute).and_then(|info| info.attribute_type);
                own.is_some_and(|own| types.contains(&own))
            }
        }
    }
}
