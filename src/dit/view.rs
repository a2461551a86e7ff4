//! One consistent look at the tree, in a read snapshot or inside the writer's transaction.
//!
//! The DN of an entry is not stored: it is composed from the RDNs up to the suffix, so that moving a subtree
//! rewrites one record. The texts of superiors are remembered per thread for as long as the naming stamp stays.

use super::DitError;
use super::catalog::Catalog;
use super::links;
use super::shape::Adoption;
use crate::model::{Dn, EntryUuid, Rdn};
use crate::storage::{
    AttributeSlice, Cursor, ENTRY_LOSER, ENTRY_PHANTOM, EntryId, Reader, Table, VALUE_ENCRYPTED, VALUE_LINKS,
    VALUE_SPILLED, ViewRecord, dn2id_key, uuid2id_key,
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
    adoption: &'t Adoption,
    naming_stamp: u64,
    /// Which tree this is, for the per-thread memory; a write transaction has one of its own. 0 remembers nothing.
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
    pub(super) fn new(
        reader: Reader<'t>,
        catalog: &'t Catalog,
        adoption: &'t Adoption,
        naming_stamp: u64,
        token: u64,
    ) -> Self {
        Self { reader, catalog, adoption, naming_stamp, token }
    }

    /// The same look with the texts of links as of another stamp, and nothing remembered.
    pub(super) fn as_of(&self, naming_stamp: u64) -> Self {
        Self { naming_stamp, token: 0, ..*self }
    }

    /// Which entries have their name held by another one.
    pub fn adoption(&self) -> &'t Adoption {
        self.adoption
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
            let found = match self.child_by_key(EntryId::NONE, &key)? {
                None if !self.adoption.is_empty() => self.losing_suffix(suffix)?,
                found => found,
            };
            if let Some(id) = found {
                return self.descend(id, rdns.get(..start).unwrap_or_default());
            }
        }
        Ok(Resolution { entry: None, matched: None, missing: rdns.len() })
    }

    fn descend(&self, suffix: EntryId, below: &[Rdn]) -> Result<Resolution, DitError> {
        let mut at = suffix;
        for (missing, rdn) in below.iter().enumerate().rev() {
            let found = match self.child_by_key(at, &self.catalog.schema().rdn_key(rdn))? {
                None if !self.adoption.is_empty() => self.loser(at, rdn)?,
                found => found,
            };
            match found {
                Some(child) => at = child,
                None => return Ok(Resolution { entry: None, matched: Some(at), missing: missing + 1 }),
            }
        }
        Ok(Resolution { entry: Some(at), matched: Some(at), missing: 0 })
    }

    /// The entry directly below `parent` with a normalised RDN: of several the one that has the name.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn child_by_key(&self, parent: EntryId, rdn_key: &[u8]) -> Result<Option<EntryId>, DitError> {
        if self.adoption.is_empty() {
            return Ok(self.reader.get(Table::Dn2Id, &dn2id_key(parent, rdn_key))?.map(EntryId::from_key));
        }
        let named = self.named(parent, rdn_key)?;
        Ok(named.into_iter().find(|id| !self.adoption.is_adopted(*id)))
    }

    /// Every entry, shown or not, of one name below the entries that `parent` stands for.
    pub(super) fn named(&self, parent: EntryId, rdn_key: &[u8]) -> Result<Vec<EntryId>, DitError> {
        let mut found = Vec::new();
        if self.adoption.is_adopted(parent) {
            return Ok(found);
        }
        for parent in self.adoption.group(parent) {
            let mut cursor = self.reader.cursor(Table::Dn2Id)?;
            let mut item = cursor.seek_exact(&dn2id_key(parent, rdn_key))?;
            while let Some((_, id)) = item {
                found.push(EntryId::from_key(id));
                item = cursor.next_duplicate()?;
            }
        }
        Ok(found)
    }

    /// The entry below `parent` that another one's name is shown with an entryUUID for.
    fn loser(&self, parent: EntryId, rdn: &Rdn) -> Result<Option<EntryId>, DitError> {
        let Some((bare, uuid)) = without_uuid(rdn) else { return Ok(None) };
        let named = self.named(parent, &self.catalog.schema().rdn_key(&bare))?;
        self.loser_of(&named, uuid)
    }

    fn losing_suffix(&self, suffix: &[Rdn]) -> Result<Option<EntryId>, DitError> {
        let Some((first, rest)) = suffix.split_first() else { return Ok(None) };
        let Some((bare, uuid)) = without_uuid(first) else { return Ok(None) };
        let bare = Dn::from_rdns(std::iter::once(bare).chain(rest.iter().cloned()).collect());
        let named = self.named(EntryId::NONE, &self.catalog.schema().dn_key(&bare))?;
        self.loser_of(&named, uuid)
    }

    fn loser_of(&self, named: &[EntryId], uuid: EntryUuid) -> Result<Option<EntryId>, DitError> {
        for id in named {
            if self.adoption.is_adopted(*id)
                && self
                    .entry(*id)?
                    .is_some_and(|entry| entry.record.uuid() == uuid && entry.record.flags() & ENTRY_PHANTOM == 0)
            {
                return Ok(Some(*id));
            }
        }
        Ok(None)
    }

    /// The superior below which `entry` is shown; [`EntryId::NONE`] for a suffix.
    #[inline]
    pub fn superior(&self, entry: &Entry<'_>) -> EntryId {
        let parent = entry.record.parent();
        if self.adoption.is_empty() { parent } else { self.adoption.host(parent) }
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
            let record = self.reader.get(Table::Id2Entry, &id.to_key())?;
            if record.is_some_and(|record| ViewRecord::flags_of(record) & ENTRY_PHANTOM == 0) {
                return Ok(Some(id));
            }
            item = cursor.next()?;
        }
        Ok(None)
    }

    /// Every incarnation of an entryUUID that is known here, live or not.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn incarnations(&self, uuid: EntryUuid) -> Result<smallvec::SmallVec<[EntryId; 2]>, DitError> {
        let prefix = uuid2id_key(uuid, None);
        let mut cursor = self.reader.cursor(Table::Uuid2Id)?;
        let mut item = cursor.seek(&prefix)?;
        let mut found = smallvec::SmallVec::new();
        while let Some((_, id)) = item.filter(|(key, _)| key.starts_with(&prefix)) {
            found.push(EntryId::from_key(id));
            item = cursor.next()?;
        }
        Ok(found)
    }

    /// The entries directly below `parent` ([`EntryId::NONE`]: the suffixes), ordered by normalised RDN, those of one name
    /// by entryUUID behind the one that holds it; those of entries that `parent` stands for come after its own. So the
    /// order is the same on all nodes that hold the same.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn children(&self, parent: EntryId) -> Result<Children<'t>, DitError> {
        let mut cursor = self.reader.cursor(Table::Dn2Id)?;
        let mut more = Vec::new();
        if !self.adoption.is_empty() {
            if self.adoption.is_adopted(parent) {
                return Ok(Children { view: *self, cursor, prefix: [0; 8], next: None, alike: Vec::new(), more });
            }
            more.extend(self.adoption.group(parent).skip(1));
            self.order_alike(&mut more)?;
        }
        let prefix = parent.0.to_be_bytes();
        let next = cursor.seek(&prefix)?;
        Ok(Children { view: *self, cursor, prefix, next, alike: Vec::new(), more })
    }

    /// Puts entries of one name, which this node has in the order in which it met them, into everybody's order; the
    /// first one last.
    fn order_alike(&self, ids: &mut Vec<EntryId>) -> Result<(), DitError> {
        let mut ordered = Vec::with_capacity(ids.len());
        for id in ids.drain(..) {
            let place = self.entry(id)?.map(|entry| (entry.record.flags() & ENTRY_LOSER != 0, entry.record.uuid()));
            ordered.push((place, id));
        }
        ordered.sort_unstable_by(|one, other| other.cmp(one));
        ids.extend(ordered.into_iter().map(|(_, id)| id));
        Ok(())
    }

    /// The entries whose states name `parent` as superior, shown or not, in whichever name.
    pub(super) fn own_children(&self, parent: EntryId) -> Result<Children<'t>, DitError> {
        static NOBODY: std::sync::LazyLock<Adoption> = std::sync::LazyLock::new(Adoption::default);
        Self { adoption: &NOBODY, ..*self }.children(parent)
    }

    /// How many entries are directly below `parent`. Cost: one look-up.
    ///
    /// # Errors
    /// [`DitError::Storage`].
    pub fn subordinate_count(&self, parent: EntryId) -> Result<u64, DitError> {
        if self.adoption.is_empty() {
            return self.own_subordinate_count(parent);
        }
        if self.adoption.is_adopted(parent) {
            return Ok(0);
        }
        self.adoption.group(parent).try_fold(0, |sum: u64, id| {
            Ok((sum + self.own_subordinate_count(id)?).saturating_sub(self.adoption.hidden_below(id)))
        })
    }

    /// How many entries, shown or not, stand directly below `parent` in the tree table.
    pub(super) fn own_subordinate_count(&self, parent: EntryId) -> Result<u64, DitError> {
        let count = self.reader.get(Table::Subordinates, &parent.to_key())?;
        Ok(count.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes))
    }

    /// Appends the DN text of `entry` (RFC 4514, as the RDNs were last written).
    ///
    /// # Errors
    /// [`DitError::Storage`]; [`DitError::State`] when the superiors do not end.
    pub fn write_dn(&self, entry: &Entry<'_>, out: &mut Vec<u8>) -> Result<(), DitError> {
        let parent = self.superior(entry);
        if entry.record.flags() & ENTRY_LOSER == 0 {
            out.extend_from_slice(entry.record.rdn());
        } else {
            write_losing_name(&entry.record, out);
        }
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
                Some(entry) if entry.record.parent() != EntryId::NONE => at = self.superior(&entry),
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
        let mut at = self.superior(entry);
        while at != EntryId::NONE {
            if superiors.len() >= DEPTH_MAX {
                return Err(endless(entry.id));
            }
            superiors.push(at);
            at = self.entry(at)?.map_or(EntryId::NONE, |entry| self.superior(&entry));
        }
        Ok(superiors)
    }

    /// Whether the texts in `slice` may be copied as they stand.
    pub fn is_current(&self, entry: &Entry<'_>, slice: &AttributeSlice<'_>) -> bool {
        slice.flags & (VALUE_SPILLED | VALUE_ENCRYPTED) == 0
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
        let parent = self.superior(&entry);
        if parent != EntryId::NONE {
            text.push(b',');
            text.extend_from_slice(&self.superior_dn(parent, depth + 1)?);
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
    view: View<'t>,
    cursor: Cursor<'t>,
    prefix: [u8; 8],
    next: Option<(&'t [u8], &'t [u8])>,
    /// Entries of one name that come next, the first one last; empty where names differ, as they mostly do.
    alike: Vec<EntryId>,
    /// Entries whose children come after, the next one last.
    more: Vec<EntryId>,
}

impl Children<'_> {
    /// The entry at the cursor, or the first of those that have its name too.
    fn step(&mut self, key: &[u8], id: EntryId) -> Result<EntryId, DitError> {
        self.next = self.cursor.next()?;
        if self.next.is_none_or(|(next, _)| next != key) {
            return Ok(id);
        }
        self.alike.push(id);
        while let Some((_, id)) = self.next.filter(|(next, _)| *next == key) {
            self.alike.push(EntryId::from_key(id));
            self.next = self.cursor.next()?;
        }
        self.view.order_alike(&mut self.alike)?;
        Ok(self.alike.pop().unwrap_or(id))
    }
}

