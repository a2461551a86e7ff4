//! One consistent look at the tree, in a read snapshot or inside the writer's transaction.
//!
//! The DN of an entry is not stored: it is composed from the RDNs up to the suffix, so that moving a subtree
//! rewrites one record. The texts of superiors are remembered per thread for as long as the naming stamp stays.

use super::DitError;
use super::catalog::Catalog;
use super::links;
use crate::model::{Dn, EntryUuid, Rdn};
use crate::storage::{
    AttributeSlice, Cursor, EntryId, Reader, Table, VALUE_LINKS, VALUE_SPILLED, ViewRecord, dn2id_key, uuid2id_key,
};
use hashbrown::HashMap;
use std::cell::RefCell;
use std::rc::Rc;

/// A tree deeper than this is not a directory; composing a DN stops here with an error.
pub(super) const DEPTH_MAX: usize = 256;
/// Superiors' DN texts remembered per thread.
const SUPERIORS_CACHED_MAX: usize = 8192;

/// See the module. Cheap to copy.
#[derive(Clone, Copy)]
pub struct View<'t> {
    reader: Reader<'t>,
    catalog: &'t Catalog,
    naming_stamp: u64,
    /// Which tree this is, for the per-thread memory; 0 inside the writer, which remembers nothing.
    token: u64,
}

/// An entry as clients see it.
#[derive(Clone, Copy)]
pub struct Entry<'t> {
    /// Its local number.
    pub id: EntryId,
    /// Its record.
    pub record: ViewRecord<'t>,
}

/// Where a DN leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resolution {
    /// The entry, when it exists.
    pub entry: Option<EntryId>,
    /// The deepest existing entry on the way (the entry itself when it exists); `None` outside every suffix.
    pub matched: Option<EntryId>,
    /// How many leading (leaf side) RDNs of the DN are below `matched`.
    pub missing: usize,
}

impl<'t> View<'t> {
    pub(super) fn new(reader: Reader<'t>, catalog: &'t Catalog, naming_stamp: u64, token: u64) -> Self {
        Self { reader, catalog, naming_stamp, token }
    }

