//! Operational attributes that are not stored as values: they follow from an entry's record, its place and its links.
//!
//! Being computed they are never stale: memberOf is right after a bulk load, entryDN after a move of a superior.

use super::SearchError;
use super::collective::Collective;
use super::membership::{groups_of, groups_of_nested};
use super::roles::roles_of;
use super::uniqueness::unique_violations;
use crate::dit::{Entry, View};
use crate::model::EntryUuid;
use crate::schema::time::format_generalized_time;
use crate::schema::{AttributeType, AttributeTypeIndex};

/// An attribute that is computed. See the module.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Computed {
    /// The subentries whose collective attributes the entry shows (RFC 3671 2.2).
    CollectiveAttributeSubentries,
    /// When the entry was created (RFC 4512 3.4.2), to the second.
    CreateTimestamp,
    /// The newest stamp in the entry, in OpenLDAP's form.
    EntryCsn,
    /// The entry's DN (RFC 5020).
    EntryDn,
    /// RFC 4530.
    EntryUuid,
    /// The entryUUID as 389 Directory Server writes it: four groups of eight digits.
    NsUniqueId,
    /// The entryUUID as Active Directory writes it: sixteen bytes (MS-DTYP 2.3.4.2).
    ObjectGuid,
    /// The newest stamp in the entry as hexadecimal text: differs whenever the entry does.
    EntryVersion,
    /// TRUE when entries are below.
    HasSubordinates,
    /// The groups that the entry is in, directly or through other groups.
    IsMemberOf,
    /// The groups that have the entry as a direct member.
    MemberOf,
    /// When the entry was last changed, to the second.
    ModifyTimestamp,
    /// The roles that the entry has, directly or through other roles.
    NsRole,
    /// How many entries are directly below.
    NumSubordinates,
    /// How merged changes made the entry break the schema.
    ReplSchemaViolation,
    /// With whom the entry shares a value that one entry alone may have.
    ReplUniqueViolation,
    /// RFC 4512 3.4.6.
    StructuralObjectClass,
    /// Where the schema is published (RFC 4512 4.2).
    SubschemaSubentry,
}

/// The DN of the subschema entry.
pub(super) const SUBSCHEMA_DN: &str = "cn=subschema";

