//! Values of uniqueMember that have a UID (Name and Optional UID, RFC 4517 3.3.21), when what they name is renamed, moved or
//! deleted.
//!
//! Values without one are links like those of `member`. A value that says more than a name (`uid=ann,dc=x#'0101'B`) is kept
//! as text. The node that renames an entry writes the values anew that name it or what is below it, and who deletes one takes
//! them away, in the same transaction and as ordinary changes of the entries that hold them: as referential integrity does
//! elsewhere, and with what that leaves open. A value that another master writes at the same time keeps the name that it
//! was written with; where two masters rename an entry at the same time, groups have both names, one of which is nobody's;
//! and an undelete does not bring them back.
//!
//! Invariant: after a local change no value that the index knows names an entry by a name that the change took from it, but
//! beyond [`NAMES_AT_ONCE_MAX`].

use super::DitError;
use super::derive::named_entry;
use super::links::dn_of;
use super::text_names::{Taking, TextWalk};
use super::undelete::there;
use super::values::value_of;
use super::writing::{Target, Writing};
use crate::model::{Dn, EntryUuid};
use crate::schema::split_uid;
use crate::state::{AttributeId, CellValue, Delta, ValueKey};
use crate::storage::EntryId;

/// Values that one change writes anew: under a second of the writer. The others keep the old name.
const NAMES_AT_ONCE_MAX: usize = 16_384;
/// Values in one update.
const NAMES_PER_UPDATE: usize = 512;

/// A value with a UID that names the entry, or one below it.
pub(super) struct Name {
    referrer: EntryId,
    attribute: AttributeId,
    key: ValueKey,
    target: EntryUuid,
    /// What stands behind the name.
    uid: String,
}

impl Writing<'_> {
    /// The values with a UID that say a name which a change takes away.
    pub(super) fn names_left_by(&self, id: EntryId, taking: Taking) -> Result<Vec<Name>, DitError> {
        let schema = self.catalog.schema();
        let has_uids = |attribute: &&AttributeId| {
            self.catalog.attribute_type(**attribute).is_some_and(crate::schema::AttributeType::may_have_uid)
        };
        let bases: Vec<AttributeId> = self.catalog.link_attributes().iter().filter(has_uids).copied().collect();
        if bases.is_empty() {
            return Ok(Vec::new());
        }
        let view = self.view();
        let mut names: Vec<Name> = Vec::new();
        for taken in self.names_taken(id, taking)? {
            let mut begins = taken.normal.clone();
            begins.extend(b"#".iter().filter(|_| !taken.with_subordinates));
            for base in &bases {
                let mut walk = TextWalk::new(self.txn.reader(), *base, &begins, true)?;
                for (referrer, base, key) in walk.next(NAMES_AT_ONCE_MAX)? {
                    if taking == Taking::Ends && referrer == id {
                        continue;
                    }
                    let Some(state) = self.state(referrer)? else { continue };
                    for (attribute, key, cell) in self.cells_meant((referrer, &state), base, key.as_ref())? {
                        let CellValue::Text(text) = cell.value else { continue };
                        let Ok(text) = String::from_utf8(text) else { continue };
                        let (name, Some(_)) = split_uid(&text) else { continue };
                        let Ok(dn) = Dn::parse(name) else { continue };
                        let normal = super::index_keys::text_link_key(schema, &dn);
                        let is_meant =
                            normal == taken.normal || (taken.with_subordinates && normal.starts_with(&taken.normal));
                        let target = if is_meant { named_entry(&view, name.as_bytes())? } else { None };
                        let (Some(target), Some(uid)) = (target, text.get(name.len()..)) else { continue };
                        names.push(Name { referrer, attribute, key, target, uid: uid.to_owned() });
                    }
                }
            }
        }
        names.sort_by_key(|name| name.referrer);
        names.dedup_by(|one, other| {
            (one.referrer, one.attribute, &one.key) == (other.referrer, other.attribute, &other.key)
        });
        Ok(names)
    }

    /// Writes the values anew after the change, or takes them away where what they name is gone.
    pub(super) fn follow_names(&mut self, names: &[Name], requester: &str) -> Result<(), DitError> {
        for of_entry in names.chunk_by(|one, other| one.referrer == other.referrer) {
            for some in of_entry.chunks(NAMES_PER_UPDATE) {
                let mut deltas = Vec::with_capacity(2 * some.len());
                for (order, name) in some.iter().enumerate() {
                    let view = self.view();
                    let new = dn_of(&view, name.target)?.map(|dn| [dn.as_slice(), name.uid.as_bytes()].concat());
                    let info = view.catalog().attribute(name.attribute);
                    let new = new.zip(info).and_then(|(text, info)| value_of(&view, info, &text).ok());
                    if new.as_ref().is_some_and(|(key, _)| *key == name.key) {
                        continue;
                    }
                    let (key, value) = (name.key.clone(), CellValue::Text(Vec::new()));
                    deltas.push(Delta::Cell { attribute: name.attribute, key, order: 0, present: false, value });
                    deltas.extend(new.map(|(key, value)| there(name.attribute, key, order, value)));
                }
                if let Some(first) = some.first().filter(|_| !deltas.is_empty()) {
                    self.change_alone(Target::Existing(first.referrer), requester, deltas)?;
                }
            }
        }
        Ok(())
    }
}