impl Iterator for Children<'_> {
    type Item = Result<EntryId, DitError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let id = if let Some(id) = self.alike.pop() {
                id
            } else if let Some((key, id)) = self.next.take().filter(|(key, _)| key.starts_with(&self.prefix)) {
                match self.step(key, EntryId::from_key(id)) {
                    Ok(id) => id,
                    Err(error) => return Some(Err(error)),
                }
            } else {
                self.prefix = self.more.pop()?.0.to_be_bytes();
                match self.cursor.seek(&self.prefix) {
                    Ok(next) => self.next = next,
                    Err(error) => return Some(Err(error.into())),
                }
                continue;
            };
            if self.view.adoption.is_empty() || !self.view.adoption.is_hidden(id) {
                return Some(Ok(id));
            }
        }
    }
}

/// The name under which an entry is shown whose own name another one has: with its entryUUID in the first RDN.
fn write_losing_name(record: &ViewRecord<'_>, out: &mut Vec<u8>) {
    let rdn = record.rdn();
    // Of a suffix the record has the whole DN.
    let mut escaped = false;
    let end = rdn.iter().position(|byte| {
        let ends = *byte == b',' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    let (first, rest) = rdn.split_at(end.unwrap_or(rdn.len()));
    out.extend_from_slice(first);
    out.extend_from_slice(b"+entryUUID=");
    out.extend_from_slice(&record.uuid().to_text());
    out.extend_from_slice(rest);
}

/// The RDN without the entryUUID that stands beside the name of a loser, and that.
fn without_uuid(rdn: &Rdn) -> Option<(Rdn, EntryUuid)> {
    let is_uuid = |name: &str| name.eq_ignore_ascii_case("entryUUID") || name == "1.3.6.1.1.16.4";
    let (uuid, rest): (Vec<_>, Vec<_>) = rdn.avas().iter().cloned().partition(|ava| is_uuid(&ava.attribute));
    let text = std::str::from_utf8(&uuid.first()?.value).ok()?;
    Some((Rdn::new(rest)?, text.parse().ok()?))
}

fn endless(id: EntryId) -> DitError {
    DitError::State { id: id.0, detail: "its superiors do not end; run: entente check".to_owned() }
}
