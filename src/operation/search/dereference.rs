//! Dereference (draft-masarati-ldap-deref): with an entry go attributes of the entries that it names, as SSSD and nslcd ask
//! for the members of a group.
//!
//! Invariants
//! - Of an entry named no more is told than a search would; one that is not there, or not to be seen, is its bare name.
//! - Names that are computed (memberOf) are as good as stored ones.
//! - What goes with one entry is bounded ([`BYTES_MAX`]); beyond it the search ends and says so.

use super::form::Looking;
use crate::dit::{Catalog, Entry, View};
use crate::model::{Attribute, AttributeDescription, Dn, ResultCode};
use crate::operation::access::Granted;
use crate::operation::outcome::{OperationError, Outcome};
use crate::operation::selection::Selection;
use crate::policy::rights::Right;
use crate::schema::AttributeTypeIndex;
use crate::search::{Computed, MEMBER, searched_members};
use crate::wire::ber::{self, Reader};
use crate::wire::control::{Dereference, Dereferenced, dereference_response};
use crate::wire::{ResponseControl, SearchEntry};

/// Bytes that go with one entry: some 50,000 members with a name each.
const BYTES_MAX: usize = 8 * 1024 * 1024;

struct Item {
    /// As the client spelled it.
    attribute: String,
    index: AttributeTypeIndex,
    /// Where the names are computed.
    computed: Option<Computed>,
    /// Members that a search finds are meant.
    searches: bool,
    options: Vec<String>,
    selection: Selection,
}

/// See the module.
pub(in crate::operation) struct Dereferencer {
    items: Vec<Item>,
}

impl Dereferencer {
    /// Resolves what is asked for; `None` where nothing of it can be. What is no name is refused where the client insists.
    ///
    /// # Errors
    /// protocolError.
    pub(super) fn new(catalog: &Catalog, wanted: &[Dereference], insists: bool) -> Outcome<Option<Self>> {
        let mut items = Vec::with_capacity(wanted.len());
        for Dereference { attribute, wanted } in wanted {
            let options = catalog.schema().attribute_options();
            let description =
                AttributeDescription::parse(attribute).ok().filter(|read| options.unknown_in(read).is_none());
            let found =
                description.as_ref().and_then(|description| catalog.schema().attribute_type(description.name()));
            let (Some(description), Some(found)) = (&description, found.filter(|found| found.is_dn_valued())) else {
                if insists {
                    return Err(OperationError::new(
                        ResultCode::PROTOCOL_ERROR,
                        "only attributes whose values are names can be dereferenced, as member, manager or seeAlso",
                    ));
                }
                continue;
            };
            items.push(Item {
                attribute: attribute.clone(),
                index: found.index,
                computed: Computed::of(found).filter(|_| description.options().is_empty()),
                searches: found.oid == MEMBER && description.options().is_empty(),
                options: description.options().to_vec(),
                selection: Selection::new(catalog, wanted.iter().map(String::as_str), false),
            });
        }
        Ok((!items.is_empty()).then_some(Self { items }))
    }

    pub(super) fn renew(&mut self, view: View<'_>) -> Outcome<()> {
        self.items.iter_mut().try_for_each(|item| item.selection.renew(view))
    }

    /// The response that goes with `entry`; `None` where it names nobody.
    pub(super) fn response<'v>(
        &self,
        at: &Looking<'_, 'v>,
        entry: &Entry<'v>,
        granted: &Granted,
    ) -> Outcome<Option<ResponseControl>> {
        let catalog = at.view.catalog();
        let mut found = Found::default();
        for item in &self.items {
            if let Some(computed) = item.computed {
                if granted.for_attribute(Some(item.index)) {
                    computed.values(at.view, entry)?.into_iter().try_for_each(|name| found.add(at, item, name))?;
                }
                continue;
            }
            for id in catalog.of_type(item.index) {
                let Some(info) = catalog.attribute(*id) else { continue };
                let is_meant = item.options.iter().all(|option| info.options.contains(option));
                if !is_meant || !granted.for_attribute(info.attribute_type) {
                    continue;
                }
                let Some(slice) = entry.attribute(*id) else { continue };
                at.view.values(entry, &slice)?.into_iter().try_for_each(|name| found.add(at, item, name))?;
            }
            if item.searches && granted.for_attribute(Some(item.index)) {
                let members = searched_members(at.view, entry, at.access)?;
                members.into_iter().try_for_each(|name| found.add(at, item, name))?;
            }
        }
        Ok(found.response())
    }

    /// The same for an entry that is not in the tree, which has these attributes for the requester.
    pub(super) fn response_told(
        &self,
        at: &Looking<'_, '_>,
        attributes: &[Attribute],
    ) -> Outcome<Option<ResponseControl>> {
        let schema = at.view.catalog().schema();
        let mut found = Found::default();
        for item in &self.items {
            let is_meant = |attribute: &&Attribute| {
                let Attribute { description, .. } = attribute;
                schema.attribute_type(description.name()).is_some_and(|found| found.index == item.index)
                    && item.options.iter().all(|option| description.options().contains(option))
            };
            for name in attributes.iter().filter(is_meant).flat_map(|attribute| &attribute.values) {
                found.add(at, item, name.clone())?;
            }
        }
        Ok(found.response())
    }
}

/// What goes with one entry.
#[derive(Default)]
struct Found {
    results: Vec<Dereferenced>,
    bytes: usize,
}

impl Found {
    fn add(&mut self, at: &Looking<'_, '_>, item: &Item, name: Vec<u8>) -> Outcome<()> {
        let attributes = named(at, &name, &item.selection)?;
        self.bytes += name.len() + attributes.len() + item.attribute.len() + 16;
        if self.bytes > BYTES_MAX {
            return Err(OperationError::new(
                ResultCode::ADMIN_LIMIT_EXCEEDED,
                "an entry names too many others to send them with it; ask for fewer attributes",
            ));
        }
        self.results.push(Dereferenced { attribute: item.attribute.clone(), name, attributes });
        Ok(())
    }

    fn response(&self) -> Option<ResponseControl> {
        (!self.results.is_empty()).then(|| dereference_response(&self.results))
    }
}

/// The attributes of the entry `name` that were asked for and may be read, encoded.
fn named(at: &Looking<'_, '_>, name: &[u8], selection: &Selection) -> Outcome<Vec<u8>> {
    let Ok(dn) = Dn::parse_bytes(name) else { return Ok(Vec::new()) };
    let Some(entry) = target(at.view, &dn)? else { return Ok(Vec::new()) };
    let granted = at.access.granted(&entry, Right::Read);
    if !granted.for_anything() {
        return Ok(Vec::new());
    }
    let mut value = Vec::with_capacity(128);
    let mut out = SearchEntry::begin_value(&mut value, b"");
    selection.write(at.view, &entry, (at.access, &granted), &mut out)?;
    out.finish(&[]);
    Ok(attributes_of(&value).unwrap_or_default().to_vec())
}

fn target<'v>(view: View<'v>, dn: &Dn) -> Outcome<Option<Entry<'v>>> {
    Ok(match view.resolve(dn)?.entry {
        Some(id) => view.entry(id)?,
        None => None,
    })
}

/// The attributes in an encoded entry.
fn attributes_of(value: &[u8]) -> Option<&[u8]> {
    let (_, content) = Reader::new(value).element().ok()?;
    let mut entry = Reader::new(content);
    entry.octets().ok()?;
    entry.expect(ber::SEQUENCE).ok()
}