impl Computed {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::CollectiveAttributeSubentries,
        Self::CreateTimestamp,
        Self::EntryCsn,
        Self::EntryDn,
        Self::EntryUuid,
        Self::EntryVersion,
        Self::HasSubordinates,
        Self::IsMemberOf,
        Self::MemberOf,
        Self::ModifyTimestamp,
        Self::NsRole,
        Self::NsUniqueId,
        Self::NumSubordinates,
        Self::ObjectGuid,
        Self::ReplSchemaViolation,
        Self::ReplUniqueViolation,
        Self::StructuralObjectClass,
        Self::SubschemaSubentry,
    ];

    /// The usual name.
    pub fn name(self) -> &'static str {
        match self {
            Self::CollectiveAttributeSubentries => "collectiveAttributeSubentries",
            Self::CreateTimestamp => "createTimestamp",
            Self::EntryCsn => "entryCSN",
            Self::EntryDn => "entryDN",
            Self::EntryUuid => "entryUUID",
            Self::EntryVersion => "entryVersion",
            Self::HasSubordinates => "hasSubordinates",
            Self::IsMemberOf => "isMemberOf",
            Self::MemberOf => "memberOf",
            Self::ModifyTimestamp => "modifyTimestamp",
            Self::NsRole => "nsRole",
            Self::NsUniqueId => "nsUniqueId",
            Self::NumSubordinates => "numSubordinates",
            Self::ObjectGuid => "objectGUID",
            Self::ReplSchemaViolation => "replSchemaViolation",
            Self::ReplUniqueViolation => "replUniqueViolation",
            Self::StructuralObjectClass => "structuralObjectClass",
            Self::SubschemaSubentry => "subschemaSubentry",
        }
    }

    /// Whether the values of a type are computed. Cost: none for user attributes; ask once a request.
    pub fn of(attribute_type: &AttributeType) -> Option<Self> {
        if !attribute_type.is_operational() && !attribute_type.no_user_modification {
            return None;
        }
        let named = |name: &str| attribute_type.names.iter().any(|known| known.eq_ignore_ascii_case(name));
        Self::ALL.iter().copied().find(|computed| named(computed.name()))
    }

    /// Whether an entry may have no value of it.
    pub fn may_be_absent(self) -> bool {
        self.is_membership()
            || matches!(
                self,
                Self::CollectiveAttributeSubentries
                    | Self::NsRole
                    | Self::ReplSchemaViolation
                    | Self::ReplUniqueViolation
                    | Self::StructuralObjectClass
            )
    }

    /// Whether it says which groups an entry is in; an entry may be in none.
    pub fn is_membership(self) -> bool {
        matches!(self, Self::IsMemberOf | Self::MemberOf)
    }

    /// Whether it says what another attribute says, in a form that some clients know: not sent for `+`.
    pub fn is_alias(self) -> bool {
        matches!(self, Self::NsUniqueId | Self::ObjectGuid)
    }

    /// The entry that a value names, where the attribute is a form of the entryUUID and not that itself.
    pub(super) fn alias_of_uuid(self, value: &[u8]) -> Option<EntryUuid> {
        match self {
            Self::NsUniqueId => EntryUuid::from_ns_unique_id(std::str::from_utf8(value).ok()?.trim()).ok(),
            Self::ObjectGuid => EntryUuid::from_guid_bytes(value),
            _ => None,
        }
    }

    /// The values for an entry; none where it has none (memberOf of an entry in no group).
    ///
    /// Cost: below a microsecond, but for memberOf (a look-up, and one for each group), nsRole ([`roles_of`]) and entryDN
    /// (cached superiors).
    ///
    /// # Errors
    /// [`SearchError::Dit`].
    pub fn values(self, view: View<'_>, entry: &Entry<'_>) -> Result<Vec<Vec<u8>>, SearchError> {
        let record = &entry.record;
        let value = match self {
            Self::CollectiveAttributeSubentries => {
                let mut names = Vec::new();
                for subentry in Collective::load(view)?.subentries_of(view, entry)? {
                    names.extend(view.dn_text(subentry)?.map(String::into_bytes));
                }
                return Ok(names);
            }
            Self::CreateTimestamp => format_generalized_time(record.created_ms()).into_bytes(),
            Self::ModifyTimestamp => format_generalized_time(record.modified_ms()).into_bytes(),
            Self::EntryCsn => record.csn().openldap_text(0).into_bytes(),
            Self::EntryVersion => hex(&record.csn().to_be_bytes()),
            Self::EntryDn => {
                let mut out = Vec::with_capacity(96);
                view.write_dn(entry, &mut out)?;
                out
            }
            Self::EntryUuid => record.uuid().to_text().to_vec(),
            Self::NsUniqueId => record.uuid().to_ns_unique_id().into_bytes(),
            Self::ObjectGuid => record.uuid().to_guid_bytes().to_vec(),
            Self::HasSubordinates => {
                let any = view.subordinate_count(entry.id)? > 0;
                if any { b"TRUE".to_vec() } else { b"FALSE".to_vec() }
            }
            Self::NumSubordinates => view.subordinate_count(entry.id)?.to_string().into_bytes(),
            Self::SubschemaSubentry => SUBSCHEMA_DN.as_bytes().to_vec(),
            Self::ReplSchemaViolation => {
                return Ok(view.violations(entry).into_iter().map(String::into_bytes).collect());
            }
            Self::ReplUniqueViolation => {
                return Ok(unique_violations(view, entry)?.into_iter().map(String::into_bytes).collect());
            }
            Self::StructuralObjectClass => return Ok(structural_class(view, entry).into_iter().collect()),
            Self::NsRole => {
                let mut names = Vec::new();
                for role in roles_of(view, entry)? {
                    names.extend(view.dn_text(role)?.map(String::into_bytes));
                }
                return Ok(names);
            }
            Self::IsMemberOf | Self::MemberOf => {
                let nested = self == Self::IsMemberOf;
                let mut names = Vec::new();
                for group in if nested { groups_of_nested(view, entry)? } else { groups_of(view, entry)? } {
                    names.extend(view.dn_text(group)?.map(String::into_bytes));
                }
                return Ok(names);
            }
        };
        Ok(vec![value])
    }
}

/// The values of a computed attribute; `None` when the type's values are stored like any other's.
///
/// # Errors
/// As [`Computed::values`].
pub fn computed_values(
    view: View<'_>,
    entry: &Entry<'_>,
    attribute: AttributeTypeIndex,
) -> Result<Option<Vec<Vec<u8>>>, SearchError> {
    match Computed::of(view.catalog().schema().attribute_type_at(attribute)) {
        Some(computed) => computed.values(view, entry).map(Some),
        None => Ok(None),
    }
}

fn structural_class(view: View<'_>, entry: &Entry<'_>) -> Option<Vec<u8>> {
    let catalog = view.catalog();
    let attribute = catalog.base_of(catalog.schema().attribute_type(super::compile::OBJECT_CLASS)?)?;
    let slice = entry.attribute(attribute)?;
    let classes: Vec<&str> = slice.values().filter_map(|value| std::str::from_utf8(value).ok()).collect();
    let class = catalog.schema().structural_class(&classes).ok()?;
    Some(class.name().as_bytes().to_vec())
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