    /// The tables.
    pub fn reader(&self) -> Reader<'t> {
        self.reader
    }

    /// The attribute numbers and the schema.
    pub fn catalog(&self) -> &'t Catalog {
        self.catalog
    }

    /// The stamp at which rendered links are current.
    pub fn naming_stamp(&self) -> u64 {
        self.naming_stamp
    }

    /// Follows a DN from its suffix down. Cost: one look-up for each RDN and each possible suffix.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn resolve(&self, dn: &Dn) -> Result<Resolution, DitError> {
        let rdns = dn.rdns();
        for start in (0..rdns.len()).rev() {
            let Some(suffix) = rdns.get(start..) else { break };
            let key = self.catalog.schema().dn_key(&Dn::from_rdns(suffix.to_vec()));
            if let Some(id) = self.child_by_key(EntryId::NONE, &key)? {
                return self.descend(id, rdns.get(..start).unwrap_or_default());
            }
        }
        Ok(Resolution { entry: None, matched: None, missing: rdns.len() })
    }

    fn descend(&self, suffix: EntryId, below: &[Rdn]) -> Result<Resolution, DitError> {
        let mut at = suffix;
        for (missing, rdn) in below.iter().enumerate().rev() {
            match self.child_by_key(at, &self.catalog.schema().rdn_key(rdn))? {
                Some(child) => at = child,
                None => return Ok(Resolution { entry: None, matched: Some(at), missing: missing + 1 }),
            }
        }
        Ok(Resolution { entry: Some(at), matched: Some(at), missing: 0 })
    }

    /// The entry directly below `parent` with a normalised RDN.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn child_by_key(&self, parent: EntryId, rdn_key: &[u8]) -> Result<Option<EntryId>, DitError> {
        Ok(self.reader.get(Table::Dn2Id, &dn2id_key(parent, rdn_key))?.map(EntryId::from_key))
    }

    /// The record of an entry; `None` when it is deleted or never was.
    ///
    /// # Errors
    /// [`DitError::Storage`], a failed checksum among them.
    pub fn entry(&self, id: EntryId) -> Result<Option<Entry<'t>>, DitError> {
        match self.reader.get(Table::Id2Entry, &id.to_key())? {
            Some(bytes) => Ok(Some(Entry { id, record: ViewRecord::open(id, bytes)? })),
            None => Ok(None),
        }
    }

    /// The live entry with an entryUUID.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn by_uuid(&self, uuid: EntryUuid) -> Result<Option<EntryId>, DitError> {
        let prefix = uuid2id_key(uuid, None);
        let mut cursor = self.reader.cursor(Table::Uuid2Id)?;
        let mut item = cursor.seek(&prefix)?;
        while let Some((key, id)) = item {
            if !key.starts_with(&prefix) {
                break;
            }
            let id = EntryId::from_key(id);
            if self.reader.get(Table::Id2Entry, &id.to_key())?.is_some() {
                return Ok(Some(id));
            }
            item = cursor.next()?;
        }
        Ok(None)
    }

    /// The entries directly below `parent` ([`EntryId::NONE`]: the suffixes), ordered by normalised RDN.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn children(&self, parent: EntryId) -> Result<Children<'t>, DitError> {
        let prefix = parent.0.to_be_bytes();
        let mut cursor = self.reader.cursor(Table::Dn2Id)?;
        let next = cursor.seek(&prefix)?;
        Ok(Children { cursor, prefix, next })
    }

    /// How many entries are directly below `parent`. Cost: one look-up.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn subordinate_count(&self, parent: EntryId) -> Result<u64, DitError> {
        let count = self.reader.get(Table::Subordinates, &parent.to_key())?;
        Ok(count.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes))
    }

    /// Appends the DN text of `entry` (RFC 4514, as the RDNs were last written).
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`] when the superiors do not end.
    pub fn write_dn(&self, entry: &Entry<'_>, out: &mut Vec<u8>) -> Result<(), DitError> {
        out.extend_from_slice(entry.record.rdn());
        let parent = entry.record.parent();
        if parent != EntryId::NONE {
            out.push(b',');
            out.extend_from_slice(&self.superior_dn(parent, 0)?);
        }
        Ok(())
    }

    /// The DN text of entry `id`; `None` when it is not there.
    ///
    /// # Errors
    /// As [`View::write_dn`].
    pub fn dn_text(&self, id: EntryId) -> Result<Option<String>, DitError> {
        let Some(entry) = self.entry(id)? else { return Ok(None) };
        let mut out = Vec::with_capacity(96);
        self.write_dn(&entry, &mut out)?;
        Ok(Some(String::from_utf8_lossy(&out).into_owned()))
    }

    /// Whether `id` is `ancestor` or below it.
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`] when the superiors do not end.
    pub fn is_within(&self, id: EntryId, ancestor: EntryId) -> Result<bool, DitError> {
        let mut at = id;
        for _ in 0..DEPTH_MAX {
            if at == ancestor {
                return Ok(true);
            }
            match self.entry(at)? {
                Some(entry) if entry.record.parent() != EntryId::NONE => at = entry.record.parent(),
                _ => return Ok(false),
            }
        }
        Err(endless(id))
    }

    /// The superiors of `entry`, nearest first.
    ///
    /// # Errors
    /// As [`View::is_within`].
    pub fn superiors(&self, entry: &Entry<'_>) -> Result<Vec<EntryId>, DitError> {
        let mut superiors = Vec::with_capacity(4);
        let mut at = entry.record.parent();
        while at != EntryId::NONE {
            if superiors.len() >= DEPTH_MAX {
                return Err(endless(entry.id));
            }
            superiors.push(at);
            at = self.entry(at)?.map_or(EntryId::NONE, |entry| entry.record.parent());
        }
        Ok(superiors)
    }

    /// Whether the texts in `slice` may be copied as they stand.
    pub fn is_current(&self, entry: &Entry<'_>, slice: &AttributeSlice<'_>) -> bool {
        slice.flags & VALUE_SPILLED == 0
            && (slice.flags & VALUE_LINKS == 0 || entry.record.naming_stamp() == self.naming_stamp)
    }

    /// The values of an attribute, with links as the DN texts that they have now. Copies; where
    /// [`View::is_current`] holds, [`AttributeSlice::values`] or the whole set serves without.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn values(&self, entry: &Entry<'t>, slice: &AttributeSlice<'t>) -> Result<Vec<Vec<u8>>, DitError> {
        if self.is_current(entry, slice) {
            return Ok(slice.values().map(<[u8]>::to_vec).collect());
        }
        links::render(self, entry, slice)
    }

    fn superior_dn(&self, id: EntryId, depth: usize) -> Result<Rc<[u8]>, DitError> {
        if let Some(text) = self.remembered(id) {
            return Ok(text);
        }
        if depth >= DEPTH_MAX {
            return Err(endless(id));
        }
        let entry = self.entry(id)?.ok_or_else(|| DitError::State {
            id: id.0,
            detail: "an entry names it as its superior, and it is not there; run: entente check".to_owned(),
        })?;
        let mut text = entry.record.rdn().to_vec();
        if entry.record.parent() != EntryId::NONE {
            text.push(b',');
            text.extend_from_slice(&self.superior_dn(entry.record.parent(), depth + 1)?);
        }
        let text: Rc<[u8]> = text.into();
        self.remember(id, &text);
        Ok(text)
    }

    fn remembered(&self, id: EntryId) -> Option<Rc<[u8]>> {
        SUPERIORS.with_borrow(|memory| {
            if self.token == 0 || memory.token != self.token || memory.naming_stamp != self.naming_stamp {
                return None;
            }
            memory.texts.get(&id).cloned()
        })
    }

    fn remember(&self, id: EntryId, text: &Rc<[u8]>) {
        if self.token == 0 {
            return;
        }
        SUPERIORS.with_borrow_mut(|memory| {
            let stale = memory.token != self.token || memory.naming_stamp != self.naming_stamp;
            if stale || memory.texts.len() >= SUPERIORS_CACHED_MAX {
                memory.texts.clear();
                memory.token = self.token;
                memory.naming_stamp = self.naming_stamp;
            }
            memory.texts.insert(id, Rc::clone(text));
        });
    }
}

impl<'t> Entry<'t> {
    /// The values' place of one attribute description.
    pub fn attribute(&self, id: crate::state::AttributeId) -> Option<AttributeSlice<'t>> {
        self.record.attribute(id)
    }
}

#[derive(Default)]
struct Superiors {
    token: u64,
    naming_stamp: u64,
    texts: HashMap<EntryId, Rc<[u8]>>,
}

thread_local! {
    static SUPERIORS: RefCell<Superiors> = RefCell::new(Superiors::default());
}

/// See [`View::children`].
pub struct Children<'t> {
    cursor: Cursor<'t>,
    prefix: [u8; 8],
    next: Option<(&'t [u8], &'t [u8])>,
}

impl Iterator for Children<'_> {
    type Item = Result<EntryId, DitError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (key, id) = self.next.take()?;
        if !key.starts_with(&self.prefix) {
            return None;
        }
        match self.cursor.next() {
            Ok(next) => self.next = next,
            Err(error) => return Some(Err(error.into())),
        }
        Some(Ok(EntryId::from_key(id)))
    }
}

fn endless(id: EntryId) -> DitError {
    DitError::State { id: id.0, detail: "its superiors do not end; run: entente check".to_owned() }
}
